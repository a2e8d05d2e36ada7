//! Documents as plain trees, read without the generator: what is counted here is counted independently of it.
//!
//! Order is the order of the text. References are followed lazily and only into files; what leads to the network, or
//! nowhere, is `None`.

use std::{
    collections::HashMap,
    fmt, fs,
    path::{Component, Path, PathBuf},
};

use serde::{
    Deserialize, Deserializer,
    de::{EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor},
};

/// A value of YAML or JSON.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// `null`
    Null,
    /// A boolean.
    Bool(bool),
    /// A number, as text.
    Number(String),
    /// A text.
    Text(String),
    /// A sequence.
    List(Vec<Tree>),
    /// A mapping; keys that are no text are written as text.
    Map(Vec<(String, Tree)>),
}

impl Tree {
    /// Reads a text: JSON when it is that, else YAML.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn read(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut tree = match serde_json::from_str(text) {
            Ok(tree) => tree,
            Err(_) => serde_norway::from_str(text).map_err(|error| error.to_string())?,
        };
        merge_keys(&mut tree);
        Ok(tree)
    }

    /// The member of that name.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Members of a mapping; of everything else none.
    pub fn entries(&self) -> &[(String, Self)] {
        if let Self::Map(entries) = self { entries } else { &[] }
    }

    /// Elements of a sequence; of everything else none.
    pub fn items(&self) -> &[Self] {
        if let Self::List(items) = self { items } else { &[] }
    }

    /// The text, when it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// A member that is a text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// As JSON; numbers as they are written.
    pub fn json(&self) -> String {
        let mut out = String::new();
        write_json(self, &mut out);
        out
    }

    fn child(&self, token: &str) -> Option<&Self> {
        match self {
            Self::Map(_) => self.get(token),
            Self::List(items) => items.get(token.parse::<usize>().ok()?),
            _ => None,
        }
    }
}

/// `<<` brings the members of another mapping, or of several; what the mapping itself says wins.
fn merge_keys(tree: &mut Tree) {
    match tree {
        Tree::List(items) => items.iter_mut().for_each(merge_keys),
        Tree::Map(entries) => {
            entries.iter_mut().map(|(_, value)| value).for_each(merge_keys);
            while let Some(at) = entries.iter().position(|(key, _)| key == "<<") {
                let (_, merged) = entries.remove(at);
                let sources = if let Tree::List(items) = merged { items } else { vec![merged] };
                for (key, value) in sources.iter().flat_map(Tree::entries) {
                    if !entries.iter().any(|(known, _)| known == key) {
                        entries.push((key.clone(), value.clone()));
                    }
                }
            }
        }
        _ => {}
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Read)
    }
}

struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.to_string()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.to_string()))
    }
    fn visit_i128<E>(self, value: i128) -> Result<Tree, E> {
        Ok(Tree::Number(value.to_string()))
    }
    fn visit_u128<E>(self, value: u128) -> Result<Tree, E> {
        Ok(Tree::Number(value.to_string()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Number(value.to_string()))
    }
    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }
    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }
    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Tree, Tree>()? {
            let key = match key {
                Tree::Text(text) | Tree::Number(text) => text,
                Tree::Bool(value) => value.to_string(),
                Tree::Null => "null".to_owned(),
                Tree::List(_) | Tree::Map(_) => continue,
            };
            entries.push((key, value));
        }
        Ok(Tree::Map(entries))
    }
    // A tag, `!name value`: the value counts.
    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Tree, A::Error> {
        let (_, value): (String, _) = tagged.variant()?;
        value.newtype_variant()
    }
}

/// Where a value stands: number of the file, and keys from its root.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Index of the file; 0 is the document.
    pub file: usize,
    /// Keys from the root of the file.
    pub tokens: Vec<String>,
}

impl Place {
    /// The root of the document.
    pub fn root() -> Self {
        Self { file: 0, tokens: Vec::new() }
    }

    /// What stands under `key`.
    #[must_use]
    pub fn child(&self, key: impl Into<String>) -> Self {
        let mut place = self.clone();
        place.tokens.push(key.into());
        place
    }

    /// What stands under `key`, and there at `index`.
    #[must_use]
    pub fn element(&self, key: &str, index: usize) -> Self {
        self.child(key).child(index.to_string())
    }
}

