//! Schemas: every schema that something names, and every schema those refer to, once each in the arena.
//!
//! What must stay true: afterwards each `$ref` in a schema position is the index of a schema in the arena; `$ref` in
//! data (`const`, `enum`, `default`, examples) and properties that happen to be called `$ref` are left alone. One place
//! in the document is one schema, however it is reached. References may form cycles; those that cannot be resolved
//! are reported and leave a schema that accepts everything.

use std::collections::{HashMap, VecDeque};

use crate::{
    codes,
    diag::{Diagnostic, Diagnostics},
    keyword::{Position, position},
    model::{Id, Schema},
    node::{Entry, Node, Value},
    refs::{MAX_HOPS, Place, Refs, cycle, endless, reference, tokens},
};

/// Format and schema of a Multi Format Schema Object.
pub(crate) fn multi_format(node: &Node) -> Option<(&Node, &Node)> {
    let format = node.get("schemaFormat").filter(|f| f.as_str().is_some())?;
    Some((format, node.get("schema")?))
}

/// How a schema is written that is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// AsyncAPI's own: JSON Schema, but [`implied`] is added.
    AsyncApi,
    /// JSON Schema, named as such, and taken by its word.
    JsonSchema,
    /// OpenAPI 3.0, whose `nullable` stands for a type; later versions are JSON Schema.
    OpenApi,
}

/// The dialect that a `schemaFormat` names; `None` when it is not read.
pub(crate) fn dialect(format: &str) -> Option<Dialect> {
    let mut parts = format.split(';').map(|part| part.trim().to_ascii_lowercase());
    let media_type = parts.next().unwrap_or_default();
    let version = parts.find_map(|part| part.strip_prefix("version=").map(str::to_string));
    match media_type.trim_end_matches("+json").trim_end_matches("+yaml") {
        "application/vnd.oai.openapi" if version.is_none_or(|version| version.starts_with("3.0")) => {
            Some(Dialect::OpenApi)
        }
        "application/vnd.oai.openapi" | "application/schema" => Some(Dialect::JsonSchema),
        "application/vnd.aai.asyncapi" => Some(Dialect::AsyncApi),
        _ => None,
    }
}

/// Whether a member of a map of schemas is written as if the map were a reference. JSON Schema knows no such thing.
pub(crate) fn is_map_reference(entry: &Entry) -> bool {
    entry.key == "$ref" && entry.value.as_str().is_some()
}

pub(crate) struct Schemas<'a> {
    refs: &'a Refs<'a>,
    arena: Vec<Schema>,
    by_place: HashMap<Place, Id<Schema>>,
    queue: VecDeque<(Id<Schema>, Spot<'a>)>,
}

/// A schema and the schema document around it, which `#` means when the document at large does not answer.
#[derive(Clone)]
struct Spot<'a> {
    node: &'a Node,
    place: Place,
    base: Place,
    dialect: Dialect,
}

impl<'a> Schemas<'a> {
    pub(crate) fn new(refs: &'a Refs<'a>) -> Self {
        Self { refs, arena: Vec::new(), by_place: HashMap::new(), queue: VecDeque::new() }
    }

    /// The schema that stands at `place`, or what it refers to. `None` when there is none, which was reported.
    pub(crate) fn intern(
        &mut self,
        node: &'a Node,
        place: Place,
        diags: &mut Diagnostics,
    ) -> Option<Id<Schema>> {
        self.intern_as(node, place, None, diags)
    }

    /// The same for a schema whose format stands elsewhere.
    pub(crate) fn intern_as(
        &mut self,
        node: &'a Node,
        place: Place,
        format: Option<&'a Node>,
        diags: &mut Diagnostics,
    ) -> Option<Id<Schema>> {
        let known = format.map_or(Some(Dialect::AsyncApi), |f| dialect(f.as_str().unwrap_or_default()));
        let spot = Spot { node, base: place.clone(), place, dialect: known.unwrap_or(Dialect::AsyncApi) };
        let format = format.filter(|_| known.is_none());
        let id = self.locate(spot, true, format, diags);
        while let Some((id, spot)) = self.queue.pop_front() {
            self.arena[id.index()].node = self.copy(spot.node, &spot.base, spot.dialect, diags);
        }
        id
    }

    pub(crate) fn finish(self) -> Vec<Schema> {
        self.arena
    }

