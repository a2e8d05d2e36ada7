//! What a schema says, taken apart: its parts, its types, its bounds.

use std::cmp::Ordering;

use amgi_asyncapi::{
    diag::Span,
    model::{Document, Schema},
    node::{Node, Value},
};
use serde_json::Number;

/// A schema and the document that it stands in.
#[derive(Debug, Clone, Copy)]
pub(in crate::diff) struct Place<'d> {
    pub(in crate::diff) node: &'d Node,
    pub(in crate::diff) doc: &'d Document,
}

/// Where a schema lies in memory, which is who it is.
pub(super) type Identity = usize;

/// References that lead to references, and parts within parts, end here.
const DEEP: usize = 64;

impl<'d> Place<'d> {
    pub(in crate::diff) fn new(node: &'d Node, doc: &'d Document) -> Self {
        Self { node, doc }.resolved()
    }

    /// Another schema of the same document.
    pub(super) fn at(self, node: &'d Node) -> Self {
        Self { node, doc: self.doc }.resolved()
    }

    pub(super) fn id(self) -> Identity {
        std::ptr::from_ref(self.node) as usize
    }

    /// What its reference leads to. Keywords beside a reference say nothing.
    fn resolved(self) -> Self {
        let mut place = self;
        for _ in 0..DEEP {
            let target = Schema::reference(place.node).and_then(|id| self.doc.schemas.get(id.index()));
            let Some(schema) = target else { break };
            place.node = &schema.node;
        }
        place
    }

    pub(super) fn get(self, keyword: &str) -> Option<&'d Node> {
        self.node.get(keyword)
    }

    /// The schema under a keyword.
    pub(super) fn schema(self, keyword: &str) -> Option<Self> {
        self.get(keyword).filter(|node| is_schema(node)).map(|node| self.at(node))
    }

    /// The schemas that a keyword lists.
    pub(super) fn list(self, keyword: &str) -> Vec<Self> {
        self.get(keyword).map_or(&[][..], Node::items).iter().map(|node| self.at(node)).collect()
    }

    /// Schemas by name.
    pub(super) fn map(self, keyword: &str) -> impl Iterator<Item = (&'d str, Self)> {
        let entries = self.get(keyword).map_or(&[][..], Node::entries);
        entries
            .iter()
            .filter(|entry| is_schema(&entry.value))
            .map(move |e| (e.key.as_str(), self.at(&e.value)))
    }

    pub(super) fn member(self, keyword: &str, name: &str) -> Option<Self> {
        self.get(keyword)?.get(name).filter(|node| is_schema(node)).map(|node| self.at(node))
    }

    pub(super) fn text(self, keyword: &str) -> Option<&'d str> {
        self.get(keyword)?.as_str()
    }

    pub(super) fn flag(self, keyword: &str) -> bool {
        matches!(self.get(keyword), Some(Node { value: Value::Bool(true), .. }))
    }

    pub(super) fn number(self, keyword: &str) -> Option<&'d Number> {
        match &self.get(keyword)?.value {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    pub(super) fn size(self, keyword: &str) -> Option<u64> {
        let number = self.number(keyword)?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `2.0` is a size, too
        number.as_u64().or_else(|| {
            number.as_f64().filter(|n| *n >= 0.0 && n.fract() == 0.0 && *n < 1e15).map(|n| n as u64)
        })
    }

    /// Names that `required` lists.
    pub(super) fn required(self) -> impl Iterator<Item = &'d str> {
        self.get("required").map_or(&[][..], Node::items).iter().filter_map(Node::as_str)
    }

    /// Values of `const` or `enum`.
    pub(super) fn listed(self) -> Option<Vec<&'d Node>> {
        if let Some(constant) = self.get("const") {
            return Some(vec![constant]);
        }
        let values = self.get("enum")?.items();
        (!values.is_empty()).then(|| values.iter().collect())
    }

    pub(super) fn is_false(self) -> bool {
        self.node.value == Value::Bool(false)
    }

    /// Where a keyword stands.
    pub(super) fn span(self, keyword: &str) -> Option<Span> {
        self.node.entry(keyword).map(|entry| entry.key_span)
    }

    /// The alternatives: `oneOf`, `anyOf`.
    pub(super) fn unions(self) -> impl Iterator<Item = Union<'d>> {
        ["oneOf", "anyOf"].into_iter().filter_map(move |keyword| {
            let alternatives = self.list(keyword);
            (!alternatives.is_empty()).then_some(Union { keyword, owner: self, alternatives })
        })
    }

    /// It and what its `allOf` adds.
    pub(super) fn parts(self) -> Vec<Self> {
        let mut parts = Vec::new();
        self.gather(0, &mut parts);
        parts
    }

    fn gather(self, depth: usize, out: &mut Vec<Self>) {
        if depth < DEEP && out.iter().all(|known| known.id() != self.id()) {
            out.push(self);
            for part in self.list("allOf") {
                part.gather(depth + 1, out);
            }
        }
    }

    /// The types it allows by itself, its parts and alternatives included.
    pub(super) fn types(self) -> Types {
        self.parts().into_iter().fold(Types::ALL, |types, part| types.and(part.own_types(0)))
    }

    fn own_types(self, depth: usize) -> Types {
        if self.is_false() {
            return Types::NONE;
        }
        let mut types = self.said_types();
        if let Some(values) = self.listed() {
            types = types.and(values.into_iter().fold(Types::NONE, |all, value| all.or(Types::of(value))));
        }
        if depth < 8 {
            for union in self.unions() {
                let any = union.alternatives.iter().fold(Types::NONE, |all, alternative| {
                    let parts = alternative.parts().into_iter();
                    all.or(parts.fold(Types::ALL, |types, part| types.and(part.own_types(depth + 1))))
                });
                types = types.and(any);
            }
        }
        types
    }

    /// What `type` says.
    pub(super) fn said_types(self) -> Types {
        let Some(node) = self.get("type") else { return Types::ALL };
        let names = if node.as_str().is_some() { std::slice::from_ref(node) } else { node.items() };
        let types =
            names.iter().filter_map(Node::as_str).fold(Types::NONE, |all, name| all.or(Types::named(name)));
        if types.is_empty() { Types::ALL } else { types }
    }
}

