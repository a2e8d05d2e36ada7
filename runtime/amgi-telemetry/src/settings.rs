//! What the environment says, by the names of the OpenTelemetry specification. Nothing is wrong by itself: all problems are
//! found at once.

use tracing_subscriber::filter::Targets;

/// What is to be done.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)] // each is a switch of its own
pub(crate) struct Settings {
    /// `OTEL_SDK_DISABLED`
    pub(crate) disabled: bool,
    #[cfg(feature = "otlp")]
    pub(crate) otlp: Otlp,
    #[cfg(feature = "prometheus")]
    pub(crate) prometheus: Prometheus,
    /// `OTEL_PROPAGATORS` has `tracecontext`.
    pub(crate) trace_context: bool,
    /// `OTEL_PROPAGATORS` has `baggage`.
    pub(crate) baggage: bool,
    /// `AMGI_TELEMETRY_LISTEN`: where the endpoint listens, as `HOST:PORT`.
    #[cfg(feature = "health")]
    pub(crate) listen: Option<String>,
    /// Whether the environment names the service.
    pub(crate) named: bool,
    /// `AMGI_LOG`: whether log lines are JSON.
    pub(crate) json: bool,
    /// `RUST_LOG`: what is logged.
    pub(crate) log: Option<Targets>,
}

/// What goes to a collector.
#[cfg(feature = "otlp")]
#[derive(Debug, Clone)]
pub(crate) struct Otlp {
    /// Whether `OTEL_TRACES_EXPORTER` has `otlp`.
    pub(crate) traces: Choice,
    /// Whether `OTEL_METRICS_EXPORTER` has `otlp`.
    pub(crate) metrics: Choice,
    /// How long an export of spans may take, in milliseconds.
    pub(crate) traces_timeout: u64,
    /// How long an export of metrics may take, in milliseconds.
    pub(crate) metrics_timeout: u64,
}

/// What Prometheus fetches.
#[cfg(feature = "prometheus")]
#[derive(Debug, Clone)]
pub(crate) struct Prometheus {
    /// `OTEL_METRICS_EXPORTER` has `prometheus`.
    pub(crate) wanted: bool,
    /// Where the endpoint listens for it when nobody says another address.
    pub(crate) address: String,
}

/// What a variable says of something, or what its default says.
#[cfg(feature = "otlp")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    Said(bool),
    Default(bool),
}

#[cfg(feature = "otlp")]
impl Choice {
    /// Whether it is wanted; a default only counts where the program has nothing of its own.
    pub(crate) fn holds(self, own: bool) -> bool {
        match self {
            Self::Said(wanted) => wanted,
            Self::Default(wanted) => wanted && !own,
        }
    }
}

