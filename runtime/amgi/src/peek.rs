//! A look at one member of a JSON object without reading the rest into types.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What a place holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found<'m> {
    /// Nothing: the member is not there, or there is no such place.
    Missing,
    /// A text, without its quotes.
    Text(Cow<'m, str>),
    /// Anything else, as JSON.
    Json(&'m str),
}

/// The value under `path`, a member name after the other, in a JSON document; of a name that stands twice the first.
/// What is no JSON has nothing anywhere.
pub(crate) fn peek<'m>(json: &'m [u8], path: &[&str]) -> Found<'m> {
    Under(path).deserialize(&mut serde_json::Deserializer::from_slice(json)).unwrap_or(Found::Missing)
}

/// Reads a value and yields what lies under the path in it.
struct Under<'p>(&'p [&'p str]);

impl<'de> DeserializeSeed<'de> for Under<'_> {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found<'de>, D::Error> {
        if !self.0.is_empty() {
            return deserializer.deserialize_any(self);
        }
        let raw = <&serde_json::value::RawValue as serde::Deserialize>::deserialize(deserializer)?.get();
        let text = raw.starts_with('"').then(|| serde_json::from_str::<CowStr<'de>>(raw).ok()).flatten();
        Ok(text.map_or(Found::Json(raw), |text| Found::Text(text.0)))
    }
}

impl<'de> Visitor<'de> for Under<'_> {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let [name, rest @ ..] = self.0 else { return Ok(Found::Missing) };
        let mut found = Found::Missing;
        while let Some(key) = map.next_key::<CowStr<'de>>()? {
            if key.0 == *name && found == Found::Missing {
                found = map.next_value_seed(Under(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    // Whatever is no object has no members; it is read to its end all the same.
    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Found::Missing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Found::Missing)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Found::Missing)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Found::Missing)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Found::Missing)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Found::Missing)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Found::Missing)
    }
}

/// `Cow<str>` that borrows where it can; serde's own never does.
struct CowStr<'de>(Cow<'de, str>);

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

#[cfg(test)]
mod tests {
    use super::{Found, peek};

    fn text(json: &str, path: &[&str]) -> Option<String> {
        match peek(json.as_bytes(), path) {
            Found::Text(text) => Some(text.into_owned()),
            _ => None,
        }
    }

    #[test]
    fn finds_a_member_and_nothing_else() {
        assert_eq!(text(r#"{"a":{"type":"no"},"type":"yes"}"#, &["type"]).as_deref(), Some("yes"));
        assert_eq!(text(r#"{"type":"t\u0065n"}"#, &["type"]).as_deref(), Some("ten"));
        assert_eq!(text(r#"{"type":"first","type":"second"}"#, &["type"]).as_deref(), Some("first"));
        assert_eq!(peek(br#"{"type": 1 }"#, &["type"]), Found::Json("1"));
        assert_eq!(peek(br#"{"type":null}"#, &["type"]), Found::Json("null"));
        for json in [&b"[1]"[..], b"{", b"", b"7", b"\"type\"", b"{}", b"\xff"] {
            assert_eq!(peek(json, &["type"]), Found::Missing, "{json:?}");
        }
    }

    #[test]
    fn goes_down_into_objects_only() {
        let json = r#"{"x":[1,{"type":"no"}],"event":{"n":1.5,"header":{"type":"yes"}}}"#;
        assert_eq!(text(json, &["event", "header", "type"]).as_deref(), Some("yes"));
        assert_eq!(peek(json.as_bytes(), &["x", "type"]), Found::Missing);
        assert_eq!(peek(json.as_bytes(), &["event", "n", "type"]), Found::Missing);
        for value in ["true", "null", "-1", "1", "\"s\"", "\"\\u0065\"", "1.5"] {
            assert_eq!(peek(format!(r#"{{"event":{value}}}"#).as_bytes(), &["event", "t"]), Found::Missing);
        }
    }
}
