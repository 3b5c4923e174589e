//! Lock files of other tools: which packages a target gets of each, and why it gets none.

use std::collections::BTreeSet;

use accretion_core::Fault as _;
use accretion_core::limits::Limits;
use accretion_core::target::{Architecture, Runtime, Target};
use accretion_python::Error;
use accretion_python::lock::{Lock, LockFile, LockFormat, Policy, Selected, Selection};

const X86: Target = Target {
    runtime: Runtime::Python312,
    architecture: Architecture::X86_64,
};
const ARM: Target = Target {
    runtime: Runtime::Python313,
    architecture: Architecture::Arm64,
};

fn hash(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// The lock's text with `HASH1` and the like as hashes.
fn text(text: &str) -> String {
    ('1'..='9').fold(text.to_owned(), |text, digit| {
        text.replace(&format!("HASH{digit}"), &format!("sha256:{}", hash(digit)))
    })
}

fn read(format: LockFormat, lock: &str, project: Option<&str>) -> Result<LockFile, Error> {
    LockFile::parse(format, &text(lock), project)
}

/// Groups, and extras, which start with a `+`.
fn selection(names: &str) -> Selection {
    let (extras, groups): (BTreeSet<_>, BTreeSet<_>) = names
        .split_whitespace()
        .partition(|name| name.starts_with('+'));
    Selection {
        groups: groups.iter().map(|it| it.parse().unwrap()).collect(),
        extras: extras.iter().map(|it| it[1..].parse().unwrap()).collect(),
    }
}

fn choose(file: &LockFile, target: Target, names: &str) -> Result<Selected, Error> {
    let policy = Policy::default();
    file.lock().choose(target, policy, &selection(names))
}

/// Names and versions of what a target gets, located or not.
fn pins(selected: &Selected) -> String {
    let located = selected.packages.iter();
    let located = located.map(|it| format!("{}=={}", it.name, it.version));
    let pinned = selected
        .pins
        .iter()
        .flat_map(|pins| &pins.requirements.requirements);
    let mut all: Vec<_> = pinned
        .map(|it| it.specifier.to_string())
        .chain(located)
        .collect();
    all.sort();
    all.join(" ")
}

#[track_caller]
fn gets(file: &LockFile, target: Target, names: &str, expected: &str) {
    let selected = choose(file, target, names).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(pins(&selected), expected, "{target} {names}");
}

#[track_caller]
fn refused(file: &LockFile, target: Target, names: &str, code: &str) -> String {
    let error = choose(file, target, names).expect_err(names);
    assert_eq!(error.code(), code, "{error}");
    assert!(error.hint().is_some(), "{error}");
    format!("{error}: {}", error.hint().unwrap_or_default())
}

const UV: &str = r#"
version = 1
revision = 3
requires-python = ">=3.12"

[[package]]
name = "App"
version = "0.1"
source = { virtual = "." }
dependencies = [
    { name = "web", extra = ["fast"] },
    { name = "fork", version = "1.0", source = { registry = "https://example.com/simple" }, marker = "python_full_version < '3.13'" },
    { name = "fork", version = "2.0", source = { registry = "https://example.com/simple" }, marker = "python_full_version >= '3.13'" },
    { name = "windows", marker = "sys_platform == 'win32'" },
]

[package.optional-dependencies]
big = [{ name = "app", extra = ["small"] }, { name = "arm", marker = "platform_machine == 'aarch64'" }]
small = [{ name = "small" }]

[package.dev-dependencies]
dev = [{ name = "test" }]

[package.metadata]
provides-extras = ["big", "small", "none"]

[package.metadata.requires-dev]
dev = [{ name = "test" }]
empty = []

[[package]]
name = "arm"
version = "1.0"
source = { url = "https://example.com/arm-1.0-py3-none-any.whl" }
wheels = [{ url = "https://example.com/arm-1.0-py3-none-any.whl", hash = "HASH4" }]

[[package]]
name = "fast"
version = "1.0"
source = { registry = "https://example.com/simple/" }
dependencies = [{ name = "web" }]
wheels = [{ url = "files/fast-1.0-py3-none-any.whl", hash = "HASH5", size = 7 }]

[[package]]
name = "fork"
version = "1.0"
source = { registry = "https://example.com/simple" }
wheels = [{ url = "https://example.com/fork-1.0-py3-none-any.whl", hash = "HASH1" }]

[[package]]
name = "fork"
version = "2.0"
source = { registry = "https://example.com/simple" }
wheels = [{ url = "https://example.com/fork-2.0-py3-none-any.whl", hash = "HASH2" }]

[[package]]
name = "small"
version = "1.0"
source = { registry = "https://example.com/simple" }
sdist = { url = "https://example.com/small-1.0.tar.gz", hash = "HASH3" }

[[package]]
name = "test"
version = "1.0"
source = { git = "https://example.com/test?rev=main#0123" }

[[package]]
name = "web"
version = "1.0"
source = { registry = "https://example.com/simple" }
wheels = [{ url = "https://example.com/web-1.0-py3-none-any.whl", hash = "HASH6" }]

[package.optional-dependencies]
fast = [{ name = "fast" }]

[[package]]
name = "windows"
version = "1.0"
source = { registry = "https://example.com/simple" }
wheels = [{ url = "https://example.com/windows-1.0-cp312-cp312-win_amd64.whl", hash = "HASH7" }]
"#;

#[test]
fn uv_goes_where_the_project_leads() {
    let file = read(LockFormat::Uv, UV, None).unwrap();
    gets(&file, X86, "", "fast==1.0 fork==1.0 web==1.0");
    gets(&file, ARM, "empty +none", "fast==1.0 fork==2.0 web==1.0");
    let located = choose(&file, X86, "").unwrap().packages;
    let fast = located[0].locked.file();
    assert_eq!(
        fast.url.as_str(),
        "https://example.com/simple/files/fast-1.0-py3-none-any.whl"
    );
    assert_eq!(fast.size, Some(7));
    // An extra of the project may be another one and more.
    let problem = refused(&file, ARM, "+big", "WheelNotFound");
    assert!(problem.contains("small-1.0.tar.gz"), "{problem}");
    let policy = Policy {
        allow_source_distributions: true,
        ..Policy::default()
    };
    let big = file.lock().choose(ARM, policy, &selection("+big")).unwrap();
    assert_eq!(
        pins(&big),
        "arm==1.0 fast==1.0 fork==2.0 small==1.0 web==1.0"
    );
    refused(&file, X86, "dev", "LockedSourceUnsupported");
    let problem = refused(&file, X86, "deve", "GroupUnknown");
    assert!(problem.contains("did you mean `dev`?"), "{problem}");
    let problem = refused(&file, X86, "+xyz", "ExtraUnknown");
    assert!(problem.contains("`big`, `none`, `small`"), "{problem}");
    let old = Target {
        runtime: Runtime::Python311,
        ..X86
    };
    refused(&file, old, "", "LockMismatch");
}

#[test]
fn uv_of_a_workspace_a_script_and_with_conflicts() {
    let package = |name: &str, source: &str, rest: &str| {
        format!("[[package]]\nname = '{name}'\nversion = '1.0'\nsource = {source}\n{rest}\n")
    };
    let wheel = |name: &str| {
        let source = "{ registry = 'https://example.com/simple' }";
        let url = format!("https://example.com/{name}-1.0-py3-none-any.whl");
        package(
            name,
            source,
            &format!("wheels = [{{ url = '{url}', hash = 'HASH1' }}]"),
        )
    };
    let head = "version = 1\n[manifest]\nmembers = ['one', 'two']\n";
    let workspace = |root: &str| {
        [
            head.to_owned(),
            package("one", root, "dependencies = [{ name = 'a' }]"),
            package(
                "two",
                "{ editable = 'two' }",
                "dependencies = [{ name = 'b' }]",
            ),
            wheel("a"),
            wheel("b"),
        ]
        .concat()
    };
    let file = read(LockFormat::Uv, &workspace("{ editable = '.' }"), None).unwrap();
    gets(&file, X86, "", "a==1.0");
    // What a member requires that is installed from its wheel joins.
    for (own, expected) in [
        ("two", "a==1.0 b==1.0"),
        ("one", "a==1.0"),
        ("b", "a==1.0"),
        ("not-locked", "a==1.0"),
    ] {
        let policy = Policy {
            own: &[own.parse().unwrap()],
            ..Policy::default()
        };
        let selected = file.lock().choose(X86, policy, &selection(""));
        assert_eq!(pins(&selected.unwrap()), expected, "{own}");
    }
    let file = read(LockFormat::Uv, &workspace("{ editable = 'one' }"), None).unwrap();
    gets(&file, X86, "", "a==1.0 b==1.0");
    // A member that another one requires would be missing from the layer.
    let requiring =
        workspace("{ editable = '.' }").replace("[{ name = 'a' }]", "[{ name = 'two' }]");
    let file = read(LockFormat::Uv, &requiring, None).unwrap();
    refused(&file, X86, "", "LockedSourceUnsupported");

    let script = "version = 1\n[manifest]\nrequirements = [{ name = 'a', marker = \"os_name == 'nt'\" }, { name = 'B' }]\n";
    let file = read(
        LockFormat::Uv,
        &[script, &wheel("a"), &wheel("b")].concat(),
        None,
    )
    .unwrap();
    gets(&file, X86, "", "b==1.0");

    let conflicts = [
        "version = 1\nconflicts = [[{ package = 'one', extra = 'cpu' }, { package = 'one', extra = 'gpu' }]]\n",
        &package(
            "one",
            "{ virtual = '.' }",
            "[package.optional-dependencies]\n\
             cpu = [{ name = 'a', marker = \"extra == 'extra-3-one-cpu'\" }]\n\
             gpu = [{ name = 'b', marker = \"extra == 'extra-3-one-gpu'\" }]",
        ),
        &wheel("a"),
        &wheel("b"),
    ]
    .concat();
    let file = read(LockFormat::Uv, &conflicts, None).unwrap();
    gets(&file, X86, "", "");
    gets(&file, X86, "+cpu", "a==1.0");
    gets(&file, X86, "+gpu", "b==1.0");
    let problem = refused(&file, X86, "+cpu +gpu", "SelectionConflict");
    assert!(problem.contains("exclude each other"), "{problem}");

    // An extra that a dependency wants counts as well.
    for (extra, expected) in [("cpu", "a==1.0 lib==1.0"), ("gpu", "b==1.0 lib==1.0")] {
        let wanted = [
            "version = 1\nconflicts = [[{ package = 'lib', extra = 'cpu' }, { package = 'lib', extra = 'gpu' }]]\n",
            &package(
                "one",
                "{ virtual = '.' }",
                &format!("dependencies = [{{ name = 'lib', extra = ['{extra}'] }}]"),
            ),
            &wheel("lib"),
            "[package.optional-dependencies]\n\
             cpu = [{ name = 'a', marker = \"extra == 'extra-3-lib-cpu'\" }]\n\
             gpu = [{ name = 'b', marker = \"extra == 'extra-3-lib-gpu'\" }]\n",
            &wheel("a"),
            &wheel("b"),
        ];
        let file = read(LockFormat::Uv, &wanted.concat(), None).unwrap();
        gets(&file, X86, "", expected);
    }
}

#[test]
fn what_uv_locks_elsewhere_is_refused() {
    for (source, origin) in [
        ("{ git = 'https://example.com/a#1' }", "version control"),
        ("{ path = 'a-1.0-py3-none-any.whl' }", "a local file"),
        ("{ directory = 'a' }", "a local folder"),
        ("{ editable = 'a' }", "a local folder"),
        ("{ registry = '../wheels' }", "an index in a local folder"),
        (
            "{ registry = 'file:///wheels' }",
            "an index in a local folder",
        ),
    ] {
        let lock = format!(
            "version = 1\n[manifest]\nrequirements = [{{ name = 'a' }}]\n[[package]]\nname = 'a'\n\
             version = '1.0'\nsource = {source}\nwheels = [{{ path = 'a-1.0-py3-none-any.whl', hash = 'HASH1' }}]\n"
        );
        let file = read(LockFormat::Uv, &lock, None).unwrap();
        let problem = refused(&file, X86, "", "LockedSourceUnsupported");
        assert!(problem.contains(origin), "{problem}");
    }
}

const POETRY: &str = r#"
[[package]]
name = "Fork"
version = "1.0"
groups = ["main"]
markers = "python_version < \"3.13\""
files = [{file = "fork-1.0-py3-none-any.whl", hash = "HASH1"}, {file = "fork-1.0.tar.gz", hash = "HASH2"}]

[[package]]
name = "fork"
version = "2.0"
groups = ["main"]
markers = "python_version >= \"3.13\""
files = [{file = "fork-2.0-py3-none-any.whl", hash = "HASH3"}]

[[package]]
name = "extra"
version = "1.0"
optional = true
groups = ["main", "dev"]
markers = {main = "extra == \"more\" or extra == \"all\"", dev = "os_name == \"posix\""}
files = [{file = "extra-1.0-cp312-cp312-manylinux_2_17_x86_64.whl", hash = "HASH4"}]

[package.source]
type = "legacy"
url = "https://example.com/private/simple"
reference = "private"

[[package]]
name = "other"
version = "1.0"
groups = ["docs"]
files = []

[package.source]
type = "git"
url = "https://example.com/other"

[extras]
more = ["extra"]
all = ["extra"]

[metadata]
lock-version = "2.1"
python-versions = "^3.12"
"#;

#[test]
fn poetry_says_of_each_package_whether_it_applies() {
    let file = read(LockFormat::Poetry, POETRY, Some("not even TOML")).unwrap();
    assert_eq!(file.project(), None, "it is not needed");
    gets(&file, X86, "", "fork==1.0");
    gets(&file, ARM, "", "fork==2.0");
    gets(&file, X86, "+more", "extra==1.0 fork==1.0");
    gets(&file, X86, "dev", "extra==1.0 fork==1.0");
    // Names tell that no file fits, before any index is asked.
    refused(&file, ARM, "+all", "WheelNotFound");
    refused(&file, X86, "docs", "LockedSourceUnsupported");
    refused(&file, X86, "test", "GroupUnknown");
    refused(&file, X86, "+less", "ExtraUnknown");
    let old = Target {
        runtime: Runtime::Python311,
        ..X86
    };
    refused(&file, old, "", "LockMismatch");

    let selected = choose(&file, X86, "+more").unwrap();
    let indexes: Vec<_> = selected
        .pins
        .iter()
        .map(|pins| pins.index.as_ref())
        .collect();
    let private = "https://example.com/private/simple".parse().unwrap();
    assert_eq!(indexes, [None, Some(&private)]);
    assert_eq!(
        selected.pins[0].requirements.to_requirements_txt(),
        format!(
            "fork==1.0 --hash=sha256:{} --hash=sha256:{}\n",
            hash('1'),
            hash('2')
        )
    );
}

const OLD_POETRY: &str = r#"
[[package]]
name = "a"
version = "1.0"
optional = false
files = [{file = "a-1.0-py3-none-any.whl", hash = "HASH1"}]

[package.dependencies]
b = {version = ">=1.0", extras = ["x"]}
c = [
    {version = "<2", markers = "python_version < \"3.13\""},
    {version = ">=2", markers = "python_version >= \"3.13\""},
]

[[package]]
name = "b"
version = "1.0"
files = [{file = "b-1.0-py3-none-any.whl", hash = "HASH2"}]

[package.dependencies]
d = {version = "*", optional = true, markers = "extra == \"x\""}
e = {version = "*", optional = true, markers = "extra == \"y\""}

[package.extras]
x = ["d"]
y = ["e"]

[[package]]
name = "c"
version = "1.5"
files = [{file = "c-1.5-py3-none-any.whl", hash = "HASH3"}]

[[package]]
name = "c"
version = "2.5"
files = [{file = "c-2.5-py3-none-any.whl", hash = "HASH4"}]

[[package]]
name = "d"
version = "1.0"
files = [{file = "d-1.0-py3-none-any.whl", hash = "HASH5"}]

[[package]]
name = "t"
version = "1.0"
files = [{file = "t-1.0-py3-none-any.whl", hash = "HASH6"}]

[extras]
more = ["t"]

[metadata]
lock-version = "2.0"
python-versions = "^3.12"
"#;

#[test]
fn poetry_before_2_needs_the_project() {
    let error = read(LockFormat::Poetry, OLD_POETRY, None).unwrap_err();
    assert_eq!(error.code(), "LockProjectMissing");
    let hint = error.hint().unwrap();
    assert!(hint.contains("put pyproject.toml beside it"), "{hint}");

    let own = "[tool.poetry.dependencies]\npython = '^3.12'\na = '^1.0'\n\
               t = {version = '*', optional = true}\n\
               [tool.poetry.extras]\nmore = ['T']\n\
               [tool.poetry.group.test.dependencies]\nd = '*'\n\
               [tool.poetry.group.all]\ninclude-groups = ['test']\n\
               [tool.poetry.group.all.dependencies]\nt = [{version = '*', python = '>=3.13'}]\n";
    let standard = "[project]\ndependencies = ['a (>=1.0)', \"e ; os_name == 'nt'\"]\n\
                    [project.optional-dependencies]\nmore = ['t']\n\
                    [tool.poetry.dependencies]\na = {source = 'x'}\n\
                    [dependency-groups]\ntest = ['d']\nall = [{include-group = 'test'}, \"t; python_version >= '3.13'\"]\n";
    for project in [own, standard] {
        let file = read(LockFormat::Poetry, OLD_POETRY, Some(project)).unwrap();
        assert_eq!(file.project(), Some(project));
        gets(&file, X86, "", "a==1.0 b==1.0 c==1.5 d==1.0");
        gets(&file, ARM, "", "a==1.0 b==1.0 c==2.5 d==1.0");
        gets(&file, X86, "+more", "a==1.0 b==1.0 c==1.5 d==1.0 t==1.0");
        gets(&file, X86, "all", "a==1.0 b==1.0 c==1.5 d==1.0");
        gets(&file, ARM, "all", "a==1.0 b==1.0 c==2.5 d==1.0 t==1.0");
        refused(&file, X86, "docs", "GroupUnknown");
    }
    let file = read(
        LockFormat::Poetry,
        OLD_POETRY,
        Some("[tool.poetry.dependencies]\nz = '1'\n"),
    );
    let problem = refused(&file.unwrap(), X86, "", "LockInvalid");
    assert!(
        problem.contains("`z` is required, and not locked"),
        "{problem}"
    );
}

#[test]
fn of_several_versions_the_highest_that_everybody_is_content_with() {
    let package = |name: &str, version: &str, dependencies: &str| {
        format!(
            "[[package]]\nname = '{name}'\nversion = '{version}'\n\
             files = [{{file = '{name}-{version}-py3-none-any.whl', hash = 'HASH1'}}]\n\
             [package.dependencies]\n{dependencies}\n"
        )
    };
    let lock = [
        package("a", "1", "n = '>=1'"),
        package("b", "1", "n = '<3'"),
        package("n", "1", ""),
        package("n", "2", ""),
        package("n", "3", ""),
        "[metadata]\nlock-version = '2.0'\n".to_owned(),
    ]
    .concat();
    for project in [
        "a = '*'\nb = '*'",
        "b = '*'\na = '*'\nc = {version = '*', optional = true}",
    ] {
        let project = format!("[tool.poetry.dependencies]\n{project}\n");
        let file = read(LockFormat::Poetry, &lock, Some(&project)).unwrap();
        gets(&file, X86, "", "a==1 b==1 n==2");
    }
    let file = read(
        LockFormat::Poetry,
        &lock,
        Some("[tool.poetry.dependencies]\na = '*'\n"),
    );
    gets(&file.unwrap(), X86, "", "a==1 n==3");
}

const PIPFILE: &str = r#"{
    "_meta": {
        "hash": {"sha256": "0"},
        "pipfile-spec": 6,
        "requires": {"python_version": "3.12"},
        "sources": [
            {"name": "first", "url": "https://${USER}:${PASSWORD}@example.com/simple", "verify_ssl": true},
            {"name": "second", "url": "https://example.com/second/simple", "verify_ssl": true}
        ]
    },
    "default": {
        "a": {"hashes": ["HASH1", "HASH2"], "markers": "python_version >= '3.8'", "version": "==1.0"},
        "b": {"hashes": ["HASH3"], "index": "second", "version": "==2.0", "extras": ["x"]},
        "w": {"hashes": ["HASH4"], "markers": "sys_platform == 'win32'", "version": "==1.0"}
    },
    "develop": {
        "a": {"hashes": ["HASH1", "HASH2"], "version": "==1.0"},
        "t": {"hashes": ["HASH5"], "version": "==1.0"}
    },
    "local": {"l": {"editable": true, "path": "./l"}},
    "own": {"e1839a8": {"editable": true, "path": "."}},
    "remote": {"r": {"git": "https://example.com/r", "ref": "0123"}}
}"#;

