//! The table of requests.

use accretion_aws::operator::{RequestsTable, Source};
use accretion_core::delivery::InboxObject;
use accretion_core::notification::Event;
use accretion_core::request::RequestRef;
use accretion_core::target::Runtime;
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::{Failure, Status};
use accretion_service::ports::{
    Acceptance, Accepted, BuildOrder, Layers as _, Origin, Rejected, Tracking as _,
};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::layers::outcome_of;
use crate::{RETENTION, Tables, World, at, compatibility, on_aws, project, request, target};

pub(crate) fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}

pub(crate) fn accepted(targets: &[&str]) -> Accepted {
    Accepted {
        request: request("10:00:00"),
        project: project(),
        origin: Origin::Object(InboxObject {
            bucket: "inbox".to_owned(),
            key: "requests/data-tools.json".to_owned(),
            version_id: Some("v1".to_owned()),
            sequencer: "1".to_owned(),
            event_time: at("10:00:00"),
        }),
        targets: targets.iter().map(|slug| compatibility(slug)).collect(),
        rolled_back_to: None,
    }
}

impl World {
    /// An item about a request, or one of its targets.
    pub(crate) async fn tracked(&self, tables: &Tables, id: &str, item: &str) -> Value {
        let keys = [("RequestId", id), ("Item", item)];
        self.item(&tables.requests_table, keys).await
    }

    /// Notes when a target is tried again, as an execution does.
    pub(crate) async fn pause(&self, tables: &Tables, request: &RequestRef, slug: &str) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let update = self.dynamodb().update_item();
        let update = update.table_name(&tables.requests_table);
        let update = update.key("RequestId", text(request.id.as_str()));
        let update = update.key("Item", text(slug));
        let update = update.update_expression("SET NextAttemptAt = :next");
        let next = text("2026-11-20T10:00:30.000Z");
        let update = update.expression_attribute_values(":next", next);
        update.send().await.unwrap();
    }
}

/// Takes what depends on the time out of an item, and holds it.
#[track_caller]
pub(crate) fn without_times(mut item: Value, since: Timestamp) -> Value {
    let members = item.as_object_mut().unwrap();
    let updated_at: Timestamp = members["UpdatedAt"].as_str().unwrap().parse().unwrap();
    assert!(since <= updated_at && updated_at <= now());
    let expires_at = members["ExpiresAt"].as_i64().unwrap();
    assert_eq!(expires_at, updated_at.after(RETENTION).seconds());
    members.retain(|name, _| name != "UpdatedAt" && name != "ExpiresAt");
    item
}

#[test]
fn a_request_is_recorded_with_all_of_its_targets() {
    on_aws(async |world| {
        let (tables, since) = (world.tables().await, now());
        let accepted = accepted(&["py313", "py313-arm64"]);
        let id = accepted.request.id.as_str();
        let status = async || tables.tracking.status(&accepted.request.id).await.unwrap();
        assert_eq!(status().await, None);
        let acceptance = tables.tracking.accept(&accepted).await.unwrap();
        assert_eq!(acceptance, Acceptance::New);
        assert_eq!(status().await, Some(Status::Received));

        let item = world.tracked(&tables, id, "request").await;
        assert_eq!(
            without_times(item, since),
            json!({
                "RequestId": id,
                "Item": "request",
                "ProjectName": "data-tools",
                "Status": "Received",
                "StatusRank": 0,
                "ReceivedAt": "2026-11-20T10:00:00.000Z",
                "Source": {
                    "S3Bucket": "inbox",
                    "S3Key": "requests/data-tools.json",
                    "S3VersionId": "v1",
                },
                "Targets": ["py313", "py313-arm64"],
            })
        );
        let item = world.tracked(&tables, id, "py313-arm64").await;
        assert_eq!(
            without_times(item, since),
            json!({
                "RequestId": id,
                "Item": "py313-arm64",
                "ProjectName": "data-tools",
                "Runtime": "python3.13",
                "Architecture": "arm64",
                "LayerName": "data-tools-py313-arm64",
                "Status": "Received",
                "StatusRank": 0,
                "ReceivedAt": "2026-11-20T10:00:00.000Z",
                "Open": &id[..1],
            })
        );
        assert_eq!(world.tracked(&tables, id, "py312").await, Value::Null);
    });
}

