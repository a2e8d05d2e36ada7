//! Whether a value fits a schema: examples and defaults, by the rules of JSON Schema draft-07.
//!
//! What cannot be decided here fits: references that lead nowhere, patterns that are no expressions, schemas that go on
//! for ever. The work for one value is bounded, so that no document takes long.

use std::collections::{HashMap, HashSet};

use regress::Regex;
use serde_json::Number;

use super::format;
use crate::{
    diag::Span,
    node::{Node, Value},
    refs::{Refs, reference},
    schema::{Dialect, dialect, multi_format},
};

/// Schemas that one value is compared with.
const MAX_STEPS: usize = 10_000;
/// How deep schemas may lead into each other for one value.
const MAX_DEPTH: usize = 64;
/// Characters of a string that a pattern is tried on; expressions can take time that grows with a power of them.
const MAX_TEXT: usize = 64;

/// Expressions that were compiled, `None` for those that are none.
#[derive(Default)]
pub(super) struct Patterns(HashMap<String, Option<Regex>>);

impl Patterns {
    pub(super) fn get(&mut self, pattern: &str) -> Option<&Regex> {
        if !self.0.contains_key(pattern) {
            let expression = Regex::with_flags(pattern, "u").or_else(|_| Regex::new(pattern)).ok();
            self.0.insert(pattern.to_string(), expression);
        }
        self.0.get(pattern)?.as_ref()
    }

    /// Whether `text` has a part of this pattern.
    fn finds(&mut self, pattern: &str, text: &str) -> bool {
        // A repeated group can take time that doubles with each character.
        let nested = [")*", ")+", "){"].iter().any(|end| pattern.contains(end));
        let short = text.chars().nth(if nested { 20 } else { MAX_TEXT }).is_none();
        !short || self.get(pattern).is_none_or(|expression| expression.find(text).is_some())
    }
}

/// Where a value does not fit, and why.
pub(super) struct Misfit {
    pub(super) span: Span,
    pub(super) why: String,
}

type Fit = Result<(), Misfit>;

/// Whether `value` fits `schema`; the first place where it does not.
pub(super) fn fit<'a>(refs: &'a Refs<'a>, patterns: &mut Patterns, schema: &Node, value: &Node) -> Fit {
    Fitting { refs, patterns, steps: MAX_STEPS, depth: 0 }.schema(schema, value)
}

struct Fitting<'a, 'p> {
    refs: &'a Refs<'a>,
    patterns: &'p mut Patterns,
    steps: usize,
    depth: usize,
}

fn misfit(value: &Node, why: impl Into<String>) -> Fit {
    Err(Misfit { span: value.span, why: why.into() })
}

impl Fitting<'_, '_> {
    fn schema(&mut self, schema: &Node, value: &Node) -> Fit {
        if self.steps == 0 || self.depth == MAX_DEPTH {
            return Ok(());
        }
        self.steps -= 1;
        self.depth += 1;
        let fit = self.inner(schema, value);
        self.depth -= 1;
        fit
    }

    fn inner(&mut self, schema: &Node, value: &Node) -> Fit {
        if let Value::Bool(any) = schema.value {
            return if any { Ok(()) } else { misfit(value, "no value is allowed here") };
        }
        if let Some((format, schema)) = multi_format(schema) {
            let native = matches!(
                dialect(format.as_str().unwrap_or_default()),
                Some(Dialect::AsyncApi | Dialect::JsonSchema)
            );
            return if native { self.schema(schema, value) } else { Ok(()) };
        }
        if let Some(text) = reference(schema) {
            let target = self.refs.resolve(text);
            return target.map_or(Ok(()), |target| self.schema(target.node, value));
        }
        any(schema, value)?;
        match &value.value {
            Value::Number(number) => numbers(schema, value, number)?,
            Value::String(text) => self.text(schema, value, text)?,
            Value::Array(items) => self.array(schema, value, items)?,
            Value::Object(_) => self.object(schema, value)?,
            Value::Null | Value::Bool(_) => {}
        }
        self.applied(schema, value)
    }

