//! What `specs/ledger/amgi.toml` asks for: members and digits are kept, builders check, payloads have a limit, and what is secret is
//! told to nobody.

use std::net::Ipv4Addr;

use amgi::{Message, Number, Rejection, TypedMessage};

/// Generated from `ledger.yaml`.
#[allow(dead_code, unreachable_pub)]
#[path = "../expected/ledger.rs"]
#[rustfmt::skip]
mod ledger;

use ledger::{
    Entry,
    types::{self, Account},
};

fn decode(payload: &str) -> Result<Entry, Rejection> {
    Entry::decode(&Message::new("entries").payload(payload.to_owned()))
}

fn number(text: &str) -> Number {
    text.parse().expect("a number")
}

#[test]
fn what_comes_in_goes_out_unchanged() {
    for payload in [
        r#"{"id":12345678901234567890123,"amount":0.10,"account":{"number":"12-34"}}"#,
        r#"{"id":1.0,"amount":-1E-2,"account":{"number":"12-34","answers":[]},"text":null,"labels":[],"a":{"b":[1,null]}}"#,
        r#"{"id":1,"amount":1e300,"account":{"number":"12-34","pin":"1234"},"text":"x","currency":"EUR"}"#,
    ] {
        let read = decode(payload).unwrap_or_else(|rejection| panic!("{payload}: {rejection}"));
        let written = read.to_message("entries.checked").expect("it can be sent");
        let written = written.payload.unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&written), payload);
    }
}

#[test]
fn numbers_of_any_size_are_held_to_their_rules() {
    let rejected = |id: &str, amount: &str| {
        let payload = format!(r#"{{"id":{id},"amount":{amount},"account":{{"number":"12-34"}}}}"#);
        decode(&payload).expect_err(&payload).to_string()
    };
    assert_eq!(rejected("1.5", "1"), "payload `/id`: expected an integer, found 1.5 (type)");
    assert_eq!(rejected("-1e30", "1"), "payload `/id`: expected at least 1, found -1e30 (minimum)");
    assert_eq!(
        rejected("1", "12345678901234567890.001"),
        "payload `/amount`: expected a multiple of 0.01, found 12345678901234567890.001 (multipleOf)"
    );
    assert_eq!(rejected("1", "\"1\""), "payload `/amount`: expected a number, found \"1\" (type)");
}

#[test]
fn what_is_built_is_checked() {
    let account = Account::builder().number("12-34").pin("1234").build().expect("an account");
    let entry = types::Entry::builder().id(7).amount(number("0.10")).account(account.clone());
    let built = entry.clone().text("rent".to_owned()).build().expect("an entry");
    assert_eq!((built.text, built.currency), (Some(Some("rent".to_owned())), None));
    let rejection = entry.id(0).text("x".repeat(21)).build().expect_err("it is wrong twice");
    let pointers: Vec<&str> = rejection.violations().iter().map(|v| v.pointer.as_str()).collect();
    assert_eq!(pointers, ["/id", "/text"]);
    let rejection = types::Entry::builder().build().expect_err("everything is missing");
    assert_eq!(rejection.violations().len(), 3, "{rejection}");
}

#[test]
fn what_is_sent_is_held_to_the_schema() {
    let account = Account { number: "1".to_owned(), pin: None, answers: Some(vec!["x".repeat(11)]) };
    let entry = types::Entry::builder().id(7).amount(1).account(account).build();
    let rejection = entry.expect_err("the account is wrong");
    assert_eq!(
        rejection.to_string(),
        "payload `/account/number`: expected a match of `^\\d\\d-\\d\\d$`, found \"1\" (pattern); \
         payload `/account/answers/0`: expected at most 10 characters (maxLength)"
    );
    let mut built = decode(r#"{"id":1,"amount":1,"account":{"number":"12-34"}}"#).expect("an entry");
    built.payload.account.number.clear();
    assert!(built.to_message("entries.checked").is_err());
}

#[test]
fn texts_of_a_format_have_its_type() {
    let with = |origins: &str| {
        format!(r#"{{"id":1,"amount":1,"account":{{"number":"12-34"}},"origins":{origins}}}"#)
    };
    let read = decode(&with(r#"["127.0.0.1",null]"#)).expect("an entry");
    assert_eq!(read.payload.origins, Some(vec![Some(Ipv4Addr::LOCALHOST), None]));
    let written = read.to_message("entries.checked").expect("it can be sent").payload.unwrap_or_default();
    assert_eq!(written, with(r#"["127.0.0.1",null]"#));
    let rejected = |origins: &str| decode(&with(origins)).expect_err(origins).to_string();
    assert_eq!(
        rejected(r#"["1.2.3.4", "::1", 7]"#),
        "payload `/origins/1`: expected the format ipv4, found \"::1\" (format); \
         payload `/origins/2`: expected a string, found 7 (type)"
    );
    // A text of which the schema says more stays one.
    let texts: [Option<String>; 2] = [read.payload.desk, read.payload.terminal];
    assert_eq!(texts, [None, None]);
}

#[test]
fn a_payload_has_a_limit() {
    let payload =
        format!(r#"{{"id":1,"amount":1,"account":{{"number":"12-34"}},"x":"{}"}}"#, "x".repeat(4096));
    let rejection = decode(&payload).expect_err("it is too large");
    assert_eq!(rejection.violations()[0].expected, "at most 4096 bytes");
}
