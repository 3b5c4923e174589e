//! The use case *build* over the ports of this machine, as a function of the pipeline runs it: under
//! a lease of its cache, with nothing from where it may not come, nothing that costs more than its
//! limits, and nothing built from source unless the operator says so.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use accretion_core::limits::{Limits, ResolutionLimits};
use accretion_core::target::Target;
use accretion_core::{Class, Fault as _};
use accretion_egress::{Indexes, NamedIndex};
use accretion_layer::LayerZip;
use accretion_local::Downloader;
use accretion_local::cache::{Budget, CacheFolder, WheelCache};
use accretion_local::output::OutputFolder;
use accretion_local::python::Interpreters;
use accretion_local::uv::{Guard, Settings, Uv};
use accretion_python::index::Credentials;
use accretion_python::request::{Request, read_indexes};
use accretion_service::Error;
use accretion_service::build::{Build, Built, Ports};
use accretion_service::ports::{Clock, Event, Progress};
use accretion_service::python::{PythonPackages, PythonPorts, SourceDistributions};
use accretion_testing::forge::{Part, Sdist, SdistForge, Wheel, WheelForge};
use accretion_testing::index::{Fault, PackageIndex};
use integration_tests::{names, python, snapshot, uv};
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

/// A function's folder, and what it keeps from one invocation to the next.
struct Builder {
    root: TempDir,
    cache: CacheFolder,
    uv: Arc<Uv>,
    downloader: Arc<Downloader>,
}

impl Builder {
    fn new(index: &PackageIndex) -> Self {
        Self::with(index, Guard::default())
    }

    /// One that is guarded otherwise than by default.
    fn with(index: &PackageIndex, guard: Guard) -> Self {
        let root = tempfile::tempdir().unwrap();
        let cache = CacheFolder::new(root.path().join("cache"));
        let index = index.url().parse().unwrap();
        let downloader = Downloader::new(Some(&index), false, Arc::new(Unwatched));
        let uv = Uv::new(Settings {
            program: Some(uv().to_owned()),
            path: Some("/usr/bin:/bin".into()),
            cache: cache.uv(),
            index: Some(index),
            interpreters: Interpreters::new(None, Some(python().path.clone())),
            guard: Some(guard.clone()),
            ..Settings::default()
        });
        Self {
            root,
            cache,
            uv: Arc::new(uv),
            downloader: Arc::new(downloader.refusing_local_addresses().allowing(guard.hosts)),
        }
    }

    fn canary(&self) -> PathBuf {
        self.root.path().join("canary")
    }

    /// Builds the layer of one target, as one invocation does.
    async fn build(
        &self,
        request: &Request,
        source_distributions: SourceDistributions,
    ) -> Result<Built, Error> {
        let _lease = self.cache.lease().await.unwrap();
        let wheels = WheelCache::new(
            self.cache.path(),
            Arc::clone(&self.downloader),
            Arc::clone(&self.uv),
            Limits::default(),
            Arc::new(Unwatched),
        );
        let output = OutputFolder::new(self.root.path().join("layers"));
        let ports = PythonPorts {
            resolver: &*self.uv,
            wheels: &wheels,
        };
        let packages = PythonPackages::new(request, source_distributions, ports, &Unwatched)?;
        let ports = Ports {
            artifacts: &output,
            clock: &SystemClock,
            progress: &Unwatched,
        };
        let build = Build::new(request, packages, &LayerZip, ports);
        build.target(own_target()).await
    }
}

/// The target whose sources this machine could build.
fn own_target() -> Target {
    Target {
        runtime: python().runtime.parse().unwrap(),
        architecture: match std::env::consts::ARCH {
            "aarch64" => "arm64".parse().unwrap(),
            architecture => architecture.parse().unwrap(),
        },
    }
}

fn request(kind: &str, requirements: &str, allow_source_distributions: bool) -> Request {
    let text = json!({
        "Name": "tools",
        "Language": "python",
        "Requirements": {"Type": kind, "Requirements": requirements},
        "AllowSourceDistributions": allow_source_distributions,
    });
    let (request, _) = Request::from_json("request.json", text.to_string().as_bytes()).unwrap();
    request
}

fn pure(name: &str) -> WheelForge {
    WheelForge::new(name, "1.0").file(&format!("{name}/__init__.py"), format!("# {name}\n"))
}

/// A source distribution of version 1.0 that could be built, and leaves a mark when it is.
fn source(name: &str, canary: &Path) -> SdistForge {
    SdistForge::new(name, "1.0")
        .canary(canary)
        .builds(&pure(name).build())
}

