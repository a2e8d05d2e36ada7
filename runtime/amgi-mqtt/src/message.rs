//! AMGI messages and MQTT messages: headers, payload and bindings, there and back.

use std::{
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use amgi::{BindingValue, Bindings, ByteString, Bytes, Headers, Message, MessageSend, SendError, SendFuture};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tracing::warn;

use crate::{
    Version,
    outbox::Request,
    topic::Routes,
    wire::{Properties, Publish},
};

/// The protocol's name in bindings.
const MQTT: &str = "mqtt";

/// Names of the bindings, as AMGI spells them.
mod field {
    pub(super) const QOS: &str = "qos";
    pub(super) const RETAIN: &str = "retain";
    pub(super) const DUP: &str = "dup";
    pub(super) const EXPIRY: &str = "message_expiry_interval";
    pub(super) const CONTENT_TYPE: &str = "content_type";
    pub(super) const RESPONSE_TOPIC: &str = "response_topic";
    pub(super) const CORRELATION: &str = "correlation_data";
    pub(super) const FORMAT: &str = "payload_format_indicator";
}

fn set(bindings: &mut Bindings, field: &'static str, value: impl Into<BindingValue>) {
    bindings.set(ByteString::from_static(MQTT), ByteString::from_static(field), value);
}

/// What the application sees of a message that came in.
pub(crate) fn incoming(address: ByteString, publish: Publish) -> Message {
    let mut message = Message::new(address);
    set(&mut message.bindings, field::QOS, publish.qos);
    if publish.retain {
        set(&mut message.bindings, field::RETAIN, true);
    }
    if publish.dup {
        set(&mut message.bindings, field::DUP, true);
    }
    // MQTT has no absent payload, only an empty one.
    message.payload = Some(publish.payload);
    if let Some(properties) = publish.properties {
        let bindings = &mut message.bindings;
        if let Some(seconds) = properties.message_expiry_interval {
            set(bindings, field::EXPIRY, seconds);
        }
        if let Some(text) = properties.content_type {
            set(bindings, field::CONTENT_TYPE, text);
        }
        if let Some(topic) = properties.response_topic {
            set(bindings, field::RESPONSE_TOPIC, topic);
        }
        if let Some(data) = properties.correlation_data {
            set(bindings, field::CORRELATION, data);
        }
        if let Some(format) = properties.payload_format_indicator {
            set(bindings, field::FORMAT, format);
        }
        message.headers = properties.user_properties.into_iter().collect();
    }
    message
}

/// A number that may be written as text, which is how typed bindings cross.
fn number<T: FromStr + TryFrom<i64>>(value: &BindingValue) -> Option<T> {
    match value {
        BindingValue::Int(number) => T::try_from(*number).ok(),
        other => other.as_str()?.parse().ok(),
    }
}

fn flag(value: &BindingValue) -> Option<bool> {
    value.as_bool().or_else(|| value.as_str()?.parse().ok())
}

/// A binding by its name, or by the same in camel case, as `AsyncAPI` writes it.
fn binding<'m, T>(
    message: &'m Message,
    name: &str,
    read: impl FnOnce(&'m BindingValue) -> Option<T>,
) -> Result<Option<T>, String> {
    let value = message.bindings.get(MQTT, name).or_else(|| {
        if !name.contains('_') {
            return None;
        }
        let mut camel = String::with_capacity(name.len());
        for (n, word) in name.split('_').enumerate() {
            let (first, rest) = word.split_at(usize::from(n > 0));
            camel.push_str(&first.to_ascii_uppercase());
            camel.push_str(rest);
        }
        message.bindings.get(MQTT, &camel)
    });
    match value {
        None | Some(BindingValue::Null) => Ok(None),
        Some(value) => {
            read(value).map(Some).ok_or_else(|| format!("binding `mqtt.{name}` cannot be {value:?}"))
        }
    }
}

/// UTF-8 without U+0000 and not longer than MQTT can say.
fn text(what: &str, bytes: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| format!("{what} is not UTF-8, which MQTT requires"))?;
    if text.contains('\0') {
        return Err(format!("{what} holds U+0000, which MQTT forbids"));
    }
    if text.len() > usize::from(u16::MAX) {
        return Err(format!("{what} is longer than 65,535 bytes"));
    }
    Ok(text.to_owned())
}

