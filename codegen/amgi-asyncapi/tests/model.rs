//! What valid documents become.
#![allow(missing_docs)]

use amgi_asyncapi::{
    Loaded,
    diag::Severity,
    load_str,
    model::{Action, Document, Message, Schema},
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

fn message<'d>(document: &'d Document, key: &str) -> &'d Message {
    document.messages.iter().find(|m| m.key == key).expect("the message is there")
}

const HEAD: &str = "asyncapi: 3.0.0\ninfo: {title: T, version: '1'}\n";

const WHOLE: &str = "asyncapi: 3.1.0
id: urn:example
info:
  title: Users
  version: 1.2.3
  description: What users do
  license: {name: MIT}
  x-team: core
defaultContentType: application/json
servers:
  main:
    host: '{region}.example.com:9092'
    pathname: /v1
    protocol: kafka
    protocolVersion: '3.5'
    description: The one
    variables:
      region: {$ref: '#/components/serverVariables/region'}
    bindings: {kafka: {schemaRegistryUrl: 'http://registry'}}
  other: {$ref: '#/components/servers/other'}
channels:
  events:
    address: user.{userId}.events
    title: Events
    servers: [{$ref: '#/servers/other'}]
    parameters:
      userId: {$ref: '#/components/parameters/userId'}
    messages:
      renamed: {$ref: '#/components/messages/UserRenamed'}
      deleted:
        payload: true
    bindings:
      kafka: {$ref: '#/components/channelBindings/users/kafka'}
    tags: [{name: a}, {$ref: '#/components/tags/b'}]
    externalDocs: {$ref: '#/components/externalDocs/more'}
  late:
    address: null
operations:
  onEvents:
    action: receive
    channel: {$ref: '#/channels/events'}
    x-rate: 5
  tell:
    action: send
    channel: {$ref: '#/channels/late'}
    messages: []
