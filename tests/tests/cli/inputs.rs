//! Inputs and machines that a build cannot work with.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use accretion_testing::index::PackageIndex;
use integration_tests::{Project, Run, python, snapshot, uv};

use crate::{LAYER, ONE, PROGRAM, index, project, pure};

fn one_package() -> PackageIndex {
    index([pure("a").build()])
}

/// Builds a file and holds that its problems end the build before anything is asked of anybody.
#[track_caller]
fn refused(name: &str, content: &str) -> Run {
    let index = one_package();
    let project = project(&index);
    project.write(name, content);
    let run = project.run(&format!("build {name}")).exits(3);
    assert_eq!(run.stdout, "", "{run}");
    assert_eq!(index.requests(), []);
    assert!(!project.layers().exists() && !project.cache().exists());
    project.assert_tidy();
    run
}

#[test]
fn files_that_are_known_not_to_be_inputs() {
    let run = refused("Pipfile", "version = 1\n");
    assert_eq!(run.codes(), ["InputUnsupported"], "{run}");
    assert!(run.stderr.contains(".lock"), "{run}");
}

#[test]
fn a_layer_without_a_package() {
    let index = one_package();
    let project = project(&index);
    project.write("requirements.txt", "a; python_version < '3.13'\n");
    let run = project.run("build requirements.txt --architecture arm64");
    let run = run.exits(3);
    assert_eq!(run.codes(), ["LayerEmpty"], "{run}");
    assert!(
        run.stderr.contains("tools-py313-arm64, tools-py314-arm64"),
        "{run}"
    );
    // AWS Lambda takes no empty zip; the layer that is not empty is there.
    let layers = project.outputs();
    assert_eq!(
        layers,
        [
            "tools-py311-arm64.manifest",
            "tools-py311-arm64.zip",
            "tools-py312-arm64.manifest",
            "tools-py312-arm64.zip"
        ]
    );
}

#[test]
fn requests_that_are_wrong() {
    for (name, code, text) in [
        ("json", "JsonInvalid", r#"{"Name": "tools", }"#),
        ("empty", "JsonInvalid", ""),
        (
            "unknown_field",
            "FieldUnknown",
            r#"{"Name": "tools", "Language": "python", "Runtime": ["python3.13"],
 "Requirements": {"Type": "requirements.txt", "Requirements": "a"}}"#,
        ),
        (
            "bad_name",
            "ProjectNameInvalid",
            r#"{"Name": "my tools", "Language": "python",
 "Requirements": {"Type": "requirements.txt", "Requirements": "a"}}"#,
        ),
        (
            "runtime",
            "RuntimeUnknown",
            r#"{"Name": "tools", "Language": "python", "Runtimes": ["python3.9"],
 "Requirements": {"Type": "requirements.txt", "Requirements": "a"}}"#,
        ),
    ] {
        let run = refused("request.json", text);
        assert_eq!(run.codes(), [code], "{run}");
        snapshot!(format!("request_{name}"), run);
    }
}

#[test]
fn requirements_that_reach_outside() {
    for (name, code, text) in [
        (
            "file_url",
            "LocalPathUnsupported",
            "a @ file:///etc/passwd\n",
        ),
        ("editable", "EditableUnsupported", "-e .\n"),
        (
            "vcs",
            "VcsUnsupported",
            "a @ git+https://example.com/a.git\n",
        ),
        ("path", "LocalPathUnsupported", "./a-1.0-py3-none-any.whl\n"),
        ("include_absolute", "IncludeOutside", "-r /etc/passwd\n"),
        ("include_parent", "IncludeOutside", "-r ../other.txt\n"),
        ("include_missing", "IncludeMissing", "-r gone.txt\n"),
        ("include_folder", "IncludeOutside", "-r .\n"),
        (
            "index",
            "OptionUnsupported",
            "--index-url https://example.com/simple\na\n",
        ),
        (
            "plain_http",
            "UrlUnsupported",
            "a @ http://example.com/a-1.0-py3-none-any.whl\n",
        ),
        (
            "sdist_url",
            "SourceDistributionRefused",
            "a @ https://example.com/a-1.0.tar.gz\n",
        ),
        (
            "variable",
            "EnvironmentVariable",
            "a @ https://${TOKEN}@example.com/a-1-py3-none-any.whl\n",
        ),
    ] {
        let run = refused("requirements.txt", text);
        assert_eq!(run.codes(), [code], "{run}");
        snapshot!(format!("requirements_{name}"), run);
    }
}

#[test]
fn a_link_does_not_lead_out_of_the_folder() {
    let index = one_package();
    let project = project(&index);
    fs::write(project.root().join("secret.txt"), "password\n").unwrap();
    symlink("../secret.txt", project.path("link.txt")).unwrap();
    symlink("..", project.path("up")).unwrap();
    symlink("inside.txt", project.path("fine.txt")).unwrap();
    project.write("inside.txt", "a\n");
    for include in ["-r link.txt", "-c link.txt", "-r up/secret.txt"] {
        project.write("requirements.txt", format!("a\n{include}\n"));
        let run = project
            .run("build requirements.txt")
            .fails(3, "IncludeOutside");
        assert!(!run.stderr.contains("password"), "{run}");
    }
    project.write("requirements.txt", "-r fine.txt\n");
    project
        .run(&format!("build requirements.txt {ONE}"))
        .exits(0);
}