    fn text(&mut self, schema: &Node, value: &Node, text: &str) -> Fit {
        let length = || count(text.chars().count());
        if limit(schema, "minLength").is_some_and(|least| length() < least) {
            return misfit(value, "it is shorter than `minLength`");
        }
        if limit(schema, "maxLength").is_some_and(|most| length() > most) {
            return misfit(value, "it is longer than `maxLength`");
        }
        if let Some(pattern) = schema.get("pattern").and_then(Node::as_str)
            && !self.patterns.finds(pattern, text)
        {
            return misfit(value, format!("it does not match the pattern `{pattern}`"));
        }
        match schema.get("format").and_then(Node::as_str) {
            Some(format) if !format::is(format, text) => misfit(value, format!("it is no `{format}`")),
            _ => Ok(()),
        }
    }

    fn array(&mut self, schema: &Node, value: &Node, items: &[Node]) -> Fit {
        sizes(schema, value, items.len(), ("minItems", "maxItems"), "items")?;
        match schema.get("items") {
            Some(list) if matches!(list.value, Value::Array(_)) => {
                for (schema, item) in list.items().iter().zip(items) {
                    self.schema(schema, item)?;
                }
                if let Some(more) = schema.get("additionalItems") {
                    for item in items.iter().skip(list.items().len()) {
                        self.schema(more, item)?;
                    }
                }
            }
            Some(each) => {
                for item in items {
                    self.schema(each, item)?;
                }
            }
            None => {}
        }
        if let Some(wanted) = schema.get("contains")
            && !items.iter().any(|item| self.schema(wanted, item).is_ok())
        {
            return misfit(value, "no item is what `contains` asks for");
        }
        if matches!(schema.get("uniqueItems").map(|u| &u.value), Some(Value::Bool(true))) {
            let mut seen = HashSet::new();
            if let Some(item) = items.iter().find(|item| !seen.insert(item.to_json().to_string())) {
                return misfit(item, "it stands twice in a list of unique items");
            }
        }
        Ok(())
    }

    fn object(&mut self, schema: &Node, value: &Node) -> Fit {
        let entries = value.entries();
        sizes(schema, value, entries.len(), ("minProperties", "maxProperties"), "properties")?;
        let lacks = |names: &Node| {
            let mut names = names.items().iter().filter_map(Node::as_str);
            names.find(|name| value.get(name).is_none()).map(str::to_string)
        };
        if let Some(missing) = schema.get("required").and_then(lacks) {
            return misfit(value, format!("it has no `{missing}`, which is required"));
        }
        let properties = schema.get("properties");
        let patterns = schema.get("patternProperties").map_or(&[][..], Node::entries);
        for entry in entries {
            let mut known = false;
            if let Some(schema) = properties.and_then(|p| p.get(&entry.key)) {
                known = true;
                self.schema(schema, &entry.value)?;
            }
            for pattern in patterns {
                if self.patterns.finds(&pattern.key, &entry.key) {
                    known = true;
                    self.schema(&pattern.value, &entry.value)?;
                }
            }
            match schema.get("additionalProperties") {
                Some(Node { value: Value::Bool(false), .. }) if !known => {
                    let why = format!("the schema has no property `{}`, and allows no others", entry.key);
                    return Err(Misfit { span: entry.key_span, why });
                }
                Some(more) if !known => self.schema(more, &entry.value)?,
                _ => {}
            }
            if let Some(names) = schema.get("propertyNames") {
                let name = Node { value: Value::String(entry.key.clone()), span: entry.key_span };
                self.schema(names, &name)?;
            }
        }
        for dependency in schema.get("dependencies").map_or(&[][..], Node::entries) {
            if value.get(&dependency.key).is_none() {
                continue;
            }
            if !matches!(dependency.value.value, Value::Array(_)) {
                self.schema(&dependency.value, value)?;
            } else if let Some(missing) = lacks(&dependency.value) {
                let why = format!("it has no `{missing}`, which `{}` depends on", dependency.key);
                return misfit(value, why);
            }
        }
        Ok(())
    }

