//! The command's own help: the reference of the command line, as far as it is the same with
//! and without what speaks to AWS. `tests/pipeline` has all of it.

use integration_tests::{Project, snapshot};

use crate::PROGRAM;

fn project() -> Project {
    Project::with_index_url(PROGRAM, None)
}

#[test]
fn help() {
    let project = project();
    for (name, arguments) in [
        ("help_build", "build --help"),
        ("help_check", "check --help"),
    ] {
        let run = project.run(arguments).exits(0);
        assert_eq!(run.stderr, "");
        snapshot!(name, run.stdout);
    }
}

#[test]
fn version() {
    let run = project().run("--version").exits(0);
    assert_eq!(
        run.stdout,
        format!("accretion {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn wrong_usage() {
    let project = project();
    project.write("requirements.txt", "a\n");
    for (name, arguments) in [
        ("option_unknown", "build requirements.txt --outptu x"),
        (
            "runtime_unknown",
            "build requirements.txt --runtime python3.9",
        ),
        (
            "architecture_unknown",
            "build requirements.txt --architecture arm",
        ),
        ("name_invalid", "build requirements.txt --name a.b"),
        (
            "index_invalid",
            "build requirements.txt --default-index nowhere",
        ),
        ("quiet_and_verbose", "build requirements.txt -q -v"),
    ] {
        let run = project.run(arguments).exits(2);
        assert_eq!(run.stdout, "");
        snapshot!(format!("usage_{name}"), run.stderr);
    }
    assert_eq!(project.outputs(), [""; 0]);
}
