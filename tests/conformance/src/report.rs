//! Running the whole suite, and the table of what came of it.

use std::{fmt::Write as _, sync::Arc};

use crate::{
    stage::{Broken, Stage},
    subject::{Abilities, Subject},
    table::{CASES, Case},
};

/// What became of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The promise is kept.
    Kept,
    /// The broker cannot do it, for this reason; what the server does instead is as it should be.
    Lacking(&'static str),
    /// The promise is not kept.
    Broken(Broken),
}

/// What became of a server, case by case.
#[derive(Debug, Clone)]
pub struct Report {
    /// Name of the server.
    pub name: String,
    /// What it can do.
    pub abilities: Abilities,
    /// A verdict for each of [`CASES`], in that order.
    pub verdicts: Vec<Verdict>,
}

impl Report {
    /// What is to be expected of a subject: that it keeps every promise that it can.
    pub fn expected(name: &str, abilities: &Abilities) -> Self {
        let verdict = |case: &Case| lacking(abilities, case).map_or(Verdict::Kept, Verdict::Lacking);
        Self {
            name: name.to_owned(),
            abilities: abilities.clone(),
            verdicts: CASES.iter().map(verdict).collect(),
        }
    }

    /// What is broken, and how.
    pub fn broken(&self) -> impl Iterator<Item = (&'static Case, &Broken)> {
        CASES.iter().zip(&self.verdicts).filter_map(|(case, verdict)| match verdict {
            Verdict::Broken(broken) => Some((case, broken)),
            _ => None,
        })
    }
}

/// Why the case cannot be kept.
fn lacking(abilities: &Abilities, case: &Case) -> Option<&'static str> {
    case.needs.iter().find_map(|need| abilities.lacks(*need))
}

/// Runs one case.
///
/// # Errors
/// When the promise is not kept, and how.
pub async fn check<S: Subject>(subject: S, case: &str) -> Result<(), Broken> {
    let stage = &Stage::new(Arc::new(subject));
    crate::__cases!(__run! (case stage))
}

/// Runs every case, one after the other, each with a subject of its own.
pub async fn run<S: Subject, F: Future<Output = S>>(make: impl Fn() -> F) -> Report {
    let subject = make().await;
    let mut report = Report::expected(subject.name(), &subject.abilities());
    drop(subject);
    for (case, verdict) in CASES.iter().zip(&mut report.verdicts) {
        if let Err(broken) = check(make().await, case.name).await {
            *verdict = Verdict::Broken(broken);
        }
    }
    report
}

/// Runs one case in a runtime of its own: what the tests of [`suite!`](crate::suite) do.
///
/// # Errors
/// When the promise is not kept, and how.
///
/// # Panics
/// When the runtime cannot be made.
pub fn test<S: Subject>(case: &str, subject: impl Future<Output = S>) -> Result<(), Broken> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async { check(subject.await, case).await })
}

/// The table of these reports as Markdown: a row for each promise, a column for each server.
pub fn table(reports: &[Report]) -> String {
    let mut out = String::from("| promise |");
    for report in reports {
        let _ = write!(out, " {} |", report.name);
    }
    out.push_str("\n|---|");
    out.push_str(&":-:|".repeat(reports.len()));
    for (row, case) in CASES.iter().enumerate() {
        let _ = write!(out, "\n| {} |", case.promise);
        for report in reports {
            out.push_str(match report.verdicts.get(row) {
                Some(Verdict::Kept) => " ✓ |",
                Some(Verdict::Lacking(_)) => " – |",
                Some(Verdict::Broken(_)) | None => " **✗** |",
            });
        }
    }
    out.push('\n');
    out
}

/// Why the table has a – for this server, as a list in Markdown, for its page.
pub fn reasons(abilities: &Abilities) -> String {
    let mut out = String::new();
    for (_, reason) in abilities.lacking() {
        let _ = writeln!(out, "* {reason}");
    }
    out
}