/// Alternatives, and where they stand.
#[derive(Debug, Clone)]
pub(super) struct Union<'d> {
    pub(super) keyword: &'static str,
    pub(super) owner: Place<'d>,
    pub(super) alternatives: Vec<Place<'d>>,
}

impl Union<'_> {
    /// Whether what fits two of them fits none.
    pub(super) fn exactly_one(&self) -> bool {
        self.keyword == "oneOf"
    }
}

pub(super) fn is_schema(node: &Node) -> bool {
    matches!(node.value, Value::Object(_) | Value::Bool(_))
}

/// A set of types of values. Whole numbers are apart from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Types(u8);

impl Types {
    pub(super) const NONE: Self = Self(0);
    pub(super) const NULL: Self = Self(1);
    pub(super) const BOOL: Self = Self(2);
    pub(super) const WHOLE: Self = Self(4);
    pub(super) const FRACTION: Self = Self(8);
    pub(super) const STRING: Self = Self(16);
    pub(super) const ARRAY: Self = Self(32);
    pub(super) const OBJECT: Self = Self(64);
    pub(super) const NUMBER: Self = Self(4 | 8);
    pub(super) const ALL: Self = Self(127);

    fn named(name: &str) -> Self {
        match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOL,
            "integer" => Self::WHOLE,
            "number" => Self::NUMBER,
            "string" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => Self::NONE,
        }
    }

    pub(super) fn of(value: &Node) -> Self {
        match &value.value {
            Value::Number(number) if whole(number) => Self::WHOLE,
            Value::Number(_) => Self::FRACTION,
            _ => Self::named(value.kind()),
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn meets(self, other: Self) -> bool {
        !self.and(other).is_empty()
    }

    pub(super) fn within(self, other: Self) -> bool {
        self.without(other).is_empty()
    }

    /// Each as a set of its own; numbers are not divided.
    pub(super) fn each(self) -> Vec<Self> {
        let all = [Self::NULL, Self::BOOL, Self::NUMBER, Self::STRING, Self::ARRAY, Self::OBJECT];
        all.into_iter().map(|one| self.and(one)).filter(|one| !one.is_empty()).collect()
    }

    /// Names as a schema writes them.
    pub(super) fn names(self) -> String {
        if self == Self::ALL {
            return "any type".to_owned();
        }
        let number = if self.meets(Self::FRACTION) { "number" } else { "integer" };
        let all = [
            (Self::OBJECT, "object"),
            (Self::ARRAY, "array"),
            (Self::STRING, "string"),
            (Self::NUMBER, number),
            (Self::BOOL, "boolean"),
            (Self::NULL, "null"),
        ];
        let names: Vec<String> = all
            .into_iter()
            .filter(|(one, _)| self.meets(*one))
            .map(|(_, name)| format!("`{name}`"))
            .collect();
        names.join(" or ")
    }
}

fn whole(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|n| n.fract() == 0.0)
}

