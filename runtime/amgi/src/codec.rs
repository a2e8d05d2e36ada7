//! Values to bytes, and bytes to text.

use std::cell::Cell;

use bytes::Bytes;
use serde::Serialize;

use crate::error::{Part, Rejection};

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
    std::str::from_utf8(bytes).map_err(|error| no_text(part, &error))
}

#[cold]
fn no_text(part: Part, error: &std::str::Utf8Error) -> Rejection {
    Rejection::new(part, "", "", "UTF-8").found(error.to_string())
}
