//! Messages and what SQS and SNS carry: a body that is text, and up to ten attributes that are String, Number or Binary.
//!
//! What must hold: what goes out comes back, whatever SQS has no place for. Payloads that are no text, and headers that are no
//! attributes, go in two attributes of ours.

use amgi::{
    BindingValue, ByteString, Bytes, Headers, Message,
    server::aws::{self, HEADERS, PAYLOAD},
};
use aws_sdk_sqs::types::{Message as Received, MessageAttributeValue, MessageSystemAttributeName};
use base64::prelude::{BASE64_STANDARD as BASE64, Engine as _};

/// How many attributes a message may have.
const MOST: usize = 10;
/// The longest name of an attribute.
const LONGEST: usize = 256;

/// A protocol's bindings.
const SQS: ByteString = ByteString::from_static("sqs");

mod field {
    use amgi::ByteString;

    pub(super) const GROUP: ByteString = ByteString::from_static("message_group_id");
    pub(super) const DEDUPLICATION: ByteString = ByteString::from_static("message_deduplication_id");
    pub(super) const ID: ByteString = ByteString::from_static("message_id");
    pub(super) const DELAY: &str = "delay_seconds";
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Number(String),
    Binary(Vec<u8>),
}

impl Value {
    pub(crate) fn data_type(&self) -> &'static str {
        match self {
            Self::Text(_) => "String",
            Self::Number(_) => "Number",
            Self::Binary(_) => "Binary",
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(text) | Self::Number(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

/// A message as it goes out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parcel {
    pub(crate) body: String,
    pub(crate) attributes: Vec<(String, Value)>,
    pub(crate) group: Option<String>,
    pub(crate) deduplication: Option<String>,
    /// Seconds.
    pub(crate) delay: Option<i32>,
}

impl Parcel {
    /// How much of a message's size it takes.
    pub(crate) fn size(&self) -> usize {
        let attribute = |(name, value): &(String, Value)| name.len() + value.data_type().len() + value.len();
        self.body.len() + self.attributes.iter().map(attribute).sum::<usize>()
    }
}

/// Whether SQS takes it as text.
fn is_text(text: &str) -> bool {
    let fits = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    !text.is_empty() && text.chars().all(fits)
}

/// Whether an attribute can be called so.
fn is_name(name: &str) -> bool {
    let begins = |what: &str| name.get(..what.len()).is_some_and(|start| start.eq_ignore_ascii_case(what));
    (1..=LONGEST).contains(&name.len())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !begins("aws.")
        && !begins("amazon.")
        && name != PAYLOAD
        && name != HEADERS
}

/// Whether SQS takes it as a number.
fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
        && text.bytes().all(|c| !c.is_ascii_alphabetic() || matches!(c, b'e' | b'E'))
}

/// A message that goes out; the headers in `numbers` are sent as numbers.
pub(crate) fn outgoing(message: &Message, numbers: &[String]) -> Result<Parcel, String> {
    let mut parcel = Parcel::default();
    let mark = |parcel: &mut Parcel, what: &str| {
        parcel.attributes.push((PAYLOAD.to_owned(), Value::Text(what.to_owned())));
    };
    match message.payload.as_deref() {
        None => {
            parcel.body.push(' ');
            mark(&mut parcel, "absent");
        }
        Some([]) => {
            parcel.body.push(' ');
            mark(&mut parcel, "empty");
        }
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if is_text(text) => text.clone_into(&mut parcel.body),
            _ => {
                parcel.body = BASE64.encode(bytes);
                mark(&mut parcel, "base64");
            }
        },
    }
    attributes(&message.headers, numbers, &mut parcel)?;
    parcel.group = text(message, &field::GROUP)?;
    parcel.deduplication = text(message, &field::DEDUPLICATION)?;
    parcel.delay = match message.bindings.get("sqs", field::DELAY) {
        None | Some(BindingValue::Null) => None,
        Some(value) => match value.as_int().and_then(|seconds| i32::try_from(seconds).ok()) {
            Some(seconds @ 0..=900) => Some(seconds),
            _ => return Err(format!("binding `sqs.delay_seconds` cannot be {value:?}: 0 to 900 seconds")),
        },
    };
    Ok(parcel)
}

/// The same of a dead letter, which has the bindings of the message that it was.
///
/// That message's deduplication id means nothing where it goes now: messages of other queues may have the same, and so has one that
/// comes back from there and fails once more. That it comes from one message is what makes it the same.
pub(crate) fn aside(message: &Message, parcel: &mut Parcel, to_fifo: bool) -> Result<(), String> {
    parcel.deduplication = text(message, &field::ID)?;
    if !to_fifo {
        // An ordinary queue need not know of groups.
        parcel.group = None;
    }
    Ok(())
}

