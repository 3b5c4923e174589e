//! Files and projects of the user's own, as what layers are made of besides requirements.

mod context;
mod locked;
mod walk;

use accretion_python::request::PythonInput;
#[cfg(feature = "aws")]
use accretion_python::wheel::Rank;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[cfg(feature = "aws")]
use accretion_core::diagnostic::{Problem, printable};
use accretion_core::diagnostic::{Report, code};
#[cfg(feature = "aws")]
use accretion_core::digest::Sha256;
#[cfg(feature = "aws")]
use accretion_core::keys;
#[cfg(feature = "aws")]
use accretion_core::limits::Limits;
use accretion_core::request::FileRules;
#[cfg(feature = "aws")]
use accretion_core::request::FileSource;
use accretion_core::request::Targets;
use accretion_layer::files::LeftOut;
#[cfg(feature = "aws")]
use accretion_layer::files::Selector;
use accretion_local::layer_folder::{LayerFolder, PackedFolder};
use accretion_python::lock::{Outdated, Policy};
use accretion_python::project::Given;
use accretion_python::request::{Request, Requirements};
use accretion_python::requirement::RequirementSet;
use accretion_service::own::OwnWheel;
use accretion_service::ports::PortError;

use crate::args::Global;
use crate::contents::{FileOptions, HEADING, print_left_out};
use crate::engine::Engine;
use crate::error::Error;
use crate::input::{self, Input};

pub(crate) use self::locked::local_packages;
use self::walk::{Builder, Walk};

/// The input that stands for what a project requires.
pub(crate) const PYPROJECT: &str = "pyproject.toml";

/// Extra files and projects.
#[derive(Debug, Default, clap::Args)]
#[command(mut_arg("hidden", |arg| arg.requires("include")))]
pub(crate) struct OwnOptions {
    /// Copy what is in this folder into the layers, but for hidden files, `__pycache__`, and what a
    /// .gitignore or an .accretionignore names
    #[arg(long, help_heading = HEADING, value_name = "DIR")]
    include: Option<PathBuf>,
    #[command(flatten)]
    files: FileOptions,
    /// Build and install the project in this folder, with what it requires [may be repeated]
    #[arg(long = "project", help_heading = HEADING, value_name = "DIR")]
    projects: Vec<PathBuf>,
}

/// The result of building the user's own packages.
#[derive(Default)]
pub(crate) struct OwnPackages {
    pub(crate) wheels: Vec<OwnWheel>,
    /// The bytes of the wheels.
    #[cfg(feature = "aws")]
    bytes: Vec<Vec<u8>>,
    /// The requirements of the projects, without extras, and the constraints on them.
    requirements: RequirementSet,
}

impl OwnOptions {
    /// Whether there is a project.
    fn has_project(&self) -> bool {
        !self.projects.is_empty()
    }

    /// Whether a folder is copied.
    #[cfg(feature = "aws")]
    pub(crate) fn has_files(&self) -> bool {
        self.include.is_some()
    }

    /// The folders of the projects, as the user names them.
    #[cfg(feature = "aws")]
    pub(crate) fn projects(&self) -> &[PathBuf] {
        &self.projects
    }

    /// Returns whether there is anything to build.
    #[cfg(feature = "aws")]
    pub(crate) fn has_packages(&self, request: &Request, input: &Path) -> bool {
        self.has_project() || !local_packages(request, input, &[]).is_empty()
    }

    /// Whether an input is that of the project itself: what it requires, and no more.
    pub(crate) fn is_input(&self, path: &Path) -> bool {
        self.has_project() && path == Path::new(PYPROJECT)
    }

    /// The request of a project by itself: nothing is required so far.
    pub(crate) fn request(&self, input: &Input) -> Result<(Request, Report), Error> {
        let folder = self.projects.first().cloned().unwrap_or_default();
        let path = folder.join(PYPROJECT);
        let name = match &input.name {
            Some(name) => name.clone(),
            None => input::name_of_project(&path)?,
        };
        let for_python = Requirements::Set(RequirementSet {
            requires_python: input::project_file(&path).and_then(|it| it.requires_python),
            ..RequirementSet::default()
        });
        let nothing = Requirements::Set(RequirementSet::default());
        let mut request = Request::new(name, PythonInput::new(nothing));
        request.targets = Targets::new(for_python.runtimes(), []);
        input::apply(input, &mut request)?;
        Ok((request, Report::new(folder.display().to_string(), "")))
    }

    /// Makes errors of warnings that the lock file is not up to date with the project beside it, if
    /// that project is built.
    pub(crate) fn check_lock(&self, input: &Path, report: &mut Report) -> Result<(), Error> {
        let folder = input::folder(input);
        let is_its = |project: &PathBuf| std::fs::canonicalize(project).ok() == folder;
        if folder.is_some() && self.projects.iter().any(is_its) {
            report.escalate(code::LOCK_OUTDATED);
        }
        if report.has_errors() {
            return Err(Error::InputInvalid(std::mem::take(report)));
        }
        Ok(())
    }

    /// Builds the projects, their local dependencies, and what a lock file has of folders and files in
    /// its own folder. `input` is the path of the input, if it is a file.
    pub(crate) async fn build(
        &self,
        engine: &Engine,
        request: &Request,
        given: Given,
        input: &Path,
    ) -> Result<OwnPackages, Error> {
        let projects = self.projects.iter().map(|path| real(path));
        let projects: Vec<_> = projects.collect::<Result<_, _>>()?;
        let locked = local_packages(request, input, &projects);
        if projects.is_empty() && locked.is_empty() {
            return Ok(OwnPackages::default());
        }
        let is_locked = matches!(request.input.requirements, Requirements::Lock(_));
        let work = engine.projects.clone();
        // Where that fails, copying says why.
        let _ = std::fs::create_dir_all(&work);
        let mut walk = Walk {
            builder: Builder::new(engine, &request.targets, self.rules()?),
            given,
            is_locked,
            work: std::fs::canonicalize(&work).unwrap_or(work),
            found: BTreeMap::new(),
            requirements: RequirementSet::default(),
        };
        for project in &projects {
            walk.project(project).await?;
        }
        for package in locked {
            walk.locked(&package).await?;
        }
        Ok(walk.finish())
    }

