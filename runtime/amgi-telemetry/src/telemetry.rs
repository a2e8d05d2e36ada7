//! Putting it together: what the environment and the builder say becomes providers, a layer, and an endpoint.

use std::sync::Arc;

use amgi::{ChannelInfo, ChannelMap, Document, Message, MessageSend};
use opentelemetry::{
    Context, InstrumentationScope, StringValue, global,
    metrics::MeterProvider as _,
    propagation::{TextMapCompositePropagator, TextMapPropagator},
    trace::TracerProvider as _,
};
use opentelemetry_sdk::{
    Resource,
    metrics::{MeterProviderBuilder, SdkMeterProvider, exporter::PushMetricExporter},
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::{SdkTracerProvider, SpanExporter, TracerProviderBuilder},
};
use tracing::Subscriber;
use tracing_subscriber::{
    Layer as _, filter::Targets, fmt, layer::SubscriberExt as _, registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use crate::{
    Error, Trace,
    logs::Fields,
    metrics::{Instruments, system},
    propagation,
    sender::Traced,
    settings::Settings,
};
#[cfg(feature = "health")]
use crate::{endpoint::Endpoint, health::Health};

type Conversation = Box<dyn Fn(&Message) -> Option<String> + Send + Sync>;

/// What all layers and senders of a [`Telemetry`] share. The last of them flushes what is not exported yet.
pub(crate) struct Inner {
    tracers: SdkTracerProvider,
    meters: SdkMeterProvider,
    propagator: TextMapCompositePropagator,
    pub(crate) instruments: Instruments,
    #[cfg(feature = "health")]
    pub(crate) health: Arc<Health>,
    pub(crate) system: Option<StringValue>,
    conversation: Conversation,
    /// Addresses with parameters that are sent to.
    sends: (ChannelMap, Vec<StringValue>),
    #[cfg(feature = "health")]
    endpoint: Option<Endpoint>,
}

impl Inner {
    /// The address with its `{parameters}` of the channel that is sent to, where it is known to have some.
    pub(crate) fn template(&self, address: &str) -> Option<StringValue> {
        let (map, templates) = &self.sends;
        templates.get(map.find(address)?).cloned()
    }

    pub(crate) fn conversation(&self, message: &Message) -> Option<String> {
        (self.conversation)(message)
    }

    /// The context that a message was made in, by its headers and nothing else.
    pub(crate) fn creation(&self, message: &Message) -> Context {
        self.propagator.extract_with_context(&Context::new(), &propagation::From(&message.headers))
    }

    /// Puts a context into the headers of a message.
    pub(crate) fn inject(&self, cx: &Context, message: &mut Message) {
        self.propagator.inject_context(cx, &mut propagation::Into(&mut message.headers));
    }

    /// Exports what is not exported yet; blocks.
    pub(crate) fn flush(&self) {
        // An exporter that fails has logged it.
        let _ = self.tracers.force_flush();
        let _ = self.meters.force_flush();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Errors are those of exporters, which have logged them, or of what was shut down already.
        let _ = self.tracers.shutdown();
        let _ = self.meters.shutdown();
    }
}

/// Traces, metrics and health of a process; see the [crate](crate).
#[derive(Clone)]
pub struct Telemetry {
    inner: Arc<Inner>,
    disabled: bool,
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry").field("disabled", &self.disabled).finish_non_exhaustive()
    }
}

impl Telemetry {
    /// Configured by the environment, and where that says nothing by the builder. The [crate](crate) lists the variables.
    pub fn from_env() -> Builder {
        Builder::new()
    }

    /// The layer for an application, as a rule its outermost. One for every application.
    pub fn layer(&self) -> Trace {
        Trace::new(self.inner.clone())
    }

