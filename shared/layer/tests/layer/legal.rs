//! Legal oddities: wheels that are unusual and right, and what becomes of them in a layer.

#![expect(
    clippy::too_many_lines,
    reason = "tables are as long as what they list"
)]

use std::io::Write as _;
use std::process::Command;

use accretion_archive::{Header, Method as Packing, Writer};
use accretion_layer::files::OwnFiles;
use accretion_testing::forge::zip::{Archive, Descriptor, Entry, Method, Place, Zip64End};
use accretion_testing::forge::{Part, Wheel, WheelForge};
use accretion_tree::Origin;
use insta::assert_snapshot;

use crate::harness::{Inspected, inspect_wheel, splice};

fn demo() -> WheelForge {
    WheelForge::new("demo", "1.0")
        .file("demo/__init__.py", "x = 1\n".repeat(50))
        .file("demo/empty.py", "")
        .file("demo/data.bin", (0..=255).collect::<Vec<u8>>().repeat(300))
}

fn each(change: impl Fn(Entry) -> Entry) -> Wheel {
    demo().build_with(|archive| {
        let entries = archive.entries().iter().cloned();
        entries.map(&change).fold(Archive::new(), Archive::entry)
    })
}

/// However a wheel is packed, it gives the same files.
#[test]
fn every_form_of_archive() {
    let expected = splice(&[inspect_wheel(&demo().build()).unwrap()])
        .unwrap()
        .files();
    assert_eq!(expected.len(), 7);
    let descriptor = |signature, zip64| Descriptor { signature, zip64 };
    let cases = [
        ("stored", each(|it| it.method(Method::Stored))),
        ("deflate, level 0", each(|it| it.method(Method::Deflate(0)))),
        ("deflate, level 9", each(|it| it.method(Method::Deflate(9)))),
        ("zstd", each(|it| it.method(Method::Zstd))),
        (
            "descriptors",
            each(|it| it.descriptor(descriptor(true, false))),
        ),
        (
            "unsigned descriptors",
            each(|it| it.descriptor(descriptor(false, false))),
        ),
        (
            "wide descriptors",
            each(|it| it.descriptor(descriptor(true, true))),
        ),
        (
            "unsigned wide descriptors",
            each(|it| it.descriptor(descriptor(false, true))),
        ),
        (
            "wide descriptors with ZIP64 headers",
            each(|it| {
                it.descriptor(descriptor(true, true))
                    .zip64(Place::Everywhere)
            }),
        ),
        (
            "stored with descriptors",
            each(|it| {
                it.method(Method::Stored)
                    .descriptor(descriptor(true, false))
            }),
        ),
        (
            "zstd with descriptors",
            each(|it| it.method(Method::Zstd).descriptor(descriptor(true, false))),
        ),
        ("ZIP64, local", each(|it| it.zip64(Place::Local))),
        ("ZIP64, central", each(|it| it.zip64(Place::Central))),
        (
            "ZIP64 everywhere",
            demo().build_with(|it| {
                let entries = it.entries().iter().cloned();
                let wide = entries.map(|entry| entry.zip64(Place::Everywhere));
                wide.fold(Archive::new(), Archive::entry)
                    .zip64_end(Zip64End::Forced)
            }),
        ),
        (
            "ZIP64 end record",
            demo().build_with(|it| it.zip64_end(Zip64End::Forced)),
        ),
        (
            "two end records",
            demo().build_with(|it| it.zip64_end(Zip64End::Redundant)),
        ),
        (
            "extra fields",
            each(|it| it.extra(Place::Everywhere, 0xcafe, b"oddity")),
        ),
        (
            "extra field of one byte",
            each(|it| it.raw_extra(Place::Everywhere, [0])),
        ),
        ("comments of entries", each(|it| it.comment("a comment"))),
        ("times", each(|it| it.dos_time(0x5b74, 0x6c3f))),
        ("DOS", each(|it| it.create_system(0).external_attributes(0))),
        (
            "reversed directory",
            demo().build_with(Archive::reverse_central),
        ),
        (
            "comment",
            demo().build_with(|it| it.comment("a comment".repeat(7000))),
        ),
        (
            "gaps",
            demo().build_with(|it| {
                it.change("demo/empty.py", |entry| entry.gap_before("a gap"))
                    .gap_before_central("another")
            }),
        ),
        (
            "NULs behind it",
            demo().build_with(|it| it.trailing([0; 4096])),
        ),
        (
            "NULs behind a comment",
            demo().build_with(|it| it.comment("a comment").trailing([0; 9])),
        ),
        ("every entry twice", {
            demo().build_with(|it| it.entries().to_vec().into_iter().fold(it, Archive::entry))
        }),
        (
            "an entry twice, packed in two ways",
            demo()
                .entry(Entry::file("demo/empty.py", "").method(Method::Stored))
                .build(),
        ),
        (
            "an entry twice, in two folders",
            demo().data("platlib", "demo/empty.py", "").build(),
        ),
        (
            "an entry twice, in two spellings",
            demo().file("demo/.//empty.py", "").build(),
        ),
        (
            "folders",
            demo().build_with(|it| {
                it.entry(Entry::directory("demo/"))
                    .entry(Entry::directory("empty/below/"))
                    .entry(Entry::directory("empty//below/./"))
                    .entry(Entry::directory("./"))
            }),
        ),
        ("RECORD with CRLF", demo().record(Part::Crlf).build()),
        (
            "RECORD that is wrong",
            demo()
                .record(Part::Content(b"ghost.py,sha256=x,1\n".to_vec()))
                .build(),
        ),
        (
            "records of another installer",
            demo()
                .dist_info_file("INSTALLER", "pip\n")
                .dist_info_file("REQUESTED", "")
                .dist_info_file("direct_url.json", "{}")
                .dist_info_file("RECORD.jws", "{}")
                .dist_info_file("RECORD.p7s", "signature")
                .build(),
        ),
        (
            "records of another installer, by way of the data folder",
            demo()
                .data("purelib", "demo-1.0.dist-info/INSTALLER", "pip\n")
                .data("platlib", "demo-1.0.dist-info/RECORD", "x,,\n")
                .data("data", "demo-1.0.dist-info/direct_url.json", "{}")
                .build(),
        ),
    ];
    for (case, wheel) in cases {
        let inspected = inspect_wheel(&wheel).unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(splice(&[inspected]).unwrap().files(), expected, "{case}");
    }
}

