//! Odd archives: entries twice, paths, ends, headers.

#![expect(
    clippy::too_many_lines,
    reason = "tables are as long as what they list"
)]

use accretion_testing::forge::Part;
use accretion_testing::forge::zip::{
    Archive, Claim, Descriptor, EXTRA_UNICODE_PATH, EndClaim, EndPlace, Entry, FLAG_UTF8, Method,
    Place, Zip64End,
};

use crate::table::Expect::{Refused, Strict, Taken};
use crate::table::{CONTENT, INIT, Row, demo, file, reversed, rows, with};

pub(crate) fn all() -> Vec<Row> {
    [twice(), paths(), ends(), entries()]
        .into_iter()
        .flatten()
        .collect()
}

fn twice() -> Vec<Row> {
    let metadata = || Entry::file("demo-1.0.dist-info/METADATA", demo().metadata_text());
    rows([
        ("an entry twice", with([file(INIT)]), Taken),
        (
            "an entry three times, listed backwards",
            reversed([file(INIT), file(INIT)]),
            Taken,
        ),
        (
            "an entry twice, stored and deflated",
            with([file(INIT).method(Method::Stored)]),
            Taken,
        ),
        (
            "a license twice",
            with([
                file("demo-1.0.dist-info/LICENSE"),
                file("demo-1.0.dist-info/LICENSE"),
            ]),
            Taken,
        ),
        ("METADATA twice", with([metadata()]), Taken),
        (
            "a script twice",
            with([
                Entry::file("demo-1.0.data/scripts/run", "#!python\n"),
                Entry::file("demo-1.0.data/scripts/run", "#!python\n"),
            ]),
            Taken,
        ),
        (
            "two spellings of a path",
            with([file("demo/./__init__.py")]),
            Taken,
        ),
        (
            "two folders for a path",
            with([file("demo-1.0.data/purelib/demo/__init__.py")]),
            Taken,
        ),
        (
            "a folder twice",
            with([Entry::directory("d/"), Entry::directory("d/")]),
            Taken,
        ),
        (
            "an entry twice with other content",
            reversed([Entry::file(INIT, "y = 2\n")]),
            Refused("two entries `demo/__init__.py` that differ"),
        ),
        (
            "two spellings with other content",
            reversed([Entry::file("demo/./__init__.py", "y = 2\n")]),
            Refused("two entries `demo/__init__.py` that differ"),
        ),
        (
            "an entry twice in the directory, once in the archive",
            demo().build_with(|it| it.overlap(0, INIT)),
            Refused("overlaps what comes after it"),
        ),
        (
            "a file and a folder",
            with([file("a"), Entry::directory("a/")]),
            Refused("`a` is both a file and a folder"),
        ),
        (
            "a file and a folder below",
            with([file("a"), Entry::directory("a/b/")]),
            Refused("`a` is both a file and a folder"),
        ),
        (
            "two folders for a path with other content",
            with([Entry::file(
                "demo-1.0.data/purelib/demo/__init__.py",
                "y = 2\n",
            )]),
            Strict("two files for `demo/__init__.py`"),
        ),
    ])
}

