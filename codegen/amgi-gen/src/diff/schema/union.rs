//! Alternatives.

use super::{
    Aspect, Certainty, Finding, Inclusion,
    accepts::accepts,
    facts::{Bound, End, Place, Types, Union},
    writer::Writer,
};

/// Alternatives that are compared one by one to say what is wrong; of more, that none fits.
const MOST_SHOWN: usize = 12;
/// How deep it is looked into two schemas to tell them apart.
const APART: usize = 5;

/// The alternatives that a writer was divided by, and which of them it is.
type From<'u, 'd> = Option<(&'u Union<'d>, usize)>;

impl Inclusion {
    pub(super) fn union<'d>(&mut self, writer: &Writer<'d>, reader: &Union<'d>) {
        let own = writer.parts.iter().flat_map(|part| part.unions());
        let mut own = own.filter(|own| own.keyword == reader.keyword);
        if own.any(|own| {
            own.alternatives.len() == reader.alternatives.len()
                && own.alternatives.iter().zip(&reader.alternatives).all(|(a, b)| self.same.are(*a, *b))
        }) {
            return;
        }
        self.divide(writer, reader, None);
    }

    /// Each alternative of the writer by itself, where it has any.
    fn divide<'d>(&mut self, writer: &Writer<'d>, reader: &Union<'d>, from: From<'_, 'd>) {
        let Some(first) = writer.unions.first() else { return self.cover(writer, reader, from) };
        for (index, one) in writer.split().iter().enumerate() {
            self.cover(one, reader, Some((first, index)));
        }
    }

    /// Looks for an alternative that takes all that is written.
    fn cover<'d>(&mut self, writer: &Writer<'d>, reader: &Union<'d>, from: From<'_, 'd>) {
        if writer.types.is_empty() {
            return;
        }
        if self.steps == 0 {
            self.find(
                Aspect::Deep,
                Certainty::Undecided,
                "",
                (writer.span(""), Some(reader.owner.node.span)),
            );
            return;
        }
        self.steps -= 1;
        if self.each_value(writer, reader) {
            return;
        }
        let possible: Vec<(usize, Place<'d>)> = reader
            .alternatives
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, alternative)| !self.disjoint(writer, *alternative, 0))
            .collect();
        let taken =
            possible.iter().find(|(_, alternative)| self.attempt(|this| this.holds(writer, *alternative)));
        if let Some((index, _)) = taken {
            let index = *index;
            if reader.exactly_one() {
                self.only_one(writer, &possible, index, reader, from);
            }
            return;
        }
        if !writer.unions.is_empty() {
            return self.divide(writer, reader, from);
        }
        let types = writer.types.each();
        if types.len() > 1 {
            for one in types {
                self.cover(&writer.with_types(one), reader, from);
            }
            return;
        }
        self.none_fits(writer, reader, &possible, from);
    }

    /// Compares value by value, where there are only so many; whether there are.
    fn each_value<'d>(&mut self, writer: &Writer<'d>, reader: &Union<'d>) -> bool {
        let Some((owner, values)) = writer.values() else { return false };
        let spans = (owner.span("enum").or_else(|| owner.span("const")), reader.owner.span(reader.keyword));
        for (wanted, certainty) in [(Some(false), Certainty::Certain), (None, Certainty::Undecided)] {
            let refused = values.iter().filter(|value| {
                let verdicts: Vec<_> = reader.alternatives.iter().map(|one| accepts(*one, value)).collect();
                let fitting = verdicts.iter().filter(|verdict| **verdict == Some(true)).count();
                let verdict = match (fitting, verdicts.contains(&None)) {
                    (0, true) => None,
                    (0, false) => Some(false),
                    (_, _) if !reader.exactly_one() => Some(true),
                    (1, true) => None,
                    (fitting, _) => Some(fitting == 1),
                };
                verdict == wanted
            });
            let refused: Vec<String> = refused.map(|value| format!("`{}`", value.to_json())).collect();
            if !refused.is_empty() {
                self.find(Aspect::Values, certainty, &refused.join(", "), spans);
            }
        }
        true
    }

    /// Looks for other alternatives that may fit as well.
    fn only_one<'d>(
        &mut self,
        writer: &Writer<'d>,
        possible: &[(usize, Place<'d>)],
        taken: usize,
        reader: &Union<'d>,
        from: From<'_, 'd>,
    ) {
        for (index, other) in possible.iter().filter(|(index, _)| *index != taken) {
            // What fits it would fit another alternative of the writer, of which exactly one fits, too.
            let excluded = from.filter(|(union, _)| union.exactly_one()).is_some_and(|(union, own)| {
                let mut others: Vec<usize> = (0..union.alternatives.len()).filter(|at| *at != own).collect();
                others.sort_by_key(|at| *at != *index);
                let reversed = Writer::new(&[*other]);
                self.by_the_letter(|this| {
                    others
                        .into_iter()
                        .any(|at| this.attempt(|this| this.holds(&reversed, union.alternatives[at])))
                })
            });
            if !excluded {
                let spans = (writer.span(""), Some(other.node.span));
                self.find(Aspect::Overlap, Certainty::Undecided, reader.keyword, spans);
                return;
            }
        }
    }

    /// Says why no alternative takes what is written, by the one that was probably meant.
    fn none_fits<'d>(
        &mut self,
        writer: &Writer<'d>,
        reader: &Union<'d>,
        possible: &[(usize, Place<'d>)],
        from: From<'_, 'd>,
    ) {
        let mut best: Option<Vec<Finding>> = None;
        let mut certain = true;
        let own = from.map(|(_, index)| index);
        let mut ordered = possible.to_vec();
        ordered.sort_by_key(|(index, _)| Some(*index) != own);
        for (_, alternative) in ordered.iter().take(MOST_SHOWN) {
            let (_, found) = self.tried(|this| this.holds(writer, *alternative));
            let known = found.iter().any(|finding| finding.certainty == Certainty::Certain);
            certain &= known;
            if !found.is_empty() && best.as_ref().is_none_or(|best| found.len() < best.len()) {
                best = Some(found);
            }
        }
        let Some(mut best) = best.filter(|_| possible.len() <= MOST_SHOWN) else {
            let certainty = if possible.is_empty() { Certainty::Certain } else { Certainty::Undecided };
            let name = writer.parts.last().and_then(|part| part.text("title")).unwrap_or_default().to_owned();
            let place = writer.parts.last().map(|part| part.node.span);
            let said = Some(writer.types.names());
            let spans = (place, reader.owner.span(reader.keyword));
            self.differ(Aspect::Alternative, certainty, &name, (said, None), spans);
            return;
        };
        if !certain {
            for finding in &mut best {
                finding.certainty = finding.certainty.min(Certainty::Undecided);
            }
        }
        self.findings.append(&mut best);
    }

    /// Whether no value fits both. Only what is plain to see counts.
    pub(super) fn disjoint<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>, depth: usize) -> bool {
        let types = reader.types();
        if !writer.types.meets(types) {
            return true;
        }
        if depth > APART || self.steps == 0 {
            return false;
        }
        self.steps -= 1;
        let parts = reader.parts();
        if let Some((_, values)) = writer.values()
            && values.iter().all(|value| accepts(reader, value) == Some(false))
        {
            return true;
        }
        if let Some(values) = parts.iter().find_map(|part| part.listed())
            && values.iter().all(|value| {
                !Types::of(value).within(writer.types)
                    || writer.parts.iter().any(|part| accepts(*part, value) == Some(false))
            })
        {
            return true;
        }
        for union in parts.iter().flat_map(|part| part.unions()) {
            if union.alternatives.iter().all(|one| self.disjoint(writer, *one, depth + 1)) {
                return true;
            }
        }
        if !writer.unions.is_empty() && writer.split().iter().all(|one| self.disjoint(one, reader, depth + 1))
        {
            return true;
        }
        let both = writer.types.and(types);
        (both.within(Types::NUMBER) && apart(writer, &parts))
            || (both == Types::OBJECT && self.members_apart(writer, &parts, depth))
    }

    /// A member that must be there and cannot be the same in both, or that one of them refuses.
    fn members_apart<'d>(&mut self, writer: &Writer<'d>, reader: &[Place<'d>], depth: usize) -> bool {
        let whole = Writer { parts: reader.to_vec(), unions: Vec::new(), types: Types::OBJECT };
        let mut names: Vec<&str> =
            writer.parts.iter().chain(reader).flat_map(|part| part.required()).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().any(|name| {
            let (own, other) = (writer.member(name), whole.member(name));
            own.forbidden
                || other.forbidden
                || (!own.schemas.is_empty()
                    && other
                        .schemas
                        .iter()
                        .any(|schema| self.disjoint(&Writer::new(&own.schemas), *schema, depth + 1)))
        })
    }
}

/// Whether one ends before the other begins.
fn apart(writer: &Writer<'_>, reader: &[Place<'_>]) -> bool {
    let whole = Writer { parts: reader.to_vec(), unions: Vec::new(), types: Types::NUMBER };
    let before = |a: Option<(Bound, &str)>, b: Option<(Bound, &str)>| match (a, b) {
        (Some((upper, _)), Some((lower, _))) => {
            upper.at.order(lower.at).is_lt()
                || (upper.at.order(lower.at).is_eq() && (upper.open || lower.open))
        }
        _ => false,
    };
    before(writer.bound(End::Upper), whole.bound(End::Lower))
        || before(whole.bound(End::Upper), writer.bound(End::Lower))
}
