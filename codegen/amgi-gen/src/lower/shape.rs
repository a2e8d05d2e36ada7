//! Schemas to shapes: names every schema that needs a type and strips it to what decides its Rust type.
//!
//! Objects with members, string enums and alternatives get a name; strings, numbers, arrays and maps are used in place,
//! so that a value is a plain `String` or `Vec` and not a wrapper. What a shape leaves out (bounds, patterns, constants)
//! comes back as [`Rule`](crate::ir::Rule)s, see [`rules`](super::rules).

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use amgi_asyncapi::{
    diag::{Diagnostic, Diagnostics},
    model::{Document, Id, Schema},
    node::{Node, Value},
};
use serde_json::{Value as Json, json};

use super::{
    custom,
    parts::{Object, Together},
    schema::{integer_format, is_open, literal_type, nullable, resolve, strings, types},
};
use crate::{
    codes,
    ir::Ty,
    name::{self, Namer, class, pascal},
    settings::{Additional, FormatType, Formats, Numbers, Settings},
    types::{Shape, exact_number},
};

/// A named type to be.
pub(super) struct Definition<'d> {
    /// Type name.
    pub name: String,
    /// The schema, and those merged into it.
    pub nodes: Vec<&'d Node>,
    /// For typify.
    pub shape: Json,
    /// What it is, where the document does not say.
    pub about: String,
}

/// Collects the named types of one document.
pub(super) struct Shaper<'d> {
    doc: &'d Document,
    names: Namer,
    /// In the order in which they were named.
    pub definitions: Vec<Definition<'d>>,
    /// Names of schemas whose type is known, or about to be.
    by_node: HashMap<*const Node, String>,
    /// Types of members that several schemas describe, by these schemas.
    pub merged: HashMap<Vec<*const Node>, String>,
    /// Schemas without a name that are looked at, and the names of those that lead back to themselves.
    active: HashSet<*const Node>,
    forced: HashMap<*const Node, String>,
    /// Schemas of which there is a type for one place, and how many more such types there are.
    copied: HashSet<*const Node>,
    copies: usize,
    /// How deep in other types what is looked at lies, and the types that wait as they lie too deep.
    depth: usize,
    /// How deep it lies in lists and maps of the same type.
    nested: usize,
    waiting: VecDeque<Waiting<'d>>,
    /// Schemas that typify could not take.
    pub refused: Vec<*const Node>,
    settings: &'d Settings,
    /// Types of formats by these.
    format_names: BTreeMap<String, String>,
    /// Whether what is looked at is only a part of what is said about a value.
    in_parts: bool,
    sites: Vec<Json>,
    /// What the next type to be named is, where the document does not say.
    about: Option<String>,
    pub diagnostics: Diagnostics,
}

/// A place whose Rust type typify will tell, see [`Shaper::site`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Site(pub usize);

/// As many types of a document may come of schemas that describe a member together.
const MOST_MERGED: usize = 1000;

/// As many types may be like others, as their schema stands in an object that is a part of several.
const MOST_COPIES: usize = 1000;

/// Types within types are looked at so deep; those further down wait until the outer ones are done.
const DEEP: usize = 64;

/// Lists within lists without a name go so deep; what is further down is any JSON. Typify takes much of the stack for each.
const MOST_NESTED: usize = 16;

/// A type whose members are still to be looked at.
struct Waiting<'d> {
    place: usize,
    in_parts: bool,
    nodes: Vec<&'d Node>,
}

/// The only member of a definition that stands for a site.
const SITE: &str = "site";

impl Site {
    /// Name of the definition that stands for it; the namer keeps it free.
    fn name(self) -> String {
        format!("{}{}", name::SITE, self.0)
    }

    /// Its type, taken out of what typify found.
    pub(super) fn take(self, found: &mut BTreeMap<String, Shape>) -> Option<Ty> {
        match found.remove(&self.name())? {
            Shape::Struct { mut fields, .. } => fields.pop().map(|field| field.ty),
            _ => None,
        }
    }
}

impl<'d> Shaper<'d> {
    pub(super) fn new(doc: &'d Document, settings: &'d Settings) -> Self {
        Self {
            doc,
            names: Namer::types(),
            definitions: Vec::new(),
            by_node: HashMap::new(),
            merged: HashMap::new(),
            active: HashSet::new(),
            forced: HashMap::new(),
            copied: HashSet::new(),
            copies: 0,
            depth: 0,
            nested: 0,
            waiting: VecDeque::new(),
            refused: Vec::new(),
            settings,
            format_names: BTreeMap::new(),
            in_parts: false,
            sites: Vec::new(),
            about: None,
            diagnostics: Diagnostics::default(),
        }
    }

