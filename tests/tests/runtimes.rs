//! The text that lists runtimes, generated from their table in `accretion_core::target`.
//!
//! `UPDATE_RUNTIMES=1 cargo test -p integration-tests --test runtimes` writes it, between a line
//! with `generated: NAME` and one with `end of generated`.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use accretion_core::target::{Architecture, Runtime, Sdk, TABLE_DATE, Target};

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A text with other lines between the marks of a name.
fn regenerated(text: &str, name: &str, lines: &[String]) -> String {
    let mark = format!("generated: {name} ");
    let begin = text
        .find(&mark)
        .unwrap_or_else(|| panic!("a line has `{mark}`"));
    let begin = begin + text[begin..].find('\n').unwrap() + 1;
    let end = begin + text[begin..].find("end of generated").unwrap();
    let end = text[..end].rfind('\n').unwrap() + 1;
    let block = lines.join("\n");
    format!("{}{block}\n{}", &text[..begin], &text[end..])
}

/// Asserts that a file has these lines between the marks of each name, or writes them there.
fn assert_generated(path: &str, blocks: &[(&str, Vec<String>)]) {
    let committed = fs::read_to_string(file(path)).unwrap();
    let generated = blocks
        .iter()
        .fold(committed.clone(), |text, (name, lines)| {
            regenerated(&text, name, lines)
        });
    if env::var_os("UPDATE_RUNTIMES").is_some() && generated != committed {
        fs::write(file(path), &generated).unwrap();
        return;
    }
    assert!(
        generated == committed,
        "{path} is out of date: run `UPDATE_RUNTIMES=1 cargo test -p integration-tests --test \
         runtimes` and commit it"
    );
}

/// The targets that have a build sandbox, by runtime and then architecture.
fn sandboxes() -> impl Iterator<Item = Target> {
    Target::all().filter(|target| target.runtime.is_supported())
}

/// The logical id of a build sandbox: `SandboxPy313Arm64Function`.
fn function(target: Target) -> String {
    let architecture = match target.architecture {
        Architecture::X86_64 => "",
        Architecture::Arm64 => "Arm64",
    };
    let minor = target.runtime.python_minor();
    format!("SandboxPy3{minor}{architecture}Function")
}

#[test]
fn the_template_has_a_build_sandbox_for_each_supported_runtime_on_each_architecture() {
    let oldest = Runtime::supported().next().unwrap();
    let others = sandboxes().filter(|target| target.runtime != oldest);
    let functions = others.flat_map(|target| {
        let (runtime, architecture) = (target.runtime, target.architecture);
        [
            String::new(),
            format!("  {}:", function(target)),
            "    <<: *sandbox".to_owned(),
            format!("    Metadata: *sandbox-{architecture}"),
            format!(
                "    Properties: {{<<: *sandbox-properties, Runtime: !If [BuilderIsWrapped, \
                 {runtime}, !Ref BuilderRuntime], Architectures: [{architecture}]}}"
            ),
        ]
    });
    // YAML makes one line of a string in double quotes.
    let entries: Vec<_> = sandboxes()
        .map(|target| {
            let (runtime, architecture) = (target.runtime, target.architecture);
            format!(
                "'{runtime} {architecture}': '${{{}.Arn}}'",
                function(target)
            )
        })
        .collect();
    let arns = format!(
        "          - !Sub \"{{{}}}\"",
        entries.join(",\n            ")
    );
    let invoked = sandboxes();
    let invoked = invoked.map(|it| format!("                  !GetAtt {}.Arn,", function(it)));
    assert_generated(
        "sam/template.yaml",
        &[
            ("sandbox functions", functions.collect()),
            ("sandbox ARNs", arns.lines().map(str::to_owned).collect()),
            ("sandbox invocations", invoked.collect()),
        ],
    );
}

#[test]
fn the_documentation_has_a_row_for_each_runtime() {
    let runtimes = Runtime::all().map(|runtime| {
        let built = if runtime.is_supported() { "yes" } else { "no" };
        let days = runtime.lifecycle().map_or_else(
            || "preview | | |".to_owned(),
            |it| {
                let (deprecated, create, update) =
                    (it.deprecated, it.create_blocked, it.update_blocked);
                format!("{deprecated} | {create} | {update} |")
            },
        );
        let glibc = runtime.glibc_minor();
        format!("| `{runtime}` | 2.{glibc} | {built} | {days}")
    });
    let head =
        "| Runtime | glibc | supported | deprecated | no new functions from | no updates from |";
    let mut table = vec![head.to_owned(), "|---|---|---|---|---|---|".to_owned()];
    table.extend(runtimes);
    table.push(String::new());
    table.push(format!(
        "These are AWS's plans as of {TABLE_DATE}, the day on which this release compared them."
    ));

    let sdks = Runtime::all().map(|runtime| {
        let Sdk { boto3, botocore } = runtime.sdk();
        format!("| `{runtime}` | {boto3} | {botocore} |")
    });
    let mut sdk_table = vec![
        "| Runtime | boto3 | botocore |".to_owned(),
        "|---|---|---|".to_owned(),
    ];
    sdk_table.extend(sdks);
    assert_generated(
        "docs/formats.md",
        &[("runtimes", table), ("sdks", sdk_table)],
    );
}

/// An operator who wants no alarm for one mistaken request needs a number.
#[test]
fn the_threshold_for_several_requests_is_above_the_builds_of_one() {
    let builds = sandboxes().count();
    let threshold = builds + 1;
    for (path, text) in [
        (
            "docs/operations.md",
            format!("`FailedBuildsThreshold` to {threshold}: more than"),
        ),
        (
            "sam/template.yaml",
            format!("request can fail {builds} builds"),
        ),
    ] {
        let file = fs::read_to_string(file(path)).unwrap();
        assert!(file.contains(&text), "{path} lacks `{text}`");
    }
}

/// The tests import layers with the interpreters that this script finds.
#[test]
fn the_tests_look_for_an_interpreter_of_each_supported_runtime() {
    let script = fs::read_to_string(file("tests/popular/interpreters.py")).unwrap();
    let (_, minors) = script.split_once("\nMINORS = (").unwrap();
    let (minors, _) = minors.split_once(')').unwrap();
    for runtime in Runtime::supported() {
        let minor = runtime.python_minor().to_string();
        assert!(
            minors.split(", ").any(|it| it == minor),
            "{runtime}: {minors}"
        );
    }
}

#[test]
fn only_what_is_between_the_marks_is_replaced() {
    let text = "a\n  # generated: x by y\n  old\n  old\n  # end of generated\nb\n";
    let lines = ["  new".to_owned()];
    let expected = "a\n  # generated: x by y\n  new\n  # end of generated\nb\n";
    assert_eq!(regenerated(text, "x", &lines), expected);
    assert_eq!(regenerated(expected, "x", &lines), expected);
}
