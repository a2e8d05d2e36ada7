//! How values of generated types are read, where serde's own way is not JSON Schema's: objects from maps only, `null` only
//! where it is allowed, `1.0` for an integer.

use std::{cell::Cell, collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};

use super::{check::At, repair};
use crate::number::Number;

/// A type that is read as its schema says, or the way to read one that is not ours.
pub trait Read {
    /// What is read: the type itself, mostly.
    type Value;

    /// What is expected where one is, for people.
    const EXPECTED: &'static str;

    /// Reads a value.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error>;

    /// Says everything that keeps a JSON text from being read, and gives one that can be. Without a text one that can be.
    ///
    /// Only called for what could not be read.
    fn repair(text: Option<&str>, at: &At<'_>) -> String;
}

/// A type that is read as serde reads it.
macro_rules! plain {
    ($($ty:ty = $expected:literal or $stand_in:literal;)+) => {$(
        impl Read for $ty {
            type Value = Self;

            const EXPECTED: &'static str = $expected;

            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::deserialize(deserializer)
            }

            #[cold]
            fn repair(text: Option<&str>, at: &At<'_>) -> String {
                repair::value::<Self>(text, at, $stand_in)
            }
        }
    )+};
}

plain! {
    String = "a string" or "\"\"";
    bool = "a boolean" or "false";
    f64 = "a number" or "0";
    f32 = "a number" or "0";
    () = "null" or "null";
    Value = "any value" or "null";
    Map<String, Value> = "an object" or "{}";
    Number = "a number" or "0";
}

/// An integer, however it is written: `1`, `1.0`, `1e0`.
macro_rules! integer {
    ($($ty:ty)+) => {$(
        impl Read for $ty {
            type Value = Self;

            const EXPECTED: &'static str = "an integer";

            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_i64(Int(PhantomData))
            }

            #[cold]
            fn repair(text: Option<&str>, at: &At<'_>) -> String {
                #[allow(clippy::cast_lossless, clippy::cast_precision_loss)] // a number beyond it is beyond it
                repair::integer::<Self>(text, at, (<$ty>::MIN as f64, &<$ty>::MIN), &<$ty>::MAX)
            }
        }
    )+};
}

integer!(i32 i64 u32 u64);

struct Int<T>(PhantomData<T>);

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

impl<R: Read> Read for Option<R> {
    type Value = Option<R::Value>;

    const EXPECTED: &'static str = R::EXPECTED;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error> {
        let found = Option::<Readable<R>>::deserialize(deserializer)?;
        Ok(found.map(|value| value.0))
    }

    #[cold]
    fn repair(text: Option<&str>, at: &At<'_>) -> String {
        match text {
            None | Some("null") => "null".to_owned(),
            text => R::repair(text, at),
        }
    }
}

impl<R: Read> Read for Box<R> {
    type Value = Box<R::Value>;

    const EXPECTED: &'static str = R::EXPECTED;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error> {
        R::read(deserializer).map(Box::new)
    }

    #[cold]
    fn repair(text: Option<&str>, at: &At<'_>) -> String {
        R::repair(text, at)
    }
}

impl<R: Read> Read for Vec<R> {
    type Value = Vec<R::Value>;

    const EXPECTED: &'static str = "an array";

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(List::<R>(PhantomData))
    }

    #[cold]
    fn repair(text: Option<&str>, at: &At<'_>) -> String {
        repair::array(R::repair, text, at)
    }
}

struct List<R>(PhantomData<R>);

impl<'de, R: Read> Visitor<'de> for List<R> {
    type Value = Vec<R::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Readable<R>>()? {
            list.push(item.0);
        }
        Ok(list)
    }
}

impl<R: Read> Read for BTreeMap<String, R> {
    type Value = BTreeMap<String, R::Value>;

    const EXPECTED: &'static str = "an object";

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(Dict::<R>(PhantomData))
    }

    #[cold]
    fn repair(text: Option<&str>, at: &At<'_>) -> String {
        repair::object(&[], repair::Others::Read(R::repair), text, at)
    }
}

struct Dict<R>(PhantomData<R>);

impl<'de, R: Read> Visitor<'de> for Dict<R> {
    type Value = BTreeMap<String, R::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, Readable<R>>()? {
            members.insert(name, value.0);
        }
        Ok(members)
    }
}

/// A value that serde reads as its schema says.
#[derive(Debug)]
pub struct Readable<R: Read>(pub R::Value);

impl<'de, R: Read> Deserialize<'de> for Readable<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        R::read(deserializer).map(Self)
    }
}

