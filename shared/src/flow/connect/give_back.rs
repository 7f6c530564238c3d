//! Giving a grant back: revoked at Zoho, then forgotten.

use std::time::Duration;

use crate::connection::Connection;
use crate::flow::Error;
use crate::flow::lease::{self, Lease};
use crate::port::{CrmError, Ports};

/// When to try again while another function renews or replaces the tokens.
const RENEWED_BY_THEN: Duration = Duration::from_secs(10);

/// Revokes a connection's grant and forgets its tokens; nothing is done where there are none. No function renews or replaces them meanwhile, so
/// that none stores them again.
///
/// # Errors
/// When Zoho does not revoke the grant, which is then not forgotten; when a function renews or replaces the tokens right now
/// ([`Error::Busy`]); or when a port fails. Asking again does what is left to do.
pub async fn give_back(ports: &Ports, connection: &Connection) -> Result<(), Error> {
    let holder = format!("{:032x}", ports.entropy.number());
    let lease = Lease::take(ports, &connection.id, lease::TOKENS, &holder)
        .await?
        .ok_or(Error::Busy {
            what: "renewing or replacing the tokens",
            after: RENEWED_BY_THEN,
        })?;
    let given = under_lease(ports, connection).await;
    lease.release().await;
    given
}

async fn under_lease(ports: &Ports, connection: &Connection) -> Result<(), Error> {
    let Some(tokens) = ports.vault.tokens(&connection.id).await? else {
        return Ok(());
    };
    let organisation = connection.organisation.as_ref();
    // A way back from Zoho that was cut off leaves tokens of a connection without an organisation.
    let centre = tokens
        .centre
        .or(organisation.map(|organisation| organisation.data_centre));
    if let Some(centre) = centre {
        match ports.crm.revoke(centre, &tokens.refresh).await {
            // What Zoho does not know any more is as good as revoked.
            Ok(()) | Err(CrmError::GrantRefused { .. } | CrmError::Unauthorised { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(ports.vault.forget_tokens(&connection.id).await?)
}
