//! Tags, wheel file names and releases of Python, compared with PyPI's `packaging`, which pip uses;
//! the ends of runtimes, compared with cfn-lint.
//!
//! `ACCRETION_TOOLS_PYTHON` names a Python that has it; by default that of the workspace's
//! `.tools/venv`.

#![expect(clippy::unwrap_used, reason = "what fails in a helper fails the test")]

use accretion_python::wheel::Rank;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use accretion_core::target::{Architecture, Runtime, Target};
use accretion_python::lock::{Lock, Policy};
use accretion_python::release::PythonRelease;
use accretion_python::wheel::{Tag, WheelFilename};
use integration_tests::ask_script;
use serde::Deserialize;
use serde_json::json;

fn targets() -> impl Iterator<Item = Target> {
    Runtime::all().flat_map(|runtime| {
        Architecture::ALL.map(|architecture| Target {
            runtime,
            architecture,
        })
    })
}

#[derive(Deserialize)]
struct Answer {
    ranked: Vec<Vec<[String; 3]>>,
    parsed: Vec<Option<Parts>>,
}

/// A wheel's file name, taken apart.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Parts {
    name: String,
    version: String,
    build: Option<(String, String)>,
    tags: BTreeSet<String>,
}

fn ask(filenames: &[String]) -> Answer {
    let targets: Vec<_> = targets()
        .map(|target| {
            json!({
                "minor": target.runtime.python_minor(),
                "glibc_minor": target.runtime.glibc_minor(),
                "machine": target.architecture.machine(),
            })
        })
        .collect();
    let question = json!({ "targets": targets, "filenames": filenames });
    serde_json::from_value(ask_script("oracle/packaging_oracle.py", &[], &question)).unwrap()
}

fn rank(
    target: Target,
    [python, abi, platform]: &[String; 3],
) -> Option<accretion_python::wheel::Rank> {
    Rank::of_tag(
        target,
        Tag {
            python,
            abi,
            platform,
        },
    )
}

/// All that fits, in the same order.
#[test]
fn tags_rank_as_packaging_ranks_them() {
    let answer = ask(&[]);
    for (target, ranked) in targets().zip(&answer.ranked) {
        assert!(ranked.len() > 250, "{target}: {} tags", ranked.len());
        let ranks: Vec<_> = ranked
            .iter()
            .map(|tag| rank(target, tag).unwrap_or_else(|| panic!("{target} takes no {tag:?}")))
            .collect();
        for (at, pair) in ranks.windows(2).enumerate() {
            let (better, worse) = (&ranked[at], &ranked[at + 1]);
            assert!(
                pair[0] < pair[1],
                "{target}: {better:?} comes before {worse:?}"
            );
        }
    }
}

/// Python tags, those that fit and those that nearly do.
fn pythons() -> Vec<String> {
    (0..=16)
        .flat_map(|minor| [format!("cp3{minor}"), format!("py3{minor}")])
        .chain(
            [
                "cp3",
                "cp2",
                "cp27",
                "cp4",
                "cp413",
                "cp0313",
                "cp3013",
                "cp313t",
                "cp3_13",
                "cp+313",
                "cp",
                "py3",
                "py2",
                "py27",
                "py4",
                "py",
                "py03",
                "py3013",
                "py313t",
                "pp313",
                "ip313",
                "jy313",
                "graalpy313",
                "",
                "any",
                "none",
                "3",
                "313",
                "CP313",
                "Py3",
            ]
            .map(str::to_owned),
        )
        .collect()
}

/// ABI tags, those that fit and those that nearly do.
fn abis() -> Vec<String> {
    (9..=15)
        .flat_map(|minor| [format!("cp3{minor}"), format!("cp3{minor}t")])
        .chain(
            [
                "abi3",
                "abi3t",
                "abi2",
                "abi4",
                "abi",
                "none",
                "cp313d",
                "cp310m",
                "cp3",
                "pypy313_pp73",
                "",
                "any",
                "NONE",
                "py3",
            ]
            .map(str::to_owned),
        )
        .collect()
}

