//! The packages of a request's requirements for each target, and their wheels.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use accretion_core::digest::{Component, Sha256};
use accretion_core::limits::Limits;
use accretion_core::manifest::{Excluded, Installed, Reason, yanked_warning};
use accretion_core::target::Target;
use accretion_core::{Class, Fault as _};
use accretion_python::lock::{self, Lock, Locked, LockedFile, LockedPackage, Policy};
use accretion_python::provided::{self, Requiring};
use accretion_python::request::{PythonInput, Request, Requirements, own_packages};
use accretion_python::requirement::{PackageName, Requirement, RequirementSet};
use accretion_python::wheel::{Requires, WheelFilename};
use accretion_python::{Error as PythonError, SitePackages};
use accretion_tree::Installation;
use futures_util::future::try_join_all;

use super::PythonPorts;
use super::own::{self, OwnWheel};
use crate::Error;
use crate::ecosystem::{self, Locating, Package, Packages, Resolved};
use crate::ports::{
    Condition, Event, Location, PortError, Progress, Resolution, StoredPackage, StoredWheel,
};

/// The rule for packages without a fitting wheel: building them from source runs their code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SourceDistributions {
    /// If the request allows it.
    #[default]
    AsRequested,
    /// If the request allows it, for the runtimes that there are build sandboxes for: those in which
    /// functions can be made.
    InSandboxes,
    /// Never, whatever the request says: neither the resolver nor the wheels' port is asked to.
    Never,
}

/// The origin of a layer's packages.
enum Source<'a> {
    Resolve(&'a RequirementSet),
    Locked(&'a Lock),
}

/// The Python packages of one request.
pub struct PythonPackages<'a> {
    request: &'a Request,
    own_wheels: Vec<OwnWheel>,
    source: Source<'a>,
    source_distributions: SourceDistributions,
    ports: PythonPorts<'a>,
    progress: &'a dyn Progress,
}

impl Packages for PythonPackages<'_> {
    type Input = PythonInput;
    type Package = LockedPackage;

    fn installation(&self) -> &'static dyn Installation {
        &SitePackages
    }

    async fn supply(
        &mut self,
        filename: &str,
        sha256: Sha256,
        archive: Vec<u8>,
    ) -> Result<(), Error> {
        let filename: WheelFilename = filename.parse().map_err(|error| {
            let (wheel, problem) = (filename.to_owned(), format!("it has this name: {error}"));
            PythonError::WheelInvalid { wheel, problem }
        })?;
        self.ports.wheels.admit(&filename, sha256, archive).await?;
        self.own_wheels.push(OwnWheel { filename, sha256 });
        Ok(())
    }

    async fn resolve(
        &self,
        target: Target,
        locating: Locating,
    ) -> Result<Resolved<LockedPackage>, Error> {
        let candidates = self.candidates(target, locating).await?;
        let (named, packages): (Vec<_>, Vec<_>) = candidates
            .into_iter()
            .partition(|package| self.request.input.exclude.contains(&package.name));
        let mut excluded: Vec<_> = named.into_iter().map(excluded_by_name).collect();
        let (packages, mut warnings) = self
            .without_provided(packages, target, &mut excluded)
            .await?;
        warnings.extend(packages.iter().filter_map(|package| {
            let reason = package.yanked.as_deref()?;
            Some(yanked_warning(
                package.name.as_ref(),
                &package.version,
                reason,
            ))
        }));
        self.progress.on(Event::Resolved {
            target,
            packages: packages.len(),
        });
        Ok(Resolved {
            packages,
            excluded,
            warnings,
        })
    }

    async fn fetch(
        &self,
        packages: &[LockedPackage],
        target: Target,
    ) -> Result<Vec<Arc<dyn StoredPackage>>, PortError> {
        let wheels = self.wheels(packages, target).await?;
        Ok(wheels.into_iter().map(|wheel| wheel as _).collect())
    }

    fn may_be_out_of_date(&self, error: &Error) -> bool {
        matches!(self.source, Source::Locked(lock) if lock.has_files_to_locate())
            && error.condition() == Some(Condition::FileMoved)
    }

    fn requirements(&self) -> Option<Vec<ecosystem::Requirement>> {
        let Source::Resolve(set) = self.source else {
            // A lock file does not say what was asked for, only what came of it.
            return None;
        };
        let required = set
            .requirements
            .iter()
            .map(|requirement| ecosystem::Requirement {
                name: requirement.specifier.name.to_string(),
                specifier: requirement.specifier.to_string(),
            });
        Some(required.collect())
    }

    fn providable(&self) -> BTreeSet<&'static str> {
        match &self.source {
            Source::Resolve(_) if !self.request.contents.provided_by_runtime => provided::names(),
            // Nothing of a lock is left out.
            _ => BTreeSet::new(),
        }
    }

    fn nothing_left(&self) -> accretion_layer::Error {
        let members = match &self.source {
            Source::Locked(lock) => lock.members_without_root(),
            Source::Resolve(_) => Vec::new(),
        };
        accretion_layer::Error::LayerEmpty { members }
    }

    fn lock(&self, trees: &[(Target, &[LockedPackage])]) -> String {
        lock::write(trees)
    }
}

