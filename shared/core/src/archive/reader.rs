//! Reading the central directory, and each entry's data with everything about it checked.

use std::io::{self, Read};

use sha2::Digest as _;

use super::{FLAG_DESCRIPTOR, FLAG_UTF8, Method, ReadAt, signature, u16_at, u32_at, u64_at};
use crate::digest::Sha256;
use crate::error::shown;

/// Length of the fixed part of a local file header.
const LOCAL_LENGTH: usize = 30;
/// Length of the fixed part of a central directory header.
const CENTRAL_LENGTH: usize = 46;
/// Length of the end of central directory record without its comment.
const END_LENGTH: usize = 22;
/// Length of the ZIP64 end of central directory record, version 1.
const END64_LENGTH: usize = 56;
/// Length of the ZIP64 end of central directory locator.
const END64_LOCATOR_LENGTH: usize = 20;
/// A central directory of more bytes than this is refused before it is read.
const DIRECTORY_LIMIT: u64 = 64 << 20;
/// How much is read and inflated at a time.
const CHUNK: usize = 64 << 10;

/// The newest "version needed to extract" that means something: 6.3.
const VERSION_KNOWN: u8 = 63;
/// The extra field with figures of 64 bits.
const EXTRA_ZIP64: u16 = 0x0001;
/// The extra field with another name for the entry (Info-ZIP Unicode Path).
const EXTRA_UNICODE_PATH: u16 = 0x7075;

/// General purpose flags that mean encryption or patched data: bits 0, 5, 6 and 13.
const FLAGS_REFUSED: u16 = 1 | 1 << 5 | 1 << 6 | 1 << 13;

/// Why an archive can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The bytes are no ZIP archive, or contradict themselves.
    #[error("{0}")]
    Structure(String),
    /// An entry is broken or contradicts itself.
    #[error("entry `{}` {problem}", shown(name))]
    Entry {
        /// The entry's name.
        name: String,
        /// What is wrong with it: the rest of a sentence.
        problem: String,
    },
    /// An entry is packed with a method that is not supported.
    #[error(
        "entry `{}` is compressed with method {method}; only stored, deflate and zstd are supported",
        shown(name)
    )]
    Method {
        /// The entry's name.
        name: String,
        /// The number of the method in APPNOTE.TXT.
        method: u16,
    },
    /// More entries than the limit allows.
    #[error("it has {entries} entries; the limit is {limit}")]
    TooManyEntries {
        /// How many there are.
        entries: u64,
        /// How many there may be.
        limit: u64,
    },
    /// The bytes could not be read.
    #[error(transparent)]
    Read(#[from] io::Error),
}

impl ArchiveError {
    fn structure(problem: impl Into<String>) -> Self {
        Self::Structure(problem.into())
    }
}

/// What kind of file an entry is, as far as its Unix mode tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file, or nothing is said.
    File,
    /// A directory: the name ends in `/` or the mode says so.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, socket or pipe.
    Special,
}

/// An entry as the central directory describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, decoded.
    pub name: String,
    /// How the data is packed.
    pub method: Method,
    /// CRC-32 of the unpacked data.
    pub crc32: u32,
    /// Bytes of the packed data.
    pub compressed_size: u64,
    /// Bytes of the unpacked data.
    pub size: u64,
    /// Permission bits, where the archive has them.
    pub permissions: Option<u32>,
    /// What kind of file it is.
    pub kind: EntryKind,
    raw_name: Vec<u8>,
    flags: u16,
    header_offset: u64,
}

impl Entry {
    fn error(&self, problem: impl Into<String>) -> ArchiveError {
        ArchiveError::Entry {
            name: self.name.clone(),
            problem: problem.into(),
        }
    }
}

/// Where an entry's packed data lies, and what it unpacks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Offset of the packed data from the start of the archive.
    pub data_offset: u64,
    /// SHA-256 of the unpacked data.
    pub sha256: Sha256,
}

/// The central directory of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The entries, ordered by where they lie in the archive.
    pub entries: Vec<Entry>,
    /// Offset of the central directory: where the last entry has to end.
    offset: u64,
}

/// The end of central directory record, of either kind.
struct End {
    /// Where the record starts: the central directory has to end there.
    position: u64,
    entries: u64,
    size: u64,
    offset: u64,
}

