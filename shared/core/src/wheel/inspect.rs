//! Verifying a wheel in full and working out its [`Layout`].

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use pep440_rs::Version;

use super::layout::{Layout, LayoutFile, Origin};
use super::{WheelFilename, metadata, record, scripts};
use crate::archive::{ArchiveError, Directory, Entry, EntryKind, Method, ReadAt, Verified, pack};
use crate::digest::Sha256;
use crate::error::{Error, shown};
use crate::limits::{Limits, WheelLimits};
use crate::requirement::distribution_name;

/// What `INSTALLER` says (PEP 376).
const INSTALLER: &[u8] = b"accretion\n";

/// What an installer writes itself and never takes from the wheel: its own records, and signatures
/// of a `RECORD` that is no longer there.
const NOT_TAKEN: [&str; 6] = [
    "RECORD",
    "RECORD.jws",
    "RECORD.p7s",
    "INSTALLER",
    "REQUESTED",
    "direct_url.json",
];

/// What Python takes for the end of a line besides control characters: such a path would be two
/// lines of `RECORD`.
pub(super) const LINE_SEPARATORS: [char; 2] = ['\u{2028}', '\u{2029}'];

/// Why a file of a layer can't have this path below `python/`, as the rest of a sentence.
pub(crate) fn path_problem(path: &str) -> Option<&'static str> {
    let is_drive = |path: &[u8]| path.get(1) == Some(&b':') && path[0].is_ascii_alphabetic();
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        Some("is no relative path below the wheel's root")
    } else if path.contains('\\') {
        Some("has a backslash")
    } else if path.contains(char::is_control) {
        Some("has a control character")
    } else if path.contains(LINE_SEPARATORS) {
        Some("has a line separator")
    } else if path.split('/').any(|part| part.len() > 255) {
        Some("has a part of more than 255 bytes")
    } else if is_drive(path.as_bytes()) {
        Some("starts with a drive letter")
    } else {
        None
    }
}

/// Verifies every entry of a wheel and works out what it puts into a layer.
///
/// `length` is the size of the wheel in bytes, `threads` how many entries are unpacked at a time.
/// The packed data of files that are added or changed goes to `packed`, in order, from its offset
/// 0 on; [`Layout::encode`] is what has to follow it.
///
/// Refuses wheels with paths that lead out of `python/`, with two entries for one path, with
/// special files, whose figures or metadata contradict each other, and whatever
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
    let roots = wheel.roots(&entries)?;
    let verified = wheel.verify(&directory, &entries, threads)?;
    wheel.check_metadata(&directory, &entries, &roots)?;

    let mut files = BTreeMap::new();
    let mut packed = Packed {
        sink: packed,
        offset: 0,
    };
    for ((index, entry), verified) in entries.iter().zip(&verified) {
        let Some((path, is_script)) = roots.place(&entry.name).map_err(|p| wheel.invalid(p))?
        else {
            continue;
        };
        let file = LayoutFile {
            path,
            origin: Origin::Wheel,
            offset: verified.data_offset,
            method: entry.method,
            compressed_size: entry.compressed_size,
            size: entry.size,
            crc32: entry.crc32,
            sha256: verified.sha256,
            executable: is_script || entry.permissions.is_some_and(|mode| mode & 0o111 != 0),
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
        if let Some(file) = files.insert(file.path.clone(), file) {
            return Err(wheel.invalid(format!("it has two files for `{}`", file.path)));
        }
    }
    for point in wheel.entry_points(&directory, &entries, &roots)? {
        let path = format!("bin/{}", point.name);
        let script = packed.add(path.clone(), point.script().as_bytes(), true);
        // As pip does: the entry point wins over a script of the same name.
        files.insert(path, script.map_err(|e| wheel.unwritten(e))?);
    }
    for (name, content) in [("INSTALLER", INSTALLER.to_vec()), ("RECORD", Vec::new())] {
        let path = format!("{}/{name}", roots.dist_info);
        let content = if name == "RECORD" {
            let lines = files
                .values()
                .map(|file| (file.path.as_str(), file.sha256, file.size));
            record::write(&path, lines).into_bytes()
        } else {
            content
        };
        let file = packed
            .add(path.clone(), &content, false)
            .map_err(|e| wheel.unwritten(e))?;
        files.insert(path, file);
    }
    wheel.check_folders(&files)?;
    let record = format!("{}/RECORD", roots.dist_info);
    let files = files.into_values().collect();
    Ok(Layout {
        name: filename.name().to_string(),
        version: filename.version().to_string(),
        wheel_size: length,
        record,
        files,
    })
}

