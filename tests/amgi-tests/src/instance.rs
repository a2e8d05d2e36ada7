//! Instances of a JSON Schema, always the same for the same seed.
//!
//! What is made mostly fits, but nothing depends on it: parts of `allOf` are laid over each other, one of several alternatives is
//! taken, `not` is not looked at. On demand one decision on the way is taken wrongly: a bound overstepped, a required member left
//! out, another type.

mod change;
mod hostile;
mod number;
mod text;

use std::collections::HashMap;

use fastrand::Rng;
use regex_syntax::hir::Hir;
use serde_json::{Map, Value};

pub use self::{change::change, hostile::hostile};
use crate::tree::Tree;

/// From this depth on only what must be there is.
const DEEP: usize = 7;
/// From this depth on nothing is.
const BOTTOM: usize = 24;
/// As many values one instance has, about.
const LARGE: usize = 120;
/// From so many on nothing is: what must be there may have no end.
const ENDLESS: usize = 100 * LARGE;

/// Types in the order of this table's users: those that cannot contain come last.
const TYPES: &[&str] = &["object", "array", "string", "integer", "number", "boolean", "null"];

/// A source of instances.
pub struct Source<'s> {
    root: &'s Value,
    rng: Rng,
    /// How many decisions are taken rightly before one is not.
    astray: Option<usize>,
    /// Decisions of the instance at hand.
    decisions: usize,
    /// Its values.
    nodes: usize,
    patterns: HashMap<&'s str, Option<Hir>>,
}

/// Schemas that must all hold, references and parts of `allOf` followed.
type Parts<'s> = [&'s Map<String, Value>];

impl<'s> Source<'s> {
    /// Instances of a schema whose references lead into itself.
    pub fn new(root: &'s Value, seed: u64) -> Self {
        let rng = Rng::with_seed(seed);
        Self { root, rng, astray: None, decisions: 0, nodes: 0, patterns: HashMap::new() }
    }

    /// An instance that mostly fits.
    pub fn fitting(&mut self) -> Tree {
        (self.decisions, self.nodes, self.astray) = (0, 0, None);
        self.value(&[self.root], 0)
    }

    /// An instance with one fault, mostly.
    pub fn straying(&mut self) -> Tree {
        self.fitting();
        let at = self.rng.usize(..self.decisions.max(1));
        (self.decisions, self.nodes, self.astray) = (0, 0, Some(at));
        self.value(&[self.root], 0)
    }

    /// Randomness, for whoever changes instances.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Whether this is the decision that is taken wrongly.
    fn strays(&mut self) -> bool {
        self.decisions += 1;
        let strays = self.astray == Some(0);
        self.astray = self.astray.and_then(|left| left.checked_sub(1));
        strays
    }

    fn value(&mut self, schemas: &[&'s Value], depth: usize) -> Tree {
        self.nodes += 1;
        if depth > BOTTOM || self.nodes > ENDLESS {
            return Tree::Null;
        }
        let mut parts = Vec::new();
        for schema in schemas {
            self.gather(schema, 0, &mut parts);
        }
        if self.strays() {
            return if self.rng.u8(..3) == 0 { Tree::Null } else { scrap(&mut self.rng) };
        }
        if let Some(literal) = self.literal(&parts) {
            return if self.strays() { other(literal, &mut self.rng) } else { literal };
        }
        match self.ty(&parts, depth) {
            "object" => self.object(&parts, depth),
            "array" => self.array(&parts, depth),
            "string" => Tree::Text(self.text(&parts)),
            "integer" => Tree::Number(self.integer(&parts)),
            "number" => Tree::Number(self.number(&parts)),
            "boolean" => Tree::Bool(self.rng.bool()),
            _ => Tree::Null,
        }
    }

    /// What a schema asks, one of its alternatives included.
    fn gather(&mut self, schema: &'s Value, hops: usize, out: &mut Vec<&'s Map<String, Value>>) {
        let Some(map) = schema.as_object().filter(|_| hops < 40) else { return };
        if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
            let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            if let Some(target) = target {
                self.gather(target, hops + 1, out);
            }
            return;
        }
        out.push(map);
        let list = |keyword: &str| map.get(keyword).and_then(Value::as_array).filter(|list| !list.is_empty());
        for part in list("allOf").into_iter().flatten() {
            self.gather(part, hops + 1, out);
        }
        for keyword in ["oneOf", "anyOf"] {
            let Some(list) = list(keyword) else { continue };
            // More than one may hold.
            for _ in 0..if self.rng.u8(..10) == 0 { 2 } else { 1 } {
                let taken = self.rng.usize(..list.len());
                self.gather(&list[taken], hops + 1, out);
            }
        }
        if let Some(condition) = map.get("if") {
            let branch = if self.rng.bool() {
                self.gather(condition, hops + 1, out);
                map.get("then")
            } else {
                map.get("else")
            };
            if let Some(branch) = branch {
                self.gather(branch, hops + 1, out);
            }
        }
    }

