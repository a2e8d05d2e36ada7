//! What `specs/hosts/amgi.toml` asks for is there: names, types of the standard library, derives. And the committed JSON
//! Schema of `amgi.toml` is the one that is generated.

use std::{hash::Hash, net::IpAddr, num::NonZeroU32};

use amgi::{Message, Rejection, TypedMessage};
use amgi_golden_tests::root;

/// Generated from `hosts.yaml`.
#[allow(dead_code, unreachable_pub)]
#[path = "../expected/hosts.rs"]
#[rustfmt::skip]
mod hosts;

use hosts::{
    HostStop, MachineUp,
    types::{Contact, Machine, Room, Stop},
};

fn decode(payload: &str, reporter: &'static str) -> Result<MachineUp, Rejection> {
    MachineUp::decode(&Message::new("host.up").header("reporter", reporter).payload(payload.to_owned()))
}

#[test]
fn replaced_types_are_read_and_written() {
    let message = decode(
        r#"{"name":"a","address":"10.0.0.2","serial":7,"routes":["::1"],"contact":"10.0.0.4"}"#,
        "10.0.0.1",
    )
    .expect("a valid message");
    let address = |text: &str| text.parse::<IpAddr>().expect("an address");
    assert_eq!(message.headers.reporter, address("10.0.0.1"));
    let machine: &Machine = &message.payload;
    assert_eq!(
        (machine.address, machine.serial),
        (address("10.0.0.2"), NonZeroU32::new(7).expect("not zero"))
    );
    assert_eq!(machine.routes, [address("::1")]);
    assert_eq!(machine.contact, Some(Contact::Address(address("10.0.0.4"))));
    assert_eq!(machine.gateway, None, "a default of the schema is no value of a foreign type");

    let mut written = Message::new("host.up");
    message.encode(&mut written).expect("it can be written");
    let again = MachineUp::decode(&written).expect("what was written");
    assert_eq!(again, message);
}

#[test]
fn replaced_types_say_what_they_take() {
    let rejected =
        |payload: &str, reporter| decode(payload, reporter).expect_err("an invalid message").to_string();
    let machine = r#"{"name":"a","address":"10.0.0.2","serial":7}"#;
    assert!(rejected(&machine.replace("10.0.0.2", "here"), "::1").contains("/address"));
    assert!(rejected(&machine.replace('7', "0"), "::1").contains("/serial"));
    assert!(rejected(&machine.replace("\"a\"", "\"\""), "::1").contains("/name"), "other rules stay");
    assert!(rejected(machine, "here").contains("reporter"));
}

#[test]
fn derives_are_there() {
    fn eq_and_hash<T: Eq + Hash>() {}
    fn partial_ord<T: PartialOrd>() {}
    fn ord<T: Ord>() {}
    eq_and_hash::<(Contact, Room, Stop)>();
    partial_ord::<Machine>();
    ord::<Stop>();
    let stop =
        HostStop { payload: Stop { address: IpAddr::from([10, 0, 0, 1]), reason: "tired".to_owned() } };
    let mut written = Message::new("host.stop");
    stop.encode(&mut written).expect("it can be written");
    let payload = written.payload.unwrap_or_default();
    assert_eq!(payload, r#"{"address":"10.0.0.1","why":"tired"}"#.as_bytes());
}

#[test]
fn the_schema_of_the_settings_is_up_to_date() {
    let path = root().join("codegen/amgi-gen/amgi.schema.json");
    let schema = amgi_gen::settings::schema();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &schema).expect("the schema can be written");
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == schema, "run with UPDATE_GOLDEN=1: `amgi-gen schema` gives\n{schema}");
}
