//! IR to tokens: every item inside the generated module.
//!
//! What people read comes first (messages, traits, the application, senders), then `types`; decoding is compact and comes
//! last, in a private module `wire`. Nothing here decides a name.

mod app;
mod channel;
mod document;
mod info;
mod message;
mod read;
mod replies;
mod rules;
mod sender;
mod types;
mod wire;

pub(crate) use self::app::MOST_PARTS;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};

use crate::ir::{Api, Channel, Ty};

/// Where generated code says that a document is large: above this, dispatch is divided into groups of channels.
const GROUP: usize = 50;

/// Code in pieces that are made when they are wanted: a large document is never there as a whole but as text.
pub struct Piece<'a>(Content<'a>);

enum Content<'a> {
    Items(Box<dyn Fn() -> TokenStream + Sync + 'a>),
    Module(Module<'a>),
}

/// A module within the generated one. In the file of a large document it may stand for a file of its own.
pub struct Module<'a> {
    /// Attributes and visibility.
    head: fn() -> TokenStream,
    /// Name.
    pub name: String,
    /// What is in it.
    pub pieces: Vec<Piece<'a>>,
    /// Whether it is for the compiler only.
    pub compact: bool,
}

impl<'a> Piece<'a> {
    fn new(items: impl Fn() -> TokenStream + Sync + 'a) -> Self {
        Self(Content::Items(Box::new(items)))
    }

    /// Says that what is in the module, if this is one, is for the compiler only.
    fn make_compact(&mut self) {
        if let Content::Module(module) = &mut self.0 {
            module.compact = true;
        }
    }

    /// The module, when this is one.
    pub fn module(&self) -> Option<&Module<'a>> {
        match &self.0 {
            Content::Module(module) => Some(module),
            Content::Items(_) => None,
        }
    }

    /// The code.
    pub fn tokens(&self) -> TokenStream {
        match &self.0 {
            Content::Items(items) => items(),
            Content::Module(module) => {
                let (head, name) = ((module.head)(), ident(&module.name));
                let pieces = module.pieces.iter().map(Self::tokens);
                quote!(#head mod #name { #(#pieces)* })
            }
        }
    }
}

impl Module<'_> {
    /// The line that declares it, with a semicolon.
    pub fn declaration(&self) -> TokenStream {
        let (head, name) = ((self.head)(), ident(&self.name));
        quote!(#head mod #name;)
    }
}

impl<'a> From<Module<'a>> for Piece<'a> {
    fn from(module: Module<'a>) -> Self {
        Self(Content::Module(module))
    }
}

/// The pieces, in modules of `most` with a number where the document is `large`. They see what their parent sees, and it sees
/// what they have, by an import that begins so.
fn divided<'a>(
    name: &str,
    large: bool,
    most: usize,
    import: Option<fn() -> TokenStream>,
    pieces: Vec<Piece<'a>>,
) -> Vec<Piece<'a>> {
    if !large || pieces.len() <= most {
        return pieces;
    }
    let mut modules = Vec::new();
    let mut pieces = pieces.into_iter().peekable();
    while pieces.peek().is_some() {
        let name = format!("{name}_{}", modules.len());
        let uses = Piece::new(|| {
            quote!(
                use super::*;
            )
        });
        let pieces = std::iter::once(uses).chain(pieces.by_ref().take(most)).collect();
        let head = || quote!(#[allow(unused_imports, clippy::wildcard_imports)]);
        modules.push(Module { head, name, pieces, compact: false });
    }
    let names: Vec<String> = modules.iter().map(|module| module.name.clone()).collect();
    let mut all: Vec<Piece<'a>> = modules.into_iter().map(Piece::from).collect();
    // Where there are only implementations there is nothing to import.
    if let Some(import) = import {
        all.push(Piece::new(move || {
            let (import, names) = (import(), names.iter().map(|name| ident(name)));
            quote!(#(#import #names::*;)*)
        }));
    }
    all
}

/// The generated module in pieces.
pub fn pieces(api: &Api) -> Vec<Piece<'_>> {
    let large = api.divided;
    let messages = api.messages.iter().map(|message| Piece::new(move || message::message(message)));
    let unions = api.unions.iter().map(|union| Piece::new(move || message::union(api, union)));
    let channels = api
        .channels
        .iter()
        .filter(|channel| channel.parameters.is_some() || channel.handler.is_some())
        .map(|channel| Piece::new(move || channel::channel(api, channel)));
    let mut all =
        divided("messages", large, GROUP, Some(|| quote!(pub use)), messages.chain(unions).collect());
    all.extend(divided("channels", large, GROUP, Some(|| quote!(pub use)), channels.collect()));
    all.push(Piece::new(move || app::app(api)));
    if !api.sends.is_empty() {
        all.push(Piece::new(move || sender::sender(api)));
    }
    all.push(Piece::new(document::public));
    all.extend(types::module(api).map(Piece::from));
    all.push(wire::module(api).into());
    all
}

/// The items of the generated module.
pub fn module(api: &Api) -> TokenStream {
    pieces(api).iter().map(Piece::tokens).collect()
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

/// The function that handles messages of a channel together.
fn batch_name(channel: &Channel) -> Ident {
    ident(&format!("batch_{}", channel.field.trim_start_matches("r#")))
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
        Ty::Exact => quote!(amgi::Number),
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
