//! What a crate has for AWS Lambda: which events come from where, and what the function may send to.
//!
//! One source an address: of the servers that a channel is on, AWS's own come first, in the order of the document. A queue belongs to
//! who receives from it, so the template makes it; topics, clusters and streams belong to others, and are parameters.

use std::{collections::BTreeSet, fmt::Write as _};

use serde::Serialize;
use serde_json::Value;

use super::view::variable;
use crate::{
    ir::{Api, Channel, Server},
    settings::Settings,
};

/// What Lambda gets events from.
struct Known {
    /// What documents call it.
    protocol: &'static str,
    /// What templates call it.
    kind: &'static str,
    /// The feature that sends there.
    feature: Option<&'static str>,
    /// Whether it is AWS's own.
    is_aws: bool,
}

const fn known(
    protocol: &'static str,
    kind: &'static str,
    feature: Option<&'static str>,
    is_aws: bool,
) -> Known {
    Known { protocol, kind, feature, is_aws }
}

const SOURCES: &[Known] = &[
    known("sqs", "sqs", Some("sqs"), true),
    known("sns", "sns", Some("sqs"), true),
    known("eventbridge", "eventbridge", None, true),
    known("kinesis", "kinesis", None, true),
    known("dynamodb", "dynamodb", None, true),
    known("kafka", "kafka", Some("kafka"), false),
    known("kafka-secure", "kafka", Some("kafka"), false),
];

/// What templates see as `lambda`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Lambda {
    /// Features of the crate that the binary is built with.
    features: Vec<&'static str>,
    sources: Vec<Source>,
    /// The kinds of all sources.
    kinds: BTreeSet<&'static str>,
    /// Whether a source leaves something open, which is a parameter.
    open: bool,
    /// Whether Lambda is to put what the function has failed at into a queue: the queues of SQS do it themselves.
    gives_up: bool,
    /// Names of queues that the function sends to, `*` where the document leaves something open.
    sends: Vec<String>,
    /// Whether a question may name any queue for its answer.
    replies: bool,
    /// Queues of messages that are given up.
    dead_letters: Vec<DeadLetters>,
}

/// Where events come from.
#[derive(Debug, Serialize)]
struct Source {
    /// Letters and digits, unique in the template.
    id: String,
    /// `sqs`, `sns`, `eventbridge`, `kinesis`, `dynamodb` or `kafka`.
    kind: &'static str,
    /// The channel as the document writes it: its address, or its key where that is given at run time.
    shown: String,
    /// The address; none where it has parameters, or is given at run time.
    address: Option<String>,
    /// The environment variable that gives the address.
    variable: Option<String>,
    /// The queue that is made; none where the document does not say which.
    queue: Option<Queue>,
}

/// A queue that is made.
#[derive(Debug, Serialize)]
struct Queue {
    name: String,
    fifo: bool,
    /// Where its messages go when they are given up, by its id in the template.
    dead_letters: String,
}

/// A queue of messages that are given up.
#[derive(Debug, Serialize)]
struct DeadLetters {
    id: String,
    /// None where nobody sends there by name.
    name: Option<String>,
    fifo: bool,
}

