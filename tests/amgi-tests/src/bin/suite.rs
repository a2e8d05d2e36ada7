//! Holds generated types to the verdicts of a folder of JSON schemas and instances; `--help` says more.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use amgi_asyncapi::{Options, load_with, remote::Fetch};
use amgi_gen::{
    format, from_loaded,
    settings::{Additional, Formats, Numbers, Settings},
};
use amgi_tests::{
    choice, exit_code,
    guard::{self, Outcome},
    json,
    program::{Module, Program, Verdict, write},
    say,
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

const USAGE: &str = "\
usage: suite DIR [--formats assert|annotate] [--additional keep|drop] [--numbers exact|native] [--list] [--strict] [--json PATH]

Takes every file in DIR (not in its subfolders) of the form that the official JSON Schema test suite has: a list of
{description, schema, tests: [{description, data, valid}]}. Each schema becomes the payload of a message in a document of its
own; a module is generated from that, all modules are compiled into one program, and the program reads every instance as a
payload: bytes in, typed value or rejection out. What was accepted is written again and compared. An instance may carry its exact
text in a field `raw`, which then counts instead of `data`.

Prints for every file, and in total: schemas, generated, compiled, those that a validator checks too, instances, agree, false
accepts, false rejects, and losses (accepted instances that are written otherwise than they were read). The last line is the total as one JSON object. Instances
of a schema without a type count as disagreements.

    --formats    whether `format` is checked; annotate unless said otherwise
    --additional what becomes of members without a field, as `amgi.toml` says it; kept unless said otherwise, so that a loss is
                 one. By default the generator drops them
    --numbers    how numbers are held that 64 bits may not hold, as `amgi.toml` says it; exact unless said otherwise, so that
                 integers of any size are taken. By default the generator has `i64` and `f64`
    --list       names each disagreement and each loss
    --strict     exits 1 when there is any
    --json PATH  writes the total there too, with the number of schemas that a validator checks

References to http://localhost:1234/ lead to the folder `remotes`, which is looked for beside DIR and beside its parents;
those to the schema of draft-07 schemas to that.
";

fn main() -> ExitCode {
    exit_code(options().and_then(|options| run(&options)))
}

struct Flags {
    folder: PathBuf,
    formats: Formats,
    additional: Additional,
    numbers: Numbers,
    list: bool,
    strict: bool,
    json: Option<PathBuf>,
}

fn options() -> Result<Flags, String> {
    let mut flags = Flags {
        folder: PathBuf::new(),
        formats: Formats::Annotate,
        additional: Additional::Keep,
        numbers: Numbers::Exact,
        list: false,
        strict: false,
        json: None,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--list" => flags.list = true,
            "--strict" => flags.strict = true,
            "--json" => flags.json = Some(args.next().ok_or(USAGE)?.into()),
            "--formats" => {
                let choices = [("assert", Formats::Assert), ("annotate", Formats::Annotate)];
                flags.formats = choice(args.next().as_deref(), &choices).ok_or(USAGE)?;
            }
            "--additional" => {
                let choices = [("keep", Additional::Keep), ("drop", Additional::Drop)];
                flags.additional = choice(args.next().as_deref(), &choices).ok_or(USAGE)?;
            }
            "--numbers" => {
                let choices = [("exact", Numbers::Exact), ("native", Numbers::Native)];
                flags.numbers = choice(args.next().as_deref(), &choices).ok_or(USAGE)?;
            }
            _ if arg.starts_with('-') || !flags.folder.as_os_str().is_empty() => return Err(USAGE.to_owned()),
            _ => flags.folder = arg.into(),
        }
    }
    if flags.folder.as_os_str().is_empty() { Err(USAGE.to_owned()) } else { Ok(flags) }
}

/// A schema and its instances, as a file of the suite has them.
#[derive(Debug, Deserialize)]
struct Group {
    description: String,
    schema: Box<RawValue>,
    tests: Vec<Instance>,
}

#[derive(Debug, Deserialize)]
struct Instance {
    description: String,
    #[serde(default)]
    data: Option<Box<RawValue>>,
    valid: bool,
    #[serde(default)]
    raw: Option<String>,
}

