//! A zip writer that does what it is told: every legal oddity, and every lie.
//!
//! An [`Archive`] is honest unless told otherwise. What an [`Entry`] *is* (its method, a data
//! descriptor, zip64 fields) is set with its builder methods; what its headers falsely *say* is
//! set with [`Entry::lie`]. Terms and layouts are those of APPNOTE 6.3.10.

use std::io::Read as _;
use std::ops::Range;

use flate2::{Compress, Compression, FlushCompress, Status};
use ruzstd::encoding::CompressionLevel;

/// The method number of entries that are not compressed.
pub const STORED: u16 = 0;
/// The method number of deflate.
pub const DEFLATE: u16 = 8;
/// The method number of bzip2.
pub const BZIP2: u16 = 12;
/// The method number of LZMA.
pub const LZMA: u16 = 14;
/// The method number of Zstandard.
pub const ZSTD: u16 = 93;

/// The general purpose flag of an encrypted entry.
pub const FLAG_ENCRYPTED: u16 = 1;
/// The general purpose flag of an entry followed by a data descriptor.
pub const FLAG_DESCRIPTOR: u16 = 1 << 3;
/// The general purpose flag of a name in UTF-8.
pub const FLAG_UTF8: u16 = 1 << 11;

/// The extra field that holds sizes and offsets of 64 bits.
pub const EXTRA_ZIP64: u16 = 0x0001;
/// The extra field that holds the name in UTF-8 (Info-ZIP Unicode Path).
pub const EXTRA_UNICODE_PATH: u16 = 0x7075;

const WIDE: u64 = 0xffff_ffff;
const DIRECTORY_ATTRIBUTE: u32 = 0x10;

/// The content of an entry, before compression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// That many zero bytes, never all in memory when compressed.
    Zeros(u64),
}

