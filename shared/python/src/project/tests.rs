use std::path::Path;

use accretion_core::target::{Architecture, Runtime};

use super::*;

const TARGETS: [Target; 2] = [
    Target {
        runtime: Runtime::Python312,
        architecture: Architecture::X86_64,
    },
    Target {
        runtime: Runtime::Python313,
        architecture: Architecture::Arm64,
    },
];

fn file(text: &str) -> ProjectFile {
    let read = ProjectFile::parse("pyproject.toml", text, FileKind::Pyproject);
    read.unwrap_or_else(|report| panic!("{text}: {report:?}")).0
}

/// Returns the messages about all settings.
fn unsupported(text: &str, given: &Given) -> Vec<String> {
    let report = file(text).unsupported(SettingsOf::All, given, &TARGETS);
    report
        .problems
        .iter()
        .map(|it| it.message.clone())
        .collect()
}

#[test]
fn settings_count_unless_they_say_no_more_than_their_absence() {
    for (text, is_refused) in [
        ("resolution = \"highest\"", false),
        ("resolution = \"lowest-direct\"", true),
        ("no-sources = false", false),
        ("no-sources = true", true),
        ("find-links = []", false),
        ("find-links = [\"x\"]", true),
        ("no-build = true", false),
        (
            "conflicts = [[{ extra = \"a\" }, { extra = \"b\" }]]",
            false,
        ),
        ("environments = [\"python_version >= '3.12'\"]", false),
        ("environments = [\"python_version >= '3.13'\"]", true),
        (
            "environments = [\"python_version < '3.13'\", \"platform_machine == 'aarch64'\"]",
            false,
        ),
        ("pip = { strict = true }", false),
        ("pip = { resolution = \"lowest\" }", true),
        ("constraint-dependencies = [\"a<2\"]", false),
        ("torch-backend = \"cpu\"", true),
        ("minimum-libc-version = \"2.28\"", true),
        ("config-settings = { x = \"y\" }", true),
    ] {
        let said = unsupported(&format!("[tool.uv]\n{text}\n"), &Given::default());
        assert_eq!(!said.is_empty(), is_refused, "{text}: {said:?}");
    }
    let building = Given {
        allow_source_distributions: true,
        ..Given::default()
    };
    assert_eq!(
        unsupported("[tool.uv]\nno-build = true\n", &building).len(),
        1
    );
}

#[test]
fn indexes_are_those_that_are_given() {
    let given = Given {
        default_index: Some("https://example.com/default/".parse().unwrap()),
        indexes: vec!["https://user@example.com/more/simple".parse().unwrap()],
        allow_source_distributions: false,
    };
    for (text, is_refused) in [
        (
            "[tool.uv]\nindex-url = \"https://example.com/default\"",
            false,
        ),
        (
            "[tool.uv]\nindex-url = \"https://example.com/more/simple\"",
            true,
        ),
        (
            "[tool.uv]\nextra-index-url = [\"https://example.com/more/simple/\"]",
            false,
        ),
        (
            "[tool.uv]\nextra-index-url = [\"https://example.com/else\"]",
            true,
        ),
        (
            "[[tool.uv.index]]\nurl = \"https://example.com/more/simple\"",
            false,
        ),
        (
            "[[tool.uv.index]]\nurl = \"https://example.com/more/simple\"\ndefault = true",
            true,
        ),
        (
            "[[tool.uv.index]]\nurl = \"https://example.com/else\"\nexplicit = true",
            false,
        ),
        ("[[tool.uv.index]]\nurl = \"../wheels\"", true),
        (
            "[[tool.poetry.source]]\nname = \"a\"\nurl = \"https://example.com/default/\"",
            false,
        ),
        (
            "[[tool.poetry.source]]\nname = \"a\"\nurl = \"https://example.com/else\"",
            true,
        ),
        (
            "[[tool.poetry.source]]\nname = \"a\"\nurl = \"https://example.com/else\"\npriority = \"explicit\"",
            false,
        ),
        (
            "[[tool.pdm.source]]\nname = \"a\"\nurl = \"https://example.com/else\"",
            true,
        ),
    ] {
        let said = unsupported(text, &given);
        assert_eq!(!said.is_empty(), is_refused, "{text}: {said:?}");
    }
}

