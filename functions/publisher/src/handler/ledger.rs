//! Metrics of target outcomes.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::Status;
use accretion_lambda::metrics::{Metric, Metrics, Outcome};
use accretion_service::ports::{Milestone, Observer, TargetOutcome};

/// The code of a target whose build was given up. The end of that was counted before: as a failure,
/// or by AWS as an execution that timed out or was aborted.
const BUILD_LOST: &str = "BuildLost";

/// Counts each target when its outcome is recorded, which happens once.
#[derive(Debug)]
pub(super) struct Ledger {
    metrics: Metrics,
    /// The manifest that is being published from.
    current: Mutex<Option<(String, Instant)>>,
}

impl Ledger {
    /// A ledger of one invocation.
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            current: Mutex::default(),
        }
    }

    /// Notes the start of publishing from a manifest.
    pub(super) fn begin(&self, key: &str) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Some((key.to_owned(), Instant::now()));
    }

    /// The start of publishing from the manifest of an outcome, if that was noted.
    fn since(&self, ended: &TargetOutcome) -> Option<Instant> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (key, since) = current.as_ref()?;
        (ended.manifest_key.as_ref() == Some(key)).then_some(*since)
    }

    fn count(&self, ended: &TargetOutcome, code: Option<&'static str>) {
        let (request, entry) = (&ended.request, &ended.outbox_entry);
        let mut line = self
            .metrics
            .event("target ended")
            .property("request_id", &request.id)
            .property("runtime", entry.target.python())
            .property("architecture", entry.target.architecture());
        if let Some(since) = self.since(ended) {
            line = line.duration(&Metric::PUBLISH_DURATION, since.elapsed());
        }
        let outcome = match (ended.status, code) {
            (Status::Published, _) => Outcome::Published,
            (Status::Unchanged, _) => Outcome::Unchanged,
            (Status::Superseded, _) => Outcome::Superseded,
            (_, Some(BUILD_LOST)) => Outcome::Lost,
            _ => Outcome::Failed,
        };
        if matches!(outcome, Outcome::Published | Outcome::Unchanged) {
            let now = Timestamp::from(jiff::Timestamp::now());
            line = line.duration(&Metric::REQUEST_DURATION, now.since(request.received_at));
        }
        if let (Outcome::Failed, Some(code)) = (outcome, code) {
            line = line.count_code(&Metric::FAILURES, code);
        }
        line.count(&Metric::TARGETS, outcome).write();
    }
}

impl Observer for Ledger {
    fn on(&self, milestone: Milestone<'_>) {
        if let Milestone::TargetEnded { outcome, code } = milestone {
            self.count(outcome, code);
        }
    }
}

#[cfg(test)]
mod tests {
    use accretion_core::Fault as _;
    use accretion_core::notification::{Event, Notification};
    use accretion_core::request::{RequestId, RequestRef};
    use accretion_core::target::{Compatibility, Target};
    use accretion_service::Error;
    use accretion_service::ports::OutboxEntry;
    use accretion_testing::emf::{self, Lines};
    use serde_json::Value;

    use super::*;

    const KEY: &str = "accretion/manifests/data-tools/a.manifest";

    fn a_target() -> Compatibility {
        Target::from_slug("py313-arm64").unwrap().into()
    }

    fn ended(status: Status) -> TargetOutcome {
        let request = RequestRef {
            id: RequestId::of_object("inbox", "a.json", "1"),
            received_at: "2026-11-20T10:00:00.000Z".parse().unwrap(),
        };
        let target = a_target();
        let event = Event::LayerPublished;
        TargetOutcome {
            status,
            manifest_key: Some(KEY.to_owned()),
            digest: None,
            change: None,
            outbox_entry: OutboxEntry {
                project: "data-tools".parse().unwrap(),
                target: target.target(),
                notification: Notification::of_layer(event, &request, "data-tools", &target),
            },
            request,
        }
    }

    /// The line of an outcome.
    fn line(begun: &str, status: Status, code: Option<&'static str>) -> Value {
        let lines = Lines::default();
        let ledger = Ledger::new(Metrics::to("Accretion/stack".to_owned(), lines.clone()));
        ledger.begin(begun);
        let outcome = &ended(status);
        ledger.on(Milestone::TargetEnded { outcome, code });
        let [line] = &lines.read()[..] else {
            panic!("one line for one target");
        };
        assert_eq!(emf::problems(line), [""; 0], "{line}");
        assert_eq!(line["request_id"], outcome.request.id.as_str());
        line.clone()
    }

    #[test]
    fn a_target_is_counted_by_what_came_of_it() {
        let refused = Some("LayerRefused");
        for (status, code, outcome, failure, is_there) in [
            (Status::Published, None, "Published", Value::Null, true),
            (Status::Unchanged, None, "Unchanged", Value::Null, true),
            (Status::Superseded, None, "Superseded", Value::Null, false),
            (Status::Failed, refused, "Failed", 1.into(), false),
            (Status::Failed, Some(BUILD_LOST), "Lost", Value::Null, false),
        ] {
            let line = line(KEY, status, code);
            assert_eq!(line["Targets"], 1, "{line}");
            assert_eq!(line["Outcome"], outcome, "{line}");
            assert_eq!(line["Failures"], failure, "{line}");
            assert_eq!(line["RequestDuration"].is_u64(), is_there, "{line}");
            assert!(line["PublishDuration"].is_u64(), "{line}");
        }
    }

    #[test]
    fn only_what_was_begun_is_timed() {
        let line = line("another", Status::Published, None);
        assert!(line["PublishDuration"].is_null(), "{line}");
    }

    #[test]
    fn a_lost_build_has_the_code_of_the_use_case() {
        let since = "2026-11-20T10:00:00.000Z".parse().unwrap();
        assert_eq!(Error::BuildLost { since }.code(), BUILD_LOST);
    }
}
