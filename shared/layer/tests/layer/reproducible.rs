//! The same inputs give the same bytes and the same digest: in any order, on any machine.

use std::collections::BTreeSet;

use accretion_archive::Method;
use accretion_core::digest::{ARCHIVE_FORMAT, Component, Digest, Sha256};
use accretion_core::limits::WheelLimits;
use accretion_core::pruning::Pruning;
use accretion_core::target::{Architecture, Runtime, Target};
use accretion_layer::of_files;
use accretion_python::lock::{Locked, LockedFile, LockedPackage};
use accretion_testing::forge::zip::{Entry, Method as ZipMethod};
use accretion_testing::forge::{Part, Wheel, WheelForge};
use accretion_tree::{LAYOUT_EXTENSION, LayoutFile, Origin};
use proptest::prelude::*;

use crate::harness::{inspect_with, splice};
use crate::pruning::pruning;

const TARGET: Target = Target {
    runtime: Runtime::Python313,
    architecture: Architecture::Arm64,
};

fn package(name: &str, sha256: u8, is_source: bool) -> LockedPackage {
    let filename = format!("{}-1.0-py3-none-any.whl", name.replace('-', "_"));
    let file = LockedFile {
        url: format!("https://example.com/{filename}").parse().unwrap(),
        sha256: Sha256([sha256; 32]),
        size: None,
    };
    LockedPackage {
        name: name.parse().unwrap(),
        version: "1.0".into(),
        locked: if is_source {
            let filename = format!("{name}-1.0.tar.gz");
            Locked::SourceDistribution { filename, file }
        } else {
            let filename = filename.parse().unwrap();
            Locked::Wheel { filename, file }
        },
        yanked: None,
    }
}

/// Two wheels whose every byte is given here: what compressors of other versions or machines
/// make of them does not count.
fn golden_wheels() -> [Wheel; 2] {
    // `deflated\n` as one block with fixed codes.
    let stream = vec![
        0x4b, 0x49, 0x4d, 0xcb, 0x49, 0x2c, 0x49, 0x4d, 0xe1, 0x02, 0x00,
    ];
    let deflated = ZipMethod::Raw { number: 8, stream };
    let stored = |path: &str, content: &str| Entry::file(path, content).method(ZipMethod::Stored);
    let one = WheelForge::new("Golden.One", "1.0")
        .method(ZipMethod::Stored)
        .file("golden/__init__.py", "")
        .file("golden/é.txt", "é\n")
        .executable("golden/run.sh", "#!/bin/sh\n")
        .data("scripts", "golden-tool", "#!python\nimport golden\n")
        .data("headers", "golden.h", "#pragma once\n")
        .entry_point("console_scripts", "golden", "golden:main")
        .file("shared.py", "one = 1\n".repeat(40))
        .build();
    let two = WheelForge::new("golden-two", "2.0")
        .method(ZipMethod::Stored)
        .record(Part::Crlf)
        .file("shared.py", "two = 2\n")
        .build_with(|archive| {
            archive
                .entry(stored("golden/__init__.py", ""))
                .entry(Entry::file("two.txt", "deflated\n").method(deflated))
                .entry(Entry::file("two.zst", "zstandard\n".repeat(30)).method(ZipMethod::Zstd))
        });
    [one, two]
}

/// Fails when the same wheels give other bytes than before.
///
/// Artifacts are found again by their digest, which says nothing of the code that wrote them.
#[test]
fn the_bytes_of_a_layer_are_pinned() {
    let wheels =
        golden_wheels().map(|wheel| inspect_with(&wheel, &WheelLimits::default(), 1).unwrap());
    let layer = splice(&wheels).unwrap();
    layer.files();
    let pinned = (
        1,
        "layout01",
        "fb384ec24f6610577a3c2768fd7a28cf1aa60e46ef62a48db3f212149757f48c",
    );
    assert_eq!(
        (
            ARCHIVE_FORMAT,
            LAYOUT_EXTENSION,
            layer.written.sha256.to_string().as_str()
        ),
        pinned,
        "the same wheels give another layer than before: if that is meant, raise ARCHIVE_FORMAT, \
         so that no digest names two contents, and LAYOUT_EXTENSION, so that no cache brings the \
         old files back; then pin the new hash here"
    );
}

#[test]
fn the_text_that_is_digested_is_pinned() {
    let canonical = format!(
        "{{\"ArchiveFormat\":{ARCHIVE_FORMAT},\"Architecture\":\"arm64\",\"Runtime\":\"python3.13\",\
         \"Wheels\":[\
         {{\"Name\":\"golden-one\",\"Sha256\":\"{}\",\"Source\":false}},\
         {{\"Name\":\"golden-two\",\"Sha256\":\"{}\",\"Source\":true}}]}}",
        "01".repeat(32),
        "02".repeat(32),
    );
    let packages = [
        package("golden-two", 2, true),
        package("golden-one", 1, false),
    ];
    assert_eq!(
        digest(TARGET, &packages),
        Digest(Sha256::of(canonical.as_bytes())),
        "the text under the digest is another than before: if that is meant, raise ARCHIVE_FORMAT \
         and pin the new text here"
    );
    assert_eq!(
        digest(TARGET, &packages).to_string(),
        "sha256:0caaff4858a61095261a5d8ab110a5c38ced16a6e0865da597d38fc87d6e37fc"
    );
}

