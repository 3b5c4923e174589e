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
    let mut pages = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    for folder in ["docs", "examples/project-wheel"] {
        let entries = std::fs::read_dir(root.join(folder)).expect("the folder is there");
        let paths = entries.map(|entry| entry.expect("the folder can be read").path());
        pages.extend(paths.filter(|path| path.extension() == Some(OsStr::new("md"))));
    }
    pages
}

#[test]
fn commands_templates_and_programs_are_valid() {
    let pages = pages();
    assert!(pages.len() > 10, "{pages:?}");
    let problems = ask_script("snippets/check.py", &[], &json!(pages));
    assert_eq!(problems, Value::Array(Vec::new()), "{problems:#}");
}

#[test]
fn links_lead_to_files() {
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("the page can be read");
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = page.with_file_name(target);
            assert!(path.exists(), "{}: {target} is not there", page.display());
        }
    }
}
