//! Configuration: what the document says, what the builder says over it, and what the environment says over both.

use std::{fmt, path::PathBuf, time::Duration};

use amgi::{
    Application, ChannelInfo, Error, Result, ServerInfo,
    protocol::{OptionInfo, ProtocolInfo, Values},
    server::{Backoff, program_name, tls::Tls},
};
use async_nats::{ConnectOptions, ServerAddr};

amgi::server_options! {
    url: String,
    name: String,
    login: Login,
    tls: bool,
    ca_file: PathBuf,
    cert_file: PathBuf,
    key_file: PathBuf,
    group: String,
    jetstream: bool,
    stream: String,
    declare: bool,
    core: Vec<String>,
    ack_wait: Duration,
    ordered: bool,
    concurrency: usize,
    inflight: usize,
    pending: usize,
    connect_timeout: Duration,
    send_timeout: Duration,
    shutdown_deadline: Duration,
    reconnect: Backoff,
}

/// Who we are, to the broker.
#[derive(Clone)]
pub(crate) enum Login {
    Password(String, String),
    Token(String),
    /// The seed of a key pair.
    Nkey(String),
    /// A file with a JWT and a seed.
    Credentials(PathBuf),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

/// Everything that a server needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) url: Url,
    pub(crate) name: String,
    pub(crate) login: Option<Login>,
    pub(crate) tls: bool,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) pair: Option<(PathBuf, PathBuf)>,
    /// Those files, if there are any, for what an error means; the client reads them itself.
    pub(crate) files: Option<Tls>,
    pub(crate) group: Option<String>,
    pub(crate) jetstream: Option<JetStream>,
    pub(crate) ordered: bool,
    pub(crate) concurrency: usize,
    pub(crate) inflight: usize,
    pub(crate) pending: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) shutdown_deadline: Duration,
    pub(crate) reconnect: Backoff,
}

/// What is said of JetStream.
#[derive(Debug, Clone)]
pub(crate) struct JetStream {
    pub(crate) stream: Option<String>,
    pub(crate) declare: bool,
    /// Channels and addresses that are not on it though all others are.
    pub(crate) core: Vec<String>,
    pub(crate) ack_wait: Duration,
}

impl Config {
    /// How to connect.
    pub(crate) async fn connect_options(&self) -> Result<ConnectOptions> {
        let backoff = self.reconnect;
        let options = ConnectOptions::new()
            .name(&self.name)
            .connection_timeout(self.connect_timeout)
            .request_timeout(Some(self.connect_timeout))
            .require_tls(self.tls)
            // What was asked for has room, whatever else there is.
            .subscription_capacity(self.pending.max(4 * self.inflight))
            .reconnect_delay_callback(move |attempt| {
                // The first attempt is made at once.
                match u32::try_from(attempt) {
                    Ok(0 | 1) => Duration::ZERO,
                    Ok(attempt) => backoff.delay(attempt - 1),
                    Err(_) => backoff.most,
                }
            });
        let options = match &self.ca_file {
            Some(path) => options.add_root_certificates(path.clone()),
            None => options,
        };
        let options = match &self.pair {
            Some((cert, key)) => options.add_client_certificate(cert.clone(), key.clone()),
            None => options,
        };
        Ok(match self.login.clone() {
            None => options,
            Some(Login::Password(user, password)) => options.user_and_password(user, password),
            Some(Login::Token(token)) => options.token(token),
            Some(Login::Nkey(seed)) => options.nkey(seed),
            Some(Login::Credentials(path)) => {
                let shown = path.display().to_string();
                let read = options.credentials_file(path).await;
                read.map_err(|error| Error::Config(format!("credentials file `{shown}`: {error}")))?
            }
        })
    }
}

