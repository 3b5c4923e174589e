//! The table of layers.

use accretion_core::Fault as _;
use accretion_core::digest::Sha256;
use accretion_core::layer::LayerName;
use accretion_core::notification::Notification;
use accretion_core::publication::{Claim, LayerState, OrphanCheck, Published};
use accretion_core::target::{LayerTarget, Target};
use accretion_core::timestamp::Timestamp;
use accretion_service::ports::{
    ClaimRelease, LayerChange, Layers, OrphanCheckResult, OutboxEntry, Pending, PortError,
    Recorded, TargetOutcome, async_trait,
};
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use tracing::warn;

use crate::Clients;
use crate::table::{
    ITEM, Index, Item, Record, Table, Transacted, Update, Updated, item, number, text,
};
use crate::tracking::{RequestItems, now};

/// True if Lambda may have an orphaned version: present, or not.
const MAY_HAVE_ORPHAN: &str = "Stray";

/// The end of a layer's orphan-check window.
const CHECK_WINDOW_UNTIL: &str = "WatchUntil";

/// The sort key of a layer's own item.
pub(crate) const LAYER: &str = "layer";

/// The prefix of the sort keys of outbox entries; the `EventId` follows.
const OUTBOX: &str = "outbox#";

/// The prefix of the sort keys of versions' records; the number follows.
pub(crate) const VERSION: &str = "version#";

/// Pending work: claims by the end of their lease, orphan checks by the time when they are due,
/// outbox entries by the time when they were recorded.
const PENDING: Index = Index {
    name: "pending",
    shard: "Pending",
    time: "PendingSince",
};

/// The table of layers.
///
/// A claim counts as pending since the end of its lease, and an orphan check since it is due, so
/// that the reconciler never finds work that is in progress or not due.
#[derive(Debug, Clone)]
pub struct DynamoLayers {
    table: Table,
    requests: RequestItems,
}

impl DynamoLayers {
    /// The layers in a table. Outcomes of targets are recorded in the table of requests, whose items
    /// expire so long after the last change.
    pub fn new(
        clients: &Clients,
        table: impl Into<String>,
        requests_table: impl Into<String>,
        retention: std::time::Duration,
    ) -> Self {
        Self {
            table: Table::new(clients, table, "LayerName"),
            requests: RequestItems::new(clients, requests_table, retention),
        }
    }

    fn changing(&self, layer: &LayerName, change: &LayerChange) -> TransactWriteItem {
        let published = AttributeValue::M(published_attributes(&change.published));
        let update = Update::new()
            .set("Published", published)
            .set("Revision", number(change.revision + 1))
            .if_revision(change.revision);
        let conditional = match &change.claim {
            Some(claim) => update
                .check_instead_of_claim(claim.check)
                .remove(MAY_HAVE_ORPHAN)
                .if_equal("Claim.Owner", text(&claim.owner)),
            None => update.if_absent("Claim"),
        };
        self.table.updating(layer.as_str(), LAYER, &conditional)
    }

    fn putting_entry(&self, entry: &OutboxEntry, now: Timestamp) -> TransactWriteItem {
        let layer = entry.layer();
        let attributes = entry_attributes(entry, now);
        let sort = outbox_item(&entry.notification.event_id);
        self.table.putting(layer.as_str(), &sort, attributes)
    }
}

#[async_trait]
impl Layers for DynamoLayers {
    async fn state(&self, layer: &LayerName) -> Result<LayerState, PortError> {
        let state = self.table.read(layer.as_str(), LAYER, layer_state).await?;
        Ok(state.unwrap_or_default())
    }

    async fn claim(
        &self,
        layer: &LayerName,
        revision: u64,
        claim: &Claim,
    ) -> Result<bool, PortError> {
        let update = Update::new()
            .set("Revision", number(revision + 1))
            .set("Claim", AttributeValue::M(claim_attributes(claim)))
            .set(PENDING.shard, text(&shard(layer)))
            .set(PENDING.time, text(&claim.lease_until))
            .if_revision(revision);
        match self.table.update(layer.as_str(), LAYER, &update).await? {
            Updated::Done => Ok(true),
            // The SDK has repeated a call of ours that had been answered, but not heard.
            Updated::Refused(stands) => Ok(layer_state(Record(&stands)).is_ok_and(|stands| {
                stands.revision == revision + 1 && stands.claim.as_ref() == Some(claim)
            })),
        }
    }

    async fn release_claim(
        &self,
        layer: &LayerName,
        owner: &str,
        release: ClaimRelease,
    ) -> Result<(), PortError> {
        let may_have_orphan = release
            .may_leave_orphan
            .then_some(AttributeValue::Bool(true));
        let update = Update::new()
            .add("Revision", number(1))
            .set_if(MAY_HAVE_ORPHAN, may_have_orphan)
            .if_equal("Claim.Owner", text(owner))
            .check_instead_of_claim(release.check);
        // If it is refused, the claim is another owner's by now.
        self.table.update(layer.as_str(), LAYER, &update).await?;
        Ok(())
    }

