//! The package index, tried with a plain socket and with the real uv.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use accretion_testing::forge::{SdistForge, Wheel, WheelForge};
use accretion_testing::index::{Distribution, Fault, PackageIndex};

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

/// Sends one request and reads until the server closes; an answer without a status line is none.
fn get(url: &str, headers: &str) -> Option<Answer> {
    request("GET", url, headers, Duration::from_secs(10))
}

fn request(method: &str, url: &str, headers: &str, patience: Duration) -> Option<Answer> {
    let (host, path) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n"
    )
    .unwrap();
    let mut bytes = Vec::new();
    // What was read before an error stays.
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec())
        .unwrap()
        .to_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        head,
        body: bytes[end + 4..].to_vec(),
    })
}

fn demo() -> Wheel {
    WheelForge::new("Demo.Pkg", "1.0")
        .file("demo_pkg/__init__.py", "answer = 42\n")
        .requires("dep>=1")
        .requires_python(">=3.8")
        .build()
}

fn dep() -> Wheel {
    WheelForge::new("dep", "1.5").file("dep.py", "").build()
}

const JSON: &str = "Accept: application/vnd.pypi.simple.v1+json, text/html;q=0.01\r\n";

/// A page of the index, without what depends on the compressor.
fn page(index: &PackageIndex, path: &str, headers: &str, kind: &str) -> String {
    let answer = get(&format!("{}{path}", index.url()), headers).unwrap();
    assert!(
        answer.head.contains(&format!("content-type: {kind}")),
        "{}",
        answer.head
    );
    let text = String::from_utf8(answer.body).unwrap();
    text.replace(&demo().sha256, "[sha256]").replace(
        &format!("\"size\":{}", demo().bytes.len()),
        "\"size\":\"[size]\"",
    )
}

fn three_files() -> PackageIndex {
    let sdist = SdistForge::new("demo-pkg", "0.9").build();
    PackageIndex::start([
        Distribution::from(demo()),
        Distribution::from(sdist)
            .without_sha256()
            .without_size()
            .yanked("a \"bad\" one"),
        Distribution::from(dep()),
    ])
}