impl Lambda {
    /// None where nobody wants it: neither the document, by a server of AWS's, nor the settings.
    pub(super) fn of(api: &Api, settings: &Settings) -> Option<Self> {
        let is_aws = |name: &str| SOURCES.iter().any(|known| known.is_aws && known.protocol == name);
        if !settings.lambda && !api.servers.iter().any(|server| is_aws(&server.protocol)) {
            return None;
        }
        let mut lambda = Self { features: vec!["lambda"], ..Self::default() };
        let (mut addresses, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for (index, channel) in api.channels.iter().enumerate() {
            let Some(handler) = &channel.handler else { continue };
            let Some(known) = source(api, &channel.servers) else { continue };
            lambda.needs(known.feature);
            if known.kind == "sqs" {
                lambda.sends_to(channel.policy.dead_letter.as_deref());
                for reply in handler.methods.iter().filter_map(|method| method.reply.as_ref()) {
                    lambda.replies |= reply.location.is_some();
                    lambda.sends_to(reply.address.as_deref());
                }
            }
            if channel.address.as_ref().is_some_and(|address| !addresses.insert(address)) {
                continue;
            }
            let mut id = identifier(&channel.field);
            if id.is_empty() || !ids.insert(id.to_lowercase()) {
                id = format!("Channel{index}");
            }
            lambda.sources.push(Source::of(channel, id, known.kind));
        }
        for send in &api.sends {
            let Some(channel) = api.channels.get(send.channel) else { continue };
            let Some(known) = source(api, &channel.servers) else { continue };
            lambda.needs(known.feature);
            if known.kind == "sqs" {
                lambda.sends.push(queue_name(channel).unwrap_or_else(|| open(channel.address.as_deref())));
            }
        }
        lambda.sends.sort();
        lambda.sends.dedup();
        lambda.gives_up(api);
        Some(lambda)
    }

    /// Says where every queue's messages go when they are given up: where the document says, or to one queue of all.
    fn gives_up(&mut self, api: &Api) {
        let letters = |source: &Source| {
            let channels = api.channels.iter().filter(|channel| channel.handler.is_some());
            let mut named = channels.filter_map(|channel| {
                let shown = channel.address.as_ref().unwrap_or(&channel.key);
                channel.policy.dead_letter.as_deref().filter(|_| *shown == source.shown)
            });
            named.next().map(name_of)
        };
        let made: Vec<(String, String)> = self
            .sources
            .iter()
            .filter_map(|source| Some((source.queue.as_ref()?.name.clone(), format!("{}Queue", source.id))))
            .collect();
        let targets: BTreeSet<String> = self.sources.iter().filter_map(letters).collect();
        for source in &mut self.sources {
            let named = letters(source);
            let Some(queue) = &mut source.queue else { continue };
            // A FIFO queue gives up to FIFO queues alone, and others to others.
            let named = named.filter(|name| is_fifo(name) == queue.fifo);
            // Queues that give up to each other cannot be made, so what is given up a second time goes to the queue of all.
            let own = made.iter().find(|(name, _)| Some(name) == named.as_ref());
            let named = named.filter(|_| own.is_none() || !targets.contains(&queue.name));
            if let Some((_, id)) = own.filter(|_| named.is_some()) {
                queue.dead_letters.clone_from(id);
                continue;
            }
            let known =
                self.dead_letters.iter().find(|known| known.name == named && known.fifo == queue.fifo);
            queue.dead_letters = match (known, &named) {
                (Some(known), _) => known.id.clone(),
                (None, Some(_)) => format!("{}DeadLetters", source.id),
                (None, None) => (if queue.fifo { "DeadLettersFifo" } else { SHARED }).to_owned(),
            };
            if known.is_none() {
                let (id, fifo) = (queue.dead_letters.clone(), queue.fifo);
                self.dead_letters.push(DeadLetters { id, name: named, fifo });
            }
        }
        self.kinds = self.sources.iter().map(|source| source.kind).collect();
        self.open = self.sources.iter().any(|source| source.queue.is_none());
        self.gives_up = self.kinds.iter().any(|kind| *kind != "sqs");
        if self.gives_up && self.dead_letters.iter().all(|known| known.id != SHARED) {
            self.dead_letters.push(DeadLetters { id: SHARED.to_owned(), name: None, fifo: false });
        }
    }

    fn needs(&mut self, feature: Option<&'static str>) {
        self.features.extend(feature.filter(|feature| !self.features.contains(feature)));
    }

    fn sends_to(&mut self, address: Option<&str>) {
        self.sends.extend(address.map(|address| open(Some(address))));
    }
}

/// The queue that all share who name none.
const SHARED: &str = "DeadLetters";

impl Source {
    fn of(channel: &Channel, id: String, kind: &'static str) -> Self {
        let address = channel.address.clone().filter(|_| channel.parameters.is_none());
        let queue = queue_name(channel).filter(|_| kind == "sqs").map(|name| Queue {
            fifo: is_fifo(&name),
            dead_letters: String::new(),
            name,
        });
        Self {
            id,
            kind,
            shown: channel.address.clone().unwrap_or_else(|| channel.key.clone()),
            address,
            variable: channel.address.is_none().then(|| variable(channel)),
            queue,
        }
    }
}

/// Where a channel's events come from, by the servers it is on; all of them where it names none. Queues, where Lambda is asked for by
/// a document that has no server it knows.
fn source(api: &Api, servers: &[String]) -> Option<&'static Known> {
    let known = |server: &Server| SOURCES.iter().find(|known| known.protocol == server.protocol);
    if !api.servers.iter().any(|server| known(server).is_some()) {
        return SOURCES.first();
    }
    let on = api.servers.iter().filter(|server| servers.is_empty() || servers.contains(&server.key));
    let on: Vec<_> = on.filter_map(known).collect();
    on.iter().find(|known| known.is_aws).or(on.first()).copied()
}

