//! The packages and files that a request brings along, as a dispatch has stored them.

use accretion_core::digest::Sha256;
use accretion_core::keys;
use accretion_core::request::{FileSource, Request};

use crate::Error;
use crate::ecosystem::Packages;
use crate::ports::Requests;

/// A zip of extra files.
#[derive(Debug)]
pub struct PackedZip {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its hash.
    pub sha256: Sha256,
}

/// Supplies the packages of a request with those among its files, and returns the zip of all others.
///
/// # Errors
///
/// [`Error::FilesMissing`] if something is not stored, and those of [`Packages::supply`].
pub async fn supply<P: Packages>(
    request: &Request<P::Input>,
    requests: &dyn Requests,
    packages: &mut P,
) -> Result<Option<PackedZip>, Error> {
    let stored = async |key: String| -> Result<Vec<u8>, Error> {
        let content = requests.stored_file(&key).await?;
        content.ok_or(Error::FilesMissing { key })
    };
    let mut packed = None;
    for source in &request.contents.files {
        match source {
            FileSource::Packed(sha256) => {
                packed = Some(PackedZip {
                    bytes: stored(keys::packed_files(*sha256)).await?,
                    sha256: *sha256,
                });
            }
            FileSource::Package { filename, sha256 } => {
                let archive = stored(keys::own_package(*sha256)).await?;
                packages.supply(filename, *sha256, archive).await?;
            }
            // A dispatch replaces these before it stores a request.
            FileSource::Object(key) | FileSource::Prefix(key) => {
                return Err(Error::FilesMissing { key: key.clone() });
            }
        }
    }
    Ok(packed)
}
