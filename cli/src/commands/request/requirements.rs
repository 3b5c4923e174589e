//! `accretion request requirements`

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use accretion_core::keys;
use accretion_python::request::{InputKind, Request};
use accretion_python::requirement::NoInclude;

use super::Submission;
use crate::args::{ExtraOptions, Global, Input, RequestRequirements, SourceOptions};
use crate::engine::Engine;
use crate::environment::Environment;
use crate::error::Error;
use crate::extra::ExtraPackages;
use crate::input::InputFile;
use crate::progress::Terminal;
use crate::{cloud, input};

/// Drops a file, or a request with its content.
pub(in crate::commands) async fn run(
    args: RequestRequirements,
    global: Global,
    environment: &Environment,
) -> Result<ExitCode, Error> {
    let mut input = Input {
        name: Some(args.layer_name),
        targets: args.targets,
        selection: args.selection,
        allow_source_distributions: args.allow_source_distributions,
        merge: args.merge,
        contents: args.contents,
        ..Input::of_path(args.file)
    };
    input.choose(global)?;
    let file = InputFile::read(&input.path)?;
    if file.kind == InputKind::Request {
        return Err(cloud::Error::InputKindUnexpected {
            path: input.path,
            kind: file.kind,
        }
        .into());
    }
    let (mut request, report) = input::check(&input, &file, &args.extra.projects)?;
    let packages = packages(&args.extra, &request, &input.path, environment).await?;
    packages.require(&mut request, &input.path)?;
    let (files, left_out) = args.extra.upload(packages, &mut request).await?;
    if global.is_text() {
        args.extra.print_left_out(&left_out, global);
    }
    let key = keys::dropped_request(&request.name, file.kind.file_name());
    let (key, bytes) = if is_complete(&request, file.kind, &key, &file.bytes) {
        (key, file.bytes)
    } else {
        let key = keys::dropped_request(&request.name, "request.json");
        (key, request.to_json().into())
    };
    let submission = Submission {
        project: request.name.clone(),
        request: Some(request),
        key,
        bytes,
        files,
        left_out: args.extra.include.map(|_| (&left_out).into()),
        report,
    };
    let file = &args.deployment_file;
    args.destination.take(file, submission, global).await
}

/// Builds local projects on this machine. The pipeline gets their wheels.
async fn packages(
    extra: &ExtraOptions,
    request: &Request,
    input: &Path,
    environment: &Environment,
) -> Result<ExtraPackages, Error> {
    if !extra.has_packages(request, input) {
        return Ok(ExtraPackages::default());
    }
    let progress = Arc::new(Terminal::new(true));
    let sources = SourceOptions::of_environment(environment);
    let engine = Engine::new(&sources, environment, request, &progress)?;
    let given = sources.given(request);
    extra.build(&engine, request, given, input).await
}

/// Returns whether the pipeline reads the same request from the file alone.
fn is_complete(request: &Request, kind: InputKind, key: &str, bytes: &[u8]) -> bool {
    let name = Some(request.name.clone());
    let read = accretion_python::request::from_input(kind, name, key, bytes, &NoInclude, false);
    read.is_ok_and(|(read, _)| read == *request)
}
