//! The log: what happened to which record, in both directions.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Deserialize;
use tandem::identifier::PlatformId;
use tandem::journal;
use tandem::object::Object;
use tandem::port::JournalQuery;
use utoipa::IntoParams;

use crate::Deps;
use crate::extract::{OfConnection, Query, folded};
use crate::lifecycle;
use crate::paging::{Limit, Listing, Question};
use crate::problem::{Kind, Problem};
use crate::view::{Direction, LogLine, ObjectName, Outcome};

/// Which lines.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Lines {
    /// From then on, inclusive.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Until then, exclusive.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Of this outcome only.
    outcome: Option<Outcome>,
    /// Of this direction only.
    direction: Option<Direction>,
    /// Of this object only.
    object: Option<ObjectName>,
    /// Of the record with this platform id only; `object` says of which object.
    #[param(value_type = Option<String>)]
    record: Option<PlatformId>,
    /// The `next` of the page before; absent for the first page.
    cursor: Option<String>,
    /// How many lines are read, 1 to 200; 50 unless given.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 200)]
    limit: Limit,
}

impl Lines {
    fn question(&self, of: &OfConnection, query: &JournalQuery) -> Question {
        let direction = format!("{:?}", self.direction);
        Question::new(&[
            "log",
            of.connection.as_str(),
            &format!("{query:?}"),
            &direction,
        ])
    }

    fn query(&self) -> Result<JournalQuery, Problem> {
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from >= to
        {
            return Err(Problem::mistake(
                Kind::Invalid,
                "?to",
                "use an instant after ?from",
            ));
        }
        let object = self.object.map(Object::from);
        let record = match (object, &self.record) {
            (Some(object), Some(id)) => Some((object, folded(object, id.clone()))),
            (None, Some(_)) => {
                return Err(Problem::mistake(
                    Kind::Invalid,
                    "?object",
                    "say of which object the ?record is",
                ));
            }
            (_, None) => None,
        };
        Ok(JournalQuery {
            from: self.from,
            to: self.to,
            outcome: self.outcome.map(journal::Outcome::from),
            record,
            object,
        })
    }
}

/// The log of a connection, newest line first.
///
/// Not every filter has an index, so a page can be short and still have a `next`.
#[utoipa::path(get, path = "/connections/{connection}/log", tag = "log", operation_id = "read_log", params(OfConnection, Lines),
    responses((status = 200, description = "A page of lines", body = Listing<LogLine>)))]
pub(super) async fn list(
    State(deps): State<Deps>,
    of: OfConnection,
    Query(lines): Query<Lines>,
) -> Result<Json<Listing<LogLine>>, Problem> {
    let query = lines.query()?;
    let question = lines.question(&of, &query);
    let next = question.open(lines.cursor.as_deref())?;
    lifecycle::find(&deps.ports, &of.connection).await?;
    let mut page = deps
        .ports
        .store
        .read(&of.connection, &query, next, lines.limit.get())
        .await?;
    if let Some(direction) = lines.direction.map(journal::Direction::from) {
        page.items
            .retain(|entry| entry.direction == Some(direction));
    }
    Ok(Json(question.listing(page, |entry| LogLine::from(&entry))))
}
