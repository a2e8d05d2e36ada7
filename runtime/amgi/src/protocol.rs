//! What a server crate tells a command line: which protocols it speaks, and its options, in one table for flags, environment
//! and help.

mod builder;

use std::{collections::BTreeMap, fmt, future::Future, str::FromStr, time::Duration};

use crate::{
    Result,
    contract::{Application, ServerInfo},
    error::Error,
    server::Stop,
};

/// A protocol that an application can be run on, as a server crate offers it (`amgi_mqtt::protocol()`).
pub trait Protocol: Send + Sync + 'static {
    /// Its names and options.
    fn info(&self) -> &'static ProtocolInfo;

    /// Serves `app` on one server until `endpoint.stop` is requested.
    fn serve<A: Application>(&self, app: A, endpoint: Endpoint) -> impl Future<Output = Result<()>> + Send;

    /// Whether messages are brought to it and it cannot send, as under AWS Lambda. A command line then starts the document's
    /// servers beside it, for sends alone ([`Servers::sender`](crate::Servers::sender)).
    fn only_receives(&self) -> bool {
        false
    }

    /// Whether whoever started this process brings messages to it by this protocol: a command line without arguments then runs
    /// on it.
    fn is_here(&self) -> bool {
        false
    }
}

/// Names and options of a protocol. Constant data.
#[derive(Debug, Clone, Copy)]
pub struct ProtocolInfo {
    /// Its name, such as `mqtt`: that of the cargo feature, and in the names of environment variables.
    pub name: &'static str,
    /// What documents call it as the `protocol` of a server, such as `mqtt`, `mqtt5` and `secure-mqtt`.
    pub protocols: &'static [&'static str],
    /// What its URLs begin with.
    pub schemes: &'static [&'static str],
    /// Its options.
    pub options: &'static [OptionInfo],
}

impl ProtocolInfo {
    /// The environment variable of an option: `AMGI_MQTT_CLIENT_ID` for `client-id`.
    pub fn variable(&self, option: &str) -> String {
        format!("AMGI_{}_{}", self.name, option).to_uppercase().replace('-', "_")
    }

    /// The values that `lookup` finds by the names of environment variables. Empty ones do not count.
    pub fn from_lookup(&self, lookup: impl Fn(&str) -> Option<String>) -> Values {
        let mut values = Values::default();
        for option in self.options {
            let variable = self.variable(option.name);
            if let Some(text) = lookup(&variable).filter(|text| !text.is_empty()) {
                values.set(option.name, text, variable);
            }
        }
        values
    }

    /// The document's server that is meant: the one of that name, or the first that speaks this protocol; `None` when there is
    /// none of the protocol and none is named.
    ///
    /// # Errors
    /// [`Error::Config`] when there is no server of that name, or it speaks another protocol.
    pub fn document_server<'a, A: Application>(
        &self,
        app: &'a A,
        name: Option<&str>,
    ) -> Result<Option<&'a ServerInfo>> {
        let speaks = |server: &ServerInfo| self.protocols.contains(&server.protocol);
        let Some(name) = name else { return Ok(app.servers().iter().find(|server| speaks(server))) };
        match app.servers().iter().find(|server| server.name == name) {
            Some(server) if speaks(server) => Ok(Some(server)),
            Some(server) => Err(Error::Config(format!(
                "server `{name}` of the document speaks {}, not {}",
                server.protocol, self.name
            ))),
            None => Err(Error::Config(format!("the document has no server `{name}`"))),
        }
    }

    /// Scheme of the URL of the document's server: the one that the document writes, where it says more than the protocol does
    /// and a server knows it, such as `wss` of MQTT; else `by_protocol`.
    ///
    /// ```
    /// use amgi::{ServerInfo, protocol::ProtocolInfo};
    ///
    /// let mqtt = ProtocolInfo { name: "mqtt", protocols: &["mqtt"], schemes: &["mqtt", "wss"], options: &[] };
    /// let server = |scheme| ServerInfo {
    ///     name: "main", protocol: "mqtt", scheme, host: "broker.example", path: "/mqtt", bindings: &[],
    /// };
    /// assert_eq!(mqtt.document_scheme(&server("wss"), "mqtt"), "wss");
    /// assert_eq!(mqtt.document_scheme(&server(""), "mqtt"), "mqtt");
    /// ```
    pub fn document_scheme<'a>(&self, server: &'a ServerInfo, by_protocol: &'a str) -> &'a str {
        let says_more = server.scheme != self.name && self.schemes.contains(&server.scheme);
        if says_more { server.scheme } else { by_protocol }
    }

    /// The values of the environment.
    pub fn environment(&self) -> Values {
        self.from_lookup(|name| std::env::var(name).ok())
    }
}

