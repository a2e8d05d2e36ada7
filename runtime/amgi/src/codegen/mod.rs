//! The one door through which generated code reaches what it needs. Not for hand-written code: it changes as the
//! generator does.

mod check;
mod format;
pub mod formats;
mod macros;
pub mod payload;
mod read;
mod repair;
mod select;
#[cfg(feature = "validate")]
mod validate;
mod write;

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    str::FromStr,
    sync::{Arc, OnceLock},
    time::Duration,
};

#[cfg(feature = "validate")]
pub use self::validate::Schema;
pub use self::{
    check::{
        At, Check, TextPattern, Violations, built, ensure, exact, holds, is_multiple, items, length, members,
        one_of, required, texts, unique,
    },
    format::{format, has_format},
    macros::{check, group, message, newtype, object, schema, text_enum, union},
    payload::{MOST_BYTES, json, raw, reread_json, text},
    read::{Alternatives, Foreign, Format, Formatted, Member, Other, Read, Readable, always, member, other},
    repair::{
        Alternative, MemberInfo, Others, alternative, alternatives, checked_alternative,
        object as repair_object, text as repair_text,
    },
    select::{Choice, Key, Select, When},
    write::{Missing, write_optional, write_others},
};
pub use crate::contract::{Document, MessageType, Place, ReceiveInfo, SendInfo};
pub use bytes::Bytes;
pub use bytestring::ByteString;
pub use regress::Regex;
pub use serde;
pub use serde_json;

use serde::{
    Serialize,
    de::{Deserializer, IgnoredAny, Visitor, value::StrDeserializer},
};
use serde_json::Value as Json;

use crate::{
    batch::Batch,
    client::{Replies, Request},
    codec,
    context::Context,
    contract::{
        Application, BindingValue, Bindings, ChannelInfo, ExampleInfo, Headers, Message, MessageSend,
        ServerInfo, Settlement,
    },
    error::{Disposition, HandlerError, Part, Reason, Rejection, SendError, StartupError, UnknownValue},
    reply::{Location, ReplyInfo},
    sender::Outgoing,
};

/// A message of the document as a Rust type. Implemented by generated code.
pub trait TypedMessage: Sized {
    /// Name in the document.
    const NAME: &'static str;

    /// The document's examples.
    const EXAMPLES: &'static [ExampleInfo];

    /// Reads and checks a message.
    fn decode(message: &Message) -> Result<Self, Rejection>;

    /// Checks and writes headers, payload and bindings into `message`.
    fn encode(&self, message: &mut Message) -> Result<(), Rejection>;

    /// The document's first example that fits; `None` when there is none.
    fn example() -> Option<Self> {
        Self::EXAMPLES
            .iter()
            .find_map(|example| Self::decode(&crate::memory::example_message("", example)).ok())
    }

    /// The message as it goes to `address`.
    fn to_message(&self, address: impl Into<ByteString>) -> Result<Message, SendError> {
        let mut message = Message::new(address);
        match self.encode(&mut message) {
            Ok(()) => Ok(message),
            Err(rejection) => Err(SendError::new(message.address.to_string(), rejection)),
        }
    }
}

/// The application's handlers: there from the start, or made at startup.
pub struct Lifecycle<A> {
    handlers: OnceLock<Arc<A>>,
    start: Option<Start<A>>,
    stop: Option<Stop<A>>,
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Start<A> = Box<dyn Fn() -> BoxFuture<Result<A, StartupError>> + Send + Sync>;
type Stop<A> = Box<dyn Fn(Arc<A>) -> BoxFuture<Result<(), StartupError>> + Send + Sync>;

impl<A> Lifecycle<A> {
    /// Handlers that exist.
    pub fn ready(handlers: A) -> Self {
        Self { handlers: OnceLock::from(Arc::new(handlers)), start: None, stop: None }
    }

    /// Handlers that `start` makes when the server starts the application.
    pub fn starting<F, Fut, E>(start: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<A, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let start: Start<A> = Box::new(move || {
            let handlers = start();
            Box::pin(async move { handlers.await.map_err(StartupError::new) })
        });
        Self { handlers: OnceLock::new(), start: Some(start), stop: None }
    }

    /// Runs `stop` at shutdown, after what was to be run before.
    pub fn on_shutdown<F, Fut, E>(&mut self, stop: F)
    where
        A: Send + Sync + 'static,
        F: Fn(Arc<A>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (before, stop) = (self.stop.take(), Arc::new(stop));
        self.stop = Some(Box::new(move |handlers: Arc<A>| {
            let before = before.as_ref().map(|before| before(handlers.clone()));
            let stop = stop.clone();
            Box::pin(async move {
                if let Some(before) = before {
                    before.await?;
                }
                stop(handlers).await.map_err(StartupError::new)
            })
        }));
    }

