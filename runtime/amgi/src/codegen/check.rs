//! What a schema asks of a value beyond its type: rules, and where they were broken.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
    sync::OnceLock,
};

use regress::Regex;
use serde::Serialize;
use serde_json::Value;

use crate::{
    codec,
    error::{Part, Rejection},
};

/// Where a check is, as a chain on the stack: nothing is allocated while all is well.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    parent: Option<&'a At<'a>>,
    token: Token<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Token<'a> {
    Root(Part),
    Name(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    /// The whole of the payload.
    pub const PAYLOAD: Self = Self::root(Part::Payload);

    /// The whole of a part of the message.
    pub const fn root(part: Part) -> Self {
        Self { parent: None, token: Token::Root(part) }
    }

    /// A member.
    #[must_use]
    pub fn name(&'a self, name: &'a str) -> At<'a> {
        Self { parent: Some(self), token: Token::Name(name) }
    }

    /// An element.
    #[must_use]
    pub fn index(&'a self, index: usize) -> At<'a> {
        Self { parent: Some(self), token: Token::Index(index) }
    }

    /// A rejection here.
    #[cold]
    pub fn reject(&self, detail: impl Into<Cow<'static, str>>) -> Rejection {
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
        Rejection::new(part, pointer, detail)
    }
}

/// What the schema asks of a value beyond its type. Implemented by generated code for types that have such rules.
pub trait Check {
    /// The first rule that does not hold.
    fn check(&self, at: &At<'_>) -> Result<(), Rejection>;
}

impl<T: Check> Check for Option<T> {
    fn check(&self, at: &At<'_>) -> Result<(), Rejection> {
        self.as_ref().map_or(Ok(()), |value| value.check(at))
    }
}

impl<T: Check + ?Sized> Check for Box<T> {
    fn check(&self, at: &At<'_>) -> Result<(), Rejection> {
        (**self).check(at)
    }
}

impl<T: Check> Check for Vec<T> {
    fn check(&self, at: &At<'_>) -> Result<(), Rejection> {
        self.iter().enumerate().try_for_each(|(index, value)| value.check(&at.index(index)))
    }
}

impl<T: Check> Check for BTreeMap<String, T> {
    fn check(&self, at: &At<'_>) -> Result<(), Rejection> {
        self.iter().try_for_each(|(name, value)| value.check(&at.name(name)))
    }
}

/// Length of a string in Unicode code points, as JSON Schema counts.
pub fn length(at: &At<'_>, text: &str, least: usize, most: usize) -> Result<(), Rejection> {
    // Code points are never more than bytes nor fewer than a quarter of them, which settles most strings.
    if text.len() <= most && text.len() / 4 >= least {
        return Ok(());
    }
    let count = text.chars().count();
    within(at, count, least, most, "characters")
}

/// Number of elements of an array or members of an object.
pub fn size(at: &At<'_>, count: usize, least: usize, most: usize) -> Result<(), Rejection> {
    within(at, count, least, most, "items")
}

fn within(at: &At<'_>, count: usize, least: usize, most: usize, what: &str) -> Result<(), Rejection> {
    if count < least {
        return Err(at.reject(format!("has {count} {what}, at least {least} are needed")));
    }
    if count > most {
        return Err(at.reject(format!("has {count} {what}, at most {most} are allowed")));
    }
    Ok(())
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
    pub fn check(&self, at: &At<'_>, text: &str) -> Result<(), Rejection> {
        match self.regex.get_or_init(|| compile(self.source)) {
            Some(regex) if regex.find(text).is_none() => {
                Err(at.reject(format!("does not match the pattern `{}`", self.source)))
            }
            _ => Ok(()),
        }
    }
}

/// Patterns are Unicode, as JSON Schema asks; those with escapes that only the old syntax allows are read as such.
fn compile(source: &str) -> Option<Regex> {
    Regex::with_flags(source, "u").or_else(|_| Regex::new(source)).ok()
}

/// A rule that the generator could spell out in Rust.
pub fn ensure(at: &At<'_>, holds: bool, rule: &'static str) -> Result<(), Rejection> {
    if holds { Ok(()) } else { Err(at.reject(rule)) }
}

/// Whether a value is one of those listed as a JSON array. Numbers are compared by value: `1.0` is `1`.
pub fn one_of<T: Serialize + ?Sized>(at: &At<'_>, value: &T, values: &'static str) -> Result<(), Rejection> {
    let allowed: Vec<Value> = serde_json::from_str(values).unwrap_or_default();
    let found = serde_json::to_value(value).unwrap_or_default();
    if allowed.iter().any(|allowed| same(allowed, &found)) {
        Ok(())
    } else {
        Err(at.reject(format!("is not one of {values}")))
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
    let nearest = quotient.round();
    // Reading both numbers and dividing them is off by a few units in the last place, however large the result is.
    nearest != 0.0 && (quotient - nearest).abs() <= 4.0 * f64::EPSILON * nearest.abs()
}

/// Whether all elements differ, compared as JSON.
pub fn unique<T: Serialize>(values: &[T]) -> bool {
    let mut seen = HashSet::new();
    values
        .iter()
        .all(|value| serde_json::to_value(value).is_ok_and(|value| seen.insert(plain(value).to_string())))
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
