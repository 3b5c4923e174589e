//! The files that say what of a folder stays out of layers, by git's rules.

use std::fs;
use std::io;
use std::path::Path;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::Error;

const OF_GIT: &str = ".gitignore";
const OF_ACCRETION: &str = ".accretionignore";

/// Returns whether a file of that name is an ignore file.
pub(super) fn is_ignore_file(name: &str) -> bool {
    matches!(name, OF_GIT | OF_ACCRETION)
}

/// The ignore files of the folders that a walk has led through to here, the outermost first.
#[derive(Debug, Default)]
pub(super) struct IgnoreFiles {
    levels: Vec<Level>,
}

/// The ignore files of one folder.
#[derive(Debug)]
struct Level {
    git: Gitignore,
    accretion: Gitignore,
}

/// The verdict of ignore files on a file or a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It stays out.
    Ignored,
    /// An `.accretionignore` brings it back, whatever would leave it out.
    BroughtBack,
    /// Nothing.
    Silent,
}

impl IgnoreFiles {
    /// Those above a folder, up to the top of its git repository, if it is in one.
    pub(super) fn above(folder: &Path) -> Result<Self, Error> {
        let mut files = Self::default();
        let is_top = |folder: &&Path| folder.join(".git").exists();
        let Some(top) = folder.ancestors().find(is_top) else {
            return Ok(files);
        };
        let mut between: Vec<_> = folder.ancestors().skip(1).collect();
        between.retain(|above| above.starts_with(top));
        for above in between.into_iter().rev() {
            files.enter(above, above)?;
        }
        Ok(files)
    }

    /// Reads those of a folder. `at` is where the walk takes it to be, which links may lead to.
    pub(super) fn enter(&mut self, folder: &Path, at: &Path) -> Result<(), Error> {
        self.levels.push(Level {
            git: read(&folder.join(OF_GIT), at)?,
            accretion: read(&folder.join(OF_ACCRETION), at)?,
        });
        Ok(())
    }

    /// Forgets those of the folder that was entered last.
    pub(super) fn leave(&mut self) {
        self.levels.pop();
    }

    /// The verdict on a path below the folder that was entered last. Of one kind the innermost
    /// that says something decides, and an `.accretionignore` before any `.gitignore`.
    pub(super) fn verdict(&self, path: &Path, is_folder: bool) -> Verdict {
        let said = |of: fn(&Level) -> &Gitignore| {
            let levels = self.levels.iter().rev();
            let mut said = levels.map(|level| of(level).matched(path, is_folder));
            said.find(|it| !it.is_none())
        };
        match said(|level| &level.accretion) {
            Some(Match::Whitelist(_)) => return Verdict::BroughtBack,
            Some(_) => return Verdict::Ignored,
            None => {}
        }
        match said(|level| &level.git) {
            Some(Match::Ignore(_)) => Verdict::Ignored,
            _ => Verdict::Silent,
        }
    }
}

/// Reads an ignore file, if it is there. As with git, one behind a link does not count.
fn read(path: &Path, at: &Path) -> Result<Gitignore, Error> {
    let unreadable = Error::unreadable(path);
    let text = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_file() => fs::read(path).map_err(unreadable)?,
        Ok(_) => return Ok(Gitignore::empty()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Gitignore::empty()),
        Err(error) => return Err(unreadable(error)),
    };
    let refused = |problem: String| Error::IgnoreFileInvalid {
        path: path.to_owned(),
        problem,
    };
    let text = String::from_utf8(text).map_err(|_| refused("it is not UTF-8".to_owned()))?;
    let mut builder = GitignoreBuilder::new(at);
    let content = text.strip_prefix('\u{feff}').unwrap_or(&text);
    for (at, line) in content.lines().enumerate() {
        let added = builder.add_line(None, line);
        added.map_err(|error| refused(format!("line {}: {error}", at + 1)))?;
    }
    builder.build().map_err(|error| refused(error.to_string()))
}
