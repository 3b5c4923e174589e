//! Building a request's layers: resolve, compare digests, fetch, splice, keep.

use std::sync::Arc;
use std::time::{Duration, Instant};

use accretion_core::digest::{Digest, Written};
use accretion_core::excerpt::displayed;
use accretion_core::keys;
use accretion_core::layer::{Conflict, LayerName, Shape};
use accretion_core::limits::Limits;
use accretion_core::manifest::{self, Builder, Excluded, Installed, Manifest, Publish};
use accretion_core::pruning::Pruning;
use accretion_core::request::{Request, RequestRef};
use accretion_core::target::{Compatibility, LayerTarget, Target};
use accretion_layer::{Output, Pruned, Rules, conflict_error, of_files};
use accretion_tree::LayoutFile;
use futures_util::future::join_all;
use tokio::sync::Semaphore;

use crate::Error;
use crate::assemble::{self, Assembled, InstalledTree, PackedFiles, conflict_warning};
use crate::ecosystem::{Locating, Package, Packages, Requirement, located};
use crate::ports::{Artifacts, Clock, Description, Event, Progress};

/// Layers that are written at the same time. Writing is bound by memory bandwidth and the disk.
const SPLICES: usize = 2;

/// The ports of the use case.
pub struct Ports<'a, A> {
    /// The store of artifacts.
    pub artifacts: &'a A,
    /// The clock.
    pub clock: &'a dyn Clock,
    /// The observer.
    pub progress: &'a dyn Progress,
}

/// One layer, built or found unchanged.
#[derive(Debug)]
pub struct Built {
    /// The target, or the targets.
    pub target: Compatibility,
    /// The layer's name.
    pub layer: LayerName,
    /// The artifact manifest.
    pub manifest: Manifest,
    /// True if the artifact is new; otherwise one of the same digest existed already.
    pub changed: bool,
    /// The time that the build took.
    pub elapsed: Duration,
    /// Warnings about the layer.
    pub warnings: Vec<String>,
}

/// Builds the layers of one request.
pub struct Build<'a, P: Packages, A> {
    request: &'a Request<P::Input>,
    packages: P,
    output: &'static dyn Output,
    ports: Ports<'a, A>,
    strict: bool,
    origin: Option<RequestRef>,
    input: Option<String>,
    files: Option<Arc<PackedFiles>>,
    splices: Semaphore,
}

impl<'a, P: Packages, A: Artifacts> Build<'a, P, A> {
    /// Prepares to build a request's layers of its packages.
    pub fn new(
        request: &'a Request<P::Input>,
        packages: P,
        output: &'static dyn Output,
        ports: Ports<'a, A>,
    ) -> Self {
        Self {
            request,
            packages,
            output,
            ports,
            strict: false,
            origin: None,
            input: None,
            files: None,
            splices: Semaphore::new(SPLICES),
        }
    }

    /// Refuses layers in which packages claim the same path with different content.
    #[must_use]
    pub fn strict(self, strict: bool) -> Self {
        Self { strict, ..self }
    }

    /// Notes the request's identity in the pipeline.
    #[must_use]
    pub fn with_origin(self, origin: RequestRef) -> Self {
        Self {
            origin: Some(origin),
            ..self
        }
    }

    /// With files that go into the layers besides the packages.
    #[must_use]
    pub fn with_files(self, files: Option<PackedFiles>) -> Self {
        Self {
            files: files.map(Arc::new),
            ..self
        }
    }

    /// Notes the name of the file that the layers are built from.
    #[must_use]
    pub fn with_input(self, input: String) -> Self {
        Self {
            input: Some(input),
            ..self
        }
    }

    /// Builds the layer for one target, or finds that it is there already.
    pub async fn target(&self, target: Target) -> Result<Built, Error> {
        self.layer(&target.into()).await
    }

    /// Builds a layer, or finds that it is there already.
    ///
    /// # Errors
    ///
    /// Of a merged layer those of the first runtime that fails, as [`Error::OfRuntime`].
    pub async fn layer(&self, wanted: &Compatibility) -> Result<Built, Error> {
        let attempt = async |locating| self.build(wanted, locating).await;
        let built = located(&self.packages, attempt).await;
        self.report_targets(wanted);
        self.ports.progress.on(Event::Finished(wanted.target()));
        built
    }

