//! What a schema asks beyond the type, as rules on the typed value.

use std::collections::HashSet;

use amgi_asyncapi::{
    diag::Diagnostics,
    node::{Node, Value},
};
use serde_json::Number;

use super::{
    alternatives::MOST_DEPTH,
    custom,
    schema::{self, types},
    shape::Shaper,
};
use crate::{
    ir::{Rule, Ty},
    settings::FORMATS,
};

/// Reports what a schema says of Rust and cannot be read.
pub(super) fn report(node: &Node, diagnostics: &mut Diagnostics) {
    for entry in node.entries() {
        custom::report(entry, diagnostics);
        match entry.key.as_str() {
            "properties" | "patternProperties" | "definitions" | "$defs" => {
                entry.value.entries().iter().for_each(|member| report(&member.value, diagnostics));
            }
            "allOf" | "anyOf" | "oneOf" => {
                entry.value.items().iter().for_each(|part| report(part, diagnostics));
            }
            "additionalItems"
            | "additionalProperties"
            | "contains"
            | "else"
            | "if"
            | "items"
            | "not"
            | "propertyNames"
            | "then" => report(&entry.value, diagnostics),
            _ => {}
        }
    }
}

/// Formats for which it takes the validator.
const FORMATS_OF_VALIDATOR: &[&str] =
    &["hostname", "idn-email", "idn-hostname", "iri", "iri-reference", "regex", "uri-template"];

/// Whether a schema has a format that is checked, and that by the validator alone.
pub(super) fn needs_validator(shaper: &Shaper<'_>, node: &Node) -> bool {
    let format = node.get("format").and_then(Node::as_str);
    shaper.asserts_formats() && format.is_some_and(|format| FORMATS_OF_VALIDATOR.contains(&format))
}

/// Whether a text is a regular expression of ECMA-262.
pub(super) fn is_pattern(text: &str) -> bool {
    regress::Regex::with_flags(text, "u").or_else(|_| regress::Regex::new(text)).is_ok()
}

/// The rules of `node` for a value of type `ty`. Rules that the type cannot break are left out.
pub(super) fn rules<'d>(shaper: &Shaper<'d>, node: &'d Node, ty: &Ty) -> Vec<Rule> {
    let mut out = Vec::new();
    collect(shaper, node, ty, &mut Seen::default(), &mut out);
    out
}

/// Schemas that were looked at, each for values of one type: they all hold, so once is enough.
#[derive(Default)]
struct Seen {
    pairs: HashSet<(*const Node, *const Ty)>,
    depth: usize,
}

fn collect<'d>(shaper: &Shaper<'d>, node: &'d Node, ty: &Ty, seen: &mut Seen, out: &mut Vec<Rule>) {
    let node = shaper.resolve(node);
    // As deep as this go lists in lists without a name, and parts of parts in no document that anybody has written.
    if seen.depth > MOST_DEPTH || !seen.pairs.insert((node, ty)) {
        return;
    }
    seen.depth += 1;
    collect_new(shaper, node, ty, seen, out);
    seen.depth -= 1;
}

fn collect_new<'d>(shaper: &Shaper<'d>, node: &'d Node, ty: &Ty, seen: &mut Seen, out: &mut Vec<Rule>) {
    match ty {
        Ty::Option(inner) | Ty::Box(inner) => return collect(shaper, node, inner, seen, out),
        Ty::Named(_) => {
            if !out.contains(&Rule::Named) {
                out.push(Rule::Named);
            }
            return;
        }
        _ => {}
    }
    for part in node.get("allOf").map(Node::items).unwrap_or_default() {
        collect(shaper, part, ty, seen, out);
    }
    if let Some([only]) = shaper.branches(node).as_deref()
        && !shaper.is_opaque(node)
    {
        collect(shaper, only, ty, seen, out);
    }
    match ty {
        Ty::String => {
            out.extend(size(node, "minLength", "maxLength").map(|rule| match rule {
                Rule::Size(least, most) => Rule::Length(least, most),
                other => other,
            }));
            if let Some(pattern) = node.get("pattern").and_then(Node::as_str) {
                out.push(Rule::Pattern(pattern.to_owned()));
            }
            let format = node.get("format").and_then(Node::as_str);
            if let Some(format) = format.filter(|format| shaper.asserts_formats() && FORMATS.contains(format))
            {
                out.push(Rule::Format(format.to_owned()));
            }
        }
        Ty::Number(name) => numbers(node, name, out),
        Ty::Exact => {
            let types = types(node);
            if types.contains(&"integer") && !types.contains(&"number") {
                out.push(Rule::Whole);
            }
            numbers(node, "f64", out);
        }
        Ty::Vec(inner) => {
            out.extend(size(node, "minItems", "maxItems"));
            if matches!(node.get("uniqueItems"), Some(Node { value: Value::Bool(true), .. })) {
                out.push(Rule::Unique);
            }
            each(shaper, node.get("items"), inner, seen, out);
        }
        Ty::Map(inner) => {
            out.extend(size(node, "minProperties", "maxProperties"));
            out.extend(required(node));
            each(shaper, node.get("additionalProperties"), inner, seen, out);
        }
        Ty::JsonObject => {
            out.extend(size(node, "minProperties", "maxProperties"));
            out.extend(required(node));
        }
        _ => {}
    }
    literals(node, ty, out);
}

