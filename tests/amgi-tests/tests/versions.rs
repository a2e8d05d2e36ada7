//! What `amgi-gen diff` calls compatible is: every instance of the one version fits the other.

use amgi_tests::versions;

#[test]
fn compatible_schemas_take_all_that_was_written() {
    let counts = versions::run(200, 1).unwrap_or_else(|wrong| panic!("{wrong}"));
    // It must say something, and mostly more than that it does not know.
    assert!(counts.instances > 2000 && counts.breaking > 30, "{counts:?}");
    assert!(counts.undecided * 10 < counts.pairs, "{counts:?}");
    assert!(counts.shown * 2 > counts.breaking, "{counts:?}");
}
