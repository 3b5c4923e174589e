//! The odd wheels, and what has to become of each.

use accretion_testing::forge::zip::{Archive, Entry};
use accretion_testing::forge::{Wheel, WheelForge};

/// The expected outcome for a wheel.
pub(crate) enum Expect {
    /// It is taken, and so are the files that installers take of it.
    Taken,
    /// It is refused with a message that has this part: readers differ, or one of them refuses it.
    Refused(&'static str),
    /// It is refused although all of these readers see the same: docs/security.md says why.
    Strict(&'static str),
}

pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) wheel: Wheel,
    pub(crate) expect: Expect,
}

impl Row {
    pub(crate) fn new(name: &str, wheel: Wheel, expect: Expect) -> Self {
        Self {
            name: name.to_owned(),
            wheel,
            expect,
        }
    }
}

pub(crate) const INIT: &str = "demo/__init__.py";
pub(crate) const CONTENT: &str = "x = 1\n";

pub(crate) fn demo() -> WheelForge {
    WheelForge::new("demo", "1.0").file(INIT, CONTENT)
}

pub(crate) fn file(name: &str) -> Entry {
    Entry::file(name, CONTENT)
}

/// The demo wheel with more entries.
pub(crate) fn with<const N: usize>(entries: [Entry; N]) -> Wheel {
    entries.into_iter().fold(demo(), WheelForge::entry).build()
}

/// The demo wheel with more entries, listed backwards in the central directory.
pub(crate) fn reversed<const N: usize>(entries: [Entry; N]) -> Wheel {
    entries
        .into_iter()
        .fold(demo(), WheelForge::entry)
        .build_with(Archive::reverse_central)
}

pub(crate) fn rows<const N: usize>(rows: [(&str, Wheel, Expect); N]) -> Vec<Row> {
    rows.into_iter()
        .map(|(name, wheel, expect)| Row::new(name, wheel, expect))
        .collect()
}