/// As a JSON Pointer, behind the number of the file when that is not the document.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.file > 0 {
            write!(f, "file {}", self.file)?;
        }
        self.tokens.iter().try_for_each(|token| write!(f, "/{}", token.replace('~', "~0").replace('/', "~1")))
    }
}

/// A document and every file that its references name.
pub struct Files {
    trees: Vec<Tree>,
    paths: Vec<PathBuf>,
    by_path: HashMap<PathBuf, usize>,
}

/// How many references are followed one after the other.
const MAX_HOPS: usize = 64;

impl Files {
    /// Reads the document at `path` and what it refers to. Files that cannot be read are left out.
    ///
    /// # Errors
    /// When the document itself cannot be read.
    pub fn load(path: &Path) -> Result<Self, String> {
        let mut files = Self { trees: Vec::new(), paths: Vec::new(), by_path: HashMap::new() };
        let text = fs::read(path).map_err(|error| error.to_string())?;
        files.add(normal(path), Tree::read(&String::from_utf8_lossy(&text))?);
        let mut next = 0;
        while next < files.trees.len() {
            let mut named = Vec::new();
            references(&files.trees[next], &mut named);
            let folder = files.paths[next].parent().unwrap_or(Path::new("")).to_path_buf();
            let targets: Vec<PathBuf> = named.iter().filter_map(|text| file_of(text, &folder)).collect();
            for target in targets {
                if files.by_path.contains_key(&target) {
                    continue;
                }
                let tree = fs::read_to_string(&target).ok().and_then(|text| Tree::read(&text).ok());
                if let Some(tree) = tree {
                    files.add(target, tree);
                }
            }
            next += 1;
        }
        Ok(files)
    }

    /// A document that stands alone.
    pub fn of(tree: Tree) -> Self {
        let mut files = Self { trees: Vec::new(), paths: Vec::new(), by_path: HashMap::new() };
        files.add(PathBuf::new(), tree);
        files
    }

    fn add(&mut self, path: PathBuf, tree: Tree) {
        self.by_path.insert(path.clone(), self.trees.len());
        self.trees.push(tree);
        self.paths.push(path);
    }

    /// What stands at a place, references on the way to it followed, the last one too.
    pub fn resolve(&self, place: &Place) -> Option<(Place, &Tree)> {
        self.walk(place, &mut 0)
    }

    /// The schema at a place, as [`resolve`](Self::resolve) finds it; of a Multi Format Schema Object, what it holds.
    pub fn schema(&self, place: &Place) -> Option<(Place, &Tree)> {
        let mut found = self.resolve(place)?;
        for _ in 0..MAX_HOPS {
            if found.1.text("schemaFormat").is_none() || found.1.get("schema").is_none() {
                return Some(found);
            }
            found = self.resolve(&found.0.child("schema"))?;
        }
        None
    }

    /// The value at a place that is known to be there.
    pub fn at(&self, place: &Place) -> Option<&Tree> {
        place.tokens.iter().try_fold(self.trees.get(place.file)?, |node, token| node.child(token))
    }

    fn walk(&self, place: &Place, hops: &mut usize) -> Option<(Place, &Tree)> {
        let mut at = Place { file: place.file, tokens: Vec::new() };
        let mut node = self.trees.get(place.file)?;
        for token in &place.tokens {
            if node.child(token).is_none() {
                (at, node) = self.follow(at, node, hops)?;
            }
            node = node.child(token)?;
            at.tokens.push(token.clone());
        }
        self.follow(at, node, hops)
    }