impl Content {
    /// The number of bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Zeros(len) => *len,
        }
    }

    /// Returns whether there is no byte at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `sink` with the content, piece by piece.
    pub fn for_each_piece(&self, mut sink: impl FnMut(&[u8])) {
        match self {
            Self::Bytes(bytes) => sink(bytes),
            Self::Zeros(len) => {
                let zeros = vec![0; ZEROS_PIECE];
                let mut left = *len;
                while left > 0 {
                    let piece = piece_len(left);
                    sink(&zeros[..piece]);
                    left -= piece as u64;
                }
            }
        }
    }

    fn crc(&self) -> u32 {
        let Self::Zeros(len) = self else {
            let mut hasher = crc32fast::Hasher::new();
            self.for_each_piece(|piece| hasher.update(piece));
            return hasher.finalize();
        };
        // Checksums of runs double: ten gigabytes cost some thirty combinations.
        let mut sum = crc32fast::Hasher::new();
        let mut run = crc32fast::Hasher::new();
        run.update(&[0]);
        let mut left = *len;
        while left > 0 {
            if left & 1 == 1 {
                sum.combine(&run);
            }
            run.combine(&run.clone());
            left >>= 1;
        }
        sum.finalize()
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Content {
    fn from(bytes: &[u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Bytes(text.into_bytes())
    }
}

/// The method that writes an entry's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// As it is.
    Stored,
    /// Deflate at a level from 0 to 9.
    Deflate(u32),
    /// Zstandard, method 93.
    Zstd,
    /// Some method number over bytes that the test prepared. Sizes and checksum are still those
    /// of the content.
    Raw {
        /// The method number.
        number: u16,
        /// The stream as it stands in the archive.
        stream: Vec<u8>,
    },
}

impl Default for Method {
    fn default() -> Self {
        Self::Deflate(6)
    }
}

impl Method {
    fn number(&self) -> u16 {
        match self {
            Self::Stored => STORED,
            Self::Deflate(_) => DEFLATE,
            Self::Zstd => ZSTD,
            Self::Raw { number, .. } => *number,
        }
    }

    /// The content as this method writes it.
    pub fn encode(&self, content: &Content) -> Vec<u8> {
        match (self, content) {
            (Self::Raw { stream, .. }, _) => stream.clone(),
            (Self::Stored, _) => {
                let mut stream = Vec::new();
                content.for_each_piece(|piece| stream.extend_from_slice(piece));
                stream
            }
            (Self::Deflate(level), Content::Bytes(bytes)) => {
                deflate(bytes, *level, FlushCompress::Finish)
            }
            (Self::Deflate(level), Content::Zeros(len)) => deflate_zeros(*len, *level),
            (Self::Zstd, Content::Bytes(bytes)) => {
                ruzstd::encoding::compress_to_vec(bytes.as_slice(), CompressionLevel::Fastest)
            }
            (Self::Zstd, Content::Zeros(len)) => ruzstd::encoding::compress_to_vec(
                std::io::repeat(0).take(*len),
                CompressionLevel::Fastest,
            ),
        }
    }
}

const ZEROS_PIECE: usize = 1 << 20;

fn piece_len(left: u64) -> usize {
    usize::try_from(left).map_or(ZEROS_PIECE, |left| left.min(ZEROS_PIECE))
}

fn deflate(bytes: &[u8], level: u32, flush: FlushCompress) -> Vec<u8> {
    let mut encoder = Compress::new(Compression::new(level), false);
    let mut stream = Vec::with_capacity(bytes.len() / 2 + 64);
    loop {
        let consumed = usize::try_from(encoder.total_in()).unwrap_or(bytes.len());
        let status = encoder
            .compress_vec(&bytes[consumed..], &mut stream, flush)
            .expect("deflate has no way to fail on bytes in memory");
        let ended = match flush {
            FlushCompress::Finish => status == Status::StreamEnd,
            // A flush is complete when it leaves room in the output.
            _ => stream.len() < stream.capacity(),
        };
        if ended {
            return stream;
        }
        stream.reserve(stream.capacity());
    }
}

/// Compresses one piece of zeros, ended by a full flush, and repeats it: a flushed piece starts
/// and ends at a byte and refers to nothing before it.
fn deflate_zeros(len: u64, level: u32) -> Vec<u8> {
    let zeros = vec![0; ZEROS_PIECE];
    let mut stream = Vec::new();
    let pieces = len / ZEROS_PIECE as u64;
    if pieces > 0 {
        let piece = deflate(&zeros, level, FlushCompress::Full);
        for _ in 0..pieces {
            stream.extend_from_slice(&piece);
        }
    }
    let rest = piece_len(len % ZEROS_PIECE as u64);
    stream.extend(deflate(&zeros[..rest], level, FlushCompress::Finish));
    stream
}

/// A data descriptor behind an entry's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// True if it starts with the signature, which is customary but not required.
    pub signature: bool,
    /// True if its sizes have 64 bits. Sizes that need them have them anyway.
    pub zip64: bool,
}

/// One of the places where an archive describes an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The header before the entry's data.
    Local,
    /// The record in the central directory.
    Central,
    /// The data descriptor behind the entry's data, if there is one.
    Descriptor,
    /// All of them, so that they agree.
    Everywhere,
}

impl Place {
    fn covers(self, place: Self) -> bool {
        self == place || self == Self::Everywhere
    }
}

/// A statement of a header about its entry, whatever the entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The name's bytes.
    Name(Vec<u8>),
    /// The checksum.
    Crc(u32),
    /// The number of bytes in the archive.
    CompressedSize(u64),
    /// The number of bytes once unpacked.
    UncompressedSize(u64),
    /// The method's number.
    Method(u16),
    /// All general purpose flags.
    Flags(u16),
    /// The version needed to extract, times ten.
    VersionNeeded(u16),
    /// The number of the disk the entry starts on. Central only.
    Disk(u16),
    /// The offset of the local header. Central only.
    Offset(u64),
}

/// One file, directory or link of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    name: Vec<u8>,
    content: Content,
    method: Method,
    descriptor: Option<Descriptor>,
    zip64: Vec<Place>,
    utf8: Option<bool>,
    encrypted: bool,
    create_system: u8,
    external_attributes: u32,
    internal_attributes: u16,
    time: u16,
    date: u16,
    extra: Vec<(Place, Vec<u8>)>,
    comment: Vec<u8>,
    gap: Vec<u8>,
    junk: Vec<u8>,
    claims: Vec<(Place, Claim)>,
    local_only: bool,
    alias_of: Option<usize>,
}

