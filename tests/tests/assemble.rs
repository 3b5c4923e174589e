//! One layer for several runtimes out of a folder: what it consists of, and what it refuses.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use accretion_core::Fault;
use accretion_core::layer::Shape;
use accretion_core::limits::Limits;
use accretion_core::request::FileRules;
use accretion_core::request::Targets;
use accretion_core::target::Architecture;
use accretion_layer::{LayerZip, Output as _, Rules};
use accretion_local::Downloader;
use accretion_local::cache::{CacheFolder, WheelCache};
use accretion_local::layer_folder::LayerFolder;
use accretion_local::python::Interpreters;
use accretion_local::uv::{Settings, Uv};
use accretion_python::SitePackages;
use accretion_python::request::Request;
use accretion_service::assemble::{Assembled, assemble, install, install_nothing};
use accretion_service::ports::{Event, PortError, Progress};
use accretion_service::python::{PythonPackages, PythonPorts, SourceDistributions};
use accretion_testing::forge::{Wheel, WheelForge};
use accretion_testing::index::PackageIndex;
use accretion_testing::interpreters::{python_of, untested};
use integration_tests::{python, snapshot, uv};
use serde_json::json;
use tempfile::TempDir;

struct Unwatched;

impl Progress for Unwatched {
    fn on(&self, _event: Event) {}
}

/// A layer's folder, and what it takes to make a layer of it.
struct Site {
    root: TempDir,
    index: PackageIndex,
}

impl Site {
    fn new(wheels: impl IntoIterator<Item = Wheel>) -> Self {
        let site = Self {
            root: tempfile::tempdir().unwrap(),
            index: PackageIndex::start(wheels),
        };
        fs::create_dir(site.folder()).unwrap();
        site
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("tools")
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder().join(path)
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn make_executable(&self, path: &str) -> &Self {
        let mode = fs::Permissions::from_mode(0o700);
        fs::set_permissions(self.path(path), mode).unwrap();
        self
    }

    /// Makes a layer as `accretion publish` does.
    async fn layer(&self, runtimes: &[&str], architectures: &[Architecture]) -> Outcome {
        let runtimes: Vec<_> = runtimes.iter().map(|it| it.parse().unwrap()).collect();
        let targets = Targets::new(runtimes, architectures.iter().copied());
        let folder = LayerFolder::open(self.folder()).map_err(PortError::new)?;
        let trees = match folder.requirements() {
            Some(path) => {
                let mut request = request(&fs::read_to_string(path).unwrap());
                request.targets = targets;
                self.install(&request).await?
            }
            None => install_nothing(&targets),
        };
        let packed = folder.pack(&FileRules::default()).await;
        let (files, _until_written) = packed.map_err(PortError::new)?.into_parts();
        let rules = Rules::new(&SitePackages, LayerZip.limit());
        let staged = tempfile::tempfile().unwrap();
        let assembled = assemble(trees, Some(files.into()), rules, &LayerZip, staged).await?;
        Ok(Layer::read(assembled))
    }

    async fn install(
        &self,
        request: &Request,
    ) -> Result<Vec<accretion_service::assemble::InstalledTree>, accretion_service::Error> {
        let cache = CacheFolder::new(self.root.path().join("cache"));
        let index = self.index.url().parse().unwrap();
        let downloader = Downloader::new(Some(&index), false, Arc::new(Unwatched));
        let uv = Arc::new(Uv::new(Settings {
            program: Some(uv().to_owned()),
            path: Some("/usr/bin:/bin".into()),
            cache: cache.uv(),
            index: Some(index),
            interpreters: Interpreters::new(None, Some(python().path.clone())),
            ..Settings::default()
        }));
        let wheels = WheelCache::new(
            cache.path(),
            Arc::new(downloader),
            Arc::clone(&uv),
            Limits::default(),
            Arc::new(Unwatched),
        );
        let ports = PythonPorts {
            resolver: &*uv,
            wheels: &wheels,
        };
        let allowed = SourceDistributions::AsRequested;
        let packages = PythonPackages::new(request, allowed, ports, &Unwatched)?;
        install(&request.targets, &packages, &Unwatched).await
    }
}

type Outcome = Result<Layer, accretion_service::Error>;

fn request(requirements: &str) -> Request {
    let text = json!({
        "Name": "tools",
        "Language": "python",
        "Requirements": {"Type": "requirements.txt", "Requirements": requirements},
    });
    let (request, _) = Request::from_json("request.json", text.to_string().as_bytes()).unwrap();
    request
}

/// A layer as another reader of zips sees it.
#[derive(Debug)]
struct Layer {
    assembled: Assembled<File>,
    zip: Vec<u8>,
    files: BTreeMap<String, (u32, Vec<u8>)>,
}

impl Layer {
    fn read(mut assembled: Assembled<File>) -> Self {
        use std::io::Seek as _;
        let mut zip = Vec::new();
        assembled.staged.rewind().unwrap();
        assembled.staged.read_to_end(&mut zip).unwrap();
        assert_eq!(assembled.written.size, zip.len() as u64);
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(&zip)).unwrap();
        let mut files = BTreeMap::new();
        let mut last = String::new();
        let mut unzipped = 0;
        for at in 0..archive.len() {
            let mut file = archive.by_index(at).unwrap();
            let name = file.name().unwrap().into_owned();
            assert!(last < name, "{name} is out of order, or there twice");
            assert!(name.starts_with("python/") && !name.ends_with('/'));
            let time = file.last_modified().unwrap();
            assert_eq!((time.datepart(), time.timepart()), (0x21, 0), "{name}");
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            unzipped += bytes.len() as u64;
            let mode = file.unix_mode().unwrap();
            files.insert(name.clone(), (mode, bytes));
            last = name;
        }
        assert_eq!(assembled.unzipped, unzipped);
        Self {
            assembled,
            zip,
            files,
        }
    }

