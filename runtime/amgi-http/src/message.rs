//! What HTTP has beside headers and payload: the bindings of a message (protocol `http`).

use std::collections::BTreeMap;

use amgi::{BindingValue, Bindings, ByteString, ChannelInfo, Message, OperationInfo, Result, bindings::Http};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Map, Value};

use crate::event::Spelling;

/// The protocol's name in bindings.
pub(crate) const PROTOCOL: &str = "http";

/// The address of the response to a request: what is sent there answers it.
pub(crate) const RESPONSE: &str = "amgi.response";

/// What the addresses begin with at which applications wait for replies whose address the document leaves open. Only who asked can be
/// reached there, by the response.
pub(crate) const INBOX: &str = "amgi.reply.";

pub(crate) mod field {
    pub(crate) const METHOD: &str = "method";
    pub(crate) const QUERY: &str = "query";
    pub(crate) const HEADERS: &str = "headers";
    pub(crate) const REPLY_TO: &str = "reply_to";
    pub(crate) const STATUS_CODE: &str = "status_code";
}

/// What the document says of a channel's requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expected {
    pub(crate) methods: Vec<Method>,
    /// JSON types of the parameters of the query, by name.
    query: BTreeMap<String, String>,
    /// The same of headers that are bindings.
    headers: BTreeMap<String, String>,
}

impl Expected {
    /// What is said of channels that share an address; names of headers are added to `spelling`.
    pub(crate) fn of<'a>(
        channels: impl Iterator<Item = &'a ChannelInfo>,
        spelling: &mut Spelling,
    ) -> Result<Self> {
        let mut expected = Self::default();
        for operation in channels.flat_map(|channel| channel.operations) {
            expected.operation(operation, spelling)?;
        }
        if expected.methods.is_empty() {
            expected.methods.push(Method::POST);
        }
        Ok(expected)
    }

    fn operation(&mut self, operation: &OperationInfo, spelling: &mut Spelling) -> Result<()> {
        let binding = operation.typed::<Http>()?;
        if let Some(method) = binding.method.and_then(|method| method.parse().ok())
            && !self.methods.contains(&method)
        {
            self.methods.push(method);
        }
        if let Some(schema) = &binding.query {
            types(schema, &mut self.query);
        }
        for message in operation.messages {
            if let Some(schema) = &message.typed::<Http>()?.headers {
                types(schema, &mut self.headers);
            }
            message.headers.iter().for_each(|name| spelling.add(name));
        }
        Ok(())
    }

    /// What a request has beside headers and payload.
    pub(crate) fn bindings(&self, method: &Method, query: Option<&str>, map: &HeaderMap) -> Bindings {
        let mut bindings = Bindings::default();
        let mut set = |field: &'static str, text: String| {
            let (protocol, field) = (ByteString::from_static(PROTOCOL), ByteString::from_static(field));
            bindings.set(protocol, field, text);
        };
        if *method != Method::POST {
            set(field::METHOD, method.to_string());
        }
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            let mut members = Map::new();
            for (name, value) in
                reqwest::Url::parse(&format!("http://x/?{query}")).iter().flat_map(|url| url.query_pairs())
            {
                let value = typed(&value, self.query.get(&*name).map(String::as_str));
                add(&mut members, &name, value, self.query.get(&*name).is_some_and(|kind| kind == "array"));
            }
            set(field::QUERY, Value::Object(members).to_string());
        }
        let mut members = Map::new();
        for (name, kind) in &self.headers {
            for value in map.get_all(name.to_ascii_lowercase()) {
                let text = String::from_utf8_lossy(value.as_bytes());
                add(&mut members, name, typed(&text, Some(kind)), kind == "array");
            }
        }
        if !members.is_empty() {
            set(field::HEADERS, Value::Object(members).to_string());
        }
        bindings
    }
}

/// Names and types of the members of an object, as its schema says them.
fn types(schema: &Value, into: &mut BTreeMap<String, String>) {
    for (name, member) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let kind = member.get("type").and_then(Value::as_str).unwrap_or_default();
        into.insert(name.clone(), kind.to_owned());
    }
}

/// A text as the type that the document wants; what is none of it stays a text, and does not fit.
fn typed(text: &str, kind: Option<&str>) -> Value {
    match kind {
        Some("integer" | "number" | "boolean") => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
        }
        _ => Value::String(text.to_owned()),
    }
}

/// Adds a member; one that is there already makes a list of it.
fn add(members: &mut Map<String, Value>, name: &str, value: Value, list: bool) {
    match members.get_mut(name) {
        Some(Value::Array(values)) => values.push(value),
        Some(one) => *one = Value::Array(vec![one.take(), value]),
        None => drop(members.insert(name.to_owned(), if list { vec![value].into() } else { value })),
    }
}

/// A field of what is sent.
fn text<'m>(message: &'m Message, field: &str) -> Option<&'m str> {
    message.bindings.get(PROTOCOL, field).and_then(BindingValue::as_str)
}

/// Names and values of an object, each of a list by itself.
fn pairs(field: &str, json: &str) -> std::result::Result<Vec<(String, String)>, String> {
    let members: Map<String, Value> = serde_json::from_str(json)
        .map_err(|error| format!("binding http.{field}: no object in JSON: {error}"))?;
    let plain = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let mut pairs = Vec::new();
    for (name, value) in members {
        match value {
            Value::Null => {}
            Value::Array(values) => {
                pairs.extend(values.into_iter().map(|value| (name.clone(), plain(value))));
            }
            value => pairs.push((name, plain(value))),
        }
    }
    Ok(pairs)
}

