//! Programs that must not compile, and what the compiler says of them.
#![cfg(not(loom))]

#[test]
fn programs_that_break_the_rules_do_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
