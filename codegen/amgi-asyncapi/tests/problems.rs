//! What is reported about documents that are wrong, and where.
#![allow(missing_docs)]

use std::{fmt::Write as _, fs, path::Path};

use amgi_asyncapi::{Loaded, diag::Severity, load, load_str};

/// `line:column severity code` of everything that is reported.
fn found(loaded: &Loaded) -> Vec<String> {
    let lines = loaded.diagnostics.iter();
    lines.map(|d| format!("{}:{} {} {}", d.span.line, d.span.column, d.severity, d.code.name)).collect()
}

fn problems(text: &str) -> Vec<String> {
    found(&load_str("t.yaml", text))
}

fn help(loaded: &Loaded, code: &str) -> String {
    let diagnostic =
        loaded.diagnostics.with_code(code).next().unwrap_or_else(|| panic!("{}", loaded.report()));
    diagnostic.help.clone().unwrap_or_default()
}

const HEAD: &str = "asyncapi: 3.0.0\ninfo: {title: T, version: '1'}\n";

#[test]
fn everything_wrong_is_reported_at_once() {
    let loaded = load_str(
        "t.yaml",
        "asyncapi: 3.0.0
info:
  version: 1.0
  titel: Users
servers:
  main: {protocol: kafka, url: x}
channels:
  events:
    address: user.{id}.{
    parameter: {}
    messages:
      m: {payload: {$ref: '#/components/schemas/Usr'}}
  list: []
operations:
  a: {action: recieve, channel: {$ref: '#/channels/event'}}
  b: {}
components:
  schemas:
    User: {type: strng, required: [1], minLength: -1}
    Bad Name: {type: object}
",
    );
    assert_eq!(
        found(&loaded),
        [
            "3:3 error missing-field",
            "3:12 error type-mismatch",
            "4:3 warning unknown-field",
            "6:9 error missing-field",
            "6:27 warning unknown-field",
            "9:14 error address-braces",
            "9:14 warning parameter-undefined",
            "10:5 warning unknown-field",
            "12:27 error ref-not-found",
            "13:9 error type-mismatch",
            "15:15 error unknown-value",
            "15:40 error ref-not-found",
            "16:6 error missing-field",
            "16:6 error missing-field",
            "19:18 error schema-type",
            "19:36 error type-mismatch",
            "19:51 error type-mismatch",
            "20:5 warning component-key",
        ],
        "{}",
        loaded.report()
    );
    let report = loaded.report();
    for hint in [
        "did you mean `title`?",
        "`url` became `host` and `pathname`",
        "did you mean `parameters`?",
        "did you mean `#/components/schemas/User`?",
        "did you mean `#/channels/events`?",
        "did you mean `string`?",
        "did you mean `receive`?",
    ] {
        assert!(report.contains(hint), "{hint}\n{report}");
    }
    assert!(report.starts_with("t.yaml:3:3: error[AG0204]: `info` has no `title`\n  help: add `title: …`\n"));
    assert_eq!(loaded.document.channels[0].key, "events", "what could be read is there");
}

#[test]
fn versions() {
    let with = |version: &str| {
        load_str("t.yaml", &format!("asyncapi: {version}\ninfo: {{title: T, version: '1'}}\n"))
    };
    for version in ["3.0.0", "3.1.0", "3.1.7"] {
        assert!(with(version).diagnostics.is_empty(), "{version}");
    }
    assert_eq!(found(&with("3.2.0")), ["1:11 warning version-newer"]);
    let two = |version: &str| {
        load_str(
            "t.yaml",
            &format!("asyncapi: {version}\ninfo: {{title: T, version: '1'}}\nchannels: {{}}\n"),
        )
    };
    for version in ["2.0.0", "2.3.0", "2.6.0"] {
        assert!(two(version).diagnostics.is_empty(), "{version}");
    }
    assert_eq!(found(&two("2.7.0")), ["1:11 warning version-newer"]);
    assert_eq!(help(&two("2.7.0"), "version-newer"), "it is read as 2.6; what is new in it is ignored");
    assert_eq!(found(&two("2.0.0-rc2")), ["1:11 warning version-prerelease"]);
    assert_eq!(found(&two("2.6")), ["1:11 error type-mismatch"]);
    assert_eq!(found(&two("1.2.0")), ["1:11 error version-unsupported"]);
    assert!(help(&two("1.2.0"), "version-unsupported").contains("convert"));
    assert_eq!(two("1.2.0").document.version, "1.2.0");
    assert_eq!(found(&with("4.0.0")), ["1:11 error version-unsupported"]);
    assert_eq!(found(&with("latest")), ["1:11 error version-unsupported"]);
    assert_eq!(found(&with("3.1")), ["1:11 error type-mismatch"]);
    assert_eq!(help(&with("3.1"), "type-mismatch"), "put it in quotes");
    assert_eq!(problems("info: {title: T, version: '1'}\n"), ["1:1 error missing-field"]);
    assert_eq!(problems("openapi: 3.1.0\n"), ["1:1 error version-unsupported"]);
    assert_eq!(problems("- a\n"), ["1:1 error type-mismatch"]);
    assert_eq!(problems("# nothing\n"), ["1:1 error document-empty"]);
}

#[test]
fn files_that_cannot_be_read() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let code = |path: &Path| load(path).diagnostics.iter().map(|d| d.code.name).collect::<Vec<_>>();
    let missing = folder.join("no-such-file.yaml");
    assert_eq!(code(&missing), ["file-not-found"]);
    assert_eq!(load(&missing).sources.get(0).map(|f| f.path.clone()), Some(missing));
    assert_eq!(code(folder), ["file-unreadable"]);
    let latin = folder.join("latin.yaml");
    fs::write(&latin, b"asyncapi: 3.0.0\ninfo: {title: caf\xe9}\n").expect("written");
    assert_eq!(found(&load(&latin)), ["2:18 error file-not-utf8"]);
    let good = folder.join("good.yaml");
    fs::write(&good, HEAD).expect("written");
    assert!(load(&good).diagnostics.is_empty());
}

