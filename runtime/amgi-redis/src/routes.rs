//! Addresses and keys: one mapping for receives and sends, what is a stream and what is published, and the streams and
//! subscriptions that channels become.
//!
//! What must hold: `address(key(a)) == a` for every address that fits a channel; what a subscription brings beyond the
//! pattern never reaches the application, and of several copies one does.

use std::{cmp::Reverse, fmt, sync::Arc};

use amgi::{
    BatchInfo, ByteString, ChannelInfo, Error, Result,
    address::{Alias, Pattern},
};

type Translate = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// How addresses of the document become keys and channels of Redis and back; [`Mapping::as_is`] unless told otherwise.
///
/// ```
/// use amgi_redis::Mapping;
///
/// let mapping = Mapping::prefix("shop:");
/// assert_eq!(mapping.key("orders.new"), "shop:orders.new");
/// assert_eq!(mapping.address("shop:orders.new"), "orders.new");
/// ```
#[derive(Clone)]
pub struct Mapping {
    to_key: Translate,
    to_address: Translate,
}

impl Mapping {
    /// Address and key are the same text.
    pub fn as_is() -> Self {
        Self::new(str::to_owned, str::to_owned)
    }

    /// Keys begin with `prefix`.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        let other = prefix.clone();
        Self::new(
            move |address| format!("{prefix}{address}"),
            move |key| key.strip_prefix(&*other).unwrap_or(key).to_owned(),
        )
    }

    /// A mapping of your own. `to_key` gets an address, or a channel's address with its `{parameters}`, which it must leave
    /// alone; `to_address` gives the address back.
    pub fn new(
        to_key: impl Fn(&str) -> String + Send + Sync + 'static,
        to_address: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        Self { to_key: Arc::new(to_key), to_address: Arc::new(to_address) }
    }

    /// The key of an address.
    pub fn key(&self, address: &str) -> String {
        (self.to_key)(address)
    }

    /// The address of a key.
    pub fn address(&self, key: &str) -> String {
        (self.to_address)(key)
    }
}

impl Default for Mapping {
    fn default() -> Self {
        Self::as_is()
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").finish_non_exhaustive()
    }
}

/// What messages of an address go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Via {
    /// A stream, with a consumer group: at least once.
    #[default]
    Stream,
    /// PUBLISH and SUBSCRIBE: at most once, and payload alone.
    PubSub,
}

/// What the builder and the command line say of addresses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    pub(crate) mapping: Mapping,
    /// Address or name of a channel, and the key.
    pub(crate) keys: Vec<(String, String)>,
    /// Name of a channel or its address, and the addresses that it has.
    pub(crate) addresses: Vec<(String, Vec<String>)>,
    pub(crate) via: Via,
    /// Exceptions from it, by channel or address.
    pub(crate) exceptions: Vec<(String, Via)>,
}

/// A stream that is received from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) key: String,
    pub(crate) address: ByteString,
    pub(crate) batch: Option<BatchInfo>,
    /// It is this process' own, and goes with it.
    pub(crate) own: bool,
}

/// A channel of Redis, or a pattern of them, that is subscribed to.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    pub(crate) filter: String,
    pub(crate) is_pattern: bool,
    pattern: Pattern,
    alias: Option<Alias>,
}

/// Where everything comes from and goes to.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    mapping: Mapping,
    aliases: Vec<Alias>,
    via: Via,
    exceptions: Vec<(Pattern, Via)>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) reply_streams: Vec<Stream>,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) reply_subscriptions: Vec<Subscription>,
}

