//! The rules by which extra files stay out of layers.

use crate::error::Error;
use crate::secrets::Secret;
use accretion_core::pruning::{Globs, Pattern};
use accretion_core::request::FileRules;

/// The folder of a layer, below the layer's root, that describes the layer.
pub const METADATA_FOLDER: &str = ".accretion";

/// A reason why an extra file or folder stays out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its name starts with a dot, or that of a folder that it is in.
    Hidden,
    /// It is a folder `__pycache__`, or in one.
    Bytecode,
    /// A `.gitignore` or an `.accretionignore` names it.
    Ignored,
}

/// The files that stayed out, and the rules that had no effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// The files, and the folders that were left out as a whole.
    pub paths: Vec<(String, Reason)>,
    /// Patterns of hidden files that have brought nothing back.
    pub unmatched: Vec<Pattern>,
}

/// The reason why a file or folder of that name stays out, unless something brings it back.
pub fn reason(name: &str) -> Option<Reason> {
    if name.starts_with('.') {
        Some(Reason::Hidden)
    } else {
        (name == "__pycache__").then_some(Reason::Bytecode)
    }
}

/// Returns whether no rule brings a path back: a repository, and the description of the layer that a folder was
/// unpacked from.
pub fn is_never_taken(path: &str) -> bool {
    let mut names = path.split('/');
    path.split('/').next() == Some(METADATA_FOLDER) || names.any(|name| name == ".git")
}

/// Refuses secrets of files that may hold none.
///
/// # Errors
///
/// [`Error::SecretFound`].
pub fn check_secrets(rules: &FileRules, mut secrets: Vec<Secret>) -> Result<(), Error> {
    secrets.retain(|secret| !rules.allows_secrets(&secret.path));
    if secrets.is_empty() {
        return Ok(());
    }
    Err(Error::SecretFound { secrets })
}

/// Decides about extra files, one after the other, by the rules of a user.
#[derive(Debug, Default)]
pub struct Selector {
    /// `None` if no hidden file comes along.
    hidden: Option<Globs>,
    rules: FileRules,
    secrets: Vec<Secret>,
    left_out: LeftOut,
    /// Kept for its memory.
    matches: Vec<usize>,
}

impl Selector {
    /// Starts to decide.
    pub fn new(rules: &FileRules) -> Self {
        Self {
            hidden: rules.hidden_globs(),
            rules: rules.clone(),
            ..Self::default()
        }
    }

    /// Returns whether some hidden files may come along, so that hidden folders have to be looked into.
    pub fn may_take_hidden(&self) -> bool {
        self.hidden.is_some()
    }

    /// Returns whether a pattern brings a hidden file back.
    pub fn brings_back(&mut self, path: &str) -> bool {
        let hidden = self.hidden.as_mut();
        hidden.is_some_and(|hidden| hidden.matches(path, &mut self.matches))
    }

    /// Notes that something stays out.
    pub fn leave_out(&mut self, path: String, reason: Reason) {
        self.left_out.paths.push((path, reason));
    }

    /// Returns whether a file goes into the layer, by its path alone; if not, that is noted.
    pub fn takes(&mut self, path: &str) -> bool {
        let mut reasons = path.split('/').filter_map(reason);
        let reason = if is_never_taken(path) {
            Some(Reason::Hidden)
        } else if path.split('/').any(|name| name == "__pycache__") {
            Some(Reason::Bytecode)
        } else {
            reasons.next().filter(|_| !self.brings_back(path))
        };
        if let Some(reason) = reason {
            self.leave_out(path.to_owned(), reason);
        }
        reason.is_none()
    }

    /// Notes the secrets of a file.
    pub fn hold(&mut self, secrets: Vec<Secret>) {
        self.secrets.extend(secrets);
    }

    /// Returns what has stayed out.
    ///
    /// # Errors
    ///
    /// [`Error::SecretFound`] for secrets that nothing allows.
    pub fn finish(self) -> Result<LeftOut, Error> {
        check_secrets(&self.rules, self.secrets)?;
        let unmatched = self.hidden.iter().flat_map(Globs::unmatched).cloned();
        Ok(LeftOut {
            unmatched: unmatched.collect(),
            ..self.left_out
        })
    }
}

impl LeftOut {
    /// Returns how much stays out for a reason.
    pub fn count(&self, reason: Reason) -> usize {
        let of_reason = self.paths.iter().filter(|(_, it)| *it == reason);
        of_reason.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(hidden: &[&str], allow: &[&str]) -> FileRules {
        let hidden = hidden.iter().map(|it| it.parse().unwrap()).collect();
        let allow = allow.iter().map(|it| (*it).to_owned()).collect();
        FileRules::new(hidden, allow).unwrap()
    }

    #[test]
    fn hidden_files_and_bytecode_stay_out_at_every_depth() {
        let mut selector = Selector::new(&FileRules::default());
        for path in [
            "a.py",
            "a/b.py",
            "a/.b/../c",
            "a./b",
            "pycache/a",
            "a/x.env",
        ] {
            let is_odd = path.contains("/.b/");
            assert_eq!(selector.takes(path), !is_odd, "{path}");
        }
        for path in [
            ".env",
            "a/.env",
            "a/b/.c/d.py",
            ".a/b",
            "__pycache__/a.pyc",
            "a/b/__pycache__/c.pyc",
        ] {
            assert!(!selector.takes(path), "{path}");
        }
        let left_out = selector.finish().unwrap();
        assert_eq!(left_out.count(Reason::Hidden), 5);
        assert_eq!(left_out.count(Reason::Bytecode), 2);
    }

    #[test]
    fn patterns_bring_hidden_files_back() {
        let rules = rules(&[".config/", "*.toml", "nothing", ".git/"], &[]);
        let mut selector = Selector::new(&rules);
        for path in [".config/a", "a/.config/b/c", "a/.x/b.toml", ".y.toml"] {
            assert!(selector.takes(path), "{path}");
        }
        for path in [
            ".env",
            ".config/__pycache__/a.pyc",
            ".git/config",
            "a/.git/x.toml",
            "a/.git",
            ".accretion/manifest.toml",
        ] {
            assert!(!selector.takes(path), "{path}");
        }
        // What is not hidden, is not brought back.
        assert!(selector.takes("nothing"));
        let left_out = selector.finish().unwrap();
        let unmatched: Vec<_> = left_out.unmatched.iter().map(Pattern::as_str).collect();
        assert_eq!(unmatched, [".git/", "nothing"]);
    }

    #[test]
    fn secrets_are_allowed_file_by_file() {
        let secret = |path: &str| Secret {
            path: path.to_owned(),
            line: Some(3),
            form: "a private key",
        };
        let mut selector = Selector::new(&rules(&[], &["a/key", "b"]));
        selector.hold(vec![secret("a/key"), secret("b")]);
        assert!(selector.finish().is_ok());

        let mut selector = Selector::new(&rules(&[], &["key"]));
        selector.hold(vec![secret("a/key")]);
        let error = selector.finish().unwrap_err();
        assert!(
            error
                .to_string()
                .contains("`a/key` holds a private key in line 3")
        );
    }
}
