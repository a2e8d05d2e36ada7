//! Schemas of a document as JSON Schemas that stand alone, for another implementation to judge by.
//!
//! It knows nothing of the generator but what that says of itself: how OpenAPI's `nullable` is read, and `implied`. Nothing
//! is mended: what is no JSON Schema stays as it is, for the other implementation to refuse. Only patterns are written so that
//! it reads them as ECMA-262 does.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use crate::tree::{Files, Place, Tree};

/// How a schema is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Dialect {
    /// AsyncAPI's own.
    AsyncApi,
    /// JSON Schema, taken by the letter.
    JsonSchema,
    /// OpenAPI 3.0.
    OpenApi,
    /// OpenAPI from 3.1 on, which is JSON Schema 2020-12.
    OpenApi31,
}

impl Dialect {
    fn of(format: Option<&str>) -> Option<Self> {
        let Some(format) = format else { return Some(Self::AsyncApi) };
        let format = format.to_ascii_lowercase().replace(' ', "");
        let (name, parameters) = format.split_once(';').unwrap_or((&format, ""));
        let later = parameters.strip_prefix("version=").is_some_and(|version| !version.starts_with("3.0"));
        match name.split('+').next()? {
            "application/vnd.aai.asyncapi" => Some(Self::AsyncApi),
            "application/schema" => Some(Self::JsonSchema),
            "application/vnd.oai.openapi" if later => Some(Self::OpenApi31),
            "application/vnd.oai.openapi" => Some(Self::OpenApi),
            _ => None,
        }
    }
}

/// The schema at a place with all it refers to, as JSON Schema: draft-07, or 2020-12 where its format says so. Keywords that say
/// nothing about values are left out.
///
/// # Errors
/// When it, or something it refers to, is not there.
pub fn schema(files: &Files, place: &Place, format: Option<&str>) -> Result<Value, String> {
    let dialect = Dialect::of(format).ok_or("a format that is no JSON Schema")?;
    let mut bundle = Bundle { files, numbers: HashMap::new(), pending: Vec::new() };
    let root = bundle.reference(place, dialect)?;
    let mut definitions = Map::new();
    while let Some((place, dialect)) = bundle.pending.pop() {
        let number = bundle.numbers[&(place.clone(), dialect)];
        let node = files.at(&place).ok_or_else(|| format!("{place} is not there"))?;
        let schema = bundle.schema(&place, node, dialect)?;
        definitions.insert(number.to_string(), schema);
    }
    let draft = match dialect {
        Dialect::OpenApi31 => "https://json-schema.org/draft/2020-12/schema",
        _ => "http://json-schema.org/draft-07/schema#",
    };
    Ok(json!({"$schema": draft, "allOf": [root], "definitions": definitions}))
}

struct Bundle<'f> {
    files: &'f Files,
    numbers: HashMap<(Place, Dialect), usize>,
    pending: Vec<(Place, Dialect)>,
}

