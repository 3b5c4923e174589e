//! Extra files and local projects, which go into layers besides requirements.

mod context;
mod walk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use accretion_core::diagnostic::Report;
#[cfg(feature = "aws")]
use accretion_core::diagnostic::{Problem, code, printable};
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
use accretion_python::request::PythonInput;
use accretion_python::request::{Request, Requirements};
use accretion_python::requirement::RequirementSet;
#[cfg(feature = "aws")]
use accretion_python::wheel::Rank;
use accretion_service::python::OwnWheel;

use crate::args::{ExtraOptions, Global, Input, PYPROJECT};
use crate::contents::print_left_out;
use crate::engine::Engine;
use crate::error::Error;
use crate::input::{self, local_packages};

use self::walk::{Builder, Walk};

/// The wheels of local projects, and their requirements.
#[derive(Default)]
pub(crate) struct ExtraPackages {
    pub(crate) wheels: Vec<OwnWheel>,
    /// The bytes of the wheels.
    #[cfg(feature = "aws")]
    bytes: Vec<Vec<u8>>,
    /// The requirements of the projects, without extras, and the constraints on them.
    requirements: RequirementSet,
}

impl ExtraOptions {
    /// Returns whether there is a project.
    fn has_project(&self) -> bool {
        !self.projects.is_empty()
    }

    /// Returns whether there are projects or local packages to build.
    #[cfg(feature = "aws")]
    pub(crate) fn has_packages(&self, request: &Request, input: &Path) -> bool {
        self.has_project() || !local_packages(request, input, &[]).is_empty()
    }

    /// Returns whether an input stands for the requirements of the project.
    pub(crate) fn is_input(&self, path: &Path) -> bool {
        self.has_project() && path == Path::new(PYPROJECT)
    }

    /// The request of a project without an input. [`ExtraPackages::require`] adds its requirements.
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

    /// Builds the projects, their local dependencies, and the local packages of a lock file.
    pub(crate) async fn build(
        &self,
        engine: &Engine,
        request: &Request,
        given: Given,
        input: &Path,
    ) -> Result<ExtraPackages, Error> {
        let paths = self.projects.iter().map(|path| real(path));
        let projects: Vec<_> = paths.collect::<Result<_, _>>()?;
        let locked = local_packages(request, input, &projects);
        if projects.is_empty() && locked.is_empty() {
            return Ok(ExtraPackages::default());
        }
        let is_locked = matches!(request.input.requirements, Requirements::Lock(_));
        let work = engine.projects.clone();
        // If this fails, copying reports the error.
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

    /// Packs the extra files.
    pub(crate) async fn pack(&self) -> Result<Option<PackedFolder>, Error> {
        let Some(path) = &self.include else {
            return Ok(None);
        };
        let folder = LayerFolder::open(path)?;
        let packed = folder.pack(&self.rules()?).await?;
        if packed.files().is_empty() {
            return Err(Error::IncludeEmpty { path: path.clone() });
        }
        Ok(Some(packed))
    }

    fn rules(&self) -> Result<FileRules, Error> {
        self.files.rules(self.include.as_deref())
    }

    /// Prints the files of the folder that were left out.
    pub(crate) fn print_left_out(&self, left_out: &LeftOut, global: Global) {
        if let Some(folder) = &self.include {
            print_left_out(folder, left_out, global);
        }
    }
}

#[cfg(feature = "aws")]
impl ExtraOptions {
    /// The files to upload, by their keys in the inbox, and the files that were left out. Adds the keys
    /// to the request.
    pub(crate) async fn upload(
        &self,
        packages: ExtraPackages,
        request: &mut Request,
    ) -> Result<(Vec<(String, Vec<u8>)>, LeftOut), Error> {
        let mut uploads = Vec::new();
        let mut left_out = LeftOut::default();
        let wheels = packages.wheels.into_iter().zip(packages.bytes);
        for (OwnWheel { filename, sha256 }, bytes) in wheels {
            // The pipeline takes one wheel of each package, which serves all targets.
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
            let zip = packed.zip().await?;
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
            // The pipeline checks the files again.
            request.contents.file_rules = self.rules()?;
        }
        Ok((uploads, left_out))
    }
}

/// Refuses files over the limits of the pipeline.
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
    let help = "leave out files that no function needs, or build several layers";
    report.push(Problem::error(code::TOO_LARGE, message).help(help));
    Err(Error::InputInvalid(report))
}

/// Refuses files that an ignore file includes and the pipeline, which reads none, would leave out.
#[cfg(feature = "aws")]
fn check_hidden(packed: &PackedFolder, rules: &FileRules) -> Result<(), Error> {
    let mut selector = Selector::new(rules);
    let mut files = packed.files().iter();
    let Some(file) = files.find(|file| !selector.takes(&file.path)) else {
        return Ok(());
    };
    let mut report = Report::new("the folder of --include", "");
    let message = format!("the pipeline would leave out `{}`", printable(&file.path));
    let help = "it reads no ignore files: include hidden files with --hidden; `__pycache__` is always \
                left out";
    report.push(Problem::error(code::FILES_INVALID, message).help(help));
    Err(Error::InputInvalid(report))
}

impl ExtraPackages {
    /// Adds the requirements of the projects. A lock file must contain them, or it is outdated.
    pub(crate) fn require(&self, request: &mut Request, input: &Path) -> Result<(), Error> {
        let Requirements::Lock(file) = &request.input.requirements else {
            if let Requirements::Set(set) = &mut request.input.requirements {
                *set = std::mem::take(set).with(self.requirements.clone());
            }
            return Ok(());
        };
        let names = self.wheels.iter().map(|wheel| wheel.filename.name());
        let own: Vec<_> = names.cloned().collect();
        let policy = Policy {
            own: &own,
            ..Policy::default()
        };
        let mut unmet: Vec<String> = Vec::new();
        for target in request.targets.iter() {
            let lock = file.lock();
            // The build reports the problems of a lock, for each target.
            let of_target =
                lock.unmet(&self.requirements, target, policy, &request.input.selection);
            for requirement in of_target.unwrap_or_default() {
                if !unmet.contains(&requirement) {
                    unmet.push(requirement);
                }
            }
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

/// The path of an existing file, without links.
fn real(path: &Path) -> Result<PathBuf, Error> {
    std::fs::canonicalize(path).map_err(|error| Error::unreadable(path, error))
}

/// Refuses a request that names files of an inbox, which only the pipeline reads.
pub(crate) fn check_files(request: &Request) -> Result<(), Error> {
    if request.contents.files.is_empty() {
        Ok(())
    } else {
        Err(Error::FilesElsewhere)
    }
}
