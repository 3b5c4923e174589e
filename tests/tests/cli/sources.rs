//! Source distributions: their code runs when it was allowed to, and only then.

use std::fs;
use std::path::Path;

use accretion_testing::forge::{Sdist, SdistForge, WheelForge};
use accretion_testing::index::PackageIndex;
use integration_tests::{Project, python, snapshot};
use serde_json::json;

use crate::{ONE, index, own_target, project, pure};

const ALLOWED: &str = "--allow-source-distributions";

/// A source distribution of `source` 1.0 that leaves a mark when it runs.
fn source(canary: &Path) -> SdistForge {
    SdistForge::new("source", "1.0")
        .canary(canary)
        .builds(&pure("source").build())
}

fn canary(project: &Project) -> std::path::PathBuf {
    project.root().join("canary")
}

/// An index and a project whose canary the source distributions know.
fn aviary(make: impl FnOnce(&Path) -> Vec<Sdist>) -> (PackageIndex, Project) {
    let index = index(Vec::<Sdist>::new());
    let project = project(&index);
    for sdist in make(&canary(&project)) {
        index.add(sdist);
    }
    (index, project)
}

/// The number of times that code ran.
fn runs(project: &Project) -> usize {
    fs::read_to_string(canary(project)).map_or(0, |text| text.lines().count())
}

fn legacy(name: &str, canary: &Path) -> Sdist {
    let canary = json!(canary);
    let setup = format!("open({canary}, 'a').write('setup.py\\n')\n");
    SdistForge::new(name, "1.0").setup_py(&setup).build()
}

#[test]
fn nothing_runs_that_was_not_allowed() {
    let (index, project) = aviary(|canary| {
        vec![
            source(canary).build(),
            SdistForge::new("static", "1.0")
                .canary(canary)
                .static_metadata()
                .build(),
            legacy("legacy", canary),
        ]
    });
    index.add(pure("needs").requires("source").build());
    for name in ["source", "static", "legacy", "needs"] {
        project.write("requirements.txt", format!("{name}\n"));
        for target in [ONE, &own_target()] {
            let build = format!("build requirements.txt {target}");
            project.run(&build).fails(3, "WheelNotFound");
        }
    }
    assert_eq!(runs(&project), 0);
    assert_eq!(project.outputs(), [""; 0]);
    project.assert_tidy();
}

#[test]
fn a_url_in_a_wheel_does_not_lead_to_a_build() {
    let (index, project) = aviary(|canary| vec![source(canary).build()]);
    let url = index.file_url("source-1.0.tar.gz");
    let needs = pure("needs").requires(&format!("source @ {url}")).build();
    index.add(&needs);
    let url = index.file_url(&needs.filename);
    project.write("requirements.txt", format!("needs @ {url}\n"));
    let build = format!("build requirements.txt {ONE}");
    snapshot!(project.run(&build).fails(3, "WheelNotFound"));
    assert_eq!(runs(&project), 0);
}

#[test]
fn an_older_wheel_is_taken_where_sources_may_not_be_built() {
    let (index, project) = aviary(|canary| {
        let newer = SdistForge::new("both", "2.0").canary(canary);
        vec![newer.build()]
    });
    index.add(pure("both").build());
    project.write("requirements.txt", "both\n");
    project
        .run(&format!("build requirements.txt {ONE}"))
        .exits(0);
    assert_eq!(
        project.manifest("tools-py313")["Installed"][0]["Version"],
        "1.0"
    );
    assert_eq!(runs(&project), 0);
}

#[test]
fn a_locked_source_distribution_is_not_built_either() {
    let (index, project) = aviary(|canary| vec![source(canary).build()]);
    let sdist = source(&canary(&project)).build();
    project.write("pylock.toml", locked(&index, &sdist));
    let run = project
        .run(&format!("build pylock.toml {ONE}"))
        .fails(3, "WheelNotFound");
    snapshot!(run);
    assert_eq!(index.count(&sdist.filename), 0);
    assert_eq!(runs(&project), 0);

    let build = format!("build pylock.toml {} {ALLOWED}", own_target());
    project.run(&build).exits(0);
    assert_eq!(index.count(&sdist.filename), 1);
    assert_ne!(runs(&project), 0);
}

