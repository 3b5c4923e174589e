//! Reading the central directory, and each entry's data with everything about it checked.

use std::io::{self, Read};
use std::ops::Range;

use sha2::Digest as _;

use super::end;
use super::header::{self, LOCAL_LENGTH};
use super::{Method, ReadAt, signature, u32_at};

/// A central directory of more bytes than this is refused before it is read.
const DIRECTORY_LIMIT: u64 = 64 << 20;
/// The bytes that are read and inflated at a time.
const CHUNK: usize = 64 << 10;

/// The reason why an archive can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The bytes are no ZIP archive, or contradict themselves.
    #[error("{0}")]
    Structure(String),
    /// An entry is broken or contradicts itself.
    #[error("entry `{}` {problem}", name.escape_debug())]
    Entry {
        /// The entry's name.
        name: String,
        /// The problem: the rest of a sentence.
        problem: String,
    },
    /// An entry is packed with a method that is not supported.
    #[error(
        "entry `{}` is compressed with method {method}; only stored, deflate and zstd are supported",
        name.escape_debug()
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
        /// Their number.
        entries: u64,
        /// The largest allowed number.
        limit: u64,
    },
    /// The bytes could not be read.
    #[error(transparent)]
    Read(#[from] io::Error),
}

impl ArchiveError {
    pub(super) fn structure(problem: impl Into<String>) -> Self {
        Self::Structure(problem.into())
    }
}

/// The kind of file that an entry is, as far as its Unix mode tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file, or nothing is said.
    File,
    /// A directory: the name ends in `/`.
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
    /// The packing of the data.
    pub method: Method,
    /// CRC-32 of the unpacked data.
    pub crc32: u32,
    /// Bytes of the packed data.
    pub compressed_size: u64,
    /// Bytes of the unpacked data.
    pub size: u64,
    /// Permission bits, where the archive has them.
    pub permissions: Option<u32>,
    /// The kind of file.
    pub kind: EntryKind,
    pub(super) raw_name: Vec<u8>,
    pub(super) flags: u16,
    pub(super) header_offset: u64,
}

impl Entry {
    pub(super) fn error(&self, problem: impl Into<String>) -> ArchiveError {
        ArchiveError::Entry {
            name: self.name.clone(),
            problem: problem.into(),
        }
    }
}

/// The place of an entry's packed data, and the hash of what it unpacks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Offset of the packed data from the start of the archive.
    pub data_offset: u64,
    /// SHA-256 of the unpacked data.
    pub sha256: [u8; 32],
}

/// The central directory of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The entries, ordered by where they lie in the archive.
    pub entries: Vec<Entry>,
    /// Offset of the central directory: where the last entry has to end.
    offset: u64,
}

impl Directory {
    /// Reads the central directory of an archive of `length` bytes.
    ///
    /// Refuses archives in several parts, with bytes before the first or other than NULs after the
    /// last record, with more than one possible end record, with overlapping entries, encrypted
    /// entries, folders that are none by their names, and names whose encoding is not said.
    pub fn read(
        archive: &(impl ReadAt + ?Sized),
        length: u64,
        max_entries: u64,
    ) -> Result<Self, ArchiveError> {
        let end = end::read(archive, length)?;
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
            let (entry, length) = header::parse_central(rest)?;
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

    /// The offset at which the entry at `index` has to end: the start of the next record.
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
        let data_offset = header::check_local(archive, entry, self.limit_of(index))?;
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
        let limit = self.limit_of(index);
        let end = header::check_descriptor(archive, entry, end, limit)?;
        check_gap(archive, entry, end..limit, limit == self.offset)?;
        Ok(Verified {
            data_offset,
            sha256,
        })
    }
}

/// The signatures of records that end an archive for readers that go from entry to entry.
const LAST: [u32; 3] = [signature::CENTRAL, signature::END, signature::END64];

/// Refuses a gap behind an entry with what deceives readers that go from entry to entry, as over a
/// pipe: an entry that the central directory does not list, which they would unpack, or a record
/// that makes them stop before the next entry.
fn check_gap(
    archive: &(impl ReadAt + ?Sized),
    entry: &Entry,
    gap: Range<u64>,
    is_last: bool,
) -> Result<(), ArchiveError> {
    // Pieces overlap, so that no signature lies across two of them.
    let overlap = size_of::<u32>() - 1;
    let Range {
        start: mut position,
        end,
    } = gap;
    while end - position > overlap as u64 {
        let mut piece = vec![0; usize_of((end - position).min(CHUNK as u64))?];
        archive.read_exact_at(&mut piece, position)?;
        for at in 0..piece.len() - overlap {
            let signature = u32_at(&piece, at);
            if signature == signature::LOCAL {
                return Err(
                    entry.error("is followed by one that the central directory does not list")
                );
            }
            if !is_last && LAST.contains(&signature) {
                return Err(
                    entry.error("is followed by the end of an archive, then by more entries")
                );
            }
        }
        position += (piece.len() - overlap) as u64;
    }
    Ok(())
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

    fn finish(self) -> Result<[u8; 32], ArchiveError> {
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
        Ok(self.sha256.finalize().into())
    }
}

/// The packed bytes of one entry.
struct RawReader<'a, A: ?Sized> {
    archive: &'a A,
    position: u64,
    end: u64,
    /// The error that the archive could not be read with.
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

pub(super) fn usize_of(value: u64) -> Result<usize, ArchiveError> {
    usize::try_from(value).map_err(|_| ArchiveError::structure("it is too large for this machine"))
}
