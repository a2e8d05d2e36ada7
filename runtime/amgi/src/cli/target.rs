//! What SERVER on the command line means.

use std::sync::Arc;

use clap::{ArgMatches, parser::ValueSource};

use super::{Served, command::hint};
use crate::{
    Result,
    address::decode,
    contract::{Document, SendInfo, ServerInfo},
    error::Error,
    protocol::Values,
};

/// A server that the application is to run on.
pub(super) struct Target<A> {
    /// Name of the document's server, else what was written.
    pub(super) name: String,
    /// The document's server.
    pub(super) server: Option<ServerInfo>,
    pub(super) url: Option<String>,
    pub(super) protocol: Arc<dyn Served<A>>,
    pub(super) values: Values,
}

type Protocols<A> = [Arc<dyn Served<A>>];

/// The document's only server.
pub(super) fn only<A>(document: &Document, protocols: &Protocols<A>) -> Result<Target<A>> {
    match document.servers {
        [server] => target(document, protocols, server.name),
        [] => Err(Error::Config("the document names no server: say which, a URL or `memory`".to_owned())),
        servers => {
            Err(Error::Config(format!("the document has several servers, say which: {}", list(servers))))
        }
    }
}

/// Where a send goes that does not say it: the only server that its channel is on, or the only one that there is a protocol for.
pub(super) fn only_of<A>(
    document: &Document,
    protocols: &Protocols<A>,
    channel: &[&str],
) -> Result<Target<A>> {
    let on: Vec<ServerInfo> = document
        .servers
        .iter()
        .filter(|server| channel.is_empty() || channel.contains(&server.name))
        .cloned()
        .collect();
    let spoken: Vec<&ServerInfo> =
        on.iter().filter(|server| speaks(protocols, server.protocol).is_some()).collect();
    match (spoken.as_slice(), on.as_slice()) {
        ([server], _) => target(document, protocols, server.name),
        ([], []) => Err(Error::Config("the document names no server: write --server URL".to_owned())),
        (_, on) => Err(Error::Config(format!("say where to with --server: {}", list(on)))),
    }
}

/// Adds the document's other servers, as far as there are protocols for them: for sends of those that cannot.
pub(super) fn add_senders<A>(
    document: &Document,
    protocols: &Protocols<A>,
    targets: &mut Vec<Target<A>>,
) -> Result<()> {
    for server in document.servers {
        let is_there = targets.iter().any(|target| target.name == server.name);
        let spoken = speaks(protocols, server.protocol).filter(|protocol| !protocol.only_receives());
        if !is_there && spoken.is_some() {
            targets.push(target(document, protocols, server.name)?);
        }
    }
    Ok(())
}

/// Names of those that an operation sends to, and could send to no other.
pub(super) fn only_senders<A>(document: &Document, targets: &[Target<A>]) -> Vec<String> {
    let only = |send: &SendInfo| {
        let on = send.channel.servers;
        let mut able = targets.iter().filter(|target| on.is_empty() || on.contains(&&*target.name));
        able.next().filter(|_| able.next().is_none()).map(|target| target.name.clone())
    };
    document.sends.iter().filter_map(only).collect()
}

/// `NAME`, `URL` or `NAME=URL`, with `?option=value&…` behind it.
pub(super) fn target<A>(document: &Document, protocols: &Protocols<A>, text: &str) -> Result<Target<A>> {
    let (place, query) = text.split_once('?').unwrap_or((text, ""));
    let (name, url) = match place.split_once("://") {
        None => (Some(place), None),
        Some((scheme, _)) => match scheme.split_once('=') {
            Some((name, _)) => (Some(name), Some(&place[name.len() + 1..])),
            None => (None, Some(place)),
        },
    };
    // What messages are brought by has no place.
    let brought =
        name.filter(|name| url.is_none() && document.servers.iter().all(|server| server.name != *name));
    let brought = brought.and_then(|name| {
        protocols.iter().find(|known| known.only_receives() && known.info().name == name).cloned()
    });
    let server = match (name, url) {
        _ if brought.is_some() => None,
        (Some(name), _) => find(document, name)?,
        (None, Some(url)) => meant(document, protocols, url)?,
        (None, None) => None,
    };
    let protocol = match (brought, url.and_then(|url| url.split_once("://"))) {
        (Some(protocol), _) => protocol,
        (None, Some((scheme, _))) => scheme_of(protocols, scheme)?,
        (None, None) => {
            let name = server.map_or("memory", |server| server.protocol);
            speaks(protocols, name).ok_or_else(|| unspoken(protocols, name))?
        }
    };
    let mut values = Values::default();
    let mut rest = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match protocol.info().options.iter().find(|option| option.name == key) {
            Some(option) => values.set(option.name, decode(value), format!("{place}?{key}")),
            // It may mean something to the broker.
            None if url.is_some() => rest.push(part),
            None => {
                let known: Vec<&str> = protocol.info().options.iter().map(|option| option.name).collect();
                let hint = hint(key, &known);
                return Err(Error::Config(format!("`{text}`: no option is called `{key}`{hint}")));
            }
        }
    }
    let query = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
    let url = url.map(|url| format!("{url}{query}"));
    let name = server.map_or_else(|| without_login(place), |server| server.name.to_owned());
    Ok(Target { name, server: server.cloned(), url, protocol, values })
}

