//! Identifiers that must be unique in a document of AsyncAPI 2, where they are fields and not keys.

use std::collections::HashMap;

use crate::{
    codes,
    diag::{Diagnostic, Diagnostics, Span},
    node::Node,
    refs::{Place, Refs, reference},
};

/// Reports an `operationId` or `messageId` that a second object has. Components that nothing refers to may be alike. One
/// object that is referred to twice is still one object; as other tools count it twice, that is a warning.
pub(super) fn unique<'n>(refs: &'n Refs<'n>, diags: &mut Diagnostics) {
    let root = refs.root();
    let mut operations = Ids { field: "operationId", of: "operation", seen: HashMap::new(), refs, diags };
    let mut found = Vec::new();
    let place = Place::root().child("channels");
    for entry in root.get("channels").map_or(&[][..], Node::entries) {
        let Ok(channel) = refs.follow(&entry.value, place.child(&entry.key), entry.key_span) else {
            continue;
        };
        for field in ["subscribe", "publish"] {
            if let Some(operation) = channel.node.get(field) {
                operations.add(operation, reference(&entry.value));
                found.push((operation, reference(&entry.value)));
            }
        }
    }
    let mut messages =
        Ids { field: "messageId", of: "message", seen: HashMap::new(), refs, diags: operations.diags };
    for (operation, from) in found {
        if let Some(message) = operation.get("message") {
            messages.add_all(message, from, 0);
        }
    }
}

struct Ids<'n, 'd> {
    field: &'static str,
    of: &'static str,
    /// The place of each id, and the object that has it.
    seen: HashMap<&'n str, (Span, *const Node)>,
    refs: &'n Refs<'n>,
    diags: &'d mut Diagnostics,
}

impl<'n> Ids<'n, '_> {
    /// `from` is the reference that led to the object.
    fn add(&mut self, node: &'n Node, from: Option<&Node>) {
        // The last trait that has an id has the last word.
        let traits = node.get("traits").map_or(&[][..], Node::items).iter().rev();
        let traits =
            traits.map(|t| reference(t).and_then(|r| self.refs.resolve(r).ok()).map_or(t, |t| t.node));
        let id =
            traits.chain([node]).find_map(|node| node.get(self.field).filter(|id| id.as_str().is_some()));
        let Some((id, span)) = id.and_then(|id| Some((id.as_str()?, id.span))) else { return };
        let Some((first, object)) = self.seen.get(id) else {
            self.seen.insert(id, (span, std::ptr::from_ref(node)));
            return;
        };
        if !std::ptr::eq(*object, node) {
            let message = format!("another {} has the `{}` `{id}` already", self.of, self.field);
            self.diags.push(
                Diagnostic::error(codes::DUPLICATE_ID, span, message)
                    .label(*first, "this one")
                    .help("give each its own"),
            );
        } else if let Some(from) = from {
            let message =
                format!("the {} `{id}` is named in several places, and has one `{}`", self.of, self.field);
            self.diags.push(
                Diagnostic::warning(codes::DUPLICATE_ID, span, message)
                    .label(from.span, "named here once more")
                    .help(format!(
                        "code is generated; other tools count it twice, without `{}` they do not",
                        self.field
                    )),
            );
        }
    }

    fn add_all(&mut self, message: &'n Node, from: Option<&'n Node>, depth: usize) {
        let text = reference(message);
        let Some(target) = text.map_or(Some(message), |text| Some(self.refs.resolve(text).ok()?.node)) else {
            return;
        };
        let from = text.or(from);
        match target.get("oneOf") {
            // Choices within choices are rare, choices that lead back to themselves are refused elsewhere.
            Some(choices) if depth < 8 => {
                choices.items().iter().for_each(|choice| self.add_all(choice, from, depth + 1));
            }
            _ => self.add(target, from),
        }
    }
}
