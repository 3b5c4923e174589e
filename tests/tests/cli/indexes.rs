//! Private indexes: a real index server that lets nobody in without a password.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use accretion_testing::forge::{SdistForge, Wheel, WheelForge};
use integration_tests::{Project, Run, snapshot, uv};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{LAYER, ONE, PROGRAM, index, own_target, pure};

const USER: &str = "canary-user";
const PASSWORD: &str = "canary-p4ssword";

/// A program that `make pypiserver` installs.
fn tool(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/pypiserver/bin");
    let tool = folder.join(name);
    assert!(
        tool.is_file(),
        "{} is missing: `make pypiserver`",
        tool.display()
    );
    tool
}

/// `pypiserver` on loopback, with packages of its own.
struct Server {
    process: Child,
    url: String,
    folder: TempDir,
}

impl Server {
    /// `private` is whether it wants a password for everything.
    fn start(private: bool, packages: impl IntoIterator<Item = Wheel>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let packages_folder = folder.path().join("packages");
        fs::create_dir(&packages_folder).unwrap();
        for wheel in packages {
            fs::write(packages_folder.join(&wheel.filename), &wheel.bytes).unwrap();
        }
        let passwords = folder.path().join("htpasswd");
        let set = "import sys; from passlib.apache import HtpasswdFile; \
                   file = HtpasswdFile(sys.argv[1], new=True); \
                   file.set_password(*sys.argv[2:]); file.save()";
        let made = Command::new(tool("python"))
            .args(["-c", set])
            .arg(&passwords)
            .args([USER, PASSWORD])
            .status();
        assert!(made.unwrap().success());
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = Command::new(tool("pypi-server"));
        command.args([
            "run",
            "-i",
            "127.0.0.1",
            "--disable-fallback",
            "-p",
            &port.to_string(),
        ]);
        if private {
            command
                .arg("-P")
                .arg(&passwords)
                .args(["-a", "list,download,update"]);
        } else {
            command.args(["-P", ".", "-a", "."]);
        }
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let process = command
            .args(["--log-stream", "none"])
            .arg(&packages_folder)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self {
            process,
            url: format!("http://127.0.0.1:{port}/simple/"),
            folder,
        };
        let since = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = || fs::read_to_string(server.folder.path().join("log")).unwrap();
            assert!(since.elapsed() < Duration::from_mins(1), "{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// The host and port.
    fn host(&self) -> &str {
        self.url
            .strip_prefix("http://")
            .unwrap()
            .strip_suffix("/simple/")
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A wheel with one module that says where it is from.
fn wheel(name: &str, version: &str, from: &str, requires: &[&str]) -> Wheel {
    let forge =
        WheelForge::new(name, version).file(&format!("{name}/__init__.py"), from.to_owned());
    requires
        .iter()
        .fold(forge, |forge, it| forge.requires(it))
        .build()
}

fn public() -> Server {
    let packages = [
        wheel("app", "1.0", "public", &["corplib"]),
        wheel("corplib", "9.0", "public", &[]),
        wheel("common", "2.0", "public", &[]),
    ];
    Server::start(false, packages)
}

fn private() -> Server {
    let packages = [
        wheel("corplib", "1.0", "private", &["common"]),
        wheel("common", "1.0", "private", &[]),
        wheel("app", "0.1", "private", &[]),
    ];
    Server::start(true, packages)
}

/// A project whose default index is one of the servers.
fn project(default: &Server) -> Project {
    Project::with_index_url(PROGRAM, Some(default.url.clone()))
}

fn request(requirements: &str, indexes: &Value) -> String {
    json!({
        "Name": "tools",
        "Language": "python",
        "Requirements": {"Type": "requirements.txt", "Requirements": requirements},
        "Indexes": indexes,
    })
    .to_string()
}

fn pinned(server: &Server, packages: &[&str]) -> Value {
    json!({"Name": "corp-index", "Url": server.url, "Packages": packages})
}

/// Builds a request of the project, with what opens `corp-index`.
fn build(project: &Project, request: &str) -> Run {
    project.write("request.json", request);
    let arguments = format!("build request.json {ONE}");
    let mut command = project.command(arguments.split(' '));
    command
        .env("UV_INDEX_CORP_INDEX_USERNAME", USER)
        .env("UV_INDEX_CORP_INDEX_PASSWORD", PASSWORD);
    project.finish(command)
}

/// The origin of each package of the layer, by its name.
fn origins(project: &Project) -> BTreeMap<String, String> {
    let content = project.content(LAYER).into_iter();
    let modules = content.filter_map(|(path, (_, bytes))| {
        let name = path.strip_prefix("python/")?.strip_suffix("/__init__.py")?;
        Some((name.to_owned(), String::from_utf8(bytes).unwrap()))
    });
    modules.collect()
}

fn origins_of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, from)| (name.to_string(), from.to_string()))
        .collect()
}

#[test]
fn a_pinned_package_comes_from_its_index_in_all_orders() {
    let (public, private) = (public(), private());
    let other = json!({"Name": "other", "Url": public.url});
    let pin = pinned(&private, &["corplib"]);
    // `app` requires `corplib`, which requires `common`: newer ones of both are public.
    let expected = origins_of(&[
        ("app", "public"),
        ("corplib", "private"),
        ("common", "public"),
    ]);
    for requirements in ["app", "app\ncorplib", "corplib\napp"] {
        for indexes in [json!([pin]), json!([pin, other]), json!([other, pin])] {
            let project = project(&public);
            build(&project, &request(requirements, &indexes)).exits(0);
            assert_eq!(origins(&project), expected, "{requirements:?} {indexes}");
        }
    }
    // The other way round: what is private is the default, what is pinned is public.
    let project = Project::with_index_url(
        PROGRAM,
        Some(private.url.replace("//", &format!("//{USER}:{PASSWORD}@"))),
    );
    let indexes = json!([{"Name": "pub", "Url": public.url, "Packages": ["app", "corplib"]}]);
    project.write("request.json", request("app\ncommon", &indexes));
    project.run(&format!("build request.json {ONE}")).exits(0);
    let expected = origins_of(&[
        ("app", "public"),
        ("corplib", "public"),
        ("common", "private"),
    ]);
    assert_eq!(origins(&project), expected);
}

#[test]
fn an_index_without_packages_comes_before_the_default_one() {
    let (public, private) = (public(), private());
    let project = project(&public);
    let corp = json!({"Name": "corp-index", "Url": private.url});
    build(&project, &request("app\ncorplib", &json!([corp]))).exits(0);
    let expected = [
        ("app", "private"),
        ("corplib", "private"),
        ("common", "private"),
    ];
    assert_eq!(origins(&project), origins_of(&expected));

    // So it is from the command line.
    std::fs::remove_dir_all(project.layers()).unwrap();
    project.write("requirements.txt", "common\n");
    let arguments = format!(
        "build requirements.txt --index corp-index={} {ONE}",
        private.url
    );
    let mut command = project.command(arguments.split(' '));
    command
        .env("UV_INDEX_CORP_INDEX_USERNAME", USER)
        .env("UV_INDEX_CORP_INDEX_PASSWORD", PASSWORD);
    project.finish(command).exits(0);
    assert_eq!(origins(&project), origins_of(&[("common", "private")]));
}

#[test]
fn a_package_that_its_index_does_not_have_comes_from_nowhere() {
    let (public, private) = (public(), private());
    let public_only = wheel("corpextra", "1.0", "public", &[]);
    let path = public
        .folder
        .path()
        .join("packages")
        .join(&public_only.filename);
    fs::write(path, &public_only.bytes).unwrap();
    let project = project(&public);
    let indexes = json!([pinned(&private, &["corpextra"])]);
    let run = build(&project, &request("corpextra", &indexes));
    snapshot!(run.fails(3, "PinnedPackageNotFound"));
    assert_eq!(project.outputs(), [""; 0]);
    // An index that is for some packages has no others.
    let indexes = json!([pinned(&public, &["corpextra"])]);
    let project = Project::with_index_url(PROGRAM, Some(private.url.clone()));
    project.write("request.json", request("corpextra\napp", &indexes));
    let mut command = project.command(["build", "request.json", "--default-index"]);
    command
        .arg(private.url.replace("//", &format!("//{USER}:{PASSWORD}@")))
        .args(ONE.split(' '));
    project.finish(command).exits(0);
    let expected = [("app", "private"), ("corpextra", "public")];
    assert_eq!(origins(&project), origins_of(&expected));
}

#[test]
fn a_url_does_not_get_round_a_pin() {
    let (public, private) = (public(), private());
    let project = project(&public);
    let files = public.url.replace("/simple/", "/packages/");
    let requirement = format!("corplib @ {files}corplib-9.0-py3-none-any.whl");
    let indexes = json!([pinned(&private, &["corplib"])]);
    build(&project, &request(&requirement, &indexes)).fails(3, "PinNotKept");
    assert_eq!(project.outputs(), [""; 0]);
}

#[test]
fn who_is_not_let_in_is_told_by_whom() {
    let (public, private) = (public(), private());
    let project = project(&public);
    let indexes = json!([pinned(&private, &["corplib"])]);
    project.write("request.json", request("app", &indexes));
    let run = project.run(&format!("build request.json {ONE}"));
    snapshot!(run.fails(3, "IndexForbidden"));

    // A secret of the pipeline is nothing to the command, which says so.
    let mut index = pinned(&private, &["corplib"]);
    let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:corp";
    index["Credentials"] = json!({ "SecretArn": arn });
    project.write("request.json", request("app", &json!([index])));
    let run = project.run(&format!("build request.json {ONE}"));
    snapshot!(run.fails(3, "IndexForbidden"));
}

/// A build of `app` with a `corplib` that is private, opened by what `open` does.
fn opens(open: impl FnOnce(&Project, &Server, &mut Command)) {
    let (public, private) = (public(), private());
    let project = project(&public);
    let indexes = json!([pinned(&private, &["corplib"])]);
    project.write("request.json", request("app", &indexes));
    let mut command = project.command(format!("build request.json {ONE}").split(' '));
    open(&project, &private, &mut command);
    project.finish(command).exits(0);
    assert_eq!(origins(&project)["corplib"], "private");
}

#[test]
fn netrc_opens_indexes() {
    let netrc = format!("machine 127.0.0.1 login {USER} password {PASSWORD}\n");
    opens(|project, _, _| fs::write(project.root().join("home/.netrc"), &netrc).unwrap());
    opens(|project, _, command| {
        project.write("elsewhere", &netrc);
        command.env("NETRC", project.path("elsewhere"));
    });
}

#[test]
fn the_keyring_opens_indexes() {
    const PLAIN: &str = "keyrings.alt.file.PlaintextKeyring";
    // Backends of package indexes know the user, too.
    const BACKEND: &str = "from keyring.credentials import SimpleCredential\n\
        from keyrings.alt.file import PlaintextKeyring\n\
        class Keyring(PlaintextKeyring):\n    \
            def get_credential(self, service, username):\n        \
                return SimpleCredential('canary-user', self.get_password(service, 'canary-user'))\n";
    for backend in [PLAIN, "backend.Keyring"] {
        opens(|project, private, command| {
            project.write("backend.py", BACKEND);
            let data = project.root().join("home");
            let set = "import sys, keyring; keyring.set_password(*sys.argv[1:])";
            let status = Command::new(tool("python"))
                .args(["-c", set, &private.url, USER, PASSWORD])
                .env("PYTHON_KEYRING_BACKEND", PLAIN)
                .env("XDG_DATA_HOME", &data)
                .status();
            assert!(status.unwrap().success());
            let folder = tool("keyring").parent().unwrap().to_owned();
            command
                .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
                .env("PYTHONPATH", project.path(""))
                .env("PYTHON_KEYRING_BACKEND", backend)
                .env("XDG_DATA_HOME", &data)
                .env("UV_KEYRING_PROVIDER", "subprocess");
            if backend == PLAIN {
                command.env("UV_INDEX_CORP_INDEX_USERNAME", USER);
            }
        });
    }
}

#[test]
fn a_lock_of_a_private_index_is_opened_too() {
    let (public, private) = (public(), private());
    let project = project(&public);
    let files = private.url.replace("/simple/", "/packages/");
    let locked = wheel("corplib", "1.0", "private", &["common"]);
    let lock = format!(
        "lock-version = \"1.0\"\ncreated-by = \"test\"\n[[packages]]\nname = \"corplib\"\n\
         version = \"1.0\"\nwheels = [{{ url = \"{files}{}\", hashes = {{ sha256 = \"{}\" }} }}]\n",
        locked.filename, locked.sha256
    );
    project.write("pylock.toml", &lock);
    let refused = project.run(&format!("build pylock.toml {ONE}"));
    refused.fails(3, "FileNotFound");
    let text = json!({
        "Name": "tools",
        "Language": "python",
        "Requirements": {"Type": "pylock.toml", "Requirements": lock},
        "Indexes": [{"Name": "corp-index", "Url": private.url}],
    });
    build(&project, &text.to_string()).exits(0);
    assert_eq!(origins(&project)["corplib"], "private");

    let netrc = format!("machine 127.0.0.1 login {USER} password {PASSWORD}\n");
    fs::write(project.root().join("home/.netrc"), netrc).unwrap();
    fs::remove_dir_all(project.cache()).unwrap();
    fs::remove_dir_all(project.layers()).unwrap();
    project.run(&format!("build pylock.toml {ONE}")).exits(0);
}

#[test]
fn what_a_source_distribution_is_built_with_is_pinned_too() {
    let (public, private) = (public(), private());
    let source = SdistForge::new("source", "1.0")
        .builds(&wheel("source", "1.0", "built", &[]))
        .build();
    let path = private
        .folder
        .path()
        .join("packages")
        .join(&source.filename);
    fs::write(path, &source.bytes).unwrap();
    let project = project(&public);
    let indexes = json!([pinned(&private, &["source"])]);
    project.write("request.json", request("source", &indexes));
    let target = own_target();
    let arguments = format!("build request.json --allow-source-distributions {target}");
    let mut command = project.command(arguments.split(' '));
    command
        .env("UV_INDEX_CORP_INDEX_USERNAME", USER)
        .env("UV_INDEX_CORP_INDEX_PASSWORD", PASSWORD);
    project.finish(command).exits(0);
}

#[test]
fn nothing_is_asked_again_without_need_and_the_cache_serves_offline() {
    let (public, private) = (public(), private());
    let project = project(&public);
    let indexes = json!([pinned(&private, &["corplib"])]);
    build(&project, &request("app", &indexes)).exits(0);
    let arguments = format!("build request.json --offline --output again {ONE}");
    let mut command = project.command(arguments.split(' '));
    command.env("UV_INDEX_CORP_INDEX_PASSWORD", PASSWORD);
    project.finish(command).exits(0);
    let read = |folder: &str| fs::read(project.path(folder).join(format!("{LAYER}.zip"))).unwrap();
    assert!(read("layers") == read("again"));
}

/// Everything below a folder, with what zips hold unpacked: paths and contents.
fn everything(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            everything(&path, found);
        } else if let Ok(bytes) = fs::read(&path) {
            if let Ok(mut zip) = zip::ZipArchive::new(std::io::Cursor::new(&bytes)) {
                for at in 0..zip.len() {
                    let mut inside = Vec::new();
                    let mut file = zip.by_index(at).unwrap();
                    file.read_to_end(&mut inside).unwrap();
                    let name = file.name().unwrap().into_owned();
                    found.push((path.join(name), inside));
                }
            }
            found.push((path, bytes));
        }
    }
}

