//! Broken and hostile wheels: each refused, with its reason, before it can do anything.

#![expect(
    clippy::too_many_lines,
    reason = "tables are as long as what they list"
)]

use std::collections::BTreeMap;
use std::io;

use accretion_archive::{Directory, ReadAt};
use accretion_core::limits::WheelLimits;
use accretion_core::{Class, Fault as _};
use accretion_python::wheel::inspect;
use accretion_testing::forge::zip::{
    Archive, BZIP2, Claim, Content, Descriptor, EndClaim, EndPlace, Entry, FLAG_ENCRYPTED, LZMA,
    Method, Place, Zip64End,
};
use accretion_testing::forge::{Part, Wheel, WheelForge};
use insta::assert_snapshot;
use proptest::prelude::*;

use crate::harness::{File, inspect_wheel, inspect_with, refusal, splice, table};

fn demo() -> WheelForge {
    WheelForge::new("demo", "1.0").file("demo/__init__.py", "x = 1\n".repeat(50))
}

/// The demo wheel with one more entry.
fn with(entry: Entry) -> Wheel {
    demo().build_with(|archive| archive.entry(entry))
}

/// The demo wheel whose first file is changed.
fn changed(change: impl FnMut(Entry) -> Entry) -> Wheel {
    demo().build_with(|archive| archive.change("demo/__init__.py", change))
}

fn lie(place: Place, claim: &Claim) -> Wheel {
    changed(|entry| entry.lie(place, claim.clone()))
}

fn end_lie(place: EndPlace, claim: EndClaim) -> Wheel {
    demo().build_with(|archive| archive.lie(place, claim))
}

const DESCRIPTOR: Descriptor = Descriptor {
    signature: true,
    zip64: false,
};

