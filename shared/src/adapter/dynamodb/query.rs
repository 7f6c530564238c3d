//! Questions to one partition of a table or index, page by page.

use aws_sdk_dynamodb::types::AttributeValue;

use super::failure::failed;
use super::item::{Item, text, text_of};
use super::{DynamoStore, page};
use crate::port::{Error, Page};

/// One question.
#[derive(Debug, Clone)]
pub(super) struct Query<'store> {
    table: &'store str,
    index: Option<&'static str>,
    partition: (&'static str, String),
    /// The table's partition of what an index finds, where it is always the same: only such an index can be paged through.
    home: Option<String>,
    sort: &'static str,
    range: Range,
    equal: Vec<(&'static str, &'static str)>,
    descending: bool,
    keys_only: bool,
}

/// Which sort keys.
#[derive(Debug, Clone)]
enum Range {
    All,
    BeginsWith(AttributeValue),
    After(AttributeValue),
    Before(AttributeValue),
    AtLeast(AttributeValue),
    AtMost(AttributeValue),
    Between(AttributeValue, AttributeValue),
}

/// How many items one call looks at where some are then filtered out.
const FILTERED_PAGE: usize = 500;
/// How many calls one question makes where items are filtered out, before it answers with a short page.
const FILTERED_CALLS: usize = 8;

impl<'store> Query<'store> {
    /// A partition of a table, ascending.
    pub(super) fn table(table: &'store str, partition: String) -> Self {
        Self {
            table,
            index: None,
            partition: ("pk", partition),
            home: None,
            sort: "sk",
            range: Range::All,
            equal: Vec::new(),
            descending: false,
            keys_only: false,
        }
    }

