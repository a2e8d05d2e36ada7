//! A Python application as servers of this project see it.
//!
//! What must hold: tasks of tokio never wait for the interpreter's lock; whatever the application does, a message is settled
//! once, and one that it says nothing of is not acknowledged.

use std::{
    future::Future as _,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{self, Poll, Waker},
    time::Duration,
};

use amgi::{
    Application, ChannelInfo, Context, Disposition, Message, MessageSend, Reason, Settlement, StartupError,
    State,
};
use amgi_python::{Jobs, Reply, convert, run, runtime};
use pyo3::{
    create_exception,
    exceptions::{PyOSError, PyRuntimeError, PyValueError},
    intern,
    prelude::*,
    types::PyDict,
};
use tokio::sync::oneshot;

create_exception!(
    amgi_rs,
    SendError,
    PyOSError,
    "A message was not sent, or it is not known whether it was."
);

/// The Python half of a server, and the way to its event loop.
#[derive(Clone)]
pub(crate) struct Half {
    pub(crate) jobs: Jobs,
    /// Has `submit(line)`, with a [`Line`], `startup(reply)` and
    /// `shutdown(reply)`.
    pub(crate) python: Arc<Py<PyAny>>,
}

/// A Python application.
pub(crate) struct PythonApplication {
    pub(crate) channels: Vec<ChannelInfo>,
    pub(crate) half: Half,
}

impl PythonApplication {
    /// Calls a method of the Python half, which replies some time.
    async fn ask(&self, method: &'static str) -> Result<(), StartupError> {
        let (reply, result) = oneshot::channel();
        let python = self.half.python.clone();
        self.half.jobs.post(Box::new(move |py| {
            python.call_method1(py, method, (Reply::new(reply),))?;
            Ok(())
        }));
        match result.await {
            Ok(result) => result.map_err(StartupError::new),
            Err(_) => Err(StartupError::new("the event loop has ended")),
        }
    }

    /// Has one task of Python handle these messages, one after the other.
    async fn hand_over(&self, contexts: &[Context], settlements: &mut Vec<Settlement>) {
        let Some(first) = contexts.first() else { return };
        let (done, is_done) = oneshot::channel();
        let work = Work {
            at: 0,
            task: None,
            is_given_up: false,
            settlements: Vec::with_capacity(contexts.len()),
            said: Settlement::Unsettled,
        };
        let shared = Arc::new(Shared {
            messages: contexts.iter().map(|cx| cx.message().clone()).collect(),
            sender: first.sender().clone(),
            jobs: self.half.jobs.clone(),
            work: Mutex::new(work),
        });
        let given_up = GivenUp(Some(shared.clone()));
        let line = Line { shared: shared.clone(), done: Mutex::new(Some(done)) };
        let python = self.half.python.clone();
        self.half.jobs.post(Box::new(move |py| {
            python.call_method1(py, intern!(py, "submit"), (line,))?;
            Ok(())
        }));
        // It may be dropped instead, where the event loop has ended: what was settled by then is.
        let _ = is_done.await;
        given_up.not();
        let mut work = shared.work();
        work.settlements.resize(contexts.len(), Settlement::Unsettled);
        settlements.append(&mut work.settlements);
    }
}

impl Application for PythonApplication {
    fn channels(&self) -> &[ChannelInfo] {
        &self.channels
    }

    async fn startup(&self, _: &mut State) -> Result<(), StartupError> {
        self.ask("startup").await
    }

    async fn message(&self, cx: &Context) -> Settlement {
        let mut settlements = Vec::with_capacity(1);
        self.hand_over(std::slice::from_ref(cx), &mut settlements).await;
        settlements.pop().unwrap_or(Settlement::Unsettled)
    }

    /// They are handled one after the other, up to the first that fails: order is kept. What is behind it was not begun.
    async fn batch(&self, contexts: &[Context], settlements: &mut Vec<Settlement>) {
        self.hand_over(contexts, settlements).await;
    }

    async fn shutdown(&self) -> Result<(), StartupError> {
        self.ask("shutdown").await
    }
}

/// Cancels the work on messages that nobody waits for any longer.
struct GivenUp(Option<Arc<Shared>>);

impl GivenUp {
    fn not(mut self) {
        self.0 = None;
    }
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        let Some(shared) = self.0.take() else { return };
        shared.jobs.clone().post(Box::new(move |py| {
            let task = {
                let mut work = shared.work();
                work.is_given_up = true;
                work.task.take()
            };
            if let Some(task) = task {
                task.call_method0(py, intern!(py, "cancel"))?;
            }
            Ok(())
        }));
    }
}

/// How far the work on a line is.
struct Work {
    /// Which message is worked on, or the next one.
    at: usize,
    /// What works on it.
    task: Option<Py<PyAny>>,
    /// Nobody waits for the rest any longer.
    is_given_up: bool,
    /// Of those before it.
    settlements: Vec<Settlement>,
    /// What the application has said of it.
    said: Settlement,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Shared {
    messages: Vec<Message>,
    sender: Arc<dyn MessageSend>,
    jobs: Jobs,
    work: Mutex<Work>,
}

impl Shared {
    fn work(&self) -> MutexGuard<'_, Work> {
        locked(&self.work)
    }
}

/// Messages for the application, which are handled one after the other, and what it says of them.
#[pyclass(frozen, module = "amgi_rs._native")]
pub(crate) struct Line {
    shared: Arc<Shared>,
    /// Who waits for the last of them.
    done: Mutex<Option<oneshot::Sender<()>>>,
}

