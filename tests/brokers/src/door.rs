//! A door before a broker that others use too: what comes by it can be shut out, as if the broker had gone away.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// Forwards connections to a port of this machine, as long as it is open.
pub struct Door {
    port: u16,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    shut: bool,
    /// How often it was shut: being told late must not hide it.
    cuts: u32,
}

impl Door {
    /// An open one.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn new(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("its port").port();
        let (state, watched) = watch::channel(State::default());
        tokio::spawn(accept(listener, target, watched));
        Self { port, state }
    }

    /// Where it is.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts every connection, and takes no new ones.
    pub fn shut(&self) {
        self.state.send_modify(|state| *state = State { shut: true, cuts: state.cuts + 1 });
    }

    /// Takes connections again.
    pub fn open(&self) {
        self.state.send_modify(|state| state.shut = false);
    }
}

/// Ends with the door.
async fn accept(listener: TcpListener, target: u16, state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    let mut gone = state.clone();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                let State { shut, cuts } = *state.borrow();
                if !shut {
                    connections.spawn(forward(client, target, state.clone(), cuts));
                }
            }
            Some(_) = connections.join_next() => {}
            changed = gone.changed() => if changed.is_err() { return },
        }
    }
}

async fn forward(
    mut client: TcpStream,
    target: u16,
    mut state: watch::Receiver<State>,
    cuts: u32,
) -> io::Result<()> {
    let mut server = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, target))).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    tokio::select! {
        ended = tokio::io::copy_bidirectional(&mut client, &mut server) => ended.map(|_| ()),
        _ = state.wait_for(|state| state.cuts != cuts) => Ok(()),
    }
}
