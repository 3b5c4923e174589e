//! The dependency groups and extras of a lock file that go into a layer.

use std::collections::BTreeSet;

use accretion_core::diagnostic::closest;
use pep508_rs::ExtraName;

use super::{Known, Lock};
use crate::error::Error;

/// The name of a dependency group (PEP 735), normalised: it has the form of an extra's.
pub type GroupName = ExtraName;

/// The dependency groups and extras that are selected beside what a lock file has by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Dependency groups; in `Pipfile.lock`, categories.
    pub groups: BTreeSet<GroupName>,
    /// Extras of the project.
    pub extras: BTreeSet<ExtraName>,
}

/// The dependency groups and extras of a lock file that are not selected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unselected {
    /// Dependency groups, sorted.
    pub groups: Vec<String>,
    /// Extras, sorted.
    pub extras: Vec<String>,
}

impl Lock {
    /// Returns what a selection leaves out.
    pub fn unselected(&self, selection: &Selection) -> Unselected {
        let mut selected: BTreeSet<String> =
            selection.groups.iter().map(ToString::to_string).collect();
        selected.extend(self.default_groups.iter().map(|it| normalised(it)));
        let extras = selection.extras.iter().map(ToString::to_string);
        let mut unselected = Unselected::default();
        if self.extras_are_groups {
            selected.extend(extras);
        } else {
            unselected.extras = self.extras.without(&extras.collect());
        }
        unselected.groups = self.groups.without(&selected);
        unselected
    }
}

impl Known {
    /// The names that are not among these, sorted.
    fn without(&self, selected: &BTreeSet<String>) -> Vec<String> {
        match self {
            Self::Unsaid => Vec::new(),
            Self::Named(names) => names.difference(selected).cloned().collect(),
        }
    }
}

impl Selection {
    /// Returns whether nothing is selected beside the defaults.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.extras.is_empty()
    }

    /// Everything selected must be there.
    pub(super) fn check(&self, lock: &Lock) -> Result<(), Error> {
        for (is_group, selected, known) in [
            (true, &self.groups, &lock.groups),
            (false, &self.extras, &lock.extras),
        ] {
            let Known::Named(known) = known else {
                continue;
            };
            let missing = selected.iter().find(|name| !known.contains(name.as_ref()));
            if let Some(name) = missing {
                return Err(unknown(is_group, name.as_ref(), known));
            }
        }
        Ok(())
    }

    /// Nothing may be selected where there is nothing to select from.
    pub fn check_none(&self) -> Result<(), Error> {
        if let Some(group) = self.groups.first() {
            return Err(unknown(true, group.as_ref(), &BTreeSet::new()));
        }
        match self.extras.first() {
            Some(extra) => Err(unknown(false, extra.as_ref(), &BTreeSet::new())),
            None => Ok(()),
        }
    }
}

fn unknown(is_group: bool, missing: &str, names: &BTreeSet<String>) -> Error {
    let meant = closest(missing, names.iter().map(String::as_str)).map(ToOwned::to_owned);
    let (name, known) = (missing.to_owned(), names.iter().cloned().collect());
    if is_group {
        Error::GroupUnknown { name, meant, known }
    } else {
        Error::ExtraUnknown { name, meant, known }
    }
}

/// A name as PEP 503 and PEP 685 normalise it, whether it is one or not.
pub(super) fn normalised(name: &str) -> String {
    let mut normalised = String::with_capacity(name.len());
    for c in name.chars() {
        if !matches!(c, '-' | '_' | '.') {
            normalised.extend(c.to_lowercase());
        } else if !normalised.ends_with('-') {
            normalised.push('-');
        }
    }
    normalised
}