/// The refusals of a table; whatever is accepted fails the test right here.
fn refusals(cases: Vec<(&'static str, Wheel)>) -> String {
    let (accepted, refused): (Vec<_>, Vec<_>) = cases
        .into_iter()
        .map(|(case, wheel)| (case, refusal(inspect_wheel(&wheel))))
        .partition(|(_, refusal)| refusal == "accepted");
    assert!(accepted.is_empty(), "{accepted:#?}");
    table(refused)
}

#[test]
fn the_demo_wheel_is_fine_before_it_is_broken() {
    splice(&[inspect_wheel(&demo().build()).unwrap()])
        .unwrap()
        .files();
}

#[test]
fn paths_that_lead_elsewhere() {
    let mut cases: Vec<(&str, Wheel)> = [
        ("up", "../up.txt"),
        ("up from within", "demo/../../up.txt"),
        ("up and back", "demo/../demo/x.txt"),
        ("up at the end", "demo/.."),
        ("absolute", "/etc/passwd"),
        ("empty", ""),
        ("only a slash", "/"),
        ("folder without a root", "/demo/x/"),
        ("a dot at the end", "demo/x/."),
        ("a dot alone", "."),
        ("up behind a dot", "./../up.txt"),
        ("backslash", "demo\\x.txt"),
        ("backslash up", "..\\x.txt"),
        ("drive letter", "C:/x.txt"),
        ("drive letter without slash", "c:x.txt"),
        ("NUL", "demo/x.txt\0.py"),
        ("newline", "demo/x\ny.py"),
        ("escape", "demo/\u{1b}[2J.py"),
        ("C1 control", "demo/\u{85}.py"),
    ]
    .into_iter()
    .map(|(case, name)| (case, with(Entry::file(name, "x"))))
    .collect();
    cases.extend([
        (
            "not UTF-8",
            with(Entry::file(*b"demo/\xff", "x").utf8_flag(true)),
        ),
        (
            "UTF-8 that is not marked",
            with(Entry::file("demo/é", "x").utf8_flag(false)),
        ),
        ("code page 437", with(Entry::file(*b"demo/caf\x82", "x"))),
        (
            "here, before the folder of the metadata",
            with(Entry::file("./demo-1.0.dist-info/entry_points.txt", "")),
        ),
        (
            "here, before the data folder",
            with(Entry::file("./demo-1.0.data/data/x", "")),
        ),
        (
            "here, before the folder of scripts",
            with(Entry::file("demo-1.0.data/./scripts/x", "")),
        ),
        (
            "an empty part before the folder of scripts",
            with(Entry::file("demo-1.0.data//scripts/x", "")),
        ),
        (
            "an empty part before entry points",
            with(Entry::file("demo-1.0.dist-info//entry_points.txt", "")),
        ),
        (
            "long part",
            with(Entry::file(format!("demo/{}", "x".repeat(256)), "x")),
        ),
        (
            "long name",
            with(Entry::file("demo/".repeat(205) + "x", "x")),
        ),
        ("very long name", with(Entry::file(vec![b'x'; 65_535], "x"))),
    ]);
    assert_snapshot!(refusals(cases));
}

#[test]
fn names_at_the_limits_are_fine() {
    for name in ["x".repeat(255), "demo/".repeat(204) + "abcd"] {
        inspect_wheel(&with(Entry::file(name, "x"))).unwrap();
    }
}

#[test]
fn paths_that_are_claimed_twice() {
    let twice = |one: Entry, other: Entry| demo().entry(one).entry(other).build();
    let file = |name: &str| Entry::file(name, "x");
    let cases = vec![
        ("other content", twice(file("a"), Entry::file("a", "y"))),
        ("other mode", twice(file("a"), file("a").mode(0o100_755))),
        (
            "other content by another spelling",
            twice(file("./a"), Entry::file(".//a", "y")),
        ),
        (
            "RECORD with other content",
            demo().entry(file("demo-1.0.dist-info/RECORD")).build(),
        ),
        (
            "file and folder entry",
            twice(file("a"), Entry::directory("a/")),
        ),
        (
            "folder entry and file by another spelling",
            twice(Entry::directory("a/"), file("./a")),
        ),
        (
            "file and folder entry below",
            twice(file("a"), Entry::directory("a/b/")),
        ),
        ("file and folder", twice(file("a"), file("a/b"))),
        ("folder and file", twice(file("a/b"), file("a"))),
        (
            "file and folder further down",
            twice(file("a/b"), file("a/b/c/d")),
        ),
        (
            "file and folder with a neighbour between",
            demo()
                .entry(file("a"))
                .entry(file("a-b"))
                .entry(file("a/b"))
                .build(),
        ),
        (
            "root and purelib",
            demo().data("purelib", "demo/__init__.py", "y").build(),
        ),
        (
            "purelib and platlib",
            demo()
                .data("purelib", "a", "x")
                .data("platlib", "a", "y")
                .build(),
        ),
        (
            "script and data",
            demo()
                .data("scripts", "a", "x")
                .data("data", "bin/a", "y")
                .build(),
        ),
        (
            "script and folder",
            demo()
                .data("scripts", "a", "x")
                .file("bin/a/b", "y")
                .build(),
        ),
        (
            "entry point and folder",
            demo()
                .entry_point("console_scripts", "a", "demo:main")
                .file("bin/a/b", "y")
                .build(),
        ),
    ];
    assert_snapshot!(refusals(cases));
}

#[test]
fn figures_that_are_not_true() {
    let crc = Claim::Crc(1);
    let packed = Claim::CompressedSize(1);
    let size = Claim::UncompressedSize(7);
    let descriptor = |claim: &Claim| {
        changed(|entry| {
            entry
                .descriptor(DESCRIPTOR)
                .lie(Place::Descriptor, claim.clone())
        })
    };
    let cases = vec![
        ("CRC, local", lie(Place::Local, &crc)),
        ("CRC, central", lie(Place::Central, &crc)),
        ("CRC, everywhere", lie(Place::Everywhere, &crc)),
        ("CRC, descriptor", descriptor(&crc)),
        ("packed size, local", lie(Place::Local, &packed)),
        ("packed size, central", lie(Place::Central, &packed)),
        ("packed size, everywhere", lie(Place::Everywhere, &packed)),
        ("packed size, descriptor", descriptor(&packed)),
        (
            "packed size of 4 GiB, everywhere",
            lie(Place::Everywhere, &Claim::CompressedSize(1 << 32)),
        ),
        (
            "packed size that wraps around",
            lie(Place::Central, &Claim::CompressedSize(u64::MAX - 10)),
        ),
        ("size, local", lie(Place::Local, &size)),
        ("size, central", lie(Place::Central, &size)),
        ("size, everywhere", lie(Place::Everywhere, &size)),
        ("size, descriptor", descriptor(&size)),
        (
            "size one too large, everywhere",
            lie(Place::Everywhere, &Claim::UncompressedSize(301)),
        ),
        (
            "CRC, local, beside a descriptor",
            changed(|entry| entry.descriptor(DESCRIPTOR).lie(Place::Local, crc.clone())),
        ),
        (
            "descriptor announced but not there",
            lie(Place::Everywhere, &Claim::Flags(8)),
        ),
        (
            "descriptor announced in the central directory only",
            lie(Place::Central, &Claim::Flags(8)),
        ),
        (
            "stored with two sizes",
            changed(|entry| {
                entry
                    .method(Method::Stored)
                    .lie(Place::Everywhere, Claim::UncompressedSize(7))
            }),
        ),
        (
            "stored, and wrong CRC",
            changed(|entry| {
                entry
                    .method(Method::Stored)
                    .lie(Place::Everywhere, crc.clone())
            }),
        ),
        (
            "name, local",
            lie(Place::Local, &Claim::Name(b"demo/__evil__.py".to_vec())),
        ),
        (
            "longer name, local",
            lie(Place::Local, &Claim::Name(b"demo/__init__.pyc".to_vec())),
        ),
        (
            "name, central",
            lie(Place::Central, &Claim::Name(b"demo/__evil__.py".to_vec())),
        ),
        ("method, local", lie(Place::Local, &Claim::Method(0))),
        ("method, central", lie(Place::Central, &Claim::Method(93))),
        (
            "method, everywhere",
            lie(Place::Everywhere, &Claim::Method(93)),
        ),
        ("disk", lie(Place::Central, &Claim::Disk(1))),
        (
            "offset, of another entry",
            lie(Place::Central, &Claim::Offset(900)),
        ),
        (
            "offset, outside",
            lie(Place::Central, &Claim::Offset(1 << 30)),
        ),
        (
            "offset, beyond 4 GiB",
            lie(Place::Central, &Claim::Offset(u64::MAX - 5)),
        ),
        (
            "broken deflate stream",
            changed(|entry| {
                entry.method(Method::Raw {
                    number: 8,
                    stream: vec![0xff; 40],
                })
            }),
        ),
        (
            "deflate stream without end",
            changed(|entry| {
                // One stored block that is not the last.
                entry.method(Method::Raw {
                    number: 8,
                    stream: vec![0, 1, 0, 0xfe, 0xff, b'x'],
                })
            }),
        ),
        (
            "empty deflate stream",
            changed(|entry| {
                entry.method(Method::Raw {
                    number: 8,
                    stream: Vec::new(),
                })
            }),
        ),
        (
            "junk behind the deflate stream",
            changed(|entry| entry.junk_after_stream("junk")),
        ),
        (
            "junk behind the zstd stream",
            changed(|entry| entry.method(Method::Zstd).junk_after_stream("junk")),
        ),
        (
            "broken zstd stream",
            changed(|entry| {
                entry.method(Method::Raw {
                    number: 93,
                    stream: vec![0xff; 40],
                })
            }),
        ),
    ];
    assert_snapshot!(refusals(cases));
}

/// Length of the ZIP64 end record, which the locator follows.
const END64_LENGTH: usize = 56;

/// The demo wheel with a change of its ZIP64 end records.
fn zip64_patched(patch: &dyn Fn(&mut [u8])) -> Wheel {
    let archive = demo().archive().zip64_end(Zip64End::Redundant);
    let (mut bytes, layout) = archive.build_with_layout();
    patch(&mut bytes[layout.end.start..]);
    Wheel::new(demo().file_name(), bytes)
}

#[test]
fn archives_that_contradict_themselves() {
    let zip64 = |place: EndPlace, claim: EndClaim| {
        demo().build_with(|archive| archive.zip64_end(Zip64End::Redundant).lie(place, claim))
    };
    let all = demo().build().bytes;
    let (_, layout) = demo().archive().build_with_layout();
    let patched = |patch: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = all.clone();
        patch(&mut bytes);
        Wheel::new(demo().file_name(), bytes)
    };
    let central = layout.central_directory.start;
    let cases = vec![
        (
            "no archive at all",
            Wheel::new(demo().file_name(), b"no archive".to_vec()),
        ),
        ("nothing", Wheel::new(demo().file_name(), Vec::new())),
        (
            "an archive without entries",
            Wheel::new(demo().file_name(), Archive::new().build()),
        ),
        (
            "prefix, counted",
            demo().build_with(|it| it.prefix("#!/bin/sh\n")),
        ),
        (
            "prefix, not counted",
            demo().build_with(|it| it.uncounted_prefix("#!/bin/sh\n")),
        ),
        ("a byte behind it", demo().build_with(|it| it.trailing("x"))),
        (
            "bytes behind it",
            demo().build_with(|it| it.trailing("\0\0x")),
        ),
        (
            "too many NULs behind it",
            demo().build_with(|it| it.trailing([0; 4097])),
        ),
        (
            "far too many NULs behind it",
            demo().build_with(|it| it.trailing([0; 70_000])),
        ),
        (
            "an entry that is in no directory",
            demo().build_with(|it| it.entry(Entry::file("demo/gone.py", "x").local_only())),
        ),
        (
            "an entry in a gap",
            demo()
                .entry(
                    Entry::file("demo/x.py", "x")
                        .gap_before(Archive::new().file("demo/gone.py", "x").build()),
                )
                .build(),
        ),
        (
            "an end record in a gap",
            demo()
                .entry(Entry::file("demo/x.py", "x").gap_before("PK\u{5}\u{6}"))
                .build(),
        ),
        (
            "an entry across two pieces of a long gap",
            demo().build_with(|it| {
                let hidden = Archive::new().file("demo/gone.py", "x").build();
                it.gap_before_central([vec![b'x'; (64 << 10) - 2], hidden].concat())
            }),
        ),
        (
            "a folder with another name in its local header",
            demo().build_with(|it| {
                it.entry(
                    Entry::directory("demo/d/").lie(Place::Local, Claim::Name(b"demo/d.".to_vec())),
                )
            }),
        ),
        (
            "a gap before the end record",
            demo().build_with(|it| it.gap_before_end("x")),
        ),
        (
            "comment that is an end record",
            demo().build_with(Archive::comment_with_end_record),
        ),
        (
            "comment length over the end",
            end_lie(EndPlace::End, EndClaim::CommentLength(1)),
        ),
        (
            "two archives",
            patched(&|bytes| bytes.extend(Archive::new().build())),
        ),
        (
            "count too high",
            end_lie(EndPlace::End, EndClaim::Entries(9)),
        ),
        (
            "count too low",
            demo().build_with(|it| {
                it.lie(EndPlace::End, EndClaim::Entries(1))
                    .lie(EndPlace::End, EndClaim::EntriesOnDisk(1))
            }),
        ),
        (
            "count on this disk",
            end_lie(EndPlace::End, EndClaim::EntriesOnDisk(1)),
        ),
        ("disk", end_lie(EndPlace::End, EndClaim::Disk(1))),
        (
            "disk of the directory",
            end_lie(EndPlace::End, EndClaim::CentralDisk(1)),
        ),
        (
            "directory offset",
            end_lie(EndPlace::End, EndClaim::CentralOffset(1)),
        ),
        (
            "directory size",
            end_lie(EndPlace::End, EndClaim::CentralSize(1)),
        ),
        (
            "directory size over all",
            end_lie(EndPlace::End, EndClaim::CentralSize(0xffff_fff0)),
        ),
        ("ZIP64 count", zip64(EndPlace::Zip64, EndClaim::Entries(9))),
        (
            "ZIP64 counts",
            demo().build_with(|it| {
                it.zip64_end(Zip64End::Forced)
                    .lie(EndPlace::Zip64, EndClaim::Entries(9))
                    .lie(EndPlace::Zip64, EndClaim::EntriesOnDisk(9))
            }),
        ),
        (
            "ZIP64 size",
            zip64(EndPlace::Zip64, EndClaim::CentralSize(1)),
        ),
        (
            "ZIP64 size that wraps",
            zip64(EndPlace::Zip64, EndClaim::CentralSize(u64::MAX)),
        ),
        (
            "ZIP64 offset",
            zip64(EndPlace::Zip64, EndClaim::CentralOffset(1)),
        ),
        ("ZIP64 disk", zip64(EndPlace::Zip64, EndClaim::Disk(1))),
        (
            "ZIP64 disk of the directory",
            zip64(EndPlace::Zip64, EndClaim::CentralDisk(1)),
        ),
        ("ZIP64 disks", zip64(EndPlace::Zip64, EndClaim::Disks(2))),
        (
            "ZIP64 record misplaced",
            zip64(EndPlace::Zip64, EndClaim::Zip64Offset(3)),
        ),
        (
            "ZIP64 record beyond everything",
            zip64(EndPlace::Zip64, EndClaim::Zip64Offset(u64::MAX - 8)),
        ),
        (
            "ZIP64 disk in the locator",
            zip64_patched(&|end| end[END64_LENGTH + 4] = 1),
        ),
        (
            "ZIP64 record of another length",
            zip64_patched(&|end| end[4] += 1),
        ),
        (
            "ZIP64 record with another signature",
            zip64_patched(&|end| end[3] = 9),
        ),
        (
            "count of the short record beside ZIP64",
            zip64(EndPlace::End, EndClaim::Entries(2)),
        ),
        (
            "disk of the short record beside ZIP64",
            zip64(EndPlace::End, EndClaim::Disk(1)),
        ),
        (
            "directory with another signature",
            patched(&|bytes| bytes[central + 3] = 9),
        ),
        (
            "local header with another signature",
            patched(&|bytes| bytes[layout.local_headers[1].start] = b'X'),
        ),
        (
            "no ZIP64 field for a size that needs one",
            patched(&|bytes| bytes[central + 24..][..4].fill(0xff)),
        ),
        (
            "no ZIP64 field for an offset that needs one",
            patched(&|bytes| bytes[central + 42..][..4].fill(0xff)),
        ),
        (
            "central ZIP64 field over its end",
            changed(|entry| entry.raw_extra(Place::Central, [1, 0, 200, 0])),
        ),
        (
            "local extra field over its end",
            changed(|entry| entry.raw_extra(Place::Local, [9, 9, 200, 0])),
        ),
        (
            "local extra field over the end of the archive",
            patched(&|bytes| {
                let last = layout.local_headers.last().unwrap().start;
                bytes[last + 28..][..2].fill(0xff);
            }),
        ),
        (
            "overlap",
            demo().build_with(|it| it.overlap(0, "demo/again.py")),
        ),
        (
            "quine-like overlap: an entry inside another",
            // The local header of the second lies in the stored data of the first.
            {
                let inner = Archive::new().file("inner.py", "x").build();
                demo().build_with(|it| {
                    it.entry(Entry::file("outer", inner).method(Method::Stored))
                        .entry(
                            Entry::file("inner.py", "x")
                                .lie(Place::Central, Claim::Offset(outer_data_offset())),
                        )
                })
            },
        ),
        ("encrypted", changed(Entry::encrypted)),
        (
            "encrypted, says the local header only",
            lie(Place::Local, &Claim::Flags(FLAG_ENCRYPTED)),
        ),
        (
            "strongly encrypted",
            lie(Place::Everywhere, &Claim::Flags(1 << 6)),
        ),
        ("masked", lie(Place::Everywhere, &Claim::Flags(1 << 13))),
        (
            "patched data",
            lie(Place::Everywhere, &Claim::Flags(1 << 5)),
        ),
        ("bzip2", lie(Place::Everywhere, &Claim::Method(BZIP2))),
        ("LZMA", lie(Place::Everywhere, &Claim::Method(LZMA))),
        ("deflate64", lie(Place::Everywhere, &Claim::Method(9))),
        (
            "method 65535",
            lie(Place::Everywhere, &Claim::Method(0xffff)),
        ),
    ];
    assert_snapshot!(refusals(cases));
}

