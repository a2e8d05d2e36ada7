//! How messages are settled: a server's policy, and what the document says of a channel over it.

use std::{fmt, sync::Arc, time::Duration};

use bytestring::ByteString;

use crate::{
    channels::ChannelMap,
    contract::{ChannelInfo, PolicyInfo},
    idempotency::{MemoryStore, Store},
    layer::{Backoff, Breaker, Guard},
    reply::Location,
};

/// What becomes of a message when its attempts are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Exhausted {
    /// It is nacked: the broker delivers it again.
    #[default]
    Nack,
    /// It goes to the dead-letter address: for brokers that know no nack.
    DeadLetter,
}

/// How messages are settled where the document says nothing else.
#[derive(Clone)]
pub struct Policy {
    /// How often a message is tried before it is [`Exhausted`]. Default 5.
    pub attempts: u32,
    /// Pauses between attempts.
    pub backoff: Backoff,
    /// What happens then.
    pub exhausted: Exhausted,
    /// Dead-letter address for every channel, over the document's; `<address>.dlq` where neither says one.
    pub dead_letter: Option<ByteString>,
    /// How long one attempt may take. Default: as long as it wants.
    pub timeout: Option<Duration>,
    /// What remembers the keys of messages on channels whose messages are handled once (`x-amgi-idempotency`). Default: a
    /// [`MemoryStore`](crate::idempotency::MemoryStore).
    pub store: Arc<dyn Store>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 5,
            backoff: Backoff::default(),
            exhausted: Exhausted::default(),
            dead_letter: None,
            timeout: None,
            store: Arc::new(MemoryStore::default()),
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("attempts", &self.attempts)
            .field("backoff", &self.backoff)
            .field("exhausted", &self.exhausted)
            .field("dead_letter", &self.dead_letter)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Policy {
    /// This policy with what the document says over it.
    fn with(&self, channel: &ChannelInfo) -> Self {
        let PolicyInfo {
            attempts,
            first,
            most,
            jitter,
            then_dead_letter,
            timeout,
            idempotency: _,
            breaker: _,
        } = channel.policy;
        let exhausted =
            then_dead_letter.map(|then| if then { Exhausted::DeadLetter } else { Exhausted::Nack });
        Self {
            attempts: attempts.unwrap_or(self.attempts),
            backoff: Backoff {
                first: first.unwrap_or(self.backoff.first),
                most: most.unwrap_or(self.backoff.most),
                jitter: jitter.unwrap_or(self.backoff.jitter),
            },
            exhausted: exhausted.unwrap_or(self.exhausted),
            // A server that is told one address for all means all.
            dead_letter: self
                .dead_letter
                .clone()
                .or_else(|| channel.dead_letter.map(ByteString::from_static)),
            timeout: timeout.or(self.timeout),
            store: self.store.clone(),
        }
    }
}

/// The policies of an application's channels: the server's, with what the document says of each over it.
#[derive(Debug)]
pub struct Policies {
    /// For channels of which the document says nothing.
    base: Rule,
    /// The others by channel; empty when there are none.
    own: Vec<Option<Rule>>,
    map: ChannelMap,
    /// Whether no channel has more to it than attempts, so that nothing has to be looked up before the first.
    plain: bool,
}

/// How the messages of a channel are settled.
pub(super) struct Rule {
    pub(super) policy: Policy,
    pub(super) breaker: Option<Breaker>,
    /// Where the key is, what it begins with in the store, and the store.
    pub(super) guard: Option<(Location, &'static str, Guard)>,
    /// Whether the broker delivers again what failed.
    pub(super) redelivered: bool,
    /// Whether the broker puts aside what fails, where nobody names an address.
    pub(super) puts_aside: bool,
}

impl Rule {
    fn new(policy: Policy, channel: Option<&ChannelInfo>) -> Self {
        let info = channel.map_or(PolicyInfo::NONE, |channel| channel.policy);
        let breaker = info.breaker.map(|breaker| Breaker::new(breaker.failures, breaker.pause));
        let guard = info.idempotency.zip(channel).map(|(idempotency, channel)| {
            let mut guard = Guard::new(policy.store.clone());
            guard.remember = idempotency.remember;
            (idempotency.key, channel.name, guard)
        });
        Self { policy, breaker, guard, redelivered: false, puts_aside: false }
    }