impl Routes {
    pub(crate) fn new<'a>(channels: impl IntoIterator<Item = &'a ChannelInfo>, said: &Said) -> Result<Self> {
        let channels: Vec<_> = channels.into_iter().collect();
        let address_of = |name: &str| {
            let named = channels.iter().find(|channel| channel.name == name);
            named.map_or_else(|| name.to_owned(), |channel| channel.address.to_string())
        };
        let parse = |address: &str| Pattern::parse(address).map_err(|error| Error::Config(error.to_string()));
        let mut routes = Self { mapping: said.mapping.clone(), via: said.via, ..Self::default() };
        for (address, key) in &said.keys {
            routes.aliases.push(Alias::parse(&address_of(address), key)?);
        }
        for (address, via) in &said.exceptions {
            routes.exceptions.push((parse(&address_of(address))?, *via));
        }
        let mut problems = Vec::new();
        for (name, _) in &said.addresses {
            if !channels.iter().any(|channel| channel.name == name || channel.address == **name) {
                problems.push(format!(
                    "addresses are given for `{name}`, and nothing is received from such a channel"
                ));
            }
        }
        for channel in &channels {
            let pattern = parse(&channel.address)?;
            let via = routes.exceptions.iter().find(|(other, _)| *other == pattern);
            match via.map_or(said.via, |(_, via)| *via) {
                Via::PubSub => routes.subscribe(channel, pattern)?,
                Via::Stream => routes.receive(channel, &pattern, said, &mut problems),
            }
        }
        if !problems.is_empty() {
            return Err(Error::Config(problems.join("; ")));
        }
        for all in [&mut routes.subscriptions, &mut routes.reply_subscriptions] {
            // A literal beats a pattern; among patterns, the one with more literal text.
            all.sort_by_cached_key(|one| (one.is_pattern, Reverse(one.pattern.literal_chars())));
            all.dedup_by(|later, first| later.filter == first.filter && later.pattern == first.pattern);
        }
        Ok(routes)
    }

    fn receive(&mut self, channel: &ChannelInfo, pattern: &Pattern, said: &Said, problems: &mut Vec<String>) {
        let given =
            said.addresses.iter().filter(|(name, _)| channel.name == name || channel.address == **name);
        let mut addresses: Vec<&str> =
            given.flat_map(|(_, addresses)| addresses).map(String::as_str).collect();
        if addresses.is_empty() {
            if pattern.parameters().next().is_some() {
                problems.push(format!(
                    "channel `{name}` has parameters (`{address}`), and streams have no wildcards: say which \
                     addresses there are, with `.addresses(\"{name}\", […])` or `--addresses {name}=ADDRESS,…`, \
                     or receive it by pub/sub",
                    name = channel.name,
                    address = channel.address,
                ));
            }
            addresses.push(&channel.address);
        }
        for address in addresses {
            if !pattern.matches(address) && channel.address != address {
                problems.push(format!(
                    "`{address}` does not fit channel `{}` (`{}`)",
                    channel.name, channel.address
                ));
                continue;
            }
            let stream = Stream {
                key: self.key(address),
                address: address.into(),
                batch: channel.batch,
                own: channel.replies && channel.name == "amgi.reply",
            };
            let streams = if channel.replies { &mut self.reply_streams } else { &mut self.streams };
            // Of channels with the same address the first counts.
            if !streams.iter().any(|other| other.key == stream.key) {
                streams.push(stream);
            }
        }
    }

    fn subscribe(&mut self, channel: &ChannelInfo, pattern: Pattern) -> Result<()> {
        let alias = self.aliases.iter().find(|alias| *alias.address() == pattern).cloned();
        let name = match &alias {
            Some(alias) => alias.name().clone(),
            None => Pattern::parse(&self.mapping.key(&channel.address))
                .map_err(|error| Error::Config(format!("channel `{}`: {error}", channel.name)))?,
        };
        let is_pattern = name.parameters().next().is_some();
        let filter = if is_pattern { glob(&name) } else { name.to_string() };
        let subscription = Subscription { filter, is_pattern, pattern, alias };
        if channel.replies {
            self.reply_subscriptions.push(subscription);
        } else {
            self.subscriptions.push(subscription);
        }
        Ok(())
    }

    /// What Redis calls an address.
    pub(crate) fn key(&self, address: &str) -> String {
        let alias = self.aliases.iter().find_map(|alias| alias.to_name(address));
        alias.unwrap_or_else(|| self.mapping.key(address))
    }

    /// What a send to `address` goes through.
    pub(crate) fn via(&self, address: &str) -> Via {
        let exception = self.exceptions.iter().find(|(pattern, _)| pattern.matches(address));
        exception.map_or(self.via, |(_, via)| *via)
    }

    /// The document's address of what came on `channel` by `filter`; `None` when it is for nobody, or another copy is.
    pub(crate) fn published(&self, all: &[Subscription], channel: &str, filter: &str) -> Option<ByteString> {
        for one in all {
            let address = match &one.alias {
                Some(alias) => alias.to_address(channel),
                None => Some(self.mapping.address(channel)),
            };
            if let Some(address) = address.filter(|address| one.pattern.matches(address)) {
                return (one.filter == filter).then(|| address.into());
            }
        }
        None
    }
}

