//! AsyncAPI 2.0 to 2.6: the tree into the model.
//!
//! A 2.x document says what others can do: `publish` is what they publish and the application *receives*, `subscribe` is
//! what they subscribe to and the application *sends*. This is turned round here and nowhere else. What version 2 has no
//! keys for gets them here: a channel's key is its address, an operation's its `operationId`, a message's its component,
//! `name` or `messageId`.

use std::collections::HashSet;

use crate::{
    codes,
    diag::{Diagnostic, Diagnostics, Span, nearest},
    files::Files,
    model::{Action, Channel, Document, Id, Message, Operation, Parameter, Server},
    node::Node,
    reader::{Reader, extensions, is_object, known, register, scalar_text, text, texts, traits},
    refs::{Refs, Target, reference},
};

/// The operations of a channel, and which way they go for the application that has the document.
const OPERATIONS: [(&str, Action); 2] = [("publish", Action::Receive), ("subscribe", Action::Send)];

/// Reads a document, best effort.
pub(crate) fn read(files: &mut Files, diags: &mut Diagnostics) -> Document {
    traits::merge(files, &with_traits, traits::Winner::Trait, diags);
    let refs = Refs::new(files);
    let mut reader = Reader::new(&refs, diags);
    reader.formats_beside = true;
    reader.read_root();
    reader.finish()
}

/// Objects of AsyncAPI 2 that may have traits.
fn with_traits(visitor: &mut traits::Visitor<'_>) {
    let (root, top) = visitor.root();
    let components = root.get("components").and_then(|node| visitor.visit(node, top.child("components")));
    let mut messages = Vec::new();
    for (parent, place) in [(root, top)].into_iter().chain(components) {
        for (channel, place) in visitor.members((parent, &place), "channels") {
            for (field, _) in OPERATIONS {
                let operation = channel.get(field).and_then(|node| visitor.visit(node, place.child(field)));
                let Some((operation, place)) = operation else { continue };
                let message = operation.get("message");
                messages.extend(message.and_then(|node| visitor.visit(node, place.child("message"))));
            }
        }
        messages.extend(visitor.members((parent, &place), "messages"));
    }
    // A message may be a choice of messages.
    while let Some((message, place)) = messages.pop() {
        let place = place.child("oneOf");
        for (index, choice) in message.get("oneOf").map_or(&[][..], Node::items).iter().enumerate() {
            messages.extend(visitor.visit(choice, place.child(index.to_string())));
        }
    }
}

