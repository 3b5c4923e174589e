//! The table of layers.

use std::time::Duration;

use accretion_core::digest::{Digest, Sha256};
use accretion_core::layer::LayerName;
use accretion_core::notification::{Event, LayerRef, Notification, ObjectRef};
use accretion_core::publication::{Claim, LayerState, OrphanCheck, Published};
use accretion_core::request::RequestRef;
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::Status;
use accretion_service::ports::{
    ClaimRelease, EndedClaim, LayerChange, Layers as _, OrphanCheckResult, OutboxEntry, Pending,
    Recorded, TargetOutcome, Tracking as _,
};
use serde_json::{Value, json};

use crate::requests::{accepted, now, without_times};
use crate::{Tables, World, at, compatibility, on_aws, project, request, target};

fn layer() -> LayerName {
    LayerName::new(&project(), target())
}

fn claim(owner: &str, lease_until: Timestamp) -> Claim {
    Claim {
        owner: owner.to_owned(),
        request: request("10:00:00"),
        manifest_key: "m".to_owned(),
        lease_until,
    }
}

fn published(request: &RequestRef, version: u64) -> Published {
    Published {
        request: request.clone(),
        digest: Digest(Sha256::of(&version.to_le_bytes())),
        artifact_sha256: Sha256::of(b"zip"),
        version,
        layer_arn: "arn:layer".to_owned(),
        version_arn: format!("arn:layer:{version}"),
        manifest_key: "m".to_owned(),
    }
}

pub(crate) fn outcome_of(
    request: &RequestRef,
    event: Event,
    status: Status,
    change: Option<LayerChange>,
) -> TargetOutcome {
    let published = change.as_ref().map(|change| &change.published);
    let notification = Notification {
        layer: published.map(|published| LayerRef {
            arn: published.layer_arn.clone(),
            version: published.version,
        }),
        version_arn: published.map(|published| published.version_arn.clone()),
        manifest: Some(ObjectRef {
            bucket: "artifacts".to_owned(),
            key: "m".to_owned(),
        }),
        ..Notification::of_layer(
            event,
            request,
            project().as_str(),
            &compatibility(&target().slug()),
        )
    };
    TargetOutcome {
        request: request.clone(),
        status,
        manifest_key: Some("m".to_owned()),
        digest: Some(Digest(Sha256::of(b"wheels"))),
        change,
        outbox_entry: OutboxEntry {
            project: project(),
            target: target(),
            notification,
        },
    }
}

fn check() -> OrphanCheck {
    OrphanCheck {
        at: at("10:05:00"),
        window_until: None,
    }
}

fn release(may_leave_orphan: bool) -> ClaimRelease {
    ClaimRelease {
        may_leave_orphan,
        check: check(),
    }
}

/// The outcome of a publication under a claim.
fn publication(request: &RequestRef, revision: u64, owner: &str, version: u64) -> TargetOutcome {
    let change = LayerChange {
        revision,
        published: published(request, version),
        claim: Some(EndedClaim {
            owner: owner.to_owned(),
            check: check(),
        }),
    };
    outcome_of(
        request,
        Event::LayerPublished,
        Status::Published,
        Some(change),
    )
}

impl World {
    async fn layer_item(&self, tables: &Tables, item: &str) -> Value {
        let keys = [("LayerName", "data-tools-py313-arm64"), ("Item", item)];
        self.item(&tables.layers_table, keys).await
    }
}

async fn state(tables: &Tables) -> LayerState {
    tables.layers.state(&layer()).await.unwrap()
}

#[test]
fn a_claim_excludes_all_others() {
    on_aws(async |world| {
        let tables = world.tables().await;
        assert_eq!(state(&tables).await, LayerState::default());
        let lease_until = now().after(Duration::from_mins(2));
        let claims: Vec<_> = (0..8)
            .map(|rival| claim(&format!("rival {rival}"), lease_until))
            .collect();
        let layer = layer();
        let rivals = claims.iter().map(|it| tables.layers.claim(&layer, 0, it));
        let outcomes = futures_util::future::join_all(rivals).await;
        let won: Vec<_> = outcomes
            .into_iter()
            .zip(&claims)
            .filter_map(|(outcome, claim)| outcome.unwrap().then_some(claim))
            .collect();
        assert_eq!(won.len(), 1);
        let state = state(&tables).await;
        assert_eq!((state.revision, state.published), (1, None));
        assert_eq!(state.claim.as_ref(), Some(won[0]));
    });
}

