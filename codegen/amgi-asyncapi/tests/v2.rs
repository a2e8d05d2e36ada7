//! What AsyncAPI 2.0 to 2.6 becomes, and what is reported about it.
#![allow(missing_docs)]

use std::fmt::Write as _;

use amgi_asyncapi::{
    Loaded, load_str,
    model::{Action, Document, Message, Schema},
    node::Node,
};
use serde_json::json;

fn load(text: &str) -> Loaded {
    load_str("t.yaml", text)
}

/// The document of a text that has nothing wrong.
fn clean(text: &str) -> Document {
    let loaded = load(text);
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.report());
    loaded.document
}

/// `line:column severity code` of everything that is reported.
fn found(loaded: &Loaded) -> Vec<String> {
    let lines = loaded.diagnostics.iter();
    lines.map(|d| format!("{}:{} {} {}", d.span.line, d.span.column, d.severity, d.code.name)).collect()
}

fn message<'d>(document: &'d Document, key: &str) -> &'d Message {
    let keys = || document.messages.iter().map(|m| m.key.as_str()).collect::<Vec<_>>();
    document.messages.iter().find(|m| m.key == key).unwrap_or_else(|| panic!("{key}: {:?}", keys()))
}

const HEAD: &str = "asyncapi: 2.6.0\ninfo: {title: T, version: '1'}\n";

const WHOLE: &str = "asyncapi: 2.6.0
id: urn:example
info:
  title: Users
  version: 1.2.3
  license: {name: MIT}
  x-team: core
tags: [{name: root}]
externalDocs: {url: 'https://example.com'}
defaultContentType: application/json
servers:
  main:
    url: kafka://{region}.example.com:9092/v1
    protocol: kafka
    protocolVersion: '3.5'
    description: The one
    security: [{user: []}]
    variables:
      region: {$ref: '#/components/serverVariables/region'}
    bindings: {kafka: {schemaRegistryUrl: 'http://registry'}}
  other: {$ref: '#/components/servers/other'}
channels:
  user.{userId}.events:
    description: Events
    servers: [other]
    parameters:
      userId: {$ref: '#/components/parameters/userId'}
      shard:
        schema: {$ref: '#/components/schemas/Shard'}
    publish:
      operationId: onEvents
      summary: What happens
      message:
        oneOf:
          - $ref: '#/components/messages/UserRenamed'
          - name: userDeleted
            payload: true
          - {messageId: byId, payload: {type: string}}
          - payload: {type: integer}
          - payload: {type: number}
      x-rate: 5
    subscribe:
      message: {$ref: '#/components/messages/UserRenamed'}
    bindings:
      kafka: {$ref: '#/components/channelBindings/users/kafka'}
  late:
    $ref: '#/components/channels/late'
  nothing: {}
