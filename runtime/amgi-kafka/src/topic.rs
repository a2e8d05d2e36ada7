//! Addresses and topics: one mapping for receives and sends, and what channels subscribe to.
//!
//! What must hold: `address(topic(a)) == a` for every address that fits a channel, so that a reply goes where the question
//! came from, and what a subscription takes beyond the pattern never reaches the application.

use std::{cmp::Reverse, fmt, sync::Arc};

use amgi::{
    ByteString, ChannelInfo, Error, Result,
    address::{Alias, Part, Pattern},
    bindings::{Kafka, kafka::TopicConfiguration},
};

type ToTopic = Arc<dyn Fn(&str) -> String + Send + Sync>;
type ToAddress = Arc<dyn Fn(&str, &str) -> String + Send + Sync>;

/// What the topic of a dead letter ends with where nobody says another address.
const DEAD: &str = ".dlq";

/// How addresses of the document become topics and back; [`Mapping::dots`] unless told otherwise.
///
/// ```
/// use amgi_kafka::Mapping;
///
/// let dots = Mapping::dots();
/// assert_eq!(dots.topic("user.42.events"), "user.42.events");
/// // Slashes are dots, and on the way back the channel says which they were.
/// assert_eq!(dots.topic("lamps/7/on"), "lamps.7.on");
/// assert_eq!(dots.address("lamps.7.on", "lamps/{id}/on"), "lamps/7/on");
/// // What a topic cannot hold is written as `_x` and two hexadecimal digits.
/// assert_eq!(dots.topic("user.a@b.events"), "user.a_x40b.events");
/// assert_eq!(dots.address("user.a_x40b.events", "user.{id}.events"), "user.a@b.events");
/// ```
#[derive(Clone)]
pub struct Mapping {
    to_topic: ToTopic,
    to_address: ToAddress,
}

impl Mapping {
    /// An address is a topic as it is, as far as Kafka allows. The slashes of an address with slashes are dots; bytes that a
    /// topic cannot have, and the dots of an address with slashes, are `_x` and two hexadecimal digits.
    pub fn dots() -> Self {
        Self::new(encode, decode)
    }

    /// Address and topic are the same text.
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

    /// The address of a topic that belongs to `channel`.
    pub fn address(&self, topic: &str, channel: &str) -> String {
        (self.to_address)(topic, channel)
    }
}

impl Default for Mapping {
    fn default() -> Self {
        Self::dots()
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").finish_non_exhaustive()
    }
}

fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_".contains(&byte)
}

/// The byte that an escape at the beginning of `text` stands for.
fn escaped(text: &[u8]) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    match text {
        [b'_', b'x', high, low, ..] => Some(digit(*high)? * 16 + digit(*low)?),
        _ => None,
    }
}

fn encode(address: &str) -> String {
    let slashes = address.contains('/');
    // The address of a dead letter keeps its ending, or its topic would be hard to read.
    let (body, dead) = match address.strip_suffix(DEAD) {
        Some(body) if slashes => (body, DEAD),
        _ => (address, ""),
    };
    let bytes = body.as_bytes();
    let mut topic = String::with_capacity(address.len());
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'/' if slashes && (&bytes[at..] != b"/dlq" || !dead.is_empty()) => topic.push('.'),
            // Parameters of a channel's address; in values they are encoded.
            b'{' | b'}' => topic.push(char::from(byte)),
            b'.' if slashes => escape(byte, &mut topic),
            b'_' if escaped(&bytes[at..]).is_some() => escape(byte, &mut topic),
            _ if is_legal(byte) => topic.push(char::from(byte)),
            _ => escape(byte, &mut topic),
        }
    }
    topic + dead
}

fn escape(byte: u8, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.push_str("_x");
    out.push(char::from(HEX[usize::from(byte >> 4)]));
    out.push(char::from(HEX[usize::from(byte & 15)]));
}

