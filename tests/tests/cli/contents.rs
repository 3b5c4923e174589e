//! What goes into a layer besides what is required, and what stays out of it.

use std::collections::BTreeSet;

use accretion_testing::forge::WheelForge;
use integration_tests::{Project, snapshot};
use serde_json::json;

use crate::{LAYER, ONE, index, project, pure};

fn paths(project: &Project) -> BTreeSet<String> {
    project.content(LAYER).into_keys().collect()
}

/// A package with what nobody imports.
fn heavy() -> WheelForge {
    pure("heavy")
        .requires("light")
        .file("heavy/core.pyi", "x: int\n")
        .file("heavy/tests/test_core.py", "assert True\n")
        .file("heavy/testing/tests/data.txt", "data\n")
        .file("tests/conftest.py", "# heavy\n")
        .file("heavy/_vendor/old-1.dist-info/tests/x.pyi", "")
}

fn light() -> WheelForge {
    pure("light").file("tests/conftest.py", "# light\n")
}

#[test]
fn what_is_pruned_is_not_there_and_in_no_record() {
    let index = index([heavy().build(), light().build()]);
    let project = project(&index);
    project.write("requirements.txt", "heavy");
    let whole = project
        .run(&format!("build requirements.txt {ONE}"))
        .exits(0);
    snapshot!("whole", whole);
    let all = paths(&project);
    let digest = project.manifest(LAYER)["Digest"].clone();

    let options = "--prune tests/ --prune *.pyi --keep heavy/testing/ --prune none/";
    let run = project.run(&format!("build requirements.txt {ONE} {options} --strict"));
    snapshot!("pruned", run.exits(0));
    let left = paths(&project);
    let gone: Vec<_> = all.difference(&left).map(String::as_str).collect();
    assert_eq!(
        gone,
        [
            "python/heavy/core.pyi",
            "python/heavy/tests/test_core.py",
            "python/tests/conftest.py",
        ]
    );
    assert!(left.is_subset(&all));
    let content = project.content(LAYER);
    for name in ["heavy", "light"] {
        let (_, record) = &content[&format!("python/{name}-1.0.dist-info/RECORD")];
        let record = String::from_utf8_lossy(record);
        let listed: BTreeSet<_> = record
            .lines()
            .map(|line| format!("python/{}", line.split(',').next().unwrap()))
            .collect();
        assert!(listed.is_subset(&left), "{record}");
    }
    let manifest = project.manifest(LAYER);
    assert_ne!(manifest["Digest"], digest);
    snapshot!(
        "pruned_manifest",
        serde_json::to_string_pretty(&manifest).unwrap()
    );

    // It says so again where nothing is done.
    let again = project
        .run(&format!("build requirements.txt {ONE} {options}"))
        .exits(0);
    snapshot!("pruned_again", again);

    // A request says the same.
    let zip = project.zip(LAYER);
    let request = json!({
        "Name": "tools", "Language": "python",
        "Requirements": {"Type": "requirements.txt", "Requirements": "heavy"},
        "Prune": ["*.pyi", "none/", "tests/"], "Include": ["heavy/testing/"],
    });
    project.write("request.json", request.to_string());
    let run = project.run(&format!("build request.json {ONE} --format json -o other"));
    assert_eq!(
        run.exits(0).json()["Layers"][0]["Digest"],
        manifest["Digest"]
    );
    assert!(std::fs::read(project.path("other").join(format!("{LAYER}.zip"))).unwrap() == zip);
    project.assert_tidy();
}

#[test]
fn patterns_that_are_none() {
    let index = index([heavy().build(), light().build()]);
    let project = project(&index);
    project.write("requirements.txt", "heavy");
    snapshot!(
        "option",
        project.run("build requirements.txt --prune ../x").exits(2)
    );
    let request = json!({
        "Name": "tools", "Language": "python",
        "Requirements": {"Type": "requirements.txt", "Requirements": "heavy"},
        "Prune": ["a\\b", "!x", 7, "x", "x"], "Include": "x", "ProvidedByRuntime": "yes",
    });
    project.write(
        "request.json",
        serde_json::to_string_pretty(&request).unwrap(),
    );
    snapshot!("request", project.run("check request.json").exits(3));
    let request = json!({
        "Name": "tools", "Language": "python",
        "Requirements": {"Type": "requirements.txt", "Requirements": "heavy"},
        "Include": ["x"],
    });
    project.write("request.json", request.to_string());
    snapshot!(
        "nothing_to_prune",
        project.run("check request.json").exits(0)
    );
}
