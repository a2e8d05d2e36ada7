//! Objects.

use amgi_asyncapi::{
    diag::Span,
    node::{Node, Value},
};

use super::{
    Aspect, Certainty, Inclusion,
    accepts::finds,
    facts::{Place, Types},
    writer::{Writer, says_nothing},
};

impl Inclusion {
    pub(super) fn object<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) {
        self.required(writer, reader);
        self.members(writer, reader);
        self.patterns(writer, reader);
        self.others(writer, reader);
        self.names(writer, reader);
        let needed = writer.parts.iter().flat_map(|part| part.required());
        let needed = needed.collect::<std::collections::HashSet<_>>().len() as u64;
        self.size(writer, reader, "minProperties", true, Some(needed));
        let most = (writer.closed() && !writer.has_patterns()).then(|| writer.names().len() as u64);
        self.size(writer, reader, "maxProperties", false, most);
        self.dependencies(writer, reader);
        self.unevaluated(writer, reader, "unevaluatedProperties");
    }

    fn required<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) {
        for name in reader.required().filter(|name| !writer.required(name)) {
            let listed = reader.get("required").map_or(&[][..], Node::items);
            let place = listed.iter().find(|item| item.as_str() == Some(name)).map(|item| item.span);
            let spans = (member_span(&writer.parts, name).or_else(|| writer.span("properties")), place);
            let own = writer.member(name).described.then(String::new);
            self.within(name, |this| {
                this.differ(Aspect::Required, Certainty::Certain, name, (own, None), spans);
            });
        }
    }

    /// Members that one of them names.
    fn members<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) {
        let described = reader.get("properties").map_or(&[][..], Node::entries);
        let mut names: Vec<&'d str> = described.iter().map(|entry| entry.key.as_str()).collect();
        names.extend(writer.names());
        names.extend(writer.parts.iter().flat_map(|part| part.required()));
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(*name));
        for name in names {
            let (wanted, by_name, doubtful) = wanted(reader, name);
            let member = writer.member(name);
            let must = writer.required(name);
            if member.forbidden {
                continue;
            }
            let spans = (member_span(&writer.parts, name), member_span(&[reader], name));
            // Where nothing limits what is not described, what the other side calls so is not written.
            let silent = !member.described && member.schemas.is_empty() && !must && !self.strict;
            if silent {
                if by_name && !reader.required().any(|known| known == name) {
                    let spans = (writer.span("properties"), spans.1);
                    self.within(name, |this| {
                        this.find(Aspect::Member, Certainty::Note, name, spans);
                    });
                }
                continue;
            }
            if doubtful {
                self.condition(writer, reader, "patternProperties", Certainty::Undecided);
            }
            for schema in wanted {
                if schema.is_false() {
                    let keyword = if by_name { "properties" } else { "additionalProperties" };
                    let place = if by_name { spans.1 } else { reader.span(keyword) };
                    self.within(name, |this| {
                        this.find(Aspect::Forbidden, Certainty::Certain, name, (spans.0, place));
                    });
                } else {
                    let written = Writer::new(&member.schemas);
                    self.within(name, |this| this.holds(&written, schema));
                }
            }
        }
    }

    /// Members that a pattern of the reader names, and the writer does not name singly.
    fn patterns<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) {
        for (pattern, wanted) in reader.map("patternProperties") {
            if says_nothing(wanted) {
                continue;
            }
            let own = |part: &Place<'d>| part.map("patternProperties").find(|(own, _)| *own == pattern);
            let same: Vec<Place<'d>> =
                writer.parts.iter().filter_map(own).map(|(_, schema)| schema).collect();
            if !same.is_empty() {
                let written = Writer::new(&same);
                self.within("*", |this| this.holds(&written, wanted));
                continue;
            }
            // Which names fit two patterns is not decided: any that the writer has may.
            let mut written: Vec<Vec<Place<'d>>> = writer
                .parts
                .iter()
                .flat_map(|part| {
                    part.map("patternProperties").map(|(_, schema)| vec![schema]).collect::<Vec<_>>()
                })
                .collect();
            if !writer.closed() {
                written.push(writer.additional());
            }
            let fine = written.iter().all(|schemas| {
                let written = Writer::new(schemas);
                self.attempt(|this| this.holds(&written, wanted))
            });
            if !fine {
                self.condition(writer, reader, "patternProperties", Certainty::Undecided);
            }
        }
    }

    /// Members that neither of them names.
    fn others<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) {
        let keyword = "additionalProperties";
        let Some(wanted) = reader.schema(keyword).filter(|wanted| !says_nothing(*wanted)) else { return };
        let known = |pattern: &str| reader.map("patternProperties").any(|(own, _)| own == pattern);
        for part in &writer.parts {
            for (_, schema) in part.map("patternProperties").filter(|(pattern, _)| !known(pattern)) {
                let written = Writer::new(&[schema]);
                if !written.types.is_empty() && !self.attempt(|this| this.holds(&written, wanted)) {
                    self.condition(writer, reader, keyword, Certainty::Undecided);
                }
            }
        }
        if writer.closed() {
            return;
        }
        let own = writer.additional();
        let spans = (writer.span(keyword), reader.span(keyword));
        if wanted.is_false() || own.is_empty() {
            let said = own.is_empty().then(String::new);
            self.differ(Aspect::Additional, Certainty::Certain, keyword, (said, None), spans);
        } else {
            let written = Writer::new(&own);
            self.within("*", |this| this.holds(&written, wanted));
        }
    }

    fn names<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) {
        let keyword = "propertyNames";
        let Some(wanted) = reader.schema(keyword).filter(|wanted| !says_nothing(*wanted)) else { return };
        let own: Vec<Place<'d>> = writer.parts.iter().filter_map(|part| part.schema(keyword)).collect();
        let written = Writer::new(&own).with_types(Types::STRING);
        if self.attempt(|this| this.holds(&written, wanted)) {
            return;
        }
        let refused = writer.names().into_iter().filter(|name| !writer.member(name).forbidden).any(|name| {
            let value = Node { value: Value::String(name.to_owned()), span: Span::default() };
            super::accepts(wanted, &value) == Some(false)
        });
        let certainty = if refused { Certainty::Certain } else { Certainty::Undecided };
        self.condition(writer, reader, keyword, certainty);
    }

    fn dependencies<'d>(&mut self, writer: &Writer<'d>, reader: Place<'d>) {
        for keyword in ["dependencies", "dependentRequired", "dependentSchemas"] {
            for entry in reader.get(keyword).map_or(&[][..], Node::entries) {
                let member = writer.member(&entry.key);
                let silent = !member.described && member.schemas.is_empty() && !writer.required(&entry.key);
                if member.forbidden || (silent && !self.strict) {
                    continue;
                }
                let holds = match &entry.value.value {
                    Value::Array(names) => {
                        let own = |name: &str| {
                            let lists = writer.parts.iter().flat_map(|part| {
                                ["dependencies", "dependentRequired"]
                                    .map(|keyword| part.get(keyword)?.get(&entry.key))
                            });
                            lists.flatten().flat_map(Node::items).any(|known| known.as_str() == Some(name))
                        };
                        names.iter().filter_map(Node::as_str).all(|name| writer.required(name) || own(name))
                    }
                    _ => {
                        let wanted = reader.at(&entry.value);
                        let own = writer.parts.iter().any(|part| {
                            let own = ["dependencies", "dependentSchemas"]
                                .into_iter()
                                .find_map(|keyword| part.member(keyword, &entry.key));
                            own.is_some_and(|own| self.same.are(own, wanted))
                        });
                        own || self.attempt(|this| this.holds(writer, wanted))
                    }
                };
                if !holds {
                    self.condition(writer, reader, keyword, Certainty::Undecided);
                }
            }
        }
    }
}

/// What a reader asks of a member, whether it names it, and whether a pattern leaves that open.
fn wanted<'d>(reader: Place<'d>, name: &str) -> (Vec<Place<'d>>, bool, bool) {
    let mut schemas: Vec<Place<'d>> = reader.member("properties", name).into_iter().collect();
    let named = !schemas.is_empty();
    let mut doubtful = false;
    for (pattern, schema) in reader.map("patternProperties") {
        match finds(pattern, name) {
            Some(true) => schemas.push(schema),
            Some(false) => {}
            None => doubtful = true,
        }
    }
    if schemas.is_empty() {
        schemas.extend(reader.schema("additionalProperties"));
    }
    (schemas, named, doubtful)
}

/// Where a member is described.
fn member_span(parts: &[Place<'_>], name: &str) -> Option<Span> {
    parts.iter().find_map(|part| part.get("properties")?.entry(name).map(|entry| entry.key_span))
}
