//! What the generator made of a document beside what the document says: handlers, sends, and the type of every property.
//!
//! The types are followed from each message along the schemas of the document, so that a field is held against the very
//! property it stands for. A type that merges several schemas stands for the properties of all.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use amgi_gen::ir::{Api, Field, Missing, Ty, TypeDef, TypeKind, Variant};

use crate::{
    tree::{Files, Place, Tree},
    walk::{Property, Walk, allows, elements, properties, types},
};

/// Counts of one document.
#[derive(Debug, Default, Clone)]
pub struct Counts {
    /// Methods of handler traits.
    pub handlers: usize,
    /// Methods of the sender.
    pub sends: usize,
    /// Properties whose schema says a type.
    pub properties: usize,
    /// Those of them that have a type in Rust.
    pub typed: usize,
    /// Properties that may hold anything, as their schema says nothing about a type.
    pub open: usize,
    /// Properties whose schema says a type, and that are any JSON, or have no field.
    pub untyped: Vec<String>,
    /// Where the generator and the walk do not agree.
    pub disagreements: Vec<String>,
}

/// Counts what became of a document.
pub fn count(files: &Files, api: &Api) -> Counts {
    let walk = Walk::of(files);
    let mut follow = Follow {
        files,
        defs: api.types.iter().map(|def| (def.name.as_str(), def)).collect(),
        fields: BTreeMap::new(),
        seen: HashSet::new(),
        reached: BTreeSet::new(),
        disagreements: Vec::new(),
    };
    follow.messages(&walk, api);
    follow.unreached(api);
    let mut counts = Counts {
        handlers: api.handled().map(|(_, handler)| handler.methods.len()).sum(),
        sends: api.sends.len(),
        ..Counts::default()
    };
    let said = walk.properties(files);
    for property in &said {
        let place = property.0.child("properties").child(&property.1);
        let field = follow.fields.get(property);
        if !follow.says_type(&[place], 0) {
            counts.open += 1;
        } else if field == Some(&true) {
            counts.typed += 1;
        } else {
            let why = if field.is_some() { "any JSON" } else { "no field" };
            counts.untyped.push(format!("{} `{}`: {why}", property.0, property.1));
        }
    }
    counts.properties = counts.typed + counts.untyped.len();
    let mut disagreements = follow.disagreements;
    let unsaid = follow.fields.keys().filter(|property| !said.contains(*property));
    disagreements.extend(unsaid.map(|(place, name)| format!("the walk does not find {place} `{name}`")));
    for (what, walked, made) in
        [("handlers", walk.handlers(), counts.handlers), ("sends", walk.sends(), counts.sends)]
    {
        if walked != made {
            disagreements.push(format!("{walked} {what} in the document, {made} made"));
        }
    }
    counts.disagreements = disagreements;
    counts
}

/// Each message of the walk with the index of the one that was made of it, operation by operation, and where there are not as
/// many.
pub fn pairs<'w>(walk: &'w Walk, api: &Api) -> (Vec<(&'w Place, usize)>, Vec<String>) {
    let mut made: HashMap<(&str, bool), &[usize]> = HashMap::new();
    let mut replies: HashMap<&str, &[usize]> = HashMap::new();
    for (_, handler) in api.handled() {
        for operation in &handler.operations {
            made.insert((&operation.key, true), &operation.messages);
        }
        for method in &handler.methods {
            if let (Some(reply), Some(operation)) = (&method.reply, method.operations.first()) {
                replies.insert(operation, &reply.messages);
            }
        }
    }
    for send in &api.sends {
        made.insert((&send.operation, false), &send.messages);
    }
    let mut pairs = Vec::new();
    let mut disagreements = Vec::new();
    let mut pair = |operation: &str, said: &'w [Place], made: &[usize]| {
        if said.len() == made.len() {
            pairs.extend(said.iter().zip(made.iter().copied()));
        } else {
            let (said, made) = (said.len(), made.len());
            disagreements.push(format!("operation `{operation}` has {said} messages, {made} made"));
        }
    };
    for operation in walk.operations.iter().filter(|operation| !operation.messages.is_empty()) {
        let key = operation.key.as_str();
        let found = made.get(&(key, operation.receives)).copied().unwrap_or_default();
        pair(key, &operation.messages, found);
        match &operation.reply {
            Some(reply) if operation.receives => {
                pair(key, reply, replies.get(key).copied().unwrap_or_default());
            }
            // Replies to what is sent are types that nothing awaits yet; their key tells them.
            Some(reply) => {
                for place in reply {
                    let name = place.tokens.last().map_or("", String::as_str);
                    let made = api.messages.iter().position(|message| message.key == name);
                    pair(key, std::slice::from_ref(place), made.as_slice());
                }
            }
            None => {}
        }
    }
    (pairs, disagreements)
}

