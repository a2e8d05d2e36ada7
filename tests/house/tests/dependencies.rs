//! What the project drags into its users' builds.

use std::{collections::BTreeSet, process::Command};

use amgi_golden_tests::{root, shown};
use serde_json::Value;

/// Crates that are published; the others are tests.
const PUBLISHED: &[&str] = &[
    "amgi",
    "amgi-amqp",
    "amgi-asyncapi",
    "amgi-conformance",
    "amgi-gen",
    "amgi-gen-macro",
    "amgi-http",
    "amgi-kafka",
    "amgi-lambda",
    "amgi-mqtt",
    "amgi-nats",
    "amgi-python",
    "amgi-redis",
    "amgi-sqs",
    "amgi-telemetry",
    "amgi-templates",
];

fn cargo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(args).current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "cargo {}: {}", args.join(" "), shown(&output));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

#[test]
fn serde_json_keeps_its_numbers_and_its_order() {
    // These features spread into every crate of a user's build and break untagged and flattened numbers there.
    for krate in PUBLISHED {
        let tree =
            cargo(&["tree", "--locked", "-p", krate, "-e", "normal", "--prefix", "none", "-f", "{p} [{f}]"]);
        for line in tree.lines().filter(|line| line.starts_with("serde_json ")) {
            for feature in ["arbitrary_precision", "preserve_order"] {
                assert!(!line.contains(feature), "{krate} enables serde_json's {feature}: {line}");
            }
        }
    }
}

#[test]
fn no_dependency_asks_for_a_newer_rust() {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--locked", "--format-version", "1"])).expect("JSON");
    let version = |text: &str| -> (u32, u32) {
        let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    };
    let packages = metadata["packages"].as_array().expect("packages");
    let ours = packages
        .iter()
        .find(|p| p["name"] == "amgi")
        .and_then(|p| p["rust_version"].as_str())
        .expect("an MSRV");
    // Dependencies of the published crates only: a test tool may be newer.
    let mut wanted = BTreeSet::new();
    for krate in PUBLISHED {
        let tree =
            cargo(&["tree", "--locked", "-p", krate, "-e", "normal,build", "--prefix", "none", "-f", "{p}"]);
        wanted.extend(tree.lines().filter_map(|line| line.split(' ').next().map(str::to_owned)));
    }
    let newer: Vec<String> = packages
        .iter()
        .filter(|p| p["name"].as_str().is_some_and(|name| wanted.contains(name)))
        .filter_map(|p| p["rust_version"].as_str().map(|rust| (p["name"].to_string(), rust)))
        .filter(|(_, rust)| version(rust) > version(ours))
        .map(|(name, rust)| format!("{name} needs {rust}"))
        .collect();
    assert!(newer.is_empty(), "our MSRV is {ours}, but {}", newer.join(", "));
}

#[test]
fn what_is_published_can_be_packaged() {
    let mut args = vec!["package", "--locked", "--allow-dirty", "--no-verify", "--list"];
    for krate in PUBLISHED {
        args.extend(["-p", krate]);
    }
    let listed = cargo(&args);
    for file in ["README.md", "src/lib.rs"] {
        assert_eq!(
            listed.lines().filter(|line| *line == file).count(),
            PUBLISHED.len(),
            "{file} is missing:\n{listed}"
        );
    }
    // A file outside a package would be missing for whoever downloads it.
    for krate in [
        "codegen/amgi-asyncapi",
        "codegen/amgi-gen",
        "codegen/amgi-gen-macro",
        "runtime/amgi",
        "runtime/amgi-kafka",
        "runtime/amgi-lambda",
        "runtime/amgi-amqp",
        "runtime/amgi-http",
        "runtime/amgi-mqtt",
        "runtime/amgi-nats",
        "runtime/amgi-python",
        "runtime/amgi-redis",
        "runtime/amgi-sqs",
        "runtime/amgi-telemetry",
        "templates",
    ] {
        let lib = std::fs::read_to_string(root().join(krate).join("src/lib.rs")).expect("a crate root");
        assert!(!lib.contains("include_str!(\"../../"), "{krate} includes a file from outside its package");
    }
}
