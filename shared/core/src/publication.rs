//! The state of a layer's publication, and the next step for one more artifact.
//!
//! The state of a layer is one item of a table, read consistently and changed conditionally. From
//! it alone follows the next [`Step`]; nothing here has effects.

use crate::digest::{Digest, Sha256};
use crate::request::RequestRef;
use crate::timestamp::Timestamp;

/// The table's record of a layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerState {
    /// The number of changes of the item; 0 if there is none yet.
    pub revision: u64,
    /// The version that stands.
    pub published: Option<Published>,
    /// The claim on the layer, while a version is being published.
    pub claim: Option<Claim>,
    /// True if Lambda may have a version above the one that stands that was never recorded: left by
    /// a claim that was given up.
    pub has_stray: bool,
    /// The time at which the layer is [reviewed](Review), where nothing is claimed; `None` if it was.
    pub review_at: Option<Timestamp>,
    /// Until when the review is repeated, and looks for versions that are not recorded; `None` if
    /// nobody has died or failed at the layer since it was reviewed last.
    pub watch_until: Option<Timestamp>,
    /// The highest number of a version that a review has looked for.
    pub reviewed: u64,
}

/// A look at a layer that follows each claim on it: once everything has taken effect that was under
/// way, does the pointer point to what stands, and is each version in Lambda, where that is in
/// doubt, a recorded one?
///
/// A pointer cannot be written conditionally, so one may be written late, over a newer one. And a
/// version may come into being after the lease of whoever asked for it is over, when somebody else
/// has published in its place: nothing keeps Lambda from that, but it can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Review {
    /// The time by which everything that was under way has taken effect.
    pub at: Timestamp,
    /// Until when Lambda may have, or get, a version that is not recorded; `None` leaves what was said
    /// before.
    pub watch_until: Option<Timestamp>,
}

/// The version of a layer that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The newest request that wanted this content.
    pub request: RequestRef,
    /// The digest of its content.
    pub digest: Digest,
    /// SHA-256 of its artifact: what Lambda calls `CodeSha256`.
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
    /// The holder: unique to one attempt.
    pub owner: String,
    /// The request that is being published.
    pub request: RequestRef,
    /// The key of the artifact manifest that is being published.
    pub manifest_key: String,
    /// Until when nobody else may publish. Longer than its owner can live.
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

/// The next step for a [`Candidate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'a> {
    /// Nothing: this very request is what is published.
    Settled(&'a Published),
    /// Record that a newer request was published before.
    Superseded(&'a Published),
    /// Somebody is publishing: look again soon.
    Wait(&'a Claim),
    /// Somebody died while publishing: finish that first.
    Finish(&'a Claim),
    /// The content is the same: record that nothing changes, if the version still exists, and
    /// publish otherwise.
    Compare(&'a Published),
    /// Publish a new version.
    Publish,
}

impl LayerState {
    /// Decides the next step for a candidate.
    pub fn next(&self, candidate: &Candidate, now: Timestamp) -> Step<'_> {
        if let Some(published) = &self.published {
            if candidate.request == published.request {
                return Step::Settled(published);
            }
            if candidate.request < published.request {
                return Step::Superseded(published);
            }
        }
        match (&self.claim, &self.published) {
            (Some(claim), _) if now < claim.lease_until => Step::Wait(claim),
            (Some(claim), _) => Step::Finish(claim),
            (None, Some(published)) if published.digest == candidate.digest => {
                Step::Compare(published)
            }
            (None, _) => Step::Publish,
        }
    }

    /// The number of the version that stands; 0 if there is none.
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
            owner: "somebody".to_owned(),
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
        let stands = state(Some(published(50, "a")), None);
        let claimed = state(Some(published(50, "a")), Some(claim(60, 101)));
        let dead = state(Some(published(50, "a")), Some(claim(60, 100)));

        assert_eq!(fresh.next(&candidate(1, "a"), now), Step::Publish);
        assert_eq!(stands.next(&candidate(51, "b"), now), Step::Publish);
        let stands_now = stands.published.as_ref().unwrap();
        assert_eq!(
            stands.next(&candidate(51, "a"), now),
            Step::Compare(stands_now)
        );
        assert_eq!(
            stands.next(&candidate(50, "a"), now),
            Step::Settled(stands_now)
        );
        // A newer request decides what the content is, whether it differs or not.
        for content in ["a", "b"] {
            for state in [&stands, &claimed, &dead] {
                let step = state.next(&candidate(49, content), now);
                assert_eq!(step, Step::Superseded(stands_now));
            }
            let wait = Step::Wait(claimed.claim.as_ref().unwrap());
            assert_eq!(claimed.next(&candidate(51, content), now), wait);
            let finish = Step::Finish(dead.claim.as_ref().unwrap());
            assert_eq!(dead.next(&candidate(51, content), now), finish);
        }
        // Two events of one manifest: the second one waits for the first one's outcome.
        let mine = state(None, Some(claim(60, 101)));
        assert!(matches!(mine.next(&candidate(60, "a"), now), Step::Wait(_)));
    }
}
