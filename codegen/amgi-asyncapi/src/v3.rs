//! AsyncAPI 3.0 and 3.1: the tree into the model.

mod operation;

use crate::{
    codes,
    diag::{Diagnostic, Diagnostics, Span},
    files::Files,
    model::{Channel, Document, Id, Parameter},
    node::Node,
    reader::{Reader, extensions, known, register, scalar_text, text, texts, traits},
    refs::{Refs, Target, reference},
};

/// Reads a document, best effort.
pub(crate) fn read(files: &mut Files, diags: &mut Diagnostics) -> Document {
    traits::merge(files, &with_traits, traits::Winner::Object, diags);
    let refs = Refs::new(files);
    let mut reader = Reader::new(&refs, diags);
    reader.root();
    reader.finish()
}

/// Objects of AsyncAPI 3 that may have traits.
fn with_traits(visitor: &mut traits::Visitor<'_>) {
    let (root, top) = visitor.root();
    let components = root.get("components").and_then(|node| visitor.visit(node, top.child("components")));
    for (parent, place) in [(root, top)].into_iter().chain(components) {
        visitor.members((parent, &place), "operations");
        visitor.members((parent, &place), "messages");
        for (channel, place) in visitor.members((parent, &place), "channels") {
            visitor.members((channel, &place), "messages");
        }
    }
}

impl<'a> Reader<'a, '_> {
    fn root(&mut self) {
        let top = self.head();
        for (entry, target) in self.members(&top, "servers") {
            let host = text(target.node, "host").unwrap_or_default();
            let pathname = text(target.node, "pathname");
            self.server(&entry.key, target, entry.key_span, (None, host, pathname));
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
            let known = known(&self.servers, &server);
            if known.is_some() && !text.as_str().is_some_and(|text| text.contains("#/servers/")) {
                let message = "a channel must name servers of the root";
                self.diags.push(
                    Diagnostic::warning(codes::CHANNEL_SERVER, text.span, message)
                        .help("write `#/servers/…`; what stands there may be a reference itself"),
                );
            }
            match known {
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