#[test]
fn a_source_is_the_one_that_applies() {
    let origin = |text: &str, extras: &[&str]| {
        let extras: Vec<ExtraName> = extras.iter().map(|it| it.parse().unwrap()).collect();
        let file = file(text);
        let source = file.source(&"lib".parse().unwrap(), &extras, &TARGETS);
        source
            .map(|source| source.map(|source| source.origin.clone()))
            .map_err(|_| "mixed")
    };
    let path = |path: &str| Ok(Some(Origin::Path(path.to_owned())));
    for (text, extras, expected) in [
        (
            "[tool.uv.sources]\nLib = { path = \"a\" }",
            &[] as &[&str],
            path("a"),
        ),
        (
            "[tool.uv.sources]\nlib.workspace = true",
            &[],
            Ok(Some(Origin::Workspace)),
        ),
        (
            "[tool.uv.sources]\nlib = { index = \"x\" }",
            &[],
            Ok(Some(Origin::Index("x".to_owned()))),
        ),
        (
            "[tool.uv.sources]\nlib = { path = \"a\", marker = \"sys_platform == 'win32'\" }",
            &[],
            Ok(None),
        ),
        (
            "[tool.uv.sources]\nlib = { path = \"a\", marker = \"python_version < '3.13'\" }",
            &[],
            Err("mixed"),
        ),
        (
            "[tool.uv.sources]\nlib = { path = \"a\", extra = \"x\" }",
            &[],
            Ok(None),
        ),
        (
            "[tool.uv.sources]\nlib = { path = \"a\", extra = \"x\" }",
            &["x"],
            path("a"),
        ),
        (
            "[tool.uv.sources]\nlib = { path = \"a\", group = \"dev\" }",
            &[],
            Ok(None),
        ),
        (
            "[tool.poetry.dependencies]\nlib = { path = \"a\", develop = true }",
            &[],
            path("a"),
        ),
        (
            "[tool.poetry.dependencies]\nlib = { file = \"a.whl\" }",
            &[],
            path("a.whl"),
        ),
        (
            "[tool.poetry.dependencies]\nlib = { version = \"^1\", extras = [\"x\"] }",
            &[],
            Ok(None),
        ),
        ("[tool.poetry.dependencies]\nlib = \"^1\"", &[], Ok(None)),
        (
            "[tool.poetry.group.dev.dependencies]\nlib = { path = \"a\" }",
            &[],
            Ok(None),
        ),
    ] {
        assert_eq!(origin(text, extras), expected, "{text}");
    }
}

#[test]
fn members_are_those_that_patterns_name() {
    let workspace = |members: &str, exclude: &str| {
        let text = format!("[tool.uv.workspace]\nmembers = {members}\nexclude = {exclude}\n");
        file(&text).workspace.unwrap()
    };
    for (members, exclude, path, is_member) in [
        ("[\"app\"]", "[]", "app", true),
        ("[\"./app/\"]", "[]", "app", true),
        ("[\"app\"]", "[]", "app/sub", false),
        ("[\"libs/*\"]", "[]", "libs/a", true),
        ("[\"libs/*\"]", "[]", "libs/a/b", false),
        ("[\"libs/**\"]", "[]", "libs/a/b", true),
        ("[\"libs/*\"]", "[\"libs/old*\"]", "libs/older", false),
        ("[\"lib-[ab]\"]", "[]", "lib-b", true),
        ("[]", "[]", "app", false),
        ("[]", "[]", "", true),
    ] {
        let workspace = workspace(members, exclude);
        let path = Path::new(path);
        assert_eq!(
            workspace.has(path),
            is_member,
            "{members} {}",
            path.display()
        );
        if is_member && let Some(parent) = path.parent() {
            assert!(
                workspace.leads_through(parent),
                "{members} {}",
                parent.display()
            );
        }
    }
    assert!(
        file("[tool.uv]\nmanaged = false\nworkspace.members = [\"a\"]")
            .workspace
            .is_none()
    );
}

#[test]
fn dependencies_on_local_files() {
    let read = |text: &str| {
        let read = dependencies("x", &[text.to_owned()], &[], &TARGETS)
            .unwrap()
            .0;
        let read = read.into_iter();
        read.map(|it| (it.requirement.to_string(), it.local))
            .collect::<Vec<_>>()
    };
    let local = |line: &str, url: &str| vec![(line.to_owned(), Some(url.to_owned()))];
    for (text, expected) in [
        ("lib @ file:///a/b", local("lib", "file:///a/b")),
        ("Lib[x] @ file:///a/b", local("lib[x]", "file:///a/b")),
        (
            "lib @ file:///a/b ; sys_platform == 'linux'",
            local("lib ; sys_platform == 'linux'", "file:///a/b"),
        ),
        ("lib>=1", vec![("lib>=1".to_owned(), None)]),
        ("lib; extra == 'x'", Vec::new()),
        (
            "lib @ file:///a ; sys_platform == 'win32'",
            vec![("lib ; sys_platform == 'win32'".to_owned(), None)],
        ),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
    let lines = [
        "lib @ file:///old ; python_version < '3.13'",
        "lib @ file:///new ; python_version >= '3.13'",
    ];
    let (read, _) = dependencies("x", &lines.map(str::to_owned), &[], &TARGETS).unwrap();
    for it in read {
        let marker = it.requirement.to_string();
        let is_old = marker.contains("< '3.13'");
        let url = if is_old { "file:///old" } else { "file:///new" };
        assert!(it.local.is_none_or(|it| it == url), "{marker}");
    }
}