fn text(message: &Message, name: &str) -> Result<Option<String>, String> {
    match message.bindings.get("sqs", name) {
        None | Some(BindingValue::Null) => Ok(None),
        Some(value) => match value.as_str() {
            Some(text) if !text.is_empty() => Ok(Some(text.to_owned())),
            _ => Err(format!("binding `sqs.{name}` cannot be {value:?}")),
        },
    }
}

/// Headers as attributes, and what can be none in one of ours.
fn attributes(headers: &Headers, numbers: &[String], parcel: &mut Parcel) -> Result<(), String> {
    let mut plain: Vec<(String, Value)> = Vec::new();
    let mut packed: Vec<(&str, &Bytes)> = Vec::new();
    let mut names = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let name = std::str::from_utf8(name).map_err(|_| "the name of a header is not UTF-8".to_owned())?;
        names.push((name, value));
    }
    let fits = |at: usize| {
        let (name, value) = names[at];
        is_name(name) && !value.is_empty() && names[..at].iter().all(|(other, _)| *other != name)
    };
    let free = MOST - parcel.attributes.len();
    let all_fit = names.len() <= free && (0..names.len()).all(fits);
    let free = if all_fit { free } else { free - 1 };
    for (at, (name, value)) in names.iter().enumerate() {
        if plain.len() < free && fits(at) {
            plain.push(((*name).to_owned(), typed(name, value, numbers)));
        } else {
            packed.push((name, value));
        }
    }
    parcel.attributes.append(&mut plain);
    if !packed.is_empty() {
        let pair = |(name, value): &(&str, &Bytes)| match std::str::from_utf8(value) {
            Ok(text) => serde_json::json!([name, text]),
            Err(_) => serde_json::json!([name, { "base64": BASE64.encode(value) }]),
        };
        // JSON escapes what SQS does not take as text.
        let json = serde_json::Value::Array(packed.iter().map(pair).collect()).to_string();
        let value = if is_text(&json) { Value::Text(json) } else { Value::Binary(json.into_bytes()) };
        parcel.attributes.push((HEADERS.to_owned(), value));
    }
    Ok(())
}

fn typed(name: &str, value: &Bytes, numbers: &[String]) -> Value {
    match std::str::from_utf8(value) {
        Ok(text) if numbers.iter().any(|number| number == name) && is_number(text) => {
            Value::Number(text.to_owned())
        }
        Ok(text) if is_text(text) => Value::Text(text.to_owned()),
        _ => Value::Binary(value.to_vec()),
    }
}

/// A message that came in.
pub(crate) struct Incoming {
    pub(crate) message: Message,
    /// Where it is settled.
    pub(crate) receipt: String,
    /// How often it was delivered, this time included.
    pub(crate) delivered: u32,
    pub(crate) group: Option<ByteString>,
}

/// A message that came to `address`; out of its envelope where `unwrap` says so and it has one.
pub(crate) fn incoming(address: &ByteString, received: Received, unwrap: bool) -> Incoming {
    let Received { message_id, body, receipt_handle, attributes, message_attributes, .. } = received;
    let mut attributes = attributes.unwrap_or_default();
    let mut message = Message::new(address.clone());
    let body = body.unwrap_or_default();
    let (body, values) = match unwrap.then(|| aws::unwrap(&body)).flatten() {
        Some(enveloped) => enveloped,
        None => {
            let values = message_attributes.unwrap_or_default().into_iter();
            (body, values.filter_map(|(name, value)| Some((name, bytes(value)?))).collect())
        }
    };
    aws::fill(&mut message, body, values);
    if let Some(id) = message_id {
        message.bindings.set(SQS, field::ID, ByteString::from(id));
    }
    let mut text =
        |name| attributes.remove(&name).filter(|text: &String| !text.is_empty()).map(ByteString::from);
    let group = text(MessageSystemAttributeName::MessageGroupId);
    if let Some(group) = &group {
        message.bindings.set(SQS, field::GROUP, group.clone());
    }
    if let Some(id) = text(MessageSystemAttributeName::MessageDeduplicationId) {
        message.bindings.set(SQS, field::DEDUPLICATION, id);
    }
    let delivered = text(MessageSystemAttributeName::ApproximateReceiveCount);
    Incoming {
        message,
        receipt: receipt_handle.unwrap_or_default(),
        delivered: delivered.and_then(|count| count.parse().ok()).unwrap_or(1),
        group,
    }
}

