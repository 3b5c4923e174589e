//! Odd wheels before five other readers: pip, uv, Python's zipfile, Info-ZIP's unzip and bsdtar.
//!
//! No two of them see different files in a wheel that Accretion takes, and what all of them see
//! alike it takes, but for the rows that say [`Expect::Strict`].

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

mod archives;
mod metadata;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use accretion_core::limits::WheelLimits;
use accretion_python::wheel::{WheelFilename, inspect};
use accretion_testing::forge::Wheel;
use integration_tests::{ask_script, python, tools_python, uv};
use serde::Deserialize;
use serde_json::json;

use crate::table::{Expect, Row};

/// SHA-256 and whether it may be executed, by path.
type Tree = BTreeMap<String, (String, bool)>;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Reading {
    Files(Tree),
    Refusal(String),
}

#[derive(Debug, Deserialize)]
struct Answer {
    missing: Vec<String>,
    wheels: Vec<BTreeMap<String, Reading>>,
}

impl Reading {
    fn files(&self) -> Option<&Tree> {
        match self {
            Self::Files(files) => Some(files),
            Self::Refusal(_) => None,
        }
    }
}

/// The readers that install, and so move files of the `.data` folder.
const INSTALLERS: [&str; 2] = ["pip", "uv"];

/// In place of the SHA-256 of a script that an installer has left at `#!python`.
const NOT_REWRITTEN: &str = "#!python";

/// A tree without what differs from installer to installer by right.
fn essence(tree: &Tree) -> Tree {
    let of_installers = [
        "RECORD",
        "RECORD.jws",
        "INSTALLER",
        "REQUESTED",
        "direct_url.json",
        "uv_cache.json",
    ];
    let is_of_installers = |path: &str| {
        path.split_once(".dist-info/")
            .is_some_and(|(_, file)| of_installers.contains(&file))
    };
    let files = tree.iter().filter(|(path, _)| !is_of_installers(path));
    let files = files.map(|(path, file)| {
        // A script starts with the interpreter's own path, and only uv sets its mode.
        let is_script = path.starts_with("bin/");
        let file = if is_script && file.0 == NOT_REWRITTEN {
            (file.0.clone(), false)
        } else if is_script {
            (String::new(), false)
        } else {
            file.clone()
        };
        (path.clone(), file)
    });
    files.collect()
}

/// Returns the tree that Accretion makes of a wheel. The error is its message.
fn ours(wheel: &Wheel) -> Result<Tree, String> {
    let filename: WheelFilename = wheel.filename.parse().unwrap();
    let (bytes, limits) = (&wheel.bytes, WheelLimits::default());
    let layout = inspect(
        bytes,
        bytes.len() as u64,
        &filename,
        &limits,
        1,
        &mut Vec::new(),
    )
    .map_err(|error| error.to_string())?;
    let files = layout.files.into_iter();
    Ok(files
        .map(|file| (file.path, (file.sha256.to_string(), file.executable)))
        .collect())
}

/// The trees of the readers, installers or not, that did not refuse the wheel.
fn trees(readings: &BTreeMap<String, Reading>, installed: bool) -> Vec<(&str, Tree)> {
    let readings = readings.iter();
    let readings = readings.filter(|(name, _)| INSTALLERS.contains(&name.as_str()) == installed);
    let trees = readings.filter_map(|(name, reading)| {
        let mut tree = essence(reading.files()?);
        if !installed {
            // Python's zipfile sets no modes.
            for file in tree.values_mut() {
                file.1 = false;
            }
        }
        Some((name.as_str(), tree))
    });
    trees.collect()
}

/// The refusals of the wheel, by reader.
fn refusals(readings: &BTreeMap<String, Reading>) -> Vec<String> {
    let refusals = readings.iter().filter_map(|(name, reading)| match reading {
        Reading::Refusal(why) => Some(format!("{name} refuses: {why}")),
        Reading::Files(_) => None,
    });
    refusals.collect()
}

/// The differences between the files that the other readers see.
fn differences(readings: &BTreeMap<String, Reading>) -> Vec<String> {
    let mut differences = Vec::new();
    for installed in [false, true] {
        for pair in trees(readings, installed).windows(2) {
            if let [(one, first), (other, second)] = pair
                && first != second
            {
                differences.push(format!("{one} and {other} differ: {first:?} {second:?}"));
            }
        }
    }
    differences
}