fn decode(topic: &str, channel: &str) -> String {
    let slashes = channel.contains('/');
    let (body, dead) = match topic.strip_suffix(DEAD) {
        Some(body) if slashes => (body, DEAD),
        _ => (topic, ""),
    };
    let mut rest = body.as_bytes();
    let mut address = Vec::with_capacity(topic.len());
    while let Some((&byte, tail)) = rest.split_first() {
        match escaped(rest) {
            Some(byte) => {
                address.push(byte);
                rest = &rest[4..];
            }
            None => {
                address.push(if slashes && byte == b'.' { b'/' } else { byte });
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&address).into_owned() + dead
}

/// One channel that is received from.
#[derive(Debug)]
pub(crate) struct Route {
    /// The channel's key.
    pub(crate) name: &'static str,
    /// The document's address, with parameters.
    channel: String,
    pattern: Pattern,
    /// Set when the address has no parameters.
    literal: Option<ByteString>,
    topic: Pattern,
    alias: Option<Alias>,
    /// Dead letters go to `<address>.dlq`.
    dead_letters_beside: bool,
    /// Index of the channel among the application's.
    pub(crate) index: usize,
    /// What the document says of the topic.
    pub(crate) partitions: Option<u32>,
    pub(crate) replicas: Option<u32>,
    pub(crate) configuration: Vec<(&'static str, String)>,
}

impl Route {
    /// The topic, when it is one.
    pub(crate) fn single(&self) -> Option<String> {
        self.literal.is_some().then(|| self.topic.to_string())
    }

    /// What to subscribe to: a topic, or a regular expression, which begins with `^`.
    pub(crate) fn subscription(&self) -> String {
        if let Some(topic) = self.single() {
            return topic;
        }
        let levels = matches!(self.topic.separator(), Some('.'));
        let mut regex = String::from("^");
        for part in self.topic.parts() {
            match part {
                Part::Literal(text) => {
                    for c in text.chars() {
                        if !c.is_ascii_alphanumeric() && c != '_' && c != '-' {
                            regex.push('\\');
                        }
                        regex.push(c);
                    }
                }
                Part::Parameter(_) => regex.push_str(if levels { "[^.]+" } else { ".+" }),
            }
        }
        regex + "$"
    }
}

/// All channels of a consumer, and the way of every address.
#[derive(Debug)]
pub(crate) struct Routes {
    /// The most specific first.
    all: Vec<Route>,
}

/// What a topic turned out to be.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// It is for the application, with the document's address.
    Address(&'a Route, ByteString),
    /// The dead letters of a channel, which its pattern takes too.
    DeadLetters,
    /// A subscription takes it, no pattern does.
    Nothing,
}

/// The way of sends, and of channels to routes.
#[derive(Debug)]
pub(crate) struct Topics {
    mapping: Mapping,
    aliases: Vec<Alias>,
}

impl Topics {
    /// `exceptions` are pairs of address (or channel name) and topic; `channels` may name topics in their bindings, too.
    pub(crate) fn new(
        channels: &[&ChannelInfo],
        mapping: Mapping,
        exceptions: &[(String, String)],
    ) -> Result<Self> {
        let mut aliases = exceptions
            .iter()
            .map(|(address, topic)| {
                let named = channels.iter().find(|channel| channel.name == address);
                Alias::parse(named.map_or(address, |channel| &channel.address), topic)
            })
            .collect::<Result<Vec<_>>>()?;
        for channel in channels {
            let Some(topic) = channel.typed::<Kafka>()?.topic else { continue };
            if topic != channel.address {
                aliases.push(Alias::parse(&channel.address, &topic)?);
            }
        }
        Ok(Self { mapping, aliases })
    }

    /// The topic that a send to `address` goes to.
    pub(crate) fn topic(&self, address: &ByteString) -> Result<ByteString, String> {
        let topic = match self.aliases.iter().find_map(|alias| alias.to_name(address)) {
            Some(topic) => topic,
            // Most often the same text, which needs no second copy.
            None => {
                let topic = self.mapping.topic(address);
                if topic == **address {
                    check(address)?;
                    return Ok(address.clone());
                }
                topic
            }
        };
        check(&topic)?;
        Ok(topic.into())
    }

    /// The routes of `channels`, which are indexes into `all`.
    pub(crate) fn routes<'a>(
        &self,
        channels: impl IntoIterator<Item = (usize, &'a ChannelInfo)>,
        dead_letters_elsewhere: bool,
    ) -> Result<Routes> {
        let mut routes = Vec::new();
        for (index, channel) in channels {
            let config =
                |error: &dyn fmt::Display| Error::Config(format!("channel `{}`: {error}", channel.name));
            let pattern = Pattern::parse(&channel.address).map_err(|error| config(&error))?;
            let alias = self.aliases.iter().find(|alias| *alias.address() == pattern).cloned();
            let topic = match &alias {
                Some(alias) => alias.name().clone(),
                None => {
                    Pattern::parse(&self.mapping.topic(&channel.address)).map_err(|error| config(&error))?
                }
            };
            for part in topic.parts() {
                if let Part::Literal(text) = part {
                    check_bytes(text).map_err(|error| config(&error))?;
                }
            }
            let literal = pattern.parameters().next().is_none();
            if literal {
                check(&topic.to_string()).map_err(|error| config(&error))?;
            }
            let binding = channel.typed::<Kafka>()?;
            routes.push(Route {
                name: channel.name,
                literal: literal.then(|| ByteString::from(channel.address.as_ref())),
                channel: channel.address.to_string(),
                pattern,
                topic,
                alias,
                dead_letters_beside: !dead_letters_elsewhere && channel.dead_letter.is_none(),
                index,
                partitions: binding.partitions,
                replicas: binding.replicas,
                configuration: binding.topic_configuration.map(configuration).unwrap_or_default(),
            });
        }
        // A literal beats a pattern; among patterns, the one with more literal text.
        routes.sort_by_key(|route| {
            let literals = route.pattern.parts().iter().map(|part| match part {
                Part::Literal(text) => text.chars().count(),
                Part::Parameter(_) => 0,
            });
            (route.literal.is_none(), Reverse(literals.sum::<usize>()))
        });
        Ok(Routes { all: routes })
    }

    /// The document's address of a topic.
    pub(crate) fn address<'r>(&self, routes: &'r Routes, topic: &str) -> Found<'r> {
        for route in &routes.all {
            let address = match (&route.literal, &route.alias) {
                (Some(literal), _) if route.topic.matches(topic) => literal.clone(),
                (Some(_), _) => continue,
                (None, Some(alias)) => match alias.to_address(topic) {
                    Some(address) => address.into(),
                    None => continue,
                },
                (None, None) => {
                    let address = self.mapping.address(topic, &route.channel);
                    if !route.pattern.matches(&address) {
                        continue;
                    }
                    address.into()
                }
            };
            if route.dead_letters_beside
                && route.literal.is_none()
                && address.strip_suffix(DEAD).is_some_and(|original| route.pattern.matches(original))
            {
                return Found::DeadLetters;
            }
            return Found::Address(route, address);
        }
        Found::Nothing
    }
}

impl Routes {
    /// All of them.
    pub(crate) fn all(&self) -> &[Route] {
        &self.all
    }
}

/// As Kafka names it.
fn configuration(from: TopicConfiguration) -> Vec<(&'static str, String)> {
    let number = |number: Option<i64>| number.map(|number| number.to_string());
    let flag = |flag: Option<bool>| flag.map(|flag| flag.to_string());
    [
        ("cleanup.policy", from.cleanup_policy.map(|policies| policies.join(","))),
        ("retention.ms", number(from.retention_ms)),
        ("retention.bytes", number(from.retention_bytes)),
        ("delete.retention.ms", number(from.delete_retention_ms)),
        ("max.message.bytes", number(from.max_message_bytes)),
        ("confluent.key.schema.validation", flag(from.confluent_key_schema_validation)),
        ("confluent.key.subject.name.strategy", from.confluent_key_subject_name_strategy),
        ("confluent.value.schema.validation", flag(from.confluent_value_schema_validation)),
        ("confluent.value.subject.name.strategy", from.confluent_value_subject_name_strategy),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

fn check_bytes(topic: &str) -> Result<(), String> {
    match topic.chars().find(|c| !u8::try_from(*c).is_ok_and(is_legal)) {
        Some(c) => {
            Err(format!("`{topic}` is no topic: Kafka allows letters, digits, `.`, `_` and `-`, not {c:?}"))
        }
        None => Ok(()),
    }
}

fn check(topic: &str) -> Result<(), String> {
    if topic.is_empty() || topic == "." || topic == ".." || topic.len() > 249 {
        return Err(format!(
            "`{topic}` is no topic: Kafka wants 1 to 249 bytes that are not just `.` or `..`"
        ));
    }
    check_bytes(topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(exceptions: &[(&str, &str)]) -> Topics {
        let exceptions: Vec<_> = exceptions.iter().map(|(a, t)| ((*a).to_owned(), (*t).to_owned())).collect();
        Topics::new(&[], Mapping::dots(), &exceptions).unwrap()
    }

    fn routes(topics: &Topics, addresses: &[&'static str]) -> Routes {
        let channels: Vec<_> = addresses.iter().map(|a| ChannelInfo::new(a, *a)).collect();
        topics.routes(channels.iter().enumerate(), false).unwrap()
    }

    fn found(topics: &Topics, routes: &Routes, topic: &str) -> Option<String> {
        match topics.address(routes, topic) {
            Found::Address(_, address) => Some(address.to_string()),
            _ => None,
        }
    }

    #[test]
    fn every_value_comes_back() {
        let topics = topics(&[]);
        for text in ["user.{id}.events", "lamps/{id}/on", "x/{id}", "{id}", "a:{id}"] {
            let routes = routes(&topics, &[text]);
            let pattern = Pattern::parse(text).unwrap();
            for value in
                ["1", "a.b", "a/b", "50%", "%41", "a_b", "_x41", "__x4_x5Fx", "dlq", "ü x", "a:b", "a@b"]
            {
                let address = pattern.format(&[value]);
                let topic = topics.topic(&ByteString::from(address.as_str())).unwrap();
                assert_eq!(found(&topics, &routes, &topic), Some(address), "{value} as {topic}");
            }
        }
    }

    #[test]
    fn subscriptions_are_topics_or_expressions() {
        let topics = topics(&[("mail.{to}", "mail_{to}")]);
        let routes =
            routes(&topics, &["user.created", "user.{id}.events", "lamps/{id}/on", "mail.{to}", "{any}"]);
        let mut all: Vec<_> = routes.all().iter().map(Route::subscription).collect();
        all.sort_unstable();
        assert_eq!(
            all,
            ["^.+$", "^lamps\\.[^.]+\\.on$", "^mail_.+$", "^user\\.[^.]+\\.events$", "user.created"]
        );
        assert_eq!(found(&topics, &routes, "mail_ada").as_deref(), Some("mail.ada"));
        assert_eq!(topics.topic(&"mail.ada".into()).unwrap(), "mail_ada");
    }

    #[test]
    fn dead_letters_do_not_come_round() {
        let topics = topics(&[]);
        assert_eq!(topics.topic(&"lamps/7.dlq".into()).unwrap(), "lamps.7.dlq");
        let slashes = routes(&topics, &["lamps/{id}"]);
        assert!(matches!(topics.address(&slashes, "lamps.7.dlq"), Found::DeadLetters));
        assert_eq!(found(&topics, &slashes, "lamps.7").as_deref(), Some("lamps/7"));
        let any = routes(&topics, &["{any}"]);
        assert!(matches!(topics.address(&any, "x.dlq"), Found::DeadLetters));
        assert_eq!(found(&topics, &any, "x").as_deref(), Some("x"));
    }

    #[test]
    fn what_no_topic_can_be_is_refused() {
        let topics = Topics::new(&[], Mapping::as_is(), &[]).unwrap();
        for address in ["", ".", "a/b", "ü", &"x".repeat(250)] {
            assert!(topics.topic(&address.into()).is_err(), "{address}");
        }
        let channel = ChannelInfo::new("a", "a/{b}");
        let error = topics.routes([(0, &channel)], false).unwrap_err().to_string();
        assert!(error.contains("channel `a`") && error.contains("'/'"), "{error}");
    }
}
