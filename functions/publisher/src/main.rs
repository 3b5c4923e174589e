//! The publisher: makes layer versions of what was built, and finishes what was left undone.

mod config;
mod event;
mod handler;

use std::process::ExitCode;

use accretion_aws::Clients;
use accretion_lambda::{Environment, Invocation};
use serde_json::Value;

use crate::config::Config;
use crate::handler::Handler;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    accretion_lambda::run(
        async |environment: Environment| {
            let config = Config::read(environment)?;
            let clients = Clients::from_environment().await;
            Ok(Handler::new(&config, &clients))
        },
        async |handler: &Handler, invocation: Invocation<Value>| handler.handle(invocation).await,
    )
    .await
}
