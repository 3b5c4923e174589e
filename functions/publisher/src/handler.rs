//! What one invocation does.

use std::time::Instant;

use accretion_aws::{
    Clients, DynamoLayers, DynamoTracking, LambdaLayerVersions, S3Library, SnsTopic, SsmPointers,
};
use accretion_core::delivery::InboxObject;
use accretion_core::{Class, Fault};
use accretion_lambda::{Invocation, SystemClock};
use accretion_service::publish::{Ports, Publish};
use serde_json::{Value, json};
use tracing::{Instrument as _, error, error_span, info, warn};

use crate::config::Config;
use crate::event::Work;

type Publisher<'a> = Publish<
    'a,
    S3Library,
    DynamoLayers,
    LambdaLayerVersions,
    SsmPointers,
    DynamoTracking,
    SnsTopic,
    SystemClock,
>;

/// Why an invocation failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Event(#[from] accretion_lambda::Error),
    #[error(transparent)]
    Publish(#[from] accretion_service::Error),
}

impl Error {
    fn fault(&self) -> &dyn Fault {
        match self {
            Self::Event(error) => error,
            Self::Publish(error) => error,
        }
    }
}

impl Fault for Error {
    fn code(&self) -> &'static str {
        self.fault().code()
    }

    fn class(&self) -> Class {
        self.fault().class()
    }

    fn hint(&self) -> Option<String> {
        self.fault().hint()
    }
}

/// What stays from one invocation to the next.
#[derive(Debug)]
pub(crate) struct Handler {
    artifacts_bucket: String,
    library: S3Library,
    layers: DynamoLayers,
    versions: LambdaLayerVersions,
    pointers: SsmPointers,
    tracking: DynamoTracking,
    topic: SnsTopic,
}

impl Handler {
    pub(crate) fn new(config: &Config, clients: &Clients) -> Self {
        let bucket = &config.artifacts_bucket;
        let (layers, requests) = (&config.layers_table, &config.requests_table);
        let retention = config.retention;
        Self {
            artifacts_bucket: bucket.clone(),
            library: S3Library::new(clients, bucket),
            layers: DynamoLayers::new(clients, layers, requests, retention),
            versions: LambdaLayerVersions::new(clients, bucket),
            pointers: SsmPointers::new(clients, &config.pointer_prefix),
            tracking: DynamoTracking::new(clients, requests, retention),
            topic: SnsTopic::new(clients, &config.topic_arn),
        }
    }

    pub(crate) async fn handle(&self, invocation: Invocation<Value>) -> Result<Value, Error> {
        let work = Work::read(&invocation.event, &self.artifacts_bucket)?;
        let publisher = self.publisher(&invocation);
        match work {
            Work::Publish(objects) => publish_all(&publisher, &objects).await,
            Work::Repair => repair(&publisher).await,
        }
    }

    fn publisher(&self, invocation: &Invocation<Value>) -> Publisher<'_> {
        let ports = Ports {
            library: &self.library,
            layers: &self.layers,
            versions: &self.versions,
            pointers: &self.pointers,
            tracking: &self.tracking,
            topic: &self.topic,
            timer: &SystemClock,
        };
        Publish::new(ports, owner(&invocation.id), invocation.deadline)
    }
}

/// A name that no other attempt has: a retry has the id of the invocation before it, and processes
/// in different sandboxes may have the same number.
fn owner(invocation: &str) -> String {
    let (process, now) = (std::process::id(), jiff::Timestamp::now());
    format!("{invocation}/{process}/{now}")
}

/// Publishes from each manifest. One that fails keeps none of the others from its turn, and lets
/// the whole event come again: those that were dealt with are known then.
async fn publish_all(publisher: &Publisher<'_>, objects: &[InboxObject]) -> Result<Value, Error> {
    let mut outcomes = Vec::with_capacity(objects.len());
    let mut failure = None;
    for object in objects {
        let key = object.key.as_str();
        // <request id>-<slug>.manifest
        let request_id = object.file_name().split('-').next();
        let span = error_span!("manifest", key, request_id);
        match publish(publisher, key).instrument(span).await {
            Ok(outcome) => outcomes.push(json!({"Key": key, "Outcome": outcome})),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(json!({"Manifests": outcomes})),
    }
}

async fn publish(publisher: &Publisher<'_>, key: &str) -> Result<String, accretion_service::Error> {
    let start = Instant::now();
    let outcome = publisher.manifest(key).await;
    let duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    let fault = match outcome {
        Ok(outcome) => {
            let outcome = format!("{outcome:?}");
            info!(outcome, duration_ms, "dealt with");
            return Ok(outcome);
        }
        Err(fault) => fault,
    };
    let (code, class, hint) = (fault.code(), fault.class(), fault.hint());
    error!(code, %class, hint, duration_ms, "{fault}");
    if class == Class::User {
        // It is recorded and announced, and no repetition comes to anything else.
        return Ok("Failed".to_owned());
    }
    Err(fault)
}

async fn repair(publisher: &Publisher<'_>) -> Result<Value, Error> {
    let repaired = publisher.repair().await?;
    let (claims, marks) = (repaired.claims, repaired.marks);
    let (manifests, failures) = (repaired.manifests, repaired.failures);
    if failures > 0 {
        warn!(claims, marks, manifests, failures, "repaired in part");
    } else {
        info!(claims, marks, manifests, "repaired");
    }
    Ok(json!({"Claims": claims, "Marks": marks, "Manifests": manifests, "Failures": failures}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_attempts_have_one_name() {
        let owners = [owner("i-1"), owner("i-1"), owner("i-2")];
        assert!(owners[0] != owners[1] && owners[1] != owners[2]);
    }
}