    /// A sender whose sends have a span and carry it on, as those of handlers do: for [clients](amgi::Client).
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # fn example(telemetry: &amgi_telemetry::Telemetry, client: &amgi::Client) {
    /// let sender = telemetry.sender(client.sender().clone());
    /// # }
    /// ```
    pub fn sender(&self, sender: Arc<dyn MessageSend>) -> Arc<dyn MessageSend> {
        let system = self.inner.system.clone().unwrap_or_else(|| "amgi".into());
        Arc::new(Traced::new(sender, self.inner.clone(), system))
    }

    /// Says how many messages of a partition of Kafka are not settled, in the gauge `kafka.consumer_group.lag`: for the `on_lag` of
    /// `amgi-kafka`.
    ///
    /// ```
    /// # struct Lag { topic: String, partition: i32, messages: u64 }
    /// # fn example(telemetry: std::sync::Arc<amgi_telemetry::Telemetry>) -> impl Fn(&Lag) {
    /// let on_lag = move |lag: &Lag| telemetry.lag(&lag.topic, lag.partition, lag.messages);
    /// # on_lag
    /// # }
    /// ```
    pub fn lag(&self, topic: &str, partition: i32, messages: u64) {
        self.inner.instruments.lag(topic, partition, messages);
    }

    /// What hands the spans of `tracing` to OpenTelemetry, for a subscriber of your own; [`Builder::install`] has one.
    pub fn tracing_layer<S>(&self) -> impl tracing_subscriber::Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let tracer = self.inner.tracers.tracer_with_scope(scope());
        // What exporters log themselves is not to be exported.
        let seen = Targets::new()
            .with_default(tracing::Level::INFO)
            .with_target("opentelemetry", tracing::level_filters::LevelFilter::OFF)
            .with_target("ureq", tracing::level_filters::LevelFilter::OFF);
        (!self.disabled).then(|| {
            tracing_opentelemetry::layer()
                .with_tracer(tracer)
                .with_location(false)
                .with_threads(false)
                .with_target(false)
                .with_tracked_inactivity(false)
                .with_filter(seen)
        })
    }

    /// Where the endpoint listens, when it does.
    #[cfg(feature = "health")]
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        self.inner.endpoint.as_ref().map(|endpoint| endpoint.address)
    }

    /// Exports what is not exported yet. It blocks until that is done or has failed, 10 s by default.
    ///
    /// The layer does it at shutdown, and the last of the telemetry, its layers and senders when it is dropped.
    pub fn flush(&self) {
        self.inner.flush();
    }
}

/// What spans and metrics are made by.
fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("amgi")
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(opentelemetry_semantic_conventions::SCHEMA_URL)
        .build()
}

/// Makes a [`Telemetry`]. What the environment says goes before what is said here.
#[must_use = "nothing is observed before it is installed"]
pub struct Builder {
    service: Option<String>,
    #[cfg(feature = "health")]
    listen: Option<String>,
    #[cfg(feature = "prometheus")]
    prometheus: bool,
    system: Option<String>,
    conversation: Conversation,
    sends: Vec<ChannelInfo>,
    tracers: TracerProviderBuilder,
    meters: MeterProviderBuilder,
    /// Whether the program has a way of its own for spans.
    #[cfg(feature = "otlp")]
    own_spans: bool,
    /// Whether it has one for metrics.
    #[cfg(feature = "otlp")]
    own_metrics: bool,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("service", &self.service).finish_non_exhaustive()
    }
}

impl Builder {
    fn new() -> Self {
        Self {
            service: None,
            #[cfg(feature = "health")]
            listen: None,
            #[cfg(feature = "prometheus")]
            prometheus: false,
            system: None,
            conversation: Box::new(conversation),
            // Where replies to requests of this process go.
            sends: vec![ChannelInfo::new("amgi.reply", "amgi.reply.{id}")],
            tracers: SdkTracerProvider::builder(),
            meters: SdkMeterProvider::builder(),
            #[cfg(feature = "otlp")]
            own_spans: false,
            #[cfg(feature = "otlp")]
            own_metrics: false,
        }
    }

