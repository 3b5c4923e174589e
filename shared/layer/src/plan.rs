//! Deciding which files of an installation's packages a layer consists of.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use accretion_archive::pack;
use accretion_core::digest::Sha256;
use accretion_core::layer::Conflict;
use accretion_core::pruning::{Pattern, Pruning};
use accretion_tree::{Installation, Layout, LayoutFile, Origin};

use crate::error::Error;
use crate::oversize::SizeLimit;

/// One package of a layer.
#[derive(Debug, Clone, Copy)]
pub struct Package<'a> {
    /// The file name of its archive.
    pub filename: &'a str,
    /// The files that it puts into the layer.
    pub layout: &'a Layout,
}

/// The error of a conflict where none is allowed.
pub fn conflict_error(conflict: Conflict) -> Error {
    let mut claimants = conflict.losers;
    claimants.push(conflict.winner);
    Error::LayerConflict {
        path: conflict.path,
        claimants,
    }
}

/// The rules for merging packages.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The rules by which the packages are installed.
    pub installation: &'static dyn Installation,
    /// The most that the output takes.
    pub limit: SizeLimit,
    /// Two packages that claim one path with different content are an error.
    pub strict: bool,
    /// The rules for files that stay out.
    pub pruning: Pruning,
    /// Packages that the runtime has and that could be left out.
    pub provided: BTreeSet<&'static str>,
}

impl Rules {
    /// Packages that are installed by these rules, without any of the options.
    pub fn new(installation: &'static dyn Installation, limit: SizeLimit) -> Self {
        Self {
            installation,
            limit,
            strict: false,
            pruning: Pruning::default(),
            provided: BTreeSet::new(),
        }
    }
}

/// The pruned files of some packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The number of files.
    pub files: u64,
    /// Their bytes, unpacked.
    pub unzipped: u64,
    /// Of each package, in their order, the bytes of what it has lost: unpacked, and packed.
    pub of_packages: Vec<(u64, u64)>,
    /// Patterns that have matched nothing.
    pub unmatched: Vec<Pattern>,
}

/// One entry of the layer: a file of one of the packages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned<'a> {
    /// Index into the packages.
    pub(crate) package: usize,
    pub(crate) file: &'a LayoutFile,
}

/// The files of one installation, ordered by path.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) entries: Vec<Planned<'a>>,
    /// The lists of files of packages that lost a path, by index of the package, packed.
    file_lists: HashMap<usize, (LayoutFile, Vec<u8>)>,
    /// Paths that several packages claim with different content, in order.
    pub(crate) conflicts: Vec<Conflict>,
    /// The pruned files.
    pub(crate) pruned: Pruned,
}

impl<'a> Plan<'a> {
    /// Decides which files of these packages are installed.
    ///
    /// If packages claim the same path with different content, the one whose name sorts last
    /// wins, as if they had been installed in the order of their names; the others' lists of files
    /// lose the path. With [`Rules::strict`] that is an error. A file where another package needs a
    /// folder always is. What is pruned claims no path, and no list of files has it.
    pub(crate) fn new(packages: &[Package<'a>], rules: &Rules) -> Result<Self, Error> {
        let (claims, pruned, mut lost) = prune(packages, rules);
        let (entries, conflicts) = settle(packages, &claims, &mut lost);
        if let Some(conflict) = conflicts.first().filter(|_| rules.strict) {
            return Err(conflict_error(conflict.clone()));
        }
        check_folders(&entries, packages)?;
        Ok(Self {
            entries,
            file_lists: changed_file_lists(packages, lost, rules.installation),
            conflicts,
            pruned,
        })
    }

    /// Files as the plan of one package that they all are in. They are ordered by path.
    pub(crate) fn of_files(files: &'a [LayoutFile]) -> Self {
        let entries = files.iter().map(|file| Planned { package: 0, file });
        Self {
            entries: entries.collect(),
            file_lists: HashMap::new(),
            conflicts: Vec::new(),
            pruned: Pruned::default(),
        }
    }

    /// The file that goes into the zip for an entry.
    pub(crate) fn file(&self, entry: &Planned<'a>) -> Cow<'a, LayoutFile> {
        match self.file_list(entry) {
            Some((file, _)) => Cow::Owned(file.clone()),
            None => Cow::Borrowed(entry.file),
        }
    }

    /// The changed list of files that replaces an entry, with its packed data.
    pub(crate) fn file_list(&self, entry: &Planned<'_>) -> Option<&(LayoutFile, Vec<u8>)> {
        self.file_lists
            .get(&entry.package)
            .filter(|(file, _)| file.path == entry.file.path)
    }
}

impl Pruned {
    fn add(&mut self, package: usize, file: &LayoutFile) {
        self.files += 1;
        self.unzipped += file.size;
        let (unzipped, packed) = &mut self.of_packages[package];
        *unzipped += file.size;
        *packed += file.compressed_size;
    }
}

/// The paths that packages have lost, by index of the package.
type Lost<'a> = HashMap<usize, Vec<&'a str>>;

/// The files that are left of packages, in the order of their paths, and those that are pruned. Of
/// equal paths the last is that of the package whose name sorts last.
fn prune<'a>(packages: &[Package<'a>], rules: &Rules) -> (Vec<Planned<'a>>, Pruned, Lost<'a>) {
    let mut lost = Lost::new();
    let mut pruned = Pruned {
        of_packages: vec![(0, 0); packages.len()],
        ..Pruned::default()
    };
    let mut patterns = rules.pruning.pruner();
    let mut order: Vec<usize> = (0..packages.len()).collect();
    order.sort_by_key(|index| packages[*index].layout.name.as_str());
    let mut left = Vec::new();
    for package in order {
        for file in &packages[package].layout.files {
            let is_metadata = rules.installation.is_metadata(&file.path);
            if !is_metadata && patterns.prunes(&file.path) {
                lost.entry(package).or_default().push(&file.path);
                pruned.add(package, file);
            } else {
                left.push(Planned { package, file });
            }
        }
    }
    pruned.unmatched = patterns.unmatched();
    // Stable: packages stay in the order of their names.
    left.sort_by(|a, b| a.file.path.cmp(&b.file.path));
    (left, pruned, lost)
}

