//! The rules of a user for extra files.

use std::collections::BTreeSet;

use crate::pruning::{Globs, Pattern, PatternsTooLarge};

/// The users' rules for extra files. By default no hidden file goes into a layer, and no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileRules {
    hidden: BTreeSet<Pattern>,
    allow_secrets: BTreeSet<String>,
}

impl FileRules {
    /// Hidden files that match one of `hidden` come along; files of the paths `allow_secrets`, below
    /// `python/`, may hold secrets.
    pub fn new(
        hidden: BTreeSet<Pattern>,
        allow_secrets: BTreeSet<String>,
    ) -> Result<Self, PatternsTooLarge> {
        Globs::new(&hidden).ok_or(PatternsTooLarge)?;
        Ok(Self {
            hidden,
            allow_secrets,
        })
    }

    /// The patterns of hidden files that come along, in order.
    pub fn hidden(&self) -> impl Iterator<Item = &Pattern> {
        self.hidden.iter()
    }

    /// The paths of files that may hold secrets, in order.
    pub fn allow_secrets(&self) -> impl Iterator<Item = &String> {
        self.allow_secrets.iter()
    }

    /// Returns whether the file of a path may hold secrets.
    pub fn allows_secrets(&self, path: &str) -> bool {
        self.allow_secrets.contains(path)
    }

    /// Returns the matcher of hidden files that come along; `None` if none does.
    pub fn hidden_globs(&self) -> Option<Globs> {
        (!self.hidden.is_empty())
            .then(|| Globs::new(&self.hidden).expect("it was tried when this was made"))
    }
}