/// Streams are copied as they are; only zstd is packed again, because Lambda need not know it.
#[test]
fn streams_are_copied() {
    for (method, packing, origin) in [
        (Method::Stored, Packing::Stored, Origin::Archive),
        (Method::Deflate(1), Packing::Deflated, Origin::Archive),
        (Method::Zstd, Packing::Deflated, Origin::Layout),
    ] {
        let (bytes, places) = demo().method(method.clone()).archive().build_with_layout();
        let inspected = inspect_wheel(&Wheel::new(demo().file_name(), bytes.clone())).unwrap();
        let files = &inspected.layout.files;
        let file = files
            .iter()
            .find(|file| file.path == "demo/data.bin")
            .unwrap();
        assert_eq!((file.method, file.origin), (packing, origin));
        let raw = &bytes[places.data[2].clone()];
        let layer = splice(std::slice::from_ref(&inspected)).unwrap().zip;
        let is_copied = layer.windows(raw.len()).any(|window| window == raw);
        assert_eq!(is_copied, origin == Origin::Archive, "{method:?}");
    }
}

fn path_of(entry: Entry) -> String {
    let wheel = demo().build_with(|archive| archive.entry(entry));
    let inspected = inspect_wheel(&wheel).unwrap();
    splice(std::slice::from_ref(&inspected)).unwrap().files();
    let known = inspect_wheel(&demo().build()).unwrap();
    let known = known.paths();
    let mut paths = inspected.paths();
    paths.retain(|path| !known.contains(path));
    paths.join("|")
}

#[test]
fn names_beyond_ascii() {
    let file = |name: &[u8]| Entry::file(name, "x");
    assert_eq!(path_of(file("d/é 包.py".as_bytes())), "d/é 包.py");
    assert_eq!(path_of(file(b"d/plain").utf8_flag(true)), "d/plain");
    // A second name has to be the same, or to belong to another first one.
    for place in [Place::Central, Place::Local, Place::Everywhere] {
        let named = |name: &str| file("d/é".as_bytes()).unicode_path(place, name);
        assert_eq!(path_of(named("d/é")), "d/é");
        let stale = file("d/é".as_bytes()).unicode_path_for(place, "d/other", 0);
        assert_eq!(path_of(stale), "d/é");
    }
    assert_eq!(path_of(file(b"d/a,\"b\".txt")), "d/a,\"b\".txt");
}

