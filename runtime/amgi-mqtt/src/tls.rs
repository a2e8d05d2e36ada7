//! A connection over TLS.

use amgi::server::tls::{Tls, server_name};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::link::LinkError;

/// Speaks TLS with `host` over `stream`.
pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    tls: &Tls,
    host: &str,
    stream: S,
) -> Result<TlsStream<S>, LinkError> {
    let name = server_name(host).map_err(LinkError::Tls)?;
    let connector = TlsConnector::from(tls.config().await.map_err(LinkError::Tls)?);
    connector.connect(name, stream).await.map_err(|error| match tls.explain(&error) {
        Some(text) => LinkError::Tls(text),
        None => error.into(),
    })
}
