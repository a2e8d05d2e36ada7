//! The document as text for people.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use super::Failure;

/// The document as YAML, or as JSON with indentation.
pub(super) fn text(json: &str, as_json: bool) -> Result<String, Failure> {
    let failed = |error: String| Failure::Failed(format!("the document cannot be written: {error}"));
    let value: Ordered = serde_json::from_str(json).map_err(|error| failed(error.to_string()))?;
    let text = if as_json {
        serde_json::to_string_pretty(&value).map_err(|error| failed(error.to_string()))?
    } else {
        serde_saphyr::to_string(&value).map_err(|error| failed(error.to_string()))?
    };
    Ok(format!("{}\n", text.trim_end()))
}

/// JSON whose members stay in their order.
enum Ordered {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Serialize for Ordered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(members) => serializer.collect_map(members.iter().map(|(key, value)| (key, value))),
        }
    }
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Ordered;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Ordered, E> {
        Ok(Ordered::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Ordered, E> {
        Ok(Ordered::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Ordered, E> {
        Ok(Ordered::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Ordered, E> {
        Ok(Ordered::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Ordered, E> {
        Ok(serde_json::Number::from_f64(number).map_or(Ordered::Null, Ordered::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Ordered, E> {
        Ok(Ordered::Text(text.to_owned()))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Ordered, S::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Ordered::List(list))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Ordered, M::Error> {
        let mut map = Vec::new();
        while let Some(member) = members.next_entry()? {
            map.push(member);
        }
        Ok(Ordered::Map(map))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn members_keep_their_order() {
        let json = r#"{"b":[1,2.5,-3,null,true,{}],"a":{"x":"3.1.0","w":"yes"},"c":"two\nlines\n"}"#;
        let pretty = super::text(json, true).unwrap();
        assert_eq!(pretty.split_whitespace().collect::<String>(), json);
        let yaml = super::text(json, false).unwrap();
        let places = ["b:", "a:", "c:"].map(|key| yaml.find(key).unwrap());
        assert!(places.is_sorted(), "{yaml}");
        // What YAML would read as something else stays text.
        assert!(yaml.contains("\"yes\"") || yaml.contains("'yes'"), "{yaml}");
    }
}
