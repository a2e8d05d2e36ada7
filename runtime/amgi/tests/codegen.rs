//! What generated code relies on: checks, scalars, rejections.

use amgi::{
    Bindings, Headers, Message, Reason, Rejection, Settlement,
    codegen::{self, At, Scalar, TextPattern},
    error::Part,
};
use serde_json::{Value, json};

const AT: At<'static> = At::root(Part::Payload);

#[test]
fn an_enum_of_numbers_is_compared_by_value() {
    let values = r#"[1, 2.0, 9007199254740993, [1.0, {"a": 3}]]"#;
    for value in [json!(1.0), json!(2), json!(9_007_199_254_740_993_u64), json!([1, {"a": 3.0}])] {
        assert_eq!(codegen::one_of(&AT, &value, values), Ok(()), "{value}");
    }
    for value in [json!(1.5), json!("1"), json!(9_007_199_254_740_992_u64), json!([1]), json!([1, {"b": 3}])]
    {
        assert!(codegen::one_of(&AT, &value, values).is_err(), "{value}");
    }
}

#[test]
fn a_pattern_that_is_not_unicode_still_counts() {
    // An escaped `-` outside of a class is an error with the flag `u`.
    let pattern = TextPattern::new(r"^a\-b$");
    assert_eq!(pattern.check(&AT, "a-b"), Ok(()));
    assert!(pattern.check(&AT, "ab").is_err());
    assert_eq!(TextPattern::new(r"^\p{L}$").check(&AT, "ü"), Ok(()));
}

#[test]
fn of_several_messages_the_one_that_came_furthest_is_blamed() {
    let rejection = |part, pointer: &str| Rejection::new(part, pointer, "no");
    let tried = [
        ("A", rejection(Part::Payload, "/a")),
        ("B", rejection(Part::Payload, "/b/c")),
        ("C", rejection(Part::Headers, "/c/d")),
        ("D", rejection(Part::Payload, "")),
    ];
    let found = codegen::no_alternative(&tried);
    assert_eq!((found.part, found.pointer.as_str()), (Part::Payload, "/b/c"));
    assert!(found.detail.contains("`A`") && found.detail.contains("`D`"), "{found}");
}

#[test]
fn an_unknown_message_is_told_from_one_that_is_no_json() {
    let pointer = |payload: &str, found| {
        let message = Message::new("a").payload(payload.to_owned());
        let settlement = codegen::unknown_message(&message, Part::Payload, "kind", found, "`a` or `b`");
        let Settlement::Fail { reason: Reason::Rejected(rejection), .. } = settlement else { panic!() };
        (rejection.pointer, rejection.detail.into_owned())
    };
    assert_eq!(pointer(r#"{"kind":"c"}"#, Some("c")).0, "/kind");
    assert_eq!(pointer("{}", None).0, "/kind");
    let (at, detail) = pointer(r#"{"x":[1,}"#, None);
    assert_eq!(at, "");
    assert!(detail.contains("line 1 column 9"), "{detail}");
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
        assert_eq!(codegen::header::<Value>(&headers, "h", Scalar::Loose), Ok(value));
    }
    // JSON that does not fit is text.
    let headers: Headers = [("h", "12")].into_iter().collect();
    assert_eq!(codegen::header::<String>(&headers, "h", Scalar::Loose).as_deref(), Ok("12"));

    let mut bindings = Bindings::default();
    codegen::set_binding(&mut bindings, "kafka", "key", Scalar::Loose, "k").unwrap();
    assert_eq!(codegen::binding(&bindings, "kafka", "key", Scalar::Loose), Ok(Some(json!("k"))));
    let rejection = codegen::binding::<u32>(&bindings, "kafka", "key", Scalar::Loose).unwrap_err();
    assert_eq!(rejection.pointer, "/kafka/key");
}
