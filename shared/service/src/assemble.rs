//! Assembling one layer for several runtimes: what is required, and files that are copied.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use accretion_core::digest::Written;
use accretion_core::layer::{Conflict, Shape};
use accretion_core::manifest::{self, Installed};
use accretion_core::request::Targets;
use accretion_core::target::{Runtime, Target};
use accretion_layer::{Bundle, Copied, Files, Output, PackageFiles, Pruned, Rules, Tree, of_files};
use accretion_tree::LayoutFile;
use futures_util::future::join_all;

use crate::Error;
use crate::blocking::blocking;
use crate::ecosystem::{Package, Packages, located};
use crate::open_files::OpenFiles;
use crate::ports::{Event, Progress, StoredPackage};

/// Files that are open at the same time, for each layer that is being written. A layer's entries are
/// ordered by path, so few packages take turns.
const OPEN_FILES: usize = 64;

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

impl PackedFiles {
    /// The files as a manifest describes them; `None` if there are none.
    pub fn described(&self) -> Option<manifest::Files> {
        (!self.files.is_empty()).then(|| manifest::Files {
            count: self.files.len() as u64,
            unzipped_size: self.files.iter().map(|file| file.size).sum(),
            sha256: of_files(&self.files),
        })
    }
}

/// The installed packages of one target.
#[derive(Debug)]
pub struct InstalledTree {
    target: Target,
    stored: Vec<Arc<dyn StoredPackage>>,
    installed: Vec<Installed>,
}

impl InstalledTree {
    /// The tree of packages and their archives.
    pub(crate) fn new<P: Package>(
        target: Target,
        packages: &[P],
        stored: Vec<Arc<dyn StoredPackage>>,
    ) -> Self {
        let installed = packages
            .iter()
            .zip(&stored)
            .map(|(package, stored)| package.installed(&**stored));
        Self {
            target,
            installed: installed.collect(),
            stored,
        }
    }

    /// The tree as it is bundled.
    fn planned(&self) -> Tree<'_> {
        let packages = self.stored.iter().map(|stored| accretion_layer::Package {
            filename: stored.filename(),
            layout: stored.layout(),
        });
        Tree {
            target: self.target,
            packages: packages.collect(),
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
    /// Paths that packages claim with different content.
    pub conflicts: Vec<Conflict>,
    /// The pruned files of the trees that are in the layer.
    pub pruned: Pruned,
}

impl<S> Assembled<S> {
    /// Warnings about conflicts and yanked versions.
    pub fn warnings(&self) -> Vec<String> {
        let conflicts = self.conflicts.iter().map(conflict_warning);
        let packages = self.packages.iter();
        let yanked = packages.filter_map(|it| it.installed.warning());
        conflicts.chain(yanked).collect()
    }
}

/// Resolves a request's requirements for all of its targets and gets the packages.
///
/// # Errors
///
/// Those of the first target that fails, in their order.
pub async fn install<P: Packages>(
    targets: &Targets,
    packages: &P,
    progress: &dyn Progress,
) -> Result<Vec<InstalledTree>, Error> {
    let trees = targets.iter().map(async |target| {
        let install = async |locating| {
            let chosen = packages.resolve(target, locating).await?.packages;
            let stored = packages.fetch(&chosen, target).await?;
            Ok(InstalledTree::new(target, &chosen, stored))
        };
        let installed = located(packages, install).await;
        progress.on(Event::Finished(target.into()));
        installed
    });
    join_all(trees).await.into_iter().collect()
}

/// Nothing is installed for these targets.
pub fn install_nothing(targets: &Targets) -> Vec<InstalledTree> {
    let tree = |target| InstalledTree {
        target,
        stored: Vec::new(),
        installed: Vec::new(),
    };
    targets.iter().map(tree).collect()
}

/// Writes a layer by these rules, with extra files, if there are any. The same trees, files and rules
/// give the same bytes.
pub async fn assemble<S: Write + Send + 'static>(
    mut trees: Vec<InstalledTree>,
    files: Option<Arc<PackedFiles>>,
    rules: Rules,
    output: &'static dyn Output,
    mut staged: S,
) -> Result<Assembled<S>, Error> {
    let work = move || {
        let planned: Vec<_> = trees.iter().map(InstalledTree::planned).collect();
        let copied = files.as_ref().map_or(Copied::NONE, |packed| Copied {
            folder: &packed.folder,
            files: &packed.files,
        });
        let bundle = Bundle::new(&planned, copied, &rules)?;
        let packed = files.as_ref().map(|packed| packed.packed.clone());
        let written = write(&bundle, &trees, packed, output, &mut staged)?;
        let (unzipped, shape) = (bundle.unzipped, bundle.shape);
        let (pruned, conflicts) = (bundle.pruned, bundle.conflicts);
        for (tree, pruned) in trees.iter_mut().zip(&pruned) {
            for (installed, (unpacked, packed)) in
                tree.installed.iter_mut().zip(&pruned.of_packages)
            {
                let less = |size: Option<u64>, by: &u64| size.map(|it| it.saturating_sub(*by));
                installed.unzipped_size = less(installed.unzipped_size, unpacked);
                installed.size = less(installed.size, packed);
            }
        }
        Ok(Assembled {
            written,
            unzipped,
            shape,
            packages: packages_of(&trees),
            copied: copied.files.len(),
            conflicts,
            pruned: pruned_of(&pruned, shape),
            staged,
        })
    };
    blocking(work).await
}

