//! Why a JSON text could not be read as a type: everything that is wrong with it, with its places.
//!
//! A reader stops at the first problem. To find the others, what is wrong is said and replaced by something that can be read,
//! so that in the end the whole can be, and the rules of the type say what they have to say. Only texts that failed come here.

use std::{cmp::Reverse, fmt};

use serde::{
    Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    check::{At, Check, Violations, one_of_texts, shown},
    read::{MOST_DEPTH, Read, Readable},
};
use crate::error::{Part, Rejection, Violation};

/// [`Read::repair`] of a type.
pub(super) type Repair = fn(Option<&str>, &At<'_>) -> String;

/// No more bytes than this are looked at to find everything that is wrong with a text: those of a value are, once for every object
/// and array around it.
const MOST_WORK: usize = 64 << 20;

/// Alternatives within alternatives are looked into this deep: each of them may be meant.
const MOST_ALTERNATIVES: usize = 3;

/// Everything that is wrong with a text that could not be read, or breaks rules.
#[cold]
pub(super) fn explain<R: Read>(
    part: Part,
    text: &str,
    error: &serde_json::Error,
    check: &dyn Fn(&R::Value, &At<'_>),
) -> Rejection {
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return Rejection::new(part, "", "", "JSON").found(error.to_string());
    }
    let work = text.len().saturating_mul(16).saturating_add(1 << 20).min(MOST_WORK);
    let (out, rules) = (Violations::with_work(work), Violations::new());
    let repaired = R::repair(Some(text.trim()), &At::root(part, &out));
    let mut all = out.into_inner();
    if let Ok(value) = serde_json::from_str::<Readable<R>>(&repaired) {
        check(&value.0, &At::root(part, &rules));
        // What stands in for something broken has said enough.
        let mut found = rules.into_inner();
        found.retain(|new| !all.iter().any(|old| lies_in(&new.pointer, &old.pointer)));
        all.append(&mut found);
    }
    if all.is_empty() {
        // Such as a text that is nested too deep for the reader alone.
        all.push(Violation {
            part,
            pointer: String::new(),
            keyword: "".into(),
            expected: R::EXPECTED.into(),
            found: error.is_syntax().then(|| shown(&error.to_string())),
        });
    }
    all.into()
}

/// Whether a pointer leads to a place or into it.
fn lies_in(pointer: &str, place: &str) -> bool {
    pointer.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A text as the value of a type.
fn reads<T: Read>(text: &str) -> bool {
    serde_json::from_str::<Readable<T>>(text).is_ok()
}

/// What a text is, where something else was expected.
fn refuse_type(at: &At<'_>, expected: &'static str, text: &str) {
    at.refuse("type", expected, Some(&text));
}

/// A value without parts.
#[cold]
pub(super) fn value<T: Read>(text: Option<&str>, at: &At<'_>, stand_in: &str) -> String {
    match text {
        Some(text) if reads::<T>(text) => return text.to_owned(),
        Some(text) => refuse_type(at, T::EXPECTED, text),
        None => {}
    }
    stand_in.to_owned()
}

/// A text of a format.
#[cold]
pub(super) fn formatted<R: Read>(
    text: Option<&str>,
    at: &At<'_>,
    format: &'static str,
    stand_in: &str,
) -> String {
    match text {
        Some(text) if reads::<R>(text) => return text.to_owned(),
        Some(text) if text.starts_with('"') => {
            at.refuse("format", format!("the format {format}"), Some(&text));
        }
        Some(text) => refuse_type(at, "a string", text),
        None => {}
    }
    stand_in.to_owned()
}

/// An integer between the limits of its type.
#[cold]
pub(super) fn integer<T: Read>(
    text: Option<&str>,
    at: &At<'_>,
    (lowest, least): (f64, &dyn fmt::Display),
    most: &dyn fmt::Display,
) -> String {
    match text.map(|text| (text, serde_json::from_str::<f64>(text))) {
        Some((text, _)) if reads::<T>(text) => return text.to_owned(),
        Some((text, Ok(number))) if number.fract() == 0.0 => {
            let (keyword, bound, word) =
                if number < lowest { ("minimum", least, "least") } else { ("maximum", most, "most") };
            at.refuse(keyword, format!("at {word} {bound}"), Some(&text));
        }
        Some((text, _)) => refuse_type(at, T::EXPECTED, text),
        None => {}
    }
    "0".to_owned()
}

/// One of several texts.
#[cold]
pub fn text(allowed: &'static [&'static str], text: Option<&str>, at: &At<'_>) -> String {
    if let Some(text) = text {
        match serde_json::from_str::<String>(text) {
            Ok(found) if allowed.contains(&found.as_str()) => return text.to_owned(),
            Ok(_) => at.refuse("enum", one_of_texts(allowed), Some(&text)),
            Err(_) => refuse_type(at, "a string", text),
        }
    }
    serde_json::to_string(allowed.first().unwrap_or(&"")).unwrap_or_default()
}

/// An array whose items are all alike.
#[cold]
pub(super) fn array(item: Repair, text: Option<&str>, at: &At<'_>) -> String {
    let Some(text) = text.filter(|text| may_go_on(at, text)) else { return "[]".to_owned() };
    let Ok(items) = serde_json::from_str::<Vec<Box<RawValue>>>(text) else {
        refuse_type(at, "an array", text);
        return "[]".to_owned();
    };
    let items = items.iter().enumerate().map(|(index, text)| item(Some(text.get()), &at.index(index)));
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// A member that has a field.
#[derive(Clone, Copy)]
pub struct MemberInfo {
    /// Its name.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
    /// Whether its value is nobody's business.
    pub secret: bool,
    /// Its type.
    pub repair: Repair,
}

/// What becomes of members that have no field.
#[derive(Clone, Copy)]
pub enum Others {
    /// They are dropped.
    Dropped,
    /// They are refused.
    Refused,
    /// They are of this type.
    Read(Repair),
}

/// An object.
#[cold]
pub fn object(members: &[MemberInfo], others: Others, text: Option<&str>, at: &At<'_>) -> String {
    if text.is_none() && at.depth() > MOST_DEPTH {
        return "{}".to_owned();
    }
    let found = match text.filter(|text| may_go_on(at, text)).map(|text| (text, parts(text))) {
        None => None,
        Some((_, Some(found))) => Some(found),
        Some((text, None)) => {
            refuse_type(at, "an object", text);
            None
        }
    };
    let mut out: Vec<(&str, String)> = Vec::new();
    for (name, value) in found.iter().flatten() {
        if out.iter().any(|(known, _)| known == name) {
            at.name(name).refuse("", "a member only once", None);
            continue;
        }
        let member = members.iter().find(|member| member.name == name);
        let place = at.name(name);
        let place = if member.is_some_and(|member| member.secret) { place.secret() } else { place };
        let repaired = match (member, others) {
            (Some(member), _) => (member.repair)(Some(value.get()), &place),
            (None, Others::Dropped) => continue,
            (None, Others::Refused) => {
                place.refuse("additionalProperties", "no such member", None);
                continue;
            }
            (None, Others::Read(repair)) => repair(Some(value.get()), &place),
        };
        out.push((name, repaired));
    }
    for member in members.iter().filter(|member| member.required) {
        if !out.iter().any(|(name, _)| *name == member.name) {
            if found.is_some() {
                at.refuse("required", format!("the member `{}`", member.name), None);
            }
            let nothing = Violations::new();
            out.push((member.name, (member.repair)(None, &at.apart(&nothing).name(member.name))));
        }
    }
    let out = out.iter().map(|(name, value)| {
        let name = serde_json::to_string(name).unwrap_or_default();
        format!("{name}:{value}")
    });
    format!("{{{}}}", out.collect::<Vec<_>>().join(","))
}

/// The members of an object as they stand there; `None` for anything else.
fn parts(text: &str) -> Option<Vec<(String, Box<RawValue>)>> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, Box<RawValue>)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }

    serde_json::Deserializer::from_str(text).deserialize_map(Members).ok()
}