/// The offset at which the data of an entry `outer`, added to the demo wheel, start.
fn outer_data_offset() -> u64 {
    let archive = demo().archive().entry(Entry::file("outer", ""));
    let (_, layout) = archive.build_with_layout();
    layout.data.last().unwrap().start as u64
}

#[test]
fn files_that_are_none() {
    let mode = |mode| with(Entry::file("demo/x", "target").mode(mode));
    let cases = vec![
        ("symlink", with(Entry::symlink("demo/link", "/etc/passwd"))),
        ("pipe", mode(0o010_644)),
        ("character device", mode(0o020_644)),
        ("block device", mode(0o060_644)),
        ("socket", mode(0o140_755)),
        ("unknown type", mode(0o150_755)),
        (
            "folder with content",
            with(Entry::file("demo/x/", "content")),
        ),
        ("folder by mode with content", mode(0o040_755)),
    ];
    assert_snapshot!(refusals(cases));
}

#[test]
fn metadata_that_is_not_a_wheels() {
    let file = |path: &str| with(Entry::file(path, "x"));
    let text = |text: &str| Part::Content(text.as_bytes().to_vec());
    let point =
        |name: &str, object: &str| demo().entry_point("console_scripts", name, object).build();
    let long = "x".repeat(256);
    let cases = vec![
        (
            "unknown data folder",
            demo().data("weird", "x", "x").build(),
        ),
        ("loose file in the data folder", file("demo-1.0.data/x")),
        (
            "file that is called like a data folder",
            file("demo-1.0.data/scripts"),
        ),
        ("two data folders", {
            let entry = Entry::file("Demo-1.0.data/data/y", "y");
            demo().data("data", "x", "x").entry(entry).build()
        }),
        ("two dist-infos", file("other-1.0.dist-info/METADATA")),
        (
            "data folder of another package",
            file("other-1.0.data/purelib/x.py"),
        ),
        (
            "data folder of another spelling",
            file("Demo-1.0.data/purelib/x.py"),
        ),
        (
            "two spellings of the dist-info",
            file("Demo-1.0.dist-info/x"),
        ),
        (
            "no dist-info",
            Wheel::new(demo().file_name(), {
                Archive::new().file("demo/__init__.py", "").build()
            }),
        ),
        (
            "dist-info of another name",
            demo().dist_info("other-1.0.dist-info").build(),
        ),
        (
            "dist-info twice over",
            demo().dist_info("demo-1.0.dist-info.dist-info").build(),
        ),
        ("no METADATA", demo().metadata(Part::Missing).build()),
        ("no WHEEL", demo().wheel(Part::Missing).build()),
        ("no RECORD", demo().record(Part::Missing).build()),
        ("Wheel-Version 2.0", demo().wheel_version("2.0").build()),
        ("Wheel-Version 10", demo().wheel_version("10").build()),
        ("Wheel-Version x", demo().wheel_version("x").build()),
        ("empty WHEEL", demo().wheel(text("")).build()),
        ("empty METADATA", demo().metadata(text("")).build()),
        (
            "METADATA of another name",
            demo().metadata(text("Name: other\nVersion: 1.0\n")).build(),
        ),
        (
            "METADATA of another version",
            demo().metadata(text("Name: demo\nVersion: 1.1\n")).build(),
        ),
        (
            "METADATA with a name in the body",
            demo()
                .metadata(text("Version: 1.0\n\nName: demo\n"))
                .build(),
        ),
        ("entry point without attribute", point("x", "demo")),
        ("entry point up", point("../x", "demo:main")),
        ("entry point in a folder", point("a/x", "demo:main")),
        (
            "entry point that runs something",
            point("x", "demo:main();import os"),
        ),
        ("entry point with a call", point("x", "demo:main()")),
        ("entry point without name", point("", "demo:main")),
        ("entry point with a long name", point(&long, "demo:main")),
        ("entry point with a space", point("a b", "demo:main")),
        ("entry point with an at sign", point("a@b", "demo:main")),
        ("entry point of two objects", {
            let point = |object| ("console_scripts", "x", object);
            let points = [point("demo:main"), point("demo:other")];
            let forge = points
                .into_iter()
                .fold(demo(), |it, (group, name, object)| {
                    it.entry_point(group, name, object)
                });
            forge.build()
        }),
        (
            "entry points with a byte order mark",
            demo()
                .dist_info_file(
                    "entry_points.txt",
                    "\u{feff}[console_scripts]\nx = demo:main\n",
                )
                .build(),
        ),
    ];
    assert_snapshot!(refusals(cases));
}

