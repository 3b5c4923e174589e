//! Wheels that were built on this machine for a target of another architecture.
//!
//! A pure Python package comes out the same wherever it is built, as long as the interpreter is of
//! the target's version. Of others the wheel says so, by its tags or by the code that it holds.

use std::collections::BTreeSet;
use std::env::consts::ARCH;
use std::fs::File;
use std::io;
use std::path::Path;

use accretion_core::limits::Limits;
use accretion_core::target::{Architecture, Target};
use accretion_python::wheel::{Rank, WheelFilename, foreign_code, inspect};
use accretion_service::ports::StoredWheel;
use accretion_tree::Layout;

use crate::Error;

/// The target of the same runtime that this machine is like: what is built for one is built as for
/// the other.
pub(crate) fn native(target: Target) -> Target {
    let own = Architecture::ALL
        .into_iter()
        .find(|architecture| architecture.machine() == ARCH);
    Target {
        architecture: own.unwrap_or(target.architecture),
        ..target
    }
}

/// The file name of a wheel that was built.
pub(crate) fn built_filename(wheel: &Path) -> Result<WheelFilename, Error> {
    let name = wheel.file_name().unwrap_or_default().to_string_lossy();
    name.parse().map_err(|error| {
        let problem = format!("it was built with this name: {error}");
        let wheel = name.into_owned();
        accretion_python::Error::WheelInvalid { wheel, problem }.into()
    })
}

/// Checks whether a wheel that was built on this machine will do for a target. `source` is the file
/// name of what it was built from.
pub(crate) fn check(source: &str, wheel: &StoredWheel, target: Target) -> Result<(), Error> {
    let unreadable = Error::cache("could not read", &wheel.wheel);
    let wheel_file = File::open(&wheel.wheel).map_err(unreadable)?;
    let layout_file = File::open(&wheel.layout_file).map_err(unreadable)?;
    let (filename, layout) = (&wheel.filename, &wheel.layout);
    let found = problem(filename, layout, &wheel_file, &layout_file, target);
    refuse(source, target, found.map_err(unreadable)?)
}

/// The same for a wheel that is in no cache.
pub(crate) fn check_file(source: &str, wheel: &Path, target: Target) -> Result<(), Error> {
    if native(target) == target {
        return Ok(());
    }
    let filename = built_filename(wheel)?;
    let unreadable = Error::temporary("could not read", wheel);
    let wheel_file = File::open(wheel).map_err(unreadable)?;
    let length = wheel_file.metadata().map_err(unreadable)?.len();
    let mut packed = Vec::new();
    let limits = Limits::default().wheel;
    let layout = inspect(&wheel_file, length, &filename, &limits, 1, &mut packed)?;
    let found = problem(&filename, &layout, &wheel_file, packed.as_slice(), target);
    refuse(source, target, found.map_err(unreadable)?)
}

/// The reason why a wheel that was built here is of no use for a target, with the wheel as its subject.
fn problem(
    filename: &WheelFilename,
    layout: &Layout,
    wheel: &File,
    layout_file: &(impl accretion_archive::ReadAt + ?Sized),
    target: Target,
) -> io::Result<Option<String>> {
    if Rank::of_wheel(target, filename).is_none() {
        let platforms: BTreeSet<_> = filename.tags().map(|tag| tag.platform).collect();
        let names: Vec<_> = platforms.into_iter().collect();
        return Ok(Some(format!("is for {}", names.join(", "))));
    }
    let code = foreign_code(layout, wheel, layout_file, target.architecture)?;
    Ok(code.map(|(path, machine)| format!("holds `{path}`, which is for {machine}")))
}

fn refuse(source: &str, target: Target, problem: Option<String>) -> Result<(), Error> {
    match problem {
        Some(problem) => Err(Error::ArchitectureForeign {
            file: source.to_owned(),
            target: target.to_string(),
            problem,
        }),
        None => Ok(()),
    }
}
