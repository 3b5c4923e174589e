//! The names of projects, the identities of requests, and the order of requests.

use serde::{Deserialize, Serialize};
use serde_with::{DeserializeFromStr, SerializeDisplay};

use crate::digest::Sha256;
use crate::limits::Limits;
use crate::text::{ParseTextError, is_name};
use crate::text_types;
use crate::timestamp::{self, Timestamp};

text_types! {
    /// The name of a project: 1 to 70 letters, digits, `-` and `_`, all ASCII.
    ProjectName, |text| is_name(text, Limits::NAME_CHARS),
        "a project name has 1 to 70 letters, digits, `-` and `_`";
    /// The identity of a request: 32 lowercase hexadecimal digits.
    ///
    /// A sender can work it out from S3's answer to the request's upload: it is the first half of
    /// the SHA-256 over the bucket, the key and the version id, each followed by a newline.
    #[derive(SerializeDisplay, DeserializeFromStr)]
    RequestId, is_request_id,
        "`{}` is not the id of a request: 32 lowercase hexadecimal digits are expected";
}

fn is_request_id(text: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == RequestId::DIGITS && text.bytes().all(is_digit)
}

impl RequestId {
    /// The identity of the request in a version of an object.
    ///
    /// In a bucket without versions, the event's sequencer stands in for the version id.
    pub fn of_object(bucket: &str, key: &str, version_id: &str) -> Self {
        Self::of(&[bucket, key, version_id])
    }

    /// The identity of the request in a message of the request queue.
    pub fn of_message(message_id: &str) -> Self {
        Self::of(&["message", message_id])
    }

    fn of(parts: &[&str]) -> Self {
        let mut text = String::new();
        for part in parts {
            text.push_str(part);
            text.push('\n');
        }
        let mut digits = Sha256::of(text.as_bytes()).to_string();
        digits.truncate(Self::DIGITS);
        Self(digits)
    }

    const DIGITS: usize = 32;

    /// One of 16 equally likely digits: what indexes of the tables are spread by.
    pub fn shard(&self) -> &str {
        &self.0[..1]
    }
}

/// A request's identity and its place among all requests: the later one is the newer one, and of
/// two at the same millisecond the one whose id sorts last.
///
/// The time is that of the service that took the request (the `eventTime` of S3, the
/// `SentTimestamp` of SQS), never a clock of ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RequestRef {
    /// The time at which it was received. Compared first.
    pub received_at: Timestamp,
    /// The request's identity.
    pub id: RequestId,
}

impl RequestRef {
    /// The request in a message of the request queue, which SQS took at `sent_at`.
    ///
    /// A message that was sent before says so in its attributes, and is what it was then. It can't
    /// be newer than it is: no request takes a place in the order that has not come yet.
    ///
    /// # Errors
    ///
    /// [`IdentityAttributesError`] for attributes that are incomplete, malformed, or of the future.
    pub fn of_message(
        message_id: &str,
        sent_at: Timestamp,
        attributes: &IdentityAttributes,
    ) -> Result<Self, IdentityAttributesError> {
        let (id, received_at) = match (&attributes.request_id, &attributes.received_at) {
            (None, None) => {
                return Ok(Self {
                    received_at: sent_at,
                    id: RequestId::of_message(message_id),
                });
            }
            (Some(id), Some(received_at)) => (id, received_at),
            _ => return Err(IdentityAttributesError::Incomplete),
        };
        let time: Timestamp = received_at
            .parse()
            .map_err(IdentityAttributesError::ReceivedAt)?;
        if time.to_string() != *received_at {
            let error = ParseTextError::new(timestamp::RULE, received_at);
            return Err(IdentityAttributesError::ReceivedAt(error));
        }
        if time > sent_at {
            return Err(IdentityAttributesError::Future { time, sent_at });
        }
        Ok(Self {
            received_at: time,
            id: id.parse().map_err(IdentityAttributesError::RequestId)?,
        })
    }
}

/// The attributes of a message that was sent before: which request it brings, and since when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityAttributes {
    /// The request's identity.
    pub request_id: Option<String>,
    /// The time at which the request was received, as [`Timestamp`] writes it.
    pub received_at: Option<String>,
}

impl IdentityAttributes {
    /// The name of the attribute with the request's identity.
    pub const REQUEST_ID: &str = "RequestId";

    /// The name of the attribute with the time.
    pub const RECEIVED_AT: &str = "ReceivedAt";

    /// The attributes that keep a request what it is.
    pub fn of(request: &RequestRef) -> Self {
        Self {
            request_id: Some(request.id.to_string()),
            received_at: Some(request.received_at.to_string()),
        }
    }
}