/// The glob that takes what a pattern takes, and more.
fn glob(pattern: &Pattern) -> String {
    let mut out = String::new();
    for part in pattern.parts() {
        match part {
            amgi::address::Part::Parameter(_) => out.push('*'),
            amgi::address::Part::Literal(text) => {
                for c in text.chars() {
                    if matches!(c, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
                        out.push('\\');
                    }
                    out.push(c);
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(addresses: &[&'static str], said: &Said) -> Result<Routes> {
        let channels: Vec<_> = addresses.iter().map(|address| ChannelInfo::new(address, *address)).collect();
        Routes::new(&channels, said)
    }

    #[test]
    fn streams_need_their_addresses() {
        let error = routes(&["user.{id}", "lamp.{id}", "plain"], &Said::default()).unwrap_err().to_string();
        assert!(error.contains("`user.{id}`") && error.contains("`lamp.{id}`"), "all at once: {error}");
        assert!(error.contains("--addresses user.{id}=ADDRESS"), "{error}");
        let said = Said {
            addresses: vec![("user.{id}".into(), vec!["user.1".into(), "user.2".into()])],
            mapping: Mapping::prefix("p:"),
            ..Said::default()
        };
        let keys: Vec<_> = routes(&["user.{id}", "plain"], &said).unwrap().streams;
        let keys: Vec<_> = keys.iter().map(|stream| (stream.key.as_str(), &*stream.address)).collect();
        assert_eq!(keys, [("p:user.1", "user.1"), ("p:user.2", "user.2"), ("p:plain", "plain")]);
        let said = |name: &str, address: &str| Said {
            addresses: vec![(name.to_owned(), vec![address.to_owned()])],
            ..Said::default()
        };
        assert!(routes(&["user.{id}"], &said("user.{id}", "lamp.1")).is_err());
        assert!(routes(&["plain"], &said("other", "other")).is_err());
    }

    #[test]
    fn of_several_copies_one_is_taken() {
        let said = Said { via: Via::PubSub, ..Said::default() };
        let r = routes(&["user.{id}", "user.new", "{any}.{id}"], &said).unwrap();
        let take = |channel, filter| r.published(&r.subscriptions, channel, filter).map(|a| a.to_string());
        assert_eq!(take("user.new", "user.new").as_deref(), Some("user.new"));
        assert_eq!(take("user.new", "user.*"), None, "the copy of another subscription");
        assert_eq!(take("user.7", "user.*").as_deref(), Some("user.7"));
        assert_eq!(take("user.7", "*.*"), None);
        assert_eq!(take("lamp.7", "*.*").as_deref(), Some("lamp.7"));
        assert_eq!(take("user.7.x", "user.*"), None, "the glob takes it, the pattern does not");
    }

    #[test]
    fn patterns_are_globs() {
        let pattern = Pattern::parse("a[b]*.{id}-{kind}").unwrap();
        assert_eq!(glob(&pattern), r"a\[b\]\*.*\-*");
    }

    #[test]
    fn exceptions_and_aliases_go_both_ways() {
        let said = Said {
            via: Via::PubSub,
            exceptions: vec![("orders.{id}".into(), Via::Stream)],
            keys: vec![("user.{id}.out".into(), "v1:{id}:out".into())],
            addresses: vec![("orders.{id}".into(), vec!["orders.1".into()])],
            ..Said::default()
        };
        let r = routes(&["orders.{id}", "user.{id}.out"], &said).unwrap();
        assert_eq!(r.via("orders.9"), Via::Stream);
        assert_eq!(r.via("other"), Via::PubSub);
        assert_eq!(r.key("user.7.out"), "v1:7:out");
        assert_eq!(r.subscriptions[0].filter, "v1:*:out");
        assert_eq!(r.published(&r.subscriptions, "v1:7:out", "v1:*:out").as_deref(), Some("user.7.out"));
    }
}
