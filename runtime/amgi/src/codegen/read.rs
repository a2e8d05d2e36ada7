//! How values of generated types are read, where serde's own way is not JSON Schema's: objects from maps only, `null` only
//! where it is allowed, `1.0` for an integer.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};

/// A way to read a value.
pub trait Read {
    /// What comes of it.
    type Value;

    /// Reads it.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error>;
}

/// A value as serde reads it.
#[derive(Debug)]
pub struct Plain<T>(PhantomData<T>);

impl<T: for<'de> Deserialize<'de>> Read for Plain<T> {
    type Value = T;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }
}

/// An integer, however it is written: `1`, `1.0`, `1e0`.
#[derive(Debug)]
pub struct Int<T>(PhantomData<T>);

impl<T: TryFrom<i64> + TryFrom<u64>> Read for Int<T> {
    type Value = T;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_i64(Self(PhantomData))
    }
}

/// A number that is no value of its type.
#[cold]
fn no_integer<T, E: Error>(number: impl fmt::Display) -> E {
    E::custom(format_args!("invalid value: number `{number}`, expected {}", std::any::type_name::<T>()))
}

impl<T: TryFrom<i64> + TryFrom<u64>> Visitor<'_> for Int<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        T::try_from(number).map_err(|_| no_integer::<T, E>(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::try_from(number).map_err(|_| no_integer::<T, E>(number))
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)] // checked before
    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        let whole = number.fract() == 0.0;
        let found = if whole && (-(2_f64.powi(63))..2_f64.powi(63)).contains(&number) {
            T::try_from(number as i64).ok()
        } else if whole && (0.0..2_f64.powi(64)).contains(&number) {
            T::try_from(number as u64).ok()
        } else {
            None
        };
        found.ok_or_else(|| no_integer::<T, E>(number))
    }
}

/// A value, or null.
#[derive(Debug)]
pub struct Maybe<R>(PhantomData<R>);

impl<R: Read> Read for Maybe<R> {
    type Value = Option<R::Value>;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error> {
        let found = Option::<Value<R>>::deserialize(deserializer)?;
        Ok(found.map(|value| value.0))
    }
}

/// A value on the heap.
#[derive(Debug)]
pub struct Boxed<R>(PhantomData<R>);

impl<R: Read> Read for Boxed<R> {
    type Value = Box<R::Value>;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error> {
        R::read(deserializer).map(Box::new)
    }
}

/// An array.
#[derive(Debug)]
pub struct List<R>(PhantomData<R>);

impl<R: Read> Read for List<R> {
    type Value = Vec<R::Value>;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(Self(PhantomData))
    }
}

impl<'de, R: Read> Visitor<'de> for List<R> {
    type Value = Vec<R::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Value<R>>()? {
            list.push(item.0);
        }
        Ok(list)
    }
}

/// An object whose members are all alike.
#[derive(Debug)]
pub struct Dict<R>(PhantomData<R>);

impl<R: Read> Read for Dict<R> {
    type Value = BTreeMap<String, R::Value>;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(Self(PhantomData))
    }
}

impl<'de, R: Read> Visitor<'de> for Dict<R> {
    type Value = BTreeMap<String, R::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, Value<R>>()? {
            members.insert(name, value.0);
        }
        Ok(members)
    }
}

/// A value that serde reads in the way of `R`.
#[derive(Debug)]
pub struct Value<R: Read>(pub R::Value);

impl<'de, R: Read> Deserialize<'de> for Value<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        R::read(deserializer).map(Self)
    }
}

/// The name of a member, read as its place among the names of a type.
#[derive(Debug)]
pub struct Member<'a> {
    /// Names of all members that have a field.
    pub names: &'static [&'static str],
    /// Where the name is looked for first: members come mostly in the order of the document.
    pub next: usize,
    /// What becomes of another.
    pub other: Other<'a>,
}

/// What becomes of a member without a field.
#[derive(Debug)]
pub enum Other<'a> {
    /// It is dropped.
    Dropped,
    /// It is refused.
    Refused,
    /// It is kept under this name.
    Kept(&'a mut String),
}

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Member<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<usize, E> {
        if self.names.get(self.next).is_some_and(|next| *next == name) {
            return Ok(self.next);
        }
        if let Some(place) = self.names.iter().position(|known| *known == name) {
            return Ok(place);
        }
        match self.other {
            Other::Dropped => {}
            Other::Refused => return Err(E::unknown_field(name, self.names)),
            Other::Kept(kept) => name.clone_into(kept),
        }
        Ok(usize::MAX)
    }
}

/// Reads the value of a member into its place, which it may have only once.
pub fn member<'de, R: Read, A: MapAccess<'de>>(
    place: &mut Option<R::Value>,
    name: &'static str,
    map: &mut A,
) -> Result<(), A::Error> {
    if place.is_some() {
        return Err(A::Error::duplicate_field(name));
    }
    *place = Some(map.next_value::<Value<R>>()?.0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Default)]
    struct Order {
        id: i64,
        note: Option<String>,
        count: Option<u32>,
        tags: Vec<i32>,
        level: u64,
        rest: BTreeMap<String, i64>,
    }

    fn seven() -> u64 {
        7
    }

    crate::codegen::object!(Order {
        id "id": required [Int<i64>];
        note "the note": optional [Plain<String>];
        count "count": default [Maybe<Int<u32>>];
        tags "tags": default [List<Int<i32>>];
        level "level": value(seven) [Int<u64>];
        .. rest [Int<i64>]
    });

    #[derive(Debug, PartialEq)]
    struct Closed {
        r#type: bool,
    }

    crate::codegen::object!(Closed: Refused {
        r#type "type": required [Plain<bool>];
    });

    fn order(text: &str) -> Result<Order, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn members_are_read_by_name_in_any_order() {
        let read =
            order(r#"{"tags":[1.0,2e0],"the note":"n","id":3,"more":-1.0,"count":null}"#).expect("it fits");
        let rest = BTreeMap::from([("more".to_owned(), -1)]);
        assert_eq!(
            read,
            Order { id: 3, note: Some("n".into()), tags: vec![1, 2], level: 7, rest, count: None }
        );
    }

    #[test]
    fn what_the_schema_refuses_is_refused() {
        for (text, problem) in [
            ("{}", "missing field `id`"),
            ("[1]", "expected an object"),
            (r#"{"id":1,"the note":null}"#, "invalid type: null"),
            (r#"{"id":1,"id":1}"#, "duplicate field `id`"),
            (r#"{"id":1.5}"#, "number `1.5`, expected i64"),
            (r#"{"id":9223372036854775808}"#, "expected i64"),
            (r#"{"id":1e19}"#, "expected i64"),
            (r#"{"id":1,"count":-1.0}"#, "expected u32"),
            (r#"{"id":1,"level":18446744073709551616}"#, "expected u64"),
            (r#"{"id":1,"more":"x"}"#, "expected an integer"),
        ] {
            let error = order(text).expect_err(text);
            assert!(error.contains(problem), "{text}: {error}");
        }
        assert_eq!(
            order(r#"{"id":1,"level":1e19}"#).map(|order| order.level),
            Ok(10_000_000_000_000_000_000)
        );
        let closed = |text| serde_json::from_str::<Closed>(text).map_err(|error| error.to_string());
        assert_eq!(closed(r#"{"type":true}"#), Ok(Closed { r#type: true }));
        assert!(closed(r#"{"type":true,"x":1}"#).unwrap_err().contains("unknown field `x`"));
    }
}
