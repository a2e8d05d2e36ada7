//! JSON lines: messages in, events out.

use std::{
    borrow::Cow,
    collections::HashSet,
    io::{self, BufRead, Write},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json, value::RawValue};
use tokio::sync::mpsc;

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
    #[serde(borrow, default, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
    payload_text: Option<String>,
    payload_base64: Option<String>,
    #[serde(default)]
    bindings: Map<String, Value>,
}

/// Whatever stands there, so that only an absent payload is none: `null` is JSON like any other.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// How many lines are read ahead of the application.
const MOST_AHEAD: usize = 16;

/// The lines of standard input.
///
/// They come from a thread that nobody joins: a read of standard input cannot be interrupted, and the runtime would wait
/// for one of its own, which holds up a stop until the next line.
pub(super) fn stdin() -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(MOST_AHEAD);
    std::thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            // Nobody receives any more: the server has ended.
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Reads one line of the input, without white space around it.
pub(super) fn parse(line: &[u8]) -> Result<Message, String> {
    let text = std::str::from_utf8(line).map_err(|error| format!("not UTF-8 ({error})"))?;
    // A derived `Deserialize` takes an array for an object too.
    if !text.starts_with('{') {
        return Err("no message (not a JSON object)".to_owned());
    }
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

/// An object as long as names differ, else a list of pairs; both are what the input takes.
fn report_headers(headers: &Headers) -> Option<Value> {
    if headers.is_empty() {
        return None;
    }
    let mut seen = HashSet::new();
    let differ = headers.iter().all(|(name, _)| seen.insert(String::from_utf8_lossy(name)));
    let pairs = headers
        .iter()
        .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), text_or_base64(value)));
    Some(if differ { pairs.collect() } else { pairs.map(|(name, value)| json!([name, value])).collect() })
}

/// The same JSON without line breaks. They are never within a string, where JSON escapes them, so nothing has to be
/// parsed, and numbers and the order of members stay as they are.
fn on_one_line(raw: &RawValue) -> Cow<'_, RawValue> {
    let breaks = ['\n', '\r'];
    if !raw.get().contains(breaks) {
        return Cow::Borrowed(raw);
    }
    let line: String = raw.get().split(breaks).map(str::trim).collect();
    RawValue::from_string(line).map_or(Cow::Borrowed(raw), Cow::Owned)
}

/// One line of the output. Members in this order, those without a value left out.
#[derive(Serialize)]
struct Report<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    bindings: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<&'a str>,
}

impl<'a> Report<'a> {
    fn new(kind: &'static str, address: Option<&'a str>) -> Self {
        Self {
            r#type: kind,
            address,
            headers: None,
            payload: None,
            payload_text: None,
            payload_base64: None,
            bindings: Map::new(),
            note: None,
            message: None,
            part: None,
            pointer: None,
        }
    }

    fn sent(message: &'a Message) -> Self {
        let mut report = Self::new("message.send", Some(&message.address));
        report.headers = report_headers(&message.headers);
        if let Some(payload) = &message.payload {
            match (serde_json::from_slice(payload), std::str::from_utf8(payload)) {
                (Ok(raw), _) => report.payload = Some(on_one_line(raw)),
                (Err(_), Ok(text)) => report.payload_text = Some(text),
                _ => report.payload_base64 = Some(STANDARD.encode(payload)),
            }
        }
        for binding in &message.bindings {
            let value = match &binding.value {
                BindingValue::Null => Value::Null,
                BindingValue::Bool(flag) => (*flag).into(),
                BindingValue::Int(number) => (*number).into(),
                BindingValue::Text(text) => (&**text).into(),
                BindingValue::Bytes(bytes) => text_or_base64(bytes),
            };
            let fields = report.bindings.entry(binding.protocol.to_string()).or_insert_with(|| json!({}));
            if let Some(fields) = fields.as_object_mut() {
                fields.insert(binding.field.to_string(), value);
            }
        }
        report
    }

