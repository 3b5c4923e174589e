//! Assembling one layer for several runtimes: what is required, and files that are copied.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use accretion_core::digest::Written;
use accretion_core::layer::{Conflict, Shape};
use accretion_core::manifest::Installed;
use accretion_core::request::Targets;
use accretion_core::target::{Runtime, Target};
use accretion_layer::{Bundle, Copied, Pruned, Rules, Tree, splice_bundle};
use accretion_python::lock::LockedPackage;
use accretion_python::request::Request;
use accretion_tree::LayoutFile;
use futures_util::future::join_all;

use crate::Error;
use crate::build::SourceDistributions;
use crate::own::Own;
use crate::packages::{self, Packages, with_files};
use crate::ports::{Event, Progress, Resolver, StoredWheel, Wheels};

/// Files that are to be copied into a layer, packed already.
#[derive(Debug)]
pub struct PackedFiles {
    /// Their origin, in words: `the folder tools`.
    pub folder: String,
    /// The files, ordered by the bytes of their paths.
    pub files: Vec<LayoutFile>,
    /// The file that their packed data lies in.
    pub packed: PathBuf,
}

/// The installed packages of one target.
#[derive(Debug)]
pub struct InstalledTree {
    target: Target,
    wheels: Vec<Arc<StoredWheel>>,
    installed: Vec<Installed>,
}

impl InstalledTree {
    /// The tree of packages and their wheels.
    pub(crate) fn new(
        target: Target,
        packages: &[LockedPackage],
        wheels: Vec<Arc<StoredWheel>>,
    ) -> Self {
        let installed = packages
            .iter()
            .zip(&wheels)
            .map(|(package, wheel)| packages::installed(package, wheel));
        Self {
            target,
            installed: installed.collect(),
            wheels,
        }
    }
}

/// A package of the layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageOf {
    /// The package as a manifest lists it.
    pub installed: Installed,
    /// For which runtimes, oldest first.
    pub runtimes: Vec<Runtime>,
}

/// A layer that was written.
#[derive(Debug)]
pub struct Assembled<S> {
    /// The staged artifact.
    pub staged: S,
    /// The zip.
    pub written: Written,
    /// Bytes of all files, unpacked.
    pub unzipped: u64,
    /// The way it serves its runtimes.
    pub shape: Shape,
    /// The installed packages, ordered by name.
    pub packages: Vec<PackageOf>,
    /// The number of extra files.
    pub copied: usize,
    /// Paths that wheels claim with different content.
    pub conflicts: Vec<Conflict>,
    /// The pruned files of all trees.
    pub pruned: Pruned,
    /// Warnings about the layer.
    pub warnings: Vec<String>,
}

/// Resolves a request's requirements for all of its targets and gets the wheels.
///
/// # Errors
///
/// Those of the first target that fails, in their order.
pub async fn install<R: Resolver, W: Wheels>(
    request: &Request,
    resolver: &R,
    wheels: &W,
    progress: &dyn Progress,
) -> Result<Vec<InstalledTree>, Error> {
    let allowed = SourceDistributions::AsRequested;
    let packages = &Packages::new(request, allowed, resolver, wheels, progress)?;
    let trees = request.targets.iter().map(async |target| {
        let tree = async {
            let (chosen, wheels) = packages.install(target).await?;
            Ok(InstalledTree::new(target, &chosen, wheels))
        };
        let tree: Result<_, Error> = tree.await;
        progress.on(Event::Finished(target.into()));
        tree
    });
    join_all(trees).await.into_iter().collect()
}

/// Nothing is installed for these targets.
pub fn install_nothing(targets: &Targets) -> Vec<InstalledTree> {
    let tree = |target| InstalledTree {
        target,
        wheels: Vec::new(),
        installed: Vec::new(),
    };
    targets.iter().map(tree).collect()
}

/// Writes the zip of a layer. The same trees and files give the same bytes.
pub async fn assemble<S: Write + Send + 'static>(
    trees: Vec<InstalledTree>,
    copied: PackedFiles,
    staged: S,
) -> Result<Assembled<S>, Error> {
    let own = Own {
        files: Some(copied),
        ..Own::default()
    };
    write(trees, Arc::new(own), Rules::default(), staged).await
}

