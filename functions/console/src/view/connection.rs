//! Connections as the API shows them.

use jiff::Timestamp;
use serde::Serialize;
use tandem::connection::{Connection, Purge};
use tandem::credit::Budget;
use utoipa::ToSchema;

use super::{FindingView, Status};

/// A connection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectionView {
    /// Its id.
    #[schema(example = "acme")]
    pub id: String,
    /// Its name for people.
    #[schema(example = "Acme Inc.")]
    pub name: String,
    /// Where it stands.
    pub status: Status,
    /// Why it stands there, where that needs words.
    pub reason: Option<String>,
    /// The organisation, once one is granted.
    pub organisation: Option<OrganisationView>,
    /// Where the customer grants access, the first time and again; none once it is disconnected.
    #[schema(example = "https://sync.example.com/connect/acme")]
    pub connect_url: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When the next routine sync is due.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub routine_due_at: Option<Timestamp>,
    /// When the next full sync is due.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub full_due_at: Option<Timestamp>,
    /// Until when Zoho throttles the connection; nothing runs before that.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub throttled_until: Option<Timestamp>,
    /// How far its purge is, once one was asked for.
    pub purge: Option<PurgeView>,
}

/// How far a purge is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PurgeView {
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub asked_at: Timestamp,
    /// When nothing was left; null while it is under way.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub completed_at: Option<Timestamp>,
    /// How many items were deleted so far, in all tables; what an interrupted step deleted is not among them.
    pub deleted: u64,
    /// How many of them were records.
    pub records: u64,
    /// How many of them were links to Zoho's records.
    pub links: u64,
    /// How many of them were lines of the log.
    pub log_lines: u64,
}

/// What a granted organisation told about itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OrganisationView {
    /// Zoho's organisation id.
    pub id: String,
    /// The company's name.
    pub name: String,
    /// Its time zone, which decides what "today" and "tonight" mean.
    #[schema(example = "Europe/Berlin")]
    pub time_zone: String,
    /// The code of its data centre.
    #[schema(example = "eu")]
    pub data_centre: &'static str,
    /// The credits it may spend in a rolling day, as far as its edition tells.
    pub daily_credits: u64,
}

/// A connection with what it spends.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectionDetail {
    /// The connection.
    #[serde(flatten)]
    pub connection: ConnectionView,
    /// What it spends of the organisation's credits.
    pub credits: Credits,
    /// What Zoho did not show when each object was last read, and what helps. The preflight looks at everything.
    pub findings: Vec<FindingView>,
}

/// What a connection spends of its organisation's API credits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Credits {
    /// Spent in the last 24 hours, counted by the hour.
    pub spent: u64,
    /// What may be spent in 24 hours: `share` percent of the organisation's allowance. None before access is granted.
    pub ceiling: Option<u64>,
    /// The part of the organisation's allowance that Tandem may spend, in percent; a setting.
    #[schema(example = 50)]
    pub share: u8,
}

impl ConnectionView {
    /// A connection as it stands at `now`. `public_url` has no slash at its end.
    #[must_use]
    pub(crate) fn new(connection: &Connection, public_url: &str, now: Timestamp) -> Self {
        let Connection {
            id,
            name,
            status,
            reason,
            organisation,
            created_at,
            routine_due_at,
            full_due_at,
            paused_until,
            purge,
            version: _,
        } = connection;
        Self {
            id: id.to_string(),
            name: name.clone(),
            status: (*status).into(),
            reason: reason.clone(),
            organisation: organisation.as_ref().map(|organisation| OrganisationView {
                id: organisation.id.clone(),
                name: organisation.name.clone(),
                time_zone: organisation.time_zone.clone(),
                data_centre: organisation.data_centre.code(),
                daily_credits: organisation.daily_credits,
            }),
            connect_url: (!status.is_ended()).then(|| format!("{public_url}/connect/{id}")),
            created_at: *created_at,
            routine_due_at: *routine_due_at,
            full_due_at: *full_due_at,
            throttled_until: paused_until.filter(|until| *until > now),
            purge: purge.as_ref().map(PurgeView::from),
        }
    }
}

impl From<&Purge> for PurgeView {
    fn from(purge: &Purge) -> Self {
        let Purge {
            asked_at,
            completed_at,
            deleted,
        } = purge;
        Self {
            asked_at: *asked_at,
            completed_at: *completed_at,
            deleted: deleted.total(),
            records: deleted.records,
            links: deleted.links,
            log_lines: deleted.log,
        }
    }
}

impl Credits {
    /// What was spent against the ceiling that `share` sets.
    #[must_use]
    pub(crate) fn new(connection: &Connection, share: u8, spent: u64) -> Self {
        let ceiling = connection
            .organisation
            .as_ref()
            .map(|organisation| Budget::new(organisation.daily_credits, share, spent).ceiling);
        Self {
            spent,
            ceiling,
            share,
        }
    }
}
