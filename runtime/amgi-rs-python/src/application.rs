//! A Python application as servers of this project see it.
//!
//! What must hold: tasks of tokio never wait for the interpreter's lock; whatever the application does, a message is settled
//! once, and one that it says nothing of is not acknowledged.

use std::{
    future::Future as _,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
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
    types::{PyDict, PyTuple},
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
    /// Has `submit(line)`, where a line is deliveries that are handled one after the other, `startup(reply)` and
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
        let (mut line, mut settled) =
            (Vec::with_capacity(contexts.len()), Vec::with_capacity(contexts.len()));
        for cx in contexts {
            let (settle, settlement) = oneshot::channel();
            line.push(Arc::new(Shared {
                message: cx.message().clone(),
                sender: cx.sender().clone(),
                jobs: self.half.jobs.clone(),
                settlement: Mutex::new((Settlement::Unsettled, Some(settle))),
                task: Mutex::default(),
            }));
            settled.push(settlement);
        }
        let given_up = GivenUp(line.clone());
        let python = self.half.python.clone();
        self.half.jobs.post(Box::new(move |py| {
            let line = PyTuple::new(py, line.into_iter().map(Delivery))?;
            python.call_method1(py, intern!(py, "submit"), (line,))?;
            Ok(())
        }));
        // The last one first, so that this task is woken once.
        let first = settlements.len();
        for settlement in settled.into_iter().rev() {
            settlements.push(settlement.await.unwrap_or(Settlement::Unsettled));
        }
        settlements[first..].reverse();
        given_up.not();
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
struct GivenUp(Vec<Arc<Shared>>);

impl GivenUp {
    fn not(mut self) {
        self.0.clear();
    }
}

impl Drop for GivenUp {
    fn drop(&mut self) {
        for delivery in self.0.drain(..) {
            delivery.jobs.clone().post(Box::new(move |py| {
                let mut work = locked(&delivery.task);
                let before = match *work {
                    Work::Done => return Ok(()),
                    _ => std::mem::replace(&mut *work, Work::GivenUp),
                };
                drop(work);
                if let Work::Begun(task) = before {
                    task.call_method0(py, intern!(py, "cancel"))?;
                }
                Ok(())
            }));
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far the work on a message is.
#[derive(Default)]
enum Work {
    #[default]
    Waiting,
    /// By this task.
    Begun(Py<PyAny>),
    Done,
    GivenUp,
}

struct Shared {
    message: Message,
    sender: Arc<dyn MessageSend>,
    jobs: Jobs,
    /// What the application has said, and who waits for it.
    settlement: Mutex<(Settlement, Option<oneshot::Sender<Settlement>>)>,
    task: Mutex<Work>,
}

/// A message for the application, and what it says of it.
#[pyclass(frozen, module = "amgi_rs._native")]
pub(crate) struct Delivery(Arc<Shared>);

#[pymethods]
impl Delivery {
    /// Says that `task` works on it now; false where nobody waits for it any longer.
    fn begin(&self, task: Py<PyAny>) -> bool {
        let mut work = locked(&self.0.task);
        if matches!(*work, Work::GivenUp) {
            return false;
        }
        *work = Work::Begun(task);
        true
    }

    /// Whether nobody waits for it any longer.
    #[getter]
    fn is_given_up(&self) -> bool {
        matches!(*locked(&self.0.task), Work::GivenUp)
    }

    /// Where the message comes from.
    #[getter]
    fn address(&self) -> &str {
        &self.0.message.address
    }

    /// The scope `message`; `extensions` are left out where they are None.
    fn scope<'py>(
        &self,
        py: Python<'py>,
        state: &Bound<'py, PyDict>,
        extensions: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let scope = PyDict::new(py);
        scope.set_item(intern!(py, "type"), intern!(py, "message"))?;
        let amgi = PyDict::new(py);
        amgi.set_item(intern!(py, "version"), intern!(py, "2.0"))?;
        amgi.set_item(intern!(py, "spec_version"), intern!(py, "2.0"))?;
        scope.set_item(intern!(py, "amgi"), amgi)?;
        convert::fill(&scope, &self.0.message)?;
        scope.set_item(intern!(py, "state"), state.copy()?)?;
        if let Some(extensions) = extensions {
            scope.set_item(intern!(py, "extensions"), extensions.copy()?)?;
        }
        Ok(scope)
    }

    /// `message.ack`.
    fn ack(&self) -> PyResult<()> {
        self.settle(Settlement::Ack)
    }

    /// `message.nack`, with the fields of the extension `amgi.settlement`, if it has them.
    #[pyo3(signature = (message, disposition = None, delay = None))]
    fn nack(&self, message: String, disposition: Option<&str>, delay: Option<f64>) -> PyResult<()> {
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
        self.settle(Settlement::Fail { disposition, reason: Reason::Failed(message) })
    }

    /// It is not begun, since one before it has failed: it is handed over again, when that one is settled.
    fn skip(&self) {
        let reason = Reason::Failed("not begun, since a message before it failed".to_owned());
        let said = Settlement::Fail { disposition: Disposition::RetryAfter(Duration::ZERO), reason };
        if let Some(settle) = locked(&self.0.settlement).1.take() {
            let _ = settle.send(said);
        }
    }

    /// The application is done with it: it is settled as it said, or not at all; `failure` is what it raised. Whether it was
    /// acknowledged.
    #[pyo3(signature = (failure = None))]
    fn end(&self, failure: Option<String>) -> bool {
        let mut work = locked(&self.0.task);
        if !matches!(*work, Work::GivenUp) {
            *work = Work::Done;
        }
        drop(work);
        let mut settlement = locked(&self.0.settlement);
        let Some(settle) = settlement.1.take() else { return false };
        let said = std::mem::replace(&mut settlement.0, Settlement::Unsettled);
        let said = match (said, failure) {
            // What it had said before counts.
            (Settlement::Unsettled, Some(text)) => {
                Settlement::Fail { disposition: Disposition::Retry, reason: Reason::Failed(text) }
            }
            (said, _) => said,
        };
        let is_acked = said == Settlement::Ack;
        let _ = settle.send(said);
        is_acked
    }

    /// `message.send`: true when the message is in the broker's hands already, else `future` ends when it is.
    fn send(&self, py: Python<'_>, event: &Bound<'_, PyDict>, future: Py<PyAny>) -> PyResult<bool> {
        let message = convert::message(event)?;
        let (sender, jobs) = (self.0.sender.clone(), self.0.jobs.clone());
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

impl Delivery {
    fn settle(&self, said: Settlement) -> PyResult<()> {
        let mut settlement = locked(&self.0.settlement);
        if settlement.0 != Settlement::Unsettled {
            return Err(PyRuntimeError::new_err("the message was acknowledged, or not, before"));
        }
        settlement.0 = said;
        Ok(())
    }
}
