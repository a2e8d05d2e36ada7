//! `amgi-gen diff`: what it says of two versions of a document, which way it breaks, and the exit code.

mod common;

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use amgi_gen::{
    diff::{self, Level, Respect, Version},
    settings::Settings,
};
use common::{DOCUMENT, Folder, Ran};
use serde_json::Value;

/// Two versions of the document, the new one with this edit.
fn versions(from: &str, to: &str) -> Folder {
    let folder = Folder::new();
    folder.write("new.yaml", DOCUMENT);
    folder.edit("new.yaml", from, to);
    folder
}

/// Id, level and place of each change.
fn changes(folder: &Folder, args: &[&str]) -> BTreeSet<String> {
    let ran = folder.run(&[&["diff", "user.yaml", "new.yaml", "--format", "json"], args].concat());
    let report: Value = serde_json::from_str(&ran.stdout).expect("one JSON object");
    let text = |change: &Value, key: &str| change[key].as_str().unwrap_or_default().to_owned();
    let all = report["changes"].as_array().expect("changes").iter();
    all.map(|change| format!("{} {} {}", text(change, "level"), text(change, "id"), text(change, "place")))
        .collect()
}

fn set(lines: &[&str]) -> BTreeSet<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// A change of a schema as those see it who receive, and as those who send.
fn both_ways(from: &str, to: &str, received: &[&str], sent: &[&str]) {
    let folder = versions(from, to);
    assert_eq!(changes(&folder, &["--only", "wire"]), set(received), "received: {to}");
    assert_eq!(changes(&folder, &["--only", "wire", "--as", "peer"]), set(sent), "sent: {to}");
}

const PROPERTIES: &str = "properties: {id: {type: integer}, email: {type: string}}";

#[test]
fn the_direction_decides_what_breaks() {
    let payload = "message UserCreated, payload";
    let line = |level: &str, id: &str, pointer: &str| format!("{level} {id} {payload}{pointer}");
    for (from, to, id, pointer, received, sent) in [
        ("required: [id]", "required: [id, email]", "member-required", " /email", "breaking", "compatible"),
        ("          required: [id]\n", "", "member-optional", " /id", "compatible", "breaking"),
        (
            "type: integer}, email",
            "type: integer, minimum: 3}, email",
            "bound-narrowed",
            " /id",
            "breaking",
            "compatible",
        ),
        ("type: integer}, email", "type: number}, email", "type-widened", " /id", "compatible", "breaking"),
        ("type: integer}, email", "type: boolean}, email", "type-changed", " /id", "breaking", "breaking"),
        (
            "email: {type: string}",
            "email: {type: string, enum: [a, b]}",
            "enum-closed",
            " /email",
            "breaking",
            "compatible",
        ),
        (
            "email: {type: string}",
            "email: {type: string, format: email}",
            "format-added",
            " /email",
            "breaking",
            "compatible",
        ),
        (
            "email: {type: string}",
            "email: {type: string}, age: {type: integer}",
            "member-added",
            " /age",
            "compatible",
            "compatible",
        ),
        (", email: {type: string}}", "}", "member-removed", " /email", "compatible", "compatible"),
        (
            PROPERTIES,
            "properties: {id: {type: integer}, email: {type: string}}\n          additionalProperties: false",
            "additional-closed",
            "",
            "breaking",
            "compatible",
        ),
        (
            "email: {type: string}",
            "email: {type: string, not: {const: x}}",
            "condition-changed",
            " /email",
            "warning",
            "compatible",
        ),
        (
            "email: {type: string}",
            "email: {oneOf: [{type: string}, {type: 'null'}]}",
            "type-widened",
            " /email",
            "compatible",
            "breaking",
        ),
    ] {
        both_ways(from, to, &[&line(received, id, pointer)], &[&line(sent, id, pointer)]);
    }
}

#[test]
fn the_same_in_other_words_is_no_change() {
    for (from, to) in [
        ("id: {type: integer}, email", "id: {allOf: [{type: integer}]}, email"),
        ("email: {type: string}", "email: {anyOf: [{type: string}]}"),
        ("required: [id]", "required: [id]\n          description: New words."),
        (PROPERTIES, "properties: {email: {type: string, minLength: 0}, id: {type: integer}}"),
    ] {
        both_ways(from, to, &[], &[]);
    }
}

