//! The first commands of a newcomer.

use std::fs;

use integration_tests::{Project, snapshot};

use crate::{index, project, pure};

const ARM: &str = "--architecture arm64 --runtime python3.13";

/// A folder `tools` that has such files, before a package `a`.
fn with(files: &[(&str, &str)]) -> (accretion_testing::index::PackageIndex, Project) {
    let index = index([pure("a").build()]);
    let project = project(&index);
    for (name, text) in files {
        project.write(name, text);
    }
    (index, project)
}

fn lock_of(name: &str) -> String {
    format!(
        "version = 1\nrevision = 3\nrequires-python = \">=3.11\"\n\n[[package]]\nname = \"{name}\"\n\
         version = \"1\"\nsource = {{ virtual = \".\" }}\n"
    )
}

#[test]
fn an_input_in_the_place_of_a_command() {
    let (_index, project) = with(&[("requirements.txt", "a\n")]);
    let run = project.run("requirements.txt").exits(2);
    assert!(
        run.stderr.contains("accretion build requirements.txt"),
        "{run}"
    );
    let run = project.run("requirments.txt").exits(2);
    assert!(!run.stderr.contains("accretion build"), "{run}");
}

#[test]
fn the_one_input_of_a_folder() {
    let (_index, project) = with(&[("requirements.txt", "a\n")]);
    fs::create_dir(project.path("src")).unwrap();
    for command in [
        format!("build {ARM}"),
        format!("build . {ARM}"),
        format!("build ../tools {ARM}"),
        format!("build ../tools/ {ARM}"),
        "check".to_owned(),
        format!("lock {ARM} --output locks"),
    ] {
        let run = project.run(&command).exits(0);
        assert!(run.stderr.contains("requirements.txt\n"), "{run}");
    }
    assert_eq!(
        project.outputs(),
        ["tools-py313-arm64.manifest", "tools-py313-arm64.zip"]
    );
    let json = project.run("check --format json").exits(0);
    assert_eq!(json.stderr, "", "{json}");
}

#[test]
fn a_project_stands_for_its_folder() {
    let (_index, project) = with(&[
        (
            "pyproject.toml",
            "[project]\nname = \"Web_App\"\nversion = \"1\"\n",
        ),
        ("uv.lock", &lock_of("web-app")),
    ]);
    let run = project.run("check pyproject.toml").exits(0);
    assert!(run.stderr.contains("reading uv.lock\n"), "{run}");
    fs::remove_file(project.path("uv.lock")).unwrap();
    snapshot!(
        "not_locked",
        project.run("build pyproject.toml").fails(3, "InputMissing")
    );
    for (file, text, command) in [
        (
            "pyproject.toml",
            "[tool.poetry]\nname = \"a\"\n",
            "poetry lock",
        ),
        ("pyproject.toml", "[tool.pdm]\n", "pdm lock"),
        ("pyproject.toml", "not TOML", "uv lock"),
        ("Pipfile", "", "pipenv lock"),
    ] {
        project.write(file, text);
        let run = project.run("build").fails(3, "InputMissing");
        assert!(run.stderr.contains(&format!("`{command}`")), "{run}");
    }
}

#[test]
fn no_input_and_several() {
    let (index, project) = with(&[]);
    snapshot!("none", project.run("build").fails(3, "InputMissing"));
    for name in [
        "uv.lock",
        "requirements.txt",
        "requirements-dev.txt",
        "pylock.x.toml",
    ] {
        project.write(name, "");
    }
    project.write("README.md", "");
    fs::create_dir(project.path("requirements.d.txt")).unwrap();
    snapshot!("several", project.run("build").fails(3, "InputAmbiguous"));
    assert_eq!(index.requests(), []);
}

#[test]
fn other_names_of_runtimes_and_architectures() {
    let (_index, project) = with(&[("requirements.txt", "a\n")]);
    let run = "build --runtime 3.13 --architecture aarch64 --architecture amd64";
    project.run(run).exits(0);
    let layers = project.outputs();
    assert_eq!(
        layers,
        [
            "tools-py313-arm64.manifest",
            "tools-py313-arm64.zip",
            "tools-py313.manifest",
            "tools-py313.zip"
        ]
    );
    for runtime in ["3.9", "python3.9", "313", "3"] {
        let run = project.run(&format!("build --runtime {runtime}")).exits(2);
        assert!(run.stderr.contains(&format!("`{runtime}`")), "{run}");
        assert!(run.stderr.contains("python3.11, python3.12"), "{run}");
    }
}

