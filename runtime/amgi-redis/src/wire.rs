//! A connection of one's own: what is asked is answered in order, and nothing is read unless somebody wants it.
//!
//! The client of the crate `redis` reads ahead in a task of its own. That is right for sends, and wrong here: a blocking read
//! would hold up what comes behind it, and published messages would pile up in memory instead of at the broker.

use std::{io, time::Duration};

use redis::{Cmd, ConnectionInfo, cmd};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::{
    place::Socket,
    resp::{Decoder, Malformed, Reply},
    tls,
};

/// Room for a read.
const ROOM: usize = 64 * 1024;

/// Why a connection is of no use any more, or a command was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error(transparent)]
    Io(io::Error),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// What Redis says.
    #[error("{0}")]
    Refused(String),
    /// What Redis says while it starts, or another server has the key: a new connection may help.
    #[error("{0}")]
    Elsewhere(String),
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        Self::Io(tls::explained(error))
    }
}

impl Lost {
    /// What an error of Redis means.
    pub(crate) fn of(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text).into_owned();
        let code = text.split(' ').next().unwrap_or_default();
        match code {
            "MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN" | "LOADING" | "MASTERDOWN" | "READONLY" => {
                Self::Elsewhere(text)
            }
            _ => Self::Refused(text),
        }
    }

    /// Whether Redis says that, such as `NOGROUP`.
    pub(crate) fn is(&self, code: &str) -> bool {
        matches!(self, Self::Refused(text) if text.starts_with(code))
    }
}

pub(crate) struct Wire {
    socket: Box<dyn Socket>,
    decoder: Decoder,
    patience: Duration,
}

impl Wire {
    /// Logs in.
    pub(crate) async fn login(
        socket: Box<dyn Socket>,
        info: &ConnectionInfo,
        patience: Duration,
    ) -> Result<Self, Lost> {
        let mut wire = Self { socket, decoder: Decoder::default(), patience };
        let redis = info.redis_settings();
        if let Some(password) = redis.password() {
            let mut auth = cmd("AUTH");
            if let Some(user) = redis.username() {
                auth.arg(user);
            }
            wire.call(auth.arg(password)).await?;
        }
        if redis.db() != 0 {
            wire.call(cmd("SELECT").arg(redis.db())).await?;
        }
        Ok(wire)
    }

    /// Asks one thing; what Redis refuses is an error.
    pub(crate) async fn call(&mut self, command: &Cmd) -> Result<Reply, Lost> {
        self.write(&command.get_packed_command()).await?;
        match self.read(self.patience).await? {
            Reply::Error(text) => Err(Lost::of(&text)),
            reply => Ok(reply),
        }
    }

    /// Writes packed commands.
    pub(crate) async fn write(&mut self, commands: &[u8]) -> Result<(), Lost> {
        let written = timeout(self.patience, self.socket.write_all(commands)).await;
        Ok(written.map_err(|_| Lost::Timeout(self.patience))??)
    }

    /// The next answer, whatever it is.
    pub(crate) async fn read(&mut self, patience: Duration) -> Result<Reply, Lost> {
        if let Some(reply) = self.decoder.next()? {
            return Ok(reply);
        }
        timeout(patience, self.next()).await.map_err(|_| Lost::Timeout(patience))?
    }

    /// The next answer, however long it takes. Nothing is lost when it is dropped.
    pub(crate) async fn next(&mut self) -> Result<Reply, Lost> {
        loop {
            if let Some(reply) = self.decoder.next()? {
                return Ok(reply);
            }
            let buffer = &mut self.decoder.buffer;
            if buffer.capacity() - buffer.len() < ROOM / 8 {
                buffer.reserve(ROOM);
            }
            if self.socket.read_buf(buffer).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}
