//! On the wire: operations, channels, messages, servers.

mod channels;
mod schemas;

use std::collections::HashSet;

use amgi_asyncapi::{
    diag::Span,
    model::{Action, Document, Id, Message, Operation, Server},
};

use super::{
    Change, Kind, Level, Subject, Version, bindings, kinds,
    pairs::{Pair, paired},
};
use crate::settings::Perspective;

/// Which way messages go, seen from the side that the code is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// Peers write, we read.
    In,
    /// We write, peers read.
    Out,
}

impl Flow {
    fn of(operation: &Operation, perspective: Perspective) -> Self {
        match (operation.action, perspective) {
            (Action::Receive, Perspective::Application) | (Action::Send, Perspective::Peer) => Self::In,
            _ => Self::Out,
        }
    }

    fn back(self) -> Self {
        match self {
            Self::In => Self::Out,
            Self::Out => Self::In,
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::In => "receive",
            Self::Out => "send",
        }
    }
}

/// The subject of an operation of either version.
pub(super) fn subject(version: Version<'_>, index: usize) -> Subject {
    let operation = &version.document.operations[index];
    let verb = Flow::of(operation, version.settings.perspective).verb();
    Subject::Operation(index, operation.key.clone(), verb)
}

pub(super) fn compare(old: Version<'_>, new: Version<'_>) -> Vec<Change> {
    let mut wire = Wire { old, new, subject: Subject::Document, changes: Vec::new() };
    wire.document();
    wire.changes
}

/// A place in each version.
type Spans = (Option<Span>, Option<Span>);

pub(super) struct Wire<'a> {
    old: Version<'a>,
    new: Version<'a>,
    /// What is being compared.
    subject: Subject,
    changes: Vec<Change>,
}

impl<'a> Wire<'a> {
    fn document(&mut self) {
        let pairs = self.operations();
        for (old, new) in &pairs {
            match (*old, *new) {
                (Some(old), Some(new)) => self.operation(old, new),
                (Some(old), None) => self.removed(old),
                (None, Some(new)) => self.added(new),
                (None, None) => {}
            }
        }
        self.channels(&pairs);
        self.servers();
    }

