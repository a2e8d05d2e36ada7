//! Shapes to types: names of fields and variants, documentation, order and rules, from the schemas themselves.

use std::collections::{BTreeMap, BTreeSet};

use amgi_asyncapi::{
    diag::Diagnostic,
    model::Docs,
    node::{Node, Value},
};
use serde_json::Value as Json;

use super::{
    custom::{self, Wishes},
    exact,
    rules::rules,
    schema,
    shape::{Definition, Shaper},
};
use crate::{
    codes, docs,
    ir::{Field, Missing, Rule, Scalar, StringVariant, Ty, TypeDef, TypeKind, Variant},
    name::Namer,
    settings::Settings,
    types::{self, Shape, ShapeField},
};

/// The types of a document.
pub(super) struct Types {
    pub defs: Vec<TypeDef>,
    sites: Vec<Ty>,
    checked: BTreeSet<String>,
    strings: BTreeSet<String>,
}

impl Types {
    /// Type at a site.
    pub(super) fn site(&self, site: super::shape::Site) -> Ty {
        self.sites.get(site.0).cloned().unwrap_or(Ty::Json)
    }

    /// How a header or binding of this type is written.
    pub(super) fn scalar(&self, ty: &Ty) -> Scalar {
        let mixed = |name: &str| {
            self.defs.iter().any(|def| {
                def.name == name
                    && matches!(&def.kind, TypeKind::Union { variants, .. }
                        if variants.iter().any(|variant| variant.ty == Ty::String))
            })
        };
        match ty {
            Ty::String => Scalar::Text,
            Ty::Named(name) if self.strings.contains(name) => Scalar::Text,
            // Without a type in the document, senders write plain text as often as JSON.
            Ty::Json => Scalar::Loose,
            Ty::Named(name) if mixed(name) => Scalar::Loose,
            Ty::Option(inner) | Ty::Box(inner) => self.scalar(inner),
            _ => Scalar::Json,
        }
    }

    /// Whether a default is a value of its type.
    pub(super) fn takes(&self, ty: &Ty, default: &Json) -> bool {
        fits(ty, default)
            && match (ty, default) {
                (Ty::Named(name), Json::String(text)) => self.defs.iter().any(|def| {
                    def.name == *name
                        && matches!(&def.kind, TypeKind::Strings { variants } if variants.iter().any(|v| v.wire == *text))
                }),
                _ => true,
            }
    }

    /// Adds an enum of texts.
    pub(super) fn add_strings(&mut self, name: &str, docs: &[String], values: &[String]) {
        self.defs.push(TypeDef {
            name: name.to_owned(),
            docs: docs.to_vec(),
            kind: strings(values.iter().cloned()),
            checked: false,
            derives: Vec::new(),
            attributes: Vec::new(),
        });
        self.strings.insert(name.to_owned());
    }

    /// Drops rules that lead to types without any.
    pub(super) fn prune(&self, rules: Vec<Rule>, ty: &Ty) -> Vec<Rule> {
        prune(rules, ty, &self.checked)
    }
}

