//! `accretion check`: every problem at once, and nothing but the input is read.

use accretion_testing::index::PackageIndex;
use integration_tests::{Project, snapshot};

use crate::{index, project, pure};

const WRONG: &str = r#"{
  "Name": "my tools",
  "Language": "ruby",
  "Requirements": {"Type": "requirements.txt", "Requirements": "good==1.0\nbad==\n-e .\n"},
  "Runtimes": ["python3.13", "python3.9", "python3.10"],
  "Architecture": "arm64",
  "Description": 1
}
"#;

/// A project whose index nobody asks anything, and which has neither uv nor Python.
fn alone() -> (PackageIndex, Project) {
    let index = index([pure("a").build()]);
    let project = project(&index);
    (index, project)
}

#[track_caller]
fn assert_untouched(index: &PackageIndex, project: &Project) {
    assert_eq!(index.requests(), []);
    assert!(!project.layers().exists() && !project.cache().exists());
    project.assert_tidy();
}

#[test]
fn every_problem_is_told_at_once() {
    let (index, project) = alone();
    project.write("request.json", WRONG);
    let run = project.run("check request.json").exits(3);
    assert_eq!(run.stdout, "");
    snapshot!("problems", run);
    let json = project.run("check request.json --format json").exits(3);
    assert_eq!(json.stderr, "");
    snapshot!("problems_json", json.stdout);
    assert_eq!(
        project.run("check request.json -q").exits(3).stderr,
        run.stderr
    );
    // A build says the same.
    assert_eq!(
        project.run("build request.json").exits(3).stderr,
        run.stderr
    );
    assert_untouched(&index, &project);
}

#[test]
fn problems_of_included_files_name_them() {
    let (index, project) = alone();
    project
        .write("requirements.txt", "a\n-r more/base.txt\nb===\n")
        .write("more/base.txt", "\n  c[==1\n-c ../../limits.txt\n");
    snapshot!(project.run("check requirements.txt").exits(3));
    assert_untouched(&index, &project);
}

#[test]
fn good_inputs() {
    let (index, project) = alone();
    project
        .write("requirements.txt", "a==1.0\n")
        .write("request.json", r#"{"Name": "t", "Language": "Python",
            "Requirements": {"Type": "accretion", "Requirements": [{"Name": "a", "Details": ""}]}}"#)
        .write("pylock.toml", "lock-version = \"1.0\"\ncreated-by = \"test\"\npackages = []\n");
    for input in ["requirements.txt", "request.json", "pylock.toml"] {
        let run = project.run(&format!("check {input}")).exits(0);
        assert_eq!(
            (run.stdout.as_str(), run.stderr.as_str()),
            (
                "",
                "no problems found; use --resolve to resolve the input, too\n"
            )
        );
        let quiet = project.run(&format!("check {input} -q")).exits(0);
        assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
        let json = project
            .run(&format!("check {input} --format json"))
            .exits(0);
        assert_eq!(
            json.json(),
            serde_json::json!({"Valid": true, "Problems": []})
        );
        assert_eq!(json.stderr, "");
    }
    assert_untouched(&index, &project);
}

#[test]
fn warnings_do_not_fail() {
    let (index, project) = alone();
    project
        .write(
            "requirements.txt",
            "a\nb\na\nc ; python_version < '3' and python_version > '3'\n",
        )
        .write(
            "request.json",
            r#"{"Name": "t", "Language": "python", "Runtimes": ["python3.10"],
  "Requirements": {"Type": "requirements.txt", "Requirements": "a"}}"#,
        );
    snapshot!("warnings", project.run("check requirements.txt").exits(0));
    assert_eq!(project.run("check requirements.txt -q").exits(0).stderr, "");
    snapshot!(
        "warning_of_the_request",
        project.run("check request.json").exits(0)
    );
    let named = project
        .run("check request.json --runtime python3.10 --runtime python3.13")
        .exits(0);
    snapshot!("warning_of_the_command_line", named);
    let json = project.run("check request.json --format json").exits(0);
    snapshot!("warnings_json", json.stdout);
    assert_untouched(&index, &project);
}

#[test]
fn a_lock_file_without_form() {
    let (index, project) = alone();
    project.write("pylock.toml", "lock-version = 1\n");
    snapshot!(project.run("check pylock.toml").fails(3, "LockInvalid"));
    let json = project
        .run("check pylock.toml --format json")
        .exits(3)
        .json();
    assert_eq!(json["Problems"][0]["Code"], "LockInvalid", "{json:#}");
    assert_untouched(&index, &project);
}
