//! Versions that their index has yanked (PEP 592), and that a pin takes nevertheless.

use std::fs;

use accretion_testing::index::{Distribution, PackageIndex};
use integration_tests::{Project, Run};
use serde_json::{Value, json};

use crate::{LAYER, ONE, index, pip_dry_run, project, pure};

fn yanked(name: &str, reason: &str) -> Distribution {
    Distribution::from(pure(name).build()).yanked(reason)
}

fn site(distributions: Vec<Distribution>, requirements: &str) -> (PackageIndex, Project) {
    let index = index(distributions);
    let project = project(&index);
    project.write("requirements.txt", requirements);
    (index, project)
}

/// The warnings of a run in JSON.
fn warnings(run: &Run) -> Vec<String> {
    let document = run.json();
    let layers = document["Layers"].as_array().into_iter().flatten();
    let of_layers = layers.flat_map(|layer| layer["Warnings"].as_array().into_iter().flatten());
    let warnings = document["Warnings"].as_array().into_iter().flatten();
    let messages = warnings.map(|warning| &warning["Message"]);
    let texts = of_layers
        .chain(messages)
        .map(|it| it.as_str().expect("it is a text"));
    texts.map(ToOwned::to_owned).collect()
}

fn build(project: &Project, input: &str) -> Run {
    project
        .run(&format!("build {input} {ONE} --format json"))
        .exits(0)
}

/// Returns whether pip warns. It installs nothing here.
fn pip_warns(index: &PackageIndex, project: &Project) -> bool {
    let run = pip_dry_run(index, project);
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{stderr}");
    stderr.contains("yanked version")
}

#[test]
fn a_pin_takes_what_is_yanked_and_a_warning_says_so() {
    let a = || yanked("a", "it breaks");
    let is_yanked = "a 1.0 is yanked: it breaks";
    let newer = || Distribution::from(pure("a").build()).yanked("it breaks");
    let older = || {
        accretion_testing::forge::WheelForge::new("a", "0.9")
            .file("a/__init__.py", "")
            .build()
    };
    for (distributions, requirements, warning) in [
        (vec![a()], "a==1.0\n", Some(is_yanked)),
        (vec![a()], "a===1.0\n", Some(is_yanked)),
        (
            vec![a(), pure("b").requires("a==1.0").build().into()],
            "b\na==1.0\n",
            Some(is_yanked),
        ),
        (vec![newer(), older().into()], "a\n", None),
        (vec![newer(), older().into()], "a>=0.9\n", None),
        (vec![newer(), older().into()], "a==1.0\n", Some(is_yanked)),
        (vec![pure("a").build().into()], "a==1.0\n", None),
        (
            vec![yanked("b", "no"), pure("a").build().into()],
            "a==1.0\n",
            None,
        ),
        (
            vec![yanked("a", "")],
            "a==1.0\n",
            Some("a 1.0 is yanked, and its index does not say why"),
        ),
    ] {
        for is_json in [true, false] {
            let (index, project) = site(distributions.clone(), requirements);
            if !is_json {
                index.html_only();
            }
            let found = warnings(&build(&project, "requirements.txt"));
            assert_eq!(
                found,
                warning.into_iter().collect::<Vec<_>>(),
                "{requirements}"
            );
            if is_json {
                assert_eq!(
                    pip_warns(&index, &project),
                    warning.is_some(),
                    "{requirements}"
                );
            }
        }
    }
}

#[test]
fn what_an_index_says_is_shown_within_bounds() {
    let long = "very ".repeat(1 << 18);
    for (reason, shown) in [
        (
            "see <https://example.com/?a=1>",
            "see <https://example.com/>",
        ),
        ("\"quoted\" & (`ticked`)", "\"quoted\" & (`ticked`)"),
        ("two\nlines\r\n\tand more", "two lines and more"),
        ("\u{1b}[31mred\u{7}", ""),
        ("é\u{202e}\u{85}", "é"),
        ("b\")\nwarning: `b==1.0` is yanked (reason: \"c", "b"),
        (&long, "very very"),
    ] {
        let (_index, project) = site(
            vec![yanked("a", reason), pure("b").build().into()],
            "a==1.0\n",
        );
        let found = warnings(&build(&project, "requirements.txt"));
        let [warning] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert!(warning.contains(shown) && warning.len() < 400, "{warning}");
        assert!(!warning.contains(char::is_control), "{warning:?}");
    }
}

#[test]
fn nothing_is_chosen_that_is_yanked_without_a_pin() {
    let (index, project) = site(vec![yanked("a", "no")], "a\n");
    index.add(pure("b").requires("a==1.0").build());
    // uv does not take the word of a package for it, as pip does.
    for requirements in ["a\n", "a>=1\n", "a<2,>0.1\n", "a==1.*\n", "b\n"] {
        project.write("requirements.txt", requirements);
        let run = project.run(&format!("build requirements.txt {ONE}"));
        let run = run.exits(3);
        assert_eq!(run.codes(), ["RequirementsUnsatisfiable"], "{run}");
        assert!(run.stderr.contains("yanked"), "{run}");
    }
}

