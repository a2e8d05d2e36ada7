//! The README's quick start: the generated service delivers every example of `specs/user.yaml`, and the first handler that
//! the README shows does what it says there.

use std::{fs, path::Path};

use amgi_gen::settings::{Runtime, Settings};
use amgi_golden_tests::{cargo, generated_crate, root, shown};

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
    let output = cargo(folder, &["run", "--quiet", "--", "--examples"]);
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
}
