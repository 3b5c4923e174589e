//! Items of a table.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use accretion_core::request::RequestRef;
use accretion_core::timestamp::Timestamp;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use futures_util::future;

use crate::error::{Call, CallError, Error, Outcome as _};
use crate::{Clients, retry};

/// The sort key of both tables.
pub(crate) const ITEM: &str = "Item";

/// The keys that one reading of an index returns at most: older ones first, the rest next time.
const MAX_KEYS: usize = 1000;

/// Parts of a table that are read at the same time.
#[cfg(feature = "operator")]
const SEGMENTS: i32 = 8;

/// Attributes by name.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// A text attribute.
pub(crate) fn text(value: &(impl ToString + ?Sized)) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

/// A list attribute of texts.
pub(crate) fn texts(values: impl IntoIterator<Item: ToString>) -> AttributeValue {
    AttributeValue::L(values.into_iter().map(|value| text(&value)).collect())
}

/// A number attribute.
pub(crate) fn number(value: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

/// Attributes as an item.
pub(crate) fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

/// A table whose items have two keys.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    client: Client,
    name: String,
    /// The name of the partition key.
    partition: &'static str,
}

impl Table {
    pub(crate) fn new(clients: &Clients, name: impl Into<String>, partition: &'static str) -> Self {
        Self {
            client: Client::new(clients.config()),
            name: name.into(),
            partition,
        }
    }

    fn call(&self, operation: &'static str, partition: &str, sort: &str) -> Call {
        Call::new(operation, format!("{}/{partition}/{sort}", self.name))
    }

    /// The keys of an item.
    pub(crate) fn key(&self, partition: &str, sort: &str) -> Item {
        item([(self.partition, text(partition)), (ITEM, text(sort))])
    }

    /// The error of an item that cannot be read.
    pub(crate) fn invalid(&self, partition: &str, sort: &str, problem: String) -> Error {
        Error::ItemInvalid {
            table: self.name.clone(),
            item: format!("{partition}/{sort}"),
            problem,
        }
    }

