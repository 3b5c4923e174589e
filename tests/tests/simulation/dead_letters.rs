//! Queues of dead letters, and bringing them back: the real use case over them.

use accretion_core::timestamp::Timestamp;
use accretion_service::ports::{
    DeadLetter, DeadLetters, PortError, Publisher, RequestMessage, RequestQueue,
};
use accretion_service::redrive::{Outcome, Redrive};
use serde_json::Value;

use crate::cloud::Cloud;
use crate::mutations::Mutation;
use crate::ports::{Call, Invocation};
use crate::world::TIMEOUT;

/// How many letters are brought back at once.
const LIMIT: usize = 3;

/// A queue of dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Queue {
    Requests,
    Publications,
}

/// A letter in a queue.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    letter: DeadLetter,
    hidden_until: Timestamp,
}

/// The queues.
#[derive(Debug, Default)]
pub(crate) struct DeadLetterQueues {
    requests: Vec<Kept>,
    publications: Vec<Kept>,
    /// Messages that were sent to the request queue again.
    pub(crate) sent: Vec<RequestMessage>,
    /// What the publisher was invoked with again.
    pub(crate) invoked: Vec<Value>,
    receipts: u32,
}

impl DeadLetterQueues {
    fn queue(&mut self, queue: Queue) -> &mut Vec<Kept> {
        match queue {
            Queue::Requests => &mut self.requests,
            Queue::Publications => &mut self.publications,
        }
    }

    pub(crate) fn is_empty(&self, queue: Queue) -> bool {
        match queue {
            Queue::Requests => self.requests.is_empty(),
            Queue::Publications => self.publications.is_empty(),
        }
    }

    pub(crate) fn put(&mut self, queue: Queue, letter: DeadLetter) {
        let hidden_until = letter.sent_at;
        let kept = Kept {
            letter,
            hidden_until,
        };
        self.queue(queue).push(kept);
    }

    fn receive(&mut self, queue: Queue, limit: usize, now: Timestamp) -> Vec<DeadLetter> {
        let mut receipts = self.receipts;
        let visible = self.queue(queue).iter_mut();
        let visible = visible.filter(|kept| kept.hidden_until <= now).take(limit);
        let received = visible.map(|kept| {
            receipts += 1;
            kept.letter.receipt = receipts.to_string();
            kept.hidden_until = now.after(TIMEOUT);
            kept.letter.clone()
        });
        let received = received.collect();
        self.receipts = receipts;
        received
    }

    fn delete(&mut self, queue: Queue, receipt: &str) {
        self.queue(queue)
            .retain(|kept| kept.letter.receipt != receipt);
    }

    fn show(&mut self, queue: Queue, receipt: &str, now: Timestamp) {
        let kept = self.queue(queue).iter_mut();
        for kept in kept.filter(|kept| kept.letter.receipt == receipt) {
            kept.hidden_until = now;
        }
    }
}

/// The ports of one redrive.
pub(crate) struct Letters {
    pub(crate) ports: Invocation,
    pub(crate) queue: Queue,
    pub(crate) mutation: Option<Mutation>,
}

impl Letters {
    pub(crate) async fn redrive(&self) -> Outcome {
        let redrive = Redrive::new(self, LIMIT);
        match self.queue {
            Queue::Requests => redrive.requests(self).await,
            Queue::Publications => redrive.publications(self).await,
        }
    }

    async fn call<R>(
        &self,
        call: Call,
        effect: impl FnOnce(&mut Cloud, Timestamp) -> R + Send + 'static,
    ) -> Result<R, PortError> {
        let result = self.ports.call(call, effect).await;
        result.map_err(PortError::new)
    }
}

impl DeadLetters for Letters {
    async fn receive(&self, limit: usize) -> Result<Vec<DeadLetter>, PortError> {
        let (queue, mutation) = (self.queue, self.mutation);
        let receive = move |cloud: &mut Cloud, now| {
            let letters = cloud.dead_letters.receive(queue, limit, now);
            if mutation == Some(Mutation::LettersDeletedFirst) {
                for letter in &letters {
                    cloud.dead_letters.delete(queue, &letter.receipt);
                }
            }
            letters
        };
        self.call(Call::ReceiveLetters, receive).await
    }

    async fn delete(&self, letter: &DeadLetter) -> Result<(), PortError> {
        let (queue, receipt) = (self.queue, letter.receipt.clone());
        let delete = move |cloud: &mut Cloud, _| cloud.dead_letters.delete(queue, &receipt);
        self.call(Call::DeleteLetter, delete).await
    }

    async fn show(&self, letter: &DeadLetter) -> Result<(), PortError> {
        let (queue, receipt) = (self.queue, letter.receipt.clone());
        let show = move |cloud: &mut Cloud, now| cloud.dead_letters.show(queue, &receipt, now);
        self.call(Call::ShowLetter, show).await
    }
}

impl RequestQueue for Letters {
    async fn send(&self, message: &RequestMessage) -> Result<(), PortError> {
        let mut message = message.clone();
        if self.mutation == Some(Mutation::IdentityForgotten) {
            message.request = None;
        }
        let send = move |cloud: &mut Cloud, _| cloud.dead_letters.sent.push(message);
        self.call(Call::SendAgain, send).await
    }
}

impl Publisher for Letters {
    async fn invoke(&self, payload: &Value) -> Result<(), PortError> {
        let payload = payload.clone();
        let invoke = move |cloud: &mut Cloud, _| cloud.dead_letters.invoked.push(payload);
        self.call(Call::SendAgain, invoke).await
    }
}
