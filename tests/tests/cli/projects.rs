//! Projects of the user's own: where their dependencies come from, and which versions count.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use accretion_testing::forge::WheelForge;
use accretion_testing::index::PackageIndex;
use integration_tests::{Project, python, uv};
use serde_json::json;

use crate::{LAYER, ONE, index, own_target, project, pure};

/// An index where strangers have the names of the user's own projects.
fn strangers() -> PackageIndex {
    let stranger = |name: &str| {
        WheelForge::new(name, "9.0")
            .file(&format!("{name}/stranger.py"), "")
            .requires("evil")
            .build()
    };
    let dep = |version: &str| {
        WheelForge::new("dep", version)
            .file("dep.py", version)
            .build()
    };
    index([
        stranger("app"),
        stranger("lib"),
        stranger("base"),
        pure("evil").build(),
        pure("uses").requires("lib").build(),
        pure("wants").requires("lib<1").build(),
        pure("extra").build(),
        dep("1.0"),
        dep("2.0"),
    ])
}

/// Writes a project that builds itself, and leaves something behind where it is built.
fn write_own(project: &Project, folder: &str, name: &str, requires: &[&str], more: &str) {
    let lines = requires.iter();
    let lines = lines.map(|it| format!("Requires-Dist: {it}\\n"));
    let metadata = lines.collect::<Vec<_>>().concat();
    let backend = format!(
        r##"
import os, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    open("left-behind", "w").close()
    info = "{name}-1.0.dist-info"
    files = {{
        "{name}/__init__.py": "# own\n",
        info + "/METADATA": "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{metadata}",
        info + "/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }}
    files[info + "/RECORD"] = "".join(path + ",,\n" for path in [*files, info + "/RECORD"])
    wheel = "{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, wheel), "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return wheel

build_editable = build_wheel
"##
    );
    let pyproject = format!(
        "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\n\
         [project]\nname = \"{name}\"\nversion = \"1.0\"\ndependencies = {}\n{more}",
        json!(requires)
    );
    project
        .write(&format!("{folder}/pyproject.toml"), pyproject)
        .write(&format!("{folder}/backend.py"), backend);
}

/// The distributions of the layer.
fn installed(project: &Project) -> BTreeSet<String> {
    let manifest = project.manifest(LAYER);
    let installed = manifest["Installed"].as_array().expect("it is a list");
    let text = |it: &serde_json::Value, key| it[key].as_str().expect("it is a text").to_owned();
    let installed = installed.iter();
    installed
        .map(|it| format!("{}-{}", text(it, "Name"), text(it, "Version")))
        .collect()
}

/// The distributions that uv installs of a project.
fn installed_by_uv(project: &Project, index: &PackageIndex, folder: &str) -> BTreeSet<String> {
    let into = tempfile::tempdir().expect("a folder can be made");
    let output = Command::new(uv())
        .args(["pip", "install", "--quiet", "--target"])
        .arg(into.path())
        .args(["--python-version", "3.13", "--python"])
        .arg(&python().path)
        .args([".", "--default-index", &index.url()])
        .current_dir(project.path(folder))
        .env("UV_CACHE_DIR", project.root().join("uv-cache"))
        .output()
        .expect("uv runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "uv: {stderr}");
    let names = integration_tests::names(into.path()).into_iter();
    names
        .filter_map(|name| Some(name.strip_suffix(".dist-info")?.to_owned()))
        .collect()
}

/// Returns whether a build has left something behind in what the user has.
fn is_touched(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).expect("the folder is there");
    entries.flatten().any(|entry| {
        let path = entry.path();
        entry.file_name() == "left-behind" || (path.is_dir() && is_touched(&path))
    })
}

const WORKSPACE: &str =
    "[tool.uv.workspace]\nmembers = [\"app\", \"libs/*\"]\nexclude = [\"libs/old\"]\n";
const MEMBER: &str = "[tool.uv.sources]\nlib = { workspace = true }\n";

#[test]
fn local_sources_are_what_uv_takes() {
    let app = |sources: &'static str| ("app", "app", &["lib", "dep"] as &[&str], sources);
    let lib = |folder| (folder, "lib", &["extra"] as &[&str], "");
    let all: &[&str] = &["app-1.0", "dep-2.0", "extra-1.0", "lib-1.0"];
    let old: &[&str] = &["app-1.0", "dep-1.0", "extra-1.0", "lib-1.0"];
    // What it shows, the root's file, the projects, and what is installed.
    let cases = [
        (
            "a member",
            WORKSPACE,
            vec![app(MEMBER), lib("libs/lib")],
            all,
        ),
        (
            "a source of the root, and its constraints",
            "[tool.uv.workspace]\nmembers = [\"app\", \"libs/*/*\"]\n[tool.uv]\n\
             constraint-dependencies = [\"dep<2\"]\n[tool.uv.sources]\nlib.workspace = true\n",
            vec![app(""), lib("libs/deep/lib")],
            old,
        ),
        (
            "settings of a member are not uv's",
            WORKSPACE,
            vec![
                app(
                    "[tool.uv.sources]\nlib.workspace = true\n[tool.uv]\nresolution = \"lowest\"\n",
                ),
                lib("libs/lib"),
            ],
            all,
        ),
        (
            "a path",
            "",
            vec![
                app("[tool.uv.sources]\nlib = { path = \"../other/lib\" }\n"),
                lib("other/lib"),
            ],
            all,
        ),
        (
            "an editable path, of a name that is normalised",
            "",
            vec![
                app("[tool.uv.sources]\nLIB = { path = \"../lib\", editable = true }\n"),
                lib("lib"),
            ],
            all,
        ),
        (
            "the path that is for Linux",
            "",
            vec![
                app(
                    "[tool.uv.sources]\nlib = [\n{ path = \"../lib\", marker = \"sys_platform == 'linux'\" },\n\
                     { path = \"../none\", marker = \"sys_platform == 'win32'\" },\n]\n",
                ),
                lib("lib"),
            ],
            all,
        ),
        (
            "sources of what is not required",
            "",
            vec![
                app("[tool.uv.sources]\nlib = { path = \"../lib\" }\n\
                     linter = { git = \"https://example.com/linter\" }\n\
                     [dependency-groups]\ndev = [\"linter\"]\n"),
                lib("lib"),
            ],
            all,
        ),
        (
            "a source of a source",
            "",
            vec![
                app("[tool.uv.sources]\nlib = { path = \"../lib\" }\n"),
                (
                    "lib",
                    "lib",
                    &["base"],
                    "[tool.uv.sources]\nbase = { path = \"base\" }\n",
                ),
                ("lib/base", "base", &["extra"], ""),
            ],
            &["app-1.0", "base-1.0", "dep-2.0", "extra-1.0", "lib-1.0"],
        ),
        (
            "a stranger requires it, too",
            "",
            vec![
                (
                    "app",
                    "app",
                    &["uses", "lib>=1"],
                    "[tool.uv.sources]\nlib = { path = \"../lib\" }\n",
                ),
                lib("lib"),
            ],
            &["app-1.0", "extra-1.0", "lib-1.0", "uses-1.0"],
        ),
    ];
    for (what, root, projects, expected) in cases {
        let index = strangers();
        let project = project(&index);
        if !root.is_empty() {
            project.write("pyproject.toml", root);
        }
        for (folder, name, requires, more) in projects {
            write_own(&project, folder, name, requires, more);
        }
        let run = project.run(&format!("build --project app {ONE} --name tools"));
        let stderr = run.stderr.clone();
        assert_eq!(run.code, Some(0), "{what}: {stderr}");
        let expected: BTreeSet<_> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(installed(&project), expected, "{what}");
        assert!(!is_touched(&project.path("")), "{what}");
        assert_eq!(
            installed_by_uv(&project, &index, "app"),
            expected,
            "uv: {what}"
        );
        project.assert_tidy();
    }
}

/// Settings that choose packages, versions or indexes, by their names.
const COUNTING: [(&str, &str); 31] = [
    (
        "tool.poetry.dependencies.dep",
        "[tool.poetry.dependencies]\ndep = \"<2\"",
    ),
    (
        "tool.poetry.dependencies.dep",
        "[tool.poetry.dependencies]\ndep = { version = \"*\", python = \"<3.12\" }",
    ),
    (
        "tool.poetry.dependencies.dep",
        "[tool.poetry.dependencies]\ndep = { markers = \"os_name == 'nt'\" }",
    ),
    (
        "tool.uv.exclude-newer",
        "[tool.uv]\nexclude-newer = \"2020-01-01\"",
    ),
    (
        "tool.uv.override-dependencies",
        "[tool.uv]\noverride-dependencies = [\"dep==1\"]",
    ),
    (
        "tool.uv.exclude-dependencies",
        "[tool.uv]\nexclude-dependencies = [\"dep\"]",
    ),
    (
        "tool.uv.build-constraint-dependencies",
        "[tool.uv]\nbuild-constraint-dependencies = [\"a\"]",
    ),
    (
        "tool.uv.index",
        "[[tool.uv.index]]\nname = \"x\"\nurl = \"https://example.com/simple\"",
    ),
    (
        "tool.uv.index-url",
        "[tool.uv]\nindex-url = \"https://example.com/simple\"",
    ),
    (
        "tool.uv.extra-index-url",
        "[tool.uv]\nextra-index-url = [\"https://example.com/simple\"]",
    ),
    ("tool.uv.find-links", "[tool.uv]\nfind-links = [\"wheels\"]"),
    ("tool.uv.no-index", "[tool.uv]\nno-index = true"),
    ("tool.uv.resolution", "[tool.uv]\nresolution = \"lowest\""),
    ("tool.uv.prerelease", "[tool.uv]\nprerelease = \"allow\""),
    (
        "tool.uv.index-strategy",
        "[tool.uv]\nindex-strategy = \"unsafe-best-match\"",
    ),
    (
        "tool.uv.environments",
        "[tool.uv]\nenvironments = [\"sys_platform == 'darwin'\"]",
    ),
    (
        "tool.uv.required-environments",
        "[tool.uv]\nrequired-environments = [\"sys_platform == 'linux'\"]",
    ),
    (
        "tool.uv.dependency-metadata",
        "[[tool.uv.dependency-metadata]]\nname = \"dep\"",
    ),
    (
        "tool.uv.no-binary-package",
        "[tool.uv]\nno-binary-package = [\"dep\"]",
    ),
    (
        "tool.uv.pip.index-url",
        "[tool.uv.pip]\nindex-url = \"https://example.com/simple\"",
    ),
    ("tool.uv.of-tomorrow", "[tool.uv]\nof-tomorrow = 1"),
    (
        "tool.uv.sources.dep",
        "[tool.uv.sources]\ndep = { git = \"https://example.com/dep\" }",
    ),
    (
        "tool.uv.sources.dep",
        "[tool.uv.sources]\ndep = { url = \"https://example.com/dep-1-py3-none-any.whl\" }",
    ),
    (
        "tool.uv.sources.dep",
        "[tool.uv.sources]\ndep = { index = \"x\" }\n[[tool.uv.index]]\nname = \"x\"\n\
         url = \"https://example.com/simple\"\nexplicit = true",
    ),
    (
        "tool.uv.sources.dep",
        "[tool.uv.sources]\ndep = { workspace = true }",
    ),
    (
        "tool.poetry.source",
        "[[tool.poetry.source]]\nname = \"x\"\nurl = \"https://example.com/simple\"",
    ),
    (
        "tool.poetry.dependencies.dep",
        "[tool.poetry.dependencies]\ndep = { git = \"https://example.com/dep\" }",
    ),
    (
        "tool.poetry.dependencies.dep",
        "[tool.poetry.dependencies]\ndep = { version = \"*\", source = \"x\" }",
    ),
    (
        "tool.poetry.dependencies.dep.allow-prereleases",
        "[tool.poetry.dependencies]\ndep = { version = \"*\", allow-prereleases = true }",
    ),
    (
        "tool.pdm.source",
        "[[tool.pdm.source]]\nname = \"pypi\"\nurl = \"https://example.com/simple\"",
    ),
    (
        "tool.pdm.resolution",
        "[tool.pdm.resolution.overrides]\ndep = \"1\"",
    ),
];

#[test]
fn settings_that_count_are_refused_by_name() {
    let index = strangers();
    for (setting, toml) in COUNTING {
        let project = project(&index);
        write_own(&project, "app", "app", &["dep"], toml);
        let run = project.run(&format!("build --project app {ONE} --name tools"));
        let run = run.fails(3, "OptionUnsupported");
        let lock = setting.split('.').nth(1).unwrap();
        for words in [
            &format!("`{setting}`"),
            "app/pyproject.toml:",
            &format!("`{lock} lock`"),
        ] {
            assert!(run.stderr.contains(words), "{words}: {run}");
        }
        assert_eq!(project.outputs(), [""; 0], "{setting}");
    }
}

#[test]
fn what_only_uv_makes_of_a_local_dependency_is_refused() {
    let index = strangers();
    let variable = project(&index);
    write_own(
        &variable,
        "app",
        "app",
        &["lib @ file:///${PROJECT_ROOT}/lib"],
        "",
    );
    let run = variable.run(&format!("build --project app {ONE}"));
    let run = run.fails(3, "OptionUnsupported");
    assert!(
        run.stderr
            .contains("`project.dependencies: lib @ file:///${PROJECT_ROOT}/lib`"),
        "{run}"
    );

    // The index has a stranger of its name.
    for (source, lib) in [
        ("{ path = \"../lib\" }", "[tool.uv]\npackage = false\n"),
        ("{ path = \"../lib\", package = false }", ""),
    ] {
        let project = project(&index);
        let sources = format!("[tool.uv.sources]\nlib = {source}\n");
        write_own(&project, "app", "app", &["lib"], &sources);
        write_own(&project, "lib", "lib", &["dep"], lib);
        let run = project.run(&format!("build --project app {ONE}"));
        let run = run.fails(3, "ProjectUnusable");
        assert!(
            run.stderr.contains("`lib` is required, and is no package"),
            "{run}"
        );
        assert_eq!(project.outputs(), [""; 0]);
    }
}

#[test]
fn files_that_configure_uv_are_found_as_uv_finds_them() {
    let index = strangers();
    let newer = "exclude-newer = \"2020-01-01\"\n";
    let in_tool = format!("[tool.uv]\n{newer}");
    for (what, files, is_refused) in [
        ("beside", vec![("app/uv.toml", newer)], true),
        ("above", vec![("uv.toml", newer)], true),
        (
            "above, of another project",
            vec![("pyproject.toml", in_tool.as_str())],
            true,
        ),
        (
            "a nearer one",
            vec![("uv.toml", newer), ("app/uv.toml", "offline = false")],
            false,
        ),
        (
            "that of a member",
            vec![
                ("pyproject.toml", "[tool.uv.workspace]\nmembers = [\"app\"]"),
                ("app/uv.toml", newer),
            ],
            false,
        ),
        (
            "beside the root",
            vec![
                ("pyproject.toml", "[tool.uv.workspace]\nmembers = [\"app\"]"),
                ("uv.toml", newer),
            ],
            true,
        ),
        (
            "of the user",
            vec![("../home/.config/uv/uv.toml", newer)],
            false,
        ),
    ] {
        let project = project(&index);
        write_own(&project, "app", "app", &["dep"], "");
        for (path, text) in files {
            project.write(path, text);
        }
        let run = project.run(&format!("build --project app {ONE} --name tools"));
        let codes = run.codes();
        let expected: &[&str] = if is_refused {
            &["OptionUnsupported"]
        } else {
            &[]
        };
        assert_eq!(codes, expected, "{what}: {run}");
    }
}

#[test]
fn settings_that_make_no_difference_are_taken() {
    let index = strangers();
    let other = crate::index([pure("dep").build()]);
    let url = other.url();
    let default = index.url();
    for (toml, options) in [
        ("[tool.uv]\ncache-dir = \"x\"\ndev-dependencies = [\"x\"]\ndefault-groups = [\"a\"]\n[dependency-groups]\na=[]".to_owned(), ""),
        ("[tool.uv]\nresolution = \"highest\"\nno-index = false\noverride-dependencies = []".to_owned(), ""),
        ("[tool.uv]\nno-build = true\nenvironments = [\"sys_platform == 'linux'\"]".to_owned(), ""),
        (format!("[[tool.uv.index]]\nname = \"x\"\nurl = \"{url}\""), "--index x="),
        (format!("[[tool.uv.index]]\nname = \"x\"\nurl = \"{default}\"\ndefault = true"), ""),
        (format!("[tool.uv]\nindex-url = \"{}\"", default.trim_end_matches('/')), ""),
        ("[[tool.uv.index]]\nname = \"x\"\nurl = \"https://example.com/\"\nexplicit = true".to_owned(), ""),
        (format!("[[tool.poetry.source]]\nname = \"x\"\nurl = \"{url}\""), "--index x="),
        ("[tool.pdm]\ndistribution = true\n[tool.hatch.metadata]\nallow-direct-references = true".to_owned(), ""),
    ] {
        let project = project(&index);
        write_own(&project, "app", "app", &["dep"], &toml);
        let option = if options.is_empty() { String::new() } else { format!("{options}{url}") };
        let run = project.run(&format!("build --project app {ONE} --name tools {option}"));
        assert_eq!(run.code, Some(0), "{toml}: {run}");
    }
}

#[test]
fn what_is_required_of_ones_own_has_to_be_there() {
    let index = strangers();
    let local = "[tool.uv.sources]\nlib = { path = \"../lib\" }\n";
    for (requires, code) in [
        (&["lib>=2"] as &[&str], "OwnVersionMismatch"),
        (&["lib", "wants"], "OwnVersionMismatch"),
        (
            &[
                "lib; python_version < '3.13'",
                "lib>=2; python_version < '3.13'",
            ],
            "",
        ),
        (&["lib; python_version >= '3.13'"], ""),
    ] {
        let project = project(&index);
        write_own(&project, "app", "app", requires, local);
        write_own(&project, "lib", "lib", &[], "");
        let run = project.run(&format!("build --project app {ONE} --name tools"));
        let expected: Vec<_> = Some(code).into_iter().filter(|it| !it.is_empty()).collect();
        assert_eq!(run.codes(), expected, "{requires:?}: {run}");
    }
    // A member without a source is not taken from the index.
    let project = project(&index);
    project.write("pyproject.toml", WORKSPACE);
    write_own(&project, "app", "app", &["lib"], "");
    write_own(&project, "libs/lib", "lib", &[], "");
    let run = project
        .run(&format!("build --project app {ONE}"))
        .fails(3, "OptionUnsupported");
    assert!(run.stderr.contains("lib = { workspace = true }"), "{run}");
    // Nor is the root of a workspace one of its members.
    let run = project
        .run(&format!("build --project . {ONE}"))
        .fails(3, "LayerEmpty");
    assert!(
        run.stderr.contains("accretion build --project app"),
        "{run}"
    );
}

#[test]
fn the_python_versions_of_projects_count() {
    let index = strangers();
    for (requires, fits) in [
        (">=3.13", false),
        (">=3.9,<3.12", false),
        ("==3.12.*", true),
        ("~=3.12", true),
        ("!=3.12.*", false),
        ("", true),
    ] {
        let project = project(&index);
        write_own(&project, "app", "app", &[], "");
        let backend = fs::read_to_string(project.path("app/backend.py")).unwrap();
        let field = format!("Version: 1.0\\nRequires-Python: {requires}\\n");
        let field = if requires.is_empty() {
            "Version: 1.0\\n"
        } else {
            &field
        };
        project.write(
            "app/backend.py",
            backend.replacen("Version: 1.0\\n", field, 1),
        );
        let target = "--runtime python3.12 --architecture x86_64";
        let run = project.run(&format!("build --project app {target}"));
        let expected: &[&str] = if fits { &[] } else { &["PythonMismatch"] };
        assert_eq!(run.codes(), expected, "{requires}: {run}");
    }
}

/// Lock files of every format with one local package.
fn locks(path: &str) -> [(&'static str, String); 5] {
    [
        (
            "pylock.toml",
            format!(
                "lock-version = \"1.0\"\ncreated-by = \"x\"\n[[packages]]\nname = \"lib\"\n\
                 directory = {{ path = \"{path}\", editable = true }}\n"
            ),
        ),
        (
            "uv.lock",
            format!(
                "version = 1\nrequires-python = \">=3.10\"\n[[package]]\nname = \"app\"\nversion = \"1\"\n\
                 source = {{ virtual = \".\" }}\ndependencies = [{{ name = \"lib\" }}]\n\
                 [[package]]\nname = \"lib\"\nversion = \"1.0\"\nsource = {{ editable = \"{path}\" }}\n"
            ),
        ),
        (
            "poetry.lock",
            format!(
                "[[package]]\nname = \"lib\"\nversion = \"1.0\"\noptional = false\n\
                 python-versions = \"*\"\ngroups = [\"main\"]\nfiles = []\ndevelop = true\n\
                 [package.source]\ntype = \"directory\"\nurl = \"{path}\"\n\
                 [metadata]\nlock-version = \"2.1\"\npython-versions = \"*\"\ncontent-hash = \"x\"\n"
            ),
        ),
        (
            "Pipfile.lock",
            json!({
                "_meta": {"pipfile-spec": 6, "hash": {}, "requires": {}, "sources": []},
                "default": {"lib": {"editable": true, "path": path}},
            })
            .to_string(),
        ),
        (
            "pdm.lock",
            format!(
                "[metadata]\ngroups = [\"default\"]\nstrategy = [\"inherit_metadata\"]\n\
                 lock_version = \"4.5.0\"\ncontent_hash = \"x\"\n[[package]]\nname = \"lib\"\n\
                 version = \"1.0\"\npath = \"./{path}\"\neditable = true\ngroups = [\"default\"]\n"
            ),
        ),
    ]
}

#[test]
fn local_packages_of_locks_are_built() {
    let index = strangers();
    let own = BTreeSet::from(["lib-1.0".to_owned()]);
    let project = project(&index);
    write_own(&project, "inside/libs/lib", "lib", &["dep"], "");
    write_own(&project, "outside", "lib", &[], "");
    std::os::unix::fs::symlink("../../outside", project.path("inside/libs/linked")).unwrap();
    for (name, text) in locks("libs/lib") {
        let lock = format!("inside/{name}");
        project.write(&lock, text);
        project.run(&format!("check {lock}")).exits(0);
        project
            .run(&format!("build {lock} {ONE} --name tools"))
            .exits(0);
        assert_eq!(installed(&project), own, "{name}");
        fs::remove_dir_all(project.layers()).unwrap();
    }
    for path in ["../outside", "libs/linked"] {
        for (name, text) in locks(path) {
            let lock = format!("inside/{name}");
            project.write(&lock, text);
            let code = "LockedSourceUnsupported";
            let run = project
                .run(&format!("build {lock} {ONE} --name tools"))
                .fails(3, code);
            assert!(run.stderr.contains("--project"), "{run}");
            project.run(&format!("check {lock} {ONE}")).fails(3, code);
            let given = format!("build {lock} {ONE} --name tools --project outside");
            project.run(&given).exits(0);
            assert_eq!(installed(&project), own, "{name}");
            fs::remove_dir_all(project.layers()).unwrap();
        }
    }
    assert!(!is_touched(&project.path("")));
    project.assert_tidy();
}

#[test]
fn wheels_beside_a_lock_have_the_hash_that_it_names() {
    let index = strangers();
    let project = project(&index);
    let wheel = WheelForge::new("lib", "1.0").file("lib.py", "").build();
    project.write(&format!("wheels/{}", wheel.filename), &wheel.bytes);
    let lock = |sha256: &str| {
        format!(
            "lock-version = \"1.0\"\ncreated-by = \"x\"\n[[packages]]\nname = \"lib\"\nversion = \"1.0\"\n\
             wheels = [{{ path = \"wheels/{}\", hashes = {{ sha256 = \"{sha256}\" }} }}]\n",
            wheel.filename
        )
    };
    project.write("pylock.toml", lock(&wheel.sha256));
    project.run(&format!("build pylock.toml {ONE}")).exits(0);
    assert_eq!(installed(&project), BTreeSet::from(["lib-1.0".to_owned()]));
    project.write("pylock.toml", lock(&"0".repeat(64)));
    project
        .run(&format!("build pylock.toml {ONE}"))
        .fails(3, "HashMismatch");
}

#[test]
fn a_wheel_that_says_it_is_pure_serves_the_machine_that_its_code_is_for() {
    let index = strangers();
    let project = project(&index);
    write_own(&project, "app", "app", &[], "");
    let backend = fs::read_to_string(project.path("app/backend.py")).unwrap();
    let machine = match std::env::consts::ARCH {
        "aarch64" => "b7",
        _ => "3e",
    };
    let elf =
        format!("\"app/x.so\": b\"\\x7fELF\" + bytes(14) + b\"\\x{machine}\\0\" + bytes(99),");
    let backend = backend.replace("files = {", &format!("files = {{\n        {elf}"));
    project.write("app/backend.py", backend);
    let own = own_target();
    project.run(&format!("build --project app {own}")).exits(0);
    let both = own.replace("arm64", "x86_64 --architecture arm64");
    let both = both.replace(
        "--architecture x86_64",
        "--architecture arm64 --architecture x86_64",
    );
    let run = project.run(&format!("build --project app {both}"));
    let run = run.fails(3, "ArchitectureForeign");
    assert!(run.stderr.contains("holds `app/x.so`"), "{run}");
}

#[test]
fn compiled_code_is_for_the_targets_that_it_was_built_for() {
    let index = strangers();
    let project = project(&index);
    write_own(&project, "app", "app", &[], "");
    let backend = fs::read_to_string(project.path("app/backend.py")).unwrap();
    // What a compiler would make of it, for the interpreter that runs it.
    let tag = "import sys, platform\nV = \"cp%d%d\" % sys.version_info[:2]\n\
               TAG = f\"{V}-{V}-linux_{platform.machine()}\"\n";
    let backend = backend
        .replace("Tag: py3-none-any\\n\"", "Tag: \" + TAG + \"\\n\"")
        .replace("1.0-py3-none-any.whl\"", "1.0-\" + TAG + \".whl\"");
    project.write("app/backend.py", format!("{tag}{backend}"));
    let own = own_target();
    project.run(&format!("build --project app {own}")).exits(0);
    let architecture = if own.ends_with("arm64") {
        "x86_64"
    } else {
        "arm64"
    };
    let both = format!("{own} --architecture {architecture} --format json");
    let run = project.run(&format!("build --project app {both}")).exits(3);
    let document = run.json();
    let (layers, failures) = (&document["Layers"], &document["Failures"]);
    assert_eq!(
        (
            layers.as_array().unwrap().len(),
            failures.as_array().unwrap().len()
        ),
        (1, 1)
    );
    assert_eq!(failures[0]["Error"]["Code"], "OwnWheelUnfit", "{document}");
}
