//! The tests of the scripts that need nothing but Python: what they count, what they list.

use std::path::Path;
use std::process::Command;

use integration_tests::tools_python;

fn unit_tests(folder: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let output = Command::new(tools_python())
        // Nothing is written beside the sources.
        .args(["-B", "-m", "unittest", "discover", "--start-directory"])
        .args([&path, Path::new("--top-level-directory"), &path])
        .output()
        .expect("`make tools` installs a Python");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // From Python 3.12 on it fails by itself where there are none.
    assert!(!said.contains("Ran 0 tests"), "{folder} has no tests");
}

#[test]
fn what_a_release_is_made_of() {
    unit_tests("sbom");
}

#[test]
fn what_requests_take_and_cost() {
    unit_tests("scaling");
}

#[test]
fn which_interpreters_a_machine_has() {
    unit_tests("popular");
}
