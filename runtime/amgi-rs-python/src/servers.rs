//! The servers, by the name of their protocol.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use amgi::{
    BatchInfo, ByteString, ChannelInfo, Error,
    layer::Backoff,
    protocol::{Protocol as _, ProtocolInfo, Values},
    server::{Exhausted, Policy, Stop},
};
use amgi_python::{EventLoop, Running, run};
use pyo3::{
    exceptions::{PyConnectionError, PyRuntimeError, PyValueError},
    prelude::*,
};

use crate::application::{Half, PythonApplication};

/// A server of a protocol, which runs once.
#[pyclass(frozen, module = "amgi_rs._native")]
pub(crate) struct Server {
    kind: Kind,
    addresses: Vec<String>,
    values: Values,
    policy: Policy,
    stop: Stop,
    has_run: Mutex<bool>,
}

#[derive(Clone, Copy)]
enum Kind {
    Amqp,
    Kafka,
    Mqtt,
    Nats,
    Redis,
    Sqs,
}

impl Kind {
    fn info(self) -> &'static ProtocolInfo {
        match self {
            Self::Amqp => amgi_amqp::protocol().info(),
            Self::Kafka => amgi_kafka::protocol().info(),
            Self::Mqtt => amgi_mqtt::protocol().info(),
            Self::Nats => amgi_nats::protocol().info(),
            Self::Redis => amgi_redis::protocol().info(),
            Self::Sqs => amgi_sqs::protocol().info(),
        }
    }

    fn of(protocol: &str) -> Option<Self> {
        let all = [Self::Amqp, Self::Kafka, Self::Mqtt, Self::Nats, Self::Redis, Self::Sqs];
        all.into_iter().find(|kind| kind.info().name == protocol)
    }
}