/// A problem of a message's [`IdentityAttributes`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityAttributesError {
    /// One of them stands alone.
    #[error("`RequestId` and `ReceivedAt` go together, and one of them is missing")]
    Incomplete,
    /// The identity is none.
    #[error("`RequestId`: {0}")]
    RequestId(ParseTextError),
    /// The time is none, or is written in another way.
    #[error("`ReceivedAt`: {0}")]
    ReceivedAt(ParseTextError),
    /// The time is after the message's own.
    #[error("`ReceivedAt`: {time} is later than {sent_at}, when the message was sent")]
    Future {
        /// The time that it states.
        time: Timestamp,
        /// The time at which SQS took the message.
        sent_at: Timestamp,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT_AT: &str = "2026-11-20T10:00:00.500Z";

    fn of_message(
        request_id: Option<&str>,
        received_at: Option<&str>,
    ) -> Result<RequestRef, IdentityAttributesError> {
        let attributes = IdentityAttributes {
            request_id: request_id.map(ToOwned::to_owned),
            received_at: received_at.map(ToOwned::to_owned),
        };
        RequestRef::of_message("m-1", SENT_AT.parse().unwrap(), &attributes)
    }

    #[test]
    fn a_message_is_what_its_attributes_say_that_it_was() {
        let first = of_message(None, None).unwrap();
        assert_eq!(first.id, RequestId::of_message("m-1"));
        assert_eq!(first.received_at.to_string(), SENT_AT);

        let before = RequestRef {
            received_at: "2026-11-06T10:00:00.123Z".parse().unwrap(),
            id: RequestId::of_message("m-0"),
        };
        let attributes = IdentityAttributes::of(&before);
        let sent_at = SENT_AT.parse().unwrap();
        for message in ["m-1", "m-2"] {
            let again = RequestRef::of_message(message, sent_at, &attributes);
            assert_eq!(again, Ok(before.clone()));
        }
        // SQS may take it within the millisecond.
        assert!(of_message(Some(before.id.as_str()), Some(SENT_AT)).is_ok());
    }

    #[test]
    fn attributes_are_both_there_and_sound() {
        const ID: &str = "0ce43a345624ab7be5105730f7afc664";
        const TIME: &str = "2026-11-06T10:00:00.123Z";
        assert!(of_message(Some(ID), Some(TIME)).is_ok());
        for (id, time, problem) in [
            (Some(ID), None, "go together"),
            (None, Some(TIME), "go together"),
            (Some(""), Some(TIME), "`RequestId`: `` is not the id"),
            (Some("me"), Some(TIME), "`RequestId`: `me` is not the id"),
            (Some(ID), Some(""), "`ReceivedAt`: `` is not a point"),
            (Some(ID), Some("1763632800123"), "is not a point"),
            (Some(ID), Some("2026-11-06T10:00:00Z"), "is not a point"),
            (
                Some(ID),
                Some("2026-11-06T11:00:00.123+01:00"),
                "is not a point",
            ),
            (
                Some(ID),
                Some("2026-11-20T10:00:00.501Z"),
                "is later than 2026-11-20T10:00:00.500Z",
            ),
        ] {
            let error = of_message(id, time).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn an_identity_is_what_anybody_can_work_out() {
        let id = RequestId::of_object("inbox", "requests/tools.json", "v1");
        // printf 'inbox\nrequests/tools.json\nv1\n' | sha256sum | cut -c-32
        assert_eq!(id.as_str(), "0ce43a345624ab7be5105730f7afc664");
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        assert_ne!(
            id,
            RequestId::of_object("inbox", "requests/tools.json", "v2")
        );
        assert_ne!(
            RequestId::of_object("a", "b\nc", ""),
            RequestId::of_object("a", "b", "c")
        );
        for text in [
            "",
            "0",
            "G0000000000000000000000000000000",
            "A0000000000000000000000000000000",
        ] {
            assert!(text.parse::<RequestId>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_time_decides_first() {
        let at = |received_at: &str, id: &str| RequestRef {
            received_at: received_at.parse().unwrap(),
            id: RequestId::of_message(id),
        };
        assert!(at("2026-11-20T10:00:00.000Z", "b") < at("2026-11-20T10:00:00.001Z", "a"));
        let (one, other) = (
            at("2026-11-20T10:00:00Z", "a"),
            at("2026-11-20T10:00:00Z", "b"),
        );
        assert_eq!(one.cmp(&other), one.id.cmp(&other.id));
    }
}