    /// Makes the handlers if they are still to be made.
    pub async fn startup(&self) -> Result<(), StartupError> {
        if let (None, Some(start)) = (self.handlers.get(), &self.start) {
            let handlers = start().await?;
            // A second startup that ran at the same time keeps the first one's handlers.
            let _ = self.handlers.set(Arc::new(handlers));
        }
        Ok(())
    }

    /// Runs what was to be run, if there are handlers.
    pub async fn shutdown(&self) -> Result<(), StartupError> {
        match (self.handlers.get(), &self.stop) {
            (Some(handlers), Some(stop)) => stop(handlers.clone()).await,
            _ => Ok(()),
        }
    }

    /// The handlers, once there.
    pub fn get(&self) -> Option<&A> {
        self.handlers.get().map(Arc::as_ref)
    }
}

impl<A> fmt::Debug for Lifecycle<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifecycle").field("started", &self.handlers.get().is_some()).finish_non_exhaustive()
    }
}

/// Settles by what a handler returned.
pub fn settle<E: HandlerError>(result: Result<(), E>) -> Settlement {
    match result {
        Ok(()) => Settlement::Ack,
        Err(error) => failed(&error),
    }
}

#[cold]
fn failed(error: &impl HandlerError) -> Settlement {
    Settlement::Fail { disposition: error.disposition(), reason: error.reason() }
}

/// A message that does not fit its schema goes to the dead-letter address.
#[cold]
pub fn reject(rejection: Rejection) -> Settlement {
    Settlement::Fail { disposition: Disposition::DeadLetter, reason: Reason::Rejected(rejection) }
}

/// A message from an address that no channel has.
#[cold]
pub fn no_channel(cx: &Context) -> Settlement {
    Settlement::Fail {
        disposition: Disposition::DeadLetter,
        reason: Reason::NoChannel(cx.address().to_owned()),
    }
}

/// A message that came before startup was complete.
#[cold]
pub fn not_started() -> Settlement {
    let reason = Reason::Failed("the application is not started".to_owned());
    Settlement::Fail { disposition: Disposition::Retry, reason }
}

/// Sends the reply that a handler returned; the request is acknowledged only after that succeeded.
pub async fn reply<M: TypedMessage, E: HandlerError>(
    cx: &Context,
    info: &ReplyInfo,
    bindings: fn(&mut Bindings),
    result: Result<M, E>,
) -> Settlement {
    let reply = match result {
        Ok(reply) => reply,
        Err(error) => return failed(&error),
    };
    let address = match info.address(cx.message()) {
        Ok(address) => address,
        Err(rejection) => return reject(rejection),
    };
    let mut message = Message::new(address);
    bindings(&mut message.bindings);
    if let Err(rejection) = reply.encode(&mut message) {
        return failed(&SendError::new(message.address.to_string(), rejection));
    }
    info.correlate(cx.message(), &mut message);
    settle(cx.send(message).await)
}

/// A typed send: the document's bindings, then what the message says.
#[allow(clippy::needless_pass_by_value)] // a send owns its message, as every caller expects
pub fn outgoing<M: TypedMessage>(
    sender: &Arc<dyn MessageSend>,
    address: impl Into<ByteString>,
    bindings: fn(&mut Bindings),
    message: M,
) -> Outgoing<'_> {
    let mut raw = Message::new(address);
    bindings(&mut raw.bindings);
    let encoded = message.encode(&mut raw);
    let raw = encoded.map_err(|rejection| SendError::new(raw.address.to_string(), rejection)).map(|()| raw);
    Outgoing::new(sender, raw)
}

/// The same where the channel is not on all servers.
pub fn outgoing_on<'a, M: TypedMessage>(
    sender: &'a Arc<dyn MessageSend>,
    servers: &'static [&'static str],
    address: impl Into<ByteString>,
    bindings: fn(&mut Bindings),
    message: M,
) -> Outgoing<'a> {
    outgoing(sender, address, bindings, message).on(servers)
}

/// A send that is answered.
pub fn request<'a, R: TypedMessage + Send + 'static>(
    outgoing: Outgoing<'a>,
    replies: Option<&'a Replies>,
    info: &'static ReplyInfo,
) -> Request<'a, R> {
    Request::new(outgoing, replies, info)
}

/// What waits for replies: from `channels`, of which handlers receive from `handled` too, and from an inbox.
pub fn replies(
    channels: Vec<ChannelInfo>,
    handled: &[&str],
    servers: &'static [ServerInfo],
    locations: &[Location],
    inbox: bool,
) -> Replies {
    Replies::new(channels, handled, servers, locations, inbox)
}

/// Channels that are received from for replies alone.
pub fn only_replies(replies: &Replies) -> Vec<ChannelInfo> {
    replies.only().cloned().collect()
}