impl Bundle<'_> {
    /// A reference to the definition of the schema at a place.
    fn reference(&mut self, place: &Place, mut dialect: Dialect) -> Result<Value, String> {
        let missing = || format!("{place} leads nowhere");
        let (mut at, mut node) = self.files.resolve(place).ok_or_else(missing)?;
        // A Multi Format Schema Object.
        while let (Some(format), Some(_)) = (node.text("schemaFormat"), node.get("schema")) {
            dialect = Dialect::of(Some(format)).ok_or_else(|| format!("{at} is no JSON Schema"))?;
            (at, node) = self.files.resolve(&at.child("schema")).ok_or_else(missing)?;
        }
        let next = self.numbers.len();
        let number = *self.numbers.entry((at.clone(), dialect)).or_insert_with(|| {
            self.pending.push((at, dialect));
            next
        });
        Ok(json!({"$ref": format!("#/definitions/{number}")}))
    }

    fn schema(&mut self, place: &Place, node: &Tree, dialect: Dialect) -> Result<Value, String> {
        if node.text("$ref").is_some() {
            return self.reference(place, dialect);
        }
        let Tree::Map(entries) = node else { return Ok(data(node)) };
        let mut schema = Map::new();
        for (keyword, value) in entries {
            let at = place.child(keyword);
            let value = match keyword.as_str() {
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
                | "unevaluatedProperties"
                | "allOf"
                | "anyOf"
                | "oneOf"
                | "prefixItems" => match value {
                    Tree::List(items) => {
                        let items = items.iter().enumerate();
                        let items =
                            items.map(|(n, item)| self.schema(&at.child(n.to_string()), item, dialect));
                        Value::Array(items.collect::<Result<_, _>>()?)
                    }
                    value => self.schema(&at, value, dialect)?,
                },
                "dependencies" | "dependentSchemas" | "properties" => self.map(&at, value, dialect)?,
                "patternProperties" => match self.map(&at, value, dialect)? {
                    Value::Object(map) => {
                        map.into_iter().map(|(name, value)| (pattern(&name), value)).collect()
                    }
                    value => value,
                },
                "const" | "contentEncoding" | "contentMediaType" | "dependentRequired" | "enum"
                | "exclusiveMaximum" | "exclusiveMinimum" | "format" | "maxItems" | "maxLength"
                | "maxProperties" | "maximum" | "minItems" | "minLength" | "minProperties" | "minimum"
                | "multipleOf" | "required" | "type" | "uniqueItems" => data(value),
                "pattern" => value.as_str().map_or_else(|| data(value), |text| json!(pattern(text))),
                _ => continue,
            };
            schema.insert(keyword.clone(), value);
        }
        if dialect == Dialect::OpenApi {
            open_api(&mut schema, node);
        }
        if matches!(dialect, Dialect::AsyncApi | Dialect::OpenApi) {
            implied(&mut schema);
        }
        Ok(Value::Object(schema))
    }

    /// Schemas by name. Some documents write the whole map as a reference.
    fn map(&mut self, place: &Place, node: &Tree, dialect: Dialect) -> Result<Value, String> {
        let (place, node) = match node.text("$ref") {
            Some(_) => self.files.resolve(place).ok_or_else(|| format!("{place} leads nowhere"))?,
            None => (place.clone(), node),
        };
        let mut map = Map::new();
        for (name, value) in node.entries() {
            let schema = match value {
                Tree::List(_) => data(value),
                value => self.schema(&place.child(name), value, dialect)?,
            };
            map.insert(name.clone(), schema);
        }
        Ok(Value::Object(map))
    }
}

/// What OpenAPI 3.0 says otherwise: `nullable` beside a `type` allows null, and bounds are made exclusive by a boolean.
fn open_api(schema: &mut Map<String, Value>, node: &Tree) {
    if let (Some(Tree::Bool(true)), Some(Value::String(ty))) = (node.get("nullable"), schema.get("type")) {
        schema.insert("type".to_owned(), json!([ty, "null"]));
    }
    for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        let Some(Value::Bool(strict)) = schema.get(exclusive).cloned() else { continue };
        schema.remove(exclusive);
        if let Some(value) = strict.then(|| schema.remove(bound)).flatten() {
            schema.insert(exclusive.to_owned(), value);
        }
    }
}

/// The one place where the generator does not take a schema by the letter, as its README says: members without a type describe
/// an object, unless the schema is said to be JSON Schema.
fn implied(schema: &mut Map<String, Value>) {
    let has = |keywords: &[&str]| keywords.iter().any(|keyword| schema.contains_key(*keyword));
    if has(&["properties", "additionalProperties", "patternProperties"]) && !has(&["type", "const", "enum"]) {
        schema.insert("type".to_owned(), json!("object"));
    }
}

/// A pattern in which `.` stands for what it stands for in ECMA-262: not for the ends of lines other than `\n` either.
fn pattern(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut escaped, mut class) = (false, false);
    for c in text.chars() {
        match c {
            '.' if !escaped && !class => out.push_str("[^\n\r\u{2028}\u{2029}]"),
            c => out.push(c),
        }
        class = if escaped { class } else { (class || c == '[') && c != ']' };
        escaped = c == '\\' && !escaped;
    }
    out
}

