//! Sends: XADD or PUBLISH, whose answer is awaited.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use amgi::{Message, MessageSend, SendError, SendFuture};
use redis::{Cmd, cmd};
use tracing::warn;

use crate::{Fields, Via, link::Link, routes::Routes};

/// Sends messages of the application.
pub(crate) struct Sender {
    pub(crate) link: Link,
    pub(crate) routes: Arc<Routes>,
    pub(crate) fields: Fields,
    pub(crate) max_length: Option<u64>,
    pub(crate) timeout: Duration,
    /// Whether it was said that pub/sub has no headers.
    pub(crate) warned: AtomicBool,
}

impl Sender {
    /// The command, and the slot of its key.
    fn command(&self, message: &Message) -> (u16, Cmd) {
        let key = self.routes.key(&message.address);
        let slot = self.link.place().slot(key.as_bytes());
        // One that is published and that nobody hears is gone. It must not be, and it says why in its headers.
        let dead_letter = message.headers.get("amgi-dead-letter-address").is_some();
        if self.routes.via(&message.address) == Via::PubSub && !dead_letter {
            if !message.headers.is_empty() && !self.warned.swap(true, Ordering::Relaxed) {
                warn!(
                    address = %message.address,
                    "pub/sub carries payloads alone: headers are left out of this message and all others"
                );
            }
            let mut publish = cmd("PUBLISH");
            publish.arg(key).arg(message.payload.as_deref().unwrap_or_default());
            return (slot, publish);
        }
        let mut add = cmd("XADD");
        add.arg(key);
        if let Some(entries) = self.max_length {
            add.arg("MAXLEN").arg("~").arg(entries);
        }
        add.arg("*");
        for (name, value) in self.fields.write(message) {
            add.arg(&*name).arg(&*value);
        }
        (slot, add)
    }
}

impl MessageSend for Sender {
    fn send(&self, message: Message) -> SendFuture<'_> {
        SendFuture::pending(async move {
            let (slot, command) = self.command(&message);
            let sent = self.link.call(slot, &command, self.timeout).await;
            sent.map(|_| ()).map_err(|error| SendError::new(message.address.to_string(), error))
        })
    }
}
