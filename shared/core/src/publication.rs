//! The publication state of a layer, and the next step about one more artifact.
//!
//! The state of a layer is one item of a table, read consistently and changed conditionally. From
//! it alone follows the next [`Step`]; nothing here has effects.

use crate::digest::{Digest, Sha256};
use crate::request::RequestRef;
use crate::timestamp::Timestamp;

/// The state of a layer in the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerState {
    /// The number of changes of the item; 0 if it does not exist yet.
    pub revision: u64,
    /// The current version.
    pub published: Option<Published>,
    /// The publication in progress.
    pub claim: Option<Claim>,
    /// True if Lambda may have an orphaned version above the current one: left by a claim that was
    /// released.
    pub may_have_orphan: bool,
    /// The time of the next [orphan check](OrphanCheck), where nothing is claimed; `None` if none is
    /// due.
    pub check_at: Option<Timestamp>,
    /// The end of the orphan-check window, in which the check repeats and searches for orphaned
    /// versions; `None` if no attempt has died or failed at the layer since its last check.
    pub check_window_until: Option<Timestamp>,
    /// The highest number of a version that an orphan check has seen.
    pub checked_version: u64,
}

/// The check of a layer that follows each claim on it, once every call of the time before has taken
/// effect: the latest-version parameter names the current version, and, where that is in doubt,
/// every version in Lambda is recorded.
///
/// The parameter cannot be written conditionally, so a late write may replace a newer value. And
/// Lambda may create a version after the lease of the publisher that asked for it, when another one
/// has published in its place. Nothing prevents that, but the check reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrphanCheck {
    /// The time when every call of the time before has taken effect.
    pub at: Timestamp,
    /// The end of the time in which Lambda may have, or get, an orphaned version; `None` leaves the
    /// window as it is.
    pub window_until: Option<Timestamp>,
}

/// The current version of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The newest request that wanted this content.
    pub request: RequestRef,
    /// The digest of its content.
    pub digest: Digest,
    /// SHA-256 of its artifact, Lambda's `CodeSha256`.
    pub artifact_sha256: Sha256,
    /// The number of the version.
    pub version: u64,
    /// The ARN of the layer, without the version.
    pub layer_arn: String,
    /// The ARN of the version.
    pub version_arn: String,
    /// The key of the artifact manifest that it was published from.
    pub manifest_key: String,
}

/// The right to publish a version of a layer, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The owner: unique to one attempt.
    pub owner: String,
    /// The request that is being published.
    pub request: RequestRef,
    /// The key of the artifact manifest that is being published.
    pub manifest_key: String,
    /// The end of the lease, in which no other attempt may publish. Its owner ends before it.
    pub lease_until: Timestamp,
}

/// An artifact that might be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The request that it was built for.
    pub request: RequestRef,
    /// The digest of its content.
    pub digest: Digest,
}

/// The next step about a [`Candidate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'a> {
    /// Nothing: the current version belongs to this request.
    AlreadyPublished(&'a Published),
    /// Record that a newer request was published before.
    Superseded(&'a Published),
    /// Another attempt is publishing: read the state again soon.
    Wait(&'a Claim),
    /// An attempt died while publishing: finish its claim first.
    TakeOver(&'a Claim),
    /// The content is the same: record that nothing changes, if the version still exists, and
    /// publish otherwise.
    Compare(&'a Published),
    /// Publish a new version.
    Publish,
}

impl LayerState {
    /// The next step about a candidate.
    pub fn next(&self, candidate: &Candidate, now: Timestamp) -> Step<'_> {
        if let Some(published) = &self.published {
            if candidate.request == published.request {
                return Step::AlreadyPublished(published);
            }
            if candidate.request < published.request {
                return Step::Superseded(published);
            }
        }
        match (&self.claim, &self.published) {
            (Some(claim), _) if now < claim.lease_until => Step::Wait(claim),
            (Some(claim), _) => Step::TakeOver(claim),
            (None, Some(published)) if published.digest == candidate.digest => {
                Step::Compare(published)
            }
            (None, _) => Step::Publish,
        }
    }

    /// The number of the current version; 0 if there is none.
    pub fn version(&self) -> u64 {
        self.published
            .as_ref()
            .map_or(0, |published| published.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::RequestId;

    fn request(second: i64) -> RequestRef {
        RequestRef {
            received_at: Timestamp::from_milliseconds(second * 1000).unwrap(),
            id: RequestId::of_message(&second.to_string()),
        }
    }

    fn digest(content: &str) -> Digest {
        Digest(Sha256::of(content.as_bytes()))
    }

    fn published(second: i64, content: &str) -> Published {
        Published {
            request: request(second),
            digest: digest(content),
            artifact_sha256: Sha256::of(content.as_bytes()),
            version: 7,
            layer_arn: "arn:layer".to_owned(),
            version_arn: "arn:layer:7".to_owned(),
            manifest_key: "m".to_owned(),
        }
    }

    fn claim(second: i64, lease_until: i64) -> Claim {
        Claim {
            owner: "publisher".to_owned(),
            request: request(second),
            manifest_key: "m".to_owned(),
            lease_until: Timestamp::from_milliseconds(lease_until * 1000).unwrap(),
        }
    }

    #[test]
    fn one_read_decides() {
        let now = Timestamp::from_milliseconds(100_000).unwrap();
        let candidate = |second, content| Candidate {
            request: request(second),
            digest: digest(content),
        };
        let state = |published, claim| LayerState {
            revision: 1,
            published,
            claim,
            ..LayerState::default()
        };
        let fresh = state(None, None);
        let idle = state(Some(published(50, "a")), None);
        let claimed = state(Some(published(50, "a")), Some(claim(60, 101)));
        let dead = state(Some(published(50, "a")), Some(claim(60, 100)));

        assert_eq!(fresh.next(&candidate(1, "a"), now), Step::Publish);
        assert_eq!(idle.next(&candidate(51, "b"), now), Step::Publish);
        let current = idle.published.as_ref().unwrap();
        assert_eq!(idle.next(&candidate(51, "a"), now), Step::Compare(current));
        assert_eq!(
            idle.next(&candidate(50, "a"), now),
            Step::AlreadyPublished(current)
        );
        // A newer request decides what the content is, whether it differs or not.
        for content in ["a", "b"] {
            for state in [&idle, &claimed, &dead] {
                let step = state.next(&candidate(49, content), now);
                assert_eq!(step, Step::Superseded(current));
            }
            let wait = Step::Wait(claimed.claim.as_ref().unwrap());
            assert_eq!(claimed.next(&candidate(51, content), now), wait);
            let take_over = Step::TakeOver(dead.claim.as_ref().unwrap());
            assert_eq!(dead.next(&candidate(51, content), now), take_over);
        }
        // Two events of one manifest: the second one waits for the first one's outcome.
        let mine = state(None, Some(claim(60, 101)));
        assert!(matches!(mine.next(&candidate(60, "a"), now), Step::Wait(_)));
    }
}
