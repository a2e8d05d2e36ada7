//! The server and its options.

use std::{sync::Arc, time::Duration};

use amgi::{
    Application, MessageSend, NoSender, Result,
    protocol::Values,
    server::{Policy, Stop},
};

use crate::{
    Function, Mapping,
    config::{self, Options},
    names::Names,
    runtime,
};

/// Runs an application on AWS Lambda.
///
/// Every option has a default. What is set here is overridden by the environment when [`env`](Self::env) is called. Which queue,
/// topic or stream an event is of says the event itself.
#[must_use = "a server does nothing until it is served"]
pub struct Server<A> {
    app: A,
    options: Options,
    given: Values,
    named: Option<String>,
    mapping: Mapping,
    names: Vec<(String, String)>,
    policy: Policy,
    sender: Arc<dyn MessageSend>,
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
            mapping: Mapping::default(),
            names: Vec::new(),
            policy: Policy { attempts: 1, ..Policy::default() },
            sender: Arc::new(NoSender),
            stop: Stop::new(),
            on_ready: None,
        }
    }

    /// How many messages of an event are handled at a time, where there is no order; of those that have one, how many groups,
    /// partitions or shards. Default: 16.
    pub fn concurrency(mut self, messages: usize) -> Self {
        self.options.concurrency = Some(messages);
        self
    }

    /// How long before the deadline of its invocation an event is answered: handlers that are not done then are cut off, and
    /// their messages and those that were not begun fail. Never more than half of the time that there is. Default: 500 ms.
    pub fn margin(mut self, margin: Duration) -> Self {
        self.options.margin = Some(margin);
        self
    }

    /// Whether messages of SQS are taken out of the envelopes that SNS puts them in; what is in none stays as it is. Default: as
    /// the document's SNS binding says (`rawMessageDelivery` of the consumer), else `false`.
    pub fn envelopes(mut self, unwrap: bool) -> Self {
        self.options.envelopes = Some(unwrap);
        self
    }

    /// Whether Lambda is told which records failed (`batchItemFailures`), or the invocation fails as a whole, with the records
    /// that were handled. It must be what the event source mapping says in its `FunctionResponseTypes`: one that does not expect
    /// the report takes it for a success, and **what failed is lost**. Default: `true` for SQS, Kinesis and DynamoDB, `false` for
    /// Kafka, where AWS has it in provisioned mode only.
    pub fn report_batch_item_failures(mut self, report: bool) -> Self {
        self.options.report_batch_item_failures = Some(report);
        self
    }

    /// What one address, or the channel of that name, is called at AWS: the name or ARN of a queue, topic, stream or table, or
    /// the `detail-type` of an event, `source/detail-type` too. Both may have `{parameters}`, the same ones:
    /// `.address("user.{id}.events", "events-{id}")`. May be called several times. Default: what the document's binding says,
    /// else as [`mapping`](Self::mapping) says.
    pub fn address(mut self, address: impl Into<String>, name: impl Into<String>) -> Self {
        self.names.push((address.into(), name.into()));
        self
    }

    /// How names at AWS become addresses. Default: [`Mapping::names`].
    pub fn mapping(mut self, mapping: Mapping) -> Self {
        self.mapping = mapping;
        self
    }

    /// What handlers send with, such as that of an [`amgi::Client`]. Default: nothing, a send is an error. With
    /// [`amgi::Servers`] it needs none: there are other servers [for it](amgi::Servers::sender), and `amgi::cli` starts those of
    /// the document.
    pub fn sender(mut self, sender: Arc<dyn MessageSend>) -> Self {
        self.sender = sender;
        self
    }

    /// Takes only messages of channels that the document puts on this server, by its key; those of others fail. Default: takes
    /// those of all channels.
    pub fn server(mut self, name: impl Into<String>) -> Self {
        self.named = Some(name.into());
        self
    }

    /// What happens to messages that fail. Default: one attempt, for their source delivers them again and puts them aside after
    /// its own number of times. Of SQS an attempt is a delivery; elsewhere more attempts are made in process, within the
    /// deadline. A message that is to be put aside goes to the dead-letter address that the document or this policy names; where
    /// none does, it is reported as failed.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Stops the server when this handle is asked to. Default: a handle of its own; SIGTERM and Ctrl-C stop it in any case.
    pub fn stop(mut self, stop: &Stop) -> Self {
        self.stop = stop.clone();
        self
    }

    /// Calls `ready` when the application has started and the first event is asked for. Default: nothing.
    pub fn on_ready(mut self, ready: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_ready = Some(Arc::new(ready));
        self
    }

    /// Lets the environment override everything else: each of [`protocol`](crate::protocol)'s options is a variable, such as
    /// `AMGI_LAMBDA_CONCURRENCY` and `AMGI_LAMBDA_MARGIN`, with times in seconds; `run --help` of a generated application lists
    /// them. Default: the environment is not read.
    pub fn env(self) -> Self {
        self.values(config::INFO.environment())
    }

    /// Lets these values, from a command line perhaps, override everything else. Their names are those of
    /// [`protocol`](crate::protocol)'s options. Default: none.
    pub fn values(mut self, values: Values) -> Self {
        self.given = values;
        self
    }

    /// Runs startup, and gives what handles events: for tests, and for whoever gets events another way.
    ///
    /// ```
    /// # use amgi::{Application, ChannelInfo, Context, Settlement};
    /// # struct App;
    /// # impl Application for App {
    /// #     fn channels(&self) -> &[ChannelInfo] { &[] }
    /// #     async fn message(&self, cx: &Context) -> Settlement {
    /// #         assert_eq!(cx.address(), "orders");
    /// #         Settlement::Ack
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// let function = amgi_lambda::Server::new(App).start().await?;
    /// let event = br#"{"Records": [{"eventSource": "aws:sqs", "messageId": "1", "body": "{}",
    ///     "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:orders"}]}"#;
    /// assert_eq!(function.invoke(event, Duration::from_secs(3)).await?, r#"{"batchItemFailures":[]}"#);
    /// function.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Config`](amgi::Error::Config) for options that do not fit, and what startup fails with.
    pub async fn start(mut self) -> Result<Function<A>> {
        let config = config::resolve(self.options, config::given(&self.given)?)?;
        // What is given as text is over what the builder says.
        self.names.splice(0..0, config::names(&self.given)?);
        let names = Names::new(&self.app, self.named.as_deref(), self.mapping, &self.names)?;
        Function::start(self.app, config, names, self.policy, self.sender, &self.stop).await
    }

    /// Runs startup, handles events until a stop is asked for, and runs shutdown.
    ///
    /// It must have been started by Lambda, or by an emulator of it, which say by `AWS_LAMBDA_RUNTIME_API` and others where
    /// events come from.
    ///
    /// # Errors
    /// [`Error::Config`](amgi::Error::Config) when it was not, or options do not fit; what startup or shutdown fails with; and
    /// [`Error::Broker`](amgi::Error::Broker) when Lambda does not answer.
    pub async fn serve(self) -> Result<()> {
        runtime::check_environment()?;
        self.stop.on_signal()?;
        let (stop, on_ready) = (self.stop.clone(), self.on_ready.clone());
        // Without an extension Lambda ends the process without a word.
        let extension = runtime::Extension::register().await;
        let function = match self.start().await {
            Ok(function) => Arc::new(function),
            Err(error) => {
                runtime::report(&error).await;
                return Err(error);
            }
        };
        if let Some(on_ready) = on_ready {
            on_ready();
        }
        let ran = Box::pin(runtime::run(function.clone(), &stop)).await;
        drop(extension);
        let ended = function.end().await;
        ran.and(ended)
    }
}
