//! TLS, by rustls.

use std::{io, path::PathBuf};

use amgi::{
    Result,
    server::tls::{self, server_name},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{place::Socket, wire::Lost};

/// That a connection is encrypted, and how.
#[derive(Debug)]
pub(crate) struct Tls(tls::Tls);

impl Tls {
    /// `insecure` (`#insecure` in a URL) trusts whoever answers.
    pub(crate) fn new(insecure: bool, [ca, certificate, key]: [Option<PathBuf>; 3]) -> Result<Self> {
        if insecure { tls::Tls::insecure(certificate, key) } else { tls::Tls::new(ca, certificate, key) }
            .map(Self)
    }

    /// Encrypts a connection to `host`.
    pub(crate) async fn connect(&self, socket: TcpStream, host: &str) -> Result<Box<dyn Socket>, Lost> {
        let failed = |text| Lost::Io(io::Error::other(text));
        let name = server_name(host).map_err(failed)?;
        let connector = TlsConnector::from(self.0.config().await.map_err(failed)?);
        match connector.connect(name, socket).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(self.0.explain(&error).map_or(Lost::Io(error), failed)),
        }
    }
}

/// The error in words, where it is one of TLS: a certificate may be refused after the handshake.
pub(crate) fn explained(error: io::Error) -> io::Error {
    tls::explain(&error).map_or(error, io::Error::other)
}
