//! Schemas of messages: what is found of them, in the words of a report.

use std::collections::BTreeMap;

use amgi_asyncapi::{
    diag::Span,
    model::{Id, Schema},
    node::Node,
};

use super::{Flow, Spans, Wire};
use crate::{
    diff::{
        Change, Kind, Level, kinds,
        schema::{Aspect, Certainty, Finding, Place, contained, data, defaults},
    },
    settings::Formats,
};

impl Wire<'_> {
    /// The schemas of a payload, of headers, of a binding.
    pub(in crate::diff) fn schema(
        &mut self,
        what: &str,
        place: &str,
        (old, new): (Option<Id<Schema>>, Option<Id<Schema>>),
        flow: Flow,
        spans: Spans,
    ) {
        let (old, new) = match (old, new) {
            (None, None) => return,
            (Some(old), Some(new)) => (&self.old.document[old], &self.new.document[new]),
            (Some(_), None) => {
                // A message without a payload is one with an empty one; headers that are not described are not looked at.
                let level = if what == "payload" { Level::Breaking } else { harmless(flow, Flow::Out) };
                let text = format!("the message has no {what} any more");
                return self.say(kinds::SCHEMA_REMOVED, level, text, place, spans);
            }
            (None, Some(_)) => {
                let level = if what == "payload" { Level::Breaking } else { harmless(flow, Flow::In) };
                let text = format!("the message has {what} that it had not");
                return self.say(kinds::SCHEMA_ADDED, level, text, place, spans);
            }
        };
        if old.foreign_format.is_some() || new.foreign_format.is_some() {
            if old.foreign_format != new.foreign_format {
                let name = |schema: &Schema| {
                    schema.foreign_format.clone().unwrap_or_else(|| "JSON Schema".to_owned())
                };
                let text = format!("the schema is `{}`, was `{}`", name(new), name(old));
                self.say(kinds::FOREIGN_SCHEMA_CHANGED, Level::Breaking, text, place, spans);
            } else if !data(&old.node, &new.node) {
                let text = "the schema is another one, of a format that is not read";
                self.say(kinds::FOREIGN_SCHEMA_CHANGED, Level::Warning, text, place, spans);
            }
            return;
        }
        let one = Place::new(&old.node, self.old.document);
        let other = Place::new(&new.node, self.new.document);
        let formats = flow == Flow::Out || self.new.settings.formats == Formats::Assert;
        let narrower = contained(one, other, formats);
        let wider = contained(other, one, formats);
        let found = Found { narrower: &narrower, wider: &wider, flow, place };
        for (finding, narrows) in
            narrower.iter().map(|finding| (finding, true)).chain(wider.iter().map(|finding| (finding, false)))
        {
            let change = found.change(finding, narrows, self.subject.clone());
            self.changes.extend(change);
        }
        self.defaults(place, one, other);
    }

    fn defaults(&mut self, place: &str, old: Place<'_>, new: Place<'_>) {
        let (was, is): (BTreeMap<String, &Node>, BTreeMap<String, &Node>) = (defaults(old), defaults(new));
        for (pointer, node) in &is {
            let place = format!("{place} {pointer}");
            let text = format!("a missing member is read as `{}`", node.to_json());
            match was.get(pointer) {
                None => {
                    let spans = (None, Some(node.span));
                    self.say(kinds::DEFAULT_CHANGED, Level::Compatible, text, &place, spans);
                }
                Some(old) if !data(old, node) => {
                    let text = format!("{text}, was `{}`", old.to_json());
                    let spans = (Some(old.span), Some(node.span));
                    self.say(kinds::DEFAULT_CHANGED, Level::Warning, text, &place, spans);
                }
                Some(_) => {}
            }
        }
        for (pointer, node) in was.iter().filter(|(pointer, _)| !is.contains_key(*pointer)) {
            let text = format!("a missing member is no longer read as `{}`", node.to_json());
            let place = format!("{place} {pointer}");
            self.say(kinds::DEFAULT_CHANGED, Level::Warning, text, &place, (Some(node.span), None));
        }
    }
}

