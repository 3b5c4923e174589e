//! Lock files: which file of which package a target gets.
//!
//! Every format becomes one [`Lock`]. uv resolves into `pylock.toml` (PEP 751), and a user may bring
//! any of them. Locked means locked: nothing here chooses a version.

mod constraint;
mod format;
mod graph;
mod local;
mod marker;
mod outdated;
mod pdm;
mod pin;
mod pipfile;
mod poetry;
mod project;
mod pylock;
mod selection;
mod uv;
mod write;
mod yanked;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::{MarkerEnvironment, PackageName};
use percent_encoding::percent_decode_str;
use url::Url;

use self::constraint::Constraint;
use self::graph::Graph;
use self::marker::Activated;
use crate::digest::Sha256;
use crate::error::Error;
use crate::excerpt::shown;
use crate::limits::Limits;
use crate::requirement::{RequirementSet, distribution_name};
use crate::target::{Architecture, PythonRelease, Runtime, Target};
use crate::wheel::WheelFilename;

pub use self::format::{LockFile, LockFormat};
use self::local::Foreign;
pub use self::local::LocalPackage;
use self::outdated::Beside;
pub use self::outdated::Outdated;
pub use self::pin::{Pins, Selected};
pub use self::selection::{GroupName, Selection, Unselected};
pub use self::write::write;
pub use self::yanked::Yanked;

/// The file of a project that most lock files are of.
pub(crate) const PROJECT: &str = "pyproject.toml";

/// A file of a package that can be downloaded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LockedFile {
    /// Where it is.
    pub url: Url,
    /// The SHA-256 that it has to have.
    pub sha256: Sha256,
    /// Its size in bytes, where the lock file says it.
    pub size: Option<u64>,
}

/// What a package is installed from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Locked {
    /// A wheel that fits the target.
    Wheel {
        /// Its file name.
        filename: WheelFilename,
        /// Where it is.
        file: LockedFile,
    },
    /// A source distribution, for want of a wheel that fits.
    SourceDistribution {
        /// Its file name.
        filename: String,
        /// Where it is.
        file: LockedFile,
    },
}

impl Locked {
    /// The file to download.
    pub fn file(&self) -> &LockedFile {
        match self {
            Self::Wheel { file, .. } | Self::SourceDistribution { file, .. } => file,
        }
    }
}

/// One package of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LockedPackage {
    /// The normalised name.
    pub name: PackageName,
    /// The version, as the lock file writes it.
    pub version: String,
    /// What it is installed from.
    pub locked: Locked,
    /// The reason why its index has yanked the version, as far as that is known; empty where the
    /// index gives none.
    pub yanked: Option<String>,
}

impl LockedPackage {
    /// Whether it is [`at_hand`](Self::at_hand).
    pub fn is_at_hand(&self) -> bool {
        self.locked.file().url.scheme() == "file"
    }

    /// A package whose wheel is at hand: nothing is fetched for it.
    pub fn at_hand(filename: WheelFilename, sha256: Sha256) -> Self {
        Self {
            name: filename.name().clone(),
            version: filename.version().to_string(),
            locked: Locked::Wheel {
                filename,
                file: LockedFile {
                    url: Url::parse("file:///").expect("it is a URL"),
                    sha256,
                    size: None,
                },
            },
            yanked: None,
        }
    }

    /// Whether a wheel is one of this package and version.
    pub fn is_in(&self, wheel: &WheelFilename) -> bool {
        *wheel.name() == self.name && same_version(wheel.version(), &self.version)
    }
}

/// What a selection is allowed to take.
#[derive(Debug, Clone, Copy, Default)]
pub struct Policy<'a> {
    /// Whether a package without a fitting wheel may come from its source distribution.
    pub allow_source_distributions: bool,
    /// What the packages were resolved from: files must have the hashes that it demands.
    pub requirements: Option<&'a RequirementSet>,
    /// Packages whose wheels are at hand: of what the lock file says of them, only what they require
    /// counts.
    pub own: &'a [PackageName],
}

/// Why a text is no lock file, and where in it.
pub(crate) struct NotALock {
    pub(crate) problem: String,
    pub(crate) span: Option<Range<usize>>,
    /// Whether the project's `pyproject.toml` would help.
    pub(crate) wants_project: bool,
}

