//! Versions that their index has yanked (PEP 592), as a `pylock.toml` notes them.
//!
//! No field of PEP 751 says it, so it stands in the table `tool.accretion`: wherever a lock goes, the
//! warning goes with it. What a lock was made from, and its files, are the same with it and without.

use std::collections::BTreeMap;

use pep440_rs::Version;
use pep508_rs::PackageName;
use serde::Serialize;

use crate::requirement::distribution_name;

/// A version that its index has yanked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Yanked {
    name: String,
    version: String,
    reason: String,
}

impl Yanked {
    /// Characters that are kept of a reason.
    pub const REASON_CHARS: usize = 300;

    /// Takes what an index says. The reason becomes one line, of a limited length.
    pub fn new(name: &str, version: &str, reason: &str) -> Self {
        let shows = |c: char| !c.is_control() && !is_invisible(c);
        let visible: String = reason
            .chars()
            .take(8 * Self::REASON_CHARS)
            .map(|c| if shows(c) { c } else { ' ' })
            .collect();
        let words: Vec<_> = visible.split_whitespace().collect();
        let line = words.join(" ");
        let mut reason: String = line.chars().take(Self::REASON_CHARS).collect();
        if reason.len() < line.len() {
            reason.push('…');
        }
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            reason,
        }
    }

    /// The end of a `pylock.toml` that notes these; nothing if there are none.
    ///
    /// # Panics
    ///
    /// Never: strings are always TOML.
    pub fn note(yanked: &[Self]) -> String {
        let mut text = String::new();
        for it in yanked {
            let fields = toml::to_string(it).expect("strings are always TOML");
            text.extend(["\n[[tool.accretion.yanked]]\n", &fields]);
        }
        text
    }
}

/// The reasons that a lock notes, by the yanked packages and versions.
pub(super) struct Notes(BTreeMap<PackageName, BTreeMap<Version, String>>);

impl Notes {
    /// Reads the notes of a lock. What is malformed is no note.
    pub(super) fn read(tool: &toml::Table) -> Self {
        let list = tool.get("accretion").and_then(|it| it.get("yanked"));
        let notes = list.and_then(toml::Value::as_array).into_iter().flatten();
        let note = |note: &toml::Value| {
            let text = |field: &str| note.get(field)?.as_str();
            let (name, version) = (text("name")?, text("version")?);
            let yanked = Yanked::new(name, version, text("reason")?);
            Some((
                distribution_name(name)?,
                version.parse().ok()?,
                yanked.reason,
            ))
        };
        let mut by_package = BTreeMap::<_, BTreeMap<_, _>>::new();
        for (name, version, reason) in notes.filter_map(note) {
            let versions = by_package.entry(name).or_default();
            versions.entry(version).or_insert(reason);
        }
        Self(by_package)
    }

    /// The reason that is noted of a version.
    pub(super) fn reason_of(&self, name: &str, version: &str) -> Option<&String> {
        let versions = self.0.get(&distribution_name(name)?)?;
        versions.get(&version.parse().ok()?)
    }
}

/// Invisible characters, or those that make others show in another order (UTR #36).
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Lock;

    #[test]
    fn reasons_are_one_line_within_bounds() {
        let long = "é".repeat(1 << 20);
        for (reason, kept) in [
            ("broken", "broken"),
            ("", ""),
            (" two\n\tlines\r\n", "two lines"),
            ("\u{1b}[31mred\u{0}", "[31mred"),
            ("a\u{202e}b\u{2028}c\u{85}d", "a b c d"),
            ("\"quoted\" \\ 'too'", "\"quoted\" \\ 'too'"),
            (&long, &format!("{}…", "é".repeat(Yanked::REASON_CHARS))),
        ] {
            assert_eq!(Yanked::new("a", "1", reason).reason, kept);
        }
    }

    #[test]
    fn a_note_is_read_again_and_a_malformed_one_is_none() {
        let lock = "lock-version = \"1.0\"\ncreated-by = \"test\"\n\n[[packages]]\nname = \"a-b\"\n\
                    version = \"1.0\"\n";
        let noted = |note: &str| {
            let lock = Lock::parse(&format!("{lock}{note}")).unwrap();
            lock.packages[0].yanked.clone()
        };
        let note = |name: &str, version: &str| {
            Yanked::note(&[
                Yanked::new("other", "1", "no"),
                Yanked::new(name, version, "it \"breaks\""),
            ])
        };
        assert_eq!(noted(&note("A_b", "1")).as_deref(), Some("it \"breaks\""));
        assert_eq!(noted(&note("a-b", "1.1")), None);
        assert_eq!(noted(""), None);
        for malformed in [
            "[tool]\naccretion = 1\n",
            "[tool.accretion]\nyanked = true\n",
            "[tool.accretion]\nyanked = [1, {}]\n",
            "[[tool.accretion.yanked]]\nname = \"a-b\"\nversion = 1\nreason = \"\"\n",
            "[[tool.other]]\nname = \"a-b\"\n",
        ] {
            assert_eq!(noted(malformed), None, "{malformed}");
        }
    }
}
