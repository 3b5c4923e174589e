//! Lock files of every format, as bare files and inside requests, and scripts.

use std::fs;

use accretion_testing::forge::{Wheel, sha256_hex};
use accretion_testing::index::PackageIndex;
use integration_tests::{Project, names, snapshot};
use serde_json::{Value, json};

use crate::{LAYER, ONE, index, project, pure, pure_name};

/// The packages: `a` requires `b`, and `t` is for development.
fn packages() -> [Wheel; 3] {
    [
        pure("a").requires("b").build(),
        pure("b").build(),
        pure("t").build(),
    ]
}

/// A lock file with the name of its format, and the `pyproject.toml` that it needs, if any.
type Lock = (&'static str, String, Option<&'static str>);

/// The lock that every tool would write of `a`, with `t` in a group of development.
fn locks(index: &PackageIndex) -> Vec<Lock> {
    let [a, b, t] = &packages();
    let simple = index.url();
    let url = |wheel: &Wheel| index.file_url(&wheel.filename);
    let uv = |wheel: &Wheel, name: &str, requires: &str| {
        format!(
            "[[package]]\nname = '{name}'\nversion = '1.0'\nsource = {{ registry = '{simple}' }}\n\
             dependencies = [{requires}]\nwheels = [{{ url = '{}', hash = 'sha256:{}' }}]\n",
            url(wheel),
            wheel.sha256
        )
    };
    let root = "[[package]]\nname = 'tools'\nversion = '0.1'\nsource = { virtual = '.' }\n\
                dependencies = [{ name = 'a' }]\n[package.dev-dependencies]\ndev = [{ name = 't' }]\n";
    let uv = [
        "version = 1\nrevision = 3\nrequires-python = '>=3.12'\n".to_owned(),
        uv(a, "a", "{ name = 'b' }"),
        uv(b, "b", ""),
        uv(t, "t", ""),
        root.to_owned(),
    ]
    .concat();
    let file = |wheel: &Wheel| {
        format!(
            "{{file = '{}', hash = 'sha256:{}'}}",
            wheel.filename, wheel.sha256
        )
    };
    let poetry = |wheel: &Wheel, name: &str, more: &str| {
        format!(
            "[[package]]\nname = '{name}'\nversion = '1.0'\nfiles = [{}]\n{more}\n",
            file(wheel)
        )
    };
    let new_poetry = [
        poetry(a, "a", "groups = ['main']"),
        poetry(b, "b", "groups = ['main', 'dev']"),
        poetry(t, "t", "groups = ['dev']"),
        "[metadata]\nlock-version = '2.1'\npython-versions = '^3.12'\n".to_owned(),
    ];
    let old_poetry = [
        poetry(a, "a", "[package.dependencies]\nb = '*'"),
        poetry(b, "b", ""),
        poetry(t, "t", ""),
        "[metadata]\nlock-version = '2.0'\npython-versions = '^3.12'\n".to_owned(),
    ];
    let project = "[tool.poetry.dependencies]\npython = '^3.12'\na = '*'\n\
                   [tool.poetry.group.dev.dependencies]\nt = '*'\n";
    let entry =
        |wheel: &Wheel| json!({"version": "==1.0", "hashes": [format!("sha256:{}", wheel.sha256)]});
    let pipfile = json!({
        "_meta": {
            "pipfile-spec": 6,
            "requires": {},
            "sources": [{"name": "local", "url": simple, "verify_ssl": true}],
        },
        "default": {"a": entry(a), "b": entry(b)},
        "develop": {"t": entry(t)},
    });
    let pdm = |wheel: &Wheel, name: &str, group: &str, file: &str| {
        format!(
            "[[package]]\nname = '{name}'\nversion = '1.0'\ngroups = ['{group}']\n\
             files = [{{{file}, hash = 'sha256:{}'}}]\n",
            wheel.sha256
        )
    };
    let pdm = |file: &dyn Fn(&Wheel) -> String| {
        [
            "[metadata]\ngroups = ['default', 'dev']\nstrategy = ['inherit_metadata']\nlock_version = '4.5.0'\n\
             [[metadata.targets]]\nrequires_python = '>=3.12'\n"
                .to_owned(),
            pdm(a, "a", "default", &file(a)),
            pdm(b, "b", "default", &file(b)),
            pdm(t, "t", "dev", &file(t)),
        ]
        .concat()
    };
    vec![
        ("uv.lock", uv, None),
        ("poetry.lock", new_poetry.concat(), None),
        ("poetry.lock", old_poetry.concat(), Some(project)),
        ("Pipfile.lock", pipfile.to_string(), None),
        (
            "pdm.lock",
            pdm(&|wheel| format!("file = '{}'", wheel.filename)),
            None,
        ),
        (
            "pdm.lock",
            pdm(&|wheel| format!("url = '{}'", url(wheel))),
            None,
        ),
    ]
}

