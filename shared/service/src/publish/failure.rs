//! Recording and announcing failures: of builds and of publishing, all as `BuildFailed`.

use accretion_core::Fault as _;
use accretion_core::digest::Digest;
use accretion_core::notification::{Event, Notification};
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::{Failure, Status};

use super::Publish;
use super::context::{PublishContext, PublishableManifest};
use super::outcome::object_ref;
use crate::Error;
use crate::ports::{BuildOrder, TargetOutcome};

impl Publish<'_> {
    /// Records and announces a build that failed, as its execution caught it.
    pub async fn fail_build(&self, build: &BuildOrder, failure: &Failure) -> Result<(), Error> {
        let context = PublishContext::of_build(build);
        let outcome = self.failed(&context, None, None, failure);
        self.record(&outcome, None).await?;
        Ok(())
    }

    /// Records a build that failed and that its execution tries again later.
    pub async fn delay_build(
        &self,
        build: &BuildOrder,
        failure: &Failure,
        next_attempt_at: Timestamp,
    ) -> Result<(), Error> {
        let tracking = self.ports.tracking;
        Ok(tracking.delay(build, failure, next_attempt_at).await?)
    }

    /// Records and announces that a manifest cannot be published.
    pub(super) async fn fail_manifest(
        &self,
        manifest: &PublishableManifest,
        error: &Error,
    ) -> Result<(), Error> {
        let (key, digest) = (manifest.key.clone(), manifest.document.digest);
        self.fail(&manifest.context, Some(key), Some(digest), error)
            .await
    }

    /// Records and announces that a target gets no layer.
    pub(super) async fn fail(
        &self,
        context: &PublishContext,
        key: Option<String>,
        digest: Option<Digest>,
        error: &Error,
    ) -> Result<(), Error> {
        let outcome = self.failed(context, key, digest, &Failure::of(error));
        self.record(&outcome, Some(error.code())).await?;
        Ok(())
    }

    fn failed(
        &self,
        context: &PublishContext,
        key: Option<String>,
        digest: Option<Digest>,
        failure: &Failure,
    ) -> TargetOutcome {
        let bucket = self.ports.manifests.bucket();
        let notification = Notification {
            manifest: key.as_ref().map(|key| object_ref(bucket, key)),
            digest,
            code: Some(failure.code.clone()),
            reason: Some(failure.reason.clone()),
            hint: failure.hint.clone(),
            ..context.notification(Event::BuildFailed)
        };
        TargetOutcome {
            request: context.request.clone(),
            status: Status::Failed,
            manifest_key: key,
            digest,
            change: None,
            outbox_entry: context.outbox_entry(notification),
        }
    }
}

impl PublishContext {
    pub(super) fn of_build(build: &BuildOrder) -> Self {
        Self {
            request: build.request.clone(),
            project: build.project.clone(),
            target: build.target.clone(),
            rolled_back_to: None,
        }
    }
}
