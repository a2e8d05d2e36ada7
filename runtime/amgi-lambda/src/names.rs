//! From what a queue, topic, stream or table is called to an address, and its channel.
//!
//! What must hold: a queue that `amgi-sqs` sends to, and a topic that `amgi-kafka` sends to, are the same address here.

use std::{borrow::Cow, fmt, sync::Arc};

use amgi::{
    Application, ByteString, ChannelInfo, ChannelMap, Error, Result,
    address::Alias,
    bindings::{Kafka, Sns, Sqs},
    server::aws,
};

use crate::event::Source;

/// How names at AWS become addresses; [`Mapping::names`] unless told otherwise.
///
/// ```
/// use amgi_lambda::Mapping;
///
/// let stage = Mapping::prefix("prod-");
/// let own = Mapping::new(|name| name.replace('_', "/"));
/// # let _ = (stage, own);
/// ```
#[derive(Clone)]
pub struct Mapping(Way);

#[derive(Clone)]
enum Way {
    /// As the other servers call things, behind a prefix.
    Names(String),
    Own(Arc<dyn Fn(&str) -> String + Send + Sync>),
}

impl Mapping {
    /// Names are addresses. A queue or topic of SNS that no channel is called like is read as `amgi-sqs` writes it: `user--created`
    /// is `user.created`, `lamps__7__on` is `lamps/7/on`; so is a topic of Kafka whose channel has slashes: `lamps.7.on`.
    pub fn names() -> Self {
        Self::prefix("")
    }

    /// The same behind a prefix, such as that of a stage: `prod-`.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        Self(Way::Names(prefix.into()))
    }

    /// A mapping of your own: `to_address` gets a name.
    pub fn new(to_address: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self(Way::Own(Arc::new(to_address)))
    }

    /// What the address may be, the likeliest first.
    fn addresses<'a>(&self, source: Source, name: &'a str) -> [Cow<'a, str>; 2] {
        let prefix = match &self.0 {
            Way::Names(prefix) => prefix,
            Way::Own(to_address) => {
                let address = to_address(name);
                return [address.clone().into(), address.into()];
            }
        };
        let name = name.strip_prefix(&**prefix).unwrap_or(name);
        match source {
            Source::Sqs | Source::Sns => [aws::queue_address(name).into(), name.into()],
            Source::Kafka => [name.into(), name.replace('.', "/").into()],
            Source::EventBridge | Source::Kinesis | Source::DynamoDb => [name.into(), name.into()],
        }
    }
}

impl Default for Mapping {
    fn default() -> Self {
        Self::names()
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").finish_non_exhaustive()
    }
}

/// An address, and the index of its channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) address: ByteString,
    pub(crate) channel: Option<usize>,
}

/// The addresses of everything.
#[derive(Debug)]
pub(crate) struct Names {
    mapping: Mapping,
    aliases: Vec<Alias>,
    map: ChannelMap,
    pub(crate) channels: Vec<ChannelInfo>,
    /// Of each channel, whether the document puts it on other servers only.
    elsewhere: Vec<bool>,
    /// Of each channel, whether SQS gives it messages of SNS in envelopes.
    enveloped: Vec<bool>,
}

impl Names {
    pub(crate) fn new<A: Application>(
        app: &A,
        server: Option<&str>,
        mapping: Mapping,
        said: &[(String, String)],
    ) -> Result<Self> {
        let known = |name: &str| {
            let found = app.servers().iter().find(|server| server.name == name);
            found.ok_or_else(|| Error::Config(format!("the document has no server `{name}`")))
        };
        let server = server.map(known).transpose()?;
        let channels = app.channels().to_vec();
        let elsewhere = channels.iter().map(|channel| !channel.is_on(server)).collect();
        let mut aliases = Vec::new();
        for (address, name) in said {
            let named = channels.iter().find(|channel| channel.name == address);
            aliases.push(Alias::parse(named.map_or(address, |channel| &channel.address), name)?);
        }
        let mut enveloped = Vec::new();
        for channel in &channels {
            let (names, is_enveloped) = document(channel)?;
            enveloped.push(is_enveloped);
            for name in names.iter().filter(|name| **name != channel.address) {
                aliases.push(Alias::parse(&channel.address, name)?);
            }
        }
        Ok(Self { mapping, aliases, map: ChannelMap::new(&channels), channels, elsewhere, enveloped })
    }

    /// The address of what has this name, or `arn`.
    pub(crate) fn find(&self, source: Source, name: &str, arn: &str) -> Found {
        let known = |address: &str| self.map.find(address);
        let mut aliases = self.aliases.iter();
        let alias = aliases.find_map(|alias| alias.to_address(arn).or_else(|| alias.to_address(name)));
        if let Some(address) = alias {
            return Found { channel: known(&address), address: address.into() };
        }
        let [likely, other] = self.mapping.addresses(source, name);
        let (address, channel) = match (known(&likely), known(&other)) {
            (None, Some(channel)) => (other, Some(channel)),
            (channel, _) => (likely, channel),
        };
        Found { address: address.into_owned().into(), channel }
    }

    /// Whether messages of the channel are for another server.
    pub(crate) fn is_elsewhere(&self, channel: Option<usize>) -> bool {
        channel.is_some_and(|channel| self.elsewhere[channel])
    }

    /// Whether the document says that messages of the channel are in envelopes.
    pub(crate) fn is_enveloped(&self, channel: Option<usize>) -> bool {
        channel.is_some_and(|channel| self.enveloped[channel])
    }
}

/// What the document calls a channel, and whether its messages come from SNS by way of SQS.
fn document(channel: &ChannelInfo) -> Result<(Vec<String>, bool)> {
    let mut names = Vec::new();
    let mut is_enveloped = false;
    if let Some(queue) = channel.typed::<Sqs>()?.queue {
        let is_fifo = queue.fifo_queue.unwrap_or(false);
        names.extend(queue.name.map(|name| match name.strip_suffix(".fifo") {
            None if is_fifo => name + ".fifo",
            _ => name,
        }));
    }
    names.extend(channel.typed::<Kafka>()?.topic);
    names.extend(channel.typed::<Sns>()?.name);
    for operation in channel.operations {
        let operation = operation.typed::<Sns>()?;
        names.extend(operation.topic.and_then(|topic| topic.arn.or(topic.name)));
        for consumer in operation.consumers.unwrap_or_default() {
            if consumer.protocol.as_deref() == Some("sqs") {
                is_enveloped = !consumer.raw_message_delivery.unwrap_or(false);
                names.extend(consumer.endpoint.and_then(|queue| queue.arn.or(queue.name)));
            }
        }
    }
    Ok((names, is_enveloped))
}
