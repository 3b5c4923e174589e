//! The inputs that a request can be read from, recognised by a file's name and content.

use std::ffi::OsStr;
use std::path::Path;

use accretion_core::diagnostic::{Checked, Problem, Report, Severity, code};
use accretion_core::encoding::BYTE_ORDER_MARK;
use accretion_core::request::ProjectName;

use super::{
    PythonInput, Request, Requirements, from_lock, from_requirements_txt, from_script,
    outdated_problem,
};
use crate::lock::{LockFormat, PROJECT};
use crate::requirement::Include;

/// The kind of an input file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// A request, in JSON.
    Request,
    /// A `requirements.txt`, whatever its name.
    RequirementsTxt,
    /// A lock file.
    Lock(LockFormat),
    /// A Python script with inline metadata (PEP 723).
    Script,
}

/// A file that is known not to be an input: read as something else, it would have a problem on
/// every line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file} is not supported as an input")]
pub struct InputUnsupported {
    /// The file, as it was named.
    pub file: String,
    /// The way to make an input of it.
    pub hint: &'static str,
}

impl InputKind {
    /// By the name where it tells, otherwise by the content. The last part of `source_name` is the
    /// file's own name.
    pub fn of(source_name: &str, bytes: &[u8]) -> Result<Self, InputUnsupported> {
        let path = Path::new(source_name);
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if let Some(hint) = unsupported(name) {
            let file = source_name.to_owned();
            return Err(InputUnsupported { file, hint });
        }
        let start = bytes
            .strip_prefix(BYTE_ORDER_MARK)
            .unwrap_or(bytes)
            .trim_ascii_start();
        let extension = path.extension().and_then(|extension| extension.to_str());
        Ok(match extension {
            Some("json") => Self::Request,
            Some("toml") => Self::Lock(LockFormat::Pylock),
            Some("lock") if let Some(format) = lock_format(name) => Self::Lock(format),
            Some("py") => Self::Script,
            _ if name.starts_with("requirements") => Self::RequirementsTxt,
            _ if start.starts_with(b"{") => Self::Request,
            _ if start.starts_with(b"lock-version") => Self::Lock(LockFormat::Pylock),
            _ => Self::RequirementsTxt,
        })
    }

    /// The name of such a file if its own name need not tell.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Request => "request.json",
            Self::RequirementsTxt => "requirements.txt",
            Self::Lock(format) => format.name(),
            Self::Script => "script.py",
        }
    }
}

/// The format of a lock file. PDM's may have a name of its own between (`pdm.312.lock`), and uv's of
/// a script has the script's before it (`script.py.lock`).
fn lock_format(name: &str) -> Option<LockFormat> {
    let of_script = || name.ends_with(".py.lock").then_some(LockFormat::Uv);
    let of_pdm = || name.starts_with("pdm.").then_some(LockFormat::Pdm);
    LockFormat::of_name(name).or_else(of_script).or_else(of_pdm)
}

fn unsupported(name: &str) -> Option<&'static str> {
    match name {
        "pyproject.toml" => Some("name the lock file of the project, such as uv.lock"),
        "Pipfile" => Some("name the Pipfile.lock beside it"),
        _ => None,
    }
}

/// The report for who has nothing else to say about an input.
impl From<InputUnsupported> for Report {
    fn from(unsupported: InputUnsupported) -> Self {
        let mut report = Self::new(unsupported.file.as_str(), "");
        let message = unsupported.to_string();
        report.push(
            Problem::error(code::REQUIREMENTS_TYPE_UNSUPPORTED, message).help(unsupported.hint),
        );
        report
    }
}