#[test]
fn pipfile_has_categories() {
    let file = read(LockFormat::Pipfile, PIPFILE, None).unwrap();
    gets(&file, X86, "", "a==1.0 b==2.0");
    gets(&file, X86, "develop", "a==1.0 b==2.0 t==1.0");
    // The project itself is left out.
    gets(&file, X86, "own", "a==1.0 b==2.0");
    refused(&file, X86, "local", "LockedSourceUnsupported");
    refused(&file, X86, "remote", "LockedSourceUnsupported");
    refused(&file, X86, "dev", "GroupUnknown");
    refused(&file, X86, "+x", "ExtraUnknown");
    refused(&file, ARM, "", "LockMismatch");
    let selected = choose(&file, X86, "").unwrap();
    let indexes = selected.pins.iter();
    let indexes: Vec<_> = indexes
        .map(|pins| pins.index.as_ref().unwrap().as_str())
        .collect();
    assert_eq!(
        indexes,
        [
            "https://example.com/second/simple",
            "https://example.com/simple"
        ]
    );

    let differing = PIPFILE.replacen("\"version\": \"==1.0\"", "\"version\": \"==1.1\"", 1);
    let file = read(LockFormat::Pipfile, &differing, None).unwrap();
    refused(&file, X86, "develop", "LockInvalid");
    let secret = PIPFILE.replace("${USER}:${PASSWORD}", "me:s3cret");
    let file = read(LockFormat::Pipfile, &secret, None).unwrap();
    let problem = refused(&file, X86, "", "LockInvalid");
    assert!(
        problem.contains("credentials") && !problem.contains("s3cret"),
        "{problem}"
    );
    let error = read(
        LockFormat::Pipfile,
        &PIPFILE.replace("\"second\", \"v", "\"x\", \"v"),
        None,
    );
    assert_eq!(error.unwrap_err().code(), "LockInvalid");
}

