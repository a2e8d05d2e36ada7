//! Text to [`Node`]: YAML 1.2 core schema, and JSON, which is a part of it.
//!
//! The tree is built from the parser's events with a stack of our own, so that neither deep nesting nor aliases can
//! exhaust the stack or the memory: depth, nodes and copied text are all bounded. Every key of a mapping is unique
//! afterwards; a duplicate is an error that names both places, and the first one stays.

use std::collections::{HashMap, HashSet};

use serde_saphyr::granit_parser::{self, Event, Marker, Parser, ScalarStyle, Tag};

use super::{Entry, Node, Value, shield::Shield};
use crate::{
    codes,
    diag::{Diagnostic, Diagnostics, Span},
};

/// Nesting of arrays and objects, aliases included. Code further on recurses over nodes and relies on it.
const MAX_DEPTH: usize = 128;
/// Memory that a tree may take, with what aliases and merge keys copy. Roughly bytes.
const MAX_WEIGHT: usize = 512 << 20;
/// What one node counts for besides its text.
const NODE_WEIGHT: usize = 128;

/// Reads `text`, which is file number `file`. What is wrong goes to `diags`; `None` when there is no tree at all.
pub(crate) fn read(text: &str, file: u32, diags: &mut Diagnostics) -> Option<Node> {
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        // JSON has no limit on keys; the size of the text is one already.
        simple_key_max_lookahead: text.len().max(1024),
        flow_nesting_limit: MAX_DEPTH + 2,
        block_nesting_limit: MAX_DEPTH + 2,
    };
    let shield = Shield::new(text);
    let text = shield.text.as_deref().unwrap_or(text);
    let mut builder = Builder {
        file,
        diags,
        shield: &shield,
        stack: Vec::new(),
        anchors: HashMap::new(),
        weight: 0,
        root: None,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => builder.event(event, &span),
            Err(error) => Err(Box::new(syntax_error(&error, file, &shield))),
        };
        if let Err(diagnostic) = step {
            builder.diags.push(*diagnostic);
            // The tree so far, so that one mistake at the end does not hide all the others.
            builder.close_all();
            break;
        }
    }
    builder.root.map(|(node, ..)| node)
}

fn syntax_error(error: &granit_parser::ScanError, file: u32, shield: &Shield) -> Diagnostic {
    let info = error.info();
    let info = info.trim().trim_end_matches('.').to_string();
    let span = span_between(file, shield, error.marker(), error.marker());
    if info.contains("recursion limit") {
        return too_deep(span);
    }
    let tabs = info.contains("tab");
    let diagnostic = Diagnostic::error(codes::YAML_SYNTAX, span, info);
    if tabs { diagnostic.help("YAML indents with spaces") } else { diagnostic }
}

fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error(codes::YAML_LIMIT, span, format!("the document nests deeper than {MAX_DEPTH} levels"))
}

fn span_between(file: u32, shield: &Shield, start: &Marker, end: &Marker) -> Span {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let offset = |mark: &Marker| shield.offset(mark.byte_offset().unwrap_or(mark.index()));
    Span {
        file,
        line: number(start.line()),
        column: number(start.col() + 1),
        offset: number(offset(start)),
        len: number(offset(end).saturating_sub(offset(start))),
    }
}

type Step = Result<(), Box<Diagnostic>>;

/// A finished node with how deep it goes and what it weighs.
type Finished = (Node, usize, usize);

struct Builder<'d> {
    file: u32,
    diags: &'d mut Diagnostics,
    shield: &'d Shield,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Finished>,
    weight: usize,
    root: Option<Finished>,
}

/// An array or object that is not closed yet.
struct Frame {
    span: Span,
    anchor: usize,
    depth: usize,
    /// What the text builds, not what it copies; anchors need it to know what an alias costs.
    weight: usize,
    open: Open,
}

enum Open {
    Array(Vec<Node>),
    Object(Object),
}

#[derive(Default)]
struct Object {
    entries: Vec<Entry>,
    /// Where each key is in `entries`, once there are many.
    index: HashMap<String, usize>,
    /// Which entries a merge key brought.
    merged: HashSet<usize>,
    key: Option<Key>,
}

/// Objects of this many entries get an index; most are far smaller.
const LARGE: usize = 16;

