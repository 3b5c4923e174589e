//! Files of one's own that requests name.

use accretion_testing::forge::WheelForge;
use accretion_testing::forge::zip::{Archive, Claim, Entry, Place};
use accretion_testing::secrets::planted;
use serde_json::{Value, json};

use crate::case::{Case, EVERY_HOST, End, Input, Kind};

const ZIP: &str = "files/tools/src.zip";
const WHEEL: &str = "files/tools/own-1.0-py3-none-any.whl";

fn case(
    name: &str,
    objects: Vec<(&str, Vec<u8>)>,
    files: Value,
    codes: &'static [&'static str],
) -> Case {
    let objects = objects.into_iter();
    Case {
        kind: Kind::Files,
        name: name.to_owned(),
        input: Input::Files {
            objects: objects
                .map(|(key, bytes)| (key.to_owned(), bytes))
                .collect(),
            files,
        },
        end: End::Rejected(codes),
        hosts: EVERY_HOST,
    }
}

/// A zip that can't go into a layer.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a case is one expression, whatever it is made of"
)]
fn zip(name: &str, archive: Archive, codes: &'static [&'static str]) -> Case {
    case(
        name,
        vec![(ZIP, archive.build())],
        json!([{"Key": ZIP}]),
        codes,
    )
}

pub(crate) fn cases() -> Vec<Case> {
    const INVALID: &[&str] = &["FilesInvalid"];
    const MISSING: &[&str] = &["ObjectMissing"];
    const SECRET: &[&str] = &["SecretFound"];
    const LARGE: &[&str] = &["TooLarge"];
    let entry = |entry: Entry| Archive::new().file("good.py", "x").entry(entry);
    let named = |name: &str| entry(Entry::file(name, "x"));
    let wheel = |forge: WheelForge| vec![(WHEEL, forge.build().bytes)];
    let own = || WheelForge::new("own", "1.0").file("own.py", "x");
    let of_wheel = json!([{"Key": WHEEL}]);
    let of_version = |version: &str| {
        let forge = WheelForge::new("own", version).file("own.py", "x");
        forge.build().bytes
    };
    let many: Vec<_> = (0..2_001)
        .map(|at| (format!("files/tools/many/{at}"), Vec::new()))
        .collect();
    let many = many
        .iter()
        .map(|(key, bytes)| (key.as_str(), bytes.clone()));
    let below = json!([{"Prefix": "files/tools/"}]);
    let large = vec![0; (33 << 20) + 1];
    let hash = "0".repeat(64);
    let secret = planted().remove(0).1.into_bytes();
    let below_tools = below.clone();
    vec![
        // What is named.
        case("nothing there", vec![], json!([{"Key": ZIP}]), MISSING),
        case(
            "two wheels of one distribution",
            vec![
                ("files/tools/own-1.0-py3-none-any.whl", own().build().bytes),
                ("files/tools/own-2.0-py3-none-any.whl", of_version("2.0")),
            ],
            json!([
                {"Key": "files/tools/own-1.0-py3-none-any.whl"},
                {"Key": "files/tools/own-2.0-py3-none-any.whl"},
            ]),
            INVALID,
        ),
        case(
            "no object below",
            vec![("files/tools/", vec![])],
            below.clone(),
            MISSING,
        ),
        case(
            "a request",
            vec![],
            json!([{"Key": "requests/tools/x.zip"}]),
            INVALID,
        ),
        case(
            "up and away",
            vec![],
            json!([{"Key": "../files/x.zip"}]),
            INVALID,
        ),
        case(
            "everybody's",
            vec![],
            json!([{"Prefix": "files/"}]),
            INVALID,
        ),
        case("the whole inbox", vec![], json!([{"Prefix": ""}]), INVALID),
        case("what is kept", vec![], json!([{"Sha256": hash}]), INVALID),
        case(
            "a wheel that is kept",
            vec![],
            json!([{"Sha256": hash, "Wheel": "own-1.0-py3-none-any.whl"}]),
            INVALID,
        ),
        case(
            "two at once",
            vec![],
            json!([{"Key": ZIP, "Prefix": "files/x/"}]),
            INVALID,
        ),
        case("nothing at all", vec![], json!([{}]), INVALID),
        case(
            "no zip",
            vec![(ZIP, b"x".to_vec())],
            json!([{"Key": ZIP}]),
            INVALID,
        ),
        case(
            "no bytes",
            vec![(ZIP, vec![])],
            json!([{"Key": ZIP}]),
            INVALID,
        ),
        case(
            "a large zip",
            vec![(ZIP, large.clone())],
            json!([{"Key": ZIP}]),
            LARGE,
        ),
        case("many objects", many.collect(), below.clone(), LARGE),
        case(
            "large objects",
            vec![("files/tools/a", large.clone()), ("files/tools/b", large)],
            below.clone(),
            LARGE,
        ),
        case(
            "an object with a path of its own",
            vec![("files/tools/a/../../b.py", b"x".to_vec())],
            below.clone(),
            INVALID,
        ),
        case(
            "a file and a folder",
            vec![
                ("files/tools/a", b"x".to_vec()),
                ("files/tools/a/b", b"x".to_vec()),
            ],
            below.clone(),
            INVALID,
        ),
        case(
            "two files for one path",
            vec![
                ("files/one/a", b"x".to_vec()),
                ("files/two/a", b"y".to_vec()),
            ],
            json!([{"Prefix": "files/one/"}, {"Prefix": "files/two/"}]),
            INVALID,
        ),
        case(
            "nothing but what is hidden",
            vec![("files/tools/.git/HEAD", b"x".to_vec())],
            below,
            INVALID,
        ),
        // Secrets, of which the three places are all that a request has.
        case(
            "a secret below a prefix",
            vec![("files/tools/a/b/conf.py", secret.clone())],
            below_tools,
            SECRET,
        ),
        zip(
            "a secret in a zip",
            entry(Entry::file("a/b.json", secret.clone())),
            SECRET,
        ),
        case(
            "a secret in a wheel",
            wheel(own().file("own/conf.py", secret)),
            of_wheel.clone(),
            SECRET,
        ),
        // Zips.
        zip("an empty zip", Archive::new(), INVALID),
        zip(
            "a link",
            entry(Entry::symlink("link", "/etc/passwd")),
            INVALID,
        ),
        zip(
            "a device",
            entry(Entry::file("dev", "").mode(0o020_644)),
            INVALID,
        ),
        zip("up", named("../evil.py"), INVALID),
        zip("up from within", named("a/../../evil.py"), INVALID),
        zip("absolute", named("/etc/passwd"), INVALID),
        zip("backslashes", named("..\\evil.py"), INVALID),
        zip("a drive", named("c:/evil.py"), INVALID),
        zip("a line break", named("a\nb"), INVALID),
        zip("a NUL", named("a\0.py"), INVALID),
        zip("twice", named("good.py").file("good.py", "y"), INVALID),
        zip("a folder in the way", named("good.py/x"), INVALID),
        zip("a bomb", entry(Entry::bomb("bomb", 65 << 20)), LARGE),
        zip(
            "a bomb of many",
            (0..9).fold(Archive::new(), |archive, at| {
                archive.entry(Entry::bomb(format!("bomb{at}"), 8 << 20))
            }),
            LARGE,
        ),
        zip("many files", Archive::new().many_entries(2_001), LARGE),
        zip(
            "encrypted",
            entry(Entry::file("x", "x").encrypted()),
            INVALID,
        ),
        zip(
            "a lie about its size",
            entry(Entry::file("x", "xxxx").lie(Place::Everywhere, Claim::UncompressedSize(1))),
            INVALID,
        ),
        zip(
            "a lie about its bytes",
            entry(Entry::file("x", "x").lie(Place::Everywhere, Claim::Crc(7))),
            INVALID,
        ),
        zip(
            "two names",
            entry(Entry::file("x", "x").lie(Place::Local, Claim::Name(b"y".to_vec()))),
            INVALID,
        ),
        zip(
            "something before it",
            named("x").prefix("#!/bin/sh\n"),
            INVALID,
        ),
        zip("overlapping", named("x").overlap(0, "y"), INVALID),
        // Wheels.
        case(
            "no wheel",
            vec![(WHEEL, b"x".to_vec())],
            of_wheel.clone(),
            INVALID,
        ),
        case(
            "another wheel",
            wheel(WheelForge::new("other", "1.0").file("other.py", "x")),
            of_wheel.clone(),
            INVALID,
        ),
        case(
            "a wheel that leads out",
            wheel(own().file("../x", "x")),
            of_wheel,
            INVALID,
        ),
        case(
            "a wheel for Windows",
            vec![("files/own-1.0-cp313-cp313-win_amd64.whl", vec![])],
            json!([{"Key": "files/own-1.0-cp313-cp313-win_amd64.whl"}]),
            INVALID,
        ),
        case(
            "a wheel beside a broken zip",
            vec![(WHEEL, own().build().bytes), (ZIP, b"x".to_vec())],
            json!([{"Key": WHEEL}, {"Key": ZIP}]),
            INVALID,
        ),
    ]
}
