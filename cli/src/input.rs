//! Reading what the user names as input.

mod chosen;
mod name;

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use accretion_core::diagnostic::{Report, printable};
use accretion_core::encoding::decode_requirements;
use accretion_core::limits::Limits;
use accretion_core::request::ProjectName;
use accretion_core::target::{Architecture, ParseArchitectureError, ParseRuntimeError, Runtime};
use accretion_python::lock::{GroupName, Selection};
use accretion_python::request::{InputKind, Request};
use accretion_python::requirement::{Include, IncludeError};

use crate::args::{Format, Global};
use crate::contents::ContentOptions;
use crate::error::Error;
use crate::own::local_packages;

pub(crate) use self::chosen::HERE;
pub(crate) use self::name::{name_of_project, project_file};

/// What is to be built or checked.
#[derive(Debug, clap::Args)]
pub(crate) struct Input {
    /// A request (JSON), a requirements.txt, a script, or a lock file: pylock.toml, uv.lock,
    /// poetry.lock, Pipfile.lock, pdm.lock; or a folder that has one requirements or lock file
    #[arg(value_name = "INPUT", default_value = HERE)]
    pub(crate) path: PathBuf,
    /// The project's name [default: the request's, a script's without `.py`, that of the project
    /// that is locked, or that of the folder that INPUT is in]
    #[arg(long)]
    pub(crate) name: Option<ProjectName>,
    /// A Lambda runtime to build for, such as python3.13 [may be repeated; default: all supported]
    #[arg(long = "runtime", value_name = "RUNTIME", value_parser = runtime)]
    pub(crate) runtimes: Vec<Runtime>,
    /// x86_64 or arm64 [may be repeated; default: both]
    #[arg(long = "architecture", value_name = "ARCHITECTURE", value_parser = architecture)]
    pub(crate) architectures: Vec<Architecture>,
    #[command(flatten)]
    pub(crate) selection: Selected,
    /// Build packages that have no fitting wheel, which runs their code
    #[arg(long)]
    pub(crate) allow_source_distributions: bool,
    /// Make one layer for all runtimes, for each architecture
    #[arg(long)]
    pub(crate) merge: bool,
    #[command(flatten)]
    pub(crate) contents: ContentOptions,
}

/// What of a lock file goes into the layers besides its default groups.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Selected {
    /// A dependency group of the lock file to add, such as dev; in Pipfile.lock, a category [may be
    /// repeated]
    #[arg(long = "group", value_name = "NAME", value_parser = selectable)]
    groups: Vec<GroupName>,
    /// An extra of the project whose lock file it is to add [may be repeated]
    #[arg(long = "extra", value_name = "NAME", value_parser = selectable)]
    extras: Vec<GroupName>,
}

impl Selected {
    fn add_to(&self, selection: &mut Selection) {
        selection.groups.extend(self.groups.iter().cloned());
        selection.extras.extend(self.extras.iter().cloned());
    }
}

/// Reads a runtime: its identifier, or the version of Python alone, such as `3.13`.
pub(crate) fn runtime(text: &str) -> Result<Runtime, ParseRuntimeError> {
    text.parse()
        .or_else(|error| format!("python{text}").parse().map_err(|_| error))
}

/// Reads an architecture: AWS's name, or the one that Linux or Debian have for it.
pub(crate) fn architecture(text: &str) -> Result<Architecture, ParseArchitectureError> {
    match text {
        "aarch64" => Ok(Architecture::Arm64),
        "amd64" => Ok(Architecture::X86_64),
        _ => text.parse(),
    }
}

fn selectable(text: &str) -> Result<GroupName, String> {
    // The library's own parser takes an empty text too.
    let name = text.parse().ok().filter(|_| !text.is_empty());
    name.ok_or_else(|| {
        "names have letters, digits, `-`, `_` and `.`, and start and end with a letter or digit"
            .to_owned()
    })
}

impl Input {
    /// Takes the one input of a folder, if the path leads to a folder, and says which it is.
    pub(crate) fn choose(&mut self, global: Global) -> Result<(), Error> {
        let path = chosen::chosen(&self.path)?;
        if path != self.path && !global.quiet && global.format == Format::Text {
            anstream::eprintln!("reading {}", printable(&path.display().to_string()));
        }
        self.path = path;
        Ok(())
    }

