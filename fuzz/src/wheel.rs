//! Wheels and layers: what is accepted of any bytes, and what is made of it.

use std::str;

use accretion_archive::{Directory, Method};
use accretion_core::digest::Sha256;
use accretion_core::limits::WheelLimits;
use accretion_core::target::{Architecture, Runtime, Target};
use accretion_layer::{
    Bundle, Copied, Files, LayerZip, Output as _, Package, PackageFiles, Rules, SizeLimit, Tree,
};
use accretion_python::SitePackages;
use accretion_python::wheel::{WheelFilename, inspect};
use accretion_tree::{Layout, Origin};
use serde_json::{Value, json};

use crate::forge::WheelPlan;
use crate::{forge, python, report};

/// The name of every wheel that is one file of bytes.
const FILENAME: &str = "demo-1.0-py3-none-any.whl";

/// Small, so that no time goes into unpacking what is long and dull.
fn limits() -> WheelLimits {
    WheelLimits {
        unzipped: 4 << 20,
        metadata: 64 << 10,
        entries: 1_000,
        ..WheelLimits::default()
    }
}

/// Any bytes as a wheel.
///
/// Of an archive that is accepted Python's zipfile reads the same names and the same bytes; the layer
/// that is made of an accepted wheel is what an installer makes of it; and the same again from the
/// same bytes.
pub fn archive(data: &[u8]) {
    check_alone(FILENAME, data.to_vec());
}

/// A wheel that the forge makes, with whatever peculiarities the bytes choose, and with bytes changed
/// after that. What is promised is what [`archive`] promises.
pub fn wheel(data: &[u8]) {
    if let Some(plan) = forge::plan::<WheelPlan>(data) {
        check_alone(FILENAME, plan.build("demo"));
    }
}

/// The metadata of a wheel, separated by `0x1e`: `METADATA`, `WHEEL`, `entry_points.txt`, a `RECORD`,
/// and a script. What is promised is what [`archive`] promises.
pub fn dist_info(data: &[u8]) {
    check_alone(FILENAME, forge::with_metadata(data));
}

/// A layer of up to four forged wheels.
///
/// It is what installing them in the order of their names makes, and the same bytes whatever order
/// they are given in.
pub fn layer(data: &[u8]) {
    const NAMES: [&str; 4] = ["demo", "de", "demo-x", "zz"];
    let Some(plans) = forge::plan::<Vec<WheelPlan>>(data) else {
        return;
    };
    let wheels = NAMES.iter().zip(&plans).filter_map(|(name, plan)| {
        let filename = format!("{}-1.0-py3-none-any.whl", name.replace('-', "_"));
        Inspected::of(&filename, plan.build(name))
    });
    check_layer(&wheels.collect::<Vec<_>>());
}

fn check_alone(filename: &str, bytes: Vec<u8>) {
    check_archive(&bytes);
    if let Some(inspected) = Inspected::of(filename, bytes) {
        check_layer(&[inspected]);
    }
}

/// Checks that Python reads what our reader accepts, and finds the same.
fn check_archive(bytes: &[u8]) {
    let limits = limits();
    let directory = match Directory::read(bytes, bytes.len() as u64, limits.entries) {
        Ok(directory) => directory,
        Err(error) => return report::check_line(&error.to_string()),
    };
    let mut unpacked = 0_u64;
    let mut ours = Vec::new();
    for (index, entry) in directory.entries.iter().enumerate() {
        unpacked = unpacked.saturating_add(entry.size);
        if unpacked > limits.unzipped {
            return;
        }
        let mut content = Vec::new();
        let verified = directory.unpack(bytes, index, |part| {
            content.extend_from_slice(part);
            Ok(())
        });
        let verified = match verified {
            Ok(verified) => verified,
            Err(error) => return report::check_line(&error.to_string()),
        };
        assert_eq!(content.len() as u64, entry.size);
        let sha256 = Sha256::of(&content);
        assert_eq!(sha256.0, verified.sha256);
        ours.push((entry, sha256.to_string()));
    }
    let answer = python::ask(json!({"do": "read"}), &[bytes]);
    let Some(theirs) = answer["entries"].as_array() else {
        panic!("zipfile refuses what was accepted: {answer}\n{directory:#?}");
    };
    let summary = |of: Vec<Value>| {
        let mut of: Vec<String> = of.iter().map(ToString::to_string).collect();
        of.sort();
        of
    };
    let ours = ours.iter().map(|(entry, sha256)| {
        let is_known = entry.method != Method::Zstandard;
        json!([entry.name, entry.size, is_known.then_some(sha256)])
    });
    let theirs = theirs.iter().map(|it| json!([it[1], it[2], it[3]]));
    assert_eq!(
        summary(ours.collect()),
        summary(theirs.collect()),
        "zipfile reads something else"
    );
}

