//! A Rust application as Python sees it.
//!
//! What must hold: handlers never have the interpreter's lock; a message that Python gives up is given up here, too; what a
//! handler sends is in the server's hands when its send ends.

use std::{
    ffi::{CStr, CString},
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{self, Poll, Waker},
};

use amgi::{
    Application, Context, Disposition, Document, Extensions, Message, MessageSend, Reason, SendError,
    SendFuture, State, lifespan,
    server::{Outcome, Policies, Policy, Stop, deliver},
};
use pyo3::{
    exceptions::PyRuntimeError,
    intern,
    prelude::*,
    types::{PyDict, PyList, PyString},
};
use tokio::{
    sync::{OnceCell, oneshot},
    task::AbortHandle,
};

use crate::{
    convert,
    event_loop::{EventLoop, Jobs, Replied, Reply, Running, finish, run, runtime},
};

const CALLER: &CStr = {
    match CStr::from_bytes_with_nul(concat!(include_str!("app.py"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("app.py has a zero"),
    }
};

/// Where the state of a lifespan has the lifespan.
const STATE: &str = "amgi_python";

/// An application that is to be a Python module, see [`module!`](crate::module).
#[must_use = "it is for a module"]
pub struct App<F> {
    document: Document,
    make: F,
    policy: Policy,
}

impl<F: Fn() -> A + Send + Sync + 'static, A: Application> App<F> {
    /// For the document that a generated module tells about (`user::DOCUMENT`), and what makes its application. It is made
    /// anew for every lifespan: a server that runs it again, or two of them, share nothing.
    pub fn new(document: Document, make: F) -> Self {
        Self { document, make, policy: Policy { attempts: 1, ..Policy::default() } }
    }

    /// What happens to messages that fail, where the document says nothing of it (`x-amgi-retry` and others). Default: one
    /// attempt, then `message.nack`. A message that is to be put aside is sent to the dead-letter address that the document or
    /// this policy names; where none does, that is a `message.nack` too.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    pub(crate) fn document(&self) -> &Document {
        &self.document
    }

    /// The object that servers call.
    pub(crate) fn into_py<'py>(self, module: &Bound<'py, PyModule>) -> PyResult<Bound<'py, PyAny>> {
        let Self { document, make, policy } = self;
        let py = module.py();
        let native = Native { make: Arc::new((make, policy)), latest: Arc::default() };
        let name = CString::new(format!("{}._app", module.name()?)).unwrap_or_default();
        let caller = PyModule::from_code(py, CALLER, c"amgi-python/src/app.py", &name)?;
        caller.setattr("EventLoop", py.get_type::<EventLoop>())?;
        let class = caller.getattr("App")?;
        class.setattr("__module__", module.name()?)?;
        class.call1((native, document.json))
    }
}

impl<F> fmt::Debug for App<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("title", &self.document.title).finish_non_exhaustive()
    }
}

/// An application that has started.
struct Started<A> {
    app: A,
    policies: Policies,
    state: State,
    stop: Stop,
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What starts applications, of whatever type.
trait Make: Send + Sync {
    fn start(self: Arc<Self>) -> BoxFuture<amgi::Result<Arc<dyn Lifespan>>>;
}

impl<F: Fn() -> A + Send + Sync + 'static, A: Application> Make for (F, Policy) {
    fn start(self: Arc<Self>) -> BoxFuture<amgi::Result<Arc<dyn Lifespan>>> {
        Box::pin(async move {
            let app = self.0();
            let policies = Policies::new(app.channels(), self.1.clone()).put_aside_by_broker();
            let state = lifespan::startup(&app, Arc::new(Outside)).await?;
            Ok(Arc::new(Started { app, policies, state, stop: Stop::ignoring_signals() })
                as Arc<dyn Lifespan>)
        })
    }
}

/// An application that has started, of whatever type.
trait Lifespan: Send + Sync {
    fn message(self: Arc<Self>, scope: Scope) -> Handling;
    fn shutdown(self: Arc<Self>) -> BoxFuture<amgi::Result<()>>;
}

impl<A: Application> Lifespan for Started<A> {
    fn message(self: Arc<Self>, scope: Scope) -> Handling {
        let Scope { message, extensions, sender } = scope;
        let cx = Context::new(message, self.state.clone(), sender)
            .with_stop(&self.stop)
            .with_extensions(extensions);
        Box::pin(async move { deliver(&self.app, &cx, &self.policies).await })
    }

    fn shutdown(self: Arc<Self>) -> BoxFuture<amgi::Result<()>> {
        // What waits for its next attempt waits no longer.
        self.stop.request();
        Box::pin(async move { lifespan::shutdown(&self.app).await })
    }
}

/// A message that is being handled.
type Handling = BoxFuture<Outcome>;

/// What the scope of a message says.
struct Scope {
    message: Message,
    extensions: Extensions,
    sender: Arc<dyn MessageSend>,
}

/// What startup sends with: AMGI has no `message.send` outside of messages.
struct Outside;

