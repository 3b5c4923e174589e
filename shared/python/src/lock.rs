//! Lock files, and the file of each package that a target gets.
//!
//! Every format becomes one [`Lock`]. uv resolves into `pylock.toml` (PEP 751), and a user may bring
//! any of them. Locked means locked: nothing here chooses a version.

mod choice;
mod constraint;
mod environment;
mod file;
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
mod syntax;
mod uv;
mod write;
mod yanked;

use std::collections::BTreeSet;

use accretion_core::digest::{Component, Sha256};
use accretion_core::excerpt::shown;
use pep440_rs::Version;
use pep508_rs::PackageName;
use url::Url;

use self::environment::{Environment, PythonRange};
use self::file::File;
use self::graph::Graph;
use self::local::Foreign;
use self::outdated::Beside;
use self::selection::normalised;
use crate::error::Error;
use crate::requirement::{RequirementSet, distribution_name};
use crate::wheel::WheelFilename;

pub use self::choice::Policy;
pub(crate) use self::environment::marker_applies;
pub use self::format::{LockFile, LockFormat};
pub use self::local::LocalPackage;
pub use self::pin::{Pins, Selected};
pub use self::selection::{GroupName, Selection, Unselected};
pub(crate) use self::syntax::NotALock;
pub use self::write::write;
pub use self::yanked::Yanked;
pub use crate::error::Outdated;

/// The file of a project that most lock files are of.
pub(crate) const PROJECT: &str = "pyproject.toml";

/// A file of a package that can be downloaded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LockedFile {
    /// Its URL.
    pub url: Url,
    /// The SHA-256 that it has to have.
    pub sha256: Sha256,
    /// Its size in bytes, where the lock file says it.
    pub size: Option<u64>,
}

/// The file that a package is installed from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Locked {
    /// A wheel that fits the target.
    Wheel {
        /// Its file name.
        filename: WheelFilename,
        /// Its URL.
        file: LockedFile,
    },
    /// A source distribution, for want of a wheel that fits.
    SourceDistribution {
        /// Its file name.
        filename: String,
        /// Its URL.
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
    /// The file that it is installed from.
    pub locked: Locked,
    /// The reason why its index has yanked the version, as far as that is known; empty where the
    /// index gives none.
    pub yanked: Option<String>,
}

impl LockedPackage {
    /// The package as a layer's digest counts it.
    pub fn component(&self) -> Component<'_> {
        Component {
            name: self.name.as_ref(),
            sha256: self.locked.file().sha256,
            source: matches!(self.locked, Locked::SourceDistribution { .. }),
        }
    }

    /// Returns whether it is [`at_hand`](Self::at_hand).
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

    /// Returns whether a wheel is one of this package and version.
    pub fn is_in(&self, wheel: &WheelFilename) -> bool {
        *wheel.name() == self.name && same_version(wheel.version(), &self.version)
    }
}

/// A parsed lock file.
#[derive(Debug, Clone, Default)]
pub struct Lock {
    /// The Python versions that it is for.
    python: PythonRange,
    /// The environments that it is for; any, if there are none.
    environments: Vec<Environment>,
    /// Groups that are selected unasked.
    default_groups: Vec<String>,
    /// Groups that may be selected.
    groups: Known,
    /// Extras that may be selected.
    extras: Known,
    packages: Vec<Package>,
    /// True if a package may be there more than once, as long as it says the same: in pdm's format
    /// each of its extras is a package, in pipenv's each category has its own.
    may_repeat: bool,
    /// True if extras are groups, too.
    extras_are_groups: bool,
    /// True if the project's `pyproject.toml` was needed.
    uses_project: bool,
    /// The folders of the other members, of the lock of a workspace whose root is a project.
    members: Vec<String>,
    /// The requirements between packages, in formats that do not say of each whether it applies.
    graph: Option<Graph>,
}

/// Names that may be selected.
#[derive(Debug, Clone, Default)]
enum Known {
    /// Unknown: the format need not list them.
    #[default]
    Unsaid,
    /// One of these, normalised.
    Named(BTreeSet<String>),
}

impl Known {
    /// These names, however they are written.
    fn names<'a>(names: impl IntoIterator<Item = &'a String>) -> Self {
        Self::Named(names.into_iter().map(|it| normalised(it)).collect())
    }
}

/// A package of a lock file. What it says is looked at only where it applies.
#[derive(Debug, Clone, Default)]
struct Package {
    name: String,
    version: Option<String>,
    applies: Applies,
    requires_python: Option<String>,
    /// True if it is the project whose lock file it is.
    is_project: bool,
    /// Its source, if that has no wheels.
    foreign: Option<Foreign>,
    /// The index of its files, where the lock file names one and not their URLs.
    index: Option<String>,
    files: Vec<File>,
    /// The reason why its index has yanked it, if that is noted.
    yanked: Option<String>,
}

/// The condition under which a package applies.
#[derive(Debug, Clone, Default)]
enum Applies {
    /// Always, or as a graph says.
    #[default]
    Always,
    /// If a marker is true.
    If(String),
    /// If one of these groups is selected whose marker is true.
    In(Vec<(String, Option<String>)>),
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
            let name = match distribution_name(&package.name) {
                Some(name) => name.to_string(),
                None => package.name.clone(),
            };
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

    /// The folders of a workspace's members, if its root requires nothing.
    pub fn members_without_root(&self) -> Vec<String> {
        let root = self.graph.as_ref().map(Graph::requires_nothing);
        let members = self.members.iter().filter(|_| root == Some(true));
        members.cloned().collect()
    }

    /// Returns whether it does not say where some of its files are.
    pub fn has_files_to_locate(&self) -> bool {
        let mut files = self.packages.iter().flat_map(|package| &package.files);
        files.any(|file| file.url.is_none() && file.path.is_none())
    }
}

/// Returns whether a path is the folder that a lock file is in, where its project is.
fn is_own_folder(path: &str) -> bool {
    matches!(path, "." | "./")
}

impl Package {
    fn name(&self) -> Result<PackageName, Error> {
        distribution_name(&self.name)
            .ok_or_else(|| invalid(format!("`{}` is not a package name", shown(&self.name))))
    }
}

fn invalid(problem: String) -> Error {
    Error::LockInvalid { problem }
}

fn same_version(version: &Version, text: &str) -> bool {
    text.parse::<Version>().is_ok_and(|other| other == *version)
}
