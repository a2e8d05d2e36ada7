//! Streams and consumers: whether they are there, and making them where that is asked for.

use std::{fmt, sync::Arc, time::Duration};

use amgi::{
    ChannelInfo, Error, Result,
    server::{Policy, program_name},
};
use async_nats::jetstream::{
    self, Context,
    consumer::{AckPolicy, Info, pull},
    context::{ConsumerInfoErrorKind, GetStreamErrorKind},
    stream::Stream,
};
use futures_util::StreamExt;
use tracing::info;

use crate::{
    BrokerError,
    config::{Config, JetStream},
    subject::{Route, Subjects},
};

/// How many acknowledgements are told together, at most.
const TOGETHER: usize = 64;

/// A consumer that a channel's messages come from.
#[derive(Debug, Clone)]
pub(crate) struct Consumer {
    /// Where to ask it for messages.
    pub(crate) next: String,
    /// When it delivers again what nobody works on.
    pub(crate) ack_wait: Duration,
    /// How many acknowledgements it may miss while others are waited for.
    pub(crate) together: usize,
}

/// Looks for what channels need.
pub(crate) struct Preparation<'a> {
    pub(crate) context: &'a Context,
    pub(crate) config: &'a Config,
    pub(crate) wanted: &'a JetStream,
    pub(crate) subjects: &'a Arc<Subjects>,
    pub(crate) policy: &'a Policy,
}

impl Preparation<'_> {
    /// The consumers of channels, in their order; everything that is missing is one error.
    pub(crate) async fn consumers(&self, channels: &[(&ChannelInfo, &Route)]) -> Result<Vec<Consumer>> {
        // What is known of the account differs between versions of the broker; a list of names does not.
        if let Some(Err(error)) = self.context.stream_names().next().await {
            return Err(broker(format!("no JetStream at {}: {error}", self.config.url)));
        }
        let (mut consumers, mut problems) = (Vec::new(), Vec::new());
        for (channel, route) in channels {
            match self.consumer(channel, route).await {
                Ok(consumer) => consumers.push(consumer),
                Err(problem) => problems.push(format!("channel `{}`: {problem}", channel.name)),
            }
        }
        if problems.is_empty() { Ok(consumers) } else { Err(broker(problems.join("; "))) }
    }

    async fn consumer(&self, channel: &ChannelInfo, route: &Route) -> Result<Consumer, String> {
        let own = self.wanted.stream.clone().unwrap_or_else(|| name(channel.name));
        let stream = self.stream(&route.filter, &own).await?;
        self.dead_letters(channel, &own).await?;
        let group = group(self.config, channel).unwrap_or_else(program_name);
        let name = name(&format!("{group}-{}", channel.name));
        let info = match stream.consumer_info(&name).await {
            Ok(info) => info,
            Err(error) if error.kind() != ConsumerInfoErrorKind::NotFound => return Err(error.to_string()),
            Err(_) if self.wanted.declare => {
                info!(name, filter = route.filter, "making a consumer");
                let config = pull::Config {
                    durable_name: Some(name.clone()),
                    ack_policy: AckPolicy::Explicit,
                    ack_wait: self.wanted.ack_wait,
                    // Deliveries are counted here, and what is given up is dead-lettered.
                    max_deliver: -1,
                    filter_subject: route.filter.clone(),
                    max_ack_pending: -1,
                    ..pull::Config::default()
                };
                let made = stream.create_consumer(config).await;
                made.map_err(|error| format!("consumer `{name}` cannot be made: {error}"))?
                    .cached_info()
                    .clone()
            }
            Err(_) => {
                return Err(format!(
                    "stream `{}` has no consumer `{name}`; make one (durable, pull, explicit acknowledgements, filter `{}`), or \
                     let `declare` do it",
                    stream.cached_info().config.name,
                    route.filter
                ));
            }
        };
        self.check(&info, channel, route).map_err(|problem| format!("consumer `{name}` {problem}"))?;
        // What may be pending is not used up by what is handled.
        let together = usize::try_from(info.config.max_ack_pending).map_or(TOGETHER, |most| match most {
            0 => TOGETHER,
            most => (most / 4).clamp(1, TOGETHER),
        });
        let ack_wait = info.config.backoff.iter().min().copied().unwrap_or(info.config.ack_wait);
        Ok(Consumer {
            next: format!("$JS.API.CONSUMER.MSG.NEXT.{}.{name}", stream.cached_info().config.name),
            ack_wait: if ack_wait.is_zero() { Duration::from_secs(30) } else { ack_wait },
            together,
        })
    }

    /// What would go wrong with a consumer that somebody else made.
    fn check(&self, info: &Info, channel: &ChannelInfo, route: &Route) -> Result<(), String> {
        let config = &info.config;
        if config.deliver_subject.is_some() {
            return Err("pushes; one that is pulled from is needed".to_owned());
        }
        if config.ack_policy != AckPolicy::Explicit {
            return Err(format!(
                "has the acknowledgement policy {:?}; `explicit` is needed",
                config.ack_policy
            ));
        }
        if !config.filter_subject.is_empty() && !covers(&config.filter_subject, &route.filter) {
            return Err(format!("has the filter `{}`; `{}` is needed", config.filter_subject, route.filter));
        }
        let attempts = channel.policy.attempts.unwrap_or(self.policy.attempts);
        if config.max_deliver > 0 && config.max_deliver < i64::from(attempts) && !self.config.ordered {
            return Err(format!(
                "delivers a message {} times at most, but {attempts} attempts are to be made: it would be lost before it is \
                 dead-lettered",
                config.max_deliver
            ));
        }
        Ok(())
    }

    /// Sees that dead letters have somewhere to go.
    async fn dead_letters(&self, channel: &ChannelInfo, own: &str) -> Result<(), String> {
        let said = self.policy.dead_letter.as_deref().or(channel.dead_letter);
        let address = said.map_or_else(|| format!("{}.dlq", channel.address), ToOwned::to_owned);
        if self.wanted.core.contains(&address) {
            return Ok(());
        }
        let letters = ChannelInfo::new("dead letters", address);
        let route = self.subjects.route(&letters, true).map_err(|error| error.to_string())?;
        let stream = self.stream(&route.filter, own).await;
        stream.map(drop).map_err(|problem| format!("dead letters: {problem}"))
    }

    /// The stream that has `filter`. Where there is none, the stream `own` gets it if that is asked for.
    async fn stream(&self, filter: &str, own: &str) -> Result<Stream, String> {
        let covering = |stream: &Stream| {
            stream.cached_info().config.subjects.iter().any(|subject| covers(subject, filter))
        };
        if self.wanted.stream.is_none() {
            let mut streams = self.context.streams();
            while let Some(info) = streams.next().await {
                let info = info.map_err(|error| error.to_string())?;
                if info.config.subjects.iter().any(|subject| covers(subject, filter)) {
                    return self
                        .context
                        .get_stream(&info.config.name)
                        .await
                        .map_err(|error| error.to_string());
                }
            }
        }
        let found = match self.context.get_stream(own).await {
            Ok(stream) if covering(&stream) => return Ok(stream),
            Ok(stream) => Some(stream),
            Err(error) if is_missing(&error) => None,
            Err(error) => return Err(format!("stream `{own}`: {error}")),
        };
        if !self.wanted.declare {
            return Err(match (&found, &self.wanted.stream) {
                (Some(_), Some(_)) => {
                    format!("stream `{own}` has not the subject `{filter}`; add it, or let `declare` do it")
                }
                (None, Some(_)) => {
                    format!(
                        "there is no stream `{own}`; make it with the subject `{filter}`, or let `declare` do it"
                    )
                }
                _ => format!("no stream has the subject `{filter}`; make one, or let `declare` do it"),
            });
        }
        let fail = |error: &dyn fmt::Display| format!("stream `{own}` with the subject `{filter}`: {error}");
        info!(stream = own, filter, "making a stream or adding to it");
        match found {
            Some(stream) => {
                let mut config = stream.cached_info().config.clone();
                config.subjects.push(filter.to_owned());
                self.context.update_stream(&config).await.map_err(|error| fail(&error))?;
                self.context.get_stream(own).await.map_err(|error| fail(&error))
            }
            None => {
                let config = jetstream::stream::Config {
                    name: own.to_owned(),
                    subjects: vec![filter.to_owned()],
                    ..jetstream::stream::Config::default()
                };
                self.context.create_stream(config).await.map_err(|error| fail(&error))
            }
        }
    }
}

