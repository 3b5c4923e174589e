//! Wheels out of an index: broken, lying, or somewhere else than they should be.
//!
//! The most dangerous of each kind. What the reader of archives refuses besides is in
//! `shared/core/tests/core/hostile.rs`.

use accretion_testing::forge::zip::{
    Archive, Claim, Content, EndClaim, EndPlace, Entry, Method, Place, Zip64End,
};
use accretion_testing::forge::{Part, SdistForge, Wheel, WheelForge};
use accretion_testing::index::{Distribution, Fault};

use crate::case::{Case, Kind};
use crate::site::{CANARY, Site};

const FILE: &str = "evil-1.0-py3-none-any.whl";

fn evil() -> WheelForge {
    WheelForge::new("evil", "1.0").file("evil/__init__.py", format!("'{CANARY}'\n").repeat(50))
}

/// The evil wheel with one more entry.
fn with(entry: Entry) -> Wheel {
    evil().build_with(|archive| archive.entry(entry))
}

/// A wheel that is required by its name.
fn required(name: &str, wheel: Wheel, code: &'static str) -> Case {
    let wanted = move |site: &Site| {
        site.add(wheel.clone());
        ("requirements.txt", "evil".to_owned())
    };
    Case::build(Kind::Wheel, name, wanted, code)
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = archives();
    cases.extend(distributions());
    cases.extend(servers());
    cases.extend(resolutions());
    cases.extend(hosts());
    cases
}

