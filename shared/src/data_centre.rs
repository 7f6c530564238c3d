//! Zoho's data centres and the hosts that may be told a secret.
//!
//! Source of the hosts: Zoho CRM v8 "Multi DC" and the OAuth documentation; `uk` from the accounts documentation only.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Url;

/// A Zoho data centre by its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataCentre {
    /// United States.
    Us,
    /// Europe.
    Eu,
    /// India.
    In,
    /// Australia.
    Au,
    /// Japan.
    Jp,
    /// Canada.
    Ca,
    /// Saudi Arabia.
    Sa,
    /// United Kingdom.
    Uk,
    /// China.
    Cn,
}

/// A code or host that belongs to no data centre.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A code that is none of ours.
    #[error("unknown data centre {0:?}: use one of us, eu, in, au, jp, ca, sa, uk, cn")]
    UnknownCode(String),
    /// An accounts server that is none of Zoho's.
    #[error("{0:?} is not one of Zoho's accounts servers")]
    ForeignAccountsServer(String),
    /// An API domain that is none of Zoho's.
    #[error("{0:?} is not one of Zoho's API domains")]
    ForeignApiDomain(String),
    /// The simulator's address is no URL.
    #[error("the Zoho directory {0:?} is not an http URL without query or fragment")]
    BadDirectory(String),
}

impl DataCentre {
    /// All data centres.
    pub const ALL: [Self; 9] = [
        Self::Us,
        Self::Eu,
        Self::In,
        Self::Au,
        Self::Jp,
        Self::Ca,
        Self::Sa,
        Self::Uk,
        Self::Cn,
    ];

    /// The code that Zoho's callback calls `location`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Eu => "eu",
            Self::In => "in",
            Self::Au => "au",
            Self::Jp => "jp",
            Self::Ca => "ca",
            Self::Sa => "sa",
            Self::Uk => "uk",
            Self::Cn => "cn",
        }
    }

    /// The data centre's name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Us => "United States",
            Self::Eu => "Europe",
            Self::In => "India",
            Self::Au => "Australia",
            Self::Jp => "Japan",
            Self::Ca => "Canada",
            Self::Sa => "Saudi Arabia",
            Self::Uk => "United Kingdom",
            Self::Cn => "China",
        }
    }

    /// The domain at which people use Zoho there.
    #[must_use]
    pub fn domain(self) -> &'static str {
        let host = self.accounts_host();
        host.strip_prefix("accounts.").unwrap_or(host)
    }

    const fn accounts_host(self) -> &'static str {
        match self {
            Self::Us => "accounts.zoho.com",
            Self::Eu => "accounts.zoho.eu",
            Self::In => "accounts.zoho.in",
            Self::Au => "accounts.zoho.com.au",
            Self::Jp => "accounts.zoho.jp",
            Self::Ca => "accounts.zohocloud.ca",
            Self::Sa => "accounts.zoho.sa",
            Self::Uk => "accounts.zoho.uk",
            Self::Cn => "accounts.zoho.com.cn",
        }
    }

    const fn api_suffix(self) -> &'static str {
        match self {
            Self::Us => "zohoapis.com",
            Self::Eu => "zohoapis.eu",
            Self::In => "zohoapis.in",
            Self::Au => "zohoapis.com.au",
            Self::Jp => "zohoapis.jp",
            Self::Ca => "zohoapis.ca",
            Self::Sa => "zohoapis.sa",
            Self::Uk => "zohoapis.uk",
            Self::Cn => "zohoapis.com.cn",
        }
    }
}

impl fmt::Display for DataCentre {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

impl FromStr for DataCentre {
    type Err = Error;

    fn from_str(code: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|centre| centre.code() == code)
            .ok_or_else(|| Error::UnknownCode(code.chars().take(40).collect()))
    }
}

/// An API domain that was found on the list; only [`Directory`] makes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApiDomain(String);

impl ApiDomain {
    /// The base URL, without a slash at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where Zoho is: its own data centres, or a simulator that plays all of them under one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    simulator: Option<String>,
}

