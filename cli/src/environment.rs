//! Environment variables that the command reads, each in one place.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the wheel cache and of uv's cache. Without it: `accretion` in `XDG_CACHE_HOME`,
/// or in `~/.cache`.
const CACHE_DIR: &str = "ACCRETION_CACHE_DIR";

/// The path of uv. Without it: `uv` beside this command's program, or in the folders of `PATH`.
const UV: &str = "ACCRETION_UV";

/// The path of the Python interpreter that uv runs. Without it: `python3` in the folders of `PATH`,
/// or beside this command's program.
const PYTHON: &str = "ACCRETION_PYTHON";

/// The URL of the package index, for `--default-index`, whose parser reads it.
pub(crate) const DEFAULT_INDEX: &str = "ACCRETION_DEFAULT_INDEX";

/// The path of the SAM CLI. Without it: `sam` in the folders of `PATH`.
#[cfg(feature = "aws")]
const SAM: &str = "ACCRETION_SAM";

/// The path of the template, for `--template`, whose parser reads it. Without it: the template of the
/// checkout that the command was compiled from.
#[cfg(feature = "aws")]
pub(crate) const TEMPLATE: &str = "ACCRETION_TEMPLATE";

/// The environment, read once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    pub(crate) cache: Option<PathBuf>,
    pub(crate) uv: Option<PathBuf>,
    pub(crate) python: Option<PathBuf>,
    #[cfg(feature = "aws")]
    pub(crate) sam: Option<PathBuf>,
    pub(crate) path: Option<OsString>,
    /// The folder of this command's program. Links to the program do not count: `pipx` and
    /// `uv tool` link only this command into a folder of `PATH`, not what is installed with it.
    pub(crate) beside: Option<PathBuf>,
    /// All variables, for uv.
    pub(crate) variables: Vec<(OsString, OsString)>,
}

impl Environment {
    pub(crate) fn read() -> Self {
        let path = |name| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let user_cache = || path("XDG_CACHE_HOME").or_else(|| Some(path("HOME")?.join(".cache")));
        Self {
            cache: path(CACHE_DIR).or_else(|| Some(user_cache()?.join("accretion"))),
            uv: path(UV),
            python: path(PYTHON),
            #[cfg(feature = "aws")]
            sam: path(SAM),
            path: env::var_os("PATH"),
            beside: folder_of_program(),
            variables: env::vars_os().collect(),
        }
    }

    /// A variable, unless it is empty.
    pub(crate) fn variable(&self, name: &str) -> Option<OsString> {
        let mut variables = self.variables.iter();
        let (_, value) = variables.find(|(variable, _)| variable == name)?;
        (!value.is_empty()).then(|| value.clone())
    }
}

/// The folder of this program, free of links.
fn folder_of_program() -> Option<PathBuf> {
    let program = env::current_exe().and_then(fs::canonicalize).ok()?;
    program.parent().map(Path::to_owned)
}
