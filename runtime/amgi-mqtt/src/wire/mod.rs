//! Packets, the same for both versions of MQTT.
//!
//! rumqttc reads and writes the bytes; `v311` and `v5` translate. Nothing above this module knows which version is spoken,
//! except where 3.1.1 lacks something.

mod v311;
mod v5;

use amgi::{ByteString, Bytes};
use bytes::BytesMut;
pub(crate) use rumqttc::v5::mqttbytes::v5::PublishProperties as Properties;

use crate::{LastWill, Version};

/// The largest packet that MQTT can express.
const LARGEST: u32 = 268_435_455;

/// A message on the wire.
#[derive(Debug, Clone, Default)]
pub(crate) struct Publish {
    /// Sent before, on this connection's or an earlier one's account.
    pub(crate) dup: bool,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) topic: ByteString,
    /// Zero at QoS 0.
    pub(crate) id: u16,
    pub(crate) payload: Bytes,
    /// Always `None` on 3.1.1.
    pub(crate) properties: Option<Box<Properties>>,
}

/// What a broker said it grants.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnAck {
    pub(crate) session_present: bool,
    /// Why the connection is refused.
    pub(crate) refused: Option<String>,
    pub(crate) receive_maximum: Option<u16>,
    pub(crate) maximum_qos: Option<u8>,
    pub(crate) retain_available: Option<bool>,
    pub(crate) maximum_packet_size: Option<u32>,
    pub(crate) keep_alive: Option<u16>,
    pub(crate) shared_subscriptions: Option<bool>,
}

/// A packet from the broker.
#[derive(Debug)]
pub(crate) enum Incoming {
    ConnAck(ConnAck),
    Publish(Publish),
    /// QoS 1 done, or refused with a reason.
    PubAck(u16, Result<(), String>),
    /// QoS 2 received, or refused with a reason.
    PubRec(u16, Result<(), String>),
    PubRel(u16),
    PubComp(u16),
    /// For each filter what was granted, or why not.
    SubAck(u16, Vec<Result<u8, String>>),
    PingResp,
    Disconnect {
        reason: String,
        taken_over: bool,
    },
    Other,
}

/// How to introduce oneself.
#[derive(Debug, Clone)]
pub(crate) struct Connect {
    pub(crate) client_id: String,
    pub(crate) clean: bool,
    /// Seconds.
    pub(crate) keep_alive: u16,
    /// Seconds; 5 only.
    pub(crate) session_expiry: u32,
    /// 5 only.
    pub(crate) receive_maximum: u16,
    /// 5 only.
    pub(crate) maximum_packet_size: Option<u32>,
    pub(crate) login: Option<(String, String)>,
    pub(crate) last_will: Option<LastWill>,
}

/// A topic filter and the quality of service that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) path: String,
    pub(crate) qos: u8,
}

