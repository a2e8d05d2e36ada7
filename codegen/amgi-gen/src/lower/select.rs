//! How several messages of one address, or of one union, are told apart.
//!
//! What marks a message is read off its schemas: members of the payload and headers that can only have certain values
//! (`const`, `enum`, the schema's name under a `discriminator`), and its content type. As few places as needed are looked at. What
//! no mark tells apart is tried, the more particular message first, and where it is certain that a message fits
//! two schemas, that is reported.

use amgi_asyncapi::{
    diag::Diagnostic,
    model::{Message, Schema},
    node::{Node, Value},
};

use super::{Lowering, schema::types, shape::Shaper};
use crate::{codes, ir};

mod covers;

/// Members that are looked for in members, at most.
const MOST_PATH: usize = 4;
/// How deep alternatives within alternatives are looked into.
const MOST_NESTING: usize = 3;
/// As many schemas of a message are looked at: those that lead back to themselves are met on ever new ways.
const MOST_SCHEMAS: usize = 10_000;
/// Of messages that another one takes, so many are named.
const MOST_NAMED: usize = 5;
/// More values than this mark nothing.
const MOST_VALUES: usize = 64;

/// A place with few values.
#[derive(Clone)]
struct Mark {
    key: ir::Key,
    /// Whether it is always there.
    required: bool,
    values: Vec<String>,
    /// Whether the values are the names of schemas.
    named: bool,
}

impl<'d> Lowering<'d> {
    /// How `messages`, indexes of the IR, are told apart; the more particular ones come first. With `report`, those that are
    /// not are reported.
    pub(super) fn select(&mut self, messages: &[usize], types: &[ir::TypeDef], report: bool) -> ir::Select {
        let marks: Vec<Vec<Mark>> = messages.iter().map(|&index| self.marks(index)).collect();
        let marks = own_names(marks);
        let types_of: Vec<Option<String>> = messages.iter().map(|&index| self.media_type(index)).collect();
        let pairs: Vec<(usize, usize)> =
            (0..messages.len()).flat_map(|j| (0..j).map(move |i| (i, j))).collect();
        let (mut keys, mut open) = choose(&marks, pairs);
        let by_type = |&(i, j): &(usize, usize)| match (&types_of[i], &types_of[j]) {
            (Some(a), Some(b)) => a != b,
            _ => false,
        };
        if open.iter().any(by_type) {
            keys.insert(0, ir::Key::ContentType);
        }
        // Those that differ in nothing but their content type are tried where the sender does not say it.
        let mut order: Vec<usize> = Vec::new();
        for at in 0..messages.len() {
            let loose = |other: usize| open.contains(&(other.min(at), other.max(at)));
            let behind = order.iter().position(|&other| {
                loose(other) && self.is_more_particular(messages[at], messages[other], types)
            });
            order.insert(behind.unwrap_or(order.len()), at);
        }
        open.retain(|pair| !by_type(pair));
        if report {
            self.report_overlaps(messages, &order, &open, types);
        }
        let candidates = order
            .into_iter()
            .map(|at| {
                let whens = keys.iter().enumerate().filter_map(|(key, place)| {
                    let when = |required, values: Vec<String>| ir::When { key, required, values };
                    if *place == ir::Key::ContentType {
                        return types_of[at].clone().map(|media_type| when(false, vec![media_type]));
                    }
                    let mark = marks[at].iter().find(|mark| mark.key == *place)?;
                    Some(when(mark.required, mark.values.clone()))
                });
                ir::Marked { message: messages[at], when: whens.collect() }
            })
            .collect();
        ir::Select { keys, messages: candidates }
    }

    /// A message that is tried before those of which it is a special case.
    fn is_more_particular(&self, message: usize, other: usize, types: &[ir::TypeDef]) -> bool {
        // Any JSON is text, and any text is bytes.
        let codec = |message: usize| match self.messages[message].payload.as_ref().map(|p| p.codec) {
            Some(ir::Codec::Json) => 0,
            Some(ir::Codec::Text) => 1,
            Some(ir::Codec::Raw) => 2,
            None => 3,
        };
        codec(message) < codec(other)
            || (self.covers(other, message, types) && !self.covers(message, other, types))
    }