fn archives() -> Vec<Case> {
    let file = |path: &str| with(Entry::file(path, CANARY));
    let point =
        |name: &str, object: &str| evil().entry_point("console_scripts", name, object).build();
    let small = |entry: Entry| entry.lie(Place::Everywhere, Claim::UncompressedSize(1000));
    let inner = Archive::new().file("inner.py", CANARY).build();
    let invalid: Vec<(&str, Wheel)> = vec![
        ("a path that leads up", file("../../../../evil.py")),
        (
            "a path that leads up out of python",
            file("python/../../evil.py"),
        ),
        (
            "a path that leads up and back",
            file("evil/../../../root/evil.py"),
        ),
        ("an absolute path", file("/tmp/accretion-evil.py")),
        ("a path on a drive", file("C:\\evil.py")),
        ("a path with backslashes", file("..\\..\\evil.py")),
        ("a path with a NUL", file("evil/x.py\0.txt")),
        ("a path with an escape sequence", file("evil/\u{1b}[2J.py")),
        (
            "a path that is no UTF-8",
            with(Entry::file(*b"evil/\xff.py", CANARY).utf8_flag(true)),
        ),
        (
            "a link to a secret",
            with(Entry::symlink("evil/secret", "../../../secret.txt")),
        ),
        ("a link, and a file behind it", {
            let link = Entry::symlink("evil/tmp", "/tmp");
            evil().build_with(|it| {
                it.entry(link)
                    .entry(Entry::file("evil/tmp/accretion-evil.py", CANARY))
            })
        }),
        (
            "a device",
            with(Entry::file("evil/null", "").mode(0o020_666)),
        ),
        ("a file twice", file("evil/__init__.py")),
        ("a file twice by two spellings", file("evil/./__init__.py")),
        (
            "a file that no directory lists",
            evil().build_with(|it| it.entry(Entry::file("evil/x.py", CANARY).local_only())),
        ),
        (
            "a name that readers spell in two ways",
            with(Entry::file("evil/é.py", CANARY).utf8_flag(false)),
        ),
        (
            "a data folder of another package",
            file("harmless-1.0.data/purelib/evil.py"),
        ),
        (
            "an entry point that is two",
            evil()
                .entry_point("console_scripts", "evil", "evil:main")
                .entry_point("console_scripts", "evil", "evil:other")
                .build(),
        ),
        ("a file and a folder", file("evil/__init__.py/x.py")),
        (
            "a file under two names",
            evil().build_with(|it| {
                it.entry(
                    Entry::file("evil/a.py", CANARY)
                        .lie(Place::Local, Claim::Name(b"evil/b.py".to_vec())),
                )
            }),
        ),
        (
            "entries that overlap",
            evil().build_with(|it| it.overlap(0, "evil/again.py")),
        ),
        (
            "an archive within, and into it",
            evil().build_with(|it| {
                it.entry(Entry::file("outer", inner).method(Method::Stored))
                    .entry(Entry::file("inner.py", CANARY).lie(Place::Central, Claim::Offset(40)))
            }),
        ),
        (
            "a bomb that denies it",
            with(small(Entry::bomb("evil/bomb", 64 << 20))),
        ),
        (
            "a bomb of zstd that denies it",
            with(small(
                Entry::file("evil/bomb", Content::Zeros(64 << 20)).method(Method::Zstd),
            )),
        ),
        (
            "a checksum that is wrong",
            with(Entry::file("evil/x.py", CANARY).lie(Place::Everywhere, Claim::Crc(1))),
        ),
        (
            "an encrypted entry",
            with(Entry::file("evil/x.py", CANARY).encrypted()),
        ),
        (
            "a program before the archive",
            evil().build_with(|it| it.prefix("#!/bin/sh\nid\n")),
        ),
        ("an archive behind the archive", {
            let mut wheel = evil().build();
            wheel.bytes.extend(Archive::new().file("x", "x").build());
            Wheel {
                metadata: wheel.metadata,
                ..Wheel::new(FILE, wheel.bytes)
            }
        }),
        (
            "a scheme that there is none of",
            evil().data("lib64", "x", CANARY).build(),
        ),
        (
            "a scheme that leads up",
            evil().data("data", "../../../evil.py", CANARY).build(),
        ),
        (
            "a script that leads up",
            evil().data("scripts", "../../../evil", CANARY).build(),
        ),
        (
            "an entry point that leads up",
            point("../../evil", "evil:main"),
        ),
        (
            "an entry point that runs something",
            point("evil", "evil:main();import os;os.system('id')"),
        ),
        (
            "an entry point with a second line",
            point("evil", "evil:main\nimport os"),
        ),
        ("an entry point in a shell", point("evil;id", "evil:$(id)")),
        (
            "a dist-info of another package",
            evil().dist_info("harmless-1.0.dist-info").build(),
        ),
        (
            "a dist-info besides",
            file("harmless-1.0.dist-info/METADATA"),
        ),
        (
            "a dist-info in capitals besides",
            file("EVIL-1.0.dist-info/METADATA"),
        ),
        ("no RECORD", evil().record(Part::Missing).build()),
        (
            "a form of wheels to come",
            evil().wheel_version("9.0").build(),
        ),
    ];
    let over: Vec<(&str, Wheel)> = vec![
        ("a bomb", with(Entry::bomb("evil/bomb", 10 << 30))),
        ("metadata of a hundred megabytes", {
            let metadata = Entry::bomb("evil-1.0.dist-info/METADATA", 100 << 20);
            let mut wheel = evil()
                .metadata(Part::Missing)
                .build_with(|it| it.entry(metadata));
            wheel.metadata = Some(b"Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n".to_vec());
            wheel
        }),
        (
            "entry points of nine megabytes",
            evil()
                .dist_info_file("entry_points.txt", "\n".repeat(9 << 20))
                .build(),
        ),
        ("two hundred thousand entries", {
            let wheel = evil().build_with(|it| it.many_entries(200_000));
            Wheel {
                metadata: evil().build().metadata,
                ..wheel
            }
        }),
        (
            "a million million entries",
            evil().build_with(|it| {
                it.zip64_end(Zip64End::Forced)
                    .lie(EndPlace::Zip64, EndClaim::Entries(1 << 40))
                    .lie(EndPlace::Zip64, EndClaim::EntriesOnDisk(1 << 40))
            }),
        ),
    ];
    let invalid = invalid
        .into_iter()
        .map(|(name, wheel)| required(name, wheel, "WheelInvalid"));
    let over = over
        .into_iter()
        .map(|(name, wheel)| required(name, wheel, "WheelOverLimit"));
    invalid.chain(over).collect()
}