    fn listing(&self) -> String {
        let lines = self.files.iter();
        let lines = lines.map(|(name, (mode, _))| format!("{mode:o} {name}\n"));
        lines.collect()
    }

    /// Unpacks the layer as Lambda does, below `/opt`.
    fn unpack(&self) -> TempDir {
        let opt = tempfile::tempdir().unwrap();
        for (name, (mode, content)) in &self.files {
            let path = opt.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o777)).unwrap();
        }
        opt
    }
}

/// `Code: message`, without what differs between machines.
fn refusal(site: &Site, outcome: Outcome) -> String {
    let error = outcome.map(|layer| layer.listing()).unwrap_err();
    let root = site.root.path().display().to_string();
    let hint = error.hint().unwrap_or_default();
    format!("{}: {error}\n    hint: {hint}\n", error.code()).replace(&root, "[ROOT]")
}

const X86: &[Architecture] = &[Architecture::X86_64];

/// The runtimes that are built when none is named.
const ALL: [&str; 3] = ["python3.12", "python3.13", "python3.14"];

fn pure(name: &str) -> WheelForge {
    WheelForge::new(name, "1.0").file(&format!("{name}/__init__.py"), format!("# {name}\n"))
}

/// `native` says for which runtime and machine it was built.
fn native() -> Vec<Wheel> {
    let machines = [
        "manylinux_2_17_x86_64.manylinux2014_x86_64",
        "manylinux_2_28_aarch64",
    ];
    let wheel = |minor: u8, machine: &str| {
        WheelForge::new("native", "1.0")
            .tag(&format!("cp3{minor}-cp3{minor}-{machine}"))
            .purelib(false)
            .file("native/__init__.py", format!("BUILT = (3, {minor})\n"))
            .executable(&format!("native/_core.cpython-3{minor}.so"), machine)
            .entry_point("console_scripts", "native", "native:__doc__")
            .build()
    };
    [12, 13, 14]
        .into_iter()
        .flat_map(|minor| machines.map(|machine| wheel(minor, machine)))
        .collect()
}

/// `tool` has a script and needs `native`.
fn tool() -> Wheel {
    WheelForge::new("tool", "2.0")
        .file(
            "tool.py",
            "import sys, native\n\ndef main():\n    print(native.BUILT, native.__file__)\n",
        )
        .requires("native")
        .entry_point("console_scripts", "tool", "tool:main")
        .build()
}

