//! Amazon SNS.

use std::collections::BTreeMap;

use serde_json::Value;

use super::objects;
pub use super::sqs::{Identifier, RedrivePolicy};

objects! {
    /// On a channel.
    Channel {
        /// Name of the topic where it is not the channel's address.
        name: String,
        /// Whether the topic keeps an order.
        ordering: Ordering,
        /// Who may use it, in the words of AWS.
        policy: Value,
        /// Tags.
        tags: BTreeMap<String, Value>,
    }
    /// Whether a topic keeps an order.
    Ordering {
        /// `standard` or `FIFO`.
        r#type: String,
        /// Whether equal payloads are one message.
        content_based_deduplication: bool,
    }
    /// On an operation.
    Operation {
        /// The topic, where it is not the channel's.
        topic: Identifier,
        /// Who gets what is published.
        consumers: Vec<Consumer>,
        /// How delivery over HTTP is tried again.
        delivery_policy: DeliveryPolicy,
    }
    /// Who gets what is published.
    Consumer {
        /// How, such as `sqs`.
        protocol: String,
        /// Where.
        endpoint: Identifier,
        /// Which messages, in the words of AWS.
        filter_policy: BTreeMap<String, Value>,
        /// What the filter looks at: `MessageAttributes` or `MessageBody`.
        filter_policy_scope: String,
        /// Whether the message comes without an envelope.
        raw_message_delivery: bool,
        /// When a message is given up.
        redrive_policy: RedrivePolicy,
        /// How delivery over HTTP is tried again.
        delivery_policy: DeliveryPolicy,
        /// Name shown with a text message.
        display_name: String,
    }
    /// How delivery over HTTP is tried again.
    DeliveryPolicy {
        /// Shortest pause, in seconds.
        min_delay_target: u32,
        /// Longest pause, in seconds.
        max_delay_target: u32,
        /// Attempts in all.
        num_retries: u32,
        /// Attempts without a pause.
        num_no_delay_retries: u32,
        /// Attempts with the shortest pause.
        num_min_delay_retries: u32,
        /// Attempts with the longest pause.
        num_max_delay_retries: u32,
        /// How pauses grow: `arithmetic`, `exponential`, `geometric` or `linear`.
        backoff_function: String,
        /// Deliveries a second, at most.
        max_receives_per_second: u32,
    }
}