/// As installers have them on a disk.
#[test]
fn paths_with_dots_and_empty_parts() {
    for (name, path) in [
        ("./x.py", "x.py"),
        ("d/./x.py", "d/x.py"),
        ("d//x.py", "d/x.py"),
        ("././d/.//./x.py", "d/x.py"),
        ("d/.../x.py", "d/.../x.py"),
        ("d/.hidden/./x", "d/.hidden/x"),
        ("demo-1.0.data/purelib/./x.py", "x.py"),
        ("demo-1.0.data/scripts/./x", "bin/x"),
        (
            "demo-1.0.dist-info/licenses/./x",
            "demo-1.0.dist-info/licenses/x",
        ),
        ("demo-1.0.dist-info/./x", "demo-1.0.dist-info/x"),
    ] {
        assert_eq!(path_of(Entry::file(name, "x")), path, "{name}");
    }
    assert_eq!(path_of(Entry::directory("d/./")), "");
}

/// Streams of what is there twice are copied once, from a place that has them.
#[test]
fn entries_that_are_there_twice() {
    let long = "y = 2\n".repeat(900);
    let stored = Entry::file("demo/y.py", long.as_str()).method(Method::Stored);
    let deflated = Entry::file("demo/./y.py", long.as_str()).gap_before("gap");
    let script = |name: &str| Entry::file(name, "#!python\nimport demo\n");
    let wheel = demo()
        .entry(stored)
        .entry(script("demo-1.0.data/scripts/run"))
        .entry(deflated)
        .entry(script("demo-1.0.data/scripts/./run"))
        .build_with(|it| it.reverse_central().trailing([0; 100]));
    let wheel = inspect_wheel(&wheel).unwrap();
    let again = wheel.paths().windows(2).any(|pair| pair[0] == pair[1]);
    assert!(!again, "{:?}", wheel.paths());
    assert_eq!(wheel.text("demo/y.py"), long);
    assert_eq!(
        wheel.text("bin/run"),
        "#!/usr/bin/env python3\nimport demo\n"
    );
    // Each file once, and nothing else; the harness holds RECORD against them.
    let record = wheel.text("demo-1.0.dist-info/RECORD");
    assert_eq!(record.matches("demo/y.py,").count(), 1, "{record}");
}

/// Zips of other files than wheels are read by the same rules.
#[test]
fn zips_of_own_files() {
    let packed = |archive: Archive| {
        let mut files = OwnFiles::default();
        files.add_zip("own.zip", &archive.build()).unwrap();
        files.pack().unwrap()
    };
    let plain = Archive::new()
        .file("tools/x.py", "x")
        .file("tools/y.py", "y");
    let odd = Archive::new()
        .entry(Entry::directory("./"))
        .file("./tools/x.py", "x")
        .file("./.hidden", "left out")
        .entry(Entry::directory("./tools/"))
        .file("tools/.//y.py", "y")
        .file("tools/y.py", "y")
        .trailing([0; 9]);
    assert_eq!(packed(odd), packed(plain));
    for entry in [
        Entry::file("./../x", "x"),
        Entry::file("é", "x").utf8_flag(false),
        Entry::file("x", "x").local_only(),
        Entry::directory("x"),
    ] {
        let zip = Archive::new().file("tools/x.py", "x").entry(entry).build();
        assert!(OwnFiles::default().add_zip("own.zip", &zip).is_err());
    }
}

/// The version in the folder's name is for people: installers read METADATA.
#[test]
fn folders_of_metadata_with_other_versions() {
    for folder in [
        "demo-1.0.0",
        "demo-2.0",
        "demo",
        "DEMO-1.0",
        "demo-1.0-beta",
        "demo-unknown",
    ] {
        let wheel = demo()
            .dist_info(&format!("{folder}.dist-info"))
            .file(&format!("{folder}.data/data/x"), "x")
            .build();
        let wheel = inspect_wheel(&wheel).unwrap_or_else(|error| panic!("{folder}: {error}"));
        assert!(wheel.paths().contains(&"x"), "{folder}");
    }
}

