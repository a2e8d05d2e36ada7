//! Addresses and topics: one mapping for receives and sends, and the filters that channels become.
//!
//! What must hold: `address(topic(a)) == a` for every address that fits a channel, so that a reply goes where the question
//! came from, and what a broker delivers beyond the pattern (`+` takes any level) never reaches the application.

use std::{fmt, sync::Arc};

use amgi::{
    ByteString, ChannelInfo, Error, Result,
    address::{Alias, Pattern},
    bindings::Mqtt,
};

use crate::wire::Filter;

type ToTopic = Arc<dyn Fn(&str) -> String + Send + Sync>;
type ToAddress = Arc<dyn Fn(&str, &str) -> String + Send + Sync>;

/// How addresses of the document become MQTT topics and back; [`Mapping::levels`] unless told otherwise.
///
/// ```
/// use amgi_mqtt::Mapping;
///
/// let levels = Mapping::levels();
/// assert_eq!(levels.topic("user.42.events"), "user/42/events");
/// assert_eq!(levels.address("user/42/events", "user.{userId}.events"), "user.42.events");
/// // A dot within a level is not a separator, and stays one on the way back.
/// assert_eq!(levels.address("user/4.2/events", "user.{userId}.events"), "user.4%2E2.events");
/// assert_eq!(levels.topic("user.4%2E2.events"), "user/4.2/events");
/// // An address that has slashes is a topic already.
/// assert_eq!(levels.topic("lamps/4.2/on"), "lamps/4.2/on");
/// ```
#[derive(Clone)]
pub struct Mapping {
    to_topic: ToTopic,
    to_address: ToAddress,
}

impl Mapping {
    /// Dots of a dotted address are levels: `user.{userId}.events` is `user/+/events`. An address with a `/` stays as it is.
    pub fn levels() -> Self {
        Self::new(
            |address| {
                if address.contains('/') {
                    return address.to_owned();
                }
                let mut topic = String::with_capacity(address.len());
                for (index, level) in address.split('.').enumerate() {
                    if index > 0 {
                        topic.push('/');
                    }
                    topic.push_str(&level.replace("%2E", "."));
                }
                topic
            },
            |topic, channel| {
                if channel.contains('/') {
                    topic.to_owned()
                } else {
                    topic.replace('.', "%2E").replace('/', ".")
                }
            },
        )
    }

    /// Address and topic are the same text: for brokers whose topics have dots in them.
    pub fn as_is() -> Self {
        Self::new(str::to_owned, |topic, _| topic.to_owned())
    }

    /// A mapping of your own.
    ///
    /// `to_topic` gets an address, or a channel's address with its `{parameters}`, which it must leave alone.
    /// `to_address` gets a topic and the channel's address, and gives the address back.
    pub fn new(
        to_topic: impl Fn(&str) -> String + Send + Sync + 'static,
        to_address: impl Fn(&str, &str) -> String + Send + Sync + 'static,
    ) -> Self {
        Self { to_topic: Arc::new(to_topic), to_address: Arc::new(to_address) }
    }

    /// The topic of an address.
    pub fn topic(&self, address: &str) -> String {
        (self.to_topic)(address)
    }

    /// The address of a topic that came in on `channel`.
    pub fn address(&self, topic: &str, channel: &str) -> String {
        (self.to_address)(topic, channel)
    }
}

impl Default for Mapping {
    fn default() -> Self {
        Self::levels()
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").finish_non_exhaustive()
    }
}

/// One channel that is received from.
#[derive(Debug)]
struct Route {
    /// The document's address, with parameters.
    channel: String,
    pattern: Pattern,
    /// Set when the address has no parameters.
    literal: Option<ByteString>,
    topic: Pattern,
    exception: Option<Alias>,
    /// Dead letters go to `<address>.dlq`.
    dead_letters_beside: bool,
    /// Replies come here, for which handlers wait.
    replies: bool,
    filter: Filter,
}