impl Instance {
    /// What goes over the wire.
    fn text(&self) -> &str {
        // An instance that is `null` is read as none.
        self.raw.as_deref().or(self.data.as_deref().map(RawValue::get)).unwrap_or("null")
    }
}

/// A schema and the number of its file.
struct Subject {
    file: usize,
    group: Group,
    /// Whether types and rules do not say all of it.
    validated: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    schemas: usize,
    generated: usize,
    compiled: usize,
    validated: usize,
    instances: usize,
    agree: usize,
    false_accept: usize,
    false_reject: usize,
    losses: usize,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.schemas += other.schemas;
        self.generated += other.generated;
        self.compiled += other.compiled;
        self.validated += other.validated;
        self.instances += other.instances;
        self.agree += other.agree;
        self.false_accept += other.false_accept;
        self.false_reject += other.false_reject;
        self.losses += other.losses;
    }

    fn json(self) -> Value {
        json!({
            "schemas": self.schemas,
            "generated": self.generated,
            "compiled": self.compiled,
            "instances": self.instances,
            "agree": self.agree,
            "false_accept": self.false_accept,
            "false_reject": self.false_reject,
            "losses": self.losses,
        })
    }
}

fn run(flags: &Flags) -> Result<bool, String> {
    let folder = Program::folder("suite")?;
    let mut files: Vec<PathBuf> = fs::read_dir(&flags.folder)
        .map_err(|error| format!("{}: {error}", flags.folder.display()))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_file() && path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(format!("{}: no files", flags.folder.display()));
    }
    let remotes = remotes(&flags.folder);
    let mut subjects = Vec::new();
    let mut modules = Vec::new();
    for (file, path) in files.iter().enumerate() {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let groups: Vec<Group> =
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        for group in groups {
            let document = folder.join(format!("documents/s{:04}.json", subjects.len()));
            write(&document, &self::document(group.schema.get()))?;
            let generated = generated(&document, remotes.clone(), settings(flags));
            let validated = generated.as_ref().is_ok_and(|(_, validated)| *validated);
            let text = generated.map(|(text, _)| text);
            modules.push(Module { text, messages: vec!["Subject".to_owned()], broken: None });
            subjects.push(Subject { file, group, validated });
        }
    }
    let program = Program::build("suite", &mut modules)?;
    let instances: Vec<_> = subjects
        .iter()
        .enumerate()
        .flat_map(|(index, subject)| subject.group.tests.iter().map(move |test| (index, 0, test.text())))
        .collect();
    let mut verdicts = program.execute(&instances)?.into_iter();
    let mut counts = vec![Counts::default(); files.len()];
    let mut list = String::new();
    for (subject, module) in subjects.iter().zip(&modules) {
        let name = files[subject.file].file_stem().unwrap_or_default().to_string_lossy();
        let verdicts: Vec<Verdict> = verdicts.by_ref().take(subject.group.tests.len()).collect();
        counts[subject.file].add(judge(&name, subject, module, &verdicts, &mut list));
    }
    let mut total = Counts::default();
    say(
        "file\tschemas\tgenerated\tcompiled\tvalidated\tinstances\tagree\tfalse accept\tfalse reject\tlosses",
    );
    let row = |name: &str, c: &Counts| {
        say(format!(
            "{name}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            c.schemas,
            c.generated,
            c.compiled,
            c.validated,
            c.instances,
            c.agree,
            c.false_accept,
            c.false_reject,
            c.losses
        ));
    };
    for (path, counts) in files.iter().zip(&counts) {
        row(&path.file_name().unwrap_or_default().to_string_lossy(), counts);
        total.add(*counts);
    }
    row("total", &total);
    if flags.list {
        say(list.trim_end());
    }
    if let Some(path) = &flags.json {
        let mut figures = total.json();
        figures["validated"] = json!(total.validated);
        write(path, &format!("{figures}\n"))?;
    }
    say(total.json().to_string());
    Ok(!flags.strict || (total.agree == total.instances && total.losses == 0))
}

fn settings(flags: &Flags) -> Settings {
    let Flags { formats, additional, numbers, .. } = *flags;
    Settings { name: Some("subject".to_owned()), formats, additional, numbers, ..Settings::default() }
}

