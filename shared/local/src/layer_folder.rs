//! The folder of a layer, by the convention of lls, the layer publisher: what it holds goes into the
//! layer, but for a `requirements.txt` at its top, which is installed, for hidden files, bytecode, and
//! what ignore files name.

mod ignored;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use accretion_core::digest::Sha256;
use accretion_core::limits::{Limits, WheelLimits};
use accretion_core::request::FileRules;
use accretion_layer::files::{
    LeftOut, REQUIREMENTS, Reason, Selector, is_never_taken, packed_files, reason, write_zip,
};
use accretion_layer::secrets::Scanned;
use accretion_layer::{Oversize, PackError, Packer, SizeLimit};
use accretion_service::assemble::PackedFiles;
use accretion_service::blocking;
use accretion_tree::LayoutFile;
use tempfile::{NamedTempFile, TempPath};

use self::ignored::{IgnoreFiles, Verdict};
use crate::Error;
use crate::temporary::unwritable;

/// The folder of a layer.
#[derive(Debug, Clone)]
pub struct LayerFolder {
    /// As the user named it.
    path: PathBuf,
    /// Free of links.
    root: PathBuf,
}

/// A folder's files, packed. The file that they are in is removed when this is dropped.
#[derive(Debug)]
pub struct PackedFolder {
    packed: TempPath,
    files: PackedFiles,
    left_out: LeftOut,
}

impl PackedFolder {
    /// Files that were packed before, in a zip of that hash.
    ///
    /// # Errors
    ///
    /// [`OwnFilesInvalid`](accretion_layer::Error::OwnFilesInvalid) for what is no such zip.
    pub async fn of_zip(zip: Vec<u8>, sha256: Sha256) -> Result<Self, Error> {
        blocking(move || Self::of_zip_now(&zip, sha256)).await
    }

    fn of_zip_now(zip: &[u8], sha256: Sha256) -> Result<Self, Error> {
        if Sha256::of(zip) != sha256 {
            let problem = "they do not have the hash that the request says".to_owned();
            return Err(accretion_layer::Error::OwnFilesInvalid { problem }.into());
        }
        let files = packed_files(zip, zip.len() as u64)?;
        let mut file = NamedTempFile::new().map_err(unwritable)?;
        file.write_all(zip).map_err(unwritable)?;
        let packed = file.into_temp_path();
        let files = PackedFiles {
            folder: "the extra files".to_owned(),
            files,
            packed: packed.to_path_buf(),
        };
        Ok(Self {
            packed,
            files,
            left_out: LeftOut::default(),
        })
    }

    /// The files.
    pub fn files(&self) -> &[LayoutFile] {
        &self.files.files
    }

    /// The files of the folder that stayed out.
    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// The zip that they can be kept in: the same bytes for the same files, whatever they lay in.
    pub async fn zip(&self) -> Result<Vec<u8>, Error> {
        let (files, packed) = (self.files.files.clone(), self.packed.to_path_buf());
        let work = move || {
            let unreadable = Error::temporary("could not read", &packed);
            let mut zip = Vec::new();
            let packed_data = File::open(&packed).map_err(unreadable)?;
            write_zip(&files, &packed_data, &mut zip)
                .map_err(accretion_layer::Error::LayerWrite)?;
            Ok(zip)
        };
        blocking(work).await
    }

    /// The files, and what removes the file that they are in when it is dropped.
    pub fn into_parts(self) -> (PackedFiles, TempPath) {
        (self.files, self.packed)
    }
}

impl LayerFolder {
    /// A folder that has to be there.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = folder.into();
        // Reading it says what is wrong with what is no folder.
        let real = fs::read_dir(&path).and_then(|_| fs::canonicalize(&path));
        let root = real.map_err(Error::unreadable(&path))?;
        Ok(Self { path, root })
    }

    /// The `requirements.txt` at the top, if there is one.
    pub fn requirements(&self) -> Option<PathBuf> {
        let path = self.path.join(REQUIREMENTS);
        path.symlink_metadata().is_ok().then_some(path)
    }

    /// Packs what is to be copied: all files but the `requirements.txt` at the top, hidden ones that
    /// the rules do not bring back, bytecode, and what ignore files name; those that links inside the
    /// folder lead to included.
    ///
    /// # Errors
    ///
    /// [`Error::LayerFileUnreadable`]; [`Error::LayerFileRefused`] for links that lead outside or in
    /// a circle, for what is no file, and for names that no file of a layer can have;
    /// [`Error::IgnoreFileInvalid`]; [`LayerTooLarge`](accretion_layer::Error::LayerTooLarge);
    /// [`SecretFound`](accretion_layer::Error::SecretFound).
    pub async fn pack(&self, rules: &FileRules) -> Result<PackedFolder, Error> {
        let (folder, rules) = (self.clone(), rules.clone());
        blocking(move || folder.pack_now(&rules)).await
    }

    fn pack_now(&self, rules: &FileRules) -> Result<PackedFolder, Error> {
        let mut walk = Walk {
            folder: self,
            above: vec![self.root.clone()],
            seen: 0,
            ignored: IgnoreFiles::above(&self.root)?,
            selector: Selector::new(rules),
            found: Vec::new(),
        };
        walk.enter(&self.root, "", false)?;
        let (mut found, mut selector) = (walk.found, walk.selector);
        found.sort_by(|a, b| a.path.cmp(&b.path));
        check_size(&found)?;

        let temporary = NamedTempFile::new().map_err(unwritable)?;
        let (out, path) = temporary.into_parts();
        let mut packer = Packer::new(BufWriter::new(out));
        for entry in found {
            let shown = self.path.join(&entry.path);
            let unreadable = Error::unreadable(&shown);
            let mut content = Scanned::new(File::open(entry.file).map_err(unreadable)?);
            let added = packer.add(entry.path.clone(), entry.executable, &mut content);
            added.map_err(|error| match error {
                PackError::Read(error) => unreadable(error),
                PackError::Write(error) => unwritable(error),
                PackError::Path(_) => refused(&shown, &error.to_string()),
            })?;
            selector.hold(content.finish(&entry.path));
        }
        let left_out = selector.finish()?;
        let (files, sink) = packer.finish();
        let flushed = sink.into_inner();
        flushed.map_err(|error| unwritable(error.into_error()))?;
        let files = PackedFiles {
            folder: format!("the folder {}", self.path.display()),
            files,
            packed: path.to_path_buf(),
        };
        Ok(PackedFolder {
            packed: path,
            files,
            left_out,
        })
    }
}

