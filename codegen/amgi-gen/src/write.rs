//! The only writer of files: by content, and never over a file that is the user's.
//!
//! Everything is decided before anything is written, and each file appears whole or not at all. A file whose bytes
//! would not change is not touched, so that build tools see nothing to do.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use amgi_asyncapi::remote::Lock;

use crate::{
    format,
    plan::{Kind, PlannedFile},
};

/// A file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`: {source}", path.display())]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// What was tried.
    pub action: &'static str,
    /// Why it failed.
    pub source: io::Error,
}

/// What happens to a planned file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is new, or its text changes.
    Written,
    /// It is the user's, and stays as it is.
    Kept,
    /// It is there already, byte for byte.
    Unchanged,
}

/// A planned file beside what is on the disk.
#[derive(Debug, Clone)]
pub struct Change {
    /// What is planned.
    pub file: PlannedFile,
    /// Where it goes.
    pub target: PathBuf,
    /// What is there now.
    pub existing: Option<Vec<u8>>,
    /// What happens to it.
    pub outcome: Outcome,
}

/// Compares a plan with what is in `dir`. Writes nothing.
pub fn compare(dir: &Path, plan: Vec<PlannedFile>) -> Result<Vec<Change>, WriteError> {
    plan.into_iter().map(|file| compare_file(dir, file)).collect()
}

fn compare_file(dir: &Path, file: PlannedFile) -> Result<Change, WriteError> {
    let target = dir.join(&file.path);
    let existing = match fs::read(&target) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(WriteError { path: target, action: "read", source }),
    };
    let outcome = match &existing {
        None => Outcome::Written,
        Some(bytes) if bytes == file.contents.as_bytes() => Outcome::Unchanged,
        Some(bytes) if file.kind == Kind::Generated && format::is_generated(bytes) => Outcome::Written,
        Some(_) => Outcome::Kept,
    };
    Ok(Change { file, target, existing, outcome })
}

/// Compares a lock file with what is on the disk. It is ours whatever it holds, by its name.
pub fn compare_lock(lock: &Lock) -> Result<Change, WriteError> {
    let name = lock.path.file_name().unwrap_or_default();
    let file = PlannedFile { path: name.into(), contents: lock.text.clone(), kind: Kind::Generated };
    let change = compare_file(lock.path.parent().unwrap_or(Path::new("")), file)?;
    let outcome = if change.outcome == Outcome::Kept { Outcome::Written } else { change.outcome };
    Ok(Change { outcome, ..change })
}

/// Writes what [`compare`] found to be new or different: all of it, or when something fails, nothing.
pub fn apply(changes: &[Change]) -> Result<(), WriteError> {
    let mut staged = Vec::new();
    let mut placed = 0;
    let result = changes
        .iter()
        .filter(|change| change.outcome == Outcome::Written)
        .try_for_each(|change| {
            stage(change).map(|(temporary, target)| staged.push((change, temporary, target)))
        })
        // Only when every text is on the disk does the first of them take its place.
        .and_then(|()| {
            staged.iter().try_for_each(|(_, temporary, target)| {
                fs::rename(temporary, target).map_err(failed("write", target))?;
                placed += 1;
                Ok(())
            })
        });
    if result.is_err() {
        let (done, waiting) = staged.split_at(placed);
        for (change, temporary, target) in done {
            // What was there comes back the way the new text came; a failure here has no better answer than the first.
            let _ = match &change.existing {
                Some(bytes) => fs::write(temporary, bytes).and_then(|()| fs::rename(temporary, target)),
                None => fs::remove_file(target),
            };
        }
        for (_, temporary, _) in waiting {
            let _ = fs::remove_file(temporary);
        }
    }
    result
}

