//! One thing at a time: what the use cases do, and what they leave behind when they are cut off.

use std::time::Duration;

use accretion_core::limits::Limits;
use accretion_core::notification::{Attribute, Cause, Event, Notification, Update};
use accretion_core::request::AllowedPermissions;
use accretion_core::request::{IdentityAttributes, Permission, RequestId, RequestRef};
use accretion_core::tracking::Status;
use accretion_core::{Fault as _, keys};
use accretion_service::dispatch::{self, Message};
use accretion_service::publish::{Outcome, Reconciled, SILENCE_UNTIL_LOST};
use serde_json::json;

use crate::alarms;
use crate::world::{BUILD_BROKEN, Dropped, Ended, Job, RequestForge, World, event, rollback};
use integration_tests::memory::cloud::UNKNOWN_ACCOUNT;
use integration_tests::memory::ports::{Call, Verdict};
use integration_tests::memory::{ARM64, MERGED, MERGED_RUNTIMES, X86_64};

const ACCOUNT: &str = "111122223333";
const LEASE: Duration = Duration::from_mins(3);

fn tools(content: u32) -> RequestForge {
    RequestForge::new("tools", content)
}

impl World {
    /// Drops a request, dispatches it and lets it be built.
    fn built(&mut self, request: &RequestForge) -> Dropped {
        let dropped = self.drop(request);
        self.dispatch(&dropped.message).unwrap().unwrap();
        self.build();
        dropped
    }

    /// Lets a request's layer for x86_64 be published.
    #[track_caller]
    fn publishes(&mut self, dropped: &Dropped, expected: Outcome) {
        let outcome = self.publish(&dropped.manifest(X86_64));
        assert_eq!(outcome.unwrap().unwrap(), expected);
    }

    /// Lets the publisher fail, and tells the code.
    #[track_caller]
    fn fails(&mut self, dropped: &Dropped) -> &'static str {
        let outcome = self.publish(&dropped.manifest(X86_64));
        outcome.unwrap().unwrap_err().code()
    }

    /// Lets a request's layer for x86_64 be published, by an invocation that dies.
    #[track_caller]
    fn dies(&mut self, dropped: &Dropped, call: Call, verdict: Verdict) {
        self.fault(call, verdict);
        assert!(self.publish(&dropped.manifest(X86_64)).is_none());
    }

    fn status(&self, dropped: &Dropped) -> Status {
        let shared = self.shared();
        shared.cloud.targets[&(dropped.id.clone(), X86_64)].status
    }

    /// The numbers of the versions that Lambda has of the tools' layer for x86_64.
    fn versions(&self) -> Vec<u64> {
        let layer = tools(0).layer(X86_64);
        self.shared().cloud.versions_above(&layer, 0)
    }

    /// The current version of the tools' layer for x86_64; 0 if there is none.
    fn current(&self) -> u64 {
        let state = self.shared().cloud.state(&tools(0).layer(X86_64));
        assert_eq!(state.claim, None);
        state.version()
    }

    /// The version in the parameter of the tools' layer for x86_64.
    fn parameter(&self) -> Option<String> {
        let name = keys::latest_version_parameter("/accretion", &tools(0).project, X86_64);
        let parameter = self.shared().cloud.parameters.get(&name).cloned();
        parameter.map(|arn| arn.rsplit(':').next().unwrap().to_owned())
    }

    fn sent(&self) -> Vec<Notification> {
        self.shared().cloud.sent.clone()
    }

    fn events(&self) -> Vec<Event> {
        self.sent().into_iter().map(|it| it.event).collect()
    }

    fn outbox_entries(&self) -> usize {
        let shared = self.shared();
        let layers = shared.cloud.layers.values();
        layers.map(|items| items.outbox.len()).sum()
    }

    /// Expects these versions, this current one also in the parameter, and no pending work.
    #[track_caller]
    fn assert_at_rest(&self, versions: &[u64], current: u64) {
        assert_eq!(self.versions(), versions);
        assert_eq!(self.current(), current);
        assert_eq!(self.parameter(), Some(current.to_string()));
        assert_eq!(self.outbox_entries(), 0);
        let shared = self.shared();
        let described = (tools(0).layer(X86_64), current);
        assert!(shared.cloud.layer_manifests.contains_key(&described));
    }
}

// Rolling back

/// A world in which two contents were published, one after the other.
fn two_versions() -> World {
    let mut world = World::new();
    for content in [1, 2] {
        let dropped = world.built(&tools(content).grant(ACCOUNT));
        world.publishes(&dropped, Outcome::Published);
    }
    world
}

#[test]
fn a_rollback_publishes_an_earlier_content_without_a_build() {
    let mut world = two_versions();
    let layer = tools(1).layer(X86_64);
    let builds = world.shared().cloud.started.len();
    let rollback = world.roll_back(&layer, 1);
    let outcomes = world.dispatch(&rollback.message).unwrap().unwrap();
    let accepted = dispatch::Outcome::Accepted(rollback.id.clone());
    assert_eq!(outcomes, [accepted]);
    world.publishes(&rollback, Outcome::Published);
    world.assert_at_rest(&[1, 2, 3], 3);
    assert_eq!(world.shared().cloud.started.len(), builds);
    let sent = world.sent();
    let notification = sent.last().unwrap();
    assert_eq!(notification.event, Event::LayerPublished);
    assert_eq!(notification.cause, Some(Cause::Rollback));
    assert_eq!(
        notification.rolled_back_to.as_ref().map(|it| it.version),
        Some(1)
    );
    let attributes = notification.attributes();
    let cause = ("Cause", Attribute::Text("Rollback".to_owned()));
    assert!(attributes.contains(&cause), "{attributes:?}");
    let update = &notification.changes.as_ref().unwrap().updated[0];
    assert_eq!((&*update.from, &*update.to), ("2", "1"));
    let shared = world.shared();
    let versions = &shared.cloud.lambda[&layer].versions;
    let (first, third) = (&versions[&1], &versions[&3]);
    assert_eq!(first.version.code_sha256, third.version.code_sha256);
    assert_eq!(first.grants, third.grants);
}

#[test]
fn a_rollback_stays_until_a_later_request() {
    let mut world = two_versions();
    let layer = tools(1).layer(X86_64);
    // It is received before the rollback, and built after it.
    let late = world.drop(&tools(3));
    let rollback = world.roll_back(&layer, 1);
    world.dispatch(&rollback.message).unwrap().unwrap();
    world.publishes(&rollback, Outcome::Published);
    world.dispatch(&late.message).unwrap().unwrap();
    world.build();
    world.publishes(&late, Outcome::Superseded);
    world.assert_at_rest(&[1, 2, 3], 3);
    let newer = world.built(&tools(3));
    world.publishes(&newer, Outcome::Published);
    world.assert_at_rest(&[1, 2, 3, 4], 4);
}

