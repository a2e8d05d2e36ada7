//! Document to IR: the only place that sees both.
//!
//! Names are claimed in the order of the document. Problems are collected; what can be lowered is lowered.

mod alternatives;
mod apart;
mod bindings;
mod bundle;
mod custom;
mod exact;
mod message;
mod operation;
mod parts;
mod policy;
mod route;
mod rules;
mod schema;
mod select;
mod shape;
mod typedefs;

use std::collections::{BTreeSet, HashSet};

use amgi_asyncapi::{
    diag::{Diagnostic, Diagnostics, Span},
    model::{Action, Channel, Document, Id, Message, Operation, Server},
    node::Node,
};

use self::{bindings::binding_json, shape::Shaper, typedefs::Types};
use crate::{
    codes, docs, ir,
    name::{Namer, pascal, snake},
    settings::{Perspective, Settings},
};

/// What the IR says about where it came from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Module name.
    pub name: String,
    /// File name of the document.
    pub source: String,
    /// Hex SHA-256 over everything that was read.
    pub digest: String,
}

/// Lowers a document as the settings ask.
pub fn lower<'d>(document: &'d Document, origin: Origin, settings: &'d Settings) -> (ir::Api, Diagnostics) {
    let mut lowering = Lowering {
        doc: document,
        perspective: settings.perspective,
        settings,
        shaper: Shaper::new(document, settings),
        names: Namer::types(),
        message_ids: Vec::new(),
        messages: Vec::new(),
        unions: Vec::new(),
        overlaps: BTreeSet::new(),
    };
    let api = lowering.run(origin);
    (api, lowering.shaper.diagnostics)
}

struct Lowering<'d> {
    doc: &'d Document,
    perspective: Perspective,
    settings: &'d Settings,
    shaper: Shaper<'d>,
    /// The module's own scope; `types` has another.
    names: Namer,
    /// Messages in use, in order of the document.
    message_ids: Vec<Id<Message>>,
    messages: Vec<ir::Message>,
    unions: Vec<ir::Union>,
    /// Pairs of messages, of which it was said that nothing tells them apart.
    overlaps: BTreeSet<(usize, usize)>,
}

impl<'d> Lowering<'d> {
    fn run(&mut self, origin: Origin) -> ir::Api {
        let doc = self.doc;
        for schema in &doc.schemas {
            rules::report(&schema.node, &mut self.shaper.diagnostics);
        }
        self.message_ids = used_messages(doc);
        let drafts: Vec<_> = self.message_ids.clone().into_iter().map(|id| self.draft(id)).collect();
        let used: HashSet<Id<Channel>> = doc.operations.iter().map(|op| op.channel).collect();
        let ids: Vec<Id<Channel>> =
            (0..doc.channels.len()).map(Id::new).filter(|id| used.contains(id)).collect();
        let parameter_sites: Vec<Vec<Option<String>>> =
            ids.iter().map(|&id| self.parameter_enums(&doc[id])).collect();
        let mut types = typedefs::types(&mut self.shaper, self.settings);
        for draft in &drafts {
            let message = self.message(draft, &types);
            self.messages.push(message);
        }
        let mut fields = Namer::members();
        let mut channels = Vec::new();
        for (&id, enums) in ids.iter().zip(&parameter_sites) {
            let channel = self.channel(id, enums, &mut fields, &mut types);
            channels.push(channel);
        }
        let mut methods = Namer::members();
        let mut sends = Vec::new();
        for operation in &doc.operations {
            if self.receives(operation) {
                continue;
            }
            if let Ok(channel) = ids.binary_search(&operation.channel) {
                sends.extend(self.send(operation, channel, &mut methods));
            }
        }
        let dispatch = self.routes(&channels, &ids, &types.defs);
        self.select_in_unions(&channels, &types.defs);
        self.content_types(&types.defs);
        let asks = sends.iter().any(|send: &ir::Send| send.reply.is_some());
        if dispatch.is_empty() && !asks {
            let (side, other) = match self.perspective {
                Perspective::Application => ("the application", "peer"),
                Perspective::Peer => ("the application's peer", "application"),
            };
            self.shaper.diagnostics.push(
                Diagnostic::warning(
                    codes::NO_HANDLERS,
                    doc.info.span,
                    format!("the document has nothing that {side} receives, so there is no handler to write"),
                )
                .help(format!("for the other side, use `--as {other}`")),
            );
        }
        ir::Api {
            name: origin.name,
            title: doc.info.title.clone(),
            version: doc.info.version.clone(),
            description: doc.info.description.clone(),
            source: origin.source,
            digest: origin.digest,
            document: String::new(),
            divided: self.settings.layout.split.divides(channels.len().max(self.messages.len())),
            servers: doc.servers.iter().map(|one| server(doc, one)).collect(),
            channels,
            messages: std::mem::take(&mut self.messages),
            unions: std::mem::take(&mut self.unions),
            sends,
            dispatch,
            types: types.defs,
        }
    }

