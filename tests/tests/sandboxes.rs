//! Builds with build sandboxes, over the ports of this machine: the orders of a builder that runs no
//! package's code, and its use of their results.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use accretion_core::Fault as _;
use accretion_core::digest::Sha256;
use accretion_core::keys;
use accretion_core::limits::Limits;
use accretion_core::request::RequestId;
use accretion_core::target::{Architecture, Target};
use accretion_layer::LayerZip;
use accretion_local::cache::{CacheFolder, WheelCache};
use accretion_local::output::OutputFolder;
use accretion_local::python::Interpreters;
use accretion_local::uv::{Settings, Uv};
use accretion_local::{Downloader, Sandboxes};
use accretion_python::lock;
use accretion_python::request::Request;
use accretion_service::Error;
use accretion_service::build::{Build, Built, Ports};
use accretion_service::ecosystem::Locating;
use accretion_service::ports::{Clock, Event, Handover, Order, PortError, Progress, SignedUrl};
use accretion_service::python::{PythonPackages, PythonPorts, SourceDistributions};
use accretion_testing::forge::{SdistForge, Wheel, WheelForge};
use accretion_testing::index::{Distribution, PackageIndex};
use integration_tests::{python, uv};
use serde_json::json;
use tempfile::TempDir;

struct Unwatched;

impl Progress for Unwatched {
    fn on(&self, _event: Event) {}
}

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}

/// A bucket in memory: file names and bytes by keys. A URL is a key.
#[derive(Default)]
struct Bucket(Mutex<BTreeMap<String, (String, Vec<u8>)>>);

impl Bucket {
    fn get(&self, key: &str) -> Option<(String, Vec<u8>)> {
        self.0.lock().unwrap().get(key).cloned()
    }

    /// Unless something is there.
    fn put(&self, key: &str, filename: &str, bytes: Vec<u8>) {
        let mut objects = self.0.lock().unwrap();
        objects
            .entry(key.to_owned())
            .or_insert((filename.to_owned(), bytes));
    }

    fn keys(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }
}

impl Handover for Bucket {
    async fn lock(&self, key: &str) -> Result<Option<Vec<u8>>, PortError> {
        Ok(self.get(key).map(|(_, bytes)| bytes))
    }

    async fn wheel(&self, key: &str, into: &mut File) -> Result<Option<String>, PortError> {
        Ok(self.get(key).map(|(filename, bytes)| {
            into.write_all(&bytes).unwrap();
            filename
        }))
    }

    async fn has(&self, key: &str) -> Result<bool, PortError> {
        Ok(self.get(key).is_some())
    }

    async fn leave_source(&self, key: &str, file: &Path, sha256: Sha256) -> Result<(), PortError> {
        let bytes = fs::read(file).unwrap();
        assert_eq!(Sha256::of(&bytes), sha256);
        self.put(key, "", bytes);
        Ok(())
    }

    async fn readable(&self, key: &str) -> Result<SignedUrl, PortError> {
        Ok(SignedUrl::new(key))
    }

    async fn writable(&self, key: &str) -> Result<SignedUrl, PortError> {
        Ok(SignedUrl::new(key))
    }
}

/// A builder that runs no code, a build sandbox that does, and what they share.
struct Site {
    root: TempDir,
    index: PackageIndex,
    bucket: Bucket,
}

