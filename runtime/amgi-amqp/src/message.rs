//! Messages as AMGI and AMQP have them.
//!
//! What must hold: what came in and goes out unchanged is the same message, where AMQP can hold it.

use amgi::{BindingValue, Bindings, ByteString, Headers, Message};
use bytes::Bytes;
use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldArray, FieldTable, ShortString},
};

use crate::config::Config;

/// The protocol's name in bindings.
pub(crate) const PROTOCOL: &str = "amqp";

/// How often the broker has delivered the message before, where it counts that: quorum queues do.
const DELIVERY_COUNT: &str = "x-delivery-count";

mod field {
    pub(super) const EXCHANGE: &str = "exchange";
    pub(super) const ROUTING_KEY: &str = "routing_key";
    pub(super) const REDELIVERED: &str = "redelivered";
    pub(super) const DELIVERY_COUNT: &str = "delivery_count";
    pub(super) const MESSAGE_ID: &str = "message_id";
    pub(super) const CORRELATION_ID: &str = "correlation_id";
    pub(super) const REPLY_TO: &str = "reply_to";
    pub(super) const CONTENT_TYPE: &str = "content_type";
    pub(super) const CONTENT_ENCODING: &str = "content_encoding";
    pub(super) const DELIVERY_MODE: &str = "delivery_mode";
    pub(super) const PRIORITY: &str = "priority";
    pub(super) const EXPIRATION: &str = "expiration";
    pub(super) const TIMESTAMP: &str = "timestamp";
    pub(super) const TYPE: &str = "type";
    pub(super) const USER_ID: &str = "user_id";
    pub(super) const APP_ID: &str = "app_id";
    pub(super) const MANDATORY: &str = "mandatory";
    pub(super) const CC: &str = "cc";
    pub(super) const BCC: &str = "bcc";
}

fn text(value: &ShortString) -> ByteString {
    ByteString::from(value.as_str())
}

/// How often the broker has delivered it before, where it says so.
pub(crate) fn deliveries(properties: &BasicProperties) -> Option<u32> {
    match properties.headers().as_ref()?.inner().get(DELIVERY_COUNT)? {
        AMQPValue::LongLongInt(count) => u32::try_from(*count).ok(),
        AMQPValue::LongInt(count) => u32::try_from(*count).ok(),
        AMQPValue::LongUInt(count) => Some(*count),
        _ => None,
    }
}

/// The message of a delivery. The payload is moved.
pub(crate) fn incoming(address: ByteString, delivery: Delivery, config: &Config) -> Message {
    let Delivery { exchange, routing_key, redelivered, properties, data, .. } = delivery;
    let mut message = Message { address, payload: Some(Bytes::from(data)), ..Message::default() };
    let known = |value: String| ByteString::from(value);
    let key = if *routing_key.as_str() == *message.address {
        message.address.clone()
    } else {
        known(routing_key.into())
    };
    let bindings = &mut message.bindings;
    let mut set = |name: &'static str, value: BindingValue| bind(bindings, name, value);
    set(field::EXCHANGE, BindingValue::Text(known(exchange.into())));
    set(field::ROUTING_KEY, BindingValue::Text(key));
    set(field::REDELIVERED, redelivered.into());
    if let Some(count) = deliveries(&properties) {
        set(field::DELIVERY_COUNT, count.into());
    }
    for (name, value) in [
        (field::MESSAGE_ID, properties.message_id()),
        (field::CORRELATION_ID, properties.correlation_id()),
        (field::REPLY_TO, properties.reply_to()),
        (field::CONTENT_TYPE, properties.content_type()),
        (field::CONTENT_ENCODING, properties.content_encoding()),
        (field::TYPE, properties.kind()),
        (field::USER_ID, properties.user_id()),
        (field::APP_ID, properties.app_id()),
    ] {
        if let Some(value) = value {
            set(name, BindingValue::Text(text(value)));
        }
    }
    if let Some(expiration) = properties.expiration() {
        let number = expiration.as_str().parse::<i64>();
        set(field::EXPIRATION, number.map_or_else(|_| text(expiration).into(), BindingValue::Int));
    }
    if let Some(mode) = properties.delivery_mode() {
        set(field::DELIVERY_MODE, (*mode).into());
    }
    if let Some(priority) = properties.priority() {
        set(field::PRIORITY, (*priority).into());
    }
    if let Some(timestamp) = properties.timestamp() {
        set(field::TIMESTAMP, BindingValue::Int(i64::try_from(*timestamp).unwrap_or(i64::MAX)));
    }
    if let Some(table) = properties.headers() {
        message.headers = headers(table);
    }
    for (name, value) in [
        (&config.reply_to_header, properties.reply_to()),
        (&config.correlation_id_header, properties.correlation_id()),
    ] {
        if let Some(value) = value
            && !name.is_empty()
            && message.headers.get(name).is_none()
        {
            message.headers.push(Bytes::copy_from_slice(name.as_bytes()), text(value).into_bytes());
        }
    }
    message
}

