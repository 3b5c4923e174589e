//! A request: the layers a project wants, and what goes into them.
//!
//! A request comes as JSON ([`Request::from_json`]), or as a bare requirements or lock file with
//! every default. [`RequestDocument`] mirrors the JSON; the committed JSON Schema is generated from
//! it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use pep508_rs::PackageName;

use crate::diagnostic::{Checked, Problem, Report, code};
use crate::error::{Error, PROJECT_MISSING};
use crate::excerpt::shown;
use crate::fault::Fault as _;
use crate::index::Index;
use crate::limits::Limits;
use crate::lock::{LockFile, LockFormat, NotALock, Outdated, Policy, Selection};
use crate::requirement::{Include, RequirementSet, decode, parse_bytes};
use crate::script::parse_script;
use crate::target::{Architecture, Compatibility, LayerTarget, Lifecycle, Runtime, Target};

mod admission;
mod contents;
mod document;
mod input;
mod json;
mod rollback;

pub use crate::identity::{
    IdentityAttributes, IdentityAttributesError, ParseProjectNameError, ParseRequestIdError,
    ProjectName, RequestId, RequestRef,
};

pub use self::admission::{Admission, AllowedPermissions, ParseAllowedPermissionsError};
pub use self::contents::{Contents, FileSource, FileSourceDocument, ParseFileSourceError};
pub use self::document::{
    ParsePermissionError, PermissionDocument, RequestDocument, RequirementDocument,
    RequirementsDocument, schema,
};
pub use self::input::{InputKind, InputUnsupported};
pub use self::rollback::Rollback;

/// The id of an AWS account: 12 digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(String);

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no account id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an account id has 12 digits")]
pub struct ParseAccountIdError;

impl FromStr for AccountId {
    type Err = ParseAccountIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseAccountIdError)
        }
    }
}

/// The id of an AWS organization: `o-` and 10 to 32 lowercase letters or digits.
///
/// Source: the API reference of `AddLayerVersionPermission`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrganizationId(String);

impl fmt::Display for OrganizationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no organization id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an organization id is `o-` and 10 to 32 lowercase letters or digits")]
pub struct ParseOrganizationIdError;

impl FromStr for OrganizationId {
    type Err = ParseOrganizationIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        match text.strip_prefix("o-") {
            Some(id) if (10..=32).contains(&id.len()) && id.bytes().all(allowed) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(ParseOrganizationIdError),
        }
    }
}

/// A permission to use the layers, besides that of the account that holds them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// Every AWS account.
    Everyone,
    /// Every account of an organization.
    Organization(OrganizationId),
    /// One account.
    Account(AccountId),
}

impl Permission {
    /// `Principal` of `AddLayerVersionPermission`: `*` or an account id.
    pub fn principal(&self) -> &str {
        match self {
            Self::Everyone | Self::Organization(_) => "*",
            Self::Account(AccountId(id)) => id,
        }
    }

    /// `OrganizationId` of `AddLayerVersionPermission`.
    pub fn organization_id(&self) -> Option<&str> {
        match self {
            Self::Organization(OrganizationId(id)) => Some(id),
            Self::Everyone | Self::Account(_) => None,
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("everyone"),
            Self::Organization(id) => write!(f, "the organization {id}"),
            Self::Account(id) => write!(f, "the account {id}"),
        }
    }
}

/// The targets of a request: every combination of some runtimes and some architectures. Never
/// empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    runtimes: BTreeSet<Runtime>,
    architectures: BTreeSet<Architecture>,
}

impl Targets {
    /// The combinations of runtimes and architectures; the default of each where none is given.
    pub fn new(
        runtimes: impl IntoIterator<Item = Runtime>,
        architectures: impl IntoIterator<Item = Architecture>,
    ) -> Self {
        Self::default()
            .with_runtimes(runtimes)
            .with_architectures(architectures)
    }

    /// With other runtimes, unless there are none.
    #[must_use]
    pub fn with_runtimes(mut self, runtimes: impl IntoIterator<Item = Runtime>) -> Self {
        let runtimes: BTreeSet<_> = runtimes.into_iter().collect();
        if !runtimes.is_empty() {
            self.runtimes = runtimes;
        }
        self
    }

    /// With other architectures, unless there are none.
    #[must_use]
    pub fn with_architectures(
        mut self,
        architectures: impl IntoIterator<Item = Architecture>,
    ) -> Self {
        let architectures: BTreeSet<_> = architectures.into_iter().collect();
        if !architectures.is_empty() {
            self.architectures = architectures;
        }
        self
    }

