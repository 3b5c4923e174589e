//! Lock files of every tool: layers have what the tool itself would install.
//!
//! `tests/locks/run.py` does it; see there for what it needs.

use integration_tests::run_script;

#[test]
fn layers_of_lock_files_have_what_the_tools_install() {
    run_script(
        "locks/run.py",
        env!("CARGO_BIN_EXE_accretion-under-test"),
        &[],
    );
}

#[test]
fn locks_are_outdated_where_their_tools_say_so() {
    run_script(
        "locks/fresh.py",
        env!("CARGO_BIN_EXE_accretion-under-test"),
        &[],
    );
}