    fn report_overlaps(
        &mut self,
        messages: &[usize],
        order: &[usize],
        open: &[(usize, usize)],
        types: &[ir::TypeDef],
    ) {
        // What one message takes from others is said once.
        let mut taken: Vec<(usize, Vec<usize>)> = Vec::new();
        for (place, &later) in order.iter().enumerate() {
            // The first one that takes what this one is for, or of which this one is a special case.
            let found = order[..place].iter().find_map(|&earlier| {
                if !open.contains(&(earlier.min(later), earlier.max(later))) {
                    return None;
                }
                let (first, second) = (messages[earlier], messages[later]);
                let all = self.covers(first, second, types);
                (all || self.covers(second, first, types)).then_some((first, second, all))
            });
            let Some((first, second, all)) = found else { continue };
            if !self.overlaps.insert((first, second)) {
                continue;
            }
            if all {
                match taken.iter_mut().find(|(message, _)| *message == first) {
                    Some((_, others)) => others.push(second),
                    None => taken.push((first, vec![second])),
                }
                continue;
            }
            let (a, b) = (&self.messages[first].key, &self.messages[second].key);
            let text = if covers::takes_all(&self.messages[second], types) {
                format!("`{b}` fits whatever comes, so it gets all that `{a}` does not take")
            } else {
                format!("what is meant as `{a}` fits `{b}` too; it is `{a}` when it fits that, else `{b}`")
            };
            self.report_overlap(second, &[first], text);
        }
        for (first, others) in taken {
            let name = |index: &usize| format!("`{}`", self.messages[*index].key);
            let (a, names) = (name(&first), others.iter().take(MOST_NAMED).map(name).collect::<Vec<_>>());
            let more = others.len() - names.len();
            let names = match (names.as_slice(), more) {
                ([only], 0) => only.clone(),
                ([all @ .., last], 0) => format!("{} or {last}", all.join(", ")),
                _ => format!("{}, or {more} more", names.join(", ")),
            };
            let text = format!(
                "what is meant as {names} fits {a} too, and nothing tells them apart, so {a} gets it"
            );
            self.report_overlap(first, &others, text);
        }
    }

    fn report_overlap(&mut self, message: usize, others: &[usize], text: String) {
        let doc = self.doc;
        let span = |index: usize| doc[self.message_ids[index]].span;
        let diagnostic = Diagnostic::warning(codes::MESSAGES_NOT_DISTINCT, span(message), text)
            .help("tell the messages apart by a required property, or header, with a `const` that differs");
        let labelled = others.iter().take(MOST_NAMED).fold(diagnostic, |diagnostic, &other| {
            diagnostic.label(span(other), format!("`{}` is here", self.messages[other].key))
        });
        self.shaper.diagnostics.push(labelled);
    }

    /// What marks a message, in the order of the document: payload first, then headers.
    fn marks(&self, index: usize) -> Vec<Mark> {
        let doc = self.doc;
        let message: &'d Message = &doc[self.message_ids[index]];
        let mut out = Vec::new();
        let json = self.messages[index].payload.as_ref().is_some_and(|p| p.codec == ir::Codec::Json);
        if let Some(id) = message.payload.filter(|_| json) {
            let schema = &doc[id];
            let mut finder =
                Finder { shaper: &self.shaper, path: Vec::new(), out: Vec::new(), left: MOST_SCHEMAS };
            finder.schema(schema.name.as_deref(), &schema.node, true, 0);
            out = finder.out;
        }
        if let Some(id) = message.headers {
            let object = self.shaper.object(&[&doc[id].node]).unwrap_or_default();
            for (wire, nodes) in &object.properties {
                if let Some((values, _)) = nodes.iter().find_map(|node| scalars(self.shaper.resolve(node))) {
                    let key = ir::Key::Header((*wire).to_owned());
                    let required = object.required.contains(wire);
                    out.push(Mark { key, required, values, named: false });
                }
            }
        }
        out
    }

    /// The media type of a message's payload, for comparison.
    fn media_type(&self, index: usize) -> Option<String> {
        let message = &self.messages[index];
        message.payload.as_ref()?;
        let media_type = message.content_type.split(';').next().unwrap_or_default().trim();
        Some(media_type.to_ascii_lowercase()).filter(|text| !text.is_empty())
    }
}

