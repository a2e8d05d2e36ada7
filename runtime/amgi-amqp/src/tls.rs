//! TLS, by rustls.

use std::{io, path::PathBuf};

use amgi::{Result, server::tls};
use lapin::{
    Connection, ConnectionProperties, ErrorKind, runtime,
    tcp::{AMQPUriTcpExt as _, RustlsConnector},
    uri::{AMQPScheme, AMQPUri},
};

use crate::link::LinkError;

/// That connections are encrypted, and how.
#[derive(Debug, Clone)]
pub(crate) struct Tls(tls::Tls);

impl Tls {
    /// Of the files with authorities, certificate and key.
    pub(crate) fn new([ca, certificate, key]: [Option<PathBuf>; 3]) -> Result<Self> {
        tls::Tls::new(ca, certificate, key).map(Self)
    }

    /// Connects, with the certificates of those files and no others: lapin by itself adds them to a list of its own.
    pub(crate) async fn connect(
        &self,
        uri: AMQPUri,
        properties: ConnectionProperties,
    ) -> Result<Connection, LinkError> {
        let connector = RustlsConnector::from(self.0.config().await.map_err(io::Error::other)?);
        let encrypt = async move |uri: AMQPUri, runtime| {
            let plain = AMQPUri { scheme: AMQPScheme::AMQP, ..uri.clone() };
            let stream = plain.connect_async(&runtime).await?;
            Ok(stream.into_rustls(&connector, &uri.authority.host).await?)
        };
        let connected = Connection::connector(uri, runtime::default_runtime()?, encrypt, properties).await;
        connected.map_err(|error| self.explain(error))
    }

    fn explain(&self, error: lapin::Error) -> LinkError {
        let explained = match error.kind() {
            ErrorKind::IOError(io) => self.0.explain(io),
            _ => None,
        };
        explained.map_or(LinkError::Broker(error), |text| io::Error::other(text).into())
    }
}
