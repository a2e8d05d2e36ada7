//! Changes documents at random and gives them to the generator; `--help` says more.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use amgi_asyncapi::{load, load_str};
use amgi_gen::{
    diag::Severity,
    format, from_loaded,
    settings::{Perspective, Settings},
};
use amgi_golden_tests::target;
use amgi_tests::{
    documents, exit_code,
    guard::{self, LIMIT, Outcome},
    mutate::mutate,
    say,
    tree::Tree,
};
use fastrand::Rng;

const USAGE: &str = "\
usage: fuzz DIR [--count N] [--seed N] [--case N]

Gives N changed documents (100,000 where it is not said) to the generator. The documents in DIR are the start, small ones
more often. Every case must end within five seconds without a panic, with errors that have a place or with code that parses.

    --seed N   other changes; the same seed gives the same cases
    --case N   only this case, with its text

The texts of cases that fail are kept in the build folder, in `fuzz/`.
";

/// Documents above this size are too slow to try often.
const LARGE: usize = 48 << 10;

fn main() -> ExitCode {
    exit_code(options().and_then(|options| run(&options)))
}

struct Options {
    folder: PathBuf,
    count: u64,
    seed: u64,
    case: Option<u64>,
    child: bool,
}

fn options() -> Result<Options, String> {
    let mut options = Options { folder: PathBuf::new(), count: 100_000, seed: 0, case: None, child: false };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|n| n.parse().ok()).ok_or(USAGE);
        match arg.as_str() {
            "--child" => options.child = true,
            "--count" => options.count = number()?,
            "--seed" => options.seed = number()?,
            "--case" => options.case = Some(number()?),
            _ if arg.starts_with('-') || !options.folder.as_os_str().is_empty() => {
                return Err(USAGE.to_owned());
            }
            _ => options.folder = arg.into(),
        }
    }
    if options.folder.as_os_str().is_empty() { Err(USAGE.to_owned()) } else { Ok(options) }
}

/// A document to start from.
struct Seed {
    text: String,
    tree: Tree,
}

fn seeds(folder: &Path) -> Result<Vec<Seed>, String> {
    let mut seeds: Vec<Seed> = documents::find(folder)?
        .into_iter()
        .filter_map(|document| {
            let text = fs::read_to_string(&document.path).ok().filter(|text| text.len() <= LARGE)?;
            let tree = Tree::read(&text).ok()?;
            Some(Seed { text, tree })
        })
        .collect();
    seeds.sort_by_key(|seed| seed.text.len());
    if seeds.is_empty() { Err(format!("{}: no documents", folder.display())) } else { Ok(seeds) }
}

/// The text of a case.
fn case(seeds: &[Seed], seed: u64, number: u64) -> (String, String) {
    let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number));
    // The smaller of two: small documents are tried more often.
    let first = rng.usize(..seeds.len()).min(rng.usize(..seeds.len()));
    let other = &seeds[rng.usize(..seeds.len()).min(rng.usize(..seeds.len()))];
    let text = mutate(&seeds[first].text, &seeds[first].tree, &other.tree, &mut rng);
    (text, other.text.clone())
}

