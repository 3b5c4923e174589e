//! Finding Python interpreters.

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use accretion_core::target::Runtime;

/// The interpreters that may be used.
#[derive(Debug, Clone, Default)]
pub struct Interpreters {
    /// The folders to look in, in order.
    folders: Vec<PathBuf>,
    /// One that comes before all others.
    preferred: Option<PathBuf>,
}

impl Interpreters {
    /// Looks in the folders of a `PATH`; `preferred` comes before all others.
    pub fn new(path: Option<&OsStr>, preferred: Option<PathBuf>) -> Self {
        let folders = path
            .map(|path| env::split_paths(path).collect())
            .unwrap_or_default();
        Self { folders, preferred }
    }

    /// Looks in the folder of this program too, after all others: a virtual environment that the
    /// program is installed in has an interpreter.
    #[must_use]
    pub fn or_beside(mut self, folder: Option<&Path>) -> Self {
        self.folders.extend(folder.map(Path::to_owned));
        self
    }

    /// Any interpreter, for uv to run.
    pub fn any(&self) -> Option<PathBuf> {
        let oldest_first: Vec<_> = Runtime::all().map(Runtime::identifier).collect();
        let newest_first = oldest_first.into_iter().rev();
        let names = ["python3", "python"].into_iter().chain(newest_first);
        self.candidates(names)
            .find(|candidate| is_program(candidate) || version(candidate).is_some())
    }

    /// An interpreter of a runtime's minor version.
    pub fn of(&self, runtime: Runtime) -> Option<PathBuf> {
        let wanted = (3, runtime.python_minor());
        self.candidates([runtime.identifier(), "python3"])
            .find(|candidate| version(candidate) == Some(wanted))
    }

    /// The files of these names, after the preferred interpreter.
    fn candidates<'a>(
        &'a self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> impl Iterator<Item = PathBuf> {
        let of_name = |name: &'a str| self.folders.iter().map(move |folder| folder.join(name));
        let paths = names.into_iter().flat_map(of_name);
        let files = paths.filter(|candidate| candidate.is_file());
        self.preferred.iter().cloned().chain(files)
    }
}

/// Returns whether a file is a native program named after Python 3, which need not be run to be believed.
///
/// Shims of version managers may well lead nowhere: they are scripts, or links to the manager's own
/// program.
fn is_program(candidate: &Path) -> bool {
    let Ok(program) = candidate.canonicalize() else {
        return false;
    };
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let mut magic = [0; 4];
    name.starts_with("python3")
        && File::open(&program)
            .and_then(|mut file| file.read_exact(&mut magic))
            .is_ok()
        && magic == *b"\x7fELF"
}

/// The version of CPython 3 that an interpreter is, if it runs.
fn version(interpreter: &Path) -> Option<(u8, u8)> {
    let output = Command::new(interpreter)
        .args(["-I", "-S", "-c", "import sys; print(*sys.version_info[:2])"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = str::from_utf8(&output.stdout).ok()?;
    let (major, minor) = text.trim().split_once(' ')?;
    Some((major.parse().ok()?, minor.parse().ok()?)).filter(|(major, _)| *major == 3)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn script(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Programs named after Python that cannot be run as one, by how they come about.
    fn broken(case: &str, path: &Path) {
        match case {
            "pyenv's shim" => script(path, "#!/bin/sh\nexit 127\n"),
            "mise's shim" => symlink("/bin/false", path).unwrap(),
            "no interpreter" => script(path, "#!/nowhere/python3\n"),
            "not executable" => fs::write(path, "#!/bin/sh\necho 3 13\n").unwrap(),
            "a folder" => fs::create_dir(path).unwrap(),
            "a link that leads nowhere" => symlink("/nowhere/python3.13", path).unwrap(),
            "Python 2" => script(path, "#!/bin/sh\necho 2 7\n"),
            "no version" => script(path, "#!/bin/sh\necho Python\n"),
            other => panic!("{other}"),
        }
    }

    const BROKEN: [&str; 8] = [
        "pyenv's shim",
        "mise's shim",
        "no interpreter",
        "not executable",
        "a folder",
        "a link that leads nowhere",
        "Python 2",
        "no version",
    ];

    #[test]
    fn programs_that_cannot_be_run_hide_no_interpreter() {
        let runtime: Runtime = "python3.13".parse().unwrap();
        for case in BROKEN {
            let root = tempfile::tempdir().unwrap();
            let [shims, own] = ["shims", "own"].map(|name| root.path().join(name));
            fs::create_dir(&shims).unwrap();
            fs::create_dir(&own).unwrap();
            for name in ["python3", "python", "python3.13"] {
                broken(case, &shims.join(name));
            }
            let path = env::join_paths([&shims, &own]).unwrap();
            let found = Interpreters::new(Some(&path), None);
            assert_eq!(found.any(), None, "{case}");
            assert_eq!(found.of(runtime), None, "{case}");

            script(&own.join("python3.13"), "#!/bin/sh\necho 3 13\n");
            let expected = Some(own.join("python3.13"));
            assert_eq!(found.any(), expected, "{case}");
            assert_eq!(found.of(runtime), expected, "{case}");
        }
    }

    #[test]
    fn an_interpreter_of_another_version_is_none_of_a_runtime() {
        let root = tempfile::tempdir().unwrap();
        script(&root.path().join("python3"), "#!/bin/sh\necho 3 12\n");
        // Its name is not the truth.
        script(&root.path().join("python3.13"), "#!/bin/sh\necho 3 12\n");
        let found = Interpreters::new(Some(root.path().as_os_str()), None);
        assert_eq!(found.of("python3.13".parse().unwrap()), None);
        let expected = Some(root.path().join("python3"));
        assert_eq!(found.of("python3.12".parse().unwrap()), expected);
        assert_eq!(found.any(), expected);
    }

    #[test]
    fn the_interpreter_beside_this_program_comes_last() {
        let root = tempfile::tempdir().unwrap();
        let [path, beside] = ["path", "beside"].map(|name| root.path().join(name));
        fs::create_dir(&path).unwrap();
        fs::create_dir(&beside).unwrap();
        let found = Interpreters::new(Some(path.as_os_str()), None).or_beside(Some(&beside));
        assert_eq!(found.any(), None);
        script(&beside.join("python3"), "#!/bin/sh\necho 3 12\n");
        assert_eq!(found.any(), Some(beside.join("python3")));
        script(&path.join("python3"), "#!/bin/sh\necho 3 11\n");
        assert_eq!(found.any(), Some(path.join("python3")));
    }
}