    /// Whether `format` is checked.
    pub(super) fn asserts_formats(&self) -> bool {
        self.settings.formats == Formats::Assert
    }

    /// Whether what comes in must be able to go out unchanged.
    pub(super) fn keeps(&self) -> bool {
        self.settings.additional == Additional::Keep
    }

    /// Asks for the type of a value.
    pub(super) fn site(&mut self, node: &'d Node, suggest: &str, about: String) -> Site {
        self.about = Some(about);
        let shape = self.shape(node, suggest);
        self.add_site(shape)
    }

    /// As [`site`](Self::site), for a schema of the document.
    pub(super) fn site_of(&mut self, id: Id<Schema>, suggest: &str, about: String) -> Site {
        self.about = Some(about);
        let shape = self.referenced(id.index(), suggest);
        self.add_site(shape)
    }

    fn add_site(&mut self, shape: Json) -> Site {
        while let Some(waiting) = self.waiting.pop_front() {
            let name = self.definitions[waiting.place].name.clone();
            let before = std::mem::replace(&mut self.in_parts, waiting.in_parts);
            let shape = self.nominal(&name, &waiting.nodes);
            self.in_parts = before;
            self.definitions[waiting.place].shape = shape;
        }
        self.sites.push(shape);
        Site(self.sites.len() - 1)
    }

    /// The sites that were asked for.
    pub(super) fn sites(&self) -> impl Iterator<Item = Site> + use<> {
        (0..self.sites.len()).map(Site)
    }

    /// All definitions for typify, a small one for every site among them.
    pub(super) fn for_typify(&mut self) -> BTreeMap<String, Json> {
        let sites = self.sites().zip(&mut self.sites).map(|(site, shape)| {
            let site = site.name();
            (site, json!({"type": "object", "required": [SITE], "properties": {SITE: shape.take()}}))
        });
        let definitions = self.definitions.iter_mut().map(|d| (d.name.clone(), d.shape.take()));
        definitions.chain(sites).collect()
    }