    async fn build(&self, wanted: &Compatibility, locating: Locating) -> Result<Built, Error> {
        let start = Instant::now();
        let layer = LayerName::new(&self.request.name, wanted.target());
        let (trees, of_packages) = self.resolve(wanted, locating).await?;
        let files = self.files.as_ref().map_or(&[][..], |packed| &packed.files);
        if files.is_empty() && trees.iter().all(|tree| tree.packages.is_empty()) {
            return Err(self.packages.nothing_left().into());
        }
        let pruning = &self.request.contents.pruning;
        let digest = self
            .output
            .digest(digest(wanted.target(), &trees, files, pruning));
        let found = self.ports.artifacts.find(&layer, digest).await?;
        let changed = found.is_none();
        let manifest = if let Some(found) = found {
            // It may have been built when conflicts were allowed.
            if self.strict
                && let Some(conflict) = found.conflicts.first()
            {
                return Err(conflict_error(conflict.clone()).into());
            }
            let lock = self.lock(&trees);
            let mut content = Content::from(found);
            note_yanked(&mut content.installed, &trees);
            let manifest = self.manifest(wanted, digest, trees, content);
            let description = Description {
                manifest: &manifest,
                lock: &lock,
            };
            self.ports.artifacts.keep(&layer, description).await?;
            manifest
        } else {
            self.make(wanted, &layer, digest, trees).await?
        };
        let conflicts = manifest.conflicts.iter().map(conflict_warning);
        let unmatched = manifest
            .pruned
            .iter()
            .flat_map(|pruned| &pruned.unmatched)
            .map(|pattern| format!("the pattern `{pattern}` matches no file"));
        let warnings = bounded(
            of_packages
                .into_iter()
                .chain(conflicts)
                .chain(unmatched)
                .collect(),
        );
        let elapsed = start.elapsed();
        Ok(Built {
            target: wanted.clone(),
            layer,
            manifest,
            changed,
            elapsed,
            warnings,
        })
    }