#[test]
fn syntax_and_duplicate_keys() {
    let loaded =
        load_str("t.yaml", "asyncapi: 3.0.0\ninfo: {title: T, version: '1', title: U}\nchannels: [\n");
    let codes: Vec<_> = loaded.diagnostics.iter().map(|d| d.code.name).collect();
    assert!(codes.contains(&"duplicate-key") && codes.contains(&"yaml-syntax"), "{}", loaded.report());
    let duplicate = loaded.diagnostics.with_code("duplicate-key").next().expect("reported");
    assert_eq!((duplicate.span.line, duplicate.span.column), (2, 32));
    assert!(loaded.report().contains("note: t.yaml:2:8: here it is first"));
}

#[test]
fn references_that_lead_nowhere_in_circles_or_outside() {
    let loaded = load_str(
        "t.yaml",
        &format!(
            "{HEAD}channels:
  a: {{$ref: '#/channels/b'}}
  b: {{$ref: '#/channels/a'}}
  c:
    address: c
    messages:
      loop: {{payload: {{$ref: '#/components/schemas/A'}}}}
      file: {{payload: {{$ref: './user.json'}}}}
      remote: {{$ref: 'https://example.com/m.yaml#/m'}}
      pointer: {{payload: {{$ref: '#user'}}}}
      wrong: {{$ref: '#/components/schemas/C'}}
      number: {{payload: {{type: object, properties: {{a: {{$ref: '#/info/title'}}}}}}}}
      message: {{payload: {{$ref: '#/components/messages/M'}}}}
components:
  messages: {{M: {{}}}}
  schemas:
    A: {{$ref: '#/components/schemas/B'}}
    B: {{$ref: '#/components/schemas/A'}}
    C: {{type: string}}
"
        ),
    );
    let codes: Vec<_> = loaded.diagnostics.iter().map(|d| (d.span.line, d.code.name)).collect();
    for expected in [
        (4, "ref-cycle"),
        (5, "ref-cycle"),
        (10, "ref-external"),
        (11, "ref-remote"),
        (12, "ref-not-found"),
        (2, "type-mismatch"),
        (13, "ref-target"),
        (15, "ref-target"),
    ] {
        assert!(codes.contains(&expected), "{expected:?}\n{}", loaded.report());
    }
    assert!(codes.iter().any(|(_, code)| *code == "ref-cycle"));
    assert!(loaded.report().contains("load the document from its file"));
}

#[test]
fn unresolved_schema_references_leave_no_stray_indices() {
    let loaded = load_str(
        "t.yaml",
        &format!(
            "{HEAD}channels: {{a: {{address: a, messages: {{m: {{payload: {{properties: {{p: {{$ref: '#/no'}}}}}}}}}}}}}}\n"
        ),
    );
    let payload = &loaded.document[loaded.document.messages[0].payload.expect("payload")];
    assert_eq!(payload.node.to_json(), serde_json::json!({"type": "object", "properties": {"p": {}}}));
}