/// All channels, and the way of every address.
#[derive(Debug)]
pub(crate) struct Routes {
    mapping: Mapping,
    exceptions: Vec<Alias>,
    /// The most specific first.
    all: Vec<Route>,
    /// Filters to subscribe to, those that another one covers left out.
    filters: Vec<Filter>,
}

/// What a topic turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A message for the application, with the document's address.
    Address(ByteString),
    /// The same, and a handler waits for it.
    Reply(ByteString),
    /// A dead letter of this very channel, which the filter takes too.
    DeadLetter,
    /// The filter takes it, the pattern does not.
    Nothing,
}

impl Routes {
    /// Routes of `channels`. `exceptions` are pairs of address (or channel name) and topic.
    pub(crate) fn new<'a>(
        channels: impl IntoIterator<Item = &'a ChannelInfo>,
        mapping: Mapping,
        exceptions: &[(String, String)],
        group: Option<&str>,
        dead_letter_everywhere: bool,
    ) -> Result<Self> {
        let channels: Vec<_> = channels.into_iter().collect();
        let exceptions = exceptions
            .iter()
            .map(|(address, topic)| {
                let named = channels.iter().find(|channel| channel.name == address);
                Alias::parse(named.map_or(address, |channel| &channel.address), topic)
            })
            .collect::<Result<Vec<_>>>()?;
        let mut routes = Vec::new();
        for channel in channels {
            let config =
                |error: &dyn fmt::Display| Error::Config(format!("channel `{}`: {error}", channel.name));
            let pattern = Pattern::parse(&channel.address).map_err(|error| config(&error))?;
            let exception = exceptions.iter().find(|e| *e.address() == pattern).cloned();
            let topic = match &exception {
                Some(exception) => exception.name().clone(),
                None => Pattern::parse(&mapping.topic(&channel.address)).map_err(|error| config(&error))?,
            };
            let path = filter(&topic).map_err(|error| config(&error))?;
            let literal = pattern.parameters().next().is_none();
            routes.push(Route {
                literal: literal.then(|| ByteString::from(channel.address.as_ref())),
                channel: channel.address.to_string(),
                pattern,
                topic,
                exception,
                dead_letters_beside: !dead_letter_everywhere && channel.dead_letter.is_none(),
                replies: channel.replies,
                filter: Filter { path, qos: qos(channel)? },
            });
        }
        // A literal beats a pattern; among patterns, the one with more literal text.
        routes.sort_by_cached_key(|route| {
            (route.literal.is_none(), std::cmp::Reverse(route.pattern.literal_chars()))
        });
        let of =
            |replies| routes.iter().filter(move |route| route.replies == replies).map(|r| r.filter.clone());
        let filters = match group {
            // Of a group, the one that has asked is to get the reply.
            Some(group) => {
                let mut filters = merge(of(false));
                for filter in &mut filters {
                    filter.path = format!("$share/{group}/{}", filter.path);
                }
                filters.extend(merge(of(true)));
                filters
            }
            None => merge(routes.iter().map(|route| route.filter.clone())),
        };
        Ok(Self { mapping, exceptions, all: routes, filters })
    }

    /// What to subscribe to.
    pub(crate) fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// The document's address of a topic that came in.
    pub(crate) fn address(&self, topic: &ByteString) -> Found {
        for route in &self.all {
            let address = match (&route.literal, &route.exception) {
                (Some(literal), _) if route.topic.matches(topic) => literal.clone(),
                (Some(_), _) => continue,
                (None, Some(exception)) => match exception.to_address(topic) {
                    Some(address) => address.into(),
                    None => continue,
                },
                (None, None) => {
                    let address = self.mapping.address(topic, &route.channel);
                    if !route.pattern.matches(&address) {
                        continue;
                    }
                    // Most often the same text, which needs no second copy.
                    if address == **topic { topic.clone() } else { address.into() }
                }
            };
            if route.dead_letters_beside
                && address.strip_suffix(".dlq").is_some_and(|original| route.pattern.matches(original))
            {
                return Found::DeadLetter;
            }
            return if route.replies { Found::Reply(address) } else { Found::Address(address) };
        }
        Found::Nothing
    }

    /// The topic that a send to `address` goes to.
    pub(crate) fn topic(&self, address: &ByteString) -> ByteString {
        for exception in &self.exceptions {
            if let Some(topic) = exception.to_name(address) {
                return topic.into();
            }
        }
        let topic = self.mapping.topic(address);
        if topic == **address { address.clone() } else { topic.into() }
    }
}