    /// The targets, by runtime and then architecture, without duplicates.
    pub fn iter(&self) -> impl Iterator<Item = Target> + '_ {
        self.runtimes.iter().flat_map(|&runtime| {
            self.architectures.iter().map(move |&architecture| Target {
                runtime,
                architecture,
            })
        })
    }

    /// The runtimes, oldest first.
    pub fn runtimes(&self) -> impl Iterator<Item = Runtime> + '_ {
        self.runtimes.iter().copied()
    }

    /// The architectures, in the order in which they are built.
    pub fn architectures(&self) -> impl Iterator<Item = Architecture> + '_ {
        self.architectures.iter().copied()
    }

    /// A warning, without a location, for each runtime that AWS does not support.
    pub fn warnings(&self) -> impl Iterator<Item = Problem> + '_ {
        self.runtimes().filter_map(unsupported)
    }
}

impl Default for Targets {
    fn default() -> Self {
        Self {
            runtimes: Runtime::supported().collect(),
            architectures: Architecture::ALL.into(),
        }
    }
}

/// A warning, without a location, if AWS does not support a runtime.
fn unsupported(runtime: Runtime) -> Option<Problem> {
    let Some(lifecycle) = runtime.lifecycle() else {
        let preview = Problem::warning(
            code::RUNTIME_PREVIEW,
            format!(
                "AWS offers the runtime `{runtime}` only as a preview: it may change, and functions \
                 in production should not use it"
            ),
        );
        return Some(preview.help("remove it, unless the layer is for trying the preview"));
    };
    runtime.is_deprecated().then(|| {
        let Lifecycle {
            deprecated,
            create_blocked,
            update_blocked,
        } = lifecycle;
        Problem::warning(
            code::RUNTIME_DEPRECATED,
            format!(
                "AWS deprecated the runtime `{runtime}` on {deprecated}: no function can be created \
                 with it from {create_blocked} on, and none updated from {update_blocked} on"
            ),
        )
        .help("move its functions to a newer runtime, then remove it here")
    })
}

/// The requirements that a layer is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requirements {
    /// Requirements that are resolved for each target.
    Set(RequirementSet),
    /// A lock file.
    Lock(LockFile),
}

impl Requirements {
    /// The runtimes that layers are built for if none is named: those that AWS supports and that
    /// `requires-python` takes, if there is one that it takes.
    pub fn runtimes(&self) -> Vec<Runtime> {
        let fits = |runtime: &Runtime| match self {
            Self::Set(set) => set
                .requires_python
                .as_ref()
                .is_none_or(|it| runtime.satisfies(it)),
            Self::Lock(file) => file.lock().is_for(*runtime),
        };
        Runtime::supported().filter(fits).collect()
    }
}

/// The layers a project wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The project.
    pub name: ProjectName,
    /// The requirements.
    pub requirements: Requirements,
    /// The dependency groups and extras of a lock file that go into the layers.
    pub selection: Selection,
    /// One layer is built for each, or for each architecture if they are [merged](Self::merge).
    pub targets: Targets,
    /// The description of the layer versions; never empty.
    pub description: Option<String>,
    /// The layer versions' license information; never empty.
    pub license_info: Option<String>,
    /// The permissions to use the layers.
    pub permissions: BTreeSet<Permission>,
    /// Distributions that are resolved but left out of the layers.
    pub exclude: BTreeSet<PackageName>,
    /// The extra files, and the rules for files that stay out.
    pub contents: Contents,
    /// True if packages without a fitting wheel may be built, which runs their code.
    pub allow_source_distributions: bool,
    /// Indexes that are asked before the default one, in this order.
    pub indexes: Vec<Index>,
    /// True if one layer serves all runtimes, for each architecture.
    pub merge: bool,
}

impl Request {
    /// A request with every default.
    pub fn new(name: ProjectName, requirements: Requirements) -> Self {
        Self {
            name,
            selection: Selection::default(),
            targets: Targets::new(requirements.runtimes(), []),
            requirements,
            description: None,
            license_info: None,
            permissions: BTreeSet::new(),
            exclude: BTreeSet::new(),
            contents: Contents::default(),
            allow_source_distributions: false,
            indexes: Vec::new(),
            merge: false,
        }
    }

    /// The layers that it wants, by runtime and then architecture.
    pub fn layers(&self) -> Vec<Compatibility> {
        if !self.merge {
            return self.targets.iter().map(Into::into).collect();
        }
        let merged = self.targets.architectures().map(LayerTarget::Merged);
        merged.map(|target| self.layer(target)).collect()
    }

    /// A layer, merged of all of this request's runtimes if it is a merged one.
    ///
    /// # Panics
    ///
    /// Never: there is at least one runtime.
    pub fn layer(&self, target: LayerTarget) -> Compatibility {
        match target {
            LayerTarget::One(target) => target.into(),
            LayerTarget::Merged(_) => Compatibility::new(target, self.targets.runtimes())
                .expect("targets are never empty"),
        }
    }

