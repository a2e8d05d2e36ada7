//! Traits: what an operation or message takes over from others, as JSON Merge Patch (RFC 7386).
//!
//! The object itself is the last patch: it wins over its traits, and a later trait over an earlier one. This happens on
//! the tree, before anything is read, so that references into a message see it as it is in the end.

use std::collections::HashSet;

use crate::{
    diag::{Diagnostic, Diagnostics, Span},
    node::{Entry, Node, Value},
    refs::{Place, Refs, reference},
};

/// Nodes that merging may copy in one document. References inside both sides could otherwise multiply.
const MAX_COPIES: usize = 1_000_000;
/// How deep objects are merged into each other; recursive schemas on both sides would never end. Below, the target wins.
const MAX_DEPTH: usize = 16;

/// The document with all traits merged; `None` when it has none.
pub(crate) fn merge(root: &Node, diags: &mut Diagnostics) -> Option<Node> {
    let refs = Refs::new(root);
    let mut merger = Merger { refs: &refs, diags, budget: MAX_COPIES };
    let mut changed = Vec::new();
    for place in with_traits(&refs, root) {
        if let Some(node) = refs.at(&place) {
            changed.push((merger.object(node), place));
        }
    }
    if changed.is_empty() {
        return None;
    }
    let mut root = root.clone();
    for (node, place) in changed {
        if let Some(slot) = place.tokens.iter().try_fold(&mut root, |node, token| child_mut(node, token)) {
            *slot = node;
        }
    }
    Some(root)
}

/// Places of all operations and messages that have traits. What cannot be followed is reported by whoever reads it.
fn with_traits(refs: &Refs<'_>, root: &Node) -> Vec<Place> {
    let top = Place::root();
    let empty = Node { value: Value::Null, span: Span::default() };
    let components = (root.get("components").unwrap_or(&empty), top.child("components"));
    let mut places = Vec::new();
    let mut seen = HashSet::new();
    let mut add = |node: &Node, place: Place| {
        // The tree is borrowed for longer than its nodes are looked at here, so follow by place.
        let target = match reference(node) {
            None => Some((node.get("traits").is_some(), place)),
            Some(text) => refs.resolve(text).ok().map(|t| (t.node.get("traits").is_some(), t.place)),
        };
        if let Some((true, place)) = target
            && seen.insert(place.clone())
        {
            places.push(place);
        }
    };
    for (parent, place) in [(root, &top), (components.0, &components.1)] {
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
    places
}

struct Merger<'a, 'd> {
    refs: &'a Refs<'a>,
    diags: &'d mut Diagnostics,
    budget: usize,
}

impl Merger<'_, '_> {
    fn object(&mut self, node: &Node) -> Node {
        let mut merged = Node { value: Value::Object(Vec::new()), span: node.span };
        for item in node.get("traits").map_or(&[][..], Node::items) {
            match reference(item).map(|text| self.refs.resolve(text)) {
                None => merged = self.patch(merged, item, 0),
                Some(Ok(target)) => merged = self.patch(merged, target.node, 0),
                Some(Err(problem)) => self.diags.push(*problem),
            }
        }
        let own = node.entries().iter().filter(|e| e.key != "traits").cloned().collect();
        let own = Node { value: Value::Object(own), span: node.span };
        let mut merged = self.patch(merged, &own, 0);
        merged.span = node.span;
        merged
    }

    /// `target` after `patch`.
    fn patch(&mut self, target: Node, patch: &Node, depth: usize) -> Node {
        if !matches!((&target.value, &patch.value), (Value::Object(_), Value::Object(_)))
            || same_reference(&target, patch)
            || depth > MAX_DEPTH
        {
            return self.copy(patch);
        }
        // A schema on both sides is merged as what it is, not as the reference it is written as.
        let target = match reference(&target).map(|text| self.refs.resolve(text)) {
            None => target,
            Some(Ok(found)) => self.copy(found.node),
            Some(Err(problem)) => {
                self.diags.push(*problem);
                return self.copy(patch);
            }
        };
        let resolved = reference(patch).and_then(|text| self.refs.resolve(text).ok());
        let patch = resolved.as_ref().map_or(patch, |found| found.node);
        let span = patch.span;
        let Value::Object(mut entries) = target.value else { return self.copy(patch) };
        for entry in patch.entries() {
            let Some(at) = entries.iter().position(|e| e.key == entry.key) else {
                let value = self.copy(&entry.value);
                entries.push(Entry { key: entry.key.clone(), key_span: entry.key_span, value });
                continue;
            };
            if entry.value.value == Value::Null {
                entries.remove(at);
                continue;
            }
            let old = std::mem::replace(&mut entries[at].value, Node { value: Value::Null, span });
            entries[at].value = self.patch(old, &entry.value, depth + 1);
            entries[at].key_span = entry.key_span;
        }
        Node { value: Value::Object(entries), span }
    }

    fn copy(&mut self, node: &Node) -> Node {
        let size = size(node);
        if size > self.budget {
            self.diags.push(Diagnostic::error("ref-limit", node.span, "merging traits copies too much here"));
            return Node { value: Value::Object(Vec::new()), span: node.span };
        }
        self.budget -= size;
        node.clone()
    }
}

fn same_reference(a: &Node, b: &Node) -> bool {
    matches!((reference(a), reference(b)), (Some(a), Some(b)) if a.as_str() == b.as_str())
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(entries) => entries.iter().map(|e| size(&e.value)).sum(),
        // Texts of a line or so are what a node is thought to weigh.
        Value::String(text) => text.len() / 100,
        _ => 0,
    }
}

fn child_mut<'n>(node: &'n mut Node, token: &str) -> Option<&'n mut Node> {
    match &mut node.value {
        Value::Object(entries) => entries.iter_mut().find(|e| e.key == token).map(|e| &mut e.value),
        Value::Array(items) => items.get_mut(token.parse::<usize>().ok()?),
        _ => None,
    }
}
