//! Lock files: which file a target gets, and every reason why it gets none.

use std::fmt::Write as _;

use accretion_core::target::{Architecture, Runtime, Target};
use accretion_python::Error;
use accretion_python::lock::{Lock, Locked, LockedPackage, Policy};
use accretion_python::requirement::{self, NoInclude, RequirementSet};
use insta::assert_snapshot;

use crate::harness::{refusal, table};

const TARGET: Target = Target {
    runtime: Runtime::Python313,
    architecture: Architecture::Arm64,
};

const HASH: &str = "sha256 = \"1111111111111111111111111111111111111111111111111111111111111111\"";

/// A lock file of these top-level lines and packages.
fn lock(head: &str, packages: &[String]) -> String {
    format!(
        "lock-version = \"1.0\"\ncreated-by = \"test\"\n{head}\n{}",
        packages.concat()
    )
}

/// A package of these lines, on top of its name and version.
fn package(name: &str, lines: &str) -> String {
    format!("[[packages]]\nname = \"{name}\"\nversion = \"1.0\"\n{lines}\n")
}

/// A package with these wheels, each with a hash of the last digit of its number.
fn with_wheels(name: &str, wheels: &[&str]) -> String {
    let mut lines = String::from("wheels = [\n");
    for (at, wheel) in wheels.iter().enumerate() {
        let hash = (at % 10).to_string().repeat(64);
        let url = format!("https://example.com/files/{wheel}");
        let _ = writeln!(
            lines,
            "{{ url = \"{url}\", hashes = {{ sha256 = \"{hash}\" }} }},"
        );
    }
    package(name, &(lines + "]"))
}

/// A pure package, taken where the marker says so.
fn marked(name: &str, marker: &str) -> String {
    let marker = marker.replace('"', "\\\"");
    with_wheels(name, &[&format!("{name}-1.0-py3-none-any.whl")])
        + &format!("marker = \"{marker}\"\n")
}

fn select(text: &str) -> Result<Vec<LockedPackage>, Error> {
    Lock::parse(text)?.select(TARGET, Policy::default())
}

fn files(packages: &[LockedPackage]) -> Vec<&str> {
    let locked = packages.iter().map(|package| &package.locked);
    let names = locked.map(|locked| match locked {
        Locked::Wheel { filename, .. } => filename.as_str(),
        Locked::SourceDistribution { filename, .. } => filename.as_str(),
    });
    names.collect()
}

