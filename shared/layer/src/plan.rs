//! Deciding what a layer consists of.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use crate::error::Error;
use crate::oversize::Oversize;
use accretion_archive::pack;
use accretion_core::digest::Sha256;
use accretion_core::layer::Conflict;
use accretion_core::limits::Limits;
use accretion_core::pruning::{Pattern, Pruning};
use accretion_tree::{Layout, LayoutFile, record};

/// One wheel of a layer.
#[derive(Debug, Clone, Copy)]
pub struct Wheel<'a> {
    /// The distribution's normalised name.
    pub name: &'a str,
    /// The wheel's file name.
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

/// The rules for merging wheels.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Two wheels that claim one path with different content are an error.
    pub strict: bool,
    /// The rules for files that stay out.
    pub pruning: Pruning,
    /// Packages that the runtime has and that could be left out.
    pub provided: BTreeSet<&'static str>,
}

/// The pruned files of some wheels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The number of files.
    pub files: u64,
    /// Their bytes, unpacked.
    pub unzipped: u64,
    /// Of each wheel, in their order, the bytes of what it has lost: unpacked, and packed.
    pub of_wheels: Vec<(u64, u64)>,
    /// Patterns that have matched nothing.
    pub unmatched: Vec<Pattern>,
}

/// One entry of the layer: a file of one of the wheels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned<'a> {
    /// Index into the wheels.
    pub(crate) wheel: usize,
    pub(crate) file: &'a LayoutFile,
}

/// The contents of a layer, in the order of its zip.
#[derive(Debug)]
pub struct Plan<'a> {
    pub(crate) entries: Vec<Planned<'a>>,
    /// The `RECORD`s of wheels that lost a path, by index of the wheel, packed.
    pub(crate) records: HashMap<usize, (LayoutFile, Vec<u8>)>,
    /// Paths that several wheels claim with different content, in order.
    pub conflicts: Vec<Conflict>,
    /// Bytes of all files, unpacked.
    pub unzipped: u64,
    /// The pruned files.
    pub pruned: Pruned,
}

