//! The contents of layers: real wheels, one for each content, so that builds splice real zips.

use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use accretion_core::digest::Written;
use accretion_core::digest::{Digest, Sha256};
use accretion_core::limits::WheelLimits;
use accretion_core::pruning::Pruning;
use accretion_core::target::{LayerTarget, Target};
use accretion_layer::{
    Bundle, Copied, Files, LayerZip, Output as _, Package, PackageFiles, Rules, Tree,
};
use accretion_python::SitePackages;
use accretion_python::lock::{Lock, LockedPackage, Policy};
use accretion_python::wheel::inspect;
use accretion_service::ports::StoredWheel;
use accretion_testing::forge::WheelForge;
use accretion_tree::Layout;

use super::{ARM64, MERGED, MERGED_RUNTIMES, X86_64};

/// The number of contents.
const CONTENTS: u32 = 5;

static ALL: LazyLock<Vec<Content>> = LazyLock::new(|| (1..=CONTENTS).map(Content::new).collect());

/// The content of a request: a version of attrs, and nothing else.
pub struct Content {
    /// The lock of requirements for it.
    lock: Lock,
    wheel: Arc<StoredWheel>,
    /// The same for all targets.
    artifact: Written,
    digests: [(LayerTarget, Digest); 3],
}

impl Content {
    /// The content of a number, from 1 on.
    pub fn of(number: u32) -> &'static Self {
        let index = usize::try_from(number - 1).expect("it is small");
        &ALL[index]
    }

    fn new(number: u32) -> Self {
        let version = number.to_string();
        let module = format!("VERSION = {number}\n");
        let wheel = WheelForge::new("attrs", &version)
            .file("attrs/__init__.py", module)
            .build();
        let pylock = format!(
            "lock-version = '1.0'\ncreated-by = 'uv'\n[[packages]]\nname = 'attrs'\nversion = '{version}'\n\
             wheels = [{{ url = 'https://example.com/{}', hashes = {{ sha256 = '{}' }} }}]\n",
            wheel.filename, wheel.sha256,
        );
        let filename = wheel.filename.parse().unwrap();
        let (bytes, limits) = (&wheel.bytes, WheelLimits::default());
        let mut layout_file = Vec::new();
        let length = bytes.len() as u64;
        let layout = inspect(bytes, length, &filename, &limits, 1, &mut layout_file).unwrap();
        layout_file.extend(layout.encode());
        let stored = StoredWheel {
            wheel: kept(&wheel.filename, bytes),
            layout_file: kept(&format!("{}.layout", wheel.filename), &layout_file),
            filename,
            layout,
        };
        let files = PackageFiles {
            archive: &wheel.bytes,
            layout: &layout_file,
        };
        let lock = Lock::parse(&pylock).unwrap();
        Self {
            digests: [X86_64, ARM64, MERGED].map(|target| (target, digest(&lock, target))),
            artifact: written(&stored.layout, files),
            wheel: Arc::new(stored),
            lock,
        }
    }

    pub fn lock(&self) -> Lock {
        self.lock.clone()
    }

    /// The digest of the layer for a target.
    pub fn digest(&self, target: LayerTarget) -> Digest {
        let mut digests = self.digests.iter();
        digests.find(|(of, _)| *of == target).expect("it is one").1
    }

    /// The SHA-256 of the layer's zip.
    pub fn artifact(&self) -> Sha256 {
        self.artifact.sha256
    }

    /// The wheel of a file name.
    pub fn wheel(filename: &str) -> Option<Arc<StoredWheel>> {
        let mut all = ALL.iter();
        let content = all.find(|content| content.wheel.filename.as_str() == filename);
        content.map(|content| Arc::clone(&content.wheel))
    }
}

/// A file among those of the build, the same in every run.
fn kept(name: &str, bytes: &[u8]) -> std::path::PathBuf {
    // <target>/<profile>/deps/<program>: beside what Cargo gives tests for their files.
    let program = std::env::current_exe().unwrap();
    let target = program.ancestors().nth(3).unwrap_or(Path::new("."));
    let folder = target.join("tmp/simulation");
    fs::create_dir_all(&folder).unwrap();
    let mut file = tempfile::NamedTempFile::new_in(&folder).unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
    let path = folder.join(name);
    file.persist(&path).unwrap();
    path
}

fn digest(lock: &Lock, target: LayerTarget) -> Digest {
    let policy = Policy {
        allow_source_distributions: false,
        requirements: None,
        own: &[],
    };
    let packages = |target| lock.select(target, policy).unwrap();
    match target {
        LayerTarget::One(target) => {
            let packages = packages(target);
            Digest::of_layer(target, packages.iter().map(LockedPackage::component))
        }
        LayerTarget::Merged(architecture) => {
            let trees = MERGED_RUNTIMES.map(|runtime| {
                let target = Target {
                    runtime,
                    architecture,
                };
                (target, packages(target))
            });
            let trees = trees
                .iter()
                .map(|(target, packages)| (*target, packages.iter().map(LockedPackage::component)));
            Digest::of_merged(trees, None, &Pruning::default())
        }
    }
}

fn written(layout: &Layout, files: PackageFiles<'_>) -> Written {
    let LayerTarget::One(target) = X86_64 else {
        unreachable!("it is of one runtime");
    };
    let filename = "attrs";
    let packages = vec![Package { filename, layout }];
    let tree = Tree { target, packages };
    let rules = Rules::new(&SitePackages, LayerZip.limit());
    let bundle = Bundle::new(&[tree], Copied::NONE, &rules).unwrap();
    let trees = [vec![files]];
    let files = Files::new(&bundle, &trees, None);
    LayerZip.write(files, &mut std::io::sink()).unwrap()
}