impl Directory {
    /// Reads the central directory of an archive of `length` bytes.
    ///
    /// Refuses archives in several parts, with bytes before the first or after the last record,
    /// with more than one possible end record, with overlapping entries, encrypted entries and
    /// names that are not text.
    pub fn read(
        archive: &(impl ReadAt + ?Sized),
        length: u64,
        max_entries: u64,
    ) -> Result<Self, ArchiveError> {
        let end = read_end(archive, length)?;
        if end.entries > max_entries {
            return Err(ArchiveError::TooManyEntries {
                entries: end.entries,
                limit: max_entries,
            });
        }
        if end.size > DIRECTORY_LIMIT {
            return Err(ArchiveError::structure(format!(
                "its central directory has {} bytes; the limit is {DIRECTORY_LIMIT}",
                end.size
            )));
        }
        if end.offset.checked_add(end.size) != Some(end.position) {
            return Err(ArchiveError::structure(
                "its central directory does not lie right before its end record",
            ));
        }
        let mut bytes = vec![0; usize_of(end.size)?];
        archive.read_exact_at(&mut bytes, end.offset)?;
        let mut entries = Vec::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (entry, length) = parse_central(rest)?;
            entries.push(entry);
            rest = &rest[length..];
        }
        if entries.len() as u64 != end.entries {
            return Err(ArchiveError::structure(format!(
                "its end record counts {} entries, its central directory has {}",
                end.entries,
                entries.len()
            )));
        }
        entries.sort_by_key(|entry| entry.header_offset);
        if entries.first().is_some_and(|first| first.header_offset > 0) {
            return Err(ArchiveError::structure(
                "it has bytes before its first entry",
            ));
        }
        let directory = Self {
            entries,
            offset: end.offset,
        };
        directory.check_overlaps()?;
        Ok(directory)
    }

    /// No entry may start before the one before it has ended, by what the directory says.
    fn check_overlaps(&self) -> Result<(), ArchiveError> {
        for (index, entry) in self.entries.iter().enumerate() {
            let end = entry
                .header_offset
                .checked_add((LOCAL_LENGTH + entry.raw_name.len()) as u64)
                .and_then(|start| start.checked_add(entry.compressed_size));
            if end.is_none_or(|end| end > self.limit_of(index)) {
                return Err(entry.error("overlaps what comes after it"));
            }
        }
        Ok(())
    }

    /// Where the entry at `index` has to end: where the next record starts.
    fn limit_of(&self, index: usize) -> u64 {
        self.entries
            .get(index + 1)
            .map_or(self.offset, |next| next.header_offset)
    }

    /// Checks an entry's local header, data and data descriptor against the central directory,
    /// and unpacks the data into `sink`.
    ///
    /// Never unpacks more than the size that the directory gives.
    pub fn unpack(
        &self,
        archive: &(impl ReadAt + ?Sized),
        index: usize,
        mut sink: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Verified, ArchiveError> {
        let entry = &self.entries[index];
        let data_offset = check_local(archive, entry, self.limit_of(index))?;
        let end = data_offset
            .checked_add(entry.compressed_size)
            .filter(|end| *end <= self.limit_of(index))
            .ok_or_else(|| entry.error("overlaps what comes after it"))?;
        let mut raw = RawReader {
            archive,
            position: data_offset,
            end,
            failure: None,
        };
        let mut unpacked = Unpacked::new(entry, &mut sink);
        let outcome = match entry.method {
            Method::Stored => unpacked.take_all(&mut raw),
            Method::Deflated => inflate(entry, &mut raw, &mut unpacked),
            Method::Zstandard => match ruzstd::decoding::StreamingDecoder::new(&mut raw) {
                Ok(mut decoder) => unpacked.take_all(&mut decoder),
                Err(_) => Err(entry.error("is not valid zstd data")),
            },
        };
        // Decoders take a failure to read for broken data.
        if let Some(failure) = raw.failure {
            return Err(failure.into());
        }
        outcome?;
        if raw.position != end {
            return Err(entry.error("has bytes behind its compressed data"));
        }
        let sha256 = unpacked.finish()?;
        check_descriptor(archive, entry, end, self.limit_of(index))?;
        Ok(Verified {
            data_offset,
            sha256,
        })
    }
}

/// Unpacked data on its way: counted, hashed and handed on.
struct Unpacked<'a, F> {
    entry: &'a Entry,
    sink: F,
    size: u64,
    crc32: crc32fast::Hasher,
    sha256: sha2::Sha256,
}

