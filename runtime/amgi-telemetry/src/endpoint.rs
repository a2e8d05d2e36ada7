//! The HTTP endpoint: `/health/live`, `/health/ready`, and `/metrics` for Prometheus. It is served by the runtime of the
//! application, so that one that hangs is not alive.

use std::{
    convert::Infallible,
    net::{SocketAddr, TcpListener, ToSocketAddrs as _},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener as Listener, task::JoinHandle};
use tracing::debug;

use crate::{
    Error,
    health::{Health, Readiness},
};

/// How long a client may take for the head of its request.
const PATIENCE: Duration = Duration::from_secs(10);

/// What `/metrics` answers: media type and text.
pub(crate) type Metrics = Arc<dyn Fn() -> Result<(&'static str, Vec<u8>), String> + Send + Sync>;

/// Listens until it is dropped.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Endpoint {
    /// Listens on `HOST:PORT`, within a tokio runtime. There is no `/metrics` where nobody counts for it.
    pub(crate) fn start(address: &str, health: Arc<Health>, metrics: Option<Metrics>) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address: address.to_owned(), source };
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| Error::NoRuntime)?;
        let addresses: Vec<SocketAddr> = address.to_socket_addrs().map_err(failed)?.collect();
        let listener = TcpListener::bind(&addresses[..]).map_err(failed)?;
        let address_found = listener.local_addr().map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = Listener::from_std(listener).map_err(failed)?;
        let task = runtime.spawn(serve(listener, health, metrics));
        Ok(Self { address: address_found, task })
    }
}

async fn serve(listener: Listener, health: Arc<Health>, metrics: Option<Metrics>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Such as too many open files: it may pass.
                debug!(%error, "the health endpoint could not accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (health, metrics) = (health.clone(), metrics.clone());
        tokio::spawn(async move {
            let answer = service::service_fn(|request| {
                let answer = answer(&request, &health, metrics.as_ref());
                async move { Ok::<_, Infallible>(answer) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            if let Err(error) = http.serve_connection(TokioIo::new(stream), answer).await {
                debug!(%error, "a connection to the health endpoint failed");
            }
        });
    }
}

fn answer(request: &Request<Incoming>, health: &Health, metrics: Option<&Metrics>) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    match (request.uri().path(), metrics) {
        ("/health/live", _) => text(StatusCode::OK, "alive\n"),
        ("/health/ready", _) => match health.readiness() {
            Readiness::Ready => text(StatusCode::OK, "ready\n"),
            Readiness::NotStarted => text(StatusCode::SERVICE_UNAVAILABLE, "not started\n"),
            Readiness::Stopping => text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
        },
        ("/metrics", Some(metrics)) => match metrics() {
            Ok((kind, body)) => response(StatusCode::OK, kind, body),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error + "\n"),
        },
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /health/live, /health/ready, and /metrics for Prometheus\n",
        ),
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", text)
}

fn response(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
