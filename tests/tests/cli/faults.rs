//! Indexes that fail, lie or serve what they should not: what the user is told, and that nothing
//! half-done stays behind.

use std::fs;

use accretion_testing::forge::zip::{Claim, Entry, Place};
use accretion_testing::forge::{Part, SdistForge, Wheel, WheelForge};
use accretion_testing::index::{Distribution, Fault, PackageIndex};
use integration_tests::{Project, Run, snapshot};

use crate::{LAYER, ONE, index, project, pure, pure_name};

fn build(project: &Project) -> Run {
    project.run(&format!("build requirements.txt {ONE}"))
}

#[track_caller]
fn assert_nothing_is_left(project: &Project) {
    assert_eq!(project.outputs(), [""; 0]);
    project.assert_tidy();
    let wheels = integration_tests::names(&project.cache().join("wheels"));
    assert!(
        wheels.len().is_multiple_of(2),
        "a wheel and its layout, or neither: {wheels:?}"
    );
}

/// A build fails, and once the index is well again it succeeds.
#[track_caller]
fn fails_until_healed(fault: Fault, exit: i32, code: &str) -> String {
    let index = index([pure("a").requires("b").build(), pure("b").build()]);
    let project = project(&index);
    project.write("requirements.txt", "a\n");
    let file = pure_name("b");
    index.fault(&file, fault);
    let run = build(&project);
    let run = run.fails(exit, code);
    assert_nothing_is_left(&project);
    index.heal(&file);
    build(&project).exits(0);
    assert_eq!(project.outputs().len(), 2);
    project.assert_tidy();
    run.to_string()
}

#[test]
fn a_corrupt_download() {
    snapshot!(fails_until_healed(Fault::Corrupt, 3, "HashMismatch"));
}

#[test]
fn a_download_without_its_last_byte() {
    snapshot!(fails_until_healed(Fault::WrongLength, 3, "HashMismatch"));
}

#[test]
fn a_truncated_download() {
    snapshot!(fails_until_healed(
        Fault::Truncated(100),
        4,
        "DownloadIncomplete"
    ));
}

#[test]
fn a_connection_that_is_dropped() {
    let dropped = Fault::DropConnection(usize::MAX);
    snapshot!(fails_until_healed(dropped, 4, "UpstreamUnavailable"));
}

#[test]
fn a_file_that_is_gone() {
    snapshot!(fails_until_healed(Fault::Status(404), 3, "FileNotFound"));
}

#[test]
fn a_file_that_is_forbidden() {
    snapshot!(fails_until_healed(Fault::Status(403), 3, "FileNotFound"));
}

#[test]
fn a_server_that_only_fails() {
    snapshot!(fails_until_healed(
        Fault::Status(500),
        4,
        "UpstreamUnavailable"
    ));
}

#[test]
fn a_redirect_to_plain_http() {
    let away = Fault::Redirect("http://192.0.2.1/b-1.0-py3-none-any.whl".to_owned());
    snapshot!(fails_until_healed(away, 3, "InsecureUrl"));
}

#[test]
fn a_redirect_that_never_ends() {
    let index = index([pure("b").build()]);
    let project = project(&index);
    project.write("requirements.txt", "b\n");
    index.fault(
        &pure_name("b"),
        Fault::Redirect(index.file_url(&pure_name("b"))),
    );
    snapshot!(build(&project).fails(4, "UpstreamUnavailable"));
    assert_nothing_is_left(&project);
}

#[test]
fn what_passes_by_itself_is_tried_again() {
    for (fault, attempts) in [
        (Fault::StatusTimes(503, 2), 3),
        (Fault::DropConnection(1), 2),
    ] {
        let index = index([pure("b").build()]);
        let project = project(&index);
        project.write("requirements.txt", "b\n");
        index.fault(&pure_name("b"), fault.clone());
        build(&project).exits(0);
        assert_eq!(index.count(&pure_name("b")), attempts, "{fault:?}");
        project.assert_tidy();
    }
}

