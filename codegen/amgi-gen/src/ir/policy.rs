//! How messages are settled: what `x-amgi-*` says.

use serde::Serialize;

use super::Location;

/// How messages of a channel are settled, as far as the document says it. Durations are milliseconds.
#[derive(Debug, Clone, Default, Serialize, PartialEq, Eq)]
pub struct Policy {
    /// `x-amgi-dead-letter`.
    pub dead_letter: Option<String>,
    /// `x-amgi-timeout`.
    pub timeout: Option<u64>,
    /// `x-amgi-retry`.
    pub retry: Option<Retry>,
    /// `x-amgi-idempotency`.
    pub idempotency: Option<Idempotency>,
    /// `x-amgi-circuit-breaker`.
    pub breaker: Option<Breaker>,
    /// `x-amgi-batch`.
    pub batch: Option<Batch>,
}

/// `x-amgi-retry`.
#[derive(Debug, Clone, Default, Serialize, PartialEq, Eq)]
pub struct Retry {
    /// Attempts, the first included.
    pub attempts: Option<u32>,
    /// Pause after the first failure.
    pub first: Option<u64>,
    /// Longest pause.
    pub most: Option<u64>,
    /// Whether pauses are random.
    pub jitter: Option<bool>,
    /// Whether what is used up is dead-lettered; nacked otherwise.
    pub then_dead_letter: Option<bool>,
}

/// `x-amgi-idempotency`.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Idempotency {
    /// Where the key is.
    pub key: Location,
    /// How long it is remembered.
    pub remember: u64,
}

/// `x-amgi-circuit-breaker`.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Breaker {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open.
    pub pause: u64,
}

/// `x-amgi-batch`.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Batch {
    /// The most messages in a batch.
    pub size: usize,
    /// How long the first one waits for others.
    pub wait: u64,
}