#[test]
fn a_rollback_to_the_current_version_keeps_older_requests_out() {
    let mut world = two_versions();
    let late = world.built(&tools(3));
    let rollback = world.roll_back(&tools(1).layer(X86_64), 2);
    world.dispatch(&rollback.message).unwrap().unwrap();
    world.publishes(&rollback, Outcome::Unchanged);
    world.publishes(&late, Outcome::Superseded);
    world.assert_at_rest(&[1, 2], 2);
}

#[test]
fn a_rollback_to_a_deleted_version_needs_its_artifact_alone() {
    let mut world = two_versions();
    let layer = tools(1).layer(X86_64);
    let now = world.now();
    world.shared().cloud.delete_version(&layer, 1, now);
    let rollback = world.roll_back(&layer, 1);
    world.dispatch(&rollback.message).unwrap().unwrap();
    world.publishes(&rollback, Outcome::Published);
    world.assert_at_rest(&[2, 3], 3);

    world.shared().cloud.artifacts.clear();
    let rollback = world.roll_back(&layer, 2);
    world.dispatch(&rollback.message).unwrap().unwrap();
    assert_eq!(world.fails(&rollback), "ArtifactMissing");
    let notification = world.sent().pop().unwrap();
    assert_eq!(notification.event, Event::BuildFailed);
    assert_eq!(notification.cause, Some(Cause::Rollback));
    world.assert_at_rest(&[2, 3], 3);
}

#[test]
fn a_rollback_to_a_rollback_is_one() {
    let mut world = two_versions();
    let layer = tools(1).layer(X86_64);
    for (version, made) in [(1, 3), (2, 4), (3, 5)] {
        let rollback = world.roll_back(&layer, version);
        world.dispatch(&rollback.message).unwrap().unwrap();
        world.publishes(&rollback, Outcome::Published);
        assert_eq!(world.current(), made);
        let notification = world.sent().pop().unwrap().rolled_back_to.unwrap();
        assert_eq!(notification.version, version);
    }
}

#[test]
fn a_rollback_of_a_merged_layer_keeps_its_runtimes() {
    let mut world = World::new();
    let layer = tools(1).layer(MERGED);
    for content in [1, 2] {
        let dropped = world.built(&tools(content).merged());
        world.publish(&dropped.manifest(MERGED)).unwrap().unwrap();
    }
    let rollback = world.roll_back(&layer, 1);
    world.dispatch(&rollback.message).unwrap().unwrap();
    let outcome = world.publish(&rollback.manifest(MERGED));
    assert_eq!(outcome.unwrap().unwrap(), Outcome::Published);
    assert_eq!(world.sent().pop().unwrap().runtimes, MERGED_RUNTIMES);
}

#[test]
fn a_rollback_to_what_was_never_published_is_rejected() {
    let mut world = two_versions();
    let arm = tools(1).layer(ARM64);
    let layer = tools(1).layer(X86_64);
    for (layer, version) in [(&layer, 3), (&arm, 1)] {
        let rollback = world.roll_back(layer, version);
        let outcomes = world.dispatch(&rollback.message).unwrap().unwrap();
        let rejected = dispatch::Outcome::Rejected(rollback.id.clone());
        assert_eq!(outcomes, [rejected]);
        let notification = world.sent().pop().unwrap();
        assert_eq!(notification.codes, ["LayerVersionUnknown"]);
        let reason = notification.reason.unwrap();
        assert!(reason.contains(&format!("{layer}:{version}")), "{reason}");
    }
}

#[test]
fn a_rollback_obeys_the_operators_rules() {
    let mut world = two_versions();
    let layer = tools(1).layer(X86_64);
    let (other, text) = ("data".parse().unwrap(), rollback(&layer, 1));
    let rejected = |world: &mut World, dropped: &Dropped| {
        world.dispatch(&dropped.message).unwrap().unwrap();
        world.sent().pop().unwrap().codes
    };
    // In the folder of another project.
    world.admission.project_from_key = true;
    let dropped = world.drop_text(&other, &text);
    assert_eq!(rejected(&mut world, &dropped), ["ProjectNameMismatch"]);
    let sent = world.send_text(&layer.parts().0, text);
    assert_eq!(rejected(&mut world, &sent), ["MessageRefused"]);
    // To what is shared with whom it may not be shared any more.
    world.admission.permissions = AllowedPermissions::NONE;
    let dropped = world.roll_back(&layer, 1);
    assert_eq!(rejected(&mut world, &dropped), ["PermissionNotAllowed"]);
    world.admission.permissions = ACCOUNT.parse().unwrap();
    let dropped = world.roll_back(&layer, 1);
    world.dispatch(&dropped.message).unwrap().unwrap();
    world.publishes(&dropped, Outcome::Published);
}

#[test]
fn a_rollback_that_dies_anywhere_is_repeated() {
    let calls = [
        Call::ReadInbox,
        Call::ReadManifest,
        Call::StoreRequest,
        Call::Accept,
        Call::PutManifest,
    ];
    for call in calls {
        for verdict in [Verdict::DiesBefore, Verdict::DiesAfter] {
            let mut world = two_versions();
            let rollback = world.roll_back(&tools(1).layer(X86_64), 1);
            world.fault(call, verdict);
            assert!(world.dispatch(&rollback.message).is_none(), "{call:?}");
            // What was dropped need not be there any more once it is recorded.
            if (call, verdict) == (Call::Accept, Verdict::DiesAfter) {
                world.shared().cloud.inbox.clear();
            }
            world.dispatch(&rollback.message).unwrap().unwrap();
            world.publishes(&rollback, Outcome::Published);
            world.assert_at_rest(&[1, 2, 3], 3);
        }
    }
}

// Dispatching