#[test]
fn a_file_may_lie_elsewhere() {
    let index = index([pure("b").build()]);
    let mirror = crate::index([Distribution::from(pure("b").build())]);
    let project = project(&index);
    project.write("requirements.txt", "b\n");
    index.fault(
        &pure_name("b"),
        Fault::Redirect(mirror.file_url(&pure_name("b"))),
    );
    build(&project).exits(0);
    assert_eq!(mirror.count(&pure_name("b")), 1);
}

#[test]
fn an_index_that_lists_another_hash() {
    let other = "0".repeat(64);
    let index = index([Distribution::from(pure("b").build()).listed_sha256(&other)]);
    let project = project(&index);
    project.write("requirements.txt", "b\n");
    build(&project).fails(3, "HashMismatch");
    assert_nothing_is_left(&project);
}

#[test]
fn one_error_of_all_targets_is_told_once() {
    let index = index([pure("a").build()]);
    let project = project(&index);
    project.write("requirements.txt", "a\n");
    index.fault(&pure_name("a"), Fault::Status(404));
    let run = project
        .run("build requirements.txt")
        .fails(3, "FileNotFound");
    snapshot!(run);
}

#[test]
fn targets_do_not_wait_for_a_server_one_after_the_other() {
    let index = index([pure("a").build()]);
    let project = project(&index);
    project.write("requirements.txt", "a\n");
    index.fault(&pure_name("a"), Fault::Status(500));
    project
        .run("build requirements.txt")
        .fails(4, "UpstreamUnavailable");
    let (attempts, of_one) = (index.count(&pure_name("a")), 4);
    // A target may come when the others have given up.
    assert!(attempts <= 3 * of_one, "{attempts}");
}

/// A wheel is refused, and so is the same wheel in the cache of another build.
#[track_caller]
fn refuses(wheel: Wheel, code: &str) -> String {
    let index = index([wheel]);
    let project = project(&index);
    project.write("requirements.txt", "evil\n");
    let run = build(&project).fails(3, code).to_string();
    assert_nothing_is_left(&project);
    assert_eq!(
        integration_tests::names(&project.cache().join("wheels")),
        [""; 0]
    );
    assert_eq!(build(&project).fails(3, code).to_string(), run);
    let outside = [
        "evil.py",
        "tools/evil.py",
        "cache/evil.py",
        "cache/wheels/evil.py",
    ];
    assert!(
        !outside
            .iter()
            .any(|path| project.root().join(path).exists())
    );
    run
}

#[test]
fn a_wheel_that_leaves_its_folder() {
    snapshot!(refuses(
        pure("evil").file("../evil.py", "x = 1\n").build(),
        "WheelInvalid"
    ));
    let absolute = pure("evil").file("/tmp/evil.py", "x = 1\n").build();
    refuses(absolute, "WheelInvalid");
    let data = pure("evil")
        .data("data", "../../evil.py", "x = 1\n")
        .build();
    refuses(data, "WheelInvalid");
}

#[test]
fn a_wheel_with_a_wrong_checksum() {
    let lie = |entry: Entry| {
        entry
            .lie(Place::Local, Claim::Crc(1))
            .lie(Place::Central, Claim::Crc(1))
    };
    let wheel = pure("evil").build_with(|zip| zip.change("evil/__init__.py", lie));
    snapshot!(refuses(wheel, "WheelInvalid"));
}

#[test]
fn a_wheel_whose_metadata_never_end() {
    let bomb = Entry::bomb("evil-1.0.dist-info/entry_points.txt", 9 << 20);
    let wheel = pure("evil")
        .record(Part::Content(Vec::new()))
        .entry(bomb)
        .build();
    snapshot!(refuses(wheel, "WheelOverLimit"));
}

#[test]
fn a_wheel_that_claims_less_than_it_has() {
    let lie = |entry: Entry| {
        entry
            .lie(Place::Local, Claim::UncompressedSize(1))
            .lie(Place::Central, Claim::UncompressedSize(1))
    };
    let bomb = Entry::bomb("evil/zeros", 1 << 20);
    let wheel = pure("evil").record(Part::Content(Vec::new())).entry(bomb);
    let wheel = wheel.build_with(|zip| zip.change("evil/zeros", lie));
    snapshot!(refuses(wheel, "WheelInvalid"));
}

