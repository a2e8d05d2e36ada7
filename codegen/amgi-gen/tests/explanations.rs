//! The explanation of every code is true: its first example gives the code, its second does not.
//!
//! Examples in YAML are documents, without `asyncapi` and `info` where those do not matter; examples in TOML are settings
//! beside a document; `text` is what no single document can show.

use std::{fs, path::Path};

use amgi_asyncapi::diag::Code;
use amgi_gen::{
    Generation, codes, generate,
    settings::{Config, Settings},
};

const HEAD: &str = "asyncapi: 3.1.0\ninfo: {title: Example, version: 1.0.0}\n";

/// What settings are tried with.
const DOCUMENT: &str = "\
channels:
  users: {address: users, messages: {User: {payload: {$ref: '#/components/schemas/User'}}}}
operations:
  onUser: {action: receive, channel: {$ref: '#/channels/users'}}
components:
  schemas:
    User: {type: object, required: [balance], properties: {balance: {type: number}}}
";

/// Codes whose examples are about files, sizes, or what the generator of types cannot do.
const TOLD: &[&str] = &["AG0101", "AG0102", "AG0103", "AG0104", "AG0305", "AG0311", "AG0312", "AG0613"];

fn all() -> impl Iterator<Item = &'static Code> {
    amgi_asyncapi::codes::ALL.iter().chain(codes::ALL)
}

/// Language and content of the fenced blocks of a text.
fn examples(text: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let body = lines.by_ref().take_while(|line| *line != "```").collect::<Vec<_>>().join("\n");
            found.push((language, body + "\n"));
        }
    }
    found
}

fn run(language: &str, example: &str, folder: &Path) -> Generation {
    let document = match language {
        "yaml" => {
            let part = ["channels:", "components:", "operations:", "servers:", "x-"];
            let head = if part.iter().any(|part| example.starts_with(part)) { HEAD } else { "" };
            format!("{head}{example}")
        }
        "toml" => {
            fs::write(folder.join("amgi.toml"), example).unwrap();
            format!("{HEAD}{DOCUMENT}")
        }
        other => panic!("examples are not written in `{other}`"),
    };
    let path = folder.join("user.yaml");
    fs::write(&path, document).unwrap();
    generate(&path, &Settings::of(&path, &Config::Beside))
}

#[test]
fn ids_and_names_are_unique_and_in_order() {
    for list in [amgi_asyncapi::codes::ALL, codes::ALL] {
        assert!(list.is_sorted_by(|a, b| a.id < b.id), "ids are not in order");
    }
    let mut ids: Vec<_> = all().map(|code| code.id).collect();
    let mut names: Vec<_> = all().map(|code| code.name).collect();
    for list in [&mut ids, &mut names] {
        let count = list.len();
        list.sort_unstable();
        list.dedup();
        assert_eq!(list.len(), count, "an id or name is there twice");
    }
    for code in all() {
        let number = code.id.strip_prefix("AG").unwrap_or_default();
        assert!(number.len() == 4 && number.bytes().all(|b| b.is_ascii_digit()), "{}", code.id);
        let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(code.name.chars().all(kebab) && !code.name.is_empty(), "{}", code.name);
        assert!(code.summary().ends_with('.') && code.summary().len() > 10, "{}", code.summary());
    }
}

#[test]
fn every_code_is_used_and_every_explanation_belongs_to_one() {
    for krate in ["amgi-asyncapi", "amgi-gen"] {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(krate).join("src");
        let mut code = String::new();
        read_all(&src, &mut code);
        let list = fs::read_to_string(src.join("codes.rs")).unwrap();
        let constants: Vec<&str> = list
            .lines()
            .filter_map(|line| line.split_once(" = \"AG"))
            .map(|(constant, _)| constant.trim())
            .collect();
        for constant in &constants {
            assert!(code.contains(&format!("codes::{constant}")), "{krate}: nothing gives {constant}");
        }
        let texts = fs::read_dir(src.join("codes")).unwrap().count();
        assert_eq!(texts, constants.len(), "{krate}: a file in src/codes belongs to no code");
    }
}

fn read_all(folder: &Path, out: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, out);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("codes.rs") {
            out.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn examples_are_true() {
    let mut wrong = Vec::new();
    for code in all() {
        let examples = examples(code.text);
        let [(bad_language, bad), (good_language, good)] = examples.as_slice() else {
            wrong.push(format!("{code}: must have two examples, and has {}", examples.len()));
            continue;
        };
        assert_eq!(bad_language, good_language, "{code}");
        assert_eq!(*bad_language == "text", TOLD.contains(&code.id), "{code}");
        if *bad_language == "text" {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let found = run(bad_language, bad, folder.path());
        let report = found.sources.report(&found.diagnostics);
        if !found.diagnostics.iter().any(|problem| problem.code == *code) {
            wrong.push(format!("{code}: the first example does not give it, but\n{report}"));
        }
        let found = run(good_language, good, folder.path());
        let report = found.sources.report(&found.diagnostics);
        if found.diagnostics.has_errors() || found.diagnostics.iter().any(|problem| problem.code == *code) {
            wrong.push(format!("{code}: the second example is not right:\n{report}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn explanations_are_short() {
    for code in all() {
        let lines = code.text.lines().count();
        assert!((10..=40).contains(&lines), "{code} has {lines} lines");
        assert!(code.text.lines().all(|line| line.chars().count() <= 120), "{code} has long lines");
    }
}
