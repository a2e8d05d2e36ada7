//! The document as one JSON text: what all its files say, with every reference within the text.
//!
//! What must stay true: loaded again, the text gives the same model. So members keep their order, what several references
//! name is there once, under the name that they gave it, and references within the main file stay as they are. What comes
//! from other files goes to `components` where its place or its kind says which of them, and to `x-bundled` otherwise. A
//! reference that leads nowhere, or stands in data, is left alone.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    files::Files,
    ids::split,
    keyword::{Position, position},
    node::{Entry, Node, Value},
    refs::{Place, Refs, reference},
    schema::dialect,
};

/// Where things go that have no place among the components: by the number of their file.
const BUNDLED: &str = "x-bundled";

/// The files of a document as one JSON text, members in their order.
pub(crate) fn bundle(files: &Files) -> String {
    let refs = Refs::new(files);
    let mut bundler = Bundler { refs: &refs, moved: BTreeMap::new(), order: Vec::new() };
    let root = refs.root();
    bundler.collect(root, Kind::Any, 0);
    let mut at = 0;
    while let Some((place, kind)) = bundler.order.get(at).cloned() {
        at += 1;
        if let Some(node) = refs.at(&place) {
            bundler.collect(node, kind, place.file);
        }
    }
    let mut text = String::new();
    if bundler.moved.is_empty() {
        // Most documents are one file, and large ones need no second tree.
        write(root, &mut text);
        return text;
    }
    let roots = bundler.roots(root);
    let mut tree = copy(&refs, &roots, root, Kind::Any, 0);
    for (place, home) in &roots {
        if let Some(node) = refs.at(place) {
            let kind = bundler.moved.get(place).copied().unwrap_or(Kind::Any);
            put(&mut tree, home, copy(&refs, &roots, node, kind, place.file));
        }
    }
    write(&tree, &mut text);
    text
}

/// What a value is, as far as it counts here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Something that is no schema, or none that is read.
    Any,
    /// A schema, or a list of them.
    Schema,
    /// Schemas by name.
    Map,
}

/// What the members of an object are; `None` for data, in which nothing refers to anything.
fn member(kind: Kind, object: &Node, key: &str) -> Option<Kind> {
    if kind == Kind::Map {
        return Some(Kind::Schema);
    }
    if ["const", "default", "enum", "example", "examples"].contains(&key) {
        return None;
    }
    let foreign =
        object.get("schemaFormat").and_then(Node::as_str).is_some_and(|format| dialect(format).is_none());
    Some(match (position(key), key) {
        (_, "schema" | "payload") if foreign => Kind::Any,
        (Position::Schema, _) | (_, "payload" | "headers" | "schema") => Kind::Schema,
        (Position::Map, _) | (_, "schemas") => Kind::Map,
        _ => Kind::Any,
    })
}

struct Bundler<'r, 'a> {
    refs: &'r Refs<'a>,
    /// What is named in other files.
    moved: BTreeMap<Place, Kind>,
    /// The same, as it was found.
    order: Vec<(Place, Kind)>,
}

impl Bundler<'_, '_> {
    /// Notes what the references below `node` name in other files.
    fn collect(&mut self, node: &Node, kind: Kind, file: u32) {
        match &node.value {
            Value::Array(items) => items.iter().for_each(|item| self.collect(item, kind, file)),
            Value::Object(entries) => {
                if let Some(place) = reference(node).and_then(|text| target(self.refs, text, file))
                    && place.file != 0
                {
                    let place = home_of(place);
                    let known = self.moved.get(&place).copied();
                    if known.is_none() || (known == Some(Kind::Any) && kind != Kind::Any) {
                        self.moved.insert(place.clone(), kind);
                        self.order.push((place, kind));
                    }
                }
                for entry in entries {
                    if let Some(kind) = member(kind, node, &entry.key) {
                        self.collect(&entry.value, kind, file);
                    }
                }
            }
            _ => {}
        }
    }

    /// Where everything goes: the outermost places only, as the others lie within them.
    fn roots(&self, document: &Node) -> BTreeMap<Place, Vec<String>> {
        let mut outermost: Vec<&Place> = Vec::new();
        for place in self.moved.keys() {
            if !outermost.last().is_some_and(|outer| place.is_under(outer)) {
                outermost.push(place);
            }
        }
        let components = document.get("components");
        let free = |taken: &BTreeMap<Place, Vec<String>>, home: &[String]| {
            let collection = match components {
                Some(components) if reference(components).is_some() => return false,
                Some(components) => components.get(&home[1]),
                None => None,
            };
            let known = collection.is_some_and(|collection| {
                reference(collection).is_some() || collection.get(&home[2]).is_some()
            });
            !known && !taken.values().any(|other| other == home)
        };
        let mut homes = BTreeMap::new();
        // In the order in which they were found, so that the first of two gets the name.
        for (place, _) in self.order.iter().filter(|(place, _)| outermost.contains(&place)) {
            if homes.contains_key(place) {
                continue;
            }
            let kind = self.moved.get(place).copied().unwrap_or(Kind::Any);
            let stem = self.refs.stem(place.file);
            let component = match place.tokens.as_slice() {
                [components, collection, name] if components == "components" => {
                    Some((collection.as_str(), name.as_str()))
                }
                [] if kind == Kind::Schema => Some(("schemas", stem)),
                // Payload and headers give no name to what stands there.
                [.., name] if kind == Kind::Schema && !["payload", "headers"].contains(&name.as_str()) => {
                    Some(("schemas", name.as_str()))
                }
                _ => None,
            };
            let component = component
                .filter(|(_, name)| is_name(name))
                .map(|(collection, name)| ["components", collection, name].map(str::to_owned).to_vec());
            let home = component.filter(|home| free(&homes, home)).unwrap_or_else(|| {
                let mut home = vec![BUNDLED.to_owned(), place.file.to_string()];
                home.extend_from_slice(&place.tokens);
                // A schema that is a whole file is named after it; a message is not, and numbers are no names.
                if place.tokens.is_empty() && kind == Kind::Schema && !stem.is_empty() {
                    home.push(stem.to_owned());
                }
                home
            });
            homes.insert(place.clone(), home);
        }
        homes
    }
}

