//! Wheels that were built on this machine for a target of another architecture.
//!
//! A pure Python package comes out the same wherever it is built, as long as the interpreter is of
//! the target's version. Of others the wheel says so, by its tags or by the code that it holds.

use accretion_python::wheel::Rank;
use std::collections::BTreeSet;
use std::env::consts::ARCH;
use std::fs::File;
use std::io;
use std::path::Path;

use accretion_core::limits::Limits;
use accretion_core::target::{Architecture, Target};
use accretion_python::wheel::{WheelFilename, foreign_code, inspect};
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

/// Checks whether a wheel that was built on this machine will do for a target. `source` is the file
/// name of what it was built from.
pub(crate) fn check(source: &str, wheel: &StoredWheel, target: Target) -> Result<(), Error> {
    let files = || -> io::Result<_> {
        let wheel_file = File::open(&wheel.wheel)?;
        Ok((wheel_file, File::open(&wheel.layout_file)?))
    };
    let unreadable = |error| Error::cache("could not read", &wheel.wheel, error);
    let (wheel_file, layout_file) = files().map_err(unreadable)?;
    Built {
        source,
        filename: &wheel.filename,
        layout: &wheel.layout,
    }
    .check(target, &wheel_file, &layout_file)
    .map_err(unreadable)?
}

/// The same for a wheel that is in no cache.
pub(crate) fn check_file(source: &str, wheel: &Path, target: Target) -> Result<(), Error> {
    if native(target) == target {
        return Ok(());
    }
    let name = wheel.file_name().unwrap_or_default().to_string_lossy();
    let filename: WheelFilename = name.parse().map_err(|error| {
        let problem = format!("it was built with this name: {error}");
        let wheel = name.to_string();
        accretion_python::Error::WheelInvalid { wheel, problem }
    })?;
    let unreadable = |error| Error::temporary("could not read", wheel, error);
    let wheel_file = File::open(wheel).map_err(unreadable)?;
    let length = wheel_file.metadata().map_err(unreadable)?.len();
    let mut packed = Vec::new();
    let limits = Limits::default().wheel;
    let layout = inspect(&wheel_file, length, &filename, &limits, 1, &mut packed)?;
    let built = Built {
        source,
        filename: &filename,
        layout: &layout,
    };
    let checked = built.check(target, &wheel_file, packed.as_slice());
    checked.map_err(unreadable)?
}

/// A wheel that was built here.
struct Built<'a> {
    source: &'a str,
    filename: &'a WheelFilename,
    layout: &'a Layout,
}

impl Built<'_> {
    fn check(
        &self,
        target: Target,
        wheel: &File,
        layout_file: &(impl accretion_archive::ReadAt + ?Sized),
    ) -> io::Result<Result<(), Error>> {
        let refused = |problem: String| {
            Ok(Err(Error::ArchitectureForeign {
                file: self.source.to_owned(),
                target: target.to_string(),
                problem,
            }))
        };
        if Rank::of_wheel(target, self.filename).is_none() {
            let platforms: BTreeSet<_> = self.filename.tags().map(|tag| tag.platform).collect();
            let names: Vec<_> = platforms.into_iter().collect();
            return refused(format!("is for {}", names.join(", ")));
        }
        match foreign_code(self.layout, wheel, layout_file, target.architecture)? {
            Some((path, machine)) => refused(format!("holds `{path}`, which is for {machine}")),
            None => Ok(Ok(())),
        }
    }
}