/// Writes the text of `change` beside its target; gives both paths.
fn stage(change: &Change) -> Result<(PathBuf, PathBuf), WriteError> {
    // Through a link, not over it.
    let target = fs::canonicalize(&change.target).unwrap_or_else(|_| change.target.clone());
    let folder = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed("create", folder))?;
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = fs::write(&temporary, &change.file.contents).and_then(|()| match fs::metadata(&target) {
        Ok(known) => fs::set_permissions(&temporary, known.permissions()),
        Err(_) => Ok(()),
    });
    if let Err(source) = written {
        let _ = fs::remove_file(&temporary);
        return Err(WriteError { path: target, action: "write", source });
    }
    Ok((temporary, target))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WriteError {
    move |source| WriteError { path: path.to_path_buf(), action, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(path: &str, contents: &str, kind: Kind) -> PlannedFile {
        PlannedFile { path: path.into(), contents: contents.to_owned(), kind }
    }

    fn outcomes(changes: &[Change]) -> Vec<Outcome> {
        changes.iter().map(|change| change.outcome).collect()
    }

    #[test]
    fn what_is_the_users_stays() {
        let dir = tempfile::tempdir().unwrap();
        let first = vec![
            planned("a.rs", "// @generated 1", Kind::Generated),
            planned("src/b.rs", "1", Kind::Scaffold),
            planned("c.md", "@generated 1", Kind::Generated),
        ];
        let changes = compare(dir.path(), first.clone()).unwrap();
        assert_eq!(outcomes(&changes), [Outcome::Written; 3]);
        apply(&changes).unwrap();
        assert_eq!(outcomes(&compare(dir.path(), first).unwrap()), [Outcome::Unchanged; 3]);

        fs::write(dir.path().join("c.md"), "mine").unwrap();
        let second = vec![
            planned("a.rs", "// @generated 2", Kind::Generated),
            planned("src/b.rs", "2", Kind::Scaffold),
            planned("c.md", "@generated 2", Kind::Generated),
        ];
        let changes = compare(dir.path(), second).unwrap();
        assert_eq!(outcomes(&changes), [Outcome::Written, Outcome::Kept, Outcome::Kept]);
        apply(&changes).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("a.rs")).unwrap(), "// @generated 2");
        assert_eq!(fs::read_to_string(dir.path().join("src/b.rs")).unwrap(), "1");
        assert_eq!(fs::read_to_string(dir.path().join("c.md")).unwrap(), "mine");
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let changes =
            compare(dir.path(), vec![planned("a", "1", Kind::Scaffold), planned("b/c", "2", Kind::Scaffold)])
                .unwrap();
        // In the way of the folder `b`, after everything was decided.
        fs::write(dir.path().join("b"), "x").unwrap();
        assert!(apply(&changes).unwrap_err().to_string().contains("cannot create"));
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["b"]);
    }
    #[test]
    fn files_that_took_their_place_go_back() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.rs"), "// @generated 1").unwrap();
        let plan = ["a.rs", "new/b.rs", "c.rs", "d.rs"]
            .map(|path| planned(path, "// @generated 2", Kind::Generated))
            .to_vec();
        let changes = compare(dir.path(), plan).unwrap();
        // In the way of the third file, after everything was decided.
        fs::create_dir_all(dir.path().join("c.rs/full")).unwrap();
        let error = apply(&changes).unwrap_err();
        assert_eq!((error.action, error.path.ends_with("c.rs")), ("write", true));
        assert_eq!(fs::read_to_string(dir.path().join("a.rs")).unwrap(), "// @generated 1");
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .chain(fs::read_dir(dir.path().join("new")).unwrap())
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["a.rs", "c.rs", "new"]);
    }

    #[test]
    fn a_text_that_cannot_be_written_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.rs"), "// @generated 1").unwrap();
        // A name that is allowed, and too long with what a temporary file adds.
        let long = "x".repeat(250);
        let plan = ["a.rs", &long].map(|path| planned(path, "// @generated 2", Kind::Generated)).to_vec();
        let changes = compare(dir.path(), plan).unwrap();
        assert_eq!(apply(&changes).unwrap_err().action, "write");
        assert_eq!(fs::read_to_string(dir.path().join("a.rs")).unwrap(), "// @generated 1");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