fn group_of(kind: &str) -> &'static str {
    match kind {
        "Pipfile.lock" => "develop",
        _ => "dev",
    }
}

fn installed(project: &Project) -> Vec<String> {
    let manifest = project.manifest(LAYER);
    let installed = manifest["Installed"].as_array();
    let installed = installed.into_iter().flatten();
    let text = |it: &Value, field: &str| it[field].as_str().unwrap_or_default().to_owned();
    installed
        .map(|it| format!("{}=={}", text(it, "Name"), text(it, "Version")))
        .collect()
}

#[test]
fn lock_files_of_every_tool_give_the_same_layer() {
    let index = index(packages());
    let resolved = project(&index);
    resolved.write("requirements.txt", "a\n");
    resolved
        .run(&format!("build requirements.txt {ONE}"))
        .exits(0);
    for (kind, text, beside) in locks(&index) {
        let project = project(&index);
        project.write(kind, &text);
        if let Some(beside) = beside {
            let run = project.run(&format!("build {kind} {ONE}"));
            run.fails(3, "LockProjectMissing");
            project.write("pyproject.toml", beside);
        }
        let run = project.run(&format!("check {kind}")).exits(0);
        let group = group_of(kind);
        assert_eq!(
            run.stderr,
            format!(
                "note: left out: group {group}; --group adds it\n\
                 no problems found; use --resolve to resolve the input, too\n"
            ),
            "{kind}"
        );
        project.run(&format!("build {kind} {ONE}")).exits(0);
        assert_eq!(installed(&project), ["a==1.0", "b==1.0"], "{kind}");
        assert!(project.zip(LAYER) == resolved.zip(LAYER), "{kind}");
        assert_eq!(
            project.manifest(LAYER)["Requirements"],
            json!(["a==1.0", "b==1.0"])
        );

        project
            .run(&format!("build {kind} --group {group} {ONE}"))
            .exits(0);
        assert_eq!(
            installed(&project),
            ["a==1.0", "b==1.0", "t==1.0"],
            "{kind}"
        );
        let run = project.run(&format!("build {kind} --group nothing {ONE}"));
        run.fails(3, "GroupUnknown");
        let run = project.run(&format!("build {kind} --extra nothing {ONE}"));
        run.fails(3, "ExtraUnknown");
        project.assert_tidy();

        // The same inside a request.
        let mut requirements = json!({"Type": kind, "Requirements": text});
        if let Some(beside) = beside {
            requirements["Project"] = json!(beside);
        }
        let request = json!({
            "Name": "tools",
            "Language": "python",
            "Requirements": requirements,
            "Groups": [group],
        });
        project.write("request.json", request.to_string());
        let run = project
            .run(&format!("build request.json --format json {ONE}"))
            .exits(0);
        assert_eq!(run.json()["Layers"][0]["Packages"], 3, "{kind}");
    }
}

/// The lock files whose files have to be located.
fn hashes_only(index: &PackageIndex) -> Vec<Lock> {
    let locks = locks(index).into_iter();
    locks
        .filter(|(_, text, _)| !text.contains("url = "))
        .collect()
}

#[test]
fn where_files_are_is_asked_once() {
    let index = index(packages());
    let all = hashes_only(&index);
    assert_eq!(all.len(), 4);
    for (kind, text, beside) in all {
        let project = project(&index);
        project.write(kind, &text);
        if let Some(beside) = beside {
            project.write("pyproject.toml", beside);
        }
        let build = format!("build {kind} {ONE}");
        project.run(&build).exits(0);
        let zip = project.zip(LAYER);
        fs::remove_dir_all(project.layers()).unwrap();
        index.forget_requests();
        let mut without_uv = project.command(build.split(' '));
        without_uv.env("ACCRETION_UV", "/nowhere/uv");
        project.finish(without_uv).exits(0);
        assert!(project.zip(LAYER) == zip, "{kind}");
        assert_eq!(index.requests(), [], "{kind}");
        // For another target it is another question.
        let mut other = project.command(["build", kind, "--runtime", "python3.12"]);
        other.env("ACCRETION_UV", "/nowhere/uv");
        project.finish(other).fails(1, "UvMissing");
    }
}