impl<'a, F: FnMut(&[u8]) -> io::Result<()>> Unpacked<'a, F> {
    fn new(entry: &'a Entry, sink: F) -> Self {
        let (crc32, sha256) = (crc32fast::Hasher::new(), sha2::Sha256::new());
        Self {
            entry,
            sink,
            size: 0,
            crc32,
            sha256,
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.size += bytes.len() as u64;
        if self.size > self.entry.size {
            return Err(self.entry.error(format!(
                "unpacks to more than the {} bytes that the archive says",
                self.entry.size
            )));
        }
        self.crc32.update(bytes);
        self.sha256.update(bytes);
        (self.sink)(bytes)?;
        Ok(())
    }

    fn take_all(&mut self, source: &mut impl Read) -> Result<(), ArchiveError> {
        let mut buffer = vec![0; CHUNK];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => self.take(&buffer[..length])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(self.entry.error(format!("cannot be unpacked: {error}")));
                }
            }
        }
    }

    fn finish(self) -> Result<Sha256, ArchiveError> {
        if self.size != self.entry.size {
            return Err(self.entry.error(format!(
                "unpacks to {} bytes, not to the {} that the archive says",
                self.size, self.entry.size
            )));
        }
        if self.crc32.finalize() != self.entry.crc32 {
            return Err(self
                .entry
                .error("does not have the CRC-32 that the archive says"));
        }
        Ok(Sha256(self.sha256.finalize().into()))
    }
}

/// The packed bytes of one entry.
struct RawReader<'a, A: ?Sized> {
    archive: &'a A,
    position: u64,
    end: u64,
    /// Why the archive could not be read.
    failure: Option<io::Error>,
}

impl<A: ReadAt + ?Sized> Read for RawReader<'_, A> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        let read = self
            .archive
            .read_exact_at(&mut buffer[..length], self.position);
        if let Err(error) = read {
            let kind = error.kind();
            self.failure = Some(error);
            return Err(kind.into());
        }
        self.position += length as u64;
        Ok(length)
    }
}

fn inflate<A: ReadAt + ?Sized>(
    entry: &Entry,
    raw: &mut RawReader<'_, A>,
    unpacked: &mut Unpacked<'_, impl FnMut(&[u8]) -> io::Result<()>>,
) -> Result<(), ArchiveError> {
    let broken = || entry.error("is not valid deflate data");
    let mut decompress = flate2::Decompress::new(false);
    let (mut input, mut output) = (vec![0; CHUNK], vec![0; CHUNK]);
    let (mut start, mut length) = (0, 0);
    loop {
        if start == length {
            (start, length) = (0, raw.read(&mut input)?);
        }
        let (consumed, produced) = (decompress.total_in(), decompress.total_out());
        let status = decompress
            .decompress(
                &input[start..length],
                &mut output,
                flate2::FlushDecompress::None,
            )
            .map_err(|_| broken())?;
        let consumed = usize_of(decompress.total_in() - consumed)?;
        let produced = usize_of(decompress.total_out() - produced)?;
        start += consumed;
        unpacked.take(&output[..produced])?;
        match status {
            flate2::Status::StreamEnd if start == length => return Ok(()),
            flate2::Status::StreamEnd => {
                return Err(entry.error("has bytes behind its compressed data"));
            }
            // No progress although there is room: the stream goes on behind its end.
            _ if consumed == 0 && produced == 0 && raw.position == raw.end => return Err(broken()),
            _ => {}
        }
    }
}

