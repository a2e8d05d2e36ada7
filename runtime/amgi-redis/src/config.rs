//! Configuration: what the document says, what the builder says over it, and what the environment says over both.

use std::{path::PathBuf, time::Duration};

use amgi::{
    Error, Result, ServerInfo,
    protocol::{OptionInfo, ProtocolInfo, Values},
    server::{Backoff, host_name, program_name},
};

use crate::{Via, place::Place};

/// Where a new consumer group begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// With everything that is in the stream (`0`).
    #[default]
    Oldest,
    /// With what is added from then on (`$`).
    Newest,
}

amgi::server_options! {
    url: String,
    credentials: (String, String),
    ca_file: PathBuf,
    cert_file: PathBuf,
    key_file: PathBuf,
    via: Via,
    group: String,
    consumer: String,
    start: Start,
    concurrency: usize,
    ordered: bool,
    prefetch: usize,
    linger: Duration,
    min_idle: Duration,
    max_deliveries: u32,
    max_length: u64,
    buffer: usize,
    connect_timeout: Duration,
    send_timeout: Duration,
    shutdown_deadline: Duration,
    reconnect: Backoff,
}

/// Everything that a connection needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) place: Place,
    pub(crate) via: Via,
    pub(crate) group: String,
    pub(crate) consumer: String,
    pub(crate) start: Start,
    pub(crate) concurrency: usize,
    pub(crate) ordered: bool,
    pub(crate) prefetch: usize,
    pub(crate) linger: Duration,
    pub(crate) min_idle: Duration,
    /// None are too many where it is zero.
    pub(crate) max_deliveries: u32,
    pub(crate) max_length: Option<u64>,
    /// Bytes.
    pub(crate) buffer: usize,
    pub(crate) send_timeout: Duration,
    pub(crate) shutdown_deadline: Duration,
    pub(crate) reconnect: Backoff,
}

/// The options that are given as text, on a command line or in the environment.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "redis",
    protocols: &["redis", "rediss", "redis-secure"],
    schemes: &[
        "redis",
        "rediss",
        "redis+unix",
        "redis-cluster",
        "rediss-cluster",
        "redis-sentinel",
        "rediss-sentinel",
        "valkey",
        "valkeys",
    ],
    options: &[
        OptionInfo::new(
            "url",
            "URL",
            "Where Redis is: redis://user:password@host:port/db [default: as the document says]",
        ),
        OptionInfo::USERNAME,
        OptionInfo::PASSWORD,
        OptionInfo::CA_FILE,
        OptionInfo::CERT_FILE,
        OptionInfo::KEY_FILE,
        OptionInfo::new("via", "WAY", "What messages go through: streams or pubsub [default: streams]"),
        OptionInfo::new(
            "addresses",
            "CHANNEL=ADDRESS,…",
            "Addresses of a channel with parameters, which streams need; several channels are divided by `;`",
        ),
        OptionInfo::new(
            "group",
            "NAME",
            "Consumer group, whose instances share the messages [default: amgi-PROGRAM]",
        ),
        OptionInfo::new(
            "consumer",
            "NAME",
            "Name of this instance in the group [default: amgi-PROGRAM-HOST]",
        ),
        OptionInfo::new("start", "WHERE", "Where a new group begins: oldest or newest [default: oldest]"),
        OptionInfo::new("concurrency", "STREAMS", "How many streams are handled at a time [default: 16]"),
        OptionInfo::new(
            "ordered",
            "BOOL",
            "Whether the messages of a stream are handled one after the other [default: true]",
        ),
        OptionInfo::new(
            "prefetch",
            "MESSAGES",
            "How many messages of a stream are fetched at a time [default: 100]",
        ),
        OptionInfo::new(
            "linger",
            "SECONDS",
            "How long an acknowledgement may wait for others [default: 0.005]",
        ),
        OptionInfo::new(
            "min-idle",
            "SECONDS",
            "How long a consumer is silent before others take its messages [default: 60]",
        ),
        OptionInfo::new(
            "max-deliveries",
            "TIMES",
            "How often a message may be delivered that ends the process [default: 10]",
        ),
        OptionInfo::new(
            "max-length",
            "ENTRIES",
            "About how many entries a stream keeps that is sent to [default: all]",
        ),
        OptionInfo::new(
            "buffer",
            "BYTES",
            "How many bytes of published messages may wait for handlers [default: 67108864]",
        ),
        OptionInfo::CONNECT_TIMEOUT,
        OptionInfo::SEND_TIMEOUT,
        OptionInfo::SHUTDOWN_DEADLINE,
    ],
};

/// What is given as text.
pub(crate) fn given(values: &Values) -> Result<Options> {
    let password: Option<String> = values.get("password")?;
    let user: Option<String> = values.get("username")?;
    Ok(Options {
        url: values.get("url")?,
        credentials: (password.is_some() || user.is_some())
            .then(|| (user.unwrap_or_default(), password.unwrap_or_default())),
        ca_file: values.get("ca-file")?,
        cert_file: values.get("cert-file")?,
        key_file: values.get("key-file")?,
        via: values.choice("via", &[("streams", Via::Stream), ("pubsub", Via::PubSub)])?,
        group: values.get("group")?,
        consumer: values.get("consumer")?,
        start: values.choice("start", &[("oldest", Start::Oldest), ("newest", Start::Newest)])?,
        concurrency: values.get("concurrency")?,
        ordered: values.choice("ordered", &[("true", true), ("false", false)])?,
        prefetch: values.get("prefetch")?,
        linger: values.seconds("linger")?,
        min_idle: values.seconds("min-idle")?,
        max_deliveries: values.get("max-deliveries")?,
        max_length: values.get("max-length")?,
        buffer: values.get("buffer")?,
        connect_timeout: values.seconds("connect-timeout")?,
        send_timeout: values.seconds("send-timeout")?,
        shutdown_deadline: values.seconds("shutdown-deadline")?,
        reconnect: None,
    })
}

