//! The documentation: what it shows can be used.
//!
//! The commands of `accretion` in it are parsed by the command's own tests.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use integration_tests::ask_script;
use serde_json::{Value, json};

/// The pages that people write.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let names = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"];
    let mut pages: Vec<_> = names.map(|name| root.join(name)).to_vec();
    for folder in ["docs", "docs/decisions", "examples/project-wheel"] {
        let entries = std::fs::read_dir(root.join(folder)).expect("the folder is there");
        let paths = entries.map(|entry| entry.expect("the folder can be read").path());
        pages.extend(paths.filter(|path| path.extension() == Some(OsStr::new("md"))));
    }
    pages
}

#[test]
fn commands_templates_programs_and_links_are_valid() {
    let pages = pages();
    assert!(pages.len() > 40, "{pages:?}");
    let problems = ask_script("snippets/check.py", &[], &json!(pages));
    assert_eq!(problems, Value::Array(Vec::new()), "{problems:#}");
}
