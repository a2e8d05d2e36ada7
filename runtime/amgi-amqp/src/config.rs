//! Configuration: what the document says, what the builder says over it, and what the environment says over both.

use std::{fmt, path::PathBuf, time::Duration};

use amgi::{
    BindingValue, ChannelInfo, Error, Result, ServerInfo,
    bindings::Amqp,
    protocol::{OptionInfo, ProtocolInfo, Values},
    server::{Backoff, program_name},
};
use lapin::{
    types::{AMQPValue, FieldTable},
    uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo},
};

use crate::tls::Tls;

amgi::server_options! {
    url: String,
    vhost: String,
    credentials: (String, String),
    ca_file: PathBuf,
    cert_file: PathBuf,
    key_file: PathBuf,
    group: String,
    exchange: String,
    declare: bool,
    queue_arguments: Vec<(String, BindingValue)>,
    dead_letter_exchange: String,
    prefetch: u16,
    concurrency: usize,
    reply_to_header: String,
    correlation_id_header: String,
    heartbeat: Duration,
    connect_timeout: Duration,
    send_timeout: Duration,
    shutdown_deadline: Duration,
    reconnect: Backoff,
}

/// Everything that connections, topology and messages need to know.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) url: Url,
    pub(crate) tls: Option<Tls>,
    pub(crate) group: String,
    /// For addresses of which nothing says the exchange.
    pub(crate) exchange: Option<String>,
    pub(crate) declare: bool,
    pub(crate) queue_arguments: FieldTable,
    pub(crate) dead_letter_exchange: Option<String>,
    pub(crate) prefetch: u16,
    pub(crate) concurrency: usize,
    /// Headers that stand for properties; empty where none does.
    pub(crate) reply_to_header: String,
    pub(crate) correlation_id_header: String,
    pub(crate) heartbeat: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) shutdown_deadline: Duration,
    pub(crate) reconnect: Backoff,
}

/// The parts of `amqp://user:password@host:port/vhost`. Shown without the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    tls: bool,
    host: String,
    port: u16,
    pub(crate) login: Option<(String, String)>,
    pub(crate) vhost: Option<String>,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls { "amqps://" } else { "amqp://" })?;
        if let Some((user, _)) = &self.login {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)?;
        } else {
            write!(f, "{}:{}", self.host, self.port)?;
        }
        match self.vhost.as_deref() {
            None | Some("/") => Ok(()),
            Some(vhost) => write!(f, "/{vhost}"),
        }
    }
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("amqp", text));
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, address) = match authority.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, authority),
        };
        // Whatever is wrong, the password is not repeated.
        let fail = |detail: &str| Error::Config(format!("url `{scheme}://{address}`: {detail}"));
        let tls = match scheme {
            "amqp" => false,
            "amqps" => true,
            _ => return Err(fail("the scheme must be amqp or amqps")),
        };
        let (host, port) = match address.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(|| fail("`[` without `]`"))?;
                (host, port.strip_prefix(':'))
            }
            None => match address.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (address, None),
            },
        };
        if host.is_empty() {
            return Err(fail("the host is missing"));
        }
        let port = match port {
            None | Some("") if tls => 5671,
            None | Some("") => 5672,
            Some(port) => port.parse().map_err(|_| fail("the port is no number from 1 to 65535"))?,
        };
        let decoded = |text: &str| amgi::address::decode(text).into_owned();
        let login = login.map(|login| {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            (decoded(user), decoded(password))
        });
        // A path of `/` alone is how most people write that there is none.
        let vhost = (!path.is_empty()).then(|| decoded(path));
        Ok(Self { tls, host: host.to_owned(), port, login, vhost })
    }

    /// What lapin connects to; TLS is put over it where there is any.
    pub(crate) fn uri(&self, heartbeat: Duration) -> AMQPUri {
        let (username, password) =
            self.login.clone().unwrap_or_else(|| ("guest".to_owned(), "guest".to_owned()));
        AMQPUri {
            scheme: if self.tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo { username, password },
                host: self.host.clone(),
                port: self.port,
            },
            vhost: self.vhost.clone().unwrap_or_else(|| "/".to_owned()),
            query: AMQPQueryString {
                heartbeat: Some(u16::try_from(heartbeat.as_secs()).unwrap_or(u16::MAX)),
                ..AMQPQueryString::default()
            },
        }
    }
}

