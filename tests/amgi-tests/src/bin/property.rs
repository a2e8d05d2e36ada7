//! Holds generated types to the verdicts of another implementation of JSON Schema; `--help` says more.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use amgi_gen::{
    format, generate,
    ir::{Api, Codec, Message},
    settings::{Additional, Numbers, Settings},
};
use amgi_tests::{
    choice, documents, exit_code,
    guard::{self, Outcome},
    instance::{Source, change, hostile},
    program::{Instance, Module, Program, Verdict, write},
    reference, say,
    tree::{Files, Place, Tree},
    typed,
    walk::Walk,
};
use jsonschema::Validator;
use serde_json::{Value, json};

const USAGE: &str = "\
usage: property DIR [--count N] [--seed N] [--sample K] [--additional keep|drop] [--numbers exact|native] [--hostile MINUTES]
                [--list] [--json PATH]

Takes every document of DIR that generates (column `file` of DIR/index.tsv), and of those every message with a JSON payload.
Instances are made of each schema, some of them changed so that they may not fit, and read as payloads by the generated type:
bytes in, typed value or rejection out. Each must get the verdict that the crate `jsonschema` gives on the schema as it stands in
the document, which is read and bundled without the generator. Equal schemas count once. Formats are asserted on both sides.

Prints a line for every document with disagreements, the schemas that cannot be judged, and the total; the last line is the total
as one JSON object. `miswritten` are accepted instances that are not written again, or as something that does not fit. Exits 1
when there are any, or a disagreement.

    --count N    instances, spread evenly over the schemas; 100000 unless said otherwise
    --seed N     other instances; the same seed gives the same
    --sample K   takes every K-th schema
    --additional what becomes of members without a field, as `amgi.toml` says it; kept unless said otherwise. By default the
                 generator drops them, and what is left may not fit any more
    --numbers    how numbers are held that 64 bits may not hold, as `amgi.toml` says it; exact unless said otherwise. By default
                 the generator has `i64` and `f64`
    --hostile MINUTES
                 reads other payloads instead, for so many minutes: broken, deep, long and huge ones. Whatever comes of them, it
                 comes within seconds, without a panic and on the stack that a thread has; those for which it does not are named
    --list       names each disagreement
    --json PATH  writes the total there too
";

fn main() -> ExitCode {
    exit_code(options().and_then(|options| run(&options)))
}

struct Flags {
    folder: PathBuf,
    count: usize,
    seed: u64,
    sample: usize,
    additional: Additional,
    numbers: Numbers,
    hostile: Option<u64>,
    list: bool,
    json: Option<PathBuf>,
}

fn options() -> Result<Flags, String> {
    let mut flags = Flags {
        folder: PathBuf::new(),
        count: 100_000,
        seed: 1,
        sample: 1,
        additional: Additional::Keep,
        numbers: Numbers::Exact,
        hostile: None,
        list: false,
        json: None,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|text| text.parse::<u32>().ok()).ok_or(USAGE);
        match arg.as_str() {
            "--count" => flags.count = number()? as usize,
            "--seed" => flags.seed = number()?.into(),
            "--sample" => flags.sample = number()?.max(1) as usize,
            "--additional" => {
                let choices = [("keep", Additional::Keep), ("drop", Additional::Drop)];
                flags.additional = choice(args.next().as_deref(), &choices).ok_or(USAGE)?;
            }
            "--numbers" => {
                let choices = [("exact", Numbers::Exact), ("native", Numbers::Native)];
                flags.numbers = choice(args.next().as_deref(), &choices).ok_or(USAGE)?;
            }
            "--hostile" => flags.hostile = Some(number()?.into()),
            "--list" => flags.list = true,
            "--json" => flags.json = Some(args.next().ok_or(USAGE)?.into()),
            _ if arg.starts_with('-') || !flags.folder.as_os_str().is_empty() => return Err(USAGE.to_owned()),
            _ => flags.folder = arg.into(),
        }
    }
    if flags.folder.as_os_str().is_empty() { Err(USAGE.to_owned()) } else { Ok(flags) }
}

/// A schema, and where it was found first.
struct Subject {
    /// Number of the document.
    document: usize,
    /// Type of the message.
    message: String,
    schema: Value,
    validator: Validator,
}

/// An instance and its subject's number.
struct Case {
    subject: usize,
    text: String,
    /// What the other implementation has against it.
    fault: Option<String>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    instances: usize,
    valid: usize,
    agree: usize,
    false_accept: usize,
    false_reject: usize,
    miswritten: usize,
}

