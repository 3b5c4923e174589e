use accretion_python::wheel::Rank;
use std::str;

use accretion_core::target::Target;
use accretion_python::wheel::WheelFilename;

use crate::report;

/// Wheel file names and their tags.
///
/// A name that is accepted is that of a file in any folder, says the same when read again, and fits
/// each target as well as the best of its tags does.
pub fn filename(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    match text.parse::<WheelFilename>() {
        Ok(name) => check(&name, text),
        Err(error) => report::check_line(&error.to_string()),
    }
}

pub(crate) fn check(name: &WheelFilename, text: &str) {
    assert_eq!(name.as_str(), text);
    assert_eq!(name.to_string().parse().as_ref(), Ok(name));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.+!".contains(c);
    assert!(
        text.chars().all(is_plain) && text.strip_suffix(".whl").is_some(),
        "{text}"
    );
    assert!(
        text.len() <= 255,
        "no file has a name of {} bytes",
        text.len()
    );

    let distribution = name.name().to_string();
    assert_eq!(distribution.parse().as_ref(), Ok(name.name()));
    assert!(!distribution.is_empty());
    let version = name.version().to_string();
    assert_eq!(version.parse().as_ref(), Ok(name.version()), "{text}");

    for target in Target::all() {
        let mut best = None;
        for tag in name.tags() {
            for part in [tag.python, tag.abi, tag.platform] {
                assert!(!part.is_empty() && !part.contains(['.', '-']), "{text}");
                assert_eq!(part, part.to_ascii_lowercase());
            }
            let rank = Rank::of_tag(target, tag);
            best = best.into_iter().chain(rank).min();
            if tag.platform.ends_with("win_amd64") || tag.platform.contains("musllinux") {
                assert_eq!(rank, None, "{text}");
            }
        }
        assert_eq!(Rank::of_wheel(target, name), best, "{text}");
    }
}
