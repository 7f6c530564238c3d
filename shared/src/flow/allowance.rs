//! What a connection's organisation pays for: looked at every night, because its edition and its users change, and with them its credits, its
//! calls at a time, and its day (C7).

use crate::connection::{Connection, Organisation};
use crate::credit;
use crate::port::CrmError;

use super::Error;
use super::job::Job;

/// Asks for the organisation, for one credit, and keeps what changed. An organisation that can't be asked for stays as it is known; why it can't,
/// the preflight says.
///
/// # Errors
/// When the connection may not call Zoho now, or a port fails.
pub async fn renew(job: &Job<'_>) -> Result<(), Error> {
    let granted = match job.session.organisation().await {
        Ok(reply) => reply.value,
        Err(error @ Error::Crm(CrmError::Throttled { .. })) => return Err(error),
        Err(Error::Crm(error)) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(connection.id = %job.id(), error, "the organisation's allowance is not looked at");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let renew = |connection: Connection| {
        let known = connection.organisation.clone()?;
        let renewed = Organisation {
            name: granted.name.clone(),
            time_zone: granted.time_zone.clone(),
            edition: granted.edition.clone(),
            daily_credits: credit::allowance(&granted.edition, granted.users),
            ..known.clone()
        };
        // A token of another organisation would be somebody else's affair.
        let changed = known.id == granted.id && renewed != known;
        changed.then_some(Connection {
            organisation: Some(renewed),
            ..connection
        })
    };
    job.session.amend(renew).await?;
    Ok(())
}