#[test]
fn a_wheel_that_is_none() {
    let metadata = pure("evil").build().metadata;
    let page = b"<html>Please log in</html>".to_vec();
    let wheel = Wheel {
        metadata,
        ..Wheel::new("evil-1.0-py3-none-any.whl", page)
    };
    snapshot!(refuses(wheel, "WheelInvalid"));
}

#[test]
fn a_wheel_that_speaks_to_the_terminal() {
    let name = "evil/\u{1b}[31m\u{7}\u{9b}x.py";
    let wheel = pure("evil").file(&format!("../{name}"), "").build();
    let run = refuses(wheel, "WheelInvalid");
    let controls = run.chars().filter(|c| c.is_control() && *c != '\n');
    assert_eq!(controls.count(), 0, "{run:?}");
    assert!(run.contains("x.py"), "{run}");
    // Such a warning shows too.
    let clash = |name: &str| {
        let file = "shared/\u{1b}[31m.py";
        pure(name).file(file, name.to_owned()).build()
    };
    let index = index([clash("a"), clash("b")]);
    let project = project(&index);
    project.write("requirements.txt", "a\nb\n");
    let mut command = project.command(["build", "requirements.txt", "-v"]);
    command
        .args(ONE.split(' '))
        .env("CLICOLOR_FORCE", "1")
        .env("NO_COLOR", "1");
    let run = project.finish(command);
    assert!(!run.to_string().contains('\u{1b}'), "{run:?}");
}

#[test]
fn a_layer_over_the_limit() {
    let bomb = |name: &str| Entry::bomb(format!("{name}/zeros"), 130 << 20);
    let large = |name: &str| {
        pure(name)
            .record(Part::Content(Vec::new()))
            .entry(bomb(name))
            .build()
    };
    let index = index([large("a"), large("b"), pure("c").build()]);
    let project = project(&index);
    project.write("requirements.txt", "a\nb\nc\n");
    snapshot!(build(&project).fails(3, "LayerTooLarge"));
    assert_nothing_is_left(&project);
}

/// The errors of requirements that no layer can be built from.
#[track_caller]
fn unresolvable(index: &PackageIndex, requirements: &str, exit: i32, code: &str) -> Run {
    let project = project(index);
    project.write("requirements.txt", requirements);
    let run = build(&project).fails(exit, code);
    assert_nothing_is_left(&project);
    run
}

#[test]
fn requirements_that_contradict_each_other() {
    let index = index([
        pure("a").build(),
        WheelForge::new("a", "2.0").build(),
        pure("b").requires("a>=2").build(),
    ]);
    let run = unresolvable(&index, "a<2\nb\n", 3, "RequirementsUnsatisfiable");
    snapshot!("contradiction", run);
    let run = unresolvable(&index, "a==3.0\n", 3, "RequirementsUnsatisfiable");
    snapshot!("no_such_version", run);
    let run = unresolvable(&index, "nothing-like-it\nb\n", 3, "PackageNotFound");
    snapshot!("no_such_package", run);
    assert_eq!(
        index
            .requests()
            .iter()
            .filter(|it| it.path.ends_with(".whl"))
            .count(),
        0
    );
}

#[test]
fn packages_without_a_fitting_wheel() {
    let windows = WheelForge::new("win", "1.0")
        .tag("cp313-cp313-win_amd64")
        .build();
    let old = WheelForge::new("old", "1.0")
        .tag("cp38-cp38-manylinux_2_17_x86_64")
        .build();
    let new = WheelForge::new("new", "1.0")
        .tag("cp313-cp313-manylinux_2_39_x86_64")
        .build();
    let future = pure("future").requires_python(">=3.15").build();
    let index = index([windows, old, new, future]);
    index.add(SdistForge::new("source", "1.0").build());
    index.add(pure("needs").requires("source").build());
    for name in ["win", "old", "new", "source", "needs"] {
        let run = unresolvable(&index, &format!("{name}\n"), 3, "WheelNotFound");
        snapshot!(format!("no_wheel_{name}"), run);
    }
    let run = unresolvable(&index, "future\n", 3, "RequirementsUnsatisfiable");
    snapshot!("no_wheel_future", run);
}