#[test]
fn a_request_is_kept_recorded_and_built_once_for_each_target() {
    let mut world = World::new();
    let dropped = world.drop(&tools(1).both());
    for _ in 0..2 {
        let outcomes = world.dispatch(&dropped.message).unwrap().unwrap();
        assert_eq!(outcomes, [dispatch::Outcome::Accepted(dropped.id.clone())]);
    }
    let shared = world.shared();
    let cloud = &shared.cloud;
    assert!(cloud.stored[&dropped.id].contains("attrs==1"));
    assert_eq!(cloud.requests[&dropped.id], Status::Received);
    for target in [X86_64, ARM64] {
        let order = &cloud.executions[&keys::execution(&dropped.id, target)];
        assert_eq!(order.request.received_at, dropped.message.sent_at);
        let item = &cloud.targets[&(dropped.id.clone(), target)];
        assert_eq!(item.status, Status::Received);
    }
    assert_eq!(cloud.executions.len(), 2);
    assert_eq!(cloud.sent, []);
}

#[test]
fn a_dispatch_that_dies_anywhere_is_repeated() {
    let calls = [
        Call::ReadInbox,
        Call::StoreRequest,
        Call::Accept,
        Call::StartBuild,
    ];
    for call in calls {
        for verdict in [Verdict::DiesBefore, Verdict::DiesAfter] {
            let mut world = World::new();
            let dropped = world.drop(&tools(1).both());
            world.fault(call, verdict);
            assert!(world.dispatch(&dropped.message).is_none());
            world.dispatch(&dropped.message).unwrap().unwrap();
            assert_eq!(world.shared().cloud.executions.len(), 2);
            assert_eq!(world.shared().cloud.targets.len(), 2);
        }
    }
}

#[test]
fn an_accepted_request_is_dispatched_though_its_object_is_gone() {
    let mut world = World::new();
    let dropped = world.drop(&tools(1));
    world.fault(Call::Accept, Verdict::DiesAfter);
    assert!(world.dispatch(&dropped.message).is_none());
    world.shared().cloud.inbox.clear();

    let outcomes = world.dispatch(&dropped.message).unwrap().unwrap();
    assert_eq!(outcomes, [dispatch::Outcome::Accepted(dropped.id.clone())]);
    world.build();
    world.publishes(&dropped, Outcome::Published);
    assert_eq!(world.events(), [Event::LayerPublished]);

    // And if not even what was kept is there any more, somebody has to look.
    world.shared().cloud.stored.clear();
    let error = world.dispatch(&dropped.message).unwrap().unwrap_err();
    assert_eq!(error.code(), "RequestMissing");
}

#[test]
fn an_object_that_is_gone_is_a_rejected_request() {
    let mut world = World::new();
    let dropped = world.drop(&tools(1));
    world.shared().cloud.inbox.clear();
    let outcomes = world.dispatch(&dropped.message).unwrap().unwrap();
    assert_eq!(outcomes, [dispatch::Outcome::Rejected(dropped.id)]);
    assert_eq!(world.sent()[0].codes, ["ObjectMissing"]);
    assert_eq!(world.sent()[0].project_name.as_deref(), Some("tools"));
}

#[test]
fn a_request_that_one_delivery_rejects_is_not_built_by_another() {
    let mut world = World::new();
    let dropped = world.drop(&tools(1));
    let slow = world.begin(Job::Dispatch(dropped.message.clone()), 0);
    world.run_to(slow, Call::Accept);
    world.shared().cloud.inbox.clear();
    let rejected = [dispatch::Outcome::Rejected(dropped.id.clone())];
    let outcomes = world.dispatch(&dropped.message).unwrap().unwrap();
    assert_eq!(outcomes, rejected);
    let Some(Ended::Dispatched(outcomes)) = world.finish(slow) else {
        panic!("it is a dispatch");
    };
    assert_eq!(outcomes.unwrap(), rejected);
    assert!(world.shared().cloud.executions.is_empty());
}

#[test]
fn a_rejected_request_is_announced_before_it_is_recorded() {
    let mut world = World::new();
    let project = "tools".parse().unwrap();
    let dropped = world.drop_text(&project, r#"{"Name": "tools", "Language": "cobol"}"#);
    world.fault(Call::Reject, Verdict::DiesBefore);
    assert!(world.dispatch(&dropped.message).is_none());
    assert_eq!(world.events(), [Event::RequestRejected]);
    for _ in 0..2 {
        let outcomes = world.dispatch(&dropped.message).unwrap().unwrap();
        assert_eq!(outcomes, [dispatch::Outcome::Rejected(dropped.id.clone())]);
    }
    // Once more because nobody knew of the first time, and never again.
    let sent = world.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1]);
    assert_eq!(sent[0].event_id, format!("{}-RequestRejected", dropped.id));
    assert_eq!(sent[0].codes, ["FieldMissing", "LanguageUnsupported"]);
    let shared = world.shared();
    assert_eq!(shared.cloud.requests[&dropped.id], Status::Rejected);
    assert!(shared.cloud.executions.is_empty());
}

#[test]
fn folders_and_test_events_are_nothing_to_do() {
    let mut world = World::new();
    let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "inbox"});
    for body in [
        test.to_string(),
        event("requests/tools/", "v1", world.now()),
    ] {
        let message = Message {
            id: "1".to_owned(),
            sent_at: world.now(),
            attributes: IdentityAttributes::default(),
            body,
        };
        // Neither makes a single call.
        assert_eq!(world.dispatch_idle(&message).unwrap(), []);
    }
}

#[test]
fn a_message_can_be_a_request_itself() {
    let mut world = World::new();
    let dropped = world.drop(&tools(1));
    let key = ("requests/tools/request.json".to_owned(), "v0".to_owned());
    let body = world.shared().cloud.inbox.remove(&key).unwrap();
    let message = |body: String| Message {
        id: "message".to_owned(),
        sent_at: dropped.message.sent_at,
        attributes: IdentityAttributes::default(),
        body,
    };
    let body = String::from_utf8(body).unwrap();
    let outcomes = world.dispatch(&message(body.clone())).unwrap().unwrap();
    let id = RequestId::of_message("message");
    assert_eq!(outcomes, [dispatch::Outcome::Accepted(id)]);

    let mut world = World::new();
    let body = body + &" ".repeat(Limits::MESSAGE_BYTES);
    world.dispatch(&message(body)).unwrap().unwrap();
    assert_eq!(world.sent()[0].codes, ["TooLarge"]);
    assert!(world.shared().cloud.executions.is_empty());
}

