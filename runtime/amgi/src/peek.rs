//! A look at one member of a JSON object without reading the rest into types.

use std::{borrow::Cow, fmt};

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

/// Value of a string member of a JSON object; `None` when it is not there or the payload is no object.
pub(crate) fn peek<'m>(json: &'m [u8], member: &str) -> Option<Cow<'m, str>> {
    struct Peek<'a>(&'a str);

    impl<'de> Visitor<'de> for Peek<'_> {
        type Value = Option<Cow<'de, str>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
            let mut found = None;
            while let Some(key) = map.next_key::<CowStr<'de>>()? {
                if key.0 == self.0 && found.is_none() {
                    found = map.next_value::<Maybe<'de>>()?.0;
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }

    serde_json::Deserializer::from_slice(json).deserialize_map(Peek(member)).ok().flatten()
}

/// `Cow<str>` that borrows where it can; serde's own never does.
struct CowStr<'de>(Cow<'de, str>);

/// A string, or whatever else as nothing.
struct Maybe<'de>(Option<Cow<'de, str>>);

struct StrVisitor;

impl<'de> Visitor<'de> for StrVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

impl<'de> serde::Deserialize<'de> for CowStr<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(StrVisitor).map(CowStr)
    }
}

impl<'de> serde::Deserialize<'de> for Maybe<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&serde_json::value::RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str::<CowStr<'de>>(raw.get()).ok().map(|text| text.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::peek;

    #[test]
    fn finds_a_string_member_and_nothing_else() {
        assert_eq!(peek(br#"{"a":{"type":"no"},"type":"yes"}"#, "type").as_deref(), Some("yes"));
        assert_eq!(peek(br#"{"type":"t\u0065n"}"#, "type").as_deref(), Some("ten"));
        assert_eq!(peek(br#"{"type":1}"#, "type"), None);
        assert_eq!(peek(b"[1]", "type"), None);
        assert_eq!(peek(b"{", "type"), None);
    }
}