const SMALL: WheelLimits = WheelLimits {
    entries: 10,
    unzipped: 1 << 20,
    ratio: 100,
    metadata: 4096,
    path: 100,
};

#[test]
fn wheels_over_a_limit() {
    let big = || Part::Content(b"Name: demo\nVersion: 1.0\n".repeat(1000));
    let many = |count: usize| {
        (0..count).fold(Archive::new(), |archive, at| {
            archive.file(format!("f{at}"), "")
        })
    };
    let script = format!("#!python\n{}", "x".repeat(5000));
    let cases: Vec<(&str, Wheel)> = vec![
        ("entries", Wheel::new(demo().file_name(), many(11).build())),
        (
            "entries, says the ZIP64 record alone",
            demo().build_with(|archive| {
                archive
                    .zip64_end(Zip64End::Forced)
                    .lie(EndPlace::Zip64, EndClaim::Entries(1 << 40))
                    .lie(EndPlace::Zip64, EndClaim::EntriesOnDisk(1 << 40))
            }),
        ),
        ("unpacked bytes", with(Entry::bomb("bomb", 1 << 20))),
        ("unpacked bytes that wrap around", {
            let huge = |name: &str| {
                Entry::file(name, "x").lie(Place::Everywhere, Claim::UncompressedSize(u64::MAX))
            };
            demo().build_with(|archive| archive.entry(huge("a")).entry(huge("b")))
        }),
        ("path", with(Entry::file("a/".repeat(50) + "b", ""))),
        ("METADATA", demo().metadata(big()).build()),
        ("WHEEL", demo().wheel(big()).build()),
        (
            "entry points",
            demo()
                .dist_info_file("entry_points.txt", "\n".repeat(5000))
                .build(),
        ),
        (
            "script to rewrite",
            demo().data("scripts", "x", script).build(),
        ),
    ];
    assert_snapshot!(table(cases.into_iter().map(|(case, wheel)| {
        (case, refusal(inspect_with(&wheel, &SMALL, 1)))
    })));
}