impl NotALock {
    fn new(problem: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            span: None,
            wants_project: false,
        }
    }

    fn without_project() -> Self {
        Self {
            wants_project: true,
            ..Self::new("it does not say what the project requires, which its pyproject.toml does")
        }
    }

    fn of_toml(error: &toml::de::Error) -> Self {
        Self {
            span: error.span(),
            ..Self::new(error.message())
        }
    }

    fn into_error(self, text: &str) -> Error {
        let line = self.line(text);
        if self.wants_project {
            return Error::LockProjectMissing {
                problem: self.problem,
            };
        }
        invalid(line.map_or_else(String::new, |line| format!("line {line}: ")) + &self.problem)
    }

    /// The line of the place, from 1.
    pub(crate) fn line(&self, text: &str) -> Option<usize> {
        let start = self.span.as_ref()?.start;
        Some(text.get(..start)?.matches('\n').count() + 1)
    }
}

/// A parsed lock file.
#[derive(Debug, Clone)]
pub struct Lock {
    /// The Python versions that it is for.
    python: PythonRange,
    /// The environments that it is for; any, if there are none.
    environments: Vec<Environment>,
    /// Groups that are selected unasked.
    default_groups: Vec<String>,
    /// Groups that may be selected; normalised.
    groups: Known,
    /// Extras that may be selected; normalised.
    extras: Known,
    packages: Vec<Package>,
    /// Whether a package may be there more than once, as long as it says the same: in pdm's format
    /// each of its extras is a package, in pipenv's each category has its own.
    may_repeat: bool,
    /// Whether extras are groups, too.
    extras_are_groups: bool,
    /// Whether the project's `pyproject.toml` was needed.
    uses_project: bool,
    /// The folders of the other members, of the lock of a workspace whose root is a project.
    members: Vec<String>,
    /// How packages lead to each other, in formats that do not say of each whether it applies.
    graph: Option<Graph>,
}

/// Names that may be selected.
#[derive(Debug, Clone, Default)]
enum Known {
    /// Whatever is selected: the format need not say what there is.
    #[default]
    Unsaid,
    /// One of these.
    Named(Vec<String>),
}

/// Which Python versions a lock file is for.
#[derive(Debug, Clone, Default)]
enum PythonRange {
    #[default]
    Any,
    /// By PEP 440.
    Specifiers(String),
    /// By poetry.
    Constraint(String),
}

impl PythonRange {
    fn text(&self) -> &str {
        match self {
            Self::Any => "",
            Self::Specifiers(text) | Self::Constraint(text) => text,
        }
    }

    /// The sets of specifiers of which a version has to satisfy one.
    fn alternatives(&self) -> Result<Vec<VersionSpecifiers>, Error> {
        match self {
            Self::Any => Ok(vec![VersionSpecifiers::empty()]),
            Self::Specifiers(text) => Ok(vec![requires_python(text)?]),
            Self::Constraint(text) => Ok(Constraint::parse(text)?.into_alternatives()),
        }
    }
}

/// An environment that a lock file is for.
#[derive(Debug, Clone, Default)]
struct Environment {
    marker: Option<String>,
    /// A `requires-python`.
    python: Option<String>,
    /// A platform tag.
    platform: Option<String>,
}

/// A package of a lock file. What it says is looked at only where it applies.
#[derive(Debug, Clone, Default)]
struct Package {
    name: String,
    version: Option<String>,
    applies: Applies,
    requires_python: Option<String>,
    /// Whether it is the project whose lock file it is.
    is_project: bool,
    /// Where it comes from, if no wheel can be had from there.
    foreign: Option<Foreign>,
    /// The index of its files, where the lock file names one and not their URLs.
    index: Option<String>,
    files: Vec<File>,
    /// The reason why its index has yanked it, if that is noted.
    yanked: Option<String>,
}

/// When a package applies.
#[derive(Debug, Clone, Default)]
enum Applies {
    /// Always, or as a graph says.
    #[default]
    Always,
    /// Where a marker is true.
    If(String),
    /// Where one of these groups is selected whose marker is true.
    In(Vec<(String, Option<String>)>),
}

