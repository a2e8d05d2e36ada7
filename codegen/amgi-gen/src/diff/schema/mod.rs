//! Whether every value that one schema allows is allowed by another, keyword by keyword, and where it is not.
//!
//! The first is the *writer's*, the second the *reader's*. What must stay true: where nothing is found, no value that is written
//! is refused. When in doubt something is found, and marked as undecided. One thing is taken otherwise than by the letter: a
//! writer whose schema is silent about members does not write those that only the reader's schema describes, or no optional member
//! could ever be added.

mod accepts;
mod array;
mod defaults;
mod facts;
mod object;
mod same;
mod scalar;
mod union;
mod writer;

use std::collections::HashSet;

use amgi_asyncapi::diag::Span;

use self::{
    accepts::accepts,
    facts::{Identity, Types},
    same::Same,
    writer::Writer,
};
pub(super) use self::{defaults::defaults, facts::Place, same::data};

/// Comparisons of one pair of schemas. Above that it is not decided.
const MOST_STEPS: usize = 20_000;
/// How deep they lead into each other.
const DEEPEST: usize = 40;
/// Values that a message names.
const MOST_VALUES: usize = 6;

/// What two schemas differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Aspect {
    /// The types of value.
    Type,
    /// Single values of `enum` or `const`.
    Values,
    /// Whether there is an `enum` or `const` at all.
    Listed,
    /// A bound, a size, `multipleOf`, `uniqueItems`.
    Bound,
    Pattern,
    Format,
    /// Whether a member must be there.
    Required,
    /// Whether a member may be there.
    Forbidden,
    /// Whether members that are not described may be there.
    Additional,
    /// Alternatives of `oneOf` and `anyOf`.
    Alternative,
    /// Whether a value fits several alternatives of which one may fit.
    Overlap,
    /// `not`, `if`, `contains` and the other keywords that are rarely there.
    Condition,
    /// Where both are too large to be compared.
    Deep,
    /// A member that only one of them describes, and that need not be there.
    Member,
}

/// How sure it is that values are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Certainty {
    /// None are; it is only good to know.
    Note,
    /// It cannot be decided.
    Undecided,
    /// There are such values.
    Certain,
}

/// One reason why what is written may be refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Finding {
    pub(super) aspect: Aspect,
    pub(super) certainty: Certainty,
    /// JSON Pointer into the value; `*` stands for any element or member.
    pub(super) pointer: String,
    /// The keyword, member, or values it is about.
    pub(super) what: String,
    /// What the writer's schema says, where it says something.
    pub(super) writer: Option<String>,
    pub(super) reader: Option<String>,
    pub(super) writer_span: Option<Span>,
    pub(super) reader_span: Option<Span>,
}

/// Why what `writer` allows may be refused by `reader`. Texts are held to their `format` where `formats` says so.
pub(super) fn contained(writer: Place<'_>, reader: Place<'_>, formats: bool) -> Vec<Finding> {
    let mut inclusion = Inclusion {
        findings: Vec::new(),
        visited: HashSet::new(),
        order: Vec::new(),
        same: Same::default(),
        steps: MOST_STEPS,
        depth: 0,
        pointer: String::new(),
        strict: false,
        formats,
    };
    inclusion.holds(&Writer::new(&[writer]), reader);
    let mut seen = HashSet::new();
    inclusion.findings.retain(|finding| seen.insert(finding.clone()));
    inclusion.findings
}

/// A writer and a reader that were compared, or are being compared.
type Pair = (Vec<Identity>, Types, Identity);

struct Inclusion {
    findings: Vec<Finding>,
    /// What is there need not be looked at again: what is wrong with it is among the findings already.
    visited: HashSet<Pair>,
    /// The same in the order in which they came, so that what a failed attempt has seen can be taken back.
    order: Vec<Pair>,
    same: Same,
    steps: usize,
    depth: usize,
    pointer: String,
    /// Whether members that a writer's schema is silent about are written all the same.
    strict: bool,
    formats: bool,
}