fn locked(index: &PackageIndex, sdist: &Sdist) -> String {
    let (url, sha256) = (index.file_url(&sdist.filename), &sdist.sha256);
    format!(
        "lock-version = \"1.0\"\ncreated-by = \"test\"\n\n[[packages]]\nname = \"source\"\n\
         version = \"1.0\"\nsdist = {{ url = \"{url}\", hashes = {{ sha256 = \"{sha256}\" }} }}\n"
    )
}

/// Builds for the own target and reads the layer and its manifest.
fn built(project: &Project, arguments: &str) -> (serde_json::Value, Vec<u8>) {
    let _ = fs::remove_dir_all(project.layers());
    let run = project
        .run(&format!("build {arguments} --format json {}", own_target()))
        .exits(0);
    let layer = run.json()["Layers"][0]["Layer"]
        .as_str()
        .expect("one layer is built")
        .to_owned();
    (project.manifest(&layer), project.zip(&layer))
}

#[test]
fn what_was_built_once_is_used_again() {
    for is_static in [true, false] {
        let (index, project) = aviary(|canary| {
            let forge = source(canary);
            let forge = if is_static {
                forge.static_metadata()
            } else {
                forge
            };
            vec![forge.build()]
        });
        index.add(pure("needs").requires("source").build());
        project.write("requirements.txt", "needs\n");
        let build = format!("requirements.txt {ALLOWED}");
        let (manifest, zip) = built(&project, &build);
        let ran = runs(&project);
        // Resolving runs the code where nothing else tells the requirements.
        assert_eq!(ran == 2, is_static, "{ran}");
        let installed = &manifest["Installed"][1];
        assert_eq!(installed["BuiltFrom"], "source-1.0.tar.gz");
        assert_eq!(installed["Wheel"], "source-1.0-py3-none-any.whl");

        let (again, same) = built(&project, &build);
        // Without a word on caching from the index, uv asks the source again for its metadata.
        let asked = if is_static { 0 } else { 2 };
        assert_eq!(runs(&project), ran + asked);
        assert_eq!(again["Digest"], manifest["Digest"]);
        assert!(same == zip);

        // On another machine it has to be built again; the digest is that of the source.
        fs::remove_dir_all(project.cache()).unwrap();
        let (elsewhere, _) = built(&project, &build);
        assert_eq!(runs(&project), 2 * ran + asked);
        assert_eq!(elsewhere["Digest"], manifest["Digest"]);
        project.assert_tidy();
    }
}

#[test]
fn the_request_may_allow_it() {
    let (_index, project) = aviary(|canary| vec![source(canary).build()]);
    let request = |allowed: bool| {
        json!({
            "Name": "tools",
            "Language": "python",
            "Requirements": {"Type": "requirements.txt", "Requirements": "source"},
            "AllowSourceDistributions": allowed,
        })
    };
    project.write("request.json", request(false).to_string());
    let build = format!("build request.json {}", own_target());
    project.run(&build).fails(3, "WheelNotFound");
    assert_eq!(runs(&project), 0);
    project.write("request.json", request(true).to_string());
    project.run(&build).exits(0);
    assert_ne!(runs(&project), 0);
}

#[test]
fn targets_that_this_machine_cannot_build_for() {
    let (_index, project) = aviary(|canary| vec![source(canary).static_metadata().build()]);
    project.write("requirements.txt", "source\n");
    let build = format!("build requirements.txt {ALLOWED} --runtime");
    let other = if python().runtime == "python3.14" {
        "python3.13"
    } else {
        "python3.14"
    };
    let (_, architecture) = own_target()
        .rsplit_once(' ')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let run = project
        .run(&format!("{build} {other} --architecture {architecture}"))
        .fails(3, "InterpreterMissing");
    if other == "python3.14" {
        snapshot!("interpreter_missing", run);
    }
    assert_eq!(runs(&project), 0);
    assert_eq!(project.outputs(), [""; 0]);
    project.assert_tidy();
}

