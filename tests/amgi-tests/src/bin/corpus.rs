//! Generates from every document of a folder, builds what comes of it, and counts; `--help` says more.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use amgi_gen::{
    diag::{Diagnostic, Diagnostics, Severity},
    generate,
    ir::Api,
    plan::PlannedFile,
    settings::Settings,
};
use amgi_golden_tests::root;
use amgi_tests::{
    compile::Workspace,
    documents::{self, Accepted, Document},
    exit_code,
    guard::{self, LIMIT, Outcome},
    say,
    tree::Files,
    typed::{self, Counts},
};
use serde_json::{Value, json};

const USAGE: &str = "\
usage: corpus DIR [--sample N] [--json PATH] [--list]

Generates a crate from every document in DIR, checks all of them with rustc, and prints a line for each document:

    file, official verdict, ours (generated, rejected, remote, panicked, slow), compiled (yes, no, -),
    handlers, sends, properties typed/said, first problem

and the totals as one JSON object. With an `index.tsv` in DIR its rows are the documents and its column `verdict` is the
official parser's word; without one, every YAML and JSON file that has `asyncapi`.

    --sample N   N of the documents, always the same
    --json PATH  writes the totals there too
    --list       names every disagreement with the official parser, accepted ones too, and every property without a type

Exit code 1: a valid document that needs no network is not generated, code does not compile or has warnings, something
panics or takes over five seconds, the document that the code carries gives other code, a rejection has no place, counts differ from an independent walk, under 98 % of the
properties that have a type in the document have one in Rust, or verdicts differ from what disagreements.md accepts.
";

/// Least share of typed properties.
const TYPED: f64 = 0.98;

fn main() -> ExitCode {
    exit_code(options().and_then(|options| run(&options)))
}

struct Options {
    folder: PathBuf,
    sample: Option<usize>,
    json: Option<PathBuf>,
    list: bool,
}

fn options() -> Result<Options, String> {
    let mut options = Options { folder: PathBuf::new(), sample: None, json: None, list: false };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--help" => return Err(USAGE.to_owned()),
            "--list" => options.list = true,
            "--sample" => options.sample = Some(args.next().and_then(|n| n.parse().ok()).ok_or(USAGE)?),
            "--json" => options.json = Some(args.next().ok_or(USAGE)?.into()),
            _ if arg.starts_with('-') || !options.folder.as_os_str().is_empty() => {
                return Err(USAGE.to_owned());
            }
            _ => options.folder = arg.into(),
        }
    }
    if options.folder.as_os_str().is_empty() { Err(USAGE.to_owned()) } else { Ok(options) }
}

/// What became of a document.
struct Found {
    document: Document,
    ours: &'static str,
    member: Option<String>,
    compiled: &'static str,
    counts: Counts,
    /// Messages, and those of them whose payload needs the validator.
    messages: [usize; 2],
    first: Option<String>,
    located: bool,
    warned: bool,
    problems: Vec<String>,
}

fn run(options: &Options) -> Result<bool, String> {
    let mut documents = documents::find(&options.folder)?;
    if let Some(count) = options.sample {
        documents = documents::sample(documents, count);
    }
    if documents.is_empty() {
        return Err(format!("{}: no documents", options.folder.display()));
    }
    let accepted = documents::accepted(&root().join("tests/amgi-tests/disagreements.md"))?;
    let mut workspace = Workspace::new("corpus")?;
    let mut results: Vec<Found> =
        documents.into_iter().map(|document| generated(document, &mut workspace)).collect();
    let complaints = workspace.check()?;
    for result in &mut results {
        let Some(member) = &result.member else { continue };
        let complaints = complaints.get(member).map_or(&[][..], Vec::as_slice);
        result.compiled = if complaints.is_empty() { "yes" } else { "no" };
        if let Some(complaint) = complaints.first() {
            let count = complaints.len();
            result.problems.push(format!("{count} errors and warnings in {member}, the first:\n{complaint}"));
        }
    }
    let (totals, fine) = report(&mut results, &accepted, options);
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{totals}\n"))
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    say(totals.to_string());
    Ok(fine)
}