/// A number as a document writes it, so that large integers compare exactly.
#[derive(Debug, Clone, Copy)]
pub(super) enum Num {
    Whole(i128),
    Other(f64),
}

impl Num {
    pub(super) fn of(number: &Number) -> Self {
        if let Some(n) = number.as_i64() {
            return Self::Whole(n.into());
        }
        if let Some(n) = number.as_u64() {
            return Self::Whole(n.into());
        }
        let n = number.as_f64().unwrap_or_default();
        #[allow(clippy::cast_possible_truncation)] // it is whole and within bounds
        if n.fract() == 0.0 && n.abs() < 1e30 { Self::Whole(n as i128) } else { Self::Other(n) }
    }

    #[allow(clippy::cast_precision_loss)] // only beside what is no integer
    fn float(self) -> f64 {
        match self {
            Self::Whole(n) => n as f64,
            Self::Other(n) => n,
        }
    }

    pub(super) fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(&b),
            (a, b) => a.float().partial_cmp(&b.float()).unwrap_or(Ordering::Equal),
        }
    }
}

/// The end of a range: a number, and whether it is outside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) at: Num,
    pub(super) open: bool,
}

/// Which end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Lower,
    Upper,
}

impl End {
    pub(super) fn keywords(self) -> (&'static str, &'static str) {
        match self {
            Self::Lower => ("minimum", "exclusiveMinimum"),
            Self::Upper => ("maximum", "exclusiveMaximum"),
        }
    }
}

impl Bound {
    /// What one part says of an end, with its keyword.
    pub(super) fn of(part: Place<'_>, end: End) -> Option<(Self, &'static str)> {
        let (plain, exclusive) = end.keywords();
        // Draft 4 writes `exclusiveMinimum: true` beside `minimum`.
        let open = part.flag(exclusive);
        let plain_bound = part.number(plain).map(|number| (Self { at: Num::of(number), open }, plain));
        let strict =
            part.number(exclusive).map(|number| (Self { at: Num::of(number), open: true }, exclusive));
        match (plain_bound, strict) {
            (Some(a), Some(b)) => Some(if a.0.covers(b.0, end) { b } else { a }),
            (a, b) => a.or(b),
        }
    }

    /// The same for whole numbers, where it can be said without `open`.
    pub(super) fn for_whole(self, end: End) -> Self {
        #[allow(clippy::cast_possible_truncation)] // it is within bounds
        let at = match (self.at, end) {
            (Num::Other(n), End::Lower) if n.abs() < 1e15 => {
                return Self { at: Num::Whole(n.ceil() as i128), open: false };
            }
            (Num::Other(n), End::Upper) if n.abs() < 1e15 => {
                return Self { at: Num::Whole(n.floor() as i128), open: false };
            }
            (Num::Whole(n), End::Lower) if self.open => Num::Whole(n + 1),
            (Num::Whole(n), End::Upper) if self.open => Num::Whole(n - 1),
            _ => return self,
        };
        Self { at, open: false }
    }

    /// Whether all that keeps to `other` keeps to this.
    pub(super) fn covers(self, other: Self, end: End) -> bool {
        let order = match end {
            End::Lower => other.at.order(self.at),
            End::Upper => self.at.order(other.at),
        };
        order == Ordering::Greater || (order == Ordering::Equal && (!self.open || other.open))
    }
}

/// Whether every multiple of `a` is one of `b`.
pub(super) fn divides(a: &Number, b: &Number) -> bool {
    let (Some((a, a_places)), Some((b, b_places))) = (decimal(a), decimal(b)) else { return false };
    let places = a_places.max(b_places);
    let scaled =
        |n: i128, own: u32| 10_i128.checked_pow(places - own).and_then(|factor| n.checked_mul(factor));
    matches!((scaled(a, a_places), scaled(b, b_places)), (Some(a), Some(b)) if b != 0 && a % b == 0)
}

/// A number as an integer and how many of its digits are behind the point.
fn decimal(number: &Number) -> Option<(i128, u32)> {
    let text = number.to_string();
    if text.contains(['e', 'E']) {
        return None;
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    Some((format!("{whole}{fraction}").parse().ok()?, u32::try_from(fraction.len()).ok()?))
}
