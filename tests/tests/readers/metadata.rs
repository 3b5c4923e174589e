//! Odd metadata: folders, texts, entry points.

#![expect(
    clippy::too_many_lines,
    reason = "tables are as long as what they list"
)]

use accretion_testing::forge::Part;
use accretion_testing::forge::zip::Entry;

use crate::table::Expect::{Refused, Strict, Taken};
use crate::table::{Row, demo, file, rows, with};

pub(crate) fn all() -> Vec<Row> {
    [folders(), texts(), points()]
        .into_iter()
        .flatten()
        .collect()
}

fn folders() -> Vec<Row> {
    let not_its_own = "does not belong to its name";
    let dist_info = |folder: &str| demo().dist_info(folder).build();
    rows([
        (
            "another version in the folder's name",
            dist_info("demo-1.0.0.dist-info"),
            Taken,
        ),
        (
            "a wrong version in the folder's name",
            dist_info("demo-2.0.dist-info"),
            Taken,
        ),
        (
            "no version in the folder's name",
            dist_info("demo.dist-info"),
            Taken,
        ),
        (
            "capitals in the folder's name",
            dist_info("Demo-1.0.dist-info"),
            Taken,
        ),
        (
            "capitals, with a .data folder",
            demo()
                .dist_info("Demo-1.0.dist-info")
                .entry(file("Demo-1.0.data/purelib/a.py"))
                .build(),
            Taken,
        ),
        (
            "a version, with a .data folder",
            demo()
                .dist_info("demo-2.0.dist-info")
                .entry(file("demo-2.0.data/purelib/a.py"))
                .build(),
            Taken,
        ),
        (
            "metadata of a vendored package",
            with([file("demo/vendor/other-1.0.dist-info/METADATA")]),
            Taken,
        ),
        (
            "a script without a mode",
            with([Entry::file("demo-1.0.data/scripts/run", "#!python\n").external_attributes(0)]),
            Taken,
        ),
        (
            "compiled files",
            with([file("demo/__pycache__/old.cpython-36.pyc")]),
            Taken,
        ),
        (
            "files of another installer",
            demo()
                .dist_info_file("INSTALLER", "x")
                .dist_info_file("RECORD.jws", "{}")
                .build(),
            Taken,
        ),
        (
            "metadata of another package",
            dist_info("other-1.0.dist-info"),
            Refused(not_its_own),
        ),
        (
            "metadata of two packages",
            with([file("other-1.0.dist-info/METADATA")]),
            Refused("several .dist-info folders"),
        ),
        (
            "data of another spelling",
            with([file("Demo-1.0.data/purelib/a.py")]),
            Refused("is not the .data folder of"),
        ),
        (
            "data of another version",
            with([file("demo-1.0.0.data/purelib/a.py")]),
            Refused("is not the .data folder of"),
        ),
        (
            "data of another package",
            with([file("other-1.0.data/purelib/a.py")]),
            Refused("is not the .data folder of"),
        ),
        (
            "data of two spellings",
            with([
                file("demo-1.0.data/purelib/a.py"),
                file("Demo-1.0.data/purelib/b.py"),
            ]),
            Refused("is not the .data folder of"),
        ),
        (
            "an unknown folder of data",
            with([file("demo-1.0.data/weird/a.py")]),
            Refused("lies in no folder that a .data folder may have"),
        ),
        (
            "a loose file of data",
            with([file("demo-1.0.data/a.py")]),
            Refused("lies in no folder that a .data folder may have"),
        ),
    ])
}