/// What may be the key of a component.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

/// What is moved when something at `place` is named: a component as a whole.
fn home_of(mut place: Place) -> Place {
    if place.tokens.first().is_some_and(|first| first == "components") && place.tokens.len() > 3 {
        place.tokens.truncate(3);
    }
    place
}

/// The place that a reference in `file` names, one step; `None` where it stays as it is.
fn target(refs: &Refs<'_>, text: &Node, file: u32) -> Option<Place> {
    let reference = text.as_str().unwrap_or_default();
    let named = refs.is_named(text);
    if file == 0 && !named && split(reference).0.is_empty() {
        return None;
    }
    // In a document of its own that is the schema around it, as it is in the bundle.
    let own =
        || refs.at(&Place { file, tokens: Vec::new() }).is_some_and(|root| root.get("asyncapi").is_some());
    if matches!(reference, "" | "#" | "#/") && !named && own() {
        return None;
    }
    let place = refs.resolve_once(text).ok()?.place;
    (file != 0 || place.file != 0).then_some(place)
}

/// A tree with its references turned into ones within the bundle.
fn copy(refs: &Refs<'_>, roots: &BTreeMap<Place, Vec<String>>, node: &Node, kind: Kind, file: u32) -> Node {
    let value = match &node.value {
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| copy(refs, roots, item, kind, file)).collect())
        }
        Value::Object(entries) => {
            let leads = reference(node).and_then(|text| target(refs, text, file));
            let pointer = leads.and_then(|place| pointer(roots, &place));
            let copied = entries.iter().filter_map(|entry| {
                let value = match (&pointer, member(kind, node, &entry.key)) {
                    (Some(pointer), _) if entry.key == "$ref" => {
                        Node { value: Value::String(pointer.clone()), span: entry.value.span }
                    }
                    // What is moved is named by where it is.
                    (_, Some(_)) if entry.key == "$id" && file != 0 && kind == Kind::Schema => return None,
                    (_, Some(kind)) => copy(refs, roots, &entry.value, kind, file),
                    (_, None) => entry.value.clone(),
                };
                Some(Entry { key: entry.key.clone(), key_span: entry.key_span, value })
            });
            Value::Object(copied.collect())
        }
        value => value.clone(),
    };
    Node { value, span: node.span }
}

/// A reference to a place, where it is in the bundle.
fn pointer(roots: &BTreeMap<Place, Vec<String>>, place: &Place) -> Option<String> {
    let mut path = Vec::new();
    if place.file == 0 {
        path.extend_from_slice(&place.tokens);
    } else {
        let (root, home) = roots.iter().find(|(root, _)| place.is_under(root))?;
        path.extend_from_slice(home);
        path.extend_from_slice(&place.tokens[root.tokens.len()..]);
    }
    let mut out = String::from("#");
    for token in path {
        out.push('/');
        for byte in token.replace('~', "~0").replace('/', "~1").bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte) {
                out.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    Some(out)
}

/// Puts a tree where it goes; objects on the way that are missing are made.
fn put(tree: &mut Node, path: &[String], node: Node) {
    let [key, rest @ ..] = path else {
        *tree = node;
        return;
    };
    let span = tree.span;
    if !matches!(tree.value, Value::Object(_)) {
        tree.value = Value::Object(Vec::new());
    }
    let Value::Object(entries) = &mut tree.value else { return };
    let at = entries.iter().position(|entry| entry.key == *key).unwrap_or_else(|| {
        let value = Node { value: Value::Object(Vec::new()), span };
        entries.push(Entry { key: key.clone(), key_span: span, value });
        entries.len() - 1
    });
    put(&mut entries[at].value, rest, node);
}

/// Writes a tree as JSON.
fn write(node: &Node, out: &mut String) {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    match &node.value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            out.push('{');
            for (index, entry) in entries.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                out.push_str(&text(&entry.key));
                out.push(':');
                write(&entry.value, out);
            }
            out.push('}');
        }
        Value::String(value) => out.push_str(&text(value)),
        _ => out.push_str(&node.to_json().to_string()),
    }
}
