//! ZIP archives (APPNOTE.TXT 6.3): reading wheels strictly, writing layers reproducibly.
//!
//! [`Directory`] reads what an archive says it holds and refuses whatever two readers could
//! understand differently. [`Writer`] copies raw entry streams and writes nothing that depends on
//! the machine or the time.

mod end;
mod header;
pub mod pack;
mod reader;
mod writer;

use std::fs::File;
use std::io;

use serde::{Deserialize, Serialize};

pub use reader::{ArchiveError, Directory, Entry, EntryKind, Verified};
pub use writer::{Header, WriteError, Writer, Written};

/// Signatures, all little-endian on disk.
mod signature {
    pub(super) const LOCAL: u32 = 0x0403_4b50;
    pub(super) const CENTRAL: u32 = 0x0201_4b50;
    pub(super) const END: u32 = 0x0605_4b50;
    pub(super) const END64: u32 = 0x0606_4b50;
    pub(super) const END64_LOCATOR: u32 = 0x0706_4b50;
    pub(super) const DESCRIPTOR: u32 = 0x0807_4b50;
}

/// General purpose flag: the sizes follow the data.
const FLAG_DESCRIPTOR: u16 = 1 << 3;
/// General purpose flag: the name is UTF-8.
const FLAG_UTF8: u16 = 1 << 11;

/// The packing of an entry's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// As they are (method 0).
    Stored,
    /// DEFLATE (method 8).
    Deflated,
    /// Zstandard (method 93). Read, but never written: Lambda need not know it.
    Zstandard,
}

impl Method {
    fn number(self) -> u16 {
        match self {
            Self::Stored => 0,
            Self::Deflated => 8,
            Self::Zstandard => 93,
        }
    }
}

/// Bytes that can be read from anywhere, by many readers at once.
pub trait ReadAt: Sync {
    /// Fills `buffer` with the bytes from `offset` on.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let bytes = start
            .checked_add(buffer.len())
            .and_then(|end| self.get(start..end))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(buffer, offset)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
