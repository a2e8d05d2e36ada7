//! What a document or its settings say about Rust: types to use instead of generated ones, derives, attributes.
//!
//! A trait of the standard library is derived only where every member has it, so that generated code compiles. Other
//! traits are the user's business.

use std::collections::{BTreeMap, BTreeSet};

use amgi_asyncapi::{
    diag::{Diagnostic, Diagnostics, Span},
    node::{Entry, Node},
};

use crate::{
    codes,
    ir::{Ty, TypeDef, TypeKind},
    settings::{self, Settings},
};

/// Traits of the standard library that are told apart here.
const STANDARD: &[&str] = &["Copy", "Default", "Eq", "Hash", "Ord", "PartialOrd"];

/// What every type derives.
const ALWAYS: &[&str] = &["Clone", "Debug", "Deserialize", "PartialEq", "Serialize"];

/// The type that a schema asks for with `x-rust-type`, when it can be used.
pub(super) fn rust_type(node: &Node) -> Option<String> {
    settings::rust_type(node.get("x-rust-type")?.as_str()?).ok()
}

/// Reports a member of a schema that says something about Rust and cannot be read.
pub(super) fn report(entry: &Entry, diagnostics: &mut Diagnostics) {
    let each = |code, read: &dyn Fn(&str) -> Option<String>, diagnostics: &mut Diagnostics| {
        let nodes = match entry.value.items() {
            [] => std::slice::from_ref(&entry.value),
            items => items,
        };
        for node in nodes {
            let problem = match node.as_str() {
                Some(text) => read(text),
                None => Some(format!("`{}` is text, not {}", entry.key, node.kind())),
            };
            if let Some(problem) = problem {
                diagnostics.push(Diagnostic::error(code, node.span, problem));
            }
        }
    };
    let fault = |result: Result<String, settings::SettingsError>| result.err().map(|error| error.to_string());
    match entry.key.as_str() {
        "x-rust-type" => each(codes::RUST_TYPE, &|text| fault(settings::rust_type(text)), diagnostics),
        "x-rust-derives" => each(codes::RUST_DERIVES, &|text| fault(settings::derive(text)), diagnostics),
        "x-rust-attributes" => {
            each(codes::RUST_ATTRIBUTES, &|text| fault(settings::attribute(text)), diagnostics);
        }
        _ => {}
    }
}

/// What one schema asks for.
#[derive(Default)]
pub(super) struct Wishes {
    derives: Vec<(String, Span)>,
    attributes: Vec<String>,
}

impl Wishes {
    pub(super) fn of(node: &Node) -> Self {
        let texts = |key: &str| node.get(key).map(Node::items).unwrap_or_default().iter();
        let derive = |node: &Node| Some((settings::derive(node.as_str()?).ok()?, node.span));
        let attribute = |node: &Node| settings::attribute(node.as_str()?).ok();
        Self {
            derives: texts("x-rust-derives").filter_map(derive).collect(),
            attributes: texts("x-rust-attributes").filter_map(attribute).collect(),
        }
    }
}

impl Wishes {
    /// Derives that a type of the settings has.
    pub(super) fn asked(derives: &[String]) -> Self {
        let derives = derives.iter().map(|path| (path.clone(), Span::default())).collect();
        Self { derives, attributes: Vec::new() }
    }
}

/// Gives each type its derives and attributes; `wishes` are those of single types.
pub(super) fn apply(
    defs: &mut [TypeDef],
    wishes: &BTreeMap<String, Wishes>,
    settings: &Settings,
    diagnostics: &mut Diagnostics,
) {
    if settings.derives.is_empty() && settings.attributes.is_empty() && wishes.is_empty() {
        return;
    }
    let mut asked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for def in defs.iter_mut() {
        let own = wishes.get(&def.name);
        let foreign = matches!(def.kind, TypeKind::Foreign { .. });
        let everywhere = settings.derives.iter().filter(|_| !foreign);
        let wanted = everywhere.chain(own.iter().flat_map(|own| own.derives.iter().map(|(path, _)| path)));
        let mut all: Vec<String> = wanted.flat_map(|path| with_implied(path)).collect();
        let mut seen = BTreeSet::new();
        all.retain(|path| seen.insert(path.clone()) && !ALWAYS.contains(&name(path)));
        asked.insert(def.name.clone(), all.iter().map(|path| name(path).to_owned()).collect());
        def.derives = all;
        if !foreign {
            def.attributes.clone_from(&settings.attributes);
            def.attributes.extend(own.iter().flat_map(|own| own.attributes.iter().cloned()));
        }
    }
    let has = able(defs, &asked);
    for def in defs {
        let able = |path: &str| {
            !STANDARD.contains(&name(path)) || has.contains(&(name(path).to_owned(), def.name.clone()))
        };
        for (path, span) in wishes.get(&def.name).iter().flat_map(|own| &own.derives) {
            if !able(path) {
                let why = obstacle(def, name(path), &has);
                let message = format!("`{}` cannot derive `{}`: {why}", def.name, name(path));
                diagnostics.push(
                    Diagnostic::error(codes::RUST_DERIVES, *span, message)
                        .help("remove it here, or let what stands in the way have it too"),
                );
            }
        }
        let kind = &def.kind;
        def.derives.retain(|path| able(path) && !inherent(kind, name(path)));
        if matches!(kind, TypeKind::Foreign { .. }) {
            def.derives.clear();
        }
    }
}

