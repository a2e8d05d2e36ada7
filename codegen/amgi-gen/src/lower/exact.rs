//! Where types and rules say exactly what a schema says, and where they do not: then a validator reads the schema itself.
//!
//! What must stay true: a schema without a reason here is decided by its type and rules alone, in both directions; a
//! schema with one has a type that holds every value the schema allows. When in doubt there is a reason.

use amgi_asyncapi::{
    diag::Span,
    node::{Node, Value},
};

use super::{
    custom,
    rules::needs_validator,
    shape::{self, Shaper, types},
};

/// Keywords that no type and no rule stands for.
const OTHER: &[&str] = &[
    "contains",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "if",
    "not",
    "patternProperties",
    "prefixItems",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentEncoding",
    "contentMediaType",
];

/// Keywords for values of a type that the schema may not have.
const STRINGS: &[&str] = &["minLength", "maxLength", "pattern", "format"];
const NUMBERS: &[&str] = &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
const ARRAYS: &[&str] = &["items", "minItems", "maxItems", "uniqueItems"];
const OBJECTS: &[&str] =
    &["properties", "required", "additionalProperties", "minProperties", "maxProperties"];
const COMBINED: &[&str] = &["allOf", "anyOf", "oneOf"];
const LITERAL: &[&str] = &["const", "enum"];

/// Why the type and the rules of a schema are not all that it says: the keyword, `None` when they are.
///
/// Beside it the place of the keyword.
pub(super) fn reason<'d>(shaper: &Shaper<'d>, node: &'d Node) -> Option<(&'static str, Span)> {
    let mut reasons = Reasons { shaper, seen: Vec::new(), place: None };
    reasons.of(node).map(|keyword| (keyword, reasons.place.unwrap_or(node.span)))
}

struct Reasons<'s, 'd> {
    shaper: &'s Shaper<'d>,
    /// What was looked at, or is: a schema that leads back to itself adds nothing.
    seen: Vec<*const Node>,
    /// Where the innermost reason lies.
    place: Option<Span>,
}