    /// Keywords that apply other schemas to the same value.
    fn applied(&mut self, schema: &Node, value: &Node) -> Fit {
        for all in schema.get("allOf").map_or(&[][..], Node::items) {
            self.schema(all, value)?;
        }
        if let Some(Node { value: Value::Array(choices), .. }) = schema.get("anyOf")
            && !choices.is_empty()
            && !choices.iter().any(|choice| self.schema(choice, value).is_ok())
        {
            return misfit(value, "it fits none of the schemas in `anyOf`");
        }
        if let Some(Node { value: Value::Array(choices), .. }) = schema.get("oneOf")
            && !choices.is_empty()
        {
            let fitting = choices.iter().filter(|choice| self.schema(choice, value).is_ok()).count();
            // What the bounds let pass may fit too often.
            if fitting == 0 || (fitting > 1 && self.steps > 0 && self.depth + 1 < MAX_DEPTH) {
                let why = match fitting {
                    0 => "it fits none of the schemas in `oneOf`".to_string(),
                    _ => format!("it fits {fitting} of the schemas in `oneOf`, not one"),
                };
                return misfit(value, why);
            }
        }
        if let Some(not) = schema.get("not")
            && self.steps > 0
            && self.schema(not, value).is_ok()
            && self.steps > 0
        {
            return misfit(value, "it fits the schema in `not`");
        }
        if let Some(condition) = schema.get("if") {
            let branch = if self.schema(condition, value).is_ok() { "then" } else { "else" };
            if let Some(schema) = schema.get(branch) {
                self.schema(schema, value)?;
            }
        }
        Ok(())
    }
}

/// Keywords for values of any type.
fn any(schema: &Node, value: &Node) -> Fit {
    if let Some(types) = schema.get("type") {
        let names = if types.as_str().is_some() { std::slice::from_ref(types) } else { types.items() };
        let names: Vec<_> = names.iter().filter_map(Node::as_str).collect();
        if !names.is_empty() && !names.iter().any(|name| is_a(value, name)) {
            return misfit(value, format!("it must be {}, not {}", names.join(" or "), value.kind()));
        }
    }
    let json = schema.get("enum").or(schema.get("const")).map(|_| value.to_json());
    if let Some(list) = schema.get("enum")
        && let Value::Array(items) = &list.value
        && !items.iter().any(|item| Some(item.to_json()) == json)
    {
        return misfit(value, "it is none of the values in `enum`");
    }
    if let Some(constant) = schema.get("const")
        && Some(constant.to_json()) != json
    {
        return misfit(value, "it is not the value of `const`");
    }
    Ok(())
}

fn is_a(value: &Node, name: &str) -> bool {
    match name {
        "integer" => matches!(&value.value, Value::Number(n) if whole(n)),
        "array" | "boolean" | "null" | "number" | "object" | "string" => value.kind() == name,
        // No type at all, which is reported where it stands.
        _ => true,
    }
}

/// `1.0` is an integer to JSON Schema.
pub(super) fn whole(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|f| f.fract() == 0.0)
}

/// The number under a keyword.
pub(super) fn limit(schema: &Node, keyword: &str) -> Option<f64> {
    match &schema.get(keyword)?.value {
        Value::Number(number) => number.as_f64(),
        _ => None,
    }
}

/// Whether a number keeps to a limit.
type Holds = fn(f64, f64) -> bool;

fn numbers(schema: &Node, value: &Node, number: &Number) -> Fit {
    let Some(number) = number.as_f64() else { return Ok(()) };
    let checks: [(&str, Holds); 5] = [
        ("minimum", |n, limit| n >= limit),
        ("maximum", |n, limit| n <= limit),
        ("exclusiveMinimum", |n, limit| n > limit),
        ("exclusiveMaximum", |n, limit| n < limit),
        ("multipleOf", |n, limit| {
            let times = n / limit;
            limit <= 0.0 || (times - times.round()).abs() < 1e-9
        }),
    ];
    for (keyword, holds) in checks {
        if let Some(bound) = limit(schema, keyword)
            && !holds(number, bound)
        {
            return misfit(value, format!("it does not keep to `{keyword}: {bound}`"));
        }
    }
    Ok(())
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

fn sizes(schema: &Node, value: &Node, size: usize, (least, most): (&str, &str), of: &str) -> Fit {
    let size = count(size);
    if limit(schema, least).is_some_and(|least| size < least) {
        return misfit(value, format!("it has fewer {of} than `{least}`"));
    }
    if limit(schema, most).is_some_and(|most| size > most) {
        return misfit(value, format!("it has more {of} than `{most}`"));
    }
    Ok(())
}