#[test]
fn a_claim_whose_answer_was_lost_is_still_ours() {
    on_aws(async |world| {
        let tables = world.tables().await;
        let mine = claim("me", now().after(Duration::from_mins(2)));
        let claim_at = async |revision, claim: &Claim| {
            let claimed = tables.layers.claim(&layer(), revision, claim).await;
            claimed.unwrap()
        };
        assert!(claim_at(0, &mine).await);
        // As the SDK does.
        assert!(claim_at(0, &mine).await);
        assert_eq!(state(&tables).await.revision, 1);
        // Another decision of mine, or the same one of somebody else, is not that claim.
        let later = Claim {
            lease_until: mine.lease_until.after(Duration::from_secs(1)),
            ..mine.clone()
        };
        assert!(!claim_at(0, &later).await);
        let other = Claim {
            owner: "other".to_owned(),
            ..mine.clone()
        };
        assert!(!claim_at(0, &other).await);
        // Who takes it over has seen it.
        assert!(claim_at(1, &other).await);
        assert_eq!(state(&tables).await.claim, Some(other));
    });
}

#[test]
fn a_claim_is_given_up_by_its_owner_alone() {
    on_aws(async |world| {
        let tables = world.tables().await;
        let (layer, given_up) = (layer(), release(false));
        let release = async |owner| {
            let released = tables.layers.release_claim(&layer, owner, given_up);
            released.await.unwrap();
        };
        release("me").await;
        assert_eq!(state(&tables).await, LayerState::default());
        let mine = claim("me", at("10:00:00"));
        tables.layers.claim(&layer, 0, &mine).await.unwrap();
        release("other").await;
        assert_eq!(state(&tables).await.claim, Some(mine));
        release("me").await;
        release("me").await;
        let released = LayerState {
            revision: 2,
            check_at: Some(check().at),
            ..LayerState::default()
        };
        assert_eq!(state(&tables).await, released);
    });
}

#[test]
fn a_layer_is_checked_until_it_is_at_rest() {
    on_aws(async |world| {
        let (tables, layer) = (world.tables().await, layer());
        let pending = async |before| tables.layers.pending_before(at(before)).await.unwrap();
        let to_be_checked = [Pending::Layer(layer.clone())];
        let claim = claim("me", at("10:03:00"));
        tables.layers.claim(&layer, 0, &claim).await.unwrap();
        let mut outcome = publication(&request("10:00:00"), 1, "me", 3);
        let window_until = Some(at("11:00:00"));
        let claimed = outcome.change.as_mut().unwrap().claim.as_mut();
        claimed.unwrap().check.window_until = window_until;
        tables.layers.record(&outcome).await.unwrap();
        let event_id = &outcome.outbox_entry.notification.event_id;
        tables
            .layers
            .delete_outbox_entry(&layer, event_id)
            .await
            .unwrap();
        assert_eq!(pending("10:05:00").await, []);
        assert_eq!(pending("10:05:01").await, to_be_checked);
        for (version, is_recorded) in [(3, true), (2, false), (4, false)] {
            let found = tables.layers.is_recorded(&layer, version).await.unwrap();
            assert_eq!(found, is_recorded, "{version}");
        }

        let checked = async |revision, version, next_at: Option<&str>| {
            let result = OrphanCheckResult {
                revision,
                version,
                next_at: next_at.map(at),
            };
            tables.layers.record_check(&layer, result).await.unwrap();
            state(&tables).await
        };
        // Somebody has changed it meanwhile.
        let before = state(&tables).await;
        assert_eq!(checked(1, 9, None).await, before);
        let again = LayerState {
            check_at: Some(at("10:20:00")),
            checked_version: 4,
            ..before.clone()
        };
        assert_eq!(checked(2, 4, Some("10:20:00")).await, again);
        assert_eq!(again.check_window_until, window_until);
        assert_eq!(pending("10:20:00").await, []);
        assert_eq!(pending("10:20:01").await, to_be_checked);
        let at_rest = LayerState {
            check_at: None,
            check_window_until: None,
            ..again
        };
        assert_eq!(checked(2, 4, None).await, at_rest);
        assert_eq!(pending("12:00:00").await, []);

        // A later release does not shorten the window.
        tables.layers.claim(&layer, 2, &claim).await.unwrap();
        let suspect = ClaimRelease {
            may_leave_orphan: true,
            check: OrphanCheck {
                window_until,
                ..check()
            },
        };
        tables
            .layers
            .release_claim(&layer, "me", suspect)
            .await
            .unwrap();
        tables.layers.claim(&layer, 4, &claim).await.unwrap();
        let released = tables
            .layers
            .release_claim(&layer, "me", release(false))
            .await;
        released.unwrap();
        assert_eq!(state(&tables).await.check_window_until, window_until);
        assert_eq!(pending("10:05:01").await, to_be_checked);
    });
}

