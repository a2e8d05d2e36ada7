//! Whether a message takes everything that another is meant to take.
//!
//! Says yes only where that is certain for all messages that have no other members than those their schema declares. Whatever is
//! not understood is a no.

use amgi_asyncapi::{
    model::{Id, Schema},
    node::{Node, Value},
};

use super::{scalars, types};
use crate::{
    ir,
    lower::{Lowering, shape::Shaper},
};

/// How deep schemas are compared.
const MOST_DEPTH: usize = 12;

impl Lowering<'_> {
    /// Whether what is meant as message `b` also fits `a`.
    pub(super) fn covers(&self, a: usize, b: usize, types: &[ir::TypeDef]) -> bool {
        let (first, second) = (&self.messages[a], &self.messages[b]);
        if takes_all(first, types) {
            return true;
        }
        let codec = |message: &ir::Message| message.payload.as_ref().map(|payload| payload.codec);
        if codec(first) != codec(second) || codec(first) == Some(ir::Codec::Text) {
            return false;
        }
        let (a, b) = (&self.doc[self.message_ids[a]], &self.doc[self.message_ids[b]]);
        let part = |a: Option<Id<Schema>>, b: Option<Id<Schema>>| match (a, b) {
            (None, _) => true,
            (Some(a), Some(b)) => a == b || covers(&self.shaper, &self.doc[a].node, &self.doc[b].node, 0),
            (Some(_), None) => false,
        };
        part(a.payload, b.payload) && part(a.headers, b.headers)
    }
}

/// Whether a message fits whatever comes: it has no payload, or one that nothing can break.
pub(super) fn takes_all(message: &ir::Message, types: &[ir::TypeDef]) -> bool {
    let required = |fields: &ir::Fields| {
        fields.fields.iter().any(|field| !matches!(field.ty, ir::Ty::Option(_)) && field.default.is_none())
    };
    if message.headers.as_ref().is_some_and(required) {
        return false;
    }
    match &message.payload {
        None => true,
        Some(payload) => match &payload.ty {
            ir::Ty::Json | ir::Ty::Bytes => payload.rules.is_empty(),
            ir::Ty::Named(name) => types.iter().any(|def| {
                def.name == *name
                    && matches!(&def.kind, ir::TypeKind::Struct { fields, closed: false, .. }
                        if fields.iter().all(|field| field.missing != ir::Missing::Refused))
            }),
            _ => false,
        },
    }
}

/// Keywords that say nothing about what fits.
fn is_annotation(keyword: &str) -> bool {
    keyword.starts_with("x-")
        || keyword.starts_with('$') && keyword != "$ref"
        || matches!(
            keyword,
            "title"
                | "description"
                | "default"
                | "example"
                | "examples"
                | "deprecated"
                | "readOnly"
                | "writeOnly"
                | "definitions"
                | "discriminator"
                | "externalDocs"
        )
}

/// Keywords that are compared by what they mean; of all others both sides must say the same.
const UNDERSTOOD: &[&str] =
    &["type", "properties", "required", "additionalProperties", "allOf", "items", "const", "enum"];

fn covers<'d>(shaper: &Shaper<'d>, a: &'d Node, b: &'d Node, depth: usize) -> bool {
    let (a, b) = (shaper.resolve(a), shaper.resolve(b));
    if same(a, b) {
        return true;
    }
    if depth > MOST_DEPTH || a.value == Value::Bool(false) {
        return false;
    }
    let others =
        a.entries().iter().filter(|e| !is_annotation(&e.key) && !UNDERSTOOD.contains(&e.key.as_str()));
    if !others.into_iter().all(|e| b.get(&e.key).is_some_and(|value| same(&e.value, value))) {
        return false;
    }
    let parts = a.get("allOf").map(Node::items).unwrap_or_default();
    if !parts.iter().all(|part| is_plain_object(shaper, part, 0)) {
        return false;
    }
    let objects = shaper.object(&[a]).zip(shaper.object(&[b]));
    let (ours, theirs) = (types(a), types(b));
    let typed = theirs.iter().all(|ty| ours.contains(ty) || (*ty == "integer" && ours.contains(&"number")));
    let untyped = theirs.is_empty() && objects.is_none();
    if !ours.is_empty() && (!typed || untyped) {
        return false;
    }
    if a.get("const").or(a.get("enum")).is_some() {
        let Some(((all, text), (some, kind))) = scalars(a).zip(scalars(b)) else { return false };
        if text != kind || !some.iter().all(|value| all.contains(value)) {
            return false;
        }
    }
    if let Some(items) = a.get("items")
        && !b.get("items").is_some_and(|theirs| covers(shaper, items, theirs, depth + 1))
    {
        return false;
    }
    let Some((ours, theirs)) = objects else {
        // Only one of them is an object.
        return shaper.object(&[a]).is_none();
    };
    let declared = |name: &str| theirs.properties.iter().find(|(wire, _)| *wire == name);
    let takes = |ours: &[&'d Node], theirs: &[&'d Node]| {
        ours.iter().all(|a| theirs.iter().any(|b| covers(shaper, a, b, depth + 1)))
    };
    ours.required.is_subset(&theirs.required)
        && ours.properties.iter().all(|(wire, nodes)| match declared(wire) {
            Some((_, theirs)) => takes(nodes, theirs),
            None => !ours.required.contains(wire),
        })
        && theirs.properties.iter().all(|(wire, nodes)| {
            let known = ours.properties.iter().any(|(name, _)| name == wire);
            known || (!ours.closed && ours.additional.is_none_or(|additional| takes(&[additional], nodes)))
        })
}

/// Whether a part of `allOf` says nothing but what merging objects keeps.
fn is_plain_object<'d>(shaper: &Shaper<'d>, node: &'d Node, depth: usize) -> bool {
    let node = shaper.resolve(node);
    let known = ["type", "properties", "required", "additionalProperties", "allOf"];
    depth < MOST_DEPTH
        && matches!(node.value, Value::Object(_))
        && node.entries().iter().all(|e| is_annotation(&e.key) || known.contains(&e.key.as_str()))
        && node
            .get("allOf")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .all(|part| is_plain_object(shaper, part, depth + 1))
}

/// Whether two schemas, or parts of them, say the same.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(_), Value::Object(_)) => {
            let within = |a: &Node, b: &Node| {
                let mut said = a.entries().iter().filter(|e| !is_annotation(&e.key));
                said.all(|e| b.get(&e.key).is_some_and(|value| same(&e.value, value)))
            };
            std::ptr::eq(a, b) || (within(a, b) && within(b, a))
        }
        (a, b) => a == b,
    }
}
