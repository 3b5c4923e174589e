//! Building a request's layers: resolve, compare digests, fetch, splice, keep.

use std::sync::Arc;
use std::time::{Duration, Instant};

use accretion_core::archive::Written;
use accretion_core::digest::Digest;
use accretion_core::keys;
use accretion_core::layer::{Conflict, LayerName, Plan, Wheel, WheelFiles, splice};
use accretion_core::limits::Limits;
use accretion_core::lock::{Lock, Locked, LockedPackage, Policy};
use accretion_core::manifest::{self, Builder, Excluded, Installed, Manifest, Publish};
use accretion_core::request::{Request, RequestRef, Requirements};
use accretion_core::requirement::RequirementSet;
use accretion_core::target::Target;
use futures_util::future::try_join_all;
use tokio::sync::Semaphore;

use crate::Error;
use crate::open_files::OpenFiles;
use crate::ports::{Artifacts, Clock, Event, PortError, Progress, Resolver, StoredWheel, Wheels};

/// Layers that are written at the same time. Writing is bound by memory bandwidth and the disk.
const SPLICES: usize = 2;

/// Files of wheels that are open at the same time, for each layer that is being written. A layer's
/// entries are ordered by path, so few wheels take turns.
const OPEN_FILES: usize = 64;

/// How a build goes about it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Refuse layers in which wheels claim the same path with different content.
    pub strict: bool,
    /// Whether packages may be built from source.
    pub source_distributions: SourceDistributions,
}

/// Whether packages without a fitting wheel may be built from source, which runs their code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SourceDistributions {
    /// If the request allows it.
    #[default]
    AsRequested,
    /// Never, whatever the request says: neither the resolver nor the wheels' port is asked to.
    Never,
}

/// One layer, built or found unchanged.
#[derive(Debug)]
pub struct Built {
    /// What it is for.
    pub target: Target,
    /// What it is called.
    pub layer: LayerName,
    /// What it consists of.
    pub manifest: Manifest,
    /// Whether the artifact is new; otherwise the one of the same digest was there already.
    pub changed: bool,
    /// How long it took.
    pub elapsed: Duration,
    /// What deserves attention.
    pub warnings: Vec<String>,
}

/// Where the packages of a layer come from.
enum Source<'a> {
    Resolve(&'a RequirementSet),
    Locked(Lock),
}

/// Builds the layers of one request.
pub struct Build<'a, R, W, A, C> {
    request: &'a Request,
    origin: Option<RequestRef>,
    source: Source<'a>,
    options: Options,
    resolver: &'a R,
    wheels: &'a W,
    artifacts: &'a A,
    clock: &'a C,
    progress: &'a dyn Progress,
    splices: Semaphore,
}

