//! CloudEvents: what comes in as a message, and a message as what goes out (CloudEvents 1.0.2, its HTTP binding and JSON format).
//!
//! Whatever the mode, a handler sees the same: attributes are headers `ce-id`, `ce-source` and so on, as in the binary mode, and the
//! content type is the header `content-type`. What must hold: the payload has the bytes that came, also within JSON.

use std::{borrow::Cow, collections::BTreeMap, time::SystemTime};

use amgi::{Bytes, Headers, Message};
use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, CONTENT_TYPE},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};
use serde_json::{Map, Value, value::RawValue};

/// Media types of events within a body.
pub(crate) const STRUCTURED: &str = "application/cloudevents+json";
pub(crate) const BATCH: &str = "application/cloudevents-batch+json";

/// What the names of attributes begin with.
const PREFIX: &str = "ce-";
const TYPE: &str = "ce-type";

/// What the value of an attribute cannot have in a header: HTTP binding, 3.1.3.2. What is not ASCII is always encoded.
const VALUE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// Headers of a request that concern the connection, or who may send, and are no part of the message.
const NOT_RECEIVED: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn is_received(name: &HeaderName) -> bool {
    !NOT_RECEIVED.contains(&name.as_str())
}

/// Whether a message may set it: one that says who sends is its handler's business.
fn is_sent(name: &HeaderName) -> bool {
    is_received(name) || [header::AUTHORIZATION, header::COOKIE].contains(name)
}

/// How a request says what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The body is the payload, headers are the attributes.
    Binary,
    /// The body is an event.
    Structured,
    /// The body is a list of events.
    Batch,
    /// There is no event: the body is the payload.
    Plain,
}

impl Kind {
    /// What `headers` say, or what is wrong with them.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Unfit> {
        let content_type = match headers.get(CONTENT_TYPE) {
            Some(value) => {
                value.to_str().map_err(|_| Unfit::Malformed("content-type: not readable".into()))?
            }
            None => "",
        };
        let mut parts = content_type.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let charset = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.eq_ignore_ascii_case("charset").then(|| value.trim_matches('"').to_ascii_lowercase())
        });
        let kind = match media_type.as_str() {
            STRUCTURED => Self::Structured,
            BATCH => Self::Batch,
            other if other.starts_with("application/cloudevents") => {
                return Err(Unfit::MediaType(format!(
                    "events as `{other}` are not read; {STRUCTURED}, {BATCH} and the binary mode are"
                )));
            }
            _ if headers.keys().any(|name| name.as_str().starts_with(PREFIX)) => return Ok(Self::Binary),
            _ => return Ok(Self::Plain),
        };
        match charset.as_deref() {
            None | Some("utf-8" | "us-ascii") => Ok(kind),
            Some(other) => Err(Unfit::MediaType(format!("the charset `{other}` is not read; utf-8 is"))),
        }
    }
}

/// Why a request is no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    MediaType(String),
}

fn malformed(text: impl Into<String>) -> Unfit {
    Unfit::Malformed(text.into())
}

/// How header names are written, where the document writes them otherwise than HTTP, which has small letters alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spelling(BTreeMap<String, String>);

impl Spelling {
    pub(crate) fn add(&mut self, name: &str) {
        let small = name.to_ascii_lowercase();
        if small != name {
            self.0.entry(small).or_insert_with(|| name.to_owned());
        }
    }

    fn of<'a>(&'a self, name: &'a str) -> &'a str {
        self.0.get(name).map_or(name, String::as_str)
    }
}

/// The headers of a message; those of the event only in the binary mode.
fn headers(map: &HeaderMap, kind: Kind, spelling: &Spelling, into: &mut Headers) -> Result<(), Unfit> {
    let enveloped = matches!(kind, Kind::Structured | Kind::Batch);
    for (name, value) in map {
        if !is_received(name) || (enveloped && *name == CONTENT_TYPE) {
            continue;
        }
        let value = match name.as_str().strip_prefix(PREFIX) {
            Some(_) if enveloped => continue,
            Some(attribute) => Bytes::from(decoded(attribute, value)?),
            None => Bytes::copy_from_slice(value.as_bytes()),
        };
        into.push(spelling.of(name.as_str()).to_owned(), value);
    }
    Ok(())
}

/// The text that the value of an attribute stands for.
fn decoded(attribute: &str, value: &HeaderValue) -> Result<String, Unfit> {
    let bytes = value.as_bytes();
    let plain: Cow<'_, [u8]> = match bytes.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) {
        None => Cow::Borrowed(bytes),
        Some(quoted) => {
            let mut out = Vec::with_capacity(quoted.len());
            let mut rest = quoted.iter();
            while let Some(byte) = rest.next() {
                out.push(if *byte == b'\\' { *rest.next().unwrap_or(byte) } else { *byte });
            }
            Cow::Owned(out)
        }
    };
    String::from_utf8(percent_decode(&plain).collect())
        .map_err(|_| malformed(format!("attribute `{attribute}`: not UTF-8")))
}

