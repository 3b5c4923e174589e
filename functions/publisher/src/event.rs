//! The events of the publisher.

use accretion_core::delivery::{Delivery, InboxObject};
use accretion_core::request::{ProjectName, RequestId, RequestRef};
use accretion_core::target::{Compatibility, LayerTarget, Runtime};
use accretion_core::timestamp::Timestamp;
use accretion_core::tracking::Failure;
use accretion_lambda::Error;
use accretion_service::ports::BuildOrder;
use serde::Deserialize;
use serde_json::Value;

/// The work of an invocation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Publish from new artifact manifests.
    Publish(Vec<InboxObject>),
    /// Finish the work that other invocations have left undone.
    Reconcile,
    /// Record a build that failed, and announce it unless its execution tries again.
    RecordFailure {
        build: BuildOrder,
        failure: Failure,
        next_attempt_at: Option<Timestamp>,
    },
}

/// A failure as the state machine hands it over.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CaughtFailure {
    build: Build,
    error: String,
    #[serde(default)]
    cause: String,
    next_attempt_at: Option<Timestamp>,
}

/// The input of an execution.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Build {
    request_id: RequestId,
    received_at: Timestamp,
    project_name: String,
    target: LayerTarget,
    /// The runtimes of a merged layer.
    #[serde(default)]
    runtimes: Vec<Runtime>,
}

impl Work {
    /// Reads an event of S3 about the artifacts bucket, or a task of the schedule or the state
    /// machine.
    pub(crate) fn read(event: &Value, artifacts_bucket: &str) -> Result<Self, Error> {
        let invalid = |problem: String| Error::EventInvalid { problem };
        if let Some(task) = event.get("Task") {
            return match task.as_str() {
                Some("Reconcile") => Ok(Self::Reconcile),
                Some("RecordFailure") => Self::failure(event).map_err(invalid),
                _ => Err(invalid("its `Task` is unknown".to_owned())),
            };
        }
        let delivery = Delivery::parse(&event.to_string());
        let objects = match delivery.map_err(|error| invalid(error.to_string()))? {
            Delivery::Objects(objects) => objects,
            Delivery::Test => vec![],
            Delivery::Request => {
                return Err(invalid(
                    "it is neither an event of S3 nor a `Task`".to_owned(),
                ));
            }
        };
        match objects
            .iter()
            .find(|object| object.bucket != artifacts_bucket)
        {
            Some(foreign) => Err(invalid(format!("its bucket is `{}`", foreign.bucket))),
            None => Ok(Self::Publish(objects)),
        }
    }

    fn failure(event: &Value) -> Result<Self, String> {
        let caught = CaughtFailure::deserialize(event).map_err(|error| error.to_string())?;
        let build = caught.build;
        let project: Result<ProjectName, _> = build.project_name.parse();
        let target = match build.target {
            LayerTarget::One(target) => Some(target.into()),
            LayerTarget::Merged(_) => Compatibility::new(build.target, build.runtimes),
        };
        Ok(Self::RecordFailure {
            build: BuildOrder {
                request: RequestRef {
                    id: build.request_id,
                    received_at: build.received_at,
                },
                project: project.map_err(|_| "its `ProjectName` is invalid")?,
                target: target.ok_or("its `Runtimes` do not fit its `Target`")?,
            },
            failure: Failure::caught(&caught.error, &caught.cause),
            next_attempt_at: caught.next_attempt_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use accretion_core::Fault as _;
    use serde_json::json;

    use super::*;

    fn event(bucket: &str) -> Value {
        json!({"Records": [{
            "eventSource": "aws:s3",
            "eventTime": "2026-11-20T10:00:00.123Z",
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": {"name": bucket},
                "object": {"key": "accretion/manifests/data+tools/a%2Bb.manifest", "sequencer": "1"},
            },
        }]})
    }

    fn failure() -> Value {
        json!({
            "Task": "RecordFailure",
            "Build": {
                "RequestId": "0ce43a345624ab7be5105730f7afc664",
                "ReceivedAt": "2026-11-20T10:00:00.000Z",
                "ProjectName": "data-tools",
                "Runtimes": ["python3.12", "python3.13"],
                "Architecture": "arm64",
                "Target": "py-arm64",
                "LayerName": "data-tools-py-arm64",
            },
            "Error": "UpstreamUnavailable",
            "Cause": r#"{"errorType":"UpstreamUnavailable","errorMessage":"no answer\nhint: wait"}"#,
            "NextAttemptAt": "2026-11-20T10:01:00.000Z",
        })
    }

    #[test]
    fn reads_the_events_of_s3_and_of_the_schedule() {
        let read = |event| Work::read(&event, "artifacts");
        assert_eq!(read(json!({"Task": "Reconcile"})).unwrap(), Work::Reconcile);
        assert_eq!(
            read(json!({"Event": "s3:TestEvent"})).unwrap(),
            Work::Publish(vec![])
        );
        let Work::Publish(objects) = read(event("artifacts")).unwrap() else {
            panic!("it is of S3");
        };
        assert_eq!(
            objects[0].key,
            "accretion/manifests/data tools/a+b.manifest"
        );
    }

    #[test]
    fn reads_a_failure_of_the_state_machine() {
        let Work::RecordFailure {
            build,
            failure,
            next_attempt_at,
        } = Work::read(&failure(), "artifacts").unwrap()
        else {
            panic!("it is a failure");
        };
        assert_eq!(
            build.execution(),
            "0ce43a345624ab7be5105730f7afc664-py-arm64"
        );
        let runtimes = [Runtime::Python312, Runtime::Python313];
        assert!(build.target.runtimes().eq(runtimes));
        assert_eq!(
            failure,
            Failure {
                code: "UpstreamUnavailable".to_owned(),
                reason: "no answer".to_owned(),
                hint: Some("wait".to_owned()),
            }
        );
        assert_eq!(next_attempt_at, "2026-11-20T10:01:00.000Z".parse().ok());

        let mut event = self::failure();
        event["Build"]["Target"] = json!("py313");
        let event_object = event.as_object_mut().unwrap();
        event_object.remove("NextAttemptAt");
        event_object.remove("Cause");
        let Work::RecordFailure {
            build,
            next_attempt_at: None,
            ..
        } = Work::read(&event, "artifacts").unwrap()
        else {
            panic!("it is a final failure");
        };
        assert!(build.target.runtimes().eq([Runtime::Python313]));
    }

    #[test]
    fn refuses_everything_else() {
        let without = |name: &str| {
            let mut event = failure();
            let (parent, member) = name.rsplit_once('/').unwrap();
            let parent = event.pointer_mut(parent).unwrap();
            parent.as_object_mut().unwrap().remove(member);
            event
        };
        for (event, problem) in [
            (json!({}), "neither an event of S3"),
            (json!({"Task": "tidy"}), "`Task` is unknown"),
            (json!({"Task": 1}), "`Task` is unknown"),
            (json!([]), "not a JSON object"),
            (json!({"Records": [{}]}), "no usable `eventSource`"),
            (event("elsewhere"), "bucket is `elsewhere`"),
            (without("/Error"), "missing field `Error`"),
            (without("/Build/RequestId"), "missing field `RequestId`"),
            (without("/Build/Runtimes"), "`Runtimes` do not fit"),
        ] {
            let error = Work::read(&event, "artifacts").unwrap_err();
            assert_eq!(error.code(), "EventInvalid");
            assert!(error.to_string().contains(problem), "{error}");
        }
    }
}
