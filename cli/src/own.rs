//! Files and projects of the user's own, as what layers are made of besides requirements.

use std::path::PathBuf;

#[cfg(feature = "aws")]
use accretion_core::diagnostic::{Problem, Report, code};
#[cfg(feature = "aws")]
use accretion_core::digest::Sha256;
#[cfg(feature = "aws")]
use accretion_core::keys;
#[cfg(feature = "aws")]
use accretion_core::limits::Limits;
#[cfg(feature = "aws")]
use accretion_core::request::FileSource;
use accretion_core::request::Request;
use accretion_local::layer_folder::{LayerFolder, PackedFolder};
use accretion_service::ports::PortError;

use crate::contents::HEADING;
use crate::error::Error;

/// Files of one's own.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct OwnOptions {
    /// Copy what is in this folder into the layers, but for what is hidden at its top
    #[arg(long, help_heading = HEADING, value_name = "DIR")]
    include: Option<PathBuf>,
}

impl OwnOptions {
    /// Packs the files that are to be copied.
    pub(crate) async fn pack(&self) -> Result<Option<PackedFolder>, Error> {
        let Some(path) = &self.include else {
            return Ok(None);
        };
        let folder = LayerFolder::open(path).map_err(local)?;
        let packed = folder.pack().await.map_err(local)?;
        if packed.files().is_empty() {
            let path = path.clone();
            return Err(Error::IncludeEmpty { path });
        }
        Ok(Some(packed))
    }
}

#[cfg(feature = "aws")]
impl OwnOptions {
    /// What is to be uploaded, by its keys in the inbox, which a request names from now on.
    pub(crate) async fn upload(
        &self,
        request: &mut Request,
    ) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let Some(packed) = self.pack().await? else {
            return Ok(Vec::new());
        };
        check_limits(&packed)?;
        let zip = packed.zip().await.map_err(local)?;
        let sha256 = Sha256::of(&zip);
        let key = format!("{}{}/{sha256}.zip", keys::FILES, request.name);
        let source = FileSource::object(&key).expect("it is a zip below the folder of files");
        request.contents.files.insert(source);
        Ok(vec![(key, zip)])
    }
}

/// What the pipeline would refuse need not be uploaded.
#[cfg(feature = "aws")]
fn check_limits(packed: &PackedFolder) -> Result<(), Error> {
    let files = packed.files();
    let unpacked: u64 = files.iter().map(|file| file.size).sum();
    let zipped: u64 = files.iter().map(|file| file.compressed_size).sum();
    let limit = Limits::FILE_ARCHIVE_BYTES as u64;
    if files.len() <= Limits::FILES && unpacked <= Limits::FILES_BYTES && zipped <= limit {
        return Ok(());
    }
    let mut report = Report::new("the folder of --include", "");
    let message = format!(
        "the pipeline takes {} files, {} MiB, and {} MiB packed",
        Limits::FILES,
        Limits::FILES_BYTES >> 20,
        limit >> 20
    );
    let help = "leave out what no function needs, or make several layers of it";
    report.push(Problem::error(code::TOO_LARGE, message).help(help));
    Err(Error::InputInvalid(report))
}

fn local(error: accretion_local::Error) -> Error {
    Error::Service(PortError::new(error).into())
}

/// A request that names files of the inbox can be built by the pipeline alone.
pub(crate) fn check_files(request: &Request) -> Result<(), Error> {
    if request.contents.files.is_empty() {
        Ok(())
    } else {
        Err(Error::FilesElsewhere)
    }
}
