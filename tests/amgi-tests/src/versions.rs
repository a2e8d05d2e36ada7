//! Two versions of a schema, always the same for the same seed, and whether what the generator says of the change is true.
//!
//! One schema is made at random and the other from it by small changes, some of which change nothing. What is said to be
//! compatible is tried: instances of the old schema must fit the new one, as another implementation judges. What is said to
//! break is tried, too: then one of them should not.

use std::path::Path;

use amgi_gen::{
    diff::{self, Level, Respect, Version},
    from_loaded,
    settings::{Perspective, Settings},
};
use fastrand::Rng;
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::{instance::Source, reference::is_endless, tree::Tree};

/// Names of members. Whatever else an instance has, it is not called so.
const NAMES: &[&str] = &["a", "b", "c", "d", "kind"];
/// Definitions beside the schema.
const DEFINITIONS: usize = 3;
/// Instances for each pair.
const INSTANCES: usize = 40;

/// What came of many pairs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Pairs that were compared, in one direction each.
    pub pairs: usize,
    /// Pairs of schemas that are the same.
    pub same: usize,
    /// Said to be compatible.
    pub compatible: usize,
    /// Said to break.
    pub breaking: usize,
    /// Not decided.
    pub undecided: usize,
    /// Said to break, where an instance shows it.
    pub shown: usize,
    /// Not decided, where no instance was refused.
    pub unshown: usize,
    /// Instances that were judged.
    pub instances: usize,
}

/// Compares so many pairs.
///
/// # Errors
/// The first pair that was said to be compatible and is not, with the instance that shows it.
pub fn run(count: usize, seed: u64) -> Result<Counts, String> {
    let mut counts = Counts::default();
    for case in 0..count as u64 {
        let seed = seed.wrapping_mul(1_000_003).wrapping_add(case);
        let mut rng = Rng::with_seed(seed);
        let old = bundle(&mut rng);
        let mut new = old.clone();
        for _ in 0..rng.usize(1..3) {
            change(&mut new, &mut rng);
        }
        // What such schemas mean is left undefined.
        if is_endless(&old) || is_endless(&new) {
            continue;
        }
        for (sends, writer, reader) in [(false, &old, &new), (true, &new, &old)] {
            let Some(level) = said(&old, &new, sends) else { continue };
            judge(level, (writer, reader), seed, &mut counts).map_err(|instance| {
                let way = if sends { "sent" } else { "received" };
                format!("case {case}, {way}\nold {old}\nnew {new}\nsaid {level}, but {instance}")
            })?;
            counts.pairs += 1;
            counts.same += usize::from(old == new);
        }
    }
    Ok(counts)
}

/// The worst that is said of the payload on the wire; `None` where a document has errors.
fn said(old: &Value, new: &Value, sends: bool) -> Option<Level> {
    let perspective = if sends { Perspective::Peer } else { Perspective::Application };
    let settings = Settings { perspective, ..Settings::default() };
    let read = |schema: &Value| {
        let loaded = amgi_asyncapi::load_str("versions.json", &document(schema));
        (!loaded.diagnostics.has_errors()).then_some(loaded.document)
    };
    let (old, new) = (read(old)?, read(new)?);
    // What is generated is another matter.
    let loaded = amgi_asyncapi::load_str("versions.json", &document(&json!({"allOf": [true]})));
    let api = from_loaded(loaded, Path::new("versions.json"), &settings).api?;
    let version = |document| Version { document, api: &api, settings: &settings };
    let changes = diff::compare(version(&old), version(&new));
    let wire = changes.iter().filter(|change| change.kind.respect == Respect::Wire);
    // What stands for a missing member says nothing of what fits.
    let wire = wire.filter(|change| change.kind != diff::kinds::DEFAULT_CHANGED);
    Some(wire.map(|change| change.level).max().unwrap_or(Level::Compatible))
}

