//! Addresses and where they are: paths, event types, URLs elsewhere.
//!
//! What must hold: what is sent to an address is found again as that address by a server with the same places. An address is never
//! a URL, and never leads out of the base: it may come from a message.

use std::fmt::Write as _;

use amgi::{ByteString, ChannelInfo, ChannelMap, Error, Result, address::Alias};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What a path cannot have as it is. Escapes stay what they are.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Where a send goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// The URL of the server, where the type of the event says what it is.
    Base,
    /// A path below it, with its slash.
    Path(String),
    /// Somewhere else.
    Url(String),
}

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// The address of a channel.
    Channel(ByteString, usize),
    /// The place of all events, whose address is their type.
    Base,
    /// Nothing.
    Nothing,
}

/// The places of all channels that are received from, and of all sends.
#[derive(Debug)]
pub(crate) struct Places {
    /// Without a slash at its end.
    base: String,
    aliases: Vec<Alias>,
    map: ChannelMap,
}

impl Places {
    /// `aliases` are pairs of address (or channel name) and path or URL; `channels` are those that are received from.
    pub(crate) fn new(base: &str, channels: &[ChannelInfo], aliases: &[(String, String)]) -> Result<Self> {
        let parse = |(address, place): &(String, String)| {
            if !["/", "http://", "https://"].iter().any(|begin| place.starts_with(begin)) {
                return Err(Error::Config(format!("address `{address}` as `{place}`: no path and no URL")));
            }
            let named = channels.iter().find(|channel| channel.name == address);
            Alias::parse(named.map_or(address, |channel| &channel.address), place)
        };
        if !base.is_empty() && !base.starts_with('/') {
            return Err(Error::Config(format!("path `{base}` must begin with a slash")));
        }
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            aliases: aliases.iter().map(parse).collect::<Result<_>>()?,
            map: ChannelMap::new(channels),
        })
    }

    /// Index of the channel of an address.
    pub(crate) fn channel(&self, address: &str) -> Option<usize> {
        self.map.find(address)
    }

    /// What a request's path is.
    pub(crate) fn find(&self, path: &str) -> Found {
        let Some(rest) = path.strip_prefix(&*self.base) else { return Found::Nothing };
        if !rest.is_empty() && !rest.starts_with('/') {
            return Found::Nothing;
        }
        let rest = readable(rest);
        let known = |address: &str| {
            self.map.find(address).map(|index| Found::Channel(ByteString::from(address), index))
        };
        let alias = self.aliases.iter().find_map(|alias| alias.to_address(&rest));
        if let Some(found) = alias.and_then(|address| known(&address)) {
            return found;
        }
        // One that is mapped to somewhere else is not here.
        let found = known(&rest).or_else(|| known(rest.get(1..)?));
        match found {
            Some(Found::Channel(address, _)) if self.alias(&address).is_some() => Found::Nothing,
            Some(found) => found,
            None if rest.is_empty() || rest == "/" => Found::Base,
            None => Found::Nothing,
        }
    }

    fn alias(&self, address: &str) -> Option<String> {
        // A URL is for sends alone.
        let alias = self.aliases.iter().find(|alias| alias.address().matches(address))?;
        alias.to_name(address).filter(|name| name.starts_with('/'))
    }

    /// Where a send to `address` goes, or why it goes nowhere.
    pub(crate) fn place(&self, address: &str) -> std::result::Result<Place, String> {
        let name = self.aliases.iter().find_map(|alias| alias.to_name(address));
        let path = match &name {
            Some(name) if !name.starts_with('/') => {
                let (scheme, rest) = name.split_once("://").unwrap_or(("http", name));
                let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
                stays(path)?;
                return Ok(Place::Url(format!("{scheme}://{host}{}", wire(path))));
            }
            Some(path) => path,
            None if address.starts_with('/') => address,
            None if address.is_empty() => return Err("there is no address".to_owned()),
            None => return Ok(Place::Base),
        };
        stays(path)?;
        Ok(Place::Path(wire(path)))
    }
}

/// Whether a path leads to where it seems to.
fn stays(path: &str) -> std::result::Result<(), String> {
    let up = |level: &str| {
        let level = level.to_ascii_lowercase().replace("%2e", ".");
        level == "." || level == ".."
    };
    let first = path.starts_with("//");
    if first || path.split(['/', '\\']).any(up) {
        return Err(format!("`{path}` leads somewhere else"));
    }
    Ok(())
}

