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
    fmt,
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

/// A handler that takes this long is not run on the spot.
const LONG: Duration = Duration::from_micros(50);
/// Every so many messages, that is measured.
const SAMPLE: u32 = 32;

type Run = Pin<Box<dyn Future<Output = ()> + Send>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a loop is to handle.
struct Waiting<J> {
    jobs: VecDeque<J>,
    /// The loop has nothing to do; whoever changes that runs it, or sees that its task does.
    idle: bool,
    /// There will be no more.
    closed: bool,
}

/// A loop.
struct Lane<J> {
    waiting: Mutex<Waiting<J>>,
    /// `None` after its end.
    run: Mutex<Option<Run>>,
    /// Of its own task.
    waker: OnceLock<Waker>,
    is_long: AtomicBool,
}

impl<J> Lane<J> {
    fn give(&self, job: J) {
        let idle = {
            let mut waiting = lock(&self.waiting);
            if waiting.closed {
                // The loop was given up: nobody settles the message.
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

/// What one of the [`Lanes`] is given, message by message.
pub struct Jobs<J> {
    lane: Arc<Lane<J>>,
    count: u32,
    began: Option<Instant>,
}

impl<J> Jobs<J> {
    /// The next one; `None` when there will be no more. Whoever asks has handled the one before. May be dropped before it is
    /// ready: nothing is lost.
    pub async fn next(&mut self) -> Option<J> {
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

    /// The next one, if it waits already.
    pub fn try_next(&mut self) -> Option<J> {
        lock(&self.lane.waiting).jobs.pop_front()
    }
}

impl<J> fmt::Debug for Jobs<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").finish_non_exhaustive()
    }
}

/// The end of a loop's task.
struct End<J>(Arc<Lane<J>>);

impl<J> Drop for End<J> {
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

/// Loops, among which messages are spread by a key, such as their address: those of one key are handled one after the other.
///
/// [`give`](Self::give) runs a loop that is idle on the spot, until its handler has to wait. So a server's reader handles what is
/// handled at once by itself, and a message that comes alone costs no change of tasks. Handlers that keep their thread for long are
/// left to the tasks of the loops.
///
/// When it is dropped the loops finish what they were given, and end.
///
/// ```
/// use std::sync::Arc;
///
/// use amgi::{
///     Application, Context, Message,
///     server::{Jobs, Lanes, Policies, deliver},
/// };
/// use tokio::task::JoinSet;
///
/// /// Hands one message after the other to the application.
/// async fn work<A: Application>(
///     app: Arc<A>,
///     mut cx: Context,
///     policies: Arc<Policies>,
///     mut jobs: Jobs<Message>,
/// ) {
///     while let Some(message) = jobs.next().await {
///         cx.replace(message);
///         let outcome = deliver(&*app, &cx, &policies).await;
///         // Settle the message by it.
///         drop(outcome);
///     }
/// }
///
/// fn start<A: Application>(
///     app: Arc<A>,
///     cx: Context,
///     policies: Arc<Policies>,
///     tasks: &mut JoinSet<()>,
/// ) -> Lanes<Message> {
///     Lanes::start(16, |message: &Message| &message.address, tasks, |jobs| {
///         work(app.clone(), cx.clone(), policies.clone(), jobs)
///     })
/// }
/// ```
pub struct Lanes<J> {
    lanes: Vec<Arc<Lane<J>>>,
    key: fn(&J) -> &str,
}

impl<J: Send + 'static> Lanes<J> {
    /// Starts so many loops, at least one. Each is a task among `tasks`. `key` is what a message has in common with those whose
    /// order it keeps.
    ///
    /// # Panics
    /// Where there is no runtime of tokio.
    pub fn start<F>(
        count: usize,
        key: fn(&J) -> &str,
        tasks: &mut JoinSet<()>,
        work: impl Fn(Jobs<J>) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let start = |_| {
            let lane = Arc::new(Lane {
                waiting: Mutex::new(Waiting { jobs: VecDeque::new(), idle: false, closed: false }),
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
        Self { lanes: (0..count.max(1)).map(start).collect(), key }
    }

    /// Gives a message to the loop of its key.
    pub fn give(&self, job: J) {
        let lane = if let [lane] = self.lanes.as_slice() {
            lane
        } else {
            let mut hasher = DefaultHasher::new();
            (self.key)(&job).hash(&mut hasher);
            // The remainder is below the length, which is a usize.
            &self.lanes[usize::try_from(hasher.finish() % self.lanes.len() as u64).unwrap_or(0)]
        };
        lane.give(job);
    }
}

impl<J> fmt::Debug for Lanes<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes").field("count", &self.lanes.len()).finish_non_exhaustive()
    }
}

impl<J> Drop for Lanes<J> {
    fn drop(&mut self) {
        self.lanes.iter().for_each(|lane| lane.close());
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicUsize, thread};

    use tokio::{sync::Semaphore, task::yield_now};

    use super::*;

    type Job = (&'static str, usize);

    /// Loops that note what they handle, each message with a permit of the semaphore.
    fn noting(
        count: usize,
        tasks: &mut JoinSet<()>,
        gate: &Arc<Semaphore>,
    ) -> (Lanes<Job>, Arc<Mutex<Vec<Job>>>) {
        let noted = Arc::new(Mutex::new(Vec::new()));
        let lanes = Lanes::start(
            count,
            |job: &Job| job.0,
            tasks,
            |mut jobs| {
                let (noted, gate) = (noted.clone(), gate.clone());
                async move {
                    while let Some(job) = jobs.next().await {
                        gate.acquire().await.expect("nobody closes it").forget();
                        lock(&noted).push(job);
                    }
                }
            },
        );
        (lanes, noted)
    }

    #[tokio::test]
    async fn an_idle_loop_is_run_by_whoever_gives_it_a_message() {
        let (mut tasks, gate) = (JoinSet::new(), Arc::new(Semaphore::new(100)));
        let (lanes, noted) = noting(4, &mut tasks, &gate);
        yield_now().await;
        lanes.give(("a", 1));
        lanes.give(("b", 2));
        assert_eq!(*lock(&noted), [("a", 1), ("b", 2)], "nobody else had a turn");
    }

    #[tokio::test]
    async fn a_key_keeps_its_order_and_nothing_is_lost_at_the_end() {
        let (mut tasks, gate) = (JoinSet::new(), Arc::new(Semaphore::new(0)));
        let (lanes, noted) = noting(4, &mut tasks, &gate);
        yield_now().await;
        for number in 0..50 {
            lanes.give((if number % 2 == 0 { "even" } else { "odd" }, number));
            if number % 7 == 0 {
                gate.add_permits(3);
                yield_now().await;
            }
        }
        drop(lanes);
        gate.add_permits(50);
        while tasks.join_next().await.is_some() {}
        for key in ["even", "odd"] {
            let numbers: Vec<_> = lock(&noted).iter().filter(|job| job.0 == key).map(|job| job.1).collect();
            assert_eq!(numbers.len(), 25);
            assert!(numbers.is_sorted(), "{numbers:?}");
        }
    }

    #[tokio::test]
    async fn a_handler_that_takes_long_is_left_to_its_own_task() {
        let (mut tasks, handled) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
        let lanes = Lanes::start(
            1,
            |(): &()| "",
            &mut tasks,
            |mut jobs| {
                let handled = handled.clone();
                async move {
                    while jobs.next().await.is_some() {
                        thread::sleep(10 * LONG);
                        handled.fetch_add(1, Ordering::Relaxed);
                    }
                }
            },
        );
        yield_now().await;
        lanes.give(());
        assert_eq!(handled.load(Ordering::Relaxed), 1, "the first shows how long it takes");
        lanes.give(());
        assert_eq!(handled.load(Ordering::Relaxed), 1);
        drop(lanes);
        while tasks.join_next().await.is_some() {}
        assert_eq!(handled.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_loop_that_was_given_up_keeps_nothing() {
        let mut tasks = JoinSet::new();
        let lanes = Lanes::start(
            1,
            |_: &Arc<()>| "",
            &mut tasks,
            |mut jobs| async move {
                while jobs.next().await.is_some() {
                    std::future::pending::<()>().await;
                }
            },
        );
        yield_now().await;
        let job = Arc::new(());
        (0..3).for_each(|_| lanes.give(job.clone()));
        assert_eq!(Arc::strong_count(&job), 3, "the first is handled, two wait");
        tasks.shutdown().await;
        lanes.give(job.clone());
        assert_eq!(Arc::strong_count(&job), 1);
    }
}
