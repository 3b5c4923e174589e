//! The harness of the engine's tests: wheels inspected, layers spliced, layers read back.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Cursor, Read as _};

use accretion_core::Fault;
use accretion_core::digest::{Sha256, Written};
use accretion_core::layer::Conflict;
use accretion_core::limits::WheelLimits;
use accretion_core::target::{Architecture, Runtime, Target};
use accretion_layer as layer;
use accretion_layer::{
    Bundle, Copied, Files, LayerZip, Output as _, PackageFiles, Pruned, Rules, SizeLimit, Tree,
};
use accretion_python::wheel::{WheelFilename, inspect};
use accretion_python::{Error, SitePackages};
use accretion_testing::forge::Wheel;
use accretion_tree::Layout;

/// A wheel as the cache holds it.
#[derive(Debug, Clone)]
pub(crate) struct Inspected {
    pub(crate) filename: WheelFilename,
    pub(crate) layout: Layout,
    wheel: Vec<u8>,
    layout_file: Vec<u8>,
}

impl Inspected {
    /// The unpacked content of a file that the wheel puts into a layer of its own.
    pub(crate) fn text(&self, path: &str) -> String {
        let layer = splice(std::slice::from_ref(self)).unwrap();
        let content = &layer.files()[&format!("python/{path}")].content;
        String::from_utf8(content.clone()).unwrap()
    }

    /// The wheel as a plan takes it.
    pub(crate) fn package(&self) -> layer::Package<'_> {
        layer::Package {
            filename: self.filename.as_str(),
            layout: &self.layout,
        }
    }

    /// The wheel, and the file that its layout is in.
    pub(crate) fn files(&self) -> PackageFiles<'_> {
        PackageFiles {
            archive: &self.wheel,
            layout: &self.layout_file,
        }
    }

    pub(crate) fn paths(&self) -> Vec<&str> {
        self.layout
            .files
            .iter()
            .map(|file| file.path.as_str())
            .collect()
    }
}

pub(crate) fn inspect_wheel(wheel: &Wheel) -> Result<Inspected, Error> {
    inspect_with(wheel, &WheelLimits::default(), 2)
}

/// [`inspect_wheel`] of one that is sound.
pub(crate) fn inspected(wheel: &Wheel) -> Inspected {
    inspect_wheel(wheel).unwrap()
}

pub(crate) fn inspect_with(
    wheel: &Wheel,
    limits: &WheelLimits,
    threads: usize,
) -> Result<Inspected, Error> {
    let filename: WheelFilename = wheel.filename.parse().unwrap();
    let mut packed = Vec::new();
    let layout = inspect(
        &wheel.bytes,
        wheel.bytes.len() as u64,
        &filename,
        limits,
        threads,
        &mut packed,
    )?;
    packed.extend(layout.encode());
    // What is used from here on is what the cache would read back.
    let layout = Layout::decode(&packed, packed.len() as u64)
        .unwrap()
        .unwrap();
    Ok(Inspected {
        filename,
        layout,
        wheel: wheel.bytes.clone(),
        layout_file: packed,
    })
}

/// `Code: message`.
pub(crate) fn refusal<T, E: Fault>(outcome: Result<T, E>) -> String {
    match outcome {
        Ok(_) => "accepted".to_owned(),
        Err(error) => format!("{}: {error}", error.code()),
    }
}

/// A table of refusals as a snapshot has it.
pub(crate) fn table<'a>(refusals: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut text = String::new();
    for (case, refusal) in refusals {
        let _ = writeln!(text, "{case}\n    {refusal}");
    }
    text
}

/// A spliced layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) zip: Vec<u8>,
    pub(crate) written: Written,
    pub(crate) conflicts: Vec<Conflict>,
    pub(crate) unzipped: u64,
    pub(crate) pruned: Pruned,
}

/// A file of a layer, as another reader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) content: Vec<u8>,
    pub(crate) mode: u32,
}

pub(crate) fn splice(wheels: &[Inspected]) -> Result<Layer, layer::Error> {
    splice_with(wheels, false)
}

pub(crate) fn splice_with(wheels: &[Inspected], strict: bool) -> Result<Layer, layer::Error> {
    splice_by(wheels, &Rules { strict, ..rules() })
}

/// The rules of Python layers.
pub(crate) fn rules() -> Rules {
    Rules::new(&SitePackages, SizeLimit::LAYER)
}

