//! Building the wheel of a project's folder without touching the folder.

use std::fs::{self, DirBuilder, File, FileTimes, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use accretion_core::digest::Sha256;
use walkdir::{DirEntry, WalkDir};

use crate::Error;

/// Bytes and files beside a project that are copied with it. If the repository has more, they are
/// linked instead.
const BESIDE: (u64, usize) = (256 << 20, 50_000);

/// Folders that are only read, whatever is in them.
const LINKED: [&str; 6] = [".git", ".hg", ".nox", ".svn", ".tox", "node_modules"];

/// Files that say that a folder is a virtual environment or a cache.
const MARKS: [&str; 2] = ["pyvenv.cfg", "CACHEDIR.TAG"];

/// A copy of a project's folder, at the same path below a root.
///
/// The files beside the project in its git repository are copied, too, and everything else that its
/// path leads by is linked. So what a build reads by a relative path is there, and what it writes
/// is lost with the copy. The root's own path is the same each time, for compilers write it into
/// what they make.
#[derive(Debug)]
pub(crate) struct ProjectCopy {
    root: PathBuf,
    original: PathBuf,
    /// Keeps others from the root.
    _lock: File,
}

impl ProjectCopy {
    /// Copies a folder, or the folder of a file, below a working folder. Both are free of links.
    pub(crate) fn new(original: &Path, work: &Path) -> Result<Self, Error> {
        let failed = Error::cache("could not copy the project to", work);
        let name = Sha256::of(original.as_os_str().as_bytes()).to_string();
        fs::create_dir_all(work).map_err(failed)?;
        let work = &fs::canonicalize(work).map_err(failed)?;
        let root = work.join(&name[..16]);
        let lock = File::create(root.with_extension("lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        // That of a build that was killed.
        let _ = fs::remove_dir_all(&root);
        // Others may not be able to read the original.
        let mut private = DirBuilder::new();
        private.mode(0o700).create(&root).map_err(failed)?;
        let copy = Self {
            root,
            original: original.to_owned(),
            _lock: lock,
        };
        copy.fill(work).map_err(failed)?;
        Ok(copy)
    }

    /// The path of the copy.
    pub(crate) fn path(&self) -> PathBuf {
        self.at(&self.original)
    }

    /// The root of all copies in a text is left out of it.
    pub(crate) fn restore(&self, text: &str) -> String {
        text.replace(&*self.root.to_string_lossy(), "")
    }

    fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn fill(&self, work: &Path) -> io::Result<()> {
        let mut ancestors = self.original.ancestors();
        let repository = ancestors.find(|it| it.join(".git").exists());
        let copied = repository.filter(|it| is_small(it, &self.original));
        let mut next = self.original.as_path();
        for folder in self.original.ancestors().skip(1) {
            fs::create_dir_all(self.at(folder))?;
            let is_copied = copied.is_some_and(|copied| folder.starts_with(copied));
            // Of a folder that cannot be listed, the way through it will do.
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path == next {
                    continue;
                }
                if is_copied {
                    copy(&path, &self.at(&path), work)?;
                } else {
                    symlink(&path, self.at(&path))?;
                }
            }
            next = folder;
        }
        if self.original.is_dir() {
            copy_folder(&self.original, &self.path(), work)
        } else {
            copy(&self.original, &self.path(), work)
        }
    }
}

impl Drop for ProjectCopy {
    fn drop(&mut self) {
        // The next copy removes what stays.
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Returns whether a folder is only read: repositories, environments and caches, which may be huge.
fn is_linked(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default();
    LINKED.iter().any(|linked| name == *linked)
        || MARKS.iter().any(|mark| folder.join(mark).is_file())
}

/// Copies a file or a folder, but for the working folder, which may be in it. Links stay what they
/// are, and special files are left out.
fn copy(from: &Path, to: &Path, work: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    if metadata.is_symlink() {
        symlink(fs::read_link(from)?, to)
    } else if metadata.is_file() {
        copy_file(from, to, &metadata)
    } else if !metadata.is_dir() || from == work {
        Ok(())
    } else if is_linked(from) {
        symlink(from, to)
    } else {
        copy_folder(from, to, work)
    }
}

fn copy_folder(from: &Path, to: &Path, work: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        // No build can read it either.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return symlink(from, to),
        entries => entries?,
    };
    fs::create_dir(to)?;
    for entry in entries.collect::<io::Result<Vec<_>>>()? {
        match copy(&entry.path(), &to.join(entry.file_name()), work) {
            // It has been removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            copied => copied?,
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path, metadata: &Metadata) -> io::Result<()> {
    match fs::copy(from, to) {
        // No build can read it either.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return symlink(from, to),
        copied => copied?,
    };
    // Builds compare times. A read-only file has that of the copy.
    let times = FileTimes::new().set_modified(metadata.modified()?);
    let file = File::options().append(true).open(to);
    let _ = file.and_then(|file| file.set_times(times));
    Ok(())
}

/// Returns whether the content of a folder beside a project is small enough to be copied.
fn is_small(folder: &Path, project: &Path) -> bool {
    let is_copied = |entry: &DirEntry| {
        let is_folder = entry.depth() > 0 && entry.file_type().is_dir();
        entry.path() != project && !(is_folder && is_linked(entry.path()))
    };
    let entries = WalkDir::new(folder).into_iter().filter_entry(is_copied);
    let sizes = entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()));
    let counted = sizes.take(BESIDE.1 + 1);
    let (bytes, files) = counted.fold((0, 0), |(bytes, files), size| (bytes + size, files + 1));
    bytes <= BESIDE.0 && files <= BESIDE.1
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A project in a repository, and a folder outside of that.
    fn repository() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(root.path()).unwrap();
        for name in [
            "outside/data.txt",
            "repo/.git/HEAD",
            "repo/README.md",
            "repo/lib/lib.py",
            "repo/app/app.py",
            "repo/app/.venv/pyvenv.cfg",
            "repo/app/cache/CACHEDIR.TAG",
            "repo/app/node_modules/x/x.js",
        ] {
            write(&path.join(name), name);
        }
        symlink("../lib/lib.py", path.join("repo/app/linked.py")).unwrap();
        fs::set_permissions(
            path.join("repo/app/app.py"),
            PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        (root, path)
    }

    #[test]
    fn whatever_a_build_reads_by_a_relative_path_is_there() {
        let (_root, path) = repository();
        let copy = ProjectCopy::new(&path.join("repo/app"), &path.join("work")).unwrap();
        for name in [
            "app.py",
            "linked.py",
            "../README.md",
            "../lib/lib.py",
            "../.git/HEAD",
            "../../outside/data.txt",
            ".venv/pyvenv.cfg",
            "cache/CACHEDIR.TAG",
            "node_modules/x/x.js",
        ] {
            let (copied, original) = (copy.path().join(name), path.join("repo/app").join(name));
            assert_eq!(
                fs::read(&copied).unwrap_or_else(|error| panic!("{name}: {error}")),
                fs::read(&original).unwrap()
            );
            let modified = |path| fs::metadata(path).unwrap().modified().unwrap();
            assert_eq!(modified(copied), modified(original), "{name}");
        }
        let mode = fs::metadata(copy.path().join("app.py"))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o755);
        let root = copy.path();
        drop(copy);
        assert!(!root.exists() && path.join("repo/app/app.py").exists());
    }

    #[test]
    fn whatever_a_build_writes_is_lost_with_the_copy() {
        let (_root, path) = repository();
        let app = path.join("repo/app");
        let copy = ProjectCopy::new(&app, &path.join("work")).unwrap();
        for name in [
            "app.egg-info",
            "build/lib/app.py",
            "app.py",
            "../lib/lib.egg-info",
        ] {
            write(&copy.path().join(name), "built");
            assert!(
                fs::read(app.join(name)).map_or(true, |it| it != b"built"),
                "{name}"
            );
        }
        assert_eq!(
            copy.restore(&copy.path().to_string_lossy()),
            app.to_string_lossy()
        );
    }

    #[test]
    fn the_working_folder_may_lie_in_the_project() {
        let (_root, path) = repository();
        let app = path.join("repo/app");
        let first = ProjectCopy::new(&app, &app.join(".cache/work"))
            .unwrap()
            .path();
        let copy = ProjectCopy::new(&app, &app.join(".cache/work")).unwrap();
        assert_eq!(copy.path(), first);
        assert!(copy.path().join("app.py").exists() && !copy.path().join(".cache/work").exists());
    }

    #[test]
    fn a_project_is_copied_whatever_it_looks_like() {
        let (_root, path) = repository();
        let environment = path.join("repo/app/.venv");
        let copy = ProjectCopy::new(&environment, &path.join("work")).unwrap();
        write(&copy.path().join("built"), "built");
        assert!(copy.path().join("pyvenv.cfg").exists() && !environment.join("built").exists());
    }

    #[test]
    fn much_beside_the_project_is_linked() {
        let (_root, path) = repository();
        let large = File::create(path.join("repo/lib/large.bin")).unwrap();
        large.set_len(BESIDE.0 + 1).unwrap();
        let copy = ProjectCopy::new(&path.join("repo/app"), &path.join("work")).unwrap();
        assert!(
            copy.path().join("../lib").is_symlink() && copy.path().join("../lib/lib.py").exists()
        );
    }
}
