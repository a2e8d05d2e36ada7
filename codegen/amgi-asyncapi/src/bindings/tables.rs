//! Tables of the protocols' fields.

use super::{
    Fields, Protocol,
    Ty::{Any, Flag, Int, Map, Object, Objects, OneOf, Or, Schema, SomeOf, Text, Texts},
};

const MAX: i64 = i64::MAX;
/// Seconds and sizes that MQTT writes in four bytes.
const U32: i64 = 0xffff_ffff;

pub(super) static PROTOCOLS: &[Protocol] = &[
    Protocol {
        names: &["kafka", "kafka-secure"],
        versions: &["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0"],
        server: &[("schemaRegistryUrl", Text), ("schemaRegistryVendor", Text)],
        channel: &[
            ("topic", Text),
            ("partitions", Int(1, MAX)),
            ("replicas", Int(1, MAX)),
            ("topicConfiguration", Object(TOPIC)),
        ],
        operation: &[("groupId", Or(&Text)), ("clientId", Or(&Text))],
        message: &[
            // A schema, or one in another format.
            ("key", Or(&Text)),
            ("schemaIdLocation", Text),
            ("schemaIdPayloadEncoding", Text),
            ("schemaLookupStrategy", Text),
        ],
    },
    Protocol {
        names: &["mqtt", "mqtt5", "secure-mqtt", "mqtts"],
        versions: &["0.1.0", "0.2.0"],
        server: &[
            ("clientId", Text),
            ("cleanSession", Flag),
            ("lastWill", Object(LAST_WILL)),
            ("keepAlive", Int(0, 65_535)),
            ("sessionExpiryInterval", Or(&Int(0, U32))),
            ("maximumPacketSize", Or(&Int(1, U32))),
        ],
        channel: &[],
        operation: &[("qos", Int(0, 2)), ("retain", Flag), ("messageExpiryInterval", Or(&Int(0, U32)))],
        message: &[
            ("payloadFormatIndicator", Int(0, 1)),
            ("correlationData", Or(&Text)),
            ("contentType", Text),
            ("responseTopic", Or(&Text)),
        ],
    },
    Protocol {
        names: &["sqs"],
        versions: &["0.1.0", "0.2.0", "0.3.0"],
        server: &[],
        channel: &[("queue", Object(QUEUE)), ("deadLetterQueue", Object(QUEUE))],
        operation: &[("queues", Objects(QUEUE))],
        message: &[],
    },
    Protocol {
        names: &["sns"],
        versions: &["0.1.0", "0.2.0", "1.0.0"],
        server: &[],
        channel: &[("name", Text), ("ordering", Object(ORDERING)), ("policy", Any), ("tags", Map)],
        operation: &[
            ("topic", Object(IDENTIFIER)),
            ("consumers", Objects(CONSUMER)),
            ("deliveryPolicy", Object(DELIVERY)),
        ],
        message: &[],
    },
    Protocol {
        names: &["amqp", "amqps"],
        versions: &["0.1.0", "0.2.0", "0.3.0"],
        server: &[],
        channel: &[
            ("is", OneOf(&["queue", "routingKey"])),
            ("exchange", Object(EXCHANGE)),
            ("queue", Object(AMQP_QUEUE)),
        ],
        operation: &[
            ("expiration", Int(0, MAX)),
            ("userId", Text),
            ("cc", Texts),
            ("priority", Int(0, 255)),
            ("deliveryMode", Int(1, 2)),
            ("mandatory", Flag),
            ("bcc", Texts),
            // Until 0.2.0.
            ("replyTo", Text),
            ("timestamp", Flag),
            ("ack", Flag),
        ],
        message: &[("contentEncoding", Text), ("messageType", Text)],
    },
    Protocol {
        names: &["nats"],
        versions: &["0.1.0"],
        server: &[],
        channel: &[],
        operation: &[("queue", Text)],
        message: &[],
    },
    Protocol {
        names: &["http", "https"],
        versions: &["0.1.0", "0.2.0", "0.3.0"],
        server: &[],
        channel: &[],
        operation: &[
            // Until 0.2.0.
            ("type", OneOf(&["request", "response"])),
            (
                "method",
                OneOf(&["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"]),
            ),
            ("query", Schema),
        ],
        message: &[("headers", Schema), ("statusCode", Int(100, 599))],
    },
    Protocol {
        names: &["redis", "rediss"],
        versions: &["0.1.0"],
        server: &[],
        channel: &[],
        operation: &[],
        message: &[],
    },
];

