//! Websockets before a broker, which Debian's mosquitto does not speak: another implementation than that of the server under test.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        http::StatusCode,
    },
};

/// Takes bytes out of websockets and gives them to a broker, and the other way round.
pub struct WebSockets {
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    pongs: AtomicUsize,
    cut: Notify,
}

impl WebSockets {
    /// Listens for websockets at `path` with the subprotocol `mqtt`, over TLS or not.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(broker: u16, path: &'static str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared::default());
        let with = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (tls, with) = (tls.clone(), with.clone());
                let _ = socket.set_nodelay(true);
                tokio::spawn(async move {
                    let cut = with.clone();
                    let forwarded = async move {
                        match tls {
                            Some(tls) => match tls.accept(socket).await {
                                Ok(stream) => forward(stream, path, broker, &with).await,
                                Err(_) => None,
                            },
                            None => forward(socket, path, broker, &with).await,
                        }
                    };
                    tokio::select! {
                        _ = forwarded => {}
                        () = cut.cut.notified() => {}
                    }
                });
            }
        });
        Self { port, shared, task }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many pings were answered.
    pub fn pongs(&self) -> usize {
        self.shared.pongs.load(Ordering::SeqCst)
    }

    /// Drops all connections without a goodbye.
    pub fn cut(&self) {
        self.shared.cut.notify_waiters();
    }
}

impl Drop for WebSockets {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

/// Forwards until one of both ends; `None` when something went wrong.
async fn forward<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    path: &str,
    broker: u16,
    shared: &Shared,
) -> Option<()> {
    #[allow(clippy::result_large_err)] // tungstenite's own
    let check = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        let asked = request.headers().get("sec-websocket-protocol").cloned();
        let here = request.uri().path_and_query().is_some_and(|asked| asked.as_str() == path);
        match asked {
            Some(protocol) if here && protocol == "mqtt" => {
                response.headers_mut().insert("sec-websocket-protocol", protocol);
                Ok(response)
            }
            _ => {
                let mut refused = ErrorResponse::new(None);
                *refused.status_mut() = StatusCode::NOT_FOUND;
                Err(refused)
            }
        }
    };
    let (mut sink, mut messages) = accept_hdr_async(stream, check).await.ok()?.split();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, broker));
    let broker = TcpStream::connect(address).await.ok()?;
    broker.set_nodelay(true).ok()?;
    let (mut from, mut to) = broker.into_split();
    let up = async {
        while let Some(message) = messages.next().await {
            match message.ok()? {
                Message::Binary(bytes) => to.write_all(&bytes).await.ok()?,
                Message::Pong(_) => {
                    shared.pongs.fetch_add(1, Ordering::SeqCst);
                }
                Message::Close(_) => break,
                _ => {}
            }
        }
        to.shutdown().await.ok()
    };
    let down = async {
        // Small and odd, so that packets are torn apart; of large ones only the beginning, or it takes long.
        let mut sizes = [1, 3, 7, 100].into_iter();
        let mut buffer = vec![0; 10_007];
        loop {
            let size = sizes.next().unwrap_or(buffer.len());
            let count = from.read(&mut buffer[..size]).await.ok()?;
            if count == 0 {
                return sink.close().await.ok();
            }
            sink.send(Message::binary(buffer[..count].to_vec())).await.ok()?;
            sink.send(Message::Ping("there?".into())).await.ok()?;
        }
    };
    tokio::select! {
        ended = up => ended,
        ended = down => ended,
    }
}
