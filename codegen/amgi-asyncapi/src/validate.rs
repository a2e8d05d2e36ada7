//! Validation: what is wrong with the shape of a document, everything at once.
//!
//! The tree is walked along tables of what each object may hold. References must lead somewhere but are not followed:
//! what they name is walked where it stands. No finding here is about what a valid document may say.

mod address;
mod ids;
mod schema;
mod shape;
mod shape2;

use std::collections::HashSet;

use crate::{
    codes,
    diag::{Diagnostic, Diagnostics, nearest},
    files::Files,
    node::{Entry, Node, Value},
    refs::{Place, Refs, Target, reference},
    schema::{Dialect, dialect, multi_format},
};
use shape::{Kind, Ty};

/// Checks an AsyncAPI 3 document.
pub(crate) fn v3(files: &Files, diags: &mut Diagnostics) {
    Walk { refs: &Refs::new(files), diags, minor: u32::MAX, others: Others::default() }.all(&shape::ROOT);
}

/// Checks an AsyncAPI 2 document of this minor version.
pub(crate) fn v2(files: &Files, minor: u32, diags: &mut Diagnostics) {
    Walk { refs: &Refs::new(files), diags, minor, others: Others::default() }.all(&shape2::ROOT);
}

struct Walk<'a, 'd> {
    refs: &'a Refs<'a>,
    diags: &'d mut Diagnostics,
    /// Minor version of the document.
    minor: u32,
    others: Others<'a>,
}

