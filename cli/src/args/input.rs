//! The input, the targets, and the package indexes of a build.

use std::path::PathBuf;
use std::str::FromStr;

use accretion_core::request::ProjectName;
use accretion_core::target::{Architecture, Runtime};
use accretion_core::text::ParseTextError;
use accretion_python::index::{IndexName, index_url};
use accretion_python::lock::GroupName;
use url::Url;

use super::ContentOptions;
use crate::environment::DEFAULT_INDEX;

/// The input that stands for the one of the current folder.
pub(crate) const HERE: &str = ".";

/// The input that stands for the requirements of a project.
pub(crate) const PYPROJECT: &str = "pyproject.toml";

/// An input, and the options that change what it asks for.
#[derive(Debug, clap::Args)]
pub(crate) struct Input {
    /// A request (JSON), a requirements.txt, a script or a lock file (pylock.toml, uv.lock,
    /// poetry.lock, Pipfile.lock, pdm.lock), or a folder with one requirements or lock file
    #[arg(value_name = "INPUT", default_value = HERE)]
    pub(crate) path: PathBuf,
    /// The project's name [default: from the request, the script's file name, the locked project,
    /// or the folder of INPUT]
    #[arg(long)]
    pub(crate) name: Option<ProjectName>,
    #[command(flatten)]
    pub(crate) targets: TargetOptions,
    #[command(flatten)]
    pub(crate) selection: SelectionOptions,
    /// Build packages without a suitable wheel from source, which runs their code
    #[arg(long)]
    pub(crate) allow_source_distributions: bool,
    /// Build one layer for all runtimes, for each architecture
    #[arg(long)]
    pub(crate) merge: bool,
    #[command(flatten)]
    pub(crate) contents: ContentOptions,
}

/// Runtimes and architectures; all supported ones if none is given.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct TargetOptions {
    /// A Lambda runtime to build for, such as python3.13 [may be repeated; default: all supported]
    #[arg(long = "runtime", value_name = "RUNTIME", value_parser = runtime)]
    pub(crate) runtimes: Vec<Runtime>,
    /// x86_64 or arm64 [may be repeated; default: both]
    #[arg(long = "architecture", value_name = "ARCHITECTURE", value_parser = architecture)]
    pub(crate) architectures: Vec<Architecture>,
}

/// Groups and extras of a lock file that go into the layers besides its default groups.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct SelectionOptions {
    /// Add a dependency group of the lock file, such as dev, or a category of a Pipfile.lock [may
    /// be repeated]
    #[arg(long = "group", value_name = "NAME", value_parser = name::<GroupName>)]
    pub(crate) groups: Vec<GroupName>,
    /// Add an extra of the locked project [may be repeated]
    #[arg(long = "extra", value_name = "NAME", value_parser = name::<GroupName>)]
    pub(crate) extras: Vec<GroupName>,
}

/// Sources of packages.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct SourceOptions {
    /// Use only the cache, not the network
    #[arg(long)]
    pub(crate) offline: bool,
    /// Use this package index instead of the default one
    #[arg(
        long,
        value_name = "URL",
        env = DEFAULT_INDEX,
        hide_env_values = true,
        value_parser = default_index
    )]
    pub(crate) default_index: Option<Url>,
    /// Search this package index before the default one [may be repeated]
    #[arg(long = "index", value_name = "NAME=URL", value_parser = index)]
    pub(crate) indexes: Vec<IndexArgument>,
}

/// A named package index.
#[derive(Debug, Clone)]
pub(crate) struct IndexArgument {
    pub(crate) name: IndexName,
    pub(crate) url: Url,
}

/// Reads a runtime: its identifier, or the version of Python alone, such as `3.13`.
pub(super) fn runtime(text: &str) -> Result<Runtime, ParseTextError> {
    text.parse()
        .or_else(|error| format!("python{text}").parse().map_err(|_| error))
}

/// Reads an architecture: the name that AWS, Linux or Debian has for it.
pub(super) fn architecture(text: &str) -> Result<Architecture, ParseTextError> {
    match text {
        "aarch64" => Ok(Architecture::Arm64),
        "amd64" => Ok(Architecture::X86_64),
        _ => text.parse(),
    }
}

/// Reads the name of a package, a group or an extra.
pub(super) fn name<T: FromStr>(text: &str) -> Result<T, String> {
    // The library's own parser accepts an empty text.
    text.parse()
        .ok()
        .filter(|_| !text.is_empty())
        .ok_or_else(|| {
            "names have letters, digits, `-`, `_` and `.`, and start and end with a letter or digit"
                .to_owned()
        })
}

/// Reads the URL of the default package index.
pub(crate) fn default_index(text: &str) -> Result<Url, String> {
    text.parse::<Url>()
        .ok()
        .filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
        .ok_or_else(|| "an index has a URL that starts with `https://` or `http://`".to_owned())
}

/// Reads `NAME=URL`.
fn index(text: &str) -> Result<IndexArgument, String> {
    let form = || "an index is written as NAME=URL".to_owned();
    let (name, url) = text.split_once('=').ok_or_else(form)?;
    Ok(IndexArgument {
        name: name.parse().map_err(|_| form())?,
        url: index_url(url).map_err(|problem| {
            let help = problem.help.unwrap_or_default();
            format!("{}; {help}", problem.message)
        })?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_of_the_command_line() {
        let IndexArgument { name, url } = index("a-1=https://example.com/x=y/").unwrap();
        assert_eq!(
            (name.as_str(), url.as_str()),
            ("a-1", "https://example.com/x=y/")
        );
        for text in [
            "",
            "https://example.com/",
            "=https://example.com/",
            "a=",
            "a b=https://x/",
        ] {
            assert!(index(text).is_err(), "{text}");
        }
        let error = index("a=https://user:s3cret@example.com/").unwrap_err();
        assert!(
            error.contains("UV_INDEX_<NAME>_PASSWORD") && !error.contains("s3cret"),
            "{error}"
        );
    }
}
