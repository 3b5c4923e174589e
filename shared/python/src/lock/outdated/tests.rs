//! The hashes are those that the tools themselves have written, of these very projects.

use std::collections::BTreeMap;

use accretion_core::fault::Fault as _;

use super::*;

/// Differences of a lock file from what lies beside it.
fn differences(name: &str, text: &str, beside: &[(&str, &str)]) -> Option<String> {
    let format = match name {
        name if name.ends_with(".py.lock") => LockFormat::Uv,
        name if name.starts_with("pylock.") => LockFormat::Pylock,
        name => LockFormat::of_name(name).unwrap(),
    };
    let beside: BTreeMap<_, _> = beside.iter().copied().collect();
    let project = beside.get(PROJECT).copied();
    let lock = format.read(text, project).ok().unwrap();
    let read = |path: &str| beside.get(path).map(ToString::to_string);
    Outdated::find(format, name, text, &lock, &read).map(|it| it.to_string())
}

const UV: &str = r#"
version = 1
revision = 5
requires-python = ">=3.11, <3.15"

[manifest]
constraints = [{ name = "idna", specifier = "<4" }]

[[package]]
name = "rich"
version = "14.0"
source = { registry = "https://example.com/simple" }

[[package]]
name = "web"
version = "1.0.0"
source = { virtual = "." }
dependencies = [{ name = "rich" }]

[package.metadata]
requires-dist = [
    { name = "colorama", marker = "sys_platform == 'win32'" },
    { name = "httpx", extras = ["http2", "socks"], marker = "python_full_version < '3.13'", specifier = "<0.28" },
    { name = "httpx", extras = ["http2", "socks"], marker = "python_full_version >= '3.13'", specifier = ">=0.28" },
    { name = "neighbour", directory = "../neighbour" },
    { name = "other", git = "https://example.com/other" },
    { name = "pyjwt", extras = ["crypto"], marker = "extra == 'auth-x'", specifier = ">=2.9,<4" },
    { name = "rich" },
    { name = "web", extras = ["auth-x"], marker = "extra == 'all'" },
]
provides-extras = ["auth-x", "all"]

[package.metadata.requires-dev]
dev = [{ name = "pytest", specifier = ">=8" }, { name = "ruff", specifier = ">=0.6" }]
lint = [{ name = "ruff", specifier = ">=0.6" }]
"#;

const UV_PROJECT: &str = r#"
[project]
name = "web"
version = "1.0.0"
requires-python = ">=3.11,<3.15"
dependencies = [
    "Rich",
    "httpx[socks,http2] < 0.28 ; python_version < '3.13'",
    "httpx[http2,socks]>=0.28 ; python_version >= '3.13'",
    "colorama ; sys_platform == 'win32' and python_version >= '3.8'",
    "tomli ; python_version < '3.11'",
    "neighbour",
    "other @ git+https://example.com/other",
]
[project.optional-dependencies]
Auth_X = ["pyjwt[crypto]>=2.9,<4"]
all = ["web[auth-x]"]
[dependency-groups]
dev = ["pytest>=8", { include-group = "Lint" }]
lint = ["ruff>=0.6"]
[tool.uv]
constraint-dependencies = ["idna<4"]
[tool.uv.sources]
neighbour = { path = "../neighbour" }
"#;

