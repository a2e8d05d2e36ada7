//! Configuration: what the document says, what the builder says over it, and what the environment says over both.

use std::{path::PathBuf, time::Duration};

use amgi::{
    Error, Result, ServerInfo,
    bindings::Mqtt,
    protocol::{OptionInfo, ProtocolInfo, Values},
    server::{Backoff, host_name, program_name, tls::Tls},
};

use crate::{LastWill, Version, url::Url, wire::Connect};

amgi::server_options! {
    url: String,
    version: Version,
    client_id: String,
    credentials: (String, String),
    ca_file: PathBuf,
    cert_file: PathBuf,
    key_file: PathBuf,
    group: String,
    clean_session: bool,
    session_expiry: Duration,
    keep_alive: Duration,
    maximum_packet_size: u32,
    last_will: LastWill,
    concurrency: usize,
    inflight: u16,
    qos: u8,
    connect_timeout: Duration,
    send_timeout: Duration,
    shutdown_deadline: Duration,
    reconnect: Backoff,
}

/// Everything that a connection and a session need to know.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) url: Url,
    pub(crate) tls: Option<Tls>,
    pub(crate) version: Version,
    pub(crate) connect: Connect,
    pub(crate) group: Option<String>,
    pub(crate) keep_alive: Duration,
    pub(crate) concurrency: usize,
    pub(crate) inflight: usize,
    pub(crate) qos: u8,
    pub(crate) connect_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) shutdown_deadline: Duration,
    pub(crate) reconnect: Backoff,
}

/// What the document says.
fn document(server: Option<&ServerInfo>) -> Result<Options> {
    let Some(server) = server else { return Ok(Options::default()) };
    let binding = server.typed::<Mqtt>()?;
    let secure = matches!(server.protocol, "mqtts" | "secure-mqtt");
    let scheme = INFO.document_scheme(server, if secure { "mqtts" } else { "mqtt" });
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    Ok(Options {
        url: Some(format!("{scheme}://{}{}", server.host, server.path)),
        version: (server.protocol == "mqtt5").then_some(Version::V5),
        client_id: binding.client_id,
        clean_session: binding.clean_session,
        session_expiry: binding.session_expiry_interval.and_then(|interval| interval.value()).map(seconds),
        keep_alive: binding.keep_alive.map(|interval| seconds(interval.into())),
        maximum_packet_size: binding.maximum_packet_size.and_then(|size| size.value()),
        // Without a topic it says nothing that could be done.
        last_will: binding.last_will.and_then(|will| {
            let last_will = LastWill::new(will.topic?, will.message.unwrap_or_default());
            Some(last_will.qos(will.qos.unwrap_or(0)).retain(will.retain.unwrap_or(false)))
        }),
        ..Options::default()
    })
}

/// The options that are given as text, on a command line or in the environment.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "mqtt",
    protocols: &["mqtt", "mqtt5", "mqtts", "secure-mqtt"],
    // Not `ssl` and `tls`, which may mean another protocol where an application speaks several.
    schemes: &["mqtt", "mqtt5", "mqtts", "secure-mqtt", "tcp", "ws", "wss"],
    options: &[
        OptionInfo::new(
            "url",
            "URL",
            "Where the broker is: mqtt://user:password@host:port, mqtts://, ws:// or wss:// [default: as the document says]",
        ),
        OptionInfo::new("version", "VERSION", "Version of MQTT, 5 or 3.1.1 [default: 5]"),
        OptionInfo::new(
            "client-id",
            "ID",
            "Name of this instance at the broker, which keeps its session [default: amgi-PROGRAM-HOST]",
        ),
        OptionInfo::USERNAME,
        OptionInfo::PASSWORD,
        OptionInfo::CA_FILE,
        OptionInfo::CERT_FILE,
        OptionInfo::KEY_FILE,
        OptionInfo::new("group", "NAME", "Share the messages among all instances of this group (MQTT 5)"),
        OptionInfo::new(
            "clean-session",
            "BOOL",
            "Whether the broker forgets this client when it is not connected [default: false]",
        ),
        OptionInfo::new(
            "session-expiry",
            "SECONDS",
            "How long the broker keeps the session (MQTT 5) [default: 86400]",
        ),
        OptionInfo::new("keep-alive", "SECONDS", "How long the connection may be silent [default: 30]"),
        OptionInfo::new("maximum-packet-size", "BYTES", "Largest packet that the broker may send (MQTT 5)"),
        OptionInfo::new("concurrency", "TOPICS", "How many topics are handled at a time [default: 16]"),
        OptionInfo::new(
            "inflight",
            "MESSAGES",
            "How many messages may wait for their acknowledgement [default: 100]",
        ),
        OptionInfo::new(
            "qos",
            "QOS",
            "Quality of service of sends that do not say it: 0, 1 or 2 [default: 1]",
        ),
        OptionInfo::CONNECT_TIMEOUT,
        OptionInfo::SEND_TIMEOUT,
        OptionInfo::SHUTDOWN_DEADLINE,
    ],
};