#[test]
fn long_programs_are_no_scripts_to_rewrite() {
    let program = format!("\u{7f}ELF{}", "x".repeat(5000));
    let wheel = demo().data("scripts", "x", program).build();
    inspect_with(&wheel, &SMALL, 1).unwrap();
}

/// A bomb never unpacks to more than it declares, and one that declares what it is is refused
/// unopened.
#[test]
fn bombs_do_not_go_off() {
    let declares_little = |method: Method| {
        Entry::file("bomb", Content::Zeros(64 << 20))
            .method(method)
            .lie(Place::Everywhere, Claim::UncompressedSize(1000))
    };
    for method in [Method::Deflate(9), Method::Zstd] {
        let wheel = with(declares_little(method));
        assert_eq!(
            refusal(inspect_wheel(&wheel)),
            "WheelInvalid: the wheel `demo-1.0-py3-none-any.whl` cannot be used: entry `bomb` \
             unpacks to more than the 1000 bytes that the archive says"
        );
        let bytes = wheel.bytes.as_slice();
        let directory = Directory::read(bytes, bytes.len() as u64, 100).unwrap();
        let index = directory
            .entries
            .iter()
            .position(|entry| entry.name == "bomb")
            .unwrap();
        let mut unpacked = 0;
        let outcome = directory.unpack(bytes, index, |piece| {
            unpacked += piece.len();
            Ok(())
        });
        assert!(outcome.is_err());
        assert!(unpacked <= 1000, "{unpacked} bytes were unpacked");
    }

    let honest = |size: u64| refusal(inspect_wheel(&with(Entry::bomb("bomb", size))));
    let start = std::time::Instant::now();
    assert_eq!(
        honest(10 << 30),
        "WheelOverLimit: the wheel `demo-1.0-py3-none-any.whl` is over a limit: it unpacks to \
         10737418935 bytes; the limit is 2147483648"
    );
    assert_eq!(
        honest(1 << 30),
        "WheelOverLimit: the wheel `demo-1.0-py3-none-any.whl` is over a limit: its 1062824 bytes \
         unpack to 1073742519; the limit is 100 times as many"
    );
    assert!(start.elapsed().as_secs() < 2, "it was unpacked");
}

