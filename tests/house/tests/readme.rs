//! The README against what is there.

use std::{fs, process::Command};

use amgi_golden_tests::{root, shown};
use serde_json::Value;

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).expect("the README")
}

/// The text under a heading, up to the next one.
fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let (_, rest) = text.split_once(&format!("\n## {heading}\n")).expect("the heading");
    rest.split("\n## ").next().unwrap_or(rest)
}

/// The packages of the workspace, as cargo knows them.
fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--locked", "--no-deps", "--format-version", "1"]).current_dir(root());
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", shown(&output));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

#[test]
fn every_crate_has_its_place() {
    let text = readme();
    let architecture = section(&text, "Architecture");
    for package in packages() {
        let name = package["name"].as_str().expect("a name");
        assert!(architecture.contains(&format!("`{name}`")), "the table of crates lacks `{name}`");
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let text = readme();
    let reasons = section(&text, "Dependencies, and why");
    for package in packages() {
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let name = dependency["name"].as_str().expect("a name");
            // What has a path is ours.
            let known = dependency["path"].is_string() || reasons.contains(&format!("`{name}`"));
            assert!(known, "`{name}`, which {} depends on, is not in the table", package["name"]);
        }
    }
}

#[test]
fn links_into_the_checkout_lead_somewhere() {
    let text = readme();
    let mut count = 0;
    for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        if path.contains("://") {
            continue;
        }
        let target = if path.is_empty() { root().join("README.md") } else { root().join(path) };
        assert!(target.exists(), "the README links to `{path}`, which is not there");
        if !anchor.is_empty() {
            let page = fs::read_to_string(&target).expect("a page");
            let mut headings = page.lines().filter(|line| line.starts_with('#'));
            let slug = |line: &str| line.trim_start_matches(['#', ' ']).to_lowercase().replace(' ', "-");
            assert!(headings.any(|line| slug(line) == anchor), "`{path}` has no heading for `#{anchor}`");
        }
        count += 1;
    }
    assert!(count > 20, "{count} links");
}