fn run(flags: &Flags) -> Result<bool, String> {
    let documents = documents::find(&flags.folder)?;
    let mut found = Found::default();
    let mut apis: BTreeMap<usize, Api> = BTreeMap::new();
    for (number, document) in documents.iter().enumerate() {
        match made(&document.path, flags) {
            Ok(Some(api)) => {
                found.add(number, &document.path, &document.shown, &api);
                apis.insert(number, api);
            }
            Ok(None) => {}
            Err(problem) => found.problems.push(format!("{}: {problem}", document.shown)),
        }
    }
    let Found { subjects, problems, messages, .. } = found;
    let subjects: Vec<Subject> = subjects.into_iter().step_by(flags.sample).collect();
    if subjects.is_empty() {
        return Err(format!("{}: no schemas", flags.folder.display()));
    }
    let (mut modules, places) = modules(&subjects, apis);
    if let Some(minutes) = flags.hostile {
        // A folder of its own for each choice, so that they can be tried side by side.
        let name = format!("hostile-{:?}-{:?}", flags.additional, flags.numbers).to_lowercase();
        Program::folder(&name)?;
        let program = Program::build(&name, &mut modules)?;
        return torture(&program, &subjects, &places, flags.seed, Duration::from_secs(60 * minutes));
    }
    let cases = cases(&subjects, flags);
    let broken = cases.iter().find(|case| serde_json::from_str::<Value>(&case.text).is_err());
    if let Some(case) = broken {
        return Err(format!("an instance that is no JSON: {}", case.text));
    }
    Program::folder("property")?;
    let program = Program::build("property", &mut modules)?;
    let instances: Vec<Instance<'_>> = cases
        .iter()
        .map(|case| {
            let (module, message) = places[case.subject];
            (module, message, case.text.as_str())
        })
        .collect();
    let verdicts = program.execute(&instances)?;
    let mut counts: BTreeMap<usize, Counts> = BTreeMap::new();
    let mut list = Vec::new();
    for (case, verdict) in cases.iter().zip(&verdicts) {
        let subject = &subjects[case.subject];
        if let Some(line) = judge(subject, case, verdict, counts.entry(subject.document).or_default()) {
            list.push(format!("{}: {}: {line}", documents[subject.document].shown, subject.message));
        }
    }
    let mut total = Counts::default();
    say("document\tinstances\tvalid\tagree\tfalse accept\tfalse reject\tmiswritten");
    for (number, counts) in &counts {
        total.add(counts);
        if counts.agree < counts.instances || counts.miswritten > 0 {
            say(counts.row(&documents[*number].shown));
        }
    }
    say(total.row("total"));
    for problem in &problems {
        say(format!("not judged: {problem}"));
    }
    for (number, module) in modules.iter().enumerate().filter(|(_, module)| !module.is_compiled()) {
        let why = module.text.as_ref().err().or(module.broken.as_ref()).map_or("", |why| why.trim());
        say(format!("not compiled: module {number}: {why}"));
    }
    if flags.list {
        list.iter().for_each(say);
    }
    say(format!(
        "{} messages have {} different schemas; {} % of the instances are valid",
        messages,
        subjects.len(),
        100 * total.valid / total.instances.max(1)
    ));
    let summary = json!({
        "schemas": subjects.len(),
        "instances": total.instances,
        "valid": total.valid,
        "agree": total.agree,
        "false_accept": total.false_accept,
        "false_reject": total.false_reject,
        "miswritten": total.miswritten,
    });
    if let Some(path) = &flags.json {
        write(path, &format!("{summary}\n"))?;
    }
    say(summary.to_string());
    Ok(total.agree == total.instances && total.miswritten == 0)
}

