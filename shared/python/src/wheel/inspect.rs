//! Verifying a wheel in full and working out its [`Layout`].

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use accretion_archive::{
    ArchiveError, Directory, Entry, EntryKind, Method, ReadAt, Verified, pack,
};
use accretion_core::digest::Sha256;
use accretion_core::excerpt::shown;
use accretion_core::limits::{Limits, WheelLimits};
use accretion_tree::{Layout, LayoutFile, Origin, installed_path};
use pep440_rs::Version;

use super::place::{ENTRY_POINTS, Roots};
use super::{WheelFilename, metadata, record, scripts};
use crate::error::Error;
use crate::requirement::distribution_name;

/// The content of `INSTALLER` (PEP 376).
const INSTALLER: &[u8] = b"accretion\n";

/// Verifies every entry of a wheel and works out what it puts into a layer.
///
/// `length` is the size of the wheel in bytes, `threads` how many entries are unpacked at a time.
/// The packed data of files that are added or changed goes to `packed`, in order, from its offset
/// 0 on; [`Layout::encode`] is what has to follow it.
///
/// Refuses wheels with paths that lead out of `python/`, with two entries for one path that differ,
/// with special files, whose figures or metadata contradict each other, and whatever
/// [`Directory::read`] refuses.
pub fn inspect(
    archive: &(impl ReadAt + ?Sized),
    length: u64,
    filename: &WheelFilename,
    limits: &WheelLimits,
    threads: usize,
    packed: &mut impl Write,
) -> Result<Layout, Error> {
    let wheel = Wheel {
        archive,
        filename,
        limits,
    };
    let directory =
        Directory::read(archive, length, limits.entries).map_err(|e| wheel.broken(e))?;
    let entries = wheel.files(&directory, length)?;
    let roots = Roots::of(filename, &entries).map_err(|p| wheel.invalid(p))?;
    let verified = wheel.verify(&directory, threads)?;
    let entries = wheel.once(entries, &verified)?;
    wheel.check_metadata(&directory, &entries, &roots)?;

    let mut files = BTreeMap::new();
    let mut packed = Packed {
        sink: packed,
        offset: 0,
    };
    for ArchiveFile { index, entry, path } in &entries {
        let Some((path, is_script)) = roots.place(path).map_err(|p| wheel.invalid(p))? else {
            continue;
        };
        let data = verified[*index];
        let file = LayoutFile {
            path,
            origin: Origin::Archive,
            offset: data.data_offset,
            method: entry.method,
            compressed_size: entry.compressed_size,
            size: entry.size,
            crc32: entry.crc32,
            sha256: Sha256(data.sha256),
            executable: is_script || is_executable(entry),
        };
        let file = if is_script && let Some(script) = wheel.rewritten(&directory, *index)? {
            packed
                .add(file.path, &script, true)
                .map_err(|e| wheel.unwritten(e))?
        } else if entry.method == Method::Zstandard {
            wheel.repack(&directory, *index, file, &mut packed)?
        } else {
            file
        };
        // Two folders of the wheel may lead to one path.
        if let Some(known) = files.get(&file.path).filter(|known| !is_same(known, &file)) {
            return Err(wheel.invalid(format!("it has two files for `{}`", known.path)));
        }
        files.entry(file.path.clone()).or_insert(file);
    }
    for point in wheel.entry_points(&directory, &entries, &roots)? {
        let path = format!("bin/{}", point.name);
        let script = packed.add(path.clone(), point.script().as_bytes(), true);
        // As pip does: the entry point wins over a script of the same name.
        files.insert(path, script.map_err(|e| wheel.unwritten(e))?);
    }
    let installer = format!("{}/INSTALLER", roots.dist_info);
    let file = packed.add(installer.clone(), INSTALLER, false);
    files.insert(installer, file.map_err(|e| wheel.unwritten(e))?);
    let file_list = format!("{}/RECORD", roots.dist_info);
    let text = record::write(&file_list, files.values());
    let file = packed.add(file_list.clone(), text.as_bytes(), false);
    files.insert(file_list.clone(), file.map_err(|e| wheel.unwritten(e))?);
    let paths = files.keys().map(String::as_str);
    wheel.check_folders(paths, |path| files.contains_key(path))?;
    Ok(Layout {
        name: filename.name().to_string(),
        version: filename.version().to_string(),
        archive_size: length,
        file_list,
        files: files.into_values().collect(),
    })
}