/// Settles a reply; `None` for what is none.
pub fn answer(replies: &Replies, cx: &Context) -> Option<Settlement> {
    replies.take(cx.message())
}

/// Reads the messages of a batch.
pub fn read_batch<M>(
    contexts: &[Context],
    read: impl FnMut(&Context) -> Result<M, Rejection>,
) -> (Vec<M>, Batch<'_>) {
    Batch::read(contexts, read)
}

/// Settles a batch by what its handler returned.
pub fn settle_batch<E: HandlerError>(
    batch: Batch<'_>,
    result: Result<(), E>,
    settlements: &mut Vec<Settlement>,
) {
    batch.settle(result, settlements);
}

/// The only settlement of a batch of one.
pub fn only(settlements: Vec<Settlement>) -> Settlement {
    settlements.into_iter().next().unwrap_or(Settlement::Unsettled)
}

/// One message after the other.
pub async fn one_by_one<A: Application>(app: &A, contexts: &[Context], settlements: &mut Vec<Settlement>) {
    for cx in contexts {
        settlements.push(app.message(cx).await);
    }
}

/// A duration, whose best unit nobody has to choose.
pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Reads a message and writes it again as it is sent.
pub fn remake<M: TypedMessage>(message: &Message, into: &mut Message) -> Result<(), Rejection> {
    M::decode(message)?.encode(into)
}

/// Whether an address is one of the type `A`.
pub fn check_address<A: FromStr<Err = Rejection>>(address: &str) -> Result<(), Rejection> {
    address.parse::<A>().map(drop)
}

/// An address without parameters is what it is.
#[allow(clippy::unnecessary_wraps)] // as the other
pub fn any_address(_: &str) -> Result<(), Rejection> {
    Ok(())
}

/// No bindings that the document sets.
pub fn no_bindings(_: &mut Bindings) {}

/// Reads a string as one of the texts of an enum.
pub fn text_value<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = UnknownValue>,
{
    deserializer.deserialize_str(TextVisitor(PhantomData))
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: FromStr<Err = UnknownValue>> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(|unknown: UnknownValue| E::unknown_variant(text, unknown.expected))
    }
}

/// A text in constant data.
pub const fn constant(text: &'static str) -> Cow<'static, str> {
    Cow::Borrowed(text)
}

/// How a header's or binding's bytes hold a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// The text itself: strings and string enums.
    Text,
    /// JSON text: everything else.
    Json,
    /// For what the schema does not give one type. Read: JSON if that fits, else the text itself as a string. Written:
    /// strings as they are, everything else as JSON. So a string that looks like other JSON comes back as that.
    Loose,
}

/// Reads a value, or says what is wrong with it.
fn read_scalar<R: Read>(at: &At<'_>, kind: Scalar, bytes: &[u8]) -> Option<R::Value> {
    if kind == Scalar::Json {
        // Most likely a number: there is no text in it to look at.
        let value = serde_json::from_slice::<Readable<R>>(bytes);
        return value.map_err(|_| refuse::<R>(at, &String::from_utf8_lossy(bytes))).map(|value| value.0).ok();
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        at.refuse("", "UTF-8", None);
        return None;
    };
    match kind {
        Scalar::Text => R::read(StrDeserializer::<serde::de::value::Error>::new(text))
            .map_err(|_| refuse::<R>(at, &quoted(text)))
            .ok(),
        // What fits neither is taken for text.
        Scalar::Loose | Scalar::Json => serde_json::from_str(text)
            .or_else(|_| serde_json::from_str(&quoted(text)))
            .map(|value: Readable<R>| value.0)
            .map_err(|_| refuse::<R>(at, &quoted(text)))
            .ok(),
    }
}

/// Says what is wrong with a value that could not be read.
#[cold]
fn refuse<R: Read>(at: &At<'_>, json: &str) {
    let text = json.trim();
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return at.refuse("type", R::EXPECTED, Some(&json));
    }
    let said = at.out().len();
    R::repair(Some(text), at);
    if at.out().len() == said {
        at.refuse("type", R::EXPECTED, Some(&text));
    }
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    Json::from(text).to_string()
}

