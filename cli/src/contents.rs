//! The contents of layers by the command line, and the files that were left out.

use std::path::Path;

use accretion_core::diagnostic::{Problem, Report, code, printable};
use accretion_core::pruning::{PatternsTooLarge, Pruning};
use accretion_core::request::FileRules;
use accretion_layer::files::{LeftOut, Reason};
use accretion_python::request::Request;
use serde::Serialize;

use crate::args::{ContentOptions, FileOptions, Global};
use crate::error::Error;
use crate::print;

impl ContentOptions {
    /// Adds the options to a request.
    pub(crate) fn apply(&self, request: &mut Request) -> Result<(), Error> {
        request.input.exclude.extend(self.exclude.iter().cloned());
        let contents = &mut request.contents;
        contents.provided_by_runtime |= self.provided_by_runtime;
        let requested = &contents.pruning;
        let prune = requested.prune().chain(&self.prune).cloned().collect();
        let include = requested.include().chain(&self.keep).cloned().collect();
        contents.pruning = Pruning::new(prune, include).map_err(|error| too_large(&error))?;
        Ok(())
    }
}

fn too_large(error: &PatternsTooLarge) -> Error {
    let mut report = Report::new("the command line", "");
    let problem = Problem::error(code::PATTERN_INVALID, error.to_string());
    report.push(problem.help("name fewer"));
    Error::InputInvalid(report)
}

impl FileOptions {
    /// The rules for extra files. Paths may start with the folder that is copied, as a shell completes
    /// them.
    pub(crate) fn rules(&self, folder: Option<&Path>) -> Result<FileRules, Error> {
        let inside = |path: &String| {
            folder
                .and_then(|folder| Path::new(path).strip_prefix(folder).ok()?.to_str())
                .unwrap_or(path)
                .trim_start_matches("./")
                .to_owned()
        };
        let hidden = self.hidden.iter().cloned().collect();
        let allowed = self.allow_secrets.iter().map(inside).collect();
        FileRules::new(hidden, allowed).map_err(|error| too_large(&error))
    }
}

/// The numbers of files and folders that were left out, for programs.
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

/// Prints the files of a folder that were left out, and the patterns that match nothing.
pub(crate) fn print_left_out(folder: &Path, left_out: &LeftOut, global: Global) {
    if global.quiet {
        return;
    }
    let name = folder.display().to_string();
    for pattern in &left_out.unmatched {
        print::warning(&name, &format!("--hidden {pattern} matches no hidden file"));
    }
    if left_out.paths.is_empty() {
        return;
    }
    let reasons = [
        (Reason::Hidden, "hidden"),
        (Reason::Bytecode, "__pycache__"),
        (Reason::Ignored, "ignored"),
    ];
    let counts = reasons
        .iter()
        .map(|(reason, name)| (left_out.count(*reason), name))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"));
    print::note(&format!("left out of {name}: {}", print::joined(counts)));
    if global.verbose {
        for (path, _) in &left_out.paths {
            anstream::eprintln!("  {}", printable(path));
        }
    }
}