#[test]
fn a_message_that_comes_back_is_the_request_that_it_was() {
    let mut world = World::new();
    let first = world.send_now(&tools(1));
    world.dispatch(&first.message).unwrap().unwrap();
    let mut again = world.send_now(&tools(2).both());
    again.message.attributes = IdentityAttributes::of(&RequestRef {
        id: first.id.clone(),
        received_at: first.message.sent_at,
    });
    for _ in 0..2 {
        let outcomes = world.dispatch(&again.message).unwrap().unwrap();
        assert_eq!(outcomes, [dispatch::Outcome::Accepted(first.id.clone())]);
    }
    let shared = world.shared();
    let orders: Vec<_> = shared.cloud.executions.values().collect();
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].target.target(), X86_64);
    assert!(shared.cloud.stored[&first.id].contains("attrs==1"));
}

#[test]
fn a_message_that_is_nothing_is_a_failure() {
    let mut world = World::new();
    let message = Message {
        id: "1".to_owned(),
        sent_at: world.now(),
        attributes: IdentityAttributes::default(),
        body: "hello".to_owned(),
    };
    let error = world.dispatch_idle(&message).unwrap_err();
    assert_eq!(error.code(), "MessageUnknown");
    assert_eq!(world.sent(), []);
}

// Publishing

#[test]
fn the_first_layer_of_a_project_is_published() {
    let mut world = World::new();
    let dropped = world.built(&tools(1).grant(ACCOUNT));
    world.publishes(&dropped, Outcome::Published);
    world.assert_at_rest(&[1], 1);
    assert_eq!(world.status(&dropped), Status::Published);

    let [sent] = &world.sent()[..] else {
        panic!("one notification");
    };
    assert_eq!(sent.event, Event::LayerPublished);
    assert_eq!(sent.request_id, dropped.id);
    assert_eq!(
        sent.event_id,
        format!("{}-py313-LayerPublished", dropped.id)
    );
    assert_eq!(sent.digest, Some(tools(1).digest(X86_64)));
    let layer = sent.layer.as_ref().unwrap();
    assert_eq!(layer.version, 1);
    assert!(layer.arn.ends_with(":layer:tools-py313"));
    assert_eq!(sent.version_arn, Some(format!("{}:1", layer.arn)));
    let manifest = sent.manifest.as_ref().unwrap();
    assert_eq!(manifest.key, dropped.manifest(X86_64));
    let changes = sent.changes.as_ref().unwrap();
    assert_eq!(changes.added[0].name, "attrs");

    let shared = world.shared();
    let version = shared.cloud.version(&tools(1).layer(X86_64), 1).unwrap();
    let principals: Vec<_> = version.grants.iter().map(Permission::principal).collect();
    assert_eq!(principals, [ACCOUNT]);
}

#[test]
fn a_merged_layer_is_one_of_its_own() {
    let mut world = World::new();
    let separate = world.built(&tools(1));
    let merged = world.built(&tools(1).merged());
    assert_eq!(world.shared().cloud.started.len(), 2);
    let order = world.shared().cloud.started[1].clone();
    assert!(order.target.runtimes().eq(MERGED_RUNTIMES));
    // An older request for another layer of the project is none of its business.
    for (dropped, target) in [(&merged, MERGED), (&separate, X86_64)] {
        let outcome = world.publish(&dropped.manifest(target));
        assert_eq!(outcome.unwrap().unwrap(), Outcome::Published);
    }
    let shared = world.shared();
    let parameters = shared.cloud.parameters.iter();
    let written: Vec<_> = parameters
        .map(|(name, arn)| (name.as_str(), arn.rsplit(":layer:").next().unwrap()))
        .collect();
    let expected = [
        ("/accretion/tools/python/x86_64", "tools-py:1"),
        ("/accretion/tools/python3.13/x86_64", "tools-py313:1"),
    ];
    assert_eq!(written, expected);
    let [sent, _] = &shared.cloud.sent[..] else {
        panic!("two notifications");
    };
    let event_id = format!("{}-py-LayerPublished", merged.id);
    assert_eq!(sent.event_id, event_id);
    assert_eq!(sent.runtimes, MERGED_RUNTIMES);
    assert_eq!(sent.digest, Some(tools(1).digest(MERGED)));
}

#[test]
fn a_lost_build_of_a_merged_layer_is_announced() {
    let mut world = World::new();
    let dropped = world.drop(&tools(1).merged());
    world.dispatch(&dropped.message).unwrap().unwrap();
    world.pass(Duration::from_hours(7));
    let reconciled = world.reconcile().unwrap().unwrap();
    assert_eq!(reconciled.targets, 1);
    let [sent] = &world.sent()[..] else {
        panic!("one notification");
    };
    assert_eq!(sent.event_id, format!("{}-py-BuildFailed", dropped.id));
    assert_eq!(
        (sent.runtime, &*sent.runtimes),
        (None, &MERGED_RUNTIMES[..])
    );
}

#[test]
fn the_same_content_is_not_published_again() {
    let mut world = World::new();
    let first = world.built(&tools(1));
    world.publishes(&first, Outcome::Published);
    let second = world.built(&tools(1).grant(ACCOUNT));
    world.publishes(&second, Outcome::Unchanged);
    world.assert_at_rest(&[1], 1);
    assert_eq!(world.status(&second), Status::Unchanged);

    let sent = world.sent();
    assert_eq!(
        world.events(),
        [Event::LayerPublished, Event::LayerUnchanged]
    );
    assert_eq!(sent[1].version_arn, sent[0].version_arn);
    assert_eq!(sent[1].request_id, second.id);
    assert_eq!(sent[1].changes, None);
    // What the second request asked for is there all the same.
    let shared = world.shared();
    let version = shared.cloud.version(&tools(1).layer(X86_64), 1).unwrap();
    assert_eq!(version.grants.len(), 1);
}

#[test]
fn other_content_is_a_new_version_and_so_is_the_return_to_the_old_one() {
    let mut world = World::new();
    for (version, content) in [(1, 1), (2, 2), (3, 1)] {
        let dropped = world.built(&tools(content));
        world.publishes(&dropped, Outcome::Published);
        let versions: Vec<u64> = (1..=version).collect();
        world.assert_at_rest(&versions, version);
    }
    let updates: Vec<_> = world
        .sent()
        .into_iter()
        .map(|sent| sent.changes.unwrap().updated)
        .collect();
    let update = |from: &str, to: &str| Update {
        name: "attrs".to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
    };
    assert_eq!(
        updates,
        [vec![], vec![update("1", "2")], vec![update("2", "1")]]
    );
}

