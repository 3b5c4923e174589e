//! The versions of a layer that stay when old ones are deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use crate::timestamp::Timestamp;

/// A version that Lambda has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The number.
    pub number: u64,
    /// The ARN.
    pub arn: String,
    /// The time at which Lambda made it; `None` if Lambda does not say.
    pub created_at: Option<Timestamp>,
}

/// The latest version of a layer by the records of the pipeline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latest {
    /// The current version in the layer's item, 0 if it has none yet; `None` if the layer is not of
    /// the pipeline.
    pub recorded: Option<u64>,
    /// The version in the latest-version parameter; `None` without that parameter.
    pub in_parameter: Option<u64>,
}

/// Functions by the ARNs of the layer versions that they use.
pub type Uses = BTreeMap<String, BTreeSet<String>>;

/// The rules of an operator for a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The number of the newest versions that are kept.
    pub keep: NonZeroUsize,
    /// Only versions that were created before this time are deleted.
    pub created_before: Option<Timestamp>,
}

/// The reason to keep a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It is the latest version, or becomes it.
    Latest,
    /// Functions use it.
    Used(BTreeSet<String>),
    /// It is one of the newest.
    Recent,
    /// It is not old enough, or its age is unknown.
    Young,
}

/// The evidence about the versions of a layer, at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The versions in Lambda.
    pub versions: &'a [Version],
    /// The latest version by the records of the pipeline.
    pub latest: Latest,
    /// The functions that use layer versions.
    pub uses: &'a Uses,
}

impl Evidence<'_> {
    /// The reason to keep a version; `None` if it may be deleted.
    ///
    /// A version that is not recorded yet is never deleted: a publisher may be active, or may still
    /// have to finish the claim of another one that died. So a version under a claim is safe.
    pub fn reason(&self, version: &Version, policy: &Policy) -> Option<Reason> {
        let number = version.number;
        let newer = self.versions.iter().filter(|it| it.number > number).count();
        let Latest {
            recorded,
            in_parameter,
        } = self.latest;
        let is_recorded_later = recorded.is_none_or(|recorded| number < recorded);
        if newer == 0 || !is_recorded_later || in_parameter == Some(number) {
            return Some(Reason::Latest);
        }
        if let Some(users) = self.uses.get(&version.arn) {
            return Some(Reason::Used(users.clone()));
        }
        if newer < policy.keep.get() {
            return Some(Reason::Recent);
        }
        let is_old = policy.created_before.is_none_or(|before| {
            let created_at = version.created_at;
            created_at.is_some_and(|created_at| created_at < before)
        });
        (!is_old).then_some(Reason::Young)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(numbers: &[u64]) -> Vec<Version> {
        let version = |&number| Version {
            number,
            arn: format!("arn:{number}"),
            created_at: (number != 3)
                .then(|| Timestamp::from_milliseconds(number.cast_signed() * 1000).unwrap()),
        };
        numbers.iter().map(version).collect()
    }

    /// The versions that may be deleted, of 1, 2, 3, 4, 6 and 7. The age of 3 is unknown.
    fn deleted(latest: Latest, used: &[u64], keep: usize, before: Option<i64>) -> Vec<u64> {
        let versions = versions(&[1, 2, 3, 4, 6, 7]);
        let entry = |number| (format!("arn:{number}"), BTreeSet::from(["f:1".to_owned()]));
        let in_use = used.iter().map(entry).collect();
        let evidence = Evidence {
            versions: &versions,
            latest,
            uses: &in_use,
        };
        let policy = Policy {
            keep: NonZeroUsize::new(keep).unwrap(),
            created_before: before.map(|it| Timestamp::from_milliseconds(it * 1000).unwrap()),
        };
        let deletable = versions
            .iter()
            .filter(|it| evidence.reason(it, &policy).is_none());
        deletable.map(|it| it.number).collect()
    }

    #[test]
    fn each_reason_keeps_its_versions() {
        let recorded = |recorded, in_parameter| Latest {
            recorded: Some(recorded),
            in_parameter,
        };
        let others = Latest::default();
        let known = recorded(7, Some(7));
        for (latest, used, keep, before, expected) in [
            // Lambda's newest version is always kept.
            (others, &[][..], 1, None, &[1, 2, 3, 4, 6][..]),
            (known, &[], 1, None, &[1, 2, 3, 4, 6]),
            // So are the recorded version and those after it: a publisher may be active.
            (recorded(4, None), &[], 1, None, &[1, 2, 3]),
            (recorded(0, None), &[], 1, None, &[]),
            // A parameter may lag behind.
            (recorded(7, Some(4)), &[], 1, None, &[1, 2, 3, 6]),
            (known, &[1, 4, 7], 1, None, &[2, 3, 6]),
            // Numbers that are missing don't count.
            (known, &[], 3, None, &[1, 2, 3]),
            (known, &[], 9, None, &[]),
            (known, &[], 1, Some(4), &[1, 2]),
            (known, &[], 1, Some(5), &[1, 2, 4]),
            (known, &[1], 4, Some(9), &[2]),
        ] {
            let found = deleted(latest, used, keep, before);
            assert_eq!(found, expected, "{latest:?} {used:?} {keep} {before:?}");
        }
    }

    #[test]
    fn a_used_version_names_its_functions() {
        let versions = versions(&[1, 2]);
        let functions = BTreeSet::from(["report:$LATEST".to_owned(), "report:3".to_owned()]);
        let uses = Uses::from([("arn:1".to_owned(), functions.clone())]);
        let evidence = Evidence {
            versions: &versions,
            latest: Latest::default(),
            uses: &uses,
        };
        let policy = Policy {
            keep: NonZeroUsize::MIN,
            created_before: None,
        };
        assert_eq!(
            evidence.reason(&versions[0], &policy),
            Some(Reason::Used(functions))
        );
    }
}