    fn settled(message: &'a Message, outcome: &'a Outcome) -> Self {
        let kind = if outcome.is_acked() || is_scaffold(outcome) { "message.ack" } else { "message.nack" };
        let mut report = Self::new(kind, Some(&message.address));
        let (note, reason) = match outcome {
            Outcome::Acked => (None, None),
            Outcome::Discarded(reason) => (Some("discarded".to_owned()), Some(reason)),
            Outcome::DeadLettered(reason) => (Some("dead-lettered".to_owned()), Some(reason)),
            outcome if is_scaffold(outcome) => (Some("not implemented yet, skipped".to_owned()), None),
            Outcome::Nacked { reason, disposition } => (Some(disposition.to_string()), Some(reason)),
            Outcome::Unsettled => (Some("not settled".to_owned()), None),
        };
        report.note = note;
        report.message = reason.map(ToString::to_string);
        if let Some(Reason::Rejected(rejection)) = reason {
            report.part = Some(rejection.part().to_string());
            report.pointer = Some(rejection.pointer());
        }
        report
    }
}

/// The line that is printed for a message that is sent.
#[cfg(feature = "cli")]
pub(crate) fn sent_line(message: &Message) -> String {
    // All keys are strings and all values are JSON, so this cannot fail.
    serde_json::to_string(&Report::sent(message)).map(|line| line + "\n").unwrap_or_default()
}

/// Prints an event as one JSON object on standard output.
pub(super) fn print(event: Event<'_>) {
    let report = match event {
        Event::Received(_) => return,
        Event::Sent(message) => Report::sent(message),
        Event::Settled(message, outcome) => Report::settled(message, outcome),
        Event::Unreadable(text) => Report { message: Some(text.to_owned()), ..Report::new("error", None) },
    };
    // All keys are strings and all values are JSON, so this cannot fail.
    let Ok(mut line) = serde_json::to_vec(&report) else { return };
    line.push(b'\n');
    // A closed pipe ends the output, not the application.
    let _ = std::io::stdout().lock().write_all(&line);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(line: &str) -> Option<Bytes> {
        parse(line.as_bytes()).unwrap().payload
    }

    fn sent(message: &Message) -> String {
        serde_json::to_string(&Report::sent(message)).unwrap()
    }

    #[test]
    fn a_null_payload_is_a_payload() {
        assert_eq!(payload(r#"{"address":"a","payload":null}"#).as_deref(), Some(&b"null"[..]));
        assert_eq!(payload(r#"{"address":"a"}"#), None);
        assert!(parse(br#"{"address":"a","payload":null,"payload_text":"b"}"#).is_err());
    }

    #[test]
    fn only_objects_are_messages() {
        for line in [r#"["a",{},1]"#, "1", "\"a\"", "null", "a"] {
            assert_eq!(parse(line.as_bytes()).unwrap_err(), "no message (not a JSON object)", "{line}");
        }
        let error = parse(b"{\"address\":\"\xFF\"}").unwrap_err();
        assert!(error.starts_with("not UTF-8 ("), "{error}");
    }

    #[test]
    fn a_payload_with_line_breaks_is_printed_on_one_line() {
        let pretty =
            "{\n  \"b\": \"x  \\n\",\r\n  \"a\": [\n    1e400,\n    10000000000000000000000001\n  ]\n}";
        let line = sent(&Message::new("a").payload(pretty));
        let expected = r#""payload":{"b": "x  \n","a": [1e400,10000000000000000000000001]}"#;
        assert!(line.contains(expected) && !line.contains(['\n', '\r']), "{line}");
    }

    #[test]
    fn repeated_headers_are_all_printed() {
        let message = Message::new("a").header("h", "1").header("g", "2");
        assert_eq!(sent(&message), r#"{"type":"message.send","address":"a","headers":{"g":"2","h":"1"}}"#);
        let message = message.header("h", "3");
        let pairs = r#"[["h","1"],["g","2"],["h","3"]]"#;
        assert!(sent(&message).contains(&format!(r#""headers":{pairs}"#)), "{}", sent(&message));
        // What is printed is what can be read.
        let line = format!(r#"{{"address":"a","headers":{pairs}}}"#);
        assert_eq!(parse(line.as_bytes()).unwrap().headers, message.headers);
    }
}