fn texts() -> Vec<Row> {
    let text = |text: &str| Part::Content(text.as_bytes().to_vec());
    let wheel = |content: &str| demo().wheel(text(content)).build();
    let metadata = |content: &str| demo().metadata(text(content)).build();
    let record = |change: &dyn Fn(String) -> String| {
        demo().record(text(&change(demo().record_text()))).build()
    };
    let says = "its metadata says that it is";
    let version = "1.x is supported";
    rows([
        (
            "Wheel-Version 1.1",
            demo().wheel_version("1.1").build(),
            Taken,
        ),
        (
            "Wheel-Version 0.1",
            demo().wheel_version("0.1").build(),
            Taken,
        ),
        ("Wheel-Version 1", demo().wheel_version("1").build(), Taken),
        (
            "WHEEL without Root-Is-Purelib",
            wheel("Wheel-Version: 1.0\nTag: py3-none-any\n"),
            Taken,
        ),
        (
            "WHEEL without tags",
            wheel("Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"),
            Taken,
        ),
        ("WHEEL with CRLF", demo().wheel(Part::Crlf).build(), Taken),
        (
            "Wheel-Version 2.0",
            demo().wheel_version("2.0").build(),
            Refused(version),
        ),
        (
            "Wheel-Version 1.x",
            demo().wheel_version("1.x").build(),
            Refused(version),
        ),
        (
            "WHEEL without a version",
            wheel("Root-Is-Purelib: true\n"),
            Refused(version),
        ),
        (
            "WHEEL with a byte order mark",
            wheel("\u{feff}Wheel-Version: 1.0\n"),
            Refused(version),
        ),
        (
            "no WHEEL",
            demo().wheel(Part::Missing).build(),
            Refused("it has no"),
        ),
        (
            "METADATA with another spelling",
            metadata("Metadata-Version: 2.1\nName: DEMO\nVersion: 1.0.0\n"),
            Taken,
        ),
        (
            "METADATA without a version of its own",
            metadata("Name: demo\nVersion: 1.0\n"),
            Taken,
        ),
        (
            "METADATA with CRLF",
            demo().metadata(Part::Crlf).build(),
            Taken,
        ),
        (
            "METADATA of another package",
            metadata("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n"),
            Refused(says),
        ),
        (
            "METADATA of another version",
            metadata("Metadata-Version: 2.1\nName: demo\nVersion: 2.0\n"),
            Refused(says),
        ),
        (
            "METADATA with a byte order mark",
            metadata("\u{feff}Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"),
            Refused(says),
        ),
        (
            "no METADATA",
            demo().metadata(Part::Missing).build(),
            Refused("it has no"),
        ),
        (
            "RECORD with a byte order mark",
            record(&|it| format!("\u{feff}{it}")),
            Taken,
        ),
        ("RECORD with CRLF", demo().record(Part::Crlf).build(), Taken),
        (
            "RECORD with wrong hashes",
            record(&|it| it.replace("sha256=", "sha256=AAAA")),
            Taken,
        ),
        (
            "RECORD with MD5",
            record(&|it| it.replace("sha256=", "md5=")),
            Taken,
        ),
        (
            "RECORD with a line too many",
            record(&|it| format!("/etc/passwd,,\n../../x,,\n{it}")),
            Taken,
        ),
        (
            "RECORD with a line too few",
            record(&|it| {
                it.split_once('\n')
                    .map_or_else(String::new, |(_, rest)| rest.to_owned())
            }),
            Taken,
        ),
        (
            "RECORD with backslashes",
            record(&|it| it.replace("demo/", "demo\\")),
            Taken,
        ),
        ("RECORD with nothing", record(&|_| String::new()), Taken),
        (
            "no RECORD",
            demo().record(Part::Missing).build(),
            Refused("it has no"),
        ),
    ])
}

fn points() -> Vec<Row> {
    let points = |text: &str| demo().dist_info_file("entry_points.txt", text).build();
    let script = |name: &str| points(&format!("[console_scripts]\n{name} = demo:main\n"));
    let no_script = "cannot become a script";
    rows([
        (
            "entry points with CRLF",
            points("[console_scripts]\r\nrun = demo:main\r\n"),
            Taken,
        ),
        (
            "entry points with CR",
            points("[console_scripts]\rrun = demo:main\r"),
            Taken,
        ),
        (
            "entry points that are indented",
            points("\n    [console_scripts]\n    run=demo:main\n    "),
            Taken,
        ),
        (
            "an entry point with extras",
            points("[console_scripts]\nrun = demo:main [a,b]\n"),
            Taken,
        ),
        (
            "a section in capitals",
            points("[Console_Scripts]\nrun = demo:main\n"),
            Taken,
        ),
        (
            "a section twice",
            points("[console_scripts]\na = demo:main\n[console_scripts]\nb = demo:main\n"),
            Taken,
        ),
        (
            "an entry point twice",
            points("[console_scripts]\na = demo:main\na = demo:main\n"),
            Taken,
        ),
        (
            "an entry point and a script",
            demo()
                .entry_point("console_scripts", "run", "demo:main")
                .data("scripts", "run", "#!python\n")
                .build(),
            Taken,
        ),
        ("an entry point with a plus", script("a+b"), Taken),
        ("an entry point with a dot", script(".a.b"), Taken),
        ("an entry point beyond ASCII", script("é"), Taken),
        (
            "entry points with a byte order mark",
            points("\u{feff}[console_scripts]\nrun = demo:main\n"),
            Refused("byte order mark"),
        ),
        (
            "an entry point twice with another object",
            points("[console_scripts]\na = demo:main\na = demo:other\n"),
            Refused("two entry points `a` that differ"),
        ),
        (
            "an entry point with a space",
            script("a b"),
            Refused(no_script),
        ),
        (
            "an entry point with an at sign",
            script("a@b"),
            Refused(no_script),
        ),
        (
            "an entry point with a colon",
            script("a:b"),
            Refused(no_script),
        ),
        (
            "an entry point in a folder",
            script("a/b"),
            Refused(no_script),
        ),
        (
            "an entry point without an attribute",
            points("[console_scripts]\nrun = demo\n"),
            Refused(no_script),
        ),
        (
            "an entry point with a call",
            points("[console_scripts]\nrun = demo:main()\n"),
            Refused(no_script),
        ),
        (
            "an entry point with a comment",
            points("[console_scripts]\nrun = demo:main # x\n"),
            Refused(no_script),
        ),
        (
            "an entry point of two kinds",
            points("[gui_scripts]\na = demo:gui\n[console_scripts]\na = demo:main\n"),
            Strict("two entry points `a` that differ"),
        ),
    ])
}