/// The places to look at, and the pairs that remain. One place that tells all apart is best, then as few as it takes.
fn choose(marks: &[Vec<Mark>], mut open: Vec<(usize, usize)>) -> (Vec<ir::Key>, Vec<(usize, usize)>) {
    let mut places: Vec<&ir::Key> = Vec::new();
    for mark in marks.iter().flatten() {
        if !places.contains(&&mark.key) {
            places.push(&mark.key);
        }
    }
    let mut keys: Vec<ir::Key> = Vec::new();
    while !open.is_empty() {
        let parts = |key: &ir::Key| {
            let of = |at: usize| marks[at].iter().find(|mark| mark.key == *key);
            let parted = open.iter().filter(|(i, j)| apart(of(*i), of(*j))).count();
            // What is always there is better than what may be missing.
            let required = (0..marks.len()).filter_map(of).all(|mark| mark.required);
            (parted, required)
        };
        // The first of the best.
        let best = places.iter().rev().map(|key| (parts(key), *key)).max_by_key(|(parts, _)| *parts);
        let Some(((1.., _), key)) = best else { break };
        let of = |at: usize| marks[at].iter().find(|mark| mark.key == *key);
        open.retain(|(i, j)| !apart(of(*i), of(*j)));
        places.retain(|other| *other != key);
        keys.push(key.clone());
    }
    (keys, open)
}

fn apart(a: Option<&Mark>, b: Option<&Mark>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if !a.values.iter().any(|value| b.values.contains(value)))
}

/// Where a message's schema inherits another's, values of the heir are the heir's own.
fn own_names(marks: Vec<Vec<Mark>>) -> Vec<Vec<Mark>> {
    let all = marks.clone();
    marks
        .into_iter()
        .map(|mut marks| {
            for mark in marks.iter_mut().filter(|mark| mark.named) {
                let heirs = all.iter().flatten().filter(|other| {
                    other.named
                        && other.key == mark.key
                        && other.values.len() < mark.values.len()
                        && other.values.iter().all(|value| mark.values.contains(value))
                });
                let theirs: Vec<&String> = heirs.flat_map(|heir| &heir.values).collect();
                mark.values.retain(|value| !theirs.contains(&value));
            }
            marks
        })
        .collect()
}

/// Looks for marks in the schema of a payload.
struct Finder<'s, 'd> {
    shaper: &'s Shaper<'d>,
    path: Vec<&'d str>,
    out: Vec<Mark>,
    /// How many more schemas are looked at.
    left: usize,
}

impl<'d> Finder<'_, 'd> {
    /// Marks within a value, which is always there when `required`. `name` is what the document calls its schema.
    fn schema(&mut self, name: Option<&'d str>, node: &'d Node, required: bool, nesting: usize) {
        let Some(left) = self.left.checked_sub(1) else { return };
        self.left = left;
        let (inner, node) = self.shaper.named(node);
        let name = inner.or(name);
        let required = required && !types(node).contains(&"null");
        let object = self.shaper.object(&[node]);
        if let Some(object) = &object {
            for (wire, nodes) in &object.properties {
                let required = required && object.required.contains(wire);
                self.path.push(wire);
                let values = nodes.iter().find_map(|node| scalars(self.shaper.resolve(node)));
                if let Some((values, text)) = values {
                    self.mark(values, text, required, false);
                } else if self.path.len() < MOST_PATH {
                    for node in nodes {
                        self.schema(None, node, required, nesting + 1);
                    }
                }
                self.path.pop();
            }
        }
        if let Some((name, member)) = name.zip(self.shaper.discriminator(node)) {
            let required = required && object.is_some_and(|object| object.required.contains(member));
            self.path.push(member);
            self.mark(self.shaper.heirs(name), true, required, true);
            self.path.pop();
        }
        self.alternatives(node, required, nesting);
    }

    /// What marks all alternatives marks the whole, with the values of each.
    fn alternatives(&mut self, node: &'d Node, required: bool, nesting: usize) {
        let Some(left) = self.left.checked_sub(1).filter(|_| nesting <= MOST_NESTING) else { return };
        self.left = left;
        for part in node.get("allOf").map(Node::items).unwrap_or_default() {
            self.alternatives(self.shaper.resolve(part), required, nesting + 1);
        }
        for keyword in ["oneOf", "anyOf"] {
            let branches = node.get(keyword).map(Node::items).unwrap_or_default();
            let left = &mut self.left;
            let (shaper, path) = (self.shaper, &self.path);
            let marks = branches.iter().filter(|branch| !is_null(shaper.resolve(branch))).map(|branch| {
                let mut finder = Finder { shaper, path: path.clone(), out: Vec::new(), left: *left };
                finder.schema(None, branch, required, nesting + 1);
                *left = finder.left;
                if let (Some(member), Some(name)) =
                    (node.get("discriminator").and_then(Node::as_str), shaper.named(branch).0)
                {
                    finder.path.push(member);
                    finder.mark(vec![name.to_owned()], true, required, true);
                }
                finder.out
            });
            let nullable = branches.iter().any(|branch| is_null(self.shaper.resolve(branch)));
            let common = marks.reduce(|all, these| {
                let both = all.into_iter().filter_map(|mut mark| {
                    let other = these.iter().find(|other| other.key == mark.key)?;
                    mark.required &= other.required;
                    let new: Vec<_> =
                        other.values.iter().filter(|value| !mark.values.contains(value)).cloned().collect();
                    mark.values.extend(new);
                    Some(mark)
                });
                both.collect()
            });
            for mut mark in common.unwrap_or_default() {
                mark.required &= !nullable;
                self.push(mark);
            }
        }
    }

    fn mark(&mut self, values: Vec<String>, text: bool, required: bool, named: bool) {
        let path = self.path.iter().map(|name| (*name).to_owned()).collect();
        let key = if text { ir::Key::Payload(path) } else { ir::Key::PayloadJson(path) };
        self.push(Mark { key, required, values, named });
    }

    /// What a schema says itself counts before what alternatives or names say.
    fn push(&mut self, mark: Mark) {
        let path = |key: &ir::Key| match key {
            ir::Key::Payload(path) | ir::Key::PayloadJson(path) => path.clone(),
            _ => Vec::new(),
        };
        if mark.values.len() <= MOST_VALUES && !self.out.iter().any(|m| path(&m.key) == path(&mark.key)) {
            self.out.push(mark);
        }
    }
}

