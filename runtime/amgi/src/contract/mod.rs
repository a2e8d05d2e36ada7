//! The AMGI 2.0 contract: what passes between an application and a server.
//!
//! In Python the contract is a stream of events; here it is the trait [`Application`]. Every field has its place:
//!
//! | AMGI | here |
//! |---|---|
//! | scope `message`: `address`, `headers`, `payload`, `bindings` | [`Message`] |
//! | scope `message`: `state`, `extensions`, `amgi` | [`Context::state`](crate::Context::state), [`Context::extensions`](crate::Context::extensions), [`VERSION`] |
//! | send `message.ack`, `message.nack`, neither | [`Settlement`] |
//! | send `message.send` | [`Message`] given to [`MessageSend`] |
//! | `lifespan.startup`, `.complete`, `.failed` | [`Application::startup`] and its result |
//! | `lifespan.shutdown`, `.complete`, `.failed` | [`Application::shutdown`] and its result |

mod bindings;
mod document;
mod headers;
mod info;
mod state;

use std::{fmt, future::Future};

use bytes::Bytes;
use bytestring::ByteString;

pub use self::{
    bindings::{Binding, BindingValue, Bindings},
    document::{Document, MessageType, Place, ReceiveInfo, SendInfo},
    headers::Headers,
    info::{
        BatchInfo, BindingInfo, BreakerInfo, ChannelInfo, ExampleInfo, IdempotencyInfo, MessageInfo,
        OperationInfo, PolicyInfo, ServerInfo,
    },
    state::{Extensions, State},
};
use crate::{
    context::Context,
    error::{Disposition, Failed, Reason, StartupError},
    layer::{Layer, Layered},
    sender::SendFuture,
};

/// The version of AMGI that this crate speaks (`amgi.version` and `amgi.spec_version` of every scope).
pub const VERSION: &str = "2.0";

/// A message: what a scope `message` delivers and what an event `message.send` carries.
///
/// ```
/// use amgi::Message;
///
/// let message = Message::new("user.created")
///     .header("correlation-id", "c-1")
///     .payload(r#"{"id":1}"#)
///     .binding("kafka", "key", "42");
/// assert_eq!(message.headers.get("correlation-id"), Some(&b"c-1"[..]));
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct Message {
    /// Topic, queue, channel or routing key, as the document writes it.
    pub address: ByteString,
    /// Ordered; names may repeat.
    pub headers: Headers,
    /// The payload; `None` where there is none, such as a Kafka tombstone.
    pub payload: Option<Bytes>,
    /// What is particular to a protocol.
    pub bindings: Bindings,
}

impl Message {
    /// A message without headers, payload or bindings.
    pub fn new(address: impl Into<ByteString>) -> Self {
        Self { address: address.into(), ..Self::default() }
    }

    /// Appends a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Sets the payload.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.payload = Some(payload.into());
        self
    }

    /// Sets one field of one protocol's bindings.
    #[must_use]
    pub fn binding(
        mut self,
        protocol: impl Into<ByteString>,
        field: impl Into<ByteString>,
        value: impl Into<BindingValue>,
    ) -> Self {
        self.bindings.set(protocol, field, value);
        self
    }
}

impl Message {
    /// The content type that came with the message, in the one place where its protocol has it: the binding field
    /// `content_type` (MQTT 5, AMQP), else the header `content-type`, whose name is looked up without regard to case.
    ///
    /// The text is as it came; media types compare without regard to case, and parameters such as `charset` do not count.
    ///
    /// ```
    /// let message = amgi::Message::new("a").header("Content-Type", "text/plain; charset=utf-8");
    /// assert_eq!(message.content_type(), Some("text/plain; charset=utf-8"));
    /// ```
    pub fn content_type(&self) -> Option<&str> {
        let bound = self.bindings.iter().find(|binding| &*binding.field == "content_type");
        bound.and_then(|binding| binding.value.as_str()).or_else(|| {
            let named = |name: &Bytes| name.eq_ignore_ascii_case(b"content-type");
            let (_, value) = self.headers.iter().find(|(name, _)| named(name))?;
            std::str::from_utf8(value).ok()
        })
    }
}