    /// The id of the schema that `spot` is in the end. `inline` while no reference led here; `foreign` is a format that
    /// is not read.
    fn locate(
        &mut self,
        mut spot: Spot<'a>,
        mut inline: bool,
        mut foreign: Option<&'a Node>,
        diags: &mut Diagnostics,
    ) -> Option<Id<Schema>> {
        let mut name = if inline { None } else { self.name_of(&spot.place) };
        let mut seen: Vec<Place> = Vec::new();
        loop {
            if let Some((format, schema)) = multi_format(spot.node) {
                let text = format.as_str().unwrap_or_default();
                let known = dialect(text);
                foreign = known.is_none().then_some(format);
                let place = spot.place.child("schema");
                let base = if spot.base == spot.place { place.clone() } else { spot.base };
                spot = Spot { node: schema, place, base, dialect: known.unwrap_or(spot.dialect) };
            }
            let Some(text) = reference(spot.node).filter(|_| is_alias(spot.node, inline)) else { break };
            if seen.len() > MAX_HOPS {
                diags.push(endless(text));
                return None;
            }
            seen.push(spot.place);
            spot = self.target(text, &spot.base, spot.dialect, diags)?;
            if seen.contains(&spot.place) {
                diags.push(cycle(text));
                return None;
            }
            name = self.name_of(&spot.place);
            inline = false;
        }
        if let Some(id) = self.by_place.get(&spot.place) {
            return Some(*id);
        }
        if foreign.is_none() && !matches!(spot.node.value, Value::Object(_) | Value::Bool(_)) {
            // Where it stands inline, validation says so.
            if !inline {
                let message = format!("a schema must be an object or a boolean, not {}", spot.node.kind());
                diags.push(Diagnostic::error(codes::TYPE_MISMATCH, spot.node.span, message));
            }
            return None;
        }
        let id = Id::new(self.arena.len());
        self.by_place.insert(spot.place.clone(), id);
        let mut schema = Schema { name, node: spot.node.clone(), foreign_format: None };
        if let Some(format) = foreign {
            let text = format.as_str().unwrap_or_default();
            diags.push(
                Diagnostic::warning(
                    codes::SCHEMA_FORMAT,
                    format.span,
                    format!("the schema format `{text}` is not read"),
                )
                .help("such a payload is handled as raw bytes"),
            );
            schema.foreign_format = Some(text.to_string());
        } else {
            self.queue.push_back((id, spot));
        }
        self.arena.push(schema);
        Some(id)
    }

    /// What a reference inside a schema names, one step.
    fn target(
        &self,
        text: &'a Node,
        base: &Place,
        dialect: Dialect,
        diags: &mut Diagnostics,
    ) -> Option<Spot<'a>> {
        let reference = text.as_str().unwrap_or_default();
        if matches!(reference, "" | "#" | "#/") && !self.refs.is_named(text) {
            // The document as a whole is no schema, so this can only mean the schema it stands in.
            let node = self.refs.at(base)?;
            return Some(Spot { node, place: base.clone(), base: base.clone(), dialect });
        }
        match self.refs.resolve_once(text) {
            Ok(found) => {
                if let [a, collection, _] = found.place.tokens.as_slice()
                    && a == "components"
                    && collection != "schemas"
                {
                    let message = format!("`{reference}` is no schema, it is one of the {collection}");
                    diags.push(
                        Diagnostic::warning(codes::REF_TARGET, text.span, message)
                            .help("as a schema it accepts everything; name one of the schemas"),
                    );
                }
                let base = if found.place.is_under(base) { base.clone() } else { self.base_of(&found.place) };
                Some(Spot { node: found.node, place: found.place, base, dialect })
            }
            Err(problem) => {
                // JSON Schemas that were written on their own and pasted count from their own root.
                let fragment = reference.strip_prefix('#').filter(|_| problem.code == codes::REF_NOT_FOUND);
                let inner = fragment.and_then(tokens).map(|tokens| {
                    let mut place = base.clone();
                    place.tokens.extend(tokens);
                    place
                });
                let Some((place, node)) = inner.and_then(|p| self.refs.at(&p).map(|node| (p, node))) else {
                    diags.push(*problem);
                    return None;
                };
                let message =
                    format!("`{reference}` is found in the schema it stands in, not in the document");
                diags.push(
                    Diagnostic::warning(codes::REF_RELATIVE, text.span, message)
                        .help(format!("AsyncAPI counts from the root: write `{}`", place.pointer())),
                );
                Some(Spot { node, place, base: base.clone(), dialect })
            }
        }
    }

    /// The schema document that a place belongs to.
    fn base_of(&self, place: &Place) -> Place {
        let file = Place { file: place.file, tokens: Vec::new() };
        if place.file != 0 && self.refs.at(&file).is_some_and(|root| root.get("asyncapi").is_none()) {
            return file;
        }
        let mut base = place.clone();
        if let [a, b, _, ..] = place.tokens.as_slice()
            && (a.as_str(), b.as_str()) == ("components", "schemas")
        {
            base.tokens.truncate(3);
            if self.refs.at(&base).and_then(multi_format).is_some() {
                base = base.child("schema");
            }
        }
        base
    }

    /// The name a reference to `place` gives. Payload and headers of a message have none of their own.
    fn name_of(&self, place: &Place) -> Option<String> {
        match place.tokens.as_slice() {
            [] => Some(self.refs.stem(place.file).to_string()).filter(|stem| !stem.is_empty()),
            [.., a, b] if a == "message" && (b == "payload" || b == "headers") => None,
            [.., a, _, b] if a == "messages" && (b == "payload" || b == "headers") => None,
            [a, b, name, c] if a == "components" && b == "schemas" && c == "schema" => Some(name.clone()),
            _ => place.last().map(str::to_string),
        }
    }

    /// Schemas by name with their references turned into ids. Where a reference stands instead of the whole map, its
    /// schemas are those of the map it names: referred to, as that map may be around this one.
    fn copy_map(&mut self, node: &'a Node, base: &Place, dialect: Dialect, diags: &mut Diagnostics) -> Node {
        let Value::Object(schemas) = &node.value else { return node.clone() };
        let mut copies = Vec::with_capacity(schemas.len());
        for entry in schemas {
            if !is_map_reference(entry) {
                let value = self.copy(&entry.value, base, dialect, diags);
                copies.push(Entry { key: entry.key.clone(), key_span: entry.key_span, value });
                continue;
            }
            let map = match self.refs.resolve(&entry.value) {
                Ok(map) => map,
                Err(problem) => {
                    diags.push(*problem);
                    continue;
                }
            };
            for named in map.node.entries().iter().filter(|named| !is_map_reference(named)) {
                let place = map.place.child(&named.key);
                let spot = Spot { node: &named.value, base: self.base_of(&place), place, dialect };
                let Some(id) = self.locate(spot, false, None, diags) else { continue };
                let span = entry.value.span;
                let reference = Entry {
                    key: "$ref".to_string(),
                    key_span: entry.key_span,
                    value: Node { value: Value::String(id.index().to_string()), span },
                };
                let value = Node { value: Value::Object(vec![reference]), span };
                copies.push(Entry { key: named.key.clone(), key_span: named.key_span, value });
            }
        }
        Node { value: Value::Object(copies), span: node.span }
    }

    /// A schema with its references turned into ids.
    fn copy(&mut self, node: &'a Node, base: &Place, dialect: Dialect, diags: &mut Diagnostics) -> Node {
        let Value::Object(entries) = &node.value else { return node.clone() };
        let entries = entries.iter().filter_map(|entry| {
            let value = &entry.value;
            let value = match position(&entry.key) {
                Position::Data if entry.key == "$ref" && value.as_str().is_some() => {
                    let spot = self.target(value, base, dialect, diags)?;
                    let id = self.locate(spot, false, None, diags)?;
                    Node { value: Value::String(id.index().to_string()), span: value.span }
                }
                Position::Data => value.clone(),
                Position::Schema => match &value.value {
                    Value::Array(items) => {
                        let items = items.iter().map(|item| self.copy(item, base, dialect, diags)).collect();
                        Node { value: Value::Array(items), span: value.span }
                    }
                    _ => self.copy(value, base, dialect, diags),
                },
                Position::Map => self.copy_map(value, base, dialect, diags),
            };
            Some(Entry { key: entry.key.clone(), key_span: entry.key_span, value })
        });
        let mut entries: Vec<Entry> = entries.collect();
        if dialect == Dialect::OpenApi {
            json_schema(&mut entries);
        }
        if dialect != Dialect::JsonSchema {
            implied(&mut entries, node);
        }
        Node { value: Value::Object(entries), span: node.span }
    }
}

