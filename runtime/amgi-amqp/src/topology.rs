//! Queues, exchanges and routing keys: what channels become at the broker, for receives and sends alike.
//!
//! What must hold: a send to an address goes where the channel of that address is received from, and what a wildcard takes and
//! the document's pattern does not never reaches the application.

use amgi::{
    BatchInfo, ByteString, ChannelInfo, Error, Result,
    address::{Alias, Pattern},
    bindings::{Amqp, amqp},
};
use lapin::{ExchangeKind, options::QueueDeclareOptions};
use tracing::warn;

use crate::config::{Config, short};

/// Where addresses with parameters are when the document names no exchange: there are no wildcards elsewhere.
pub(crate) const TOPIC: &str = "amq.topic";

/// Name of the channel that replies to this process alone come to.
const INBOX: &str = "amgi.reply";

/// An exchange of the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    pub(crate) kind: ExchangeKind,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
}

impl Exchange {
    /// Whether the broker has it without being asked.
    pub(crate) fn is_built_in(&self) -> bool {
        self.name.starts_with("amq.")
    }
}

/// A queue that is consumed.
#[derive(Debug)]
pub(crate) struct Source {
    /// Empty where the broker chooses it.
    pub(crate) queue: String,
    /// How it is declared.
    pub(crate) options: QueueDeclareOptions,
    pub(crate) exchanges: Vec<Exchange>,
    /// Exchange and key.
    pub(crate) bindings: Vec<(String, String)>,
    pub(crate) batch: Option<BatchInfo>,
    /// Replies come here, for which handlers wait.
    pub(crate) replies: bool,
    routes: Vec<Route>,
    /// The address of all that comes, where there is only one.
    whole: Option<ByteString>,
}

/// A channel on a queue.
#[derive(Debug)]
struct Route {
    pattern: Pattern,
    /// Set when the address has no parameters.
    literal: Option<ByteString>,
    alias: Option<Alias>,
    /// The queue is the channel: what does not fit it is not there because of a wildcard.
    strict: bool,
}

impl Route {
    fn address(&self, key: &str) -> Option<ByteString> {
        match (&self.literal, &self.alias) {
            (Some(literal), None) => (**literal == *key).then(|| literal.clone()),
            (Some(literal), Some(alias)) => alias.name().matches(key).then(|| literal.clone()),
            (None, Some(alias)) => alias.to_address(key).map(ByteString::from),
            (None, None) => self.pattern.matches(key).then(|| ByteString::from(key)),
        }
    }
}

impl Source {
    /// The document's address of a message; `None` for what a wildcard took and no channel has.
    pub(crate) fn address(&self, key: &str) -> Option<ByteString> {
        if let Some(whole) = &self.whole {
            return Some(whole.clone());
        }
        let found = self.routes.iter().find_map(|route| route.address(key));
        found.or_else(|| self.routes.iter().any(|route| route.strict).then(|| ByteString::from(key)))
    }
}

/// How a channel of this application is sent to.
#[derive(Debug)]
struct Way {
    pattern: Pattern,
    exchange: String,
    /// Where it is not the address.
    key: Option<String>,
}

/// Where a message is published to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) exchange: ByteString,
    pub(crate) key: ByteString,
    /// Nothing says the exchange: what is no queue's name is tried there.
    pub(crate) or_topic: bool,
}

/// All channels, and the way of every address.
#[derive(Debug)]
pub(crate) struct Topology {
    pub(crate) sources: Vec<Source>,
    aliases: Vec<Alias>,
    ways: Vec<Way>,
    exchange: Option<String>,
}

