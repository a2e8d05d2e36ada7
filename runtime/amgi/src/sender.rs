//! Sending: the future of a send and the typed send that generated code builds on.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use bytes::Bytes;
use bytestring::ByteString;

use crate::{
    contract::{BindingValue, Message, MessageSend},
    error::SendError,
};

/// Future of a send. A server that is done at once pays for no box.
#[must_use = "a send happens when it is awaited"]
pub enum SendFuture<'a> {
    /// Already over; `None` once it was polled.
    Ready(Option<Result<(), SendError>>),
    /// Still to do.
    Pending(Pin<Box<dyn Future<Output = Result<(), SendError>> + Send + 'a>>),
}

impl<'a> SendFuture<'a> {
    /// A send that is over.
    pub fn ready(result: Result<(), SendError>) -> Self {
        Self::Ready(Some(result))
    }

    /// A send that takes time.
    pub fn pending(future: impl Future<Output = Result<(), SendError>> + Send + 'a) -> Self {
        Self::Pending(Box::pin(future))
    }
}

impl Future for SendFuture<'_> {
    type Output = Result<(), SendError>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Ready(result) => result.take().map_or(Poll::Pending, Poll::Ready),
            Self::Pending(future) => future.as_mut().poll(cx),
        }
    }
}

/// Sends to nowhere: every send is an error that says so. For contexts that have no server behind them.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSender;

impl MessageSend for NoSender {
    fn send(&self, message: Message) -> SendFuture<'_> {
        SendFuture::ready(Err(SendError::new(message.address.to_string(), "this server cannot send")))
    }
}

/// Where a message is sent: a sender, and the document's servers that are meant.
#[derive(Clone, Copy)]
pub(crate) struct Way<'a> {
    pub(crate) sender: &'a Arc<dyn MessageSend>,
    pub(crate) servers: &'static [&'static str],
}

/// A message that is about to be sent. Awaiting it sends it.
///
/// Generated senders return it; the setters add what only this send has.
#[must_use = "nothing is sent until this is awaited"]
pub struct Outgoing<'a> {
    sender: &'a Arc<dyn MessageSend>,
    message: Result<Message, SendError>,
    servers: &'static [&'static str],
}

impl<'a> Outgoing<'a> {
    /// A send of `message`; what could not be encoded is an error when it is awaited.
    pub fn new(sender: &'a Arc<dyn MessageSend>, message: Result<Message, SendError>) -> Self {
        Self { sender, message, servers: &[] }
    }

    /// Says on which of the document's servers the channel is. Where several run, the message goes to one of these.
    pub fn on(mut self, servers: &'static [&'static str]) -> Self {
        self.servers = servers;
        self
    }

    /// Appends a header.
    pub fn header(mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        if let Ok(message) = &mut self.message {
            message.headers.push(name, value);
        }
        self
    }

    /// Sets a binding, over the document's value for it.
    pub fn binding(
        mut self,
        protocol: impl Into<ByteString>,
        field: impl Into<ByteString>,
        value: impl Into<BindingValue>,
    ) -> Self {
        if let Ok(message) = &mut self.message {
            message.bindings.set(protocol, field, value);
        }
        self
    }

    /// Kafka: the key, which chooses the partition.
    pub fn key(self, key: impl Into<Bytes>) -> Self {
        self.binding("kafka", "key", key.into())
    }

    /// MQTT: quality of service, 0, 1 or 2.
    pub fn qos(self, qos: u8) -> Self {
        self.binding("mqtt", "qos", qos)
    }

    /// MQTT: whether the broker keeps the message for later subscribers.
    pub fn retain(self, retain: bool) -> Self {
        self.binding("mqtt", "retain", retain)
    }

    /// SQS: group that is kept in order.
    pub fn message_group_id(self, id: impl Into<ByteString>) -> Self {
        self.binding("sqs", "message_group_id", id.into())
    }

    /// SQS: messages with the same id are sent once.
    pub fn message_deduplication_id(self, id: impl Into<ByteString>) -> Self {
        self.binding("sqs", "message_deduplication_id", id.into())
    }

    /// SQS: seconds until the message can be received.
    pub fn delay_seconds(self, seconds: u16) -> Self {
        self.binding("sqs", "delay_seconds", seconds)
    }

    /// AMQP: priority, 0 to 9.
    pub fn priority(self, priority: u8) -> Self {
        self.binding("amqp", "priority", priority)
    }

    /// Where it would be sent, and the message.
    pub(crate) fn into_parts(self) -> (Way<'a>, Result<Message, SendError>) {
        (Way { sender: self.sender, servers: self.servers }, self.message)
    }

    /// The message as it would be sent.
    pub fn into_message(self) -> Result<Message, SendError> {
        self.message
    }
}

impl<'a> IntoFuture for Outgoing<'a> {
    type Output = Result<(), SendError>;
    type IntoFuture = SendFuture<'a>;

    fn into_future(self) -> SendFuture<'a> {
        match self.message {
            Ok(message) => self.sender.send_on(self.servers, message),
            Err(error) => SendFuture::ready(Err(error)),
        }
    }
}

/// Sends several messages at the same time, and ends when all are in the broker's hands. They are begun in their order.
///
/// When some fail the others are sent all the same; the error is the first one's.
///
/// ```
/// # use std::sync::Arc;
/// # use amgi::{Message, MessageSend, NoSender, Outgoing, send_all};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let sender: Arc<dyn MessageSend> = Arc::new(NoSender);
/// let sends = ["a", "b"].map(|address| Outgoing::new(&sender, Ok(Message::new(address))));
/// assert_eq!(send_all(sends).await.unwrap_err().address, "a");
/// # }
/// ```
pub async fn send_all<'a>(sends: impl IntoIterator<Item = Outgoing<'a>>) -> Result<(), SendError> {
    join(sends.into_iter().map(IntoFuture::into_future)).await
}

/// Awaits all at the same time; the first error in their order.
pub(crate) async fn join<'a>(sends: impl Iterator<Item = SendFuture<'a>>) -> Result<(), SendError> {
    futures_util::future::join_all(sends).await.into_iter().collect()
}