/// A wheel that was accepted, as the cache holds it.
struct Inspected {
    filename: WheelFilename,
    layout: Layout,
    wheel: Vec<u8>,
    layout_file: Vec<u8>,
}

impl Inspected {
    /// Inspects a wheel; `None` if it is refused.
    fn of(filename: &str, wheel: Vec<u8>) -> Option<Self> {
        let filename: WheelFilename = filename.parse().expect("it is a wheel's");
        let inspect = |threads, packed: &mut Vec<u8>| {
            let length = wheel.len() as u64;
            inspect(&wheel, length, &filename, &limits(), threads, packed)
        };
        let mut layout_file = Vec::new();
        let layout = match inspect(1, &mut layout_file) {
            Ok(layout) => layout,
            Err(error) => {
                report::check_error(&error);
                return None;
            }
        };
        // With fewer files there is nothing to share among threads.
        if layout.files.len() > 16 {
            let mut again = Vec::new();
            let with_threads = inspect(3, &mut again).expect("it was accepted before");
            assert_eq!(with_threads, layout);
            assert_eq!(again, layout_file);
        }

        assert!(filename.is_of(&layout));
        assert!(
            layout
                .files
                .is_sorted_by(|one, other| one.path < other.path)
        );
        for file in &layout.files {
            let of = match file.origin {
                Origin::Archive => wheel.len(),
                Origin::Layout => layout_file.len(),
            };
            let end = file.offset.checked_add(file.compressed_size);
            assert!(end.is_some_and(|end| end <= of as u64), "{file:?}");
            assert_ne!(file.method, Method::Zstandard, "{file:?}");
        }
        layout_file.extend(layout.encode());
        let decoded = Layout::decode(&layout_file, layout_file.len() as u64);
        assert_eq!(decoded.expect("it is in memory").as_ref(), Some(&layout));
        Some(Self {
            filename,
            layout,
            wheel,
            layout_file,
        })
    }

    /// The facts that the oracle has to know besides the bytes.
    fn description(&self) -> Value {
        json!({"name": self.layout.name})
    }
}

/// A layer is what an installer would make, and the same again.
fn check_layer(wheels: &[Inspected]) {
    let Some(zip) = splice(&wheels.iter().collect::<Vec<_>>()) else {
        return;
    };
    let reversed = splice(&wheels.iter().rev().collect::<Vec<_>>());
    assert_eq!(reversed.as_ref(), Some(&zip), "the order of wheels matters");

    let mut blobs: Vec<&[u8]> = wheels.iter().map(|wheel| &*wheel.wheel).collect();
    blobs.push(&zip);
    let descriptions: Vec<_> = wheels.iter().map(Inspected::description).collect();
    let answer = python::ask(json!({"do": "layer", "wheels": descriptions}), &blobs);
    assert_eq!(answer["problem"], Value::Null, "{answer}");
}

fn splice(wheels: &[&Inspected]) -> Option<Vec<u8>> {
    let packages = wheels.iter().map(|wheel| Package {
        filename: wheel.filename.as_str(),
        layout: &wheel.layout,
    });
    let trees = [Tree {
        target: Target {
            runtime: Runtime::Python313,
            architecture: Architecture::X86_64,
        },
        packages: packages.collect(),
    }];
    let rules = |strict| Rules {
        strict,
        ..Rules::new(&SitePackages, SizeLimit::LAYER)
    };
    let strict = Bundle::new(&trees, Copied::NONE, &rules(true));
    let bundle = match Bundle::new(&trees, Copied::NONE, &rules(false)) {
        Ok(bundle) => bundle,
        Err(error) => {
            assert!(strict.is_err());
            report::check_error(&error);
            return None;
        }
    };
    assert_eq!(strict.is_ok(), bundle.conflicts.is_empty());
    let files = wheels.iter().map(|wheel| PackageFiles {
        archive: &wheel.wheel,
        layout: &wheel.layout_file,
    });
    let files = [files.collect()];
    let mut zip = Vec::new();
    let written = LayerZip.write(Files::new(&bundle, &files, None), &mut zip);
    let written = written.expect("all of it is in memory");
    assert_eq!(written.size, zip.len() as u64);
    assert_eq!(written.sha256, Sha256::of(&zip));
    Some(zip)
}
