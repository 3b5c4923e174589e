//! Requests that can't be used, and layers that can't be built.

use pipeline_tests::{Filter, Result, Table};
use serde_json::{Value, json};

use crate::{TARGETS, command, exactly, exactly_one, listen, on_stack, request, small_request};

/// A request with four mistakes in it.
fn faulty(project: &str) -> String {
    let text = json!({
        "Name": project,
        "Language": "python",
        "Requirements": {
            "Type": "requirements.txt",
            "Requirements": "six==1.17.0\nnot a requirement\n-e .\n",
        },
        "Runtimes": ["python2.7"],
        "Description": "",
        "Licence": "MIT",
    });
    serde_json::to_string_pretty(&text).unwrap()
}

/// Holds what is said and recorded of a rejected request.
async fn assert_rejected(
    stack: &pipeline_tests::Stack,
    said: &pipeline_tests::Notification,
    project: Option<&str>,
    reason: &str,
) -> Result<()> {
    let id = said.text("RequestId");
    assert_eq!(said.text("Reason"), reason);
    assert_eq!(said.text("EventId"), format!("{id}-RequestRejected"));
    assert_eq!(said.body["ProjectName"], json!(project));
    assert_eq!(said.body["Runtime"], Value::Null);
    assert_eq!(said.attributes["Event"], "RequestRejected");
    let items = stack.items(Table::Requests, id).await?;
    assert_eq!(items.keys().collect::<Vec<_>>(), ["request"]);
    assert_eq!(items["request"]["Status"], "Rejected");
    assert_eq!(items["request"]["Reason"], json!(reason));
    assert_eq!(items["request"]["Codes"], said.body["Codes"]);
    for code in said.body["Codes"].as_array().unwrap() {
        assert!(
            reason.contains(&format!("[{}]", code.as_str().unwrap())),
            "{code}: {reason}"
        );
    }
    Ok(())
}

#[test]
fn a_faulty_file_is_rejected_as_the_command_would() {
    on_stack(async |stack| {
        let project = "faulty-file";
        let key = "teams/faulty file.json";
        let text = faulty(project);
        let all = listen(stack, project).await?;
        stack.drop_into_inbox(key, text.clone()).await?;
        let said = exactly_one(&all, "RequestRejected").await?;
        let reason = command::complaint(key, text.as_bytes());
        assert_rejected(stack, &said, Some(project), &reason).await
    });
}

#[test]
fn a_faulty_message_is_rejected_as_the_command_would() {
    on_stack(async |stack| {
        let project = "faulty-message";
        let text = faulty(project);
        let all = listen(stack, project).await?;
        stack.send_to_queue(&text).await?;
        let said = exactly_one(&all, "RequestRejected").await?;
        let reason = command::complaint("request.json", text.as_bytes());
        assert_rejected(stack, &said, Some(project), &reason).await
    });
}

#[test]
fn broken_json_in_the_inbox_is_rejected() {
    on_stack(async |stack| {
        let filter = json!({"Event": ["RequestRejected"], "ProjectName": [{"exists": false}]});
        let nameless = stack
            .subscribe("broken-json", &Filter::Attributes(filter))
            .await?;
        let text = "{\"Name\": \"broken\", ";
        stack.drop_into_inbox("broken.json", text).await?;
        let said = exactly_one(&nameless, "RequestRejected").await?;
        let reason = command::complaint("broken.json", text.as_bytes());
        assert_rejected(stack, &said, None, &reason).await
    });
}

#[test]
fn what_does_not_exist_fails_for_each_target() {
    on_stack(async |stack| {
        let project = "no-such-version";
        let all = listen(stack, project).await?;
        let text = request(project, &["six==99.0"]).to_string();
        stack.drop_into_inbox("no-such-version.json", text).await?;
        let notifications = exactly(&all, TARGETS.len()).await?;
        let id = notifications[0].text("RequestId");
        let items = stack.items(Table::Requests, id).await?;
        for (said, slug) in notifications.iter().zip(TARGETS) {
            assert_eq!(said.text("EventId"), format!("{id}-{slug}-BuildFailed"));
            assert_eq!(
                said.text("Code"),
                "RequirementsUnsatisfiable",
                "{}",
                said.body
            );
            assert!(said.text("Reason").contains("six==99.0"), "{}", said.body);
            assert_eq!(said.body["Layer"], Value::Null);
            assert_eq!(items[slug]["Status"], "Failed");
            for field in ["Code", "Reason", "Hint", "Runtime", "Architecture"] {
                assert_eq!(items[slug][field], said.body[field], "{field} of {slug}");
            }
            assert_eq!(items[slug]["Open"], Value::Null);
        }
        Ok(())
    });
}

/// Nobody's code is run, and the failure says what to do. The execution shows as failed, too.
#[test]
fn source_distributions_are_not_built() {
    on_stack(async |stack| {
        let project = "sources-only";
        let all = listen(stack, project).await?;
        let text = small_request(project, &["docopt==0.6.2"]).to_string();
        stack.drop_into_inbox("sources-only.json", text).await?;
        let said = exactly_one(&all, "BuildFailed").await?;
        assert_eq!(said.text("Code"), "WheelNotFound", "{}", said.body);
        assert!(said.text("Reason").contains("docopt"), "{}", said.body);
        assert_ne!(said.text("Hint"), "", "{}", said.body);
        let id = said.text("RequestId");
        let items = stack.items(Table::Requests, id).await?;
        assert_eq!(items["py313"]["Hint"], said.body["Hint"]);

        let machine = stack.output("BuildStateMachineArn");
        let arn = machine.replace(":stateMachine:", ":execution:");
        let describe = stack.sfn.describe_execution();
        let describe = describe.execution_arn(format!("{arn}:{id}-py313"));
        let execution = describe.send().await.unwrap();
        assert_eq!(execution.status().as_str(), "FAILED");
        assert_eq!(execution.error(), Some("WheelNotFound"));
        Ok(())
    });
}
