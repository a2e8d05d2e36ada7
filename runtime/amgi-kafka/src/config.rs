//! Configuration: what the document says, what the builder says over it, and what the environment says over both.

use std::{fmt, time::Duration};

use amgi::{
    ChannelInfo, Error, Result, ServerInfo,
    bindings::{Kafka, Or},
    protocol::{OptionInfo, ProtocolInfo, Values},
    server::{host_name, program_name},
};
use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

use crate::Start;

amgi::server_options! {
    url: String,
    client_id: String,
    group: String,
    instance: String,
    credentials: (String, String),
    mechanism: String,
    tls: bool,
    ca_file: String,
    cert_file: String,
    key_file: String,
    key_password: String,
    start: Start,
    concurrency: usize,
    keys: usize,
    inflight: usize,
    buffer: usize,
    create_topics: bool,
    commit_interval: Duration,
    session_timeout: Duration,
    max_poll_interval: Duration,
    connect_timeout: Duration,
    send_timeout: Duration,
    revoke_deadline: Duration,
    shutdown_deadline: Duration,
    lag_interval: Duration,
    /// Later ones count.
    properties: Vec<(String, String)>,
}

/// Everything that clients and loops need to know.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) url: Url,
    /// What consumers, producers and the rest have in common.
    common: ClientConfig,
    /// The group where the document says no other; set when the builder or the environment names one for all.
    pub(crate) group: Option<String>,
    pub(crate) instance: Option<String>,
    pub(crate) start: Start,
    pub(crate) concurrency: Option<usize>,
    pub(crate) keys: usize,
    pub(crate) inflight: usize,
    buffer: usize,
    pub(crate) create_topics: bool,
    pub(crate) commit_interval: Duration,
    session_timeout: Duration,
    max_poll_interval: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) revoke_deadline: Duration,
    pub(crate) shutdown_deadline: Duration,
    lag_interval: Option<Duration>,
    properties: Vec<(String, String)>,
}

/// What only consumers have, and producers warn about.
const CONSUMER: &[&str] = &[
    "group.",
    "session.",
    "heartbeat.",
    "max.poll.",
    "auto.offset.",
    "enable.auto.",
    "enable.partition.",
    "fetch.",
    "queued.",
    "isolation.",
    "partition.assignment.",
    "coordinator.",
    "check.crcs",
    "offset.",
    "allow.auto.create.topics",
    "auto.commit.",
];
/// What only producers have.
const PRODUCER: &[&str] = &[
    "transactional.",
    "transaction.",
    "enable.idempotence",
    "enable.gapless",
    "queue.buffering.",
    "linger.",
    "message.send.",
    "retries",
    "batch.",
    "compression.",
    "delivery.",
    "acks",
    "request.required.acks",
    "request.timeout.ms",
    "message.timeout.ms",
    "partitioner",
    "sticky.",
    "queuing.",
    "retry.",
    "max.in.flight",
];