pub(super) fn types(shaper: &mut Shaper<'_>, settings: &Settings) -> Types {
    let (mut found, refused) = types::shapes(&shaper.for_typify());
    for definition in shaper.definitions.iter().filter(|d| refused.contains(&d.name)) {
        let Some(node) = definition.nodes.first() else { continue };
        shaper.refused.push(std::ptr::from_ref(*node));
        shaper.diagnostics.push(
            Diagnostic::warning(
                codes::SCHEMA_TOO_COMPLEX,
                node.span,
                format!("this schema has no Rust type yet, so `{}` holds any JSON", definition.name),
            )
            .help("keywords such as `not` inside an object are not turned into types"),
        );
    }
    // Where alternatives have become something else, such as any JSON because one of them takes it, types say less than the
    // schema.
    for definition in &shaper.definitions {
        let [node] = definition.nodes.as_slice() else { continue };
        let target = shaper.resolve(node);
        let branches = shaper.branches(target).map_or(0, |branches| branches.len());
        if branches < 2 || schema::strings(target).is_some() || custom::rust_type(target).is_some() {
            continue;
        }
        let kept = match found.get(&definition.name) {
            Some(Shape::Union(variants)) => variants.len() == branches,
            _ => false,
        };
        if !kept {
            shaper.refused.push(std::ptr::from_ref(*node));
        }
    }
    let sites = shaper.sites().map(|site| site.take(&mut found).unwrap_or(Ty::Json)).collect();
    let mut defs = Vec::new();
    let mut texts = Vec::new();
    let mut wishes = BTreeMap::new();
    for definition in &shaper.definitions {
        if let Some(node) = definition.nodes.first() {
            wishes.insert(definition.name.clone(), Wishes::of(node));
            if schema::types(node).contains(&"string") && custom::rust_type(node).is_some() {
                texts.push(definition.name.clone());
            }
        }
        if let Some((_, ty)) = shaper.format_of(&definition.name) {
            wishes.insert(definition.name.clone(), Wishes::asked(&ty.derives));
            texts.push(definition.name.clone());
        }
        let shape = found.remove(&definition.name).unwrap_or(Shape::Newtype(Ty::Json));
        defs.push(define(shaper, definition, shape));
    }
    // What typify made beside what it was asked for, such as parts of merged schemas.
    for (name, shape) in found {
        let about = format!("Schema `{name}`.");
        let definition = Definition { name, nodes: Vec::new(), shape: Json::Null, about };
        defs.push(define(shaper, &definition, shape));
    }
    if settings.builders {
        for def in &mut defs {
            if let TypeKind::Struct { builder, .. } = &mut def.kind {
                *builder = Some(shaper.claim_name(&format!("{}Builder", def.name)));
            }
        }
    }
    drop_unknown_defaults(&mut defs);
    let checked = mark_checked(&mut defs);
    custom::apply(&mut defs, &wishes, settings, &mut shaper.diagnostics);
    let strings = defs.iter().filter(|d| matches!(d.kind, TypeKind::Strings { .. })).map(|d| d.name.clone());
    let strings = strings.chain(texts).collect();
    Types { defs, sites, checked, strings }
}

fn define(shaper: &Shaper<'_>, definition: &Definition<'_>, found: Shape) -> TypeDef {
    let node = definition.nodes.first().copied();
    let fallback = definition.about.as_str();
    let docs = node.map_or_else(
        || vec![fallback.to_owned()],
        |node| docs::lines(&describe(shaper.resolve(node)), fallback),
    );
    let foreign = node.filter(|_| definition.nodes.len() == 1).and_then(custom::rust_type);
    let formatted = shaper.format_of(&definition.name);
    let kind = match found {
        _ if formatted.is_some() => {
            let (format, ty) = formatted.unzip();
            let ty = ty.map(|ty| ty.ty.clone()).unwrap_or_default();
            TypeKind::Foreign { ty, format: format.map(str::to_owned) }
        }
        _ if foreign.is_some() => TypeKind::Foreign { ty: foreign.unwrap_or_default(), format: None },
        Shape::Struct { fields, closed } => {
            let fields = fields_of(shaper, &definition.nodes, fields, closed);
            let default = fields
                .iter()
                .all(|field| matches!(field.missing, Missing::Empty | Missing::Flatten | Missing::Value(_)));
            TypeKind::Struct { fields, closed, default, builder: None }
        }
        // Typify was only told how many there are: it knows no texts that differ in nothing but case.
        Shape::Strings(values) => match texts_of(shaper, &definition.nodes) {
            Some(texts) => strings(texts.into_iter().map(str::to_owned)),
            None => strings(values),
        },
        Shape::Union(variants) => {
            let branches = node.and_then(|node| shaper.branches(shaper.resolve(node))).unwrap_or_default();
            let branches = if branches.len() == variants.len() { branches } else { Vec::new() };
            let mut names = Namer::members();
            let variants = variants
                .into_iter()
                .enumerate()
                .map(|(index, variant)| {
                    variant_of(
                        shaper,
                        &definition.name,
                        node,
                        branches.get(index).copied(),
                        variant,
                        &mut names,
                    )
                })
                .collect();
            let exactly_one = node.is_some_and(|node| exact::takes_one(shaper, node));
            TypeKind::Union { exactly_one, variants }
        }
        Shape::Newtype(ty) => {
            let rules = node.map(|node| rules(shaper, node, &ty)).unwrap_or_default();
            TypeKind::Newtype { ty, rules }
        }
    };
    let (derives, attributes) = (Vec::new(), Vec::new());
    TypeDef { name: definition.name.clone(), docs, kind, checked: false, derives, attributes }
}