impl Inclusion {
    /// Looks for reasons why what `writer` allows may be refused.
    fn holds<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) {
        if writer.types.is_empty() || self.is_same(writer, reader) {
            return;
        }
        if self.steps == 0 || self.depth == DEEPEST {
            self.find(Aspect::Deep, Certainty::Undecided, "", (writer.span(""), Some(reader.node.span)));
            return;
        }
        let pair = (writer.identity(), writer.types, reader.id());
        if !self.visited.insert(pair.clone()) {
            return;
        }
        self.order.push(pair);
        self.steps -= 1;
        self.depth += 1;
        if !self.finite(writer, reader) {
            for part in reader.parts() {
                self.part(writer, part);
            }
        }
        self.depth -= 1;
    }

    fn is_same<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) -> bool {
        writer.parts.iter().any(|part| self.same.are(*part, reader))
    }

    fn part<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) {
        if self.is_same(writer, reader) {
            return;
        }
        for union in reader.unions() {
            self.union(writer, &union);
        }
        self.plain(writer, reader);
    }

    /// All keywords but those with alternatives.
    fn plain<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) {
        if self.steps == 0 {
            self.find(Aspect::Deep, Certainty::Undecided, "", (writer.span(""), Some(reader.node.span)));
            return;
        }
        self.steps -= 1;
        if writer.unions.is_empty() {
            return self.keywords(writer, reader);
        }
        // Often what stands beside the alternatives is enough. What they say of members is not known then.
        if !self.by_the_letter(|this| this.attempt(|this| this.keywords(writer, reader))) {
            for one in writer.split() {
                if !one.types.is_empty() && !self.finite(&one, reader) {
                    self.plain(&one, reader);
                }
            }
        }
    }

    fn keywords<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) {
        if reader.is_false() {
            self.find(Aspect::Forbidden, Certainty::Certain, "", (writer.span(""), Some(reader.node.span)));
            return;
        }
        let allowed = reader.said_types();
        if !writer.types.within(allowed) {
            let spans = (writer.span("type"), reader.span("type"));
            let said = (Some(writer.types.names()), Some(allowed.names()));
            self.differ(Aspect::Type, Certainty::Certain, "type", said, spans);
        }
        let writer = &writer.with_types(writer.types.and(allowed));
        if writer.types.is_empty() {
            return;
        }
        if let Some(values) = reader.listed() {
            let keyword = if reader.get("const").is_some() { "const" } else { "enum" };
            let spans = (writer.span("type"), reader.span(keyword));
            let shown = values.iter().take(MOST_VALUES).map(|value| format!("`{}`", value.to_json()));
            let mut shown: Vec<String> = shown.collect();
            if values.len() > MOST_VALUES {
                shown.push("…".to_owned());
            }
            self.differ(Aspect::Listed, Certainty::Certain, keyword, (None, Some(shown.join(", "))), spans);
            return;
        }
        self.scalars(writer, reader);
        if writer.types.meets(Types::ARRAY) {
            self.array(&writer.with_types(Types::ARRAY), reader);
        }
        if writer.types.meets(Types::OBJECT) {
            self.object(&writer.with_types(Types::OBJECT), reader);
        }
        self.conditions(writer, reader);
    }

    /// Compares value by value, where there are only so many; whether there are.
    fn finite<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) -> bool {
        let Some((owner, values)) = writer.values() else { return false };
        let types = values.iter().fold(Types::NONE, |all, value| all.or(Types::of(value)));
        if !values.is_empty() && !types.meets(reader.types()) {
            let said = (Some(types.names()), Some(reader.types().names()));
            let spans = (writer.span("type"), reader.span("type").or(Some(reader.node.span)));
            self.differ(Aspect::Type, Certainty::Certain, "type", said, spans);
            return true;
        }
        let keyword = if owner.get("const").is_some() { "const" } else { "enum" };
        let refuses = ["const", "enum"].into_iter().find_map(|keyword| reader.span(keyword));
        let spans = (owner.span(keyword), refuses.or(Some(reader.node.span)));
        for (wanted, certainty) in [(Some(false), Certainty::Certain), (None, Certainty::Undecided)] {
            let verdict = |value: &amgi_asyncapi::node::Node| match accepts(reader, value) {
                // Formats are not judged, and need not be where they are not asserted.
                None if !self.formats && only_format(reader) => Some(true),
                verdict => verdict,
            };
            let found: Vec<String> = values
                .iter()
                .filter(|value| verdict(value) == wanted)
                .map(|value| format!("`{}`", value.to_json()))
                .collect();
            if !found.is_empty() {
                self.find(Aspect::Values, certainty, &found.join(", "), spans);
            }
        }
        true
    }

    /// `not` and `if`.
    fn conditions<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) {
        if let Some(not) = reader.schema("not")
            && !writer.parts.iter().any(|part| part.schema("not").is_some_and(|own| self.same.are(own, not)))
            && !self.disjoint(writer, not, 0)
        {
            self.condition(writer, reader, "not", Certainty::Undecided);
        }
        if reader.schema("if").is_some() {
            let triple = |place: Place<'d>| ["if", "then", "else"].map(|keyword| place.schema(keyword));
            let wanted = triple(reader);
            let known = writer.parts.iter().any(|part| {
                triple(*part).iter().zip(&wanted).all(|(own, wanted)| match (own, wanted) {
                    (None, None) => true,
                    (Some(own), Some(wanted)) => self.same.are(*own, *wanted),
                    _ => false,
                })
            });
            let branches = wanted[1..].iter().flatten();
            let known =
                known || branches.into_iter().all(|branch| self.attempt(|this| this.holds(writer, *branch)));
            if !known {
                self.condition(writer, reader, "if", Certainty::Undecided);
            }
        }
    }

    /// A keyword that is not taken apart.
    fn condition(&mut self, writer: &Writer<'_>, reader: Place<'_>, keyword: &str, certainty: Certainty) {
        let own = writer.parts.iter().any(|part| part.get(keyword).is_some()).then(String::new);
        let spans = (writer.span(keyword), reader.span(keyword));
        self.differ(Aspect::Condition, certainty, keyword, (own, Some(String::new())), spans);
    }

    /// Whether nothing is found by it. What is found is forgotten.
    fn attempt(&mut self, work: impl FnOnce(&mut Self)) -> bool {
        self.tried(work).0
    }

    /// The same with what is found. Where it is nothing but notes, they are kept.
    fn tried(&mut self, work: impl FnOnce(&mut Self)) -> (bool, Vec<Finding>) {
        let (kept, known) = (std::mem::take(&mut self.findings), self.order.len());
        work(self);
        let found = std::mem::replace(&mut self.findings, kept);
        let fine = found.iter().all(|finding| finding.certainty == Certainty::Note);
        if fine {
            self.findings.extend(found);
            return (true, Vec::new());
        }
        for pair in self.order.drain(known..) {
            self.visited.remove(&pair);
        }
        (false, found)
    }

    /// Takes silence about members for leave to write them.
    fn by_the_letter(&mut self, work: impl FnOnce(&mut Self) -> bool) -> bool {
        // What was looked at before was looked at otherwise.
        let kept = (self.strict, std::mem::take(&mut self.visited), std::mem::take(&mut self.order));
        self.strict = true;
        let result = work(self);
        (self.strict, self.visited, self.order) = kept;
        result
    }

    /// Goes on a step deeper into the value.
    fn within(&mut self, token: &str, work: impl FnOnce(&mut Self)) {
        let length = self.pointer.len();
        self.pointer.push('/');
        self.pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
        work(self);
        self.pointer.truncate(length);
    }

    fn find(
        &mut self,
        aspect: Aspect,
        certainty: Certainty,
        what: &str,
        spans: (Option<Span>, Option<Span>),
    ) {
        self.differ(aspect, certainty, what, (None, None), spans);
    }

    fn differ(
        &mut self,
        aspect: Aspect,
        certainty: Certainty,
        what: &str,
        (writer, reader): (Option<String>, Option<String>),
        (writer_span, reader_span): (Option<Span>, Option<Span>),
    ) {
        self.findings.push(Finding {
            aspect,
            certainty,
            pointer: self.pointer.clone(),
            what: what.to_owned(),
            writer,
            reader,
            writer_span,
            reader_span,
        });
    }
}

/// Whether `format` is all that keeps a text from being judged.
fn only_format(reader: Place<'_>) -> bool {
    reader.get("format").is_some()
        && ["pattern", "not", "if"].iter().all(|keyword| reader.get(keyword).is_none())
}