    /// Whether there is more to it than attempts.
    pub(super) fn is_guarded(&self) -> bool {
        self.policy.timeout.is_some() || self.breaker.is_some() || self.guard.is_some()
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.policy.fmt(f)
    }
}

impl Policies {
    /// `policy` for `channels`.
    pub fn new(channels: &[ChannelInfo], policy: Policy) -> Self {
        let says =
            |channel: &ChannelInfo| channel.policy != PolicyInfo::NONE || channel.dead_letter.is_some();
        let (mut own, mut map) = (Vec::new(), ChannelMap::default());
        if channels.iter().any(says) {
            map = ChannelMap::new(channels);
            own = channels
                .iter()
                .map(|channel| says(channel).then(|| Rule::new(policy.with(channel), Some(channel))))
                .collect();
        }
        let base = Rule::new(policy, None);
        let plain = !own.iter().flatten().chain([&base]).any(Rule::is_guarded);
        Self { base, own, map, plain }
    }

    /// The same for a broker that delivers again after a pause and counts how often it does: a message that failed is not
    /// tried again in process but nacked, with its pause as [`RetryAfter`](crate::Disposition::RetryAfter), until its
    /// deliveries are as many as the policy's attempts. A server says how many there were by
    /// [`Context::set_redelivered`](crate::Context::set_redelivered).
    #[must_use]
    pub fn redelivered(mut self) -> Self {
        for rule in self.own.iter_mut().flatten().chain([&mut self.base]) {
            rule.redelivered = true;
        }
        self
    }

    /// The same for a broker that itself puts aside what fails for good: where neither the document nor the policy names a
    /// dead-letter address, what would go to `<address>.dlq` is nacked.
    #[must_use]
    pub fn put_aside_by_broker(mut self) -> Self {
        for rule in self.own.iter_mut().flatten().chain([&mut self.base]) {
            rule.puts_aside = true;
        }
        self
    }

    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        self.plain
    }

    /// The policy where the document says nothing else.
    pub fn base(&self) -> &Policy {
        &self.base.policy
    }

    /// How messages from `address` are settled.
    pub(super) fn of(&self, address: &str) -> &Rule {
        self.map.find(address).and_then(|index| self.own[index].as_ref()).unwrap_or(&self.base)
    }
}

/// The document's `x-amgi-dead-letter` of the channel that `address` belongs to, else `<address>.dlq`.
pub fn dead_letter_address(channels: &[ChannelInfo], address: &str) -> ByteString {
    ChannelMap::new(channels)
        .find(address)
        .and_then(|index| channels[index].dead_letter)
        .map_or_else(|| format!("{address}.dlq").into(), ByteString::from_static)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(address: &'static str, dead_letter: Option<&'static str>) -> ChannelInfo {
        ChannelInfo { dead_letter, ..ChannelInfo::new(address, address) }
    }

    #[test]
    fn the_dead_letter_address_is_that_of_the_closest_channel() {
        let channels = [
            channel("{any}.{id}", Some("any")),
            channel("user.{id}", Some("user")),
            channel("{kind}.new", None),
            channel("user.created", Some("created")),
            channel("{x}.y", Some("first")),
            channel("x.{y}", Some("second")),
        ];
        let address = |address| dead_letter_address(&channels, address);
        assert_eq!(address("user.created"), "created");
        assert_eq!(address("user.42"), "user");
        assert_eq!(address("order.42"), "any");
        assert_eq!(address("order.new"), "order.new.dlq");
        assert_eq!(address("x.y"), "first");
        assert_eq!(address("user"), "user.dlq");
    }
}