#[test]
fn modes() {
    for (mode, expected) in [
        (0o100_000, 0o100_644),
        (0o100_444, 0o100_644),
        (0o100_600, 0o100_644),
        (0o100_666, 0o100_644),
        (0o100_777, 0o100_755),
        (0o100_700, 0o100_755),
        (0o100_654, 0o100_755),
        (0o100_645, 0o100_755),
        (0o104_755, 0o100_755),
        (0o102_644, 0o100_644),
        (0o755, 0o100_755),
        (0, 0o100_644),
    ] {
        for system in [0, 3, 19] {
            let entry = Entry::file("demo/x", "x").mode(mode).create_system(system);
            let wheel = demo().entry(entry).build();
            let layer = splice(&[inspect_wheel(&wheel).unwrap()]).unwrap();
            assert_eq!(layer.files()["python/demo/x"].mode, expected, "{mode:o}");
        }
    }
}

fn laid_out(wheel: &Inspected) -> String {
    let layer = splice(std::slice::from_ref(wheel)).unwrap();
    let lines = layer.files().into_iter().map(|(path, file)| {
        let content = String::from_utf8_lossy(&file.content).into_owned();
        let first = content.lines().next().unwrap_or_default();
        format!("{:o} {path}  {first}\n", file.mode & 0o777)
    });
    lines.collect()
}

#[test]
fn the_data_folder_is_laid_out_as_installers_do() {
    let wheel = WheelForge::new("Demo.Pkg", "1.0")
        .file("demo/__init__.py", "")
        .file("demo/vendored-2.0.dist-info/INSTALLER", "vendored")
        .data("purelib", "pure.py", "pure")
        .data("platlib", "plat.so", "plat")
        .data("data", "share/doc.txt", "doc")
        .data("data", "bin/plain", "#!python\n")
        .data("headers", "sub/demo.h", "header")
        .data("scripts", "tool", "#!python -E\nimport demo\n")
        .data("scripts", "gui", "#!pythonw\r\nimport demo\r\n")
        .data("scripts", "program", "\u{7f}ELF")
        .data("scripts", "sub/tool", "#!/bin/sh\n")
        .data("scripts", "both", "#!python\nloses")
        .entry_point("console_scripts", "both", "demo:wins")
        .entry_point("console_scripts", "demo.run", "demo.sub:Main.run [extra]")
        .entry_point("gui_scripts", "demo-gui", "demo:gui")
        .entry_point("other", "not a script", "demo")
        .build();
    let wheel = inspect_wheel(&wheel).unwrap();
    assert_snapshot!(laid_out(&wheel));
    assert_eq!(
        wheel.text("bin/tool"),
        "#!/usr/bin/env python3\nimport demo\n"
    );
    assert_eq!(
        wheel.text("bin/gui"),
        "#!/usr/bin/env python3\nimport demo\r\n"
    );
    assert_eq!(
        wheel.text("demo_pkg-1.0.dist-info/INSTALLER"),
        "accretion\n"
    );
    assert_snapshot!(wheel.text("bin/demo.run"));
    assert_snapshot!("record", wheel.text("demo_pkg-1.0.dist-info/RECORD"));
}

#[test]
fn names_of_folders_stay_as_they_are_written() {
    let wheel = WheelForge::new("demo", "1.0")
        .dist_info("Demo-1.0.dist-info")
        .file("Demo-1.0.data/data/x", "x")
        .file("DEMO-1.data.d/y", "y")
        .build();
    let wheel = inspect_wheel(&wheel).unwrap();
    assert_eq!(
        wheel.paths(),
        [
            "DEMO-1.data.d/y",
            "Demo-1.0.dist-info/INSTALLER",
            "Demo-1.0.dist-info/METADATA",
            "Demo-1.0.dist-info/RECORD",
            "Demo-1.0.dist-info/WHEEL",
            "x"
        ]
    );
}

