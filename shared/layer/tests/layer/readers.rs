//! Archives and metadata that two readers would take differently, found by fuzzing against Python's zipfile, email and csv:
//! refused, or read as they do.

use accretion_archive::Directory;
use accretion_core::digest::Sha256;
use accretion_testing::forge::zip::{
    Archive, Claim, EXTRA_UNICODE_PATH, EXTRA_ZIP64, Entry, FLAG_UTF8, Method, Place,
};
use accretion_testing::forge::{Part, WheelForge};

use crate::harness::{inspect_wheel, refusal};

fn demo() -> WheelForge {
    WheelForge::new("demo", "1.0").file("demo/__init__.py", "x = 1\n")
}

/// The reason why an archive of one more entry is not read whole, by its directory alone.
fn refused(entry: Entry) -> String {
    let bytes = Archive::new().file("first", "x").entry(entry).build();
    let directory = Directory::read(&bytes, bytes.len() as u64, 9);
    let unpacked = directory.and_then(|directory| {
        directory.unpack(&bytes, 0, |_| Ok(()))?;
        directory.unpack(&bytes, 1, |_| Ok(()))
    });
    unpacked.map_or_else(|error| error.to_string(), |_| "accepted".to_owned())
}

fn file(name: &str) -> Entry {
    Entry::file(name, "x".repeat(50))
}

#[test]
fn names_that_end_at_a_nul_for_others() {
    let expected = "entry `a\\0b` has a name with a NUL";
    assert_eq!(refused(file("a\0b")), expected);
}

#[test]
fn names_that_only_one_of_two_headers_calls_utf8() {
    let as_cp437 = Claim::Flags(0);
    let as_utf8 = Claim::Flags(FLAG_UTF8);
    assert_eq!(
        refused(file("é").lie(Place::Local, as_cp437)),
        "entry `é` has another flag in its local header"
    );
    let local = file("é")
        .utf8_flag(false)
        .lie(Place::Local, as_utf8.clone());
    assert_eq!(
        refused(local),
        "entry `é` has a name beyond ASCII that is not marked as UTF-8"
    );
    // In ASCII both are the same.
    assert_eq!(refused(file("e").lie(Place::Local, as_utf8)), "accepted");
}

#[test]
fn names_that_an_extra_field_changes() {
    let expected = "entry `a` has another name in an extra field";
    for place in [Place::Central, Place::Local, Place::Everywhere] {
        assert_eq!(refused(file("a").unicode_path(place, "b")), expected);
        let cut_off = file("a").extra(place, EXTRA_UNICODE_PATH, &[1]);
        assert_eq!(refused(cut_off), expected);
        assert_eq!(refused(file("a").unicode_path(place, "a")), "accepted");
    }
}

#[test]
fn extra_fields_that_break_behind_the_one_that_counts() {
    let broken = [9, 9, 9, 9, 9];
    for place in [Place::Central, Place::Local] {
        let entry = || file("a").zip64(place);
        assert_eq!(
            refused(entry().raw_extra(place, broken)),
            "entry `a` has a broken extra field"
        );
        assert_eq!(
            refused(entry().extra(place, EXTRA_ZIP64, &[0; 16])),
            "entry `a` has two ZIP64 fields"
        );
        // Fewer bytes than a header has are padding.
        assert_eq!(refused(entry().raw_extra(place, [0; 3])), "accepted");
    }
}

#[test]
fn versions_of_the_format_that_do_not_exist() {
    let version =
        |version| refused(file("a").lie(Place::Everywhere, Claim::VersionNeeded(version)));
    let expected = "entry `a` needs a newer version of the ZIP format";
    assert_eq!(version(64), expected);
    assert_eq!(version(255), expected);
    assert_eq!(version(63), "accepted");
    // The upper byte is that of a system.
    assert_eq!(version(0x0314), "accepted");
}

#[test]
fn comments_with_the_signature_of_an_end_record() {
    let expected = "WheelInvalid: the wheel `demo-1.0-py3-none-any.whl` cannot be used: it has more \
                    than one possible end record";
    // Their length does not fit, or there is nothing but a signature.
    for comment in [
        [Archive::new().build(), b"x".to_vec()].concat(),
        b"PK\x05\x06".to_vec(),
    ] {
        let wheel = demo().build_with(|archive| archive.comment(comment.clone()));
        assert_eq!(refusal(inspect_wheel(&wheel)), expected);
    }
    let wheel = demo().build_with(|archive| archive.comment("PK\x05"));
    assert_eq!(refusal(inspect_wheel(&wheel)), "accepted");
    // What is stored may be an archive itself.
    let inner = Archive::new().file("a", "x").build();
    let stored = Entry::file("demo/inner.zip", inner).method(Method::Stored);
    let wheel = demo().entry(stored).build();
    assert_eq!(refusal(inspect_wheel(&wheel)), "accepted");
}

#[test]
fn paths_that_are_two_lines_of_a_record() {
    for separator in ['\u{2028}', '\u{2029}'] {
        let wheel = demo().file(&format!("demo/{separator}x"), "").build();
        let refusal_of_path = refusal(inspect_wheel(&wheel));
        assert!(
            refusal_of_path.ends_with("has a line separator"),
            "{refusal_of_path}"
        );
        let name = format!("a{separator}b");
        let wheel = demo()
            .entry_point("console_scripts", &name, "demo:main")
            .build();
        let refusal_of_script = refusal(inspect_wheel(&wheel));
        assert!(
            refusal_of_script.contains("cannot become a script"),
            "{refusal_of_script}"
        );
    }
}

#[test]
fn metadata_of_two_names() {
    for text in [
        "Summary: x\rName: other\nName: demo\nVersion: 1.0\n",
        "Summary\nName: demo\nVersion: 1.0\n",
        "Name: demo\n other\nVersion: 1.0\n",
    ] {
        let metadata = Part::Content(text.as_bytes().to_vec());
        let refusal = refusal(inspect_wheel(&demo().metadata(metadata).build()));
        assert!(
            refusal.contains("its metadata says that it is"),
            "{text:?}: {refusal}"
        );
    }
}

#[test]
fn hashes_that_would_garble_a_message() {
    let text = format!("\u{1b}[2J\n{}", "0".repeat(1000));
    let message = text.parse::<Sha256>().unwrap_err().to_string();
    assert!(
        message.len() < 200 && !message.contains(char::is_control),
        "{message:?}"
    );
}
