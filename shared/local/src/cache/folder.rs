//! The cache's folder, within a budget of bytes.
//!
//! Builds of any number of processes use one folder at a time, each under a [`Lease`]. Pruning
//! needs the folder for itself: while another process holds a lease it does nothing.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, DirEntry, File, Metadata, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use accretion_service::blocking;
use walkdir::WalkDir;

use crate::Error;
use crate::temporary::PARTIAL;

/// The file that leases and pruning lock. It is never removed: a lock on a file without a name locks
/// no process out.
const LOCK: &str = ".lock";

/// The size of a block on disk.
const BLOCK: u64 = 4 << 10;

/// uv's folder may take this part of the budget.
const UV_SHARE: u64 = 4;

/// The part of the budget that the URLs of files may take, as a divisor.
const LOCATED_SHARE: u64 = 32;

/// The folder that wheels, what was built, and what uv knows are kept in.
#[derive(Debug, Clone)]
pub struct CacheFolder {
    root: PathBuf,
}

/// The bytes that a cache's folder may have after it was pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Budget {
    /// Bytes, in whole blocks of the disk.
    pub bytes: u64,
}

impl Budget {
    /// A budget of so many MiB.
    pub fn mib(mib: u64) -> Self {
        Self {
            bytes: mib.saturating_mul(1 << 20),
        }
    }
}

/// The right to use what is in a cache's folder: nothing is pruned until it is dropped.
///
/// It ends with the process too, however that ends.
#[derive(Debug)]
#[must_use = "the folder is in use for as long as this is held"]
pub struct Lease {
    lock: File,
}

impl Drop for Lease {
    fn drop(&mut self) {
        unlock(&self.lock);
    }
}

/// The outcome of pruning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Wheels that were removed.
    pub wheels: usize,
    /// True if uv's folder was removed.
    pub uv: bool,
    /// Bytes that were removed.
    pub removed: u64,
    /// Bytes that are left.
    pub left: u64,
}

impl CacheFolder {
    /// A folder, which is made when it is first used.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The cache's folder.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The folder of wheels and their layouts.
    pub(super) fn wheels(&self) -> PathBuf {
        self.root.join("wheels")
    }

    /// The folder that records the wheels built from source distributions.
    pub(super) fn records(&self) -> PathBuf {
        self.root.join("built")
    }

    /// The folder of uv's cache.
    pub fn uv(&self) -> PathBuf {
        self.root.join("uv")
    }

    /// The folder that remembers the URLs of pinned versions' files.
    pub fn located(&self) -> PathBuf {
        self.root.join("located")
    }

    /// Returns the folder that projects are copied to while their wheels are built.
    pub fn projects(&self) -> PathBuf {
        self.root.join("projects")
    }

    /// Begins to use the folder. Waits while it is being pruned.
    pub async fn lease(&self) -> Result<Lease, Error> {
        let folder = self.clone();
        blocking(move || {
            let lock = folder.lock_file()?;
            let unable = Error::cache("could not lock", &folder.root);
            lock.lock_shared().map_err(unable)?;
            Ok(Lease { lock })
        })
        .await
    }

    /// Removes what is half-done, and then, until the rest is within the budget, uv's folder if it
    /// takes more than a quarter of that, and the wheels that were not used for longest.
    ///
    /// Does nothing and returns `None` while another process holds a [`Lease`]. A process that uses the folder
    /// without one, as the command does, must not let it be pruned meanwhile.
    pub async fn prune(&self, budget: Budget) -> Result<Option<Pruned>, Error> {
        let folder = self.clone();
        blocking(move || {
            let lock = folder.lock_file()?;
            match lock.try_lock() {
                Ok(()) => {
                    let pruned = folder.prune_locked(budget);
                    unlock(&lock);
                    pruned.map(Some)
                }
                Err(TryLockError::WouldBlock) => Ok(None),
                Err(TryLockError::Error(error)) => {
                    Err(Error::cache("could not lock", &folder.root)(error))
                }
            }
        })
        .await
    }

    fn lock_file(&self) -> Result<File, Error> {
        let open = || {
            fs::create_dir_all(&self.root)?;
            File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(self.root.join(LOCK))
        };
        open().map_err(Error::cache("could not write to the cache", &self.root))
    }

