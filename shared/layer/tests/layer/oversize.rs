//! Layers over the limit: what the error advises, and that the advice works.

use std::collections::BTreeSet;

use accretion_core::Fault as _;
use accretion_core::pruning::{Pattern, Pruning};
use accretion_layer::Error;
use accretion_layer::Rules;
use accretion_python::provided;
use accretion_testing::forge::WheelForge;

use crate::harness::{self, Inspected, inspect_wheel, rules};

/// A wheel whose files take so many MiB of a layer, and nothing on any disk.
fn wheel(name: &str, files: &[(&str, u64)]) -> Inspected {
    let forge = WheelForge::new(name, "1.0");
    let forge = files
        .iter()
        .fold(forge, |forge, (path, _)| forge.file(path, ""));
    let mut wheel = inspect_wheel(&forge.build()).unwrap();
    for file in &mut wheel.layout.files {
        let size = files.iter().find(|(path, _)| *path == file.path);
        file.size = size.map_or(0, |(_, mib)| mib << 20);
    }
    wheel
}

fn plan(wheels: &[Inspected], rules: &Rules) -> Result<u64, Error> {
    harness::plan(wheels, rules).map(|bundle| bundle.unzipped)
}

fn pruning(prune: &[&str], include: &[&str]) -> Rules {
    let patterns = |texts: &[&str]| -> BTreeSet<Pattern> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    };
    Rules {
        pruning: Pruning::new(patterns(prune), patterns(include)).unwrap(),
        ..rules()
    }
}

/// The patterns that a hint has a person paste.
fn pasted(hint: &str) -> Vec<&str> {
    let options = hint.split("--prune '").skip(1);
    options.filter_map(|rest| rest.split('\'').next()).collect()
}

#[test]
fn the_advice_is_computed_and_works() {
    let largest = "a function that is a container image may have 10 GB";
    for (files, over, advice) in [
        (
            &[("a/x.so", 230), ("a/tests/t.bin", 24)][..],
            "254 MiB unzipped, 4 MiB more than the 250 MiB",
            "`--prune 'tests/'` (in a request `\"Prune\": [\"tests/\"]`) leaves out 24 MiB of \
             `tests/`, and 230",
        ),
        (
            &[
                ("a/x.so", 247),
                ("a/x.pyi", 3),
                ("a/sub/tests/t.pyi", 5),
                ("a/y.a", 2),
            ],
            "257 MiB unzipped, 7 MiB more",
            "`--prune 'tests/' --prune '*.pyi'` (in a request `\"Prune\": [\"tests/\", \"*.pyi\"]`) \
             leaves out 5 MiB of `tests/`, 3 MiB of `*.pyi`, and 249 MiB remain",
        ),
        (
            &[
                ("a/x.so", 249),
                ("a/include/x.hpp", 2),
                ("a/libx.a", 9),
                ("a/m.pyx", 1),
            ],
            "261 MiB unzipped, 11 MiB more",
            "`--prune '*.{a,lib}' --prune '*.{c,cc,cpp,h,hh,hpp,pxd,pxi,pyx}'`",
        ),
        (
            &[("a/x.so", 300), ("a/tests/t", 10)],
            "310 MiB unzipped, 60 MiB more",
            "`--prune 'tests/'` (in a request `\"Prune\": [\"tests/\"]`) leaves out 10 MiB of \
             `tests/`, 10 MiB in all, which is not enough; the largest packages are a (310 MiB)",
        ),
        // Packages import what is in these.
        (
            &[
                ("a/x.so", 240),
                ("a/docs/d.py", 10),
                ("a/examples/e", 10),
                ("a/test/t", 10),
            ],
            "270 MiB unzipped, 20 MiB more",
            "the largest packages are a (270 MiB); ",
        ),
        (
            &[("a/x.so", 249), ("a/__pycache__/x.pyc", 2)],
            "251 MiB unzipped, 1 MiB more",
            "`--prune '__pycache__/'`",
        ),
    ] {
        let wheels = [wheel("a", files), wheel("b", &[("b/small.py", 0)])];
        let error = plan(&wheels, &rules()).unwrap_err();
        let (text, hint) = (error.to_string(), error.hint().unwrap());
        assert!(text.contains(over), "{text}");
        assert!(hint.contains(advice), "{hint}");
        assert!(hint.ends_with(largest) && !hint.contains("split"), "{hint}");
        let patterns = pasted(&hint);
        let fits = plan(&wheels, &pruning(&patterns, &[])).is_ok();
        let is_enough = !patterns.is_empty() && !hint.contains("not enough");
        assert_eq!(fits, is_enough, "{hint}");
    }
}

/// The advice leaves out what is pruned already, or is to stay.
#[test]
fn what_a_request_says_already_is_respected() {
    let wheels = [wheel(
        "a",
        &[("a/x.so", 249), ("a/tests/t", 20), ("a/x.pyi", 5)],
    )];
    let hint = |rules: &Rules| plan(&wheels, rules).unwrap_err().hint().unwrap();
    let kept = hint(&pruning(&["*.md"], &["a/tests/"]));
    assert_eq!(pasted(&kept), ["*.pyi"], "{kept}");
    assert!(kept.contains("not enough"), "{kept}");
    assert!(plan(&wheels, &pruning(&["tests/"], &[])).is_err());
    let pruned = hint(&pruning(&["tests/"], &[]));
    assert_eq!(pasted(&pruned), ["*.pyi"], "{pruned}");
    assert!(plan(&wheels, &pruning(&["tests/", "*.pyi"], &[])).is_ok());
}

#[test]
fn packages_of_the_runtime_are_advised_to_be_left_out_once() {
    let wheels = [
        wheel("a", &[("a/x.so", 240), ("a/tests/t", 2)]),
        wheel("botocore", &[("botocore/data.json", 15)]),
        wheel("boto3", &[("boto3/x.py", 2)]),
    ];
    let hint = |without_provided: bool| {
        let provided = if without_provided {
            BTreeSet::new()
        } else {
            provided::names()
        };
        let rules = Rules {
            provided,
            ..rules()
        };
        plan(&wheels, &rules).unwrap_err().hint().unwrap()
    };
    let advice = hint(false);
    assert!(
        advice.starts_with(
            "`--prune 'tests/' --provided-by-runtime` (in a request `\"Prune\": [\"tests/\"]` and \
             `\"ProvidedByRuntime\": true`) leaves out 2 MiB of `tests/`, up to 17 MiB of \
             botocore, boto3, and 240"
        ),
        "{advice}"
    );
    let advice = hint(true);
    assert!(!advice.contains("--provided-by-runtime"), "{advice}");
}
