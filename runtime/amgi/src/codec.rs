//! Bytes to checked values and back.
//!
//! Decoding is one pass on the way that succeeds; only a value that does not fit is read a second time, to find the JSON
//! Pointer of what is wrong.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use serde_path_to_error::Segment;

use crate::error::{Part, Rejection};

/// Reads JSON.
///
/// ```
/// let rejection = amgi::codec::from_json::<Vec<u32>>(amgi::error::Part::Payload, b"[1, \"x\"]").unwrap_err();
/// assert_eq!(rejection.pointer, "/1");
/// ```
pub fn from_json<T: DeserializeOwned>(part: Part, bytes: &[u8]) -> Result<T, Rejection> {
    serde_json::from_slice(bytes).map_err(|error| explain::<T>(part, bytes, &error))
}

#[cold]
fn explain<T: DeserializeOwned>(part: Part, bytes: &[u8], error: &serde_json::Error) -> Rejection {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let pointer = match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(located) => pointer(located.path()),
        Ok(_) => String::new(),
    };
    Rejection::new(part, pointer, error.to_string())
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut out = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push_token(&mut out, &index.to_string()),
            Segment::Map { key } => push_token(&mut out, key),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    out
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

/// Writes JSON. Fails for what JSON cannot hold, such as a map with keys that are not strings.
pub fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, serde_json::Error> {
    serde_json::to_vec(value).map(Bytes::from)
}

/// Reads UTF-8 text.
pub fn from_text(part: Part, bytes: &[u8]) -> Result<&str, Rejection> {
    std::str::from_utf8(bytes).map_err(|e| Rejection::new(part, "", Cow::Owned(format!("not UTF-8: {e}"))))
}
