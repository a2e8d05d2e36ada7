//! What a file beside the document adds to it: where it arrives, and what is said when it does not.

use std::{fs, path::Path};

use amgi_asyncapi::{
    Loaded, Options, codes,
    diag::{Diagnostic, Span},
    load_with,
    overlay::{Member, Overlay},
};

const DOCUMENT: &str = "asyncapi: 3.1.0
info: {title: t, version: '1'}
channels:
  a/b:
    address: x
    messages:
      M: {x-rust-name: Old, payload: {$ref: 'common.yaml#/User'}}
      N: {$ref: '#/components/messages/N'}
components:
  messages:
    N: {payload: {oneOf: [{type: string}, {type: integer}]}}
";

fn run(targets: &[&str]) -> (Loaded, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("main.yaml"), DOCUMENT).expect("a document");
    fs::write(path("common.yaml"), "User: {type: object}\n").expect("a file beside it");
    let text = targets.join("\n");
    let members = targets.iter().scan(0, |start, target| {
        let at = *start..*start + target.len();
        *start = at.end + 1;
        let (target, key) = ((*target).to_owned(), "x-rust-name".to_owned());
        Some(Member { target, target_at: at.clone(), key, value: "New".into(), at })
    });
    let overlay = Overlay { path: path("amgi.toml"), members: members.collect(), text, problems: Vec::new() };
    let loaded = load_with(&path("main.yaml"), &Options { overlay: Some(&overlay), ..Options::default() });
    (loaded, folder)
}

#[test]
fn members_reach_every_kind_of_object() {
    let (loaded, folder) = run(&[
        "#/channels/a~1b/messages/M",
        "common.yaml#/User",
        "./common.yaml#/User",
        "main.yaml#/components/messages/N/payload/oneOf/1",
        "elsewhere.yaml#/User",
    ]);
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.report());
    let message = loaded.document.messages.iter().find(|message| message.key == "M").expect("message M");
    let [(key, name)] = message.extensions.as_slice() else { panic!("{:?}", message.extensions) };
    assert_eq!(
        (key.as_str(), name.as_str()),
        ("x-rust-name", Some("New")),
        "it takes the place of what is there"
    );
    let named: Vec<_> =
        loaded.document.schemas.iter().filter(|schema| schema.node.get("x-rust-name").is_some()).collect();
    assert_eq!(named.len(), 1, "{:?}", loaded.document.schemas);
    let other = &loaded.document[loaded.document.messages[1].payload.expect("a payload")];
    let branch = &other.node.get("oneOf").expect("alternatives").items()[1];
    let node = branch.get("x-rust-name").expect("a name in a list");
    let file = loaded.sources.get(node.span.file).expect("a file");
    assert_eq!(
        (file.path.as_path(), node.span.line, node.span.column),
        (folder.path().join("amgi.toml").as_path(), 4, 1)
    );
}

#[test]
fn what_leads_nowhere_is_reported_with_its_place() {
    let (loaded, _folder) = run(&[
        "#/channels/a~1b/messages/m",
        "#/channels/a~1b/messages/N",
        "#/channels/a~1b/messages/N/payload",
        "#/info/title",
        "nonsense",
        "#",
        "#/components/messages/N/payload/oneOf/7",
    ]);
    let problems: Vec<_> = loaded.diagnostics.iter().collect();
    let lines: Vec<_> = problems.iter().map(|problem| problem.span.line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 6, 7], "{}", loaded.report());
    assert!(problems.iter().all(|problem| problem.code == codes::SETTINGS_TARGET));
    let report = loaded.report();
    for part in [
        "did you mean `M` for `m`?",
        "name what it names, `#/components/messages/N`",
        "start from `#/components/messages/N`",
        "write a JSON pointer",
    ] {
        assert!(report.contains(part), "{part} is not in\n{report}");
    }
}

#[test]
fn problems_of_the_file_get_their_place() {
    let span = Span { offset: 5, len: 2, ..Span::default() };
    let problem = Diagnostic::error(codes::SETTINGS_TARGET, span, "wrong").label(Span::default(), "because");
    let overlay = Overlay {
        path: "amgi.toml".into(),
        text: "äö\nxy\n".to_owned(),
        problems: vec![problem],
        ..Overlay::default()
    };
    let options = Options { overlay: Some(&overlay), ..Options::default() };
    let loaded = load_with(Path::new("no/such.yaml"), &options);
    let report = loaded.report();
    assert!(
        report.contains("amgi.toml:2:1: error[AG0801]: wrong\n  note: amgi.toml:1:1: because"),
        "{report}"
    );
    assert!(report.contains("there is no file `no/such.yaml`"), "{report}");
}