/// An error as a person reads it, without what differs between machines.
fn told(error: &Error) -> String {
    let hint = error.hint().unwrap_or_default();
    let text = format!(
        "{} ({}): {error}\nhint: {hint}",
        error.code(),
        error.class()
    );
    let minor = python().runtime.replace("python3.", "");
    text.replace(&own_target().to_string(), "[TARGET]")
        .replace(&format!("cp3{minor}"), "[CPYTHON]")
}

#[tokio::test]
async fn nothing_is_built_from_source_whatever_the_request_allows() {
    let index = PackageIndex::start(Vec::<Wheel>::new());
    let builder = Builder::new(&index);
    let canary = builder.canary();
    let located = source("located", &canary).build();
    let settled = source("settled", &canary).static_metadata().build();
    for sdist in [
        source("source", &canary).build(),
        source("static", &canary).static_metadata().build(),
        SdistForge::new("legacy", "1.0")
            .setup_py(&format!("open({}, 'a').write('x')\n", json!(canary)))
            .build(),
        located.clone(),
        settled.clone(),
    ] {
        index.add(sdist);
    }
    index.add(pure("needs").requires("source").build());
    let by_url = |sdist: &Sdist| index.file_url(&sdist.filename);
    for (name, requirements, package) in [
        ("source", "source".to_owned(), "source"),
        ("static", "static==1.0".to_owned(), "static"),
        ("legacy", "legacy".to_owned(), "legacy"),
        ("needs", "needs".to_owned(), "source"),
        ("url", format!("located @ {}", by_url(&located)), "located"),
        (
            "url_static",
            format!("settled @ {}", by_url(&settled)),
            "settled",
        ),
    ] {
        let request = request("requirements.txt", &requirements, true);
        let built = builder.build(&request, SourceDistributions::Never).await;
        let error = built.unwrap_err();
        assert_eq!(error.code(), "SourceDistributionUnsupported", "{error}");
        assert_eq!(error.class(), Class::User);
        assert!(error.to_string().contains(package), "{error}");
        assert!(error.hint().unwrap().contains("`accretion` command"));
        snapshot!(name, told(&error));
    }
    assert!(!canary.exists());
    assert_eq!(names(&builder.root.path().join("layers")), [""; 0]);
}

#[tokio::test]
async fn a_locked_source_is_not_built_either() {
    let index = PackageIndex::start(Vec::<Wheel>::new());
    let builder = Builder::new(&index);
    let sdist = source("source", &builder.canary()).build();
    index.add(&sdist);
    let (url, sha256) = (index.file_url(&sdist.filename), &sdist.sha256);
    let lock = format!(
        "lock-version = \"1.0\"\ncreated-by = \"test\"\n\n[[packages]]\nname = \"source\"\n\
         version = \"1.0\"\nsdist = {{ url = \"{url}\", hashes = {{ sha256 = \"{sha256}\" }} }}\n"
    );
    let request = request("pylock.toml", &lock, true);
    let built = builder.build(&request, SourceDistributions::Never).await;
    snapshot!(told(&built.unwrap_err()));
    assert!(!builder.canary().exists());
    assert_eq!(index.requests(), []);
}

#[tokio::test]
async fn without_a_word_of_sources_a_missing_wheel_is_just_that() {
    let index = PackageIndex::start(Vec::<Wheel>::new());
    let builder = Builder::new(&index);
    index.add(source("source", &builder.canary()).build());
    let windows = WheelForge::new("win", "1.0").tag("cp313-cp313-win_amd64");
    index.add(windows.build());
    let locked = |sha256: &str, url: &str| {
        format!(
            "lock-version = \"1.0\"\ncreated-by = \"test\"\n\n[[packages]]\nname = \"win\"\n\
             version = \"1.0\"\nwheels = [{{ url = \"{url}\", hashes = {{ sha256 = \"{sha256}\" }} }}]\n"
        )
    };
    let windows = windows.build();
    let lock = locked(&windows.sha256, &index.file_url(&windows.filename));
    for request in [
        // The request allows none.
        request("requirements.txt", "source", false),
        // It may allow them: there is none.
        request("pylock.toml", &lock, true),
    ] {
        let built = builder.build(&request, SourceDistributions::Never).await;
        assert_eq!(built.unwrap_err().code(), "WheelNotFound");
    }
    // Other errors stay what they are.
    let request = request("requirements.txt", "nowhere", true);
    let built = builder.build(&request, SourceDistributions::Never).await;
    assert_eq!(built.unwrap_err().code(), "PackageNotFound");
    assert!(!builder.canary().exists());
}

#[tokio::test]
async fn what_a_request_allows_is_built_where_the_builder_does_so() {
    let index = PackageIndex::start(Vec::<Wheel>::new());
    let builder = Builder::new(&index);
    index.add(source("source", &builder.canary()).build());
    let request = request("requirements.txt", "source", true);
    let built = builder.build(&request, SourceDistributions::AsRequested);
    let built = built.await.unwrap();
    assert!(built.manifest.installed[0].built_from.is_some());
    assert!(builder.canary().exists());
}

