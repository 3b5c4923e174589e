//! The `accretion` command on the same inputs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use pipeline_tests::workspace::tool;

/// Runs the command in a folder of its own that holds this file.
fn run(file: &str, content: &[u8], arguments: &[&str]) -> (tempfile::TempDir, Output) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_accretion-with-aws"))
        .args(arguments)
        .arg(file)
        .current_dir(folder.path())
        .env("ACCRETION_UV", tool("uv"))
        .env(
            "ACCRETION_CACHE_DIR",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"),
        )
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    (folder, output)
}

/// The zips that `accretion build` makes of an input, by the names of their layers.
pub(crate) fn build(file: &str, content: &[u8], name: Option<&str>) -> BTreeMap<String, Vec<u8>> {
    let name = name.map(|name| ["--name", name]);
    let mut arguments = vec!["build"];
    arguments.extend(name.iter().flatten());
    let (folder, output) = run(file, content, &arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let entries = fs::read_dir(folder.path().join("layers")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let zips = paths.filter(|path| path.extension().is_some_and(|it| it == "zip"));
    zips.map(|path| {
        let layer = path.file_stem().unwrap().to_string_lossy().into_owned();
        (layer, fs::read(path).unwrap())
    })
    .collect()
}

/// The message of `accretion check` about an input that can't be used.
pub(crate) fn complaint(file: &str, content: &[u8]) -> String {
    let (_folder, output) = run(file, content, &["check"]);
    assert!(!output.status.success(), "{file} is not faulty");
    String::from_utf8(output.stderr).unwrap()
}
