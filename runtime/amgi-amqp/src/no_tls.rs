//! What there is without the feature `tls`: nothing that could be encrypted.

use std::{future::Ready, path::PathBuf};

use amgi::{Error, Result};
use lapin::{Connection, ConnectionProperties, uri::AMQPUri};

use crate::link::LinkError;

/// That connections are encrypted: never.
#[derive(Debug, Clone)]
pub(crate) enum Tls {}

impl Tls {
    pub(crate) fn new(_files: [Option<PathBuf>; 3]) -> Result<Self> {
        Err(Error::Config("TLS needs the feature `tls` of amgi-amqp".to_owned()))
    }

    pub(crate) fn connect(
        &self,
        _: AMQPUri,
        _: ConnectionProperties,
    ) -> Ready<Result<Connection, LinkError>> {
        match *self {}
    }
}
