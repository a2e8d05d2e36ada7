//! Bindings: what is known of each protocol, and what is said where a document does not keep to it.

use amgi_asyncapi::{Loaded, bindings::is_known, diag::Severity, load_str};

/// A document whose server, channel, operation and message have these bindings of one protocol.
fn document(protocol: &str, [server, channel, operation, message]: [&str; 4]) -> Loaded {
    let text = format!(
        "asyncapi: 3.0.0
info: {{title: T, version: '1'}}
servers:
  s: {{host: h, protocol: {protocol}, bindings: {{{protocol}: {server}}}}}
channels:
  c:
    address: a
    messages: {{m: {{bindings: {{{protocol}: {message}}}}}}}
    bindings: {{{protocol}: {channel}}}
operations:
  o: {{action: receive, channel: {{$ref: '#/channels/c'}}, bindings: {{{protocol}: {operation}}}}}
"
    );
    load_str("test.yaml", &text)
}

/// What was found: severity, name and text.
fn found(loaded: &Loaded) -> Vec<(Severity, &'static str, String)> {
    loaded.diagnostics.iter().map(|d| (d.severity, d.code.name, d.message.clone())).collect()
}

const NONE: &str = "{}";

/// Every field of every protocol that is served, as it should be.
#[test]
fn every_field_is_known() {
    let queue = "{name: q, fifoQueue: true, deduplicationScope: messageGroup, fifoThroughputLimit: perMessageGroupId, \
        deliveryDelay: 900, visibilityTimeout: 43200, receiveMessageWaitTime: 20, messageRetentionPeriod: 60, \
        redrivePolicy: {deadLetterQueue: {arn: a}, maxReceiveCount: 3}, policy: {statements: []}, tags: {a: b}, x-own: 1}";
    let sqs = format!("{{queue: {queue}, deadLetterQueue: {queue}, bindingVersion: 0.3.0}}");
    let queues = format!("{{queues: [{queue}]}}");
    let delivery = "{minDelayTarget: 1, maxDelayTarget: 2, numRetries: 3, numNoDelayRetries: 4, numMinDelayRetries: 5, \
        numMaxDelayRetries: 6, backoffFunction: linear, maxReceivesPerSecond: 7}";
    let sns = format!(
        "{{topic: {{name: t}}, deliveryPolicy: {delivery}, consumers: [{{protocol: sqs, endpoint: {{name: q}}, \
         filterPolicy: {{a: [b]}}, filterPolicyScope: MessageBody, rawMessageDelivery: true, \
         redrivePolicy: {{deadLetterQueue: {{name: d}}}}, deliveryPolicy: {delivery}, displayName: d}}]}}"
    );
    let cases = [
        (
            "kafka",
            [
                "{schemaRegistryUrl: 'https://r', schemaRegistryVendor: confluent, bindingVersion: '0.5.0'}",
                "{topic: t, partitions: 3, replicas: 2, topicConfiguration: {cleanup.policy: [delete, compact], \
                 retention.ms: -1, retention.bytes: 10, delete.retention.ms: 1, max.message.bytes: 5, \
                 confluent.key.schema.validation: true, confluent.key.subject.name.strategy: a, \
                 confluent.value.schema.validation: true, confluent.value.subject.name.strategy: b}}",
                "{groupId: {type: string, enum: [g]}, clientId: {type: string}}",
                "{key: {type: string}, schemaIdLocation: payload, schemaIdPayloadEncoding: '4', schemaLookupStrategy: s}",
            ],
        ),
        (
            "mqtt",
            [
                "{clientId: c, cleanSession: true, lastWill: {topic: t, qos: 2, message: m, retain: false}, keepAlive: 60, \
                 sessionExpiryInterval: {type: integer}, maximumPacketSize: 4294967295, bindingVersion: latest}",
                NONE,
                "{qos: 2, retain: true, messageExpiryInterval: 60}",
                "{payloadFormatIndicator: 1, correlationData: {type: string}, contentType: a/b, responseTopic: r}",
            ],
        ),
        ("mqtt5", ["{sessionExpiryInterval: 10}", NONE, NONE, NONE]),
        ("sqs", [NONE, &sqs, &queues, NONE]),
        (
            "sns",
            [
                NONE,
                "{name: t, ordering: {type: FIFO, contentBasedDeduplication: true}, policy: {}, tags: {}}",
                &sns,
                NONE,
            ],
        ),
        (
            "amqp",
            [
                NONE,
                "{is: routingKey, exchange: {name: e, type: topic, durable: true, autoDelete: false, vhost: /}, \
                 queue: {name: q, durable: true, exclusive: true, autoDelete: false, vhost: /}}",
                "{expiration: 100, userId: u, cc: [a], priority: 10, deliveryMode: 2, mandatory: false, bcc: [b], \
                 timestamp: true, ack: false}",
                "{contentEncoding: gzip, messageType: t}",
            ],
        ),
        ("nats", [NONE, NONE, "{queue: q}", NONE]),
        (
            "http",
            [
                NONE,
                NONE,
                "{method: POST, query: {type: object, properties: {a: {type: string}}}}",
                "{headers: {type: object, properties: {a: {type: string}}}, statusCode: 200}",
            ],
        ),
        ("redis", [NONE, NONE, NONE, NONE]),
    ];
    for (protocol, levels) in cases {
        assert!(is_known(protocol));
        let loaded = document(protocol, levels);
        assert_eq!(found(&loaded), [], "{protocol}");
        let of = |bindings: &[amgi_asyncapi::model::Binding]| bindings[0].value.entries().len();
        let document = &loaded.document;
        let counts = [
            of(&document.servers[0].bindings),
            of(&document.channels[0].bindings),
            of(&document.operations[0].bindings),
            of(&document.messages[0].bindings),
        ];
        assert!(
            levels.iter().zip(counts).all(|(text, count)| (*text == NONE) == (count == 0)),
            "{protocol}: {counts:?}"
        );
    }
}

