//! Building projects with their local dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use accretion_core::digest::Sha256;
use accretion_core::request::FileRules;
use accretion_core::request::Targets;
use accretion_core::target::Target;
use accretion_layer::files;
use accretion_layer::secrets;
use accretion_python::project::{Dependency, Given, dependencies};
use accretion_python::requirement::{ExtraName, PackageName, RequirementSet};
use accretion_python::wheel::Rank;
use accretion_python::wheel::{Requires, WheelFilename, foreign_code};
use accretion_service::ports::Wheels as _;
use accretion_service::python::OwnWheel;
use url::Url;

use super::context::{Context, Local};
use super::{ExtraPackages, real};
use crate::engine::Engine;
use crate::error::Error;
use crate::input::LocalPackage;

/// A wheel of a project.
struct Built {
    wheel: OwnWheel,
    #[cfg(feature = "aws")]
    bytes: Vec<u8>,
    requires: Vec<String>,
}

/// A local project.
pub(super) struct Found {
    name: PackageName,
    built: Vec<Built>,
    requires: Vec<String>,
    /// `None` if the path is no folder.
    context: Option<Context>,
    extras: BTreeSet<ExtraName>,
}

/// A walk from projects to their local dependencies.
pub(super) struct Walk<'a> {
    pub(super) builder: Builder<'a>,
    pub(super) given: Given,
    /// True if a lock file defines the versions and their sources.
    pub(super) is_locked: bool,
    /// The folder for copies of projects while they are built, without links.
    pub(super) work: PathBuf,
    pub(super) found: BTreeMap<PathBuf, Found>,
    pub(super) requirements: RequirementSet,
}

