//! Layers that could not be had.

use std::process::ExitCode;

use accretion_core::Fault;
use accretion_core::layer::LayerName;
use accretion_core::target::{Architecture, Compatibility, Runtime};
use serde::Serialize;

use crate::error::{ErrorRecord, code_of, print_faults};

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

/// What the shell is told.
pub(crate) fn exit_code(failed: &[Failed]) -> ExitCode {
    // The machine's own faults first: they make what the others say doubtful.
    let codes = failed.iter().map(|failed| code_of(failed.error.class()));
    codes.min().map_or(ExitCode::SUCCESS, ExitCode::from)
}
