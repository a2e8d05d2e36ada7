//! What must be there before anything is received: queues, and where dead letters go.
//!
//! What must hold: what is missing is an error that names all of it, unless it is to be made.

use std::{sync::Arc, time::Duration};

use amgi::{
    ByteString, ChannelInfo, Error, Result,
    bindings::sqs,
    server::{Exhausted, Policies, Policy},
};
use futures_util::future::join_all;

use crate::{
    config::Config,
    link::{Fault, Known, Link},
    place::Place,
    routes::{Receives, Routes, Source},
};

/// How long replies are kept in a queue of ours, in seconds: nobody waits that long for one.
const REPLIES_KEPT: u32 = 3600;

/// What went wrong between us and AWS.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BrokerError(pub(crate) String);

pub(crate) fn broker(text: impl Into<String>) -> Error {
    Error::Broker(Box::new(BrokerError(text.into())))
}

/// A queue that is there, and how its messages are settled.
pub(crate) struct Found {
    pub(crate) source: Source,
    pub(crate) known: Known,
    pub(crate) policies: Arc<Policies>,
    /// Whether an attempt is a delivery.
    pub(crate) by_delivery: bool,
}

/// Looks for queues.
pub(crate) struct Startup<'a> {
    pub(crate) link: &'a Link,
    pub(crate) config: &'a Config,
    pub(crate) routes: &'a Routes,
    pub(crate) policy: &'a Policy,
    pub(crate) channels: &'a [ChannelInfo],
}

/// Why the server cannot start.
enum Problem {
    /// What there is to repair, with what else there is.
    Missing(String),
    /// AWS says no, or nothing.
    Broken(String),
}

impl Startup<'_> {
    /// All queues, in the order of `all`.
    pub(crate) async fn find(&self, all: &[Receives]) -> Result<Vec<Vec<Found>>> {
        let channels = all.iter().map(async |receives| {
            join_all(receives.sources.iter().map(|source| self.source(&receives.channel, source))).await
        });
        let mut found = Vec::new();
        let (mut missing, mut broken) = (Vec::new(), Vec::new());
        for queues in join_all(channels).await {
            let mut channel = Vec::new();
            for queue in queues {
                match queue {
                    Ok(queue) => channel.push(queue),
                    Err(problems) => {
                        for problem in problems {
                            match problem {
                                Problem::Missing(what) => missing.push(what),
                                Problem::Broken(what) => broken.push(what),
                            }
                        }
                    }
                }
            }
            found.push(channel);
        }
        if let Some(first) = broken.first() {
            // Where nothing answers, every queue says the same.
            let others = broken.len() - 1;
            let more = if others > 0 { format!(" (and {others} more like it)") } else { String::new() };
            return Err(broker(format!("{}: {first}{more}", self.config.url)));
        }
        if missing.is_empty() {
            return Ok(found);
        }
        missing.sort_unstable();
        missing.dedup();
        Err(broker(format!(
            "{}: missing: {}; make what is missing, or let the server do it with `declare(true)`",
            self.config.url,
            missing.join(", ")
        )))
    }

    async fn source(&self, channel: &ChannelInfo, source: &Source) -> Result<Found, Vec<Problem>> {
        let mut wanted = source.wanted.clone();
        if source.own {
            wanted.message_retention_period = Some(REPLIES_KEPT);
        }
        let what = format!("queue `{}` of channel `{}`", source.place, channel.name);
        let known = self.there(&source.place, &wanted, self.config.declare || source.own, &what).await;
        let mut problems = Vec::new();
        let redrive = known.as_ref().ok().and_then(|known| known.redrive.clone());
        // Replies are not given up, and a queue with a redrive policy knows where to.
        let named =
            self.policy.dead_letter.clone().or_else(|| channel.dead_letter.map(ByteString::from_static));
        if !channel.replies && (named.is_some() || redrive.is_none()) && known.is_ok() {
            let address = named.clone().unwrap_or_else(|| format!("{}.dlq", source.address).into());
            let place = self.routes.place(&address);
            if !matches!(place, Place::Topic(_)) {
                let what = format!("queue `{place}` for the dead letters of channel `{}`", channel.name);
                problems.extend(
                    self.there(&place, &sqs::Queue::default(), self.config.declare, &what).await.err(),
                );
            }
        }
        let known = match known {
            Ok(known) if problems.is_empty() => known,
            Ok(_) => return Err(problems),
            Err(problem) => return Err(vec![problem]),
        };
        // Where order is kept, trying again in process keeps what is behind from being delivered in vain, and from being moved
        // with what fails, since deliveries count for all that a poll gives.
        let by_delivery = !source.place.is_fifo() && !channel.replies;
        let mut policy = self.policy.clone();
        if let (None, Some((arn, times))) = (named, redrive) {
            policy.dead_letter = Some(arn.into());
            policy.attempts = times;
            // Where the queue counts, it moves what was delivered too often.
            policy.exhausted = if by_delivery { Exhausted::Nack } else { Exhausted::DeadLetter };
        }
        let mut policies = Policies::new(self.channels, policy);
        if by_delivery {
            policies = policies.redelivered();
        }
        Ok(Found { source: source.clone(), known, policies: Arc::new(policies), by_delivery })
    }

    /// A queue that is there, or is made.
    async fn there(
        &self,
        place: &Place,
        wanted: &sqs::Queue,
        makes: bool,
        what: &str,
    ) -> Result<Known, Problem> {
        let broken = |fault: &Fault| Problem::Broken(format!("{what}: {fault}"));
        let found = match self.link.known(place).await {
            Err(Fault::Missing(_)) if makes => match self.link.make(place, wanted).await {
                Ok(()) => self.made(place).await,
                Err(fault) => Err(fault),
            },
            other => other,
        };
        found.map_err(|fault| match fault {
            Fault::Missing(_) => Problem::Missing(what.to_owned()),
            fault => broken(&fault),
        })
    }

    /// A queue that was just made: AWS may say for a second that it is not there.
    async fn made(&self, place: &Place) -> Result<Known, Fault> {
        for _ in 0..10 {
            match self.link.known(place).await {
                Err(Fault::Missing(_)) => tokio::time::sleep(Duration::from_millis(200)).await,
                other => return other,
            }
        }
        self.link.known(place).await
    }
}
