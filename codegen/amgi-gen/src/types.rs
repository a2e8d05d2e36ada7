//! Type shapes by typify: the only module that knows it.
//!
//! Typify gets definitions that our lowering has named, bundled and stripped to their shape, and decides what becomes a
//! struct, an alternative, an `Option` or a `Box`. What it answers is read into the IR; names, order, documentation, rules
//! and the code itself are ours. Typify panics on some schemas: such a definition becomes any JSON, and the caller
//! reports it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
};

use schemars::schema::Schema;
use serde_json::{Value, json};
use typify::{TypeDetails, TypeEnum, TypeEnumVariant, TypeId, TypeSpace, TypeSpaceSettings};

use crate::ir::Ty;

/// As many definitions typify gets at once where they have nothing to do with each other.
const PART: usize = 64;

/// What stands for a number of any size: typify has a type for it that is of no other use.
pub fn exact_number() -> Value {
    json!({"type": "number", "format": "float"})
}

/// What a reference to a definition begins with.
const REFERENCE: &str = "#/definitions/";

/// What stands before the number of a member.
const MEMBER: &str = "m";

/// What a definition became.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A struct: fields by their name on the wire.
    Struct {
        /// Fields.
        fields: Vec<ShapeField>,
        /// Whether other members are refused.
        closed: bool,
    },
    /// An enum without content: the texts.
    Strings(Vec<String>),
    /// An enum with content: what each alternative holds.
    Union(Vec<Ty>),
    /// A struct around one value.
    Newtype(Ty),
}

/// A field of a shape.
#[derive(Debug, Clone, PartialEq)]
pub struct ShapeField {
    /// Name on the wire; empty for the map of additional members.
    pub wire: String,
    /// Type.
    pub ty: Ty,
    /// Whether it may be missing.
    pub optional: bool,
}

/// Shapes by definition name, and the names of those that typify could not take.
pub type Shapes = (BTreeMap<String, Shape>, Vec<String>);

/// The shapes of `definitions`, in which every `$ref` is `#/definitions/NAME` and every name is a Rust type name.
pub fn shapes(definitions: &BTreeMap<String, Value>) -> Shapes {
    let mut all = Shapes::default();
    for part in parts(definitions) {
        let (shapes, refused) = part_shapes(definitions, &part);
        all.0.extend(shapes);
        all.1.extend(refused);
    }
    all.1.sort();
    all
}

/// Some definitions, by name.
type Part<'a> = Vec<(&'a str, Cow<'a, Value>)>;

/// Definitions that name each other, directly or not, come together; those that have nothing to do with each other only as
/// long as there are few. What typify holds at once then does not grow with the document.
fn parts(definitions: &BTreeMap<String, Value>) -> Vec<Vec<&str>> {
    let names: Vec<&str> = definitions.keys().map(String::as_str).collect();
    let places: HashMap<&str, usize> = names.iter().enumerate().map(|(place, name)| (*name, place)).collect();
    // Each definition knows another of its group, the first one only itself.
    let mut group: Vec<usize> = (0..names.len()).collect();
    for (place, schema) in definitions.values().enumerate() {
        references(schema, &mut |name| {
            if let Some(&other) = places.get(name) {
                let (one, other) = (first(&mut group, place), first(&mut group, other));
                group[one.max(other)] = one.min(other);
            }
        });
    }
    let mut members: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (place, name) in names.iter().enumerate() {
        members.entry(first(&mut group, place)).or_default().push(name);
    }
    let mut parts: Vec<Vec<&str>> = Vec::new();
    for group in members.into_values() {
        match parts.last_mut() {
            Some(part) if part.len() + group.len() <= PART => part.extend(group),
            _ => parts.push(group),
        }
    }
    parts
}

/// The first of a group, which stands for it; whoever was asked on the way knows it afterwards.
fn first(group: &mut [usize], mut place: usize) -> usize {
    while group[place] != place {
        group[place] = group[group[place]];
        place = group[place];
    }
    place
}

