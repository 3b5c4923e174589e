//! Folders whose files get their names only once they are whole.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::Error;

/// The prefix of the names of half-done files in the cache. Pruning removes all that there are in its
/// folder itself, among the wheels, among the records of what was built, and among the answers of
/// where files are.
pub const PARTIAL: &str = ".partial-";

/// No build takes so long.
const STALE: Duration = Duration::from_hours(24);

/// The error about the folder for temporary files.
pub(crate) fn unwritable(error: io::Error) -> Error {
    Error::temporary("could not write to", &env::temp_dir())(error)
}

/// A folder, and what the names of half-done files in it start with.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    prefix: &'static str,
    swept: Once,
}

impl Folder {
    /// The folder is made when the first file is.
    pub(crate) fn new(path: PathBuf, prefix: &'static str) -> Self {
        Self {
            path,
            prefix,
            swept: Once::new(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a file without a name of its own. It is removed when dropped; those that killed
    /// processes left are removed by the first process that comes a day later.
    pub(crate) fn file(&self) -> io::Result<NamedTempFile> {
        fs::create_dir_all(&self.path)?;
        self.swept.call_once(|| self.sweep());
        tempfile::Builder::new()
            .prefix(self.prefix)
            .tempfile_in(&self.path)
    }

    /// Removes stale files. Nothing depends on it.
    fn sweep(&self) {
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let is_temporary = entry.file_name().to_string_lossy().starts_with(self.prefix);
            let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
            if is_temporary && age().is_some_and(|age| age > STALE) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