    fn follow<'t>(
        &'t self,
        mut at: Place,
        mut node: &'t Tree,
        hops: &mut usize,
    ) -> Option<(Place, &'t Tree)> {
        while let Some(text) = node.text("$ref") {
            *hops += 1;
            if *hops > MAX_HOPS {
                return None;
            }
            (at, node) = self.target(&at, text, hops)?;
        }
        Some((at, node))
    }

    /// What a reference that stands at `from` names.
    fn target(&self, from: &Place, text: &str, hops: &mut usize) -> Option<(Place, &Tree)> {
        let (file, fragment) = text.split_once('#').unwrap_or((text, ""));
        let tokens: Vec<String> = fragment
            .strip_prefix('/')
            .map(|rest| rest.split('/').map(unescaped).collect())
            .unwrap_or_default();
        if file.is_empty() {
            if tokens.iter().all(String::is_empty) {
                let base = self.schema_around(from);
                return Some((base.clone(), self.at(&base)?));
            }
            let whole = Place { file: from.file, tokens };
            if let Some(found) = self.walk(&whole, hops) {
                return Some(found);
            }
            // A JSON Schema that was written on its own and pasted counts from its own root.
            return (0..from.tokens.len()).rev().find_map(|length| {
                let mut place = Place { file: from.file, tokens: from.tokens[..length].to_vec() };
                place.tokens.extend(whole.tokens.iter().cloned());
                self.at(&place)?;
                self.walk(&place, hops)
            });
        }
        let folder = self.paths[from.file].parent().unwrap_or(Path::new("")).to_path_buf();
        let file = *self.by_path.get(&file_of(text, &folder)?)?;
        self.walk(&Place { file, tokens }, hops)
    }

    /// The schema component, payload or headers that a place lies in.
    fn schema_around(&self, place: &Place) -> Place {
        let known = ["payload", "headers"];
        let length = match place.tokens.as_slice() {
            [a, b, ..] if a == "components" && b == "schemas" => 3,
            tokens => tokens.iter().position(|token| known.contains(&token.as_str())).map_or(0, |at| at + 1),
        };
        let place =
            Place { file: place.file, tokens: place.tokens[..length.min(place.tokens.len())].to_vec() };
        let wrapped = self.at(&place).is_some_and(|node| node.get("schemaFormat").is_some());
        if wrapped { place.child("schema") } else { place }
    }
}

fn write_json(tree: &Tree, out: &mut String) {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    match tree {
        Tree::Null => out.push_str("null"),
        Tree::Bool(value) => out.push_str(&value.to_string()),
        Tree::Number(number) => out.push_str(number),
        Tree::Text(value) => out.push_str(&text(value)),
        Tree::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_json(item, out);
            }
            out.push(']');
        }
        Tree::Map(entries) => {
            out.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                out.push_str(&text(key));
                out.push_str(": ");
                write_json(value, out);
            }
            out.push('}');
        }
    }
}

fn references<'t>(tree: &'t Tree, out: &mut Vec<&'t str>) {
    out.extend(tree.text("$ref"));
    tree.items().iter().for_each(|item| references(item, out));
    tree.entries().iter().for_each(|(_, value)| references(value, out));
}

/// The file that a reference names, seen from `folder`.
fn file_of(reference: &str, folder: &Path) -> Option<PathBuf> {
    let file = reference.split('#').next().unwrap_or_default();
    if file.is_empty() || file.contains("://") {
        return None;
    }
    Some(normal(&folder.join(percent(file))))
}

/// A path without `.` and `..`, so that each file has one.
fn normal(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    path.components().fold(PathBuf::new(), |mut out, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(out.pop()),
            part => out.push(part),
        }
        out
    })
}

fn unescaped(token: &str) -> String {
    percent(token).replace("~1", "/").replace("~0", "~")
}

/// `%20` and the like.
fn percent(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], code) {
            (b'%', Some(code)) => {
                out.push(code);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_go_through_references() {
        let text =
            "a: {$ref: '#/b'}\nb: {c~d/e: {f: 1}}\nx: &x {k: 1}\ny: {<<: *x, 200: 2}\nz: {$ref: '#/z'}\n";
        let files = Files::of(Tree::read(text).expect("YAML"));
        let place =
            |tokens: &[&str]| Place { file: 0, tokens: tokens.iter().map(|t| (*t).to_owned()).collect() };
        let (found, node) = files.resolve(&place(&["a", "c~d/e", "f"])).expect("it is there");
        assert_eq!((found.to_string().as_str(), node), ("/b/c~0d~1e/f", &Tree::Number("1".into())));
        assert!(
            files.resolve(&place(&["y", "k"])).is_some() && files.resolve(&place(&["y", "200"])).is_some()
        );
        assert!(files.resolve(&place(&["z"])).is_none());
    }
}
