//! Holds generated types to the verdicts of a folder of JSON schemas and instances; `--help` says more.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use amgi_asyncapi::{Options, load_with, remote::Fetch};
use amgi_gen::{
    format, from_loaded,
    settings::{Formats, Settings},
};
use amgi_golden_tests::{cargo, generated_crate, generated_target, root, shown};
use amgi_tests::{
    guard::{self, Outcome},
    json, say,
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

const USAGE: &str = "\
usage: suite DIR [--formats assert|annotate] [--list] [--json PATH]

Takes every file in DIR (not in its subfolders) of the form that the official JSON Schema test suite has: a list of
{description, schema, tests: [{description, data, valid}]}. Each schema becomes the payload of a message in a document of its
own; a module is generated from that, all modules are compiled into one program, and the program reads every instance as a
payload: bytes in, typed value or rejection out. What was accepted is written again and compared. An instance may carry its exact
text in a field `raw`, which then counts instead of `data`.

Prints for every file, and in total: schemas, generated, compiled, those that a validator checks too, instances, agree, false accepts, false rejects, and losses
(accepted instances that are written otherwise than they were read). The last line is the total as one JSON object. Instances
of a schema without a type count as disagreements.

    --formats    whether `format` is checked; annotate unless said otherwise
    --list       names each disagreement and each loss
    --json PATH  writes the total there too

References to http://localhost:1234/ lead to the folder `remotes`, which is looked for beside DIR and beside its parents;
those to the schema of draft-07 schemas to that.
";

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            say(text);
            ExitCode::from(2)
        }
    }
}

struct Flags {
    folder: PathBuf,
    assert: bool,
    list: bool,
    json: Option<PathBuf>,
}

fn options() -> Result<Flags, String> {
    let mut flags = Flags { folder: PathBuf::new(), assert: false, list: false, json: None };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--list" => flags.list = true,
            "--json" => flags.json = Some(args.next().ok_or(USAGE)?.into()),
            "--formats" => {
                flags.assert = match args.next().as_deref() {
                    Some("assert") => true,
                    Some("annotate") => false,
                    _ => return Err(USAGE.to_owned()),
                };
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

/// What was generated of a schema.
struct Module {
    text: String,
    /// Whether types and rules do not say all of it.
    validated: bool,
}

/// A schema on its way.
struct Subject {
    file: usize,
    group: Group,
    generated: Result<Module, String>,
    broken: Option<String>,
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
            "validated": self.validated,
            "instances": self.instances,
            "agree": self.agree,
            "false_accept": self.false_accept,
            "false_reject": self.false_reject,
            "losses": self.losses,
        })
    }
}

/// What the program made of an instance: the payload written again, or why it was refused.
type Verdict = Result<String, String>;

fn run(flags: &Flags) -> Result<(), String> {
    let crate_folder = generated_crate("suite");
    if crate_folder.exists() {
        fs::remove_dir_all(&crate_folder).map_err(|error| format!("{}: {error}", crate_folder.display()))?;
    }
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
    for (file, path) in files.iter().enumerate() {
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let groups: Vec<Group> =
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        for group in groups {
            let document = crate_folder.join(format!("documents/s{:04}.json", subjects.len()));
            write(&document, &self::document(group.schema.get()))?;
            let generated = generated(&document, remotes.clone(), settings(flags));
            subjects.push(Subject { file, group, generated, broken: None });
        }
    }
    let binary = build(&crate_folder, &mut subjects)?;
    let verdicts = execute(&binary, &crate_folder, &subjects)?;
    let mut counts = vec![Counts::default(); files.len()];
    let mut list = String::new();
    for (subject, verdicts) in subjects.iter().zip(&verdicts) {
        let name = files[subject.file].file_stem().unwrap_or_default().to_string_lossy();
        counts[subject.file].add(judge(&name, subject, verdicts, &mut list));
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
        write(path, &format!("{}\n", total.json()))?;
    }
    say(total.json().to_string());
    Ok(())
}

fn settings(flags: &Flags) -> Settings {
    let formats = if flags.assert { Formats::Assert } else { Formats::Annotate };
    Settings { name: Some("subject".to_owned()), formats, ..Settings::default() }
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

/// The module of a document, or why there is none.
fn generated(document: &Path, remotes: Option<PathBuf>, settings: Settings) -> Result<Module, String> {
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
                Ok(Module { text, validated })
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

/// Compiles all modules into one program. What does not compile is left out, and the rest is built again.
fn build(folder: &Path, subjects: &mut [Subject]) -> Result<PathBuf, String> {
    for (index, subject) in subjects.iter().enumerate() {
        if let Ok(module) = &subject.generated {
            write(&folder.join(format!("src/s{index:04}.rs")), &module.text)?;
        }
    }
    let runtime = root().join("runtime/amgi").display().to_string();
    let manifest = format!(
        "[package]\nname = \"suite\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         amgi = {{ path = {runtime:?}, features = [\"validate\"] }}\nserde_json = \"1\"\n\n\
         [profile.dev]\ndebug = false\nincremental = false\n\n[workspace]\n"
    );
    write(&folder.join("Cargo.toml"), &manifest)?;
    loop {
        write(&folder.join("src/main.rs"), &program(subjects))?;
        let output = cargo(folder, &["build", "--quiet", "--message-format=json"]);
        if output.status.success() {
            return Ok(generated_target().join("debug/suite"));
        }
        let broken = broken(&output.stdout);
        let mut found = false;
        for (index, complaint) in broken {
            if let Some(subject) = subjects.get_mut(index).filter(|subject| subject.broken.is_none()) {
                subject.broken = Some(complaint);
                found = true;
            }
        }
        if !found {
            return Err(shown(&output));
        }
    }
}

/// The modules that rustc complains of.
fn broken(stdout: &[u8]) -> Vec<(usize, String)> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for line in String::from_utf8_lossy(stdout).lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        let message = &message["message"];
        if message["level"] != "error" {
            continue;
        }
        for span in message["spans"].as_array().into_iter().flatten() {
            let name = span["file_name"].as_str().and_then(|name| name.strip_prefix("src/s"));
            let index = name.and_then(|name| name.strip_suffix(".rs")).and_then(|name| name.parse().ok());
            if let Some(index) = index.filter(|index| seen.insert(*index)) {
                found.push((index, message["rendered"].as_str().unwrap_or_default().to_owned()));
            }
        }
    }
    found
}

