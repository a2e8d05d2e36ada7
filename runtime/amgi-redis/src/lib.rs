#![doc = include_str!("../README.md")]

mod config;
mod fields;
mod fresh;
mod idempotency;
mod lane;
mod link;
mod parts;
mod place;
mod pubsub;
mod replies;
mod resp;
mod routes;
mod running;
mod sender;
mod server;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
mod wire;

use amgi::{
    Application, Result,
    protocol::{Endpoint, Protocol, ProtocolInfo},
};

/// The client that the store is made on.
pub use redis;

pub use crate::{
    config::Start,
    fields::Fields,
    idempotency::IdempotencyStore,
    routes::{Mapping, Via},
    server::Server,
};

/// Redis for the command line of an application, see `amgi::cli`.
pub fn protocol() -> Redis {
    Redis
}

/// What [`protocol`] gives.
#[derive(Debug, Clone, Copy)]
pub struct Redis;

impl Protocol for Redis {
    fn info(&self) -> &'static ProtocolInfo {
        &config::INFO
    }

    async fn serve<A: Application>(&self, app: A, endpoint: Endpoint) -> Result<()> {
        // One that is only passing receives nothing but replies, for which there are no groups: it is in nobody's way.
        let Endpoint { url, values, stop, passing: _ } = endpoint;
        let mut server = Server::new(app).stop(&stop);
        if let Some(url) = url {
            server = server.url(url);
        }
        server.values(values).serve().await
    }
}