/// A file that is to be copied.
struct Found {
    /// Its path in the layer, below `python/`.
    path: String,
    /// Its path on disk, free of links.
    file: PathBuf,
    executable: bool,
    size: u64,
}

/// A way through the folder and all that is below it.
struct Walk<'a> {
    folder: &'a LayerFolder,
    /// The folders that the way has led through to here, free of links.
    above: Vec<PathBuf>,
    seen: u64,
    ignored: IgnoreFiles,
    selector: Selector,
    found: Vec<Found>,
}

impl Walk<'_> {
    /// Finds the files of a folder. `inside` is its path below `python/`, and it may be hidden: only
    /// what a pattern brings back is found in it then.
    fn enter(&mut self, folder: &Path, inside: &str, is_hidden: bool) -> Result<(), Error> {
        let path = self.folder.path.join(inside);
        self.ignored.enter(folder, &self.folder.root.join(inside))?;
        let unreadable = Error::unreadable(&path);
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            if inside.is_empty() && name == REQUIREMENTS {
                continue;
            }
            let Some(text) = name.to_str() else {
                return Err(refused(&path.join(name), "its name is not UTF-8"));
            };
            let inside = if inside.is_empty() {
                text.to_owned()
            } else {
                format!("{inside}/{text}")
            };
            let at = folder.join(text);
            // A link to nothing is no folder, and says so later, if it is not left out.
            let is_folder = at.is_dir();
            match self.left_out(&inside, text, is_folder, is_hidden) {
                Ok(is_hidden) => self.visit(&at, inside, is_hidden)?,
                // They have done what they are there for.
                Err(_) if ignored::is_ignore_file(text) => {}
                Err(reason) => self.selector.leave_out(inside, reason),
            }
        }
        self.ignored.leave();
        Ok(())
    }

    /// Returns why a file or a folder stays out, or whether it is a hidden folder that some files
    /// may come from.
    fn left_out(
        &mut self,
        inside: &str,
        name: &str,
        is_folder: bool,
        is_in_hidden: bool,
    ) -> Result<bool, Reason> {
        if is_never_taken(inside) {
            return Err(Reason::Hidden);
        }
        let at = self.folder.root.join(inside);
        match self.ignored.verdict(&at, is_folder) {
            Verdict::BroughtBack => return Ok(false),
            Verdict::Ignored => return Err(Reason::Ignored),
            Verdict::Silent => {}
        }
        let hidden = is_in_hidden.then_some(Reason::Hidden);
        match reason(name).or(hidden) {
            Some(Reason::Hidden) if is_folder && self.selector.may_take_hidden() => Ok(true),
            Some(Reason::Hidden) if !is_folder && self.selector.brings_back(inside) => Ok(false),
            Some(reason) => Err(reason),
            None => Ok(false),
        }
    }

    fn visit(&mut self, file: &Path, inside: String, is_hidden: bool) -> Result<(), Error> {
        let shown = self.folder.path.join(&inside);
        let unreadable = Error::unreadable(&shown);
        self.seen += 1;
        // Links may make a few folders look like any number of them.
        if self.seen > WheelLimits::default().entries {
            return Err(refused(&shown, "it comes after 100,000 others"));
        }
        let is_link = file.symlink_metadata().map_err(unreadable)?.is_symlink();
        let file = if is_link {
            let target = fs::canonicalize(file)
                .map_err(|_| refused(&shown, "it is a link that leads nowhere"))?;
            if !target.starts_with(&self.folder.root) {
                return Err(refused(&shown, "it is a link that leads out of the folder"));
            }
            target
        } else {
            file.to_owned()
        };
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            if self.above.contains(&file) {
                return Err(refused(&shown, "it is a link to a folder that it is in"));
            }
            self.above.push(file.clone());
            self.enter(&file, &inside, is_hidden)?;
            self.above.pop();
        } else if metadata.is_file() {
            self.found.push(Found {
                path: inside,
                file,
                executable: metadata.permissions().mode() & 0o111 != 0,
                size: metadata.len(),
            });
        } else {
            return Err(refused(&shown, "it is neither a file nor a folder"));
        }
        Ok(())
    }
}

fn refused(path: &Path, problem: &str) -> Error {
    Error::LayerFileRefused {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}

/// Refuses files that are too large for Lambda before they are read.
fn check_size(found: &[Found]) -> Result<(), Error> {
    let unzipped = found.iter().map(|file| file.size).sum();
    if unzipped <= Limits::LAYER_BYTES {
        return Ok(());
    }
    let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
    for file in found {
        let top = file.path.split('/').next().unwrap_or_default();
        *sizes.entry(top).or_default() += file.size;
    }
    let tops = sizes.into_iter().map(|(top, size)| (top.to_owned(), size));
    let oversize = Oversize::of_folder(unzipped, SizeLimit::LAYER, tops);
    Err(accretion_layer::Error::LayerTooLarge(Box::new(oversize)).into())
}