impl Entry {
    /// A file with mode 0644, deflated. The name may be any bytes at all.
    pub fn file(name: impl Into<Vec<u8>>, content: impl Into<Content>) -> Self {
        Self {
            name: name.into(),
            content: content.into(),
            method: Method::default(),
            descriptor: None,
            zip64: Vec::new(),
            utf8: None,
            encrypted: false,
            create_system: 3,
            external_attributes: 0o100_644 << 16,
            internal_attributes: 0,
            time: 0,
            // 1980-01-01, the first day a zip can name.
            date: 0x21,
            extra: Vec::new(),
            comment: Vec::new(),
            gap: Vec::new(),
            junk: Vec::new(),
            claims: Vec::new(),
            local_only: false,
            alias_of: None,
        }
    }

    /// A directory; its name should end with a slash.
    pub fn directory(name: impl Into<Vec<u8>>) -> Self {
        Self::file(name, Vec::new())
            .method(Method::Stored)
            .external_attributes(0o040_755 << 16 | DIRECTORY_ATTRIBUTE)
    }

    /// A symbolic link, as Info-ZIP stores one.
    pub fn symlink(name: impl Into<Vec<u8>>, target: &str) -> Self {
        Self::file(name, target)
            .method(Method::Stored)
            .mode(0o120_777)
    }

    /// A file of so many zeros: about a thousandth of that in the archive.
    pub fn bomb(name: impl Into<Vec<u8>>, uncompressed_size: u64) -> Self {
        Self::file(name, Content::Zeros(uncompressed_size)).method(Method::Deflate(9))
    }

    /// Sets how the content is written.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Replaces the name.
    #[must_use]
    pub fn name(mut self, name: impl Into<Vec<u8>>) -> Self {
        self.name = name.into();
        self
    }

    /// Puts checksum and sizes behind the data; the local header has zeros.
    #[must_use]
    pub fn descriptor(mut self, descriptor: Descriptor) -> Self {
        self.descriptor = Some(descriptor);
        self
    }

    /// Writes a zip64 field however small the sizes are. Legal.
    #[must_use]
    pub fn zip64(mut self, place: Place) -> Self {
        self.zip64.push(place);
        self
    }

    /// Sets the type and permission bits of Unix (`st_mode`), and nothing else in the external
    /// attributes.
    #[must_use]
    pub fn mode(self, mode: u32) -> Self {
        self.external_attributes(mode << 16)
    }

    /// Sets all of the external attributes.
    #[must_use]
    pub fn external_attributes(mut self, attributes: u32) -> Self {
        self.external_attributes = attributes;
        self
    }

    /// Sets the internal attributes; bit 0 says that the file is text.
    #[must_use]
    pub fn internal_attributes(mut self, attributes: u16) -> Self {
        self.internal_attributes = attributes;
        self
    }

    /// Sets the system the attributes belong to: 0 for DOS, 3 (the default) for Unix.
    #[must_use]
    pub fn create_system(mut self, system: u8) -> Self {
        self.create_system = system;
        self
    }

    /// Sets the time of modification as DOS writes it; any bits may be given.
    #[must_use]
    pub fn dos_time(mut self, date: u16, time: u16) -> Self {
        (self.date, self.time) = (date, time);
        self
    }

    /// Sets or clears the UTF-8 flag. By default it is set if the name is UTF-8 beyond ASCII.
    #[must_use]
    pub fn utf8_flag(mut self, set: bool) -> Self {
        self.utf8 = Some(set);
        self
    }

    /// Sets the flag of an encrypted entry. The data stay as they are.
    #[must_use]
    pub fn encrypted(mut self) -> Self {
        self.encrypted = true;
        self
    }

    /// Adds an extra field.
    #[must_use]
    pub fn extra(self, place: Place, id: u16, data: &[u8]) -> Self {
        self.raw_extra(place, extra_field(id, data))
    }

