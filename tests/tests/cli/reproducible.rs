//! The same inputs give the same bytes: anywhere, in any order, at any time.

use std::process::Command;

use accretion_testing::forge::Wheel;
use accretion_testing::index::{Distribution, PackageIndex};
use integration_tests::Project;
use serde_json::Value;

use crate::{DEFAULT_LAYERS, after, index, native, project, pure};

fn packages() -> Vec<Wheel> {
    let clash = |name: &str| {
        pure(name)
            .file("shared/clash.py", format!("# {name}\n"))
            .entry_point("console_scripts", name, "m:main")
            .data("scripts", &format!("{name}-tool"), "#!python\n")
            .build()
    };
    let names = ["a", "b", "c", "d", "e"];
    names.into_iter().map(clash).chain(native()).collect()
}

fn build(index: &PackageIndex, requirements: &str, settle: impl FnOnce(&mut Command)) -> Project {
    let project = project(index);
    project.write("requirements.txt", requirements);
    let mut command = project.command(["build", "requirements.txt"]);
    settle(&mut command);
    project.finish(command).exits(0);
    project
}

/// A manifest without the one thing that may differ.
fn timeless(project: &Project, layer: &str) -> Value {
    let mut manifest = project.manifest(layer);
    let built_at = manifest["Builder"]["BuiltAt"].take();
    assert!(built_at.is_string());
    manifest
}

#[track_caller]
fn assert_same(one: &Project, other: &Project) {
    for layer in DEFAULT_LAYERS {
        assert!(one.zip(layer) == other.zip(layer), "{layer}");
        assert_eq!(timeless(one, layer), timeless(other, layer), "{layer}");
    }
}

#[test]
fn in_other_folders_orders_and_environments() {
    let index = index(packages());
    let one = build(&index, "a\nb\nc\nd\ne\nnative\n", |_| {});
    let other = build(&index, "e\nnative\nB==1.0\nD>=0\nc\na\n", |command| {
        command
            .env("TZ", "Pacific/Kiritimati")
            .env("LC_ALL", "tr_TR.UTF-8")
            .env("LANG", "tr_TR.UTF-8")
            .env("SOURCE_DATE_EPOCH", "1000000000")
            .env("PYTHONHASHSEED", "1");
    });
    for layer in DEFAULT_LAYERS {
        assert!(one.zip(layer) == other.zip(layer), "{layer}");
        let same =
            |field: &str| assert_eq!(one.manifest(layer)[field], other.manifest(layer)[field]);
        [
            "Digest",
            "ArtifactSha256",
            "Installed",
            "Conflicts",
            "UnzippedSize",
        ]
        .into_iter()
        .for_each(same);
    }
    let shuffled = build(&index, "native\ne\nd\nc\nb\na\n", |_| {});
    assert_same(&one, &shuffled);
}

#[test]
fn with_any_umask() {
    let index = index(packages());
    let requirements = "a\nb\nnative\n";
    let one = build(&index, requirements, |_| {});
    let other = project(&index);
    other.write("requirements.txt", requirements);
    let command = other.command(["build", "requirements.txt"]);
    other.finish(after("umask 077", &command)).exits(0);
    assert_same(&one, &other);
}

#[test]
fn with_a_cold_or_a_warm_cache() {
    let index = index(packages());
    let requirements = "a\nb\nc\nd\ne\nnative\n";
    let cold = build(&index, requirements, |_| {});
    index.forget_requests();
    let warm = build(&index, requirements, |command| {
        command.env("ACCRETION_CACHE_DIR", cold.cache());
    });
    assert!(
        !index
            .requests()
            .iter()
            .any(|request| request.path.ends_with(".whl"))
    );
    assert_same(&cold, &warm);
}

#[test]
fn from_any_kind_of_index() {
    let json = index(packages());
    let html = index(packages());
    html.html_only();
    html.without_ranges();
    let bare = packages()
        .into_iter()
        .map(|wheel| Distribution::from(wheel).without_sha256().without_size());
    let bare = crate::index(bare.map(Distribution::without_core_metadata));
    let requirements = "c\na\nnative\n";
    let one = build(&json, requirements, |_| {});
    assert_same(&one, &build(&html, requirements, |_| {}));
    assert_same(&one, &build(&bare, requirements, |_| {}));
}
