//! The queues of channels, and the queue or topic of every address that is sent to.
//!
//! What must hold: SQS has no wildcards, so a channel with parameters is received from the queues of the addresses that are
//! given for it, and a scope carries such an address.

use amgi::{
    ByteString, ChannelInfo, Error, Result,
    address::{Alias, Pattern},
    bindings::{Sns, Sqs, sqs},
};

use crate::{
    link::named,
    place::{Mapping, Place},
};

/// What the builder and the command line say of addresses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    pub(crate) mapping: Mapping,
    /// Address or name of a channel, and its queue or topic.
    pub(crate) queues: Vec<(String, String)>,
    /// Name of a channel or its address, and the addresses that it has.
    pub(crate) addresses: Vec<(String, Vec<String>)>,
}

/// A queue that is received from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) address: ByteString,
    pub(crate) place: Place,
    /// What the document says of the queue.
    pub(crate) wanted: sqs::Queue,
    /// Whether it gets messages of SNS in envelopes.
    pub(crate) enveloped: bool,
    /// It is this process' own, and goes with it.
    pub(crate) own: bool,
}

/// A channel that is received from, and its queues.
#[derive(Debug, Clone)]
pub(crate) struct Receives {
    pub(crate) channel: ChannelInfo,
    pub(crate) sources: Vec<Source>,
}

/// Where everything goes.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    mapping: Mapping,
    aliases: Vec<Alias>,
}

impl Routes {
    /// The queues and topics of addresses, and the channels that are received from.
    pub(crate) fn new<'a>(
        channels: impl IntoIterator<Item = &'a ChannelInfo>,
        said: &Said,
    ) -> Result<(Self, Vec<Receives>)> {
        let channels: Vec<_> = channels.into_iter().collect();
        let mut routes = Self { mapping: said.mapping.clone(), aliases: Vec::new() };
        let mut problems = Vec::new();
        for (address, queue) in &said.queues {
            let named = channels.iter().find(|channel| channel.name == address);
            routes.aliases.push(Alias::parse(named.map_or(address, |channel| &channel.address), queue)?);
        }
        let mut wanted = Vec::new();
        for channel in &channels {
            let queue = document(channel)?;
            if let Some(name) = &queue.name {
                // What the builder says of the address comes first.
                routes.aliases.push(Alias::parse(&channel.address, name)?);
            }
            wanted.push(queue);
        }
        for (name, _) in &said.addresses {
            if !channels.iter().any(|channel| channel.name == name || channel.address == **name) {
                problems.push(format!(
                    "addresses are given for `{name}`, and nothing is received from such a channel"
                ));
            }
        }
        let receives = channels
            .iter()
            .zip(wanted)
            .map(|(channel, queue)| routes.receive(channel, &queue, said, &mut problems))
            .collect::<Result<Vec<_>>>()?;
        if problems.is_empty() { Ok((routes, receives)) } else { Err(Error::Config(problems.join("; "))) }
    }

    fn receive(
        &self,
        channel: &ChannelInfo,
        queue: &Queue,
        said: &Said,
        problems: &mut Vec<String>,
    ) -> Result<Receives> {
        let pattern = Pattern::parse(&channel.address)
            .map_err(|error| Error::Config(format!("channel `{}`: {error}", channel.name)))?;
        let given =
            said.addresses.iter().filter(|(name, _)| channel.name == name || channel.address == **name);
        let mut addresses: Vec<&str> =
            given.flat_map(|(_, addresses)| addresses).map(String::as_str).collect();
        let mut receives = Receives { channel: channel.clone(), sources: Vec::new() };
        if addresses.is_empty() {
            if pattern.parameters().next().is_some() {
                problems.push(format!(
                    "channel `{name}` has parameters (`{address}`), and SQS has no wildcards: say which \
                     addresses there are, with `.addresses(\"{name}\", […])` or `--addresses {name}=ADDRESS,…`",
                    name = channel.name,
                    address = channel.address,
                ));
                return Ok(receives);
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
            let place = self.place(address);
            let problem = match &place {
                Place::Topic(arn) => {
                    Some(format!("`{arn}` is a topic: messages of SNS are received from a queue").into())
                }
                place => place.problem(),
            };
            if let Some(problem) = problem {
                problems.push(format!("channel `{}`: {problem}", channel.name));
                continue;
            }
            let source = Source {
                address: address.into(),
                place,
                wanted: queue.wanted.clone(),
                enveloped: queue.enveloped,
                own: channel.replies && channel.name == "amgi.reply",
            };
            if !receives.sources.iter().any(|other| other.place == source.place) {
                receives.sources.push(source);
            }
        }
        Ok(receives)
    }

    /// The queue or topic of an address, which may itself be a URL or an ARN.
    pub(crate) fn place(&self, address: &str) -> Place {
        if let Some(name) = self.aliases.iter().find_map(|alias| alias.to_name(address)) {
            return Place::parse(&name).unwrap_or(Place::Name(name));
        }
        Place::parse(address).unwrap_or_else(|| Place::Name(self.mapping.name(address)))
    }
}