    /// Adds bytes to the extra fields, well formed or not.
    #[must_use]
    pub fn raw_extra(mut self, place: Place, bytes: impl Into<Vec<u8>>) -> Self {
        self.extra.push((place, bytes.into()));
        self
    }

    /// Adds a Unicode Path field that belongs to the name the entry has now.
    #[must_use]
    pub fn unicode_path(self, place: Place, path: &str) -> Self {
        let crc = crc32fast::hash(&self.name);
        self.unicode_path_for(place, path, crc)
    }

    /// Adds a Unicode Path field with some checksum of the name; it is stale, and to be
    /// ignored, if the name has another.
    #[must_use]
    pub fn unicode_path_for(self, place: Place, path: &str, name_crc: u32) -> Self {
        let mut data = vec![1];
        data.extend(name_crc.to_le_bytes());
        data.extend(path.as_bytes());
        self.extra(place, EXTRA_UNICODE_PATH, &data)
    }

    /// Sets the entry's comment.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<Vec<u8>>) -> Self {
        self.comment = comment.into();
        self
    }

    /// Puts bytes that belong to nothing before the local header.
    #[must_use]
    pub fn gap_before(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.gap = bytes.into();
        self
    }

    /// Puts bytes behind the end of the compressed stream that count as part of it.
    #[must_use]
    pub fn junk_after_stream(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.junk = bytes.into();
        self
    }

    /// Lets a header say something else than the truth. The last claim about a thing wins.
    #[must_use]
    pub fn lie(mut self, place: Place, claim: Claim) -> Self {
        self.claims.push((place, claim));
        self
    }

    /// Leaves the entry out of the central directory: present in the file, and not in the
    /// archive.
    #[must_use]
    pub fn local_only(mut self) -> Self {
        self.local_only = true;
        self
    }

    /// The name's bytes.
    pub fn name_bytes(&self) -> &[u8] {
        &self.name
    }

    /// The content of the entry.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Returns whether the name or the mode is that of a directory.
    pub fn is_directory(&self) -> bool {
        self.name.ends_with(b"/") || self.external_attributes >> 28 == 0o04
    }

    fn is_zip64(&self, place: Place) -> bool {
        self.zip64.iter().any(|forced| forced.covers(place))
    }

    fn extra_at(&self, place: Place) -> Vec<u8> {
        let here = self.extra.iter().filter(|(at, _)| at.covers(place));
        here.flat_map(|(_, bytes)| bytes.iter().copied()).collect()
    }

    fn header(&self, stream_len: u64, offset: u64) -> Header {
        let utf8 = self
            .utf8
            .unwrap_or_else(|| !self.name.is_ascii() && str::from_utf8(&self.name).is_ok());
        let mut header = Header {
            name: self.name.clone(),
            crc: self.content.crc(),
            compressed: stream_len,
            uncompressed: self.content.len(),
            method: self.method.number(),
            flags: if utf8 { FLAG_UTF8 } else { 0 }
                | if self.encrypted { FLAG_ENCRYPTED } else { 0 }
                | if self.descriptor.is_some() {
                    FLAG_DESCRIPTOR
                } else {
                    0
                },
            version_needed: if self.method == Method::Zstd { 63 } else { 20 },
            disk: 0,
            offset,
        };
        header.apply(&self.claims, Place::Everywhere);
        header
    }
}

/// The description of an entry in one place.
#[derive(Debug, Clone)]
struct Header {
    name: Vec<u8>,
    crc: u32,
    compressed: u64,
    uncompressed: u64,
    method: u16,
    flags: u16,
    version_needed: u16,
    disk: u16,
    offset: u64,
}

impl Header {
    fn apply(&mut self, claims: &[(Place, Claim)], place: Place) {
        for (_, claim) in claims.iter().filter(|(at, _)| *at == place) {
            match claim.clone() {
                Claim::Name(name) => self.name = name,
                Claim::Crc(crc) => self.crc = crc,
                Claim::CompressedSize(size) => self.compressed = size,
                Claim::UncompressedSize(size) => self.uncompressed = size,
                Claim::Method(method) => self.method = method,
                Claim::Flags(flags) => self.flags = flags,
                Claim::VersionNeeded(version) => self.version_needed = version,
                Claim::Disk(disk) => self.disk = disk,
                Claim::Offset(offset) => self.offset = offset,
            }
        }
    }