impl Settings {
    /// Reads the variables that `lookup` finds; all that is wrong with them is the error.
    pub(crate) fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<String>> {
        let mut reader = Reader { lookup, problems: Vec::new() };
        let otlp = if cfg!(feature = "otlp") { "otlp" } else { "none" };
        let metrics = if cfg!(feature = "otlp") {
            "otlp"
        } else if cfg!(feature = "prometheus") {
            "prometheus"
        } else {
            "none"
        };
        let disabled = reader.text("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let traces = reader.list("OTEL_TRACES_EXPORTER", otlp, &[("otlp", cfg!(feature = "otlp"))]);
        let metrics = reader.list(
            "OTEL_METRICS_EXPORTER",
            metrics,
            &[("otlp", cfg!(feature = "otlp")), ("prometheus", cfg!(feature = "prometheus"))],
        );
        let propagators = reader.list(
            "OTEL_PROPAGATORS",
            "tracecontext,baggage",
            &[("tracecontext", true), ("baggage", true)],
        );
        let has = |list: &[String], name: &str| list.iter().any(|item| item == name);
        if has(&traces, "otlp") || has(&metrics, "otlp") {
            for name in [
                "OTEL_EXPORTER_OTLP_PROTOCOL",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
                "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
            ] {
                reader.list(name, "http/protobuf", &[("http/protobuf", true)]);
            }
        }
        // What is no number is wrong, whether or not its feature is built in.
        for name in [
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
            "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
            "OTEL_EXPORTER_PROMETHEUS_PORT",
        ] {
            reader.number(name);
        }
        let listen = reader.text("AMGI_TELEMETRY_LISTEN");
        let attributes = reader.text("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        let named = reader.text("OTEL_SERVICE_NAME").is_some() || attributes.contains("service.name=");
        let json = reader.text("AMGI_LOG").is_some_and(|text| text == "json");
        let log = reader.text("RUST_LOG").and_then(|text| match text.parse() {
            Ok(targets) => Some(targets),
            Err(error) => {
                reader.problems.push(format!("RUST_LOG: {error}"));
                None
            }
        });
        if listen.is_some() && !cfg!(feature = "health") {
            reader
                .problems
                .push("AMGI_TELEMETRY_LISTEN: needs the feature `health` of amgi-telemetry".to_owned());
        }
        if !reader.problems.is_empty() {
            return Err(reader.problems);
        }
        #[cfg(feature = "otlp")]
        let timeout = reader.number("OTEL_EXPORTER_OTLP_TIMEOUT").unwrap_or(10_000);
        Ok(Self {
            disabled,
            #[cfg(feature = "otlp")]
            otlp: Otlp {
                traces: reader.choice("OTEL_TRACES_EXPORTER", has(&traces, "otlp")),
                metrics: reader.choice("OTEL_METRICS_EXPORTER", has(&metrics, "otlp")),
                traces_timeout: reader.number("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT").unwrap_or(timeout),
                metrics_timeout: reader.number("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT").unwrap_or(timeout),
            },
            #[cfg(feature = "prometheus")]
            prometheus: Prometheus {
                wanted: has(&metrics, "prometheus"),
                address: format!(
                    "{}:{}",
                    reader.text("OTEL_EXPORTER_PROMETHEUS_HOST").as_deref().unwrap_or("localhost"),
                    reader.number("OTEL_EXPORTER_PROMETHEUS_PORT").unwrap_or(9464)
                ),
            },
            trace_context: has(&propagators, "tracecontext"),
            baggage: has(&propagators, "baggage"),
            #[cfg(feature = "health")]
            listen,
            named,
            json,
            log,
        })
    }
}

struct Reader<F> {
    lookup: F,
    problems: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    /// A variable; an empty one counts as not there, as the specification has it.
    fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn number(&mut self, name: &str) -> Option<u64> {
        let text = self.text(name)?;
        match text.parse() {
            Ok(number) => Some(number),
            Err(_) => {
                self.problems.push(format!("{name}: expected a whole number, found `{text}`"));
                None
            }
        }
    }

    /// Whether something is `wanted`, and whether the variable is there to say so.
    #[cfg(feature = "otlp")]
    fn choice(&self, name: &str, wanted: bool) -> Choice {
        match self.text(name) {
            Some(_) => Choice::Said(wanted),
            None => Choice::Default(wanted),
        }
    }

    /// A list of names, each of which is `none` or one of `known`, and that one built in.
    fn list(&mut self, name: &str, default: &str, known: &[(&str, bool)]) -> Vec<String> {
        let text = self.text(name).unwrap_or_else(|| default.to_owned());
        let mut items = Vec::new();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty() && *item != "none") {
            match known.iter().find(|(known, _)| *known == item) {
                Some((_, true)) => items.push(item.to_owned()),
                Some((_, false)) => self
                    .problems
                    .push(format!("{name}: `{item}` needs the feature `{item}` of amgi-telemetry")),
                None => {
                    let names: Vec<&str> = known.iter().map(|(known, _)| *known).collect();
                    self.problems.push(format!(
                        "{name}: `{item}` is not supported, only {} and none",
                        names.join(", ")
                    ));
                }
            }
        }
        items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        Settings::read(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn an_empty_environment_is_the_specifications_default() {
        let settings = read(&[("OTEL_TRACES_EXPORTER", "")]).expect("nothing is wrong");
        assert!(settings.trace_context && settings.baggage && !settings.disabled);
        #[cfg(feature = "otlp")]
        {
            assert_eq!(settings.otlp.traces, Choice::Default(true));
            assert_eq!(settings.otlp.metrics, Choice::Default(true));
            assert_eq!((settings.otlp.traces_timeout, settings.otlp.metrics_timeout), (10_000, 10_000));
        }
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let problems = read(&[
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_PROPAGATORS", "tracecontext, b3"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ])
        .expect_err("three things are wrong");
        assert_eq!(
            problems,
            [
                "OTEL_TRACES_EXPORTER: `zipkin` is not supported, only otlp and none",
                "OTEL_PROPAGATORS: `b3` is not supported, only tracecontext, baggage and none",
                "OTEL_EXPORTER_OTLP_TIMEOUT: expected a whole number, found `soon`",
            ]
        );
    }

    #[test]
    #[cfg(feature = "otlp")]
    fn grpc_is_refused() {
        let problems = read(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).expect_err("no gRPC here");
        assert_eq!(
            problems,
            ["OTEL_EXPORTER_OTLP_PROTOCOL: `grpc` is not supported, only http/protobuf and none"]
        );
    }

    #[test]
    #[cfg(feature = "prometheus")]
    fn prometheus_listens_where_the_specification_says() {
        let settings = read(&[("OTEL_METRICS_EXPORTER", "prometheus")]).expect("nothing is wrong");
        assert_eq!(settings.prometheus.address, "localhost:9464");
        assert!(settings.prometheus.wanted);
        #[cfg(feature = "otlp")]
        assert_eq!(settings.otlp.metrics, Choice::Said(false));
        let settings =
            read(&[("OTEL_METRICS_EXPORTER", "prometheus"), ("OTEL_EXPORTER_PROMETHEUS_PORT", "9000")]);
        assert_eq!(settings.expect("nothing is wrong").prometheus.address, "localhost:9000");
    }
}