impl<'a, R: Resolver, W: Wheels, A: Artifacts, C: Clock> Build<'a, R, W, A, C> {
    /// Prepares to build a request's layers. `origin` is the request's identity in the pipeline.
    ///
    /// A lock file is parsed here, once for all targets.
    #[expect(
        clippy::too_many_arguments,
        reason = "the ports are what a use case is given"
    )]
    pub fn new(
        request: &'a Request,
        origin: Option<RequestRef>,
        options: Options,
        resolver: &'a R,
        wheels: &'a W,
        artifacts: &'a A,
        clock: &'a C,
        progress: &'a dyn Progress,
    ) -> Result<Self, Error> {
        let source = match &request.requirements {
            Requirements::Set(set) => Source::Resolve(set),
            Requirements::Lock(text) => Source::Locked(Lock::parse(text)?),
        };
        let splices = Semaphore::new(SPLICES);
        Ok(Self {
            request,
            origin,
            source,
            options,
            resolver,
            wheels,
            artifacts,
            clock,
            progress,
            splices,
        })
    }

    /// Builds the layer for one target, or finds that it is there already.
    pub async fn target(&self, target: Target) -> Result<Built, Error> {
        let built = self.build(target).await;
        self.progress.on(Event::Finished(target));
        built
    }

    async fn build(&self, target: Target) -> Result<Built, Error> {
        let start = Instant::now();
        let layer = LayerName::new(&self.request.name, target);
        let resolved = self.resolve(target).await?;
        let packages = resolved.packages.len();
        self.progress.on(Event::Resolved { target, packages });
        if resolved.packages.is_empty() {
            return Err(accretion_core::Error::LayerEmpty.into());
        }
        let digest = Digest::of_layer(target, &resolved.packages);
        let found = self.artifacts.find(&layer, digest).await?;
        let changed = found.is_none();
        let manifest = if let Some(found) = found {
            // It may have been built when conflicts were allowed.
            if self.options.strict
                && let Some(conflict) = found.conflicts.first()
            {
                return Err(conflict.clone().into_error().into());
            }
            let manifest = self.manifest(target, digest, resolved, Content::from(found));
            self.artifacts.keep(&layer, &manifest).await?;
            manifest
        } else {
            self.make(target, &layer, digest, resolved).await?
        };
        let warnings = manifest.conflicts.iter().map(|conflict| {
            let (path, winner) = (&conflict.path, &conflict.winner);
            let losers = conflict.losers.join(" or ");
            format!("`{path}` comes from {winner}, not from {losers}")
        });
        let warnings = warnings.collect();
        let elapsed = start.elapsed();
        Ok(Built {
            target,
            layer,
            manifest,
            changed,
            elapsed,
            warnings,
        })
    }

    /// Makes a new artifact and its manifest.
    async fn make(
        &self,
        target: Target,
        layer: &LayerName,
        digest: Digest,
        resolved: Resolved,
    ) -> Result<Manifest, Error> {
        let fetches = resolved
            .packages
            .iter()
            .map(|package| self.fetch(package, target));
        let wheels = try_join_all(fetches).await?;
        let _permit = self.splices.acquire().await;
        self.progress.on(Event::Splicing(target));
        let staged = self.artifacts.stage(layer)?;
        let spliced = splice_blocking(wheels.clone(), self.options.strict, staged).await?;
        self.progress.on(Event::Storing(target));
        let content = self.content(&resolved.packages, &wheels, &spliced);
        let manifest = self.manifest(target, digest, resolved, content);
        let Spliced {
            staged, written, ..
        } = spliced;
        self.artifacts
            .commit(layer, staged, written, &manifest)
            .await?;
        Ok(manifest)
    }

    /// The packages that go into the layer, and those that are left out.
    async fn resolve(&self, target: Target) -> Result<Resolved, Error> {
        let requested = self.request.allow_source_distributions;
        let allowed =
            requested && self.options.source_distributions == SourceDistributions::AsRequested;
        let selected = self.select(target, allowed).await;
        let packages = if requested && !allowed {
            selected.map_err(Error::for_want_of_sources)?
        } else {
            selected?
        };
        if packages.len() > Limits::PACKAGES {
            let packages = packages.len();
            return Err(accretion_core::Error::TooManyPackages { packages }.into());
        }
        let (excluded, packages) = packages
            .into_iter()
            .partition(|package| self.request.exclude.contains(&package.name));
        Ok(Resolved { packages, excluded })
    }

    async fn select(
        &self,
        target: Target,
        allow_source_distributions: bool,
    ) -> Result<Vec<LockedPackage>, Error> {
        let policy = |requirements| Policy {
            allow_source_distributions,
            requirements,
        };
        match &self.source {
            Source::Resolve(set) => {
                self.progress.on(Event::Resolving(target));
                let lock = self
                    .resolver
                    .resolve(set, target, allow_source_distributions)
                    .await?;
                Ok(lock.select(target, policy(Some(set)))?)
            }
            Source::Locked(lock) => Ok(lock.select(target, policy(None))?),
        }
    }

    async fn fetch(
        &self,
        package: &LockedPackage,
        target: Target,
    ) -> Result<Arc<StoredWheel>, PortError> {
        match &package.locked {
            Locked::Wheel { filename, file } => self.wheels.get(filename, file).await,
            Locked::SourceDistribution { filename, file } => {
                self.wheels.build(filename, file, target).await
            }
        }
    }

    /// What a new layer's manifest says of its content.
    fn content<S>(
        &self,
        packages: &[LockedPackage],
        wheels: &[Arc<StoredWheel>],
        spliced: &Spliced<S>,
    ) -> Content {
        let installed = packages
            .iter()
            .zip(wheels)
            .map(|(package, wheel)| Installed {
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
            });
        Content {
            installed: installed.collect(),
            conflicts: spliced.conflicts.clone(),
            artifact: spliced.written,
            unzipped_size: spliced.unzipped,
            builder: Builder {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                built_at: format!("{:.3}", self.clock.now()),
            },
        }
    }

    fn manifest(
        &self,
        target: Target,
        digest: Digest,
        resolved: Resolved,
        content: Content,
    ) -> Manifest {
        let request = self.request;
        let pins = |packages: &[LockedPackage]| -> Vec<String> {
            packages
                .iter()
                .map(|package| format!("{}=={}", package.name, package.version))
                .collect()
        };
        let requirements = match &request.requirements {
            Requirements::Set(set) => set
                .requirements
                .iter()
                .map(|r| r.specifier.to_string())
                .collect(),
            // A lock file does not say what was asked for, only what came of it.
            Requirements::Lock(_) => pins(&resolved.packages),
        };
        let description = request.description.clone();
        let publish = Publish {
            description: description.unwrap_or_else(|| describe(&pins(&resolved.packages))),
            license_info: request.license_info.clone(),
            permissions: request.permissions.iter().map(Into::into).collect(),
        };
        let excluded = resolved.excluded.into_iter().map(|package| Excluded {
            name: package.name.to_string(),
            version: package.version,
        });
        Manifest {
            manifest_version: manifest::VERSION,
            project_name: request.name.to_string(),
            artifact_s3_key: keys::artifact(&request.name, digest),
            runtimes: vec![target.runtime],
            architectures: vec![target.architecture],
            requirements,
            installed: content.installed,
            excluded: excluded.collect(),
            conflicts: content.conflicts,
            digest,
            artifact_sha256: content.artifact.sha256,
            artifact_size: content.artifact.size,
            unzipped_size: content.unzipped_size,
            publish,
            request: self.origin.clone(),
            builder: content.builder,
        }
    }
}

