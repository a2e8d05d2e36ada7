//! `$ref`: from the text of a reference to the node it names.
//!
//! Everything is looked up in trees that stay as they are, so a [`Place`] is a lasting identity for a node. A reference
//! resolves against the file its text stands in, which its span tells; that holds wherever a copy of it ends up.
//! Following never hangs: cycles and long chains are errors.

use std::{cell::RefCell, collections::HashMap, fmt::Write as _};

use crate::{
    codes,
    diag::{Diagnostic, Span, nearest},
    node::{Node, Value},
};

/// References that one reference may need on its way, all counted; a document that needs more has lost its way.
pub(crate) const MAX_HOPS: usize = 100;

/// Where a node is: the file and the keys that lead to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Place {
    pub(crate) file: u32,
    pub(crate) tokens: Vec<String>,
}

impl Place {
    /// The root of the main document.
    pub(crate) fn root() -> Self {
        Self::default()
    }

    pub(crate) fn child(&self, token: impl Into<String>) -> Self {
        let mut tokens = Vec::with_capacity(self.tokens.len() + 1);
        tokens.extend_from_slice(&self.tokens);
        tokens.push(token.into());
        Self { file: self.file, tokens }
    }

    pub(crate) fn last(&self) -> Option<&str> {
        self.tokens.last().map(String::as_str)
    }

    pub(crate) fn is_under(&self, other: &Self) -> bool {
        self.file == other.file && self.tokens.starts_with(&other.tokens)
    }

    /// As a JSON pointer in a reference, `#/components/schemas/User`.
    pub(crate) fn pointer(&self) -> String {
        self.tokens.iter().fold(String::from("#"), |mut out, token| {
            let _ = write!(out, "/{}", token.replace('~', "~0").replace('/', "~1"));
            out
        })
    }
}

/// What a reference leads to.
#[derive(Debug, Clone)]
pub(crate) struct Target<'a> {
    pub(crate) node: &'a Node,
    /// Where the key of the node lies; the node itself where it has none.
    pub(crate) key_span: Span,
    pub(crate) place: Place,
    /// Every place on the way here, the first one first and this one last.
    pub(crate) chain: Vec<Place>,
}

/// The files that references may lead into. Today that is one.
#[derive(Debug)]
pub(crate) struct Refs<'a> {
    root: &'a Node,
    /// Keys of large objects: a document with thousands of schemas is searched thousands of times.
    index: RefCell<HashMap<*const Node, Index<'a>>>,
}

/// Positions of the entries of one object.
type Index<'a> = HashMap<&'a str, usize>;

/// Objects of this many entries get an index.
const LARGE: usize = 32;

pub(crate) type Found<'a> = Result<Target<'a>, Box<Diagnostic>>;

/// The text of the reference when `node` is a Reference Object.
pub(crate) fn reference(node: &Node) -> Option<&Node> {
    node.get("$ref").filter(|r| r.as_str().is_some())
}

/// Whether `text` stays inside the file it stands in.
pub(crate) fn is_internal(text: &str) -> bool {
    text.is_empty() || text.starts_with('#')
}

/// The keys of a reference that stays inside its file; `None` when it is not a JSON pointer.
pub(crate) fn tokens(text: &str) -> Option<Vec<String>> {
    let pointer = percent_decode(text.strip_prefix('#').unwrap_or(text));
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    Some(pointer.strip_prefix('/')?.split('/').map(|t| t.replace("~1", "/").replace("~0", "~")).collect())
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        if let Some(byte) = hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            out.push(byte);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_string())
}

impl<'a> Refs<'a> {
    pub(crate) fn new(root: &'a Node) -> Self {
        Self { root, index: RefCell::default() }
    }

    /// `node` at `place`, or what it refers to, over as many references as there are.
    pub(crate) fn follow(&self, node: &'a Node, place: Place, key_span: Span) -> Found<'a> {
        self.follow_from(Target { node, key_span, chain: vec![place.clone()], place }, &mut 0)
    }

    /// What the text of a reference names, over as many references as there are.
    pub(crate) fn resolve(&self, reference: &Node) -> Found<'a> {
        let hops = &mut 0;
        let target = self.hop(reference, hops)?;
        self.follow_from(target, hops)
    }