/// A file of the archive.
pub(super) struct ArchiveFile<'d> {
    /// Its place in the [`Directory`].
    index: usize,
    pub(super) entry: &'d Entry,
    /// Its name as installers have it: see [`installed_path`].
    pub(super) path: String,
}

fn is_executable(entry: &Entry) -> bool {
    entry.permissions.is_some_and(|mode| mode & 0o111 != 0)
}

/// Returns whether two files of one path are the same file for every installer.
fn is_same(one: &LayoutFile, other: &LayoutFile) -> bool {
    (one.sha256, one.executable) == (other.sha256, other.executable)
}

/// The files that an installation adds, on their way into the layout file.
struct Packed<'a, W> {
    sink: &'a mut W,
    offset: u64,
}

impl<W: Write> Packed<'_, W> {
    fn add(&mut self, path: String, content: &[u8], executable: bool) -> io::Result<LayoutFile> {
        let (method, data) = pack::pack(content);
        self.sink.write_all(&data)?;
        let offset = self.offset;
        self.offset += data.len() as u64;
        Ok(LayoutFile {
            path,
            origin: Origin::Layout,
            offset,
            method,
            compressed_size: data.len() as u64,
            size: content.len() as u64,
            crc32: crc32fast::hash(content),
            sha256: Sha256::of(content),
            executable,
        })
    }
}

/// The wheel that is being looked at.
struct Wheel<'a, A: ?Sized> {
    archive: &'a A,
    filename: &'a WheelFilename,
    limits: &'a WheelLimits,
}

