//! The engine on real packages: layers of popular distributions equal what uv installs, and work;
//! a layer of odd ones equals it.
//!
//! `tests/popular/run.py` does it; see there for what it needs.

use integration_tests::run_script;

/// Runs the script with these arguments besides.
fn compare(arguments: &[&str]) {
    let command = env!("CARGO_BIN_EXE_accretion-under-test");
    run_script("popular/run.py", command, arguments);
}

/// Some of each kind: pure and compiled, of one module and of many, data, scripts, namespaces.
#[test]
fn layers_of_some_popular_distributions_equal_what_uv_installs() {
    compare(&[
        "cryptography",
        "debugpy",
        "docutils",
        "fastapi",
        "numpy",
        "opentelemetry-sdk",
        "pillow",
        "psycopg2-binary",
        "setuptools",
        "zope.interface",
    ]);
}

#[test]
#[ignore = "long: `make test-all` runs it"]
fn layers_of_popular_distributions_equal_what_uv_installs() {
    compare(&[]);
}

/// All of them in one layer, which takes seconds.
#[test]
fn a_layer_of_odd_distributions_equals_what_uv_installs() {
    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/popular/odd.txt");
    compare(&["--odd", list, "--together", "40"]);
}