/// The layers that a build writes, by the name before the runtime.
fn layers_of(project: &Project, input: &str) -> String {
    project.run(&format!("build {input} {ARM}")).exits(0);
    let layers = project.outputs();
    let name = layers[0].strip_suffix("-py313-arm64.manifest");
    fs::remove_dir_all(project.layers()).expect("the layers can be removed");
    name.expect("it is a layer of the target").to_owned()
}

#[test]
fn inputs_name_their_projects() {
    let script = "# /// script\n# dependencies = [\"a\"]\n# ///\n";
    let (_index, project) = with(&[
        (
            "pyproject.toml",
            "[project]\nname = \"Web_App\"\nversion = \"1\"\n",
        ),
        ("requirements.txt", "a\n"),
        ("resize.py", script),
    ]);
    assert_eq!(layers_of(&project, "requirements.txt"), "tools");
    assert_eq!(layers_of(&project, "resize.py"), "resize");
    assert_eq!(layers_of(&project, "resize.py --name other"), "other");
    project
        .run(&format!("lock requirements.txt {ARM}"))
        .exits(0);
    fs::copy(
        project.path("pylock.tools.toml"),
        project.path("pylock.toml"),
    )
    .unwrap();
    fs::rename(
        project.path("pylock.tools.toml"),
        project.path("pylock.api.toml"),
    )
    .unwrap();
    assert_eq!(layers_of(&project, "pylock.toml"), "web-app");
    assert_eq!(layers_of(&project, "pylock.api.toml"), "api");
    fs::remove_file(project.path("pyproject.toml")).unwrap();
    assert_eq!(layers_of(&project, "pylock.toml"), "tools");
}

#[test]
fn layers_of_another_input_are_not_overwritten() {
    let index = index([pure("a").build(), pure("b").build()]);
    let project = project(&index);
    project.write("requirements.txt", "a\n");
    project.write("requirements-dev.txt", "a\nb\n");
    project
        .run(&format!("build requirements.txt {ARM}"))
        .exits(0);
    let zip = fs::read(project.layers().join("tools-py313-arm64.zip")).unwrap();
    let run = project.run(&format!("build requirements-dev.txt {ARM}"));
    snapshot!("taken", run.fails(3, "LayerOfOtherInput"));
    assert_eq!(
        fs::read(project.layers().join("tools-py313-arm64.zip")).unwrap(),
        zip
    );
    project.assert_tidy();
    // A name that the user gives may be that of another input's layers.
    project
        .run(&format!("build requirements-dev.txt --name tools {ARM}"))
        .exits(0);
    project
        .run(&format!("build requirements.txt --name tools {ARM}"))
        .exits(0);
    project.write("requirements-dev.txt", "a\n");
    project
        .run(&format!("build requirements-dev.txt {ARM}"))
        .exits(0);
    // The same content is no loss, and an input may change.
    project.write("requirements-dev.txt", "b\n");
    project
        .run(&format!("build requirements-dev.txt {ARM}"))
        .exits(0);
}

/// A lock of `accretion lock` lies beside its input.
#[test]
fn a_lock_of_an_input_is_no_other_input() {
    let (_index, project) = with(&[("requirements.txt", "a\n")]);
    project.run(&format!("lock {ARM}")).exits(0);
    let run = project.run(&format!("build {ARM}")).exits(0);
    assert!(run.stderr.contains("reading requirements.txt\n"), "{run}");
    fs::remove_file(project.path("requirements.txt")).expect("it is there");
    let run = project.run(&format!("check {ARM}")).exits(0);
    assert!(run.stderr.contains("reading pylock.tools.toml\n"), "{run}");
    project.write("pylock.toml", "lock-version = \"1.0\"\n");
    project.write("requirements.txt", "a\n");
    project.run("check").fails(3, "InputAmbiguous");
}
