//! What generated code relies on: checks, scalars, rejections.

use amgi::{
    Bindings, Headers, Message,
    codegen::{self, At, Read, Scalar, TextPattern},
    error::{Part, Rejection},
};
use serde_json::{Value, json};

/// What a check says.
fn checked(check: impl FnOnce(&At<'_>)) -> Result<(), Rejection> {
    codegen::checked(Part::Payload, check)
}

#[test]
fn an_enum_of_numbers_is_compared_by_value() {
    let values = r#"[1, 2.0, 9007199254740993, [1.0, {"a": 3}]]"#;
    for value in [json!(1.0), json!(2), json!(9_007_199_254_740_993_u64), json!([1, {"a": 3.0}])] {
        assert_eq!(checked(|at| codegen::one_of(at, &value, values)), Ok(()), "{value}");
    }
    for value in [json!(1.5), json!("1"), json!(9_007_199_254_740_992_u64), json!([1]), json!([1, {"b": 3}])]
    {
        assert!(checked(|at| codegen::one_of(at, &value, values)).is_err(), "{value}");
    }
}

#[test]
fn a_pattern_that_is_not_unicode_still_counts() {
    // An escaped `-` outside of a class is an error with the flag `u`.
    let pattern = TextPattern::new(r"^a\-b$");
    assert_eq!(checked(|at| pattern.check(at, "a-b")), Ok(()));
    assert!(checked(|at| pattern.check(at, "ab")).is_err());
    assert_eq!(checked(|at| TextPattern::new(r"^\p{L}$").check(at, "ü")), Ok(()));
}

#[test]
fn multiples_are_tolerant_in_proportion() {
    for (value, of) in [
        (0.0, 0.01),
        (0.3, 0.1),
        (-0.3, 0.1),
        (4.35, 0.01),
        (19.99, 0.01),
        (1e15, 0.01),
        (1e15 + 1.0, 1.0),
        (123_456_789.01, 0.01),
        (1e-12, 1e-13),
        (-1e308, 0.01),
        (1e308, 0.5),
    ] {
        assert!(codegen::is_multiple(value, of), "{value} {of}");
    }
    for (value, of) in [
        (1e-12, 0.01),
        (0.35, 0.1),
        (0.001, 0.01),
        (1e15 + 0.5, 1.0),
        (123_456_789.015, 0.01),
        (7.0, 2.0),
        (f64::INFINITY, 0.1),
        (f64::NAN, 1.0),
    ] {
        assert!(!codegen::is_multiple(value, of), "{value} {of}");
    }
}

fn header<T: Read<Value = T>>(headers: &Headers) -> Result<T, Rejection> {
    codegen::fields(Part::Headers, |at| codegen::header::<T>(headers, &at.name("h"), "h", Scalar::Loose))
}

fn key<T: Read<Value = T>>(bindings: &Bindings) -> Result<Option<T>, Rejection> {
    codegen::fields(Part::Bindings, |at| {
        let at = &at.name("kafka");
        codegen::binding::<T>(bindings, &at.name("key"), "kafka", "key", Scalar::Loose)
    })
}

#[test]
fn a_loose_scalar_is_json_where_it_can_be() {
    for (value, text) in [
        (json!("abc"), "abc"),
        (json!("a \"b\""), "a \"b\""),
        (json!(""), ""),
        (json!(12), "12"),
        (json!(true), "true"),
        (json!(null), "null"),
        (json!([1, "x"]), r#"[1,"x"]"#),
    ] {
        let mut headers = Headers::default();
        codegen::set_header(&mut headers, "h", Scalar::Loose, &value).unwrap();
        assert_eq!(headers.get("h"), Some(text.as_bytes()), "{value}");
        assert_eq!(header::<Value>(&headers), Ok(value));
    }
    // JSON that does not fit is text.
    let headers: Headers = [("h", "12")].into_iter().collect();
    assert_eq!(header::<String>(&headers).as_deref(), Ok("12"));

    let mut bindings = Bindings::default();
    codegen::set_binding(&mut bindings, "kafka", "key", Scalar::Loose, "k").unwrap();
    assert_eq!(key::<Value>(&bindings), Ok(Some(json!("k"))));
    let rejection = key::<u32>(&bindings).unwrap_err();
    assert_eq!(rejection.to_string(), "bindings `/kafka/key`: expected an integer, found \"k\" (type)");
}

#[test]
fn a_content_type_is_said_once() {
    let mut message = Message::new("a").header("Content-Type", "text/html");
    codegen::set_content_type(&mut message, "text/plain");
    assert_eq!(message.headers.len(), 1);
    assert_eq!(message.content_type(), Some("text/plain"), "the protocol's own place counts first");
    let mut message = Message::new("a").binding("mqtt", "content_type", "text/html");
    codegen::set_content_type(&mut message, "text/plain");
    assert_eq!(message.content_type(), Some("text/html"));
    assert_eq!(message.headers.get("content-type"), Some(&b"text/plain"[..]));
}