#[test]
fn a_known_request_is_not_recorded_again() {
    on_aws(async |world| {
        let tables = world.tables().await;
        let accepted = accepted(&["py313"]);
        let id = accepted.request.id.as_str();
        let rivals = (0..6).map(|_| tables.tracking.accept(&accepted));
        let outcomes = futures_util::future::join_all(rivals).await;
        let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
        let count = |acceptance| outcomes.iter().filter(|it| **it == acceptance).count();
        assert_eq!(
            (count(Acceptance::New), count(Acceptance::Known)),
            (1, 5),
            "{outcomes:?}"
        );
        let first = world.tracked(&tables, id, "py313").await;
        let again = tables.tracking.accept(&accepted).await.unwrap();
        assert_eq!(again, Acceptance::Known);
        assert_eq!(world.tracked(&tables, id, "py313").await, first);
    });
}

#[test]
fn a_request_is_accepted_or_rejected_and_never_both() {
    on_aws(async |world| {
        let tables = world.tables().await;
        let accepted = accepted(&["py313"]);
        let rejected = |accepted: &Accepted| Rejected {
            request: accepted.request.clone(),
            project: Some("data-tools".to_owned()),
            origin: accepted.origin.clone(),
            reason: "error: …".to_owned(),
            codes: vec![],
        };
        let status = async |accepted: &Accepted| {
            let status = tables.tracking.status(&accepted.request.id).await;
            status.unwrap().unwrap()
        };
        tables.tracking.accept(&accepted).await.unwrap();
        tables.tracking.reject(&rejected(&accepted)).await.unwrap();
        assert_eq!(status(&accepted).await, Status::Received);

        let other = crate::requests::accepted(&["py313"]);
        tables.tracking.reject(&rejected(&other)).await.unwrap();
        let acceptance = tables.tracking.accept(&other).await.unwrap();
        assert_eq!(acceptance, Acceptance::Rejected);
        assert_eq!(status(&other).await, Status::Rejected);
        let id = other.request.id.as_str();
        assert_eq!(world.tracked(&tables, id, "py313").await, Value::Null);
    });
}

#[test]
fn a_rejection_says_why() {
    on_aws(async |world| {
        let (tables, since) = (world.tables().await, now());
        let rejected = Rejected {
            request: request("10:00:00"),
            project: None,
            origin: Origin::Message("m-1".to_owned()),
            reason: "error: there is no requirement".to_owned(),
            codes: vec!["RequirementsEmpty".to_owned()],
        };
        let id = rejected.request.id.as_str();
        tables.tracking.reject(&rejected).await.unwrap();
        let item = world.tracked(&tables, id, "request").await;
        assert_eq!(
            without_times(item.clone(), since),
            json!({
                "RequestId": id,
                "Item": "request",
                "Status": "Rejected",
                "StatusRank": 30,
                "ReceivedAt": "2026-11-20T10:00:00.000Z",
                "Source": {"MessageId": "m-1"},
                "Reason": "error: there is no requirement",
                "Codes": ["RequirementsEmpty"],
            })
        );
        let again = Rejected {
            reason: "something else".to_owned(),
            ..rejected.clone()
        };
        tables.tracking.reject(&again).await.unwrap();
        assert_eq!(world.tracked(&tables, id, "request").await, item);
        let status = tables.tracking.status(&rejected.request.id).await;
        assert_eq!(status.unwrap(), Some(Status::Rejected));
    });
}

#[test]
fn open_targets_are_found_by_when_they_were_last_heard_of() {
    on_aws(async |world| {
        let tables = world.tables().await;
        let before = now();
        // Enough of them for several shards of the index.
        let requests: Vec<_> = (0..12).map(|_| accepted(&["py313-arm64", "py"])).collect();
        for accepted in &requests {
            tables.tracking.accept(accepted).await.unwrap();
        }
        let shards: std::collections::BTreeSet<_> =
            requests.iter().map(|it| it.request.id.shard()).collect();
        assert!(shards.len() > 3, "{shards:?}");
        let open = async |before| tables.tracking.open_before(before).await.unwrap();
        assert_eq!(open(before).await, []);

        let after = now().after(std::time::Duration::from_secs(1));
        let found = open(after).await;
        assert_eq!(found.len(), 24);
        assert!(found.is_sorted_by_key(|open| open.updated_at));
        for accepted in &requests {
            for target in &accepted.targets {
                let is_it = |open: &&accretion_service::ports::OpenTarget| {
                    open.build.request == accepted.request && open.build.target == *target
                };
                assert_eq!(found.iter().filter(is_it).count(), 1);
            }
        }
        assert!(found.iter().all(|open| open.build.project == project()));
    });
}