/// The events of a request, each as a message without an address.
pub(crate) fn incoming(
    kind: Kind,
    map: &HeaderMap,
    body: Bytes,
    spelling: &Spelling,
) -> Result<Vec<Message>, Unfit> {
    match kind {
        Kind::Plain | Kind::Binary => {
            let mut message = Message::default();
            headers(map, kind, spelling, &mut message.headers)?;
            // Only what has a content has a type of it: an empty payload is told from an absent one by that.
            message.payload = (!body.is_empty() || map.contains_key(CONTENT_TYPE)).then_some(body);
            if kind == Kind::Binary {
                complete(&message.headers)?;
            }
            Ok(vec![message])
        }
        Kind::Structured => {
            let event = serde_json::from_slice(&body)
                .map_err(|error| malformed(format!("the body is no event in JSON: {error}")))?;
            Ok(vec![structured(event, map, kind, spelling)?])
        }
        Kind::Batch => {
            let events: Vec<BTreeMap<String, &RawValue>> = serde_json::from_slice(&body)
                .map_err(|error| malformed(format!("the body is no list of events in JSON: {error}")))?;
            let mut wrong = Vec::new();
            let mut messages = Vec::with_capacity(events.len());
            for (index, event) in events.into_iter().enumerate() {
                match structured(event, map, kind, spelling) {
                    Ok(message) => messages.push(message),
                    Err(error) => wrong.push(format!("event {index}: {error}")),
                }
            }
            if wrong.is_empty() { Ok(messages) } else { Err(malformed(wrong.join("; "))) }
        }
    }
}

fn structured(
    event: BTreeMap<String, &RawValue>,
    map: &HeaderMap,
    kind: Kind,
    spelling: &Spelling,
) -> Result<Message, Unfit> {
    let mut message = Message::default();
    let (mut data, mut binary, mut content_type) = (None, None, None);
    for (name, raw) in event {
        match name.as_str() {
            "data" => data = Some(raw),
            "data_base64" => binary = Some(raw),
            _ => {
                let value = match serde_json::from_str(raw.get()) {
                    Ok(Value::Null) => continue,
                    Ok(Value::String(text)) => text,
                    Ok(Value::Bool(flag)) => flag.to_string(),
                    Ok(Value::Number(_)) => raw.get().to_owned(),
                    _ => return Err(malformed(format!("attribute `{name}`: not a text, number or flag"))),
                };
                if name == "datacontenttype" {
                    content_type = Some(value.clone());
                    message.headers.push("content-type", value);
                } else if HeaderName::from_bytes(name.as_bytes()).is_ok() {
                    message.headers.push(format!("{PREFIX}{}", name.to_ascii_lowercase()), value);
                } else {
                    return Err(malformed(format!("`{name}` cannot be the name of an attribute")));
                }
            }
        }
    }
    complete(&message.headers)?;
    message.payload = match (data, binary) {
        (None, None) => None,
        (Some(_), Some(_)) => return Err(malformed("there is both `data` and `data_base64`")),
        (None, Some(raw)) => {
            let text: String =
                serde_json::from_str(raw.get()).map_err(|_| malformed("`data_base64`: not a text"))?;
            let bytes =
                STANDARD.decode(text).map_err(|error| malformed(format!("`data_base64`: {error}")))?;
            Some(bytes.into())
        }
        (Some(raw), None) => {
            let text = match content_type.as_deref() {
                Some(other) if !is_json(other) => serde_json::from_str::<String>(raw.get()).ok(),
                _ => None,
            };
            Some(text.unwrap_or_else(|| raw.get().to_owned()).into())
        }
    };
    headers(map, kind, spelling, &mut message.headers)?;
    Ok(message)
}

/// Whether the attributes that an event must have are there.
fn complete(headers: &Headers) -> Result<(), Unfit> {
    let missing: Vec<&str> = ["ce-id", "ce-source", "ce-specversion", TYPE]
        .into_iter()
        .filter(|name| headers.get(name).is_none_or(<[u8]>::is_empty))
        .map(|name| &name[PREFIX.len()..])
        .collect();
    if !missing.is_empty() {
        return Err(malformed(format!("an event must have `{}`", missing.join("`, `"))));
    }
    match headers.get("ce-specversion") {
        Some(b"1.0") => Ok(()),
        other => {
            let found = String::from_utf8_lossy(other.unwrap_or_default());
            Err(malformed(format!("events of version `{found}` are not read; 1.0 is")))
        }
    }
}

/// The type of an event.
pub(crate) fn event_type(message: &Message) -> Option<&str> {
    std::str::from_utf8(message.headers.get(TYPE)?).ok()
}

/// Whether a media type is JSON's.
fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type.ends_with("/json") || media_type.ends_with("+json")
}

/// How events are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Attributes are headers, the body is the payload.
    #[default]
    Binary,
    /// The body is the event, in JSON.
    Structured,
}

/// What an event has where the message says nothing.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    pub(crate) mode: Mode,
    pub(crate) source: String,
    pub(crate) content_type: String,
}