    /// The document of a generated module (`user::DOCUMENT`): the addresses that are sent to, so that an address with
    /// parameters is not taken for a destination of its own, and the name of the service, if it has no other.
    pub fn document(mut self, document: &Document) -> Self {
        let addresses = document.sends.iter().filter_map(|send| send.channel.address);
        self.sends.extend(
            addresses
                .filter(|address| address.contains('{'))
                .map(|address| ChannelInfo::new(address, address)),
        );
        self.service.get_or_insert_with(|| document.title.to_owned());
        self
    }

    /// The name of the service. Environment: `OTEL_SERVICE_NAME`.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.service = Some(name.into());
        self
    }

    /// Where the endpoint listens, as `HOST:PORT`; port 0 is any that is free. Environment: `AMGI_TELEMETRY_LISTEN`.
    ///
    /// Nobody listens when neither says so, unless metrics are for Prometheus.
    #[cfg(feature = "health")]
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = Some(address.into());
        self
    }

    /// Metrics are for Prometheus, at `/metrics`, and no more sent by OTLP unless the environment asks for it. Environment:
    /// `OTEL_METRICS_EXPORTER=prometheus`.
    #[cfg(feature = "prometheus")]
    pub fn prometheus(mut self) -> Self {
        self.prometheus = true;
        #[cfg(feature = "otlp")]
        {
            self.own_metrics = true;
        }
        self
    }

    /// The protocol of the broker, such as `mqtt`, for `messaging.system`. Without it messages tell it by their bindings, else
    /// the document's servers do, else it is `amgi`.
    pub fn protocol(mut self, protocol: &str) -> Self {
        self.system = Some(system(protocol).to_owned());
        self
    }

    /// How to find the `messaging.message.conversation_id` of a message. Default: its binding `correlation_id` (AMQP) or
    /// `correlation_data` (MQTT 5), else its header `correlation-id`.
    pub fn conversation_id(
        mut self,
        find: impl Fn(&Message) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.conversation = Box::new(find);
        self
    }

    /// An exporter of spans, in place of OTLP unless the environment asks for that.
    pub fn span_exporter(mut self, exporter: impl SpanExporter + 'static) -> Self {
        self.tracers = self.tracers.with_batch_exporter(exporter);
        #[cfg(feature = "otlp")]
        {
            self.own_spans = true;
        }
        self
    }

    /// An exporter of metrics, in place of OTLP unless the environment asks for that. It is given them every minute, or as
    /// often as `OTEL_METRIC_EXPORT_INTERVAL` says.
    pub fn metric_exporter(mut self, exporter: impl PushMetricExporter) -> Self {
        self.meters = self.meters.with_periodic_exporter(exporter);
        #[cfg(feature = "otlp")]
        {
            self.own_metrics = true;
        }
        self
    }

    /// Starts exporting and listening, and nothing else: the subscriber of `tracing` and OpenTelemetry's global providers are
    /// left as they are. Where it listens, it wants a tokio runtime.
    ///
    /// # Errors
    /// Variables that mean nothing, all at once; an address that cannot be listened on.
    pub fn build(self) -> Result<Telemetry, Error> {
        Ok(self.start()?.0)
    }

    /// Does what [`build`](Self::build) does, and makes it what the whole process uses: the subscriber of `tracing`, which
    /// logs to standard error what `RUST_LOG` says (default `info`), as JSON with `AMGI_LOG=json`, and OpenTelemetry's global
    /// providers and propagator.
    ///
    /// # Errors
    /// Those of `build`; a subscriber that is there already.
    pub fn install(self) -> Result<Telemetry, Error> {
        let (telemetry, settings) = self.start()?;
        let filter = settings.log.clone().unwrap_or_else(|| {
            Targets::new()
                .with_default(tracing::Level::INFO)
                .with_target("opentelemetry", tracing::Level::WARN)
        });
        let registry = tracing_subscriber::registry().with(telemetry.tracing_layer());
        let log = fmt::layer().with_writer(std::io::stderr);
        let installed = if settings.json {
            registry.with(log.json().with_filter(filter)).try_init()
        } else {
            registry.with(log.fmt_fields(Fields).with_filter(filter)).try_init()
        };
        installed.map_err(|_| Error::Subscriber)?;
        global::set_tracer_provider(telemetry.inner.tracers.clone());
        global::set_meter_provider(telemetry.inner.meters.clone());
        global::set_text_map_propagator(propagator(&settings));
        Ok(telemetry)
    }

    /// What was built, and what the environment said.
    fn start(self) -> Result<(Telemetry, Settings), Error> {
        let settings = Settings::read(|name| std::env::var(name).ok()).map_err(Error::Config)?;
        let mut resource = Resource::builder();
        if let Some(name) = self.service.filter(|_| !settings.named) {
            resource = resource.with_service_name(name);
        }
        let resource = resource.build();
        let (tracers, meters) = (self.tracers, self.meters);
        #[cfg(feature = "otlp")]
        let tracers = if settings.otlp.traces.holds(self.own_spans) && !settings.disabled {
            tracers.with_batch_exporter(crate::otlp::spans(settings.otlp.traces_timeout)?)
        } else {
            tracers
        };
        #[cfg(feature = "otlp")]
        let meters = if settings.otlp.metrics.holds(self.own_metrics) && !settings.disabled {
            meters.with_periodic_exporter(crate::otlp::metrics(settings.otlp.metrics_timeout)?)
        } else {
            meters
        };
        #[cfg(feature = "health")]
        let health = Arc::<Health>::default();
        #[cfg(feature = "prometheus")]
        let (meters, metrics, listen) =
            if (settings.prometheus.wanted || self.prometheus) && !settings.disabled {
                let (reader, text) = crate::prometheus::reader()?;
                let listen = self.listen.or_else(|| Some(settings.prometheus.address.clone()));
                (meters.with_reader(reader), Some(text), listen)
            } else {
                (meters, None, self.listen)
            };
        #[cfg(all(feature = "health", not(feature = "prometheus")))]
        let (metrics, listen) = (None, self.listen);
        #[cfg(feature = "health")]
        let endpoint = {
            let start = |address: String| Endpoint::start(&address, health.clone(), metrics);
            settings.listen.clone().or(listen).map(start).transpose()?
        };
        let tracers = tracers.with_resource(resource.clone()).build();
        let meters = meters.with_resource(resource).build();
        let templates = self.sends.iter().map(|send| StringValue::from(send.address.to_string())).collect();
        let inner = Inner {
            instruments: Instruments::new(&meters.meter_with_scope(scope())),
            tracers,
            meters,
            propagator: propagator(&settings),
            #[cfg(feature = "health")]
            health,
            system: self.system.map(StringValue::from),
            conversation: self.conversation,
            sends: (ChannelMap::new(&self.sends), templates),
            #[cfg(feature = "health")]
            endpoint,
        };
        Ok((Telemetry { inner: Arc::new(inner), disabled: settings.disabled }, settings))
    }
}

fn propagator(settings: &Settings) -> TextMapCompositePropagator {
    let mut propagators: Vec<Box<dyn TextMapPropagator + Send + Sync>> = Vec::new();
    if settings.trace_context {
        propagators.push(Box::new(TraceContextPropagator::new()));
    }
    if settings.baggage {
        propagators.push(Box::new(BaggagePropagator::new()));
    }
    TextMapCompositePropagator::new(propagators)
}

fn conversation(message: &Message) -> Option<String> {
    let bound = message
        .bindings
        .iter()
        .find(|binding| ["correlation_id", "correlation_data"].contains(&&*binding.field))
        .and_then(|binding| binding.value.as_str());
    let header = || std::str::from_utf8(message.headers.get("correlation-id")?).ok();
    bound.or_else(header).map(str::to_owned)
}
