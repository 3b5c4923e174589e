//! `accretion request raw`

use std::process::ExitCode;

use accretion_core::keys;
use accretion_python::request::InputKind;

use super::Submission;
use crate::args::{Global, Input, RequestRaw};
use crate::error::Error;
use crate::input::InputFile;
use crate::{cloud, input};

/// Drops the bytes of a request.
pub(in crate::commands) async fn run(args: RequestRaw, global: Global) -> Result<ExitCode, Error> {
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