/// The definitions that a schema names.
fn references<'a>(schema: &'a Value, found: &mut impl FnMut(&'a str)) {
    match schema {
        Value::Object(members) => {
            for (key, value) in members {
                match value.as_str().and_then(|text| text.strip_prefix(REFERENCE)) {
                    Some(name) if key == "$ref" => found(name),
                    _ => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

fn part_shapes(definitions: &BTreeMap<String, Value>, names: &[&str]) -> Shapes {
    let mut part: Part<'_> = names.iter().map(|name| (*name, Cow::Borrowed(&definitions[*name]))).collect();
    if let Some(shapes) = run(&part) {
        return (shapes, Vec::new());
    }
    // Something in there is too much for typify. Each definition is tried with its neighbours left open; those that fail
    // alone are left out of the whole.
    let mut refused = Vec::new();
    for (name, schema) in &mut part {
        let mut alone: Part<'_> = Vec::new();
        references(&definitions[*name], &mut |other| {
            if other != *name
                && definitions.contains_key(other)
                && alone.iter().all(|(known, _)| *known != other)
            {
                let open = json!({"type": "object", "properties": {"x": {"type": "string"}}});
                alone.push((other, Cow::Owned(open)));
            }
        });
        alone.push((name, Cow::Borrowed(&definitions[*name])));
        if run(&alone).is_none() {
            *schema = Cow::Owned(json!(true));
            refused.push((*name).to_owned());
        }
    }
    match run(&part) {
        Some(shapes) => (shapes, refused),
        // They fail only together: nothing is left but to take them all as they come.
        None => (BTreeMap::new(), names.iter().map(|name| (*name).to_owned()).collect()),
    }
}

fn run(part: &Part<'_>) -> Option<BTreeMap<String, Shape>> {
    let mut members = Members::default();
    let schemas: Vec<(&str, Schema)> = part
        .iter()
        .map(|(name, schema)| serde_json::from_value(members.hide(schema)).map(|schema| (*name, schema)))
        .collect::<Result<_, _>>()
        .ok()?;
    let closed: HashSet<&str> = part
        .iter()
        .filter(|(_, schema)| schema.get("additionalProperties") == Some(&Value::Bool(false)))
        .map(|(name, _)| *name)
        .collect();
    let shapes = quietly(|| {
        let mut settings = TypeSpaceSettings::default();
        settings.with_struct_builder(false);
        let mut space = TypeSpace::new(&settings);
        space.add_ref_types(schemas).ok()?;
        let reader = Reader { space: &space, members: &members };
        let shapes: BTreeMap<String, Shape> = space
            .iter_types()
            .filter_map(|found| {
                let name = found.name();
                let shape = reader.shape(&found.details(), closed.contains(name.as_str()))?;
                Some((name, shape))
            })
            .collect();
        Some(shapes)
    })?;
    part.iter().all(|(name, _)| shapes.contains_key(*name)).then_some(shapes)
}

/// Names of members on the wire. Typify is shown numbers instead, since it tells afterwards how it would call a member in
/// Rust, not what that stands for.
#[derive(Default)]
struct Members<'a> {
    places: HashMap<&'a str, usize>,
    names: Vec<&'a str>,
}

impl<'a> Members<'a> {
    fn number(&mut self, name: &'a str) -> String {
        let place = *self.places.entry(name).or_insert_with(|| {
            self.names.push(name);
            self.names.len() - 1
        });
        format!("{MEMBER}{place}")
    }

    /// The schema with its members numbered.
    fn hide(&mut self, schema: &'a Value) -> Value {
        match schema {
            Value::Object(keywords) => {
                let hidden = keywords.iter().map(|(keyword, value)| {
                    let value = match (keyword.as_str(), value) {
                        ("properties", Value::Object(members)) => members
                            .iter()
                            .map(|(name, schema)| (self.number(name), self.hide(schema)))
                            .collect(),
                        ("required", Value::Array(names)) => {
                            names.iter().filter_map(Value::as_str).map(|name| self.number(name)).collect()
                        }
                        _ => self.hide(value),
                    };
                    (keyword.clone(), value)
                });
                Value::Object(hidden.collect())
            }
            Value::Array(items) => items.iter().map(|item| self.hide(item)).collect(),
            other => other.clone(),
        }
    }

    /// Name on the wire; empty for the map of additional members, which typify names itself.
    fn wire(&self, name: &str) -> String {
        let place = name.strip_prefix(MEMBER).and_then(|number| number.parse::<usize>().ok());
        place.and_then(|place| self.names.get(place)).copied().unwrap_or_default().to_owned()
    }
}

/// Runs `work` and turns a panic into nothing, without the panic hook writing to stderr.
fn quietly<T>(work: impl FnOnce() -> Option<T>) -> Option<T> {
    thread_local!(static QUIET: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(false);
    result.ok().flatten()
}

/// Reads what typify decided.
struct Reader<'a> {
    space: &'a TypeSpace,
    members: &'a Members<'a>,
}

impl Reader<'_> {
    /// The shape of a type with a name; `None` for others, which have none of their own.
    fn shape(&self, details: &TypeDetails<'_>, closed: bool) -> Option<Shape> {
        match details {
            TypeDetails::Struct(found) => {
                let fields = found.properties_info().map(|property| {
                    let ty = self.ty(&property.type_id);
                    ShapeField {
                        wire: self.members.wire(property.name),
                        optional: !property.required || matches!(ty, Ty::Option(_)),
                        ty,
                    }
                });
                Some(Shape::Struct { fields: fields.collect(), closed })
            }
            TypeDetails::Newtype(found) => Some(Shape::Newtype(self.ty(&found.inner()))),
            TypeDetails::Enum(found) => Some(self.alternatives(found)),
            _ => None,
        }
    }

    /// An enum. What an alternative holds is a value or a reference, never an object with members of its own, so typify
    /// sees no tag and tells alternatives apart by their content.
    fn alternatives(&self, found: &TypeEnum<'_>) -> Shape {
        let variants: Vec<_> = found.variants_info().collect();
        if variants.iter().all(|variant| matches!(variant.details, TypeEnumVariant::Simple)) {
            return Shape::Strings(variants.into_iter().map(|variant| variant.name.to_owned()).collect());
        }
        let held = |details: TypeEnumVariant<'_>| match details {
            TypeEnumVariant::Simple => Ty::Unit,
            TypeEnumVariant::Tuple(types) if types.len() == 1 => self.ty(&types[0]),
            TypeEnumVariant::Tuple(_) | TypeEnumVariant::Struct(_) => Ty::Json,
        };
        Shape::Union(variants.into_iter().map(|variant| held(variant.details)).collect())
    }

    fn ty(&self, id: &TypeId) -> Ty {
        let Ok(found) = self.space.get_type(id) else { return Ty::Json };
        let boxed = |id: &TypeId| Box::new(self.ty(id));
        match found.details() {
            TypeDetails::Enum(_) | TypeDetails::Struct(_) | TypeDetails::Newtype(_) => {
                Ty::Named(found.name())
            }
            TypeDetails::Option(inner) => Ty::Option(boxed(&inner)),
            // What is optional is seen from outside, as other members that are.
            TypeDetails::Box(inner) => match self.ty(&inner) {
                Ty::Option(inner) => Ty::Option(Box::new(Ty::Box(inner))),
                inner => Ty::Box(Box::new(inner)),
            },
            TypeDetails::Vec(inner) | TypeDetails::Set(inner) => Ty::Vec(boxed(&inner)),
            TypeDetails::Map(_, inner) => match self.ty(&inner) {
                Ty::Json => Ty::JsonObject,
                inner => Ty::Map(Box::new(inner)),
            },
            TypeDetails::Tuple(inner) => Ty::Tuple(inner.map(|id| self.ty(&id)).collect()),
            TypeDetails::Array(inner, length) => Ty::Array(boxed(&inner), length),
            TypeDetails::Builtin("bool") => Ty::Bool,
            TypeDetails::Builtin("f32") => Ty::Exact,
            TypeDetails::Builtin(name @ ("i32" | "i64" | "u32" | "u64" | "f64")) => {
                Ty::Number(name.to_owned())
            }
            TypeDetails::Builtin(_) => Ty::Json,
            TypeDetails::Unit => Ty::Unit,
            TypeDetails::String => Ty::String,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_on(schemas: Value) -> Shapes {
        shapes(&serde_json::from_value(schemas).unwrap())
    }

    #[test]
    fn cycles_are_boxed_and_options_found() {
        let (shapes, refused) = run_on(json!({
            "Tree": {"type": "object", "required": ["name"], "properties": {
                "name": {"type": "string"},
                "left": {"$ref": "#/definitions/Tree"},
                "rest": {"type": "array", "items": {"$ref": "#/definitions/Tree"}}
            }}
        }));
        assert!(refused.is_empty());
        let Shape::Struct { fields, closed: false } = &shapes["Tree"] else { panic!("{shapes:?}") };
        let field = |wire: &str| fields.iter().find(|f| f.wire == wire).unwrap();
        assert_eq!(field("name").ty, Ty::String);
        let tree = || Box::new(Ty::Named("Tree".into()));
        assert_eq!(field("left").ty, Ty::Option(Box::new(Ty::Box(tree()))));
        assert_eq!(field("rest").ty, Ty::Vec(tree()));
    }

    #[test]
    fn a_definition_that_typify_cannot_take_is_named() {
        let (shapes, refused) = run_on(json!({
            "Good": {"type": "object", "properties": {"a": {"type": "string"}}},
            "Bad": {"not": {"type": "object", "properties": {"x": {"not": {"enum": [1]}}}}}
        }));
        assert!(shapes.contains_key("Good"), "{refused:?}");
    }
}