/// The options that are given as text, on a command line or in the environment.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "amqp",
    protocols: &["amqp", "amqps", "rabbitmq"],
    schemes: &["amqp", "amqps"],
    options: &[
        OptionInfo::new(
            "url",
            "URL",
            "Where the broker is: amqp://user:password@host:port/vhost [default: as the document says]",
        ),
        OptionInfo::new(
            "vhost",
            "NAME",
            "Virtual host [default: that of the URL, else the document's, else /]",
        ),
        OptionInfo::USERNAME,
        OptionInfo::PASSWORD,
        OptionInfo::CA_FILE,
        OptionInfo::CERT_FILE,
        OptionInfo::KEY_FILE,
        OptionInfo::new("group", "NAME", "Instances of a group share its queues [default: PROGRAM]"),
        OptionInfo::new(
            "exchange",
            "NAME",
            "Exchange of addresses of which the document says none [default: queues of their names, \
             and amq.topic where there are parameters]",
        ),
        OptionInfo::new("declare", "BOOL", "Whether missing queues and exchanges are made [default: true]"),
        OptionInfo::new(
            "queue-arguments",
            "NAME=VALUE,...",
            "Arguments of queues that are made, such as x-queue-type=quorum",
        ),
        OptionInfo::new("dead-letter-exchange", "NAME", "Exchange that dead letters of queues go to"),
        OptionInfo::new(
            "prefetch",
            "MESSAGES",
            "How many messages of a queue may wait for their acknowledgement [default: 200]",
        ),
        OptionInfo::new("concurrency", "ADDRESSES", "How many addresses are handled at a time [default: 16]"),
        OptionInfo::new("heartbeat", "SECONDS", "How long the connection may be silent [default: 30]"),
        OptionInfo::CONNECT_TIMEOUT,
        OptionInfo::SEND_TIMEOUT,
        OptionInfo::SHUTDOWN_DEADLINE,
    ],
};

/// What is given as text.
pub(crate) fn given(values: &Values) -> Result<Options> {
    let password: Option<String> = values.get("password")?;
    let arguments = values.text("queue-arguments").map(|text| {
        let pairs = text.split(',').filter(|pair| !pair.trim().is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=')?;
                Some((name.trim().to_owned(), scalar(value.trim())))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| values.refuse("queue-arguments", "is no list of NAME=VALUE"))
    });
    Ok(Options {
        url: values.get("url")?,
        vhost: values.get("vhost")?,
        credentials: values.get("username")?.map(|user: String| (user, password.unwrap_or_default())),
        ca_file: values.get("ca-file")?,
        cert_file: values.get("cert-file")?,
        key_file: values.get("key-file")?,
        group: values.get("group")?,
        exchange: values.get("exchange")?,
        declare: values.choice("declare", &[("true", true), ("false", false)])?,
        queue_arguments: arguments.transpose()?,
        dead_letter_exchange: values.get("dead-letter-exchange")?,
        prefetch: values.get("prefetch")?,
        concurrency: values.get("concurrency")?,
        reply_to_header: None,
        correlation_id_header: None,
        heartbeat: values.seconds("heartbeat")?,
        connect_timeout: values.seconds("connect-timeout")?,
        send_timeout: values.seconds("send-timeout")?,
        shutdown_deadline: values.seconds("shutdown-deadline")?,
        reconnect: None,
    })
}

/// A number, a flag, else text.
fn scalar(text: &str) -> BindingValue {
    match (text, text.parse::<i64>()) {
        ("true", _) => true.into(),
        ("false", _) => false.into(),
        (_, Ok(number)) => number.into(),
        _ => text.into(),
    }
}

