//! What an application tells a server about its document: constant data, read once at startup.

use std::borrow::Cow;

/// A channel that the application receives from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelInfo {
    /// Key in the document's `channels`.
    pub name: &'static str,
    /// Address with `{parameters}`, see [`Pattern`](crate::address::Pattern).
    pub address: Cow<'static, str>,
    /// Keys of the servers it is on; empty means all.
    pub servers: &'static [&'static str],
    /// Channel bindings.
    pub bindings: &'static [BindingInfo],
    /// Receive operations on it.
    pub operations: &'static [OperationInfo],
    /// An address that fits, parameters filled in with examples.
    pub example_address: Cow<'static, str>,
    /// Address for messages that are given up (`x-amgi-dead-letter`).
    pub dead_letter: Option<&'static str>,
}

/// A receive operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationInfo {
    /// Key in the document's `operations`.
    pub name: &'static str,
    /// Operation bindings.
    pub bindings: &'static [BindingInfo],
    /// Messages it takes.
    pub messages: &'static [MessageInfo],
}

/// A message of a receive operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageInfo {
    /// Name in the document.
    pub name: &'static str,
    /// Content type of the payload.
    pub content_type: &'static str,
    /// Message bindings.
    pub bindings: &'static [BindingInfo],
    /// The document's examples.
    pub examples: &'static [ExampleInfo],
}

/// A message example of the document, ready to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExampleInfo {
    /// Its name; empty when it has none.
    pub name: &'static str,
    /// Header values as a JSON object.
    pub headers: &'static str,
    /// Payload as JSON; `None` where the example has none.
    pub payload: Option<&'static str>,
}

/// A binding object of the document: JSON, or typed for a protocol that `amgi::bindings` knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingInfo {
    /// `AsyncAPI`'s protocol name, such as `mqtt`.
    pub protocol: &'static str,
    /// The object as JSON.
    pub json: &'static str,
}

impl BindingInfo {
    /// A member of the object.
    pub fn field(&self, name: &str) -> Option<serde_json::Value> {
        serde_json::from_str::<serde_json::Value>(self.json).ok()?.get(name).cloned()
    }
}

/// A server of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// Key in the document's `servers`.
    pub name: &'static str,
    /// Protocol, such as `kafka-secure`.
    pub protocol: &'static str,
    /// Host with the defaults of its variables filled in, such as `localhost:1883`.
    pub host: &'static str,
    /// Path with the defaults of its variables filled in; empty when there is none.
    pub path: &'static str,
    /// Server bindings.
    pub bindings: &'static [BindingInfo],
}