    /// How the messages of unions are told apart. Requests were looked at with their address; of replies it is said here when
    /// nobody can.
    fn select_in_unions(&mut self, channels: &[ir::Channel], types: &[ir::TypeDef]) {
        let methods = channels.iter().filter_map(|channel| channel.handler.as_ref()).flat_map(|h| &h.methods);
        let replies: Vec<&String> = methods.filter_map(|m| m.reply.as_ref()).map(|r| &r.output).collect();
        let mut unions = std::mem::take(&mut self.unions);
        for union in &mut unions {
            union.select = self.select(&union.messages, types, replies.contains(&&union.name));
        }
        self.unions = unions;
    }

    /// Marks the messages that only their content type tells from others of their channel, whoever receives them.
    fn content_types(&mut self, types: &[ir::TypeDef]) {
        for channel in &self.doc.channels {
            let ids = self.message_ids.iter().enumerate();
            let used = ids.filter(|(_, id)| channel.messages.iter().any(|(_, other)| other == *id));
            let used: Vec<usize> = used.map(|(index, _)| index).collect();
            let select = self.select(&used, types, false);
            if let Some(key) = select.keys.iter().position(|key| *key == ir::Key::ContentType) {
                for marked in select.messages.iter().filter(|m| m.when.iter().any(|when| when.key == key)) {
                    self.messages[marked.message].says_type = true;
                }
            }
        }
    }

    /// Whether our side receives the messages of an operation, and so sends its replies.
    fn receives(&self, operation: &Operation) -> bool {
        let application = operation.action == Action::Receive;
        match self.perspective {
            Perspective::Application => application,
            Perspective::Peer => !application,
        }
    }

    /// Index of a message in the IR.
    fn index(&self, id: Id<Message>) -> usize {
        self.message_ids.binary_search(&id).unwrap_or_default()
    }

    fn type_name(
        &mut self,
        extensions: &[(String, Node)],
        owner: &str,
        key: &str,
        kind: &str,
        span: Span,
    ) -> String {
        let wanted = wanted(extensions, key);
        let claim = self.names.type_name_in(owner, &wanted, kind);
        if claim.clashed {
            self.shaper.diagnostics.push(
                Diagnostic::warning(
                    codes::NAME_CLASH,
                    span,
                    format!("`{}` is taken, so this becomes `{}`", pascal(&wanted), claim.name),
                )
                .help("choose a name with `x-rust-name`"),
            );
        }
        claim.name
    }

    /// Reports an address that cannot be taken apart again.
    fn check_address(&mut self, channel: &Channel, parameters: &[String]) {
        let address = channel.address.as_deref().unwrap_or_default();
        if address.contains("}{") {
            self.shaper.diagnostics.push(
                Diagnostic::error(
                    codes::ADDRESS_ADJACENT,
                    channel.span,
                    format!("nothing tells where one parameter of `{address}` ends and the next begins"),
                )
                .help("put a character between them"),
            );
        }
        if let Some(twice) = parameters.iter().enumerate().find(|(at, name)| parameters[..*at].contains(name))
        {
            self.shaper.diagnostics.push(
                Diagnostic::error(
                    codes::PARAMETER_TWICE,
                    channel.span,
                    format!("`{{{}}}` stands twice in `{address}`", twice.1),
                )
                .help("give the second a name of its own"),
            );
        }
    }

    /// Names of the enums for parameters that allow only some values.
    fn parameter_enums(&mut self, channel: &'d Channel) -> Vec<Option<String>> {
        let names = parameters_in(channel);
        names
            .into_iter()
            .map(|name| {
                let parameter = channel.parameters.iter().find(|parameter| parameter.name == name)?;
                (!parameter.values.is_empty())
                    .then(|| self.shaper.claim_name(&format!("{}{}", pascal(&channel.key), pascal(&name))))
            })
            .collect()
    }