#[test]
fn an_older_request_that_comes_late_changes_nothing() {
    let mut world = World::new();
    let older = world.built(&tools(1));
    let newer = world.built(&tools(2));
    world.publishes(&newer, Outcome::Published);
    world.publishes(&older, Outcome::Superseded);
    world.assert_at_rest(&[1], 1);
    assert_eq!(world.status(&older), Status::Superseded);
    let sent = world.sent();
    assert_eq!(sent[1].event, Event::LayerSuperseded);
    assert_eq!(sent[1].request_id, older.id);
    assert_eq!(sent[1].version_arn, sent[0].version_arn);
    assert_eq!(sent[1].digest, Some(tools(1).digest(X86_64)));
}

#[test]
fn an_unchanged_layer_takes_the_place_of_the_newer_request() {
    let mut world = World::new();
    let first = world.built(&tools(1));
    let second = world.built(&tools(2));
    let third = world.built(&tools(1));
    world.publishes(&first, Outcome::Published);
    world.publishes(&third, Outcome::Unchanged);
    world.publishes(&second, Outcome::Superseded);
    world.assert_at_rest(&[1], 1);
}

#[test]
fn an_event_that_comes_twice_makes_one_version() {
    let mut world = World::new();
    let dropped = world.built(&tools(1));
    world.publishes(&dropped, Outcome::Published);
    world.publishes(&dropped, Outcome::AlreadyRecorded);
    world.assert_at_rest(&[1], 1);
    assert_eq!(world.events(), [Event::LayerPublished]);
}

#[test]
fn an_event_that_comes_twice_at_the_same_time_makes_one_version() {
    // The second one begins at every step of the first one.
    for call in [
        Call::ReadState,
        Call::HeadArtifact,
        Call::Claim,
        Call::Publish,
        Call::StoreLayerManifest,
        Call::Record,
        Call::SetLatestVersion,
        Call::Send,
        Call::DeleteOutboxEntry,
    ] {
        let mut world = World::new();
        let dropped = world.built(&tools(1));
        let key = dropped.manifest(X86_64);
        let one = world.begin(Job::Publish(key.clone()), 0);
        world.run_to(one, call);
        let other = world.begin(Job::Publish(key), 0);
        world.run_to(other, Call::ReadState);
        world.fault(Call::Sleep, Verdict::DiesBefore);
        world.published(other);
        world.published(one).unwrap().unwrap();
        world.assert_at_rest(&[1], 1);
        assert_eq!(world.status(&dropped), Status::Published);
    }
}

#[test]
fn a_version_that_somebody_deleted_is_published_again() {
    let mut world = World::new();
    let first = world.built(&tools(1));
    world.publishes(&first, Outcome::Published);
    let (now, layer) = (world.now(), tools(1).layer(X86_64));
    world.shared().cloud.delete_version(&layer, 1, now);
    // The request that it was published for has had its version.
    world.publishes(&first, Outcome::AlreadyRecorded);
    let second = world.built(&tools(1));
    world.publishes(&second, Outcome::Published);
    world.assert_at_rest(&[2], 2);
}

#[test]
fn a_missing_artifact_is_a_failure_that_is_announced() {
    let mut world = World::new();
    let dropped = world.built(&tools(1));
    let artifacts = std::mem::take(&mut world.shared().cloud.artifacts);
    for _ in 0..2 {
        assert_eq!(world.fails(&dropped), "ArtifactMissing");
        assert_eq!(world.status(&dropped), Status::Failed);
        assert_eq!(world.events(), [Event::BuildFailed]);
    }
    let sent = world.sent();
    assert_eq!(sent[0].code.as_deref(), Some("ArtifactMissing"));
    assert!(sent[0].hint.is_some());
    assert_eq!(world.versions(), [0; 0]);
    assert_eq!(world.current(), 0);

    // Somebody restores it: a failure can turn out well.
    world.shared().cloud.artifacts = artifacts;
    world.publishes(&dropped, Outcome::Published);
    world.assert_at_rest(&[1], 1);
    assert_eq!(world.status(&dropped), Status::Published);
}

#[test]
fn an_artifact_that_was_changed_is_not_published() {
    let mut world = World::new();
    let dropped = world.built(&tools(1));
    for artifact in world.shared().cloud.artifacts.values_mut() {
        artifact.sha256 = None;
    }
    assert_eq!(world.fails(&dropped), "ArtifactDiffers");
    assert_eq!(world.versions(), [0; 0]);
    assert_eq!(world.status(&dropped), Status::Failed);
}

#[test]
fn a_publisher_that_is_throttled_gives_its_claim_up() {
    let mut world = World::new();
    let dropped = world.built(&tools(1));
    world.fault(Call::Publish, Verdict::Refused);
    assert_eq!(world.fails(&dropped), "Throttled");
    assert_eq!(world.current(), 0);
    assert_eq!(world.status(&dropped), Status::Built);
    assert_eq!(world.events(), []);
    world.publishes(&dropped, Outcome::Published);
    world.assert_at_rest(&[1], 1);
}

#[test]
fn a_refusal_by_lambda_is_a_failure_that_is_announced() {
    let mut world = World::new();
    let dropped = world.built(&tools(1));
    world.shared().cloud.storage_exceeded = true;
    assert_eq!(world.fails(&dropped), "StorageExceeded");
    assert_eq!(world.current(), 0);
    assert_eq!(world.status(&dropped), Status::Failed);
    assert_eq!(world.events(), [Event::BuildFailed]);
}

#[test]
fn a_version_whose_answer_was_lost_is_found() {
    let mut world = World::new();
    let dropped = world.built(&tools(1));
    world.fault(Call::Publish, Verdict::AnswerLost);
    world.publishes(&dropped, Outcome::Published);
    world.assert_at_rest(&[1], 1);
}

#[test]
fn a_version_that_never_comes_is_made_when_the_lease_is_over() {
    let mut world = World::new();
    let dropped = world.built(&tools(1));
    world.fault(Call::Publish, Verdict::Lost);
    assert_eq!(world.fails(&dropped), "ServiceUnavailable");
    world.pass(LEASE);
    world.publishes(&dropped, Outcome::AlreadyRecorded);
    world.assert_at_rest(&[1], 1);
}

#[test]
fn a_version_that_comes_late_is_found_when_the_lease_is_over() {
    let mut world = World::new();
    let dropped = world.built(&tools(1));
    world.fault(Call::Publish, Verdict::Late);
    assert_eq!(world.fails(&dropped), "ServiceUnavailable");
    world.land();
    // The claim is alive: there is nothing to do but to wait.
    assert_eq!(world.fails(&dropped), "LayerBusy");
    assert_eq!(world.status(&dropped), Status::Built);
    world.pass(LEASE);
    world.publishes(&dropped, Outcome::AlreadyRecorded);
    world.assert_at_rest(&[1], 1);
    assert_eq!(world.status(&dropped), Status::Published);
    assert_eq!(world.events(), [Event::LayerPublished]);
}

