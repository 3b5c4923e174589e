//! What Lambda says of an invocation that it has given up.

use serde_json::{Map, Value};

use crate::delivery::Delivery;
use crate::error::shown;
use crate::keys;
use crate::request::RequestId;

/// An asynchronous invocation that failed as often as Lambda tries, or waited for too long.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FailedInvocation {
    /// What the function was invoked with.
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
        let Ok(Delivery::Objects(objects)) = Delivery::parse(&self.payload.to_string()) else {
            return Vec::new();
        };
        let ids = objects.iter();
        ids.filter_map(|object| keys::request_of_manifest(&object.key))
            .collect()
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

        for payload in [json!({"Task": "repair"}), json!("text"), json!({})] {
            let failed = FailedInvocation::parse(&record(&payload)).unwrap();
            assert_eq!(failed.payload, payload);
            assert_eq!(failed.requests(), []);
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
