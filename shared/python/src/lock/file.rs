//! A file that a lock file lists for a package.

use accretion_core::digest::Sha256;
use accretion_core::excerpt::shown;
use pep508_rs::PackageName;
use percent_encoding::percent_decode_str;
use url::Url;

use super::local::Foreign;
use super::{LockedFile, invalid};
use crate::error::Error;

/// A file, as the lock file lists it. It is read only if the file is chosen.
#[derive(Debug, Clone, Default)]
pub(super) struct File {
    pub(super) name: Option<String>,
    pub(super) url: Option<String>,
    pub(super) path: Option<String>,
    pub(super) size: Option<u64>,
    pub(super) sha256: Option<String>,
}

impl File {
    /// The file's name: one that can be the name of a file in any folder, and of no other.
    pub(super) fn filename(&self, package: &PackageName) -> Result<String, Error> {
        let name = if let Some(name) = &self.name {
            name.clone()
        } else {
            let url = self.url(package)?;
            let last = url
                .path_segments()
                .and_then(|mut segments| segments.next_back());
            last.map(|segment| percent_decode_str(segment).decode_utf8_lossy())
                .unwrap_or_default()
                .into_owned()
        };
        let is_file_name = (1..=255).contains(&name.len())
            && !name.starts_with('.')
            && !name.contains(|c: char| c == '/' || c == '\\' || c.is_control());
        if is_file_name {
            Ok(name)
        } else {
            Err(invalid(format!(
                "`{}` of {package} is not the name of a file",
                shown(&name)
            )))
        }
    }

    pub(super) fn url(&self, package: &PackageName) -> Result<Url, Error> {
        if self.path.is_some() && self.url.is_none() {
            return Err(Foreign::file(self.path.clone()).unsupported(package));
        }
        let url = self.url.as_deref().unwrap_or_default();
        if url.is_empty() {
            let file = self.name.as_deref().map_or_else(
                || format!("a file of {package}"),
                |name| format!("`{}` of {package}", shown(name)),
            );
            return Err(invalid(format!("{file} has neither `url` nor `path`")));
        }
        let parsed: Url = url.parse().map_err(|error| {
            invalid(format!(
                "`{}` of {package} is not a URL: {error}",
                shown(url)
            ))
        })?;
        match parsed.scheme() {
            "https" | "http" => Ok(parsed),
            scheme => Err(Foreign::of_scheme(scheme).unsupported(package)),
        }
    }

    pub(super) fn sha256(&self, package: &PackageName) -> Result<Sha256, Error> {
        let hash = self.sha256.as_deref().ok_or_else(|| {
            let file = self.filename(package).unwrap_or_default();
            invalid(format!("`{file}` of {package} has no sha256"))
        })?;
        hash.parse()
            .map_err(|error| invalid(format!("{package}: {error}")))
    }

    pub(super) fn locked(&self, package: &PackageName) -> Result<LockedFile, Error> {
        let mut url = self.url(package)?;
        url.set_fragment(None);
        Ok(LockedFile {
            url,
            sha256: self.sha256(package)?,
            size: self.size,
        })
    }
}
