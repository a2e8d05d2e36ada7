//! What the tests share.

use std::{fmt::Debug, sync::Mutex};

use amgi::{BindingValue, ChannelInfo, Message};
use serde_json::Value;

/// The payload of a message as JSON.
pub fn json(message: &Message) -> Value {
    serde_json::from_slice(message.payload.as_deref().expect("a payload")).expect("JSON")
}

/// A header as text.
pub fn header<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    message.headers.get(name).map(|value| std::str::from_utf8(value).expect("text"))
}

/// The only message.
#[track_caller]
pub fn only(sends: &[Message]) -> &Message {
    assert_eq!(sends.len(), 1, "{sends:?}");
    &sends[0]
}

/// All bindings of a message: protocol, field, value.
pub fn bindings(message: &Message) -> Vec<(String, String, BindingValue)> {
    let all = message.bindings.iter();
    all.map(|binding| (binding.protocol.to_string(), binding.field.to_string(), binding.value.clone()))
        .collect()
}

/// What handlers were called with.
#[derive(Default)]
pub struct Calls(Mutex<Vec<String>>);

impl Calls {
    /// Notes a call.
    pub fn note(&self, call: impl Debug) {
        self.0.lock().expect("no panic").push(format!("{call:?}"));
    }

    /// Holds the calls so far against what is expected, and forgets them.
    #[track_caller]
    pub fn expect<T: Debug>(&self, expected: &[T]) {
        let expected: Vec<String> = expected.iter().map(|call| format!("{call:?}")).collect();
        assert_eq!(std::mem::take(&mut *self.0.lock().expect("no panic")), expected);
    }
}

/// What the document says for a field of a protocol: an operation of the channel, else the channel itself.
pub fn documented(channel: &ChannelInfo, protocol: &str, field: &str) -> Option<Value> {
    let operations = channel.operations.iter().flat_map(|operation| operation.bindings);
    let all = operations.chain(channel.bindings).filter(|binding| binding.protocol == protocol);
    all.filter_map(|binding| binding.field(field)).next()
}
