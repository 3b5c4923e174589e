//! Builds as executions of the state machine.

use accretion_core::layer::LayerName;
use accretion_service::ports::{BuildOrder, Builds, PortError, async_trait};
use aws_sdk_sfn::Client;
use serde_json::json;

use crate::Clients;
use crate::error::{Call, Outcome as _};

/// Builds as executions of a state machine of Step Functions.
#[derive(Debug, Clone)]
pub struct StepFunctionsBuilds {
    client: Client,
    state_machine: String,
}

impl StepFunctionsBuilds {
    /// Starts executions of the state machine of an ARN.
    pub fn new(clients: &Clients, state_machine_arn: impl Into<String>) -> Self {
        Self {
            client: Client::new(clients.config()),
            state_machine: state_machine_arn.into(),
        }
    }
}

#[async_trait]
impl Builds for StepFunctionsBuilds {
    async fn start(&self, order: &BuildOrder) -> Result<(), PortError> {
        let request = self
            .client
            .start_execution()
            .state_machine_arn(&self.state_machine)
            .name(order.execution())
            .input(input(order));
        let call = Call::new("states:StartExecution", &self.state_machine);
        let outcome = request.send().await;
        outcome.unless("ExecutionAlreadyExists", call)?;
        Ok(())
    }
}

/// The input of the state machine, which passes it on to the builder.
fn input(order: &BuildOrder) -> String {
    let (project, target) = (&order.project, order.target.target());
    let mut input = json!({
        "RequestId": order.request.id,
        "ReceivedAt": order.request.received_at,
        "ProjectName": project.as_str(),
        "Architecture": target.architecture(),
        "Target": target.slug(),
        "LayerName": LayerName::new(project, target),
    });
    match target.runtime() {
        Some(runtime) => input["Runtime"] = json!(runtime),
        None => input["Runtimes"] = order.target.runtimes().map(|it| json!(it)).collect(),
    }
    input.to_string()
}

#[cfg(test)]
mod tests {
    use accretion_core::request::{RequestId, RequestRef};
    use accretion_core::target::{Compatibility, LayerTarget, Runtime, Target};

    use super::*;

    fn order(target: Compatibility) -> BuildOrder {
        BuildOrder {
            request: RequestRef {
                received_at: "2026-11-20T10:00:00Z".parse().unwrap(),
                id: RequestId::of_object("inbox", "requests/tools.json", "v1"),
            },
            project: "data-tools".parse().unwrap(),
            target,
        }
    }

    #[test]
    fn an_execution_is_given_what_identifies_the_build() {
        let one = Target::from_slug("py313-arm64").unwrap().into();
        let merged = LayerTarget::from_slug("py-arm64").unwrap();
        let runtimes = [Runtime::Python313, Runtime::Python312];
        let merged = Compatibility::new(merged, runtimes).unwrap();
        for (target, slug, name, value) in [
            (one, "py313-arm64", "Runtime", json!("python3.13")),
            (
                merged,
                "py-arm64",
                "Runtimes",
                json!(["python3.12", "python3.13"]),
            ),
        ] {
            let input: serde_json::Value = serde_json::from_str(&input(&order(target))).unwrap();
            let mut expected = json!({
                "RequestId": "0ce43a345624ab7be5105730f7afc664",
                "ReceivedAt": "2026-11-20T10:00:00.000Z",
                "ProjectName": "data-tools",
                "Architecture": "arm64",
                "Target": slug,
                "LayerName": format!("data-tools-{slug}"),
            });
            expected[name] = value;
            assert_eq!(input, expected);
        }
    }
}