fn read_end(archive: &(impl ReadAt + ?Sized), length: u64) -> Result<End, ArchiveError> {
    let tail_length = length.min((END_LENGTH + usize::from(u16::MAX)) as u64);
    let tail_start = length - tail_length;
    let mut tail = vec![0; usize_of(tail_length)?];
    archive.read_exact_at(&mut tail, tail_start)?;
    let candidates: Vec<usize> = (0..(tail.len() + 1).saturating_sub(END_LENGTH))
        .filter(|at| u32_at(&tail, *at) == signature::END)
        .filter(|at| at + END_LENGTH + usize::from(u16_at(&tail, at + 20)) == tail.len())
        .collect();
    let at = match candidates[..] {
        [at] => at,
        [] => {
            return Err(ArchiveError::structure(
                "it is not a ZIP archive, or it is cut off",
            ));
        }
        _ => {
            return Err(ArchiveError::structure(
                "it has more than one possible end record",
            ));
        }
    };
    let record = &tail[at..];
    // Readers that look for the last signature, and at nothing else, would begin there.
    let signature = signature::END.to_le_bytes();
    if record[1..].windows(4).any(|bytes| bytes == signature) {
        return Err(ArchiveError::structure(
            "it has more than one possible end record",
        ));
    }
    let position = tail_start + at as u64;
    if let Some(end) = read_end64(archive, position)? {
        // Where the short record gives a figure, it has to be the same.
        let short16 = |at: usize, long: u64| {
            let short = u16_at(record, at);
            short == u16::MAX || u64::from(short) == long
        };
        let short32 = |at: usize, long: u64| {
            let short = u32_at(record, at);
            short == u32::MAX || u64::from(short) == long
        };
        let same = short16(4, 0)
            && short16(6, 0)
            && short16(8, end.entries)
            && short16(10, end.entries)
            && short32(12, end.size)
            && short32(16, end.offset);
        if !same {
            return Err(ArchiveError::structure(
                "its two end records contradict each other",
            ));
        }
        return Ok(end);
    }
    if u32_at(record, 4) != 0 || u16_at(record, 8) != u16_at(record, 10) {
        return Err(ArchiveError::structure("it is one part of several"));
    }
    Ok(End {
        position,
        entries: u64::from(u16_at(record, 10)),
        size: u64::from(u32_at(record, 12)),
        offset: u64::from(u32_at(record, 16)),
    })
}

/// The ZIP64 end record whose locator lies right before the end record at `position`, if there is
/// one.
fn read_end64(
    archive: &(impl ReadAt + ?Sized),
    position: u64,
) -> Result<Option<End>, ArchiveError> {
    let Some(locator_position) = position.checked_sub(END64_LOCATOR_LENGTH as u64) else {
        return Ok(None);
    };
    let mut locator = [0; END64_LOCATOR_LENGTH];
    archive.read_exact_at(&mut locator, locator_position)?;
    if u32_at(&locator, 0) != signature::END64_LOCATOR {
        return Ok(None);
    }
    let misplaced = || ArchiveError::structure("its ZIP64 end record is not where it has to be");
    let position = u64_at(&locator, 8);
    if position.checked_add(END64_LENGTH as u64) != Some(locator_position) {
        return Err(misplaced());
    }
    let mut record = [0; END64_LENGTH];
    archive.read_exact_at(&mut record, position)?;
    if u32_at(&record, 0) != signature::END64 || u64_at(&record, 4) != END64_LENGTH as u64 - 12 {
        return Err(misplaced());
    }
    let one_part = u32_at(&locator, 4) == 0
        && u32_at(&locator, 16) == 1
        && u64_at(&record, 16) == 0
        && u64_at(&record, 24) == u64_at(&record, 32);
    if !one_part {
        return Err(ArchiveError::structure("it is one part of several"));
    }
    Ok(Some(End {
        position,
        entries: u64_at(&record, 32),
        size: u64_at(&record, 40),
        offset: u64_at(&record, 48),
    }))
}

