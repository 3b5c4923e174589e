//! Lambda's records of invocations that it has given up.

use serde_json::{Map, Value};

use crate::delivery::Delivery;
use crate::excerpt::{shown, shown_within};
use crate::keys;
use crate::request::RequestId;

/// An asynchronous invocation that failed as often as Lambda tries, or waited for too long.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FailedInvocation {
    /// The payload that the function was invoked with.
    pub payload: Value,
}

/// A text that tells of no invocation, or not of what it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseFailedInvocationError {
    /// It is not a JSON object.
    #[error("it is not a JSON object: {0}")]
    NotAnObject(String),
    /// It does not say what the function was invoked with.
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
        let record: Result<Map<String, Value>, _> = serde_json::from_str(record);
        let mut record = record
            .map_err(|error| ParseFailedInvocationError::NotAnObject(shown(&error.to_string())))?;
        match record.remove("requestPayload") {
            None | Some(Value::Null) => Err(ParseFailedInvocationError::NoPayload),
            Some(payload) => Ok(Self { payload }),
        }
    }

    /// The requests whose artifact manifests were to be published from, as far as the payload is an
    /// event of S3 that tells of such.
    pub fn requests(&self) -> Vec<RequestId> {
        let keys = self.keys();
        let ids = keys.iter();
        ids.filter_map(|key| keys::request_of_manifest(key))
            .collect()
    }

    /// The keys of the objects that the payload tells of, if it is an event of S3.
    pub fn keys(&self) -> Vec<String> {
        match Delivery::parse(&self.payload.to_string()) {
            Ok(Delivery::Objects(objects)) => objects.into_iter().map(|it| it.key).collect(),
            _ => Vec::new(),
        }
    }
}

/// The part of a function's own message that is of use, in characters.
const MESSAGE_CHARS: usize = 600;

/// The cause of a failed invocation, as far as its record says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demise {
    /// The condition under which Lambda gave it up, such as `RetriesExhausted`.
    pub condition: Option<String>,
    /// The code of the last error.
    pub code: Option<String>,
    /// The message of the last error.
    pub message: Option<String>,
}

impl Demise {
    /// Reads what [`FailedInvocation::parse`] reads, and misses nothing: what is not there is not
    /// known.
    pub fn parse(record: &str) -> Self {
        let record: Value = serde_json::from_str(record).unwrap_or_default();
        let text = |object: &str, name: &str| {
            record[object][name]
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
    fn keeps_what_the_function_was_invoked_with() {
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

        for payload in [json!({"Task": "repair"}), json!("text"), json!({})] {
            let failed = FailedInvocation::parse(&record(&payload)).unwrap();
            assert_eq!(failed.payload, payload);
            assert_eq!(failed.requests(), []);
            assert_eq!(failed.keys(), [""; 0]);
        }
    }

    #[test]
    fn says_what_it_died_of_as_far_as_it_is_known() {
        let demise = Demise::parse(&record(&json!({"Task": "repair"})));
        assert_eq!(demise.condition.as_deref(), Some("RetriesExhausted"));
        assert_eq!(demise.code.as_deref(), Some("AccessDenied"));
        assert_eq!(demise.message.as_deref(), Some("…"));
        for record in [
            "",
            "[]",
            "{}",
            r#"{"responsePayload": "text", "requestContext": []}"#,
        ] {
            assert_eq!(Demise::parse(record), Demise::default(), "{record}");
        }
    }

    #[test]
    fn says_what_it_cannot_read() {
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
