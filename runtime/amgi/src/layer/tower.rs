//! Layers of `tower`.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context as TaskContext, Poll},
};

use tower_service::Service;

use crate::{
    context::Context,
    contract::{Application, ChannelInfo, ServerInfo, Settlement, State},
    error::{Disposition, Failed, Reason, StartupError},
};

/// An application inside a layer of `tower`, see [`Application::tower_layer`].
///
/// The layer sees a service of [`Context`]; it answers with [`Settlement::Ack`] or [`Settlement::Unsettled`], and a message that
/// failed is the error [`Failed`], so that layers that look at errors, such as `tower::retry`, see them. Any other error of a
/// layer, such as `tower::timeout`'s, is a failure that is tried again.
///
/// The service is cloned for every message, and costs a box. Batches pass it one by one.
pub struct Tower<S, A> {
    app: Arc<A>,
    /// Services need not be `Sync`.
    service: Mutex<S>,
}

impl<S, A> Tower<S, A> {
    pub(crate) fn new<L>(layer: &L, app: A) -> Self
    where
        L: tower_layer::Layer<Next<A>, Service = S>,
    {
        let app = Arc::new(app);
        let service = Mutex::new(layer.layer(Next(app.clone())));
        Self { app, service }
    }
}

impl<S, A: fmt::Debug> fmt::Debug for Tower<S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tower").field("app", &self.app).finish_non_exhaustive()
    }
}

/// The application as a service: what a layer of `tower` wraps.
#[derive(Debug)]
pub struct Next<A>(Arc<A>);

impl<A> Clone for Next<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Application> Service<Context> for Next<A> {
    type Response = Settlement;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<Settlement, Failed>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, cx: Context) -> Self::Future {
        let app = self.0.clone();
        Box::pin(async move {
            match app.message(&cx).await {
                Settlement::Fail { disposition, reason } => Err(Failed { disposition, reason }),
                settlement => Ok(settlement),
            }
        })
    }
}

impl<S, A> Application for Tower<S, A>
where
    A: Application,
    S: Service<Context, Response = Settlement> + Clone + Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    S::Future: Send,
{
    fn channels(&self) -> &[ChannelInfo] {
        self.app.channels()
    }

    fn servers(&self) -> &[ServerInfo] {
        self.app.servers()
    }

    fn startup(&self, state: &mut State) -> impl Future<Output = Result<(), StartupError>> + Send {
        self.app.startup(state)
    }

    async fn message(&self, cx: &Context) -> Settlement {
        let mut service = self.service.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let answer = match poll_fn(|task| service.poll_ready(task)).await {
            Ok(()) => service.call(cx.clone()).await,
            Err(error) => Err(error),
        };
        answer.unwrap_or_else(|error| failed(error.into()).into())
    }

    fn shutdown(&self) -> impl Future<Output = Result<(), StartupError>> + Send {
        self.app.shutdown()
    }
}

fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> Failed {
    error.downcast::<Failed>().map_or_else(
        |error| Failed { disposition: Disposition::Retry, reason: Reason::Failed(error.to_string()) },
        |failed| *failed,
    )
}