/// The entry at the start of `bytes`, and the length of its record.
fn parse_central(bytes: &[u8]) -> Result<(Entry, usize), ArchiveError> {
    let cut_off = || ArchiveError::structure("its central directory is cut off");
    if bytes.len() < CENTRAL_LENGTH || u32_at(bytes, 0) != signature::CENTRAL {
        return Err(cut_off());
    }
    let length = |at: usize| usize::from(u16_at(bytes, at));
    let name_end = CENTRAL_LENGTH + length(28);
    let extra_end = name_end + length(30);
    let end = extra_end + length(32);
    if end > bytes.len() {
        return Err(cut_off());
    }
    let raw_name = bytes[CENTRAL_LENGTH..name_end].to_vec();
    let flags = u16_at(bytes, 8);
    let name = decode_name(&raw_name, flags)?;
    let error = |problem: &str| ArchiveError::Entry {
        name: name.clone(),
        problem: problem.into(),
    };
    if flags & FLAGS_REFUSED != 0 {
        return Err(error("is encrypted or patched"));
    }
    let method = match u16_at(bytes, 10) {
        0 => Method::Stored,
        8 => Method::Deflated,
        93 => Method::Zstandard,
        method => return Err(ArchiveError::Method { name, method }),
    };
    let extra = Extra::parse(&bytes[name_end..extra_end], &raw_name, &name).map_err(error)?;
    let mut long = extra.zip64;
    let missing = || error("lacks a ZIP64 size");
    let size = long.widen(u32_at(bytes, 24)).ok_or_else(missing)?;
    let compressed_size = long.widen(u32_at(bytes, 20)).ok_or_else(missing)?;
    let header_offset = long.widen(u32_at(bytes, 42)).ok_or_else(missing)?;
    if bytes[6] > VERSION_KNOWN {
        return Err(error("needs a newer version of the ZIP format"));
    }
    if u16_at(bytes, 34) != 0 {
        return Err(error("lies in another part of the archive"));
    }
    if method == Method::Stored && size != compressed_size {
        return Err(error("is stored but has two sizes"));
    }
    // A mode counts whatever system the archive claims to be made on: installers have it so.
    let mode = Some(u32_at(bytes, 38) >> 16).filter(|mode| *mode != 0);
    let kind = match mode.map_or(0, |mode| mode & 0o170_000) {
        _ if raw_name.ends_with(b"/") => EntryKind::Directory,
        0 | 0o100_000 => EntryKind::File,
        0o040_000 => EntryKind::Directory,
        0o120_000 => EntryKind::Symlink,
        _ => EntryKind::Special,
    };
    let entry = Entry {
        name,
        method,
        crc32: u32_at(bytes, 16),
        compressed_size,
        size,
        permissions: mode.map(|mode| mode & 0o7777),
        kind,
        raw_name,
        flags,
        header_offset,
    };
    Ok((entry, end))
}

fn decode_name(raw: &[u8], flags: u16) -> Result<String, ArchiveError> {
    let error = |problem: &str| ArchiveError::Entry {
        name: String::from_utf8_lossy(raw).into_owned(),
        problem: problem.into(),
    };
    // Some readers take what is before it for the name.
    if raw.contains(&0) {
        return Err(error("has a name with a NUL"));
    }
    if flags & FLAG_UTF8 == 0 && !raw.is_ascii() {
        return Ok(raw.iter().copied().map(cp437).collect());
    }
    String::from_utf8(raw.to_vec()).map_err(|_| error("has a name that is not UTF-8"))
}

/// IBM code page 437, the encoding of names without the UTF-8 flag.
fn cp437(byte: u8) -> char {
    const UPPER: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
                         └┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";
    match byte.checked_sub(128) {
        None => char::from(byte),
        Some(index) => UPPER
            .chars()
            .nth(usize::from(index))
            .unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

/// What is read of an entry's extra fields.
struct Extra<'a> {
    zip64: Zip64Extra<'a>,
}

impl<'a> Extra<'a> {
    /// Reads all of them, for readers differ in which one they stop at. The error is the rest of a
    /// sentence.
    fn parse(extra: &'a [u8], raw_name: &[u8], name: &str) -> Result<Self, &'static str> {
        let mut zip64 = None;
        let mut rest = extra;
        // Some writers pad the extra field with fewer bytes than a header has.
        while rest.len() >= 4 {
            let end = 4 + usize::from(u16_at(rest, 2));
            let field = rest.get(4..end).ok_or("has a broken extra field")?;
            match u16_at(rest, 0) {
                EXTRA_ZIP64 if zip64.replace(field).is_some() => {
                    return Err("has two ZIP64 fields");
                }
                EXTRA_UNICODE_PATH if is_other_name(field, raw_name, name) => {
                    return Err("has another name in an extra field");
                }
                _ => {}
            }
            rest = &rest[end..];
        }
        let zip64 = Zip64Extra(zip64.unwrap_or_default());
        Ok(Self { zip64 })
    }
}

/// Whether a Unicode Path field gives an entry another name; some readers prefer it. It is to be
/// ignored if its checksum is that of another name than the header's.
fn is_other_name(field: &[u8], raw_name: &[u8], name: &str) -> bool {
    let Some((head, path)) = field.split_at_checked(5) else {
        return true;
    };
    let is_meant = head[0] == 1 && u32_at(head, 1) == crc32fast::hash(raw_name);
    is_meant && path != name.as_bytes()
}

/// The ZIP64 extended information extra field: values for what is saturated elsewhere, in order.
struct Zip64Extra<'a>(&'a [u8]);

impl Zip64Extra<'_> {
    fn widen(&mut self, value: u32) -> Option<u64> {
        if value != u32::MAX {
            return Some(u64::from(value));
        }
        let (first, rest) = self.0.split_at_checked(8)?;
        self.0 = rest;
        Some(u64_at(first, 0))
    }
}

