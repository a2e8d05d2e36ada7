#![doc = include_str!("../README.md")]

pub mod cargo;
#[cfg(feature = "cli")]
pub mod cli;
pub mod codes;
pub mod diff;
mod docs;
pub mod emit;
pub mod format;
pub mod ir;
pub mod lower;
pub mod name;
pub mod plan;
mod scaffold;
pub mod settings;
pub mod types;
pub mod write;

pub use amgi_asyncapi::diag;
pub use cargo::{BuildError, Builder};
pub use scaffold::TemplateError;

use std::{fmt::Write as _, path::Path};

use amgi_asyncapi::{
    Loaded,
    diag::Diagnostics,
    remote::Lock,
    source::{self, Sources},
};
use lower::Origin;
use settings::Settings;
use sha2::{Digest, Sha256};

/// What came of one document.
#[derive(Debug)]
pub struct Generation {
    /// What will be written, decided; `None` when the document has errors.
    pub api: Option<ir::Api>,
    /// Everything found.
    pub diagnostics: Diagnostics,
    /// Every file that was read.
    pub sources: Sources,
    /// The lock file as it is to be, when something was fetched that it does not hold.
    pub lock: Option<Lock>,
}

/// Reads the document at `path` and decides what to write. Touches nothing.
pub fn generate(path: &Path, settings: &Settings) -> Generation {
    let options = amgi_asyncapi::Options { overlay: settings.overlay.as_ref(), ..Default::default() };
    from_loaded(amgi_asyncapi::load_with(path, &options), path, settings)
}

/// Decides what to write for a document that is loaded. `path` gives the names.
pub fn from_loaded(loaded: Loaded, path: &Path, settings: &Settings) -> Generation {
    let Loaded { document, mut diagnostics, sources, lock, bundle } = loaded;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let origin = Origin {
        name: settings.name.clone().unwrap_or_else(|| name::module(&stem)),
        source: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        digest: digest(&sources),
    };
    if diagnostics.has_errors() {
        return Generation { api: None, diagnostics, sources, lock };
    }
    let (mut api, found) = lower::lower(&document, origin, settings);
    diagnostics.extend(found);
    diagnostics.sort();
    if diagnostics.has_errors() {
        return Generation { api: None, diagnostics, sources, lock };
    }
    api.document = bundle;
    Generation { api: Some(api), diagnostics, sources, lock }
}

/// Hex SHA-256 over the texts of all files, so that a header changes exactly when its document does.
fn digest(sources: &Sources) -> String {
    let mut hasher = Sha256::new();
    for file in sources.iter().filter(|file| file.origin != source::Origin::Lock) {
        hasher.update(file.text.as_bytes());
        hasher.update([0]);
    }
    hasher.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
