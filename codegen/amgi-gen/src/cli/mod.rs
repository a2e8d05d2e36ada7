//! The command line: what is asked for, what is said, and the exit code.
//!
//! Standard output holds what was asked for (a diff, JSON, a script), standard error everything else; where a report for
//! programs was asked for, that is all there is on standard output. Nothing is written before the whole output is known.

#[allow(clippy::doc_markdown)] // its documentation is the help, which has no markup
mod args;
mod changes;
mod compare;
mod explain;
mod fetch;
mod machine;
mod report;
mod revision;

use std::{
    ffi::OsString,
    fmt::Write as _,
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use amgi_asyncapi::diag::{Diagnostics, Severity};
use clap::CommandFactory;

use self::{
    args::{Check, Cli, Color, Command, Common, Document, Format, Generate, Reporting},
    fetch::Http,
};
use crate::{
    Generation, from_loaded,
    plan::{self, PlanError},
    settings::{self, Settings, SettingsError},
    write::{self, Change, Outcome, WriteError},
};

/// Shorter work needs no word about it.
const MOMENT: Duration = Duration::from_millis(300);

const PROBLEM: u8 = 1;
const USAGE: u8 = 2;

/// Runs the command with these arguments, the program's name first.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let cli = match Cli::read(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output, the rest to standard error; a closed pipe is no matter.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    let common = cli.common;
    let result = match cli.command {
        Some(Command::Check(args)) => check(&args, &common),
        Some(Command::Diff(args)) => compare::run(&args, &common),
        Some(Command::Explain { code }) => explain(code.as_deref(), &common),
        Some(Command::Ir(document)) => ir(&document, &common),
        Some(Command::Schema) => print(settings::schema().as_bytes()),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "amgi-gen", &mut script);
            print(&script)
        }
        None => write_crate(&cli.generate, &common),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = failure.to_string();
            if !text.is_empty() {
                say(&format!("{} {text}\n", paint("error:", "1;31", colored(common.color, &io::stderr()))));
            }
            ExitCode::from(failure.code())
        }
    }
}

/// Why the exit code is not 0.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// It was said already.
    #[error("")]
    Said,
    /// It was said already, and nothing could be compared.
    #[error("")]
    Unreadable,
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("cannot print: {0}")]
    Print(io::Error),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Unreadable | Self::Settings(_) | Self::Usage(_) | Self::Plan(PlanError::Name(_)) => USAGE,
            _ => PROBLEM,
        }
    }
}

fn write_crate(args: &Generate, common: &Common) -> Result<(), Failure> {
    let (document, dir) =
        (args.document.as_deref().unwrap_or(Path::new("")), args.out.as_deref().unwrap_or(Path::new(".")));
    let settings = args.module.settings(document);
    let settings = Settings {
        edition: args.edition.unwrap_or(settings.edition),
        runtime: args.runtime.clone().unwrap_or(settings.runtime).locate(dir)?,
        templates: args.templates.clone().or(settings.templates),
        lambda: args.lambda || settings.lambda,
        python: args.python || settings.python,
        ..settings
    };
    let changes = patiently(document, common, || {
        let generation = read(document, &settings, args.module.allow_remote, &args.reporting, common)?;
        let files = plan::crate_files(&generation, &settings, dir)?;
        let mut changes = write::compare(dir, files)?;
        if let Some(lock) = &generation.lock {
            changes.push(write::compare_lock(lock)?);
        }
        Ok::<_, Failure>(changes)
    })?;
    if args.check {
        return compare(dir, &changes, args.reporting.format, common);
    }
    write::apply(&changes)?;
    if !common.quiet {
        say(&summary(dir, &changes));
    }
    Ok(())
}

/// Reads the document and shows what is wrong with it; errors end it here, and denied warnings.
fn read(
    document: &Path,
    settings: &Settings,
    allow_remote: bool,
    reporting: &Reporting,
    common: &Common,
) -> Result<Generation, Failure> {
    let http = Http::new();
    let options = amgi_asyncapi::Options {
        fetch: allow_remote.then_some(&http as &dyn amgi_asyncapi::remote::Fetch),
        overlay: settings.overlay.as_ref(),
    };
    let generation = from_loaded(amgi_asyncapi::load_with(document, &options), document, settings);
    show(document, &generation, reporting.format, common)?;
    let denied = reporting.deny_warnings
        && generation.diagnostics.iter().any(|problem| problem.severity == Severity::Warning);
    if !generation.diagnostics.has_errors() && !denied {
        return Ok(generation);
    }
    if let Some(counts) = report::counts(&generation.diagnostics).filter(|_| !common.quiet) {
        let why = if generation.diagnostics.has_errors() { "" } else { ", denied" };
        say(&format!("{}: {counts}{why}\n", document.display()));
    }
    Err(Failure::Said)
}

/// Shows what was found in the form that was asked for.
fn show(document: &Path, generation: &Generation, format: Format, common: &Common) -> Result<(), Failure> {
    let least = if common.quiet { Severity::Error } else { Severity::Info };
    if format == Format::Human {
        let color = colored(common.color, &io::stderr());
        say(&report::text(&generation.diagnostics, &generation.sources, least, color));
        let shown = generation.diagnostics.iter().filter(|problem| problem.severity >= least);
        if let Some(hint) = explain::hint(shown.map(|problem| &problem.code)).filter(|_| !common.quiet) {
            say(&hint);
        }
        return Ok(());
    }
    let mut diagnostics = Diagnostics::default();
    for problem in generation.diagnostics.iter().filter(|problem| problem.severity >= least) {
        diagnostics.push(problem.clone());
    }
    let base = std::env::current_dir().unwrap_or_default();
    let report =
        machine::Report { document, diagnostics: &diagnostics, sources: &generation.sources, base: &base };
    let text = match format {
        Format::Sarif => report.sarif(),
        Format::Github => report.github(),
        Format::Json | Format::Human => report.json(),
    };
    print(text.as_bytes())
}