    /// An item as of now; `None` if there is none.
    pub(crate) async fn get(&self, partition: &str, sort: &str) -> Result<Option<Item>, Error> {
        let request = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(self.key(partition, sort)))
            .consistent_read(true);
        let outcome = request.send().await;
        let answer = outcome.of(self.call("dynamodb:GetItem", partition, sort))?;
        Ok(answer.item)
    }

    /// The content of an item as of now; `None` if there is none.
    pub(crate) async fn read<T>(
        &self,
        partition: &str,
        sort: &str,
        read: impl FnOnce(Record<'_>) -> Result<T, String>,
    ) -> Result<Option<T>, Error> {
        let item = self.get(partition, sort).await?;
        let content = item.map(|item| read(Record(&item))).transpose();
        content.map_err(|problem| self.invalid(partition, sort, problem))
    }

    /// Changes an item, or makes it, if its condition holds.
    pub(crate) async fn update(
        &self,
        partition: &str,
        sort: &str,
        update: &Update,
    ) -> Result<Updated, Error> {
        let call = || {
            let request = self.client.update_item().table_name(&self.name);
            request
                .set_key(Some(self.key(partition, sort)))
                .update_expression(update.expression())
                .set_condition_expression(update.condition())
                .set_expression_attribute_names(Some(update.names()))
                .set_expression_attribute_values(update.values())
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                )
                .send()
        };
        let outcome = retry::on_conflict(call).await;
        let refusal = outcome.as_ref().err().and_then(SdkError::as_service_error);
        if let Some(UpdateItemError::ConditionalCheckFailedException(refused)) = refusal {
            let stands = refused.item.clone();
            return Ok(Updated::Refused(stands.unwrap_or_default()));
        }
        outcome.of(self.call("dynamodb:UpdateItem", partition, sort))?;
        Ok(Updated::Done)
    }

    /// Removes an item. A missing item is no error.
    pub(crate) async fn delete(&self, partition: &str, sort: &str) -> Result<(), Error> {
        let call = || {
            let request = self.client.delete_item().table_name(&self.name);
            request.set_key(Some(self.key(partition, sort))).send()
        };
        let outcome = retry::on_conflict(call).await;
        outcome.of(self.call("dynamodb:DeleteItem", partition, sort))?;
        Ok(())
    }

    /// All items of a partition as of now, in the order of their sort keys.
    #[cfg(feature = "operator")]
    pub(crate) async fn partition(&self, partition: &str) -> Result<Vec<Item>, Error> {
        let request = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression("#Partition = :Partition")
            .expression_attribute_names("#Partition", self.partition)
            .expression_attribute_values(":Partition", text(partition))
            .consistent_read(true);
        let mut pages = request.into_paginator().send();
        let mut items = Vec::new();
        while let Some(page) = pages.next().await {
            let call = Call::new("dynamodb:Query", format!("{}/{partition}", self.name));
            items.extend(page.of(call)?.items.unwrap_or_default());
        }
        Ok(items)
    }

    /// Goes through all items of the table, in no order, and hands over page by page.
    #[cfg(feature = "operator")]
    pub(crate) async fn scan(&self, each: impl Fn(Vec<Item>)) -> Result<(), Error> {
        let hand_over = &each;
        let segments = (0..SEGMENTS).map(async |segment| {
            let request = self
                .client
                .scan()
                .table_name(&self.name)
                .segment(segment)
                .total_segments(SEGMENTS);
            let mut pages = request.into_paginator().send();
            while let Some(page) = pages.next().await {
                let call = Call::new("dynamodb:Scan", &self.name);
                hand_over(page.of(call)?.items.unwrap_or_default());
            }
            Ok(())
        });
        future::try_join_all(segments).await.map(|_| ())
    }

    /// The keys in an index whose point in time is before another one, oldest first, from all
    /// shards.
    pub(crate) async fn older(&self, index: &Index, before: Timestamp) -> Result<Vec<Item>, Error> {
        let reads = SHARDS.map(|shard| self.older_in(index, shard, before));
        let shards = future::try_join_all(reads).await?;
        let mut keys: Vec<Item> = shards.into_iter().flatten().collect();
        let time = |keys: &Item| Record(keys).text(index.time).unwrap_or_default().to_owned();
        keys.sort_by_cached_key(time);
        keys.truncate(MAX_KEYS);
        Ok(keys)
    }

    async fn older_in(
        &self,
        index: &Index,
        shard: &str,
        before: Timestamp,
    ) -> Result<Vec<Item>, Error> {
        let request = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(index.name)
            .key_condition_expression("#Shard = :Shard AND #Time < :Before")
            .expression_attribute_names("#Shard", index.shard)
            .expression_attribute_names("#Time", index.time)
            .expression_attribute_values(":Shard", text(shard))
            .expression_attribute_values(":Before", text(&before));
        let mut pages = request.into_paginator().send();
        let mut keys = Vec::new();
        while keys.len() < MAX_KEYS
            && let Some(outcome) = pages.next().await
        {
            let resource = format!("{}/index/{}", self.name, index.name);
            let page = outcome.of(Call::new("dynamodb:Query", resource))?;
            keys.extend(page.items.unwrap_or_default());
        }
        Ok(keys)
    }

    /// As a part of a transaction: changes an item, or makes it.
    pub(crate) fn updating(
        &self,
        partition: &str,
        sort: &str,
        update: &Update,
    ) -> TransactWriteItem {
        let update = aws_sdk_dynamodb::types::Update::builder()
            .table_name(&self.name)
            .set_key(Some(self.key(partition, sort)))
            .update_expression(update.expression())
            .set_condition_expression(update.condition())
            .set_expression_attribute_names(Some(update.names()))
            .set_expression_attribute_values(update.values())
            .build()
            .expect("it has a table, a key and an expression");
        TransactWriteItem::builder().update(update).build()
    }

    /// As a part of a transaction: writes an item, over an existing one.
    pub(crate) fn putting(&self, partition: &str, sort: &str, rest: Item) -> TransactWriteItem {
        self.put(partition, sort, rest, None)
    }

    /// As a part of a transaction: writes an item that must not exist yet.
    pub(crate) fn putting_new(&self, partition: &str, sort: &str, rest: Item) -> TransactWriteItem {
        let condition = format!("attribute_not_exists({})", self.partition);
        self.put(partition, sort, rest, Some(condition))
    }

    fn put(
        &self,
        partition: &str,
        sort: &str,
        rest: Item,
        condition: Option<String>,
    ) -> TransactWriteItem {
        let mut item = self.key(partition, sort);
        item.extend(rest);
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(item))
            .set_condition_expression(condition)
            .build()
            .expect("it has a table and an item");
        TransactWriteItem::builder().put(put).build()
    }

    /// Does all of it or nothing. `what` is what messages call it.
    pub(crate) async fn transact(
        &self,
        what: &str,
        writes: Vec<TransactWriteItem>,
    ) -> Result<Transacted, Error> {
        // Each attempt of ours has its own token from the SDK, which retries with that token.
        let call = || {
            let request = self.client.transact_write_items();
            request.set_transact_items(Some(writes.clone())).send()
        };
        let outcome = retry::on(is_in_the_way, call).await;
        let Err(error) = &outcome else {
            return Ok(Transacted::Done);
        };
        let refused: Vec<_> = reasons(error)
            .map(|code| code == "ConditionalCheckFailed")
            .collect();
        if refused.contains(&true) {
            return Ok(Transacted::Refused(refused));
        }
        let resource = format!("{}/{what}", self.name);
        let call = Call::new("dynamodb:TransactWriteItems", resource)
            .allowed_by("dynamodb:PutItem` and `dynamodb:UpdateItem");
        if is_in_the_way(error) {
            let problem = crate::error::problem(error);
            return Err(Error::Throttled { call, problem });
        }
        outcome.of(call).map(|_| Transacted::Done)
    }
}