    /// A partition of an index, ascending by its sort key.
    pub(super) fn index(
        table: &'store str,
        index: &'static str,
        partition: (&'static str, String),
        sort: &'static str,
    ) -> Self {
        Self {
            index: Some(index),
            partition,
            sort,
            ..Self::table(table, String::new())
        }
    }

    /// All of it lies in this partition of the table.
    pub(super) fn within(mut self, partition: String) -> Self {
        self.home = Some(partition);
        self
    }

    /// Descending.
    pub(super) const fn descending(mut self) -> Self {
        self.descending = true;
        self
    }

    /// Nothing but the primary keys.
    pub(super) const fn keys_only(mut self) -> Self {
        self.keys_only = true;
        self
    }

    /// Sort keys that begin so.
    pub(super) fn beginning_with(self, prefix: &str) -> Self {
        self.ranged(Range::BeginsWith(text(prefix)))
    }

    /// Sort keys beyond this one.
    pub(super) fn after(self, low: &str) -> Self {
        self.ranged(Range::After(text(low)))
    }

    /// Sort keys short of this one.
    pub(super) fn before(self, high: &str) -> Self {
        self.ranged(Range::Before(text(high)))
    }

    /// Sort keys from `low` to `high`, both inclusive; where one is missing, the range is open.
    pub(super) fn between(self, low: Option<AttributeValue>, high: Option<AttributeValue>) -> Self {
        self.ranged(match (low, high) {
            (None, None) => Range::All,
            (Some(low), None) => Range::AtLeast(low),
            (None, Some(high)) => Range::AtMost(high),
            (Some(low), Some(high)) => Range::Between(low, high),
        })
    }

    /// Items whose attribute has this text, filtered after reading.
    pub(super) fn equal(mut self, attribute: &'static str, value: &'static str) -> Self {
        self.equal.push((attribute, value));
        self
    }

    fn ranged(mut self, range: Range) -> Self {
        self.range = range;
        self
    }

    /// Whether no sort key can be in the range; DynamoDB refuses to look at one that ends before it begins.
    fn is_empty(&self) -> bool {
        match &self.range {
            Range::Between(AttributeValue::S(low), AttributeValue::S(high)) => low > high,
            _ => false,
        }
    }

    /// The sort keys by which a page of this question goes on.
    fn varying(&self) -> [&'static str; 2] {
        [self.sort, "sk"]
    }

    /// The key behind which a page begins. Its partitions are the question's own, whatever the sort keys are.
    fn start_behind(&self, behind: [String; 2]) -> Item {
        let (name, value) = &self.partition;
        let home = self.home.iter().map(|home| ("pk", home.clone()));
        self.varying()
            .into_iter()
            .zip(behind)
            .chain(home)
            .chain([(*name, value.clone())])
            .map(|(name, value)| (name.to_owned(), text(value)))
            .collect()
    }

    fn key_condition(&self) -> (String, Vec<(&'static str, AttributeValue)>) {
        let (text, values) = match &self.range {
            Range::All => ("", vec![]),
            Range::BeginsWith(prefix) => (
                " AND begins_with(#sort, :low)",
                vec![(":low", prefix.clone())],
            ),
            Range::After(low) => (" AND #sort > :low", vec![(":low", low.clone())]),
            Range::Before(high) => (" AND #sort < :high", vec![(":high", high.clone())]),
            Range::AtLeast(low) => (" AND #sort >= :low", vec![(":low", low.clone())]),
            Range::AtMost(high) => (" AND #sort <= :high", vec![(":high", high.clone())]),
            Range::Between(low, high) => (
                " AND #sort BETWEEN :low AND :high",
                vec![(":low", low.clone()), (":high", high.clone())],
            ),
        };
        (format!("#partition = :partition{text}"), values)
    }
}

impl DynamoStore {
    /// Everything that a question finds.
    pub(super) async fn all(&self, query: &Query<'_>) -> Result<Vec<Item>, Error> {
        let mut found = Vec::new();
        if query.is_empty() {
            return Ok(found);
        }
        let mut start = None;
        loop {
            let (items, last) = self.call(query, start, None).await?;
            found.extend(items);
            if last.is_none() {
                return Ok(found);
            }
            start = last;
        }
    }

    /// The first `limit` items that a question finds, and whether there are more.
    pub(super) async fn first(
        &self,
        query: &Query<'_>,
        limit: usize,
    ) -> Result<(Vec<Item>, bool), Error> {
        let (items, last) = self.collect(query, None, limit).await?;
        Ok((items, last.is_some()))
    }

    /// The page of a question's answer that `next` names.
    pub(super) async fn page(
        &self,
        query: &Query<'_>,
        next: Option<&str>,
        limit: usize,
    ) -> Result<Page<Item>, Error> {
        let question = format!("{query:?}");
        let varying = query.varying();
        let start = match next {
            None => None,
            Some(token) => {
                let behind: [String; 2] = page::behind(&question, token)?;
                Some(query.start_behind(behind))
            }
        };
        let (items, last) = self.collect(query, start, limit).await?;
        let next =
            last.map(|last| page::token(&question, &varying.map(|name| text_of(&last, name))));
        Ok(Page { items, next })
    }

    /// Up to `limit` items from `start` on, with where to go on.
    async fn collect(
        &self,
        query: &Query<'_>,
        mut start: Option<Item>,
        limit: usize,
    ) -> Result<(Vec<Item>, Option<Item>), Error> {
        if query.is_empty() {
            return Ok((Vec::new(), None));
        }
        let limit = limit.max(1);
        let mut found: Vec<Item> = Vec::new();
        let mut calls = 0;
        loop {
            // One more than wanted tells whether there is more, without an empty page at the end.
            let wanted = limit + 1 - found.len();
            let looked_at = if query.equal.is_empty() {
                wanted
            } else {
                wanted.max(FILTERED_PAGE)
            };
            let (items, last) = self.call(query, start, Some(looked_at)).await?;
            found.extend(items);
            calls += 1;
            if found.len() > limit {
                found.truncate(limit);
                let last = found.last().map(|item| key_of(query, item));
                return Ok((found, last));
            }
            let enough = !query.equal.is_empty() && calls == FILTERED_CALLS;
            if last.is_none() || enough {
                return Ok((found, last));
            }
            start = last;
        }
    }

    async fn call(
        &self,
        query: &Query<'_>,
        start: Option<Item>,
        limit: Option<usize>,
    ) -> Result<(Vec<Item>, Option<Item>), Error> {
        let (condition, values) = query.key_condition();
        let (partition, value) = &query.partition;
        let mut call = self
            .client
            .query()
            .table_name(query.table)
            .set_index_name(query.index.map(str::to_owned))
            .consistent_read(query.index.is_none())
            .scan_index_forward(!query.descending)
            .key_condition_expression(condition)
            .expression_attribute_names("#partition", *partition)
            .expression_attribute_values(":partition", text(value))
            .set_exclusive_start_key(start)
            .set_limit(limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX)));
        if !values.is_empty() {
            call = call.expression_attribute_names("#sort", query.sort);
        }
        if query.keys_only {
            call = call.projection_expression("pk, sk");
        }
        for (name, value) in values {
            call = call.expression_attribute_values(name, value);
        }
        let filter = query
            .equal
            .iter()
            .enumerate()
            .map(|(index, _)| format!("#equal{index} = :equal{index}"))
            .collect::<Vec<_>>()
            .join(" AND ");
        for (index, (attribute, value)) in query.equal.iter().enumerate() {
            call = call
                .expression_attribute_names(format!("#equal{index}"), *attribute)
                .expression_attribute_values(format!(":equal{index}"), text(*value));
        }
        let answer = call
            .set_filter_expression(Some(filter).filter(|filter| !filter.is_empty()))
            .send()
            .await
            .map_err(failed("Query"))?;
        let last = answer.last_evaluated_key.filter(|key| !key.is_empty());
        Ok((answer.items.unwrap_or_default(), last))
    }
}

/// The attributes of an item by which a question goes on behind it.
fn key_of(query: &Query<'_>, item: &Item) -> Item {
    ["pk", "sk", query.partition.0, query.sort]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), item.get(name)?.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_ends_before_it_begins_is_empty() {
        let range = |low: &str, high: &str| {
            Query::table("log", "acme".into()).between(Some(text(low)), Some(text(high)))
        };
        assert!(range("b", "a").is_empty());
        assert!(!range("a", "a").is_empty());
        assert!(!Query::table("log", "acme".into()).is_empty());
    }

    #[test]
    fn a_page_begins_in_the_partition_that_is_asked_about() {
        let query = Query::index(
            "log",
            "by-record",
            ("record_key", "acme#task#1".into()),
            "sk",
        )
        .within("acme".into());
        let start = query.start_behind(["x".into(), "x".into()]);
        assert_eq!(start.len(), 3);
        assert_eq!(
            ["pk", "sk", "record_key"].map(|name| text_of(&start, name)),
            ["acme", "x", "acme#task#1"]
        );
    }
}
