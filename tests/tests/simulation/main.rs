//! The use cases of the pipeline on ports in memory, with a clock that only moves when it is told
//! to: first what happens in plain words (`scenarios`), then whatever can happen (`seeds`).

#![expect(
    clippy::unwrap_used,
    reason = "all of this is for tests, which end with a panic where something is wrong"
)]

mod alarms;
mod dead_letters;
mod invariants;
mod mutations;
mod old_versions;
mod random;
mod scenarios;
mod seeds;
mod simulation;
mod world;

use std::path::Path;

/// Every file in this folder has to be a module: a forgotten one would test nothing.
#[test]
fn no_test_file_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulation");
    let text = std::fs::read_to_string(folder.join("main.rs")).unwrap();
    let modules = integration_tests::names(&folder);
    for module in modules.iter().filter_map(|name| name.strip_suffix(".rs")) {
        let declared = text.contains(&format!("\nmod {module};\n"));
        assert!(
            declared || module == "main",
            "{module}.rs is not a module of main.rs"
        );
    }
}
