#![doc = include_str!("../README.md")]

mod config;
mod error;
mod event;
mod function;
mod kafka;
mod names;
mod notice;
mod runtime;
mod server;
mod sqs;
mod stream;

use amgi::{
    Application, Result,
    protocol::{Endpoint, Protocol, ProtocolInfo},
};

pub use crate::{error::EventError, function::Function, names::Mapping, server::Server};

/// Lambda for the command line of an application, see `amgi::cli`: `app run lambda`, or `app` alone where Lambda starts it.
pub fn protocol() -> Lambda {
    Lambda
}

/// What [`protocol`] gives.
#[derive(Debug, Clone, Copy)]
pub struct Lambda;

impl Protocol for Lambda {
    fn info(&self) -> &'static ProtocolInfo {
        &config::INFO
    }

    async fn serve<A: Application>(&self, app: A, endpoint: Endpoint) -> Result<()> {
        // Events come from where Lambda says, and it never runs beside itself.
        let Endpoint { url: _, values, stop, passing: _ } = endpoint;
        Server::new(app).stop(&stop).values(values).serve().await
    }

    fn only_receives(&self) -> bool {
        true
    }

    fn is_here(&self) -> bool {
        std::env::var_os(runtime::API).is_some()
    }
}
