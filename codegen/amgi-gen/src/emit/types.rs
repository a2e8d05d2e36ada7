//! The module `types`: payload types with public fields and plain types.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use serde_json::Value;

use super::{Module, Piece, divided, docs, ident, ty};
use crate::ir::{Api, Field, Missing, StringVariant, Ty, TypeDef, TypeKind, Variant};

/// Types in a file of a large document.
const TYPES: usize = 100;

/// The module, item by item.
pub(super) fn module(api: &Api) -> Option<Module<'_>> {
    if api.types.is_empty() {
        return None;
    }
    let items = api.types.iter().map(|def| Piece::new(move || item(api, def))).collect();
    let mut pieces = divided("types", api.divided, TYPES, Some(|| quote!(pub use)), items);
    if api.types.iter().any(|def| !defaults(api, def).is_empty()) {
        pieces.push(Piece::new(move || {
            let defaults = api.types.iter().flat_map(|def| defaults(api, def));
            quote! {
                /// Values of members that are missing, written as the document writes them.
                #[allow(non_snake_case, clippy::approx_constant, clippy::excessive_precision, clippy::unreadable_literal)]
                pub(super) mod defaults {
                    #(#defaults)*
                }
            }
        }));
    }
    Some(Module {
        head: || {
            quote! {
                /// Types of the document's schemas.
                pub
            }
        },
        name: "types".to_owned(),
        pieces,
        compact: false,
    })
}

fn item(api: &Api, def: &TypeDef) -> TokenStream {
    let name = ident(&def.name);
    let lines = docs(&def.docs);
    match &def.kind {
        TypeKind::Struct { fields, default, builder, .. } => {
            let (structure, builder) = (structure(def, fields, *default), builder.as_ref());
            let builder = builder.map(|builder| self::builder(def, builder, fields));
            quote!(#structure #builder)
        }
        TypeKind::Strings { variants } => strings(def, &name, &lines, variants),
        TypeKind::Union { variants, .. } => union(api, def, &lines, variants),
        TypeKind::Foreign { ty: of, .. } => {
            let of = written([of]);
            quote!(#lines pub type #name = #(#of)*;)
        }
        TypeKind::Newtype { ty: of, .. } => {
            let of = ty(of, &quote!());
            let (derives, attributes) = (written(&def.derives), written(&def.attributes));
            quote! {
                #lines
                #[derive(Debug, Clone, PartialEq, #(#derives),*)]
                #(#attributes)*
                pub struct #name(
                    /// The value.
                    pub #of,
                );
            }
        }
    }
}

/// What a user wrote and the settings have checked.
fn written<'a>(texts: impl IntoIterator<Item = &'a String>) -> Vec<TokenStream> {
    texts.into_iter().filter_map(|text| text.parse().ok()).collect()
}

