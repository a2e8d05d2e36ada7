//! Configuration: what the document says, what the builder says over it, and what the environment says over both.

use std::time::Duration;

use amgi::{
    Error, Result, ServerInfo,
    protocol::{OptionInfo, ProtocolInfo, Values},
    server::Backoff,
};

use crate::url::Url;

/// The longest that SQS hides a message.
pub(crate) const MOST_VISIBILITY: Duration = Duration::from_secs(12 * 60 * 60);

amgi::server_options! {
    url: String,
    region: String,
    credentials: (String, String),
    visibility: Duration,
    wait: Duration,
    pollers: usize,
    concurrency: usize,
    linger: Duration,
    declare: bool,
    envelopes: bool,
    numbers: Vec<String>,
    connect_timeout: Duration,
    send_timeout: Duration,
    shutdown_deadline: Duration,
    reconnect: Backoff,
}

/// Everything that is settled before anything is asked of AWS.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) url: Url,
    pub(crate) region: Option<String>,
    pub(crate) credentials: Option<(String, String)>,
    /// Whole seconds; `None` for what the queue says.
    pub(crate) visibility: Option<u32>,
    /// Whole seconds; `None` for what the document says of the queue.
    pub(crate) wait: Option<u32>,
    pub(crate) pollers: usize,
    pub(crate) concurrency: usize,
    pub(crate) linger: Duration,
    pub(crate) declare: bool,
    pub(crate) envelopes: bool,
    /// Headers that are sent as numbers.
    pub(crate) numbers: Vec<String>,
    pub(crate) connect_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) shutdown_deadline: Duration,
    pub(crate) reconnect: Backoff,
}

/// The options that are given as text, on a command line or in the environment.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "sqs",
    protocols: &["sqs", "sns"],
    schemes: &["sqs", "sqs+http", "sqs+https"],
    options: &[
        OptionInfo::new(
            "url",
            "URL",
            "Where SQS is: sqs://REGION, or an endpoint with sqs+http://HOST:PORT [default: as the document says]",
        ),
        OptionInfo::new(
            "region",
            "REGION",
            "Region of AWS [default: as the URL or the AWS configuration says]",
        ),
        OptionInfo::new("access-key", "ID", "Access key id [default: as the AWS configuration says]"),
        OptionInfo::new("secret-key", "KEY", "Secret of the access key").secret(),
        OptionInfo::new(
            "addresses",
            "CHANNEL=ADDRESS,…",
            "Addresses of a channel with parameters, which SQS needs; several channels are divided by `;`",
        ),
        OptionInfo::new(
            "queues",
            "ADDRESS=QUEUE,…",
            "Queues by name, URL or ARN, and topics of SNS by ARN, where they are not called as their address",
        ),
        OptionInfo::new(
            "visibility",
            "SECONDS",
            "How long a received message is hidden before SQS is told again [default: as the queue says]",
        ),
        OptionInfo::new("wait", "SECONDS", "How long a poll waits for messages, at most 20 [default: 20]"),
        OptionInfo::new("pollers", "POLLS", "How many polls of a queue wait at a time [default: 1]"),
        OptionInfo::new(
            "concurrency",
            "MESSAGES",
            "How many messages of a channel are handled at a time [default: 16]",
        ),
        OptionInfo::new("linger", "SECONDS", "How long a delete may wait for others [default: 0.005]"),
        OptionInfo::new("declare", "BOOL", "Make queues that are missing [default: false]"),
        OptionInfo::new("envelopes", "BOOL", "Take messages out of the envelopes of SNS [default: false]"),
        OptionInfo::new("numbers", "HEADERS", "Headers that are sent as numbers, separated by commas"),
        OptionInfo::new("connect-timeout", "SECONDS", "How long AWS may take to answer [default: 10]"),
        OptionInfo::new(
            "send-timeout",
            "SECONDS",
            "How long a send may take, attempts included [default: 30]",
        ),
        OptionInfo::new(
            "shutdown-deadline",
            "SECONDS",
            "How long handlers may take to finish at the end [default: 30]",
        ),
    ],
};

