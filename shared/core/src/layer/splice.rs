//! Writing a planned layer: copying raw streams out of the wheels.

use std::io::Write;

use super::ROOT;
use super::plan::{Plan, Planned};
use crate::archive::{Header, ReadAt, WriteError, Writer, Written};
use crate::error::Error;
use crate::wheel::{LayoutFile, Origin};

/// The files that one wheel's packed data lies in.
#[derive(Debug)]
pub struct WheelFiles<F> {
    /// The wheel.
    pub wheel: F,
    /// The file that its layout is stored in.
    pub layout: F,
}

/// Small files that lie close together are read in one go, up to this many bytes.
const WINDOW: u64 = 256 << 10;
/// What may lie between two files of one window: headers, and files that are not taken.
const GAP: u64 = 4 << 10;

/// Writes the layer's zip to `out`. `files` are in the order of the wheels that were planned.
///
/// The zip's bytes depend on the plan's content alone.
pub fn splice<F: ReadAt, W: Write>(
    plan: &Plan<'_>,
    files: &[WheelFiles<F>],
    out: W,
) -> Result<Written, Error> {
    let ends = window_ends(plan, files.len());
    let mut window = Window::default();
    let mut writer = Writer::new(out);
    let mut name = String::from(ROOT);
    for (entry, end) in plan.entries.iter().zip(ends) {
        name.truncate(ROOT.len());
        name.push_str(&entry.file.path);
        if let Some((record, data)) = plan.record(entry) {
            writer
                .add(header(&name, record), data)
                .map_err(Error::LayerWrite)?;
            continue;
        }
        let (file, header) = (entry.file, header(&name, entry.file));
        let copied = match file.origin {
            Origin::Layout => writer.copy(header, &files[entry.wheel].layout, file.offset),
            Origin::Wheel if file.compressed_size > WINDOW / 4 => {
                writer.copy(header, &files[entry.wheel].wheel, file.offset)
            }
            Origin::Wheel => window
                .read(entry.wheel, &files[entry.wheel].wheel, file, end)
                .map_err(|error| WriteError::Read {
                    name: name.clone(),
                    error,
                })
                .and_then(|data| writer.add(header, data)),
        };
        copied.map_err(Error::LayerWrite)?;
    }
    writer.finish().map_err(Error::LayerWrite)
}

fn header<'a>(name: &'a str, file: &LayoutFile) -> Header<'a> {
    Header {
        name,
        method: file.method,
        crc32: file.crc32,
        compressed_size: file.compressed_size,
        size: file.size,
        executable: file.executable,
    }
}

/// For each entry how far its wheel can be read on to serve the entries after it.
fn window_ends(plan: &Plan<'_>, wheels: usize) -> Vec<u64> {
    // Of each wheel, the window that the next entry starts.
    let mut next: Vec<Option<(u64, u64)>> = vec![None; wheels];
    let mut ends = vec![0; plan.entries.len()];
    for (end, Planned { wheel, file }) in ends.iter_mut().zip(&plan.entries).rev() {
        if file.origin != Origin::Wheel {
            continue;
        }
        let own_end = file.offset + file.compressed_size;
        *end = match next[*wheel] {
            Some((start, end)) if (own_end..own_end + GAP).contains(&start) => end,
            _ => own_end,
        };
        next[*wheel] = Some((file.offset, *end));
    }
    ends
}

/// A part of a wheel that is in memory. One is enough: a wheel's paths mostly follow each other.
#[derive(Default)]
struct Window {
    wheel: usize,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The packed data of `file`. What is not in memory is read, together with what follows it up
    /// to `end`.
    fn read(
        &mut self,
        wheel: usize,
        archive: &impl ReadAt,
        file: &LayoutFile,
        end: u64,
    ) -> std::io::Result<&[u8]> {
        let size = usize::try_from(file.compressed_size).unwrap_or(usize::MAX);
        let held = |window: &Self| {
            if window.wheel != wheel {
                return None;
            }
            let at = usize::try_from(file.offset.checked_sub(window.start)?).ok()?;
            let range = at..at.checked_add(size)?;
            window.bytes.get(range.clone()).is_some().then_some(range)
        };
        if held(self).is_none() {
            let length = (end - file.offset).clamp(file.compressed_size, WINDOW);
            (self.wheel, self.start) = (wheel, file.offset);
            self.bytes
                .resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
            archive.read_exact_at(&mut self.bytes, file.offset)?;
        }
        let range = held(self).unwrap_or_default();
        Ok(&self.bytes[range])
    }
}
