//! Addresses and queues: one mapping for receives and sends, and what names a queue or a topic.
//!
//! What must hold: no two addresses have the same queue, unless somebody says so; `address(name(a)) == a`.

use std::{borrow::Cow, fmt, sync::Arc};

use amgi::server::aws::{queue_address as unescape, queue_name as escape};

type Translate = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// The longest name that a queue can have.
pub(crate) const LONGEST: usize = 80;

/// How addresses of the document become names of queues and back; [`Mapping::names`] unless told otherwise.
///
/// ```
/// use amgi_sqs::Mapping;
///
/// let mapping = Mapping::names();
/// assert_eq!(mapping.name("order-events"), "order-events");
/// assert_eq!(mapping.name("user.created"), "user--created");
/// assert_eq!(mapping.name("lamps/7/on"), "lamps__7__on");
/// assert_eq!(mapping.name("orders.fifo"), "orders.fifo");
/// assert_eq!(mapping.address("user--created"), "user.created");
/// ```
#[derive(Clone)]
pub struct Mapping {
    to_name: Translate,
    to_address: Translate,
}

impl Mapping {
    /// What a name of SQS may have stays: letters, digits, and `-` and `_` between them. A dot is `--`, a slash `__`, and every
    /// other byte `_-XX-_` in hexadecimal. An ending `.fifo` stays, since it means something to SQS.
    pub fn names() -> Self {
        Self::new(escape, unescape)
    }

    /// The same behind a prefix, such as that of a stage: `prod-`.
    pub fn prefix(prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        let other = prefix.clone();
        Self::new(
            move |address| format!("{prefix}{}", escape(address)),
            move |name| unescape(name.strip_prefix(&*other).unwrap_or(name)),
        )
    }

    /// A mapping of your own: `to_name` gets an address, `to_address` gives it back.
    pub fn new(
        to_name: impl Fn(&str) -> String + Send + Sync + 'static,
        to_address: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Self {
        Self { to_name: Arc::new(to_name), to_address: Arc::new(to_address) }
    }

    /// The name of the queue of an address.
    pub fn name(&self, address: &str) -> String {
        (self.to_name)(address)
    }

    /// The address of a queue of that name.
    pub fn address(&self, name: &str) -> String {
        (self.to_address)(name)
    }
}

impl Default for Mapping {
    fn default() -> Self {
        Self::names()
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").finish_non_exhaustive()
    }
}

/// What a queue or a topic is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// A queue of this account.
    Name(String),
    /// A queue of that account: `arn:aws:sqs:eu-west-1:123456789012:orders`.
    Arn { account: String, name: String },
    /// A queue: `https://sqs.eu-west-1.amazonaws.com/123456789012/orders`.
    Url(String),
    /// A topic of SNS, by its ARN.
    Topic(String),
}

impl Place {
    /// Reads what is no mere name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.starts_with("https://") || text.starts_with("http://") {
            return Some(Self::Url(text.to_owned()));
        }
        let mut parts = text.strip_prefix("arn:")?.splitn(5, ':');
        let (_partition, service, _region) = (parts.next()?, parts.next()?, parts.next()?);
        let (account, name) = (parts.next()?, parts.next()?);
        match service {
            "sqs" => Some(Self::Arn { account: account.to_owned(), name: name.to_owned() }),
            "sns" => Some(Self::Topic(text.to_owned())),
            _ => None,
        }
    }

    /// Its last part.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Name(name) | Self::Arn { name, .. } => name,
            Self::Url(url) => url.rsplit('/').next().unwrap_or(url),
            Self::Topic(arn) => arn.rsplit(':').next().unwrap_or(arn),
        }
    }

    /// Whether it keeps the order of message groups.
    pub(crate) fn is_fifo(&self) -> bool {
        self.name().strip_suffix(".fifo").is_some()
    }

    /// Why there can be no queue of that name.
    pub(crate) fn problem(&self) -> Option<Cow<'static, str>> {
        let Self::Name(name) = self else { return None };
        let body = name.strip_suffix(".fifo").unwrap_or(name);
        if name.is_empty() || name.len() > LONGEST {
            return Some(
                format!("`{name}` has {} characters, and the name of a queue has 1 to {LONGEST}", name.len())
                    .into(),
            );
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (!body.chars().all(fits)).then(|| {
            format!(
                "`{name}` is no name of a queue: it has letters, digits, `-` and `_`, and may end in `.fifo`"
            )
            .into()
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(text) | Self::Url(text) | Self::Topic(text) => f.write_str(text),
            Self::Arn { account, name } => write!(f, "{name} of account {account}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_comes_back() {
        let pieces = ["a", "7", "-", "_", ".", "/", " ", "ü", "--", "__", "_-2E-_", "%2E", ".fifo"];
        let mut seen = std::collections::HashMap::new();
        for one in pieces {
            for two in pieces {
                for three in pieces {
                    for four in ["", "x", "-", "."] {
                        let address = format!("{one}{two}{three}{four}");
                        let name = escape(&address);
                        assert_eq!(unescape(&name), address, "{name}");
                        let other = seen.insert(name.clone(), address.clone());
                        assert!(other.is_none_or(|other| other == address), "{name}");
                        assert!(
                            Place::Name(name.clone()).problem().is_none_or(|why| why.contains("characters")),
                            "{name}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_a_name_stays() {
        for name in ["order-events", "my_queue", "Orders7", "a-b_c", "orders.fifo"] {
            assert_eq!(escape(name), name);
        }
        assert_eq!(Mapping::prefix("prod-").name("a.b"), "prod-a--b");
        assert_eq!(Mapping::prefix("prod-").address("prod-a--b"), "a.b");
    }

    #[test]
    fn queues_have_names_urls_and_arns() {
        let arn = Place::parse("arn:aws-cn:sqs:cn-north-1:123456789012:orders7.fifo").unwrap();
        assert_eq!(arn, Place::Arn { account: "123456789012".into(), name: "orders7.fifo".into() });
        assert!(arn.is_fifo());
        let url = Place::parse("https://sqs.eu-west-1.amazonaws.com/1/orders").unwrap();
        assert_eq!((url.name(), url.is_fifo()), ("orders", false));
        assert!(matches!(Place::parse("arn:aws:sns:eu-west-1:1:news"), Some(Place::Topic(_))));
        assert_eq!(Place::parse("orders"), None);
        assert!(Place::Name("a".repeat(81)).problem().is_some());
        assert!(Place::Name("a.b".into()).problem().is_some());
    }
}
