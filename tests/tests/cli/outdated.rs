//! Lock files that are not up to date with their projects, what a lock file has beside what is built,
//! and a uv that is too old.

use std::os::unix::fs::PermissionsExt as _;

use accretion_testing::forge::Wheel;
use accretion_testing::index::PackageIndex;
use integration_tests::{Project, names, snapshot};
use serde_json::json;

use crate::{LAYER, ONE, index, project, pure};

/// A lock file of uv of a project that requires `a`, with groups and extras.
fn lock(index: &PackageIndex) -> String {
    let package = |wheel: &Wheel, name: &str| {
        format!(
            "[[package]]\nname = '{name}'\nversion = '1.0'\nsource = {{ registry = '{}' }}\n\
             wheels = [{{ url = '{}', hash = 'sha256:{}' }}]\n",
            index.url(),
            index.file_url(&wheel.filename),
            wheel.sha256
        )
    };
    [
        "version = 1\nrequires-python = '>=3.12'\n".to_owned(),
        package(&pure("a").build(), "a"),
        package(&pure("t").build(), "t"),
        "[[package]]\nname = 'app'\nversion = '0.1'\nsource = { virtual = '.' }\n\
         dependencies = [{ name = 'a' }]\n\
         [package.dev-dependencies]\ndev = [{ name = 't' }]\n\
         [package.metadata]\nrequires-dist = [{ name = 'a' }]\nprovides-extras = ['more']\n\
         [package.metadata.requires-dev]\ndev = [{ name = 't' }]\nweb = []\n"
            .to_owned(),
    ]
    .concat()
}

fn pyproject(dependencies: &str) -> String {
    format!(
        "[project]\nname = 'app'\nversion = '0.2'\nrequires-python = '>=3.12'\n\
         dependencies = [{dependencies}]\n[project.optional-dependencies]\nmore = []\n\
         [dependency-groups]\ndev = ['t']\nweb = []\n[tool.uv]\npackage = false\n"
    )
}

fn app() -> (PackageIndex, Project) {
    let index = index([pure("a").build(), pure("t").build(), pure("rich").build()]);
    let project = project(&index);
    project.write("uv.lock", lock(&index));
    (index, project)
}

#[test]
fn a_lock_that_lacks_what_the_project_requires() {
    let (_index, project) = app();
    // A new version of the project itself is no difference.
    project.write("pyproject.toml", pyproject("'a'"));
    for options in ["", "--project ."] {
        let run = project
            .run(&format!("build uv.lock {options} {ONE}"))
            .exits(0);
        assert!(!run.stderr.contains("LockOutdated"), "{run}");
    }
    project.write("pyproject.toml", pyproject("'a', 'rich'"));
    // It merely lies beside.
    let run = project.run(&format!("build uv.lock {ONE}")).exits(0);
    assert!(run.stderr.contains("warning[LockOutdated]"), "{run}");
    let run = project.run(&format!("check uv.lock {ONE}")).exits(0);
    snapshot!("lock_outdated_checked", run);
    std::fs::remove_dir_all(project.layers()).unwrap();
    let run = project.run(&format!("build uv.lock --project . {ONE}"));
    snapshot!("lock_outdated", run.fails(3, "LockOutdated"));
    let run = project.run(&format!("build uv.lock --project . --format json {ONE}"));
    assert_eq!(run.exits(3).json()["Problems"][0]["Code"], "LockOutdated");
    assert_eq!(project.outputs(), [""; 0]);
}

/// The metadata of a project say what it requires, wherever the lock file is.
#[test]
fn a_lock_elsewhere_has_to_have_what_the_project_requires() {
    let (index, project) = app();
    project.write("locks/uv.lock", lock(&index));
    for (dependencies, is_met) in [
        ("'a'", true),
        ("'a>=1'", true),
        ("'a>=2'", false),
        ("'a', 'rich'", false),
        ("'a', \"rich; sys_platform == 'win32'\"", true),
    ] {
        project.write("app/pyproject.toml", pyproject(dependencies));
        let run = project.run(&format!(
            "build locks/uv.lock --name tools --project app {ONE}"
        ));
        let expected: &[&str] = if is_met { &[] } else { &["LockOutdated"] };
        assert_eq!(run.codes(), expected, "{dependencies}: {run}");
        if !is_met {
            assert!(run.stderr.contains("make it again: `uv lock`"), "{run}");
        }
    }
}