/// Returns whether a text contains the credentials of the index, plain or in an HTTP header.
fn gives_away(bytes: &[u8]) -> bool {
    // `canary-user:canary-p4ssword` in Base64, from each of three places on.
    const ENCODED: [&str; 3] = [
        "Y2FuYXJ5LXVzZXI6Y2FuYXJ5LXA0c3N3",
        "bmFyeS11c2VyOmNhbmFyeS1wNHNzd29y",
        "YW5hcnktdXNlcjpjYW5hcnktcDRzc3dv",
    ];
    let all = ENCODED.iter().chain(&[PASSWORD, USER]);
    all.into_iter().any(|canary| {
        bytes
            .windows(canary.len())
            .any(|it| it == canary.as_bytes())
    })
}

#[test]
fn what_opens_an_index_is_found_nowhere() {
    let elsewhere = tempfile::tempdir().unwrap();
    for way in ["variables", "netrc", "default"] {
        let (public, private) = (public(), private());
        let project = project(&public);
        // What it runs, and with what, is written down.
        let wrapper = project.root().join("uv");
        let log = project.root().join("uv.log");
        let script = format!(
            "#!/bin/sh\nlog={}\n{{ printf '%s\\n' \"$@\"; env; ls -la; cat requirements.txt; }} >> $log\n\
             for argument; do shift; [ \"$argument\" = --quiet ] || set -- \"$@\" \"$argument\"; done\n\
             RUST_LOG=trace exec {} \"$@\" 2>> $log\n",
            log.display(),
            uv().display()
        );
        fs::write(&wrapper, script).unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        let indexes = json!([pinned(&private, &["corplib"])]);
        let is_default = way == "default";
        let indexes = if is_default { json!([]) } else { indexes };
        let requirement = if is_default { "corplib" } else { "app" };
        project.write("request.json", request(requirement, &indexes));
        for (format, fails) in [("text", false), ("json", false), ("text", true)] {
            let arguments = format!("build request.json --verbose --format {format} {ONE}");
            let mut command = project.command(arguments.split(' '));
            command.env("ACCRETION_UV", &wrapper);
            if fails {
                // Nobody is let in, and what is wrong is told.
                fs::remove_dir_all(project.cache()).unwrap();
                fs::write(private.folder.path().join("htpasswd"), "").unwrap();
            }
            match way {
                "variables" => {
                    command
                        .env("UV_INDEX_CORP_INDEX_USERNAME", USER)
                        .env("UV_INDEX_CORP_INDEX_PASSWORD", PASSWORD);
                }
                "netrc" => {
                    let netrc = elsewhere.path().join("netrc");
                    let text = format!("machine 127.0.0.1 login {USER} password {PASSWORD}\n");
                    fs::write(&netrc, text).unwrap();
                    command.env("NETRC", netrc);
                }
                _ => {
                    let url = private.url.replace("//", &format!("//{USER}:{PASSWORD}@"));
                    command.env("ACCRETION_DEFAULT_INDEX", url);
                }
            }
            let run = project.finish(command);
            assert_eq!(run.code, Some(if fails { 3 } else { 0 }), "{way}: {run}");
            assert!(!gives_away(run.stdout.as_bytes()), "{way}: {run}");
            assert!(!gives_away(run.stderr.as_bytes()), "{way}: {run}");
            assert!(
                fails || !run.stdout.contains(private.host()),
                "{way}: {run}"
            );
        }
        let mut found = Vec::new();
        everything(project.root(), &mut found);
        assert!(found.len() > 10, "{way}");
        for (path, bytes) in found {
            assert!(!gives_away(&bytes), "{way}: {}", path.display());
        }
        let log = fs::read_to_string(&log).unwrap();
        assert!(
            log.contains("compile") && log.contains("HTTP_PROXY="),
            "{log}"
        );
    }
}

