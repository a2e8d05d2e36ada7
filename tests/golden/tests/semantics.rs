//! What `specs/shapes.yaml` accepts and rejects, and where.

use amgi::{Message, Rejection, TypedMessage};

/// Generated from `shapes.yaml`.
#[allow(dead_code, unreachable_pub)]
#[path = "../expected/shapes.rs"]
#[rustfmt::skip]
mod shapes;

use shapes::{
    Codes, Composed, Data, Family, Nullable, Overlap, Ping,
    types::{OverlapPayload, OverlapPayloadPlace},
};

fn decode<M: TypedMessage>(payload: &str) -> Result<M, Rejection> {
    M::decode(&Message::new("any").payload(payload.to_owned()))
}

#[track_caller]
fn accepts<M: TypedMessage>(payload: &str) -> M {
    decode(payload).unwrap_or_else(|rejection| panic!("{payload} was rejected: {rejection}"))
}

#[track_caller]
fn rejects<M: TypedMessage>(payload: &str, pointer: &str) {
    match decode::<M>(payload) {
        Ok(_) => panic!("{payload} was accepted"),
        Err(rejection) => assert_eq!(rejection.pointer(), pointer, "{payload}: {rejection}"),
    }
}

#[test]
fn alternatives_are_told_apart_by_their_rules() {
    accepts::<Codes>(r#"{"code":"a1","rank":2}"#);
    accepts::<Codes>(r#"{"code":"b1","rank":9}"#);
    rejects::<Codes>(r#"{"code":"c1"}"#, "/code");
    rejects::<Codes>(r#"{"rank":5}"#, "/rank");
    rejects::<Codes>(r#"{"code":1}"#, "/code");
}

#[test]
fn numbers_compare_by_value_and_at_the_edge_of_their_type() {
    accepts::<Codes>(r#"{"half":1}"#);
    accepts::<Codes>(r#"{"half":1.0}"#);
    accepts::<Codes>(r#"{"half":2.5}"#);
    rejects::<Codes>(r#"{"half":2}"#, "/half");
    accepts::<Codes>(r#"{"big":9223372036854775807}"#);
    accepts::<Codes>(r#"{"steps":0}"#);
    rejects::<Codes>(r#"{"steps":10}"#, "/steps");
}

#[test]
fn patterns_of_older_engines_hold_too() {
    accepts::<Codes>(r#"{"date":"2026-03"}"#);
    rejects::<Codes>(r#"{"date":"2026"}"#, "/date");
}

#[test]
fn texts_that_differ_in_case_are_two() {
    let (low, high) = (accepts::<Codes>(r#"{"order":"asc"}"#), accepts::<Codes>(r#"{"order":"ASC"}"#));
    assert_ne!(low.payload.order, high.payload.order);
    rejects::<Codes>(r#"{"order":"Asc"}"#, "/order");
}

#[test]
fn headers_without_a_type_take_text_and_json() {
    for (value, text) in [("abc", "abc"), ("7", "7"), ("\"quoted\"", "quoted")] {
        let message = Message::new("any").header("x-trace", value).header("x-mixed", value).payload("{}");
        let codes = Codes::decode(&message).unwrap_or_else(|rejection| panic!("{value}: {rejection}"));
        let sent = codes.to_message("any").expect("it can be sent");
        assert_eq!(sent.headers.get("x-trace"), Some(text.as_bytes()));
        assert_eq!(sent.headers.get("x-mixed"), Some(text.as_bytes()));
    }
}

#[test]
fn alternatives_within_all_of_are_not_lost() {
    accepts::<Composed>(r#"{"id":"1","x":1}"#);
    accepts::<Composed>(r#"{"id":"1","y":"z"}"#);
    assert!(decode::<Composed>(r#"{"id":"1"}"#).is_err());
    assert!(decode::<Composed>(r#"{"x":1}"#).is_err());
}

#[test]
fn children_extend_the_parent_that_lists_them() {
    accepts::<Family>(r#"{"name":"Tom","lives":9}"#);
    accepts::<Family>(r#"{"name":"Rex","tricks":1}"#);
    assert!(decode::<Family>(r#"{"name":"Tom"}"#).is_err());
    assert!(decode::<Family>(r#"{"lives":9}"#).is_err());
}

#[test]
fn exactly_one_alternative_fits_what_is_read() {
    let message = accepts::<Overlap>(r#"{"id":1,"note":null,"place":"Rome","time":"noon"}"#);
    let OverlapPayload::Place(place) = &message.payload else { panic!("{message:?}") };
    assert_eq!(place.place.as_deref(), Some("Rome"));
    accepts::<Overlap>(r#"{"id":1,"note":{},"place":"a long name","time":12}"#);
    rejects::<Overlap>(r#"{"id":1,"note":"","place":"Rome","time":12}"#, "");
    rejects::<Overlap>(r#"{"id":1,"note":""}"#, "");
    rejects::<Overlap>(r#"{"id":0,"note":"","time":12,"place":1}"#, "");
    assert!(decode::<Overlap>(r#"{"id":1,"place":"Rome","time":"noon"}"#).is_err());
}

#[test]
fn exactly_one_alternative_fits_what_is_sent() {
    // Nobody who reads this could tell which of the two it is, and what was read had a member more.
    let place = OverlapPayloadPlace {
        id: 1,
        note: amgi::codegen::serde_json::Value::Null,
        place: Some("Rome".to_owned()),
    };
    let message = Overlap { payload: place.into() };
    let rejection = message.to_message("any").expect_err("it fits both");
    assert!(format!("{rejection:?}").contains("only one of"), "{rejection:?}");
}

#[test]
fn null_is_kept_where_it_must_be_there() {
    let message = accepts::<Nullable>(r#"{"next":null}"#);
    let sent = message.to_message("any").expect("it can be sent");
    let text = String::from_utf8_lossy(sent.payload.as_deref().unwrap_or_default()).into_owned();
    assert!(text.contains(r#""next":null"#), "{text}");
    assert!(text.contains(r#""settings_theme":"light""#), "{text}");
    let named = accepts::<Nullable>(r#"{"next":{"name":"n"}}"#);
    assert!(named.payload.next.is_some());
}

#[test]
fn additional_members_have_rules() {
    accepts::<Nullable>(r#"{"next":null,"b":5}"#);
    rejects::<Nullable>(r#"{"next":null,"b":4}"#, "/b");
}

#[test]
fn a_message_that_fits_everything_is_tried_last() {
    let code = include_str!("../expected/shapes.rs").replace(char::is_whitespace, "");
    let tried = |name: &str| code.find(&format!("choice.read::<{name}>")).expect("it is dispatched");
    assert!(tried("Data") < tried("Ping"));
    assert!(decode::<Data>("{}").is_err() && decode::<Ping>("{}").is_ok());
}
