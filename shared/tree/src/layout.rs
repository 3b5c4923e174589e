//! The files that a package installs, worked out once.
//!
//! A [`Layout`] holds everything that the splice needs to know of a package. It is stored beside the
//! package's archive, in a file that also holds the packed data of the files that the installation
//! adds or changes: `[packed data][layout][trailer]`.

use std::io;

use serde::{Deserialize, Serialize};

use accretion_archive::{Method, ReadAt};
use accretion_core::digest::Sha256;

/// The extension of layout files, and their last bytes. It changes with the form of [`Layout`] and
/// with what a layout says about a package, so that versions of Accretion can share a cache.
pub const LAYOUT_EXTENSION: &str = "layout01";
/// Length of the layout, its CRC-32, [`LAYOUT_EXTENSION`].
const TRAILER: u64 = 8 + 4 + 8;

/// The file that the packed data of a [`LayoutFile`] lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// The package's archive.
    Archive,
    /// The file that the layout is stored in.
    Layout,
}

/// One file of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutFile {
    /// Path below the [root](crate::Installation::root).
    pub path: String,
    /// The file that the packed data lies in.
    pub origin: Origin,
    /// The offset of the data there.
    pub offset: u64,
    /// Its packing: stored or deflated.
    pub method: Method,
    /// Bytes of the packed data.
    pub compressed_size: u64,
    /// Bytes of the unpacked data.
    pub size: u64,
    /// CRC-32 of the unpacked data.
    pub crc32: u32,
    /// SHA-256 of the unpacked data.
    pub sha256: Sha256,
    /// True if it may be executed.
    pub executable: bool,
}

/// The files that a package installs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The package's normalised name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Bytes of the archive.
    pub archive_size: u64,
    /// The path of its list of files, such as the `RECORD` of a wheel; empty if it has none.
    pub file_list: String,
    /// The files, ordered by the bytes of their paths; no path twice.
    pub files: Vec<LayoutFile>,
}

impl Layout {
    /// Bytes of all files, unpacked.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Bytes of all files, packed.
    pub fn compressed_size(&self) -> u64 {
        self.files.iter().map(|file| file.compressed_size).sum()
    }

    /// The end of a layout file: what follows the packed data.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = postcard::to_stdvec(self)
            .expect("strings, numbers and lists of known length can always be written");
        let (length, crc32) = (bytes.len() as u64, crc32fast::hash(&bytes));
        bytes.extend(length.to_le_bytes());
        bytes.extend(crc32.to_le_bytes());
        bytes.extend(LAYOUT_EXTENSION.as_bytes());
        bytes
    }

    /// Reads the layout out of a layout file of `length` bytes.
    ///
    /// `Ok(None)` means that another version wrote it, or that it is damaged: it has to be worked
    /// out again.
    pub fn decode(file: &(impl ReadAt + ?Sized), length: u64) -> io::Result<Option<Self>> {
        let Some(end) = length.checked_sub(TRAILER) else {
            return Ok(None);
        };
        let mut trailer = [0; 20];
        file.read_exact_at(&mut trailer, end)?;
        let (size, rest) = trailer.split_at(8);
        let (crc32, magic) = rest.split_at(4);
        let size = u64::from_le_bytes(size.try_into().unwrap_or_default());
        let Some(start) = end
            .checked_sub(size)
            .filter(|_| magic == LAYOUT_EXTENSION.as_bytes())
        else {
            return Ok(None);
        };
        let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, start)?;
        if crc32fast::hash(&bytes).to_le_bytes() != crc32 {
            return Ok(None);
        }
        Ok(postcard::from_bytes(&bytes).ok())
    }
}