fn check(args: &Check, common: &Common) -> Result<(), Failure> {
    let Document { document, module } = &args.document;
    let settings = module.settings(document);
    let generation = patiently(document, common, || {
        read(document, &settings, module.allow_remote, &args.reporting, common)
    })?;
    if !common.quiet {
        let counts = report::counts(&generation.diagnostics);
        say(&format!("{}: {}\n", document.display(), counts.as_deref().unwrap_or("no problems")));
    }
    Ok(())
}

fn explain(code: Option<&str>, common: &Common) -> Result<(), Failure> {
    let color = colored(common.color, &io::stdout());
    let text = match code {
        Some(code) => match explain::change(code) {
            Some(text) => text,
            None => explain::text(explain::find(code).map_err(Failure::Usage)?, color),
        },
        None => explain::list(color),
    };
    print(text.as_bytes())
}

fn ir(args: &Document, common: &Common) -> Result<(), Failure> {
    let settings = args.module.settings(&args.document);
    let reporting = Reporting { format: Format::Human, deny_warnings: false };
    let generation = read(&args.document, &settings, args.module.allow_remote, &reporting, common)?;
    let api = generation.api.as_ref().ok_or(PlanError::Document)?;
    let mut json = serde_json::to_vec_pretty(api).map_err(|error| Failure::Print(error.into()))?;
    json.push(b'\n');
    print(&json)
}

/// Shows what would change; fails when anything would.
fn compare(dir: &Path, changes: &[Change], format: Format, common: &Common) -> Result<(), Failure> {
    let human = format == Format::Human;
    let color =
        if human { colored(common.color, &io::stdout()) } else { colored(common.color, &io::stderr()) };
    let different: Vec<&Change> =
        changes.iter().filter(|change| change.outcome == Outcome::Written).collect();
    let mut out = String::new();
    for change in &different {
        diff(change, color, &mut out);
    }
    if human {
        print(out.as_bytes())?;
    } else {
        say(&out);
    }
    if different.is_empty() {
        if !common.quiet {
            say(&format!("{}: up to date\n", dir.display()));
        }
        return Ok(());
    }
    if !common.quiet {
        let (count, files) = (different.len(), if different.len() == 1 { "file" } else { "files" });
        say(&format!("{}: {count} {files} would change; run without --check to write\n", dir.display()));
    }
    Err(Failure::Said)
}

fn diff(change: &Change, color: bool, out: &mut String) {
    let path = change.target.display().to_string();
    let old = change.existing.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let from = if change.existing.is_some() { path.as_str() } else { "/dev/null" };
    let diff = similar::TextDiff::from_lines(old.as_ref(), change.file.contents.as_str());
    let text = diff.unified_diff().context_radius(3).header(from, &path).to_string();
    for line in text.split_inclusive('\n') {
        let style = match line.as_bytes().first() {
            Some(b'+') => "32",
            Some(b'-') => "31",
            Some(b'@') => "36",
            _ => "",
        };
        let body = line.trim_end_matches('\n');
        out.push_str(&paint(body, style, color && !style.is_empty()));
        out.push_str(&line[body.len()..]);
    }
}

/// What happened to each file, and what to do next with a new crate.
fn summary(dir: &Path, changes: &[Change]) -> String {
    let count = |outcome| changes.iter().filter(|change| change.outcome == outcome).count();
    let mut out = format!(
        "{}: {} written, {} kept, {} unchanged\n",
        dir.display(),
        count(Outcome::Written),
        count(Outcome::Kept),
        count(Outcome::Unchanged)
    );
    // Writing to a string does not fail.
    for change in changes {
        let path = change.file.path.display();
        let _ = match change.outcome {
            Outcome::Written => writeln!(out, "  written    {path}"),
            Outcome::Kept => writeln!(out, "  kept       {path} (yours)"),
            Outcome::Unchanged => writeln!(out, "  unchanged  {path}"),
        };
    }
    let new = |change: &Change| change.existing.is_none() && change.file.path == Path::new("Cargo.toml");
    if changes.iter().any(new) {
        let manifest = dir.join("Cargo.toml");
        let _ = writeln!(
            out,
            "\nRun it on the examples of the document:\n  cargo run --manifest-path {} --no-default-features -- --examples",
            manifest.display()
        );
        let handlers = dir.join("src").join("handlers.rs");
        let _ = writeln!(out, "Then say what it does with a message:\n  {}", handlers.display());
    }
    out
}

/// Does `work`, and says so on a terminal when it takes longer than a moment.
fn patiently<T>(document: &Path, common: &Common, work: impl FnOnce() -> T) -> T {
    if common.quiet || !io::stderr().is_terminal() {
        return work();
    }
    let (done, waiting) = channel::<()>();
    let line = format!("Generating from {} …\n", document.display());
    let teller = thread::spawn(move || {
        if waiting.recv_timeout(MOMENT) == Err(RecvTimeoutError::Timeout) {
            say(&line);
        }
    });
    let result = work();
    drop(done);
    // It only prints.
    let _ = teller.join();
    result
}

fn colored(color: Color, stream: &impl IsTerminal) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            stream.is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
        }
    }
}

fn paint(text: &str, style: &str, color: bool) -> String {
    if color { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
}

fn say(text: &str) {
    // Nobody is there to be told that nobody listens.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // A reader that has seen enough, such as `head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(Failure::Print),
    }
}