/// Plans a layer of wheels.
pub(crate) fn plan<'a>(wheels: &'a [Inspected], rules: &Rules) -> Result<Bundle<'a>, layer::Error> {
    let tree = Tree {
        target: Target {
            runtime: Runtime::Python313,
            architecture: Architecture::X86_64,
        },
        packages: wheels.iter().map(Inspected::package).collect(),
    };
    Bundle::new(&[tree], Copied::NONE, rules)
}

pub(crate) fn splice_by(wheels: &[Inspected], rules: &Rules) -> Result<Layer, layer::Error> {
    let bundle = plan(wheels, rules)?;
    let files = [wheels.iter().map(Inspected::files).collect()];
    let mut zip = Vec::new();
    let written = LayerZip.write(Files::new(&bundle, &files, None), &mut zip);
    Ok(Layer {
        zip,
        written: written.map_err(layer::Error::LayerWrite)?,
        unzipped: bundle.unzipped,
        conflicts: bundle.conflicts,
        pruned: bundle.pruned.into_iter().next().unwrap_or_default(),
    })
}

impl Layer {
    /// Reads the layer with another reader and holds it against every promise of its form:
    /// checksums, order, times, flags, modes, no folders, and a `RECORD` per distribution that
    /// lists exactly what is there.
    pub(crate) fn files(&self) -> BTreeMap<String, File> {
        assert_eq!(self.written.size, self.zip.len() as u64);
        assert_eq!(self.written.sha256, Sha256::of(&self.zip));
        let mut archive = zip::ZipArchive::new(Cursor::new(&self.zip)).unwrap();
        assert_eq!(archive.offset(), 0);
        let mut files = BTreeMap::new();
        let mut last = Vec::new();
        let mut unzipped = 0;
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).unwrap();
            let name = String::from_utf8(entry.name_raw().to_vec()).unwrap();
            assert_eq!(
                entry.name().unwrap(),
                name,
                "the reader takes the name for UTF-8"
            );
            assert!(name.as_bytes() > last.as_slice(), "{name} is out of order");
            last = name.clone().into_bytes();
            assert!(
                name.starts_with("python/") && !name.ends_with('/'),
                "{name}"
            );
            assert!(matches!(
                entry.compression(),
                zip::CompressionMethod::Stored | zip::CompressionMethod::Deflated
            ));
            let time = entry.last_modified().unwrap();
            assert_eq!((time.datepart(), time.timepart()), (0x21, 0), "{name}");
            assert_eq!(
                entry.extra_data().map_or(0, |extra| extra.len()),
                0,
                "{name}"
            );
            assert_eq!(entry.comment(), "");
            let mode = entry.unix_mode().unwrap();
            assert!([0o100_644, 0o100_755].contains(&mode), "{name}: {mode:o}");
            let mut content = Vec::new();
            // Reading to the end checks the CRC.
            entry.read_to_end(&mut content).unwrap();
            assert_eq!(entry.size(), content.len() as u64, "{name}");
            unzipped += content.len() as u64;
            files.insert(name, File { content, mode });
        }
        assert_eq!(unzipped, self.unzipped);
        check_records(&files);
        files
    }
}

/// Every `RECORD` lists files that are there, with their hashes and sizes, and every file is
/// listed.
fn check_records(files: &BTreeMap<String, File>) {
    let mut listed = std::collections::BTreeSet::new();
    let records = files
        .iter()
        .filter(|(path, _)| path.ends_with(".dist-info/RECORD") && path.matches('/').count() == 2);
    for (record, file) in records {
        let text = std::str::from_utf8(&file.content).unwrap();
        assert!(text.ends_with('\n') && !text.contains('\r'), "{record}");
        for line in text.lines() {
            let (path, rest) = if let Some(quoted) = line.strip_prefix('"') {
                let (path, rest) = quoted.rsplit_once("\",").unwrap();
                (path.replace("\"\"", "\""), rest)
            } else {
                let (path, rest) = line.split_once(',').unwrap();
                (path.to_owned(), rest)
            };
            let path = format!("python/{path}");
            let content = &files
                .get(&path)
                .unwrap_or_else(|| panic!("{record} lists {path}, which is not there"))
                .content;
            if path == *record {
                assert_eq!(rest, ",");
            } else {
                assert_eq!(rest, record_figures(content), "{path}");
            }
            listed.insert(path);
        }
    }
    let all: Vec<_> = files.keys().collect();
    assert_eq!(listed.iter().collect::<Vec<_>>(), all);
}

/// Hash and size as `RECORD` has them.
fn record_figures(content: &[u8]) -> String {
    use base64::Engine as _;
    let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Sha256::of(content).0);
    format!("sha256={hash},{}", content.len())
}
