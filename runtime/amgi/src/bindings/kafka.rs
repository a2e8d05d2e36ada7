//! Kafka.

use super::{Or, objects};

objects! {
    /// On a server.
    Server {
        /// Address of the schema registry.
        schema_registry_url: String,
        /// Who made it, such as `confluent`.
        schema_registry_vendor: String,
    }
    /// On a channel.
    Channel {
        /// Name of the topic where it is not the channel's address.
        topic: String,
        /// How many partitions the topic has.
        partitions: u32,
        /// How many replicas the topic has.
        replicas: u32,
        /// Configuration of the topic.
        topic_configuration: TopicConfiguration,
    }
    /// Configuration of a topic, named as Kafka does.
    TopicConfiguration {
        /// `delete`, `compact`, or both.
        #[serde(rename = "cleanup.policy")]
        cleanup_policy: Vec<String>,
        /// How long messages are kept, in milliseconds; -1 is for ever.
        #[serde(rename = "retention.ms")]
        retention_ms: i64,
        /// How many bytes of a partition are kept; -1 is all.
        #[serde(rename = "retention.bytes")]
        retention_bytes: i64,
        /// How long tombstones are kept, in milliseconds.
        #[serde(rename = "delete.retention.ms")]
        delete_retention_ms: i64,
        /// Bytes of the largest batch.
        #[serde(rename = "max.message.bytes")]
        max_message_bytes: i64,
        /// Whether the broker checks keys.
        #[serde(rename = "confluent.key.schema.validation")]
        confluent_key_schema_validation: bool,
        /// How the schema of a key is found.
        #[serde(rename = "confluent.key.subject.name.strategy")]
        confluent_key_subject_name_strategy: String,
        /// Whether the broker checks payloads.
        #[serde(rename = "confluent.value.schema.validation")]
        confluent_value_schema_validation: bool,
        /// How the schema of a payload is found.
        #[serde(rename = "confluent.value.subject.name.strategy")]
        confluent_value_subject_name_strategy: String,
    }
    /// On an operation.
    Operation {
        /// Consumer group.
        group_id: Or<String>,
        /// Client within the group.
        client_id: Or<String>,
    }
    /// On a message.
    Message {
        /// The key; of a generated message it is a typed field too.
        key: Or<String>,
        /// Where the schema's id is: `header` or `payload`.
        schema_id_location: String,
        /// How the id is written into the payload.
        schema_id_payload_encoding: String,
        /// How the schema is found.
        schema_lookup_strategy: String,
    }
}