const PDM: &str = r#"
[metadata]
groups = ["default", "dev", "more"]
strategy = ["inherit_metadata"]
lock_version = "4.5.0"

[[metadata.targets]]
requires_python = ">=3.12,<3.13"
platform = "manylinux_2_17_x86_64"

[[metadata.targets]]
requires_python = ">=3.13"
platform = "manylinux_2_28_aarch64"
implementation = "cpython"

[[package]]
name = "a"
version = "1.0"
groups = ["default"]
dependencies = ["b"]
files = [{file = "a-1.0-py3-none-any.whl", hash = "HASH1"}]

[[package]]
name = "a"
version = "1.0"
extras = ["x"]
groups = ["default", "dev"]
dependencies = ["a==1.0", "c"]
files = [{file = "a-1.0-py3-none-any.whl", hash = "HASH1"}]

[[package]]
name = "b"
version = "1.0"
groups = ["default"]
marker = "python_version >= \"3.13\""
files = [{url = "https://example.com/b-1.0-py3-none-any.whl", hash = "HASH2"}]

[[package]]
name = "c"
version = "1.0"
groups = ["more"]
files = [{file = "c-1.0-py3-none-any.whl", hash = "HASH3"}]

[[package]]
name = "t"
version = "1.0"
groups = ["dev"]
path = "./t"
"#;