    async fn is_recorded(&self, layer: &LayerName, version: u64) -> Result<bool, PortError> {
        let item = self.table.get(layer.as_str(), &version_item(version)).await;
        Ok(item?.is_some())
    }

    async fn record_check(
        &self,
        layer: &LayerName,
        result: OrphanCheckResult,
    ) -> Result<(), PortError> {
        let checked = Update::new().set("Reviewed", number(result.version));
        let update = match result.next_at {
            // The shard too: another check of the same revision may have removed it.
            Some(at) => checked
                .set(PENDING.shard, text(&shard(layer)))
                .set(PENDING.time, text(&at)),
            None => [PENDING.shard, PENDING.time, CHECK_WINDOW_UNTIL]
                .into_iter()
                .fold(checked, Update::remove),
        };
        let conditional = update.if_revision(result.revision);
        // If it is refused, the check was about an earlier revision.
        self.table
            .update(layer.as_str(), LAYER, &conditional)
            .await?;
        Ok(())
    }

    async fn record(&self, outcome: &TargetOutcome) -> Result<Recorded, PortError> {
        let now = now();
        let mut writes = Vec::with_capacity(4);
        if let Some(change) = &outcome.change {
            let layer = outcome.outbox_entry.layer();
            writes.push(self.changing(&layer, change));
            if change.is_new_version() {
                let version = version_attributes(&change.published, now);
                let sort = version_item(change.published.version);
                writes.push(self.table.putting(layer.as_str(), &sort, version));
            }
        }
        let target = writes.len();
        writes.push(self.requests.ending(outcome, now));
        writes.push(self.putting_entry(&outcome.outbox_entry, now));
        let event_id = &outcome.outbox_entry.notification.event_id;
        match self.table.transact(event_id, writes).await? {
            Transacted::Done => Ok(Recorded::Done),
            Transacted::Refused(refused) if refused.get(target) != Some(&true) => {
                Ok(Recorded::RevisionConflict)
            }
            // Both at once: the publisher reads the layer's item again first.
            Transacted::Refused(refused) if outcome.change.is_some() && refused[0] => {
                Ok(Recorded::RevisionConflict)
            }
            Transacted::Refused(_) => Ok(Recorded::AlreadyRecorded),
        }
    }

    async fn outbox_entry(
        &self,
        layer: &LayerName,
        event_id: &str,
    ) -> Result<Option<OutboxEntry>, PortError> {
        let sort = outbox_item(event_id);
        Ok(self.table.read(layer.as_str(), &sort, outbox_entry).await?)
    }

    async fn delete_outbox_entry(
        &self,
        layer: &LayerName,
        event_id: &str,
    ) -> Result<(), PortError> {
        let sort = outbox_item(event_id);
        Ok(self.table.delete(layer.as_str(), &sort).await?)
    }

    async fn pending_before(&self, before: Timestamp) -> Result<Vec<Pending>, PortError> {
        let keys = self.table.older(&PENDING, before).await?;
        let pending = keys.iter().filter_map(|keys| {
            let text = |name| Record(keys).text(name).unwrap_or_default();
            match pending(Record(keys)) {
                Ok(pending) => Some(pending),
                Err(problem) => {
                    // The others can be finished nevertheless.
                    let error = self.table.invalid(text("LayerName"), text(ITEM), problem);
                    warn!(code = error.code(), %error, "skipped");
                    None
                }
            }
        });
        Ok(pending.collect())
    }
}

/// Sorts as the numbers do.
pub(crate) fn version_item(version: u64) -> String {
    format!("{VERSION}{version:010}")
}

fn outbox_item(event_id: &str) -> String {
    format!("{OUTBOX}{event_id}")
}

/// One of 16 equally likely digits.
fn shard(layer: &LayerName) -> String {
    let mut digits = Sha256::of(layer.as_str().as_bytes()).to_string();
    digits.truncate(1);
    digits
}

impl Update {
    /// On condition that a layer's item has that revision; without an item it is 0.
    fn if_revision(self, revision: u64) -> Self {
        match revision {
            0 => self.if_absent("LayerName"),
            revision => self.if_equal("Revision", number(revision)),
        }
    }

    /// Ends a claim. Its item stays pending, as claims are.
    fn check_instead_of_claim(self, check: OrphanCheck) -> Self {
        let window_until = check.window_until.map(|until| text(&until));
        self.remove("Claim")
            .set(PENDING.time, text(&check.at))
            .set_if(CHECK_WINDOW_UNTIL, window_until)
    }
}