fn paths() -> Vec<Row> {
    let cut_off = "is no relative path below the wheel's root";
    let points = "[console_scripts]\nrun = demo:main\n";
    let points = |path: &str| with([Entry::file(path, points)]);
    let script = |path: &str| Entry::file(path, "#!python\n");
    let data = "has to be written `demo-1.0.data/";
    let metadata = "has to be written `demo-1.0.dist-info/";
    rows([
        ("`./` at the start", with([file("./a.py")]), Taken),
        ("`./` inside", with([file("demo/./././a.py")]), Taken),
        ("`//` inside", with([file("demo//a.py")]), Taken),
        (
            "`./` in a folder of the metadata",
            with([file("demo-1.0.dist-info/licenses/./LICENSE")]),
            Taken,
        ),
        (
            "`./` before a file of the metadata",
            with([file("demo-1.0.dist-info/./LICENSE")]),
            Taken,
        ),
        (
            "`./` before entry_points.txt",
            points("demo-1.0.dist-info/./entry_points.txt"),
            Taken,
        ),
        (
            "`.//` before entry_points.txt",
            points("demo-1.0.dist-info/.//entry_points.txt"),
            Taken,
        ),
        (
            "`//` in a folder of the metadata",
            with([file("demo-1.0.dist-info/licenses//LICENSE")]),
            Taken,
        ),
        (
            "`./` in a folder of the .data folder",
            with([file("demo-1.0.data/purelib/./a.py")]),
            Taken,
        ),
        (
            "`//` in a folder of the .data folder",
            with([file("demo-1.0.data/data//etc//a")]),
            Taken,
        ),
        (
            "`./` before a script",
            with([script("demo-1.0.data/scripts/./run")]),
            Taken,
        ),
        (
            "`//` before a script",
            with([script("demo-1.0.data/scripts//run")]),
            Taken,
        ),
        (
            "`./` in RECORD",
            demo()
                .file("demo/a.py", CONTENT)
                .record(Part::Content(
                    demo()
                        .file("demo/a.py", CONTENT)
                        .record_text()
                        .replace("demo/a", "demo/./a")
                        .into_bytes(),
                ))
                .build(),
            Taken,
        ),
        (
            "the folder `./`",
            with([Entry::directory("./"), Entry::directory("demo/./")]),
            Taken,
        ),
        ("three dots", with([file("demo/.../a.py")]), Taken),
        ("a space at the end", with([file("demo/a ")]), Taken),
        ("a colon", with([file("demo/a:b.py")]), Taken),
        ("UTF-8 that is marked", with([file("demo/é 包.py")]), Taken),
        (
            "UTF-8 that is not marked",
            with([file("demo/é.py").utf8_flag(false)]),
            Refused("that is not marked as UTF-8"),
        ),
        (
            "code page 437",
            demo()
                .record(Part::Content(Vec::new()))
                .entry(Entry::file(*b"demo/caf\x82.py", ""))
                .build(),
            Refused("that is not marked as UTF-8"),
        ),
        (
            "no UTF-8 that is marked",
            demo()
                .record(Part::Content(Vec::new()))
                .entry(Entry::file(*b"demo/\xff.py", "").utf8_flag(true))
                .build(),
            Refused("is not UTF-8"),
        ),
        ("`.` at the end", with([file("demo/x/.")]), Refused(cut_off)),
        ("`..`", with([file("demo/../a.py")]), Refused(cut_off)),
        (
            "a slash at the start",
            with([file("/a.py")]),
            Refused(cut_off),
        ),
        (
            "no name",
            demo()
                .record(Part::Content(Vec::new()))
                .entry(file(""))
                .build(),
            Refused(cut_off),
        ),
        (
            "a backslash",
            with([file("demo\\a.py")]),
            Refused("has a backslash"),
        ),
        (
            "a drive",
            with([file("C:/a.py")]),
            Refused("starts with a drive letter"),
        ),
        (
            "a control character",
            with([file("demo/a\u{1}b.py")]),
            Refused("has a control character"),
        ),
        (
            "`./` before the metadata",
            demo().dist_info("./demo-1.0.dist-info").build(),
            Refused("has to be written `demo-1.0."),
        ),
        (
            "`./` before the folder of entry_points.txt",
            points("./demo-1.0.dist-info/entry_points.txt"),
            Refused("has to be written `demo-1.0."),
        ),
        (
            "`./` before the .data folder",
            with([file("./demo-1.0.data/scripts/run")]),
            Refused("has to be written `demo-1.0."),
        ),
        (
            "`./` before the folder of a license",
            with([file("./demo-1.0.dist-info/LICENSE")]),
            Strict("has to be written `demo-1.0."),
        ),
        (
            "`//` before entry_points.txt",
            points("demo-1.0.dist-info//entry_points.txt"),
            Refused(metadata),
        ),
        (
            "`//./` before entry_points.txt",
            points("demo-1.0.dist-info//./entry_points.txt"),
            Refused(metadata),
        ),
        (
            "`//` before a license",
            with([file("demo-1.0.dist-info//LICENSE")]),
            Strict(metadata),
        ),
        (
            "`./` before the folder of scripts",
            with([script("demo-1.0.data/./scripts/run")]),
            Refused(data),
        ),
        (
            "`//` before the folder of scripts",
            with([script("demo-1.0.data//scripts/run")]),
            Refused(data),
        ),
        (
            "`./` before another folder of .data",
            with([file("demo-1.0.data/./purelib/a.py")]),
            Strict(data),
        ),
        (
            "`//` before another folder of .data",
            with([file("demo-1.0.data//data/etc/a")]),
            Strict(data),
        ),
    ])
}

