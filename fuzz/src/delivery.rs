use std::fmt::Write as _;
use std::str;

use accretion_core::delivery::{Delivery, InboxObject};
use accretion_core::invocation::FailedInvocation;
use accretion_core::keys;
use accretion_core::request::{ProjectName, RequestId};
use accretion_core::timestamp::Timestamp;
use accretion_python::request::InputKind;
use serde_json::json;

use crate::report;

/// Messages of the request queue, and the records of failed invocations.
///
/// An event that is accepted says the same when S3 says it again; its times sort as texts; what is
/// made of a key is a project's name or none.
pub fn delivery(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    match Delivery::parse(text) {
        Ok(Delivery::Objects(objects)) => {
            objects.iter().for_each(check);
            let event = json!({"Records": objects.iter().map(record).collect::<Vec<_>>()});
            let again = Delivery::parse(&event.to_string());
            if !objects.is_empty() {
                assert_eq!(again, Ok(Delivery::Objects(objects)), "{event}");
            }
        }
        Ok(Delivery::Test | Delivery::Request) => {}
        Err(error) => report::check_line(&error.to_string()),
    }
    match FailedInvocation::parse(text) {
        Ok(failed) => failed.requests().iter().for_each(|id| {
            assert_eq!(id.as_str().parse().as_ref(), Ok(id));
        }),
        Err(error) => report::check_line(&error.to_string()),
    }
}

fn check(object: &InboxObject) {
    assert!(!object.bucket.is_empty() && !object.key.is_empty());
    let time = object.event_time.to_string();
    assert_eq!(time.parse().as_ref(), Ok(&object.event_time), "{time}");
    let first: Timestamp = "2026-11-20T10:00:00Z".parse().expect("it is a time");
    assert_eq!(
        time.cmp(&first.to_string()),
        object.event_time.cmp(&first),
        "{time} does not sort as a text"
    );
    assert_eq!(
        Timestamp::from_milliseconds(object.event_time.milliseconds()),
        Some(object.event_time)
    );
    let id = RequestId::of_object(&object.bucket, &object.key, object.version());
    assert_eq!(id.as_str().parse().as_ref(), Ok(&id));
    if let Some(project) = object
        .folder()
        .and_then(|it| it.parse::<ProjectName>().ok())
    {
        assert!(object.key.contains(project.as_str()));
    }
    match InputKind::of(&object.key, b"{}") {
        Ok(_) => {}
        Err(unsupported) => assert!(!unsupported.hint.is_empty()),
    }
    let _ = keys::request_of_manifest(&object.key);
}

/// An object's record as S3 writes it.
fn record(object: &InboxObject) -> serde_json::Value {
    let key = object.key.bytes().fold(String::new(), |mut key, byte| {
        if byte.is_ascii_alphanumeric() || b"/-._*".contains(&byte) {
            key.push(char::from(byte));
        } else if byte == b' ' {
            key.push('+');
        } else {
            let _ = write!(key, "%{byte:02X}");
        }
        key
    });
    json!({
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "eventTime": object.event_time.to_string(),
        "s3": {
            "bucket": {"name": object.bucket},
            "object": {
                "key": key,
                "versionId": object.version_id,
                "sequencer": object.sequencer,
            },
        },
    })
}
