//! A schema as one JSON text for a validator: with every schema that it refers to, without what says nothing about values,
//! and without what is no JSON Schema, such as a type that does not exist, which a validator would refuse as a whole.

use std::collections::BTreeMap;

use amgi_asyncapi::{
    model::{Document, Schema},
    node::{Node, Value},
};
use serde_json::{Map, Value as Json, json};

/// The schema as a text, its formats only when they are to be checked. Its draft is the oldest that knows its keywords, draft-07 at least.
pub(super) fn bundle(doc: &Document, node: &Node, formats: bool) -> String {
    let mut bundle =
        Bundle { doc, formats, definitions: BTreeMap::new(), pending: Vec::new(), draft: Draft::Seven };
    let root = bundle.schema(node);
    while let Some(index) = bundle.pending.pop() {
        if bundle.definitions.contains_key(&index) {
            continue;
        }
        // Taken before its parts are looked at, as they may refer to it.
        bundle.definitions.insert(index, Json::Bool(true));
        let schema = doc.schemas.get(index).map_or(Json::Bool(true), |schema| bundle.schema(&schema.node));
        bundle.definitions.insert(index, schema);
    }
    let definitions: Map<String, Json> =
        bundle.definitions.into_iter().map(|(index, schema)| (index.to_string(), schema)).collect();
    let draft = match bundle.draft {
        Draft::Seven => "http://json-schema.org/draft-07/schema#",
        Draft::Nineteen => "https://json-schema.org/draft/2019-09/schema",
        Draft::Twenty => "https://json-schema.org/draft/2020-12/schema",
    };
    json!({"$schema": draft, "allOf": [root], "definitions": definitions}).to_string()
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Draft {
    Seven,
    Nineteen,
    Twenty,
}

struct Bundle<'d> {
    doc: &'d Document,
    formats: bool,
    definitions: BTreeMap<usize, Json>,
    pending: Vec<usize>,
    draft: Draft,
}

impl Bundle<'_> {
    fn schema(&mut self, node: &Node) -> Json {
        let Value::Object(entries) = &node.value else {
            return Json::Bool(node.value != Value::Bool(false));
        };
        if let Some(id) = Schema::reference(node).filter(|id| self.doc.schemas.get(id.index()).is_some()) {
            self.pending.push(id.index());
            return json!({"$ref": format!("#/definitions/{}", id.index())});
        }
        let mut schema = Map::new();
        for entry in entries {
            if let Some(value) = self.keyword(&entry.key, &entry.value) {
                schema.insert(entry.key.clone(), value);
            }
        }
        // Draft 4 wrote `exclusiveMinimum: true` beside `minimum`; documents still do.
        for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
            let strict = matches!(node.get(exclusive), Some(Node { value: Value::Bool(true), .. }));
            if let Some(value) = strict.then(|| schema.remove(bound)).flatten() {
                schema.insert(exclusive.to_owned(), value);
            }
        }
        Json::Object(schema)
    }

    /// The value of a keyword, when it is one that says something about values, and is written as it must be.
    fn keyword(&mut self, key: &str, value: &Node) -> Option<Json> {
        match key {
            "unevaluatedItems" | "unevaluatedProperties" | "dependentRequired" | "dependentSchemas" => {
                self.draft = self.draft.max(Draft::Nineteen);
            }
            "prefixItems" => self.draft = Draft::Twenty,
            _ => {}
        }
        let is_schema = |node: &Node| matches!(node.value, Value::Object(_) | Value::Bool(_));
        match key {
            "additionalItems"
            | "additionalProperties"
            | "contains"
            | "else"
            | "if"
            | "not"
            | "propertyNames"
            | "then"
            | "unevaluatedItems"
            | "unevaluatedProperties" => is_schema(value).then(|| self.schema(value)),
            "items" if is_schema(value) => Some(self.schema(value)),
            "allOf" | "anyOf" | "items" | "oneOf" | "prefixItems" => {
                let parts: Vec<Json> = value.items().iter().map(|part| self.schema(part)).collect();
                (!parts.is_empty() || (key == "items" && matches!(value.value, Value::Array(_))))
                    .then_some(Json::Array(parts))
            }
            "dependencies" | "dependentRequired" | "dependentSchemas" | "patternProperties"
            | "properties" => {
                let members = value.entries().iter().filter_map(|entry| {
                    let schema = match &entry.value.value {
                        Value::Array(_) => texts(&entry.value)?,
                        _ => self.schema(&entry.value),
                    };
                    (key != "patternProperties" || super::rules::is_pattern(&entry.key))
                        .then(|| (entry.key.clone(), schema))
                });
                Some(Json::Object(members.collect()))
            }
            "required" => texts(value),
            "type" => types(value),
            "const" => Some(value.to_json()),
            "enum" => {
                Some(value.to_json()).filter(|values| values.as_array().is_some_and(|all| !all.is_empty()))
            }
            "exclusiveMaximum" | "exclusiveMinimum" | "maximum" | "minimum" => {
                Some(value.to_json()).filter(Json::is_number)
            }
            "multipleOf" => Some(value.to_json()).filter(|of| of.as_f64().is_some_and(|of| of > 0.0)),
            "maxItems" | "maxLength" | "maxProperties" | "minItems" | "minLength" | "minProperties" => {
                Some(value.to_json()).filter(|n| n.as_f64().is_some_and(|n| n >= 0.0 && n.fract() == 0.0))
            }
            // Which values are secret is said of them when they are refused.
            "uniqueItems" | "x-sensitive" => Some(value.to_json()).filter(Json::is_boolean),
            "pattern" => {
                Some(value.to_json()).filter(|text| text.as_str().is_some_and(super::rules::is_pattern))
            }
            "format" if !self.formats && value.as_str() != Some("password") => None,
            "contentEncoding" | "contentMediaType" | "format" => {
                Some(value.to_json()).filter(Json::is_string)
            }
            _ => None,
        }
    }
}