fn selected(text: &str) -> Vec<String> {
    let packages = select(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    files(&packages).into_iter().map(str::to_owned).collect()
}

#[test]
fn markers_choose_packages() {
    let many = |comparison: &dyn Fn(usize) -> String, operator: &str| {
        (0..200).map(comparison).collect::<Vec<_>>().join(operator)
    };
    // Normalising it as a whole would take longer than anybody waits.
    let exponential = many(
        &|at| format!("(os_name == '{at}' or sys_platform != '{at}')"),
        " and ",
    );
    let long_false = many(&|at| format!("platform_machine == '{at}'"), " or ");
    let cases = [
        ("", true),
        ("python_version >= '3.13'", true),
        ("python_version<'3.13'", false),
        ("'3.13' <= python_version", true),
        ("python_full_version > '3.13.0'", true),
        ("python_version ~= '3.12'", true),
        ("python_version in '3.12 3.13'", true),
        (
            "sys_platform == 'linux' and platform_machine == 'aarch64'",
            true,
        ),
        (
            "sys_platform == 'linux' and platform_machine == 'x86_64'",
            false,
        ),
        (
            "sys_platform == 'win32' or implementation_name == 'cpython'",
            true,
        ),
        (
            "sys_platform == 'win32' or sys_platform == 'linux' and os_name == 'nt'",
            false,
        ),
        (
            "(sys_platform == 'win32' or sys_platform == 'linux') and os_name == 'posix'",
            true,
        ),
        ("sys_platform == 'linux'and(os_name=='posix')", true),
        ("((((platform_system == \"Linux\"))))", true),
        ("platform_python_implementation != 'PyPy'", true),
        ("extra == 'x'", false),
        ("'x' in extras", false),
        ("'x' not in extras", true),
        ("'default' in dependency_groups", true),
        ("\"default\" in dependency_groups", true),
        ("'default' not in dependency_groups", false),
        ("'other' in dependency_groups", false),
        ("'other' not in dependency_groups", true),
        ("'x' in extras or 'default' in dependency_groups", true),
        (
            "'x' in extras or sys_platform == 'linux' and 'other' not in dependency_groups",
            true,
        ),
        ("'default' in extras", false),
        ("os_name == 'a and b'", false),
        (
            "os_name == \"it's\" or os_name == '(' or os_name == 'posix'",
            true,
        ),
        (exponential.as_str(), true),
        (long_false.as_str(), false),
    ];
    for (marker, expected) in cases {
        let package = if marker.is_empty() {
            with_wheels("demo", &["demo-1.0-py3-none-any.whl"])
        } else {
            marked("demo", marker)
        };
        let text = lock("default-groups = [\"default\"]", &[package]);
        assert_eq!(!selected(&text).is_empty(), expected, "{marker}");
    }
}

/// Brackets as deep as they may be, and markers that no deeper recursion ever reads.
#[test]
fn brackets_in_markers() {
    let deep = |depth: usize| {
        let marker = format!(
            "{}os_name == 'posix'{}",
            "(".repeat(depth),
            ")".repeat(depth)
        );
        refusal(select(&lock("", &[marked("demo", &marker)])))
    };
    assert_eq!(deep(32), "accepted");
    assert!(deep(33).ends_with("it is over 32 brackets deep"));
    assert!(deep(100_000).ends_with("it is over 32 brackets deep"));
    let side_by_side = vec!["(os_name == 'posix')"; 100].join(" and ");
    assert_eq!(
        refusal(select(&lock("", &[marked("demo", &side_by_side)]))),
        "accepted"
    );
}

#[test]
fn the_best_tag_wins() {
    let any = "demo-1.0-py3-none-any.whl";
    let abi3 = "demo-1.0-cp39-abi3-manylinux_2_17_aarch64.manylinux2014_aarch64.whl";
    let newer_abi3 = "demo-1.0-cp312-abi3-manylinux_2_17_aarch64.whl";
    let own = "demo-1.0-cp313-cp313-manylinux_2_17_aarch64.whl";
    let own_newer_glibc = "demo-1.0-cp313-cp313-manylinux_2_28_aarch64.whl";
    let built_twice = "demo-1.0-2-cp313-cp313-manylinux_2_28_aarch64.whl";
    let built_ten_times = "demo-1.0-10-cp313-cp313-manylinux_2_28_aarch64.whl";
    let foreign = [
        "demo-1.0-cp313-cp313-manylinux_2_17_x86_64.whl",
        "demo-1.0-cp313-cp313-manylinux_2_35_aarch64.whl",
        "demo-1.0-cp313-cp313-musllinux_1_2_aarch64.whl",
        "demo-1.0-cp313-cp313t-manylinux_2_17_aarch64.whl",
        "demo-1.0-cp312-cp312-manylinux_2_17_aarch64.whl",
        "demo-1.0-cp314-abi3-manylinux_2_17_aarch64.whl",
        "demo-1.0-py2-none-any.whl",
    ];
    let ladder = [
        any,
        abi3,
        newer_abi3,
        own,
        own_newer_glibc,
        built_twice,
        built_ten_times,
    ];
    let mut offered: Vec<&str> = foreign.to_vec();
    for better in ladder {
        offered.push(better);
        for _ in 0..offered.len() {
            offered.rotate_left(1);
            assert_eq!(
                selected(&lock("", &[with_wheels("demo", &offered)])),
                [better]
            );
        }
    }
}

#[test]
fn packages_come_in_the_order_of_their_names() {
    let names = ["Zope.Interface", "a-b", "AB"];
    let packages = names.map(|name| {
        let file = name.replace(['-', '.'], "_");
        with_wheels(name, &[&format!("{file}-1.0-py3-none-any.whl")])
    });
    let packages = select(&lock("", &packages)).unwrap();
    let names: Vec<_> = packages
        .iter()
        .map(|package| package.name.as_ref())
        .collect();
    assert_eq!(names, ["a-b", "ab", "zope-interface"]);
}

#[test]
fn file_names() {
    let one = |file: &str| {
        let wheel = format!("wheels = [{{ {file}, hashes = {{ {HASH} }}, size = 7 }}]");
        select(&lock("", &[package("demo", &wheel)])).map(|packages| packages[0].clone())
    };
    for (file, expected) in [
        (
            "url = \"https://example.com/demo-1.0-py3-none-any.whl\"",
            "demo-1.0-py3-none-any.whl",
        ),
        (
            "url = \"https://example.com/a/demo-1.0%2Blocal-py3-none-any.whl?x=/y.whl#sha256=1\"",
            "demo-1.0+local-py3-none-any.whl",
        ),
        (
            "url = \"https://example.com/5f3a\", name = \"Demo-1.0-py3-none-any.whl\"",
            "Demo-1.0-py3-none-any.whl",
        ),
    ] {
        let version = if expected.contains("local") {
            "version = \"1.0+local\""
        } else {
            ""
        };
        let text = lock(
            "",
            &[package(
                "demo",
                &format!("wheels = [{{ {file}, hashes = {{ {HASH} }}, size = 7 }}]"),
            )],
        );
        let text = if version.is_empty() {
            text
        } else {
            text.replace("version = \"1.0\"\nw", &format!("{version}\nw"))
        };
        let packages = select(&text).unwrap();
        assert_eq!(files(&packages), [expected]);
        assert_eq!(packages[0].locked.file().size, Some(7));
        assert_eq!(packages[0].locked.file().url.fragment(), None);
    }
    let url = |name: &str| format!("url = \"https://example.com/x\", name = \"{name}\"");
    let long = url(&format!("{}-1.0-py3-none-any.whl", "x".repeat(240)));
    let cases = [
        ("up", url("../demo-1.0-py3-none-any.whl")),
        ("in a folder", url("a/demo-1.0-py3-none-any.whl")),
        ("absolute", url("/demo-1.0-py3-none-any.whl")),
        ("backslash", url("a\\\\demo-1.0-py3-none-any.whl")),
        ("NUL", url("demo-1.0-py3-none-any.whl\\u0000.whl")),
        ("hidden", url(".demo-1.0-py3-none-any.whl")),
        ("empty", url("")),
        ("long", long),
        (
            "a folder's URL",
            "url = \"https://example.com/demo/\"".into(),
        ),
        (
            "a slash by percent",
            "url = \"https://example.com/..%2Fdemo-1.0-py3-none-any.whl\"".into(),
        ),
        ("no wheel name", url("demo.whl")),
        ("another distribution", url("other-1.0-py3-none-any.whl")),
        ("another version", url("demo-1.1-py3-none-any.whl")),
        ("no URL", "name = \"demo-1.0-py3-none-any.whl\"".into()),
        (
            "relative URL",
            "url = \"files/demo-1.0-py3-none-any.whl\"".into(),
        ),
        (
            "file URL",
            "url = \"file:///demo-1.0-py3-none-any.whl\"".into(),
        ),
        (
            "ftp URL",
            "url = \"ftp://example.com/demo-1.0-py3-none-any.whl\"".into(),
        ),
        ("path", "path = \"demo-1.0-py3-none-any.whl\"".into()),
    ];
    assert_snapshot!(table(cases.iter().map(|(case, file)| {
        let refusal = refusal(one(file));
        assert_ne!(refusal, "accepted", "{case}");
        (*case, refusal)
    })));
}

#[test]
fn hashes() {
    let one = |hashes: &str| {
        let url = "https://example.com/demo-1.0-py3-none-any.whl";
        let wheel = format!("wheels = [{{ url = \"{url}\", hashes = {{ {hashes} }} }}]");
        select(&lock("", &[package("demo", &wheel)]))
    };
    one(&format!("{HASH}, md5 = \"x\"")).unwrap();
    one(&format!("sha256 = \"{}\"", "AB".repeat(32))).unwrap();
    let cases = [
        ("none", ""),
        ("another", "sha512 = \"11\""),
        ("short", "sha256 = \"11\""),
        (
            "no hexadecimal digits",
            "sha256 = \"zz11111111111111111111111111111111111111111111111111111111111111\"",
        ),
        (
            "with algorithm",
            "sha256 = \"sha256:111111111111111111111111111111111111111111111111111111111\"",
        ),
    ];
    assert_snapshot!(table(
        cases.map(|(case, hashes)| (case, refusal(one(hashes))))
    ));
}

const SDIST: &str = "sdist = { url = \"https://example.com/demo-1.0.tar.gz\", hashes = { \
    sha256 = \"2222222222222222222222222222222222222222222222222222222222222222\" } }";

fn requirements(text: &str) -> RequirementSet {
    requirement::parse("requirements.txt", text, &NoInclude, true)
        .unwrap()
        .0
}

#[test]
fn source_distributions_only_when_allowed_and_needed() {
    let allowed = Policy {
        allow_source_distributions: true,
        requirements: None,
        own: &[],
    };
    let with = |text: &str, policy| {
        Lock::parse(text)?
            .select(TARGET, policy)
            .map(|packages| packages[0].locked.clone())
    };
    let only = lock("", &[package("demo", SDIST)]);
    let fitting = lock(
        "",
        &[with_wheels("demo", &["demo-1.0-py3-none-any.whl"]) + SDIST],
    );
    let foreign = lock(
        "",
        &[with_wheels("demo", &["demo-1.0-cp313-cp313-win_amd64.whl"]) + SDIST],
    );

    assert!(matches!(with(&fitting, allowed), Ok(Locked::Wheel { .. })));
    for text in [&only, &foreign] {
        assert!(matches!(
            with(text, allowed),
            Ok(Locked::SourceDistribution { .. })
        ));
    }
    let set = |digit: &str| requirements(&format!("demo --hash=sha256:{}", digit.repeat(64)));
    let (accepted, another) = (set("2"), set("3"));
    let demanding = |set| Policy {
        requirements: Some(set),
        ..allowed
    };
    assert!(with(&only, demanding(&accepted)).is_ok());
    let named = |name: &str| {
        let sdist = SDIST.replace("{ url", &format!("{{ name = \"{name}\", url"));
        lock("", &[package("demo", &sdist)])
    };
    let bad_version = only.replace("version = \"1.0\"\ns", "version = \"../1.0\"\ns");
    assert_snapshot!(table([
        (
            "only a source, refused",
            refusal(with(&only, Policy::default()))
        ),
        (
            "a foreign wheel, source refused",
            refusal(with(&foreign, Policy::default()))
        ),
        (
            "another hash demanded",
            refusal(with(&only, demanding(&another)))
        ),
        (
            "name with a slash",
            refusal(with(&named("../demo-1.0.tar.gz"), allowed))
        ),
        (
            "absolute name",
            refusal(with(&named("/tmp/demo-1.0.tar.gz"), allowed))
        ),
        ("no name", refusal(with(&named(""), allowed))),
        ("no version", refusal(with(&bad_version, allowed))),
        (
            "neither",
            refusal(with(&lock("", &[package("demo", "")]), allowed))
        ),
    ]));
}

#[test]
fn hashes_that_the_requirements_demand() {
    let wheels = [
        "demo-1.0-py3-none-any.whl",
        "demo-1.0-cp313-cp313-manylinux_2_17_aarch64.whl",
    ];
    let text = lock("", &[with_wheels("demo", &wheels)]);
    let with = |demanded: &str| {
        let set = requirements(demanded);
        let policy = Policy {
            requirements: Some(&set),
            ..Policy::default()
        };
        let packages = Lock::parse(&text)?.select(TARGET, policy)?;
        Ok::<_, Error>(files(&packages)[0].to_owned())
    };
    let hash = |digit: &str| format!("--hash=sha256:{}", digit.repeat(64));
    let (first, second) = (hash("0"), hash("1"));
    assert_eq!(with("demo").unwrap(), wheels[1]);
    assert_eq!(with(&format!("demo {first} {second}")).unwrap(), wheels[1]);
    // The best of those that are accepted, not the best of all.
    assert_eq!(with(&format!("demo {first}")).unwrap(), wheels[0]);
    let missing = "HashMissing: there is no hash for demo, but one for another requirement";
    for unhashed in [
        "other {first}\ndemo ; os_name == 'posix'",
        "demo ; os_name == 'nt' {first}\ndemo",
        // As a dependency.
        "other {first}",
    ] {
        let demanded = unhashed.replace("{first}", &first);
        assert_eq!(refusal(with(&demanded)), missing, "{unhashed}");
    }
    assert_eq!(
        refusal(with(&format!("demo {}", hash("2")))),
        "HashNotAllowed: no wheel of demo 1.0 has a hash that the requirements allow"
    );
}

#[test]
fn direct_urls() {
    let archive = |file: &str| {
        let line =
            format!("archive = {{ url = \"https://example.com/{file}\", hashes = {{ {HASH} }} }}");
        package("demo", &line).replace("version = \"1.0\"\n", "")
    };
    let text = lock("", &[archive("demo-3.1-py3-none-any.whl#egg=demo")]);
    let packages = select(&text).unwrap();
    assert_eq!(files(&packages), ["demo-3.1-py3-none-any.whl"]);
    assert_eq!(packages[0].version, "3.1");
    let refused = |lines: &str| refusal(select(&lock("", &[package("demo", lines)])));
    assert_snapshot!(table([
        (
            "sdist",
            refusal(select(&lock("", &[archive("demo-3.1.tar.gz")])))
        ),
        (
            "foreign wheel",
            refusal(select(&lock(
                "",
                &[archive("demo-3.1-cp39-cp39-win32.whl")]
            )))
        ),
        (
            "repository",
            refused("vcs = { type = \"git\", url = \"https://example.com/x.git\" }")
        ),
        ("folder", refused("directory = { path = \"demo\" }")),
        (
            "local archive",
            refused(&format!(
                "archive = {{ path = \"x.whl\", hashes = {{ {HASH} }} }}"
            ))
        ),
    ]));
}

/// Packages that do not apply are not looked at.
#[test]
fn packages_for_others_do_not_matter() {
    let elsewhere = "marker = \"sys_platform == 'win32'\"";
    let text = lock(
        "",
        &[
            package("win", &format!("{elsewhere}\nvcs = {{ type = \"git\" }}")),
            package("py", &format!("{elsewhere}\nrequires-python = \"<3\"")),
            with_wheels("demo", &["demo-1.0-py3-none-any.whl"]),
            with_wheels("demo", &["demo-1.0-py3-none-any.whl"]) + elsewhere,
        ],
    );
    assert_eq!(selected(&text), ["demo-1.0-py3-none-any.whl"]);
}

#[test]
fn environments_and_python_versions() {
    let demo = with_wheels("demo", &["demo-1.0-py3-none-any.whl"]);
    let with = |head: &str| refusal(select(&lock(head, std::slice::from_ref(&demo))));
    for head in [
        "requires-python = \">=3.13\"",
        "requires-python = \">=3.9,<4\"",
        "requires-python = \"==3.13.*\"",
        "environments = [\"sys_platform == 'win32'\", \"sys_platform == 'linux'\"]",
        "environments = []",
        "extras = [\"x\"]\ndependency-groups = [\"dev\"]",
        "unknown-key = 1",
    ] {
        assert_eq!(with(head), "accepted", "{head}");
    }
    let package_for = |requires: &str| {
        let package = format!("{demo}requires-python = \"{requires}\"\n");
        refusal(select(&lock("", &[package])))
    };
    assert_eq!(package_for(">=3.8"), "accepted");
    assert_snapshot!(table([
        ("older Python", with("requires-python = \"<3.13\"")),
        ("newer Python", with("requires-python = \">=3.14\"")),
        ("a patch version", with("requires-python = \">=3.13.1\"")),
        ("no specifier", with("requires-python = \"three\"")),
        (
            "other environments",
            with("environments = [\"sys_platform == 'win32'\"]")
        ),
        (
            "broken environment",
            with("environments = [\"sys_platform ==\"]")
        ),
        ("a package for a newer Python", package_for(">=3.14")),
    ]));
}

#[test]
fn markers_without_a_meaning() {
    let cases = [
        "x",
        "os_name",
        "os_name ==",
        "== 'posix'",
        "os_name == posix",
        "os_name = 'posix'",
        "nothing == 'x'",
        "'a' == 'b'",
        "python_version >= 'three'",
        "python_version in '3.12, 3.13'",
        "os_name == 'posix",
        "os_name == 'posix' and",
        "or os_name == 'posix'",
        "os_name == 'posix' os_name == 'nt'",
        "(os_name == 'posix'",
        "os_name == 'posix')",
        "()",
        "os_name (== 'posix')",
        "extras in extras",
        "'x' in nothing",
        "'x' in extras extras",
        "\\u001b[2J",
        // The library would panic.
        "os_name == 'posix' é",
    ];
    assert_snapshot!(table(cases.map(|marker| {
        let refusal = refusal(select(&lock("", &[marked("demo", marker)])));
        assert_ne!(refusal, "accepted", "{marker}");
        (marker, refusal)
    })));
}

#[test]
fn texts_that_are_no_lock() {
    let twice = with_wheels("demo", &["demo-1.0-py3-none-any.whl"]);
    let cases = [
        ("empty", String::new()),
        ("no TOML", "lock-version = ".into()),
        (
            "no TOML further down",
            "lock-version = \"1.0\"\n\n[[packages]\n".into(),
        ),
        ("newer version", "lock-version = \"2.0\"".into()),
        ("version as a number", "lock-version = 1.0".into()),
        ("no version number", "lock-version = \"10\"".into()),
        (
            "another lock file",
            "version = 1\nrevision = 3\nrequires-python = \">=3.9\"".into(),
        ),
        (
            "a package without a name",
            lock("", &["[[packages]]\nversion = \"1\"".into()]),
        ),
        (
            "a package with a bad name",
            lock("", &[package("de mo", "")]),
        ),
        (
            "a package without a name's letters",
            lock("", &[package("", "")]),
        ),
        ("a package twice", lock("", &[twice.clone(), twice.clone()])),
        (
            "a package twice by other spelling",
            lock(
                "",
                &[
                    with_wheels("De.mo", &["de_mo-1.0-py3-none-any.whl"]),
                    with_wheels("de_mo", &["de_mo-1.0-py3-none-any.whl"]),
                ],
            ),
        ),
        (
            "no version of a package",
            lock("", &["[[packages]]\nname = \"demo\"".into()]),
        ),
        (
            "bad version of a package",
            lock(
                "",
                &[twice.replace("version = \"1.0\"", "version = \"one\"")],
            ),
        ),
    ];
    assert_snapshot!(table(cases.iter().map(|(case, text)| {
        let refusal = refusal(select(text));
        assert_ne!(refusal, "accepted", "{case}");
        (*case, refusal)
    })));
    assert_eq!(selected("lock-version = \"1.7\"\npackages = []"), [""; 0]);
}

/// A written lock selects, for each target, the packages that it was written from.
#[test]
fn what_is_written_selects_the_same_again() {
    let wheel = |name: &str, tag: &str| format!("{name}-1.0-{tag}.whl");
    let text = lock(
        "",
        &[
            with_wheels("everywhere", &["everywhere-1.0-py3-none-any.whl"]),
            marked("old", "python_version < '3.13'"),
            marked("arm", "platform_machine == 'aarch64'"),
            marked(
                "new_arm",
                "platform_machine == 'aarch64' and python_version >= '3.13'",
            ),
            marked(
                "mixed",
                "platform_machine == 'aarch64' or python_version == '3.14'",
            ),
            with_wheels(
                "native",
                &[
                    &wheel("native", "cp312-abi3-manylinux_2_17_x86_64"),
                    &wheel("native", "cp313-cp313-manylinux_2_17_aarch64"),
                    &wheel("native", "py3-none-any"),
                ],
            ),
        ],
    );
    let all = Lock::parse(&text).unwrap();
    let targets = Runtime::supported().flat_map(|runtime| {
        Architecture::ALL.map(|architecture| Target {
            runtime,
            architecture,
        })
    });
    let select = |lock: &Lock, target| lock.select(target, Policy::default()).unwrap();
    let selected = targets.map(|target| (target, select(&all, target)));
    let selected: Vec<_> = selected.collect();
    let selections = selected.iter();
    let selections: Vec<_> = selections
        .map(|(it, packages)| (*it, &packages[..]))
        .collect();
    let written = accretion_python::lock::write(&selections);
    let read = Lock::parse(&written).unwrap();
    for (target, packages) in &selections {
        assert_eq!(select(&read, *target), *packages, "{target}");
    }
    let markers = written.lines().filter(|line| line.starts_with("marker"));
    assert_snapshot!(markers.collect::<Vec<_>>().join("\n"));

    // A lock of one target needs no marker.
    let (target, packages) = selections[0];
    let written = accretion_python::lock::write(&[(target, packages)]);
    assert!(!written.contains("marker"), "{written}");
    assert_eq!(select(&Lock::parse(&written).unwrap(), target), packages);
}

#[test]
fn what_is_written_opens_nothing() {
    let text = lock("", &[with_wheels("a", &["a-1.0-py3-none-any.whl"])]);
    let text = text.replace("https://", "https://user:secret@");
    let packages = select(&text).unwrap();
    let written = accretion_python::lock::write(&[(TARGET, &packages)]);
    assert!(
        !written.contains("user") && !written.contains("secret"),
        "{written}"
    );
}
