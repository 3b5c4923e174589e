//! The dispatcher: takes requests off the queue and starts their builds.

mod handler;

use std::process::ExitCode;
use std::time::Duration;

use accretion_aws::{
    Clients, DynamoTracking, S3Inbox, S3Manifests, S3Requests, SnsTopic, StepFunctionsBuilds,
};
use accretion_core::request::Admission;
use accretion_lambda::{Environment, Error};

use crate::handler::Dispatcher;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    accretion_lambda::run(set_up, Dispatcher::handle).await
}

async fn set_up(mut environment: Environment) -> Result<Dispatcher, Error> {
    let inbox = environment.required("INBOX_BUCKET");
    let bucket = environment.required("ARTIFACTS_BUCKET");
    let table = environment.required("REQUESTS_TABLE");
    let state_machine = environment.required("STATE_MACHINE_ARN");
    let topic = environment.required("TOPIC_ARN");
    let retention_days: u32 = environment.optional("RETENTION_DAYS", 90);
    let admission = Admission {
        project_from_key: environment.optional("PROJECT_FROM_KEY", false),
        permissions: environment.given("ALLOWED_PERMISSIONS").unwrap_or_default(),
    };
    environment.finish(())?;

    let clients = Clients::from_environment().await;
    let retention = Duration::from_hours(24) * retention_days;
    Ok(Dispatcher {
        inbox: S3Inbox::new(&clients, inbox),
        requests: S3Requests::new(&clients, bucket.as_str()),
        manifests: S3Manifests::new(&clients, bucket),
        tracking: DynamoTracking::new(&clients, table, retention),
        builds: StepFunctionsBuilds::new(&clients, state_machine),
        topic: SnsTopic::new(&clients, topic),
        admission,
    })
}