#[test]
fn a_uv_lock_follows_its_project() {
    assert_eq!(differences("uv.lock", UV, &[(PROJECT, UV_PROJECT)]), None);
    assert_eq!(differences("uv.lock", UV, &[]), None);
    for (from, to, expected) in [
        (
            "\"Rich\"",
            "\"Rich\", \"attrs\"",
            "`attrs` is required, and not locked",
        ),
        ("\"Rich\",", "", "`rich` is locked, and not required"),
        (
            "\"Rich\"",
            "\"Rich>=13\"",
            "`Rich>=13` is required, and it was locked for `rich`",
        ),
        (
            "[socks,http2]",
            "[socks]",
            "and it was locked for `httpx[http2,socks]<0.28 ;",
        ),
        (
            "'3.13'\",\n    \"colorama",
            "'3.12'\",\n    \"colorama",
            "`httpx",
        ),
        (
            " @ git+https://example.com/other",
            "",
            "`other` is required, and it was locked for `other`",
        ),
        (
            ">=3.11,<3.15",
            ">=3.12,<3.15",
            "Python `>=3.12,<3.15` is required",
        ),
        (
            "2.9,<4",
            "3,<4",
            "`pyjwt[crypto]>=3,<4 ; extra == 'auth-x'` is required",
        ),
        (
            "pytest>=8",
            "pytest>=9",
            "`pytest>=9` is required in the group `dev`",
        ),
        (
            "\"ruff>=0.6\"",
            "",
            "`ruff` is locked, and not required in the group `dev`",
        ),
        ("idna<4", "idna<3", "in `tool.uv.constraint-dependencies`"),
        (
            "[tool.uv.sources]",
            "[tool.uv.workspace]\nmembers = ['a']\n[tool.uv.sources]",
            "the member `a` is not locked",
        ),
    ] {
        let project = UV_PROJECT.replacen(from, to, 1);
        assert_ne!(project, UV_PROJECT, "{from}");
        let said = differences("uv.lock", UV, &[(PROJECT, &project)]).unwrap_or_default();
        assert!(said.contains(expected), "{to}: {said}");
    }
    // What does not decide on what is required.
    for (from, to) in [
        ("version = \"1.0.0\"", "version = \"2.0.0\""),
        ("[tool.uv]", "[tool.ruff]\nline-length = 100\n[tool.uv]"),
        (
            "dependencies = [\n",
            "dynamic = ['dependencies']\ndependencies = ['attrs',\n",
        ),
    ] {
        let project = UV_PROJECT.replacen(from, to, 1);
        assert_ne!(project, UV_PROJECT, "{from}");
        assert_eq!(
            differences("uv.lock", UV, &[(PROJECT, &project)]),
            None,
            "{to}"
        );
    }
}

#[test]
fn members_of_a_uv_workspace_are_compared() {
    let lock = "version = 1\nrequires-python = '>=3.12'\n[manifest]\nmembers = ['app', 'lib']\n\
                dependency-groups = { dev = [{ name = 'ruff' }] }\n\
                [[package]]\nname = 'app'\nversion = '1'\nsource = { editable = 'app' }\n\
                [package.metadata]\nrequires-dist = [{ name = 'lib', editable = 'lib' }]\n\
                [[package]]\nname = 'lib'\nversion = '1'\nsource = { editable = 'lib' }\n";
    let root =
        "[dependency-groups]\ndev = ['ruff']\n[tool.uv.workspace]\nmembers = ['app', 'l*']\n";
    let app = "[project]\nname = 'app'\nrequires-python = '>=3.11'\ndependencies = ['lib']\n\
               [tool.uv.sources]\nlib = { workspace = true }\n";
    let lib = "[project]\nname = 'lib'\nrequires-python = '>=3.12'\n";
    let compare = |root: &str, lib: &str| {
        let beside = [
            (PROJECT, root),
            ("app/pyproject.toml", app),
            ("lib/pyproject.toml", lib),
        ];
        differences("uv.lock", lock, &beside)
    };
    assert_eq!(compare(root, lib), None);
    let said = compare(root, &format!("{lib}dependencies = ['rich']\n")).unwrap();
    assert!(
        said.ends_with("`rich` is required, and not locked by `lib`"),
        "{said}"
    );
    let said = compare(&root.replace("'ruff'", "'ruff', 'rich'"), lib).unwrap();
    assert!(
        said.ends_with("`rich` is required, and not locked in the group `dev`"),
        "{said}"
    );
    assert!(compare(root, &lib.replace("3.12", "3.13")).is_some());
}

#[test]
fn a_lock_of_a_script_follows_it() {
    let lock = "version = 1\nrequires-python = '>=3.12'\n\
                [manifest]\nrequirements = [{ name = 'rich', specifier = '>=13' }]\n";
    let script = |more: &str| {
        format!(
            "# /// script\n# requires-python = '>=3.12'\n# dependencies = ['rich>=13'{more}]\n# ///\n"
        )
    };
    let compare = |script: &str| differences("report.py.lock", lock, &[("report.py", script)]);
    assert_eq!(compare(&script("")), None);
    let said = compare(&script(", 'attrs'")).unwrap();
    assert_eq!(
        said,
        "the lock file is not up to date with report.py: `attrs` is required, and not locked"
    );
}

const PROJECT_OF_HASHES: &str = r#"[project]
name = "web"
requires-python = ">=3.12"
dependencies = ["rich>=13", "attrs ; python_version < '3.13'"]
[project.optional-dependencies]
extra = ["idna"]
[dependency-groups]
dev = ["pytest>=8", { include-group = "lint" }]
Lint = ["ruff"]
[tool.poetry]
package-mode = false
[tool.poetry.group.docs.dependencies]
mkdocs = { version = "^1.6", extras = ["i18n"], optional = false }
[tool.pdm.dev-dependencies]
lint = ["mypy"]
[[tool.pdm.source]]
name = "internal"
url = "https://example.com/sim\u00fcple\U0001F600\u007f\b/\"q\""
verify_ssl = true
"#;