#[pymethods]
impl Server {
    /// A server of `protocol` that receives from `addresses`. `options` are those of the command line of a generated
    /// application; `attempts`, `first_pause`, `longest_pause` (seconds) and `dead_letter` say what becomes of what fails.
    #[new]
    #[pyo3(signature = (protocol, addresses, options, attempts = None, first_pause = None, longest_pause = None, dead_letter = None))]
    fn new(
        protocol: &str,
        addresses: Vec<String>,
        options: BTreeMap<String, String>,
        attempts: Option<u32>,
        first_pause: Option<f64>,
        longest_pause: Option<f64>,
        dead_letter: Option<String>,
    ) -> PyResult<Self> {
        let kind = Kind::of(protocol)
            .ok_or_else(|| PyValueError::new_err(format!("there is no server of `{protocol}`")))?;
        if addresses.is_empty() {
            return Err(PyValueError::new_err("a server receives from one address at least"));
        }
        let mut values = Values::default();
        for (name, text) in options {
            let known = kind.info().options.iter().find(|option| option.name == name.replace('_', "-"));
            let option = known.ok_or_else(|| {
                let names: Vec<String> =
                    kind.info().options.iter().map(|option| option.name.replace('-', "_")).collect();
                PyValueError::new_err(format!("there is no option `{name}`; there are {}", names.join(", ")))
            })?;
            values.set(option.name, text, name);
        }
        let seconds = |given: Option<f64>, default: Duration| match given {
            Some(seconds) => {
                Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(error.to_string()))
            }
            None => Ok(default),
        };
        let (pauses, default) = (Backoff::default(), Policy::default());
        let backoff = Backoff {
            first: seconds(first_pause, pauses.first)?,
            most: seconds(longest_pause, pauses.most)?,
            ..pauses
        };
        let policy = Policy {
            attempts: attempts.unwrap_or(default.attempts),
            exhausted: Exhausted::DeadLetter,
            backoff,
            dead_letter: dead_letter.map(ByteString::from),
            ..default
        };
        let stop = Stop::ignoring_signals();
        Ok(Self { kind, addresses, values, policy, stop, has_run: Mutex::default() })
    }

    /// The names of the options of a protocol, each with what it does.
    #[staticmethod]
    fn options(protocol: &str) -> Vec<(String, String)> {
        let options = Kind::of(protocol).map_or(&[][..], |kind| kind.info().options);
        options.iter().map(|option| (option.name.replace('-', "_"), option.help.to_owned())).collect()
    }

    /// Asks it to stop: from any thread, and as often as one likes.
    fn stop(&self) {
        self.stop.request();
    }

    /// Receives until it is asked to stop, on the loop of `events`; then `waiter` ends, a future of that loop. `half` has the methods that
    /// [`Half`](crate::application::Half) names, and `ready()`.
    fn serve(&self, events: &EventLoop, half: Py<PyAny>, waiter: Py<PyAny>) -> PyResult<Running> {
        if std::mem::replace(
            &mut *self.has_run.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
            true,
        ) {
            return Err(PyRuntimeError::new_err("a server runs once"));
        }
        let half = Half { jobs: events.jobs(), python: half.into() };
        let batch = self.batch();
        let channels = self.addresses.iter().map(|address| channel(address, batch)).collect();
        let ready = {
            let half = half.clone();
            move || {
                let python = half.python.clone();
                half.jobs.post(Box::new(move |py| python.call_method0(py, "ready").map(drop)));
            }
        };
        let app = PythonApplication { channels, half };
        let (values, policy, stop) = (self.values.clone(), self.policy.clone(), self.stop.clone());
        let kind = self.kind;
        let serving = async move {
            macro_rules! serve {
                ($server:expr) => {
                    $server.values(values).policy(policy).stop(&stop).on_ready(ready).serve().await
                };
            }
            let served = match kind {
                Kind::Amqp => serve!(amgi_amqp::Server::new(app)),
                Kind::Kafka => serve!(amgi_kafka::Server::new(app).mapping(amgi_kafka::Mapping::as_is())),
                Kind::Mqtt => serve!(amgi_mqtt::Server::new(app).mapping(amgi_mqtt::Mapping::as_is())),
                Kind::Nats => serve!(amgi_nats::Server::new(app).mapping(amgi_nats::Mapping::as_is())),
                Kind::Redis => serve!(amgi_redis::Server::new(app).mapping(amgi_redis::Mapping::as_is())),
                Kind::Sqs => serve!(amgi_sqs::Server::new(app).mapping(queues())),
            };
            served.map_err(|error| match error {
                Error::Config(_) => PyValueError::new_err(error.to_string()),
                Error::Broker(_) => PyConnectionError::new_err(error.to_string()),
                other => PyRuntimeError::new_err(other.to_string()),
            })
        };
        Ok(run(events.jobs(), waiter, serving))
    }
}

impl Server {
    /// How many messages are handed over together: where there is an order, so that no message waits for a change of threads by
    /// itself. What is behind a failure then has an attempt less, so there must be some.
    fn batch(&self) -> Option<BatchInfo> {
        let is_ordered = match self.kind {
            Kind::Kafka => self.values.text("keys").is_none(),
            Kind::Redis => {
                self.values.text("via") == Some("streams") && self.values.text("ordered").is_none()
            }
            _ => false,
        };
        (is_ordered && self.policy.attempts > 1).then_some(BatchInfo { size: BATCH, wait: Duration::ZERO })
    }
}

/// Messages that are handed over together, at most.
const BATCH: usize = 100;

/// A channel at an address. Servers are few, and what they are called stays.
fn channel(address: &str, batch: Option<BatchInfo>) -> ChannelInfo {
    let name = Box::leak(address.to_owned().into_boxed_str());
    ChannelInfo { batch, ..ChannelInfo::new(name, address.to_owned()) }
}

/// Queues are called as Python calls them. What cannot be a name, such as that of a queue of dead letters, becomes one.
fn queues() -> amgi_sqs::Mapping {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let names = amgi_sqs::Mapping::names();
    let name = move |address: &str| {
        let plain = address.trim_end_matches(".fifo").chars().all(is_name);
        if plain { address.to_owned() } else { names.name(address) }
    };
    amgi_sqs::Mapping::new(name, str::to_owned)
}
