//! The layer: a span a message, metrics, and what the endpoint says about the application.

use std::{
    pin::pin,
    slice,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Instant,
};

use amgi::{
    Application, Context, Disposition, Layer, MessageSend, ServerInfo, Settlement, StartupError, State, layer,
};
use opentelemetry::{
    Context as OtelContext, KeyValue, StringValue,
    trace::{Status, TraceContextExt as _},
};
use opentelemetry_semantic_conventions::attribute::{ERROR_TYPE, MESSAGING_BATCH_MESSAGE_COUNT};
use tracing::{Instrument as _, Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{
    metrics::{Operation, of_message, system},
    sender::{CANCELLED, Traced, text},
    telemetry::Inner,
};

/// Senders that are remembered. A server has one; whoever makes one for every message is not remembered.
const SENDERS: usize = 16;

/// A layer that puts every message into a span, measures it, and lets its sends carry the trace on. See the
/// [crate](crate).
pub struct Trace {
    telemetry: Arc<Inner>,
    spans: layer::Trace,
    /// Known at startup, in the order of the application's channels.
    channels: OnceLock<Vec<Channel>>,
    /// The servers' senders, each with the one that stands before it.
    senders: RwLock<Vec<[Arc<dyn MessageSend>; 2]>>,
}

#[derive(Debug)]
struct Channel {
    /// The address, where it has parameters.
    template: Option<StringValue>,
    /// By the document, where its servers agree on it.
    system: Option<StringValue>,
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trace").field("channels", &self.channels).finish_non_exhaustive()
    }
}

impl Trace {
    pub(crate) fn new(telemetry: Arc<Inner>) -> Self {
        Self { telemetry, spans: layer::Trace::new(), channels: OnceLock::new(), senders: RwLock::default() }
    }

    fn learn<A: Application>(&self, app: &A) {
        self.spans.learn(app.channels());
        let channels = app.channels().iter().map(|channel| Channel {
            template: channel.address.contains('{').then(|| StringValue::from(channel.address.to_string())),
            system: system_of(app.servers(), channel.servers),
        });
        let _ = self.channels.set(channels.collect());
    }

    fn channel(&self, index: Option<usize>) -> Option<&Channel> {
        self.channels.get()?.get(index?)
    }

    /// The system that a message came from: what the builder says, else the protocol of its bindings, else the document's.
    fn system(&self, cx: &Context, channel: Option<&Channel>) -> StringValue {
        let told = self.telemetry.system.clone();
        let bound = || {
            let binding = cx.message().bindings.iter().next()?;
            Some(StringValue::from(system(&binding.protocol).to_owned()))
        };
        told.or_else(bound)
            .or_else(|| channel.and_then(|channel| channel.system.clone()))
            .unwrap_or_else(|| "amgi".into())
    }

    /// The same message with a sender whose sends are seen.
    fn with_sender(&self, cx: &Context, system: &StringValue) -> Context {
        let sender = cx.sender();
        let is = |other: &Arc<dyn MessageSend>| std::ptr::addr_eq(Arc::as_ptr(sender), Arc::as_ptr(other));
        {
            let senders = self.senders.read().unwrap_or_else(PoisonError::into_inner);
            if let Some([_, traced]) = senders.iter().find(|[inner, _]| is(inner)) {
                return cx.clone().with_sender(traced.clone());
            }
        }
        let traced: Arc<dyn MessageSend> =
            Arc::new(Traced::new(sender.clone(), self.telemetry.clone(), system.clone()));
        let mut senders = self.senders.write().unwrap_or_else(PoisonError::into_inner);
        if senders.len() < SENDERS && !senders.iter().any(|[inner, _]| is(inner)) {
            senders.push([sender.clone(), traced.clone()]);
            #[cfg(feature = "health")]
            self.telemetry.health.watch(cx.stop());
        }
        drop(senders);
        cx.clone().with_sender(traced)
    }

    /// Begins with a message, or with the messages of a batch.
    fn begin(&self, contexts: &[Context], index: Option<usize>, system: StringValue) -> Processing<'_> {
        let channel = self.channel(index);
        let mut addresses = contexts.iter().map(|cx| &cx.message().address);
        let first = addresses.next();
        let operation = Operation {
            name: "process",
            system,
            address: first.filter(|first| addresses.all(|other| other == *first)).map(text),
            template: channel.and_then(|channel| channel.template.clone()),
        };
        // Before there is a span of ours.
        let ambient = Span::current().context();
        let span = self.spans.span(index, contexts);
        if !span.is_disabled() {
            span.record("otel.kind", "consumer").record("otel.name", operation.span_name());
            for attribute in operation.span() {
                span.set_attribute(attribute.key, attribute.value);
            }
            match contexts {
                [cx] => {
                    let conversation = self.telemetry.conversation(cx.message());
                    for attribute in of_message(cx.message(), conversation) {
                        span.set_attribute(attribute.key, attribute.value);
                    }
                    if cx.attempt() > 1 {
                        span.set_attribute("amgi.attempt", i64::from(cx.attempt()));
                    }
                }
                several => {
                    let count = i64::try_from(several.len()).unwrap_or(i64::MAX);
                    span.set_attribute(MESSAGING_BATCH_MESSAGE_COUNT, count);
                }
            }
            self.relate(&span, contexts, &ambient);
            let trace_id = span.context().span().span_context().trace_id();
            span.record("trace_id", field::display(trace_id));
        }
        let deliveries = contexts.iter().filter(|cx| cx.attempt() == 1).count();
        Processing {
            telemetry: &self.telemetry,
            span,
            operation,
            deliveries: u64::try_from(deliveries).unwrap_or(u64::MAX),
            begun: Instant::now(),
            ended: false,
        }
    }

    /// Says where the messages come from: a link each, and for a single one outside of any other span its parent.
    fn relate(&self, span: &Span, contexts: &[Context], ambient: &OtelContext) {
        for cx in contexts {
            let creation = self.telemetry.creation(cx.message());
            span.add_link(creation.span().span_context().clone());
            if contexts.len() == 1 && !ambient.span().span_context().is_valid() {
                // It has not begun, so it can be given one.
                let _ = span.set_parent(creation);
            }
        }
    }
}