/// `nats://user:password@host:port`, several separated by commas. Shown without what is before the `@`.
#[derive(Debug, Clone)]
pub(crate) struct Url {
    pub(crate) servers: Vec<ServerAddr>,
    shown: String,
    login: Option<Login>,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut url = Self { servers: Vec::new(), shown: String::new(), login: None };
        for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
            let (scheme, rest) = one.split_once("://").unwrap_or(("nats", one));
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let (login, address) = match authority.rsplit_once('@') {
                Some((login, address)) => (Some(login), address),
                None => (None, authority),
            };
            // Whatever is wrong, the password is not repeated.
            let shown = format!("{scheme}://{address}");
            let fail = |detail: &str| Error::Config(format!("url `{shown}`: {detail}"));
            match scheme {
                "nats" | "tls" => {}
                "ws" | "wss" => return Err(fail("websockets are not supported; use nats:// or tls://")),
                _ => return Err(fail("the scheme must be nats or tls")),
            }
            if address.is_empty() || address.starts_with(':') {
                return Err(fail("the host is missing"));
            }
            // Without a port the client takes 4222.
            let server = shown.parse::<ServerAddr>().map_err(|error| fail(&error.to_string()))?;
            if let Some(login) = login {
                let decoded = |text: &str| amgi::address::decode(text).into_owned();
                url.login = Some(match login.split_once(':') {
                    Some((user, password)) => Login::Password(decoded(user), decoded(password)),
                    None => Login::Token(decoded(login)),
                });
            }
            if !url.shown.is_empty() {
                url.shown.push(',');
            }
            url.shown.push_str(&shown);
            url.servers.push(server);
        }
        if url.servers.is_empty() {
            return Err(Error::Config(format!("url `{text}`: the host is missing")));
        }
        Ok(url)
    }
}

/// The document's server that is meant: the named one, or the first that speaks NATS.
pub(crate) fn server<'a, A: Application>(app: &'a A, name: Option<&str>) -> Result<Option<&'a ServerInfo>> {
    let speaks = |server: &&ServerInfo| INFO.protocols.contains(&server.protocol);
    let Some(name) = name else { return Ok(app.servers().iter().find(speaks)) };
    match app.servers().iter().find(|server| server.name == name) {
        Some(server) if speaks(&server) => Ok(Some(server)),
        Some(server) => Err(Error::Config(format!(
            "server `{name}` of the document speaks {}, not NATS",
            server.protocol
        ))),
        None => Err(Error::Config(format!("the document has no server `{name}`"))),
    }
}

/// Whether `channel` is on the server that was chosen.
pub(crate) fn is_on(channel: &ChannelInfo, server: Option<&ServerInfo>) -> bool {
    channel.servers.is_empty() || server.is_none_or(|server| channel.servers.contains(&server.name))
}

/// What the document says.
fn document(server: Option<&ServerInfo>) -> Options {
    let Some(server) = server else { return Options::default() };
    let scheme = if matches!(server.protocol, "natss" | "tls") { "tls" } else { "nats" };
    let scheme = INFO.document_scheme(server, scheme);
    Options { url: Some(format!("{scheme}://{}", server.host)), ..Options::default() }
}

