//! The servers as subjects of the conformance suite: how each is run, what its broker can do, and a way to the broker past it.

mod memory;
mod mqtt;
mod redis;

use amgi_conformance::{Abilities, Report, Subject};

pub use self::{memory::Memory, mqtt::Mqtt, redis::Redis};

/// A server whose page says what it cannot do.
pub struct Page {
    /// Name of the server.
    pub name: String,
    /// What it can do.
    pub abilities: Abilities,
    /// Its page, seen from the root of the checkout.
    pub path: &'static str,
}

impl Page {
    fn of(subject: &impl Subject, path: &'static str) -> Self {
        Self { name: subject.name().to_owned(), abilities: subject.abilities(), path }
    }

    /// What is to be expected of it.
    pub fn expected(&self) -> Report {
        Report::expected(&self.name, &self.abilities)
    }
}

/// All of them, in the order of the table.
pub fn pages() -> Vec<Page> {
    vec![
        Page::of(&Memory::new(), "runtime/amgi/README.md"),
        Page::of(&Mqtt::new(amgi_mqtt::Version::V5), "runtime/amgi-mqtt/README.md"),
        Page::of(&Mqtt::new(amgi_mqtt::Version::V311), "runtime/amgi-mqtt/README.md"),
        Page::of(&Redis::new(amgi_redis::Via::Stream), "runtime/amgi-redis/README.md"),
        Page::of(&Redis::new(amgi_redis::Via::PubSub), "runtime/amgi-redis/README.md"),
    ]
}
