//! IR to tokens: every item inside the generated module.
//!
//! What people read comes first (messages, traits, the application, senders), then `types`; decoding is compact and comes
//! last, in a private module `wire`. Nothing here decides a name.

mod app;
mod channel;
mod info;
mod message;
mod rules;
mod sender;
mod types;
mod wire;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};

use crate::ir::{Api, Channel, Ty};

/// Where generated code says that a document is large: above this, dispatch is divided into groups of channels.
const GROUP: usize = 50;

/// The items of the generated module.
pub fn module(api: &Api) -> TokenStream {
    let messages = api.messages.iter().map(message::message);
    let unions = api.unions.iter().map(|union| message::union(api, union));
    let channels = api.channels.iter().map(|channel| channel::channel(api, channel));
    let app = app::app(api);
    let sender = sender::sender(api);
    let types = types::module(api);
    let wire = wire::module(api);
    quote! {
        #(#messages)*
        #(#unions)*
        #(#channels)*
        #app
        #sender
        #types
        #wire
    }
}

/// A name of the IR as an identifier, raw where it says so.
fn ident(name: &str) -> Ident {
    match name.strip_prefix("r#") {
        Some(raw) => Ident::new_raw(raw, Span::call_site()),
        None => Ident::new(name, Span::call_site()),
    }
}

/// The static that holds the pattern of a channel's address. Prefixes keep what `wire` names apart from each other.
fn pattern_name(channel: &Channel) -> Ident {
    ident(&format!("PATTERN_{}", channel.field.trim_start_matches("r#").to_uppercase()))
}

/// The function that dispatches the messages of a channel's address.
fn route_name(channel: &Channel) -> Ident {
    ident(&format!("route_{}", channel.field.trim_start_matches("r#")))
}

/// Documentation.
fn docs(lines: &[String]) -> TokenStream {
    lines
        .iter()
        .map(|line| {
            let line = if line.is_empty() { String::new() } else { format!(" {line}") };
            quote!(#[doc = #line])
        })
        .collect()
}

/// A type; `prefix` stands before names of the module `types`.
fn ty(ty: &Ty, prefix: &TokenStream) -> TokenStream {
    let inner = |inner: &Ty| self::ty(inner, prefix);
    match ty {
        Ty::String => quote!(String),
        Ty::Bool => quote!(bool),
        Ty::Number(name) => ident(name).to_token_stream(),
        Ty::Json => quote!(amgi::codegen::serde_json::Value),
        Ty::JsonObject => quote!(amgi::codegen::serde_json::Map<String, amgi::codegen::serde_json::Value>),
        Ty::Bytes => quote!(amgi::Bytes),
        Ty::Unit => quote!(()),
        Ty::Option(of) => {
            let of = inner(of);
            quote!(Option<#of>)
        }
        Ty::Box(of) => {
            let of = inner(of);
            quote!(Box<#of>)
        }
        Ty::Vec(of) => {
            let of = inner(of);
            quote!(Vec<#of>)
        }
        Ty::Map(of) => {
            let of = inner(of);
            quote!(std::collections::BTreeMap<String, #of>)
        }
        Ty::Tuple(of) => {
            let of = of.iter().map(inner);
            quote!((#(#of,)*))
        }
        Ty::Array(of, length) => {
            let of = inner(of);
            let length = proc_macro2::Literal::usize_unsuffixed(*length);
            quote!([#of; #length])
        }
        Ty::Named(name) => {
            let name = ident(name);
            quote!(#prefix #name)
        }
    }
}

/// A type as written outside the module `types`.
fn outer_ty(of: &Ty) -> TokenStream {
    ty(of, &quote!(types::))
}
