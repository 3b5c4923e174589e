//! Whole commands, run as users run them, on forged packages from an index on loopback.

#![expect(
    clippy::case_sensitive_file_extension_comparisons,
    reason = "the names here are the command's own or forged"
)]

mod build;
mod check;
mod contents;
mod faults;
mod first_contact;
mod foreign;
mod hashes;
mod indexes;
mod inputs;
mod isolation;
mod lock;
mod locks;
mod merged;
mod outdated;
mod platforms;
mod processes;
mod projects;
mod reference;
mod releases;
mod reproducible;
mod sources;
mod yanked;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use accretion_testing::forge::{Wheel, WheelForge};
use accretion_testing::index::{Distribution, PackageIndex};
use integration_tests::{Project, python, tools_python};

const PROGRAM: &str = env!("CARGO_BIN_EXE_accretion-under-test");

/// The layers of a project `tools` for the targets that are built without being named.
const DEFAULT_LAYERS: [&str; 8] = [
    "tools-py311",
    "tools-py311-arm64",
    "tools-py312",
    "tools-py312-arm64",
    "tools-py313",
    "tools-py313-arm64",
    "tools-py314",
    "tools-py314-arm64",
];

/// One target, for tests to which any will do.
const ONE: &str = "--runtime python3.13 --architecture x86_64";

/// The layer of [`ONE`].
const LAYER: &str = "tools-py313";

fn project(index: &PackageIndex) -> Project {
    Project::new(PROGRAM, index)
}

fn index<D: Into<Distribution>>(distributions: impl IntoIterator<Item = D>) -> PackageIndex {
    PackageIndex::start(distributions)
}

/// A small pure wheel of version 1.0 with one module.
fn pure(name: &str) -> WheelForge {
    WheelForge::new(name, "1.0").file(&format!("{name}/__init__.py"), format!("# {name}\n"))
}

/// The file name of what [`pure`] forges.
fn pure_name(name: &str) -> String {
    pure(name).file_name()
}

/// A package with a wheel for each default target, and with one for Windows.
fn native() -> Vec<Wheel> {
    let machines = [
        "manylinux_2_17_x86_64.manylinux2014_x86_64",
        "manylinux_2_17_aarch64.manylinux2014_aarch64",
        "win_amd64",
    ];
    let wheel = |minor: u8, machine: &str| {
        let tag = format!("cp3{minor}-cp3{minor}-{machine}");
        let path = format!("native/_core.cpython-3{minor}.so");
        WheelForge::new("native", "1.0")
            .tag(&tag)
            .purelib(false)
            .executable(&path, tag.clone())
            .build()
    };
    [11, 12, 13, 14]
        .into_iter()
        .flat_map(|minor| machines.map(|machine| wheel(minor, machine)))
        .collect()
}

/// Lets pip say what it would install of a project's `requirements.txt`. It installs nothing.
fn pip_dry_run(index: &PackageIndex, project: &Project) -> Output {
    let pip = ["-m", "pip", "--isolated", "--disable-pip-version-check"];
    Command::new(tools_python())
        .args(pip)
        .args(["install", "--dry-run", "--ignore-installed"])
        .args(["--no-cache-dir", "--retries", "0"])
        .args(["--index-url", &index.url(), "-r", "requirements.txt"])
        .current_dir(project.path(""))
        .output()
        .expect("pip runs")
}

/// The runtime and the architecture that this machine's Python can build sources for.
fn own_target() -> String {
    let architecture = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        architecture => architecture,
    };
    format!(
        "--runtime {} --architecture {architecture}",
        python().runtime
    )
}

/// A command of a [`Project`], run by a shell that has done something to itself first.
fn after(first: &str, command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", &format!("{first}; exec \"$0\" \"$@\"")])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}

/// Every file in this folder has to be a module: a forgotten one would test nothing.
#[test]
fn no_test_file_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    let text = std::fs::read_to_string(folder.join("main.rs")).unwrap();
    let modules = integration_tests::names(&folder);
    for module in modules.iter().filter_map(|name| name.strip_suffix(".rs")) {
        let declared = text.contains(&format!("\nmod {module};\n"));
        assert!(
            declared || module == "main",
            "{module}.rs is not a module of main.rs"
        );
    }
}
