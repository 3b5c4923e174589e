//! Writing a reproducible archive from streams that are packed already.

use std::io::{self, Write};

use sha2::Digest as _;

use super::{FLAG_UTF8, Method, ReadAt, signature};

/// 1980-01-01 00:00:00, the first moment of the DOS calendar, in every entry.
const DOS_DATE: u16 = 1 << 5 | 1;
const DOS_TIME: u16 = 0;
/// "Version needed to extract": 2.0, for deflate.
const VERSION_NEEDED: u16 = 20;
/// "Version made by": 2.0 on Unix, which makes readers take the mode from the external attributes.
const VERSION_MADE_BY: u16 = 3 << 8 | VERSION_NEEDED;
/// ZIP64 end records need 4.5.
const VERSION_ZIP64: u16 = 45;
/// The bytes that are collected before they are hashed and written.
const BUFFER: usize = 1 << 20;

/// The reason why an archive could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A figure does not fit its field.
    #[error("the archive would be larger than 4 GiB")]
    TooLarge,
    /// The packed data could not be read.
    #[error("the packed data of `{name}` could not be read: {error}")]
    Read {
        /// The entry's name.
        name: String,
        /// The system's error.
        error: io::Error,
    },
    /// The archive's bytes could not be written.
    #[error(transparent)]
    Write(io::Error),
}

/// The content of an entry's headers.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// The name; the writer adds no prefix.
    pub name: &'a str,
    /// The packing of the data.
    pub method: Method,
    /// CRC-32 of the unpacked data.
    pub crc32: u32,
    /// Bytes of the packed data.
    pub compressed_size: u64,
    /// Bytes of the unpacked data.
    pub size: u64,
    /// Mode 0755 instead of 0644.
    pub executable: bool,
}

/// The size and hash of a written archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// SHA-256 of the whole archive.
    pub sha256: [u8; 32],
    /// Bytes of the whole archive.
    pub size: u64,
}

/// Writes an archive in one pass and hashes it on the way.
///
/// Its bytes depend on the entries and their order, and on nothing else.
pub struct Writer<W> {
    out: W,
    buffer: Vec<u8>,
    flushed: u64,
    sha256: sha2::Sha256,
    central: Vec<u8>,
    entries: u64,
}

impl<W: Write> Writer<W> {
    /// Starts an archive at the current position of `out`.
    pub fn new(out: W) -> Self {
        Self {
            out,
            buffer: Vec::with_capacity(BUFFER),
            flushed: 0,
            sha256: sha2::Sha256::new(),
            central: Vec::new(),
            entries: 0,
        }
    }

    /// Adds an entry whose packed data is in memory.
    pub fn add(&mut self, header: Header<'_>, data: &[u8]) -> Result<(), WriteError> {
        self.start(header)?;
        self.put(data)
    }

    /// Adds an entry whose packed data lies at `offset` of `source`.
    pub fn copy(
        &mut self,
        header: Header<'_>,
        source: &(impl ReadAt + ?Sized),
        offset: u64,
    ) -> Result<(), WriteError> {
        self.start(header)?;
        let (mut offset, mut left) = (offset, header.compressed_size);
        while left > 0 {
            if self.buffer.len() == BUFFER {
                self.flush()?;
            }
            let start = self.buffer.len();
            let length = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(BUFFER - start);
            self.buffer.resize(start + length, 0);
            source
                .read_exact_at(&mut self.buffer[start..], offset)
                .map_err(|error| WriteError::Read {
                    name: header.name.to_owned(),
                    error,
                })?;
            offset += length as u64;
            left -= length as u64;
        }
        Ok(())
    }

    /// Writes the central directory. The archive is whole only after this.
    pub fn finish(mut self) -> Result<Written, WriteError> {
        let central = std::mem::take(&mut self.central);
        let offset = self.position();
        self.put(&central)?;
        let end = self.end_records(offset, central.len() as u64)?;
        self.put(&end)?;
        self.flush()?;
        self.out.flush().map_err(WriteError::Write)?;
        Ok(Written {
            sha256: self.sha256.finalize().into(),
            size: self.flushed,
        })
    }

