//! What servers of Amazon's queues and topics share: names of queues, attributes as headers, and the envelopes of SNS.
//!
//! What must hold: whoever receives a message reads it as who sent it wrote it, be it by a poll or by an event of Lambda.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};

use base64::prelude::{BASE64_STANDARD as BASE64, Engine as _};
use bytes::Bytes;
use serde::Deserialize;

use crate::contract::Message;

/// Attribute that says what the body stands for, where it is not the payload: `base64`, `empty` or `absent`.
pub const PAYLOAD: &str = "amgi-payload";
/// Attribute for headers that are no attributes: `[["name", "value"], ["name", {"base64": "…"}]]`.
pub const HEADERS: &str = "amgi-headers";

/// The queue of an address: what a name of SQS may have stays, letters, digits, and `-` and `_` between them. A dot is `--`, a
/// slash `__`, and every other byte `_-XX-_` in hexadecimal. An ending `.fifo` stays, since it means something to SQS.
///
/// ```
/// assert_eq!(amgi::server::aws::queue_name("user.created"), "user--created");
/// ```
pub fn queue_name(address: &str) -> String {
    let (body, ending) = match address.strip_suffix(".fifo") {
        Some(body) if !body.is_empty() => (body, ".fifo"),
        _ => (address, ""),
    };
    let bytes = body.as_bytes();
    let plain = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
    let mut name = String::with_capacity(address.len() + 8);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            byte if byte.is_ascii_alphanumeric() => name.push(char::from(*byte)),
            // Beside anything else they would be part of what stands for it.
            b'-' | b'_' if plain(at.checked_sub(1)) && plain(Some(at + 1)) => name.push(char::from(*byte)),
            b'.' => name.push_str("--"),
            b'/' => name.push_str("__"),
            byte => {
                // A text takes everything.
                let _ = write!(name, "_-{byte:02X}-_");
            }
        }
    }
    name + ending
}

/// The address of a queue, the other way round of [`queue_name`].
///
/// ```
/// assert_eq!(amgi::server::aws::queue_address("user--created"), "user.created");
/// ```
pub fn queue_address(name: &str) -> String {
    let (body, ending) = match name.strip_suffix(".fifo") {
        Some(body) => (body, ".fifo"),
        None => (name, ""),
    };
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = body;
    while let Some(first) = rest.chars().next() {
        let hex = rest
            .strip_prefix("_-")
            .and_then(|rest| Some((rest.get(..2)?, rest.get(2..)?.strip_prefix("-_")?)));
        if let Some((byte, behind)) =
            hex.and_then(|(hex, behind)| Some((u8::from_str_radix(hex, 16).ok()?, behind)))
        {
            bytes.push(byte);
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix("--") {
            bytes.push(b'.');
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix("__") {
            bytes.push(b'/');
            rest = behind;
        } else {
            bytes.extend_from_slice(first.encode_utf8(&mut [0; 4]).as_bytes());
            rest = &rest[first.len_utf8()..];
        }
    }
    String::from_utf8_lossy(&bytes).into_owned() + ending
}

/// Puts body and attributes where they belong, also those in [`PAYLOAD`] and [`HEADERS`]. Attributes have no order: they come
/// sorted by name.
///
/// ```
/// use amgi::{Message, server::aws};
///
/// let mut message = Message::new("a");
/// aws::fill(&mut message, "/w==".into(), [(aws::PAYLOAD.into(), "base64".into())].into());
/// assert_eq!(message.payload.as_deref(), Some(&b"\xff"[..]));
/// ```
#[allow(clippy::implicit_hasher)] // the hasher of those who read the attributes
pub fn fill(message: &mut Message, body: String, mut attributes: HashMap<String, Bytes>) {
    message.payload = match attributes.remove(PAYLOAD).as_deref() {
        Some(b"absent") => None,
        Some(b"empty") => Some(Bytes::new()),
        Some(b"base64") => Some(BASE64.decode(&body).map_or_else(|_| Bytes::from(body), Bytes::from)),
        _ => Some(Bytes::from(body)),
    };
    let packed = attributes.remove(HEADERS);
    let mut sorted: Vec<_> = attributes.into_iter().collect();
    sorted.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    message.headers.reserve(sorted.len());
    for (name, value) in sorted {
        message.headers.push(name, value);
    }
    let Some(packed) = packed else { return };
    let Ok(pairs) = serde_json::from_slice::<Vec<(String, Packed)>>(&packed) else {
        message.headers.push(HEADERS, packed);
        return;
    };
    for (name, value) in pairs {
        match value {
            Packed::Text(text) => message.headers.push(name, text),
            Packed::Binary { base64: text } => {
                message.headers.push(name, BASE64.decode(text).unwrap_or_default());
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Packed {
    Text(String),
    Binary { base64: String },
}

/// What SNS wraps a message in, when it does not deliver it raw.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    r#type: String,
    message: String,
    #[serde(default)]
    message_attributes: BTreeMap<String, Enveloped>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Enveloped {
    r#type: String,
    value: String,
}

/// Body and attributes of a message in an envelope of SNS; `None` for a body that is none.
///
/// ```
/// let body = r#"{"Type":"Notification","Message":"hi","MessageAttributes":{"a":{"Type":"String","Value":"1"}}}"#;
/// let (message, attributes) = amgi::server::aws::unwrap(body).unwrap();
/// assert_eq!((&*message, &*attributes["a"]), ("hi", &b"1"[..]));
/// assert!(amgi::server::aws::unwrap("{}").is_none());
/// ```
pub fn unwrap(body: &str) -> Option<(String, HashMap<String, Bytes>)> {
    let envelope: Envelope = serde_json::from_str(body).ok()?;
    if envelope.r#type != "Notification" {
        return None;
    }
    let attributes = envelope.message_attributes.into_iter();
    let attributes =
        attributes.map(|(name, Enveloped { r#type, value })| (name, sns_attribute(&r#type, value)));
    Some((envelope.message, attributes.collect()))
}

/// The value of an attribute as SNS writes it in JSON.
///
/// ```
/// use amgi::server::aws::sns_attribute;
///
/// assert_eq!(&sns_attribute("Binary", "/w==".into())[..], b"\xff");
/// assert_eq!(&sns_attribute("String", "/w==".into())[..], b"/w==");
/// ```
pub fn sns_attribute(data_type: &str, value: String) -> Bytes {
    let bytes = if data_type.starts_with("Binary") { BASE64.decode(&value).ok() } else { None };
    bytes.map_or_else(|| Bytes::from(value), Bytes::from)
}