#[test]
fn the_text_that_is_digested_of_a_merged_layer_is_pinned() {
    let tree = |runtime: &str| {
        format!(
            "{{\"Architecture\":\"arm64\",\"Runtime\":\"{runtime}\",\"Wheels\":[\
             {{\"Name\":\"golden-one\",\"Sha256\":\"{}\",\"Source\":false}}]}}",
            "01".repeat(32)
        )
    };
    let canonical = format!(
        "{{\"ArchiveFormat\":{ARCHIVE_FORMAT},\"Trees\":[{},{}]}}",
        tree("python3.12"),
        tree("python3.13"),
    );
    let packages = [package("golden-one", 1, false)];
    let old = Target {
        runtime: Runtime::Python312,
        ..TARGET
    };
    let both = merged([(TARGET, &packages), (old, &packages)]);
    assert_eq!(both, Digest(Sha256::of(canonical.as_bytes())));
    // In any order, but for these runtimes and packages alone.
    assert_eq!(merged([(old, &packages), (TARGET, &packages)]), both);
    let other = [package("golden-one", 3, false)];
    for digest in [
        merged([(TARGET, &packages)]),
        merged([(TARGET, &packages), (old, &other)]),
        merged([(TARGET, &other), (old, &packages)]),
        digest(TARGET, &packages),
    ] {
        assert_ne!(digest, both);
    }
    assert_ne!(merged([(TARGET, &packages)]), digest(TARGET, &packages));
    // With what else changes the bytes.
    let trees = || {
        [
            (TARGET, components(&packages)),
            (old, components(&packages)),
        ]
    };
    let files = [own_file("a.py", 3, false)];
    let with_files = Digest::of_merged(trees(), Some(of_files(&files)), &Pruning::default());
    let pruned = Digest::of_merged(trees(), None, &pruning(&["tests/"], &[]));
    assert!(with_files != both && pruned != both && with_files != pruned);
}

/// Packages as a digest counts them.
fn components(packages: &[LockedPackage]) -> Vec<Component<'_>> {
    packages.iter().map(LockedPackage::component).collect()
}

/// The digest of the layer of packages, without anything else.
fn digest(target: Target, packages: &[LockedPackage]) -> Digest {
    Digest::of_layer(target, components(packages))
}

/// The digest of a merged layer without anything else.
fn merged<const N: usize>(trees: [(Target, &[LockedPackage; 1]); N]) -> Digest {
    let trees = trees.map(|(target, packages)| (target, components(packages)));
    Digest::of_merged(trees, None, &Pruning::default())
}

#[test]
fn the_text_that_is_digested_of_more_contents_is_pinned() {
    let files = [own_file("a.py", 3, false), own_file("b/tool", 4, true)];
    let canonical_files = format!(
        "[{{\"Executable\":false,\"Path\":\"a.py\",\"Sha256\":\"{}\"}},\
         {{\"Executable\":true,\"Path\":\"b/tool\",\"Sha256\":\"{}\"}}]",
        "03".repeat(32),
        "04".repeat(32),
    );
    let hash = Sha256::of(canonical_files.as_bytes());
    let canonical = format!(
        "{{\"ArchiveFormat\":{ARCHIVE_FORMAT},\"Architecture\":\"arm64\",\"Files\":\"{hash}\",\
         \"Include\":[\"b/\"],\"Prune\":[\"*.pyi\",\"tests/\"],\"Runtime\":\"python3.13\",\
         \"Wheels\":[{{\"Name\":\"golden-one\",\"Sha256\":\"{}\",\"Source\":false}}]}}",
        "01".repeat(32),
    );
    let packages = [package("golden-one", 1, false)];
    let pruning = pruning(&["tests/", "*.pyi"], &["b/"]);
    assert_eq!(
        Digest::of_contents(
            TARGET,
            components(&packages),
            Some(of_files(&files)),
            &pruning
        ),
        Digest(Sha256::of(canonical.as_bytes())),
        "the text under the digest is another than before: if that is meant, raise ARCHIVE_FORMAT \
         and pin the new text here"
    );
    let nothing = Digest::of_contents(TARGET, components(&packages), None, &Pruning::default());
    assert_eq!(nothing, digest(TARGET, &packages));
}

fn own_file(path: &str, content: u8, executable: bool) -> LayoutFile {
    LayoutFile {
        path: path.to_owned(),
        origin: Origin::Archive,
        // Where and how it is packed says nothing about what it is.
        offset: u64::from(content),
        method: Method::Stored,
        compressed_size: 1,
        size: 1,
        crc32: 0,
        sha256: Sha256([content; 32]),
        executable,
    }
}