#[test]
fn files_that_cannot_be_read() {
    let index = one_package();
    let project = project(&index);
    project.write("requirements.txt", "a\n");
    fs::create_dir(project.path("folder")).unwrap();
    for (name, path) in [
        ("missing", "gone.txt"),
        ("below_a_file", "requirements.txt/requirements.txt"),
    ] {
        for command in ["build", "check"] {
            let run = project
                .run(&format!("{command} {path}"))
                .fails(3, "InputUnreadable");
            snapshot!(format!("unreadable_{name}"), run);
        }
    }
    project.write("latin1.txt", b"# caf\xe9\na\n");
    project.run("build latin1.txt").fails(3, "NotUtf8");
    project.write("large.txt", vec![b'#'; 5 << 20]);
    project.run("build large.txt").fails(3, "TooLarge");
    assert_eq!(index.requests(), []);
}

#[test]
fn a_lock_file_that_cannot_be_used() {
    for (name, code, text) in [
        (
            "no_toml",
            "LockInvalid",
            "lock-version = \"1.0\"\n[[packages]\n",
        ),
        (
            "version",
            "LockInvalid",
            "lock-version = \"2.0\"\ncreated-by = \"x\"\npackages = []\n",
        ),
        ("other", "LockInvalid", "[project]\nname = \"tools\"\n"),
    ] {
        let run = refused("pylock.toml", text);
        assert_eq!(run.codes(), [code], "{run}");
        snapshot!(format!("lock_{name}"), run);
    }
}

/// A command that builds [`ONE`] layer of `a`.
fn build(project: &Project) -> Command {
    project.write("requirements.txt", "a\n");
    let mut command = project.command(["build", "requirements.txt"]);
    command.args(ONE.split(' '));
    command
}

#[test]
fn folders_that_cannot_be_written() {
    let index = one_package();
    let project = project(&index);
    project.write("taken", "a file\n");
    for (name, folder) in [
        ("file", project.path("taken")),
        ("below_a_file", project.path("taken/layers")),
        // Where even root cannot make folders, for another reason than other users.
        ("refused", "/proc/accretion".into()),
    ] {
        let mut command = build(&project);
        command.arg("--output").arg(&folder);
        let run = project.finish(command).fails(1, "OutputUnwritable");
        if name != "refused" {
            snapshot!(format!("unwritable_output_{name}"), run);
        }

        let mut command = build(&project);
        command.env("ACCRETION_CACHE_DIR", &folder);
        let run = project.finish(command).fails(1, "CacheUnusable");
        if name != "refused" {
            snapshot!(format!("unwritable_cache_{name}"), run);
        }
    }
    let mut command = build(&project);
    command.env("TMPDIR", project.path("taken"));
    let run = project.finish(command).fails(1, "TemporaryFolderUnusable");
    snapshot!("unwritable_tmp", run);

    let mut command = build(&project);
    command.env_remove("ACCRETION_CACHE_DIR").env_remove("HOME");
    let run = project.finish(command).fails(1, "CacheFolderMissing");
    snapshot!("no_cache_folder", run);
    assert_eq!(project.outputs(), [""; 0]);
    assert_eq!(
        fs::read_to_string(project.path("taken")).unwrap(),
        "a file\n"
    );
}

#[test]
fn the_cache_is_where_the_environment_says() {
    let index = one_package();
    let project = project(&index);
    let cached = |folder: &str| {
        project
            .root()
            .join(folder)
            .join("accretion/wheels")
            .is_dir()
    };
    let mut command = build(&project);
    command.env_remove("ACCRETION_CACHE_DIR");
    project.finish(command).exits(0);
    assert!(cached("home/.cache"));
    let mut command = build(&project);
    command
        .env_remove("ACCRETION_CACHE_DIR")
        .env("XDG_CACHE_HOME", project.root().join("xdg"));
    command.args(["--output", "other"]);
    project.finish(command).exits(0);
    assert!(cached("xdg"));
}

#[test]
fn a_machine_without_uv() {
    let index = one_package();
    let project = project(&index);
    let mut command = build(&project);
    command.env("ACCRETION_UV", project.root().join("uv"));
    snapshot!("no_uv_there", project.finish(command).fails(1, "UvMissing"));
    let mut command = build(&project);
    command
        .env_remove("ACCRETION_UV")
        .env("PATH", project.path(""));
    snapshot!(
        "no_uv_on_path",
        project.finish(command).fails(1, "UvMissing")
    );
    // What is called uv need not be it.
    for (name, text) in [
        ("fails", "#!/bin/sh\necho 'no such command' >&2\nexit 9\n"),
        ("odd", "x"),
    ] {
        let fake = project.path(name);
        fs::write(&fake, text).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&fake, executable).unwrap();
        let mut command = build(&project);
        command.env("ACCRETION_UV", &fake);
        snapshot!(
            format!("uv_{name}"),
            project.finish(command).fails(1, "UvFailed")
        );
    }
    project.assert_tidy();
}