const TOPIC: Fields = &[
    ("cleanup.policy", SomeOf(&["delete", "compact"])),
    ("retention.ms", Int(-1, MAX)),
    ("retention.bytes", Int(-1, MAX)),
    ("delete.retention.ms", Int(0, MAX)),
    ("max.message.bytes", Int(0, MAX)),
    ("confluent.key.schema.validation", Flag),
    ("confluent.key.subject.name.strategy", Text),
    ("confluent.value.schema.validation", Flag),
    ("confluent.value.subject.name.strategy", Text),
];

const LAST_WILL: Fields = &[("topic", Text), ("qos", Int(0, 2)), ("message", Text), ("retain", Flag)];

const QUEUE: Fields = &[
    ("name", Text),
    ("fifoQueue", Flag),
    ("deduplicationScope", OneOf(&["messageGroup", "queue"])),
    ("fifoThroughputLimit", OneOf(&["perQueue", "perMessageGroupId"])),
    ("deliveryDelay", Int(0, 900)),
    ("visibilityTimeout", Int(0, 43_200)),
    ("receiveMessageWaitTime", Int(0, 20)),
    ("messageRetentionPeriod", Int(60, 1_209_600)),
    ("redrivePolicy", Object(REDRIVE)),
    ("policy", Any),
    ("tags", Map),
];

const REDRIVE: Fields = &[("deadLetterQueue", Object(IDENTIFIER)), ("maxReceiveCount", Int(1, 1000))];

const IDENTIFIER: Fields = &[("url", Text), ("email", Text), ("phone", Text), ("arn", Text), ("name", Text)];

const ORDERING: Fields = &[("type", OneOf(&["standard", "FIFO"])), ("contentBasedDeduplication", Flag)];

const CONSUMER: Fields = &[
    (
        "protocol",
        OneOf(&["http", "https", "email", "email-json", "sms", "sqs", "application", "lambda", "firehose"]),
    ),
    ("endpoint", Object(IDENTIFIER)),
    ("filterPolicy", Map),
    ("filterPolicyScope", OneOf(&["MessageAttributes", "MessageBody"])),
    ("rawMessageDelivery", Flag),
    ("redrivePolicy", Object(REDRIVE)),
    ("deliveryPolicy", Object(DELIVERY)),
    ("displayName", Text),
];

const DELIVERY: Fields = &[
    ("minDelayTarget", Int(0, MAX)),
    ("maxDelayTarget", Int(0, MAX)),
    ("numRetries", Int(0, MAX)),
    ("numNoDelayRetries", Int(0, MAX)),
    ("numMinDelayRetries", Int(0, MAX)),
    ("numMaxDelayRetries", Int(0, MAX)),
    ("backoffFunction", OneOf(&["arithmetic", "exponential", "geometric", "linear"])),
    ("maxReceivesPerSecond", Int(0, MAX)),
];

const EXCHANGE: Fields = &[
    ("name", Text),
    ("type", OneOf(&["topic", "direct", "fanout", "default", "headers"])),
    ("durable", Flag),
    ("autoDelete", Flag),
    ("vhost", Text),
];

const AMQP_QUEUE: Fields =
    &[("name", Text), ("durable", Flag), ("exclusive", Flag), ("autoDelete", Flag), ("vhost", Text)];