/// The arguments as the broker takes them.
fn arguments(options: &Options) -> Result<FieldTable> {
    let mut table = FieldTable::default();
    let exchange = options.dead_letter_exchange.as_deref();
    let exchange = exchange.map(|name| ("x-dead-letter-exchange".to_owned(), BindingValue::from(name)));
    for (name, value) in options.queue_arguments.iter().flatten().cloned().chain(exchange) {
        let value = match value {
            BindingValue::Null => AMQPValue::Void,
            BindingValue::Bool(flag) => AMQPValue::Boolean(flag),
            BindingValue::Int(number) => AMQPValue::LongLongInt(number),
            BindingValue::Text(text) => AMQPValue::LongString(text.as_bytes().to_vec().into()),
            BindingValue::Bytes(bytes) => AMQPValue::LongString(bytes.to_vec().into()),
        };
        table.insert(short("queue argument", &name)?, value);
    }
    Ok(table)
}

/// A name that the broker can hold.
pub(crate) fn short(what: &str, text: &str) -> Result<lapin::types::ShortString> {
    lapin::types::ShortString::try_new(text)
        .map_err(|_| Error::Config(format!("{what} `{text}` is longer than 255 bytes")))
}

/// What the document says: where its server is, and the virtual host of its channels.
fn document<'a>(
    server: Option<&ServerInfo>,
    channels: impl Iterator<Item = &'a ChannelInfo>,
) -> Result<Options> {
    let mut vhosts: Vec<String> = Vec::new();
    for channel in channels {
        let binding = channel.typed::<Amqp>()?;
        let exchange = binding.exchange.and_then(|exchange| exchange.vhost);
        for vhost in [exchange, binding.queue.and_then(|queue| queue.vhost)].into_iter().flatten() {
            if !vhost.is_empty() && !vhosts.contains(&vhost) {
                vhosts.push(vhost);
            }
        }
    }
    if vhosts.len() > 1 {
        return Err(Error::Config(format!(
            "the document's channels are on several virtual hosts, and a server has one: `{}`; run a server for each, \
             or say which is meant with `vhost`",
            vhosts.join("`, `")
        )));
    }
    let url = server.map(|server| {
        let scheme = if server.protocol == "amqps" { "amqps" } else { "amqp" };
        let scheme = INFO.document_scheme(server, scheme);
        format!("{scheme}://{}{}", server.host, server.path)
    });
    Ok(Options { url, vhost: vhosts.pop(), ..Options::default() })
}