pub(crate) fn layer_state(item: Record<'_>) -> Result<LayerState, String> {
    let claim = item.map("Claim")?.map(claim).transpose()?;
    let pending_since = item.parsed_if_any(PENDING.time)?;
    Ok(LayerState {
        revision: item.number("Revision")?,
        published: item.map("Published")?.map(published).transpose()?,
        check_at: pending_since.filter(|_| claim.is_none()),
        claim,
        may_have_orphan: item.has(MAY_HAVE_ORPHAN),
        check_window_until: item.parsed_if_any(CHECK_WINDOW_UNTIL)?,
        checked_version: if item.has("Reviewed") {
            item.number("Reviewed")?
        } else {
            0
        },
    })
}

fn published_attributes(published: &Published) -> Item {
    item([
        ("RequestId", text(&published.request.id)),
        ("ReceivedAt", text(&published.request.received_at)),
        ("Digest", text(&published.digest)),
        ("ArtifactSha256", text(&published.artifact_sha256)),
        ("Version", number(published.version)),
        ("LayerArn", text(&published.layer_arn)),
        ("VersionArn", text(&published.version_arn)),
        ("ManifestKey", text(&published.manifest_key)),
    ])
}

/// A version's record: what was published, and when.
fn version_attributes(published: &Published, now: Timestamp) -> Item {
    let mut attributes = published_attributes(published);
    attributes.insert("PublishedAt".to_owned(), text(&now));
    attributes
}

fn published(item: Record<'_>) -> Result<Published, String> {
    Ok(Published {
        request: item.request()?,
        digest: item.parsed("Digest")?,
        artifact_sha256: item.parsed("ArtifactSha256")?,
        version: item.number("Version")?,
        layer_arn: item.text("LayerArn")?.to_owned(),
        version_arn: item.text("VersionArn")?.to_owned(),
        manifest_key: item.text("ManifestKey")?.to_owned(),
    })
}

fn claim_attributes(claim: &Claim) -> Item {
    item([
        ("Owner", text(&claim.owner)),
        ("RequestId", text(&claim.request.id)),
        ("ReceivedAt", text(&claim.request.received_at)),
        ("ManifestKey", text(&claim.manifest_key)),
        ("LeaseUntil", text(&claim.lease_until)),
    ])
}

fn claim(item: Record<'_>) -> Result<Claim, String> {
    Ok(Claim {
        owner: item.text("Owner")?.to_owned(),
        request: item.request()?,
        manifest_key: item.text("ManifestKey")?.to_owned(),
        lease_until: item.parsed("LeaseUntil")?,
    })
}

fn entry_attributes(entry: &OutboxEntry, now: Timestamp) -> Item {
    let mut attributes = item([
        ("ProjectName", text(&entry.project)),
        ("Architecture", text(&entry.target.architecture())),
        ("Notification", text(&entry.notification.to_json())),
        (PENDING.shard, text(&shard(&entry.layer()))),
        (PENDING.time, text(&now)),
    ]);
    let runtime = entry.target.runtime();
    attributes.extend(runtime.map(|it| ("Runtime".to_owned(), text(&it))));
    attributes
}

fn outbox_entry(item: Record<'_>) -> Result<OutboxEntry, String> {
    let notification: Notification = serde_json::from_str(item.text("Notification")?)
        .map_err(|error| format!("`Notification` is invalid: {error}"))?;
    let architecture = item.parsed("Architecture")?;
    Ok(OutboxEntry {
        project: item.parsed("ProjectName")?,
        // An entry of a merged layer has no single runtime.
        target: if item.has("Runtime") {
            LayerTarget::One(Target {
                runtime: item.parsed("Runtime")?,
                architecture,
            })
        } else {
            LayerTarget::Merged(architecture)
        },
        notification,
    })
}

/// The pending work that the keys of an item in the index name.
fn pending(keys: Record<'_>) -> Result<Pending, String> {
    let layer = keys.parsed("LayerName")?;
    match keys.text(ITEM)? {
        LAYER => Ok(Pending::Layer(layer)),
        item => match item.strip_prefix(OUTBOX) {
            Some(event_id) => Ok(Pending::OutboxEntry {
                layer,
                event_id: event_id.to_owned(),
            }),
            None => Err(format!("`{item}` is never pending")),
        },
    }
}

#[cfg(test)]
mod tests {
    use accretion_core::digest::Digest;
    use accretion_core::notification::{Event, LayerRef};
    use accretion_core::request::{RequestId, RequestRef};
    use accretion_core::target::{Compatibility, Runtime};

    use super::*;

    fn request() -> RequestRef {
        RequestRef {
            received_at: "2026-11-20T10:00:00.000Z".parse().unwrap(),
            id: RequestId::of_message("1"),
        }
    }

    fn target() -> Compatibility {
        Target::from_slug("py313-arm64").unwrap().into()
    }