/// The folder that stands for the host of remote references.
fn remotes(folder: &Path) -> Option<PathBuf> {
    let absolute = fs::canonicalize(folder).ok()?;
    absolute.ancestors().map(|folder| folder.join("remotes")).find(|folder| folder.is_dir())
}

/// Files in place of the network.
struct Folder(Option<PathBuf>);

impl Fetch for Folder {
    fn fetch(&self, address: &str) -> Result<String, String> {
        if address.trim_end_matches('#') == "http://json-schema.org/draft-07/schema" {
            return Ok(referencing::meta::DRAFT7.to_string());
        }
        let path = address.strip_prefix("http://localhost:1234/").ok_or("404 Not Found")?;
        let folder = self.0.as_ref().ok_or("404 Not Found")?;
        fs::read_to_string(folder.join(path)).map_err(|error| error.to_string())
    }
}

/// A document whose only message has the schema as its payload.
fn document(schema: &str) -> String {
    format!(
        "{{\"asyncapi\": \"3.0.0\", \"info\": {{\"title\": \"Suite\", \"version\": \"1\"}},\n\
         \"channels\": {{\"subjects\": {{\"address\": \"subjects\", \"messages\": {{\"subject\": {{\"payload\":\n\
         {{\"schemaFormat\": \"application/schema+json;version=draft-07\", \"schema\": {schema}}}\n}}}}}}}},\n\
         \"operations\": {{\"take\": {{\"action\": \"receive\", \"channel\": {{\"$ref\": \"#/channels/subjects\"}}}}}}}}\n"
    )
}

/// The module of a document and whether a validator is needed, or why there is none.
fn generated(
    document: &Path,
    remotes: Option<PathBuf>,
    settings: Settings,
) -> Result<(String, bool), String> {
    let path = document.to_owned();
    let work = move || {
        let fetch = Folder(remotes);
        let options = Options { fetch: Some(&fetch), ..Options::default() };
        let generation = from_loaded(load_with(&path, &options), &path, &settings);
        match &generation.api {
            Some(api) => {
                let payloads = api.messages.iter().filter_map(|message| message.payload.as_ref());
                let validated = payloads.into_iter().any(|payload| payload.schema.is_some());
                let text = format::module(api).map_err(|error| error.to_string())?;
                Ok((text, validated))
            }
            None => Err(generation.sources.report(&generation.diagnostics)),
        }
    };
    match guard::run(work) {
        Outcome::Done(result, _) => result,
        Outcome::Panicked(text) => Err(format!("panicked: {text}")),
        Outcome::Hangs => Err("it was given up".to_owned()),
    }
}

/// Counts for one schema; what is wrong is added to `list`.
fn judge(
    file: &str,
    Subject { group, validated, .. }: &Subject,
    module: &Module,
    verdicts: &[Verdict],
    list: &mut String,
) -> Counts {
    let compiled = module.is_compiled();
    let mut counts = Counts {
        schemas: 1,
        generated: usize::from(module.text.is_ok()),
        compiled: usize::from(compiled),
        validated: usize::from(*validated),
        instances: group.tests.len(),
        ..Counts::default()
    };
    let mut note = |what: &str, which: &str, why: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(list, "{file}: {}: {which}: {what}: {}", group.description, why.trim());
    };
    if let Err(why) = &module.text {
        note("not generated", "-", why);
    } else if let Some(why) = &module.broken {
        note("not compiled", "-", why);
    }
    if !compiled {
        return counts;
    }
    for (test, verdict) in group.tests.iter().zip(verdicts) {
        match (verdict, test.valid) {
            (Verdict::Taken(_), true) | (Verdict::Refused(_), false) => counts.agree += 1,
            (Verdict::Taken(written) | Verdict::Crashed(written), false) => {
                counts.false_accept += 1;
                note("false accept", &test.description, &format!("{} became {written}", test.text()));
            }
            (Verdict::Refused(why) | Verdict::Crashed(why), true) => {
                counts.false_reject += 1;
                note("false reject", &test.description, &format!("{}: {why}", test.text()));
            }
        }
        if let (Verdict::Taken(written), true) = (verdict, test.valid)
            && !json::same(test.text(), written)
        {
            counts.losses += 1;
            note("loss", &test.description, &format!("{} became {written}", test.text()));
        }
    }
    counts
}