/// uv's proof has four lines for each version. A person reads the end of it and its causes.
#[test]
fn a_long_explanation_is_told_in_few_lines() {
    let index = index([pure("b").build()]);
    for version in 1..=60 {
        let number = format!("{version}.0");
        let app = WheelForge::new("app", &number).requires(&format!("lib=={number}"));
        index.add(app.build());
        index.add(SdistForge::new("lib", &number).build());
    }
    let run = unresolvable(&index, "app\nb\n", 3, "WheelNotFound").to_string();
    assert!(run.lines().count() <= 15 && run.len() < 5_000, "{run}");
    for words in [
        " conclusions left out …",
        "lib==60.0 has no usable wheels",
        "you require app",
        "only with sources, of `lib`",
        "--allow-source-distributions",
    ] {
        assert!(run.contains(words), "{words}: {run}");
    }
}

#[test]
fn hashes_that_nothing_has() {
    let index = index([pure("a").build()]);
    let other = format!("a==1.0 --hash=sha256:{}\n", "0".repeat(64));
    snapshot!(unresolvable(&index, &other, 3, "HashNotAllowed"));
    let project = project(&index);
    let right = pure("a").build().sha256;
    project.write(
        "requirements.txt",
        format!("a==1.0 --hash=sha256:{right}\n"),
    );
    build(&project).exits(0);
    assert_eq!(
        project.manifest(LAYER)["Installed"][0]["Sha256"],
        right.as_str()
    );
}

#[test]
fn wheels_by_url() {
    let index = index([Distribution::from(pure("a").build()).unlisted()]);
    let project = project(&index);
    let (url, right) = (index.file_url(&pure_name("a")), pure("a").build().sha256);
    let other = "0".repeat(64);
    for (requirement, code) in [
        (format!("a @ {url}"), 0),
        (format!("a @ {url}#sha256={right}"), 0),
        (url.clone(), 0),
        (format!("a @ {url}#sha256={other}"), 3),
        (format!("a @ {url} --hash=sha256:{other}"), 3),
        (format!("a @ {url} --hash=sha256:{right}"), 0),
    ] {
        let _ = std::fs::remove_dir_all(project.layers());
        let _ = std::fs::remove_dir_all(project.cache());
        project.write("requirements.txt", &requirement);
        let run = build(&project).exits(code);
        let expected = if code == 0 { 2 } else { 0 };
        assert_eq!(project.outputs().len(), expected, "{requirement}: {run}");
        project.assert_tidy();
    }
}

/// There is no lock file that anybody could write again.
#[test]
fn a_wheel_by_url_that_is_another_version() {
    let other = WheelForge::new("a", "2.0").build();
    let renamed = Wheel {
        metadata: other.metadata.clone(),
        ..Wheel::new(pure_name("a"), other.bytes.clone())
    };
    let index = index([Distribution::from(renamed).unlisted()]);
    let url = index.file_url(&pure_name("a"));
    let run = unresolvable(&index, &format!("a @ {url}\n"), 3, "PackageUnusable").to_string();
    assert!(!run.contains("lock"), "{run}");
}

#[test]
fn an_index_that_fails() {
    let index = index([pure("a").build()]);
    let project = project(&index);
    project.write("requirements.txt", "a\n");
    for (status, exit, code) in [
        (500, 4, "UpstreamUnavailable"),
        (503, 4, "UpstreamUnavailable"),
        (404, 3, "PackageNotFound"),
        (401, 3, "IndexForbidden"),
        (403, 3, "IndexForbidden"),
    ] {
        index.fault("/simple/a/", Fault::Status(status));
        let mut command = project.command(["build", "requirements.txt"]);
        command.args(ONE.split(' ')).env("UV_HTTP_RETRIES", "0");
        let run = project.finish(command).fails(exit, code);
        snapshot!(format!("index_status_{status}"), run);
        assert_nothing_is_left(&project);
    }
    index.fault("/simple/a/", Fault::StatusTimes(503, 2));
    build(&project).exits(0);
}