fn utf8<'m>(what: &'m str) -> impl FnOnce(&'m BindingValue) -> Option<String> {
    move |value| value.as_bytes().and_then(|bytes| text(what, bytes).ok())
}

/// Sends messages of the application through the session.
pub(crate) struct Sender {
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) routes: Arc<Routes>,
    pub(crate) version: Version,
    /// Where neither document nor message says one.
    pub(crate) qos: u8,
    pub(crate) timeout: Duration,
    /// Whether it was said that 3.1.1 has no headers.
    pub(crate) warned: AtomicBool,
}

impl Sender {
    fn outgoing(&self, message: &Message) -> Result<Publish, String> {
        let topic = self.routes.topic(&message.address);
        if topic.is_empty() || topic.contains(['+', '#']) {
            return Err(format!("`{topic}` is no topic to publish to"));
        }
        text("the topic", topic.as_bytes())?;
        let qos = match binding(message, field::QOS, number::<u8>)? {
            Some(qos @ 0..=2) => qos,
            Some(qos) => return Err(format!("qos {qos} does not exist")),
            None => self.qos,
        };
        let mut publish = Publish {
            qos,
            retain: binding(message, field::RETAIN, flag)?.unwrap_or(false),
            topic,
            payload: message.payload.clone().unwrap_or_default(),
            ..Publish::default()
        };
        // A dead letter is a copy of what came in. It must arrive, stay, and not replace a retained message.
        let dead_letter = message.headers.get("amgi-dead-letter-address").is_some();
        if dead_letter {
            publish.qos = publish.qos.max(1);
            publish.retain = false;
        }
        match self.version {
            Version::V5 => publish.properties = properties(message, dead_letter)?.map(Box::new),
            Version::V311 => self.check_headers(message),
        }
        Ok(publish)
    }

    fn check_headers(&self, message: &Message) {
        if !message.headers.is_empty() && !self.warned.swap(true, Ordering::Relaxed) {
            warn!(
                address = %message.address,
                "MQTT 3.1.1 has no headers: they are left out of this message and all others"
            );
        }
    }
}

fn properties(message: &Message, dead_letter: bool) -> Result<Option<Properties>, String> {
    let properties = Properties {
        payload_format_indicator: binding(message, field::FORMAT, number)?,
        message_expiry_interval: binding(message, field::EXPIRY, number)?.filter(|_| !dead_letter),
        response_topic: binding(message, field::RESPONSE_TOPIC, utf8("the response topic"))?,
        correlation_data: binding(message, field::CORRELATION, |value| {
            value.as_bytes().filter(|data| u16::try_from(data.len()).is_ok()).map(Bytes::copy_from_slice)
        })?,
        content_type: binding(message, field::CONTENT_TYPE, utf8("the content type"))?,
        user_properties: user_properties(&message.headers)?,
        ..Properties::default()
    };
    Ok((properties != Properties::default()).then_some(properties))
}

fn user_properties(headers: &Headers) -> Result<Vec<(String, String)>, String> {
    headers
        .iter()
        .map(|(name, value)| {
            let name = text("the name of a header", name)?;
            let value = text(&format!("header `{name}`"), value)?;
            Ok((name, value))
        })
        .collect()
}