fn distributions() -> Vec<Case> {
    let build = |name: &str, add: Box<dyn Fn(&Site)>, requirements: &'static str, code| {
        let wanted = move |site: &Site| {
            add(site);
            ("requirements.txt", requirements.to_owned())
        };
        Case::build(Kind::Wheel, name, wanted, code)
    };
    let requiring = |name: &str, requirement: &'static str, code| {
        required(name, evil().requires(requirement).build(), code)
    };
    vec![
        build(
            "a file where another wheel has a folder",
            Box::new(|site| {
                site.add_sound(
                    WheelForge::new("evil", "1.0")
                        .file("harmless", CANARY)
                        .build(),
                );
            }),
            "evil\nharmless",
            "LayerConflict",
        ),
        build(
            "a package that is source alone",
            Box::new(|site| {
                let canary = site.secret().with_file_name("executed");
                site.index
                    .add(SdistForge::new("evil", "1.0").canary(&canary).build());
            }),
            "evil",
            "WheelNotFound",
        ),
        build(
            "a package that is a setup.py alone",
            Box::new(|site| {
                let canary = site.secret().with_file_name("executed");
                let setup = format!("open('{}', 'w').write('x')\n", canary.display());
                site.index
                    .add(SdistForge::new("evil", "1.0").setup_py(&setup).build());
            }),
            "evil",
            "WheelNotFound",
        ),
        build(
            "a hash that is not the file's",
            Box::new(|site| {
                let listed = Distribution::from(evil().build()).listed_sha256(&"0".repeat(64));
                site.index.add(listed);
            }),
            "evil",
            "HashMismatch",
        ),
        build(
            "a hash that is not the required one",
            Box::new(|site| site.add(evil().build())),
            "evil==1.0 --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000",
            "HashNotAllowed",
        ),
        build(
            "a package that is nowhere",
            Box::new(|_| {}),
            "evil",
            "PackageNotFound",
        ),
        build(
            "a package that contradicts itself",
            Box::new(|site| {
                site.add(evil().requires("evil==2.0").build());
            }),
            "evil",
            "RequirementsUnsatisfiable",
        ),
        required(
            "metadata of another package",
            evil()
                .metadata(Part::Content(
                    b"Metadata-Version: 2.1\nName: harmless\nVersion: 1.0\n".to_vec(),
                ))
                .build(),
            "PackageUnusable",
        ),
        required(
            "metadata of another package in the file alone",
            Wheel {
                metadata: evil().build().metadata,
                ..evil()
                    .metadata(Part::Content(
                        b"Metadata-Version: 2.1\nName: harmless\nVersion: 1.0\n".to_vec(),
                    ))
                    .build()
            },
            "WheelInvalid",
        ),
        requiring(
            "a requirement by a path",
            "other @ file:///etc/passwd",
            "RequirementsUnsatisfiable",
        ),
        requiring(
            "a requirement in a repository",
            "other @ git+ssh://git@example.com/evil",
            "PackageUnusable",
        ),
        requiring(
            "a requirement of the instance's metadata",
            "other @ http://169.254.169.254/other-1.0-py3-none-any.whl",
            "PackageUnusable",
        ),
        requiring(
            "a requirement that is an option",
            "--index-url https://example.com",
            "RequirementsUnsatisfiable",
        ),
        requiring(
            "a requirement that leads up",
            "../other",
            "RequirementsUnsatisfiable",
        ),
    ]
}