#[tokio::test]
async fn invocations_share_what_is_not_pruned_between_them() {
    let (a, b) = (pure("a").build(), pure("b").build());
    let index = PackageIndex::start([&a, &b]);
    let builder = Builder::new(&index);
    let newer = SdistForge::new("a", "2.0").canary(&builder.canary());
    index.add(newer.build());
    let build = async |requirements: &str| {
        let request = request("requirements.txt", requirements, true);
        let built = builder.build(&request, SourceDistributions::Never);
        built.await.unwrap().manifest
    };
    let first = build("a\nb").await;
    // The newest version that has a wheel.
    assert_eq!(first.installed[0].version, "1.0");
    assert_eq!(build("a").await.installed.len(), 1);
    assert_eq!((index.count(&a.filename), index.count(&b.filename)), (1, 1));

    let pruned = builder.cache.prune(Budget { bytes: 0 }).await.unwrap();
    let pruned = pruned.expect("no invocation is under way");
    assert_eq!((pruned.wheels, pruned.uv, pruned.left), (2, true, 0));
    let again = build("a\nb").await;
    assert_eq!(again.artifact_sha256, first.artifact_sha256);
    assert_eq!((index.count(&a.filename), index.count(&b.filename)), (2, 2));
    assert!(!builder.canary().exists());
}

/// Checks where a requirement, or a redirect of the index, leads the resolver.
#[tokio::test]
async fn the_resolver_reaches_nothing_that_is_not_allowed() {
    let (a, b) = (pure("a").build(), pure("b").build());
    let index = PackageIndex::start([&a]);
    let elsewhere = PackageIndex::start([&a, &b]);
    let by_name = elsewhere.url().replace("127.0.0.1", "localhost");
    let encrypted = elsewhere.url().replace("http:", "https:");
    let guard = || Guard {
        hosts: "allowed.invalid, localhost, 169.254.169.254"
            .parse()
            .unwrap(),
        ..Guard::default()
    };
    let refused = async |requirements: String| {
        let builder = Builder::with(&index, guard());
        let request = request("requirements.txt", &requirements, false);
        let built = builder.build(&request, SourceDistributions::Never).await;
        built.unwrap_err().code()
    };
    let wheel = "b-1.0-py3-none-any.whl";
    for (url, code) in [
        (elsewhere.file_url(wheel), "LocalAddressRefused"),
        (by_name + wheel, "LocalAddressRefused"),
        (encrypted.clone() + wheel, "LocalAddressRefused"),
        (
            format!("https://2130706433:8443/{wheel}"),
            "LocalAddressRefused",
        ),
        (format!("https://[::1]:8443/{wheel}"), "LocalAddressRefused"),
        (
            format!("https://169.254.169.254/latest/{wheel}"),
            "LocalAddressRefused",
        ),
        (format!("https://example.com/{wheel}"), "HostNotAllowed"),
        (
            format!("https://allowed.invalid.example.com/{wheel}"),
            "HostNotAllowed",
        ),
    ] {
        assert_eq!(refused(format!("b @ {url}")).await, code, "{url}");
    }
    // The index that was chosen leads somewhere else.
    for (file, to, code) in [
        ("/simple/a/", elsewhere.url() + "a/", "LocalAddressRefused"),
        ("/simple/a/", encrypted + "a/", "LocalAddressRefused"),
        (
            "/simple/a/",
            "https://169.254.169.254/latest/meta-data/".to_owned(),
            "LocalAddressRefused",
        ),
        (
            "/simple/a/",
            "https://example.com/simple/a/".to_owned(),
            "HostNotAllowed",
        ),
        (
            "a-1.0-py3-none-any.whl.metadata",
            elsewhere.url(),
            "LocalAddressRefused",
        ),
    ] {
        index.fault(file, Fault::Redirect(to.clone()));
        assert_eq!(refused("a".to_owned()).await, code, "{to}");
        index.heal(file);
    }
    assert_eq!(elsewhere.requests(), []);
}