/// What is given as text.
pub(crate) fn given(values: &Values) -> Result<Options> {
    let flag = |name| values.choice(name, &[("true", true), ("false", false)]);
    let id: Option<String> = values.get("access-key")?;
    let secret: Option<String> = values.get("secret-key")?;
    let credentials = match (id, secret) {
        (Some(id), Some(secret)) => Some((id, secret)),
        (None, None) => None,
        (Some(_), None) => return Err(Error::Config("an access key needs its secret key".into())),
        (None, Some(_)) => return Err(Error::Config("a secret key needs its access key".into())),
    };
    let numbers: Option<String> = values.get("numbers")?;
    Ok(Options {
        url: values.get("url")?,
        region: values.get("region")?,
        credentials,
        visibility: values.seconds("visibility")?,
        wait: values.seconds("wait")?,
        pollers: values.get("pollers")?,
        concurrency: values.get("concurrency")?,
        linger: values.seconds("linger")?,
        declare: flag("declare")?,
        envelopes: flag("envelopes")?,
        numbers: numbers.map(|names| names.split(',').map(|name| name.trim().to_owned()).collect()),
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

/// The queues that are given as text: `ADDRESS=QUEUE,ADDRESS=QUEUE`.
pub(crate) fn queues(values: &Values) -> Result<Vec<(String, String)>> {
    let Some(text) = values.text("queues") else { return Ok(Vec::new()) };
    let pair = |text: &str| {
        let (address, queue) = text.split_once('=')?;
        let (address, queue) = (address.trim(), queue.trim());
        (!address.is_empty() && !queue.is_empty()).then(|| (address.to_owned(), queue.to_owned()))
    };
    let pairs: Option<Vec<_>> = text.split(',').filter(|text| !text.trim().is_empty()).map(pair).collect();
    pairs.ok_or_else(|| values.refuse("queues", "is not ADDRESS=QUEUE,ADDRESS=QUEUE"))
}

/// Whole seconds, rounded up: what SQS is told is never shorter than what was asked for.
pub(crate) fn seconds(time: Duration) -> u32 {
    let time = time.min(MOST_VISIBILITY);
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX) + u32::from(time.subsec_nanos() > 0)
}

/// Puts the sources together and fills in the defaults.
pub(crate) fn resolve(server: Option<&ServerInfo>, builder: Options, given: Options) -> Result<Config> {
    let document = server.map_or_else(Options::default, |server| {
        let scheme = if server.scheme == "http" { "sqs+http" } else { INFO.document_scheme(server, "sqs") };
        Options { url: Some(format!("{scheme}://{}{}", server.host, server.path)), ..Options::default() }
    });
    let options = given.over(builder).over(document);
    let url = Url::parse(options.url.as_deref().unwrap_or("sqs://"))?;
    if options.visibility.is_some_and(|time| time.is_zero() || time > MOST_VISIBILITY) {
        return Err(Error::Config("visibility: SQS hides messages for 1 to 43200 seconds".into()));
    }
    if options.wait.is_some_and(|time| time > Duration::from_secs(20)) {
        return Err(Error::Config("wait: a poll of SQS waits for 20 seconds at most".into()));
    }
    let seconds_or = |given: Option<Duration>, default| given.unwrap_or(Duration::from_secs(default));
    Ok(Config {
        region: options.region.or_else(|| url.region.clone()),
        credentials: options.credentials.or_else(|| url.credentials.clone()),
        visibility: options.visibility.map(seconds),
        wait: options.wait.map(seconds),
        pollers: options.pollers.unwrap_or(1).max(1),
        concurrency: options.concurrency.unwrap_or(16).max(1),
        linger: options.linger.unwrap_or(Duration::from_millis(5)),
        declare: options.declare.unwrap_or(false),
        envelopes: options.envelopes.unwrap_or(false),
        numbers: options.numbers.unwrap_or_default(),
        connect_timeout: seconds_or(options.connect_timeout, 10),
        send_timeout: seconds_or(options.send_timeout, 30),
        shutdown_deadline: seconds_or(options.shutdown_deadline, 30),
        reconnect: options.reconnect.unwrap_or_default(),
        url,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: ServerInfo = ServerInfo {
        name: "main",
        protocol: "sqs",
        host: "sqs.eu-west-1.amazonaws.com",
        path: "",
        scheme: "",
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
        assert_eq!((config.region.as_deref(), config.url.endpoint), (Some("eu-west-1"), None));
        let builder = Options {
            url: Some("sqs+http://a:b@localhost:4566".into()),
            pollers: Some(3),
            ..Options::default()
        };
        let config = resolve(Some(&SERVER), builder.clone(), Options::default()).unwrap();
        assert_eq!(config.url.endpoint.as_deref(), Some("http://localhost:4566"));
        assert_eq!(config.credentials, Some(("a".into(), "b".into())));
        let environment = given(&lookup(&[
            ("AMGI_SQS_URL", "sqs://us-east-2"),
            ("AMGI_SQS_VISIBILITY", "1.5"),
            ("AMGI_SQS_NUMBERS", "a, b"),
            ("AMGI_SQS_ACCESS_KEY", "c"),
            ("AMGI_SQS_SECRET_KEY", "d"),
        ]))
        .unwrap();
        let config = resolve(Some(&SERVER), builder, environment).unwrap();
        assert_eq!((config.region.as_deref(), config.pollers), (Some("us-east-2"), 3));
        assert_eq!((config.visibility, config.wait), (Some(2), None));
        assert_eq!(config.numbers, ["a", "b"]);
        assert_eq!(config.credentials, Some(("c".into(), "d".into())));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for options in [
            Options { visibility: Some(Duration::ZERO), ..Options::default() },
            Options { visibility: Some(Duration::from_secs(43_201)), ..Options::default() },
            Options { wait: Some(Duration::from_secs(21)), ..Options::default() },
        ] {
            assert!(resolve(None, options, Options::default()).is_err());
        }
        assert!(given(&lookup(&[("AMGI_SQS_ACCESS_KEY", "c")])).is_err());
        assert!(queues(&lookup(&[("AMGI_SQS_QUEUES", "a")])).is_err());
        let two = queues(&lookup(&[("AMGI_SQS_QUEUES", "a=q, b=arn:aws:sns:r:1:t")])).unwrap();
        assert_eq!(two, [("a".into(), "q".into()), ("b".into(), "arn:aws:sns:r:1:t".into())]);
        assert!(addresses(&lookup(&[("AMGI_SQS_ADDRESSES", "numbers")])).is_err());
    }
}
