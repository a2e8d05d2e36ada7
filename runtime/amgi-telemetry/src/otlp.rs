//! OTLP over HTTP, on `ureq`: its certificates are its own, and exporters have threads of their own in which it may block.

use std::{io::Read as _, time::Duration};

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithHttpConfig as _};
use ureq::Agent;

use crate::Error;

/// The most that is read of a collector's answer, in bytes.
const ANSWER: u64 = 1024 * 1024;

#[derive(Debug)]
struct Client(Agent);

impl Client {
    fn new(milliseconds: u64) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(Duration::from_millis(milliseconds)))
            // The exporter reads the status.
            .http_status_as_error(false)
            .build();
        Self(config.into())
    }
}

// What `async_trait` makes of the method.
impl HttpClient for Client {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let sent = || {
            let (parts, body) = request.into_parts();
            let answer = self.0.run(Request::from_parts(parts, &body[..]))?;
            let (parts, body) = answer.into_parts();
            let mut bytes = Vec::new();
            body.into_reader().take(ANSWER).read_to_end(&mut bytes)?;
            Ok(Response::from_parts(parts, bytes.into()))
        };
        Box::pin(std::future::ready(sent()))
    }
}

/// Sends spans to `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`.
pub(crate) fn spans(timeout: u64) -> Result<SpanExporter, Error> {
    let exporter = SpanExporter::builder().with_http().with_http_client(Client::new(timeout));
    exporter.build().map_err(|error| Error::Exporter(error.into()))
}

/// Sends metrics to `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`.
pub(crate) fn metrics(timeout: u64) -> Result<MetricExporter, Error> {
    let exporter = MetricExporter::builder().with_http().with_http_client(Client::new(timeout));
    exporter.build().map_err(|error| Error::Exporter(error.into()))
}
