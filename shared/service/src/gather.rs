//! Gathering the files that a request names: out of the inbox, where they may change, to where nobody
//! changes them.

use std::collections::BTreeSet;

use accretion_core::diagnostic::{Problem, code};
use accretion_core::digest::Sha256;
use accretion_core::keys;
use accretion_core::limits::Limits;
use accretion_core::request::{FileKind, FileSource, Input as _, Request};
use accretion_layer::files::OwnFiles;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::ecosystem::Ecosystem;
use crate::ports::{Inbox, Listed, PortError, Requests};

/// Objects that are read at the same time.
const READS: usize = 16;

/// The reason why no files could be gathered.
#[derive(Debug)]
pub(crate) enum GatherError {
    /// They can't go into a layer.
    Problem(Problem),
    /// A port failed.
    Port(PortError),
}

impl From<Problem> for GatherError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<PortError> for GatherError {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

/// Checks and keeps what a request names, and returns what it is to name instead.
pub(crate) async fn files<E: Ecosystem>(
    request: &Request<E::Input>,
    inbox: &dyn Inbox,
    requests: &dyn Requests,
) -> Result<BTreeSet<FileSource>, GatherError> {
    let mut sources = BTreeSet::new();
    let mut own = OwnFiles::new(&request.contents.file_rules);
    let mut packages = Vec::new();
    let (mut names, mut in_packages) = (BTreeSet::new(), 0);
    for source in &request.contents.files {
        match source {
            FileSource::Object(key) => {
                let bytes = read(inbox, key).await?;
                let filename = key.rsplit('/').next().unwrap_or_default();
                if let FileKind::Package(name) = E::Input::file_kind(filename) {
                    in_packages += bytes.len() as u64;
                    if in_packages > Limits::FILES_BYTES {
                        let mib = Limits::FILES_BYTES >> 20;
                        let message = format!("the packages of `Files` have over {mib} MiB");
                        let help = "put them into a package index, or make several layers of them";
                        return Err(problem_of(code::TOO_LARGE, message, help).into());
                    }
                    if let Some(name) = names.replace(name) {
                        let message = format!("there are two packages of the name `{name}`");
                        let help = "name one of them";
                        return Err(problem_of(code::FILES_INVALID, message, help).into());
                    }
                    E::check_package(request, filename, &bytes)?;
                    let sha256 = Sha256::of(&bytes);
                    packages.push((keys::own_package(sha256), bytes));
                    sources.insert(FileSource::Package {
                        filename: filename.to_owned(),
                        sha256,
                    });
                } else {
                    own.add_zip(key, &bytes)?;
                }
            }
            FileSource::Prefix(prefix) => read_all(inbox, prefix, &mut own).await?,
            kept @ (FileSource::Packed(_) | FileSource::Package { .. }) => {
                sources.insert(kept.clone());
            }
        }
    }
    let packed = if own.is_empty() {
        None
    } else {
        let zip = own.pack()?;
        let sha256 = Sha256::of(&zip);
        sources.insert(FileSource::Packed(sha256));
        Some((keys::packed_files(sha256), zip))
    };
    if sources.is_empty() {
        let problem = "there is no file in what `Files` names";
        return Err(problem_of(code::FILES_INVALID, problem, "remove `Files`").into());
    }
    // Stored last, so that a rejected request leaves nothing.
    for (key, content) in packages.into_iter().chain(packed) {
        requests.store_file(&key, content).await?;
    }
    Ok(sources)
}

fn problem_of(code: &'static str, message: impl Into<String>, help: &str) -> Problem {
    Problem::error(code, message).help(help)
}

async fn read(inbox: &dyn Inbox, key: &str) -> Result<Vec<u8>, GatherError> {
    let Some(bytes) = inbox.latest(key, Limits::FILE_ARCHIVE_BYTES).await? else {
        let message = format!("there is no object `{key}` in the inbox");
        let help = "upload it, then drop the request again";
        return Err(problem_of(code::OBJECT_MISSING, message, help).into());
    };
    if bytes.len() > Limits::FILE_ARCHIVE_BYTES {
        let limit = Limits::FILE_ARCHIVE_BYTES >> 20;
        let message = format!("`{key}` has over {limit} MiB");
        let help = "leave out what no function needs, or make several layers of it";
        return Err(problem_of(code::TOO_LARGE, message, help).into());
    }
    Ok(bytes)
}

/// Reads the objects below a prefix: no more than the list of them says, so that memory is bounded
/// before it is needed.
async fn read_all(inbox: &dyn Inbox, prefix: &str, own: &mut OwnFiles) -> Result<(), GatherError> {
    let objects = inbox.list(prefix, Limits::FILES).await?;
    let size: u64 = objects.iter().map(|object| object.size).sum();
    if objects.len() > Limits::FILES || size > Limits::FILES_BYTES {
        let (files, mib) = (Limits::FILES, Limits::FILES_BYTES >> 20);
        let message = format!("below `{prefix}` there are over {files} objects or {mib} MiB");
        let help = "leave out what no function needs, or make several layers of it";
        return Err(problem_of(code::TOO_LARGE, message, help).into());
    }
    // Consoles make objects for folders.
    let files = objects.iter().filter(|object| !object.key.ends_with('/'));
    let reads = files.map(|object| async move { read_listed(inbox, object).await });
    let mut reads = stream::iter(reads).buffered(READS);
    let mut is_any = false;
    while let Some((key, content)) = reads.try_next().await? {
        let path = key.strip_prefix(prefix).unwrap_or(key);
        // An object has no mode.
        own.add(key, path.to_owned(), false, content)?;
        is_any = true;
    }
    if is_any {
        return Ok(());
    }
    let message = format!("there is no object below `{prefix}` in the inbox");
    let help = "upload the files, then drop the request again";
    Err(problem_of(code::OBJECT_MISSING, message, help).into())
}

async fn read_listed<'o>(
    inbox: &dyn Inbox,
    object: &'o Listed,
) -> Result<(&'o str, Vec<u8>), GatherError> {
    let key = object.key.as_str();
    let limit = usize::try_from(object.size).unwrap_or(usize::MAX);
    let content = inbox.latest(key, limit).await?;
    let Some(content) = content.filter(|content| content.len() <= limit) else {
        let message = format!("`{key}` was changed while it was read");
        let help = "drop the request again";
        return Err(problem_of(code::OBJECT_MISSING, message, help).into());
    };
    Ok((key, content))
}
