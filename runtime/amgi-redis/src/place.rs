//! Where Redis is: one server, the master that sentinels name, or a cluster.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use amgi::{Error, Result};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, cmd};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use crate::{
    resp::Reply,
    tls::Tls,
    wire::{Lost, Wire},
};

/// Slots of a cluster.
const SLOTS: u16 = 16384;

/// A socket, encrypted or not.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Unpin + Send + Sync {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> Socket for S {}

/// Where Redis is, and how one logs in. Shown without the password.
#[derive(Debug, Clone)]
pub(crate) struct Place(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    /// Those that are asked where it is, or it itself.
    hosts: Vec<ConnectionInfo>,
    tls: Option<Tls>,
    shown: String,
    timeout: Duration,
    /// Cluster: first and last slot, and where they are.
    slots: Mutex<Vec<(u16, u16, String, u16)>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    One,
    Cluster,
    /// The name of the master.
    Sentinel(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.shown)
    }
}

/// The slot of a cluster that a key is in: CRC-16 (XMODEM) of what is in its first braces, or all of it.
pub(crate) fn slot(key: &[u8]) -> u16 {
    let tag = || {
        let open = key.iter().position(|byte| *byte == b'{')? + 1;
        let length = key[open..].iter().position(|byte| *byte == b'}')?;
        (length > 0).then(|| &key[open..open + length])
    };
    let hashed = tag().unwrap_or(key).iter().fold(0_u16, |mut crc, byte| {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
        crc
    });
    hashed % SLOTS
}

