//! Files and settings of the user's machine do not change layers.

use std::fs;

use accretion_testing::forge::WheelForge;
use accretion_testing::index::PackageIndex;
use integration_tests::Project;

use crate::{LAYER, ONE, index, project, pure};

/// An index of a newer `a` that nobody should ask.
fn evil() -> PackageIndex {
    index([WheelForge::new("a", "9.0").file("a/evil.py", "").build()])
}

#[track_caller]
fn assert_untouched(project: &Project, evil: &PackageIndex) {
    assert_eq!(evil.requests(), []);
    let installed = &project.manifest(LAYER)["Installed"];
    assert_eq!(
        (&installed[0]["Name"], &installed[0]["Version"]),
        (&"a".into(), &"1.0".into())
    );
    assert_eq!(installed.as_array().map(Vec::len), Some(1));
}

#[test]
fn configuration_files() {
    let (index, evil) = (index([pure("a").build()]), evil());
    let url = evil.url();
    let uv = format!(
        "index-url = \"{url}\"\nextra-index-url = [\"{url}\"]\nconstraint-dependencies = [\"a<0\"]\n\
         [[index]]\nname = \"evil\"\nurl = \"{url}\"\ndefault = true\n[pip]\nindex-url = \"{url}\"\n"
    );
    let pyproject = format!(
        "[project]\nname = \"x\"\nversion = \"1\"\ndependencies = [\"evil\"]\n[tool.uv]\n\
         index-url = \"{url}\"\noverride-dependencies = [\"a==9\"]\n\
         [[tool.uv.index]]\nname = \"evil\"\nurl = \"{url}\"\n"
    );
    let pip = format!("[global]\nindex-url = {url}\nextra-index-url = {url}\n");
    let project = project(&index);
    project.write("requirements.txt", "a\n");
    // Where uv and pip look: the working folder and those above it, and the user's.
    for folder in [
        "tools",
        "",
        "tmp",
        "home",
        "home/.config/uv",
        "home/.config/pip",
        "home/.pip",
    ] {
        let folder = project.root().join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("uv.toml"), &uv).unwrap();
        fs::write(folder.join("pyproject.toml"), &pyproject).unwrap();
        fs::write(folder.join("pip.conf"), &pip).unwrap();
        fs::write(folder.join(".python-version"), "3.9\n").unwrap();
        fs::write(folder.join("a-9.0-py3-none-any.whl"), "evil").unwrap();
        fs::write(folder.join("constraints.txt"), "a<0\n").unwrap();
    }
    project
        .run(&format!("build requirements.txt {ONE}"))
        .exits(0);
    assert_untouched(&project, &evil);
}

#[test]
fn environment_variables() {
    let (index, evil) = (index([pure("a").build()]), evil());
    let url = evil.url();
    let project = project(&index);
    project
        .write("requirements.txt", "a\n")
        .write("constraints.txt", "a<0\n");
    let uv_toml = format!("index-url = \"{url}\"\n");
    project
        .write("uv.toml", &uv_toml)
        .write("pip.conf", format!("[global]\nindex-url = {url}\n"));
    let mut command = project.command(["build", "requirements.txt"]);
    command.args(ONE.split(' '));
    for name in [
        "UV_INDEX_URL",
        "UV_EXTRA_INDEX_URL",
        "UV_INDEX",
        "UV_DEFAULT_INDEX",
        "UV_FIND_LINKS",
        "PIP_INDEX_URL",
        "PIP_EXTRA_INDEX_URL",
        "PIP_FIND_LINKS",
    ] {
        command.env(name, &url);
    }
    command
        .env("UV_CONFIG_FILE", project.path("uv.toml"))
        .env("PIP_CONFIG_FILE", project.path("pip.conf"))
        .env("UV_CONSTRAINT", project.path("constraints.txt"))
        .env("UV_OVERRIDE", project.path("constraints.txt"))
        .env("UV_EXCLUDE_NEWER", "2001-01-01")
        .env("UV_RESOLUTION", "lowest")
        .env("UV_OFFLINE", "1")
        .env("UV_NO_BINARY", "1")
        .env("UV_PYTHON", "/nowhere/python")
        .env("UV_CACHE_DIR", project.path("other-cache"))
        .env("UV_REQUIRE_HASHES", "1")
        .env("VIRTUAL_ENV", project.path("venv"))
        .env("CONDA_PREFIX", project.path("conda"))
        .env("PYTHONPATH", project.path(""))
        .env("PYTHONHOME", project.path(""))
        .env("PYTHONSTARTUP", project.path("startup.py"));
    project.finish(command).exits(0);
    assert_untouched(&project, &evil);
    assert!(!project.path("other-cache").exists());
}

#[test]
fn modules_in_the_folder_are_not_imported() {
    let index = index([pure("a").build()]);
    let project = project(&index);
    project.write("requirements.txt", "a\n");
    // uv asks the interpreter about itself with the standard library's modules.
    for module in [
        "sys.py",
        "os.py",
        "platform.py",
        "json.py",
        "sysconfig.py",
        "site.py",
        "sitecustomize.py",
    ] {
        let mark = serde_json::json!(project.root().join("canary"));
        project.write(module, format!("open({mark}, 'w').close()\n"));
    }
    let mut command = project.command(["build", "requirements.txt"]);
    command
        .args(ONE.split(' '))
        .env("PYTHONPATH", project.path(""));
    project.finish(command).exits(0);
    assert!(!project.root().join("canary").exists());
}

#[test]
fn projects_of_one_cache_do_not_meet() {
    // The same version of a name, with other content, from another index.
    let one = index([pure("a").build()]);
    let other = index([WheelForge::new("a", "1.0").file("a/other.py", "").build()]);
    let first = project(&one);
    let second = project(&other);
    for (project, has_other) in [(&first, false), (&second, true), (&first, false)] {
        project.write("requirements.txt", "a\n");
        let _ = fs::remove_dir_all(project.layers());
        let mut command = project.command(["build", "requirements.txt"]);
        command
            .args(ONE.split(' '))
            .env("ACCRETION_CACHE_DIR", first.cache());
        project.finish(command).exits(0);
        assert_eq!(
            project.content(LAYER).contains_key("python/a/other.py"),
            has_other
        );
    }
}
