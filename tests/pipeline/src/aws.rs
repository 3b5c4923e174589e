//! Conversions from the SDK's types, and the configuration of its clients.

use std::collections::HashMap;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};
use serde_json::{Map, Value};

use crate::workspace::REGION;

/// The configuration of clients for a server on this machine: nothing of the environment is read.
pub(crate) fn configuration(endpoint: &str) -> SdkConfig {
    configuration_in(REGION, endpoint)
}

/// The same for a region.
pub(crate) fn configuration_in(region: &str, endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "the emulator's root user");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .endpoint_url(endpoint)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// An item of a table as JSON.
pub(crate) fn item(item: HashMap<String, AttributeValue>) -> Value {
    let fields = item.into_iter().map(|(name, it)| (name, value(it)));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn value(attribute: AttributeValue) -> Value {
    match attribute {
        AttributeValue::S(text) => text.into(),
        AttributeValue::N(number) => serde_json::from_str(&number).unwrap_or(Value::Null),
        AttributeValue::Bool(is) => is.into(),
        AttributeValue::L(list) => list.into_iter().map(value).collect(),
        AttributeValue::Ss(list) | AttributeValue::Ns(list) => list.into(),
        AttributeValue::M(map) => item(map),
        _ => Value::Null,
    }
}
