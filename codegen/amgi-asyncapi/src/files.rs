//! Every file that a document is made of: the document itself, and those that its references name.
//!
//! All of them are read before anything follows a reference, so that trees stay as they are from then on. What cannot be
//! read is no problem until a reference is followed there: `$ref` may also stand in data, where it means nothing.
//! Texts that are no YAML or JSON (Markdown, Protobuf) stand where the reference to them stood.

use std::{
    collections::HashMap,
    path::{Component, Path, PathBuf},
};

use fluent_uri::{Uri, UriRef};

use crate::{
    codes,
    diag::{Diagnostics, Span},
    ids::{Ids, split},
    node::{self, Node, Value},
    remote::Remote,
    source::{Sources, Unreadable},
};

/// Files that one document may consist of.
const MAX_FILES: usize = 10_000;
/// What all of them may weigh together, bytes.
const MAX_TOTAL: usize = 256 << 20;

/// Files whose text is the value.
const TEXTS: [&str; 9] = ["graphql", "htm", "html", "md", "markdown", "proto", "txt", "xml", "xsd"];

/// The trees of all files by their number, and which file each reference means.
#[derive(Debug)]
pub(crate) struct Files {
    trees: Vec<Node>,
    stems: Vec<String>,
    /// By the file a reference stands in and its part before `#`.
    links: HashMap<u32, HashMap<String, Result<u32, Unreadable>>>,
    ids: Ids,
}

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Location {
    Path(PathBuf),
    Url(Uri<String>),
}

pub(crate) fn percent_decode(text: &str) -> String {
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

impl Files {
    /// Reads every file that `root` needs; `root` itself is file 0 of `sources`. `path` is where it lies, `None` when
    /// it is a text that came without a place.
    pub(crate) fn load(
        root: Node,
        path: Option<&Path>,
        sources: &mut Sources,
        remote: &mut Remote<'_>,
        diags: &mut Diagnostics,
    ) -> Self {
        let base = path.map(|path| Location::Path(normal(path)));
        let mut loader = Loader {
            sources,
            remote,
            diags,
            known: base.iter().map(|base| (base.clone(), Ok(0))).collect(),
            bases: vec![base],
            trees: vec![root],
            texts: vec![false],
            links: HashMap::new(),
            ids: Ids::default(),
            total: 0,
        };
        let mut at = 0;
        while let Some(tree) = loader.trees.get_mut(at) {
            let tree = std::mem::replace(tree, nothing(0));
            let address = match &loader.bases[at] {
                Some(Location::Url(url)) => Some(url.to_string()),
                _ => None,
            };
            loader.ids.index(number(at), address.as_deref(), &tree);
            loader.file(number(at), &tree);
            loader.trees[at] = tree;
            at += 1;
        }
        let Loader { bases, mut trees, texts, links, ids, .. } = loader;
        let stems = bases.iter().map(|base| base.as_ref().map(stem).unwrap_or_default()).collect();
        if texts.contains(&true) {
            for at in 0..trees.len() {
                let mut tree = std::mem::replace(&mut trees[at], nothing(0));
                if let Some(links) = links.get(&number(at)) {
                    let text = |address: &str| match links.get(address) {
                        Some(Ok(file)) if texts[*file as usize] => Some(trees[*file as usize].value.clone()),
                        _ => None,
                    };
                    place_texts(&mut tree, &text);
                }
                trees[at] = tree;
            }
        }
        Self { trees, stems, links, ids }
    }

    /// The tree of a file. There is one for each file that a link names.
    pub(crate) fn tree(&self, file: u32) -> &Node {
        &self.trees[file as usize]
    }

    /// Whether there is a tree for this file.
    pub(crate) fn has(&self, file: u32) -> bool {
        (file as usize) < self.trees.len()
    }

    pub(crate) fn tree_mut(&mut self, file: u32) -> &mut Node {
        &mut self.trees[file as usize]
    }

    pub(crate) fn stem(&self, file: u32) -> &str {
        &self.stems[file as usize]
    }

    /// The schema that a reference names by its `$id`: its file, the keys that lead to it, and the pointer on from there.
    pub(crate) fn named<'r>(&self, reference: &'r str, span: Span) -> Option<((u32, Vec<String>), &'r str)> {
        self.ids.find(reference, span)
    }

    /// The file that a reference means whose part before `#` is `address` and which stands in `file`.
    pub(crate) fn link(&self, file: u32, address: &str) -> Result<u32, Unreadable> {
        if address.is_empty() {
            return Ok(file);
        }
        // Every text of every tree was seen; a copy keeps the file it came from.
        let link = self.links.get(&file).and_then(|links| links.get(address));
        link.cloned().unwrap_or_else(|| Err(unknown(address)))
    }
}

struct Loader<'s, 'r> {
    sources: &'s mut Sources,
    remote: &'s mut Remote<'r>,
    diags: &'s mut Diagnostics,
    known: HashMap<Location, Result<u32, Unreadable>>,
    bases: Vec<Option<Location>>,
    trees: Vec<Node>,
    texts: Vec<bool>,
    links: HashMap<u32, HashMap<String, Result<u32, Unreadable>>>,
    ids: Ids,
    total: usize,
}

impl Loader<'_, '_> {
    /// Reads what the references of one file name.
    fn file(&mut self, file: u32, tree: &Node) {
        let mut addresses = Vec::new();
        collect(tree, &mut addresses);
        for (address, span) in addresses {
            let links = self.links.entry(file).or_default();
            // What a schema calls itself needs no file.
            if links.contains_key(address) || self.ids.find(address, span).is_some() {
                continue;
            }
            let mut link = self.link(file, address, span);
            if let (Err(_), Some(named)) = (&link, self.ids.address(address, span)) {
                link = self.link(file, &named, span);
            }
            self.links.entry(file).or_default().insert(address.to_string(), link);
        }
    }

