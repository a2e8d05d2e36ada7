//! The server `redis-server`.

use std::process::{Child, Command};

use tempfile::TempDir;

use crate::{free_port, launch, program};

/// A Redis of one's own, which keeps nothing on the disk.
pub struct RedisServer {
    dir: TempDir,
    port: u16,
    child: Option<Child>,
}

impl RedisServer {
    /// Starts it.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Self {
        let mut server =
            Self { dir: tempfile::tempdir().expect("a temporary directory"), port: 0, child: None };
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
        command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(self.dir.path());
        self.child = launch(command, self.port);
    }

    /// `redis://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends it at once, as a power cut would; all keys are gone.
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
