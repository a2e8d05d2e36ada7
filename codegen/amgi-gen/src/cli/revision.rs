//! `REVISION:PATH`: a document as it was in a revision of a git repository, with everything around it.
//!
//! The tree of the revision is written into a temporary folder, through an index of its own: neither the repository nor its
//! work tree is touched. A document may refer to any file, so all of them are there.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A tree in a temporary folder, which lives as long as this.
pub(super) struct Revision {
    folder: TempDir,
    /// The document in it.
    pub(super) path: PathBuf,
    /// As git calls it.
    asked: String,
}

impl Revision {
    /// What a file in the folder is called.
    pub(super) fn name(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(self.folder.path().join("tree")) {
            Ok(inside) => format!("{}:{}", self.asked, inside.display()).into(),
            Err(_) => path.to_owned(),
        }
    }

    /// A text that may name files in the folder, with what they are called.
    pub(super) fn named(&self, text: &str) -> String {
        let tree = format!("{}/", self.folder.path().join("tree").display());
        text.replace(&tree, &format!("{}:", self.asked))
    }
}

/// The revision that `name` asks for; `None` when it is a file, or does not look like one.
pub(super) fn checked_out(name: &Path) -> Result<Option<Revision>, String> {
    let Some((revision, path)) = name.to_str().and_then(|name| name.split_once(':')) else { return Ok(None) };
    // A letter is a drive.
    if name.exists() || revision.is_empty() || path.is_empty() || (cfg!(windows) && revision.len() == 1) {
        return Ok(None);
    }
    let commit =
        git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{revision}^{{tree}}")], None)
            .map_err(|why| {
                if why.is_empty() {
                    format!(
                        "there is no revision `{revision}` in this repository, and no file `{}`",
                        name.display()
                    )
                } else {
                    format!("cannot read `{}`: {why}", name.display())
                }
            })?;
    let prefix = if path.starts_with("./") || path.starts_with("../") {
        git(&["rev-parse", "--show-prefix"], None)?
    } else {
        String::new()
    };
    let root = git(&["rev-parse", "--show-toplevel"], None).map(PathBuf::from);
    let folder = tempfile::tempdir().map_err(|error| format!("cannot make a temporary folder: {error}"))?;
    let index = folder.path().join("index");
    git(&["read-tree", &commit], Some(&index))?;
    let tree = folder.path().join("tree");
    let target = format!("--prefix={}/", tree.display());
    // From below the root it would write only what is there.
    let root = root.unwrap_or_else(|_| PathBuf::from("."));
    let root = root.to_string_lossy();
    git(&["-C", &root, "checkout-index", "--all", "--force", "--quiet", &target], Some(&index))?;
    let path = tree.join(normal(&Path::new(&prefix).join(path)));
    Ok(Some(Revision { folder, path, asked: revision.to_owned() }))
}

/// A path without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    use std::path::Component;
    path.components().fold(PathBuf::new(), |mut out, part| {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::Normal(part) => out.push(part),
            _ => {}
        }
        out
    })
}

/// What git prints; what it has to say where it fails.
fn git(args: &[&str], index: Option<&Path>) -> Result<String, String> {
    let mut command = Command::new("git");
    command.args(args);
    if let Some(index) = index {
        command.env("GIT_INDEX_FILE", index);
    }
    let output = command.output().map_err(|error| format!("cannot run git: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