struct Follow<'a> {
    files: &'a Files,
    defs: HashMap<&'a str, &'a TypeDef>,
    /// Properties that have a field, and whether all their fields have a type.
    fields: BTreeMap<Property, bool>,
    seen: HashSet<(Vec<Place>, String)>,
    reached: BTreeSet<String>,
    disagreements: Vec<String>,
}

impl<'a> Follow<'a> {
    fn messages(&mut self, walk: &Walk, api: &'a Api) {
        let (pairs, disagreements) = pairs(walk, api);
        for (place, index) in pairs {
            let (message, made) = (&walk.messages[place], &api.messages[index]);
            if let (Some(schema), Some(payload)) = (&message.payload, &made.payload) {
                self.follow(vec![schema.clone()], &payload.ty);
            }
            for field in made.headers.iter().flat_map(|headers| &headers.fields) {
                self.field(&message.headers, &field.wire, &field.ty, &made.name);
            }
            for field in made.bindings.iter().flat_map(|bindings| &bindings.fields) {
                self.reach(&field.ty);
            }
        }
        self.disagreements.extend(disagreements);
    }

    /// Follows a type along the schemas that together describe its values.
    fn follow(&mut self, places: Vec<Place>, ty: &Ty) {
        if !self.seen.insert((places.clone(), format!("{ty:?}"))) {
            return;
        }
        match ty {
            Ty::Option(inner) | Ty::Box(inner) => self.follow(places, inner),
            Ty::Vec(inner) | Ty::Array(inner, _) => {
                let inner_places = self.element_places(&places);
                self.follow(inner_places, inner);
            }
            Ty::Tuple(types) => {
                let all = self.element_places(&places);
                for (index, ty) in types.iter().enumerate() {
                    self.follow(all.get(index).cloned().into_iter().collect(), ty);
                }
            }
            Ty::Map(inner) => {
                let inner_places = self.additional_places(&places);
                self.follow(inner_places, inner);
            }
            Ty::Named(name) => {
                let Some(def) = self.defs.get(name.as_str()).copied() else { return };
                self.reached.insert(name.clone());
                match &def.kind {
                    TypeKind::Struct { fields, .. } => self.fields_of(&places, fields, name),
                    TypeKind::Newtype { ty, .. } => self.follow(places, ty),
                    TypeKind::Union { variants, .. } => {
                        for (places, variant) in self.branches(&places, variants) {
                            self.follow(places, &variant.ty);
                        }
                    }
                    TypeKind::Strings { .. } | TypeKind::Foreign { .. } => {}
                }
            }
            _ => {}
        }
    }

    fn fields_of(&mut self, places: &[Place], fields: &[Field], owner: &str) {
        for field in fields {
            if field.missing == Missing::Flatten {
                self.follow(places.to_vec(), &field.ty);
            } else {
                self.field(places, &field.wire, &field.ty, owner);
            }
        }
    }

    fn field(&mut self, places: &[Place], wire: &str, ty: &Ty, owner: &str) {
        let owners: Vec<Place> = self
            .flat(places, true)
            .into_iter()
            .filter(|(place, node)| {
                allows(node, "object") && properties(self.files, place, node).contains(&wire)
            })
            .map(|(place, _)| place)
            .collect();
        let inner: Vec<Place> = owners.iter().map(|place| place.child("properties").child(wire)).collect();
        if owners.is_empty() && !self.required(places, wire) {
            self.disagreements.push(format!("`{owner}` has a field for `{wire}`, the document has none"));
        }
        let typed = self.is_typed(&inner, ty, 0);
        for owner in owners {
            *self.fields.entry((owner, wire.to_owned())).or_insert(true) &= typed;
        }
        self.follow(inner, ty);
    }