impl<'a> Reader<'a, '_> {
    fn read_root(&mut self) {
        let top = self.head();
        for (entry, target) in self.members(&top, "servers") {
            let url = split(target.node.get("url").and_then(Node::as_str).unwrap_or_default());
            self.server(&entry.key, target, entry.key_span, url);
        }
        for (entry, target) in self.members(&top, "channels") {
            self.channel_item(&entry.key, target, entry.key_span);
        }
        self.check_components(&top);
    }

    fn channel_item(&mut self, address: &str, target: Target<'a>, span: Span) {
        let node = target.node;
        let parameters = self.members(&target, "parameters").into_iter();
        let parameters =
            parameters.map(|(entry, t)| self.parameter(&entry.key, &t, entry.key_span)).collect();
        let channel = Channel {
            key: address.to_string(),
            address: Some(address.to_string()),
            docs: self.docs(&target),
            servers: self.servers_named(node),
            parameters,
            messages: Vec::new(),
            bindings: self.bindings(&target),
            extensions: extensions(node),
            span,
        };
        let id = Id::new(self.document.channels.len());
        self.document.channels.push(channel);
        for entry in node.entries() {
            let Some((_, action)) = OPERATIONS.iter().find(|(field, _)| *field == entry.key) else {
                continue;
            };
            if let Some(operation) = self.member(&target, &entry.key) {
                self.channel_operation(id, *action, &operation, entry.key_span);
            }
        }
        register(&mut self.channels, target, id);
    }

    /// The servers a channel names, AsyncAPI 2.2.
    fn servers_named(&mut self, channel: &Node) -> Vec<Id<Server>> {
        let mut servers = Vec::new();
        for item in channel.get("servers").map_or(&[][..], Node::items) {
            let Some(name) = item.as_str() else { continue };
            match self.document.servers.iter().position(|server| server.key == name).map(Id::new) {
                Some(id) if servers.contains(&id) => {}
                Some(id) => servers.push(id),
                None => {
                    let message = format!("`{name}` is not one of the document's `servers`");
                    let diagnostic = Diagnostic::error(codes::CHANNEL_SERVER, item.span, message);
                    let near = nearest(name, self.document.servers.iter().map(|server| server.key.as_str()));
                    let help = near.map_or_else(
                        || "name servers by their key in the root `servers` object".to_string(),
                        |near| format!("did you mean `{near}`?"),
                    );
                    self.diags.push(diagnostic.help(help));
                }
            }
        }
        servers
    }

    /// A parameter's values are in its schema. Whatever that says, addresses are text.
    fn parameter(&mut self, name: &str, target: &Target<'a>, span: Span) -> Parameter {
        let schema = self.member(target, "schema").map(|schema| schema.node);
        let or_schema = |field: &str| text(target.node, field).or_else(|| text(schema?, field));
        Parameter {
            name: name.to_string(),
            description: or_schema("description"),
            values: schema.map(|schema| texts(schema, "enum")).unwrap_or_default(),
            default: schema.and_then(|schema| scalar_text(schema, "default")),
            examples: schema.map(|schema| texts(schema, "examples")).unwrap_or_default(),
            location: text(target.node, "location"),
            span,
        }
    }

    fn channel_operation(&mut self, channel: Id<Channel>, action: Action, target: &Target<'a>, span: Span) {
        let address = self.document[channel].key.clone();
        let own = text(target.node, "operationId").filter(|id| !id.trim().is_empty());
        let verb = if action == Action::Send { "send" } else { "receive" };
        let taken = |key: &str| self.document.operations.iter().any(|operation| operation.key == key);
        let key = free(own.into_iter().chain([format!("{verb} {address}")]), taken);
        let mut messages = Vec::new();
        if let Some(message) = self.member(target, "message") {
            let text = target.node.get("message").and_then(reference);
            let fallback = [address.clone(), format!("{address} {key}")];
            messages = self.choices(message, text, &fallback);
        }
        for &id in &messages {
            let key = self.document[id].key.clone();
            let of_channel = &mut self.document.channels[channel.index()].messages;
            if !of_channel.iter().any(|(_, message)| *message == id) {
                of_channel.push((key, id));
            }
        }
        let operation = Operation {
            key,
            action,
            channel,
            messages,
            reply: None,
            docs: self.docs(target),
            security: self.security(target),
            bindings: self.bindings(target),
            extensions: extensions(target.node),
            span,
        };
        self.document.operations.push(operation);
    }

    /// The messages that an operation's `message` is: itself, or each of its `oneOf`, which may be choices again.
    fn choices(
        &mut self,
        message: Target<'a>,
        text: Option<&'a Node>,
        fallback: &[String],
    ) -> Vec<Id<Message>> {
        let mut messages = Vec::new();
        // A choice that has itself among its choices adds nothing.
        let mut seen = HashSet::new();
        let mut open = vec![(message, text)];
        while let Some((target, text)) = open.pop() {
            let fits = text.is_none_or(|text| self.is_one_of("messages", text, &target));
            if !fits || !is_object(target.node) || !seen.insert(target.place.clone()) {
                continue;
            }
            let Some(list) = target.node.get("oneOf") else {
                let id = match known(&self.messages, &target) {
                    Some(id) => id,
                    None => self.named_message(target, fallback),
                };
                messages.push(id);
                continue;
            };
            let place = target.place.child("oneOf");
            let mut choices = Vec::new();
            for (index, item) in list.items().iter().enumerate() {
                let choice = self.follow(item, place.child(index.to_string()), item.span);
                choices.extend(choice.map(|choice| (choice, reference(item))));
            }
            // The last one in is the next one out.
            open.extend(choices.into_iter().rev());
        }
        messages
    }

    /// A message that is read for the first time. Components have their key; others are named by `name`, `messageId`, or
    /// the address they come from.
    fn named_message(&mut self, target: Target<'a>, fallback: &[String]) -> Id<Message> {
        let component =
            matches!(target.place.tokens.as_slice(), [a, b, _] if a == "components" && b == "messages");
        let named = |field| text(target.node, field).filter(|text| !text.trim().is_empty());
        let key = if component {
            None
        } else {
            let derived = || {
                let taken = |key: &str| self.document.messages.iter().any(|message| message.key == key);
                free(fallback.iter().cloned(), taken)
            };
            Some(named("name").or_else(|| named("messageId")).unwrap_or_else(derived))
        };
        self.message(target, key)
    }
}

/// The first of `wanted` that is free, else the last one with a number.
fn free(wanted: impl IntoIterator<Item = String>, taken: impl Fn(&str) -> bool) -> String {
    let mut last = String::new();
    for key in wanted {
        if !taken(&key) {
            return key;
        }
        last = key;
    }
    let mut number = 2_u32;
    loop {
        let key = format!("{last} {number}");
        if !taken(&key) {
            return key;
        }
        number += 1;
    }
}

/// Scheme, host and path of a URL. The scheme may say more than `protocol`: that MQTT goes over a websocket, or TLS.
fn split(url: &str) -> (Option<String>, String, Option<String>) {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (Some(scheme.to_owned()), rest),
        None => (None, url),
    };
    match rest.find(['/', '?', '#']) {
        Some(at) => (scheme, rest[..at].to_string(), Some(rest[at..].to_string())),
        None => (scheme, rest.to_string(), None),
    }
}