/// Platform tags, those that fit and those that nearly do.
fn platforms() -> Vec<String> {
    let mut platforms = vec!["any".to_owned()];
    for machine in ["x86_64", "aarch64", "i686", ""] {
        let versions = (0..=36).map(|minor| format!("manylinux_2_{minor}_{machine}"));
        platforms.extend(versions);
        for name in [
            "linux",
            "manylinux",
            "manylinux1",
            "manylinux2010",
            "manylinux2014",
            "manylinux2",
            "manylinux_2",
            "manylinux_2_017",
            "manylinux_02_17",
            "manylinux_3_17",
            "manylinux_1_17",
            "manylinux_2_17_",
            "manylinux_2_+17",
            "manylinux_2_",
            "manylinux__17",
            "manylinux_2_256",
            "manylinux_2_4294967313",
            "musllinux_1_1",
            "musllinux_1_2",
            "win",
            "macosx_11_0",
            "MANYLINUX_2_17",
            "Linux",
            "",
            "xlinux",
        ] {
            platforms.push(format!("{name}_{machine}"));
            platforms.push(format!("{name}{machine}"));
        }
    }
    platforms.extend(
        [
            "any_x86_64",
            "win_amd64",
            "win32",
            "macosx_11_0_arm64",
            "macosx_10_9_universal2",
        ]
        .map(str::to_owned),
    );
    platforms
}

/// Of many more tags, exactly those fit that `packaging` lists.
#[test]
fn near_misses_do_not_fit() {
    let answer = ask(&[]);
    let (pythons, abis, platforms) = (pythons(), abis(), platforms());
    for (target, ranked) in targets().zip(&answer.ranked) {
        let fitting: HashSet<&[String; 3]> = ranked.iter().collect();
        let mut found = HashSet::new();
        for python in &pythons {
            for abi in &abis {
                for platform in &platforms {
                    let tag = [python.clone(), abi.clone(), platform.clone()];
                    let fits = rank(target, &tag).is_some();
                    assert_eq!(fits, fitting.contains(&tag), "{target}: {tag:?}");
                    if fits {
                        found.insert(tag);
                    }
                }
            }
        }
        assert_eq!(
            found.len(),
            fitting.len(),
            "{target}: near misses must be near"
        );
    }
}