impl MessageSend for Outside {
    fn send(&self, message: Message) -> SendFuture<'_> {
        let why = "an AMGI server takes messages from the handler of a message only, not from a lifespan";
        SendFuture::ready(Err(SendError::new(message.address.to_string(), why)))
    }
}

/// A lifespan, in the state that its messages come with.
#[pyclass(frozen, name = "Lifespan", module = "amgi_python")]
struct PyLifespan {
    lifespan: Arc<dyn Lifespan>,
    latest: Latest,
}

#[pymethods]
impl PyLifespan {
    /// Runs shutdown; then `waiter` ends, a future of `events`' loop.
    fn shutdown(&self, waiter: Py<PyAny>, events: &EventLoop) -> Running {
        let mut latest = locked(&self.latest);
        if latest.get().is_some_and(|latest| Arc::ptr_eq(latest, &self.lifespan)) {
            *latest = Arc::default();
        }
        drop(latest);
        let ended = self.lifespan.clone().shutdown();
        run(events.jobs(), waiter, async move { ended.await.map_err(raised) })
    }
}

/// What Python raises for an error of a lifespan.
#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn raised(error: amgi::Error) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

/// The lifespan that began last, for messages that come without its state, or without any lifespan.
type Latest = Arc<Mutex<Arc<OnceCell<Arc<dyn Lifespan>>>>>;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the Python half of an application calls.
#[pyclass(frozen, module = "amgi_python")]
struct Native {
    make: Arc<dyn Make>,
    latest: Latest,
}

impl Native {
    /// Handles a message that no lifespan came with.
    fn message_of_latest(&self, scope: Scope) -> Handling {
        let (make, latest) = (self.make.clone(), locked(&self.latest).clone());
        Box::pin(async move {
            match latest.get_or_try_init(|| make.start()).await {
                Ok(lifespan) => lifespan.clone().message(scope).await,
                Err(error) => {
                    let reason = Reason::Failed(error.to_string());
                    Outcome::Nacked { reason, disposition: Disposition::Retry }
                }
            }
        })
    }
}

#[pymethods]
impl Native {
    /// Starts an application; then `waiter` ends with its lifespan, a future of `events`' loop.
    fn startup(&self, waiter: Py<PyAny>, events: &EventLoop) -> Running {
        let (starting, latest) = (self.make.clone().start(), self.latest.clone());
        run(events.jobs(), waiter, async move {
            let lifespan = starting.await.map_err(raised)?;
            *locked(&latest) = Arc::new(OnceCell::new_with(Some(lifespan.clone())));
            Ok(PyLifespan { lifespan, latest })
        })
    }

    /// Begins to handle a message. What does not wait is done when this returns.
    fn message(&self, py: Python<'_>, scope: &Bound<'_, PyDict>) -> PyResult<Call> {
        let message = convert::message(scope)?;
        let (extensions, tells_disposition) = extensions(scope)?;
        let events = Arc::new(Events::default());
        let scope_of = Scope { message, extensions, sender: events.clone() };
        let mut handling = match lifespan_of(scope)? {
            Some(lifespan) => lifespan.message(scope_of),
            None => self.message_of_latest(scope_of),
        };
        let task = py.detach(|| {
            let runtime = runtime();
            let _inside = runtime.enter();
            match handling.as_mut().poll(&mut task::Context::from_waker(Waker::noop())) {
                Poll::Ready(outcome) => {
                    events.end(outcome);
                    None
                }
                Poll::Pending => {
                    let events = events.clone();
                    let handled = async move { events.end(handling.await) };
                    Some(runtime.spawn(handled).abort_handle())
                }
            }
        });
        Ok(Call { events, task, tells_disposition })
    }
}

/// The server's extensions, and whether a `message.nack` may say what is to become of the message.
fn extensions(scope: &Bound<'_, PyDict>) -> PyResult<(Extensions, bool)> {
    let py = scope.py();
    let mut extensions = Extensions::default();
    let given = scope.get_item(intern!(py, "extensions"))?;
    // Most servers have none.
    let Some(given) = given.filter(|given| given.is_truthy().unwrap_or(true)) else {
        return Ok((extensions, false));
    };
    let text = py.import(intern!(py, "json"))?.call_method1(intern!(py, "dumps"), (&given,))?;
    let values: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text.extract()?)
        .map_err(|error| PyRuntimeError::new_err(format!("extensions: {error}")))?;
    for (name, value) in values {
        extensions.insert(name, value);
    }
    let tells_disposition = extensions.contains(SETTLEMENT);
    Ok((extensions, tells_disposition))
}

/// The extension by which a `message.nack` says what is to become of the message.
const SETTLEMENT: &str = "amgi.settlement";

/// The lifespan that a message belongs to, as its state says.
fn lifespan_of(scope: &Bound<'_, PyDict>) -> PyResult<Option<Arc<dyn Lifespan>>> {
    let py = scope.py();
    let Some(state) = scope.get_item(intern!(py, "state"))? else { return Ok(None) };
    let Ok(state) = state.cast::<PyDict>() else { return Ok(None) };
    let Some(lifespan) = state.get_item(intern!(py, STATE))? else { return Ok(None) };
    Ok(lifespan.cast::<PyLifespan>().ok().map(|lifespan| lifespan.get().lifespan.clone()))
}

