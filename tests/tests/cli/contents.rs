//! Extra files and projects in layers, and files that are left out.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use accretion_testing::forge::WheelForge;
use accretion_testing::secrets::planted;
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

/// Writes a folder of one's own.
fn write_own(project: &Project) {
    project
        .write("src/mine/__init__.py", "x = 1\n")
        .write("src/mine/.hidden", "there\n")
        .write("src/bin/tool", "#!/bin/sh\n")
        .write("src/.env", "secret\n")
        .write("src/.git/HEAD", "x\n")
        .write("src/requirements.txt", "nothing-of-this\n");
    let tool = project.path("src/bin/tool");
    let executable = fs::set_permissions(tool, fs::Permissions::from_mode(0o700));
    executable.expect("it is our file");
}

#[test]
fn files_of_ones_own_lie_beside_the_packages() {
    let index = index([heavy().build(), light().build()]);
    let project = project(&index);
    project.write("requirements.txt", "heavy");
    write_own(&project);
    let build = format!("build requirements.txt {ONE} --include src");
    snapshot!("include", project.run(&build).exits(0));
    let content = project.content(LAYER);
    let own: Vec<_> = content
        .iter()
        .filter(|(path, _)| !path.contains("heavy") && !path.contains("light"))
        .map(|(path, (mode, _))| format!("{mode:o} {path}"))
        .collect();
    assert_eq!(
        own,
        [
            "100755 python/bin/tool",
            "100644 python/mine/__init__.py",
            "100644 python/tests/conftest.py",
        ]
    );
    let manifest = project.manifest(LAYER);
    snapshot!(
        "include_files",
        serde_json::to_string_pretty(&manifest["Files"]).unwrap()
    );
    assert_eq!(manifest["Installed"].as_array().unwrap().len(), 2);
    let zip = project.zip(LAYER);

    // Times and modes that say nothing to Python make no difference, and nothing is done again.
    let path = project.path("src/mine/__init__.py");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&path, "x = 1\n").unwrap();
    let again = project
        .run(&format!("{build} --format json"))
        .exits(0)
        .json();
    assert_eq!(again["Layers"][0]["Changed"], false);
    // What differs, is another layer.
    fs::write(&path, "x = 2\n").unwrap();
    let other = project
        .run(&format!("{build} --format json"))
        .exits(0)
        .json();
    assert_eq!(other["Layers"][0]["Changed"], true);
    assert!(project.zip(LAYER) != zip);
    // Pruning is about packages.
    let pruned = project.run(&format!(
        "{build} --prune mine/ --prune heavy/tests/ --prune *"
    ));
    pruned.exits(0);
    let left = paths(&project);
    assert!(left.contains("python/mine/__init__.py") && !left.contains("python/heavy/__init__.py"));

    // The same path with another content.
    project.write("src/heavy/__init__.py", "# mine\n");
    snapshot!("include_conflict", project.run(&build).exits(3));
    project.write("empty/.hidden", "");
    let run = project.run(&format!("build requirements.txt {ONE} --include empty"));
    snapshot!("include_empty", run.exits(3));
    let request = json!({
        "Name": "tools", "Language": "python", "Files": [{"Key": "files/tools/src.zip"}],
        "Requirements": {"Type": "accretion", "Requirements": []},
    });
    project.write("request.json", request.to_string());
    project.run("check request.json").exits(0);
    snapshot!(
        "files_elsewhere",
        project.run("build request.json").exits(3)
    );
    project.assert_tidy();
}

