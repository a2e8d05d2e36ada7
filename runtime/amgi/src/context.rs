//! What a handler is told about the message beside its content, and its way to send.

use std::{fmt, sync::Arc};

use crate::{
    contract::{Extensions, Message, MessageSend, State},
    sender::SendFuture,
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
}

impl Context {
    /// The context of `message`.
    pub fn new(message: Message, state: State, sender: Arc<dyn MessageSend>) -> Self {
        Self { message, state, extensions: Extensions::default(), sender }
    }

    /// Declares what the server can do beyond the contract.
    #[must_use]
    pub fn with_extensions(mut self, extensions: Extensions) -> Self {
        self.extensions = extensions;
        self
    }

    /// Puts the next message in and gives the last one back, so that a worker needs one context for all its messages.
    pub fn replace(&mut self, message: Message) -> Message {
        std::mem::replace(&mut self.message, message)
    }

    /// Where the next message goes, for the worker that owns this context.
    pub(crate) fn message_mut(&mut self) -> &mut Message {
        &mut self.message
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
