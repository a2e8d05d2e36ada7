//! Messages and entries of streams: payload and headers, there and back.
//!
//! What must hold: a message that is written and read is the same message.

use std::{fmt, sync::Arc};

use amgi::{Bytes, Message};

/// What the payload's field is called.
const PAYLOAD: &[u8] = b"payload";
/// What the field of a header begins with whose name means something else.
const HEADER: &[u8] = b"header:";

type Write = Arc<dyn Fn(&Message) -> Vec<(Bytes, Bytes)> + Send + Sync>;
type Read = Arc<dyn Fn(&mut Message, Bytes, Bytes) + Send + Sync>;

/// How a message is laid out in the fields of a stream's entry; [`Fields::plain`] unless told otherwise.
///
/// ```
/// use amgi::Message;
/// use amgi_redis::Fields;
///
/// let message = Message::new("orders").header("trace", "a").header("payload", "odd").payload("{}");
/// let fields = Fields::plain().write(&message);
/// let names: Vec<_> = fields.iter().map(|(name, _)| &name[..]).collect();
/// assert_eq!(names, [&b"payload"[..], b"trace", b"header:payload"]);
/// assert_eq!(Fields::plain().read("orders", fields), message);
/// ```
#[derive(Clone, Default)]
pub struct Fields(Option<(Write, Read)>);

impl Fields {
    /// The payload is the field `payload`, which is not there where there is none; every other field is a header of its name, in
    /// order, with repeats. A header that is called `payload`, or begins with `header:`, has `header:` before its name. An entry
    /// must have a field: a message with nothing has the field `header:`, which says nothing.
    pub fn plain() -> Self {
        Self(None)
    }

    /// A layout of your own. `write` gives the fields of a message, at least one; `read` is called with every field of an entry
    /// in order, and adds it to the message.
    pub fn new(
        write: impl Fn(&Message) -> Vec<(Bytes, Bytes)> + Send + Sync + 'static,
        read: impl Fn(&mut Message, Bytes, Bytes) + Send + Sync + 'static,
    ) -> Self {
        Self(Some((Arc::new(write), Arc::new(read))))
    }

    /// The payload in a field of that name, and no headers: for streams of others that keep it so. Other fields are headers
    /// of what comes in.
    pub fn payload_in(name: &'static str) -> Self {
        Self::new(
            move |message| {
                vec![(Bytes::from_static(name.as_bytes()), message.payload.clone().unwrap_or_default())]
            },
            move |message, field, value| {
                if field == name.as_bytes() {
                    message.payload = Some(value);
                } else {
                    message.headers.push(field, value);
                }
            },
        )
    }

    /// The fields of a message.
    pub fn write(&self, message: &Message) -> Vec<(Bytes, Bytes)> {
        if let Some((write, _)) = &self.0 {
            return write(message);
        }
        let mut fields = Vec::with_capacity(message.headers.len() + 1);
        if let Some(payload) = &message.payload {
            fields.push((Bytes::from_static(PAYLOAD), payload.clone()));
        }
        for (name, value) in &message.headers {
            let name = if **name == *PAYLOAD || name.starts_with(HEADER) {
                [HEADER, name].concat().into()
            } else {
                name.clone()
            };
            fields.push((name, value.clone()));
        }
        if fields.is_empty() {
            fields.push((Bytes::from_static(HEADER), Bytes::new()));
        }
        fields
    }

    /// The message of an entry at `address`.
    pub fn read(&self, address: &str, fields: impl IntoIterator<Item = (Bytes, Bytes)>) -> Message {
        let mut message = Message::new(address);
        for (name, value) in fields {
            self.field(&mut message, name, value);
        }
        message
    }

    /// Adds a field to the message.
    pub(crate) fn field(&self, message: &mut Message, name: Bytes, value: Bytes) {
        if let Some((_, read)) = &self.0 {
            return read(message, name, value);
        }
        if *name == *PAYLOAD && message.payload.is_none() {
            message.payload = Some(value);
        } else if !name.starts_with(HEADER) {
            message.headers.push(name, value);
        } else if name.len() > HEADER.len() {
            message.headers.push(name.slice(HEADER.len()..), value);
        }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fields").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_comes_back() {
        let plain = Message::new("a");
        for message in [
            plain.clone(),
            plain.clone().payload(""),
            plain.clone().payload(&b"\xff\x00"[..]),
            plain.clone().header("a", "1").header("b", "2").header("a", "3"),
            plain
                .clone()
                .header("payload", "x")
                .header("header:", "y")
                .header("header:payload", "z")
                .header("", "w"),
            plain.header(&b"\xfe"[..], &b"\xff"[..]).payload("{}"),
        ] {
            let fields = Fields::plain().write(&message);
            assert!(!fields.is_empty());
            assert_eq!(Fields::plain().read("a", fields), message);
        }
    }

    #[test]
    fn fields_of_others_are_headers() {
        let fields = [("kind", "new"), ("payload", "1"), ("payload", "2")];
        let message = Fields::plain().read("a", fields.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(message.payload.as_deref(), Some(&b"1"[..]));
        assert_eq!(message.headers.get("kind"), Some(&b"new"[..]));
        assert_eq!(message.headers.get("payload"), Some(&b"2"[..]));
        assert_eq!(Fields::plain().read("a", Fields::plain().write(&message)), message);
    }

    #[test]
    fn a_payload_may_have_another_name() {
        let fields = Fields::payload_in("data");
        let message = Message::new("a").payload("{}");
        assert_eq!(fields.write(&message), [("data".into(), "{}".into())]);
        assert_eq!(fields.read("a", fields.write(&message)), message);
    }
}
