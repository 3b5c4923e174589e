//! Requirements as people write them: the lines of a `requirements.txt`.
//!
//! pip's documentation ("Requirements File Format") defines the format; where uv reads it
//! differently, a text that means two things is refused. What would reach outside the text (local
//! paths, version control, other indexes, environment variables) is refused with a reason, because
//! a layer must follow from its request alone.

use std::collections::BTreeSet;
use std::fmt;

use accretion_core::diagnostic::{Checked, Problem, code};
use accretion_core::digest::Sha256;
use accretion_core::encoding::{decode_requirements, undecodable};
use accretion_core::excerpt::shown;
use accretion_core::target::Target;
use pep440_rs::{Version, VersionSpecifiers};
pub use pep508_rs::{ExtraName, PackageName};
use pep508_rs::{MarkerEnvironment, VerbatimUrl, VersionOrUrl};

use crate::error::{ALL_HASHES, Error, no_hashes};
use crate::release::PythonRelease;

mod collected;
mod line;
mod logical;
mod option;
mod parse;
mod url;

pub(crate) use self::collected::Collected;
pub(crate) use self::line::{LineContext, MarkerCosts, fragment, parse_line};
pub(crate) use self::parse::parse_constraints;
pub use self::parse::{Include, IncludeError, NoInclude, parse};

/// One requirement: what PEP 508 expresses, and the files that may satisfy it.
///
/// Its `Display` form is a normalised line of a `requirements.txt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Name, extras, versions or URL, and marker. URLs have neither fragment nor credentials;
    /// extras are sorted.
    pub specifier: pep508_rs::Requirement<VerbatimUrl>,
    /// SHA-256 hashes of the files that may satisfy the requirement, sorted; any file may if there
    /// are none.
    pub hashes: Vec<Sha256>,
    /// True if its hash stands in the fragment of its URL alone. It binds this file then, and asks
    /// for no hash of any other.
    pub hash_in_url: bool,
}

impl Requirement {
    /// The specifier, with its hash in the URL if that is where it stands.
    fn written(&self) -> pep508_rs::Requirement<VerbatimUrl> {
        let mut written = self.specifier.clone();
        if self.hash_in_url
            && let Some(VersionOrUrl::Url(url)) = &mut written.version_or_url
            && let Some(hash) = self.hashes.first()
        {
            let mut with_hash = url.to_url();
            with_hash.set_fragment(Some(&format!("sha256={hash}")));
            *url = VerbatimUrl::from_url(with_hash);
        }
        written
    }

    /// A requirement as metadata write it. `None` for what cannot be read, which says nothing.
    pub fn of_metadata(text: &str) -> Option<Self> {
        let markers = MarkerCosts::default();
        let context = LineContext {
            constraint: false,
            allow_source_distributions: true,
            markers: &markers,
        };
        parse_line(text.trim(), context).0
    }

    /// Returns whether its marker is true for a target, without extras.
    pub fn applies(&self, target: Target) -> bool {
        let environment = PythonRelease::recent(target).markers();
        self.specifier.evaluate_markers(&environment, &[])
    }

    /// Returns whether it applies to a target, and wants other versions than this one.
    pub fn is_unmet_by(&self, version: &Version, target: Target) -> bool {
        let Some(VersionOrUrl::VersionSpecifier(versions)) = &self.specifier.version_or_url else {
            return false;
        };
        !versions.contains(version) && self.applies(target)
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.written())?;
        let mut options = self.hashes.iter().filter(|_| !self.hash_in_url);
        options.try_for_each(|hash| write!(f, " --hash=sha256:{hash}"))
    }
}

/// Requirements and the constraints they are resolved under, each sorted by their normalised lines
/// and without duplicates. Never without a requirement when it comes from a parser.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequirementSet {
    /// The requirements that the layer must satisfy.
    pub requirements: Vec<Requirement>,
    /// Versions that are chosen *if* a distribution is needed at all.
    pub constraints: Vec<Requirement>,
    /// The Python versions that they are for, if a script says it.
    pub requires_python: Option<VersionSpecifiers>,
}

impl RequirementSet {
    /// These requirements and others.
    #[must_use]
    pub fn with(mut self, others: Self) -> Self {
        self.requirements.extend(others.requirements);
        self.constraints.extend(others.constraints);
        sort(&mut self.requirements);
        sort(&mut self.constraints);
        self
    }

    /// Adds a constraint: a version of a distribution is not taken.
    pub fn exclude(&mut self, name: &PackageName, version: &str) {
        // A name and a version are a requirement.
        if let Ok(specifier) = format!("{name}!={version}").parse() {
            self.constraints.push(Requirement {
                specifier,
                hashes: Vec::new(),
                hash_in_url: false,
            });
        }
    }

