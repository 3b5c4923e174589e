//! The files that define the sources of a project's dependencies, found as uv finds them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use accretion_core::diagnostic::Report;
use accretion_core::target::Target;
use accretion_python::project::{
    FileKind, Given, Origin, ProjectFile, SettingsOf, Source, Workspace,
};
use accretion_python::requirement::{ExtraName, PackageName, RequirementSet};

use crate::args::PYPROJECT;
use crate::error::Error;

const UV_TOML: &str = "uv.toml";

/// A file and its folder.
struct Placed {
    folder: PathBuf,
    file: ProjectFile,
}

/// The surroundings of a project.
pub(super) struct Context {
    project: Option<Placed>,
    /// The root of its workspace, if that is another folder.
    root: Option<Placed>,
    /// The members of its workspace, by their names.
    members: BTreeMap<PackageName, PathBuf>,
    /// The files that configure uv above all of them.
    configuration: Vec<Placed>,
}

/// A local dependency.
pub(super) struct Local {
    pub(super) path: PathBuf,
    pub(super) is_package: bool,
}

impl Context {
    /// Reads the surroundings of a project's folder. The path has no links.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let project = read(folder, PYPROJECT, FileKind::Pyproject)?;
        let has_workspace = |it: &Placed| it.file.workspace.is_some();
        let root = match &project {
            Some(project) if has_workspace(project) => None,
            _ => workspace_root(folder)?,
        };
        let top = root
            .as_ref()
            .or(project.as_ref().filter(|it| has_workspace(it)));
        let members = top.map(members).transpose()?.unwrap_or_default();
        let governing = root.as_ref().map_or(folder, |root| &root.folder);
        let configuration = configuration(governing)?;
        Ok(Self {
            project,
            root,
            members,
            configuration,
        })
    }

    /// Returns the requirements of the project, if uv does not build it.
    pub(super) fn unbuilt(&self) -> Option<Vec<String>> {
        let file = &self.project.as_ref()?.file;
        let dependencies = || file.dependencies.clone().unwrap_or_default();
        (!file.is_package).then(dependencies)
    }

    /// The normalised name of the project, if it says one.
    pub(super) fn name(&self) -> Option<&PackageName> {
        self.project.as_ref()?.file.name.as_ref()
    }

    /// Checks that every setting that chooses versions or indexes is supported, and returns the
    /// constraints.
    pub(super) fn settle(
        &self,
        given: &Given,
        targets: &[Target],
    ) -> Result<RequirementSet, Error> {
        let of_project = if self.root.is_some() {
            SettingsOf::Others
        } else {
            SettingsOf::All
        };
        let project = self.project.iter().map(|it| (it, of_project));
        let root = self.root.iter().map(|it| (it, SettingsOf::Uv));
        let above = self.configuration.iter().map(|it| (it, SettingsOf::Uv));
        for (placed, of) in project.chain(root).chain(above) {
            let report = placed.file.unsupported(of, given, targets);
            if report.has_errors() {
                return Err(Error::InputInvalid(report));
            }
        }
        let governing = self.root.as_ref().or(self.project.as_ref());
        let is_uv_toml = |it: &&Placed| it.file.kind == FileKind::UvToml;
        let configuring = self.configuration.iter().filter(is_uv_toml);
        let mut constraints = RequirementSet::default();
        for placed in governing.into_iter().chain(configuring) {
            let (set, _) = placed.file.constraints().map_err(Error::InputInvalid)?;
            constraints = constraints.with(set);
        }
        Ok(constraints)
    }

    /// Returns the local path of a dependency, if it has one. `given` is `None` if other sources do not
    /// matter.
    pub(super) fn local(
        &self,
        name: &PackageName,
        extras: &[ExtraName],
        targets: &[Target],
        given: Option<&Given>,
    ) -> Result<Option<Local>, Error> {
        let Some((placed, source)) = self.source(name, extras, targets)? else {
            return match &self.project {
                Some(project) if self.members.contains_key(name) && given.is_some() => {
                    Err(invalid(project.file.unclear_member(name)))
                }
                _ => Ok(None),
            };
        };
        let path = match &source.origin {
            Origin::Path(path) => placed.folder.join(path),
            Origin::Workspace => {
                let Some(path) = self.members.get(name) else {
                    let why = "names no member of the workspace";
                    return Err(invalid(placed.file.refuse(source, why, None)));
                };
                path.clone()
            }
            Origin::Index(index) => {
                let mut files = self.project.iter().chain(&self.root);
                let url = files.find_map(|it| it.file.index(index));
                let is_given = |given: &Given| url.is_some_and(|url| given.has(url));
                if given.is_none_or(is_given) {
                    return Ok(None);
                }
                let why = "names an index that is not given";
                let way_out = "give the same index with --index";
                return Err(invalid(placed.file.refuse(source, why, Some(way_out))));
            }
            Origin::Repository | Origin::Elsewhere(_) if given.is_none() => return Ok(None),
            Origin::Repository => {
                let why = "names a git repository, which is not supported";
                return Err(invalid(placed.file.refuse(source, why, None)));
            }
            Origin::Elsewhere(why) => {
                return Err(invalid(placed.file.refuse(source, why, None)));
            }
        };
        Ok(Some(Local {
            path,
            is_package: source.is_package,
        }))
    }

    /// The source of a dependency: that of the project, or that of its workspace.
    fn source(
        &self,
        name: &PackageName,
        extras: &[ExtraName],
        targets: &[Target],
    ) -> Result<Option<(&Placed, &Source)>, Error> {
        if let Some(placed) = &self.project
            && let Some(source) = placed.file.source(name, extras, targets).map_err(invalid)?
        {
            return Ok(Some((placed, source)));
        }
        let Some(placed) = &self.root else {
            return Ok(None);
        };
        let source = placed.file.source(name, extras, targets).map_err(invalid)?;
        Ok(source
            .filter(|source| source.is_of_uv())
            .map(|source| (placed, source)))
    }

    /// The folders of the members, if the project is the root of a workspace and no project itself.
    pub(super) fn members_without_root(&self) -> Vec<String> {
        let Some(Placed { folder, file }) = &self.project else {
            return Vec::new();
        };
        let members = self.members.values().filter(|_| file.name.is_none());
        let relative = members.map(|path| path.strip_prefix(folder).unwrap_or(path));
        relative.map(|path| path.display().to_string()).collect()
    }
}