    fn write_local(&self, entry: &Entry, out: &mut Vec<u8>) {
        let wide = entry.is_zip64(Place::Local) || self.compressed.max(self.uncompressed) >= WIDE;
        let mut extra = Vec::new();
        if wide {
            // A local zip64 field always holds both sizes.
            let sizes = [
                self.uncompressed.to_le_bytes(),
                self.compressed.to_le_bytes(),
            ];
            extra = extra_field(EXTRA_ZIP64, sizes.as_flattened());
        }
        extra.extend(entry.extra_at(Place::Local));
        put(out, &0x0403_4b50_u32.to_le_bytes());
        put(
            out,
            &self
                .version_needed
                .max(if wide { 45 } else { 0 })
                .to_le_bytes(),
        );
        put(out, &self.flags.to_le_bytes());
        put(out, &self.method.to_le_bytes());
        put(out, &entry.time.to_le_bytes());
        put(out, &entry.date.to_le_bytes());
        put(out, &self.crc.to_le_bytes());
        put(out, &narrow(self.compressed, wide));
        put(out, &narrow(self.uncompressed, wide));
        put(out, &len16(&self.name));
        put(out, &len16(&extra));
        put(out, &self.name);
        put(out, &extra);
    }

    fn write_descriptor(&self, descriptor: Descriptor, out: &mut Vec<u8>) {
        if descriptor.signature {
            put(out, &0x0807_4b50_u32.to_le_bytes());
        }
        put(out, &self.crc.to_le_bytes());
        if descriptor.zip64 || self.compressed.max(self.uncompressed) > WIDE {
            put(out, &self.compressed.to_le_bytes());
            put(out, &self.uncompressed.to_le_bytes());
        } else {
            put(out, &narrow(self.compressed, false));
            put(out, &narrow(self.uncompressed, false));
        }
    }

    fn write_central(&self, entry: &Entry, out: &mut Vec<u8>) {
        let forced = entry.is_zip64(Place::Central);
        let wide = |value: u64| forced || value >= WIDE;
        let mut data = Vec::new();
        for value in [self.uncompressed, self.compressed, self.offset] {
            if wide(value) {
                put(&mut data, &value.to_le_bytes());
            }
        }
        let mut extra = Vec::new();
        let mut version_needed = self.version_needed;
        if !data.is_empty() {
            extra = extra_field(EXTRA_ZIP64, &data);
            version_needed = version_needed.max(45);
        }
        extra.extend(entry.extra_at(Place::Central));
        put(out, &0x0201_4b50_u32.to_le_bytes());
        put(out, &[63, entry.create_system]);
        put(out, &version_needed.to_le_bytes());
        put(out, &self.flags.to_le_bytes());
        put(out, &self.method.to_le_bytes());
        put(out, &entry.time.to_le_bytes());
        put(out, &entry.date.to_le_bytes());
        put(out, &self.crc.to_le_bytes());
        put(out, &narrow(self.compressed, wide(self.compressed)));
        put(out, &narrow(self.uncompressed, wide(self.uncompressed)));
        put(out, &len16(&self.name));
        put(out, &len16(&extra));
        put(out, &len16(&entry.comment));
        put(out, &self.disk.to_le_bytes());
        put(out, &entry.internal_attributes.to_le_bytes());
        put(out, &entry.external_attributes.to_le_bytes());
        put(out, &narrow(self.offset, wide(self.offset)));
        put(out, &self.name);
        put(out, &extra);
        put(out, &entry.comment);
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}

fn narrow(value: u64, wide: bool) -> [u8; 4] {
    let value = if wide { WIDE } else { value.min(WIDE) };
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

fn narrow16(value: u64, wide: bool) -> [u8; 2] {
    let value = if wide { u64::from(u16::MAX) } else { value };
    u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes()
}

/// A length of 16 bits; what is longer than that is said modulo 65536.
#[expect(
    clippy::cast_possible_truncation,
    reason = "that is the lie an over-long name tells"
)]
fn len16(bytes: &[u8]) -> [u8; 2] {
    (bytes.len() as u16).to_le_bytes()
}

