//! Messages of the request queue.

use serde_json::{Map, Value};

use crate::excerpt::shown;
use crate::keys;
use crate::timestamp::Timestamp;

/// A message of the request queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// S3 tries out whether the queue can be reached, when notifications are set up.
    Test,
    /// Objects were dropped into the inbox.
    Objects(Vec<InboxObject>),
    /// The message itself is to be read as a request.
    Request,
}

/// A version of an object of the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxObject {
    /// The bucket.
    pub bucket: String,
    /// The key, decoded.
    pub key: String,
    /// The version's id; `None` in a bucket without versions.
    pub version_id: Option<String>,
    /// The sequence number that tells apart the events of one key, in hexadecimal.
    pub sequencer: String,
    /// The time at which S3 stored it.
    pub event_time: Timestamp,
}

/// A message that no sender can have meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseDeliveryError {
    /// It is not a JSON object.
    #[error("it is not a JSON object: {0}")]
    NotAnObject(String),
    /// It is an event of S3 in which something is missing or not what it should be.
    #[error("record {record} of the event has no usable `{field}`")]
    Record {
        /// The record's index, from 0.
        record: usize,
        /// The path of the member.
        field: &'static str,
    },
}

impl Delivery {
    /// Reads a message's body.
    ///
    /// Source of the events' form: Amazon S3 User Guide, "Event message structure".
    pub fn parse(body: &str) -> Result<Self, ParseDeliveryError> {
        let not_an_object = |problem: &dyn std::fmt::Display| {
            ParseDeliveryError::NotAnObject(shown(&problem.to_string()))
        };
        let message: Map<String, Value> =
            serde_json::from_str(body).map_err(|error| not_an_object(&error))?;
        if message.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
            return Ok(Self::Test);
        }
        let Some(list) = message.get("Records") else {
            return Ok(Self::Request);
        };
        let records = list.as_array().map(Vec::as_slice).unwrap_or_default();
        if records.is_empty() {
            return Err(not_an_object(&"`Records` is not a list of records"));
        }
        let objects = records
            .iter()
            .enumerate()
            .filter(|(_, record)| !is_other_event(record))
            .map(|(index, record)| object(index, record));
        objects.collect::<Result<_, _>>().map(Self::Objects)
    }
}

/// Returns whether a record announces anything but a new object, such as a deletion.
fn is_other_event(record: &Value) -> bool {
    let name = record["eventName"].as_str();
    let is_other = |name: &str| !name.trim_start_matches("s3:").starts_with("ObjectCreated:");
    name.is_some_and(|name| !name.is_empty() && is_other(name))
}

fn object(record: usize, value: &Value) -> Result<InboxObject, ParseDeliveryError> {
    let missing = |field| ParseDeliveryError::Record { record, field };
    let text = |value: &'_ Value, field| -> Result<String, ParseDeliveryError> {
        let text = value.as_str().filter(|text| !text.is_empty());
        text.map(ToOwned::to_owned).ok_or_else(|| missing(field))
    };
    if value["eventSource"] != "aws:s3" {
        return Err(missing("eventSource"));
    }
    text(&value["eventName"], "eventName")?;
    let event_time = text(&value["eventTime"], "eventTime")?
        .parse()
        .map_err(|_| missing("eventTime"))?;
    let object = &value["s3"]["object"];
    let encoded = text(&object["key"], "s3.object.key")?;
    let key = decode(&encoded).ok_or_else(|| missing("s3.object.key"))?;
    let version_id = object["versionId"].as_str().filter(|id| !id.is_empty());
    Ok(InboxObject {
        bucket: text(&value["s3"]["bucket"]["name"], "s3.bucket.name")?,
        key,
        version_id: version_id.map(ToOwned::to_owned),
        sequencer: object["sequencer"].as_str().unwrap_or_default().to_owned(),
        event_time,
    })
}

/// Decodes a key: events have it as HTML forms have their values.
fn decode(key: &str) -> Option<String> {
    let spaced = key.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8();
    decoded.ok().map(std::borrow::Cow::into_owned)
}

impl InboxObject {
    /// The version id or, in a bucket without versions, the sequencer.
    pub fn version(&self) -> &str {
        self.version_id.as_deref().unwrap_or(&self.sequencer)
    }