#[test]
fn credentials_in_the_url_of_the_index_are_not_told() {
    let index = index([pure("a").build()]);
    let url = index.url().replace("://", "://user:s3cret@");
    let project = Project::with_index_url(crate::PROGRAM, Some(url));
    project.write("requirements.txt", "a\nb\n");
    for (path, fault) in [
        ("/simple/a/", Fault::Status(401)),
        ("/simple/a/", Fault::Status(500)),
        ("/simple/b/", Fault::Status(404)),
        (&pure_name("a"), Fault::Status(500)),
    ] {
        index.fault(path, fault);
        let mut command = project.command(["build", "requirements.txt"]);
        command.args(ONE.split(' ')).env("UV_HTTP_RETRIES", "0");
        let run = project.finish(command);
        assert_ne!(run.code, Some(0), "{run}");
        assert!(!run.to_string().contains("s3cret"), "{run}");
        index.heal(path);
        if path.starts_with("/simple/b") {
            project.write("requirements.txt", "a\n");
        }
    }
    project
        .run(&format!("build requirements.txt {ONE}"))
        .exits(0);
    let manifest = project.manifest(LAYER).to_string();
    assert!(!manifest.contains("s3cret"), "{manifest}");
}

#[test]
fn credentials_in_the_url_of_the_index_serve_for_its_files() {
    let index = index([pure("a").build()]);
    // `user` and `s3cret:@`.
    index.require_authorization("Basic dXNlcjpzM2NyZXQ6QA==");
    let url = index.url().replace("://", "://user:s3cret%3A%40@");
    let project = Project::with_index_url(crate::PROGRAM, Some(url));
    project.write("requirements.txt", "a\n");
    build(&project).exits(0);

    // They are for the index's own server only.
    let elsewhere = crate::index([pure("a").build()]);
    elsewhere.require_authorization("Basic dXNlcjpzM2NyZXQ6QA==");
    index.fault(
        &pure_name("a"),
        Fault::Redirect(elsewhere.file_url(&pure_name("a"))),
    );
    fs::remove_dir_all(project.cache()).unwrap();
    fs::remove_dir_all(project.layers()).unwrap();
    build(&project).fails(3, "FileNotFound");
    assert_eq!(elsewhere.count(&pure_name("a")), 1);
}

#[test]
fn an_index_that_is_not_there() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/simple/", listener.local_addr().unwrap());
    drop(listener);
    let project = Project::with_index_url(crate::PROGRAM, Some(url));
    project.write("requirements.txt", "a\n");
    let mut command = project.command(["build", "requirements.txt"]);
    command.env("UV_HTTP_RETRIES", "0");
    snapshot!(project.finish(command).fails(4, "UpstreamUnavailable"));
    assert_nothing_is_left(&project);
}

#[test]
fn a_file_over_plain_http() {
    // uv follows the lock's word; nothing is asked of the other host.
    let project = project(&index([pure("a").build()]));
    let sha256 = pure("a").build().sha256;
    project.write(
        "pylock.toml",
        format!(
            "lock-version = \"1.0\"\ncreated-by = \"test\"\n\n[[packages]]\nname = \"a\"\n\
             version = \"1.0\"\nwheels = [{{ url = \"http://192.0.2.1/a-1.0-py3-none-any.whl\", \
             hashes = {{ sha256 = \"{sha256}\" }} }}]\n"
        ),
    );
    let run = project
        .run(&format!("build pylock.toml {ONE}"))
        .fails(3, "InsecureUrl");
    snapshot!(run);
    assert_nothing_is_left(&project);
}
