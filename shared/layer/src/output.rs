//! The artifacts that are made of file trees.

use std::io::Write;

use accretion_archive::{WriteError, Writer};
use accretion_core::digest::{Digest, Written};

use crate::oversize::SizeLimit;
use crate::splice::{Data, Files};

/// A kind of artifact.
pub trait Output: Sync {
    /// The digest of the artifact that it makes, given the digest of a layer's zip of the same
    /// contents. Two outputs never share one: [`Digest::of_output`] tells them apart.
    fn digest(&self, layer: Digest) -> Digest;

    /// The most that it takes.
    fn limit(&self) -> SizeLimit;

    /// Writes an artifact of these files. Its bytes depend on the files' names, content and modes
    /// alone.
    fn write(&self, files: Files<'_>, out: &mut dyn Write) -> Result<Written, WriteError>;
}

/// The zip of a layer version.
#[derive(Debug, Clone, Copy)]
pub struct LayerZip;

impl Output for LayerZip {
    fn digest(&self, layer: Digest) -> Digest {
        layer
    }

    fn limit(&self) -> SizeLimit {
        SizeLimit::LAYER
    }

    fn write(&self, mut files: Files<'_>, out: &mut dyn Write) -> Result<Written, WriteError> {
        let mut writer = Writer::new(out);
        while let Some((header, data)) = files.read()? {
            match data {
                Data::Bytes(bytes) => writer.add(header, bytes)?,
                Data::At(archive, offset) => writer.copy(header, archive, offset)?,
            }
        }
        writer.finish().map(crate::written)
    }
}
