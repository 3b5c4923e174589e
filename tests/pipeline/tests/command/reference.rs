//! The command's own help.

use std::fs;
use std::process::{Command, Stdio};

use integration_tests::{names, snapshot};
use pipeline_tests::workspace::root;

use crate::Operator;

fn operator() -> Operator {
    Operator::new("http://127.0.0.1:9".to_owned())
}

/// Every command by its words, as in `add regions`, as the reference has them.
fn commands() -> Vec<String> {
    let reference = fs::read_to_string(root().join("docs/cli.md")).unwrap();
    let titles = reference.lines().filter_map(|line| {
        let words = line.strip_prefix("## `accretion")?.strip_suffix('`')?;
        Some(words.trim().to_owned())
    });
    titles.collect()
}

#[test]
fn help() {
    let operator = operator();
    let commands = commands();
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        let run = operator.run(&format!("{command} --help")).exits(0);
        assert_eq!(run.stderr, "");
        let name = format!("help {command}").trim().replace([' ', '-'], "_");
        snapshot!(name, run.stdout);
    }
    snapshot!("no_command", operator.run("").exits(2));
}

#[test]
fn man_pages() {
    let operator = operator();
    operator.run("man pages").exits(0);
    let pages = names(&operator.path("pages"));
    let expected = commands().into_iter().map(|command| {
        let name = format!("accretion {command}").trim().replace(' ', "-");
        format!("{name}.1")
    });
    let mut expected: Vec<_> = expected.collect();
    expected.sort();
    // Its own `help` has a page as well.
    let own: Vec<_> = pages
        .into_iter()
        .filter(|page| !page.contains("help"))
        .collect();
    assert_eq!(own, expected);
    let page = operator.read("pages/accretion-add-stack.1");
    assert!(page.contains("Adopt a stack"), "{page}");
    operator.write("file", "");
    operator.run("man file").fails(1, "FolderUnwritable");
}

#[test]
fn completions() {
    let operator = operator();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let run = operator.run(&format!("completions {shell}")).exits(0);
        assert!(run.stdout.contains("layer-version"), "{shell}: {run}");
    }
    // Bash understands them, and completes with them.
    operator.write("completions", operator.run("completions bash").stdout);
    let script = "source ./completions; COMP_WORDS=(accretion add r); COMP_CWORD=2; \
                  _accretion accretion r add; echo \"${COMPREPLY[@]}\"";
    let bash = Command::new("bash")
        .args(["--norc", "-c", script])
        .current_dir(operator.path(""))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&bash.stdout).trim(), "regions");
}

#[test]
fn the_schema_is_the_one_that_is_documented() {
    let documented = fs::read_to_string(root().join("docs/request.schema.json")).unwrap();
    let printed = operator().run("schema").exits(0).stdout;
    assert!(printed == documented, "{printed}");
}
