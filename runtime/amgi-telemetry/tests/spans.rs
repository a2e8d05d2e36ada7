//! Spans and metrics of an application in the test's own process, by exporters in memory.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use amgi::{
    Application, ChannelInfo, Context, Disposition, Message, MessageSend, OperationInfo, Outgoing, Reason,
    SendError, SendFuture, Settlement, State, layer,
    server::{Outcome, Policies, Policy, deliver},
    testing::TestApp,
};
use amgi_telemetry::{Builder, Telemetry};
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::{
    metrics::{
        InMemoryMetricExporter,
        data::{AggregatedMetrics, MetricData, ScopeMetrics},
    },
    trace::{InMemorySpanExporter, SpanData},
};
use tracing_subscriber::layer::SubscriberExt as _;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

const OPERATIONS: &[OperationInfo] = &[OperationInfo { name: "onUserRenamed", bindings: &[], messages: &[] }];

/// Does what the payload says.
struct App([ChannelInfo; 1]);

impl App {
    fn new() -> Self {
        Self([ChannelInfo { operations: OPERATIONS, ..ChannelInfo::new("userEvents", "user.{id}.events") }])
    }
}

impl Application for App {
    fn channels(&self) -> &[ChannelInfo] {
        &self.0
    }

    async fn message(&self, cx: &Context) -> Settlement {
        let fail = |disposition, reason| Settlement::Fail { disposition, reason };
        match cx.message().payload.as_deref().unwrap_or_default() {
            b"send" => match cx.send(Message::new("user.welcome").payload("hello")).await {
                Ok(()) => Settlement::Ack,
                Err(error) => fail(Disposition::Retry, Reason::Failed(error.to_string())),
            },
            b"keep" => {
                let kept = Outgoing::new(cx.sender(), Ok(Message::new("user.welcome")));
                cx.send_on_success(kept).map_or(Settlement::Unsettled, |()| Settlement::Ack)
            }
            b"forward" => {
                let mut message = cx.message().clone();
                message.address = "user.copy".into();
                cx.send(message).await.map_or(Settlement::Unsettled, |()| Settlement::Ack)
            }
            b"give up" => fail(Disposition::DeadLetter, Reason::Failed("no such user".to_owned())),
            b"panic" => panic!("as told"),
            b"hang" => std::future::pending().await,
            _ => Settlement::Ack,
        }
    }

    async fn batch(&self, contexts: &[Context], settlements: &mut Vec<Settlement>) {
        settlements.resize(contexts.len(), Settlement::Ack);
        if let Some(last) = settlements.last_mut() {
            *last = Settlement::Fail {
                disposition: Disposition::Discard,
                reason: Reason::Failed("late".to_owned()),
            };
        }
    }
}

/// Telemetry that keeps what it exports.
struct Kept {
    telemetry: Telemetry,
    spans: InMemorySpanExporter,
    metrics: InMemoryMetricExporter,
    _subscriber: tracing::subscriber::DefaultGuard,
}

impl Kept {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    fn with(change: impl FnOnce(Builder) -> Builder) -> Self {
        let (spans, metrics) = (InMemorySpanExporter::default(), InMemoryMetricExporter::default());
        let builder = Telemetry::from_env().span_exporter(spans.clone()).metric_exporter(metrics.clone());
        let telemetry = change(builder).build().expect("nothing is wrong with the environment");
        let subscriber = tracing_subscriber::registry().with(telemetry.tracing_layer());
        let subscriber = tracing::subscriber::set_default(subscriber);
        Self { telemetry, spans, metrics, _subscriber: subscriber }
    }

    /// The finished spans by name, in the order of their ends.
    fn spans(&self) -> Vec<SpanData> {
        self.telemetry.flush();
        let spans = self.spans.get_finished_spans().expect("the exporter works");
        self.spans.reset();
        spans
    }

