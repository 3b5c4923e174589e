//! What bringing dead letters back needs of the world.

use accretion_core::request::{IdentityAttributes, RequestRef};
use accretion_core::timestamp::Timestamp;
use serde_json::Value;

use super::PortError;

/// A message of a queue of dead letters, which nobody else sees for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// SQS's id of it: in the queue that it died in the same as where it came from.
    pub id: String,
    /// When SQS took it first.
    pub sent_at: Timestamp,
    /// Which request it is, if it was sent before.
    pub attributes: IdentityAttributes,
    /// What it says.
    pub body: String,
    /// By what the queue knows that it was received.
    pub receipt: String,
}

/// A queue of dead letters.
pub trait DeadLetters: Send + Sync {
    /// Receives up to `limit` of those that can be seen, and hides them for a while; none if there
    /// are no more.
    fn receive(
        &self,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<DeadLetter>, PortError>> + Send;

    /// Deletes one that was received.
    fn delete(&self, letter: &DeadLetter) -> impl Future<Output = Result<(), PortError>> + Send;

    /// Lets one that was received be seen again.
    fn show(&self, letter: &DeadLetter) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// A message for the request queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestMessage {
    /// What it says.
    pub body: String,
    /// Which request it is; `None` where the body says so.
    pub request: Option<RequestRef>,
}

/// The request queue.
pub trait RequestQueue: Send + Sync {
    /// Sends a message.
    fn send(&self, message: &RequestMessage) -> impl Future<Output = Result<(), PortError>> + Send;
}

/// The publisher.
pub trait Publisher: Send + Sync {
    /// Invokes it, without waiting for what comes of it.
    fn invoke(&self, payload: &Value) -> impl Future<Output = Result<(), PortError>> + Send;
}