#[derive(Debug, Clone, Default)]
struct File {
    name: Option<String>,
    url: Option<String>,
    path: Option<String>,
    size: Option<u64>,
    sha256: Option<String>,
}

impl Lock {
    /// Parses a `pylock.toml`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        pylock::read(text).map_err(|error| error.into_error(text))
    }

    /// The URLs of all files, each with the normalised name of its package.
    pub fn urls(&self) -> impl Iterator<Item = (String, &str)> {
        self.packages.iter().flat_map(|package| {
            let urls = package.files.iter().filter_map(|file| file.url.as_deref());
            let name = distribution_name(&package.name);
            let name = name.map_or_else(|| package.name.clone(), |name| name.to_string());
            urls.map(move |url| (name.clone(), url))
        })
    }

    /// The same without the packages that are not required.
    #[must_use]
    pub fn only(mut self, requirements: &RequirementSet) -> Self {
        let required = |name: &PackageName| {
            let mut all = requirements.requirements.iter();
            all.any(|requirement| requirement.specifier.name == *name)
        };
        let is_required =
            |package: &Package| distribution_name(&package.name).is_some_and(|it| required(&it));
        self.packages.retain(is_required);
        self
    }

    /// The packages that a target gets, ordered by name, each with the file that fits best.
    ///
    /// # Errors
    ///
    /// Also [`Error::LockInvalid`] where a file's URL is not said, in formats that may not say it:
    /// [`Self::choose`] is for those.
    pub fn select(&self, target: Target, policy: Policy<'_>) -> Result<Vec<LockedPackage>, Error> {
        let selected = self.choose(target, policy, &Selection::default())?;
        if let Some(pin) = selected.pins.iter().flat_map(Pins::names).next() {
            return Err(invalid(format!(
                "it does not say where the files of {pin} are"
            )));
        }
        Ok(selected.packages)
    }

    /// What a target gets: packages with the file that fits best, and pins whose files have to be
    /// located.
    pub fn choose(
        &self,
        target: Target,
        policy: Policy<'_>,
        selection: &Selection,
    ) -> Result<Selected, Error> {
        let (environment, mut applying) = self.applying(target, policy, selection)?;
        applying.retain(|name, _| !policy.own.contains(name));
        if let Some(set) = policy.requirements {
            check_hashes(set, applying.keys(), &environment)?;
        }
        let several = |name: &PackageName| {
            invalid(format!(
                "more than one version of {name} applies to {target}"
            ))
        };
        let mut packages: BTreeMap<PackageName, pin::Choice> = BTreeMap::new();
        for (name, alike) in applying {
            // Which one is meant is not ours to guess; that none of them fits would be beside the point.
            let versions = alike.iter().map(|package| &package.version);
            if alike.len() > 1 && !(self.may_repeat && versions.is_sorted_by(|a, b| a == b)) {
                return Err(several(&name));
            }
            for package in alike {
                let choice = package.choose(&name, target, &environment, policy)?;
                if packages.get(&name).is_some_and(|before| choice != *before) {
                    return Err(several(&name));
                }
                packages.insert(name.clone(), choice);
            }
        }
        // Before anybody is asked where they are.
        if packages.len() > Limits::PACKAGES {
            let packages = packages.len();
            return Err(Error::TooManyPackages { packages });
        }
        Ok(Selected::of(packages))
    }

    /// Packages that no selection leads to, with their markers: they ask for an extra, and the lock
    /// file has none. Whoever installs it leaves them out.
    pub(crate) fn out_of_reach(&self) -> impl Iterator<Item = (&str, &str)> {
        let has_extras = !matches!(&self.extras, Known::Named(extras) if extras.is_empty());
        let packages = self.packages.iter().filter(move |_| !has_extras);
        let markers = packages.flat_map(|package| {
            let markers: Vec<&str> = match &package.applies {
                Applies::Always => Vec::new(),
                Applies::If(marker) => vec![marker],
                Applies::In(groups) => groups.iter().filter_map(|it| it.1.as_deref()).collect(),
            };
            markers.into_iter().map(|marker| (&*package.name, marker))
        });
        let is_true = |marker: &str| {
            let activated = Activated::default();
            Target::all().any(|target| {
                let environment = PythonRelease::recent(target).markers();
                // One that is not valid is told where it applies.
                marker::evaluate(marker, &environment, &activated).unwrap_or(true)
            })
        };
        markers.filter(move |(_, marker)| marker.contains("extra") && !is_true(marker))
    }

    /// The packages of what was just resolved that have no file for the target, with their versions:
    /// the resolver may take the target's platform for a newer one.
    pub fn unfit(
        &self,
        target: Target,
        policy: Policy<'_>,
    ) -> Result<Vec<(PackageName, String)>, Error> {
        let environment = PythonRelease::recent(target).markers();
        let mut unfit = Vec::new();
        for package in &self.packages {
            let name = package.name()?;
            let chosen = package.choose(&name, target, &environment, policy);
            if let Err(Error::WheelNotFound { version, .. }) = chosen {
                unfit.push((name, version));
            }
        }
        Ok(unfit)
    }

    /// The packages that apply, by their names, and what their markers were judged by.
    fn applying(
        &self,
        target: Target,
        policy: Policy<'_>,
        selection: &Selection,
    ) -> Result<(MarkerEnvironment, BTreeMap<PackageName, Vec<&Package>>), Error> {
        selection.check(self)?;
        let mut activated = Activated::new(&self.default_groups, selection);
        if self.extras_are_groups {
            activated.add_groups(&selection.extras);
        }
        // What was just resolved was resolved for the release of its requirements.
        let python = match policy.requirements {
            Some(requirements) => requirements.python(target)?,
            None => self.python(target, &activated)?,
        };
        let environment = python.markers();
        let chosen: BTreeSet<usize> = match &self.graph {
            Some(graph) => graph
                .reach(self, &environment, &activated, policy.own)?
                .into_iter()
                .collect(),
            None => (0..self.packages.len()).collect(),
        };
        let mut applying: BTreeMap<PackageName, Vec<&Package>> = BTreeMap::new();
        for package in chosen.iter().filter_map(|at| self.packages.get(*at)) {
            if !package.is_project && package.applies(&environment, &activated)? {
                applying.entry(package.name()?).or_default().push(package);
            }
        }
        Ok((environment, applying))
    }

    /// The requirements of a project that a target's packages do not satisfy, as sentences. What
    /// comes from the user's own wheels is not looked at.
    pub fn unmet(
        &self,
        requirements: &RequirementSet,
        target: Target,
        policy: Policy<'_>,
        selection: &Selection,
    ) -> Result<Vec<String>, Error> {
        let (environment, applying) = self.applying(target, policy, selection)?;
        let mut unmet = Vec::new();
        for requirement in &requirements.requirements {
            let specifier = &requirement.specifier;
            let name = &specifier.name;
            if policy.own.contains(name) || !specifier.evaluate_markers(&environment, &[]) {
                continue;
            }
            let Some(packages) = applying.get(name) else {
                unmet.push(outdated::not_locked(name.as_ref()));
                continue;
            };
            let versions = packages
                .iter()
                .filter_map(|package| package.version.as_deref());
            for version in versions {
                if version
                    .parse()
                    .is_ok_and(|version| requirement.is_unmet_by(&version, target))
                {
                    unmet.push(format!(
                        "`{specifier}` is required, and {version} is locked"
                    ));
                }
            }
        }
        Ok(unmet)
    }

    /// The folders of a workspace's members, if its root requires nothing.
    pub fn members_without_root(&self) -> Vec<String> {
        let root = self.graph.as_ref().map(Graph::requires_nothing);
        let members = self.members.iter().filter(|_| root == Some(true));
        members.cloned().collect()
    }

    /// Whether it does not say where some of its files are.
    pub fn has_files_to_locate(&self) -> bool {
        let mut files = self.packages.iter().flat_map(|package| &package.files);
        files.any(|file| file.url.is_none() && file.path.is_none())
    }

    /// Returns whether some release of a runtime's Python is one that it is for. One that can't say
    /// so may be for any.
    pub(crate) fn is_for(&self, runtime: Runtime) -> bool {
        let targets = Architecture::ALL.map(|architecture| Target {
            runtime,
            architecture,
        });
        let is_for = |target| {
            let release = self.python(target, &Activated::default());
            !matches!(release, Err(Error::LockMismatch { .. }))
        };
        targets.into_iter().any(is_for)
    }

    /// The release of Python that its packages are selected for: of those that it is for, the recent
    /// one or else the newest.
    fn python(&self, target: Target, activated: &Activated) -> Result<PythonRelease, Error> {
        let range = self.python.alternatives()?;
        let environments = self.environments.iter().flat_map(Environment::texts);
        let statements = [self.python.text()].into_iter().chain(environments);
        let mut releases = PythonRelease::told_apart_by(target, statements)
            .filter(|release| range.iter().any(|it| release.satisfies(it)))
            .peekable();
        if releases.peek().is_none() {
            let requires = shown(self.python.text());
            return Err(mismatch(target, format!("it requires Python {requires}")));
        }
        for release in releases.take(Limits::LOCK_RELEASES) {
            let mut fits = self.environments.is_empty();
            for candidate in &self.environments {
                fits |= candidate.fits(target, &release.markers(), activated)?;
            }
            if fits {
                return Ok(release);
            }
        }
        let problem = "none of its environments is this one".into();
        Err(mismatch(target, problem))
    }
}

