//! The content manifest: what a layer consists of, in the layer itself.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use accretion_archive::{
    ArchiveError, Directory, EntryKind, Header, ReadAt, WriteError, Writer, pack,
};
use accretion_core::digest::Written;
use accretion_core::layer::{Conflict, Shape};
use accretion_core::limits::WheelLimits;
use accretion_core::manifest::{Files, Installed, Manifest, Pruned};

use crate::files::METADATA_FOLDER;

/// The version of this form.
pub const CONTENT_VERSION: u32 = 1;

/// The path of the content manifest below the root of a layer.
pub const CONTENT_FILE: &str = ".accretion/manifest.json";

/// Bytes that a content manifest may have: some ten times what the largest layer comes to.
const CONTENT_BYTES: u64 = 16 << 20;

/// The contents of a layer. They follow from the layer's files alone: no time, no version of Accretion,
/// nothing that was asked for is in it, so that the same files are the same zip whenever and wherever
/// they are published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContentManifest {
    /// [`CONTENT_VERSION`].
    pub content_version: u32,
    /// The way the layer serves its runtimes; absent from a layer for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// The distributions in the layer, ordered by name.
    pub installed: Vec<Installed>,
    /// Extra files in the layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Files>,
    /// The pruned files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<Pruned>,
    /// Paths that several packages claim with different content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Conflict>,
    /// Bytes of the layer's files, unpacked, without this one.
    pub unzipped_size: u64,
}

/// A reason why a zip can't be given a content manifest.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The zip is not sound.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// It has one, or what lies in its place.
    #[error("it has an entry `{0}`")]
    Taken(String),
    /// The new zip could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<&Manifest> for ContentManifest {
    fn from(manifest: &Manifest) -> Self {
        Self {
            content_version: CONTENT_VERSION,
            shape: manifest.shape,
            installed: manifest.installed.clone(),
            files: manifest.files.clone(),
            pruned: manifest.pruned.clone(),
            conflicts: manifest.conflicts.clone(),
            unzipped_size: manifest.unzipped_size,
        }
    }
}

impl ContentManifest {
    /// The number of distributions in the layer. One that it holds several times, for different
    /// runtimes, counts once.
    pub fn packages(&self) -> usize {
        accretion_core::manifest::packages(&self.installed)
    }

