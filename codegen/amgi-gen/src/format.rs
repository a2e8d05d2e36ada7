//! Tokens to text: prettyplease, blank lines between items, and the header that marks a file as ours.
//!
//! The text never holds inner attributes, which `include!` refuses, and parses back to the same tokens. What people read is
//! what prettyplease gives, with blank lines between items; what only the compiler reads has a line an item. Everything
//! is done piece by piece, so that memory does not grow with the document but by its text.

mod compact;

use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    ImplItem, Item, TraitItem,
    visit_mut::{self, VisitMut},
};

use crate::{
    emit::{self, Piece},
    ir::Api,
};

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
pub fn module(api: &Api) -> Result<String, FormatError> {
    let mut out = header(api);
    write(&mut out, &emit::pieces(api), 0, false)?;
    Ok(out)
}

/// The files of the generated module within a crate's `src`: one, and for a large document more, each with a header.
pub fn files(api: &Api) -> Result<Vec<(PathBuf, String)>, FormatError> {
    let name = api.name.trim_start_matches("r#");
    if !api.divided {
        return Ok(vec![(format!("{name}.rs").into(), module(api)?)]);
    }
    let pieces = emit::pieces(api);
    let mut files = Vec::new();
    divide(PathBuf::from(name), &pieces, false, &mut files);
    // Each is done by itself, so that several processors can work on them.
    let workers = thread::available_parallelism().map_or(1, usize::from).min(files.len()).min(WORKERS);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push(file.text(api).map(|text| (file.path.with_extension("rs"), text)));
        }
        done
    };
    let mut texts: Vec<(PathBuf, String)> = thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let mut all = work();
        for other in others {
            match other.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all.into_iter().collect::<Result<_, _>>()
    })?;
    texts.sort();
    Ok(texts)
}

/// Files that are formatted at the same time, at most: each is held as a tree, which takes much more memory than its text.
const WORKERS: usize = 4;

/// A file of a large document: its path without extension, and what is in it.
struct File<'p, 'a> {
    path: PathBuf,
    pieces: &'p [Piece<'a>],
    compact: bool,
}

/// The file of the module at `path`, and those of the modules in it.
fn divide<'p, 'a>(path: PathBuf, pieces: &'p [Piece<'a>], compact: bool, files: &mut Vec<File<'p, 'a>>) {
    for module in pieces.iter().filter_map(Piece::module) {
        divide(path.join(&module.name), &module.pieces, module.compact, files);
    }
    files.push(File { path, pieces, compact });
}

impl File<'_, '_> {
    fn text(&self, api: &Api) -> Result<String, FormatError> {
        let mut out = header(api);
        let mut first = true;
        for piece in self.pieces {
            let text = match piece.module() {
                Some(module) => items(&module.declaration())?,
                None if self.compact => compact::items(piece.tokens(), 0),
                None => items(&piece.tokens())?,
            };
            if !(first || self.compact || text.is_empty()) {
                out.push('\n');
            }
            first = false;
            out.push_str(&text);
        }
        Ok(out)
    }
}

fn header(api: &Api) -> String {
    format!("// {}\n\n", marker(api))
}

/// Pieces as text, `depth` modules deep.
fn write(out: &mut String, pieces: &[Piece<'_>], depth: usize, compact: bool) -> Result<(), FormatError> {
    let mut first = true;
    for piece in pieces {
        let start = out.len();
        match piece.module() {
            Some(module) => {
                let declaration = indented(&module.declaration(), depth)?;
                out.push_str(declaration.trim_end().trim_end_matches(';'));
                out.push_str(" {\n");
                write(out, &module.pieces, depth + 1, module.compact)?;
                out.extend(std::iter::repeat_n(INDENT, depth));
                out.push_str("}\n");
            }
            None if compact => out.push_str(&compact::items(piece.tokens(), depth)),
            None => out.push_str(&indented(&piece.tokens(), depth)?),
        }
        if !(first || compact || out.len() == start) {
            out.insert(start, '\n');
        }
        first = false;
    }
    Ok(())
}

const INDENT: &str = "    ";

/// Items as text, as they look within `depth` modules.
fn indented(tokens: &TokenStream, depth: usize) -> Result<String, FormatError> {
    if depth == 0 {
        return items(tokens);
    }
    let nested = (0..depth).fold(tokens.clone(), |tokens, _| quote!(mod m { #tokens }));
    let text = items(&nested)?;
    let lines = text.lines().count();
    Ok(text.split_inclusive('\n').skip(depth).take(lines.saturating_sub(2 * depth)).collect())
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
