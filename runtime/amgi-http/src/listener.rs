//! Connections: accepted, limited in number and patience, and ended well.

use std::{io, sync::Arc, time::Duration};

use amgi::{Error, Result};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::{BrokerError, config::Config, tls};

/// How long to wait when no connection can be accepted, such as for too many open files.
const PAUSE: Duration = Duration::from_millis(100);
/// How long answers may take to be read when the server ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where requests come in.
pub(crate) struct Listener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
    room: Arc<Semaphore>,
    patience: Duration,
    graceful: GracefulShutdown,
    connections: JoinSet<()>,
}

impl Listener {
    /// Listens at `address`. Nothing is accepted yet.
    pub(crate) async fn open(address: &str, config: &Config) -> Result<Self> {
        let tls = config.listen_tls.as_ref().map(tls::acceptor).transpose()?;
        let socket = TcpListener::bind(address).await.map_err(|error| {
            Error::Broker(Box::new(BrokerError(format!("cannot listen at {address}: {error}"))))
        })?;
        Ok(Self {
            socket,
            tls,
            room: Arc::new(Semaphore::new(config.connections)),
            patience: config.read_timeout,
            graceful: GracefulShutdown::new(),
            connections: JoinSet::new(),
        })
    }

    pub(crate) fn address(&self) -> io::Result<std::net::SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts connections until it is dropped.
    pub(crate) async fn accept(&mut self, router: &Router) {
        loop {
            // It is never closed.
            let Ok(permit) = self.room.clone().acquire_owned().await else { return };
            let stream = loop {
                tokio::select! {
                    accepted = self.socket.accept() => match accepted {
                        Ok((stream, _)) => break stream,
                        Err(error) => {
                            warn!(%error, "no connection could be accepted");
                            sleep(PAUSE).await;
                        }
                    },
                    Some(_) = self.connections.join_next() => {}
                }
            };
            let (tls, router, patience) = (self.tls.clone(), router.clone(), self.patience);
            let watcher = self.graceful.watcher();
            self.connections.spawn(async move {
                if let Err(error) = connection(stream, tls, router, patience, watcher).await {
                    debug!(%error, "a connection failed");
                }
                drop(permit);
            });
        }
    }

    /// Lets answers be read that are on their way, and ends all connections.
    pub(crate) async fn close(self) {
        let Self { socket, graceful, mut connections, .. } = self;
        drop(socket);
        if timeout(LAST_WORDS, graceful.shutdown()).await.is_err() {
            warn!("some answers may not have arrived");
        }
        connections.shutdown().await;
    }
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    router: Router,
    patience: Duration,
    watcher: Watcher,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match tls {
        None => speak(stream, router, patience, watcher).await,
        Some(tls) => {
            let stream = timeout(patience, tls.accept(stream)).await;
            speak(stream.map_err(|_| io::ErrorKind::TimedOut)??, router, patience, watcher).await
        }
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    patience: Duration,
    watcher: Watcher,
) -> io::Result<()> {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    watcher.watch(connection).await.map_err(io::Error::other)
}
