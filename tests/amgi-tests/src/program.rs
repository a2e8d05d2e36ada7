//! Programs that read instances as payloads of generated messages, exactly as they come: bytes in, typed value or rejection
//! out.
//!
//! Modules are divided over the crates of one workspace, which are built side by side; nobody sees in which a module is.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use amgi_golden_tests::{cargo, generated_crate, generated_target, root, shown};
use serde::Deserialize;
use serde_json::{Value, json};

/// Modules of one crate: enough that linking does not count, few enough that the compiler's memory does not.
const MODULES: usize = 100;

/// A generated module on its way into a program.
#[derive(Debug)]
pub struct Module {
    /// Its text, or why there is none.
    pub text: Result<String, String>,
    /// Types of the messages that are read.
    pub messages: Vec<String>,
    /// What the compiler has against it.
    pub broken: Option<String>,
}

impl Module {
    /// Whether the program has it.
    pub fn is_compiled(&self) -> bool {
        self.text.is_ok() && self.broken.is_none()
    }
}

/// What an instance is: numbers of the module and of the message in it, and the text.
pub type Instance<'a> = (usize, usize, &'a str);

/// What the program made of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub enum Verdict {
    /// A value, which is the payload when it is written again.
    Taken(String),
    /// A rejection, with its text.
    Refused(String),
    /// A panic, or the end of the program.
    Crashed(String),
}

/// A program that is built.
#[derive(Debug)]
pub struct Program {
    name: String,
    folder: PathBuf,
    crates: usize,
}

impl Program {
    /// An empty folder for the program of that name.
    ///
    /// # Errors
    /// When an earlier one cannot be removed.
    pub fn folder(name: &str) -> Result<PathBuf, String> {
        let folder = generated_crate(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        Ok(folder)
    }

    /// Compiles all modules. What does not compile is left out, and the rest is built again.
    ///
    /// # Errors
    /// When something else than the modules does not compile.
    pub fn build(name: &str, modules: &mut [Module]) -> Result<Self, String> {
        let program = Self {
            name: name.to_owned(),
            folder: generated_crate(name),
            crates: modules.len().div_ceil(MODULES).max(1),
        };
        program.manifests()?;
        for (index, module) in modules.iter().enumerate() {
            if let Ok(text) = &module.text {
                let member = program.member(index / MODULES);
                write(&program.folder.join(format!("{member}/src/s{index:04}.rs")), text)?;
            }
        }
        loop {
            for number in 0..program.crates {
                let path = program.folder.join(program.member(number)).join("src/main.rs");
                let text = source(modules, number);
                // A crate that is as it was is not built again.
                if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
                    write(&path, &text)?;
                }
            }
            let output =
                cargo(&program.folder, &["build", "--quiet", "--keep-going", "--message-format=json"]);
            if output.status.success() {
                return Ok(program);
            }
            let mut found = false;
            for (index, complaint) in broken(&output.stdout) {
                if let Some(module) = modules.get_mut(index).filter(|module| module.broken.is_none()) {
                    module.broken = Some(complaint);
                    found = true;
                }
            }
            if !found {
                return Err(shown(&output));
            }
        }
    }

    /// Reads every instance; the verdicts are in the same order.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn execute(&self, instances: &[Instance<'_>]) -> Result<Vec<Verdict>, String> {
        let run = |number: usize| {
            let own: Vec<&Instance<'_>> =
                instances.iter().filter(|(module, ..)| module / MODULES == number).collect();
            self.execute_crate(number, &own)
        };
        let verdicts: Vec<Result<Vec<Verdict>, String>> = thread::scope(|scope| {
            let run = &run;
            let threads: Vec<_> = (0..self.crates).map(|number| scope.spawn(move || run(number))).collect();
            let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
            joined.map(|result| result.unwrap_or_else(|_| Err("a thread panicked".to_owned()))).collect()
        });
        let mut verdicts =
            verdicts.into_iter().map(|list| list.map(Vec::into_iter)).collect::<Result<Vec<_>, _>>()?;
        let next = |(module, ..): &Instance<'_>| verdicts[module / MODULES].next();
        Ok(instances.iter().filter_map(next).collect())
    }

    fn execute_crate(&self, number: usize, instances: &[&Instance<'_>]) -> Result<Vec<Verdict>, String> {
        let path = self.folder.join(self.member(number)).join("instances.json");
        write(&path, &serde_json::to_string(instances).map_err(|error| error.to_string())?)?;
        let binary = generated_target().join("debug").join(self.member(number));
        let mut verdicts = Vec::new();
        while verdicts.len() < instances.len() {
            let output = Command::new(&binary).arg(&path).arg(verdicts.len().to_string()).output();
            let output = output.map_err(|error| format!("{}: {error}", binary.display()))?;
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                verdicts.push(serde_json::from_str(line).map_err(|error| format!("{line}: {error}"))?);
            }
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                verdicts.push(Verdict::Crashed(format!("the program ended: {said}")));
            }
        }
        Ok(verdicts)
    }

    fn member(&self, number: usize) -> String {
        format!("{}-{number}", self.name)
    }

    fn manifests(&self) -> Result<(), String> {
        let members: Vec<String> = (0..self.crates).map(|number| self.member(number)).collect();
        let workspace = format!(
            "[workspace]\nresolver = \"3\"\nmembers = {}\n\n[profile.dev]\ndebug = false\nincremental = false\n",
            json!(members)
        );
        write(&self.folder.join("Cargo.toml"), &workspace)?;
        let runtime = root().join("runtime/amgi").display().to_string();
        for member in members {
            let manifest = format!(
                "[package]\nname = {member:?}\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n\
                 amgi = {{ path = {runtime:?}, features = [\"validate\"] }}\n\
                 serde = {{ version = \"1\", features = [\"derive\"] }}\nserde_json = \"1\"\n"
            );
            write(&self.folder.join(member).join("Cargo.toml"), &manifest)?;
        }
        Ok(())
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
            let name = span["file_name"].as_str().and_then(|name| name.rsplit_once("/src/s"));
            let index = name.and_then(|(_, name)| name.strip_suffix(".rs")?.parse().ok());
            if let Some(index) = index.filter(|index| seen.insert(*index)) {
                found.push((index, message["rendered"].as_str().unwrap_or_default().to_owned()));
            }
        }
    }
    found
}

