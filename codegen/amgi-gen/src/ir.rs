//! The intermediate representation: what will be written, decided. No tokens, no document.
//!
//! Every name is final and unique in its scope, every choice is made. Templates see it as JSON (`amgi-gen ir SPEC`).

mod policy;
mod types;

use serde::Serialize;

pub use self::{
    policy::{Batch, Breaker, Idempotency, Policy, Retry},
    types::{Field, Missing, Rule, StringVariant, Ty, TypeDef, TypeKind, Variant},
};

/// One generated module.
#[derive(Debug, Clone, Serialize)]
pub struct Api {
    /// Module name, such as `user`.
    pub name: String,
    /// `info.title`.
    pub title: String,
    /// `info.version`.
    pub version: String,
    /// `info.description`.
    pub description: Option<String>,
    /// File name of the document.
    pub source: String,
    /// Hex SHA-256 over everything that was read.
    pub digest: String,
    /// The document as one JSON text.
    #[serde(skip)]
    pub document: String,
    /// Whether the code is divided into modules, which are files where a crate is written.
    pub divided: bool,
    /// Servers of the document.
    pub servers: Vec<Server>,
    /// Channels that have a handler, an address type, or a send.
    pub channels: Vec<Channel>,
    /// Messages that are received, sent or replied.
    pub messages: Vec<Message>,
    /// Enums over several messages: requests, replies, sends.
    pub unions: Vec<Union>,
    /// Send operations.
    pub sends: Vec<Send>,
    /// How an address finds its handlers, in order of precedence.
    pub dispatch: Vec<Route>,
    /// Types of the module `types`.
    pub types: Vec<TypeDef>,
}

impl Api {
    /// Features of the runtime that the generated code needs.
    pub fn features(&self) -> &'static [&'static str] {
        let validated =
            |message: &Message| message.payload.as_ref().is_some_and(|payload| payload.schema.is_some());
        if self.messages.iter().any(validated) { &["validate"] } else { &[] }
    }

    /// Channels that something is received from, each with its handler.
    pub fn handled(&self) -> impl Iterator<Item = (&Channel, &Handler)> {
        self.channels.iter().filter_map(|channel| Some((channel, channel.handler.as_ref()?)))
    }
}

/// A server of the document.
#[derive(Debug, Clone, Serialize)]
pub struct Server {
    /// Key in the document.
    pub key: String,
    /// Protocol.
    pub protocol: String,
    /// Scheme of the URL of AsyncAPI 2, such as `wss`; empty where there is none.
    pub scheme: String,
    /// Host, variables replaced by their defaults.
    pub host: String,
    /// Path, variables replaced by their defaults; may be empty.
    pub path: String,
    /// Summary or description.
    pub docs: Option<String>,
    /// Server bindings.
    pub bindings: Vec<Binding>,
}

/// A binding object as JSON text.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Binding {
    /// Protocol.
    pub protocol: String,
    /// The object as JSON.
    pub json: String,
}

/// A channel.
#[derive(Debug, Clone, Serialize)]
pub struct Channel {
    /// Key in the document.
    pub key: String,
    /// Snake-case name: field of `Handlers`, function of the dispatch.
    pub field: String,
    /// Address with parameters; `None` when it is known only at run time.
    pub address: Option<String>,
    /// Documentation.
    pub docs: Vec<String>,
    /// Type of the address, when it has parameters.
    pub parameters: Option<Parameters>,
    /// The trait, when something is received from the channel.
    pub handler: Option<Handler>,
    /// Keys of the servers it is on; empty means all.
    pub servers: Vec<String>,
    /// Channel bindings.
    pub bindings: Vec<Binding>,
    /// How its messages are settled.
    pub policy: Policy,
}

/// The type of an address with parameters.
#[derive(Debug, Clone, Serialize)]
pub struct Parameters {
    /// Type name.
    pub name: String,
    /// One field a parameter, in the order of the address.
    pub fields: Vec<Parameter>,
}

/// A parameter of an address.
#[derive(Debug, Clone, Serialize)]
pub struct Parameter {
    /// Name between the braces.
    pub wire: String,
    /// Field name.
    pub field: String,
    /// `String`, or a string enum of `types`.
    pub ty: Ty,
    /// A value that the document gives as an example or default.
    pub example: Option<String>,
    /// Documentation.
    pub docs: Vec<String>,
}