/// What is given as text.
pub(crate) fn given(values: &Values) -> Result<Options> {
    let versions = [("5", Version::V5), ("5.0", Version::V5), ("3.1.1", Version::V311), ("4", Version::V311)];
    let password: Option<String> = values.get("password")?;
    Ok(Options {
        url: values.get("url")?,
        version: values.choice("version", &versions)?,
        client_id: values.get("client-id")?,
        credentials: values.get("username")?.map(|user: String| (user, password.unwrap_or_default())),
        ca_file: values.get("ca-file")?,
        cert_file: values.get("cert-file")?,
        key_file: values.get("key-file")?,
        group: values.get("group")?,
        clean_session: values.choice("clean-session", &[("true", true), ("false", false)])?,
        session_expiry: values.seconds("session-expiry")?,
        keep_alive: values.seconds("keep-alive")?,
        maximum_packet_size: values.get("maximum-packet-size")?,
        last_will: None,
        concurrency: values.get("concurrency")?,
        inflight: values.get("inflight")?,
        qos: values.get("qos")?,
        connect_timeout: values.seconds("connect-timeout")?,
        send_timeout: values.seconds("send-timeout")?,
        shutdown_deadline: values.seconds("shutdown-deadline")?,
        reconnect: None,
    })
}

/// Puts the sources together and fills in the defaults.
pub(crate) fn resolve(server: Option<&ServerInfo>, builder: Options, environment: Options) -> Result<Config> {
    let options = environment.over(builder).over(document(server)?);
    let url = Url::parse(options.url.as_deref().unwrap_or("mqtt://localhost:1883"))?;
    let tls = tls(&url, options.ca_file, options.cert_file, options.key_file)?;
    let version = options.version.unwrap_or_default();
    if version == Version::V311 && options.group.is_some() {
        return Err(Error::Config(
            "a group needs shared subscriptions, which MQTT 3.1.1 does not have".into(),
        ));
    }
    if let Some(group) = &options.group
        && (group.is_empty() || group.contains(['/', '+', '#', '\0']))
    {
        return Err(Error::Config(format!("group `{group}` must not be empty nor hold `/`, `+`, `#`")));
    }
    let qos = options.qos.unwrap_or(1);
    if qos > 2 {
        return Err(Error::Config(format!("qos {qos} does not exist")));
    }
    if let Some(will) = &options.last_will {
        will.check().map_err(|error| Error::Config(format!("last will: {error}")))?;
    }
    let clean = options.clean_session.unwrap_or(false);
    let session_expiry = options.session_expiry.unwrap_or(Duration::from_secs(24 * 60 * 60));
    let keep_alive = options.keep_alive.unwrap_or(Duration::from_secs(30));
    let inflight = options.inflight.unwrap_or(100).max(1);
    let client_id = match options.client_id {
        Some(id) if !id.is_empty() => id,
        _ => default_client_id(),
    };
    Ok(Config {
        connect: Connect {
            client_id,
            clean,
            keep_alive: u16::try_from(keep_alive.as_secs()).unwrap_or(u16::MAX),
            session_expiry: if clean {
                0
            } else {
                u32::try_from(session_expiry.as_secs()).unwrap_or(u32::MAX)
            },
            receive_maximum: inflight,
            maximum_packet_size: options.maximum_packet_size.filter(|size| *size > 0),
            login: options.credentials.or_else(|| url.login.clone()),
            last_will: options.last_will,
        },
        url,
        tls,
        version,
        group: options.group,
        keep_alive,
        concurrency: options.concurrency.unwrap_or(16).max(1),
        inflight: usize::from(inflight),
        qos,
        connect_timeout: options.connect_timeout.unwrap_or(Duration::from_secs(10)),
        send_timeout: options.send_timeout.unwrap_or(Duration::from_secs(30)),
        shutdown_deadline: options.shutdown_deadline.unwrap_or(Duration::from_secs(30)),
        reconnect: options.reconnect.unwrap_or_default(),
    })
}