/// The winner of each path that is claimed, and the conflicts. The losers lose the path.
fn settle<'a>(
    packages: &[Package<'a>],
    claims: &[Planned<'a>],
    lost: &mut Lost<'a>,
) -> (Vec<Planned<'a>>, Vec<Conflict>) {
    let mut entries = Vec::with_capacity(claims.len());
    let mut conflicts = Vec::new();
    for of_path in claims.chunk_by(|a, b| a.file.path == b.file.path) {
        let [others @ .., winner] = of_path else {
            continue;
        };
        entries.push(*winner);
        let content = |file: &LayoutFile| (file.sha256, file.executable);
        let losers: Vec<_> = others
            .iter()
            .filter(|other| content(other.file) != content(winner.file))
            .collect();
        if losers.is_empty() {
            continue;
        }
        for loser in &losers {
            let paths = lost.entry(loser.package).or_default();
            paths.push(&loser.file.path);
        }
        let filename = |claim: &Planned<'_>| packages[claim.package].filename.to_owned();
        conflicts.push(Conflict {
            path: winner.file.path.clone(),
            winner: filename(winner),
            losers: losers.into_iter().map(filename).collect(),
        });
    }
    (entries, conflicts)
}

fn check_folders(entries: &[Planned<'_>], packages: &[Package<'_>]) -> Result<(), Error> {
    let mut last_folder = "";
    for entry in entries {
        let Some((folder, _)) = entry.file.path.rsplit_once('/') else {
            continue;
        };
        if folder == last_folder {
            continue;
        }
        last_folder = folder;
        let ends = folder
            .match_indices('/')
            .map(|(end, _)| end)
            .chain([folder.len()]);
        for end in ends {
            let above = &folder[..end];
            if let Ok(at) = entries.binary_search_by(|other| other.file.path.as_str().cmp(above)) {
                let claimants = [entries[at].package, entry.package]
                    .map(|package| packages[package].filename.to_owned())
                    .to_vec();
                return Err(Error::LayerConflict {
                    path: above.to_owned(),
                    claimants,
                });
            }
        }
    }
    Ok(())
}

/// The lists of files of packages that have lost paths, by index of the package.
fn changed_file_lists(
    packages: &[Package<'_>],
    lost: Lost<'_>,
    installation: &dyn Installation,
) -> HashMap<usize, (LayoutFile, Vec<u8>)> {
    let mut file_lists = HashMap::new();
    for (package, mut paths) in lost {
        let layout = packages[package].layout;
        if !layout.file_list.is_empty() {
            paths.sort_unstable();
            file_lists.insert(package, file_list_without(layout, &paths, installation));
        }
    }
    file_lists
}

/// A package's list of files without the paths that it has lost; `lost` is in order.
fn file_list_without(
    layout: &Layout,
    lost: &[&str],
    installation: &dyn Installation,
) -> (LayoutFile, Vec<u8>) {
    let left = layout.files.iter().filter(|file| {
        file.path != layout.file_list && lost.binary_search(&file.path.as_str()).is_err()
    });
    let text = installation.file_list(layout, &left.collect::<Vec<_>>());
    let (method, data) = pack::pack(&text);
    let file = LayoutFile {
        path: layout.file_list.clone(),
        origin: Origin::Layout,
        offset: 0,
        method,
        compressed_size: data.len() as u64,
        size: text.len() as u64,
        crc32: crc32fast::hash(&text),
        sha256: Sha256::of(&text),
        executable: false,
    };
    (file, data)
}
