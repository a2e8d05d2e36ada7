//! What YAML and JSON texts become.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::{Node, Value, read};
use crate::diag::Diagnostics;

fn parse(text: &str) -> (Option<Node>, Diagnostics) {
    let mut diags = Diagnostics::default();
    let node = read(text, 0, &mut diags);
    (node, diags)
}

/// The tree of a text without problems.
fn tree(text: &str) -> Json {
    let (node, diags) = parse(text);
    assert!(diags.is_empty(), "{text}\n{diags:#?}");
    node.expect("there is a tree").to_json()
}

/// `line:column code` of each problem.
fn problems(text: &str) -> Vec<String> {
    let (_, diags) = parse(text);
    diags.iter().map(|d| format!("{}:{} {}", d.span.line, d.span.column, d.code.name)).collect()
}

#[test]
fn scalars_follow_the_core_schema_of_yaml_1_2() {
    let text = "[yes, no, on, off, y, n, 2024-01-31, 2001-12-14t21:59:43Z, 1:30, 1_000, 0b1, NaN, inf, 'true', \"1\", =]";
    let strings = [
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
        "2024-01-31",
        "2001-12-14t21:59:43Z",
        "1:30",
        "1_000",
        "0b1",
        "NaN",
        "inf",
        "true",
        "1",
        "=",
    ];
    assert_eq!(tree(text), json!(strings));
    assert_eq!(
        tree("[true, True, TRUE, false, False, FALSE]"),
        json!([true, true, true, false, false, false])
    );
    assert_eq!(tree("[null, Null, NULL, ~, ]"), json!([null, null, null, null]));
    assert_eq!(tree("a:\nb: ''\n"), json!({"a": null, "b": ""}));
}

#[test]
fn numbers_keep_their_kind() {
    assert_eq!(
        tree("[0, -0, 12, +12, -12, 012, 0x1F, 0o17, 18446744073709551615, -9223372036854775808]"),
        json!([0, 0, 12, 12, -12, 12, 31, 15, u64::MAX, i64::MIN])
    );
    assert_eq!(tree("[1.0, .5, 5., -1.5e3, 1E-2, 1e3]"), json!([1.0, 0.5, 5.0, -1500.0, 0.01, 1000.0]));
    // Wider than 64 bits: the nearest float, as every JSON reader has it.
    assert_eq!(tree("[18446744073709551616]"), json!([18_446_744_073_709_551_616.0]));
    let (node, diags) = parse("[.inf, -.INF, .nan, 1e999]");
    assert_eq!(node.expect("tree").to_json(), json!([".inf", "-.INF", ".nan", "1e999"]));
    assert_eq!(diags.with_code("number-range").count(), 4);
    assert_eq!(
        tree("[+, ., 1.2.3, 3.0.0, 1e, --1, 0x, 0xZ]"),
        json!(["+", ".", "1.2.3", "3.0.0", "1e", "--1", "0x", "0xZ"])
    );
}

#[test]
fn tags_say_what_a_scalar_is() {
    assert_eq!(tree("[!!str 1, !!int '2', ! 3, !custom 4, !!str null]"), json!(["1", 2, "3", 4, "null"]));
    assert_eq!(problems("a: !!int x"), ["1:10 yaml-tag"]);
}

#[test]
fn json_is_read_whole() {
    let text = "{\t\"a\":\"\\ud83d\\ude00\\/\\b\\f\\n\\r\\t\\u0041\\\\\\\"\",\r\n\t\"b\" : [ 1,-2.5e+3 , true,false,null , {} , [ ] ],\"\":\"\",\n\"c\"\n:\n1, \"d\":{\"<<\":{\"e\":1}}}\n";
    let expected: Json = serde_json::from_str(text).expect("this is JSON");
    assert_eq!(tree(text), expected);
    let long = "k".repeat(70_000);
    let text = format!("{{\"{long}\":\"{long}\"}}");
    assert_eq!(tree(&text), serde_json::from_str::<Json>(&text).expect("JSON"));
    // Adjacent values, odd separators and characters beyond the basic plane.
    let text =
        "{\"a\":\"\u{85}\u{2028}\u{e000}\u{1F600}\",\"b\":{\"c\":[\"d\",\"e\"]},\"f\":\"# no: comment\"}";
    assert_eq!(tree(text), serde_json::from_str::<Json>(text).expect("JSON"));
    // YAML refuses these; they stand in patterns of real documents.
    let text = "{\"\u{7f}k\": \"[^\u{7f}\u{e000}-\u{9f}]\",\n\"b\u{80}\": \"\u{7f}\", \"c\": 1}";
    assert_eq!(tree(text), serde_json::from_str::<Json>(text).expect("JSON"));
    let (node, _) = parse(text);
    let node = node.expect("tree");
    let span = node.get("c").expect("c").span;
    assert_eq!((span.line, span.column, span.offset as usize), (2, 17, text.len() - 2));
    let span = node.get("\u{7f}k").expect("the first").span;
    assert_eq!(&text[span.offset as usize..][..span.len as usize], "\"[^\u{7f}\u{e000}-\u{9f}]\"");
    assert_eq!(problems("a: \u{7f}\n"), ["1:4 yaml-syntax"]);
    assert_eq!(tree("\u{feff}{\"a\": 1}"), json!({"a": 1}));
}

