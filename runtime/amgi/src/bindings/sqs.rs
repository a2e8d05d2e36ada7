//! Amazon SQS.

use std::collections::BTreeMap;

use serde_json::Value;

use super::objects;

objects! {
    /// On a channel.
    Channel {
        /// The queue that the channel is.
        queue: Queue,
        /// Where messages go that are given up.
        dead_letter_queue: Queue,
    }
    /// On an operation.
    Operation {
        /// Queues that receive what is published to a topic, and their dead-letter queues.
        queues: Vec<Queue>,
    }
    /// A queue.
    Queue {
        /// Name of the queue where it is not the channel's address.
        name: String,
        /// Whether it keeps the order within a message group.
        fifo_queue: bool,
        /// `messageGroup` or `queue`.
        deduplication_scope: String,
        /// `perQueue` or `perMessageGroupId`.
        fifo_throughput_limit: String,
        /// How long a new message is held back, in seconds up to 900.
        delivery_delay: u32,
        /// How long a message that was received is hidden, in seconds up to 43,200.
        visibility_timeout: u32,
        /// How long a receive waits for messages, in seconds up to 20.
        receive_message_wait_time: u32,
        /// How long messages are kept, in seconds from 60 to 1,209,600.
        message_retention_period: u32,
        /// When a message is given up.
        redrive_policy: RedrivePolicy,
        /// Who may use it, in the words of AWS.
        policy: Value,
        /// Tags.
        tags: BTreeMap<String, Value>,
    }
    /// When a message is given up, and where it goes then.
    RedrivePolicy {
        /// The dead-letter queue.
        dead_letter_queue: Identifier,
        /// After how many deliveries.
        max_receive_count: u32,
    }
    /// Names a queue, a topic, or an endpoint.
    Identifier {
        /// By its address.
        url: String,
        /// By an email address.
        email: String,
        /// By a telephone number.
        phone: String,
        /// By its resource name at AWS.
        arn: String,
        /// By the name in a binding of the document.
        name: String,
    }
}