/// A message as headers and body.
pub(crate) struct Written {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A message taken apart.
struct Parts {
    /// Names without what they begin with.
    attributes: Vec<(String, String)>,
    headers: HeaderMap,
    content_type: Option<String>,
}

impl Envelope {
    fn parts(&self, message: &Message) -> Result<Parts, String> {
        let content_type = match (message.content_type(), &message.payload) {
            (Some(given), _) => Some(given.to_owned()),
            (None, Some(_)) => Some(self.content_type.clone()),
            (None, None) => None,
        };
        let mut parts = Parts { attributes: Vec::new(), headers: HeaderMap::new(), content_type };
        for (name, value) in &message.headers {
            let shown = String::from_utf8_lossy(name);
            let known =
                HeaderName::from_bytes(name).map_err(|_| format!("header `{shown}`: no name in HTTP"))?;
            if known == CONTENT_TYPE || !is_sent(&known) {
                continue;
            }
            if let Some(attribute) = known.as_str().strip_prefix(PREFIX) {
                let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
                if attribute.is_empty() || !attribute.bytes().all(plain) {
                    return Err(format!(
                        "header `{shown}`: attributes of events have letters and digits alone"
                    ));
                }
                let text = std::str::from_utf8(value)
                    .map_err(|_| format!("header `{shown}`: attributes of events are UTF-8"))?;
                // Said again, the first counts.
                if !parts.has(attribute) {
                    parts.attributes.push((attribute.to_owned(), text.to_owned()));
                }
                continue;
            }
            let value = HeaderValue::from_bytes(value).map_err(|_| {
                format!("header `{shown}`: HTTP has no line breaks and no control characters")
            })?;
            parts.headers.append(known, value);
        }
        Ok(parts)
    }

    fn complete(&self, parts: &mut Parts, kind: &str) {
        let time = || humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let mut set = |name: &str, value: &dyn Fn() -> String| {
            if !parts.has(name) {
                parts.attributes.push((name.to_owned(), value()));
            }
        };
        set("specversion", &|| "1.0".to_owned());
        set("id", &id);
        set("source", &|| self.source.clone());
        set("type", &|| kind.to_owned());
        set("time", &time);
    }

    /// `message` as an event of this type: `always`, or where it has none of its own.
    pub(crate) fn write(&self, message: &Message, kind: &str, always: bool) -> Result<Written, String> {
        let mut parts = self.parts(message)?;
        if always {
            parts.attributes.retain(|(name, _)| name != "type");
        }
        self.complete(&mut parts, kind);
        match self.mode {
            Mode::Binary => parts.binary(message),
            Mode::Structured => {
                let Parts { attributes, mut headers, content_type } = parts;
                let body = document(attributes, content_type, message.payload.as_ref())?;
                let media_type = HeaderValue::from_static("application/cloudevents+json; charset=utf-8");
                headers.insert(CONTENT_TYPE, media_type);
                Ok(Written { headers, body })
            }
        }
    }

    /// `message` as the answer to a request: an event where the request was one, of this type if it has none of its own.
    pub(crate) fn answer(&self, message: &Message, kind: Option<&str>) -> Result<Written, String> {
        let mut parts = self.parts(message)?;
        if let Some(kind) = kind {
            self.complete(&mut parts, kind);
        }
        parts.binary(message)
    }
}

impl Parts {
    fn has(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|(name, _)| name == attribute)
    }

    fn binary(self, message: &Message) -> Result<Written, String> {
        let Self { attributes, mut headers, content_type } = self;
        for (name, value) in attributes {
            let encoded = percent_encode(value.as_bytes(), VALUE).to_string();
            let name = HeaderName::from_bytes(format!("{PREFIX}{name}").as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&encoded)) {
                headers.insert(name, value);
            }
        }
        if let Some(content_type) = content_type {
            let value = HeaderValue::from_str(&content_type);
            headers.insert(CONTENT_TYPE, value.map_err(|_| "content type: no header in HTTP")?);
        }
        Ok(Written { headers, body: message.payload.clone().unwrap_or_default() })
    }
}

/// An event in JSON.
fn document(
    attributes: Vec<(String, String)>,
    content_type: Option<String>,
    payload: Option<&Bytes>,
) -> Result<Bytes, String> {
    let mut event: Map<String, Value> =
        attributes.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
    let json = content_type.as_deref().is_none_or(is_json);
    if let Some(content_type) = content_type {
        event.insert("datacontenttype".to_owned(), content_type.into());
    }
    let mut data = None;
    if let Some(payload) = payload {
        match std::str::from_utf8(payload) {
            Ok(text) if json => data = serde_json::from_str::<&RawValue>(text).ok(),
            Ok(text) => drop(event.insert("data".to_owned(), text.into())),
            Err(_) => {}
        }
        if data.is_none() && !event.contains_key("data") {
            event.insert("data_base64".to_owned(), STANDARD.encode(payload).into());
        }
    }
    let mut text = serde_json::to_string(&event).map_err(|error| error.to_string())?;
    if let Some(data) = data {
        // Every event has attributes. The payload is not made again: numbers keep their digits.
        text.truncate(text.len() - 1);
        text.push_str(",\"data\":");
        text.push_str(data.get());
        text.push('}');
    }
    Ok(text.into())
}

/// A random UUID, version 4.
fn id() -> String {
    let bits = fastrand::u128(..) & !(0xF << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests;
