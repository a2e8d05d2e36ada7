//! Emulators of SQS and SNS: `fauxqs` (Node.js) is fast, `moto` (Python) knows more of what AWS does. What they keep is in
//! memory: one that was ended has forgotten everything.

use std::{
    process::{Child, Command},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use aws_sdk_sqs::{
    Client,
    config::{BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig, retry::RetryConfig},
};
use aws_smithy_http_client::Builder;

use crate::{
    free_port,
    installed::{installed, python},
    launch, program,
};

const FAUXQS: &str = "1.9.2";
const MOTO: &str = "5.2.5";

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emulator {
    /// From npm. It gives one message a group of a FIFO queue at a time.
    Fauxqs,
    /// From `PyPI`.
    Moto,
}

/// An emulator that runs.
pub struct Sqs {
    emulator: Emulator,
    port: u16,
    child: Child,
}

impl Sqs {
    /// The one that all tests of this process share.
    ///
    /// # Panics
    /// When it does not start.
    pub fn shared(emulator: Emulator) -> Arc<Self> {
        static SHARED: [Mutex<Weak<Sqs>>; 2] = [const { Mutex::new(Weak::new()) }; 2];
        let place = &SHARED[usize::from(emulator == Emulator::Moto)];
        let mut shared = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sqs) = shared.upgrade() {
            return sqs;
        }
        let sqs = Arc::new(Self::start(emulator));
        *shared = Arc::downgrade(&sqs);
        sqs
    }

    /// One of one's own.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(emulator: Emulator) -> Self {
        for _ in 0..5 {
            let port = free_port();
            let command = match emulator {
                Emulator::Fauxqs => fauxqs(port),
                Emulator::Moto => moto(port),
            };
            if let Some(child) = launch(command, port) {
                return Self { emulator, port, child };
            }
        }
        panic!("{emulator:?} does not start")
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `sqs+http://test:test@127.0.0.1:PORT`
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// Which it is.
    pub fn emulator(&self) -> Emulator {
        self.emulator
    }

    /// A client that shares nothing with servers.
    pub fn client(&self) -> Client {
        client(self.port)
    }

    /// The same for SNS.
    pub fn topics(&self) -> aws_sdk_sns::Client {
        let config = aws_sdk_sns::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(Builder::new().build_http())
            .endpoint_url(format!("http://127.0.0.1:{}", self.port))
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .retry_config(RetryConfig::disabled());
        aws_sdk_sns::Client::from_conf(config.build())
    }
}

impl Drop for Sqs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client of what listens on that port.
pub fn client(port: u16) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(Builder::new().build_http())
        .endpoint_url(format!("http://127.0.0.1:{port}"))
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        // As in our server, which has limits of its own.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    Client::from_conf(config.build())
}

/// What a server is told of an emulator, or of a door before it.
pub(crate) fn url(port: u16) -> String {
    format!("sqs+http://test:test@127.0.0.1:{port}")
}

fn fauxqs(port: u16) -> Command {
    let dir = installed(&format!("fauxqs-{FAUXQS}"), |dir| {
        let mut npm = Command::new(program("npm"));
        npm.args([
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--no-save",
            "--silent",
            "--prefix",
        ]);
        npm.arg(dir).arg(format!("fauxqs@{FAUXQS}"));
        npm
    });
    // Its own program listens on all interfaces.
    let app = dir.join("node_modules/fauxqs/dist/app.js");
    let script = format!(
        "import {{ buildApp }} from {:?}; buildApp({{ logger: false }}).listen({{ port: {port}, host: '127.0.0.1' }});",
        app.display().to_string()
    );
    let mut node = Command::new(program("node"));
    node.args(["--input-type=module", "--eval", &script]);
    node
}

fn moto(port: u16) -> Command {
    let dir = python(&format!("moto-{MOTO}"), &format!("'moto[server]=={MOTO}'"), "");
    // Scripts name the folder they were installed to, which was another one.
    let mut python = Command::new(dir.join("bin/python3"));
    python.args(["-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", &port.to_string()]);
    // One that fills its memory is no use.
    python.env("MOTO_IAM_LOAD_MANAGED_POLICIES", "false");
    python
}

/// How long an emulator may take to see that a message may be shown again.
pub const TICK: Duration = Duration::from_millis(300);