/// A content type without its parameters.
pub(crate) fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("address", &self.address)
            .field("headers", &self.headers)
            .field("payload", &self.payload)
            .field("bindings", &self.bindings)
            .finish()
    }
}

/// How a message ended, in AMGI's terms and with what a server may make of it.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a server settles the message by this"]
pub enum Settlement {
    /// Handled: event `message.ack`.
    Ack,
    /// Not handled: event `message.nack`. The disposition is the extension `amgi.settlement`.
    Fail {
        /// What the application wants to happen to the message.
        disposition: Disposition,
        /// Why; its text is the `message` of `message.nack`.
        reason: Reason,
    },
    /// Neither event was sent. A server must not acknowledge.
    Unsettled,
}

impl From<Failed> for Settlement {
    fn from(Failed { disposition, reason }: Failed) -> Self {
        Self::Fail { disposition, reason }
    }
}

/// A message-driven application, to be run by any AMGI server.
///
/// The generator writes the implementation; servers are generic over it, so that no message pays for boxing.
pub trait Application: Send + Sync + 'static {
    /// What to subscribe to: one entry a channel that is received from.
    fn channels(&self) -> &[ChannelInfo];

    /// The document's servers; empty when it names none.
    fn servers(&self) -> &[ServerInfo] {
        &[]
    }

    /// Runs once before the first message and may fill the state that every message sees.
    ///
    /// The server's `send` is in it already ([`State::sender`]), but a server may connect only after startup: what is sent
    /// here waits for that, so it must not be awaited.
    fn startup(&self, state: &mut State) -> impl Future<Output = Result<(), StartupError>> + Send {
        let _ = state;
        async { Ok(()) }
    }

    /// Runs once a message.
    fn message(&self, cx: &Context) -> impl Future<Output = Settlement> + Send;

    /// Runs once for several messages of one channel, where the document asks for batches ([`ChannelInfo::batch`]), and adds
    /// to `settlements`, which is empty, how each ended, in the same order. One that is missing is
    /// [`Settlement::Unsettled`].
    ///
    /// By default one message is handled after the other.
    fn batch(
        &self,
        contexts: &[Context],
        settlements: &mut Vec<Settlement>,
    ) -> impl Future<Output = ()> + Send {
        async move {
            for cx in contexts {
                settlements.push(self.message(cx).await);
            }
        }
    }

    /// Runs once after the last message.
    fn shutdown(&self) -> impl Future<Output = Result<(), StartupError>> + Send {
        async { Ok(()) }
    }

    /// This application inside `layer`, which sees every message first: in `app.layer(a).layer(b)`, `b` is the outer one.
    fn layer<L: Layer>(self, layer: L) -> Layered<L, Self>
    where
        Self: Sized,
    {
        Layered::new(layer, self)
    }

    /// This application inside a layer of `tower`, see [`Tower`](crate::layer::Tower).
    ///
    /// ```
    /// # use amgi::{Application, ChannelInfo, Context, Settlement};
    /// # struct App;
    /// # impl Application for App {
    /// #     fn channels(&self) -> &[ChannelInfo] { &[] }
    /// #     async fn message(&self, _: &Context) -> Settlement { Settlement::Ack }
    /// # }
    /// let app = App.tower_layer(&tower::limit::ConcurrencyLimitLayer::new(8));
    /// ```
    #[cfg(feature = "tower")]
    fn tower_layer<L>(self, layer: &L) -> crate::layer::Tower<L::Service, Self>
    where
        Self: Sized,
        L: tower_layer::Layer<crate::layer::Next<Self>>,
    {
        crate::layer::Tower::new(layer, self)
    }
}

/// The server's side of `message.send`.
///
/// The future ends when the message is in the broker's hands; an error says that it is not known to be there.
pub trait MessageSend: Send + Sync + 'static {
    /// Hands `message` to the broker.
    fn send(&self, message: Message) -> SendFuture<'_>;

    /// Hands `message`, whose channel the document puts on these servers, to the broker of one of them. Where several servers
    /// run, it matters; a single one takes every send, which is the default. What wraps a sender passes it on.
    fn send_on(&self, servers: &'static [&'static str], message: Message) -> SendFuture<'_> {
        let _ = servers;
        self.send(message)
    }
}