#[test]
fn requests_and_replies_go_opposite_ways() {
    // What is asked comes in, what is answered goes out.
    let asked = "FindUser: {payload: {type: object, properties: {id: {type: integer}}}}";
    let folder = versions(asked, &asked.replace("type: object,", "type: object, required: [id],"));
    assert_eq!(
        changes(&folder, &["--only", "wire"]),
        set(&["breaking member-required message FindUser, payload /id"])
    );
    let answered = "payload: {type: object, properties: {name: {type: string}}}";
    let folder = versions(answered, &answered.replace("type: object,", "type: object, required: [name],"));
    assert_eq!(
        changes(&folder, &["--only", "wire"]),
        set(&["compatible member-required reply UserFound, payload /name"])
    );
    let folder = versions(answered, &answered.replace("type: string", "type: [string, 'null']"));
    assert_eq!(
        changes(&folder, &["--only", "wire"]),
        set(&["breaking type-widened reply UserFound, payload /name"])
    );
}

#[test]
fn operations_channels_and_servers_are_compared() {
    let ran = |folder: &Folder| folder.run(&["diff", "user.yaml", "new.yaml"]);
    let gone = versions("  sendWelcome:\n    action: send\n    channel: {$ref: '#/channels/welcome'}\n", "");
    assert!(changes(&gone, &["--only", "wire"]).contains("breaking operation-removed "));
    assert_eq!(ran(&gone).code, 1);
    let moved = versions("address: user.find\n", "address: user.search\n");
    assert_eq!(changes(&moved, &[]), set(&["breaking address-changed address"]));
    // The name of a parameter does not travel, but is a field.
    let named = versions(
        "address: user.{userId}.welcome\n    parameters: {userId:",
        "address: user.{id}.welcome\n    parameters: {id:",
    );
    assert_eq!(changes(&named, &["--only", "wire"]), set(&[]));
    assert_eq!(changes(&named, &["--only", "code"]), set(&["breaking renamed new::Welcome::id"]));
    let fewer = versions(
        "parameters: {userId: {description: Who.",
        "parameters: {userId: {enum: ['1'], description: Who.",
    );
    assert_eq!(
        changes(&fewer, &["--only", "wire"]),
        set(&["compatible parameter-narrowed parameter userId"])
    );
    let other =
        versions("  created:\n    address", "  created:\n    bindings: {kafka: {topic: t}}\n    address");
    assert_eq!(changes(&other, &[]), set(&["breaking binding-changed channel, kafka"]));
    let server = versions("channels:\n", "servers: {main: {host: h, protocol: kafka}}\nchannels:\n");
    assert_eq!(changes(&server, &[]), set(&["compatible server-added "]));
    let typed = versions(
        "        summary: A user was created.",
        "        summary: A user was created.\n        contentType: application/cbor",
    );
    assert!(
        changes(&typed, &["--only", "wire"]).contains("breaking content-type-changed message UserCreated")
    );
    let reply = versions("\n    reply: {channel: {$ref: '#/channels/found'}}", "");
    assert!(changes(&reply, &["--only", "wire"]).contains("breaking reply-removed reply"));
    let turned = versions("action: send\n", "action: receive\n");
    assert!(changes(&turned, &["--only", "wire"]).contains("breaking action-changed "));
}

#[test]
fn a_message_more_breaks_readers_and_compilers() {
    let more = "messages:\n      UserLeft: {payload: {type: object}}\n      UserWelcome:";
    let folder = versions("messages:\n      UserWelcome:", more);
    assert!(changes(&folder, &["--only", "wire"]).contains("breaking message-added message UserLeft"));
    let code = changes(&folder, &["--only", "code"]);
    assert!(code.contains("breaking method-changed new::Sender::send_welcome"), "{code:?}");
    assert!(
        changes(&folder, &["--only", "wire", "--as", "peer"])
            .contains("compatible message-added message UserLeft")
    );
    let code = changes(&folder, &["--only", "code", "--as", "peer"]);
    assert!(code.contains("breaking method-added new::WelcomeHandler::on_user_left"), "{code:?}");
}

