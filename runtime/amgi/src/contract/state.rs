//! State and extensions of a scope.

use std::{
    any::{Any, TypeId, type_name},
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use serde_json::Value;

use super::MessageSend;

/// What startup made and every message may read: one value a type. Cheap to clone.
///
/// ```
/// let mut state = amgi::State::default();
/// state.insert(42_u32);
/// assert_eq!(state.get::<u32>(), Some(&42));
/// ```
#[derive(Clone, Default)]
pub struct State(Arc<HashMap<TypeId, Entry>>);

/// The type's name, for `Debug`, and the value.
type Entry = (&'static str, Arc<dyn Any + Send + Sync>);

impl State {
    /// Puts a value in; one of the same type that was there is replaced.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        Arc::make_mut(&mut self.0).insert(TypeId::of::<T>(), (type_name::<T>(), Arc::new(value)));
    }

    /// The value of type `T`, if startup put one in.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.0.get(&TypeId::of::<T>()).and_then(|(_, value)| value.downcast_ref())
    }

    /// The server's `send`, which a server puts in before startup.
    pub fn sender(&self) -> Option<&Arc<dyn MessageSend>> {
        self.get()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.0.values().map(|(name, _)| name).collect();
        names.sort_unstable();
        f.debug_set().entries(names).finish()
    }
}

/// Optional capabilities of the server, by name. What is not here is not supported. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extensions(Arc<BTreeMap<String, Value>>);

impl Extensions {
    /// The extension of that name; its value is what the server says about it, often an empty object.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Whether the server supports that extension.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Declares an extension.
    pub fn insert(&mut self, name: impl Into<String>, value: Value) {
        Arc::make_mut(&mut self.0).insert(name.into(), value);
    }

    /// All of them by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}
