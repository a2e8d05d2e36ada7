//! JSON texts compared as values, every digit of their numbers included.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Whether two texts are the same JSON value: objects whatever the order of their members, numbers by value and exactly,
/// so that `1.0` is `1`, and `12345678901234567890` is not `12345678901234567891`. A text that is no JSON is no value.
///
/// ```
/// use amgi_tests::json::same;
///
/// assert!(same(r#"{"a": 1.50, "b": ["\u0041"]}"#, r#"{"b":["A"],"a":15e-1}"#));
/// assert!(!same("12345678901234567890123", "12345678901234567890124"));
/// ```
pub fn same(one: &str, other: &str) -> bool {
    matches!((value(one), value(other)), (Some(one), Some(other)) if one == other)
}

#[derive(Debug, PartialEq)]
enum Json {
    Null,
    Bool(bool),
    /// Sign, digits without zeros at either end, and the power of ten behind the last of them.
    Number(bool, String, i64),
    String(String),
    Array(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

fn value(text: &str) -> Option<Json> {
    let text = text.trim();
    Some(match text.as_bytes().first()? {
        b'{' => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
            let members = members.into_iter().map(|(name, raw)| Some((name, value(raw.get())?)));
            Json::Object(members.collect::<Option<_>>()?)
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            Json::Array(items.into_iter().map(|raw| value(raw.get())).collect::<Option<_>>()?)
        }
        b'"' => Json::String(serde_json::from_str(text).ok()?),
        b't' | b'f' => Json::Bool(serde_json::from_str(text).ok()?),
        b'n' => serde_json::from_str(text).ok().map(|()| Json::Null)?,
        _ => {
            serde_json::from_str::<&RawValue>(text).ok()?;
            number(text)?
        }
    })
}

fn number(text: &str) -> Option<Json> {
    let negative = text.starts_with('-');
    let text = text.trim_start_matches('-');
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let mut power = exponent.parse::<i64>().ok()?.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    let trimmed = digits.trim_end_matches('0');
    power = power.checked_add(i64::try_from(digits.len() - trimmed.len()).ok()?)?;
    let digits = trimmed.trim_start_matches('0');
    if digits.is_empty() {
        return Some(Json::Number(false, String::new(), 0));
    }
    Some(Json::Number(negative, digits.to_owned(), power))
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn numbers_are_compared_by_value() {
        for (one, other) in
            [("1", "1.0"), ("-0", "0.000"), ("1e2", "100"), ("0.5", "5E-1"), ("1e400", "10e399")]
        {
            assert!(same(one, other), "{one} {other}");
        }
        for (one, other) in
            [("1", "-1"), ("1", "1.0000000000000000001"), ("1", "\"1\""), ("1", "x"), ("", "")]
        {
            assert!(!same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn order_of_members_does_not_count_but_of_elements() {
        assert!(same(r#"{"a":null,"b":true}"#, r#" {"b":true, "a":null}"#));
        assert!(!same("[1,2]", "[2,1]"));
        assert!(!same(r#"{"a":null}"#, "{}"));
    }
}