impl Walk<'_> {
    /// Adds a project of the command line with its dependencies.
    pub(super) async fn project(&mut self, path: &Path) -> Result<(), Error> {
        let context = Context::read(path)?;
        let members = context.members_without_root();
        if !members.is_empty() {
            return Err(Error::Service(
                accretion_layer::Error::LayerEmpty { members }.into(),
            ));
        }
        if !self.is_locked {
            let constraints = context.settle(&self.given, &self.builder.targets)?;
            self.requirements = std::mem::take(&mut self.requirements).with(constraints);
        }
        self.find(path, context.unbuilt().is_none()).await?;
        let mut open = vec![(path.to_owned(), BTreeSet::new())];
        let mut seen = BTreeSet::new();
        while let Some((path, extras)) = open.pop() {
            let found = self.found.get_mut(&path);
            let is_new = found.is_some_and(|found| {
                let before = found.extras.len();
                found.extras.extend(extras);
                found.extras.len() > before
            });
            if !seen.insert(path.clone()) && !is_new {
                continue;
            }
            for (dependency, at) in self.dependencies(&path)? {
                let requirement = dependency.requirement;
                let extras = requirement.specifier.extras.iter().cloned().collect();
                match at {
                    Some(at) if at.path == path => open.push((at.path, extras)),
                    Some(at) => {
                        let name = self.find(&at.path, at.is_package).await?;
                        if name != requirement.specifier.name {
                            let wanted = &requirement.specifier.name;
                            let problem = format!("it is `{name}`, and `{wanted}` is required");
                            return Err(unusable(&at.path, problem));
                        }
                        // An index may have an unrelated package of this name.
                        if self
                            .found
                            .get(&at.path)
                            .is_some_and(|it| it.built.is_empty())
                        {
                            let problem = format!(
                                "`{name}` is required, and is no package (`package = false`)"
                            );
                            return Err(unusable(&at.path, problem));
                        }
                        open.push((at.path, extras));
                        self.requirements.requirements.push(requirement);
                    }
                    None => self.requirements.requirements.push(requirement),
                }
            }
        }
        Ok(())
    }

    /// Returns the dependencies of a project, each with its local path, if it has one.
    fn dependencies(&self, path: &Path) -> Result<Vec<(Dependency, Option<Local>)>, Error> {
        let Some(found) = self.found.get(path) else {
            return Ok(Vec::new());
        };
        let (name, targets) = (&found.name, &self.builder.targets);
        let extras: Vec<_> = found.extras.iter().cloned().collect();
        let source_name = format!("what {name} requires");
        let read = dependencies(&source_name, &found.requires, &extras, targets);
        let (read, _) = read.map_err(Error::InputInvalid)?;
        let given = (!self.is_locked).then_some(&self.given);
        let mut dependencies = Vec::new();
        for dependency in read {
            let required = &dependency.requirement.specifier.name;
            let applies = |target: &Target| dependency.requirement.applies(*target);
            let package = |path| {
                Some(Local {
                    path,
                    is_package: true,
                })
            };
            let found_at = if required == name {
                package(path.to_owned())
            } else if let Some(url) = &dependency.local {
                package(self.original(&file_path(url)?))
            } else if let Some(context) = &found.context
                && targets.iter().any(applies)
            {
                context.local(required, &extras, targets, given)?
            } else {
                None
            };
            let at = match found_at {
                Some(at) => Some(Local {
                    path: real(&at.path)?,
                    ..at
                }),
                None => None,
            };
            if at.is_some() && required != name && !targets.iter().all(applies) {
                let problem = format!("{name} requires it for some of the targets only");
                return Err(unusable(&at.map(|at| at.path).unwrap_or_default(), problem));
            }
            dependencies.push((dependency, at));
        }
        Ok(dependencies)
    }

    /// The original of a path that may lie in a copy of a project.
    fn original(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.work) {
            Ok(copied) => Path::new("/").join(copied.components().skip(1).collect::<PathBuf>()),
            Err(_) => path.to_owned(),
        }
    }

    /// Builds the project or wheel at a path, unless it is built already, and returns its name.
    async fn find(&mut self, path: &Path, is_package: bool) -> Result<PackageName, Error> {
        if let Some(found) = self.found.get(path) {
            return Ok(found.name.clone());
        }
        let context = path.is_dir().then(|| Context::read(path)).transpose()?;
        let unbuilt = context.as_ref().and_then(|context| {
            let requires = context.unbuilt();
            let name = context.name()?.clone();
            match requires {
                Some(requires) => Some((name, requires)),
                None if !is_package => Some((name, Vec::new())),
                None => None,
            }
        });
        let (name, built, requires) = if let Some((name, requires)) = unbuilt {
            (name, Vec::new(), requires)
        } else {
            let built = self.builder.build(path).await?;
            let first = built
                .first()
                .ok_or_else(|| unusable(path, "no wheel of it was built".to_owned()))?;
            let name = first.wheel.filename.name().clone();
            let requires = first.requires.clone();
            (name, built, requires)
        };
        let same = self.found.iter().find(|(_, found)| found.name == name);
        if let Some((other, _)) = same {
            let problem = format!("`{name}` is in {}, too", other.display());
            return Err(unusable(path, problem));
        }
        let found = Found {
            name: name.clone(),
            built,
            requires,
            context,
            extras: BTreeSet::new(),
        };
        self.found.insert(path.to_owned(), found);
        Ok(name)
    }

    /// Adds a package of a lock file. Its requirements are locked.
    pub(super) async fn locked(&mut self, package: &LocalPackage) -> Result<(), Error> {
        let LocalPackage { name, path, hashes } = package;
        if self.found.values().any(|found| found.name == *name) {
            return Ok(());
        }
        if path.is_file() && !hashes.is_empty() {
            let actual =
                Sha256::of(&fs::read(path).map_err(|error| Error::unreadable(path, error))?);
            if !hashes.contains(&actual) {
                return Err(accretion_local::Error::HashMismatch {
                    file: path.display().to_string(),
                    expected: hashes[0],
                    actual,
                }
                .into());
            }
        }
        let found = self.find(path, true).await?;
        if found == *name {
            return Ok(());
        }
        Err(unusable(
            path,
            format!("it is `{found}`, and `{name}` is locked"),
        ))
    }

    /// Returns the packages that were built.
    pub(super) fn finish(self) -> ExtraPackages {
        let mut own = ExtraPackages {
            requirements: RequirementSet::default().with(self.requirements),
            ..ExtraPackages::default()
        };
        for built in self.found.into_values().flat_map(|found| found.built) {
            own.wheels.push(built.wheel);
            #[cfg(feature = "aws")]
            own.bytes.push(built.bytes);
        }
        own
    }
}

fn unusable(path: &Path, problem: String) -> Error {
    Error::ProjectUnusable {
        path: path.to_owned(),
        problem,
    }
}