/// The options that are given as text, on a command line or in the environment.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "nats",
    protocols: &["nats", "natss"],
    schemes: &["nats", "tls"],
    options: &[
        OptionInfo::new(
            "url",
            "URL",
            "Where the broker is: nats://user:password@host:port, several with commas [default: as the document says]",
        ),
        OptionInfo::new("name", "NAME", "Name of this client at the broker [default: amgi-PROGRAM]"),
        OptionInfo::USERNAME,
        OptionInfo::PASSWORD,
        OptionInfo::new("token", "TOKEN", "Token at the broker").secret(),
        OptionInfo::new("nkey", "SEED", "Seed of the key pair that proves who this is").secret(),
        OptionInfo::new("credentials", "FILE", "File with a JWT and a seed (.creds)"),
        OptionInfo::new(
            "tls",
            "BOOL",
            "Whether the connection must be encrypted [default: as the broker wants]",
        ),
        OptionInfo::CA_FILE,
        OptionInfo::CERT_FILE,
        OptionInfo::KEY_FILE,
        OptionInfo::new(
            "group",
            "NAME",
            "Share the messages among all instances of this group [default: as the document says]",
        ),
        OptionInfo::new("jetstream", "BOOL", "Receive from JetStream and send to it [default: false]"),
        OptionInfo::new("stream", "NAME", "The stream, where not the one that has the subject [JetStream]"),
        OptionInfo::new(
            "declare",
            "BOOL",
            "Make streams and consumers that are missing [default: false] [JetStream]",
        ),
        OptionInfo::new(
            "core",
            "CHANNELS",
            "Channels and addresses without JetStream, separated by commas [JetStream]",
        ),
        OptionInfo::new(
            "ack-wait",
            "SECONDS",
            "When a broker delivers again what nobody works on [default: 30] [JetStream]",
        ),
        OptionInfo::new("ordered", "BOOL", "Messages of one subject one after the other [default: false]"),
        OptionInfo::new(
            "concurrency",
            "MESSAGES",
            "How many messages of a channel are handled at a time [default: 16]",
        ),
        OptionInfo::new(
            "inflight",
            "MESSAGES",
            "How many messages of a channel are asked for at a time [default: 256] [JetStream]",
        ),
        OptionInfo::new(
            "pending",
            "MESSAGES",
            "How many messages of a channel may wait [default: 8192] [not JetStream]",
        ),
        OptionInfo::CONNECT_TIMEOUT,
        OptionInfo::SEND_TIMEOUT,
        OptionInfo::SHUTDOWN_DEADLINE,
    ],
};

/// What is given as text.
pub(crate) fn given(values: &Values) -> Result<Options> {
    let flag = |name| values.choice(name, &[("true", true), ("false", false)]);
    let password: Option<String> = values.get("password")?;
    let login = match values.get("username")? {
        Some(user) => Some(Login::Password(user, password.unwrap_or_default())),
        None => values
            .get("token")?
            .map(Login::Token)
            .or(values.get("nkey")?.map(Login::Nkey))
            .or(values.get("credentials")?.map(Login::Credentials)),
    };
    let core: Option<String> = values.get("core")?;
    Ok(Options {
        url: values.get("url")?,
        name: values.get("name")?,
        login,
        tls: flag("tls")?,
        ca_file: values.get("ca-file")?,
        cert_file: values.get("cert-file")?,
        key_file: values.get("key-file")?,
        group: values.get("group")?,
        jetstream: flag("jetstream")?,
        stream: values.get("stream")?,
        declare: flag("declare")?,
        core: core.map(|core| core.split(',').map(|one| one.trim().to_owned()).collect()),
        ack_wait: values.seconds("ack-wait")?,
        ordered: flag("ordered")?,
        concurrency: values.get("concurrency")?,
        inflight: values.get("inflight")?,
        pending: values.get("pending")?,
        connect_timeout: values.seconds("connect-timeout")?,
        send_timeout: values.seconds("send-timeout")?,
        shutdown_deadline: values.seconds("shutdown-deadline")?,
        reconnect: None,
    })
}

