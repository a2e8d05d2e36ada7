//! Polls of a queue: as soon as there is room for ten messages, the next one is under way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use amgi::{
    Application,
    server::{Backoff, Stop},
};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::{lane::Lane, link::Fault, queue::Queue};

/// The most that a poll gives.
pub(crate) const TEN: usize = 10;

/// Polls, and whom to tell when all of them work.
pub(crate) struct Health {
    failing: AtomicUsize,
    on_ready: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Health {
    pub(crate) fn new(on_ready: Option<Arc<dyn Fn() + Send + Sync>>) -> Self {
        Self { failing: AtomicUsize::new(0), on_ready }
    }

    pub(crate) fn tell(&self) {
        if let Some(on_ready) = &self.on_ready {
            on_ready();
        }
    }

    fn worse(&self) {
        self.failing.fetch_add(1, Ordering::SeqCst);
    }

    fn better(&self) {
        if self.failing.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.tell();
        }
    }
}

/// Polls until a stop is asked for; what the last poll gives is given back.
pub(crate) async fn poll<A: Application>(
    lane: Arc<Lane<A>>,
    queue: Arc<Queue>,
    health: Arc<Health>,
    backoff: Backoff,
    stop: Stop,
) {
    let most = u32::try_from(TEN).unwrap_or(1);
    let mut failures = 0_u32;
    loop {
        let room = tokio::select! {
            biased;
            () = stop.requested() => return,
            room = queue.room.clone().acquire_many_owned(most) => room,
        };
        // Nobody closes it.
        let Ok(mut room) = room else { return };
        let asked = Instant::now();
        // A poll that waits would say late that SQS is there again.
        match queue.receive(TEN, failures == 0).await {
            Ok(received) => {
                if failures > 0 {
                    failures = 0;
                    info!(queue = queue.url, "polling again");
                    health.better();
                }
                if stop.is_requested() {
                    for message in received {
                        let number = queue.hold(message.receipt_handle.unwrap_or_default(), asked);
                        queue.give_back(number, 0);
                    }
                    return;
                }
                lane.take(&queue, received, &mut room, Instant::now());
            }
            Err(fault) => {
                drop(room);
                if failures == 0 {
                    health.worse();
                }
                failures = failures.saturating_add(1);
                let pause = backoff.pause(failures);
                match fault {
                    Fault::Passing(error) => warn!(queue = queue.url, error, ?pause, "cannot poll"),
                    // Somebody may make it again, or allow it.
                    fault => warn!(queue = queue.url, error = %fault, ?pause, "the queue cannot be polled"),
                }
                tokio::select! {
                    () = sleep(pause) => {}
                    () = stop.requested() => return,
                }
            }
        }
    }
}
