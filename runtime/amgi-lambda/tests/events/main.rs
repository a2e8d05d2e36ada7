//! What becomes of events, by their source.

mod common;
mod sqs;
