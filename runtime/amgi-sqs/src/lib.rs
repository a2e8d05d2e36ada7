#![doc = include_str!("../README.md")]

mod batch;
mod config;
mod lane;
mod link;
mod message;
mod outbox;
mod place;
mod poller;
mod queue;
mod routes;
mod running;
mod server;
mod startup;
mod url;

use amgi::{
    Application, Result,
    protocol::{Endpoint, Protocol, ProtocolInfo},
};

pub use crate::{place::Mapping, server::Server};

/// SQS for the command line of an application, see `amgi::cli`.
pub fn protocol() -> Sqs {
    Sqs
}

/// What [`protocol`] gives.
#[derive(Debug, Clone, Copy)]
pub struct Sqs;

impl Protocol for Sqs {
    fn info(&self) -> &'static ProtocolInfo {
        &config::INFO
    }

    async fn serve<A: Application>(&self, app: A, endpoint: Endpoint) -> Result<()> {
        // One that is only passing receives nothing but replies, from a queue of its own.
        let Endpoint { url, values, stop, passing: _ } = endpoint;
        let mut server = Server::new(app).stop(&stop);
        if let Some(url) = url {
            server = server.url(url);
        }
        server.values(values).serve().await
    }
}