impl Environment {
    fn of_marker(marker: String) -> Self {
        Self {
            marker: Some(marker),
            ..Self::default()
        }
    }

    /// Returns what it says of Python versions, and of others.
    fn texts(&self) -> impl Iterator<Item = &str> {
        self.marker
            .as_deref()
            .into_iter()
            .chain(self.python.as_deref())
    }

    fn fits(
        &self,
        target: Target,
        environment: &MarkerEnvironment,
        activated: &Activated,
    ) -> Result<bool, Error> {
        if let Some(marker) = &self.marker
            && !applies(marker, environment, activated)?
        {
            return Ok(false);
        }
        if let Some(python) = &self.python
            && !python_satisfies(python, environment)?
        {
            return Ok(false);
        }
        Ok(match self.platform.as_deref() {
            None => true,
            // PDM's names: of a platform that is asked for as `linux` the machine alone is meant, and it
            // writes the newest glibc that it knows. Each wheel is held against the target's own.
            Some(platform) => {
                [
                    "linux_",
                    "manylinux_",
                    "manylinux1_",
                    "manylinux2010_",
                    "manylinux2014_",
                ]
                .iter()
                .find_map(|family| platform.strip_prefix(family))
                .is_some_and(|rest| rest.ends_with(target.architecture.machine()))
                    || (platform == "linux" && target.architecture.machine() == "x86_64")
            }
        })
    }
}