#[test]
fn a_version_that_was_left_is_remembered_until_there_is_a_new_one() {
    on_aws(async |world| {
        let (tables, layer) = (world.tables().await, layer());
        let claim_at = async |revision| {
            let claim = claim("me", at("10:00:00"));
            assert!(tables.layers.claim(&layer, revision, &claim).await.unwrap());
        };
        claim_at(0).await;
        let release_as = async |owner, may_leave_orphan| {
            let released = tables
                .layers
                .release_claim(&layer, owner, release(may_leave_orphan));
            released.await.unwrap();
        };
        release_as("other", true).await;
        assert!(!state(&tables).await.may_have_orphan);
        release_as("me", true).await;
        assert!(state(&tables).await.may_have_orphan);
        claim_at(2).await;
        release_as("me", false).await;
        assert!(state(&tables).await.may_have_orphan);
        claim_at(4).await;
        let outcome = publication(&request("10:00:00"), 5, "me", 2);
        tables.layers.record(&outcome).await.unwrap();
        assert!(!state(&tables).await.may_have_orphan);
    });
}

#[test]
fn a_publication_is_recorded_at_once_with_all_that_follows() {
    on_aws(async |world| {
        let (tables, since) = (world.tables().await, now());
        let accepted = accepted(&["py313-arm64"]);
        tables.tracking.accept(&accepted).await.unwrap();
        let request = &accepted.request;
        let lease = now().after(Duration::from_mins(2));
        let layer = layer();
        tables
            .layers
            .claim(&layer, 0, &claim("me", lease))
            .await
            .unwrap();
        let outcome = publication(request, 1, "me", 12);
        let recorded = tables.layers.record(&outcome).await.unwrap();
        assert_eq!(recorded, Recorded::Done);

        let expected = LayerState {
            revision: 2,
            published: Some(published(request, 12)),
            check_at: Some(check().at),
            ..LayerState::default()
        };
        assert_eq!(state(&tables).await, expected);
        let version = world.layer_item(&tables, "version#0000000012").await;
        assert_eq!(version["VersionArn"], "arn:layer:12");
        assert_eq!(version["RequestId"], request.id.as_str());
        assert_eq!(version["ReceivedAt"], "2026-11-20T10:00:00.000Z");
        assert!(
            version["PublishedAt"]
                .as_str()
                .unwrap()
                .parse::<Timestamp>()
                .unwrap()
                >= since
        );

        let item = world
            .tracked(&tables, request.id.as_str(), "py313-arm64")
            .await;
        assert_eq!(
            without_times(item, since),
            json!({
                "RequestId": request.id.as_str(),
                "Item": "py313-arm64",
                "ProjectName": "data-tools",
                "Runtime": "python3.13",
                "Architecture": "arm64",
                "LayerName": "data-tools-py313-arm64",
                "Status": "Published",
                "StatusRank": 60,
                "ReceivedAt": "2026-11-20T10:00:00.000Z",
                "ManifestKey": "m",
                "Digest": Digest(Sha256::of(b"wheels")).to_string(),
                "VersionArn": "arn:layer:12",
            })
        );
        let open = tables
            .tracking
            .open_before(now().after(Duration::from_secs(1)));
        assert_eq!(open.await.unwrap(), []);

        let event_id = &outcome.outbox_entry.notification.event_id;
        let entry = async || tables.layers.outbox_entry(&layer, event_id).await.unwrap();
        assert_eq!(entry().await, Some(outcome.outbox_entry.clone()));
        for _ in 0..2 {
            tables
                .layers
                .delete_outbox_entry(&layer, event_id)
                .await
                .unwrap();
            assert_eq!(entry().await, None);
        }
    });
}