#[tokio::test]
async fn what_is_the_same_for_all_runtimes_is_there_once() {
    let site = Site::new([pure("one").build(), pure("two").requires("one").build()]);
    site.write("requirements.txt", "two\n")
        .write("app.py", "import two\n")
        .write("data/words.txt", "words ".repeat(1000));
    let layer = site.layer(&ALL, &Architecture::ALL).await.unwrap();
    assert_eq!(layer.assembled.shape, Shape::Shared);
    snapshot!("shared", layer.listing());
    assert_eq!(layer.assembled.copied, 2);
    let packages = layer.assembled.packages.iter();
    let packages: Vec<_> = packages
        .map(|it| (it.installed.name.as_str(), it.runtimes.len()))
        .collect();
    assert_eq!(packages, [("one", 3), ("two", 3)]);
    // It is the same layer for any of them.
    let one = site.layer(&["python3.14"], X86).await.unwrap();
    assert!(layer.zip == one.zip);
}

#[tokio::test]
async fn what_differs_is_there_for_each_runtime() {
    let site = Site::new(native().into_iter().chain([tool(), pure("one").build()]));
    site.write("requirements.txt", "tool\none ; python_version < '3.13'\n")
        .write("app.py", "import tool\n\ntool.main()\n");
    let layer = site.layer(&ALL, X86).await.unwrap();
    assert_eq!(layer.assembled.shape, Shape::PerRuntime);
    snapshot!("per_runtime", layer.listing());
    let packages = layer.assembled.packages.iter();
    let packages: Vec<_> = packages
        .map(|it| format!("{} {:?}", it.installed.wheel, it.runtimes))
        .collect();
    snapshot!("per_runtime_packages", packages.join("\n"));

    // Each tree is that of a layer for its runtime alone.
    for runtime in ALL {
        let alone = site.layer(&[runtime], X86).await.unwrap();
        assert_eq!(alone.assembled.shape, Shape::Shared);
        let folder = format!("python/lib/{runtime}/site-packages/");
        let tree: BTreeMap<_, _> = layer
            .files
            .iter()
            .filter_map(|(name, file)| Some((name.strip_prefix(&folder)?, file)))
            .collect();
        let alone: BTreeMap<_, _> = alone
            .files
            .iter()
            .filter(|(name, _)| *name != "python/app.py")
            .filter_map(|(name, file)| Some((name.strip_prefix("python/")?, file)))
            .collect();
        assert_eq!(tree, alone, "{runtime}");
    }
}

#[tokio::test]
async fn each_runtime_imports_its_own() {
    let site = Site::new(native().into_iter().chain([tool()]));
    site.write("requirements.txt", "tool\n")
        .write("app.py", "import tool\n\ntool.main()\n");
    let layer = site.layer(&ALL, X86).await.unwrap();
    let opt = layer.unpack();
    let here: Vec<_> = ALL
        .into_iter()
        .filter_map(|runtime| Some((runtime, python_of(runtime)?)))
        .collect();
    if here.is_empty() {
        untested("a layer for all runtimes is not imported by any of them");
    }
    for (runtime, python) in here {
        let minor = runtime.trim_start_matches("python3.");
        // As Lambda's runtime has it, in this order.
        let code = format!(
            "import sys; opt = sys.argv[1]; \
             sys.path[:0] = [opt + '/python/lib/python3.{minor}/site-packages', opt + '/python']; \
             import app; from importlib.metadata import files, version; \
             print(version('tool'), all(file.locate().exists() for file in files('tool')))"
        );
        let run = Command::new(python)
            .args(["-I", "-c", &code])
            .arg(opt.path())
            .output()
            .unwrap();
        let said = String::from_utf8(run.stdout).unwrap();
        let tree = opt
            .path()
            .join(format!("python/lib/python3.{minor}/site-packages"));
        let expected = format!(
            "(3, {minor}) {}\n2.0 True\n",
            tree.join("native/__init__.py").display()
        );
        let stderr = String::from_utf8_lossy(&run.stderr);
        assert_eq!(said, expected, "{}: {stderr}", python.display());
        // Its scripts find what is beside them, whatever is on `sys.path`.
        let run = Command::new(python)
            .arg("-I")
            .arg(tree.join("bin/tool"))
            .output()
            .unwrap();
        let said = String::from_utf8(run.stdout).unwrap();
        assert!(said.starts_with(&format!("(3, {minor}) ")), "{said}");
    }
}

