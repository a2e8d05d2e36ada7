//! A wire between the service and the broker, which can be held and cut.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// Forwards connections to a port of this machine.
pub(crate) struct Proxy {
    port: u16,
    state: watch::Sender<State>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// Nothing is forwarded, and nobody is told.
    held: bool,
    target: u16,
    /// How often all connections have been cut.
    cuts: u32,
}

impl Proxy {
    /// Listens on a free port, and forwards nothing until it knows where to.
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (state, watched) = watch::channel(State { held: true, target: 0, cuts: 0 });
        let accepting = tokio::spawn(accept(listener, watched));
        Ok(Self { port, state, accepting })
    }

    /// Forwards to this port from now on.
    pub(crate) fn forward_to(&self, target: u16) {
        self.state.send_modify(|state| *state = State { held: false, target, ..*state });
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Forwards nothing any more; connections stay open on both sides.
    pub(crate) fn hold(&self) {
        self.state.send_modify(|state| state.held = true);
    }

    /// Cuts every connection, and forwards new ones.
    pub(crate) fn cut(&self) {
        self.state.send_modify(|state| *state = State { held: false, cuts: state.cuts + 1, ..*state });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(forward(client, state.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// Ends when one side does, or at a cut.
async fn forward(client: TcpStream, state: watch::Receiver<State>) -> io::Result<()> {
    let cuts = state.borrow().cuts;
    let mut cut = state.clone();
    let both = async {
        open(&mut state.clone()).await;
        let target = state.borrow().target;
        let server = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, target))).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
        tokio::select! {
            ended = copy(from_client, to_server, state.clone()) => ended,
            ended = copy(from_server, to_client, state.clone()) => ended,
        }
    };
    tokio::select! {
        ended = both => ended,
        _ = cut.wait_for(|state| state.cuts != cuts) => Ok(()),
    }
}

/// Waits until nothing is held.
async fn open(state: &mut watch::Receiver<State>) {
    // Without a sender there is no proxy any more, and nobody to forward for.
    let _ = state.wait_for(|state| !state.held).await;
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        open(&mut state).await;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
    }
}
