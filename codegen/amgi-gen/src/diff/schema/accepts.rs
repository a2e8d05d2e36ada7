//! Whether one value fits a schema, as far as that can be said here.

use amgi_asyncapi::node::{Node, Value};
use regress::Regex;

use super::{
    facts::{Bound, End, Num, Place, Types, divides},
    same::data,
};

/// How deep schemas may lead into each other for one value.
const DEEP: usize = 48;
/// Characters of a text that a pattern is tried on: expressions can take very long.
const LONG: usize = 40;

/// `None` where it cannot be decided.
pub(super) fn accepts(schema: Place<'_>, value: &Node) -> Option<bool> {
    fits(schema, value, 0)
}

/// Whether a text has a part of this pattern.
pub(super) fn finds(pattern: &str, text: &str) -> Option<bool> {
    if text.chars().nth(LONG).is_some() {
        return None;
    }
    let expression = Regex::with_flags(pattern, "u").or_else(|_| Regex::new(pattern)).ok()?;
    Some(expression.find(text).is_some())
}

/// Every part must hold.
fn all(parts: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    let mut decided = Some(true);
    for part in parts {
        match part {
            Some(true) => {}
            Some(false) => return Some(false),
            None => decided = None,
        }
    }
    decided
}

fn fits(schema: Place<'_>, value: &Node, depth: usize) -> Option<bool> {
    if depth > DEEP {
        return None;
    }
    if let Value::Bool(any) = schema.node.value {
        return Some(any);
    }
    let ty = Types::of(value);
    let known =
        all([
            Some(ty.within(schema.said_types())),
            Some(schema.get("const").is_none_or(|constant| equal(constant, value))),
            Some(schema.get("enum").is_none_or(|list| {
                list.items().is_empty() || list.items().iter().any(|one| equal(one, value))
            })),
            match &value.value {
                Value::Number(_) => Some(number(schema, value)),
                Value::String(text) => self::text(schema, text),
                Value::Array(items) => array(schema, items, depth),
                Value::Object(_) => object(schema, value, depth),
                Value::Null | Value::Bool(_) => Some(true),
            },
        ]);
    if known == Some(false) {
        return known;
    }
    all([known, applied(schema, value, depth)])
}

fn equal(one: &Node, value: &Node) -> bool {
    match (&one.value, &value.value) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|entry| value.get(&entry.key).is_some_and(|other| equal(&entry.value, other)))
        }
        _ => data(one, value),
    }
}

fn applied(schema: Place<'_>, value: &Node, depth: usize) -> Option<bool> {
    let each =
        |list: Vec<Place<'_>>| list.into_iter().map(|part| fits(part, value, depth + 1)).collect::<Vec<_>>();
    let any_of = each(schema.list("anyOf"));
    let one_of = each(schema.list("oneOf"));
    let any = if any_of.is_empty() || any_of.contains(&Some(true)) {
        Some(true)
    } else if any_of.contains(&None) {
        None
    } else {
        Some(false)
    };
    let fitting = one_of.iter().filter(|one| **one == Some(true)).count();
    let one = match (one_of.is_empty(), fitting, one_of.contains(&None)) {
        (true, ..) | (_, 1, false) => Some(true),
        (_, 0 | 1, true) => None,
        _ => Some(false),
    };
    let not = schema.schema("not").map_or(Some(true), |not| fits(not, value, depth + 1).map(|fits| !fits));
    let branch = match schema.schema("if").map(|condition| fits(condition, value, depth + 1)) {
        None => Some(true),
        Some(None) => None,
        Some(Some(holds)) => schema
            .schema(if holds { "then" } else { "else" })
            .map_or(Some(true), |branch| fits(branch, value, depth + 1)),
    };
    let unevaluated =
        ["unevaluatedItems", "unevaluatedProperties"].iter().any(|keyword| schema.get(keyword).is_some());
    all(each(schema.list("allOf")).into_iter().chain([any, one, not, branch, (!unevaluated).then_some(true)]))
}

fn number(schema: Place<'_>, value: &Node) -> bool {
    let Value::Number(number) = &value.value else { return true };
    let own = Bound { at: Num::of(number), open: false };
    let within = [End::Lower, End::Upper]
        .into_iter()
        .all(|end| Bound::of(schema, end).is_none_or(|(bound, _)| bound.covers(own, end)));
    let multiple = schema.number("multipleOf").is_none_or(|of| divides(number, of));
    within && multiple
}

fn text(schema: Place<'_>, text: &str) -> Option<bool> {
    let length = text.chars().count() as u64;
    let pattern = schema.text("pattern").map_or(Some(true), |pattern| finds(pattern, text));
    all([
        Some(schema.size("minLength").is_none_or(|least| length >= least)),
        Some(schema.size("maxLength").is_none_or(|most| length <= most)),
        pattern,
        // What has a format is for others to judge.
        schema.get("format").is_none().then_some(true),
    ])
}

fn array(schema: Place<'_>, items: &[Node], depth: usize) -> Option<bool> {
    let count = items.len() as u64;
    let (prefix, rest) = super::array::items(schema);
    let unique = !schema.flag("uniqueItems")
        || items.iter().enumerate().all(|(at, item)| items[..at].iter().all(|other| !equal(other, item)));
    let each = items.iter().enumerate().map(|(at, item)| {
        prefix.get(at).copied().or(rest).map_or(Some(true), |schema| fits(schema, item, depth + 1))
    });
    all(each.chain([
        Some(schema.size("minItems").is_none_or(|least| count >= least)),
        Some(schema.size("maxItems").is_none_or(|most| count <= most)),
        Some(unique),
        schema.get("contains").is_none().then_some(true),
    ]))
}

fn object(schema: Place<'_>, value: &Node, depth: usize) -> Option<bool> {
    let entries = value.entries();
    let count = entries.len() as u64;
    let patterns: Vec<_> = schema.map("patternProperties").collect();
    let each = entries.iter().map(|entry| {
        let mut found: Vec<Place<'_>> = schema.member("properties", &entry.key).into_iter().collect();
        for (pattern, schema) in &patterns {
            if finds(pattern, &entry.key)? {
                found.push(*schema);
            }
        }
        if found.is_empty() {
            found.extend(schema.schema("additionalProperties"));
        }
        all(found.into_iter().map(|schema| fits(schema, &entry.value, depth + 1)))
    });
    let rare = ["propertyNames", "dependencies", "dependentRequired", "dependentSchemas"];
    all(each.chain([
        Some(schema.required().all(|name| value.get(name).is_some())),
        Some(schema.size("minProperties").is_none_or(|least| count >= least)),
        Some(schema.size("maxProperties").is_none_or(|most| count <= most)),
        rare.iter().all(|keyword| schema.get(keyword).is_none()).then_some(true),
    ]))
}