fn program(subjects: &[Subject]) -> String {
    let mut modules = String::new();
    let mut arms = String::new();
    for (index, _) in subjects.iter().enumerate().filter(|(_, s)| s.generated.is_ok() && s.broken.is_none()) {
        // Writing to a string does not fail.
        let _ = writeln!(modules, "#[allow(dead_code, unreachable_pub)]\nmod s{index:04};");
        let _ = writeln!(arms, "        {index} => take::<s{index:04}::Subject>(text),");
    }
    format!(
        "//! Reads instances as payloads.\n\n{modules}\n\
         use amgi::TypedMessage;\n\n\
         fn take<M: TypedMessage>(text: &str) -> Result<String, String> {{\n\
         \x20   let message = amgi::Message::new(\"subjects\").payload(text.to_owned());\n\
         \x20   let value = M::decode(&message).map_err(|rejection| rejection.to_string())?;\n\
         \x20   let mut out = amgi::Message::new(\"subjects\");\n\
         \x20   match value.encode(&mut out) {{\n\
         \x20       Ok(()) => Ok(String::from_utf8_lossy(&out.payload.unwrap_or_default()).into_owned()),\n\
         \x20       Err(rejection) => Ok(format!(\"not written: {{rejection}}\")),\n    }}\n}}\n\n\
         fn subject(index: usize, text: &str) -> Result<String, String> {{\n    match index {{\n{arms}\
         \x20       _ => Err(\"no type\".to_owned()),\n    }}\n}}\n\n\
         fn main() {{\n\
         \x20   std::panic::set_hook(Box::new(|_| {{}}));\n\
         \x20   let path = std::env::args().nth(1).expect(\"a path\");\n\
         \x20   let text = std::fs::read_to_string(path).expect(\"instances\");\n\
         \x20   let instances: Vec<(usize, String)> = serde_json::from_str(&text).expect(\"instances\");\n\
         \x20   for (index, text) in instances {{\n\
         \x20       let verdict = std::panic::catch_unwind(|| subject(index, &text));\n\
         \x20       let verdict = verdict.unwrap_or_else(|_| Err(\"panicked\".to_owned()));\n\
         \x20       println!(\"{{}}\", serde_json::to_string(&verdict).expect(\"text\"));\n    }}\n}}\n"
    )
}

/// Runs the program over every instance of what was compiled.
fn execute(binary: &Path, folder: &Path, subjects: &[Subject]) -> Result<Vec<Vec<Verdict>>, String> {
    let instances: Vec<(usize, &str)> = subjects
        .iter()
        .enumerate()
        .flat_map(|(index, subject)| subject.group.tests.iter().map(move |test| (index, test.text())))
        .collect();
    let path = folder.join("instances.json");
    write(&path, &json!(instances).to_string())?;
    let output =
        Command::new(binary).arg(&path).output().map_err(|error| format!("{}: {error}", binary.display()))?;
    let lines: Vec<Verdict> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).map_err(|error| format!("{line}: {error}")))
        .collect::<Result<_, _>>()?;
    if lines.len() != instances.len() {
        return Err(format!("the program ended early, with {}\n{}", output.status, shown(&output)));
    }
    let mut lines = lines.into_iter();
    Ok(subjects.iter().map(|subject| lines.by_ref().take(subject.group.tests.len()).collect()).collect())
}

/// Counts for one schema; what is wrong is added to `list`.
fn judge(file: &str, subject: &Subject, verdicts: &[Verdict], list: &mut String) -> Counts {
    let generated = subject.generated.is_ok();
    let compiled = generated && subject.broken.is_none();
    let mut counts = Counts {
        schemas: 1,
        generated: usize::from(generated),
        compiled: usize::from(compiled),
        validated: usize::from(subject.generated.as_ref().is_ok_and(|module| module.validated)),
        instances: subject.group.tests.len(),
        ..Counts::default()
    };
    let mut note = |what: &str, which: &str, why: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(list, "{file}: {}: {which}: {what}: {}", subject.group.description, why.trim());
    };
    if let Err(why) = &subject.generated {
        note("not generated", "-", why);
    } else if let Some(why) = &subject.broken {
        note("not compiled", "-", why);
    }
    if !compiled {
        return counts;
    }
    for (test, verdict) in subject.group.tests.iter().zip(verdicts) {
        match (verdict, test.valid) {
            (Ok(_), true) | (Err(_), false) => counts.agree += 1,
            (Ok(written), false) => {
                counts.false_accept += 1;
                note("false accept", &test.description, &format!("{} became {written}", test.text()));
            }
            (Err(why), true) => {
                counts.false_reject += 1;
                note("false reject", &test.description, &format!("{}: {why}", test.text()));
            }
        }
        if let (Ok(written), true) = (verdict, test.valid)
            && !json::same(test.text(), written)
        {
            counts.losses += 1;
            note("loss", &test.description, &format!("{} became {written}", test.text()));
        }
    }
    counts
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let result = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    result.map_err(|error| format!("{}: {error}", path.display()))
}
