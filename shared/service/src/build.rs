//! Building a request's layers: resolve, compare digests, fetch, splice, keep.

use std::sync::Arc;
use std::time::{Duration, Instant};

use accretion_core::archive::Written;
use accretion_core::digest::Digest;
use accretion_core::keys;
use accretion_core::layer::{Conflict, LayerName, Plan, splice};
use accretion_core::limits::Limits;
use accretion_core::lock::{self, LockedPackage};
use accretion_core::manifest::{self, Builder, Excluded, Installed, Manifest, Publish};
use accretion_core::request::{Request, RequestRef, Requirements};
use accretion_core::target::Target;
use tokio::sync::Semaphore;

use crate::Error;
use crate::packages::{self, Locating, Packages, Resolved, with_files};
use crate::ports::{Artifacts, Clock, Description, Event, Progress, Resolver, StoredWheel, Wheels};

/// Layers that are written at the same time. Writing is bound by memory bandwidth and the disk.
const SPLICES: usize = 2;

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

/// Builds the layers of one request.
pub struct Build<'a, R, W, A, C> {
    request: &'a Request,
    origin: Option<RequestRef>,
    packages: Packages<'a, R, W>,
    options: Options,
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
        let allowed = options.source_distributions;
        let packages = Packages::new(request, allowed, resolver, wheels, progress)?;
        let splices = Semaphore::new(SPLICES);
        Ok(Self {
            request,
            origin,
            packages,
            options,
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
        let built = self.attempt(target, Locating::Remembered).await;
        match built {
            Err(error) if self.packages.may_be_out_of_date(&error) => {
                self.attempt(target, Locating::Anew).await
            }
            built => built,
        }
    }

    async fn attempt(&self, target: Target, locating: Locating) -> Result<Built, Error> {
        let start = Instant::now();
        let layer = LayerName::new(&self.request.name, target);
        let resolved = self.packages.resolve(target, locating).await?;
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
            let lock = lock::write(&[(target, &resolved.packages)]);
            let manifest = self.manifest(target, digest, resolved, Content::from(found));
            let description = Description {
                manifest: &manifest,
                lock: &lock,
            };
            self.artifacts.keep(&layer, description).await?;
            manifest
        } else {
            self.make(target, &layer, digest, resolved).await?
        };
        let warnings = manifest.conflicts.iter().map(packages::warning).collect();
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
        let wheels = self.packages.fetch(&resolved.packages, target).await?;
        let _permit = self.splices.acquire().await;
        self.progress.on(Event::Splicing(target));
        let staged = self.artifacts.stage(layer)?;
        let spliced = splice_blocking(wheels.clone(), self.options.strict, staged).await?;
        self.progress.on(Event::Storing(target));
        let content = self.content(&resolved.packages, &wheels, &spliced);
        let lock = lock::write(&[(target, &resolved.packages)]);
        let manifest = self.manifest(target, digest, resolved, content);
        let Spliced {
            staged, written, ..
        } = spliced;
        self.artifacts
            .commit(
                layer,
                staged,
                written,
                Description {
                    manifest: &manifest,
                    lock: &lock,
                },
            )
            .await?;
        Ok(manifest)
    }

    /// What a new layer's manifest says of its content.
    fn content<S>(
        &self,
        packages: &[LockedPackage],
        wheels: &[Arc<StoredWheel>],
        spliced: &Spliced<S>,
    ) -> Content {
        let installed = packages.iter().zip(wheels);
        let installed = installed.map(|(package, wheel)| packages::installed(package, wheel));
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
            // What a person builds, they can lock themselves.
            lock_s3_key: self
                .origin
                .as_ref()
                .map(|_| keys::lock(&request.name, digest)),
            publish,
            request: self.origin.clone(),
            builder: content.builder,
        }
    }
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
        let planned: Vec<_> = wheels
            .iter()
            .map(|wheel| packages::planned(wheel))
            .collect();
        let plan = Plan::new(&planned, strict)?;
        let written = with_files(&wheels, None, |files| splice(&plan, &files, &mut staged))?;
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
