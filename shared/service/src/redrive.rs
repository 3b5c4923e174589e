//! Bringing dead letters back, once what they died of is mended.
//!
//! A request keeps its identity and its place in the order: a newer one that was published meanwhile
//! stays. Each letter is sent first and deleted afterwards. A crash in between leaves a letter of
//! what was sent already; sent once more it is the same request, and nothing happens twice.

use std::collections::HashSet;
use std::hash::Hash;

use accretion_core::delivery::{Delivery, InboxObject};
use accretion_core::invocation::{Demise, FailedInvocation};
use accretion_core::request::{RequestId, RequestRef};
use accretion_core::timestamp::Timestamp;
use accretion_core::{Class, Fault as _};
use tracing::{info, warn};

use crate::Error;
use crate::ports::{DeadLetter, DeadLetters, PortError, Publisher, RequestMessage, RequestQueue};

/// A dead letter that was sent again, once for all that ask for the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// SQS's id of the dead letter.
    pub letter: String,
    /// The requests that it is about, as far as it says so.
    pub requests: Vec<RequestId>,
}

/// A dead letter that is where it was.
#[derive(Debug)]
pub struct Left {
    /// SQS's id of the dead letter.
    pub letter: String,
    /// The requests that it is about, as far as it says so.
    pub requests: Vec<RequestId>,
    /// Why it was not sent again.
    pub reason: Error,
}

/// What has come of a queue of dead letters.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What was sent again.
    pub sent: Vec<Sent>,
    /// What was left.
    pub left: Vec<Left>,
    /// What put an end to it before all letters were dealt with. What is neither sent nor left is
    /// where it was.
    pub failure: Option<Error>,
}

/// A dead letter that was looked at, and is where it was.
#[derive(Debug)]
pub struct Seen {
    /// SQS's id of the dead letter.
    pub letter: String,
    /// When SQS took it.
    pub sent_at: Timestamp,
    /// The requests that it is about, as far as it says so.
    pub requests: Vec<RequestId>,
    /// The keys of the objects that it is about: what was dropped, or manifests.
    pub keys: Vec<String>,
    /// What it died of, as far as it says so.
    pub demise: Demise,
    /// What it says.
    pub body: String,
    /// Why it can't be sent again.
    pub obstacle: Option<Error>,
}

/// What was seen of a queue of dead letters.
#[derive(Debug, Default)]
pub struct Look {
    /// The letters, the oldest first.
    pub seen: Vec<Seen>,
    /// What put an end to it before all letters were seen.
    pub failure: Option<Error>,
}

/// Goes through a queue of dead letters once.
#[derive(Debug)]
pub struct Redrive<'a, D> {
    letters: &'a D,
    limit: usize,
    /// The only letters to send, if not all are.
    only: Option<HashSet<String>>,
}

/// What a dead letter asks for.
struct Errand<T> {
    /// What is to be sent.
    message: T,
    requests: Vec<RequestId>,
    /// The keys of the objects that it is about.
    keys: Vec<String>,
}

impl<'a, D: DeadLetters> Redrive<'a, D> {
    /// Prepares to bring back what is in a queue: up to `limit` letters, all of which are held in
    /// memory.
    pub fn new(letters: &'a D, limit: usize) -> Self {
        Self {
            letters,
            limit,
            only: None,
        }
    }

    /// Sends no letters but these, by SQS's ids of them, such as those that somebody has seen. The
    /// others stay where they are, and are not among the outcome.
    #[must_use]
    pub fn only(self, letters: impl IntoIterator<Item = String>) -> Self {
        Self {
            only: Some(letters.into_iter().collect()),
            ..self
        }
    }

    /// Looks at dead letters of the request queue.
    pub async fn look_at_requests(&self) -> Look {
        self.look(request).await
    }

    /// Looks at what the publisher could not deal with.
    pub async fn look_at_publications(&self) -> Look {
        self.look(publication).await
    }

    async fn look<T>(&self, read: impl Fn(&DeadLetter) -> Result<Errand<T>, Error>) -> Look {
        let mut letters = Vec::new();
        let failure = self.receive(&mut letters).await.err();
        self.show(&letters).await;
        letters.sort_by(|one, other| (one.sent_at, &one.id).cmp(&(other.sent_at, &other.id)));
        let seen = letters.into_iter().map(|letter| {
            let (requests, keys, obstacle) = match read(&letter) {
                Ok(errand) => (errand.requests, errand.keys, None),
                Err(error) => (Vec::new(), Vec::new(), Some(error)),
            };
            Seen {
                requests,
                keys,
                obstacle,
                demise: Demise::parse(&letter.body),
                letter: letter.id,
                sent_at: letter.sent_at,
                body: letter.body,
            }
        });
        Look {
            seen: seen.collect(),
            failure,
        }
    }

    /// Sends dead letters of the request queue to it again.
    ///
    /// What can't be read as a request or an event of S3 is left: it would only come back.
    pub async fn requests(&self, queue: &impl RequestQueue) -> Outcome {
        let send = async |message: &RequestMessage| queue.send(message).await;
        self.each(request, send).await
    }

