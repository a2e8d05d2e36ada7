//! What a document's bindings say to servers, typed by protocol and level.
//!
//! A server names its protocol and gets the fields that the binding's specification has on that level (the protocols' pages of
//! the AsyncAPI bindings specification). The generator has taken out what does not fit, so a field is what it should be or
//! `None`. Bindings of other protocols are JSON, see [`BindingInfo::field`].
//!
//! ```
//! # use amgi::{BindingInfo, ServerInfo};
//! # let server = ServerInfo {
//! #     name: "main", protocol: "mqtt", scheme: "", host: "localhost", path: "",
//! #     bindings: &[BindingInfo { protocol: "mqtt", json: r#"{"keepAlive":30,"lastWill":{"topic":"gone"}}"# }],
//! # };
//! use amgi::bindings::Mqtt;
//!
//! let binding = server.typed::<Mqtt>()?;
//! assert_eq!(binding.keep_alive, Some(30));
//! assert_eq!(binding.last_will.and_then(|will| will.topic).as_deref(), Some("gone"));
//! # Ok::<(), amgi::Error>(())
//! ```

pub mod amqp;
pub mod http;
pub mod kafka;
pub mod mqtt;
pub mod nats;
pub mod sns;
pub mod sqs;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    contract::{BindingInfo, ChannelInfo, MessageInfo, OperationInfo, ServerInfo},
    error::{Error, Result},
};

/// A protocol with typed bindings.
pub trait Protocol {
    /// Keys of its bindings; where several have a field, the first counts.
    const NAMES: &'static [&'static str];
    /// AsyncAPI 3.1, Server Bindings Object.
    type Server: DeserializeOwned + Default;
    /// AsyncAPI 3.1, Channel Bindings Object.
    type Channel: DeserializeOwned + Default;
    /// AsyncAPI 3.1, Operation Bindings Object.
    type Operation: DeserializeOwned + Default;
    /// AsyncAPI 3.1, Message Bindings Object.
    type Message: DeserializeOwned + Default;
}

/// A binding that has no fields, but may have some in another version of its specification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Nothing {}

macro_rules! protocols {
    ($($(#[$docs:meta])+ $protocol:ident $names:tt $server:ty, $channel:ty, $operation:ty, $message:ty;)+) => {$(
        $(#[$docs])+
        #[derive(Debug, Clone, Copy)]
        pub struct $protocol;

        impl Protocol for $protocol {
            const NAMES: &'static [&'static str] = &$names;
            type Server = $server;
            type Channel = $channel;
            type Operation = $operation;
            type Message = $message;
        }
    )+};
}

protocols! {
    /// Apache Kafka.
    Kafka ["kafka"] kafka::Server, kafka::Channel, kafka::Operation, kafka::Message;
    /// MQTT 3.1.1 and 5; `mqtt5` is an old key for the latter.
    Mqtt ["mqtt", "mqtt5", "mqtts", "secure-mqtt"] mqtt::Server, Nothing, mqtt::Operation, mqtt::Message;
    /// Amazon SQS.
    Sqs ["sqs"] Nothing, sqs::Channel, sqs::Operation, Nothing;
    /// Amazon SNS.
    Sns ["sns"] Nothing, sns::Channel, sns::Operation, Nothing;
    /// AMQP 0-9-1.
    Amqp ["amqp", "amqps"] Nothing, amqp::Channel, amqp::Operation, amqp::Message;
    /// NATS.
    Nats ["nats"] Nothing, Nothing, nats::Operation, Nothing;
    /// HTTP.
    Http ["http", "https"] Nothing, Nothing, http::Operation, http::Message;
    /// Redis, whose binding has no fields yet.
    Redis ["redis", "rediss"] Nothing, Nothing, Nothing, Nothing;
}

macro_rules! typed {
    ($($info:ident $what:literal $ty:ident),+) => {$(
        impl $info {
            #[doc = concat!("The ", $what, "'s binding of a protocol; empty when the document has none.")]
            ///
            /// # Errors
            /// [`Error::Config`] when a field is of another type than the binding's specification says, which no
            /// generated application has.
            pub fn typed<P: Protocol>(&self) -> Result<P::$ty> {
                read(self.bindings, P::NAMES).map_err(|error| {
                    Error::Config(format!("{} `{}`, bindings: {error}", $what, self.name))
                })
            }
        }
    )+};
}
typed!(ServerInfo "server" Server, ChannelInfo "channel" Channel, OperationInfo "operation" Operation,
       MessageInfo "message" Message);

fn read<T: DeserializeOwned + Default>(bindings: &[BindingInfo], names: &[&str]) -> serde_json::Result<T> {
    let mut all = Map::new();
    for binding in names.iter().flat_map(|name| bindings.iter().filter(move |b| b.protocol == *name)) {
        for (field, value) in serde_json::from_str::<Map<String, Value>>(binding.json)? {
            all.entry(field).or_insert(value);
        }
    }
    if all.is_empty() { Ok(T::default()) } else { serde_json::from_value(Value::Object(all)) }
}

/// A value, or a JSON Schema for it: some fields may have either.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Or<T> {
    /// The value.
    Value(T),
    /// A JSON Schema that describes it.
    Schema(Value),
}

impl<T: DeserializeOwned + Clone> Or<T> {
    /// The value, or the only one that the schema allows: its `const`, a sole `enum`, else its `default`.
    ///
    /// ```
    /// use amgi::bindings::Or;
    ///
    /// let group: Or<String> = serde_json::from_str(r#"{"type":"string","enum":["billing"]}"#)?;
    /// assert_eq!(group.value().as_deref(), Some("billing"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn value(&self) -> Option<T> {
        let schema = match self {
            Self::Value(value) => return Some(value.clone()),
            Self::Schema(schema) => schema,
        };
        let sole = match schema.get("enum").and_then(Value::as_array).map(Vec::as_slice) {
            Some([sole]) => Some(sole),
            _ => None,
        };
        let value = schema.get("const").or(sole).or_else(|| schema.get("default"))?;
        T::deserialize(value).ok()
    }
}

/// Structs of optional fields.
macro_rules! objects {
    ($($(#[$docs:meta])+ $name:ident { $($(#[$about:meta])+ $field:ident: $ty:ty,)+ })+) => {$(
        $(#[$docs])+
        #[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$about])+ pub $field: Option<$ty>,)+
        }
    )+};
}
use objects;

#[cfg(test)]
mod tests;
