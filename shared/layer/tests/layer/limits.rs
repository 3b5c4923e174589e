//! The limits that are documented are those that are held.

use accretion_core::limits::Limits;
use accretion_core::target::Target;

const MIB: u64 = 1 << 20;

/// A number as people read it.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups = groups.map(|group| std::str::from_utf8(group).unwrap());
    groups.collect::<Vec<_>>().join(",")
}

#[test]
fn the_documented_limits_are_those_that_are_held() {
    let limits = Limits::default();
    let (resolution, download, wheel) = (limits.resolution, limits.download, limits.wheel);
    let count = |count: usize| count as u64;
    let expected = [
        (
            "bytes of a request in the inbox",
            count(Limits::REQUEST_BYTES),
        ),
        (
            "bytes of a request as a message",
            count(Limits::MESSAGE_BYTES),
        ),
        ("characters of a project's name", count(Limits::NAME_CHARS)),
        (
            "characters of a description",
            count(Limits::DESCRIPTION_CHARS),
        ),
        (
            "characters of license information",
            count(Limits::LICENSE_INFO_CHARS),
        ),
        ("permissions", count(Limits::PERMISSIONS)),
        ("problems that are listed", count(Limits::PROBLEMS)),
        ("targets", count(Target::all().count())),
        ("indexes", count(Limits::INDEXES)),
        ("requirements", count(Limits::REQUIREMENTS)),
        ("constraints", count(Limits::CONSTRAINTS)),
        ("bytes of a line", count(Limits::LINE_BYTES)),
        ("bytes of a requirement", count(Limits::REQUIREMENT_BYTES)),
        ("different comparisons", count(Limits::MARKER_COMPARISONS)),
        ("cost of all markers", count(Limits::MARKERS_COST)),
        ("depth of brackets", count(Limits::MARKER_DEPTH)),
        ("depth of included files", count(Limits::INCLUDE_DEPTH)),
        ("included files", count(Limits::INCLUDED_FILES)),
        ("groups, and extras", count(Limits::SELECTED)),
        ("steps to follow", count(Limits::LOCK_STEPS)),
        (
            "requirements of a project",
            count(Limits::PROJECT_REQUIREMENTS),
        ),
        ("seconds to resolve", resolution.time.as_secs()),
        ("MiB that are read to resolve", resolution.traffic / MIB),
        ("MiB of memory", resolution.memory / MIB),
        ("MiB of a file that uv writes", resolution.file / MIB),
        ("MiB of the disk that uv leaves free", resolution.free / MIB),
        ("MiB of a lock", resolution.output / MIB),
        (
            "seconds to build a source distribution",
            Limits::SOURCE_BUILD_TIME.as_secs(),
        ),
        ("items of `Files`", count(Limits::FILE_SOURCES)),
        ("extra files", count(Limits::FILES)),
        (
            "MiB of a zip or wheel",
            count(Limits::FILE_ARCHIVE_BYTES) / MIB,
        ),
        ("MiB of all extra files", Limits::FILES_BYTES / MIB),
        ("patterns of `Prune`", count(Limits::PATTERNS)),
        ("bytes of a pattern", count(Limits::PATTERN_BYTES)),
        ("packages of a layer", count(Limits::PACKAGES)),
        ("MiB of one download", download.file / MIB),
        ("MiB of all downloads", download.total / MIB),
        ("seconds of one download", download.time.as_secs()),
        ("entries of a wheel", wheel.entries),
        ("MiB of a wheel, unpacked", wheel.unzipped / MIB),
        ("times its own size", wheel.ratio),
        ("MiB of a file of a wheel's metadata", wheel.metadata / MIB),
        ("bytes of a path in a wheel", count(wheel.path)),
        ("MiB of a layer, unzipped", Limits::LAYER_BYTES / MIB),
    ];
    let page = include_str!("../../../../docs/security.md");
    let (_, table) = page.split_once("\n## Limits\n").unwrap();
    let rows = table.lines().skip_while(|line| !line.starts_with('|'));
    let rows: Vec<_> = rows
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .collect();
    assert_eq!(rows.len(), expected.len());
    for (row, (name, limit)) in rows.iter().zip(expected) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        assert!(cells[1].starts_with(name), "{row} should be about {name}");
        assert_eq!(cells[2], grouped(limit), "{name}");
    }
}
