//! The shared parts of this package's test binaries: a project in its own folder, and a way to run
//! the command on it in isolation from the user's machine.

#![expect(
    clippy::missing_panics_doc,
    reason = "all of this is for tests, which end with a panic where something is wrong"
)]
#![expect(
    clippy::return_self_not_must_use,
    reason = "to hold an exit code is often all that a test wants"
)]

pub mod deployed;
pub mod intrinsics;
pub mod memory;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use accretion_testing::index::PackageIndex;
use accretion_testing::interpreters::{Python, pythons, untested};
use serde_json::Value;
use tempfile::TempDir;

/// The Python of the pinned tools: the one that `ACCRETION_TOOLS_PYTHON` names, or that of the
/// workspace's `.tools/venv`.
pub fn tools_python() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/venv/bin/python");
    std::env::var_os("ACCRETION_TOOLS_PYTHON").map_or_else(default, PathBuf::from)
}

/// Returns the JSON that a Python script of this package writes, given the arguments and the
/// question. `script` is its path in the package.
pub fn ask_script(script: &str, arguments: &[&OsStr], question: &Value) -> Value {
    let python = tools_python();
    let mut child = Command::new(&python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!(
                "{} cannot be run ({error}): `make tools`, or set ACCRETION_TOOLS_PYTHON to a \
                 Python with what tests/tools/requirements.txt names",
                python.display()
            )
        });
    let mut stdin = child.stdin.take().expect("standard input is piped");
    let asked = stdin.write_all(question.to_string().as_bytes());
    drop(stdin);
    let output = child
        .wait_with_output()
        .expect("children can be waited for");
    assert!(
        output.status.success(),
        "{script} failed with {}",
        python.display()
    );
    asked.expect("a script that succeeds has read its question");
    serde_json::from_slice(&output.stdout).expect("a script answers with JSON")
}

/// Returns whether a pattern of a policy matches: `*` any characters, `?` one.
///
/// Source: IAM User Guide, "IAM JSON policy elements: Resource".
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    match (rest.next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => {
            let rest = rest.as_str();
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.into_iter().any(|at| matches(rest, &text[at..]))
        }
        (Some(wanted), Some(c)) if wanted == '?' || wanted == c => {
            matches(rest.as_str(), &text[c.len_utf8()..])
        }
        _ => false,
    }
}

/// The stack's template after the transform of SAM.
pub fn translated_template() -> Value {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sam/template.yaml");
    ask_script(
        "stack/translate_template.py",
        &[template.as_os_str()],
        &Value::Null,
    )
}

/// A project's folder `tools`, and beside it a home, a cache and a folder for temporary files.
#[derive(Debug)]
pub struct Project {
    program: PathBuf,
    root: TempDir,
    index: Option<String>,
}

impl Project {
    /// Makes the folders. `program` is the command; packages come from `index`.
    pub fn new(program: impl Into<PathBuf>, index: &PackageIndex) -> Self {
        Self::with_index_url(program, Some(index.url()))
    }

    /// The same with any index, or with none.
    pub fn with_index_url(program: impl Into<PathBuf>, index: Option<String>) -> Self {
        let root = tempfile::tempdir().expect("temporary folders can be made");
        for folder in ["tools", "home", "tmp"] {
            fs::create_dir(root.path().join(folder)).expect("a fresh folder takes folders");
        }
        let program = program.into();
        Self {
            program,
            root,
            index,
        }
    }

    /// The folder that holds all others.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// A path in the project's folder.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root().join("tools").join(path)
    }

    /// The folder that layers are written to.
    pub fn layers(&self) -> PathBuf {
        self.path("layers")
    }

    /// The cache.
    pub fn cache(&self) -> PathBuf {
        self.root().join("cache")
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder");
        fs::write(path, content).expect("files can be written");
        self
    }

    /// The command with these arguments, in the project's folder, with nothing of the caller's
    /// environment but what leads to uv, Python and certificates.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.program);
        let kept = ["SSL_CERT_FILE", "SSL_CERT_DIR", "LLVM_PROFILE_FILE"];
        command
            .args(arguments)
            .current_dir(self.path(""))
            .env_clear()
            .envs(
                kept.iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.root().join("home"))
            .env("TMPDIR", self.root().join("tmp"))
            .env("ACCRETION_CACHE_DIR", self.cache())
            .env("ACCRETION_UV", uv())
            .env("ACCRETION_PYTHON", &python().path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(index) = &self.index {
            command.env("ACCRETION_DEFAULT_INDEX", index);
        }
        command
    }

    /// Runs the command with these arguments, split at spaces.
    pub fn run(&self, arguments: &str) -> Run {
        self.finish(self.command(arguments.split_whitespace()))
    }

    /// Runs a command that [`Self::command`] began.
    pub fn finish(&self, mut command: Command) -> Run {
        self.wait(command.spawn().expect("the command can be run"))
    }

    /// Waits for a command that [`Self::command`] began.
    pub fn wait(&self, child: Child) -> Run {
        let output = child.wait_with_output().expect("the command ends");
        Run::of(&output, self.root())
    }

    /// A layer's manifest.
    pub fn manifest(&self, layer: &str) -> serde_json::Value {
        let path = self.layers().join(format!("{layer}.manifest"));
        let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_slice(&text).expect("a manifest is JSON")
    }

    /// A layer's zip.
    pub fn zip(&self, layer: &str) -> Vec<u8> {
        let path = self.layers().join(format!("{layer}.zip"));
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The files of a layer: modes and contents by name.
    pub fn content(&self, layer: &str) -> BTreeMap<String, (u32, Vec<u8>)> {
        let zip = std::io::Cursor::new(self.zip(layer));
        let mut archive = zip::ZipArchive::new(zip).expect("a layer is a zip");
        (0..archive.len())
            .map(|at| {
                let mut file = archive.by_index(at).expect("the directory is true");
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).expect("the file is whole");
                let mode = file.unix_mode().expect("layers are of Unix");
                let name = file.name().expect("names are UTF-8").into_owned();
                (name, (mode, bytes))
            })
            .collect()
    }

    /// The names in the folder of layers; none if there is no folder.
    pub fn outputs(&self) -> Vec<String> {
        names(&self.layers())
    }

    /// Holds that nothing half-done lies about, neither in the cache nor among temporary files.
    #[track_caller]
    pub fn assert_tidy(&self) {
        let cached: Vec<_> = ["wheels", "built"]
            .iter()
            .flat_map(|folder| names(&self.cache().join(folder)))
            .filter(|name| name.starts_with('.'))
            .collect();
        assert_eq!(cached, [""; 0], "half-done files in the cache");
        assert_eq!(names(&self.root().join("tmp")), [""; 0], "temporary files");
        let half: Vec<_> = self
            .outputs()
            .into_iter()
            .filter(|name| name.starts_with('.'))
            .collect();
        assert_eq!(half, [""; 0], "half-done files among the layers");
    }
}

