//! `accretion request requirements`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use accretion_core::keys;
use accretion_core::request::ProjectName;
use accretion_core::target::{Architecture, Runtime};
use accretion_python::request::{InputKind, Request};
use accretion_python::requirement::NoInclude;

use super::{Destination, Submission};
use crate::args::{Format, Global};
use crate::cloud;
use crate::contents::ContentOptions;
use crate::engine::{Engine, Sources};
use crate::environment::Environment;
use crate::error::Error;
use crate::input::{self, Input, InputFile, Selected};
use crate::own::{OwnOptions, OwnPackages};
use crate::progress::Terminal;

/// Request layers of what a requirements.txt, a script or a lock file names
///
/// The layers are those that `accretion build` would write. The file is checked as
/// `accretion check` does. With an error, nothing is dropped anywhere.
///
/// The file is dropped as it is, if it says everything. If it includes other files or needs one beside
/// it, or if an option changes what it asks for, a request (JSON) is dropped that has all of it. What
/// --include and --project name is uploaded first, below `files/LAYER_NAME/` in the inbox.
#[derive(Debug, clap::Args)]
pub(crate) struct Requirements {
    /// The file, as `accretion init` writes it
    deployment_file: PathBuf,
    /// The project, which its layers are named after: LAYER_NAME-py313, LAYER_NAME-py313-arm64
    layer_name: ProjectName,
    /// A requirements.txt, a script, or a lock file: pylock.toml, uv.lock, poetry.lock, Pipfile.lock,
    /// pdm.lock; or a folder that has one requirements or lock file
    #[arg(value_name = "REQUIREMENTS_FILE")]
    file: PathBuf,
    /// A Lambda runtime to build for, such as python3.13 [may be repeated; default: all supported]
    #[arg(long = "runtime", value_name = "RUNTIME", value_parser = input::runtime)]
    runtimes: Vec<Runtime>,
    /// x86_64 or arm64 [may be repeated; default: both]
    #[arg(long = "architecture", value_name = "ARCHITECTURE", value_parser = input::architecture)]
    architectures: Vec<Architecture>,
    #[command(flatten)]
    selection: Selected,
    /// Let packages that have no fitting wheel be built, which the pipeline has to allow, too
    #[arg(long)]
    allow_source_distributions: bool,
    /// Make one layer for all runtimes, for each architecture
    #[arg(long)]
    merge: bool,
    #[command(flatten)]
    contents: ContentOptions,
    #[command(flatten)]
    own: OwnOptions,
    #[command(flatten)]
    destination: Destination,
}

/// Drops a file, or a request that is made of it.
pub(super) async fn run(
    args: Requirements,
    global: Global,
    environment: &Environment,
) -> Result<ExitCode, Error> {
    let mut input = Input {
        name: Some(args.layer_name),
        runtimes: args.runtimes,
        architectures: args.architectures,
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
    let (mut request, mut report) = input::check(&input, &file, args.own.projects())?;
    args.own.check_lock(&input.path, &mut report)?;
    let packages = packages(&args.own, &request, &input.path, environment).await?;
    packages.require(&mut request, &input.path)?;
    let (files, left_out) = args.own.upload(packages, &mut request).await?;
    if global.format == Format::Text {
        args.own.print_left_out(&left_out, global);
    }
    let key = keys::dropped_request(&request.name, file.kind.file_name());
    let (key, bytes) = if says_everything(&request, file.kind, &key, &file.bytes) {
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
        left_out: args.own.has_files().then(|| (&left_out).into()),
        report,
    };
    let file = &args.deployment_file;
    args.destination.take(file, submission, global).await
}

/// Builds what there is of the user's own on this machine: the pipeline gets the wheels.
async fn packages(
    own: &OwnOptions,
    request: &Request,
    input: &Path,
    environment: &Environment,
) -> Result<OwnPackages, Error> {
    if !own.has_packages(request, input) {
        return Ok(OwnPackages::default());
    }
    let progress = Arc::new(Terminal::new(true));
    let sources = Sources::of_environment(environment);
    let engine = Engine::new(&sources, environment, request, &progress)?;
    let given = sources.given(request);
    own.build(&engine, request, given, input).await
}

/// Whether the pipeline reads that very request in the bare file.
fn says_everything(request: &Request, kind: InputKind, key: &str, bytes: &[u8]) -> bool {
    let name = Some(request.name.clone());
    let read = accretion_python::request::from_input(kind, name, key, bytes, &NoInclude, false);
    read.is_ok_and(|(read, _)| read == *request)
}
