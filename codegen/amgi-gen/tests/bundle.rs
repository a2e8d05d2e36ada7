//! The document that generated code carries is the one it was generated from: read again, it gives the same code.

use std::{fs, path::Path};

use amgi_gen::{
    generate,
    settings::{Config, Settings},
};
use serde_json::Value;

/// What a document becomes, but for what tells its text, and its bundle.
fn ir(path: &Path, settings: &Settings) -> (Value, String) {
    let generation = generate(path, settings);
    let report = generation.sources.report(&generation.diagnostics);
    let api = generation.api.unwrap_or_else(|| panic!("{}: {report}", path.display()));
    let mut value = serde_json::to_value(&api).expect("the IR is JSON");
    value["digest"] = Value::Null;
    (value, api.document)
}

/// The bundle of a document, which gives the same IR, and itself when it is bundled again.
fn bundled(path: &Path) -> Value {
    let (before, bundle) = ir(path, &Settings::of(path, &Config::Beside));
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join(path.file_name().expect("a name"));
    fs::write(&copy, &bundle).expect("the bundle is written");
    let settings = path.with_file_name("amgi.toml");
    if settings.exists() {
        fs::copy(settings, folder.path().join("amgi.toml")).expect("the settings are copied");
    }
    let (after, again) = ir(&copy, &Settings::of(&copy, &Config::Beside));
    assert!(before == after, "{}: {bundle}\n{before:#}\n{after:#}", path.display());
    assert_eq!(bundle, again, "{}", path.display());
    assert!(!bundle.contains('\n'));
    serde_json::from_str(&bundle).expect("a bundle is JSON")
}

#[test]
fn every_document_of_the_project_is_the_same_when_it_is_bundled() {
    let specs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../specs");
    let mut count = 0;
    for entry in fs::read_dir(&specs).expect("the folder of documents") {
        let path = entry.expect("an entry").path();
        let path = if path.is_dir() {
            path.join(path.file_name().expect("a name")).with_extension("yaml")
        } else {
            path
        };
        bundled(&path);
        count += 1;
    }
    assert!(count >= 10, "{count} documents");
}

fn document(files: &[(&str, &str)]) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
    }
    bundled(&folder.path().join("main.yaml"))
}

#[test]
fn what_lies_in_other_files_comes_along() {
    let bundle = document(&[
        (
            "main.yaml",
            "asyncapi: 3.0.0
info: {title: t, version: '1'}
servers: {main: {$ref: 'parts/servers.yaml#/main'}}
channels:
  orders: {$ref: 'parts/channels.yaml#/orders'}
  users:
    address: users
    messages:
      added: {$ref: parts/added.yaml}
operations:
  onOrder:
    action: receive
    channel: {$ref: '#/channels/orders'}
    messages: [{$ref: 'parts/channels.yaml#/orders/messages/placed'}]
  addUser: {action: send, channel: {$ref: '#/channels/users'}}
components:
  schemas:
    Money: {type: object, properties: {amount: {type: integer}}}
",
        ),
        ("parts/servers.yaml", "main: {host: localhost, protocol: mqtt}\n"),
        (
            "parts/channels.yaml",
            "orders:
  address: orders
  messages:
    placed: {payload: {$ref: 'order.schema.json'}}
    paid: {payload: {$ref: 'money.json#/Money'}}
",
        ),
        // A circle over two files, and back into the document.
        (
            "parts/order.schema.json",
            r##"{"type": "object", "properties": {
                "price": {"$ref": "../main.yaml#/components/schemas/Money"},
                "fee": {"$ref": "money.json#/Money"},
                "parts": {"type": "array", "items": {"$ref": "#"}},
                "kind": {"const": {"$ref": "money.json#/Money"}},
                "buyer": {"$ref": "added.yaml#/payload"}
            }}"##,
        ),
        (
            "parts/money.json",
            r##"{"Money": {"type": "object", "properties": {"order": {"$ref": "order.schema.json"}, "next": {"$ref": "#/Money"}}}}"##,
        ),
        ("parts/added.yaml", "payload: {type: object, properties: {name: {type: string}}}\n"),
    ]);
    let text = bundle.to_string();
    assert!(!text.contains("yaml#") && !text.contains(".yaml\""), "{text}");
    assert_eq!(bundle["servers"]["main"]["$ref"], "#/x-bundled/1/main");
    let order = &bundle["components"]["schemas"]["order"]["properties"];
    assert_eq!(order["price"]["$ref"], "#/components/schemas/Money");
    assert_eq!(order["parts"]["items"]["$ref"], "#/components/schemas/order");
    assert_eq!(order["kind"]["const"]["$ref"], "money.json#/Money", "data stays as it is");
    // The document has a schema of that name itself.
    let fee = order["fee"]["$ref"].as_str().expect("a reference");
    assert!(fee.starts_with("#/x-bundled/") && fee.ends_with("/Money"), "{fee}");
    assert_eq!(bundle["channels"]["users"]["messages"]["added"]["$ref"], "#/x-bundled/3");
}

#[test]
fn names_that_schemas_give_themselves_still_lead_somewhere() {
    let bundle = document(&[
        (
            "main.yaml",
            "asyncapi: 3.0.0
info: {title: t, version: '1'}
channels:
  c:
    address: c
    messages:
      m: {payload: {$ref: 'a.json'}}
operations: {o: {action: receive, channel: {$ref: '#/channels/c'}}}
",
        ),
        (
            "a.json",
            r##"{"$id": "https://example.org/a.json", "type": "object", "properties": {
                "b": {"$ref": "b.json"}, "c": {"$ref": "#/definitions/c"}, "$id": {"type": "string"}},
                "definitions": {"c": {"type": "integer"}, "b": {"$id": "b.json", "type": "boolean"}}}"##,
        ),
    ]);
    let a = &bundle["components"]["schemas"]["a"];
    assert_eq!(a["properties"]["b"]["$ref"], "#/components/schemas/a/definitions/b");
    assert_eq!(a["properties"]["c"]["$ref"], "#/components/schemas/a/definitions/c");
    assert_eq!(a["properties"]["$id"]["type"], "string");
}