/// A lock file that needs its project does not merely lie beside it.
#[test]
fn a_lock_whose_project_is_needed() {
    let (index, project) = app();
    let wheel = pure("a").build();
    let text = format!(
        "[[package]]\nname = 'a'\nversion = '1.0'\n\
         files = [{{file = '{}', hash = 'sha256:{}'}}]\n\
         [metadata]\nlock-version = '2.0'\npython-versions = '*'\n\
         content-hash = '0123456789012345678901234567890123456789012345678901234567890123'\n",
        wheel.filename, wheel.sha256
    );
    let of_poetry = "[tool.poetry.dependencies]\npython = '*'\na = '*'\n";
    project.write("poetry.lock", &text);
    project.write("pyproject.toml", of_poetry);
    let requirements = json!({"Type": "poetry.lock", "Requirements": text, "Project": of_poetry});
    let request = json!({"Name": "tools", "Language": "python", "Requirements": requirements});
    project.write("request.json", request.to_string());
    for input in ["poetry.lock", "request.json"] {
        for command in ["check", "build", "lock"] {
            let run = project.run(&format!("{command} {input} {ONE}"));
            let run = run.fails(3, "LockOutdated").to_string();
            assert!(run.contains("`poetry lock`"), "{run}");
        }
    }
    assert_eq!(index.requests(), []);
}

#[test]
fn what_is_not_selected_is_named_once() {
    let (_index, project) = app();
    let said = |options: &str| {
        let run = project
            .run(&format!("build uv.lock {options} {ONE}"))
            .exits(0);
        let lines = run.stderr.lines().filter(|line| line.starts_with("note: "));
        lines.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let extra = "note: left out: extra more; --extra adds it";
    assert_eq!(
        said(""),
        ["note: left out: groups dev, web; --group adds them", extra]
    );
    assert_eq!(
        said("--group web"),
        ["note: left out: group dev; --group adds it", extra]
    );
    assert_eq!(said("--group web --group dev --extra more"), [""; 0]);
    assert_eq!(said("--quiet"), [""; 0]);
    let all = format!("build uv.lock --group web --group dev --extra more --format json {ONE}");
    assert!(project.run(&all).exits(0).json().get("LeftOut").is_none());
    for command in ["build", "check", "lock"] {
        let run = project.run(&format!("{command} uv.lock --format json {ONE}"));
        let expected = json!({"Groups": ["dev", "web"], "Extras": ["more"]});
        assert_eq!(run.exits(0).json()["LeftOut"], expected, "{command}");
    }
}

#[test]
fn packages_are_left_out_by_name() {
    let (index, project) = app();
    index.add(pure("needs").requires("a").build());
    project.write("requirements.txt", "needs\nt\n");
    let build = format!("build requirements.txt --exclude A --exclude t {ONE}");
    project.run(&build).exits(0);
    let manifest = project.manifest(LAYER);
    assert_eq!(manifest["Installed"].as_array().unwrap().len(), 1);
    assert_eq!(manifest["Excluded"][0]["Name"], "a");
    assert_eq!(manifest["Publish"]["Description"], "needs==1.0");
    project.run("build requirements.txt --exclude -").exits(2);
}

/// A uv that knows neither the format nor the subcommand that is asked for.
#[test]
fn an_old_uv() {
    let (_index, project) = app();
    project.write("requirements.txt", "a\n");
    let uv = project.path("uv");
    for (version, error, code) in [
        (
            "0.4.0 (abcdef 2024-08-20)",
            "unexpected argument '--format' found",
            "UvOutdated",
        ),
        (
            "0.9.30",
            "unexpected argument '--excludes' found",
            "UvOutdated",
        ),
        ("0.13.0", "unexpected argument '--format' found", "UvFailed"),
        ("99.0.0", "unexpected argument '--format' found", "UvFailed"),
    ] {
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'uv {version}'; exit; fi\n\
             echo \"error: {error}\" >&2\nexit 2\n"
        );
        project.write("uv", script);
        std::fs::set_permissions(&uv, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = project.command(format!("build requirements.txt {ONE}").split(' '));
        command.env("ACCRETION_UV", &uv);
        let run = project.finish(command).fails(1, code);
        if version.starts_with("0.4") {
            snapshot!("uv_outdated", run);
        }
    }
    // Nor does it build a project.
    project.write(
        "app/pyproject.toml",
        "[project]\nname = 'own'\nversion = '1'\n",
    );
    project.write(
        "uv",
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'uv 0.3.9'; exit; fi\n\
         echo \"error: unrecognized subcommand 'build'\" >&2\nexit 2\n",
    );
    let mut command = project.command(format!("build --project app {ONE}").split(' '));
    command.env("ACCRETION_UV", &uv);
    project.finish(command).fails(1, "UvOutdated");
    assert!(!names(project.root()).contains(&"layers".to_owned()));
}