    /// Operations of both versions that are the same one: by their keys, else by what they do where. In the order of the new
    /// version, those that are gone behind it.
    fn operations(&self) -> Vec<Pair<usize>> {
        let (old, new) = (self.old.document, self.new.document);
        let place = |document: &'a Document, operation: &Operation| {
            let channel = &document[operation.channel];
            (operation.action, channel.address.clone().map_or_else(|| channel.key.clone(), |a| pattern(&a)))
        };
        let alone = |operation: &Operation, document: &'a Document| {
            let own = place(document, operation);
            document.operations.iter().filter(|other| place(document, other) == own).count() == 1
        };
        let indexes = |document: &Document| (0..document.operations.len()).collect::<Vec<_>>();
        let both = |one: usize, other: usize| (&old.operations[one], &new.operations[other]);
        paired(
            &indexes(old),
            &indexes(new),
            &[
                &|one, other| {
                    let (one, other) = both(one, other);
                    one.key == other.key
                },
                &|one, other| {
                    let (one, other) = both(one, other);
                    place(old, one) == place(new, other) && alone(one, old) && alone(other, new)
                },
            ],
        )
    }

    fn removed(&mut self, index: usize) {
        let Subject::Operation(_, key, verb) = subject(self.old, index) else { return };
        // Behind those of the new version.
        self.subject = Subject::Operation(self.new.document.operations.len() + index, key, verb);
        let operation = &self.old.document.operations[index];
        let text = match Flow::of(operation, self.old.settings.perspective) {
            Flow::In => "the operation is gone: what peers send is no longer handled",
            Flow::Out => "the operation is gone: nothing is sent to those who wait for it",
        };
        self.say(kinds::OPERATION_REMOVED, Level::Breaking, text, "", (Some(operation.span), None));
    }

    fn added(&mut self, index: usize) {
        self.subject = subject(self.new, index);
        let (old, new) = (self.old.document, self.new.document);
        let operation = &new.operations[index];
        let spans = (None, Some(operation.span));
        // Who reads from that address already does not know messages that are new there.
        let address = new[operation.channel].address.as_deref().map(pattern);
        let read: Vec<&Operation> = old
            .operations
            .iter()
            .filter(|other| Flow::of(other, self.old.settings.perspective) == Flow::Out)
            .filter(|other| {
                address.is_some() && old[other.channel].address.as_deref().map(pattern) == address
            })
            .collect();
        let known = |key: &str| read.iter().flat_map(|other| &other.messages).any(|id| old[*id].key == key);
        let unknown = operation.messages.iter().any(|id| !known(&new[*id].key));
        let sends = Flow::of(operation, self.new.settings.perspective) == Flow::Out;
        if sends && unknown && !read.is_empty() {
            let text =
                "the operation is new, and those who read from its address do not know all of its messages";
            self.say(kinds::OPERATION_ADDED, Level::Breaking, text, "", spans);
        } else {
            self.say(kinds::OPERATION_ADDED, Level::Compatible, "the operation is new", "", spans);
        }
    }

    fn operation(&mut self, old: usize, new: usize) {
        self.subject = subject(self.new, new);
        let (one, other) = (&self.old.document.operations[old], &self.new.document.operations[new]);
        let spans = (Some(one.span), Some(other.span));
        let flow = Flow::of(other, self.new.settings.perspective);
        let before = Flow::of(one, self.old.settings.perspective);
        if before != flow {
            let text =
                format!("the operation was one to {}, now it is one to {}", before.verb(), flow.verb());
            self.say(kinds::ACTION_CHANGED, Level::Breaking, text, "", spans);
            return;
        }
        if one.key != other.key {
            let text = format!("the operation was called `{}`", one.key);
            self.say(kinds::OPERATION_RENAMED, Level::Compatible, text, "", spans);
        }
        self.messages(&one.messages, &other.messages, flow, "message", spans);
        let bindings = (one.bindings.as_slice(), other.bindings.as_slice());
        bindings::compare(self, "operation", bindings, flow, spans);
        match (&one.reply, &other.reply) {
            (None, None) => {}
            (None, Some(reply)) => {
                let (level, text) = match flow {
                    Flow::In => (Level::Warning, "it is answered now: requests of peers may not say where"),
                    Flow::Out => (Level::Breaking, "it asks for a reply now, which peers do not send"),
                };
                self.say(kinds::REPLY_ADDED, level, text, "reply", (spans.0, Some(reply.span)));
            }
            (Some(reply), None) => {
                let (level, text) = match flow {
                    Flow::In => (Level::Breaking, "it is no longer answered, and peers wait for a reply"),
                    Flow::Out => (Level::Compatible, "it asks for no reply any more"),
                };
                self.say(kinds::REPLY_REMOVED, level, text, "reply", (Some(reply.span), spans.1));
            }
            (Some(one), Some(other)) => {
                let spans = (Some(one.span), Some(other.span));
                if one.address != other.address {
                    let text = moved(
                        "a request says where its reply goes",
                        one.address.as_ref(),
                        other.address.as_ref(),
                    );
                    self.say(kinds::REPLY_ADDRESS_CHANGED, Level::Breaking, text, "reply", spans);
                }
                self.messages(&one.messages, &other.messages, flow.back(), "reply", spans);
            }
        }
    }

    /// Messages of an operation or a reply.
    fn messages(&mut self, old: &[Id<Message>], new: &[Id<Message>], flow: Flow, role: &str, spans: Spans) {
        let (one, other) = (self.old.document, self.new.document);
        let pairs = messages(one, old, other, new);
        for (old, new) in pairs {
            match (old, new) {
                (Some(old), Some(new)) => self.message(old, new, flow, role),
                (Some(old), None) => {
                    let message = &one[old];
                    let (level, text) = match flow {
                        Flow::In => (Level::Breaking, "is no longer handled, and peers may send it"),
                        Flow::Out => (Level::Warning, "is no longer sent, and peers may wait for it"),
                    };
                    let text = format!("the {role} `{}` {text}", message.key);
                    let place = format!("{role} {}", message.key);
                    self.say(kinds::MESSAGE_REMOVED, level, text, &place, (Some(message.span), spans.1));
                }
                (None, Some(new)) => {
                    let message = &other[new];
                    let (level, text) = match flow {
                        Flow::In => (Level::Compatible, "is new"),
                        Flow::Out => (Level::Breaking, "is new, and those who read do not know it"),
                    };
                    let text = format!("the {role} `{}` {text}", message.key);
                    let place = format!("{role} {}", message.key);
                    self.say(kinds::MESSAGE_ADDED, level, text, &place, (spans.0, Some(message.span)));
                }
                (None, None) => {}
            }
        }
    }

    fn message(&mut self, old: Id<Message>, new: Id<Message>, flow: Flow, role: &str) {
        let (one, other) = (&self.old.document[old], &self.new.document[new]);
        let spans = (Some(one.span), Some(other.span));
        let name = format!("{role} {}", other.key);
        let (was, is) = (content_type(one), content_type(other));
        if was != is {
            let essence = |text: &str| text.split(';').next().unwrap_or_default().trim().to_owned();
            let level = if essence(&was) == essence(&is) { Level::Warning } else { Level::Breaking };
            let text = format!("the content type is `{is}`, was `{was}`");
            self.say(kinds::CONTENT_TYPE_CHANGED, level, text, &name, spans);
        }
        if one.correlation_id != other.correlation_id {
            let level = if one.correlation_id.is_none() { Level::Warning } else { Level::Breaking };
            let text =
                moved("the correlation id is", one.correlation_id.as_ref(), other.correlation_id.as_ref());
            self.say(kinds::CORRELATION_CHANGED, level, text, &name, spans);
        }
        self.schema("payload", &format!("{name}, payload"), (one.payload, other.payload), flow, spans);
        self.schema("headers", &format!("{name}, headers"), (one.headers, other.headers), flow, spans);
        let place = format!("{name}, binding");
        bindings::compare(self, &place, (&one.bindings, &other.bindings), flow, spans);
    }

    fn servers(&mut self) {
        let (old, new) = (self.old.document, self.new.document);
        let mut known = HashSet::new();
        for server in &new.servers {
            known.insert(&server.key);
            self.subject = Subject::Server(server.key.clone());
            match old.servers.iter().find(|one| one.key == server.key) {
                None => {
                    let spans = (None, Some(server.span));
                    self.say(kinds::SERVER_ADDED, Level::Compatible, "the server is new", "", spans);
                }
                Some(one) => self.server(one, server),
            }
        }
        for server in old.servers.iter().filter(|server| !known.contains(&server.key)) {
            self.subject = Subject::Server(server.key.clone());
            let text = "the server is gone: what peers do there is not seen";
            self.say(kinds::SERVER_REMOVED, Level::Breaking, text, "", (Some(server.span), None));
        }
    }

    fn server(&mut self, old: &Server, new: &Server) {
        let spans = (Some(old.span), Some(new.span));
        if old.protocol != new.protocol {
            let text = format!("the protocol is `{}`, was `{}`", new.protocol, old.protocol);
            self.say(kinds::SERVER_CHANGED, Level::Breaking, text, "protocol", spans);
        }
        let security = |server: &Server| format!("{:?}", names(server));
        let variables = |server: &Server| {
            let all = server.variables.iter();
            all.map(|v| format!("{}={:?}{:?}", v.name, v.default, v.values)).collect::<Vec<_>>().join(",")
        };
        let facts = [
            ("scheme", old.scheme.clone(), new.scheme.clone()),
            ("host", Some(old.host.clone()), Some(new.host.clone())),
            ("pathname", old.pathname.clone(), new.pathname.clone()),
            ("protocolVersion", old.protocol_version.clone(), new.protocol_version.clone()),
        ];
        for (name, was, is) in facts.into_iter().filter(|(_, was, is)| was != is) {
            let text = moved(&format!("`{name}` is"), was.as_ref(), is.as_ref());
            self.say(kinds::SERVER_CHANGED, Level::Warning, text, name, spans);
        }
        if variables(old) != variables(new) {
            let text = "its variables have other values";
            self.say(kinds::SERVER_CHANGED, Level::Warning, text, "variables", spans);
        }
        if security(old) != security(new) {
            let text = "another way to authenticate is asked for";
            self.say(kinds::SERVER_CHANGED, Level::Warning, text, "security", spans);
        }
        let bindings = (old.bindings.as_slice(), new.bindings.as_slice());
        bindings::compare(self, "server", bindings, Flow::In, spans);
    }

    pub(super) fn say(
        &mut self,
        kind: Kind,
        level: Level,
        message: impl Into<String>,
        place: &str,
        (old, new): Spans,
    ) {
        let subject = self.subject.clone();
        let (message, place) = (message.into(), place.to_owned());
        self.changes.push(Change { kind, level, subject, message, place, hint: None, old, new });
    }
}

