//! What there is without the feature `tls`: nothing that could be encrypted.

use std::{future::Ready, io, path::PathBuf};

use amgi::{Error, Result};
use tokio::net::TcpStream;

use crate::{place::Socket, wire::Lost};

/// That a connection is encrypted: never.
#[derive(Debug)]
pub(crate) enum Tls {}

impl Tls {
    pub(crate) fn new(_insecure: bool, _files: [Option<PathBuf>; 3]) -> Result<Self> {
        Err(Error::Config("TLS needs the feature `tls` of amgi-redis".to_owned()))
    }

    pub(crate) fn connect(&self, _socket: TcpStream, _host: &str) -> Ready<Result<Box<dyn Socket>, Lost>> {
        match *self {}
    }
}

/// There is no error of TLS.
pub(crate) fn explained(error: io::Error) -> io::Error {
    error
}
