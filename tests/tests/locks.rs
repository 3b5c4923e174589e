//! Lock files of every tool: layers have what the tool itself would install.
//!
//! `tests/locks/run.py` does it; see there for what it needs.

use std::sync::{Mutex, PoisonError};

use integration_tests::run_script;

/// Both make the environments of the targets below `.tools`, where one would take away the other's.
static ENVIRONMENTS: Mutex<()> = Mutex::new(());

#[test]
fn layers_of_lock_files_have_what_the_tools_install() {
    let _alone = ENVIRONMENTS.lock().unwrap_or_else(PoisonError::into_inner);
    run_script(
        "locks/run.py",
        env!("CARGO_BIN_EXE_accretion-under-test"),
        &[],
    );
}

#[test]
fn locks_are_outdated_where_their_tools_say_so() {
    let _alone = ENVIRONMENTS.lock().unwrap_or_else(PoisonError::into_inner);
    run_script(
        "locks/fresh.py",
        env!("CARGO_BIN_EXE_accretion-under-test"),
        &[],
    );
}
