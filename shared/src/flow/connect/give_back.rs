//! Giving a grant back: revoked at Zoho, then forgotten.

use std::time::Duration;

use crate::connection::Connection;
use crate::flow::Error;
use crate::flow::lease::{self, Lease};
use crate::port::{CrmError, Ports};

/// When to try again while another function renews the tokens.
const RENEWED_BY_THEN: Duration = Duration::from_secs(10);

/// Revokes a connection's grant and forgets its tokens; nothing is done where there are none. No function renews them meanwhile, so that none
/// stores them again.
///
/// # Errors
/// When Zoho does not revoke the grant, which is then not forgotten; when a function renews the tokens right now ([`Error::Busy`]); or when
/// a port fails. Asking again does what is left to do.
pub async fn give_back(ports: &Ports, connection: &Connection) -> Result<(), Error> {
    if ports.vault.tokens(&connection.id).await?.is_none() {
        return Ok(());
    }
    let holder = format!("{:032x}", ports.entropy.number());
    let lease = Lease::take(ports, &connection.id, lease::TOKENS, &holder)
        .await?
        .ok_or(Error::Busy {
            what: "renewing the access token",
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
    if let Some(organisation) = &connection.organisation {
        let revoked = ports
            .crm
            .revoke(organisation.data_centre, &tokens.refresh)
            .await;
        match revoked {
            // What Zoho does not know any more is as good as revoked.
            Ok(()) | Err(CrmError::GrantRefused { .. } | CrmError::Unauthorised { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(ports.vault.forget_tokens(&connection.id).await?)
}
