//! Bindings: fields that only one protocol has.

use bytes::Bytes;
use bytestring::ByteString;

/// Value of one binding field.
#[derive(Debug, Clone, PartialEq)]
pub enum BindingValue {
    /// None in Python.
    Null,
    /// A flag, such as MQTT `retain`.
    Bool(bool),
    /// A whole number, such as MQTT `qos`.
    Int(i64),
    /// Text, such as SQS `message_group_id`.
    Text(ByteString),
    /// Bytes, such as a Kafka `key`.
    Bytes(Bytes),
}

impl BindingValue {
    /// Text or bytes as bytes; `None` for the others.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A whole number; `None` for the others.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// A flag; `None` for the others.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Text, or bytes that are UTF-8; `None` for the others.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident),*) => {$(
        impl From<$from> for BindingValue {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}
from!(bool => Bool, u8 => Int, u16 => Int, u32 => Int, i32 => Int, i64 => Int, String => Text, ByteString => Text,
      Vec<u8> => Bytes, Bytes => Bytes, &'static [u8] => Bytes);

impl From<&str> for BindingValue {
    fn from(value: &str) -> Self {
        Self::Text(value.into())
    }
}

/// One field of one protocol.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// `AsyncAPI`'s protocol name, such as `kafka`.
    pub protocol: ByteString,
    /// Field, such as `key`.
    pub field: ByteString,
    /// Its value.
    pub value: BindingValue,
}

/// What is particular to a protocol: `{protocol: {field: value}}`.
///
/// A message comes in with the bindings of at most one protocol; one that goes out may have several, and a server
/// ignores those it does not know.
///
/// ```
/// let mut bindings = amgi::Bindings::default();
/// bindings.set("kafka", "key", "42");
/// bindings.set("mqtt", "qos", 1);
/// assert_eq!(bindings.get("mqtt", "qos").and_then(|v| v.as_int()), Some(1));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bindings(Vec<Binding>);

impl Bindings {
    /// Value of a field.
    pub fn get(&self, protocol: &str, field: &str) -> Option<&BindingValue> {
        self.0.iter().find(|b| b.protocol == protocol && b.field == field).map(|b| &b.value)
    }

    /// Sets a field; a value that was there is replaced.
    pub fn set(
        &mut self,
        protocol: impl Into<ByteString>,
        field: impl Into<ByteString>,
        value: impl Into<BindingValue>,
    ) {
        let (protocol, field, value) = (protocol.into(), field.into(), value.into());
        // Fields differ more often than protocols.
        match self.0.iter_mut().find(|b| b.field == field && b.protocol == protocol) {
            Some(binding) => binding.value = value,
            None => self.0.push(Binding { protocol, field, value }),
        }
    }

    /// Makes these fields of a protocol all that there are; those without a value are left out. Where the same ones were there
    /// in the same order, such as those of the last message, only their values change.
    ///
    /// ```
    /// let mut bindings = amgi::Bindings::default();
    /// bindings.fill("kafka", [("key", None), ("offset", Some(7.into()))]);
    /// bindings.fill("kafka", [("key", None), ("offset", Some(8.into()))]);
    /// assert_eq!(bindings.get("kafka", "offset").and_then(|v| v.as_int()), Some(8));
    /// assert_eq!(bindings.iter().count(), 1);
    /// ```
    pub fn fill<const N: usize>(
        &mut self,
        protocol: &'static str,
        fields: [(&'static str, Option<BindingValue>); N],
    ) {
        let mut count = 0;
        for (field, value) in fields {
            let Some(value) = value else { continue };
            match self.0.get_mut(count) {
                Some(place) if place.field == field && place.protocol == protocol => place.value = value,
                _ => {
                    self.0.truncate(count);
                    let (protocol, field) =
                        (ByteString::from_static(protocol), ByteString::from_static(field));
                    self.0.push(Binding { protocol, field, value });
                }
            }
            count += 1;
        }
        self.0.truncate(count);
    }

    /// Removes all, and keeps their room.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All fields of all protocols, in the order they were set.
    pub fn iter(&self) -> std::slice::Iter<'_, Binding> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Bindings {
    type Item = &'a Binding;
    type IntoIter = std::slice::Iter<'a, Binding>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}