    fn link(&mut self, file: u32, address: &str, span: Span) -> Result<u32, Unreadable> {
        let location = locate(self.bases[file as usize].as_ref(), address)?;
        if let Some(known) = self.known.get(&location) {
            return known.clone();
        }
        let read = self.read(&location, span);
        self.known.insert(location, read.clone());
        read
    }

    fn read(&mut self, location: &Location, span: Span) -> Result<u32, Unreadable> {
        if self.trees.len() >= MAX_FILES || self.total > MAX_TOTAL {
            return Err(Unreadable::new(codes::REF_LIMIT, "the document consists of too many files"));
        }
        let source = match location {
            Location::Path(path) => self.sources.read_named(path)?,
            Location::Url(url) => {
                let text = self.remote.get(url.as_str())?;
                self.sources.add_remote(url.as_str(), text)?
            }
        };
        let text = self.sources.get(source).map_or("", |file| file.text.as_str());
        self.total += text.len();
        let is_text = TEXTS.contains(&extension(location).to_ascii_lowercase().as_str());
        let tree = if is_text {
            Some(Node { value: Value::String(text.to_string()), span: Span { file: source, ..span } })
        } else {
            node::read(text, source, self.diags)
        };
        // Numbers of files are those of `sources`, which may also hold what is no part of the document.
        while self.trees.len() < source as usize {
            self.trees.push(nothing(0));
            self.texts.push(false);
            self.bases.push(None);
        }
        self.trees.push(tree.unwrap_or_else(|| nothing(source)));
        self.texts.push(is_text);
        self.bases.push(Some(location.clone()));
        Ok(source)
    }
}

/// Addresses of all references to other files, and where they stand.
fn collect<'n>(node: &'n Node, out: &mut Vec<(&'n str, Span)>) {
    match &node.value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, out)),
        Value::Object(entries) => {
            for entry in entries {
                match entry.value.as_str().map(split) {
                    Some((address, _)) if entry.key == "$ref" && !address.is_empty() => {
                        out.push((address, entry.value.span));
                    }
                    _ => collect(&entry.value, out),
                }
            }
        }
        _ => {}
    }
}

/// Puts texts where references to them stand.
fn place_texts(node: &mut Node, text: &impl Fn(&str) -> Option<Value>) {
    match &mut node.value {
        Value::Array(items) => items.iter_mut().for_each(|item| place_texts(item, text)),
        Value::Object(entries) => {
            let reference = entries.iter().find(|entry| entry.key == "$ref").and_then(|e| e.value.as_str());
            let value = reference.map(split).filter(|(_, at)| at.is_empty()).and_then(|(file, _)| text(file));
            match value {
                Some(value) => node.value = value,
                None => entries.iter_mut().for_each(|entry| place_texts(&mut entry.value, text)),
            }
        }
        _ => {}
    }
}

/// Where `address` leads that stands in a file at `base`.
fn locate(base: Option<&Location>, address: &str) -> Result<Location, Unreadable> {
    let scheme = address.split_once(':').map(|(scheme, _)| scheme);
    let scheme = scheme.filter(|scheme| {
        // One letter is a drive.
        scheme.len() > 1 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    });
    let odd = || {
        Unreadable::new(codes::REF_EXTERNAL, format!("`{address}` is not the address of a file"))
            .help("write a path relative to this file, or an `https://` address")
    };
    match (scheme.map(str::to_ascii_lowercase).as_deref(), base) {
        (Some("http" | "https"), _) => {
            let url = Uri::parse(address.to_string()).map_err(|_| odd())?;
            Ok(Location::Url(url.normalize()))
        }
        (Some("file"), _) => {
            let path = address.split_once("://").map_or("", |(_, path)| path);
            if path.starts_with('/') {
                Ok(Location::Path(normal(Path::new(&percent_decode(path)))))
            } else {
                Err(odd())
            }
        }
        (Some(_), _) => Err(odd()),
        (None, None) => Err(unknown(address)),
        (None, Some(Location::Url(base))) => {
            let relative = UriRef::parse(address).map_err(|_| odd())?;
            let url = relative.resolve_against(base).map_err(|_| odd())?;
            Ok(Location::Url(url.normalize()))
        }
        (None, Some(Location::Path(base))) => {
            let path = percent_decode(address.split('?').next().unwrap_or_default());
            Ok(Location::Path(normal(&base.parent().unwrap_or(Path::new("")).join(path))))
        }
    }
}

/// The problem of a reference to a file from a text that is none.
fn unknown(address: &str) -> Unreadable {
    let message = format!("`{address}` is relative to a document that lies nowhere");
    Unreadable::new(codes::REF_EXTERNAL, message).help("load the document from its file")
}

/// A path without `.` and `..`, as far as that can be told from the path alone.
pub(crate) fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut out, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(_))) => {
                out.pop();
            }
            part => out.push(part),
        }
        out
    })
}

fn file_name(location: &Location) -> &str {
    match location {
        Location::Path(path) => path.file_name().and_then(|name| name.to_str()).unwrap_or_default(),
        Location::Url(url) => url.path().as_str().rsplit('/').next().unwrap_or_default(),
    }
}

fn extension(location: &Location) -> &str {
    file_name(location).rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn stem(location: &Location) -> String {
    let name = file_name(location);
    name.split_once('.').map_or(name, |(stem, _)| stem).to_string()
}

fn nothing(file: u32) -> Node {
    Node { value: Value::Null, span: Span { file, line: 1, column: 1, ..Span::default() } }
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
