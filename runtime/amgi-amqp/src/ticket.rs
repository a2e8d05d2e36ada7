//! How whoever handles a message tells whoever acknowledges it.
//!
//! What must hold: every message that was handed over is told of once, also when it is dropped; and the loop that acknowledges is
//! not woken for each of them.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::Notify;

use crate::worker::Verdict;

/// A message that is over.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) tag: u64,
    /// `None` when nobody has handled it: it stays with the broker.
    pub(crate) verdict: Option<Verdict>,
}

/// What is over and was not looked at yet.
#[derive(Debug)]
pub(crate) struct Tray {
    done: Mutex<Vec<Done>>,
    /// The first one is there, or as many as are looked at together.
    filled: Notify,
    together: usize,
    gone: AtomicBool,
}

impl Tray {
    /// For so many at a time.
    pub(crate) fn new(together: usize) -> Arc<Self> {
        let (done, filled, gone) = (Mutex::default(), Notify::new(), AtomicBool::new(false));
        Arc::new(Self { done, filled, together, gone })
    }

    /// A ticket for a message.
    pub(crate) fn ticket(self: &Arc<Self>, tag: u64) -> Ticket {
        Ticket { tray: self.clone(), tag, verdict: None }
    }

    /// Ends when there is the first one, or as many as are looked at together.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Whether there are as many as are looked at together.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().len() >= self.together
    }

    /// Takes all.
    pub(crate) fn take(&self, into: &mut Vec<Done>) {
        std::mem::swap(&mut *self.lock(), into);
    }

    /// Nobody looks any more: what was delivered comes again.
    pub(crate) fn close(&self) {
        self.gone.store(true, Ordering::Release);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Done>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message that is to be told of.
#[derive(Debug)]
pub(crate) struct Ticket {
    tray: Arc<Tray>,
    tag: u64,
    verdict: Option<Verdict>,
}

impl Ticket {
    /// Whether the connection that the message came on is gone.
    pub(crate) fn is_void(&self) -> bool {
        self.tray.gone.load(Ordering::Acquire)
    }

    /// Tells.
    pub(crate) fn settle(mut self, verdict: Verdict) {
        self.verdict = Some(verdict);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut done = self.tray.lock();
        done.push(Done { tag: self.tag, verdict: self.verdict });
        let count = done.len();
        drop(done);
        if count == 1 || count == self.tray.together {
            self.tray.filled.notify_one();
        }
    }
}
