//! Queues of dead letters.

use std::time::Duration;

use accretion_core::timestamp::Timestamp;
use accretion_service::ports::{DeadLetter, RequestMessage};
use serde_json::Value;

/// The time for which a received letter is hidden from others.
const HIDDEN: Duration = Duration::from_mins(2);

/// A queue of dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Queue {
    Requests,
    Publications,
}

/// A letter in a queue.
#[derive(Debug, Clone)]
pub struct Kept {
    letter: DeadLetter,
    hidden_until: Timestamp,
}

/// The queues.
#[derive(Debug, Default)]
pub struct DeadLetterQueues {
    requests: Vec<Kept>,
    publications: Vec<Kept>,
    /// Messages that were sent to the request queue again.
    pub sent: Vec<RequestMessage>,
    /// The payloads that the publisher was invoked with again.
    pub invoked: Vec<Value>,
    receipts: u32,
}

impl DeadLetterQueues {
    fn queue(&mut self, queue: Queue) -> &mut Vec<Kept> {
        match queue {
            Queue::Requests => &mut self.requests,
            Queue::Publications => &mut self.publications,
        }
    }

    pub fn is_empty(&self, queue: Queue) -> bool {
        match queue {
            Queue::Requests => self.requests.is_empty(),
            Queue::Publications => self.publications.is_empty(),
        }
    }

    pub fn put(&mut self, queue: Queue, letter: DeadLetter) {
        let hidden_until = letter.sent_at;
        let kept = Kept {
            letter,
            hidden_until,
        };
        self.queue(queue).push(kept);
    }

    /// Receives up to `limit` of the letters that can be seen, and hides them.
    pub fn receive(&mut self, queue: Queue, limit: usize, now: Timestamp) -> Vec<DeadLetter> {
        let mut receipts = self.receipts;
        let visible = self.queue(queue).iter_mut();
        let visible = visible.filter(|kept| kept.hidden_until <= now).take(limit);
        let received = visible.map(|kept| {
            receipts += 1;
            kept.letter.receipt = receipts.to_string();
            kept.hidden_until = now.after(HIDDEN);
            kept.letter.clone()
        });
        let received = received.collect();
        self.receipts = receipts;
        received
    }

    /// Deletes a letter that was received.
    pub fn delete(&mut self, queue: Queue, receipt: &str) {
        self.queue(queue)
            .retain(|kept| kept.letter.receipt != receipt);
    }

    /// Lets a letter that was received be seen again.
    pub fn show(&mut self, queue: Queue, receipt: &str, now: Timestamp) {
        let kept = self.queue(queue).iter_mut();
        for kept in kept.filter(|kept| kept.letter.receipt == receipt) {
            kept.hidden_until = now;
        }
    }
}