/// The rules of a part of a message that is about to be sent.
pub fn checked(part: Part, check: impl FnOnce(&At<'_>)) -> Result<(), Rejection> {
    let out = Violations::new();
    check(&At::root(part, &out));
    out.finish()
}

/// A part of a message that is read field by field; every field says by itself what is wrong with it.
pub fn fields<T>(part: Part, read: impl FnOnce(&At<'_>) -> Option<T>) -> Result<T, Rejection> {
    let out = Violations::new();
    let value = read(&At::root(part, &out));
    let fine = out.finish();
    match value {
        Some(value) => fine.map(|()| value),
        None => Err(fine.err().unwrap_or_else(|| Rejection::new(part, "", "", "fields that can be read"))),
    }
}

/// What is wrong with the parts of a message.
#[cold]
pub fn rejections<const N: usize>(parts: [Option<Rejection>; N]) -> Rejection {
    let all = parts.into_iter().flatten().reduce(Rejection::and);
    all.unwrap_or_else(|| Rejection::new(Part::Payload, "", "", "a message"))
}

/// Reads a header that may be missing; `at` is its place.
pub fn optional_header<R: Read>(
    headers: &Headers,
    at: &At<'_>,
    name: &'static str,
    kind: Scalar,
) -> Option<Option<R::Value>> {
    match headers.get(name) {
        Some(bytes) => read_scalar::<R>(at, kind, bytes).map(Some),
        None => Some(None),
    }
}

/// Reads a header that must be there; `at` is its place.
pub fn header<R: Read>(headers: &Headers, at: &At<'_>, name: &'static str, kind: Scalar) -> Option<R::Value> {
    match headers.get(name) {
        Some(bytes) => read_scalar::<R>(at, kind, bytes),
        None => {
            at.refuse("required", "a header", None);
            None
        }
    }
}

/// Writes a header.
pub fn set_header<T: Serialize + ?Sized>(
    headers: &mut Headers,
    name: &'static str,
    kind: Scalar,
    value: &T,
) -> Result<(), Rejection> {
    let value = write_scalar(Part::Headers, &[name], kind, value)?;
    headers.push(Bytes::from_static(name.as_bytes()), value);
    Ok(())
}

fn write_scalar<T: Serialize + ?Sized>(
    part: Part,
    place: &[&str],
    kind: Scalar,
    value: &T,
) -> Result<Bytes, Rejection> {
    let written = match kind {
        Scalar::Json => codec::to_json(value),
        Scalar::Text | Scalar::Loose => codec::to_text(value),
    };
    written.map_err(|error| unwritable(part, place, &error))
}

#[cold]
fn unwritable(part: Part, place: &[&str], error: &serde_json::Error) -> Rejection {
    let mut pointer = String::new();
    for name in place {
        codec::push_token(&mut pointer, name);
    }
    Rejection::new(part, pointer, "", "a value that JSON can hold").found(error.to_string())
}

/// Reads a binding that may be missing, such as the Kafka key; `at` is its place.
pub fn binding<R: Read>(
    bindings: &Bindings,
    at: &At<'_>,
    protocol: &'static str,
    field: &'static str,
    kind: Scalar,
) -> Option<Option<R::Value>> {
    let text;
    let bytes = match bindings.get(protocol, field) {
        None | Some(BindingValue::Null) => return Some(None),
        Some(BindingValue::Int(number)) => {
            text = number.to_string();
            text.as_bytes()
        }
        Some(BindingValue::Bool(true)) => b"true",
        Some(BindingValue::Bool(false)) => b"false",
        Some(BindingValue::Text(text)) => text.as_bytes(),
        Some(BindingValue::Bytes(bytes)) => bytes,
    };
    read_scalar::<R>(at, kind, bytes).map(Some)
}

/// Writes a binding.
pub fn set_binding<T: Serialize + ?Sized>(
    bindings: &mut Bindings,
    protocol: &'static str,
    field: &'static str,
    kind: Scalar,
    value: &T,
) -> Result<(), Rejection> {
    let value = write_scalar(Part::Bindings, &[protocol, field], kind, value)?;
    bindings.set(protocol, field, value);
    Ok(())
}

/// Says the content type in every place that [`Message::content_type`] looks at, unless one does already: which of them counts is
/// the protocol's choice.
pub fn set_content_type(message: &mut Message, content_type: &'static str) {
    for protocol in ["mqtt", "amqp"] {
        if message.bindings.get(protocol, "content_type").is_none() {
            let (protocol, field) =
                (ByteString::from_static(protocol), ByteString::from_static("content_type"));
            message.bindings.set(protocol, field, ByteString::from_static(content_type));
        }
    }
    if !message.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"content-type")) {
        message
            .headers
            .push(Bytes::from_static(b"content-type"), Bytes::from_static(content_type.as_bytes()));
    }
}

/// Reads a parameter of the address.
pub fn parameter<R: Read>(name: &'static str, encoded: &str) -> Result<R::Value, Rejection> {
    let text = crate::address::decode(encoded);
    fields(Part::Address, |at| read_scalar::<R>(&at.name(name), Scalar::Text, text.as_bytes()))
}

/// An address that does not fit the pattern of its type.
#[cold]
pub fn no_address(address: &str, pattern: &'static str) -> Rejection {
    Rejection::new(Part::Address, "", "", format!("an address like `{pattern}`"))
        .found(format!("`{address}`"))
}
