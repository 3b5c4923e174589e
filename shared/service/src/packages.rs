//! The packages of a request's requirements for each target, and their wheels.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use accretion_core::layer::Conflict;
use accretion_core::limits::Limits;
use accretion_core::manifest::{Installed, yanked_warning};
use accretion_core::target::Target;
use accretion_core::{Class, Fault as _};
use accretion_layer::{Wheel, WheelFiles};
use accretion_python::Error as CoreError;
use accretion_python::lock::{Lock, Locked, LockedFile, LockedPackage, Policy};
use accretion_python::provided::{self, Requiring};
use accretion_python::request::{Request, Requirements, own_packages};
use accretion_python::requirement::{PackageName, Requirement, RequirementSet};
use accretion_python::wheel::Requires;
use futures_util::future::try_join_all;

use crate::Error;
use crate::build::SourceDistributions;
use crate::open_files::{OpenFile, OpenFiles};
use crate::own::{self, OwnWheel};
use crate::ports::{
    Event, Location, PortError, Progress, Resolution, Resolver, StoredWheel, Wheels,
};

/// Files of wheels that are open at the same time, for each layer that is being written. A layer's
/// entries are ordered by path, so few wheels take turns.
const OPEN_FILES: usize = 64;

/// The origin of a layer's packages.
enum Source<'a> {
    Resolve(&'a RequirementSet),
    Locked(&'a Lock),
}

/// The source of the locations of pinned files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Locating {
    /// Earlier answers.
    Remembered,
    /// The index, queried anew.
    Anew,
}

/// The code of downloads for a file that is not where it was.
const FILE_NOT_FOUND: &str = "FileNotFound";

/// Finds out which packages a request's layers consist of, and gets them.
pub(crate) struct Packages<'a, R, W> {
    request: &'a Request,
    own_wheels: Vec<OwnWheel>,
    source: Source<'a>,
    source_distributions: SourceDistributions,
    resolver: &'a R,
    wheels: &'a W,
    progress: &'a dyn Progress,
}

/// The result of a resolution.
pub(crate) struct Resolved {
    /// The packages of the layer, ordered by name.
    pub(crate) packages: Vec<LockedPackage>,
    /// The packages that are left out.
    pub(crate) excluded: Vec<LeftOut>,
    /// Warnings about the layer.
    pub(crate) warnings: Vec<String>,
}

/// A package that is left out.
pub(crate) struct LeftOut {
    pub(crate) package: LockedPackage,
    /// The oldest version that the runtime has, where that is why; otherwise the request names it.
    pub(crate) runtime_has: Option<&'static str>,
}