#[test]
fn a_build_that_waits_is_recorded_unless_a_higher_status_is() {
    on_aws(async |world| {
        let tables = world.tables().await;
        let accepted = accepted(&["py313-arm64"]);
        tables.tracking.accept(&accepted).await.unwrap();
        let build = BuildOrder {
            request: accepted.request.clone(),
            project: project(),
            target: accepted.targets[0].clone(),
        };
        let delay = async |hint: Option<&str>, next_attempt_at| {
            let failure = Failure {
                code: "UpstreamUnavailable".to_owned(),
                reason: "no answer".to_owned(),
                hint: hint.map(str::to_owned),
            };
            let delayed = tables.tracking.delay(&build, &failure, at(next_attempt_at));
            delayed.await.unwrap();
            let id = accepted.request.id.as_str();
            world.tracked(&tables, id, "py313-arm64").await
        };
        let item = delay(Some("wait"), "10:01:00").await;
        for (name, value) in [
            ("Status", "Waiting"),
            ("NextAttemptAt", "2026-11-20T10:01:00.000Z"),
            ("Code", "UpstreamUnavailable"),
            ("Reason", "no answer"),
            ("Hint", "wait"),
        ] {
            assert_eq!(item[name], value, "{item}");
        }
        assert_eq!(item["StatusRank"], 10);
        assert_ne!(item["Open"], Value::Null);
        let item = delay(None, "10:02:00").await;
        assert_eq!(item["NextAttemptAt"], "2026-11-20T10:02:00.000Z");
        assert_eq!(item.get("Hint"), None);

        let (event, status) = (Event::BuildFailed, Status::Failed);
        let failed = outcome_of(&accepted.request, event, status, None);
        tables.layers.record(&failed).await.unwrap();
        let item = delay(None, "10:03:00").await;
        assert_eq!(item["Status"], "Failed");
        assert_eq!(item.get("NextAttemptAt"), None);
    });
}

#[test]
fn a_spoilt_item_does_not_hide_the_others() {
    on_aws(async |world| {
        let tables = world.tables().await;
        let (sound, spoilt) = (accepted(&["py313-arm64"]), accepted(&["py313-arm64"]));
        for accepted in [&sound, &spoilt] {
            tables.tracking.accept(accepted).await.unwrap();
        }
        let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
        let update = world
            .dynamodb()
            .update_item()
            .table_name(&tables.requests_table)
            .key("RequestId", text(spoilt.request.id.as_str()))
            .key("Item", text("py313-arm64"))
            .update_expression("REMOVE ProjectName");
        update.send().await.unwrap();
        let after = now().after(std::time::Duration::from_secs(1));
        let found = tables.tracking.open_before(after).await.unwrap();
        let [open] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(open.build.request, sound.request);
        assert_eq!(open.build.target.target(), target());
    });
}