#[test]
fn pdm_has_groups_that_are_extras() {
    let file = read(LockFormat::Pdm, PDM, Some("[project]\n")).unwrap();
    assert_eq!(file.project(), None);
    gets(&file, X86, "", "a==1.0");
    gets(&file, ARM, "", "a==1.0 b==1.0");
    gets(&file, X86, "more", "a==1.0 c==1.0");
    gets(&file, X86, "+more", "a==1.0 c==1.0");
    refused(&file, X86, "dev", "LockedSourceUnsupported");
    refused(&file, X86, "test", "GroupUnknown");
    let other = Target {
        architecture: Architecture::Arm64,
        ..X86
    };
    refused(&file, other, "", "LockMismatch");

    // Where there are no URLs, the project may say which index has the files.
    let source = |name: &str| {
        format!("[[tool.pdm.source]]\nname = '{name}'\nurl = 'https://example.com/simple'\n")
    };
    let file = read(LockFormat::Pdm, PDM, Some(&source("pypi"))).unwrap();
    assert!(file.project().is_some());
    let pins = choose(&file, X86, "").unwrap().pins;
    assert_eq!(
        pins[0].index.as_ref().unwrap().as_str(),
        "https://example.com/simple"
    );
    for project in [source("private"), source("pypi") + &source("private")] {
        let error = read(LockFormat::Pdm, PDM, Some(&project)).unwrap_err();
        assert!(error.to_string().contains("static_urls"), "{error}");
    }
}