impl<'a, R: Resolver, W: Wheels> Packages<'a, R, W> {
    /// Nothing is asked of anybody yet.
    pub(crate) fn new(
        request: &'a Request,
        source_distributions: SourceDistributions,
        resolver: &'a R,
        wheels: &'a W,
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
            resolver,
            wheels,
            progress,
        })
    }

    /// With wheels of one's own.
    pub(crate) fn with_own(self, own_wheels: Vec<OwnWheel>) -> Self {
        Self { own_wheels, ..self }
    }

    /// All that the layer could consist of, what is left out included, ordered by name.
    pub(crate) async fn all(
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
        let allowed = requested && can_be_built;
        let selected = self.select(target, allowed, locating).await;
        let mut packages = match self.source_distributions {
            _ if !requested || can_be_built => selected?,
            SourceDistributions::InSandboxes => selected.map_err(Error::for_want_of_a_sandbox)?,
            _ => selected.map_err(Error::for_want_of_sources)?,
        };
        own::install(&self.own_wheels, target, &mut packages)?;
        self.check_own(&packages, target).await?;
        if packages.len() > Limits::PACKAGES {
            let packages = packages.len();
            return Err(accretion_python::Error::TooManyPackages { packages }.into());
        }
        Ok(packages)
    }

    /// Checks that the user's own wheels are for a target's Python, and have the versions that the
    /// request requires.
    async fn check_own(&self, packages: &[LockedPackage], target: Target) -> Result<(), Error> {
        for package in packages.iter().filter(|package| package.is_at_hand()) {
            if let Locked::Wheel { filename, file } = &package.locked {
                let wheel = self.wheels.get(filename, file).await?;
                requires(&wheel)?.check_python(filename.as_str(), target)?;
            }
        }
        if let Source::Resolve(set) = &self.source {
            let lines = set.requirements.iter().chain(&set.constraints);
            own::check_versions(&self.own_wheels, lines, target, None)?;
        }
        Ok(())
    }

    /// Checks that the user's own wheels have the versions that other packages require.
    fn check_required(
        &self,
        packages: &[LockedPackage],
        wheels: &[Arc<StoredWheel>],
        target: Target,
    ) -> Result<(), accretion_python::Error> {
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

    /// The packages that go into the layer, and those that are left out.
    pub(crate) async fn resolve(
        &self,
        target: Target,
        locating: Locating,
    ) -> Result<Resolved, Error> {
        let packages = self.all(target, locating).await?;
        let (excluded, packages): (Vec<_>, Vec<_>) = packages
            .into_iter()
            .partition(|package| self.request.input.exclude.contains(&package.name));
        let mut excluded: Vec<_> = excluded.into_iter().map(LeftOut::named).collect();
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

    /// Leaves out what the runtime has, if the request says so, and says why something stays.
    async fn without_provided(
        &self,
        packages: Vec<LockedPackage>,
        target: Target,
        excluded: &mut Vec<LeftOut>,
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
        let wheels = self.fetch(&packages, target).await?;
        let requiring = packages.iter().zip(&wheels).map(|(package, wheel)| {
            Ok(Requiring {
                name: package.name.clone(),
                version: package.version.clone(),
                requires: requires(wheel)?.distributions,
                is_own: package.is_at_hand(),
            })
        });
        let all = requiring.collect::<Result<Vec<_>, accretion_python::Error>>()?;
        let division = provided::divide(target, requirements, &all)?;
        let mut left = Vec::with_capacity(packages.len());
        for package in packages {
            match division.out.get(&package.name) {
                None => left.push(package),
                Some(at_least) => excluded.push(LeftOut {
                    package,
                    runtime_has: Some(at_least),
                }),
            }
        }
        excluded.sort_by(|one, other| one.package.name.cmp(&other.package.name));
        let warnings = division.kept.iter().map(ToString::to_string);
        Ok((left, warnings.collect()))
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
                // Wheels and files of one's own need nothing.
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
                    let found = self.resolver.resolve(resolution).await?;
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
        let mut first_unfit: Option<CoreError> = None;
        let mut left = Limits::RESOLUTIONS;
        loop {
            let resolution = Resolution {
                requirements: &narrowed,
                own: policy.own,
                target,
                allow_source_distributions: policy.allow_source_distributions,
                located: None,
            };
            let lock = match self.resolver.resolve(resolution).await {
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
                Err(unfit @ CoreError::WheelNotFound { .. }) if left > 0 => {
                    for (name, version) in lock.unfit(target, policy)? {
                        narrowed.exclude(&name, &version);
                    }
                    first_unfit.get_or_insert(unfit);
                }
                selected => return Ok(selected.map_err(of_resolver)?),
            }
        }
    }

    /// Returns whether remembered locations of files may have caused a failure.
    pub(crate) fn may_be_out_of_date(&self, error: &Error) -> bool {
        matches!(self.source, Source::Locked(lock) if lock.has_files_to_locate())
            && error.code() == FILE_NOT_FOUND
    }

    /// The packages that go into the layer, and their wheels.
    pub(crate) async fn install(
        &self,
        target: Target,
    ) -> Result<(Vec<LockedPackage>, Vec<Arc<StoredWheel>>), Error> {
        let attempt = async |locating| {
            let packages = self.resolve(target, locating).await?.packages;
            let wheels = self.fetch(&packages, target).await?;
            Ok((packages, wheels))
        };
        match attempt(Locating::Remembered).await {
            Err(error) if self.may_be_out_of_date(&error) => attempt(Locating::Anew).await,
            installed => installed,
        }
    }

    /// The wheels of packages, in their order.
    pub(crate) async fn fetch(
        &self,
        packages: &[LockedPackage],
        target: Target,
    ) -> Result<Vec<Arc<StoredWheel>>, PortError> {
        let sources: Vec<_> = packages.iter().filter_map(source).collect();
        if !sources.is_empty() {
            self.wheels.prepare(&sources, target).await?;
        }
        let fetches = packages.iter().map(async |package| match &package.locked {
            Locked::Wheel { filename, file } => self.wheels.get(filename, file).await,
            Locked::SourceDistribution { filename, file } => {
                let built = self.wheels.build(filename, file, target).await?;
                is_of(&built, package, filename)?;
                Ok(built)
            }
        });
        let wheels = try_join_all(fetches).await?;
        self.check_required(packages, &wheels, target)?;
        Ok(wheels)
    }

    /// The packages that the runtime has and that could still be left out. Nothing of a lock is.
    pub(crate) fn providable(&self) -> BTreeSet<&'static str> {
        match &self.source {
            Source::Resolve(_) if !self.request.contents.provided_by_runtime => provided::names(),
            _ => BTreeSet::new(),
        }
    }

    /// That there is nothing to make a layer of.
    pub(crate) fn nothing_left(&self) -> accretion_layer::Error {
        let members = match &self.source {
            Source::Locked(lock) => lock.members_without_root(),
            Source::Resolve(_) => Vec::new(),
        };
        accretion_layer::Error::LayerEmpty { members }
    }

    /// The packages that come from no index: their wheels are at hand, or will be where the layer is
    /// built.
    fn own_packages(&self) -> Vec<PackageName> {
        let at_hand = self.own_wheels.iter().map(|it| it.filename.name().clone());
        at_hand
            .chain(own_packages(&self.request.contents))
            .collect()
    }
}