fn run(options: &Options) -> Result<bool, String> {
    let folder = target().join("fuzz");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    if options.case.is_none() && !options.child {
        return watched(&folder);
    }
    let seeds = seeds(&options.folder)?;
    if let Some(number) = options.case {
        let (text, other) = case(&seeds, options.seed, number);
        say(&text);
        let word = attempt(number, text, &other, &folder);
        say(format!("{word:?}"));
        return Ok(word.is_ok());
    }
    let next = AtomicU64::new(0);
    let words: Mutex<BTreeMap<String, u64>> = Mutex::default();
    let failures: Mutex<Vec<(u64, String)>> = Mutex::default();
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for job in 0..jobs {
            let (folder, seeds, next, words, failures) = (&folder, &seeds, &next, &words, &failures);
            scope.spawn(move || {
                let running = folder.join(format!("running-{job}"));
                let scratch = folder.join(format!("scratch-{job}"));
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= options.count {
                        break;
                    }
                    // An aborted process leaves this behind.
                    let _ = fs::write(&running, number.to_string());
                    let (text, other) = case(seeds, options.seed, number);
                    let word = match attempt(number, text.clone(), &other, &scratch) {
                        Ok(word) => word.to_owned(),
                        Err(problem) => {
                            let _ = fs::write(folder.join(format!("case-{}-{number}", options.seed)), text);
                            say(format!("case {number}: {problem}"));
                            failures.lock().unwrap_or_else(PoisonError::into_inner).push((number, problem));
                            "failed".to_owned()
                        }
                    };
                    *words.lock().unwrap_or_else(PoisonError::into_inner).entry(word).or_default() += 1;
                }
                let _ = fs::remove_file(&running);
                let _ = fs::remove_dir_all(&scratch);
            });
        }
    });
    let words = words.into_inner().unwrap_or_else(PoisonError::into_inner);
    say(format!(
        "fuzz: seed {}, {} start documents, {} cases: {words:?}",
        options.seed,
        seeds.len(),
        options.count
    ));
    Ok(failures.into_inner().unwrap_or_else(PoisonError::into_inner).is_empty())
}

/// Runs the cases in a process of their own: a stack that overflows ends the process, and cannot be caught.
fn watched(folder: &Path) -> Result<bool, String> {
    let running = || {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("running-"))
        })
    };
    for path in running() {
        fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let child = Command::new(program).args(std::env::args_os().skip(1)).arg("--child").status();
    let status = child.map_err(|error| error.to_string())?;
    if status.code().is_none() {
        let cases: Vec<String> = running().filter_map(|path| fs::read_to_string(path).ok()).collect();
        say(format!("the process was ended ({status}) by one of these cases: {}", cases.join(", ")));
    }
    Ok(status.success())
}

/// Runs a case; some through files, with another document beside.
fn attempt(number: u64, text: String, other: &str, scratch: &Path) -> Result<&'static str, String> {
    let file = number.is_multiple_of(10).then(|| scratch.join("document.yaml"));
    if let Some(file) = &file {
        let written = fs::create_dir_all(scratch)
            .and_then(|()| fs::write(file, &text))
            .and_then(|()| fs::write(scratch.join("other.yaml"), other));
        written.map_err(|error| format!("{}: {error}", scratch.display()))?;
    }
    let outcome = guard::run(move || check(number, &text, file.as_deref()));
    match outcome {
        Outcome::Done(result, time) if time <= LIMIT => result,
        Outcome::Done(_, time) => Err(format!("took {:.1} s", time.as_secs_f64())),
        Outcome::Panicked(text) => Err(format!("panicked: {text}")),
        Outcome::Hangs => Err("hangs".to_owned()),
    }
}

fn check(number: u64, text: &str, file: Option<&Path>) -> Result<&'static str, String> {
    let perspective = if number.is_multiple_of(3) { Perspective::Peer } else { Perspective::Application };
    let settings = Settings { perspective, ..Settings::default() };
    let name = Path::new("document.yaml");
    let loaded = file.map_or_else(|| load_str("document.yaml", text), load);
    let generation = from_loaded(loaded, name, &settings);
    let Some(api) = &generation.api else {
        let errors: Vec<_> =
            generation.diagnostics.iter().filter(|d| d.severity == Severity::Error).collect();
        if errors.is_empty() {
            return Err("neither code nor an error".to_owned());
        }
        return match errors.iter().find(|d| d.span.line == 0) {
            Some(error) => Err(format!("an error without a place: {} {}", error.code, error.message)),
            None => Ok("rejected"),
        };
    };
    let module = format::module(api).map_err(|error| error.to_string())?;
    syn::parse_file(&module).map_err(|error| format!("the text does not parse: {error}"))?;
    Ok("generated")
}