    /// The document.
    pub(super) fn doc(&self) -> &'d Document {
        self.doc
    }

    /// The schema behind references.
    pub(super) fn resolve(&self, node: &'d Node) -> &'d Node {
        resolve(self.doc, node)
    }

    /// The shape of a value that several schemas describe together.
    fn shape_of(&mut self, nodes: &[&'d Node], suggest: &str) -> Json {
        self.within(nodes.len() > 1, |shaper| match shaper.together(nodes) {
            Together::Nothing => json!(true),
            Together::One(node) => shaper.shape(node, suggest),
            Together::Several(said) => shaper.shape_of_several(&said, suggest),
        })
    }

    /// What is made of only a part of what is said about a value: a text has no type of its format there, as what the other parts
    /// say of the text would be lost.
    fn within(&mut self, parts: bool, shape: impl FnOnce(&mut Self) -> Json) -> Json {
        let before = self.in_parts;
        self.in_parts |= parts;
        let shape = shape(self);
        self.in_parts = before;
        shape
    }

    fn shape_of_several(&mut self, said: &[&'d Node], suggest: &str) -> Json {
        let key = self.identity(said);
        let name = match self.merged.get(&key) {
            Some(name) => name.clone(),
            // Schemas that refer to themselves meet each other in ever new pairs.
            None if self.merged.len() >= MOST_MERGED => return self.shape(said[0], suggest),
            None => {
                let name = self.claim(said[0], suggest);
                self.merged.insert(key, name.clone());
                self.define(&name, said);
                name
            }
        };
        optional(reference(&name), said.iter().all(|node| self.takes_null(node)))
    }

    /// The shape at a place; `suggest` names what is inline and needs a name.
    pub(super) fn shape(&mut self, node: &'d Node, suggest: &str) -> Json {
        if let Some(id) = Schema::reference(node) {
            return self.referenced(id.index(), suggest);
        }
        self.at(node, suggest, false)
    }

    fn referenced(&mut self, index: usize, suggest: &str) -> Json {
        let doc = self.doc;
        let Some(schema) = doc.schemas.get(index) else { return json!(true) };
        if let Some(name) = &schema.name
            && !self.by_node.contains_key(&std::ptr::from_ref(&schema.node))
        {
            self.about = Some(format!("Schema `{name}`."));
        }
        let suggest = schema.name.clone().unwrap_or_else(|| suggest.to_owned());
        self.at(&schema.node, &suggest, true)
    }

    /// The shape of a schema. One that is `shared` has one type, wherever it is referred to; others have one for each place, but
    /// within their own.
    fn at(&mut self, node: &'d Node, suggest: &str, shared: bool) -> Json {
        let key = std::ptr::from_ref(node);
        if let Some(name) = self.by_node.get(&key) {
            return optional(reference(name), self.allows_null(node));
        }
        if self.active.contains(&key) {
            // An array or map that holds itself: only a named type can.
            if let Some(name) = self.forced.get(&key) {
                return reference(name);
            }
            let name = self.claim(node, suggest);
            self.forced.insert(key, name.clone());
            return reference(&name);
        }
        if self.is_open_shape(node) {
            return json!(true);
        }
        if Schema::reference(node).is_none() && self.is_named(node) {
            let name = self.claim(node, suggest);
            self.by_node.insert(key, name.clone());
            self.define(&name, &[node]);
            if !shared && self.copies < MOST_COPIES {
                self.copies += usize::from(!self.copied.insert(key));
                self.by_node.remove(&key);
            }
            return optional(reference(&name), self.allows_null(node));
        }
        if self.nested >= MOST_NESTED {
            self.refused.push(key);
            return json!(true);
        }
        self.active.insert(key);
        self.depth += 1;
        self.nested += 1;
        let shape = match Schema::reference(node) {
            Some(id) => self.referenced(id.index(), suggest),
            None => self.structural(node, suggest),
        };
        self.nested -= 1;
        self.depth -= 1;
        self.active.remove(&key);
        if let Some(name) = self.forced.remove(&key) {
            let about = format!("Schema `{suggest}`.");
            self.definitions.push(Definition { name: name.clone(), nodes: vec![node], shape, about });
            self.by_node.insert(key, name.clone());
            return reference(&name);
        }
        shape
    }

    /// Whether the type of a schema is any JSON, though the schema says more.
    pub(super) fn is_opaque(&self, node: &'d Node) -> bool {
        self.is_refused(node) || self.is_open_shape(node)
    }

    /// Whether typify could not take a schema.
    pub(super) fn is_refused(&self, node: &'d Node) -> bool {
        [node, self.resolve(node)].iter().any(|node| self.refused.contains(&std::ptr::from_ref(*node)))
    }

    /// Claims a type name for what is no schema.
    pub(super) fn claim_name(&mut self, wanted: &str) -> String {
        self.names.type_name(wanted, "Type").name
    }

    fn claim(&mut self, node: &'d Node, suggest: &str) -> String {
        let wanted = node.get("x-rust-name").and_then(Node::as_str).unwrap_or(suggest);
        let claim = self.names.type_name(wanted, "Type");
        if claim.clashed && pascal(wanted) != claim.name && !claim.name.ends_with("Type") {
            self.diagnostics.push(
                Diagnostic::warning(
                    codes::NAME_CLASH,
                    node.span,
                    format!(
                        "another type is called `{}`, so this one becomes `{}`",
                        pascal(wanted),
                        claim.name
                    ),
                )
                .help("choose a name with `x-rust-name`"),
            );
        }
        claim.name
    }

    /// Whether a schema gets a type of its own.
    fn is_named(&self, node: &'d Node) -> bool {
        if strings(node).is_some() || custom::rust_type(node).is_some() {
            return true;
        }
        let branches = self.branches(node);
        match branches.as_ref().map(Vec::len) {
            Some(0 | 1) | None => {}
            Some(_) => return true,
        }
        if types(node).iter().filter(|ty| **ty != "null").count() > 1 {
            return true;
        }
        self.object(&[node]).is_some_and(|object| {
            !object.properties.is_empty() || (object.closed && !nullable(node) && branches.is_none())
        })
    }

    fn define(&mut self, name: &str, nodes: &[&'d Node]) {
        // The place in the list is taken before the members are named, so that an outer type comes before its parts.
        let place = self.definitions.len();
        let about = self.about.take().unwrap_or_else(|| format!("Schema `{name}`."));
        self.definitions.push(Definition {
            name: name.to_owned(),
            nodes: nodes.to_vec(),
            shape: json!(true),
            about,
        });
        if self.depth > DEEP {
            self.waiting.push_back(Waiting { place, in_parts: self.in_parts, nodes: nodes.to_vec() });
            return;
        }
        self.depth += 1;
        let nested = std::mem::take(&mut self.nested);
        let shape = self.nominal(name, nodes);
        self.nested = nested;
        self.depth -= 1;
        self.definitions[place].shape = shape;
    }

    fn nominal(&mut self, name: &str, nodes: &[&'d Node]) -> Json {
        let [first, ..] = nodes else { return json!(true) };
        if nodes.len() == 1 {
            if custom::rust_type(first).is_some() {
                // Something that typify gives a name and looks no further into.
                return json!({"type": "object", "properties": {"x": {"type": "string"}}});
            }
            if let Some(values) = strings(first) {
                return texts(values.len());
            }
            if let Some(branches) = self.branches(first).filter(|branches| branches.len() > 1) {
                return self.union(name, first, &branches);
            }
            let types = types(first);
            if types.iter().filter(|ty| **ty != "null").count() > 1 {
                // Null is none of them: what refers to the type says that it may be.
                let types = types.iter().filter(|ty| **ty != "null");
                let alternatives: Vec<Json> = types.map(|ty| self.typed(first, ty, name)).collect();
                return json!({"oneOf": alternatives});
            }
        } else if let Some(values) = self.texts(nodes) {
            return texts(values.len());
        }
        match self.object(nodes) {
            Some(object) => self.object_shape(name, &object),
            None => json!(true),
        }
    }

    fn object_shape(&mut self, name: &str, object: &Object<'d>) -> Json {
        let mut members = serde_json::Map::new();
        for (wire, nodes) in &object.properties {
            let suggest = format!("{name}{}", pascal(wire));
            self.about = Some(format!("Member `{wire}` of [`{name}`]."));
            let shape = self.shape_of(nodes, &suggest);
            members.insert((*wire).to_owned(), shape);
        }
        let mut shape = json!({"type": "object", "properties": members, "required": object.required});
        if object.closed {
            shape["additionalProperties"] = json!(false);
        } else if let Some(additional) = object.additional.filter(|node| !is_open(node)) {
            shape["additionalProperties"] = self.shape(additional, &format!("{name}Value"));
        }
        shape
    }

    fn union(&mut self, name: &str, node: &'d Node, branches: &[&'d Node]) -> Json {
        // Members beside `oneOf` belong to every alternative.
        let shared = self.shares(node, branches);
        let mut alternatives = Vec::new();
        for (index, branch) in branches.iter().enumerate() {
            let suggest = format!("{name}{}", self.branch_name(branch, index));
            self.about = Some(format!("Alternative {} of [`{name}`].", index + 1));
            if shared {
                let variant = self.claim(branch, &suggest);
                self.define(&variant, &[branch, node]);
                alternatives.push(reference(&variant));
            } else {
                alternatives.push(self.shape(branch, &suggest));
            }
        }
        if alternatives.contains(&json!(true)) {
            // What one of them takes, the whole does, and nothing is gained by telling the others apart.
            return json!(true);
        }
        json!({"oneOf": alternatives})
    }

    /// What an alternative is called: the schema it refers to, its title, a constant that marks it, its only required member, its type.
    fn branch_name(&self, branch: &'d Node, index: usize) -> String {
        let named =
            Schema::reference(branch).and_then(|id| self.doc.schemas.get(id.index())?.name.as_deref());
        if let Some(name) = named {
            return pascal(class(name));
        }
        let node = self.resolve(branch);
        if let Some(title) = node.get("title").and_then(Node::as_str).filter(|title| !title.trim().is_empty())
        {
            return pascal(title);
        }
        if let Some(object) = self.object(&[node]) {
            let constant = object.properties.iter().find_map(|(wire, nodes)| {
                let values = nodes.iter().find_map(|node| strings(self.resolve(node)))?;
                (object.required.contains(wire) && values.len() == 1).then(|| values[0].to_owned())
            });
            if let Some(constant) = constant {
                return pascal(&constant);
            }
            let only: Vec<_> = object.required.iter().collect();
            if let [only] = only.as_slice() {
                return pascal(only);
            }
        }
        types(node).first().map_or_else(|| format!("Alternative{}", index + 1), |ty| pascal(ty))
    }

    /// The shape of a schema without a name of its own.
    fn structural(&mut self, node: &'d Node, suggest: &str) -> Json {
        if let Some(branches) = self.branches(node) {
            let nullable = self.has_null_branch(node);
            return match branches.as_slice() {
                [only] => {
                    optional(self.within(says_more_of_text(node), |s| s.shape(only, suggest)), nullable)
                }
                _ if nullable => json!({"type": "null"}),
                _ => json!(true),
            };
        }
        if let Some(Node { value: Value::Array(parts), .. }) = node.get("allOf") {
            // Objects are named; what is left are scalars with more rules.
            let parts: Vec<&Node> = parts.iter().filter(|part| !is_open(self.resolve(part))).collect();
            if !parts.is_empty() {
                return self.within(true, |shaper| shaper.shape_of(&parts, suggest));
            }
        }
        let types = types(node);
        let nullable = nullable(node);
        match types.iter().find(|ty| **ty != "null") {
            Some(ty) => optional(self.typed(node, ty, suggest), nullable),
            None if nullable => json!({"type": "null"}),
            None if self.object(&[node]).is_some() => self.typed(node, "object", suggest),
            None => literal_type(node),
        }
    }

    /// The type for texts of the format that a schema asks for, and nothing else.
    fn format_type(&mut self, node: &'d Node) -> Option<Json> {
        let format = node.get("format").and_then(Node::as_str).filter(|_| self.asserts_formats())?;
        if self.in_parts || says_more_of_text(node) || !self.settings.format_types.contains_key(format) {
            return None;
        }
        if let Some(name) = self.format_names.get(format) {
            return Some(reference(name));
        }
        let name = self.claim_name(&pascal(format));
        let about = format!("Texts of the format `{format}`.");
        // Something that typify gives a name and looks no further into.
        let shape = json!({"type": "object", "properties": {"x": {"type": "string"}}});
        self.definitions.push(Definition { name: name.clone(), nodes: Vec::new(), shape, about });
        self.format_names.insert(format.to_owned(), name.clone());
        Some(reference(&name))
    }

    /// The format that a type is for, and the type.
    pub(super) fn format_of(&self, name: &str) -> Option<(&str, &'d FormatType)> {
        let (format, _) = self.format_names.iter().find(|(_, known)| *known == name)?;
        Some((format, self.settings.format_types.get(format)?))
    }

    fn typed(&mut self, node: &'d Node, ty: &str, suggest: &str) -> Json {
        let exact = self.settings.numbers == Numbers::Exact;
        match ty {
            "string" => self.format_type(node).unwrap_or_else(|| json!({"type": "string"})),
            "boolean" => json!({"type": "boolean"}),
            "number" if exact => exact_number(),
            "number" => json!({"type": "number", "format": "double"}),
            "integer" => match integer_format(node, exact) {
                Some(format) => json!({"type": "integer", "format": format}),
                None => exact_number(),
            },
            "null" => json!({"type": "null"}),
            "array" => match node.get("items") {
                Some(items) if matches!(items.value, Value::Object(_)) => {
                    self.about = self.about.take().map(|about| format!("Element of: {about}"));
                    json!({"type": "array", "items": self.shape(items, &format!("{suggest}Item"))})
                }
                _ => json!({"type": "array", "items": true}),
            },
            "object" => {
                // One schema for all members is that of a map only where no member has its own.
                let additional = self
                    .object(&[node])
                    .filter(|object| object.properties.is_empty())
                    .and_then(|object| object.additional);
                match additional.filter(|node| !is_open(node)) {
                    Some(additional) => {
                        json!({"type": "object", "additionalProperties": self.shape(additional, &format!("{suggest}Value"))})
                    }
                    None => json!({"type": "object"}),
                }
            }
            _ => json!(true),
        }
    }
}

/// Whether a schema says more of a text than its format.
fn says_more_of_text(node: &Node) -> bool {
    ["minLength", "maxLength", "pattern", "enum", "const"].iter().any(|key| node.get(key).is_some())
}

fn reference(name: &str) -> Json {
    json!({"$ref": format!("#/definitions/{name}")})
}

fn optional(shape: Json, nullable: bool) -> Json {
    if nullable { json!({"oneOf": [shape, {"type": "null"}]}) } else { shape }
}

/// An enum of so many texts.
fn texts(count: usize) -> Json {
    let placeholders: Vec<String> = (0..count).map(|index| format!("V{index}")).collect();
    json!({"type": "string", "enum": placeholders})
}
