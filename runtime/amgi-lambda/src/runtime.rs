//! Lambda's runtime API: events in, answers out, and the end of the process.
//!
//! What must hold: an event that was taken is answered before the process ends.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use amgi::{Application, Error, Result, server::Stop};
use lambda_runtime::{
    Diagnostic, LambdaEvent, LambdaInvocation, Runtime, service_fn,
    tower::{Layer, Service},
};
use lambda_runtime_api_client::{BoxError, PooledClient, body::Body, build_request};
use serde_json::value::RawValue;
use tokio::{sync::Mutex, task::AbortHandle};
use tracing::{debug, info, warn};

use crate::function::Function;

/// Where the runtime API is.
pub(crate) const API: &str = "AWS_LAMBDA_RUNTIME_API";
/// What else Lambda says, and its runtime does not do without.
const OTHERS: [&str; 3] =
    ["AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION"];

/// Whether Lambda has started this process.
pub(crate) fn check_environment() -> Result<()> {
    check(|name| std::env::var(name).ok())
}

fn check(lookup: impl Fn(&str) -> Option<String>) -> Result<()> {
    let Some(api) = lookup(API) else {
        return Err(Error::Config(format!(
            "{API} is not set: this runs where AWS Lambda starts it, or an emulator such as `cargo lambda watch`"
        )));
    };
    let missing: Vec<&str> = OTHERS.into_iter().filter(|name| lookup(name).is_none()).collect();
    if !missing.is_empty() {
        return Err(Error::Config(format!("{API} is set, but not {}", missing.join(", "))));
    }
    if lookup(OTHERS[1]).is_none_or(|memory| memory.parse::<i32>().is_err()) {
        return Err(Error::Config(format!("{} is no number of megabytes", OTHERS[1])));
    }
    let request = build_request().uri(&api).body(());
    if !request.is_ok_and(|request| request.uri().authority().is_some()) {
        return Err(Error::Config(format!("{API}: `{api}` is no place, such as 127.0.0.1:9001")));
    }
    Ok(())
}

/// An extension within the process, which wants to hear of nothing: a process that has one is sent SIGTERM before it ends.
pub(crate) struct Extension(Option<AbortHandle>);

impl Extension {
    pub(crate) async fn register() -> Self {
        match Self::registered().await {
            Ok(task) => Self(Some(task)),
            Err(error) => {
                info!(%error, "no extension: Lambda will end this process without a signal");
                Self(None)
            }
        }
    }

    async fn registered() -> Result<AbortHandle, BoxError> {
        const IDENTIFIER: &str = "lambda-extension-identifier";
        let client = PooledClient::builder().build();
        let request = build_request()
            .method("POST")
            .uri("/2020-01-01/extension/register")
            .header("lambda-extension-name", "amgi")
            .header("content-type", "application/json")
            .body(Body::from(r#"{"events":[]}"#))?;
        let answer = client.call(request).await?;
        let identifier = answer.headers().get(IDENTIFIER).cloned();
        let (true, Some(identifier)) = (answer.status().is_success(), identifier) else {
            return Err(format!("it was not registered: {}", answer.status()).into());
        };
        // Asking for the first event says that it has started; none comes.
        let request = build_request()
            .uri("/2020-01-01/extension/event/next")
            .header(IDENTIFIER, identifier)
            .body(Body::empty())?;
        let next = client.call(request);
        let task = tokio::spawn(async move {
            let answer = next.await;
            debug!(?answer, "the extension is done");
        });
        Ok(task.abort_handle())
    }
}

impl Drop for Extension {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Tells Lambda why nothing has started.
pub(crate) async fn report(error: &Error) {
    let body = serde_json::json!({ "errorType": "Init.Failed", "errorMessage": error.to_string() });
    let request = build_request()
        .method("POST")
        .uri("/2018-06-01/runtime/init/error")
        .header("content-type", "application/json")
        .header("lambda-runtime-function-error-type", "Init.Failed")
        .body(Body::from(body.to_string()));
    match request {
        Ok(request) => match PooledClient::builder().build().call(request).await {
            Ok(answer) => debug!(status = %answer.status(), "told Lambda that startup failed"),
            Err(error) => warn!(%error, "Lambda could not be told that startup failed"),
        },
        Err(error) => warn!(%error, "Lambda could not be told that startup failed"),
    }
}

/// Handles events until a stop is asked for.
pub(crate) async fn run<A: Application>(function: Arc<Function<A>>, stop: &Stop) -> Result<()> {
    let busy = Arc::new(Mutex::new(()));
    let idle = async {
        stop.requested().await;
        info!("stopping: answering what was asked");
        busy.lock().await
    };
    tokio::select! {
        ended = answering(function, &busy) => ended.map_err(Error::Broker),
        _idle = idle => Ok(()),
    }
}

type Running = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// Asks for events and answers them, until that fails. `busy` is held meanwhile.
fn answering<A: Application>(function: Arc<Function<A>>, busy: &Arc<Mutex<()>>) -> Running {
    let started = SystemTime::now();
    let handler = service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let function = function.clone();
        async move {
            let LambdaEvent { payload, context } = event;
            let left = left(context.deadline(), started);
            let answer = function.invoke(payload.get().as_bytes(), left).await.map_err(|error| {
                warn!(request_id = context.request_id, %error, "the invocation fails");
                Diagnostic { error_type: error.kind().to_owned(), error_message: error.to_string() }
            })?;
            // What was made here is JSON.
            RawValue::from_string(answer).map_err(|error| Diagnostic::from(error.to_string()))
        }
    });
    Box::pin(Runtime::new(handler).layer(Answered(busy.clone())).run())
}

/// The time until a deadline. One that is before the process is none: `cargo lambda watch` gives a length of time for it.
fn left(deadline: SystemTime, started: SystemTime) -> Duration {
    if deadline < started {
        return Duration::MAX;
    }
    deadline.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO)
}

/// Holds a lock from an event to its answer.
struct Answered(Arc<Mutex<()>>);

impl<S> Layer<S> for Answered {
    type Service = Answering<S>;

    fn layer(&self, inner: S) -> Answering<S> {
        Answering { inner, busy: self.0.clone() }
    }
}

struct Answering<S> {
    inner: S,
    busy: Arc<Mutex<()>>,
}

impl<S> Service<LambdaInvocation> for Answering<S>
where
    S: Service<LambdaInvocation, Response = (), Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = BoxError;
    type Future = Running;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
        // Nobody else has it, but who waits for the end.
        let held = self.busy.clone().try_lock_owned();
        let answered = self.inner.call(invocation);
        Box::pin(async move {
            let _held = held;
            answered.await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_may_be_none() {
        let second = Duration::from_secs(1);
        let started = SystemTime::now() - 10 * second;
        assert_eq!(left(SystemTime::UNIX_EPOCH + 600 * second, started), Duration::MAX);
        assert_eq!(left(started + second, started), Duration::ZERO, "it is over");
        let left = left(SystemTime::now() + 5 * second, started);
        assert!(left > 4 * second && left <= 5 * second, "{left:?}");
    }
}
