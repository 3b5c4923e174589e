//! Answers of uv that are remembered: where the files of pinned versions are.
//!
//! Which files a version has is for its index to say, once and for all: what is pinned is not
//! looked up again each time. An answer is a `pylock.toml` after a line with its SHA-256, in a file
//! that is named after everything that determines it. Its readers take nothing but files of
//! the hashes that were locked.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use accretion_core::digest::Sha256;
use accretion_python::lock::{Lock, Yanked};
use accretion_service::ports::Resolution;

use crate::Error;
use crate::temporary::{Folder, PARTIAL};

/// The version of the form of questions and answers.
const FORM: u32 = 2;

/// The largest number of answers: the oldest go first.
const ANSWERS: usize = 512;

/// The answer of uv.
pub(super) struct Answer {
    /// A `pylock.toml`.
    pub(super) text: String,
    /// The yanked versions in it.
    pub(super) yanked: Vec<Yanked>,
}

impl Answer {
    /// The lock, which notes what is yanked.
    pub(super) fn lock(&self) -> Result<Lock, Error> {
        Ok(Lock::parse(&self.noted())?)
    }

    fn noted(&self) -> String {
        self.text.clone() + &Yanked::note(&self.yanked)
    }
}

/// The answers in a folder.
#[derive(Debug)]
pub(super) struct Answers {
    folder: Folder,
}

impl Answers {
    /// The folder is made when the first answer is remembered.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder: Folder::new(folder, PARTIAL),
        }
    }

    /// The path of the answer to a resolution; `indexes` names the indexes, without their credentials.
    pub(super) fn path(&self, resolution: &Resolution<'_>, indexes: &str) -> PathBuf {
        let Resolution {
            requirements,
            target,
            allow_source_distributions,
            ..
        } = resolution;
        let question = format!(
            "{FORM}\n{}\n{allow_source_distributions}\n{}\n{}",
            target.slug(),
            indexes,
            requirements.to_requirements_txt(),
        );
        let name = Sha256::of(question.as_bytes()).to_string();
        self.folder.path().join(name)
    }

    /// Remembers an answer, unless it opens something, or holds for a while only, as URLs do that
    /// are signed.
    pub(super) fn remember(&self, path: &Path, answer: &Answer) -> Result<(), Error> {
        if answer.text.contains(['?', '@']) {
            return Ok(());
        }
        let unwritable = Error::cache("could not write to the cache", path);
        let mut file = self.folder.file().map_err(unwritable)?;
        let noted = answer.noted();
        let sha256 = Sha256::of(noted.as_bytes());
        write!(file, "{sha256}\n{noted}").map_err(unwritable)?;
        file.persist(path)
            .map_err(|error| unwritable(error.error))?;
        self.forget_oldest();
        Ok(())
    }

    /// Nothing depends on it: what can't be removed stays.
    fn forget_oldest(&self) {
        let entries = fs::read_dir(self.folder.path()).into_iter().flatten();
        let mut answers: Vec<(SystemTime, PathBuf)> = entries
            .filter_map(|entry| {
                let file = entry.ok()?;
                Some((file.metadata().ok()?.modified().ok()?, file.path()))
            })
            .collect();
        if answers.len() > ANSWERS {
            answers.sort();
            for (_, path) in &answers[..answers.len() - ANSWERS] {
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// The answer that is remembered, if it is whole.
pub(super) fn remembered(path: &Path) -> Option<Lock> {
    let answer = fs::read_to_string(path).ok()?;
    let (sha256, text) = answer.split_once('\n')?;
    let is_whole = Sha256::of(text.as_bytes()).to_string() == sha256;
    Lock::parse(text).ok().filter(|_| is_whole)
}
