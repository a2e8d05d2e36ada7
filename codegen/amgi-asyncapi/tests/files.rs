//! Documents that consist of several files, of this machine and of the network.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use amgi_asyncapi::{Loaded, Options, load, load_str, load_with, model::Schema, remote::Fetch};
use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
    }
    folder
}

fn load_main(folder: &TempDir) -> Loaded {
    load(&folder.path().join("main.yaml"))
}

/// `file:line:column severity name` of every problem.
fn found(loaded: &Loaded) -> Vec<String> {
    let problems = loaded.diagnostics.iter().map(|d| {
        let file = loaded.sources.get(d.span.file).expect("a file").path.clone();
        let file = file.file_name().expect("a name").to_string_lossy().into_owned();
        format!("{file}:{}:{} {} {}", d.span.line, d.span.column, d.severity, d.code.name)
    });
    problems.collect()
}

/// Network of a test.
#[derive(Default)]
struct Network {
    texts: BTreeMap<&'static str, &'static str>,
    asked: RefCell<Vec<String>>,
}

impl Fetch for Network {
    fn fetch(&self, address: &str) -> Result<String, String> {
        self.asked.borrow_mut().push(address.to_string());
        self.texts.get(address).map(ToString::to_string).ok_or_else(|| "404 Not Found".to_string())
    }
}

const HEAD: &str = "asyncapi: 3.0.0\ninfo: {title: t, version: '1'}\n";

fn fetching(fetch: &dyn Fetch) -> Options<'_> {
    Options { fetch: Some(fetch), ..Options::default() }
}

#[test]
fn every_object_may_lie_in_another_file() {
    let main = format!(
        "{HEAD}servers:
  prod: {{$ref: 'parts/servers.json#/production'}}
channels:
  a: {{$ref: './parts/channels.yaml#/a~1b'}}
operations:
  onA: {{$ref: 'parts/operations.yaml#/onA'}}
components:
  schemas:
    Shared: {{type: string, maxLength: 3}}
"
    );
    let folder = folder(&[
        ("main.yaml", &main),
        ("parts/servers.json", r#"{"production": {"host": "localhost", "protocol": "mqtt"}}"#),
        (
            "parts/channels.yaml",
            "a/b:
  address: a.{id}
  parameters: {id: {$ref: 'deep/parameters.yaml'}}
  messages:
    first: {$ref: 'deep/first%20message.yaml'}
    second: {payload: {$ref: '#/inner'}, traits: [{$ref: 'deep/traits.yaml#/0'}]}
inner: {type: object, properties: {back: {$ref: '../main.yaml#/components/schemas/Shared'}}}
",
        ),
        (
            "parts/operations.yaml",
            "onA: {action: receive, channel: {$ref: '../main.yaml#/channels/a'}, messages: [{$ref: '../main.yaml#/channels/a/messages/second'}]}\n",
        ),
        ("parts/deep/parameters.yaml", "description: Who\n"),
        ("parts/deep/first message.yaml", "payload: {$ref: ../../schemas/user.schema.json}\n"),
        ("parts/deep/traits.yaml", "- {contentType: text/plain}\n"),
        (
            "schemas/user.schema.json",
            r##"{"type": "object", "properties": {"friend": {"$ref": "#"}, "name": {"$ref": "#/definitions/name"}}, "definitions": {"name": {"type": "string"}}}"##,
        ),
    ]);
    let loaded = load_main(&folder);
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.report());
    let document = &loaded.document;
    assert_eq!(document.servers[0].protocol, "mqtt");
    let channel = &document.channels[0];
    assert_eq!((channel.key.as_str(), channel.address.as_deref()), ("a", Some("a.{id}")));
    assert_eq!(channel.parameters[0].description.as_deref(), Some("Who"));
    assert_eq!(document.operations[0].channel.index(), 0);
    let keys: Vec<&str> = document.messages.iter().map(|message| message.key.as_str()).collect();
    assert_eq!(keys, ["first", "second"]);
    assert_eq!(document.messages[1].content_type.as_deref(), Some("text/plain"));
    assert_eq!(document.operations[0].messages, [channel.messages[1].1]);
    let user = document.messages[0].payload.expect("a payload");
    assert_eq!(document[user].name.as_deref(), Some("user"));
    let friend = document[user].node.get("properties").and_then(|p| p.get("friend")).expect("a friend");
    assert_eq!(Schema::reference(friend), Some(user), "a file may refer to itself");
    let inner = document.messages[1].payload.expect("a payload");
    let back = document[inner].node.get("properties").and_then(|p| p.get("back")).expect("a member");
    let shared = Schema::reference(back).expect("a reference");
    assert_eq!(document[shared].name.as_deref(), Some("Shared"));
    let mut names: Vec<PathBuf> = loaded.sources.local().map(|file| file.path.clone()).collect();
    names.sort();
    assert_eq!(names.len(), 8, "each file is read once: {names:?}");
    assert!(names.contains(&folder.path().join("schemas/user.schema.json")), "{names:?}");
}

