//! Handling the events of the publisher.

mod ledger;

use std::time::Instant;

use accretion_aws::{
    DynamoLayers, DynamoTracking, LambdaLayerVersions, S3Manifests, SnsTopic, SsmLatestVersions,
};
use accretion_core::delivery::InboxObject;
use accretion_core::request::{AllowedPermissions, RequestId};
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::Failure;
use accretion_core::{Fault, keys};
use accretion_lambda::{Invocation, SystemClock};
use accretion_service::ports::{BuildOrder, Manifests as _};
use accretion_service::publish::{Ports, Publish, Reconciled};
use serde_json::{Value, json};
use tracing::{Instrument as _, Span, error, info, info_span};

use self::ledger::Ledger;
use crate::event::Work;

/// The clients and settings of the function, for all of its invocations.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) manifests: S3Manifests,
    pub(crate) layers: DynamoLayers,
    pub(crate) versions: LambdaLayerVersions,
    pub(crate) latest_versions: SsmLatestVersions,
    pub(crate) tracking: DynamoTracking,
    pub(crate) topic: SnsTopic,
    pub(crate) permissions: AllowedPermissions,
}

/// The errors of an invocation.
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
    /// Publishes from the manifests that an event of S3 names, reconciles, or records a failure.
    pub(crate) async fn handle(&self, invocation: Invocation<Value>) -> Result<Value, Error> {
        let work = Work::read(&invocation.event, self.manifests.bucket())?;
        let ledger = Ledger::new(invocation.metrics.clone());
        let use_case = self.use_case(&invocation);
        match work {
            Work::Publish(manifests) => {
                publish_each(&use_case.observed_by(&ledger), &ledger, &manifests).await
            }
            Work::Reconcile => reconcile(&use_case.observed_by(&ledger)).await,
            // A metric filter counts executions that fail.
            Work::RecordFailure {
                build,
                failure,
                next_attempt_at,
            } => record_failure(&use_case, &build, &failure, next_attempt_at).await,
        }
    }

    fn use_case(&self, invocation: &Invocation<Value>) -> Publish<'_> {
        let ports = Ports {
            manifests: &self.manifests,
            layers: &self.layers,
            versions: &self.versions,
            latest_versions: &self.latest_versions,
            tracking: &self.tracking,
            topic: &self.topic,
            timer: &SystemClock,
        };
        Publish::new(ports, owner(&invocation.id), invocation.deadline)
            .sharing_with(&self.permissions)
    }
}

/// The owner of this attempt's claims, which no other attempt has: a retry has the id of the
/// invocation before it, and processes in different sandboxes may have the same number.
fn owner(invocation: &str) -> String {
    let (process, now) = (std::process::id(), jiff::Timestamp::now());
    format!("{invocation}/{process}/{now}")
}

/// Publishes from each manifest. After a failure the others follow nevertheless, and Lambda delivers
/// the whole event again: the outcomes of the others are recorded by then.
async fn publish_each(
    use_case: &Publish<'_>,
    ledger: &Ledger,
    manifests: &[InboxObject],
) -> Result<Value, Error> {
    let mut outcomes = Vec::with_capacity(manifests.len());
    let mut failure = None;
    for manifest in manifests {
        let key = manifest.key.as_str();
        let request = keys::request_of_manifest(key);
        let request_id = request.as_ref().map(RequestId::as_str);
        // Events of S3 are about one object: the invocation's own lines have its request, too.
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

async fn publish(use_case: &Publish<'_>, key: &str) -> Result<String, accretion_service::Error> {
    let start = Instant::now();
    let outcome = use_case.manifest(key).await;
    let duration_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    match outcome {
        Ok(outcome) => {
            let outcome = format!("{outcome:?}");
            info!(outcome, duration_ms, "finished");
            Ok(outcome)
        }
        Err(fault) => {
            let (code, class, (text, hint)) = (fault.code(), fault.class(), fault.logged());
            error!(code, %class, hint, duration_ms, "{text}");
            Err(fault)
        }
    }
}

async fn reconcile(use_case: &Publish<'_>) -> Result<Value, Error> {
    let Reconciled {
        claims,
        outbox_entries,
        orphan_checks,
        orphans,
        targets,
        failures,
    } = use_case.reconcile().await?;
    info!(
        claims,
        outbox_entries, orphan_checks, orphans, targets, failures, "reconciled"
    );
    Ok(json!({
        "Claims": claims,
        "OutboxEntries": outbox_entries,
        "OrphanChecks": orphan_checks,
        "Orphans": orphans,
        "Targets": targets,
        "Failures": failures,
    }))
}

/// Records a failed build, and answers with its failure for the execution.
async fn record_failure(
    use_case: &Publish<'_>,
    build: &BuildOrder,
    failure: &Failure,
    next_attempt_at: Option<Timestamp>,
) -> Result<Value, Error> {
    Span::current().record("request_id", build.request.id.as_str());
    match next_attempt_at {
        Some(at) => use_case.delay_build(build, failure, at).await?,
        None => use_case.fail_build(build, failure).await?,
    }
    let Failure { code, reason, hint } = failure;
    info!(code, "recorded");
    let mut answer = json!({"Code": code, "Reason": reason});
    if let Some(hint) = hint {
        answer["Hint"] = hint.as_str().into();
    }
    Ok(answer)
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
