//! Source distributions for the architecture that this machine does not have: built here, and taken
//! if what comes out is pure.

use std::fs;

use accretion_testing::forge::{SdistForge, WheelForge};
use accretion_testing::index::PackageIndex;
use integration_tests::{Project, python};

use crate::{index, own_target, project, pure};

/// An ELF header of a machine.
fn elf(machine: u8) -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
    bytes.resize(18, 0);
    bytes.extend([machine, 0]);
    bytes.resize(4096, 0);
    bytes
}

const X86_64: u8 = 62;
const AARCH64: u8 = 183;
const RISC_V: u8 = 243;

/// The machine's number, and that of the other architecture.
fn machines() -> (u8, u8) {
    match std::env::consts::ARCH {
        "aarch64" => (AARCH64, X86_64),
        _ => (X86_64, AARCH64),
    }
}

/// The target of this machine's Python on the other architecture.
fn foreign_target() -> String {
    let (runtime, architecture) = own_target()
        .rsplit_once(' ')
        .map(|(runtime, architecture)| (runtime.to_owned(), architecture.to_owned()))
        .expect("it names both");
    let other = match &*architecture {
        "arm64" => "x86_64",
        _ => "arm64",
    };
    format!("{runtime} {other}")
}

/// A project that requires a source distribution that builds a wheel, and leaves a line for each time.
fn requires(wheel: &WheelForge) -> (PackageIndex, Project) {
    let index = index([pure("other").build()]);
    let project = project(&index);
    let forge = SdistForge::new("source", "1.0").static_metadata();
    let canary = project.root().join("canary");
    index.add(forge.canary(&canary).builds(&wheel.build()).build());
    project.write("requirements.txt", "source\n");
    (index, project)
}

/// Returns the number of wheels that were built.
fn builds(project: &Project) -> usize {
    let seen = fs::read_to_string(project.root().join("canary")).unwrap_or_default();
    seen.lines().filter(|line| *line == "build_wheel").count()
}

fn build(target: &str) -> String {
    format!("build requirements.txt --allow-source-distributions {target}")
}

#[test]
fn what_is_pure_is_taken_and_the_rest_is_refused() {
    let cpython = python().runtime.replace("python3.", "cp3");
    let generic = cpython.replace("cp", "py");
    let machine = std::env::consts::ARCH;
    let (own, other) = machines();
    let tagged = |tag: &str| pure("source").tag(tag);
    let with = |code: &[(&str, u8)]| {
        code.iter().fold(pure("source"), |wheel, (path, machine)| {
            wheel.file(&format!("source/{path}"), elf(*machine))
        })
    };
    for (case, wheel, refused) in [
        ("universal", tagged("py2.py3-none-any"), None),
        ("of a version", tagged(&format!("{generic}-none-any")), None),
        ("of CPython", tagged(&format!("{cpython}-none-any")), None),
        (
            "code of both",
            with(&[("a.so", own), ("b.so", other)]),
            None,
        ),
        ("code of others", with(&[("firmware.elf", RISC_V)]), None),
        (
            "an extension",
            tagged(&format!("{cpython}-{cpython}-linux_{machine}")),
            Some(format!("its wheel is for linux_{machine}")),
        ),
        (
            "the stable ABI",
            tagged(&format!("{cpython}-abi3-manylinux_2_17_{machine}")),
            Some(format!("its wheel is for manylinux_2_17_{machine}")),
        ),
        (
            "a program",
            tagged(&format!(
                "py3-none-manylinux_2_17_{machine}.linux_{machine}"
            )),
            Some(format!(
                "its wheel is for linux_{machine}, manylinux_2_17_{machine}"
            )),
        ),
        (
            "a library in a pure wheel",
            with(&[("lib.so.1", own)]),
            Some("its wheel holds `source/lib.so.1`, which is for ".to_owned()),
        ),
        (
            "a program in a pure wheel",
            pure("source").data("scripts", "tool", elf(own)),
            Some("its wheel holds `bin/tool`, which is for ".to_owned()),
        ),
    ] {
        let (_index, project) = requires(&wheel);
        let run = project.run(&build(&foreign_target()));
        match refused {
            None => {
                let run = run.exits(0);
                assert_eq!(builds(&project), 1, "{case}: {run}");
            }
            Some(problem) => {
                let run = run.fails(3, "ArchitectureForeign");
                assert!(run.stderr.contains(&problem), "{case}: {run}");
                assert_eq!(project.outputs(), [""; 0], "{case}");
            }
        }
        // It does for the machine itself.
        project.run(&build(&own_target())).exits(0);
        assert_eq!(builds(&project), 1, "{case}");
        project.assert_tidy();
    }
}

#[test]
fn what_fits_no_target_is_no_wheel_for_either() {
    let (_index, project) = requires(&pure("source").tag("cp27-none-any"));
    for target in [own_target(), foreign_target()] {
        project.run(&build(&target)).fails(3, "WheelInvalid");
    }
}

#[test]
fn one_wheel_serves_both_architectures() {
    let (index, project) = requires(&pure("source"));
    let both = format!("--runtime {}", python().runtime);
    project.run(&build(&both)).exits(0);
    assert_eq!(builds(&project), 1);
    let layers = project.outputs();
    let content = |suffix: &str| {
        let zip = layers.iter().find(|name| name.ends_with(suffix));
        let layer = zip.and_then(|name| name.strip_suffix(".zip"));
        let layer = layer.expect("both are there");
        let manifest = project.manifest(layer);
        (project.content(layer), manifest["Installed"].clone())
    };
    assert_eq!(content("-arm64.zip").1[0]["BuiltFrom"], "source-1.0.tar.gz");
    let slug = python().runtime.replace("python3.", "py3");
    assert_eq!(content("-arm64.zip"), content(&format!("{slug}.zip")));

    // Neither is it built again for merged layers, nor out of a lock, nor by URL.
    project.run(&build(&format!("{both} --merge"))).exits(0);
    project
        .run(&format!(
            "lock requirements.txt {both} --allow-source-distributions"
        ))
        .exits(0);
    let lock = "build pylock.tools.toml --name tools --allow-source-distributions";
    project
        .run(&format!("{lock} {}", foreign_target()))
        .exits(0);
    let url = index.file_url("source-1.0.tar.gz");
    project.write("requirements.txt", format!("source @ {url}\n"));
    project.run(&build(&foreign_target())).exits(0);
    assert_eq!(builds(&project), 1);
    project.assert_tidy();
}

/// Package code runs while the other architecture is resolved, too, if only the code tells what the
/// package requires.
#[test]
fn metadata_are_found_out_on_this_machine() {
    let machine = match machines() {
        (X86_64, _) => "aarch64",
        _ => "x86_64",
    };
    let requirement = format!("other ; platform_machine == '{machine}'");
    let wheel = pure("source").requires(&requirement);
    let index = index([pure("other").build()]);
    let project = project(&index);
    index.add(
        SdistForge::new("source", "1.0")
            .builds(&wheel.build())
            .build(),
    );
    project.write("requirements.txt", "source\n");
    for (target, packages) in [(foreign_target(), 2), (own_target(), 1)] {
        let run = project
            .run(&format!("{} --format json", build(&target)))
            .exits(0);
        assert_eq!(run.json()["Layers"][0]["Packages"], packages, "{target}");
    }
}