#[test]
fn hidden_and_ignored_files_stay_out() {
    let index = index([light().build()]);
    let project = project(&index);
    project.write("requirements.txt", "light");
    write_own(&project);
    project
        .write("src/mine/__pycache__/x.cpython-313.pyc", "")
        .write("src/mine/data/.gitignore", "*.csv\n")
        .write("src/mine/data/a.csv", "1\n")
        .write("src/mine/data/b.txt", "b\n")
        .write("src/notes.md", "for us\n")
        .write("src/.accretionignore", "notes.md\n");
    let build = format!("build requirements.txt {ONE} --include src");
    let own = |project: &Project| {
        let paths = paths(project).into_iter();
        let own = paths.filter(|path| !path.contains("light") && !path.contains("tests/"));
        own.collect::<Vec<_>>()
    };
    snapshot!("left_out", project.run(&build).exits(0));
    let without = [
        "python/bin/tool",
        "python/mine/__init__.py",
        "python/mine/data/b.txt",
    ];
    assert_eq!(own(&project), without);
    let json = project
        .run(&format!("{build} --format json"))
        .exits(0)
        .json();
    let expected = json!({"Hidden": 3, "Bytecode": 1, "Ignored": 2});
    assert_eq!(json["FilesLeftOut"], expected);
    let verbose = project.run(&format!("{build} --verbose")).exits(0);
    assert!(
        verbose.stderr.contains("\n  mine/data/a.csv\n"),
        "{verbose}"
    );

    // A pattern brings hidden files back, and says so if it does not.
    let options = "--hidden mine/.hidden --hidden none/";
    snapshot!(
        "hidden",
        project.run(&format!("{build} {options}")).exits(0)
    );
    assert!(own(&project).contains(&"python/mine/.hidden".to_owned()));
    snapshot!(
        "hidden_alone",
        project
            .run(&format!("build requirements.txt {ONE} --hidden x"))
            .exits(2)
    );
    // What is hidden and looks like a secret takes both.
    let secret = project.run(&format!("{build} --hidden .env"));
    snapshot!("hidden_secret", secret.fails(3, "SecretFound"));
    let both = format!("{build} --hidden .env --allow-secret src/.env");
    project.run(&both).exits(0);
    assert!(own(&project).contains(&"python/.env".to_owned()));
    project.assert_tidy();
}

#[test]
fn secrets_stay_where_they_are() {
    let index = index([light().build()]);
    let project = project(&index);
    project.write("requirements.txt", "light");
    write_project(&project, &[]);
    project.write("src/ok.py", "x = 1\n");
    for (form, text) in planted() {
        let places = [
            ("--include src", "src/conf.py", "conf.py"),
            ("--include src", "src/a/b/c.txt", "a/b/c.txt"),
            ("--project app", "app/mine/__init__.py", "mine/__init__.py"),
        ];
        // A project takes long to build: one form is enough to see that it is searched.
        let places = &places[..if form == "a Stripe key" { 3 } else { 2 }];
        for (options, file, inside) in places {
            project.write(file, format!("# x\nkey = <{text}>\n"));
            let build = format!("build requirements.txt {ONE} {options}");
            let run = project.run(&build).fails(3, "SecretFound");
            let said = format!("`{inside}` holds {form} in line 2");
            assert!(run.stderr.contains(&said), "{run}");
            let mut ends = text
                .lines()
                .map(|line| &line[line.len() - line.len().min(12)..]);
            assert!(
                ends.all(|end| end.is_empty() || !run.stderr.contains(end)),
                "{run}"
            );
            assert!(!project.layers().join(format!("{LAYER}.zip")).exists());
            project.write(file, "def main(): ...\n");
        }
    }
    project.write("src/key.pem", &planted()[0].1);
    let allowed = format!("build requirements.txt {ONE} --include src --allow-secret key.pem");
    project.run(&allowed).exits(0);
    assert!(paths(&project).contains("python/key.pem"));
}

/// A project that builds itself, with a backend that knows `SOURCE_DATE_EPOCH`.
pub(crate) fn write_project(project: &Project, requires: &[&str]) {
    let requires = requires.iter().map(|it| format!("Requires-Dist: {it}\\n"));
    let requires = requires.collect::<Vec<_>>().concat();
    let backend = format!(
        r#"
import os, time, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "mine-2.0-py3-none-any.whl"
    date = time.gmtime(int(os.environ["SOURCE_DATE_EPOCH"]))[:6]
    metadata = "Metadata-Version: 2.1\nName: mine\nVersion: 2.0\n{requires}"
    files = {{
        "mine/__init__.py": open("mine/__init__.py").read(),
        "mine-2.0.dist-info/METADATA": metadata,
        "mine-2.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "mine-2.0.dist-info/entry_points.txt": "[console_scripts]\nmine = mine:main\n",
    }}
    record = "".join(f"{{path}},,\n" for path in [*files, "mine-2.0.dist-info/RECORD"])
    files["mine-2.0.dist-info/RECORD"] = record
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(zipfile.ZipInfo(path, date), text)
    return name
"#
    );
    project
        .write(
            "app/pyproject.toml",
            "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n\n\
             [project]\nname = \"mine\"\nversion = \"2.0\"\n",
        )
        .write("app/backend.py", backend)
        .write("app/mine/__init__.py", "def main(): ...\n");
}

