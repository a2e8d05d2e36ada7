//! `$ref`: from the text of a reference to the node it names.
//!
//! Everything is looked up in trees that stay as they are, so a [`Place`] is a lasting identity for a node. A reference
//! resolves against the file its text stands in, which its span tells; that holds wherever a copy of it ends up.
//! Following never hangs: cycles and long chains are errors.

use std::{cell::RefCell, collections::HashMap, fmt::Write as _};

use crate::{
    codes,
    diag::{Diagnostic, Span, nearest},
    files::{Files, percent_decode},
    ids::split,
    node::{Node, Value},
};

/// References that one reference may need on its way, all counted; a document that needs more has lost its way.
pub(crate) const MAX_HOPS: usize = 100;

/// Where a node is: the file and the keys that lead to it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
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

/// Follows references through the files of a document.
#[derive(Debug)]
pub(crate) struct Refs<'a> {
    files: &'a Files,
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

/// The keys that the part of a reference behind `#` names; `None` when it is not a JSON pointer.
pub(crate) fn tokens(fragment: &str) -> Option<Vec<String>> {
    let pointer = percent_decode(fragment);
    if pointer.is_empty() {
        return Some(Vec::new());
    }
    Some(pointer.strip_prefix('/')?.split('/').map(|t| t.replace("~1", "/").replace("~0", "~")).collect())
}

impl<'a> Refs<'a> {
    pub(crate) fn new(files: &'a Files) -> Self {
        Self { files, index: RefCell::default() }
    }

    /// The root of the document itself.
    pub(crate) fn root(&self) -> &'a Node {
        self.files.tree(0)
    }

    /// Name of a file without what says its kind: `user` for `schemas/user.schema.json`.
    pub(crate) fn stem(&self, file: u32) -> &'a str {
        self.files.stem(file)
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

    /// Whether a reference names a schema by its `$id`.
    pub(crate) fn is_named(&self, text: &Node) -> bool {
        self.files.named(text.as_str().unwrap_or_default(), text.span).is_some()
    }

    /// The node at a place, without following references on the way.
    pub(crate) fn at(&self, place: &Place) -> Option<&'a Node> {
        place.tokens.iter().try_fold(self.files.tree(place.file), |node, token| {
            self.child(node, token).map(|(node, _)| node)
        })
    }

    /// What lies behind a pointer at a place, without following references on the way.
    fn within(&self, (file, mut keys): (u32, Vec<String>), pointer: &str) -> Option<Target<'a>> {
        keys.extend(tokens(pointer)?);
        let place = Place { file, tokens: keys };
        let node = self.at(&place)?;
        Some(Target { node, key_span: node.span, chain: vec![place.clone()], place })
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
        if let Some((place, pointer)) = self.files.named(reference, text.span)
            && let Some(target) = self.within(place, pointer)
        {
            return Ok(target);
        }
        let (address, fragment) = split(reference);
        let file = match self.files.link(text.span.file, address) {
            Ok(file) => file,
            Err(problem) => return Err(Box::new(problem.at(text.span))),
        };
        let Some(tokens) = tokens(fragment) else {
            return Err(Box::new(
                Diagnostic::error(
                    codes::REF_NOT_FOUND,
                    text.span,
                    format!("`#{fragment}` is not a JSON pointer"),
                )
                .help("write it like `#/components/schemas/Name`"),
            ));
        };
        let root = self.files.tree(file);
        let mut at = Target {
            node: root,
            key_span: root.span,
            place: Place { file, tokens: Vec::new() },
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

fn not_found(text: &Node, at: &Target<'_>, token: &str) -> Diagnostic {
    let reference = text.as_str().unwrap_or_default();
    let address = if at.place.file == text.span.file { "" } else { split(reference).0 };
    let file = if address.is_empty() { "this document".to_string() } else { format!("`{address}`") };
    let message = format!("`{reference}` names nothing in {file}");
    let diagnostic = Diagnostic::error(codes::REF_NOT_FOUND, text.span, message);
    let place = if at.place.tokens.is_empty() { file } else { format!("`{address}{}`", at.place.pointer()) };
    match nearest(token, at.node.entries().iter().map(|e| e.key.as_str())) {
        Some(near) => diagnostic.help(format!("did you mean `{address}{}`?", at.place.child(near).pointer())),
        None => diagnostic.help(format!("{place} has no `{token}`")),
    }
}