fn invalid(report: Report) -> Error {
    Error::InputInvalid(report)
}

/// Reads a file of a folder, if it is there.
fn read(folder: &Path, name: &str, kind: FileKind) -> Result<Option<Placed>, Error> {
    let path = folder.join(name);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::InputUnreadable { path, error }),
    };
    let parsed = ProjectFile::parse(&path.display().to_string(), &text, kind);
    let (file, _) = parsed.map_err(invalid)?;
    Ok(Some(Placed {
        folder: folder.to_owned(),
        file,
    }))
}

/// The root of the workspace that a folder is a member of. The first project above it decides.
fn workspace_root(folder: &Path) -> Result<Option<Placed>, Error> {
    for above in folder.ancestors().skip(1) {
        let Some(placed) = read(above, PYPROJECT, FileKind::Pyproject)? else {
            continue;
        };
        let relative = folder.strip_prefix(above).unwrap_or(folder);
        let workspace = placed.file.workspace.as_ref();
        let is_member = workspace.is_some_and(|workspace| workspace.has(relative));
        return Ok(is_member.then_some(placed));
    }
    Ok(None)
}

/// The members of a workspace, by their names.
fn members(root: &Placed) -> Result<BTreeMap<PackageName, PathBuf>, Error> {
    let Some(workspace) = &root.file.workspace else {
        return Ok(BTreeMap::new());
    };
    let mut members = BTreeMap::new();
    if let Some(name) = &root.file.name {
        members.insert(name.clone(), root.folder.clone());
    }
    add_members(root, workspace, &root.folder, &mut members)?;
    Ok(members)
}

fn add_members(
    root: &Placed,
    workspace: &Workspace,
    folder: &Path,
    members: &mut BTreeMap<PackageName, PathBuf>,
) -> Result<(), Error> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
        let relative = path.strip_prefix(&root.folder).unwrap_or(&path);
        if is_hidden || !path.is_dir() {
            continue;
        }
        if workspace.has(relative)
            && let Some(member) = read(&path, PYPROJECT, FileKind::Pyproject)?
            && let Some(name) = member.file.name
        {
            members.insert(name, path.clone());
        }
        if workspace.leads_through(relative) && !path.is_symlink() {
            add_members(root, workspace, &path, members)?;
        }
    }
    Ok(())
}

/// Returns the files that configure uv in a folder: those of the nearest folder that has some, without
/// the folder's own `pyproject.toml`.
fn configuration(folder: &Path) -> Result<Vec<Placed>, Error> {
    for above in folder.ancestors() {
        let found = match read(above, PYPROJECT, FileKind::Pyproject) {
            // A folder far above the project may contain an unrelated file.
            Err(_) if above != folder => None,
            found => found?,
        };
        let pyproject = found.filter(|it| it.file.has_uv);
        let uv_toml = read(above, UV_TOML, FileKind::UvToml)?;
        if pyproject.is_some() || uv_toml.is_some() {
            let files = pyproject.into_iter().filter(|_| above != folder);
            return Ok(files.chain(uv_toml).collect());
        }
    }
    Ok(Vec::new())
}
