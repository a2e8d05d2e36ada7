//! Numbers and texts.

use super::{
    Aspect, Certainty, Inclusion,
    facts::{Bound, End, Place, Types, divides},
    writer::Writer,
};

/// Formats of which each text of the first is one of the second.
const WITHIN: &[(&str, &str)] = &[
    ("email", "idn-email"),
    ("hostname", "idn-hostname"),
    ("uri", "iri"),
    ("uri", "uri-reference"),
    ("uri", "iri-reference"),
    ("uri-reference", "iri-reference"),
    ("iri", "iri-reference"),
];

/// Formats of texts that are checked; others say nothing of values.
const FORMATS: &[&str] = &[
    "date",
    "date-time",
    "duration",
    "email",
    "hostname",
    "idn-email",
    "idn-hostname",
    "ipv4",
    "ipv6",
    "iri",
    "iri-reference",
    "json-pointer",
    "regex",
    "relative-json-pointer",
    "time",
    "uri",
    "uri-reference",
    "uri-template",
    "uuid",
];

impl Inclusion {
    pub(super) fn scalars<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) {
        if writer.types.meets(Types::NUMBER) {
            let numbers = writer.with_types(Types::NUMBER);
            self.bounds(&numbers, reader);
            self.multiples(&numbers, reader);
        }
        if writer.types.meets(Types::STRING) {
            self.size(writer, reader, "minLength", true, None);
            self.size(writer, reader, "maxLength", false, None);
            self.pattern(writer, reader);
            self.format(writer, reader);
            for keyword in ["contentEncoding", "contentMediaType"] {
                let wanted = reader.text(keyword);
                if wanted.is_some() && !writer.parts.iter().any(|part| part.text(keyword) == wanted) {
                    self.condition(writer, reader, keyword, Certainty::Undecided);
                }
            }
        }
    }

    fn bounds<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) {
        let whole = !writer.types.meets(Types::FRACTION);
        let seen = |bound: Bound, end| if whole { bound.for_whole(end) } else { bound };
        for end in [End::Lower, End::Upper] {
            let Some((wanted, keyword)) = Bound::of(reader, end) else { continue };
            let own = writer.bound(end);
            if own.is_some_and(|(own, _)| seen(wanted, end).covers(seen(own, end), end)) {
                continue;
            }
            let text = |part: Place<'_>| {
                let (_, keyword) = Bound::of(part, end)?;
                part.number(keyword).map(ToString::to_string)
            };
            let said = writer.parts.iter().find_map(|part| text(*part));
            let at = own.map_or(keyword, |(_, keyword)| keyword);
            let spans = (writer.span(at), reader.span(keyword));
            self.differ(Aspect::Bound, Certainty::Certain, keyword, (said, text(reader)), spans);
        }
    }

    fn multiples<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) {
        let keyword = "multipleOf";
        let Some(wanted) = reader.number(keyword) else { return };
        let one = serde_json::Number::from(1);
        let whole = !writer.types.meets(Types::FRACTION);
        let own = writer.parts.iter().filter_map(|part| part.number(keyword));
        if own.chain(whole.then_some(&one)).any(|own| divides(own, wanted)) {
            return;
        }
        let said = writer.parts.iter().find_map(|part| part.number(keyword)).map(ToString::to_string);
        let spans = (writer.span(keyword), reader.span(keyword));
        self.differ(Aspect::Bound, Certainty::Certain, keyword, (said, Some(wanted.to_string())), spans);
    }

    /// A keyword that bounds a size; `implied` is what the writer keeps to without saying so.
    pub(super) fn size<'d>(
        &mut self,
        writer: &Writer<'d>,
        reader: Place<'d>,
        keyword: &'static str,
        lower: bool,
        implied: Option<u64>,
    ) {
        let Some(wanted) = reader.size(keyword).filter(|size| !lower || *size > 0) else { return };
        let said = writer.size(keyword, lower);
        let holds = |own: u64| if lower { own >= wanted } else { own <= wanted };
        if said.into_iter().chain(implied).any(holds) {
            return;
        }
        let spans = (writer.span(keyword), reader.span(keyword));
        let texts = (said.map(|size| size.to_string()), Some(wanted.to_string()));
        self.differ(Aspect::Bound, Certainty::Certain, keyword, texts, spans);
    }

    fn pattern<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) {
        let Some(wanted) = reader.text("pattern") else { return };
        let mut own = writer.parts.iter().filter_map(|part| part.text("pattern"));
        let first = own.clone().next();
        if own.any(|pattern| pattern == wanted) {
            return;
        }
        // Two expressions are not compared.
        let certainty = if first.is_some() { Certainty::Undecided } else { Certainty::Certain };
        let spans = (writer.span("pattern"), reader.span("pattern"));
        let texts = (first.map(str::to_owned), Some(wanted.to_owned()));
        self.differ(Aspect::Pattern, certainty, "pattern", texts, spans);
    }

    fn format<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) {
        let Some(wanted) = reader.text("format").filter(|format| FORMATS.contains(format)) else { return };
        let own: Vec<&str> = writer.parts.iter().filter_map(|part| part.text("format")).collect();
        if own.iter().any(|own| *own == wanted || WITHIN.contains(&(own, wanted))) {
            return;
        }
        let certainty = if self.formats { Certainty::Certain } else { Certainty::Note };
        let spans = (writer.span("format"), reader.span("format"));
        let texts = (own.first().map(|format| (*format).to_owned()), Some(wanted.to_owned()));
        self.differ(Aspect::Format, certainty, "format", texts, spans);
    }
}