/// The texts of an enum that schemas describe.
fn texts_of<'d>(shaper: &Shaper<'d>, nodes: &[&'d Node]) -> Option<Vec<&'d str>> {
    match nodes {
        [only] => schema::strings(shaper.resolve(only)),
        several => shaper.texts(several),
    }
}

fn strings(values: impl IntoIterator<Item = String>) -> TypeKind {
    let mut names = Namer::members();
    let variants =
        values.into_iter().map(|wire| StringVariant { name: names.variant(&wire).name, wire }).collect();
    TypeKind::Strings { variants }
}

fn fields_of<'d>(
    shaper: &Shaper<'d>,
    nodes: &[&'d Node],
    mut members: Vec<ShapeField>,
    closed: bool,
) -> Vec<Field> {
    let object = shaper.object(nodes).unwrap_or_default();
    let place =
        |wire: &str| object.properties.iter().position(|(name, _)| *name == wire).unwrap_or(usize::MAX);
    members.sort_by_key(|field| place(&field.wire));
    if shaper.keeps() && !closed && !members.iter().any(is_rest) {
        members.push(ShapeField { wire: String::new(), ty: Ty::JsonObject, optional: true });
    }
    let mut names = Namer::members();
    members
        .into_iter()
        .map(|shape| {
            if is_rest(&shape) {
                return Field {
                    name: names.member("additional").name,
                    docs: vec!["Members that have no field.".to_owned()],
                    missing: Missing::Flatten,
                    nullable: false,
                    secret: object.additional.is_some_and(|node| is_secret(shaper, node)),
                    rules: object
                        .additional
                        .map(|node| each_rule(shaper, node, &shape.ty))
                        .unwrap_or_default(),
                    wire: shape.wire,
                    ty: shape.ty,
                };
            }
            let described = object.properties.iter().find(|(name, _)| *name == shape.wire);
            let nodes: &[&Node] = described.map_or(&[], |(_, nodes)| nodes);
            field(shaper, nodes, shape, &object.required, &mut names)
        })
        .collect()
}

/// Whether a field holds the members that have none. A member may be called nothing, too.
fn is_rest(field: &ShapeField) -> bool {
    field.wire.is_empty() && matches!(field.ty, Ty::Map(_) | Ty::JsonObject)
}

fn field<'d>(
    shaper: &Shaper<'d>,
    nodes: &[&'d Node],
    shape: ShapeField,
    required: &BTreeSet<&str>,
    names: &mut Namer,
) -> Field {
    let default = (!required.contains(shape.wire.as_str()))
        .then(|| nodes.iter().find_map(|node| default_of(shaper, node)))
        .flatten();
    let mut nullable = nodes.iter().all(|node| shaper.takes_null(node));
    let rules_of = |ty: &Ty| {
        nodes.iter().flat_map(|node| rules(shaper, node, ty)).fold(Vec::new(), |mut all, rule| {
            if !all.contains(&rule) {
                all.push(rule);
            }
            all
        })
    };
    // A default that the schema itself refuses is none, and neither is one in whose place null may stand.
    let (mut ty, missing) = match (shape.ty, default) {
        (Ty::Option(inner), Some(default))
            if !shaper.keeps()
                && fits(&inner, &default)
                && !nullable
                && keeps(&rules_of(&inner), &default) =>
        {
            (*inner, Missing::Value(default))
        }
        (ty, _) if shape.optional && required.contains(shape.wire.as_str()) => (ty, Missing::Null),
        (ty, _) if shape.optional => (ty, Missing::Empty),
        (ty, _) => (ty, Missing::Refused),
    };
    let rules = rules_of(&ty);
    let refuses_empty = || rules.iter().any(|rule| matches!(rule, Rule::Size(1.., _) | Rule::Required(_)));
    if missing == Missing::Empty {
        // Where empty is refused, or kept, it is not the same as missing; and neither is null, where that is kept.
        let told_apart = match ty {
            Ty::Vec(_) | Ty::Map(_) | Ty::JsonObject => shaper.keeps() || refuses_empty(),
            Ty::Option(_) => shaper.keeps() && nullable,
            _ => shaper.keeps(),
        };
        if told_apart {
            ty = Ty::Option(Box::new(ty));
            nullable = false;
        }
    }
    let fallback = match shape.wire.trim() {
        "" => "Member without a name.".to_owned(),
        wire => format!("Member `{wire}`."),
    };
    let docs = nodes.iter().map(|node| docs::lines(&property_docs(shaper, node), &fallback)).next();
    let wanted =
        nodes.iter().find_map(|node| node.get("x-rust-name").and_then(Node::as_str)).unwrap_or(&shape.wire);
    Field {
        name: names.member(wanted).name,
        docs: docs.unwrap_or_else(|| vec![fallback]),
        rules,
        secret: nodes.iter().any(|node| is_secret(shaper, node)),
        nullable,
        missing,
        wire: shape.wire,
        ty,
    }
}

/// Whether what a schema describes is shown to nobody, or holds such values.
pub(super) fn is_secret<'d>(shaper: &Shaper<'d>, node: &'d Node) -> bool {
    let says = |node: &Node| {
        node.get("format").and_then(Node::as_str) == Some("password")
            || matches!(node.get("x-sensitive"), Some(Node { value: Value::Bool(true), .. }))
    };
    let mut node = node;
    // A schema of itself has said what it has to say by then.
    for _ in 0..32 {
        if says(node) || says(shaper.resolve(node)) {
            return true;
        }
        let resolved = shaper.resolve(node);
        match resolved.get("items").or_else(|| resolved.get("additionalProperties")) {
            Some(inner) => node = inner,
            None => break,
        }
    }
    false
}

