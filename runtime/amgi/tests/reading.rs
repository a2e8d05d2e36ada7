//! How generated types are read, and what is said of a text that is none of their values.

use std::collections::BTreeMap;

use amgi::{
    Message, Rejection,
    codegen::{self, At, Foreign, Read},
};

#[derive(Debug, PartialEq)]
struct Order {
    id: u64,
    note: Option<String>,
    count: Option<u32>,
    tags: Vec<i32>,
    level: u64,
    password: Option<String>,
    lines: Vec<Line>,
    shape: Option<Shape>,
    rest: BTreeMap<String, i64>,
}

fn seven() -> u64 {
    7
}

codegen::object!(Order {
    0 id "id": u64, required;
    1 note "the note": String, optional;
    2 count "count": Option<u32>, default;
    3 tags "tags": Vec<i32>, default;
    4 level "level": u64, value(seven);
    5 password "password": String, optional [secret];
    6 lines "lines": Vec<Line>, default;
    7 shape "shape": Shape, optional;
    .. rest: i64
});
codegen::check!(Order, (value, at)
    id "id" { codegen::ensure(at, *value >= 1, "minimum", "at least 1", value); }
    note "the note" { if let Some(value) = value { codegen::length(at, value, 1, 5); } }
    password "password" secret { if let Some(value) = value { codegen::length(at, value, 8, 64); } }
    lines "lines" { codegen::Check::check(value, at); }
);

#[derive(Debug, PartialEq)]
struct Line {
    sku: String,
    size: Size,
}

codegen::object!(Line: Refused {
    0 sku "sku": String, required;
    1 size "size": Size, required;
});
codegen::check!(Line, (value, at) sku "sku" { codegen::length(at, value, 3, 3); });

#[derive(Debug, Clone, Copy, PartialEq)]
enum Size {
    Small,
    Large,
}

codegen::text_enum!(Size { Small = "small", Large = "large" });

#[derive(Debug, PartialEq)]
enum Shape {
    Circle(Circle),
    Square(Square),
    Text(String),
}

codegen::union!(Shape: one always { Circle(Circle), Square(Square), Text(String) });

#[derive(Debug, PartialEq)]
struct Circle {
    radius: f64,
}

codegen::object!(Circle { 0 radius "radius": f64, required; });

#[derive(Debug, PartialEq)]
struct Square {
    side: f64,
    inner: Option<Box<Shape>>,
}

codegen::object!(Square { 0 side "side": f64, required; 1 inner "inner": Box<Shape>, optional; });