    /// One of the values that are listed.
    fn literal(&mut self, parts: &Parts<'s>) -> Option<Tree> {
        if let Some(constant) = first(parts, "const") {
            return Some(tree(constant));
        }
        let values = first(parts, "enum")?.as_array().filter(|values| !values.is_empty())?;
        Some(tree(&values[self.rng.usize(..values.len())]))
    }

    /// A type that all parts allow.
    fn ty(&mut self, parts: &Parts<'s>, depth: usize) -> &'static str {
        let allows = |part: &Map<String, Value>, ty: &str| match part.get("type") {
            Some(Value::String(one)) => one == ty || (one == "number" && ty == "integer"),
            Some(Value::Array(several)) => {
                several.iter().any(|one| one == ty || (one == "number" && ty == "integer"))
            }
            _ => true,
        };
        let mut types: Vec<&str> =
            TYPES.iter().copied().filter(|ty| parts.iter().all(|part| allows(part, ty))).collect();
        if types.len() == TYPES.len() {
            // Nothing says a type, but keywords speak of one.
            let speaks = |keywords: &[&str]| keywords.iter().any(|keyword| first(parts, keyword).is_some());
            let hints = [
                ("object", speaks(&["properties", "required", "additionalProperties", "patternProperties"])),
                ("array", speaks(&["items", "minItems", "contains"])),
                ("string", speaks(&["pattern", "format", "minLength", "maxLength"])),
                ("number", speaks(&["minimum", "maximum", "multipleOf"])),
            ];
            if let Some((ty, _)) = hints.iter().find(|(_, speaks)| *speaks).filter(|_| self.rng.u8(..8) > 0) {
                types = vec![ty];
            }
        }
        if (depth > DEEP || self.nodes > LARGE) && types.len() > 1 {
            types.retain(|ty| !["object", "array"].contains(ty));
        }
        if types.is_empty() {
            TYPES[self.rng.usize(..TYPES.len())]
        } else {
            types[self.rng.usize(..types.len())]
        }
    }

    fn object(&mut self, parts: &Parts<'s>, depth: usize) -> Tree {
        let mut described: Vec<(&'s str, Vec<&'s Value>)> = Vec::new();
        for (name, schema) in maps(parts, "properties") {
            match described.iter_mut().find(|(known, _)| *known == name) {
                Some((_, schemas)) => schemas.push(schema),
                None => described.push((name, vec![schema])),
            }
        }
        let required: Vec<&'s str> = parts
            .iter()
            .filter_map(|part| part.get("required")?.as_array())
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let additional: Vec<&'s Value> =
            parts.iter().filter_map(|part| part.get("additionalProperties")).collect();
        let bare = depth > DEEP || self.nodes > LARGE;
        // Some instances have everything, some nothing that they need not have.
        let share = [0, 3, 5, 8, 10][self.rng.usize(..5)];
        let mut members: Vec<(String, Tree)> = Vec::new();
        for (name, schemas) in &described {
            let needed = required.contains(name);
            if (needed && self.strays()) || (!needed && (bare || self.rng.u8(..10) >= share)) {
                continue;
            }
            members.push(((*name).to_owned(), self.value(schemas, depth + 1)));
        }
        for name in required.iter().filter(|name| described.iter().all(|(known, _)| known != *name)) {
            if !self.strays() {
                let value = self.additional(&additional, depth);
                put(&mut members, (*name).to_owned(), value);
            }
        }
        for (pattern, schema) in maps(parts, "patternProperties") {
            for _ in 0..self.rng.usize(..3) {
                let name = self.matching(pattern);
                let value = self.value(&[schema], depth + 1);
                put(&mut members, name, value);
            }
        }
        let bound = |keyword: &str| {
            first(parts, keyword).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok())
        };
        let least = bound("minProperties").unwrap_or(0).min(50);
        let closed = additional.iter().any(|schema| **schema == Value::Bool(false));
        let more = match (closed, described.is_empty()) {
            (true, _) => usize::from(self.strays()),
            // A map.
            (false, true) if !bare => self.rng.usize(..4),
            (false, _) => usize::from(self.rng.u8(..6) == 0),
        };
        for _ in 0..more.max(least.saturating_sub(members.len())) {
            let name = match first(parts, "propertyNames") {
                Some(schema) => match self.value(&[schema], depth + 1) {
                    Tree::Text(name) => name,
                    _ => continue,
                },
                None => text::name(&mut self.rng),
            };
            let value = self.additional(&additional, depth);
            put(&mut members, name, value);
        }
        if let Some(most) = bound("maxProperties").filter(|_| !self.strays()) {
            while members.len() > most {
                let at = members.iter().rposition(|(name, _)| !required.contains(&name.as_str()));
                members.remove(at.unwrap_or(members.len() - 1));
            }
        }
        if self.rng.u8(..5) == 0 {
            self.rng.shuffle(&mut members);
        }
        Tree::Map(members)
    }

