//! Poetry's version constraints: those of PEP 440, and `^1.2`, `~1.2`, `1.2`, `1.*`, `*` and `||`.
//!
//! Source: Poetry's documentation, "Dependency specification".

use accretion_core::excerpt::shown;
use pep440_rs::{Operator, Version, VersionSpecifier, VersionSpecifiers};

use super::invalid;
use crate::error::Error;

/// A constraint: one of some sets of specifiers has to be satisfied.
#[derive(Debug, Clone)]
pub(super) struct Constraint {
    alternatives: Vec<VersionSpecifiers>,
}

impl Constraint {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        // `||` and `|` mean the same.
        let alternatives: Option<Vec<_>> = text
            .split('|')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(specifiers)
            .collect();
        alternatives
            .filter(|alternatives| !alternatives.is_empty())
            .map(|alternatives| Self { alternatives })
            .ok_or_else(|| invalid(format!("`{}` is not a version constraint", shown(text))))
    }

    /// Returns whether a version satisfies it.
    pub(super) fn contains(&self, version: &Version) -> bool {
        self.contains_by(|specifier| specifier.contains(version))
    }

    /// Returns whether it holds for a Python where it restricts a dependency: `3.12` is then any
    /// release of 3.12, as in the markers that Poetry makes of it. Elsewhere it is 3.12.0 alone.
    pub(super) fn holds_for(&self, python: &Version) -> bool {
        self.contains_by(|specifier| {
            let release = specifier.version().release();
            if *specifier.operator() == Operator::Equal && release.len() < 3 {
                python.release().starts_with(release)
            } else {
                specifier.contains(python)
            }
        })
    }

    fn contains_by(&self, contains: impl Fn(&VersionSpecifier) -> bool) -> bool {
        let mut alternatives = self.alternatives.iter();
        alternatives.any(|alternative| alternative.iter().all(&contains))
    }

    /// The sets of specifiers of which one has to be satisfied.
    pub(super) fn into_alternatives(self) -> Vec<VersionSpecifiers> {
        self.alternatives
    }
}

/// The specifiers of PEP 440 that an alternative means.
fn specifiers(text: &str) -> Option<VersionSpecifiers> {
    let mut specifiers = Vec::new();
    // An operator may stand apart from its version.
    let mut operator = String::new();
    let parts = text.split([',', ' ', '\t']).filter(|part| !part.is_empty());
    for part in parts {
        let is_operator = |c: char| matches!(c, '<' | '>' | '=' | '!' | '~' | '^');
        let version = part.trim_start_matches(is_operator);
        operator.push_str(&part[..part.len() - version.len()]);
        if version.is_empty() {
            continue;
        }
        specifiers.push(specifier(&operator, version)?);
        operator.clear();
    }
    if !operator.is_empty() {
        return None;
    }
    specifiers.retain(|it| !it.is_empty());
    specifiers.join(",").parse().ok()
}

fn specifier(operator: &str, version: &str) -> Option<String> {
    let is_wild = version.ends_with(".*");
    Some(match operator {
        "" | "==" if version == "*" => String::new(),
        "" | "=" => format!("=={version}"),
        "^" => range(version, |release| {
            let at = release.iter().position(|part| *part != 0);
            at.unwrap_or(release.len() - 1)
        })?,
        "~" => range(version, |release| usize::from(release.len() > 1))?,
        ">=" | "<=" | ">" | "<" | "~=" if is_wild => {
            format!("{operator}{}", version.trim_end_matches(".*"))
        }
        ">=" | "<=" | ">" | "<" | "==" | "!=" | "~=" | "===" => format!("{operator}{version}"),
        _ => return None,
    })
    .filter(|it| it.is_empty() || it.parse::<VersionSpecifiers>().is_ok())
}

/// From a version up to the next one of a part of its release.
fn range(version: &str, part: impl Fn(&[u64]) -> usize) -> Option<String> {
    let parsed: Version = version.trim_end_matches(".*").parse().ok()?;
    let release = parsed.release();
    let at = part(release);
    let mut next = release.get(..=at)?.to_vec();
    *next.last_mut()? += 1;
    let next = Version::new(next);
    Some(format!(">={parsed},<{next}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_constraints_contain() {
        for (text, inside, outside) in [
            ("*", "0.1 9", ""),
            ("1.2", "1.2 1.2.0", "1.2.1"),
            ("1.*", "1.0 1.9", "2.0 0.9"),
            ("==1.2.*", "1.2.9", "1.3"),
            ("^1.2.3", "1.2.3 1.9", "1.2.2 2.0"),
            ("^0.2.3", "0.2.3 0.2.9", "0.3 0.2.2"),
            ("^0.0.3", "0.0.3", "0.0.4"),
            ("^0.0", "0.0.9", "0.1"),
            ("^0", "0.9", "1.0"),
            ("^1", "1.9", "2.0"),
            ("~1.2.3", "1.2.9", "1.3"),
            ("~1.2", "1.2.9", "1.3"),
            ("~1", "1.9", "2.0"),
            ("~=1.2", "1.9", "2.0"),
            (">=1,<2 || >=3", "1.5 3.1", "2.5 0.9"),
            (">= 1.0 < 2.0", "1.5", "2.0"),
            (">=1.5.6,<1.5.7 || >1.5.7", "1.5.6 1.6", "1.5.7"),
            ("!=1.5.7", "1.5.6", "1.5.7"),
            ("1.0 | 2.0", "1.0 2.0", "3.0"),
        ] {
            let constraint = Constraint::parse(text).unwrap();
            for (versions, expected) in [(inside, true), (outside, false)] {
                for version in versions.split_whitespace() {
                    let contains = constraint.contains(&version.parse().unwrap());
                    assert_eq!(contains, expected, "{text} {version}");
                }
            }
        }
        for text in ["", "|", "^", "^x", ">", "=>1", "one", "~1.*.2", ">=1,^"] {
            assert!(Constraint::parse(text).is_err(), "{text}");
        }
    }
    /// The expected values are what `create_nested_marker` of poetry-core makes of a dependency's
    /// `python`, evaluated.
    #[test]
    fn what_restricts_a_dependency_holds_as_poetrys_marker_does() {
        for (text, holds) in [
            ("3.12", "3.12.0 3.12.4 3.12.99"),
            ("==3.12", "3.12.0 3.12.4 3.12.99"),
            ("3.11 || 3.12", "3.12.0 3.12.4 3.12.99"),
            ("<=3.12", "3.12.0"),
            (">3.12", "3.12.4 3.12.99"),
            ("!=3.12", "3.12.4 3.12.99"),
            ("~3.12", "3.12.0 3.12.4 3.12.99"),
            ("3.12.*", "3.12.0 3.12.4 3.12.99"),
            ("^3.12.4", "3.12.4 3.12.99"),
            ("~3.12.4", "3.12.4 3.12.99"),
            ("<3.12.4", "3.12.0"),
            ("==3.12.6", ""),
            ("<3.12 || >3.12.5", "3.12.99"),
            (">=3.12.4,!=3.12.6", "3.12.4 3.12.99"),
        ] {
            let constraint = Constraint::parse(text).unwrap();
            let pythons = ["3.12.0", "3.12.4", "3.12.99"].into_iter();
            let held: Vec<_> = pythons
                .filter(|python| constraint.holds_for(&python.parse().unwrap()))
                .collect();
            assert_eq!(held.join(" "), holds, "{text}");
        }
    }
}
