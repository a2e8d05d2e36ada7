//! Validation: what is wrong with the shape of a document, everything at once.
//!
//! The tree is walked along tables of what each object may hold. What a reference names is walked where it stands, and
//! once more as the kind of object that the reference asks for when that is another. Errors are what the specification
//! forbids and code cannot make sense of; what it forbids and code can live with is a warning. No finding here is an
//! error about what a valid document may say.

mod address;
mod examples;
mod foreign;
mod format;
mod ids;
mod instance;
mod schema;
mod security;
mod shape;
mod shape2;

use std::collections::{HashMap, HashSet};

use crate::{
    codes,
    diag::{Diagnostic, Diagnostics, Severity, Span, nearest},
    files::Files,
    node::{Entry, Node, Value},
    reader::is_collection,
    refs::{Refs, Target, reference},
    schema::{Dialect, dialect, multi_format},
};
use shape::{Kind, Ty};

/// Checks an AsyncAPI 3 document.
pub(crate) fn v3(files: &Files, diags: &mut Diagnostics) {
    Walk::new(&Refs::new(files), diags, shape::V3).document(&shape::ROOT);
}

/// Checks an AsyncAPI 2 document of this minor version.
pub(crate) fn v2(files: &Files, minor: u32, diags: &mut Diagnostics) {
    let refs = Refs::new(files);
    Walk::new(&refs, diags, minor).document(&shape2::ROOT);
    ids::unique(&refs, diags);
    security::requirements(&refs, diags);
}

struct Walk<'a, 'd> {
    refs: &'a Refs<'a>,
    diags: &'d mut Diagnostics,
    /// Minor version of the document.
    minor: u32,
    /// Whether errors are warnings: code does not depend on what is walked.
    gentle: bool,
    /// Everything that was walked, and as what; schemas have no kind.
    seen: HashSet<(*const Node, *const Kind)>,
    /// As what objects were walked at first.
    kinds: HashMap<*const Node, &'static Kind>,
    /// What references name; nothing is walked while one is followed.
    named: Vec<Named<'a>>,
    patterns: instance::Patterns,
}

/// What a reference names.
struct Named<'a> {
    text: String,
    span: Span,
    target: Target<'a>,
    /// What stands in the place of the reference; a schema where it is `None`.
    kind: Option<&'static Kind>,
}

impl<'a, 'd> Walk<'a, 'd> {
    fn new(refs: &'a Refs<'a>, diags: &'d mut Diagnostics, minor: u32) -> Self {
        let patterns = instance::Patterns::default();
        let (seen, kinds, named) = (HashSet::new(), HashMap::new(), Vec::new());
        Self { refs, diags, minor, gentle: false, seen, kinds, named, patterns }
    }

    fn document(&mut self, kind: &'static Kind) {
        self.object(self.refs.root(), kind);
        while let Some(named) = self.named.pop() {
            let node = named.target.node;
            let place = std::ptr::from_ref(node);
            let first = self.kinds.get(&place).copied();
            let is_schema = self.seen.contains(&(place, std::ptr::null()));
            match (named.kind, first) {
                (Some(kind), Some(first)) if !std::ptr::eq(kind, first) => {
                    // A choice of messages is a message to begin with.
                    if kind.name != first.name && first.instead.is_none() {
                        self.other(&named, kind, first.name);
                    }
                }
                (Some(kind), None) if is_schema => self.other(&named, kind, "a schema"),
                (Some(kind), _) => self.object(node, kind),
                // The reader says so where a schema is wanted and something else named.
                (None, Some(_)) => {}
                (None, None) => self.schema(node, "$ref"),
            }
        }
    }

    /// A reference to an object of another kind than the one that is wanted. Of some the reader says so.
    fn other(&mut self, named: &Named<'_>, kind: &'static Kind, found: &str) {
        let collection = named.target.place.tokens.iter().rev().nth(1);
        let judged = ["a server", "a channel", "an operation", "a message", "a parameter"]
            .contains(&kind.name)
            && collection.is_some_and(|name| is_collection(name));
        if !judged {
            let message = format!("`{}` is {found}, not {}", named.text, kind.name);
            self.push(
                Diagnostic::warning(codes::REF_TARGET, named.span, message)
                    .label(named.target.key_span, "it names this"),
            );
        }
    }

