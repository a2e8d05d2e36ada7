//! Identifiers that must be unique in a document of AsyncAPI 2, where they are fields and not keys.

use std::collections::HashMap;

use crate::{
    codes,
    diag::{Diagnostic, Diagnostics, Span},
    node::Node,
};

/// Reports an `operationId` or `messageId` that a second object has. An object that is referred to is still one object, and
/// components that nothing refers to may be alike.
pub(super) fn unique(root: &Node, diags: &mut Diagnostics) {
    let mut operations = Ids { field: "operationId", of: "operation", seen: HashMap::new(), diags };
    for operation in operations_of(root) {
        operations.add(operation);
    }
    let mut messages =
        Ids { field: "messageId", of: "message", seen: HashMap::new(), diags: operations.diags };
    for message in operations_of(root).filter_map(|operation| operation.get("message")) {
        messages.add_all(message);
    }
}

fn operations_of(root: &Node) -> impl Iterator<Item = &Node> {
    let channels = root.get("channels").map_or(&[][..], Node::entries).iter().map(|entry| &entry.value);
    channels.flat_map(|channel| ["publish", "subscribe"].into_iter().filter_map(|field| channel.get(field)))
}

struct Ids<'n, 'd> {
    field: &'static str,
    of: &'static str,
    seen: HashMap<&'n str, Span>,
    diags: &'d mut Diagnostics,
}

impl<'n> Ids<'n, '_> {
    fn add(&mut self, node: &'n Node) {
        let Some((id, span)) = node.get(self.field).and_then(|id| Some((id.as_str()?, id.span))) else {
            return;
        };
        if let Some(first) = self.seen.get(id) {
            let message = format!("another {} has the `{}` `{id}` already", self.of, self.field);
            self.diags.push(
                Diagnostic::error(codes::DUPLICATE_ID, span, message)
                    .label(*first, "this one")
                    .help("give each its own"),
            );
        } else {
            self.seen.insert(id, span);
        }
    }

    fn add_all(&mut self, message: &'n Node) {
        self.add(message);
        message.get("oneOf").map_or(&[][..], Node::items).iter().for_each(|choice| self.add_all(choice));
    }
}