    /// What the text of a reference names, which may be a reference again.
    pub(crate) fn resolve_once(&self, reference: &Node) -> Found<'a> {
        self.hop(reference, &mut 0)
    }

    /// The node at a place, without following references on the way.
    pub(crate) fn at(&self, place: &Place) -> Option<&'a Node> {
        place.tokens.iter().try_fold(self.root, |node, token| self.child(node, token).map(|(node, _)| node))
    }

    fn child(&self, node: &'a Node, token: &str) -> Option<(&'a Node, Span)> {
        if let Value::Array(items) = &node.value {
            let item = items.get(token.parse::<usize>().ok()?)?;
            return Some((item, item.span));
        }
        let entries = node.entries();
        let entry = if entries.len() < LARGE {
            node.entry(token)?
        } else {
            let mut index = self.index.borrow_mut();
            let keys = index.entry(std::ptr::from_ref(node)).or_insert_with(|| {
                entries.iter().enumerate().map(|(at, entry)| (entry.key.as_str(), at)).collect()
            });
            &entries[*keys.get(token)?]
        };
        Some((&entry.value, entry.key_span))
    }

    fn follow_from(&self, mut target: Target<'a>, hops: &mut usize) -> Found<'a> {
        while let Some(text) = reference(target.node) {
            let next = self.hop(text, hops)?;
            let circular = next.chain.iter().any(|p| target.chain.contains(p));
            if circular {
                return Err(Box::new(cycle(text)));
            }
            target.chain.extend(next.chain);
            target = Target { chain: target.chain, ..next };
        }
        Ok(target)
    }

    fn hop(&self, text: &Node, hops: &mut usize) -> Found<'a> {
        let reference = text.as_str().unwrap_or_default();
        *hops += 1;
        if *hops > MAX_HOPS {
            return Err(Box::new(endless(text)));
        }
        if !is_internal(reference) {
            return Err(Box::new(external(text)));
        }
        let Some(tokens) = tokens(reference) else {
            return Err(Box::new(
                Diagnostic::error(
                    codes::REF_NOT_FOUND,
                    text.span,
                    format!("`{reference}` is not a JSON pointer"),
                )
                .help("write it like `#/components/schemas/Name`"),
            ));
        };
        let mut at = Target {
            node: self.root,
            key_span: self.root.span,
            place: Place { file: text.span.file, tokens: Vec::new() },
            chain: Vec::new(),
        };
        for token in &tokens {
            loop {
                if let Some((node, key_span)) = self.child(at.node, token) {
                    at.place.tokens.push(token.clone());
                    at.node = node;
                    at.key_span = key_span;
                    break;
                }
                // `#/channels/a/messages/m` where `a` itself is a reference.
                let Some(inner) = self::reference(at.node) else {
                    return Err(Box::new(not_found(text, &at, token)));
                };
                let next = self.hop(inner, hops)?;
                let next = self.follow_from(next, hops)?;
                at = Target { chain: Vec::new(), ..next };
            }
        }
        at.chain = vec![at.place.clone()];
        Ok(at)
    }
}

/// The problem of a reference that leads back to itself.
pub(crate) fn cycle(text: &Node) -> Diagnostic {
    let reference = text.as_str().unwrap_or_default();
    Diagnostic::error(codes::REF_CYCLE, text.span, format!("`{reference}` leads back to itself"))
        .help("one of the references on the way must be replaced by the object itself")
}

/// The problem of a reference that does not arrive.
pub(crate) fn endless(text: &Node) -> Diagnostic {
    let reference = text.as_str().unwrap_or_default();
    let message = format!("`{reference}` leads back to itself, or on over more than {MAX_HOPS} references");
    Diagnostic::error(codes::REF_CYCLE, text.span, message)
}

/// The problem of a reference into another file.
pub(crate) fn external(text: &Node) -> Diagnostic {
    let reference = text.as_str().unwrap_or_default();
    Diagnostic::error(codes::REF_EXTERNAL, text.span, format!("`{reference}` leads out of this document"))
        .help("references to other files are not supported yet; bundle the document into one file")
}

fn not_found(text: &Node, at: &Target<'_>, token: &str) -> Diagnostic {
    let reference = text.as_str().unwrap_or_default();
    let diagnostic = Diagnostic::error(
        codes::REF_NOT_FOUND,
        text.span,
        format!("`{reference}` names nothing in this document"),
    );
    let place =
        if at.place.tokens.is_empty() { "the document".into() } else { format!("`{}`", at.place.pointer()) };
    match nearest(token, at.node.entries().iter().map(|e| e.key.as_str())) {
        Some(near) => diagnostic.help(format!("did you mean `{}`?", at.place.child(near).pointer())),
        None => diagnostic.help(format!("{place} has no `{token}`")),
    }
}