    fn merged() -> Compatibility {
        let target = LayerTarget::from_slug("py-arm64").unwrap();
        Compatibility::new(target, [Runtime::Python312, Runtime::Python313]).unwrap()
    }

    fn a_publication() -> Published {
        Published {
            request: request(),
            digest: Digest(Sha256::of(b"wheels")),
            artifact_sha256: Sha256::of(b"zip"),
            version: 12,
            layer_arn: "arn:layer".to_owned(),
            version_arn: "arn:layer:12".to_owned(),
            manifest_key: "m".to_owned(),
        }
    }

    fn a_claim() -> Claim {
        Claim {
            owner: "somebody".to_owned(),
            request: request(),
            manifest_key: "m".to_owned(),
            lease_until: "2026-11-20T10:03:00.000Z".parse().unwrap(),
        }
    }

    fn an_entry(target: &Compatibility) -> OutboxEntry {
        let (event, request) = (Event::LayerPublished, request());
        let (arn, version) = ("arn:layer".to_owned(), 12);
        OutboxEntry {
            project: "tools".parse().unwrap(),
            target: target.target(),
            notification: Notification {
                layer: Some(LayerRef { arn, version }),
                ..Notification::of_layer(event, &request, "tools", target)
            },
        }
    }

    #[test]
    fn items_are_read_as_they_are_written() {
        let (publication, claim) = (a_publication(), a_claim());
        let item = item([
            ("Revision", number(7)),
            (
                "Published",
                AttributeValue::M(published_attributes(&publication)),
            ),
            ("Claim", AttributeValue::M(claim_attributes(&claim))),
            ("PendingSince", text(&claim.lease_until)),
            ("WatchUntil", text("2026-11-20T12:00:00.000Z")),
            ("Reviewed", number(11)),
        ]);
        let claimed = LayerState {
            revision: 7,
            published: Some(publication),
            check_window_until: Some("2026-11-20T12:00:00.000Z".parse().unwrap()),
            checked_version: 11,
            claim: Some(claim.clone()),
            ..LayerState::default()
        };
        assert_eq!(layer_state(Record(&item)).as_ref(), Ok(&claimed));
        let mut released = item;
        released.remove("Claim");
        let released = layer_state(Record(&released));
        let check_at = Some(claim.lease_until);
        assert_eq!(
            released,
            Ok(LayerState {
                claim: None,
                check_at,
                ..claimed
            })
        );
        for target in [target(), merged()] {
            let attributes = entry_attributes(&an_entry(&target), request().received_at);
            assert_eq!(outbox_entry(Record(&attributes)), Ok(an_entry(&target)));
        }
    }

    #[test]
    fn an_item_without_anything_has_a_revision() {
        let released = item([("Revision", number(2))]);
        let state = LayerState {
            revision: 2,
            ..LayerState::default()
        };
        assert_eq!(layer_state(Record(&released)), Ok(state));
    }

    #[test]
    fn spoilt_items_are_not_taken_for_empty_ones() {
        let sound = item([
            ("Revision", number(7)),
            ("Claim", AttributeValue::M(claim_attributes(&a_claim()))),
        ]);
        let spoil = |name: &str, value: AttributeValue| {
            let mut item = sound.clone();
            item.insert(name.to_owned(), value);
            layer_state(Record(&item)).unwrap_err()
        };
        assert_eq!(spoil("Revision", text("7")), "it has no usable `Revision`");
        assert_eq!(spoil("Claim", text("x")), "it has no usable `Claim`");
        let mut claim = claim_attributes(&a_claim());
        claim.insert("LeaseUntil".to_owned(), text("soon"));
        let problem = spoil("Claim", AttributeValue::M(claim));
        assert!(
            problem.starts_with("`LeaseUntil`: `soon` is not"),
            "{problem}"
        );
        assert!(layer_state(Record(&Item::new())).is_err());
    }

    #[test]
    fn versions_sort_as_their_numbers_do() {
        assert_eq!(version_item(12), "version#0000000012");
        let numbers = [1, 9, 10, 99, 1_000_000_000, u64::from(u32::MAX)];
        assert!(numbers.map(version_item).is_sorted());
    }

    #[test]
    fn what_is_pending_is_told_by_its_keys() {
        let layer: LayerName = "tools-py313".parse().unwrap();
        let keys = |sort: &str| item([("LayerName", text(&layer)), (ITEM, text(sort))]);
        let read = |sort| pending(Record(&keys(sort)));
        assert_eq!(read("layer"), Ok(Pending::Layer(layer.clone())));
        let event_id = "0ce4-py313-LayerPublished".to_owned();
        assert_eq!(
            read("outbox#0ce4-py313-LayerPublished"),
            Ok(Pending::OutboxEntry {
                layer: layer.clone(),
                event_id,
            })
        );
        assert!(read("version#0000000001").is_err());
    }
}
