//! Addresses and subjects: one mapping for receives and sends, and the subjects with wildcards that channels become.
//!
//! What must hold: `address(subject(a)) == a` for every address that fits a channel, so that a reply goes where the request
//! came from, and what a broker delivers beyond the pattern (`*` takes any token) never reaches the application.

use std::{fmt, sync::Arc};

use amgi::{
    ByteString, ChannelInfo, Error, Result,
    address::{Alias, Pattern},
};

type ToSubject = Arc<dyn Fn(&str) -> String + Send + Sync>;
type ToAddress = Arc<dyn Fn(&str, &str) -> String + Send + Sync>;

/// How addresses of the document become subjects and back; [`Mapping::tokens`] unless told otherwise.
///
/// ```
/// use amgi_nats::Mapping;
///
/// let tokens = Mapping::tokens();
/// // A dotted address is a subject already.
/// assert_eq!(tokens.subject("user.42.events"), "user.42.events");
/// // The levels of an address that has slashes are tokens; a dot within a level stays one on the way back.
/// assert_eq!(tokens.subject("lamps/4.2/on"), "lamps.4%2E2.on");
/// assert_eq!(tokens.address("lamps.4%2E2.on", "lamps/{id}/on"), "lamps/4.2/on");
/// ```
#[derive(Clone)]
pub struct Mapping {
    to_subject: ToSubject,
    to_address: ToAddress,
}

impl Mapping {
    /// Levels are tokens: `user.{userId}.events` stays as it is, `lamps/{id}/on` is `lamps.{id}.on`.
    pub fn tokens() -> Self {
        Self::new(
            |address| {
                if address.contains('/') {
                    address.replace('.', "%2E").replace('/', ".")
                } else {
                    address.to_owned()
                }
            },
            |subject, channel| {
                if channel.contains('/') {
                    subject.replace('.', "/").replace("%2E", ".")
                } else {
                    subject.to_owned()
                }
            },
        )
    }

    /// Address and subject are the same text.
    pub fn as_is() -> Self {
        Self::new(str::to_owned, |subject, _| subject.to_owned())
    }

    /// A mapping of your own.
    ///
    /// `to_subject` gets an address, or a channel's address with its `{parameters}`, which it must leave alone.
    /// `to_address` gets a subject and the channel's address, and gives the address back.
    pub fn new(
        to_subject: impl Fn(&str) -> String + Send + Sync + 'static,
        to_address: impl Fn(&str, &str) -> String + Send + Sync + 'static,
    ) -> Self {
        Self { to_subject: Arc::new(to_subject), to_address: Arc::new(to_address) }
    }

    /// The subject of an address.
    pub fn subject(&self, address: &str) -> String {
        (self.to_subject)(address)
    }

    /// The address of a subject that came in on `channel`.
    pub fn address(&self, subject: &str, channel: &str) -> String {
        (self.to_address)(subject, channel)
    }
}

impl Default for Mapping {
    fn default() -> Self {
        Self::tokens()
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").finish_non_exhaustive()
    }
}

/// The subjects of all addresses, for sends too.
#[derive(Debug)]
pub(crate) struct Subjects {
    mapping: Mapping,
    aliases: Vec<Alias>,
}

