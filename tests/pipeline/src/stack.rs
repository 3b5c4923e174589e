//! A deployed stack, and what can be done with it and seen of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_lambda::operation::get_layer_version_policy::GetLayerVersionPolicyError;
use aws_sdk_lambda::types::LayerVersionsListItem;
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_sqs::types::QueueAttributeName;
use aws_sdk_ssm::operation::get_parameter::GetParameterError;
use serde_json::Value;

use crate::aws::{configuration_in, item};
use crate::workspace::REGION;
use crate::{Error, Filter, InboxEvents, Result, Subscription};

/// A deployed stack: its outputs, and clients of the services that it is made of.
#[derive(Debug, Clone)]
pub struct Stack {
    /// The stack's name.
    pub name: String,
    /// The stack's outputs.
    pub outputs: BTreeMap<String, String>,
    /// AWS CloudFormation.
    pub cloudformation: aws_sdk_cloudformation::Client,
    /// Amazon DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// The configuration of these clients, for those of other services.
    pub configuration: SdkConfig,
    /// AWS Lambda.
    pub lambda: aws_sdk_lambda::Client,
    /// Amazon S3.
    pub s3: aws_sdk_s3::Client,
    /// AWS Step Functions.
    pub sfn: aws_sdk_sfn::Client,
    /// Amazon SNS.
    pub sns: aws_sdk_sns::Client,
    /// Amazon SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// AWS Systems Manager.
    pub ssm: aws_sdk_ssm::Client,
}

/// A published layer version.
#[derive(Debug, Clone)]
pub struct LayerVersion {
    /// The version's ARN.
    pub arn: String,
    /// The version's description.
    pub description: Option<String>,
    /// The version's licence.
    pub license: Option<String>,
    /// Runtimes that it names as compatible.
    pub runtimes: Vec<String>,
    /// Architectures that it names as compatible.
    pub architectures: Vec<String>,
    /// Its zip.
    pub content: Vec<u8>,
}

impl Stack {
    /// Reads the outputs of the stack of this name from a server.
    pub async fn connect(endpoint: &str, name: &str) -> Result<Self> {
        Self::connect_in(REGION, endpoint, name).await
    }

    /// The same in any region.
    pub async fn connect_in(region: &str, endpoint: &str, name: &str) -> Result<Self> {
        let configuration = configuration_in(region, endpoint);
        let s3 = aws_sdk_s3::config::Builder::from(&configuration).force_path_style(true);
        let mut stack = Self {
            name: name.to_owned(),
            outputs: BTreeMap::new(),
            cloudformation: aws_sdk_cloudformation::Client::new(&configuration),
            dynamodb: aws_sdk_dynamodb::Client::new(&configuration),
            lambda: aws_sdk_lambda::Client::new(&configuration),
            s3: aws_sdk_s3::Client::from_conf(s3.build()),
            sfn: aws_sdk_sfn::Client::new(&configuration),
            sns: aws_sdk_sns::Client::new(&configuration),
            sqs: aws_sdk_sqs::Client::new(&configuration),
            ssm: aws_sdk_ssm::Client::new(&configuration),
            configuration,
        };
        stack.outputs = stack.read_outputs().await?;
        Ok(stack)
    }

    async fn read_outputs(&self) -> Result<BTreeMap<String, String>> {
        let call = self.cloudformation.describe_stacks().stack_name(&self.name);
        let answer = call.send().await.map_err(Error::aws("DescribeStacks"))?;
        let outputs = answer
            .stacks()
            .iter()
            .flat_map(aws_sdk_cloudformation::types::Stack::outputs);
        Ok(outputs
            .filter_map(|it| Some((it.output_key()?.to_owned(), it.output_value()?.to_owned())))
            .collect())
    }

    /// An output's value; empty if the stack has none of this name, which no call takes.
    pub fn output(&self, name: &str) -> &str {
        self.outputs.get(name).map_or("", String::as_str)
    }

    /// The physical id of a resource, by its name in the template.
    pub async fn resource(&self, logical_id: &str) -> Result<String> {
        let describe = self.cloudformation.describe_stack_resource();
        let describe = describe
            .stack_name(&self.name)
            .logical_resource_id(logical_id);
        let answer = describe
            .send()
            .await
            .map_err(Error::aws("DescribeStackResource"))?;
        let id = answer
            .stack_resource_detail()
            .and_then(|it| it.physical_resource_id());
        Ok(id.unwrap_or_default().to_owned())
    }