    /// The value of a member that is not described by name.
    fn additional(&mut self, schemas: &[&'s Value], depth: usize) -> Tree {
        if schemas.iter().any(|schema| schema.is_object()) {
            self.value(schemas, depth + 1)
        } else {
            scrap(&mut self.rng)
        }
    }

    fn array(&mut self, parts: &Parts<'s>, depth: usize) -> Tree {
        let bound = |keyword: &str| {
            first(parts, keyword).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok())
        };
        let least = bound("minItems").unwrap_or(0).min(50);
        let most = bound("maxItems").unwrap_or(least + 4).max(least);
        let bare = depth > DEEP || self.nodes > LARGE;
        let mut count = if bare { least } else { self.rng.usize(least..=most.min(least + 3)) };
        if most <= 20 && !bare && self.rng.u8(..8) == 0 {
            count = most;
        }
        if (least > 0 || bound("maxItems").is_some()) && self.strays() {
            count = if least > 0 && self.rng.bool() { least - 1 } else { most.min(50) + 1 };
        }
        let tuple = first(parts, "prefixItems").or(first(parts, "items")).and_then(Value::as_array);
        let rest = if first(parts, "prefixItems").is_none() && tuple.is_some() {
            "additionalItems"
        } else {
            "items"
        };
        let rest: Vec<&'s Value> =
            parts.iter().filter_map(|part| part.get(rest)).filter(|schema| !schema.is_array()).collect();
        let unique = first(parts, "uniqueItems") == Some(&Value::Bool(true)) && !self.strays();
        if let Some(tuple) = tuple.filter(|_| self.rng.u8(..4) > 0) {
            count = count.max(tuple.len());
        }
        let mut items: Vec<Tree> = Vec::new();
        for index in 0..count {
            let own: Vec<&'s Value> = match tuple.and_then(|tuple| tuple.get(index)) {
                Some(schema) => vec![schema],
                None => rest.clone(),
            };
            for _ in 0..6 {
                let item = self.additional(&own, depth);
                let known = unique && items.contains(&item);
                if !known {
                    items.push(item);
                    break;
                }
            }
        }
        if let Some(contained) = first(parts, "contains").filter(|_| !self.strays()) {
            let item = self.value(&[contained], depth + 1);
            let at = self.rng.usize(..=items.len());
            items.insert(at, item);
        }
        Tree::List(items)
    }
}

/// The first value of a keyword.
fn first<'s>(parts: &Parts<'s>, keyword: &str) -> Option<&'s Value> {
    parts.iter().find_map(|part| part.get(keyword))
}