fn ends() -> Vec<Row> {
    let trailing = |bytes: Vec<u8>| demo().build_with(|it| it.trailing(bytes));
    let twice = "more than one possible end record";
    rows([
        ("a NUL at the end", trailing(vec![0]), Taken),
        ("22 NULs at the end", trailing(vec![0; 22]), Taken),
        ("4096 NULs at the end", trailing(vec![0; 4096]), Taken),
        (
            "4096 NULs at the end of a large wheel",
            demo()
                .file("big", vec![7; 1 << 17])
                .method(Method::Stored)
                .build_with(|it| it.trailing(vec![0; 4096])),
            Taken,
        ),
        (
            "NULs behind a comment",
            demo().build_with(|it| it.comment("a comment").trailing([0; 9])),
            Taken,
        ),
        (
            "NULs behind ZIP64 records",
            demo().build_with(|it| it.zip64_end(Zip64End::Redundant).trailing([0; 9])),
            Taken,
        ),
        (
            "a comment",
            demo().build_with(|it| it.comment("a comment")),
            Taken,
        ),
        (
            "a comment that is a NUL",
            demo().build_with(|it| it.comment([0])),
            Taken,
        ),
        (
            "8192 NULs at the end",
            trailing(vec![0; 8192]),
            Refused("has 8192 NULs after its end record; the limit is 4096"),
        ),
        (
            "70000 NULs at the end",
            trailing(vec![0; 70_000]),
            Refused("it ends with over 4096 NULs"),
        ),
        (
            "a line feed at the end",
            trailing(vec![b'\n']),
            Refused("has 1 byte after its end record"),
        ),
        (
            "NULs and a letter",
            trailing(b"\0\0x".to_vec()),
            Refused("has 3 bytes after its end record"),
        ),
        (
            "a comment longer than it says",
            demo().build_with(|it| {
                it.comment("comment")
                    .lie(EndPlace::End, EndClaim::CommentLength(2))
            }),
            Refused("has 5 bytes after its end record"),
        ),
        (
            "an archive behind the archive",
            trailing(Archive::new().build()),
            Refused("does not lie right before its end record"),
        ),
        (
            "the signature in a comment",
            demo().build_with(|it| it.comment("PK\u{5}\u{6}")),
            Refused(twice),
        ),
        (
            "a gap before the end record",
            demo().build_with(|it| it.gap_before_end("x")),
            Refused("does not lie right before its end record"),
        ),
        (
            "bytes in front that do not count",
            demo().build_with(|it| it.uncounted_prefix("#!/bin/sh\n")),
            Refused("does not lie right before its end record"),
        ),
        (
            "bytes in front that count",
            demo().build_with(|it| it.prefix("#!/bin/sh\n")),
            Refused("bytes before its first entry"),
        ),
    ])
}