#[test]
fn nothing_is_recorded_if_the_layer_has_changed() {
    on_aws(async |world| {
        let tables = world.tables().await;
        let (layer, request) = (layer(), request("10:00:00"));
        let record = async |outcome: &TargetOutcome| tables.layers.record(outcome).await.unwrap();
        let unclaimed = |revision| {
            let change = LayerChange {
                revision,
                published: published(&request, 1),
                claim: None,
            };
            let (event, status) = (Event::LayerUnchanged, Status::Unchanged);
            outcome_of(&request, event, status, Some(change))
        };
        // There is nothing to be unchanged.
        assert_eq!(record(&unclaimed(1)).await, Recorded::RevisionConflict);
        tables
            .layers
            .claim(&layer, 0, &claim("me", at("10:00:00")))
            .await
            .unwrap();
        for lost in [
            publication(&request, 1, "other", 1),
            publication(&request, 0, "me", 1),
            publication(&request, 2, "me", 1),
            unclaimed(0),
            unclaimed(1),
        ] {
            assert_eq!(record(&lost).await, Recorded::RevisionConflict, "{lost:?}");
        }
        let id = request.id.as_str();
        assert_eq!(world.tracked(&tables, id, "py313-arm64").await, Value::Null);
        assert_eq!(
            world.layer_item(&tables, "version#0000000001").await,
            Value::Null
        );
        assert_eq!(state(&tables).await.revision, 1);
        let pending = tables
            .layers
            .pending_before(now().after(Duration::from_secs(1)));
        assert_eq!(pending.await.unwrap(), [Pending::Layer(layer)]);
    });
}

#[test]
fn one_of_several_outcomes_is_recorded() {
    on_aws(async |world| {
        let tables = world.tables().await;
        let lease = now().after(Duration::from_mins(2));
        tables
            .layers
            .claim(&layer(), 0, &claim("me", lease))
            .await
            .unwrap();
        let requests: Vec<_> = (0..6).map(|_| request("10:00:00")).collect();
        let outcomes_to_record: Vec<_> = requests
            .iter()
            .zip(1..)
            .map(|(request, version)| publication(request, 1, "me", version))
            .collect();
        let rivals = outcomes_to_record.iter().map(|it| tables.layers.record(it));
        let outcomes = futures_util::future::join_all(rivals).await;
        let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
        let won: Vec<_> = (0..6)
            .filter(|at| outcomes[*at] == Recorded::Done)
            .collect();
        assert_eq!(won.len(), 1, "{outcomes:?}");
        assert!(
            outcomes
                .iter()
                .all(|outcome| *outcome != Recorded::AlreadyRecorded),
            "{outcomes:?}"
        );
        let state = state(&tables).await;
        let version = u64::try_from(won[0]).unwrap() + 1;
        assert_eq!((state.revision, state.version()), (2, version));
    });
}

#[test]
fn a_status_is_only_ever_raised() {
    on_aws(async |world| {
        let (tables, request) = (world.tables().await, request("10:00:00"));
        let record = async |event, status| {
            let outcome = outcome_of(&request, event, status, None);
            tables.layers.record(&outcome).await.unwrap()
        };
        let item = async || {
            world
                .tracked(&tables, request.id.as_str(), "py313-arm64")
                .await
        };
        assert_eq!(
            record(Event::BuildFailed, Status::Failed).await,
            Recorded::Done
        );
        assert_eq!(item().await["Status"], "Failed");
        assert_eq!(
            record(Event::BuildFailed, Status::Failed).await,
            Recorded::AlreadyRecorded
        );
        assert_eq!(
            record(Event::LayerSuperseded, Status::Superseded).await,
            Recorded::Done
        );
        assert_eq!(
            record(Event::BuildFailed, Status::Failed).await,
            Recorded::AlreadyRecorded
        );
        assert_eq!(item().await["Status"], "Superseded");
    });
}

