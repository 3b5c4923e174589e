//! The Python part of a request: its requirements, and how packages are chosen for them.

use std::collections::BTreeSet;

use accretion_core::diagnostic::{Checked, Problem, Report, code};
use accretion_core::encoding::decode;
use accretion_core::excerpt::shown;
use accretion_core::fault::Fault as _;
use accretion_core::json::{Fields, Reader};
use accretion_core::language::Language;
use accretion_core::request::{
    self, Contents, FileKind, Input, ProjectName, check_size, check_written, read_flag,
};
use accretion_core::target::Runtime;
use pep508_rs::PackageName;

use crate::error::{Error, PROJECT_MISSING};
use crate::index::Index;
use crate::lock::{LockFile, LockFormat, NotALock, Outdated, Policy, Selection};
use crate::release::PythonRelease;
use crate::requirement::{Include, RequirementSet, parse_bytes};
use crate::script::parse_script;
use crate::wheel::WheelFilename;

mod document;
mod exclude;
pub(crate) mod indexes;
mod input;
mod locked;
mod requirements;

pub use self::document::{RequestDocument, RequirementDocument, RequirementsDocument, schema};
pub use self::input::{InputKind, InputUnsupported, from_input};

/// A request for layers of Python packages.
pub type Request = request::Request<PythonInput>;

/// The requirements that a layer is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirements {
    /// Requirements that are resolved for each target.
    Set(RequirementSet),
    /// A lock file.
    Lock(LockFile),
}

impl Requirements {
    /// The runtimes that layers are built for if none is named: those that AWS has not deprecated
    /// and that `requires-python` takes, if there is one that it takes.
    pub fn runtimes(&self) -> Vec<Runtime> {
        let fits = |runtime: &Runtime| match self {
            Self::Set(set) => set
                .requires_python
                .as_ref()
                .is_none_or(|it| PythonRelease::is_any_of(*runtime, it)),
            Self::Lock(file) => file.lock().is_for(*runtime),
        };
        Runtime::supported().filter(fits).collect()
    }
}

/// The packages that a request names, and how they are chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonInput {
    /// The requirements, or the lock.
    pub requirements: Requirements,
    /// The dependency groups and extras of a lock file that go into the layers.
    pub selection: Selection,
    /// Distributions that are resolved but left out of the layers.
    pub exclude: BTreeSet<PackageName>,
    /// True if packages without a fitting wheel may be built, which runs their code.
    pub allow_source_distributions: bool,
    /// Indexes that are asked before the default one, in this order.
    pub indexes: Vec<Index>,
}

impl Input for PythonInput {
    const LANGUAGE: Language = Language::Python;

    const FIELDS: &'static [&'static str] = &[
        "Requirements",
        "Groups",
        "Extras",
        "Exclude",
        "AllowSourceDistributions",
        "Indexes",
    ];

    type Document = RequestDocument;

    fn read(reader: &mut Reader<'_>, fields: &Fields<'_, '_>, contents: &Contents) -> Option<Self> {
        let allow_source_distributions = read_flag(reader, fields, "AllowSourceDistributions");
        // A wrong value there is no reason to complain about each source distribution.
        let allow = allow_source_distributions.unwrap_or(true);
        let requirements = requirements::read_requirements(reader, fields, contents, allow);
        let selection = locked::read_selection(reader, fields, requirements.as_ref());
        let exclude = exclude::read_exclude(reader, fields);
        let indexes = fields
            .get("Indexes")
            .map(|value| indexes::read_indexes(reader, value, indexes::Origin::Request));
        Some(Self {
            requirements: requirements?,
            selection,
            exclude,
            allow_source_distributions: allow_source_distributions?,
            indexes: indexes.unwrap_or_default(),
        })
    }

    fn document(request: &Request) -> RequestDocument {
        request.into()
    }

    fn runtimes(&self) -> Vec<Runtime> {
        self.requirements.runtimes()
    }

    fn file_kind(filename: &str) -> FileKind {
        if filename.strip_suffix(".whl").is_none() {
            return FileKind::Other;
        }
        match filename.parse::<WheelFilename>() {
            Ok(wheel) => FileKind::Package(wheel.name().to_string()),
            Err(_) => FileKind::MisnamedPackage,
        }
    }
}

impl PythonInput {
    /// An input with every default.
    pub fn new(requirements: Requirements) -> Self {
        Self {
            requirements,
            selection: Selection::default(),
            exclude: BTreeSet::new(),
            allow_source_distributions: false,
            indexes: Vec::new(),
        }
    }

    /// That the lock file is not up to date with the project it was given with.
    pub fn outdated_problem(&self) -> Option<Problem> {
        let Requirements::Lock(file) = &self.requirements else {
            return None;
        };
        file.outdated().map(outdated_problem)
    }
}

