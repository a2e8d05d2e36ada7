//! Connections, and what is made or checked on them.

use std::{io, time::Duration};

use lapin::{
    Channel, Connection, ConnectionProperties, Consumer,
    options::{
        BasicConsumeOptions, BasicQosOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{FieldTable, ShortString},
};
use tokio::time::timeout;
use tracing::{debug, info};

use crate::{
    config::Config,
    topology::{Exchange, Source},
};

/// Why there is no connection, or not what is needed on it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("{0}")]
    Broker(#[from] lapin::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the broker has cancelled the consumer of queue `{0}`; was the queue deleted?")]
    Cancelled(String),
    #[error("{0} `{1}` is not there")]
    Missing(&'static str, String),
    #[error("{what} `{name}`: {error}")]
    Refused { what: &'static str, name: String, error: lapin::Error },
}

/// Connects within the time that there is.
pub(crate) async fn connect(config: &Config, what: &str) -> Result<Connection, LinkError> {
    let name = format!("{} ({what})", config.group);
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let uri = config.url.uri(config.heartbeat);
    let limit = config.connect_timeout;
    let connecting = async {
        match &config.tls {
            Some(tls) => tls.connect(uri, properties).await,
            None => Ok(Connection::connect_uri(uri, properties).await?),
        }
    };
    let connection = timeout(limit, connecting).await.map_err(|_| LinkError::Timeout(limit))??;
    info!(url = %config.url, "connected for {what}");
    Ok(connection)
}

async fn within<T>(config: &Config, future: impl Future<Output = lapin::Result<T>>) -> Result<T, LinkError> {
    let limit = config.connect_timeout;
    Ok(timeout(limit, future).await.map_err(|_| LinkError::Timeout(limit))??)
}

/// A channel for questions whose answer may be no, which closes it.
struct Asking<'a> {
    connection: &'a Connection,
    config: &'a Config,
    channel: Option<Channel>,
}

impl Asking<'_> {
    /// `None` when there is no such thing.
    async fn ask<T>(
        &mut self,
        question: impl AsyncFnOnce(&Channel) -> lapin::Result<T>,
    ) -> Result<Option<T>, LinkError> {
        let channel = match self.channel.take() {
            Some(channel) => channel,
            None => within(self.config, self.connection.create_channel()).await?,
        };
        match within(self.config, question(&channel)).await {
            Ok(answer) => {
                self.channel = Some(channel);
                Ok(Some(answer))
            }
            Err(LinkError::Broker(error)) if is(&error, NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The error says what was asked for.
    async fn make(
        &mut self,
        (what, name): (&'static str, &str),
        order: impl AsyncFnOnce(&Channel) -> lapin::Result<()>,
    ) -> Result<(), LinkError> {
        match self.ask(order).await {
            Ok(Some(())) => {
                debug!(what, name, "declared");
                Ok(())
            }
            Ok(None) => Err(LinkError::Missing(what, name.to_owned())),
            Err(LinkError::Broker(error)) if error.is_amqp_soft_error() => {
                Err(LinkError::Refused { what, name: name.to_owned(), error })
            }
            Err(error) => Err(error),
        }
    }
}

const NOT_FOUND: u16 = 404;
const PRECONDITION_FAILED: u16 = 406;

fn is(error: &lapin::Error, code: u16) -> bool {
    matches!(error.kind(), lapin::ErrorKind::ProtocolError(error) if error.get_id() == code)
}

/// Whether there is one of that name with other properties.
fn is_other(error: &lapin::Error) -> bool {
    is(error, PRECONDITION_FAILED)
}

fn short(name: &str) -> ShortString {
    ShortString::from(name)
}

/// Makes or checks what `source` needs, and begins to consume. Every queue has a channel of its own, so that its delivery tags
/// have no gaps.
pub(crate) async fn subscribe(
    connection: &Connection,
    source: &Source,
    config: &Config,
) -> Result<(Channel, Consumer), LinkError> {
    let mut asking = Asking { connection, config, channel: None };
    for exchange in &source.exchanges {
        declare_exchange(&mut asking, exchange).await?;
    }
    let channel = within(config, connection.create_channel()).await?;
    let queue = declare_queue(&mut asking, &channel, source).await?;
    if config.declare || source.queue.is_empty() {
        for (exchange, key) in &source.bindings {
            let (queue, from, key) = (queue.clone(), short(exchange), short(key));
            let bind = async move |channel: &Channel| {
                channel.queue_bind(queue, from, key, QueueBindOptions::default(), FieldTable::default()).await
            };
            // An exclusive queue is there for every channel of its connection.
            asking.make(("exchange", exchange), bind).await?;
        }
    }
    let batch = source.batch.map_or(0, |batch| u16::try_from(batch.size).unwrap_or(u16::MAX));
    let prefetch = config.prefetch.max(batch);
    within(config, channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
    let consume = channel.basic_consume(
        queue,
        ShortString::default(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let consumer = within(config, consume).await?;
    Ok((channel, consumer))
}

/// Makes an exchange, or checks that it is there.
async fn declare_exchange(asking: &mut Asking<'_>, exchange: &Exchange) -> Result<(), LinkError> {
    let passive = !asking.config.declare || exchange.is_built_in();
    let options = ExchangeDeclareOptions {
        passive,
        durable: exchange.durable,
        auto_delete: exchange.auto_delete,
        ..ExchangeDeclareOptions::default()
    };
    let (name, kind) = (short(&exchange.name), exchange.kind.clone());
    let order = async move |channel: &Channel| {
        channel.exchange_declare(name, kind, options, FieldTable::default()).await
    };
    match asking.make(("exchange", &exchange.name), order).await {
        // Of another type it does not do what is expected of it; the rest is the business of who made it.
        Err(LinkError::Refused { error, .. })
            if is_other(&error) && !error.to_string().contains("'type'") =>
        {
            Ok(())
        }
        made => made,
    }
}

/// Makes a queue, or checks that it is there. One that is there is used as it is, whoever made it: it may be a quorum queue, or
/// have limits, of which the document knows nothing.
async fn declare_queue(
    asking: &mut Asking<'_>,
    channel: &Channel,
    source: &Source,
) -> Result<ShortString, LinkError> {
    let name = short(&source.queue);
    let options = QueueDeclareOptions {
        // What is exclusive goes with the connection, so nobody can have made it.
        passive: !asking.config.declare && !source.options.exclusive,
        ..source.options
    };
    if source.options.exclusive {
        let declare = channel.queue_declare(name, options, FieldTable::default());
        return Ok(short(within(asking.config, declare).await?.name().as_str()));
    }
    let (asked, arguments) = (name.clone(), asking.config.queue_arguments.clone());
    let order =
        async move |channel: &Channel| channel.queue_declare(asked, options, arguments).await.map(|_| ());
    match asking.make(("queue", &source.queue), order).await {
        Err(LinkError::Refused { error, .. }) if is_other(&error) => {
            info!(queue = source.queue, "the queue is there with other properties, and is used as it is");
            Ok(name)
        }
        made => made.map(|()| name),
    }
}

/// Makes the durable queue that dead letters are kept in.
pub(crate) async fn declare_dead_letters(
    connection: &Connection,
    queue: &str,
    config: &Config,
) -> Result<(), LinkError> {
    let mut asking = Asking { connection, config, channel: None };
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    if let Some(kind) = config.queue_arguments.inner().get("x-queue-type") {
        arguments.insert("x-queue-type".into(), kind.clone());
    }
    let name = short(queue);
    let order =
        async move |channel: &Channel| channel.queue_declare(name, options, arguments).await.map(|_| ());
    asking.make(("queue", queue), order).await
}
