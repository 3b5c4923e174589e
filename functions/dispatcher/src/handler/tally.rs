//! Metrics of the requests of a message.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use accretion_core::Fault;
use accretion_core::request::RequestId;
use accretion_lambda::metrics::{Metric, Metrics, Outcome};
use accretion_service::ports::{Milestone, Observer};
use tracing::Span;

/// Counts each request of a message once, when its dispatch ends.
#[derive(Debug)]
pub(super) struct Tally {
    metrics: Metrics,
    current: Mutex<Current>,
}

/// The dispatch in progress.
#[derive(Debug)]
struct Current {
    since: Instant,
    request: Option<RequestId>,
    outcome: Option<Outcome>,
    /// The code of its rejection.
    code: Option<&'static str>,
}

impl Current {
    fn new(request: Option<RequestId>) -> Self {
        Self {
            since: Instant::now(),
            request,
            outcome: None,
            code: None,
        }
    }
}

impl Tally {
    /// Begins with a message.
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            current: Mutex::new(Current::new(None)),
        }
    }

    /// Ends with the message. `fault` is the reason why SQS delivers it again.
    pub(super) fn end(&self, fault: Option<&impl Fault>) {
        self.next(None, fault.map(Fault::code));
    }

    /// Counts the last request, and begins with the next one.
    fn next(&self, request: Option<RequestId>, failure: Option<&'static str>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let last = std::mem::replace(&mut *current, Current::new(request));
        drop(current);
        if last.request.is_none() && failure.is_none() {
            // The message had no request.
            return;
        }
        let mut line = self.metrics.event("dispatched");
        line = line.duration(&Metric::DISPATCH_DURATION, last.since.elapsed());
        if let Some(id) = last.request {
            line = line.property("request_id", id);
        }
        if let Some(outcome) = last.outcome {
            line = line.count(&Metric::REQUESTS, outcome);
        }
        if let Some(code) = failure {
            line = line.count_code(&Metric::FAILED_DISPATCHES, code);
        } else if let Some(code) = last.code {
            line = line.count_code(&Metric::REJECTED_REQUESTS, code);
        }
        line.write();
    }

    fn decide(&self, outcome: Outcome, code: Option<&'static str>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.outcome = Some(outcome);
        current.code = code;
    }
}

impl Observer for Tally {
    fn on(&self, milestone: Milestone<'_>) {
        match milestone {
            Milestone::Received(request) => {
                self.next(Some(request.id.clone()), None);
                // From here on every line about the message has it.
                Span::current().record("request_id", request.id.as_str());
            }
            Milestone::Accepted(_) => self.decide(Outcome::Accepted, None),
            Milestone::Rejected { code, .. } => self.decide(Outcome::Rejected, Some(code)),
            Milestone::Repeated(_) => self.decide(Outcome::Repeated, None),
            Milestone::TargetEnded { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use accretion_core::request::RequestRef;
    use accretion_service::Error;
    use accretion_service::ports::{Origin, Rejected};
    use accretion_testing::emf::{self, Lines};

    use super::*;

    fn request(key: &str) -> RequestRef {
        RequestRef {
            id: RequestId::of_object("inbox", key, "1"),
            received_at: "2026-11-20T10:00:00.000Z".parse().unwrap(),
        }
    }

    /// The lines of a message: of each, its request, its metrics but durations, and dimensions.
    fn lines(work: impl FnOnce(&Tally)) -> Vec<String> {
        let memory = Lines::default();
        let metrics = Metrics::to("Accretion/stack".to_owned(), memory.clone());
        work(&Tally::new(metrics));
        let lines = memory.read().into_iter().map(|line| {
            assert_eq!(emf::problems(&line), [""; 0], "{line}");
            let metrics = emf::metrics(&line).into_iter().map(|it| {
                let dimensions = it.dimensions.iter().flatten();
                let values: Vec<_> = dimensions.filter_map(|name| line[name].as_str()).collect();
                format!("{}={}", it.name, values.join(","))
            });
            let mut metrics: Vec<_> = metrics.collect();
            assert!(metrics.contains(&"DispatchDuration=".to_owned()), "{line}");
            metrics.retain(|it| it != "DispatchDuration=");
            let id = line["request_id"].as_str().map_or("none", |id| &id[..2]);
            format!("{id}: {}", metrics.join(" "))
        });
        lines.collect()
    }

    fn failure() -> Error {
        let problem = "secret".to_owned();
        Error::MessageUnknown { problem }
    }

    #[test]
    fn a_request_is_counted_once_and_by_what_became_of_it() {
        let [a, b] = [request("a"), request("b")];
        let rejected = Rejected {
            request: b.clone(),
            project: None,
            origin: Origin::Message("m-1".to_owned()),
            reason: "secret".to_owned(),
            codes: vec!["JsonInvalid".to_owned()],
        };
        let told = lines(|tally| {
            tally.on(Milestone::Received(&a));
            tally.on(Milestone::Repeated(&a));
            tally.on(Milestone::Received(&b));
            tally.on(Milestone::Rejected {
                rejected: &rejected,
                code: "JsonInvalid",
            });
            tally.end(None::<&Error>);
        });
        let (a, b) = (&a.id.as_str()[..2], &b.id.as_str()[..2]);
        let expected = [
            format!("{a}: Requests=Repeated"),
            format!("{b}: Requests=Rejected RejectedRequests=JsonInvalid"),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_message_that_comes_again_counts_as_failed_beside_what_is_recorded() {
        let a = request("a");
        let told = lines(|tally| {
            tally.on(Milestone::Received(&a));
            tally.on(Milestone::Repeated(&a));
            tally.end(Some(&failure()));
        });
        let id = &a.id.as_str()[..2];
        let expected = format!("{id}: Requests=Repeated FailedDispatches=MessageUnknown");
        assert_eq!(told, [expected]);
    }

    #[test]
    fn what_is_no_request_is_none() {
        assert_eq!(lines(|tally| tally.end(None::<&Error>)), [""; 0]);
        assert_eq!(
            lines(|tally| tally.end(Some(&failure()))),
            ["none: FailedDispatches=MessageUnknown"]
        );
    }
}