enum Key {
    Name(String, Span),
    Merge,
    /// A key that cannot be one was reported; its value is dropped.
    Unusable,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, at: &granit_parser::Span) -> Step {
        let span = span_between(self.file, self.shield, &at.start, &at.end);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => Err(Box::new(
                Diagnostic::error(codes::YAML_SYNTAX, span, "a second document begins here, after `---`")
                    .help("an AsyncAPI document is one YAML document; keep others in files of their own"),
            )),
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref();
                let text = self.shield.restore(text.into_owned());
                if self.wants_key() {
                    let merge = text == "<<" && style == ScalarStyle::Plain && tag.is_none();
                    if anchor != 0 {
                        let node = Node { value: Value::String(text.clone()), span };
                        self.anchors.insert(anchor, (node, 0, NODE_WEIGHT + text.len()));
                    }
                    self.key(if merge { Key::Merge } else { Key::Name(text, span) });
                    return Ok(());
                }
                let weight = NODE_WEIGHT + text.len();
                let value = scalar(text, style, tag, span, self.diags);
                self.finish((Node { value, span }, 0, weight), anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.open(span, anchor, Open::Array(Vec::new())),
            Event::MappingStart(_, anchor, _) => self.open(span, anchor, Open::Object(Object::default())),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => self.alias(id, span),
            Event::UnresolvedAlias(name) => {
                self.diags.push(
                    Diagnostic::error(
                        codes::YAML_ALIAS,
                        span,
                        format!("there is no anchor `&{name}` above this"),
                    )
                    .help("define the anchor before the alias that uses it"),
                );
                self.finish((Node { value: Value::Null, span }, 0, NODE_WEIGHT), 0)
            }
            _ => Ok(()),
        }
    }

    fn wants_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { open: Open::Object(Object { key: None, .. }), .. }))
    }

    fn key(&mut self, key: Key) {
        if let Some(Frame { open: Open::Object(object), .. }) = self.stack.last_mut() {
            object.key = Some(key);
        }
    }

    fn open(&mut self, span: Span, anchor: usize, open: Open) -> Step {
        self.limit_depth(1, span)?;
        // Only its beginning is of use; the whole of it would underline half the document.
        let span = Span { len: 0, ..span };
        self.stack.push(Frame { span, anchor, depth: 0, weight: NODE_WEIGHT, open });
        Ok(())
    }

    fn close(&mut self) -> Step {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let value = match frame.open {
            Open::Array(mut items) => {
                items.shrink_to_fit();
                Value::Array(items)
            }
            Open::Object(mut object) => {
                object.entries.shrink_to_fit();
                Value::Object(object.entries)
            }
        };
        self.finish((Node { value, span: frame.span }, frame.depth + 1, frame.weight), frame.anchor)
    }

    fn close_all(&mut self) {
        while !self.stack.is_empty() {
            // A limit that was already reported is no reason to lose the tree.
            let _ = self.close();
        }
    }

    fn alias(&mut self, id: usize, span: Span) -> Step {
        let Some((node, depth, weight)) = self.anchors.get(&id) else {
            self.diags.push(Diagnostic::error(
                codes::YAML_ALIAS,
                span,
                "this alias stands inside what it names",
            ));
            return self.finish((Node { value: Value::Null, span }, 0, NODE_WEIGHT), 0);
        };
        let (depth, weight) = (*depth, *weight);
        self.limit_depth(depth, span)?;
        limit_weight(self.weight.saturating_add(weight), span)?;
        let node = node.clone();
        self.finish((node, depth, weight), 0)
    }

    fn limit_depth(&self, more: usize, span: Span) -> Step {
        if self.stack.len() + more > MAX_DEPTH {
            return Err(Box::new(too_deep(span)));
        }
        Ok(())
    }

    /// A node is complete: it becomes the root, an element, a value or a key.
    fn finish(&mut self, (node, depth, weight): Finished, anchor: usize) -> Step {
        let span = node.span;
        self.weight = self.weight.saturating_add(weight);
        limit_weight(self.weight, span)?;
        if anchor != 0 {
            self.weight = self.weight.saturating_add(weight);
            limit_weight(self.weight, span)?;
            self.anchors.insert(anchor, (node.clone(), depth, weight));
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some((node, depth, weight));
            return Ok(());
        };
        frame.depth = frame.depth.max(depth);
        frame.weight = frame.weight.saturating_add(weight);
        match &mut frame.open {
            Open::Array(items) => items.push(node),
            Open::Object(object) => object.take(node, self.diags),
        }
        Ok(())
    }
}

fn limit_weight(weight: usize, span: Span) -> Step {
    if weight > MAX_WEIGHT {
        return Err(Box::new(
            Diagnostic::error(
                codes::YAML_LIMIT,
                span,
                "the document grows beyond every reasonable size here",
            )
            .help("aliases copy what they name; say shared parts with `$ref` instead"),
        ));
    }
    Ok(())
}