/// Reads an input of any kind; a request with every default from a bare requirements or lock
/// file, or a script.
///
/// `name` is what the project is called and `allow_source_distributions` what is allowed where
/// the file does not say it: a request does. The last part of `source_name` is the file's own
/// name in the folder that includes are relative to.
pub fn from_input(
    kind: InputKind,
    name: Option<ProjectName>,
    source_name: &str,
    bytes: &[u8],
    include: &dyn Include,
    allow_source_distributions: bool,
) -> Checked<Request> {
    match kind {
        InputKind::Request => Request::from_json(source_name, bytes),
        InputKind::RequirementsTxt => from_requirements_txt(
            named(name, source_name)?,
            source_name,
            bytes,
            include,
            allow_source_distributions,
        ),
        InputKind::Script => from_script(
            named(name, source_name)?,
            source_name,
            bytes,
            allow_source_distributions,
        ),
        InputKind::Lock(format) => {
            let name = named(name, source_name)?;
            let beside = format.takes_project().then(|| include.read(PROJECT));
            let project = beside.and_then(Result::ok);
            let (mut request, report) =
                from_lock(format, name, source_name, bytes, project.as_deref())?;
            request.input.compare_lock(source_name, include);
            request.input.allow_source_distributions = allow_source_distributions;
            Ok((request, report))
        }
    }
}

impl PythonInput {
    /// Compares a lock file with the project that merely lies beside it, for
    /// [`Self::outdated_beside`].
    fn compare_lock(&mut self, source_name: &str, include: &dyn Include) {
        let name = Path::new(source_name).file_name().and_then(OsStr::to_str);
        if let (Requirements::Lock(file), Some(name)) = (&mut self.requirements, name) {
            file.compare(name, &|path| include.read(path).ok());
        }
    }

    /// The problem that the lock file is not up to date with the project that merely lies beside it:
    /// an error if that project is built, a warning otherwise.
    pub fn outdated_beside(&self, is_built: bool) -> Option<Problem> {
        let Requirements::Lock(file) = &self.requirements else {
            return None;
        };
        let severity = if is_built {
            Severity::Error
        } else {
            Severity::Warning
        };
        let problem = outdated_problem(file.outdated_beside()?);
        Some(Problem {
            severity,
            ..problem
        })
    }
}