impl Site {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            index: PackageIndex::start(Vec::<Wheel>::new()),
            bucket: Bucket::default(),
        }
    }

    fn uv(&self, name: &str) -> Arc<Uv> {
        Arc::new(Uv::new(Settings {
            program: Some(uv().to_owned()),
            path: Some("/usr/bin:/bin".into()),
            cache: self.root.path().join(name).join("uv"),
            index: Some(self.index.url().parse().unwrap()),
            interpreters: Interpreters::new(None, Some(python().path.clone())),
            ..Settings::default()
        }))
    }

    /// A build by one invocation of a separate builder, and its orders.
    async fn build(
        &self,
        builder: &str,
        request: &Request,
        id: &str,
    ) -> (Result<Built, Error>, Vec<Order>) {
        let id = RequestId::of_message(id);
        let cache = CacheFolder::new(self.root.path().join(builder));
        let index = self.index.url().parse().unwrap();
        let uv = self.uv(builder);
        let wheels = WheelCache::new(
            cache.path(),
            Arc::new(Downloader::new(Some(&index), false, Arc::new(Unwatched))),
            Arc::clone(&uv),
            Limits::default(),
            Arc::new(Unwatched),
        );
        let sandboxes = Sandboxes::new(id, &uv, &wheels, &self.bucket);
        let output = OutputFolder::new(self.root.path().join("layers").join(builder));
        let ports = PythonPorts {
            resolver: &sandboxes,
            wheels: &sandboxes,
        };
        let allowed = SourceDistributions::AsRequested;
        let packages = PythonPackages::new(request, allowed, ports, &Unwatched);
        let ports = Ports {
            artifacts: &output,
            clock: &SystemClock,
            progress: &Unwatched,
        };
        let packages = packages.expect("the request is one");
        let build = Build::new(request, packages, &LayerZip, ports);
        let outcome = Box::pin(build.target(own_target())).await;
        (outcome, sandboxes.orders())
    }

    /// The work of a build sandbox on an order.
    async fn fill(&self, order: &Order, request: &Request) {
        assert_eq!(order.output, SignedUrl::new(order.key.clone()));
        let uv = self.uv("sandbox");
        let Some(source) = &order.source else {
            let wheels = WheelCache::new(
                self.root.path(),
                Arc::new(Downloader::new(None, true, Arc::new(Unwatched))),
                Arc::clone(&uv),
                Limits::default(),
                Arc::new(Unwatched),
            );
            let target = order.target();
            let ports = PythonPorts {
                resolver: &*uv,
                wheels: &wheels,
            };
            let allowed = SourceDistributions::AsRequested;
            let packages = PythonPackages::new(request, allowed, ports, &Unwatched).unwrap();
            let text = lock::write(&[(
                target,
                &packages.candidates(target, Locating::Anew).await.unwrap(),
            )]);
            return self.bucket.put(&order.key, "pylock.toml", text.into());
        };
        let work = tempfile::tempdir().unwrap();
        let path = work.path().join(&source.filename);
        let (_, bytes) = self.bucket.get(order.input.secret()).unwrap();
        fs::write(&path, bytes).unwrap();
        let into = work.path().join("wheel");
        let wheel = uv.build(&path, order.target(), &into).await.unwrap();
        let name = wheel.file_name().unwrap().to_str().unwrap();
        self.bucket.put(&order.key, name, fs::read(&wheel).unwrap());
    }
}

fn own_target() -> Target {
    Target {
        runtime: python().runtime.parse().unwrap(),
        architecture: match std::env::consts::ARCH {
            "aarch64" => "arm64".parse().unwrap(),
            architecture => architecture.parse().unwrap(),
        },
    }
}

fn request(kind: &str, requirements: &str) -> Request {
    let text = json!({
        "Name": "tools",
        "Language": "python",
        "Requirements": {"Type": kind, "Requirements": requirements},
        "AllowSourceDistributions": true,
    });
    let (request, _) = Request::from_json("request.json", text.to_string().as_bytes()).unwrap();
    request
}

fn pure(name: &str) -> WheelForge {
    WheelForge::new(name, "1.0").file(&format!("{name}/__init__.py"), format!("# {name}\n"))
}

fn built_from(built: &Built) -> Vec<Option<&str>> {
    let installed = built.manifest.installed.iter();
    installed.map(|it| it.built_from.as_deref()).collect()
}