impl Place {
    /// Reads a URL; `login` goes over what it says. The files are those of TLS: authorities, certificate, key.
    pub(crate) fn parse(
        url: &str,
        login: Option<&(String, String)>,
        files: [Option<PathBuf>; 3],
        timeout: Duration,
    ) -> Result<Self> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("redis", url));
        let (before, hosts) = rest.rsplit_once('@').map_or(("", rest), |(before, hosts)| (before, hosts));
        // Whatever is wrong, the password is not repeated.
        let user = before.split(':').next().filter(|user| !user.is_empty());
        let shown = format!("{scheme}://{}{hosts}", user.map(|user| format!("{user}@")).unwrap_or_default());
        let shown = shown.split("pass=").next().unwrap_or_default().to_owned();
        let fail = |detail: &dyn fmt::Display| Error::Config(format!("url `{shown}`: {detail}"));
        let (kind, scheme) = match scheme.rsplit_once('-') {
            Some((scheme, "cluster")) => (Kind::Cluster, scheme),
            Some((scheme, "sentinel")) => (Kind::Sentinel(String::new()), scheme),
            _ => (Kind::One, scheme),
        };
        let scheme = match scheme {
            "redis" | "valkey" => "redis",
            "rediss" | "valkeys" => "rediss",
            "unix" | "redis+unix" | "valkey+unix" if kind == Kind::One => "redis+unix",
            _ => {
                return Err(fail(
                    &"the scheme must be redis, rediss, redis+unix, redis-cluster or redis-sentinel",
                ));
            }
        };
        let (hosts, tls) = match (scheme, hosts.strip_suffix("#insecure")) {
            ("rediss", insecure) => (insecure.unwrap_or(hosts), Some(Tls::new(insecure.is_some(), files)?)),
            _ if files.iter().any(Option::is_some) => {
                return Err(fail(&"ca-file, cert-file and key-file are for TLS, which is rediss://"));
            }
            _ => (hosts, None),
        };
        let scheme = if tls.is_some() { "redis" } else { scheme };
        let (hosts, path) = match kind {
            Kind::One => (hosts, ""),
            _ => hosts.split_once('/').unwrap_or((hosts, "")),
        };
        let (kind, path) = match kind {
            Kind::Sentinel(_) => {
                let (master, path) = path.split_once('/').unwrap_or((path, ""));
                if master.is_empty() {
                    return Err(fail(
                        &"the name of the master comes behind the hosts: redis-sentinel://HOST,HOST/MASTER",
                    ));
                }
                (Kind::Sentinel(master.to_owned()), path)
            }
            Kind::Cluster if !matches!(path, "" | "0") => {
                return Err(fail(&"a cluster has no databases"));
            }
            kind => (kind, path),
        };
        let port = if matches!(kind, Kind::Sentinel(_)) { 26379 } else { 6379 };
        let all: Vec<&str> = if kind == Kind::One { vec![hosts] } else { hosts.split(',').collect() };
        let parse = |host: &&str| {
            let before = if before.is_empty() { String::new() } else { format!("{before}@") };
            let has_port = kind == Kind::One
                || host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            let port = if has_port { String::new() } else { format!(":{port}") };
            let slash = if path.is_empty() { "" } else { "/" };
            let info = format!("{scheme}://{before}{host}{port}{slash}{path}").into_connection_info();
            info.map_err(|error| fail(&error)).map(|info| match login {
                Some((user, password)) => {
                    let mut redis = info.redis_settings().clone().set_password(password);
                    if !user.is_empty() {
                        redis = redis.set_username(user);
                    }
                    info.set_redis_settings(redis)
                }
                None => info,
            })
        };
        let hosts = all.iter().map(parse).collect::<Result<Vec<_>>>()?;
        Ok(Self(Arc::new(Inner { kind, hosts, tls, shown, timeout, slots: Mutex::default() })))
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.0.kind == Kind::Cluster
    }

    /// How long an answer may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// Which servers a key is on; keys with the same answer may be in one command.
    pub(crate) fn slot(&self, key: &[u8]) -> u16 {
        if self.is_cluster() { slot(key) } else { 0 }
    }

    /// Forgets where slots are: one has moved.
    pub(crate) fn forget(&self) {
        self.0.slots.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The server that has `slot` now.
    pub(crate) async fn resolve(&self, slot: u16) -> Result<ConnectionInfo, Lost> {
        let template = &self.0.hosts[0];
        let (host, port) = match &self.0.kind {
            Kind::One => return Ok(template.clone()),
            Kind::Sentinel(master) => self.master(master).await?,
            Kind::Cluster => match self.known(slot) {
                Some(found) => found,
                None => {
                    self.learn().await?;
                    self.known(slot).ok_or_else(|| Lost::Refused(format!("no server has slot {slot}")))?
                }
            },
        };
        Ok(template.clone().set_addr(ConnectionAddr::Tcp(host, port)))
    }

    fn known(&self, slot: u16) -> Option<(String, u16)> {
        let slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let range = slots.iter().find(|(first, last, ..)| (*first..=*last).contains(&slot))?;
        Some((range.2.clone(), range.3))
    }

    /// Asks one host after the other until one has an answer.
    async fn ask<T>(
        &self,
        command: &redis::Cmd,
        read: impl Fn(Reply, &ConnectionInfo) -> Option<T>,
        plain: bool,
    ) -> Result<T, Lost> {
        let mut last = Lost::Refused("there is no answer".to_owned());
        for host in &self.0.hosts {
            let host = if plain {
                // Sentinels have no databases, and often no password.
                let redis = host.redis_settings().clone().set_db(0);
                host.clone().set_redis_settings(redis)
            } else {
                host.clone()
            };
            let asked = async {
                let mut wire = Wire::login(self.socket(&host).await?, &host, self.0.timeout).await?;
                wire.call(command).await
            };
            match asked.await {
                Ok(reply) => match read(reply, &host) {
                    Some(found) => return Ok(found),
                    None => last = Lost::Refused("it does not know".to_owned()),
                },
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn master(&self, name: &str) -> Result<(String, u16), Lost> {
        let mut command = cmd("SENTINEL");
        command.arg("get-master-addr-by-name").arg(name);
        let read = |reply: Reply, _: &ConnectionInfo| {
            let mut items = reply.into_array().into_iter().map_while(Reply::into_text);
            let host = String::from_utf8(items.next()?.to_vec()).ok()?;
            let port = std::str::from_utf8(&items.next()?).ok()?.parse().ok()?;
            Some((host, port))
        };
        self.ask(&command, read, true).await
    }

    async fn learn(&self) -> Result<(), Lost> {
        let mut command = cmd("CLUSTER");
        command.arg("SLOTS");
        let read = |reply: Reply, asked: &ConnectionInfo| {
            let range = |range: Reply| {
                let mut items = range.into_array().into_iter();
                let first = u16::try_from(items.next()?.as_int()?).ok()?;
                let last = u16::try_from(items.next()?.as_int()?).ok()?;
                let mut master = items.next()?.into_array().into_iter();
                let host = master.next()?.into_text().map(|host| String::from_utf8_lossy(&host).into_owned());
                let port = u16::try_from(master.next()?.as_int()?).ok()?;
                let host = match (host.filter(|host| !host.is_empty()), asked.addr()) {
                    (Some(host), _) => host,
                    // It does not know its own name: the one by which it was reached.
                    (None, ConnectionAddr::Tcp(host, _)) => host.clone(),
                    (None, _) => return None,
                };
                Some((first, last, host, port))
            };
            let ranges: Vec<_> = reply.into_array().into_iter().filter_map(range).collect();
            (!ranges.is_empty()).then_some(ranges)
        };
        let ranges = self.ask(&command, read, false).await?;
        *self.0.slots.lock().unwrap_or_else(PoisonError::into_inner) = ranges;
        Ok(())
    }

    /// Connects to the server that has `slot` now, and logs in.
    pub(crate) async fn open(&self, slot: u16) -> Result<Wire, Lost> {
        let info = self.resolve(slot).await?;
        Wire::login(self.socket(&info).await?, &info, self.0.timeout).await
    }

    /// Opens a socket.
    pub(crate) async fn socket(&self, info: &ConnectionInfo) -> Result<Box<dyn Socket>, Lost> {
        let opened = async {
            let (host, port) = match info.addr() {
                ConnectionAddr::Tcp(host, port) => (host, *port),
                #[cfg(unix)]
                ConnectionAddr::Unix(path) => {
                    let socket: Box<dyn Socket> = Box::new(tokio::net::UnixStream::connect(path).await?);
                    return Ok(socket);
                }
                _ => return Err(Lost::Refused("this kind of address is not supported".to_owned())),
            };
            let socket = TcpStream::connect((host.as_str(), port)).await?;
            socket.set_nodelay(true)?;
            match &self.0.tls {
                Some(tls) => tls.connect(socket, host).await,
                None => Ok(Box::new(socket) as Box<dyn Socket>),
            }
        };
        timeout(self.0.timeout, opened).await.map_err(|_| Lost::Timeout(self.0.timeout))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Result<Place> {
        Place::parse(url, None, [None, None, None], Duration::from_secs(1))
    }

    #[test]
    fn urls_are_taken_apart_and_shown_without_the_password() {
        let one = place("redis://us%40er:p%2Fw@broker.example:6380/2").unwrap();
        let info = &one.0.hosts[0];
        assert_eq!(info.redis_settings().username(), Some("us@er"));
        assert_eq!(info.redis_settings().password(), Some("p/w"));
        assert_eq!(info.redis_settings().db(), 2);
        assert_eq!(one.to_string(), "redis://us%40er@broker.example:6380/2");
        let socket = place("redis+unix:///run/redis.sock?db=1&pass=secret").unwrap();
        assert!(
            matches!(socket.0.hosts[0].addr(), ConnectionAddr::Unix(path) if path.ends_with("redis.sock"))
        );
        assert!(!socket.to_string().contains("secret"));
        assert!(place("localhost").unwrap().0.hosts[0].addr().to_string().contains("6379"));
    }

    #[test]
    fn clusters_and_sentinels_have_several_hosts() {
        let cluster = place("redis-cluster://:pw@a:7000,b:7001,c").unwrap();
        assert!(cluster.is_cluster());
        assert_eq!(cluster.0.hosts.len(), 3);
        assert_eq!(cluster.0.hosts[2].addr().to_string(), "c:6379");
        assert_eq!(cluster.0.hosts[1].redis_settings().password(), Some("pw"));
        let sentinel = place("redis-sentinel://a,b:5000/shop/3").unwrap();
        assert_eq!(sentinel.0.kind, Kind::Sentinel("shop".to_owned()));
        assert_eq!(sentinel.0.hosts[0].addr().to_string(), "a:26379");
        assert_eq!(sentinel.0.hosts[1].redis_settings().db(), 3);
    }

    #[test]
    fn bad_urls_say_why_and_keep_the_password() {
        for url in [
            "http://u:secret@x",
            "redis://u:secret@x/letters",
            "redis-sentinel://u:secret@x",
            "redis-cluster://u:secret@x/4",
            "mqtt-cluster://u:secret@x",
        ] {
            let error = place(url).unwrap_err().to_string();
            assert!(error.contains("url `") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn keys_are_in_the_slots_that_redis_says() {
        // CLUSTER KEYSLOT of each.
        for (key, wanted) in [
            ("foo", 12182),
            ("123456789", 12739),
            ("{user1000}.following", 3443),
            ("{user1000}.followers", 3443),
        ] {
            assert_eq!(slot(key.as_bytes()), wanted, "{key}");
        }
        assert_eq!(slot(b"{}foo"), slot(b"{}foo"));
        assert_ne!(slot(b"{}foo"), slot(b"foo"));
    }
}
