//! Several wheels in one layer: paths that more than one of them claims, and more than Lambda
//! takes.

use accretion_core::Fault as _;
use accretion_core::layer::Conflict;
use accretion_core::limits::Limits;
use accretion_layer::Error;
use accretion_testing::forge::WheelForge;
use accretion_testing::forge::zip::{Entry, Method};
use insta::assert_snapshot;

use crate::harness::{Inspected, Layer, inspect_wheel, plan, refusal, rules, splice, splice_with};

fn forge(name: &str) -> WheelForge {
    WheelForge::new(name, "1.0").file(&format!("{name}/__init__.py"), name)
}

fn inspected(forge: &WheelForge) -> Inspected {
    inspect_wheel(&forge.build()).unwrap()
}

/// The layer of these wheels, which is the same in any order.
fn layer(forges: &[WheelForge]) -> Layer {
    let mut wheels: Vec<_> = forges.iter().map(inspected).collect();
    let layer = splice(&wheels).unwrap();
    for _ in 0..wheels.len() {
        wheels.rotate_left(1);
        assert_eq!(splice(&wheels).unwrap(), layer);
    }
    wheels.reverse();
    assert_eq!(splice(&wheels).unwrap(), layer);
    layer
}

fn content(layer: &Layer, path: &str) -> String {
    String::from_utf8(layer.files()[path].content.clone()).unwrap()
}

fn record_lists(layer: &Layer, distribution: &str, path: &str) -> bool {
    let record = format!("python/{distribution}-1.0.dist-info/RECORD");
    let start = format!("{path},");
    content(layer, &record)
        .lines()
        .any(|line| line.starts_with(&start))
}

#[test]
fn the_wheel_whose_name_sorts_last_wins() {
    let shared = |name: &str| forge(name).file("shared/x.py", format!("who = '{name}'\n"));
    let layer = layer(&[shared("bb"), shared("aa"), shared("cc")]);
    assert_eq!(content(&layer, "python/shared/x.py"), "who = 'cc'\n");
    assert_eq!(
        layer.conflicts,
        [Conflict {
            path: "shared/x.py".into(),
            winner: "cc-1.0-py3-none-any.whl".into(),
            losers: vec![
                "aa-1.0-py3-none-any.whl".into(),
                "bb-1.0-py3-none-any.whl".into()
            ],
        }]
    );
    for (name, listed) in [("aa", false), ("bb", false), ("cc", true)] {
        assert_eq!(record_lists(&layer, name, "shared/x.py"), listed, "{name}");
        assert!(record_lists(&layer, name, &format!("{name}/__init__.py")));
    }
}

/// Normalised names count, not the spelling of the files: `a-b` sorts before `ab`, `a_b` after it.
#[test]
fn normalised_names_decide() {
    let shared = |name: &str| WheelForge::new(name, "1.0").file("x", name);
    let layer = layer(&[shared("a_b"), shared("ab")]);
    assert_eq!(content(&layer, "python/x"), "ab");
}

#[test]
fn equal_content_is_there_once() {
    let empty = |name: &str| forge(name).file("shared/__init__.py", "");
    let other = forge("cc").entry(Entry::file("shared/__init__.py", "").method(Method::Stored));
    let layer = layer(&[empty("aa"), empty("bb"), other.clone()]);
    assert_eq!(layer.conflicts, []);
    for name in ["aa", "bb", "cc"] {
        assert!(record_lists(&layer, name, "shared/__init__.py"));
    }
    let wheels = [inspected(&empty("aa")), inspected(&other)];
    splice_with(&wheels, true).expect("strict takes equal content");
}

/// Of three wheels one loses, and one has what the winner has.
#[test]
fn equal_to_the_winner_is_no_loser() {
    let shared = |name: &str, content: &str| forge(name).file("shared.py", content);
    let layer = layer(&[
        shared("aa", "same"),
        shared("bb", "other"),
        shared("cc", "same"),
    ]);
    assert_eq!(layer.conflicts.len(), 1);
    assert_eq!(layer.conflicts[0].losers, ["bb-1.0-py3-none-any.whl"]);
    assert!(record_lists(&layer, "aa", "shared.py"));
    assert!(!record_lists(&layer, "bb", "shared.py"));
}

#[test]
fn a_mode_is_part_of_the_content() {
    let layer = layer(&[
        forge("aa").executable("tool", "x"),
        forge("bb").file("tool", "x"),
    ]);
    assert_eq!(layer.files()["python/tool"].mode, 0o100_644);
    assert_eq!(layer.conflicts.len(), 1);
}

#[test]
fn scripts_of_one_name() {
    let layer = layer(&[
        forge("aa").entry_point("console_scripts", "tool", "aa:main"),
        forge("bb").data("scripts", "tool", "#!python\nbb"),
    ]);
    assert!(content(&layer, "python/bin/tool").ends_with("bb"));
    assert!(!record_lists(&layer, "aa", "bin/tool"));
}

