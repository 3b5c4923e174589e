//! Writing a planned layer: copying raw streams out of the wheels.

use std::io::Write;

use crate::error::Error;
use crate::plan::{Plan, Planned};
use crate::{Bundle, ROOT};
use accretion_archive::{Header, ReadAt, WriteError, Writer};
use accretion_core::digest::Written;
use accretion_tree::{LayoutFile, Origin};

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
/// The largest gap between two files of one window: headers, and files that are not taken.
const GAP: u64 = 4 << 10;

/// Writes the layer's zip to `out`. `files` are in the order of the wheels that were planned.
///
/// The zip's bytes depend on the plan's content alone.
pub fn splice<F: ReadAt, W: Write>(
    plan: &Plan<'_>,
    files: &[WheelFiles<F>],
    out: W,
) -> Result<Written, Error> {
    let mut source = Source::new("", plan, files);
    let mut writer = Writer::new(out);
    for entry in 0..plan.entries.len() {
        source.write(entry, &mut writer)?;
    }
    writer
        .finish()
        .map(crate::written)
        .map_err(Error::LayerWrite)
}

/// Writes the zip of a layer for several runtimes to `out`. `trees` are in the order of the trees
/// that were bundled, each in the order of its wheels; `copied` is what the other files' packed data
/// lies in, if there are such.
///
/// The zip's bytes depend on the bundle's content alone.
pub fn splice_bundle<F: ReadAt, W: Write>(
    bundle: &Bundle<'_>,
    trees: &[Vec<WheelFiles<F>>],
    copied: Option<&WheelFiles<F>>,
    out: W,
) -> Result<Written, Error> {
    let of_copied = copied.map_or(&[][..], std::slice::from_ref);
    let mut sources: Vec<_> = bundle
        .parts
        .iter()
        .map(|part| {
            let files = part.tree.map_or(of_copied, |tree| &trees[tree]);
            Source::new(&part.folder, &part.plan, files)
        })
        .collect();
    let mut writer = Writer::new(out);
    for &(part, entry) in &bundle.order {
        sources[part].write(entry, &mut writer)?;
    }
    writer
        .finish()
        .map(crate::written)
        .map_err(Error::LayerWrite)
}

/// The source that a plan's entries are written from.
struct Source<'a, F> {
    plan: &'a Plan<'a>,
    files: &'a [WheelFiles<F>],
    /// For each entry how far its wheel can be read on.
    ends: Vec<u64>,
    window: Window,
    /// The name of an entry; the part before its path stays.
    name: String,
    prefix: usize,
}

impl<'a, F: ReadAt> Source<'a, F> {
    fn new(folder: &str, plan: &'a Plan<'a>, files: &'a [WheelFiles<F>]) -> Self {
        let name = format!("{ROOT}{folder}");
        Self {
            plan,
            files,
            ends: window_ends(plan, files.len()),
            window: Window::default(),
            prefix: name.len(),
            name,
        }
    }

    fn write<W: Write>(&mut self, entry: usize, writer: &mut Writer<W>) -> Result<(), Error> {
        let (entry, end) = (&self.plan.entries[entry], self.ends[entry]);
        self.name.truncate(self.prefix);
        self.name.push_str(&entry.file.path);
        let name = &self.name;
        if let Some((record, data)) = self.plan.record(entry) {
            let written = writer.add(header(name, record), data);
            return written.map_err(Error::LayerWrite);
        }
        let (file, header) = (entry.file, header(name, entry.file));
        let files = &self.files[entry.wheel];
        let copied = match file.origin {
            Origin::Layout => writer.copy(header, &files.layout, file.offset),
            Origin::Wheel if file.compressed_size > WINDOW / 4 => {
                writer.copy(header, &files.wheel, file.offset)
            }
            Origin::Wheel => self
                .window
                .read(entry.wheel, &files.wheel, file, end)
                .map_err(|error| WriteError::Read {
                    name: name.clone(),
                    error,
                })
                .and_then(|data| writer.add(header, data)),
        };
        copied.map_err(Error::LayerWrite)
    }
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
