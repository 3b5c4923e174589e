//! Latest-version parameters, notifications, builds.

use accretion_aws::{SnsTopic, SsmLatestVersions, StepFunctionsBuilds};
use accretion_core::notification::{Event, Notification};
use accretion_core::request::RequestId;
use accretion_service::ports::{BuildOrder, Builds as _, LatestVersions as _, Topic as _};
use aws_sdk_ssm::types::ParameterType;
use serde_json::{Value, json};

use crate::{code, compatibility, fresh, on_aws, project, request, target};

#[test]
fn a_parameter_is_written_when_it_changes() {
    on_aws(async |world| {
        let prefix = format!("/{}", fresh("parameters"));
        let parameters = SsmLatestVersions::new(&world.clients, &prefix);
        let ssm = aws_sdk_ssm::Client::new(&world.config);
        let name = format!("{prefix}/data-tools/python3.13/arm64");
        for (arn, written) in [("arn:layer:1", 1), ("arn:layer:1", 1), ("arn:layer:2", 2)] {
            parameters.set(&project(), target(), arn).await.unwrap();
            let found = ssm.get_parameter().name(&name).send().await.unwrap();
            let found = found.parameter.unwrap();
            assert_eq!(found.value(), Some(arn));
            assert_eq!(found.version(), written);
            assert_eq!(found.r#type(), Some(&ParameterType::String));
        }
        let rivals = (1..=8).map(|version| format!("arn:layer:{version}"));
        let rivals: Vec<_> = rivals.collect();
        let (project, target) = (project(), target());
        let rivals = rivals
            .iter()
            .map(|arn| parameters.set(&project, target, arn));
        for outcome in futures_util::future::join_all(rivals).await {
            outcome.unwrap();
        }
    });
}

#[test]
fn a_notification_arrives_with_the_attributes_that_filters_see() {
    on_aws(async |world| {
        let sns = aws_sdk_sns::Client::new(&world.config);
        let sqs = aws_sdk_sqs::Client::new(&world.config);
        let created = sns
            .create_topic()
            .name(fresh("topic"))
            .send()
            .await
            .unwrap();
        let topic_arn = created.topic_arn.unwrap();
        let created = sqs
            .create_queue()
            .queue_name(fresh("queue"))
            .send()
            .await
            .unwrap();
        let queue = created.queue_url.unwrap();
        let subscribe = sns.subscribe().topic_arn(&topic_arn).protocol("sqs");
        let arn = queue_arn(&sqs, &queue).await;
        let subscribe = subscribe
            .endpoint(arn)
            .attributes("RawMessageDelivery", "true");
        subscribe.send().await.unwrap();
        // Somebody who wants to know what there is for a runtime.
        let create = sqs.create_queue().queue_name(fresh("queue"));
        let filtered = create.send().await.unwrap().queue_url.unwrap();
        let subscribe = sns.subscribe().topic_arn(&topic_arn).protocol("sqs");
        let subscribe = subscribe
            .endpoint(queue_arn(&sqs, &filtered).await)
            .attributes("RawMessageDelivery", "true")
            .attributes("FilterPolicy", r#"{"Runtime": ["python3.12"]}"#);
        subscribe.send().await.unwrap();

        let topic = SnsTopic::new(&world.clients, &topic_arn);
        let request = request("10:00:00");
        let of_layer = |slug| {
            let (event, layer) = (Event::LayerPublished, compatibility(slug));
            Notification::of_layer(event, &request, "data-tools", &layer)
        };
        let unknown = RequestId::of_message("1");
        let sent = [
            of_layer("py313-arm64"),
            of_layer("py-arm64"),
            Notification::rejected(&unknown, None, "error: …".to_owned(), vec![]),
        ];
        for notification in &sent {
            topic.send(notification).await.unwrap();
        }
        let mut received = Vec::new();
        while received.len() < sent.len() {
            let receive = sqs.receive_message().queue_url(&queue);
            let receive = receive
                .wait_time_seconds(5)
                .max_number_of_messages(10)
                .message_attribute_names("All");
            let messages = receive.send().await.unwrap().messages.unwrap_or_default();
            assert!(!messages.is_empty(), "only {} have come", received.len());
            received.extend(messages);
        }
        for notification in &sent {
            let message = received
                .iter()
                .find(|message| message.body() == Some(&notification.to_json()))
                .unwrap();
            let attributes = message.message_attributes().into_iter().flatten();
            let attributes = attributes.map(|(name, value)| {
                let text = value.string_value().unwrap().to_owned();
                (name.as_str(), value.data_type(), text)
            });
            let mut attributes: Vec<_> = attributes.collect();
            let expected = notification.attributes().into_iter();
            let expected = expected.map(|(name, it)| (name, it.data_type(), it.into_value()));
            let mut expected: Vec<_> = expected.collect();
            attributes.sort();
            expected.sort();
            assert_eq!(attributes, expected);
        }

        let receive = sqs.receive_message().queue_url(&filtered);
        let receive = receive.wait_time_seconds(5).max_number_of_messages(10);
        let wanted = receive.send().await.unwrap().messages.unwrap_or_default();
        let wanted: Vec<_> = wanted.iter().filter_map(|it| it.body()).collect();
        assert_eq!(wanted, [sent[1].to_json()]);

        let nowhere = SnsTopic::new(&world.clients, format!("{topic_arn}-2"));
        let outcome = nowhere.send(&sent[0]).await;
        assert_eq!(code(outcome), "ServiceRefused");
    });
}

async fn queue_arn(sqs: &aws_sdk_sqs::Client, queue: &str) -> String {
    use aws_sdk_sqs::types::QueueAttributeName;
    let request = sqs.get_queue_attributes().queue_url(queue);
    let request = request.attribute_names(QueueAttributeName::QueueArn);
    let mut attributes = request.send().await.unwrap().attributes.unwrap();
    attributes.remove(&QueueAttributeName::QueueArn).unwrap()
}

#[test]
fn a_build_is_started_once_however_often_it_is_ordered() {
    on_aws(async |world| {
        let sfn = aws_sdk_sfn::Client::new(&world.config);
        let definition = json!({
            "StartAt": "Done",
            "States": {"Done": {"Type": "Pass", "End": true}},
        });
        let create = sfn.create_state_machine().name(fresh("machine"));
        let create = create
            .definition(definition.to_string())
            .role_arn("arn:aws:iam::000000000000:role/any");
        let machine = create.send().await.unwrap().state_machine_arn;
        let builds = StepFunctionsBuilds::new(&world.clients, &machine);
        let order = BuildOrder {
            request: request("10:00:00"),
            project: project(),
            target: compatibility("py313-arm64"),
        };
        let rivals = (0..4).map(|_| builds.start(&order));
        for outcome in futures_util::future::join_all(rivals).await {
            outcome.unwrap();
        }
        // Also when it is over.
        builds.start(&order).await.unwrap();
        let list = sfn.list_executions().state_machine_arn(&machine);
        let executions = list.send().await.unwrap().executions;
        let [execution] = &executions[..] else {
            panic!("{executions:?}");
        };
        assert_eq!(execution.name, order.execution());
        let describe = sfn.describe_execution();
        let describe = describe.execution_arn(&execution.execution_arn);
        let input = describe.send().await.unwrap().input.unwrap();
        let input: Value = serde_json::from_str(&input).unwrap();
        assert_eq!(input["RequestId"], order.request.id.as_str());
        assert_eq!(input["Target"], "py313-arm64");

        let nowhere = StepFunctionsBuilds::new(&world.clients, format!("{machine}-2"));
        assert_eq!(code(nowhere.start(&order).await), "ServiceRefused");
    });
}