/// Puts the sources together and fills in the defaults.
pub(crate) fn resolve(server: Option<&ServerInfo>, builder: Options, environment: Options) -> Result<Config> {
    let options = environment.over(builder).over(document(server));
    let url = Url::parse(options.url.as_deref().unwrap_or("nats://localhost:4222"))?;
    if let Some(group) = &options.group
        && (group.is_empty() || group.contains(|c: char| c.is_whitespace() || c.is_control()))
    {
        return Err(Error::Config(format!("group `{group}` must not be empty nor hold spaces")));
    }
    let (ca_file, cert_file, key_file) = (options.ca_file, options.cert_file, options.key_file);
    let files = match (&ca_file, &cert_file, &key_file) {
        (None, None, None) => None,
        _ => Some(Tls::new(ca_file.clone(), cert_file.clone(), key_file.clone())?),
    };
    let ack_wait = options.ack_wait.unwrap_or(Duration::from_secs(30));
    if ack_wait < Duration::from_millis(100) {
        return Err(Error::Config(format!("ack wait of {ack_wait:?}: at least 100 ms are needed")));
    }
    let seconds = |given: Option<Duration>, default| given.unwrap_or(Duration::from_secs(default));
    Ok(Config {
        name: options.name.unwrap_or_else(|| format!("amgi-{}", program_name())),
        login: options.login.or_else(|| url.login.clone()),
        tls: options.tls.unwrap_or(false),
        ca_file,
        pair: cert_file.zip(key_file),
        files,
        group: options.group,
        jetstream: options.jetstream.unwrap_or(false).then(|| JetStream {
            stream: options.stream,
            declare: options.declare.unwrap_or(false),
            core: options.core.unwrap_or_default(),
            ack_wait,
        }),
        ordered: options.ordered.unwrap_or(false),
        concurrency: options.concurrency.unwrap_or(16).max(1),
        inflight: options.inflight.unwrap_or(256).max(1),
        pending: options.pending.unwrap_or(8192).max(1),
        connect_timeout: seconds(options.connect_timeout, 10),
        send_timeout: seconds(options.send_timeout, 30),
        shutdown_deadline: seconds(options.shutdown_deadline, 30),
        reconnect: options.reconnect.unwrap_or_default(),
        url,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_and_shown_without_the_password() {
        let url = Url::parse("nats://us%40er:p%2Fw@one:4333, tls://two").unwrap();
        assert_eq!(url.to_string(), "nats://one:4333,tls://two");
        assert!(matches!(&url.login, Some(Login::Password(u, p)) if u == "us@er" && p == "p/w"));
        let ports: Vec<_> =
            url.servers.iter().map(|server| (server.host().to_owned(), server.port())).collect();
        assert_eq!(ports, [("one".to_owned(), 4333), ("two".to_owned(), 4222)]);
        assert!(
            matches!(Url::parse("s3cret@host").unwrap().login, Some(Login::Token(token)) if token == "s3cret")
        );
    }

    #[test]
    fn bad_urls_say_why_and_keep_the_password() {
        for url in ["http://u:secret@x", "nats://u:secret@x:port", "nats://u:secret@", "ws://u:secret@x"] {
            let error = Url::parse(url).unwrap_err().to_string();
            assert!(error.contains("url `") && !error.contains("secret"), "{error}");
        }
    }

    const SERVER: ServerInfo = ServerInfo {
        name: "main",
        protocol: "nats",
        scheme: "",
        host: "document:1",
        path: "",
        bindings: &[],
    };

    #[test]
    fn later_sources_win() {
        let config = resolve(Some(&SERVER), Options::default(), Options::default()).unwrap();
        assert_eq!(config.url.to_string(), "nats://document:1");
        let builder = Options { url: Some("nats://builder".into()), inflight: Some(3), ..Options::default() };
        let config = resolve(Some(&SERVER), builder.clone(), Options::default()).unwrap();
        assert_eq!((config.url.to_string().as_str(), config.inflight), ("nats://builder", 3));
        let environment = given(&INFO.from_lookup(|name| match name {
            "AMGI_NATS_URL" => Some("environment".into()),
            "AMGI_NATS_JETSTREAM" => Some("true".into()),
            "AMGI_NATS_CORE" => Some("a, b".into()),
            "AMGI_NATS_ACK_WAIT" => Some("9".into()),
            _ => None,
        }))
        .unwrap();
        let config = resolve(Some(&SERVER), builder, environment).unwrap();
        assert_eq!((config.url.to_string().as_str(), config.inflight), ("nats://environment", 3));
        let jetstream = config.jetstream.unwrap();
        assert_eq!(jetstream.core, ["a", "b"]);
        assert_eq!(jetstream.ack_wait, Duration::from_secs(9));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = [
            Options { group: Some("a b".into()), ..Options::default() },
            Options { cert_file: Some("x".into()), ..Options::default() },
            Options { ack_wait: Some(Duration::ZERO), ..Options::default() },
        ];
        for options in refused {
            assert!(resolve(None, options, Options::default()).is_err());
        }
    }
}
