//! A layer for the messages of one operation.

use std::sync::OnceLock;

use super::Layer;
use crate::{
    channels::ChannelMap,
    context::Context,
    contract::{Application, Settlement, State},
    error::StartupError,
};

/// A layer around the messages of one operation or channel; all others pass by it.
///
/// An operation is known before a message is read by the channel it receives from: where several operations receive from one
/// channel, the layer is around the messages of all of them.
///
/// ```
/// use std::time::Duration;
/// use amgi::layer::{Only, Timeout};
///
/// let layer = Only::new("onUserCreated", Timeout::new(Duration::from_secs(5)));
/// ```
#[derive(Debug)]
pub struct Only<L> {
    name: String,
    layer: L,
    /// The channels and, of each, whether it is meant; known at startup.
    meant: OnceLock<(ChannelMap, Vec<bool>)>,
}

impl<L: Layer> Only<L> {
    /// `layer` for the operation or channel of that name in the document. A name that the document does not have fails the
    /// startup.
    pub fn new(name: impl Into<String>, layer: L) -> Self {
        Self { name: name.into(), layer, meant: OnceLock::new() }
    }

    fn is_meant(&self, address: &str) -> bool {
        self.meant.get().is_some_and(|(map, meant)| {
            map.find(address).is_some_and(|index| meant.get(index) == Some(&true))
        })
    }
}

impl<L: Layer> Layer for Only<L> {
    async fn startup<A: Application>(&self, state: &mut State, next: &A) -> Result<(), StartupError> {
        let channels = next.channels();
        let meant: Vec<bool> = channels
            .iter()
            .map(|channel| {
                channel.name == self.name
                    || channel.operations.iter().any(|operation| operation.name == self.name)
            })
            .collect();
        if !meant.contains(&true) {
            let known: Vec<_> = channels
                .iter()
                .flat_map(|channel| channel.operations)
                .map(|operation| operation.name)
                .collect();
            return Err(StartupError::new(format!(
                "there is no receive operation `{}` for a layer, only {}",
                self.name,
                known.join(", ")
            )));
        }
        // A second startup finds the same channels.
        let _ = self.meant.set((ChannelMap::new(channels), meant));
        self.layer.startup(state, next).await
    }

    async fn message<A: Application>(&self, cx: &Context, next: &A) -> Settlement {
        if self.is_meant(cx.address()) { self.layer.message(cx, next).await } else { next.message(cx).await }
    }

    async fn batch<A: Application>(&self, contexts: &[Context], settlements: &mut Vec<Settlement>, next: &A) {
        // All messages of a batch are of one channel.
        if contexts.first().is_some_and(|cx| self.is_meant(cx.address())) {
            self.layer.batch(contexts, settlements, next).await;
        } else {
            next.batch(contexts, settlements).await;
        }
    }

    async fn shutdown<A: Application>(&self, next: &A) -> Result<(), StartupError> {
        self.layer.shutdown(next).await
    }
}
