//! What every job works with: the ports, the connection, its settings, a session with Zoho and a deadline.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::connection::{Connection, Status};
use crate::credit::Spender;
use crate::identifier::{ConnectionId, RunId};
use crate::journal::{Entry, Outcome, Retention};
use crate::mapping::FieldPlan;
use crate::merge::Moment;
use crate::object::Object;
use crate::port::{CrmError, Ports, SettingsVersion};
use crate::record::Record;

use super::calculate::Desk;
use super::reading::Known;
use super::session::Session;
use super::{Error, REDELIVERED};

/// Until when an invocation may work; what is left goes on in another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(pub Timestamp);

/// How long before its deadline a job hands over: longer than one page of work.
const MARGIN: SignedDuration = SignedDuration::from_secs(45);

impl Deadline {
    /// Whether it is time to hand over.
    #[must_use]
    pub fn is_near(self, now: Timestamp) -> bool {
        now.saturating_add(MARGIN).is_ok_and(|then| then >= self.0)
    }
}

/// A job for one connection.
pub struct Job<'a> {
    /// The ports.
    pub ports: &'a Ports,
    /// The connection, as it was when the job began.
    pub connection: Connection,
    /// Its settings.
    pub settings: SettingsVersion,
    /// The session with Zoho.
    pub session: Session,
    /// Its calculated fields.
    pub calculations: Desk<'a>,
    /// The run that the job belongs to; none: writeback.
    pub run: Option<RunId>,
    /// Until when it may work.
    pub deadline: Deadline,
    /// What it knows of what Zoho does not show.
    pub known: Known,
}

impl<'a> Job<'a> {
    /// Begins a job of a connection that may run, and that spends credits as `spender`.
    ///
    /// # Errors
    /// When the connection does not exist, is not enabled or is throttled, or a port fails.
    pub async fn begin(
        ports: &'a Ports,
        id: &ConnectionId,
        run: Option<RunId>,
        deadline: Deadline,
        spender: Spender,
    ) -> Result<Self, Error> {
        let connection = runnable(ports, id).await?;
        Self::of(ports, connection, run, deadline, spender).await
    }

    /// Begins a job of a connection that was read just now.
    ///
    /// # Errors
    /// As for [`Job::begin`].
    pub async fn of(
        ports: &'a Ports,
        connection: Connection,
        run: Option<RunId>,
        deadline: Deadline,
        spender: Spender,
    ) -> Result<Self, Error> {
        let connection = running(connection, ports.clock.now())?;
        let settings = ports.store.settings(&connection.id).await?;
        let session = Session::open(ports, &connection, &settings.settings, spender)?;
        let calculations = Desk::new(ports, &connection, &settings.settings);
        Ok(Self {
            ports,
            connection,
            settings,
            session,
            calculations,
            run,
            deadline,
            known: Known::default(),
        })
    }

    /// The connection's id.
    #[must_use]
    pub const fn id(&self) -> &ConnectionId {
        &self.connection.id
    }

    /// The field plan of an object.
    #[must_use]
    pub fn plan(&self, object: Object) -> FieldPlan {
        FieldPlan::compile(&self.settings.settings, object)
    }

    /// Now, and the run.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment {
            now: self.ports.clock.now(),
            run: self.run.clone(),
        }
    }

    /// What the log keeps.
    #[must_use]
    pub fn retention(&self) -> Retention {
        retention(&self.settings)
    }

    /// Whether it is time to hand over.
    #[must_use]
    pub fn must_hand_over(&self) -> bool {
        self.deadline.is_near(self.ports.clock.now())
    }

    /// The line in the log about a record's last change, if that was lately: whoever changed it may have been cut off between the record and
    /// the line. Written twice it is one line.
    #[must_use]
    pub fn late_line(&self, record: &Record) -> Option<Entry> {
        late_line(record, self.retention(), self.ports.clock.now())
    }

    /// Writes a line about something else than a record's change.
    ///
    /// # Errors
    /// When the log does not take it.
    pub async fn note(
        &self,
        outcome: Outcome,
        action: &str,
        subject: &str,
        reason: String,
    ) -> Result<(), Error> {
        let mut entry = Entry::note(
            self.id().clone(),
            self.ports.clock.now(),
            outcome,
            action,
            subject,
            reason,
            self.retention(),
        );
        entry.run.clone_from(&self.run);
        Ok(self.ports.store.write(&[entry]).await?)
    }
}

/// [`Job::late_line`] where there is no job.
#[must_use]
pub fn late_line(record: &Record, retention: Retention, now: Timestamp) -> Option<Entry> {
    let lately = record.updated_at >= now - REDELIVERED;
    lately
        .then(|| Entry::of_change(record, retention))
        .flatten()
}

/// What the log of these settings keeps.
#[must_use]
pub fn retention(settings: &SettingsVersion) -> Retention {
    Retention {
        days: settings.settings.log.keep_days,
        values: settings.settings.log.values,
    }
}

/// The connection, if it may run now.
///
/// # Errors
/// When it does not exist, is not enabled or is throttled.
pub async fn runnable(ports: &Ports, id: &ConnectionId) -> Result<Connection, Error> {
    let connection = ports
        .store
        .connection(id)
        .await?
        .ok_or_else(|| Error::NotFound {
            what: format!("connection {id}"),
        })?;
    running(connection, ports.clock.now())
}

/// The connection, if it may run at `now`.
fn running(connection: Connection, now: Timestamp) -> Result<Connection, Error> {
    is_runnable(&connection, now)?;
    Ok(connection)
}

/// Whether a connection may run now.
///
/// # Errors
/// When it is not enabled or is throttled.
pub fn is_runnable(connection: &Connection, now: Timestamp) -> Result<(), Error> {
    if connection.may_run(now) {
        return Ok(());
    }
    match connection.paused_until.filter(|until| *until > now) {
        Some(until) if connection.status == Status::Enabled => Err(CrmError::Throttled {
            after: Duration::try_from(until.duration_since(now)).ok(),
        }
        .into()),
        _ => Err(Error::NotRunnable {
            connection: connection.id.clone(),
            reason: format!("it is {}", connection.status.words()),
        }),
    }
}
