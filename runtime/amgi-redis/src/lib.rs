#![doc = include_str!("../README.md")]

mod idempotency;

pub use crate::idempotency::IdempotencyStore;
/// The client that the store is made on.
pub use redis;
