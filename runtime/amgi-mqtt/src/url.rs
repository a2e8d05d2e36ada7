//! Where a broker is: `mqtt://user:password@host:port`, and the same over TLS and websockets.

use std::fmt;

use amgi::{Error, Result};

/// The parts of a URL. Shown without the password, and without the query of a websocket, which may be a password too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) tls: bool,
    /// Path and query, where MQTT goes through a websocket.
    pub(crate) websocket: Option<String>,
    /// Without the brackets of IPv6.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) login: Option<(String, String)>,
}

/// `host:port`, with the brackets of IPv6.
pub(crate) struct Place<'a>(&'a Url);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Url { host, port, .. } = self.0;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (&self.websocket, self.tls) {
            (None, false) => "mqtt://",
            (None, true) => "mqtts://",
            (Some(_), false) => "ws://",
            (Some(_), true) => "wss://",
        })?;
        if let Some((user, _)) = &self.login {
            write!(f, "{user}@")?;
        }
        self.place().fmt(f)?;
        let path = self.websocket.as_deref().and_then(|path| path.split('?').next());
        f.write_str(path.unwrap_or_default())
    }
}

impl Url {
    pub(crate) fn place(&self) -> Place<'_> {
        Place(self)
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("mqtt", text));
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (login, address) = match authority.rsplit_once('@') {
            Some((login, address)) => (Some(login), address),
            None => (None, authority),
        };
        // Whatever is wrong, the password is not repeated.
        let fail = |detail: &str| Error::Config(format!("url `{scheme}://{address}`: {detail}"));
        let (tls, websocket, default) = match scheme {
            "mqtt" | "tcp" | "mqtt5" => (false, false, 1883),
            "mqtts" | "ssl" | "tls" | "secure-mqtt" => (true, false, 8883),
            "ws" => (false, true, 80),
            "wss" => (true, true, 443),
            _ => return Err(fail("the scheme must be mqtt, mqtts, ws or wss")),
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
            None | Some("") => default,
            Some(port) => port.parse().map_err(|_| fail("the port is no number from 1 to 65535"))?,
        };
        let websocket = websocket
            .then(|| {
                let path = path.split('#').next().unwrap_or_default();
                if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
                    return Err(fail("the path has characters that must be percent-encoded"));
                }
                Ok(if path.starts_with('/') { path.to_owned() } else { format!("/mqtt{path}") })
            })
            .transpose()?;
        let login = login.map(|login| {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            (amgi::address::decode(user).into_owned(), amgi::address::decode(password).into_owned())
        });
        Ok(Self { tls, websocket, host: host.to_owned(), port, login })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_and_shown_without_the_password() {
        let url = Url::parse("mqtt://us%40er:p%2Fw@broker.example:1884/").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("broker.example", 1884));
        assert_eq!(url.login, Some(("us@er".to_owned(), "p/w".to_owned())));
        assert_eq!(url.to_string(), "mqtt://us@er@broker.example:1884");
        let six = Url::parse("mqtt://[::1]:1885").unwrap();
        assert_eq!(
            (six.host.as_str(), six.port, six.to_string().as_str()),
            ("::1", 1885, "mqtt://[::1]:1885")
        );
    }

    #[test]
    fn schemes_are_transports_with_ports_and_paths_of_their_own() {
        for (text, shown, tls, websocket) in [
            ("localhost", "mqtt://localhost:1883", false, None),
            ("mqtt5://x", "mqtt://x:1883", false, None),
            ("mqtts://x", "mqtts://x:8883", true, None),
            ("ssl://x/", "mqtts://x:8883", true, None),
            ("tls://x:1", "mqtts://x:1", true, None),
            ("secure-mqtt://x", "mqtts://x:8883", true, None),
            ("ws://x", "ws://x:80/mqtt", false, Some("/mqtt")),
            ("ws://x/", "ws://x:80/", false, Some("/")),
            ("wss://x/a/b#c", "wss://x:443/a/b", true, Some("/a/b")),
            ("wss://u:secret@x?key=secret", "wss://u@x:443/mqtt", true, Some("/mqtt?key=secret")),
            ("wss://[::1]:9/a?key=secret", "wss://[::1]:9/a", true, Some("/a?key=secret")),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.to_string(), shown, "{text}");
            assert_eq!((url.tls, url.websocket.as_deref()), (tls, websocket), "{text}");
        }
    }

    #[test]
    fn bad_urls_say_why_and_keep_the_password() {
        for url in [
            "http://u:secret@x",
            "mqtt://u:secret@x:port",
            "mqtts://u:secret@",
            "mqtt://u:secret@[::1",
            "ws://u:secret@x/a b",
        ] {
            let error = Url::parse(url).unwrap_err().to_string();
            assert!(error.contains("url `") && !error.contains("secret"), "{error}");
        }
    }
}