#[test]
fn code_that_stops_compiling_is_named() {
    let add = versions("email: {type: string}", "email: {type: string}, age: {type: integer}");
    assert_eq!(
        changes(&add, &["--only", "code"]),
        set(&["breaking field-added new::types::UserCreatedPayload::age"])
    );
    let path = "new::types::UserCreatedPayload::email";
    for (to, id) in [
        ("email: {type: string, enum: [a, b]}", "field-type-changed"),
        ("email: {type: integer}", "field-type-changed"),
        ("mail: {type: string}", "field-removed"),
        ("email: {type: string, x-rust-name: address}", "renamed"),
    ] {
        let folder = versions("email: {type: string}", to);
        let found = changes(&folder, &["--only", "code"]);
        let path = if id == "renamed" { "new::types::UserCreatedPayload::address" } else { path };
        assert!(found.contains(&format!("breaking {id} {path}")), "{to}: {found:?}");
    }
    let folder = versions("      UserCreated:\n", "      UserCreated:\n        x-rust-name: NewUser\n");
    let found = changes(&folder, &["--only", "code"]);
    assert!(found.contains("breaking renamed new::NewUser"), "{found:?}");
    assert!(found.contains("breaking renamed new::CreatedHandler::on_new_user"), "{found:?}");
    let open = versions("address: user.created", "address: null");
    let found = changes(&open, &["--only", "code"]);
    assert!(found.contains("breaking method-changed new::app"), "{found:?}");
    // What is compiled stays the same where only the wire changes.
    let bound = versions("type: integer}, email", "type: integer, minimum: -5}, email");
    assert_eq!(changes(&bound, &["--only", "code"]), set(&[]));
}