impl<'a> PythonPackages<'a> {
    /// The packages of a request. No port is asked yet.
    ///
    /// # Errors
    ///
    /// Those of a request that selects groups or extras of what is no lock file.
    pub fn new(
        request: &'a Request,
        source_distributions: SourceDistributions,
        ports: PythonPorts<'a>,
        progress: &'a dyn Progress,
    ) -> Result<Self, Error> {
        let source = match &request.input.requirements {
            Requirements::Set(set) => {
                request.input.selection.check_none()?;
                Source::Resolve(set)
            }
            Requirements::Lock(file) => Source::Locked(file.lock()),
        };
        Ok(Self {
            request,
            own_wheels: Vec::new(),
            source,
            source_distributions,
            ports,
            progress,
        })
    }

    /// With wheels that the user supplies, which the port of wheels has already.
    #[must_use]
    pub fn with_wheels(self, own_wheels: Vec<OwnWheel>) -> Self {
        Self { own_wheels, ..self }
    }

    /// All that the layer of a target could consist of, what the request leaves out included, ordered
    /// by name.
    pub async fn candidates(
        &self,
        target: Target,
        locating: Locating,
    ) -> Result<Vec<LockedPackage>, Error> {
        let requested = self.request.input.allow_source_distributions;
        let can_be_built = match self.source_distributions {
            SourceDistributions::AsRequested => true,
            SourceDistributions::InSandboxes => target.runtime.is_supported(),
            SourceDistributions::Never => false,
        };
        let is_refused = requested && !can_be_built;
        let allowed = requested && can_be_built;
        let selected = self.select(target, allowed, locating).await;
        // The usual advice would be to allow source distributions.
        let mut packages = selected.map_err(|error| {
            let problem = error.to_string();
            match self.source_distributions {
                _ if !is_refused || !is_for_want_of_a_wheel(&error) => error,
                SourceDistributions::InSandboxes => Error::SandboxMissing { problem },
                _ => Error::SourceDistributionUnsupported { problem },
            }
        })?;
        own::install(&self.own_wheels, target, &mut packages)?;
        self.check_own(&packages, target).await?;
        if packages.len() > Limits::PACKAGES {
            let error = PythonError::TooManyPackages {
                packages: packages.len(),
            };
            return Err(error.into());
        }
        Ok(packages)
    }

    async fn select(
        &self,
        target: Target,
        allow_source_distributions: bool,
        locating: Locating,
    ) -> Result<Vec<LockedPackage>, Error> {
        let own = self.own_packages();
        let policy = |requirements| Policy {
            allow_source_distributions,
            requirements,
            own: &own,
        };
        match &self.source {
            Source::Resolve(set) => {
                set.python(target)?;
                let set = &set.without(&own);
                // Extra files and supplied wheels need no resolution.
                if set.requirements.is_empty() {
                    return Ok(Vec::new());
                }
                self.progress.on(Event::Resolving(target));
                self.resolve_fitting(set, target, policy(Some(set))).await
            }
            Source::Locked(lock) => {
                let selection = &self.request.input.selection;
                let mut selected = lock.choose(target, policy(None), selection)?;
                let all = std::mem::take(&mut selected.pins);
                if !all.is_empty() {
                    self.progress.on(Event::Resolving(target));
                }
                for pins in &all {
                    let resolution = Resolution {
                        requirements: &pins.requirements,
                        own: &[],
                        target,
                        allow_source_distributions,
                        located: Some(Location {
                            index: pins.index.as_ref(),
                            remembered: locating == Locating::Remembered,
                        }),
                    };
                    let found = self.ports.resolver.resolve(resolution).await?;
                    let located = pins.locate(&found, target, allow_source_distributions)?;
                    selected = selected.with(located);
                }
                Ok(selected.packages)
            }
        }
    }

