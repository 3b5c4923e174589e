//! The wheels of the index: a good one, and for each limit one that is over it.

use accretion_testing::forge::zip::{Entry, Method};
use accretion_testing::forge::{Part, WheelForge};
use accretion_testing::index::Distribution;

const MIB: usize = 1 << 20;

/// Everything.
pub(crate) fn all() -> Vec<Distribution> {
    let distribution = |forge: WheelForge| Distribution::from(&forge.build());
    let stored = |name: &str, bytes: usize| {
        let content = vec![7; bytes];
        let entry = Entry::file(format!("{name}/data"), content).method(Method::Stored);
        distribution(pure(name).record(unlisted()).entry(entry))
    };
    let bomb = |name: &str, path: &str, bytes: usize| {
        let entry = Entry::bomb(path, bytes as u64);
        pure(name).record(unlisted()).entry(entry)
    };
    // What follows would be told from the metadata alone.
    let without_metadata = |forge: WheelForge| distribution(forge).without_core_metadata();
    let entries = (0..100_000).fold(pure("entries").record(unlisted()), |forge, n| {
        forge.entry(Entry::file(format!("entries/{n}"), "").method(Method::Stored))
    });
    vec![
        distribution(pure("good")),
        without_metadata(
            bomb("swollen", "swollen-1.0.dist-info/METADATA", 3072 * MIB).metadata(Part::Missing),
        ),
        distribution(bomb("unpacked", "unpacked/zeros", 600 * MIB)),
        stored("large", 33 * MIB),
        stored("one", 30 * MIB),
        stored("two", 30 * MIB),
        stored("three", 30 * MIB),
        distribution(pure("trickle")),
        // The index does not give out their pages as it should.
        distribution(pure("stalled")),
        distribution(pure("endless")),
        distribution(entries),
        distribution(bomb("bomb", "bomb/zeros", 3072 * MIB)),
        distribution(bomb("dense", "dense/zeros", 1024 * MIB)),
        distribution(bomb(
            "wordy",
            "wordy-1.0.dist-info/entry_points.txt",
            9 * MIB,
        )),
        distribution(pure("deep").file(&("d/".repeat(512) + "x"), "")),
        distribution(bomb("half", "half/zeros", 130 * MIB)),
        distribution(bomb("other", "other/zeros", 130 * MIB)),
    ]
}

/// A small wheel.
pub(crate) fn pure(name: &str) -> WheelForge {
    WheelForge::new(name, "1.0").file(&format!("{name}/__init__.py"), format!("# {name}\n"))
}

/// A RECORD that lists nothing: to hash what a bomb unpacks to takes as long as to unpack it.
fn unlisted() -> Part {
    Part::Content(Vec::new())
}