    /// A member that is required and not described has a field too.
    fn required(&self, places: &[Place], wire: &str) -> bool {
        self.flat(places, true).iter().any(|(_, node)| {
            node.get("required")
                .is_some_and(|list| list.items().iter().any(|name| name.as_str() == Some(wire)))
        })
    }

    /// Schemas behind references, and the parts of `allOf`; with `alternatives` those too.
    fn flat(&self, places: &[Place], alternatives: bool) -> Vec<(Place, &'a Tree)> {
        let mut out: Vec<(Place, &Tree)> = Vec::new();
        let mut queue: Vec<Place> = places.iter().rev().cloned().collect();
        while let Some(place) = queue.pop() {
            let Some((place, node)) = self.files.schema(&place) else { continue };
            if out.iter().any(|(known, _)| *known == place) {
                continue;
            }
            for keyword in ["anyOf", "oneOf", "allOf"] {
                let list = node.get(keyword).map_or(&[][..], Tree::items);
                if keyword == "allOf" || alternatives {
                    queue.extend((0..list.len()).rev().map(|index| place.element(keyword, index)));
                }
            }
            out.push((place, node));
        }
        out
    }

    /// The alternatives of schemas, without null: places, and whether they come from one list.
    fn alternatives(&self, places: &[Place]) -> Vec<Vec<Place>> {
        let lists = self.flat(places, false).into_iter().flat_map(|(place, node)| {
            ["oneOf", "anyOf"].into_iter().filter_map(move |keyword| {
                let count = node.get(keyword)?.items().len();
                Some((0..count).map(|index| place.element(keyword, index)).collect::<Vec<_>>())
            })
        });
        lists
            .map(|list| {
                list.into_iter()
                    .filter(|place| self.files.schema(place).is_some_and(|(_, node)| !is_null(node)))
                    .collect()
            })
            .collect()
    }