/// Writes a bundle out of the archives of packages, and of what else was packed.
fn write(
    bundle: &Bundle<'_>,
    trees: &[InstalledTree],
    packed: Option<PathBuf>,
    output: &dyn Output,
    staged: &mut dyn Write,
) -> Result<Written, Error> {
    let stored: Vec<_> = trees.iter().flat_map(|tree| &tree.stored).collect();
    let of_packages = stored
        .iter()
        .flat_map(|it| [it.archive().to_owned(), it.layout_file().to_owned()]);
    let of_packed = packed.into_iter().flat_map(|path| [path.clone(), path]);
    let open = OpenFiles::new(of_packages.chain(of_packed).collect(), OPEN_FILES);
    let all = open.all();
    let mut pairs = all.chunks(2).map(|pair| PackageFiles {
        archive: &pair[0],
        layout: &pair[1],
    });
    let of_trees: Vec<Vec<_>> = trees
        .iter()
        .map(|tree| pairs.by_ref().take(tree.stored.len()).collect())
        .collect();
    let extra = pairs.next();
    let written = output.write(Files::new(bundle, &of_trees, extra.as_ref()), staged);
    written.map_err(|error| match open.failure() {
        Some((index, error)) if index / 2 < stored.len() => {
            let archive = stored[index / 2].filename().to_owned();
            accretion_layer::Error::ArchiveRead { archive, error }.into()
        }
        _ => accretion_layer::Error::LayerWrite(error).into(),
    })
}

/// The warning about a path that packages claim with different content.
pub(crate) fn conflict_warning(conflict: &Conflict) -> String {
    let (path, winner) = (&conflict.path, &conflict.winner);
    let losers = conflict.losers.join(" or ");
    format!("`{path}` comes from {winner}, not from {losers}")
}

/// Sums up the pruned files of the trees that are in the layer.
fn pruned_of(trees: &[Pruned], shape: Shape) -> Pruned {
    let there = match shape {
        Shape::Shared => trees.get(..1).unwrap_or_default(),
        Shape::PerRuntime => trees,
    };
    let of_first = there.first().map_or(&[][..], |tree| &tree.unmatched);
    let unmatched = of_first
        .iter()
        .filter(|pattern| there.iter().all(|tree| tree.unmatched.contains(pattern)));
    Pruned {
        files: there.iter().map(|tree| tree.files).sum(),
        unzipped: there.iter().map(|tree| tree.unzipped).sum(),
        of_packages: Vec::new(),
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