/// Whether a place is not too deep, and a text not too much; says so otherwise.
fn may_go_on(at: &At<'_>, text: &str) -> bool {
    if at.depth() >= MOST_DEPTH {
        at.refuse("", format!("at most {MOST_DEPTH} values within each other"), None);
        return false;
    }
    at.may_look_at(text.len())
}

/// One of several alternatives: its name, and what is wrong with a text as that.
#[derive(Clone, Copy)]
pub struct Alternative {
    /// Name.
    pub name: &'static str,
    /// Says what is wrong, and gives what can be read as it.
    pub repair: Repair,
}

/// An alternative without rules.
#[cold]
pub fn alternative<T: Read>(text: Option<&str>, at: &At<'_>) -> String {
    T::repair(text, at)
}

/// An alternative with rules.
#[cold]
pub fn checked_alternative<R: Read, U: Check>(
    text: Option<&str>,
    at: &At<'_>,
    make: fn(R::Value) -> U,
) -> String {
    let repaired = R::repair(text, at);
    if text.is_some()
        && at.out().is_empty()
        && let Ok(value) = serde_json::from_str::<Readable<R>>(&repaired)
    {
        make(value.0).check(at);
    }
    repaired
}

/// A value that is one of several alternatives: the one that fits best has its say.
#[cold]
pub fn alternatives<T: Read>(
    keyword: &'static str,
    all: &[Alternative],
    text: Option<&str>,
    at: &At<'_>,
) -> String {
    let nothing = Violations::new();
    let Some(text) = text else {
        let first = all.first().filter(|_| at.alternatives() < MOST_DEPTH);
        let at = at.apart(&nothing).alternative();
        return first.map_or_else(|| "null".to_owned(), |first| (first.repair)(None, &at));
    };
    if !may_go_on(at, text) || reads::<T>(text) {
        return text.to_owned();
    }
    let names =
        all.iter().map(|alternative| format!("`{}`", alternative.name)).collect::<Vec<_>>().join(", ");
    if at.alternatives() >= MOST_ALTERNATIVES {
        at.refuse(keyword, format!("one of {names}"), Some(&text));
        return text.to_owned();
    }
    let tried: Vec<(&str, Vec<Violation>, String)> = all
        .iter()
        .map(|alternative| {
            let out = Violations::new();
            let repaired = (alternative.repair)(Some(text), &at.apart(&out).alternative());
            (alternative.name, out.into_inner(), repaired)
        })
        .collect();
    let fitting: Vec<&str> =
        tried.iter().filter(|(_, wrong, _)| wrong.is_empty()).map(|(name, ..)| *name).collect();
    if fitting.len() > 1 {
        at.refuse(
            keyword,
            format!("only one of {names}"),
            Some(&format!("{} at once", fitting.join(" and "))),
        );
        return text.to_owned();
    }
    // The deeper a problem lies, the more did fit before it; what is of another type was meant least.
    let nearest = tried.into_iter().min_by_key(|(_, wrong, _)| {
        let whole =
            wrong.iter().any(|violation| violation.keyword == "type" && depth(violation) == at.depth());
        // A constant that is another one marks another alternative.
        let marks = wrong.iter().filter(|violation| violation.keyword == "enum").count();
        (whole, Reverse(wrong.iter().map(depth).min()), marks, wrong.len())
    });
    let Some((name, wrong, repaired)) = nearest else { return text.to_owned() };
    if wrong.iter().any(|violation| violation.keyword == "type" && depth(violation) == at.depth()) {
        at.refuse(keyword, format!("one of {names}"), Some(&text));
    } else {
        at.refuse(keyword, format!("one of {names}, most likely `{name}`"), Some(&text));
        for violation in wrong {
            at.out().push(violation);
        }
    }
    repaired
}

/// How many members and elements lie above a violation.
fn depth(violation: &Violation) -> usize {
    violation.pointer.matches('/').count()
}