/// Redirects and answers of the server that has the wheel.
fn servers() -> Vec<Case> {
    let faulty = |name: &str, fault: Box<dyn Fn(&Site) -> Fault>, code| {
        let wanted = move |site: &Site| {
            site.add(evil().build());
            site.index.fault(FILE, fault(site));
            ("requirements.txt", "evil".to_owned())
        };
        Case::build(Kind::Wheel, name, wanted, code)
    };
    let redirect = |name: &str, to: &'static str, code| {
        let fault = move |_: &Site| Fault::Redirect(format!("{to}/{FILE}"));
        faulty(name, Box::new(fault), code)
    };
    let at_service = |name: &str, scheme: &'static str, code| {
        let fault = move |site: &Site| Fault::Redirect(site.service_url(scheme) + "/" + FILE);
        faulty(name, Box::new(fault), code)
    };
    let local = "LocalAddressRefused";
    vec![
        at_service("a redirect to this machine", "http", local),
        at_service("a redirect to this machine, encrypted", "https", local),
        redirect("a redirect to localhost", "https://localhost:9001", local),
        redirect("a redirect to an IPv6 address", "https://[::1]:9001", local),
        redirect(
            "a redirect to an address in decimal",
            "https://2130706433:9001",
            local,
        ),
        redirect(
            "a redirect to the instance's metadata",
            "https://169.254.169.254",
            local,
        ),
        redirect(
            "a redirect to the instance's metadata, plain",
            "http://169.254.169.254",
            local,
        ),
        redirect(
            "a redirect to the instance's metadata in hexadecimal",
            "http://0xa9fea9fe",
            local,
        ),
        redirect(
            "a redirect to plain HTTP",
            "http://192.0.2.1",
            "InsecureUrl",
        ),
        redirect("a redirect to a file", "file:///etc", "FileNotFound"),
        faulty(
            "a redirect that never ends",
            Box::new(|site| Fault::Redirect(site.index.file_url(FILE))),
            "UpstreamUnavailable",
        ),
        faulty(
            "a file that was changed on its way",
            Box::new(|_| Fault::Corrupt),
            "HashMismatch",
        ),
        faulty(
            "a file that lacks its end",
            Box::new(|_| Fault::WrongLength),
            "HashMismatch",
        ),
        faulty(
            "a file that breaks off",
            Box::new(|_| Fault::Truncated(100)),
            "DownloadIncomplete",
        ),
        faulty(
            "a file that nobody may have",
            Box::new(|_| Fault::Status(403)),
            "FileNotFound",
        ),
    ]
}

/// The places to which uv is led, which asks for metadata itself.
fn resolutions() -> Vec<Case> {
    let mut cases = Vec::new();
    let local = "LocalAddressRefused";
    for (how, scheme) in [("", "http"), (", encrypted", "https")] {
        let url = |site: &Site| format!("evil @ {}/{FILE}", site.service_url(scheme));
        let redirect = |name: &str, path: &'static str| {
            let wanted = move |site: &Site| {
                site.add(evil().build());
                site.index
                    .fault(path, Fault::Redirect(site.service_url(scheme)));
                ("requirements.txt", "evil".to_owned())
            };
            Case::build(Kind::Wheel, &format!("{name}{how}"), wanted, local)
        };
        cases.extend([
            Case::build(
                Kind::Wheel,
                &format!("a URL on this machine{how}"),
                move |site| ("requirements.txt", url(site)),
                local,
            ),
            redirect(
                "metadata by a redirect to this machine",
                "evil-1.0-py3-none-any.whl.metadata",
            ),
            redirect("an index by a redirect to this machine", "/simple/evil/"),
        ]);
    }
    let metadata = format!("evil @ https://169.254.169.254/{FILE}");
    cases.push(Case::build(
        Kind::Wheel,
        "a URL of the instance's metadata",
        move |_| ("requirements.txt", metadata.clone()),
        local,
    ));
    cases
}

/// Hosts that the operator does not allow.
fn hosts() -> Vec<Case> {
    let refused = "HostNotAllowed";
    let url = format!("evil @ https://example.org/{FILE}");
    let away = Fault::Redirect(format!("https://example.org/{FILE}"));
    let metadata = away.clone();
    vec![
        Case::build(
            Kind::Wheel,
            "a URL of another host",
            move |_| ("requirements.txt", url.clone()),
            refused,
        )
        .allowing("example.com"),
        Case::build(
            Kind::Wheel,
            "a redirect to another host",
            move |site| {
                site.add(evil().build());
                site.index.fault(FILE, away.clone());
                ("requirements.txt", "evil".to_owned())
            },
            refused,
        )
        .allowing("example.com"),
        Case::build(
            Kind::Wheel,
            "metadata by a redirect to another host",
            move |site| {
                site.add(evil().build());
                site.index
                    .fault(&format!("{FILE}.metadata"), metadata.clone());
                ("requirements.txt", "evil".to_owned())
            },
            refused,
        )
        .allowing("example.com"),
    ]
}
