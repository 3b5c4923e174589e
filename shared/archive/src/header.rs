//! The headers of an entry: in the central directory, before its data, and behind it.

use std::io;

use super::reader::{ArchiveError, Entry, EntryKind, usize_of};
use super::{FLAG_DESCRIPTOR, FLAG_UTF8, Method, ReadAt, signature, u16_at, u32_at, u64_at};

/// Length of the fixed part of a local file header.
pub(super) const LOCAL_LENGTH: usize = 30;
/// Length of the fixed part of a central directory header.
const CENTRAL_LENGTH: usize = 46;

/// The newest "version needed to extract" that means something: 6.3.
const VERSION_KNOWN: u8 = 63;
/// The extra field with figures of 64 bits.
const EXTRA_ZIP64: u16 = 0x0001;
/// The extra field with another name for the entry (Info-ZIP Unicode Path).
const EXTRA_UNICODE_PATH: u16 = 0x7075;

/// General purpose flags that mean encryption or patched data: bits 0, 5, 6 and 13.
const FLAGS_REFUSED: u16 = 1 | 1 << 5 | 1 << 6 | 1 << 13;

/// The entry at the start of `bytes`, and the length of its record.
pub(super) fn parse_central(bytes: &[u8]) -> Result<(Entry, usize), ArchiveError> {
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
        0o040_000 => return Err(error("is a folder by its mode and a file by its name")),
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
    // Python reads such a name in code page 437, others as UTF-8 or not at all.
    if flags & FLAG_UTF8 == 0 && !raw.is_ascii() {
        return Err(error("has a name beyond ASCII that is not marked as UTF-8"));
    }
    String::from_utf8(raw.to_vec()).map_err(|_| error("has a name that is not UTF-8"))
}

/// The data that is read from an entry's extra fields.
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
        Ok(Self {
            zip64: Zip64Extra(zip64.unwrap_or_default()),
        })
    }
}

/// Returns whether a Unicode Path field gives an entry another name; some readers prefer it. It is
/// to be ignored if its checksum is that of another name than the header's.
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
pub(super) fn check_local(
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

/// Checks the data descriptor at `position`, where the entry has one, and gives the offset behind it.
pub(super) fn check_descriptor(
    archive: &(impl ReadAt + ?Sized),
    entry: &Entry,
    position: u64,
    limit: u64,
) -> Result<u64, ArchiveError> {
    if entry.flags & FLAG_DESCRIPTOR == 0 {
        return Ok(position);
    }
    // Signature and ZIP64 sizes are both optional, and nothing says which are there.
    let mut bytes = vec![0; usize_of((limit - position).min(24))?];
    archive.read_exact_at(&mut bytes, position)?;
    let signed = bytes.len() >= 4 && u32_at(&bytes, 0) == signature::DESCRIPTOR;
    let starts = [signed.then_some(4), Some(0)].into_iter().flatten();
    let mut ends = starts.filter_map(|start| {
        let body = &bytes[start..];
        let is_checked = body.len() >= 12 && u32_at(body, 0) == entry.crc32;
        let short = is_checked
            && u64::from(u32_at(body, 4)) == entry.compressed_size
            && u64::from(u32_at(body, 8)) == entry.size;
        let long = is_checked
            && body.len() >= 20
            && u64_at(body, 4) == entry.compressed_size
            && u64_at(body, 12) == entry.size;
        let length = if short { 12 } else { 20 };
        (short || long).then_some((start + length) as u64)
    });
    let length = ends.next().ok_or_else(|| {
        entry.error("has a data descriptor that differs from the central directory")
    })?;
    Ok(position + length)
}