/// A derive and those that it needs.
fn with_implied(path: &str) -> Vec<String> {
    let needed: &[&str] = if name(path) == "Ord" { &["PartialOrd", "Eq"] } else { &[] };
    needed.iter().map(|&needed| needed.to_owned()).chain([path.to_owned()]).collect()
}

/// The name of a trait of the standard library, else the whole path.
fn name(path: &str) -> &str {
    let standard = path
        .trim_start_matches(":: ")
        .split(" :: ")
        .next()
        .is_some_and(|first| first == "std" || first == "core");
    if standard { path.rsplit(" :: ").next().unwrap_or(path) } else { path }
}

/// Whether a type has a trait without being asked.
fn inherent(kind: &TypeKind, derive: &str) -> bool {
    match kind {
        TypeKind::Strings { .. } => ["Copy", "Eq", "Hash", "Ord", "PartialOrd"].contains(&derive),
        TypeKind::Struct { default, .. } => *default && derive == "Default",
        _ => false,
    }
}

/// Every trait and type that has it: those that ask for it, but for those with a member that does not have it.
fn able(defs: &[TypeDef], asked: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<(String, String)> {
    let mut has = BTreeSet::new();
    for def in defs {
        for derive in STANDARD {
            let wants = asked.get(&def.name).is_some_and(|all| all.contains(*derive));
            if wants || inherent(&def.kind, derive) {
                has.insert(((*derive).to_owned(), def.name.clone()));
            }
        }
    }
    loop {
        let lost: Vec<_> = defs
            .iter()
            .flat_map(|def| STANDARD.iter().map(move |derive| (def, *derive)))
            .filter(|(def, derive)| {
                has.contains(&((*derive).to_owned(), def.name.clone()))
                    && !inherent(&def.kind, derive)
                    && !fits(def, derive, &has)
            })
            .map(|(def, derive)| (derive.to_owned(), def.name.clone()))
            .collect();
        if lost.is_empty() {
            return has;
        }
        for pair in lost {
            has.remove(&pair);
        }
    }
}

fn fits(def: &TypeDef, derive: &str, has: &BTreeSet<(String, String)>) -> bool {
    match &def.kind {
        TypeKind::Foreign { .. } => true,
        TypeKind::Strings { .. } => derive != "Default",
        TypeKind::Union { .. } if derive == "Default" => false,
        _ => members(def).all(|(_, ty)| holds(ty, derive, has)),
    }
}

/// What keeps a type from a trait, for a message.
fn obstacle(def: &TypeDef, derive: &str, has: &BTreeSet<(String, String)>) -> String {
    let member = members(def).find(|(_, ty)| !holds(ty, derive, has));
    match (&def.kind, member) {
        (TypeKind::Strings { .. } | TypeKind::Union { .. }, _) if derive == "Default" => {
            "an enum has no value that comes first".to_owned()
        }
        (_, Some(("", _))) => "what it holds has none".to_owned(),
        (_, Some((member, _))) => format!("its member `{member}` has none"),
        _ => "it is used in place of a generated type".to_owned(),
    }
}

/// Types of all values in a type, with the names of the members they are in.
fn members(def: &TypeDef) -> Box<dyn Iterator<Item = (&str, &Ty)> + '_> {
    match &def.kind {
        TypeKind::Struct { fields, .. } => {
            Box::new(fields.iter().map(|field| (field.name.as_str(), &field.ty)))
        }
        TypeKind::Newtype { ty, .. } => Box::new(std::iter::once(("", ty))),
        TypeKind::Union { variants, .. } => {
            Box::new(variants.iter().map(|variant| (variant.name.as_str(), &variant.ty)))
        }
        TypeKind::Strings { .. } | TypeKind::Foreign { .. } => Box::new(std::iter::empty()),
    }
}

/// Whether values of a type have a trait.
fn holds(ty: &Ty, derive: &str, has: &BTreeSet<(String, String)>) -> bool {
    match ty {
        Ty::String | Ty::Bytes | Ty::Exact => derive != "Copy",
        Ty::Bool | Ty::Unit => true,
        Ty::Number(number) => !number.starts_with('f') || ["Copy", "Default", "PartialOrd"].contains(&derive),
        Ty::Json | Ty::JsonObject => ["Default", "Eq"].contains(&derive),
        Ty::Option(inner) => derive == "Default" || holds(inner, derive, has),
        Ty::Vec(inner) | Ty::Map(inner) => {
            derive == "Default" || (derive != "Copy" && holds(inner, derive, has))
        }
        Ty::Box(inner) => derive != "Copy" && holds(inner, derive, has),
        Ty::Array(inner, _) => derive != "Default" && holds(inner, derive, has),
        Ty::Tuple(types) => types.iter().all(|ty| holds(ty, derive, has)),
        Ty::Named(name) => has.contains(&(derive.to_owned(), name.clone())),
    }
}
