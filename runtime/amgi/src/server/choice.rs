//! Which of the document's servers is meant, and what is on it.

use crate::{
    contract::{Application, ChannelInfo, ServerInfo},
    error::{Error, Result},
    protocol::ProtocolInfo,
};

/// The document's server that is meant: the one of that name, or the first that speaks the protocol; `None` when there is
/// none of the protocol and none is named.
///
/// # Errors
/// [`Error::Config`] when there is no server of that name, or it speaks another protocol.
pub fn document_server<'a, A: Application>(
    app: &'a A,
    protocol: &ProtocolInfo,
    name: Option<&str>,
) -> Result<Option<&'a ServerInfo>> {
    let speaks = |server: &ServerInfo| protocol.protocols.contains(&server.protocol);
    let Some(name) = name else { return Ok(app.servers().iter().find(|server| speaks(server))) };
    match app.servers().iter().find(|server| server.name == name) {
        Some(server) if speaks(server) => Ok(Some(server)),
        Some(server) => Err(Error::Config(format!(
            "server `{name}` of the document speaks {}, not {}",
            server.protocol, protocol.name
        ))),
        None => Err(Error::Config(format!("the document has no server `{name}`"))),
    }
}

/// Whether the document puts `channel` on `server`. Without a server, and where the document does not say it, it is.
pub fn is_on(channel: &ChannelInfo, server: Option<&ServerInfo>) -> bool {
    channel.servers.is_empty() || server.is_none_or(|server| channel.servers.contains(&server.name))
}
