//! The four DynamoDB tables.
//!
//! | table | partition key `pk` | sort key `sk` | what | file |
//! |---|---|---|---|---|
//! | state | `connection` | connection | the connection; indexes `by-routine-due`, `by-full-due` while it is enabled | `connections` |
//! | state | `c#<connection>` | `settings#<version>` | one version of its settings | `connections` |
//! | state | `c#<connection>` | `cursor#<object>` | the routine sync's cursor | `coordination` |
//! | state | `c#<connection>` | `lease#<name>` | who may work on something, and until when | `coordination` |
//! | state | `c#<connection>` | `credits#<hour>` | credits spent in an hour | `coordination` |
//! | state | `c#<connection>` | `run#<run>` | a run; forgotten after 90 days | `runs` |
//! | state | `c#<connection>` | `slice#<run>#<stage>#<object>#<index>` | a slice of it | `runs` |
//! | state | `c#<connection>` | `calculated` | what the accounts were calculated with | `calculations` |
//! | state | `c#<connection>` | `lack#<object>` | what Zoho does not show of an object | `coordination` |
//! | state | `c#<connection>` | `oauth#<digest>` | says that this OAuth state is the connection's | `coordination` |
//! | state | `oauth#<digest>` | `state` | an OAuth state, until it is taken or void | `coordination` |
//! | state | `c#<connection>#candidate#<object>` | padded Zoho id | a removal candidate | `ledger` |
//! | state | `c#<connection>#awaiting#<object>` | platform id | a record that waits for a reference | `ledger` |
//! | state | `c#<connection>#calculation` | `<day>#<account>` | an account that is to be calculated on a day | `calculations` |
//! | links | `<connection>#<object>` | padded Zoho id | a link | `ledger` |
//! | records | `<connection>#<object>` | platform id | a record; indexes `by-account`, `by-pending`, `by-updated` | `records` |
//! | log | `<connection>` | the entry's id | a line of the log; indexes `by-record`, `by-outcome` | `journal` |
//!
//! What a purge deletes is listed in `names`, with a test that nothing is left out.
//!
//! A connection id has no `#` in it, so no key of one connection is, or begins with, a key of another.
//!
//! Reads of tables are strongly consistent, because the flows rely on what they wrote; reads of indexes can't be, so whatever an index names
//! is either read again from its table or only acted on by a conditional write. There is no scan.

#[cfg(test)]
mod any_item;
mod batch;
mod calculations;
mod connections;
mod coordination;
mod erasure;
mod failure;
mod item;
mod journal;
mod ledger;
mod names;
mod page;
mod query;
mod record_item;
mod records;
mod runs;
mod write;

use aws_sdk_dynamodb::Client;

/// The names of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// Connections and what the flows keep about them.
    pub state: String,
    /// Links.
    pub links: String,
    /// Records.
    pub records: String,
    /// The log.
    pub log: String,
}

/// All stores, in DynamoDB.
#[derive(Debug, Clone)]
pub struct DynamoStore {
    client: Client,
    tables: Tables,
}

impl DynamoStore {
    /// The stores in these tables.
    #[must_use]
    pub const fn new(client: Client, tables: Tables) -> Self {
        Self { client, tables }
    }
}
