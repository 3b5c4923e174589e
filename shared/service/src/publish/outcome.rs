//! Target outcomes of manifests, with their notifications.

use accretion_core::notification::{
    Changes, Event, LayerRef, Notification, ObjectRef, YankedDistribution,
};
use accretion_core::publication::Published;
use accretion_core::tracking::Status;

use super::context::PublishableManifest;
use crate::ports::{LayerChange, LayerVersion, TargetOutcome};

/// A newer request was published before.
pub(super) fn superseded(
    manifest: &PublishableManifest,
    current: &Published,
    bucket: &str,
) -> TargetOutcome {
    let notification = notification(Event::LayerSuperseded, manifest, current, bucket);
    target_outcome(manifest, Status::Superseded, None, notification)
}

/// The current version has the same content.
pub(super) fn unchanged(
    manifest: &PublishableManifest,
    current: &Published,
    revision: u64,
    bucket: &str,
) -> TargetOutcome {
    let notification = notification(Event::LayerUnchanged, manifest, current, bucket);
    // The order advances: from now on, requests older than this one are superseded.
    let published = Published {
        request: manifest.context.request.clone(),
        ..current.clone()
    };
    let change = LayerChange {
        revision,
        published,
        claim: None,
    };
    target_outcome(manifest, Status::Unchanged, Some(change), notification)
}

/// The layer has a new version.
pub(super) fn published(
    manifest: &PublishableManifest,
    change: LayerChange,
    changes: Changes,
    bucket: &str,
) -> TargetOutcome {
    let notification = Notification {
        changes: Some(changes),
        ..notification(Event::LayerPublished, manifest, &change.published, bucket)
    };
    target_outcome(manifest, Status::Published, Some(change), notification)
}

/// A new version as the current one.
pub(super) fn current(manifest: &PublishableManifest, version: &LayerVersion) -> Published {
    Published {
        request: manifest.context.request.clone(),
        digest: manifest.document.digest,
        artifact_sha256: manifest.document.artifact_sha256,
        version: version.version,
        layer_arn: version.layer_arn.clone(),
        version_arn: version.version_arn.clone(),
        manifest_key: manifest.key.clone(),
    }
}

fn target_outcome(
    manifest: &PublishableManifest,
    status: Status,
    change: Option<LayerChange>,
    notification: Notification,
) -> TargetOutcome {
    TargetOutcome {
        request: manifest.context.request.clone(),
        status,
        manifest_key: Some(manifest.key.clone()),
        digest: Some(manifest.document.digest),
        change,
        outbox_entry: manifest.context.outbox_entry(notification),
    }
}

/// The notification about a manifest's layer, with its current version.
fn notification(
    event: Event,
    manifest: &PublishableManifest,
    current: &Published,
    bucket: &str,
) -> Notification {
    Notification {
        layer: Some(layer_ref(&current.layer_arn, current.version)),
        version_arn: Some(current.version_arn.clone()),
        manifest: Some(object_ref(bucket, &manifest.key)),
        digest: Some(manifest.document.digest),
        yanked: YankedDistribution::of(&manifest.document.installed),
        ..manifest.context.notification(event)
    }
}

pub(super) fn layer_ref(arn: &str, version: u64) -> LayerRef {
    LayerRef {
        arn: arn.to_owned(),
        version,
    }
}

pub(super) fn object_ref(bucket: &str, key: &str) -> ObjectRef {
    ObjectRef {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
    }
}
