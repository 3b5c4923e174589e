//! Records of invocations that Lambda has given up.

use serde_json::{Map, Value};

use crate::delivery::Delivery;
use crate::excerpt::{shown, shown_within};
use crate::keys;
use crate::request::RequestId;

/// An asynchronous invocation that Lambda has given up: all attempts failed, or it waited too long.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FailedInvocation {
    /// The payload of the invocation.
    pub payload: Value,
}

/// A text that is no record of a failed invocation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseFailedInvocationError {
    /// It is not a JSON object.
    #[error("it is not a JSON object: {0}")]
    NotAnObject(String),
    /// It lacks the payload of the invocation.
    #[error("it has no `requestPayload`")]
    NoPayload,
}

impl FailedInvocation {
    /// Reads the record that Lambda sends to a function's on-failure destination.
    ///
    /// Lambda leaves out the payload of a record that would be larger than the destination takes.
    ///
    /// Source: AWS Lambda Developer Guide, "Capturing records of Lambda asynchronous invocations".
    pub fn parse(record: &str) -> Result<Self, ParseFailedInvocationError> {
        let mut members: Map<String, Value> = serde_json::from_str(record)
            .map_err(|error| ParseFailedInvocationError::NotAnObject(shown(&error.to_string())))?;
        match members.remove("requestPayload") {
            None | Some(Value::Null) => Err(ParseFailedInvocationError::NoPayload),
            Some(payload) => Ok(Self { payload }),
        }
    }

    /// The requests of the artifact manifests that the payload names, if it is an event of S3.
    pub fn requests(&self) -> Vec<RequestId> {
        self.keys()
            .iter()
            .filter_map(|key| keys::request_of_manifest(key))
            .collect()
    }

    /// The keys of the objects that the payload names, if it is an event of S3.
    pub fn keys(&self) -> Vec<String> {
        match Delivery::parse(&self.payload.to_string()) {
            Ok(Delivery::Objects(objects)) => objects.into_iter().map(|it| it.key).collect(),
            _ => Vec::new(),
        }
    }
}

/// The most characters of an error message that are shown.
const MESSAGE_CHARS: usize = 600;

/// The cause of a failed invocation, as far as its record has one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailureCause {
    /// The reason why Lambda has given it up, such as `RetriesExhausted`.
    pub condition: Option<String>,
    /// The code of the last error.
    pub code: Option<String>,
    /// The message of the last error.
    pub message: Option<String>,
}

impl FailureCause {
    /// Reads the same record as [`FailedInvocation::parse`]. Missing members are `None`.
    pub fn parse(record: &str) -> Self {
        let document: Value = serde_json::from_str(record).unwrap_or_default();
        let text = |object: &str, name: &str| {
            document[object][name]
                .as_str()
                .filter(|text| !text.is_empty())
                .map(|text| shown_within(text, MESSAGE_CHARS))
        };
        Self {
            condition: text("requestContext", "condition"),
            code: text("responsePayload", "errorType"),
            message: text("responsePayload", "errorMessage"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(payload: &Value) -> String {
        json!({
            "version": "1.0",
            "timestamp": "2026-11-20T10:03:05.568Z",
            "requestContext": {
                "requestId": "e4b46cbf-b738-4f2b-8880-a18cdf61200e",
                "functionArn": "arn:aws:lambda:eu-west-1:123456789012:function:publisher:$LATEST",
                "condition": "RetriesExhausted",
                "approximateInvokeCount": 3,
            },
            "requestPayload": payload,
            "responseContext": {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": "Unhandled",
            },
            "responsePayload": {"errorType": "AccessDenied", "errorMessage": "…"},
        })
        .to_string()
    }

    #[test]
    fn keeps_the_payload() {
        let id = RequestId::of_message("1");
        let object = |key: &str| {
            json!({
                "eventSource": "aws:s3",
                "eventTime": "2026-11-20T10:00:00.123Z",
                "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": "artifacts"}, "object": {"key": key, "size": 1}},
            })
        };
        let manifest = format!("accretion/manifests/data-tools/{id}-py313-arm64.manifest");
        let event = json!({"Records": [object(&manifest), object("accretion/else.json")]});
        let failed = FailedInvocation::parse(&record(&event)).unwrap();
        assert_eq!(failed.payload, event);
        assert_eq!(failed.requests(), [id]);
        assert_eq!(failed.keys(), [&manifest, "accretion/else.json"]);

        for payload in [json!({"Task": "Reconcile"}), json!("text"), json!({})] {
            let failed = FailedInvocation::parse(&record(&payload)).unwrap();
            assert_eq!(failed.payload, payload);
            assert_eq!(failed.requests(), []);
            assert_eq!(failed.keys(), [""; 0]);
        }
    }

    #[test]
    fn reads_the_cause_as_far_as_the_record_has_one() {
        let cause = FailureCause::parse(&record(&json!({"Task": "Reconcile"})));
        assert_eq!(cause.condition.as_deref(), Some("RetriesExhausted"));
        assert_eq!(cause.code.as_deref(), Some("AccessDenied"));
        assert_eq!(cause.message.as_deref(), Some("…"));
        for record in [
            "",
            "[]",
            "{}",
            r#"{"responsePayload": "text", "requestContext": []}"#,
        ] {
            assert_eq!(
                FailureCause::parse(record),
                FailureCause::default(),
                "{record}"
            );
        }
    }

    #[test]
    fn reports_what_it_cannot_read() {
        for text in ["", "no", "[]", "null", "{"] {
            let error = FailedInvocation::parse(text).unwrap_err();
            assert!(
                matches!(error, ParseFailedInvocationError::NotAnObject(_)),
                "{text}"
            );
        }
        for text in ["{}", &record(&Value::Null), r#"{"Records": []}"#] {
            let error = FailedInvocation::parse(text).unwrap_err();
            assert_eq!(error, ParseFailedInvocationError::NoPayload, "{text}");
        }
    }
}