impl MessageSend for Sender {
    fn send(&self, message: Message) -> SendFuture<'_> {
        let address = message.address.clone();
        let publish = match self.outgoing(&message) {
            Ok(publish) => publish,
            Err(error) => return SendFuture::ready(Err(SendError::new(address.to_string(), error))),
        };
        SendFuture::pending(async move {
            let (reply, answer) = oneshot::channel();
            let failed = |why: String| Err(SendError::new(address.to_string(), why));
            let sent = async {
                let request = Request { address: address.clone(), publish, reply };
                // Either end is dropped only when the server has ended.
                if self.requests.send(request).await.is_err() {
                    return failed("the server has stopped".to_owned());
                }
                answer.await.unwrap_or_else(|_| failed("the server has stopped".to_owned()))
            };
            match timeout(self.timeout, sent).await {
                Ok(result) => result,
                Err(_) => failed(format!("the broker did not take it within {:?}", self.timeout)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::Mapping;

    fn sender(version: Version) -> Sender {
        let routes = Routes::new(&[], Mapping::levels(), &[], None, false).unwrap();
        Sender {
            requests: mpsc::channel(1).0,
            routes: Arc::new(routes),
            version,
            qos: 1,
            timeout: Duration::from_secs(1),
            warned: AtomicBool::new(false),
        }
    }

    #[test]
    fn a_message_crosses_and_comes_back() {
        let mut message = Message::new("user.7.events")
            .header("trace", "a")
            .header("trace", "b")
            .payload("{}")
            .binding("mqtt", "qos", 2)
            .binding("mqtt", "message_expiry_interval", 60)
            .binding("mqtt", "content_type", "application/json")
            .binding("mqtt", "responseTopic", "answers/7")
            .binding("mqtt", "correlationData", Bytes::from_static(&[0, 255]))
            .binding("kafka", "key", "ignored");
        let publish = sender(Version::V5).outgoing(&message).unwrap();
        assert_eq!((&*publish.topic, publish.qos), ("user/7/events", 2));
        let back = incoming(message.address.clone(), publish);
        assert_eq!(back.headers, message.headers);
        assert_eq!(back.payload, message.payload);
        let get = |name| back.bindings.get("mqtt", name);
        assert_eq!(get("response_topic").and_then(BindingValue::as_str), Some("answers/7"));
        assert_eq!(get("correlation_data").and_then(BindingValue::as_bytes), Some(&[0, 255][..]));
        assert_eq!(get("message_expiry_interval").and_then(BindingValue::as_int), Some(60));
        message.bindings.set("mqtt", "qos", Bytes::from_static(b"0"));
        assert_eq!(sender(Version::V5).outgoing(&message).unwrap().qos, 0, "typed bindings cross as text");
    }

    #[test]
    fn what_mqtt_cannot_say_is_an_error() {
        let sender = sender(Version::V5);
        for message in [
            Message::new("a.b").header("x", &b"\xff"[..]),
            Message::new("a.b").header("x", "a\0b"),
            Message::new("a.b").header("x", "y".repeat(70_000)),
            Message::new("a.b").binding("mqtt", "qos", 3),
            Message::new("a.b").binding("mqtt", "retain", "maybe"),
            Message::new("a/+"),
            Message::new(""),
        ] {
            assert!(sender.outgoing(&message).is_err(), "{message:?}");
        }
    }

    #[test]
    fn dead_letters_arrive_and_stay() {
        let message = Message::new("a.dlq")
            .header("amgi-dead-letter-address", "a")
            .binding("mqtt", "qos", 0)
            .binding("mqtt", "retain", true)
            .binding("mqtt", "messageExpiryInterval", 1);
        let publish = sender(Version::V5).outgoing(&message).unwrap();
        assert_eq!((publish.qos, publish.retain), (1, false));
        assert_eq!(publish.properties.unwrap().message_expiry_interval, None);
    }

    #[test]
    fn version_3_1_1_leaves_headers_out() {
        let message = Message::new("a.b").header("x", "y");
        let publish = sender(Version::V311).outgoing(&message).unwrap();
        assert!(publish.properties.is_none());
    }
}
