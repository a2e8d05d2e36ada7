//! Sends, on a connection of their own: a broker that does not take messages for a while stops reading the connection that
//! they come on, and acknowledgements must not wait behind them.
//!
//! What must hold: a send that returns is confirmed by the broker; a message that the broker takes amiss is an error of its own
//! sender and of nobody else.

use std::sync::Arc;

use amgi::{ByteString, Bytes, Message, MessageSend, SendError, SendFuture, server::Stop};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::ShortString,
};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use crate::{
    config::Config,
    link::{self, LinkError},
    message::{self, Outgoing},
    topology::{TOPIC, Target, Topology},
};

/// A connection for sends, and the channel that they share.
#[derive(Clone)]
struct Up {
    connection: Arc<Connection>,
    channel: Channel,
    number: u64,
}

/// Keeps the connection. It is made when it is first needed.
pub(crate) struct Publisher {
    config: Arc<Config>,
    up: watch::Sender<Option<Up>>,
    /// Numbers of channels that are needed, or do not work any more.
    broken: mpsc::UnboundedReceiver<u64>,
}

/// The server's `send`.
pub(crate) struct Sender {
    config: Arc<Config>,
    topology: Arc<Topology>,
    up: watch::Receiver<Option<Up>>,
    broken: mpsc::UnboundedSender<u64>,
}

/// A sender, and what keeps its connection.
pub(crate) fn new(config: Arc<Config>, topology: Arc<Topology>) -> (Sender, Publisher) {
    let (tell_up, up) = watch::channel(None);
    let (tell_broken, broken) = mpsc::unbounded_channel();
    let publisher = Publisher { config: config.clone(), up: tell_up, broken };
    (Sender { config, topology, up, broken: tell_broken }, publisher)
}

impl Publisher {
    /// Runs until a stop is asked for.
    pub(crate) async fn run(mut self, stop: Stop) {
        let mut number = 0;
        loop {
            tokio::select! {
                broken = self.broken.recv() => match broken {
                    Some(broken) if broken == number => {}
                    Some(_) => continue,
                    None => break,
                },
                () = stop.requested() => break,
            }
            tokio::select! {
                () = self.open(number + 1) => number += 1,
                () = stop.requested() => break,
            }
        }
        let up = self.up.send_replace(None);
        if let Some(up) = up {
            let closing = up.connection.close(200, "OK".into());
            let _ = timeout(self.config.connect_timeout, closing).await;
        }
    }

    /// Opens a channel, on a new connection where there is none.
    async fn open(&self, number: u64) {
        let known = self.up.send_replace(None).map(|up| up.connection);
        let mut known = known.filter(|connection| connection.status().connected());
        let mut failures = 0_u32;
        loop {
            match self.try_open(known.take(), number).await {
                Ok(up) => {
                    self.up.send_replace(Some(up));
                    return;
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    warn!(url = %self.config.url, %error, failures, "cannot connect for sends");
                    sleep(self.config.reconnect.delay(failures)).await;
                }
            }
        }
    }

    async fn try_open(&self, known: Option<Arc<Connection>>, number: u64) -> Result<Up, LinkError> {
        let connection = match known {
            Some(connection) => connection,
            None => Arc::new(link::connect(&self.config, "sends").await?),
        };
        let opened = timeout(self.config.connect_timeout, confirming(&connection)).await;
        let channel = opened.map_err(|_| LinkError::Timeout(self.config.connect_timeout))??;
        Ok(Up { connection, channel, number })
    }
}

/// A channel on which the broker confirms what it has taken.
async fn confirming(connection: &Connection) -> lapin::Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// What the broker says of a message.
enum Said {
    Taken,
    /// No queue gets it.
    Returned(String),
    Refused(String),
}

async fn publish(
    channel: &Channel,
    target: &Target,
    mandatory: bool,
    payload: &[u8],
    properties: BasicProperties,
) -> lapin::Result<Said> {
    let options = BasicPublishOptions { mandatory, immediate: false };
    // Both were checked to be short.
    let (exchange, key) = (ShortString::from(&*target.exchange), ShortString::from(&*target.key));
    let confirm = channel.basic_publish(exchange, key, options, payload, properties).await?;
    Ok(match confirm.await? {
        Confirmation::Ack(None) | Confirmation::NotRequested => Said::Taken,
        Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
            Said::Returned(returned.reply_text.to_string())
        }
        Confirmation::Nack(None) => Said::Refused("the broker refuses it (basic.nack)".to_owned()),
    })
}

/// Whether the message is at fault, or another one on the same channel.
fn is_of_a_message(error: &lapin::Error) -> bool {
    error.is_amqp_soft_error()
}

