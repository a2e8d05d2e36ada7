//! Why telemetry could not be installed.

use std::{error::Error as StdError, io};

/// Why telemetry could not be installed. `?` turns it into an [`amgi::Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What is wrong with the environment, all of it.
    #[error("{}", .0.join("; "))]
    Config(Vec<String>),
    /// Nobody can listen there.
    #[error(
        "the health endpoint cannot listen on `{address}`: {source} (AMGI_TELEMETRY_LISTEN says another address)"
    )]
    Listen {
        /// `HOST:PORT`
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The endpoint is served by tokio, and there is no runtime.
    #[error(
        "the health endpoint needs a tokio runtime: install telemetry within one, such as under #[tokio::main]"
    )]
    NoRuntime,
    /// An exporter could not be made.
    #[error("exporter: {0}")]
    Exporter(#[source] Box<dyn StdError + Send + Sync>),
    /// `tracing` has a subscriber.
    #[error(
        "tracing has a subscriber already: leave it out, or use `build()` and put `Telemetry::tracing_layer` into it"
    )]
    Subscriber,
}

impl From<Error> for amgi::Error {
    fn from(error: Error) -> Self {
        Self::Config(format!("telemetry: {error}"))
    }
}
