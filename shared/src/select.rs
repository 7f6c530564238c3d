//! Questions to Zoho in COQL, as data: built here, sent by the Zoho adapter, answered in memory by tests.

use std::fmt;

use jiff::Timestamp;

use crate::identifier::ZohoId;
use crate::object::Object;

/// The most rows that one COQL call returns (Zoho CRM v8, "COQL limitations").
pub const PAGE_ROWS: usize = 2_000;
/// The most values in one `in` list (Zoho CRM v7 and later).
pub const IN_VALUES: usize = 100;
/// The most columns that one COQL call selects (Zoho CRM v7 and later).
pub const COLUMNS: usize = 500;

/// Which rows, in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Rows modified at or after `since`, beyond the (Modified_Time, id) pair `after` where given, in that order.
    Changed {
        /// The lower bound, inclusive.
        since: Timestamp,
        /// The last row already read.
        after: Option<(Timestamp, ZohoId)>,
    },
    /// Rows with `after < id <= to`, by id.
    IdRange {
        /// The last id already read.
        after: ZohoId,
        /// The upper bound, inclusive.
        to: ZohoId,
    },
    /// Rows with these ids, at most [`IN_VALUES`].
    Ids(Vec<ZohoId>),
    /// Rows whose lookup `field` is one of `ids` (at most [`IN_VALUES`]), beyond `after`, by id.
    LookupIn {
        /// The lookup field.
        field: String,
        /// The ids looked up.
        ids: Vec<ZohoId>,
        /// The last id already read.
        after: ZohoId,
    },
    /// Rows whose text `field` is one of `values` (at most [`IN_VALUES`]), by id.
    TextIn {
        /// The text field.
        field: String,
        /// The values looked for.
        values: Vec<String>,
    },
    /// Rows created at or after an instant, beyond `after`, by id.
    CreatedSince {
        /// The lower bound, inclusive.
        since: Timestamp,
        /// The last id already read.
        after: ZohoId,
    },
}

/// One COQL question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// The object asked about.
    pub object: Object,
    /// The columns wanted; the id always comes.
    pub columns: Vec<String>,
    /// Which rows.
    pub which: Which,
    /// The most rows wanted, at most [`PAGE_ROWS`].
    pub limit: usize,
}

/// A question for how many rows there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The object asked about.
    pub object: Object,
    /// The lower bound of the ids, exclusive.
    pub after: ZohoId,
    /// The upper bound of the ids, inclusive.
    pub to: ZohoId,
}

impl Count {
    /// The question for all rows of an object.
    #[must_use]
    pub const fn all(object: Object) -> Self {
        Self {
            object,
            after: ZohoId::MIN,
            to: ZohoId::MAX,
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let module = self.object.module();
        write!(formatter, "select COUNT(id) from {module} where ")?;
        match (self.after == ZohoId::MIN, self.to == ZohoId::MAX) {
            (true, true) => formatter.write_str("id is not null"),
            (false, true) => write!(formatter, "id > '{}'", self.after),
            (true, false) => write!(formatter, "id <= '{}'", self.to),
            (false, false) => {
                write!(formatter, "(id > '{}' and id <= '{}')", self.after, self.to)
            }
        }
    }
}

/// A text as a COQL literal.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// An instant as a COQL literal.
pub(crate) fn instant(time: Timestamp) -> String {
    format!("'{}+00:00'", time.strftime("%Y-%m-%dT%H:%M:%S"))
}

fn ids(ids: &[ZohoId]) -> String {
    ids.iter()
        .map(|id| format!("'{id}'"))
        .collect::<Vec<_>>()
        .join(",")
}

impl fmt::Display for Which {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { since, after: None } => {
                write!(
                    formatter,
                    "Modified_Time >= {} order by Modified_Time asc, id asc",
                    instant(*since)
                )
            }
            // More than two conditions must be bracketed in pairs.
            Self::Changed {
                after: Some((time, id)),
                ..
            } => write!(
                formatter,
                "((Modified_Time = {time} and id > '{id}') or Modified_Time > {time}) order by Modified_Time asc, id asc",
                time = instant(*time)
            ),
            Self::IdRange { after, to } if *to == ZohoId::MAX => {
                write!(formatter, "id > '{after}' order by id asc")
            }
            Self::IdRange { after, to } => write!(
                formatter,
                "(id > '{after}' and id <= '{to}') order by id asc"
            ),
            Self::Ids(list) => write!(formatter, "id in ({}) order by id asc", ids(list)),
            Self::LookupIn {
                field,
                ids: list,
                after,
            } => {
                write!(
                    formatter,
                    "({field} in ({}) and id > '{after}') order by id asc",
                    ids(list)
                )
            }
            Self::TextIn { field, values } => {
                let values = values
                    .iter()
                    .map(|value| literal(value))
                    .collect::<Vec<_>>()
                    .join(",");
                write!(formatter, "{field} in ({values}) order by id asc")
            }
            Self::CreatedSince { since, after } => {
                write!(
                    formatter,
                    "(Created_Time >= {} and id > '{after}') order by id asc",
                    instant(*since)
                )
            }
        }
    }
}

impl fmt::Display for Select {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "select id")?;
        for column in self.columns.iter().filter(|column| *column != "id") {
            write!(formatter, ", {column}")?;
        }
        write!(
            formatter,
            " from {} where {} limit {}",
            self.object.module(),
            self.which,
            self.limit.min(PAGE_ROWS)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(which: Which) -> String {
        Select {
            object: Object::Contact,
            columns: vec!["id".into(), "Modified_Time".into(), "Email".into()],
            which,
            limit: 2_000,
        }
        .to_string()
    }

    #[test]
    fn questions_are_keyset_pages() {
        let time: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let id: ZohoId = "42".parse().unwrap();
        assert_eq!(
            select(Which::Changed {
                since: time,
                after: None
            }),
            "select id, Modified_Time, Email from Contacts where Modified_Time >= '2026-11-23T10:00:00+00:00' \
             order by Modified_Time asc, id asc limit 2000"
        );
        assert_eq!(
            select(Which::Changed {
                since: time,
                after: Some((time, id))
            }),
            "select id, Modified_Time, Email from Contacts where ((Modified_Time = '2026-11-23T10:00:00+00:00' and id > '42') \
             or Modified_Time > '2026-11-23T10:00:00+00:00') order by Modified_Time asc, id asc limit 2000"
        );
        assert_eq!(
            select(Which::IdRange {
                after: ZohoId::MIN,
                to: ZohoId::MAX
            }),
            "select id, Modified_Time, Email from Contacts where id > '0' order by id asc limit 2000"
        );
    }

    #[test]
    fn counts_are_of_a_range_of_ids() {
        let id = |text: &str| text.parse::<ZohoId>().unwrap();
        let object = Object::Deal;
        assert_eq!(
            Count::all(object).to_string(),
            "select COUNT(id) from Deals where id is not null"
        );
        let count = Count {
            object,
            after: id("7"),
            to: id("9"),
        };
        assert_eq!(
            count.to_string(),
            "select COUNT(id) from Deals where (id > '7' and id <= '9')"
        );
    }

    #[test]
    fn text_cannot_leave_its_quotes() {
        let select = select(Which::TextIn {
            field: "Email".into(),
            values: vec!["o'hara') or (id > '0".into()],
        });
        assert!(
            select.contains(r"Email in ('o\'hara\') or (id > \'0')"),
            "{select}"
        );
    }
}
