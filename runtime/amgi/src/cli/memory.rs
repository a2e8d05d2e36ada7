//! The in-memory server as a protocol like any other.

use crate::{
    Result,
    contract::Application,
    memory::Server,
    protocol::{Endpoint, Protocol, ProtocolInfo},
};

/// Delivers JSON lines of standard input, or the document's examples.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Memory {
    pub(super) examples: bool,
}

pub(super) static INFO: ProtocolInfo =
    ProtocolInfo { name: "memory", protocols: &["memory"], schemes: &["memory"], options: &[] };

impl Protocol for Memory {
    fn info(&self) -> &'static ProtocolInfo {
        &INFO
    }

    async fn serve<A: Application>(&self, app: A, endpoint: Endpoint) -> Result<()> {
        let server = Server::new(app).stop(&endpoint.stop);
        let server = if self.examples { server.examples() } else { server };
        server.serve().await
    }
}