#[test]
fn json_pages_list_the_files() {
    let index = three_files();
    let json = |path| -> serde_json::Value {
        let kind = "application/vnd.pypi.simple.v1+json";
        serde_json::from_str(&page(&index, path, JSON, kind)).unwrap()
    };
    insta::assert_json_snapshot!(json(""), @r#"
    {
      "meta": {
        "api-version": "1.1"
      },
      "projects": [
        {
          "name": "demo-pkg"
        },
        {
          "name": "dep"
        }
      ]
    }
    "#);
    insta::assert_json_snapshot!(json("demo-pkg/"), @r#"
    {
      "files": [
        {
          "core-metadata": {
            "sha256": "431cfd7613d64f2992292617735a6505b6875410c239aeb2c2f7a2aaaa53f6a7"
          },
          "filename": "demo_pkg-1.0-py3-none-any.whl",
          "hashes": {
            "sha256": "[sha256]"
          },
          "requires-python": ">=3.8",
          "size": "[size]",
          "upload-time": "2025-01-01T00:00:00.000000Z",
          "url": "/files/demo_pkg-1.0-py3-none-any.whl",
          "yanked": false
        },
        {
          "filename": "demo_pkg-0.9.tar.gz",
          "hashes": {},
          "upload-time": "2025-01-01T00:00:00.000000Z",
          "url": "/files/demo_pkg-0.9.tar.gz",
          "yanked": "a \"bad\" one"
        }
      ],
      "meta": {
        "api-version": "1.0"
      },
      "name": "demo-pkg"
    }
    "#);
}

#[test]
fn html_pages_list_the_files() {
    let index = three_files();
    let html = |path| page(&index, path, "", "application/vnd.pypi.simple.v1+html");
    insta::assert_snapshot!(html(""), @r#"
    <!DOCTYPE html>
    <html><body>
    <a href="/simple/demo-pkg/">demo-pkg</a><br>
    <a href="/simple/dep/">dep</a><br>
    </body></html>
    "#);
    insta::assert_snapshot!(html("demo.pkg/"), @r#"
    <!DOCTYPE html>
    <html><body>
    <a href="/files/demo_pkg-1.0-py3-none-any.whl#sha256=[sha256]" data-requires-python="&gt;=3.8" data-core-metadata="sha256=431cfd7613d64f2992292617735a6505b6875410c239aeb2c2f7a2aaaa53f6a7">demo_pkg-1.0-py3-none-any.whl</a><br>
    <a href="/files/demo_pkg-0.9.tar.gz" data-yanked="a &quot;bad&quot; one">demo_pkg-0.9.tar.gz</a><br>
    </body></html>
    "#);
    index.html_only();
    assert_eq!(
        page(&index, "", JSON, "application/vnd.pypi.simple.v1+html"),
        html("")
    );
}

#[test]
fn unlisted_files_are_served() {
    let hidden = Distribution::new("hidden-1-py3-none-any.whl", b"x".to_vec()).unlisted();
    let index = PackageIndex::start([hidden]);
    for path in ["hidden/", "nothing/"] {
        assert_eq!(
            get(&format!("{}{path}", index.url()), JSON).unwrap().status,
            404
        );
    }
    let hidden = get(&index.file_url("hidden-1-py3-none-any.whl"), "").unwrap();
    assert_eq!(
        (hidden.status, hidden.body.as_slice()),
        (200, b"x".as_slice())
    );
}

#[test]
fn files_are_served_whole_and_in_ranges() {
    let wheel = demo();
    let index = PackageIndex::start([&wheel]);
    let url = index.file_url(&wheel.filename);
    let all = get(&url, "").unwrap();
    assert_eq!((all.status, &all.body), (200, &wheel.bytes));
    let metadata = get(&format!("{url}.metadata"), "").unwrap();
    assert_eq!(Some(metadata.body), wheel.metadata);

    let len = wheel.bytes.len();
    for (range, expected) in [
        ("0-9", Some(0..10)),
        ("5-", Some(5..len)),
        ("-7", Some(len - 7..len)),
        ("3-99999999", Some(3..len)),
        ("99999999-", None),
        ("-0", None),
    ] {
        let answer = get(&url, &format!("Range: bytes={range}\r\n")).unwrap();
        match expected {
            Some(expected) => {
                assert_eq!(answer.status, 206, "{range}");
                let said = format!(
                    "content-range: bytes {}-{}/{len}",
                    expected.start,
                    expected.end - 1
                );
                assert!(answer.head.contains(&said), "{}", answer.head);
                assert_eq!(answer.body, wheel.bytes[expected], "{range}");
            }
            None => assert_eq!(answer.status, 416, "{range}"),
        }
    }
    index.without_ranges();
    assert_eq!(get(&url, "Range: bytes=0-9\r\n").unwrap().body, wheel.bytes);

    let head = request("HEAD", &url, "", Duration::from_secs(10)).unwrap();
    assert!(head.head.contains(&format!("content-length: {len}")));
    assert!(head.body.is_empty());
    assert_eq!(
        request("PUT", &url, "", Duration::from_secs(10))
            .unwrap()
            .status,
        405
    );
}

#[test]
fn requests_are_counted() {
    let wheel = demo();
    let index = PackageIndex::start([&wheel]);
    let url = index.file_url(&wheel.filename);
    assert_eq!(index.count(&wheel.filename), 0);
    get(&url, "Range: bytes=0-0\r\nUser-Agent: me\r\n");
    get(&url, "");
    request("HEAD", &url, "", Duration::from_secs(10));
    get(&index.url(), "");
    assert_eq!(index.count(&wheel.filename), 2);
    assert_eq!(index.count("/simple/"), 1);
    let first = &index.requests()[0];
    assert_eq!(first.range.as_deref(), Some("bytes=0-0"));
    assert_eq!(first.user_agent.as_deref(), Some("me"));
    index.forget_requests();
    assert_eq!(index.requests(), []);

    index.remove(&wheel.filename);
    assert_eq!(get(&url, "").unwrap().status, 404);
}

#[test]
fn faults_happen_as_told() {
    let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let index = PackageIndex::start([Distribution::new("f.whl", bytes.clone())]);
    let url = index.file_url("f.whl");
    let fetch = || get(&url, "");

    index.fault("f.whl", Fault::Truncated(1234));
    let answer = fetch().unwrap();
    assert!(answer.head.contains("content-length: 5000"));
    assert_eq!(answer.body, bytes[..1234]);

    index.fault("f.whl", Fault::Corrupt);
    let answer = fetch().unwrap();
    assert_eq!(answer.body.len(), bytes.len());
    assert_eq!(
        answer
            .body
            .iter()
            .zip(&bytes)
            .filter(|(a, b)| a != b)
            .count(),
        1
    );

    index.fault("f.whl", Fault::WrongLength);
    let answer = fetch().unwrap();
    assert!(answer.head.contains("content-length: 4999"));
    assert_eq!(answer.body, bytes[..4999]);

    index.fault("f.whl", Fault::Status(503));
    assert_eq!(fetch().unwrap().status, 503);
    index.fault("f.whl", Fault::StatusTimes(500, 2));
    let statuses: Vec<_> = (0..3).map(|_| fetch().unwrap().status).collect();
    assert_eq!(statuses, [500, 500, 200]);

    index.fault("f.whl", Fault::DropConnection(1));
    assert!(fetch().is_none());
    assert_eq!(fetch().unwrap().body, bytes);

    index.fault(
        "f.whl",
        Fault::Redirect("https://example.com/f.whl".to_owned()),
    );
    let answer = fetch().unwrap();
    assert_eq!(answer.status, 307);
    assert!(answer.head.contains("location: https://example.com/f.whl"));

    index.fault("f.whl", Fault::Stall);
    let answer = request("GET", &url, "", Duration::from_millis(300)).unwrap();
    assert!(answer.head.contains("content-length: 5000"));
    assert!(answer.body.is_empty());

    index.fault("f.whl", Fault::Slow(20_000));
    let start = Instant::now();
    assert_eq!(fetch().unwrap().body, bytes);
    assert!(
        start.elapsed() >= Duration::from_millis(200),
        "{:?}",
        start.elapsed()
    );

    index.heal("f.whl");
    assert_eq!(fetch().unwrap().body, bytes);

    index.fault("/simple/f.whl/", Fault::Status(502));
    assert_eq!(
        get(&format!("{}f.whl/", index.url()), "").unwrap().status,
        502
    );
}

#[test]
fn port_is_free_once_the_index_is_dropped() {
    let index = PackageIndex::start([demo()]);
    let url = index.file_url(&demo().filename);
    index.fault(&demo().filename, Fault::Stall);
    let host = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap()
        .0
        .to_owned();
    // A stalled connection does not keep the server.
    let mut stalled = TcpStream::connect(&host).unwrap();
    write!(
        stalled,
        "GET /files/{} HTTP/1.1\r\nHost: x\r\n\r\n",
        demo().filename
    )
    .unwrap();
    drop(index);
    assert!(TcpStream::connect(&host).is_err());
}

/// uv from `ACCRETION_UV`, or else from the path. These tests are about uv: without it, they fail.
fn uv(folder: &Path, arguments: &[&str]) -> Output {
    let uv = std::env::var_os("ACCRETION_UV").map_or_else(|| PathBuf::from("uv"), PathBuf::from);
    Command::new(&uv)
        .args(arguments)
        .args(["--no-config", "--no-progress", "--color", "never"])
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("UV_CACHE_DIR", folder.join("cache"))
        .env("UV_PYTHON_DOWNLOADS", "never")
        .output()
        .unwrap_or_else(|error| panic!("{} cannot be run: {error}", uv.display()))
}

fn succeeded(output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
}

/// The lock is for old Pythons too: uv installs only what the interpreter it finds is new enough for.
fn compile(folder: &Path, index: &PackageIndex, requirements: &str, more: &[&str]) -> Output {
    std::fs::write(folder.join("requirements.in"), requirements).unwrap();
    let url = index.url();
    let base = [
        "pip",
        "compile",
        "requirements.in",
        "-o",
        "pylock.toml",
        "--format",
        "pylock.toml",
        "--generate-hashes",
        "--default-index",
        &url,
        "--python-version",
        "3.8",
        "--python-platform",
        "aarch64-manylinux_2_34",
    ];
    uv(folder, &[&base, more].concat())
}

/// Installs what was compiled, without building anything.
fn install(folder: &Path) -> Output {
    let arguments = [
        "pip",
        "install",
        "--target",
        "out",
        "-r",
        "pylock.toml",
        "--no-build",
    ];
    uv(folder, &arguments)
}

#[test]
fn uv_locks_and_installs_from_the_index() {
    let folder = tempfile::tempdir().unwrap();
    let (demo, dep) = (demo(), dep());
    let index = PackageIndex::start([&demo, &dep]);
    succeeded(&compile(
        folder.path(),
        &index,
        "demo-pkg\n",
        &["--no-build"],
    ));
    let lock = std::fs::read_to_string(folder.path().join("pylock.toml")).unwrap();
    for wheel in [&demo, &dep] {
        assert!(
            lock.contains(&format!("sha256 = \"{}\"", wheel.sha256)),
            "{lock}"
        );
        assert!(
            lock.contains(&format!("size = {}", wheel.bytes.len())),
            "{lock}"
        );
        assert!(lock.contains(&index.file_url(&wheel.filename)), "{lock}");
    }
    assert!(
        lock.contains("upload-time = 2025-01-01T00:00:00Z"),
        "{lock}"
    );
    // The metadata were enough.
    assert_eq!(index.count(&demo.filename), 0);
    assert_eq!(index.count(&format!("{}.metadata", demo.filename)), 1);

    succeeded(&install(folder.path()));
    let module = std::fs::read_to_string(folder.path().join("out/demo_pkg/__init__.py")).unwrap();
    assert_eq!(module, "answer = 42\n");
    assert_eq!(index.count(&demo.filename), 1);
}

#[test]
fn uv_reads_html_and_wheels_without_metadata_files() {
    let folder = tempfile::tempdir().unwrap();
    let wheel = demo();
    let bare = Distribution::from(&wheel)
        .without_core_metadata()
        .without_size();
    let index = PackageIndex::start([bare, dep().into()]);
    index.html_only();
    succeeded(&compile(
        folder.path(),
        &index,
        "demo-pkg\n",
        &["--no-build"],
    ));
    let lock = std::fs::read_to_string(folder.path().join("pylock.toml")).unwrap();
    assert!(lock.contains(&wheel.sha256), "{lock}");
    assert!(lock.contains("name = \"dep\""), "{lock}");
    assert!(index.count(&wheel.filename) > 0);
}

#[test]
fn uv_runs_a_source_distribution_only_when_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let canary = folder.path().join("canary");
    let sdist = SdistForge::new("dep", "1.5")
        .canary(&canary)
        .builds(&dep())
        .build();
    let index = PackageIndex::start([&sdist]);
    let refused = compile(folder.path(), &index, "dep\n", &["--no-build"]);
    assert!(!refused.status.success());
    assert!(!canary.exists());

    succeeded(&compile(folder.path(), &index, "dep\n", &[]));
    assert!(canary.exists());
}

#[test]
fn uv_notices_a_corrupted_file() {
    let folder = tempfile::tempdir().unwrap();
    let wheel = dep();
    let index = PackageIndex::start([&wheel]);
    index.fault(&wheel.filename, Fault::Corrupt);
    succeeded(&compile(folder.path(), &index, "dep\n", &["--no-build"]));
    let output = install(folder.path());
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("Failed to download `dep==1.5`"), "{stderr}");
    assert!(index.count(&wheel.filename) > 0);
}