/// An index of pending work, spread over 16 shards.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) name: &'static str,
    /// The partition key: a hexadecimal digit.
    pub(crate) shard: &'static str,
    /// The sort key: a point in time.
    pub(crate) time: &'static str,
}

/// The shards of every [`Index`].
const SHARDS: [&str; 16] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f",
];

/// The outcome of an update.
#[derive(Debug)]
pub(crate) enum Updated {
    Done,
    /// Its condition does not hold for this item, which is empty if there is none.
    Refused(Item),
}

/// The outcome of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Transacted {
    Done,
    /// No part of it was written. True for each condition that did not hold.
    Refused(Vec<bool>),
}

/// The reasons of a cancelled transaction: a code for each of its items, `None` for those without
/// a problem.
fn reasons(error: &CallError<TransactWriteItemsError>) -> impl Iterator<Item = &str> {
    let cancelled = match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            cancelled.cancellation_reasons()
        }
        _ => &[],
    };
    cancelled
        .iter()
        .map(|reason| reason.code().unwrap_or_default())
}

/// Checks if a transaction was cancelled because of concurrent ones, or of their number; not because
/// of a condition, which will not hold next time either.
fn is_in_the_way(error: &CallError<TransactWriteItemsError>) -> bool {
    let temporary = [
        "TransactionConflict",
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
    ];
    let is_final = reasons(error).any(|code| code == "ConditionalCheckFailed");
    !is_final && reasons(error).any(|code| temporary.contains(&code))
}

/// A change of an item. Attributes are named as they are: none can be taken for a reserved word.
#[derive(Debug, Clone, Default)]
pub(crate) struct Update {
    sets: Vec<String>,
    removes: Vec<String>,
    conditions: Vec<String>,
    names: HashMap<String, String>,
    values: Item,
}

