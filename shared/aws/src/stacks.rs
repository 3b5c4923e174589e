//! Stacks of CloudFormation.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata as _;

use crate::Clients;
use crate::error::{Call, Error, failed};

/// The stacks of a region.
#[derive(Debug, Clone)]
pub struct Stacks {
    client: Client,
}

/// A stack as CloudFormation describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    /// Its name.
    pub name: String,
    /// Its id, which stays known for 90 days after the stack is gone.
    pub id: String,
    /// Its status, such as `UPDATE_COMPLETE`.
    pub status: String,
    /// Why it has that status, where CloudFormation says so.
    pub reason: Option<String>,
    /// Its outputs by name.
    pub outputs: BTreeMap<String, String>,
}

impl Stacks {
    /// The stacks of the clients' region.
    pub fn new(clients: &Clients) -> Self {
        Self {
            client: clients.cloudformation(),
        }
    }

    /// A stack by its name or its id; `None` if there is none.
    pub async fn describe(&self, stack: &str) -> Result<Option<Stack>, Error> {
        let answer = match self.client.describe_stacks().stack_name(stack).send().await {
            Ok(answer) => answer,
            // It has no error of its own for it.
            Err(error)
                if error.code() == Some("ValidationError")
                    && error
                        .message()
                        .is_some_and(|it| it.contains("does not exist")) =>
            {
                return Ok(None);
            }
            Err(error) => {
                let call = Call::new("cloudformation:DescribeStacks", stack);
                return Err(failed(call, &error));
            }
        };
        Ok(answer.stacks.unwrap_or_default().pop().map(|stack| {
            let outputs = stack.outputs.unwrap_or_default().into_iter();
            Stack {
                name: stack.stack_name.unwrap_or_default(),
                id: stack.stack_id.unwrap_or_default(),
                status: stack
                    .stack_status
                    .map_or_else(String::new, |it| it.to_string()),
                reason: stack.stack_status_reason,
                outputs: outputs
                    .filter_map(|it| Some((it.output_key?, it.output_value?)))
                    .collect(),
            }
        }))
    }
}
