use std::io::{Cursor, Read as _, Write as _};
use std::process::Command;

use proptest::prelude::*;

use super::*;

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// Returns what the `zip` crate reads: name and content of each entry, in the central directory's
/// order.
fn read(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut found = Vec::new();
    for index in 0..archive.len() {
        let mut content = Vec::new();
        let zstd =
            archive.by_index_raw(index).unwrap().compression() == zip::CompressionMethod::ZSTD;
        let name = if zstd {
            let mut file = archive.by_index_raw(index).unwrap();
            let name = file.name_raw().to_vec();
            let (crc, size) = (file.crc32(), file.size());
            ruzstd::decoding::StreamingDecoder::new(&mut file)
                .unwrap()
                .read_to_end(&mut content)
                .unwrap();
            assert_eq!(
                (crc, size),
                (crc32fast::hash(&content), content.len() as u64)
            );
            name
        } else {
            let mut file = archive.by_index(index).unwrap();
            // Reading to the end checks the CRC.
            file.read_to_end(&mut content).unwrap();
            assert_eq!(file.size(), content.len() as u64);
            file.name_raw().to_vec()
        };
        found.push((name, content));
    }
    found
}

fn python_accepts(bytes: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let output = Command::new("python3")
        .args(["-m", "zipfile", "-t"])
        .arg(file.path())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && stdout.trim() == "Done testing",
        "{stdout}{stderr}"
    );
}

fn sample() -> Archive {
    Archive::new()
        .file("a.txt", "first")
        .entry(Entry::file("b/c.bin", pattern(70_000)).method(Method::Deflate(9)))
        .entry(Entry::file("stored", pattern(300)).method(Method::Stored))
        .file("empty", "")
}

fn sample_content() -> Vec<(Vec<u8>, Vec<u8>)> {
    vec![
        (b"a.txt".to_vec(), b"first".to_vec()),
        (b"b/c.bin".to_vec(), pattern(70_000)),
        (b"stored".to_vec(), pattern(300)),
        (b"empty".to_vec(), Vec::new()),
    ]
}

fn each(change: impl Fn(Entry) -> Entry) -> Archive {
    sample()
        .entries()
        .iter()
        .cloned()
        .map(change)
        .fold(Archive::new(), Archive::entry)
}

#[test]
fn legal_archives_read_back() {
    let descriptor = |signature, zip64| Descriptor { signature, zip64 };
    let cases = [
        ("plain", sample()),
        ("stored", each(|it| it.method(Method::Stored))),
        ("level 0", each(|it| it.method(Method::Deflate(0)))),
        ("level 1", each(|it| it.method(Method::Deflate(1)))),
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
            "zip64 descriptors",
            each(|it| it.descriptor(descriptor(true, true)).zip64(Place::Local)),
        ),
        ("zip64 local", each(|it| it.zip64(Place::Local))),
        ("zip64 central", each(|it| it.zip64(Place::Central))),
        (
            "zip64 everywhere",
            each(|it| it.zip64(Place::Everywhere)).zip64_end(Zip64End::Forced),
        ),
        ("zip64 end", sample().zip64_end(Zip64End::Forced)),
        (
            "redundant zip64 end",
            sample().zip64_end(Zip64End::Redundant),
        ),
        (
            "extra fields",
            each(|it| it.extra(Place::Everywhere, 0xcafe, b"oddity")),
        ),
        ("entry comments", each(|it| it.comment("a comment"))),
        ("gaps", each(|it| it.gap_before("gap"))),
        (
            "gap before the central directory",
            sample().gap_before_central("gap"),
        ),
        ("prefix", sample().prefix("#!/bin/sh\n")),
        ("uncounted prefix", sample().uncounted_prefix("#!/bin/sh\n")),
        ("comment", sample().comment("a comment")),
        ("dos", each(|it| it.create_system(0).external_attributes(0))),
        ("time", each(|it| it.dos_time(0x5b74, 0x6c3f))),
    ];
    for (what, archive) in cases {
        let bytes = archive.build();
        assert_eq!(read(&bytes), sample_content(), "{what}");
        assert_eq!(bytes, archive.build(), "{what}");
        if what != "zstd" {
            python_accepts(&bytes);
        }
    }
}