impl<'a> Plan<'a> {
    /// Decides what a layer of these wheels consists of.
    ///
    /// Where wheels claim the same path with different content, the wheel whose distribution name
    /// sorts last wins, as if they had been installed in the order of their names; the others'
    /// `RECORD`s lose the path. With `strict` that is an error. A file where another wheel needs
    /// a folder always is.
    pub fn new(wheels: &[Wheel<'a>], strict: bool) -> Result<Self, Error> {
        let rules = Rules {
            strict,
            ..Rules::default()
        };
        Self::by(wheels, &rules)
    }

    /// [`Self::new`] by these rules. What is pruned claims no path, and no `RECORD` lists it.
    pub fn by(wheels: &[Wheel<'a>], rules: &Rules) -> Result<Self, Error> {
        let plan = Self::of_any_size(wheels, rules)?;
        if plan.unzipped > Limits::LAYER_BYTES {
            let oversize = Oversize::of_trees(plan.unzipped, &[(wheels, &plan)], None, rules);
            return Err(Error::LayerTooLarge(Box::new(oversize)));
        }
        Ok(plan)
    }

    /// [`Self::by`], for a part of a layer: all of its parts together are held to the limit.
    pub(crate) fn of_any_size(wheels: &[Wheel<'a>], rules: &Rules) -> Result<Self, Error> {
        let mut lost: HashMap<usize, Vec<&str>> = HashMap::new();
        let mut pruned = Pruned {
            of_wheels: vec![(0, 0); wheels.len()],
            ..Pruned::default()
        };
        let mut patterns = rules.pruning.pruner();
        let mut order: Vec<usize> = (0..wheels.len()).collect();
        order.sort_by_key(|index| wheels[*index].name);
        let total = wheels.iter().map(|wheel| wheel.layout.files.len()).sum();
        let mut all = Vec::with_capacity(total);
        for &wheel in &order {
            for file in &wheels[wheel].layout.files {
                if patterns.prunes(&file.path) {
                    lost.entry(wheel).or_default().push(&file.path);
                    pruned.add(wheel, file);
                } else {
                    all.push(Planned { wheel, file });
                }
            }
        }
        pruned.unmatched = patterns.unmatched();
        // Stable: of equal paths the last is that of the wheel whose name sorts last.
        all.sort_by(|a, b| a.file.path.cmp(&b.file.path));

        let mut entries = Vec::with_capacity(total);
        let mut conflicts = Vec::new();
        for claims in all.chunk_by(|a, b| a.file.path == b.file.path) {
            let [others @ .., winner] = claims else {
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
                lost.entry(loser.wheel).or_default().push(&loser.file.path);
            }
            conflicts.push(Conflict {
                path: winner.file.path.clone(),
                winner: wheels[winner.wheel].filename.to_owned(),
                losers: losers
                    .iter()
                    .map(|l| wheels[l.wheel].filename.to_owned())
                    .collect(),
            });
        }
        if let Some(conflict) = conflicts.first().filter(|_| rules.strict) {
            return Err(conflict_error(conflict.clone()));
        }
        check_folders(&entries, wheels)?;

        let records: HashMap<usize, (LayoutFile, Vec<u8>)> = lost
            .into_iter()
            .map(|(wheel, mut lost)| {
                lost.sort_unstable();
                (wheel, record_without(wheels[wheel].layout, &lost))
            })
            .collect();
        let mut plan = Self {
            entries,
            records,
            conflicts,
            unzipped: 0,
            pruned,
        };
        plan.unzipped = plan.entries.iter().map(|entry| plan.file(entry).size).sum();
        Ok(plan)
    }

    /// The file that goes into the zip for an entry.
    pub(crate) fn file(&self, entry: &Planned<'a>) -> Cow<'a, LayoutFile> {
        match self.record(entry) {
            Some((file, _)) => Cow::Owned(file.clone()),
            None => Cow::Borrowed(entry.file),
        }
    }

    /// The changed `RECORD` that replaces an entry, with its packed data.
    pub(crate) fn record(&self, entry: &Planned<'_>) -> Option<&(LayoutFile, Vec<u8>)> {
        self.records
            .get(&entry.wheel)
            .filter(|(file, _)| file.path == entry.file.path)
    }

    /// The number of files in the layer.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether the layer has no file at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Pruned {
    fn add(&mut self, wheel: usize, file: &LayoutFile) {
        self.files += 1;
        self.unzipped += file.size;
        let (unzipped, packed) = &mut self.of_wheels[wheel];
        *unzipped += file.size;
        *packed += file.compressed_size;
    }
}

fn check_folders(entries: &[Planned<'_>], wheels: &[Wheel<'_>]) -> Result<(), Error> {
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
            let folder = &folder[..end];
            if let Ok(at) = entries.binary_search_by(|other| other.file.path.as_str().cmp(folder)) {
                let claimants = [entries[at].wheel, entry.wheel]
                    .map(|wheel| wheels[wheel].filename.to_owned())
                    .to_vec();
                return Err(Error::LayerConflict {
                    path: folder.to_owned(),
                    claimants,
                });
            }
        }
    }
    Ok(())
}

/// A wheel's `RECORD` without the paths that another wheel's file is at; `lost` is in order.
fn record_without(layout: &Layout, lost: &[&str]) -> (LayoutFile, Vec<u8>) {
    let lines = layout
        .files
        .iter()
        .filter(|file| file.path != layout.record)
        .filter(|file| lost.binary_search(&file.path.as_str()).is_err())
        .map(|file| (file.path.as_str(), file.sha256, file.size));
    let text = record::write(&layout.record, lines).into_bytes();
    let (method, data) = pack::pack(&text);
    let file = LayoutFile {
        path: layout.record.clone(),
        origin: accretion_tree::Origin::Layout,
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
