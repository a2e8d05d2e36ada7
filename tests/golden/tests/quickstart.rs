//! The README's quick start: the generated service delivers every example of `specs/user.yaml`, and the first handler that
//! the README shows does what it says there.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use amgi_gen::settings::{Runtime, Settings};
use amgi_golden_tests::{cargo, generated_crate, generated_target, root, shown};

/// The fenced block after a marker in the README.
fn block(marker: &str) -> String {
    let readme = fs::read_to_string(root().join("README.md")).expect("the README");
    let after = readme
        .split(&format!("<!-- {marker}:"))
        .nth(1)
        .unwrap_or_else(|| panic!("no `{marker}` in the README"));
    let fence = after.split("```").nth(1).expect("a fenced block");
    fence.split_once('\n').expect("a block of lines").1.to_owned()
}

fn generate(folder: &Path) {
    let settings = Settings { runtime: Runtime::Path(root().join("runtime")), ..Settings::default() };
    let generation = amgi_gen::generate(&root().join("specs/user.yaml"), &settings);
    let plan = amgi_gen::plan::crate_files(&generation, &settings, folder).expect("a plan");
    let changes = amgi_gen::write::compare(folder, plan).expect("a comparison");
    amgi_gen::write::apply(&changes).expect("the files are written");
}

fn run_examples(folder: &Path) -> (Vec<String>, String) {
    let output = cargo(folder, &["run", "--quiet", "--no-default-features", "--", "--examples"]);
    assert!(output.status.success(), "{}", shown(&output));
    let stdout = String::from_utf8(output.stdout).expect("JSON lines are UTF-8");
    (stdout.lines().map(str::to_owned).collect(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_readme_tells_the_truth() {
    let folder = generated_crate("app");
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("the folder of the last run can be removed");
    }
    generate(&folder);
    let (lines, log) = run_examples(&folder);
    let skipped = |address: &str| {
        format!(r#"{{"type":"message.ack","address":"{address}","note":"not implemented yet, skipped"}}"#)
    };
    assert_eq!(
        lines[..4],
        [
            skipped("user.created"),
            skipped("user.created"),
            skipped("user.42.events"),
            skipped("user.42.events"),
        ]
    );
    assert!(lines[4].starts_with(
        r#"{"type":"message.send","address":"shop.answers","headers":{"correlation-id":"q-1"}"#
    ));
    assert_eq!(lines[5..], [r#"{"type":"message.ack","address":"user.find"}"#]);
    for typed in [
        r#"UserCreated { payload: UserCreatedPayload { id: 1, email: "ada@example.org""#,
        r#"contact: Some(Post(ContactPost { kind: Post, street: "Arlington Road 7", city: "New York" }))"#,
        r#"UserEvents { user_id: "42" } UserRenamed { payload: UserRenamedPayload"#,
        "UserDeleted { payload: UserDeletedPayload",
        r#"FindUser { payload: FindUserPayload { id: 42 }, headers: FindUserHeaders { reply_to: "shop.answers""#,
    ] {
        assert!(log.contains(typed), "`{typed}` did not arrive:\n{log}");
    }

    // The edit that the README describes: an import at the top, a method in place of the scaffold's.
    let edit = block("first-handler");
    let (import, method) = edit.split_once("\n\n").expect("an import, then a method");
    let path = folder.join("src/handlers.rs");
    let text = fs::read_to_string(&path).expect("handlers");
    let start = text.find("    async fn on_user_created").expect("the scaffold's method");
    let end = start + text[start..].find("\n    }\n").expect("its end") + "\n    }\n".len();
    let edited = format!("{}{method}{}", &text[..start], &text[end..]);
    let edited = edited.replacen("use amgi::", &format!("{import}\nuse amgi::"), 1);
    fs::write(&path, &edited).expect("the edit is written");
    generate(&folder);
    assert_eq!(fs::read_to_string(&path).expect("handlers"), edited, "an edited file survives");

    let (lines, _) = run_examples(&folder);
    let expected: Vec<String> = block("first-output").lines().map(str::to_owned).collect();
    assert_eq!(lines[..expected.len()], expected[..]);

    every_protocol_can_be_left_out(&folder);
    // For Lambda, too.
    for features in [&[][..], &["--features", "lambda"]] {
        let output = cargo(&folder, &[&["build", "--quiet"], features].concat());
        assert!(output.status.success(), "{}", shown(&output));
    }
    the_command_line_is_as_shown();
    messages_are_checked_by_hand();
    the_document_comes_out_again();
}

/// Runs what was built, with this standard input: exit code, standard output, standard error.
fn app(args: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(generated_target().join("debug/app"))
        .args(args)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the application is started");
    // It may end without reading.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("its output");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn the_command_line_is_as_shown() {
    let (code, out, _) = app(&["--help"], "");
    assert_eq!((code, out), (0, block("app-help")));
    let (_, out, _) = app(&["run", "--help"], "");
    for option in [
        "--group <NAME>",
        "AMGI_MQTT_GROUP",
        "AMGI_KAFKA_GROUP",
        "AMGI_REDIS_CONCURRENCY",
        "AMGI_SQS_POLLERS",
        "payload_base64",
    ] {
        assert!(out.contains(option), "`{option}` is missing:\n{out}");
    }
    assert!(!out.contains("PASSWORD"), "others would see it");
    let (code, out, _) = app(&["completions", "bash"], "");
    assert!(code == 0 && out.contains("asyncapi") && out.contains("userWelcome"), "{out}");

    // JSON lines, with and without a word for it.
    let line = r#"{"address":"user.find","headers":{"reply-to":"a"},"payload":{"id":1}}"#;
    let (code, out, _) = app(&[], line);
    assert_eq!((code, out.lines().count()), (0, 2), "{out}");
    assert_eq!(app(&["run", "memory", "--log", "json"], line).1, out);
    let (code, _, error) = app(&["run", "gopher://localhost"], "");
    assert!(code == 1 && error.contains("no server here knows URLs with `gopher://`"), "{error}");
    let (code, _, error) = app(&["run"], "");
    assert!(
        code == 1 && error.contains("several servers, say which: `kafka` (kafka), `mqtt` (mqtt)"),
        "{error}"
    );
}

fn messages_are_checked_by_hand() {
    let (code, out, error) = app(
        &[
            "send",
            "userWelcome",
            "--print",
            "--header",
            "correlation-id=c-9",
            "--header",
            "by=hand",
            "--binding",
            "kafka.key=9",
        ],
        r#"{"email":"ada@example.org","text":"Hello."}"#,
    );
    let sent = r#"{"type":"message.send","address":"user.welcome","headers":{"attempt":"1","by":"hand","correlation-id":"c-9"},"payload":{"email":"ada@example.org","text":"Hello."},"bindings":{"kafka":{"key":"9"},"mqtt":{"qos":1,"retain":false}}}"#;
    assert_eq!((code, out.trim_end()), (0, sent), "{error}");

    // What does not fit is told with everything that is wrong, in the schema's own words.
    let (command, expected) =
        block("send-by-hand").split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a command");
    assert_eq!(command, r#"$ echo '{"email":"ada","text":""}' | app send userWelcome"#);
    let (code, out, error) = app(&["send", "userWelcome"], r#"{"email":"ada","text":""}"#);
    assert_eq!((code, out.as_str(), error.as_str()), (1, "", expected.as_str()));

    let gone = r#"{"event":"deleted","at":"2026-03-16T12:00:00Z"}"#;
    assert_eq!(app(&["validate", "userEvents"], gone), (0, "userDeleted\n".to_owned(), String::new()));
    let (code, _, error) = app(&["validate", "userEvents", "--message", "userRenamed"], gone);
    assert!(
        code == 1 && error.contains("the message is no `userRenamed`") && error.contains("`name`"),
        "{error}"
    );
    let (code, _, error) = app(&["validate", "userEvent"], gone);
    assert!(code == 2 && error.contains("a similar value exists: 'userEvents'"), "{error}");
    // What is sent can be checked too.
    assert_eq!(
        app(&["validate", "userWelcome", "--header", "correlation-id=c"], r#"{"email":"a@b.c","text":"x"}"#)
            .0,
        0
    );
}

fn the_document_comes_out_again() {
    let spec = root().join("specs/user.yaml");
    let settings = Settings::default();
    let code = |loaded| {
        let generation = amgi_gen::from_loaded(loaded, &spec, &settings);
        let mut api = generation.api.expect("code");
        api.digest.clear();
        amgi_gen::format::module(&api).expect("a module")
    };
    let expected = code(amgi_asyncapi::load(&spec));
    for args in [&["asyncapi"][..], &["asyncapi", "--json"]] {
        let (_, document, error) = app(args, "");
        assert!(code(amgi_asyncapi::load_str("document", &document)) == expected, "{document}\n{error}");
    }
    assert!(app(&["asyncapi"], "").1.starts_with("asyncapi: "), "YAML where nothing else is asked for");
}

/// Server crates are features.
fn every_protocol_can_be_left_out(folder: &Path) {
    let output = cargo(folder, &["run", "--quiet", "--no-default-features", "--", "run", "mqtt"]);
    assert!(!output.status.success() && shown(&output).contains("built for memory"), "{}", shown(&output));
}