fn broker(text: String) -> Error {
    Error::Broker(Box::new(BrokerError(text)))
}

fn is_missing(error: &jetstream::context::GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.code() == 404)
}

/// The group that shares a channel's messages: what was set, else what the document says.
pub(crate) fn group(config: &Config, channel: &ChannelInfo) -> Option<String> {
    let said = |operation: &amgi::OperationInfo| operation.typed::<amgi::bindings::Nats>().ok()?.queue;
    config.group.clone().or_else(|| channel.operations.iter().find_map(said))
}

/// A name that streams and consumers may have.
fn name(text: &str) -> String {
    text.replace(|c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c), "_")
}

/// Whether every subject that `other` takes is taken by `filter` too.
fn covers(filter: &str, other: &str) -> bool {
    let (mut a, mut b) = (filter.split('.'), other.split('.'));
    loop {
        match (a.next(), b.next()) {
            (None, None) | (Some(">"), Some(_)) => return true,
            (Some("*"), Some(token)) if token != ">" => {}
            (Some(one), Some(two)) if one == two => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wider_subjects_cover_narrower_ones() {
        for (filter, other) in [("a.b", "a.b"), ("a.*", "a.b"), ("a.>", "a.*.c"), (">", "a"), ("a.*", "a.*")]
        {
            assert!(covers(filter, other), "{filter} {other}");
        }
        for (filter, other) in [("a.b", "a.*"), ("a.*", "a.>"), ("a.>", "a"), ("a", "a.b"), ("a.b", "a")] {
            assert!(!covers(filter, other), "{filter} {other}");
        }
    }

    #[test]
    fn names_hold_nothing_that_nats_forbids() {
        assert_eq!(name("billing-user.{id}/x y"), "billing-user_{id}_x_y");
    }
}