/// Names, each once.
fn texts(node: &Node) -> Option<Json> {
    let Value::Array(items) = &node.value else { return None };
    let mut names: Vec<&str> = items.iter().filter_map(Node::as_str).collect();
    names.sort_unstable();
    names.dedup();
    Some(json!(names))
}

/// Types that exist.
fn types(node: &Node) -> Option<Json> {
    let known = ["array", "boolean", "integer", "null", "number", "object", "string"];
    let mut names = super::schema::type_names(node);
    names.retain(|name| known.contains(name));
    names.sort_unstable();
    names.dedup();
    match (names.as_slice(), &node.value) {
        ([], _) => None,
        ([one], Value::String(_)) => Some(json!(one)),
        (several, _) => Some(json!(several)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_schema_is_left_out() {
        let text = r##"{"asyncapi": "3.0.0", "info": {"title": "t", "version": "1"},
            "channels": {"c": {"address": "c", "messages": {"m": {"payload": {"$ref": "#/components/schemas/A"}}}}},
            "operations": {"o": {"action": "receive", "channel": {"$ref": "#/channels/c"}}},
            "components": {"schemas": {
                "A": {"type": ["object", "thing"], "required": true, "minLength": -1, "pattern": "(",
                      "minimum": 1, "exclusiveMinimum": true, "description": "x",
                      "properties": {"b": {"$ref": "#/components/schemas/B", "type": "string"}}},
                "B": {"properties": {"a": {"$ref": "#/components/schemas/A"}}, "prefixItems": [false]}}}}"##;
        let loaded = amgi_asyncapi::load_str("test.json", text);
        let doc = &loaded.document;
        let index = |name: &str| {
            doc.schemas.iter().position(|schema| schema.name.as_deref() == Some(name)).expect("it is there")
        };
        let (a, b) = (index("A"), index("B"));
        let bundle: Json =
            serde_json::from_str(&bundle(doc, &doc.schemas[a].node, true)).expect("it is JSON");
        assert_eq!(bundle["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let whole = json!({"type": ["object"], "exclusiveMinimum": 1,
            "properties": {"b": {"$ref": format!("#/definitions/{b}")}}});
        assert_eq!(bundle["allOf"], json!([whole]));
        assert_eq!(bundle["definitions"][a.to_string()], whole);
        assert_eq!(bundle["definitions"][b.to_string()]["prefixItems"], json!([false]));
    }
}