/// Where the parts of a wheel lie.
struct Roots {
    /// `NAME-VERSION.dist-info`, as it is written.
    dist_info: String,
    /// `NAME-VERSION.data`, as it is written, if there is one.
    data: Option<String>,
    /// Where headers go, below `python/`.
    headers: String,
}

impl Roots {
    /// The path below `python/` that an entry goes to and whether it is a script; `None` for what
    /// is not taken. The error is a sentence.
    fn place(&self, name: &str) -> Result<Option<(String, bool)>, String> {
        let Some(rest) = self.data.as_deref().and_then(|data| below(data, name)) else {
            return Ok(self.taken(name.to_owned(), false));
        };
        let (path, is_script) = match rest.split_once('/') {
            Some(("purelib" | "platlib" | "data", rest)) => (rest.to_owned(), false),
            Some(("headers", rest)) => (format!("{}/{rest}", self.headers), false),
            Some(("scripts", rest)) => (format!("bin/{rest}"), true),
            _ => {
                return Err(format!(
                    "`{name}` lies in no folder that a .data folder may have"
                ));
            }
        };
        Ok(self.taken(path, is_script))
    }

    /// What an installer writes itself is not taken, whichever way the wheel would put it there.
    fn taken(&self, path: String, is_script: bool) -> Option<(String, bool)> {
        let is_taken = !below(&self.dist_info, &path).is_some_and(|rest| NOT_TAKEN.contains(&rest));
        is_taken.then_some((path, is_script))
    }
}