impl Topology {
    /// `aliases` are pairs of address (or channel name) and routing key or queue.
    pub(crate) fn new<'a>(
        channels: impl IntoIterator<Item = &'a ChannelInfo>,
        aliases: &[(String, String)],
        config: &Config,
    ) -> Result<Self> {
        let channels: Vec<_> = channels.into_iter().collect();
        let aliases = aliases
            .iter()
            .map(|(address, key)| {
                let named = channels.iter().find(|channel| channel.name == address);
                Alias::parse(named.map_or(address, |channel| &channel.address), key)
            })
            .collect::<Result<Vec<_>>>()?;
        let mut topology =
            Self { sources: Vec::new(), aliases, ways: Vec::new(), exchange: config.exchange.clone() };
        for channel in channels {
            topology
                .add(channel, config)
                .map_err(|error| Error::Config(format!("channel `{}`: {error}", channel.name)))?;
        }
        for source in &mut topology.sources {
            // A literal beats a pattern; among patterns, the one with more literal text.
            source.routes.sort_by_cached_key(|route| {
                (route.literal.is_none(), std::cmp::Reverse(route.pattern.literal_chars()))
            });
            if let [Route { literal: Some(literal), .. }] = &source.routes[..] {
                source.whole = Some(literal.clone());
            }
        }
        topology.ways.sort_by_cached_key(|way| {
            (way.pattern.parameters().count() > 0, std::cmp::Reverse(way.pattern.literal_chars()))
        });
        Ok(topology)
    }

    fn add(&mut self, channel: &ChannelInfo, config: &Config) -> Result<(), String> {
        let text = |error: Error| error.to_string();
        let pattern = Pattern::parse(&channel.address).map_err(|error| error.to_string())?;
        let alias = self.aliases.iter().find(|alias| *alias.address() == pattern).cloned();
        let key = alias.as_ref().map_or_else(|| pattern.clone(), |alias| alias.name().clone());
        let wild = key.parameters().next().is_some();
        let binding = channel.typed::<Amqp>().map_err(text)?;
        for operation in channel.operations {
            if operation.typed::<Amqp>().map_err(text)?.ack == Some(false) {
                warn!(
                    channel = channel.name,
                    "`ack: false` is not followed: a message is acknowledged when its handler is done"
                );
            }
        }
        let is_queue = binding.is.as_deref() == Some("queue");
        let given = binding.queue.unwrap_or_default();
        let name = given.name.clone().filter(|name| !name.is_empty());
        let exchange = if is_queue { None } else { exchange(binding.exchange.as_ref(), config)? };
        let mut source = Source {
            queue: String::new(),
            options: QueueDeclareOptions {
                durable: given.durable.unwrap_or(true),
                exclusive: given.exclusive.unwrap_or(false),
                auto_delete: given.auto_delete.unwrap_or(false),
                ..QueueDeclareOptions::default()
            },
            exchanges: Vec::new(),
            bindings: Vec::new(),
            batch: channel.batch,
            replies: channel.replies,
            routes: Vec::new(),
            whole: None,
        };
        // Replies are for the process that has asked: its queue is its own, and goes with it.
        let own = channel.replies && !is_queue && name.is_none();
        if own {
            source.options =
                QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        }
        let inbox = own && channel.name == INBOX && exchange.is_none();
        let mut strict = false;
        let way = match exchange {
            Some(exchange) => {
                source.queue = name.unwrap_or_else(|| format!("{}.{}", config.group, channel.address));
                source.bindings.push((exchange.name.clone(), binding_key(&key, &exchange.kind)?));
                let name = exchange.name.clone();
                source.exchanges.push(exchange);
                Way { pattern: pattern.clone(), exchange: name, key: None }
            }
            None if !is_queue && (wild || own) && !inbox && name.is_none() => {
                source.queue = format!("{}.{}", config.group, channel.address);
                source.bindings.push((TOPIC.to_owned(), binding_key(&key, &ExchangeKind::Topic)?));
                Way { pattern: pattern.clone(), exchange: TOPIC.to_owned(), key: None }
            }
            None => {
                strict = true;
                if wild && name.is_none() {
                    return Err(
                        "a queue whose address has parameters needs a name: `queue.name` of the binding"
                            .into(),
                    );
                }
                let fixed = if wild { name.clone() } else { None };
                source.queue = name.unwrap_or_else(|| key.to_string());
                let key = fixed.or_else(|| (source.queue != *channel.address).then(|| source.queue.clone()));
                Way { pattern: pattern.clone(), exchange: String::new(), key }
            }
        };
        if own && !inbox {
            source.queue = String::new();
        }
        short("queue", &source.queue).map_err(text)?;
        let literal = pattern.parameters().next().is_none();
        self.ways.push(way);
        let route = Route {
            literal: literal.then(|| ByteString::from(channel.address.as_ref())),
            pattern,
            alias,
            strict,
        };
        self.put(source, route)
    }

    /// Adds a queue, or what is new to one that is there.
    fn put(&mut self, mut source: Source, route: Route) -> Result<(), String> {
        let same =
            self.sources.iter_mut().find(|other| !other.queue.is_empty() && other.queue == source.queue);
        let Some(known) = same else {
            source.routes.push(route);
            self.sources.push(source);
            return Ok(());
        };
        if (known.options, known.replies) != (source.options, source.replies) {
            return Err(format!("another channel has the queue `{}` with other properties", source.queue));
        }
        known.batch = known.batch.or(source.batch);
        known.exchanges.extend(source.exchanges);
        known.bindings.extend(source.bindings);
        known.routes.push(route);
        Ok(())
    }

    /// Where a send to `address` goes; exchange and key of the message's own bindings come first.
    pub(crate) fn target(&self, address: &ByteString, exchange: Option<&str>, key: Option<&str>) -> Target {
        let alias = self.aliases.iter().find_map(|alias| alias.to_name(address));
        let name = match (key, alias) {
            (Some(key), _) => ByteString::from(key),
            (None, Some(key)) => ByteString::from(key),
            (None, None) => address.clone(),
        };
        if let Some(exchange) = exchange {
            return Target { exchange: exchange.into(), key: name, or_topic: false };
        }
        if key.is_none()
            && let Some(way) = self.ways.iter().find(|way| way.pattern.matches(address))
        {
            let key = way.key.as_deref().map_or(name, ByteString::from);
            return Target { exchange: way.exchange.as_str().into(), key, or_topic: false };
        }
        match &self.exchange {
            Some(exchange) => Target { exchange: exchange.as_str().into(), key: name, or_topic: false },
            None => Target { exchange: ByteString::new(), key: name, or_topic: key.is_none() },
        }
    }
}