/// What resolution says of a layer.
struct Resolved {
    /// What goes into the layer, ordered by name.
    packages: Vec<LockedPackage>,
    /// What is left out.
    excluded: Vec<LockedPackage>,
}

/// What a manifest says of an artifact that exists.
struct Content {
    installed: Vec<Installed>,
    conflicts: Vec<Conflict>,
    artifact: Written,
    unzipped_size: u64,
    builder: Builder,
}

impl From<Manifest> for Content {
    fn from(found: Manifest) -> Self {
        Self {
            installed: found.installed,
            conflicts: found.conflicts,
            artifact: Written {
                sha256: found.artifact_sha256,
                size: found.artifact_size,
            },
            unzipped_size: found.unzipped_size,
            builder: found.builder,
        }
    }
}

/// A description out of the packages, cut where `PublishLayerVersion` would refuse it.
fn describe(pins: &[String]) -> String {
    let mut description = String::new();
    for (index, pin) in pins.iter().enumerate() {
        let rest = format!(" and {} more", pins.len() - index);
        let separator = if index == 0 { "" } else { ", " };
        let is_last = index + 1 == pins.len();
        let reserve = if is_last { 0 } else { rest.len() };
        if description.len() + separator.len() + pin.len() + reserve > Limits::DESCRIPTION_CHARS {
            description.push_str(&rest);
            break;
        }
        description.push_str(separator);
        description.push_str(pin);
    }
    description
}

/// A layer's zip, written but not kept yet.
struct Spliced<S> {
    staged: S,
    written: Written,
    unzipped: u64,
    conflicts: Vec<Conflict>,
}

/// Plans and writes a layer on a thread where that may take its time.
async fn splice_blocking<S: std::io::Write + Send + 'static>(
    wheels: Vec<Arc<StoredWheel>>,
    strict: bool,
    mut staged: S,
) -> Result<Spliced<S>, Error> {
    let work = move || {
        let planned: Vec<Wheel<'_>> = wheels
            .iter()
            .map(|wheel| Wheel {
                name: wheel.filename.name().as_ref(),
                filename: wheel.filename.as_str(),
                layout: &wheel.layout,
            })
            .collect();
        let plan = Plan::new(&planned, strict)?;
        let written = splice_files(&plan, &wheels, &mut staged)?;
        Ok(Spliced {
            staged,
            written,
            unzipped: plan.unzipped,
            conflicts: plan.conflicts,
        })
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(spliced) => spliced,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Writes a planned layer out of the wheels' files.
fn splice_files(
    plan: &Plan<'_>,
    wheels: &[Arc<StoredWheel>],
    out: impl std::io::Write,
) -> Result<Written, accretion_core::Error> {
    let paths = wheels
        .iter()
        .flat_map(|wheel| [wheel.wheel.clone(), wheel.layout_file.clone()]);
    let open = OpenFiles::new(paths.collect(), OPEN_FILES);
    let files: Vec<_> = (0..wheels.len())
        .map(|index| WheelFiles {
            wheel: open.file(2 * index),
            layout: open.file(2 * index + 1),
        })
        .collect();
    let written = splice(plan, &files, out);
    drop(files);
    written.map_err(|error| match open.into_failure() {
        Some((index, error)) => accretion_core::Error::WheelRead {
            wheel: wheels[index / 2].filename.to_string(),
            error,
        },
        None => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn describes_what_fits() {
        assert_eq!(describe(&[]), "");
        assert_eq!(describe(&["a==1".into(), "b==2".into()]), "a==1, b==2");
        for packages in 1..200 {
            let pins: Vec<_> = (0..packages)
                .map(|n| format!("package{n}==1.{n}"))
                .collect();
            let description = describe(&pins);
            assert!(
                description.len() <= Limits::DESCRIPTION_CHARS,
                "{description}"
            );
            let named = description.matches("==").count();
            let rest = format!("and {} more", packages - named);
            assert_eq!(
                description.ends_with(&rest),
                named < packages,
                "{description}"
            );
        }
    }
}