impl<'d> Shaper<'d> {
    /// The schema behind references, and the last name on the way there.
    fn named(&self, mut node: &'d Node) -> (Option<&'d str>, &'d Node) {
        let mut name = None;
        for _ in 0..64 {
            let Some(schema) = Schema::reference(node).and_then(|id| self.doc().schemas.get(id.index()))
            else {
                break;
            };
            name = schema.name.as_deref().or(name);
            node = &schema.node;
        }
        (name, node)
    }

    /// AsyncAPI 3.1, Schema Object, `discriminator`: the member that holds the name of the schema, said by it or by one that
    /// it inherits.
    fn discriminator(&self, node: &'d Node) -> Option<&'d str> {
        // Alternatives beside a discriminator are named one by one.
        if node.get("oneOf").is_some() || node.get("anyOf").is_some() {
            return None;
        }
        let own = |node: &'d Node| node.get("discriminator").and_then(Node::as_str);
        self.all_of(&[node]).into_iter().find_map(own)
    }

    /// A schema's name, and those of all that inherit it.
    fn heirs(&self, name: &str) -> Vec<String> {
        let mut out = vec![name.to_owned()];
        let mut done = 0;
        while done < out.len() && out.len() <= MOST_VALUES {
            for schema in &self.doc().schemas {
                let parts = schema.node.get("allOf").map(Node::items).unwrap_or_default();
                let inherits = parts.iter().any(|part| self.named(part).0 == Some(out[done].as_str()));
                if let Some(name) = schema.name.as_ref().filter(|name| inherits && !out.contains(name)) {
                    out.push(name.clone());
                }
            }
            done += 1;
        }
        out
    }
}

/// The only values of a schema, and whether they are texts. Those that are no texts stand as JSON.
fn scalars(node: &Node) -> Option<(Vec<String>, bool)> {
    let values: Vec<&Node> = if let Some(value) = node.get("const") {
        vec![value]
    } else if let Some(values) = node.get("enum") {
        values.items().iter().collect()
    } else {
        let branches = node.get("oneOf").or_else(|| node.get("anyOf"))?.items();
        branches.iter().map(|branch| branch.get("const")).collect::<Option<_>>()?
    };
    let texts: Option<Vec<String>> = values.iter().map(|value| value.as_str().map(str::to_owned)).collect();
    let json = || {
        let scalar = |value: &&Node| match &value.value {
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        values.iter().map(scalar).collect::<Option<Vec<String>>>()
    };
    let found = texts.map(|texts| (texts, true)).or_else(|| Some((json()?, false)))?;
    (!found.0.is_empty()).then_some(found)
}

fn is_null(node: &Node) -> bool {
    types(node) == ["null"]
}