/// An option of a protocol.
#[derive(Debug, Clone, Copy)]
pub struct OptionInfo {
    /// Name of the flag, such as `client-id`.
    pub name: &'static str,
    /// What its value is, such as `ID`.
    pub value: &'static str,
    /// What it does, with its default, in a line.
    pub help: &'static str,
    /// Whether other users of the machine must not see its value, so that there is no flag for it.
    pub secret: bool,
}

/// Options that many servers have, so that they are called the same and mean the same.
impl OptionInfo {
    /// `username`.
    pub const USERNAME: Self = Self::new("username", "USER", "User at the broker");
    /// `password`, which is secret.
    pub const PASSWORD: Self = Self::new("password", "PASSWORD", "Password of the user").secret();
    /// `ca-file`.
    pub const CA_FILE: Self = Self::new(
        "ca-file",
        "FILE",
        "Certificates (PEM) of those who vouch for the broker [default: the system's]",
    );
    /// `cert-file`.
    pub const CERT_FILE: Self =
        Self::new("cert-file", "FILE", "Certificate (PEM) of this client, for brokers that want one");
    /// `key-file`.
    pub const KEY_FILE: Self = Self::new("key-file", "FILE", "Key (PEM) of this client's certificate");
    /// `connect-timeout`.
    pub const CONNECT_TIMEOUT: Self =
        Self::new("connect-timeout", "SECONDS", "How long the broker may take to answer [default: 10]");
    /// `send-timeout`.
    pub const SEND_TIMEOUT: Self = Self::new(
        "send-timeout",
        "SECONDS",
        "How long a send may take, reconnections included [default: 30]",
    );
    /// `shutdown-deadline`.
    pub const SHUTDOWN_DEADLINE: Self = Self::new(
        "shutdown-deadline",
        "SECONDS",
        "How long handlers may take to finish at the end [default: 30]",
    );
}

impl OptionInfo {
    /// An option that is a flag too.
    ///
    /// ```
    /// use amgi::protocol::OptionInfo;
    ///
    /// const OPTIONS: &[OptionInfo] = &[
    ///     OptionInfo::new("username", "USER", "User at the broker"),
    ///     OptionInfo::new("password", "PASSWORD", "Password of the user").secret(),
    /// ];
    /// assert!(OPTIONS[1].secret && !OPTIONS[0].secret);
    /// ```
    pub const fn new(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self { name, value, help, secret: false }
    }

    /// The same, for a value that other users of the machine must not see.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }
}

/// Where and how one server is to be served.
#[derive(Debug, Clone, Default)]
pub struct Endpoint {
    /// Where the server is; `None` for where the document says, or the protocol's default.
    pub url: Option<String>,
    /// Values of options.
    pub values: Values,
    /// Stops the server.
    pub stop: Stop,
    /// Whether this is only for a send or two, beside a service that runs: it must not get in that one's way.
    pub passing: bool,
}

