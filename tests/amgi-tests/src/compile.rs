//! Builds generated crates: all in one workspace, so that what they depend on is built once, and told apart by what rustc
//! says of each.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use amgi_gen::{
    Generation,
    plan::{self, PlanError, PlannedFile},
    settings::{Edition, Runtime, Settings},
};
use amgi_golden_tests::{cargo, generated_crate, root, shown};
use serde_json::Value;

use crate::program::write;

/// Where a crate goes, and how it is to be.
#[derive(Debug, Clone)]
pub struct Slot {
    /// Its name.
    pub name: String,
    folder: PathBuf,
    /// Settings for the generator.
    pub settings: Settings,
}

impl Slot {
    /// The files of a document's crate, as `amgi-gen -o` writes them.
    ///
    /// # Errors
    /// When the generator has none.
    pub fn files(&self, generation: &mut Generation) -> Result<Vec<PlannedFile>, String> {
        let mut files = plan::crate_files(generation, &self.settings, &self.folder);
        if let (Err(PlanError::Name(_)), Some(api)) = (&files, &mut generation.api) {
            // A user is asked for a name.
            "document".clone_into(&mut api.name);
            files = plan::crate_files(generation, &self.settings, &self.folder);
        }
        files.map_err(|error| error.to_string())
    }
}

/// A workspace of generated crates.
pub struct Workspace {
    folder: PathBuf,
    members: Vec<String>,
}

impl Workspace {
    /// An empty workspace of that name in the build folder. What an earlier run left there is removed.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn new(name: &str) -> Result<Self, String> {
        let folder = generated_crate(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Self { folder, members: Vec::new() })
    }

    /// Where the next crate goes.
    pub fn next(&self) -> Slot {
        let name = format!("d{:04}", self.members.len());
        // Editions take turns.
        let edition = if self.members.len().is_multiple_of(2) { Edition::E2024 } else { Edition::E2021 };
        let runtime = Runtime::Path(root().join("runtime"));
        Slot {
            folder: self.folder.join(&name),
            settings: Settings { runtime, edition, ..Settings::default() },
            name,
        }
    }

    /// Writes the files of a crate. Its module is held to the lints that users' crates may deny.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn add(&mut self, slot: &Slot, files: Vec<PlannedFile>) -> Result<(), String> {
        for mut file in files {
            if file.path == Path::new("Cargo.toml") {
                file.contents = file.contents.replace("\n[workspace]\n", "\n");
            } else if file.path == Path::new("src/lib.rs") {
                let text = file.contents.replace("#[allow(dead_code, unreachable_pub)]\n", "");
                file.contents = text.replacen("\n\n", "\n#![warn(missing_docs, unreachable_pub)]\n\n", 1);
            }
            write(&slot.folder.join(&file.path), &file.contents)?;
        }
        self.members.push(slot.name.clone());
        Ok(())
    }

    /// Writes another file of a crate.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(&self, member: &str, path: &str, text: &str) -> Result<(), String> {
        write(&self.folder.join(member).join(path), text)
    }

    /// Runs cargo in the workspace.
    ///
    /// # Errors
    /// When the manifest cannot be written.
    pub fn cargo(&self, args: &[&str]) -> Result<std::process::Output, String> {
        let members: Vec<String> = self.members.iter().map(|member| format!("{member:?}")).collect();
        let manifest = format!(
            "[workspace]\nresolver = \"3\"\nmembers = [{}]\n\n[profile.dev]\ndebug = false\nincremental = false\n",
            members.join(", ")
        );
        write(&self.folder.join("Cargo.toml"), &manifest)?;
        Ok(cargo(&self.folder, args))
    }

    /// Checks all crates: what rustc says against each, errors and warnings, by name. Those that are fine are missing.
    ///
    /// # Errors
    /// When cargo fails for a reason that is none of the crates'.
    pub fn check(&self) -> Result<BTreeMap<String, Vec<String>>, String> {
        if self.members.is_empty() {
            return Ok(BTreeMap::new());
        }
        let output =
            self.cargo(&["check", "--workspace", "--keep-going", "--quiet", "--message-format=json"])?;
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
            let (Some(manifest), Some(text)) =
                (message["manifest_path"].as_str(), message["message"]["rendered"].as_str())
            else {
                continue;
            };
            let member = Path::new(manifest).parent().and_then(Path::file_name);
            let member = member.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if self.members.contains(&member) {
                found.entry(member).or_default().push(text.to_owned());
            }
        }
        if found.is_empty() && !output.status.success() {
            return Err(shown(&output));
        }
        Ok(found)
    }
}
