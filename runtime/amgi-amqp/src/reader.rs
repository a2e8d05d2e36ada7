//! The loop that a queue has on a connection: hands its messages to the loops that handle them, and acknowledges.
//!
//! What must hold: a message is acknowledged on the channel that delivered it, and only when it is handled. When the loop ends,
//! whoever still works on one of its messages finds nobody to tell.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use amgi::server::Stop;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::{
    Channel, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicCancelOptions, BasicNackOptions},
};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    time::{Instant, sleep_until, timeout},
};
use tracing::debug;

use crate::{
    config::Config,
    link::LinkError,
    topology::Topology,
    window::{Ack, Window},
    worker::{Done, Job, Verdict},
};

/// How long an acknowledgement may wait for others.
const LINGER: Duration = Duration::from_millis(2);
/// How many wait for each other, at most.
const TOGETHER: usize = 64;

/// The loops that handle messages.
#[derive(Debug, Clone)]
pub(crate) enum Lanes {
    /// An address belongs to one of these.
    Shared(Arc<[UnboundedSender<Job>]>),
    /// All of the queue's messages go to this one.
    Own(UnboundedSender<Job>),
}

impl Lanes {
    fn send(&self, job: Job) {
        let lane = match self {
            Self::Own(lane) => lane,
            Self::Shared(lanes) if lanes.len() == 1 => &lanes[0],
            Self::Shared(lanes) => {
                let mut hasher = DefaultHasher::new();
                job.address.hash(&mut hasher);
                // The remainder is below the length, which is a usize.
                &lanes[usize::try_from(hasher.finish() % lanes.len() as u64).unwrap_or(0)]
            }
        };
        // A loop that has ended was given up; what it does not take stays with the broker.
        let _ = lane.send(job);
    }
}

/// Consumes one queue on one connection.
pub(crate) struct Reader {
    pub(crate) topology: Arc<Topology>,
    pub(crate) source: usize,
    pub(crate) config: Arc<Config>,
    pub(crate) channel: Channel,
    pub(crate) consumer: Consumer,
    pub(crate) lanes: Lanes,
    /// Ends it: what is in handlers' hands is waited for.
    pub(crate) stop: Stop,
}

/// What is settled on the way.
#[derive(Default)]
struct Settling {
    window: Window,
    /// To be given back, each at its time.
    back: Vec<(Instant, u64)>,
    /// When handled ones are acknowledged at last.
    by: Option<Instant>,
}

impl Settling {
    fn settle(&mut self, done: &Done) {
        match done.verdict {
            Verdict::Ack => {
                self.window.handled(done.tag);
                self.by.get_or_insert_with(|| Instant::now() + LINGER);
            }
            Verdict::Nack(pause) => self.back.push((Instant::now() + pause, done.tag)),
        }
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
                // The first poll puts it on its way; that it is written shows in the channel's end, or does not matter.
                let _ = channel.basic_nack(tag, options).now_or_never();
            }
            wait
        });
    }

    fn acknowledge(&mut self, channel: &Channel) {
        self.by = None;
        self.window.flush(|Ack { tag, multiple }| {
            let _ = channel.basic_ack(tag, BasicAckOptions { multiple }).now_or_never();
        });
    }
}

impl Reader {
    /// Runs until the connection or the consumer ends, which is an error, or a stop is asked for and everything is settled.
    pub(crate) async fn run(mut self) -> Result<(), LinkError> {
        let (done, mut settled) = mpsc::unbounded_channel();
        let mut settling = Settling::default();
        self.consume(&done, &mut settled, &mut settling).await?;
        debug!(queue = %self.consumer.queue(), "stopping");
        let cancel = self.channel.basic_cancel(self.consumer.tag(), BasicCancelOptions::default());
        // One that cannot be cancelled ends with its channel.
        let _ = timeout(self.config.connect_timeout, cancel).await;
        drop(done);
        settling.give_back(&self.channel, None);
        // Ends when all loops have finished with this queue's messages, or were given up.
        while let Some(done) = settled.recv().await {
            settling.settle(&done);
            settling.give_back(&self.channel, None);
            settling.acknowledge(&self.channel);
        }
        settling.acknowledge(&self.channel);
        // What was written before it has arrived when it is answered.
        let closed = timeout(self.config.connect_timeout, self.channel.close(200, "OK".into())).await;
        Ok(closed.map_err(|_| LinkError::Timeout(self.config.connect_timeout))??)
    }

    async fn consume(
        &mut self,
        done: &UnboundedSender<Done>,
        settled: &mut UnboundedReceiver<Done>,
        settling: &mut Settling,
    ) -> Result<(), LinkError> {
        let together = usize::from(self.config.prefetch / 2).clamp(1, TOGETHER);
        let stop = self.stop.clone();
        let mut stopped = std::pin::pin!(stop.requested());
        let mut timer = std::pin::pin!(sleep_until(Instant::now()));
        // When the timer goes off; nothing waits for it where it is `None`.
        let mut armed = None;
        loop {
            let next = settling.next();
            if let Some(next) = next
                && armed.is_none_or(|armed| next < armed)
            {
                armed = Some(next);
                timer.as_mut().reset(next);
            }
            tokio::select! {
                biased;
                () = &mut stopped => return Ok(()),
                delivery = self.consumer.next() => match delivery {
                    Some(delivery) => self.begin(delivery?, done, settling),
                    None => return Err(LinkError::Cancelled(self.consumer.queue().to_string())),
                },
                Some(done) = settled.recv() => {
                    settling.settle(&done);
                    while let Ok(done) = settled.try_recv() {
                        settling.settle(&done);
                    }
                    if settling.window.due() >= together {
                        settling.acknowledge(&self.channel);
                    }
                }
                () = &mut timer, if armed.is_some() => {
                    armed = None;
                    let now = Instant::now();
                    settling.give_back(&self.channel, Some(now));
                    if settling.by.is_some_and(|by| by <= now) {
                        settling.acknowledge(&self.channel);
                    }
                }
            }
        }
    }

    fn begin(&self, delivery: Delivery, done: &UnboundedSender<Done>, settling: &mut Settling) {
        let tag = delivery.delivery_tag;
        settling.window.delivered(tag);
        match self.topology.sources[self.source].address(delivery.routing_key.as_str()) {
            Some(address) => self.lanes.send(Job { address, delivery, done: done.clone() }),
            None => {
                debug!(key = %delivery.routing_key, "no channel has this address; the wildcard took it");
                settling.settle(&Done { tag, verdict: Verdict::Ack });
            }
        }
    }
}