impl Object {
    /// The next node of this mapping: a key that is not a plain scalar, or the value of the key before it.
    fn take(&mut self, node: Node, diags: &mut Diagnostics) {
        match self.key.take() {
            None => {
                self.key = Some(match node.value {
                    Value::String(text) => Key::Name(text, node.span),
                    Value::Number(n) => Key::Name(n.to_string(), node.span),
                    Value::Bool(b) => Key::Name(b.to_string(), node.span),
                    _ => {
                        let message = format!("a key must be a string, not {}", node.kind());
                        diags.push(Diagnostic::error(codes::YAML_KEY, node.span, message));
                        Key::Unusable
                    }
                });
            }
            Some(Key::Name(key, key_span)) => self.insert(Entry { key, key_span, value: node }, diags),
            Some(Key::Merge) => match node.value {
                Value::Object(entries) => self.merge(entries),
                Value::Array(items) if items.iter().all(|i| matches!(i.value, Value::Object(_))) => {
                    for item in items {
                        if let Value::Object(entries) = item.value {
                            self.merge(entries);
                        }
                    }
                }
                _ => diags.push(
                    Diagnostic::error(
                        codes::YAML_MERGE,
                        node.span,
                        "`<<` takes a mapping or a list of mappings",
                    )
                    .help("name one with an alias: `<<: *defaults`"),
                ),
            },
            Some(Key::Unusable) => {}
        }
    }

    fn insert(&mut self, entry: Entry, diags: &mut Diagnostics) {
        match self.find(&entry.key) {
            Some(at) if self.merged.remove(&at) => self.entries[at] = entry,
            Some(at) => diags.push(
                Diagnostic::error(
                    codes::DUPLICATE_KEY,
                    entry.key_span,
                    format!("the key `{}` is there twice", entry.key),
                )
                .label(self.entries[at].key_span, "here it is first"),
            ),
            None => self.add(entry),
        }
    }

    /// Brings in what is not there yet: what stands in the mapping itself wins, then the earlier source.
    fn merge(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            if self.find(&entry.key).is_none() {
                self.merged.insert(self.entries.len());
                self.add(entry);
            }
        }
    }

    fn find(&self, key: &str) -> Option<usize> {
        if self.entries.len() < LARGE {
            return self.entries.iter().position(|e| e.key == key);
        }
        self.index.get(key).copied()
    }

    fn add(&mut self, entry: Entry) {
        self.entries.push(entry);
        let len = self.entries.len();
        let new = if len == LARGE { 0 } else { len - 1 };
        if len >= LARGE {
            let entries = self.entries.iter().enumerate().skip(new);
            self.index.extend(entries.map(|(at, entry)| (entry.key.clone(), at)));
        }
    }
}

/// YAML 1.2 core schema: `yes`, `on`, dates and the like are strings.
fn scalar(text: String, style: ScalarStyle, tag: Option<&Tag>, span: Span, diags: &mut Diagnostics) -> Value {
    let name = tag.and_then(Tag::core_suffix);
    let explicit_string =
        name == Some("str") || tag.is_some_and(|t| t.handle().is_empty() && t.suffix() == "!");
    if explicit_string || (style != ScalarStyle::Plain && name.is_none()) {
        return Value::String(text);
    }
    let value = plain(text, span, diags);
    let fits = match name {
        Some("null") => matches!(value, Value::Null),
        Some("bool") => matches!(value, Value::Bool(_)),
        Some("int" | "float") => matches!(value, Value::Number(_)),
        _ => true,
    };
    if !fits {
        let message =
            format!("the tag `!!{}` does not fit this {}", name.unwrap_or_default(), kind_of(&value));
        diags.push(Diagnostic::error(codes::YAML_TAG, span, message));
    }
    value
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        _ => "string",
    }
}

fn plain(text: String, span: Span, diags: &mut Diagnostics) -> Value {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Value::String(text);
    }
    if let Some(number) = integer(&text) {
        return Value::Number(number);
    }
    let unsigned = text.trim_start_matches(['+', '-']);
    let infinite = matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN")
        && text.len() - unsigned.len() <= 1;
    let float = if is_float(&text) { text.parse::<f64>().ok() } else { None };
    if infinite || float.is_some_and(f64::is_infinite) {
        diags.push(
            Diagnostic::warning(
                codes::NUMBER_RANGE,
                span,
                format!("`{text}` is no number that JSON has; it is read as text"),
            )
            .help("put it in quotes when text is what you mean"),
        );
        return Value::String(text);
    }
    match float.and_then(serde_json::Number::from_f64) {
        Some(number) => Value::Number(number),
        None => Value::String(text),
    }
}

fn integer(text: &str) -> Option<serde_json::Number> {
    let digits = |s: &str, radix| !s.is_empty() && s.chars().all(|c| c.is_digit(radix));
    if let Some(hex) = text.strip_prefix("0x").filter(|s| digits(s, 16)) {
        return u64::from_str_radix(hex, 16).ok().map(Into::into);
    }
    if let Some(octal) = text.strip_prefix("0o").filter(|s| digits(s, 8)) {
        return u64::from_str_radix(octal, 8).ok().map(Into::into);
    }
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if !digits(rest, 10) {
        return None;
    }
    if negative {
        format!("-{rest}").parse::<i64>().ok().map(Into::into)
    } else {
        rest.parse::<u64>().ok().map(Into::into)
    }
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`; Rust's own parser also takes `inf` and `nan`.
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((m, e)) => (m, Some(e.strip_prefix(['+', '-']).unwrap_or(e))),
        None => (text, None),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|e| !e.is_empty() && digits(e))
}