impl Directory {
    /// Zoho's own data centres.
    #[must_use]
    pub const fn zoho() -> Self {
        Self { simulator: None }
    }

    /// A simulator that serves each data centre under `{base}/{code}`; an empty text means Zoho itself.
    ///
    /// # Errors
    /// When `base` is no plain http URL.
    pub fn parse(base: &str) -> Result<Self, Error> {
        if base.is_empty() {
            return Ok(Self::zoho());
        }
        let bad = || Error::BadDirectory(base.to_owned());
        let url: Url = base.parse().map_err(|_| bad())?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !plain {
            return Err(bad());
        }
        Ok(Self {
            simulator: Some(base.trim_end_matches('/').to_owned()),
        })
    }

    /// The base URL of a data centre's accounts server, without a slash at the end.
    #[must_use]
    pub fn accounts(&self, centre: DataCentre) -> String {
        match &self.simulator {
            Some(base) => format!("{base}/{centre}"),
            None => format!("https://{}", centre.accounts_host()),
        }
    }

    /// The data centre behind the `accounts-server` of a callback. The comparison is with the whole URL, so that no user-info, port,
    /// sub-domain or look-alike passes.
    ///
    /// # Errors
    /// When the server is none of the list: nothing may be sent to it.
    pub fn centre_of(&self, accounts_server: &str) -> Result<DataCentre, Error> {
        DataCentre::ALL
            .into_iter()
            .find(|centre| self.accounts(*centre) == accounts_server)
            .ok_or_else(|| {
                Error::ForeignAccountsServer(accounts_server.chars().take(200).collect())
            })
    }

    /// Checks the `api_domain` of a token reply: production, sandbox or developer edition of that very data centre.
    ///
    /// # Errors
    /// When the domain is none of the list: no token may be sent to it.
    pub fn api_domain(&self, centre: DataCentre, given: &str) -> Result<ApiDomain, Error> {
        let known = match &self.simulator {
            Some(base) => given == format!("{base}/{centre}"),
            None => ["www", "sandbox", "developer"]
                .iter()
                .any(|kind| given == format!("https://{kind}.{}", centre.api_suffix())),
        };
        if known {
            Ok(ApiDomain(given.to_owned()))
        } else {
            Err(Error::ForeignApiDomain(given.chars().take(200).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_data_centre_is_found_by_its_own_accounts_server() {
        for directory in [
            Directory::zoho(),
            Directory::parse("http://127.0.0.1:9100").unwrap(),
        ] {
            for centre in DataCentre::ALL {
                assert_eq!(directory.centre_of(&directory.accounts(centre)), Ok(centre));
                assert_eq!(centre.code().parse(), Ok(centre));
                assert!(centre.accounts_host().ends_with(centre.domain()));
                assert!(centre.domain().starts_with("zoho"));
            }
        }
    }

    #[test]
    fn look_alikes_are_foreign() {
        let directory = Directory::zoho();
        for foreign in [
            "http://accounts.zoho.com",
            "https://accounts.zoho.com/",
            "https://accounts.zoho.com.evil.example",
            "https://evil@accounts.zoho.com",
            "https://accounts.zoho.com@evil.example",
            "https://accounts.zoho.com:8443",
            "https://ACCOUNTS.ZOHO.COM",
            "https://accounts.zohо.com",
            "https://accounts-zoho.com",
            "https://127.0.0.1",
            "",
        ] {
            assert!(directory.centre_of(foreign).is_err(), "{foreign}");
        }
    }

    #[test]
    fn an_api_domain_belongs_to_its_data_centre() {
        let directory = Directory::zoho();
        assert!(
            directory
                .api_domain(DataCentre::Eu, "https://www.zohoapis.eu")
                .is_ok()
        );
        assert!(
            directory
                .api_domain(DataCentre::Eu, "https://sandbox.zohoapis.eu")
                .is_ok()
        );
        assert!(
            directory
                .api_domain(DataCentre::Eu, "https://www.zohoapis.com")
                .is_err()
        );
        assert!(
            directory
                .api_domain(DataCentre::Eu, "https://www.zohoapis.eu.evil.example")
                .is_err()
        );
    }
}
