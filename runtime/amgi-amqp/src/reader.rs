//! The loop that a queue has on a connection: hands its messages to the loops that handle them, and acknowledges.
//!
//! What must hold: a message is acknowledged on the channel that delivered it, and only when it is handled. When the loop ends,
//! whoever still works on one of its messages finds nobody to tell.

use std::{sync::Arc, time::Duration};

use amgi::server::{Lanes, Stop};
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::{
    Channel, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicCancelOptions, BasicNackOptions},
};
use tokio::{
    task::coop::consume_budget,
    time::{Instant, sleep_until, timeout},
};
use tracing::debug;

use crate::{
    config::Config,
    link::LinkError,
    message,
    ticket::{Done, Tray},
    topology::{Source, Topology},
    window::{Ack, Window},
    worker::{Job, Verdict},
};

/// How long an acknowledgement may wait for others.
const LINGER: Duration = Duration::from_millis(2);
/// How many wait for each other, at most.
const TOGETHER: usize = 64;

/// Consumes one queue on one connection.
pub(crate) struct Reader {
    pub(crate) topology: Arc<Topology>,
    pub(crate) source: usize,
    pub(crate) config: Arc<Config>,
    pub(crate) channel: Channel,
    pub(crate) consumer: Consumer,
    /// Who handles its messages.
    pub(crate) lanes: Arc<Lanes<Job>>,
    /// Ends it: what is in handlers' hands is waited for.
    pub(crate) stop: Stop,
}

/// What is settled on the way.
#[derive(Default)]
struct Settling {
    window: Window,
    /// With loops that have not told of them.
    out: usize,
    /// To be given back, each at its time.
    back: Vec<(Instant, u64)>,
    /// When what is in the tray is looked at, at last.
    by: Option<Instant>,
    room: Vec<Done>,
}

impl Settling {
    /// Looks at what is in the tray, and acknowledges.
    fn settle(&mut self, tray: &Tray, channel: &Channel) {
        self.by = None;
        let mut room = std::mem::take(&mut self.room);
        tray.take(&mut room);
        self.out -= room.len();
        for Done { tag, verdict } in room.drain(..) {
            match verdict {
                Some(Verdict::Ack) => self.window.handled(tag),
                Some(Verdict::Nack(pause)) => self.back.push((Instant::now() + pause, tag)),
                None => {}
            }
        }
        self.room = room;
        self.window.flush(|Ack { tag, multiple }| {
            // The first poll puts it on its way; that it is written shows in the channel's end, or does not matter.
            let _ = channel.basic_ack(tag, BasicAckOptions { multiple }).now_or_never();
        });
    }

    /// When there is something to do though nothing happens.
    fn next(&self) -> Option<Instant> {
        self.back.iter().map(|(at, _)| *at).chain(self.by).min()
    }

    /// Gives back what is to be given back until then.
    fn give_back(&mut self, channel: &Channel, until: Option<Instant>) {
        let window = &mut self.window;
        self.back.retain(|&(at, tag)| {
            let wait = until.is_some_and(|until| at > until);
            if !wait {
                window.given_back(tag);
                let options = BasicNackOptions { requeue: true, multiple: false };
                let _ = channel.basic_nack(tag, options).now_or_never();
            }
            wait
        });
    }
}

impl Reader {
    /// Runs until the connection or the consumer ends, which is an error, or a stop is asked for and everything is settled.
    pub(crate) async fn run(self) -> Result<(), LinkError> {
        let together = usize::from(self.config.prefetch / 2).clamp(1, TOGETHER);
        let tray = Closing(Tray::new(together));
        let Self { topology, source, config, channel, consumer, lanes, stop } = self;
        let (queue, tag) = (consumer.queue(), consumer.tag());
        let mut settling = Settling::default();
        let mut deliveries = consumer.ready_chunks(TOGETHER);
        let source = &topology.sources[source];
        let mut stopped = std::pin::pin!(stop.requested());
        let mut timer = std::pin::pin!(sleep_until(Instant::now()));
        // When the timer goes off; nothing waits for it where it is `None`.
        let mut armed = None;
        loop {
            if let Some(next) = settling.next()
                && armed.is_none_or(|armed| next < armed)
            {
                armed = Some(next);
                timer.as_mut().reset(next);
            }
            tokio::select! {
                biased;
                () = &mut stopped => break,
                chunk = deliveries.next() => {
                    let Some(chunk) = chunk else { return Err(LinkError::Cancelled(queue.to_string())) };
                    for delivery in chunk {
                        begin(delivery?, source, &config, &lanes, &tray.0, &mut settling);
                    }
                    if tray.0.is_full() {
                        settling.settle(&tray.0, &channel);
                    }
                    // Messages may come without end; the rest of the process has a turn, too.
                    consume_budget().await;
                }
                () = tray.0.filled() => {
                    if tray.0.is_full() {
                        settling.settle(&tray.0, &channel);
                    } else {
                        settling.by.get_or_insert_with(|| Instant::now() + LINGER);
                    }
                }
                () = &mut timer, if armed.is_some() => {
                    armed = None;
                    let now = Instant::now();
                    settling.give_back(&channel, Some(now));
                    if settling.by.is_some_and(|by| by <= now) {
                        settling.settle(&tray.0, &channel);
                    }
                }
            }
        }
        debug!(%queue, "stopping");
        let limit = config.connect_timeout;
        // One that cannot be cancelled ends with its channel.
        let _ = timeout(limit, channel.basic_cancel(tag, BasicCancelOptions::default())).await;
        // Ends when all loops have finished with this queue's messages, or were given up.
        loop {
            settling.settle(&tray.0, &channel);
            settling.give_back(&channel, None);
            if settling.out == 0 {
                break;
            }
            tray.0.filled().await;
        }
        // What was written before it has arrived when it is answered.
        let closed = timeout(limit, channel.close(200, "OK".into())).await;
        Ok(closed.map_err(|_| LinkError::Timeout(limit))??)
    }
}

/// Tells the loops when nobody listens any more.
struct Closing(Arc<Tray>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn begin(
    delivery: Delivery,
    source: &Source,
    config: &Config,
    lanes: &Lanes<Job>,
    tray: &Arc<Tray>,
    settling: &mut Settling,
) {
    let tag = delivery.delivery_tag;
    settling.window.delivered(tag);
    settling.out += 1;
    let ticket = tray.ticket(tag);
    match source.address(delivery.routing_key.as_str()) {
        Some(address) => {
            let before = message::deliveries(&delivery.properties).unwrap_or(0);
            lanes.give(Job { message: message::incoming(address, delivery, config), before, ticket });
        }
        None => {
            debug!(key = %delivery.routing_key, "no channel has this address; the wildcard took it");
            ticket.settle(Verdict::Ack);
        }
    }
}
