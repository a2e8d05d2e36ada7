//! Real brokers for tests: started on a free port of the loopback interface, with a directory of their own, and stopped by pid
//! when they are dropped, also when a test fails.
//!
//! What must hold: a broker that is not installed is a failure that says what to install, never a test that passes unseen.

mod app;
mod mosquitto;
mod peer;

pub use self::{
    app::{App, Running, channel, failed, init_logs, rejected},
    mosquitto::Mosquitto,
    peer::{Peer, Seen},
};

use std::time::Duration;

/// Longest time that a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Waits for `future`, but not forever.
///
/// # Panics
/// When it takes too long; `what` says what was waited for.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain for {what}"))
}
