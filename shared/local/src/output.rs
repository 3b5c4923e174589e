//! Artifacts in a folder: `<layer name>.zip` and `<layer name>.manifest`.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use accretion_core::digest::Written;
use accretion_core::digest::{Digest, Sha256};
use accretion_core::layer::LayerName;
use accretion_core::manifest::Manifest;
use accretion_python::lock::LockFormat;
use accretion_service::blocking;
use accretion_service::ports::{Artifacts, Description, PortError};
use sha2::Digest as _;
use tempfile::NamedTempFile;

use crate::Error;
use crate::temporary::Folder;

/// A folder that layers are written to.
#[derive(Debug)]
pub struct OutputFolder {
    folder: Folder,
    is_named: bool,
}

impl OutputFolder {
    /// A folder, which is made when the first layer is written.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            folder: Folder::new(path.into(), ".accretion-"),
            is_named: false,
        }
    }

    /// Takes the layers' names for the user's own choice: what has them is overwritten, whatever input
    /// it was built from.
    #[must_use]
    pub fn named(self, is_named: bool) -> Self {
        Self { is_named, ..self }
    }

    /// The path of a layer's zip.
    pub fn zip(&self, layer: &LayerName) -> PathBuf {
        self.folder.path().join(format!("{layer}.zip"))
    }

    /// The path of a layer's manifest.
    pub fn manifest(&self, layer: &LayerName) -> PathBuf {
        self.folder.path().join(format!("{layer}.manifest"))
    }

    fn unwritable(&self) -> impl Fn(io::Error) -> PortError {
        let unwritable = Error::output("could not write to", self.folder.path());
        move |error| unwritable(error).into()
    }

    fn known(&self, layer: &LayerName) -> Option<Manifest> {
        // What can't be read, or is not ours, is not what we look for, and gets written anew.
        Manifest::from_json(&fs::read(self.manifest(layer)).ok()?).ok()
    }

    /// Refuses to overwrite what another input was built to: two of one folder may well make layers
    /// of one name.
    fn check_input(&self, layer: &LayerName, manifest: &Manifest) -> Result<(), PortError> {
        let other = self.known(layer).and_then(|known| known.input);
        match (other, &manifest.input) {
            (Some(other), Some(input))
                if other != *input
                    && !self.is_named
                    && !(is_of_project(&other) && is_of_project(input)) =>
            {
                Err(Error::LayerOfOtherInput {
                    zip: self.zip(layer),
                    other,
                    input: input.clone(),
                }
                .into())
            }
            _ => Ok(()),
        }
    }

    fn write_manifest(&self, layer: &LayerName, manifest: &Manifest) -> io::Result<()> {
        let mut file = self.folder.file()?;
        file.write_all(manifest.to_json().as_bytes())?;
        persist(file, &self.manifest(layer))
    }
}

/// Gives a temporary file its name, replacing the file that had it, and makes it readable for all users.
fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    // Temporary files are private whatever the umask says; layers are made to be passed on.
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(0o644))?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

impl Artifacts for OutputFolder {
    type Staged = NamedTempFile;

    async fn find(&self, layer: &LayerName, digest: Digest) -> Result<Option<Manifest>, PortError> {
        let known = self.known(layer);
        let Some(manifest) = known.filter(|manifest| manifest.digest == digest) else {
            return Ok(None);
        };
        let zip = self.zip(layer);
        let (sha256, size) = (manifest.artifact_sha256, manifest.artifact_size);
        let is_whole = blocking(move || is_whole(&zip, sha256, size)).await;
        Ok(is_whole.then_some(manifest))
    }

    fn stage(&self, _layer: &LayerName) -> Result<NamedTempFile, PortError> {
        self.folder.file().map_err(self.unwritable())
    }

    async fn commit(
        &self,
        layer: &LayerName,
        staged: NamedTempFile,
        _written: Written,
        Description { manifest, .. }: Description<'_>,
    ) -> Result<(), PortError> {
        self.check_input(layer, manifest)?;
        persist(staged, &self.zip(layer)).map_err(self.unwritable())?;
        self.write_manifest(layer, manifest)
            .map_err(self.unwritable())
    }

    async fn keep(
        &self,
        layer: &LayerName,
        Description { manifest, .. }: Description<'_>,
    ) -> Result<(), PortError> {
        let path = self.manifest(layer);
        if fs::read(&path).is_ok_and(|bytes| bytes == manifest.to_json().as_bytes()) {
            return Ok(());
        }
        self.write_manifest(layer, manifest)
            .map_err(self.unwritable())
    }
}

/// Returns whether a file is one that a project's layers are built from: its lock, or itself.
fn is_of_project(name: &str) -> bool {
    name == "pyproject.toml" || LockFormat::of_name(name).is_some()
}

fn is_whole(zip: &Path, sha256: Sha256, size: u64) -> bool {
    fs::metadata(zip).is_ok_and(|metadata| metadata.len() == size)
        && hash(zip).is_ok_and(|hash| hash == sha256)
}

/// The SHA-256 of a file.
pub fn hash(path: &Path) -> io::Result<Sha256> {
    let mut file = File::open(path)?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Sha256(hasher.finalize().into())),
            length => hasher.update(&buffer[..length]),
        }
    }
}