/// A path as it is sent.
fn wire(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

/// A path as the document writes it: characters that are not ASCII are themselves. Other escapes stay, a value may need them.
fn readable(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let mut bytes = Vec::new();
        while let Some(byte) = escape(&rest[3 * bytes.len()..]).filter(|byte| !byte.is_ascii()) {
            bytes.push(byte);
        }
        let escaped = 3 * bytes.len();
        match String::from_utf8(bytes) {
            Ok(text) if !text.is_empty() => out.push_str(&text),
            // Small letters and large ones in escapes are the same.
            _ => match escape(rest) {
                Some(byte) => {
                    let _ = write!(out, "%{byte:02X}");
                    rest = &rest[3..];
                    continue;
                }
                None => {
                    out.push('%');
                    rest = &rest[1..];
                    continue;
                }
            },
        }
        rest = &rest[escaped..];
    }
    out.push_str(rest);
    out
}

/// The byte that a text begins with as an escape.
fn escape(text: &str) -> Option<u8> {
    let digits = text.strip_prefix('%')?.get(..2)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(base: &str, addresses: &[&'static str], aliases: &[(&str, &str)]) -> Places {
        let channels: Vec<_> = addresses.iter().map(|address| ChannelInfo::new(address, *address)).collect();
        let aliases: Vec<_> = aliases.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        Places::new(base, &channels, &aliases).unwrap()
    }

    fn found(places: &Places, path: &str) -> Option<(String, usize)> {
        match places.find(path) {
            Found::Channel(address, index) => Some((address.to_string(), index)),
            _ => None,
        }
    }

    #[test]
    fn paths_are_addresses_below_the_base() {
        let places = places("/events/", &["/orders/{id}", "user.created", "user.{id}.events", "/größe"], &[]);
        assert_eq!(found(&places, "/events/orders/7"), Some(("/orders/7".to_owned(), 0)));
        assert_eq!(found(&places, "/events/user.created"), Some(("user.created".to_owned(), 1)));
        assert_eq!(found(&places, "/events/user.4%2e2.events"), Some(("user.4%2E2.events".to_owned(), 2)));
        assert_eq!(found(&places, "/events/gr%C3%B6%c3%9fe"), Some(("/größe".to_owned(), 3)));
        for base in ["/events", "/events/"] {
            assert_eq!(places.find(base), Found::Base);
        }
        for nothing in [
            "/",
            "",
            "/orders/7",
            "/eventsorders/7",
            "/events/orders/",
            "/events/x",
            "/events/user.a.b.events",
        ] {
            assert_eq!(places.find(nothing), Found::Nothing, "{nothing}");
        }
        assert!(Places::new("events", &[], &[]).is_err());
    }

    #[test]
    fn what_is_sent_is_found_again() {
        let places =
            places("", &["/orders/{id}", "user.{id}.events"], &[("user.{id}.events", "/v1/users/{id}")]);
        for address in ["/orders/a b?c=1", "/orders/50%25", "/orders/ü", "user.x%2Ey.events"] {
            let Place::Path(path) = places.place(address).unwrap() else { panic!("{address}") };
            assert!(path.is_ascii() && !path.contains(' '), "{path}");
            let (back, _) = found(&places, &path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(amgi::address::decode(&back), amgi::address::decode(address));
        }
        assert_eq!(places.find("/user.7.events"), Found::Nothing, "it is somewhere else");
        assert_eq!(places.place("order.created"), Ok(Place::Base));
    }

    #[test]
    fn an_address_never_leads_out() {
        let places = places("/a", &[], &[("hooks/{id}", "https://x.example/hooks/{id}")]);
        assert_eq!(places.place("hooks/7"), Ok(Place::Url("https://x.example/hooks/7".to_owned())));
        assert_eq!(places.place("https://elsewhere.example/"), Ok(Place::Base));
        for address in ["/../b", "/x/%2E%2e/b", "/x/.", "//elsewhere.example/b", "/x\\..\\b", "", "hooks/.."]
        {
            assert!(places.place(address).is_err(), "{address}");
        }
        assert!(Places::new("", &[], &[("a".to_owned(), "b".to_owned())]).is_err());
    }

    #[test]
    fn escapes_that_are_none_stay() {
        for path in ["/%", "/%4", "/%zz", "/%FF", "/%C3", "/%C3%28", "/%+1"] {
            assert_eq!(readable(path), path);
        }
    }
}