/// The method of a send. Default: POST.
pub(crate) fn method(message: &Message) -> std::result::Result<Method, String> {
    let Some(method) = text(message, field::METHOD) else { return Ok(Method::POST) };
    method.parse().map_err(|_| format!("binding http.method: `{method}` is no method"))
}

/// The query of a send.
pub(crate) fn query(message: &Message) -> std::result::Result<Vec<(String, String)>, String> {
    text(message, field::QUERY).map_or_else(|| Ok(Vec::new()), |json| pairs(field::QUERY, json))
}

/// Adds the headers that are bindings.
pub(crate) fn bound_headers(message: &Message, headers: &mut HeaderMap) -> std::result::Result<(), String> {
    let Some(json) = text(message, field::HEADERS) else { return Ok(()) };
    for (name, value) in pairs(field::HEADERS, json)? {
        let known = HeaderName::from_bytes(name.as_bytes());
        let known = known.map_err(|_| format!("binding http.headers: `{name}` is no name in HTTP"))?;
        let value = HeaderValue::from_str(&value)
            .map_err(|_| format!("binding http.headers: `{name}` has a value that is none in HTTP"))?;
        // What the message itself says comes first.
        headers.entry(known).or_insert(value);
    }
    Ok(())
}

/// The status that a reply is sent with.
pub(crate) fn status(reply: &Message) -> u16 {
    let status = reply.bindings.get(PROTOCOL, field::STATUS_CODE).and_then(BindingValue::as_int);
    status
        .and_then(|status| u16::try_from(status).ok())
        .filter(|status| (200..600).contains(status))
        .unwrap_or(200)
}

#[cfg(test)]
mod tests {
    use amgi::{BindingInfo, MessageInfo};

    use super::*;

    fn expected() -> Expected {
        const MESSAGES: &[MessageInfo] = &[MessageInfo {
            name: "m",
            content_type: "application/json",
            headers: &["correlationId"],
            bindings: &[BindingInfo {
                protocol: "http",
                json: r#"{"headers":{"type":"object","properties":{"X-Count":{"type":"integer"},"X-Text":{"type":"string"}}}}"#,
            }],
            examples: &[],
        }];
        const OPERATIONS: &[OperationInfo] = &[OperationInfo {
            name: "o",
            bindings: &[BindingInfo {
                protocol: "http",
                json: r#"{"method":"PUT","query":{"type":"object","properties":{"n":{"type":"integer"},"tags":{"type":"array"},"s":{"type":"string"}}}}"#,
            }],
            messages: MESSAGES,
        }];
        let channel = ChannelInfo { operations: OPERATIONS, ..ChannelInfo::new("a", "/a") };
        Expected::of([channel].iter(), &mut Spelling::default()).unwrap()
    }

    #[test]
    fn what_the_document_says_becomes_bindings() {
        let expected = expected();
        assert_eq!(expected.methods, [Method::PUT]);
        let mut map = HeaderMap::new();
        map.insert("x-count", HeaderValue::from_static("3"));
        let bindings = expected.bindings(&Method::PUT, Some("n=5&tags=a&s=7&more=x&more=y%26z"), &map);
        let get = |field: &str| bindings.get(PROTOCOL, field).and_then(BindingValue::as_str);
        assert_eq!(get(field::METHOD), Some("PUT"));
        assert_eq!(get(field::QUERY), Some(r#"{"more":["x","y&z"],"n":5,"s":"7","tags":["a"]}"#));
        assert_eq!(get(field::HEADERS), Some(r#"{"X-Count":3}"#));
        assert!(expected.bindings(&Method::POST, Some(""), &HeaderMap::new()).is_empty());
        assert_eq!(
            Expected::of(std::iter::empty(), &mut Spelling::default()).unwrap().methods,
            [Method::POST]
        );
    }

    #[test]
    fn bindings_become_a_request() {
        let message = Message::new("/a")
            .binding("http", "method", "PATCH")
            .binding("http", "query", r#"{"a":["1","2"],"b":true,"c":null}"#)
            .binding("http", "headers", r#"{"X-Count":3}"#);
        assert_eq!(method(&message).unwrap(), Method::PATCH);
        let pairs: Vec<String> = query(&message).unwrap().iter().map(|(a, b)| format!("{a}={b}")).collect();
        assert_eq!(pairs, ["a=1", "a=2", "b=true"]);
        let mut headers = HeaderMap::new();
        bound_headers(&message, &mut headers).unwrap();
        assert_eq!(headers["x-count"], "3");
        let wrong = Message::new("/a")
            .binding("http", "method", "no method")
            .binding("http", "query", "[]")
            .binding("http", "headers", r#"{"a b":1}"#);
        assert!(method(&wrong).is_err() && query(&wrong).is_err());
        assert!(bound_headers(&wrong, &mut headers).is_err());
    }

    #[test]
    fn a_reply_has_a_status_that_is_one() {
        let with = |code: i64| status(&Message::new("a").binding(PROTOCOL, field::STATUS_CODE, code));
        assert_eq!([with(201), with(100), with(-1), with(70_000)], [201, 200, 200, 200]);
    }
}
