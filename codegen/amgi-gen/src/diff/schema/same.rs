//! Whether two schemas say the same of values, word by word, references followed.

use std::collections::HashSet;

use amgi_asyncapi::node::{Node, Value};

use super::facts::{Identity, Place, is_schema};

/// Keywords that say something of values. All others are for people, or for Rust.
const KEYWORDS: &[&str] = &[
    "$ref",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "contentEncoding",
    "contentMediaType",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "discriminator",
    "else",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "if",
    "items",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "required",
    "then",
    "type",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
];

/// Pairs of schemas that were found to be the same.
#[derive(Debug, Default)]
pub(super) struct Same {
    proven: HashSet<(Identity, Identity)>,
}

impl Same {
    pub(super) fn are(&mut self, a: Place<'_>, b: Place<'_>) -> bool {
        let mut assumed = HashSet::new();
        let same = self.schemas(a, b, &mut assumed);
        if same {
            self.proven.extend(assumed);
        }
        same
    }

    /// Whatever was assumed on the way holds when all of it does, so that circles come to an end.
    fn schemas(&self, a: Place<'_>, b: Place<'_>, assumed: &mut HashSet<(Identity, Identity)>) -> bool {
        let pair = (a.id(), b.id());
        if pair.0 == pair.1 || self.proven.contains(&pair) || !assumed.insert(pair) {
            return true;
        }
        match (&a.node.value, &b.node.value) {
            (Value::Object(_), Value::Object(_)) => {}
            (x, y) => return any(x) == any(y),
        }
        KEYWORDS.iter().all(|keyword| match (a.get(keyword), b.get(keyword)) {
            (None, None) => true,
            (Some(x), Some(y)) => self.keyword(keyword, (a, x), (b, y), assumed),
            _ => false,
        })
    }

    fn keyword(
        &self,
        keyword: &str,
        (a, x): (Place<'_>, &Node),
        (b, y): (Place<'_>, &Node),
        assumed: &mut HashSet<(Identity, Identity)>,
    ) -> bool {
        let mut both = |x: &Node, y: &Node| {
            if is_schema(x) && is_schema(y) {
                // They live as long as their documents, which the borrow of this call need not.
                self.schemas(a_at(a, x), a_at(b, y), assumed)
            } else {
                data(x, y)
            }
        };
        match keyword {
            "properties" | "patternProperties" | "dependencies" | "dependentSchemas" => {
                let (x, y) = (x.entries(), y.entries());
                x.len() == y.len()
                    && x.iter().all(|entry| {
                        y.iter()
                            .find(|other| other.key == entry.key)
                            .is_some_and(|other| both(&entry.value, &other.value))
                    })
            }
            "allOf" | "anyOf" | "items" | "oneOf" | "prefixItems" if !is_schema(x) => {
                x.items().len() == y.items().len() && x.items().iter().zip(y.items()).all(|(x, y)| both(x, y))
            }
            "additionalItems"
            | "additionalProperties"
            | "contains"
            | "else"
            | "if"
            | "items"
            | "not"
            | "propertyNames"
            | "then"
            | "unevaluatedItems"
            | "unevaluatedProperties" => both(x, y),
            "enum" | "required" | "type" => set(x, y),
            _ => data(x, y),
        }
    }
}

fn a_at<'n>(place: Place<'n>, node: &'n Node) -> Place<'n> {
    place.at(node)
}

fn any(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(any) => Some(*any),
        _ => None,
    }
}

/// Whether two values are the same, wherever they stand.
pub(in crate::diff) fn data(x: &Node, y: &Node) -> bool {
    match (&x.value, &y.value) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || (a.as_f64() == b.as_f64() && (a.is_f64() || b.is_f64()))
        }
        _ => x.to_json() == y.to_json(),
    }
}

/// The same for lists whose order says nothing.
fn set(x: &Node, y: &Node) -> bool {
    let list = |node: &Node| match &node.value {
        Value::Array(items) => items.iter().map(|item| item.to_json().to_string()).collect::<HashSet<_>>(),
        _ => HashSet::from([node.to_json().to_string()]),
    };
    list(x) == list(y)
}