#[test]
fn the_manifest_says_it_and_the_digest_does_not() {
    let (index, project) = site(vec![pure("a").build().into()], "a==1.0\n");
    build(&project, "requirements.txt");
    let before = project.manifest(LAYER);
    assert_eq!(before["Installed"][0].get("Yanked"), None);

    // It is told of a layer that has not changed, too.
    index.remove("a-1.0-py3-none-any.whl");
    index.add(yanked("a", "it breaks"));
    fs::remove_dir_all(project.cache().join("uv")).expect("the index was asked");
    let run = build(&project, "requirements.txt");
    assert_eq!(warnings(&run), ["a 1.0 is yanked: it breaks"]);
    assert_eq!(run.json()["Layers"][0]["Changed"], false);
    let after = project.manifest(LAYER);
    assert_eq!(after["Installed"][0]["Yanked"], "it breaks");
    for same in ["Digest", "ArtifactSha256"] {
        assert_eq!(after[same], before[same]);
    }
}

#[test]
fn locks_say_it_as_far_as_it_is_known() {
    let (_index, project) = site(vec![yanked("a", "it breaks")], "a==1.0\n");
    let is_yanked = ["a 1.0 is yanked: it breaks"];
    // One that was written here carries it along.
    let lock = project
        .run(&format!("lock requirements.txt {ONE} --format json"))
        .exits(0);
    assert_eq!(warnings(&lock), is_yanked);
    let text = fs::read_to_string(project.path("pylock.tools.toml")).expect("it is there");
    assert_eq!(
        warnings(&build(&project, "pylock.tools.toml --name tools")),
        is_yanked
    );
    // One of somebody else that has URLs is not asked about.
    let (without, _) = text.split_once("\n[[tool.").expect("it notes it");
    project.write("pylock.toml", without);
    assert_eq!(warnings(&build(&project, "pylock.toml")), [""; 0]);
    // Where files have to be located, the index is asked, and what it says is remembered.
    let sha256 = pure("a").build().sha256;
    let lock = json!({
        "_meta": {"hash": {"sha256": "0"}, "pipfile-spec": 6, "requires": {}, "sources": []},
        "default": {"a": {"version": "==1.0", "hashes": [format!("sha256:{sha256}")]}},
        "develop": {},
    });
    project.write("Pipfile.lock", lock.to_string());
    for time in ["first", "second", "offline"] {
        let offline = if time == "offline" { " --offline" } else { "" };
        let run = build(&project, &format!("Pipfile.lock{offline}"));
        assert_eq!(warnings(&run), is_yanked, "{time}");
    }
}

#[test]
fn the_index_that_a_package_comes_from_counts() {
    let (_default, project) = site(vec![pure("a").build().into()], "a==1.0\n");
    let first = index([yanked("a", "not this one")]);
    let with = format!("requirements.txt --index first={}", first.url());
    assert_eq!(
        warnings(&build(&project, &with)),
        ["a 1.0 is yanked: not this one"]
    );
    assert_eq!(warnings(&build(&project, "requirements.txt")), [""; 0]);
}

#[test]
fn a_check_resolves_if_it_is_to() {
    let (index, project) = site(vec![yanked("a", "it breaks")], "a==1.0\n");
    let run = project
        .run(&format!(
            "check requirements.txt --resolve {ONE} --format json"
        ))
        .exits(0);
    let expected = json!({
        "Valid": true,
        "Problems": [],
        "Warnings": [{"Layers": [LAYER], "Message": "a 1.0 is yanked: it breaks"}],
        "Failures": [],
    });
    assert_eq!(run.json(), expected);
    assert_eq!(index.count("a-1.0-py3-none-any.whl"), 0);
    let run = project.run("check requirements.txt --resolve").exits(0);
    assert_eq!(
        run.stderr.matches("a 1.0 is yanked: it breaks").count(),
        1,
        "{run}"
    );

    // It says what would end the build, as that does.
    project.write("requirements.txt", "a==1.0\nmissing\n");
    let run = project
        .run(&format!("check requirements.txt --resolve {ONE}"))
        .exits(3);
    assert_eq!(run.codes(), ["PackageNotFound"]);
    let built = project
        .run(&format!("build requirements.txt {ONE}"))
        .exits(3);
    assert_eq!(run.stderr, built.stderr);
    let json = project
        .run(&format!(
            "check requirements.txt --resolve {ONE} --format json"
        ))
        .exits(3);
    let Value::Bool(valid) = json.json()["Valid"] else {
        panic!("{json}");
    };
    assert!(!valid);
    // What is wrong with the input comes first.
    project.write("requirements.txt", "a==\n");
    let run = project.run("check requirements.txt --resolve").exits(3);
    assert_eq!(run.codes(), ["RequirementInvalid"]);
    assert_eq!(project.outputs(), [""; 0]);

    project.write("requirements.txt", "b\n");
    index.add(pure("b").build());
    let run = project.run("check requirements.txt --resolve").exits(0);
    assert_eq!(run.stderr, "no problems found\n");
}