fn mismatch(target: Target, problem: String) -> Error {
    Error::LockMismatch {
        target: target.to_string(),
        problem,
    }
}

fn applies(
    marker: &str,
    environment: &MarkerEnvironment,
    activated: &Activated,
) -> Result<bool, Error> {
    marker::evaluate(marker, environment, activated).map_err(|problem| {
        let marker = shown(marker);
        invalid(format!("the marker `{marker}` is not valid: {problem}"))
    })
}

/// Returns whether a marker is true in a target's runtime, at a recent patch version.
pub(crate) fn marker_applies(marker: &str, target: Target) -> Result<bool, Error> {
    let environment = PythonRelease::recent(target).markers();
    applies(
        marker,
        &environment,
        &Activated::new(&[], &Selection::default()),
    )
}

/// Whether a path is the folder that a lock file is in, where its project is.
fn is_own_folder(path: &str) -> bool {
    matches!(path, "." | "./")
}

impl Package {
    fn name(&self) -> Result<PackageName, Error> {
        distribution_name(&self.name)
            .ok_or_else(|| invalid(format!("`{}` is not a package name", shown(&self.name))))
    }

    fn applies(
        &self,
        environment: &MarkerEnvironment,
        activated: &Activated,
    ) -> Result<bool, Error> {
        match &self.applies {
            Applies::Always => Ok(true),
            Applies::If(marker) => applies(marker, environment, activated),
            Applies::In(groups) => {
                let mut is_needed = false;
                for (group, marker) in groups {
                    is_needed |= activated.has_group(group)
                        && match marker {
                            Some(marker) => applies(marker, environment, activated)?,
                            None => true,
                        };
                }
                Ok(is_needed)
            }
        }
    }

