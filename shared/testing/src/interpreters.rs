//! The Pythons of this machine, and what is not tested for want of one.

use std::env;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The discovery, which the tests in Python share.
const DISCOVERY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/popular/interpreters.py"
);

/// A Python interpreter, and the runtime that it is.
#[derive(Debug)]
pub struct Python {
    /// The interpreter itself, not a version manager's shim.
    pub path: PathBuf,
    /// The runtime's identifier, such as `python3.13`.
    pub runtime: String,
}

/// One interpreter of each version that layers can be built for, as far as the machine has them.
/// The first one is the one to prefer.
///
/// # Panics
///
/// Without a `python3` on `PATH`, of any version.
pub fn pythons() -> &'static [Python] {
    static PYTHONS: OnceLock<Vec<Python>> = OnceLock::new();
    PYTHONS.get_or_init(|| {
        let mut command = Command::new("python3");
        let output = command.args(["-B", DISCOVERY, "--all"]).output();
        let output = output.expect("tests need a python3 on PATH");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().filter_map(Python::from_line).collect()
    })
}

/// The interpreter of a runtime, if the machine has one.
pub fn python_of(runtime: &str) -> Option<&'static Path> {
    let python = pythons().iter().find(|python| python.runtime == runtime)?;
    Some(&python.path)
}

impl Python {
    /// `RUNTIME ARCHITECTURE PATH`.
    fn from_line(line: &str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        let (runtime, _, path) = (words.next()?, words.next()?, words.next()?);
        Some(Self {
            path: path.into(),
            runtime: runtime.to_owned(),
        })
    }
}

/// Notes a part of a test that is left out, because the machine lacks the Python that it takes.
///
/// The note goes to the terminal at once, and to the file that `ACCRETION_UNTESTED` names, with
/// which `make test` ends.
///
/// # Panics
///
/// In continuous integration (`CI`), which has to test everything.
pub fn untested(what: &str) {
    let file = env::var_os("ACCRETION_UNTESTED").map(PathBuf::from);
    let insists = env::var_os("CI").is_some_and(|value| !value.is_empty());
    // The test harness captures what `eprintln!` writes, and shows it only of tests that fail.
    if let Err(missed) = note(what, file.as_deref(), insists, &mut io::stderr()) {
        panic!("{missed}");
    }
}

fn note(
    what: &str,
    file: Option<&Path>,
    insists: bool,
    terminal: &mut impl io::Write,
) -> Result<(), String> {
    if insists {
        return Err(format!(
            "{what}, for want of a Python; hint: make interpreters"
        ));
    }
    let _ = writeln!(terminal, "note: {what}, for want of a Python");
    let Some(file) = file else {
        return Ok(());
    };
    // Several tests write to it at once.
    File::options()
        .append(true)
        .create(true)
        .open(file)
        .and_then(|mut file| file.write_all(format!("{what}\n").as_bytes()))
        .map_err(|error| format!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_note_is_a_line_and_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("untested");
        let notes: Vec<_> = (0..50).map(|at| format!("part {at} is left out")).collect();
        std::thread::scope(|scope| {
            for what in &notes {
                scope.spawn(|| note(what, Some(&file), false, &mut io::sink()).unwrap());
            }
        });
        let text = fs::read_to_string(&file).unwrap();
        let mut lines: Vec<_> = text.lines().collect();
        lines.sort_unstable();
        let mut expected: Vec<_> = notes.iter().map(String::as_str).collect();
        expected.sort_unstable();
        assert_eq!(lines, expected);
    }

    #[test]
    fn continuous_integration_insists() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("untested");
        let mut said = Vec::new();
        let missed = note("nothing is imported", Some(&file), true, &mut said).unwrap_err();
        assert!(missed.starts_with("nothing is imported, "), "{missed}");
        assert!(said.is_empty());
        assert!(!file.exists());
    }

    #[test]
    fn a_note_that_cannot_be_kept_fails_the_test() {
        let mut said = Vec::new();
        note("nothing is imported", None, false, &mut said).unwrap();
        assert_eq!(said, b"note: nothing is imported, for want of a Python\n");
        let nowhere = Path::new("/nowhere/untested");
        let missed = note("nothing is imported", Some(nowhere), false, &mut said).unwrap_err();
        assert!(missed.starts_with("/nowhere/untested: "), "{missed}");
    }

    #[test]
    fn every_interpreter_runs_and_is_what_it_is_said_to_be() {
        for python in pythons() {
            let code = "import sys; print(*sys.version_info[:2], sep='.')";
            let mut command = Command::new(&python.path);
            let output = command.args(["-I", "-c", code]).output().unwrap();
            let version = String::from_utf8(output.stdout).unwrap();
            assert_eq!(format!("python{}", version.trim()), python.runtime);
            assert_eq!(python_of(&python.runtime), Some(python.path.as_path()));
        }
        assert_eq!(python_of("python3.9"), None);
    }

    #[test]
    fn paths_may_have_spaces() {
        let python = Python::from_line("python3.13 arm64 /a b/python3.13").unwrap();
        assert_eq!(python.path, Path::new("/a b/python3.13"));
        assert!(Python::from_line("python3.13 arm64").is_none());
    }
}
