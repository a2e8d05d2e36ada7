//! The command line as clap reads it. Help is part of the interface: it teaches, with examples.

use std::{
    ffi::OsString,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use clap::{
    Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint, builder::ValueParser, error::ErrorKind,
};
use clap_complete::Shell;

use crate::diff;
use crate::settings::{self, Config, Edition, Perspective, Runtime, Settings, SettingsError};

const EXAMPLES: &str = "\
Examples:
  amgi-gen specs/user.yaml -o app/          Write a crate into app/, or update it
  cargo run --manifest-path app/Cargo.toml --no-default-features -- --examples
                                            Run it on the document's examples
  amgi-gen specs/user.yaml -o app/ --check  Fail when app/ is out of date (CI)
  amgi-gen check specs/user.yaml            Say what is wrong with the document
  amgi-gen explain AG0301                   What that means, with examples
  amgi-gen check specs/user.yaml --deny-warnings --format sarif > user.sarif
                                            For a code scanner (CI)
  amgi-gen diff main:specs/user.yaml specs/user.yaml
                                            What breaks since that revision (CI)
  amgi-gen ir specs/user.yaml               What templates see, as JSON

Files:
  src/NAME.rs and README.md are generated: they carry `@generated` and follow
  the document. A file without that mark is yours and never overwritten.
  Cargo.toml, .gitignore, src/lib.rs, src/main.rs and src/handlers.rs are
  created once and yours from then on; so are src/bin/bootstrap.rs and
  template.yaml, which are there for AWS Lambda, and src/python.rs and
  pyproject.toml, for Python.

Settings:
  amgi.toml in the folder of the document holds what is the same on every run,
  and what concerns single types: names, derives, types of your own. The
  command line wins over it. `amgi-gen schema` prints its JSON Schema.

Exit codes:
  0  done
  1  the document or a template has errors, --deny-warnings found a warning,
     --check found a difference, or a file could not be written
  2  the command line is wrong

`amgi-gen diff --help` has its own.";

const CHANGES: &str = "\
Examples:
  amgi-gen diff old.yaml new.yaml            What changes, and what of it breaks
  amgi-gen diff main:specs/user.yaml specs/user.yaml --format github
                                             Since the branch `main` (CI)
  amgi-gen diff v1.2:specs/user.yaml v1.3:specs/user.yaml --only wire --deny warning
                                             Between tags, and strictly

On the wire, the direction matters. What the application receives is written by
peers that may still follow OLD, what it sends is read by them: a required
member that is new breaks what is received, an enum value that is new what is
sent. Members that a document is silent about are taken not to be written; so a
new optional member is compatible. In code, it is what stops compiling in the
crate of whoever uses what is generated.

  breaking    a message no longer fits, or code no longer compiles
  warning     it cannot be decided
  compatible  neither

Exit codes:
  0  nothing of what --deny names
  1  something of it
  2  the command line is wrong, or a document has errors or cannot be read

Changes:
";

/// The long help of `diff`, with every kind of change.
fn about_changes() -> String {
    let width = diff::kinds::ALL.iter().map(|kind| kind.id.len()).max().unwrap_or_default();
    diff::kinds::ALL.iter().fold(CHANGES.to_owned(), |mut out, kind| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "  {:width$}  {}  {}", kind.id, kind.respect, kind.summary());
        out
    })
}

/// Generates message-driven Rust services from AsyncAPI documents.
///
/// Reads an AsyncAPI document and writes a Rust crate: payload types, a handler trait per channel, typed senders,
/// and an application that runs on any AMGI server. You write the handlers, nothing else.
#[derive(Debug, Parser)]
#[command(
    name = "amgi-gen",
    version,
    after_long_help = EXAMPLES,
    after_help = "`amgi-gen --help` shows examples and what happens to your files.",
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    subcommand_value_name = "COMMAND"
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,

    #[command(flatten)]
    pub(super) generate: Generate,

    #[command(flatten)]
    pub(super) common: Common,
}

#[derive(Debug, Args)]
pub(super) struct Generate {
    /// AsyncAPI document, YAML or JSON
    ///
    /// Write `./check` for a file that is called like a command.
    // Both are there unless a command is: clap cannot say that of a flattened struct as a whole.
    #[arg(required = true, value_name = "SPEC", value_hint = ValueHint::FilePath)]
    pub(super) document: Option<PathBuf>,

    /// Folder of the crate, created when it is not there
    #[arg(required = true, short, long = "out", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) out: Option<PathBuf>,

    /// Write nothing; print a diff and exit with 1 when something would change
    #[arg(long)]
    pub(super) check: bool,

    /// Where the crate finds `amgi`: a folder, a version, or a git repository
    ///
    /// Without it, a crate inside this project's workspace depends on it by path, any other on the version of
    /// this generator.
    #[arg(long, value_name = "PATH|VERSION|GIT", value_parser = parse::<Runtime>())]
    pub(super) runtime: Option<Runtime>,

    /// Folder of templates that come before the built-in ones
    ///
    /// `amgi/NAME` always names the built-in one: `{% extends "amgi/main.rs.jinja" %}`.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) templates: Option<PathBuf>,

    /// Edition of the crate: 2021 or 2024 [default: 2024]
    #[arg(long, value_name = "YEAR", value_parser = parse::<Edition>())]
    pub(super) edition: Option<Edition>,

    /// Write what AWS Lambda needs, too: a binary `bootstrap`, and `template.yaml` for SAM
    ///
    /// They are written without it where a server of the document is AWS's own, such as `sqs` or `sns`.
    #[arg(long)]
    pub(super) lambda: bool,

