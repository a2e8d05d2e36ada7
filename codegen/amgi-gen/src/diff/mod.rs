//! What changes between two versions of a document: on the wire, and in the code of those who use what is generated.
//!
//! On the wire it matters who writes and who reads. What the application receives is written by peers that may still follow
//! the old document; what it sends is read by them. So the same change of a schema breaks one direction and not the other:
//! `schema` finds what one version allows and the other refuses, both ways, and `wire` says which of it matters. In code the two
//! IRs are compared, by what the compiler sees of them.
//!
//! What must stay true: where no change is worse than compatible, every message that fitted still fits, and code that compiled
//! still compiles.

mod bindings;
mod code;
pub mod kinds;
mod pairs;
mod schema;
mod surface;
mod wire;

use std::fmt;

use amgi_asyncapi::{diag::Span, model::Document};

use crate::{ir::Api, settings::Settings};

/// A version of a document.
#[derive(Debug, Clone, Copy)]
pub struct Version<'a> {
    /// The document.
    pub document: &'a Document,
    /// What is generated for it.
    pub api: &'a Api,
    /// The settings it is generated with.
    pub settings: &'a Settings,
}

/// How bad a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nothing breaks.
    Compatible,
    /// Something may break, and it cannot be decided here.
    Warning,
    /// A message no longer fits, or code no longer compiles.
    Breaking,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compatible => "compatible",
            Self::Warning => "warning",
            Self::Breaking => "breaking",
        })
    }
}

/// In what respect something changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Respect {
    /// What messages look like, and where they go.
    Wire,
    /// What the compiler sees.
    Code,
}

impl fmt::Display for Respect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wire => "wire",
            Self::Code => "code",
        })
    }
}

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Name in kebab case, which stays.
    pub id: &'static str,
    /// In what respect it is a change.
    pub respect: Respect,
    summary: &'static str,
}

impl Kind {
    /// What it is, a sentence.
    pub fn summary(&self) -> &'static str {
        self.summary.trim()
    }
}

/// What a change is about, in the order of a report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// An operation, by its place in the document and its key. What it does stands before the key: `receive`, `send`.
    Operation(usize, String, &'static str),
    /// A channel, by its key.
    Channel(String),
    /// A server, by its key.
    Server(String),
    /// The document.
    Document,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Before AsyncAPI 3 the key may begin with the action.
            Self::Operation(_, key, action) if key.starts_with(&format!("{action} ")) => f.write_str(key),
            Self::Operation(_, key, action) => write!(f, "{action} {key}"),
            Self::Channel(key) => write!(f, "channel {key}"),
            Self::Server(key) => write!(f, "server {key}"),
            Self::Document => f.write_str("document"),
        }
    }
}

/// One thing that is otherwise in the new version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What kind of change it is.
    pub kind: Kind,
    /// How bad it is.
    pub level: Level,
    /// What it is about.
    pub subject: Subject,
    /// What it is, one sentence without a full stop.
    pub message: String,
    /// Where: the message and its part, with a JSON Pointer into it where `*` stands for any element or member, or the path of
    /// a Rust item.
    pub place: String,
    /// What can be done about it.
    pub hint: Option<&'static str>,
    /// Where it stands in the old version.
    pub old: Option<Span>,
    /// Where it stands in the new one.
    pub new: Option<Span>,
}

/// What changes from `old` to `new`, by subject, the worst first.
///
/// ```
/// use std::path::Path;
///
/// use amgi_gen::{diff, from_loaded, settings::Settings};
///
/// let text = "asyncapi: 3.1.0
/// info: {title: t, version: '1'}
/// channels: {c: {address: c, messages: {m: {payload: {type: object, properties: {id: {type: integer}}}}}}}
/// operations: {o: {action: receive, channel: {$ref: '#/channels/c'}}}
/// ";
/// let settings = Settings::default();
/// let read = |text: &str| {
///     let loaded = amgi_asyncapi::load_str("user.yaml", text);
///     let document = loaded.document.clone();
///     (document, from_loaded(loaded, Path::new("user.yaml"), &settings).api.expect("no errors"))
/// };
/// let (old, new) = (read(text), read(&text.replace("type: object", "type: object, required: [id]")));
/// let version = |(document, api)| diff::Version { document, api, settings: &settings };
/// let changes = diff::compare(version((&old.0, &old.1)), version((&new.0, &new.1)));
///
/// let ids: Vec<&str> = changes.iter().map(|change| change.kind.id).collect();
/// // `id` is no `Option` any more, so its struct has no `Default`.
/// assert_eq!(ids, ["member-required", "derive-removed", "field-type-changed"]);
/// assert!(changes.iter().all(|change| change.level == diff::Level::Breaking));
/// ```
pub fn compare(old: Version<'_>, new: Version<'_>) -> Vec<Change> {
    let mut changes = wire::compare(old, new);
    changes.extend(code::compare(old, new));
    let order =
        |change: &Change| (change.subject.clone(), std::cmp::Reverse(change.level), change.kind.respect);
    changes.sort_by_key(order);
    let mut seen = std::collections::HashSet::new();
    changes.retain(|change| {
        seen.insert((change.subject.clone(), change.kind.id, change.place.clone(), change.message.clone()))
    });
    changes
}