/// The rest of a path below a folder.
fn below<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    path.strip_prefix(folder)?.strip_prefix('/')
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

    /// The entries that are files, with their index; every path checked.
    fn files<'d>(
        &self,
        directory: &'d Directory,
        length: u64,
    ) -> Result<Vec<(usize, &'d Entry)>, Error> {
        let mut seen = HashSet::new();
        let mut size = 0_u64;
        let mut files = Vec::with_capacity(directory.entries.len());
        for (index, entry) in directory.entries.iter().enumerate() {
            self.check_path(entry)?;
            if !seen.insert(entry.name.trim_end_matches('/')) {
                return Err(self.invalid(format!("it has two entries `{}`", entry.name)));
            }
            match entry.kind {
                EntryKind::File => files.push((index, entry)),
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

    fn check_path(&self, entry: &Entry) -> Result<(), Error> {
        let name = entry.name.as_str();
        let shown = shown(name);
        if name.len() > self.limits.path {
            let limit = self.limits.path;
            return Err(self.over_limit(format!(
                "the path `{shown}` has {} bytes; the limit is {limit}",
                name.len()
            )));
        }
        let path = match entry.kind {
            EntryKind::Directory => name.strip_suffix('/').unwrap_or(name),
            _ => name,
        };
        let Some(problem) = path_problem(path) else {
            return Ok(());
        };
        Err(self.invalid(format!("the path `{shown}` {problem}")))
    }

    /// No file may lie where another needs a folder.
    fn check_folders(&self, files: &BTreeMap<String, LayoutFile>) -> Result<(), Error> {
        for path in files.keys() {
            let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
            if let Some(folder) = folders
                .into_iter()
                .find(|folder| files.contains_key(*folder))
            {
                return Err(self.invalid(format!("`{folder}` is both a file and a folder")));
            }
        }
        Ok(())
    }

    fn roots(&self, entries: &[(usize, &Entry)]) -> Result<Roots, Error> {
        let mut dist_infos = Vec::new();
        let mut datas = Vec::new();
        for (_, entry) in entries {
            let Some((top, _)) = entry.name.split_once('/') else {
                continue;
            };
            for (suffix, found) in [(".dist-info", &mut dist_infos), (".data", &mut datas)] {
                let stem = top.strip_suffix(suffix);
                let is_data_of_another =
                    suffix == ".data" && stem.is_some_and(|stem| !self.is_own(stem));
                // Two are too many already; a hostile wheel may have as many as it has entries.
                let is_new = found.len() < 2 && !found.contains(&top);
                if stem.is_some() && !is_data_of_another && is_new {
                    found.push(top);
                }
            }
        }
        let dist_info = match dist_infos[..] {
            [dist_info] => dist_info,
            [] => return Err(self.invalid("it has no .dist-info folder")),
            _ => {
                let all = dist_infos.join("` and `");
                return Err(self.invalid(format!("it has several .dist-info folders: `{all}`")));
            }
        };
        if !self.is_own(dist_info.strip_suffix(".dist-info").unwrap_or_default()) {
            return Err(self.invalid(format!("`{dist_info}` does not belong to its name")));
        }
        if datas.len() > 1 {
            let all = datas.join("` and `");
            return Err(self.invalid(format!("it has several .data folders: `{all}`")));
        }
        let required = ["METADATA", "WHEEL", "RECORD"].map(|file| format!("{dist_info}/{file}"));
        for path in required {
            if !entries.iter().any(|(_, entry)| entry.name == path) {
                return Err(self.invalid(format!("it has no `{path}`")));
            }
        }
        Ok(Roots {
            dist_info: dist_info.to_owned(),
            data: datas.first().map(|&data| data.to_owned()),
            headers: format!("include/{}", self.filename.name()),
        })
    }

    /// Whether `NAME-VERSION` is that of the file name, however it is written.
    fn is_own(&self, stem: &str) -> bool {
        stem.rsplit_once('-').is_some_and(|(name, version)| {
            distribution_name(name).is_some_and(|name| name == *self.filename.name())
                && version
                    .parse::<Version>()
                    .is_ok_and(|version| version == *self.filename.version())
        })
    }

    /// Unpacks every file, several at a time.
    fn verify(
        &self,
        directory: &Directory,
        entries: &[(usize, &Entry)],
        threads: usize,
    ) -> Result<Vec<Verified>, Error> {
        let next = AtomicUsize::new(0);
        let results = Mutex::new(vec![None; entries.len()]);
        let work = || -> Result<(), ArchiveError> {
            // A batch at a time, so that threads seldom meet at the lock.
            const BATCH: usize = 16;
            loop {
                let start = next.fetch_add(BATCH, Ordering::Relaxed);
                let batch = entries.get(start..).unwrap_or_default();
                let batch = &batch[..batch.len().min(BATCH)];
                if batch.is_empty() {
                    return Ok(());
                }
                for (at, (index, _)) in batch.iter().enumerate() {
                    let verified = directory
                        .unpack(self.archive, *index, |_| Ok(()))
                        .inspect_err(|_| next.store(entries.len(), Ordering::Relaxed))?;
                    if let Ok(mut results) = results.lock() {
                        results[start + at] = Some(verified);
                    }
                }
            }
        };
        let outcome = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let own = work();
            others.into_iter().fold(own, |outcome, other| {
                let other = other
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                outcome.and(other)
            })
        });
        outcome.map_err(|e| self.broken(e))?;
        let results = results.into_inner().unwrap_or_default();
        results
            .into_iter()
            .collect::<Option<_>>()
            .ok_or_else(|| self.invalid("it was not read whole"))
    }

    /// The content of a small text file at `path`, if the wheel has it.
    fn text(
        &self,
        directory: &Directory,
        entries: &[(usize, &Entry)],
        path: &str,
    ) -> Result<Option<String>, Error> {
        let Some((index, entry)) = entries.iter().find(|(_, entry)| entry.name == path) else {
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
        entries: &[(usize, &Entry)],
        roots: &Roots,
    ) -> Result<(), Error> {
        let read = |file: &str| {
            let path = format!("{}/{file}", roots.dist_info);
            Ok::<_, Error>(self.text(directory, entries, &path)?.unwrap_or_default())
        };
        let wheel = read("WHEEL")?;
        let version = metadata::header(&wheel, "Wheel-Version").unwrap_or("none");
        if version.split('.').next() != Some("1") {
            let version = shown(version);
            return Err(self.invalid(format!("its Wheel-Version is {version}; 1.x is supported")));
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
        entries: &[(usize, &Entry)],
        roots: &Roots,
    ) -> Result<Vec<scripts::EntryPoint>, Error> {
        let path = format!("{}/entry_points.txt", roots.dist_info);
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
