//! Metrics in Prometheus' text format.

use std::sync::Arc;

use opentelemetry_prometheus::PrometheusExporter;
use prometheus::{Encoder as _, Registry, TextEncoder};

use crate::{Error, endpoint::Metrics};

/// What collects metrics, and what gives them to the endpoint.
pub(crate) fn reader() -> Result<(PrometheusExporter, Metrics), Error> {
    let registry = Registry::new();
    let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build();
    let exporter = exporter.map_err(|error| Error::Exporter(error.into()))?;
    let text = move || {
        let mut body = Vec::new();
        TextEncoder::new().encode(&registry.gather(), &mut body).map_err(|error| error.to_string())?;
        Ok((prometheus::TEXT_FORMAT, body))
    };
    Ok((exporter, Arc::new(text)))
}
