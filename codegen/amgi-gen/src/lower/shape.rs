//! Schemas to shapes: names every schema that needs a type and strips it to what decides its Rust type.
//!
//! Objects with members, string enums and alternatives get a name; strings, numbers, arrays and maps are used in place,
//! so that a value is a plain `String` or `Vec` and not a wrapper. What a shape leaves out (bounds, patterns, constants)
//! comes back as [`Rule`](crate::ir::Rule)s, see [`rules`](super::rules).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use amgi_asyncapi::{
    diag::{Diagnostic, Diagnostics},
    model::{Document, Id, Schema},
    node::{Node, Value},
};
use serde_json::{Value as Json, json};

use super::custom;
use crate::{
    codes,
    ir::Ty,
    name::{self, Namer, class, pascal},
    types::Shape,
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
    by_schema: HashMap<usize, String>,
    active: Vec<usize>,
    forced: HashMap<usize, String>,
    /// Schemas that typify could not take.
    pub refused: Vec<*const Node>,
    /// Whether `format` is checked.
    pub asserts_formats: bool,
    sites: Vec<Json>,
    /// What the next type to be named is, where the document does not say.
    about: Option<String>,
    pub diagnostics: Diagnostics,
}

/// A place whose Rust type typify will tell, see [`Shaper::site`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Site(pub usize);

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

/// An object schema, everything that is merged into it included.
#[derive(Default)]
pub(super) struct Object<'d> {
    /// Members in order of the document, with every schema that says something about them.
    pub properties: Vec<(&'d str, Vec<&'d Node>)>,
    pub required: BTreeSet<&'d str>,
    pub additional: Option<&'d Node>,
    pub closed: bool,
}

impl<'d> Shaper<'d> {
    pub(super) fn new(doc: &'d Document, asserts_formats: bool) -> Self {
        Self {
            doc,
            names: Namer::types(),
            definitions: Vec::new(),
            by_schema: HashMap::new(),
            active: Vec::new(),
            forced: HashMap::new(),
            refused: Vec::new(),
            asserts_formats,
            sites: Vec::new(),
            about: None,
            diagnostics: Diagnostics::default(),
        }
    }

    /// Asks for the type of a value.
    pub(super) fn site(&mut self, node: &'d Node, suggest: &str, about: String) -> Site {
        self.about = Some(about);
        let shape = self.shape(node, suggest);
        self.sites.push(shape);
        Site(self.sites.len() - 1)
    }

