//! The generated module of every document in `specs/`, as it was last looked at.
//!
//! `UPDATE_GOLDEN=1 cargo test -p amgi-golden-tests` writes what is generated now; read the difference before you commit.

use amgi_golden_tests::{module, root, specs};
use similar::TextDiff;

#[test]
fn modules_are_as_expected() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut differences = Vec::new();
    for spec in specs() {
        let (name, text) = module(&spec);
        let path = root().join("tests/golden/expected").join(format!("{name}.rs"));
        if update {
            std::fs::write(&path, &text).expect("the expectation can be written");
            continue;
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if expected != text {
            let diff = TextDiff::from_lines(&expected, &text);
            differences
                .push(diff.unified_diff().header(&path.display().to_string(), "generated").to_string());
        }
    }
    assert!(
        differences.is_empty(),
        "generated code changed; look at it, then run with UPDATE_GOLDEN=1\n{}",
        differences.join("\n")
    );
}

#[test]
fn generation_is_the_same_on_every_run() {
    for spec in specs() {
        assert_eq!(module(&spec), module(&spec), "{}", spec.display());
    }
}