impl<A: ReadAt + ?Sized> Wheel<'_, A> {
    fn invalid(&self, problem: impl Into<String>) -> Error {
        Error::WheelInvalid {
            wheel: self.filename.to_string(),
            problem: problem.into(),
        }
    }

    fn over_limit(&self, problem: impl Into<String>) -> Error {
        Error::WheelOverLimit {
            wheel: self.filename.to_string(),
            problem: problem.into(),
        }
    }

    fn broken(&self, error: ArchiveError) -> Error {
        match error {
            ArchiveError::Read(error) => Error::WheelRead {
                wheel: self.filename.to_string(),
                error,
            },
            ArchiveError::TooManyEntries { .. } => self.over_limit(error.to_string()),
            error => self.invalid(error.to_string()),
        }
    }

    fn unwritten(&self, error: io::Error) -> Error {
        Error::LayoutWrite {
            wheel: self.filename.to_string(),
            error,
        }
    }

    /// The entries that are files; every path checked.
    fn files<'d>(
        &self,
        directory: &'d Directory,
        length: u64,
    ) -> Result<Vec<ArchiveFile<'d>>, Error> {
        let mut kinds = HashMap::new();
        let mut size = 0_u64;
        let mut files = Vec::with_capacity(directory.entries.len());
        for (index, entry) in directory.entries.iter().enumerate() {
            let path = self.path(entry)?;
            let kind = *kinds.entry(path.clone()).or_insert(entry.kind);
            if kind != entry.kind {
                return Err(self.invalid(format!("`{path}` is both a file and a folder")));
            }
            match entry.kind {
                EntryKind::File => files.push(ArchiveFile { index, entry, path }),
                EntryKind::Directory if entry.size == 0 => {}
                EntryKind::Directory => {
                    let name = &entry.name;
                    return Err(self.invalid(format!("the folder `{name}` has content")));
                }
                EntryKind::Symlink | EntryKind::Special => {
                    let name = &entry.name;
                    return Err(self.invalid(format!(
                        "`{name}` is a link or a device; wheels hold files only"
                    )));
                }
            }
            size = size.saturating_add(entry.size);
        }
        let is_file = |path: &str| kinds.get(path) == Some(&EntryKind::File);
        self.check_folders(kinds.keys().map(String::as_str), is_file)?;
        if size > self.limits.unzipped {
            let limit = self.limits.unzipped;
            return Err(
                self.over_limit(format!("it unpacks to {size} bytes; the limit is {limit}"))
            );
        }
        let limit = self.limits.ratio;
        if size > Limits::LAYER_BYTES && size > length.saturating_mul(limit) {
            return Err(self.over_limit(format!(
                "its {length} bytes unpack to {size}; the limit is {limit} times as many"
            )));
        }
        Ok(files)
    }

    /// The path of an entry as installers have it.
    fn path(&self, entry: &Entry) -> Result<String, Error> {
        let name = entry.name.as_str();
        let shown = shown(name);
        if name.len() > self.limits.path {
            let limit = self.limits.path;
            return Err(self.over_limit(format!(
                "the path `{shown}` has {} bytes; the limit is {limit}",
                name.len()
            )));
        }
        installed_path(name, entry.kind)
            .map_err(|problem| self.invalid(format!("the path `{shown}` {problem}")))
    }

    /// No file may lie where a path needs a folder.
    fn check_folders<'p>(
        &self,
        paths: impl Iterator<Item = &'p str>,
        is_file: impl Fn(&str) -> bool,
    ) -> Result<(), Error> {
        let clashes = paths.filter_map(|path| {
            let mut folders = path.match_indices('/').map(|(end, _)| &path[..end]);
            folders.find(|folder| is_file(folder))
        });
        match clashes.min() {
            Some(folder) => Err(self.invalid(format!("`{folder}` is both a file and a folder"))),
            None => Ok(()),
        }
    }

    /// Each file once: old tools write one twice, and readers differ in which one they take.
    fn once<'d>(
        &self,
        files: Vec<ArchiveFile<'d>>,
        verified: &[Verified],
    ) -> Result<Vec<ArchiveFile<'d>>, Error> {
        let content =
            |file: &ArchiveFile<'_>| (verified[file.index].sha256, is_executable(file.entry));
        let mut known = HashMap::new();
        let mut once = Vec::with_capacity(files.len());
        for file in files {
            match known.insert(file.path.clone(), content(&file)) {
                None => once.push(file),
                Some(first) if first == content(&file) => {}
                Some(_) => {
                    let path = &file.path;
                    return Err(self.invalid(format!("it has two entries `{path}` that differ")));
                }
            }
        }
        Ok(once)
    }

    /// Unpacks every entry, several at a time. Folders, too: one may have a header that says
    /// something else.
    fn verify(&self, directory: &Directory, threads: usize) -> Result<Vec<Verified>, Error> {
        let count = directory.entries.len();
        let next = AtomicUsize::new(0);
        let results = Mutex::new(vec![None; count]);
        let work = || -> Result<(), ArchiveError> {
            // A batch at a time, so that threads seldom meet at the lock.
            const BATCH: usize = 16;
            loop {
                let start = next.fetch_add(BATCH, Ordering::Relaxed);
                if start >= count {
                    return Ok(());
                }
                for index in start..count.min(start + BATCH) {
                    let verified = directory
                        .unpack(self.archive, index, |_| Ok(()))
                        .inspect_err(|_| next.store(count, Ordering::Relaxed))?;
                    if let Ok(mut results) = results.lock() {
                        results[index] = Some(verified);
                    }
                }
            }
        };
        let outcome = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let own = work();
            others.into_iter().fold(own, |outcome, other| {
                outcome.and(
                    other
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                )
            })
        });
        outcome.map_err(|e| self.broken(e))?;
        results
            .into_inner()
            .unwrap_or_default()
            .into_iter()
            .collect::<Option<_>>()
            .ok_or_else(|| self.invalid("it was not read whole"))
    }

    /// The content of a small text file at `path`, if the wheel has it.
    fn text(
        &self,
        directory: &Directory,
        entries: &[ArchiveFile<'_>],
        path: &str,
    ) -> Result<Option<String>, Error> {
        let Some(ArchiveFile { index, entry, .. }) = entries.iter().find(|file| file.path == path)
        else {
            return Ok(None);
        };
        if entry.size > self.limits.metadata {
            let limit = self.limits.metadata;
            return Err(self.over_limit(format!(
                "`{path}` has {} bytes; the limit is {limit}",
                entry.size
            )));
        }
        let mut content = Vec::new();
        let unpacked = directory.unpack(self.archive, *index, |bytes| content.write_all(bytes));
        unpacked.map_err(|e| self.broken(e))?;
        match String::from_utf8(content) {
            Ok(text) => Ok(Some(text)),
            // Old metadata is in any encoding; what we read of it is ASCII.
            Err(error) => Ok(Some(String::from_utf8_lossy(error.as_bytes()).into_owned())),
        }
    }

    fn check_metadata(
        &self,
        directory: &Directory,
        entries: &[ArchiveFile<'_>],
        roots: &Roots,
    ) -> Result<(), Error> {
        let read = |file: &str| {
            let path = format!("{}/{file}", roots.dist_info);
            Ok::<_, Error>(self.text(directory, entries, &path)?.unwrap_or_default())
        };
        let wheel = read("WHEEL")?;
        let version = metadata::header(&wheel, "Wheel-Version").unwrap_or("none");
        // As pip has it: wheels of 2012 say 0.1.
        let parts: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
        if parts.is_none_or(|parts| parts[0] > 1) {
            return Err(self.invalid(format!(
                "its Wheel-Version is {}; 1.x is supported",
                shown(version)
            )));
        }
        let metadata = read("METADATA")?;
        let field = |name: &str| metadata::header(&metadata, name).unwrap_or_default();
        let (name, version) = (field("Name"), field("Version"));
        let same = distribution_name(name).is_some_and(|name| name == *self.filename.name())
            && version
                .parse::<Version>()
                .is_ok_and(|version| version == *self.filename.version());
        if same {
            Ok(())
        } else {
            let (name, version) = (shown(name), shown(version));
            Err(self.invalid(format!("its metadata says that it is `{name}` `{version}`")))
        }
    }

    fn entry_points(
        &self,
        directory: &Directory,
        entries: &[ArchiveFile<'_>],
        roots: &Roots,
    ) -> Result<Vec<scripts::EntryPoint>, Error> {
        let path = format!("{}/{ENTRY_POINTS}", roots.dist_info);
        let text = self.text(directory, entries, &path)?.unwrap_or_default();
        let points = scripts::parse_entry_points(&text)
            .map_err(|problem| self.invalid(format!("`{path}` {problem}")))?;
        // Each becomes a file, as if it were one of the archive's.
        if points.len() as u64 > self.limits.entries {
            let (points, limit) = (points.len(), self.limits.entries);
            return Err(self.over_limit(format!(
                "`{path}` has {points} scripts; the limit is {limit}"
            )));
        }
        Ok(points)
    }

    /// The rewritten content of a script, if it has to be rewritten.
    fn rewritten(&self, directory: &Directory, index: usize) -> Result<Option<Vec<u8>>, Error> {
        let limit = usize::try_from(self.limits.metadata).unwrap_or(usize::MAX);
        let mut content = Vec::new();
        // A program of many megabytes is no script: its start tells, once it is there.
        let unpacked = directory.unpack(self.archive, index, |bytes| {
            if content.len() < scripts::PLACEHOLDER.len()
                || (content.starts_with(scripts::PLACEHOLDER) && content.len() <= limit)
            {
                content.extend_from_slice(bytes);
            }
            Ok(())
        });
        unpacked.map_err(|e| self.broken(e))?;
        if content.starts_with(scripts::PLACEHOLDER) && content.len() > limit {
            let name = &directory.entries[index].name;
            return Err(self.over_limit(format!("the script `{name}` has more than {limit} bytes")));
        }
        Ok(scripts::rewrite_shebang(&content))
    }

    /// Packs an entry with deflate that is packed with something Lambda need not know.
    fn repack(
        &self,
        directory: &Directory,
        index: usize,
        file: LayoutFile,
        packed: &mut Packed<'_, impl Write>,
    ) -> Result<LayoutFile, Error> {
        let mut deflate = pack::Deflater::new(&mut *packed.sink);
        let mut failure = None;
        let unpacked = directory.unpack(self.archive, index, |bytes| {
            deflate.write_all(bytes).map_err(|error| {
                let kind = error.kind();
                failure = Some(error);
                kind.into()
            })
        });
        // The archive takes it for one of its own.
        if let Some(failure) = failure {
            return Err(self.unwritten(failure));
        }
        unpacked.map_err(|e| self.broken(e))?;
        let compressed_size = deflate.finish().map_err(|e| self.unwritten(e))?;
        let offset = packed.offset;
        packed.offset += compressed_size;
        Ok(LayoutFile {
            origin: Origin::Layout,
            offset,
            method: Method::Deflated,
            compressed_size,
            ..file
        })
    }
}