/// The exchange of a channel; `None` for the default one.
fn exchange(binding: Option<&amqp::Exchange>, config: &Config) -> Result<Option<Exchange>, String> {
    let none = amqp::Exchange::default();
    let binding = binding.unwrap_or(&none);
    let name = match binding.name.as_deref().filter(|name| !name.is_empty()) {
        _ if binding.r#type.as_deref() == Some("default") => return Ok(None),
        Some(name) => name,
        None => match config.exchange.as_deref() {
            Some(name) if !name.is_empty() => name,
            _ => return Ok(None),
        },
    };
    short("exchange", name).map_err(|error| error.to_string())?;
    let kind = match binding.r#type.as_deref() {
        Some("direct") => ExchangeKind::Direct,
        Some("fanout") => ExchangeKind::Fanout,
        Some("headers") => ExchangeKind::Headers,
        None if name == "amq.direct" => ExchangeKind::Direct,
        None if name == "amq.fanout" => ExchangeKind::Fanout,
        None if matches!(name, "amq.headers" | "amq.match") => ExchangeKind::Headers,
        Some("topic") | None => ExchangeKind::Topic,
        Some(other) => ExchangeKind::Custom(other.to_owned()),
    };
    Ok(Some(Exchange {
        name: name.to_owned(),
        kind,
        durable: binding.durable.unwrap_or(true),
        auto_delete: binding.auto_delete.unwrap_or(false),
    }))
}

/// The key of a pattern: a word with a parameter in it is `*`. Where words are not what parameters end at, it is `#`.
fn binding_key(pattern: &Pattern, kind: &ExchangeKind) -> Result<String, String> {
    let text = pattern.to_string();
    let wild = pattern.parameters().next().is_some();
    match kind {
        ExchangeKind::Fanout | ExchangeKind::Headers => return Ok(String::new()),
        ExchangeKind::Direct if wild => {
            return Err("a direct exchange has no wildcards, so the address cannot have parameters".into());
        }
        ExchangeKind::Topic => {}
        _ => return Ok(text),
    }
    if text.split('.').any(|word| matches!(word, "*" | "#")) {
        return Err("`*` and `#` cannot be words of a topic; parameters are the wildcards".into());
    }
    let wildcard = if matches!(pattern.separator(), Some('.') | None) { "*" } else { "#" };
    let words: Vec<_> =
        text.split('.').map(|word| if word.contains('{') { wildcard } else { word }).collect();
    // A value without separators may still have dots where there is no separator at all.
    if wild && pattern.separator().is_none() { Ok("#".to_owned()) } else { Ok(words.join(".")) }
}
