//! Configuration: what the document says, what the builder says over it, and what the environment says over both.

use std::{fmt, path::PathBuf, time::Duration};

use amgi::{
    Error, Result, ServerInfo,
    protocol::{OptionInfo, ProtocolInfo, Values},
    server::{Backoff, program_name},
};
use reqwest::Url;

use crate::event::Mode;

amgi::server_options! {
    url: String,
    listen: String,
    path: String,
    source: String,
    mode: Mode,
    content_type: String,
    login: Login,
    ca_file: PathBuf,
    cert_file: PathBuf,
    key_file: PathBuf,
    listen_token: Secret,
    listen_cert_file: PathBuf,
    listen_key_file: PathBuf,
    webhook_origins: Vec<String>,
    concurrency: usize,
    inflight: usize,
    connections: usize,
    max_body: usize,
    read_timeout: Duration,
    connect_timeout: Duration,
    send_timeout: Duration,
    shutdown_deadline: Duration,
    reconnect: Backoff,
}

/// What nobody must see.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Who sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Login {
    Password(String, Secret),
    Token(Secret),
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// Everything that a server needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Without what stands before the `@`.
    pub(crate) url: Option<Url>,
    pub(crate) listen: Option<String>,
    pub(crate) path: String,
    pub(crate) source: String,
    pub(crate) mode: Mode,
    pub(crate) content_type: String,
    pub(crate) login: Option<Login>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) client: Option<Pair>,
    pub(crate) listen_token: Option<Secret>,
    pub(crate) listen_tls: Option<Pair>,
    pub(crate) webhook_origins: Vec<String>,
    pub(crate) concurrency: usize,
    pub(crate) inflight: usize,
    pub(crate) connections: usize,
    pub(crate) max_body: usize,
    pub(crate) read_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) shutdown_deadline: Duration,
    pub(crate) reconnect: Backoff,
}

/// Where an application listens when nothing says it.
pub(crate) const LISTEN: &str = "0.0.0.0:8000";

/// The options that are given as text, on a command line or in the environment.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "http",
    protocols: &["http", "https"],
    schemes: &["http", "https"],
    options: &[
        OptionInfo::new(
            "url",
            "URL",
            "Where sends go: http://user:password@host:port/path [default: as the document says]",
        ),
        OptionInfo::new("listen", "HOST:PORT", "Where requests come in [default: 0.0.0.0:8000]"),
        OptionInfo::new(
            "path",
            "PATH",
            "Path that requests come in below [default: that of the document's server]",
        ),
        OptionInfo::new("source", "URI", "Source of the events that are sent [default: /PROGRAM]"),
        OptionInfo::new("mode", "MODE", "How events are sent: binary, structured [default: binary]"),
        OptionInfo::new("content-type", "TYPE", "Of payloads that say none [default: application/json]"),
        OptionInfo::new("username", "USER", "User that sends"),
        OptionInfo::PASSWORD,
        OptionInfo::new("token", "TOKEN", "Bearer token of sends").secret(),
        OptionInfo::new(
            "ca-file",
            "FILE",
            "Certificates (PEM) that vouch for who is sent to [default: the system's]",
        ),
        OptionInfo::new("cert-file", "FILE", "Certificate (PEM) of this client"),
        OptionInfo::new("key-file", "FILE", "Key (PEM) of this client's certificate"),
        OptionInfo::new("listen-token", "TOKEN", "Bearer token that requests must have").secret(),
        OptionInfo::new("listen-cert-file", "FILE", "Certificate (PEM) to receive by https with"),
        OptionInfo::new("listen-key-file", "FILE", "Key (PEM) of that certificate"),
        OptionInfo::new(
            "webhook-origins",
            "NAMES",
            "Who may ask for permission to send, separated by commas; * for everybody [default: nobody]",
        ),
        OptionInfo::new("concurrency", "MESSAGES", "How many messages are handled at a time [default: 16]"),
        OptionInfo::new(
            "inflight",
            "REQUESTS",
            "How many requests may be here, waiting ones included [default: 256]",
        ),
        OptionInfo::new("connections", "CONNECTIONS", "How many connections may be open [default: 1024]"),
        OptionInfo::new("max-body", "BYTES", "How large a body may be [default: 4194304]"),
        OptionInfo::new("read-timeout", "SECONDS", "How long a request may take to come in [default: 30]"),
        OptionInfo::new("connect-timeout", "SECONDS", "How long connecting may take [default: 10]"),
        OptionInfo::new(
            "send-timeout",
            "SECONDS",
            "How long a send may take, further attempts included [default: 30]",
        ),
        OptionInfo::SHUTDOWN_DEADLINE,
    ],
};