/// Returns the problem with a row, as a sentence.
fn check(row: &Row, readings: &BTreeMap<String, Reading>, all_asked: bool) -> Option<String> {
    let ours = ours(&row.wheel);
    let (refusals, differences) = (refusals(readings), differences(readings));
    let is_unanimous = refusals.is_empty() && differences.is_empty();
    match (&row.expect, &ours) {
        (Expect::Taken, Err(problem)) => Some(format!("refused: {problem}")),
        (Expect::Taken, Ok(tree)) => {
            if !differences.is_empty() {
                return Some(format!("taken, but {differences:?}"));
            }
            let installed = trees(readings, true);
            if installed.is_empty() {
                return Some(format!("taken, but no installer takes it: {refusals:?}"));
            }
            let ours = essence(tree);
            let other = installed.iter().find(|(_, theirs)| *theirs != ours);
            other.map(|(name, theirs)| format!("{name} installs {theirs:?}, not {ours:?}"))
        }
        (Expect::Refused(part) | Expect::Strict(part), Err(problem)) => {
            if !problem.contains(part) {
                return Some(format!("refused with another message: {problem}"));
            }
            let is_strict = matches!(row.expect, Expect::Strict(_));
            if is_strict && !is_unanimous {
                return Some(format!(
                    "stricter than readers, but {refusals:?} {differences:?}"
                ));
            }
            (!is_strict && is_unanimous && all_asked)
                .then(|| "refused, but all readers see the same".to_owned())
        }
        (Expect::Refused(_) | Expect::Strict(_), Ok(_)) => {
            Some(format!("taken; {refusals:?} {differences:?}"))
        }
    }
}

/// Asks all readers about the wheels of all rows.
#[expect(
    clippy::print_stderr,
    reason = "what was not tested has to be seen, and is no failure"
)]
fn check_all(rows: &[Row]) {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = rows
        .iter()
        .enumerate()
        .map(|(at, row)| {
            let path = folder.path().join(at.to_string()).join(&row.wheel.filename);
            std::fs::create_dir(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &row.wheel.bytes).unwrap();
            path
        })
        .collect();
    let question = json!({ "uv": uv(), "python": python().path, "wheels": paths });
    let answer: Answer =
        serde_json::from_value(ask_script("oracle/readers.py", &[], &question)).unwrap();
    for reader in &answer.missing {
        eprintln!("note: {reader} is not here: what it makes of odd wheels was not tested");
    }
    let all_asked = answer.missing.is_empty();
    let problems: Vec<_> = rows
        .iter()
        .zip(&answer.wheels)
        .filter_map(|(row, readings)| {
            check(row, readings, all_asked).map(|it| format!("{}: {it}", row.name))
        })
        .collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn odd_archives() {
    check_all(&archives::all());
}

#[test]
fn odd_metadata() {
    check_all(&metadata::all());
}

/// A wheel that uv builds of a project in `folder`.
fn built(folder: &Path) -> Wheel {
    let mut command = Command::new(uv());
    command.args(["build", "--quiet", "--no-config", "--wheel", "--python"]);
    only_wheel(
        command
            .arg(&python().path)
            .arg("--out-dir")
            .arg(folder.join("dist"))
            .arg(folder),
        folder,
    )
}

/// The wheel that a command leaves in the folder `dist`.
fn only_wheel(command: &mut Command, folder: &Path) -> Wheel {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let files = std::fs::read_dir(folder.join("dist")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let path = paths
        .into_iter()
        .find(|path| path.extension().is_some_and(|it| it == "whl"));
    let path = path.unwrap();
    let filename = path.file_name().unwrap().to_str().unwrap();
    Wheel::new(filename, std::fs::read(&path).unwrap())
}

/// Wheels that tools have really made: entries twice, `./` inside a path, padding.
#[test]
fn wheels_of_real_tools() {
    let folder = tempfile::tempdir().unwrap();
    let mut pip = Command::new(tools_python());
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
    ]);
    pip.args([
        "--only-binary",
        ":all:",
        "apistar-peewee-orm==0.3.5",
        "--dest",
    ]);
    let twice = only_wheel(pip.arg(folder.path().join("dist")), folder.path());

    let folder = tempfile::tempdir().unwrap();
    let project = "[build-system]\nrequires = [\"flit_core==3.11.0\"]\n\
                   build-backend = \"flit_core.buildapi\"\n\
                   [project]\nname = \"demo\"\nversion = \"1.0\"\ndescription = \"A demo.\"\n\
                   license = {file = \"./LICENSE\"}\n";
    for (file, text) in [
        ("pyproject.toml", project),
        ("LICENSE", "MIT\n"),
        ("demo.py", "x = 1\n"),
    ] {
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    let dotted = built(folder.path());
    let padded = Wheel::new(&dotted.filename, [dotted.bytes.as_slice(), b"\0"].concat());
    check_all(&[
        Row::new("entries twice, by an old Poetry", twice, Expect::Taken),
        Row::new("`./` inside a path, by Flit", dotted, Expect::Taken),
        Row::new("the same with a NUL behind it", padded, Expect::Taken),
    ]);
}
