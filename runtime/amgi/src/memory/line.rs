//! JSON lines: messages in, events out.

use std::io::Write;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use super::{Event, is_scaffold};
use crate::{
    contract::{BindingValue, Bindings, ExampleInfo, Headers, Message},
    error::Reason,
    server::Outcome,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    address: String,
    #[serde(default)]
    headers: Value,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    payload_text: Option<String>,
    payload_base64: Option<String>,
    #[serde(default)]
    bindings: Map<String, Value>,
}

/// Reads one line of the input.
pub(super) fn parse(text: &str) -> Result<Message, String> {
    let line: Line<'_> = serde_json::from_str(text).map_err(|error| format!("no message ({error})"))?;
    let payload = match (line.payload, line.payload_text, line.payload_base64) {
        (Some(raw), None, None) => Some(Bytes::copy_from_slice(raw.get().as_bytes())),
        (None, Some(text), None) => Some(text.into()),
        (None, None, Some(coded)) => {
            Some(STANDARD.decode(coded).map_err(|error| format!("payload_base64 ({error})"))?.into())
        }
        (None, None, None) => None,
        _ => return Err("payload, payload_text and payload_base64 exclude each other".to_owned()),
    };
    Ok(Message {
        address: line.address.into(),
        headers: headers(&line.headers)?,
        payload,
        bindings: bindings(&line.bindings)?,
    })
}

/// The message of an example of the document.
pub(crate) fn example_message(address: &str, info: &ExampleInfo) -> Message {
    // Both are written by the generator; what it did not write is left out rather than refused.
    let headers =
        serde_json::from_str(info.headers).ok().and_then(|value| headers(&value).ok()).unwrap_or_default();
    let mut message = Message::new(address);
    message.headers = headers;
    message.payload = info.payload.map(|payload| Bytes::from_static(payload.as_bytes()));
    message
}

/// Strings are UTF-8, everything else is JSON text: the way header values cross AMGI.
fn header_value(value: &Value) -> Bytes {
    match value {
        Value::String(text) => Bytes::copy_from_slice(text.as_bytes()),
        other => other.to_string().into(),
    }
}

fn headers(value: &Value) -> Result<Headers, String> {
    match value {
        Value::Null => Ok(Headers::default()),
        Value::Object(map) => {
            Ok(map.iter().map(|(name, value)| (name.clone(), header_value(value))).collect())
        }
        Value::Array(pairs) => pairs
            .iter()
            .map(|pair| match pair.as_array().map(Vec::as_slice) {
                Some([Value::String(name), value]) => Ok((name.clone(), header_value(value))),
                _ => Err("headers must be pairs of name and value".to_owned()),
            })
            .collect(),
        _ => Err("headers must be an object or a list of pairs".to_owned()),
    }
}

fn bindings(map: &Map<String, Value>) -> Result<Bindings, String> {
    let mut bindings = Bindings::default();
    for (protocol, fields) in map {
        let fields = fields.as_object().ok_or_else(|| format!("bindings.{protocol} must be an object"))?;
        for (field, value) in fields {
            let value = match value {
                Value::Null => BindingValue::Null,
                Value::Bool(flag) => (*flag).into(),
                Value::String(text) => text.as_str().into(),
                Value::Number(number) if number.is_i64() => number.as_i64().unwrap_or_default().into(),
                other => other.to_string().into(),
            };
            bindings.set(protocol.clone(), field.clone(), value);
        }
    }
    Ok(bindings)
}

fn text_or_base64(bytes: &[u8]) -> Value {
    std::str::from_utf8(bytes).map_or_else(|_| json!({ "base64": STANDARD.encode(bytes) }), Value::from)
}

fn message_json(kind: &str, message: &Message) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("type".to_owned(), kind.into());
    map.insert("address".to_owned(), (&*message.address).into());
    if !message.headers.is_empty() {
        let mut headers = Map::new();
        for (name, value) in &message.headers {
            headers.entry(String::from_utf8_lossy(name)).or_insert_with(|| text_or_base64(value));
        }
        map.insert("headers".to_owned(), headers.into());
    }
    if let Some(payload) = &message.payload {
        match (serde_json::from_slice::<Value>(payload), std::str::from_utf8(payload)) {
            (Ok(value), _) => map.insert("payload".to_owned(), value),
            (Err(_), Ok(text)) => map.insert("payload_text".to_owned(), text.into()),
            _ => map.insert("payload_base64".to_owned(), STANDARD.encode(payload).into()),
        };
    }
    if !message.bindings.is_empty() {
        let mut protocols = Map::new();
        for binding in &message.bindings {
            let value = match &binding.value {
                BindingValue::Null => Value::Null,
                BindingValue::Bool(flag) => (*flag).into(),
                BindingValue::Int(number) => (*number).into(),
                BindingValue::Text(text) => (&**text).into(),
                BindingValue::Bytes(bytes) => text_or_base64(bytes),
            };
            let fields = protocols.entry(binding.protocol.to_string()).or_insert_with(|| json!({}));
            if let Some(fields) = fields.as_object_mut() {
                fields.insert(binding.field.to_string(), value);
            }
        }
        map.insert("bindings".to_owned(), protocols.into());
    }
    map
}

fn settled_json(message: &Message, outcome: &Outcome) -> Map<String, Value> {
    let kind = if outcome.is_acked() || is_scaffold(outcome) { "message.ack" } else { "message.nack" };
    let mut map = Map::new();
    map.insert("type".to_owned(), kind.into());
    map.insert("address".to_owned(), (&*message.address).into());
    let (note, reason) = match outcome {
        Outcome::Acked => (None, None),
        Outcome::Discarded(reason) => (Some("discarded".to_owned()), Some(reason)),
        Outcome::DeadLettered(reason) => (Some("dead-lettered".to_owned()), Some(reason)),
        outcome if is_scaffold(outcome) => (Some("not implemented yet, skipped".to_owned()), None),
        Outcome::Nacked { reason, disposition } => (Some(disposition.to_string()), Some(reason)),
        Outcome::Unsettled => (Some("not settled".to_owned()), None),
    };
    if let Some(note) = note {
        map.insert("note".to_owned(), note.into());
    }
    if let Some(reason) = reason {
        map.insert("message".to_owned(), reason.to_string().into());
        if let Reason::Rejected(rejection) = reason {
            map.insert("part".to_owned(), rejection.part.to_string().into());
            map.insert("pointer".to_owned(), rejection.pointer.clone().into());
        }
    }
    map
}

/// Prints an event as one JSON object on standard output.
pub(super) fn print(event: Event<'_>) {
    let map = match event {
        Event::Received(_) => return,
        Event::Sent(message) => message_json("message.send", message),
        Event::Settled(message, outcome) => settled_json(message, outcome),
        Event::Unreadable(text) => {
            let mut map = Map::new();
            map.insert("type".to_owned(), "error".into());
            map.insert("message".to_owned(), text.into());
            map
        }
    };
    // A closed pipe ends the output, not the application.
    let _ = writeln!(std::io::stdout().lock(), "{}", Value::Object(map));
}