impl<'d> Reasons<'_, 'd> {
    fn of(&mut self, node: &'d Node) -> Option<&'static str> {
        let node = self.shaper.resolve(node);
        let keyword = self.whole(node)?;
        self.place.get_or_insert_with(|| node.entry(keyword).map_or(node.span, |entry| entry.key_span));
        Some(keyword)
    }

    fn whole(&mut self, node: &'d Node) -> Option<&'static str> {
        match node.value {
            Value::Bool(true) => return None,
            Value::Bool(false) => return Some("false"),
            _ => {}
        }
        let identity: *const Node = node;
        if self.seen.contains(&identity) || custom::rust_type(node).is_some() {
            return None;
        }
        self.seen.push(identity);
        if let Some(keyword) = any(node, OTHER) {
            return Some(keyword);
        }
        if needs_validator(self.shaper, node) {
            return Some("format");
        }
        if shape::strings(node).is_some() {
            return texts(node);
        }
        if self.shaper.is_opaque(node) {
            return Some("type");
        }
        let nullable = types(node).contains(&"null");
        if nullable && !literal_allows_null(node) {
            return Some("enum");
        }
        if any(node, &["anyOf", "oneOf"]).is_some() {
            return self.alternatives(node);
        }
        if self.shaper.object(&[node]).is_some() {
            return self.object(node);
        }
        if let Some(parts) = node.get("allOf") {
            return self.scalars(node, parts);
        }
        let types: Vec<&str> = types(node).into_iter().filter(|ty| *ty != "null").collect();
        match types.as_slice() {
            [] if nullable => any(node, LITERAL),
            [] => untyped(node),
            ["array"] => self.array(node),
            ["string" | "number" | "integer" | "boolean"] => None,
            several => {
                let plain = several.iter().all(|ty| ["string", "number", "integer", "boolean"].contains(ty));
                if plain { any(node, LITERAL) } else { Some("type") }
            }
        }
    }

    fn array(&mut self, node: &'d Node) -> Option<&'static str> {
        if let Some(keyword) = any(node, LITERAL) {
            return Some(keyword);
        }
        let items = node.get("items");
        match items.map(|items| &items.value) {
            Some(Value::Array(_) | Value::Bool(false)) => return Some("items"),
            Some(Value::Object(_)) => {
                if let Some(reason) = self.of(items?) {
                    return Some(reason);
                }
            }
            _ => {}
        }
        let unique = matches!(node.get("uniqueItems"), Some(Node { value: Value::Bool(true), .. }));
        // Items that lost members on their way may be equal without having been.
        let scalar = items.is_none_or(|items| {
            let item = self.shaper.resolve(items);
            let types = types(item);
            shape::strings(item).is_some()
                || (!types.is_empty() && types.iter().all(|ty| !["object", "array"].contains(ty)))
        });
        (unique && !scalar).then_some("uniqueItems")
    }

    fn object(&mut self, node: &'d Node) -> Option<&'static str> {
        if let Some(keyword) = any(node, LITERAL) {
            return Some(keyword);
        }
        let object = self.shaper.object(&[node])?;
        let several = types(node).iter().filter(|ty| **ty != "null").count() > 1;
        if several {
            return Some("type");
        }
        let has_members = !object.properties.is_empty();
        if has_members || object.closed {
            if let Some(keyword) = any(node, &["minProperties", "maxProperties"]) {
                return Some(keyword);
            }
            if !has_members && types(node).contains(&"null") {
                return Some("additionalProperties");
            }
        }
        if !object.required.iter().all(|name| object.properties.iter().any(|(wire, _)| wire == name)) {
            return Some("required");
        }
        for part in node.get("allOf").map(Node::items).unwrap_or_default() {
            if let Some(reason) = self.part(part, 0) {
                return Some(reason);
            }
        }
        let merged = node.get("allOf").is_some();
        if merged && (object.closed || object.additional.is_some_and(|node| !is_true(node))) {
            return Some("additionalProperties");
        }
        for (_, nodes) in &object.properties {
            let mut said = nodes.iter().filter(|node| !is_empty(self.shaper.resolve(node)));
            let first = said.next();
            if said.next().is_some() {
                return Some("allOf");
            }
            if let Some(reason) = first.and_then(|node| self.of(node)) {
                return Some(reason);
            }
        }
        object.additional.and_then(|node| self.of(node))
    }

    /// A part of an object that is merged into it.
    fn part(&self, part: &'d Node, depth: usize) -> Option<&'static str> {
        let part = self.shaper.resolve(part);
        if depth > 32 || matches!(part.value, Value::Bool(false)) {
            return Some("allOf");
        }
        let others =
            [OTHER, STRINGS, NUMBERS, ARRAYS, LITERAL, &["anyOf", "oneOf", "minProperties", "maxProperties"]];
        if let Some(keyword) = others.iter().find_map(|keywords| any(part, keywords)) {
            return Some(keyword);
        }
        let types = types(part);
        if !types.is_empty() && types != ["object"] {
            return Some("type");
        }
        part.get("allOf")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .find_map(|part| self.part(part, depth + 1))
    }

    /// Scalars whose rules stand in several places.
    fn scalars(&self, node: &'d Node, parts: &'d Node) -> Option<&'static str> {
        let all: Vec<&Node> =
            std::iter::once(node).chain(parts.items().iter().map(|part| self.shaper.resolve(part))).collect();
        let mut said: Vec<&str> = Vec::new();
        for (index, part) in all.iter().enumerate() {
            let combined = any(part, COMBINED).filter(|_| index > 0);
            if combined.or(any(part, OTHER)).or(any(part, LITERAL)).is_some()
                || needs_validator(self.shaper, part)
                || !matches!(part.value, Value::Object(_))
            {
                return Some("allOf");
            }
            for ty in types(part) {
                if !said.contains(&ty) {
                    said.push(ty);
                }
            }
        }
        (said.len() != 1 || !["string", "number", "integer", "boolean"].contains(&said[0])).then_some("allOf")
    }

    fn alternatives(&mut self, node: &'d Node) -> Option<&'static str> {
        let keyword = if node.get("oneOf").is_some() { "oneOf" } else { "anyOf" };
        let beside = [STRINGS, NUMBERS, ARRAYS, OBJECTS, LITERAL, &["allOf"]];
        if beside.iter().any(|keywords| any(node, keywords).is_some())
            || (node.get("oneOf").is_some() && node.get("anyOf").is_some())
            || !types(node).is_empty()
        {
            return Some(keyword);
        }
        let all = node.get(keyword).map(Node::items).unwrap_or_default();
        let branches = self.shaper.branches(node).unwrap_or_default();
        let nulls = all.len() - branches.len().min(all.len());
        if branches.is_empty() || nulls > 1 {
            return Some(keyword);
        }
        for (index, branch) in branches.iter().enumerate() {
            let target = self.shaper.resolve(branch);
            if types(target).contains(&"null") || !matches!(target.value, Value::Object(_)) {
                return Some(keyword);
            }
            // "Exactly one" is true of what fits one when no value fits two.
            let apart = keyword == "anyOf"
                || branches[..index].iter().all(|other| self.apart(self.shaper.resolve(other), target));
            if !apart || any(target, COMBINED).is_some() && branches.len() > 1 {
                return Some(keyword);
            }
            if let Some(reason) = self.of(branch) {
                return Some(reason);
            }
        }
        None
    }

    /// Whether no value fits both: they have different types, or a member that must be there has different constants.
    fn apart(&self, one: &'d Node, other: &'d Node) -> bool {
        if let (Some(one), Some(other)) = (shape::strings(one), shape::strings(other)) {
            return one.iter().all(|text| !other.contains(text));
        }
        let kinds = |node: &'d Node| match shape::strings(node) {
            Some(_) => vec!["string"],
            None => types(node).into_iter().map(|ty| if ty == "integer" { "number" } else { ty }).collect(),
        };
        let (a, b) = (kinds(one), kinds(other));
        if !a.is_empty() && !b.is_empty() && a.iter().all(|ty| !b.contains(ty)) {
            return true;
        }
        let (Some(one), Some(other)) = (self.shaper.object(&[one]), self.shaper.object(&[other])) else {
            return false;
        };
        let constants =
            |nodes: &[&'d Node]| nodes.iter().find_map(|node| shape::strings(self.shaper.resolve(node)));
        one.properties.iter().any(|(wire, nodes)| {
            let same = other.properties.iter().find(|(name, _)| name == wire);
            let both = same.and_then(|(_, others)| Some((constants(nodes)?, constants(others)?)));
            one.required.contains(wire)
                && other.required.contains(wire)
                && both.is_some_and(|(a, b)| a.iter().all(|text| !b.contains(text)))
        })
    }
}

/// The first of the keywords that a schema has.
fn any(node: &Node, keywords: &[&'static str]) -> Option<&'static str> {
    keywords.iter().copied().find(|keyword| node.get(keyword).is_some())
}

/// An enum of texts holds exactly these, unless something beside says otherwise.
fn texts(node: &Node) -> Option<&'static str> {
    let types = types(node);
    if !types.is_empty() && types != ["string"] {
        return Some("enum");
    }
    if node.get("const").is_some() && node.get("enum").is_some() {
        return Some("enum");
    }
    let beside = [STRINGS, &["allOf"]];
    let beside =
        beside.iter().find_map(|keywords| any(node, keywords)).filter(|keyword| *keyword != "format");
    let listed = any(node, LITERAL).is_some();
    let alternatives = node.get("oneOf").or_else(|| node.get("anyOf"));
    if listed && alternatives.is_some() {
        return Some("oneOf");
    }
    let plain = |branch: &Node| {
        let types = shape::types(branch);
        (types.is_empty() || types == ["string"])
            && STRINGS.iter().chain(COMBINED).all(|key| branch.get(key).is_none())
    };
    if alternatives.is_some_and(|all| !all.items().iter().all(plain)) {
        return Some("oneOf");
    }
    beside
}

fn literal_allows_null(node: &Node) -> bool {
    match (node.get("const"), node.get("enum")) {
        (Some(constant), _) => constant.value == Value::Null,
        (_, Some(values)) => values.items().iter().any(|value| value.value == Value::Null),
        _ => true,
    }
}

fn untyped(node: &Node) -> Option<&'static str> {
    let beside = [STRINGS, NUMBERS, ARRAYS, OBJECTS];
    if let Some(keyword) = beside.iter().find_map(|keywords| any(node, keywords)) {
        return Some(keyword);
    }
    let values: &[Node] = match (node.get("const"), node.get("enum")) {
        (Some(_), Some(_)) => return Some("enum"),
        (Some(constant), None) => std::slice::from_ref(constant),
        (None, Some(values)) => values.items(),
        (None, None) => return None,
    };
    // An `i64` holds them, where all are integers.
    let wide =
        |node: &Node| matches!(&node.value, Value::Number(number) if number.is_u64() && !number.is_i64());
    values.iter().any(wide).then_some("enum")
}

fn is_true(node: &Node) -> bool {
    matches!(node.value, Value::Bool(true))
}

/// Whether a schema says nothing about values.
fn is_empty(node: &Node) -> bool {
    is_true(node)
        || (matches!(node.value, Value::Object(_))
            && [OTHER, STRINGS, NUMBERS, ARRAYS, OBJECTS, COMBINED, LITERAL, &["type"]]
                .iter()
                .all(|keywords| any(node, keywords).is_none()))
}