components:
  servers:
    other: {host: mqtt.example.com, protocol: mqtt}
  serverVariables:
    region: {enum: [eu, us], default: eu}
  parameters:
    userId: {description: Who, examples: ['42'], location: $message.payload#/id}
  channelBindings:
    users: {kafka: {topic: users, partitions: 3}}
  tags:
    b: {name: b}
  externalDocs:
    more: {url: 'https://example.com', description: More}
  correlationIds:
    id: {location: $message.header#/correlation-id}
  messages:
    UserRenamed:
      name: userRenamed
      title: Renamed
      contentType: application/cbor
      payload: {type: object}
      headers: {type: object, properties: {correlation-id: {type: string}}}
      correlationId: {$ref: '#/components/correlationIds/id'}
      bindings:
        kafka: {key: {type: string}, bindingVersion: 0.5.0}
        mqtt: {correlationData: {$ref: '#/components/schemas/Data'}, contentType: x}
      examples:
        - {name: one, payload: {a: 1}, headers: {correlation-id: c}}
  schemas:
    Data: {type: string}
x-root: [1]
";

#[test]
fn the_whole_of_a_document() {
    let document = clean(WHOLE);
    assert_eq!(document.version, "3.1.0");
    assert_eq!(document.info.license.as_deref(), Some("MIT"));
    assert_eq!(document.info.extensions[0].0, "x-team");
    assert_eq!(document.extensions[0].1.to_json(), json!([1]));

    let [main, other] = document.servers.as_slice() else { panic!("two servers") };
    assert_eq!(
        (main.key.as_str(), main.protocol.as_str(), main.pathname.as_deref()),
        ("main", "kafka", Some("/v1"))
    );
    assert_eq!(main.variables[0].values, ["eu", "us"]);
    assert_eq!(main.bindings[0].value.to_json(), json!({"schemaRegistryUrl": "http://registry"}));
    assert_eq!((other.key.as_str(), other.host.as_str()), ("other", "mqtt.example.com"));
    assert_eq!(other.span.line, 20, "where its key lies in `servers`");

    let [events, late] = document.channels.as_slice() else { panic!("two channels") };
    assert_eq!(document[events.servers[0]].key, "other");
    assert_eq!(events.parameters[0].location.as_deref(), Some("$message.payload#/id"));
    assert_eq!(events.docs.tags, ["a", "b"]);
    assert_eq!(events.docs.external, Some(("https://example.com".into(), Some("More".into()))));
    assert_eq!(events.bindings[0].value.to_json(), json!({"topic": "users", "partitions": 3}));
    assert_eq!(
        events.messages.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(),
        ["renamed", "deleted"]
    );
    assert_eq!(late.address, None);

    let renamed = message(&document, "UserRenamed");
    assert_eq!(renamed.content_type.as_deref(), Some("application/cbor"));
    assert_eq!(message(&document, "deleted").content_type.as_deref(), Some("application/json"));
    assert_eq!(renamed.correlation_id.as_deref(), Some("$message.header#/correlation-id"));
    assert_eq!(
        renamed.examples[0].payload.as_ref().map(amgi_asyncapi::node::Node::to_json),
        Some(json!({"a": 1}))
    );
    let [kafka, mqtt] = renamed.bindings.as_slice() else { panic!("two bindings") };
    assert_eq!(kafka.schemas[0].0, "key");
    assert_eq!(document[kafka.schemas[0].1].node.to_json(), json!({"type": "string"}));
    assert_eq!(document[mqtt.schemas[0].1].name.as_deref(), Some("Data"));

    let [on, tell] = document.operations.as_slice() else { panic!("two operations") };
    assert_eq!((on.action, on.messages.len(), on.extensions[0].0.as_str()), (Action::Receive, 2, "x-rate"));
    assert_eq!((tell.action, tell.messages.len()), (Action::Send, 0), "an empty list is none");
}

#[test]
fn one_component_message_is_one_message() {
    let document = clean(&format!(
        "{HEAD}channels:
  a: {{address: a, messages: {{x: {{$ref: '#/components/messages/M'}}}}}}
  b: {{address: b, messages: {{y: {{$ref: '#/components/messages/M'}}, z: {{$ref: '#/channels/a/messages/x'}}}}}}
operations:
  o: {{action: receive, channel: {{$ref: '#/channels/b'}}}}
components: {{messages: {{M: {{payload: {{type: string}}}}}}}}
"
    ));
    assert_eq!(document.messages.len(), 1);
    assert_eq!(document.messages[0].key, "M");
    assert_eq!(document.operations[0].messages.len(), 1, "one message under two keys is one");
}

#[test]
fn channels_that_are_references() {
    let document = clean(&format!(
        "{HEAD}channels:
  one: {{$ref: '#/components/channels/C'}}
  two: {{$ref: '#/components/channels/C'}}
operations:
  first: {{action: send, channel: {{$ref: '#/channels/one'}}, messages: [{{$ref: '#/channels/one/messages/m'}}]}}
  second: {{action: send, channel: {{$ref: '#/channels/two'}}, messages: [{{$ref: '#/components/channels/C/messages/m'}}]}}
  third:
    action: receive
    channel: {{$ref: '#/channels/two'}}
    reply: {{$ref: '#/components/replies/r'}}
components:
  channels:
    C: {{address: c, messages: {{m: {{payload: {{type: string}}}}}}}}
    R: {{address: null, messages: {{ok: {{}}, failed: {{}}}}}}
  replies:
    r:
      address: {{$ref: '#/components/replyAddresses/to'}}
      channel: {{$ref: '#/components/channels/R'}}
      messages: [{{$ref: '#/components/channels/R/messages/ok'}}]
  replyAddresses: {{to: {{location: $message.header#/reply-to}}}}
"
    ));
    let keys: Vec<_> = document.channels.iter().map(|c| c.key.as_str()).collect();
    assert_eq!(keys, ["one", "two", "R"]);
    let channel = |i: usize| document[document.operations[i].channel].key.as_str();
    assert_eq!([channel(0), channel(1), channel(2)], ["one", "two", "two"]);
    let reply = document.operations[2].reply.as_ref().expect("a reply");
    assert_eq!(reply.address.as_deref(), Some("$message.header#/reply-to"));
    assert_eq!(reply.channel.map(|c| document[c].key.as_str()), Some("R"));
    assert_eq!(reply.messages.iter().map(|m| document[*m].key.as_str()).collect::<Vec<_>>(), ["ok"]);
}

#[test]
fn traits_are_patches_that_the_target_wins() {
    let document = clean(&format!(
        "{HEAD}channels:
  a: {{address: a, messages: {{m: {{$ref: '#/components/messages/M'}}}}}}
operations:
  o:
    action: send
    channel: {{$ref: '#/channels/a'}}
    title: mine
    traits:
      - {{$ref: '#/components/operationTraits/t'}}
      - {{summary: second, description: second, bindings: {{kafka: {{clientId: {{type: string}}}}}}}}
components:
  operationTraits:
    t: {{title: theirs, summary: first, x-a: 1, bindings: {{mqtt: {{qos: 1, retain: true}}}}}}
  messageTraits:
    common:
      contentType: application/json
      headers: {{$ref: '#/components/schemas/Common'}}
      bindings: {{kafka: {{bindingVersion: 0.4.0}}}}
      tags: [{{name: t}}]
      description: gone
  messages:
    M:
      traits: [{{$ref: '#/components/messageTraits/common'}}]
      headers: {{type: object, properties: {{own: {{type: integer}}}}}}
      bindings: {{kafka: {{key: {{type: string}}}}}}
      tags: [{{name: own}}]
      payload: {{$ref: '#/components/schemas/Common'}}
  schemas:
    Common: {{type: object, properties: {{shared: {{type: string}}, own: {{type: string, minLength: 1}}}}}}
"
    ));
    let operation = &document.operations[0];
    assert_eq!(operation.docs.title.as_deref(), Some("mine"));
    assert_eq!(
        operation.docs.summary.as_deref(),
        Some("second"),
        "the later trait wins over the earlier one"
    );
    assert_eq!(operation.docs.description.as_deref(), Some("second"));
    assert_eq!(operation.extensions[0].0, "x-a");
    let protocols: Vec<_> = operation.bindings.iter().map(|b| b.protocol.as_str()).collect();
    assert_eq!(protocols, ["mqtt", "kafka"], "objects are merged");

    let message = &document.messages[0];
    assert_eq!(message.content_type.as_deref(), Some("application/json"));
    assert_eq!(message.docs.tags, ["own"], "lists are replaced");
    let headers = &document[message.headers.expect("headers")];
    assert_eq!(headers.name, None);
    assert_eq!(
        headers.node.to_json(),
        json!({"type": "object", "properties": {"shared": {"type": "string"}, "own": {"type": "integer", "minLength": 1}}})
    );
    assert_eq!(document[message.payload.expect("payload")].name.as_deref(), Some("Common"));
    let kafka = &message.bindings[0];
    assert_eq!(kafka.value.get("bindingVersion").and_then(|v| v.as_str()), Some("0.4.0"));
    assert_eq!(kafka.schemas.len(), 1);
}

#[test]
fn null_in_the_target_removes_what_a_trait_brought() {
    let loaded = load(&format!(
        "{HEAD}channels: {{a: {{address: a, messages: {{m: {{description: null, traits: [{{description: theirs}}]}}}}}}}}\n"
    ));
    assert_eq!(loaded.document.messages[0].docs.description, None);
}

#[test]
fn schemas_are_interned_once_with_their_references() {
    let document = clean(&format!(
        "{HEAD}channels:
  a:
    address: a
    messages:
      first: {{payload: {{$ref: '#/components/schemas/Tree'}}}}
      second: {{payload: {{type: array, items: {{$ref: '#/components/schemas/Tree'}}}}}}
      third: {{payload: {{$ref: '#/components/schemas/Alias'}}, headers: {{$ref: '#/components/schemas/Tree/properties/left'}}}}
      fourth: {{payload: {{$ref: '#/x-schemas/a~1b%20c~0d'}}}}
components:
  schemas:
    Alias: {{$ref: '#/components/schemas/Tree'}}
    Tree:
      type: object
      default: {{$ref: '#/nowhere'}}
      enum: [{{$ref: '#/nowhere'}}]
      examples: [{{$ref: '#/nowhere'}}]
      properties:
        $ref: {{type: string}}
        left: {{$ref: '#/components/schemas/Tree', description: The left one}}
        other: {{$ref: '#/components/schemas/Alias'}}
        bounds: {{$ref: '#/components/schemas/Tree/definitions/Bounds'}}
      definitions:
        Bounds: {{type: object, additionalProperties: {{$ref: '#/components/schemas/Tree'}}}}
    Unused: {{type: string}}
x-schemas:
  a/b c~d: {{const: 1}}
"
    ));
    let payload = |key: &str| message(&document, key).payload.expect("payload");
    let tree = payload("first");
    assert_eq!(document[tree].name.as_deref(), Some("Tree"));
    assert_eq!(payload("third"), tree, "a chain ends at the same schema");
    let items = document[payload("second")].node.get("items").and_then(Schema::reference);
    assert_eq!(items, Some(tree));

    let node = &document[tree].node;
    let property = |name: &str| node.get("properties").and_then(|p| p.get(name)).expect("property");
    assert_eq!(Schema::reference(property("left")), Some(tree), "recursion");
    assert_eq!(property("left").get("description").and_then(|d| d.as_str()), Some("The left one"));
    assert_eq!(Schema::reference(property("other")), Some(tree));
    assert_eq!(property("$ref").to_json(), json!({"type": "string"}));
    assert_eq!(
        node.get("default").map(amgi_asyncapi::node::Node::to_json),
        Some(json!({"$ref": "#/nowhere"}))
    );
    let bounds = Schema::reference(property("bounds")).expect("a reference");
    assert_eq!(document[bounds].name.as_deref(), Some("Bounds"));

    let left = message(&document, "third").headers.expect("headers");
    assert_eq!(document[left].name.as_deref(), Some("left"));
    assert_eq!(document[payload("fourth")].name.as_deref(), Some("a/b c~d"));
    assert!(document.schemas.iter().all(|s| s.name.as_deref() != Some("Unused")));
}

#[test]
fn a_hash_means_the_schema_it_stands_in() {
    let loaded = load(&format!(
        "{HEAD}channels:
  a:
    address: a
    messages:
      m:
        payload:
          type: object
          properties:
            child: {{$ref: '#'}}
            leaf: {{$ref: '#/definitions/Leaf'}}
          definitions:
            Leaf: {{type: object, properties: {{up: {{$ref: '#'}}, next: {{$ref: '#/definitions/Leaf'}}}}}}
"
    ));
    assert!(!loaded.diagnostics.has_errors(), "{}", loaded.report());
    assert_eq!(loaded.diagnostics.with_code("ref-relative").count(), 2);
    let document = &loaded.document;
    let payload = document.messages[0].payload.expect("payload");
    let properties = document[payload].node.get("properties").expect("properties");
    assert_eq!(properties.get("child").and_then(Schema::reference), Some(payload));
    let leaf = properties.get("leaf").and_then(Schema::reference).expect("leaf");
    assert_eq!(document[leaf].name.as_deref(), Some("Leaf"));
    let inner = document[leaf].node.get("properties").expect("properties");
    assert_eq!(inner.get("up").and_then(Schema::reference), Some(payload));
    assert_eq!(inner.get("next").and_then(Schema::reference), Some(leaf));
}

#[test]
fn schema_formats() {
    let loaded = load(&format!(
        "{HEAD}channels:
  a:
    address: a
    messages:
      avro: {{payload: {{schemaFormat: application/vnd.apache.avro;version=1.9.0, schema: {{type: record, $ref: 'x'}}}}}}
      native: {{payload: {{schemaFormat: 'application/schema+json;version=draft-07', schema: {{type: string}}}}}}
      named: {{payload: {{$ref: '#/components/schemas/Named'}}}}
      proto: {{payload: {{schemaFormat: application/vnd.google.protobuf, schema: 'syntax = \"proto3\";'}}}}
components:
  schemas:
    Named:
      schemaFormat: application/vnd.aai.asyncapi+yaml;version=3.0.0
      schema: {{type: object, properties: {{next: {{$ref: '#/components/schemas/Named'}}}}}}
"
    ));
    assert!(!loaded.diagnostics.has_errors(), "{}", loaded.report());
    assert_eq!(loaded.diagnostics.with_code("schema-format").count(), 2);
    let document = &loaded.document;
    let schema = |key: &str| &document[message(document, key).payload.expect("payload")];
    assert_eq!(schema("avro").foreign_format.as_deref(), Some("application/vnd.apache.avro;version=1.9.0"));
    assert_eq!(schema("avro").node.to_json(), json!({"type": "record", "$ref": "x"}), "left as it is");
    assert_eq!(schema("native").foreign_format, None);
    assert_eq!(schema("native").node.to_json(), json!({"type": "string"}));
    assert_eq!(schema("named").name.as_deref(), Some("Named"));
    let next = schema("named").node.get("properties").and_then(|p| p.get("next")).and_then(Schema::reference);
    assert_eq!(next, message(document, "named").payload);
    assert_eq!(schema("proto").node.as_str(), Some("syntax = \"proto3\";"));
}

#[test]
fn json_gives_the_same_document() {
    let loaded = load_str(
        "t.json",
        r##"{"asyncapi":"3.0.0","info":{"title":"\ud83d\ude00","version":"1"},
"channels":{"a\/b":{"address":"a\/b","messages":{"m":{"payload":{"type":"string"}}}}},
"operations":{"o":{"action":"receive","channel":{"$ref":"#/channels/a~1b"}}}}"##,
    );
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.report());
    assert_eq!(loaded.document.info.title, "😀");
    assert_eq!(loaded.document[loaded.document.operations[0].channel].key, "a/b");
    assert_eq!(loaded.document.operations[0].messages.len(), 1);
}

#[test]
fn security_and_the_rest_of_info_are_data() {
    let document = clean(
        "asyncapi: 3.0.0
info:
  title: T
  version: '1'
  termsOfService: https://example.com/terms
  contact: {name: Team, url: https://example.com, email: a@example.com}
  tags: [{name: a}, {$ref: '#/components/tags/b'}]
  externalDocs: {url: https://example.com/docs}
servers:
  s:
    host: h
    protocol: kafka
    security:
      - $ref: '#/components/securitySchemes/scram'
      - {type: oauth2, flows: {}, scopes: [read]}
channels: {c: {address: a}}
operations:
  o:
    action: send
    channel: {$ref: '#/channels/c'}
    tags: [{name: t}]
    externalDocs: {url: https://example.com/o, description: More}
    security: [{$ref: '#/components/securitySchemes/key'}]
components:
  tags: {b: {name: bee}}
  securitySchemes:
    scram: {type: scramSha256, description: A password}
    key: {type: apiKey, in: user}
",
    );
    let info = &document.info;
    assert_eq!(info.terms_of_service.as_deref(), Some("https://example.com/terms"));
    assert_eq!(info.contact.as_ref().and_then(|contact| contact.email.as_deref()), Some("a@example.com"));
    assert_eq!(info.tags, ["a", "bee"]);
    assert_eq!(info.external, Some(("https://example.com/docs".into(), None)));
    let [scram, key] = document.security_schemes.as_slice() else { panic!("two schemes") };
    assert_eq!((scram.name.as_deref(), scram.description.as_deref()), (Some("scram"), Some("A password")));
    assert_eq!(key.value.to_json(), json!({"type": "apiKey", "in": "user"}));
    let [first, second] = document.servers[0].security.as_slice() else { panic!("two ways") };
    assert_eq!(first.as_slice(), std::slice::from_ref(scram));
    assert_eq!((second[0].name.as_deref(), second[0].kind.as_str()), (None, "oauth2"));
    assert_eq!(second[0].scopes, ["read"]);
    let operation = &document.operations[0];
    assert_eq!(operation.security, [vec![key.clone()]]);
    assert_eq!(operation.docs.tags, ["t"]);
    assert_eq!(operation.docs.external, Some(("https://example.com/o".into(), Some("More".into()))));
}

/// A reference into each map of AsyncAPI 3.1, Components Object.
#[test]
fn references_lead_into_every_map_of_components() {
    let document = clean(
        "asyncapi: 3.1.0
info: {title: T, version: '1', externalDocs: {$ref: '#/components/externalDocs/docs'}}
servers: {s: {$ref: '#/components/servers/s'}}
channels: {c: {$ref: '#/components/channels/c'}}
operations: {o: {$ref: '#/components/operations/o'}}
components:
  schemas: {schema: {type: string}}
  servers:
    s:
      host: '{region}.h'
      protocol: mqtt
      variables: {region: {$ref: '#/components/serverVariables/region'}}
      security: [{$ref: '#/components/securitySchemes/scheme'}]
      bindings: {$ref: '#/components/serverBindings/bindings'}
  channels:
    c:
      address: a.{p}
      parameters: {p: {$ref: '#/components/parameters/p'}}
      messages: {m: {$ref: '#/components/messages/m'}}
      tags: [{$ref: '#/components/tags/tag'}]
      bindings: {$ref: '#/components/channelBindings/bindings'}
  operations:
    o:
      action: receive
      channel: {$ref: '#/channels/c'}
      traits: [{$ref: '#/components/operationTraits/trait'}]
      reply: {$ref: '#/components/replies/reply'}
      bindings: {$ref: '#/components/operationBindings/bindings'}
  messages:
    m:
      payload: {$ref: '#/components/schemas/schema'}
      correlationId: {$ref: '#/components/correlationIds/id'}
      traits: [{$ref: '#/components/messageTraits/trait'}]
      bindings: {$ref: '#/components/messageBindings/bindings'}
  securitySchemes: {scheme: {type: plain}}
  serverVariables: {region: {default: eu}}
  parameters: {p: {description: P}}
  correlationIds: {id: {location: '$message.header#/id'}}
  replies: {reply: {address: {$ref: '#/components/replyAddresses/address'}, channel: {$ref: '#/channels/c'}}}
  replyAddresses: {address: {location: '$message.header#/to'}}
  externalDocs: {docs: {url: https://example.com}}
  tags: {tag: {name: tagged}}
  operationTraits: {trait: {summary: Traced}}
  messageTraits: {trait: {summary: Marked}}
  serverBindings: {bindings: {mqtt: {clientId: me}}}
  channelBindings: {bindings: {kafka: {topic: t}}}
  operationBindings: {bindings: {mqtt: {qos: 1}}}
  messageBindings: {bindings: {mqtt: {contentType: x}}}
",
    );
    let (server, channel) = (&document.servers[0], &document.channels[0]);
    let (operation, message) = (&document.operations[0], &document.messages[0]);
    let reply = operation.reply.as_ref().expect("a reply");
    let found = [
        document.info.external.as_ref().map(|(url, _)| url.as_str()),
        server.variables[0].default.as_deref(),
        server.security[0][0].name.as_deref(),
        server.bindings[0].value.get("clientId").and_then(|node| node.as_str()),
        channel.parameters[0].description.as_deref(),
        channel.docs.tags.first().map(String::as_str),
        channel.bindings[0].value.get("topic").and_then(|node| node.as_str()),
        operation.docs.summary.as_deref(),
        reply.address.as_deref(),
        message.docs.summary.as_deref(),
        message.correlation_id.as_deref(),
        message.payload.and_then(|id| document[id].name.as_deref()),
        message.bindings[0].value.get("contentType").and_then(|node| node.as_str()),
    ];
    let expected = [
        "https://example.com",
        "eu",
        "scheme",
        "me",
        "P",
        "tagged",
        "t",
        "Traced",
        "$message.header#/to",
        "Marked",
        "$message.header#/id",
        "schema",
        "x",
    ];
    assert_eq!(found, expected.map(Some));
    assert_eq!(operation.bindings[0].value.to_json(), json!({"qos": 1}));
}

#[test]
fn a_map_that_components_do_not_have_is_a_warning() {
    let loaded = load_str("test.yaml", &format!("{HEAD}components: {{message: {{}}, x-own: {{}}}}\n"));
    let [only] = loaded.diagnostics.iter().collect::<Vec<_>>()[..] else { panic!("{}", loaded.report()) };
    assert_eq!((only.severity, only.code.name), (Severity::Warning, "unknown-field"));
    assert!(only.message.contains("`message`"), "{}", only.message);
}
