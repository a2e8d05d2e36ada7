//! The server and its options.

use std::{sync::Arc, time::Duration};

use amgi::{
    Application, Result,
    protocol::Values,
    server::{Backoff, Exhausted, Policy, Stop},
};

use crate::{
    Mapping,
    config::{self, Options},
    routes::{Routes, Said},
    running::Running,
};

/// Runs an application on Amazon SQS.
///
/// Every option has a default. What the document says (its first SQS or SNS server and the bindings) is overridden by what is
/// set here, and that by the environment when [`env`](Self::env) is called. What AWS reads by itself (`AWS_REGION`,
/// `AWS_PROFILE`, the role of the machine) fills in the rest.
#[must_use = "a server does nothing until it is served"]
pub struct Server<A> {
    app: A,
    options: Options,
    given: Values,
    named: Option<String>,
    said: Said,
    policy: Policy,
    stop: Stop,
    on_ready: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl<A: Application> Server<A> {
    /// A server for `app`.
    pub fn new(app: A) -> Self {
        Self {
            app,
            options: Options::default(),
            given: Values::default(),
            named: None,
            said: Said::default(),
            policy: Policy { exhausted: Exhausted::DeadLetter, ..Policy::default() },
            stop: Stop::new(),
            on_ready: None,
        }
    }

    amgi::server_builder! {
        protocol "SQS or SNS";
        environment "AMGI_SQS_";
        info config::INFO;

        /// What happens to messages that fail. Default: 5 attempts with growing pauses, then the dead-letter address. An attempt is a
        /// delivery, and SQS does the waiting, in whole seconds; on a FIFO queue attempts and pauses are in process. A queue with
        /// a redrive policy has its own attempts and dead-letter queue, unless the document or this policy names a dead-letter
        /// address.
        policy;

        /// Calls `ready` when polling begins, and when all polls work again after some have failed. Default: nothing.
        on_ready;

        options {
            /// Where SQS is. Default: the document's server, else what the AWS configuration says.
            ///
            /// | URL | |
            /// |---|---|
            /// | `sqs://eu-west-1` | AWS in this region |
            /// | `sqs://sqs.eu-west-1.amazonaws.com` | the same, as documents write it |
            /// | `sqs+http://KEY:SECRET@localhost:4566`, `sqs+https://…` | an endpoint of one's own, for SNS too |
            ///
            /// Key and secret are percent-encoded. `sqs://HOST:PORT` is `http` on this machine and `https` elsewhere.
            url(url: impl Into<String>);

            /// Region of AWS. Default: that of the URL, else what the AWS configuration says.
            region(region: impl Into<String>);

            /// How long a message that was received is hidden from others before SQS is told that it is still being worked on, in
            /// whole seconds up to 12 hours. What a process that died had in hand comes again after this time. Default: the
            /// `visibilityTimeout` of the document's binding, else that of the queue.
            visibility(time: Duration);

            /// How long a poll waits for messages, in whole seconds up to 20. Default: the `receiveMessageWaitTime` of the document's
            /// binding, else 20 s.
            wait(time: Duration);

            /// How many polls of a queue are under way at a time. More help where the way to AWS is what takes the time. Default: 1.
            pollers(polls: usize);

            /// How many messages of a channel are handled at a time. Of each queue, this many and ten more for each poll are here at most.
            /// Default: 16.
            concurrency(messages: usize);

            /// How long a delete may wait for others, so that they go together. Default: 5 ms.
            linger(time: Duration);

            /// Whether queues that are missing are made: those of channels, with what the document's bindings say of them, and those
            /// of their dead letters. Default: `false`, what is missing is an error that says what.
            declare(declare: bool);

            /// Whether messages are taken out of the envelopes that SNS puts them in; what is in none stays as it is. Default: as the
            /// document's SNS binding says (`rawMessageDelivery` of the consumer), else `false`.
            envelopes(unwrap: bool);

            /// How long AWS may take to answer. Default: 10 s.
            connect_timeout(timeout: Duration);

            /// How long a send may take before it is an error, further attempts included. Default: 30 s.
            send_timeout(timeout: Duration);

            /// How long handlers may take to finish when the server stops; what they have not finished then is given back. Default:
            /// 30 s.
            shutdown_deadline(deadline: Duration);

            /// Pauses between attempts where AWS does not answer, or wants less to do. Default: 100 ms, doubled each time up to
            /// 30 s.
            reconnect(backoff: Backoff);
        }
    }

    /// Access key and its secret. Default: those in the URL, else what the AWS configuration says, such as the role of the
    /// machine.
    pub fn credentials(mut self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.options.credentials = Some((id.into(), secret.into()));
        self
    }

    /// Headers that are sent as attributes of the type Number, which filters of SNS can compare. Their values must be numbers;
    /// others are sent as text. Default: none.
    pub fn numbers<S: Into<String>>(mut self, headers: impl IntoIterator<Item = S>) -> Self {
        self.options.numbers.get_or_insert_default().extend(headers.into_iter().map(Into::into));
        self
    }

    /// The addresses of a channel with parameters: SQS has no wildcards. `channel` is its name or its address. May be called
    /// several times. Default: none, which is an error where there are parameters.
    pub fn addresses<S: Into<String>>(
        mut self,
        channel: impl Into<String>,
        addresses: impl IntoIterator<Item = S>,
    ) -> Self {
        self.said.addresses.push((channel.into(), addresses.into_iter().map(Into::into).collect()));
        self
    }

    /// How addresses become names of queues, and back. Default: [`Mapping::names`].
    pub fn mapping(mut self, mapping: Mapping) -> Self {
        self.said.mapping = mapping;
        self
    }

    /// The queue of one address, or of the channel of that name, for receives and sends alike: its name, URL or ARN. For
    /// sends it may be the ARN of a topic of SNS. Both may have `{parameters}`, the same ones:
    /// `.address("user.{id}.events", "events-{id}")`. May be called several times. Default: what the document's
    /// binding says, else as [`mapping`](Self::mapping) says.
    pub fn address(mut self, address: impl Into<String>, queue: impl Into<String>) -> Self {
        self.said.queues.push((address.into(), queue.into()));
        self
    }

    /// Looks for the queues, runs startup, handles messages until a stop is asked for, and runs shutdown.
    ///
    /// AWS must answer at first, and the queues must be there: otherwise that is an error, before startup. When AWS does not
    /// answer later it is asked again.
    pub async fn serve(mut self) -> Result<()> {
        let server = config::INFO.document_server(&self.app, self.named.as_deref())?;
        let config = config::resolve(server, self.options, config::given(&self.given)?)?;
        // What is given as text is over what the builder says.
        let given = config::addresses(&self.given)?;
        self.said.addresses.retain(|(name, _)| given.iter().all(|(other, _)| other != name));
        self.said.addresses.extend(given);
        self.said.queues.splice(0..0, config::queues(&self.given)?);
        let channels = self.app.channels().iter().filter(|channel| channel.is_on(server));
        let (routes, receives) = Routes::new(channels, &self.said)?;
        self.stop.on_signal()?;
        let running = Running {
            config,
            routes: Arc::new(routes),
            policy: self.policy,
            stop: self.stop,
            on_ready: self.on_ready,
        };
        Box::pin(running.serve(self.app, receives)).await
    }
}