#[tokio::test]
async fn the_lock_is_ordered_first_then_all_wheels_at_once_and_then_there_is_a_layer() {
    let site = Site::new();
    let canary = site.root.path().join("canary");
    let mut sources = Vec::new();
    for name in ["one", "two"] {
        let forge = SdistForge::new(name, "1.0").canary(&canary);
        let source = forge.builds(&pure(name).build()).build();
        site.index.add(&source);
        sources.push(source.sha256.parse::<Sha256>().unwrap());
    }
    site.index.add(pure("three").build());
    let request = request("requirements.txt", "one\ntwo\nthree\n");

    let (built, orders) = site.build("first", &request, "1").await;
    assert_eq!(built.unwrap_err().code(), "SandboxResultsPending");
    let id = RequestId::of_message("1");
    let [order] = &orders[..] else {
        panic!("{orders:?}");
    };
    assert_eq!(order.key, keys::resolution(&id, own_target()));
    assert_eq!(order.input, SignedUrl::new(keys::request(&id)));
    assert_eq!(order.source, None);
    assert!(!canary.exists());
    site.fill(order, &request).await;
    fs::remove_file(&canary).unwrap();

    let (built, orders) = site.build("first", &request, "1").await;
    assert_eq!(built.unwrap_err().code(), "SandboxResultsPending");
    let ordered: Vec<_> = orders.iter().map(|order| order.key.clone()).collect();
    let wheels = sources
        .iter()
        .map(|source| keys::built_wheel(*source, own_target()));
    assert_eq!(ordered, wheels.collect::<Vec<_>>());
    assert!(!canary.exists());
    for order in &orders {
        site.fill(order, &request).await;
    }
    let run = fs::read_to_string(&canary).unwrap();

    let (built, orders) = site.build("first", &request, "1").await;
    let built = built.unwrap();
    assert_eq!(orders, []);
    assert_eq!(
        built_from(&built),
        [Some("one-1.0.tar.gz"), None, Some("two-1.0.tar.gz")]
    );
    assert_eq!(fs::read_to_string(&canary).unwrap(), run);

    // Another builder takes what the build sandboxes have left.
    let (again, orders) = site.build("second", &request, "1").await;
    assert_eq!(orders, []);
    assert_eq!(again.unwrap().manifest.digest, built.manifest.digest);
    assert_eq!(fs::read_to_string(&canary).unwrap(), run);
    assert_eq!(site.bucket.keys().len(), 5);
}

#[tokio::test]
async fn a_locked_source_needs_no_lock_and_what_needs_no_source_orders_nothing() {
    let site = Site::new();
    let source = SdistForge::new("source", "1.0").builds(&pure("source").build());
    let source = source.build();
    site.index.add(&source);
    let lock = |sha256: &str| {
        let url = site.index.file_url(&source.filename);
        request(
            "pylock.toml",
            &format!(
                "lock-version = \"1.0\"\ncreated-by = \"test\"\n\n[[packages]]\nname = \"source\"\n\
                 version = \"1.0\"\nsdist = {{ url = \"{url}\", hashes = {{ sha256 = \"{sha256}\" }} }}\n"
            ),
        )
    };
    let request = lock(&source.sha256);
    let (built, orders) = site.build("first", &request, "1").await;
    assert_eq!(built.unwrap_err().code(), "SandboxResultsPending");
    assert_eq!(orders.len(), 1);
    site.fill(&orders[0], &request).await;
    let (built, _) = site.build("first", &request, "1").await;
    assert_eq!(built_from(&built.unwrap()), [Some("source-1.0.tar.gz")]);

    // No other file is stored for a build sandbox under its name.
    let (built, orders) = site.build("first", &lock(&"0".repeat(64)), "2").await;
    assert_eq!(built.unwrap_err().code(), "HashMismatch");
    assert_eq!(orders, []);
    assert_eq!(site.bucket.get(&keys::source(Sha256([0; 32]))), None);
}

/// Locating the files of a lock without URLs may run a package's code, too.
#[tokio::test]
async fn files_of_locked_versions_are_located_by_a_sandbox() {
    let site = Site::new();
    let canary = site.root.path().join("canary");
    let source = SdistForge::new("source", "1.0").canary(&canary);
    let source = source.builds(&pure("source").build()).build();
    site.index.add(&source);
    let wheel = pure("wheel").build();
    site.index.add(&wheel);
    let pin = |sha256: &str| json!({"version": "==1.0", "hashes": [format!("sha256:{sha256}")]});
    let lock = json!({
        "_meta": {"hash": {"sha256": "0"}, "pipfile-spec": 6, "requires": {}, "sources": []},
        "default": {"source": pin(&source.sha256), "wheel": pin(&wheel.sha256)},
        "develop": {},
    });
    let request = request("Pipfile.lock", &lock.to_string());
    let (built, orders) = site.build("first", &request, "1").await;
    assert_eq!(built.unwrap_err().code(), "SandboxResultsPending");
    assert!(!canary.exists());
    assert_eq!(orders.len(), 1);
    site.fill(&orders[0], &request).await;
    let _ = fs::remove_file(&canary);
    let (built, orders) = site.build("first", &request, "1").await;
    assert_eq!(built.unwrap_err().code(), "SandboxResultsPending");
    assert_eq!(orders.len(), 1);
    assert!(!canary.exists());
    site.fill(&orders[0], &request).await;
    let (built, orders) = site.build("first", &request, "1").await;
    assert_eq!(orders, []);
    assert_eq!(
        built_from(&built.unwrap()),
        [Some("source-1.0.tar.gz"), None]
    );
}

