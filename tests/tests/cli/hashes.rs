//! One hash asks for all: held against pip, which defines what a `requirements.txt` means.

use accretion_testing::index::PackageIndex;
use integration_tests::Project;
use serde_json::json;

use crate::{ONE, index, pip_dry_run, project, pure};

/// `needs`, which requires `one`; and `two`.
fn site() -> (PackageIndex, Project) {
    let needs = pure("needs").requires("one");
    let index = index([needs.build(), pure("one").build(), pure("two").build()]);
    let project = project(&index);
    (index, project)
}

/// The text with `--hash` for `H(name)`, with the file's URL for `URL(name)`, and with the hash of that
/// for `#(name)`.
fn written(index: &PackageIndex, text: &str) -> String {
    let mut text = text.to_owned();
    for name in ["needs", "one", "two"] {
        let forge = match name {
            "needs" => pure(name).requires("one"),
            _ => pure(name),
        };
        let wheel = forge.build();
        text = text
            .replace(
                &format!("H({name})"),
                &format!("--hash=sha256:{}", wheel.sha256),
            )
            .replace(&format!("URL({name})"), &index.file_url(&wheel.filename))
            .replace(&format!("#({name})"), &format!("#sha256={}", wheel.sha256));
    }
    text
}

/// Returns whether pip would install the requirements.
fn pip_takes(index: &PackageIndex, project: &Project) -> bool {
    pip_dry_run(index, project).status.success()
}

#[test]
fn what_pip_refuses_is_refused() {
    for (text, constraints, is_taken) in [
        ("one==1.0\ntwo==1.0", "", true),
        ("one==1.0 H(one)\ntwo==1.0 H(two)", "", true),
        ("one==1.0 H(one)\ntwo==1.0", "", false),
        ("needs==1.0 H(needs)", "", false),
        ("needs==1.0 H(needs)\none==1.0 H(one)", "", true),
        (
            "one==1.0 H(one)\ntwo==1.0 ; sys_platform == 'win32'",
            "",
            true,
        ),
        (
            "one==1.0 ; sys_platform == 'win32' H(one)\ntwo==1.0",
            "",
            false,
        ),
        (
            "one==1.0 H(one)\ntwo==1.0 ; sys_platform == 'linux'",
            "",
            false,
        ),
        ("one @ URL(one)#(one)\ntwo==1.0", "", true),
        ("one @ URL(one)#(one)\ntwo==1.0 H(two)", "", true),
        ("one @ URL(one) H(one)\ntwo==1.0", "", false),
        ("one @ URL(one)\ntwo==1.0 H(two)", "", false),
        ("two==1.0", "one==1.0 H(one)", false),
    ] {
        let (index, project) = site();
        project
            .write(
                "requirements.txt",
                written(&index, &format!("{text}\n-c limits.txt\n")),
            )
            .write("limits.txt", written(&index, constraints));
        assert_eq!(pip_takes(&index, &project), is_taken, "pip: {text}");
        let run = project.run(&format!("build requirements.txt {ONE}"));
        if is_taken {
            run.exits(0);
        } else {
            let run = run.exits(3);
            assert_eq!(run.codes(), ["HashMissing"], "{text}: {run}");
            assert!(
                run.stderr.contains("uv pip compile --generate-hashes"),
                "{run}"
            );
        }
    }
}

/// Accretion takes more than pip where all files are bound by some hash: pip wants each line to
/// have one, and to be pinned.
#[test]
fn every_file_that_is_bound_will_do() {
    for (text, constraints) in [
        ("one==1.0\ntwo H(two)", "one==1.0 H(one)"),
        ("needs H(needs)", "one H(one)"),
        ("one\none==1.0 H(one)", ""),
    ] {
        let (index, project) = site();
        project
            .write(
                "requirements.txt",
                written(&index, &format!("{text}\n-c limits.txt\n")),
            )
            .write("limits.txt", written(&index, constraints));
        assert!(!pip_takes(&index, &project), "pip: {text}");
        project
            .run(&format!("build requirements.txt {ONE}"))
            .exits(0);
    }
}

#[test]
fn requests_are_held_to_it_too() {
    let (index, project) = site();
    let list = json!([
        {"Name": "one", "Details": written(&index, "==1.0 H(one)")},
        {"Name": "two", "Details": ""},
    ]);
    let text = written(&index, "one H(one)\ntwo\n");
    let split = json!({
        "Type": "requirements.txt",
        "Requirements": "two\n",
        "Constraints": written(&index, "one H(one)\n"),
    });
    for requirements in [
        json!({"Type": "accretion", "Requirements": list}),
        json!({"Type": "requirements.txt", "Requirements": text}),
        split,
    ] {
        let request = json!({"Name": "tools", "Language": "python", "Requirements": requirements});
        project.write("request.json", request.to_string());
        let run = project.run("check request.json").exits(3);
        assert_eq!(run.codes(), ["HashMissing"], "{run}");
        assert!(run.stderr.contains("no hash for `two`"), "{run}");
    }
}