/// Credentials are hidden even in an invalid option.
#[test]
fn what_is_wrong_with_an_index_is_said_without_what_opens_it() {
    let index = index([pure("demo").build()]);
    let project = Project::new(PROGRAM, &index);
    project.write("requirements.txt", "demo\n");
    let unusable = format!("https://user:pa#{PASSWORD}@index.example.com/simple/");
    let open = format!("corp=https://user:{PASSWORD}@index.example.com/simple/");
    for arguments in [["--default-index", &unusable], ["--index", &open]] {
        let arguments = ["build", "requirements.txt"].into_iter().chain(arguments);
        let run = project.finish(project.command(arguments));
        let run = run.exits(2);
        assert!(!run.to_string().contains(PASSWORD), "{run}");
        assert!(run.stderr.contains("index"), "{run}");
    }
    let mut command = project.command(["build", "requirements.txt"]);
    command.env("ACCRETION_DEFAULT_INDEX", &unusable);
    let run = project.finish(command).exits(2);
    assert!(!run.to_string().contains(PASSWORD), "{run}");

    let url = "https://index.example.com/simple/";
    for index in [
        json!({"Name": "corp", "Url": url, "Credentials": {"SecretArn": PASSWORD}}),
        json!({"Name": "corp", "Url": url, "Credentials": {"Username": "u", "Password": PASSWORD}}),
        json!({"Name": "corp", "Url": url, "Credentials": PASSWORD}),
        json!({"Name": "corp", "Url": format!("https://user:pa/{PASSWORD}@example.com/")}),
        json!({"Name": "corp", "Url": unusable}),
        json!({"Name": "corp", "Url": format!("{url}?token={PASSWORD}")}),
    ] {
        let request = json!({
            "Name": "tools",
            "Language": "python",
            "Requirements": {"Type": "requirements.txt", "Requirements": "demo"},
            "Indexes": [index],
        });
        project.write("request.json", request.to_string());
        for format in ["text", "json"] {
            let run = project.run(&format!("check request.json --format {format}"));
            let run = run.exits(3);
            assert!(!run.to_string().contains(PASSWORD), "{run}");
        }
    }
}