#[test]
fn messages_of_operations() {
    let loaded = load_str(
        "t.yaml",
        &format!(
            "{HEAD}channels:
  a: {{address: a, messages: {{m: {{$ref: '#/components/messages/M'}}}}}}
  b: {{address: b, messages: {{n: {{}}}}}}
operations:
  o:
    action: send
    channel: {{$ref: '#/channels/a'}}
    messages:
      - {{$ref: '#/components/messages/M'}}
      - {{$ref: '#/channels/b/messages/n'}}
      - {{payload: {{}}}}
      - {{$ref: '#/channels/a'}}
components: {{messages: {{M: {{}}}}}}
"
        ),
    );
    assert_eq!(
        found(&loaded),
        [
            "11:16 warning operation-message-ref",
            "12:16 error operation-message",
            "13:9 error type-mismatch",
            "14:16 error ref-target",
        ],
        "{}",
        loaded.report()
    );
    assert_eq!(help(&loaded, "operation-message-ref"), "write `#/channels/a/messages/m`");
    assert_eq!(loaded.document.operations[0].messages.len(), 1);
}

#[test]
fn addresses_and_expressions() {
    let loaded = load_str(
        "t.yaml",
        &format!(
            "{HEAD}servers:
  s: {{host: '{{region}}.example.com', protocol: mqtt, variables: {{port: {{default: '1', enum: ['2']}}}}}}
channels:
  a: {{address: 'u.{{userId}}', parameters: {{userID: {{location: $message.body#/x}}}}}}
  b/{{id}}: {{parameters: {{id: {{schema: {{}}}}}}}}
  c: {{address: c, servers: [{{$ref: '#/components/servers/t'}}]}}
components: {{servers: {{t: {{host: t, protocol: mqtt}}}}}}
"
        ),
    );
    assert_eq!(
        found(&loaded),
        [
            "4:13 warning variable-undefined",
            "4:65 warning variable-unused",
            "4:81 warning default-not-allowed",
            "6:16 warning parameter-undefined",
            "6:43 warning parameter-unused",
            "6:62 error runtime-expression",
            "7:25 warning parameter-unused",
            "7:30 warning unknown-field",
            "8:36 error channel-server",
        ],
        "{}",
        loaded.report()
    );
    assert_eq!(help(&loaded, "parameter-undefined"), "did you mean `{userID}`?");
}

#[test]
fn remarks_do_not_stop_anything() {
    let loaded = load_str(
        "t.yaml",
        &format!(
            "{HEAD}channels: {{a: {{$ref: '#/components/channels/C', address: x}}}}\ncomponents: {{channels: {{C: {{}}}}}}\n"
        ),
    );
    assert_eq!(found(&loaded), ["3:49 info ref-siblings"]);
    assert!(loaded.diagnostics.iter().all(|d| d.severity == Severity::Info));
}

#[test]
fn recursive_traits_and_bindings_end() {
    let loaded = load_str(
        "t.yaml",
        &format!(
            "{HEAD}channels:
  a:
    address: a
    bindings: {{kafka: {{x: {{$ref: '#/components/channelBindings/k/x'}}}}}}
    messages:
      m:
        headers: {{$ref: '#/components/schemas/A'}}
        traits: [{{headers: {{$ref: '#/components/schemas/B'}}}}]
components:
  channelBindings: {{k: {{x: {{y: {{$ref: '#/components/channelBindings/k/x'}}}}}}}}
  schemas:
    A: {{properties: {{l: {{$ref: '#/components/schemas/A'}}, r: {{$ref: '#/components/schemas/A'}}}}}}
    B: {{properties: {{l: {{$ref: '#/components/schemas/B'}}, r: {{$ref: '#/components/schemas/B'}}}}}}
"
        ),
    );
    assert!(loaded.diagnostics.with_code("ref-cycle").next().is_some(), "{}", loaded.report());
    assert!(loaded.document.messages[0].headers.is_some());
}

#[test]
fn endless_chains_are_errors() {
    let mut text = format!("{HEAD}components:\n  schemas:\n");
    for i in 0..2000 {
        let _ = writeln!(text, "    S{i}: {{$ref: '#/components/schemas/S{}'}}", i + 1);
    }
    text.push_str("    S2000: {type: string}\nchannels: {a: {$ref: '#/channels/a/b'}}\n");
    let loaded = load_str("t.yaml", &text);
    assert!(loaded.diagnostics.with_code("ref-cycle").count() > 1000);
    assert!(loaded.report().contains("`#/channels/a/b` leads back to itself"));
}

#[test]
fn long_recursions_end() {
    let mut text = format!(
        "{HEAD}channels: {{a: {{address: a, messages: {{m: {{payload: {{$ref: '#/components/schemas/S0'}}}}}}}}}}\ncomponents:\n  schemas:\n"
    );
    for i in 0..3000 {
        let _ =
            writeln!(text, "    S{i}: {{properties: {{next: {{$ref: '#/components/schemas/S{}'}}}}}}", i + 1);
    }
    text.push_str("    S3000: {type: string}\n");
    let loaded = load_str("t.yaml", &text);
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.report());
    assert_eq!(loaded.document.schemas.len(), 3001);
}
