//! Headers: an ordered list of byte pairs.

use std::fmt;

use bytes::Bytes;

/// Headers of a message: ordered, names may repeat, lookup is case-sensitive and takes the first.
///
/// ```
/// let mut headers = amgi::Headers::default();
/// headers.push("trace", "a");
/// headers.push("trace", "b");
/// assert_eq!(headers.get("trace"), Some(&b"a"[..]));
/// assert_eq!(headers.len(), 2);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Bytes, Bytes)>);

impl Headers {
    /// No headers, with room for `capacity`.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Makes room for `additional` more, and no more than that.
    pub fn reserve(&mut self, additional: usize) {
        self.0.reserve_exact(additional);
    }

    /// Appends a header.
    pub fn push(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.0.push((name.into(), value.into()));
    }

    /// Removes all headers of that name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| n != name.as_bytes());
    }

    /// Removes all, and keeps their room.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Value of the first header of that name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_bytes(name).map(|value| &value[..])
    }

    /// As [`get`](Self::get), as shareable bytes.
    pub fn get_bytes(&self, name: &str) -> Option<&Bytes> {
        self.0.iter().find(|(n, _)| n == name.as_bytes()).map(|(_, value)| value)
    }

    /// All pairs in order.
    pub fn iter(&self) -> std::slice::Iter<'_, (Bytes, Bytes)> {
        self.0.iter()
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<N: Into<Bytes>, V: Into<Bytes>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect())
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a (Bytes, Bytes);
    type IntoIter = std::slice::Iter<'a, (Bytes, Bytes)>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(n, v)| (n, v))).finish()
    }
}