fn structure(def: &TypeDef, fields: &[Field], default: bool) -> TokenStream {
    let name = ident(&def.name);
    let lines = docs(&def.docs);
    let own_default = default && fields.iter().any(|field| matches!(field.missing, Missing::Value(_)));
    let with_default = (default && !own_default).then(|| quote!(, Default));
    let flags = fields.iter().filter(|field| field.ty == Ty::Bool).count();
    let allow = (flags > 3).then(|| quote!(#[allow(clippy::struct_excessive_bools)]));
    let twice = |ty: &Ty| matches!(ty, Ty::Option(inner) if matches!(**inner, Ty::Option(_)));
    let allow_twice = option_option(fields.iter().any(|field| twice(&field.ty)));
    let learns = learns(def);
    let members = fields.iter().map(|field| self::field(field, learns));
    let default_impl = own_default.then(|| {
        let values = fields.iter().map(|field| {
            let member = ident(&field.name);
            match field.missing {
                Missing::Value(_) => {
                    let function = default_name(def, field);
                    quote!(#member: defaults::#function(),)
                }
                _ => {
                    let empty = match &field.ty {
                        Ty::Option(_) => quote!(None),
                        Ty::Vec(_) => quote!(Vec::new()),
                        Ty::Map(_) => quote!(std::collections::BTreeMap::new()),
                        Ty::JsonObject => quote!(amgi::codegen::serde_json::Map::new()),
                        Ty::Json => quote!(amgi::codegen::serde_json::Value::Null),
                        of => {
                            let of = ty(of, &quote!());
                            quote!(<#of>::default())
                        }
                    };
                    quote!(#member: #empty,)
                }
            }
        });
        quote! {
            impl Default for #name {
                fn default() -> Self {
                    Self { #(#values)* }
                }
            }
        }
    });
    let (derives, attributes) = (written(&def.derives), written(&def.attributes));
    quote! {
        #lines
        #[derive(Debug, Clone, PartialEq #with_default, #(#derives),*)]
        #(#attributes)*
        #allow
        #allow_twice
        pub struct #name { #(#members)* }
        #default_impl
    }
}

fn field(field: &Field, attributes: bool) -> TokenStream {
    let (name, lines, of) = (ident(&field.name), docs(&field.docs), ty(&field.ty, &quote!()));
    let attributes = attributes.then(|| serde_attributes(field));
    quote!(#lines #attributes pub #name: #of,)
}

/// Null is one thing, and missing is another.
fn option_option(twice: bool) -> Option<TokenStream> {
    twice.then(|| quote!(#[allow(clippy::option_option)]))
}

/// What makes a struct member by member, and holds it to its schema.
fn builder(def: &TypeDef, builder: &str, fields: &[Field]) -> TokenStream {
    let (name, builder) = (ident(&def.name), ident(builder));
    let about = docs(&[format!("Builder of [`{}`].", def.name)]);
    // A member may be called so, too.
    let build = if fields.iter().any(|field| field.name == "build") { "build_checked" } else { "build" };
    let build = ident(build);
    let (mut members, mut setters, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for field in fields {
        let (member, lines, wire) = (ident(&field.name), docs(&field.docs), &field.wire);
        let (of, value) = match (&field.missing, &field.ty) {
            (Missing::Empty, Ty::Option(inner)) if !field.nullable => (&**inner, quote!(self.#member)),
            (Missing::Empty | Missing::Flatten, of) => (of, quote!(self.#member.unwrap_or_default())),
            (Missing::Value(_), of) => {
                let function = default_name(def, field);
                (of, quote!(self.#member.unwrap_or_else(defaults::#function)))
            }
            (Missing::Refused | Missing::Null, of) => {
                (of, quote!(amgi::codegen::built(at, #wire, self.#member)))
            }
        };
        let required = matches!(field.missing, Missing::Refused | Missing::Null);
        let of = ty(of, &quote!());
        members.push(quote!(#member: Option<#of>,));
        setters.push(quote! {
            #lines
            #[must_use]
            pub fn #member(mut self, value: impl Into<#of>) -> Self {
                self.#member = Some(value.into());
                self
            }
        });
        // Every member has its say before one that is missing ends it.
        let (first, then) = if required {
            (quote!(let #member = #value;), quote!(#member: #member?,))
        } else {
            (quote!(), quote!(#member: #value,))
        };
        values.push((first, then));
    }
    let twice = option_option(fields.iter().any(|field| match (&field.missing, &field.ty) {
        (Missing::Empty, Ty::Option(inner)) if !field.nullable => matches!(**inner, Ty::Option(_)),
        (_, of) => matches!(of, Ty::Option(_)),
    }));
    let (firsts, thens): (Vec<_>, Vec<_>) = values.into_iter().unzip();
    let (bind, check) = if def.checked {
        (quote!(let value =), quote!(; amgi::codegen::Check::check(&value, at); Some(value)))
    } else {
        (quote!(Some), quote!())
    };
    let made = quote!(#name { #(#thens)* });
    let made = if def.checked { quote!(#bind #made #check) } else { quote!(#bind(#made)) };
    let at = if def.checked || fields.iter().any(|f| matches!(f.missing, Missing::Refused | Missing::Null)) {
        quote!(at)
    } else {
        quote!(_)
    };
    quote! {
        impl #name {
            /// A builder, which in the end holds the value to its schema.
            #[must_use]
            pub fn builder() -> #builder {
                #builder::default()
            }
        }

        #about
        #[derive(Debug, Clone, Default)]
        #twice
        pub struct #builder { #(#members)* }

        impl #builder {
            #(#setters)*

            /// The value.
            ///
            /// # Errors
            ///
            /// Everything in which it is not what its schema says.
            pub fn #build(self) -> Result<#name, amgi::Rejection> {
                amgi::codegen::fields(amgi::error::Part::Payload, |#at| { #(#firsts)* #made })
            }
        }
    }
}

/// Derives that learn from serde's attributes how a value is written, such as what makes a schema of a type. `wire` reads and
/// writes the types: without such a derive they have no attributes.
const LEARNING: &[&str] = &["JsonSchema", "ToSchema", "TS", "Type"];

fn learns(def: &TypeDef) -> bool {
    def.derives.iter().any(|path| LEARNING.contains(&path.rsplit("::").next().unwrap_or_default().trim()))
}

fn serde_attributes(field: &Field) -> TokenStream {
    if field.missing == Missing::Flatten {
        return quote!(#[serde(flatten)]);
    }
    let rename = (field.wire != field.name.trim_start_matches("r#")).then(|| {
        let wire = &field.wire;
        quote!(#[serde(rename = #wire)])
    });
    let optional = matches!(field.missing, Missing::Empty | Missing::Value(_));
    let default = optional.then(|| quote!(#[serde(default)]));
    quote!(#rename #default)
}

pub(super) fn default_name(def: &TypeDef, field: &Field) -> proc_macro2::Ident {
    format_ident!("{}__{}", crate::name::snake(&def.name), field.name.trim_start_matches("r#"))
}

/// A function for every default of a type.
fn defaults(api: &Api, def: &TypeDef) -> Vec<TokenStream> {
    let TypeKind::Struct { fields, .. } = &def.kind else { return Vec::new() };
    fields
        .iter()
        .filter_map(|field| {
            let Missing::Value(value) = &field.missing else { return None };
            let function = default_name(def, field);
            let of = ty(&field.ty, &quote!(super::));
            let value = literal(api, &field.ty, value, &quote!(super::));
            Some(quote!(pub(in super::super) fn #function() -> #of { #value }))
        })
        .collect()
}

/// A default as an expression; lowering has made sure that it fits.
pub(super) fn literal(api: &Api, of: &Ty, value: &Value, prefix: &TokenStream) -> TokenStream {
    match (of, value) {
        (Ty::String, Value::String(text)) => quote!(#text.to_owned()),
        (Ty::Bool, Value::Bool(flag)) => quote!(#flag),
        (Ty::Exact, Value::Number(number)) => {
            let text = number.to_string();
            quote!(#text.parse().unwrap_or_default())
        }
        (Ty::Number(name), Value::Number(number)) => number_literal(name, number),
        (Ty::Named(name), Value::String(text)) => {
            let variant = api.types.iter().find(|def| def.name == *name).and_then(|def| match &def.kind {
                TypeKind::Strings { variants } => variants.iter().find(|variant| variant.wire == *text),
                _ => None,
            });
            let name = ident(name);
            let variant = variant.map_or_else(|| ident("Unknown"), |variant| ident(&variant.name));
            quote!(#prefix #name::#variant)
        }
        (_, value) => {
            let json = value.to_string();
            quote!(amgi::codegen::serde_json::from_str(#json).unwrap_or_default())
        }
    }
}

/// A number as an unsuffixed literal of the type.
pub(super) fn number_literal(name: &str, number: &serde_json::Number) -> TokenStream {
    let negative = number.as_f64().is_some_and(|n| n < 0.0);
    let minus = negative.then(|| quote!(-));
    let magnitude = if name.starts_with('f') {
        proc_macro2::Literal::f64_unsuffixed(number.as_f64().unwrap_or_default().abs())
    } else if let Some(unsigned) = number.as_u64() {
        proc_macro2::Literal::u64_unsuffixed(unsigned)
    } else {
        proc_macro2::Literal::u64_unsuffixed(number.as_i64().unwrap_or_default().unsigned_abs())
    };
    quote!(#minus #magnitude)
}

fn strings(
    def: &TypeDef,
    name: &proc_macro2::Ident,
    lines: &TokenStream,
    variants: &[StringVariant],
) -> TokenStream {
    let members = variants.iter().map(|variant| {
        let member = ident(&variant.name);
        let line = match variant.wire.trim() {
            "" => " Text without characters.".to_owned(),
            text => format!(" `{}`", crate::docs::shown(&text.replace('`', "'"))),
        };
        quote!(#[doc = #line] #member,)
    });
    let (derives, attributes) = (written(&def.derives), written(&def.attributes));
    quote! {
        #lines
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, #(#derives),*)]
        #(#attributes)*
        pub enum #name { #(#members)* }
    }
}

fn union(api: &Api, def: &TypeDef, lines: &TokenStream, variants: &[Variant]) -> TokenStream {
    let name = ident(&def.name);
    let members = variants.iter().map(|variant| {
        let (member, lines) = (ident(&variant.name), docs(&variant.docs));
        let of = ty(&variant.ty, &quote!());
        quote!(#lines #member(#of),)
    });
    // A conversion where the content says which variant it is.
    let conversions = variants.iter().filter_map(|variant| {
        let of @ Ty::Named(named) = &variant.ty else { return None };
        // Two names of foreign types can be the same type.
        let foreign = |def: &TypeDef| def.name == *named && matches!(def.kind, TypeKind::Foreign { .. });
        if api.types.iter().any(foreign) {
            return None;
        }
        let unique = variants.iter().filter(|other| other.ty == *of).count() == 1;
        let member = ident(&variant.name);
        let of = ty(of, &quote!());
        unique.then(|| {
            quote! {
                impl From<#of> for #name {
                    fn from(value: #of) -> Self {
                        Self::#member(value)
                    }
                }
            }
        })
    });
    let untagged = learns(def).then(|| quote!(#[serde(untagged)]));
    let (derives, attributes) = (written(&def.derives), written(&def.attributes));
    quote! {
        #lines
        #[derive(Debug, Clone, PartialEq, #(#derives),*)]
        #untagged
        #(#attributes)*
        #[allow(clippy::large_enum_variant)]
        pub enum #name { #(#members)* }
        #(#conversions)*
    }
}
