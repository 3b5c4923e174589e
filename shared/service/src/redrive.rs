//! Redriving dead letters, once their cause is fixed.
//!
//! A request keeps its identity and its place in the order: a newer one that was published meanwhile
//! stays. Each letter is sent first and deleted afterwards. After a crash in between, the letter is
//! sent once more. It is the same request, so nothing happens twice.

use std::collections::HashSet;
use std::hash::Hash;

use accretion_core::delivery::{Delivery, InboxObject};
use accretion_core::invocation::{FailedInvocation, FailureCause};
use accretion_core::request::{RequestId, RequestRef};
use accretion_core::timestamp::Timestamp;
use accretion_core::{Class, Fault as _};
use tracing::{info, warn};

use crate::Error;
use crate::ports::{DeadLetter, DeadLetters, PortError, Publisher, RequestMessage, RequestQueue};

/// A dead letter that was sent again, once for all letters of the same content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The id of the dead letter in SQS.
    pub letter: String,
    /// The requests that it is about, as far as it names them.
    pub requests: Vec<RequestId>,
}

/// A dead letter that stays in the queue.
#[derive(Debug)]
pub struct Left {
    /// The id of the dead letter in SQS.
    pub letter: String,
    /// The requests that it is about, as far as it names them.
    pub requests: Vec<RequestId>,
    /// The reason.
    pub reason: Error,
}

/// The result of redriving a queue.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Letters that were sent again.
    pub sent: Vec<Sent>,
    /// Letters that stay in the queue.
    pub left: Vec<Left>,
    /// The error that ended the redrive before its last letter. Letters that are neither sent nor
    /// left stay in the queue.
    pub failure: Option<Error>,
}

/// A dead letter that was inspected, and stays in the queue.
#[derive(Debug)]
pub struct InspectedLetter {
    /// The id of the dead letter in SQS.
    pub letter: String,
    /// The time when SQS received it.
    pub sent_at: Timestamp,
    /// The requests that it is about, as far as it names them.
    pub requests: Vec<RequestId>,
    /// The keys of the objects that it is about: of the inbox, or manifests.
    pub keys: Vec<String>,
    /// The cause of its failure, as far as it names one.
    pub cause: FailureCause,
    /// Its text.
    pub body: String,
    /// The reason if it cannot be sent again.
    pub obstacle: Option<Error>,
}

/// The letters of a queue.
#[derive(Debug, Default)]
pub struct Inspection {
    /// The letters, the oldest first.
    pub letters: Vec<InspectedLetter>,
    /// The error that ended the inspection before the last letter.
    pub failure: Option<Error>,
}

/// One pass over a queue of dead letters.
pub struct Redrive<'a> {
    letters: &'a dyn DeadLetters,
    limit: usize,
    /// The only letters to send, if not all are.
    only: Option<HashSet<String>>,
}

/// The content of a dead letter.
struct RedriveItem<T> {
    /// The message or payload to send again.
    message: T,
    requests: Vec<RequestId>,
    /// The keys of the objects that it is about.
    keys: Vec<String>,
}

impl<'a> Redrive<'a> {
    /// Prepares to redrive a queue: up to `limit` letters, all of which are held in memory.
    pub fn new(letters: &'a dyn DeadLetters, limit: usize) -> Self {
        Self {
            letters,
            limit,
            only: None,
        }
    }

    /// Sends only these letters, by their ids in SQS, such as those that a person has confirmed. The
    /// outcome does not name the others.
    #[must_use]
    pub fn only(self, letters: impl IntoIterator<Item = String>) -> Self {
        Self {
            only: Some(letters.into_iter().collect()),
            ..self
        }
    }

    /// Reads the dead letters of the request queue.
    pub async fn inspect_requests(&self) -> Inspection {
        self.inspect(request).await
    }

    /// Reads the dead letters of the publisher.
    pub async fn inspect_publications(&self) -> Inspection {
        self.inspect(publication).await
    }

    async fn inspect<T>(
        &self,
        read: impl Fn(&DeadLetter) -> Result<RedriveItem<T>, Error>,
    ) -> Inspection {
        let mut letters = Vec::new();
        let failure = self.receive(&mut letters).await.err();
        self.make_visible(&letters).await;
        letters.sort_by(|one, other| (one.sent_at, &one.id).cmp(&(other.sent_at, &other.id)));
        let inspected = letters.into_iter().map(|letter| {
            let (requests, keys, obstacle) = match read(&letter) {
                Ok(item) => (item.requests, item.keys, None),
                Err(error) => (Vec::new(), Vec::new(), Some(error)),
            };
            InspectedLetter {
                requests,
                keys,
                obstacle,
                cause: FailureCause::parse(&letter.body),
                letter: letter.id,
                sent_at: letter.sent_at,
                body: letter.body,
            }
        });
        Inspection {
            letters: inspected.collect(),
            failure,
        }
    }