#[test]
fn a_dead_claim_is_finished_before_anything_newer() {
    for (call, verdict) in [
        (Call::Claim, Verdict::DiesAfter),
        (Call::Publish, Verdict::DiesAfter),
        (Call::StoreLayerManifest, Verdict::DiesBefore),
        (Call::Record, Verdict::DiesBefore),
    ] {
        let mut world = World::new();
        let first = world.built(&tools(1));
        world.dies(&first, call, verdict);
        let second = world.built(&tools(2));
        world.pass(LEASE);
        world.publishes(&second, Outcome::Published);
        world.assert_at_rest(&[1, 2], 2);
        assert_eq!(world.status(&first), Status::Published);
        let sent = world.sent();
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[0].request_id, first.id);
        assert_eq!(sent[1].changes.as_ref().unwrap().updated[0].from, "1");
    }
}

#[test]
fn a_dead_claim_is_finished_by_the_reconciler() {
    let mut world = World::new();
    let dropped = world.built(&tools(1));
    world.dies(&dropped, Call::Publish, Verdict::DiesAfter);
    world.pass(LEASE + Duration::from_mins(2));
    let reconciled = world.reconcile().unwrap().unwrap();
    let claims = 1;
    assert_eq!(
        reconciled,
        Reconciled {
            claims,
            ..Reconciled::default()
        }
    );
    world.assert_at_rest(&[1], 1);
    assert_eq!(world.reconcile().unwrap().unwrap(), Reconciled::default());
}

#[test]
fn a_claim_that_is_alive_is_left_alone() {
    let mut world = World::new();
    let dropped = world.built(&tools(1));
    world.dies(&dropped, Call::Publish, Verdict::DiesLate);
    world.pass(Duration::from_secs(179));
    assert_eq!(world.reconcile().unwrap().unwrap(), Reconciled::default());
    assert_eq!(world.versions(), [0; 0]);
    world.land();
    world.pass(Duration::from_mins(2));
    world.reconcile().unwrap().unwrap();
    world.assert_at_rest(&[1], 1);
}

