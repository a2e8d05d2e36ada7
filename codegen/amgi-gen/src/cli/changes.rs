//! Changes for people and programs: text, JSON, workflow commands of GitHub, Markdown.
//!
//! Texts quote the documents; no control character of theirs reaches the terminal.

use std::{fmt::Write as _, path::PathBuf};

use amgi_asyncapi::{diag::Span, source::Sources};
use serde_json::{Value, json};

use super::{
    machine::{Place, data, place, property},
    paint,
    report::printable,
};
use crate::diff::{Change, Level, Subject};

/// A version of the document, as it is shown.
pub(super) struct Side {
    /// As it was named.
    pub(super) name: PathBuf,
    pub(super) sources: Sources,
}

/// A report that is to be written.
pub(super) struct Report<'a> {
    pub(super) changes: &'a [Change],
    pub(super) old: Side,
    pub(super) new: Side,
    /// The folder that paths are seen from.
    pub(super) base: PathBuf,
}

/// How many there are of each level.
pub(super) fn summary(changes: &[Change]) -> String {
    let count = |level| changes.iter().filter(|change| change.level == level).count();
    let parts = [
        (count(Level::Breaking), "breaking"),
        (count(Level::Warning), "to decide"),
        (count(Level::Compatible), "compatible"),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    if parts.is_empty() { "no changes".to_owned() } else { parts.join(", ") }
}

impl Report<'_> {
    /// By subject, a line or two each.
    pub(super) fn text(&self, color: bool) -> String {
        let mut out = String::new();
        let mut last: Option<&Subject> = None;
        for change in self.changes {
            // Writing to a string does not fail.
            if last != Some(&change.subject) {
                let gap = if last.is_some() { "\n" } else { "" };
                let _ = writeln!(out, "{gap}{}", paint(&printable(&change.subject.to_string()), "1", color));
                last = Some(&change.subject);
            }
            let style = match change.level {
                Level::Breaking => "1;31",
                Level::Warning => "33",
                Level::Compatible => "32",
            };
            let level = paint(&format!("{:10}", change.level.to_string()), style, color);
            let _ = writeln!(out, "  {level}  {}: {}", change.kind.id, printable(&change.message));
            let places = self.places(change);
            let place = [change.place.as_str(), &places].into_iter().filter(|part| !part.is_empty());
            let place = place.collect::<Vec<_>>().join(" at ");
            if !place.is_empty() {
                let _ = writeln!(out, "              {}", paint(&printable(&place), "2", color));
            }
            if let Some(hint) = change.hint {
                let _ = writeln!(out, "              help: {hint}");
            }
        }
        out
    }

    /// One JSON object on one line, its members described in the README.
    pub(super) fn json(&self) -> String {
        let count = |level| self.changes.iter().filter(|change| change.level == level).count();
        let changes: Vec<Value> = self
            .changes
            .iter()
            .map(|change| {
                let (subject, key) = match &change.subject {
                    Subject::Operation(_, key, _) => ("operation", Some(key)),
                    Subject::Channel(key) => ("channel", Some(key)),
                    Subject::Server(key) => ("server", Some(key)),
                    Subject::Document => ("document", None),
                };
                let shown = |place: Option<Place>| {
                    place.map(|place| {
                        let mut object = json!({});
                        place.put(&mut object);
                        object
                    })
                };
                json!({
                    "id": change.kind.id,
                    "level": change.level.to_string(),
                    "respect": change.kind.respect.to_string(),
                    "subject": subject,
                    "key": key,
                    "message": change.message,
                    "place": change.place,
                    "hint": change.hint,
                    "old": shown(self.at(&self.old, change.old)),
                    "new": shown(self.at(&self.new, change.new)),
                })
            })
            .collect();
        let report = json!({
            "version": 1,
            "tool": {"name": "amgi-gen", "version": env!("CARGO_PKG_VERSION")},
            "old": self.old.name.to_string_lossy(),
            "new": self.new.name.to_string_lossy(),
            "breaking": count(Level::Breaking),
            "warnings": count(Level::Warning),
            "compatible": count(Level::Compatible),
            "changes": changes,
        });
        format!("{report}\n")
    }

    /// A workflow command a line. What has no place is shown for the document as a whole.
    pub(super) fn github(&self) -> String {
        let mut out = String::new();
        for change in self.changes {
            let command = match change.level {
                Level::Breaking => "error",
                Level::Warning => "warning",
                Level::Compatible => "notice",
            };
            let at = self.at(&self.new, change.new);
            let properties = at.map_or_else(
                || format!("file={}", property(&self.new.name.to_string_lossy())),
                |place| place.properties(),
            );
            let mut text = format!("{}: {}", change.subject, change.message);
            if !change.place.is_empty() {
                let _ = write!(text, "\n{}", change.place);
            }
            if let Some(hint) = change.hint {
                let _ = write!(text, "\nHelp: {hint}");
            }
            let _ = writeln!(out, "::{command} {properties},title={}::{}", change.kind.id, data(&text));
        }
        out
    }

    /// A list under a heading for each subject.
    pub(super) fn markdown(&self) -> String {
        let mut out = format!(
            "## {} → {}\n\n{}\n",
            code(&self.old.name.to_string_lossy()),
            code(&self.new.name.to_string_lossy()),
            summary(self.changes)
        );
        let mut last: Option<&Subject> = None;
        for change in self.changes {
            if last != Some(&change.subject) {
                let _ = writeln!(out, "\n### {}\n", escaped(&change.subject.to_string()));
                last = Some(&change.subject);
            }
            let level = match change.level {
                Level::Breaking => "**breaking**",
                Level::Warning => "warning",
                Level::Compatible => "compatible",
            };
            let _ = write!(out, "- {level} `{}`: {}", change.kind.id, escaped(&change.message));
            if !change.place.is_empty() {
                let _ = write!(out, " ({})", code(&change.place));
            }
            out.push('\n');
            if let Some(hint) = change.hint {
                let _ = writeln!(out, "  - {}", escaped(hint));
            }
        }
        out
    }

    /// Where it stands in both versions.
    fn places(&self, change: &Change) -> String {
        let shown = |side: &Side, span| {
            let place = self.at(side, span)?;
            Some(match place.start {
                Some((line, column)) => format!("{}:{line}:{column}", place.file),
                None => place.file,
            })
        };
        match (shown(&self.old, change.old), shown(&self.new, change.new)) {
            (Some(old), Some(new)) => format!("{old} -> {new}"),
            (Some(only), None) | (None, Some(only)) => only,
            (None, None) => String::new(),
        }
    }

    fn at(&self, side: &Side, span: Option<Span>) -> Option<Place> {
        span.map(|span| place(&side.sources, &self.base, span)).filter(|place| !place.file.is_empty())
    }
}

/// Text that quotes code already, without what Markdown or HTML would take for its own.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    let mut quoted = false;
    for c in printable(text).chars() {
        quoted ^= c == '`';
        if !quoted && "\\*_[]<>#|".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn code(text: &str) -> String {
    format!("`{}`", printable(text).replace('`', "'"))
}
