//! The AMQP broker `RabbitMQ`.
//!
//! It takes seconds to start, so tests share one: that of `AMGI_TEST_RABBITMQ`, which `with-brokers` sets, else one that the
//! first test starts and the last one ends. Names are made so that tests do not meet. A test that hurts the broker starts its
//! own.

use std::{
    fs,
    net::TcpStream,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::FieldTable,
};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::{Certified, free_port, program};

/// Erlang on a busy machine.
const START: Duration = Duration::from_secs(90);

/// The variable that names a broker which is there already, by its port on this machine.
pub const VARIABLE: &str = "AMGI_TEST_RABBITMQ";

/// A `RabbitMQ` that tests may use.
pub struct RabbitMq {
    port: u16,
    tls_port: Option<u16>,
    own: Option<Own>,
}

/// A broker that this process started.
struct Own {
    dir: TempDir,
    /// Ports of Erlang's own protocol, and of the daemon that knows it.
    distribution: u16,
    names: u16,
    epmd: Child,
    child: Option<Child>,
}

impl RabbitMq {
    /// The broker that all tests share.
    ///
    /// # Panics
    /// When it does not start.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<RabbitMq>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(broker) = shared.upgrade() {
            return broker;
        }
        let broker = Arc::new(match std::env::var(VARIABLE) {
            Ok(port) => Self { port: port.parse().expect("a port"), tls_port: None, own: None },
            Err(_) => Self::start(),
        });
        *shared = Arc::downgrade(&broker);
        broker
    }

    /// A broker of one's own.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Self {
        Self::start_with(None, "")
    }

    /// A broker that has a listener with that certificate, too; there it wants certificates that the authority in `clients` has
    /// issued.
    ///
    /// # Panics
    /// When it does not start.
    pub fn with_tls(certified: &Certified, clients: &Path) -> Self {
        let port = free_port();
        let config = format!(
            "listeners.ssl.default = 127.0.0.1:{port}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n\
             ssl_options.cacertfile = {}\nssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n",
            certified.certificate.display(),
            certified.key.display(),
            clients.display()
        );
        Self::start_with(Some(port), &config)
    }

    fn start_with(tls_port: Option<u16>, config: &str) -> Self {
        for _ in 0..3 {
            let dir = tempfile::tempdir().expect("a temporary directory");
            configure(&dir, config);
            let names = free_port();
            let epmd = Command::new(program("epmd"))
                .args(["-address", "127.0.0.1", "-port", &names.to_string()])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("epmd is started");
            let own = Own { dir, distribution: free_port(), names, epmd, child: None };
            let mut broker = Self { port: free_port(), tls_port, own: Some(own) };
            if broker.launch() {
                return broker;
            }
        }
        panic!("rabbitmq-server does not start");
    }

    fn launch(&mut self) -> bool {
        let Some(own) = &mut self.own else { panic!("the broker is not ours") };
        let dir = own.dir.path();
        let log = fs::File::options().create(true).append(true).open(dir.join("log"));
        let log = log.expect("a file for its log");
        let child = Command::new(server())
            .env("HOME", dir)
            .env("ERL_EPMD_PORT", own.names.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", format!("test-{}@localhost", self.port))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", own.distribution.to_string())
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}")
            .env("RABBITMQ_BASE", dir)
            .env("RABBITMQ_MNESIA_BASE", dir.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", dir)
            .env("RABBITMQ_GENERATED_CONFIG_DIR", dir.join("generated"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", dir.join("plugins"))
            .env("RABBITMQ_CONFIG_FILE", dir.join("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", dir.join("none.config"))
            .env("RABBITMQ_CONF_ENV_FILE", dir.join("none"))
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the same file"))
            .stderr(log)
            // The shell script and the broker that it runs are a group of their own.
            .process_group(0)
            .spawn()
            .expect("rabbitmq-server is started");
        own.child = Some(child);
        let since = Instant::now();
        while since.elapsed() < START {
            if [Some(self.port), self.tls_port].into_iter().flatten().all(listens) {
                return true;
            }
            let child = self.own.as_mut().and_then(|own| own.child.as_mut());
            if child.is_some_and(|child| child.try_wait().expect("its state").is_some()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.kill();
        false
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its listener with a certificate is.
    ///
    /// # Panics
    /// When it has none.
    pub fn tls_port(&self) -> u16 {
        self.tls_port.expect("a broker with a certificate")
    }

    /// `amqp://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("amqp://127.0.0.1:{}", self.port)
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.own.as_mut().and_then(|own| own.child.take()) {
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            let _ = child.wait();
            // Only the script was waited for: what it ran listens for a moment more, and must not be taken for its successor.
            let since = Instant::now();
            while since.elapsed() < START && listens(self.port) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    /// Starts it again, on the same port with what it has on its disk.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        assert!(self.launch(), "rabbitmq-server does not start again");
    }

    /// A name that nothing else has.
    pub fn name(what: &str) -> &'static str {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Brokers that outlive a process see its id again.
        let now =
            std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() % 1_000_000);
        format!("{what}-{}-{now}-{count}", std::process::id()).leak()
    }

    /// A client that shares nothing with the server: a connection, and a channel on which publishing is confirmed.
    ///
    /// # Panics
    /// When the broker does not take it.
    pub async fn client(&self) -> (Connection, Channel) {
        let connection = Connection::connect(&self.url(), ConnectionProperties::default()).await;
        let connection = connection.expect("a connection");
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirmations");
        (connection, channel)
    }

    /// Publishes a message and returns when the broker has it.
    ///
    /// # Panics
    /// When no queue gets it.
    pub async fn publish(&self, exchange: &str, key: &str, payload: &str, properties: BasicProperties) {
        let (_connection, channel) = self.client().await;
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let confirm = channel
            .basic_publish(exchange.into(), key.into(), options, payload.as_bytes(), properties)
            .await
            .expect("it is published");
        let confirmation = confirm.await.expect("a confirmation");
        assert!(confirmation.take_message().is_none(), "no queue gets `{exchange}`/`{key}`");
    }

    /// Makes a durable queue.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn queue(&self, name: &str, arguments: FieldTable) {
        let (_connection, channel) = self.client().await;
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(name.into(), options, arguments).await.expect("a queue");
    }

    /// How many messages wait in a queue.
    ///
    /// # Panics
    /// When there is no such queue.
    pub async fn waiting(&self, queue: &str) -> u32 {
        let (_connection, channel) = self.client().await;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare(queue.into(), options, FieldTable::default()).await;
        queue.expect("the queue").message_count()
    }

    /// Takes the next message out of a queue, as soon as there is one.
    ///
    /// # Panics
    /// When there is no such queue, or none comes.
    pub async fn take(&self, queue: &str) -> lapin::message::Delivery {
        let (_connection, channel) = self.client().await;
        let taking = async {
            loop {
                let options = BasicGetOptions { no_ack: true };
                if let Some(message) = channel.basic_get(queue.into(), options).await.expect("the queue") {
                    return message.delivery;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        crate::within("a message in the queue", taking).await
    }
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// The script itself: that on Debian's PATH runs as another user.
fn server() -> PathBuf {
    let debian = PathBuf::from("/usr/lib/rabbitmq/bin/rabbitmq-server");
    if debian.is_file() { debian } else { program("rabbitmq-server") }
}

fn configure(dir: &TempDir, more: &str) {
    let dir = dir.path();
    let cookie = dir.join(".erlang.cookie");
    fs::write(&cookie, "amgi").expect("the cookie is written");
    fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400)).expect("it is ours alone");
    fs::write(dir.join("plugins"), "[].").expect("the plugins are written");
    let config = format!(
        "disk_free_limit.absolute = 50MB\nlog.console = true\nlog.console.level = warning\nlog.file = false\n{more}"
    );
    fs::write(dir.join("rabbitmq.conf"), config).expect("the configuration is written");
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        self.kill();
        if let Some(own) = &mut self.own {
            let _ = own.epmd.kill();
            let _ = own.epmd.wait();
        }
    }
}