#[test]
fn pdm_without_metadata_needs_the_project() {
    let lock = PDM.replace("\"inherit_metadata\"", "");
    let error = read(LockFormat::Pdm, &lock, None).unwrap_err();
    assert_eq!(error.code(), "LockProjectMissing");
    let project = "[project]\ndependencies = ['a', \"t ; os_name == 'nt'\"]\n\
                   [project.optional-dependencies]\nmore = ['A[X]']\n\
                   [tool.pdm.dev-dependencies]\ndev = ['c>=1']\n";
    let file = read(LockFormat::Pdm, &lock, Some(project)).unwrap();
    gets(&file, ARM, "", "a==1.0 b==1.0");
    gets(&file, ARM, "+more", "a==1.0 b==1.0 c==1.0");
    gets(&file, ARM, "dev", "a==1.0 b==1.0 c==1.0");
}

#[test]
fn pylock_has_extras_and_groups() {
    let package = |name: &str, marker: &str| {
        format!(
            "[[packages]]\nname = '{name}'\nversion = '1.0'\nmarker = \"{marker}\"\n\
             wheels = [{{url = 'https://example.com/{name}-1.0-py3-none-any.whl', hashes = {{sha256 = '{}'}}}}]\n",
            hash('1')
        )
    };
    let lock = [
        "lock-version = '1.0'\nextras = ['More_X']\ndependency-groups = ['dev']\ndefault-groups = ['main']\n".to_owned(),
        "[[packages]]\nname = 'own'\ndirectory = {path = '.', editable = true}\n".to_owned(),
        package("a", "'main' in dependency_groups"),
        package("b", "'more-x' in extras"),
        package("c", "'dev' in dependency_groups and 'more-x' not in extras"),
    ]
    .concat();
    let file = read(LockFormat::Pylock, &lock, None).unwrap();
    gets(&file, X86, "", "a==1.0");
    gets(&file, X86, "+more.x", "a==1.0 b==1.0");
    gets(&file, X86, "dev", "a==1.0 c==1.0");
    gets(&file, X86, "dev main +more-x", "a==1.0 b==1.0");
    refused(&file, X86, "x", "GroupUnknown");
    refused(&file, X86, "+dev", "ExtraUnknown");
}

