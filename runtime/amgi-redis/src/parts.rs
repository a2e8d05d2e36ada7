//! The connections that a server receives by, and when all of them are there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use amgi::server::{Backoff, Stop};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::{place::Place, wire::Lost};

/// A connection that lasted this long was a good one: the next pause is short again.
const GOOD: Duration = Duration::from_secs(5);

/// Calls somebody whenever all parts are connected.
pub(crate) struct Parts {
    pub(crate) all: usize,
    pub(crate) up: AtomicUsize,
    pub(crate) on_ready: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Parts {
    /// For a connection of which nobody is told.
    pub(crate) fn none() -> Self {
        Self { all: 0, up: AtomicUsize::new(1), on_ready: None }
    }

    /// One part more is connected.
    pub(crate) fn up(&self) {
        if self.up.fetch_add(1, Ordering::SeqCst) + 1 == self.all {
            self.tell();
        }
    }

    fn down(&self) {
        self.up.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn tell(&self) {
        if let Some(on_ready) = &self.on_ready {
            on_ready();
        }
    }
}

/// Something that receives by a connection of its own.
pub(crate) trait Part {
    /// Connects, and does what is due on a new connection.
    fn connect(&mut self) -> impl Future<Output = Result<(), Lost>> + Send;

    /// Receives until a stop is asked for.
    fn receive(&mut self) -> impl Future<Output = Result<(), Lost>> + Send;
}

/// Receives until a stop is asked for, on one connection after the other. The first is there.
pub(crate) async fn run(
    part: &mut impl Part,
    parts: &Parts,
    stop: &Stop,
    place: &Place,
    backoff: Backoff,
    what: &'static str,
) {
    let mut failures = 0_u32;
    loop {
        let since = Instant::now();
        let Err(error) = part.receive().await else { return };
        parts.down();
        if stop.is_requested() {
            return;
        }
        if since.elapsed() >= GOOD {
            failures = 0;
        }
        warn!(url = %place, %error, "{what}: connection lost");
        loop {
            failures = failures.saturating_add(1);
            place.forget();
            tokio::select! {
                () = sleep(backoff.pause(failures)) => {}
                () = stop.requested() => return,
            }
            let connected = tokio::select! {
                connected = part.connect() => connected,
                () = stop.requested() => return,
            };
            match connected {
                Ok(()) => break,
                Err(error) => warn!(url = %place, %error, failures, "{what}: cannot reconnect"),
            }
        }
        info!(url = %place, "{what}: connected again");
        parts.up();
    }
}