/// The rules of additional members, for the map that holds them.
fn each_rule<'d>(shaper: &Shaper<'d>, node: &'d Node, ty: &Ty) -> Vec<Rule> {
    let rules = rules(shaper, node, element(ty));
    if rules.is_empty() { Vec::new() } else { vec![Rule::Each(rules)] }
}

fn variant_of<'d>(
    shaper: &Shaper<'d>,
    owner: &str,
    whole: Option<&'d Node>,
    branch: Option<&'d Node>,
    ty: Ty,
    names: &mut Namer,
) -> Variant {
    // Named by what it holds, so that one alternative more renames none of the others.
    let name = ty_name(&ty);
    let short = name.strip_prefix(owner).filter(|rest| rest.starts_with(char::is_uppercase));
    let wanted = short.unwrap_or(name);
    let fallback = format!("Alternative `{wanted}`.");
    let docs = branch
        .map_or_else(|| vec![fallback.clone()], |b| docs::lines(&describe(shaper.resolve(b)), &fallback));
    // `type: [string, integer]` has its rules beside the types.
    let rules = branch.or(whole).map(|node| rules(shaper, node, &ty)).unwrap_or_default();
    Variant { name: names.variant(wanted).name, docs, ty, rules }
}

/// What a value of a type is called where it has no name.
fn ty_name(ty: &Ty) -> &str {
    match ty {
        Ty::String => "Text",
        Ty::Bool => "Flag",
        Ty::Exact => "Number",
        Ty::Number(name) if name.starts_with('f') => "Number",
        Ty::Number(_) => "Integer",
        Ty::Json => "Any",
        Ty::JsonObject | Ty::Map(_) => "Object",
        Ty::Bytes => "Bytes",
        Ty::Unit => "Nothing",
        Ty::Option(inner) | Ty::Box(inner) => ty_name(inner),
        Ty::Vec(_) | Ty::Tuple(_) | Ty::Array(..) => "List",
        Ty::Named(name) => name,
    }
}

fn describe(node: &Node) -> Docs {
    let text = |key: &str| node.get(key).and_then(Node::as_str).map(str::to_owned);
    Docs { title: text("title"), description: text("description"), ..Docs::default() }
}

/// A property's own words, else those of the schema it refers to.
pub(super) fn property_docs<'d>(shaper: &Shaper<'d>, node: &'d Node) -> Docs {
    let own = describe(node);
    if own.title.is_some() || own.description.is_some() { own } else { describe(shaper.resolve(node)) }
}

/// `default`, beside the reference or behind it.
pub(super) fn default_of<'d>(shaper: &Shaper<'d>, node: &'d Node) -> Option<Json> {
    node.get("default").or_else(|| shaper.resolve(node).get("default")).map(Node::to_json)
}

/// Whether a default can be written as a value of the type.
fn fits(ty: &Ty, value: &Json) -> bool {
    match (ty, value) {
        (Ty::String | Ty::Named(_), Json::String(_))
        | (Ty::Bool, Json::Bool(_))
        | (Ty::Exact, Json::Number(_))
        | (Ty::Json, _) => true,
        (Ty::Number(name), Json::Number(number)) => match name.as_str() {
            "i32" => number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
            "u32" => number.as_u64().is_some_and(|n| u32::try_from(n).is_ok()),
            "i64" => number.is_i64(),
            "u64" => number.is_u64(),
            "f64" => true,
            _ => false,
        },
        _ => false,
    }
}

