//! The publisher: publishes built layers, reconciles, and records failures.

mod event;
mod handler;

use std::process::ExitCode;
use std::time::Duration;

use accretion_aws::{
    Clients, DynamoLayers, DynamoTracking, LambdaLayerVersions, S3Manifests, SnsTopic,
    SsmLatestVersions,
};
use accretion_lambda::{Environment, Error};

use crate::handler::Publisher;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    accretion_lambda::run(set_up, Publisher::handle).await
}

async fn set_up(mut environment: Environment) -> Result<Publisher, Error> {
    let bucket = environment.required("ARTIFACTS_BUCKET");
    let layers = environment.required("LAYERS_TABLE");
    let requests = environment.required("REQUESTS_TABLE");
    let topic = environment.required("TOPIC_ARN");
    let prefix = environment.optional("LATEST_VERSION_PREFIX", "/accretion".to_owned());
    let retention_days: u32 = environment.optional("RETENTION_DAYS", 90);
    let permissions = environment.given("ALLOWED_PERMISSIONS").unwrap_or_default();
    environment.finish(())?;

    let clients = Clients::from_environment().await;
    let retention = Duration::from_hours(24) * retention_days;
    Ok(Publisher {
        manifests: S3Manifests::new(&clients, bucket.as_str()),
        layers: DynamoLayers::new(&clients, layers, requests.as_str(), retention),
        versions: LambdaLayerVersions::new(&clients, bucket),
        latest_versions: SsmLatestVersions::new(&clients, prefix),
        tracking: DynamoTracking::new(&clients, requests, retention),
        topic: SnsTopic::new(&clients, topic),
        permissions,
    })
}
