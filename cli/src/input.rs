//! Reading inputs.

mod chosen;
mod locked;
mod name;

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use accretion_core::diagnostic::{Report, printable};
use accretion_core::encoding::decode_requirements;
use accretion_core::limits::Limits;
use accretion_python::request::{InputKind, Request};
use accretion_python::requirement::{Include, IncludeError};

#[cfg(feature = "aws")]
use crate::args::{ContentOptions, SelectionOptions, TargetOptions};
use crate::args::{Global, Input};
use crate::error::Error;

pub(crate) use self::locked::{LocalPackage, local_packages};
pub(crate) use self::name::{name_of_project, project_file};

impl Input {
    /// Replaces the path of a folder by its only input, and prints it.
    pub(crate) fn choose(&mut self, global: Global) -> Result<(), Error> {
        let path = chosen::chosen(&self.path)?;
        if path != self.path && global.is_chatty() {
            anstream::eprintln!("reading {}", printable(&path.display().to_string()));
        }
        self.path = path;
        Ok(())
    }

    /// A file without options.
    #[cfg(feature = "aws")]
    pub(crate) fn of_path(path: PathBuf) -> Self {
        Self {
            path,
            name: None,
            targets: TargetOptions::default(),
            selection: SelectionOptions::default(),
            allow_source_distributions: false,
            merge: false,
            contents: ContentOptions::default(),
        }
    }
}

/// The file of an input.
#[derive(Debug)]
pub(crate) struct InputFile {
    pub(crate) kind: InputKind,
    /// The content. If it is too large, only as much as proves it.
    pub(crate) bytes: Vec<u8>,
}

impl InputFile {
    /// Reads a file and detects its kind.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let bytes = read_limited(path).map_err(|error| Error::unreadable(path, error))?;
        let kind = InputKind::of(&path.display().to_string(), &bytes)?;
        Ok(Self { kind, bytes })
    }
}

/// Reads the input and checks it. `projects` are the local projects that will be built.
pub(crate) fn read(input: &Input, projects: &[PathBuf]) -> Result<(Request, Report), Error> {
    parse(input, &InputFile::read(&input.path)?, projects)
}

/// Reads the input and checks all of it, including whether its lock file can be built for every target
/// together with these local projects.
pub(crate) fn check(
    input: &Input,
    file: &InputFile,
    projects: &[PathBuf],
) -> Result<(Request, Report), Error> {
    let (request, mut report) = parse(input, file, projects)?;
    // The command line may name deprecated runtimes, too.
    report.add_missing(request.targets.warnings());
    let folders: Vec<_> = projects.iter().flat_map(fs::canonicalize).collect();
    let packages = local_packages(&request, &input.path, &folders);
    let names: Vec<_> = packages.into_iter().map(|package| package.name).collect();
    report.add_missing(accretion_python::request::problems(&request, &names));
    report.conclude(Some(request)).map_err(Error::InputInvalid)
}

fn parse(
    input: &Input,
    file: &InputFile,
    projects: &[PathBuf],
) -> Result<(Request, Report), Error> {
    let InputFile { kind, ref bytes } = *file;
    let source_name = input.path.display().to_string();
    let name = match kind {
        InputKind::Request => None,
        InputKind::RequirementsTxt | InputKind::Lock(_) | InputKind::Script => {
            Some(match &input.name {
                Some(name) => name.clone(),
                None => name::project_name(kind, &input.path)?,
            })
        }
    };
    let folder = folder(&input.path).map_err(|error| Error::unreadable(&input.path, error))?;
    let is_built = projects
        .iter()
        .flat_map(fs::canonicalize)
        .any(|it| it == folder);
    let allow = input.allow_source_distributions;
    let checked = accretion_python::request::from_input(
        kind,
        name,
        &source_name,
        bytes,
        &Folder(folder),
        allow,
    );
    let (mut request, mut report) = checked.map_err(Error::InputInvalid)?;
    report.add_missing(request.input.outdated_beside(is_built));
    report.add_missing(request.input.outdated_problem());
    if kind == InputKind::Request
        && let Some(name) = &input.name
    {
        request.name = name.clone();
    }
    apply(input, &mut request)?;
    report.conclude(Some(request)).map_err(Error::InputInvalid)
}

/// Adds the options of the command line to a request.
pub(crate) fn apply(input: &Input, request: &mut Request) -> Result<(), Error> {
    // Targets without options stay as they are.
    request.targets = std::mem::take(&mut request.targets)
        .with_runtimes(input.targets.runtimes.iter().copied())
        .with_architectures(input.targets.architectures.iter().copied());
    let selection = &mut request.input.selection;
    selection
        .groups
        .extend(input.selection.groups.iter().cloned());
    selection
        .extras
        .extend(input.selection.extras.iter().cloned());
    request.input.allow_source_distributions |= input.allow_source_distributions;
    request.merge |= input.merge;
    input.contents.apply(request)
}

/// Reads a file up to a limit that proves that it is too large.
fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(Limits::REQUEST_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The path of a file's folder, without links.
pub(crate) fn folder(file: &Path) -> io::Result<PathBuf> {
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    fs::canonicalize(folder.unwrap_or(Path::new(".")))
}

/// The folder of a requirements.txt, whose files it may include. The path has no links.
struct Folder(PathBuf);

impl Include for Folder {
    fn read(&self, path: &str) -> Result<String, IncludeError> {
        let unreadable = |error: io::Error| IncludeError::Unreadable(error.to_string());
        // Resolves links first, so that none leads out of the folder.
        let file = fs::canonicalize(self.0.join(path)).map_err(unreadable)?;
        if !file.starts_with(&self.0) {
            return Err(IncludeError::Outside);
        }
        let bytes = read_limited(&file).map_err(unreadable)?;
        if bytes.len() > Limits::REQUEST_BYTES {
            return Err(IncludeError::Unreadable(
                "the file has more than 4 MiB".to_owned(),
            ));
        }
        decode_requirements(&bytes)
            .map(Cow::into_owned)
            .map_err(|error| IncludeError::Unreadable(error.to_string()))
    }
}
