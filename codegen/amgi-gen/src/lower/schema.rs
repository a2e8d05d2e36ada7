//! What single schemas say, without a look at those around them.

use amgi_asyncapi::{
    model::{Document, Schema},
    node::{Entry, Node, Value},
};
use serde_json::{Value as Json, json};

/// Keywords that no type and no rule stands for.
pub(super) const OTHER: &[&str] = &[
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

/// Keywords for values of one type, which say nothing about others.
pub(super) const STRINGS: &[&str] = &["minLength", "maxLength", "pattern", "format"];
pub(super) const NUMBERS: &[&str] =
    &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
pub(super) const ARRAYS: &[&str] = &["items", "minItems", "maxItems", "uniqueItems"];
pub(super) const OBJECTS: &[&str] =
    &["properties", "required", "additionalProperties", "minProperties", "maxProperties"];
pub(super) const ALTERNATIVES: &[&str] = &["anyOf", "oneOf"];
pub(super) const LITERAL: &[&str] = &["const", "enum"];

/// The first of the keywords that a schema has.
pub(super) fn any(node: &Node, keywords: &[&'static str]) -> Option<&'static str> {
    keywords.iter().copied().find(|keyword| node.get(keyword).is_some())
}

/// Whether a schema says something about values by itself; parts that it takes in with `allOf` speak for themselves.
pub(super) fn says_something(node: &Node) -> bool {
    let all = [OTHER, STRINGS, NUMBERS, ARRAYS, OBJECTS, ALTERNATIVES, LITERAL, &["type", "$ref"]];
    matches!(node.value, Value::Bool(false)) || all.iter().any(|keywords| any(node, keywords).is_some())
}

/// Whether two schemas allow the same values because they are written alike, but for what they say to readers.
pub(super) fn same(one: &Node, other: &Node) -> bool {
    fn alike(one: &Node, other: &Node) -> bool {
        match (&one.value, &other.value) {
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
            }
            (Value::Object(a), Value::Object(b)) => {
                let found =
                    |entry: &Entry| other.get(&entry.key).is_some_and(|value| alike(&entry.value, value));
                a.len() == b.len() && a.iter().all(found)
            }
            (a, b) => a == b,
        }
    }
    let said = |node: &Node, other: &Node| {
        let annotations = ["default", "description", "example", "examples", "title"];
        node.entries().iter().all(|entry| {
            annotations.contains(&entry.key.as_str())
                || other.get(&entry.key).is_some_and(|value| alike(&entry.value, value))
        })
    };
    let objects = matches!((&one.value, &other.value), (Value::Object(_), Value::Object(_)));
    std::ptr::eq(one, other) || (objects && said(one, other) && said(other, one))
}

/// The texts of a schema that allows only certain strings.
pub(super) fn strings(node: &Node) -> Option<Vec<&str>> {
    if let Some(constant) = node.get("const") {
        return constant.as_str().map(|text| vec![text]);
    }
    if let Some(values) = node.get("enum") {
        let texts: Vec<&str> = values.items().iter().filter_map(Node::as_str).collect();
        return (!texts.is_empty() && texts.len() == values.items().len()).then_some(texts);
    }
    // `oneOf` of constants is an enum with documentation.
    let branches = node.get("oneOf").or_else(|| node.get("anyOf"))?.items();
    let texts: Vec<&str> = branches.iter().filter_map(|b| b.get("const").and_then(Node::as_str)).collect();
    (!texts.is_empty() && texts.len() == branches.len()).then_some(texts)
}

/// The values of `const` or `enum`.
pub(super) fn literals(node: &Node) -> Option<&[Node]> {
    match (node.get("const"), node.get("enum")) {
        (Some(constant), _) => Some(std::slice::from_ref(constant)),
        (None, values) => values.map(Node::items),
    }
}

/// The schema behind references.
pub(super) fn resolve<'d>(doc: &'d Document, mut node: &'d Node) -> &'d Node {
    // A chain of nothing but references has an end, or the loader has refused it; the bound is for safety.
    for _ in 0..64 {
        match Schema::reference(node).and_then(|id| doc.schemas.get(id.index())) {
            Some(schema) => node = &schema.node,
            None => break,
        }
    }
    node
}

/// `type`, one or several.
pub(super) fn types(node: &Node) -> Vec<&str> {
    node.get("type").map(type_names).unwrap_or_default()
}

/// The names in the value of `type`.
pub(super) fn type_names(node: &Node) -> Vec<&str> {
    match &node.value {
        Value::String(one) => vec![one],
        _ => node.items().iter().filter_map(Node::as_str).collect(),
    }
}

/// Whether the types have null among them, and the listed values, if any, do too.
pub(super) fn nullable(node: &Node) -> bool {
    types(node).contains(&"null")
        && literals(node).is_none_or(|values| values.iter().any(|value| value.value == Value::Null))
}

pub(super) fn is_null(node: &Node) -> bool {
    types(node) == ["null"] || matches!(node.get("const"), Some(Node { value: Value::Null, .. }))
}

/// Whether a schema says nothing about the type.
pub(super) fn is_open(node: &Node) -> bool {
    match &node.value {
        Value::Bool(value) => *value,
        Value::Object(entries) => !entries.iter().any(|entry| {
            matches!(
                entry.key.as_str(),
                "$ref"
                    | "type"
                    | "properties"
                    | "items"
                    | "enum"
                    | "const"
                    | "oneOf"
                    | "anyOf"
                    | "allOf"
                    | "additionalProperties"
            )
        }),
        _ => true,
    }
}

/// Whether an alternative only adds conditions to what stands beside it, such as `required`.
pub(super) fn is_condition(node: &Node) -> bool {
    is_open(node)
}

/// The type of a schema that only says `const` or `enum`.
pub(super) fn literal_type(node: &Node) -> Json {
    let values = literals(node).unwrap_or_default();
    let all = |test: fn(&Value) -> bool| !values.is_empty() && values.iter().all(|node| test(&node.value));
    if all(|value| matches!(value, Value::Bool(_))) {
        json!({"type": "boolean"})
    } else if all(|value| matches!(value, Value::Number(number) if !number.is_f64())) {
        json!({"type": "integer", "format": "int64"})
    } else if all(|value| matches!(value, Value::Number(_))) {
        json!({"type": "number", "format": "double"})
    } else {
        json!(true)
    }
}

/// As wide as the bounds need: `None` where that is more than 64 bits. Where there are no bounds, `i64`, unless all must be held.
pub(super) fn integer_format(node: &Node, all: bool) -> Option<&'static str> {
    let bound = |keys: [&str; 2]| {
        keys.iter().filter_map(|key| node.get(key)).find_map(|node| match &node.value {
            Value::Number(number) => number.as_f64(),
            _ => None,
        })
    };
    let least = bound(["minimum", "exclusiveMinimum"]);
    let most = bound(["maximum", "exclusiveMaximum"]);
    let (lowest, highest, highest_unsigned) = (-(2_f64.powi(63)), 2_f64.powi(63), 2_f64.powi(64));
    match (least, most) {
        (Some(least), Some(most)) if least >= 0.0 && most <= f64::from(u32::MAX) => Some("uint32"),
        (Some(least), Some(most)) if least >= f64::from(i32::MIN) && most <= f64::from(i32::MAX) => {
            Some("int32")
        }
        (None, _) | (_, None) if all => None,
        (Some(least), most) if least >= 0.0 => {
            most.is_none_or(|most| most <= highest_unsigned).then_some("uint64")
        }
        (least, most) => (least.is_none_or(|least| least >= lowest)
            && most.is_none_or(|most| most <= highest))
        .then_some("int64"),
    }
}