fn named(name: Option<ProjectName>, source_name: &str) -> Result<ProjectName, Report> {
    name.ok_or_else(|| {
        let mut report = Report::new(source_name, "");
        report.push(
            Problem::error(code::PROJECT_NAME_INVALID, "the project has no name").help(
                "put the file into a folder that is named after the project: letters, digits, \
                 `-` and `_`, at most 70",
            ),
        );
        report
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requirement::NoInclude;

    #[test]
    fn the_name_tells_before_the_content_does() {
        use InputKind::{Lock, Request, RequirementsTxt, Script};
        use LockFormat::{Pdm, Pipfile, Poetry, Pylock, Uv};

        for (source_name, bytes, kind) in [
            ("request.json", "lock-version", Request),
            ("in/pylock.toml", "{", Lock(Pylock)),
            ("requests/tools/pylock.dev.toml", "", Lock(Pylock)),
            ("requests/tools/uv.lock", "{", Lock(Uv)),
            ("tools/report.py.lock", "", Lock(Uv)),
            ("poetry.lock", "lock-version", Lock(Poetry)),
            ("a/Pipfile.lock", "{", Lock(Pipfile)),
            ("a/pdm.lock", "", Lock(Pdm)),
            ("a/pdm.312.lock", "", Lock(Pdm)),
            ("other.lock", "", RequirementsTxt),
            ("report.py", "{", Script),
            ("requirements.txt", "{", RequirementsTxt),
            ("a.json/requirements-dev.in", "{", RequirementsTxt),
            ("stdin", " \n{\"Name\"", Request),
            ("stdin", "\u{feff}{", Request),
            ("stdin", "\nlock-version = \"1.0\"", Lock(Pylock)),
            ("stdin", "lockfile", RequirementsTxt),
            ("a.txt", "", RequirementsTxt),
            (".json", "a", RequirementsTxt),
            ("", "a", RequirementsTxt),
        ] {
            let told = InputKind::of(source_name, bytes.as_bytes());
            assert_eq!(told, Ok(kind), "{source_name} {bytes:?}");
        }
    }

    #[test]
    fn files_of_other_tools_are_refused_by_their_names() {
        for name in ["pyproject.toml", "Pipfile"] {
            let file = format!("requests/tools/{name}");
            let unsupported = InputKind::of(&file, b"{").unwrap_err();
            assert!(unsupported.hint.contains(".lock"), "{unsupported:?}");
            let report = Report::from(unsupported);
            assert_eq!(
                report.problems[0].code,
                code::REQUIREMENTS_TYPE_UNSUPPORTED,
                "{report:?}"
            );
        }
        let report = Report::from(InputKind::of("tools/Pipfile", b"").unwrap_err());
        insta::assert_snapshot!(report.render(), @r"
        error[RequirementsTypeUnsupported]: tools/Pipfile is not supported as an input
        --> tools/Pipfile
         = help: name the Pipfile.lock beside it

        1 error
        ");
    }

    fn read(kind: InputKind, name: Option<&str>, text: &str) -> Checked<Request> {
        let name = name.map(|name| name.parse().unwrap());
        from_input(kind, name, "in", text.as_bytes(), &NoInclude, true)
    }

    #[test]
    fn every_kind_is_read() {
        const REQUEST: &str = r#"{"Name": "own", "Language": "python",
            "Requirements": {"Type": "requirements.txt", "Requirements": "a"}}"#;
        let lock = "lock-version = \"1.0\"\n";
        // What a request says of itself holds, what it leaves out has its defaults.
        for name in [None, Some("folder")] {
            let (request, _) = read(InputKind::Request, name, REQUEST).unwrap();
            assert_eq!(request.name.as_str(), "own");
            assert!(!request.input.allow_source_distributions);
        }
        let (request, _) = read(InputKind::RequirementsTxt, Some("folder"), "a").unwrap();
        assert_eq!(request.name.as_str(), "folder");
        assert!(request.input.allow_source_distributions);
        assert!(matches!(request.input.requirements, Requirements::Set(_)));
        let (request, _) = read(InputKind::Lock(LockFormat::Pylock), Some("folder"), lock).unwrap();
        assert_eq!(request.name.as_str(), "folder");
        assert!(request.input.allow_source_distributions);
        assert!(
            matches!(request.input.requirements, Requirements::Lock(file) if file.text() == lock)
        );
        let script = "# /// script\n# dependencies = ['a']\n# ///\n";
        let (request, _) = read(InputKind::Script, Some("folder"), script).unwrap();
        assert!(request.input.allow_source_distributions);
        assert!(matches!(request.input.requirements, Requirements::Set(_)));
    }

    #[test]
    fn what_lies_beside_a_lock_file_is_read_where_it_is_needed() {
        let beside = |path: &str| {
            assert_eq!(path, PROJECT);
            Ok("[project]\ndependencies = []\n".to_owned())
        };
        let read = |lock: &str, include: &dyn Include| {
            let kind = InputKind::Lock(LockFormat::Poetry);
            let name = "x".parse().ok();
            from_input(kind, name, "poetry.lock", lock.as_bytes(), include, false)
        };
        let old = "[metadata]\nlock-version = \"2.0\"\n";
        let (request, _) = read(old, &beside).unwrap();
        let Requirements::Lock(file) = request.input.requirements else {
            panic!("it is a lock");
        };
        assert!(file.project().is_some());
        let report = read(old, &NoInclude).unwrap_err();
        assert_eq!(report.problems[0].code, code::LOCK_PROJECT_MISSING);
        // Without need it makes no other request.
        let new = "[metadata]\nlock-version = \"2.1\"\n";
        assert_eq!(
            read(new, &beside).unwrap().0,
            read(new, &NoInclude).unwrap().0
        );
    }

    #[test]
    fn a_bare_file_needs_a_name() {
        let report = read(InputKind::RequirementsTxt, None, "a").unwrap_err();
        assert_eq!(
            read(InputKind::Lock(LockFormat::Pylock), None, "a").unwrap_err(),
            report
        );
        insta::assert_snapshot!(report.render(), @r"
        error[ProjectNameInvalid]: the project has no name
        --> in
         = help: put the file into a folder that is named after the project: letters, digits, `-` and `_`, at most 70

        1 error
        ");
    }
}
