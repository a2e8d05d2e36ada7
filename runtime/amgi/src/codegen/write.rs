//! How members are written that may be missing.

use std::collections::BTreeMap;

use serde::{Serialize, ser::SerializeMap};
use serde_json::{Map, Value};

/// A value that stands for a missing member.
pub trait Missing {
    /// Whether it does.
    fn is_missing(&self) -> bool;
}

impl<T> Missing for Option<T> {
    fn is_missing(&self) -> bool {
        self.is_none()
    }
}

impl<T> Missing for Vec<T> {
    fn is_missing(&self) -> bool {
        self.is_empty()
    }
}

impl<T> Missing for BTreeMap<String, T> {
    fn is_missing(&self) -> bool {
        self.is_empty()
    }
}

impl Missing for Map<String, Value> {
    fn is_missing(&self) -> bool {
        self.is_empty()
    }
}

impl Missing for Value {
    fn is_missing(&self) -> bool {
        self.is_null()
    }
}

impl Missing for () {
    fn is_missing(&self) -> bool {
        true
    }
}

/// Writes a member unless it is missing.
pub fn write_optional<T: Missing + Serialize, M: SerializeMap>(
    map: &mut M,
    name: &'static str,
    value: &T,
) -> Result<(), M::Error> {
    if value.is_missing() { Ok(()) } else { map.serialize_entry(name, value) }
}

/// Writes members that have no field.
pub fn write_others<'a, T: Serialize + 'a, M: SerializeMap>(
    map: &mut M,
    others: impl IntoIterator<Item = (&'a String, &'a T)>,
) -> Result<(), M::Error> {
    others.into_iter().try_for_each(|(name, value)| map.serialize_entry(name, value))
}