fn harmless(flow: Flow, breaks: Flow) -> Level {
    if flow == breaks { Level::Warning } else { Level::Compatible }
}

/// What was found both ways.
struct Found<'f> {
    /// What the old version allows and the new one refuses.
    narrower: &'f [Finding],
    /// What the new version allows and the old one refuses.
    wider: &'f [Finding],
    flow: Flow,
    place: &'f str,
}

impl Found<'_> {
    /// The change that a finding is; none where the other way says it better.
    fn change(&self, finding: &Finding, narrows: bool, subject: crate::diff::Subject) -> Option<Change> {
        // Old messages meet new readers where we receive, new messages old readers where we send.
        let matters = narrows == (self.flow == Flow::In);
        let level = match finding.certainty {
            Certainty::Note => Level::Compatible,
            _ if !matters => Level::Compatible,
            Certainty::Undecided => Level::Warning,
            Certainty::Certain => Level::Breaking,
        };
        let others = if narrows { self.wider } else { self.narrower };
        let about = |other: &&Finding| (other.aspect, &other.pointer) == (finding.aspect, &finding.pointer);
        let twin = others.iter().filter(about).find(|other| other.what == finding.what);
        if twin.is_some() && !matters && finding.aspect != Aspect::Member {
            return None;
        }
        let (kind, message) = described(finding, narrows, twin.is_some());
        let (old, new): (Option<Span>, Option<Span>) = if narrows {
            (finding.writer_span, finding.reader_span)
        } else {
            (finding.reader_span, finding.writer_span)
        };
        let place = if finding.pointer.is_empty() {
            self.place.to_owned()
        } else {
            format!("{} {}", self.place, finding.pointer)
        };
        let hint = if level == Level::Breaking { hint(kind, self.flow) } else { None };
        Some(Change { kind, level, subject, message, place, hint, old, new })
    }
}

