//! `accretion request raw`

use std::path::PathBuf;
use std::process::ExitCode;

use accretion_core::keys;
use accretion_python::request::InputKind;

use super::{Destination, Submission};
use crate::args::Global;
use crate::cloud;
use crate::error::Error;
use crate::input::{self, Input, InputFile};

/// Drop a request as it is
///
/// It is checked as `accretion check` does. With an error, nothing is dropped anywhere.
#[derive(Debug, clap::Args)]
pub(crate) struct Raw {
    /// The file, as `accretion init` writes it
    deployment_file: PathBuf,
    /// A request (JSON)
    request_file: PathBuf,
    #[command(flatten)]
    destination: Destination,
}

/// Drops the bytes of a request.
pub(super) async fn run(args: Raw, global: Global) -> Result<ExitCode, Error> {
    let input = Input::of_path(args.request_file);
    let file = InputFile::read(&input.path)?;
    if file.kind != InputKind::Request {
        return Err(cloud::Error::InputKindUnexpected {
            path: input.path,
            kind: file.kind,
        }
        .into());
    }
    let (request, report) = input::check(&input, &file, &[])?;
    let submission = Submission {
        key: keys::dropped_request(&request.name, "request.json"),
        project: request.name.clone(),
        request: Some(request),
        bytes: file.bytes,
        files: Vec::new(),
        left_out: None,
        report,
    };
    let file = &args.deployment_file;
    args.destination.take(file, submission, global).await
}