    /// Reads a request's JSON; reports every problem at once.
    ///
    /// `source_name` is what the report calls the text.
    pub fn from_json(source_name: &str, bytes: &[u8]) -> Checked<Self> {
        check_size(source_name, bytes)?;
        check_written(json::read(source_name, decode(source_name, bytes)?)?)
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
    ) -> Checked<Self> {
        check_size(source_name, bytes)?;
        let (set, report) = parse_bytes(source_name, bytes, include, allow_source_distributions)?;
        let request = Self {
            allow_source_distributions,
            ..Self::new(name, Requirements::Set(set))
        };
        check_written((request, report))
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
    ) -> Checked<Self> {
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
                check_written((Self::new(name, Requirements::Lock(lock)), report))
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
    ) -> Checked<Self> {
        check_size(source_name, bytes)?;
        let (set, report) = parse_script(source_name, bytes, allow_source_distributions)?;
        let request = Self {
            allow_source_distributions,
            ..Self::new(name, Requirements::Set(set))
        };
        check_written((request, report))
    }

    /// The packages whose wheels are among the files that the request names.
    pub fn own_packages(&self) -> Vec<PackageName> {
        let filenames = self.contents.files.iter().filter_map(FileSource::wheel);
        filenames.map(|filename| filename.name().clone()).collect()
    }

    /// The problems of a lock file or a script for the request's targets: one for each target
    /// that can't be built. Of what has to be resolved only the Python versions are known.
    ///
    /// `own` are packages whose wheels will be at hand, besides those that the request names.
    ///
    /// A lock file that is not up to date with the project it was given with is another one.
    pub fn lock_problems(&self, own: &[PackageName]) -> Vec<Problem> {
        let own: Vec<_> = own.iter().cloned().chain(self.own_packages()).collect();
        let policy = Policy {
            allow_source_distributions: self.allow_source_distributions,
            requirements: None,
            own: &own,
        };
        let mut problems: Vec<Problem> = self.outdated_problem().into_iter().collect();
        for target in self.targets.iter() {
            let outcome = match &self.requirements {
                Requirements::Set(set) => self
                    .selection
                    .check_none()
                    .and_then(|()| set.python(target).map(|_| ())),
                Requirements::Lock(file) => file
                    .lock()
                    .choose(target, policy, &self.selection)
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

    /// That the lock file is not up to date with the project it was given with.
    pub fn outdated_problem(&self) -> Option<Problem> {
        let Requirements::Lock(file) = &self.requirements else {
            return None;
        };
        file.outdated().map(outdated_problem)
    }

    /// That a request names files as only the pipeline does, which keeps them in the place of what was
    /// named: they have not been checked.
    pub fn kept_files_problem(&self) -> Option<Problem> {
        let is_any_kept = self.contents.files.iter().any(FileSource::is_kept);
        is_any_kept.then(|| {
            let message = "`Sha256` in `Files` is for the pipeline itself";
            Problem::error(code::FILES_INVALID, message)
                .help("name a `Key` or a `Prefix` of the inbox")
        })
    }

    /// The normalised JSON: every default is written out.
    ///
    /// # Panics
    ///
    /// Never: strings, lists and booleans are always JSON.
    pub fn to_json(&self) -> String {
        let document = RequestDocument::from(self);
        let mut text = serde_json::to_string_pretty(&document)
            .expect("strings, lists and booleans are always JSON");
        text.push('\n');
        text
    }
}

/// Reads the indexes that the pipeline's operator offers, in the form of a request's `Indexes`. One
/// with an empty `Packages` is only for requests that name it: it serves nothing by itself.
///
/// `source_name` is what the report calls the text.
pub fn read_indexes(source_name: &str, text: &str) -> Checked<Vec<Index>> {
    json::indexes::read(source_name, text)
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

fn check_size(source_name: &str, bytes: &[u8]) -> Result<(), Report> {
    if bytes.len() <= Limits::REQUEST_BYTES {
        return Ok(());
    }
    let mut report = Report::new(source_name, "");
    report.push(
        Problem::error(
            code::TOO_LARGE,
            format!(
                "the input has {} bytes, and {} are allowed",
                bytes.len(),
                Limits::REQUEST_BYTES
            ),
        )
        .help("make several layers of it"),
    );
    Err(report)
}

/// A request is kept normalised, which may be longer: its texts are escaped, its markers written
/// out. Its readers take no more either.
fn check_written((request, mut report): (Request, Report)) -> Checked<Request> {
    let written = request.to_json().len();
    if written > Limits::REQUEST_BYTES {
        report.push(
            Problem::error(
                code::TOO_LARGE,
                format!(
                    "the normalised request has {written} bytes, and {} are allowed",
                    Limits::REQUEST_BYTES
                ),
            )
            .help("make several layers of it"),
        );
    }
    report.conclude(Some(request))
}

#[cfg(test)]
mod tests;
