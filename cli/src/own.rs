//! Files and projects of the user's own, as what layers are made of besides requirements.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use accretion_core::diagnostic::Report;
#[cfg(feature = "aws")]
use accretion_core::diagnostic::{Problem, code};
use accretion_core::digest::Sha256;
#[cfg(feature = "aws")]
use accretion_core::keys;
#[cfg(feature = "aws")]
use accretion_core::limits::Limits;
#[cfg(feature = "aws")]
use accretion_core::request::FileSource;
use accretion_core::request::{Request, Requirements, Targets};
use accretion_core::requirement::{self, NoInclude, Requirement, RequirementSet};
use accretion_core::wheel::{WheelFilename, requires_dist};
use accretion_local::layer_folder::{LayerFolder, PackedFolder};
use accretion_service::own::OwnWheel;
use accretion_service::ports::PortError;

use crate::contents::HEADING;
use crate::engine::Engine;
use crate::error::Error;
use crate::input::{self, Input};

/// The input that stands for what a project requires.
pub(crate) const PYPROJECT: &str = "pyproject.toml";

/// Files of one's own.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct OwnOptions {
    /// Copy what is in this folder into the layers, but for what is hidden at its top
    #[arg(long, help_heading = HEADING, value_name = "DIR")]
    include: Option<PathBuf>,
    /// Build the wheel of the project in this folder, and install it with what it requires
    #[arg(long, help_heading = HEADING, value_name = "DIR")]
    project: Option<PathBuf>,
}

/// A project of the user's own, as its wheel.
pub(crate) struct OwnProject {
    pub(crate) wheel: OwnWheel,
    /// The wheel's bytes.
    #[cfg(feature = "aws")]
    bytes: Vec<u8>,
    /// What it requires, without extras.
    requirements: RequirementSet,
}

impl OwnOptions {
    /// Whether there is a project.
    pub(crate) fn has_project(&self) -> bool {
        self.project.is_some()
    }

    /// Whether an input is that of the project itself: what it requires, and no more.
    pub(crate) fn is_input(&self, path: &Path) -> bool {
        self.has_project() && path == Path::new(PYPROJECT)
    }

    /// The request of a project by itself: nothing is required so far.
    pub(crate) fn request(&self, input: &Input) -> Result<(Request, Report), Error> {
        let folder = self.project.clone().unwrap_or_default();
        let name = input::name(input, &folder.join(PYPROJECT))?;
        let nothing = Requirements::Set(RequirementSet::default());
        let mut request = Request::new(name, nothing);
        input::apply(input, &mut request)?;
        Ok((request, Report::new(folder.display().to_string(), "")))
    }

    /// Builds the project, if there is one, for the first target of those that are wanted.
    pub(crate) async fn build(
        &self,
        engine: &Engine,
        targets: &Targets,
    ) -> Result<Option<OwnProject>, Error> {
        let (Some(folder), Some(target)) = (&self.project, targets.iter().next()) else {
            return Ok(None);
        };
        let unreadable = |error| Error::InputUnreadable {
            path: folder.clone(),
            error,
        };
        let folder = fs::canonicalize(folder).map_err(unreadable)?;
        let work = tempfile::tempdir().map_err(|error| Error::FolderUnwritable {
            path: std::env::temp_dir(),
            error,
        })?;
        let path = engine.uv.wheel_of(&folder, target, work.path()).await;
        let path = path.map_err(local)?;
        let bytes = fs::read(&path).map_err(unreadable)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let invalid = |problem: String| {
            let wheel = name.to_string();
            Error::Service(accretion_core::Error::WheelInvalid { wheel, problem }.into())
        };
        let filename: WheelFilename = name
            .parse()
            .map_err(|error| invalid(format!("it was built with this name: {error}")))?;
        let sha256 = Sha256::of(&bytes);
        let admitted = engine.wheels.admit(&filename, sha256, bytes.clone()).await;
        let stored = admitted.map_err(|error| Error::Service(error.into()))?;
        let open = |path: &Path| File::open(path).map_err(unreadable);
        let (wheel, layout) = (open(&stored.wheel)?, open(&stored.layout_file)?);
        let required = requires_dist(&stored.layout, &wheel, &layout);
        let required = required.map_err(|error| Error::Service(error.into()))?;
        let requirements = without_extras(&format!("what {filename} requires"), &required)?;
        Ok(Some(OwnProject {
            wheel: OwnWheel { filename, sha256 },
            #[cfg(feature = "aws")]
            bytes,
            requirements,
        }))
    }