#[pymethods]
impl Line {
    /// Begins the next message, by `task`: its scope, with copies of the state and of the extensions, where there are any. None when
    /// there is nothing more to do.
    fn begin<'py>(
        &self,
        py: Python<'py>,
        task: Py<PyAny>,
        state: &Bound<'py, PyDict>,
        extensions: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let at = {
            let mut work = self.shared.work();
            if work.is_given_up || work.at == self.shared.messages.len() {
                return Ok(None);
            }
            work.task = Some(task);
            work.at
        };
        let Some(message) = self.shared.messages.get(at) else { return Ok(None) };
        let scope = PyDict::new(py);
        scope.set_item(intern!(py, "type"), intern!(py, "message"))?;
        let amgi = PyDict::new(py);
        amgi.set_item(intern!(py, "version"), intern!(py, "2.0"))?;
        amgi.set_item(intern!(py, "spec_version"), intern!(py, "2.0"))?;
        scope.set_item(intern!(py, "amgi"), amgi)?;
        convert::fill(&scope, message)?;
        scope.set_item(intern!(py, "state"), state.copy()?)?;
        if let Some(extensions) = extensions {
            scope.set_item(intern!(py, "extensions"), extensions.copy()?)?;
        }
        Ok(Some(scope))
    }

    /// Whether nobody waits for it any longer.
    #[getter]
    fn is_given_up(&self) -> bool {
        self.shared.work().is_given_up
    }

    /// Where the message comes from that was begun last.
    #[getter]
    fn address(&self) -> Option<&str> {
        let at = self.shared.work().at;
        self.shared.messages.get(at).map(|message| &*message.address)
    }

    /// `message.ack` of the message at this place.
    fn ack(&self, at: usize) -> PyResult<()> {
        self.settle(at, Settlement::Ack)
    }

    /// `message.nack` of the message at this place, with the fields of the extension `amgi.settlement`, if it has them.
    #[pyo3(signature = (at, message, disposition = None, delay = None))]
    fn nack(
        &self,
        at: usize,
        message: String,
        disposition: Option<&str>,
        delay: Option<f64>,
    ) -> PyResult<()> {
        let disposition = match (disposition, delay) {
            (None | Some("retry"), None) => Disposition::Retry,
            (None | Some("retry"), Some(delay)) => Disposition::RetryAfter(
                Duration::try_from_secs_f64(delay)
                    .map_err(|error| PyValueError::new_err(error.to_string()))?,
            ),
            (Some("dead-letter"), _) => Disposition::DeadLetter,
            (Some("discard"), _) => Disposition::Discard,
            (Some(other), _) => {
                let why = format!("a disposition is `retry`, `dead-letter` or `discard`, not `{other}`");
                return Err(PyValueError::new_err(why));
            }
        };
        self.settle(at, Settlement::Fail { disposition, reason: Reason::Failed(message) })
    }

    /// The application is done with the message: it is settled as it said, or not at all; `failure` is what it raised. Those behind
    /// one that was not acknowledged are handed over again, when that one is settled. Whether nobody waits for it any longer.
    #[pyo3(signature = (failure = None))]
    fn end(&self, failure: Option<String>) -> bool {
        let mut work = self.shared.work();
        // It goes on with something else.
        work.task = None;
        let said = match (std::mem::replace(&mut work.said, Settlement::Unsettled), failure) {
            // What it had said before counts.
            (Settlement::Unsettled, Some(text)) => {
                Settlement::Fail { disposition: Disposition::Retry, reason: Reason::Failed(text) }
            }
            (said, _) => said,
        };
        let is_acked = said == Settlement::Ack;
        work.settlements.push(said);
        let count = self.shared.messages.len();
        // Who waits takes the settlements as soon as they are told: what is left to do is said by the place alone.
        work.at += 1;
        if !is_acked {
            work.at = count;
            work.settlements.resize_with(count, || Settlement::Fail {
                disposition: Disposition::RetryAfter(Duration::ZERO),
                reason: Reason::Failed("not begun, since a message before it failed".to_owned()),
            });
        }
        if work.at == count
            && let Some(done) = locked(&self.done).take()
        {
            let _ = done.send(());
        }
        work.is_given_up
    }

    /// Nothing more is done: what was not settled by now is not.
    fn abandon(&self) {
        let mut work = self.shared.work();
        work.task = None;
        work.at = self.shared.messages.len();
        drop(work);
        drop(locked(&self.done).take());
    }

    /// `message.send`: true when the message is in the broker's hands already, else `future` ends when it is.
    fn send(&self, py: Python<'_>, event: &Bound<'_, PyDict>, future: Py<PyAny>) -> PyResult<bool> {
        let message = convert::message(event)?;
        let (sender, jobs) = (self.shared.sender.clone(), self.shared.jobs.clone());
        let mut sending = Box::pin(async move { sender.send(message).await });
        let done = py.detach(|| {
            let _inside = runtime().enter();
            match Pin::new(&mut sending).poll(&mut task::Context::from_waker(Waker::noop())) {
                Poll::Ready(result) => Some(result),
                Poll::Pending => None,
            }
        });
        let failed = |error: amgi::SendError| SendError::new_err(error.to_string());
        match done {
            Some(result) => result.map(|()| true).map_err(failed),
            None => {
                // Whether anybody waits for it or not, it is sent.
                run(jobs, future, async move { sending.await.map_err(failed) });
                Ok(false)
            }
        }
    }
}

impl Line {
    /// The message `at` this place of the line is to be settled so.
    fn settle(&self, at: usize, said: Settlement) -> PyResult<()> {
        let mut work = self.shared.work();
        if work.at != at || work.said != Settlement::Unsettled {
            return Err(PyRuntimeError::new_err("the message was acknowledged, or not, before"));
        }
        work.said = said;
        Ok(())
    }
}
