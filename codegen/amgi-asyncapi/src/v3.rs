//! AsyncAPI 3.0 and 3.1: the tree into the model.
//!
//! Reading is lenient and silent about shapes, which validation reports; what is reported here is
//! what only following references can tell. One place in the document is one object of the model: channels, servers
//! and messages are known by the place where following ends.

mod message;
mod operation;
mod traits;

use std::collections::HashMap;

use crate::{
    diag::{Diagnostic, Diagnostics, Span},
    model::{Channel, Docs, Document, Id, Info, Message, Parameter, Server, ServerVariable},
    node::{Entry, Node, Value},
    refs::{Place, Refs, Target, reference},
    schema::Schemas,
};

/// Collections whose members are of one kind; a reference into another one is a mistake.
const COLLECTIONS: [&str; 10] = [
    "channels",
    "messages",
    "operations",
    "parameters",
    "replies",
    "replyAddresses",
    "schemas",
    "securitySchemes",
    "servers",
    "tags",
];

/// Reads a document whose root is `root`, best effort.
pub(crate) fn read(root: &Node, diags: &mut Diagnostics) -> Document {
    let merged = traits::merge(root, diags);
    let root = merged.as_ref().unwrap_or(root);
    let refs = Refs::new(root);
    let mut reader = Reader {
        refs: &refs,
        schemas: Schemas::new(&refs),
        document: Document::default(),
        diags,
        servers: HashMap::new(),
        channels: HashMap::new(),
        messages: HashMap::new(),
    };
    reader.root(root);
    let Reader { schemas, mut document, .. } = reader;
    document.schemas = schemas.finish();
    document
}

struct Reader<'a, 'd> {
    refs: &'a Refs<'a>,
    schemas: Schemas<'a>,
    document: Document,
    diags: &'d mut Diagnostics,
    servers: HashMap<Place, Id<Server>>,
    channels: HashMap<Place, Id<Channel>>,
    messages: HashMap<Place, Id<Message>>,
}

