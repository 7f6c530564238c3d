//! Short leases: one function at a time does something for a connection. A crashed holder's lease runs out.

use jiff::SignedDuration;

use crate::identifier::ConnectionId;
use crate::object::Object;
use crate::port::{self, Ports};

/// The lease under which a connection's tokens are renewed or replaced.
pub(crate) const TOKENS: &str = "token";

/// The lease under which a connection's account fields are calculated.
pub(crate) const CALCULATE: &str = "calculate";

/// The lease under which an object's records are created in Zoho.
pub(crate) const fn create(object: Object) -> &'static str {
    match object {
        Object::User => "create#user",
        Object::Account => "create#account",
        Object::Contact => "create#contact",
        Object::Deal => "create#deal",
        Object::Task => "create#task",
    }
}

/// Longer than a call to an accounts server may last (a minute), so that a lease outlives its holder only if that crashed.
const HELD_FOR: SignedDuration = SignedDuration::from_secs(90);

/// A lease that is held.
pub(crate) struct Lease<'a> {
    ports: &'a Ports,
    connection: &'a ConnectionId,
    name: &'a str,
    holder: &'a str,
}

impl<'a> Lease<'a> {
    /// Takes a lease; none when another holds it.
    pub(crate) async fn take(
        ports: &'a Ports,
        connection: &'a ConnectionId,
        name: &'a str,
        holder: &'a str,
    ) -> Result<Option<Self>, port::Error> {
        let now = ports.clock.now();
        let until = now.checked_add(HELD_FOR).unwrap_or(now);
        let ours = ports
            .store
            .lease(connection, name, holder, now, until)
            .await?;
        Ok(ours.then_some(Self {
            ports,
            connection,
            name,
            holder,
        }))
    }

    /// Holds the lease for longer; false when it ran out and another took it.
    pub(crate) async fn renew(&self) -> Result<bool, port::Error> {
        let now = self.ports.clock.now();
        let until = now.checked_add(HELD_FOR).unwrap_or(now);
        self.ports
            .store
            .lease(self.connection, self.name, self.holder, now, until)
            .await
    }

    /// Gives the lease back. One that can't be given back runs out by itself.
    pub(crate) async fn release(self) {
        let released = self
            .ports
            .store
            .release(self.connection, self.name, self.holder)
            .await;
        if let Err(error) = released {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(connection.id = %self.connection, lease = self.name, error, "a lease is not given back");
        }
    }
}
