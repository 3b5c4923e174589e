//! Files and projects of the user's own, as what layers are made of besides requirements.

use std::path::PathBuf;

use accretion_core::request::Request;
use accretion_local::layer_folder::{LayerFolder, PackedFolder};
use accretion_service::ports::PortError;

use crate::error::Error;

/// Files of one's own.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Contents")]
pub(crate) struct OwnOptions {
    /// Copy what is in this folder into the layers, but for what is hidden at its top
    #[arg(long, value_name = "DIR")]
    include: Option<PathBuf>,
}

impl OwnOptions {
    /// Packs the files that are to be copied.
    pub(crate) async fn pack(&self) -> Result<Option<PackedFolder>, Error> {
        let Some(path) = &self.include else {
            return Ok(None);
        };
        let local = |error| Error::Service(PortError::new(error).into());
        let folder = LayerFolder::open(path).map_err(local)?;
        let packed = folder.pack().await.map_err(local)?;
        if packed.files().is_empty() {
            let path = path.clone();
            return Err(Error::IncludeEmpty { path });
        }
        Ok(Some(packed))
    }
}

/// A request that names files of the inbox can be built by the pipeline alone.
pub(crate) fn check_files(request: &Request) -> Result<(), Error> {
    if request.contents.files.is_empty() {
        Ok(())
    } else {
        Err(Error::FilesElsewhere)
    }
}