fn extra_field(id: u16, data: &[u8]) -> Vec<u8> {
    [&id.to_le_bytes(), &len16(data), data].concat()
}

/// The condition under which an archive has the zip64 end records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Zip64End {
    /// If a number does not fit otherwise.
    #[default]
    Auto,
    /// Always, with every number moved there. Legal.
    Forced,
    /// Always, with the numbers in the old record too. Legal.
    Redundant,
    /// Never, whatever does not fit.
    Never,
}

/// One of the records that end an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndPlace {
    /// The end of central directory record.
    End,
    /// The zip64 end of central directory record and its locator.
    Zip64,
    /// Both.
    Both,
}

/// A statement of an end record, whatever the archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndClaim {
    /// The number of this disk.
    Disk(u32),
    /// The number of the disk where the central directory starts.
    CentralDisk(u32),
    /// The number of records on this disk.
    EntriesOnDisk(u64),
    /// The number of records.
    Entries(u64),
    /// The number of bytes in the central directory.
    CentralSize(u64),
    /// The offset of the central directory.
    CentralOffset(u64),
    /// The length of the archive's comment. Only in the old record.
    CommentLength(u16),
    /// The offset of the zip64 record, as its locator has it.
    Zip64Offset(u64),
    /// The number of disks, as the zip64 locator has it.
    Disks(u32),
}

#[derive(Debug, Clone, Copy)]
struct End {
    disk: u32,
    central_disk: u32,
    entries_on_disk: u64,
    entries: u64,
    central_size: u64,
    central_offset: u64,
    comment_length: Option<u16>,
    zip64_offset: u64,
    disks: u32,
}

impl End {
    fn with(mut self, claims: &[(EndPlace, EndClaim)], place: EndPlace) -> Self {
        let here = claims
            .iter()
            .filter(|(at, _)| *at == place || *at == EndPlace::Both);
        for (_, claim) in here {
            match *claim {
                EndClaim::Disk(disk) => self.disk = disk,
                EndClaim::CentralDisk(disk) => self.central_disk = disk,
                EndClaim::EntriesOnDisk(entries) => self.entries_on_disk = entries,
                EndClaim::Entries(entries) => self.entries = entries,
                EndClaim::CentralSize(size) => self.central_size = size,
                EndClaim::CentralOffset(offset) => self.central_offset = offset,
                EndClaim::CommentLength(length) => self.comment_length = Some(length),
                EndClaim::Zip64Offset(offset) => self.zip64_offset = offset,
                EndClaim::Disks(disks) => self.disks = disks,
            }
        }
        self
    }
}

/// An archive to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archive {
    entries: Vec<Entry>,
    prefix: Vec<u8>,
    prefix_counted: bool,
    before_central: Vec<u8>,
    before_end: Vec<u8>,
    comment: Vec<u8>,
    trailing: Vec<u8>,
    zip64_end: Zip64End,
    reversed: bool,
    claims: Vec<(EndPlace, EndClaim)>,
    truncate_to: Option<usize>,
}

/// The positions of an archive's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The local headers, one for each entry in the order they were added.
    pub local_headers: Vec<Range<usize>>,
    /// The entries' data, without descriptors.
    pub data: Vec<Range<usize>>,
    /// The central directory.
    pub central_directory: Range<usize>,
    /// The end records, with the archive's comment.
    pub end: Range<usize>,
}

impl Archive {
    /// An archive without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry. Names may repeat.
    #[must_use]
    pub fn entry(mut self, entry: Entry) -> Self {
        self.entries.push(entry);
        self
    }

    /// Adds a deflated file.
    #[must_use]
    pub fn file(self, name: impl Into<Vec<u8>>, content: impl Into<Content>) -> Self {
        self.entry(Entry::file(name, content))
    }