    /// Invokes the publisher with what it was invoked with when it failed.
    ///
    /// What does not say with what that was is left.
    pub async fn publications(&self, publisher: &impl Publisher) -> Outcome {
        let send =
            async |invocation: &FailedInvocation| publisher.invoke(&invocation.payload).await;
        self.each(publication, send).await
    }

    async fn each<T: Eq + Hash>(
        &self,
        read: impl Fn(&DeadLetter) -> Result<Errand<T>, Error>,
        deliver: impl AsyncFn(&T) -> Result<(), PortError>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        // All of them before the first one is sent: what fails again at once is for another run.
        let mut letters = Vec::new();
        let mut end = self.receive(&mut letters).await;
        let (mut sent, mut hidden) = (HashSet::new(), Vec::new());
        for letter in letters {
            let is_meant = |only: &HashSet<String>| only.contains(&letter.id);
            if end.is_err() || !self.only.as_ref().is_none_or(is_meant) {
                hidden.push(letter);
                continue;
            }
            let fate = self.deal_with(&letter, &read, &deliver, &mut sent, &mut outcome);
            match fate.await {
                Ok(Fate::Deleted) => {}
                Ok(Fate::Left) => hidden.push(letter),
                Err(error) => {
                    end = Err(error);
                    hidden.push(letter);
                }
            }
        }
        outcome.failure = end.err();
        self.show(&hidden).await;
        outcome
    }

    /// Receives what there is, each letter once.
    async fn receive(&self, letters: &mut Vec<DeadLetter>) -> Result<(), Error> {
        let mut seen = HashSet::new();
        while letters.len() < self.limit {
            let mut batch = self.letters.receive(self.limit - letters.len()).await?;
            batch.retain(|letter| seen.insert(letter.id.clone()));
            if batch.is_empty() {
                break;
            }
            letters.append(&mut batch);
        }
        Ok(())
    }

    async fn show(&self, hidden: &[DeadLetter]) {
        for letter in hidden {
            if let Err(error) = self.letters.show(letter).await {
                info!(code = error.code(), %error, "what is left stays hidden for a while");
                return;
            }
        }
    }

    /// Sends what a letter asks for, then deletes it; or leaves it, and notes why.
    ///
    /// # Errors
    ///
    /// What the other letters would meet with, too.
    async fn deal_with<T: Eq + Hash>(
        &self,
        letter: &DeadLetter,
        read: &impl Fn(&DeadLetter) -> Result<Errand<T>, Error>,
        deliver: &impl AsyncFn(&T) -> Result<(), PortError>,
        sent: &mut HashSet<T>,
        outcome: &mut Outcome,
    ) -> Result<Fate, Error> {
        let Errand {
            message, requests, ..
        } = match read(letter) {
            Ok(errand) => errand,
            Err(reason) => return Ok(outcome.leave(letter, Vec::new(), reason)),
        };
        // Several may ask for the same, such as the repairs of a day on which none was allowed.
        if !sent.contains(&message) {
            match deliver(&message).await {
                Err(error) if error.class() == Class::Transient => return Err(error.into()),
                Err(error) => return Ok(outcome.leave(letter, requests, error.into())),
                Ok(()) => sent.insert(message),
            };
        }
        info!(letter = letter.id, ?requests, "sent again");
        outcome.sent.push(Sent {
            letter: letter.id.clone(),
            requests,
        });
        self.letters.delete(letter).await?;
        Ok(Fate::Deleted)
    }
}

/// What has become of a dead letter.
enum Fate {
    Deleted,
    Left,
}

impl Outcome {
    fn leave(&mut self, letter: &DeadLetter, requests: Vec<RequestId>, reason: Error) -> Fate {
        warn!(letter = letter.id, ?requests, code = reason.code(), %reason, "left");
        self.left.push(Left {
            letter: letter.id.clone(),
            requests,
            reason,
        });
        Fate::Left
    }
}

/// Reads a dead letter of the request queue.
fn request(letter: &DeadLetter) -> Result<Errand<RequestMessage>, Error> {
    let mut keys = Vec::new();
    let (request, requests) = match Delivery::parse(&letter.body)? {
        Delivery::Test => (None, Vec::new()),
        Delivery::Objects(objects) => {
            let requests = objects.iter().filter_map(of_object).collect();
            keys.extend(objects.into_iter().map(|object| object.key));
            (None, requests)
        }
        Delivery::Request => {
            let request = RequestRef::of_message(&letter.id, letter.sent_at, &letter.attributes)?;
            let requests = vec![request.id.clone()];
            (Some(request), requests)
        }
    };
    let body = letter.body.clone();
    Ok(Errand {
        message: RequestMessage { body, request },
        requests,
        keys,
    })
}

fn of_object(object: &InboxObject) -> Option<RequestId> {
    let id = || RequestId::of_object(&object.bucket, &object.key, object.version());
    (!object.is_folder()).then(id)
}

/// Reads a dead letter of the publisher.
fn publication(letter: &DeadLetter) -> Result<Errand<FailedInvocation>, Error> {
    let message = FailedInvocation::parse(&letter.body)?;
    let (requests, keys) = (message.requests(), message.keys());
    Ok(Errand {
        message,
        requests,
        keys,
    })
}

#[cfg(test)]
mod tests;