/// Checks that the code that asks indexes on behalf of uv follows the same rules.
#[tokio::test]
async fn private_indexes_lead_to_nothing_that_is_not_allowed() {
    let a = pure("a").build();
    let index = PackageIndex::start([&a]);
    let elsewhere = PackageIndex::start([&a]);
    let encrypted = elsewhere.url().replace("http:", "https:");
    let refused = async |url: &str| {
        let guard = Guard {
            hosts: "allowed.invalid, localhost".parse().unwrap(),
            ..Guard::default()
        };
        let mut builder = Builder::with(&index, guard);
        let indexes = format!(r#"[{{"Name": "x", "Url": "{url}", "Packages": ["a"]}}]"#);
        let (indexes, _) = read_indexes("Indexes", &indexes).unwrap();
        let named = indexes.into_iter().map(|index| NamedIndex {
            index,
            credentials: Some(Credentials::new("user", "password")),
        });
        let indexes = Arc::new(Indexes {
            named: named.collect(),
            ..Indexes::default()
        });
        builder.uv = Arc::new(builder.uv.using(Arc::clone(&indexes)));
        builder.downloader = Arc::new(builder.downloader.using(indexes));
        let request = request("requirements.txt", "a", false);
        let built = builder.build(&request, SourceDistributions::Never).await;
        built.map_or_else(|error| error.code(), |_| "built")
    };
    assert_eq!(refused(&index.url()).await, "built");
    for (url, code) in [
        (elsewhere.url(), "LocalAddressRefused"),
        (
            elsewhere.url().replace("127.0.0.1", "localhost"),
            "LocalAddressRefused",
        ),
        (encrypted.clone(), "LocalAddressRefused"),
        (
            "https://169.254.169.254/latest/".to_owned(),
            "LocalAddressRefused",
        ),
        ("https://example.com/simple/".to_owned(), "HostNotAllowed"),
    ] {
        assert_eq!(refused(&url).await, code, "{url}");
    }
    for (file, to, code) in [
        ("/simple/a/", elsewhere.url() + "a/", "LocalAddressRefused"),
        ("/simple/a/", encrypted + "a/", "LocalAddressRefused"),
        (
            "/simple/a/",
            "https://example.com/simple/a/".to_owned(),
            "HostNotAllowed",
        ),
        (
            "a-1.0-py3-none-any.whl.metadata",
            elsewhere.url(),
            "LocalAddressRefused",
        ),
    ] {
        index.fault(file, Fault::Redirect(to.clone()));
        assert_eq!(refused(&index.url()).await, code, "{to}");
        index.heal(file);
    }
    assert_eq!(elsewhere.requests(), []);

    // What ends a build of one index ends it here, too.
    index.fault("/simple/a/", Fault::Endless);
    assert_eq!(refused(&index.url()).await, "UpstreamUnavailable");
    index.fault("/simple/a/", Fault::Status(500));
    assert_eq!(refused(&index.url()).await, "UpstreamUnavailable");
}

#[tokio::test]
async fn what_costs_too_much_to_resolve_is_ended() {
    const MIB: u64 = 1 << 20;

    let large = WheelForge::new("large", "1.0")
        .metadata(Part::Content(
            format!(
                "Metadata-Version: 2.1\nName: large\nVersion: 1.0\n\n{}",
                "x".repeat(8 << 20)
            )
            .into(),
        ))
        .build();
    let big = WheelForge::new("big", "1.0")
        .file("big.bin", vec![7; 8 << 20])
        .build();
    let index = PackageIndex::start([&pure("a").build(), &large, &big]);
    let told = async |requirements: &str, limits: ResolutionLimits| {
        let guard = Guard {
            limits,
            ..Guard::default()
        };
        let builder = Builder::with(&index, guard);
        let request = request("requirements.txt", requirements, false);
        let error = builder
            .build(&request, SourceDistributions::Never)
            .await
            .unwrap_err();
        assert_eq!(error.code(), "ResolutionOverLimit", "{limits:?}: {error}");
        error.to_string()
    };
    let limits = ResolutionLimits::default();
    let costs = "the requirements cost too much to resolve:";

    index.fault("/simple/a/", Fault::Stall);
    let time = std::time::Duration::from_secs(2);
    let slow = told("a", ResolutionLimits { time, ..limits }).await;
    assert_eq!(slow, format!("{costs} it took more than 2 seconds"));
    index.heal("/simple/a/");

    let read = told(
        "large",
        ResolutionLimits {
            traffic: MIB,
            ..limits
        },
    )
    .await;
    assert_eq!(read, format!("{costs} it read more than 1048576 bytes"));

    let grown = told(
        "large",
        ResolutionLimits {
            memory: 4 * MIB,
            ..limits
        },
    )
    .await;
    assert_eq!(
        grown,
        format!("{costs} it took more than 4194304 bytes of memory")
    );

    index.fault("/simple/a/", Fault::Stall);
    let free = ResolutionLimits {
        free: u64::MAX,
        ..limits
    };
    assert_eq!(
        told("a", free).await,
        format!(
            "{costs} it left less than {} bytes free of the disk",
            u64::MAX
        )
    );
    // uv keeps what a URL leads to.
    let url = format!("big @ {}", index.file_url(&big.filename));
    let file = ResolutionLimits {
        file: MIB,
        ..limits
    };
    let written = told(&url, file).await;
    assert_eq!(
        written,
        format!("{costs} it wrote a file of more than 1048576 bytes")
    );
}
