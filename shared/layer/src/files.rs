//! Extra files: taken out of archives and folders of strangers, and packed the same whatever they came
//! in.

mod rules;

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

use crate::Packer;
use crate::error::Error;
use crate::secrets::Scanner;
use accretion_archive::{Directory, EntryKind, Header, ReadAt, WriteError, Writer};
use accretion_core::diagnostic::{Problem, code};
use accretion_core::digest::{Sha256, Written};
use accretion_core::excerpt::shown;
use accretion_core::fault::Fault as _;
use accretion_core::layer::path_problem;
use accretion_core::limits::{Limits, WheelLimits};
use accretion_core::request::FileRules;
use accretion_tree::{LayoutFile, Origin, installed_path};
pub use rules::{
    LeftOut, METADATA_FOLDER, Reason, Selector, check_secrets, is_never_taken, reason,
};

/// A file that is installed instead of copied where a folder is a layer's; at the top of extra files
/// it is left out, too.
pub const REQUIREMENTS: &str = "requirements.txt";

/// Files on their way into a layer.
#[derive(Debug, Default)]
pub struct OwnFiles {
    selector: Selector,
    files: BTreeMap<String, OwnFile>,
    bytes: u64,
}

#[derive(Debug, PartialEq, Eq)]
struct OwnFile {
    executable: bool,
    content: Vec<u8>,
}

/// Checks that a file of a layer can have a path, hidden or not.
fn check_path(name: &str, path: &str) -> Result<(), Problem> {
    let too_long = (path.len() > WheelLimits::default().path).then_some("is too long");
    match path_problem(path).or(too_long) {
        Some(problem) => Err(unfit(name, path, problem)),
        None => Ok(()),
    }
}

fn unfit(name: &str, path: &str, problem: &str) -> Problem {
    let (name, path) = (shown(name), shown(path));
    invalid(format!("the path `{path}` in `{name}` {problem}")).help("name the file otherwise")
}

fn invalid(problem: String) -> Problem {
    Problem::error(code::FILES_INVALID, problem)
}

/// The problem of a request whose files hold secrets.
pub fn secret_problem(error: &Error) -> Problem {
    let problem = Problem::error(code::SECRET_FOUND, error.to_string());
    problem.help(error.hint().unwrap_or_default())
}

fn too_large(problem: String) -> Problem {
    Problem::error(code::TOO_LARGE, problem)
        .help("leave out what no function needs, or make several layers of it")
}