    /// Each variant with the schemas it stands for.
    fn branches<'v>(&self, places: &[Place], variants: &'v [Variant]) -> Vec<(Vec<Place>, &'v Variant)> {
        let lists = self.alternatives(places);
        let open = |place: &Place| {
            self.files.schema(place).is_some_and(|(_, node)| {
                ![
                    "properties",
                    "type",
                    "enum",
                    "const",
                    "allOf",
                    "oneOf",
                    "anyOf",
                    "items",
                    "additionalProperties",
                ]
                .iter()
                .any(|key| node.get(key).is_some())
            })
        };
        let fits = lists.iter().find_map(|list| {
            let described: Vec<Place> = list.iter().filter(|place| !open(place)).cloned().collect();
            [list.clone(), described].into_iter().find(|list| list.len() == variants.len())
        });
        match fits {
            // What stands beside the alternatives belongs to each of them.
            Some(list) => list
                .into_iter()
                .zip(variants)
                .map(|(branch, variant)| {
                    let own = self.flat(places, false).into_iter().map(|(place, _)| place);
                    (std::iter::once(branch).chain(own).collect(), variant)
                })
                .collect(),
            None => variants.iter().map(|variant| (places.to_vec(), variant)).collect(),
        }
    }

    fn element_places(&self, places: &[Place]) -> Vec<Place> {
        self.flat(places, true).iter().flat_map(|(place, node)| elements(node, place)).collect()
    }

    fn additional_places(&self, places: &[Place]) -> Vec<Place> {
        let mut out = Vec::new();
        for (place, node) in self.flat(places, true) {
            if matches!(node.get("additionalProperties"), Some(Tree::Map(_))) {
                out.push(place.child("additionalProperties"));
            }
            for (pattern, _) in node.get("patternProperties").map_or(&[][..], Tree::entries) {
                out.push(place.child("patternProperties").child(pattern));
            }
        }
        out
    }

    /// Whether a type is as particular as the schemas it stands for.
    fn is_typed(&self, places: &[Place], ty: &Ty, depth: usize) -> bool {
        if depth > 16 {
            return true;
        }
        let depth = depth + 1;
        match ty {
            Ty::Json => !self.says_type(places, 0),
            Ty::Option(inner) | Ty::Box(inner) => self.is_typed(places, inner, depth),
            Ty::Vec(inner) | Ty::Array(inner, _) => self.is_typed(&self.element_places(places), inner, depth),
            Ty::Map(inner) => self.is_typed(&self.additional_places(places), inner, depth),
            Ty::JsonObject => !self.says_type(&self.additional_places(places), 0),
            Ty::Named(name) => match self.defs.get(name.as_str()).map(|def| &def.kind) {
                Some(TypeKind::Newtype { ty, .. }) => self.is_typed(places, ty, depth),
                Some(TypeKind::Union { variants, .. }) => self
                    .branches(places, variants)
                    .iter()
                    .all(|(places, variant)| self.is_typed(&places[..1], &variant.ty, depth)),
                Some(_) => true,
                None => false,
            },
            _ => true,
        }
    }

    /// Whether schemas that together describe a value say what type it has.
    fn says_type(&self, places: &[Place], depth: usize) -> bool {
        if depth > 16 {
            return false;
        }
        self.flat(places, false).iter().any(|(place, node)| {
            types(node).iter().any(|ty| *ty != "null")
                || !properties(self.files, place, node).is_empty()
                || literals(node)
                || ["oneOf", "anyOf"].iter().any(|keyword| {
                    let list = node.get(keyword).map_or(&[][..], Tree::items);
                    let mut branches = (0..list.len())
                        .map(|index| place.element(keyword, index))
                        .filter(|place| self.files.schema(place).is_some_and(|(_, node)| !is_null(node)));
                    !list.is_empty() && branches.all(|branch| self.says_type(&[branch], depth + 1))
                })
        })
    }

    /// Marks a type, and what it holds, as used.
    fn reach(&mut self, ty: &Ty) {
        match ty {
            Ty::Option(inner) | Ty::Box(inner) | Ty::Vec(inner) | Ty::Map(inner) | Ty::Array(inner, _) => {
                self.reach(inner);
            }
            Ty::Tuple(types) => types.iter().for_each(|ty| self.reach(ty)),
            Ty::Named(name) if self.reached.insert(name.clone()) => {
                let Some(def) = self.defs.get(name.as_str()).copied() else { return };
                match &def.kind {
                    TypeKind::Struct { fields, .. } => {
                        for field in fields {
                            self.reach(&field.ty);
                        }
                    }
                    TypeKind::Newtype { ty, .. } => self.reach(ty),
                    TypeKind::Union { variants, .. } => {
                        for variant in variants {
                            self.reach(&variant.ty);
                        }
                    }
                    TypeKind::Strings { .. } | TypeKind::Foreign { .. } => {}
                }
            }
            _ => {}
        }
    }

    /// Types that no message leads to.
    fn unreached(&mut self, api: &'a Api) {
        for parameters in api.channels.iter().filter_map(|channel| channel.parameters.as_ref()) {
            parameters.fields.iter().for_each(|field| self.reach(&field.ty));
        }
        let idle = api.types.iter().filter(|def| !self.reached.contains(&def.name));
        let idle: Vec<String> = idle.map(|def| format!("no message leads to type `{}`", def.name)).collect();
        self.disagreements.extend(idle);
    }
}

fn is_null(node: &Tree) -> bool {
    types(node) == ["null"] || node.get("const") == Some(&Tree::Null)
}

