//! The form of JSON Schemas: what the meta-schema of draft-07 would say, in words that help.
//!
//! A table of our own and no validator of JSON Schema: a meta-schema says that a value is wrong, not what to write
//! instead, and nearly all of it is a type for each keyword. Errors are values that no code can be made of; a warning is
//! what JSON Schema forbids and that changes nothing.

use std::collections::HashSet;

use super::{Walk, instance, shape::EXTERNAL_DOCS};
use crate::{
    codes,
    diag::{Diagnostic, nearest},
    keyword::{Position, position},
    node::{Entry, Node, Value},
    refs::reference,
    schema::is_map_reference,
};

const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// Keywords of drafts after 07, of which that draft says nothing.
const LATER: [&str; 8] = [
    "$defs",
    "contentSchema",
    "dependentSchemas",
    "prefixItems",
    "unevaluatedItems",
    "unevaluatedProperties",
    "minContains",
    "maxContains",
];

/// Pairs of keywords of which the first may not be above the second.
const RANGES: [(&str, &str); 4] = [
    ("minimum", "maximum"),
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
    ("minProperties", "maxProperties"),
];

impl Walk<'_, '_> {
    /// Checks the schema that stands under `key`, and all within.
    pub(super) fn check(&mut self, node: &Node, key: &str) {
        if !self.seen.insert((std::ptr::from_ref(node), std::ptr::null())) {
            return;
        }
        let entries = match &node.value {
            Value::Object(entries) => entries,
            Value::Bool(_) => return,
            _ => {
                self.mismatch(node, &format!("the schema `{key}`"), "an object or a boolean");
                return;
            }
        };
        // The reader says where a reference does not arrive. What stands beside it is ignored by most.
        let target = reference(node);
        if let Some((text, found)) = target.and_then(|text| Some((text, self.refs.resolve_once(text).ok()?)))
        {
            self.name(text, found, None);
        }
        let before = self.gentle;
        for entry in entries {
            let other = target.is_some() || LATER.contains(&entry.key.as_str());
            self.gentle = before || other;
            self.keyword(entry);
        }
        self.gentle = before;
        if target.is_none() {
            self.contradictions(node);
            self.samples(node);
        }
    }

    fn keyword(&mut self, entry: &Entry) {
        let (keyword, value) = (entry.key.as_str(), &entry.value);
        match position(keyword) {
            Position::Map => match &value.value {
                Value::Object(schemas) => schemas.iter().for_each(|member| self.member(keyword, member)),
                _ => self.mismatch(value, &format!("`{keyword}`"), "an object of schemas"),
            },
            Position::Schema => match &value.value {
                Value::Array(items)
                    if matches!(keyword, "allOf" | "anyOf" | "items" | "oneOf" | "prefixItems") =>
                {
                    if items.is_empty() {
                        self.keyword_value(value, format!("`{keyword}` is a list without a schema"));
                    }
                    for item in items {
                        self.check(item, keyword);
                    }
                }
                _ if matches!(keyword, "allOf" | "anyOf" | "oneOf" | "prefixItems") => {
                    self.mismatch(value, &format!("`{keyword}`"), "a list of schemas");
                }
                _ => self.check(value, keyword),
            },
            Position::Data => self.data(keyword, value),
        }
    }

    /// A member of a map of schemas.
    fn member(&mut self, keyword: &str, entry: &Entry) {
        if keyword == "patternProperties" {
            self.pattern(&entry.key, entry.key_span);
        }
        // `dependencies` also names lists of properties.
        if keyword == "dependencies" && matches!(entry.value.value, Value::Array(_)) {
            self.names(&entry.key, &entry.value);
        } else if is_map_reference(entry) {
            let message = format!("`{keyword}` should not be a reference");
            self.push(Diagnostic::warning(codes::REF_MAP, entry.key_span, message).help(
                "it is followed all the same; refer to the schema that has them, for instance in `allOf`",
            ));
        } else {
            self.check(&entry.value, &entry.key);
        }
    }