    /// Sends dead letters of the request queue to it again.
    ///
    /// A letter that is neither a request nor an event of S3 stays: it would only come back.
    pub async fn requests(&self, queue: &dyn RequestQueue) -> Outcome {
        let send = async |message: &RequestMessage| queue.send(message).await;
        self.each(request, send).await
    }

    /// Invokes the publisher with the payload of the invocation that failed.
    ///
    /// A letter without that payload stays.
    pub async fn publications(&self, publisher: &dyn Publisher) -> Outcome {
        let send =
            async |invocation: &FailedInvocation| publisher.invoke(&invocation.payload).await;
        self.each(publication, send).await
    }

    async fn each<T: Eq + Hash>(
        &self,
        read: impl Fn(&DeadLetter) -> Result<RedriveItem<T>, Error>,
        deliver: impl AsyncFn(&T) -> Result<(), PortError>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        // All of them before the first one is sent: a letter that fails again at once is for another
        // run.
        let mut letters = Vec::new();
        let mut end = self.receive(&mut letters).await;
        let (mut sent, mut hidden) = (HashSet::new(), Vec::new());
        for letter in letters {
            let is_chosen = |only: &HashSet<String>| only.contains(&letter.id);
            if end.is_err() || !self.only.as_ref().is_none_or(is_chosen) {
                hidden.push(letter);
                continue;
            }
            let redriven = self.redrive(&letter, &read, &deliver, &mut sent, &mut outcome);
            match redriven.await {
                Ok(Redriven::Deleted) => {}
                Ok(Redriven::Left) => hidden.push(letter),
                Err(error) => {
                    end = Err(error);
                    hidden.push(letter);
                }
            }
        }
        outcome.failure = end.err();
        self.make_visible(&hidden).await;
        outcome
    }

    /// Receives all letters, each once.
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

    async fn make_visible(&self, hidden: &[DeadLetter]) {
        for letter in hidden {
            if let Err(error) = self.letters.make_visible(letter).await {
                info!(code = error.code(), %error, "letters stay hidden for a while");
                return;
            }
        }
    }

    /// Sends a letter again, then deletes it; or leaves it, and notes the reason.
    ///
    /// # Errors
    ///
    /// Those that the other letters would meet, too.
    async fn redrive<T: Eq + Hash>(
        &self,
        letter: &DeadLetter,
        read: &impl Fn(&DeadLetter) -> Result<RedriveItem<T>, Error>,
        deliver: &impl AsyncFn(&T) -> Result<(), PortError>,
        sent: &mut HashSet<T>,
        outcome: &mut Outcome,
    ) -> Result<Redriven, Error> {
        let RedriveItem {
            message, requests, ..
        } = match read(letter) {
            Ok(item) => item,
            Err(reason) => return Ok(outcome.leave(letter, Vec::new(), reason)),
        };
        // Several may have the same content, such as the scheduled runs of an outage.
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
        Ok(Redriven::Deleted)
    }
}

/// The place of a dead letter after the redrive.
enum Redriven {
    Deleted,
    Left,
}

impl Outcome {
    fn leave(&mut self, letter: &DeadLetter, requests: Vec<RequestId>, reason: Error) -> Redriven {
        warn!(letter = letter.id, ?requests, code = reason.code(), %reason, "left");
        self.left.push(Left {
            letter: letter.id.clone(),
            requests,
            reason,
        });
        Redriven::Left
    }
}

/// Reads a dead letter of the request queue.
fn request(letter: &DeadLetter) -> Result<RedriveItem<RequestMessage>, Error> {
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
    Ok(RedriveItem {
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
fn publication(letter: &DeadLetter) -> Result<RedriveItem<FailedInvocation>, Error> {
    let message = FailedInvocation::parse(&letter.body)?;
    let (requests, keys) = (message.requests(), message.keys());
    Ok(RedriveItem {
        message,
        requests,
        keys,
    })
}

#[cfg(test)]
mod tests;