#[test]
fn other_line_ends_and_cases_in_metadata() {
    let crlf = demo().metadata(Part::Crlf).wheel(Part::Crlf).build();
    inspect_wheel(&crlf).unwrap();
    let latin1 = b"metadata-version: 1.0\nNAME: De-mo\nversion: 01.0\nAuthor: Ren\xe9\n";
    let odd = WheelForge::new("de_mo", "1.0").metadata(Part::Content(latin1.to_vec()));
    inspect_wheel(&odd.build()).unwrap();
    let old = demo().wheel_version("0.1");
    inspect_wheel(&old.build()).unwrap();
    let minor = demo()
        .wheel_version("1.9")
        .purelib(false)
        .tag("cp313-abi3-linux_x86_64");
    inspect_wheel(&minor.build()).unwrap();
}

/// Deflate may hand out a script's first bytes alone.
#[test]
fn scripts_in_small_pieces_are_rewritten() {
    // A zstd frame of two raw blocks: `#!`, then the rest.
    let script = b"#!python\nx\n";
    let mut stream = vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, 11];
    stream.extend([2 << 3, 0, 0]);
    stream.extend(&script[..2]);
    stream.extend([9 << 3 | 1, 0, 0]);
    stream.extend(&script[2..]);
    let method = Method::Raw { number: 93, stream };
    let entry = Entry::file("demo-1.0.data/scripts/tool", script).method(method);
    let wheel = inspect_wheel(&demo().entry(entry).build()).unwrap();
    assert_eq!(wheel.text("bin/tool"), "#!/usr/bin/env python3\nx\n");
}

/// The number of threads that look at a wheel makes no difference.
#[test]
fn threads_do_not_matter() {
    let many = (0..100).fold(demo(), |forge, at| {
        forge.file(&format!("demo/f{at}.py"), "x = 1\n")
    });
    let wheel = many.build();
    let limits = accretion_core::limits::WheelLimits::default();
    let alone = crate::harness::inspect_with(&wheel, &limits, 1).unwrap();
    for threads in [0, 2, 3, 64] {
        let several = crate::harness::inspect_with(&wheel, &limits, threads).unwrap();
        assert_eq!(several.layout, alone.layout);
    }
}

fn python_lists(zip: &[u8]) -> usize {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(zip).unwrap();
    let script = "import sys, zipfile\n\
                  archive = zipfile.ZipFile(sys.argv[1])\n\
                  names = archive.namelist()\n\
                  archive.read(names[0]), archive.read(names[-1])\n\
                  print(len(names))";
    let output = Command::new("python3")
        .arg("-c")
        .arg(script)
        .arg(file.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

/// A layer of more than 65,535 files is a ZIP64 archive; one of 65,535 has to be one too, because
/// that number in the short record means "see there".
#[test]
fn more_entries_than_the_short_record_counts() {
    let written = |count: usize| {
        let mut zip = Vec::new();
        let mut writer = Writer::new(&mut zip);
        for at in 0..count {
            let header = Header {
                name: &format!("python/{at:06}"),
                method: Packing::Stored,
                crc32: 0,
                compressed_size: 0,
                size: 0,
                executable: false,
            };
            writer.add(header, &[]).unwrap();
        }
        writer.finish().unwrap();
        zip
    };
    let end64 = 0x0606_4b50_u32.to_le_bytes();
    for (count, is_zip64) in [(65_534, false), (65_535, true), (65_536, true)] {
        let zip = written(count);
        assert_eq!(zip[zip.len() - 98..][..4] == end64, is_zip64, "{count}");
        assert_eq!(python_lists(&zip), count);
        let read = zip::ZipArchive::new(std::io::Cursor::new(&zip)).unwrap();
        assert_eq!(read.len(), count);
        let own = accretion_archive::Directory::read(&zip, zip.len() as u64, 70_000);
        assert_eq!(own.unwrap().entries.len(), count);
    }
}

#[test]
fn a_wheel_of_many_files_gives_a_layer_of_many_files() {
    let wheel = WheelForge::new("demo", "1.0")
        .record(Part::Content(Vec::new()))
        .build_with(|archive| archive.many_entries(65_600));
    let layer = splice(&[inspect_wheel(&wheel).unwrap()]).unwrap();
    assert_eq!(python_lists(&layer.zip), 65_604);
}
