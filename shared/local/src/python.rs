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

    /// Any interpreter, for uv to run.
    pub fn any(&self) -> Option<PathBuf> {
        let newest_first: Vec<_> = Runtime::all().collect();
        let versioned = newest_first
            .iter()
            .rev()
            .map(|runtime| runtime.identifier());
        let names = ["python3", "python"].into_iter().chain(versioned);
        self.preferred
            .iter()
            .cloned()
            .chain(names.flat_map(|name| self.named(name)))
            .find(|candidate| is_program(candidate) || version(candidate).is_some())
    }

    /// An interpreter of a runtime's minor version.
    pub fn of(&self, runtime: Runtime) -> Option<PathBuf> {
        let wanted = (3, runtime.python_minor());
        self.preferred
            .iter()
            .cloned()
            .chain(self.named(runtime.identifier()))
            .chain(self.named("python3"))
            .find(|candidate| version(candidate) == Some(wanted))
    }

    fn named(&self, name: &str) -> Vec<PathBuf> {
        let candidates = self.folders.iter().map(|folder| folder.join(name));
        candidates.filter(|candidate| candidate.is_file()).collect()
    }
}

/// Whether a file is a native program named after Python 3, which need not be run to be believed.
///
/// Shims of version managers are scripts, and may well lead nowhere.
fn is_program(candidate: &Path) -> bool {
    let name = candidate.file_name().unwrap_or_default().to_string_lossy();
    let mut magic = [0; 4];
    name.starts_with("python3")
        && File::open(candidate)
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