#[test]
fn version_2_may_name_other_files_too() {
    let folder = folder(&[
        (
            "main.yaml",
            "asyncapi: 2.6.0
info: {title: t, version: '1'}
channels:
  a: {$ref: 'a.yaml'}
  b: {publish: {message: {oneOf: [{$ref: messages.yaml#/one}, {$ref: two.yaml}]}}}
",
        ),
        ("a.yaml", "subscribe: {operationId: sendA, message: {payload: {$ref: 'user.json'}}}\n"),
        ("messages.yaml", "one: {name: One, payload: {type: string}}\n"),
        ("two.yaml", "{name: Two, payload: {type: [wrong]}}\n"),
        ("user.json", r#"{"type": "strnig"}"#),
    ]);
    let loaded = load_main(&folder);
    assert_eq!(
        found(&loaded),
        ["two.yaml:1:30 error schema-type", "user.json:1:10 error schema-type"],
        "{}",
        loaded.report()
    );
    let keys: Vec<&str> = loaded.document.messages.iter().map(|message| message.key.as_str()).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.contains(&"One") && keys.contains(&"Two"), "{keys:?}");
}

#[test]
fn problems_stand_in_the_file_that_has_them() {
    let main = format!(
        "{HEAD}servers: {{s: {{$ref: 'parts.yaml#/server'}}}}
channels:
  a: {{$ref: 'parts.yaml#/channel'}}
"
    );
    let parts = "server: {protocol: mqtt}
channel:
  adress: a
  messages: {m: {payload: {$ref: '#/Schema'}, headers: {$ref: '#/schemas/Nothing'}}}
schemas: {Something: {}}
Schema: {type: object, properties: {a: {type: sting}}}
";
    let loaded = load_main(&folder(&[("main.yaml", &main), ("parts.yaml", parts)]));
    assert_eq!(
        found(&loaded),
        [
            "parts.yaml:1:9 error missing-field",
            "parts.yaml:3:3 warning unknown-field",
            "parts.yaml:4:63 error ref-not-found",
            "parts.yaml:6:47 error schema-type",
        ],
        "{}",
        loaded.report()
    );
}

#[test]
fn what_cannot_be_read_is_said_where_it_is_named() {
    let main = format!(
        "{HEAD}channels:
  a: {{$ref: 'chanels.yaml'}}
  b: {{$ref: 'channels.yaml#/two'}}
  c: {{$ref: 'folder'}}
  d: {{$ref: 'channels.yaml#/a'}}
  e: {{$ref: 'urn:e'}}
  f: {{$ref: 'broken.yaml'}}
  g: {{$ref: 'channels.yaml#a'}}
"
    );
    let folder = folder(&[
        ("main.yaml", &main),
        ("channels.yaml", "too: {address: a}\na: {$ref: 'other.yaml'}\n"),
        ("other.yaml", "$ref: channels.yaml#/a\n"),
        ("folder/x.yaml", ""),
        ("broken.yaml", "address: [\n"),
    ]);
    let loaded = load_main(&folder);
    let report = loaded.report();
    let problems = found(&loaded);
    for expected in [
        "main.yaml:4:13 error file-not-found",
        "main.yaml:5:13 error ref-not-found",
        "main.yaml:6:13 error file-unreadable",
        "main.yaml:8:13 error ref-external",
        "main.yaml:10:13 error ref-not-found",
        "broken.yaml:1:10 error yaml-syntax",
    ] {
        assert!(problems.iter().any(|problem| problem == expected), "{expected}\n{report}");
    }
    assert!(problems.iter().any(|problem| problem.ends_with("error ref-cycle")), "{report}");
    assert!(report.contains("did you mean `channels.yaml`?"), "{report}");
    assert!(report.contains("did you mean `channels.yaml#/too`?"), "{report}");
}

#[test]
fn a_reference_in_data_is_data() {
    let main = format!(
        "{HEAD}channels:
  a:
    address: a
    messages:
      m: {{payload: {{type: object, properties: {{x: {{const: {{$ref: 'nothing.yaml'}}}}}}}}, examples: [{{payload: {{$ref: 'gone.yaml'}}}}]}}
"
    );
    let loaded = load_main(&folder(&[("main.yaml", &main)]));
    assert!(!loaded.report().contains("nothing.yaml"), "{}", loaded.report());
}

#[test]
fn texts_stand_where_they_are_named() {
    let main = "asyncapi: 3.0.0
info: {title: t, version: '1', description: {$ref: ./about.md}}
channels:
  a:
    address: a
    messages:
      m: {payload: {schemaFormat: application/vnd.google.protobuf;version=3, schema: {$ref: m.proto}}}
";
    let loaded = load_main(&folder(&[
        ("main.yaml", main),
        ("about.md", "# About: it\n"),
        ("m.proto", "message M { string a = 1; }"),
    ]));
    assert!(!loaded.diagnostics.has_errors(), "{}", loaded.report());
    assert_eq!(loaded.document.info.description.as_deref(), Some("# About: it\n"));
    let payload = loaded.document.messages[0].payload.expect("a payload");
    assert_eq!(loaded.document[payload].node.as_str(), Some("message M { string a = 1; }"));
}

#[test]
fn a_text_without_a_place_names_no_files() {
    let loaded = load_str("main.yaml", &format!("{HEAD}channels: {{a: {{$ref: 'a.yaml'}}}}\n"));
    assert_eq!(found(&loaded), ["main.yaml:3:22 error ref-external"], "{}", loaded.report());
}

const REMOTE: &str = "asyncapi: 3.0.0
info: {title: t, version: '1'}
channels:
  a: {$ref: 'https://example.com/api/channels.yaml#/a'}
";

fn network() -> Network {
    Network {
        texts: BTreeMap::from([
            (
                "https://example.com/api/channels.yaml",
                "a: {address: a, messages: {m: {payload: {$ref: ../schemas/user.json}}}}",
            ),
            ("https://example.com/schemas/user.json", r#"{"type": "object"}"#),
        ]),
        ..Network::default()
    }
}

#[test]
fn the_network_is_not_asked_by_default() {
    let loaded = load_main(&folder(&[("main.yaml", REMOTE)]));
    assert_eq!(found(&loaded), ["main.yaml:4:13 error ref-remote"], "{}", loaded.report());
    assert!(loaded.report().contains("--allow-remote"));
}

#[test]
fn what_was_fetched_once_needs_no_network() {
    let folder = folder(&[("main.yaml", REMOTE)]);
    let main = folder.path().join("main.yaml");
    let network = network();
    let loaded = load_with(&main, &fetching(&network));
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.report());
    let lock = loaded.lock.expect("a lock file");
    assert_eq!(lock.path, folder.path().join("main.yaml.lock"));
    fs::write(&lock.path, &lock.text).expect("written");
    let user = loaded.document.messages[0].payload.expect("a payload");
    assert_eq!(loaded.document[user].name.as_deref(), Some("user"));
    assert_eq!(loaded.sources.local().count(), 1, "an address is no file");

    let again = load(&main);
    assert!(again.diagnostics.is_empty(), "{}", again.report());
    assert_eq!((again.document.messages.len(), again.lock), (1, None));
    assert!(again.sources.local().any(|file| file.path == lock.path), "the lock file is watched");
    let asked = network.asked.borrow().len();
    assert_eq!(load_with(&main, &fetching(&network)).lock, None, "nothing to write");
    assert_eq!(network.asked.borrow().len(), asked, "what is known is not fetched again");
}

#[test]
fn a_lock_file_forgets_what_is_not_used() {
    let folder = folder(&[("main.yaml", REMOTE)]);
    let main = folder.path().join("main.yaml");
    let lock = load_with(&main, &fetching(&network())).lock.expect("a lock file");
    fs::write(&lock.path, &lock.text).expect("written");
    fs::write(&main, HEAD).expect("written");
    let lock = load_with(&main, &fetching(&Network::default())).lock.expect("another lock file");
    assert!(!lock.text.contains("example.com"), "{}", lock.text);
}

#[test]
fn a_damaged_lock_file_is_an_error() {
    let folder = folder(&[("main.yaml", REMOTE)]);
    let main = folder.path().join("main.yaml");
    let lock = load_with(&main, &fetching(&network())).lock.expect("a lock file");
    for (text, what) in [
        (lock.text.replace("object", "string"), "does not fit its digest"),
        (lock.text.replace("\"version\": 1", "\"version\": 2"), "version"),
        (lock.text.replace("\"remote\"", "\"romete\""), "no `remote`"),
        (lock.text.replace("\"text\"", "\"txet\""), "no text"),
        ("<<<<".to_string(), "not JSON"),
    ] {
        fs::write(&lock.path, text).expect("written");
        let loaded = load(&main);
        assert!(found(&loaded).iter().any(|problem| problem.ends_with("error lock-invalid")));
        assert!(loaded.report().contains(what), "{what}\n{}", loaded.report());
    }
}

#[test]
fn what_cannot_be_fetched_is_an_error_at_the_reference() {
    let folder = folder(&[("main.yaml", REMOTE)]);
    let loaded = load_with(&folder.path().join("main.yaml"), &fetching(&Network::default()));
    assert_eq!(found(&loaded), ["main.yaml:4:13 error ref-unreachable"], "{}", loaded.report());
    assert!(loaded.report().contains("404 Not Found"));
    assert_eq!(loaded.lock, None);
    assert!(!Path::new(&folder.path().join("main.yaml.lock")).exists());
}

#[test]
fn a_map_may_stand_for_the_one_around_it() {
    let text = "asyncapi: 3.0.0
info: {title: t, version: '1'}
channels:
  a: {address: a, messages: {m: {payload: {$ref: '#/components/schemas/A'}}}}
components:
  schemas:
    A: {type: object, properties: {$ref: '#/components/schemas'}}
    B: {type: string}
";
    let loaded = load_str("main.yaml", text);
    assert!(!loaded.diagnostics.has_errors(), "{}", loaded.report());
    let document = &loaded.document;
    let payload = document.messages[0].payload.expect("a payload");
    let properties = document[payload].node.get("properties").expect("properties");
    let target =
        |name: &str| Schema::reference(properties.get(name).expect("a property")).expect("a reference");
    assert_eq!(target("A"), payload);
    assert_eq!(document[target("B")].name.as_deref(), Some("B"));
}

#[test]
fn references_where_the_specification_has_none_are_followed_with_a_warning() {
    let main = "asyncapi: 3.0.0
info: {$ref: info.yaml}
channels: {$ref: channels.yaml}
operations:
  onA: {action: receive, channel: {$ref: '#/channels/a'}, messages: [{$ref: '#/channels/a/messages/m'}]}
components:
  schemas: {$ref: schemas.yaml}
";
    let loaded = load_main(&folder(&[
        ("main.yaml", main),
        ("info.yaml", "{title: t, version: '1'}"),
        (
            "channels.yaml",
            "a: {address: a, messages: {m: {traits: [{contentType: text/x}], payload: {$ref: 'main.yaml#/components/schemas/User'}}}}",
        ),
        ("schemas.yaml", "User: {type: object, properties: {$ref: properties.yaml}}"),
        ("properties.yaml", "{id: {type: integer}, friend: {$ref: schemas.yaml#/User}}"),
    ]));
    assert!(!loaded.diagnostics.has_errors(), "{}", loaded.report());
    assert_eq!(loaded.diagnostics.with_code("ref-map").count(), 4, "{}", loaded.report());
    assert_eq!(loaded.diagnostics.len(), 4, "{}", loaded.report());
    let document = &loaded.document;
    assert_eq!(document.info.title, "t");
    assert_eq!(document.operations[0].messages.len(), 1);
    let message = &document.messages[0];
    assert_eq!((message.key.as_str(), message.content_type.as_deref()), ("m", Some("text/x")));
    let user = message.payload.expect("a payload");
    let properties = document[user].node.get("properties").expect("properties");
    assert!(properties.get("id").is_some(), "{properties:?}");
    assert_eq!(Schema::reference(properties.get("friend").expect("a friend")), Some(user));
}

/// A document whose payload is a JSON Schema.
fn payload(schema: &str) -> String {
    format!(
        "{{\"asyncapi\": \"3.0.0\", \"info\": {{\"title\": \"t\", \"version\": \"1\"}}, \"channels\": {{\"c\": {{\"address\": \"c\", \
         \"messages\": {{\"m\": {{\"payload\": {{\"schemaFormat\": \"application/schema+json;version=draft-07\", \"schema\": {schema}}}}}}}}}}}}}"
    )
}

#[test]
fn schemas_are_found_by_the_names_they_give_themselves() {
    for reference in
        ["b.json", "http://x.example/s/b.json", "#b", "http://x.example/s/a.json#b", "/s/b.json#"]
    {
        let schema = format!(
            r##"{{"$id": "http://x.example/s/a.json", "definitions": {{
                "unknown": {{"not": {{"unknown": [{{"$id": "b.json", "type": "string"}}]}}}},
                "one": {{"$id": "b.json", "type": "boolean"}},
                "two": {{"$id": "#b", "type": "boolean"}},
                "data": {{"const": {{"$id": "b.json", "type": "string"}}}}}},
                "properties": {{"p": {{"$ref": "{reference}"}}}}}}"##
        );
        let folder = folder(&[("main.yaml", &payload(&schema))]);
        let loaded = load_main(&folder);
        assert_eq!(found(&loaded), [""; 0], "{reference}");
        let document = &loaded.document;
        let payload = &document[document.messages[0].payload.expect("a payload")];
        let property = payload.node.get("properties").and_then(|all| all.get("p")).expect("a property");
        let target = &document[Schema::reference(property).expect("a reference")];
        assert_eq!(target.node.get("type").and_then(|ty| ty.as_str()), Some("boolean"), "{reference}");
    }
}

#[test]
fn a_reference_below_a_name_counts_from_there() {
    let schema = r##"{"properties": {"p": {"$id": "http://x.example/p", "definitions": {"d": {"type": "null"}},
        "allOf": [{"$ref": "#/definitions/d"}, {"$ref": "urn:none"}]}}, "definitions": {"d": {"type": "string"}}}"##;
    let folder = folder(&[("main.yaml", &payload(schema))]);
    let loaded = load_main(&folder);
    assert!(loaded.report().contains("urn:none"), "{}", loaded.report());
    let named = |schema: &&Schema| schema.name.as_deref() == Some("d");
    let d = loaded.document.schemas.iter().find(named).expect("it was found");
    assert_eq!(d.node.get("type").and_then(|ty| ty.as_str()), Some("null"));
}

#[test]
fn properties_without_a_type_are_those_of_an_object_unless_it_is_json_schema() {
    let typed = |text: &str| {
        let folder = folder(&[("main.yaml", text)]);
        let document = load_main(&folder).document;
        document[document.messages[0].payload.expect("a payload")].node.get("type").is_some()
    };
    let schema = r#"{"properties": {"a": true}}"#;
    assert!(!typed(&payload(schema)));
    assert!(typed(
        &payload(schema).replace(
            "application/schema+json;version=draft-07",
            "application/vnd.aai.asyncapi;version=3.0.0"
        )
    ));
}
