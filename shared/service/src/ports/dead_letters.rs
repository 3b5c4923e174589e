//! The ports of redriving dead letters.

use accretion_core::request::{IdentityAttributes, RequestRef};
use accretion_core::timestamp::Timestamp;
use serde_json::Value;

use super::{PortError, async_trait};

/// A message of a queue of dead letters, hidden from other receivers for a while.
///
/// A message that SQS moves to a queue of dead letters keeps its id and its time.
///
/// Source: Amazon SQS Developer Guide, "Setting up dead-letter queue retention", of the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its id in SQS.
    pub id: String,
    /// The time when SQS first received it.
    pub sent_at: Timestamp,
    /// The identity of the request, if it was sent before.
    pub attributes: IdentityAttributes,
    /// Its text.
    pub body: String,
    /// The receipt handle.
    pub receipt: String,
}

/// A queue of dead letters.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Receives up to `limit` visible messages, and hides them for a while; none if no more are
    /// visible.
    async fn receive(&self, limit: usize) -> Result<Vec<DeadLetter>, PortError>;

    /// Deletes a received message.
    async fn delete(&self, letter: &DeadLetter) -> Result<(), PortError>;

    /// Makes a received message visible again.
    async fn make_visible(&self, letter: &DeadLetter) -> Result<(), PortError>;
}

/// A message for the request queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestMessage {
    /// Its text.
    pub body: String,
    /// The identity of the request; `None` if the body has it.
    pub request: Option<RequestRef>,
}

/// The request queue.
#[async_trait]
pub trait RequestQueue: Send + Sync {
    /// Sends a message.
    async fn send(&self, message: &RequestMessage) -> Result<(), PortError>;
}

/// The publisher.
#[async_trait]
pub trait Publisher: Send + Sync {
    /// Invokes it, without waiting for the result.
    async fn invoke(&self, payload: &Value) -> Result<(), PortError>;
}