fn poetry(header: &str, hash: &str) -> String {
    format!(
        "{header}\n[[package]]\nname = 'rich'\nversion = '13.9'\ngroups = ['main']\n\
         [metadata]\nlock-version = '2.1'\npython-versions = '>=3.12'\ncontent-hash = '{hash}'\n"
    )
}

#[test]
fn poetrys_hash() {
    const NEW: &str = "7c7c6998b3f4375add19e499989c84c8732a3007f85f0f9c6b795842c3b4cf67";
    const WITHOUT_GROUPS: &str = "acb7e4c357f0b6a6097714f3ab9810c7ac422b748e30472a7578074d66a5b372";
    const LEGACY: &str = "e120300790d90739daf0f631e4150fd47a7aaba51aad1923b10abb9e7d3ae864";
    let legacy = "[tool.poetry]\nname = \"legacy\"\nversion = \"1.0\"\n\
                  [tool.poetry.dependencies]\npython = \"^3.12\"\nrich = \">=13\"\n\
                  [tool.poetry.group.dev.dependencies]\npytest = \"*\"\n";
    let at = "# This file is automatically @generated by Poetry";
    let compare = |version: &str, hash: &str, project: &str| {
        let lock = poetry(&format!("{at} {version} and should not be"), hash);
        differences("poetry.lock", &lock, &[(PROJECT, project)])
    };
    assert_eq!(compare("2.5.1", NEW, PROJECT_OF_HASHES), None);
    assert_eq!(compare("2.2.9", WITHOUT_GROUPS, PROJECT_OF_HASHES), None);
    assert!(compare("2.3.0", WITHOUT_GROUPS, PROJECT_OF_HASHES).is_some());
    assert_eq!(compare("1.8.5", LEGACY, legacy), None);
    assert_eq!(compare("2.5.1", LEGACY, legacy), None);
    // Poetry 1 did not know of `project`.
    let both = format!("{legacy}[project]\nname = 'legacy'\n[project.optional-dependencies]\n");
    assert_eq!(compare("1.8.5", LEGACY, &both), None);
    assert!(compare("2.0.0", LEGACY, &both).is_some());
    let changed = legacy.replace("rich = \">=13\"", "rich = \">=14\"\nattrs = \"*\"");
    let changed = changed.replace("^3.12", "^3.13");
    assert_eq!(
        compare("1.8.5", LEGACY, &changed).unwrap(),
        "the lock file is not up to date with pyproject.toml: Python `^3.13` is required, and it was \
         locked for `>=3.12`, `attrs` is required, and not locked, `rich` is required as `>=14`, and \
         locked as 13.9, `pytest` is required, and not locked"
    );
    let plain = "[project]\nrequires-python = '>=3.12'\ndependencies = ['rich']\n";
    assert_eq!(
        compare("2.5.1", NEW, plain).unwrap(),
        "the lock file is not up to date with pyproject.toml: what pyproject.toml requires has \
         changed since"
    );
}

#[test]
fn pdms_hash() {
    const HASH: &str = "29126ba2d13161957b14cceeccc36f60140117f54e48405fe16748d62c4befc0";
    const EMPTY: &str = "ece479d1fc26bbc1091a4114e084312c6b77c8f8fc20195e68cc6393ef0b33d9";
    let compare = |hash: &str, project: &str| {
        let lock = format!(
            "[metadata]\nlock_version = '4.5.0'\nstrategy = ['inherit_metadata']\n\
             content_hash = 'sha256:{hash}'\n\
             [[package]]\nname = 'rich'\nversion = '13.9'\ngroups = ['default']\n"
        );
        differences("pdm.lock", &lock, &[(PROJECT, project)])
    };
    assert_eq!(compare(HASH, PROJECT_OF_HASHES), None);
    assert_eq!(compare(EMPTY, "[project]\nname=\"x\"\n"), None);
    let said = compare(EMPTY, "[project]\nname=\"x\"\ndependencies = ['attrs']\n").unwrap();
    assert!(
        said.contains("`attrs` is required, and not locked"),
        "{said}"
    );
    // The hash of a workspace is of all its members, which are not here.
    let workspace = "[project]\ndependencies = ['attrs']\n[tool.pdm.workspace]\nmembers = ['a']\n";
    assert_eq!(compare(EMPTY, workspace), None);
    let pylock = format!(
        "lock-version = '1.0'\ncreated-by = 'pdm'\n[tool.pdm]\nhashes = {{ sha256 = '{EMPTY}' }}\n"
    );
    let compare = |project| differences("pylock.toml", &pylock, &[(PROJECT, project)]);
    assert_eq!(compare("[project]\nname=\"x\"\n"), None);
    assert!(compare("[project]\nname=\"x\"\nrequires-python = '>=3'\n").is_some());
}

