//! Tokens to text: prettyplease, blank lines between items, and the header that marks a file as ours.
//!
//! The text never holds inner attributes, which `include!` refuses, and parses back to the same tokens: blank lines
//! are all that is added to what prettyplease gives.

use proc_macro2::TokenStream;
use syn::{
    ImplItem, Item, TraitItem,
    visit_mut::{self, VisitMut},
};

use crate::ir::Api;

/// What marks a file as generated. Files without it are never overwritten.
pub const MARKER: &str = "@generated";

/// How many lines of a file may hold the marker; further down it is text that speaks of it.
const MARKER_LINES: usize = 5;

/// Generated code that is no Rust: a fault of the generator, never of the document.
#[derive(Debug, thiserror::Error)]
#[error(
    "internal error: the generated code is not valid Rust ({reason}); please report it with the document"
)]
pub struct FormatError {
    /// What the parser says.
    pub reason: String,
}

/// The line that marks a generated file, without comment signs.
pub fn marker(api: &Api) -> String {
    let source = api.source.replace(char::is_control, "?");
    let version = env!("CARGO_PKG_VERSION");
    format!("{MARKER} by amgi-gen {version} from {source} (sha256:{}). Do not edit.", api.digest)
}

/// Documentation of the module, for whoever wraps it: its text cannot hold any.
pub fn module_docs(api: &Api) -> String {
    format!("Generated from `{}`.", api.source.replace(|c: char| c.is_control() || c == '`', "?"))
}

/// Whether a file with these bytes may be overwritten.
pub fn is_generated(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n').take(MARKER_LINES);
    lines.any(|line| line.windows(MARKER.len()).any(|part| part == MARKER.as_bytes()))
}

/// The text of the generated module: header and items.
pub fn module(api: &Api, tokens: &TokenStream) -> Result<String, FormatError> {
    Ok(format!("// {}\n\n{}", marker(api), items(tokens)?))
}

/// Items as text.
pub fn items(tokens: &TokenStream) -> Result<String, FormatError> {
    let mut file: syn::File =
        syn::parse2(tokens.clone()).map_err(|error| FormatError { reason: error.to_string() })?;
    if !file.attrs.is_empty() {
        return Err(FormatError { reason: "it has inner attributes".to_owned() });
    }
    BlankLines.visit_file_mut(&mut file);
    Ok(prettyplease::unparse(&file))
}

/// Puts an empty item, which prettyplease prints as an empty line, where a person would leave one.
struct BlankLines;

impl VisitMut for BlankLines {
    fn visit_file_mut(&mut self, file: &mut syn::File) {
        visit_mut::visit_file_mut(self, file);
        separate(&mut file.items, |item| matches!(item, Item::Use(_)), Item::Verbatim);
    }

    fn visit_item_mod_mut(&mut self, module: &mut syn::ItemMod) {
        visit_mut::visit_item_mod_mut(self, module);
        if let Some((_, items)) = &mut module.content {
            separate(items, |item| matches!(item, Item::Use(_)), Item::Verbatim);
        }
    }

    fn visit_item_trait_mut(&mut self, item: &mut syn::ItemTrait) {
        visit_mut::visit_item_trait_mut(self, item);
        let short = |item: &TraitItem| match item {
            TraitItem::Const(item) => item.attrs.is_empty(),
            TraitItem::Type(item) => item.attrs.is_empty(),
            _ => false,
        };
        separate(&mut item.items, short, TraitItem::Verbatim);
    }

    fn visit_item_impl_mut(&mut self, item: &mut syn::ItemImpl) {
        visit_mut::visit_item_impl_mut(self, item);
        let short = |item: &ImplItem| match item {
            ImplItem::Const(item) => item.attrs.is_empty(),
            ImplItem::Type(item) => item.attrs.is_empty(),
            _ => false,
        };
        separate(&mut item.items, short, ImplItem::Verbatim);
    }
}

/// Puts an empty element between two, unless both are `close`.
fn separate<T>(items: &mut Vec<T>, close: impl Fn(&T) -> bool, empty: impl Fn(TokenStream) -> T) {
    let mut spaced = Vec::with_capacity(items.len() * 2);
    for item in items.drain(..) {
        if let Some(last) = spaced.last()
            && !(close(last) && close(&item))
        {
            spaced.push(empty(TokenStream::new()));
        }
        spaced.push(item);
    }
    *items = spaced;
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    #[test]
    fn items_are_set_apart() {
        let text = items(&quote! {
            use a::b; use c::d;
            /// One.
            pub struct One { a: u8 }
            pub trait Two { type Error; const N: u8; fn a(); /// B.
                fn b(); }
            mod inner { use x::y; impl Two for One { type Error = (); const N: u8 = 1; fn a() {} fn b() {} } }
        })
        .unwrap();
        let expected = "\
use a::b;
use c::d;

/// One.
pub struct One {
    a: u8,
}

pub trait Two {
    type Error;
    const N: u8;

    fn a();

    /// B.
    fn b();
}

mod inner {
    use x::y;

    impl Two for One {
        type Error = ();
        const N: u8 = 1;

        fn a() {}

        fn b() {}
    }
}
";
        assert_eq!(text, expected);
    }

    #[test]
    fn broken_tokens_are_an_error() {
        assert!(items(&quote!(struct)).unwrap_err().to_string().contains("internal error"));
        assert!(items(&quote!(#![allow(x)])).unwrap_err().to_string().contains("inner attributes"));
    }

    #[test]
    fn the_marker_counts_at_the_top_only() {
        assert!(is_generated(b"// @generated by x"));
        assert!(is_generated(b"<!--\n@generated -->"));
        assert!(!is_generated(b"1\n2\n3\n4\n5\n@generated"));
        assert!(!is_generated(b""));
    }
}