/// The sorted names in a folder; none if there is no folder.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| {
            let name = entry.expect("a folder can be read").file_name();
            name.to_string_lossy().into_owned()
        })
        .collect();
    names.sort();
    names
}

/// The result of a command.
#[derive(Debug)]
pub struct Run {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    root: PathBuf,
}

impl Run {
    /// Reads the output of a command that knows `root`, a folder whose name differs between runs.
    pub fn of(output: &Output, root: &Path) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it speaks UTF-8");
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            root: root.to_owned(),
        }
    }

    /// Holds the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Holds that the command failed with this error and no other, and was silent on standard
    /// output.
    #[track_caller]
    pub fn fails(self, exit: i32, code: &str) -> Self {
        let run = self.exits(exit);
        assert_eq!(run.codes(), [code], "{run}");
        assert_eq!(run.stdout, "", "{run}");
        run
    }

    /// The codes of the errors on standard error, in their order.
    pub fn codes(&self) -> Vec<&str> {
        let after = self.stderr.split("error[").skip(1);
        after
            .filter_map(|rest| Some(rest.split_once(']')?.0))
            .collect()
    }

    /// Standard output, parsed.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }
}

impl std::fmt::Display for Run {
    /// All that can be seen of it, without the folder's name.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let root = self.root.display().to_string();
        let mut text = String::new();
        let code = self
            .code
            .map_or_else(|| "a signal".to_owned(), |code| code.to_string());
        let _ = writeln!(text, "exit code: {code}");
        for (name, said) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !said.is_empty() {
                let _ = writeln!(text, "----- {name} -----\n{said}");
            }
        }
        f.write_str(text.replace(&root, "[ROOT]").trim_end())
    }
}

/// Compares with a snapshot, without what differs between runs.
#[macro_export]
macro_rules! snapshot {
    ($($arguments:tt)*) => {
        insta::with_settings!({
            filters => $crate::FILTERS.to_vec(),
            omit_expression => true,
        }, { insta::assert_snapshot!($($arguments)*) })
    };
}

/// Regular expressions for what differs between runs.
pub const FILTERS: [(&str, &str); 7] = [
    // uv says so where it runs on the very version that is asked for.
    (
        r"current Python version \((3\.\d+)\.0\)",
        "requested Python version (>=$1)",
    ),
    (r"127\.0\.0\.1:\d+", "[INDEX]"),
    (r"\d+\.\d\d s", "[TIME]"),
    (r"\b\d min \d+ s\b", "[TIME]"),
    (r#""Seconds": [\d.e-]+"#, r#""Seconds": "[TIME]""#),
    (r#""BuiltAt": "[^"]+""#, r#""BuiltAt": "[TIME]""#),
    (r"\b[0-9a-f]{64}\b", "[SHA256]"),
];

/// uv, which these tests need.
pub fn uv() -> &'static Path {
    static UV: OnceLock<PathBuf> = OnceLock::new();
    UV.get_or_init(|| {
        let named = std::env::var_os("ACCRETION_UV").map(PathBuf::from);
        named.or_else(|| on_path("uv")).filter(|uv| uv.is_file()).expect(
            "these tests run uv: put it on PATH (`pip install uv`) or its path into ACCRETION_UV",
        )
    })
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join(name));
    candidates.find(|candidate| candidate.is_file())
}

/// A Python of a version that layers can be built for, which these tests need.
pub fn python() -> &'static Python {
    let found = pythons().first();
    found.expect("these tests run CPython 3.10 to 3.14: put one on PATH")
}

/// Runs a script of this package that tests the command, with the Python of the pinned tools.
///
/// Lines that begin with `note: ` name what the script left out.
#[track_caller]
pub fn run_script(script: &str, command: &str, arguments: &[&str]) {
    let output = Command::new(tools_python())
        // Nothing is written beside the sources.
        .arg("-B")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script))
        .args(["--accretion", command])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("`make tools` installs a Python");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}{stderr}");
    for note in stdout.lines().filter_map(|it| it.strip_prefix("note: ")) {
        untested(note);
    }
}