    /// The same without what is required of these packages.
    #[must_use]
    pub fn without(&self, packages: &[PackageName]) -> Self {
        let others = |lines: &[Requirement]| -> Vec<_> {
            let is_other = |line: &&Requirement| !packages.contains(&line.specifier.name);
            lines.iter().filter(is_other).cloned().collect()
        };
        Self {
            requirements: others(&self.requirements),
            constraints: others(&self.constraints),
            requires_python: self.requires_python.clone(),
        }
    }

    /// The requirements as normalised lines.
    ///
    /// They are written from parsed values only, so that they can be handed to a resolver: no
    /// option but `--hash`, no include, no environment variable is ever among them.
    pub fn to_requirements_txt(&self) -> String {
        lines(&self.requirements)
    }

    /// The constraints as normalised lines, like [`Self::to_requirements_txt`].
    pub fn to_constraints_txt(&self) -> String {
        lines(&self.constraints)
    }

    /// The release of Python that they are resolved for.
    ///
    /// # Errors
    ///
    /// [`Error::PythonMismatch`] where no release of the target's runtime is one that they are for.
    pub fn python(&self, target: Target) -> Result<PythonRelease, Error> {
        let requires = self.requires_python.as_ref();
        python_of(target, requires, || "the script".to_owned())
    }

    /// Returns whether a hash is wanted of every package: as in pip, one `--hash` asks for all of
    /// them.
    pub fn wants_hashes(&self) -> bool {
        let mut lines = self.requirements.iter().chain(&self.constraints);
        lines.any(|line| !line.hashes.is_empty() && !line.hash_in_url)
    }

    /// The requirements without a hash where every package is to have one. Those with a marker are
    /// not among them: whether they apply is known once there is a target.
    pub(crate) fn without_hashes(&self) -> Vec<&Requirement> {
        if !self.wants_hashes() {
            return Vec::new();
        }
        let hashed = |name: &PackageName| {
            let mut lines = self.requirements.iter().chain(&self.constraints);
            lines.any(|line| line.specifier.name == *name && !line.hashes.is_empty())
        };
        let lines = self.requirements.iter();
        lines
            .filter(|line| line.specifier.marker.is_true() && !hashed(&line.specifier.name))
            .collect()
    }

    /// The problem that some requirements have no hash where every package is to have one.
    pub(crate) fn hashes_missing(&self) -> Option<Problem> {
        let lines: Vec<_> = self
            .without_hashes()
            .into_iter()
            .map(|line| format!("`{}`", shown(&line.specifier.to_string())))
            .collect();
        if lines.is_empty() {
            return None;
        }
        Some(Problem::error(code::HASH_MISSING, no_hashes(&lines)).help(ALL_HASHES))
    }

    /// The files of a distribution that are accepted in an environment: those that every
    /// applicable line with hashes lists, as pip has it. `None` if any file is.
    ///
    /// uv's `pip compile` does not look at the hashes of its input: the code that fetches a file must.
    pub fn accepted_hashes(
        &self,
        name: &PackageName,
        environment: &MarkerEnvironment,
    ) -> Option<BTreeSet<Sha256>> {
        self.requirements
            .iter()
            .chain(&self.constraints)
            .filter(|line| line.specifier.name == *name && !line.hashes.is_empty())
            .filter(|line| line.specifier.evaluate_markers(environment, &[]))
            .map(|line| line.hashes.iter().copied().collect::<BTreeSet<_>>())
            .reduce(|accepted, hashes| &accepted & &hashes)
    }
}

/// The release of a target's Python that something is for; `what` says what, in words.
pub(crate) fn python_of(
    target: Target,
    requires: Option<&VersionSpecifiers>,
    what: impl FnOnce() -> String,
) -> Result<PythonRelease, Error> {
    let Some(requires) = requires else {
        return Ok(PythonRelease::recent(target));
    };
    PythonRelease::satisfying(target, requires).ok_or_else(|| Error::PythonMismatch {
        what: what(),
        target: target.to_string(),
        requires: requires.to_string(),
    })
}

fn lines(requirements: &[Requirement]) -> String {
    let mut text = String::new();
    for requirement in requirements {
        text += &requirement.to_string();
        text.push('\n');
    }
    text
}

/// Sorts by normalised lines. PEP 508 types have an order too, but that of markers depends on what
/// the process parsed before.
fn sort(requirements: &mut Vec<Requirement>) {
    requirements.sort_by_cached_key(ToString::to_string);
    requirements.dedup();
}

/// Parses the name of a distribution, normalised. The library's own parser takes an empty text too.
pub(crate) fn distribution_name(text: &str) -> Option<PackageName> {
    text.parse().ok().filter(|_| !text.is_empty())
}

/// [`parse`] of bytes.
pub fn parse_bytes(
    source_name: &str,
    bytes: &[u8],
    include: &dyn Include,
    allow_source_distributions: bool,
) -> Checked<RequirementSet> {
    let text =
        decode_requirements(bytes).map_err(|error| undecodable(source_name, bytes, &error))?;
    parse(source_name, &text, include, allow_source_distributions)
}

#[cfg(test)]
mod tests;
