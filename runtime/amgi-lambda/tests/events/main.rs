//! What becomes of events, by their source.

mod common;
mod kafka;
mod notice;
mod other;
mod sqs;
mod stream;