#[test]
fn a_project_of_ones_own_is_installed_with_what_it_requires() {
    // Somebody has taken its name.
    let index = index([
        heavy().build(),
        light().build(),
        pure("extra").build(),
        WheelForge::new("mine", "9.0").file("evil.py", "").build(),
    ]);
    let project = project(&index);
    write_project(&project, &["light", "extra; extra == 'x'"]);
    let alone = format!("build --project app {ONE} --name tools");
    snapshot!("project", project.run(&alone).exits(0));
    let manifest = project.manifest(LAYER);
    snapshot!(
        "project_installed",
        serde_json::to_string_pretty(&manifest["Installed"]).unwrap()
    );
    assert_eq!(manifest["Requirements"], json!(["light"]));
    let zip = project.zip(LAYER);
    let content = project.content(LAYER);
    assert!(content.contains_key("python/bin/mine") && !content.contains_key("python/evil.py"));
    // Built again it is the same.
    let run = project.run(&format!("{alone} --format json")).exits(0);
    assert_eq!(run.json()["Layers"][0]["Changed"], false);
    // Its own name is that of the layers.
    project.run(&format!("build --project app {ONE}")).exits(0);
    assert!(project.layers().join("mine-py313.zip").exists());

    // Beside what else is required, which names it, too.
    project.write("requirements.txt", "heavy\nmine\n");
    project
        .run(&format!(
            "build requirements.txt --name tools --project app {ONE}"
        ))
        .exits(0);
    let installed = &project.manifest(LAYER)["Installed"];
    let versions: Vec<_> = (0..3)
        .map(|at| installed[at]["Version"].as_str().unwrap())
        .collect();
    assert_eq!(
        (versions, installed.as_array().unwrap().len()),
        (vec!["1.0", "1.0", "2.0"], 3)
    );
    assert!(project.zip(LAYER) != zip);

    // One that requires nothing is a layer by itself; one that can't be built is none.
    write_project(&project, &[]);
    project.run(&alone).exits(0);
    assert_eq!(
        project.manifest(LAYER)["Installed"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    project.write("app/backend.py", "raise SystemExit('no backend')\n");
    let run = project.run(&alone).exits(3);
    assert!(run.stderr.contains("no backend"), "{run}");
    project.assert_tidy();
}

#[test]
fn what_the_runtime_has_stays_out() {
    let sdk = [
        pure("boto3").requires("botocore").requires("jmespath<2"),
        pure("botocore").requires("urllib3<3"),
        pure("jmespath"),
        pure("urllib3"),
        pure("app").requires("boto3"),
        pure("needy").requires("urllib3>=1.0,<1.1"),
    ];
    let index = index(sdk.map(|forge| forge.build()));
    let project = project(&index);
    project.write("requirements.txt", "app\nboto3\n");
    project
        .run(&format!("build requirements.txt {ONE}"))
        .exits(0);
    assert_eq!(
        project.manifest(LAYER)["Installed"]
            .as_array()
            .unwrap()
            .len(),
        5
    );

    let build = format!("build requirements.txt {ONE} --provided-by-runtime");
    snapshot!("provided", project.run(&build).exits(0));
    let manifest = project.manifest(LAYER);
    snapshot!(
        "provided_manifest",
        serde_json::to_string_pretty(&manifest["Excluded"]).unwrap()
    );
    assert_eq!(manifest["Installed"].as_array().unwrap().len(), 1);
    // The layer is that of what is left: it was asked for in another way.
    let digest = &manifest["Digest"];
    let names = ["boto3", "botocore", "jmespath", "urllib3"];
    let request = json!({
        "Name": "tools", "Language": "python", "Exclude": names,
        "Requirements": {"Type": "requirements.txt", "Requirements": "app\nboto3"},
    });
    project.write("request.json", request.to_string());
    project.run(&format!("build request.json {ONE}")).exits(0);
    let excluding = project.manifest(LAYER);
    assert_eq!(excluding["Digest"], *digest);
    assert!(excluding["Excluded"][0]["Reason"].is_null());

    fs::remove_dir_all(project.layers()).unwrap();
    project.write("requirements.txt", "app\nneedy\n");
    snapshot!("provided_kept", project.run(&build).exits(0));
    let lock = format!(
        "lock-version = \"1.0\"\n[[packages]]\nname = \"boto3\"\nversion = \"1.0\"\n\
         wheels = [{{url = \"{}\", hashes = {{sha256 = \"{}\"}}}}]\n",
        index.file_url("boto3-1.0-py3-none-any.whl"),
        pure("boto3")
            .requires("botocore")
            .requires("jmespath<2")
            .build()
            .sha256,
    );
    project.write("pylock.toml", lock);
    let run = project.run(&format!(
        "build pylock.toml --name tools {ONE} --provided-by-runtime"
    ));
    snapshot!("provided_locked", run.exits(0));
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
