//! Secrets held in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use tandem::data_centre::DataCentre;
use tandem::identifier::ConnectionId;
use tandem::port::{Error, Vault};
use tandem::secret::{OAuthClient, Secret, Tokens};

use crate::lock::locked;

/// Secrets: OAuth clients and the operator's are filled in by the test, tokens by the flows.
#[derive(Debug, Default)]
pub struct MemoryVault(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    clients: BTreeMap<DataCentre, OAuthClient>,
    tokens: BTreeMap<ConnectionId, Tokens>,
    operator: Option<Secret>,
    kept: u64,
}

impl MemoryVault {
    /// Fills in the OAuth client of a data centre.
    pub fn set_oauth_client(&self, centre: DataCentre, client: OAuthClient) {
        locked(&self.0).clients.insert(centre, client);
    }

    /// Fills in the secret that guards the console.
    pub fn set_operator(&self, secret: Secret) {
        locked(&self.0).operator = Some(secret);
    }

    /// A connection's tokens.
    #[must_use]
    pub fn tokens_of(&self, connection: &ConnectionId) -> Option<Tokens> {
        locked(&self.0).tokens.get(connection).cloned()
    }

    /// How often tokens were kept or forgotten.
    #[must_use]
    pub fn writes(&self) -> u64 {
        locked(&self.0).kept
    }
}

#[async_trait]
impl Vault for MemoryVault {
    async fn oauth_client(&self, centre: DataCentre) -> Result<Option<OAuthClient>, Error> {
        Ok(locked(&self.0).clients.get(&centre).cloned())
    }

    async fn tokens(&self, connection: &ConnectionId) -> Result<Option<Tokens>, Error> {
        Ok(self.tokens_of(connection))
    }

    async fn keep_tokens(&self, connection: &ConnectionId, tokens: &Tokens) -> Result<(), Error> {
        let mut state = locked(&self.0);
        state.kept += 1;
        state.tokens.insert(connection.clone(), tokens.clone());
        Ok(())
    }

    async fn forget_tokens(&self, connection: &ConnectionId) -> Result<(), Error> {
        let mut state = locked(&self.0);
        state.kept += u64::from(state.tokens.remove(connection).is_some());
        Ok(())
    }

    async fn operator(&self) -> Result<Secret, Error> {
        locked(&self.0)
            .operator
            .clone()
            .ok_or_else(|| Error::Corrupt {
                what: "the operator's secret".to_owned(),
                source: "it was never filled in".into(),
            })
    }
}