    /// Adds that many empty files, `many/000000.txt` and so on.
    #[must_use]
    pub fn many_entries(mut self, count: usize) -> Self {
        let empty = |at| Entry::file(format!("many/{at:06}.txt"), "").method(Method::Stored);
        self.entries.extend((0..count).map(empty));
        self
    }

    /// Adds a central record of another name for the data of the entry added as number `of`,
    /// counted from zero: the two overlap.
    ///
    /// # Panics
    ///
    /// If there is no such entry.
    #[must_use]
    pub fn overlap(self, of: usize, name: impl Into<Vec<u8>>) -> Self {
        let mut entry = self.entries[of].clone().name(name);
        entry.alias_of = Some(entry.alias_of.unwrap_or(of));
        self.entry(entry)
    }

    /// Puts bytes before the first entry; offsets count from the start of the file. Legal.
    #[must_use]
    pub fn prefix(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        (self.prefix, self.prefix_counted) = (bytes.into(), true);
        self
    }

    /// Puts bytes before an archive that does not know of them: offsets count from its first
    /// entry. Common readers make up for it.
    #[must_use]
    pub fn uncounted_prefix(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        (self.prefix, self.prefix_counted) = (bytes.into(), false);
        self
    }

    /// Puts bytes between the last entry and the central directory.
    #[must_use]
    pub fn gap_before_central(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.before_central = bytes.into();
        self
    }

    /// Puts bytes between the central directory and the end records.
    #[must_use]
    pub fn gap_before_end(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.before_end = bytes.into();
        self
    }