/// Adds what flags and the environment say to all targets.
pub(super) fn settle<A>(targets: &mut [Target<A>], matches: &ArgMatches) -> Result<()> {
    let count = |targets: &[Target<A>], name: &str| {
        let same = targets.iter().filter(|target| target.protocol.info().name == name);
        same.filter(|target| target.url.is_none() && target.values.text("url").is_none()).count()
    };
    for index in 0..targets.len() {
        let info = targets[index].protocol.info();
        let mut flags = Values::default();
        for option in info.options {
            let given = matches.try_get_one::<String>(option.name).ok().flatten();
            if let Some(text) =
                given.filter(|_| matches.value_source(option.name) == Some(ValueSource::CommandLine))
            {
                flags.set(option.name, text.as_str(), format!("--{}", option.name));
            }
        }
        let mut under = flags.over(&info.environment());
        if targets[index].url.is_some() {
            under.remove("url");
        } else if under.text("url").is_some() && count(targets, info.name) > 1 {
            let why = format!(
                "cannot be meant for several servers; write NAME=URL for each that speaks {}",
                info.name
            );
            return Err(under.refuse("url", why));
        }
        targets[index].values = std::mem::take(&mut targets[index].values).over(&under);
    }
    Ok(())
}

/// The document's server of that name; `None` for the in-memory server.
fn find<'d>(document: &'d Document, name: &str) -> Result<Option<&'d ServerInfo>> {
    if let Some(server) = document.servers.iter().find(|server| server.name == name) {
        return Ok(Some(server));
    }
    if name == "memory" {
        return Ok(None);
    }
    let known: Vec<&str> = document.servers.iter().map(|server| server.name).chain(["memory"]).collect();
    Err(Error::Config(format!("the document has no server `{name}`{}", hint(name, &known))))
}

/// The document's server that a URL means: the one that is there, else the only one with its protocol.
fn meant<'d, A>(
    document: &'d Document,
    protocols: &Protocols<A>,
    url: &str,
) -> Result<Option<&'d ServerInfo>> {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let info = scheme_of(protocols, scheme)?.info();
    let speaking: Vec<&ServerInfo> =
        document.servers.iter().filter(|server| info.protocols.contains(&server.protocol)).collect();
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place).trim_end_matches('/');
    let there = speaking
        .iter()
        .find(|server| format!("{}{}", server.host, server.path).trim_end_matches('/') == place);
    Ok(there.copied().or(match speaking.as_slice() {
        [server] => Some(*server),
        _ => None,
    }))
}

fn speaks<A>(protocols: &Protocols<A>, protocol: &str) -> Option<Arc<dyn Served<A>>> {
    protocols.iter().find(|known| known.info().protocols.contains(&protocol)).cloned()
}

fn scheme_of<A>(protocols: &Protocols<A>, scheme: &str) -> Result<Arc<dyn Served<A>>> {
    let found = protocols.iter().find(|known| known.info().schemes.contains(&scheme)).cloned();
    found.ok_or_else(|| {
        let known: Vec<&str> =
            protocols.iter().flat_map(|known| known.info().schemes.iter().copied()).collect();
        Error::Config(format!("no server here knows URLs with `{scheme}://`{}", hint(scheme, &known)))
    })
}

fn unspoken<A>(protocols: &Protocols<A>, protocol: &str) -> Error {
    let names: Vec<&str> = protocols.iter().map(|known| known.info().name).collect();
    Error::Config(format!(
        "it speaks {protocol}, and this program was built for {}; other protocols are cargo features",
        names.join(", ")
    ))
}

fn list(servers: &[ServerInfo]) -> String {
    let names: Vec<String> =
        servers.iter().map(|server| format!("`{}` ({})", server.name, server.protocol)).collect();
    format!("{}, a URL, or `memory`", names.join(", "))
}

/// A URL as it may be shown.
fn without_login(place: &str) -> String {
    match place.split_once("://") {
        Some((scheme, rest)) => {
            format!("{scheme}://{}", rest.rsplit_once('@').map_or(rest, |(_, place)| place))
        }
        None => place.to_owned(),
    }
}
