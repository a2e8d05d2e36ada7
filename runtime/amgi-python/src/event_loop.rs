//! From threads of tokio to Python's event loop, without the interpreter's lock.
//!
//! What must hold: a thread of tokio never asks for the lock, which it may wait for, and which ends the process where the
//! interpreter is ending; and of however many jobs are posted while the loop is busy, one wakes it.

use std::{
    fmt,
    future::Future,
    io::{Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use pyo3::{IntoPyObjectExt, intern, prelude::*};
use tokio::{runtime::Runtime, sync::oneshot, task::AbortHandle};

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

/// The threads of tokio, for all event loops of this module.
///
/// # Panics
/// When the machine has no threads left.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("the machine has threads")
    })
}

/// Work on tokio that a future of asyncio waits for.
#[pyclass(frozen, module = "amgi_python")]
pub struct Running(AbortHandle);

#[pymethods]
impl Running {
    /// Gives the work up, if it is not done.
    fn abort(&self) {
        self.0.abort();
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Running")
    }
}

/// Runs `future` on tokio. What it gives, or raises, ends `waiter`, a future of the loop that `jobs` are done on.
pub fn run<T>(
    jobs: Jobs,
    waiter: Py<PyAny>,
    future: impl Future<Output = PyResult<T>> + Send + 'static,
) -> Running
where
    T: for<'py> IntoPyObjectExt<'py> + Send + 'static,
{
    let running = runtime().spawn(async move {
        let result = future.await;
        jobs.post(Box::new(move |py| {
            let result = result.and_then(|value| value.into_py_any(py));
            finish(waiter.bind(py), result)
        }));
    });
    Running(running.abort_handle())
}

/// Ends a future of asyncio, if nobody has.
pub(crate) fn finish(waiter: &Bound<'_, PyAny>, result: PyResult<Py<PyAny>>) -> PyResult<()> {
    let py = waiter.py();
    if waiter.call_method0(intern!(py, "done"))?.is_truthy()? {
        return Ok(());
    }
    match result {
        Ok(value) => waiter.call_method1(intern!(py, "set_result"), (value,))?,
        Err(error) => waiter.call_method1(intern!(py, "set_exception"), (error,))?,
    };
    Ok(())
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
