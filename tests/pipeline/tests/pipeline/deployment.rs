//! The stack as a whole: deployed again, and deleted.

use std::collections::BTreeMap;
use std::path::Path;

use pipeline_tests::{MiniStack, Options, Result, Stack, sam};

use crate::{PATIENCE, listen, small_request};

/// The resources that hold data, which the template says to retain, by logical id.
const RETAINED: [&str; 4] = [
    "ArtifactsBucket",
    "InboxBucket",
    "LayersTable",
    "RequestsTable",
];

#[test]
fn deployed_again_nothing_changes_and_deleted_only_data_is_left() {
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pipeline/stacks.log");
    let server = MiniStack::start(&log, &Options::default()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outcome: Result<()> = runtime.block_on(async {
        let template = sam::built().await?;
        sam::deploy(&server, "accretion", &template).await?;
        let stack = Stack::connect(&server.endpoint(), "accretion").await?;
        let resources = resources(&stack).await?;
        assert!(
            RETAINED.iter().all(|id| resources.contains_key(*id)),
            "{resources:?}"
        );
        let buckets = buckets(&stack).await;

        let said = sam::deploy(&server, "accretion", &template).await?;
        assert!(said.contains("No changes to deploy"), "{said}");
        assert_eq!(self::resources(&stack).await?, resources);

        let all = listen(&stack, "delete").await?;
        let text = small_request("delete", &["six==1.17.0"]).to_string();
        stack.drop_into_inbox("delete.json", text).await?;
        all.wait_for(1, PATIENCE).await?;

        sam::delete(&server, "accretion").await?;
        let left = left(&stack, &resources).await;
        assert_eq!(left, RETAINED);
        // Every bucket but that of `sam deploy --resolve-s3`, which is not the stack's.
        assert_eq!(self::buckets(&stack).await, buckets);
        assert_eq!(
            stack.layer_versions("delete-py313").await?,
            [1],
            "layers stay in use"
        );
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}\n{}", server.log_tail()));
}

/// The stack's resources: physical ids and when they were last changed, by logical id.
async fn resources(stack: &Stack) -> Result<BTreeMap<String, (String, String)>> {
    let list = stack
        .cloudformation
        .describe_stack_resources()
        .stack_name(&stack.name);
    let answer = list.send().await.unwrap();
    let resources = answer.stack_resources().iter().map(|it| {
        let id = it.physical_resource_id().unwrap_or_default().to_owned();
        let changed = it.timestamp().map(ToString::to_string).unwrap_or_default();
        (
            it.logical_resource_id().unwrap_or_default().to_owned(),
            (id, changed),
        )
    });
    Ok(resources.collect())
}

async fn buckets(stack: &Stack) -> Vec<String> {
    let answer = stack.s3.list_buckets().send().await.unwrap();
    let names = answer.buckets().iter().filter_map(|it| it.name());
    names.map(str::to_owned).collect()
}

/// The logical ids of what is still there.
async fn left(stack: &Stack, resources: &BTreeMap<String, (String, String)>) -> Vec<String> {
    let mut all = Vec::new();
    all.extend(buckets(stack).await);
    let tables = stack.dynamodb.list_tables().send().await.unwrap();
    all.extend(tables.table_names().iter().cloned());
    let queues = stack.sqs.list_queues().send().await.unwrap();
    all.extend(queues.queue_urls().iter().cloned());
    let functions = stack.lambda.list_functions().send().await.unwrap();
    all.extend(
        functions
            .functions()
            .iter()
            .filter_map(|it| it.function_name())
            .map(str::to_owned),
    );
    let mappings = stack
        .lambda
        .list_event_source_mappings()
        .send()
        .await
        .unwrap();
    all.extend(
        mappings
            .event_source_mappings()
            .iter()
            .filter_map(|it| it.uuid())
            .map(str::to_owned),
    );
    let machines = stack.sfn.list_state_machines().send().await.unwrap();
    all.extend(
        machines
            .state_machines()
            .iter()
            .map(|it| it.state_machine_arn().to_owned()),
    );
    let topics = stack.sns.list_topics().send().await.unwrap();
    all.extend(
        topics
            .topics()
            .iter()
            .filter_map(|it| it.topic_arn())
            .map(str::to_owned),
    );
    let iam = aws_sdk_iam::Client::new(&stack.configuration);
    let roles = iam.list_roles().send().await.unwrap();
    all.extend(roles.roles().iter().map(|it| it.role_name().to_owned()));
    let is_left = |(_, (id, _)): &(&String, &(String, String))| all.contains(id);
    resources
        .iter()
        .filter(is_left)
        .map(|(id, _)| id.clone())
        .collect()
}
