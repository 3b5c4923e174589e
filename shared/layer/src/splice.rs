//! The files of a layer with their packed data, as they lie in the archives of packages.

use std::ops::Range;

use accretion_archive::{Header, ReadAt, WriteError};
use accretion_tree::{LayoutFile, Origin};

use crate::bundle::Bundle;
use crate::plan::{Plan, Planned};

/// The files that one package's packed data lies in.
#[derive(Clone, Copy)]
pub struct PackageFiles<'a> {
    /// The package's archive.
    pub archive: &'a dyn ReadAt,
    /// The file that its layout is stored in.
    pub layout: &'a dyn ReadAt,
}

/// Small files that lie close together are read in one go, up to this many bytes.
const WINDOW: u64 = 256 << 10;
/// The largest gap between two files of one window: headers, and files that are not taken.
const GAP: u64 = 4 << 10;

/// The files of a [`Bundle`] with their packed data, in the order of their names.
pub struct Files<'a> {
    order: std::slice::Iter<'a, (usize, usize)>,
    sources: Vec<Source<'a>>,
}

/// The packed data of a file.
pub enum Data<'a> {
    /// All of it.
    Bytes(&'a [u8]),
    /// It begins at an offset of an archive.
    At(&'a dyn ReadAt, u64),
}

impl<'a> Files<'a> {
    /// `trees` are in the order of the trees that were bundled, each in the order of its packages;
    /// `copied` is what the other files' packed data lies in, if there are such.
    pub fn new(
        bundle: &'a Bundle<'a>,
        trees: &'a [Vec<PackageFiles<'a>>],
        copied: Option<&'a PackageFiles<'a>>,
    ) -> Self {
        let of_copied = copied.map_or(&[][..], std::slice::from_ref);
        let sources = bundle.parts.iter().map(|part| {
            let files = part.tree.map_or(of_copied, |tree| &trees[tree]);
            Source::new(format!("{}{}", bundle.root, part.folder), &part.plan, files)
        });
        Self {
            order: bundle.order.iter(),
            sources: sources.collect(),
        }
    }

    /// Reads the next file; `None` after the last one.
    pub fn read(&mut self) -> Result<Option<(Header<'_>, Data<'_>)>, WriteError> {
        match self.order.next() {
            Some((part, entry)) => self.sources[*part].file(*entry).map(Some),
            None => Ok(None),
        }
    }
}

/// The source that a plan's entries are read from.
struct Source<'a> {
    plan: &'a Plan<'a>,
    files: &'a [PackageFiles<'a>],
    /// For each entry how far its archive can be read on.
    ends: Vec<u64>,
    window: Window,
    /// The name of an entry; the part before its path stays.
    name: String,
    prefix: usize,
}

impl<'a> Source<'a> {
    fn new(folder: String, plan: &'a Plan<'a>, files: &'a [PackageFiles<'a>]) -> Self {
        Self {
            plan,
            files,
            ends: window_ends(plan, files.len()),
            window: Window::default(),
            prefix: folder.len(),
            name: folder,
        }
    }

    fn file(&mut self, entry: usize) -> Result<(Header<'_>, Data<'_>), WriteError> {
        let (entry, end) = (&self.plan.entries[entry], self.ends[entry]);
        self.name.truncate(self.prefix);
        self.name.push_str(&entry.file.path);
        let name = &self.name;
        if let Some((list, data)) = self.plan.file_list(entry) {
            return Ok((header(name, list), Data::Bytes(data)));
        }
        let (file, files) = (entry.file, self.files[entry.package]);
        let data = match file.origin {
            Origin::Layout => Data::At(files.layout, file.offset),
            Origin::Archive if file.compressed_size > WINDOW / 4 => {
                Data::At(files.archive, file.offset)
            }
            Origin::Archive => {
                let read = self.window.read(entry.package, files.archive, file, end);
                Data::Bytes(read.map_err(|error| WriteError::Read {
                    name: name.clone(),
                    error,
                })?)
            }
        };
        Ok((header(name, file), data))
    }
}

fn header<'a>(name: &'a str, file: &LayoutFile) -> Header<'a> {
    Header {
        name,
        method: file.method,
        crc32: file.crc32,
        compressed_size: file.compressed_size,
        size: file.size,
        executable: file.executable,
    }
}

/// For each entry how far its archive can be read on to serve the entries after it.
fn window_ends(plan: &Plan<'_>, packages: usize) -> Vec<u64> {
    // Of each package, the window that the next entry starts.
    let mut next: Vec<Option<(u64, u64)>> = vec![None; packages];
    let mut ends = vec![0; plan.entries.len()];
    for (end, Planned { package, file }) in ends.iter_mut().zip(&plan.entries).rev() {
        if file.origin != Origin::Archive {
            continue;
        }
        let own_end = file.offset + file.compressed_size;
        *end = match next[*package] {
            Some((start, end)) if (own_end..own_end + GAP).contains(&start) => end,
            _ => own_end,
        };
        next[*package] = Some((file.offset, *end));
    }
    ends
}

/// A part of an archive that is in memory. One is enough: a package's paths mostly follow each
/// other.
#[derive(Default)]
struct Window {
    package: usize,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The packed data of `file`. What is not in memory is read, together with what follows it up
    /// to `end`.
    fn read(
        &mut self,
        package: usize,
        archive: &dyn ReadAt,
        file: &LayoutFile,
        end: u64,
    ) -> std::io::Result<&[u8]> {
        let size = usize::try_from(file.compressed_size).unwrap_or(usize::MAX);
        if let Some(range) = self.held(package, file.offset, size) {
            return Ok(&self.bytes[range]);
        }
        let length = (end - file.offset).clamp(file.compressed_size, WINDOW);
        (self.package, self.start) = (package, file.offset);
        self.bytes
            .resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
        archive.read_exact_at(&mut self.bytes, file.offset)?;
        Ok(&self.bytes[..size])
    }

    /// The place in memory of a part of a package's archive, if all of it is there.
    fn held(&self, package: usize, offset: u64, size: usize) -> Option<Range<usize>> {
        let at = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let range = at..at.checked_add(size)?;
        (self.package == package && range.end <= self.bytes.len()).then_some(range)
    }
}