/// What a message asks of Python: sends, then how it is settled.
#[derive(Default)]
struct Events(Mutex<Asked>);

#[derive(Default)]
struct Asked {
    sends: Vec<(Message, oneshot::Sender<Replied>)>,
    outcome: Option<Outcome>,
    /// Python asks for nothing more.
    is_over: bool,
    /// Python's future that ends when there is something.
    waiter: Option<(Jobs, Py<PyAny>)>,
}

impl Events {
    fn asked(&self) -> MutexGuard<'_, Asked> {
        locked(&self.0)
    }

    fn end(&self, outcome: Outcome) {
        let mut asked = self.asked();
        asked.outcome = Some(outcome);
        asked.wake();
    }
}

impl Asked {
    fn wake(&mut self) {
        let Some((jobs, waiter)) = self.waiter.take() else { return };
        jobs.post(Box::new(move |py| finish(waiter.bind(py), Ok(py.None()))));
    }
}

impl MessageSend for Events {
    fn send(&self, message: Message) -> SendFuture<'_> {
        SendFuture::pending(async move {
            let address = message.address.clone();
            let failed = |why: String| SendError::new(address.to_string(), why);
            let (sent, result) = oneshot::channel();
            {
                let mut asked = self.asked();
                if asked.is_over {
                    return Err(failed(
                        "the message is settled, and its server takes no more sends".to_owned(),
                    ));
                }
                asked.sends.push((message, sent));
                asked.wake();
            }
            match result.await {
                Ok(result) => result.map_err(failed),
                Err(_) => Err(failed("the server gave the message up".to_owned())),
            }
        })
    }
}

/// A message that was begun.
#[pyclass(frozen, module = "amgi_python")]
struct Call {
    events: Arc<Events>,
    task: Option<AbortHandle>,
    tells_disposition: bool,
}

#[pymethods]
impl Call {
    /// What is to be sent now, each with the object that is to be told how it went; None when the message is handled.
    fn sends<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        let sends = {
            let mut asked = self.events.asked();
            if asked.sends.is_empty() && asked.outcome.is_some() {
                asked.is_over = true;
                return Ok(None);
            }
            std::mem::take(&mut asked.sends)
        };
        let list = PyList::empty(py);
        for (message, sent) in sends {
            let event = PyDict::new(py);
            event.set_item(intern!(py, "type"), intern!(py, "message.send"))?;
            convert::fill(&event, &message)?;
            list.append((event, Reply::new(sent)))?;
        }
        Ok(Some(list))
    }

    /// Ends `waiter`, a future of `events`' loop, when there is something to send, or nothing more to wait for.
    fn wait(&self, waiter: &Bound<'_, PyAny>, events: &EventLoop) -> PyResult<()> {
        {
            let mut asked = self.events.asked();
            if asked.sends.is_empty() && asked.outcome.is_none() {
                asked.waiter = Some((events.jobs(), waiter.clone().unbind()));
                return Ok(());
            }
        }
        finish(waiter, Ok(waiter.py().None()))
    }

    /// Gives the message up.
    fn cancel(&self) {
        let given_up = {
            let mut asked = self.events.asked();
            asked.is_over = true;
            (std::mem::take(&mut asked.sends), asked.waiter.take())
        };
        drop(given_up);
        if let Some(task) = &self.task {
            task.abort();
        }
    }

    /// The event that settles the message; None where there is none.
    fn settlement<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let event = PyDict::new(py);
        let kind = intern!(py, "type");
        match self.events.asked().outcome.take() {
            None | Some(Outcome::Unsettled) => return Ok(None),
            Some(Outcome::Nacked { reason, disposition }) => {
                event.set_item(kind, intern!(py, "message.nack"))?;
                event.set_item(intern!(py, "message"), reason.to_string())?;
                if self.tells_disposition {
                    tell(&event, disposition)?;
                }
            }
            Some(Outcome::Acked | Outcome::Discarded(_) | Outcome::DeadLettered(_)) => {
                event.set_item(kind, intern!(py, "message.ack"))?;
            }
        }
        Ok(Some(event))
    }
}

/// Adds to a `message.nack` what is to become of the message.
fn tell(event: &Bound<'_, PyDict>, disposition: Disposition) -> PyResult<()> {
    let py = event.py();
    let (word, delay) = match disposition {
        Disposition::Retry => ("retry", None),
        Disposition::RetryAfter(delay) => ("retry", Some(delay)),
        Disposition::DeadLetter => ("dead-letter", None),
        Disposition::Discard => ("discard", None),
    };
    event.set_item(intern!(py, "disposition"), PyString::intern(py, word))?;
    if let Some(delay) = delay {
        event.set_item(intern!(py, "delay"), delay.as_secs_f64())?;
    }
    Ok(())
}