fn bind(bindings: &mut Bindings, name: &'static str, value: BindingValue) {
    bindings.set(ByteString::from_static(PROTOCOL), ByteString::from_static(name), value);
}

fn headers(table: &FieldTable) -> Headers {
    let mut headers = Headers::with_capacity(table.inner().len());
    for (name, value) in table {
        if name.as_str() == DELIVERY_COUNT {
            continue;
        }
        let name = Bytes::copy_from_slice(name.as_str().as_bytes());
        match value {
            AMQPValue::FieldArray(values) => {
                for value in values.as_slice() {
                    push(&mut headers, &name, value);
                }
            }
            value => push(&mut headers, &name, value),
        }
    }
    headers
}

/// Texts and bytes as they are, numbers and flags as text; tables have no place in a header.
fn push(headers: &mut Headers, name: &Bytes, value: &AMQPValue) {
    let value = match value {
        AMQPValue::LongString(text) => Bytes::copy_from_slice(text.as_bytes()),
        AMQPValue::ShortString(text) => Bytes::copy_from_slice(text.as_str().as_bytes()),
        AMQPValue::ByteArray(bytes) => Bytes::copy_from_slice(bytes.as_slice()),
        AMQPValue::Boolean(flag) => Bytes::from_static(if *flag { b"true" } else { b"false" }),
        AMQPValue::ShortShortInt(number) => number.to_string().into(),
        AMQPValue::ShortShortUInt(number) => number.to_string().into(),
        AMQPValue::ShortInt(number) => number.to_string().into(),
        AMQPValue::ShortUInt(number) => number.to_string().into(),
        AMQPValue::LongInt(number) => number.to_string().into(),
        AMQPValue::LongUInt(number) => number.to_string().into(),
        AMQPValue::LongLongInt(number) => number.to_string().into(),
        AMQPValue::Timestamp(seconds) => seconds.to_string().into(),
        AMQPValue::Float(number) => number.to_string().into(),
        AMQPValue::Double(number) => number.to_string().into(),
        AMQPValue::DecimalValue(number) => decimal(number.scale, number.value).into(),
        AMQPValue::Void => Bytes::new(),
        AMQPValue::FieldArray(_) | AMQPValue::FieldTable(_) => return,
    };
    headers.push(name.clone(), value);
}

fn decimal(scale: u8, value: u32) -> String {
    let (digits, scale) = (value.to_string(), usize::from(scale));
    if scale == 0 {
        return digits;
    }
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, rest) = digits.split_at(digits.len() - scale);
    format!("{whole}.{rest}")
}

/// A message that is to be published, but for where.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) properties: BasicProperties,
    pub(crate) mandatory: bool,
    /// It came in, and is sent on: it goes by its address.
    pub(crate) passed_on: bool,
    /// It is a copy of what could not be handled.
    pub(crate) dead_letter: bool,
}

/// The exchange and the routing key that a message's own bindings say.
pub(crate) fn place(message: &Message) -> (Option<&str>, Option<&str>) {
    let get = |name| message.bindings.get(PROTOCOL, name).and_then(BindingValue::as_str);
    (get(field::EXCHANGE), get(field::ROUTING_KEY))
}