    /// Packs the files that are to be copied.
    pub(crate) async fn pack(&self) -> Result<Option<PackedFolder>, Error> {
        let Some(path) = &self.include else {
            return Ok(None);
        };
        let folder = LayerFolder::open(path).map_err(local)?;
        let packed = folder.pack().await.map_err(local)?;
        if packed.files().is_empty() {
            let path = path.clone();
            return Err(Error::IncludeEmpty { path });
        }
        Ok(Some(packed))
    }
}

#[cfg(feature = "aws")]
impl OwnOptions {
    /// What is to be uploaded, by its keys in the inbox, which a request names from now on.
    pub(crate) async fn upload(
        &self,
        project: Option<OwnProject>,
        request: &mut Request,
    ) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut uploads = Vec::new();
        if let Some(OwnProject { wheel, bytes, .. }) = project {
            let OwnWheel { filename, sha256 } = wheel;
            uploads.push((format!("{sha256}/{filename}"), bytes));
        }
        if let Some(packed) = self.pack().await? {
            check_limits(&packed)?;
            let zip = packed.zip().await.map_err(local)?;
            uploads.push((format!("{}.zip", Sha256::of(&zip)), zip));
        }
        for (name, _) in &mut uploads {
            *name = format!("{}{}/{name}", keys::FILES, request.name);
            let source = FileSource::object(name).expect("it is a file below the folder of files");
            request.contents.files.insert(source);
        }
        Ok(uploads)
    }
}

/// What the pipeline would refuse need not be uploaded.
#[cfg(feature = "aws")]
fn check_limits(packed: &PackedFolder) -> Result<(), Error> {
    let files = packed.files();
    let unpacked: u64 = files.iter().map(|file| file.size).sum();
    let zipped: u64 = files.iter().map(|file| file.compressed_size).sum();
    let limit = Limits::FILE_ARCHIVE_BYTES as u64;
    if files.len() <= Limits::FILES && unpacked <= Limits::FILES_BYTES && zipped <= limit {
        return Ok(());
    }
    let mut report = Report::new("the folder of --include", "");
    let message = format!(
        "the pipeline takes {} files, {} MiB, and {} MiB packed",
        Limits::FILES,
        Limits::FILES_BYTES >> 20,
        limit >> 20
    );
    let help = "leave out what no function needs, or make several layers of it";
    report.push(Problem::error(code::TOO_LARGE, message).help(help));
    Err(Error::InputInvalid(report))
}

/// The requirements of a wheel, as they are without any extra.
fn without_extras(source_name: &str, required: &[String]) -> Result<RequirementSet, Error> {
    if required.is_empty() {
        return Ok(RequirementSet::default());
    }
    let read = requirement::parse(source_name, &required.join("\n"), &NoInclude, true);
    let (mut set, _) = read.map_err(Error::InputInvalid)?;
    let applies = |it: &Requirement| it.specifier.marker.evaluate_extras(&[]);
    set.requirements.retain(applies);
    Ok(set)
}

impl OwnProject {
    /// Adds what the project requires. A lock is complete: it has that already, or is wrong.
    pub(crate) fn require(&self, request: &mut Request) {
        if let Requirements::Set(set) = &mut request.requirements {
            *set = std::mem::take(set).with(self.requirements.clone());
        }
    }
}

fn local(error: accretion_local::Error) -> Error {
    Error::Service(PortError::new(error).into())
}

/// A request that names files of the inbox can be built by the pipeline alone.
pub(crate) fn check_files(request: &Request) -> Result<(), Error> {
    if request.contents.files.is_empty() {
        Ok(())
    } else {
        Err(Error::FilesElsewhere)
    }
}