/// The problems of a lock file or a script with the request's targets: one for each target that
/// can't be built. For requirements that have to be resolved, only the Python versions are checked.
///
/// `own` are packages whose wheels will be at hand, besides those that the request names.
///
/// A lock file that is not up to date with the project it was given with is another one.
pub fn problems(request: &Request, own: &[PackageName]) -> Vec<Problem> {
    let named = own_packages(&request.contents).into_iter();
    let at_hand: Vec<_> = own.iter().cloned().chain(named).collect();
    let policy = Policy {
        allow_source_distributions: request.input.allow_source_distributions,
        requirements: None,
        own: &at_hand,
    };
    let mut problems: Vec<Problem> = request.input.outdated_problem().into_iter().collect();
    for target in request.targets.iter() {
        let outcome = match &request.input.requirements {
            Requirements::Set(set) => request
                .input
                .selection
                .check_none()
                .and_then(|()| set.python(target).map(|_| ())),
            Requirements::Lock(file) => file
                .lock()
                .choose(target, policy, &request.input.selection)
                .map(|_| ()),
        };
        let Err(error) = outcome else {
            continue;
        };
        let problem = of_error(&error);
        // What is selected is the same for all targets.
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    problems
}

/// Returns the packages whose wheels are among the files that a request names.
pub fn own_packages(contents: &Contents) -> Vec<PackageName> {
    let filenames = contents
        .files
        .iter()
        .filter_map(|it| it.package::<PythonInput>());
    filenames
        .filter_map(|name| name.parse::<WheelFilename>().ok())
        .map(|filename| filename.name().clone())
        .collect()
}

/// A request with every default from a `requirements.txt`.
///
/// The last part of `source_name` is the file's own name in the folder that includes are
/// relative to.
pub fn from_requirements_txt(
    name: ProjectName,
    source_name: &str,
    bytes: &[u8],
    include: &dyn Include,
    allow_source_distributions: bool,
) -> Checked<Request> {
    check_size(source_name, bytes)?;
    let checked = parse_bytes(source_name, bytes, include, allow_source_distributions)?;
    of_set(name, checked, allow_source_distributions)
}

fn of_set(
    name: ProjectName,
    (set, report): (RequirementSet, Report),
    allow_source_distributions: bool,
) -> Checked<Request> {
    let input = PythonInput {
        allow_source_distributions,
        ..PythonInput::new(Requirements::Set(set))
    };
    check_written((Request::new(name, input), report))
}

/// A request with every default from a lock file.
///
/// `project` is the `pyproject.toml` beside it. Whether it has what a target needs shows when
/// packages are selected for it.
pub fn from_lock(
    format: LockFormat,
    name: ProjectName,
    source_name: &str,
    bytes: &[u8],
    project: Option<&str>,
) -> Checked<Request> {
    check_size(source_name, bytes)?;
    let text = decode(source_name, bytes)?;
    let mut report = Report::new(source_name, text);
    if text.trim().is_empty() {
        report.push(lock_empty());
        return Err(report);
    }
    match LockFile::read(format, text, project) {
        Ok(lock) => {
            for problem in lock_warnings(&lock) {
                report.push(problem);
            }
            let input = PythonInput::new(Requirements::Lock(lock));
            check_written((Request::new(name, input), report))
        }
        Err(error) => {
            let span = error.span.clone();
            let problem = lock_invalid(error);
            report.push(match span {
                Some(span) => problem.at(0, span),
                None => problem,
            });
            Err(report)
        }
    }
}

/// A request with every default from a script with inline metadata (PEP 723).
pub fn from_script(
    name: ProjectName,
    source_name: &str,
    bytes: &[u8],
    allow_source_distributions: bool,
) -> Checked<Request> {
    check_size(source_name, bytes)?;
    let checked = parse_script(source_name, bytes, allow_source_distributions)?;
    of_set(name, checked, allow_source_distributions)
}

/// Reads the indexes that whoever runs the pipeline offers, in the form of a request's `Indexes`. One
/// with an empty `Packages` is only for requests that name it: it serves nothing by itself.
///
/// `source_name` is what the report calls the text.
pub fn read_indexes(source_name: &str, text: &str) -> Checked<Vec<Index>> {
    indexes::read(source_name, text)
}

/// The problem that a lock file is not up to date.
fn outdated_problem(outdated: &Outdated) -> Problem {
    of_error(&Error::LockOutdated(outdated.clone()))
}

/// An error as a problem of the input.
fn of_error(error: &Error) -> Problem {
    let problem = Problem::error(error.code(), error.to_string());
    match error.hint() {
        Some(hint) => problem.help(hint),
        None => problem,
    }
}

fn lock_invalid(error: NotALock) -> Problem {
    if error.wants_project {
        return Problem::error(code::LOCK_PROJECT_MISSING, error.problem).help(PROJECT_MISSING);
    }
    Problem::error(code::LOCK_INVALID, error.problem)
        .help("write the lock file again with the tool that made it")
}

/// Returns the warnings about a lock file, whatever it is built for.
fn lock_warnings(file: &LockFile) -> impl Iterator<Item = Problem> {
    let format = file.format();
    file.lock().out_of_reach().map(move |(name, marker)| {
        let (name, marker) = (shown(name), shown(marker));
        let message = format!(
            "`{name}` is never installed: its marker `{marker}` asks for an extra, and this {format} \
             has none"
        );
        Problem::warning(code::REQUIREMENT_NEVER_APPLIES, message)
            .help("remove the extra from the marker, and lock again")
    })
}

fn lock_empty() -> Problem {
    Problem::error(code::LOCK_EMPTY, "the lock file is empty")
        .help("write it with the tool that it is of, such as `uv lock`")
}

#[cfg(test)]
mod tests;
