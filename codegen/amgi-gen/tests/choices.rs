//! What is said of messages on one address that a document does not tell apart.

use amgi_asyncapi::diag::Severity;
use amgi_gen::{generate, settings::Settings};

/// Everything that is found in a document whose one channel has these messages, one a line, `name: {…}`.
fn found(messages: &str) -> Vec<(String, Vec<String>)> {
    let lines: Vec<String> = messages.lines().map(|line| format!("      {}", line.trim())).collect();
    let messages = lines.join("\n");
    let text = format!(
        "asyncapi: 3.0.0\ninfo: {{title: T, version: '1'}}\nchannels:\n  c:\n    address: a\n    messages:\n{messages}\n\
         operations:\n  o: {{action: receive, channel: {{$ref: '#/channels/c'}}}}\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.yaml");
    std::fs::write(&path, text).unwrap();
    let generation = generate(&path, &Settings::default());
    let report = generation.sources.report(&generation.diagnostics);
    assert!(generation.diagnostics.iter().all(|d| d.severity == Severity::Warning), "{report}");
    assert!(generation.diagnostics.iter().all(|d| d.code.name == "messages-not-distinct"), "{report}");
    let labels =
        |d: &amgi_asyncapi::diag::Diagnostic| d.labels.iter().map(|label| label.text.clone()).collect();
    generation.diagnostics.iter().map(|d| (d.message.clone(), labels(d))).collect()
}

const PERSON: &str = "{payload: {type: object, required: [name], properties: {name: {type: string}}}}";

#[test]
fn equal_schemas_are_named_together() {
    let found = found(&format!("one: {PERSON}\ntwo: {PERSON}\nthree: {PERSON}"));
    let [(text, labels)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(
        text,
        "what is meant as `two` or `three` fits `one` too, and nothing tells them apart, so `one` gets it"
    );
    assert_eq!(labels, &["`two` is here", "`three` is here"]);
}

#[test]
fn a_special_case_is_tried_first_and_said() {
    let particular = "{payload: {type: object, required: [name, age], properties: {name: {type: string, minLength: 1}, age: {type: integer}}}}";
    let found = found(&format!("person: {PERSON}\nworker: {particular}"));
    let [(text, labels)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(
        text,
        "what is meant as `worker` fits `person` too; it is `worker` when it fits that, else `person`"
    );
    assert_eq!(labels, &["`worker` is here"]);
}

#[test]
fn what_fits_everything_is_last_and_said() {
    let found = found(&format!(
        "anything: {{payload: {{type: object, properties: {{note: {{type: string}}}}}}}}\nperson: {PERSON}"
    ));
    let [(text, _)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(text, "`anything` fits whatever comes, so it gets all that `person` does not take");
}

#[test]
fn references_and_all_of_are_seen_through() {
    let base = "{payload: {allOf: [{type: object, required: [a], properties: {a: {type: number}}}, {properties: {b: {type: [string, 'null']}}}]}}";
    let more = "{payload: {type: object, required: [a, c], properties: {a: {type: integer}, b: {type: string}, c: {type: array, items: {type: string}}}}}";
    assert_eq!(found(&format!("base: {base}\nmore: {more}")).len(), 1);
}

#[test]
fn nothing_is_said_where_it_is_not_certain_or_something_tells_them_apart() {
    let cases = [
        // A constant, required or not.
        ["{type: object, properties: {t: {const: a}}}", "{type: object, properties: {t: {const: b}}}"],
        [
            "{type: object, required: [t], properties: {t: {enum: [1, 2]}}}",
            "{type: object, required: [t], properties: {t: {const: 3}}}",
        ],
        // Another type, another required member, rules that may exclude each other.
        [
            "{type: object, required: [a], properties: {a: {type: string}}}",
            "{type: object, required: [a], properties: {a: {type: integer}}}",
        ],
        [
            "{type: object, required: [a], properties: {a: {type: string}}}",
            "{type: object, required: [b], properties: {b: {type: string}}}",
        ],
        [
            "{type: object, required: [a], properties: {a: {type: string, maxLength: 3}}}",
            "{type: object, required: [a], properties: {a: {type: string, minLength: 4}}}",
        ],
        [
            "{type: object, required: [a], properties: {a: {type: integer}}, additionalProperties: false}",
            "{type: object, required: [a, b], properties: {a: {type: integer}, b: {type: integer}}, additionalProperties: false}",
        ],
        [
            "{type: array, items: {type: string}}",
            "{type: object, required: [a], properties: {a: {type: string}}}",
        ],
        ["{type: string}", "{type: integer}"],
    ];
    for [one, two] in cases {
        assert_eq!(
            found(&format!("one: {{payload: {one}}}\ntwo: {{payload: {two}}}")),
            [],
            "{one} and {two}"
        );
    }
    let typed = |media: &str| format!("{{contentType: {media}, payload: {{type: object}}}}");
    let (one, two) = (typed("application/vnd.one+json"), typed("application/vnd.two+json"));
    assert_eq!(found(&format!("one: {one}\ntwo: {two}")), []);
    // Parameters of a media type do not count.
    let (one, two) = (typed("application/json"), typed("'Application/JSON; charset=utf-8'"));
    assert_eq!(found(&format!("one: {one}\ntwo: {two}")).len(), 1);
}

#[test]
fn schemas_that_refer_to_themselves_end() {
    let own = "{$ref: '#/channels/c/messages/one/payload'}";
    let one = format!(
        "{{payload: {{type: object, required: [next], properties: {{next: {{oneOf: [{{type: 'null'}}, {own}]}}}}}}}}"
    );
    let two = format!("{{payload: {{allOf: [{own}, {{required: [x], properties: {{x: {own}}}}}]}}}}");
    assert_eq!(found(&format!("one: {one}\ntwo: {two}")).len(), 1);
}