fn judge(
    level: Level,
    (writer, reader): (&Value, &Value),
    seed: u64,
    counts: &mut Counts,
) -> Result<(), String> {
    let (Ok(own), Ok(other)) = (validator(writer), validator(reader)) else { return Ok(()) };
    let mut source = Source::new(writer, seed);
    let mut refused = None;
    for number in 0..INSTANCES {
        let tree = if number % 3 == 0 { source.straying() } else { source.fitting() };
        let Ok(value) = serde_json::from_str::<Value>(&tree.json()) else { continue };
        if !own.is_valid(&value) {
            continue;
        }
        // Nobody writes what only the other side has a name for.
        if !Silence::new(writer).keeps(&[&writer["allOf"][0]], &value) {
            continue;
        }
        counts.instances += 1;
        if !other.is_valid(&value) {
            refused = Some(tree);
            break;
        }
    }
    match (level, &refused) {
        (Level::Compatible, Some(tree)) => return Err(format!("this is refused: {}", Tree::json(tree))),
        (Level::Compatible, None) => counts.compatible += 1,
        (Level::Breaking, shown) => {
            counts.breaking += 1;
            counts.shown += usize::from(shown.is_some());
        }
        (Level::Warning, shown) => {
            counts.undecided += 1;
            counts.unshown += usize::from(shown.is_none());
        }
    }
    Ok(())
}

/// What a schema is silent about.
struct Silence<'s> {
    definitions: &'s Value,
}

impl<'s> Silence<'s> {
    fn new(bundle: &'s Value) -> Self {
        Self { definitions: &bundle["definitions"] }
    }

    /// Whether a value has no member of a name that a schema may describe, and this one does not.
    fn keeps(&self, schemas: &[&'s Value], value: &Value) -> bool {
        let mut parts = Vec::new();
        for schema in schemas {
            self.gather(schema, value, &mut parts);
        }
        let of = |keyword: &str| parts.iter().filter_map(|part| part.get(keyword)).collect::<Vec<_>>();
        match value {
            Value::Array(items) => items.iter().enumerate().all(|(at, item)| {
                let each = parts.iter().filter_map(|part| match part.get("items")? {
                    Value::Array(list) => list.get(at).or(part.get("additionalItems")),
                    one => Some(one),
                });
                self.keeps(&each.collect::<Vec<_>>(), item)
            }),
            Value::Object(members) => members.iter().all(|(name, member)| {
                let mut found: Vec<&Value> = Vec::new();
                for part in &parts {
                    let own = part.get("properties").and_then(|properties| properties.get(name));
                    let patterns = part.get("patternProperties").and_then(Value::as_object);
                    let matching =
                        patterns.into_iter().flatten().filter(|(pattern, _)| match pattern.as_str() {
                            "^x" => name.starts_with('x'),
                            _ => name == "a" || name == "b",
                        });
                    let known = found.len();
                    found.extend(own.into_iter().chain(matching.map(|(_, schema)| schema)));
                    if found.len() == known {
                        found.extend(part.get("additionalProperties").filter(|schema| schema.is_object()));
                    }
                }
                let required = of("required")
                    .into_iter()
                    .filter_map(Value::as_array)
                    .flatten()
                    .any(|known| known == name);
                (!found.is_empty() || required || !NAMES.contains(&name.as_str()))
                    && self.keeps(&found, member)
            }),
            _ => true,
        }
    }

    /// What a schema asks of a value, with those of its alternatives that the value fits.
    fn gather(&self, schema: &'s Value, value: &Value, out: &mut Vec<&'s Value>) {
        if let Some(name) =
            schema.get("$ref").and_then(Value::as_str).and_then(|name| name.rsplit('/').next())
        {
            return self.gather(&self.definitions[name], value, out);
        }
        out.push(schema);
        let list = |keyword: &str| schema.get(keyword).and_then(Value::as_array).into_iter().flatten();
        for part in list("allOf") {
            self.gather(part, value, out);
        }
        for part in list("oneOf").chain(list("anyOf")) {
            let alone = json!({"allOf": [part], "definitions": self.definitions});
            if validator(&alone).is_ok_and(|validator| validator.is_valid(value)) {
                self.gather(part, value, out);
            }
        }
    }
}

fn validator(schema: &Value) -> Result<Validator, String> {
    let options = jsonschema::options().should_validate_formats(true);
    options.build(schema).map_err(|error| error.to_string())
}

/// A document that receives what the schema says.
fn document(schema: &Value) -> String {
    let text = schema["allOf"][0].to_string();
    let format = "application/schema+json;version=draft-07";
    let schemas = schema["definitions"].as_object().into_iter().flatten();
    let schemas: Map<String, Value> = schemas
        .map(|(name, schema)| (name.clone(), json!({"schemaFormat": format, "schema": schema})))
        .collect();
    let payload: Value = serde_json::from_str(&text).unwrap_or_default();
    let document = json!({
        "asyncapi": "3.0.0",
        "info": {"title": "t", "version": "1"},
        "channels": {"c": {"address": "c", "messages": {"m": {
            "payload": {"schemaFormat": format, "schema": payload},
        }}}},
        "operations": {"o": {"action": "receive", "channel": {"$ref": "#/channels/c"}}},
        "components": {"schemas": schemas},
    });
    document.to_string().replace("#/definitions/", "#/components/schemas/")
}

/// A schema and its definitions.
fn bundle(rng: &mut Rng) -> Value {
    let definitions: Map<String, Value> =
        (0..DEFINITIONS).map(|number| (format!("S{number}"), object(rng, 1))).collect();
    let root = if rng.u8(..4) == 0 { schema(rng, 0) } else { object(rng, 0) };
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "allOf": [root],
        "definitions": definitions,
    })
}