/// A type that is not ours, such as one of `x-rust-type`: serde reads it.
#[derive(Debug)]
pub struct Foreign<T>(PhantomData<T>);

impl<T: DeserializeOwned> Read for Foreign<T> {
    type Value = T;

    const EXPECTED: &'static str = "a value of its type";

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }

    #[cold]
    fn repair(text: Option<&str>, at: &At<'_>) -> String {
        repair::value::<Self>(text, at, "null")
    }
}

/// A format whose texts may have a type of their own.
pub trait Format {
    /// Its name.
    const NAME: &'static str;

    /// A text that has it, as JSON.
    const EXAMPLE: &'static str;
}

/// A type for the texts of a format: the text is held to the format first, as types take more than that.
#[derive(Debug)]
pub struct Formatted<T, F>(PhantomData<(T, F)>);

impl<T: DeserializeOwned, F: Format> Read for Formatted<T, F> {
    type Value = T;

    const EXPECTED: &'static str = "a string";

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(Self(PhantomData))
    }

    #[cold]
    fn repair(text: Option<&str>, at: &At<'_>) -> String {
        repair::formatted::<Self>(text, at, F::NAME, F::EXAMPLE)
    }
}

impl<T: DeserializeOwned, F: Format> Visitor<'_> for Formatted<T, F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        if !super::format::has_format(text, F::NAME) {
            return Err(E::custom(format_args!("invalid value, expected the format {}", F::NAME)));
        }
        T::deserialize(serde::de::value::StrDeserializer::new(text))
    }
}

/// Names of the members of a type, and what becomes of another: a name is read as its place among them.
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
    *place = Some(map.next_value::<Readable<R>>()?.0);
    Ok(())
}

/// Reads the value of a member that no field has the name of into the map of those; `name` is free for the next.
pub fn other<'de, R: Read, A: MapAccess<'de>>(
    rest: &mut BTreeMap<String, R::Value>,
    name: &mut String,
    map: &mut A,
) -> Result<(), A::Error> {
    rest.insert(std::mem::take(name), map.next_value::<Readable<R>>()?.0);
    Ok(())
}

/// The JSON text of a value that is one of several alternatives, each of which reads it on its own.
#[derive(Debug)]
pub struct Alternatives(Box<RawValue>);

/// Values deeper than this are refused, as `serde_json` does it.
pub(super) const MOST_DEPTH: usize = 128;

thread_local! {
    /// How many alternatives enclose what is being read, and how many bytes may still be read for them.
    static TRIED: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

impl Alternatives {
    /// Takes the text.
    pub fn take<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        // The text is skipped without a look at its depth, and each reader of a part of it counts anew.
        if is_deep(text.get()) {
            return Err(D::Error::custom("recursion limit exceeded"));
        }
        let (depth, left) = TRIED.get();
        if depth > MOST_DEPTH {
            return Err(D::Error::custom("recursion limit exceeded"));
        }
        // Alternatives within alternatives are read once for each of those: a text made for it would take for ever.
        let left =
            if depth == 0 { text.get().len().saturating_mul(1000).saturating_add(1 << 20) } else { left };
        TRIED.set((depth + 1, left));
        Ok(Self(text))
    }

    /// The value as one alternative, when it is one and keeps its rules.
    pub fn read<R: Read, U>(&self, make: fn(R::Value) -> U, holds: fn(&U) -> bool) -> Option<U> {
        let text = self.0.get();
        let (depth, left) = TRIED.get();
        let left = left.checked_sub(text.len())?;
        TRIED.set((depth, left));
        let value: Readable<R> = serde_json::from_str(text).ok()?;
        Some(make(value.0)).filter(holds)
    }

    /// It is none of them.
    #[cold]
    pub fn none<E: Error>(&self) -> E {
        E::custom("fits none of the alternatives")
    }

    /// It is one, and may be only that.
    #[cold]
    pub fn several<E: Error>(&self) -> E {
        E::custom("fits several alternatives")
    }
}

impl Drop for Alternatives {
    fn drop(&mut self) {
        let (depth, left) = TRIED.get();
        TRIED.set((depth.saturating_sub(1), left));
    }
}

/// Whether objects and arrays lie within each other too deep.
fn is_deep(json: &str) -> bool {
    let (mut depth, mut text, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if text => escaped = true,
            b'"' => text = !text,
            b'[' | b'{' if !text => {
                depth += 1;
                if depth > MOST_DEPTH {
                    return true;
                }
            }
            b']' | b'}' if !text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// For alternatives that have no rules.
pub fn always<T>(_: &T) -> bool {
    true
}
