//! Why a connection did not come about, in words for the customer and the operator.

use std::fmt;

use crate::data_centre::DataCentre;
use crate::oauth::Scope;

/// Why a connection did not come about. `Display` says what happened; [`Refusal::remedy`] what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no connection of that name.
    NoSuchConnection,
    /// The operator disconnected it.
    Disconnected,
    /// No OAuth client is registered, for the data centre or at all.
    NoClient {
        /// The data centre.
        centre: Option<DataCentre>,
    },
    /// The state is not known: used before, long expired, or never ours.
    UnknownState,
    /// The state expired.
    Expired,
    /// Another browser began.
    OtherBrowser,
    /// The customer said no.
    Denied,
    /// Zoho came back with another error than a no.
    ZohoError {
        /// Zoho's code, if what came can be one.
        code: Option<String>,
    },
    /// The accounts server is none of Zoho's.
    ForeignAccountsServer {
        /// What came instead.
        given: String,
    },
    /// The data centre's code and its accounts server disagree.
    LocationDisagrees,
    /// Zoho came back without a code.
    NoCode,
    /// The code is not good any more.
    CodeRefused {
        /// Zoho's code.
        code: String,
    },
    /// Zoho refuses our own OAuth client.
    ClientRefused {
        /// The data centre.
        centre: DataCentre,
        /// Zoho's code.
        code: String,
    },
    /// The grant has no refresh token, so it would end within an hour.
    NoRefreshToken,
    /// Less was granted than was asked for.
    MissingScopes {
        /// What lacks.
        missing: Vec<Scope>,
    },
    /// The grant is for an API that is none of Zoho's.
    ForeignApiDomain {
        /// What came instead.
        given: String,
    },
    /// The user may not ask which organisation this is.
    OrganisationHidden {
        /// Zoho's code.
        code: String,
    },
    /// The connection belongs to another organisation (C4).
    OtherOrganisation {
        /// The name of the one it belongs to.
        expected: String,
        /// The name of the one that was granted.
        granted: String,
    },
    /// Another connection has the organisation.
    AlreadyConnected {
        /// The organisation's name.
        organisation: String,
        /// The other connection's name.
        by: String,
    },
    /// Somebody else is connecting it at this moment.
    Busy,
    /// Zoho does not answer as it should.
    ZohoUnavailable,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchConnection => write!(formatter, "There is no connection of this name."),
            Self::Disconnected => write!(
                formatter,
                "This connection was disconnected by its operator."
            ),
            Self::NoClient {
                centre: Some(centre),
            } => write!(
                formatter,
                "Connections to the data centre {} ({centre}) are not set up.",
                centre.name()
            ),
            Self::NoClient { centre: None } => {
                write!(formatter, "Connections to Zoho are not set up.")
            }
            Self::UnknownState => write!(
                formatter,
                "This way back from Zoho was used already, or it is too old."
            ),
            Self::Expired => write!(
                formatter,
                "More than ten minutes passed before Zoho came back."
            ),
            Self::OtherBrowser => write!(formatter, "The connection was begun in another browser."),
            Self::Denied => write!(formatter, "Access was not granted in Zoho."),
            Self::ZohoError { code: Some(code) } => {
                write!(formatter, "Zoho came back with the error {code}.")
            }
            Self::ZohoError { code: None } => {
                write!(
                    formatter,
                    "Zoho came back with an error that is none of its codes."
                )
            }
            Self::ForeignAccountsServer { given } => write!(
                formatter,
                "The way back names {given:?}, which is none of Zoho's accounts servers. Nothing was sent there."
            ),
            Self::LocationDisagrees => write!(
                formatter,
                "The way back names a data centre and an accounts server that do not belong together. Nothing was sent there."
            ),
            Self::NoCode => write!(formatter, "Zoho came back without an authorisation code."),
            Self::CodeRefused { code } => write!(
                formatter,
                "Zoho does not accept its authorisation code any more ({code})."
            ),
            Self::ClientRefused { centre, code } => write!(
                formatter,
                "Zoho does not accept the registration of this service in the data centre {} ({code}).",
                centre.name()
            ),
            Self::NoRefreshToken => write!(
                formatter,
                "Zoho granted access for one hour only, without a refresh token."
            ),
            Self::MissingScopes { missing } => {
                let names: Vec<_> = missing.iter().map(|scope| scope.name).collect();
                write!(
                    formatter,
                    "Zoho granted less than is needed. These permissions lack: {}.",
                    names.join(", ")
                )
            }
            Self::ForeignApiDomain { given } => write!(
                formatter,
                "The grant is for {given:?}, which is none of Zoho's APIs. Nothing was sent there."
            ),
            Self::OrganisationHidden { code } => write!(
                formatter,
                "The user who granted access may not use the API of a Zoho CRM organisation ({code})."
            ),
            Self::OtherOrganisation { expected, granted } => write!(
                formatter,
                "This connection belongs to the Zoho organisation {expected}, and access was granted to {granted}."
            ),
            Self::AlreadyConnected { organisation, by } => {
                write!(
                    formatter,
                    "The Zoho organisation {organisation} is connected already, by the connection {by}."
                )
            }
            Self::Busy => write!(
                formatter,
                "Somebody else is connecting the same organisation at this moment."
            ),
            Self::ZohoUnavailable => write!(formatter, "Zoho did not answer as it should."),
        }
    }
}

