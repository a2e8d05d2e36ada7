//! Type shapes by typify: the only module that knows it.
//!
//! Typify gets definitions that our lowering has named, bundled and stripped to their shape, and decides what becomes a
//! struct, an alternative, an `Option` or a `Box`. What it answers is read into the IR; names, order, documentation, rules
//! and the code itself are ours. Typify panics on some schemas: such a definition becomes any JSON, and the caller
//! reports it.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use schemars::schema::Schema;
use serde_json::{Value, json};
use typify::{TypeSpace, TypeSpaceSettings};

use crate::ir::{Tagging, Ty};

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
    /// An enum with content.
    Union(Tagging, Vec<ShapeVariant>),
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

/// A variant of a shape.
#[derive(Debug, Clone, PartialEq)]
pub struct ShapeVariant {
    /// Typify's name, `Variant0` where it found none.
    pub name: String,
    /// Tag on the wire.
    pub wire: String,
    /// Content.
    pub content: ShapeContent,
}

/// Content of a variant.
#[derive(Debug, Clone, PartialEq)]
pub enum ShapeContent {
    /// Nothing.
    Unit,
    /// Values.
    Tuple(Vec<Ty>),
    /// Named fields.
    Fields(Vec<ShapeField>),
}

/// Shapes by definition name, and the names of those that typify could not take.
pub type Shapes = (BTreeMap<String, Shape>, Vec<String>);

/// The shapes of `definitions`, in which every `$ref` is `#/definitions/NAME` and every name is a Rust type name.
pub fn shapes(definitions: &BTreeMap<String, Value>) -> Shapes {
    if definitions.is_empty() {
        return Shapes::default();
    }
    if let Some(shapes) = run(definitions) {
        return (shapes, Vec::new());
    }
    // Something in there is too much for typify. Each definition is tried with its neighbours left open; those that fail
    // alone are left out of the whole.
    let mut reduced = definitions.clone();
    let mut refused = Vec::new();
    for (name, schema) in definitions {
        // Only the neighbours that it names: trying each with all would take the square of their number.
        let text = schema.to_string();
        let mut alone: BTreeMap<String, Value> = definitions
            .keys()
            .filter(|key| text.contains(&format!("\"#/definitions/{key}\"")))
            .map(|key| (key.clone(), json!({"type": "object", "properties": {"x": {"type": "string"}}})))
            .collect();
        alone.insert(name.clone(), schema.clone());
        if run(&alone).is_none() {
            reduced.insert(name.clone(), json!(true));
            refused.push(name.clone());
        }
    }
    match run(&reduced) {
        Some(shapes) => (shapes, refused),
        // They fail only together: nothing is left but to take them all as they come.
        None => (BTreeMap::new(), definitions.keys().cloned().collect()),
    }
}