/// Replaces what is remembered of where files are.
fn remember(project: &Project, change: impl Fn(&str) -> String) {
    let folder = project.cache().join("located");
    let all = names(&folder);
    assert_eq!(all.len(), 1, "{all:?}");
    let path = folder.join(&all[0]);
    let answer = fs::read_to_string(&path).expect("it is there");
    fs::write(&path, change(&answer)).expect("it can be written");
}

#[test]
fn what_is_remembered_of_places_may_be_wrong() {
    let index = index(packages());
    let (kind, text, _) = hashes_only(&index).remove(0);
    let project = project(&index);
    project.write(kind, &text);
    let build = format!("build {kind} {ONE}");
    project.run(&build).exits(0);
    let zip = project.zip(LAYER);
    let moved = |answer: &str| {
        let (_, lock) = answer.split_once('\n').unwrap();
        let lock = lock.replace("/files/b-", "/gone/b-");
        format!("{}\n{lock}", sha256_hex(lock.as_bytes()))
    };
    let damages: [&dyn Fn(&str) -> String; 4] = [
        &moved,
        // Whatever it says then, its hash does not agree.
        &|answer| answer.replace("/files/b-", "/gone/b-"),
        &|answer| answer[..answer.len() / 2].to_owned(),
        &|_| String::new(),
    ];
    for damage in damages {
        remember(&project, damage);
        fs::remove_dir_all(project.layers()).unwrap();
        fs::remove_dir_all(project.cache().join("wheels")).unwrap();
        project.run(&build).exits(0);
        assert!(project.zip(LAYER) == zip);
        remember(&project, |answer| {
            assert!(answer.contains("/files/b-"), "{answer}");
            answer.to_owned()
        });
    }
    // What is gone for good is asked for once more, and no more.
    index.remove(&pure_name("b"));
    fs::remove_dir_all(project.layers()).unwrap();
    fs::remove_dir_all(project.cache().join("wheels")).unwrap();
    let run = project.run(&build).exits(3);
    assert_eq!(run.codes().len(), 1, "{run}");
}

#[test]
fn nothing_but_what_was_locked() {
    let index = index(packages());
    for (kind, text, beside) in hashes_only(&index) {
        let project = project(&index);
        // The index has another file by now.
        let other = text.replace(&packages()[1].sha256, &"0".repeat(64));
        project.write(kind, &other);
        if let Some(beside) = beside {
            project.write("pyproject.toml", beside);
        }
        let run = project.run(&format!("build {kind} {ONE}"));
        run.fails(3, "HashNotAllowed");
        assert_eq!(project.outputs(), [""; 0]);
    }
}

#[test]
fn an_index_that_a_lock_names_is_not_replaced() {
    let theirs = index(packages());
    let ours = index([pure("a").file("evil.py", "").build(), pure("b").build()]);
    for (kind, text, _) in locks(&theirs) {
        let named = text
            .contains("files = [{file = 'a-")
            .then_some(text.clone());
        let text = match (kind, named) {
            ("poetry.lock", Some(text)) => {
                let source = format!(
                    "[package.source]\ntype = 'legacy'\nurl = '{}'\n",
                    theirs.url()
                );
                let (before, after) = text.split_once("[[package]]\nname = 'b'").unwrap();
                let (b, after) = after.split_once("[[package]]").unwrap();
                let sources =
                    format!("{before}{source}[[package]]\nname = 'b'{b}{source}[[package]]{after}");
                if text.contains("2.0") {
                    continue;
                }
                sources
            }
            ("Pipfile.lock", _) => text,
            _ => continue,
        };
        let project = project(&ours);
        project.write(kind, &text);
        ours.forget_requests();
        project.run(&format!("build {kind} {ONE}")).exits(0);
        assert_eq!(installed(&project), ["a==1.0", "b==1.0"]);
        assert_eq!(ours.requests(), [], "{kind}");
    }
}

