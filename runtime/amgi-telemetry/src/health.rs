//! Whether the process can do its work: its applications have started, and no server stops.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use amgi::server::Stop;

/// What the layers of a process say about it.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Applications between startup and shutdown.
    running: AtomicUsize,
    /// Of the servers that messages came from.
    stops: Mutex<Vec<Stop>>,
}

/// What `/health/ready` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// No application has started yet, or all have ended.
    NotStarted,
    /// Messages are handled.
    Ready,
    /// A server finishes what it has begun.
    Stopping,
}

impl Health {
    pub(crate) fn started(&self) {
        self.running.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn ended(&self) {
        let ended = self.running.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1));
        if ended == Ok(1) {
            self.stops.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// A server that is asked to stop is seen here before its application is shut down.
    pub(crate) fn watch(&self, stop: &Stop) {
        self.stops.lock().unwrap_or_else(PoisonError::into_inner).push(stop.clone());
    }

    pub(crate) fn readiness(&self) -> Readiness {
        if self.running.load(Ordering::Acquire) == 0 {
            Readiness::NotStarted
        } else if self.stops.lock().unwrap_or_else(PoisonError::into_inner).iter().any(Stop::is_requested) {
            Readiness::Stopping
        } else {
            Readiness::Ready
        }
    }
}
