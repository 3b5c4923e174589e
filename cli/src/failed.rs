//! Layers that could not be had.

use std::process::ExitCode;

use accretion_core::Fault;
use accretion_core::layer::LayerName;
use accretion_core::target::{Architecture, Compatibility, Runtime};
use serde::Serialize;

use crate::args::Global;
use crate::error::{ErrorRecord, code_of, grouped, print_faults, print_warning};

/// A layer that could not be had.
pub(crate) struct Failed {
    pub(crate) target: Compatibility,
    pub(crate) layer: LayerName,
    pub(crate) error: accretion_service::Error,
}

/// The same for programs.
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
            error: ErrorRecord::from(&failed.error as &dyn Fault),
        }
    }
}

/// Says for people why layers could not be had.
pub(crate) fn print(failed: &[Failed]) {
    let errors = failed.iter();
    print_faults(errors.map(|failed| (failed.layer.as_str(), &failed.error as &dyn Fault)));
}

/// A warning about a layer: the layer's name, and the text of the warning.
pub(crate) type Warning = (String, String);

/// The same for programs.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct WarningRecord<'a> {
    layers: Vec<&'a str>,
    message: &'a str,
}

fn by_message(warnings: &[Warning]) -> Vec<(&str, Vec<&str>)> {
    grouped(
        warnings
            .iter()
            .map(|(layer, warning)| (&**layer, &**warning)),
    )
}

/// Each warning once, with its layers.
pub(crate) fn records(warnings: &[Warning]) -> Vec<WarningRecord<'_>> {
    let warnings = by_message(warnings).into_iter();
    warnings
        .map(|(message, layers)| WarningRecord { layers, message })
        .collect()
}

/// Says for people what deserves attention.
pub(crate) fn print_warnings(warnings: &[Warning], global: Global) {
    for (warning, layers) in by_message(warnings).into_iter().filter(|_| !global.quiet) {
        print_warning(&layers.join(", "), warning);
    }
}

/// What the shell is told.
pub(crate) fn exit_code(failed: &[Failed]) -> ExitCode {
    // The machine's own faults first: they make what the others say doubtful.
    let codes = failed.iter().map(|failed| code_of(failed.error.class()));
    codes.min().map_or(ExitCode::SUCCESS, ExitCode::from)
}
