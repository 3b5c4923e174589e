//! Golden values: bytes that users store and compare.
//!
//! Zips, digests, manifests, keys, names, notifications, normalised requests and statuses outlive the
//! version that wrote them. **A file in `golden/` never changes without a new format version**
//! (`ARCHIVE_FORMAT`, `ManifestVersion`, `ContentVersion`): a failure here means that the change under
//! test breaks deployments in the field. Add values for new features; never edit old ones.
//!
//! `GOLDEN_NEW=1` writes files that do not exist yet. The items of the tables are pinned the same way
//! by the tests of `accretion-aws`.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use accretion_core::digest::{Digest, Sha256};
use accretion_core::keys;
use accretion_core::layer::LayerName;
use accretion_core::manifest::{LayerManifest, Manifest};
use accretion_core::notification::{Event, LayerRef, Notification};
use accretion_core::request::{RequestId, RequestRef, Rollback};
use accretion_core::target::{Compatibility, LayerTarget, Target};
use accretion_core::tracking::Status;
use accretion_layer::content::ContentManifest;
use accretion_python::lock::{Locked, LockedFile, LockedPackage};
use accretion_python::request::Request;
use accretion_testing::forge::zip::Method;
use accretion_testing::forge::{Wheel, WheelForge};
use accretion_testing::index::PackageIndex;
use integration_tests::Project;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_accretion-under-test");

/// The short forms of the layer targets of these values. New runtimes do not change them.
const SLUGS: [&str; 12] = [
    "py310",
    "py311",
    "py312",
    "py313",
    "py314",
    "py310-arm64",
    "py311-arm64",
    "py312-arm64",
    "py313-arm64",
    "py314-arm64",
    "py",
    "py-arm64",
];

/// Holds a text against a file of `golden/`.
#[track_caller]
fn hold(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file);
    if std::env::var_os("GOLDEN_NEW").is_some() && !path.exists() {
        fs::write(&path, text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap();
    if golden == text {
        return;
    }
    let (mut golden, mut lines) = (golden.lines(), text.lines());
    for line in 1.. {
        let (before, now) = (golden.next(), lines.next());
        assert_eq!(
            before, now,
            "golden/{file}:{line}: a stored format has changed"
        );
        assert!(
            before.is_some(),
            "golden/{file}: only line ends have changed"
        );
    }
}

fn target(slug: &str) -> LayerTarget {
    LayerTarget::from_slug(slug).unwrap()
}

fn layer(slug: &str) -> Compatibility {
    let runtimes = match target(slug) {
        LayerTarget::One(target) => vec![target.runtime],
        LayerTarget::Merged(_) => {
            vec!["python3.12".parse().unwrap(), "python3.13".parse().unwrap()]
        }
    };
    Compatibility::new(target(slug), runtimes).unwrap()
}

fn request() -> RequestRef {
    RequestRef {
        received_at: "2026-11-20T10:00:00.123Z".parse().unwrap(),
        id: RequestId::of_object("inbox", "requests/data-tools/request.json", "v1"),
    }
}

/// A wheel whose bytes depend on no compressor.
fn stored(name: &str) -> WheelForge {
    WheelForge::new(name, "1.0").method(Method::Stored)
}

/// Wheels with scripts, data, entry points, a conflict, and one wheel for each of two runtimes.
fn wheels() -> Vec<Wheel> {
    let app = stored("Golden.App")
        .file("golden/__init__.py", "")
        .file("golden/é.txt", "é\n".repeat(30))
        .file("golden/core.pyi", "x: int\n")
        .file("golden/tests/test_core.py", "assert True\n")
        .file("shared.py", "one = 1\n".repeat(40))
        .executable("golden/run.sh", "#!/bin/sh\n")
        .data("scripts", "golden-tool", "#!python\nimport golden\n")
        .data("headers", "golden.h", "#pragma once\n")
        .data("data", "share/golden.txt", "data\n")
        .entry_point("console_scripts", "golden", "golden:main")
        .requires("golden-lib");
    let lib = stored("golden-lib").file("shared.py", "two = 2\n");
    let native = ["cp312", "cp313"].map(|python| {
        stored("golden-native")
            .tag(&format!("{python}-{python}-manylinux_2_17_aarch64"))
            .purelib(false)
            .file("golden_native.py", format!("BUILT = '{python}'\n"))
            .build()
    });
    [app.build(), lib.build()]
        .into_iter()
        .chain(native)
        .collect()
}

/// Builds one layer and says what must not change of it: its digest, its bytes, its manifest.
fn build(project: &Project, requirements: &str, options: &str, changes: &Value) -> String {
    let mut request = json!({
        "Name": "data-tools",
        "Language": "python",
        "Requirements": {"Type": "requirements.txt", "Requirements": requirements},
        "Runtimes": ["python3.13"],
        "Architectures": ["arm64"],
        "Description": "1.4.0",
    });
    for (field, value) in changes.as_object().unwrap() {
        request[field] = value.clone();
    }
    project.write("request.json", request.to_string());
    fs::remove_dir_all(project.layers()).unwrap_or_default();
    project
        .run(&format!("build request.json {options}"))
        .exits(0);
    let names = project.outputs();
    let name = names.iter().find_map(|it| it.strip_suffix(".zip")).unwrap();
    let mut manifest = project.manifest(name);
    manifest["Builder"] = json!({"Version": "[VERSION]", "BuiltAt": "[TIME]"});
    let zip = Sha256::of(&project.zip(name));
    let manifest = serde_json::to_string_pretty(&manifest).unwrap();
    format!("# {requirements} {options} {changes}\n{name}.zip {zip}\n{manifest}\n\n")
}

#[test]
fn layers_have_the_same_digests_bytes_and_manifests() {
    let index = PackageIndex::start(wheels());
    let project = Project::new(PROGRAM, &index);
    project
        .write("src/mine/__init__.py", "x = 1\n")
        .write("src/bin/tool", "#!/bin/sh\n");
    fs::set_permissions(
        project.path("src/bin/tool"),
        fs::Permissions::from_mode(0o700),
    )
    .unwrap();
    let both = ["python3.12", "python3.13"];
    let merged = json!({"Merge": true, "Runtimes": both});
    let pruned = json!({
        "Prune": ["*.pyi", "tests/", "none/"],
        "Include": ["golden/core.pyi"],
        "Exclude": ["golden-lib"],
    });
    let mut text = build(&project, "golden-app", "", &json!({}));
    let zip = project.zip("data-tools-py313-arm64");
    text += &build(&project, "golden-app", "", &pruned);
    text += &build(&project, "golden-app", "--include src", &json!({}));
    text += &build(&project, "golden-app", "", &merged);
    text += &build(
        &project,
        "golden-app\ngolden-native",
        "--include src",
        &merged,
    );
    hold("layers.txt", &text);

    // Publishing a layer writes its content manifest into it.
    let path = "python/.accretion/manifest.json";
    let manifest = Manifest::from_json(golden("artifact.manifest").as_bytes()).unwrap();
    let mut published = Vec::new();
    let content = ContentManifest::from(&manifest);
    content
        .embed("python/", &zip[..], zip.len() as u64, &mut published)
        .unwrap();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(&published)).unwrap();
    let embedded = archive.by_name(path).unwrap();
    let embedded = std::io::read_to_string(embedded).unwrap();
    let zip = Sha256::of(&published);
    hold("content.txt", &format!("{zip}\n{path}\n{embedded}"));
}

