//! The version-free document: what an AsyncAPI document says, whichever version says it.
//!
//! Objects lie in arenas and name each other by typed [`Id`]s; every `$ref` between AsyncAPI objects is already
//! resolved, traits are already merged. Order is the order of the document. Schemas keep their JSON Schema form as a
//! [`Node`] tree in which each `$ref` is an id of this arena, see [`Schema`].

use std::{fmt, hash, marker::PhantomData, ops};

use crate::{diag::Span, node::Node};

/// Index into an arena of the [`Document`], usable with `document[id]`.
pub struct Id<T>(u32, PhantomData<fn() -> T>);

impl<T> Id<T> {
    /// The id of the element at `index` of its arena.
    ///
    /// # Panics
    /// When the index does not fit 32 bits, which no document that passes the size limit reaches.
    pub fn new(index: usize) -> Self {
        Self(u32::try_from(index).expect("arena index fits 32 bits"), PhantomData)
    }

    /// Position in its arena.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<T> hash::Hash for Id<T> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A whole AsyncAPI document.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// `asyncapi`, as written, such as `3.1.0`.
    pub version: String,
    /// `info`.
    pub info: Info,
    /// `defaultContentType`.
    pub default_content_type: Option<String>,
    /// Root `servers`.
    pub servers: Vec<Server>,
    /// Root `channels`, then channels that only `components` or a reply names.
    pub channels: Vec<Channel>,
    /// Root `operations`.
    pub operations: Vec<Operation>,
    /// Every message that a channel lists. A message component used by two channels is one message.
    pub messages: Vec<Message>,
    /// `components.securitySchemes`, in order.
    pub security_schemes: Vec<Security>,
    /// Every schema that is named by a message, parameter or binding, and every schema those refer to.
    pub schemas: Vec<Schema>,
    /// `x-` extensions of the root.
    pub extensions: Vec<(String, Node)>,
}

macro_rules! arena {
    ($($kind:ident in $field:ident),*) => {$(
        impl ops::Index<Id<$kind>> for Document {
            type Output = $kind;
            fn index(&self, id: Id<$kind>) -> &$kind {
                &self.$field[id.index()]
            }
        }
    )*};
}
arena!(Server in servers, Channel in channels, Operation in operations, Message in messages, Schema in schemas);

/// AsyncAPI 3.1, Info Object.
#[derive(Debug, Clone, Default)]
pub struct Info {
    /// Name of the application.
    pub title: String,
    /// Version of the application's API.
    pub version: String,
    /// Description, CommonMark.
    pub description: Option<String>,
    /// Address of the terms of service.
    pub terms_of_service: Option<String>,
    /// `contact`.
    pub contact: Option<Contact>,
    /// `license.name`.
    pub license: Option<String>,
    /// Names of `tags`; before AsyncAPI 3 those of the root.
    pub tags: Vec<String>,
    /// Address and text of `externalDocs`; before AsyncAPI 3 those of the root.
    pub external: Option<(String, Option<String>)>,
    /// `x-` extensions.
    pub extensions: Vec<(String, Node)>,
    /// Where the object lies.
    pub span: Span,
}

/// AsyncAPI 3.1, Contact Object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contact {
    /// Name of a person or organisation.
    pub name: Option<String>,
    /// Address of a page.
    pub url: Option<String>,
    /// Email address.
    pub email: Option<String>,
}

/// AsyncAPI 3.1, Security Scheme Object, as it is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Security {
    /// Key of the component; `None` for a scheme that stands inline.
    pub name: Option<String>,
    /// `type`, such as `scramSha256`.
    pub kind: String,
    /// Description, CommonMark.
    pub description: Option<String>,
    /// Scopes that are needed, of a scheme that has scopes.
    pub scopes: Vec<String>,
    /// The whole scheme, as data.
    pub value: Node,
}

/// What describes any AsyncAPI object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Docs {
    /// Human-friendly title.
    pub title: Option<String>,
    /// One line.
    pub summary: Option<String>,
    /// CommonMark.
    pub description: Option<String>,
    /// Address and text of `externalDocs`.
    pub external: Option<(String, Option<String>)>,
    /// Names of `tags`.
    pub tags: Vec<String>,
}

/// AsyncAPI 3.1, Server Object.
#[derive(Debug, Clone)]
pub struct Server {
    /// Key in `servers`.
    pub key: String,
    /// Scheme of the URL of AsyncAPI 2, such as `wss`; version 3 says none.
    pub scheme: Option<String>,
    /// `host`, with `{variables}`.
    pub host: String,
    /// `pathname`, with `{variables}`.
    pub pathname: Option<String>,
    /// `protocol`, such as `kafka`.
    pub protocol: String,
    /// `protocolVersion`.
    pub protocol_version: Option<String>,
    /// Title, summary, description.
    pub docs: Docs,
    /// Variables of host and pathname.
    pub variables: Vec<ServerVariable>,
    /// Ways to authenticate, one of which is enough; each is all of its schemes. Empty where none is asked for.
    pub security: Vec<Vec<Security>>,
    /// Bindings by protocol, whole trees.
    pub bindings: Vec<Binding>,
    /// `x-` extensions.
    pub extensions: Vec<(String, Node)>,
    /// Where its key lies.
    pub span: Span,
}

/// AsyncAPI 3.1, Server Variable Object.
#[derive(Debug, Clone, Default)]
pub struct ServerVariable {
    /// Name between the braces.
    pub name: String,
    /// Allowed values; empty means any.
    pub values: Vec<String>,
    /// Value when none is given.
    pub default: Option<String>,
    /// Description, CommonMark.
    pub description: Option<String>,
}