#[test]
fn more_scripts_than_files() {
    let limits = WheelLimits {
        entries: 10,
        ..WheelLimits::default()
    };
    let scripts = |count: usize| {
        let scripts = (0..count).map(|n| format!("script{n}"));
        let forge = scripts.fold(demo(), |forge, name| {
            forge.entry_point("console_scripts", &name, "demo:main")
        });
        refusal(inspect_with(&forge.build(), &limits, 1))
    };
    assert_eq!(scripts(10), "accepted");
    assert_eq!(
        scripts(11),
        "WheelOverLimit: the wheel `demo-1.0-py3-none-any.whl` is over a limit: \
         `demo-1.0.dist-info/entry_points.txt` has 11 scripts; the limit is 10"
    );
}

/// A disk that is full.
struct Full;

impl io::Write for Full {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_not_the_wheels_fault() {
    let zstd = Entry::file("demo/data.bin", vec![7; 1 << 20]).method(Method::Zstd);
    for wheel in [demo().build(), with(zstd)] {
        let bytes = wheel.bytes.as_slice();
        let filename = wheel.filename.parse().unwrap();
        let length = bytes.len() as u64;
        let limits = WheelLimits::default();
        let error = inspect(bytes, length, &filename, &limits, 1, &mut Full).unwrap_err();
        assert_eq!(
            (error.code(), error.class()),
            ("LayoutWrite", Class::Internal)
        );
        assert_eq!(
            error.to_string(),
            "the layout of the wheel `demo-1.0-py3-none-any.whl` could not be written: no storage \
             space"
        );
    }
}

/// A disk that fails wherever a read starts in its bad part.
struct Failing<'a> {
    bytes: &'a [u8],
    bad: std::ops::Range<u64>,
}