#[test]
fn digests_count_sources_instead_of_wheels() {
    let package = |name: &str, is_source: bool| {
        let file = LockedFile {
            url: "https://example.com/a".parse().unwrap(),
            sha256: Sha256::of(name.as_bytes()),
            size: None,
        };
        let locked = if is_source {
            let filename = format!("{name}-1.0.tar.gz");
            Locked::SourceDistribution { filename, file }
        } else {
            let filename = format!("{name}-1.0-py3-none-any.whl").parse().unwrap();
            Locked::Wheel { filename, file }
        };
        LockedPackage {
            name: name.parse().unwrap(),
            version: "1.0".into(),
            locked,
            yanked: None,
        }
    };
    let target = Target::from_slug("py313-arm64").unwrap();
    let mut text = String::new();
    for (case, packages) in [
        ("nothing", &[][..]),
        ("wheels", &[package("one", false), package("two", false)]),
        ("a source", &[package("one", false), package("two", true)]),
    ] {
        let components = packages.iter().map(LockedPackage::component);
        writeln!(text, "{case}: {}", Digest::of_layer(target, components)).unwrap();
    }
    hold("digests.txt", &text);
}

/// The text of a golden file.
fn golden(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn manifests_are_written_as_they_are_read() {
    for file in ["artifact.manifest", "merged.manifest", "minimal.manifest"] {
        let manifest = Manifest::from_json(golden(file).as_bytes()).unwrap();
        hold(file, &manifest.to_json());
    }
    let layer: LayerManifest = serde_json::from_str(&golden("layer_version.json")).unwrap();
    hold("layer_version.json", &layer.to_json());
}

#[test]
fn keys_and_names_stay() {
    let (project, id) = ("data-tools".parse().unwrap(), request().id);
    let (sha256, digest) = (Sha256::of(b"a"), Digest(Sha256::of(b"content")));
    let one = Target::from_slug("py313-arm64").unwrap();
    let lambda = "Any_layer".parse().unwrap();
    let mut lines = vec![
        keys::dropped_request(&project, "request.json"),
        keys::request(&id),
        keys::packed_files(sha256),
        keys::own_package(sha256),
        keys::artifact(&project, digest),
        keys::artifact_description(&project, digest),
        keys::lock(&project, digest),
        keys::resolution(&id, one),
        keys::source(sha256),
        keys::built_wheel(sha256, one),
        keys::upload(&lambda, sha256),
        RequestId::of_message("059f36b4-87a3-44ab-83d2-661975830a7d").to_string(),
    ];
    for target in SLUGS.map(target) {
        let layer = LayerName::new(&project, target);
        lines.extend([
            keys::layer_manifest(&layer, 12),
            layer.to_string(),
            keys::manifest(&project, &id, target),
            keys::latest_version_parameter("/accretion", &project, target),
            keys::execution(&id, target),
        ]);
    }
    hold("keys.txt", &(lines.join("\n") + "\n"));
}

#[test]
fn notifications_and_their_attributes_stay() {
    let full = Notification {
        layer: Some(LayerRef {
            arn: "arn:aws:lambda:eu-west-1:123456789012:layer:data-tools-py313-arm64".to_owned(),
            version: 12,
        }),
        ..serde_json::from_str(&golden("published.json")).unwrap()
    };
    hold("published.json", &(full.to_json() + "\n"));
    let of =
        |event, slug: &str| Notification::of_layer(event, &request(), "data-tools", &layer(slug));
    let mut failed = of(Event::BuildFailed, "py-arm64");
    failed.code = Some("PackageNotFound".to_owned());
    failed.reason = Some("golden was not found".to_owned());
    failed.hint = Some("check its name".to_owned());
    let reason = "error: the request can't be used".to_owned();
    let codes = vec!["NameInvalid".to_owned()];
    let mut text = String::new();
    for notification in [
        full,
        of(Event::LayerPublished, "py313"),
        of(Event::LayerUnchanged, "py312-arm64"),
        of(Event::LayerSuperseded, "py"),
        failed,
        Notification::rejected(&request().id, Some("data-tools".to_owned()), reason, codes),
        Notification::rejected(&request().id, None, String::new(), Vec::new()),
    ] {
        writeln!(text, "{}", notification.to_json()).unwrap();
        for (name, value) in notification.attributes() {
            let data_type = value.data_type();
            writeln!(text, "    {name} ({data_type}): {}", value.into_value()).unwrap();
        }
    }
    hold("notifications.txt", &text);
}

#[test]
fn requests_are_normalised_to_the_same_text() {
    let secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:index-AbCdEf";
    let code_artifact =
        "https://corp-123456789012.d.codeartifact.eu-west-1.amazonaws.com/pypi/all/simple/";
    let full = json!({
        "Name": "data-tools",
        "Language": "Python",
        "Requirements": {
            "Type": "requirements.txt",
            "Requirements": "Pandas >=2 # data\nattrs[tests]==25.4 ; python_version < '3.13'\n",
            "Constraints": "numpy<3\n",
        },
        "Runtimes": ["python3.13", "python3.12"],
        "Architectures": ["x86_64", "arm64"],
        "Description": "1.4.0",
        "LicenseInfo": "MIT",
        "Permissions": [
            {"Principal": "123456789012"},
            {"Principal": "*", "OrganizationId": "o-a1b2c3d4e5"},
            {"Principal": "*"},
        ],
        "Exclude": ["Six"],
        "ProvidedByRuntime": true,
        "Files": [{"Prefix": "files/shared/"}, {"Key": "files/models.zip"}],
        "Hidden": [".config/"],
        "AllowSecrets": ["mine/key.pem"],
        "Prune": ["tests/", "*.pyi"],
        "Include": ["mine/tests/"],
        "AllowSourceDistributions": true,
        "Indexes": [
            {"Name": "internal", "Url": "https://Index.Example.com/simple", "Packages": ["Corp_Lib"],
             "Credentials": {"SecretArn": secret}},
            {"Name": "artifacts", "Url": code_artifact,
             "Credentials": {"CodeArtifact": {"Domain": "corp"}}},
        ],
        "Merge": true,
    });
    let lock = json!({
        "Name": "data-tools",
        "Language": "python",
        "Requirements": {
            "Type": "pylock.toml",
            "Requirements": "lock-version = \"1.0\"\ncreated-by = \"hand\"\npackages = []\n",
        },
        "Runtimes": ["python3.13"],
        "Files": [{"Key": "files/models.zip"}],
    });
    let list = json!({
        "Name": "data-tools",
        "Language": "python",
        "Requirements": {"Type": "accretion", "Requirements": [{"Name": "six", "Details": "==1.17"}]},
        "Runtimes": ["python3.14"],
    });
    let mut text = String::new();
    for document in [full, lock, list] {
        let document = document.to_string();
        let (request, _) = Request::from_json("request.json", document.as_bytes()).unwrap();
        let normalised = request.to_json();
        let (again, _) = Request::from_json("request.json", normalised.as_bytes()).unwrap();
        assert_eq!(again.to_json(), normalised);
        text += &normalised;
    }
    let rollback = Rollback {
        layer: "data-tools-py313-arm64".parse().unwrap(),
        version: 3,
    };
    hold("requests.txt", &(text + &rollback.to_json() + "\n"));
}

#[test]
fn statuses_keep_their_names_and_ranks() {
    let mut text = String::new();
    for status in Status::ALL {
        writeln!(text, "{status} {}", status.rank()).unwrap();
    }
    hold("statuses.txt", &text);
}