/// AsyncAPI 3.1, Channel Object.
#[derive(Debug, Clone)]
pub struct Channel {
    /// Key in `channels`; before AsyncAPI 3 that is the address.
    pub key: String,
    /// Address with `{parameters}`; `None` when it is null or absent, that is known only at run time.
    pub address: Option<String>,
    /// Title, summary, description.
    pub docs: Docs,
    /// Servers it is on; empty means all.
    pub servers: Vec<Id<Server>>,
    /// Parameters in the order of `parameters`.
    pub parameters: Vec<Parameter>,
    /// Messages by their key in the channel.
    pub messages: Vec<(String, Id<Message>)>,
    /// Bindings by protocol.
    pub bindings: Vec<Binding>,
    /// `x-` extensions.
    pub extensions: Vec<(String, Node)>,
    /// Where its key lies.
    pub span: Span,
}

/// AsyncAPI 3.1, Parameter Object. Parameters are strings.
#[derive(Debug, Clone, Default)]
pub struct Parameter {
    /// Name between the braces.
    pub name: String,
    /// Description, CommonMark.
    pub description: Option<String>,
    /// Allowed values; empty means any.
    pub values: Vec<String>,
    /// Value when none is given.
    pub default: Option<String>,
    /// Examples.
    pub examples: Vec<String>,
    /// Runtime expression that says where the value is in a message.
    pub location: Option<String>,
    /// Where its key lies.
    pub span: Span,
}

/// AsyncAPI 3.1, Message Object, traits merged.
#[derive(Debug, Clone)]
pub struct Message {
    /// Key of the component where it is one, else its key in the channel; before AsyncAPI 3 `name`, `messageId`, or the
    /// address.
    pub key: String,
    /// `name`.
    pub name: Option<String>,
    /// Title, summary, description.
    pub docs: Docs,
    /// `contentType`, else the document's default.
    pub content_type: Option<String>,
    /// `payload`.
    pub payload: Option<Id<Schema>>,
    /// `headers`.
    pub headers: Option<Id<Schema>>,
    /// Runtime expression of `correlationId.location`.
    pub correlation_id: Option<String>,
    /// Bindings by protocol.
    pub bindings: Vec<Binding>,
    /// `examples`.
    pub examples: Vec<MessageExample>,
    /// `x-` extensions.
    pub extensions: Vec<(String, Node)>,
    /// Where it lies.
    pub span: Span,
}

/// AsyncAPI 3.1, Message Example Object.
#[derive(Debug, Clone)]
pub struct MessageExample {
    /// Machine-friendly name.
    pub name: Option<String>,
    /// One line.
    pub summary: Option<String>,
    /// Object of header values.
    pub headers: Option<Node>,
    /// Payload.
    pub payload: Option<Node>,
    /// Where it lies.
    pub span: Span,
}

/// Which way an operation goes, seen from the application that has the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The application sends.
    Send,
    /// The application receives.
    Receive,
}

/// AsyncAPI 3.1, Operation Object, traits merged.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Key in `operations`; before AsyncAPI 3 `operationId`, else the action and the address, `send user/created`.
    pub key: String,
    /// Send or receive.
    pub action: Action,
    /// Its channel.
    pub channel: Id<Channel>,
    /// Its messages: all of the channel's where the document omits them, none where it says `[]`.
    pub messages: Vec<Id<Message>>,
    /// Present for request/reply.
    pub reply: Option<Reply>,
    /// Title, summary, description.
    pub docs: Docs,
    /// Ways to authorise it, beside the server's, as [`Server::security`].
    pub security: Vec<Vec<Security>>,
    /// Bindings by protocol.
    pub bindings: Vec<Binding>,
    /// `x-` extensions.
    pub extensions: Vec<(String, Node)>,
    /// Where its key lies.
    pub span: Span,
}

/// AsyncAPI 3.1, Operation Reply Object.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Runtime expression of `address.location`, such as `$message.header#/reply-to`.
    pub address: Option<String>,
    /// Channel the reply goes to.
    pub channel: Option<Id<Channel>>,
    /// Its messages: all of the channel's where the document omits them.
    pub messages: Vec<Id<Message>>,
    /// Where it lies.
    pub span: Span,
}

/// One protocol's part of a Bindings Object, as data.
#[derive(Debug, Clone)]
pub struct Binding {
    /// Key, such as `kafka`.
    pub protocol: String,
    /// The binding object, references resolved; schemas inside (Kafka `key`) are also in [`schemas`](Self::schemas).
    pub value: Node,
    /// Members of the binding that are schemas (`key`, `correlationData`, `headers`, `query` …), by member name.
    pub schemas: Vec<(String, Id<Schema>)>,
}

/// A JSON Schema, and where it came from.
///
/// In `node` every `$ref` is rewritten to the decimal index of the schema it names in [`Document::schemas`];
/// [`Schema::reference`] reads it. References may form cycles. All other keywords stand as the document has them.
#[derive(Debug, Clone)]
pub struct Schema {
    /// The name the document gives it: last part of the reference that names it (`#/components/schemas/User` gives
    /// `User`). `None` for a schema that stands inline.
    pub name: Option<String>,
    /// The schema itself.
    pub node: Node,
    /// `schemaFormat` when it is neither AsyncAPI's own nor JSON Schema, for instance Avro's; such a schema stays data.
    pub foreign_format: Option<String>,
}

impl Schema {
    /// The schema that `node` refers to, when it is an object with `$ref`.
    pub fn reference(node: &Node) -> Option<Id<Schema>> {
        node.get("$ref")?.as_str()?.parse().ok().map(Id::new)
    }
}