/// The result of a build sandbox may be anything.
#[tokio::test]
async fn what_a_sandbox_left_is_read_as_anything_of_strangers() {
    let wrong_name = pure("other").build();
    let cut_off = pure("source").build();
    let foreign = pure("source").tag("cp38-cp38-win_amd64").build();
    for (filename, bytes, code) in [
        (
            wrong_name.filename.as_str(),
            wrong_name.bytes.clone(),
            "WheelInvalid",
        ),
        (&*foreign.filename, foreign.bytes, "WheelInvalid"),
        (
            &*cut_off.filename,
            cut_off.bytes[..99].to_vec(),
            "WheelInvalid",
        ),
        (
            "../../source-1.0-py3-none-any.whl",
            cut_off.bytes.clone(),
            "WheelInvalid",
        ),
        ("", Vec::new(), "WheelInvalid"),
    ] {
        let site = Site::new();
        let source = SdistForge::new("source", "1.0").static_metadata();
        let source = source.builds(&cut_off).build();
        site.index.add(&source);
        let request = request("requirements.txt", "source");
        let (_, orders) = site.build("first", &request, "1").await;
        site.fill(&orders[0], &request).await;
        let key = keys::built_wheel(source.sha256.parse().unwrap(), own_target());
        site.bucket.put(&key, filename, bytes);
        let (built, orders) = site.build("first", &request, "1").await;
        let error = built.unwrap_err();
        assert_eq!(error.code(), code, "{filename}: {error}");
        assert_eq!(orders, [], "{filename}");
    }
    for lock in [
        "",
        "lock-version = \"9\"",
        "\0\u{feff}",
        "[[packages]]\nname = 1",
    ] {
        let site = Site::new();
        let request = request("requirements.txt", "source");
        let key = keys::resolution(&RequestId::of_message("1"), own_target());
        site.bucket.put(&key, "pylock.toml", lock.into());
        let (built, orders) = site.build("first", &request, "1").await;
        assert_eq!(built.unwrap_err().code(), "LockInvalid", "{lock}");
        assert_eq!(orders, []);
    }
}

#[tokio::test]
async fn what_is_yanked_is_told_of_what_a_sandbox_resolved() {
    let site = Site::new();
    let yanked = Distribution::from(pure("one").build()).yanked("it breaks");
    site.index.add(yanked);
    let request = request("requirements.txt", "one==1.0\n");
    let (_, orders) = site.build("first", &request, "1").await;
    site.fill(&orders[0], &request).await;
    let (built, _) = site.build("first", &request, "1").await;
    let built = built.unwrap();
    assert_eq!(built.warnings, ["one 1.0 is yanked: it breaks"]);
    let installed = &built.manifest.installed[0];
    assert_eq!(installed.yanked.as_deref(), Some("it breaks"));
}

/// A build sandbox that does not run on its target's architecture leaves what is pure, and nothing else.
#[tokio::test]
async fn a_sandbox_of_the_other_architecture_will_do_for_what_is_pure() {
    let site = Site::new();
    let own = own_target();
    let mut all = Architecture::ALL.into_iter();
    let other = all.find(|it| *it != own.architecture);
    let target = Target {
        architecture: other.unwrap(),
        ..own
    };
    let machine = own.architecture.machine();
    let mut elf = b"\x7fELF".to_vec();
    elf.resize(18, 0);
    elf.extend([if machine == "x86_64" { 62 } else { 183 }, 0]);
    let foreign = Some("ArchitectureForeign");
    for (wheel, expected) in [
        (pure("one"), None),
        (pure("one").tag("py2.py3-none-any"), None),
        (pure("one").file("one/data.bin", "\u{7f}ELF"), None),
        (
            pure("one").tag(&format!("py3-none-linux_{machine}")),
            foreign,
        ),
        (pure("one").file("one/native.so", elf), foreign),
    ] {
        let work = tempfile::tempdir().unwrap();
        let source = SdistForge::new("one", "1.0").builds(&wheel.build()).build();
        let path = work.path().join(&source.filename);
        fs::write(&path, &source.bytes).unwrap();
        let uv = site.uv("sandbox");
        let built = uv.build(&path, target, &work.path().join("wheel")).await;
        assert_eq!(built.err().map(|error| error.code()), expected);
        let built = uv.build(&path, own, &work.path().join("own")).await;
        assert!(built.is_ok());
    }
}