/// The kind of change and its words. `both` where values came and went.
fn described(finding: &Finding, narrows: bool, both: bool) -> (Kind, String) {
    let (was, is) =
        if narrows { (&finding.writer, &finding.reader) } else { (&finding.reader, &finding.writer) };
    let text = |said: &Option<String>| said.clone().unwrap_or_default();
    let what = &finding.what;
    let pick = |narrower: Kind, wider: Kind| if narrows { narrower } else { wider };
    let moved = || match (was, is) {
        (Some(was), Some(is)) => format!("`{what}` is `{is}`, was `{was}`"),
        (None, Some(is)) => format!("`{what}` is new: `{is}`"),
        (Some(was), None) => format!("`{what}` is gone, was `{was}`"),
        (None, None) => format!("`{what}` is another one"),
    };
    let undecided = finding.certainty == Certainty::Undecided;
    match finding.aspect {
        Aspect::Type => {
            let kind =
                if both { kinds::TYPE_CHANGED } else { pick(kinds::TYPE_NARROWED, kinds::TYPE_WIDENED) };
            (kind, format!("the type is {}, was {}", text(is), text(was)))
        }
        Aspect::Values => {
            let verb = match (narrows, undecided) {
                (true, false) => "no longer allowed",
                (false, false) => "allowed now",
                (true, true) => "perhaps no longer allowed",
                (false, true) => "perhaps allowed only now",
            };
            (pick(kinds::ENUM_VALUE_REMOVED, kinds::ENUM_VALUE_ADDED), format!("{verb}: {what}"))
        }
        Aspect::Listed if narrows => {
            (kinds::ENUM_CLOSED, format!("only these are allowed now: {}", text(is)))
        }
        Aspect::Listed => (kinds::ENUM_OPENED, format!("not only these are allowed any more: {}", text(was))),
        Aspect::Bound => (pick(kinds::BOUND_NARROWED, kinds::BOUND_WIDENED), moved()),
        Aspect::Pattern => (
            three(
                was.as_ref(),
                is.as_ref(),
                [kinds::PATTERN_ADDED, kinds::PATTERN_REMOVED, kinds::PATTERN_CHANGED],
            ),
            moved(),
        ),
        Aspect::Format => (
            three(
                was.as_ref(),
                is.as_ref(),
                [kinds::FORMAT_ADDED, kinds::FORMAT_REMOVED, kinds::FORMAT_CHANGED],
            ),
            moved(),
        ),
        Aspect::Required => {
            let name = last(&finding.pointer);
            match (narrows, finding.writer.is_some()) {
                (true, true) => (kinds::MEMBER_REQUIRED, format!("`{name}` is required now")),
                (true, false) => (kinds::MEMBER_REQUIRED, format!("`{name}` is new, and required")),
                (false, true) => (kinds::MEMBER_OPTIONAL, format!("`{name}` is no longer required")),
                (false, false) => (kinds::MEMBER_REMOVED, format!("`{name}` is gone, and was required")),
            }
        }
        Aspect::Forbidden => {
            let what = if what.is_empty() { "a value".to_owned() } else { format!("`{what}`") };
            let verb = if narrows { "is no longer allowed" } else { "is allowed now" };
            (pick(kinds::MEMBER_FORBIDDEN, kinds::MEMBER_ALLOWED), format!("{what} {verb}"))
        }
        Aspect::Additional => {
            let verb = if narrows { "no longer allowed, or not with any value" } else { "allowed now" };
            let kind = pick(kinds::ADDITIONAL_CLOSED, kinds::ADDITIONAL_OPENED);
            (kind, format!("members that are not described are {verb}"))
        }
        Aspect::Alternative => {
            let name = if what.is_empty() { text(&finding.writer) } else { format!("`{what}`") };
            let verb = if narrows { "gone" } else { "new" };
            (
                pick(kinds::ALTERNATIVE_REMOVED, kinds::ALTERNATIVE_ADDED),
                format!("an alternative is {verb}: {name}"),
            )
        }
        Aspect::Overlap => {
            let text = format!("values may fit several alternatives of `{what}`, of which only one may fit");
            (kinds::ALTERNATIVES_OVERLAP, text)
        }
        Aspect::Condition => {
            let verb = match (was, is) {
                (None, Some(_)) => "is new",
                (Some(_), None) => "is gone",
                _ => "is another one",
            };
            (kinds::CONDITION_CHANGED, format!("`{what}` {verb}"))
        }
        Aspect::Deep => (kinds::NOT_COMPARED, "the schemas are too large to be compared".to_owned()),
        Aspect::Member if narrows => (kinds::MEMBER_ADDED, format!("`{what}` is new, and optional")),
        Aspect::Member => (kinds::MEMBER_REMOVED, format!("`{what}` is gone, and was optional")),
    }
}

fn three(was: Option<&String>, is: Option<&String>, [added, removed, changed]: [Kind; 3]) -> Kind {
    match (was, is) {
        (None, Some(_)) => added,
        (Some(_), None) => removed,
        _ => changed,
    }
}

fn last(pointer: &str) -> String {
    pointer.rsplit('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~")
}

/// What can be done about it.
fn hint(kind: Kind, flow: Flow) -> Option<&'static str> {
    let any = |kinds: &[Kind]| kinds.contains(&kind);
    Some(match flow {
        Flow::In if kind == kinds::MEMBER_REQUIRED => {
            "keep it optional until every peer sends it; a `default` can stand in for it"
        }
        Flow::In if any(&[kinds::ENUM_VALUE_REMOVED, kinds::ALTERNATIVE_REMOVED]) => {
            "keep it until no peer sends it"
        }
        Flow::In if kind == kinds::ADDITIONAL_CLOSED => {
            "peers may send members that this document does not describe"
        }
        Flow::Out if any(&[kinds::MEMBER_REMOVED, kinds::MEMBER_OPTIONAL]) => {
            "go on sending it until no reader requires it"
        }
        Flow::Out if any(&[kinds::ENUM_VALUE_ADDED, kinds::ALTERNATIVE_ADDED]) => {
            "send it only when every reader knows it"
        }
        _ => return None,
    })
}