#[test]
fn reversed_central_directory_lists_backwards() {
    let mut expected = sample_content();
    expected.reverse();
    assert_eq!(read(&sample().reverse_central().build()), expected);
}

#[test]
fn names_are_any_bytes() {
    let long = vec![b'x'; 65_535];
    for name in [
        b"nul\0byte".as_slice(),
        b"back\\slash",
        b"/absolute",
        b"../../up",
        b"",
        b"\xff\xfe",
        b"caf\x82",
        "caf\u{e9}".as_bytes(),
        &long,
    ] {
        let bytes = Archive::new().file(name, "content").build();
        let (_, layout) = Archive::new().file(name, "content").build_with_layout();
        let header = &bytes[layout.local_headers[0].clone()];
        assert_eq!(&header[30..], name);
        let utf8 = header[7] & 0b1000 != 0;
        assert_eq!(utf8, name == "caf\u{e9}".as_bytes());
        let central = &bytes[layout.central_directory];
        assert_eq!(&central[46..], name);
    }
    let flag = |set| {
        Archive::new()
            .entry(Entry::file("plain", "").utf8_flag(set))
            .build()[7]
    };
    assert_eq!((flag(true), flag(false)), (0b1000, 0));
}

#[test]
fn unicode_path_names_the_entry() {
    let entry = Entry::file(b"caf\x82", "x").unicode_path(Place::Everywhere, "caf\u{e9}");
    let bytes = Archive::new().entry(entry).build();
    let mut archive = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
    assert_eq!(archive.by_index(0).unwrap().name().unwrap(), "caf\u{e9}");
}

#[test]
fn modes_links_and_directories() {
    let bytes = Archive::new()
        .entry(Entry::symlink("link", "target"))
        .entry(Entry::directory("folder/"))
        .entry(Entry::file("private", "").mode(0o100_640))
        .entry(Entry::file("encrypted", "").encrypted())
        .build();
    let mut archive = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
    assert!(archive.by_index(0).unwrap().is_symlink());
    assert!(archive.by_index(1).unwrap().is_dir());
    assert_eq!(archive.by_index(2).unwrap().unix_mode(), Some(0o100_640));
    assert!(archive.by_index_raw(3).unwrap().encrypted());

    // The reader above drops the setuid bit.
    let (bytes, layout) = Archive::new()
        .entry(Entry::file("setuid", "").mode(0o104_755))
        .build_with_layout();
    let attributes = u32_at(&bytes, layout.central_directory.start + 38);
    assert_eq!(attributes >> 16, 0o104_755);
}

/// The little-endian number of four bytes.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

#[test]
fn lies_are_told_in_their_place_only() {
    for (place, local, central, behind) in [
        (Place::Local, true, false, false),
        (Place::Central, false, true, false),
        (Place::Descriptor, false, false, true),
        (Place::Everywhere, true, true, true),
    ] {
        let entry = Entry::file("f", "content")
            .method(Method::Stored)
            .lie(place, Claim::Crc(0xdead_beef))
            .lie(place, Claim::CompressedSize(1))
            .lie(place, Claim::UncompressedSize(2));
        let lie = (0xdead_beef, 1, 2);
        let truth = (crc32fast::hash(b"content"), 7, 7);
        let expected = |lies| if lies { lie } else { truth };
        let says = |bytes: &[u8], at| {
            (
                u32_at(bytes, at),
                u32_at(bytes, at + 4),
                u32_at(bytes, at + 8),
            )
        };

        let (bytes, layout) = Archive::new().entry(entry.clone()).build_with_layout();
        assert_eq!(says(&bytes, 14), expected(local));
        assert_eq!(
            says(&bytes, layout.central_directory.start + 16),
            expected(central)
        );

        let descriptor = Descriptor {
            signature: true,
            zip64: false,
        };
        let (bytes, layout) = Archive::new()
            .entry(entry.descriptor(descriptor))
            .build_with_layout();
        assert_eq!(says(&bytes, layout.data[0].end + 4), expected(behind));
        // With a descriptor the local header is zero unless it lies by itself.
        let zero_or_lie = if place == Place::Local {
            lie
        } else {
            (0, 0, 0)
        };
        assert_eq!(says(&bytes, 14), zero_or_lie);
    }
}

