//! How the types of a document are read: in the private module `wire`, as macros of the runtime.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use super::{ident, outer_ty, types::default_name};
use crate::ir::{Api, Field, Missing, Ty, TypeDef, TypeKind, Variant};
use crate::name::pascal;

/// How a type is read.
pub(super) fn read(api: &Api, def: &TypeDef) -> TokenStream {
    let name = ident(&def.name);
    match &def.kind {
        TypeKind::Struct { fields, closed, .. } => structure(api, def, fields, *closed),
        TypeKind::Union { exactly_one, variants } => union(api, def, *exactly_one, variants),
        TypeKind::Newtype { ty, .. } => {
            let reader = reader(api, ty);
            quote!(codegen::newtype!(types::#name: #reader);)
        }
        TypeKind::Strings { variants } => {
            let names = variants.iter().map(|variant| ident(&variant.name));
            let wires = variants.iter().map(|variant| &variant.wire);
            quote!(codegen::text_enum!(types::#name { #(#names = #wires),* });)
        }
        TypeKind::Foreign { .. } => TokenStream::new(),
    }
}

/// What reads a type: the type itself, unless it is foreign or holds such a one.
pub(super) fn reader(api: &Api, of: &Ty) -> TokenStream {
    match of {
        Ty::Option(inner) => {
            let inner = reader(api, inner);
            quote!(Option<#inner>)
        }
        Ty::Box(inner) => {
            let inner = reader(api, inner);
            quote!(Box<#inner>)
        }
        Ty::Vec(inner) => {
            let inner = reader(api, inner);
            quote!(Vec<#inner>)
        }
        Ty::Map(inner) => {
            let inner = reader(api, inner);
            quote!(std::collections::BTreeMap<String, #inner>)
        }
        Ty::Named(name) => {
            let of = outer_ty(of);
            match api.types.iter().find(|def| def.name == *name).map(|def| &def.kind) {
                Some(TypeKind::Foreign { format: Some(format), .. }) => {
                    let format = ident(&pascal(format));
                    quote!(codegen::Formatted<#of, codegen::formats::#format>)
                }
                Some(TypeKind::Foreign { .. }) => quote!(codegen::Foreign<#of>),
                _ => of,
            }
        }
        of => outer_ty(of),
    }
}

fn structure(api: &Api, def: &TypeDef, fields: &[Field], closed: bool) -> TokenStream {
    let name = ident(&def.name);
    let members = fields.iter().filter(|field| field.missing != Missing::Flatten);
    let members = members.enumerate().map(|(place, field)| {
        let (place, member, wire) = (Literal::usize_unsuffixed(place), ident(&field.name), &field.wire);
        let (kind, of) = match (&field.missing, &field.ty) {
            (Missing::Empty, Ty::Option(inner)) if !field.nullable => (quote!(optional), &**inner),
            (Missing::Empty, of) => (quote!(default), of),
            (Missing::Value(_), of) => {
                let function = default_name(def, field);
                (quote!(value(types::defaults::#function)), of)
            }
            (Missing::Refused | Missing::Null | Missing::Flatten, of) => (quote!(required), of),
        };
        let reader = reader(api, of);
        let secret = field.secret.then(|| quote!([secret]));
        quote!(#place #member #wire: #reader, #kind #secret;)
    });
    let rest = fields.iter().find(|field| field.missing == Missing::Flatten).map(|field| {
        let member = ident(&field.name);
        let reader = match &field.ty {
            Ty::Map(inner) => reader(api, inner),
            _ => quote!(codegen::serde_json::Value),
        };
        quote!(.. #member: #reader)
    });
    let closed = (closed && rest.is_none()).then(|| quote!(: Refused));
    quote!(codegen::object!(types::#name #closed { #(#members)* #rest });)
}

fn union(api: &Api, def: &TypeDef, exactly_one: bool, variants: &[Variant]) -> TokenStream {
    let name = ident(&def.name);
    let variants = variants.iter().map(|variant| {
        let (member, reader) = (ident(&variant.name), reader(api, &variant.ty));
        quote!(#member(#reader))
    });
    let how = if exactly_one { quote!(one) } else { quote!(any) };
    let holds = if def.checked { quote!(holds) } else { quote!(always) };
    quote!(codegen::union!(types::#name: #how #holds { #(#variants),* });)
}
