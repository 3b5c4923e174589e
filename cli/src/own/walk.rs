//! Building projects with the local projects that they require.

use accretion_layer::files;
use accretion_python::wheel::Rank;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use accretion_core::digest::Sha256;
use accretion_core::request::FileRules;
use accretion_core::request::Targets;
use accretion_core::target::Target;
use accretion_layer::secrets;
use accretion_python::project::{Dependency, Given, dependencies};
use accretion_python::requirement::{ExtraName, PackageName, RequirementSet};
use accretion_python::wheel::{Requires, WheelFilename, foreign_code};
use accretion_service::own::OwnWheel;
use url::Url;

use super::context::{Context, Local};
use super::locked::LocalPackage;
use super::{OwnPackages, local, real};
use crate::engine::Engine;
use crate::error::Error;

/// A wheel that is at hand.
struct Built {
    wheel: OwnWheel,
    #[cfg(feature = "aws")]
    bytes: Vec<u8>,
    requires: Vec<String>,
}

/// A project on the disk.
pub(super) struct Found {
    name: PackageName,
    built: Vec<Built>,
    requires: Vec<String>,
    /// `None` for what is no folder.
    context: Option<Context>,
    extras: BTreeSet<ExtraName>,
}

/// Follows what projects require to other projects on the disk.
pub(super) struct Walk<'a> {
    pub(super) builder: Builder<'a>,
    pub(super) given: Given,
    /// True if a lock says which versions there are, and where they come from.
    pub(super) is_locked: bool,
    /// The folder that projects are copied to while they are built, free of links.
    pub(super) work: PathBuf,
    pub(super) found: BTreeMap<PathBuf, Found>,
    pub(super) requirements: RequirementSet,
}

impl Walk<'_> {
    /// Adds a project that the user names, with what it requires.
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
                        // An index may have a stranger of its name.
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

    /// Returns the dependencies of a project, each with its place on the disk, if it is there.
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
            let at = if required == name {
                Some(path.to_owned()).map(|path| Local {
                    path,
                    is_package: true,
                })
            } else if let Some(url) = &dependency.local {
                let path = self.original(&file_path(url)?);
                Some(Local {
                    path,
                    is_package: true,
                })
            } else if let Some(context) = &found.context
                && targets.iter().any(applies)
            {
                context.local(required, &extras, targets, given)?
            } else {
                None
            };
            let at = match at {
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

    /// A path that may be one in a copy of a project.
    fn original(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.work) {
            Ok(copied) => Path::new("/").join(copied.components().skip(1).collect::<PathBuf>()),
            Err(_) => path.to_owned(),
        }
    }

    /// Builds what is at a path, unless that is done, and returns its name.
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

    /// Adds a package of a lock file. What it requires is locked.
    pub(super) async fn locked(&mut self, package: &LocalPackage) -> Result<(), Error> {
        let LocalPackage { name, path, hashes } = package;
        if self.found.values().any(|found| found.name == *name) {
            return Ok(());
        }
        if path.is_file() && !hashes.is_empty() {
            let actual = Sha256::of(&fs::read(path).map_err(|error| unreadable(path, error))?);
            if !hashes.contains(&actual) {
                return Err(local(accretion_local::Error::HashMismatch {
                    file: path.display().to_string(),
                    expected: hashes[0],
                    actual,
                }));
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
    pub(super) fn finish(self) -> OwnPackages {
        let mut own = OwnPackages {
            requirements: RequirementSet::default().with(self.requirements),
            ..OwnPackages::default()
        };
        for built in self.found.into_values().flat_map(|found| found.built) {
            own.wheels.push(built.wheel);
            #[cfg(feature = "aws")]
            own.bytes.push(built.bytes);
        }
        own
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::InputUnreadable {
        path: path.to_owned(),
        error,
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
    let path = Url::parse(url).ok().and_then(|url| url.to_file_path().ok());
    path.ok_or_else(|| {
        unusable(
            Path::new(url),
            "it is not the URL of a local file".to_owned(),
        )
    })
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

    /// The wheel of what is at a path; of a project with compiled code one for each target that this
    /// machine can build for.
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
            // Pure ones are for all of them.
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
        self.admit(&wheel.map_err(local)?, &self.targets).await
    }

    /// Verifies a wheel, which may hold no secrets, and puts it where the build finds it. If its tags
    /// fit one of these targets, its native code has to fit as well.
    async fn admit(&self, path: &Path, targets: &[Target]) -> Result<Built, Error> {
        let failed = |error: accretion_python::Error| Error::Service(error.into());
        let bytes = fs::read(path).map_err(|error| unreadable(path, error))?;
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
        let secrets =
            secrets::of_wheel(&bytes).map_err(|error| unusable(path, error.to_string()))?;
        files::check_secrets(&self.rules, secrets).map_err(|error| Error::Service(error.into()))?;
        let open = |path: &Path| File::open(path).map_err(|error| unreadable(path, error));
        let (wheel, layout) = (open(&stored.wheel)?, open(&stored.layout_file)?);
        let requires = Requires::read(&stored.layout, &wheel, &layout).map_err(failed)?;
        let fits = |target: &&Target| Rank::of_wheel(**target, &filename).is_some();
        for target in targets.iter().filter(fits) {
            let foreign = foreign_code(&stored.layout, &wheel, &layout, target.architecture);
            let foreign = foreign.map_err(|error| unreadable(path, error))?;
            if let Some((file, machine)) = foreign {
                return Err(local(accretion_local::Error::ArchitectureForeign {
                    file: filename.to_string(),
                    target: target.to_string(),
                    problem: format!("holds `{file}`, which is for {machine}"),
                }));
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