#[test]
fn uv_and_python_are_found_on_path() {
    let index = one_package();
    let project = project(&index);
    fs::create_dir(project.root().join("bin")).unwrap();
    symlink(uv(), project.root().join("bin/uv")).unwrap();
    let mut command = build(&project);
    let python = python().path.parent().unwrap().display().to_string();
    let path = format!("{}:{python}", project.root().join("bin").display());
    command
        .env_remove("ACCRETION_UV")
        .env_remove("ACCRETION_PYTHON")
        .env("PATH", path);
    project.finish(command).exits(0);
}

/// pip puts both programs into one folder, and `pipx` links this command alone into a folder of `PATH`.
#[test]
fn uv_beside_the_command_comes_before_that_on_path() {
    let index = one_package();
    let installed = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let [own, on_path] = ["own", "on-path"].map(|name| installed.path().join(name));
    fs::create_dir(&own).unwrap();
    fs::create_dir(&on_path).unwrap();
    // A copy could still be open for writing in the child process of another test.
    fs::hard_link(PROGRAM, own.join("accretion")).unwrap();
    symlink(uv(), own.join("uv")).unwrap();
    symlink(own.join("accretion"), on_path.join("accretion")).unwrap();
    symlink("/bin/false", on_path.join("uv")).unwrap();

    let project = Project::new(on_path.join("accretion"), &index);
    let mut command = build(&project);
    command.env_remove("ACCRETION_UV").env("PATH", &on_path);
    project.finish(command).exits(0);
}

#[test]
fn a_machine_without_python() {
    let index = one_package();
    let project = project(&index);
    let mut command = build(&project);
    command
        .env_remove("ACCRETION_PYTHON")
        .env("PATH", project.path(""));
    snapshot!(
        "no_python",
        project.finish(command).fails(1, "PythonMissing")
    );
    let mut command = build(&project);
    command
        .env("ACCRETION_PYTHON", "/bin/false")
        .env("PATH", project.path(""));
    project.finish(command).fails(1, "PythonMissing");
}

/// Encodes a text as Windows PowerShell writes it with `>`.
fn utf16(text: &str) -> Vec<u8> {
    let units = "\u{feff}".encode_utf16().chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn requirements_in_utf16_are_read_with_what_they_include() {
    let index = index([pure("a").build(), pure("b").build()]);
    let project = project(&index);
    project.write(
        "requirements.txt",
        utf16("a==1.0\r\n-r more.txt\r\n-c limits.txt\r\n"),
    );
    project.write("more.txt", utf16("b # é\r\n"));
    project.write("limits.txt", utf16("b==1.0\r\n"));
    project.run("check requirements.txt").exits(0);
    project
        .run(&format!("build requirements.txt {ONE}"))
        .exits(0);
    let installed = &project.manifest(LAYER)["Installed"];
    assert_eq!(installed.as_array().unwrap().len(), 2);
}

#[test]
fn other_encodings_are_refused_by_name() {
    let index = one_package();
    let project = project(&index);
    let lock = "lock-version = \"1.0\"\n";
    let script = "# /// script\n# dependencies = ['a']\n# ///\n";
    let utf32: Vec<u8> = "\u{feff}a"
        .chars()
        .flat_map(|c| u32::from(c).to_le_bytes())
        .collect();
    for (file, bytes, named) in [
        ("requirements.txt", utf32, "UTF-32"),
        (
            "requirements.txt",
            utf16("a\nb")[2..].to_vec(),
            "UTF-16 without a byte order mark",
        ),
        (
            "requirements.txt",
            b"# coding: latin-1\n# \xc3\x85 b\na".to_vec(),
            "`latin-1`",
        ),
        (
            "requirements.txt",
            b"# -*- coding: utf-7 -*-\na".to_vec(),
            "`utf-7`",
        ),
        ("request.json", utf16("{}"), "UTF-16"),
        ("pylock.toml", utf16(lock), "UTF-16"),
        ("Pipfile.lock", utf16("{}"), "UTF-16"),
        ("script.py", utf16(script), "UTF-16"),
    ] {
        project.write(file, bytes);
        let run = project.run(&format!("check {file}")).fails(3, "NotUtf8");
        assert!(run.stderr.contains(named), "{file}: {run}");
    }
    for (included, named) in [
        (b"# coding: latin-1\n# \xe9\nb".to_vec(), "`latin-1`"),
        (b"caf\xe9".to_vec(), "not UTF-8"),
    ] {
        project.write("requirements.txt", "a\n-r more.txt\n");
        project.write("more.txt", included);
        let run = project
            .run("check requirements.txt")
            .fails(3, "IncludeMissing");
        assert!(run.stderr.contains(named), "{run}");
    }
}
