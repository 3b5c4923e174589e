//! What the publisher does with an event.

mod ledger;

use std::time::Instant;

use accretion_aws::{
    DynamoLayers, DynamoTracking, LambdaLayerVersions, S3Manifests, SnsTopic, SsmPointers,
};
use accretion_core::Fault;
use accretion_core::delivery::InboxObject;
use accretion_core::request::AllowedPermissions;
use accretion_lambda::{Invocation, SystemClock};
use accretion_service::ports::Manifests as _;
use accretion_service::publish::{Ports, Publish, Repaired};
use serde_json::{Value, json};
use tracing::{Instrument as _, Span, error, info, info_span};

use self::ledger::Ledger;
use crate::event::Work;

/// What outlives an invocation.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) manifests: S3Manifests,
    pub(crate) layers: DynamoLayers,
    pub(crate) versions: LambdaLayerVersions,
    pub(crate) pointers: SsmPointers,
    pub(crate) tracking: DynamoTracking,
    pub(crate) topic: SnsTopic,
    pub(crate) permissions: AllowedPermissions,
}

/// The use case over AWS.
type UseCase<'a> = Publish<
    'a,
    S3Manifests,
    DynamoLayers,
    LambdaLayerVersions,
    SsmPointers,
    DynamoTracking,
    SnsTopic,
    SystemClock,
>;

/// What can go wrong with an event.
#[derive(Debug, thiserror::Error, Fault)]
pub(crate) enum Error {
    #[error(transparent)]
    #[fault(transparent)]
    Event(#[from] accretion_lambda::Error),
    #[error(transparent)]
    #[fault(transparent)]
    Publish(#[from] accretion_service::Error),
}

impl Publisher {
    /// Publishes from the manifests that an event of S3 names, or repairs.
    pub(crate) async fn handle(&self, invocation: Invocation<Value>) -> Result<Value, Error> {
        let work = Work::read(&invocation.event, self.manifests.bucket())?;
        let ledger = Ledger::new(invocation.metrics.clone());
        let use_case = self.use_case(&invocation, &ledger);
        match work {
            Work::Publish(manifests) => {
                Box::pin(publish_each(&use_case, &ledger, &manifests)).await
            }
            Work::Repair => repair(&use_case).await,
        }
    }

    fn use_case<'a>(&'a self, invocation: &Invocation<Value>, ledger: &'a Ledger) -> UseCase<'a> {
        let ports = Ports {
            manifests: &self.manifests,
            layers: &self.layers,
            versions: &self.versions,
            pointers: &self.pointers,
            tracking: &self.tracking,
            topic: &self.topic,
            timer: &SystemClock,
        };
        Publish::new(ports, owner(&invocation.id), invocation.deadline)
            .sharing_with(&self.permissions)
            .observed_by(ledger)
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
async fn publish_each(
    use_case: &UseCase<'_>,
    ledger: &Ledger,
    manifests: &[InboxObject],
) -> Result<Value, Error> {
    let mut outcomes = Vec::with_capacity(manifests.len());
    let mut failure = None;
    for manifest in manifests {
        let key = manifest.key.as_str();
        // <request id>-<slug>.manifest
        let request_id = manifest.file_name().split('-').next();
        // Events of S3 are about one object: what is logged of the whole has it, too.
        Span::current().record("request_id", request_id);
        ledger.begin(key);
        let span = info_span!("publish", key, request_id);
        match publish(use_case, key).instrument(span).await {
            Ok(outcome) => outcomes.push(json!({"Key": key, "Outcome": outcome})),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(json!({"Manifests": outcomes})),
    }
}

async fn publish(use_case: &UseCase<'_>, key: &str) -> Result<String, accretion_service::Error> {
    let start = Instant::now();
    let outcome = use_case.manifest(key).await;
    let duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    match outcome {
        Ok(outcome) => {
            let outcome = format!("{outcome:?}");
            info!(outcome, duration_ms, "dealt with");
            Ok(outcome)
        }
        Err(fault) => {
            let (code, class, (text, hint)) = (fault.code(), fault.class(), fault.logged());
            error!(code, %class, hint, duration_ms, "{text}");
            Err(fault)
        }
    }
}

async fn repair(use_case: &UseCase<'_>) -> Result<Value, Error> {
    let repaired = Box::pin(use_case.repair()).await?;
    let Repaired {
        claims,
        marks,
        reviews,
        unrecorded,
        targets,
        failures,
    } = repaired;
    info!(
        claims,
        marks, reviews, unrecorded, targets, failures, "repaired"
    );
    Ok(json!({
        "Claims": claims,
        "Marks": marks,
        "Reviews": reviews,
        "Unrecorded": unrecorded,
        "Targets": targets,
        "Failures": failures,
    }))
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