impl<'a> Reader<'a, '_> {
    fn root(&mut self, root: &'a Node) {
        let top = Target { node: root, key_span: root.span, place: Place::root(), chain: Vec::new() };
        self.document.version = text(root, "asyncapi").unwrap_or_default();
        self.document.default_content_type = text(root, "defaultContentType");
        self.document.extensions = extensions(root);
        if let Some(info) = root.get("info") {
            self.document.info = Info {
                title: text(info, "title").unwrap_or_default(),
                version: text(info, "version").unwrap_or_default(),
                description: text(info, "description"),
                license: info.get("license").and_then(|l| text(l, "name")),
                extensions: extensions(info),
                span: info.span,
            };
        }
        for (entry, target) in self.members(&top, "servers") {
            self.server(&entry.key, target, entry.key_span);
        }
        for (entry, target) in self.members(&top, "channels") {
            self.channel(&entry.key, target, entry.key_span);
        }
        for (entry, target) in self.members(&top, "operations") {
            self.operation(&entry.key, &target, entry.key_span);
        }
        self.check_components(&top);
    }

    /// Reports what is wrong with the references of schemas that nothing uses; they do not get into the model.
    fn check_components(&mut self, top: &Target<'a>) {
        let mut unused = Schemas::new(self.refs);
        let place = top.place.child("components");
        let Some(components) = top.node.get("components") else { return };
        for entry in components.get("schemas").map_or(&[][..], Node::entries) {
            unused.intern(&entry.value, place.child("schemas").child(&entry.key), self.diags);
        }
        for collection in ["messages", "messageTraits"] {
            for message in components.get(collection).map_or(&[][..], Node::entries) {
                let place = place.child(collection).child(&message.key);
                for field in ["headers", "payload"] {
                    if let Some(schema) = message.value.get(field) {
                        unused.intern(schema, place.child(field), self.diags);
                    }
                }
            }
        }
    }

    /// Members of the mapping `field` of an object, each followed to its end. What leads nowhere is reported.
    fn members(&mut self, parent: &Target<'a>, field: &str) -> Vec<(&'a Entry, Target<'a>)> {
        let place = parent.place.child(field);
        let entries = parent.node.get(field).map_or(&[][..], Node::entries);
        let members = entries.iter().filter_map(|e| {
            let target = self.follow(&e.value, place.child(&e.key), e.key_span)?;
            let fits = match reference(&e.value) {
                Some(text) => self.is_one_of(field, text, &target),
                None => is_object(target.node),
            };
            fits.then_some((e, target))
        });
        members.collect()
    }

    /// The object under `field`, followed to its end.
    fn member(&mut self, parent: &Target<'a>, field: &str) -> Option<Target<'a>> {
        let entry = parent.node.entry(field)?;
        self.follow(&entry.value, parent.place.child(field), entry.key_span)
    }

    /// Elements of the list `field`, each followed to its end.
    fn elements(&mut self, parent: &Target<'a>, field: &str) -> Vec<Target<'a>> {
        let place = parent.place.child(field);
        let items = parent.node.get(field).map_or(&[][..], Node::items);
        let targets =
            items.iter().enumerate().filter_map(|(i, n)| self.follow(n, place.child(i.to_string()), n.span));
        targets.collect()
    }

    fn follow(&mut self, node: &'a Node, place: Place, key_span: Span) -> Option<Target<'a>> {
        self.report(self.refs.follow(node, place, key_span))
    }

    /// What `text` names, when that may be a member of `collection`.
    fn resolve(&mut self, text: &'a Node, collection: &str) -> Option<Target<'a>> {
        let target = self.report(self.refs.resolve(text))?;
        self.is_one_of(collection, text, &target).then_some(target)
    }

    /// Whether `text` names an object that may be a member of `collection`; reported when not.
    fn is_one_of(&mut self, collection: &str, text: &Node, target: &Target<'a>) -> bool {
        let found = target.place.tokens.iter().rev().nth(1).map_or("", String::as_str);
        let fits = is_object(target.node) && (found == collection || !COLLECTIONS.contains(&found));
        if !fits {
            let reference = text.as_str().unwrap_or_default();
            let message = format!("`{reference}` should name one of the {collection}");
            let what = if is_object(target.node) {
                format!("member of `{found}`")
            } else {
                target.node.kind().into()
            };
            self.diags.push(
                Diagnostic::error("ref-target", text.span, message)
                    .label(target.key_span, format!("it names this {what}")),
            );
        }
        fits
    }

    fn report<T>(&mut self, found: Result<T, Box<Diagnostic>>) -> Option<T> {
        found.map_err(|problem| self.diags.push(*problem)).ok()
    }

    fn server(&mut self, key: &str, target: Target<'a>, span: Span) {
        let node = target.node;
        let variables = self.members(&target, "variables").into_iter().map(|(entry, t)| ServerVariable {
            name: entry.key.clone(),
            values: texts(t.node, "enum"),
            default: scalar_text(t.node, "default"),
            description: text(t.node, "description"),
        });
        let variables = variables.collect();
        let server = Server {
            key: key.to_string(),
            host: text(node, "host").unwrap_or_default(),
            pathname: text(node, "pathname"),
            protocol: text(node, "protocol").unwrap_or_default(),
            protocol_version: scalar_text(node, "protocolVersion"),
            docs: self.docs(&target),
            variables,
            bindings: self.bindings(&target),
            extensions: extensions(node),
            span,
        };
        let id = Id::new(self.document.servers.len());
        self.document.servers.push(server);
        register(&mut self.servers, target, id);
    }

    fn channel(&mut self, key: &str, target: Target<'a>, span: Span) -> Id<Channel> {
        let node = target.node;
        let mut servers = Vec::new();
        for text in node.get("servers").map_or(&[][..], Node::items).iter().filter_map(reference) {
            let Some(server) = self.resolve(text, "servers") else { continue };
            match known(&self.servers, &server) {
                Some(id) if servers.contains(&id) => {}
                Some(id) => servers.push(id),
                None => self.diags.push(
                    Diagnostic::error(
                        "channel-server",
                        text.span,
                        "this server is not one of the document's `servers`",
                    )
                    .help("a channel can only be on servers that stand in the root `servers` object"),
                ),
            }
        }
        let parameters = self.members(&target, "parameters").into_iter().map(|(entry, t)| Parameter {
            name: entry.key.clone(),
            description: text(t.node, "description"),
            values: texts(t.node, "enum"),
            default: scalar_text(t.node, "default"),
            examples: texts(t.node, "examples"),
            location: text(t.node, "location"),
            span: entry.key_span,
        });
        let parameters = parameters.collect();
        let messages = self.members(&target, "messages").into_iter();
        let messages = messages.map(|(entry, message)| (entry.key.clone(), self.message(message))).collect();
        let channel = Channel {
            key: key.to_string(),
            address: text(node, "address"),
            docs: self.docs(&target),
            servers,
            parameters,
            messages,
            bindings: self.bindings(&target),
            extensions: extensions(node),
            span,
        };
        let id = Id::new(self.document.channels.len());
        self.document.channels.push(channel);
        register(&mut self.channels, target, id);
        id
    }

    fn docs(&mut self, target: &Target<'a>) -> Docs {
        let external = self.member(target, "externalDocs").and_then(|t| Some((text(t.node, "url")?, t.node)));
        Docs {
            title: text(target.node, "title"),
            summary: text(target.node, "summary"),
            description: text(target.node, "description"),
            external: external.map(|(url, node)| (url, text(node, "description"))),
            tags: self.elements(target, "tags").iter().filter_map(|t| text(t.node, "name")).collect(),
        }
    }
}

/// Remembers an object under every place on the way to it that is not another object's already.
fn register<T>(map: &mut HashMap<Place, Id<T>>, target: Target<'_>, id: Id<T>) {
    for place in target.chain {
        map.entry(place).or_insert(id);
    }
}

/// The object that the first known place on the way to `target` belongs to: two root channels may be one component.
fn known<T>(map: &HashMap<Place, Id<T>>, target: &Target<'_>) -> Option<Id<T>> {
    target.chain.iter().find_map(|place| map.get(place)).copied()
}

fn is_object(node: &Node) -> bool {
    matches!(node.value, Value::Object(_))
}

fn text(node: &Node, field: &str) -> Option<String> {
    node.get(field)?.as_str().map(str::to_string)
}

/// Text of a scalar; documents forget the quotes around numbers.
fn scalar_text(node: &Node, field: &str) -> Option<String> {
    scalar(node.get(field)?)
}

fn texts(node: &Node, field: &str) -> Vec<String> {
    node.get(field).map_or(&[][..], Node::items).iter().filter_map(scalar).collect()
}

fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        _ => None,
    }
}

fn extensions(node: &Node) -> Vec<(String, Node)> {
    let extensions = node.entries().iter().filter(|e| e.key.starts_with("x-"));
    extensions.map(|e| (e.key.clone(), e.value.clone())).collect()
}
