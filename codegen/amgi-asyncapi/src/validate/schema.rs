//! The form of JSON Schemas: what a meta-schema would say, in words that help.

use super::mismatch;
use crate::{
    codes,
    diag::{Diagnostic, Diagnostics, nearest},
    node::{Node, Value},
    schema::{Position, is_map_reference, position},
};

const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// Checks the schema that stands under `key`, and all within.
pub(super) fn check(node: &Node, key: &str, diags: &mut Diagnostics) {
    let entries = match &node.value {
        Value::Object(entries) => entries,
        Value::Bool(_) => return,
        _ => {
            diags.push(mismatch(node, &format!("the schema `{key}`"), "an object or a boolean"));
            return;
        }
    };
    for entry in entries {
        let (keyword, value) = (entry.key.as_str(), &entry.value);
        match position(keyword) {
            Position::Map => match &value.value {
                Value::Object(schemas) => {
                    // `dependencies` also names lists of properties.
                    let schemas = schemas
                        .iter()
                        .filter(|e| !matches!(e.value.value, Value::Array(_)) || keyword != "dependencies");
                    for entry in schemas {
                        if is_map_reference(entry) {
                            let message = format!("`{keyword}` should not be a reference");
                            diags.push(
                                Diagnostic::warning(codes::REF_MAP, entry.key_span, message).help(
                                    "it is followed all the same; refer to the schema that has them, for instance in `allOf`",
                                ),
                            );
                        } else {
                            check(&entry.value, &entry.key, diags);
                        }
                    }
                }
                _ => expect(value, keyword, "an object of schemas", false, diags),
            },
            Position::Schema => match &value.value {
                Value::Array(items)
                    if matches!(keyword, "allOf" | "anyOf" | "items" | "oneOf" | "prefixItems") =>
                {
                    for item in items {
                        check(item, keyword, diags);
                    }
                }
                _ if matches!(keyword, "allOf" | "anyOf" | "oneOf" | "prefixItems") => {
                    expect(value, keyword, "a list of schemas", false, diags);
                }
                _ => check(value, keyword, diags),
            },
            Position::Data => data(keyword, value, diags),
        }
    }
}

/// Calls `each` with the text of every reference in a schema.
pub(super) fn references(node: &Node, each: &mut impl FnMut(&Node)) {
    for entry in node.entries() {
        match position(&entry.key) {
            Position::Data => {
                if entry.key == "$ref" && entry.value.as_str().is_some() {
                    each(&entry.value);
                }
            }
            Position::Schema => match &entry.value.value {
                Value::Array(items) => items.iter().for_each(|item| references(item, each)),
                _ => references(&entry.value, each),
            },
            Position::Map => {
                for entry in entry.value.entries().iter().filter(|entry| !is_map_reference(entry)) {
                    references(&entry.value, each);
                }
            }
        }
    }
}

fn data(keyword: &str, value: &Node, diags: &mut Diagnostics) {
    let items = value.items();
    let is_array = matches!(value.value, Value::Array(_));
    match keyword {
        "type" => types(value, diags),
        "enum" => expect(value, keyword, "a list", is_array, diags),
        "required" if is_array => {
            for item in items {
                expect(item, keyword, "a list of strings", item.as_str().is_some(), diags);
            }
        }
        "required" => expect(value, keyword, "a list of strings", false, diags),
        "$ref" | "$id" | "format" | "pattern" | "title" | "description" | "discriminator" => {
            expect(value, keyword, "a string", value.as_str().is_some(), diags);
        }
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => {
            expect(value, keyword, "a number", matches!(value.value, Value::Number(_)), diags);
        }
        "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
            // `1.0` is an integer to JSON Schema.
            let fits = matches!(&value.value, Value::Number(n)
                if n.is_u64() || n.as_f64().is_some_and(|f| f >= 0.0 && f.fract() == 0.0));
            expect(value, keyword, "a whole number that is not negative", fits, diags);
        }
        _ => {}
    }
}

fn types(value: &Node, diags: &mut Diagnostics) {
    let names = match &value.value {
        Value::Array(items) => items.iter().collect(),
        _ => vec![value],
    };
    for node in names {
        let Some(name) = node.as_str() else {
            expect(node, "type", "a string", false, diags);
            continue;
        };
        if !TYPES.contains(&name) {
            let diagnostic = Diagnostic::error(
                codes::SCHEMA_TYPE,
                node.span,
                format!("`{name}` is no type of JSON Schema"),
            );
            let help = nearest(name, TYPES).map_or_else(
                || format!("the types are {}", TYPES.map(|t| format!("`{t}`")).join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            diags.push(diagnostic.help(help));
        }
    }
}

fn expect(value: &Node, keyword: &str, what: &str, fits: bool, diags: &mut Diagnostics) {
    if !fits {
        diags.push(mismatch(value, &format!("`{keyword}`"), what));
    }
}
