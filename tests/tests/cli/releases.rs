//! The release of Python that an input is judged by: the same for inputs of every kind.

use std::fmt::Write as _;

use accretion_testing::forge::Wheel;
use accretion_testing::index::{Distribution, PackageIndex};
use integration_tests::Project;
use serde_json::{Map, Value, json};

use crate::contents::write_project;
use crate::{LAYER, ONE, index, project, pure};

/// Markers, and whether they are true in Lambda, whose runtimes have recent patch releases.
const MARKERS: [(&str, bool); 10] = [
    ("python_full_version >= '3.13.1'", true),
    ("python_full_version > '3.13.0'", true),
    ("python_full_version >= '3.13.12'", true),
    ("python_full_version != '3.13.0'", true),
    ("implementation_version >= '3.13.4'", true),
    ("python_version == '3.13'", true),
    ("python_full_version < '3.13.1'", false),
    ("python_full_version == '3.13.0'", false),
    ("python_full_version <= '3.13'", false),
    (
        "python_version >= '3.12' and python_full_version < '3.13.2'",
        false,
    ),
];

/// A package for each marker of a table, by its place.
fn name(at: usize) -> String {
    format!("m{at}")
}

fn wheels(count: usize) -> Vec<Wheel> {
    (0..count).map(|at| pure(&name(at)).build()).collect()
}