/// The system of those servers that a channel is on, if there is one.
fn system_of(servers: &[ServerInfo], on: &[&str]) -> Option<StringValue> {
    let mut systems = servers
        .iter()
        .filter(|server| on.is_empty() || on.contains(&server.name))
        .map(|server| system(server.protocol));
    let first = systems.next()?;
    systems.all(|other| other == first).then(|| StringValue::from(first.to_owned()))
}

impl Layer for Trace {
    async fn startup<A: Application>(&self, state: &mut State, next: &A) -> Result<(), StartupError> {
        self.learn(next);
        next.startup(state).await?;
        #[cfg(feature = "health")]
        self.telemetry.health.started();
        Ok(())
    }

    async fn message<A: Application>(&self, cx: &Context, next: &A) -> Settlement {
        let index = self.spans.find(cx.address());
        let system = self.system(cx, self.channel(index));
        let cx = self.with_sender(cx, &system);
        let processing = self.begin(slice::from_ref(&cx), index, system);
        let settlement = pin!(next.message(&cx)).instrument(processing.span.clone()).await;
        processing.end(slice::from_ref(&settlement));
        settlement
    }

    async fn batch<A: Application>(&self, contexts: &[Context], settlements: &mut Vec<Settlement>, next: &A) {
        let Some(first) = contexts.first() else { return };
        // All messages of a batch are of one channel.
        let index = self.spans.find(first.address());
        let system = self.system(first, self.channel(index));
        let contexts: Vec<Context> = contexts.iter().map(|cx| self.with_sender(cx, &system)).collect();
        let processing = self.begin(&contexts, index, system);
        pin!(next.batch(&contexts, settlements)).instrument(processing.span.clone()).await;
        // One that is missing was not settled.
        settlements.resize(contexts.len(), Settlement::Unsettled);
        processing.end(settlements);
    }

    async fn shutdown<A: Application>(&self, next: &A) -> Result<(), StartupError> {
        #[cfg(feature = "health")]
        self.telemetry.health.ended();
        let ended = next.shutdown().await;
        // What a server has sent through them is over.
        self.senders.write().unwrap_or_else(PoisonError::into_inner).clear();
        let telemetry = self.telemetry.clone();
        // Exporting blocks. One that fails is logged, and no reason to end badly.
        let _ = tokio::task::spawn_blocking(move || telemetry.flush()).await;
        ended
    }
}

/// What is being handled. Dropped before its end, it was cancelled or panicked.
struct Processing<'a> {
    telemetry: &'a Inner,
    span: Span,
    operation: Operation,
    /// Messages that are handled for the first time.
    deliveries: u64,
    begun: Instant,
    ended: bool,
}

impl Processing<'_> {
    fn end(mut self, settlements: &[Settlement]) {
        self.ended = true;
        // Of a batch, the first that did not go well.
        let settlement = settlements.iter().find(|one| **one != Settlement::Ack);
        let word = match settlement {
            None => "ack",
            Some(Settlement::Fail { disposition, .. }) => match disposition {
                Disposition::Retry | Disposition::RetryAfter(_) => "retry",
                Disposition::DeadLetter => "dead-letter",
                Disposition::Discard => "discard",
            },
            Some(_) => "unsettled",
        };
        self.span.set_attribute("amgi.settlement", word);
        let error = match settlement {
            Some(Settlement::Fail { reason, .. }) => {
                self.span.set_status(Status::error(reason.to_string()));
                Some(reason.kind())
            }
            _ => None,
        };
        self.record(error);
    }

    fn record(&self, error: Option<&'static str>) {
        if let Some(error) = error {
            let KeyValue { key, value, .. } = KeyValue::new(ERROR_TYPE, error);
            self.span.set_attribute(key, value);
        }
        let took = self.begun.elapsed();
        self.telemetry.instruments.processed(took, self.deliveries, &self.operation, error);
    }
}

impl Drop for Processing<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let (kind, text) = if std::thread::panicking() {
                ("panicked", "handler panicked")
            } else {
                (CANCELLED, "dropped before it had ended")
            };
            self.span.set_status(Status::error(text));
            self.record(Some(kind));
        }
    }
}
