//! What references to `http://` and `https://` mean: a lock file beside the document keeps the texts, so that a build
//! needs no network and gives the same tomorrow.
//!
//! Nothing is fetched unless the caller brings a [`Fetch`]. A text that is in the lock file is never fetched again.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use crate::{
    codes,
    diag::{Diagnostic, Diagnostics, Span},
    source::{Sources, Unreadable},
};

/// Gets texts from the network.
pub trait Fetch {
    /// The text behind `address`, which begins with `http://` or `https://`; an error says in a few words what went
    /// wrong, such as `404 Not Found`.
    fn fetch(&self, address: &str) -> Result<String, String>;
}

/// A lock file that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Beside the document: `user.yaml.lock`.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

/// The texts that are known, and how to get others.
pub(crate) struct Remote<'f> {
    fetch: Option<&'f dyn Fetch>,
    path: PathBuf,
    /// What the lock file holds.
    old: BTreeMap<String, String>,
    old_text: String,
    /// What this document uses.
    used: BTreeMap<String, String>,
}

impl<'f> Remote<'f> {
    /// Reads the lock file of the document at `path`, where there is one.
    pub(crate) fn new(
        path: Option<&Path>,
        fetch: Option<&'f dyn Fetch>,
        sources: &mut Sources,
        diags: &mut Diagnostics,
    ) -> Self {
        let mut remote = Self {
            fetch,
            path: PathBuf::new(),
            old: BTreeMap::new(),
            old_text: String::new(),
            used: BTreeMap::new(),
        };
        let Some(path) = path else { return remote };
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".lock");
        remote.path = path.with_file_name(name);
        let Some(file) = sources.read_lock(&remote.path) else { return remote };
        remote.old_text = sources.get(file).map(|file| file.text.clone()).unwrap_or_default();
        let span = Span { file, line: 1, column: 1, ..Span::default() };
        match parse(&remote.old_text) {
            Ok(texts) => remote.old = texts,
            Err(what) => diags.push(
                Diagnostic::error(codes::LOCK_INVALID, span, what)
                    .help("restore the file, or delete it and generate with --allow-remote"),
            ),
        }
        remote
    }

    /// The text behind an address.
    pub(crate) fn get(&mut self, address: &str) -> Result<String, Unreadable> {
        let text = match (self.old.get(address), self.fetch) {
            (Some(text), _) => text.clone(),
            (None, Some(fetch)) => fetch.fetch(address).map_err(|problem| {
                Unreadable::new(codes::REF_UNREACHABLE, format!("cannot fetch `{address}`: {problem}"))
            })?,
            (None, None) => {
                return Err(Unreadable::new(
                    codes::REF_REMOTE,
                    format!("`{address}` lies in the network, where nothing is read by default"),
                )
                .help(
                    "generate once with --allow-remote, which keeps it in a lock file beside the document",
                ));
            }
        };
        self.used.insert(address.to_string(), text.clone());
        Ok(text)
    }

    /// The lock file as it must become, when fetching was allowed and it is not so yet.
    pub(crate) fn finish(self) -> Option<Lock> {
        self.fetch?;
        if self.used.is_empty() && self.old_text.is_empty() {
            return None;
        }
        let text = print(&self.used);
        (text != self.old_text).then_some(Lock { path: self.path, text })
    }
}

fn print(texts: &BTreeMap<String, String>) -> String {
    let remote: Map<String, Json> = texts
        .iter()
        .map(|(address, text)| (address.clone(), json!({"sha256": digest(text), "text": text})))
        .collect();
    let lock = json!({"version": 1, "remote": remote});
    // A value that was made of texts has a text.
    let mut text = serde_json::to_string_pretty(&lock).unwrap_or_default();
    text.push('\n');
    text
}

fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let lock: Json = serde_json::from_str(text).map_err(|e| format!("the lock file is not JSON: {e}"))?;
    if lock["version"] != 1 {
        return Err("the lock file is of a version that is not known".to_string());
    }
    let remote = lock["remote"].as_object().ok_or("the lock file has no `remote`")?;
    let texts = remote.iter().map(|(address, entry)| {
        let text =
            entry["text"].as_str().ok_or_else(|| format!("the lock file has no text for `{address}`"))?;
        if entry["sha256"] != digest(text) {
            return Err(format!("the text of `{address}` in the lock file does not fit its digest"));
        }
        Ok((address.clone(), text.to_string()))
    });
    texts.collect()
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
