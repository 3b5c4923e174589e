//! Pruning: what stays out of a layer, and what nobody lists any more.

use std::collections::BTreeMap;

use accretion_core::pruning::{Pattern, Pruning};
use accretion_layer::Rules;
use accretion_testing::forge::WheelForge;
use proptest::prelude::*;

use crate::harness::{File, Inspected, inspected, rules, splice, splice_by};

pub(crate) fn pruning(prune: &[&str], include: &[&str]) -> Pruning {
    let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Pruning::new(patterns(prune), patterns(include)).unwrap()
}

fn pruned(wheels: &[Inspected], prune: &[&str], strict: bool) -> BTreeMap<String, File> {
    let pruning = pruning(prune, &[]);
    splice_by(
        wheels,
        &Rules {
            strict,
            pruning,
            ..rules()
        },
    )
    .unwrap()
    .files()
}

#[test]
fn what_is_pruned_claims_no_path() {
    let clash = |name: &str| {
        let forge = WheelForge::new(name, "1.0").file("tests/a.py", name.as_bytes());
        inspected(&forge.file(&format!("{name}.py"), "x").build())
    };
    let wheels = [clash("aa"), clash("bb")];
    assert_eq!(splice(&wheels).unwrap().conflicts.len(), 1);
    let rules = Rules {
        strict: true,
        pruning: pruning(&["tests/"], &[]),
        ..rules()
    };
    let layer = splice_by(&wheels, &rules).unwrap();
    assert_eq!(layer.conflicts, []);
    assert_eq!((layer.pruned.files, layer.pruned.unzipped), (2, 4));
    assert_eq!(layer.pruned.of_packages.len(), 2);
    assert!(!layer.files().contains_key("python/tests/a.py"));

    // Nor is a file in the way of a folder that another one needs.
    let file = inspected(&WheelForge::new("cc", "1.0").file("aa.py/x", "x").build());
    let wheels = [clash("aa"), file];
    assert!(splice(&wheels).is_err());
    let left = pruned(&wheels, &["/aa.py/x"], true);
    assert!(left.contains_key("python/aa.py"));
}

#[test]
fn whatever_the_patterns_metadata_stays() {
    let wheel = WheelForge::new("aa", "1.0")
        .file("aa.py", "x")
        .file("vendor/b-1.dist-info/METADATA", "x")
        .file("dist-info/x", "x")
        .entry_point("console_scripts", "aa", "aa:main")
        .build();
    let left = pruned(
        &[inspected(&wheel)],
        &["*", "aa-1.0.dist-info/", "**/RECORD"],
        true,
    );
    assert!(
        left.keys()
            .all(|path| path.contains("-1.0.dist-info/") || path.contains("/b-1.dist-info/"))
    );
    assert!(left.contains_key("python/vendor/b-1.dist-info/METADATA"));
    assert!(left.contains_key("python/aa-1.0.dist-info/RECORD"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The layer is the whole one without what the patterns match, and every `RECORD` is true:
    /// `files` holds them against what is there.
    #[test]
    fn the_rest_is_as_it_was(
        names in prop::collection::vec("[ab]{1,2}(/[ab]{1,2}){0,2}\\.(py|so)", 1..12),
        patterns in prop::collection::btree_set("[ab*]{1,2}/?|\\*\\.so|[ab]/\\*\\*", 1..3),
    ) {
        let mut forges = [WheelForge::new("one", "1.0"), WheelForge::new("two", "1.0")];
        let mut seen = std::collections::BTreeSet::new();
        for (at, name) in names.iter().enumerate() {
            if seen.insert(name) {
                let forge = forges[at % 2].clone();
                forges[at % 2] = forge.file(name, name.repeat(at + 1));
            }
        }
        let wheels = forges.map(|forge| inspected(&forge.build()));
        let patterns: Vec<Pattern> = patterns.iter().filter_map(|it| it.parse().ok()).collect();
        let pruning = Pruning::new(patterns.into_iter().collect(), [].into()).unwrap();
        let mut expected = splice(&wheels).unwrap().files();
        let mut pruner = pruning.pruner();
        expected.retain(|path, _| {
            let path = path.strip_prefix("python/").unwrap();
            path.contains(".dist-info/") || !pruner.prunes(path)
        });
        let rules = Rules { pruning, ..rules() };
        let layer = splice_by(&wheels, &rules).unwrap();
        let mut left = layer.files();
        for files in [&mut expected, &mut left] {
            files.retain(|path, _| !path.ends_with("/RECORD"));
        }
        prop_assert_eq!(left, expected);
        // Again, the other way round.
        let [one, two] = wheels;
        prop_assert_eq!(splice_by(&[two, one], &rules).unwrap().zip, layer.zip);
    }
}