/// What is given as text.
pub(crate) fn given(values: &Values) -> Result<Options> {
    let password: Option<String> = values.get("password")?;
    let login = match values.get("username")? {
        Some(user) => Some(Login::Password(user, Secret(password.unwrap_or_default()))),
        None => values.get("token")?.map(|token| Login::Token(Secret(token))),
    };
    let origins: Option<String> = values.get("webhook-origins")?;
    Ok(Options {
        url: values.get("url")?,
        listen: values.get("listen")?,
        path: values.get("path")?,
        source: values.get("source")?,
        mode: values.choice("mode", &[("binary", Mode::Binary), ("structured", Mode::Structured)])?,
        content_type: values.get("content-type")?,
        login,
        ca_file: values.get("ca-file")?,
        cert_file: values.get("cert-file")?,
        key_file: values.get("key-file")?,
        listen_token: values.get("listen-token")?.map(Secret),
        listen_cert_file: values.get("listen-cert-file")?,
        listen_key_file: values.get("listen-key-file")?,
        webhook_origins: origins.map(|names| names.split(',').map(|name| name.trim().to_owned()).collect()),
        concurrency: values.get("concurrency")?,
        inflight: values.get("inflight")?,
        connections: values.get("connections")?,
        max_body: values.get("max-body")?,
        read_timeout: values.seconds("read-timeout")?,
        connect_timeout: values.seconds("connect-timeout")?,
        send_timeout: values.seconds("send-timeout")?,
        shutdown_deadline: values.seconds("shutdown-deadline")?,
        reconnect: None,
    })
}

/// What the document says of its server.
fn document(server: Option<&ServerInfo>) -> Options {
    let Some(server) = server else { return Options::default() };
    let slash = if server.path.is_empty() || server.path.starts_with('/') { "" } else { "/" };
    Options {
        url: Some(format!(
            "{}://{}{slash}{}",
            INFO.document_scheme(server, server.protocol),
            server.host,
            server.path
        )),
        path: Some(format!("{slash}{}", server.path)),
        ..Options::default()
    }
}

