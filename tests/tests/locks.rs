//! Lock files of every tool: layers have what the tool itself would install.
//!
//! `tests/locks/run.py` does it; see there for what it needs.

use std::process::{Command, Stdio};

use integration_tests::tools_python;

#[test]
fn layers_of_lock_files_have_what_the_tools_install() {
    let run = concat!(env!("CARGO_MANIFEST_DIR"), "/locks/run.py");
    let output = Command::new(tools_python())
        // Nothing is written beside the sources.
        .args([
            "-B",
            run,
            "--accretion",
            env!("CARGO_BIN_EXE_accretion-under-test"),
        ])
        .stdin(Stdio::null())
        .output()
        .expect("the tools' Python runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
