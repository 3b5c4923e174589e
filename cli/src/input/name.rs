//! The names that inputs give to projects.

use std::fs;
use std::path::Path;

use accretion_core::request::ProjectName;
use accretion_python::project::{FileKind, ProjectFile};
use accretion_python::request::InputKind;

use crate::args::PYPROJECT;
use crate::error::Error;

/// The name of an input's project: the stem of a script, the project of a lock, and otherwise the name
/// of the folder.
pub(super) fn project_name(kind: InputKind, path: &Path) -> Result<ProjectName, Error> {
    let of_file = match kind {
        InputKind::Script => stem(path),
        InputKind::Lock(_) => script_of_lock(path)
            .or_else(|| name_in_lock(path))
            .or_else(|| of_project(path)),
        InputKind::Request | InputKind::RequirementsTxt => None,
    };
    of_file.map_or_else(|| of_folder(path), Ok)
}

/// The name of the project in the folder of a file, or else the name of the folder.
pub(crate) fn name_of_project(path: &Path) -> Result<ProjectName, Error> {
    of_project(path).map_or_else(|| of_folder(path), Ok)
}

/// The `pyproject.toml` beside a file, if it exists and is readable.
pub(crate) fn project_file(path: &Path) -> Option<ProjectFile> {
    let text = fs::read_to_string(path.with_file_name(PYPROJECT)).ok()?;
    let (project, _) = ProjectFile::parse(PYPROJECT, &text, FileKind::Pyproject).ok()?;
    Some(project)
}

fn stem(path: &Path) -> Option<ProjectName> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// `tool` for `tool.py.lock`.
fn script_of_lock(path: &Path) -> Option<ProjectName> {
    path.file_name()?
        .to_str()?
        .strip_suffix(".py.lock")?
        .parse()
        .ok()
}

/// `web` for `pylock.web.toml`, as PEP 751 has it.
fn name_in_lock(path: &Path) -> Option<ProjectName> {
    let name = path.file_name()?.to_str()?.strip_prefix("pylock.")?;
    name.strip_suffix(".toml")?.parse().ok()
}

fn of_project(path: &Path) -> Option<ProjectName> {
    project_file(path)?.name?.to_string().parse().ok()
}

fn of_folder(path: &Path) -> Result<ProjectName, Error> {
    let folder = fs::canonicalize(path)
        .ok()
        .and_then(|path| Some(path.parent()?.file_name()?.to_string_lossy().into_owned()))
        .unwrap_or_default();
    folder.parse().map_err(|_| Error::NameMissing { folder })
}
