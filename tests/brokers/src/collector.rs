//! A collector of OpenTelemetry that keeps what it is sent: OTLP over HTTP, as protobuf.

use std::{
    convert::Infallible,
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
};
use prost::Message as _;
use tokio::{net::TcpListener, task::JoinHandle};

/// A span that was exported.
#[derive(Debug, Clone)]
pub struct Span {
    /// `service.name` of the process that it is from.
    pub service: String,
    /// Its name.
    pub name: String,
    /// As hexadecimal digits.
    pub trace_id: String,
    /// As hexadecimal digits.
    pub span_id: String,
    /// As hexadecimal digits; empty where there is none.
    pub parent: String,
    /// 4 is a producer, 5 a consumer.
    pub kind: i32,
    attributes: Vec<KeyValue>,
}

impl Span {
    /// Value of a text attribute.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        text(&self.attributes, key)
    }
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let value = attributes.iter().find(|kv| kv.key == key)?.value.as_ref()?;
    match &value.value {
        Some(Value::StringValue(text)) => Some(text),
        _ => None,
    }
}

#[derive(Default)]
struct Kept {
    spans: Vec<Span>,
    metrics: Vec<(String, String)>,
}

/// Listens on a free port until it is dropped.
pub struct Collector {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    task: JoinHandle<()>,
}

impl Collector {
    /// Starts it.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let kept = Arc::<Mutex<Kept>>::default();
        let keeps = kept.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = keeps.clone();
                let service = service_fn(move |request| take(request, kept.clone()));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, kept, task }
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans that have come.
    pub fn spans(&self) -> Vec<Span> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).spans.clone()
    }

    /// Names of the metrics that have come from a service.
    pub fn metrics(&self, service: &str) -> Vec<String> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.metrics.iter().filter(|(from, _)| from == service).map(|(_, name)| name.clone()).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(
    request: Request<Incoming>,
    kept: Arc<Mutex<Kept>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    let read = body.ok().and_then(|body| keep(&path, &body, &kept));
    let mut response = Response::new(Full::default());
    *response.status_mut() = if read.is_some() { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    Ok(response)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn keep(path: &str, body: &[u8], kept: &Mutex<Kept>) -> Option<()> {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let service = |resource: Option<&opentelemetry_proto::tonic::resource::v1::Resource>| {
        text(&resource?.attributes, "service.name").map(str::to_owned)
    };
    match path {
        "/v1/traces" => {
            for resource in ExportTraceServiceRequest::decode(body).ok()?.resource_spans {
                let service = service(resource.resource.as_ref())?;
                for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                    kept.spans.push(Span {
                        service: service.clone(),
                        name: span.name,
                        trace_id: hex(&span.trace_id),
                        span_id: hex(&span.span_id),
                        parent: hex(&span.parent_span_id),
                        kind: span.kind,
                        attributes: span.attributes,
                    });
                }
            }
        }
        "/v1/metrics" => {
            for resource in ExportMetricsServiceRequest::decode(body).ok()?.resource_metrics {
                let service = service(resource.resource.as_ref())?;
                for metric in resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
                    kept.metrics.push((service.clone(), metric.name));
                }
            }
        }
        _ => return None,
    }
    Some(())
}