/// Writes what OpenAPI 3.0 says otherwise in the words of JSON Schema.
fn json_schema(entries: &mut Vec<Entry>) {
    let Some(at) = entries.iter().position(|entry| entry.key == "nullable") else { return };
    let nullable = entries.remove(at).value.value == Value::Bool(true);
    // "A `true` value adds "null" to the allowed type specified by the `type` keyword, only if `type` is explicitly
    // defined within the same Schema Object" (OpenAPI 3.0.3, Schema Object).
    if let Some(ty) = entries.iter_mut().find(|entry| entry.key == "type").filter(|_| nullable)
        && let Value::String(_) = &ty.value.value
    {
        let span = ty.value.span;
        let null = Node { value: Value::String("null".to_string()), span };
        let own = std::mem::replace(&mut ty.value, Node { value: Value::Null, span });
        ty.value = Node { value: Value::Array(vec![own, null]), span };
    }
}

/// Adds `type: object` to what has `properties` and no type. By the letter such a schema accepts every string too, which
/// nobody means who writes one in an AsyncAPI document; who does says that the schema is JSON Schema.
fn implied(entries: &mut Vec<Entry>, node: &Node) {
    let has = |key: &str| entries.iter().any(|entry| entry.key == key);
    let is_object = has("properties") || has("additionalProperties") || has("patternProperties");
    let says_more = ["$ref", "type", "const", "enum"].into_iter().any(has);
    if is_object && !says_more {
        let value = Node { value: Value::String("object".to_string()), span: node.span };
        entries.push(Entry { key: "type".to_string(), key_span: node.span, value });
    }
}

/// Whether a schema is nothing but a reference. Where it stands inline, a description beside it does not make it a
/// schema of its own.
fn is_alias(node: &Node, inline: bool) -> bool {
    node.entries().iter().all(|e| match e.key.as_str() {
        "$ref" => true,
        "$comment" | "deprecated" | "description" | "example" | "examples" | "externalDocs" | "readOnly"
        | "title" | "writeOnly" => inline,
        key => inline && key.starts_with("x-"),
    })
}