/// Reads hostile payloads until the time is over; `false` when one of them was too much.
fn torture(
    program: &Program,
    subjects: &[Subject],
    places: &[(usize, usize)],
    seed: u64,
    time: Duration,
) -> Result<bool, String> {
    let start = Instant::now();
    let (mut payloads, mut refused, mut crashed) = (0_usize, 0_usize, 0_usize);
    let mut round = 0;
    while start.elapsed() < time {
        let mut texts = Vec::new();
        for (number, subject) in subjects.iter().enumerate() {
            let seed = seed.wrapping_mul(1 << 32).wrapping_add(round * subjects.len() as u64 + number as u64);
            let mut source = Source::new(&subject.schema, seed);
            let text = source.fitting().json();
            texts.extend((0..8).map(|_| (places[number], hostile(&text, source.rng()))));
        }
        let instances: Vec<Instance<'_>> =
            texts.iter().map(|((module, message), text)| (*module, *message, text.as_str())).collect();
        for (verdict, (_, text)) in program.execute(&instances)?.iter().zip(&texts) {
            payloads += 1;
            match verdict {
                Verdict::Taken(_) => {}
                Verdict::Refused(_) => refused += 1,
                Verdict::Crashed(why) => {
                    crashed += 1;
                    say(format!("{}: {} bytes: {}", short(why), text.len(), short(text)));
                }
            }
        }
        round += 1;
    }
    let summary = json!({"seconds": start.elapsed().as_secs(), "payloads": payloads, "refused": refused, "crashed": crashed});
    say(summary.to_string());
    Ok(crashed == 0)
}

/// What the generator makes of a document; nothing where it has errors.
fn made(path: &Path, flags: &Flags) -> Result<Option<Api>, String> {
    let path = path.to_owned();
    let Flags { additional, numbers, .. } = *flags;
    let settings = Settings { name: Some("subject".to_owned()), additional, numbers, ..Settings::default() };
    match guard::run(move || generate(&path, &settings)) {
        Outcome::Done(generation, _) => Ok(generation.api),
        Outcome::Panicked(text) => Err(format!("panicked: {text}")),
        Outcome::Hangs => Err("it was given up".to_owned()),
    }
}

/// What was found in the documents.
#[derive(Default)]
struct Found {
    /// Payloads that are JSON.
    messages: usize,
    subjects: Vec<Subject>,
    /// Every schema as a text: each counts once.
    seen: HashSet<String>,
    problems: Vec<String>,
}

impl Found {
    /// Adds the schemas of a document that are new.
    fn add(&mut self, document: usize, path: &Path, shown: &str, api: &Api) {
        let files = match Files::load(path) {
            Ok(files) => files,
            Err(error) => return self.problems.push(format!("{shown}: {error}")),
        };
        let walk = Walk::of(&files);
        let (mut pairs, problems) = typed::pairs(&walk, api);
        self.problems.extend(problems.into_iter().map(|problem| format!("{shown}: {problem}")));
        pairs.sort_unstable();
        pairs.dedup();
        let is_json =
            |made: &Message| made.payload.as_ref().is_some_and(|payload| payload.codec == Codec::Json);
        for made in api.messages.iter().filter(|made| is_json(made)) {
            let found = |(place, index): &(&Place, usize)| {
                api.messages[*index].name == made.name && walk.messages[*place].payload.is_some()
            };
            if !pairs.iter().any(found) {
                self.problems.push(format!("{shown}: {}: its schema is not found", made.name));
            }
        }
        for (place, index) in pairs {
            let (said, made) = (&walk.messages[place], &api.messages[index]);
            let Some(payload) = said.payload.as_ref().filter(|_| made.payload.is_some()) else { continue };
            self.messages += 1;
            let schema = reference::schema(&files, payload, said.format.as_deref());
            let subject = schema.and_then(|schema| {
                if !self.seen.insert(schema.to_string()) {
                    return Ok(None);
                }
                if reference::is_endless(&schema) {
                    return Err(
                        "it comes back to itself about the same value, which has no meaning".to_owned()
                    );
                }
                let validator = validator(&schema)?;
                Ok(Some(Subject { document, message: made.name.clone(), schema, validator }))
            });
            match subject {
                Ok(subject) => self.subjects.extend(subject),
                Err(problem) => self.problems.push(format!("{shown}: {}: {problem}", made.name)),
            }
        }
    }
}

/// The other implementation. Draft-07 does not know `uuid`, the generator checks it.
fn validator(schema: &Value) -> Result<Validator, String> {
    let options = jsonschema::options().should_validate_formats(true).with_format("uuid", is_uuid);
    options.build(schema).map_err(|error| format!("{}: {error}", error.instance_path()))
}

