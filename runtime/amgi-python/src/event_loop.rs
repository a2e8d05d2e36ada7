//! From threads of tokio to Python's event loop, without the interpreter's lock.
//!
//! What must hold: a thread of tokio never waits for the lock, and of however many jobs are posted while the loop is busy,
//! one wakes it.

use std::{
    fmt,
    io::{Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use pyo3::prelude::*;
use tokio::sync::oneshot;

/// What is to be done on the thread of the event loop.
pub type Job = Box<dyn FnOnce(Python<'_>) -> PyResult<()> + Send>;

/// An event loop of asyncio that takes jobs. Its `fileno()` and `run` are for `loop.add_reader`, which runs them.
#[pyclass(frozen, module = "amgi_python")]
pub struct EventLoop {
    jobs: Jobs,
    reader: UnixStream,
}

/// Where jobs are posted, from any thread. Cheap to clone.
#[derive(Clone)]
pub struct Jobs(Arc<Queue>);

struct Queue {
    posted: Mutex<Vec<Job>>,
    /// The loop was woken, and has not looked yet.
    is_woken: AtomicBool,
    writer: UnixStream,
}

impl Jobs {
    /// Has the loop do `job`. Where the loop has ended it is dropped, some time.
    pub fn post(&self, job: Job) {
        let queue = &*self.0;
        queue.posted.lock().unwrap_or_else(PoisonError::into_inner).push(job);
        if !queue.is_woken.swap(true, Ordering::AcqRel) {
            // A full pipe wakes it, too, and one that is closed has nobody to wake.
            let _ = (&queue.writer).write(&[0]);
        }
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jobs")
    }
}

impl EventLoop {
    /// Where its jobs are posted.
    pub fn jobs(&self) -> Jobs {
        self.jobs.clone()
    }
}

#[pymethods]
impl EventLoop {
    /// A loop that nobody reads yet.
    #[new]
    fn new() -> PyResult<Self> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        let queue = Queue { posted: Mutex::default(), is_woken: AtomicBool::new(false), writer };
        Ok(Self { jobs: Jobs(Arc::new(queue)), reader })
    }

    fn fileno(&self) -> i32 {
        self.reader.as_raw_fd()
    }

    /// Does what was posted.
    fn run(&self, py: Python<'_>) {
        let _ = (&self.reader).read(&mut [0; 64]);
        let queue = &*self.jobs.0;
        queue.is_woken.store(false, Ordering::Release);
        let posted = std::mem::take(&mut *queue.posted.lock().unwrap_or_else(PoisonError::into_inner));
        for job in posted {
            if let Err(error) = job(py) {
                error.write_unraisable(py, None);
            }
        }
    }
}

/// How something went that Python was asked to do, or why it failed.
pub type Replied = Result<(), String>;

/// Is told by Python how something went that it was asked to do: one of its methods is called, once. Who waits for it learns of one
/// that was dropped, too.
#[pyclass(frozen, module = "amgi_python")]
pub struct Reply(Mutex<Option<oneshot::Sender<Replied>>>);

impl Reply {
    /// One that tells `sender`.
    pub fn new(sender: oneshot::Sender<Replied>) -> Self {
        Self(Mutex::new(Some(sender)))
    }

    fn tell(&self, replied: Replied) {
        if let Some(sender) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Nobody waits where the work was given up.
            let _ = sender.send(replied);
        }
    }
}

#[pymethods]
impl Reply {
    fn succeeded(&self) {
        self.tell(Ok(()));
    }

    fn failed(&self, why: String) {
        self.tell(Err(why));
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventLoop")
    }
}
