//! The publisher, from outside.

use accretion_service::ports::{PortError, Publisher, async_trait};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::types::InvocationType;
use serde_json::Value;

use crate::Clients;
use crate::error::{Call, Outcome as _};

/// The publisher as a function of Lambda, invoked asynchronously: after three failed attempts,
/// Lambda sends the event to the function's on-failure destination.
#[derive(Debug, Clone)]
pub struct LambdaPublisher {
    client: Client,
    function: String,
}

impl LambdaPublisher {
    /// The function of a name or ARN.
    pub fn new(clients: &Clients, function: impl Into<String>) -> Self {
        Self {
            client: Client::new(clients.config()),
            function: function.into(),
        }
    }
}

#[async_trait]
impl Publisher for LambdaPublisher {
    async fn invoke(&self, payload: &Value) -> Result<(), PortError> {
        let request = self
            .client
            .invoke()
            .function_name(&self.function)
            .invocation_type(InvocationType::Event)
            .payload(payload.to_string().into_bytes().into());
        let call = Call::new("lambda:Invoke", &self.function);
        let outcome = request.send().await;
        outcome.of(call.allowed_by("lambda:InvokeFunction"))?;
        Ok(())
    }
}