/// Schemas by name, of all parts.
fn maps<'s>(parts: &Parts<'s>, keyword: &str) -> Vec<(&'s str, &'s Value)> {
    let maps = parts.iter().filter_map(|part| part.get(keyword)?.as_object());
    maps.flatten().map(|(name, schema)| (name.as_str(), schema)).collect()
}

/// Adds a member unless there is one of that name: what an object with two of a name is, JSON leaves open.
fn put(members: &mut Vec<(String, Tree)>, name: String, value: Tree) {
    if members.iter().all(|(known, _)| *known != name) {
        members.push((name, value));
    }
}

fn tree(value: &Value) -> Tree {
    match value {
        Value::Null => Tree::Null,
        Value::Bool(value) => Tree::Bool(*value),
        Value::Number(number) => Tree::Number(number.to_string()),
        Value::String(text) => Tree::Text(text.clone()),
        Value::Array(items) => Tree::List(items.iter().map(tree).collect()),
        Value::Object(map) => {
            Tree::Map(map.iter().map(|(name, value)| (name.clone(), tree(value))).collect())
        }
    }
}

/// Something else than a listed value, and not far from it.
fn other(literal: Tree, rng: &mut Rng) -> Tree {
    match literal {
        Tree::Text(text) => match rng.u8(..5) {
            0 => Tree::Text(text.to_uppercase()),
            1 => Tree::Text(text.to_lowercase()),
            2 => Tree::Text(format!("{text} ")),
            3 => Tree::Text(text.chars().skip(1).collect()),
            _ => scrap(rng),
        },
        Tree::Number(number) => match rng.u8(..3) {
            0 => Tree::Text(number),
            1 => Tree::Number(number.strip_prefix('-').map_or(format!("1{number}"), str::to_owned)),
            _ => scrap(rng),
        },
        Tree::Bool(value) => {
            if rng.bool() {
                Tree::Bool(!value)
            } else {
                scrap(rng)
            }
        }
        _ => scrap(rng),
    }
}

/// Any small value.
fn scrap(rng: &mut Rng) -> Tree {
    match rng.u8(..9) {
        0 => Tree::Null,
        1 => Tree::Bool(rng.bool()),
        2 | 3 => Tree::Number(number::scrap(rng)),
        4 | 5 => Tree::Text(text::scrap(rng)),
        6 => Tree::List((0..rng.usize(..3)).map(|_| Tree::Number(number::scrap(rng))).collect()),
        7 => Tree::Map(Vec::new()),
        _ => Tree::Map(vec![(text::name(rng), Tree::Text(text::scrap(rng)))]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn instances_mostly_fit_and_are_the_same_for_a_seed() {
        let schema = json!({
            "allOf": [{"$ref": "#/definitions/0"}],
            "definitions": {"0": {
                "type": "object", "required": ["n", "t"], "additionalProperties": false,
                "properties": {
                    "n": {"type": "integer", "minimum": -3, "exclusiveMaximum": 12, "multipleOf": 3},
                    "t": {"type": "string", "pattern": "^[a-f]{2}-(x|y)\\d$"},
                    "d": {"type": "string", "format": "date-time"},
                    "l": {"type": "array", "items": {"$ref": "#/definitions/0"}, "maxItems": 2},
                    "e": {"oneOf": [{"enum": ["a", 1]}, {"type": "string", "minLength": 3, "maxLength": 5}]},
                },
            }},
        });
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema");
        let fits = |tree: &Tree| validator.is_valid(&serde_json::from_str(&tree.json()).expect("JSON"));
        let all = |seed| {
            let mut source = Source::new(&schema, seed);
            (0..200).map(|n| if n < 100 { source.fitting() } else { source.straying() }).collect::<Vec<_>>()
        };
        let (one, other) = (all(1), all(1));
        assert_eq!(one, other);
        assert!(one != all(2));
        assert!(one[..100].iter().filter(|tree| fits(tree)).count() > 80);
        assert!(one[100..].iter().filter(|tree| !fits(tree)).count() > 60);
        let mut changed = one[0].clone();
        let mut rng = Rng::with_seed(1);
        for other in one.iter().cycle().take(2000) {
            change(&mut changed, other, &mut rng);
            let text = changed.json();
            assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
            if text.len() > 2000 {
                changed = other.clone();
            }
        }
    }
}
