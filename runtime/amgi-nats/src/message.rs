//! AMGI messages and NATS messages: headers, payload and bindings, there and back.

use amgi::{BindingValue, ByteString, Bytes, Headers, Message};
use async_nats::{HeaderMap, HeaderName, HeaderValue};

/// The protocol's name in bindings.
pub(crate) const NATS: &str = "nats";

/// Names of the bindings.
pub(crate) mod field {
    /// Subject that a reply is expected at.
    pub(crate) const REPLY_TO: &str = "reply_to";
    /// How often JetStream has delivered the message, this time included.
    pub(crate) const DELIVERED: &str = "delivered";
}

/// What the application sees of a message that came in.
pub(crate) fn incoming(address: ByteString, payload: Bytes, headers: Option<&HeaderMap>) -> Message {
    let mut message = Message::new(address);
    // NATS has no absent payload, only an empty one.
    message.payload = Some(payload);
    if let Some(headers) = headers.filter(|headers| !headers.is_empty()) {
        message.headers = incoming_headers(headers);
    }
    message
}

/// The client keeps headers by name, in no order: they are sorted, and the values of each stay in theirs.
fn incoming_headers(headers: &HeaderMap) -> Headers {
    let mut names: Vec<(&HeaderName, &Vec<HeaderValue>)> = headers.iter().collect();
    names.sort_unstable_by(|a, b| AsRef::<str>::as_ref(a.0).cmp(b.0.as_ref()));
    let mut out = Headers::with_capacity(names.iter().map(|(_, values)| values.len()).sum());
    for (name, values) in names {
        let name = Bytes::copy_from_slice(name.as_ref());
        for value in values {
            out.push(name.clone(), Bytes::copy_from_slice(value.as_ref()));
        }
    }
    out
}

/// The headers of a message that goes out.
pub(crate) fn outgoing_headers(message: &Message) -> Result<Option<HeaderMap>, String> {
    if message.headers.is_empty() {
        return Ok(None);
    }
    let mut out = HeaderMap::new();
    for (name, value) in &message.headers {
        let name = std::str::from_utf8(name).map_err(|_| "the name of a header is not UTF-8".to_owned())?;
        let value = std::str::from_utf8(value)
            .map_err(|_| format!("header `{name}` is not UTF-8, which NATS requires"))?;
        let key: HeaderName = name.parse().map_err(|_| {
            format!("`{name}` is no name of a header: it must be ASCII without `:` and spaces")
        })?;
        // What is said of a dead letter may have several lines; it must arrive all the same.
        let value: HeaderValue = if name.starts_with("amgi-dead-letter-") {
            value.replace(['\r', '\n'], " ").parse()
        } else {
            value.parse()
        }
        .map_err(|_| format!("header `{name}` has line breaks, which NATS forbids"))?;
        out.append(key, value);
    }
    Ok(Some(out))
}

/// The subject that the message asks its reply to go to.
pub(crate) fn reply_to(message: &Message) -> Result<Option<ByteString>, String> {
    let value = message.bindings.get(NATS, field::REPLY_TO).or_else(|| message.bindings.get(NATS, "replyTo"));
    match value {
        None | Some(BindingValue::Null) => Ok(None),
        Some(value) => match value.as_str() {
            Some(text) if !text.is_empty() => Ok(Some(ByteString::from(text))),
            _ => Err(format!("binding `nats.reply_to` cannot be {value:?}")),
        },
    }
}

/// How often messages of a consumer were delivered.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    /// What is in front of the count, of the last message.
    front: String,
}

impl Deliveries {
    /// That of a message, by the subject that it is acknowledged at: `$JS.ACK.<stream>.<consumer>.<delivered>.…`, with domain and
    /// account in front of the stream on newer servers.
    pub(crate) fn of(&mut self, acknowledge_at: &str) -> u32 {
        if self.front.is_empty() || !acknowledge_at.starts_with(&self.front) {
            let mut dots = acknowledge_at.match_indices('.').map(|(at, _)| at);
            let place = if dots.clone().count() >= 10 { 5 } else { 3 };
            let count = dots.nth(place).map_or(acknowledge_at.len(), |dot| dot + 1);
            acknowledge_at[..count].clone_into(&mut self.front);
        }
        let count = acknowledge_at[self.front.len()..].split('.').next();
        count.and_then(|count| count.parse().ok()).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_read_from_both_kinds_of_subjects() {
        let mut deliveries = Deliveries::default();
        for _ in 0..2 {
            assert_eq!(deliveries.of("$JS.ACK.events.durable.3.100.7.1790230470084404000.42"), 3);
            assert_eq!(deliveries.of("$JS.ACK.events.durable.12.100.7.1790230470084404000.42"), 12);
            assert_eq!(deliveries.of("$JS.ACK._.szMpdrwD.events.durable.2.1.1.1790230470084404000.1"), 2);
            assert_eq!(deliveries.of("elsewhere"), 1);
        }
    }

    #[test]
    fn headers_go_both_ways() {
        let message = Message::new("a").header("b", "1").header("a", "x").header("b", "2");
        let headers = outgoing_headers(&message).unwrap().unwrap();
        let back: Vec<_> = incoming_headers(&headers)
            .iter()
            .map(|(n, v)| (String::from_utf8_lossy(n).into_owned(), String::from_utf8_lossy(v).into_owned()))
            .collect();
        let expected = [("a", "x"), ("b", "1"), ("b", "2")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(back, expected);
    }

    #[test]
    fn headers_that_nats_cannot_carry_are_refused() {
        for (name, value) in [("a b", &b"x"[..]), ("a:b", b"x"), ("ü", b"x"), ("a", b"\xFF"), ("a", b"1\n2")]
        {
            let message = Message::new("a").header(name.as_bytes(), value);
            assert!(outgoing_headers(&message).is_err(), "{name} {value:?}");
        }
        let message = Message::new("a").header("amgi-dead-letter-reason", "one\ntwo");
        assert!(outgoing_headers(&message).is_ok());
    }
}
