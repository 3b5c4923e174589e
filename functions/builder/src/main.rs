//! The builder: builds the layer of one target of a request.

mod handler;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use accretion_aws::{AwsIndexCredentials, Clients, S3Handover, S3Requests};
use accretion_core::limits::Limits;
use accretion_egress::AllowedHosts;
use accretion_lambda::{Environment, Error};
use accretion_local::Downloader;
use accretion_local::cache::{Budget, CacheFolder};
use accretion_local::python::Interpreters;
use accretion_local::uv::{Guard, Settings, Uv};
use accretion_service::python::{Offer, OfferedIndexes};

use crate::handler::{Builder, Log};

#[tokio::main]
async fn main() -> ExitCode {
    accretion_lambda::run(set_up, Builder::handle).await
}

async fn set_up(mut environment: Environment) -> Result<Builder, Error> {
    let bucket = environment.required("ARTIFACTS_BUCKET");
    let cache: PathBuf = environment.optional("CACHE_FOLDER", "/tmp/accretion".into());
    let budget = Budget::mib(environment.optional("CACHE_MIB", 1024));
    let OfferedIndexes(indexes) = environment.optional("INDEXES", OfferedIndexes::default());
    let offer = Offer {
        default: environment.given("INDEX_URL"),
        default_secret: environment.given("INDEX_SECRET_ARN"),
        indexes,
        domain: environment.given("CODEARTIFACT_DOMAIN_ARN"),
    };
    let hosts: AllowedHosts = environment.optional("ALLOWED_HOSTS", AllowedHosts::default());
    let sandboxes = environment.optional("ALLOW_SOURCE_DISTRIBUTIONS", false);
    let limits = limits(&mut environment);
    environment.finish(())?;

    let clients = Clients::from_environment().await;
    let cache = CacheFolder::new(cache);
    let path = env::var_os("PATH");
    let uv = Uv::new(Settings {
        // The package has it beside this program.
        program: env::current_exe()
            .ok()
            .map(|program| program.with_file_name("uv")),
        beside: None,
        interpreters: Interpreters::new(path.as_deref(), None),
        path,
        environment: env::vars_os().collect(),
        cache: cache.uv(),
        located: Some(cache.located()),
        index: offer.default.clone(),
        offline: false,
        guard: Some(Guard {
            hosts: hosts.clone(),
            indexes: offer.urls().cloned().collect(),
            limits: limits.resolution,
        }),
    });
    // The runtime API listens on this machine: no request may lead there.
    let downloader = Downloader::new(None, false, Arc::new(Log))
        .trusting(offer.urls())
        .refusing_local_addresses()
        .allowing(hosts);
    Ok(Builder {
        credentials: AwsIndexCredentials::new(&clients),
        offer,
        requests: S3Requests::new(&clients, bucket.as_str()),
        handover: S3Handover::new(&clients, bucket.as_str(), &limits),
        clients,
        bucket,
        cache,
        budget,
        limits,
        sandboxes,
        downloader: Arc::new(downloader),
        uv: Arc::new(uv),
    })
}

/// The limits of a build, as the operator has set them.
fn limits(environment: &mut Environment) -> Limits {
    const MIB: u64 = 1 << 20;
    /// The memory of the function itself, and of the verification of wheels.
    const OWN_MEMORY: u64 = 192 * MIB;

    let mut limits = Limits::default();
    let mut mib = |name: &str, default: u64| {
        let mib: u64 = environment.optional(name, default / MIB);
        mib.saturating_mul(MIB)
    };
    limits.download.file = mib("WHEEL_MIB", limits.download.file);
    limits.download.total = mib("DOWNLOAD_MIB", limits.download.total);
    let memory = mib("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", u64::MAX);
    let left = memory.saturating_sub(OWN_MEMORY);
    limits.resolution.memory = limits.resolution.memory.min(left);
    let mut seconds = |name: &str, default: Duration| {
        Duration::from_secs(environment.optional(name, default.as_secs()))
    };
    limits.download.time = seconds("DOWNLOAD_SECONDS", limits.download.time);
    limits.resolution.time = seconds("RESOLUTION_SECONDS", limits.resolution.time);
    limits
}