fn schema(rng: &mut Rng, depth: usize) -> Value {
    if depth > 3 {
        return scalar(rng);
    }
    match rng.u8(..20) {
        0..=7 => scalar(rng),
        8..=10 => object(rng, depth),
        11 | 12 => array(rng, depth),
        13 | 14 => {
            let keyword = ["oneOf", "anyOf"][rng.usize(..2)];
            let list = (0..rng.usize(1..4)).map(|_| schema(rng, depth + 1)).collect::<Vec<_>>();
            json!({keyword: list})
        }
        15 => tagged(rng, depth),
        16 => {
            let list = (0..rng.usize(1..3)).map(|_| schema(rng, depth + 1)).collect::<Vec<_>>();
            json!({"allOf": list})
        }
        17 | 18 => json!({"$ref": format!("#/definitions/S{}", rng.usize(..DEFINITIONS))}),
        _ => match rng.u8(..5) {
            0 => json!(true),
            1 => json!({"not": scalar(rng)}),
            2 => json!({"if": scalar(rng), "then": scalar(rng), "else": scalar(rng)}),
            3 => json!({"type": ["string", "null"], "maxLength": rng.u8(1..6)}),
            _ => json!({"type": ["integer", "string"], "minimum": rng.i8(-2..4), "minLength": rng.u8(..3)}),
        },
    }
}

fn scalar(rng: &mut Rng) -> Value {
    let mut schema = match rng.u8(..10) {
        0 => json!({"type": "boolean"}),
        1 => json!({"type": "null"}),
        2 | 3 => json!({"type": "integer"}),
        4 => json!({"type": "number"}),
        5 => return json!({"enum": values(rng)}),
        6 => return json!({"const": value(rng)}),
        _ => json!({"type": "string"}),
    };
    for _ in 0..rng.usize(..3) {
        keyword(&mut schema, rng);
    }
    schema
}

fn value(rng: &mut Rng) -> Value {
    match rng.u8(..10) {
        0 => Value::Null,
        1 => json!(rng.bool()),
        2..=4 => json!(rng.i8(-3..8)),
        5 => json!(f64::from(rng.i8(-8..8)) / 2.0),
        _ => json!(["", "a", "bb", "abc", "x1", "2026-01-02"][rng.usize(..6)]),
    }
}

fn values(rng: &mut Rng) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for _ in 0..rng.usize(1..5) {
        let value = value(rng);
        if all.iter().all(|known| known.as_f64().is_none() || known.as_f64() != value.as_f64())
            && !all.contains(&value)
        {
            all.push(value);
        }
    }
    all
}