    /// As [`site`](Self::site), for a schema of the document.
    pub(super) fn site_of(&mut self, id: Id<Schema>, suggest: &str, about: String) -> Site {
        self.about = Some(about);
        let shape = self.referenced(id.index(), suggest);
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

    /// The shape at a place; `suggest` names what is inline and needs a name.
    pub(super) fn shape(&mut self, node: &'d Node, suggest: &str) -> Json {
        if let Some(id) = Schema::reference(node) {
            return self.referenced(id.index(), suggest);
        }
        self.inline(node, suggest)
    }

    fn referenced(&mut self, index: usize, suggest: &str) -> Json {
        let doc = self.doc;
        let Some(schema) = doc.schemas.get(index) else { return json!(true) };
        if let Some(name) = self.by_schema.get(&index) {
            return optional(reference(name), self.allows_null(&schema.node));
        }
        if let Some(name) = &schema.name {
            self.about = Some(format!("Schema `{name}`."));
        }
        let suggest = schema.name.clone().unwrap_or_else(|| suggest.to_owned());
        if self.active.contains(&index) {
            // An array or map that holds itself: only a named type can.
            if let Some(name) = self.forced.get(&index) {
                return reference(name);
            }
            let name = self.claim(&schema.node, &suggest);
            self.forced.insert(index, name.clone());
            return reference(&name);
        }
        if self.is_open_shape(&schema.node) {
            return json!(true);
        }
        if Schema::reference(&schema.node).is_none() && self.is_named(&schema.node) {
            let name = self.claim(&schema.node, &suggest);
            self.by_schema.insert(index, name.clone());
            self.define(&name, &[&schema.node]);
            return optional(reference(&name), self.allows_null(&schema.node));
        }
        self.active.push(index);
        let shape = self.shape(&schema.node, &suggest);
        self.active.pop();
        if let Some(name) = self.forced.remove(&index) {
            let about = format!("Schema `{suggest}`.");
            self.definitions.push(Definition { name: name.clone(), nodes: vec![&schema.node], shape, about });
            self.by_schema.insert(index, name.clone());
            return reference(&name);
        }
        shape
    }

    fn inline(&mut self, node: &'d Node, suggest: &str) -> Json {
        if self.is_open_shape(node) {
            return json!(true);
        }
        if self.is_named(node) {
            let name = self.claim(node, suggest);
            self.define(&name, &[node]);
            return optional(reference(&name), self.allows_null(node));
        }
        self.structural(node, suggest)
    }

    /// Whether the type of a schema is any JSON, though the schema says more.
    pub(super) fn is_opaque(&self, node: &'d Node) -> bool {
        self.refused.contains(&std::ptr::from_ref(node)) || self.is_open_shape(node)
    }

    /// Whether a type would refuse what the schema allows: it describes objects, and does not say that it must be one; or
    /// has alternatives that are told by conditions.
    fn is_open_shape(&self, node: &'d Node) -> bool {
        if Schema::reference(node).is_some() || strings(node).is_some() || custom::rust_type(node).is_some() {
            return false;
        }
        let all = node.get("oneOf").or_else(|| node.get("anyOf"));
        if let Some(branches) = self.branches(node) {
            let all = all.map_or(&[][..], Node::items);
            let conditions =
                all.iter().map(|branch| self.resolve(branch)).any(|b| !is_null(b) && is_condition(b));
            return (conditions && !branches.is_empty())
                || branches.iter().any(|branch| {
                    let branch = self.resolve(branch);
                    !std::ptr::eq(branch, node) && (is_condition(branch) || self.is_loose_object(branch))
                });
        }
        self.is_loose_object(node)
    }

    fn is_loose_object(&self, node: &'d Node) -> bool {
        strings(node).is_none() && self.object(&[node]).is_some() && !self.says_object(node, 0)
    }

    /// Whether a schema allows nothing but objects, and perhaps null.
    fn says_object(&self, node: &'d Node, depth: usize) -> bool {
        let node = self.resolve(node);
        depth < 32
            && (types(node).contains(&"object")
                || node
                    .get("allOf")
                    .is_some_and(|parts| parts.items().iter().any(|part| self.says_object(part, depth + 1))))
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
        let shape = self.nominal(name, nodes);
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
                let placeholders: Vec<String> = (0..values.len()).map(|index| format!("V{index}")).collect();
                return json!({"type": "string", "enum": placeholders});
            }
            if let Some(branches) = self.branches(first).filter(|branches| branches.len() > 1) {
                return self.union(name, first, &branches);
            }
            let types = types(first);
            if types.iter().filter(|ty| **ty != "null").count() > 1 {
                let alternatives: Vec<Json> = types.iter().map(|ty| self.typed(first, ty, name)).collect();
                return json!({"oneOf": alternatives});
            }
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
            let node = nodes.iter().copied().find(|node| !is_open(node)).or(nodes.first().copied());
            self.about = Some(format!("Member `{wire}` of [`{name}`]."));
            let shape = node.map_or(json!(true), |node| self.shape(node, &suggest));
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
        let shared = self.object(&[node]).is_some_and(|object| !object.properties.is_empty());
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
                [only] => optional(self.shape(only, suggest), nullable),
                _ if nullable => json!({"type": "null"}),
                _ => json!(true),
            };
        }
        if let Some(Node { value: Value::Array(parts), .. }) = node.get("allOf") {
            // Objects are named; what is left are scalars with more rules: the first typed part says the type.
            if let Some(part) = parts.iter().find(|part| !is_open(self.resolve(part))) {
                return self.shape(part, suggest);
            }
        }
        let types = types(node);
        let nullable = types.contains(&"null");
        match types.iter().find(|ty| **ty != "null") {
            Some(ty) => optional(self.typed(node, ty, suggest), nullable),
            None if nullable => json!({"type": "null"}),
            None if self.object(&[node]).is_some() => self.typed(node, "object", suggest),
            None => literal_type(node),
        }
    }

    fn typed(&mut self, node: &'d Node, ty: &str, suggest: &str) -> Json {
        match ty {
            "string" => json!({"type": "string"}),
            "boolean" => json!({"type": "boolean"}),
            "number" => json!({"type": "number", "format": "double"}),
            "integer" => json!({"type": "integer", "format": integer_format(node)}),
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

    /// The alternatives of `oneOf` or `anyOf`, without null and without those that only add conditions.
    pub(super) fn branches(&self, node: &'d Node) -> Option<Vec<&'d Node>> {
        let own = |node: &'d Node| node.get("oneOf").or_else(|| node.get("anyOf"));
        // Alternatives that stand in a part of `allOf` are those of the whole; but a child that extends the parent which
        // lists it is that child, and not all of its siblings.
        let lists =
            |all: &'d Node| all.items().iter().any(|one| std::ptr::eq(self.resolve(one), self.resolve(node)));
        let in_part = || {
            let parts = node.get("allOf")?.items().iter();
            parts.filter_map(|part| own(self.resolve(part))).find(|all| !lists(all))
        };
        let all = own(node).or_else(in_part)?.items();
        let branches: Vec<&Node> = all
            .iter()
            .filter(|branch| {
                let target = self.resolve(branch);
                !is_null(target) && !is_condition(target)
            })
            .collect();
        let conditions_only = branches.is_empty() && !all.iter().any(|branch| is_null(self.resolve(branch)));
        (!conditions_only).then_some(branches)
    }

    /// Whether null is a value of a schema whose type has a name.
    fn allows_null(&self, node: &'d Node) -> bool {
        nullable(node) || self.has_null_branch(node)
    }

    /// Whether null is a value of a schema, wherever that is said.
    pub(super) fn takes_null(&self, node: &'d Node) -> bool {
        self.takes_null_at(node, 0)
    }

    fn takes_null_at(&self, node: &'d Node, depth: usize) -> bool {
        let node = self.resolve(node);
        if depth > 32 || self.allows_null(node) {
            return true;
        }
        if !types(node).is_empty() {
            return false;
        }
        let part = |part: &'d Node| self.takes_null_at(part, depth + 1);
        match (node.get("allOf"), self.branches(node).as_deref()) {
            (Some(parts), _) => parts.items().iter().all(part),
            (None, Some(branches)) => branches.iter().any(|branch| part(branch)),
            _ => strings(node).is_none() && is_open(node),
        }
    }

    fn has_null_branch(&self, node: &'d Node) -> bool {
        ["oneOf", "anyOf"]
            .iter()
            .filter_map(|key| node.get(key))
            .flat_map(Node::items)
            .any(|branch| is_null(self.resolve(branch)))
    }

    /// The object that these schemas describe together, `allOf` merged in; `None` when they describe none.
    pub(super) fn object(&self, nodes: &[&'d Node]) -> Option<Object<'d>> {
        let mut object = Object::default();
        let mut seen = Vec::new();
        let mut any = false;
        for node in nodes {
            any |= self.merge(node, &mut object, &mut seen);
        }
        any.then_some(object)
    }

    fn merge(&self, node: &'d Node, object: &mut Object<'d>, seen: &mut Vec<*const Node>) -> bool {
        let node = self.resolve(node);
        let identity: *const Node = node;
        if seen.contains(&identity) {
            return false;
        }
        seen.push(identity);
        let types = types(node);
        if !types.is_empty() && !types.contains(&"object") {
            return false;
        }
        let keywords = ["properties", "additionalProperties", "patternProperties", "required"];
        let mut any = types.contains(&"object") || keywords.iter().any(|key| node.get(key).is_some());
        for part in node.get("allOf").map(Node::items).unwrap_or_default() {
            any |= self.merge(part, object, seen);
        }
        for entry in node.get("properties").map(Node::entries).unwrap_or_default() {
            match object.properties.iter_mut().find(|(wire, _)| *wire == entry.key) {
                Some((_, nodes)) => nodes.push(&entry.value),
                None => object.properties.push((&entry.key, vec![&entry.value])),
            }
        }
        object.required.extend(
            node.get("required").map(Node::items).unwrap_or_default().iter().filter_map(Node::as_str),
        );
        match node.get("additionalProperties") {
            Some(Node { value: Value::Bool(false), .. }) if node.get("patternProperties").is_none() => {
                object.closed = true;
            }
            // What a pattern takes is no additional member.
            Some(schema) if node.get("patternProperties").is_none() => object.additional = Some(schema),
            Some(_) | None => {}
        }
        any
    }
}

/// The texts of a schema that allows only certain strings.
pub(super) fn strings(node: &Node) -> Option<Vec<&str>> {
    if let Some(constant) = node.get("const") {
        return constant.as_str().map(|text| vec![text]);
    }
    if let Some(values) = node.get("enum") {
        let texts: Vec<&str> = values.items().iter().filter_map(Node::as_str).collect();
        return (!texts.is_empty() && texts.len() == values.items().len()).then_some(texts);
    }
    // `oneOf` of constants is an enum with documentation.
    let branches = node.get("oneOf").or_else(|| node.get("anyOf"))?.items();
    let texts: Vec<&str> = branches.iter().filter_map(|b| b.get("const").and_then(Node::as_str)).collect();
    (!texts.is_empty() && texts.len() == branches.len()).then_some(texts)
}

/// The schema behind references.
pub(super) fn resolve<'d>(doc: &'d Document, mut node: &'d Node) -> &'d Node {
    // A chain of nothing but references has an end, or the loader has refused it; the bound is for safety.
    for _ in 0..64 {
        match Schema::reference(node).and_then(|id| doc.schemas.get(id.index())) {
            Some(schema) => node = &schema.node,
            None => break,
        }
    }
    node
}

fn reference(name: &str) -> Json {
    json!({"$ref": format!("#/definitions/{name}")})
}

fn optional(shape: Json, nullable: bool) -> Json {
    if nullable { json!({"oneOf": [shape, {"type": "null"}]}) } else { shape }
}

/// `type`, one or several.
pub(super) fn types(node: &Node) -> Vec<&str> {
    node.get("type").map(type_names).unwrap_or_default()
}

/// The names in the value of `type`.
pub(super) fn type_names(node: &Node) -> Vec<&str> {
    match &node.value {
        Value::String(one) => vec![one],
        _ => node.items().iter().filter_map(Node::as_str).collect(),
    }
}

fn nullable(node: &Node) -> bool {
    types(node).contains(&"null")
}

fn is_null(node: &Node) -> bool {
    types(node) == ["null"] || matches!(node.get("const"), Some(Node { value: Value::Null, .. }))
}

/// Whether a schema says nothing about the type.
fn is_open(node: &Node) -> bool {
    match &node.value {
        Value::Bool(value) => *value,
        Value::Object(entries) => !entries.iter().any(|entry| {
            matches!(
                entry.key.as_str(),
                "$ref"
                    | "type"
                    | "properties"
                    | "items"
                    | "enum"
                    | "const"
                    | "oneOf"
                    | "anyOf"
                    | "allOf"
                    | "additionalProperties"
            )
        }),
        _ => true,
    }
}

/// Whether an alternative only adds conditions to what stands beside it, such as `required`.
fn is_condition(node: &Node) -> bool {
    is_open(node)
}

/// The type of a schema that only says `const` or `enum`.
fn literal_type(node: &Node) -> Json {
    let values: Vec<&Node> = match (node.get("const"), node.get("enum")) {
        (Some(constant), _) => vec![constant],
        (_, Some(values)) => values.items().iter().collect(),
        _ => return json!(true),
    };
    let all = |test: fn(&Value) -> bool| !values.is_empty() && values.iter().all(|node| test(&node.value));
    if all(|value| matches!(value, Value::Bool(_))) {
        json!({"type": "boolean"})
    } else if all(|value| matches!(value, Value::Number(number) if !number.is_f64())) {
        json!({"type": "integer", "format": "int64"})
    } else if all(|value| matches!(value, Value::Number(_))) {
        json!({"type": "number", "format": "double"})
    } else {
        json!(true)
    }
}

/// As wide as the bounds need, `i64` where there are none.
fn integer_format(node: &Node) -> &'static str {
    let bound = |keys: [&str; 2]| {
        keys.iter().filter_map(|key| node.get(key)).find_map(|node| match &node.value {
            Value::Number(number) => number.as_f64(),
            _ => None,
        })
    };
    let least = bound(["minimum", "exclusiveMinimum"]);
    let most = bound(["maximum", "exclusiveMaximum"]);
    match (least, most) {
        (Some(least), Some(most)) if least >= 0.0 && most <= f64::from(u32::MAX) => "uint32",
        (Some(least), Some(most)) if least >= f64::from(i32::MIN) && most <= f64::from(i32::MAX) => "int32",
        (Some(least), _) if least >= 0.0 => "uint64",
        _ => "int64",
    }
}
