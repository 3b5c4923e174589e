//! One layer for several runtimes: what is installed for each, and files that all of them share.

use std::borrow::Cow;
use std::collections::BTreeMap;

use accretion_core::layer::{Conflict, Shape};
use accretion_core::target::{Runtime, Target};
use accretion_tree::{Installation, LayoutFile};

use crate::error::Error;
use crate::plan::{Package, Plan, Planned, Pruned, Rules};
use crate::size;

/// The files that are installed for a target.
#[derive(Debug, Clone)]
pub struct Tree<'a> {
    /// The target.
    pub target: Target,
    /// The packages.
    pub packages: Vec<Package<'a>>,
}

/// Files that are copied into a layer as they are.
#[derive(Debug, Clone, Copy)]
pub struct Copied<'a> {
    /// Their origin, in words: `the folder tools`.
    pub folder: &'a str,
    /// The files, ordered by the bytes of their paths; no path twice.
    pub files: &'a [LayoutFile],
}

/// The contents of a layer for several runtimes, in the order of its zip.
#[derive(Debug)]
pub struct Bundle<'a> {
    /// The folder that everything is in, with a slash in the end.
    pub(crate) root: &'static str,
    pub(crate) parts: Vec<Part<'a>>,
    /// Index of the part, and of the entry in its plan.
    pub(crate) order: Vec<(usize, usize)>,
    /// The way it serves its runtimes.
    pub shape: Shape,
    /// Paths that packages of one tree claim with different content, each once.
    pub conflicts: Vec<Conflict>,
    /// Bytes of all files, unpacked.
    pub unzipped: u64,
    /// The pruned files of each tree.
    pub pruned: Vec<Pruned>,
}

/// A plan below a folder of its own.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    /// Below the root: empty, or with a slash in the end.
    pub(crate) folder: String,
    pub(crate) plan: Plan<'a>,
    /// Index of the tree whose packages it is of; `None` for what is copied.
    pub(crate) tree: Option<usize>,
}

impl Copied<'static> {
    /// No files.
    pub const NONE: Self = Self {
        folder: "",
        files: &[],
    };
}