#[test]
fn pipenvs_hash() {
    const NEW: &str = "638e989aa0e059a9289024790b6cb877c328a6beea702a1a8e5710667eee30a9";
    const OLD: &str = "8aa65dcc10c4e461b042f4e29ef9c4699b1e03e907fba989953ec4c77fdc6553";
    let sources = "[[source]]\nname = \"internal\"\nurl = \"https://example.com/simple\"\nverify_ssl = true\n";
    let rest = "[packages]\nRich = \">=13\"\n\
                my_pkg = {version = \"*\", extras = [\"x\"], markers = \"python_version < '3.13'\"}\n\
                [dev-packages]\npytest = \"*\"\n[docs]\nmkdocs = \">=1.6\"\n\
                [requires]\npython_version = \"3.12\"\n[scripts]\nrun = \"python -m x\"\n\
                [pipenv]\nallow_prereleases = true\n";
    let compare = |hash: &str, pipfile: &str| {
        let lock = serde_json::json!({
            "_meta": {
                "hash": {"sha256": hash}, "pipfile-spec": 6, "requires": {},
                "sources": [{"name": "internal", "url": "https://example.com/simple", "verify_ssl": true}],
            },
            "default": {"rich": {"version": "==13.9"}, "my-pkg": {"version": "==1"}},
            "develop": {"pytest": {"version": "==8"}}, "docs": {"mkdocs": {"version": "==1.6"}},
        });
        differences("Pipfile.lock", &lock.to_string(), &[("Pipfile", pipfile)])
    };
    for hash in [NEW, OLD] {
        assert_eq!(compare(hash, &format!("{sources}{rest}")), None);
        // Its own default, which it writes into the lock file.
        assert_eq!(compare(hash, rest), None);
    }
    let said = compare(
        NEW,
        &rest.replace("pytest = \"*\"", "pytest = \"*\"\nruff = \"*\""),
    );
    assert_eq!(
        said.unwrap(),
        "the lock file is not up to date with Pipfile: `ruff` is required, and not locked"
    );
}

#[test]
fn a_pylock_names_no_project() {
    let lock = |by: &str| {
        format!(
            "lock-version = '1.0'\ncreated-by = '{by}'\nrequires-python = '>=3.12'\n\
             [[packages]]\nname = 'rich'\nversion = '13.9'\n"
        )
    };
    let project = "[project]\ndependencies = ['rich>=13', \"attrs ; sys_platform == 'win32'\", \
                   \"tomli ; python_version < '3.11'\"]\n";
    let compare =
        |by: &str, project: &str| differences("pylock.toml", &lock(by), &[(PROJECT, project)]);
    assert_eq!(compare("uv", project), None);
    let said = compare("uv", &project.replace("rich>=13", "rich>=14")).unwrap();
    assert!(
        said.contains("`rich` is required as `>=14`, and locked as 13.9"),
        "{said}"
    );
    let more = project.replace("'rich>=13'", "'rich>=13', 'idna'");
    assert!(compare("uv", &more).unwrap().contains("`idna`"));
    assert_eq!(compare("accretion", &more), None);
    let named = differences("pylock.dev.toml", &lock("uv"), &[(PROJECT, &more)]);
    assert_eq!(named, None);
}

#[test]
fn each_is_made_again_by_its_own_tool() {
    for (format, name, text, expected) in [
        (LockFormat::Uv, "uv.lock", "", "`uv lock`"),
        (LockFormat::Uv, "a.py.lock", "", "`uv lock --script a.py`"),
        (LockFormat::Poetry, "poetry.lock", "", "`poetry lock`"),
        (LockFormat::Pdm, "pdm.lock", "", "`pdm lock`"),
        (LockFormat::Pipfile, "Pipfile.lock", "", "`pipenv lock`"),
        (
            LockFormat::Pylock,
            "pylock.toml",
            "created-by = 'pdm'",
            "`pdm lock`",
        ),
        (
            LockFormat::Pylock,
            "pylock.toml",
            "",
            "the tool that made it",
        ),
    ] {
        let outdated = Outdated::of_metadata(format, name, text, vec!["x".to_owned()]);
        let hint = crate::Error::LockOutdated(outdated).hint().unwrap();
        assert!(hint.contains(expected), "{name}: {hint}");
    }
}