impl Subjects {
    /// `aliases` are pairs of address (or channel name) and subject.
    pub(crate) fn new(
        channels: &[ChannelInfo],
        mapping: Mapping,
        aliases: &[(String, String)],
    ) -> Result<Self> {
        let aliases = aliases
            .iter()
            .map(|(address, subject)| {
                let named = channels.iter().find(|channel| channel.name == address);
                Alias::parse(named.map_or(address, |channel| &channel.address), subject)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { mapping, aliases })
    }

    /// The subject that a send to `address` goes to.
    pub(crate) fn subject(&self, address: &ByteString) -> ByteString {
        if let Some(subject) = self.aliases.iter().find_map(|alias| alias.to_name(address)) {
            return subject.into();
        }
        let subject = self.mapping.subject(address);
        if subject == **address { address.clone() } else { subject.into() }
    }

    /// The way of a channel's messages.
    pub(crate) fn route(&self, channel: &ChannelInfo, dead_letter_everywhere: bool) -> Result<Route> {
        let fail = |error: &dyn fmt::Display| Error::Config(format!("channel `{}`: {error}", channel.name));
        let pattern = Pattern::parse(&channel.address).map_err(|error| fail(&error))?;
        let alias = self.aliases.iter().find(|alias| *alias.address() == pattern).cloned();
        let subject = match &alias {
            Some(alias) => alias.name().clone(),
            None => Pattern::parse(&self.mapping.subject(&channel.address)).map_err(|error| fail(&error))?,
        };
        let filter = filter(&subject).map_err(|error| fail(&error))?;
        let literal = pattern.parameters().next().is_none();
        Ok(Route {
            literal: literal.then(|| ByteString::from(channel.address.as_ref())),
            channel: channel.address.to_string(),
            dead_letters_beside: !literal && !dead_letter_everywhere && channel.dead_letter.is_none(),
            pattern,
            alias,
            mapping: self.mapping.clone(),
            filter,
        })
    }
}

/// One channel that is received from.
#[derive(Debug)]
pub(crate) struct Route {
    /// The document's address, with parameters.
    channel: String,
    pattern: Pattern,
    /// Set when the address has no parameters: then the filter has no wildcards.
    literal: Option<ByteString>,
    alias: Option<Alias>,
    mapping: Mapping,
    /// Dead letters go to `<address>.dlq`.
    dead_letters_beside: bool,
    /// What is subscribed to.
    pub(crate) filter: String,
}

impl Route {
    /// The document's address of a subject that came in; `None` for what only the wildcard takes, and for dead letters of
    /// this very channel.
    pub(crate) fn address(&self, subject: &str) -> Option<ByteString> {
        if let Some(literal) = &self.literal {
            return Some(literal.clone());
        }
        let address: ByteString = match &self.alias {
            Some(alias) => alias.to_address(subject)?,
            None => self.mapping.address(subject, &self.channel),
        }
        .into();
        if !self.pattern.matches(&address) {
            return None;
        }
        let dead = self.dead_letters_beside
            && address.strip_suffix(".dlq").is_some_and(|original| self.pattern.matches(original));
        (!dead).then_some(address)
    }
}

/// The filter of a subject pattern: a token with a parameter in it is `*`.
fn filter(subject: &Pattern) -> Result<String, String> {
    let text = subject.to_string();
    let tokens: Vec<_> = text.split('.').map(|token| if token.contains('{') { "*" } else { token }).collect();
    let literal = text.split('.').filter(|token| !token.contains('{'));
    for token in literal {
        if token.is_empty() {
            return Err(format!("`{text}` is no subject: there must be something between its dots"));
        }
        if token.contains(|c: char| c.is_whitespace() || c.is_control() || c == '*' || c == '>') {
            return Err(format!(
                "`{text}` is no subject: it must not hold spaces, `*` or `>`; parameters are the wildcards"
            ));
        }
    }
    Ok(tokens.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(aliases: &[(&str, &str)]) -> Subjects {
        let aliases: Vec<_> = aliases.iter().map(|(a, s)| ((*a).to_owned(), (*s).to_owned())).collect();
        Subjects::new(&[], Mapping::tokens(), &aliases).unwrap()
    }

    fn route(address: &'static str) -> Route {
        subjects(&[]).route(&ChannelInfo::new(address, address), false).unwrap()
    }

    fn found(route: &Route, subject: &'static str) -> Option<String> {
        route.address(subject).map(|address| address.to_string())
    }

    #[test]
    fn parameters_become_wildcards_and_are_filtered_again() {
        let events = route("user.{id}.events");
        assert_eq!(events.filter, "user.*.events");
        assert_eq!(found(&events, "user.7.events").as_deref(), Some("user.7.events"));
        let part = route("x.a-{b}.c");
        assert_eq!(part.filter, "x.*.c");
        assert_eq!(found(&part, "x.a-1.c").as_deref(), Some("x.a-1.c"));
        assert_eq!(found(&part, "x.b-1.c"), None, "the wildcard takes it, the pattern does not");
    }

    #[test]
    fn every_value_comes_back() {
        for text in ["user.{id}.events", "lamps/{id}/on"] {
            let (pattern, route) = (Pattern::parse(text).unwrap(), route(text));
            for value in ["1", "a.b", "a/b", "50%", "%41", "%2E", "a*b", ">", "ü x", "a:b", "."] {
                let address = pattern.format(&[value]);
                let subject = subjects(&[]).subject(&ByteString::from(address.as_str()));
                assert_eq!(subject.split('.').count(), 3, "{subject}");
                assert!(!subject.contains(['*', '>', ' ']), "{subject}");
                assert_eq!(route.address(&subject), Some(address.into()), "{value} as {subject}");
            }
        }
    }

    #[test]
    fn aliases_go_both_ways() {
        let subjects = subjects(&[("user.{id}.{kind}", "v1.{kind}.of.{id}"), ("mail.out", "outbox")]);
        let route = subjects.route(&ChannelInfo::new("user.{id}.{kind}", "user.{id}.{kind}"), false).unwrap();
        assert_eq!(route.filter, "v1.*.of.*");
        assert_eq!(found(&route, "v1.renamed.of.7").as_deref(), Some("user.7.renamed"));
        assert_eq!(subjects.subject(&"user.7.renamed".into()), "v1.renamed.of.7");
        assert_eq!(subjects.subject(&"mail.out".into()), "outbox");
        assert_eq!(subjects.subject(&"mail.in".into()), "mail.in");
    }

    #[test]
    fn dead_letters_do_not_come_round() {
        let all = route("jobs.{id}");
        assert_eq!(found(&all, "jobs.7").as_deref(), Some("jobs.7"));
        assert_eq!(found(&all, "jobs.dlq").as_deref(), Some("jobs.dlq"));
        let deep = route("{a}.{b}");
        assert_eq!(found(&deep, "x.dlq").as_deref(), Some("x.dlq"), "`x` is none of its addresses");
    }

    #[test]
    fn what_is_no_subject_is_refused() {
        for address in ["a.*", "a.>", "a..b", "a b", ""] {
            let channel = ChannelInfo::new("a", address);
            assert!(subjects(&[]).route(&channel, false).is_err(), "{address}");
        }
    }
}
