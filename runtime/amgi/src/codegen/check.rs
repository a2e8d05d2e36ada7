//! What a schema asks of a value beyond its type: rules, and where they were broken.
//!
//! Rules are checked one after the other, whether those before hold or not, so that a rejection says all that is wrong.
//! Nothing is allocated while all is well.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashSet},
    fmt,
    sync::OnceLock,
};

use regress::Regex;
use serde::Serialize;
use serde_json::Value;

use crate::{
    codec,
    error::{Part, Rejection, Violation},
    number::Number,
};

/// What was found to be wrong.
#[derive(Debug)]
pub struct Violations {
    all: RefCell<Vec<Violation>>,
    /// How many bytes may still be looked at to find out more.
    work: Cell<usize>,
}

impl Violations {
    /// Nothing is wrong yet.
    pub const fn new() -> Self {
        Self::with_work(usize::MAX)
    }

    /// Nothing is wrong yet, and no more than so many bytes are to be looked at to find out what is.
    pub(super) const fn with_work(bytes: usize) -> Self {
        Self { all: RefCell::new(Vec::new()), work: Cell::new(bytes) }
    }

    /// A rejection, when something is.
    pub fn finish(self) -> Result<(), Rejection> {
        let violations = self.all.into_inner();
        if violations.is_empty() { Ok(()) } else { Err(violations.into()) }
    }

    /// How much that is.
    pub(super) fn len(&self) -> usize {
        self.all.borrow().len()
    }

    /// Whether that is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.all.borrow().is_empty()
    }

    /// What is.
    pub(super) fn into_inner(self) -> Vec<Violation> {
        self.all.into_inner()
    }

    pub(super) fn push(&self, violation: Violation) {
        let mut all = self.all.borrow_mut();
        if all.len() < Rejection::MOST {
            all.push(violation);
        }
    }
}

impl Default for Violations {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a check is, as a chain on the stack, and where it says what is wrong.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    out: &'a Violations,
    work: &'a Cell<usize>,
    parent: Option<&'a At<'a>>,
    token: Token<'a>,
    /// Whether what is found here is nobody's business.
    secret: bool,
    /// How many times it was one of several alternatives that was looked into.
    alternatives: usize,
}

#[derive(Debug, Clone, Copy)]
enum Token<'a> {
    Root(Part),
    Name(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    /// The whole of a part of the message.
    pub const fn root(part: Part, out: &'a Violations) -> Self {
        Self { out, work: &out.work, parent: None, token: Token::Root(part), secret: false, alternatives: 0 }
    }

    /// A member.
    #[must_use]
    pub fn name(&'a self, name: &'a str) -> At<'a> {
        Self { parent: Some(self), token: Token::Name(name), ..*self }
    }

    /// An element.
    #[must_use]
    pub fn index(&'a self, index: usize) -> At<'a> {
        Self { parent: Some(self), token: Token::Index(index), ..*self }
    }

    /// The same place, whose value is not to be shown.
    #[must_use]
    pub fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// The same place, with other paper to write on.
    pub(super) fn apart<'b>(&self, out: &'b Violations) -> At<'b>
    where
        'a: 'b,
    {
        At { out, ..*self }
    }

    /// The same place, for one of several alternatives.
    pub(super) fn alternative(self) -> Self {
        Self { alternatives: self.alternatives + 1, ..self }
    }

    /// How many alternatives were chosen on the way here.
    pub(super) fn alternatives(&self) -> usize {
        self.alternatives
    }

    /// Where violations are said.
    pub(super) fn out(&self) -> &'a Violations {
        self.out
    }

    /// Takes so much of what may be looked at. When there is not as much left, that is said once.
    pub(super) fn may_look_at(&self, bytes: usize) -> bool {
        let before = self.work.get();
        let left = before.checked_sub(bytes);
        self.work.set(left.unwrap_or_default());
        if left.is_none() && before > 0 {
            self.refuse("", "a smaller or flatter value, of which all could be said", None);
        }
        left.is_some()
    }

    /// How many members and elements lie above.
    pub(super) fn depth(&self) -> usize {
        std::iter::successors(self.parent, |at| at.parent).count()
    }

    /// Says that a value is not what a keyword asks for.
    #[cold]
    pub fn refuse(
        &self,
        keyword: impl Into<Cow<'static, str>>,
        expected: impl Into<Cow<'static, str>>,
        found: Option<&dyn fmt::Display>,
    ) {
        let mut chain = Vec::new();
        let mut at = Some(self);
        let mut part = Part::Payload;
        while let Some(here) = at {
            match here.token {
                Token::Root(root) => part = root,
                token => chain.push(token),
            }
            at = here.parent;
        }
        let mut pointer = String::new();
        for token in chain.into_iter().rev() {
            match token {
                Token::Name(name) => codec::push_token(&mut pointer, name),
                Token::Index(index) => codec::push_token(&mut pointer, &index.to_string()),
                Token::Root(_) => {}
            }
        }
        let found = found.filter(|_| !self.secret).map(|found| shown(&found.to_string()));
        self.out.push(Violation { part, pointer, keyword: keyword.into(), expected: expected.into(), found });
    }
}

