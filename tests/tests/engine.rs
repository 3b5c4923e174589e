//! The engine on real packages: layers of popular distributions equal what uv installs, and work.
//!
//! `tests/popular/run.py` does it; see there for what it needs.

use std::process::{Command, Stdio};

use integration_tests::tools_python;

#[test]
fn layers_of_popular_distributions_equal_what_uv_installs() {
    let run = concat!(env!("CARGO_MANIFEST_DIR"), "/popular/run.py");
    let output = Command::new(tools_python())
        .args([
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