#[test]
fn names_and_offsets_can_disagree() {
    let bytes = Archive::new()
        .entry(Entry::file("real", "x").lie(Place::Local, Claim::Name(b"fake".to_vec())))
        .build();
    assert_eq!(&bytes[30..34], b"fake");
    assert_eq!(read(&bytes), [(b"real".to_vec(), b"x".to_vec())]);

    let archive = Archive::new().file("a", "1").file("b", "2");
    let offset = archive.build_with_layout().1.local_headers[1].start as u64;
    let archive = archive.change("a", |it| {
        it.lie(Place::Central, Claim::Offset(offset))
            .lie(Place::Central, Claim::Crc(crc32fast::hash(b"2")))
    });
    assert_eq!(read(&archive.build())[0], (b"a".to_vec(), b"2".to_vec()));
}

#[test]
fn overlapping_entries_share_data() {
    let (bytes, layout) = sample().overlap(1, "again").build_with_layout();
    assert_eq!(layout.data[4], layout.data[1]);
    let mut expected = sample_content();
    expected.push((b"again".to_vec(), pattern(70_000)));
    assert_eq!(read(&bytes), expected);
}

#[test]
fn local_only_entries_are_not_listed() {
    let bytes = Archive::new()
        .entry(Entry::file("ghost", "boo").local_only())
        .build();
    assert_eq!(&bytes[30..35], b"ghost");
    assert_eq!(read(&bytes), []);
}

#[test]
fn duplicates_are_kept() {
    let bytes = Archive::new().file("same", "1").file("same", "2").build();
    let count = bytes.windows(4).filter(|it| *it == b"same").count();
    assert_eq!(count, 4);
    assert_eq!(&bytes[bytes.len() - 14..bytes.len() - 10], &[2, 0, 2, 0]);
}

#[test]
fn end_records_lie_where_told() {
    let claims = [
        EndClaim::Disk(3),
        EndClaim::CentralDisk(4),
        EndClaim::EntriesOnDisk(5),
        EndClaim::Entries(6),
        EndClaim::CentralSize(7),
        EndClaim::CentralOffset(8),
        EndClaim::CommentLength(9),
    ];
    let archive = claims
        .iter()
        .fold(sample(), |it, claim| it.lie(EndPlace::End, *claim));
    let bytes = archive.build();
    let end = &bytes[bytes.len() - 22..];
    assert_eq!(
        end,
        b"PK\x05\x06\x03\0\x04\0\x05\0\x06\0\x07\0\0\0\x08\0\0\0\x09\0"
    );

    let archive = sample()
        .zip64_end(Zip64End::Redundant)
        .lie(EndPlace::Zip64, EndClaim::Entries(0x0102_0304_0506))
        .lie(EndPlace::Zip64, EndClaim::Zip64Offset(0x77))
        .lie(EndPlace::Zip64, EndClaim::Disks(2));
    let bytes = archive.build();
    let zip64 = &bytes[bytes.len() - 22 - 20 - 56..];
    assert_eq!(&zip64[24..32], &4_u64.to_le_bytes());
    assert_eq!(&zip64[32..40], &0x0102_0304_0506_u64.to_le_bytes());
    assert_eq!(&zip64[56 + 8..56 + 16], &0x77_u64.to_le_bytes());
    assert_eq!(u32_at(zip64, 56 + 16), 2);
    assert_eq!(&zip64[76 + 8..76 + 12], &[4, 0, 4, 0]);
}

#[test]
fn odd_ends_are_written_as_told() {
    let plain = sample().build();
    assert_eq!(sample().truncate(10).build(), plain[..10]);
    assert_eq!(
        sample().trailing("junk").build(),
        [plain.as_slice(), b"junk"].concat()
    );
    let bytes = sample().comment_with_end_record().build();
    assert!(bytes.ends_with(&Archive::new().build()));
    assert_eq!(bytes.len(), plain.len() + 22);
    let (bytes, layout) = sample().gap_before_end("gap").build_with_layout();
    assert_eq!(
        &bytes[layout.central_directory.end..layout.end.start],
        b"gap"
    );
    let junk = Entry::file("f", "x")
        .method(Method::Stored)
        .junk_after_stream("junk");
    let (bytes, layout) = Archive::new().entry(junk).build_with_layout();
    assert_eq!(&bytes[layout.data[0].clone()], b"xjunk");
    assert_eq!((u32_at(&bytes, 18), u32_at(&bytes, 22)), (5, 1));
}