/// A file that is named like the `RECORD` of another wheel replaces it only by the common rule.
#[test]
fn a_record_that_another_wheel_claims() {
    let thief = forge("zz").file("python-1.0.dist-info/RECORD", "x");
    let refused = refusal(inspect_wheel(&thief.build()));
    assert!(refused.contains("several .dist-info folders"), "{refused}");
}

#[test]
fn strict_refuses_what_differs() {
    let shared = |name: &str| {
        forge(name)
            .file("shared/x.py", name)
            .file("shared/y.py", name)
    };
    let wheels: Vec<_> = ["bb", "aa", "cc"]
        .map(|name| inspected(&shared(name)))
        .into();
    let error = splice_with(&wheels, true).unwrap_err();
    assert_eq!(error.code(), "LayerConflict");
    assert_snapshot!(
        error,
        @"`shared/x.py` is claimed by aa-1.0-py3-none-any.whl and bb-1.0-py3-none-any.whl and cc-1.0-py3-none-any.whl"
    );
    assert_snapshot!(
        error.hint().unwrap(),
        @"leave one of the packages out, or let the one that sorts last win (no --strict)"
    );
}

#[test]
fn a_file_where_another_wheel_needs_a_folder() {
    let refused = |one: WheelForge, other: WheelForge| {
        let wheels = [inspected(&one), inspected(&other)];
        let there = refusal(splice(&wheels));
        let [one, other] = wheels;
        assert_eq!(refusal(splice(&[other, one])), there);
        there
    };
    let file = |name: &str, path: &str| forge(name).file(path, name);
    assert_snapshot!(
        refused(file("aa", "x"), file("bb", "x/y")),
        @"LayerConflict: `x` is claimed by aa-1.0-py3-none-any.whl and bb-1.0-py3-none-any.whl"
    );
    assert_snapshot!(
        refused(file("aa", "x/y/z/1"), file("bb", "x/y")),
        @"LayerConflict: `x/y` is claimed by bb-1.0-py3-none-any.whl and aa-1.0-py3-none-any.whl"
    );
    // What lies between them in order must not hide it.
    assert_snapshot!(
        refused(file("aa", "x").file("x-y", ""), file("bb", "x.py").file("x/y", "")),
        @"LayerConflict: `x` is claimed by aa-1.0-py3-none-any.whl and bb-1.0-py3-none-any.whl"
    );
}

/// Plans wheels that claim these sizes.
fn planned(sizes: &[(&str, u64)]) -> Result<u64, Error> {
    let wheels: Vec<_> = sizes
        .iter()
        .map(|(name, size)| {
            let mut wheel = inspected(&forge(name));
            let rest: u64 = wheel.layout.files[1..].iter().map(|file| file.size).sum();
            wheel.layout.files[0].size = size - rest;
            wheel
        })
        .collect();
    plan(&wheels, &rules()).map(|bundle| bundle.unzipped)
}

#[test]
fn lambda_takes_250_mib() {
    const MIB: u64 = 1 << 20;
    assert_eq!(Limits::LAYER_BYTES, 250 * MIB);
    let at_the_limit = planned(&[("aa", 200 * MIB), ("bb", 50 * MIB)]);
    assert_eq!(at_the_limit.unwrap(), Limits::LAYER_BYTES);

    let error = planned(&[("aa", 200 * MIB), ("bb", 50 * MIB + 1)]).unwrap_err();
    assert_eq!(error.code(), "LayerTooLarge");
    assert_snapshot!(error, @"the layer would have 250.1 MiB unzipped, 0.1 MiB more than the 250 MiB that Lambda takes of a function and all of its layers together");

    let sizes = [
        ("aa", 7),
        ("bb", 100),
        ("cc", 90),
        ("dd", 30),
        ("ee", 29),
        ("ff", 31),
        ("gg", 8),
    ]
    .map(|(name, mib)| (name, mib * MIB));
    let error = planned(&sizes).unwrap_err();
    assert_snapshot!(error, @"the layer would have 295 MiB unzipped, 45 MiB more than the 250 MiB that Lambda takes of a function and all of its layers together");
    assert_snapshot!(
        error.hint().unwrap(),
        @"the largest packages are bb (100 MiB), cc (90 MiB), ff (31 MiB), dd (30 MiB), ee (29 MiB) and 2 more; a function that is a container image may have 10 GB"
    );
}

/// Bombs that are honest about their size get no further than the plan.
#[test]
fn a_wheel_that_is_too_large_for_a_layer() {
    let bombs = ["one", "two"].map(|name| {
        let zeros = Entry::bomb(format!("{name}.bin"), Limits::LAYER_BYTES / 2);
        let wheel = WheelForge::new(name, "1.0").build_with(|archive| archive.entry(zeros));
        inspect_wheel(&wheel).unwrap()
    });
    let refused = refusal(splice(&bombs));
    assert_eq!(
        refused,
        "LayerTooLarge: the layer would have 250.1 MiB unzipped, 0.1 MiB more than the 250 MiB that Lambda \
         takes of a function and all of its layers together"
    );
}
