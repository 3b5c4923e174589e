//! What the command line says of a layer's contents.

use std::collections::BTreeSet;
use std::path::Path;

use accretion_core::diagnostic::{Problem, Report, code, printable};
use accretion_core::pruning::{Pattern, PatternsTooLarge, Pruning};
use accretion_core::request::FileRules;
use accretion_layer::files::{LeftOut, Reason};
use accretion_python::request::Request;
use accretion_python::requirement::PackageName;

use serde::Serialize;

use crate::args::Global;
use crate::error::{Error, print_note, print_warning};

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
        request.input.exclude.extend(self.exclude.iter().cloned());
        let contents = &mut request.contents;
        contents.provided_by_runtime |= self.provided_by_runtime;
        let all = |said: Vec<&Pattern>, more: &[Pattern]| -> BTreeSet<Pattern> {
            said.into_iter().chain(more).cloned().collect()
        };
        let prune = all(contents.pruning.prune().collect(), &self.prune);
        let include = all(contents.pruning.include().collect(), &self.keep);
        let pruning = Pruning::new(prune, include);
        contents.pruning = pruning.map_err(|error| too_large(&error))?;
        Ok(())
    }
}

fn too_large(error: &PatternsTooLarge) -> Error {
    let mut report = Report::new("the command line", "");
    let problem = Problem::error(code::PATTERN_INVALID, error.to_string());
    report.push(problem.help("name fewer"));
    Error::InputInvalid(report)
}

/// Which extra files come along.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct FileOptions {
    /// Copy hidden files that match, too, as in a .gitignore: .config/, .*.toml [may be repeated]
    #[arg(long, help_heading = HEADING, value_name = "PATTERN")]
    hidden: Vec<Pattern>,
    /// Let a file in although it holds what looks like a secret [may be repeated]
    #[arg(long = "allow-secret", help_heading = HEADING, value_name = "PATH")]
    allow_secrets: Vec<String>,
}

impl FileOptions {
    /// The rules that they come to. Paths may begin with the folder that is copied, as a shell
    /// completes them.
    pub(crate) fn rules(&self, folder: Option<&Path>) -> Result<FileRules, Error> {
        let inside = |path: &String| {
            let inside = folder.and_then(|folder| Path::new(path).strip_prefix(folder).ok());
            let inside = inside.and_then(Path::to_str).unwrap_or(path);
            inside.trim_start_matches("./").to_owned()
        };
        let hidden = self.hidden.iter().cloned().collect();
        let allowed = self.allow_secrets.iter().map(inside).collect();
        FileRules::new(hidden, allowed).map_err(|error| too_large(&error))
    }
}

/// The numbers of files and folders that have stayed out, for programs.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LeftOutRecord {
    hidden: usize,
    bytecode: usize,
    ignored: usize,
}

impl From<&LeftOut> for LeftOutRecord {
    fn from(left_out: &LeftOut) -> Self {
        Self {
            hidden: left_out.count(Reason::Hidden),
            bytecode: left_out.count(Reason::Bytecode),
            ignored: left_out.count(Reason::Ignored),
        }
    }
}

/// Tells people what of a folder has stayed out, and which patterns have done nothing.
pub(crate) fn print_left_out(folder: &Path, left_out: &LeftOut, global: Global) {
    if global.quiet {
        return;
    }
    let folder = folder.display().to_string();
    for pattern in &left_out.unmatched {
        let warning = format!("--hidden {pattern} brings nothing back");
        print_warning(&folder, &warning);
    }
    if left_out.paths.is_empty() {
        return;
    }
    let reasons = [
        (Reason::Hidden, "hidden"),
        (Reason::Bytecode, "__pycache__"),
        (Reason::Ignored, "ignored"),
    ];
    let counts = reasons.map(|(reason, name)| (left_out.count(reason), name));
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    let counts = counts.join(", ");
    print_note(&format!("left out of {folder}: {counts}"));
    if global.verbose {
        for (path, _) in &left_out.paths {
            anstream::eprintln!("  {}", printable(path));
        }
    }
}
