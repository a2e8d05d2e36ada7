//! Traits: what an operation or message takes over from others, as JSON Merge Patch (RFC 7386).
//!
//! Who wins differs by version. AsyncAPI 3 says that a trait never overrides the object. AsyncAPI 2.0 to 2.6 says that traits
//! "MUST be merged into" the object "using the JSON Merge Patch algorithm in the same order they are defined", so there
//! a trait is the patch and wins; the official parser does so (`applyTraitsToObjectV2` in its `apply-traits.ts`), and the
//! change to 3.0 (pull request 907 of asyncapi/spec) says that it was so.
//!
//! This happens on the tree, before anything is read, so that references into a message see it as it is in the end.

use std::collections::HashSet;

use crate::{
    codes,
    diag::{Diagnostic, Diagnostics},
    files::Files,
    node::{Entry, Node, Value},
    refs::{Place, Refs, reference},
};

/// Nodes that merging may copy in one document. References inside both sides could otherwise multiply.
const MAX_COPIES: usize = 1_000_000;
/// How deep objects are merged into each other; recursive schemas on both sides would never end. Below, the target wins.
const MAX_DEPTH: usize = 16;

/// Who wins where an object and a trait say different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Winner {
    /// The object itself, and a later trait over an earlier one: AsyncAPI 3.
    Object,
    /// The last trait: AsyncAPI 2.
    Trait,
}

/// Names every object that may have traits.
type Visit = dyn for<'a> Fn(&mut Visitor<'a>);

/// Gathers the places of objects with traits. What cannot be followed is reported by whoever reads it.
pub(crate) struct Visitor<'a> {
    refs: &'a Refs<'a>,
    found: Vec<Place>,
    seen: HashSet<Place>,
}

impl<'a> Visitor<'a> {
    /// The root of the document.
    pub(crate) fn root(&self) -> (&'a Node, Place) {
        (self.refs.root(), Place::root())
    }

    /// The object that `node` at `place` is in the end, when it was not visited before. Remembers it if it has traits.
    pub(crate) fn visit(&mut self, node: &'a Node, place: Place) -> Option<(&'a Node, Place)> {
        let target = self.refs.follow(node, place, node.span).ok()?;
        if !self.seen.insert(target.place.clone()) {
            return None;
        }
        if target.node.get("traits").is_some() {
            self.found.push(target.place.clone());
        }
        Some((target.node, target.place))
    }

    /// Visits every member of the mapping `field`.
    pub(crate) fn members(
        &mut self,
        (node, place): (&'a Node, &Place),
        field: &str,
    ) -> Vec<(&'a Node, Place)> {
        let collection = node.get(field).map(|node| self.refs.follow(node, place.child(field), node.span));
        let Some(Ok(collection)) = collection else { return Vec::new() };
        let members = collection.node.entries().iter();
        members.filter_map(|entry| self.visit(&entry.value, collection.place.child(&entry.key))).collect()
    }
}

/// Merges all traits. `visit` knows where the version has them.
pub(crate) fn merge(files: &mut Files, visit: &Visit, winner: Winner, diags: &mut Diagnostics) {
    let refs = Refs::new(files);
    let mut merger = Merger { refs: &refs, diags, winner, budget: MAX_COPIES };
    let mut changed = Vec::new();
    let mut visitor = Visitor { refs: &refs, found: Vec::new(), seen: HashSet::new() };
    visit(&mut visitor);
    for place in visitor.found {
        if let Some(node) = refs.at(&place) {
            changed.push((merger.object(node), place));
        }
    }
    // An operation is set before the message inside it.
    changed.sort_by_key(|(_, place)| place.tokens.len());
    for (node, place) in changed {
        let root = files.tree_mut(place.file);
        if let Some(slot) = place.tokens.iter().try_fold(root, |node, token| child_mut(node, token)) {
            *slot = node;
        }
    }
}

struct Merger<'a, 'd> {
    refs: &'a Refs<'a>,
    diags: &'d mut Diagnostics,
    winner: Winner,
    budget: usize,
}

impl Merger<'_, '_> {
    fn object(&mut self, node: &Node) -> Node {
        let own = node.entries().iter().filter(|e| e.key != "traits").cloned().collect();
        let own = Node { value: Value::Object(own), span: node.span };
        let mut merged = match self.winner {
            Winner::Object => Node { value: Value::Object(Vec::new()), span: node.span },
            Winner::Trait => self.copy(&own),
        };
        for item in node.get("traits").map_or(&[][..], Node::items) {
            match reference(item).map(|text| self.refs.resolve(text)) {
                None => merged = self.patch(merged, item, 0),
                Some(Ok(target)) => merged = self.patch(merged, target.node, 0),
                Some(Err(problem)) => self.diags.push(*problem),
            }
        }
        if self.winner == Winner::Object {
            merged = self.patch(merged, &own, 0);
        }
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
            self.diags.push(Diagnostic::error(
                codes::REF_LIMIT,
                node.span,
                "merging traits copies too much here",
            ));
            return Node { value: Value::Object(Vec::new()), span: node.span };
        }
        self.budget -= size;
        node.clone()
    }
}

fn same_reference(a: &Node, b: &Node) -> bool {
    matches!((reference(a), reference(b)),
        (Some(a), Some(b)) if a.as_str() == b.as_str() && a.span.file == b.span.file)
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