    /// Writes the zip of a layer again, with this in it. `root` is the folder that the layer's files
    /// are in, with a slash in the end.
    ///
    /// # Errors
    ///
    /// [`EmbedError`], for a zip that has one already, too.
    pub fn embed(
        &self,
        root: &str,
        zip: &(impl ReadAt + ?Sized),
        length: u64,
        out: impl Write,
    ) -> Result<Written, EmbedError> {
        let path = format!("{root}{CONTENT_FILE}");
        let directory = Directory::read(zip, length, WheelLimits::default().entries)?;
        let folder = format!("{root}{METADATA_FOLDER}");
        let is_taken = |name: &str| {
            name.strip_prefix(&folder)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mut writer = Writer::new(out);
        let mut own = Some(self.packed());
        for (index, entry) in directory.entries.iter().enumerate() {
            if is_taken(&entry.name) {
                return Err(EmbedError::Taken(entry.name.clone()));
            }
            if entry.kind != EntryKind::File {
                continue;
            }
            if entry.name > path
                && let Some(own) = own.take()
            {
                own.add_to(&path, &mut writer)?;
            }
            let verified = directory.unpack(zip, index, |_| Ok(()))?;
            let header = Header {
                name: &entry.name,
                method: entry.method,
                crc32: entry.crc32,
                compressed_size: entry.compressed_size,
                size: entry.size,
                executable: entry.permissions.is_some_and(|mode| mode & 0o111 != 0),
            };
            writer.copy(header, zip, verified.data_offset)?;
        }
        if let Some(own) = own {
            own.add_to(&path, &mut writer)?;
        }
        Ok(crate::written(writer.finish()?))
    }

    /// Reads the content manifest of a layer's zip; `None` if there is none.
    ///
    /// # Errors
    ///
    /// For what is no zip, and for what is no content manifest.
    pub fn read(zip: &(impl ReadAt + ?Sized), length: u64) -> Result<Option<Self>, ArchiveError> {
        let directory = Directory::read(zip, length, WheelLimits::default().entries)?;
        let mut entries = directory.entries.iter();
        let Some(index) = entries.position(|entry| below_root(&entry.name) == Some(CONTENT_FILE))
        else {
            return Ok(None);
        };
        let mut text = Vec::new();
        let invalid = |error: String| io::Error::new(io::ErrorKind::InvalidData, error);
        if directory.entries[index].size > CONTENT_BYTES {
            return Err(invalid("the manifest in the layer is too large".to_owned()).into());
        }
        directory.unpack(zip, index, |bytes| {
            text.extend_from_slice(bytes);
            Ok(())
        })?;
        let read = serde_json::from_slice(&text);
        Ok(Some(read.map_err(|error| invalid(error.to_string()))?))
    }

    /// The manifest as it is in a layer, packed.
    fn packed(&self) -> Packed {
        let mut content = self.clone();
        for installed in &mut content.installed {
            // An index may say so one day, and not another.
            installed.yanked = None;
        }
        let mut text = serde_json::to_string_pretty(&content)
            .expect("a manifest of strings, numbers and lists is always JSON");
        text.push('\n');
        let (method, data) = pack::pack(text.as_bytes());
        Packed {
            method,
            crc32: crc32fast::hash(text.as_bytes()),
            size: text.len() as u64,
            data,
        }
    }
}

/// The part of a name after the folder that all files of a layer are in.
fn below_root(name: &str) -> Option<&str> {
    name.split_once('/').map(|(_, path)| path)
}

/// A content manifest on its way into a zip.
struct Packed {
    method: accretion_archive::Method,
    crc32: u32,
    size: u64,
    data: Vec<u8>,
}

impl Packed {
    fn add_to(&self, path: &str, writer: &mut Writer<impl Write>) -> Result<(), WriteError> {
        let header = Header {
            name: path,
            method: self.method,
            crc32: self.crc32,
            compressed_size: self.data.len() as u64,
            size: self.size,
            executable: false,
        };
        writer.add(header, &self.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: &str = "python/.accretion/manifest.json";

    fn content() -> ContentManifest {
        let text = r#"{"ContentVersion": 1, "UnzippedSize": 3, "Installed":
            [{"Name": "six", "Version": "1.17", "Yanked": "broken"}]}"#;
        serde_json::from_str(text).unwrap()
    }

    fn zip(names: &[&str]) -> Vec<u8> {
        let mut zip = Vec::new();
        let mut writer = Writer::new(&mut zip);
        for name in names {
            let (method, data) = pack::pack(name.as_bytes());
            let header = Header {
                name,
                method,
                crc32: crc32fast::hash(name.as_bytes()),
                compressed_size: data.len() as u64,
                size: name.len() as u64,
                executable: name.contains("bin"),
            };
            writer.add(header, &data).unwrap();
        }
        writer.finish().unwrap();
        zip
    }

    fn embed(content: &ContentManifest, zip: &[u8]) -> Result<Vec<u8>, EmbedError> {
        let mut out = Vec::new();
        content.embed("python/", zip, zip.len() as u64, &mut out)?;
        Ok(out)
    }

    #[test]
    fn what_is_put_in_is_what_is_read_and_nothing_else_changes() {
        let content = content();
        for names in [
            &["python/!.py", "python/bin/a", "python/six.py"][..],
            &["python/!.py"],
            &["python/six.py"],
        ] {
            let before = zip(names);
            assert!(
                ContentManifest::read(&before[..], before.len() as u64)
                    .unwrap()
                    .is_none()
            );
            let with = embed(&content, &before).unwrap();
            let read = ContentManifest::read(&with[..], with.len() as u64)
                .unwrap()
                .unwrap();
            assert_eq!(read.installed[0].name, "six");
            // What an index says today is not in the layer.
            assert_eq!(read.installed[0].yanked, None);
            let mut archive = zip::ZipArchive::new(std::io::Cursor::new(&with)).unwrap();
            let mut expected: Vec<_> = names.iter().map(|it| (*it).to_owned()).collect();
            expected.push(CONTENT.to_owned());
            expected.sort();
            let mut found = Vec::new();
            for at in 0..archive.len() {
                let mut file = archive.by_index(at).unwrap();
                let name = file.name().unwrap().into_owned();
                let mut content = String::new();
                io::Read::read_to_string(&mut file, &mut content).unwrap();
                assert!(name == CONTENT || content == name);
                found.push(name);
            }
            assert_eq!(found, expected);
            let taken = embed(&content, &with).unwrap_err();
            assert!(matches!(taken, EmbedError::Taken(_)), "{taken}");
        }
    }

    #[test]
    fn what_changes_from_day_to_day_makes_no_other_zip() {
        let before = zip(&["python/six.py"]);
        let mut yanked = content();
        yanked.installed[0].yanked = Some("another reason".to_owned());
        let one = embed(&content(), &before).unwrap();
        assert!(one == embed(&yanked, &before).unwrap());
        yanked.installed[0].version = "2".to_owned();
        assert!(one != embed(&yanked, &before).unwrap());
    }
}