fn run(definitions: &BTreeMap<String, Value>) -> Option<BTreeMap<String, Shape>> {
    let schemas: BTreeMap<String, Schema> = definitions
        .iter()
        .map(|(name, schema)| serde_json::from_value(schema.clone()).map(|schema| (name.clone(), schema)))
        .collect::<Result<_, _>>()
        .ok()?;
    let tokens = quietly(|| {
        let mut settings = TypeSpaceSettings::default();
        settings.with_struct_builder(false);
        let mut space = TypeSpace::new(&settings);
        space.add_ref_types(schemas).ok()?;
        Some(space.to_stream())
    })?;
    let file: syn::File = syn::parse2(tokens).ok()?;
    let shapes: BTreeMap<String, Shape> = file
        .items
        .iter()
        .filter_map(|item| match item {
            syn::Item::Struct(item) => Some((item.ident.to_string(), read_struct(item))),
            syn::Item::Enum(item) => Some((item.ident.to_string(), read_enum(item))),
            _ => None,
        })
        .collect();
    definitions.keys().all(|name| shapes.contains_key(name)).then_some(shapes)
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

fn read_struct(item: &syn::ItemStruct) -> Shape {
    match &item.fields {
        syn::Fields::Named(fields) => Shape::Struct {
            fields: fields.named.iter().map(read_field).collect(),
            closed: Serde::of(&item.attrs).has("deny_unknown_fields"),
        },
        syn::Fields::Unnamed(fields) => {
            Shape::Newtype(fields.unnamed.first().map_or(Ty::Unit, |field| read_type(&field.ty)))
        }
        syn::Fields::Unit => Shape::Newtype(Ty::Unit),
    }
}

fn read_field(field: &syn::Field) -> ShapeField {
    let serde = Serde::of(&field.attrs);
    let ty = read_type(&field.ty);
    let ident = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
    ShapeField {
        wire: if serde.has("flatten") { String::new() } else { serde.value("rename").unwrap_or(ident) },
        optional: serde.has("default") || matches!(ty, Ty::Option(_)),
        ty,
    }
}

fn read_enum(item: &syn::ItemEnum) -> Shape {
    let serde = Serde::of(&item.attrs);
    let tagging = match (serde.has("untagged"), serde.value("tag"), serde.value("content")) {
        (true, ..) => Tagging::Untagged,
        (_, Some(tag), Some(content)) => Tagging::Adjacent(tag, content),
        (_, Some(tag), None) => Tagging::Internal(tag),
        _ => Tagging::External,
    };
    let variants: Vec<ShapeVariant> = item
        .variants
        .iter()
        .map(|variant| {
            let name = variant.ident.to_string();
            ShapeVariant {
                wire: Serde::of(&variant.attrs).value("rename").unwrap_or_else(|| name.clone()),
                name,
                content: match &variant.fields {
                    syn::Fields::Unit => ShapeContent::Unit,
                    syn::Fields::Unnamed(fields) => {
                        ShapeContent::Tuple(fields.unnamed.iter().map(|field| read_type(&field.ty)).collect())
                    }
                    syn::Fields::Named(fields) => {
                        ShapeContent::Fields(fields.named.iter().map(read_field).collect())
                    }
                },
            }
        })
        .collect();
    if tagging == Tagging::External && variants.iter().all(|variant| variant.content == ShapeContent::Unit) {
        return Shape::Strings(variants.into_iter().map(|variant| variant.wire).collect());
    }
    Shape::Union(tagging, variants)
}

fn read_type(ty: &syn::Type) -> Ty {
    match ty {
        syn::Type::Tuple(tuple) if tuple.elems.is_empty() => Ty::Unit,
        syn::Type::Tuple(tuple) => Ty::Tuple(tuple.elems.iter().map(read_type).collect()),
        syn::Type::Array(array) => {
            let length = match &array.len {
                syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Int(length), .. }) => {
                    length.base10_parse().unwrap_or(0)
                }
                _ => 0,
            };
            Ty::Array(Box::new(read_type(&array.elem)), length)
        }
        syn::Type::Path(path) => read_path(&path.path),
        _ => Ty::Json,
    }
}

fn read_path(path: &syn::Path) -> Ty {
    let Some(segment) = path.segments.last() else { return Ty::Json };
    let arguments: Vec<Ty> = match &segment.arguments {
        syn::PathArguments::AngleBracketed(arguments) => arguments
            .args
            .iter()
            .filter_map(|argument| match argument {
                syn::GenericArgument::Type(ty) => Some(read_type(ty)),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    let name = segment.ident.to_string();
    // A path of several segments is typify's own (`::std::string::String`), a single one is a definition or a number.
    let foreign = path.segments.len() > 1;
    match (name.as_str(), arguments.as_slice()) {
        ("String", []) if foreign => Ty::String,
        ("Value", []) if foreign => Ty::Json,
        ("Map", [_, Ty::Json]) if foreign => Ty::JsonObject,
        ("Option", [inner]) => Ty::Option(Box::new(inner.clone())),
        ("Box", [inner]) => Ty::Box(Box::new(inner.clone())),
        ("Vec", [inner]) => Ty::Vec(Box::new(inner.clone())),
        ("HashMap" | "BTreeMap", [_, inner]) => Ty::Map(Box::new(inner.clone())),
        ("bool", []) => Ty::Bool,
        ("i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "f32" | "f64", []) => Ty::Number(name),
        (_, []) if !foreign => Ty::Named(name),
        _ => Ty::Json,
    }
}

/// The `#[serde(…)]` words of an item.
struct Serde(Vec<(String, Option<String>)>);

impl Serde {
    fn of(attributes: &[syn::Attribute]) -> Self {
        let mut words = Vec::new();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
            // Typify writes what serde accepts; a word that cannot be read is one we do not ask for.
            let _ = attribute.parse_nested_meta(|meta| {
                let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                let value = match meta.value() {
                    Ok(value) => Some(value.parse::<syn::LitStr>()?.value()),
                    Err(_) => None,
                };
                words.push((name, value));
                Ok(())
            });
        }
        Self(words)
    }

    fn has(&self, word: &str) -> bool {
        self.0.iter().any(|(name, _)| name == word)
    }

    fn value(&self, word: &str) -> Option<String> {
        self.0.iter().find(|(name, _)| name == word).and_then(|(_, value)| value.clone())
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