fn bytes(value: MessageAttributeValue) -> Option<Bytes> {
    let MessageAttributeValue { string_value, binary_value, .. } = value;
    string_value.map(Bytes::from).or_else(|| binary_value.map(|blob| Bytes::from(blob.into_inner())))
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::primitives::Blob;

    use super::*;

    /// There and back.
    fn back(message: &Message) -> (Parcel, Message) {
        let parcel = outgoing(message, &["n".to_owned()]).unwrap();
        let mut received = Received::builder().body(&parcel.body).receipt_handle("r");
        for (name, value) in &parcel.attributes {
            let built = MessageAttributeValue::builder().data_type(value.data_type());
            let built = match value {
                Value::Text(text) | Value::Number(text) => built.string_value(text),
                Value::Binary(bytes) => built.binary_value(Blob::new(bytes.clone())),
            };
            received = received.message_attributes(name, built.build().unwrap());
        }
        (parcel, incoming(&"a".into(), received.build(), false).message)
    }

    #[test]
    fn payloads_come_back() {
        for payload in [&b"{}"[..], b"", b"\xff\x00", b"\x01", "ü\u{10000}".as_bytes(), b" "] {
            let message = Message::new("a").payload(payload.to_vec());
            assert_eq!(back(&message).1, message);
        }
        assert_eq!(back(&Message::new("a")).1.payload, None);
        assert_eq!(back(&Message::new("a").payload("plain")).0.attributes, []);
    }

    #[test]
    fn headers_have_types() {
        let message =
            Message::new("a").payload("x").header("b", &b"\xff"[..]).header("n", "7").header("s", "7");
        let (parcel, came) = back(&message);
        let types: Vec<_> =
            parcel.attributes.iter().map(|(name, value)| (name.as_str(), value.data_type())).collect();
        assert_eq!(types, [("b", "Binary"), ("n", "Number"), ("s", "String")]);
        assert_eq!(came.headers, message.headers);
    }

    #[test]
    fn what_is_no_attribute_goes_in_one() {
        let mut message = Message::new("a").payload("x").header("a", "1").header("a", "2").header("b", "");
        message = message.header("b c", &b"\xff"[..]).header("AWS.x", "\u{1}");
        let (parcel, came) = back(&message);
        assert_eq!(parcel.attributes.len(), 2);
        assert_eq!(came.headers, message.headers);
        let mut many = Message::new("a").payload(&b"\xff"[..]);
        for n in 10..30 {
            many = many.header(format!("h{n}"), "v");
        }
        let (parcel, came) = back(&many);
        assert_eq!(parcel.attributes.len(), MOST);
        assert_eq!(came, many);
    }

    #[test]
    fn envelopes_are_opened_on_request() {
        let body = r#"{"Type":"Notification","TopicArn":"t","Message":"hi","MessageAttributes":{
            "a":{"Type":"String","Value":"1"},"b":{"Type":"Binary","Value":"/w=="}}}"#;
        let received = || Received::builder().body(body).receipt_handle("r").build();
        let message = incoming(&"a".into(), received(), true).message;
        assert_eq!(message.payload.as_deref(), Some(&b"hi"[..]));
        assert_eq!(message.headers.get("b"), Some(&b"\xff"[..]));
        let closed = incoming(&"a".into(), received(), false).message;
        assert_eq!(closed.payload.as_deref(), Some(body.as_bytes()));
        let other = Received::builder().body("{}").build();
        assert_eq!(incoming(&"a".into(), other, true).message.payload.as_deref(), Some(&b"{}"[..]));
    }

    #[test]
    fn bindings_go_out_and_come_in() {
        let message = Message::new("a").payload("x").binding("sqs", "message_group_id", "g").binding(
            "sqs",
            "delay_seconds",
            7,
        );
        let parcel = outgoing(&message, &[]).unwrap();
        assert_eq!((parcel.group.as_deref(), parcel.delay), (Some("g"), Some(7)));
        for (field, value) in
            [("delay_seconds", BindingValue::Int(901)), ("message_group_id", BindingValue::Int(1))]
        {
            assert!(outgoing(&Message::new("a").binding("sqs", field, value), &[]).is_err());
        }
        let received = Received::builder()
            .body("x")
            .attributes(MessageSystemAttributeName::MessageGroupId, "g")
            .attributes(MessageSystemAttributeName::ApproximateReceiveCount, "3")
            .build();
        let came = incoming(&"a".into(), received, false);
        assert_eq!((came.group.as_deref(), came.delivered), (Some("g"), 3));
        assert_eq!(
            came.message.bindings.get("sqs", "message_group_id"),
            Some(&BindingValue::Text("g".into()))
        );
    }
}