    fn choose(
        &self,
        name: &PackageName,
        target: Target,
        environment: &MarkerEnvironment,
        policy: Policy<'_>,
    ) -> Result<pin::Choice, Error> {
        if let Some(requires) = &self.requires_python
            && !python_satisfies(requires, environment)?
        {
            let problem = format!("{name} requires Python {requires}");
            return Err(mismatch(target, problem));
        }
        if let Some(foreign) = &self.foreign {
            return Err(foreign.unsupported(name));
        }
        let is_located = |file: &File| file.url.is_some() || file.path.is_some();
        if self.files.iter().all(is_located) {
            self.select(name, target, environment, policy)
                .map(|package| pin::Choice::Package(Box::new(package)))
        } else {
            self.pin(name, target, policy).map(pin::Choice::Pin)
        }
    }

    fn select(
        &self,
        name: &PackageName,
        target: Target,
        environment: &MarkerEnvironment,
        policy: Policy<'_>,
    ) -> Result<LockedPackage, Error> {
        let mut wheels = Vec::new();
        let mut sdist = None;
        for file in &self.files {
            let filename = file.filename(name)?;
            match filename.strip_suffix(".whl") {
                Some(_) => {
                    let parsed: WheelFilename = filename
                        .parse()
                        .map_err(|error| invalid(format!("{error}")))?;
                    wheels.push((parsed, file));
                }
                None => sdist = Some((filename, file)),
            }
        }
        let version = self.version(name, &wheels)?;
        let accepted = policy
            .requirements
            .and_then(|set| set.accepted_hashes(name, environment));
        let is_accepted = |file: &File| match &accepted {
            None => Ok(true),
            Some(accepted) => Ok(accepted.contains(&file.sha256(name)?)),
        };
        let fitting: Vec<_> = wheels
            .iter()
            .filter_map(|(filename, file)| Some((target.rank_wheel(filename)?, filename, file)))
            .collect();
        let mut usable = Vec::new();
        for wheel in &fitting {
            if is_accepted(wheel.2)? {
                usable.push(wheel);
            }
        }
        // The best tag, then the highest build number; the name only so that one always wins.
        let best = usable.into_iter().min_by_key(|(rank, filename, _)| {
            (*rank, Reverse(filename.build()), filename.as_str())
        });
        if let Some((_, filename, file)) = best {
            if filename.name() != name || !same_version(filename.version(), &version) {
                return Err(invalid(format!(
                    "`{filename}` is listed as a wheel of {name} {version}"
                )));
            }
            let locked = Locked::Wheel {
                filename: (*filename).clone(),
                file: file.locked(name)?,
            };
            return Ok(LockedPackage {
                name: name.clone(),
                version,
                locked,
                yanked: self.yanked.clone(),
            });
        }
        if !fitting.is_empty() {
            return Err(Error::HashNotAllowed {
                package: name.to_string(),
                version,
            });
        }
        match sdist {
            Some((filename, file)) if policy.allow_source_distributions => {
                if !is_accepted(file)? {
                    return Err(Error::HashNotAllowed {
                        package: name.to_string(),
                        version,
                    });
                }
                let locked = Locked::SourceDistribution {
                    filename,
                    file: file.locked(name)?,
                };
                Ok(LockedPackage {
                    name: name.clone(),
                    version,
                    locked,
                    yanked: self.yanked.clone(),
                })
            }
            _ => {
                let wheels = wheels.iter().map(|(filename, _)| filename.to_string());
                let instead = wheels.chain(sdist.map(|(filename, _)| filename)).collect();
                let (package, target) = (name.to_string(), target.to_string());
                Err(Error::WheelNotFound {
                    package,
                    version,
                    target,
                    instead,
                })
            }
        }
    }

