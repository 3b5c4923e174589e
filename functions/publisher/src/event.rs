//! What the publisher is invoked with.

use accretion_core::delivery::{Delivery, InboxObject};
use accretion_lambda::Error;
use serde_json::Value;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Publish from artifact manifests, which S3 says are new.
    Publish(Vec<InboxObject>),
    /// Finish what was left undone.
    Repair,
}

impl Work {
    /// Reads an event of S3 about the artifacts bucket, or the schedule's.
    pub(crate) fn read(event: &Value, artifacts_bucket: &str) -> Result<Self, Error> {
        let invalid = |problem: String| Error::EventInvalid { problem };
        if let Some(task) = event.get("Task") {
            return match task.as_str() {
                Some("repair") => Ok(Self::Repair),
                _ => Err(invalid("there is no such `Task`".to_owned())),
            };
        }
        let delivery = Delivery::parse(&event.to_string());
        let objects = match delivery.map_err(|error| invalid(error.to_string()))? {
            Delivery::Objects(objects) => objects,
            Delivery::Test => vec![],
            Delivery::Request => {
                return Err(invalid("it is neither of S3 nor a `Task`".to_owned()));
            }
        };
        match objects
            .iter()
            .find(|object| object.bucket != artifacts_bucket)
        {
            Some(foreign) => Err(invalid(format!(
                "it is about the bucket `{}`",
                foreign.bucket
            ))),
            None => Ok(Self::Publish(objects)),
        }
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

    #[test]
    fn reads_what_s3_and_the_schedule_say() {
        let read = |event| Work::read(&event, "artifacts");
        assert_eq!(read(json!({"Task": "repair"})).unwrap(), Work::Repair);
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
    fn refuses_everything_else() {
        for (event, problem) in [
            (json!({}), "neither of S3"),
            (json!({"Task": "tidy"}), "no such `Task`"),
            (json!({"Task": 1}), "no such `Task`"),
            (json!([]), "not a JSON object"),
            (json!({"Records": [{}]}), "no usable `eventSource`"),
            (event("elsewhere"), "the bucket `elsewhere`"),
        ] {
            let error = Work::read(&event, "artifacts").unwrap_err();
            assert_eq!(error.code(), "EventInvalid");
            assert!(error.to_string().contains(problem), "{error}");
        }
    }
}