/// The settings of each document count.
#[test]
fn settings_are_compared_with_their_documents() {
    let folder = Folder::new();
    folder.write("v2/user.yaml", DOCUMENT);
    folder.write("v2/amgi.toml", "derives = ['Eq']\n");
    let ran = folder.run(&["diff", "user.yaml", "v2/user.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stdout.contains("derive-added: it is `Eq`, too"), "{}", ran.stdout);
    let ran = folder.run(&["diff", "v2/user.yaml", "user.yaml"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    let ran = folder.run(&["diff", "v2/user.yaml", "user.yaml", "--no-config"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
}

#[test]
fn exit_codes_follow_what_is_denied() {
    let code = |folder: &Folder, args: &[&str]| {
        folder.run(&[&["diff", "user.yaml", "new.yaml", "--only", "wire"], args].concat()).code
    };
    let breaking = versions("required: [id]", "required: [id, email]");
    let warning = versions("email: {type: string}", "email: {type: string, not: {const: x}}");
    let compatible = versions("email: {type: string}", "email: {type: string}, age: {type: integer}");
    for (folder, codes) in [(&breaking, [0, 1, 1]), (&warning, [0, 0, 1]), (&compatible, [0, 0, 0])] {
        let found = ["none", "breaking", "warning"].map(|level| code(folder, &["--deny", level]));
        assert_eq!(found, codes);
        assert_eq!(code(folder, &[]), codes[1]);
    }
    assert_eq!(compatible.run(&["diff", "user.yaml"]).code, 2);
    assert_eq!(compatible.run(&["diff", "user.yaml", "none.yaml"]).code, 2);
    assert_eq!(compatible.run(&["diff", "user.yaml", "new.yaml", "--deny", "x"]).code, 2);
    compatible.edit("user.yaml", "#/channels/created", "#/channels/create");
    compatible.edit("new.yaml", "#/channels/find'", "#/channels/fund'");
    let ran = compatible.run(&["diff", "user.yaml", "new.yaml", "--format", "json"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    ran.says(&[
        "`#/channels/create` names nothing",
        "`#/channels/fund` names nothing",
        "user.yaml: 1 error",
        "new.yaml: 1 error",
    ]);
}

#[test]
fn reports_are_for_people_and_programs() {
    let folder = versions("required: [id]", "required: [id, email]");
    let run =
        |format: &str| folder.run(&["diff", "user.yaml", "new.yaml", "--only", "wire", "--format", format]);
    let text = run("text");
    assert_eq!(
        text.stdout,
        "receive onUserCreated\n  \
           breaking    member-required: `email` is required now\n              \
                       message UserCreated, payload /email at user.yaml:12:45 -> new.yaml:11:26\n              \
                       help: keep it optional until every peer sends it; a `default` can stand in for it\n"
    );
    text.says(&["user.yaml -> new.yaml: 1 breaking\n"]);
    let github = run("github").stdout;
    assert!(
        github.starts_with("::error file=new.yaml,line=11,col=26,endLine=11,endColumn=30,title=member-required::receive onUserCreated"),
        "{github}"
    );
    assert_eq!(github.lines().count(), 1);
    let markdown = run("markdown").stdout;
    assert!(
        markdown.contains("### receive onUserCreated\n\n- **breaking** `member-required`: `email`"),
        "{markdown}"
    );
    let report: Value = serde_json::from_str(&run("json").stdout).unwrap();
    assert_eq!(
        (&report["breaking"], &report["warnings"], &report["compatible"]),
        (&1.into(), &0.into(), &0.into())
    );
    let change = &report["changes"][0];
    assert_eq!(
        (&change["subject"], &change["key"], &change["respect"]),
        (&"operation".into(), &"onUserCreated".into(), &"wire".into())
    );
    assert_eq!((&change["new"]["line"], &change["old"]["file"]), (&11.into(), &"user.yaml".into()));
}

#[test]
fn a_document_does_not_differ_from_itself() {
    let specs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../specs");
    let mut seen = 0;
    for path in fs::read_dir(specs).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    {
        let path = path.display().to_string();
        let ran: Ran = Folder::new().run(&["diff", &path, &path, "--deny", "warning"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{path}\n{}", ran.stderr);
        seen += 1;
    }
    assert!(seen > 5);
}

#[test]
fn revisions_are_read_with_all_they_refer_to() {
    let folder = Folder::with(
        &DOCUMENT.replace("{type: object, properties: {text: {type: string}}}", "{$ref: './text.yaml'}"),
    );
    folder.write("text.yaml", "{type: object, properties: {text: {type: string}}}\n");
    let git = |args: &[&str]| {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"];
        let output =
            Command::new("git").args(identity).args(args).current_dir(folder.path("")).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    git(&["init", "--quiet", "--initial-branch", "main"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message", "one"]);
    folder.edit("text.yaml", "string", "[string, 'null']");
    let before = git(&["status", "--porcelain"]);
    for old in ["main:user.yaml", "HEAD:./user.yaml"] {
        let ran = folder.run(&["diff", old, "user.yaml", "--only", "wire"]);
        assert_eq!(ran.code, 1, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains(":text.yaml:1:36 -> text.yaml:1:36"), "{}", ran.stdout);
        assert!(ran.stdout.contains("type-widened"), "{}", ran.stdout);
    }
    let ran = folder.run(&["diff", "HEAD:user.yaml", "main:user.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    assert_eq!(git(&["status", "--porcelain"]), before);
    let ran = folder.run(&["diff", "nowhere:user.yaml", "user.yaml"]);
    assert_eq!(ran.code, 2);
    ran.says(&["there is no revision `nowhere`"]);
    let ran = folder.run(&["diff", "main:gone.yaml", "user.yaml"]);
    assert_eq!(ran.code, 2);
    ran.says(&["there is no file `main:gone.yaml`"]);
}

#[test]
fn changes_are_explained() {
    let folder = Folder::new();
    assert!(folder.ok(&["explain", "member-required"]).stdout.contains("A member must be there."));
    let help = folder.ok(&["diff", "--help"]).stdout;
    for text in ["member-required", "field-added", "Exit codes:", "REVISION:PATH"] {
        assert!(help.contains(text), "`{text}` is not in\n{help}");
    }
}

/// The example of the README, which is this command on `specs/user.yaml` and that with the edit it names.
#[test]
fn the_readme_shows_what_is_said() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let (_, rest) = readme
        .split_once("<!-- diff-output: a test expects this very text -->\n```text\n")
        .expect("the example");
    let (shown, _) = rest.split_once("```\n").unwrap();
    let folder = Folder::with(&fs::read_to_string(root.join("specs/user.yaml")).unwrap());
    folder.write("new.yaml", &folder.read("user.yaml"));
    folder.edit("new.yaml", "required: [id, email]\n        properties:\n          id:\n            type: integer\n            minimum: 1\n            description: Number of the user.\n          email:", "required: [id, email, name]\n        properties:\n          id:\n            type: integer\n            minimum: 1\n            description: Number of the user.\n          email:");
    let ran = folder.run(&["diff", "user.yaml", "new.yaml"]);
    assert_eq!(format!("{}{}", ran.stdout, ran.stderr), shown);
    assert_eq!(ran.code, 1);
}

/// Public items of generated code as the compiler sees them, a line each, and what their absence elsewhere means: what is new in a
/// line that is `true` breaks, too.
fn seen(items: &[syn::Item], path: &str, out: &mut BTreeSet<(String, bool)>) {
    let text = |tokens: &dyn quote::ToTokens| tokens.to_token_stream().to_string();
    for item in items {
        if let syn::Item::Mod(syn::ItemMod { ident, content: Some((_, inner)), .. }) = item
            && ident == "types"
        {
            seen(inner, "types::", out);
        }
        let mut say = |line: String, new_breaks: bool| {
            out.insert((line, new_breaks));
        };
        match item {
            syn::Item::Struct(item) => {
                say(format!("struct {path}{}", item.ident), false);
                for (at, field) in item.fields.iter().enumerate() {
                    if matches!(field.vis, syn::Visibility::Public(_)) {
                        let name = field.ident.as_ref().map_or_else(|| at.to_string(), ToString::to_string);
                        say(format!("field {path}{}::{name}: {}", item.ident, text(&field.ty)), true);
                    }
                }
            }
            syn::Item::Enum(item) => {
                say(format!("enum {path}{}", item.ident), false);
                for variant in &item.variants {
                    say(
                        format!("variant {path}{}::{} {}", item.ident, variant.ident, text(&variant.fields)),
                        true,
                    );
                }
            }
            syn::Item::Trait(item) => {
                say(format!("trait {path}{}", item.ident), true);
                for method in &item.items {
                    if let syn::TraitItem::Fn(method) = method {
                        say(format!("method {path}{}::{}", item.ident, text(&method.sig)), true);
                    }
                }
            }
            syn::Item::Fn(item) if matches!(item.vis, syn::Visibility::Public(_)) => {
                let arguments = item.sig.inputs.iter().map(|argument| text(argument)).collect::<Vec<_>>();
                say(format!("fn {path}{}({})", item.sig.ident, arguments.join(", ")), false);
            }
            syn::Item::Impl(item) if item.trait_.is_none() && text(&item.self_ty) == "Sender" => {
                for method in &item.items {
                    if let syn::ImplItem::Fn(method) = method {
                        say(format!("fn {path}Sender::{}", text(&method.sig)), false);
                    }
                }
            }
            syn::Item::Type(item) => say(format!("type {path}{} = {}", item.ident, text(&item.ty)), false),
            _ => {}
        }
    }
}

/// The generated code itself is compared beside the IRs, for many small edits of every document: one breaks when the other does.
#[test]
fn what_the_compiler_sees_is_what_is_said() {
    let specs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../specs");
    let settings = Settings::default();
    let read = |text: &str| {
        let loaded = amgi_asyncapi::load_str("spec.yaml", text);
        let document = loaded.document.clone();
        let api = amgi_gen::from_loaded(loaded, Path::new("spec.yaml"), &settings).api?;
        let file = syn::parse_file(&amgi_gen::format::module(&api).ok()?).expect("Rust");
        let mut surface = BTreeSet::new();
        seen(&file.items, "", &mut surface);
        Some((document, api, surface))
    };
    let (mut breaking, mut compatible) = (0, 0);
    for path in fs::read_dir(specs).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
    {
        let text = fs::read_to_string(&path).unwrap();
        let Some(old) = read(&text) else { continue };
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let edits = [
                line.replace("type: string", "type: boolean"),
                line.replace("type: integer", "type: string"),
                line.replace("enum: [", "enum: [extra, "),
                line.replace("action: receive", "action: send"),
                line.replace("action: send", "action: receive"),
                line.replace("minimum: ", "minimum: -"),
                line.replace("address: ", "address: x/{more}/"),
                line.replace("x-amgi-batch", "x-none"),
                line.replace("reply:", "x-reply:"),
                if line.contains("required: [") { String::new() } else { (*line).to_owned() },
            ];
            for edit in edits.iter().filter(|edit| edit != line) {
                let mut lines = lines.clone();
                lines[at] = edit;
                let Some(new) = read(&lines.join("\n")) else { continue };
                let changes = diff::compare(
                    Version { document: &old.0, api: &old.1, settings: &settings },
                    Version { document: &new.0, api: &new.1, settings: &settings },
                );
                let told: Vec<_> =
                    changes.iter().filter(|change| change.kind.respect == Respect::Code).collect();
                let said = told.iter().any(|change| change.level == Level::Breaking);
                // Members of an item that is new itself break nobody.
                let owner = |line: &str| {
                    let name = line.split_once(' ').map_or("", |(_, rest)| rest);
                    let name = name
                        .strip_prefix("types::")
                        .map_or_else(|| name.split("::").next(), |rest| rest.split("::").next());
                    name.unwrap_or_default().to_owned()
                };
                let known = |line: &str| {
                    line.starts_with("trait ")
                        || old.2.iter().any(|(other, _)| {
                            ["struct ", "enum ", "trait "].iter().any(|kind| other.starts_with(kind))
                                && owner(other) == owner(line)
                        })
                };
                let gone = old.2.difference(&new.2).next();
                let come = new.2.difference(&old.2).find(|(line, breaks)| *breaks && known(line));
                let place = format!("{}:{}: {edit}\n{gone:?} {come:?}\n{told:#?}", path.display(), at + 1);
                assert_eq!(said, gone.is_some() || come.is_some(), "{place}");
                *(if said { &mut breaking } else { &mut compatible }) += 1;
            }
        }
    }
    assert!(breaking > 100 && compatible > 20, "{breaking} {compatible}");
}