    /// Puts an object into the inbox and returns its version.
    pub async fn drop_into_inbox(&self, key: &str, body: impl Into<Vec<u8>>) -> Result<String> {
        let put = self.s3.put_object().bucket(self.output("InboxBucketName"));
        let put = put.key(key).body(body.into().into()).send().await;
        let put = put.map_err(Error::aws("PutObject"))?;
        Ok(put.version_id().unwrap_or_default().to_owned())
    }

    /// Sends a message to the request queue and returns its id.
    pub async fn send_to_queue(&self, body: &str) -> Result<String> {
        let send = self.sqs.send_message().message_body(body);
        let send = send.queue_url(self.output("RequestQueueUrl")).send().await;
        let answer = send.map_err(Error::aws("SendMessage"))?;
        Ok(answer.message_id().unwrap_or_default().to_owned())
    }

    /// Subscribes a new queue to the stack's topic.
    pub async fn subscribe(&self, queue: &str, filter: &Filter) -> Result<Subscription> {
        let topic = self.output("NotificationTopicArn");
        Subscription::new(self, topic, queue, filter).await
    }

    /// Subscribes a new queue to all that any other topic is told.
    pub async fn subscribe_to(&self, topic: &str, queue: &str) -> Result<Subscription> {
        Subscription::new(self, topic, queue, &Filter::None).await
    }

    /// Has S3 tell a new queue, too, what is dropped into the inbox from now on.
    pub async fn listen_to_inbox(&self, queue: &str) -> Result<InboxEvents> {
        InboxEvents::new(self, queue).await
    }

    /// An object of the artifacts bucket; `None` if there is none.
    pub async fn artifact(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let get = self.s3.get_object().key(key);
        match get.bucket(self.output("ArtifactsBucketName")).send().await {
            Ok(object) => {
                let body = object
                    .body
                    .collect()
                    .await
                    .map_err(Error::aws("GetObject"))?;
                Ok(Some(body.to_vec()))
            }
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(GetObjectError::is_no_such_key) =>
            {
                Ok(None)
            }
            Err(error) => Err(Error::aws("GetObject")(error)),
        }
    }

    /// An object of the artifacts bucket that has to exist and be JSON.
    pub async fn artifact_json(&self, key: &str) -> Result<Value> {
        let missing = || Error::Unexpected(format!("there is no object {key}"));
        let bytes = self.artifact(key).await?.ok_or_else(missing)?;
        serde_json::from_slice(&bytes).map_err(|it| Error::Unexpected(format!("{key}: {it}")))
    }

