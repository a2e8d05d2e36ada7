//! The server `redis-server`.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{PATIENCE, free_port, launch, program};

/// A Redis of one's own.
pub struct RedisServer {
    dir: TempDir,
    port: u16,
    args: Vec<String>,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts one that keeps nothing on the disk.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Self {
        Self::with(&["--save", "", "--appendonly", "no"])
    }

    /// Starts one that has on its disk what it has confirmed.
    ///
    /// # Panics
    /// When it does not start.
    pub fn durable() -> Self {
        Self::with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"])
    }

    /// Starts one with these arguments. In them, `{dir}` is a directory of its own, and `{free}` a port that is free.
    ///
    /// # Panics
    /// When it does not start.
    pub fn with(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let place = dir.path().to_str().expect("its name is text").to_owned();
        let args = args.iter().map(|arg| {
            let arg = arg.replace("{dir}", &place);
            if arg.contains("{free}") { arg.replace("{free}", &free_port().to_string()) } else { arg }
        });
        let args = args.collect();
        let mut server = Self { dir, port: 0, args, child: None };
        for _ in 0..5 {
            server.port = free_port();
            server.launch();
            if server.child.is_some() {
                return server;
            }
        }
        panic!("redis-server does not start");
    }

    fn launch(&mut self) {
        let mut command = Command::new(program("redis-server"));
        if let Some(file) = self.args.first().filter(|arg| !arg.starts_with("--")) {
            command.arg(file);
        }
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--dir"]).arg(self.dir.path());
        command.args(self.args.iter().skip_while(|arg| !arg.starts_with("--")));
        self.child = launch(command, self.port);
        // It listens before it has read what is on its disk.
        let until = Instant::now() + PATIENCE;
        while self.child.is_some() && self.is_loading() {
            assert!(Instant::now() < until, "redis-server does not finish loading");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn is_loading(&self) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"PING\r\n")?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer)?;
            Ok(&answer == b"-LOAD")
        };
        ask().unwrap_or(true)
    }

    /// `redis://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Where it listens, on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its directory.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Ends it at once, as a power cut would; keys that are not on its disk are gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again, on the same port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        self.launch();
        assert!(self.child.is_some(), "redis-server does not start again");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
