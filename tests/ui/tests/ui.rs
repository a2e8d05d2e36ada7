//! Compile errors name what is missing.

#[test]
fn errors_name_what_is_missing() {
    let cases = trybuild::TestCases::new();
    cases.pass("cases/complete.rs");
    cases.compile_fail("cases/missing_method.rs");
    cases.compile_fail("cases/missing_trait.rs");
    cases.compile_fail("cases/no_layer.rs");
    cases.compile_fail("cases/not_send.rs");
    cases.compile_fail("cases/wrong_error.rs");
    cases.compile_fail("cases/wrong_return.rs");
}
