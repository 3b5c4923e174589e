//! `accretion lock`: what it writes gives the same layers, and others install the same from it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use accretion_testing::forge::Wheel;
use integration_tests::{Project, names, python, snapshot, uv};
use serde_json::json;

use crate::{DEFAULT_LAYERS, ONE, index, native, own_target, project, pure};

/// `app` needs `lib`, `native`, and `old` where Python is old.
fn app() -> Vec<Wheel> {
    let app = pure("app")
        .requires("lib")
        .requires("native")
        .requires("old; python_version < '3.13'")
        .requires("arm; platform_machine == 'aarch64'");
    ["lib", "old", "arm"]
        .map(|name| pure(name).build())
        .into_iter()
        .chain([app.build()])
        .chain(native())
        .collect()
}

fn text(project: &Project) -> String {
    fs::read_to_string(project.path("pylock.tools.toml")).expect("a lock was written")
}

#[test]
fn a_lock_makes_the_same_layers() {
    let index = index(app());
    let project = project(&index);
    project.write("requirements.txt", "app\n");
    project.run("build requirements.txt").exits(0);
    let before = DEFAULT_LAYERS.map(|layer| project.content(layer));

    let run = project.run("lock requirements.txt").exits(0);
    assert_eq!(run.stdout, "pylock.tools.toml\n", "{run}");
    let lock = text(&project);
    snapshot!("lock", lock);

    fs::remove_dir_all(project.layers()).unwrap();
    project.run("build pylock.tools.toml --offline").exits(0);
    assert_eq!(DEFAULT_LAYERS.map(|layer| project.content(layer)), before);

    // Locking what is locked changes nothing.
    project
        .run("lock pylock.tools.toml --output again --offline")
        .exits(0);
    assert_eq!(
        fs::read_to_string(project.path("again/pylock.tools.toml")).unwrap(),
        lock
    );
    project.assert_tidy();
}

#[test]
fn uv_installs_what_a_layer_has() {
    // Whatever Python there is can install these.
    let app = pure("app")
        .requires("lib")
        .requires("old; python_version < '4'");
    let index = index([app.build(), pure("lib").build(), pure("old").build()]);
    let project = project(&index);
    project.write("requirements.txt", "app\n");
    let target = own_target();
    let run = project.run(&format!("lock requirements.txt {target} --format json"));
    let mut document = run.exits(0).json();
    document.as_object_mut().unwrap().remove("Problems");
    let run = project.run(&format!("build requirements.txt {target} --format json"));
    let layer = run.exits(0).json()["Layers"][0]["Layer"].clone();
    let manifest = project.manifest(layer.as_str().unwrap());
    let installed = manifest["Installed"].as_array().unwrap().iter();
    let installed: BTreeSet<_> = installed
        .map(|it| format!("{}-1.0.dist-info", it["Name"].as_str().unwrap()))
        .collect();
    assert_eq!(
        document,
        json!({
            "Lock": "pylock.tools.toml",
            "Packages": installed.len(),
            "Warnings": [],
            "Failures": [],
        })
    );

    let sync = Command::new(uv())
        .args(["pip", "sync", "pylock.tools.toml", "--no-config"])
        .args(["--cache-dir", "../uv-cache", "--target", "../installed"])
        .arg("--python")
        .arg(&python().path)
        .current_dir(project.path(""))
        .output()
        .unwrap();
    assert!(
        sync.status.success(),
        "{}",
        String::from_utf8_lossy(&sync.stderr)
    );
    let folders = names(&project.root().join("installed")).into_iter();
    let folders = folders.filter(|name| name.ends_with(".dist-info"));
    assert_eq!(folders.collect::<BTreeSet<_>>(), installed);
}

#[test]
fn what_is_not_whole_is_not_written() {
    let only_x86 = pure("native")
        .tag("cp313-cp313-manylinux_2_17_x86_64")
        .purelib(false);
    let index = index([only_x86.build()]);
    let project = project(&index);
    project.write("requirements.txt", "native\n");
    project.write("pylock.tools.toml", "what was there\n");
    let run = project.run("lock requirements.txt --runtime python3.13");
    let run = run.fails(3, "WheelNotFound");
    snapshot!("not_whole", run);
    assert_eq!(text(&project), "what was there\n");
    project.assert_tidy();

    project
        .run(&format!("lock requirements.txt {ONE}"))
        .exits(0);
    assert!(text(&project).contains("x86_64.whl"));
    project.write("taken/pylock.tools.toml/in-the-way", "");
    let run = project.run(&format!("lock requirements.txt {ONE} --output taken"));
    run.fails(1, "FolderUnwritable");
    project.assert_tidy();
}

#[test]
fn a_lock_does_not_take_the_place_of_its_input_and_is_for_its_targets_alone() {
    let index = index([pure("lib").build()]);
    let project = project(&index);
    project.write("requirements.txt", "lib\n");
    project
        .run(&format!("lock requirements.txt {ONE}"))
        .exits(0);
    let lock = text(&project);
    project
        .run(&format!("lock pylock.tools.toml {ONE}"))
        .fails(3, "LockIsInput");
    assert_eq!(text(&project), lock);
    for other in [
        "--runtime python3.12 --architecture x86_64",
        "--runtime python3.13 --architecture arm64",
    ] {
        let run = project.run(&format!("build pylock.tools.toml {other}"));
        run.fails(3, "LockMismatch");
    }
    project.write("request.json", REQUEST_OF_NOTHING);
    project
        .run(&format!("lock request.json {ONE} --output elsewhere"))
        .fails(3, "LayerEmpty");
    assert!(!project.path("elsewhere").exists());
}

const REQUEST_OF_NOTHING: &str = r#"{
    "Name": "tools", "Language": "python", "Exclude": ["lib"],
    "Requirements": {"Type": "requirements.txt", "Requirements": "lib"}
}"#;