/// Messages of both versions that are the same one: by key, by name, and where only one is left on each side.
fn messages(
    one: &Document,
    old: &[Id<Message>],
    other: &Document,
    new: &[Id<Message>],
) -> Vec<Pair<Id<Message>>> {
    let mut pairs = paired(
        old,
        new,
        &[&|a, b| one[a].key == other[b].key, &|a, b| one[a].name.is_some() && one[a].name == other[b].name],
    );
    let alone: Vec<usize> = pairs
        .iter()
        .enumerate()
        .filter(|(_, pair)| pair.0.is_none() || pair.1.is_none())
        .map(|(at, _)| at)
        .collect();
    if let [come, gone] = alone.as_slice()
        && let ((None, Some(_)), (Some(message), None)) = (pairs[*come], pairs[*gone])
    {
        pairs[*come].0 = Some(message);
        pairs.remove(*gone);
    }
    pairs
}

/// An address without the names of its parameters.
fn pattern(address: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in address.chars() {
        match c {
            '{' => inside = true,
            '}' => out.push_str("{}"),
            c if !inside => out.push(c),
            _ => {}
        }
        inside &= c != '}';
    }
    out
}

/// Says where something is and was; either may be missing.
fn moved(what: &str, was: Option<&String>, is: Option<&String>) -> String {
    let shown = |text: Option<&String>| text.map_or_else(|| "nowhere".to_owned(), |text| format!("`{text}`"));
    format!("{what} {}, was {}", shown(is), shown(was))
}

fn content_type(message: &Message) -> String {
    message.content_type.as_deref().unwrap_or("application/json").to_ascii_lowercase().replace("; ", ";")
}

/// Schemes by kind and name.
fn names(server: &Server) -> Vec<Vec<(Option<&str>, &str)>> {
    let all = server.security.iter();
    all.map(|one| one.iter().map(|scheme| (scheme.name.as_deref(), scheme.kind.as_str())).collect()).collect()
}
