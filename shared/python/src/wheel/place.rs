//! The places where a wheel's files go.

use accretion_core::excerpt::shown;
use pep440_rs::Version;

use super::WheelFilename;
use super::inspect::ArchiveFile;
use crate::requirement::distribution_name;

/// The file of the metadata that scripts are generated from.
pub(super) const ENTRY_POINTS: &str = "entry_points.txt";

/// The files that an installer writes itself and never takes from the wheel: its own records, and
/// signatures of a `RECORD` that is no longer there.
const NOT_TAKEN: [&str; 6] = [
    "RECORD",
    "RECORD.jws",
    "RECORD.p7s",
    "INSTALLER",
    "REQUESTED",
    "direct_url.json",
];

/// The places where the parts of a wheel lie.
pub(super) struct Roots {
    /// `NAME-VERSION.dist-info`, as it is written; some tools leave the version out.
    pub(super) dist_info: String,
    /// The folder beside it whose content goes elsewhere; most wheels have none.
    data: String,
    /// The place where headers go, below `python/`.
    headers: String,
}

impl Roots {
    /// Finds them among a wheel's files. The error is a sentence.
    pub(super) fn of(filename: &WheelFilename, files: &[ArchiveFile<'_>]) -> Result<Self, String> {
        let dist_info = match tops(files, ".dist-info")[..] {
            [dist_info] => dist_info,
            [] => return Err("it has no .dist-info folder".into()),
            [one, other, ..] => {
                return Err(format!(
                    "it has several .dist-info folders: `{one}` and `{other}`"
                ));
            }
        };
        let stem = dist_info.strip_suffix(".dist-info").unwrap_or(dist_info);
        if !is_own(stem, filename) {
            return Err(format!("`{dist_info}` does not belong to its name"));
        }
        let data = format!("{stem}.data");
        let others = tops(files, ".data").into_iter();
        if let Some(other) = others.into_iter().find(|top| *top != data) {
            return Err(format!(
                "`{other}` is not the .data folder of `{dist_info}`: some installers unpack it, \
                 others don't"
            ));
        }
        for file in files {
            check_spelling(file, dist_info, &data)?;
        }
        for file in ["METADATA", "WHEEL", "RECORD"] {
            let path = format!("{dist_info}/{file}");
            if !files.iter().any(|file| file.entry.name == path) {
                return Err(format!("it has no `{path}`"));
            }
        }
        Ok(Self {
            dist_info: dist_info.to_owned(),
            data,
            headers: format!("include/{}", filename.name()),
        })
    }

    /// The path below `python/` that an entry goes to and whether it is a script; `None` for what
    /// is not taken. The error is a sentence.
    pub(super) fn place(&self, path: &str) -> Result<Option<(String, bool)>, String> {
        let Some(rest) = below(&self.data, path) else {
            return Ok(self.taken(path.to_owned(), false));
        };
        let (target, is_script) = match rest.split_once('/') {
            Some(("purelib" | "platlib" | "data", rest)) => (rest.to_owned(), false),
            Some(("headers", rest)) => (format!("{}/{rest}", self.headers), false),
            Some(("scripts", rest)) => (format!("bin/{rest}"), true),
            _ => {
                return Err(format!(
                    "`{path}` lies in no folder that a .data folder may have"
                ));
            }
        };
        Ok(self.taken(target, is_script))
    }

    /// Leaves out what an installer writes itself, whichever way the wheel would put it there.
    fn taken(&self, path: String, is_script: bool) -> Option<(String, bool)> {
        let is_taken = !below(&self.dist_info, &path).is_some_and(|rest| NOT_TAKEN.contains(&rest));
        is_taken.then_some((path, is_script))
    }
}

/// The rest of a path below a folder.
fn below<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    path.strip_prefix(folder)?.strip_prefix('/')
}

/// Different folders at the top that hold files and end so, two at most: a hostile wheel may have
/// as many as it has entries.
fn tops<'f>(files: &'f [ArchiveFile<'_>], suffix: &str) -> Vec<&'f str> {
    let mut found = Vec::new();
    for file in files {
        if let Some((top, _)) = file.path.split_once('/')
            && top.ends_with(suffix)
            && found.len() < 2
            && !found.contains(&top)
        {
            found.push(top);
        }
    }
    found
}

/// Returns whether `NAME-VERSION`, or `NAME` alone, is of a wheel's name, however it is written.
/// The version is that of `METADATA`: installers don't look at this one.
fn is_own(stem: &str, filename: &WheelFilename) -> bool {
    let is_name = |name: &str| distribution_name(name).is_some_and(|name| name == *filename.name());
    let is_version = |version: &str| version.parse::<Version>().is_ok();
    is_name(stem)
        || stem.rsplit_once('-').is_some_and(|(name, _)| is_name(name))
        || stem
            .split_once('-')
            .is_some_and(|(name, version)| is_name(name) && is_version(version))
}

/// Refuses a file of a folder of the wheel's own whose name spells the folder in another way than
/// its path: some installers look for the name as it is written, others for the folder on the disk.
///
/// The folder of a file below `.data` is the one that says where it goes. Behind `.dist-info`,
/// installers know `./`, but not `//`.
fn check_spelling(file: &ArchiveFile<'_>, dist_info: &str, data: &str) -> Result<(), String> {
    let (name, path) = (&file.entry.name, &file.path);
    let is_spelled = if let Some(rest) = below(data, path) {
        let length = rest.find('/').map_or(0, |slash| slash + 1);
        name.starts_with(&path[..path.len() - rest.len() + length])
    } else if below(dist_info, path).is_some() {
        below(dist_info, name).is_some_and(|rest| !rest.starts_with('/'))
    } else {
        true
    };
    if is_spelled {
        return Ok(());
    }
    let (name, path) = (shown(name), shown(path));
    Err(format!("the path `{name}` has to be written `{path}`"))
}