impl OwnFiles {
    /// No files so far, of which those come along that the rules allow.
    pub fn new(rules: &FileRules) -> Self {
        Self {
            selector: Selector::new(rules),
            ..Self::default()
        }
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Adds the content of a zip. `name` is what it is called where something is wrong with it.
    ///
    /// Refuses whatever a wheel is refused for: archives that two readers could understand
    /// differently, paths that lead out, links, devices.
    pub fn add_zip(&mut self, name: &str, zip: &[u8]) -> Result<(), Problem> {
        let broken = |problem: &dyn std::fmt::Display| {
            invalid(format!("`{}` can't be used: {problem}", shown(name)))
                .help("pack the files again, as a plain zip")
        };
        let directory = Directory::read(zip, zip.len() as u64, WheelLimits::default().entries)
            .map_err(|error| broken(&error))?;
        for (index, entry) in directory.entries.iter().enumerate() {
            let is_folder = entry.kind == EntryKind::Directory && entry.size == 0;
            if entry.kind != EntryKind::File && !is_folder {
                let message = format!("`{}` is no regular file", shown(&entry.name));
                return Err(broken(&message));
            }
            let path = installed_path(&entry.name, entry.kind)
                .map_err(|problem| unfit(name, &entry.name, problem))?;
            if !is_folder && !self.takes(&path) {
                continue;
            }
            self.check_room(entry.size)?;
            let mut content = Vec::new();
            let unpacked = directory.unpack(zip, index, |bytes| {
                content.extend_from_slice(bytes);
                Ok(())
            });
            unpacked.map_err(|error| broken(&error))?;
            if !is_folder {
                let executable = entry.permissions.is_some_and(|mode| mode & 0o111 != 0);
                self.insert(name, path, executable, content)?;
            }
        }
        Ok(())
    }

    fn takes(&mut self, path: &str) -> bool {
        path != REQUIREMENTS && self.selector.takes(path)
    }

    /// Adds a file. `path` is that below the layer's root, `name` where it comes from.
    pub fn add(
        &mut self,
        name: &str,
        path: String,
        executable: bool,
        content: Vec<u8>,
    ) -> Result<(), Problem> {
        check_path(name, &path)?;
        if self.takes(&path) {
            self.insert(name, path, executable, content)?;
        }
        Ok(())
    }

    fn insert(
        &mut self,
        name: &str,
        path: String,
        executable: bool,
        content: Vec<u8>,
    ) -> Result<(), Problem> {
        check_path(name, &path)?;
        let quoted = shown(&path);
        let file = OwnFile {
            executable,
            content,
        };
        match self.files.get(&path) {
            Some(known) if *known == file => return Ok(()),
            Some(_) => {
                return Err(invalid(format!("there are two files for `{quoted}`"))
                    .help("leave one of them out"));
            }
            None => {}
        }
        self.check_room(file.content.len() as u64)?;
        if self.files.len() >= Limits::FILES {
            return Err(too_large(format!(
                "there are over {} extra files",
                Limits::FILES
            )));
        }
        self.bytes += file.content.len() as u64;
        let mut scanner = Scanner::default();
        scanner.feed(&file.content);
        self.selector.hold(scanner.finish(&path));
        self.files.insert(path, file);
        Ok(())
    }

    fn check_room(&self, size: u64) -> Result<(), Problem> {
        if self.bytes.saturating_add(size) <= Limits::FILES_BYTES {
            return Ok(());
        }
        let limit = Limits::FILES_BYTES >> 20;
        Err(too_large(format!(
            "the extra files unpack to over {limit} MiB"
        )))
    }

    /// The zip that the files are kept in. Its bytes depend on paths, contents and modes alone.
    pub fn pack(self) -> Result<Vec<u8>, Problem> {
        let selected = self.selector.finish();
        selected.map_err(|error| secret_problem(&error))?;
        for path in self.files.keys() {
            let mut folders = path.match_indices('/').map(|(end, _)| &path[..end]);
            if let Some(folder) = folders.find(|folder| self.files.contains_key(*folder)) {
                let message = format!("`{}` is both a file and a folder", shown(folder));
                return Err(invalid(message).help("leave one of them out"));
            }
        }
        let mut packer = Packer::new(Vec::new());
        for (path, file) in self.files {
            packer
                .add(path, file.executable, file.content.as_slice())
                .expect("paths are checked, and memory takes all bytes");
        }
        let (files, data) = packer.finish();
        let mut zip = Vec::with_capacity(data.len());
        write_zip(&files, &data, &mut zip).expect("it is in memory");
        Ok(zip)
    }
}

/// Writes the zip of files that are packed already, ordered by path: what [`OwnFiles::pack`] makes of
/// the same files.
pub fn write_zip(
    files: &[LayoutFile],
    packed: &(impl ReadAt + ?Sized),
    zip: impl Write,
) -> Result<Written, WriteError> {
    let mut writer = Writer::new(zip);
    for file in files {
        let header = Header {
            name: &file.path,
            method: file.method,
            crc32: file.crc32,
            compressed_size: file.compressed_size,
            size: file.size,
            executable: file.executable,
        };
        writer.copy(header, packed, file.offset)?;
    }
    writer.finish().map(crate::written)
}

/// The contents of a zip that [`OwnFiles::pack`] made, ordered by path; the files' packed data lies in the
/// zip itself.
pub fn packed_files(zip: &(impl ReadAt + ?Sized), length: u64) -> Result<Vec<LayoutFile>, Error> {
    let refused = |problem: String| Error::OwnFilesInvalid { problem };
    let directory = Directory::read(zip, length, Limits::FILES as u64)
        .map_err(|error| refused(error.to_string()))?;
    let mut files = Vec::with_capacity(directory.entries.len());
    for (index, entry) in directory.entries.iter().enumerate() {
        let verified = directory
            .unpack(zip, index, |_| Ok(()))
            .map_err(|error| refused(error.to_string()))?;
        let problem = match entry.kind {
            EntryKind::File => path_problem(&entry.name),
            _ => Some("is no regular file"),
        };
        if let Some(problem) = problem {
            return Err(refused(format!("`{}` {problem}", shown(&entry.name))));
        }
        files.push(LayoutFile {
            path: entry.name.clone(),
            origin: Origin::Archive,
            offset: verified.data_offset,
            method: entry.method,
            compressed_size: entry.compressed_size,
            size: entry.size,
            crc32: entry.crc32,
            sha256: Sha256(verified.sha256),
            executable: entry.permissions.is_some_and(|mode| mode & 0o111 != 0),
        });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The hash of extra files, ordered by path, whatever they are packed in: over canonical JSON
/// of their paths, hashes and modes.
pub fn of_files(files: &[LayoutFile]) -> Sha256 {
    let files = files.iter().map(|file| FileEntry {
        executable: file.executable,
        path: &file.path,
        sha256: file.sha256,
    });
    let canonical = serde_json::to_vec(&files.collect::<Vec<_>>());
    Sha256::of(&canonical.expect("strings, booleans and lists are always JSON"))
}

/// Members in the order of their names.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FileEntry<'a> {
    executable: bool,
    path: &'a str,
    sha256: Sha256,
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::of_files;

    const FILES: [(&str, &str, bool); 4] = [
        ("tools/__init__.py", "x = 1\n", false),
        ("bin/tool", "#!/bin/sh\n", true),
        ("tools/data", "data", false),
        ("tools/requirements.txt", "six", false),
    ];

    /// A zip as another tool packs it, in some order.
    fn foreign(order: impl Iterator<Item = usize>, method: zip::CompressionMethod) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        writer.add_directory("tools/", options).unwrap();
        for at in order {
            let (path, content, executable) = FILES[at];
            let mode = if executable { 0o700 } else { 0o600 };
            writer
                .start_file(path, options.unix_permissions(mode))
                .unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
        for path in [
            ".env",
            ".git/config",
            "requirements.txt",
            "tools/.env",
            "tools/__pycache__/__init__.cpython-313.pyc",
        ] {
            writer.start_file(path, options).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn packed(zip: &[u8]) -> Vec<u8> {
        let mut own = OwnFiles::default();
        own.add_zip("x.zip", zip).unwrap();
        own.pack().unwrap()
    }

    #[test]
    fn the_same_files_are_packed_the_same_whatever_they_came_in() {
        let deflated = foreign(0..4, zip::CompressionMethod::Deflated);
        let stored = foreign((0..4).rev(), zip::CompressionMethod::Stored);
        assert_ne!(deflated, stored);
        let zip = packed(&deflated);
        assert_eq!(packed(&stored), zip);
        // And what is packed once stays as it is.
        assert_eq!(packed(&zip), zip);

        let files = packed_files(zip.as_slice(), zip.len() as u64).unwrap();
        let found: Vec<_> = files
            .iter()
            .map(|it| (it.path.as_str(), it.executable))
            .collect();
        let mut expected: Vec<_> = FILES.iter().map(|(path, _, it)| (*path, *it)).collect();
        expected.sort_unstable();
        assert_eq!(found, expected);
        let mut again = Vec::new();
        write_zip(&files, zip.as_slice(), &mut again).unwrap();
        assert_eq!(again, zip);

        // One by one they come to the same, but for what a folder of a bucket does not know.
        let mut own = OwnFiles::default();
        for (path, content, executable) in FILES {
            own.add(path, path.to_owned(), executable, content.into())
                .unwrap();
        }
        own.add("x", ".env".to_owned(), false, Vec::new()).unwrap();
        assert_eq!(own.pack().unwrap(), zip);
        assert_eq!(of_files(&files).to_string().len(), 64);
    }

    #[test]
    fn hidden_files_come_along_by_pattern_and_secrets_by_path() {
        let packed = |hidden: &str, allowed: &str| {
            let hidden = [hidden.parse().unwrap()].into();
            let rules = FileRules::new(hidden, [allowed.to_owned()].into()).unwrap();
            let mut own = OwnFiles::new(&rules);
            own.add_zip("x.zip", &foreign(0..4, zip::CompressionMethod::Stored))
                .unwrap();
            let zip = own.pack()?;
            let files = packed_files(zip.as_slice(), zip.len() as u64).unwrap();
            let paths = files.into_iter().map(|file| file.path);
            Ok::<_, Problem>(paths.collect::<Vec<_>>())
        };
        assert_eq!(packed("none", "x").unwrap().len(), 4);
        // A file of that name is one by its name, however empty it is.
        let problem = packed(".env", "tools/.env").unwrap_err();
        assert_eq!(problem.code, code::SECRET_FOUND);
        assert!(problem.message.contains("`.env` holds"), "{problem:?}");
        assert!(!problem.message.contains("tools/.env"), "{problem:?}");
        let paths = packed("tools/.env", "tools/.env").unwrap();
        assert!(paths.contains(&"tools/.env".to_owned()), "{paths:?}");
    }

    #[test]
    fn what_differs_for_one_path_is_refused() {
        let mut own = OwnFiles::default();
        let mut add = |content: &str| own.add("x", "a".to_owned(), false, content.into());
        add("x").unwrap();
        add("x").unwrap();
        assert_eq!(add("y").unwrap_err().code, code::FILES_INVALID);
    }

    #[test]
    fn what_is_kept_is_read_as_strictly() {
        let zip = packed(&foreign(0..4, zip::CompressionMethod::Stored));
        let read = |zip: &[u8]| packed_files(zip, zip.len() as u64).is_ok();
        assert!(read(&zip));
        for at in 0..zip.len() {
            let mut broken = zip.clone();
            broken[at] ^= 0x40;
            // Whatever is read of it is no file that could lead elsewhere.
            let _ = read(&broken);
        }
        assert!(!read(&zip[1..]));
    }
}