fn read<R: Read>(text: &str, check: impl Fn(&R::Value, &At<'_>)) -> Result<R::Value, Rejection> {
    codegen::json::read::<R>(&Message::new("x").payload(text.to_owned()), 1 << 20, check)
}

fn order(text: &str) -> Result<Order, Rejection> {
    read::<Order>(text, codegen::Check::check)
}

/// What is wrong with an order: a line for each violation.
fn wrong(text: &str) -> Vec<String> {
    let rejection = order(text).expect_err(text);
    rejection.violations().iter().map(|violation| violation.to_string().replacen("payload ", "", 1)).collect()
}

#[test]
fn members_are_read_by_name_in_any_order() {
    let read = order(
        r#"{"tags":[1.0,2e0],"the note":"n","id":3,"more":-1.0,"count":null,"shape":{"side":2,"inner":"x"}}"#,
    );
    let inner = Some(Box::new(Shape::Text("x".to_owned())));
    let order = Order {
        id: 3,
        note: Some("n".to_owned()),
        count: None,
        tags: vec![1, 2],
        level: 7,
        password: None,
        lines: Vec::new(),
        shape: Some(Shape::Square(Square { side: 2.0, inner })),
        rest: BTreeMap::from([("more".to_owned(), -1)]),
    };
    assert_eq!(read, Ok(order));
}

#[test]
fn one_thing_that_is_wrong_is_said_with_its_place() {
    for (text, problem) in [
        ("{}", "``: expected the member `id` (required)"),
        ("[1]", "``: expected an object, found an array (type)"),
        ("3", "``: expected an object, found 3 (type)"),
        (r#"{"id":0}"#, "`/id`: expected at least 1, found 0 (minimum)"),
        (r#"{"id":-1}"#, "`/id`: expected at least 0, found -1 (minimum)"),
        (r#"{"id":1e30}"#, "`/id`: expected at most 18446744073709551615, found 1e30 (maximum)"),
        (r#"{"id":1.5}"#, "`/id`: expected an integer, found 1.5 (type)"),
        (r#"{"id":1,"id":1}"#, "`/id`: expected a member only once"),
        (r#"{"id":1,"the note":null}"#, "`/the note`: expected a string, found null (type)"),
        (
            r#"{"id":1,"the note":"longer"}"#,
            "`/the note`: expected at most 5 characters, found \"longer\" (maxLength)",
        ),
        (r#"{"id":1,"tags":[1,"x",3]}"#, "`/tags/1`: expected an integer, found \"x\" (type)"),
        (r#"{"id":1,"a/b":"x"}"#, "`/a~1b`: expected an integer, found \"x\" (type)"),
        (
            r#"{"id":1,"lines":[{"sku":"abc","size":"huge"}]}"#,
            "`/lines/0/size`: expected one of \"small\", \"large\", found \"huge\" (enum)",
        ),
        (
            r#"{"id":1,"lines":[{"sku":"abc","size":"small","x":0}]}"#,
            "`/lines/0/x`: expected no such member (additionalProperties)",
        ),
        (r#"{"id":1,"shape":7}"#, "`/shape`: expected one of `Circle`, `Square`, `Text`, found 7 (oneOf)"),
        (r#"{"id":1"#, "``: expected JSON, found EOF while parsing an object at line 1 column 7"),
        (r#"{"id":1} x"#, "``: expected JSON, found trailing characters at line 1 column 10"),
    ] {
        assert_eq!(wrong(text), [problem], "{text}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    // What cannot be read does not hide the rules of what can.
    let text = r#"{"id":0,"the note":"longer","tags":{},"lines":[{"sku":"x","size":"small"},{"size":7}]}"#;
    assert_eq!(
        wrong(text),
        [
            "`/tags`: expected an array, found an object (type)",
            "`/lines/1/size`: expected a string, found 7 (type)",
            "`/lines/1`: expected the member `sku` (required)",
            "`/id`: expected at least 1, found 0 (minimum)",
            "`/the note`: expected at most 5 characters, found \"longer\" (maxLength)",
            "`/lines/0/sku`: expected at least 3 characters, found \"x\" (minLength)",
        ]
    );
    // Not more than anybody reads.
    let tags = vec!["\"x\""; 1000].join(",");
    assert_eq!(wrong(&format!(r#"{{"id":1,"tags":[{tags}]}}"#)).len(), Rejection::MOST);
}

#[test]
fn a_secret_is_not_told() {
    for text in [
        r#"{"id":1,"password":"hunter2"}"#,
        r#"{"id":1,"password":["hunter2"]}"#,
        r#"{"id":"x","password":"hunter2"}"#,
        r#"[{"password":"hunter2"}]"#,
        r#"{"id":1,"shape":{"password":"hunter2"}}"#,
    ] {
        let said = wrong(text).join("\n");
        assert!(!said.contains("hunter2"), "{said}");
    }
    assert_eq!(
        wrong(r#"{"id":1,"password":"hunter2"}"#),
        ["`/password`: expected at least 8 characters (minLength)"]
    );
}

#[test]
fn of_alternatives_the_nearest_has_its_say() {
    assert_eq!(
        wrong(r#"{"id":1,"shape":{"side":1,"inner":{"radius":"x"}}}"#),
        [
            "`/shape`: expected one of `Circle`, `Square`, `Text`, most likely `Square`, found an object (oneOf)",
            "`/shape/inner`: expected one of `Circle`, `Square`, `Text`, most likely `Circle`, found an object (oneOf)",
            "`/shape/inner/radius`: expected a number, found \"x\" (type)",
        ]
    );
    let both = wrong(r#"{"id":1,"shape":{"side":1,"radius":1}}"#);
    assert_eq!(
        both,
        [
            "`/shape`: expected only one of `Circle`, `Square`, `Text`, found Circle and Square at once (oneOf)"
        ]
    );
}

#[test]
fn a_type_that_is_not_ours_is_read_by_serde() {
    let found = read::<Vec<Foreign<std::net::Ipv4Addr>>>(r#"["127.0.0.1"]"#, |_, _| ());
    assert_eq!(found, Ok(vec![std::net::Ipv4Addr::LOCALHOST]));
    let rejection = read::<Vec<Foreign<std::net::Ipv4Addr>>>(r#"["127.0.0.1", 7]"#, |_, _| ()).unwrap_err();
    assert_eq!(rejection.to_string(), "payload `/1`: expected a value of its type, found 7 (type)");
}

#[test]
fn not_all_is_said_of_a_payload_that_would_take_for_ever() {
    // A megabyte under a hundred levels, each of which would look at all of it.
    let text = format!(
        r#"{}"{}"{}"#,
        r#"{"side":1,"inner":"#.repeat(100),
        "x".repeat(1 << 19),
        ",\"inner\":1}".repeat(100)
    );
    let rejection = read::<Square>(&text, |_, _| ()).expect_err("no member stands twice");
    assert!(!rejection.violations().is_empty() && rejection.to_string().len() < 10_000, "{rejection}");
}

#[test]
fn hostile_payloads_are_refused_in_no_time() {
    let large = format!("\"{}\"", "x".repeat(2 << 20));
    let rejection = read::<String>(&large, |_, _| ()).unwrap_err();
    assert_eq!(rejection.to_string(), "payload ``: expected at most 1048576 bytes, found 2097154 bytes");
    for deep in [
        "[".repeat(500_000),
        format!("{}1{}", "[".repeat(300_000), "]".repeat(300_000)),
        format!("{}1{}", r#"{"side":1,"inner":"#.repeat(50_000), "}".repeat(50_000)),
        format!("{}{{\"radius\":1}}{}", r#"{"side":1,"inner":"#.repeat(60), "}".repeat(60)),
        format!(r#"{{"id":1,"lines":{}1{}}}"#, "[".repeat(300_000), "]".repeat(300_000)),
    ] {
        // Whatever comes of it, it comes soon and with the stack that a thread has.
        let _ = read::<Shape>(&deep, |_, _| ());
        let _ = read::<Vec<Order>>(&deep, codegen::Check::check);
        let _ = read::<serde_json::Value>(&deep, |_, _| ());
    }
}