/// Names as they are on an index, and broken ones.
const NAMES: [&str; 58] = [
    "requests-2.32.5-py3-none-any.whl",
    "numpy-2.3.1-cp313-cp313-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl",
    "cryptography-45.0.5-cp311-abi3-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    "zope.interface-7.2-cp313-cp313-musllinux_1_2_x86_64.whl",
    "Zope_Interface-7.2-cp313-cp313-win_amd64.whl",
    "six-1.17.0-py2.py3-none-any.whl",
    "torch-2.7.1+cpu-cp313-cp313-manylinux_2_28_x86_64.whl",
    "foo-1!2.0-py3-none-any.whl",
    "foo-1.0-1-py3-none-any.whl",
    "foo-1.0-1a.b_c-py3-none-any.whl",
    "foo-1.0-007-py3-none-any.whl",
    "foo-1.0-0-py3-none-any.whl",
    "foo-1.0-a-py3-none-any.whl",
    "foo-1.0-99999999999999999999999-py3-none-any.whl",
    "foo-v1.0-py3-none-any.whl",
    "foo-1.0.post1-py3-none-any.whl",
    "foo-1.0_1-py3-none-any.whl",
    "foo-1.0.dev0-py3-none-any.whl",
    "foo-1.0rc1-py3-none-any.whl",
    "foo-1.0.RC1-py3-none-any.whl",
    "foo-1.0alpha-py3-none-any.whl",
    "foo-1.0+local.2_3-py3-none-any.whl",
    "foo-1.0+-py3-none-any.whl",
    "foo-1.0.0.0.0.0.0.0-py3-none-any.whl",
    "foo-01.00-py3-none-any.whl",
    "foo-2024.7.4-py3-none-any.whl",
    "foo-18446744073709551615-py3-none-any.whl",
    "foo-18446744073709551616-py3-none-any.whl",
    "foo--py3-none-any.whl",
    "foo- 1.0-py3-none-any.whl",
    "foo-1.0 -py3-none-any.whl",
    "foo-one-py3-none-any.whl",
    "foo-1.*-py3-none-any.whl",
    "-1.0-py3-none-any.whl",
    "foo-1.0-py3-none.whl",
    "foo-1.0-py3-none-any",
    "foo-1.0-py3-none-any.WHL",
    "foo-1.0-py3-none-any.whl.whl",
    "foo-1.0-py3-none-any.zip",
    "foo-1.0-py3-none-any-x-y.whl",
    "foo-1.0-1-2-py3-none-any.whl",
    "foo__bar-1.0-py3-none-any.whl",
    "foo.-1.0-py3-none-any.whl",
    "_foo-1.0-py3-none-any.whl",
    "foo_-1.0-py3-none-any.whl",
    "foo..bar-1.0-py3-none-any.whl",
    "foo+bar-1.0-py3-none-any.whl",
    "foo bar-1.0-py3-none-any.whl",
    "caf\u{e9}-1.0-py3-none-any.whl",
    "foo-1.0-PY3-NONE-ANY.whl",
    "foo-1.0-py3-none-any..whl",
    "foo-1.0-py3-none-.any.whl",
    "foo-1.0-py3..py2-none-any.whl",
    "foo-1.0-3-none-any.whl",
    "foo-1.0-py3-none-an/y.whl",
    "foo-1.0-py3-no ne-any.whl",
    "../foo-1.0-py3-none-any.whl",
    "foo-1.0-py3-none-any.whl\n",
];

/// The names above and all that a small slip makes of some of them.
fn filenames() -> Vec<String> {
    let mut names: BTreeSet<String> = NAMES.map(str::to_owned).into();
    let slips = [
        "", "-", "_", ".", "/", " ", "\n", "0", "x", "Z", "+", "!", "\u{e9}", "\u{663}", "--", "__",
    ];
    for name in [NAMES[1], NAMES[3], NAMES[6], NAMES[9], NAMES[18]] {
        for at in 0..name.len() {
            for slip in slips {
                names.insert(format!("{}{slip}{}", &name[..at], &name[at..]));
                names.insert(format!("{}{slip}{}", &name[..at], &name[at + 1..]));
            }
        }
    }
    let versions = [
        "1",
        "1.0",
        "1.0.0",
        "0",
        "1a1",
        "1.a.1",
        "1_a_1",
        "1c1",
        "1pre",
        "1.rev2",
        "1.r2",
        "1.0.post",
        "1.0-1",
        "1.0dev",
        "1.0.dev1",
        "1.0a1.post2.dev3",
        "1.0+ABC",
        "1.0+a.1",
        "1.0+a_1",
        "1.0+a..1",
        "v1",
        "V1",
        "1!0",
        "1!",
        "!1",
        "1..0",
        "1.0.",
        ".1",
        "1.0a.b",
        "1,0",
        "1.x",
        "1.0beta1",
        "1.0preview3",
        "1.0.0a",
        "1.0ALPHA2",
    ];
    for version in versions {
        names.insert(format!("foo-{version}-py3-none-any.whl"));
        names.insert(format!("foo-{version}-12-py3-none-any.whl"));
    }
    names.into_iter().collect()
}

fn parts(filename: &str) -> Option<Parts> {
    let wheel: WheelFilename = filename.parse().ok()?;
    let tags = wheel.tags();
    Some(Parts {
        name: wheel.name().to_string(),
        version: wheel.version().to_string(),
        build: wheel
            .build()
            .parts()
            .map(|(number, rest)| (number.to_string(), rest.to_owned())),
        tags: tags
            .map(|tag| format!("{}-{}-{}", tag.python, tag.abi, tag.platform))
            .collect(),
    })
}

