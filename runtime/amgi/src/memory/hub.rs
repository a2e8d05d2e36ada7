//! Several applications that talk to each other within the process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Queue;
use crate::{
    channels::ChannelMap,
    contract::{ChannelInfo, Message, MessageSend},
    sender::SendFuture,
};

/// Connects servers of one process: what an application on one of them sends is delivered to every one whose application
/// receives from that address. Cheap to clone.
///
/// Like a topic without memory: who is not there when a message is sent does not get it. A server is there from its startup
/// on.
///
/// ```
/// # use amgi::{Application, ChannelInfo, Context, Message, MessageSend, Settlement, memory::{Hub, Server}, server::Stop};
/// # struct App;
/// # impl Application for App {
/// #     fn channels(&self) -> &[ChannelInfo] { &[] }
/// #     async fn message(&self, _: &Context) -> Settlement { Settlement::Ack }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> amgi::Result<()> {
/// let (hub, stop) = (Hub::new(), Stop::new());
/// let server = tokio::spawn(Server::new(App).hub(&hub).stop(&stop).serve());
/// hub.send(Message::new("user.created").payload("{}")).await.unwrap();
/// stop.request();
/// server.await.unwrap()
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Hub(Arc<Mutex<Vec<(ChannelMap, Queue)>>>);

impl Hub {
    /// A hub without servers.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(ChannelMap, Queue)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is sent to `channels` from now on.
    pub(super) fn subscribe(&self, channels: &[ChannelInfo]) -> Queue {
        let queue = Queue::new();
        if !channels.is_empty() {
            self.lock().push((ChannelMap::new(channels), queue.clone()));
        }
        queue
    }

    pub(super) fn unsubscribe(&self, queue: &Queue) {
        self.lock().retain(|(_, other)| !other.is(queue));
    }
}

impl MessageSend for Hub {
    fn send(&self, message: Message) -> SendFuture<'_> {
        let servers = self.lock();
        let mut to = servers.iter().filter(|(map, _)| map.find(&message.address).is_some()).peekable();
        while let Some((_, queue)) = to.next() {
            if to.peek().is_none() {
                queue.push(message);
                break;
            }
            queue.push(message.clone());
        }
        SendFuture::ready(Ok(()))
    }
}