/// RFC 4122, 3: groups of hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A module for every document that has subjects, with nothing in it but their messages without headers and bindings, and where
/// each subject is: module, and message in it.
fn modules(subjects: &[Subject], apis: BTreeMap<usize, Api>) -> (Vec<Module>, Vec<(usize, usize)>) {
    let mut modules = Vec::new();
    let mut places = vec![(0, 0); subjects.len()];
    for (document, mut api) in apis {
        let own = subjects.iter().enumerate().filter(|(_, subject)| subject.document == document);
        let mut messages = Vec::new();
        for (number, subject) in own {
            places[number] = (modules.len(), messages.len());
            messages.push(subject.message.clone());
        }
        if messages.is_empty() {
            continue;
        }
        api.messages.retain(|message| messages.contains(&message.name));
        for message in &mut api.messages {
            (message.headers, message.bindings, message.correlation) = (None, None, None);
            message.examples.clear();
        }
        (api.channels, api.unions, api.sends, api.dispatch) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let text = format::module(&api).map_err(|error| error.to_string());
        modules.push(Module { text, messages, broken: None });
    }
    (modules, places)
}

/// The instances, the same number for each subject, or one more.
fn cases(subjects: &[Subject], flags: &Flags) -> Vec<Case> {
    let mut cases = Vec::new();
    for (number, subject) in subjects.iter().enumerate() {
        let count = (number + 1) * flags.count / subjects.len() - number * flags.count / subjects.len();
        let mut source = Source::new(&subject.schema, flags.seed.wrapping_mul(1 << 32) + number as u64);
        let mut seen: HashSet<String> = HashSet::new();
        for _ in 0..count {
            let mut case = case(number, subject, &mut source);
            for _ in 0..8 {
                if !seen.contains(&case.text) {
                    break;
                }
                case = self::case(number, subject, &mut source);
            }
            seen.insert(case.text.clone());
            cases.push(case);
        }
    }
    cases
}

/// What the other implementation has against a text.
fn fault(validator: &Validator, text: &str) -> Option<String> {
    match serde_json::from_str(text) {
        Ok(value) => {
            validator.validate(&value).err().map(|error| format!("`{}`: {error}", error.schema_path()))
        }
        Err(error) => Some(format!("{error}: {text}")),
    }
}

/// One instance: some as the schema asks, some with a fault, some of the first kind changed afterwards.
fn case(number: usize, subject: &Subject, source: &mut Source<'_>) -> Case {
    let fits = |tree: &Tree| fault(&subject.validator, &tree.json()).is_none();
    let mut tree = source.fitting();
    for _ in 0..4 {
        if fits(&tree) {
            break;
        }
        tree = source.fitting();
    }
    match source.rng().u8(..20) {
        0..=3 => {}
        4..=11 => tree = source.straying(),
        _ => {
            let other = source.fitting();
            let times = [1, 1, 2, 3, 4][source.rng().usize(..5)];
            (0..times).for_each(|_| change(&mut tree, &other, source.rng()));
        }
    }
    let text = tree.json();
    Case { subject: number, fault: fault(&subject.validator, &text), text }
}

/// Counts an instance; a disagreement is told.
fn judge(subject: &Subject, case: &Case, verdict: &Verdict, counts: &mut Counts) -> Option<String> {
    counts.instances += 1;
    counts.valid += usize::from(case.fault.is_none());
    match (&case.fault, verdict) {
        (None, Verdict::Taken(written)) => {
            counts.agree += 1;
            let fault = fault(&subject.validator, written)?;
            counts.miswritten += 1;
            Some(format!(
                "miswritten: {}\n  became: {}\n  {}",
                short(&case.text),
                short(written),
                short(&fault)
            ))
        }
        (Some(_), Verdict::Refused(_)) => {
            counts.agree += 1;
            None
        }
        (Some(fault), Verdict::Taken(written) | Verdict::Crashed(written)) => {
            counts.false_accept += 1;
            Some(format!(
                "false accept: {}\n  should: {}\n  became: {}",
                short(&case.text),
                short(fault),
                short(written)
            ))
        }
        (None, Verdict::Refused(why) | Verdict::Crashed(why)) => {
            counts.false_reject += 1;
            Some(format!("false reject: {}\n  why: {}", short(&case.text), short(why)))
        }
    }
}

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(600).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short.replace('\n', "\\n")
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.instances += other.instances;
        self.valid += other.valid;
        self.agree += other.agree;
        self.false_accept += other.false_accept;
        self.false_reject += other.false_reject;
        self.miswritten += other.miswritten;
    }

    fn row(&self, name: &str) -> String {
        format!(
            "{name}\t{}\t{}\t{}\t{}\t{}\t{}",
            self.instances, self.valid, self.agree, self.false_accept, self.false_reject, self.miswritten
        )
    }
}