#[test]
fn what_is_wrong_is_said_and_left_out() {
    let cases = [
        (
            "kafka",
            [NONE, "{partitions: 0}", NONE, NONE],
            "binding-range",
            "`partitions` is at least 1, not 0",
        ),
        ("kafka", [NONE, "{topic: [t]}", NONE, NONE], "type-mismatch", "`topic` must be a string, not array"),
        ("mqtt", [NONE, NONE, "{qos: 3}", NONE], "binding-range", "`qos` is from 0 to 2, not 3"),
        (
            "mqtt",
            [NONE, NONE, "{qos: 1.5}", NONE],
            "type-mismatch",
            "`qos` must be a whole number, not number",
        ),
        (
            "mqtt",
            [NONE, NONE, "{retain: 'yes'}", NONE],
            "type-mismatch",
            "`retain` must be true or false, not string",
        ),
        (
            "mqtt",
            ["{lastWill: t}", NONE, NONE, NONE],
            "type-mismatch",
            "`lastWill` must be an object, not string",
        ),
        (
            "mqtt",
            ["{keepAlive: 65536}", NONE, NONE, NONE],
            "binding-range",
            "`keepAlive` is from 0 to 65535, not 65536",
        ),
        (
            "mqtt",
            ["{maximumPacketSize: 0}", NONE, NONE, NONE],
            "binding-range",
            "from 1 to 4294967295, not 0",
        ),
        (
            "sqs",
            [NONE, NONE, "{queues: {name: q}}", NONE],
            "type-mismatch",
            "`queues` must be a list of objects",
        ),
        ("sns", [NONE, "{tags: [a]}", NONE, NONE], "type-mismatch", "`tags` must be an object, not array"),
        (
            "amqp",
            [NONE, "{is: exchange}", NONE, NONE],
            "unknown-value",
            "`is` is one of `queue`, `routingKey`, not `exchange`",
        ),
        (
            "amqp",
            [NONE, NONE, "{deliveryMode: 3}", NONE],
            "binding-range",
            "`deliveryMode` is from 1 to 2, not 3",
        ),
        (
            "amqp",
            [NONE, NONE, "{cc: a}", NONE],
            "type-mismatch",
            "`cc` must be a list of strings, not string",
        ),
        ("nats", [NONE, NONE, "{queue: 1}", NONE], "type-mismatch", "`queue` must be a string, not number"),
        ("http", [NONE, NONE, "{method: post}", NONE], "unknown-value", "not `post`"),
        (
            "http",
            [NONE, NONE, NONE, "{headers: [a]}"],
            "type-mismatch",
            "`headers` must be a schema, not array",
        ),
        (
            "http",
            [NONE, NONE, NONE, "{statusCode: 99}"],
            "binding-range",
            "`statusCode` is from 100 to 599, not 99",
        ),
    ];
    for (protocol, levels, name, text) in cases {
        let loaded = document(protocol, levels);
        let found = found(&loaded);
        let [(severity, code, message)] = found.as_slice() else {
            panic!("{protocol} {levels:?}: {found:?}")
        };
        assert_eq!((*severity, *code), (Severity::Warning, name), "{message}");
        assert!(message.contains(text), "{message}");
        let document = &loaded.document;
        let all = [
            &document.servers[0].bindings,
            &document.channels[0].bindings,
            &document.operations[0].bindings,
            &document.messages[0].bindings,
        ];
        assert!(all.iter().all(|bindings| bindings[0].value.entries().is_empty()), "{protocol} {levels:?}");
    }
}

#[test]
fn what_is_wrong_within_goes_alone() {
    let loaded = document(
        "sqs",
        [NONE, "{queue: {name: q, deliveryDelay: 901, fifoThroughputLimit: perqueue}}", NONE, NONE],
    );
    let help: Vec<_> = loaded.diagnostics.iter().filter_map(|d| d.help.clone()).collect();
    assert_eq!(help, ["it is read as if it were not there", "did you mean `perQueue`?"]);
    let queue = loaded.document.channels[0].bindings[0].value.get("queue").expect("it is still there");
    assert_eq!(queue.to_json(), serde_json::json!({"name": "q"}));
}

#[test]
fn unknown_fields_and_versions_are_named() {
    let loaded =
        document("kafka", [NONE, "{partition: 1, x-mine: 2, bindingVersion: 9.0.0}", "{topic: t}", NONE]);
    let found = found(&loaded);
    assert_eq!(
        found.iter().map(|(severity, name, _)| (*severity, *name)).collect::<Vec<_>>(),
        [
            (Severity::Warning, "unknown-field"),
            (Severity::Info, "binding-version"),
            (Severity::Warning, "unknown-field")
        ],
        "{found:?}"
    );
    let help: Vec<_> = loaded.diagnostics.iter().filter_map(|d| d.help.as_deref()).collect();
    assert_eq!(
        help,
        [
            "did you mean `partitions`?",
            "it is read as 0.5.0",
            "`topic` belongs into the kafka binding of the channel"
        ]
    );
    // They are data all the same.
    assert!(loaded.document.channels[0].bindings[0].value.get("partition").is_some());
}

#[test]
fn other_protocols_are_data() {
    let loaded = document("pulsar", ["{anything: [1]}", "{persistence: 7}", NONE, NONE]);
    assert_eq!(found(&loaded), []);
    assert!(!is_known("pulsar"));
    assert_eq!(
        loaded.document.channels[0].bindings[0].value.to_json(),
        serde_json::json!({"persistence": 7})
    );
}