    /// A file, with nothing said besides.
    #[cfg(feature = "aws")]
    pub(crate) fn of_path(path: PathBuf) -> Self {
        Self {
            path,
            name: None,
            runtimes: Vec::new(),
            architectures: Vec::new(),
            selection: Selected::default(),
            allow_source_distributions: false,
            merge: false,
            contents: ContentOptions::default(),
        }
    }
}

/// A file that is an input.
#[derive(Debug)]
pub(crate) struct InputFile {
    pub(crate) kind: InputKind,
    /// Of one that is too large, no more than shows it.
    pub(crate) bytes: Vec<u8>,
}

impl InputFile {
    /// Reads a file and tells what kind of input it is.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let bytes = read_limited(path).map_err(|error| unreadable(path, error))?;
        let kind = InputKind::of(&path.display().to_string(), &bytes)?;
        Ok(Self { kind, bytes })
    }
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::InputUnreadable {
        path: path.to_owned(),
        error,
    }
}

/// Reads the input and checks all of it.
pub(crate) fn read(input: &Input) -> Result<(Request, Report), Error> {
    parse(input, &InputFile::read(&input.path)?)
}

/// Reads the input and checks all of it, whether it could be built for every target included, with
/// these projects of the user's own.
pub(crate) fn check(
    input: &Input,
    file: &InputFile,
    projects: &[PathBuf],
) -> Result<(Request, Report), Error> {
    let (request, mut report) = parse(input, file)?;
    // The command line may name deprecated runtimes too.
    report.add_missing(request.targets.warnings());
    let projects: Vec<_> = projects.iter().flat_map(fs::canonicalize).collect();
    let local = local_packages(&request, &input.path, &projects);
    let local: Vec<_> = local.into_iter().map(|package| package.name).collect();
    report.add_missing(accretion_python::request::problems(&request, &local));
    report.conclude(Some(request)).map_err(Error::InputInvalid)
}

fn parse(input: &Input, file: &InputFile) -> Result<(Request, Report), Error> {
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
    let include = Folder::of(&input.path).map_err(|error| unreadable(&input.path, error))?;
    let allow = input.allow_source_distributions;
    let checked =
        accretion_python::request::from_input(kind, name, &source_name, bytes, &include, allow);
    let (mut request, mut report) = checked.map_err(Error::InputInvalid)?;
    report.add_missing(request.input.outdated_problem());
    if kind == InputKind::Request
        && let Some(name) = &input.name
    {
        request.name = name.clone();
    }
    apply(input, &mut request)?;
    report.conclude(Some(request)).map_err(Error::InputInvalid)
}

/// What the command line says besides.
pub(crate) fn apply(input: &Input, request: &mut Request) -> Result<(), Error> {
    if !input.runtimes.is_empty() {
        let targets = std::mem::take(&mut request.targets);
        request.targets = targets.with_runtimes(input.runtimes.iter().copied());
    }
    if !input.architectures.is_empty() {
        let targets = std::mem::take(&mut request.targets);
        request.targets = targets.with_architectures(input.architectures.iter().copied());
    }
    input.selection.add_to(&mut request.input.selection);
    request.input.allow_source_distributions |= input.allow_source_distributions;
    request.merge |= input.merge;
    input.contents.apply(request)
}

/// Reads a file, but no more than shows that it is too large.
fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(Limits::REQUEST_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The folder that a file is in, free of links, if it is there.
pub(crate) fn folder(file: &Path) -> Option<PathBuf> {
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()
}

/// Lets a requirements.txt include files of its own folder.
struct Folder {
    /// Free of links.
    path: PathBuf,
}

impl Folder {
    fn of(file: &Path) -> io::Result<Self> {
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        Ok(Self {
            path: fs::canonicalize(folder.unwrap_or(Path::new(".")))?,
        })
    }
}

impl Include for Folder {
    fn read(&self, path: &str) -> Result<String, IncludeError> {
        let unreadable = |error: io::Error| IncludeError::Unreadable(error.to_string());
        // Links are followed first, so that none leads out of the folder.
        let path = fs::canonicalize(self.path.join(path)).map_err(unreadable)?;
        if !path.starts_with(&self.path) {
            return Err(IncludeError::Outside);
        }
        let bytes = read_limited(&path).map_err(unreadable)?;
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