/// The path of a `file:` URL.
fn file_path(url: &str) -> Result<PathBuf, Error> {
    let unusable = || {
        unusable(
            Path::new(url),
            "it is not the URL of a local file".to_owned(),
        )
    };
    let parsed = Url::parse(url).map_err(|_| unusable())?;
    parsed.to_file_path().map_err(|()| unusable())
}

/// Builds the wheels of projects.
pub(super) struct Builder<'a> {
    engine: &'a Engine,
    pub(super) targets: Vec<Target>,
    rules: FileRules,
}

impl<'a> Builder<'a> {
    pub(super) fn new(engine: &'a Engine, targets: &Targets, rules: FileRules) -> Self {
        Self {
            engine,
            targets: targets.iter().collect(),
            rules,
        }
    }

    /// The wheel of a project or wheel at a path. A project with compiled code has one for each target
    /// that this machine can build for.
    async fn build(&self, path: &Path) -> Result<Vec<Built>, Error> {
        if path.extension().is_some_and(|it| it == "whl") {
            return Ok(vec![self.admit(path, &[]).await?]);
        }
        let mut built: Vec<Built> = Vec::new();
        let mut natives = Vec::new();
        for target in &self.targets {
            if self.engine.uv.is_native(*target).await {
                natives.push(*target);
            }
        }
        let first = natives.first().or(self.targets.first());
        for target in first.into_iter().chain(&natives) {
            let fits = |built: &Built| Rank::of_wheel(*target, &built.wheel.filename).is_some();
            if !built.iter().any(fits) {
                built.push(self.build_for(path, *target).await?);
            }
            // A pure wheel serves all targets.
            let is_for_all = |it: &Built| {
                let mut targets = self.targets.iter();
                targets.all(|target| Rank::of_wheel(*target, &it.wheel.filename).is_some())
            };
            if built.iter().any(is_for_all) {
                break;
            }
        }
        Ok(built)
    }

    async fn build_for(&self, path: &Path, target: Target) -> Result<Built, Error> {
        let into = tempfile::tempdir().map_err(|error| Error::FolderUnwritable {
            path: std::env::temp_dir(),
            error,
        })?;
        let (uv, work) = (&self.engine.uv, &self.engine.projects);
        let wheel = uv.wheel_of(path, target, work, into.path()).await;
        self.admit(&wheel?, &self.targets).await
    }

    /// Verifies a wheel, checks it for secrets, and puts it into the cache. If its tags fit one of these
    /// targets, its native code must fit, too.
    async fn admit(&self, path: &Path, targets: &[Target]) -> Result<Built, Error> {
        let failed = |error: accretion_python::Error| Error::Service(error.into());
        let bytes = fs::read(path).map_err(|error| Error::unreadable(path, error))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let filename: WheelFilename = name.parse().map_err(|error| {
            failed(accretion_python::Error::WheelInvalid {
                wheel: name.to_string(),
                problem: format!("it has this name: {error}"),
            })
        })?;
        let sha256 = Sha256::of(&bytes);
        let wheels = &self.engine.wheels;
        let admitted = wheels.admit(&filename, sha256, bytes.clone()).await;
        let stored = admitted.map_err(|error| Error::Service(error.into()))?;
        let found = secrets::of_zip(&bytes).map_err(|error| unusable(path, error.to_string()))?;
        files::check_secrets(&self.rules, found).map_err(|error| Error::Service(error.into()))?;
        let open = |path: &Path| File::open(path).map_err(|error| Error::unreadable(path, error));
        let (wheel, layout) = (open(&stored.wheel)?, open(&stored.layout_file)?);
        let requires = Requires::read(&stored.layout, &wheel, &layout).map_err(failed)?;
        let fits = |target: &&Target| Rank::of_wheel(**target, &filename).is_some();
        for target in targets.iter().filter(fits) {
            let foreign = foreign_code(&stored.layout, &wheel, &layout, target.architecture);
            if let Some((file, machine)) =
                foreign.map_err(|error| Error::unreadable(path, error))?
            {
                return Err(accretion_local::Error::ArchitectureForeign {
                    file: filename.to_string(),
                    target: target.to_string(),
                    problem: format!("holds `{file}`, which is for {machine}"),
                }
                .into());
            }
        }
        Ok(Built {
            wheel: OwnWheel { filename, sha256 },
            #[cfg(feature = "aws")]
            bytes,
            requires: requires.distributions,
        })
    }
}
