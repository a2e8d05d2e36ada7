//! AsyncAPI 3.0 and 3.1: the tree into the model.

mod operation;

use crate::{
    codes,
    diag::{Diagnostic, Diagnostics, Span},
    model::{Channel, Document, Id, Parameter},
    node::Node,
    reader::{Reader, extensions, known, register, scalar_text, text, texts, traits},
    refs::{Place, Refs, Target, reference},
};

/// Reads a document whose root is `root`, best effort.
pub(crate) fn read(root: &Node, diags: &mut Diagnostics) -> Document {
    let merged = traits::merge(root, &with_traits, traits::Winner::Object, diags);
    let root = merged.as_ref().unwrap_or(root);
    let refs = Refs::new(root);
    let mut reader = Reader::new(&refs, diags);
    reader.root(root);
    reader.finish()
}

/// Objects of AsyncAPI 3 that may have traits.
fn with_traits(root: &Node, add: &mut dyn FnMut(&Node, Place)) {
    let top = Place::root();
    let components = root.get("components").map(|node| (node, top.child("components")));
    for (parent, place) in [(root, top)].into_iter().chain(components) {
        for (collection, nested) in [("operations", None), ("messages", None), ("channels", Some("messages"))]
        {
            let place = place.child(collection);
            for entry in parent.get(collection).map_or(&[][..], Node::entries) {
                let place = place.child(&entry.key);
                let Some(nested) = nested else {
                    add(&entry.value, place);
                    continue;
                };
                // A channel that is a reference leads to one that is visited as a component.
                let place = place.child(nested);
                for message in entry.value.get(nested).map_or(&[][..], Node::entries) {
                    add(&message.value, place.child(&message.key));
                }
            }
        }
    }
}

impl<'a> Reader<'a, '_> {
    fn root(&mut self, root: &'a Node) {
        let top = self.head(root);
        for (entry, target) in self.members(&top, "servers") {
            let host = text(target.node, "host").unwrap_or_default();
            let pathname = text(target.node, "pathname");
            self.server(&entry.key, target, entry.key_span, (host, pathname));
        }
        for (entry, target) in self.members(&top, "channels") {
            self.channel(&entry.key, target, entry.key_span);
        }
        for (entry, target) in self.members(&top, "operations") {
            self.operation(&entry.key, &target, entry.key_span);
        }
        self.check_components(&top);
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
                        codes::CHANNEL_SERVER,
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
        let messages =
            messages.map(|(entry, message)| (entry.key.clone(), self.message(message, None))).collect();
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
}
