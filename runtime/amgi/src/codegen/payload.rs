//! Payloads: a module for each way in which bytes hold one.

use bytes::Bytes;

use super::{
    check::{At, Violations},
    read::Read,
    repair,
};
use crate::{
    codec,
    contract::Message,
    error::{Part, Rejection},
};

/// Payloads of more bytes are refused unless the document's settings say otherwise.
pub const MOST_BYTES: usize = 16 << 20;

/// The payload, unless there is none, or one that is larger than it may be: nothing has looked at it then.
fn payload(message: &Message, most: usize) -> Result<&Bytes, Rejection> {
    match &message.payload {
        Some(payload) if payload.len() <= most => Ok(payload),
        Some(payload) => Err(too_large(payload.len(), most)),
        None => Err(Rejection::new(Part::Payload, "", "", "a payload")),
    }
}

#[cold]
fn too_large(found: usize, most: usize) -> Rejection {
    Rejection::new(Part::Payload, "", "", format!("at most {most} bytes")).found(format!("{found} bytes"))
}

/// What is checked of a value of a type.
fn checked<T>(value: T, part: Part, check: impl Fn(&T, &At<'_>)) -> Result<T, Rejection> {
    let out = Violations::new();
    check(&value, &At::root(part, &out));
    out.finish().map(|()| value)
}

/// A payload of JSON.
pub mod json {
    use serde::Serialize;

    use super::{At, Message, Part, Read, Rejection, checked, codec, payload, repair};

    /// Reads it, and holds it to the rules that `check` knows.
    pub fn read<R: Read>(
        message: &Message,
        most: usize,
        check: impl Fn(&R::Value, &At<'_>),
    ) -> Result<R::Value, Rejection> {
        // One look at the whole is cheaper than one at each string in it, and JSON is UTF-8 as a whole (RFC 8259, 8.1).
        let text = codec::from_text(Part::Payload, payload(message, most)?)?;
        match from_text::<R>(text) {
            Ok(value) => checked(value, Part::Payload, check),
            Err(error) => Err(repair::explain::<R>(Part::Payload, text, &error, &check)),
        }
    }

    /// `serde_json::from_str`, compiled into the one place that is in a hurry.
    #[allow(clippy::inline_always)] // it is three calls
    #[inline(always)]
    fn from_text<R: Read>(text: &str) -> Result<R::Value, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = R::read(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }

    /// Writes it.
    pub fn write<T: Serialize + ?Sized>(message: &mut Message, value: &T) -> Result<(), Rejection> {
        let json = codec::to_json(value);
        let refused = |error: serde_json::Error| {
            Rejection::new(Part::Payload, "", "", "a value that JSON can hold").found(error.to_string())
        };
        message.payload = Some(json.map_err(refused)?);
        Ok(())
    }
}

/// A payload of JSON of which only the text tells whether it fits exactly one of several alternatives.
pub mod reread_json {
    use serde::Serialize;

    pub use super::json::read;
    use super::{Message, Read, Rejection, json};

    /// Writes it, and reads what was written.
    pub fn write<R: Read<Value: Serialize>>(
        message: &mut Message,
        value: &R::Value,
    ) -> Result<(), Rejection> {
        json::write(message, value)?;
        json::read::<R>(message, usize::MAX, |_, _| ()).map(drop)
    }
}

/// A payload of text.
pub mod text {
    use super::{At, Bytes, Message, Part, Rejection, checked, codec, payload};

    /// Reads it.
    pub fn read(
        message: &Message,
        most: usize,
        check: impl Fn(&String, &At<'_>),
    ) -> Result<String, Rejection> {
        let text = codec::from_text(Part::Payload, payload(message, most)?)?.to_owned();
        checked(text, Part::Payload, check)
    }

    /// Writes it.
    #[allow(clippy::unnecessary_wraps)] // as the others
    pub fn write(message: &mut Message, value: &str) -> Result<(), Rejection> {
        message.payload = Some(Bytes::copy_from_slice(value.as_bytes()));
        Ok(())
    }
}

/// A payload as it is.
#[allow(clippy::unnecessary_wraps)] // as the others
pub mod raw {
    use super::{At, Bytes, Message, Rejection, payload};

    /// Reads it; empty when there is none.
    pub fn read(message: &Message, most: usize, _: impl Fn(&Bytes, &At<'_>)) -> Result<Bytes, Rejection> {
        message.payload.as_ref().map_or(Ok(Bytes::new()), |_| payload(message, most).cloned())
    }

    /// Writes it.
    pub fn write(message: &mut Message, value: &Bytes) -> Result<(), Rejection> {
        message.payload = Some(value.clone());
        Ok(())
    }
}