    /// Resolves the packages of each runtime, with warnings. It resolves one after the other, because
    /// each may take all the memory that is allowed for one.
    async fn resolve(
        &self,
        wanted: &Compatibility,
        locating: Locating,
    ) -> Result<(Vec<ResolvedTree<P::Package>>, Vec<String>), Error> {
        let mut trees = Vec::with_capacity(wanted.targets().len());
        let mut warnings: Vec<String> = Vec::new();
        for target in wanted.targets() {
            let outcome = self.packages.resolve(target, locating).await;
            let resolved = outcome.map_err(|error| of_runtime(wanted, target, error))?;
            for warning in resolved.warnings {
                if !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
            trees.push(ResolvedTree {
                target,
                packages: resolved.packages,
                excluded: resolved.excluded,
            });
        }
        Ok((trees, warnings))
    }

    /// Makes a new artifact and its manifest.
    async fn make(
        &self,
        wanted: &Compatibility,
        layer: &LayerName,
        digest: Digest,
        trees: Vec<ResolvedTree<P::Package>>,
    ) -> Result<Manifest, Error> {
        let installations = trees.iter().map(async |tree| {
            let (target, packages) = (tree.target, &tree.packages);
            match self.packages.fetch(packages, target).await {
                Ok(stored) => Ok(InstalledTree::new(target, packages, stored)),
                Err(error) => Err(of_runtime(wanted, target, error.into())),
            }
        });
        // All of them run, even if one fails: then the orders of all are known.
        let installed = join_all(installations)
            .await
            .into_iter()
            .collect::<Result<_, Error>>()?;
        let _permit = self.splices.acquire().await;
        self.report_targets(wanted);
        self.ports.progress.on(Event::Splicing(wanted.target()));
        let staged = self.ports.artifacts.stage(layer)?;
        let rules = Rules {
            strict: self.strict,
            pruning: self.request.contents.pruning.clone(),
            provided: self.packages.providable(),
            ..Rules::new(self.packages.installation(), self.output.limit())
        };
        let assembled =
            assemble::assemble(installed, self.files.clone(), rules, self.output, staged).await?;
        self.ports.progress.on(Event::Storing(wanted.target()));
        let content = self.content(wanted, &assembled);
        let lock = self.lock(&trees);
        let manifest = self.manifest(wanted, digest, trees, content);
        let Assembled {
            staged, written, ..
        } = assembled;
        self.ports
            .artifacts
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

    /// Reports the targets of a merged layer as finished: nothing more is fetched for them.
    fn report_targets(&self, wanted: &Compatibility) {
        if let LayerTarget::Merged(_) = wanted.target() {
            for target in wanted.targets() {
                self.ports.progress.on(Event::Finished(target.into()));
            }
        }
    }

    /// Describes the content of a new layer for its manifest.
    fn content<S>(&self, wanted: &Compatibility, assembled: &Assembled<S>) -> Content {
        let all = wanted.runtimes().len();
        let installed = assembled.packages.iter().map(|package| Installed {
            runtimes: if package.runtimes.len() == all {
                Vec::new()
            } else {
                package.runtimes.clone()
            },
            ..package.installed.clone()
        });
        let shape = match wanted.target() {
            LayerTarget::One(_) => None,
            LayerTarget::Merged(_) => Some(assembled.shape),
        };
        Content {
            shape,
            installed: installed.collect(),
            files: self.files.as_ref().and_then(|packed| packed.described()),
            pruned: describe_pruned(&self.request.contents.pruning, &assembled.pruned),
            conflicts: assembled.conflicts.clone(),
            artifact: assembled.written,
            unzipped_size: assembled.unzipped,
            builder: Builder {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                built_at: format!("{:.3}", self.ports.clock.now()),
            },
        }
    }

    /// The lock of what is installed.
    fn lock(&self, trees: &[ResolvedTree<P::Package>]) -> String {
        let selections = trees
            .iter()
            .map(|tree| (tree.target, tree.packages.as_slice()));
        self.packages.lock(&selections.collect::<Vec<_>>())
    }

    fn manifest(
        &self,
        wanted: &Compatibility,
        digest: Digest,
        trees: Vec<ResolvedTree<P::Package>>,
        content: Content,
    ) -> Manifest {
        let request = self.request;
        let required = self.packages.requirements();
        let description = request.description.clone();
        let publish = Publish {
            description: description.unwrap_or_else(|| match &content.files {
                Some(files) if trees.iter().all(|tree| tree.packages.is_empty()) => {
                    format!("{} files", files.count)
                }
                _ => describe(&required_first(pins(&trees), required.as_deref())),
            }),
            license_info: request.license_info.clone(),
            permissions: request.permissions.iter().map(Into::into).collect(),
        };
        let requirements = match required {
            Some(required) => required.into_iter().map(|it| it.specifier).collect(),
            None => pins(&trees),
        };
        let excluded = trees.into_iter().flat_map(|tree| tree.excluded);
        Manifest {
            manifest_version: manifest::VERSION,
            project_name: request.name.to_string(),
            artifact_s3_key: keys::artifact(&request.name, digest),
            runtimes: wanted.runtimes().collect(),
            architectures: vec![wanted.architecture()],
            shape: content.shape,
            requirements,
            installed: content.installed,
            excluded: each_once(excluded, |it| &it.name),
            files: content.files,
            pruned: content.pruned,
            conflicts: content.conflicts,
            digest,
            artifact_sha256: content.artifact.sha256,
            artifact_size: content.artifact.size,
            unzipped_size: content.unzipped_size,
            // The pipeline keeps locks; the command has `accretion lock`.
            lock_s3_key: self
                .origin
                .as_ref()
                .map(|_| keys::lock(&request.name, digest)),
            publish,
            request: self.origin.clone(),
            input: self.input.clone(),
            rolled_back_to: None,
            builder: content.builder,
        }
    }
}

/// The packages of a layer for one of its runtimes.
struct ResolvedTree<P> {
    target: Target,
    /// Ordered by name.
    packages: Vec<P>,
    excluded: Vec<Excluded>,
}

/// Updates the yanked versions among packages that were installed earlier.
fn note_yanked<P: Package>(installed: &mut [Installed], trees: &[ResolvedTree<P>]) {
    let packages = || trees.iter().flat_map(|tree| &tree.packages);
    for it in installed {
        let known =
            packages().find(|known| known.name() == it.name && known.version() == it.version);
        it.yanked = known.and_then(|known| known.yanked().map(ToOwned::to_owned));
    }
}

fn digest<P: Package>(
    layer: LayerTarget,
    trees: &[ResolvedTree<P>],
    files: &[LayoutFile],
    pruning: &Pruning,
) -> Digest {
    let files = (!files.is_empty()).then(|| of_files(files));
    let contents = || {
        trees.iter().map(|tree| {
            let components = tree.packages.iter().map(Package::component);
            (tree.target, components)
        })
    };
    match layer {
        LayerTarget::One(target) => {
            let packages = contents().flat_map(|(_, packages)| packages);
            Digest::of_contents(target, packages, files, pruning)
        }
        LayerTarget::Merged(_) => Digest::of_merged(contents(), files, pruning),
    }
}

/// Says which runtime of a merged layer something went wrong for.
fn of_runtime(wanted: &Compatibility, target: Target, error: Error) -> Error {
    match wanted.target() {
        LayerTarget::One(_) => error,
        LayerTarget::Merged(_) => Error::OfRuntime {
            runtime: target.runtime,
            error: Box::new(error),
        },
    }
}

/// The packages that a layer consists of, as `name==version`, ordered by name.
fn pins<P: Package>(trees: &[ResolvedTree<P>]) -> Vec<String> {
    let packages = trees.iter().flat_map(|tree| &tree.packages);
    let names = packages.map(|package| (package.name(), package.version()));
    each_once(names, |(name, _)| *name)
        .iter()
        .map(|(name, version)| format!("{name}=={version}"))
        .collect()
}

/// Returns each item of several trees once, ordered by name.
fn each_once<T: PartialEq>(all: impl Iterator<Item = T>, name: impl Fn(&T) -> &str) -> Vec<T> {
    let mut all: Vec<T> = all.collect();
    // Stable: versions of one name stay in the order of the runtimes.
    all.sort_by(|one, other| name(one).cmp(name(other)));
    let mut once: Vec<T> = Vec::with_capacity(all.len());
    for it in all {
        let mut same_name = once
            .iter()
            .rev()
            .take_while(|known| name(known) == name(&it));
        if !same_name.any(|known| *known == it) {
            once.push(it);
        }
    }
    once
}

/// The part of a manifest that describes an existing artifact.
struct Content {
    shape: Option<Shape>,
    installed: Vec<Installed>,
    files: Option<manifest::Files>,
    pruned: Option<manifest::Pruned>,
    conflicts: Vec<Conflict>,
    artifact: Written,
    unzipped_size: u64,
    builder: Builder,
}

impl From<Manifest> for Content {
    fn from(found: Manifest) -> Self {
        Self {
            shape: found.shape,
            installed: found.installed,
            files: found.files,
            pruned: found.pruned,
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

/// Describes the pruned files for a manifest.
fn describe_pruned(pruning: &Pruning, pruned: &Pruned) -> Option<manifest::Pruned> {
    (!pruning.is_empty()).then(|| manifest::Pruned {
        prune: pruning.prune().map(ToString::to_string).collect(),
        include: pruning.include().map(ToString::to_string).collect(),
        files: pruned.files,
        unzipped_size: pruned.unzipped,
        unmatched: pruned.unmatched.iter().map(ToString::to_string).collect(),
    })
}

/// Warnings that any reader takes: the state of an execution has 256 KiB.
fn bounded(mut warnings: Vec<String>) -> Vec<String> {
    /// Bytes of one.
    const BYTES: usize = 1_000;
    let more = warnings.len().saturating_sub(Limits::PROBLEMS);
    warnings.truncate(Limits::PROBLEMS);
    let mut shown: Vec<_> = warnings.iter().map(|it| displayed(it, BYTES)).collect();
    if more > 0 {
        shown.push(format!(
            "{more} more warnings are left out; the manifest has all `Conflicts`"
        ));
    }
    shown
}

/// The packages with those first that are required, if it is known which these are.
fn required_first(mut pins: Vec<String>, required: Option<&[Requirement]>) -> Vec<String> {
    if let Some(required) = required {
        pins.sort_by_key(|pin| {
            let name = pin.split("==").next().unwrap_or_default();
            !required.iter().any(|requirement| requirement.name == name)
        });
    }
    pins
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
            if index == 0 {
                return format!("{} packages", pins.len());
            }
            description.push_str(&rest);
            break;
        }
        description.push_str(separator);
        description.push_str(pin);
    }
    description
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As JSON they are an answer of the builder, and a part of an execution's state.
    #[test]
    fn warnings_are_bounded_and_count_what_is_left_out() {
        let few = vec!["`a` comes from b".to_owned()];
        assert_eq!(bounded(few.clone()), few);
        let many = vec!["\u{1b}\"\n".repeat(1_000); 5_000];
        let told = bounded(many);
        assert_eq!(told.len(), Limits::PROBLEMS + 1);
        assert!(told[0].contains("bytes left out"), "{}", told[0]);
        assert!(told[Limits::PROBLEMS].starts_with("4900 more warnings are left out"));
        let json = serde_json::to_string(&told).unwrap();
        assert!(json.len() < 230 << 10, "{}", json.len());
    }

    #[test]
    fn what_is_required_is_described_first() {
        let required = ["d", "b", "nothing"].map(|name| Requirement {
            name: name.to_owned(),
            specifier: format!("{name}>=1"),
        });
        let pins = || {
            vec![
                "a==1".to_owned(),
                "b==2".into(),
                "c==3".into(),
                "d==4".into(),
            ]
        };
        let ordered = required_first(pins(), Some(&required));
        assert_eq!(describe(&ordered), "b==2, d==4, a==1, c==3");
        assert_eq!(required_first(pins(), None), pins());
    }

    #[test]
    fn describes_what_fits() {
        assert_eq!(describe(&[]), "");
        assert_eq!(describe(&["a==1".into(), "b==2".into()]), "a==1, b==2");
        assert_eq!(describe(&["a".repeat(250), "b==2".into()]), "2 packages");
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
