//! Runners over material that is not part of the project: folders of AsyncAPI documents.
//!
//! * `corpus` generates from every document, builds what comes of it, and counts.
//! * `fuzz` changes documents at random and looks for panics, hangs, and problems without a place.
//! * `semantics` drives applications that were generated from documents, and looks at what they do.
//! * `property` holds generated types of documents to the verdicts of another implementation, on random instances.
//! * `versions` holds what `amgi-gen diff` says of changed schemas to the same verdicts.
//! * `suite` holds generated types to the verdicts of a folder of JSON schemas and instances.
//!
//! Nothing of the material is kept here.

pub mod compile;
pub mod documents;
pub mod guard;
pub mod instance;
pub mod json;
pub mod mutate;
pub mod program;
pub mod reference;
pub mod tree;
pub mod typed;
pub mod versions;
pub mod walk;

use std::{io::Write as _, process::ExitCode};

/// Writes a line to standard output. Nobody reads the report of a runner whose output is closed.
pub fn say(line: impl AsRef<str>) {
    let _ = writeln!(std::io::stdout(), "{}", line.as_ref());
}

/// What a word on the command line stands for, where it is one of those.
pub fn choice<T: Copy>(word: Option<&str>, choices: &[(&str, T)]) -> Option<T> {
    choices.iter().find(|(name, _)| Some(*name) == word).map(|(_, choice)| *choice)
}

/// How a runner ends: well, with something amiss (1), or without having run, for this reason (2).
pub fn exit_code(ran: Result<bool, String>) -> ExitCode {
    match ran {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            say(text);
            ExitCode::from(2)
        }
    }
}
