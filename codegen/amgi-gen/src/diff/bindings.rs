//! Bindings: what protocols are told. Most of it changes how messages are delivered, some of it where they go.

use std::collections::BTreeMap;

use amgi_asyncapi::{
    diag::Span,
    model::Binding,
    node::{Node, Value},
};

use super::{
    Level, kinds,
    wire::{Flow, Wire},
};

/// What decides where messages go, or whether they are found there: protocol and member.
const PLACES: &[(&str, &str)] = &[
    ("amqp", "/exchange/name"),
    ("amqp", "/exchange/type"),
    ("amqp", "/exchange/vhost"),
    ("amqp", "/is"),
    ("amqp", "/queue/name"),
    ("amqp", "/queue/vhost"),
    ("http", "/method"),
    ("http", "/type"),
    ("ibmmq", "/destinationType"),
    ("ibmmq", "/queue/objectName"),
    ("ibmmq", "/topic/objectName"),
    ("ibmmq", "/topic/string"),
    ("jms", "/destination"),
    ("jms", "/destinationType"),
    ("kafka", "/topic"),
    ("pulsar", "/namespace"),
    ("sns", "/name"),
    ("solace", "/destinations"),
    ("sqs", "/queue/name"),
    ("ws", "/method"),
];

/// A pair of what both versions say, of a place, with the spans of the objects they belong to.
pub(super) fn compare(
    wire: &mut Wire<'_>,
    place: &str,
    (old, new): (&[Binding], &[Binding]),
    flow: Flow,
    spans: (Option<Span>, Option<Span>),
) {
    let mut protocols: Vec<&str> = new.iter().chain(old).map(|binding| binding.protocol.as_str()).collect();
    let mut seen = std::collections::HashSet::new();
    protocols.retain(|protocol| seen.insert(*protocol));
    for protocol in protocols {
        let of = |bindings: &'_ [Binding]| bindings.iter().position(|binding| binding.protocol == protocol);
        let (one, other) = (of(old).map(|at| &old[at]), of(new).map(|at| &new[at]));
        let schema = |binding: Option<&Binding>, name: &str| {
            let found = binding?.schemas.iter().find(|(known, _)| known == name);
            found.map(|(_, id)| *id)
        };
        let mut schemas: Vec<&str> = one
            .iter()
            .chain(&other)
            .flat_map(|binding| &binding.schemas)
            .map(|(name, _)| name.as_str())
            .collect();
        schemas.sort_unstable();
        schemas.dedup();
        for name in &schemas {
            let what = format!("{protocol} `{name}`");
            let pair = (schema(one, name), schema(other, name));
            wire.schema(&what, &format!("{place}, {what}"), pair, flow, spans);
        }
        let (was, is) = (facts(one, &schemas), facts(other, &schemas));
        let mut names: Vec<&String> = was.keys().chain(is.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let (one, other) = (was.get(name), is.get(name));
            let (before, after) = (one.map(|fact| &fact.text), other.map(|fact| &fact.text));
            if before == after {
                continue;
            }
            let what = format!("`{protocol}{name}`");
            let text = match (before, after) {
                (Some(was), Some(is)) => format!("{what} is `{is}`, was `{was}`"),
                (None, Some(is)) => format!("{what} is new: `{is}`"),
                (Some(was), None) => format!("{what} is gone, was `{was}`"),
                (None, None) => continue,
            };
            let known = PLACES.iter().any(|(known, member)| *known == protocol && name.starts_with(member));
            let level = if known { Level::Breaking } else { Level::Warning };
            let spans = (one.map(|fact| fact.span).or(spans.0), other.map(|fact| fact.span).or(spans.1));
            wire.say(kinds::BINDING_CHANGED, level, text, &format!("{place}, {protocol}"), spans);
        }
    }
}

struct Fact {
    text: String,
    span: Span,
}

/// Scalars of a binding by JSON Pointer, lists as a whole.
fn facts(binding: Option<&Binding>, schemas: &[&str]) -> BTreeMap<String, Fact> {
    let mut out = BTreeMap::new();
    let Some(binding) = binding else { return out };
    for entry in binding.value.entries() {
        let skipped = entry.key == "bindingVersion"
            || entry.key.starts_with("x-")
            || schemas.contains(&entry.key.as_str());
        if !skipped {
            gather(&entry.value, &format!("/{}", entry.key), &mut out);
        }
    }
    out
}

fn gather(node: &Node, pointer: &str, out: &mut BTreeMap<String, Fact>) {
    match &node.value {
        Value::Object(entries) if !entries.is_empty() => {
            for entry in entries.iter().filter(|entry| entry.key != "description") {
                gather(&entry.value, &format!("{pointer}/{}", entry.key), out);
            }
        }
        _ => {
            out.insert(pointer.to_owned(), Fact { text: node.to_json().to_string(), span: node.span });
        }
    }
}
