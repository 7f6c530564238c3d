//! Guarded writes: an item is replaced or deleted only while its guard holds.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

use super::DynamoStore;
use super::failure::failed;
use super::item::{Item, key, number};
use crate::port::Error;

/// What must be true of the stored item for a write to happen.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    expression: String,
    names: Vec<(&'static str, &'static str)>,
    values: Vec<(&'static str, AttributeValue)>,
}

impl Guard {
    /// There is none.
    pub(super) fn absent() -> Self {
        Self {
            expression: "attribute_not_exists(pk)".to_owned(),
            names: Vec::new(),
            values: Vec::new(),
        }
    }

    /// It has this version.
    pub(super) fn at_version(version: u64) -> Self {
        Self::saying(
            "#version = :version",
            vec![("#version", "version")],
            vec![(":version", number(version))],
        )
    }

    /// It has the version that was read; version 0 was never stored.
    pub(super) fn read_at(version: u64) -> Self {
        match version {
            0 => Self::absent(),
            version => Self::at_version(version),
        }
    }

    /// The same, or there is none.
    pub(super) fn or_absent(self) -> Self {
        Self {
            expression: format!("attribute_not_exists(pk) OR ({})", self.expression),
            ..self
        }
    }

    /// Anything else.
    pub(super) fn saying(
        expression: &str,
        names: Vec<(&'static str, &'static str)>,
        values: Vec<(&'static str, AttributeValue)>,
    ) -> Self {
        Self {
            expression: expression.to_owned(),
            names,
            values,
        }
    }
}

/// Names the write that made an item as it is.
const MARK: &str = "write_mark";

impl DynamoStore {
    /// Puts an item while its guard holds; false when it does not.
    ///
    /// The SDK repeats a call whose answer was lost. If the first try had been stored, the second one meets its own effect and would
    /// report a stranger's write, so each write leaves a mark by which it knows itself.
    pub(super) async fn put(
        &self,
        table: &str,
        mut item: Item,
        guard: Guard,
    ) -> Result<bool, Error> {
        let mark = AttributeValue::B(Blob::new(rand::random::<[u8; 12]>()));
        item.insert(MARK.to_owned(), mark.clone());
        let is_own = |stored: &Item| stored.get(MARK) == Some(&mark);
        self.put_while(table, item, guard, is_own).await
    }

    /// The same for a small item that says nothing but its content: whoever stored the same did what was to be done.
    pub(super) async fn put_content(
        &self,
        table: &str,
        item: Item,
        guard: Guard,
    ) -> Result<bool, Error> {
        let content = item.clone();
        let is_same = |stored: &Item| *stored == content;
        self.put_while(table, item, guard, is_same).await
    }

    async fn put_while(
        &self,
        table: &str,
        item: Item,
        guard: Guard,
        is_done: impl Fn(&Item) -> bool,
    ) -> Result<bool, Error> {
        let mut call = self
            .client
            .put_item()
            .table_name(table)
            .set_item(Some(item))
            .condition_expression(guard.expression)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        for (name, attribute) in guard.names {
            call = call.expression_attribute_names(name, attribute);
        }
        for (name, value) in guard.values {
            call = call.expression_attribute_values(name, value);
        }
        match call.send().await {
            Ok(_) => Ok(true),
            Err(error) => match met(&error) {
                Some(stored) => Ok(stored.is_some_and(is_done)),
                None => Err(failed("PutItem")(error)),
            },
        }
    }

    /// Deletes an item while its guard holds; false when it does not.
    pub(super) async fn delete(
        &self,
        table: &str,
        pk: String,
        sk: String,
        guard: Guard,
    ) -> Result<bool, Error> {
        let mut call = self
            .client
            .delete_item()
            .table_name(table)
            .set_key(Some(key(pk, sk)))
            .condition_expression(guard.expression);
        for (name, attribute) in guard.names {
            call = call.expression_attribute_names(name, attribute);
        }
        for (name, value) in guard.values {
            call = call.expression_attribute_values(name, value);
        }
        match call.send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DeleteItemError::is_conditional_check_failed_exception) =>
            {
                Ok(false)
            }
            Err(error) => Err(failed("DeleteItem")(error)),
        }
    }

    /// Reads one item.
    pub(super) async fn get(
        &self,
        table: &str,
        pk: String,
        sk: String,
    ) -> Result<Option<Item>, Error> {
        let answer = self
            .client
            .get_item()
            .table_name(table)
            .set_key(Some(key(pk, sk)))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed("GetItem"))?;
        Ok(answer.item)
    }
}

/// What a failed guard met; nothing where the call failed for another reason.
fn met<R>(error: &SdkError<PutItemError, R>) -> Option<Option<&Item>> {
    match error.as_service_error()? {
        PutItemError::ConditionalCheckFailedException(failure) => Some(failure.item()),
        _ => None,
    }
}
