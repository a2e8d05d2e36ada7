//! Apache Kafka: one broker in `KRaft` mode, run from the jars of Maven.
//!
//! It takes seconds to start, so tests share one: that of `AMGI_TEST_KAFKA`, which `with-brokers` sets, else one that the first
//! test starts and the last one ends. Names of topics and groups are made so that tests do not meet. A test that hurts the
//! broker starts its own.

mod secure;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer, StreamConsumer},
    error::RDKafkaErrorCode,
    message::OwnedMessage,
    metadata::MetadataTopic,
    producer::{FutureProducer, FutureRecord},
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use self::secure::SecureKafka;
use crate::{cache, free_port, program};

/// As in `kafka/pom.xml`.
const VERSION: &str = "4.1.0";
/// A JVM on a busy machine.
const START: Duration = Duration::from_secs(90);

/// The variable that names a broker which is there already, as `HOST:PORT`.
pub const VARIABLE: &str = "AMGI_TEST_KAFKA";

/// A Kafka broker that tests may use.
pub struct Kafka {
    servers: String,
    /// Made when it is first needed.
    producer: OnceLock<FutureProducer>,
    own: Option<Own>,
}

/// A broker that this process started.
struct Own {
    dir: TempDir,
    child: Option<Child>,
}

impl Kafka {
    /// The broker that all tests share.
    ///
    /// # Panics
    /// When it does not start.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Kafka>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kafka) = shared.upgrade() {
            return kafka;
        }
        let kafka = Arc::new(match std::env::var(VARIABLE) {
            Ok(servers) => Self::at(&servers),
            Err(_) => Self::start(),
        });
        *shared = Arc::downgrade(&kafka);
        kafka
    }

    /// A broker of one's own.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Self {
        Self::with("PLAINTEXT", "")
    }

    /// A broker that also listens on `port`, and sends who comes there to `proxy`, which forwards to it.
    ///
    /// # Panics
    /// When it does not start.
    pub fn behind(port: u16, proxy: u16) -> Self {
        let both = "CLIENTS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}";
        let extra = format!(
            "listeners={both},PROXIED://127.0.0.1:{port}\n\
             advertised.listeners=CLIENTS://127.0.0.1:{{port}},PROXIED://127.0.0.1:{proxy}\n\
             listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT",
        );
        Self::with("PLAINTEXT", &extra)
    }

    /// A broker whose clients come by this security protocol, with further lines of configuration, in which `{dir}` is its
    /// folder, `{port}` where it listens for them, and `{controller}` where for itself.
    ///
    /// # Panics
    /// When it does not start.
    pub fn with(security: &str, extra: &str) -> Self {
        Self::with_files(security, extra, |_| ())
    }

    /// The same, with files that `make` puts into its folder first.
    ///
    /// # Panics
    /// When it does not start.
    pub fn with_files(security: &str, extra: &str, make: impl Fn(&Path)) -> Self {
        for _ in 0..3 {
            let dir = tempfile::tempdir().expect("a temporary directory");
            make(dir.path());
            let (port, controller) = (free_port(), free_port());
            configure(dir.path(), port, controller, security, extra);
            format(dir.path());
            let servers = format!("127.0.0.1:{port}");
            let mut kafka = Self::at(&servers);
            kafka.own = Some(Own { dir, child: None });
            if kafka.launch(port, security == "PLAINTEXT") {
                return kafka;
            }
        }
        panic!("Kafka does not start");
    }

    /// One that somebody else runs.
    pub fn at(servers: &str) -> Self {
        Self { servers: servers.to_owned(), producer: OnceLock::new(), own: None }
    }

    /// Whether this process runs it, and it was not killed.
    pub fn is_running(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.child.is_some())
    }

    /// Where it is, as `HOST:PORT`.
    pub fn servers(&self) -> &str {
        &self.servers
    }

    /// `kafka://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("kafka://{}", self.servers)
    }

    fn port(&self) -> u16 {
        self.servers.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port")
    }

    fn launch(&mut self, port: u16, answers: bool) -> bool {
        let Some(own) = &mut self.own else { panic!("the broker is not ours") };
        let log = fs::File::options().create(true).append(true).open(own.dir.path().join("log"));
        let log = log.expect("a file for its log");
        let child = java()
            .arg("kafka.Kafka")
            .arg(own.dir.path().join("conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("the same file"))
            .stderr(log)
            .spawn()
            .expect("java is started");
        own.child = Some(child);
        let since = Instant::now();
        while since.elapsed() < START {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() && (!answers || self.answers()) {
                return true;
            }
            let child = self.own.as_mut().and_then(|own| own.child.as_mut());
            if child.is_some_and(|child| child.try_wait().expect("its state").is_some()) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.kill();
        false
    }

    /// Whether it tells its topics, and finds coordinators.
    fn answers(&self) -> bool {
        let consumer: BaseConsumer = self.client().set("group.id", "probe").create().expect("a client");
        let timeout = Duration::from_secs(5);
        let found = consumer.fetch_metadata(None, timeout).is_ok_and(|found| !found.brokers().is_empty());
        found && consumer.fetch_group_list(Some("probe"), timeout).is_ok()
    }

    /// Configuration of a client of it.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.servers).set("log_level", "0");
        config
    }

    /// A name that nothing else has.
    pub fn name(what: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Brokers that outlive a process see its id again.
        let now =
            std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() % 1_000_000);
        format!("{what}-{}-{now}-{count}", std::process::id())
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("a client")
    }

    /// A new topic whose name begins with `what`.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn topic(&self, what: &str, partitions: i32) -> &'static str {
        let name: &'static str = Self::name(what).leak();
        self.create(name, partitions).await;
        name
    }

    /// Makes a topic.
    pub async fn create(&self, name: &str, partitions: i32) {
        self.create_all(&[name], partitions, |_| Vec::new()).await;
    }

    /// Makes topics that are not there, with the configuration that `configure` gives to each.
    ///
    /// # Panics
    /// When they cannot be made.
    pub async fn create_all(
        &self,
        names: &[&str],
        partitions: i32,
        configure: impl Fn(&str) -> Vec<(&'static str, &'static str)>,
    ) {
        if names.is_empty() {
            return;
        }
        let topics: Vec<NewTopic<'_>> = names
            .iter()
            .map(|name| {
                let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
                configure(name).into_iter().fold(topic, |topic, (key, value)| topic.set(key, value))
            })
            .collect();
        let made = self.admin().create_topics(&topics, &AdminOptions::new()).await;
        for topic in made.expect("an answer") {
            match topic {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        // The controller has them before brokers tell clients.
        let consumer: BaseConsumer = self.client().create().expect("a client");
        for name in names {
            let since = Instant::now();
            loop {
                let found = consumer.fetch_metadata(Some(name), crate::PATIENCE).expect("metadata");
                let topic = found.topics().iter().find(|topic| topic.name() == *name);
                let ready = |topic: &MetadataTopic| {
                    let mut all = topic.partitions().iter();
                    topic.error().is_none() && all.all(|p| p.error().is_none() && p.leader() >= 0)
                };
                if topic.is_some_and(|topic| ready(topic) && !topic.partitions().is_empty()) {
                    break;
                }
                assert!(since.elapsed() < crate::PATIENCE, "topic {name} does not show");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Gives a topic more partitions.
    ///
    /// # Panics
    /// When that does not work.
    pub async fn partitions(&self, name: &str, count: usize) {
        let more = NewPartitions::new(name, count);
        let made = self.admin().create_partitions([&more], &AdminOptions::new()).await;
        made.expect("an answer").into_iter().for_each(|topic| drop(topic.expect("partitions")));
    }

    /// What `group` has committed of a partition.
    ///
    /// # Panics
    /// When the broker does not answer.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let consumer: BaseConsumer = self.client().set("group.id", group).create().expect("a client");
        let mut asked = rdkafka::TopicPartitionList::new();
        asked.add_partition(topic, partition);
        let told = consumer.committed_offsets(asked, crate::PATIENCE).expect("committed offsets");
        told.find_partition(topic, partition)?.offset().to_raw().filter(|offset| *offset >= 0)
    }

    /// Writes a message, and returns when the broker has it: its offset.
    ///
    /// # Panics
    /// When the broker does not take it.
    pub async fn write(&self, record: FutureRecord<'_, [u8], [u8]>) -> i64 {
        self.write_all([record]).await[0]
    }

    /// Writes messages in this order: their offsets.
    ///
    /// # Panics
    /// When the broker does not take them.
    pub async fn write_all<'r>(
        &self,
        records: impl IntoIterator<Item = FutureRecord<'r, [u8], [u8]>>,
    ) -> Vec<i64> {
        let producer = self.producer.get_or_init(|| {
            self.client()
                .set("enable.idempotence", "true")
                .set("linger.ms", "0")
                .set("message.max.bytes", "10000000")
                .set("partitioner", "murmur2_random")
                .create()
                .expect("a producer")
        });
        let mut sent = Vec::new();
        for record in records {
            sent.push(producer.send_result(record).map_err(|(error, _)| error).expect("room"));
        }
        let mut offsets = Vec::new();
        for delivery in sent {
            let taken = delivery.await.expect("an answer").map_err(|(error, _)| error);
            offsets.push(taken.expect("the broker takes it").offset);
        }
        offsets
    }

    /// Writes texts to a topic, one after the other.
    pub async fn write_texts(&self, topic: &str, texts: impl IntoIterator<Item = impl AsRef<str>>) {
        let texts: Vec<_> = texts.into_iter().collect();
        self.write_all(texts.iter().map(|text| FutureRecord::to(topic).payload(text.as_ref().as_bytes())))
            .await;
    }

    /// The first messages of a topic, all partitions together, as soon as there are so many.
    ///
    /// # Panics
    /// When there are not.
    pub async fn read(&self, topic: &str, count: usize) -> Vec<OwnedMessage> {
        let consumer: StreamConsumer = self
            .client()
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .create()
            .expect("a client");
        let found = consumer.fetch_metadata(Some(topic), crate::PATIENCE).expect("metadata");
        let mut all = rdkafka::TopicPartitionList::new();
        for partition in found.topics()[0].partitions() {
            all.add_partition_offset(topic, partition.id(), rdkafka::Offset::Beginning).expect("a place");
        }
        consumer.assign(&all).expect("partitions");
        let mut messages = Vec::new();
        while messages.len() < count {
            let message = crate::within("a message in Kafka", consumer.recv()).await;
            messages.push(message.expect("a message").detach());
        }
        messages
    }

    /// Where a partition ends.
    ///
    /// # Panics
    /// When the broker does not tell.
    pub fn end(&self, topic: &str, partition: i32) -> i64 {
        let consumer: BaseConsumer = self.client().create().expect("a client");
        let since = Instant::now();
        loop {
            match consumer.fetch_watermarks(topic, partition, crate::PATIENCE) {
                Ok((_, end)) => return end,
                // A topic that was just made has no leader for a moment.
                Err(error) => assert!(since.elapsed() < crate::PATIENCE, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = self.own.as_ref().and_then(|own| own.child.as_ref()) {
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }

    /// Lets it do nothing, until it is killed or goes on.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.own.as_mut().and_then(|own| own.child.take()) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again, on the same port with the same topics.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        assert!(self.launch(self.port(), true), "Kafka does not start again");
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.kill();
    }
}

fn configure(dir: &Path, port: u16, controller: u16, security: &str, extra: &str) {
    let text = format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=CLIENTS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=CLIENTS://127.0.0.1:{port}\ninter.broker.listener.name=CLIENTS\n\
         listener.security.protocol.map=CLIENTS:{security},CONTROLLER:PLAINTEXT\n\
         controller.listener.names=CONTROLLER\nlog.dirs={{dir}}/data\n\
         offsets.topic.replication.factor=1\noffsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=4\nshare.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\nshare.coordinator.state.topic.num.partitions=1\n\
         group.initial.rebalance.delay.ms=0\ngroup.min.session.timeout.ms=1000\n\
         auto.create.topics.enable=false\nmessage.max.bytes=2000000\n{extra}\n"
    );
    let text = text
        .replace("{dir}", &dir.display().to_string())
        .replace("{port}", &port.to_string())
        .replace("{controller}", &controller.to_string());
    fs::write(dir.join("conf"), text).expect("configuration is written");
}

fn format(dir: &Path) {
    let formatted = java()
        .args(["kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw"])
        // A user, for listeners that ask who comes.
        .args(["-S", "SCRAM-SHA-256=[name=ada,password=s3cret]"])
        .args(["-S", "SCRAM-SHA-512=[name=ada,password=s3cret]", "-c"])
        .arg(dir.join("conf"))
        .output()
        .expect("java is started");
    assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stderr));
}

fn java() -> Command {
    let mut command = Command::new(program("java"));
    command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"]).arg(jars().join("*"));
    command
}

/// The folder with Kafka's jars; Maven fetches them once.
fn jars() -> PathBuf {
    let cache = cache();
    let jars = cache.join(format!("kafka-{VERSION}"));
    if jars.is_dir() {
        return jars;
    }
    let fetched = cache.join(format!("kafka-{VERSION}.{}", std::process::id()));
    let output = Command::new(program("mvn"))
        .args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-f"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka/pom.xml"))
        .arg(format!("-DoutputDirectory={}", fetched.display()))
        .output()
        .expect("mvn is started");
    assert!(output.status.success(), "mvn: {}", String::from_utf8_lossy(&output.stdout));
    // Another process may have been faster.
    if fs::rename(&fetched, &jars).is_err() {
        let _ = fs::remove_dir_all(&fetched);
    }
    assert!(jars.is_dir(), "{} is not there", jars.display());
    jars
}