/// What a document became.
struct Made {
    api: Option<Api>,
    diagnostics: Diagnostics,
    files: Option<Result<Vec<PlannedFile>, String>>,
}

fn generated(document: Document, workspace: &mut Workspace) -> Found {
    let path = document.path.clone();
    let mut result = Found {
        document,
        ours: "slow",
        member: None,
        compiled: "-",
        counts: Counts::default(),
        messages: [0; 2],
        first: None,
        located: true,
        warned: false,
        problems: Vec::new(),
    };
    let slot = workspace.next();
    let (made, time) = match guard::run({
        let (path, slot) = (path.clone(), slot.clone());
        move || {
            let mut generation = generate(&path, &slot.settings);
            let files = generation.api.is_some().then(|| slot.files(&mut generation));
            Made { api: generation.api, diagnostics: generation.diagnostics, files }
        }
    }) {
        Outcome::Done(made, time) => (made, time),
        Outcome::Panicked(text) => {
            result.ours = "panicked";
            result.problems.push(format!("panicked: {text}"));
            return result;
        }
        Outcome::Hangs => {
            result.problems.push("it was given up".to_owned());
            return result;
        }
    };
    result.first = first(&made.diagnostics);
    result.warned = made.diagnostics.iter().any(|d| d.severity == Severity::Warning);
    let errors: Vec<&Diagnostic> =
        made.diagnostics.iter().filter(|d| d.severity == Severity::Error).collect();
    result.ours = match &made.api {
        Some(_) => "generated",
        None if errors.iter().all(|d| is_remote(d)) => "remote",
        None => "rejected",
    };
    if made.api.is_none() {
        result.located = !errors.is_empty() && errors.iter().all(|d| d.span.line > 0);
    }
    if time > LIMIT {
        result.problems.push(format!("took {:.1} s", time.as_secs_f64()));
        result.ours = "slow";
    }
    if let Some(api) = &made.api {
        if !is_same_bundled(api, &path, &slot.settings) {
            result.problems.push("the document that the code carries gives other code".to_owned());
        }
        let validated =
            api.messages.iter().filter_map(|message| message.payload.as_ref()).filter(|p| p.schema.is_some());
        result.messages = [api.messages.len(), validated.count()];
        match Files::load(&path) {
            Ok(files) => result.counts = typed::count(&files, api),
            Err(error) => result.problems.push(format!("the walk cannot read it: {error}")),
        }
    }
    match made.files.map(|files| files.and_then(|files| workspace.add(&slot, files))) {
        Some(Ok(())) => result.member = Some(slot.name),
        Some(Err(error)) => {
            result.compiled = "no";
            result.problems.push(error);
        }
        None => {}
    }
    result
}

/// Whether the document that generated code carries gives the same code again.
fn is_same_bundled(api: &Api, path: &Path, settings: &Settings) -> bool {
    let loaded = amgi_asyncapi::load_str(&path.to_string_lossy(), &api.document);
    let Some(again) = amgi_gen::from_loaded(loaded, path, settings).api else { return false };
    let said = |api: &Api| {
        let mut value = serde_json::to_value(api).unwrap_or_default();
        value["digest"] = Value::Null;
        // A name that is none in a crate was replaced.
        value["name"] = Value::Null;
        value
    };
    said(api) == said(&again) && api.document == again.document
}

/// The worst problem, and of those the first.
fn first(diagnostics: &Diagnostics) -> Option<String> {
    let found = diagnostics.iter().filter(|d| d.severity > Severity::Info);
    let worst = found.clone().map(|d| d.severity).max()?;
    let diagnostic = found.clone().find(|d| d.severity == worst)?;
    let (line, column) = (diagnostic.span.line, diagnostic.span.column);
    Some(format!("{line}:{column} {} {}", diagnostic.code, diagnostic.code.name))
}

/// Whether a problem is that something lies on the network.
fn is_remote(diagnostic: &Diagnostic) -> bool {
    diagnostic.code.name == "ref-remote"
        || (diagnostic.code.name == "ref-external" && diagnostic.message.contains("://"))
}