#[test]
fn raw_streams_keep_their_method() {
    let raw = Method::Raw {
        number: BZIP2,
        stream: b"BZh9".to_vec(),
    };
    let (bytes, layout) = Archive::new()
        .entry(Entry::file("f", "content").method(raw))
        .build_with_layout();
    assert_eq!(&bytes[8..10], &[12, 0]);
    assert_eq!(&bytes[layout.data[0].clone()], b"BZh9");
    assert_eq!((u32_at(&bytes, 18), u32_at(&bytes, 22)), (4, 7));
}

#[test]
fn bombs_are_small_and_true() {
    let size = (64 << 20) + 12_345;
    for method in [Method::Deflate(9), Method::Deflate(1), Method::Zstd] {
        let bytes = Archive::new()
            .entry(Entry::bomb("zeros", size).method(method))
            .build();
        assert!(bytes.len() < 1 << 20, "{}", bytes.len());
        let content = &read(&bytes)[0].1;
        assert_eq!(content.len() as u64, size);
        assert!(content.iter().all(|byte| *byte == 0));
    }
}

#[test]
fn bombs_beyond_four_gigabytes_have_zip64_sizes() {
    let size = 10 << 30;
    let bytes = Archive::new().entry(Entry::bomb("zeros", size)).build();
    assert!(bytes.len() < 12 << 20, "{}", bytes.len());
    let mut archive = zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
    assert_eq!(archive.by_index(0).unwrap().size(), size);
    let empty = Archive::new().entry(Entry::bomb("zeros", 0)).build();
    assert_eq!(read(&empty), [(b"zeros".to_vec(), Vec::new())]);
}

#[test]
fn many_entries_have_a_zip64_end() {
    for (count, zip64) in [(65_534, false), (65_535, true), (70_000, true)] {
        let bytes = Archive::new().many_entries(count).build();
        assert_eq!(
            zip::ZipArchive::new(Cursor::new(&bytes)).unwrap().len(),
            count
        );
        assert_eq!(bytes.windows(4).any(|it| it == b"PK\x06\x06"), zip64);
    }
}

proptest! {
    #[test]
    fn content_reads_back(
        files in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..5000), 0..=10_u32, any::<[bool; 3]>()),
            0..8,
        ),
    ) {
        let mut archive = Archive::new();
        let mut expected = Vec::new();
        for (at, (content, level, [descriptor, signature, zip64])) in files.into_iter().enumerate() {
            let name = format!("file {at}");
            let method = if level == 10 { Method::Stored } else { Method::Deflate(level) };
            let mut entry = Entry::file(name.as_str(), content.clone()).method(method);
            if zip64 {
                entry = entry.zip64(Place::Everywhere);
            }
            if descriptor {
                entry = entry.descriptor(Descriptor { signature, zip64 });
            }
            archive = archive.entry(entry);
            expected.push((name.into_bytes(), content));
        }
        prop_assert_eq!(read(&archive.build()), expected);
    }

    #[test]
    fn checksums_of_zeros_are_those_of_their_bytes(len in 0..3_000_000_usize) {
        let zeros = Content::Zeros(len as u64);
        prop_assert_eq!(zeros.crc(), crc32fast::hash(&vec![0; len]));
    }

    /// Checks that the archive's layout says where the bytes are.
    #[test]
    fn layout_covers_the_archive(prefix in "[a-z]{0,9}", comment in "[a-z]{0,9}") {
        let (bytes, layout) = sample().prefix(prefix.as_str()).comment(comment).build_with_layout();
        let mut at = prefix.len();
        for (header, data) in layout.local_headers.iter().zip(&layout.data) {
            prop_assert_eq!(header.start, at);
            prop_assert_eq!(header.end, data.start);
            at = data.end;
        }
        prop_assert_eq!(layout.central_directory.start, at);
        prop_assert_eq!(layout.central_directory.end, layout.end.start);
        prop_assert_eq!(layout.end.end, bytes.len());
    }
}
