//! The ecosystem of Python: distributions from package indexes.

mod extra_files;
mod indexes;
mod own;
mod packages;

pub use extra_files::extra_file_secrets;
pub use indexes::{ChosenIndexes, Offer, OfferedIndexes, ParseOfferedIndexesError};
pub use own::OwnWheel;
pub use packages::{PythonPackages, SourceDistributions};

use accretion_core::Fault as _;
use accretion_core::diagnostic::{Checked, Problem, code};
use accretion_core::limits::{Limits, WheelLimits};
use accretion_core::request::ProjectName;
use accretion_layer::{files, secrets};
use accretion_python::request::{self, InputKind, PythonInput, Request};
use accretion_python::requirement::NoInclude;
use accretion_python::wheel::{Rank, Requires, WheelFilename, inspect};

use crate::ecosystem::Ecosystem;
use crate::ports::{Resolver, Wheels};

/// The ports of Python packages.
#[derive(Clone, Copy)]
pub struct PythonPorts<'a> {
    /// The resolver.
    pub resolver: &'a dyn Resolver,
    /// The wheels.
    pub wheels: &'a dyn Wheels,
}

/// The ecosystem of Python.
#[derive(Debug, Clone, Copy)]
pub struct Python;

impl Ecosystem for Python {
    type Input = PythonInput;

    fn is_request(name: &str, bytes: &[u8]) -> bool {
        InputKind::of(name, bytes) == Ok(InputKind::Request)
    }

    fn read(project: Option<ProjectName>, name: &str, bytes: &[u8]) -> Checked<Request> {
        let kind = InputKind::of(name, bytes)?;
        request::from_input(kind, project, name, bytes, &NoInclude, false)
    }

    fn problems(request: &Request) -> Vec<Problem> {
        request::problems(request, &[])
    }

    fn check_package(request: &Request, filename: &str, wheel: &[u8]) -> Result<(), Problem> {
        let problem_of = |message: String, help: &str| {
            Err(Problem::error(code::FILES_INVALID, message).help(help))
        };
        let Ok(filename) = filename.parse::<WheelFilename>() else {
            return problem_of(format!("`{filename}` is no wheel"), "name a wheel");
        };
        let mut targets = request.targets.iter();
        if let Some(target) = targets.find(|target| Rank::of_wheel(*target, &filename).is_none()) {
            let message = format!("the wheel `{filename}` does not fit {target}");
            return problem_of(message, "leave this target out, or build the wheel for it");
        }
        if let Err(error) = check_content(request, &filename, wheel) {
            let help = error.hint().unwrap_or_else(|| "build it again".to_owned());
            return problem_of(error.to_string(), &help);
        }
        match secrets::of_zip(wheel) {
            Ok(found) => files::check_secrets(&request.contents.file_rules, found)
                .map_err(|error| files::secret_problem(&error)),
            Err(error) => problem_of(error.to_string(), "build it again"),
        }
    }
}

/// Checks that a wheel is sound, and for the Python of all targets.
fn check_content(
    request: &Request,
    filename: &WheelFilename,
    wheel: &[u8],
) -> Result<(), accretion_python::Error> {
    let limits = WheelLimits {
        unzipped: Limits::FILES_BYTES,
        ..WheelLimits::default()
    };
    let mut packed = Vec::new();
    let layout = inspect(wheel, wheel.len() as u64, filename, &limits, 1, &mut packed)?;
    let requires = Requires::read(&layout, wheel, &packed)?;
    let mut targets = request.targets.iter();
    targets.try_for_each(|target| requires.check_python(filename.as_str(), target))
}
