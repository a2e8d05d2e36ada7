//! The way in from `build.rs`: writes the module into `$OUT_DIR` and tells Cargo what it depends on.
//!
//! Every file that was read is named to Cargo, also when the document has errors: repairing it must build again.

use std::{
    fmt,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use amgi_asyncapi::{
    diag::{Diagnostics, Severity},
    source::Sources,
};

use crate::{
    Generation, generate,
    plan::{self, PlanError},
    settings::{self, Config, Perspective, Settings, SettingsError},
    write::{self, Outcome, WriteError},
};

/// Generates a module from `build.rs`.
///
/// ```no_run
/// // build.rs
/// fn main() -> Result<(), amgi_gen::BuildError> {
///     amgi_gen::Builder::new("specs/user.yaml").build()
/// }
/// ```
///
/// and in the crate `amgi::include_api!("user");`.
#[derive(Debug, Clone)]
pub struct Builder {
    document: PathBuf,
    name: Option<String>,
    perspective: Option<Perspective>,
    config: Config,
    out_dir: Option<PathBuf>,
}

impl Builder {
    /// For the document at `path`, seen from the package's folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            document: path.into(),
            name: None,
            perspective: None,
            config: Config::default(),
            out_dir: None,
        }
    }

    /// Name of the module, and what `include_api!` is given. By default it is made from the file name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whose side the code is for. Default: the application's that the document describes.
    #[must_use]
    pub fn perspective(mut self, perspective: Perspective) -> Self {
        self.perspective = Some(perspective);
        self
    }

    /// Which settings file to read. Default: `amgi.toml` in the folder of the document, when there is one; Cargo does not
    /// notice when it is created later. Of its settings, those for a whole crate (`edition`, `runtime`, `templates`, `lambda`,
    /// `python`, `dependencies`) mean nothing here.
    ///
    /// ```no_run
    /// use amgi_gen::{Builder, settings::Config};
    ///
    /// Builder::new("specs/user.yaml").config(Config::File("amgi.toml".into())).build()?;
    /// # Ok::<(), amgi_gen::BuildError>(())
    /// ```
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Where to write. Default: Cargo's `$OUT_DIR`, where `include_api!` looks.
    #[must_use]
    pub fn out_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(dir.into());
        self
    }

    /// Reads the document and writes `NAME.rs` and `NAME.mod.rs`.
    pub fn build(self) -> Result<(), BuildError> {
        let mut settings = Settings::of(&self.document, &self.config);
        if let Some(name) = self.name {
            settings::check_name(&name).map_err(Problem::Settings)?;
            settings.name = Some(name);
        }
        settings.perspective = self.perspective.unwrap_or(settings.perspective);
        let out_dir =
            self.out_dir.or_else(|| std::env::var_os("OUT_DIR").map(PathBuf::from)).ok_or(Problem::OutDir)?;
        let generation = generate(&self.document, &settings);
        // A closed pipe is Cargo's affair, not the document's.
        let _ = tell_cargo(&generation);
        if generation.diagnostics.has_errors() {
            return Err(Problem::Document(generation.diagnostics, generation.sources).into());
        }
        write_module(&generation, &out_dir)
    }
}

fn write_module(generation: &Generation, out_dir: &Path) -> Result<(), BuildError> {
    let files = plan::module_files(generation).map_err(Problem::Plan)?;
    let changes = write::compare(out_dir, files).map_err(Problem::Write)?;
    if let Some(change) = changes.iter().find(|change| change.outcome == Outcome::Kept) {
        return Err(Problem::Foreign(change.target.clone()).into());
    }
    Ok(write::apply(&changes).map_err(Problem::Write)?)
}

fn tell_cargo(generation: &Generation) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for file in generation.sources.local() {
        writeln!(out, "cargo:rerun-if-changed={}", file.path.display())?;
    }
    for diagnostic in
        generation.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Warning)
    {
        // One directive is one line.
        let text = generation.sources.render(diagnostic);
        writeln!(out, "cargo:warning={}", text.lines().map(str::trim).collect::<Vec<_>>().join("; "))?;
    }
    out.flush()
}

/// Why nothing was generated. Its text shows every problem of the document with file, line and column.
pub struct BuildError(Box<Problem>);

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{}", .1.report(.0).trim_end())]
    Document(Diagnostics, Sources),
    #[error("{0}")]
    Settings(SettingsError),
    #[error("OUT_DIR is not set: call this from build.rs, or say where to write with `out_dir`")]
    OutDir,
    #[error("`{}` is there and was not generated; choose another `name`", .0.display())]
    Foreign(PathBuf),
    #[error("{0}")]
    Plan(PlanError),
    #[error("{0}")]
    Write(WriteError),
}

impl BuildError {
    /// What is wrong with the document; nothing when it is not the document's fault.
    pub fn diagnostics(&self) -> Option<&Diagnostics> {
        match &*self.0 {
            Problem::Document(diagnostics, _) => Some(diagnostics),
            _ => None,
        }
    }
}

impl From<Problem> for BuildError {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for BuildError {
    /// Like [`Display`](fmt::Display): `fn main() -> Result` in build.rs shows errors this way.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{}", self.0)
    }
}

impl std::error::Error for BuildError {}