/// An input: its file, the text, what lies beside it, and what the user's own project requires.
struct Input {
    kind: &'static str,
    file: &'static str,
    text: String,
    beside: Option<(&'static str, String)>,
    project: Vec<String>,
}

impl Input {
    fn new(kind: &'static str, file: &'static str, text: String) -> Self {
        Self {
            kind,
            file,
            text,
            beside: None,
            project: Vec::new(),
        }
    }
}

/// An input of every kind that has a package for each marker. `requires` is what the whole of it
/// says of Python, in kinds that say it.
fn inputs(index: &PackageIndex, markers: &[&str], requires: Option<&str>) -> Vec<Input> {
    let lines: Vec<_> = markers
        .iter()
        .enumerate()
        .map(|(at, marker)| format!("{} ; {marker}", name(at)))
        .collect();
    let mut inputs = vec![script(&lines, requires)];
    inputs.extend(locks(index, markers, requires));
    if requires.is_none() {
        let text = lines.join("\n");
        let set = json!({"Type": "requirements.txt", "Requirements": text});
        let request = json!({"Name": "tools", "Language": "python", "Requirements": set});
        inputs.extend([
            Input::new("requirements", "requirements.txt", text.clone()),
            Input::new("request", "request.json", request.to_string()),
            Input::new("dependency", "requirements.txt", "parent".to_owned()),
            Input {
                beside: Some(("more.txt", text)),
                ..Input::new("include", "requirements.txt", "-r more.txt".to_owned())
            },
            Input {
                project: lines,
                ..Input::new("project", "requirements.txt", name(5))
            },
        ]);
    }
    inputs
}

fn script(lines: &[String], requires: Option<&str>) -> Input {
    let requires =
        requires.map_or_else(String::new, |it| format!("# requires-python = \"{it}\"\n"));
    let dependencies = json!(lines);
    let text = format!("# /// script\n{requires}# dependencies = {dependencies}\n# ///\n");
    Input::new("script", "report.py", text)
}

fn pipfile(packages: &[(Wheel, &&str)], requires: Option<&str>, simple: &str) -> Value {
    let entries = packages.iter().enumerate().map(|(at, (wheel, marker))| {
        let hashes = [format!("sha256:{}", wheel.sha256)];
        let entry = json!({"version": "==1.0", "hashes": hashes, "markers": marker});
        (name(at), entry)
    });
    let python = requires.map_or_else(
        || json!({}),
        |it| json!({"python_version": "3.13", "python_full_version": it.trim_start_matches('=')}),
    );
    json!({
        "_meta": {
            "pipfile-spec": 6, "requires": python,
            "sources": [{"name": "local", "url": simple, "verify_ssl": true}],
        },
        "default": entries.collect::<Map<String, Value>>(),
    })
}

fn locks(index: &PackageIndex, markers: &[&str], requires: Option<&str>) -> Vec<Input> {
    let packages: Vec<_> = wheels(markers.len()).into_iter().zip(markers).collect();
    let each = |write: &dyn Fn(&str, &Wheel, &str) -> String| {
        let texts = packages.iter().enumerate();
        let texts = texts.map(|(at, (wheel, marker))| write(&name(at), wheel, marker));
        texts.collect::<Vec<_>>().concat()
    };
    let url = |wheel: &Wheel| index.file_url(&wheel.filename);
    let package = |name: &str| format!("name = '{name}'\nversion = '1.0'\n");
    let file = |wheel: &Wheel| {
        let Wheel {
            filename, sha256, ..
        } = wheel;
        format!("files = [{{file = '{filename}', hash = 'sha256:{sha256}'}}]\n")
    };
    let of_python = |key: &str| requires.map_or_else(String::new, |it| format!("{key} = '{it}'\n"));

    let pylock = each(&|name, wheel, marker| {
        format!(
            "[[packages]]\n{}marker = \"{marker}\"\n\
             wheels = [{{url = '{}', hashes = {{sha256 = '{}'}}}}]\n",
            package(name),
            url(wheel),
            wheel.sha256
        )
    });
    let pylock = format!(
        "lock-version = '1.0'\n{}{pylock}",
        of_python("requires-python")
    );

    let simple = index.url();
    let edges = each(&|name, _, marker| format!("{{name = '{name}', marker = \"{marker}\"}},"));
    let uv = each(&|name, wheel, _| {
        format!(
            "[[package]]\n{}source = {{registry = '{simple}'}}\n\
             wheels = [{{url = '{}', hash = 'sha256:{}'}}]\n",
            package(name),
            url(wheel),
            wheel.sha256
        )
    });
    let uv = format!(
        "version = 1\n{}{uv}[[package]]\nname = 'tools'\nversion = '0.1'\n\
         source = {{virtual = '.'}}\ndependencies = [{edges}]\n",
        of_python("requires-python")
    );

    let poetry = each(&|name, wheel, marker| {
        format!(
            "[[package]]\n{}groups = ['main']\nmarkers = \"{marker}\"\n{}",
            package(name),
            file(wheel)
        )
    });
    let python_versions = requires.unwrap_or("*");
    let poetry = format!(
        "{poetry}[metadata]\nlock-version = '2.1'\npython-versions = '{python_versions}'\n"
    );
    let old = each(&|name, wheel, _| format!("[[package]]\n{}{}", package(name), file(wheel)));
    let old =
        format!("{old}[metadata]\nlock-version = '2.0'\npython-versions = '{python_versions}'\n");
    let project =
        each(&|name, _, marker| format!("{name} = {{version = '*', markers = \"{marker}\"}}\n"));
    let project = format!("[tool.poetry.dependencies]\npython = '{python_versions}'\n{project}");

    let pipfile = pipfile(&packages, requires, &simple);
    let pdm = each(&|name, wheel, marker| {
        format!(
            "[[package]]\n{}groups = ['default']\nmarker = \"{marker}\"\n{}",
            package(name),
            file(wheel)
        )
    });
    let pdm = format!(
        "[metadata]\ngroups = ['default']\nstrategy = ['inherit_metadata']\n\
         lock_version = '4.5.0'\n[[metadata.targets]]\n{}{pdm}",
        requires.map_or_else(
            || "requires_python = '>=3.8'\n".to_owned(),
            |it| format!("requires_python = '{it}'\n")
        )
    );
    vec![
        Input::new("pylock", "pylock.toml", pylock),
        Input::new("uv", "uv.lock", uv),
        Input::new("poetry", "poetry.lock", poetry),
        Input {
            beside: Some(("pyproject.toml", project)),
            ..Input::new("old poetry", "poetry.lock", old)
        },
        Input::new("pipenv", "Pipfile.lock", pipfile.to_string()),
        Input::new("pdm", "pdm.lock", pdm),
    ]
}

/// The project with an input in it, checked.
fn written(index: &PackageIndex, input: &Input) -> Project {
    let project = project(index);
    project.write(input.file, &input.text);
    if let Some((file, text)) = &input.beside {
        project.write(file, text);
    }
    let check = project.run(&format!("check {} {ONE}", input.file)).exits(0);
    assert_eq!(check.codes(), [""; 0], "{}: {check}", input.kind);
    project
}

fn installed(index: &PackageIndex, input: &Input) -> String {
    let project = written(index, input);
    let mut build = format!("build {} --name tools {ONE}", input.file);
    if !input.project.is_empty() {
        let requires: Vec<_> = input.project.iter().map(String::as_str).collect();
        write_project(&project, &requires);
        build.push_str(" --project app");
    }
    project.run(&build).exits(0);
    let manifest = project.manifest(LAYER);
    let installed = manifest["Installed"].as_array().into_iter().flatten();
    let names = installed.filter_map(|it| it["Name"].as_str());
    let names = names.filter(|name| !matches!(*name, "parent" | "mine"));
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_input_is_judged_by_a_recent_release() {
    let index = index(wheels(MARKERS.len()));
    let parent = MARKERS.iter().enumerate();
    let parent = parent.fold(pure("parent"), |parent, (at, (marker, _))| {
        parent.requires(&format!("{} ; {marker}", name(at)))
    });
    index.add(parent.build());
    let markers = MARKERS.map(|(marker, _)| marker);
    let expected: Vec<_> = (0..MARKERS.len())
        .filter(|at| MARKERS[*at].1)
        .map(name)
        .collect();
    for input in inputs(&index, &markers, None) {
        let Input { kind, .. } = &input;
        assert_eq!(installed(&index, &input), expected.join(" "), "{kind}");
    }
}

#[test]
fn an_input_that_is_for_other_releases_is_judged_by_the_newest_of_them() {
    let markers = [
        "python_full_version < '3.13.7'",
        "python_full_version == '3.13.6'",
        "python_full_version >= '3.13.7'",
    ];
    let index = index(wheels(markers.len()));
    for input in inputs(&index, &markers, Some("==3.13.6")) {
        let Input { kind, .. } = &input;
        assert_eq!(installed(&index, &input), "m0 m1", "{kind}");
    }
    for input in inputs(&index, &markers, Some("==3.12.6")) {
        let Input { kind, file, .. } = &input;
        let project = project(&index);
        project.write(file, &input.text);
        if let Some((file, text)) = &input.beside {
            project.write(file, text);
        }
        let code = if *kind == "script" {
            "PythonMismatch"
        } else {
            "LockMismatch"
        };
        project.run(&format!("build {file} {ONE}")).fails(3, code);
        // It is not for the others, and those are left out where none is named.
        let check = project.run(&format!("check {file}"));
        assert_eq!(check.codes(), Vec::<&str>::new(), "{kind}: {check}");
        let others = "--runtime python3.11 --runtime python3.12 --runtime python3.14";
        let check = project.run(&format!("check {file} {others}"));
        assert_eq!(check.codes(), [code, code, code, code], "{kind}: {check}");
    }
}

/// The packages of a layer, with their versions.
fn versions(project: &Project, file: &str, text: &str) -> String {
    project.write(file, text);
    project
        .run(&format!("build {file} --name tools {ONE}"))
        .exits(0);
    let manifest = project.manifest(LAYER);
    let mut versions = String::new();
    for package in manifest["Installed"].as_array().into_iter().flatten() {
        let text = |field: &str| package[field].as_str().unwrap_or_default();
        let _ = write!(versions, "{} {} ", text("Name"), text("Version"));
    }
    versions.trim_end().to_owned()
}

#[test]
fn constraints_and_candidates_are_judged_by_the_same_release() {
    let index = index(Vec::<Distribution>::new());
    for version in ["1.0", "2.0"] {
        let forge = |name: &str| accretion_testing::forge::WheelForge::new(name, version);
        index.add(forge("constrained").build());
        for (name, requires) in [
            ("same", ">=3.13.2"),
            ("tilde", "~=3.13.4"),
            ("newer", ">=3.14"),
            ("not-first", "!=3.13.0,>=3.9"),
        ] {
            let wheel = forge(name);
            let wheel = if version == "2.0" {
                wheel.requires_python(requires)
            } else {
                wheel
            };
            index.add(wheel.build());
        }
    }
    let project = project(&index);
    for (text, expected) in [
        ("same", "same 2.0"),
        ("tilde", "tilde 2.0"),
        ("not-first", "not-first 2.0"),
        ("newer", "newer 1.0"),
        ("constrained", "constrained 2.0"),
        ("constrained\n-c one.txt", "constrained 1.0"),
        ("constrained\n-c two.txt", "constrained 2.0"),
    ] {
        project.write(
            "one.txt",
            "constrained==1.0 ; python_full_version >= '3.13.2'",
        );
        project.write(
            "two.txt",
            "constrained==1.0 ; python_full_version < '3.13.2'",
        );
        assert_eq!(
            versions(&project, "requirements.txt", text),
            expected,
            "{text}"
        );
    }
    // The release of a script that is for another one.
    for (requires, expected) in [(">=3.13.1", "same 2.0"), ("==3.13.1", "same 1.0")] {
        let text = format!(
            "# /// script\n# requires-python = '{requires}'\n# dependencies = ['same']\n# ///\n"
        );
        assert_eq!(
            versions(&project, "report.py", &text),
            expected,
            "{requires}"
        );
    }
    // What is said of a failure is not said in terms of a release that no user asked for.
    project.write("requirements.txt", "newer>=2");
    let run = project.run(&format!("build requirements.txt {ONE}"));
    let run = run.fails(3, "RequirementsUnsatisfiable");
    assert!(!run.stderr.contains("3.13.99"), "{run}");
    assert!(
        run.stderr
            .contains("the requested Python version (python3.13)"),
        "{run}"
    );
}