#[test]
fn builds_that_fail() {
    let (index, project) = aviary(|canary| {
        let broken = |name: &str| SdistForge::new(name, "1.0").canary(canary);
        vec![
            broken("while-resolving").build(),
            broken("while-building").static_metadata().build(),
        ]
    });
    for name in ["while-resolving", "while-building"] {
        project.write("requirements.txt", format!("{name}\n"));
        let run = project
            .run(&format!(
                "build requirements.txt {ALLOWED} {}",
                own_target()
            ))
            .fails(3, "SourceBuildFailed");
        assert!(
            run.stderr
                .contains("this source distribution does not build"),
            "{run}"
        );
        // The build's own words, without uv's.
        assert!(
            !run.stderr.contains("hint: Build") && !run.stderr.contains("cause:"),
            "{run}"
        );
        assert_eq!(project.outputs(), [""; 0]);
        project.assert_tidy();
    }
    // One that wants a program says which.
    let compiles = "import subprocess\n\ndef build_wheel(wheel_directory, config_settings=None, \
                    metadata_directory=None):\n    subprocess.check_call(['vax-unknown-gcc', '-c', \
                    'x.c'])\n";
    let in_c = SdistForge::new("compiled", "1.0").static_metadata();
    index.add(in_c.backend(compiles).build());
    project.write("requirements.txt", "compiled\n");
    let build = format!("build requirements.txt {ALLOWED} {}", own_target());
    let run = project.run(&build).fails(3, "SourceNeedsCompiler");
    assert!(run.stderr.contains("it needs `vax-unknown-gcc`"), "{run}");
    assert!(run.stderr.contains("on a machine of the target's"), "{run}");
    // A wheel that does not fit is no wheel for the target.
    let windows = WheelForge::new("odd", "1.0")
        .tag("cp313-cp313-win_amd64")
        .build();
    index.add(
        SdistForge::new("odd", "1.0")
            .static_metadata()
            .builds(&windows)
            .build(),
    );
    project.write("requirements.txt", "odd\n");
    let build = format!("build requirements.txt {ALLOWED} {}", own_target());
    let run = project.run(&build).exits(3);
    assert!(
        ["WheelInvalid", "SourceBuildFailed"].contains(&run.codes()[0]),
        "{run}"
    );
    project.assert_tidy();
}

#[test]
fn builds_see_little_of_the_environment() {
    let (index, project) = aviary(|_| Vec::new());
    let seen = canary(&project);
    let backend = format!(
        "import os, shutil\n\
         def get_requires_for_build_wheel(config_settings=None): return []\n\
         def build_wheel(to, config_settings=None, metadata_directory=None):\n\
         \x20   open({}, 'w').write('\\n'.join(f'{{k}}={{v}}' for k, v in os.environ.items()))\n\
         \x20   shutil.copy('forged/spy-1.0-py3-none-any.whl', to)\n\
         \x20   return 'spy-1.0-py3-none-any.whl'\n",
        json!(seen)
    );
    // The last of two files of one path is the one that is unpacked.
    let spy = SdistForge::new("spy", "1.0")
        .static_metadata()
        .builds(&pure("spy").build());
    index.add(spy.file("forged_backend.py", backend).build());
    project.write("requirements.txt", "spy\n");
    let mut command = project.command(["build", "requirements.txt", ALLOWED]);
    command
        .args(own_target().split(' '))
        .env("AWS_SECRET_ACCESS_KEY", "s3cret")
        .env("GITHUB_TOKEN", "s3cret")
        .env("PYTHONPATH", project.path("hostile"))
        .env("PIP_INDEX_URL", "http://192.0.2.1/");
    project.finish(command).exits(0);
    let seen = fs::read_to_string(seen).unwrap();
    assert!(seen.contains("PATH="), "{seen}");
    for hidden in ["s3cret", "hostile", "PIP_INDEX_URL", "HOME="] {
        assert!(!seen.contains(hidden), "{seen}");
    }
}
