//! What reading is the same in every version: following members, documentation, servers, messages, bindings, traits.
//!
//! Reading is lenient and silent about shapes, which validation reports; what is reported here is
//! what only following references can tell. One place in the document is one object of the model: channels, servers
//! and messages are known by the place where following ends.

mod message;
mod security;
pub(crate) mod traits;

use std::collections::HashMap;

use crate::{
    codes,
    diag::{Diagnostic, Diagnostics, Span},
    model::{Channel, Contact, Docs, Document, Id, Info, Message, Server, ServerVariable},
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

/// Whether members of this field are objects of one kind, which a reference must not take for another.
pub(crate) fn is_collection(field: &str) -> bool {
    COLLECTIONS.contains(&field)
}

/// A document that is being read.
pub(crate) struct Reader<'a, 'd> {
    refs: &'a Refs<'a>,
    pub(crate) schemas: Schemas<'a>,
    pub(crate) document: Document,
    pub(crate) diags: &'d mut Diagnostics,
    pub(crate) servers: HashMap<Place, Id<Server>>,
    pub(crate) channels: HashMap<Place, Id<Channel>>,
    pub(crate) messages: HashMap<Place, Id<Message>>,
    /// Whether `schemaFormat` stands in the message, beside the payload.
    pub(crate) formats_beside: bool,
}

impl<'a, 'd> Reader<'a, 'd> {
    pub(crate) fn new(refs: &'a Refs<'a>, diags: &'d mut Diagnostics) -> Self {
        Self {
            refs,
            schemas: Schemas::new(refs),
            document: Document::default(),
            diags,
            servers: HashMap::new(),
            channels: HashMap::new(),
            messages: HashMap::new(),
            formats_beside: false,
        }
    }

    pub(crate) fn finish(self) -> Document {
        let Self { schemas, mut document, .. } = self;
        document.schemas = schemas.finish();
        document
    }

    /// What the root says about the document as a whole; the root as what is read next.
    pub(crate) fn head(&mut self) -> Target<'a> {
        let root = self.refs.root();
        self.document.version = text(root, "asyncapi").unwrap_or_default();
        self.document.default_content_type = text(root, "defaultContentType");
        self.document.extensions = extensions(root);
        let top = Target { node: root, key_span: root.span, place: Place::root(), chain: Vec::new() };
        if let Some(target) = self.member(&top, "info") {
            let info = target.node;
            // Before AsyncAPI 3 tags and external documentation stand beside `info`.
            let docs = self.docs(if self.formats_beside { &top } else { &target });
            let contact = self.member(&target, "contact").map(|contact| Contact {
                name: text(contact.node, "name"),
                url: text(contact.node, "url"),
                email: text(contact.node, "email"),
            });
            self.document.info = Info {
                title: text(info, "title").unwrap_or_default(),
                version: text(info, "version").unwrap_or_default(),
                description: text(info, "description"),
                terms_of_service: text(info, "termsOfService"),
                contact,
                license: info.get("license").and_then(|l| text(l, "name")),
                tags: docs.tags,
                external: docs.external,
                extensions: extensions(info),
                span: info.span,
            };
        }
        self.security_schemes(&top);
        top
    }

    /// Reports what is wrong with the references of schemas that nothing uses; they do not get into the model.
    pub(crate) fn check_components(&mut self, top: &Target<'a>) {
        let mut unused = Schemas::new(self.refs);
        let Some(components) = self.member(top, "components") else { return };
        if let Some(schemas) = self.member(&components, "schemas") {
            for entry in schemas.node.entries() {
                unused.intern(&entry.value, schemas.place.child(&entry.key), self.diags);
            }
        }
        for collection in ["messages", "messageTraits"] {
            let Some(messages) = self.member(&components, collection) else { continue };
            for message in messages.node.entries() {
                let place = messages.place.child(&message.key);
                for field in ["headers", "payload"] {
                    if let Some(schema) = message.value.get(field) {
                        let format = self.format_of(&message.value, field);
                        unused.intern_as(schema, place.child(field), format, self.diags);
                    }
                }
            }
        }
    }

    /// Members of the mapping `field` of an object, each followed to its end. What leads nowhere is reported.
    pub(crate) fn members(&mut self, parent: &Target<'a>, field: &str) -> Vec<(&'a Entry, Target<'a>)> {
        // The collection itself may be a reference, of which validation says that it should not.
        let Some(collection) = self.member(parent, field) else { return Vec::new() };
        let entries = collection.node.entries();
        let members = entries.iter().filter_map(|e| {
            let target = self.follow(&e.value, collection.place.child(&e.key), e.key_span)?;
            let fits = match reference(&e.value) {
                Some(text) => self.is_one_of(field, text, &target),
                None => is_object(target.node),
            };
            fits.then_some((e, target))
        });
        members.collect()
    }

    /// The object under `field`, followed to its end.
    pub(crate) fn member(&mut self, parent: &Target<'a>, field: &str) -> Option<Target<'a>> {
        let entry = parent.node.entry(field)?;
        self.follow(&entry.value, parent.place.child(field), entry.key_span)
    }

    /// Elements of the list `field`, each followed to its end.
    pub(crate) fn elements(&mut self, parent: &Target<'a>, field: &str) -> Vec<Target<'a>> {
        let place = parent.place.child(field);
        let items = parent.node.get(field).map_or(&[][..], Node::items);
        let targets =
            items.iter().enumerate().filter_map(|(i, n)| self.follow(n, place.child(i.to_string()), n.span));
        targets.collect()
    }

    pub(crate) fn follow(&mut self, node: &'a Node, place: Place, key_span: Span) -> Option<Target<'a>> {
        self.report(self.refs.follow(node, place, key_span))
    }

    /// What `text` names, when that may be a member of `collection`.
    pub(crate) fn resolve(&mut self, text: &'a Node, collection: &str) -> Option<Target<'a>> {
        let target = self.report(self.refs.resolve(text))?;
        self.is_one_of(collection, text, &target).then_some(target)
    }

    /// Whether `text` names an object that may be a member of `collection`; reported when not.
    pub(crate) fn is_one_of(&mut self, collection: &str, text: &Node, target: &Target<'a>) -> bool {
        let found = target.place.tokens.iter().rev().nth(1).map_or("", String::as_str);
        let fits = is_object(target.node) && (found == collection || !is_collection(found));
        if !fits {
            let reference = text.as_str().unwrap_or_default();
            let message = format!("`{reference}` should name one of the {collection}");
            let what = if is_object(target.node) {
                format!("member of `{found}`")
            } else {
                target.node.kind().into()
            };
            self.diags.push(
                Diagnostic::error(codes::REF_TARGET, text.span, message)
                    .label(target.key_span, format!("it names this {what}")),
            );
        }
        fits
    }

    pub(crate) fn report<T>(&mut self, found: Result<T, Box<Diagnostic>>) -> Option<T> {
        found.map_err(|problem| self.diags.push(*problem)).ok()
    }

    /// Reads a server; how its scheme, host and path are written differs by version.
    pub(crate) fn server(
        &mut self,
        key: &str,
        target: Target<'a>,
        span: Span,
        (scheme, host, pathname): (Option<String>, String, Option<String>),
    ) {
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
            scheme,
            host,
            pathname,
            protocol: text(node, "protocol").unwrap_or_default(),
            protocol_version: scalar_text(node, "protocolVersion"),
            docs: self.docs(&target),
            variables,
            security: self.security(&target),
            bindings: self.bindings(&target),
            extensions: extensions(node),
            span,
        };
        let id = Id::new(self.document.servers.len());
        self.document.servers.push(server);
        register(&mut self.servers, target, id);
    }

    pub(crate) fn docs(&mut self, target: &Target<'a>) -> Docs {
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
pub(crate) fn register<T>(map: &mut HashMap<Place, Id<T>>, target: Target<'_>, id: Id<T>) {
    for place in target.chain {
        map.entry(place).or_insert(id);
    }
}

/// The object that the first known place on the way to `target` belongs to: two root channels may be one component.
pub(crate) fn known<T>(map: &HashMap<Place, Id<T>>, target: &Target<'_>) -> Option<Id<T>> {
    target.chain.iter().find_map(|place| map.get(place)).copied()
}

pub(crate) fn is_object(node: &Node) -> bool {
    matches!(node.value, Value::Object(_))
}

pub(crate) fn text(node: &Node, field: &str) -> Option<String> {
    node.get(field)?.as_str().map(str::to_string)
}

/// Text of a scalar; documents forget the quotes around numbers.
pub(crate) fn scalar_text(node: &Node, field: &str) -> Option<String> {
    scalar(node.get(field)?)
}

pub(crate) fn texts(node: &Node, field: &str) -> Vec<String> {
    node.get(field).map_or(&[][..], Node::items).iter().filter_map(scalar).collect()
}

pub(crate) fn scalar(node: &Node) -> Option<String> {
    match &node.value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        _ => None,
    }
}

pub(crate) fn extensions(node: &Node) -> Vec<(String, Node)> {
    let extensions = node.entries().iter().filter(|e| e.key.starts_with("x-"));
    extensions.map(|e| (e.key.clone(), e.value.clone())).collect()
}
