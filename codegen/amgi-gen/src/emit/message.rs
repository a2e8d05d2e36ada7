//! Messages: a struct each, and an enum where an operation has several.

use proc_macro2::TokenStream;
use quote::quote;

use super::{docs, ident, outer_ty};
use crate::ir::{Api, Fields, Message, Union};

pub(super) fn message(message: &Message) -> TokenStream {
    let name = ident(&message.name);
    let lines = docs(&message.docs);
    let payload = message.payload.as_ref().map(|payload| {
        let ty = outer_ty(&payload.ty);
        quote! {
            /// Payload.
            pub payload: #ty,
        }
    });
    let part = |field: &str, text: &str, fields: &Option<Fields>| {
        fields.as_ref().map(|fields| {
            let (field, ty) = (ident(field), ident(&fields.name));
            let text = format!(" {text}");
            quote!(#[doc = #text] pub #field: #ty,)
        })
    };
    let headers = part("headers", "Headers.", &message.headers);
    let bindings = part("bindings", "What only some protocols have.", &message.bindings);
    let structs = [&message.headers, &message.bindings].into_iter().flatten().map(fields);
    // A struct without fields is written with braces, so that fields that come later break nobody's patterns.
    quote! {
        #lines
        #[derive(Debug, Clone, PartialEq)]
        pub struct #name {
            #payload
            #headers
            #bindings
        }
        #(#structs)*
    }
}

fn fields(fields: &Fields) -> TokenStream {
    let name = ident(&fields.name);
    let lines = docs(&fields.docs);
    let members = fields.fields.iter().map(|field| {
        let (name, ty, lines) = (ident(&field.field), outer_ty(&field.ty), docs(&field.docs));
        quote!(#lines pub #name: #ty,)
    });
    let optional = fields.fields.iter().all(|field| matches!(field.ty, crate::ir::Ty::Option(_)));
    let default = optional.then(|| quote!(, Default));
    quote! {
        #lines
        #[derive(Debug, Clone, PartialEq #default)]
        pub struct #name { #(#members)* }
    }
}

pub(super) fn union(api: &Api, union: &Union) -> TokenStream {
    let name = ident(&union.name);
    let lines = docs(&union.docs);
    let messages: Vec<&Message> = union.messages.iter().map(|&index| &api.messages[index]).collect();
    let variants = messages.iter().map(|message| {
        let (variant, lines) = (ident(&message.name), docs(&message.docs));
        quote!(#lines #variant(#variant),)
    });
    let conversions = messages.iter().map(|message| {
        let variant = ident(&message.name);
        quote! {
            impl From<#variant> for #name {
                fn from(message: #variant) -> Self {
                    Self::#variant(message)
                }
            }
        }
    });
    quote! {
        #lines
        #[derive(Debug, Clone, PartialEq)]
        #[allow(clippy::large_enum_variant)]
        pub enum #name { #(#variants)* }
        #(#conversions)*
    }
}
