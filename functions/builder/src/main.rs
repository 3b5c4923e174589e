//! The builder: builds the layer of one target of a request.

mod handler;

use std::env;
use std::ffi::OsString;
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
        environment: variables_of_uv(),
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

/// This process's variables, but for a proxy of plain HTTP that does not exist: uv follows
/// redirects of what a request names, and none may lead to the runtime API on this machine.
fn variables_of_uv() -> Vec<(OsString, OsString)> {
    const NOWHERE: &str = "http://127.0.0.1:9";
    let is_of_plain_http = |name: &OsString| name.eq_ignore_ascii_case("http_proxy");
    let others = env::vars_os().filter(|(name, _)| !is_of_plain_http(name));
    others
        .chain([("HTTP_PROXY".into(), NOWHERE.into())])
        .collect()
}