    fn object(&mut self, node: &Node, kind: &'static Kind) {
        if !self.seen.insert((std::ptr::from_ref(node), std::ptr::from_ref(kind))) {
            return;
        }
        self.kinds.entry(std::ptr::from_ref(node)).or_insert(kind);
        let before = self.gentle;
        self.gentle |= kind.gentle;
        self.object_inner(node, kind);
        self.gentle = before;
    }

    fn object_inner(&mut self, node: &Node, kind: &'static Kind) {
        let Value::Object(entries) = &node.value else {
            self.mismatch(node, kind.name, "an object");
            return;
        };
        if kind.may_refer && self.refers(node, Some(kind)) {
            if kind.refer_since > self.minor {
                self.misplaced(node, kind);
            }
            return;
        }
        if let Some(target) = self.elsewhere(node) {
            return self.object(target, kind);
        }
        if let Some((_, kind)) = kind.instead.filter(|(field, _)| node.get(field).is_some()) {
            return self.object(node, kind);
        }
        if let Some(kind) = self.variant(node, kind) {
            return self.object(node, kind);
        }
        for field in kind.fields.iter().filter(|f| f.required && node.get(f.name).is_none()) {
            self.push(
                Diagnostic::error(
                    codes::MISSING_FIELD,
                    node.span,
                    format!("{} has no `{}`", kind.name, field.name),
                )
                .help(format!("add `{}: …`", field.name)),
            );
        }
        for entry in entries {
            match kind.fields.iter().find(|f| f.name == entry.key) {
                Some(field) => {
                    if field.since > self.minor {
                        self.too_new(entry, kind, field.since);
                    }
                    self.value(entry, &field.ty);
                }
                None if entry.key.starts_with("x-") => self.extension(entry),
                None if kind.open => {}
                None => self.unknown(entry, kind),
            }
        }
        (kind.also)(self, node);
    }

