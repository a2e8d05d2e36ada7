//! What a handler is told about the message beside its content, and its way to send.

use std::{fmt, sync::Arc};

use crate::{
    contract::{Extensions, Message, MessageSend, State},
    dependency::{Dependency, Local},
    error::{Failed, SendError},
    sender::{Outgoing, SendFuture},
    stop::Stop,
};

/// The scope of one message and the server's `send`.
///
/// Owned, cheap to clone, without a lifetime: a handler may keep a clone in a task of its own. Servers lend it to the
/// application by reference, so that trying again needs no copy.
#[derive(Clone)]
pub struct Context {
    message: Message,
    state: State,
    extensions: Extensions,
    sender: Arc<dyn MessageSend>,
    stop: Stop,
    local: Arc<Local>,
}

impl Context {
    /// The context of `message`.
    pub fn new(message: Message, state: State, sender: Arc<dyn MessageSend>) -> Self {
        Self {
            message,
            state,
            extensions: Extensions::default(),
            sender,
            stop: Stop::default(),
            local: Arc::default(),
        }
    }

    /// Declares what the server can do beyond the contract.
    #[must_use]
    pub fn with_extensions(mut self, extensions: Extensions) -> Self {
        self.extensions = extensions;
        self
    }

    /// The handle by which the server is asked to stop: what waits between attempts looks at it.
    #[must_use]
    pub fn with_stop(mut self, stop: &Stop) -> Self {
        self.stop = stop.clone();
        self
    }

    /// The same message with another `send`: how a layer sees, changes or redirects what is sent.
    #[must_use]
    pub fn with_sender(mut self, sender: Arc<dyn MessageSend>) -> Self {
        self.sender = sender;
        self
    }

    /// Puts the next message in and gives the last one back, so that a worker needs one context for all its messages.
    pub fn replace(&mut self, message: Message) -> Message {
        std::mem::replace(self.message_mut(), message)
    }

    /// [`replace`](Self::replace) in place: `message` is the last one afterwards.
    pub fn swap(&mut self, message: &mut Message) {
        std::mem::swap(self.message_mut(), message);
    }

    /// Where the next message goes, for the worker that owns this context.
    pub(crate) fn message_mut(&mut self) -> &mut Message {
        // A clone that somebody kept stays with its own message. Nothing has a weak reference.
        if Arc::strong_count(&self.local) > 1 || self.local.is_touched() {
            self.local = Arc::default();
        }
        &mut self.message
    }

    /// Tells that the broker delivered the message that is in it `times` before: attempts that this server does not know of.
    pub fn set_redelivered(&mut self, times: u32) {
        // A clone that somebody kept stays with its own message.
        if Arc::strong_count(&self.local) > 1 {
            self.local = Arc::default();
        }
        self.local.set_failures(times);
    }

    /// The message as it came: address, headers, payload, bindings.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Address the message came from.
    pub fn address(&self) -> &str {
        &self.message.address
    }

    /// What startup put into the state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Optional capabilities of the server.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Which attempt at the message this is, counting from one: those of this server, and of others where the broker counts
    /// them.
    pub fn attempt(&self) -> u32 {
        self.local.failures().saturating_add(1)
    }

    /// The value of type `T` that belongs to this message: made when it is first asked for, cleaned up after the handler.
    ///
    /// Its [`Failed`] turns into a [`Failure`](crate::Failure) by `?` and keeps its disposition.
    pub async fn get<T: Dependency>(&self) -> Result<Arc<T>, Failed> {
        self.local.get(self).await
    }

    /// A value of type `T` that nobody else gets, made now and cleaned up after the handler.
    pub async fn get_new<T: Dependency>(&self) -> Result<Arc<T>, Failed> {
        self.local.make(self).await
    }

    /// Keeps a send until the handler has succeeded: then all that are kept are sent, at the same time, and the message is
    /// acknowledged when all of them are in the broker's hands. Nothing is sent when the handler fails.
    ///
    /// ```
    /// # use amgi::{Context, Message, Outgoing, SendError};
    /// # fn example(cx: &Context) -> Result<(), SendError> {
    /// let receipt = Message::new("order.receipt").payload("{}");
    /// cx.send_on_success(Outgoing::new(cx.sender(), Ok(receipt)))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the message does not fit its schema.
    pub fn send_on_success(&self, outgoing: Outgoing<'_>) -> Result<(), SendError> {
        let (way, message) = outgoing.into_parts();
        self.local.push_send(way.sender.clone(), way.servers, message?);
        Ok(())
    }

    /// Whether the server was asked to stop.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    pub(crate) fn local(&self) -> &Local {
        &self.local
    }

    /// Sends a raw message; returns when it is in the broker's hands. Generated senders are the typed way.
    pub fn send(&self, message: Message) -> SendFuture<'_> {
        self.sender.send(message)
    }

    /// The server's `send`, to keep beyond this message.
    pub fn sender(&self) -> &Arc<dyn MessageSend> {
        &self.sender
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("message", &self.message)
            .field("state", &self.state)
            .field("extensions", &self.extensions)
            .finish_non_exhaustive()
    }
}