fn each<'d>(shaper: &Shaper<'d>, node: Option<&'d Node>, inner: &Ty, seen: &mut Seen, out: &mut Vec<Rule>) {
    let Some(node) = node.filter(|node| matches!(node.value, Value::Object(_))) else { return };
    let mut rules = Vec::new();
    collect(shaper, node, inner, seen, &mut rules);
    if !rules.is_empty() {
        out.push(Rule::Each(rules));
    }
}

fn required(node: &Node) -> Option<Rule> {
    let names = node.get("required").map(Node::items).unwrap_or_default().iter();
    let names: Vec<String> = names.filter_map(Node::as_str).map(str::to_owned).collect();
    (!names.is_empty()).then_some(Rule::Required(names))
}

fn literals(node: &Node, ty: &Ty, out: &mut Vec<Rule>) {
    let Some(values) = schema::literals(node) else { return };
    if !matches!(ty, Ty::Unit) {
        out.push(Rule::OneOf(values.iter().map(Node::to_json).collect()));
    }
}

fn number<'d>(node: &'d Node, key: &str) -> Option<&'d Number> {
    match &node.get(key)?.value {
        Value::Number(number) => Some(number),
        _ => None,
    }
}

fn numbers(node: &Node, ty: &str, out: &mut Vec<Rule>) {
    // Draft 4 wrote `exclusiveMinimum: true` beside `minimum`; documents still do.
    let exclusive = |key: &str| matches!(node.get(key), Some(Node { value: Value::Bool(true), .. }));
    let (lowest, highest) = range(ty);
    if let Some(least) = number(node, "minimum") {
        let exclusive = exclusive("exclusiveMinimum");
        // What the type cannot hold needs no rule.
        if exclusive || least.as_f64().is_none_or(|least| least > lowest) {
            out.push(Rule::Minimum(least.clone(), exclusive));
        }
    }
    if let Some(least) = number(node, "exclusiveMinimum") {
        out.push(Rule::Minimum(least.clone(), true));
    }
    if let Some(most) = number(node, "maximum") {
        let exclusive = exclusive("exclusiveMaximum");
        if exclusive || most.as_f64().is_none_or(|most| most < highest) {
            out.push(Rule::Maximum(most.clone(), exclusive));
        }
    }
    if let Some(most) = number(node, "exclusiveMaximum") {
        out.push(Rule::Maximum(most.clone(), true));
    }
    let integer = !ty.starts_with('f');
    if let Some(of) = number(node, "multipleOf").filter(|of| of.as_f64().is_some_and(|of| of > 0.0))
        && !(integer && of.as_f64() == Some(1.0))
    {
        out.push(Rule::MultipleOf(of.clone()));
    }
}

/// What a number type can hold.
fn range(ty: &str) -> (f64, f64) {
    match ty {
        "u32" => (0.0, f64::from(u32::MAX)),
        "i32" => (f64::from(i32::MIN), f64::from(i32::MAX)),
        // Bounds at the very end of 64 bits are not exact as `f64`, so they are checked.
        "u64" => (0.0, f64::INFINITY),
        _ => (f64::NEG_INFINITY, f64::INFINITY),
    }
}

fn size(node: &Node, least: &str, most: &str) -> Option<Rule> {
    // A limit written as a float counts when it is whole.
    let limit = |key: &str| {
        number(node, key).and_then(|n| {
            n.as_u64().or_else(|| n.as_f64().filter(|n| n.fract() == 0.0)?.to_string().parse().ok())
        })
    };
    let (least, most) = (limit(least).unwrap_or(0), limit(most));
    let as_usize = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    (least > 0 || most.is_some()).then(|| Rule::Size(as_usize(least), most.map(as_usize)))
}