fn is_one(name: &str, list: &[&str]) -> bool {
    list.iter().any(|begin| name.starts_with(begin))
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

impl Config {
    fn with_properties(&self, mut config: ClientConfig, others: &[&str]) -> ClientConfig {
        for (name, value) in &self.properties {
            if !is_one(name, others) {
                config.set(name, value);
            }
        }
        config
    }

    /// For clients that neither consume nor produce.
    pub(crate) fn common(&self) -> ClientConfig {
        let others: Vec<&str> = CONSUMER.iter().chain(PRODUCER).copied().collect();
        self.with_properties(self.common.clone(), &others)
    }

    /// For the members of a group.
    pub(crate) fn consumer(&self, group: &str, lag: bool) -> ClientConfig {
        let mut config = self.common.clone();
        config
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            // It commits what it is told is settled, and no more.
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", millis(self.commit_interval / 2))
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", if self.start == Start::End { "latest" } else { "earliest" })
            .set("session.timeout.ms", millis(self.session_timeout))
            .set("max.poll.interval.ms", millis(self.max_poll_interval))
            // Every partition has a queue of its own, which these bound.
            .set("queued.max.messages.kbytes", (self.buffer / 1024).max(1).to_string())
            .set("queued.min.messages", "20000")
            .set("fetch.message.max.bytes", self.buffer.clamp(1024, 1024 * 1024).to_string())
            // By default a second and half a second, in which a fast handler would have nothing to do: a partition that is full is
            // not asked for, and an answer about those that are empty is waited for.
            .set("fetch.queue.backoff.ms", "20")
            .set("fetch.wait.max.ms", "100");
        if let Some(instance) = &self.instance {
            config.set("group.instance.id", instance);
        }
        if lag {
            config
                .set("statistics.interval.ms", millis(self.lag_interval.unwrap_or(Duration::from_secs(10))));
        }
        self.with_properties(config, PRODUCER)
    }

    /// For what is sent.
    pub(crate) fn producer(&self) -> ClientConfig {
        let mut config = self.common.clone();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // A handler waits for its sends; those of many handlers go together all the same.
            .set("linger.ms", "0")
            .set("message.timeout.ms", millis(self.send_timeout))
            // As Java's clients choose partitions, so that keys meet whoever wrote them.
            .set("partitioner", "murmur2_random")
            .set(
                "topic.metadata.propagation.max.ms",
                millis((self.send_timeout / 2).min(Duration::from_secs(5))),
            );
        self.with_properties(config, CONSUMER)
    }

    /// For the topics where replies come: nobody shares them.
    pub(crate) fn replies(&self) -> ClientConfig {
        let mut config = self.consumer(&format!("{}-replies", default_group()), false);
        config.remove("group.instance.id");
        config.set("enable.auto.commit", "false");
        config
    }
}

/// A property that librdkafka does not take.
pub(crate) fn refused(error: &rdkafka::error::KafkaError) -> Error {
    Error::Config(error.to_string())
}

/// `kafka://user:password@host:port,host:port`. Shown without the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) servers: String,
    pub(crate) login: Option<(String, String)>,
    pub(crate) secure: bool,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "kafka-secure://" } else { "kafka://" })?;
        if let Some((user, _)) = &self.login {
            write!(f, "{user}@")?;
        }
        f.write_str(&self.servers)
    }
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("kafka", text));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (login, servers) = match authority.rsplit_once('@') {
            Some((login, servers)) => (Some(login), servers),
            None => (None, authority),
        };
        // Whatever is wrong, the password is not repeated.
        let fail = |detail: &str| Error::Config(format!("url `{scheme}://{servers}`: {detail}"));
        let secure = match scheme {
            "kafka" => false,
            "kafka-secure" | "kafkas" => true,
            _ => return Err(fail("the scheme must be kafka or kafka-secure")),
        };
        let mut hosts = Vec::new();
        for server in servers.split(',').map(str::trim) {
            let port = match server.rsplit_once(':') {
                // An address of IPv6 has colons of its own.
                Some((_, port)) if !port.ends_with(']') => Some(port),
                _ => None,
            };
            if server.is_empty() || server.starts_with(':') {
                return Err(fail("the host is missing"));
            }
            match port {
                None => hosts.push(format!("{server}:9092")),
                Some(port) if port.parse::<u16>().is_ok_and(|port| port > 0) => hosts.push(server.to_owned()),
                Some(_) => return Err(fail("the port is no number from 1 to 65535")),
            }
        }
        let login = login.map(|login| {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            (amgi::address::decode(user).into_owned(), amgi::address::decode(password).into_owned())
        });
        Ok(Self { servers: hosts.join(","), login, secure })
    }
}

/// What the document says.
fn document(server: Option<&ServerInfo>) -> Options {
    let Some(server) = server else { return Options::default() };
    Options {
        url: Some(format!("{}://{}", INFO.document_scheme(server, server.protocol), server.host)),
        ..Options::default()
    }
}

