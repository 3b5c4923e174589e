//! `redrive`, in a region of its own: what makes a pipeline fail there would make it fail for
//! others.

use std::time::Duration;

use accretion_core::request::RequestId;
use aws_sdk_lambda::types::Environment;
use aws_sdk_sqs::types::QueueAttributeName;
use pipeline_tests::testbed::wait_for;
use pipeline_tests::{Error, Result, Stack, Table, sam};
use serde_json::{Value, json};

use crate::{Operator, cloud};

const REGION: &str = "ap-south-1";

/// A name of its own: on MiniStack a change of a function ends those of the same name in all regions,
/// whatever they are at.
const STACK: &str = "redriven";

const REQUESTS: &str = "RequestDeadLetterQueueUrl";
const PUBLICATIONS: &str = "PublicationDeadLetterQueueUrl";

/// The longest wait for anything that is bound to happen: far longer than it takes.
const PATIENCE: Duration = Duration::from_mins(2);

/// One after the other: they share the queues.
#[test]
fn dead_letters_are_shown_and_sent_back() {
    let operator = Operator::of_cloud();
    let file = json!({"Deployments": {REGION: {"Core": STACK}}});
    operator.write("deployment.json", file.to_string());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outcome = runtime.block_on(async {
        let stack = deploy().await?;
        nothing(&operator);
        what_was_mended(&operator, &stack).await?;
        what_can_never_succeed(&operator, &stack).await
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

async fn deploy() -> Result<Stack> {
    let (server, template) = (&cloud().server, sam::built().await?);
    sam::deploy_in(REGION, server, STACK, &template).await?;
    let stack = Stack::connect_in(REGION, &server.endpoint(), STACK).await?;
    give_up_soon(&stack).await?;
    Ok(stack)
}

/// Lets what fails once be a dead letter at once.
pub(crate) async fn give_up_soon(stack: &Stack) -> Result<()> {
    let queue = stack.output("RequestQueueUrl");
    let get = stack.sqs.get_queue_attributes().queue_url(queue);
    let get = get.attribute_names(QueueAttributeName::RedrivePolicy);
    let answer = get.send().await.map_err(Error::aws("GetQueueAttributes"))?;
    let policy = &answer.attributes().unwrap()[&QueueAttributeName::RedrivePolicy];
    let mut policy: Value = serde_json::from_str(policy).unwrap();
    policy["maxReceiveCount"] = 1.into();
    let set = stack.sqs.set_queue_attributes().queue_url(queue);
    let set = set
        .attributes(QueueAttributeName::VisibilityTimeout, "1")
        .attributes(QueueAttributeName::RedrivePolicy, policy.to_string());
    let set = set.send().await;
    set.map_err(Error::aws("SetQueueAttributes"))?;
    Ok(())
}

/// Changes a variable of a function, and returns what it was.
pub(crate) async fn change(
    stack: &Stack,
    function: &str,
    name: &str,
    value: &str,
) -> Result<String> {
    let function = stack.output(function);
    let get = stack.lambda.get_function_configuration();
    let get = get.function_name(function).send().await;
    let got = get.map_err(Error::aws("GetFunctionConfiguration"))?;
    let variables = got.environment().and_then(|it| it.variables());
    let mut variables = variables.cloned().unwrap_or_default();
    let before = variables.insert(name.to_owned(), value.to_owned());
    let environment = Environment::builder().set_variables(Some(variables));
    let update = stack.lambda.update_function_configuration();
    let update = update.function_name(function);
    let update = update.environment(environment.build()).send().await;
    update.map_err(Error::aws("UpdateFunctionConfiguration"))?;
    Ok(before.unwrap_or_else(|| panic!("{function} has no {name}")))
}

/// Waits until a queue of dead letters holds so many.
pub(crate) async fn letters(stack: &Stack, queue: &str, count: u32) -> Result<()> {
    let queue = stack.output(queue);
    let are_there = async || Ok((stack.queued(queue).await? == count).then_some(()));
    wait_for("dead letters", PATIENCE, are_there).await
}

/// Returns whether a request's target has a status.
async fn has_status(stack: &Stack, id: &str, status: &str) -> Result<()> {
    let has = async || {
        let items = stack.items(Table::Requests, id).await?;
        let has = items.get("py313").map(|item| &item["Status"]);
        Ok(has.is_some_and(|has| has == status).then_some(()))
    };
    wait_for(status, PATIENCE, has).await
}

fn nothing(operator: &Operator) {
    let run = operator.run(&format!("redrive deployment.json {REGION}"));
    let run = run.exits(0);
    assert_eq!(run.stdout, "");
    let said = format!("no dead letters in {REGION}\n");
    assert_eq!(run.stderr, said);
    let run = operator.run(&format!("redrive deployment.json {REGION} --format json"));
    seen!("redrive_nothing_json", run.exits(0));
}

async fn what_was_mended(operator: &Operator, stack: &Stack) -> Result<()> {
    operator.write("requirements.txt", "six==1.17.0\n");
    let request = |project: &str| {
        let command = format!(
            "request requirements deployment.json {project} requirements.txt \
             --runtime python3.13 --architecture x86_64 --format json"
        );
        let dropped = operator.run(&command).exits(0).json();
        dropped["Dropped"][0]["RequestId"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    // It is kept, and can't be recorded.
    let table = change(stack, "DispatcherFunctionName", "REQUESTS_TABLE", "nowhere").await?;
    let dropped = request("cmd-dead-request");
    letters(stack, REQUESTS, 1).await?;
    change(stack, "DispatcherFunctionName", "REQUESTS_TABLE", &table).await?;
    // It is built, and can't be published.
    let layers = change(stack, "PublisherFunctionName", "LAYERS_TABLE", "nowhere").await?;
    let built = request("cmd-dead-publication");
    letters(stack, PUBLICATIONS, 1).await?;
    change(stack, "PublisherFunctionName", "LAYERS_TABLE", &layers).await?;

    let redrive = format!("redrive deployment.json {REGION}");
    let run = operator.run(&redrive).exits(2);
    seen!("redrive_unasked", run);
    let run = operator.run(&format!("{redrive} --format json")).exits(2);
    seen!("redrive_unasked_json", run);
    letters(stack, REQUESTS, 1).await?;
    letters(stack, PUBLICATIONS, 1).await?;

    let run = operator.run(&format!("{redrive} --yes")).exits(0);
    let sent: Vec<_> = run.stdout.lines().rev().take(1).collect();
    assert_eq!(sent, ["2 sent back, 0 left"], "{run}");
    let command = format!("status deployment.json {dropped} {built} --watch");
    let run = operator.run(&command).exits(0);
    assert_eq!(run.stdout.matches("Published").count(), 2, "{run}");
    nothing(operator);
    Ok(())
}

async fn what_can_never_succeed(operator: &Operator, stack: &Stack) -> Result<()> {
    stack
        .send_to_queue("{\"Name\": \"cmd-cut-off\", \"Licence\u{9b}31m\": ")
        .await?;
    letters(stack, REQUESTS, 1).await?;
    let send = stack.sqs.send_message();
    let send = send.queue_url(stack.output(PUBLICATIONS));
    let send = send.message_body(json!({"requestContext": {}}).to_string());
    send.send().await.map_err(Error::aws("SendMessage"))?;
    let redrive = format!("redrive deployment.json {REGION}");
    // Nobody has to be asked about what is not sent.
    let run = operator.run(&redrive).exits(3);
    seen!("redrive_poison", run);

    // Among others, which are sent.
    let text = json!({
        "Name": "cmd-among",
        "Language": "python",
        "Requirements": {"Type": "requirements.txt", "Requirements": "six==1.17.0"},
        "Runtimes": ["python3.13"],
        "Architectures": ["x86_64"],
    });
    let send = stack.sqs.send_message();
    let send = send.queue_url(stack.output(REQUESTS));
    let message = send.message_body(text.to_string()).send().await;
    let message = message.map_err(Error::aws("SendMessage"))?.message_id;
    let message = message.unwrap();
    let id = RequestId::of_message(&message);
    let run = operator.run(&format!("{redrive} --yes --format json"));
    let document = run.exits(3).json();
    assert_eq!(document["Letters"].as_array().unwrap().len(), 3);
    assert_eq!(document["Sent"], json!([message]));
    let left = document["Left"].as_array().unwrap().iter();
    let mut left: Vec<_> = left
        .map(|left| left["Error"]["Code"].as_str().unwrap())
        .collect();
    left.sort_unstable();
    assert_eq!(left, ["InvocationUnknown", "MessageUnknown"]);
    has_status(stack, id.as_str(), "Published").await?;
    letters(stack, REQUESTS, 1).await?;
    letters(stack, PUBLICATIONS, 1).await?;
    let run = operator.run(&format!("{redrive} --quiet")).exits(3);
    assert_eq!(run.stdout, "");
    Ok(())
}
