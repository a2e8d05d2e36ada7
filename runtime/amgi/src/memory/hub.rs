//! Several applications that talk to each other within the process.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

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
#[derive(Clone, Default)]
pub struct Hub(Arc<Mutex<Vec<Subscriber>>>);

struct Subscriber {
    channels: ChannelMap,
    to: To,
}

/// Where messages go.
enum To {
    /// To a server, one after the other.
    Queue(Queue),
    /// At once to who waits for a reply.
    Replies(OnReply),
}

/// Takes a reply.
pub(super) type OnReply = Arc<dyn Fn(Message) + Send + Sync>;

impl Hub {
    /// A hub without servers.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Subscriber>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is sent to `channels` from now on.
    pub(super) fn subscribe(&self, channels: &[ChannelInfo]) -> Queue {
        let queue = Queue::new();
        if !channels.is_empty() {
            let channels = ChannelMap::new(channels);
            self.lock().push(Subscriber { channels, to: To::Queue(queue.clone()) });
        }
        queue
    }

    /// Calls `reply` with what is sent to `channels` from now on.
    pub(super) fn on_reply(&self, channels: &[ChannelInfo], reply: &OnReply) {
        if !channels.is_empty() {
            let channels = ChannelMap::new(channels);
            self.lock().push(Subscriber { channels, to: To::Replies(reply.clone()) });
        }
    }

    pub(super) fn unsubscribe(&self, queue: &Queue, reply: &OnReply) {
        self.lock().retain(|subscriber| match &subscriber.to {
            To::Queue(other) => !other.is(queue),
            To::Replies(other) => !Arc::ptr_eq(other, reply),
        });
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("servers", &self.lock().len()).finish_non_exhaustive()
    }
}

impl MessageSend for Hub {
    fn send(&self, message: Message) -> SendFuture<'_> {
        // Whoever takes a reply may send, so that is done when the hub is free again.
        let (mut first, mut others) = (None, Vec::new());
        {
            let servers = self.lock();
            let fits = |server: &&Subscriber| server.channels.find(&message.address).is_some();
            let mut fitting = servers.iter().filter(fits).peekable();
            while let Some(server) = fitting.next() {
                match &server.to {
                    To::Queue(queue) if first.is_none() && fitting.peek().is_none() => {
                        drop(fitting);
                        queue.push(message);
                        return SendFuture::ready(Ok(()));
                    }
                    To::Queue(queue) => queue.push(message.clone()),
                    To::Replies(reply) if first.is_none() => first = Some(reply.clone()),
                    To::Replies(reply) => others.push(reply.clone()),
                }
            }
        }
        for reply in others {
            reply(message.clone());
        }
        if let Some(reply) = first {
            reply(message);
        }
        SendFuture::ready(Ok(()))
    }
}