impl Update {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Sets an attribute.
    pub(crate) fn set(mut self, name: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.name(name), self.value(name, value));
        self.sets.push(format!("{name} = {value}"));
        self
    }

    /// Sets an attribute that has no value yet.
    pub(crate) fn set_new(mut self, name: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.name(name), self.value(name, value));
        self.sets
            .push(format!("{name} = if_not_exists({name}, {value})"));
        self
    }

    /// Sets an attribute, or leaves it if there is no value for it.
    pub(crate) fn set_if(self, name: &str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    /// Sets an attribute, or removes it if it is to have no value.
    pub(crate) fn set_or_remove(self, name: &str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self.remove(name),
        }
    }

    /// Adds a number to an attribute that has one.
    pub(crate) fn add(mut self, name: &str, summand: AttributeValue) -> Self {
        let (name, value) = (self.name(name), self.value(name, summand));
        self.sets.push(format!("{name} = {name} + {value}"));
        self
    }

    /// Removes an attribute.
    pub(crate) fn remove(mut self, name: &str) -> Self {
        let name = self.name(name);
        self.removes.push(name);
        self
    }

    /// On condition that an attribute has no value.
    pub(crate) fn if_absent(mut self, name: &str) -> Self {
        let name = self.name(name);
        self.conditions
            .push(format!("attribute_not_exists({name})"));
        self
    }

    /// On condition that an attribute has a value.
    #[cfg(feature = "operator")]
    pub(crate) fn if_present(mut self, name: &str) -> Self {
        let name = self.name(name);
        self.conditions.push(format!("attribute_exists({name})"));
        self
    }

    /// On condition that an attribute has this value. `path` may lead into a map.
    pub(crate) fn if_equal(mut self, path: &str, value: AttributeValue) -> Self {
        let (path, value) = (self.name(path), self.value(&format!("If{path}"), value));
        self.conditions.push(format!("{path} = {value}"));
        self
    }

    /// On condition that an attribute has no value or a lower one.
    pub(crate) fn if_lower(mut self, name: &str, value: AttributeValue) -> Self {
        let (name, value) = (self.name(name), self.value(&format!("If{name}"), value));
        self.conditions.push(format!(
            "(attribute_not_exists({name}) OR {name} < {value})"
        ));
        self
    }

    fn name(&mut self, path: &str) -> String {
        let placeholders = path.split('.').map(|part| {
            let placeholder = format!("#{part}");
            self.names.insert(placeholder.clone(), part.to_owned());
            placeholder
        });
        placeholders.collect::<Vec<_>>().join(".")
    }

    fn value(&mut self, name: &str, value: AttributeValue) -> String {
        let placeholder = format!(":{}", name.replace('.', ""));
        self.values.insert(placeholder.clone(), value);
        placeholder
    }

    fn expression(&self) -> String {
        [("SET", &self.sets), ("REMOVE", &self.removes)]
            .iter()
            .filter(|(_, parts)| !parts.is_empty())
            .map(|(verb, parts)| format!("{verb} {}", parts.join(", ")))
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn condition(&self) -> Option<String> {
        (!self.conditions.is_empty()).then(|| self.conditions.join(" AND "))
    }

    fn names(&self) -> HashMap<String, String> {
        self.names.clone()
    }

    fn values(&self) -> Option<Item> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }
}

/// An item, or a map in one, that is being read. What is wrong with it is a text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a>(pub(crate) &'a Item);

impl<'a> Record<'a> {
    /// Checks if there is such an attribute.
    pub(crate) fn has(self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A text attribute.
    pub(crate) fn text(self, name: &str) -> Result<&'a str, String> {
        let value = self.0.get(name).and_then(|value| value.as_s().ok());
        value.map(String::as_str).ok_or_else(|| lacks(name))
    }