/// The reason for which we refuse a name that `packaging` accepts.
fn reason_to_refuse(filename: &str) -> Option<&'static str> {
    let parts: Vec<&str> = filename.split('-').collect();
    let (name, version) = (parts[0], parts.get(1).copied().unwrap_or_default());
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.+!".contains(c);
    let is_edge = |c| matches!(c, '_' | '.');
    if !filename.chars().all(is_plain) {
        Some("no index has such a character in a name, and names become files")
    } else if parts.iter().skip(2).any(|part| part.contains(['+', '!'])) {
        Some("`+` and `!` mean something in versions only")
    } else if name.starts_with(is_edge) || name.ends_with(is_edge) {
        Some("no distribution's name starts or ends like this (core metadata, `Name`)")
    } else if [version, parts[2]].iter().any(|part| part.len() >= 20) {
        Some("a number is beyond 64 bits")
    } else {
        None
    }
}

/// The reason for which we accept a name that `packaging` refuses.
fn reason_to_take(ours: &Parts) -> Option<&'static str> {
    let is_odd = |tag: &String| tag.starts_with(|c: char| c.is_ascii_digit());
    let odd = ours.tags.iter().any(is_odd);
    odd.then_some(
        "such a Python tag fits nothing; to refuse it would refuse the lock that lists it",
    )
}

#[test]
fn wheel_file_names_parse_as_packaging_parses_them() {
    let names = filenames();
    assert!(names.len() > 5000, "{}", names.len());
    let answer = ask(&names);
    let mut accepted = 0;
    let mut reasons = BTreeSet::new();
    let mut surprises = Vec::new();
    for (name, theirs) in names.iter().zip(answer.parsed) {
        let ours = parts(name);
        accepted += usize::from(ours.is_some());
        let reason = match (&ours, &theirs) {
            (None, Some(_)) => reason_to_refuse(name),
            (Some(ours), None) => reason_to_take(ours),
            _ if ours == theirs => continue,
            _ => None,
        };
        match reason {
            Some(reason) => drop(reasons.insert(reason)),
            None => surprises.push((name, ours, theirs)),
        }
    }
    assert!(surprises.is_empty(), "{surprises:#?}");
    assert!(accepted > 1000, "{accepted}");
    assert_eq!(reasons.len(), 5, "a reason that no name has: {reasons:#?}");
}

/// The answers of `packaging` about releases: which patch releases satisfy specifiers, and whether
/// markers are true.
#[derive(Deserialize)]
struct Releases {
    satisfying: Vec<Vec<u8>>,
    #[serde(rename = "true")]
    is_true: Vec<bool>,
}

fn ask_of_releases(specifiers: &[(String, u8)], markers: &[(&str, String)]) -> Releases {
    let question = json!({
        "targets": [], "filenames": [], "specifiers": specifiers, "markers": markers,
    });
    serde_json::from_value(ask_script("oracle/packaging_oracle.py", &[], &question)).unwrap()
}