/// A packet to the broker.
#[derive(Debug)]
pub(crate) enum Outgoing<'a> {
    Connect(&'a Connect),
    Subscribe(u16, &'a [Filter]),
    Publish(&'a Publish),
    PubAck(u16),
    PubRec(u16),
    PubRel(u16),
    PubComp(u16),
    PingReq,
    Disconnect,
}

/// A packet that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("{0}")]
    V5(#[from] rumqttc::v5::mqttbytes::Error),
    #[error("{0}")]
    V311(#[from] rumqttc::mqttbytes::Error),
    #[error("the topic of a message is not UTF-8")]
    Topic,
}

/// A reason as MQTT writes it, of rumqttc's name for it: "Not authorized" of `NotAuthorized`.
fn words(reason: &impl std::fmt::Debug) -> String {
    let name = format!("{reason:?}");
    let mut words = String::new();
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        let begins = letter.is_uppercase() && letters.peek().is_some_and(|next| next.is_lowercase());
        if begins && !words.is_empty() {
            words.push(' ');
            words.extend(letter.to_lowercase());
        } else {
            words.push(letter);
        }
    }
    words
}

/// Takes the next whole packet out of `buffer`.
pub(crate) fn decode(version: Version, buffer: &mut BytesMut) -> Result<Option<Incoming>, WireError> {
    match version {
        Version::V5 => v5::decode(buffer),
        Version::V311 => v311::decode(buffer),
    }
}

/// Appends `packet` to `buffer`; on an error nothing is appended.
pub(crate) fn encode(
    version: Version,
    packet: &Outgoing<'_>,
    buffer: &mut BytesMut,
    most: Option<u32>,
) -> Result<(), WireError> {
    let before = buffer.len();
    let most = most.unwrap_or(LARGEST);
    let result = match version {
        Version::V5 => v5::encode(packet, buffer, most),
        Version::V311 => v311::encode(packet, buffer, most),
    };
    if result.is_err() {
        buffer.truncate(before);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the bytes one by one, as a slow network would.
    fn feed(version: Version, bytes: &[u8]) -> Result<Vec<Incoming>, WireError> {
        let mut buffer = BytesMut::new();
        let mut packets = Vec::new();
        for &byte in bytes {
            buffer.extend_from_slice(&[byte]);
            packets.extend(decode(version, &mut buffer)?);
        }
        assert!(buffer.is_empty());
        Ok(packets)
    }

    #[test]
    fn packets_may_come_in_pieces() {
        for version in [Version::V5, Version::V311] {
            let publish = Publish {
                topic: "a/b".into(),
                qos: 1,
                id: 7,
                payload: Bytes::from(vec![1; 200]),
                ..Publish::default()
            };
            let mut bytes = BytesMut::new();
            encode(version, &Outgoing::Publish(&publish), &mut bytes, None).unwrap();
            encode(version, &Outgoing::PubAck(9), &mut bytes, None).unwrap();
            let packets = feed(version, &bytes).unwrap();
            assert!(matches!(&packets[0], Incoming::Publish(p) if p.id == 7 && p.payload.len() == 200));
            assert!(matches!(&packets[1], Incoming::PubAck(9, Ok(()))));
        }
    }

    #[test]
    fn short_forms_are_read() {
        for (bytes, expected) in [
            (&[0xe0, 0][..], "Normal disconnection"),
            (&[0xe0, 1, 0x8b], "Server shutting down"),
            (&[0xe0, 2, 0x8b, 0], "Server shutting down"),
            (&[0xe0, 1, 0x70], "reason 112"),
        ] {
            let packets = feed(Version::V5, bytes).unwrap();
            assert!(
                matches!(&packets[..], [Incoming::Disconnect { reason, .. }] if reason == expected),
                "{packets:?}"
            );
        }
        let packets = feed(Version::V5, &[0x40, 3, 0, 1, 0x87]).unwrap();
        assert!(matches!(&packets[..], [Incoming::PubAck(1, Err(reason))] if reason == "Not authorized"));
    }

    #[test]
    fn reasons_are_words() {
        for (name, expected) in [
            ("NotAuthorized", "Not authorized"),
            ("QoSNotSupported", "QoS not supported"),
            ("ServerBusy", "Server busy"),
        ] {
            assert_eq!(words(&format_args!("{name}")), expected);
        }
    }

    #[test]
    fn a_packet_that_is_too_large_leaves_the_buffer_alone() {
        let publish = Publish { topic: "a".into(), payload: Bytes::from(vec![0; 100]), ..Publish::default() };
        for version in [Version::V5, Version::V311] {
            let mut bytes = BytesMut::from(&b"x"[..]);
            assert!(encode(version, &Outgoing::Publish(&publish), &mut bytes, Some(50)).is_err());
            assert_eq!(&bytes[..], b"x");
        }
    }

    #[test]
    fn nonsense_is_an_error_and_not_waited_for() {
        // A SUBACK that ends within its properties.
        assert!(feed(Version::V5, &[0x90, 3, 0, 1, 0x80]).is_err());
    }
}
