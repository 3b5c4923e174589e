//! `accretion build` where all is well: what it writes, says and downloads.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use accretion_testing::forge::{Wheel, WheelForge};
use accretion_testing::index::PackageIndex;
use integration_tests::{Project, names, python, snapshot, uv};
use serde_json::{Value, json};

use crate::{DEFAULT_LAYERS, LAYER, ONE, after, index, native, project, pure, pure_name};

/// `app` needs `lib` and `native`.
fn app() -> Vec<Wheel> {
    let app = pure("app")
        .requires("lib>=1")
        .requires("native")
        .entry_point("console_scripts", "app", "app:main")
        .data("scripts", "app-tool", "#!python\nprint('tool')\n")
        .data("data", "share/app.txt", "data\n")
        .build();
    [app, pure("lib").build()]
        .into_iter()
        .chain(native())
        .collect()
}

fn request(changes: &Value) -> String {
    let mut request = json!({
        "Name": "tools",
        "Language": "python",
        "Requirements": {
            "Type": "accretion",
            "Requirements": [{"Name": "app", "Details": "==1.0"}],
        },
    });
    for (field, value) in changes.as_object().expect("changes are an object") {
        request[field] = value.clone();
    }
    request.to_string()
}

/// The identity of a file, which changes if the file is written again.
fn identity(project: &Project, file: &str) -> (u64, i64, i64) {
    let metadata = fs::metadata(project.layers().join(file)).expect("the file is there");
    (metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
}

fn downloads(index: &PackageIndex) -> usize {
    let files = index.requests().into_iter();
    files
        .filter(|request| request.path.ends_with(".whl"))
        .count()
}

#[test]
fn a_request_becomes_a_layer_for_every_target() {
    let index = index(app());
    let project = project(&index);
    project.write("request.json", request(&json!({})));
    let run = project.run("build request.json").exits(0);
    snapshot!("table", run);

    let files = DEFAULT_LAYERS
        .iter()
        .flat_map(|layer| ["manifest", "zip"].map(|extension| format!("{layer}.{extension}")));
    let mut files: Vec<_> = files.collect();
    files.sort();
    assert_eq!(project.outputs(), files);
    for layer in DEFAULT_LAYERS {
        let manifest = project.manifest(layer);
        let minor = &layer["tools-py3".len()..]["".len()..][..2];
        let machine = if layer.ends_with("arm64") {
            "manylinux_2_17_aarch64.manylinux2014_aarch64"
        } else {
            "manylinux_2_17_x86_64.manylinux2014_x86_64"
        };
        let tag = format!("cp3{minor}-cp3{minor}-{machine}");
        assert_eq!(
            manifest["Installed"][2]["Wheel"],
            format!("native-1.0-{tag}.whl")
        );
        let so = &project.content(layer)[&format!("python/native/_core.cpython-3{minor}.so")];
        assert_eq!(so, &(0o100_755, tag.into_bytes()));
    }
    snapshot!(
        "manifest",
        serde_json::to_string_pretty(&project.manifest("tools-py313-arm64")).unwrap()
    );
    let content = project.content("tools-py313");
    let listing: Vec<_> = content
        .iter()
        .map(|(name, (mode, _))| format!("{mode:o} {name}\n"))
        .collect();
    snapshot!("content", listing.concat());
    for script in ["app", "app-tool"] {
        let (_, text) = &content[&format!("python/bin/{script}")];
        snapshot!(format!("script_{script}"), String::from_utf8_lossy(text));
    }

    // Six targets share what they can.
    let wheels = app().into_iter().map(|wheel| wheel.filename);
    for wheel in wheels {
        let expected = usize::from(!wheel.contains("win_amd64"));
        assert_eq!(index.count(&wheel), expected, "{wheel}");
    }
    project.assert_tidy();
}

#[test]
fn what_is_there_already_is_left_alone() {
    let index = index(app());
    let project = project(&index);
    project.write("request.json", request(&json!({})));
    let first = project
        .run("build request.json --format json")
        .exits(0)
        .json();
    let zips = || DEFAULT_LAYERS.map(|layer| identity(&project, &format!("{layer}.zip")));
    let manifests = || DEFAULT_LAYERS.map(|layer| identity(&project, &format!("{layer}.manifest")));
    let before = (zips(), manifests());

    // Not even the wheel cache is needed.
    fs::remove_dir_all(project.cache().join("wheels")).unwrap();
    index.forget_requests();
    let second = project
        .run("build request.json --format json")
        .exits(0)
        .json();
    assert_eq!(downloads(&index), 0);
    assert_eq!((zips(), manifests()), before);
    for (first, second) in std::iter::zip(
        first["Layers"].as_array().unwrap(),
        second["Layers"].as_array().unwrap(),
    ) {
        assert_eq!(
            (&first["Changed"], &second["Changed"]),
            (&json!(true), &json!(false))
        );
        for same in [
            "Digest",
            "ArtifactSha256",
            "ArtifactSize",
            "UnzippedSize",
            "Packages",
        ] {
            assert_eq!(first[same], second[same]);
        }
    }
    let text = project.run("build request.json").exits(0).stdout;
    assert_eq!(
        text.matches("unchanged").count(),
        DEFAULT_LAYERS.len(),
        "{text}"
    );
    project.assert_tidy();
}

#[test]
fn a_description_changes_manifests_only() {
    let index = index([pure("a").build()]);
    let project = project(&index);
    let with = |description: &str| {
        let requirements = json!({"Type": "requirements.txt", "Requirements": "a"});
        let changes = json!({"Requirements": requirements, "Description": description});
        project.write("request.json", request(&changes));
        project
            .run(&format!("build request.json --format json {ONE}"))
            .exits(0)
            .json()
    };
    with("1.0.0");
    let (zip, old) = (
        identity(&project, "tools-py313.zip"),
        project.manifest(LAYER),
    );
    let second = with("1.1.0");
    assert_eq!(second["Layers"][0]["Changed"], false);
    assert_eq!(identity(&project, "tools-py313.zip"), zip);
    let mut new = project.manifest(LAYER);
    assert_eq!(new["Publish"]["Description"], "1.1.0");
    new["Publish"] = old["Publish"].clone();
    assert_eq!(new, old);
}

#[test]
fn a_layer_of_more_wheels_than_files_may_be_open() {
    let names: Vec<_> = (0..40).map(|n| format!("package{n}")).collect();
    let index = index(names.iter().map(|name| pure(name).build()));
    let project = project(&index);
    project.write("requirements.txt", names.join("\n"));
    let mut command = project.command(["build", "requirements.txt"]);
    command.args(ONE.split(' '));
    project.finish(after("ulimit -S -n 48", &command)).exits(0);
}

#[test]
fn layers_of_more_wheels_than_files_may_ever_be_open() {
    let names: Vec<_> = (0..150).map(|n| format!("package{n}")).collect();
    let index = index(names.iter().map(|name| pure(name).build()));
    let project = project(&index);
    project.write("requirements.txt", names.join("\n"));
    // The limit that no process can raise, and two layers at a time.
    for _ in ["cold", "warm"] {
        let _ = fs::remove_dir_all(project.layers());
        let mut command = project.command(["build", "requirements.txt"]);
        command.args(["--runtime", "python3.13"]);
        project.finish(after("ulimit -n 200", &command)).exits(0);
        assert_eq!(project.content(LAYER).len(), 150 * 5);
    }
}

#[test]
fn a_damaged_layer_is_written_again() {
    let index = index([pure("a").build()]);
    let project = project(&index);
    project.write("requirements.txt", "a\n");
    let build = format!("build requirements.txt --format json {ONE}");
    project.run(&build).exits(0).json();
    let (zip, path) = (project.zip(LAYER), project.layers().join("tools-py313.zip"));
    let manifest_path = project.layers().join("tools-py313.manifest");
    let damages: [(&str, &dyn Fn()); 6] = [
        ("cut", &|| fs::write(&path, &zip[..zip.len() / 2]).unwrap()),
        ("flipped", &|| {
            let mut bytes = zip.clone();
            bytes[zip.len() / 2] ^= 1;
            fs::write(&path, bytes).unwrap();
        }),
        ("gone", &|| fs::remove_file(&path).unwrap()),
        ("empty manifest", &|| fs::write(&manifest_path, "").unwrap()),
        ("manifest of another", &|| {
            let text = fs::read_to_string(&manifest_path).unwrap();
            fs::write(&manifest_path, text.replace("\"sha256:", "\"sha256:00")).unwrap();
        }),
        ("no manifest", &|| fs::remove_file(&manifest_path).unwrap()),
    ];
    for (what, damage) in damages {
        damage();
        let run = project.run(&build).exits(0).json();
        assert_eq!(run["Layers"][0]["Changed"], true, "{what}");
        assert!(project.zip(LAYER) == zip, "{what}");
        let again = project.run(&build).exits(0).json();
        assert_eq!(again["Layers"][0]["Changed"], false, "{what}");
    }
    assert_eq!(index.count(&pure_name("a")), 1);
}

#[test]
fn a_cached_wheel_with_a_damaged_layout_is_verified_again_not_downloaded() {
    let index = index(app());
    let project = project(&index);
    project.write("request.json", request(&json!({})));
    project.run(&format!("build request.json {ONE}")).exits(0);
    let zip = project.zip(LAYER);
    index.forget_requests();
    let wheels = project.cache().join("wheels");
    let layouts = names(&wheels)
        .into_iter()
        .filter(|name| !name.ends_with(".whl"));
    for (at, name) in layouts.enumerate() {
        let layout = wheels.join(name);
        if at % 2 == 0 {
            fs::remove_file(layout).expect("layouts can be removed");
        } else {
            fs::write(layout, "damaged").expect("layouts can be written");
        }
    }
    fs::remove_dir_all(project.layers()).expect("layers can be removed");
    project.run(&format!("build request.json {ONE}")).exits(0);
    assert_eq!(downloads(&index), 0);
    assert_eq!(project.zip(LAYER), zip);
    project.assert_tidy();
}

#[test]
fn a_requirements_file_may_include_others_of_its_folder() {
    let index = index([
        pure("a").build(),
        pure("b").build(),
        WheelForge::new("b", "2.0").build(),
        pure("c").build(),
    ]);
    let project = project(&index);
    project
        .write(
            "requirements.txt",
            "# what we need\n-r more/base.txt\n-c limits.txt\na\n",
        )
        .write(
            "more/base.txt",
            "b ; python_version >= '3.8'\n-r deep.txt\n",
        )
        .write("more/deep.txt", "\u{feff}c==1.*\n")
        .write("limits.txt", "b<2\nunused==9\n");
    project
        .run(&format!("build requirements.txt {ONE}"))
        .exits(0);
    // The folder's name is the project's.
    let manifest = project.manifest("tools-py313");
    assert_eq!(manifest["ProjectName"], "tools");
    let installed = manifest["Installed"].as_array().unwrap().iter();
    let pins: Vec<_> = installed
        .map(|it| format!("{}=={}", it["Name"], it["Version"]))
        .collect();
    assert_eq!(pins, [r#""a"=="1.0""#, r#""b"=="1.0""#, r#""c"=="1.0""#]);
}

#[test]
fn a_name_can_be_given() {
    let index = index([pure("a").build()]);
    let project = project(&index);
    project
        .write("requirements.txt", "a\n")
        .write("no name!/requirements.txt", "a\n")
        .write(
            "request.json",
            request(&json!({"Requirements": {
                "Type": "requirements.txt", "Requirements": "a",
            }})),
        );
    for input in ["requirements.txt", "request.json"] {
        project
            .run(&format!(
                "build {input} --name Other_1 -o {input}.out {ONE}"
            ))
            .exits(0);
        let names = names(&project.path(format!("{input}.out")));
        assert_eq!(names, ["Other_1-py313.manifest", "Other_1-py313.zip"]);
    }
    let mut unnamed = project.command(["build", "no name!/requirements.txt"]);
    unnamed.env_remove("ACCRETION_UV");
    let run = project.finish(unnamed).fails(2, "NameMissing");
    snapshot!(run);
}

#[test]
fn a_lock_file_gives_the_layer_that_it_was_resolved_to() {
    let index = index(app());
    let project = project(&index);
    project.write("requirements.txt", "app\n");
    project
        .run(&format!("build requirements.txt {ONE}"))
        .exits(0);
    let from_requirements = project.zip(LAYER);
    lock(&project, &index);

    let own = project.command(["build", "pylock.toml", "--output", "locked"]);
    let run = project
        .finish(with(own, &ONE.split(' ').collect::<Vec<_>>()))
        .exits(0);
    let locked = fs::read(project.path("locked/tools-py313.zip")).unwrap();
    assert!(locked == from_requirements, "{run}");
    // A lock file needs no resolver.
    let mut no_uv = project.command(["build", "pylock.toml", "--output", "again"]);
    no_uv.env("ACCRETION_UV", "/nowhere/uv");
    project
        .finish(with(no_uv, &ONE.split(' ').collect::<Vec<_>>()))
        .exits(0);
    assert!(fs::read(project.path("again/tools-py313.zip")).unwrap() == locked);
}

fn with(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

/// Lets uv write a `pylock.toml`, as a user would.
fn lock(project: &Project, index: &PackageIndex) {
    let status = Command::new(uv())
        .args([
            "pip",
            "compile",
            "requirements.txt",
            "--quiet",
            "--no-config",
        ])
        .args([
            "--format",
            "pylock.toml",
            "--output-file",
            "pylock.toml",
            "--default-index",
        ])
        .args([
            &index.url(),
            "--python-version",
            "3.13",
            "--python-platform",
            "x86_64-manylinux_2_34",
        ])
        .arg("--python")
        .arg(&python().path)
        .current_dir(project.path(""))
        .env_clear()
        .env("UV_CACHE_DIR", project.root().join("uv"))
        .env("UV_PYTHON_DOWNLOADS", "never")
        .status()
        .expect("uv runs");
    assert!(status.success());
}

#[test]
fn excluded_packages_are_listed_and_not_packed() {
    let index = index(app());
    let project = project(&index);
    project.write(
        "request.json",
        request(&json!({"Exclude": ["LIB", "absent"]})),
    );
    project.run(&format!("build request.json {ONE}")).exits(0);
    let manifest = project.manifest(LAYER);
    assert_eq!(
        manifest["Excluded"],
        json!([{"Name": "lib", "Version": "1.0"}])
    );
    let content = project.content(LAYER);
    assert!(content.contains_key("python/app/__init__.py"));
    assert!(
        !content.keys().any(|name| name.contains("lib")),
        "{:?}",
        content.keys()
    );
    assert_eq!(index.count(&pure_name("lib")), 0);
}

#[test]
fn conflicts_are_warned_of_and_refused_if_strict() {
    let clash = |name: &str| {
        pure(name)
            .file("shared/clash.py", format!("# {name}\n"))
            .build()
    };
    let index = index([clash("a"), clash("b")]);
    let project = project(&index);
    project.write("requirements.txt", "b\na\n");
    let run = project
        .run(&format!(
            "build requirements.txt {ONE} --architecture arm64"
        ))
        .exits(0);
    snapshot!("conflict_warned", run);
    let manifest = project.manifest(LAYER);
    assert_eq!(
        manifest["Conflicts"].as_array().unwrap().len(),
        1,
        "{manifest:#}"
    );

    let again = project
        .run(&format!("build requirements.txt {ONE}"))
        .exits(0);
    assert_eq!(
        again.stderr.matches("warning: ").count(),
        1,
        "still true: {again}"
    );

    fs::remove_dir_all(project.layers()).unwrap();
    let run = project.run(&format!("build requirements.txt --strict {ONE}"));
    snapshot!("conflict_refused", run.fails(3, "LayerConflict"));
    assert_eq!(project.outputs(), [""; 0]);
    project.assert_tidy();
}

#[test]
fn an_unchanged_layer_with_conflicts_is_refused_if_strict() {
    let clash = |name: &str| {
        pure(name)
            .file("shared/clash.py", format!("# {name}\n"))
            .build()
    };
    let index = index([clash("a"), clash("b")]);
    let project = project(&index);
    project.write("requirements.txt", "b\na\n");
    project
        .run(&format!("build requirements.txt {ONE}"))
        .exits(0);
    let run = project.run(&format!("build requirements.txt --strict {ONE}"));
    run.fails(3, "LayerConflict");
}

#[test]
fn the_command_line_overrides_the_request() {
    let index = index([pure("a").build()]);
    let project = project(&index);
    let requirements = json!({"Type": "requirements.txt", "Requirements": "a"});
    project.write(
        "request.json",
        request(&json!({
            "Requirements": requirements,
            "Runtimes": ["python3.14"],
            "Architectures": ["arm64"],
        })),
    );
    for (arguments, layers) in [
        ("", vec!["tools-py314-arm64"]),
        ("--runtime python3.12", vec!["tools-py312-arm64"]),
        ("--architecture x86_64", vec!["tools-py314"]),
        (
            "--runtime python3.13 --runtime python3.12 --architecture x86_64 --architecture arm64",
            vec![
                "tools-py312",
                "tools-py312-arm64",
                "tools-py313",
                "tools-py313-arm64",
            ],
        ),
    ] {
        let run = project
            .run(&format!("build request.json --format json {arguments}"))
            .exits(0);
        let built = run.json();
        let built = built["Layers"].as_array().unwrap().iter();
        assert_eq!(
            built
                .map(|it| it["Layer"].as_str().unwrap())
                .collect::<Vec<_>>(),
            layers
        );
    }
}

#[test]
fn deprecated_runtimes_are_built_with_a_warning() {
    let index = index([pure("a").build()]);
    let project = project(&index);
    project.write("requirements.txt", "a\n");
    let build = "build requirements.txt --architecture x86_64 --runtime python3.10";
    let run = project.run(build).exits(0);
    snapshot!(run);
    assert_eq!(
        project.outputs(),
        ["tools-py310.manifest", "tools-py310.zip"]
    );
    assert_eq!(project.run(&format!("{build} -q")).exits(0).stderr, "");
}

#[test]
fn standard_output_is_data() {
    let index = index([pure("a").build(), pure("b").requires("a").build()]);
    let project = project(&index);
    project.write("requirements.txt", "b\n");
    let json = project
        .run(&format!("build requirements.txt --format json {ONE}"))
        .exits(0);
    assert_eq!(json.stderr, "");
    snapshot!("json", json.stdout);

    let verbose = project
        .run(&format!("build requirements.txt -v {ONE}"))
        .exits(0);
    assert_eq!(verbose.stderr, "");
    snapshot!("verbose", verbose.stdout);

    let quiet = project
        .run(&format!("build requirements.txt -q {ONE}"))
        .exits(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));

    // A document, whatever happens.
    project.write("requirements.txt", "b\nc\n");
    let failed = project
        .run(&format!("build requirements.txt --format json {ONE}"))
        .exits(3);
    assert_eq!(failed.stderr, "");
    snapshot!("json_failed", failed.stdout);
    project.write("requirements.txt", "b==\n");
    let invalid = project
        .run(&format!("build requirements.txt --format json {ONE}"))
        .exits(3);
    assert_eq!(invalid.stderr, "");
    snapshot!("json_invalid", invalid.stdout);
}

#[test]
fn colours_are_for_terminals_and_whoever_forces_them() {
    let index = index([pure("a").build()]);
    let project = project(&index);
    project.write("requirements.txt", "c\n");
    let run = |variables: &[(&str, &str)]| {
        let mut command = project.command(["build", "requirements.txt"]);
        command.envs(variables.iter().copied());
        project.finish(command).exits(3).stderr
    };
    let plain = run(&[]);
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    let coloured = run(&[("CLICOLOR_FORCE", "1")]);
    assert!(coloured.contains("\u{1b}["), "{coloured:?}");
    let told_not_to = run(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]);
    assert_eq!(told_not_to, plain);
}

#[test]
fn offline_uses_the_cache_alone() {
    let index = index([pure("a").build()]);
    let project = project(&index);
    project.write("requirements.txt", "a\n");
    let build = format!("build requirements.txt --offline {ONE}");
    let run = project.run(&build).fails(3, "Offline");
    snapshot!(run);
    project
        .run(&format!("build requirements.txt {ONE}"))
        .exits(0);
    let zip = project.zip(LAYER);
    fs::remove_dir_all(project.layers()).unwrap();
    index.forget_requests();
    project.run(&build).exits(0);
    assert!(project.zip(LAYER) == zip);
    assert_eq!(index.requests(), []);
}