/// Whether a schema lists values of one kind.
fn literals(node: &Tree) -> bool {
    let values: Vec<&Tree> = match (node.get("const"), node.get("enum")) {
        (Some(value), _) => vec![value],
        (None, Some(values)) => values.items().iter().filter(|value| **value != Tree::Null).collect(),
        (None, None) => return false,
    };
    let kind = |value: &Tree| std::mem::discriminant(value);
    values.first().is_some_and(|first| {
        !matches!(first, Tree::Map(_) | Tree::List(_))
            && values.iter().all(|value| kind(value) == kind(first))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use amgi_gen::settings::Settings;

    use super::*;

    const TEXT: &str = "asyncapi: 3.0.0
info: {title: t, version: '1'}
channels:
  a: {address: a, messages: {m: {$ref: '#/components/messages/m'}, n: {payload: {oneOf: [{$ref: '#/components/schemas/Base'}, {type: 'null'}]}}}}
operations:
  onA: {action: receive, channel: {$ref: '#/channels/a'}}
  again: {action: receive, channel: {$ref: '#/channels/a'}, messages: [{$ref: '#/channels/a/messages/m'}]}
  sendA: {action: send, channel: {$ref: '#/channels/a'}, messages: [{$ref: '#/channels/a/messages/m'}]}
components:
  messages:
    m:
      headers: {type: object, properties: {h: {type: integer}}}
      payload: {allOf: [{$ref: '#/components/schemas/Wrapped'}, {type: object, properties: {own: {type: array, items: {type: object, properties: {deep: {type: boolean}}}}}}]}
  schemas:
    Base: {type: object, properties: {id: {type: string}, any: {}, next: {$ref: '#/components/schemas/Base'}}}
    Wrapped: {schemaFormat: application/schema+json;version=draft-07, schema: {$ref: '#/components/schemas/Base'}}
    Unused: {type: object, properties: {never: {type: string}}}
";

    fn made() -> (Files, Api) {
        let loaded = amgi_asyncapi::load_str("t.yaml", TEXT);
        let generation = amgi_gen::from_loaded(loaded, Path::new("t.yaml"), &Settings::default());
        let report = generation.sources.report(&generation.diagnostics);
        (Files::of(Tree::read(TEXT).expect("YAML")), generation.api.expect(&report))
    }

    fn fields<'a>(api: &'a mut Api, name: &str) -> &'a mut Vec<Field> {
        let def = api.types.iter_mut().find(|def| def.name == name).expect("the type");
        let TypeKind::Struct { fields, .. } = &mut def.kind else { panic!("{name} is no struct") };
        fields
    }

    #[test]
    fn counts_agree_where_everything_is_made() {
        let (files, api) = made();
        let counts = count(&files, &api);
        assert_eq!((counts.handlers, counts.sends), (2, 1));
        assert_eq!(counts.disagreements, Vec::<String>::new());
        // `h`, `id`, `next`, `own`, `deep`; `any` is open.
        assert_eq!((counts.properties, counts.typed, counts.open), (5, 5, 1), "{:?}", counts.untyped);
    }

    #[test]
    fn what_is_missing_or_any_json_is_found() {
        let (files, mut api) = made();
        let base = fields(&mut api, "Base");
        base.iter_mut().find(|field| field.wire == "id").expect("a field").ty =
            Ty::Option(Box::new(Ty::Json));
        let counts = count(&files, &api);
        assert_eq!(counts.untyped, ["/components/schemas/Base `id`: any JSON"]);

        let (files, mut api) = made();
        api.types.iter().for_each(|def| assert_ne!(def.name, "Unused"));
        fields(&mut api, "Base").retain(|field| field.wire != "id");
        let payload = fields(&mut api, "MPayload");
        payload.retain(|field| field.wire != "id" && field.wire != "own");
        let counts = count(&files, &api);
        assert_eq!(counts.typed, 2, "{:?}", counts.untyped);
        assert!(counts.disagreements.iter().any(|text| text.contains("no message leads to")), "{counts:?}");
    }

    #[test]
    fn what_the_document_does_not_say_is_found() {
        let (files, mut api) = made();
        let more = fields(&mut api, "Base")[0].clone();
        fields(&mut api, "MPayload").push(Field { wire: "more".to_owned(), ..more });
        api.sends.clear();
        let counts = count(&files, &api);
        assert_eq!(
            counts.disagreements,
            [
                "`MPayload` has a field for `more`, the document has none",
                "operation `sendA` has 1 messages, 0 made",
                "1 sends in the document, 0 made",
            ]
        );
    }
}
