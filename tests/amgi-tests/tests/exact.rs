//! Types and rules alone decide what the schemas in `schemas/` say: no validator is asked, and every verdict is right. Those in
//! `schemas/wide/` need it, and their types hold every value that the schema allows.

use std::{fs, path::Path, process::Command};

use amgi_golden_tests::{shown, target};
use serde_json::Value;

#[test]
fn types_and_validators_decide_what_schemas_say() {
    // One after the other: both are built in the same place.
    for (folder, decided) in [("schemas", true), ("schemas/wide", false)] {
        let figures = target().join("exact.json");
        let output = Command::new(env!("CARGO_BIN_EXE_suite"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
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
        let validated = if decided { &Value::from(0) } else { &found["schemas"] };
        assert_eq!(found["validated"], *validated, "{}", shown(&output));
    }
}