/// Whether a default keeps the rules of its member.
pub(super) fn keeps(rules: &[Rule], value: &Json) -> bool {
    let (number, text) = (value.as_f64(), value.as_str());
    rules.iter().all(|rule| match rule {
        Rule::Minimum(bound, exclusive) => number
            .zip(bound.as_f64())
            .is_none_or(|(number, bound)| number > bound || (!exclusive && number >= bound)),
        Rule::Maximum(bound, exclusive) => number
            .zip(bound.as_f64())
            .is_none_or(|(number, bound)| number < bound || (!exclusive && number <= bound)),
        Rule::Length(least, most) => text.is_none_or(|text| {
            let count = text.chars().count();
            count >= *least && most.is_none_or(|most| count <= most)
        }),
        Rule::Pattern(source) => text.is_none_or(|text| {
            regress::Regex::with_flags(source, "u").map_or(true, |pattern| pattern.find(text).is_some())
        }),
        Rule::OneOf(values) => values.contains(value),
        _ => true,
    })
}

/// A default that is no value of its enum is no default: the member is optional then.
fn drop_unknown_defaults(defs: &mut [TypeDef]) {
    let texts: BTreeMap<String, Vec<String>> = defs
        .iter()
        .filter_map(|def| match &def.kind {
            TypeKind::Strings { variants } => {
                Some((def.name.clone(), variants.iter().map(|variant| variant.wire.clone()).collect()))
            }
            _ => None,
        })
        .collect();
    for def in defs {
        let TypeKind::Struct { fields, .. } = &mut def.kind else { continue };
        for field in fields {
            if let (Missing::Value(Json::String(text)), Ty::Named(name)) = (&field.missing, &field.ty)
                && !texts.get(name).is_some_and(|texts| texts.contains(text))
            {
                field.ty = Ty::Option(Box::new(field.ty.clone()));
                field.missing = Missing::Empty;
            }
        }
    }
}

/// Marks the types that have rules, directly or through others, and drops rules that lead nowhere.
fn mark_checked(defs: &mut [TypeDef]) -> BTreeSet<String> {
    fn leads(rules: &[Rule], ty: &Ty, checked: &BTreeSet<String>) -> bool {
        rules.iter().any(|rule| match rule {
            Rule::Named => innermost(ty).is_some_and(|name| checked.contains(name)),
            Rule::Each(inner) => leads(inner, element(ty), checked),
            _ => true,
        })
    }
    let mut checked = BTreeSet::new();
    loop {
        let before = checked.len();
        for def in defs.iter() {
            let has = match &def.kind {
                TypeKind::Struct { fields, .. } => {
                    fields.iter().any(|field| leads(&field.rules, &field.ty, &checked))
                }
                TypeKind::Union { variants, .. } => {
                    variants.iter().any(|variant| leads(&variant.rules, &variant.ty, &checked))
                }
                TypeKind::Newtype { ty, rules } => leads(rules, ty, &checked),
                TypeKind::Strings { .. } | TypeKind::Foreign { .. } => false,
            };
            if has {
                checked.insert(def.name.clone());
            }
        }
        if checked.len() == before {
            break;
        }
    }
    for def in defs {
        def.checked = checked.contains(&def.name);
        match &mut def.kind {
            TypeKind::Struct { fields, .. } => {
                for field in fields {
                    field.rules = prune(std::mem::take(&mut field.rules), &field.ty, &checked);
                }
            }
            TypeKind::Union { variants, .. } => {
                for variant in variants {
                    variant.rules = prune(std::mem::take(&mut variant.rules), &variant.ty, &checked);
                }
            }
            TypeKind::Newtype { ty, rules } => *rules = prune(std::mem::take(rules), ty, &checked),
            TypeKind::Strings { .. } | TypeKind::Foreign { .. } => {}
        }
    }
    checked
}

fn prune(rules: Vec<Rule>, ty: &Ty, checked: &BTreeSet<String>) -> Vec<Rule> {
    rules
        .into_iter()
        .filter_map(|rule| match rule {
            Rule::Named => innermost(ty).is_some_and(|name| checked.contains(name)).then_some(Rule::Named),
            Rule::Each(inner) => {
                let inner = prune(inner, element(ty), checked);
                (!inner.is_empty()).then_some(Rule::Each(inner))
            }
            rule => Some(rule),
        })
        .collect()
}

fn innermost(ty: &Ty) -> Option<&str> {
    match ty {
        Ty::Option(inner) | Ty::Box(inner) => innermost(inner),
        Ty::Named(name) => Some(name),
        _ => None,
    }
}

fn element(ty: &Ty) -> &Ty {
    match ty {
        Ty::Option(inner) | Ty::Box(inner) => element(inner),
        Ty::Vec(inner) | Ty::Map(inner) => inner,
        other => other,
    }
}