#[tokio::test]
async fn the_same_content_gives_the_same_bytes() {
    let names = ["b.py", "a.py", "a/b.txt", "a-b.txt", "large.bin", "é.txt"];
    let content = |name: &str| match name {
        "large.bin" => (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect(),
        name => name.as_bytes().repeat(100),
    };
    let site = |order: &[&str]| {
        let site = Site::new(native());
        for name in order {
            site.write(name, content(name));
        }
        site.write("requirements.txt", "native\n");
        site.make_executable("b.py");
        site
    };
    let one = site(&names);
    let mut reversed = names;
    reversed.reverse();
    let other = site(&reversed);
    for name in names {
        let mode = if name == "b.py" { 0o755 } else { 0o600 };
        let path = other.path(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_hours(100_000);
        File::options()
            .append(true)
            .open(&path)
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
    }
    let first = one.layer(&ALL, X86).await.unwrap();
    let again = one.layer(&ALL, X86).await.unwrap();
    let elsewhere = other
        .layer(&["python3.14", "python3.13", "python3.12"], X86)
        .await;
    assert!(first.zip == again.zip);
    assert!(first.zip == elsewhere.unwrap().zip);
    for name in names {
        assert!(
            first.files[&format!("python/{name}")].1 == content(name),
            "{name}"
        );
    }
    // On any machine. Whatever changes it has to raise `ARCHIVE_FORMAT`, as with any other layer.
    let sha256 = first.assembled.written.sha256.to_string();
    assert_eq!(&sha256[..16], "5e93c59435f8a020");
}

#[tokio::test]
async fn hidden_files_at_the_top_are_left_out() {
    let site = Site::new([]);
    site.write(".env", "SECRET=1\n")
        .write(".git/config", "")
        .write(".hidden.py", "")
        .write("pkg/.keep", "")
        .write("pkg/requirements.txt", "this is copied\n")
        .write("pkg/__pycache__/x.pyc", "")
        .write("run.sh", "#!/bin/sh\n")
        .write("empty", "")
        .make_executable("run.sh");
    let layer = site.layer(&["python3.13"], &Architecture::ALL).await;
    snapshot!("hidden", layer.unwrap().listing());
}

#[tokio::test]
async fn files_that_are_installed_too() {
    let shared = pure("one")
        .file("one/data/x.txt", "x\n")
        .file("one_top.py", "top\n");
    let space = WheelForge::new("space-a", "1.0").file("space/a/__init__.py", "");
    let mut told = Vec::new();
    for (case, requirements, path, content) in [
        ("another content", "one", "one/__init__.py", "# mine\n"),
        ("a file for a folder", "one", "one/data", "# mine\n"),
        ("a folder for a file", "one", "one_top.py/x.py", "# mine\n"),
        ("at the top", "one", "one_top.py", "# mine\n"),
        (
            "into a tree",
            "one\nnative",
            "lib/python3.13/site-packages/one_top.py",
            "# mine\n",
        ),
        ("for a tree", "one\nnative", "lib/python3.13", "# mine\n"),
        (
            "where trees differ",
            "one\nnative",
            "one_top.py",
            "# mine\n",
        ),
        ("into a package", "native", "native/mine.py", "# mine\n"),
        (
            "around a package",
            "native\nspace-a",
            "space/__init__.py",
            "",
        ),
    ] {
        let wheels = [shared.build(), space.build()].into_iter().chain(native());
        let site = Site::new(wheels);
        site.write("requirements.txt", requirements)
            .write(path, content);
        let refused = refusal(&site, site.layer(&ALL, X86).await);
        told.push(format!("{case}\n    {refused}"));
    }
    snapshot!("conflicts", told.concat());

    // What is the same may be in both, and what is beside it may be there.
    for requirements in ["one\nspace-a", "one\nspace-a\nnative"] {
        let site = Site::new([shared.build(), space.build()].into_iter().chain(native()));
        site.write("requirements.txt", requirements)
            .write("one/__init__.py", "# one\n")
            .write("space/b/__init__.py", "");
        let layer = site.layer(&ALL, X86).await;
        if requirements.ends_with("native") {
            assert_eq!(layer.unwrap_err().code(), "PackageSplit");
            fs::remove_dir_all(site.path("one")).unwrap();
            let layer = site.layer(&ALL, X86).await.unwrap();
            assert!(layer.files.contains_key("python/space/b/__init__.py"));
        } else {
            assert_eq!(layer.unwrap().assembled.shape, Shape::Shared);
        }
    }
}

#[tokio::test]
async fn links_lead_to_files_of_the_folder() {
    let site = Site::new([]);
    site.write("pkg/a.py", "a\n").write(".shared/b.py", "b\n");
    symlink("a.py", site.path("pkg/link.py")).unwrap();
    symlink("pkg", site.path("other")).unwrap();
    symlink(site.path(".shared"), site.path("shared")).unwrap();
    let layer = site.layer(&["python3.13"], X86).await.unwrap();
    snapshot!("links", layer.listing());
    assert_eq!(layer.files["python/other/link.py"].1, b"a\n");
}

/// A name, and what is done to a folder.
type Case<'a> = (&'a str, &'a dyn Fn(&Site));

#[tokio::test]
async fn what_is_no_file_of_the_folder() {
    let mut told = Vec::new();
    let link = |site: &Site, to: &str| symlink(to, site.path("pkg/x")).unwrap();
    let cases: [Case; 8] = [
        ("outside", &|site| link(site, "/etc/hostname")),
        ("beside", &|site| link(site, "../../elsewhere")),
        ("nowhere", &|site| link(site, "gone")),
        ("itself", &|site| link(site, "x")),
        ("circle", &|site| link(site, "..")),
        ("socket", &|site| {
            drop(UnixListener::bind(site.path("pkg/x")).unwrap());
        }),
        ("name", &|site| {
            let name = std::ffi::OsStr::from_bytes(b"caf\xe9.py");
            fs::write(site.path("pkg").join(name), "").unwrap();
        }),
        ("control", &|site| {
            fs::write(site.path("pkg/a\nb"), "").unwrap();
        }),
    ];
    for (case, make) in cases {
        let site = Site::new([]);
        site.write("pkg/a.py", "").write("../elsewhere/x", "");
        make(&site);
        let refused = refusal(&site, site.layer(&["python3.13"], X86).await);
        told.push(format!("{case}\n    {refused}"));
    }
    let site = Site::new([]);
    fs::remove_dir(site.folder()).unwrap();
    let refused = refusal(&site, site.layer(&["python3.13"], X86).await);
    told.push(format!("missing\n    {refused}"));
    fs::write(site.folder(), "").unwrap();
    let refused = refusal(&site, site.layer(&["python3.13"], X86).await);
    told.push(format!("file\n    {refused}"));
    snapshot!("no_files", told.concat());
}

#[tokio::test]
async fn links_that_lead_to_ever_more() {
    let site = Site::new([]);
    site.write("a/b/c/d/e/file", "");
    // Each folder seems to have ten times what the next one has.
    for folder in ["a", "a/b", "a/b/c", "a/b/c/d"] {
        let inner = ["b", "c", "d", "e"][folder.matches('/').count()];
        for n in 0..20 {
            symlink(inner, site.path(folder).join(format!("link{n}"))).unwrap();
        }
    }
    let refused = refusal(&site, site.layer(&["python3.13"], X86).await);
    assert!(
        refused.contains("it comes after 100,000 others"),
        "{refused}"
    );
}

#[tokio::test]
async fn what_lambda_does_not_take() {
    let mut told = Vec::new();
    let sparse = |path: &Path, mib: u64| {
        let file = File::create(path).unwrap();
        file.set_len(mib << 20).unwrap();
    };
    let site = Site::new([]);
    site.write("small/a.py", "");
    sparse(&site.path("model.bin"), 200);
    sparse(&site.path("small/b.bin"), 51);
    told.push(refusal(&site, site.layer(&["python3.13"], X86).await));

    let site = Site::new(native());
    site.write("requirements.txt", "native\n");
    told.push(refusal(&site, site.layer(&ALL, &Architecture::ALL).await));
    snapshot!("refused", told.concat());
}