    /// Resolves requirements into packages that all have a file for the target.
    ///
    /// A resolver may take the target's platform for a newer one, and choose versions whose wheels do
    /// not fit. Then it resolves again without those, so that the newest that fit remain.
    async fn resolve_fitting(
        &self,
        set: &RequirementSet,
        target: Target,
        policy: Policy<'_>,
    ) -> Result<Vec<LockedPackage>, Error> {
        let mut narrowed = set.clone();
        let mut first_unfit: Option<PythonError> = None;
        let mut left = Limits::RESOLUTIONS;
        loop {
            let resolution = Resolution {
                requirements: &narrowed,
                own: policy.own,
                target,
                allow_source_distributions: policy.allow_source_distributions,
                located: None,
            };
            let lock = match self.ports.resolver.resolve(resolution).await {
                Ok(lock) => lock,
                Err(error) => {
                    return Err(match first_unfit {
                        // The resolver's reasons are constraints that no user wrote.
                        Some(unfit) if error.class() != Class::Transient => unfit.into(),
                        _ => error.into(),
                    });
                }
            };
            left -= 1;
            match lock.select(target, policy) {
                Err(unfit @ PythonError::WheelNotFound { .. }) if left > 0 => {
                    for (name, version) in lock.unfit(target, policy)? {
                        narrowed.exclude(&name, &version);
                    }
                    first_unfit.get_or_insert(unfit);
                }
                selected => return Ok(selected.map_err(of_resolver)?),
            }
        }
    }

    /// The packages that come from no index: their wheels are at hand, or will be where the layer is
    /// built.
    fn own_packages(&self) -> Vec<PackageName> {
        let at_hand = self.own_wheels.iter().map(|it| it.filename.name().clone());
        at_hand
            .chain(own_packages(&self.request.contents))
            .collect()
    }

    /// Checks that the user's own wheels are for a target's Python, and have the versions that the
    /// request requires.
    async fn check_own(&self, packages: &[LockedPackage], target: Target) -> Result<(), Error> {
        for package in packages.iter().filter(|package| package.is_at_hand()) {
            if let Locked::Wheel { filename, file } = &package.locked {
                let wheel = self.ports.wheels.get(filename, file).await?;
                requires(&wheel)?.check_python(filename.as_str(), target)?;
            }
        }
        if let Source::Resolve(set) = &self.source {
            let lines = set.requirements.iter().chain(&set.constraints);
            own::check_versions(&self.own_wheels, lines, target, None)?;
        }
        Ok(())
    }

    /// Leaves out what the runtime has, if the request says so, and says why something stays.
    async fn without_provided(
        &self,
        packages: Vec<LockedPackage>,
        target: Target,
        excluded: &mut Vec<Excluded>,
    ) -> Result<(Vec<LockedPackage>, Vec<String>), Error> {
        let names = provided::names();
        let is_any = packages.iter().any(|it| names.contains(it.name.as_ref()));
        if !self.request.contents.provided_by_runtime || !is_any {
            return Ok((packages, Vec::new()));
        }
        let Source::Resolve(requirements) = &self.source else {
            // Locked means locked: that very version, which no runtime keeps.
            let warning = "a lock is installed as it is: `ProvidedByRuntime` leaves nothing out";
            return Ok((packages, vec![warning.to_owned()]));
        };
        let wheels = self.wheels(&packages, target).await?;
        let requiring = packages.iter().zip(&wheels).map(|(package, wheel)| {
            Ok(Requiring {
                name: package.name.clone(),
                version: package.version.clone(),
                requires: requires(wheel)?.distributions,
                is_own: package.is_at_hand(),
            })
        });
        let all = requiring.collect::<Result<Vec<_>, PythonError>>()?;
        let division = provided::divide(target, requirements, &all)?;
        let mut left = Vec::with_capacity(packages.len());
        for package in packages {
            match division.out.get(&package.name) {
                None => left.push(package),
                Some(at_least) => excluded.push(Excluded {
                    reason: Some(Reason::ProvidedByRuntime),
                    runtime_version: Some(format!(">={at_least}")),
                    ..excluded_by_name(package)
                }),
            }
        }
        excluded.sort_by(|one, other| one.name.cmp(&other.name));
        let warnings = division.kept.iter().map(ToString::to_string);
        Ok((left, warnings.collect()))
    }

