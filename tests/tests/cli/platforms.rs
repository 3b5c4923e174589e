//! Versions whose wheels are for a newer C library than the runtime's.

use accretion_testing::forge::{Wheel, WheelForge};
use accretion_testing::index::PackageIndex;
use integration_tests::{Project, Run};

use crate::{index, project};

/// Amazon Linux 2, with glibc 2.26.
const OLD: &str = "--runtime python3.11 --architecture arm64";
const OLD_LAYER: &str = "tools-py311-arm64";

fn wheel(name: &str, version: &str, platform: &str) -> WheelForge {
    let module = format!("{name}.py");
    let wheel = WheelForge::new(name, version).file(&module, version);
    match platform {
        "any" => wheel,
        platform => wheel.tag(&format!("py3-none-{platform}_aarch64")),
    }
}

fn wheels(versions: &[(&str, &str)]) -> Vec<Wheel> {
    let wheels = versions.iter();
    let wheels = wheels.map(|(version, platform)| wheel("many", version, platform).build());
    wheels.collect()
}

fn build(project: &Project, target: &str) -> Run {
    let build = format!("build requirements.txt --name tools {target}");
    project.run(&build)
}

fn version(project: &Project, layer: &str, at: usize) -> String {
    let version = &project.manifest(layer)["Installed"][at]["Version"];
    version.as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_newest_version_whose_wheel_fits_is_taken() {
    for (versions, expected) in [
        (&[("1.0", "any"), ("2.0", "manylinux_2_24")] as &[_], "2.0"),
        (&[("1.0", "any"), ("2.0", "manylinux_2_26")], "2.0"),
        (&[("1.0", "any"), ("2.0", "manylinux_2_18")], "2.0"),
        (&[("1.0", "any"), ("2.0", "manylinux_2_17")], "2.0"),
        (&[("1.0", "any"), ("2.0", "manylinux2014")], "2.0"),
        (&[("1.0", "any"), ("2.0", "manylinux_2_27")], "1.0"),
        (&[("1.0", "any"), ("2.0", "manylinux_2_28")], "1.0"),
        (&[("1.0", "any"), ("2.0", "manylinux_2_31")], "1.0"),
        (&[("1.0", "any"), ("2.0", "musllinux_1_2")], "1.0"),
        (
            &[
                ("1.0", "any"),
                ("1.5", "manylinux_2_24"),
                ("2.0", "manylinux_2_27"),
                ("2.5", "manylinux_2_28"),
                ("3.0.post1", "manylinux_2_28"),
                ("4.0+local", "manylinux_2_28"),
            ],
            "1.5",
        ),
        // One of two files of a version is enough.
        (
            &[
                ("1.0", "any"),
                ("2.0", "manylinux_2_28"),
                ("2.0", "manylinux_2_25"),
            ],
            "2.0",
        ),
    ] {
        let index = index(wheels(versions));
        let project = project(&index);
        project.write("requirements.txt", "many\n");
        build(&project, OLD).exits(0);
        assert_eq!(version(&project, OLD_LAYER, 0), expected, "{versions:?}");
    }
}

#[test]
fn a_version_that_does_not_fit_takes_nothing_along() {
    let index = index(wheels(&[("1.0", "any"), ("2.0", "manylinux_2_28")]));
    for version in ["1.0", "2.0"] {
        let requires = format!("many=={version}");
        index.add(wheel("parent", version, "any").requires(&requires).build());
    }
    let project = project(&index);
    project.write("requirements.txt", "parent\n");
    for (target, layer, expected) in [
        (OLD, OLD_LAYER, "1.0"),
        (
            "--runtime python3.12 --architecture arm64",
            "tools-py312-arm64",
            "2.0",
        ),
    ] {
        build(&project, target).exits(0);
        for at in [0, 1] {
            assert_eq!(version(&project, layer, at), expected, "{target}");
        }
    }
    // What was found out serves without a network, too.
    build(&project, &format!("{OLD} --offline")).exits(0);
}

#[test]
fn no_version_that_fits_is_told_in_terms_of_what_was_required() {
    let newer = [("2.0", "manylinux_2_27"), ("2.5", "manylinux_2_28")];
    let index = index(wheels(&newer));
    index.add(wheel("many", "1.0", "any").build());
    index.add(wheel("parent", "1.0", "any").requires("many>=2").build());
    let project = project(&index);
    for requirements in ["many>=2", "many==2.5", "parent", "many\n-c constraints.txt"] {
        project.write("requirements.txt", requirements);
        project.write("constraints.txt", "many>2");
        let run = build(&project, OLD).fails(3, "WheelNotFound");
        assert!(run.stderr.contains("many 2.5 has no wheel"), "{run}");
        assert!(!run.stderr.contains("!="), "{run}");
    }
}

#[test]
fn a_package_has_an_end_of_versions_that_are_tried() {
    let versions: Vec<_> = (1..=60).map(|minor| format!("1.{minor}")).collect();
    let all: Vec<_> = versions
        .iter()
        .map(|version| (version.as_str(), "manylinux_2_28"))
        .collect();
    let index = index(wheels(&all));
    let project = project(&index);
    project.write("requirements.txt", "many\n");
    let run = build(&project, OLD).fails(3, "WheelNotFound");
    assert!(run.stderr.contains("many 1.11 has no wheel"), "{run}");
}

/// The files of a pinned version are located by the same platform.
#[test]
fn a_lock_of_a_wheel_that_fits_is_built() {
    let wheel = wheel("many", "2.0", "manylinux_2_24").build();
    let index = PackageIndex::start([&wheel]);
    let project = project(&index);
    let Wheel {
        filename, sha256, ..
    } = &wheel;
    let hash = format!("sha256:{sha256}");
    project.write(
        "poetry.lock",
        format!(
            "[[package]]\nname = 'many'\nversion = '2.0'\ngroups = ['main']\n\
             files = [{{file = '{filename}', hash = '{hash}'}}]\n\
             [metadata]\nlock-version = '2.1'\npython-versions = '*'\n"
        ),
    );
    project.write("requirements.txt", format!("many==2.0 --hash={hash}\n"));
    for input in ["poetry.lock", "requirements.txt"] {
        let build = format!("build {input} --name tools {OLD}");
        project.run(&build).exits(0);
        assert_eq!(version(&project, OLD_LAYER, 0), "2.0");
    }
}
