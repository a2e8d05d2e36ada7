//! Sends in spans of their own, which go along with the message.

use std::{sync::Arc, time::Instant};

use amgi::{ByteString, Message, MessageSend, SendError, SendFuture};
use opentelemetry::{
    StringValue,
    trace::{Status, TraceContextExt as _},
};
use opentelemetry_semantic_conventions::attribute::ERROR_TYPE;
use tracing::{Instrument as _, Span, field, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{
    metrics::{Operation, of_message},
    telemetry::Inner,
};

/// `error.type` of a send that failed.
const FAILED: &str = "send-failed";
/// `error.type` of what was dropped before it had ended, such as by a timeout.
pub(crate) const CANCELLED: &str = "cancelled";

/// A sender whose sends are seen.
pub(crate) struct Traced {
    inner: Arc<dyn MessageSend>,
    telemetry: Arc<Inner>,
    system: StringValue,
}

impl Traced {
    pub(crate) fn new(inner: Arc<dyn MessageSend>, telemetry: Arc<Inner>, system: StringValue) -> Self {
        Self { inner, telemetry, system }
    }

    fn begin(&self, message: &mut Message) -> Sending {
        let operation = Operation {
            name: "send",
            system: self.system.clone(),
            address: Some(text(&message.address)),
            template: self.telemetry.template(&message.address),
        };
        let span = info_span!(
            target: "amgi",
            "send",
            address = &*message.address,
            trace_id = field::Empty,
            otel.kind = "producer",
            otel.name = operation.span_name(),
        );
        if !span.is_disabled() {
            let conversation = self.telemetry.conversation(message);
            for attribute in operation.span().chain(of_message(message, conversation)) {
                span.set_attribute(attribute.key, attribute.value);
            }
            // A context that somebody has put into the message stays, as the conventions ask for.
            let given = self.telemetry.creation(message);
            let given = given.span().span_context().clone();
            if given.is_valid() {
                span.add_link(given);
            } else {
                self.telemetry.inject(&span.context(), message);
            }
        }
        let telemetry = self.telemetry.clone();
        Sending { telemetry, span, operation, begun: Instant::now(), ended: false }
    }

    fn send_by<'a>(
        &'a self,
        mut message: Message,
        send: impl FnOnce(Message) -> SendFuture<'a>,
    ) -> SendFuture<'a> {
        let sending = self.begin(&mut message);
        let span = sending.span.clone();
        match span.in_scope(|| send(message)) {
            SendFuture::Ready(Some(result)) => SendFuture::ready(sending.end(result)),
            future => SendFuture::pending(async move {
                let result = future.instrument(span).await;
                sending.end(result)
            }),
        }
    }
}

impl MessageSend for Traced {
    fn send(&self, message: Message) -> SendFuture<'_> {
        self.send_by(message, |message| self.inner.send(message))
    }

    fn send_on(&self, servers: &'static [&'static str], message: Message) -> SendFuture<'_> {
        self.send_by(message, |message| self.inner.send_on(servers, message))
    }
}

/// Text of a message as an attribute.
pub(crate) fn text(text: &ByteString) -> StringValue {
    StringValue::from(text.to_string())
}

/// A send that has begun.
struct Sending {
    telemetry: Arc<Inner>,
    span: Span,
    operation: Operation,
    begun: Instant,
    ended: bool,
}

impl Sending {
    fn end(mut self, result: Result<(), SendError>) -> Result<(), SendError> {
        self.ended = true;
        match &result {
            Ok(()) => self.record(None),
            Err(error) => {
                self.span.set_status(Status::error(error.to_string()));
                self.record(Some(FAILED));
            }
        }
        result
    }

    fn record(&self, error: Option<&'static str>) {
        if let Some(error) = error {
            self.span.set_attribute(ERROR_TYPE, error);
        }
        self.telemetry.instruments.sent(self.begun.elapsed(), &self.operation, error);
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.ended {
            self.span.set_status(Status::error("dropped before it had ended"));
            self.record(Some(CANCELLED));
        }
    }
}