    /// The version, which may be absent where a wheel's name tells it (a direct URL).
    fn version<T>(
        &self,
        name: &PackageName,
        wheels: &[(WheelFilename, T)],
    ) -> Result<String, Error> {
        match (&self.version, wheels) {
            (Some(version), _) if version.parse::<Version>().is_ok() => Ok(version.clone()),
            (Some(version), _) => {
                let version = shown(version);
                Err(invalid(format!("`{version}` is not a version of {name}")))
            }
            (None, [(filename, _), ..]) => Ok(filename.version().to_string()),
            (None, []) => Err(invalid(format!("{name} has no version"))),
        }
    }
}

impl File {
    /// The file's name: one that can be the name of a file in any folder, and of no other.
    fn filename(&self, package: &PackageName) -> Result<String, Error> {
        let name = if let Some(name) = &self.name {
            name.clone()
        } else {
            let url = self.url(package)?;
            let last = url
                .path_segments()
                .and_then(|mut segments| segments.next_back());
            last.map(|segment| percent_decode_str(segment).decode_utf8_lossy())
                .unwrap_or_default()
                .into_owned()
        };
        let is_file_name = (1..=255).contains(&name.len())
            && !name.starts_with('.')
            && !name.contains(|c: char| c == '/' || c == '\\' || c.is_control());
        if is_file_name {
            Ok(name)
        } else {
            let name = shown(&name);
            Err(invalid(format!(
                "`{name}` of {package} is not the name of a file"
            )))
        }
    }

    fn url(&self, package: &PackageName) -> Result<Url, Error> {
        if self.path.is_some() && self.url.is_none() {
            return Err(Foreign::file(self.path.clone()).unsupported(package));
        }
        let url = self.url.as_deref().unwrap_or_default();
        if url.is_empty() {
            let file = self.name.as_deref().map_or_else(
                || format!("a file of {package}"),
                |name| format!("`{}` of {package}", shown(name)),
            );
            return Err(invalid(format!("{file} has neither `url` nor `path`")));
        }
        let url: Url = url.parse().map_err(|error| {
            let url = shown(url);
            invalid(format!("`{url}` of {package} is not a URL: {error}"))
        })?;
        match url.scheme() {
            "https" | "http" => Ok(url),
            scheme => Err(Foreign::of_scheme(scheme).unsupported(package)),
        }
    }

    fn sha256(&self, package: &PackageName) -> Result<Sha256, Error> {
        let hash = self.sha256.as_deref().ok_or_else(|| {
            let file = self.filename(package).unwrap_or_default();
            invalid(format!("`{file}` of {package} has no sha256"))
        })?;
        hash.parse()
            .map_err(|error| invalid(format!("{package}: {error}")))
    }

    fn locked(&self, package: &PackageName) -> Result<LockedFile, Error> {
        let mut url = self.url(package)?;
        url.set_fragment(None);
        Ok(LockedFile {
            url,
            sha256: self.sha256(package)?,
            size: self.size,
        })
    }
}

/// Checks that all packages have hashes where the requirements want them of all.
fn check_hashes<'a>(
    set: &RequirementSet,
    packages: impl Iterator<Item = &'a PackageName>,
    environment: &MarkerEnvironment,
) -> Result<(), Error> {
    if !set.wants_hashes() {
        return Ok(());
    }
    let unknown = |name: &&PackageName| set.accepted_hashes(name, environment).is_none();
    let packages: Vec<_> = packages.filter(unknown).map(ToString::to_string).collect();
    if packages.is_empty() {
        Ok(())
    } else {
        Err(Error::HashMissing { packages })
    }
}

fn invalid(problem: String) -> Error {
    Error::LockInvalid { problem }
}

fn same_version(version: &Version, text: &str) -> bool {
    text.parse::<Version>().is_ok_and(|other| other == *version)
}

/// Parses a `requires-python`.
fn requires_python(text: &str) -> Result<VersionSpecifiers, Error> {
    let specifiers = (text.len() <= Limits::REQUIREMENT_BYTES).then(|| text.parse().ok());
    specifiers
        .flatten()
        .ok_or_else(|| invalid(format!("`{}` is not a requires-python", shown(text))))
}

/// Returns whether the Python of an environment is what a `requires-python` wants.
fn python_satisfies(requires: &str, environment: &MarkerEnvironment) -> Result<bool, Error> {
    let python = &environment.python_full_version().version;
    Ok(requires_python(requires)?.contains(python))
}
