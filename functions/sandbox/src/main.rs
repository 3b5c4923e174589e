//! A build sandbox: runs the code of packages, without credentials.

mod handler;
mod transfer;
mod work;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use accretion_core::limits::{Limits, ResolutionLimits};
use accretion_egress::AllowedHosts;
use accretion_lambda::{Environment, Error};
use accretion_local::descendants;
use accretion_service::python::{Offer, OfferedIndexes};

use crate::handler::Sandbox;
use crate::transfer::Transfer;

#[tokio::main]
async fn main() -> ExitCode {
    accretion_lambda::run(set_up, Sandbox::handle).await
}

async fn set_up(mut environment: Environment) -> Result<Sandbox, Error> {
    // On Lambda the build sandbox has the whole disk; elsewhere it makes its own folder.
    let folder: Option<PathBuf> = environment.given("WORK_FOLDER");
    let uv: Option<PathBuf> = environment.given("UV");
    let OfferedIndexes(indexes) = environment.optional("INDEXES", OfferedIndexes::default());
    let offer = Offer {
        default: environment.given("INDEX_URL"),
        indexes,
        ..Offer::default()
    };
    let hosts: AllowedHosts = environment.optional("ALLOWED_HOSTS", AllowedHosts::default());
    let (limits, of_builds) = limits(&mut environment);
    environment.finish(())?;

    let beside = env::current_exe()
        .ok()
        .map(|program| program.with_file_name("uv"));
    descendants::adopt().map_err(|error| Error::ConfigurationInvalid {
        problems: vec![format!("the process cannot be protected: {error}")],
    })?;
    Ok(Sandbox {
        folder,
        uv: uv.or(beside),
        path: env::var_os("PATH"),
        offer,
        hosts,
        limits,
        of_builds,
        transfer: Transfer::new(),
    })
}

/// The limits of an order, as the operator has set them.
fn limits(environment: &mut Environment) -> (Limits, ResolutionLimits) {
    const MIB: u64 = 1 << 20;
    /// The memory of the function itself.
    const OWN_MEMORY: u64 = 128 * MIB;

    let mut limits = Limits::default();
    let wheel = environment.optional("WHEEL_MIB", limits.download.file / MIB);
    limits.download.file = wheel.saturating_mul(MIB);
    let memory = environment.optional("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", u64::MAX / MIB);
    let left = memory.saturating_mul(MIB).saturating_sub(OWN_MEMORY);
    limits.resolution.memory = limits.resolution.memory.min(left);
    let mut seconds = |name: &str, default: Duration| {
        Duration::from_secs(environment.optional(name, default.as_secs()))
    };
    limits.resolution.time = seconds("RESOLUTION_SECONDS", limits.resolution.time);
    let mut of_builds = limits.resolution.of_source_builds();
    of_builds.time = seconds("SOURCE_BUILD_SECONDS", of_builds.time);
    (limits, of_builds)
}