    /// Every data point as `name{attributes}`, with how often it was recorded.
    fn points(&self) -> BTreeMap<String, u64> {
        self.telemetry.flush();
        let mut points = BTreeMap::new();
        let all = self.metrics.get_finished_metrics().expect("the exporter works");
        for metric in all.last().expect("metrics").scope_metrics().flat_map(ScopeMetrics::metrics) {
            let mut add = |attributes: Vec<String>, count| {
                points.insert(format!("{}{{{}}}", metric.name(), attributes.join(",")), count);
            };
            let text = |attributes: &mut dyn Iterator<Item = &opentelemetry::KeyValue>| {
                let mut all: Vec<_> = attributes.map(|kv| format!("{}={}", kv.key, kv.value)).collect();
                all.sort();
                all
            };
            match metric.data() {
                AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                    for point in histogram.data_points() {
                        assert_eq!(point.bounds().count(), 14, "the conventions' buckets");
                        add(text(&mut point.attributes()), point.count());
                    }
                }
                AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                    for point in sum.data_points() {
                        add(text(&mut point.attributes()), point.value());
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        points
    }
}

/// Value of an attribute as text.
fn attribute(span: &SpanData, key: &str) -> Option<String> {
    span.attributes.iter().find(|kv| kv.key.as_str() == key).map(|kv| kv.value.to_string())
}

fn traced(payload: &'static str) -> Message {
    Message::new("user.42.events")
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .header("tracestate", "vendor=1")
        .header("correlation-id", "c-1")
        .payload(payload)
}

#[tokio::test]
async fn a_message_is_a_span_and_its_sends_carry_it_on() {
    let kept = Kept::new();
    let app = TestApp::start(App::new().layer(kept.telemetry.layer())).await.expect("it starts");
    let delivered = app.deliver(traced("send")).await;
    delivered.assert_acked();
    let [send, process] = &kept.spans()[..] else { panic!("two spans") };

    assert_eq!(process.name, "process user.{id}.events");
    assert_eq!(process.span_kind, SpanKind::Consumer);
    assert_eq!(process.span_context.trace_id().to_string(), TRACE);
    assert_eq!(process.parent_span_id.to_string(), PARENT);
    assert!(process.parent_span_is_remote);
    assert_eq!(process.links.len(), 1, "the conventions ask for a link too");
    assert_eq!(process.status, Status::Unset);
    for (key, value) in [
        ("operation", "onUserRenamed"),
        ("channel", "userEvents"),
        ("address", "user.42.events"),
        ("messaging.system", "amgi"),
        ("messaging.operation.name", "process"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", "user.42.events"),
        ("messaging.destination.template", "user.{id}.events"),
        ("messaging.message.body.size", "4"),
        ("messaging.message.conversation_id", "c-1"),
        ("amgi.settlement", "ack"),
    ] {
        assert_eq!(attribute(process, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(attribute(process, "error.type"), None);

    assert_eq!(send.name, "send user.welcome");
    assert_eq!(send.span_kind, SpanKind::Producer);
    assert_eq!(send.span_context.trace_id().to_string(), TRACE);
    assert_eq!(send.parent_span_id, process.span_context.span_id());
    assert_eq!(attribute(send, "messaging.operation.type").as_deref(), Some("send"));
    assert_eq!(attribute(send, "messaging.destination.name").as_deref(), Some("user.welcome"));
    assert_eq!(attribute(send, "messaging.message.body.size").as_deref(), Some("5"));

    let message = &delivered.sent_to("user.welcome")[0];
    let expected = format!("00-{TRACE}-{}-01", send.span_context.span_id());
    assert_eq!(message.headers.get("traceparent"), Some(expected.as_bytes()));
    assert_eq!(message.headers.get("tracestate"), Some(&b"vendor=1"[..]));

    let points = kept.points();
    let names: Vec<_> = points.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let process = "messaging.destination.template=user.{id}.events,messaging.operation.name=process,messaging.system=amgi";
    let send = "messaging.destination.name=user.welcome,messaging.operation.name=send";
    assert_eq!(
        names,
        [
            format!("messaging.client.consumed.messages{{{process}}} 1"),
            format!(
                "messaging.client.operation.duration{{{send},messaging.operation.type=send,messaging.system=amgi}} 1"
            ),
            format!("messaging.client.sent.messages{{{send},messaging.system=amgi}} 1"),
            format!("messaging.process.duration{{{process}}} 1"),
        ]
    );
}

#[tokio::test]
async fn without_a_context_a_message_begins_a_trace() {
    let kept = Kept::new();
    let app = TestApp::start(App::new().layer(kept.telemetry.layer())).await.expect("it starts");
    app.deliver(Message::new("user.1.events").binding("amqp", "correlation_id", "c-9")).await.assert_acked();
    let [process] = &kept.spans()[..] else { panic!("a span") };
    assert_eq!(process.parent_span_id, opentelemetry::SpanId::INVALID);
    assert!(process.links.is_empty());
    assert_eq!(attribute(process, "messaging.system").as_deref(), Some("rabbitmq"), "by its bindings");
    assert_eq!(attribute(process, "messaging.message.conversation_id").as_deref(), Some("c-9"));
}

#[tokio::test]
async fn in_another_span_the_message_is_linked() {
    let kept = Kept::new();
    let app = TestApp::start(App::new().layer(kept.telemetry.layer())).await.expect("it starts");
    {
        use tracing::Instrument as _;
        app.deliver(traced("")).instrument(tracing::info_span!("poll")).await.assert_acked();
    }
    let [process, poll] = &kept.spans()[..] else { panic!("two spans") };
    assert_eq!(process.parent_span_id, poll.span_context.span_id());
    assert_eq!(process.links[0].span_context.trace_id().to_string(), TRACE);
}

#[tokio::test]
async fn failures_say_how_the_message_is_settled_and_why() {
    let kept = Kept::new();
    let app = TestApp::start(App::new().layer(kept.telemetry.layer())).await.expect("it starts");
    let _ = app.deliver(traced("give up")).await;
    let _ = app.deliver(traced("panic")).await;
    app.fail_sends(Some("the broker is gone"));
    let _ = app.deliver(traced("send")).await;
    let seen: Vec<_> = kept
        .spans()
        .iter()
        .map(|span| {
            let description = match &span.status {
                Status::Error { description } => description.to_string(),
                other => format!("{other:?}"),
            };
            (attribute(span, "amgi.settlement"), attribute(span, "error.type"), description)
        })
        .collect();
    let some = |text: &str| Some(text.to_owned());
    let gone = "could not send to `user.welcome`: the broker is gone".to_owned();
    assert_eq!(
        seen,
        [
            (some("dead-letter"), some("failed"), "no such user".to_owned()),
            (None, some("panicked"), "handler panicked".to_owned()),
            (None, some("send-failed"), gone.clone()),
            (some("retry"), some("failed"), gone),
        ]
    );
    let failed: Vec<_> = kept.points().into_keys().filter(|name| name.contains("error.type")).collect();
    assert_eq!(failed.len(), 4, "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_off_is_cancelled_and_attempts_are_counted() {
    let kept = Kept::new();
    let app = App::new().layer(kept.telemetry.layer()).layer(layer::Retry::new(2)).layer(layer::CatchPanic);
    let mut state = State::default();
    app.startup(&mut state).await.expect("it starts");
    let policy = Policy { timeout: Some(Duration::from_secs(1)), attempts: 1, ..Policy::default() };
    let policies = Policies::new(app.channels(), policy);
    let cx = Context::new(traced("hang"), state.clone(), Arc::new(amgi::NoSender));
    assert!(matches!(Box::pin(deliver(&app, &cx, &policies)).await, Outcome::Nacked { .. }));
    let cx = Context::new(traced("send"), state, Arc::new(amgi::NoSender));
    assert!(matches!(
        Box::pin(deliver(&app, &cx, &policies)).await,
        Outcome::DeadLettered(_) | Outcome::Nacked { .. }
    ));

    let spans = kept.spans();
    let attempts: Vec<_> = spans
        .iter()
        .filter(|span| span.span_kind == SpanKind::Consumer)
        .map(|span| (attribute(span, "error.type"), attribute(span, "amgi.attempt")))
        .collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(attempts, [(some("cancelled"), None), (some("failed"), None), (some("failed"), some("2"))]);
    let consumed = kept.points().into_iter().find(|(name, _)| name.contains("consumed")).expect("a count");
    assert_eq!(consumed.1, 2, "a message is counted once, however often it is tried");
}

#[tokio::test]
async fn a_batch_is_one_span_with_a_link_to_each_message() {
    let kept = Kept::new();
    let app = App::new().layer(kept.telemetry.layer());
    let mut state = State::default();
    app.startup(&mut state).await.expect("it starts");
    let context = |message| Context::new(message, state.clone(), Arc::new(amgi::NoSender));
    let contexts = [traced(""), Message::new("user.1.events"), traced("")].map(context);
    let mut settlements = Vec::new();
    app.batch(&contexts, &mut settlements).await;
    assert_eq!(settlements.len(), 3);
    let [process] = &kept.spans()[..] else { panic!("a span") };
    assert_eq!(process.name, "process user.{id}.events");
    assert_eq!(process.links.len(), 2);
    assert_eq!(process.parent_span_id, opentelemetry::SpanId::INVALID);
    assert_eq!(attribute(process, "messaging.batch.message_count").as_deref(), Some("3"));
    assert_eq!(attribute(process, "amgi.settlement").as_deref(), Some("discard"));
    assert_eq!(attribute(process, "messaging.destination.name"), None, "they are from two addresses");
    let consumed = kept.points().into_iter().find(|(name, _)| name.contains("consumed")).expect("a count");
    assert_eq!(consumed.1, 3);
}

#[tokio::test]
async fn sends_on_success_belong_to_the_trace_and_a_given_context_stays() {
    let kept = Kept::new();
    let app = TestApp::start(App::new().layer(kept.telemetry.layer())).await.expect("it starts");
    let delivered = app.deliver(traced("keep")).await;
    delivered.assert_acked();
    let spans = kept.spans();
    let find = |name: &str| spans.iter().find(|span| span.name == name).expect("the span");
    let (send, process) = (find("send user.welcome"), find("process user.{id}.events"));
    assert_eq!(send.parent_span_id, process.span_context.span_id());
    assert_eq!(send.span_context.trace_id().to_string(), TRACE);

    let delivered = app.deliver(traced("forward")).await;
    let message = &delivered.sent_to("user.copy")[0];
    let expected = format!("00-{TRACE}-{PARENT}-01");
    assert_eq!(message.headers.get("traceparent"), Some(expected.as_bytes()), "as it came");
    let spans = kept.spans();
    let send = spans.iter().find(|span| span.name == "send user.copy").expect("the span");
    assert_eq!(send.links[0].span_context.span_id().to_string(), PARENT);
}

/// A server's sender that keeps what is sent.
#[derive(Default)]
struct Outbox(std::sync::Mutex<Vec<(&'static [&'static str], Message)>>);

impl MessageSend for Outbox {
    fn send(&self, message: Message) -> SendFuture<'_> {
        self.send_on(&[], message)
    }

    fn send_on(&self, servers: &'static [&'static str], message: Message) -> SendFuture<'_> {
        SendFuture::pending(async move {
            let mut sent = self.0.lock().map_err(|_| SendError::new("x", "poisoned"))?;
            sent.push((servers, message));
            Ok(())
        })
    }
}

#[tokio::test]
async fn clients_send_in_spans_too() {
    let kept = Kept::with(|builder| builder.protocol("mqtt5"));
    let outbox = Arc::new(Outbox::default());
    let sender = kept.telemetry.sender(outbox.clone());
    sender.send_on(&["broker"], Message::new("amgi.reply.42")).await.expect("it is sent");
    let [send] = &kept.spans()[..] else { panic!("a span") };
    assert_eq!(send.name, "send amgi.reply.{id}", "an address of one process is no destination of its own");
    assert_eq!(attribute(send, "messaging.system").as_deref(), Some("mqtt"));
    let taken = outbox.0.lock().expect("nobody panicked");
    assert_eq!(taken[0].0, ["broker"], "it is passed on");
    assert!(taken[0].1.headers.get("traceparent").is_some());
}