#[test]
fn the_digest_tells_what_determines_the_bytes() {
    let base = [package("aa", 1, false), package("bb", 2, false)];
    let mut all = vec![
        digest(TARGET, &base),
        digest(TARGET, &base[..1]),
        digest(TARGET, &[]),
        digest(TARGET, &[package("aa", 1, false), package("bb", 3, false)]),
        digest(TARGET, &[package("aa", 1, false), package("bb", 2, true)]),
        digest(TARGET, &[package("aa", 1, false), package("bc", 2, false)]),
        digest(TARGET, &[package("aa", 2, false), package("bb", 1, false)]),
    ];
    for runtime in Runtime::all() {
        for architecture in Architecture::ALL {
            let target = Target {
                runtime,
                architecture,
            };
            if target != TARGET {
                all.push(digest(target, &base));
            }
        }
    }
    let distinct: BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());

    // Where a file comes from, how large it is and how its version is written change no byte.
    let mut moved = base.clone();
    moved[0].version = "1".into();
    let Locked::Wheel { file, .. } = &mut moved[0].locked else {
        panic!("the first package is locked to a wheel")
    };
    file.url = "https://example.org/elsewhere.whl".parse().unwrap();
    file.size = Some(9);
    assert_eq!(digest(TARGET, &moved), digest(TARGET, &base));
}

/// A path, with contents that differ between wheels or do not.
fn file() -> impl Strategy<Value = (&'static str, String, bool, ZipMethod)> {
    let path = prop::sample::select(vec![
        "shared/__init__.py",
        "shared/é.py",
        "shared/sub/x.py",
        "shared.py",
        "shared-x",
        "top.py",
        "share/data,1.txt",
    ]);
    let content = prop::sample::select(vec!["", "x = 1\n", "y = 2\n"]);
    let method = prop_oneof![
        Just(ZipMethod::Stored),
        Just(ZipMethod::Deflate(6)),
        Just(ZipMethod::Deflate(1)),
        Just(ZipMethod::Zstd)
    ];
    (path, content, 0..40_usize, any::<bool>(), method).prop_map(
        |(path, content, times, executable, method)| {
            (path, content.repeat(times), executable, method)
        },
    )
}

fn forge(name: &'static str) -> impl Strategy<Value = WheelForge> {
    let files = prop::collection::vec(file(), 0..5);
    (files, any::<bool>(), any::<bool>()).prop_map(move |(files, entry_point, script)| {
        let mut forge = WheelForge::new(name, "1.0");
        let mut taken = BTreeSet::new();
        for (path, content, executable, method) in files {
            let mode = if executable { 0o100_755 } else { 0o100_644 };
            if taken.insert(path) {
                forge = forge.entry(Entry::file(path, content).mode(mode).method(method));
            }
        }
        if entry_point {
            let object = format!("{}:main", name.replace('-', "_"));
            forge = forge.entry_point("console_scripts", "tool", &object);
        }
        if script {
            forge = forge.data("scripts", "tool", format!("#!python\n{name}\n"));
        }
        forge
    })
}

fn forges() -> impl Strategy<Value = Vec<WheelForge>> {
    let all = (forge("aa"), forge("bb"), forge("b-c"), forge("dd"));
    let all = all.prop_map(|(aa, bb, bc, dd)| vec![aa, bb, bc, dd]);
    all.prop_flat_map(|all| prop::sample::subsequence(all, 1..=4))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_any_number_of_threads_give_the_same_bytes(
        (one, other) in forges().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        threads in 1..8_usize,
    ) {
        let limits = WheelLimits::default();
        let layer = |forges: &[WheelForge], threads| {
            let wheels = forges.iter().map(WheelForge::build);
            let inspected = wheels.map(|wheel| inspect_with(&wheel, &limits, threads).unwrap());
            splice(&inspected.collect::<Vec<_>>()).unwrap()
        };
        let layer_of_one = layer(&one, 1);
        layer_of_one.files();
        prop_assert_eq!(layer(&other, threads), layer_of_one);
    }

    #[test]
    fn the_digest_does_not_depend_on_order(
        hashes in prop::collection::btree_map("[a-z]{1,8}", (any::<u8>(), any::<bool>()), 0..8)
            .prop_flat_map(|all| {
                let all: Vec<_> = all.into_iter().collect();
                (Just(all.clone()), Just(all).prop_shuffle())
            }),
    ) {
        let of = |packages: &[(String, (u8, bool))]| {
            let packages = packages.iter().map(|(name, (sha, source))| package(name, *sha, *source));
            digest(TARGET, &packages.collect::<Vec<_>>())
        };
        prop_assert_eq!(of(&hashes.0), of(&hashes.1));
    }
}