#[test]
fn people_read_what_was_recorded() {
    on_aws(async |world| {
        let (tables, since) = (world.tables().await, now());
        let table = RequestsTable::new(&world.clients, &tables.requests_table);
        let accepted = accepted(&["py313", "py313-arm64", "py-arm64"]);
        let read = async || table.request(&accepted.request.id).await.unwrap();
        assert_eq!(read().await, None);
        tables.tracking.accept(&accepted).await.unwrap();
        let known = read().await.unwrap();
        assert_eq!(known.request, accepted.request);
        assert_eq!(known.project.as_deref(), Some("data-tools"));
        assert_eq!(known.status, Status::Received);
        let source = Source {
            s3_bucket: Some("inbox".to_owned()),
            s3_key: Some("requests/data-tools.json".to_owned()),
            s3_version_id: Some("v1".to_owned()),
            message_id: None,
        };
        assert_eq!(known.source, Some(source));
        let targets: Vec<_> = known.targets.keys().copied().collect();
        let wanted: Vec<_> = accepted
            .targets
            .iter()
            .map(accretion_core::target::Compatibility::target)
            .collect();
        assert_eq!(targets, wanted);
        let runtimes = known.targets.values().map(|it| &*it.runtimes);
        let (new, both) = (
            [Runtime::Python313],
            [Runtime::Python312, Runtime::Python313],
        );
        assert!(runtimes.eq([&new[..], &new, &both]));
        assert_eq!(known.targets[&target()].layer, "data-tools-py313-arm64");
        assert!(!known.is_terminal() && !known.has_failed());

        let mut failed = outcome_of(&accepted.request, Event::BuildFailed, Status::Failed, None);
        let notification = &mut failed.outbox_entry.notification;
        notification.code = Some("LayerRefused".to_owned());
        notification.reason = Some("it is too large".to_owned());
        notification.hint = Some("make it smaller".to_owned());
        tables.layers.record(&failed).await.unwrap();
        let known = read().await.unwrap();
        let of_target = &known.targets[&target()];
        assert_eq!(of_target.status, Status::Failed);
        assert_eq!(of_target.code.as_deref(), Some("LayerRefused"));
        assert_eq!(of_target.reason.as_deref(), Some("it is too large"));
        assert_eq!(of_target.hint.as_deref(), Some("make it smaller"));
        assert_eq!(of_target.manifest_key.as_deref(), Some("m"));
        assert!(of_target.digest.is_some());
        assert!(since <= known.updated_at && known.updated_at == of_target.updated_at);
        assert!(!known.is_terminal() && known.has_failed());
    });
}

#[test]
fn the_newest_requests_come_first_and_spoilt_ones_apart() {
    on_aws(async |world| {
        let tables = world.tables().await;
        let table = RequestsTable::new(&world.clients, &tables.requests_table);
        let mut ids = Vec::new();
        for minute in 10..40 {
            let mut accepted = accepted(&["py312", "py313-arm64"]);
            accepted.request = request(&format!("10:{minute}:00"));
            tables.tracking.accept(&accepted).await.unwrap();
            ids.push(accepted.request.id);
        }
        let rejected = Rejected {
            request: request("09:00:00"),
            project: None,
            origin: Origin::Message("m-1".to_owned()),
            reason: "error: there is no requirement".to_owned(),
            codes: vec!["RequirementsEmpty".to_owned()],
        };
        tables.tracking.reject(&rejected).await.unwrap();
        ids.insert(0, rejected.request.id);
        ids.reverse();
        for limit in [usize::MAX, 31, 7, 1, 0] {
            let tracked = table.newest(limit).await.unwrap();
            assert!(tracked.invalid.is_empty());
            let found = tracked.requests.iter().map(|it| &it.request.id);
            assert_eq!(
                found.collect::<Vec<_>>(),
                ids.iter().take(limit).collect::<Vec<_>>()
            );
            let accepted = tracked.requests.iter().take(30);
            assert!(accepted.into_iter().all(|it| it.targets.len() == 2));
        }
        let tracked = table.newest(usize::MAX).await.unwrap();
        let oldest = tracked.requests.last().unwrap();
        assert!(oldest.is_terminal() && oldest.has_failed());
        assert_eq!(oldest.codes, ["RequirementsEmpty"]);
        let source = Source {
            message_id: Some("m-1".to_owned()),
            ..Source::default()
        };
        assert_eq!(oldest.source, Some(source));

        let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.to_owned());
        let update = world.dynamodb().update_item();
        let update = update
            .table_name(&tables.requests_table)
            .key("RequestId", text(ids[0].as_str()))
            .key("Item", text("py312"))
            .update_expression("REMOVE LayerName");
        update.send().await.unwrap();
        let tracked = table.newest(usize::MAX).await.unwrap();
        assert_eq!(tracked.requests.len(), 31);
        let [invalid] = &tracked.invalid[..] else {
            panic!("{:?}", tracked.invalid);
        };
        assert!(invalid.to_string().contains("`LayerName`"), "{invalid}");
        let spoilt = table.request(&ids[0]).await.unwrap_err();
        assert_eq!(spoilt.to_string(), invalid.to_string());
    });
}