    fn position(&self) -> u64 {
        self.flushed + self.buffer.len() as u64
    }

    fn start(&mut self, header: Header<'_>) -> Result<(), WriteError> {
        let name_length = u16::try_from(header.name.len()).map_err(|_| WriteError::TooLarge)?;
        let (offset, compressed, size) = (
            short(self.position())?,
            short(header.compressed_size)?,
            short(header.size)?,
        );
        let flags = if header.name.is_ascii() { 0 } else { FLAG_UTF8 };
        // The part that local and central headers share.
        let mut shared = Vec::with_capacity(26);
        for field in [
            VERSION_NEEDED,
            flags,
            header.method.number(),
            DOS_TIME,
            DOS_DATE,
        ] {
            shared.extend(field.to_le_bytes());
        }
        for field in [header.crc32, compressed, size] {
            shared.extend(field.to_le_bytes());
        }
        shared.extend(name_length.to_le_bytes());
        shared.extend([0; 2]); // no extra field

        let mode: u32 = if header.executable {
            0o100_755
        } else {
            0o100_644
        };
        self.central.extend(signature::CENTRAL.to_le_bytes());
        self.central.extend(VERSION_MADE_BY.to_le_bytes());
        self.central.extend(&shared);
        self.central.extend([0; 6]); // no comment, first disk, no internal attributes
        self.central.extend((mode << 16).to_le_bytes());
        self.central.extend(offset.to_le_bytes());
        self.central.extend(header.name.as_bytes());
        self.entries += 1;

        self.put(&signature::LOCAL.to_le_bytes())?;
        self.put(&shared)?;
        self.put(header.name.as_bytes())
    }

    fn put(&mut self, mut bytes: &[u8]) -> Result<(), WriteError> {
        while !bytes.is_empty() {
            if self.buffer.len() == BUFFER {
                self.flush()?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(BUFFER - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        self.sha256.update(&self.buffer);
        self.out
            .write_all(&self.buffer)
            .map_err(WriteError::Write)?;
        self.flushed += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn end_records(&self, offset: u64, size: u64) -> Result<Vec<u8>, WriteError> {
        let mut records = Vec::new();
        // Only the number of entries can need ZIP64: larger archives are refused.
        let entries = u16::try_from(self.entries)
            .ok()
            .filter(|entries| *entries != u16::MAX);
        if entries.is_none() {
            let position = self.position();
            records.extend(signature::END64.to_le_bytes());
            records.extend(44_u64.to_le_bytes());
            records.extend(
                [VERSION_MADE_BY, VERSION_ZIP64]
                    .map(u16::to_le_bytes)
                    .as_flattened(),
            );
            records.extend([0; 8]); // first disk, twice
            let figures = [self.entries, self.entries, size, offset];
            records.extend(figures.map(u64::to_le_bytes).as_flattened());
            records.extend(signature::END64_LOCATOR.to_le_bytes());
            records.extend([0; 4]); // first disk
            records.extend(position.to_le_bytes());
            records.extend(1_u32.to_le_bytes()); // disks in total
        }
        let entries_16 = entries.unwrap_or(u16::MAX);
        records.extend(signature::END.to_le_bytes());
        records.extend(
            [0, 0, entries_16, entries_16]
                .map(u16::to_le_bytes)
                .as_flattened(),
        );
        records.extend(
            [short(size)?, short(offset)?]
                .map(u32::to_le_bytes)
                .as_flattened(),
        );
        records.extend([0; 2]); // no comment
        Ok(records)
    }
}

/// A figure in a 32-bit field, whose highest value means ZIP64.
fn short(value: u64) -> Result<u32, WriteError> {
    u32::try_from(value)
        .ok()
        .filter(|value| *value != u32::MAX)
        .ok_or(WriteError::TooLarge)
}
