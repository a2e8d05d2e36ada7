//! Types and rules alone decide what the schemas in `schemas/` say: no validator is asked, and every verdict is right.

use std::{fs, path::Path, process::Command};

use amgi_golden_tests::{shown, target};
use serde_json::Value;

#[test]
fn types_decide_what_schemas_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let figures = target().join("exact.json");
    let output = Command::new(env!("CARGO_BIN_EXE_suite"))
        .arg(&folder)
        .arg("--list")
        .arg("--json")
        .arg(&figures)
        .output()
        .expect("the suite runs");
    assert!(output.status.success(), "{}", shown(&output));
    let text = fs::read_to_string(&figures).expect("figures were written");
    let found: Value = serde_json::from_str(&text).expect("figures are JSON");
    assert_eq!(found["agree"], found["instances"], "{}", shown(&output));
    assert_eq!(found["compiled"], found["schemas"], "{}", shown(&output));
    assert_eq!(found["validated"], 0, "{}", shown(&output));
    assert!(found["instances"].as_u64() > Some(50), "{}", shown(&output));
}
