//! Schemas that lead back to themselves, or far down, have types or a validator, and never exhaust stack or time.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use amgi_asyncapi::{diag::Severity, load_str};
use amgi_gen::{Generation, format, from_loaded, settings::Settings};
use serde_json::{Map, Value, json};

/// What is generated for a message with the schema `Tree`. On the stack of a thread, which is smaller than that of a program.
fn generated(schemas: &Value) -> Generation {
    let text = json!({
        "asyncapi": "3.0.0",
        "info": {"title": "T", "version": "1"},
        "channels": {"c": {"address": "c", "messages": {"m": {"payload": to("Tree")}}}},
        "operations": {"o": {"action": "receive", "channel": {"$ref": "#/channels/c"}}},
        "components": {"schemas": schemas},
    })
    .to_string();
    let (done, result) = mpsc::channel();
    let started = Instant::now();
    thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || {
            let generation = from_loaded(load_str("t.json", &text), "t.json".as_ref(), &Settings::default());
            let _ = done.send(generation);
        })
        .unwrap();
    let generation = result.recv_timeout(Duration::from_secs(60)).expect("it ends");
    assert!(started.elapsed() < Duration::from_secs(60));
    generation
}

/// The generated text; there are no errors.
fn module(schemas: &Value) -> String {
    let generation = generated(schemas);
    let report = generation.sources.report(&generation.diagnostics);
    assert!(generation.diagnostics.iter().all(|d| d.severity != Severity::Error), "{report}");
    format::module(&generation.api.expect("code")).expect("it is Rust")
}

fn to(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn marked(name: &str) -> Value {
    json!({"type": "object", "required": [name], "properties": {name: {"type": "string"}}})
}

/// As many schemas in a row, each made of the next.
fn chain(count: usize, last: Value, of: impl Fn(Value) -> Value) -> Value {
    let name = |index: usize| if index == 0 { "Tree".to_owned() } else { format!("S{index}") };
    let mut schemas: Map<String, Value> =
        (0..count).map(|index| (name(index), of(to(&name(index + 1))))).collect();
    schemas.insert(name(count), last);
    Value::Object(schemas)
}

#[test]
fn a_member_that_extends_its_own_object_is_a_type_of_itself() {
    let text = module(&json!({
        "Tree": {"type": "object", "properties": {"next": {"allOf": [to("Tree"), marked("x")]}}}
    }));
    assert!(text.contains("pub next: Option<TreeNext>,"), "{text}");
    assert!(text.contains("pub next: Option<Box<TreeNext>>,"), "{text}");
    assert_eq!(text.matches("pub struct TreeNext").count(), 1, "{text}");
}

#[test]
fn alternatives_beside_their_own_object_are_types_of_themselves() {
    let choice = json!({"anyOf": [marked("x"), marked("y")]});
    for member in [
        json!({"allOf": [to("Tree"), choice]}),
        json!({"allOf": [to("Tree")], "anyOf": [marked("x"), marked("y")]}),
        json!({"anyOf": [{"allOf": [to("Tree"), marked("x")]}, marked("y")]}),
    ] {
        let text = module(&json!({"Tree": {"type": "object", "properties": {"next": member}}}));
        assert!(text.contains("pub next: Option<TreeNext>,"), "{text}");
        assert!(text.contains("pub next: Option<Box<TreeNext>>,"), "{text}");
        assert_eq!(text.matches("pub enum TreeNext").count(), 1, "{text}");
    }
}

#[test]
fn lists_and_maps_of_themselves_have_names() {
    let text = module(&json!({
        "Tree": {"type": "object", "properties": {"own": {"allOf": [to("B")]}}},
        "B": {"anyOf": [{"type": "array", "items": {"allOf": [to("B")]}}, {"type": "null"}]},
    }));
    assert_eq!(text.matches("pub struct TreeOwn").count(), 1, "{text}");
    let extended = json!({"allOf": [to("Tree"), {"anyOf": [marked("x"), marked("y")]}]});
    let text = module(&json!({"Tree": {"type": "object", "additionalProperties": extended}}));
    assert!(text.contains("pub enum "), "{text}");
}

#[test]
fn whatever_leads_back_to_itself_ends() {
    let bare = [
        json!({"Tree": {"allOf": [to("Tree"), marked("x")]}}),
        json!({"Tree": {"anyOf": [{"anyOf": [to("Tree"), marked("x")]}, marked("y")]}}),
        json!({"Tree": {"not": {"allOf": [to("Tree"), {"not": to("B")}]}}, "B": {"not": to("Tree")}}),
        json!({"Tree": {"anyOf": [to("B")]}, "B": {"oneOf": [to("Tree")]}}),
        json!({"Tree": {"if": to("Tree"), "then": {"if": to("Tree")}, "patternProperties": {"^a": to("Tree")}, "contains": to("Tree")}}),
        json!({"Tree": {"type": ["array", "object"], "items": {"allOf": [to("Tree"), {"maxItems": 1}]},
            "additionalProperties": {"allOf": [to("Tree")]}}}),
        json!({
            "Tree": {"type": "object", "properties": {"b": {"allOf": [to("B"), {"anyOf": [marked("x"), marked("y")]}]}}},
            "B": {"type": "object", "properties": {"a": {"allOf": [to("Tree"), {"oneOf": [marked("x"), marked("y")]}]}}},
        }),
    ];
    for schemas in bare {
        generated(&schemas);
    }
}

#[test]
fn many_ways_to_the_same_schemas_are_not_all_gone() {
    let extended = |index: usize| json!({"allOf": [to("Tree"), marked(&format!("x{index}"))]});
    let members: Map<String, Value> = (0..12).map(|index| (format!("m{index}"), extended(index))).collect();
    module(&json!({"Tree": {"type": "object", "properties": members}}));
    let twice = |next: Value| json!({"allOf": [next, {"allOf": [next, {"minimum": 1}]}]});
    module(&chain(30, json!({"type": "integer"}), twice));
    let twice = |next: Value| json!({"anyOf": [next, {"allOf": [next]}, {"type": "string"}]});
    module(&chain(30, json!({"type": "integer"}), twice));
    let twice =
        |next: Value| json!({"type": "array", "items": {"anyOf": [next, {"type": "array", "items": next}]}});
    module(&chain(30, json!({"type": "object"}), twice));
    let twice = |next: Value| json!({"type": "object", "properties": {"a": {"allOf": [next, marked("x")]}, "b": {"allOf": [next, marked("y")]}}});
    module(&chain(30, json!({"type": "object"}), twice));
    let name = |index: usize| if index == 0 { "Tree".to_owned() } else { format!("S{index}") };
    let all: Vec<Value> = (0..10).map(|index| json!({"allOf": [to(&name(index))]})).collect();
    let complete: Map<String, Value> = (0..10).map(|index| (name(index), json!({"allOf": all}))).collect();
    generated(&Value::Object(complete));
}

#[test]
fn long_rows_of_schemas_do_not_exhaust_the_stack() {
    let object = |next: Value| json!({"type": "object", "required": ["next"], "properties": {"next": next}});
    let text = module(&chain(2000, json!({"type": "string"}), object));
    assert_eq!(text.matches("pub struct S").count(), 1999);
    generated(&chain(2000, json!({"type": "string"}), |next| json!({"type": "array", "items": next})));
    generated(&chain(2000, json!({"type": "integer"}), |next| json!({"anyOf": [next, {"type": "string"}]})));
    generated(&chain(2000, json!({"type": "integer"}), |next| json!({"not": next})));
    generated(&chain(500, json!({"type": "object"}), |next| json!({"allOf": [next, marked("x")]})));
}