impl ReadAt for Failing<'_> {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if self.bad.contains(&offset) {
            return Err(io::Error::other("the disk is broken"));
        }
        self.bytes.read_exact_at(buffer, offset)
    }
}

/// Failures of the machine are not the wheel's fault.
#[test]
fn disks_that_fail() {
    for method in [Method::Stored, Method::Deflate(6), Method::Zstd] {
        let (bytes, layout) = demo().method(method.clone()).archive().build_with_layout();
        // The end of so short an archive is read from its start.
        for bad in [
            &(0..1),
            &layout.local_headers[1],
            &layout.data[1],
            &layout.central_directory,
        ] {
            let archive = Failing {
                bytes: &bytes,
                bad: bad.start as u64..bad.end as u64,
            };
            let outcome = inspect(
                &archive,
                bytes.len() as u64,
                &demo().file_name().parse().unwrap(),
                &WheelLimits::default(),
                1,
                &mut Vec::new(),
            );
            assert_eq!(
                refusal(outcome),
                "WheelRead: the wheel `demo-1.0-py3-none-any.whl` could not be read: the disk is \
                 broken",
                "{method:?}, {bad:?}"
            );
        }
    }
}

/// Wheels cut off anywhere are refused, at every boundary of their structure and beside it.
#[test]
fn cut_off_wheels() {
    for archive in [
        demo().archive(),
        demo().archive().zip64_end(Zip64End::Forced),
        demo().archive().change("demo/__init__.py", |entry| {
            entry.descriptor(DESCRIPTOR).zip64(Place::Everywhere)
        }),
    ] {
        let (bytes, layout) = archive.build_with_layout();
        let parts = layout.local_headers.iter().chain(&layout.data);
        let boundaries = parts.chain([&layout.central_directory, &layout.end]);
        for boundary in boundaries.flat_map(|part| [part.start, part.end]) {
            for length in boundary.saturating_sub(2)..(boundary + 3).min(bytes.len()) {
                let wheel = Wheel::new(demo().file_name(), bytes[..length].to_vec());
                let refusal = refusal(inspect_wheel(&wheel));
                assert!(refusal.starts_with("WheelInvalid: "), "{length}: {refusal}");
            }
        }
    }
}

