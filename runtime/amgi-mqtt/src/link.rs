//! One connection: sockets, TLS, websockets, buffers, the handshake.

use std::{io, time::Instant};

use amgi::server::tls::explain;
use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    net::TcpStream,
    time::timeout,
};

use crate::{
    Version,
    config::Config,
    tls,
    websocket::WebSocket,
    wire::{self, ConnAck, Incoming, Outgoing, WireError},
};

/// A byte stream, through TLS and a websocket or not.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("{0}")]
    Io(io::Error),
    #[error("{0}")]
    Tls(String),
    #[error("no websocket: {0}")]
    WebSocket(String),
    #[error("{0}")]
    Wire(#[from] WireError),
    #[error("the broker closed the connection")]
    Closed,
    #[error("the broker refused the connection: {0}")]
    Refused(String),
    #[error("the broker did not answer as an MQTT broker does")]
    NoBroker,
    #[error("no answer within {0:?}")]
    Timeout(std::time::Duration),
    #[error("the broker ended the connection: {0}")]
    Ended(String),
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        match explain(&error) {
            Some(text) => Self::Tls(text),
            // TLS misses a goodbye, a websocket may, too.
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::Closed,
            None => Self::Io(error),
        }
    }
}

/// The half that reads. Its methods may be cancelled.
pub(crate) struct Reader {
    half: ReadHalf<Box<dyn Stream>>,
    buffer: BytesMut,
    version: Version,
    /// When something last came.
    pub(crate) last: Instant,
}

impl Reader {
    /// Waits for more bytes.
    pub(crate) async fn fill(&mut self) -> Result<(), LinkError> {
        if self.buffer.capacity() - self.buffer.len() < 4096 {
            self.buffer.reserve(16 * 1024);
        }
        if self.half.read_buf(&mut self.buffer).await? == 0 {
            return Err(LinkError::Closed);
        }
        self.last = Instant::now();
        Ok(())
    }

    /// The next packet, if it is here as a whole.
    pub(crate) fn packet(&mut self) -> Result<Option<Incoming>, LinkError> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        Ok(wire::decode(self.version, &mut self.buffer)?)
    }
}

/// The half that writes. Its methods may be cancelled.
pub(crate) struct Writer {
    half: WriteHalf<Box<dyn Stream>>,
    buffer: BytesMut,
    version: Version,
    /// Largest packet that the broker takes.
    pub(crate) most: Option<u32>,
    unflushed: bool,
    /// Bytes that were put in, that were given to the stream, and that the socket has, since the connection began.
    pub(crate) queued: u64,
    given: u64,
    pub(crate) written: u64,
    /// When something last left.
    pub(crate) last: Instant,
}

impl Writer {
    /// Puts a packet into the buffer. What is too large for the broker is an error and leaves the buffer as it was.
    pub(crate) fn put(&mut self, packet: &Outgoing<'_>) -> Result<(), WireError> {
        let before = self.buffer.len();
        wire::encode(self.version, packet, &mut self.buffer, self.most)?;
        self.queued += (self.buffer.len() - before) as u64;
        Ok(())
    }

    /// How many bytes wait.
    pub(crate) fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// Whether [`write`](Self::write) has something to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.buffer.is_empty() && !self.unflushed
    }

    /// Writes some of what waits.
    pub(crate) async fn write(&mut self) -> Result<(), LinkError> {
        if !self.unflushed && !self.buffer.is_empty() {
            let count = self.half.write_buf(&mut self.buffer).await?;
            if count == 0 {
                return Err(LinkError::Closed);
            }
            self.given += count as u64;
            self.unflushed = true;
            self.last = Instant::now();
        }
        // TLS and websockets have buffers of their own.
        self.half.flush().await?;
        self.unflushed = false;
        self.written = self.given;
        Ok(())
    }

    /// Writes all that waits and closes the connection.
    pub(crate) async fn finish(&mut self) -> Result<(), LinkError> {
        while !self.is_idle() {
            self.write().await?;
        }
        // All is said. A broker that has hung up already does not hear the goodbye of TLS or of the websocket.
        let _ = self.half.shutdown().await;
        Ok(())
    }
}

/// A connection that a broker has accepted.
pub(crate) struct Link {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
}

impl Link {
    /// Connects and introduces itself, within the connect timeout.
    pub(crate) async fn open(config: &Config) -> Result<(Self, ConnAck), LinkError> {
        timeout(config.connect_timeout, Self::handshake(config))
            .await
            .unwrap_or(Err(LinkError::Timeout(config.connect_timeout)))
    }

    async fn handshake(config: &Config) -> Result<(Self, ConnAck), LinkError> {
        let socket = TcpStream::connect((config.url.host.as_str(), config.url.port)).await?;
        // Acknowledgements are small and must not wait for one another.
        socket.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &config.tls {
            Some(tls) => Box::new(tls::connect(tls, &config.url.host, socket).await?),
            None => Box::new(socket),
        };
        let stream: Box<dyn Stream> = match &config.url.websocket {
            Some(path) => Box::new(WebSocket::open(&config.url, path, stream).await?),
            None => stream,
        };
        let (read, write) = tokio::io::split(stream);
        let now = Instant::now();
        let version = config.version;
        let mut link = Self {
            reader: Reader { half: read, buffer: BytesMut::with_capacity(16 * 1024), version, last: now },
            writer: Writer {
                half: write,
                buffer: BytesMut::with_capacity(4 * 1024),
                version,
                most: None,
                unflushed: false,
                queued: 0,
                given: 0,
                written: 0,
                last: now,
            },
        };
        link.writer.put(&Outgoing::Connect(&config.connect))?;
        while !link.writer.is_idle() {
            link.writer.write().await?;
        }
        loop {
            match link.reader.packet()? {
                None => link.reader.fill().await?,
                Some(Incoming::ConnAck(ConnAck { refused: Some(reason), .. })) => {
                    return Err(LinkError::Refused(reason));
                }
                Some(Incoming::ConnAck(ack)) => {
                    link.writer.most = ack.maximum_packet_size;
                    return Ok((link, ack));
                }
                Some(_) => return Err(LinkError::NoBroker),
            }
        }
    }
}
