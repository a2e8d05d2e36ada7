//! The writer's side: schemas that hold together.

use amgi_asyncapi::{
    diag::Span,
    node::{Node, Value},
};

use super::{
    accepts::{accepts, finds},
    facts::{Bound, End, Identity, Place, Types, Union},
};

/// What is known of the values that are written.
#[derive(Debug, Clone)]
pub(super) struct Writer<'d> {
    /// Schemas that all hold, with the parts of their `allOf`.
    pub(super) parts: Vec<Place<'d>>,
    /// Alternatives that are still to be taken.
    pub(super) unions: Vec<Union<'d>>,
    /// Types that values may have.
    pub(super) types: Types,
}

/// What a writer says of a member.
pub(super) struct Member<'d> {
    pub(super) schemas: Vec<Place<'d>>,
    /// Whether it is named, or a pattern names it; else it is one of the additional members.
    pub(super) described: bool,
    /// Whether it cannot be there.
    pub(super) forbidden: bool,
}

impl<'d> Writer<'d> {
    pub(super) fn new(schemas: &[Place<'d>]) -> Self {
        let mut writer = Self { parts: Vec::new(), unions: Vec::new(), types: Types::ALL };
        for schema in schemas {
            writer.add(*schema);
        }
        writer
    }

    fn add(&mut self, schema: Place<'d>) {
        self.types = self.types.and(schema.types());
        for part in schema.parts() {
            if self.parts.iter().all(|known| known.id() != part.id()) {
                self.unions.extend(part.unions());
                self.parts.push(part);
            }
        }
    }

    pub(super) fn with_types(&self, types: Types) -> Self {
        Self { types: self.types.and(types), ..self.clone() }
    }

    /// Who it is: its parts in an order of their own.
    pub(super) fn identity(&self) -> Vec<Identity> {
        let mut ids: Vec<Identity> = self.parts.iter().map(|part| part.id()).collect();
        ids.sort_unstable();
        ids
    }

    /// One for each alternative of its first union.
    pub(super) fn split(&self) -> Vec<Self> {
        let Some((first, rest)) = self.unions.split_first() else { return vec![self.clone()] };
        let taken = |alternative: &Place<'d>| {
            let mut one = Self { unions: rest.to_vec(), ..self.clone() };
            one.add(*alternative);
            one
        };
        first.alternatives.iter().map(taken).collect()
    }

    /// The values, where only some are listed, and the schema that lists them.
    pub(super) fn values(&self) -> Option<(Place<'d>, Vec<&'d Node>)> {
        let (owner, values) = self.parts.iter().find_map(|part| Some((*part, part.listed()?)))?;
        let possible = |value: &&Node| {
            Types::of(value).within(self.types)
                && self.parts.iter().all(|part| accepts(*part, value) != Some(false))
        };
        Some((owner, values.into_iter().filter(possible).collect()))
    }

    /// Where a keyword stands; where none of the schemas has it, the first of them.
    pub(super) fn span(&self, keyword: &str) -> Option<Span> {
        let said = self.parts.iter().find_map(|part| part.span(keyword));
        said.or_else(|| self.parts.first().map(|part| part.node.span))
    }

    pub(super) fn required(&self, name: &str) -> bool {
        self.parts.iter().any(|part| part.required().any(|known| known == name))
    }

    pub(super) fn flag(&self, keyword: &str) -> bool {
        self.parts.iter().any(|part| part.flag(keyword))
    }

    /// The largest of a keyword's values, or the smallest.
    pub(super) fn size(&self, keyword: &str, largest: bool) -> Option<u64> {
        let all = self.parts.iter().filter_map(|part| part.size(keyword));
        if largest { all.max() } else { all.min() }
    }

    /// The narrowest bound, with its keyword.
    pub(super) fn bound(&self, end: End) -> Option<(Bound, &'static str)> {
        self.parts
            .iter()
            .filter_map(|part| Bound::of(*part, end))
            .reduce(|a, b| if a.0.covers(b.0, end) { b } else { a })
    }

    /// Names that are described.
    pub(super) fn names(&self) -> Vec<&'d str> {
        let mut names: Vec<&str> = Vec::new();
        for entry in self.parts.iter().filter_map(|part| part.get("properties")).flat_map(Node::entries) {
            if !names.contains(&entry.key.as_str()) {
                names.push(&entry.key);
            }
        }
        names
    }

    pub(super) fn has_patterns(&self) -> bool {
        self.parts.iter().any(|part| part.map("patternProperties").next().is_some())
    }

    /// Whether only members that are described may be there.
    pub(super) fn closed(&self) -> bool {
        self.parts.iter().any(|part| part.schema("additionalProperties").is_some_and(Place::is_false))
    }

    /// What all members must be that are not described.
    pub(super) fn additional(&self) -> Vec<Place<'d>> {
        self.parts
            .iter()
            .filter_map(|part| part.schema("additionalProperties"))
            .filter(|schema| !says_nothing(*schema))
            .collect()
    }

    pub(super) fn member(&self, name: &str) -> Member<'d> {
        let mut member = Member { schemas: Vec::new(), described: false, forbidden: false };
        for part in &self.parts {
            let mut own: Vec<Place<'d>> = part.member("properties", name).into_iter().collect();
            for (pattern, schema) in part.map("patternProperties") {
                match finds(pattern, name) {
                    Some(true) => own.push(schema),
                    Some(false) => {}
                    // It may be meant: then nothing is known of the member by this part.
                    None => member.described = true,
                }
            }
            if own.is_empty() {
                member
                    .schemas
                    .extend(part.schema("additionalProperties").filter(|schema| !says_nothing(*schema)));
            } else {
                member.described = true;
                member.schemas.extend(own);
            }
        }
        member.forbidden = member.schemas.iter().any(|schema| schema.is_false());
        member
    }
}

/// `true`, or nothing that limits values.
pub(super) fn says_nothing(schema: Place<'_>) -> bool {
    schema.node.value == Value::Bool(true) || schema.node.entries().is_empty() && !schema.is_false()
}