fn entries() -> Vec<Row> {
    let descriptor = Descriptor {
        signature: true,
        zip64: false,
    };
    // A record as long as the longest fixed part of one.
    let gap = |signature: &str| {
        let record = [signature.as_bytes(), &[0; 60]].concat();
        demo().entry(file("a.py").gap_before(record)).build()
    };
    let stops = "is followed by the end of an archive, then by more entries";
    let times = [0x55, 0x54, 5, 0, 1, 0, 0, 0, 0];
    rows([
        (
            "a descriptor",
            with([file("a.py").descriptor(descriptor)]),
            Taken,
        ),
        (
            "a descriptor of a stored entry",
            with([file("a.py").descriptor(descriptor).method(Method::Stored)]),
            Taken,
        ),
        (
            "ZIP64 where nothing needs it",
            with([file("a.py").zip64(Place::Everywhere)]),
            Taken,
        ),
        (
            "extra fields of times",
            with([file("a.py").raw_extra(Place::Everywhere, times)]),
            Taken,
        ),
        (
            "extra fields of owners",
            with([file("a.py").extra(
                Place::Everywhere,
                0x7875,
                &[1, 4, 0, 0, 0, 0, 4, 0, 0, 0, 0],
            )]),
            Taken,
        ),
        (
            "an extra field of NTFS",
            with([file("a.py").extra(Place::Central, 0x000a, &[0; 32])]),
            Taken,
        ),
        (
            "a time before 1980",
            with([file("a.py").dos_time(0, 0)]),
            Taken,
        ),
        (
            "a time that is none",
            with([file("a.py").dos_time(0xffff, 0xffff)]),
            Taken,
        ),
        (
            "a version of DOS",
            with([file("a.py").lie(Place::Everywhere, Claim::VersionNeeded(10))]),
            Taken,
        ),
        (
            "backwards",
            demo().build_with(Archive::reverse_central),
            Taken,
        ),
        (
            "a gap between entries",
            demo().entry(file("a.py").gap_before("gap")).build(),
            Taken,
        ),
        (
            "a gap before the directory",
            demo().build_with(|it| it.gap_before_central("gap")),
            Taken,
        ),
        (
            "a folder with the mode of a file",
            with([Entry::directory("d/").mode(0o100_644)]),
            Taken,
        ),
        (
            "a folder without a mode",
            with([Entry::directory("d/").external_attributes(0)]),
            Taken,
        ),
        (
            "a folder that is deflated",
            with([Entry::directory("d/").method(Method::Deflate(6))]),
            Taken,
        ),
        (
            "UTF-8 in one header, of a name in ASCII",
            with([file("a.py").lie(Place::Local, Claim::Flags(FLAG_UTF8))]),
            Taken,
        ),
        (
            "an entry that is in no directory",
            demo().build_with(|it| it.entry(file("gone.py").local_only())),
            Refused("is followed by one that the central directory does not list"),
        ),
        (
            "an entry in a gap",
            {
                let hidden = Archive::new().file("gone.py", CONTENT).build();
                demo().entry(file("a.py").gap_before(hidden)).build()
            },
            Refused("is followed by one that the central directory does not list"),
        ),
        (
            "a central header between entries",
            gap("PK\u{1}\u{2}"),
            Refused(stops),
        ),
        (
            "an end record between entries",
            gap("PK\u{5}\u{6}"),
            Refused(stops),
        ),
        (
            "a ZIP64 end record between entries",
            gap("PK\u{6}\u{6}"),
            Refused(stops),
        ),
        (
            "a ZIP64 locator between entries",
            gap("PK\u{6}\u{7}"),
            Taken,
        ),
        (
            "a central header before the directory",
            demo().build_with(|it| it.gap_before_central("PK\u{1}\u{2}")),
            Taken,
        ),
        (
            "a folder with the header of a file",
            with([Entry::directory("d/").lie(Place::Local, Claim::Name(b"d.".to_vec()))]),
            Refused("another name in its local header"),
        ),
        (
            "a folder by its mode alone",
            with([Entry::file("d", "").mode(0o040_755)]),
            Refused("is a folder by its mode and a file by its name"),
        ),
        (
            "a link",
            with([Entry::symlink("l", "demo/__init__.py")]),
            Refused("is a link or a device"),
        ),
        (
            "a device",
            with([Entry::file("null", "").mode(0o020_666)]),
            Refused("is a link or a device"),
        ),
        (
            "an extra field that is cut off",
            with([file("a.py").raw_extra(Place::Local, [9; 5])]),
            Refused("broken extra field"),
        ),
        (
            "another name in an extra field",
            with([file("a.py").unicode_path(Place::Central, "b.py")]),
            Refused("another name in an extra field"),
        ),
        (
            "a name in an extra field that is cut off",
            with([file("a.py").extra(Place::Central, EXTRA_UNICODE_PATH, &[1])]),
            Refused("another name in an extra field"),
        ),
        (
            "a version to come",
            with([file("a.py").lie(Place::Everywhere, Claim::VersionNeeded(99))]),
            Refused("a newer version of the ZIP format"),
        ),
        (
            "encrypted",
            with([file("a.py").encrypted()]),
            Refused("is encrypted"),
        ),
        (
            "a folder with content",
            with([Entry::file("d/", CONTENT).method(Method::Stored)]),
            Strict("the folder `d/` has content"),
        ),
    ])
}