/// Sets a keyword for scalars.
fn keyword(schema: &mut Value, rng: &mut Rng) {
    let Some(map) = schema.as_object_mut() else { return };
    let (name, value) = match rng.u8(..10) {
        0 => ("minimum", json!(f64::from(rng.i8(-6..6)) / 2.0)),
        1 => ("maximum", json!(rng.i8(..12))),
        2 => ("exclusiveMinimum", json!(rng.i8(-4..4))),
        3 => ("exclusiveMaximum", json!(f64::from(rng.i8(3..20)) / 2.0)),
        4 => ("multipleOf", json!([1.0, 2.0, 0.5, 3.0, 4.0, 0.1][rng.usize(..6)])),
        5 => ("minLength", json!(rng.u8(..4))),
        6 => ("maxLength", json!(rng.u8(2..9))),
        7 => ("pattern", json!(["^[a-z]+$", "^a", "[0-9]", "^[a-z]{2,4}$"][rng.usize(..4)])),
        8 => ("format", json!(["date", "email", "uri", "uri-reference", "ipv4", "uuid"][rng.usize(..6)])),
        _ => ("enum", json!(values(rng))),
    };
    map.insert(name.to_owned(), value);
}

fn object(rng: &mut Rng, depth: usize) -> Value {
    let mut properties = Map::new();
    for name in &NAMES[..4] {
        if rng.u8(..5) < 2 {
            properties.insert((*name).to_owned(), schema(rng, depth + 1));
        }
    }
    let required: Vec<&str> = NAMES[..4].iter().copied().filter(|_| rng.u8(..4) == 0).collect();
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if rng.u8(..3) == 0 {
        members(&mut schema, rng, depth);
    }
    schema
}

/// Sets a keyword for objects.
fn members(schema: &mut Value, rng: &mut Rng, depth: usize) {
    let Some(map) = schema.as_object_mut() else { return };
    let (name, value) = match rng.u8(..12) {
        0..=3 => ("additionalProperties", json!(false)),
        4 | 5 => ("additionalProperties", self::schema(rng, depth + 1)),
        6 => ("minProperties", json!(rng.u8(..3))),
        7 => ("maxProperties", json!(rng.u8(1..5))),
        8 => ("patternProperties", json!({(["^x", "^[ab]$"][rng.usize(..2)]): self::schema(rng, depth + 1)})),
        9 => ("propertyNames", json!({"maxLength": rng.u8(1..6)})),
        10 => ("dependencies", json!({"a": ["b"]})),
        _ => ("required", json!([NAMES[rng.usize(..4)]])),
    };
    map.insert(name.to_owned(), value);
}

fn array(rng: &mut Rng, depth: usize) -> Value {
    let mut map = json!({"type": "array", "items": schema(rng, depth + 1)});
    if rng.u8(..3) == 0 {
        map["minItems"] = json!(rng.u8(..3));
    }
    if rng.u8(..3) == 0 {
        map["maxItems"] = json!(rng.u8(1..5));
    }
    if rng.u8(..4) == 0 {
        map["uniqueItems"] = json!(rng.bool());
    }
    if rng.u8(..8) == 0 {
        map["items"] = json!([schema(rng, depth + 1), schema(rng, depth + 1)]);
        map["additionalItems"] = if rng.bool() { json!(false) } else { schema(rng, depth + 1) };
    }
    if rng.u8(..12) == 0 {
        map["contains"] = scalar(rng);
    }
    map
}

/// Alternatives that a constant tells apart.
fn tagged(rng: &mut Rng, depth: usize) -> Value {
    let list: Vec<Value> = ["x", "y", "z"][..rng.usize(2..4)]
        .iter()
        .map(|tag| {
            let mut one = object(rng, depth + 1);
            one["properties"]["kind"] = json!({"const": tag});
            let mut required = one["required"].as_array().cloned().unwrap_or_default();
            required.push(json!("kind"));
            one["required"] = json!(required);
            one
        })
        .collect();
    json!({(["oneOf", "anyOf"][rng.usize(..2)]): list})
}