impl Sender {
    /// The channel behind that of this number.
    async fn up(&self, number: u64) -> Result<Up, String> {
        let mut up = self.up.clone();
        let newer = |up: &Option<Up>| up.as_ref().is_some_and(|up| up.number > number);
        if !newer(&up.borrow()) {
            // Whoever keeps the connection has ended when it cannot be told.
            let _ = self.broken.send(number);
        }
        let up = up.wait_for(newer).await.map_err(|_| "the server has stopped".to_owned())?;
        up.clone().ok_or_else(|| "the server has stopped".to_owned())
    }

    /// Publishes until the broker has said something.
    async fn say(&self, target: &Target, outgoing: &Outgoing, payload: &[u8]) -> Result<(Said, Up), String> {
        let mut number = 0;
        loop {
            let up = self.up(number).await?;
            number = up.number;
            let properties = outgoing.properties.clone();
            let error = match publish(&up.channel, target, outgoing.mandatory, payload, properties).await {
                Ok(said) => return Ok((said, up)),
                Err(error) => error,
            };
            debug!(%error, "a send did not get its confirmation");
            let _ = self.broken.send(number);
            if !is_of_a_message(&error) {
                continue;
            }
            // Somebody's message closed the channel. On one of its own it shows whose.
            let alone = async {
                let channel = confirming(&up.connection).await?;
                let properties = outgoing.properties.clone();
                publish(&channel, target, outgoing.mandatory, payload, properties).await
            };
            match alone.await {
                Ok(said) => return Ok((said, up)),
                Err(error) if is_of_a_message(&error) => return Err(error.to_string()),
                Err(_) => {}
            }
        }
    }

    async fn deliver(
        &self,
        mut target: Target,
        mut outgoing: Outgoing,
        payload: Bytes,
    ) -> Result<(), String> {
        let asked = outgoing.mandatory;
        // Whether it is to be tried elsewhere shows in its return.
        outgoing.mandatory |= target.or_topic;
        let mut declared = false;
        loop {
            let (said, up) = self.say(&target, &outgoing, &payload).await?;
            let returned = match said {
                Said::Taken => return Ok(()),
                Said::Refused(error) => return Err(error),
                Said::Returned(returned) => returned,
            };
            if outgoing.dead_letter && target.exchange.is_empty() && self.config.declare && !declared {
                declared = true;
                let made = link::declare_dead_letters(&up.connection, &target.key, &self.config).await;
                made.map_err(|error| error.to_string())?;
            } else if target.or_topic {
                target = Target { exchange: ByteString::from_static(TOPIC), or_topic: false, ..target };
                outgoing.mandatory = asked;
            } else {
                return Err(format!("no queue gets it: {returned}"));
            }
        }
    }

    /// Where a message goes, and with which properties.
    fn prepare(&self, message: &Message) -> Result<(Target, Outgoing), String> {
        let outgoing = message::outgoing(message, &self.config)?;
        let (exchange, key) = if outgoing.passed_on { (None, None) } else { message::place(message) };
        let mut target = self.topology.target(&message.address, exchange, key);
        if outgoing.dead_letter {
            target.or_topic = false;
            if let (Some(exchange), Some(original)) = (
                &self.config.dead_letter_exchange,
                message
                    .headers
                    .get("amgi-dead-letter-address")
                    .and_then(|name| std::str::from_utf8(name).ok()),
            ) && message.address.strip_suffix(".dlq") == Some(original)
            {
                let (exchange, original) = (exchange.as_str().into(), ByteString::from(original));
                target = Target { exchange, ..self.topology.target(&original, None, None) };
                target.or_topic = false;
            }
        }
        if target.key.len() > 255 || target.exchange.len() > 255 {
            return Err("a routing key or exchange is longer than 255 bytes".to_owned());
        }
        Ok((target, outgoing))
    }
}

impl MessageSend for Sender {
    fn send(&self, message: Message) -> SendFuture<'_> {
        let (target, outgoing) = match self.prepare(&message) {
            Ok(prepared) => prepared,
            Err(error) => return SendFuture::ready(Err(SendError::new(message.address.to_string(), error))),
        };
        SendFuture::pending(async move {
            let payload = message.payload.unwrap_or_default();
            let limit = self.config.send_timeout;
            let sent = match timeout(limit, self.deliver(target, outgoing, payload)).await {
                Ok(sent) => sent,
                Err(_) => Err(format!("the broker did not take it within {limit:?}")),
            };
            sent.map_err(|error| SendError::new(message.address.to_string(), error))
        })
    }
}