/// The files that go with TLS, which are read once to see that they can be.
fn tls(
    url: &Url,
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<Tls>> {
    if !url.tls {
        return match (&ca, &certificate, &key) {
            (None, None, None) => Ok(None),
            _ => Err(Error::Config(format!(
                "ca-file, cert-file and key-file are for TLS, and `{url}` is without; use mqtts:// or wss://"
            ))),
        };
    }
    Tls::new(ca, certificate, key).map(Some)
}

/// `amgi-<program>-<host>`: the same after a restart, another one on another machine.
fn default_client_id() -> String {
    format!("amgi-{}-{}", program_name(), host_name())
        .replace(|c: char| c.is_control() || "/+#".contains(c), "-")
}

#[cfg(test)]
mod tests {
    use amgi::BindingInfo;

    use super::*;

    const SERVER: ServerInfo = ServerInfo {
        name: "main",
        protocol: "mqtt",
        scheme: "",
        host: "document:1",
        path: "",
        bindings: &[BindingInfo {
            protocol: "mqtt",
            json: r#"{"clientId":"doc","cleanSession":true,"keepAlive":7,"maximumPacketSize":{"const":900},
                "lastWill":{"topic":"gone","qos":2,"message":"bye","retain":true}}"#,
        }],
    };

    #[test]
    fn later_sources_win() {
        let config = resolve(Some(&SERVER), Options::default(), Options::default()).unwrap();
        assert_eq!((config.url.host.as_str(), config.connect.client_id.as_str()), ("document", "doc"));
        assert!(config.connect.clean);
        assert_eq!(config.keep_alive, Duration::from_secs(7));
        assert_eq!(config.connect.maximum_packet_size, Some(900));
        assert_eq!(config.connect.last_will, Some(LastWill::new("gone", "bye").qos(2).retain(true)));

        let builder = Options { last_will: Some(LastWill::new("other", "")), ..Options::default() };
        let config = resolve(Some(&SERVER), builder, Options::default()).unwrap();
        assert_eq!(config.connect.last_will, Some(LastWill::new("other", "")));

        let builder = Options { url: Some("mqtt://builder".into()), inflight: Some(3), ..Options::default() };
        let config = resolve(Some(&SERVER), builder.clone(), Options::default()).unwrap();
        assert_eq!((config.url.host.as_str(), config.inflight), ("builder", 3));

        let environment = given(&INFO.from_lookup(|name| match name {
            "AMGI_MQTT_URL" => Some("mqtt://environment".into()),
            "AMGI_MQTT_KEEP_ALIVE" => Some("9".into()),
            _ => None,
        }))
        .unwrap();
        let config = resolve(Some(&SERVER), builder, environment).unwrap();
        assert_eq!((config.url.host.as_str(), config.inflight), ("environment", 3));
        assert_eq!(config.keep_alive, Duration::from_secs(9));
    }

    #[test]
    fn the_environment_is_checked() {
        let read = |name: &'static str, value: &'static str| {
            given(&INFO.from_lookup(move |asked| (asked == name).then(|| value.to_owned())))
        };
        assert!(read("AMGI_MQTT_INFLIGHT", "many").unwrap_err().to_string().contains("AMGI_MQTT_INFLIGHT"));
        assert!(read("AMGI_MQTT_VERSION", "4.9").is_err());
        assert_eq!(read("AMGI_MQTT_VERSION", "3.1.1").unwrap().version, Some(Version::V311));
    }

    #[test]
    fn what_the_document_calls_secure_is_over_tls() {
        for protocol in ["mqtts", "secure-mqtt"] {
            let server = ServerInfo { protocol, host: "document", ..SERVER };
            let options = Options { ca_file: Some("missing.pem".into()), ..Options::default() };
            let error = resolve(Some(&server), options, Options::default()).unwrap_err().to_string();
            assert!(error.contains("ca-file `missing.pem`: "), "{error}");
            assert_eq!(document(Some(&server)).unwrap().url.as_deref(), Some("mqtts://document"));
        }
    }

    #[test]
    fn the_scheme_of_the_document_says_more_than_the_protocol() {
        let url = |scheme, protocol| {
            let server = ServerInfo { protocol, scheme, host: "document", path: "/broker", ..SERVER };
            document(Some(&server)).unwrap().url.unwrap()
        };
        assert_eq!(url("wss", "mqtt"), "wss://document/broker");
        assert_eq!(url("mqtts", "mqtt"), "mqtts://document/broker");
        assert_eq!(url("mqtt", "secure-mqtt"), "mqtts://document/broker");
        assert_eq!(url("https", "mqtt"), "mqtt://document/broker");
    }

    #[test]
    fn files_of_tls_are_checked() {
        let error_of = |url: &str, files: [Option<&str>; 3]| {
            let [ca_file, cert_file, key_file] = files.map(|file| file.map(PathBuf::from));
            let options =
                Options { url: Some(url.into()), ca_file, cert_file, key_file, ..Options::default() };
            resolve(None, options, Options::default()).unwrap_err().to_string()
        };
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let error = error_of("ws://x", [Some("a"), None, None]);
        assert!(error.contains("`ws://x:80/mqtt` is without"), "{error}");
        let error = error_of("mqtts://x", [None, Some("a"), None]);
        assert!(error.contains("go together"), "{error}");
        let error = error_of("wss://x", [Some(manifest), Some("a.pem"), Some(manifest)]);
        for part in ["there is no certificate in it", "cert-file `a.pem`: ", "there is no key in it"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn wills_are_checked() {
        for will in [LastWill::new("", "x"), LastWill::new("a/+", "x"), LastWill::new("a", "x").qos(3)] {
            let options = Options { last_will: Some(will), ..Options::default() };
            let error = resolve(None, options, Options::default()).unwrap_err().to_string();
            assert!(error.contains("last will: "), "{error}");
        }
    }

    #[test]
    fn client_ids_are_stable() {
        assert_eq!(default_client_id(), default_client_id());
        assert!(default_client_id().starts_with("amgi-"));
    }

    #[test]
    fn groups_need_version_5() {
        let options = Options { group: Some("g".into()), version: Some(Version::V311), ..Options::default() };
        assert!(resolve(None, options, Options::default()).is_err());
    }
}