/// Pointers to every schema.
fn collect(schema: &Value, at: &str, out: &mut Vec<String>) {
    if at.contains("/enum") || at.contains("/const") || at.contains("/required") {
        return;
    }
    if schema.is_object()
        && !at.ends_with("/properties")
        && !at.ends_with("/patternProperties")
        && !at.ends_with("/dependencies")
    {
        out.push(at.to_owned());
    }
    match schema {
        Value::Object(map) => map.iter().for_each(|(key, value)| collect(value, &format!("{at}/{key}"), out)),
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                collect(value, &format!("{at}/{index}"), out);
            }
        }
        _ => {}
    }
}

/// A small change somewhere.
fn change(bundle: &mut Value, rng: &mut Rng) {
    let mut pointers = Vec::new();
    collect(&bundle["allOf"][0], "/allOf/0", &mut pointers);
    // Definitions that nothing leads to change nothing.
    if rng.u8(..4) == 0 {
        collect(&bundle["definitions"], "/definitions", &mut pointers);
        pointers.retain(|pointer| pointer != "/definitions");
    }
    if pointers.is_empty() {
        return;
    }
    let at = &pointers[rng.usize(..pointers.len())];
    let definitions = bundle["definitions"].clone();
    let Some(target) = bundle.pointer_mut(at) else { return };
    match rng.u8(..16) {
        // What says the same in other words.
        0 => *target = json!({"allOf": [target.clone()]}),
        1 => *target = json!({"anyOf": [target.clone()]}),
        2 => {
            if let Some(name) =
                target.get("$ref").and_then(Value::as_str).and_then(|name| name.rsplit('/').next())
            {
                *target = definitions[name].clone();
            }
        }
        3 => {
            for list in ["oneOf", "anyOf", "enum", "required"] {
                if let Some(Value::Array(list)) = target.get_mut(list) {
                    list.reverse();
                }
            }
        }
        // What may not.
        4 => *target = json!({"anyOf": [target.clone(), {"type": "null"}]}),
        5 => *target = schema(rng, 2),
        6 | 7 => {
            if let Some(map) = target.as_object_mut() {
                let keys: Vec<String> = map.keys().cloned().collect();
                if let Some(key) = keys.get(rng.usize(..keys.len().max(1))) {
                    map.remove(key);
                }
            }
        }
        8 => {
            if let Some(Value::Array(list)) = target.get_mut("enum") {
                if rng.bool() && list.len() > 1 {
                    let index = rng.usize(..list.len());
                    list.remove(index);
                } else if !list.contains(&json!("new")) {
                    list.push(json!("new"));
                }
            }
        }
        9 | 10 => {
            let name = NAMES[rng.usize(..4)];
            if let Some(Value::Object(properties)) = target.get_mut("properties")
                && properties.remove(name).is_none()
            {
                properties.insert(name.to_owned(), schema(rng, 2));
            }
        }
        11 => {
            let name = json!(NAMES[rng.usize(..4)]);
            if let Some(Value::Array(list)) = target.get_mut("required") {
                match list.iter().position(|known| *known == name) {
                    Some(at) if list.len() > 1 => drop(list.remove(at)),
                    Some(_) => {}
                    None => list.push(name),
                }
            } else if target.get("properties").is_some() {
                target["required"] = json!([name]);
            }
        }
        12 if target.get("properties").is_some() => members(target, rng, 2),
        13 => {
            for keyword in ["oneOf", "anyOf"] {
                if let Some(Value::Array(list)) = target.get_mut(keyword) {
                    if rng.bool() || list.len() < 2 {
                        list.push(schema(rng, 2));
                    } else {
                        let index = rng.usize(..list.len());
                        list.remove(index);
                    }
                }
            }
        }
        // A keyword says something only of its own types.
        _ if target.get("type") == Some(&json!("object")) => members(target, rng, 2),
        _ => keyword(target, rng),
    }
}