    /// A text attribute; `None` if there is none.
    #[cfg(feature = "operator")]
    pub(crate) fn text_if_any(self, name: &str) -> Result<Option<&'a str>, String> {
        self.has(name).then(|| self.text(name)).transpose()
    }

    /// The texts of a list attribute; none if there is none.
    pub(crate) fn texts(self, name: &str) -> Result<Vec<String>, String> {
        let Some(value) = self.0.get(name) else {
            return Ok(Vec::new());
        };
        let texts = value.as_l().ok().and_then(|values| {
            let texts = values.iter().map(|value| value.as_s().ok().cloned());
            texts.collect::<Option<Vec<_>>>()
        });
        texts.ok_or_else(|| lacks(name))
    }

    /// A text attribute, as what it stands for.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(self, name: &str) -> Result<T, String> {
        let parsed = self.text(name)?.parse();
        parsed.map_err(|error: T::Err| format!("`{name}`: {error}"))
    }

    /// A text attribute, as what it stands for; `None` if there is none.
    pub(crate) fn parsed_if_any<T: FromStr<Err: Display>>(
        self,
        name: &str,
    ) -> Result<Option<T>, String> {
        self.has(name).then(|| self.parsed(name)).transpose()
    }

    /// The request that an item is about.
    pub(crate) fn request(self) -> Result<RequestRef, String> {
        Ok(RequestRef {
            received_at: self.parsed("ReceivedAt")?,
            id: self.parsed("RequestId")?,
        })
    }

    /// A number attribute.
    pub(crate) fn number<T: FromStr>(self, name: &str) -> Result<T, String> {
        let value = self.0.get(name).and_then(|value| value.as_n().ok());
        value
            .and_then(|value| value.parse().ok())
            .ok_or_else(|| lacks(name))
    }

    /// A map attribute; `None` if there is none.
    pub(crate) fn map(self, name: &str) -> Result<Option<Record<'a>>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(AttributeValue::M(map)) => Ok(Some(Record(map))),
            Some(_) => Err(lacks(name)),
        }
    }
}

fn lacks(name: &str) -> String {
    format!("it has no usable `{name}`")
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::config::http::HttpResponse;
    use aws_sdk_dynamodb::types::CancellationReason;
    use aws_sdk_dynamodb::types::error::TransactionCanceledException;
    use aws_sdk_s3::primitives::SdkBody;

    use super::*;

    #[test]
    fn an_update_says_everything_by_placeholders() {
        let update = Update::new()
            .set("Status", text("Built"))
            .set_new("ReceivedAt", text("now"))
            .add("Revision", number(1))
            .set_or_remove("Hint", None)
            .remove("Open")
            .if_absent("Claim")
            .if_equal("Claim.Owner", text("me"))
            .if_lower("StatusRank", number(20));
        assert_eq!(
            update.expression(),
            "SET #Status = :Status, #ReceivedAt = if_not_exists(#ReceivedAt, :ReceivedAt), \
             #Revision = #Revision + :Revision REMOVE #Hint, #Open"
        );
        assert_eq!(
            update.condition().unwrap(),
            "attribute_not_exists(#Claim) AND #Claim.#Owner = :IfClaimOwner AND \
             (attribute_not_exists(#StatusRank) OR #StatusRank < :IfStatusRank)"
        );
        let said = update.expression() + &update.condition().unwrap();
        // DynamoDB refuses what is declared and not used.
        let declared = update.names().into_keys();
        for placeholder in declared.chain(update.values().unwrap().into_keys()) {
            assert!(said.contains(&placeholder), "{placeholder}");
        }
    }

    fn cancelled(codes: &[&str]) -> CallError<TransactWriteItemsError> {
        let reasons = codes
            .iter()
            .map(|code| CancellationReason::builder().code(*code).build());
        let error = TransactionCanceledException::builder()
            .set_cancellation_reasons(Some(reasons.collect()))
            .build();
        let error = TransactWriteItemsError::TransactionCanceledException(error);
        let status = 400.try_into().unwrap();
        SdkError::service_error(error, HttpResponse::new(status, SdkBody::empty()))
    }

    #[test]
    fn only_what_others_cause_is_worth_another_attempt() {
        for (codes, is_worth_it) in [
            (&["TransactionConflict", "None"][..], true),
            (&["None", "ThrottlingError"], true),
            (&["ProvisionedThroughputExceeded"], true),
            (&["None", "ConditionalCheckFailed"], false),
            (&["ConditionalCheckFailed", "TransactionConflict"], false),
            (&["ValidationError"], false),
            (&[], false),
        ] {
            assert_eq!(is_in_the_way(&cancelled(codes)), is_worth_it, "{codes:?}");
        }
    }
}