    /// Returns whether it is a folder, as consoles make them: nothing to be read.
    pub fn is_folder(&self) -> bool {
        self.key.ends_with('/')
    }

    /// Returns whether it is a file that requests may name: no request itself.
    pub fn is_file(&self) -> bool {
        self.key.starts_with(keys::FILES)
    }

    /// The part before the last one: the folder that the object is in.
    pub fn folder(&self) -> Option<&str> {
        self.key.rsplit('/').nth(1)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({"Records": [{
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "eu-west-1",
            "eventTime": "2026-11-20T10:00:00.123Z",
            "eventName": "ObjectCreated:Put",
            "s3": {
                "bucket": {"name": "inbox", "arn": "arn:aws:s3:::inbox"},
                "object": {
                    "key": "requests/data+tools/%C3%BCn%2Bicode.txt",
                    "size": 12,
                    "versionId": "v1",
                    "sequencer": "0055AED6DCD90281E5",
                },
            },
        }]})
    }

    fn parse(value: &Value) -> Result<Delivery, ParseDeliveryError> {
        Delivery::parse(&value.to_string())
    }

    #[test]
    fn reads_events_of_s3() {
        let Ok(Delivery::Objects(objects)) = parse(&event()) else {
            panic!("it is an event");
        };
        let [object] = &objects[..] else {
            panic!("it has one record");
        };
        assert_eq!(object.key, "requests/data tools/ün+icode.txt");
        assert_eq!(object.folder(), Some("data tools"));
        assert_eq!(object.version(), "v1");
        assert_eq!(object.event_time.to_string(), "2026-11-20T10:00:00.123Z");
    }

    #[test]
    fn a_sequencer_stands_in_for_a_version() {
        let mut event = event();
        let object = event.pointer_mut("/Records/0/s3/object").unwrap();
        object.as_object_mut().unwrap().remove("versionId");
        let Ok(Delivery::Objects(objects)) = parse(&event) else {
            panic!("it is an event");
        };
        assert_eq!(objects[0].version_id, None);
        assert_eq!(objects[0].version(), "0055AED6DCD90281E5");
    }

    #[test]
    fn ignores_what_is_no_new_object() {
        let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "inbox"});
        assert_eq!(parse(&test), Ok(Delivery::Test));
        let mut removed = event();
        removed["Records"][0]["eventName"] = json!("ObjectRemoved:Delete");
        assert_eq!(parse(&removed), Ok(Delivery::Objects(vec![])));
    }

    #[test]
    fn takes_other_objects_for_requests() {
        assert_eq!(parse(&json!({})), Ok(Delivery::Request));
        assert_eq!(parse(&json!({"Name": "tools"})), Ok(Delivery::Request));
    }

    #[test]
    fn says_what_it_cannot_read() {
        for body in [
            "",
            "no",
            "[]",
            "\"text\"",
            "{",
            "null",
            r#"{"Records": []}"#,
            r#"{"Records": 1}"#,
        ] {
            let error = Delivery::parse(body).unwrap_err();
            assert!(
                matches!(error, ParseDeliveryError::NotAnObject(_)),
                "{body}"
            );
        }
        for (pointer, field) in [
            ("/Records/0/eventSource", "eventSource"),
            ("/Records/0/eventName", "eventName"),
            ("/Records/0/eventTime", "eventTime"),
            ("/Records/0/s3/bucket/name", "s3.bucket.name"),
            ("/Records/0/s3/object/key", "s3.object.key"),
            ("/Records/0/s3", "s3.object.key"),
        ] {
            for value in [json!(null), json!(1), json!(""), json!([])] {
                let mut event = event();
                *event.pointer_mut(pointer).unwrap() = value;
                let error = parse(&event).unwrap_err();
                assert_eq!(error, ParseDeliveryError::Record { record: 0, field });
            }
        }
        let mut event = event();
        event["Records"][0]["s3"]["object"]["key"] = json!("%FF");
        let field = "s3.object.key";
        assert_eq!(
            parse(&event),
            Err(ParseDeliveryError::Record { record: 0, field })
        );
    }
}
