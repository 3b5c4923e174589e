//! The builder: builds the layer of one target of a request.

mod handler;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use accretion_aws::{Clients, S3Requests};
use accretion_lambda::{Environment, Error};
use accretion_local::Downloader;
use accretion_local::cache::{Budget, CacheFolder};
use accretion_local::python::Interpreters;
use accretion_local::uv::{Settings, Uv};

use crate::handler::{Builder, Log};

#[tokio::main]
async fn main() -> ExitCode {
    accretion_lambda::run(set_up, Builder::handle).await
}

async fn set_up(mut environment: Environment) -> Result<Builder, Error> {
    let bucket = environment.required("ARTIFACTS_BUCKET");
    let cache: PathBuf = environment.optional("CACHE_FOLDER", "/tmp/accretion".into());
    let budget = Budget::mib(environment.optional("CACHE_MIB", 1024));
    environment.finish(())?;

    let clients = Clients::from_environment().await;
    let cache = CacheFolder::new(cache);
    let path = env::var_os("PATH");
    let uv = Uv::new(Settings {
        // The package has it beside this program.
        program: env::current_exe()
            .ok()
            .map(|program| program.with_file_name("uv")),
        interpreters: Interpreters::new(path.as_deref(), None),
        path,
        environment: env::vars_os().collect(),
        cache: cache.uv(),
        index: None,
        offline: false,
    });
    // The runtime API listens on this machine: no request may lead there.
    let downloader = Downloader::new(None, false, Arc::new(Log)).refusing_local_addresses();
    Ok(Builder {
        requests: S3Requests::new(&clients, bucket.as_str()),
        clients,
        bucket,
        cache,
        budget,
        downloader: Arc::new(downloader),
        uv: Arc::new(uv),
    })
}
