//! Seeds that are no texts: forged when they are needed, not kept.

use accretion_testing::forge::zip::{
    Archive, Claim, Descriptor, EXTRA_ZIP64, EndClaim, EndPlace, Entry, Method, Place, Zip64End,
};
use accretion_testing::forge::{Part, WheelForge};

/// The number of plans for a target of plans, and the number of bytes of each.
const PLANS: u64 = 48;
const PLAN_LENGTH: usize = 600;

/// The forged seeds of a target with their names: wheels for [`archive`](crate::archive), bytes
/// without a meaning for the targets that make a plan of them, and none for the others.
pub fn forged(target: &str) -> Vec<(String, Vec<u8>)> {
    match target {
        "archive" => wheels(),
        "layer" | "wheel" => (0..PLANS)
            .map(|seed| (format!("plan-{seed:02}"), noise(seed, PLAN_LENGTH)))
            .collect(),
        _ => Vec::new(),
    }
}

/// Bytes that follow from a number (the generator is `SplitMix64`). Most are small: they choose.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let mut bytes = vec![0; length];
    for byte in &mut bytes {
        let [first, second, ..] = next().to_le_bytes();
        *byte = if second < 64 { first & 31 } else { first };
    }
    bytes
}

fn demo() -> WheelForge {
    WheelForge::new("demo", "1.0").file("demo/__init__.py", "demo = 1\n".repeat(20))
}

#[expect(clippy::too_many_lines, reason = "a table is as long as what it lists")]
fn wheels() -> Vec<(String, Vec<u8>)> {
    let descriptor = |signature, zip64| Descriptor { signature, zip64 };
    let one = |entry: Entry| demo().entry(entry).build().bytes;
    let file = || Entry::file("demo/x.txt", "x\n".repeat(30));
    let whole = |change: fn(Archive) -> Archive| demo().build_with(change).bytes;
    let lie = |place, claim| one(file().lie(place, claim));
    let full = demo()
        .executable("demo/run.sh", "#!/bin/sh\n")
        .data("scripts", "tool", "#!python\nprint()\n")
        .data("headers", "demo.h", "#pragma once\n")
        .data("data", "share/demo.txt", "demo\n")
        .data("purelib", "pure.py", "")
        .entry_point("console_scripts", "demo", "demo:main")
        .dist_info_file("RECORD.jws", "{}")
        .dist_info_file("licenses/LICENSE", "MIT")
        .record(Part::Crlf)
        .build();
    [
        ("plain", demo().build().bytes),
        ("full", full.bytes),
        ("stored", demo().method(Method::Stored).build().bytes),
        ("zstandard", one(file().method(Method::Zstd))),
        ("level-9", one(file().method(Method::Deflate(9)))),
        (
            "descriptor",
            one(file().descriptor(descriptor(true, false))),
        ),
        (
            "descriptor-bare",
            one(file().descriptor(descriptor(false, false))),
        ),
        (
            "descriptor-64",
            one(file().descriptor(descriptor(true, true))),
        ),
        ("zip64-local", one(file().zip64(Place::Local))),
        ("zip64-central", one(file().zip64(Place::Central))),
        (
            "zip64-both",
            one(file()
                .zip64(Place::Everywhere)
                .descriptor(descriptor(true, true))),
        ),
        ("zip64-end", whole(|it| it.zip64_end(Zip64End::Forced))),
        (
            "zip64-redundant",
            whole(|it| it.zip64_end(Zip64End::Redundant)),
        ),
        ("reversed", whole(Archive::reverse_central)),
        ("comment", whole(|it| it.comment("a comment"))),
        ("comment-end", whole(Archive::comment_with_end_record)),
        ("prefix", whole(|it| it.prefix("#!/bin/sh\n"))),
        ("gap", whole(|it| it.gap_before_central("gap"))),
        ("trailing", whole(|it| it.trailing("more"))),
        ("padding", whole(|it| it.trailing([0; 9]))),
        ("twice", demo().entry(file()).entry(file()).build().bytes),
        (
            "twice-other",
            one(Entry::file("demo/__init__.py", "demo = 2\n")),
        ),
        ("dots", one(Entry::file("./demo/.//x.txt", "x"))),
        (
            "dots-data",
            one(Entry::file("demo-1.0.data/data/./x.txt", "x")),
        ),
        (
            "unlisted",
            one(Entry::file("demo/gone.txt", "x").local_only()),
        ),
        ("disk", whole(|it| it.lie(EndPlace::End, EndClaim::Disk(1)))),
        ("overlap", whole(|it| it.overlap(0, "demo/other.py"))),
        ("folder", one(Entry::directory("demo/folder/"))),
        ("link", one(Entry::symlink("demo/link", "/etc/passwd"))),
        ("utf8", one(Entry::file("demo/é 包.py", "x"))),
        ("cp437", one(Entry::file(b"demo/caf\x82", "x"))),
        (
            "unicode-path",
            one(file().unicode_path(Place::Everywhere, "demo/other")),
        ),
        (
            "extra",
            one(file().extra(Place::Everywhere, 0x5455, &[0; 5])),
        ),
        ("entry-comment", one(file().comment("why"))),
        ("entry-gap", one(file().gap_before("gap"))),
        ("junk", one(file().junk_after_stream("junk"))),
        ("mode", one(file().mode(0o104_755).create_system(0))),
        ("lie-crc", lie(Place::Everywhere, Claim::Crc(1))),
        (
            "lie-size",
            lie(Place::Everywhere, Claim::UncompressedSize(9)),
        ),
        (
            "lie-name",
            lie(Place::Local, Claim::Name(b"demo/y.txt".to_vec())),
        ),
        ("lie-flags", lie(Place::Local, Claim::Flags(1 << 11))),
        (
            "lie-version",
            lie(Place::Everywhere, Claim::VersionNeeded(64)),
        ),
        ("nul", one(Entry::file("demo/a\0b", "x"))),
        ("separator", one(Entry::file("demo/a\u{2028}b", "x"))),
        (
            "two-zip64",
            one(file()
                .zip64(Place::Central)
                .extra(Place::Central, EXTRA_ZIP64, &[0; 16])),
        ),
        (
            "broken-extra",
            one(file().raw_extra(Place::Central, [9; 5])),
        ),
        ("signature", whole(|it| it.comment(*b"PK\x05\x06"))),
        ("lie-offset", lie(Place::Central, Claim::Offset(0))),
        ("empty", Archive::new().build()),
    ]
    .map(|(name, bytes)| (format!("{name}.whl"), bytes))
    .into()
}