/// A statement about a whole input holds if `packaging` finds any patch release that satisfies it,
/// and the recent one or else the newest stands for it.
#[test]
fn releases_satisfy_as_packaging_has_it() {
    let versions = [
        "3.9",
        "3.12",
        "3.12.0",
        "3.12.4",
        "3.12.6",
        "3.12.100",
        "3.13",
        "3.13.1rc1",
    ];
    let operators = ["==", "!=", "<", "<=", ">", ">=", "~=", "==="];
    let single: Vec<_> = operators
        .iter()
        .flat_map(|operator| versions.map(|version| format!("{operator}{version}")))
        .chain(["==3.12.*", "!=3.12.*", "==3.*", "==3.12.6.*", "!=3.12.6.*"].map(Into::into))
        .collect();
    let pairs = single
        .iter()
        .flat_map(|one| single.iter().map(move |other| format!("{one},{other}")));
    let asked: Vec<_> = pairs
        .flat_map(|specifiers| [12, 13].map(|minor| (specifiers.clone(), minor)))
        .collect();
    let answer = ask_of_releases(&asked, &[]);
    for ((specifiers, minor), patches) in asked.iter().zip(&answer.satisfying) {
        let target = targets()
            .find(|target| target.runtime.python_minor() == *minor)
            .unwrap();
        let release = PythonRelease::satisfying(target, &specifiers.parse().unwrap());
        let patch = release.map(|release| {
            let patch = release.to_string();
            patch.rsplit('.').next().unwrap().parse::<u8>().unwrap()
        });
        // Of the releases that no statement tells apart, any will do.
        let satisfies = patch.is_some_and(|patch| patches.contains(&patch));
        assert_eq!(
            (patch.is_some(), satisfies),
            (!patches.is_empty(), !patches.is_empty()),
            "{specifiers}"
        );
        if patches.contains(&99) {
            assert_eq!(release, Some(PythonRelease::recent(target)), "{specifiers}");
        }
    }
}

#[test]
fn markers_are_true_as_packaging_has_it() {
    let markers = [
        "python_version == '3.12'",
        "python_version > '3.12'",
        "python_version <= '3.12'",
        "python_version ~= '3.12'",
        "python_version in '3.12 3.13'",
        "python_full_version >= '3.12.4'",
        "python_full_version < '3.12.4'",
        "python_full_version == '3.12.*'",
        "python_full_version != '3.13.0'",
        "python_full_version ~= '3.12.4'",
        "python_full_version <= '3.12'",
        "implementation_version > '3.12.1'",
        "python_version >= '3.12' and python_full_version < '3.12.2'",
        "python_version < '3.13' or python_full_version >= '3.13.2'",
    ];
    let released = targets().flat_map(|target| markers.map(|marker| (marker, target)));
    let released: Vec<_> = released.collect();
    let asked: Vec<_> = released
        .iter()
        .map(|(marker, target)| (*marker, PythonRelease::recent(*target).to_string()))
        .collect();
    let answer = ask_of_releases(&[], &asked);
    for ((marker, target), expected) in released.into_iter().zip(answer.is_true) {
        let hash = "0".repeat(64);
        let lock = format!(
            "lock-version = '1.0'\n[[packages]]\nname = 'a'\nversion = '1'\nmarker = \"{marker}\"\n\
             wheels = [{{url = 'https://example.com/a-1-py3-none-any.whl', \
             hashes = {{sha256 = '{hash}'}}}}]\n"
        );
        let selected = Lock::parse(&lock)
            .unwrap()
            .select(target, Policy::default());
        assert_eq!(!selected.unwrap().is_empty(), expected, "{marker} {target}");
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct End {
    deprecated: Option<String>,
    create_block: Option<String>,
    update_block: Option<String>,
}

/// cfn-lint copies AWS's table of runtimes, release by release.
#[test]
fn runtimes_end_when_cfn_lint_says() {
    let answer = ask_script("oracle/lifecycle_oracle.py", &[], &json!(null));
    let ends: BTreeMap<String, End> = serde_json::from_value(answer).unwrap();
    for runtime in Runtime::all() {
        let Some(lifecycle) = runtime.lifecycle() else {
            let name = runtime.identifier();
            assert!(!ends.contains_key(name), "{name} is no preview any more");
            continue;
        };
        let ours = [
            lifecycle.deprecated,
            lifecycle.create_blocked,
            lifecycle.update_blocked,
        ];
        let End {
            deprecated,
            create_block,
            update_block,
        } = &ends[runtime.identifier()];
        let theirs =
            [deprecated, create_block, update_block].map(|it| it.as_deref().unwrap_or_default());
        assert_eq!(ours.map(|it| it.to_string()), theirs, "{runtime}");
    }
}