#[test]
fn a_failure_that_turns_out_well_leaves_no_reason() {
    on_aws(async |world| {
        let (tables, request) = (world.tables().await, request("10:00:00"));
        let mut failure = outcome_of(&request, Event::BuildFailed, Status::Failed, None);
        failure.outbox_entry.notification.code = Some("CodeStorageExceeded".to_owned());
        failure.outbox_entry.notification.reason = Some("there is no room".to_owned());
        failure.outbox_entry.notification.hint = Some("make room".to_owned());
        tables.layers.record(&failure).await.unwrap();
        let item = async || {
            world
                .tracked(&tables, request.id.as_str(), "py313-arm64")
                .await
        };
        let failed = item().await;
        for (name, value) in [
            ("Code", "CodeStorageExceeded"),
            ("Reason", "there is no room"),
            ("Hint", "make room"),
        ] {
            assert_eq!(failed[name], value);
        }
        // As an execution leaves it that could not say that its pause was over.
        world.pause(&tables, &request, "py313-arm64").await;
        assert_ne!(item().await["NextAttemptAt"], Value::Null);
        tables
            .layers
            .claim(&layer(), 0, &claim("me", at("10:00:00")))
            .await
            .unwrap();
        let recorded = tables
            .layers
            .record(&publication(&request, 1, "me", 1))
            .await;
        assert_eq!(recorded.unwrap(), Recorded::Done);
        let published = item().await;
        for name in ["Code", "Reason", "Hint", "NextAttemptAt"] {
            assert_eq!(published.get(name), None, "{name}");
        }
    });
}

#[test]
fn what_is_published_is_recorded_whatever_a_restored_table_says() {
    on_aws(async |world| {
        let (tables, request) = (world.tables().await, request("10:00:00"));
        let layer = layer();
        for revision in [0, 2] {
            let claim = claim("me", at("10:00:00"));
            assert!(tables.layers.claim(&layer, revision, &claim).await.unwrap());
            let outcome = publication(&request, revision + 1, "me", revision + 1);
            let recorded = tables.layers.record(&outcome).await.unwrap();
            assert_eq!(recorded, Recorded::Done);
        }
        // What is not changed by a new version gives way.
        let change = LayerChange {
            revision: 4,
            published: published(&request, 3),
            claim: None,
        };
        let (event, status) = (Event::LayerUnchanged, Status::Unchanged);
        let unchanged = outcome_of(&request, event, status, Some(change));
        let recorded = tables.layers.record(&unchanged).await.unwrap();
        assert_eq!(recorded, Recorded::AlreadyRecorded);
        assert_eq!(state(&tables).await.revision, 4);
    });
}

#[test]
fn pending_work_is_found_when_it_is_due() {
    on_aws(async |world| {
        let (tables, layer) = (world.tables().await, layer());
        let pending = async |before| tables.layers.pending_before(before).await.unwrap();
        let lease_until = now().after(Duration::from_mins(2));
        tables
            .layers
            .claim(&layer, 0, &claim("me", lease_until))
            .await
            .unwrap();
        // A claim that is alive is not overdue, however long ago it was made.
        assert_eq!(pending(lease_until).await, []);
        let overdue = lease_until.after(Duration::from_millis(1));
        assert_eq!(pending(overdue).await, [Pending::Layer(layer.clone())]);

        let request = request("10:00:00");
        let outcome = outcome_of(&request, Event::BuildFailed, Status::Failed, None);
        tables.layers.record(&outcome).await.unwrap();
        let event_id = outcome.outbox_entry.notification.event_id;
        let entry = Pending::OutboxEntry {
            layer: layer.clone(),
            event_id: event_id.clone(),
        };
        let soon = now().after(Duration::from_secs(1));
        assert_eq!(pending(soon).await, std::slice::from_ref(&entry));
        assert_eq!(
            pending(overdue).await,
            [entry, Pending::Layer(layer.clone())]
        );
        tables
            .layers
            .delete_outbox_entry(&layer, &event_id)
            .await
            .unwrap();
        assert_eq!(pending(overdue).await, [Pending::Layer(layer)]);
    });
}

#[test]
fn a_spoilt_layer_is_an_error_and_not_a_new_layer() {
    on_aws(async |world| {
        let tables = world.tables().await;
        let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
        let put = world.dynamodb().put_item().table_name(&tables.layers_table);
        let put = put
            .item("LayerName", text(layer().as_str()))
            .item("Item", text("layer"))
            .item("Revision", text("seven"));
        put.send().await.unwrap();
        let outcome = tables.layers.state(&layer()).await;
        assert_eq!(crate::code(outcome), "ItemInvalid");
        let claimed = tables
            .layers
            .claim(&layer(), 0, &claim("me", at("10:00:00")))
            .await;
        assert!(!claimed.unwrap());
    });
}
