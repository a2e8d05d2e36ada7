#![doc = include_str!("../README.md")]

#[cfg(feature = "health")]
mod endpoint;
mod error;
#[cfg(feature = "health")]
mod health;
mod logs;
mod metrics;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "prometheus")]
mod prometheus;
mod propagation;
mod sender;
mod settings;
mod telemetry;
mod trace;

pub use crate::{
    error::Error,
    telemetry::{Builder, Telemetry},
    trace::Trace,
};
/// The SDK that exporters and readers of your own are made for.
pub use opentelemetry_sdk;
