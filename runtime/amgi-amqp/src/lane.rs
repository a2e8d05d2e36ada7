//! The loops that handle messages one after the other, and how they are given some.
//!
//! Whoever gives an idle loop a message runs it on the spot, until a handler has to wait for something: what is handled at once
//! costs no change of tasks. From there on the loop's own task runs it. It does so from the beginning where handlers keep whoever
//! runs them for long, so that others are handled meanwhile.
//!
//! What must hold: one at a time runs a loop; messages are handled in the order in which they were given; a loop that was given
//! up keeps nothing.

use std::{
    collections::VecDeque,
    future::poll_fn,
    hash::{DefaultHasher, Hash, Hasher},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::worker::Job;

/// A handler that takes this long is not run on the spot.
const LONG: Duration = Duration::from_micros(50);
/// Every so many messages, that is measured.
const SAMPLE: u32 = 32;

type Run = Pin<Box<dyn Future<Output = ()> + Send>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a loop is to handle.
#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    /// The loop has nothing to do; whoever changes that runs it, or sees that its task does.
    idle: bool,
    /// There will be no more.
    closed: bool,
}

/// A loop.
struct Lane {
    waiting: Mutex<Waiting>,
    /// `None` after its end.
    run: Mutex<Option<Run>>,
    /// Of its own task.
    waker: OnceLock<Waker>,
    is_long: AtomicBool,
}

impl Lane {
    fn give(&self, job: Job) {
        let idle = {
            let mut waiting = lock(&self.waiting);
            if waiting.closed {
                // The loop was given up: the message stays with the broker.
                return;
            }
            waiting.jobs.push_back(job);
            std::mem::take(&mut waiting.idle)
        };
        // One that was idle has been run by its task before.
        if idle && let Some(waker) = self.waker.get() {
            let run = match self.run.try_lock() {
                Ok(run) if !self.is_long.load(Ordering::Relaxed) => Some(run),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Ok(_) | Err(TryLockError::WouldBlock) => None,
            };
            match run {
                Some(mut run) => drop(proceed(&mut run, waker)),
                None => waker.wake_by_ref(),
            }
        }
    }

    fn close(&self) {
        lock(&self.waiting).closed = true;
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }
}

/// Runs a loop until it waits for something; what that is wakes its task.
fn proceed(run: &mut Option<Run>, waker: &Waker) -> Poll<()> {
    let Some(future) = run else { return Poll::Ready(()) };
    let polled = future.as_mut().poll(&mut Context::from_waker(waker));
    if polled.is_ready() {
        *run = None;
    }
    polled
}

/// A loop's end of what it is given.
pub(crate) struct Jobs {
    lane: Arc<Lane>,
    count: u32,
    began: Option<Instant>,
}

impl Jobs {
    /// The next one; `None` when there will be no more. Whoever asks has handled the one before.
    pub(crate) async fn next(&mut self) -> Option<Job> {
        if let Some(began) = self.began.take() {
            self.lane.is_long.store(began.elapsed() > LONG, Ordering::Relaxed);
        }
        let job = poll_fn(|_| {
            let mut waiting = lock(&self.lane.waiting);
            match waiting.jobs.pop_front() {
                None if !waiting.closed => {
                    waiting.idle = true;
                    Poll::Pending
                }
                job => Poll::Ready(job),
            }
        })
        .await;
        self.began = self.count.is_multiple_of(SAMPLE).then(Instant::now);
        self.count = self.count.wrapping_add(1);
        job
    }
}

/// The end of a loop's task.
struct End(Arc<Lane>);

impl Drop for End {
    fn drop(&mut self) {
        let left = {
            let mut waiting = lock(&self.0.waiting);
            waiting.closed = true;
            std::mem::take(&mut waiting.jobs)
        };
        drop(left);
        // Otherwise a handler blocks its thread.
        if let Ok(mut run) = self.0.run.try_lock() {
            *run = None;
        }
    }
}

/// Loops, among which addresses are spread. They end when it is dropped.
pub(crate) struct Lanes(Vec<Arc<Lane>>);

impl Lanes {
    /// Starts so many loops.
    pub(crate) fn start<F>(count: usize, tasks: &mut JoinSet<()>, work: impl Fn(Jobs) -> F) -> Arc<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let start = |_| {
            let lane = Arc::new(Lane {
                waiting: Mutex::default(),
                run: Mutex::default(),
                waker: OnceLock::new(),
                is_long: AtomicBool::new(false),
            });
            *lock(&lane.run) = Some(Box::pin(work(Jobs { lane: lane.clone(), count: 0, began: None })));
            let end = End(lane.clone());
            tasks.spawn(poll_fn(move |task| {
                let waker = end.0.waker.get_or_init(|| task.waker().clone());
                proceed(&mut lock(&end.0.run), waker)
            }));
            lane
        };
        Arc::new(Self((0..count).map(start).collect()))
    }

    /// Gives a message to the loop of its address.
    pub(crate) fn give(&self, job: Job) {
        let lane = if let [lane] = self.0.as_slice() {
            lane
        } else {
            let mut hasher = DefaultHasher::new();
            job.message.address.hash(&mut hasher);
            // The remainder is below the length, which is a usize.
            &self.0[usize::try_from(hasher.finish() % self.0.len() as u64).unwrap_or(0)]
        };
        lane.give(job);
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.0.iter().for_each(|lane| lane.close());
    }
}
