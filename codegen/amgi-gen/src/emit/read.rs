//! How the types of a document are read: in the private module `wire`, as macros of the runtime.

use proc_macro2::TokenStream;
use quote::quote;

use super::{ident, outer_ty, types::default_name};
use crate::ir::{Field, Missing, Ty, TypeDef, TypeKind, Variant};

/// Whether `wire` says how a type is read; serde derives it otherwise.
pub(super) fn is_ours(def: &TypeDef) -> bool {
    matches!(def.kind, TypeKind::Struct { .. } | TypeKind::Union { .. })
}

/// How a type is read, where that is ours.
pub(super) fn read(def: &TypeDef) -> TokenStream {
    match &def.kind {
        TypeKind::Struct { fields, closed, .. } => structure(def, fields, *closed),
        TypeKind::Union { exactly_one, variants } => union(def, *exactly_one, variants),
        _ => TokenStream::new(),
    }
}

/// The reader of a type for which serde's own does not do: it has an integer somewhere, and `1.0` is one.
pub(super) fn special(of: &Ty) -> Option<TokenStream> {
    has_integer(of).then(|| reader(of))
}

fn has_integer(of: &Ty) -> bool {
    match of {
        Ty::Number(name) => !name.starts_with('f'),
        Ty::Option(inner) | Ty::Box(inner) | Ty::Vec(inner) | Ty::Map(inner) => has_integer(inner),
        _ => false,
    }
}

fn reader(of: &Ty) -> TokenStream {
    if !has_integer(of) {
        let of = outer_ty(of);
        return quote!(codegen::Plain<#of>);
    }
    match of {
        Ty::Option(inner) => {
            let inner = reader(inner);
            quote!(codegen::Maybe<#inner>)
        }
        Ty::Box(inner) => {
            let inner = reader(inner);
            quote!(codegen::Boxed<#inner>)
        }
        Ty::Vec(inner) => {
            let inner = reader(inner);
            quote!(codegen::List<#inner>)
        }
        Ty::Map(inner) => {
            let inner = reader(inner);
            quote!(codegen::Dict<#inner>)
        }
        of => {
            let of = outer_ty(of);
            quote!(codegen::Int<#of>)
        }
    }
}

fn structure(def: &TypeDef, fields: &[Field], closed: bool) -> TokenStream {
    let name = ident(&def.name);
    let members = fields.iter().filter(|field| field.missing != Missing::Flatten).map(|field| {
        let (member, wire) = (ident(&field.name), &field.wire);
        let (kind, of) = match (&field.missing, &field.ty) {
            (Missing::Empty, Ty::Option(inner)) if !field.nullable => (quote!(optional), &**inner),
            (Missing::Empty, of) => (quote!(default), of),
            (Missing::Value(_), of) => {
                let function = default_name(def, field);
                (quote!(value(types::defaults::#function)), of)
            }
            (Missing::Refused | Missing::Null | Missing::Flatten, of) => (quote!(required), of),
        };
        let reader = reader(of);
        quote!(#member #wire: #kind [#reader];)
    });
    let rest = fields.iter().find(|field| field.missing == Missing::Flatten).map(|field| {
        let member = ident(&field.name);
        let reader = match &field.ty {
            Ty::Map(inner) => reader(inner),
            _ => quote!(codegen::Plain<codegen::serde_json::Value>),
        };
        quote!(.. #member [#reader])
    });
    let closed = (closed && rest.is_none()).then(|| quote!(: Refused));
    quote!(codegen::object!(types::#name #closed { #(#members)* #rest });)
}

/// The first alternative that fits, type and rules, or the only one.
fn union(def: &TypeDef, exactly_one: bool, variants: &[Variant]) -> TokenStream {
    let name = ident(&def.name);
    let fits = if exactly_one {
        quote! {
            if fit.replace(variant).is_some() {
                return Err(codegen::serde::de::Error::custom("fits more than one of the alternatives"));
            }
        }
    } else {
        quote!(return Ok(variant);)
    };
    let variants = variants.iter().map(|variant| {
        let (member, reader) = (ident(&variant.name), reader(&variant.ty));
        let found = if def.checked {
            quote! {
                if codegen::Check::check(&variant, &codegen::At::root(amgi::error::Part::Payload)).is_ok() {
                    #fits
                } else {
                    // Kept, so that the check of the whole says what is wrong and where.
                    first.get_or_insert(variant);
                }
            }
        } else {
            fits.clone()
        };
        quote! {
            if let Ok(value) = <codegen::Value<#reader> as codegen::serde::Deserialize>::deserialize(&value) {
                let variant = Self::#member(value.0);
                #found
            }
        }
    });
    let fit = exactly_one.then(|| quote!(let mut fit = None;));
    let first = def.checked.then(|| quote!(let mut first = None;));
    let none = quote!(codegen::serde::de::Error::custom("fits none of the alternatives"));
    let end = match (exactly_one, def.checked) {
        (true, true) => quote!(fit.or(first).ok_or_else(|| #none)),
        (true, false) => quote!(fit.ok_or_else(|| #none)),
        (false, true) => quote!(first.ok_or_else(|| #none)),
        (false, false) => quote!(Err(#none)),
    };
    quote! {
        impl<'de> codegen::serde::Deserialize<'de> for types::#name {
            fn deserialize<D: codegen::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = <codegen::serde_json::Value as codegen::serde::Deserialize>::deserialize(deserializer)?;
                #fit
                #first
                #(#variants)*
                #end
            }
        }
    }
}