/// Writes the zip of a layer by these rules, with the files of one's own, if there are any.
pub(crate) async fn write<S: Write + Send + 'static>(
    mut trees: Vec<InstalledTree>,
    own: Arc<Own>,
    rules: Rules,
    mut staged: S,
) -> Result<Assembled<S>, Error> {
    let work = move || {
        let copied = own.files.as_ref();
        let planned = trees.iter().map(|tree| Tree {
            target: tree.target,
            wheels: tree.wheels.iter().map(|it| packages::planned(it)).collect(),
        });
        let planned: Vec<_> = planned.collect();
        let files = copied.map_or(Copied::NONE, |copied| Copied {
            folder: &copied.folder,
            files: &copied.files,
        });
        let bundle = Bundle::by(&planned, files, &rules)?;
        let wheels: Vec<_> = trees
            .iter()
            .flat_map(|tree| tree.wheels.iter().cloned())
            .collect();
        let packed = copied.map(|copied| copied.packed.clone());
        let written = with_files(&wheels, packed, |files| {
            let mut files = files.into_iter();
            let of_tree = |tree: &InstalledTree| files.by_ref().take(tree.wheels.len()).collect();
            let of_trees: Vec<Vec<_>> = trees.iter().map(of_tree).collect();
            // What was packed comes last.
            let packed = files.next();
            splice_bundle(&bundle, &of_trees, packed.as_ref(), &mut staged)
        })?;
        let (unzipped, shape) = (bundle.unzipped, bundle.shape);
        let (pruned, conflicts) = (bundle.pruned, bundle.conflicts);
        let copied = files.files.len();
        for (tree, pruned) in trees.iter_mut().zip(&pruned) {
            for (installed, (unpacked, packed)) in tree.installed.iter_mut().zip(&pruned.of_wheels)
            {
                let less = |size: Option<u64>, by: &u64| size.map(|it| it.saturating_sub(*by));
                installed.unzipped_size = less(installed.unzipped_size, unpacked);
                installed.size = less(installed.size, packed);
            }
        }
        let packages = packages_of(&trees);
        let yanked = packages.iter().filter_map(|it| it.installed.warning());
        let warnings = conflicts
            .iter()
            .map(packages::warning)
            .chain(yanked)
            .collect();
        Ok(Assembled {
            written,
            unzipped,
            shape,
            packages,
            copied,
            warnings,
            conflicts,
            pruned: pruned_of(&pruned, shape),
            staged,
        })
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(assembled) => assembled,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Sums up the pruned files of the trees that are in the layer.
fn pruned_of(trees: &[Pruned], shape: Shape) -> Pruned {
    let there = match shape {
        Shape::Shared => trees.get(..1).unwrap_or_default(),
        Shape::PerRuntime => trees,
    };
    let unmatched = there.first().map_or(&[][..], |tree| &tree.unmatched);
    let unmatched = unmatched
        .iter()
        .filter(|pattern| there.iter().all(|tree| tree.unmatched.contains(pattern)));
    Pruned {
        files: there.iter().map(|tree| tree.files).sum(),
        unzipped: there.iter().map(|tree| tree.unzipped).sum(),
        of_wheels: Vec::new(),
        unmatched: unmatched.cloned().collect(),
    }
}

/// The packages of all trees, each once with its runtimes.
fn packages_of(trees: &[InstalledTree]) -> Vec<PackageOf> {
    let mut all: Vec<PackageOf> = Vec::new();
    for tree in trees {
        let runtime = tree.target.runtime;
        for installed in &tree.installed {
            match all.iter_mut().find(|known| known.installed == *installed) {
                Some(known) if known.runtimes.contains(&runtime) => {}
                Some(known) => known.runtimes.push(runtime),
                None => all.push(PackageOf {
                    installed: installed.clone(),
                    runtimes: vec![runtime],
                }),
            }
        }
    }
    let key = |package: &PackageOf| (package.installed.name.clone(), package.runtimes.clone());
    all.sort_by_key(key);
    all
}
