//! MQTT.

use super::{Or, objects};

objects! {
    /// On a server.
    Server {
        /// Name of the client at the broker.
        client_id: String,
        /// Whether the broker forgets the client when it goes.
        clean_session: bool,
        /// What the broker publishes when the client is lost.
        last_will: LastWill,
        /// Longest silence, in seconds; zero is no limit.
        keep_alive: u16,
        /// How long the broker keeps the session of a client that is away, in seconds; MQTT 5.
        session_expiry_interval: Or<u32>,
        /// Bytes of the largest packet that the client takes; MQTT 5.
        maximum_packet_size: Or<u32>,
    }
    /// What the broker publishes when it loses a client.
    LastWill {
        /// Where to.
        topic: String,
        /// Quality of service: 0, 1 or 2.
        qos: u8,
        /// The payload.
        message: String,
        /// Whether the broker keeps it for those who subscribe later.
        retain: bool,
    }
    /// On an operation.
    Operation {
        /// Quality of service: 0, 1 or 2.
        qos: u8,
        /// Whether the broker keeps the message for those who subscribe later.
        retain: bool,
        /// How long the message is worth delivering, in seconds; MQTT 5.
        message_expiry_interval: Or<u32>,
    }
    /// On a message; MQTT 5.
    Message {
        /// 0: bytes, 1: UTF-8 text.
        payload_format_indicator: u8,
        /// What relates a response to its request.
        correlation_data: Or<String>,
        /// Content type of the payload.
        content_type: String,
        /// Topic for the response.
        response_topic: Or<String>,
    }
}
