//! Bytes to checked values and back.
//!
//! Decoding is one pass on the way that succeeds; only a text that does not fit is looked at a second time, to find the JSON
//! Pointer of what is wrong.

mod locate;

use std::{borrow::Cow, cell::Cell};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use serde_json::{Deserializer, de::Read};

use crate::error::{Part, Rejection};

/// Reads JSON.
///
/// ```
/// let rejection = amgi::codec::from_json::<Vec<u32>>(amgi::error::Part::Payload, b"[1, \"x\"]").unwrap_err();
/// assert_eq!(rejection.pointer, "/1");
/// ```
pub fn from_json<T: DeserializeOwned>(part: Part, bytes: &[u8]) -> Result<T, Rejection> {
    // One look at the whole is cheaper than one at each string in it, and JSON is UTF-8 as a whole (RFC 8259, 8.1).
    match read(Deserializer::from_str(from_text(part, bytes)?)) {
        Ok(value) => Ok(value),
        Err(error) => Err(explain(part, bytes, error, |text| {
            read::<T, _>(Deserializer::from_str(std::str::from_utf8(text).ok()?)).err()
        })),
    }
}

/// As [`from_json`], for what is most likely a number: there is no string in it to look at.
pub(crate) fn from_json_scalar<T: DeserializeOwned>(part: Part, bytes: &[u8]) -> Result<T, Rejection> {
    match read(Deserializer::from_slice(bytes)) {
        Ok(value) => Ok(value),
        Err(error) => {
            Err(explain(part, bytes, error, |text| read::<T, _>(Deserializer::from_slice(text)).err()))
        }
    }
}

/// `serde_json::from_str` and the like. Those would be compiled once for the two places that call them, and then not into
/// the one that is in a hurry.
#[allow(clippy::inline_always)] // it is three calls
#[inline(always)]
fn read<'de, T: DeserializeOwned, R: Read<'de>>(
    mut deserializer: Deserializer<R>,
) -> Result<T, serde_json::Error> {
    let value = T::deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

#[cold]
#[allow(clippy::needless_pass_by_value)] // dropped here and not where there is no time
fn explain(
    part: Part,
    bytes: &[u8],
    error: serde_json::Error,
    read: fn(&[u8]) -> Option<serde_json::Error>,
) -> Rejection {
    Rejection::new(part, locate::pointer(bytes, read), error.to_string())
}

/// Appends a reference token to a JSON Pointer, escaped (RFC 6901).
pub(crate) fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    for c in token.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}

/// A scratch buffer larger than this is not kept for the next message.
const MOST_SCRATCH: usize = 64 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Writes JSON. Fails for what JSON cannot hold, such as a map with keys that are not strings.
pub fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, serde_json::Error> {
    with_json(value, Bytes::copy_from_slice)
}

/// Writes a string or string enum without its quotes, and anything else as JSON.
pub(crate) fn to_text<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, serde_json::Error> {
    with_json(value, |json| match json {
        [b'"', text @ .., b'"'] if !text.contains(&b'\\') => Bytes::copy_from_slice(text),
        [b'"', ..] => {
            serde_json::from_slice::<String>(json).map_or_else(|_| Bytes::copy_from_slice(json), Bytes::from)
        }
        json => Bytes::copy_from_slice(json),
    })
}

/// Writes JSON where it was written before, and hands it out: no buffer has to grow, and who keeps it allocates once, as
/// much as it needs.
fn with_json<T: Serialize + ?Sized, R>(
    value: &T,
    use_it: impl FnOnce(&[u8]) -> R,
) -> Result<R, serde_json::Error> {
    // Taken out, so that a value that serialises others on its way finds another buffer.
    let mut scratch = SCRATCH.take();
    scratch.clear();
    let result = serde_json::to_writer(&mut scratch, value).map(|()| use_it(&scratch));
    if scratch.capacity() <= MOST_SCRATCH {
        SCRATCH.set(scratch);
    }
    result
}

/// Reads UTF-8 text.
pub fn from_text(part: Part, bytes: &[u8]) -> Result<&str, Rejection> {
    std::str::from_utf8(bytes).map_err(|e| Rejection::new(part, "", Cow::Owned(format!("not UTF-8: {e}"))))
}