    fn data(&mut self, keyword: &str, value: &Node) {
        let is_array = matches!(value.value, Value::Array(_));
        match keyword {
            "type" => self.types(value),
            "enum" => {
                self.expect(value, keyword, "a list", is_array);
                self.twice(keyword, value);
                if is_array && value.items().is_empty() {
                    self.keyword_value(value, "`enum` is empty, so no value fits".into());
                }
            }
            "required" => self.names(keyword, value),
            "examples" if !is_array => self.weak(value, keyword, "a list"),
            "pattern" => match value.as_str() {
                Some(pattern) => self.pattern(pattern, value.span),
                None => self.expect(value, keyword, "a string", false),
            },
            // What pydantic writes.
            "discriminator" if value.get("propertyName").and_then(Node::as_str).is_some() => {
                let message = "`discriminator` is an object, as OpenAPI has it".to_owned();
                self.push(Diagnostic::warning(codes::TYPE_MISMATCH, value.span, message).help(
                    "AsyncAPI has the name of a member here; the alternatives are told apart by what they say themselves",
                ));
            }
            "$ref" | "$id" | "format" | "title" | "description" | "discriminator" => {
                self.expect(value, keyword, "a string", value.as_str().is_some());
            }
            "$schema" | "$comment" | "contentMediaType" | "contentEncoding" if value.as_str().is_none() => {
                self.weak(value, keyword, "a string");
            }
            "deprecated" | "readOnly" | "writeOnly" if !matches!(value.value, Value::Bool(_)) => {
                self.weak(value, keyword, "true or false");
            }
            "uniqueItems" => {
                self.expect(value, keyword, "true or false", matches!(value.value, Value::Bool(_)));
            }
            "externalDocs" => {
                let before = std::mem::replace(&mut self.gentle, true);
                self.object(value, &EXTERNAL_DOCS);
                self.gentle = before;
            }
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
                self.expect(value, keyword, "a number", matches!(value.value, Value::Number(_)));
            }
            "multipleOf" => {
                let fits = matches!(&value.value, Value::Number(n) if n.as_f64().is_some_and(|f| f > 0.0));
                self.expect(value, keyword, "a number above zero", fits);
            }
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
                let fits = matches!(&value.value, Value::Number(n)
                    if instance::whole(n) && n.as_f64().is_some_and(|f| f >= 0.0));
                self.expect(value, keyword, "a whole number that is not negative", fits);
            }
            _ => {}
        }
    }

    /// A list of names of properties.
    fn names(&mut self, keyword: &str, value: &Node) {
        if !matches!(value.value, Value::Array(_)) {
            self.expect(value, keyword, "a list of strings", false);
        }
        for item in value.items() {
            self.expect(item, keyword, "a list of strings", item.as_str().is_some());
        }
        self.twice(keyword, value);
    }

    /// Values that stand twice in a list.
    fn twice(&mut self, keyword: &str, list: &Node) {
        let mut seen = HashSet::new();
        for item in list.items() {
            let json = item.to_json().to_string();
            if !seen.insert(json.clone()) {
                let message = format!("`{keyword}` has {json} twice");
                self.push(Diagnostic::warning(codes::DUPLICATE_ITEM, item.span, message).help("remove one"));
            }
        }
    }

    fn types(&mut self, value: &Node) {
        let names = match &value.value {
            Value::Array(items) => {
                self.twice("type", value);
                if items.is_empty() {
                    self.keyword_value(value, "`type` is a list without a type".into());
                }
                items.iter().collect()
            }
            _ => vec![value],
        };
        for node in names {
            let Some(name) = node.as_str() else {
                self.expect(node, "type", "a string", false);
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
                self.push(diagnostic.help(help));
            }
        }
    }

    fn pattern(&mut self, pattern: &str, span: crate::diag::Span) {
        if self.patterns.get(pattern).is_none() {
            let message = format!("`{pattern}` is no regular expression, so it is not checked");
            self.push(
                Diagnostic::warning(codes::SCHEMA_PATTERN, span, message)
                    .help("patterns are expressions of ECMA-262, as JavaScript has them"),
            );
        }
    }

    /// Limits that no value keeps to.
    fn contradictions(&mut self, node: &Node) {
        for (least, most) in RANGES {
            let limits = instance::limit(node, least).zip(instance::limit(node, most));
            if let Some((low, high)) = limits.filter(|(low, high)| low > high)
                && let Some(entry) = node.entry(least)
            {
                let message = format!("`{least}: {low}` is above `{most}: {high}`, so no value fits");
                self.keyword_value(&entry.value, message);
            }
        }
    }

    /// A value of a keyword that JSON Schema does not allow, or that cannot be meant.
    fn keyword_value(&mut self, value: &Node, message: String) {
        self.push(Diagnostic::warning(codes::SCHEMA_KEYWORD, value.span, message));
    }

    /// A value of a wrong type that changes nothing.
    fn weak(&mut self, value: &Node, keyword: &str, what: &str) {
        let before = std::mem::replace(&mut self.gentle, true);
        self.expect(value, keyword, what, false);
        self.gentle = before;
    }
}
