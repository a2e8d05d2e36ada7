//! What lives as long as one message: values that are made when somebody asks for them, sends that wait for the handler's
//! success, and the clean-up after it.
//!
//! What must stay true: a message for which nothing of this was used costs nothing; clean-up runs once an attempt, in the
//! reverse order of making, also after a panic or a timeout.

use std::{
    any::{Any, TypeId},
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use tokio::sync::OnceCell;
use tracing::{Span, warn};

use crate::{
    context::Context,
    contract::{Message, MessageSend, Settlement},
    error::{Failed, HandlerError},
    layer::caught,
    sender::{SendFuture, join},
};

#[diagnostic::on_unimplemented(
    message = "`{Self}` is not made for each message",
    note = "implement `amgi::Dependency` for it; what lives longer is a field of the handler, or in `Context::state`"
)]
/// A value that lives as long as one message: a transaction, the user who is meant, a deadline.
///
/// [`Context::get`] makes it the first time it is asked for, and gives the same value to everybody who asks for it during
/// the attempt. `create` may ask for other dependencies. What lives longer is a field of the handler.
///
/// ```
/// # use amgi::{Context, Dependency, Failure, Settlement};
/// # struct Pool;
/// # impl Pool {
/// #     async fn begin(&self) -> Result<(), std::io::Error> { Ok(()) }
/// #     async fn commit(&self) -> Result<(), std::io::Error> { Ok(()) }
/// #     async fn roll_back(&self) -> Result<(), std::io::Error> { Ok(()) }
/// # }
/// struct Transaction(std::sync::Arc<Pool>);
///
/// impl Dependency for Transaction {
///     type Error = Failure;
///
///     async fn create(cx: &Context) -> Result<Self, Failure> {
///         let pool = cx.state().get::<std::sync::Arc<Pool>>().ok_or_else(|| Failure::msg("no pool"))?;
///         pool.begin().await?;
///         Ok(Self(pool.clone()))
///     }
///
///     async fn finish(&self, _: &Context, settlement: &Settlement) -> Result<(), Failure> {
///         match settlement {
///             Settlement::Ack => self.0.commit().await?,
///             _ => self.0.roll_back().await?,
///         }
///         Ok(())
///     }
/// }
///
/// # async fn handler(cx: &Context) -> Result<(), Failure> {
/// // in a handler:
/// let transaction = cx.get::<Transaction>().await?;
/// # Ok(())
/// # }
/// ```
pub trait Dependency: Sized + Send + Sync + 'static {
    /// What making it or cleaning up fails with; the message is settled by it.
    type Error: HandlerError;

    /// Makes the value for the message of `cx`.
    fn create(cx: &Context) -> impl Future<Output = Result<Self, Self::Error>> + Send;

    /// Cleans up after the handler, which left the message as `settlement` says. The last that was made is the first to be
    /// cleaned up. A failure settles a message that would have been acknowledged otherwise, and those that are still to be
    /// cleaned up see that.
    fn finish(
        &self,
        cx: &Context,
        settlement: &Settlement,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = (cx, settlement);
        async { Ok(()) }
    }
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A dependency that was made, its type forgotten.
trait Made: Send + Sync {
    fn finish<'a>(&'a self, cx: &'a Context, settlement: &'a Settlement)
    -> BoxFuture<'a, Result<(), Failed>>;
}

impl<T: Dependency> Made for T {
    fn finish<'a>(
        &'a self,
        cx: &'a Context,
        settlement: &'a Settlement,
    ) -> BoxFuture<'a, Result<(), Failed>> {
        Box::pin(async move { Dependency::finish(self, cx, settlement).await.map_err(|e| Failed::new(&e)) })
    }
}

/// What one attempt at a message has used. Shared by the clones of its context.
#[derive(Default)]
pub(crate) struct Local {
    /// Whether there is anything to finish.
    used: AtomicBool,
    /// Attempts before this one.
    failures: AtomicU32,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// A [`OnceCell`] of an `Arc` a type.
    cells: Vec<(TypeId, Arc<dyn Any + Send + Sync>)>,
    made: Vec<Arc<dyn Made>>,
    sends: Vec<Kept>,
}

/// A send that waits for success.
struct Kept {
    sender: Arc<dyn MessageSend>,
    /// On which of the document's servers.
    servers: &'static [&'static str],
    message: Message,
    /// Where it was asked for: the span of the message is left by the time it is sent.
    span: Span,
}

impl Kept {
    fn send(&self) -> SendFuture<'_> {
        self.span.in_scope(|| self.sender.send_on(self.servers, self.message.clone()))
    }
}

impl Local {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.used.store(true, Ordering::Relaxed);
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is anything to finish. The application and its server ask from one task, which orders the memory.
    #[inline]
    pub(crate) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(crate) fn set_failures(&self, failures: u32) {
        self.failures.store(failures, Ordering::Relaxed);
    }

    /// Whether anything of this message is left that another one must not see.
    #[inline]
    pub(crate) fn is_touched(&self) -> bool {
        self.is_used() || self.failures() > 0
    }

    pub(crate) fn push_send(
        &self,
        sender: Arc<dyn MessageSend>,
        servers: &'static [&'static str],
        message: Message,
    ) {
        self.lock().sends.push(Kept { sender, servers, message, span: Span::current() });
    }

    pub(crate) async fn get<T: Dependency>(&self, cx: &Context) -> Result<Arc<T>, Failed> {
        // A value of that type in the state is taken instead: that is how tests replace a dependency.
        if let Some(given) = cx.state().get::<Arc<T>>() {
            return Ok(given.clone());
        }
        let value = self.cell::<T>().get_or_try_init(|| self.make(cx)).await?.clone();
        Ok(value)
    }

    /// Makes a value of its own, which is cleaned up like all others.
    pub(crate) async fn make<T: Dependency>(&self, cx: &Context) -> Result<Arc<T>, Failed> {
        let value = Arc::new(T::create(cx).await.map_err(|error| Failed::new(&error))?);
        self.lock().made.push(value.clone());
        Ok(value)
    }

    fn cell<T: Dependency>(&self) -> Arc<OnceCell<Arc<T>>> {
        let mut inner = self.lock();
        let known = inner.cells.iter().find(|(id, _)| *id == TypeId::of::<T>());
        if let Some(cell) = known.and_then(|(_, cell)| cell.clone().downcast().ok()) {
            return cell;
        }
        let cell = Arc::<OnceCell<Arc<T>>>::default();
        inner.cells.push((TypeId::of::<T>(), cell.clone()));
        cell
    }

    /// Sends what waited for success, then cleans up; how the message is settled after that.
    #[cold]
    pub(crate) async fn finish(&self, cx: &Context, mut settlement: Settlement) -> Settlement {
        let sends = std::mem::take(&mut self.lock().sends);
        if settlement == Settlement::Ack && !sends.is_empty() {
            let sent = join(sends.iter().map(Kept::send)).await;
            if let Err(error) = sent {
                settlement = Failed::new(&error).into();
            }
        }
        loop {
            // Cleaning up may ask for something that has to be cleaned up itself.
            let Some(made) = self.lock().made.pop() else { break };
            // One that panics does not keep the others from it.
            let finished = match caught(made.finish(cx, &settlement)).await {
                Ok(Ok(())) => continue,
                Ok(Err(failed)) => failed.into(),
                Err(panicked) => panicked,
            };
            if settlement == Settlement::Ack {
                settlement = finished;
            } else {
                warn!(address = cx.address(), ?finished, "a dependency could not be cleaned up");
            }
        }
        self.lock().cells.clear();
        self.used.store(false, Ordering::Relaxed);
        settlement
    }
}
