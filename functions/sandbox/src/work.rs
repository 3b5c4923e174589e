//! Work folders. Nothing of one order stays for the next.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;

/// A folder for one order. If the build sandbox owns all of `within`, it is emptied first: a build may
/// have written anywhere.
pub(crate) fn folder(within: Option<&Path>) -> io::Result<TempDir> {
    if let Some(within) = within {
        fs::create_dir_all(within)?;
        empty(within)?;
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix("sandbox-");
    match within {
        Some(within) => builder.tempdir_in(within),
        None => builder.tempdir(),
    }
}

/// Removes all that a folder holds.
pub(crate) fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_folder = path.symlink_metadata()?.is_dir();
        let removed = if is_folder {
            fs::remove_dir_all(&path).or_else(|_| {
                open_up(&path)?;
                fs::remove_dir_all(&path)
            })
        } else {
            fs::remove_file(&path)
        };
        removed?;
    }
    Ok(())
}

/// Makes folders removable that a build has made unreadable.
fn open_up(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.symlink_metadata()?.is_dir() {
            open_up(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_is_left_of_what_was_there() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("theirs"), "").unwrap();
        let own = tempfile::tempdir().unwrap();
        let closed = own.path().join("closed/deep");
        fs::create_dir_all(&closed).unwrap();
        fs::write(closed.join("file"), "").unwrap();
        fs::write(own.path().join("file"), "").unwrap();
        symlink(outside.path(), own.path().join("link")).unwrap();
        for folder in ["closed/deep", "closed"] {
            let mode = fs::Permissions::from_mode(0o000);
            fs::set_permissions(own.path().join(folder), mode).unwrap();
        }
        let fresh = folder(Some(own.path())).unwrap();
        let left: Vec<_> = fs::read_dir(own.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(fresh.path().starts_with(own.path()));
        assert!(outside.path().join("theirs").exists());
    }
}
