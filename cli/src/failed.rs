//! Layers that failed, and warnings about layers.

use std::process::ExitCode;

use accretion_core::Fault;
use accretion_core::layer::LayerName;
use accretion_core::target::{Architecture, Compatibility, Runtime};
use serde::Serialize;

use crate::args::Global;
use crate::exit::{code_of, code_of_all};
use crate::print::{self, ErrorRecord};

/// A layer that could not be built or resolved.
pub(crate) struct Failed {
    pub(crate) target: Compatibility,
    pub(crate) layer: LayerName,
    pub(crate) error: accretion_service::Error,
}

/// A failed layer, for programs.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FailureRecord<'a> {
    layer: &'a str,
    runtime: Option<Runtime>,
    runtimes: Vec<Runtime>,
    architecture: Architecture,
    error: ErrorRecord,
}

impl<'a> From<&'a Failed> for FailureRecord<'a> {
    fn from(failed: &'a Failed) -> Self {
        Self {
            layer: failed.layer.as_str(),
            runtime: failed.target.target().runtime(),
            runtimes: failed.target.runtimes().collect(),
            architecture: failed.target.architecture(),
            error: (&failed.error).into(),
        }
    }
}

/// Prints the errors of layers.
pub(crate) fn print(failed: &[Failed]) {
    let errors = failed.iter();
    print::faults(errors.map(|failed| (failed.layer.as_str(), &failed.error as &dyn Fault)));
}

/// A warning about a layer: the layer's name and the text.
pub(crate) type Warning = (String, String);

/// A warning with its layers, for programs.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct WarningRecord<'a> {
    layers: Vec<&'a str>,
    message: &'a str,
}

fn by_message(warnings: &[Warning]) -> Vec<(&str, Vec<&str>)> {
    let texts = warnings.iter();
    print::grouped(texts.map(|(layer, warning)| (layer.as_str(), warning.as_str())))
}

/// Groups equal warnings, each with its layers.
pub(crate) fn records(warnings: &[Warning]) -> Vec<WarningRecord<'_>> {
    by_message(warnings)
        .into_iter()
        .map(|(message, layers)| WarningRecord { layers, message })
        .collect()
}

/// Prints warnings.
pub(crate) fn print_warnings(warnings: &[Warning], global: Global) {
    for (warning, layers) in by_message(warnings).into_iter().filter(|_| !global.quiet) {
        print::warning(&layers.join(", "), warning);
    }
}

/// The exit code of a command with these failures.
pub(crate) fn exit_code(failed: &[Failed]) -> ExitCode {
    code_of_all(failed.iter().map(|failed| code_of(failed.error.class())))
}