/// A JSON value for people: not all of it where it is long, and nothing of its members, some of which may be secret.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 80;
    match text.bytes().next() {
        Some(b'{') => return "an object".to_owned(),
        Some(b'[') => return "an array".to_owned(),
        _ => {}
    }
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

/// As JSON.
fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// What the schema asks of a value beyond its type. Implemented by generated code for types that have such rules.
pub trait Check {
    /// Says which rules do not hold.
    fn check(&self, at: &At<'_>);
}

impl<T: Check> Check for Option<T> {
    fn check(&self, at: &At<'_>) {
        if let Some(value) = self {
            value.check(at);
        }
    }
}

impl<T: Check + ?Sized> Check for Box<T> {
    fn check(&self, at: &At<'_>) {
        (**self).check(at);
    }
}

impl<T: Check> Check for Vec<T> {
    fn check(&self, at: &At<'_>) {
        for (index, value) in self.iter().enumerate() {
            value.check(&at.index(index));
        }
    }
}

impl<T: Check> Check for BTreeMap<String, T> {
    fn check(&self, at: &At<'_>) {
        for (name, value) in self {
            value.check(&at.name(name));
        }
    }
}

/// Whether a value keeps the rules of its type.
pub fn holds<T: Check>(value: &T) -> bool {
    let out = Violations::new();
    value.check(&At::root(Part::Payload, &out));
    out.is_empty()
}

/// Length of a string in Unicode code points, as JSON Schema counts.
pub fn length(at: &At<'_>, text: &str, least: usize, most: usize) {
    // Code points are never more than bytes nor fewer than a quarter of them, which settles most strings.
    if text.len() > most || text.len() / 4 < least {
        let count = text.chars().count();
        within(at, count, least, most, ["minLength", "maxLength"], "characters", &|| json(text));
    }
}

/// Number of elements of an array.
pub fn items(at: &At<'_>, count: usize, least: usize, most: usize) {
    within(at, count, least, most, ["minItems", "maxItems"], "items", &|| format!("{count} items"));
}

/// Number of members of an object.
pub fn members(at: &At<'_>, count: usize, least: usize, most: usize) {
    let found = || format!("{count} members");
    within(at, count, least, most, ["minProperties", "maxProperties"], "members", &found);
}

fn within(
    at: &At<'_>,
    count: usize,
    least: usize,
    most: usize,
    [minimum, maximum]: [&'static str; 2],
    what: &str,
    found: &dyn Fn() -> String,
) {
    if count < least {
        at.refuse(minimum, format!("at least {least} {what}"), Some(&found()));
    } else if count > most {
        at.refuse(maximum, format!("at most {most} {what}"), Some(&found()));
    }
}

/// A `pattern`, compiled when it is first needed. ECMA-262, as JSON Schema asks.
#[derive(Debug)]
pub struct TextPattern {
    source: &'static str,
    regex: OnceLock<Option<Regex>>,
}

impl TextPattern {
    /// A pattern that the generator has checked.
    pub const fn new(source: &'static str) -> Self {
        Self { source, regex: OnceLock::new() }
    }

    /// Whether `text` matches.
    pub fn check(&self, at: &At<'_>, text: &str) {
        if let Some(regex) = self.regex.get_or_init(|| compile(self.source))
            && regex.find(text).is_none()
        {
            at.refuse("pattern", format!("a match of `{}`", self.source), Some(&json(text)));
        }
    }
}

/// Patterns are Unicode, as JSON Schema asks; those with escapes that only the old syntax allows are read as such.
fn compile(source: &str) -> Option<Regex> {
    Regex::with_flags(source, "u").or_else(|_| Regex::new(source)).ok()
}

/// A rule that the generator could spell out in Rust.
pub fn ensure(
    at: &At<'_>,
    holds: bool,
    keyword: &'static str,
    expected: &'static str,
    found: &dyn fmt::Display,
) {
    if !holds {
        at.refuse(keyword, expected, Some(found));
    }
}

/// A member that must be there, of an object without fields.
pub fn required(at: &At<'_>, holds: bool, name: &'static str) {
    if !holds {
        at.refuse("required", format!("the member `{name}`"), None);
    }
}

/// A member that a builder must have been given.
pub fn built<T>(at: &At<'_>, name: &'static str, value: Option<T>) -> Option<T> {
    required(at, value.is_some(), name);
    value
}

/// A rule of a number of any size: `type` asks for a whole one, the others have a bound, written as JSON.
pub fn exact(at: &At<'_>, value: &Number, keyword: &'static str, bound: &'static str) {
    let bound: Number = bound.parse().unwrap_or_default();
    let (holds, words) = match keyword {
        "minimum" => (*value >= bound, "at least"),
        "exclusiveMinimum" => (*value > bound, "more than"),
        "maximum" => (*value <= bound, "at most"),
        "exclusiveMaximum" => (*value < bound, "less than"),
        "multipleOf" => (value.is_multiple_of(&bound), "a multiple of"),
        _ => {
            if !value.is_integer() {
                at.refuse(keyword, "an integer", Some(value));
            }
            return;
        }
    };
    if !holds {
        at.refuse(keyword, format!("{words} {bound}"), Some(value));
    }
}

/// Whether a text is one of those.
pub fn texts(at: &At<'_>, text: &str, allowed: &'static [&'static str]) {
    if !allowed.contains(&text) {
        at.refuse("enum", one_of_texts(allowed), Some(&json(text)));
    }
}

/// What is expected where one of these is.
pub(super) fn one_of_texts(allowed: &[&str]) -> String {
    match allowed {
        [one] => json(one),
        several => format!("one of {}", several.iter().map(json).collect::<Vec<_>>().join(", ")),
    }
}

/// Whether a value is one of those listed as a JSON array. Numbers are compared by value: `1.0` is `1`.
pub fn one_of<T: Serialize + ?Sized>(at: &At<'_>, value: &T, values: &'static str) {
    let allowed: Vec<Value> = serde_json::from_str(values).unwrap_or_default();
    let found = serde_json::to_value(value).unwrap_or_default();
    if !allowed.iter().any(|allowed| same(allowed, &found)) {
        let expected = match allowed.as_slice() {
            [one] => one.to_string(),
            _ => format!("one of {values}"),
        };
        at.refuse("enum", expected, Some(&found));
    }
}

/// Equality as JSON Schema has it.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        // Integers are compared as such: a float does not hold all of them.
        (Value::Number(a), Value::Number(b)) if a.is_f64() || b.is_f64() => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Whether a number is a multiple of another, allowing for what binary fractions cannot hold.
pub fn is_multiple(value: f64, of: f64) -> bool {
    if value == 0.0 || of.fract() == 0.0 {
        return value % of == 0.0;
    }
    let quotient = value / of;
    if quotient.is_infinite() {
        // A number of that size is whole.
        return value.is_finite() && is_multiple(1.0, of);
    }
    let nearest = quotient.round();
    // Reading both numbers and dividing them is off by a few units in the last place, however large the result is.
    nearest != 0.0 && (quotient - nearest).abs() <= 4.0 * f64::EPSILON * nearest.abs()
}

/// Whether all elements differ, compared as JSON.
pub fn unique<T: Serialize>(at: &At<'_>, values: &[T]) {
    let mut seen = HashSet::new();
    let text =
        |value: &T| serde_json::to_value(value).map(|value| plain(value).to_string()).unwrap_or_default();
    if let Some(twice) = values.iter().find(|value| !seen.insert(text(value))) {
        at.refuse("uniqueItems", "no item twice", Some(&json(twice)));
    }
}

/// A value with its whole numbers written as integers.
fn plain(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (name, plain(value))).collect())
        }
        #[allow(clippy::cast_possible_truncation)] // a float of this size is exact as an integer
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => Value::from(float as i64),
            _ => Value::Number(number),
        },
        value => value,
    }
}