/// Takes a URL apart. Whatever is wrong, the password is not repeated.
fn url(text: &str) -> Result<(Url, Option<Login>)> {
    let shown = match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        (_, Some((_, rest))) => rest.to_owned(),
        _ => text.to_owned(),
    };
    let fail = |detail: &str| Error::Config(format!("url `{shown}`: {detail}"));
    let mut url = Url::parse(text).map_err(|error| fail(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(fail("the scheme must be http or https"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(fail("there must be nothing behind the path"));
    }
    let decoded = |text: &str| amgi::address::decode(text).into_owned();
    let login = (!url.username().is_empty()).then(|| {
        Login::Password(decoded(url.username()), Secret(decoded(url.password().unwrap_or_default())))
    });
    // A URL with a host can be without them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok((url, login))
}

fn pair(what: &str, cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<Pair>> {
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(Pair { cert, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Error::Config(format!("{what}cert-file needs {what}key-file"))),
        (None, Some(_)) => Err(Error::Config(format!("{what}key-file needs {what}cert-file"))),
    }
}

/// Puts the sources together and fills in the defaults.
pub(crate) fn resolve(server: Option<&ServerInfo>, builder: Options, environment: Options) -> Result<Config> {
    let options = environment.over(builder).over(document(server));
    let (url, within) = match options.url.as_deref().map(url).transpose()? {
        Some((url, login)) => (Some(url), login),
        None => (None, None),
    };
    let seconds = |given: Option<Duration>, default| given.unwrap_or(Duration::from_secs(default));
    Ok(Config {
        url,
        listen: options.listen,
        path: options.path.unwrap_or_default(),
        source: options.source.unwrap_or_else(|| format!("/{}", program_name())),
        mode: options.mode.unwrap_or_default(),
        content_type: options.content_type.unwrap_or_else(|| "application/json".to_owned()),
        login: options.login.or(within),
        ca_file: options.ca_file,
        client: pair("", options.cert_file, options.key_file)?,
        listen_token: options.listen_token,
        listen_tls: pair("listen-", options.listen_cert_file, options.listen_key_file)?,
        webhook_origins: options.webhook_origins.unwrap_or_default(),
        concurrency: options.concurrency.unwrap_or(16).max(1),
        inflight: options.inflight.unwrap_or(256).max(1),
        connections: options.connections.unwrap_or(1024).max(1),
        max_body: options.max_body.unwrap_or(4 * 1024 * 1024),
        read_timeout: seconds(options.read_timeout, 30),
        connect_timeout: seconds(options.connect_timeout, 10),
        send_timeout: seconds(options.send_timeout, 30),
        shutdown_deadline: seconds(options.shutdown_deadline, 30),
        reconnect: options.reconnect.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_and_shown_without_the_password() {
        let (url, login) = url("https://us%40er:p%2Fw@host:8443/in").unwrap();
        assert_eq!(url.as_str(), "https://host:8443/in");
        assert_eq!(login, Some(Login::Password("us@er".into(), Secret("p/w".into()))));
        for text in [
            "ftp://u:secret@x",
            "http://u:secret@",
            "http://u:secret@x:port",
            "u:secret@x",
            "http://u:secret@x/?a",
        ] {
            let error = super::url(text).unwrap_err().to_string();
            assert!(error.contains("url `") && !error.contains("secret"), "{error}");
        }
    }

    const SERVER: ServerInfo = ServerInfo {
        name: "main",
        protocol: "http",
        scheme: "",
        host: "document:1",
        path: "/events",
        bindings: &[],
    };

    #[test]
    fn later_sources_win() {
        let config = resolve(Some(&SERVER), Options::default(), Options::default()).unwrap();
        assert_eq!(config.url.as_ref().map(Url::as_str), Some("http://document:1/events"));
        assert_eq!((config.path.as_str(), config.max_body), ("/events", 4 << 20));
        let builder = Options { url: Some("http://builder".into()), max_body: Some(3), ..Options::default() };
        let config = resolve(Some(&SERVER), builder.clone(), Options::default()).unwrap();
        assert_eq!(config.url.as_ref().map(Url::as_str), Some("http://builder/"));
        assert_eq!((config.path.as_str(), config.max_body), ("/events", 3));
        let environment = given(&INFO.from_lookup(|name| match name {
            "AMGI_HTTP_URL" => Some("http://environment/in".into()),
            "AMGI_HTTP_MODE" => Some("structured".into()),
            "AMGI_HTTP_WEBHOOK_ORIGINS" => Some("a.example, b.example".into()),
            "AMGI_HTTP_READ_TIMEOUT" => Some("0.5".into()),
            _ => None,
        }))
        .unwrap();
        let config = resolve(Some(&SERVER), builder, environment).unwrap();
        assert_eq!(config.url.as_ref().map(Url::as_str), Some("http://environment/in"));
        assert_eq!((config.mode, config.max_body), (Mode::Structured, 3));
        assert_eq!(config.webhook_origins, ["a.example", "b.example"]);
        assert_eq!(config.read_timeout, Duration::from_millis(500));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = [
            Options { cert_file: Some("x".into()), ..Options::default() },
            Options { listen_key_file: Some("x".into()), ..Options::default() },
            Options { url: Some("nats://x".into()), ..Options::default() },
        ];
        for options in refused {
            assert!(resolve(None, options, Options::default()).is_err());
        }
    }
}