#[test]
fn keys_become_text() {
    assert_eq!(
        tree("200: a\ntrue: b\n1.5: c\n~: d\non: e\n"),
        json!({"200": "a", "true": "b", "1.5": "c", "~": "d", "on": "e"})
    );
    assert_eq!(problems("? [a, b]\n: 1\nc: 2\n"), ["1:3 yaml-key"]);
}

#[test]
fn spans_name_line_column_and_offset() {
    let (node, _) = parse("# é\nköy: välue\nlist:\n  - {a: 'b'}\n");
    let node = node.expect("tree");
    let entry = node.entry("köy").expect("key");
    assert_eq!(
        (entry.key_span.line, entry.key_span.column, entry.key_span.offset, entry.key_span.len),
        (2, 1, 5, 4)
    );
    let span = entry.value.span;
    assert_eq!((span.line, span.column, span.offset, span.len), (2, 6, 11, 6));
    let list = node.get("list").expect("list");
    assert_eq!((list.span.line, list.span.column), (4, 3));
    let inner = list.items()[0].entry("a").expect("a");
    assert_eq!((inner.key_span.line, inner.key_span.column), (4, 6));
    assert_eq!((inner.value.span.line, inner.value.span.column, inner.value.span.len), (4, 9, 3));
}

#[test]
fn duplicate_keys_are_all_reported() {
    let (node, diags) = parse("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 2\n");
    assert_eq!(node.expect("tree").to_json(), json!({"a": 1, "b": {"c": 1, "d": 2}}));
    let found: Vec<_> =
        diags.iter().map(|d| (d.code.name, d.span.line, d.span.column, d.labels[0].span.line)).collect();
    assert_eq!(found, [("duplicate-key", 5, 3, 3), ("duplicate-key", 6, 1, 1)]);
    assert_eq!(problems("{\"1\": 1, 1: 2}"), ["1:10 duplicate-key"]);
}

#[test]
fn anchors_and_merge_keys() {
    let text = "base: &b {x: 1, y: 2}\nmore: &m {y: 3, z: 4}\na:\n  <<: *b\n  y: 9\nc:\n  y: 8\n  <<: [*m, *b]\nd: *b\ne: &k key\n*k : f\n";
    assert_eq!(
        tree(text),
        json!({
            "base": {"x": 1, "y": 2}, "more": {"y": 3, "z": 4},
            "a": {"x": 1, "y": 9}, "c": {"y": 8, "z": 4, "x": 1}, "d": {"x": 1, "y": 2}, "e": "key", "key": "f",
        })
    );
    assert_eq!(
        problems("a: *nowhere\nb: &c [*c]\nd: {<<: 1}\n"),
        ["1:4 yaml-alias", "2:8 yaml-alias", "3:9 yaml-merge"]
    );
}

#[test]
fn syntax_errors_have_a_place_and_keep_what_was_read() {
    let (node, diags) = parse("a: 1\nb: [1, 2\nc: 3\n");
    assert!(diags.has_errors());
    assert_eq!(diags.iter().next().map(|d| d.code.name), Some("yaml-syntax"));
    assert_eq!(
        node.expect("what came before").get("a").map(|n| n.value.clone()),
        Some(Value::Number(1.into()))
    );
    assert_eq!(problems("a: 1\n\tb: 2\n").len(), 1);
    assert_eq!(problems("a: 1\n---\nb: 2\n"), ["2:1 yaml-syntax"]);
    assert_eq!(problems("{\"a\": 1,, }").len(), 1);
}

#[test]
fn size_is_limited_and_large_is_fine() {
    let mut laughs = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for i in 1..30 {
        let list = vec![format!("*a{}", i - 1); 9].join(", ");
        let _ = writeln!(laughs, "a{i}: &a{i} [{list}]");
    }
    assert_eq!(parse(&laughs).1.with_code("yaml-limit").count(), 1);

    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000)] {
        let (_, diags) = parse(&text);
        assert!(diags.has_errors());
    }
    assert_eq!(problems(&"[".repeat(1000)), ["1:131 yaml-limit"]);
    let mut keys = String::new();
    for i in 0..100 {
        let _ = writeln!(keys, "k{i}: {i}");
    }
    assert_eq!(tree(&keys).as_object().map(serde_json::Map::len), Some(100));
    assert_eq!(problems(&format!("{keys}k0: 1\nk50: 1\nk99: 1\n")).len(), 3);
    // Depth through aliases counts too.
    let mut deep = String::new();
    for i in 0..40 {
        let inner = if i == 0 { "x".to_string() } else { format!("*a{}", i - 1) };
        let _ = writeln!(deep, "a{i}: &a{i} [[[[{inner}]]]]");
    }
    assert_eq!(parse(&deep).1.with_code("yaml-limit").count(), 1);
}
