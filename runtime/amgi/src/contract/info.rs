//! What an application tells a server about its document: constant data, read once at startup.

use std::{borrow::Cow, time::Duration};

use crate::reply::Location;

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
    /// How its messages are settled, as far as the document says it.
    pub policy: PolicyInfo,
    /// Whether its messages are handled together (`x-amgi-batch`).
    pub batch: Option<BatchInfo>,
    /// Whether replies to requests of this application come here, and nothing else. Handlers wait for them: a server hands
    /// them over at once, not behind messages that are being handled, not to another instance of a group, and also while it
    /// drains. The in-memory server gives them to who waits, past all layers.
    pub replies: bool,
}

impl ChannelInfo {
    /// A channel of that key and address, of which nothing else is said.
    pub fn new(name: &'static str, address: impl Into<Cow<'static, str>>) -> Self {
        let address = address.into();
        Self {
            name,
            example_address: address.clone(),
            address,
            servers: &[],
            bindings: &[],
            operations: &[],
            dead_letter: None,
            policy: PolicyInfo::NONE,
            batch: None,
            replies: false,
        }
    }

    /// Whether the document puts it on this server. Without a server, and where the document does not say it, it is.
    pub fn is_on(&self, server: Option<&ServerInfo>) -> bool {
        self.servers.is_empty() || server.is_none_or(|server| self.servers.contains(&server.name))
    }
}

/// How messages are settled, as far as the document says it (`x-amgi-*` of an operation or channel). What is `None` is left to
/// the server's `Policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolicyInfo {
    /// `attempts` of `x-amgi-retry`.
    pub attempts: Option<u32>,
    /// `first` of `x-amgi-retry`: pause after the first failure.
    pub first: Option<Duration>,
    /// `most` of `x-amgi-retry`: the longest pause.
    pub most: Option<Duration>,
    /// `jitter` of `x-amgi-retry`.
    pub jitter: Option<bool>,
    /// `then` of `x-amgi-retry`, `dead-letter` or `nack`: whether a message whose attempts are used up is dead-lettered.
    pub then_dead_letter: Option<bool>,
    /// `x-amgi-timeout`: how long an attempt may take.
    pub timeout: Option<Duration>,
    /// `x-amgi-idempotency`.
    pub idempotency: Option<IdempotencyInfo>,
    /// `x-amgi-circuit-breaker`.
    pub breaker: Option<BreakerInfo>,
}

impl PolicyInfo {
    /// A document that says nothing.
    pub const NONE: Self = Self {
        attempts: None,
        first: None,
        most: None,
        jitter: None,
        then_dead_letter: None,
        timeout: None,
        idempotency: None,
        breaker: None,
    };
}

/// `x-amgi-idempotency`: messages with the same key are handled once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyInfo {
    /// Where the key is.
    pub key: Location,
    /// How long it is remembered.
    pub remember: Duration,
}

/// `x-amgi-circuit-breaker`: after so many failures in a row nothing is handled for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerInfo {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open before one message is tried.
    pub pause: Duration,
}

/// `x-amgi-batch`: messages are handled together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchInfo {
    /// The most messages in a batch.
    pub size: usize,
    /// How long the first message waits for others.
    pub wait: Duration,
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
    /// Names of the headers that are looked for in it, as the document writes them; for servers that do not keep capitals.
    pub headers: &'static [&'static str],
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
    /// Scheme of the URL, such as `wss`, where the document gives it (AsyncAPI 2); else empty.
    pub scheme: &'static str,
    /// Host with the defaults of its variables filled in, such as `localhost:1883`.
    pub host: &'static str,
    /// Path with the defaults of its variables filled in; empty when there is none.
    pub path: &'static str,
    /// Server bindings.
    pub bindings: &'static [BindingInfo],
}