fn flippable() -> WheelForge {
    demo()
        .entry(Entry::file("demo/stored.bin", "stored").method(Method::Stored))
        .entry(Entry::file("demo/late.py", "late = 1\n").descriptor(DESCRIPTOR))
        .entry(Entry::file("demo/wide.py", "wide = 1\n").zip64(Place::Everywhere))
        .entry(Entry::file("demo/z.py", "z = 1\n").method(Method::Zstd))
        .entry_point("console_scripts", "demo", "demo:main")
        .data("scripts", "tool", "#!python\nimport demo\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// A change of any single byte: no panic, and what is accepted splices to a valid layer whose
    /// files have the names and the content that they had. A flip in content never passes.
    #[test]
    fn any_flipped_byte(at in any::<prop::sample::Index>(), xor in 1_u8..) {
        let original = flippable().build();
        let mut flipped = original.clone();
        let at = at.index(flipped.bytes.len());
        flipped.bytes[at] ^= xor;
        match inspect_wheel(&flipped) {
            // The wheel is at fault, never the machine that reads it.
            Err(error) => prop_assert_eq!(error.class(), Class::User, "{}", error),
            Ok(inspected) => {
                let original = inspect_wheel(&original).unwrap();
                let before = splice(&[original]).unwrap().files();
                let after = splice(&[inspected]).unwrap().files();
                // Times, versions, attributes and unused bits may differ: names and content can't.
                let contents = |files: BTreeMap<String, File>| {
                    let unlisted = files.into_iter().filter(|(path, _)| !path.ends_with("/RECORD"));
                    unlisted.map(|(path, file)| (path, file.content)).collect::<Vec<_>>()
                };
                prop_assert_eq!(contents(before), contents(after));
            }
        }
    }

    #[test]
    fn any_cut(length in any::<prop::sample::Index>()) {
        let mut wheel = flippable().build();
        wheel.bytes.truncate(length.index(wheel.bytes.len()));
        let refusal = refusal(inspect_wheel(&wheel));
        prop_assert!(refusal.starts_with("WheelInvalid: "), "{}", refusal);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let wheel = Wheel::new("demo-1.0-py3-none-any.whl", bytes);
        prop_assert!(refusal(inspect_wheel(&wheel)).starts_with("WheelInvalid: "));
    }
}