#[test]
fn the_next_event_or_the_reconciler_announces_a_commit() {
    for (call, verdict, sent) in [
        (Call::Record, Verdict::DiesAfter, 1),
        (Call::Record, Verdict::AnswerLost, 1),
        (Call::SetLatestVersion, Verdict::DiesBefore, 1),
        (Call::Send, Verdict::DiesBefore, 1),
        (Call::Send, Verdict::DiesAfter, 2),
        (Call::DeleteOutboxEntry, Verdict::DiesBefore, 2),
        (Call::DeleteOutboxEntry, Verdict::DiesAfter, 1),
    ] {
        for is_reconciled in [false, true] {
            let mut world = World::new();
            let dropped = world.built(&tools(1));
            world.fault(call, verdict);
            let first = world.publish(&dropped.manifest(X86_64));
            assert_eq!(first.is_some(), verdict == Verdict::AnswerLost);
            assert_eq!(world.status(&dropped), Status::Published);
            if is_reconciled {
                world.pass(Duration::from_mins(2));
                let entries = world.outbox_entries();
                let reconciled = world.reconcile().unwrap().unwrap();
                assert_eq!(reconciled.outbox_entries, entries);
            } else {
                world.publishes(&dropped, Outcome::AlreadyRecorded);
            }
            world.assert_at_rest(&[1], 1);
            let notification = world.sent();
            assert_eq!(notification.len(), sent);
            assert!(notification.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }
}

#[test]
fn the_reconciler_announces_every_outcome() {
    let mut world = World::new();
    let first = world.built(&tools(1));
    world.publishes(&first, Outcome::Published);
    let superseded = world.built(&tools(2));
    let unchanged = world.built(&tools(1));
    world.dies(&unchanged, Call::Record, Verdict::DiesAfter);
    world.dies(&superseded, Call::Record, Verdict::DiesAfter);
    let failed = world.built(&tools(3));
    world.shared().cloud.artifacts.clear();
    world.dies(&failed, Call::Record, Verdict::DiesAfter);
    world.pass(Duration::from_mins(2));
    let reconciled = world.reconcile().unwrap().unwrap();
    assert_eq!(reconciled.outbox_entries, 3);
    let mut events = world.events();
    events.sort_by_key(|event| event.name());
    assert_eq!(
        events,
        [
            Event::BuildFailed,
            Event::LayerPublished,
            Event::LayerSuperseded,
            Event::LayerUnchanged,
        ]
    );
    world.assert_at_rest(&[1], 1);
}

#[test]
fn the_parameter_follows_when_two_publish_at_once() {
    let mut world = World::new();
    let first = world.built(&tools(1));
    let second = world.built(&tools(2));
    let slow = world.begin(Job::Publish(first.manifest(X86_64)), 0);
    world.run_to(slow, Call::SetLatestVersion);
    world.publishes(&second, Outcome::Published);
    assert_eq!(world.parameter().as_deref(), Some("2"));
    world.published(slow).unwrap().unwrap();
    world.assert_at_rest(&[1, 2], 2);
}

#[test]
fn the_reconciler_publishes_a_manifest_without_an_event() {
    let mut world = World::new();
    world.built(&tools(1));
    world.pass(Duration::from_mins(10));
    assert_eq!(world.reconcile().unwrap().unwrap(), Reconciled::default());
    world.pass(Duration::from_mins(10));
    let targets = 1;
    let reconciled = Reconciled {
        targets,
        ..Reconciled::default()
    };
    assert_eq!(world.reconcile().unwrap().unwrap(), reconciled);
    world.assert_at_rest(&[1], 1);
}

#[test]
fn a_build_of_which_nothing_is_heard_is_taken_for_lost_in_the_end() {
    let mut world = World::new();
    let dropped = world.drop(&tools(1));
    world.dispatch(&dropped.message).unwrap().unwrap();
    world.pass(SILENCE_UNTIL_LOST.saturating_sub(Duration::from_secs(1)));
    assert_eq!(world.reconcile().unwrap().unwrap(), Reconciled::default());
    assert_eq!(world.status(&dropped), Status::Received);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.reconcile().unwrap().unwrap().targets, 1);
    assert_eq!(world.status(&dropped), Status::Failed);
    let sent = world.sent();
    assert_eq!(sent[0].code.as_deref(), Some("BuildLost"));
    assert_eq!(sent[0].manifest, None);
    assert_eq!(world.reconcile().unwrap().unwrap(), Reconciled::default());

    // It was only slow.
    world.build();
    world.publishes(&dropped, Outcome::Published);
    assert_eq!(world.status(&dropped), Status::Published);
}

/// The state machine hands the failure over again if the publisher died.
#[test]
fn a_build_that_fails_is_recorded_and_announced_wherever_the_publisher_dies() {
    for call in [Call::Record, Call::Send, Call::DeleteOutboxEntry] {
        for verdict in [Verdict::DiesBefore, Verdict::DiesAfter, Verdict::DiesLate] {
            let mut world = World::new();
            let dropped = world.drop(&tools(1));
            world.dispatch(&dropped.message).unwrap().unwrap();
            let build = world.shared().cloud.started[0].clone();
            world.fault(call, verdict);
            assert!(world.record_failure(&build, None).is_none());
            world.land();
            world.record_failure(&build, None).unwrap().unwrap();
            assert_eq!(world.status(&dropped), Status::Failed);
            world.pass(Duration::from_mins(2));
            world.reconcile().unwrap().unwrap();
            assert_eq!(world.outbox_entries(), 0);
            let sent = world.sent();
            assert_eq!(sent[0].event, Event::BuildFailed);
            assert_eq!(sent[0].code.as_deref(), Some(BUILD_BROKEN));
            assert!(sent.windows(2).all(|pair| pair[0] == pair[1]), "{sent:?}");
        }
    }
}

#[test]
fn a_failure_that_comes_late_changes_nothing() {
    let mut world = World::new();
    let dropped = world.built(&tools(1));
    let build = world.shared().cloud.started[0].clone();
    let soon = world.now().after(Duration::from_mins(1));
    world.record_failure(&build, Some(soon)).unwrap().unwrap();
    assert_eq!(world.status(&dropped), Status::Built);
    world.publishes(&dropped, Outcome::Published);
    for next_attempt_at in [None, Some(soon)] {
        let recorded = world.record_failure(&build, next_attempt_at);
        recorded.unwrap().unwrap();
        assert_eq!(world.status(&dropped), Status::Published);
    }
    assert_eq!(world.events(), [Event::LayerPublished]);
    world.assert_at_rest(&[1], 1);
}

#[test]
fn a_build_that_is_tried_again_waits_and_is_not_announced() {
    let mut world = World::new();
    let dropped = world.drop(&tools(1));
    world.dispatch(&dropped.message).unwrap().unwrap();
    let build = world.shared().cloud.started[0].clone();
    let soon = world.now().after(Duration::from_mins(1));
    world.record_failure(&build, Some(soon)).unwrap().unwrap();
    assert_eq!(world.status(&dropped), Status::Waiting);
    assert_eq!(world.events(), []);
    world.build();
    world.publishes(&dropped, Outcome::Published);
    world.assert_at_rest(&[1], 1);
}

/// A build that waits is not given up, and newer requests come first.
#[test]
fn a_build_that_waits_is_not_lost_and_keeps_its_place_in_the_order() {
    let mut world = World::new();
    let older = world.drop(&tools(1));
    world.dispatch(&older.message).unwrap().unwrap();
    for _ in 0..3 {
        for status in [Status::Building, Status::Waiting] {
            assert!(world.record(&older, status), "{status}");
            assert_eq!(world.status(&older), status);
            world.pass(SILENCE_UNTIL_LOST.saturating_sub(Duration::from_secs(1)));
            assert_eq!(world.reconcile().unwrap().unwrap(), Reconciled::default());
        }
    }
    let newer = world.built(&tools(2));
    world.publishes(&newer, Outcome::Published);
    assert_eq!(world.status(&older), Status::Built);
    // What is behind it comes too late.
    for status in [Status::Waiting, Status::Building] {
        assert!(!world.record(&older, status), "{status}");
    }
    world.publishes(&older, Outcome::Superseded);
    assert!(!world.record(&older, Status::Waiting));
    assert_eq!(world.status(&older), Status::Superseded);
}

#[test]
fn a_manifest_that_cannot_be_read_is_a_failure_in_the_end() {
    let mut world = World::new();
    let dropped = world.built(&tools(1));
    for text in world.shared().cloud.manifests.values_mut() {
        *text = b"{".to_vec();
    }
    assert_eq!(world.fails(&dropped), "ManifestInvalid");
    assert_eq!(world.status(&dropped), Status::Built);
    world.pass(Duration::from_mins(20));
    assert_eq!(world.reconcile().unwrap().unwrap().targets, 1);
    assert_eq!(world.status(&dropped), Status::Failed);
    let [sent] = &world.sent()[..] else {
        panic!("one notification");
    };
    assert_eq!(sent.code.as_deref(), Some("ManifestInvalid"));
    assert_eq!(
        sent.manifest.as_ref().unwrap().key,
        dropped.manifest(X86_64)
    );
}

#[test]
fn a_manifest_that_is_not_there_is_a_failure_for_the_queue() {
    let mut world = World::new();
    let dropped = world.drop(&tools(1));
    assert_eq!(world.fails(&dropped), "ManifestMissing");
    assert_eq!(world.sent(), []);
}

#[test]
fn a_permission_that_lambda_refuses_is_in_nobodys_way() {
    let mut world = World::new();
    let first = world.built(&tools(1));
    world.publishes(&first, Outcome::Published);
    let refused = world.built(&tools(2).grant(UNKNOWN_ACCOUNT));
    // However often it is tried, it leaves one version and no claim.
    for _ in 0..3 {
        assert_eq!(world.fails(&refused), "PrincipalInvalid");
        assert_eq!(world.versions(), [1, 2]);
        assert_eq!(world.current(), 1);
    }
    assert_eq!(world.status(&refused), Status::Failed);
    assert_eq!(world.events(), [Event::LayerPublished, Event::BuildFailed]);

    // What is wanted next is published: the version that is there, if it has that content.
    let mended = world.built(&tools(2).grant(ACCOUNT));
    world.publishes(&mended, Outcome::Published);
    world.assert_at_rest(&[1, 2], 2);
    let next = world.built(&tools(3));
    world.publishes(&next, Outcome::Published);
    world.assert_at_rest(&[1, 2, 3], 3);
}

#[test]
fn a_dead_claim_that_cannot_be_finished_is_in_nobodys_way() {
    let mut world = World::new();
    let refused = world.built(&tools(1).grant(UNKNOWN_ACCOUNT));
    world.dies(&refused, Call::Grant, Verdict::DiesBefore);
    world.pass(LEASE);
    let next = world.built(&tools(2));
    world.publishes(&next, Outcome::Published);
    world.assert_at_rest(&[1, 2], 2);
    assert_eq!(world.status(&refused), Status::Failed);
}

#[test]
fn a_version_is_finished_though_its_artifact_is_gone() {
    let mut world = World::new();
    let dropped = world.built(&tools(1));
    world.dies(&dropped, Call::Publish, Verdict::DiesAfter);
    world.shared().cloud.artifacts.clear();
    world.pass(LEASE + Duration::from_mins(2));
    world.reconcile().unwrap().unwrap();
    world.assert_at_rest(&[1], 1);
    assert_eq!(world.status(&dropped), Status::Published);
}

// Reviews

/// The time until an orphan check: two leases, and the time until the reconciler takes work up.
const REVIEW: Duration = Duration::from_mins(8);

#[test]
fn an_orphan_check_corrects_a_parameter_that_is_written_late() {
    let mut world = World::new();
    let first = world.built(&tools(1));
    world.dies(&first, Call::SetLatestVersion, Verdict::DiesLate);
    let second = world.built(&tools(2));
    world.publishes(&second, Outcome::Published);
    world.land();
    assert_eq!(world.parameter().as_deref(), Some("1"));
    world.pass(REVIEW);
    let reconciled = world.reconcile().unwrap().unwrap();
    assert_eq!(
        (reconciled.outbox_entries, reconciled.orphan_checks),
        (1, 1)
    );
    world.assert_at_rest(&[1, 2], 2);
    // Once it is at rest, nothing is left to do.
    world.pass(REVIEW);
    assert_eq!(world.reconcile().unwrap().unwrap(), Reconciled::default());
}

/// A version that was asked for under a lease, and comes into being when somebody else has
/// published in its place.
fn late_version(world: &mut World) -> Dropped {
    let first = world.built(&tools(1));
    world.dies(&first, Call::Publish, Verdict::DiesLate);
    world.pass(LEASE);
    world.publishes(&first, Outcome::AlreadyRecorded);
    world.assert_at_rest(&[1], 1);
    first
}

#[test]
fn a_version_that_comes_after_its_lease_raises_an_alarm() {
    let mut world = World::new();
    late_version(&mut world);
    world.land();
    assert_eq!(world.versions(), [1, 2]);
    world.pass(REVIEW);
    let alarm = (tools(1).layer(X86_64), 2);
    for (orphans, alarms) in [(1, vec![alarm]), (0, vec![])] {
        let reconciled = alarms::listen(|| world.reconcile().unwrap().unwrap());
        assert_eq!(reconciled.orphans, orphans);
        assert_eq!(alarms::take(), alarms);
        world.pass(Duration::from_mins(20));
    }
    // It is in nobody's way.
    let next = world.built(&tools(2));
    world.publishes(&next, Outcome::Published);
    world.assert_at_rest(&[1, 2, 3], 3);
}

#[test]
fn a_layer_whose_claim_was_taken_over_is_watched_for_an_hour() {
    let mut world = World::new();
    late_version(&mut world);
    world.pass(REVIEW);
    for _ in 0..4 {
        let reconciled = world.reconcile().unwrap().unwrap();
        assert_eq!((reconciled.orphan_checks, reconciled.orphans), (1, 0));
        world.pass(Duration::from_mins(13));
        assert_eq!(world.reconcile().unwrap().unwrap(), Reconciled::default());
        world.pass(Duration::from_mins(4));
    }
    world.land();
    let reconciled = world.reconcile().unwrap().unwrap();
    assert_eq!((reconciled.orphan_checks, reconciled.orphans), (1, 1));
    world.pass(Duration::from_hours(1));
    assert_eq!(world.reconcile().unwrap().unwrap(), Reconciled::default());
}

#[test]
fn a_version_of_a_failed_publication_raises_an_alarm() {
    let mut world = World::new();
    let refused = world.built(&tools(1).grant(UNKNOWN_ACCOUNT));
    assert_eq!(world.fails(&refused), "PrincipalInvalid");
    world.pass(REVIEW);
    let reconciled = world.reconcile().unwrap().unwrap();
    assert_eq!((reconciled.orphan_checks, reconciled.orphans), (1, 1));
}

#[test]
fn a_version_that_somebody_is_publishing_raises_no_alarm() {
    let mut world = World::new();
    late_version(&mut world);
    world.pass(REVIEW);
    let second = world.built(&tools(2));
    let reconciler = world.begin(Job::Reconcile, 0);
    world.run_to(reconciler, Call::ListVersions);
    let publisher = world.begin(Job::Publish(second.manifest(X86_64)), 0);
    world.run_to(publisher, Call::Record);
    let Some(Ended::Reconciled(outcome)) = world.finish(reconciler) else {
        panic!("it reconciles");
    };
    assert_eq!(outcome.unwrap().orphans, 0);
    world.published(publisher).unwrap().unwrap();
    world.pass(REVIEW);
    assert_eq!(world.reconcile().unwrap().unwrap().orphan_checks, 1);
    world.assert_at_rest(&[1, 2], 2);
}

// Building

#[test]
fn a_build_that_dies_anywhere_is_repeated() {
    for call in [
        Call::PutArtifact,
        Call::DescribeArtifact,
        Call::PutLock,
        Call::PutManifest,
    ] {
        for verdict in [
            Verdict::DiesBefore,
            Verdict::DiesAfter,
            Verdict::DiesLate,
            Verdict::AnswerLost,
        ] {
            let mut world = World::new();
            let dropped = world.drop(&tools(1));
            world.dispatch(&dropped.message).unwrap().unwrap();
            world.fault(call, verdict);
            let order = world.shared().cloud.started[0].clone();
            let builder = world.begin(Job::Build(order.clone()), 0);
            match world.finish(builder) {
                None => assert!(verdict.is_death()),
                Some(Ended::Built(built)) => assert!(built.is_err()),
                ended => unreachable!("{ended:?}"),
            }
            let again = world.begin(Job::Build(order), 0);
            let Some(Ended::Built(Ok(()))) = world.finish(again) else {
                panic!("{call:?}, {verdict:?}");
            };
            world.land();
            assert_eq!(world.shared().cloud.written, [dropped.manifest(X86_64)]);
            world.publishes(&dropped, Outcome::Published);
            world.assert_at_rest(&[1], 1);
        }
    }
}