    /// Packs the files that are to be copied.
    pub(crate) async fn pack(&self) -> Result<Option<PackedFolder>, Error> {
        let Some(path) = &self.include else {
            return Ok(None);
        };
        let folder = LayerFolder::open(path).map_err(local)?;
        let packed = folder.pack(&self.rules()?).await.map_err(local)?;
        if packed.files().is_empty() {
            let path = path.clone();
            return Err(Error::IncludeEmpty { path });
        }
        Ok(Some(packed))
    }

    fn rules(&self) -> Result<FileRules, Error> {
        self.files.rules(self.include.as_deref())
    }

    /// Tells people what has stayed out of the folder that is copied.
    pub(crate) fn print_left_out(&self, left_out: &LeftOut, global: Global) {
        if let Some(folder) = &self.include {
            print_left_out(folder, left_out, global);
        }
    }
}

#[cfg(feature = "aws")]
impl OwnOptions {
    /// What is to be uploaded, by its keys in the inbox, which a request names from now on; and what
    /// has stayed out of the folder that is copied.
    pub(crate) async fn upload(
        &self,
        own: OwnPackages,
        request: &mut Request,
    ) -> Result<(Vec<(String, Vec<u8>)>, LeftOut), Error> {
        let mut uploads = Vec::new();
        let mut left_out = LeftOut::default();
        for (OwnWheel { filename, sha256 }, bytes) in own.wheels.into_iter().zip(own.bytes) {
            // The pipeline takes one wheel of each package, which is for all targets.
            let mut targets = request.targets.iter();
            if let Some(target) = targets.find(|it| Rank::of_wheel(*it, &filename).is_none()) {
                return Err(Error::Service(
                    accretion_python::Error::OwnWheelUnfit {
                        wheels: vec![filename.to_string()],
                        target: target.to_string(),
                    }
                    .into(),
                ));
            }
            uploads.push((format!("{sha256}/{filename}"), bytes));
        }
        if let Some(packed) = self.pack().await? {
            check_limits(&packed)?;
            check_hidden(&packed, &self.rules()?)?;
            let zip = packed.zip().await.map_err(local)?;
            uploads.push((format!("{}.zip", Sha256::of(&zip)), zip));
            left_out = packed.left_out().clone();
        }
        for (name, _) in &mut uploads {
            *name = format!("{}{}/{name}", keys::FILES, request.name);
            let source = FileSource::object::<PythonInput>(name)
                .expect("it is a file below the folder of files");
            request.contents.files.insert(source);
        }
        if !uploads.is_empty() {
            // The pipeline looks for itself.
            request.contents.file_rules = self.rules()?;
        }
        Ok((uploads, left_out))
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

/// Refuses what an ignore file brings back and the pipeline, which reads none, would leave out.
#[cfg(feature = "aws")]
fn check_hidden(packed: &PackedFolder, rules: &FileRules) -> Result<(), Error> {
    let mut selector = Selector::new(rules);
    let mut files = packed.files().iter();
    let Some(file) = files.find(|file| !selector.takes(&file.path)) else {
        return Ok(());
    };
    let mut report = Report::new("the folder of --include", "");
    let message = format!("the pipeline would leave out `{}`", printable(&file.path));
    let help = "it reads no ignore files: bring hidden files back with --hidden; `__pycache__` \
                always stays out there";
    report.push(Problem::error(code::FILES_INVALID, message).help(help));
    Err(Error::InputInvalid(report))
}

impl OwnPackages {
    /// Adds what the projects require. A lock file is complete: it has that already, or is outdated.
    pub(crate) fn require(&self, request: &mut Request, input: &Path) -> Result<(), Error> {
        let Requirements::Lock(file) = &request.input.requirements else {
            if let Requirements::Set(set) = &mut request.input.requirements {
                *set = std::mem::take(set).with(self.requirements.clone());
            }
            return Ok(());
        };
        let wheels = self.wheels.iter();
        let own: Vec<_> = wheels.map(|wheel| wheel.filename.name().clone()).collect();
        let policy = Policy {
            own: &own,
            ..Policy::default()
        };
        let mut unmet: Vec<String> = Vec::new();
        for target in request.targets.iter() {
            let lock = file.lock();
            // What is wrong with a lock is told for each target, where it is built.
            let of_target =
                lock.unmet(&self.requirements, target, policy, &request.input.selection);
            let of_target = of_target.unwrap_or_default().into_iter();
            unmet.extend(
                of_target
                    .filter(|it| !unmet.contains(it))
                    .collect::<Vec<_>>(),
            );
        }
        if unmet.is_empty() {
            return Ok(());
        }
        let name = input.file_name().unwrap_or_default().to_string_lossy();
        let outdated = Outdated::of_metadata(file.format(), &name, file.text(), unmet);
        Err(Error::Service(
            accretion_python::Error::LockOutdated(outdated).into(),
        ))
    }
}

/// A path that is there, free of links.
fn real(path: &Path) -> Result<PathBuf, Error> {
    std::fs::canonicalize(path).map_err(|error| Error::InputUnreadable {
        path: path.to_owned(),
        error,
    })
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
