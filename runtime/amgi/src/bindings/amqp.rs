//! AMQP 0-9-1.

use super::objects;

objects! {
    /// On a channel.
    Channel {
        /// What the address is: `routingKey`, which is the default, or `queue`.
        is: String,
        /// The exchange that is published to, for a routing key.
        exchange: Exchange,
        /// The queue, for a queue.
        queue: Queue,
    }
    /// An exchange.
    Exchange {
        /// Its name.
        name: String,
        /// `topic`, `direct`, `fanout`, `default` or `headers`.
        r#type: String,
        /// Whether it outlives a restart of the broker.
        durable: bool,
        /// Whether it goes with its last queue.
        auto_delete: bool,
        /// Virtual host; the default is `/`.
        vhost: String,
    }
    /// A queue.
    Queue {
        /// Its name.
        name: String,
        /// Whether it outlives a restart of the broker.
        durable: bool,
        /// Whether only one connection may use it.
        exclusive: bool,
        /// Whether it goes with its last consumer.
        auto_delete: bool,
        /// Virtual host; the default is `/`.
        vhost: String,
    }
    /// On an operation.
    Operation {
        /// How long the message is worth delivering, in milliseconds.
        expiration: u64,
        /// Who sends.
        user_id: String,
        /// More routing keys.
        cc: Vec<String>,
        /// Priority.
        priority: u8,
        /// 1: in memory, 2: on disk.
        delivery_mode: u8,
        /// Whether a message that reaches no queue comes back.
        mandatory: bool,
        /// More routing keys, which nobody sees.
        bcc: Vec<String>,
        /// Where the answer goes; until version 0.2.0 of the binding.
        reply_to: String,
        /// Whether the message says when it was sent.
        timestamp: bool,
        /// Whether messages are acknowledged.
        ack: bool,
    }
    /// On a message.
    Message {
        /// Encoding of the payload, such as `gzip`.
        content_encoding: String,
        /// Type of the message, in the application's words.
        message_type: String,
    }
}