#[test]
fn scripts() {
    let index = index(packages());
    let project = project(&index);
    let script = |metadata: &str| {
        format!("#!/usr/bin/env python3\n# /// script\n{metadata}# ///\nimport a\n")
    };
    project.write(
        "report.py",
        script("# requires-python = \">=3.13\"\n# dependencies = [\"a\"]\n"),
    );
    let run = project
        .run("build report.py --name tools --runtime python3.12 --runtime python3.13 --architecture x86_64")
        .exits(3);
    snapshot!("script", run);
    assert_eq!(installed(&project), ["a==1.0", "b==1.0"]);
    let layer = project.content(LAYER);
    assert!(!layer.keys().any(|name| name.contains("report")));
    let run = project.run("check report.py --runtime python3.12").exits(3);
    snapshot!("script_checked", run);
    let run = project.run(&format!("build report.py --group dev {ONE}"));
    run.fails(3, "GroupUnknown");

    project.write(
        "report.py",
        script("# dependencies = [\"a\"]\n# [tool.uv]\n# sources = {}\n"),
    );
    let run = project.run("build report.py").exits(3);
    assert_eq!(run.codes(), ["OptionUnsupported"]);
    snapshot!("script_refused", run);
    project.write("report.py", "import a\n");
    snapshot!(
        "script_without_metadata",
        project.run("build report.py").fails(3, "ScriptInvalid")
    );
}

#[test]
fn what_is_wrong_with_lock_files_is_said() {
    let index = index(packages());
    let project = project(&index);
    let (_, old, _) = locks(&index).remove(2);
    project
        .write("poetry.lock", old)
        .write("uv.lock", "version = 9\n")
        .write("Pipfile.lock", "{\n\"_meta\": {\n\"pipfile-spec\": six}}\n")
        .write(
            "pdm.lock",
            "[metadata]\nlock_version = \"4.5.0\"\nstrategy = [\n",
        );
    for name in ["poetry.lock", "uv.lock", "Pipfile.lock", "pdm.lock"] {
        let run = project.run(&format!("check {name}")).exits(3);
        snapshot!(format!("check_{name}"), run);
    }
    assert_eq!(index.requests(), []);
}

/// Pipenv hands such an entry to pip, which knows of no extra and ignores it.
#[test]
fn an_entry_of_a_pipfile_that_waits_for_an_extra_is_left_out_with_a_warning() {
    let index = index(packages());
    let entries = [
        ("extra == 'x'", false),
        ("'x' == extra", false),
        ("extra == 'x' and python_version >= '3.8'", false),
        ("sys_platform == 'win32' or extra == 'x'", false),
        ("extra != 'x'", true),
        ("extra == 'x' or python_version >= '3.8'", true),
        ("python_version >= '3.8'", true),
    ];
    let project = project(&index);
    for (marker, is_installed) in entries {
        let [a, b, _] = packages();
        let entry = |wheel: &Wheel| json!({"version": "==1.0", "hashes": [format!("sha256:{}", wheel.sha256)]});
        let mut waits = entry(&a);
        waits["markers"] = marker.into();
        let lock = json!({
            "_meta": {
                "pipfile-spec": 6, "requires": {},
                "sources": [{"name": "local", "url": index.url(), "verify_ssl": true}],
            },
            "default": {"a": waits, "b": entry(&b)},
        });
        project.write("Pipfile.lock", lock.to_string());
        let set = json!({"Type": "Pipfile.lock", "Requirements": lock.to_string()});
        let request = json!({"Name": "tools", "Language": "python", "Requirements": set});
        project.write("request.json", request.to_string());
        for input in ["Pipfile.lock", "request.json"] {
            let run = project.run(&format!("check {input}")).exits(0);
            let warns = run.stderr.contains("warning[RequirementNeverApplies]");
            assert_eq!(warns, !is_installed, "{marker}: {run}");
        }
        project.run(&format!("build Pipfile.lock {ONE}")).exits(0);
        let all: &[&str] = if is_installed {
            &["a==1.0", "b==1.0"]
        } else {
            &["b==1.0"]
        };
        assert_eq!(installed(&project), all, "{marker}");
    }
}
