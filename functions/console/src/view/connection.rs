//! Connections as the API shows them.

use jiff::Timestamp;
use serde::Serialize;
use tandem::connection::Connection;
use tandem::credit::{self, Budget, Hour, Parts, Spender};
use tandem::forecast::Forecast;
use utoipa::ToSchema;

use super::{FindingView, SpenderName, Status};

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
    /// What Zoho did not show when each object was last read, and a day that needs more credits than may be spent, and what helps. The
    /// preflight looks at everything.
    pub findings: Vec<FindingView>,
}

/// What a connection spends of its organisation's API credits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Credits {
    /// Spent in the last 24 hours, counted by the hour; an hour that is partly over counts as a whole.
    pub spent: u64,
    /// The same by what it was spent for.
    pub spent_by: SpentBy,
    /// What may be spent in 24 hours: `share` percent of the organisation's allowance. None before access is granted.
    pub ceiling: Option<u64>,
    /// The part of the organisation's allowance that Tandem may spend, in percent; a setting.
    #[schema(example = 50)]
    pub share: u8,
    /// What Zoho said last is left of the whole allowance, whoever spends it; it says so only once half is spent. None: it said nothing in 24
    /// hours.
    pub left: Option<CreditsLeft>,
    /// What waits now because too much is spent, by own count or by what Zoho says.
    pub waiting: Vec<SpenderName>,
    /// What a day is going to cost. None before access is granted.
    pub forecast: Option<ForecastView>,
}

/// Credits by what they were spent for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpentBy {
    /// Full syncs.
    pub full_sync: u64,
    /// Routine syncs.
    pub routine_sync: u64,
    /// What persons ask for: previews, preflights, connecting.
    pub person: u64,
    /// Edits on their way to Zoho.
    pub writeback: u64,
}

/// What Zoho said is left.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreditsLeft {
    /// How many credits.
    pub credits: u64,
    /// When it said so.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// What a day is going to cost in credits if nothing waits, from what was measured.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ForecastView {
    /// A night's full sync: what the last one that completed cost. None: none has completed yet.
    pub full_sync: Option<u64>,
    /// A day's routine syncs. None: they run for less than an hour.
    pub routine_syncs: Option<u64>,
    /// A day's edits. None: routine syncs run for less than an hour.
    pub writeback: Option<u64>,
    /// The parts together, as far as they were measured. None: none was.
    pub total: Option<u64>,
    /// Whether all parts were measured.
    pub complete: bool,
    /// Over how many hours routine syncs and edits were measured, at most 24.
    #[schema(example = 24)]
    pub measured_hours: u64,
    /// Whether a day costs more than may be spent, as far as it was measured.
    pub exceeds_ceiling: bool,
    /// When the ceiling is reached, if that is within the next 24 hours.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub reaches_ceiling_at: Option<Timestamp>,
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
            connect_url: (*status != tandem::connection::Status::Disconnected)
                .then(|| format!("{public_url}/connect/{id}")),
            created_at: *created_at,
            routine_due_at: *routine_due_at,
            full_due_at: *full_due_at,
            throttled_until: paused_until.filter(|until| *until > now),
        }
    }
}

impl Credits {
    /// What was spent in these hours of the rolling day, against the ceiling that `share` sets.
    #[must_use]
    pub(crate) fn new(
        connection: &Connection,
        share: u8,
        hours: &[Hour],
        forecast: Option<&Forecast>,
        now: Timestamp,
    ) -> Self {
        let Parts {
            full_sync,
            routine_sync,
            person,
            writeback,
        } = credit::spent(hours);
        let budget = connection
            .organisation
            .as_ref()
            .map(|organisation| Budget::new(organisation.daily_credits, share, hours, now));
        let waits = |spender: &Spender| budget.is_some_and(|budget| !budget.allows(*spender));
        Self {
            spent: credit::spent(hours).total(),
            spent_by: SpentBy {
                full_sync,
                routine_sync,
                person,
                writeback,
            },
            ceiling: budget.map(|budget| budget.ceiling),
            share,
            left: credit::latest_word(hours)
                .filter(|word| word.left_at(now, 0).is_some())
                .map(|word| CreditsLeft {
                    credits: word.left,
                    at: word.at,
                }),
            waiting: Spender::ALL
                .into_iter()
                .filter(waits)
                .map(SpenderName::from)
                .collect(),
            forecast: forecast.map(ForecastView::from),
        }
    }
}

impl From<&Forecast> for ForecastView {
    fn from(forecast: &Forecast) -> Self {
        Self {
            full_sync: forecast.full_sync,
            routine_syncs: forecast.routine_syncs,
            writeback: forecast.writeback,
            total: forecast.total(),
            complete: forecast.is_complete(),
            measured_hours: forecast.measured_hours,
            exceeds_ceiling: forecast.exceeds(),
            reaches_ceiling_at: forecast.reaches_ceiling_at,
        }
    }
}