/// Whether a part of a bundled schema comes back to itself about the same value. What that means, draft-07 leaves undefined (8.3).
pub fn is_endless(root: &Value) -> bool {
    fn visit<'s>(
        root: &'s Value,
        schema: &'s Value,
        path: &mut Vec<&'s str>,
        done: &mut HashSet<&'s str>,
    ) -> bool {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            if path.contains(&name) {
                return true;
            }
            let target = name.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
            let Some(target) = target.filter(|_| done.insert(name)) else { return false };
            path.push(name);
            let found = visit(root, target, path, done);
            path.pop();
            return found;
        }
        let one = ["if", "then", "else", "not"].into_iter().filter_map(|keyword| schema.get(keyword));
        let several =
            ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|keyword| schema.get(keyword)?.as_array());
        one.chain(several.flatten()).any(|schema| visit(root, schema, path, done))
    }
    // References lead to definitions only, so a circle goes through one.
    let definitions = root["definitions"].as_object().into_iter().flatten();
    definitions.into_iter().any(|(_, schema)| visit(root, schema, &mut Vec::new(), &mut HashSet::new()))
}

fn data(node: &Tree) -> Value {
    match node {
        Tree::Null => Value::Null,
        Tree::Bool(value) => Value::Bool(*value),
        Tree::Number(text) => serde_json::from_str(text).unwrap_or_default(),
        Tree::Text(text) => Value::from(text.as_str()),
        Tree::List(items) => items.iter().map(data).collect(),
        Tree::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), data(value))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundled(text: &str, format: Option<&str>) -> Value {
        let files = Files::of(Tree::read(text).expect("YAML"));
        let mut schema = schema(&files, &Place::root().child("a"), format).expect("it is there");
        schema["definitions"].take()
    }

    #[test]
    fn references_are_bundled_even_in_a_circle() {
        let text = "a: {type: object, title: A, properties: {b: {$ref: '#/b', minLength: 1}}}\n\
                    b: {schemaFormat: application/schema+json, schema: {properties: {a: {$ref: '#/b'}}}}\n";
        assert_eq!(
            bundled(text, None),
            json!({
                "0": {"type": "object", "properties": {"b": {"$ref": "#/definitions/1"}}},
                "1": {"properties": {"a": {"$ref": "#/definitions/1"}}},
            })
        );
    }

    #[test]
    fn a_schema_without_an_end_is_known() {
        let within = "a: {type: object, properties: {b: {anyOf: [{$ref: '#/a'}, {type: string}]}}}";
        let endless = "a: {items: {$ref: '#/b'}}\nb: {anyOf: [{type: object}, {allOf: [{$ref: '#/b'}]}]}";
        for (text, expected) in [(within, false), (endless, true)] {
            let files = Files::of(Tree::read(text).expect("YAML"));
            let schema = schema(&files, &Place::root().child("a"), None).expect("it is there");
            assert_eq!(is_endless(&schema), expected, "{text}");
        }
    }

    #[test]
    fn a_dot_is_no_end_of_a_line() {
        assert_eq!(pattern(r"^[.]\.\\.$"), "^[.]\\.\\\\[^\n\r\u{2028}\u{2029}]$");
    }

    #[test]
    fn dialects_differ() {
        let text =
            "a: {properties: {b: {type: string, nullable: true}, c: {minimum: 1, exclusiveMinimum: true}}}";
        let letter = json!({"b": {"type": "string"}, "c": {"minimum": 1, "exclusiveMinimum": true}});
        let open_api = json!({"b": {"type": ["string", "null"]}, "c": {"exclusiveMinimum": 1}});
        for (format, ty, properties) in [
            (None, json!("object"), &letter),
            (Some("application/schema+json;version=draft-07"), json!(null), &letter),
            (Some("application/vnd.oai.openapi;version=3.0.0"), json!("object"), &open_api),
            (Some("application/vnd.oai.openapi;version=3.1.0"), json!(null), &letter),
        ] {
            let schema = &bundled(text, format)["0"];
            assert_eq!((&schema["type"], &schema["properties"]), (&ty, properties), "{format:?}");
        }
    }
}