/// Properties of a message that goes out.
pub(crate) fn outgoing(message: &Message, config: &Config) -> Result<Outgoing, String> {
    let bindings = &message.bindings;
    let dead_letter = message.headers.get("amgi-dead-letter-address").is_some();
    let passed_on = dead_letter || bindings.get(PROTOCOL, field::REDELIVERED).is_some();
    let mut properties = BasicProperties::default();
    let header = |name: &str| {
        let value = (!name.is_empty()).then(|| message.headers.get(name)).flatten()?;
        std::str::from_utf8(value).ok().and_then(|value| ShortString::try_new(value).ok())
    };
    if let Some(id) = short(bindings, field::MESSAGE_ID)? {
        properties = properties.with_message_id(id);
    }
    let id = short(bindings, field::CORRELATION_ID)?.or_else(|| header(&config.correlation_id_header));
    if let Some(id) = id {
        properties = properties.with_correlation_id(id);
    }
    if let Some(to) = short(bindings, field::REPLY_TO)?.or_else(|| header(&config.reply_to_header)) {
        properties = properties.with_reply_to(to);
    }
    if let Some(content_type) = short(bindings, field::CONTENT_TYPE)? {
        properties = properties.with_content_type(content_type);
    }
    if let Some(encoding) = short(bindings, field::CONTENT_ENCODING)? {
        properties = properties.with_content_encoding(encoding);
    }
    if let Some(kind) = short(bindings, field::TYPE)? {
        properties = properties.with_type(kind);
    }
    if let Some(app) = short(bindings, field::APP_ID)? {
        properties = properties.with_app_id(app);
    }
    // Who sends is who sends it on, and what must stay does not expire.
    if let Some(user) = short(bindings, field::USER_ID)?
        && !passed_on
    {
        properties = properties.with_user_id(user);
    }
    if let Some(milliseconds) = number::<u64>(bindings, field::EXPIRATION)?
        && !dead_letter
    {
        properties = properties.with_expiration(milliseconds.to_string().into());
    }
    let mode = match number::<u8>(bindings, field::DELIVERY_MODE)? {
        _ if dead_letter => 2,
        None => 2,
        Some(mode @ 1..=2) => mode,
        Some(mode) => return Err(format!("the binding `delivery_mode` is {mode}, not 1 or 2")),
    };
    properties = properties.with_delivery_mode(mode);
    if let Some(priority) = number::<u8>(bindings, field::PRIORITY)? {
        properties = properties.with_priority(priority);
    }
    properties = match bindings.get(PROTOCOL, field::TIMESTAMP) {
        Some(BindingValue::Bool(true)) => {
            let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            properties.with_timestamp(now.as_secs())
        }
        Some(BindingValue::Bool(false)) | None => properties,
        Some(_) => match number::<u64>(bindings, field::TIMESTAMP)? {
            Some(seconds) => properties.with_timestamp(seconds),
            None => properties,
        },
    };
    let mut table = table(&message.headers, dead_letter)?;
    if !passed_on {
        for (name, header) in [(field::CC, "CC"), (field::BCC, "BCC")] {
            if let Some(keys) = bindings.get(PROTOCOL, name).and_then(BindingValue::as_str) {
                let keys =
                    keys.split(',').map(|key| AMQPValue::LongString(key.trim().as_bytes().to_vec().into()));
                table.insert(header.into(), AMQPValue::FieldArray(keys.collect::<Vec<_>>().into()));
            }
        }
    }
    if !table.inner().is_empty() {
        properties = properties.with_headers(table);
    }
    let mandatory = match bindings.get(PROTOCOL, field::MANDATORY) {
        Some(value) if !dead_letter => value
            .as_bool()
            .or_else(|| value.as_str()?.parse().ok())
            .ok_or("the binding `mandatory` is no flag")?,
        _ => true,
    };
    Ok(Outgoing { properties, mandatory, passed_on, dead_letter })
}

fn short(bindings: &Bindings, name: &str) -> Result<Option<ShortString>, String> {
    let Some(value) = bindings.get(PROTOCOL, name) else { return Ok(None) };
    let text = match value {
        BindingValue::Int(number) => number.to_string(),
        value => value.as_str().ok_or_else(|| format!("the binding `{name}` is no text"))?.to_owned(),
    };
    let short = ShortString::try_new(text);
    short.map(Some).map_err(|_| format!("the binding `{name}` is longer than 255 bytes"))
}

/// Typed bindings cross as text.
fn number<T: TryFrom<i64> + std::str::FromStr>(bindings: &Bindings, name: &str) -> Result<Option<T>, String> {
    let Some(value) = bindings.get(PROTOCOL, name) else { return Ok(None) };
    let number = match value {
        BindingValue::Int(number) => T::try_from(*number).ok(),
        value => value.as_str().and_then(|text| text.parse().ok()),
    };
    number.map(Some).ok_or_else(|| format!("the binding `{name}` is {value:?}, which it cannot be"))
}

/// Most bytes of headers: they must fit one frame, and a broker closes the connection when they do not.
const HEADERS: usize = 100_000;

/// Headers as a table. Names that repeat become one with a list.
fn table(headers: &Headers, dead_letter: bool) -> Result<FieldTable, String> {
    let mut table = std::collections::BTreeMap::<ShortString, AMQPValue>::new();
    let mut bytes = 0;
    for (name, value) in headers {
        let name = std::str::from_utf8(name).map_err(|_| "the name of a header is not UTF-8".to_owned())?;
        // A copy must not be routed by the original's further keys.
        if dead_letter && matches!(name, "CC" | "BCC") {
            continue;
        }
        bytes += name.len() + value.len() + 8;
        let key = ShortString::try_new(name)
            .map_err(|_| "the name of a header is longer than 255 bytes".to_owned())?;
        let value = match std::str::from_utf8(value) {
            Ok(_) => AMQPValue::LongString(value.to_vec().into()),
            Err(_) => AMQPValue::ByteArray(value.to_vec().into()),
        };
        match table.get_mut(&key) {
            None => {
                table.insert(key, value);
            }
            Some(AMQPValue::FieldArray(values)) => values.push(value),
            Some(first) => {
                let mut values = FieldArray::default();
                values.push(std::mem::replace(first, AMQPValue::Void));
                values.push(value);
                *first = AMQPValue::FieldArray(values);
            }
        }
    }
    if bytes > HEADERS {
        return Err(format!("the headers have {bytes} bytes, and {HEADERS} are the most that a frame holds"));
    }
    Ok(table.into())
}