#[test]
fn other_versions_of_a_format_are_refused() {
    for (format, lock) in [
        (LockFormat::Uv, "version = 2\n"),
        (LockFormat::Uv, "lock-version = '1.0'\n"),
        (LockFormat::Poetry, "[metadata]\nlock-version = '3.0'\n"),
        (LockFormat::Poetry, "version = 1\n"),
        (LockFormat::Pipfile, r#"{"_meta": {"pipfile-spec": 7}}"#),
        (LockFormat::Pipfile, "{}"),
        (LockFormat::Pipfile, "version = 1"),
        (LockFormat::Pdm, "[metadata]\nlock_version = '3.1'\n"),
        (LockFormat::Pdm, "[metadata]\nlock_version = '5.0'\n"),
    ] {
        let error = read(format, lock, Some("")).unwrap_err();
        assert_eq!(error.code(), "LockInvalid", "{lock}");
    }
}

#[test]
fn only_what_was_locked_is_located() {
    let file = read(LockFormat::Poetry, POETRY, None).unwrap();
    let pins = choose(&file, X86, "").unwrap().pins.remove(0);
    let found = |packages: &str| Lock::parse(&format!("lock-version = '1.0'\n{packages}")).unwrap();
    let package = |name: &str, version: &str, digit: char| {
        format!(
            "[[packages]]\nname = '{name}'\nversion = '{version}'\nwheels = [{{url = \
             'https://example.com/{name}-{version}-py3-none-any.whl', hashes = {{sha256 = '{}'}}}}]\n",
            hash(digit)
        )
    };
    let located = pins
        .locate(&found(&package("fork", "1.0", '1')), X86, false)
        .unwrap();
    assert_eq!(located.len(), 1);
    for (packages, code) in [
        (String::new(), "LockInvalid"),
        (package("fork", "1.1", '1'), "LockInvalid"),
        (package("fork", "1.0", '9'), "HashNotAllowed"),
        (
            package("fork", "1.0", '1') + &package("evil", "1.0", '2'),
            "LockInvalid",
        ),
    ] {
        let error = pins.locate(&found(&packages), X86, false).unwrap_err();
        assert_eq!(error.code(), code, "{packages}");
    }
}

/// Circles end, and what is deep or wide is read once.
#[test]
fn graphs_of_any_form() {
    let wheel = |at: usize, requires: &str| {
        format!(
            "[[package]]\nname = 'p{at}'\nversion = '1.0'\nsource = {{ registry = 'https://example.com' }}\n\
             dependencies = [{requires}]\n\
             wheels = [{{ url = 'https://example.com/p{at}-1.0-py3-none-any.whl', hash = 'HASH1' }}]\n"
        )
    };
    let head = "version = 1\n[manifest]\nrequirements = [{ name = 'p0' }]\n";
    let deep = (0..2_000).map(|at| wheel(at, &format!("{{ name = 'p{}' }}", (at + 1) % 2_000)));
    let all: Vec<_> = (0..100)
        .map(|at| format!("{{ name = 'p{at}', extra = ['p0', 'x'] }}"))
        .collect();
    let wide = (0..100).map(|at| wheel(at, &all.join(", ")));
    let many = Limits::PACKAGES + 1;
    let flat = (0..many).map(|at| wheel(at, &format!("{{ name = 'p{}' }}", at + 1)));
    let flat: String = flat.chain([wheel(many, "")]).collect();
    let file = read(LockFormat::Uv, &format!("{head}{flat}"), None).unwrap();
    refused(&file, X86, "", "TooManyPackages");
    for (packages, count) in [(deep.collect::<String>(), 2_000), (wide.collect(), 100)] {
        let file = read(LockFormat::Uv, &format!("{head}{packages}"), None).unwrap();
        assert_eq!(choose(&file, X86, "").unwrap().packages.len(), count);
    }
}

/// Graphs that would take minutes to follow are refused in a moment.
#[test]
fn graphs_that_are_too_much() {
    let extras: Vec<_> = (0..20_000).map(|at| format!("'e{at}'")).collect();
    let edges: Vec<_> = (0..20_000)
        .map(|_| "{ name = 'b', marker = \"os_name != 'x'\" }")
        .collect();
    let lock = format!(
        "version = 1\n[manifest]\nrequirements = [{{ name = 'a', extras = [{}] }}]\n[[package]]\nname = 'a'\n\
         version = '1'\nsource = {{ registry = 'https://example.com' }}\ndependencies = [{}]\n\
         [[package]]\nname = 'b'\nversion = '1'\nsource = {{ registry = 'https://example.com' }}\n",
        extras.join(", "),
        edges.join(", ")
    );
    let file = read(LockFormat::Uv, &lock, None).unwrap();
    let problem = refused(&file, X86, "", "LockInvalid");
    assert!(problem.contains("too much"), "{problem}");

    // Groups that include each other, each time with all that the others have.
    let names: Vec<_> = (0..200)
        .map(|at| format!("{{include-group = 'g{at}'}}"))
        .collect();
    let names = names.join(", ");
    let groups: Vec<_> = (0..200)
        .map(|at| format!("g{at} = [{names}, 'a']"))
        .collect();
    let groups = groups.join("\n");
    let project = format!("[dependency-groups]\n{groups}");
    let error = read(LockFormat::Poetry, OLD_POETRY, Some(&project)).unwrap_err();
    assert!(error.to_string().contains("too much"), "{error}");
    let small =
        "[dependency-groups]\na = [{include-group = 'b'}, 'd']\nb = [{include-group = 'a'}, 'b']\n";
    let file = read(LockFormat::Poetry, OLD_POETRY, Some(small)).unwrap();
    gets(&file, X86, "a", "b==1.0 d==1.0");
    gets(&file, X86, "b", "b==1.0 d==1.0");
}
