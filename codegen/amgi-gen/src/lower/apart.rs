//! Whether alternatives can be told apart: then no value fits two of them, and the first that fits is the one.

use std::collections::HashMap;

use amgi_asyncapi::node::{Node, Value};

use super::{
    alternatives::MOST_DEPTH,
    schema::{literals, strings, types},
    shape::Shaper,
};

/// Whether no value fits two of the schemas.
pub(super) fn all<'d>(shaper: &Shaper<'d>, branches: &[&'d Node]) -> bool {
    branches
        .iter()
        .enumerate()
        .all(|(index, branch)| branches[..index].iter().all(|other| apart(shaper, other, branch)))
}

/// They have different types, or a member that must be there has different constants.
fn apart<'d>(shaper: &Shaper<'d>, one: &'d Node, other: &'d Node) -> bool {
    let (one, other) = (shaper.resolve(one), shaper.resolve(other));
    if let (Some(one), Some(other)) = (strings(one), strings(other)) {
        return one.iter().all(|text| !other.contains(text));
    }
    let kinds = |node| kinds(shaper, node).map(|kinds| kinds.into_iter().map(number).collect::<Vec<_>>());
    if let (Some(one), Some(other)) = (kinds(one), kinds(other))
        && one.iter().all(|kind| !other.contains(kind))
    {
        return true;
    }
    let (Some(one), Some(other)) = (shaper.object(&[one]), shaper.object(&[other])) else {
        return false;
    };
    let constants = |nodes: &[&'d Node]| nodes.iter().find_map(|node| strings(shaper.resolve(node)));
    one.properties.iter().any(|(wire, nodes)| {
        let same = other.properties.iter().find(|(name, _)| name == wire);
        let both = same.and_then(|(_, others)| Some((constants(nodes)?, constants(others)?)));
        one.required.contains(wire)
            && other.required.contains(wire)
            && both.is_some_and(|(a, b)| a.iter().all(|text| !b.contains(text)))
    })
}

/// Whether integers and numbers are alternatives. An integer too large for its type would fit the other one alone.
pub(super) fn is_split<'d>(shaper: &Shaper<'d>, branches: &[&'d Node]) -> bool {
    let all: Vec<&str> = branches.iter().filter_map(|branch| kinds(shaper, branch)).flatten().collect();
    all.contains(&"integer") && all.contains(&"number")
}

fn number(kind: &str) -> &str {
    if kind == "integer" { "number" } else { kind }
}

/// Whether a schema says that its values are objects, and nothing else.
pub(super) fn is_object<'d>(shaper: &Shaper<'d>, node: &'d Node) -> bool {
    kinds(shaper, node).is_some_and(|kinds| kinds.iter().all(|kind| *kind == "object"))
}

/// The types that values of a schema may have, where it says so.
pub(super) fn kinds<'d>(shaper: &Shaper<'d>, node: &'d Node) -> Option<Vec<&'d str>> {
    kinds_at(shaper, node, 0, &mut HashMap::new())
}

/// `known` is what was found, and nothing of a schema that is looked at.
fn kinds_at<'d>(
    shaper: &Shaper<'d>,
    node: &'d Node,
    depth: usize,
    known: &mut HashMap<*const Node, Option<Vec<&'d str>>>,
) -> Option<Vec<&'d str>> {
    let node = shaper.resolve(node);
    if let Some(found) = known.get(&std::ptr::from_ref(node)) {
        return found.clone();
    }
    if depth > MOST_DEPTH {
        return None;
    }
    known.insert(node, None);
    let found = own_kinds(node).or_else(|| {
        let mut kinds = |node: &'d Node| kinds_at(shaper, node, depth + 1, known);
        if let Some(found) = node.get("allOf").and_then(|parts| parts.items().iter().find_map(&mut kinds)) {
            return Some(found);
        }
        let all = node.get("oneOf").or_else(|| node.get("anyOf"))?;
        let mut found = all.items().iter().map(kinds).collect::<Option<Vec<_>>>()?.concat();
        found.sort_unstable();
        found.dedup();
        Some(found)
    });
    known.insert(node, found.clone());
    found
}

fn own_kinds(node: &Node) -> Option<Vec<&str>> {
    if strings(node).is_some() {
        return Some(vec!["string"]);
    }
    let types = types(node);
    if !types.is_empty() {
        return Some(types);
    }
    literals(node).map(|values| values.iter().map(kind).collect())
}

/// The type of a value.
fn kind(value: &Node) -> &'static str {
    match &value.value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