/// The QoS that the document asks for in its receive operations; 1 where it does not say.
fn qos(channel: &ChannelInfo) -> Result<u8> {
    for operation in channel.operations {
        match operation.typed::<Mqtt>()?.qos {
            Some(qos @ 0..=2) => return Ok(qos),
            Some(qos) => {
                return Err(Error::Config(format!("channel `{}`: qos {qos} does not exist", channel.name)));
            }
            None => {}
        }
    }
    Ok(1)
}

/// The filter of a topic pattern: a level with a parameter in it is `+`.
fn filter(topic: &Pattern) -> Result<String, &'static str> {
    let text = topic.to_string();
    if text.is_empty() || text.len() > usize::from(u16::MAX) {
        return Err("a topic must have 1 to 65,535 bytes");
    }
    if text.contains(['+', '#', '\0']) {
        return Err("`+`, `#` and U+0000 cannot be in a topic; parameters are the wildcards");
    }
    let levels: Vec<_> = text.split('/').map(|level| if level.contains('{') { "+" } else { level }).collect();
    Ok(levels.join("/"))
}

/// Whether every topic that `other` takes is taken by `filter` too.
fn covers(filter: &str, other: &str) -> bool {
    let (mut a, mut b) = (filter.split('/'), other.split('/'));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(one), Some(two)) if one == two => {}
            (Some("+"), Some(two)) if !two.starts_with('$') => {}
            _ => return false,
        }
    }
}