    fn channel(
        &mut self,
        id: Id<Channel>,
        enums: &[Option<String>],
        fields: &mut Namer,
        types: &mut Types,
    ) -> ir::Channel {
        let channel = &self.doc[id];
        let parameters = parameters_in(channel);
        self.check_address(channel, &parameters);
        let parameters = (!parameters.is_empty()).then(|| {
            // A channel and its message often share their name; the message has it.
            let wanted = wanted(&channel.extensions, &channel.key);
            let name = self.names.type_name(&wanted, "Channel").name;
            let mut members = Namer::members();
            let fields = parameters
                .iter()
                .zip(enums)
                .map(|(wire, values)| {
                    let parameter = channel.parameters.iter().find(|parameter| parameter.name == *wire);
                    let fallback = format!("Parameter `{wire}`.");
                    let docs = match parameter.and_then(|p| p.description.as_deref()) {
                        Some(text) if !text.trim().is_empty() => docs::clean(text),
                        _ => vec![fallback],
                    };
                    let ty = match (values, parameter) {
                        (Some(values), Some(parameter)) => {
                            types.add_strings(values, &docs, &parameter.values);
                            ir::Ty::Named(values.clone())
                        }
                        _ => ir::Ty::String,
                    };
                    let example = parameter.and_then(|p| p.examples.first().or(p.default.as_ref()).cloned());
                    ir::Parameter { wire: wire.clone(), field: members.member(wire).name, ty, example, docs }
                })
                .collect();
            ir::Parameters { name, fields }
        });
        let policy = self.policy(id);
        let fallback = match &channel.address {
            Some(address) if *address != channel.key => format!("Channel `{}` at `{address}`.", channel.key),
            _ => format!("Channel `{}`.", channel.key),
        };
        let mut docs = docs::lines(&channel.docs, &fallback);
        if docs != [fallback.clone()] {
            docs.push(String::new());
            docs.push(fallback);
        }
        ir::Channel {
            key: channel.key.clone(),
            field: fields.member(&snake(&wanted(&channel.extensions, &channel.key))).name,
            address: channel.address.clone(),
            docs,
            parameters,
            handler: self.handler(id, policy.batch.is_some()),
            servers: channel.servers.iter().map(|&id| self.doc[id].key.clone()).collect(),
            bindings: channel.bindings.iter().map(|b| binding_json(self.doc, b)).collect(),
            policy,
        }
    }
}

/// The name a document asks for with `x-rust-name`, else its own.
fn wanted(extensions: &[(String, Node)], key: &str) -> String {
    extensions
        .iter()
        .find(|(name, _)| name == "x-rust-name")
        .and_then(|(_, node)| node.as_str())
        .unwrap_or(key)
        .to_owned()
}

/// Messages of operations and replies, in order of the document.
fn used_messages(doc: &Document) -> Vec<Id<Message>> {
    let used: HashSet<Id<Message>> = doc
        .operations
        .iter()
        .flat_map(|op| op.messages.iter().chain(op.reply.iter().flat_map(|reply| &reply.messages)))
        .copied()
        .collect();
    (0..doc.messages.len()).map(Id::new).filter(|id| used.contains(id)).collect()
}

/// Names of the parameters in a channel's address, in order.
fn parameters_in(channel: &Channel) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = channel.address.as_deref().unwrap_or_default();
    while let Some(open) = rest.find('{') {
        let Some(close) = rest[open..].find('}') else { break };
        out.push(rest[open + 1..open + close].to_owned());
        rest = &rest[open + close + 1..];
    }
    out
}

fn server(doc: &Document, server: &Server) -> ir::Server {
    let fill = |text: &str| {
        server.variables.iter().fold(text.to_owned(), |text, variable| {
            let value = variable.default.as_ref().or(variable.values.first());
            value.map_or_else(|| text.clone(), |value| text.replace(&format!("{{{}}}", variable.name), value))
        })
    };
    ir::Server {
        key: server.key.clone(),
        protocol: server.protocol.clone(),
        scheme: server.scheme.as_deref().map(fill).unwrap_or_default(),
        host: fill(&server.host),
        path: server.pathname.as_deref().map(fill).unwrap_or_default(),
        docs: {
            let own = server.docs.summary.clone().or_else(|| server.docs.description.clone());
            let lines: Vec<String> = own.into_iter().chain(docs::security(&server.security)).collect();
            (!lines.is_empty()).then(|| lines.join(" "))
        },
        bindings: server.bindings.iter().map(|b| binding_json(doc, b)).collect(),
    }
}
