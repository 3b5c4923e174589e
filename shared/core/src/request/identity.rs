//! Which request it is, and which of two is the newer one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::Sha256;
use crate::timestamp::Timestamp;

/// The identity of a request: 32 lowercase hexadecimal digits.
///
/// Whoever drops a request into the inbox can work it out from what S3 answers: the first half of
/// the SHA-256 over the bucket, the key and the version id, each followed by a newline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(String);

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

    /// The identity as a string.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// One of 16 equally likely digits: what indexes of the tables are spread by.
    pub fn shard(&self) -> &str {
        &self.0[..1]
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no request's identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the id of a request: 32 lowercase hexadecimal digits are expected")]
pub struct ParseRequestIdError(String);

impl FromStr for RequestId {
    type Err = ParseRequestIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == Self::DIGITS && text.bytes().all(digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseRequestIdError(crate::error::shown(text)))
        }
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
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
    /// When it was received. Compared first.
    pub received_at: Timestamp,
    /// The request's identity.
    pub id: RequestId,
}

#[cfg(test)]
mod tests {
    use super::*;

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