/// A handler trait.
#[derive(Debug, Clone, Serialize)]
pub struct Handler {
    /// Trait name.
    pub name: String,
    /// Its methods.
    pub methods: Vec<Method>,
    /// Receive operations on the channel, for the subscription.
    pub operations: Vec<Operation>,
}

/// A receive operation, as servers see it.
#[derive(Debug, Clone, Serialize)]
pub struct Operation {
    /// Key in the document.
    pub key: String,
    /// Operation bindings.
    pub bindings: Vec<Binding>,
    /// Indexes of its messages in [`Api::messages`].
    pub messages: Vec<usize>,
}

/// A method of a handler trait.
#[derive(Debug, Clone, Serialize)]
pub struct Method {
    /// Method name.
    pub name: String,
    /// Documentation.
    pub docs: Vec<String>,
    /// Keys of the operations it serves.
    pub operations: Vec<String>,
    /// Name of the message argument: `message` or `request`.
    pub argument: String,
    /// Messages it takes; with several, `input` is a union.
    pub messages: Vec<usize>,
    /// Type of the message argument.
    pub input: String,
    /// Present for request/reply.
    pub reply: Option<Reply>,
    /// Whether it takes several messages at once.
    pub batch: bool,
}

/// The answer of a method.
#[derive(Debug, Clone, Serialize)]
pub struct Reply {
    /// Type the method returns.
    pub output: String,
    /// Messages it may be.
    pub messages: Vec<usize>,
    /// Where the request says the address.
    pub location: Option<Location>,
    /// Address of the reply channel, when it is constant.
    pub address: Option<String>,
    /// Key of the reply channel, for one who receives the reply.
    pub channel: Option<String>,
    /// Keys of the servers it is on; empty means all.
    pub servers: Vec<String>,
    /// Its bindings, for who receives the reply.
    pub channel_bindings: Vec<Binding>,
    /// Bindings set on the reply by the document: protocol, field, value as JSON.
    pub bindings: Vec<Preset>,
}

/// A runtime expression.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Location {
    /// `$message.header#/NAME`
    Header(String),
    /// `$message.payload#POINTER`
    Payload(String),
}

/// A binding field whose value the document gives.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub struct Preset {
    /// Protocol.
    pub protocol: String,
    /// Field, as AMGI names it.
    pub field: String,
    /// Integer, boolean or string.
    pub value: serde_json::Value,
}

/// A message type.
#[derive(Debug, Clone, Serialize)]
pub struct Message {
    /// Name in the document.
    pub key: String,
    /// Type name.
    pub name: String,
    /// Documentation.
    pub docs: Vec<String>,
    /// Content type of the payload.
    pub content_type: String,
    /// Whether it goes with the message, because it tells it from another one of its channel.
    pub says_type: bool,
    /// How the payload is read; `None` when the message has none.
    pub payload: Option<Payload>,
    /// Type of the headers, when the document describes them.
    pub headers: Option<Fields>,
    /// Type of the bindings, when the document describes values that differ by message.
    pub bindings: Option<Fields>,
    /// Where its correlation id is.
    pub correlation: Option<Location>,
    /// Binding fields that the document sets on every one.
    pub presets: Vec<Preset>,
    /// Message bindings, for servers.
    pub info_bindings: Vec<Binding>,
    /// Examples.
    pub examples: Vec<Example>,
}

/// The payload of a message.
#[derive(Debug, Clone, Serialize)]
pub struct Payload {
    /// Codec.
    pub codec: Codec,
    /// Type.
    pub ty: Ty,
    /// Rules beyond the type.
    pub rules: Vec<Rule>,
    /// The schema as a JSON text for a validator, where type and rules do not say all of it.
    pub schema: Option<String>,
    /// The most bytes it may have, when that is not the runtime's own choice.
    pub most_bytes: Option<usize>,
    /// Whether what is written is read again: only the text tells whether a value fits exactly one alternative.
    pub reread: bool,
}

/// How bytes become a value.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// JSON.
    Json,
    /// UTF-8 text.
    Text,
    /// As they are.
    Raw,
}

/// A struct of scalars that travel one by one: headers or bindings.
#[derive(Debug, Clone, Serialize)]
pub struct Fields {
    /// Type name.
    pub name: String,
    /// Documentation.
    pub docs: Vec<String>,
    /// Its fields.
    pub fields: Vec<WireField>,
}

