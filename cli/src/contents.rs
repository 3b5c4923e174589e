//! What the command line says of a layer's contents.

use std::collections::BTreeSet;

use accretion_core::diagnostic::{Problem, Report, code};
use accretion_core::pruning::{Pattern, Pruning};
use accretion_core::request::Request;
use accretion_core::requirement::PackageName;

use crate::error::Error;

/// What help calls what is about the contents of layers.
pub(crate) const HEADING: &str = "Contents";

/// What goes into layers, and what stays out, besides what the input says.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ContentOptions {
    /// Leave out packages that the runtime has in a version that will do, such as boto3
    #[arg(long, help_heading = HEADING)]
    provided_by_runtime: bool,
    /// Leave out files of packages that match, as in a .gitignore: tests/, *.pyi [may be repeated]
    #[arg(long, help_heading = HEADING, value_name = "PATTERN")]
    prune: Vec<Pattern>,
    /// Keep files that match, although --prune names them [may be repeated]
    #[arg(long, help_heading = HEADING, value_name = "PATTERN")]
    keep: Vec<Pattern>,
    /// Leave out a package, whatever requires it [may be repeated]
    #[arg(long, help_heading = HEADING, value_name = "NAME", value_parser = package)]
    exclude: Vec<PackageName>,
}

fn package(text: &str) -> Result<PackageName, String> {
    // The library's own parser takes an empty text too.
    let name = text.parse().ok().filter(|_| !text.is_empty());
    name.ok_or_else(|| {
        "names of packages have letters, digits, `-`, `_` and `.`, and start and end with a letter \
         or digit"
            .to_owned()
    })
}

impl ContentOptions {
    /// Adds to what a request says.
    pub(crate) fn apply(&self, request: &mut Request) -> Result<(), Error> {
        request.exclude.extend(self.exclude.iter().cloned());
        let contents = &mut request.contents;
        contents.provided_by_runtime |= self.provided_by_runtime;
        let all = |said: Vec<&Pattern>, more: &[Pattern]| -> BTreeSet<Pattern> {
            said.into_iter().chain(more).cloned().collect()
        };
        let prune = all(contents.pruning.prune().collect(), &self.prune);
        let include = all(contents.pruning.include().collect(), &self.keep);
        contents.pruning = Pruning::new(prune, include).map_err(|error| {
            let mut report = Report::new("the command line", "");
            let problem = Problem::error(code::PATTERN_INVALID, error.to_string());
            report.push(problem.help("name fewer"));
            Error::InputInvalid(report)
        })?;
        Ok(())
    }
}
