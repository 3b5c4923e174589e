//! The requirements in a wheel's metadata.

use accretion_archive::{Method, ReadAt};
use accretion_core::target::Target;
use accretion_tree::{Layout, Origin};
use pep440_rs::VersionSpecifiers;

use super::metadata;
use crate::error::Error;
use crate::requirement::python_of;

/// The requirements of a wheel, as its `METADATA` states them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requires {
    /// The values of `Requires-Dist`, as they are written.
    pub distributions: Vec<String>,
    /// The Python versions of `Requires-Python`. `None` if any will do, and, as pip has it, if the
    /// field cannot be read.
    pub python: Option<VersionSpecifiers>,
}

impl Requires {
    /// Reads the metadata of a wheel that was verified.
    ///
    /// `wheel` and `layout_file` are what the layout's files lie in.
    pub fn read(
        layout: &Layout,
        wheel: &(impl ReadAt + ?Sized),
        layout_file: &(impl ReadAt + ?Sized),
    ) -> Result<Self, Error> {
        Ok(Self::of(&text(layout, wheel, layout_file)?))
    }

    fn of(text: &str) -> Self {
        Self {
            distributions: metadata::headers(text, "Requires-Dist"),
            python: metadata::header(text, "Requires-Python").and_then(|it| it.parse().ok()),
        }
    }

    /// Checks that a target has a Python that the wheel is for.
    pub fn check_python(&self, wheel: &str, target: Target) -> Result<(), Error> {
        let what = || format!("the wheel `{wheel}`");
        python_of(target, self.python.as_ref(), what).map(|_| ())
    }
}

fn text(
    layout: &Layout,
    wheel: &(impl ReadAt + ?Sized),
    layout_file: &(impl ReadAt + ?Sized),
) -> Result<String, Error> {
    let failed = |error| Error::WheelRead {
        wheel: format!("{}-{}", layout.name, layout.version),
        error,
    };
    let broken = || failed(std::io::ErrorKind::InvalidData.into());
    let path = layout.file_list.replace("/RECORD", "/METADATA");
    let at = layout.files.binary_search_by(|file| file.path.cmp(&path));
    let file = at.map(|at| &layout.files[at]).map_err(|_| broken())?;
    let size = |bytes: u64| usize::try_from(bytes).map_err(|_| broken());
    let mut packed = vec![0; size(file.compressed_size)?];
    match file.origin {
        Origin::Archive => wheel.read_exact_at(&mut packed, file.offset),
        Origin::Layout => layout_file.read_exact_at(&mut packed, file.offset),
    }
    .map_err(failed)?;
    let text = match file.method {
        Method::Stored => packed,
        Method::Deflated => {
            let limit = size(file.size)?;
            let unpacked = miniz_oxide::inflate::decompress_to_vec_with_limit(&packed, limit);
            unpacked.map_err(|_| broken())?
        }
        Method::Zstandard => return Err(broken()),
    };
    Ok(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use accretion_core::target::{Architecture, Runtime};

    use super::*;

    #[test]
    fn the_python_versions_of_metadata() {
        for (field, satisfied) in [
            ("Requires-Python: >=3.12", true),
            ("requires-python:>=3.13", false),
            ("Requires-Python: >=3.9,<3.12", false),
            ("Requires-Python: ==3.12.*", true),
            ("Requires-Python: >=3.12.7", true),
            ("Requires-Python: !=3.12.*", false),
            ("Requires-Python: ~=3.10", true),
            ("Requires-Python: whatever", true),
            ("Requires-Python:", true),
            ("Requires-Dist: x>=3.13", true),
        ] {
            let requires = Requires::of(&format!("Metadata-Version: 2.1\n{field}\n"));
            let target = Target {
                runtime: Runtime::Python312,
                architecture: Architecture::X86_64,
            };
            let fits = requires.check_python("x-1-py3-none-any.whl", target);
            assert_eq!(fits.is_ok(), satisfied, "{field}: {fits:?}");
        }
    }
}