/// The addresses that are given as text: `CHANNEL=ADDRESS,ADDRESS;CHANNEL=ADDRESS`.
pub(crate) fn addresses(values: &Values) -> Result<Vec<(String, Vec<String>)>> {
    let Some(text) = values.text("addresses") else { return Ok(Vec::new()) };
    let channel = |text: &str| {
        let (channel, addresses) = text.split_once('=')?;
        let addresses: Vec<_> = addresses.split(',').map(|address| address.trim().to_owned()).collect();
        let whole = !channel.trim().is_empty() && addresses.iter().all(|address| !address.is_empty());
        whole.then(|| (channel.trim().to_owned(), addresses))
    };
    let channels: Option<Vec<_>> =
        text.split(';').filter(|text| !text.trim().is_empty()).map(channel).collect();
    channels.ok_or_else(|| values.refuse("addresses", "is not CHANNEL=ADDRESS,ADDRESS;CHANNEL=ADDRESS"))
}

/// Puts the sources together and fills in the defaults.
pub(crate) fn resolve(server: Option<&ServerInfo>, builder: Options, given: Options) -> Result<Config> {
    let document = server.map_or_else(Options::default, |server| {
        let scheme = if server.protocol == "redis" { "redis" } else { "rediss" };
        let scheme = INFO.document_scheme(server, scheme);
        Options { url: Some(format!("{scheme}://{}{}", server.host, server.path)), ..Options::default() }
    });
    let options = given.over(builder).over(document);
    let url = options.url.as_deref().unwrap_or("redis://localhost");
    let timeout = options.connect_timeout.unwrap_or(Duration::from_secs(10));
    let files = [options.ca_file, options.cert_file, options.key_file];
    let program = program_name();
    let name =
        |given: Option<String>, otherwise: String| given.filter(|name| !name.is_empty()).unwrap_or(otherwise);
    let min_idle = options.min_idle.unwrap_or(Duration::from_secs(60));
    if min_idle < Duration::from_secs(1) {
        return Err(Error::Config(format!(
            "min idle {min_idle:?}: a consumer needs a second at least to say that it is there"
        )));
    }
    Ok(Config {
        place: Place::parse(url, options.credentials.as_ref(), files, timeout)?,
        via: options.via.unwrap_or_default(),
        group: name(options.group, format!("amgi-{program}")),
        consumer: name(options.consumer, format!("amgi-{program}-{}", host_name())),
        start: options.start.unwrap_or_default(),
        concurrency: options.concurrency.unwrap_or(16).max(1),
        ordered: options.ordered.unwrap_or(true),
        prefetch: options.prefetch.unwrap_or(100).max(1),
        linger: options.linger.unwrap_or(Duration::from_millis(5)),
        min_idle,
        max_deliveries: options.max_deliveries.unwrap_or(10),
        max_length: options.max_length,
        buffer: options.buffer.unwrap_or(64 * 1024 * 1024).max(1),
        send_timeout: options.send_timeout.unwrap_or(Duration::from_secs(30)),
        shutdown_deadline: options.shutdown_deadline.unwrap_or(Duration::from_secs(30)),
        reconnect: options.reconnect.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: ServerInfo = ServerInfo {
        name: "main",
        protocol: "redis",
        scheme: "",
        host: "document:1",
        path: "/2",
        bindings: &[],
    };

    fn lookup(pairs: &'static [(&'static str, &'static str)]) -> Values {
        INFO.from_lookup(|name| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn later_sources_win() {
        let config = resolve(Some(&SERVER), Options::default(), Options::default()).unwrap();
        assert_eq!(config.place.to_string(), "redis://document:1/2");
        assert_eq!(config.consumer, resolve(None, Options::default(), Options::default()).unwrap().consumer);
        let builder =
            Options { url: Some("redis://builder".into()), prefetch: Some(3), ..Options::default() };
        let environment = given(&lookup(&[
            ("AMGI_REDIS_URL", "redis://environment"),
            ("AMGI_REDIS_VIA", "pubsub"),
            ("AMGI_REDIS_MIN_IDLE", "9"),
        ]));
        let config = resolve(Some(&SERVER), builder, environment.unwrap()).unwrap();
        assert_eq!((config.place.to_string().as_str(), config.prefetch), ("redis://environment", 3));
        assert_eq!((config.via, config.min_idle), (Via::PubSub, Duration::from_secs(9)));
    }

    #[test]
    fn the_environment_is_checked() {
        let error = given(&lookup(&[("AMGI_REDIS_PREFETCH", "many")])).unwrap_err().to_string();
        assert!(error.contains("AMGI_REDIS_PREFETCH"), "{error}");
        assert!(given(&lookup(&[("AMGI_REDIS_VIA", "lists")])).is_err());
        assert!(addresses(&lookup(&[("AMGI_REDIS_ADDRESSES", "numbers")])).is_err());
        let two = addresses(&lookup(&[("AMGI_REDIS_ADDRESSES", "a=a.1, a.2;b=b.1")])).unwrap();
        assert_eq!(two, [("a".into(), vec!["a.1".into(), "a.2".into()]), ("b".into(), vec!["b.1".into()])]);
        let short = Options { min_idle: Some(Duration::from_millis(10)), ..Options::default() };
        assert!(resolve(None, short, Options::default()).is_err());
    }
}