    /// The kind that `type` makes of an object.
    fn variant(&mut self, node: &Node, kind: &'static Kind) -> Option<&'static Kind> {
        let entry = node.entry("type").filter(|_| !kind.variants.is_empty())?;
        let text = entry.value.as_str()?;
        let Some((_, variant, since)) = kind.variants.iter().find(|(name, ..)| *name == text) else {
            let names: Vec<_> = kind.variants.iter().map(|(name, ..)| *name).collect();
            self.choice(&entry.value, "type", &names);
            return None;
        };
        if *since > self.minor {
            self.push(
                Diagnostic::warning(
                    codes::UNKNOWN_VALUE,
                    entry.value.span,
                    format!("{} has no `type: {text}` before AsyncAPI 2.{since}", kind.name),
                )
                .help(format!("it is read all the same; write `asyncapi: 2.{since}.0`")),
            );
        }
        Some(variant)
    }

    fn value(&mut self, entry: &Entry, ty: &Ty) {
        let Entry { key, value, .. } = entry;
        match ty {
            Ty::Any => {}
            Ty::Text => self.expect(value, key, "a string", value.as_str().is_some()),
            Ty::TextOrNull => {
                let fits = matches!(value.value, Value::String(_) | Value::Null);
                self.expect(value, key, "a string or null", fits);
            }
            Ty::Bool => {
                let fits = matches!(value.value, Value::Bool(_));
                if !fits {
                    let mut diagnostic = mismatch(value, &format!("`{key}`"), "true or false");
                    diagnostic.severity = Severity::Warning;
                    self.diags.push(diagnostic);
                }
            }
            Ty::Number => self.expect(value, key, "a number", matches!(value.value, Value::Number(_))),
            Ty::List => self.expect(value, key, "a list", matches!(value.value, Value::Array(_))),
            Ty::Uri => {
                self.form(value, key, "a URI", "begin with a scheme, `https://…` or `urn:…`", format::uri);
            }
            Ty::Email => {
                self.form(value, key, "an e-mail address", "write it like `name@example.com`", format::email);
            }
            Ty::Texts => self.list(value, key, |walk, item| {
                walk.expect(item, key, "a list of strings", item.as_str().is_some());
            }),
            Ty::DistinctTexts => {
                self.value(entry, &Ty::Texts);
                self.distinct(value, key, |item| Some((item.as_str()?.to_string(), item.span)));
            }
            Ty::Choice(choices) => self.choice(value, key, choices),
            Ty::BoolOr(_) if matches!(value.value, Value::Bool(_)) => {}
            Ty::Object(kind) | Ty::BoolOr(kind) => self.object(value, kind),
            Ty::Objects(kind) => self.list(value, key, |walk, item| walk.object(item, kind)),
            Ty::Tags => {
                self.list(value, key, |walk, item| walk.object(item, &shape::TAG));
                self.tags(value);
            }
            Ty::Map(kind) => self.map(value, key, |walk, entry| walk.object(&entry.value, kind)),
            Ty::Texted => self.map(value, key, |walk, entry| {
                walk.expect(&entry.value, &entry.key, "a string", entry.value.as_str().is_some());
            }),
            Ty::Addresses(kind) => self.map(value, key, |walk, entry| {
                walk.object(&entry.value, kind);
                address::item(entry, walk.diags);
            }),
            Ty::AnyMap => self.expect(value, key, "an object", matches!(value.value, Value::Object(_))),
            Ty::Schema => self.schema(value, key),
            Ty::Schemas => self.map(value, key, |walk, entry| walk.schema(&entry.value, &entry.key)),
            Ty::Avro => self.avro(value, key),
            Ty::AvroName => {
                self.form(value, key, "a name of Avro", "names have letters, digits and `_`", format::name);
            }
            Ty::Reference(kind) => self.reference(value, key, kind),
            Ty::References(kind) => {
                self.list(value, key, |walk, item| walk.reference(item, key, kind));
                self.distinct(value, key, |item| Some((reference(item)?.as_str()?.to_string(), item.span)));
            }
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
        let Value::Object(entries) = &node.value else {
            self.mismatch(node, &format!("`{key}`"), "an object");
            return;
        };
        for entry in entries {
            // A member may be called `x-…`; what is no object there is meant as an extension.
            if entry.key.starts_with("x-") && !matches!(entry.value.value, Value::Object(_)) {
                let message =
                    format!("`{key}` has no extensions, so `{}` would be one of its members", entry.key);
                self.push(
                    Diagnostic::warning(codes::UNKNOWN_FIELD, entry.key_span, message)
                        .help("it is left out; write it into the object around"),
                );
            } else {
                each(self, entry);
            }
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
            let diagnostic = Diagnostic::error(
                codes::UNKNOWN_VALUE,
                node.span,
                format!("`{text}` is no value of `{key}`"),
            );
            let old = match text {
                "publish" => Some("`publish` of AsyncAPI 2 is `receive` now"),
                "subscribe" => Some("`subscribe` of AsyncAPI 2 is `send` now"),
                "header" | "query" | "cookie" if choices.contains(&"user") => {
                    Some("a key in a header, query or cookie is `type: httpApiKey`")
                }
                _ => None,
            };
            let near =
                || nearest(text, choices.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            let help = old.map(str::to_string).or_else(near).unwrap_or_else(|| format!("write {known}"));
            self.push(diagnostic.help(help));
        }
    }

    /// A string of a certain form. Code does not depend on it.
    fn form(&mut self, node: &Node, key: &str, what: &str, help: &str, is: fn(&str) -> bool) {
        let Some(text) = node.as_str() else {
            self.mismatch(node, &format!("`{key}`"), "a string");
            return;
        };
        if !is(text) {
            let message = format!("`{key}` must be {what}, `{text}` is none");
            self.push(Diagnostic::warning(codes::FORMAT_MISMATCH, node.span, message).help(help));
        }
    }

    /// Items that are the same as an earlier one, by what `of` makes of them.
    fn distinct(&mut self, list: &Node, key: &str, of: impl Fn(&Node) -> Option<(String, Span)>) {
        let mut seen = HashSet::new();
        for (text, span) in list.items().iter().filter_map(of) {
            let message = format!("`{key}` has `{text}` twice");
            if !seen.insert(text) {
                self.push(Diagnostic::warning(codes::DUPLICATE_ITEM, span, message).help("remove one"));
            }
        }
    }

    /// Tags that share a name.
    fn tags(&mut self, list: &Node) {
        let refs = self.refs;
        self.distinct(list, "tags", |item| {
            let Some(text) = reference(item) else {
                let name = item.get("name")?;
                return Some((name.as_str()?.to_string(), name.span));
            };
            let tag = refs.resolve(text).ok()?.node;
            Some((tag.get("name")?.as_str()?.to_string(), text.span))
        });
    }

    fn schema(&mut self, node: &Node, key: &str) {
        match multi_format(node) {
            Some((format, inner)) => self.schema_as(inner, key, format.as_str()),
            None if node.get("schemaFormat").is_some() && node.get("schema").is_none() => self.push(
                Diagnostic::error(
                    codes::MISSING_FIELD,
                    node.span,
                    "a schema with `schemaFormat` has no `schema`",
                )
                .help("write `schema: …` beside `schemaFormat`"),
            ),
            None => {
                if let Some(format) = node.get("schemaFormat") {
                    self.mismatch(format, "`schemaFormat`", "a string");
                }
                self.check(node, key);
            }
        }
    }

    /// A schema in the format that stands beside it.
    fn schema_as(&mut self, node: &Node, key: &str, format: Option<&str>) {
        let before = self.gentle;
        match format.map_or(Some(Dialect::AsyncApi), dialect) {
            Some(Dialect::AsyncApi | Dialect::JsonSchema) => {
                // Draft-07 is what the rules are about, and what a schema of AsyncAPI is.
                let format = format.unwrap_or_default();
                self.gentle |=
                    !format.contains("asyncapi") && !format.is_empty() && !format.contains("draft-07");
                self.check(node, key);
            }
            known => {
                self.gentle = true;
                self.foreign(node, key, known, format.unwrap_or_default());
            }
        }
        self.gentle = before;
    }

    fn reference(&mut self, node: &Node, key: &str, kind: &'static Kind) {
        match &node.value {
            Value::Object(_) if reference(node).is_some() => {
                self.refers(node, Some(kind));
            }
            _ => self.push(
                Diagnostic::error(
                    codes::TYPE_MISMATCH,
                    node.span,
                    format!("`{key}` must be a reference, not {}", node.kind()),
                )
                .help("write `$ref: '#/…'`"),
            ),
        }
    }

    fn name(&mut self, text: &Node, target: Target<'a>, kind: Option<&'static Kind>) {
        let span = text.span;
        let text = text.as_str().unwrap_or_default().to_string();
        self.named.push(Named { text, span, target, kind });
    }

    /// Whether this is a Reference Object, in which everything else is ignored. What it names is a `kind`, or a schema.
    fn refers(&mut self, node: &Node, kind: Option<&'static Kind>) -> bool {
        let Some(target) = node.get("$ref") else { return false };
        if target.as_str().is_none() {
            self.mismatch(target, "`$ref`", "a string");
        } else {
            match self.refs.resolve(target) {
                Ok(found) => self.name(target, found, kind),
                // Nobody follows it.
                Err(_) if kind.is_some_and(foreign::is_foreign) => {}
                // The reader says the same where it follows this one; it is kept once.
                Err(problem) => self.diags.push(*problem),
            }
        }
        if kind.is_some_and(foreign::is_foreign) {
            return true;
        }
        for sibling in node.entries().iter().filter(|e| e.key != "$ref" && !e.key.starts_with("x-")) {
            let message = format!("`{}` beside `$ref` is ignored", sibling.key);
            self.diags.push(Diagnostic::info(codes::REF_SIBLINGS, sibling.key_span, message));
        }
        true
    }

    /// A reference where the version of the document has none.
    fn misplaced(&mut self, node: &Node, kind: &Kind) {
        let Some(entry) = node.entry("$ref") else { return };
        let what = kind.name.trim_start_matches("a ").trim_start_matches("an ");
        let message = format!("the specification has no reference in the place of {}", kind.name);
        let help = match kind.refer_since {
            shape::NEVER => format!("other tools refuse it; write the {what} itself"),
            shape::V3 => format!("other tools refuse it before AsyncAPI 3; write the {what} itself"),
            since => format!("other tools refuse it before AsyncAPI 2.{since}; write the {what} itself"),
        };
        self.push(Diagnostic::warning(codes::REF_MAP, entry.value.span, message).help(help));
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

    /// The name of an extension is `x-` and letters, digits, dots, dashes and underscores.
    fn extension(&mut self, entry: &Entry) {
        let name = entry.key.strip_prefix("x-").unwrap_or_default();
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || !name.chars().all(legal) {
            let message = format!("`{}` is not a name for an extension", entry.key);
            self.push(
                Diagnostic::warning(codes::EXTENSION_NAME, entry.key_span, message)
                    .help("after `x-` use letters, digits, `.`, `-` and `_` only"),
            );
        }
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
        self.push(mismatch(node, whose, what));
    }

    fn push(&mut self, mut diagnostic: Diagnostic) {
        if self.gentle && diagnostic.severity == Severity::Error {
            diagnostic.severity = Severity::Warning;
        }
        self.diags.push(diagnostic);
    }
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