impl<'a> Bundle<'a> {
    /// Decides what a layer of these trees and files consists of. If all trees have the same
    /// content, it is there once; otherwise each runtime's is in a folder of its own, as a whole.
    ///
    /// If packages of a tree claim the same path with different content, the one whose name sorts last
    /// wins. A copied file with the path of an installed one is an error, unless both are the
    /// same, and so is one that belongs to a package which is in another folder of the layer. No
    /// rule but the limit is about what is copied.
    ///
    /// # Errors
    ///
    /// [`Error::LayerConflict`], [`Error::ArchitecturesDiffer`], [`Error::FileConflict`],
    /// [`Error::PackageSplit`], [`Error::LayerEmpty`], [`Error::LayerTooLarge`].
    pub fn new(trees: &[Tree<'a>], copied: Copied<'a>, rules: &Rules) -> Result<Self, Error> {
        let mut pruned = Vec::new();
        let mut of_runtimes: BTreeMap<Runtime, (usize, Plan<'a>)> = BTreeMap::new();
        let mut conflicts: Vec<Conflict> = Vec::new();
        for (at, tree) in trees.iter().enumerate() {
            let plan = Plan::new(&tree.packages, rules)?;
            pruned.push(plan.pruned.clone());
            for conflict in &plan.conflicts {
                if !conflicts.contains(conflict) {
                    conflicts.push(conflict.clone());
                }
            }
            check_clashes("", &plan, &tree.packages, copied)?;
            let Some((first, known)) = of_runtimes.get(&tree.target.runtime) else {
                of_runtimes.insert(tree.target.runtime, (at, plan));
                continue;
            };
            if let Some(path) = first_difference(known, &plan, rules.installation) {
                let of = |at: usize| trees[at].target.architecture;
                return Err(Error::ArchitecturesDiffer {
                    runtime: tree.target.runtime,
                    architectures: [of(*first), of(at)],
                    path,
                });
            }
        }

        let mut plans = of_runtimes.values();
        let first = plans.next();
        let is_shared = first.is_none_or(|(_, first)| {
            plans.all(|(_, plan)| first_difference(first, plan, rules.installation).is_none())
        });
        let mut parts = Vec::new();
        for (runtime, (tree, plan)) in of_runtimes {
            let folder = if is_shared {
                String::new()
            } else {
                rules.installation.runtime_folder(runtime)
            };
            if !is_shared {
                let packages = &trees[tree].packages;
                check_clashes(&folder, &plan, packages, copied)?;
                check_splits(&plan, packages, copied, rules.installation)?;
            }
            parts.push(Part {
                folder,
                plan,
                tree: Some(tree),
            });
            if is_shared {
                break;
            }
        }
        parts.push(Part {
            folder: String::new(),
            plan: Plan::of_files(copied.files),
            tree: None,
        });
        let shape = if is_shared {
            Shape::Shared
        } else {
            Shape::PerRuntime
        };
        let bundle = Self::merge(parts, rules.installation.root(), shape, conflicts)?;
        bundle.check_size(trees, copied, rules)?;
        Ok(Self { pruned, ..bundle })
    }

    /// Puts all entries into the order of their names.
    fn merge(
        parts: Vec<Part<'a>>,
        root: &'static str,
        shape: Shape,
        conflicts: Vec<Conflict>,
    ) -> Result<Self, Error> {
        let mut names: Vec<(String, usize, usize)> = Vec::new();
        for (part, Part { folder, plan, .. }) in parts.iter().enumerate() {
            for (at, entry) in plan.entries.iter().enumerate() {
                names.push((format!("{folder}{}", entry.file.path), part, at));
            }
        }
        names.sort();
        // What is both installed and copied is the same: it is there once.
        names.dedup_by(|later, earlier| later.0 == earlier.0);
        if names.is_empty() {
            return Err(Error::LayerEmpty {
                members: Vec::new(),
            });
        }
        let order: Vec<_> = names.into_iter().map(|(_, part, at)| (part, at)).collect();
        let size = |&(part, at): &(usize, usize)| {
            let plan = &parts[part].plan;
            plan.file(&plan.entries[at]).size
        };
        let unzipped = order.iter().map(size).sum();
        Ok(Self {
            root,
            parts,
            order,
            shape,
            conflicts,
            unzipped,
            pruned: Vec::new(),
        })
    }

    fn check_size(
        &self,
        trees: &[Tree<'a>],
        copied: Copied<'a>,
        rules: &Rules,
    ) -> Result<(), Error> {
        if self.unzipped <= rules.limit.bytes {
            return Ok(());
        }
        let trees = self.parts.iter().filter_map(|part| {
            let packages = trees.get(part.tree?)?.packages.as_slice();
            Some((packages, &part.plan))
        });
        let files = copied.files.iter().map(|file| file.size).sum();
        let copied = (!copied.files.is_empty()).then_some((copied.folder, files));
        let oversize = size::oversize(self.unzipped, &trees.collect::<Vec<_>>(), copied, rules);
        Err(Error::LayerTooLarge(Box::new(oversize)))
    }
}

/// A path at which two plans differ: the first that is no metadata, if there is one. Metadata of a
/// package differs whenever its files do.
fn first_difference(
    one: &Plan<'_>,
    other: &Plan<'_>,
    installation: &dyn Installation,
) -> Option<String> {
    let mut ones = one.entries.iter().map(|entry| one.file(entry)).peekable();
    let mut others = other
        .entries
        .iter()
        .map(|entry| other.file(entry))
        .peekable();
    let mut metadata = None;
    loop {
        let path = match (ones.peek(), others.peek()) {
            (None, None) => return metadata,
            (Some(file), None) | (None, Some(file)) => file.path.clone(),
            (Some(file), Some(against)) => file.path.clone().min(against.path.clone()),
        };
        let [file, against] = [
            ones.next_if(|file| file.path == path),
            others.next_if(|file| file.path == path),
        ];
        let content = |file: &Cow<'_, LayoutFile>| (file.sha256, file.executable);
        if file.as_ref().map(content) == against.as_ref().map(content) {
            continue;
        }
        if !installation.is_metadata(&path) {
            return Some(path);
        }
        metadata = metadata.or(Some(path));
    }
}

/// Refuses copied files that have the path of an installed file, or of a folder of one, and the
/// other way round.
fn check_clashes(
    folder: &str,
    plan: &Plan<'_>,
    packages: &[Package<'_>],
    copied: Copied<'_>,
) -> Result<(), Error> {
    let conflict = |path: &str, entry: &Planned<'_>| Error::FileConflict {
        path: path.to_owned(),
        folder: copied.folder.to_owned(),
        package: packages[entry.package].filename.to_owned(),
    };
    let installed = |path: &str| {
        let below = path.strip_prefix(folder)?;
        find(&plan.entries, |entry| &entry.file.path, below)
    };
    for file in copied.files {
        if let Some(entry) = installed(&file.path) {
            let known = plan.file(entry);
            if (known.sha256, known.executable) != (file.sha256, file.executable) {
                return Err(conflict(&file.path, entry));
            }
        }
        for above in folders(&file.path) {
            if let Some(entry) = installed(above) {
                return Err(conflict(above, entry));
            }
        }
    }
    let mut last = "";
    for entry in &plan.entries {
        let (parent, _) = entry.file.path.rsplit_once('/').unwrap_or_default();
        if parent == last && !last.is_empty() {
            continue;
        }
        last = parent;
        let name = format!("{folder}{}", entry.file.path);
        let taken =
            folders(&name).find(|above| find(copied.files, |file| &file.path, above).is_some());
        if let Some(path) = taken {
            return Err(conflict(path, entry));
        }
    }
    Ok(())
}

/// Refuses copied files in a package that is installed in another folder, and the other way round, if
/// runtimes take packages from one folder as a whole: Python takes one from the first folder of
/// `sys.path` that has it, unless it is a namespace.
fn check_splits(
    plan: &Plan<'_>,
    packages: &[Package<'_>],
    copied: Copied<'_>,
    installation: &dyn Installation,
) -> Result<(), Error> {
    let Some(marker) = installation.package_marker() else {
        return Ok(());
    };
    for file in copied.files {
        for folder in folders(&file.path) {
            let inside = format!("{folder}/");
            let from = plan
                .entries
                .partition_point(|entry| entry.file.path.as_str() < inside.as_str());
            let mut installed = plan.entries[from..]
                .iter()
                .take_while(|entry| entry.file.path.starts_with(inside.as_str()));
            let Some(one) = installed.next() else {
                break;
            };
            let marker = format!("{inside}{marker}");
            let is_package = find(&plan.entries, |entry| &entry.file.path, &marker).is_some()
                || find(copied.files, |file| &file.path, &marker).is_some();
            if is_package {
                return Err(Error::PackageSplit {
                    package: folder.to_owned(),
                    folder: copied.folder.to_owned(),
                    archive: packages[one.package].filename.to_owned(),
                });
            }
        }
    }
    Ok(())
}

/// Finds an item by its path in a list that is ordered by path.
fn find<'t, T>(sorted: &'t [T], path_of: impl Fn(&T) -> &String, path: &str) -> Option<&'t T> {
    let at = sorted.binary_search_by(|it| path_of(it).as_str().cmp(path));
    at.ok().map(|at| &sorted[at])
}

/// The folders that a path is in, the outermost first.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(end, _)| &path[..end])
}
