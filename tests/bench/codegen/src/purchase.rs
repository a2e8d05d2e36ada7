//! One message of 1 KB, and the ways from its bytes to a value that are compared.

use std::sync::LazyLock;

use amgi::{Bytes, Message, Rejection, TypedMessage};
use jsonschema::Validator;
use serde_json::Value;

use crate::hand;

amgi::include_api!("purchase", as generated);

/// What typify makes of the schema.
#[allow(missing_docs, missing_debug_implementations, clippy::all, clippy::pedantic)]
pub mod typify {
    include!(concat!(env!("OUT_DIR"), "/typify.rs"));
}

/// The payload, which is valid.
pub const PAYLOAD: &str = include_str!("../purchase.json");

const SCHEMA: &str = include_str!("../purchase.schema.json");

/// A message with a payload.
pub fn message(payload: &str) -> Message {
    Message::new("purchases").payload(Bytes::copy_from_slice(payload.as_bytes()))
}

/// The generated type: read and checked.
///
/// # Errors
/// When the payload does not fit the schema.
pub fn generated(message: &Message) -> Result<generated::Purchased, Rejection> {
    generated::Purchased::decode(message)
}

/// The type and the checks that a person wrote.
///
/// # Errors
/// When the payload does not fit the schema.
pub fn by_hand(message: &Message) -> Result<hand::Purchase, hand::Error> {
    hand::decode(payload(message))
}

/// The same, from a text and not from bytes.
///
/// # Errors
/// When the payload does not fit the schema.
pub fn by_hand_from_text(message: &Message) -> Result<hand::Purchase, hand::Error> {
    hand::decode_text(payload(message))
}

/// Typify's type: read, and its texts checked for length and pattern; bounds, formats and sizes are not.
///
/// # Errors
/// When the payload does not fit the type.
pub fn by_typify(message: &Message) -> Result<typify::Purchase, serde_json::Error> {
    serde_json::from_slice(payload(message))
}

/// A validator looks at the JSON, and then it is read.
///
/// # Errors
/// When the payload does not fit the schema.
pub fn validated(message: &Message) -> Result<hand::Purchase, String> {
    static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
        let schema = serde_json::from_str(SCHEMA).expect("the schema is JSON");
        let options = ["date-time", "email", "uuid"]
            .into_iter()
            .fold(jsonschema::options().should_validate_formats(true), |options, name| {
                options.with_format(name, |text: &str| hand::has_format(text, name))
            });
        options.build(&schema).expect("the schema is one")
    });
    let value: Value = serde_json::from_slice(payload(message)).map_err(|error| error.to_string())?;
    VALIDATOR.validate(&value).map_err(|error| error.to_string())?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn payload(message: &Message) -> &[u8] {
    message.payload.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_ways_read_the_same() {
        let message = message(PAYLOAD);
        let value: Value = serde_json::from_str(PAYLOAD).expect("the payload is JSON");
        let json = |value| serde_json::to_string(&value).expect("it can be written");
        let read = generated(&message).expect("it fits").payload;
        assert_eq!(serde_json::to_string(&read).expect("it can be written"), PAYLOAD);
        let ways = [by_hand(&message).ok(), by_hand_from_text(&message).ok(), validated(&message).ok()];
        for read in ways {
            let read = read.expect("it fits");
            assert_eq!(serde_json::to_string(&read).expect("it can be written"), PAYLOAD);
        }
        let read = by_typify(&message).expect("it fits");
        assert_eq!(json(serde_json::to_value(read).expect("it can be written")), json(value));
    }

    #[test]
    fn the_checks_by_hand_refuse_what_the_generated_ones_refuse() {
        let long = |count: usize| json!("é".repeat(count));
        for (pointer, broken) in [
            ("/id", json!("8f14e45fceea467f9a3c1f0e6d2b7c55")),
            ("/number", json!("PO-2024-317")),
            ("/placedAt", json!("2024-02-30T09:41:27Z")),
            ("/status", json!("lost")),
            ("/currency", json!("EURO")),
            ("/total", json!(-0.01)),
            ("/tax", json!(-1)),
            ("/priority", json!(10)),
            ("/gift", json!("no")),
            ("/note", long(501)),
            ("/coupon", json!("abc")),
            ("/tags", json!(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"])),
            ("/tags/1", long(31)),
            ("/customer/id", json!(0)),
            ("/customer/name", json!("")),
            ("/customer/email", json!("ada@example_org")),
            ("/customer/phone", long(31)),
            ("/shipping/street", long(101)),
            ("/shipping/city", json!("")),
            ("/shipping/zip", json!("12")),
            ("/shipping/country", json!("DEU")),
            ("/payment/method", json!("cash")),
            ("/payment/reference", json!("2eb8aa08-aa98-11ea-b4aa-73b441d1638g")),
            ("/payment/paidAt", json!("2024-05-17 09:42:03Z")),
            ("/lines", json!([])),
            ("/lines/0/sku", json!("KB")),
            ("/lines/1/title", long(201)),
            ("/lines/2/quantity", json!(1001)),
            ("/lines/2/price", json!(-1)),
            ("/lines/1/discount", json!(1.1)),
            ("/parcels", json!(0)),
            ("/weight", json!(-1)),
            ("/channel", long(41)),
        ] {
            let mut value: Value = serde_json::from_str(PAYLOAD).expect("the payload is JSON");
            *value.pointer_mut(pointer).expect(pointer) = broken;
            let message = message(&value.to_string());
            assert!(generated(&message).is_err(), "generated: {pointer}");
            assert!(by_hand(&message).is_err(), "by hand: {pointer}");
            assert!(validated(&message).is_err(), "validated: {pointer}");
        }
    }

    #[test]
    fn the_payload_has_a_kilobyte() {
        assert!((950..=1050).contains(&PAYLOAD.len()), "{}", PAYLOAD.len());
    }
}