/// Returns the error for a lock that the resolver wrote: the user did not give it, and so can't fix
/// it.
fn of_resolver(error: accretion_python::Error) -> accretion_python::Error {
    match error {
        accretion_python::Error::LockInvalid { problem } => {
            accretion_python::Error::PackageUnusable { problem }
        }
        error => error,
    }
}

impl LeftOut {
    /// A package that the request excludes.
    fn named(package: LockedPackage) -> Self {
        Self {
            package,
            runtime_has: None,
        }
    }
}

/// Reads the requirements of a wheel from its metadata.
fn requires(wheel: &StoredWheel) -> Result<Requires, accretion_python::Error> {
    let open = |path: &Path| {
        File::open(path).map_err(|error| accretion_python::Error::WheelRead {
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
fn is_of(
    built: &StoredWheel,
    package: &LockedPackage,
    source: &str,
) -> Result<(), accretion_python::Error> {
    if package.is_in(&built.filename) {
        return Ok(());
    }
    let problem = format!("it was built from `{source}`");
    let wheel = built.filename.to_string();
    Err(accretion_python::Error::WheelInvalid { wheel, problem })
}

/// Describes a package for a manifest.
pub(crate) fn installed(package: &LockedPackage, wheel: &StoredWheel) -> Installed {
    Installed {
        name: package.name.to_string(),
        version: package.version.clone(),
        wheel: match &package.locked {
            Locked::Wheel { filename, .. } => filename.to_string(),
            Locked::SourceDistribution { .. } => wheel.filename.to_string(),
        },
        sha256: Some(package.locked.file().sha256),
        built_from: match &package.locked {
            Locked::Wheel { .. } => None,
            Locked::SourceDistribution { filename, .. } => Some(filename.clone()),
        },
        size: Some(wheel.layout.compressed_size()),
        unzipped_size: Some(wheel.layout.size()),
        yanked: package.yanked.clone(),
        runtimes: Vec::new(),
    }
}

/// A wheel as a plan takes it.
pub(crate) fn planned(wheel: &StoredWheel) -> Wheel<'_> {
    Wheel {
        name: wheel.filename.name().as_ref(),
        filename: wheel.filename.as_str(),
        layout: &wheel.layout,
    }
}

/// The warning about a path that wheels claim with different content.
pub(crate) fn warning(conflict: &Conflict) -> String {
    let (path, winner) = (&conflict.path, &conflict.winner);
    let losers = conflict.losers.join(" or ");
    format!("`{path}` comes from {winner}, not from {losers}")
}

/// Lets a layer be written out of the files of wheels, in their order, and of what else was packed,
/// which comes last.
pub(crate) fn with_files<T>(
    wheels: &[Arc<StoredWheel>],
    packed: Option<PathBuf>,
    write: impl FnOnce(Vec<WheelFiles<OpenFile<'_>>>) -> Result<T, accretion_layer::Error>,
) -> Result<T, Error> {
    let paths = wheels
        .iter()
        .map(|it| [it.wheel.clone(), it.layout_file.clone()]);
    let packed = packed.map(|path| [path.clone(), path]);
    let paths: Vec<_> = paths.chain(packed).flatten().collect();
    let pairs = paths.len() / 2;
    let open = OpenFiles::new(paths, OPEN_FILES);
    let files = (0..pairs).map(|index| WheelFiles {
        wheel: open.file(2 * index),
        layout: open.file(2 * index + 1),
    });
    let written = write(files.collect());
    written.map_err(|error| match open.into_failure() {
        Some((index, error)) if index / 2 < wheels.len() => {
            let wheel = wheels[index / 2].filename.to_string();
            accretion_python::Error::WheelRead { wheel, error }.into()
        }
        _ => error.into(),
    })
}
