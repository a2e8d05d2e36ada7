//! Entries in hand stay fresh, so that no other instance takes them however long their handlers need.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use amgi::Bytes;
use redis::{Cmd, cmd};
use tracing::debug;

use crate::{config::Config, link::Link};

/// Most ids in one command.
pub(crate) const IDS: usize = 100;

/// Keys, and the entries of each that a lane has in hand.
pub(crate) type Held = Arc<Mutex<Vec<(String, Vec<Bytes>)>>>;

/// As Redis counts: at least one.
pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Claims entries for the consumer that has them.
pub(crate) fn claim_again(key: &str, group: &str, consumer: &str, ids: &[Bytes]) -> Cmd {
    let mut claim = cmd("XCLAIM");
    claim.arg(key).arg(group).arg(consumer).arg(0);
    for id in ids {
        claim.arg(&**id);
    }
    claim
}

/// Tells Redis again and again that what is in hand has not been forgotten.
pub(crate) async fn keep_fresh(all: Vec<(u16, String, Held)>, config: Arc<Config>, link: Link) {
    let every = config.min_idle / 3;
    loop {
        tokio::time::sleep(every).await;
        for (slot, consumer, held) in &all {
            let held = held.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for (key, ids) in &held {
                for ids in ids.chunks(IDS) {
                    let mut claim = claim_again(key, &config.group, consumer, ids);
                    claim.arg("JUSTID");
                    if let Err(error) = link.call(*slot, &claim, every).await {
                        debug!(%error, "Redis cannot be told what is in hand");
                    }
                }
            }
        }
    }
}
