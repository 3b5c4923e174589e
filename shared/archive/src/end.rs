//! The records that end an archive.

use super::reader::{ArchiveError, usize_of};
use super::{ReadAt, signature, u16_at, u32_at, u64_at};

/// Length of the end of central directory record without its comment.
const END_LENGTH: usize = 22;
/// Length of the ZIP64 end of central directory record, version 1.
const END64_LENGTH: usize = 56;
/// Length of the ZIP64 end of central directory locator.
const END64_LOCATOR_LENGTH: usize = 20;
/// As many NULs may follow the end record: some tools pad files, and uv takes about as many.
const TRAILING_NULS: usize = 4096;

/// The end of central directory record, of either kind.
pub(super) struct End {
    /// The position where the record starts: the central directory has to end there.
    pub(super) position: u64,
    pub(super) entries: u64,
    pub(super) size: u64,
    pub(super) offset: u64,
}

/// Reads the end record of an archive of `length` bytes.
pub(super) fn read(archive: &(impl ReadAt + ?Sized), length: u64) -> Result<End, ArchiveError> {
    let tail_length = length.min((END_LENGTH + usize::from(u16::MAX)) as u64);
    let tail_start = length - tail_length;
    let mut tail = vec![0; usize_of(tail_length)?];
    archive.read_exact_at(&mut tail, tail_start)?;
    let at = find(&tail).map_err(ArchiveError::Structure)?;
    let record = &tail[at..];
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

/// Returns the position of the end record in the last bytes of an archive. The error is a sentence.
///
/// Readers look for the last signature, some of them for the last record whose comment ends with
/// the archive: there has to be one of which both is true. Only NULs may follow.
fn find(tail: &[u8]) -> Result<usize, String> {
    let signature = signature::END.to_le_bytes();
    let is_signature = |bytes: &[u8]| bytes == signature;
    let nuls = tail.iter().rev().take_while(|byte| **byte == 0).count();
    let Some(last) = tail.windows(4).rposition(is_signature) else {
        return Err(if nuls > TRAILING_NULS {
            format!("it ends with over {TRAILING_NULS} NULs")
        } else {
            "it has no end record at its end: it is not a ZIP archive, it is cut off, or something \
             else follows"
                .into()
        });
    };
    // Where the record at an offset ends with its comment.
    let end_of = |at: usize| {
        let length = tail.get(at..at + END_LENGTH).map(|end| u16_at(end, 20))?;
        Some(at + END_LENGTH + usize::from(length)).filter(|end| *end <= tail.len())
    };
    let is_end = |at: &usize| end_of(*at).is_some_and(|end| end + nuls >= tail.len());
    let candidates: Vec<usize> = tail
        .windows(4)
        .enumerate()
        .filter(|(_, bytes)| is_signature(bytes))
        .map(|(at, _)| at)
        .filter(is_end)
        .collect();
    match candidates[..] {
        [at] if at == last => {}
        [] => return Err(unfinished(end_of(last).map(|end| tail.len() - end))),
        _ => return Err("it has more than one possible end record".into()),
    }
    let trailing = end_of(last).map_or(0, |end| tail.len() - end);
    if trailing > TRAILING_NULS {
        return Err(format!(
            "it has {trailing} NULs after its end record; the limit is {TRAILING_NULS}"
        ));
    }
    Ok(last)
}

/// Returns the reason why a record does not end the archive: `trailing` bytes follow it, or it is
/// not there whole.
fn unfinished(trailing: Option<usize>) -> String {
    match trailing {
        Some(1) => "it has 1 byte after its end record".into(),
        Some(trailing) => format!("it has {trailing} bytes after its end record"),
        None => "its end record is cut off".into(),
    }
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