/// Values of options, and where each comes from.
#[derive(Debug, Clone, Default)]
pub struct Values(BTreeMap<&'static str, (String, String)>);

impl Values {
    /// Sets a value; `source` says where it comes from, such as `--qos`.
    pub fn set(&mut self, option: &'static str, text: impl Into<String>, source: impl Into<String>) {
        self.0.insert(option, (text.into(), source.into()));
    }

    /// Takes a value out.
    pub fn remove(&mut self, option: &str) -> Option<String> {
        self.0.remove(option).map(|(text, _)| text)
    }

    /// These values, and `under` where they say nothing.
    #[must_use]
    pub fn over(mut self, under: &Self) -> Self {
        for (option, value) in &under.0 {
            self.0.entry(option).or_insert_with(|| value.clone());
        }
        self
    }

    /// The text of a value.
    pub fn text(&self, option: &str) -> Option<&str> {
        self.0.get(option).map(|(text, _)| text.as_str())
    }

    /// A value that can be read.
    ///
    /// # Errors
    /// When it cannot be read, with the place it comes from.
    pub fn get<T: FromStr>(&self, option: &str) -> Result<Option<T>> {
        let Some((text, _)) = self.0.get(option) else { return Ok(None) };
        text.trim().parse().map(Some).map_err(|_| self.refuse(option, "cannot be read"))
    }

    /// A value that is one of these.
    ///
    /// # Errors
    /// When it is none of them, with the place it comes from.
    pub fn choice<T: Copy>(&self, option: &str, choices: &[(&str, T)]) -> Result<Option<T>> {
        let Some((text, _)) = self.0.get(option) else { return Ok(None) };
        let found = choices.iter().find(|(name, _)| *name == text.trim());
        found.map(|(_, value)| Some(*value)).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.refuse(option, format!("is none of {}", names.join(", ")))
        })
    }

    /// A length of time in seconds.
    ///
    /// # Errors
    /// When it cannot be read, with the place it comes from.
    pub fn seconds(&self, option: &str) -> Result<Option<Duration>> {
        let Some(seconds) = self.get::<f64>(option)? else { return Ok(None) };
        Duration::try_from_secs_f64(seconds)
            .map(Some)
            .map_err(|_| self.refuse(option, "is no number of seconds"))
    }

    /// The error that a value does not work.
    pub fn refuse(&self, option: &str, why: impl fmt::Display) -> Error {
        let (text, source) = self.0.get(option).cloned().unwrap_or_default();
        Error::Config(format!("{source}: `{text}` {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: ProtocolInfo = ProtocolInfo {
        name: "mqtt",
        protocols: &["mqtt"],
        schemes: &["mqtt"],
        options: &[
            OptionInfo::new("client-id", "ID", "Name."),
            OptionInfo::new("wait", "SECONDS", "How long."),
        ],
    };

    #[test]
    fn values_say_where_they_come_from() {
        let environment = INFO.from_lookup(|name| match name {
            "AMGI_MQTT_CLIENT_ID" => Some("a".to_owned()),
            "AMGI_MQTT_WAIT" => Some("-1".to_owned()),
            _ => None,
        });
        let mut flags = Values::default();
        flags.set("client-id", "b", "--client-id");
        let values = flags.over(&environment);
        assert_eq!(values.text("client-id"), Some("b"));
        assert_eq!(values.get::<String>("client-id").unwrap().as_deref(), Some("b"));
        let error = values.seconds("wait").unwrap_err().to_string();
        assert_eq!(error, "configuration: AMGI_MQTT_WAIT: `-1` is no number of seconds");
        let error = values.get::<u8>("client-id").unwrap_err().to_string();
        assert_eq!(error, "configuration: --client-id: `b` cannot be read");
        let error = values.choice("client-id", &[("5", 5), ("4", 4)]).unwrap_err().to_string();
        assert_eq!(error, "configuration: --client-id: `b` is none of 5, 4");
        assert_eq!(values.choice("client-id", &[("b", 1)]).unwrap(), Some(1));
        assert!(INFO.from_lookup(|_| Some(String::new())).text("wait").is_none());
    }
}
