//! The MQTT broker `mosquitto`.

use std::{
    fmt::Write as _,
    fs,
    net::TcpStream,
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{Certified, PATIENCE, free_port, launch, program};

/// A mosquitto of one's own.
pub struct Mosquitto {
    dir: TempDir,
    port: u16,
    tls_port: Option<u16>,
    extra: String,
    child: Option<Child>,
}

impl Mosquitto {
    /// A broker that lets everybody in.
    pub fn start() -> Self {
        Self::with("allow_anonymous true\n")
    }

    /// A broker with further lines of configuration.
    ///
    /// # Panics
    /// When it does not start.
    pub fn with(extra: &str) -> Self {
        Self::with_file(extra, "unused", "")
    }

    /// A broker with further lines of configuration, in which `{file}` is the path of a file with that text.
    ///
    /// # Panics
    /// When it does not start.
    pub fn with_file(extra: &str, name: &str, text: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join(name);
        fs::write(&file, text).expect("the file is written");
        let extra = extra.replace("{file}", &file.display().to_string());
        let mut broker = Self { dir, port: 0, tls_port: None, extra, child: None };
        for _ in 0..5 {
            broker.port = free_port();
            if broker.launch() {
                return broker;
            }
        }
        panic!("mosquitto does not start:\n{}", broker.log());
    }

    /// A broker that lets everybody in, and has a listener with that certificate; there it wants certificates of `clients`
    /// if that is a file with an authority's.
    ///
    /// # Panics
    /// When it does not start.
    pub fn with_tls(certified: &Certified, clients: Option<&Path>) -> Self {
        let tls_port = free_port();
        let mut extra = format!(
            "allow_anonymous true\nlistener {tls_port} 127.0.0.1\ncertfile {}\nkeyfile {}\n",
            certified.certificate.display(),
            certified.key.display()
        );
        if let Some(authority) = clients {
            let _ = writeln!(extra, "cafile {}\nrequire_certificate true", authority.display());
        }
        let mut broker = Self::with(&extra);
        broker.tls_port = Some(tls_port);
        broker.wait_for_tls();
        broker
    }

    /// Where its listener with a certificate is.
    ///
    /// # Panics
    /// When it has none.
    pub fn tls_port(&self) -> u16 {
        self.tls_port.expect("a broker with a certificate")
    }

    /// The listeners are opened one after the other.
    fn wait_for_tls(&self) {
        let Some(port) = self.tls_port else { return };
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(since.elapsed() < PATIENCE, "no listener for TLS:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn launch(&mut self) -> bool {
        let dir = self.dir.path().display();
        // `user root` keeps the right to write here when the tests run as root; otherwise it is ignored.
        let config = format!(
            "listener {} 127.0.0.1\nuser root\npersistence true\npersistence_location {dir}/\n\
             autosave_interval 1\nautosave_on_changes true\nmax_queued_messages 100000\n\
             log_dest file {dir}/log\nlog_type all\n{}",
            self.port, self.extra
        );
        let path = self.dir.path().join("conf");
        fs::write(&path, config).expect("configuration is written");
        let mut command = Command::new(program("mosquitto"));
        command.arg("-c").arg(&path);
        self.child = launch(command, self.port);
        self.child.is_some()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `mqtt://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Lets it do nothing, until it is killed or goes on.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Lets it end; it saves its sessions.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }

    /// Starts it again, on the same port with the same sessions.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        assert!(self.launch(), "mosquitto does not start again:\n{}", self.log());
    }

    /// Lets it end and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Publishes with `mosquitto_pub` at QoS 1, and returns when the broker has it.
    pub fn publish(&self, topic: &str, payload: &str) {
        self.mosquitto_pub(&["-q", "1", "-t", topic, "-m", payload]);
    }

    /// Publishes each line with `mosquitto_pub` at QoS 1, and returns when the broker has them all.
    ///
    /// # Panics
    /// When it fails.
    pub fn publish_lines(&self, topic: &str, lines: &str) {
        let file = self.dir.path().join("lines");
        fs::write(&file, lines).expect("the lines are written");
        let output = Command::new(program("mosquitto_pub"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-q", "1", "-t", topic, "-l"])
            .stdin(fs::File::open(&file).expect("the lines are read"))
            .output()
            .expect("mosquitto_pub is started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs `mosquitto_pub` with these options.
    ///
    /// # Panics
    /// When it fails.
    pub fn mosquitto_pub(&self, options: &[&str]) {
        let output = Command::new(program("mosquitto_pub"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(options)
            .output()
            .expect("mosquitto_pub is started");
        assert!(
            output.status.success(),
            "mosquitto_pub {options:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}
