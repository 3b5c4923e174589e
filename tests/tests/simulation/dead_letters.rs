//! Bringing dead letters back: the real use case over the queues.

use accretion_core::timestamp::Timestamp;
use accretion_service::ports::{
    DeadLetter, DeadLetters, PortError, Publisher, RequestMessage, RequestQueue, async_trait,
};
use accretion_service::redrive::{Outcome, Redrive};
use integration_tests::memory::cloud::Cloud;
use integration_tests::memory::dead_letters::Queue;
use integration_tests::memory::ports::{Call, Invocation};
use serde_json::Value;

use crate::mutations::Mutation;

/// The number of letters in one redrive.
const LIMIT: usize = 3;

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

#[async_trait]
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

    async fn make_visible(&self, letter: &DeadLetter) -> Result<(), PortError> {
        let (queue, receipt) = (self.queue, letter.receipt.clone());
        let show = move |cloud: &mut Cloud, now| cloud.dead_letters.show(queue, &receipt, now);
        self.call(Call::ShowLetter, show).await
    }
}

#[async_trait]
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

#[async_trait]
impl Publisher for Letters {
    async fn invoke(&self, payload: &Value) -> Result<(), PortError> {
        let payload = payload.clone();
        let invoke = move |cloud: &mut Cloud, _| cloud.dead_letters.invoked.push(payload);
        self.call(Call::SendAgain, invoke).await
    }
}
