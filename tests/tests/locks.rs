//! Lock files of every tool: layers have what the tool itself would install.
//!
//! `tests/locks/run.py` does it; see there for what it needs.

use std::sync::{Mutex, PoisonError};

use integration_tests::run_script;

/// All of them make the environments of the targets below `.tools`, where one would take away the other's.
static ENVIRONMENTS: Mutex<()> = Mutex::new(());

fn compare(script: &str, words: &[&str]) {
    let _alone = ENVIRONMENTS.lock().unwrap_or_else(PoisonError::into_inner);
    run_script(script, env!("CARGO_BIN_EXE_accretion-under-test"), words);
}

/// A project of each tool.
const SOME: [&str; 5] = [
    "uv/web",
    "uv-script/",
    "poetry/cli",
    "pdm/cli",
    "pipenv/cli",
];

#[test]
fn layers_of_some_lock_files_have_what_the_tools_install() {
    compare("locks/run.py", &SOME);
}

#[test]
fn some_locks_are_outdated_where_their_tools_say_so() {
    compare("locks/fresh.py", &SOME);
}

#[test]
#[ignore = "long: `make test-all` runs it"]
fn layers_of_lock_files_have_what_the_tools_install() {
    compare("locks/run.py", &[]);
}

#[test]
#[ignore = "long: `make test-all` runs it"]
fn locks_are_outdated_where_their_tools_say_so() {
    compare("locks/fresh.py", &[]);
}