    /// [`Self::prune`] by who has the folder for itself.
    fn prune_locked(&self, budget: Budget) -> Result<Pruned, Error> {
        let unable = Error::cache("could not prune the cache", &self.root);
        for folder in [&self.root, &self.wheels(), &self.records(), &self.located()] {
            remove_partial(folder).map_err(unable)?;
        }
        let mut pruned = Pruned::default();
        for (folder, share) in [(self.uv(), UV_SHARE), (self.located(), LOCATED_SHARE)] {
            let bytes = tree_bytes(&folder).map_err(unable)?;
            if bytes > budget.bytes / share {
                self.remove(&folder).map_err(unable)?;
                pruned.uv |= folder == self.uv();
                pruned.removed += bytes;
            } else {
                pruned.left += bytes;
            }
        }
        let mut wheels = self.cached_wheels().map_err(unable)?;
        pruned.left += wheels.iter().map(|wheel| wheel.bytes).sum::<u64>();
        wheels.sort_by(|a, b| (b.used, &b.files).cmp(&(a.used, &a.files)));
        while pruned.left > budget.bytes
            && let Some(oldest) = wheels.pop()
        {
            oldest.files.iter().try_for_each(remove).map_err(unable)?;
            pruned.wheels += 1;
            pruned.removed += oldest.bytes;
            pruned.left -= oldest.bytes;
        }
        if pruned.wheels > 0 {
            self.remove_records_without_wheels().map_err(unable)?;
        }
        Ok(pruned)
    }

    /// Removes a folder in one step: uv is not to find half of what it wrote.
    fn remove(&self, folder: &Path) -> io::Result<()> {
        let removed = self.root.join(format!("{PARTIAL}removed"));
        fs::rename(folder, &removed)?;
        fs::remove_dir_all(removed)
    }

    /// Each wheel with the files that go with it, which have its SHA-256 in their names.
    fn cached_wheels(&self) -> io::Result<Vec<CachedWheel>> {
        let mut wheels: BTreeMap<String, CachedWheel> = BTreeMap::new();
        for entry in entries(&self.wheels())? {
            let Some(metadata) = metadata(&entry)?.filter(Metadata::is_file) else {
                continue;
            };
            let name = entry.file_name().to_string_lossy().into_owned();
            let sha256 = name.split('.').next().unwrap_or_default().to_owned();
            let wheel = wheels.entry(sha256).or_default();
            wheel.files.push(entry.path());
            wheel.bytes += blocks(&metadata);
            wheel.used = wheel.used.max(metadata.modified().ok());
        }
        Ok(wheels.into_values().collect())
    }

    fn remove_records_without_wheels(&self) -> io::Result<()> {
        for entry in entries(&self.records())? {
            let path = entry.path();
            let text = fs::read_to_string(&path).unwrap_or_default();
            let sha256 = text.split(' ').next().unwrap_or_default();
            if !self.wheels().join(format!("{sha256}.whl")).exists() {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

/// Gives a lock back. To close its file is not enough: a process that another thread has just
/// forked has it open too, until it becomes another program.
fn unlock(lock: &File) {
    // Should this fail, the lock is held until then.
    let _ = lock.unlock();
}

/// A wheel in the cache.
#[derive(Debug, Default)]
struct CachedWheel {
    /// The wheel and its layouts.
    files: Vec<PathBuf>,
    bytes: u64,
    /// The time at which it was last used.
    used: Option<SystemTime>,
}

/// Removes what killed processes left in a folder that no other process works in.
fn remove_partial(folder: &Path) -> io::Result<()> {
    let is_partial = |name: &OsStr| name.to_string_lossy().starts_with(PARTIAL);
    for entry in entries(folder)? {
        if !is_partial(&entry.file_name()) {
            continue;
        }
        match metadata(&entry)? {
            Some(metadata) if metadata.is_dir() => fs::remove_dir_all(entry.path())?,
            Some(_) => remove(entry.path())?,
            None => {}
        }
    }
    Ok(())
}

/// The bytes that a folder takes on disk with all that is below it; zero if there is none.
fn tree_bytes(folder: &Path) -> io::Result<u64> {
    let below = WalkDir::new(folder).min_depth(1).into_iter();
    let sizes = below.map(|entry| {
        let metadata = entry.and_then(|entry| entry.metadata());
        Ok(found(metadata.map_err(io::Error::from))?.map_or(0, |it| blocks(&it)))
    });
    sizes.sum()
}

/// The bytes that a file or folder takes on disk. Systems that write late do not tell it at once, so it
/// is worked out.
fn blocks(metadata: &Metadata) -> u64 {
    metadata.len().next_multiple_of(BLOCK)
}

/// The entries of a folder; none if it does not exist.
fn entries(folder: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The metadata of a file or folder, links not followed; `None` if it is gone.
fn metadata(entry: &DirEntry) -> io::Result<Option<Metadata>> {
    found(entry.metadata())
}

fn remove(path: impl AsRef<Path>) -> io::Result<()> {
    found(fs::remove_file(path)).map(drop)
}

fn found<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn locks_end_though_a_forked_process_has_their_file_open() {
        let root = tempfile::tempdir().unwrap();
        let folder = CacheFolder::new(root.path());
        let lease = folder.lease().await.unwrap();
        let forked = lease.lock.try_clone().unwrap();
        drop(lease);
        assert!(folder.prune(Budget::mib(1)).await.unwrap().is_some());
        drop(forked);
    }
}