/// What the document says of the group or client of a channel, in any of its operations.
fn of_operations(
    channel: &ChannelInfo,
    read: impl Fn(amgi::bindings::kafka::Operation) -> Option<Or<String>>,
) -> Result<Option<String>> {
    for operation in channel.operations {
        if let Some(text) = read(operation.typed::<Kafka>()?).and_then(|or| or.value()) {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// The group that the document gives a channel.
pub(crate) fn group_of(channel: &ChannelInfo) -> Result<Option<String>> {
    of_operations(channel, |operation| operation.group_id)
}

/// The options that are given as text, on a command line or in the environment.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "kafka",
    protocols: &["kafka", "kafka-secure"],
    schemes: &["kafka", "kafka-secure", "kafkas"],
    options: &[
        OptionInfo::new(
            "url",
            "URL",
            "Where the brokers are: kafka://user:password@host:port,host:port [default: as the document says]",
        ),
        OptionInfo::new(
            "client-id",
            "ID",
            "Name of this instance in the brokers' logs [default: amgi-PROGRAM-HOST]",
        ),
        OptionInfo::new(
            "group",
            "NAME",
            "Consumer group of all channels [default: as the document says, else amgi-PROGRAM]",
        ),
        OptionInfo::new(
            "instance",
            "ID",
            "Name of this instance that its partitions wait for while it restarts",
        ),
        OptionInfo::USERNAME,
        OptionInfo::PASSWORD,
        OptionInfo::new(
            "mechanism",
            "NAME",
            "SASL mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 [default: PLAIN]",
        ),
        OptionInfo::new(
            "tls",
            "BOOL",
            "Whether connections are encrypted [default: as the URL's scheme says]",
        ),
        OptionInfo::CA_FILE,
        OptionInfo::CERT_FILE,
        OptionInfo::KEY_FILE,
        OptionInfo::new("key-password", "PASSWORD", "Password of the key").secret(),
        OptionInfo::new("start", "PLACE", "Where a new group begins: beginning or end [default: beginning]"),
        OptionInfo::new(
            "concurrency",
            "MESSAGES",
            "How many messages are handled at a time [default: one of every partition]",
        ),
        OptionInfo::new("keys", "LOOPS", "How many keys of a partition are handled at a time [default: 1]"),
        OptionInfo::new(
            "inflight",
            "MESSAGES",
            "How many messages of a partition may be unsettled, with --keys [default: 1000]",
        ),
        OptionInfo::new("buffer", "BYTES", "How much of a partition is fetched ahead [default: 4194304]"),
        OptionInfo::new("create-topics", "BOOL", "Whether topics that are missing are made [default: false]"),
        OptionInfo::new("commit-interval", "SECONDS", "How often what is settled is committed [default: 1]"),
        OptionInfo::new(
            "session-timeout",
            "SECONDS",
            "Silence after which the group gives partitions to others [default: 45]",
        ),
        OptionInfo::new(
            "max-poll-interval",
            "SECONDS",
            "Time after which a stuck member is thrown out [default: 300]",
        ),
        OptionInfo::CONNECT_TIMEOUT,
        OptionInfo::SEND_TIMEOUT,
        OptionInfo::new(
            "revoke-deadline",
            "SECONDS",
            "How long handlers may take when a partition is given up [default: 30]",
        ),
        OptionInfo::SHUTDOWN_DEADLINE,
        OptionInfo::new("properties", "NAME=VALUE,…", "Properties of librdkafka, over everything else"),
    ],
};

const FLAG: [(&str, bool); 2] = [("true", true), ("false", false)];

/// What is given as text.
pub(crate) fn given(values: &Values) -> Result<Options> {
    let password: Option<String> = values.get("password")?;
    let mut properties = Vec::new();
    for pair in values.text("properties").into_iter().flat_map(|text| text.split(',')) {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| values.refuse("properties", "is no list of NAME=VALUE"))?;
        properties.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(Options {
        url: values.get("url")?,
        client_id: values.get("client-id")?,
        group: values.get("group")?,
        instance: values.get("instance")?,
        credentials: values.get("username")?.map(|user: String| (user, password.unwrap_or_default())),
        mechanism: values.get("mechanism")?,
        tls: values.choice("tls", &FLAG)?,
        ca_file: values.get("ca-file")?,
        cert_file: values.get("cert-file")?,
        key_file: values.get("key-file")?,
        key_password: values.get("key-password")?,
        start: values.choice("start", &[("beginning", Start::Beginning), ("end", Start::End)])?,
        concurrency: values.get("concurrency")?,
        keys: values.get("keys")?,
        inflight: values.get("inflight")?,
        buffer: values.get("buffer")?,
        create_topics: values.choice("create-topics", &FLAG)?,
        commit_interval: values.seconds("commit-interval")?,
        session_timeout: values.seconds("session-timeout")?,
        max_poll_interval: values.seconds("max-poll-interval")?,
        connect_timeout: values.seconds("connect-timeout")?,
        send_timeout: values.seconds("send-timeout")?,
        revoke_deadline: values.seconds("revoke-deadline")?,
        shutdown_deadline: values.seconds("shutdown-deadline")?,
        lag_interval: None,
        properties: Some(properties),
    })
}

/// Puts the sources together and fills in the defaults.
pub(crate) fn resolve(
    server: Option<&ServerInfo>,
    channels: &[&ChannelInfo],
    builder: Options,
    environment: Options,
) -> Result<Config> {
    let given = [&builder, &environment].into_iter().filter_map(|options| options.properties.clone());
    let properties: Vec<_> = given.flatten().collect();
    let options = environment.over(builder).over(document(server));
    let url = Url::parse(options.url.as_deref().unwrap_or("kafka://localhost:9092"))?;
    let client_id = match options.client_id.filter(|id| !id.is_empty()) {
        Some(id) => Some(id),
        None => {
            let mut said = None;
            for channel in channels {
                said = of_operations(channel, |operation| operation.client_id)?;
                if said.is_some() {
                    break;
                }
            }
            said
        }
    };
    let seconds = |given: Option<Duration>, default| given.unwrap_or(Duration::from_secs(default));
    let max_poll_interval = match properties.iter().rev().find(|(name, _)| name == "max.poll.interval.ms") {
        Some((_, value)) => Duration::from_millis(
            value
                .parse()
                .map_err(|_| Error::Config(format!("max.poll.interval.ms: `{value}` is no number")))?,
        ),
        None => seconds(options.max_poll_interval, 300),
    };
    // Unless they are said, they fit.
    let deadline = |given: Option<Duration>, name: &str| match given {
        Some(deadline) if deadline >= max_poll_interval => Err(Error::Config(format!(
            "{name} {deadline:?} must be below max.poll.interval.ms, which is {max_poll_interval:?}"
        ))),
        Some(deadline) => Ok(deadline),
        None => Ok(Duration::from_secs(30).min(max_poll_interval / 2)),
    };
    let login = options.credentials.or_else(|| url.login.clone());
    let mut common = ClientConfig::new();
    common.set_log_level(RDKafkaLogLevel::Warning);
    common
        .set("bootstrap.servers", &url.servers)
        .set("client.id", client_id.unwrap_or_else(|| format!("amgi-{}-{}", program_name(), host_name())))
        .set("reconnect.backoff.ms", "100")
        .set("reconnect.backoff.max.ms", "10000")
        // How large a message may be is for the broker to say.
        .set("message.max.bytes", "100000000")
        // New topics that an expression takes, and new partitions.
        .set("topic.metadata.refresh.interval.ms", "30000");
    let tls = options.tls.unwrap_or(url.secure || options.ca_file.is_some() || options.cert_file.is_some());
    if tls && !cfg!(feature = "tls") {
        return Err(Error::Config("TLS needs the feature `tls` of amgi-kafka".to_owned()));
    }
    common.set(
        "security.protocol",
        match (tls, login.is_some()) {
            (false, false) => "plaintext",
            (true, false) => "ssl",
            (false, true) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        },
    );
    if let Some((user, password)) = login {
        let mechanism = options.mechanism.unwrap_or_else(|| "PLAIN".to_owned());
        if mechanism != "PLAIN" && !cfg!(feature = "tls") {
            return Err(Error::Config(format!(
                "mechanism {mechanism} needs the feature `tls` of amgi-kafka"
            )));
        }
        common.set("sasl.mechanism", mechanism).set("sasl.username", user).set("sasl.password", password);
    }
    let files = [
        ("ca-file", "ssl.ca.location", options.ca_file),
        ("cert-file", "ssl.certificate.location", options.cert_file),
        ("key-file", "ssl.key.location", options.key_file),
    ];
    set_files(&mut common, files)?;
    if let Some(password) = options.key_password {
        common.set("ssl.key.password", password);
    }
    Ok(Config {
        url,
        common,
        group: options.group.filter(|group| !group.is_empty()),
        instance: options.instance,
        start: options.start.unwrap_or_default(),
        concurrency: options.concurrency.map(|concurrency| concurrency.max(1)),
        keys: options.keys.unwrap_or(1).max(1),
        inflight: options.inflight.unwrap_or(1000).max(1),
        buffer: options.buffer.unwrap_or(4 * 1024 * 1024),
        create_topics: options.create_topics.unwrap_or(false),
        commit_interval: seconds(options.commit_interval, 1).max(Duration::from_millis(10)),
        session_timeout: seconds(options.session_timeout, 45),
        max_poll_interval,
        connect_timeout: seconds(options.connect_timeout, 10),
        send_timeout: seconds(options.send_timeout, 30),
        revoke_deadline: deadline(options.revoke_deadline, "the revoke deadline")?,
        shutdown_deadline: deadline(options.shutdown_deadline, "the shutdown deadline")?,
        lag_interval: options.lag_interval,
        properties,
    })
}

/// Option, property and path of each. librdkafka says little of a file that is not there.
fn set_files(config: &mut ClientConfig, files: [(&str, &str, Option<String>); 3]) -> Result<()> {
    let mut problems = Vec::new();
    for (option, property, path) in files {
        let Some(path) = path else { continue };
        if let Err(error) = std::fs::File::open(&path) {
            problems.push(format!("{option} `{path}`: {error}"));
        }
        config.set(property, path);
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::Config(problems.join("; "))) }
}

/// `amgi-<program>`: the same after a restart, and on every machine.
pub(crate) fn default_group() -> String {
    format!("amgi-{}", program_name())
}

#[cfg(test)]
mod tests;