/// Objects in other files, which are walked once for each kind that they are named as.
#[derive(Default)]
struct Others<'a> {
    open: Vec<(&'a Node, Expected)>,
    seen: HashSet<(Place, &'static str)>,
}

impl<'a> Others<'a> {
    /// Remembers what a reference leads to. What stands in the document itself is walked there.
    fn open(&mut self, target: &Target<'a>, expected: Expected) {
        let name = match expected {
            Expected::Kind(kind) => kind.name,
            Expected::Schema => "schema",
            Expected::Anything => return,
        };
        if target.place.file != 0 && self.seen.insert((target.place.clone(), name)) {
            self.open.push((target.node, expected));
        }
    }
}

/// What a reference should lead to.
#[derive(Clone, Copy)]
enum Expected {
    Kind(&'static Kind),
    Schema,
    Anything,
}

impl<'a> Walk<'a, '_> {
    fn all(&mut self, root: &'static Kind) {
        self.object(self.refs.root(), root);
        while let Some((node, expected)) = self.others.open.pop() {
            match expected {
                Expected::Kind(kind) => self.object(node, kind),
                Expected::Schema => self.schema(node, "schema"),
                Expected::Anything => {}
            }
        }
    }

    fn object(&mut self, node: &Node, kind: &'static Kind) {
        let Value::Object(entries) = &node.value else {
            self.mismatch(node, kind.name, "an object");
            return;
        };
        if kind.may_refer && self.refers(node, Expected::Kind(kind)) {
            return;
        }
        if let Some(target) = self.elsewhere(node) {
            return self.object(target, kind);
        }
        if let Some((_, kind)) = kind.instead.filter(|(field, _)| node.get(field).is_some()) {
            return self.object(node, kind);
        }
        for field in kind.fields.iter().filter(|f| f.required && node.get(f.name).is_none()) {
            self.diags.push(
                Diagnostic::error(
                    codes::MISSING_FIELD,
                    node.span,
                    format!("{} has no `{}`", kind.name, field.name),
                )
                .help(format!("add `{}: …`", field.name)),
            );
        }
        for entry in entries.iter().filter(|e| !e.key.starts_with("x-")) {
            match kind.fields.iter().find(|f| f.name == entry.key) {
                Some(field) => {
                    if field.since > self.minor {
                        self.too_new(entry, kind, field.since);
                    }
                    match field.ty {
                        Ty::SchemaOfFormat => self.schema_of(beside(node), &entry.value, &entry.key),
                        _ => self.value(entry, &field.ty),
                    }
                }
                None if kind.open => {}
                None => self.unknown(entry, kind),
            }
        }
        (kind.also)(node, self.diags);
    }

    fn value(&mut self, entry: &Entry, ty: &'static Ty) {
        let Entry { key, value, .. } = entry;
        match ty {
            Ty::Any | Ty::SchemaOfFormat => {}
            Ty::Text => self.expect(value, key, "a string", value.as_str().is_some()),
            Ty::TextOrNull => {
                let fits = matches!(value.value, Value::String(_) | Value::Null);
                self.expect(value, key, "a string or null", fits);
            }
            Ty::Texts => self.list(value, key, |walk, item| {
                walk.expect(item, key, "a list of strings", item.as_str().is_some());
            }),
            Ty::Choice(choices) => self.choice(value, key, choices),
            Ty::Object(kind) => self.object(value, kind),
            Ty::Objects(kind) => self.list(value, key, |walk, item| walk.object(item, kind)),
            Ty::Map(kind) => self.map(value, key, |walk, entry| walk.object(&entry.value, kind)),
            Ty::Addresses(kind) => self.map(value, key, |walk, entry| {
                walk.object(&entry.value, kind);
                address::item(entry, walk.diags);
            }),
            Ty::AnyMap => self.expect(value, key, "an object", matches!(value.value, Value::Object(_))),
            Ty::Schema => self.schema(value, key),
            Ty::Schemas => self.map(value, key, |walk, entry| walk.schema(&entry.value, &entry.key)),
            Ty::Reference => self.reference(value, key),
            Ty::References => self.list(value, key, |walk, item| walk.reference(item, key)),
            Ty::Components(kind) => {
                self.object(value, kind);
                for entry in value.entries().iter().filter(|e| !e.key.starts_with("x-")) {
                    self.component_keys(&entry.value);
                }
            }
        }
    }

    fn list(&mut self, node: &Node, key: &str, each: impl Fn(&mut Self, &Node)) {
        match &node.value {
            Value::Array(items) => items.iter().for_each(|item| each(self, item)),
            _ => self.mismatch(node, &format!("`{key}`"), "a list"),
        }
    }

    fn map(&mut self, node: &Node, key: &str, each: impl Fn(&mut Self, &Entry)) {
        let node = self.elsewhere(node).unwrap_or(node);
        match &node.value {
            Value::Object(entries) => {
                // A member may be called `x-…`; what is no object there is an extension.
                let extension =
                    |e: &&Entry| e.key.starts_with("x-") && !matches!(e.value.value, Value::Object(_));
                entries.iter().filter(|e| !extension(e)).for_each(|entry| each(self, entry));
            }
            _ => self.mismatch(node, &format!("`{key}`"), "an object"),
        }
    }

    /// What a reference leads to that stands where the specification has none. Tools resolve it all the same.
    fn elsewhere(&mut self, node: &Node) -> Option<&'a Node> {
        let text = reference(node)?;
        self.diags.push(
            Diagnostic::warning(codes::REF_MAP, text.span, "the specification knows no reference here")
                .help("it is followed all the same; refer to each member instead"),
        );
        self.refs.resolve(text).map_err(|problem| self.diags.push(*problem)).ok().map(|target| target.node)
    }

    fn choice(&mut self, node: &Node, key: &str, choices: &[&str]) {
        let Some(text) = node.as_str() else {
            self.mismatch(node, &format!("`{key}`"), "a string");
            return;
        };
        if !choices.contains(&text) {
            let known = choices.iter().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(" or ");
            let diagnostic =
                Diagnostic::error(codes::UNKNOWN_VALUE, node.span, format!("`{text}` is no {key}"));
            let old = match text {
                "publish" => Some("`publish` of AsyncAPI 2 is `receive` now"),
                "subscribe" => Some("`subscribe` of AsyncAPI 2 is `send` now"),
                _ => None,
            };
            let near =
                || nearest(text, choices.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            let help = old.map(str::to_string).or_else(near).unwrap_or_else(|| format!("write {known}"));
            self.diags.push(diagnostic.help(help));
        }
    }

    fn schema(&mut self, node: &Node, key: &str) {
        match multi_format(node) {
            Some((format, inner)) => self.schema_of(dialect(format.as_str().unwrap_or_default()), inner, key),
            None if node.get("schemaFormat").is_some() => self.diags.push(
                Diagnostic::error(
                    codes::MISSING_FIELD,
                    node.span,
                    "a schema with `schemaFormat` has no `schema`",
                )
                .help("write `schema: …` beside `schemaFormat`"),
            ),
            None => self.schema_of(Some(Dialect::JsonSchema), node, key),
        }
    }

    fn schema_of(&mut self, dialect: Option<Dialect>, node: &Node, key: &str) {
        match dialect {
            None => return,
            Some(Dialect::JsonSchema) => schema::check(node, key, self.diags),
            Some(Dialect::OpenApi) => {}
        }
        schema::references(node, &mut |text| {
            // Where it does not resolve, the reader says so, which knows more about schemas.
            if let Ok(target) = self.refs.resolve_once(text) {
                self.others.open(&target, Expected::Schema);
            }
        });
    }

    fn reference(&mut self, node: &Node, key: &str) {
        match &node.value {
            Value::Object(_) if reference(node).is_some() => {
                self.refers(node, Expected::Anything);
            }
            _ => self.diags.push(
                Diagnostic::error(
                    codes::TYPE_MISMATCH,
                    node.span,
                    format!("`{key}` must be a reference, not {}", node.kind()),
                )
                .help("write `$ref: '#/…'`"),
            ),
        }
    }

    /// Whether this is a Reference Object, in which everything else is ignored.
    fn refers(&mut self, node: &Node, expected: Expected) -> bool {
        let Some(target) = node.get("$ref") else { return false };
        if target.as_str().is_none() {
            self.mismatch(target, "`$ref`", "a string");
        } else {
            match self.refs.resolve(target) {
                Ok(target) => self.others.open(&target, expected),
                // The reader says the same where it follows this one; it is kept once.
                Err(problem) => self.diags.push(*problem),
            }
        }
        for sibling in node.entries().iter().filter(|e| e.key != "$ref" && !e.key.starts_with("x-")) {
            let message = format!("`{}` beside `$ref` is ignored", sibling.key);
            self.diags.push(Diagnostic::info(codes::REF_SIBLINGS, sibling.key_span, message));
        }
        true
    }

    fn unknown(&mut self, entry: &Entry, kind: &Kind) {
        let message = format!("{} has no field `{}`", kind.name, entry.key);
        let mut diagnostic = Diagnostic::warning(codes::UNKNOWN_FIELD, entry.key_span, message);
        let moved = kind.moved.iter().find(|(old, _)| *old == entry.key).map(|(_, hint)| (*hint).to_string());
        let near = || {
            nearest(&entry.key, kind.fields.iter().map(|f| f.name)).map(|n| format!("did you mean `{n}`?"))
        };
        diagnostic.help = moved.or_else(near);
        self.diags.push(diagnostic);
    }

    fn too_new(&mut self, entry: &Entry, kind: &Kind, since: u32) {
        let message = format!("{} has no `{}` before AsyncAPI 2.{since}", kind.name, entry.key);
        self.diags.push(
            Diagnostic::warning(codes::UNKNOWN_FIELD, entry.key_span, message)
                .help(format!("it is read all the same; write `asyncapi: 2.{since}.0`")),
        );
    }

    fn component_keys(&mut self, collection: &Node) {
        if reference(collection).is_some() {
            return;
        }
        for Entry { key, key_span, .. } in collection.entries() {
            let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            if key.is_empty() || !key.chars().all(legal) {
                let message = format!("`{key}` is not a name for a component");
                self.diags.push(
                    Diagnostic::warning(codes::COMPONENT_KEY, *key_span, message)
                        .help("use letters, digits, `.`, `-` and `_` only"),
                );
            }
        }
    }

    fn expect(&mut self, node: &Node, key: &str, what: &str, fits: bool) {
        if !fits {
            self.mismatch(node, &format!("`{key}`"), what);
        }
    }

    fn mismatch(&mut self, node: &Node, whose: &str, what: &str) {
        self.diags.push(mismatch(node, whose, what));
    }
}

/// The dialect of the `schemaFormat` of an object.
fn beside(node: &Node) -> Option<Dialect> {
    let format = node.get("schemaFormat").and_then(Node::as_str);
    format.map_or(Some(Dialect::JsonSchema), dialect)
}

fn mismatch(node: &Node, whose: &str, what: &str) -> Diagnostic {
    let found = match &node.value {
        Value::Number(number) => number.to_string(),
        _ => node.kind().to_string(),
    };
    let diagnostic =
        Diagnostic::error(codes::TYPE_MISMATCH, node.span, format!("{whose} must be {what}, not {found}"));
    match &node.value {
        Value::Number(_) | Value::Bool(_) if what.contains("string") => diagnostic.help("put it in quotes"),
        Value::Null => diagnostic.help("leave it out when there is nothing to say"),
        _ => diagnostic,
    }
}