    /// Make the crate a Python module, too: `src/python.rs`, `pyproject.toml` and types, for AMGI servers of Python
    #[arg(long)]
    pub(super) python: bool,

    #[command(flatten)]
    pub(super) module: Module,

    #[command(flatten)]
    pub(super) reporting: Reporting,
}

/// How problems are reported, and which of them fail.
#[derive(Debug, Args)]
pub(super) struct Reporting {
    /// How problems are written: all but `human` to standard output
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(super) format: Format,

    /// Fail when there are warnings, and write nothing
    #[arg(long)]
    pub(super) deny_warnings: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// With the place in the document, on standard error
    Human,
    /// One JSON object
    Json,
    /// SARIF 2.1.0, which code scanners read
    Sarif,
    /// Workflow commands, which GitHub shows in a pull request
    Github,
}

/// What decides the content of the generated module.
#[derive(Debug, Args)]
pub(super) struct Module {
    /// Name of the generated module [default: from the file name]
    #[arg(long, value_parser = module_name)]
    pub(super) name: Option<String>,

    /// Whose side the code is for: the application's that the document describes, or its peer's
    ///
    /// A document speaks for the application that has it. The peer receives what that sends, sends what it receives,
    /// and answers what it asks.
    #[arg(long = "as", value_name = "application|peer", value_parser = parse::<Perspective>())]
    pub(super) perspective: Option<Perspective>,

    /// Settings file [default: amgi.toml beside the document]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(super) config: Option<PathBuf>,

    /// Read no settings file
    #[arg(long, conflicts_with = "config")]
    pub(super) no_config: bool,

    /// Fetch what references to http:// and https:// name
    ///
    /// Generating keeps the texts in a lock file beside the document (`SPEC.lock`), so that the next run needs no
    /// network. What is in the lock file is not fetched again; delete it to get newer texts.
    #[arg(long)]
    pub(super) allow_remote: bool,
}

impl Module {
    /// What the settings file says, and what the command line says instead.
    pub(super) fn settings(&self, document: &Path) -> Settings {
        let config = match &self.config {
            Some(path) => Config::File(path.clone()),
            None if self.no_config => Config::None,
            None => Config::Beside,
        };
        let settings = Settings::of(document, &config);
        Settings {
            name: self.name.clone().or(settings.name),
            perspective: self.perspective.unwrap_or(settings.perspective),
            ..settings
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Common {
    /// Say nothing but errors
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,

    /// Colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(super) color: Color,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say what is wrong with a document, and write nothing
    Check(Check),
    /// Say what changes between two versions of a document, and what of it breaks
    #[command(after_long_help = about_changes())]
    Diff(Diff),
    /// Say what a code such as AG0301 means, with examples; without a code, list them all
    Explain {
        /// Id or name: `AG0301` or `ref-not-found`; or a change: `member-required`
        code: Option<String>,
    },
    /// Print the intermediate representation as JSON: what templates see as `api`
    Ir(Document),
    /// Print the JSON Schema of amgi.toml, for editors
    Schema,
    /// Print a completion script for a shell
    Completions {
        /// Shell to complete in
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    pub(super) document: Document,

    #[command(flatten)]
    pub(super) reporting: Reporting,
}

#[derive(Debug, Args)]
pub(super) struct Diff {
    /// AsyncAPI document as it was: a file, or REVISION:PATH in a git repository
    ///
    /// REVISION:PATH is as `git show` reads it: the path counts from the root of the repository, with `./` from here. All
    /// that the document refers to, its amgi.toml and its lock file are taken from that revision, too.
    #[arg(value_name = "OLD", value_hint = ValueHint::FilePath)]
    pub(super) old: PathBuf,

    /// AsyncAPI document as it is
    #[arg(value_name = "NEW", value_hint = ValueHint::FilePath)]
    pub(super) new: PathBuf,

    /// How changes are written, on standard output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(super) format: Changes,

    /// What makes it fail
    #[arg(long, value_name = "LEVEL", default_value = "breaking")]
    pub(super) deny: Deny,

    /// Only changes in one respect
    #[arg(long, value_name = "RESPECT")]
    pub(super) only: Option<Only>,

    #[command(flatten)]
    pub(super) module: Module,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Changes {
    /// By operation, a line or two each
    Text,
    /// One JSON object
    Json,
    /// Workflow commands, which GitHub shows in a pull request
    Github,
    /// A list, for a comment or a changelog
    Markdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Deny {
    /// Nothing
    None,
    /// What breaks
    Breaking,
    /// That, and what cannot be decided
    Warning,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Only {
    /// Messages, and where they go
    Wire,
    /// What the compiler sees
    Code,
}

#[derive(Debug, Args)]
pub(super) struct Document {
    /// AsyncAPI document, YAML or JSON
    #[arg(value_name = "SPEC", value_hint = ValueHint::FilePath)]
    pub(super) document: PathBuf,

    #[command(flatten)]
    pub(super) module: Module,
}

impl Cli {
    /// Reads the command line. Clap's own rule for this would refuse `--quiet` before a command, too.
    pub(super) fn read(
        args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let cli = Self::try_parse_from(args)?;
        let generate = &cli.generate;
        if cli.command.is_some() && (generate.document.is_some() || generate.out.is_some() || generate.check)
        {
            let fault = "a command comes first, and what it is about after it: `amgi-gen check SPEC`";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, fault));
        }
        Ok(cli)
    }
}

fn parse<T>() -> ValueParser
where
    T: std::str::FromStr<Err = SettingsError> + Clone + Send + Sync + 'static,
{
    ValueParser::new(|text: &str| text.parse::<T>())
}

fn module_name(text: &str) -> Result<String, SettingsError> {
    settings::check_name(text).map(|()| text.to_owned())
}