components:
  servers:
    other: {url: 'wss://mqtt.example.com', protocol: mqtt}
  serverVariables:
    region: {enum: [eu, us], default: eu}
  channels:
    late:
      subscribe:
        message: {$ref: '#/components/messages/Any'}
  parameters:
    userId:
      description: Who
      schema: {type: string, examples: ['42'], default: '1'}
      location: $message.payload#/id
  channelBindings:
    users: {kafka: {topic: users, partitions: 3}}
  correlationIds:
    id: {location: $message.header#/correlation-id}
  messages:
    Any:
      oneOf: [{$ref: '#/components/messages/Old'}, {$ref: '#/components/messages/Avro'}]
    Old: {contentType: text/plain}
    Avro:
      schemaFormat: application/vnd.apache.avro;version=1.9.0
      payload: {type: record, name: A, fields: []}
    UserRenamed:
      name: userRenamed
      title: Renamed
      schemaFormat: application/vnd.aai.asyncapi;version=2.6.0
      contentType: application/cbor
      payload: {type: object}
      headers: {type: object, properties: {correlation-id: {type: string}}}
      correlationId: {$ref: '#/components/correlationIds/id'}
      tags: [{name: a}]
      externalDocs: {url: 'https://example.com', description: More}
      bindings:
        kafka: {key: {type: string}, bindingVersion: 0.3.0}
      examples:
        - {name: one, payload: {a: 1}, headers: {correlation-id: c}}
  schemas:
    Shard: {type: string, description: Which, enum: [a, b]}
x-root: [1]
";

/// All of the document but the parameter that the address does not have, and the format that is not read.
fn whole() -> Document {
    let loaded = load(WHOLE);
    assert_eq!(
        found(&loaded),
        ["17:17 warning security-undefined", "28:7 warning parameter-unused", "72:21 warning schema-format"],
        "{}",
        loaded.report()
    );
    loaded.document
}

#[test]
fn servers_are_split_into_scheme_host_and_path() {
    let document = whole();
    assert_eq!(document.version, "2.6.0");
    assert_eq!(document.info.license.as_deref(), Some("MIT"));
    assert_eq!(document.extensions[0].1.to_json(), json!([1]));
    let [main, other] = document.servers.as_slice() else { panic!("two servers") };
    assert_eq!(main.host, "{region}.example.com:9092");
    assert_eq!((main.pathname.as_deref(), main.protocol.as_str()), (Some("/v1"), "kafka"));
    assert_eq!(
        (main.protocol_version.as_deref(), main.docs.description.as_deref()),
        (Some("3.5"), Some("The one"))
    );
    assert_eq!(
        (main.variables[0].name.as_str(), main.variables[0].default.as_deref()),
        ("region", Some("eu"))
    );
    assert_eq!(main.bindings[0].value.to_json(), json!({"schemaRegistryUrl": "http://registry"}));
    assert_eq!((other.host.as_str(), other.pathname.as_deref()), ("mqtt.example.com", None));
    let schemes = [main, other].map(|server| server.scheme.as_deref());
    assert_eq!(schemes, [Some("kafka"), Some("wss")], "MQTT over a websocket is said there and nowhere else");
}

#[test]
fn publish_and_subscribe_are_turned_round() {
    let document = whole();
    let operations: Vec<_> = document
        .operations
        .iter()
        .map(|o| {
            let messages: Vec<_> = o.messages.iter().map(|&id| document[id].key.as_str()).collect();
            (o.key.as_str(), o.action, document[o.channel].key.as_str(), messages)
        })
        .collect();
    let events = "user.{userId}.events";
    let numbered = "user.{userId}.events onEvents";
    assert_eq!(
        operations,
        [
            (
                "onEvents",
                Action::Receive,
                events,
                vec!["UserRenamed", "userDeleted", "byId", events, numbered]
            ),
            ("send user.{userId}.events", Action::Send, events, vec!["UserRenamed"]),
            ("send late", Action::Send, "late", vec!["Old", "Avro"]),
        ]
    );
    let operation = &document.operations[0];
    assert_eq!(operation.docs.summary.as_deref(), Some("What happens"));
    assert_eq!(operation.extensions[0].0, "x-rate");
    assert_eq!((operation.span.line, operation.span.column), (30, 5));
}

#[test]
fn channels_and_parameters() {
    let document = whole();
    let channel = &document.channels[0];
    assert_eq!(channel.address.as_deref(), Some("user.{userId}.events"));
    assert_eq!(channel.docs.description.as_deref(), Some("Events"));
    assert_eq!(channel.servers.iter().map(|&id| document[id].key.as_str()).collect::<Vec<_>>(), ["other"]);
    assert_eq!(channel.messages.len(), 5, "a message of both operations is there once");
    assert_eq!(channel.bindings[0].value.to_json(), json!({"topic": "users", "partitions": 3}));
    let [user, shard] = channel.parameters.as_slice() else { panic!("two parameters") };
    assert_eq!((user.name.as_str(), user.description.as_deref()), ("userId", Some("Who")));
    assert_eq!((user.default.as_deref(), user.examples.as_slice()), (Some("1"), &["42".to_string()][..]));
    assert_eq!(user.location.as_deref(), Some("$message.payload#/id"));
    assert_eq!((shard.values.join(","), shard.description.as_deref()), ("a,b".into(), Some("Which")));
    assert_eq!(document.channels[2].key, "nothing");
}

#[test]
fn messages_and_their_formats() {
    let document = whole();
    let renamed = message(&document, "UserRenamed");
    assert_eq!(
        (renamed.name.as_deref(), renamed.docs.title.as_deref()),
        (Some("userRenamed"), Some("Renamed"))
    );
    assert_eq!(renamed.docs.tags, ["a"]);
    assert_eq!(renamed.docs.external, Some(("https://example.com".into(), Some("More".into()))));
    assert_eq!(renamed.content_type.as_deref(), Some("application/cbor"));
    assert_eq!(renamed.correlation_id.as_deref(), Some("$message.header#/correlation-id"));
    assert!(renamed.headers.is_some());
    assert_eq!(renamed.bindings[0].schemas[0].0, "key");
    assert_eq!(renamed.examples[0].payload.as_ref().map(Node::to_json), Some(json!({"a": 1})));
    let payload = |key| &document[message(&document, key).payload.expect("a payload")];
    assert_eq!(payload("UserRenamed").foreign_format, None);
    assert_eq!(payload("Avro").foreign_format.as_deref(), Some("application/vnd.apache.avro;version=1.9.0"));
    assert_eq!(message(&document, "Avro").content_type.as_deref(), Some("application/json"));
    assert_eq!(message(&document, "Old").content_type.as_deref(), Some("text/plain"));
}

#[test]
fn a_format_holds_for_a_payload_that_is_referred_to() {
    let document = clean(&format!(
        "{HEAD}channels:
  a: {{publish: {{message: {{$ref: '#/components/messages/M'}}}}}}
components:
  messages:
    M: {{schemaFormat: application/schema+json, payload: {{$ref: '#/components/schemas/S'}}}}
  schemas:
    S: {{type: object}}
"
    ));
    let payload = &document[document.messages[0].payload.expect("a payload")];
    assert_eq!((payload.name.as_deref(), payload.foreign_format.as_deref()), (Some("S"), None));
}

#[test]
fn traits_win_over_what_has_them() {
    let document = clean(&format!(
        "{HEAD}channels:
  a:
    publish:
      operationId: own
      summary: own
      description: own
      traits: [{{$ref: '#/components/operationTraits/T'}}, {{description: last}}]
      message:
        name: M
        title: own
        headers: {{type: object, required: [x], properties: {{a: {{type: string}}}}}}
        traits:
          - {{title: from trait, contentType: text/plain, headers: {{required: [b], properties: {{b: {{type: string}}}}}}}}
  b:
    subscribe:
      message: {{oneOf: [{{name: N, traits: [{{summary: s}}]}}, {{$ref: '#/components/messages/C'}}]}}
components:
  messages: {{C: {{traits: [{{title: c, schemaFormat: application/schema+json;version=draft-07}}], payload: {{}}}}}}
  operationTraits: {{T: {{summary: from trait, description: first, bindings: {{kafka: {{groupId: {{const: g}}}}}}}}}}
"
    ));
    let operation = &document.operations[0];
    assert_eq!(operation.key, "own");
    assert_eq!(operation.docs.summary.as_deref(), Some("from trait"));
    assert_eq!(operation.docs.description.as_deref(), Some("last"));
    assert_eq!(operation.bindings[0].protocol, "kafka");
    let m = message(&document, "M");
    assert_eq!(
        (m.docs.title.as_deref(), m.content_type.as_deref()),
        (Some("from trait"), Some("text/plain"))
    );
    let headers = document[m.headers.expect("headers")].node.to_json();
    assert_eq!(headers["required"], json!(["b"]), "lists are replaced");
    assert_eq!(headers["properties"].as_object().map(serde_json::Map::len), Some(2), "objects are merged");
    assert_eq!(message(&document, "N").docs.summary.as_deref(), Some("s"));
    assert_eq!(message(&document, "C").docs.title.as_deref(), Some("c"));
}

#[test]
fn keys_are_unique() {
    let document = clean(&format!(
        "{HEAD}channels:
  a:
    publish: {{operationId: send a, message: {{payload: {{}}}}}}
    subscribe: {{message: {{payload: {{}}}}}}
"
    ));
    let operations: Vec<_> = document.operations.iter().map(|o| o.key.as_str()).collect();
    assert_eq!(operations, ["send a", "send a 2"]);
    let messages: Vec<_> = document.messages.iter().map(|m| m.key.as_str()).collect();
    assert_eq!(messages, ["a", "a send a 2"]);
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let loaded = load(
        "asyncapi: 2.1.0
info: {title: T, version: '1', tags: []}
servers:
  main: {host: example.com, protocol: kafka}
  vars: {url: '{region}.example.com', protocol: kafka, variables: {regio: {enum: [a], default: b}}}
channels:
  user.{id}.{other}:
    servers: [mian]
    address: x
    parameters:
      idd: {enum: [a], location: nowhere}
    publish:
      operationID: a
      messages: []
      message: {payload: {type: strng}, schemaFormat: 1}
    subscribe:
      operationId: dup
      message: {$ref: '#/components/schemas/S'}
  other.{:
    subscribe:
      operationId: dup
      message: {oneOf: {}, name: x}
  third: {publish: {message: {oneOf: [{$ref: '#/components/messages/Nope'}, 5, {payload: {type: flot}}]}}}
  list: []
operations: {}
components:
  messages:
    Foreign: {schemaFormat: application/raml+yaml;version=1.0, payload: 'text'}
    Loop: {oneOf: [{$ref: '#/components/messages/Loop'}]}
  mesages: {}
  schemas: {S: {type: object, properties: {$ref: '#/components/schemas/S'}}}
",
    );
    assert_eq!(
        found(&loaded),
        [
            "2:32 warning unknown-field",
            "4:9 error missing-field",
            "4:10 warning unknown-field",
            "5:15 warning variable-undefined",
            "5:68 warning variable-unused",
            "5:96 warning default-not-allowed",
            "7:3 warning parameter-undefined",
            "7:3 warning parameter-undefined",
            "8:5 warning unknown-field",
            "8:15 error channel-server",
            "9:5 warning unknown-field",
            "11:7 warning parameter-unused",
            "11:13 warning unknown-field",
            "11:34 error runtime-expression",
            "13:7 warning unknown-field",
            "14:7 warning unknown-field",
            "15:33 error schema-type",
            "15:55 error type-mismatch",
            "18:23 error ref-target",
            "19:3 error address-braces",
            "19:3 warning address-form",
            "21:20 error duplicate-id",
            "22:24 error type-mismatch",
            "22:28 warning unknown-field",
            "23:46 error ref-not-found",
            "23:77 error type-mismatch",
            "23:97 error schema-type",
            "24:9 error type-mismatch",
            "25:1 warning unknown-field",
            "28:29 warning schema-format",
            "30:3 warning unknown-field",
            "31:23 error type-mismatch",
            "31:44 warning ref-map",
        ],
        "{}",
        loaded.report()
    );
    let report = loaded.report();
    for hint in [
        "in AsyncAPI 2 host and path stand together in `url`",
        "a channel has no `servers` before AsyncAPI 2.2",
        "did you mean `main`?",
        "in AsyncAPI 2 the key of a channel is its address",
        "did you mean `operationId`?",
        "in AsyncAPI 2 it is `message`, with `oneOf` when there are several",
        "did you mean `messages`?",
    ] {
        assert!(report.contains(hint), "{hint}\n{report}");
    }
}

#[test]
fn a_choice_of_itself_ends() {
    let document = clean(&format!(
        "{HEAD}channels:
  a: {{publish: {{message: {{$ref: '#/components/messages/Loop'}}}}}}
components: {{messages: {{Loop: {{oneOf: [{{$ref: '#/components/messages/Loop'}}, {{name: n}}]}}}}}}
"
    ));
    assert_eq!(document.operations[0].messages.len(), 1);
}

#[test]
fn bindings_of_what_is_no_protocol_are_not_an_error() {
    let bindings =
        |binding: &str| found(&load(&format!("{HEAD}channels: {{a: {{bindings: {{{binding}: []}}}}}}\n")));
    assert_eq!(bindings("security"), ["3:37 warning type-mismatch"]);
    assert_eq!(bindings("kafka"), ["3:34 warning type-mismatch"]);
}

#[test]
fn operations_beside_a_reference_are_named() {
    let loaded = load(&format!(
        "{HEAD}channels:
  a: {{$ref: '#/components/channels/c', publish: {{}}}}
components: {{channels: {{c: {{subscribe: {{message: {{payload: {{}}}}}}}}}}}}
"
    ));
    assert_eq!(
        found(&loaded),
        ["4:40 info ref-siblings", "4:40 warning ref-operation"],
        "{}",
        loaded.report()
    );
    assert_eq!(loaded.document.operations.len(), 1);
}

#[test]
fn choices_of_choices_do_not_exhaust_the_stack() {
    let mut text =
        format!("{HEAD}channels: {{a: {{publish: {{message: {{$ref: '#/components/messages/m0'}}}}}}}}\n");
    text.push_str("components:\n  messages:\n");
    for index in 0..20_000 {
        let _ = writeln!(text, "    m{index}: {{oneOf: [{{$ref: '#/components/messages/m{}'}}]}}", index + 1);
    }
    text.push_str("    m20000: {payload: {}}\n");
    let document = clean(&text);
    assert_eq!(document.operations[0].messages.len(), 1);
}

#[test]
fn openapi_says_null_in_its_own_way() {
    let loaded = load_str(
        "t.yaml",
        &format!(
            "{HEAD}channels:
  a:
    publish:
      message:
        schemaFormat: application/vnd.oai.openapi;version=3.0.0
        payload:
          type: object
          properties:
            a: {{type: string, nullable: true, maxLength: 3}}
            b: {{type: string, nullable: false}}
            c: {{$ref: '#/components/schemas/C'}}
            d: {{nullable: true}}
            nullable: {{type: boolean}}
components: {{schemas: {{C: {{type: integer, nullable: true, minimum: 0}}}}}}
"
        ),
    );
    assert!(!loaded.diagnostics.has_errors(), "{}", loaded.report());
    let payload = loaded.document.messages[0].payload.expect("a payload");
    let schema = &loaded.document[payload];
    assert_eq!(schema.foreign_format, None);
    let json = schema.node.to_json();
    assert_eq!(json["properties"]["a"]["type"], json!(["string", "null"]));
    assert_eq!(json["properties"]["b"], json!({"type": "string"}));
    assert_eq!(json["properties"]["d"], json!({}));
    assert_eq!(json["properties"]["nullable"]["type"], "boolean", "a property may be called so");
    let c = schema.node.get("properties").and_then(|p| p.get("c")).and_then(Schema::reference).expect("C");
    assert_eq!(loaded.document[c].node.to_json()["type"], json!(["integer", "null"]));
}