impl Refusal {
    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::NoSuchConnection => "Check the link, or ask whoever sent it for a new one.".into(),
            Self::Disconnected => "Ask whoever sent the link for a new connection.".into(),
            Self::NoClient { centre } => {
                let centre = centre.map_or("<data centre>", DataCentre::code);
                format!("For the operator: register an OAuth client with Zoho and fill in the secret oauth-client/{centre}.")
            }
            Self::UnknownState | Self::Expired | Self::NoCode | Self::CodeRefused { .. } => {
                "Begin again, and grant access within ten minutes. Going back or reloading the page does not help.".into()
            }
            Self::OtherBrowser => {
                "Begin again and stay in one browser, with cookies allowed for this site. If you did not begin this yourself, do \
                 nothing: nothing was connected."
                    .into()
            }
            Self::Denied => "If that was a mistake, begin again and accept the permissions that Zoho shows.".into(),
            Self::ZohoError { .. } => {
                "Begin again. If it happens again, tell the operator, who finds the code in Zoho's documentation.".into()
            }
            Self::ForeignAccountsServer { .. } | Self::LocationDisagrees | Self::ForeignApiDomain { .. } => {
                "Begin again from the link that you were given. If it happens again, tell the operator.".into()
            }
            Self::ClientRefused { centre, .. } => format!(
                "For the operator: compare client id, client secret and redirect address in the secret oauth-client/{centre} with \
                 Zoho's API console."
            ),
            Self::NoRefreshToken => {
                "In Zoho, open My Account, Security, Connected Apps, remove this service there, and begin again.".into()
            }
            Self::MissingScopes { .. } => "Begin again and accept all permissions that Zoho shows. Nothing was connected.".into(),
            Self::OrganisationHidden { .. } => {
                "Begin again with a user of the Zoho CRM organisation whose profile allows API access.".into()
            }
            Self::OtherOrganisation { expected, .. } => format!(
                "Begin again and sign in to Zoho as a user of {expected}. To connect the other organisation, ask for a connection of its \
                 own. Nothing was changed."
            ),
            Self::AlreadyConnected { .. } => {
                "One organisation has one connection. Use the one that exists, or have it disconnected first.".into()
            }
            Self::Busy => "Wait a minute, then begin again.".into(),
            Self::ZohoUnavailable => "Begin again in a few minutes.".into(),
        }
    }
}