    /// The keys in the artifacts bucket below a prefix, in order.
    pub async fn artifact_keys(&self, prefix: &str) -> Result<Vec<String>> {
        let bucket = self.output("ArtifactsBucketName");
        let list = self.s3.list_objects_v2().bucket(bucket).prefix(prefix);
        let mut pages = list.into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(Error::aws("ListObjectsV2"))?;
            keys.extend(
                page.contents()
                    .iter()
                    .filter_map(|it| it.key())
                    .map(str::to_owned),
            );
        }
        Ok(keys)
    }

    /// The items of a request, or of a layer: by their sort key `Item`.
    pub async fn items(&self, table: Table, id: &str) -> Result<BTreeMap<String, Value>> {
        let query = self
            .dynamodb
            .query()
            .table_name(self.output(table.output()))
            .consistent_read(true)
            .key_condition_expression("#key = :id")
            .expression_attribute_names("#key", table.key())
            .expression_attribute_values(":id", AttributeValue::S(id.to_owned()));
        let answer = query.send().await.map_err(Error::aws("Query"))?;
        let items = answer.items.unwrap_or_default().into_iter().map(item);
        Ok(items
            .filter_map(|item| Some((item["Item"].as_str()?.to_owned(), item)))
            .collect())
    }

    /// All items of a table, or those that have an attribute.
    pub async fn all_items(&self, table: Table, with: Option<&str>) -> Result<Vec<Value>> {
        let scan = self.dynamodb.scan().table_name(self.output(table.output()));
        let mut scan = scan.consistent_read(true);
        if let Some(attribute) = with {
            scan = scan
                .filter_expression("attribute_exists(#with)")
                .expression_attribute_names("#with", attribute);
        }
        let mut pages = scan.into_paginator().send();
        let mut items = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(Error::aws("Scan"))?;
            items.extend(page.items.unwrap_or_default().into_iter().map(item));
        }
        Ok(items)
    }

    /// A layer version with its zip.
    pub async fn layer_version(&self, layer: &str, version: i64) -> Result<LayerVersion> {
        let get = self.lambda.get_layer_version().layer_name(layer);
        let get = get.version_number(version).send().await;
        let answer = get.map_err(Error::aws("GetLayerVersion"))?;
        let content = answer.content().and_then(|content| content.location());
        let location = content.unwrap_or_default();
        let content = crate::http::get(location).await?;
        let runtimes = answer.compatible_runtimes().iter();
        let architectures = answer.compatible_architectures().iter();
        Ok(LayerVersion {
            arn: answer.layer_version_arn().unwrap_or_default().to_owned(),
            description: answer.description().map(str::to_owned),
            license: answer.license_info().map(str::to_owned),
            runtimes: runtimes.map(|it| it.as_str().to_owned()).collect(),
            architectures: architectures.map(|it| it.as_str().to_owned()).collect(),
            content,
        })
    }

    /// The numbers of a layer's versions, the oldest first.
    pub async fn layer_versions(&self, layer: &str) -> Result<Vec<i64>> {
        let list = self
            .lambda
            .list_layer_versions()
            .layer_name(layer)
            .send()
            .await;
        let answer = list.map_err(Error::aws("ListLayerVersions"))?;
        let mut versions: Vec<_> = answer
            .layer_versions()
            .iter()
            .map(LayerVersionsListItem::version)
            .collect();
        versions.sort_unstable();
        Ok(versions)
    }

    /// The policy of a layer version; `None` if nothing was granted.
    pub async fn layer_policy(&self, layer: &str, version: i64) -> Result<Option<Value>> {
        let get = self.lambda.get_layer_version_policy().layer_name(layer);
        match get.version_number(version).send().await {
            Ok(answer) => Ok(answer.policy().and_then(|it| serde_json::from_str(it).ok())),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(GetLayerVersionPolicyError::is_resource_not_found_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(Error::aws("GetLayerVersionPolicy")(error)),
        }
    }

    /// The value of a parameter of the Parameter Store; `None` if there is none.
    pub async fn parameter(&self, name: &str) -> Result<Option<String>> {
        match self.ssm.get_parameter().name(name).send().await {
            Ok(answer) => Ok(answer
                .parameter()
                .and_then(|it| it.value())
                .map(str::to_owned)),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(GetParameterError::is_parameter_not_found) =>
            {
                Ok(None)
            }
            Err(error) => Err(Error::aws("GetParameter")(error)),
        }
    }

    /// Returns the number of messages in a queue, whether they can be received yet or not.
    pub async fn queued(&self, queue: &str) -> Result<u32> {
        let counts = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let get = self.sqs.get_queue_attributes().queue_url(queue);
        let get = get.set_attribute_names(Some(counts.to_vec())).send().await;
        let answer = get.map_err(Error::aws("GetQueueAttributes"))?;
        let attributes = answer.attributes().cloned().unwrap_or_default();
        let count = |name| attributes.get(name)?.parse::<u32>().ok();
        let counts: Option<Vec<_>> = counts.iter().map(count).collect();
        let missing = || Error::Unexpected(format!("{queue} does not say what it holds"));
        Ok(counts.ok_or_else(missing)?.into_iter().sum())
    }

    /// Takes a message out of a queue; waits for up to `patience` if there is none.
    pub async fn take_message(&self, queue: &str, patience: Duration) -> Result<Option<String>> {
        let start = Instant::now();
        loop {
            let is_last = start.elapsed() >= patience;
            let receive = self.sqs.receive_message().queue_url(queue);
            let receive = receive.wait_time_seconds(i32::from(!is_last)).send().await;
            let answer = receive.map_err(Error::aws("ReceiveMessage"))?;
            if let Some(message) = answer.messages.unwrap_or_default().pop() {
                let delete = self.sqs.delete_message().queue_url(queue);
                let delete = delete.receipt_handle(message.receipt_handle.unwrap_or_default());
                delete.send().await.map_err(Error::aws("DeleteMessage"))?;
                return Ok(message.body);
            }
            if is_last {
                return Ok(None);
            }
        }
    }
}

/// A table of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Requests and their targets.
    Requests,
    /// Layers and their versions.
    Layers,
}

impl Table {
    fn output(self) -> &'static str {
        match self {
            Self::Requests => "RequestsTableName",
            Self::Layers => "LayersTableName",
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Requests => "RequestId",
            Self::Layers => "LayerName",
        }
    }
}