    /// The wheels of packages, in their order.
    async fn wheels(
        &self,
        packages: &[LockedPackage],
        target: Target,
    ) -> Result<Vec<Arc<StoredWheel>>, PortError> {
        let port = self.ports.wheels;
        let sources: Vec<_> = packages.iter().filter_map(source).collect();
        if !sources.is_empty() {
            port.prepare(&sources, target).await?;
        }
        let fetches = packages.iter().map(async |package| match &package.locked {
            Locked::Wheel { filename, file } => port.get(filename, file).await,
            Locked::SourceDistribution { filename, file } => {
                let built = port.build(filename, file, target).await?;
                is_of(&built, package, filename)?;
                Ok(built)
            }
        });
        let wheels = try_join_all(fetches).await?;
        self.check_required(packages, &wheels, target)?;
        Ok(wheels)
    }

    /// Checks that the user's own wheels have the versions that other packages require.
    fn check_required(
        &self,
        packages: &[LockedPackage],
        wheels: &[Arc<StoredWheel>],
        target: Target,
    ) -> Result<(), PythonError> {
        if self.own_wheels.is_empty() {
            return Ok(());
        }
        for (package, wheel) in packages.iter().zip(wheels) {
            let distributions = requires(wheel)?.distributions;
            let required: Vec<_> = distributions
                .iter()
                .filter_map(|it| Requirement::of_metadata(it))
                .collect();
            own::check_versions(
                &self.own_wheels,
                required.iter(),
                target,
                Some(&package.name),
            )?;
        }
        Ok(())
    }
}

impl Package for LockedPackage {
    fn name(&self) -> &str {
        self.name.as_ref()
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn yanked(&self) -> Option<&str> {
        self.yanked.as_deref()
    }

    fn component(&self) -> Component<'_> {
        self.component()
    }

    fn installed(&self, stored: &dyn StoredPackage) -> Installed {
        Installed {
            name: self.name.to_string(),
            version: self.version.clone(),
            wheel: match &self.locked {
                Locked::Wheel { filename, .. } => filename.to_string(),
                Locked::SourceDistribution { .. } => stored.filename().to_owned(),
            },
            sha256: Some(self.locked.file().sha256),
            built_from: match &self.locked {
                Locked::Wheel { .. } => None,
                Locked::SourceDistribution { filename, .. } => Some(filename.clone()),
            },
            size: Some(stored.layout().compressed_size()),
            unzipped_size: Some(stored.layout().size()),
            yanked: self.yanked.clone(),
            runtimes: Vec::new(),
        }
    }
}

/// Returns the error for a lock that the resolver wrote: the user did not give it, and so can't fix
/// it.
fn of_resolver(error: PythonError) -> PythonError {
    match error {
        PythonError::LockInvalid { problem } => PythonError::PackageUnusable { problem },
        error => error,
    }
}

/// A package that the request excludes.
fn excluded_by_name(package: LockedPackage) -> Excluded {
    Excluded {
        name: package.name.to_string(),
        version: package.version,
        reason: None,
        runtime_version: None,
    }
}

/// Returns whether a package that was to be installed from a wheel may have a source distribution
/// instead.
fn is_for_want_of_a_wheel(error: &Error) -> bool {
    match error {
        Error::Python(PythonError::WheelNotFound { instead, .. }) => instead
            .iter()
            .any(|file| file.parse::<WheelFilename>().is_err()),
        // A resolver that was told to take no source distribution does not say whether there is one.
        error => error.condition() == Some(Condition::NoFittingFile),
    }
}

/// Reads the requirements of a wheel from its metadata.
fn requires(wheel: &StoredWheel) -> Result<Requires, PythonError> {
    let open = |path: &Path| {
        File::open(path).map_err(|error| PythonError::WheelRead {
            wheel: wheel.filename.to_string(),
            error,
        })
    };
    Requires::read(
        &wheel.layout,
        &open(&wheel.wheel)?,
        &open(&wheel.layout_file)?,
    )
}

/// The source distribution that a package has to be built from.
fn source(package: &LockedPackage) -> Option<(&str, &LockedFile)> {
    match &package.locked {
        Locked::Wheel { .. } => None,
        Locked::SourceDistribution { filename, file } => Some((filename, file)),
    }
}

/// Checks that a built wheel is the one of its package: the build chose its name.
fn is_of(built: &StoredWheel, package: &LockedPackage, source: &str) -> Result<(), PythonError> {
    if package.is_in(&built.filename) {
        return Ok(());
    }
    let problem = format!("it was built from `{source}`");
    let wheel = built.filename.to_string();
    Err(PythonError::WheelInvalid { wheel, problem })
}
