//! `$id`: names that schemas give themselves, and what a reference among such schemas means (JSON Schema draft-07, 8.2).
//!
//! What must stay true: a document without `$id` is not touched; where a name and a file could both be meant, the name is,
//! as the specification asks. An `$id` is looked for only where a schema can stand: in `const` or `enum` it is data, and so it
//! is below a keyword that nobody knows.

use std::collections::HashMap;

use fluent_uri::{Uri, UriRef};

use crate::{
    diag::Span,
    keyword::{Position, position},
    node::{Node, Value},
};

/// Where a schema is: its file, and the keys that lead to it.
type Place = (u32, Vec<String>);

/// A place in a text, which tells references apart.
type Spot = (u32, u32, u32);

/// What a value is, as far as it counts here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Something that is no schema, or not known to be one.
    Any,
    /// A schema, or a list of them.
    Schema,
    /// Schemas by name.
    Map,
    /// Data in a schema. References in it may be meant, names are not.
    Data,
}

/// The names of all schemas, and the references that lie below a name.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    /// By address, without a fragment.
    schemas: HashMap<String, Place>,
    /// By address and fragment.
    anchors: HashMap<(String, String), Place>,
    /// What a reference is resolved against: by where its text stands.
    bases: HashMap<Spot, String>,
}

fn spot(span: Span) -> Spot {
    (span.file, span.line, span.column)
}

/// The part of a reference before `#`, and the part behind it.
pub(crate) fn split(reference: &str) -> (&str, &str) {
    reference.split_once('#').unwrap_or((reference, ""))
}

impl Ids {
    /// Takes up the names in a file; `address` is where it was read from, when that is in the network.
    pub(crate) fn index(&mut self, file: u32, address: Option<&str>, tree: &Node) {
        // A file without an address has one that nothing else has, so that names without a scheme have something to be
        // relative to.
        let base = address.map_or_else(|| format!("amgi-file:///{file}/"), str::to_owned);
        let Ok(base) = Uri::parse(base) else { return };
        if address.is_some() {
            self.schemas.entry(base.to_string()).or_insert_with(|| (file, Vec::new()));
        }
        self.walk(tree, Kind::Any, &base, address.is_some(), &mut (file, Vec::new()));
    }

    fn walk(&mut self, node: &Node, kind: Kind, base: &Uri<String>, named: bool, place: &mut Place) {
        match &node.value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    place.1.push(index.to_string());
                    self.walk(item, kind, base, named, place);
                    place.1.pop();
                }
            }
            Value::Object(entries) => {
                let reference = node.get("$ref").filter(|reference| reference.as_str().is_some());
                let schema = matches!(kind, Kind::Any | Kind::Schema);
                let id = node.get("$id").and_then(Node::as_str).filter(|_| schema && reference.is_none());
                let own = id.and_then(|id| self.name(id, base, place));
                let (base, named) = own.as_ref().map_or((base, named), |own| (own, true));
                if let Some(reference) = reference.filter(|reference| named || is_anchor(reference)) {
                    self.bases.insert(spot(reference.span), base.to_string());
                }
                for entry in entries {
                    let data =
                        ["const", "default", "enum", "example", "examples"].contains(&entry.key.as_str());
                    if data && kind != Kind::Map {
                        continue;
                    }
                    let inner = match (kind, position(&entry.key)) {
                        (Kind::Data, _) | (Kind::Schema, Position::Data) => Kind::Data,
                        (Kind::Map, _) | (_, Position::Schema) => Kind::Schema,
                        (_, Position::Map) => Kind::Map,
                        (Kind::Any, Position::Data) => Kind::Any,
                    };
                    place.1.push(entry.key.clone());
                    self.walk(&entry.value, inner, base, named, place);
                    place.1.pop();
                }
            }
            _ => {}
        }
    }

    /// Takes up a name; the base of what lies within, when it is another.
    fn name(&mut self, id: &str, base: &Uri<String>, place: &Place) -> Option<Uri<String>> {
        let (address, fragment) = split(id);
        let full = resolve(address, base)?;
        if !fragment.is_empty() {
            self.anchors.entry((full.to_string(), fragment.to_owned())).or_insert_with(|| place.clone());
        }
        if address.is_empty() {
            return None;
        }
        self.schemas.entry(full.to_string()).or_insert_with(|| place.clone());
        Some(full)
    }

    /// The schema that a reference names by its `$id`, and the pointer behind the name.
    pub(crate) fn find<'r>(&self, reference: &'r str, span: Span) -> Option<(Place, &'r str)> {
        let (address, fragment) = split(reference);
        let base = self.bases.get(&spot(span)).and_then(|base| Uri::parse(base.clone()).ok());
        let full = match &base {
            Some(base) => resolve(address, base)?.to_string(),
            None => Uri::parse(address.to_owned()).ok()?.normalize().to_string(),
        };
        if !fragment.is_empty() && !fragment.starts_with('/') {
            return Some((self.anchors.get(&(full, fragment.to_owned()))?.clone(), ""));
        }
        Some((self.schemas.get(&full)?.clone(), fragment))
    }

    /// Where a reference leads in the network that lies below a name there.
    pub(crate) fn address(&self, reference: &str, span: Span) -> Option<String> {
        let base = Uri::parse(self.bases.get(&spot(span))?.clone()).ok()?;
        let full = resolve(split(reference).0, &base)?;
        matches!(full.scheme().as_str(), "http" | "https").then(|| full.to_string())
    }
}

fn is_anchor(reference: &Node) -> bool {
    let fragment = reference.as_str().and_then(|text| text.strip_prefix('#')).unwrap_or_default();
    !fragment.is_empty() && !fragment.starts_with('/')
}

fn resolve(address: &str, base: &Uri<String>) -> Option<Uri<String>> {
    if address.is_empty() {
        return Some(base.clone());
    }
    let address = UriRef::parse(address).ok()?;
    if address.scheme().is_none() && base.authority().is_none() {
        // A name such as `urn:uuid:…` has no folder that anything could lie beside.
        return None;
    }
    Some(address.resolve_against(base).ok()?.normalize())
}