/// Puts the sources together and fills in the defaults.
pub(crate) fn resolve<'a>(
    server: Option<&ServerInfo>,
    channels: impl Iterator<Item = &'a ChannelInfo>,
    builder: Options,
    environment: Options,
) -> Result<Config> {
    let own = environment.over(builder);
    // Which one is meant is said: the document's need not agree.
    let document = match own.vhost {
        Some(_) => document(server, std::iter::empty())?,
        None => document(server, channels)?,
    };
    let said = own.vhost.clone();
    let documented = document.vhost.clone();
    let options = own.over(document);
    let mut url = Url::parse(options.url.as_deref().unwrap_or("amqp://localhost:5672"))?;
    url.vhost = said.or(url.vhost).or(documented);
    url.login = options.credentials.clone().or(url.login);
    let queue_arguments = arguments(&options)?;
    let files = [options.ca_file, options.cert_file, options.key_file];
    let tls = if url.tls {
        Some(Tls::new(files)?)
    } else if files.iter().any(Option::is_some) {
        return Err(Error::Config(format!(
            "ca-file, cert-file and key-file are for TLS, and `{url}` is without; use amqps://"
        )));
    } else {
        None
    };
    let group = options.group.unwrap_or_else(program_name);
    if group.is_empty() || group.starts_with("amq.") {
        return Err(Error::Config(format!("group `{group}` must not be empty nor begin with `amq.`")));
    }
    Ok(Config {
        url,
        tls,
        group,
        exchange: options.exchange,
        declare: options.declare.unwrap_or(true),
        queue_arguments,
        dead_letter_exchange: options.dead_letter_exchange,
        prefetch: options.prefetch.unwrap_or(200).max(1),
        concurrency: options.concurrency.unwrap_or(16).max(1),
        reply_to_header: options.reply_to_header.unwrap_or_else(|| "reply-to".to_owned()),
        correlation_id_header: options.correlation_id_header.unwrap_or_else(|| "correlation-id".to_owned()),
        heartbeat: options.heartbeat.unwrap_or(Duration::from_secs(30)),
        connect_timeout: options.connect_timeout.unwrap_or(Duration::from_secs(10)),
        send_timeout: options.send_timeout.unwrap_or(Duration::from_secs(30)),
        shutdown_deadline: options.shutdown_deadline.unwrap_or(Duration::from_secs(30)),
        reconnect: options.reconnect.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(builder: Options, channels: &[ChannelInfo]) -> Result<Config> {
        resolve(None, channels.iter(), builder, Options::default())
    }

    #[test]
    fn urls_are_taken_apart_and_shown_without_the_password() {
        let url = Url::parse("amqp://us%40er:p%2Fw@broker.example:5673/a%2Fb").unwrap();
        assert_eq!(url.login, Some(("us@er".to_owned(), "p/w".to_owned())));
        assert_eq!(url.vhost.as_deref(), Some("a/b"));
        assert_eq!(url.to_string(), "amqp://us@er@broker.example:5673/a/b");
        assert_eq!(Url::parse("localhost").unwrap().uri(Duration::ZERO).vhost, "/");
        assert_eq!(Url::parse("amqp://localhost/").unwrap().vhost, None);
        let six = Url::parse("amqp://[::1]:1885").unwrap().uri(Duration::from_secs(5));
        assert_eq!((six.authority.host.as_str(), six.authority.port), ("::1", 1885));
        assert_eq!(six.query.heartbeat, Some(5));
        assert_eq!(six.authority.userinfo.username, "guest");
    }

    #[test]
    fn bad_urls_say_why_and_keep_the_password() {
        for url in ["http://u:secret@x", "amqp://u:secret@x:port", "amqp://u:secret@", "amqp://u:secret@[::1"]
        {
            let error = Url::parse(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_virtual_host_is_that_of_the_builder_the_url_or_the_document() {
        let on = |json: &'static str| {
            let bindings: &'static [amgi::BindingInfo] =
                Box::leak(Box::new([amgi::BindingInfo { protocol: "amqp", json }]));
            ChannelInfo { bindings, ..ChannelInfo::new("a", "a") }
        };
        let a = on(r#"{"is":"queue","queue":{"vhost":"a"}}"#);
        let b = on(r#"{"exchange":{"name":"x","vhost":"b"}}"#);
        let vhost = |options: Options, channels: &[ChannelInfo]| {
            resolved(options, channels).map(|config| config.url.vhost.unwrap_or_default())
        };
        let url = Options { url: Some("amqp://x/u".to_owned()), ..Options::default() };
        assert_eq!(vhost(Options::default(), std::slice::from_ref(&a)).unwrap(), "a");
        assert_eq!(vhost(url.clone(), std::slice::from_ref(&a)).unwrap(), "u");
        assert_eq!(
            vhost(Options { vhost: Some("v".to_owned()), ..url }, &[a.clone(), b.clone()]).unwrap(),
            "v"
        );
        assert!(vhost(Options::default(), &[a, b]).is_err());
    }

    #[test]
    fn queue_arguments_are_read_from_text() {
        let mut values = Values::default();
        values.set("queue-arguments", "x-queue-type=quorum, x-delivery-limit=3", "--queue-arguments");
        let config = resolved(given(&values).unwrap(), &[]).unwrap();
        let table = config.queue_arguments.inner();
        assert_eq!(table.get("x-delivery-limit"), Some(&AMQPValue::LongLongInt(3)));
        assert_eq!(table.get("x-queue-type"), Some(&AMQPValue::LongString("quorum".into())));
        values.set("queue-arguments", "quorum", "--queue-arguments");
        let error = given(&values).unwrap_err().to_string();
        assert!(error.contains("--queue-arguments: `quorum` is no list"), "{error}");
    }
}