/// What the document says of a channel's queue.
struct Queue {
    name: Option<String>,
    wanted: sqs::Queue,
    enveloped: bool,
}

fn document(channel: &ChannelInfo) -> Result<Queue> {
    let wanted = channel.typed::<Sqs>()?.queue.unwrap_or_default();
    let fifo = wanted.fifo_queue.unwrap_or(false);
    let mut queue =
        Queue { name: wanted.name.as_deref().map(|name| self::named(name, fifo)), wanted, enveloped: false };
    if queue.name.is_none() && fifo && channel.address.strip_suffix(".fifo").is_none() {
        return Err(Error::Config(format!(
            "channel `{}`: its queue is a FIFO queue, so its address or the `name` in its binding must end in `.fifo`",
            channel.name
        )));
    }
    for operation in channel.operations {
        for consumer in operation.typed::<Sns>()?.consumers.unwrap_or_default() {
            let (Some("sqs"), Some(endpoint)) = (consumer.protocol.as_deref(), consumer.endpoint) else {
                continue;
            };
            queue.enveloped = !consumer.raw_message_delivery.unwrap_or(false);
            if queue.name.is_none() {
                queue.name = endpoint.arn.or(endpoint.url).or(endpoint.name);
            }
        }
    }
    Ok(queue)
}

#[cfg(test)]
mod tests {
    use amgi::{BindingInfo, OperationInfo};

    use super::*;

    fn routes(channels: &[ChannelInfo], said: &Said) -> Result<(Routes, Vec<Receives>)> {
        Routes::new(channels, said)
    }

    fn places(receives: &[Receives]) -> Vec<(String, String)> {
        let all = receives.iter().flat_map(|receives| &receives.sources);
        all.map(|source| (source.address.to_string(), source.place.to_string())).collect()
    }

    #[test]
    fn queues_need_their_addresses() {
        let channels = ["user.{id}", "lamp.{id}", "plain"].map(|address| ChannelInfo::new(address, address));
        let error = routes(&channels, &Said::default()).unwrap_err().to_string();
        assert!(error.contains("`user.{id}`") && error.contains("`lamp.{id}`"), "all at once: {error}");
        assert!(error.contains("--addresses user.{id}=ADDRESS"), "{error}");
        let said = Said {
            addresses: vec![("user.{id}".into(), vec!["user.1".into(), "user.2".into()])],
            mapping: Mapping::prefix("p-"),
            ..Said::default()
        };
        let (_, receives) = routes(&[channels[0].clone(), channels[2].clone()], &said).unwrap();
        let expected = [("user.1", "p-user--1"), ("user.2", "p-user--2"), ("plain", "p-plain")];
        assert_eq!(places(&receives), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        let wrong = Said { addresses: vec![("user.{id}".into(), vec!["lamp.1".into()])], ..Said::default() };
        assert!(routes(&channels[..1], &wrong).is_err());
    }

    #[test]
    fn the_builder_is_over_the_document() {
        let bindings: &'static [BindingInfo] =
            &[BindingInfo { protocol: "sqs", json: r#"{"queue":{"name":"orders","fifoQueue":true}}"# }];
        let channel = ChannelInfo { bindings, ..ChannelInfo::new("orders", "order.new") };
        let (made, receives) = routes(std::slice::from_ref(&channel), &Said::default()).unwrap();
        assert_eq!(places(&receives), [("order.new".to_owned(), "orders.fifo".to_owned())]);
        assert_eq!(made.place("order.new"), Place::Name("orders.fifo".into()));
        let said = Said {
            queues: vec![
                ("orders".into(), "https://x/1/q".into()),
                ("news.{id}".into(), "arn:aws:sns:r:1:{id}".into()),
            ],
            ..Said::default()
        };
        let (made, receives) = routes(&[channel], &said).unwrap();
        assert_eq!(receives[0].sources[0].place, Place::Url("https://x/1/q".into()));
        assert_eq!(made.place("news.7"), Place::Topic("arn:aws:sns:r:1:7".into()));
        assert_eq!(made.place("arn:aws:sqs:r:1:q"), Place::Arn { account: "1".into(), name: "q".into() });
    }

    #[test]
    fn the_queue_of_a_topic_is_in_its_binding() {
        let bindings: &'static [BindingInfo] = &[BindingInfo {
            protocol: "sns",
            json: r#"{"consumers":[{"protocol":"sqs","endpoint":{"name":"inbox"},"rawMessageDelivery":false}]}"#,
        }];
        let operations: &'static [OperationInfo] =
            Box::leak(Box::new([OperationInfo { name: "receive", bindings, messages: &[] }]));
        let channel = ChannelInfo { operations, ..ChannelInfo::new("news", "news") };
        let (_, receives) = routes(&[channel], &Said::default()).unwrap();
        assert_eq!(places(&receives), [("news".to_owned(), "inbox".to_owned())]);
        assert!(receives[0].sources[0].enveloped);
    }

    #[test]
    fn a_name_that_is_too_long_is_an_error() {
        let channel = ChannelInfo::new("long", format!("a.{}", "b".repeat(80)));
        assert!(routes(&[channel], &Said::default()).unwrap_err().to_string().contains("80"));
    }
}