/// Whether our word and the official parser's are the same; `None` where that has none.
fn agrees(result: &Found) -> Option<bool> {
    let ours = result.ours;
    Some(match result.document.verdict.as_deref()? {
        "valid" => ours == "generated",
        "invalid" => ours == "rejected" || (ours == "generated" && result.warned),
        "remote-ref" => ["generated", "remote"].contains(&ours),
        "invalid+remote" => ["generated", "remote", "rejected"].contains(&ours),
        "missing-file-ref" => ours == "rejected",
        _ => return None,
    })
}

fn report(results: &mut [Found], accepted: &[Accepted], options: &Options) -> (Value, bool) {
    let mut ours: BTreeMap<&str, usize> = BTreeMap::new();
    let mut sums = [0; 5];
    let (mut compiled, mut unlocated, mut agree, mut disagree) = (0, 0, 0, 0);
    let mut broken = Vec::new();
    let (mut messages, mut validated) = (0, 0);
    for result in results.iter_mut() {
        let shown = &result.document.shown;
        *ours.entry(result.ours).or_default() += 1;
        compiled += usize::from(result.compiled == "yes");
        messages += result.messages[0];
        validated += result.messages[1];
        let counts = &result.counts;
        let all = [counts.handlers, counts.sends, counts.properties, counts.typed, counts.open];
        sums.iter_mut().zip(all).for_each(|(sum, count)| *sum += count);
        say(format!(
            "{shown}\t{}\t{}\t{}\t{}\t{}\t{}/{}\t{}",
            result.document.verdict.as_deref().unwrap_or("-"),
            result.ours,
            result.compiled,
            counts.handlers,
            counts.sends,
            counts.typed,
            counts.properties,
            result.first.as_deref().unwrap_or("-"),
        ));
        let row = accepted.iter().find(|row| row.document == *shown);
        match agrees(result) {
            Some(true) => {
                agree += 1;
                if row.is_some() {
                    result.problems.push("disagreements.md lists it, and it agrees".to_owned());
                }
            }
            Some(false) => {
                disagree += 1;
                let official = result.document.verdict.clone().unwrap_or_default();
                let known = row.is_some_and(|row| row.official == official && row.ours == result.ours);
                if !known {
                    result.problems.push(format!("official: {official}, ours: {}", result.ours));
                } else if options.list {
                    say(format!("  accepted: official {official}, ours {}", result.ours));
                }
            }
            None => {}
        }
        if !result.located {
            unlocated += 1;
            result.problems.push("rejected without a place".to_owned());
        }
        result.problems.extend(counts.disagreements.iter().cloned());
        if options.list {
            counts.untyped.iter().for_each(|property| say(format!("  without a type: {property}")));
        }
        for problem in &result.problems {
            broken.push(format!("{shown}: {problem}"));
        }
    }
    let [handlers, sends, properties, typed, open] = sums;
    let share = ratio(typed, properties);
    if share < TYPED {
        broken.push(format!("{:.2} % of the properties are typed", share * 100.0));
    }
    for line in &broken {
        say(format!("BROKEN {line}"));
    }
    let count = |word: &str| ours.get(word).copied().unwrap_or(0);
    let rejected = count("rejected");
    let totals = json!({
        "documents": results.len(),
        "generated": count("generated"),
        "compiled": compiled,
        "rejected_with_location": rejected - unlocated.min(rejected),
        "rejected_without_location": unlocated,
        "remote_only": count("remote"),
        "panicked": count("panicked"),
        "over_5s": count("slow"),
        "handlers": handlers,
        "sends": sends,
        "properties": properties,
        "typed": typed,
        "typed_share": (share * 10_000.0).round() / 10_000.0,
        "open": open,
        "messages": messages,
        "validated": validated,
        "counts_differ": results.iter().filter(|result| !result.counts.disagreements.is_empty()).count(),
        "verdicts": {"agree": agree, "disagree": disagree},
    });
    (totals, broken.is_empty())
}

fn ratio(part: usize, whole: usize) -> f64 {
    let float = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if whole == 0 { 1.0 } else { float(part) / float(whole) }
}
