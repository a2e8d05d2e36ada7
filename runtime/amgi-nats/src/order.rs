//! Messages of one subject one after the other.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_nats::Subject;
use tokio::sync::Semaphore;

use crate::lane::Job;

/// Which subjects are being handled, and what waits behind.
pub(crate) struct Order {
    busy: Mutex<BTreeMap<Subject, VecDeque<Job>>>,
    /// How many messages may be here, waiting or not.
    room: Arc<Semaphore>,
}

impl Order {
    pub(crate) fn new(room: usize) -> Self {
        Self { busy: Mutex::default(), room: Arc::new(Semaphore::new(room)) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Subject, VecDeque<Job>>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The message again when it can be handled now; otherwise it waits. Waits itself while there are too many.
    pub(crate) async fn enter(&self, mut job: Job) -> Option<Job> {
        job.permit = self.room.clone().acquire_owned().await.ok();
        let mut busy = self.lock();
        if let Some(behind) = busy.get_mut(&job.subject) {
            behind.push_back(job);
            return None;
        }
        busy.insert(job.subject.clone(), VecDeque::new());
        Some(job)
    }

    /// A message of `subject` is settled: the next one, which is to be handled by whoever asks.
    pub(crate) fn leave(&self, subject: &Subject) -> Option<Job> {
        let mut busy = self.lock();
        let next = busy.get_mut(subject).and_then(VecDeque::pop_front);
        if next.is_none() {
            busy.remove(subject);
        }
        next
    }

    /// Where what waits is acknowledged.
    pub(crate) fn waiting(&self) -> Vec<Subject> {
        self.lock().values().flatten().filter_map(|job| job.reply.clone()).collect()
    }
}