/// Leaves out what another filter covers, since a broker may deliver a copy for each. The one that stays gets the higher QoS.
fn merge(all: impl Iterator<Item = Filter>) -> Vec<Filter> {
    let mut kept: Vec<Filter> = Vec::new();
    for mut filter in all {
        if let Some(wider) = kept.iter_mut().find(|other| covers(&other.path, &filter.path)) {
            wider.qos = wider.qos.max(filter.qos);
            continue;
        }
        kept.retain(|other| {
            let covered = covers(&filter.path, &other.path);
            if covered {
                filter.qos = filter.qos.max(other.qos);
            }
            !covered
        });
        kept.push(filter);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &'static str, address: &'static str) -> ChannelInfo {
        ChannelInfo::new(name, address)
    }

    fn routes(addresses: &[&'static str], exceptions: &[(&str, &str)]) -> Routes {
        let channels: Vec<_> = addresses.iter().map(|a| channel(a, a)).collect();
        let exceptions: Vec<_> = exceptions.iter().map(|(a, t)| ((*a).to_owned(), (*t).to_owned())).collect();
        Routes::new(&channels, Mapping::levels(), &exceptions, None, false).unwrap()
    }

    fn found(routes: &Routes, topic: &'static str) -> Option<String> {
        match routes.address(&ByteString::from_static(topic)) {
            Found::Address(address) => Some(address.to_string()),
            _ => None,
        }
    }

    fn paths(routes: &Routes) -> Vec<&str> {
        routes.filters().iter().map(|filter| filter.path.as_str()).collect()
    }

    #[test]
    fn parameters_become_wildcards() {
        let r = routes(&["user.created", "user.{id}.events", "lamps/{id}/on", "x/a-{b}/c"], &[]);
        let mut filters = paths(&r);
        filters.sort_unstable();
        assert_eq!(filters, ["lamps/+/on", "user/+/events", "user/created", "x/+/c"]);
    }

    #[test]
    fn topics_become_the_documents_addresses() {
        let r = routes(&["user.created", "user.{id}.events", "lamps/{id}/on", "x/a-{b}/c"], &[]);
        assert_eq!(found(&r, "user/created").as_deref(), Some("user.created"));
        assert_eq!(found(&r, "user/7/events").as_deref(), Some("user.7.events"));
        assert_eq!(found(&r, "user/7.1/events").as_deref(), Some("user.7%2E1.events"));
        assert_eq!(found(&r, "lamps/a.b/on").as_deref(), Some("lamps/a.b/on"));
        assert_eq!(found(&r, "x/a-1/c").as_deref(), Some("x/a-1/c"));
        assert_eq!(found(&r, "x/b-1/c"), None, "the wildcard takes it, the pattern does not");
        assert_eq!(found(&r, "user//events"), None, "a value is never empty");
    }

    #[test]
    fn every_value_comes_back() {
        let r = routes(&["user.{id}.events", "lamps/{id}/on"], &[]);
        for text in ["user.{id}.events", "lamps/{id}/on"] {
            let pattern = Pattern::parse(text).unwrap();
            for value in ["1", "a.b", "a/b", "50%", "%41", "a+b", "#", "ü x", "a:b", "."] {
                let address = pattern.format(&[value]);
                let topic = r.topic(&ByteString::from(address.as_str()));
                assert_eq!(topic.split('/').count(), 3, "{topic}");
                assert!(!topic.contains(['+', '#']), "{topic}");
                assert_eq!(r.address(&topic), Found::Address(address.into()), "{value} as {topic}");
            }
        }
    }

    #[test]
    fn exceptions_go_both_ways() {
        let r = routes(
            &["user.{id}.{kind}", "user.created"],
            &[("user.{id}.{kind}", "v1/{kind}/of/{id}"), ("mail.out", "outbox")],
        );
        assert!(paths(&r).contains(&"v1/+/of/+"), "{:?}", paths(&r));
        assert_eq!(found(&r, "v1/renamed/of/7.5").as_deref(), Some("user.7%2E5.renamed"));
        assert_eq!(r.topic(&"user.7%2E5.renamed".into()), "v1/renamed/of/7.5");
        assert_eq!(r.topic(&"mail.out".into()), "outbox");
        assert_eq!(r.topic(&"mail.in".into()), "mail/in");
    }

    #[test]
    fn exceptions_must_have_the_same_parameters() {
        let exceptions = [("a.{b}".to_owned(), "c/{d}".to_owned())];
        assert!(Routes::new(&[], Mapping::levels(), &exceptions, None, false).is_err());
    }

    #[test]
    fn covered_filters_are_left_out() {
        let r = routes(&["user.{id}.events", "user.1.events", "{a}.1.events"], &[]);
        let mut filters = paths(&r);
        filters.sort_unstable();
        assert_eq!(filters, ["+/1/events", "user/+/events"]);
        assert_eq!(found(&r, "user/1/events").as_deref(), Some("user.1.events"));
    }

    #[test]
    fn dead_letters_do_not_come_round() {
        let r = routes(&["lamps/{id}"], &[]);
        assert_eq!(r.address(&"lamps/7.dlq".into()), Found::DeadLetter);
        assert_eq!(found(&r, "lamps/7").as_deref(), Some("lamps/7"));
    }

    #[test]
    fn groups_share() {
        let r = Routes::new(&[channel("a", "a.b")], Mapping::levels(), &[], Some("users"), false).unwrap();
        assert_eq!(paths(&r), ["$share/users/a/b"]);
    }

    #[test]
    fn wildcards_in_an_address_are_refused() {
        for address in ["a/#", "a+/b"] {
            assert!(
                Routes::new(&[channel("a", address)], Mapping::levels(), &[], None, false).is_err(),
                "{address}"
            );
        }
    }
}