/// The name of a channel's queue; none where the address is open.
fn queue_name(channel: &Channel) -> Option<String> {
    let bindings = channel.bindings.iter().find(|binding| binding.protocol == "sqs");
    let binding: Option<Value> = bindings.and_then(|binding| serde_json::from_str(&binding.json).ok());
    let queue = binding.as_ref().and_then(|binding| binding.get("queue"));
    let named = queue.and_then(|queue| queue.get("name")?.as_str()).map(str::to_owned);
    let address = channel.address.as_deref().filter(|_| channel.parameters.is_none());
    let name = named.or_else(|| address.map(name_of))?;
    let fifo = queue.and_then(|queue| queue.get("fifoQueue")?.as_bool()).unwrap_or_default();
    Some(if fifo && !is_fifo(&name) { format!("{name}.fifo") } else { name })
}

/// What SQS demands of the name of a FIFO queue.
fn is_fifo(name: &str) -> bool {
    name.strip_suffix(".fifo").is_some()
}

/// The names of queues of an address that may have parameters.
fn open(address: Option<&str>) -> String {
    let Some(mut rest) = address else { return "*".to_owned() };
    let mut name = String::new();
    while let Some((literal, behind)) = rest.split_once('{') {
        name.extend([name_of(literal).as_str(), "*"]);
        rest = behind.split_once('}').map_or("", |(_, behind)| behind);
    }
    name + &name_of(rest)
}

/// The name of an address's queue, as `amgi_sqs::Mapping::names` gives it.
fn name_of(address: &str) -> String {
    let (body, ending) = match address.strip_suffix(".fifo") {
        Some(body) if !body.is_empty() => (body, ".fifo"),
        _ => (address, ""),
    };
    let bytes = body.as_bytes();
    let plain = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
    let mut name = String::with_capacity(address.len());
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            byte if byte.is_ascii_alphanumeric() => name.push(char::from(*byte)),
            b'-' | b'_' if plain(at.checked_sub(1)) && plain(Some(at + 1)) => name.push(char::from(*byte)),
            b'.' => name.push_str("--"),
            b'/' => name.push_str("__"),
            byte => {
                // Writing to a string does not fail.
                let _ = write!(name, "_-{byte:02X}-_");
            }
        }
    }
    name + ending
}

/// `user_created` as AWS wants ids in templates: `UserCreated`. Letters beyond ASCII are left out.
fn identifier(field: &str) -> String {
    let word = |word: &str| {
        let letters: String = word.chars().filter(char::is_ascii_alphanumeric).collect();
        let first = letters.get(..1).unwrap_or_default().to_ascii_uppercase();
        first + letters.get(1..).unwrap_or_default()
    };
    field.trim_start_matches("r#").split('_').map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_named_as_the_server_names_them() {
        for (address, name) in [
            ("user.created", "user--created"),
            ("lamps/7/on", "lamps__7__on"),
            ("orders-eu_1.fifo", "orders-eu_1.fifo"),
            ("a--b", "a_-2D-__-2D-_b"),
            ("ü", "_-C3-__-BC-_"),
        ] {
            assert_eq!(name_of(address), name);
        }
        assert_eq!(open(Some("user.{userId}.events.{kind}")), "user--*--events--*");
        assert_eq!(open(None), "*");
    }

    #[test]
    fn identifiers_are_cloudformations() {
        assert_eq!(identifier("user_created"), "UserCreated");
        assert_eq!(identifier("r#type"), "Type");
        assert_eq!(identifier("größe_2"), "Gre2");
        assert_eq!(identifier("日本"), "");
    }
}
