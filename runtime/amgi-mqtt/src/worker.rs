//! The loops that hand messages to the application.
//!
//! What must hold: a topic belongs to one loop, so its messages are handled one after the other; a loop never passes over a
//! message that is not settled.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use amgi::{
    Application, ByteString, Context,
    server::{Policies, insist},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use crate::{inbox, message, wire::Publish};

/// A message on its way to a loop.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) number: inbox::Job,
    pub(crate) address: ByteString,
    pub(crate) publish: Publish,
}

/// A job that is over.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) number: inbox::Job,
    /// Whether the broker may forget the message.
    pub(crate) acked: bool,
}

/// The loop that a topic belongs to.
pub(crate) fn lane(topic: &str, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    topic.hash(&mut hasher);
    // The remainder is below `lanes`, which is a usize.
    usize::try_from(hasher.finish() % lanes as u64).unwrap_or(0)
}

/// Handles one job after the other until the session closes the lane. When a drain is asked for, what is not begun yet stays
/// with the broker, unless the broker has forgotten it already (QoS 0).
pub(crate) async fn work<A: Application>(
    app: Arc<A>,
    mut cx: Context,
    policies: Arc<Policies>,
    mut jobs: UnboundedReceiver<Job>,
    done: UnboundedSender<Done>,
) {
    while let Some(Job { number, address, publish }) = jobs.recv().await {
        let acked = if cx.stop().is_requested() && publish.qos > 0 {
            false
        } else {
            cx.replace(message::incoming(address, publish));
            // MQTT has no nack. At a drain the message stays with the broker.
            insist(&*app, &cx, &policies).await
        };
        if done.send(Done { number, acked }).is_err() {
            break;
        }
    }
}