/// A header or binding.
#[derive(Debug, Clone, Serialize)]
pub struct WireField {
    /// Name on the wire.
    pub wire: String,
    /// Protocol, for a binding.
    pub protocol: Option<String>,
    /// Field name.
    pub field: String,
    /// Type; `Option` where it may be missing.
    pub ty: Ty,
    /// How the bytes hold the value.
    pub scalar: Scalar,
    /// Value when it is missing, as JSON.
    pub default: Option<serde_json::Value>,
    /// Rules beyond the type.
    pub rules: Vec<Rule>,
    /// Whether its value is shown to nobody: `format: password`, `x-sensitive`.
    pub secret: bool,
    /// Documentation.
    pub docs: Vec<String>,
}

/// How a header's or binding's bytes hold a value.
#[derive(Debug, Clone, Copy, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Scalar {
    /// The text itself.
    Text,
    /// JSON text.
    Json,
    /// Either: JSON where it is that, else the text itself.
    Loose,
}

/// A message example.
#[derive(Debug, Clone, Serialize)]
pub struct Example {
    /// Name; may be empty.
    pub name: String,
    /// Header values, a JSON object.
    pub headers: serde_json::Value,
    /// Payload.
    pub payload: Option<serde_json::Value>,
}

/// An enum over several messages.
#[derive(Debug, Clone, Serialize)]
pub struct Union {
    /// Type name.
    pub name: String,
    /// Documentation.
    pub docs: Vec<String>,
    /// Indexes into [`Api::messages`]; variants are named like the messages.
    pub messages: Vec<usize>,
    /// How they are told apart.
    pub select: Select,
}

/// A send operation.
#[derive(Debug, Clone, Serialize)]
pub struct Send {
    /// Method name.
    pub name: String,
    /// Key of the operation.
    pub operation: String,
    /// Index into [`Api::channels`].
    pub channel: usize,
    /// Documentation.
    pub docs: Vec<String>,
    /// Type of the message argument.
    pub input: String,
    /// Messages it takes; with several, `input` is a union.
    pub messages: Vec<usize>,
    /// Bindings set by the document.
    pub bindings: Vec<Preset>,
    /// Present for a request, whose reply is awaited.
    pub reply: Option<Reply>,
    /// `x-amgi-timeout`: how long a reply is awaited, in milliseconds.
    pub timeout: Option<u64>,
}

/// One address and who handles what comes from it.
#[derive(Debug, Clone, Serialize)]
pub struct Route {
    /// Address; `None` when it is given at run time.
    pub address: Option<String>,
    /// Whether it has parameters.
    pub pattern: bool,
    /// Channels with this address, as indexes into [`Api::channels`].
    pub channels: Vec<usize>,
    /// How its messages are told apart.
    pub select: Select,
    /// The messages, in the order in which they are tried.
    pub candidates: Vec<Candidate>,
}

/// A message on a route.
#[derive(Debug, Clone, Serialize)]
pub struct Candidate {
    /// Index into [`Api::channels`].
    pub channel: usize,
    /// Index into the methods of the channel's handler.
    pub method: usize,
    /// Index into [`Api::messages`].
    pub message: usize,
}

/// How several messages are told apart: by what marks them, and where that is not enough by trying.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Select {
    /// Places that are looked at.
    pub keys: Vec<Key>,
    /// The messages in the order in which they are tried.
    pub messages: Vec<Marked>,
}

/// A place that may tell messages apart.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Key {
    /// A text in the payload, under these member names.
    Payload(Vec<String>),
    /// A number or boolean there.
    PayloadJson(Vec<String>),
    /// A header.
    Header(String),
    /// The media type.
    ContentType,
}

/// A message and what marks it.
#[derive(Debug, Clone, Serialize)]
pub struct Marked {
    /// Index into [`Api::messages`].
    pub message: usize,
    /// All of it must hold.
    pub when: Vec<When>,
}

/// What a place must hold.
#[derive(Debug, Clone, Serialize)]
pub struct When {
    /// Index into [`Select::keys`].
    pub key: usize,
    /// Whether it must be there.
    pub required: bool,
    /// One of these: texts, or JSON for [`Key::PayloadJson`].
    pub values: Vec<String>,
}