/// The main file of a crate.
fn source(modules: &[Module], number: usize) -> String {
    let mut declared = String::new();
    let mut arms = String::new();
    let own = modules.iter().enumerate().skip(number * MODULES).take(MODULES);
    for (index, module) in own.filter(|(_, module)| module.is_compiled()) {
        // Writing to a string does not fail.
        let _ = writeln!(declared, "#[allow(dead_code, unreachable_pub)]\nmod s{index:04};");
        for (number, message) in module.messages.iter().enumerate() {
            let _ = writeln!(arms, "        ({index}, {number}) => take::<s{index:04}::{message}>(text),");
        }
    }
    format!(
        "//! Reads instances as payloads.\n\n{declared}\n\
         use amgi::TypedMessage;\n\n\
         #[derive(serde::Serialize)]\nenum Verdict {{\n    Taken(String),\n    Refused(String),\n    Crashed(String),\n}}\n\n\
         fn take<M: TypedMessage>(text: &str) -> Verdict {{\n\
         \x20   let message = amgi::Message::new(\"subjects\").payload(text.to_owned());\n\
         \x20   let value = match M::decode(&message) {{\n\
         \x20       Ok(value) => value,\n\
         \x20       Err(rejection) => return Verdict::Refused(rejection.to_string()),\n    }};\n\
         \x20   let mut out = amgi::Message::new(\"subjects\");\n\
         \x20   match value.encode(&mut out) {{\n\
         \x20       Ok(()) => Verdict::Taken(String::from_utf8_lossy(&out.payload.unwrap_or_default()).into_owned()),\n\
         \x20       Err(rejection) => Verdict::Taken(format!(\"not written: {{rejection}}\")),\n    }}\n}}\n\n\
         fn subject(of: (usize, usize), text: &str) -> Verdict {{\n    match of {{\n{arms}\
         \x20       _ => Verdict::Refused(format!(\"no type for {{text}}\")),\n    }}\n}}\n\n\
         fn main() {{\n\
         \x20   std::panic::set_hook(Box::new(|_| {{}}));\n\
         \x20   let mut args = std::env::args().skip(1);\n\
         \x20   let text = std::fs::read_to_string(args.next().expect(\"a path\")).expect(\"instances\");\n\
         \x20   let first: usize = args.next().expect(\"a number\").parse().expect(\"a number\");\n\
         \x20   let instances: Vec<(usize, usize, String)> = serde_json::from_str(&text).expect(\"instances\");\n\
         \x20   for (module, message, text) in &instances[first..] {{\n\
         \x20       let start = std::time::Instant::now();\n\
         \x20       let verdict = std::panic::catch_unwind(|| subject((*module, *message), text));\n\
         \x20       let mut verdict = verdict.unwrap_or_else(|_| Verdict::Crashed(\"a panic\".to_owned()));\n\
         \x20       if start.elapsed().as_secs() >= 20 {{\n\
         \x20           verdict = Verdict::Crashed(format!(\"{{:?}}\", start.elapsed()));\n        }}\n\
         \x20       println!(\"{{}}\", serde_json::to_string(&verdict).expect(\"text\"));\n    }}\n}}\n"
    )
}

/// Writes a file, and the folders it lies in.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), String> {
    let result = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    result.map_err(|error| format!("{}: {error}", path.display()))
}
