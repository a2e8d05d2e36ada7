//! Arrays.

use amgi_asyncapi::node::{Node, Value};

use super::{
    Aspect, Certainty, Inclusion,
    facts::Place,
    writer::{Writer, says_nothing},
};

/// The schemas of the first items, and that of all others.
pub(super) fn items(schema: Place<'_>) -> (Vec<Place<'_>>, Option<Place<'_>>) {
    let listed = |node: Option<&Node>| matches!(node, Some(Node { value: Value::Array(_), .. }));
    if listed(schema.get("prefixItems")) {
        (schema.list("prefixItems"), schema.schema("items"))
    } else if listed(schema.get("items")) {
        (schema.list("items"), schema.schema("additionalItems"))
    } else {
        (Vec::new(), schema.schema("items"))
    }
}

impl Inclusion {
    pub(super) fn array<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) {
        let own: Vec<_> = writer.parts.iter().map(|part| items(*part)).collect();
        // What comes after the first items may be refused altogether.
        let ends = own.iter().filter(|(_, rest)| rest.is_some_and(Place::is_false));
        let ends = ends.map(|(prefix, _)| prefix.len() as u64).min();
        let most = [writer.size("maxItems", false), ends].into_iter().flatten().min();
        self.size(writer, reader, "minItems", true, None);
        self.size(writer, reader, "maxItems", false, ends);
        if reader.flag("uniqueItems") && !writer.flag("uniqueItems") && most.is_none_or(|most| most > 1) {
            let spans = (writer.span("uniqueItems"), reader.span("uniqueItems"));
            let texts = (None, Some("true".to_owned()));
            self.differ(Aspect::Bound, Certainty::Certain, "uniqueItems", texts, spans);
        }
        let (prefix, rest) = items(reader);
        let listed = own.iter().map(|(prefix, _)| prefix.len()).max().unwrap_or(0).max(prefix.len());
        let of = |at: usize| -> Vec<Place<'d>> {
            own.iter().filter_map(|(prefix, rest)| prefix.get(at).copied().or(*rest)).collect()
        };
        for at in 0..=listed {
            if most.is_some_and(|most| at as u64 >= most) {
                break;
            }
            let wanted = prefix.get(at).copied().or(rest).filter(|wanted| !says_nothing(*wanted));
            let Some(wanted) = wanted else { continue };
            let written = Writer::new(&of(at));
            let token = if listed == 0 || at == listed { "*".to_owned() } else { at.to_string() };
            self.within(&token, |this| this.holds(&written, wanted));
        }
        self.contains(writer, reader, &of(listed));
        self.unevaluated(writer, reader, "unevaluatedItems");
    }

    fn contains<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>, each: &[Place<'d>]) {
        let Some(wanted) = reader.schema("contains") else { return };
        let counted = |place: Place<'_>| (place.size("minContains"), place.size("maxContains"));
        let known = writer.parts.iter().any(|part| {
            part.schema("contains").is_some_and(|own| self.same.are(own, wanted))
                && counted(*part) == counted(reader)
        });
        if known {
            return;
        }
        let plain = counted(reader) == (None, None);
        let tuple = writer.parts.iter().any(|part| !items(*part).0.is_empty());
        let some = writer.size("minItems", true).is_some_and(|least| least > 0);
        if plain && !tuple && some && !each.is_empty() {
            let written = Writer::new(each);
            if self.attempt(|this| this.holds(&written, wanted)) {
                return;
            }
        }
        let own: Vec<Place<'d>> = writer.parts.iter().filter_map(|part| part.schema("contains")).collect();
        if plain
            && own.iter().any(|own| {
                let written = Writer::new(&[*own]);
                self.attempt(|this| this.holds(&written, wanted))
            })
        {
            return;
        }
        self.condition(writer, reader, "contains", Certainty::Undecided);
    }

    /// Keywords that depend on what others have looked at.
    pub(super) fn unevaluated<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>, keyword: &'static str) {
        if reader.schema(keyword).is_some_and(|schema| !says_nothing(schema)) {
            self.condition(writer, reader, keyword, Certainty::Undecided);
        }
    }
}