/// Checks the local header and gives the offset of the data behind it, which is before `limit`.
fn check_local(
    archive: &(impl ReadAt + ?Sized),
    entry: &Entry,
    limit: u64,
) -> Result<u64, ArchiveError> {
    let mut header = vec![0; LOCAL_LENGTH + entry.raw_name.len()];
    archive
        .read_exact_at(&mut header, entry.header_offset)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => entry.error("lies outside of the archive"),
            _ => error.into(),
        })?;
    if u32_at(&header, 0) != signature::LOCAL {
        return Err(entry.error("has no local header"));
    }
    let differs = |what: &str| entry.error(format!("has another {what} in its local header"));
    if usize::from(u16_at(&header, 26)) != entry.raw_name.len()
        || header[LOCAL_LENGTH..] != entry.raw_name
    {
        return Err(differs("name"));
    }
    let flags = u16_at(&header, 6);
    if flags & FLAGS_REFUSED != 0 {
        return Err(entry.error("is encrypted or patched"));
    }
    // Of a name in ASCII it makes no difference whether it is called UTF-8.
    let is_ascii = entry.raw_name.is_ascii();
    let compared = FLAG_DESCRIPTOR | if is_ascii { 0 } else { FLAG_UTF8 };
    if flags & compared != entry.flags & compared {
        return Err(differs("flag"));
    }
    if u16_at(&header, 8) != entry.method.number() {
        return Err(differs("compression method"));
    }
    let mut extra = vec![0; usize::from(u16_at(&header, 28))];
    let extra_offset = entry.header_offset + header.len() as u64;
    if extra_offset + extra.len() as u64 > limit {
        return Err(entry.error("overlaps what comes after it"));
    }
    archive.read_exact_at(&mut extra, extra_offset)?;
    let fields = Extra::parse(&extra, &entry.raw_name, &entry.name);
    let mut long = fields.map_err(|problem| entry.error(problem))?.zip64;
    let size = long.widen(u32_at(&header, 22)).unwrap_or(0);
    let compressed_size = long.widen(u32_at(&header, 18)).unwrap_or(0);
    let crc32 = u32_at(&header, 14);
    // With a data descriptor the header may leave the figures at zero, all or each.
    let same =
        |local: u64, central: u64| local == central || (local == 0 && flags & FLAG_DESCRIPTOR != 0);
    if !same(size, entry.size) || !same(compressed_size, entry.compressed_size) {
        return Err(differs("size"));
    }
    if !same(u64::from(crc32), u64::from(entry.crc32)) {
        return Err(differs("CRC-32"));
    }
    Ok(extra_offset + extra.len() as u64)
}

/// Checks the data descriptor at `position`, where the entry has one.
fn check_descriptor(
    archive: &(impl ReadAt + ?Sized),
    entry: &Entry,
    position: u64,
    limit: u64,
) -> Result<(), ArchiveError> {
    if entry.flags & FLAG_DESCRIPTOR == 0 {
        return Ok(());
    }
    let wrong = || entry.error("has a data descriptor that differs from the central directory");
    // Signature and ZIP64 sizes are both optional, and nothing says which are there.
    let mut bytes = vec![0; usize_of((limit - position).min(24))?];
    archive.read_exact_at(&mut bytes, position)?;
    let signed = bytes.len() >= 4 && u32_at(&bytes, 0) == signature::DESCRIPTOR;
    let bodies = [signed.then(|| &bytes[4..]), Some(&bytes[..])];
    let matches = bodies.into_iter().flatten().any(|body| {
        let short = body.len() >= 12
            && u64::from(u32_at(body, 4)) == entry.compressed_size
            && u64::from(u32_at(body, 8)) == entry.size;
        let long = body.len() >= 20
            && u64_at(body, 4) == entry.compressed_size
            && u64_at(body, 12) == entry.size;
        (short || long) && u32_at(body, 0) == entry.crc32
    });
    if matches { Ok(()) } else { Err(wrong()) }
}

fn usize_of(value: u64) -> Result<usize, ArchiveError> {
    usize::try_from(value).map_err(|_| ArchiveError::structure("it is too large for this machine"))
}
