//! Log lines that say which message they are about.

use std::{pin::pin, slice, sync::OnceLock};

use tracing::{Instrument as _, Span, field, info_span, level_filters::LevelFilter};

use super::Layer;
use crate::{
    channels::ChannelMap,
    context::Context,
    contract::{Application, ChannelInfo, Settlement, State},
    error::StartupError,
};

/// Handles every message in a `tracing` span `process`, so that each line that is logged meanwhile says the operation, the
/// channel and the address. A batch has one span.
///
/// ```text
/// INFO process{operation="onUserCreated" channel="userCreated" address="user.created"}: app::handlers: a new user
/// ```
///
/// It is the outermost layer, as a rule. What servers log about a message themselves has its address. An operation is known by
/// its channel; where several receive from one, all are named. It allocates nothing, and costs some 300 instructions where
/// nobody listens to `info`. `amgi-telemetry` builds on this layer: use one of the two.
#[derive(Debug, Default)]
pub struct Trace {
    /// Known at startup.
    known: OnceLock<(ChannelMap, Vec<Names>)>,
}

#[derive(Debug)]
struct Names {
    channel: &'static str,
    operation: Box<str>,
}

impl Trace {
    /// The layer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Learns the channels of an application. Startup does it.
    pub fn learn(&self, channels: &[ChannelInfo]) {
        let names = channels.iter().map(|channel| {
            let operations: Vec<&str> = channel.operations.iter().map(|operation| operation.name).collect();
            Names { channel: channel.name, operation: operations.join(", ").into() }
        });
        // A second startup finds the same channels.
        let _ = self.known.set((ChannelMap::new(channels), names.collect()));
    }

    /// Index of the channel that `address` belongs to, of those that were learnt.
    pub fn find(&self, address: &str) -> Option<usize> {
        self.known.get()?.0.find(address)
    }

    /// The span of a message, or of the messages of a batch, from a channel: for layers that do more with it, before it is
    /// entered. It has the empty fields `trace_id`, `otel.kind` and `otel.name`, too.
    pub fn span(&self, channel: Option<usize>, contexts: &[Context]) -> Span {
        let names = self.known.get().zip(channel).and_then(|((_, names), index)| names.get(index));
        let address = contexts.first().map(Context::address);
        info_span!(
            target: "amgi",
            "process",
            operation = names.map(|names| &*names.operation).filter(|operation| !operation.is_empty()),
            channel = names.map(|names| names.channel),
            address = address.filter(|address| contexts.iter().skip(1).all(|cx| cx.address() == *address)),
            messages = (contexts.len() > 1).then_some(contexts.len()),
            trace_id = field::Empty,
            otel.kind = field::Empty,
            otel.name = field::Empty,
        )
    }

    /// What [`find`](Self::find) says, where anybody wants to know.
    fn find_for_log(&self, address: &str) -> Option<usize> {
        if LevelFilter::current() < LevelFilter::INFO { None } else { self.find(address) }
    }
}

impl Layer for Trace {
    async fn startup<A: Application>(&self, state: &mut State, next: &A) -> Result<(), StartupError> {
        self.learn(next.channels());
        next.startup(state).await
    }

    async fn message<A: Application>(&self, cx: &Context, next: &A) -> Settlement {
        let span = self.span(self.find_for_log(cx.address()), slice::from_ref(cx));
        // Pinned here, the future is not moved, and takes its room once.
        pin!(next.message(cx)).instrument(span).await
    }

    async fn batch<A: Application>(&self, contexts: &[Context], settlements: &mut Vec<Settlement>, next: &A) {
        // All messages of a batch are of one channel.
        let channel = contexts.first().and_then(|cx| self.find_for_log(cx.address()));
        pin!(next.batch(contexts, settlements)).instrument(self.span(channel, contexts)).await;
    }
}