    /// Sets the archive's comment.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<Vec<u8>>) -> Self {
        self.comment = comment.into();
        self
    }

    /// Sets a comment that looks like the end record of an empty archive.
    #[must_use]
    pub fn comment_with_end_record(self) -> Self {
        self.comment(Archive::new().build())
    }

    /// Puts bytes behind everything.
    #[must_use]
    pub fn trailing(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.trailing = bytes.into();
        self
    }

    /// Says whether there are zip64 end records.
    #[must_use]
    pub fn zip64_end(mut self, zip64_end: Zip64End) -> Self {
        self.zip64_end = zip64_end;
        self
    }

    /// Lists the entries backwards in the central directory. Legal.
    #[must_use]
    pub fn reverse_central(mut self) -> Self {
        self.reversed = true;
        self
    }

    /// Lets an end record say something else than the truth. The last claim about a thing wins.
    #[must_use]
    pub fn lie(mut self, place: EndPlace, claim: EndClaim) -> Self {
        self.claims.push((place, claim));
        self
    }

    /// Keeps only so many bytes.
    #[must_use]
    pub fn truncate(mut self, len: usize) -> Self {
        self.truncate_to = Some(len);
        self
    }

    /// The entries added so far.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Changes the entries of this name.
    ///
    /// # Panics
    ///
    /// If there is none: a change to nothing would make a test of nothing.
    #[must_use]
    pub fn change(mut self, name: &str, mut change: impl FnMut(Entry) -> Entry) -> Self {
        let mut found = false;
        for entry in &mut self.entries {
            if entry.name == name.as_bytes() {
                *entry = change(entry.clone());
                found = true;
            }
        }
        assert!(found, "the archive has no entry `{name}`");
        self
    }

    /// Writes the archive.
    pub fn build(&self) -> Vec<u8> {
        self.build_with_layout().0
    }

    /// Writes the archive and tells where its parts are.
    pub fn build_with_layout(&self) -> (Vec<u8>, Layout) {
        let mut out = self.prefix.clone();
        let base = if self.prefix_counted {
            0
        } else {
            self.prefix.len()
        };
        let mut headers: Vec<Header> = Vec::with_capacity(self.entries.len());
        let mut layout = Layout {
            local_headers: Vec::new(),
            data: Vec::new(),
            central_directory: 0..0,
            end: 0..0,
        };
        for entry in &self.entries {
            if let Some(of) = entry.alias_of {
                let (start, data) = (layout.local_headers[of].clone(), layout.data[of].clone());
                headers.push(entry.header(data.len() as u64, (start.start - base) as u64));
                layout.local_headers.push(start);
                layout.data.push(data);
                continue;
            }
            put(&mut out, &entry.gap);
            let start = out.len();
            let mut stream = entry.method.encode(&entry.content);
            stream.extend_from_slice(&entry.junk);
            let header = entry.header(stream.len() as u64, (start - base) as u64);

            let mut local = header.clone();
            if entry.descriptor.is_some() {
                (local.crc, local.compressed, local.uncompressed) = (0, 0, 0);
            }
            local.apply(&entry.claims, Place::Local);
            local.write_local(entry, &mut out);
            layout.local_headers.push(start..out.len());
            let start = out.len();
            out.append(&mut stream);
            layout.data.push(start..out.len());
            if let Some(descriptor) = entry.descriptor {
                let mut behind = header.clone();
                behind.apply(&entry.claims, Place::Descriptor);
                behind.write_descriptor(descriptor, &mut out);
            }
            headers.push(header);
        }
        put(&mut out, &self.before_central);

        let central_start = out.len();
        let mut listed: Vec<_> = self
            .entries
            .iter()
            .zip(headers)
            .filter(|(entry, _)| !entry.local_only)
            .collect();
        if self.reversed {
            listed.reverse();
        }
        let count = listed.len() as u64;
        for (entry, mut header) in listed {
            header.apply(&entry.claims, Place::Central);
            header.write_central(entry, &mut out);
        }
        layout.central_directory = central_start..out.len();
        put(&mut out, &self.before_end);

        let end_start = out.len();
        self.write_end(
            End {
                disk: 0,
                central_disk: 0,
                entries_on_disk: count,
                entries: count,
                central_size: layout.central_directory.len() as u64,
                central_offset: (central_start - base) as u64,
                comment_length: None,
                zip64_offset: (end_start - base) as u64,
                disks: 1,
            },
            &mut out,
        );
        layout.end = end_start..out.len();
        put(&mut out, &self.trailing);
        if let Some(len) = self.truncate_to {
            out.truncate(len);
        }
        (out, layout)
    }

    fn write_end(&self, truth: End, out: &mut Vec<u8>) {
        let end = truth.with(&self.claims, EndPlace::End);
        let needed = truth.entries >= u64::from(u16::MAX)
            || truth.central_size >= WIDE
            || truth.central_offset >= WIDE;
        let zip64 = match self.zip64_end {
            Zip64End::Auto => needed,
            Zip64End::Forced | Zip64End::Redundant => true,
            Zip64End::Never => false,
        };
        if zip64 {
            let end = truth.with(&self.claims, EndPlace::Zip64);
            put(out, &0x0606_4b50_u32.to_le_bytes());
            put(out, &44_u64.to_le_bytes());
            put(out, &[63, 3, 45, 0]);
            put(out, &end.disk.to_le_bytes());
            put(out, &end.central_disk.to_le_bytes());
            put(out, &end.entries_on_disk.to_le_bytes());
            put(out, &end.entries.to_le_bytes());
            put(out, &end.central_size.to_le_bytes());
            put(out, &end.central_offset.to_le_bytes());

            put(out, &0x0706_4b50_u32.to_le_bytes());
            put(out, &0_u32.to_le_bytes());
            put(out, &end.zip64_offset.to_le_bytes());
            put(out, &end.disks.to_le_bytes());
        }
        let moved = self.zip64_end == Zip64End::Forced;
        put(out, &0x0605_4b50_u32.to_le_bytes());
        put(out, &narrow16(end.disk.into(), false));
        put(out, &narrow16(end.central_disk.into(), false));
        put(out, &narrow16(end.entries_on_disk, moved));
        put(out, &narrow16(end.entries, moved));
        put(out, &narrow(end.central_size, moved));
        put(out, &narrow(end.central_offset, moved));
        let said = end.comment_length.map(u16::to_le_bytes);
        put(out, &said.unwrap_or_else(|| len16(&self.comment)));
        put(out, &self.comment);
    }
}

#[cfg(test)]
mod tests;
