//! Secrets: values that are never shown, logged or stored outside Secrets Manager.

use std::fmt;

use subtle::ConstantTimeEq as _;

use crate::data_centre::DataCentre;

/// A text that must not leak: `Debug` redacts it, it has no `Display`, no `Serialize`.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends or stores it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares without telling by timing how much agreed.
    #[must_use]
    pub fn matches(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(redacted)")
    }
}

/// The OAuth client registered with Zoho for one data centre.
#[derive(Debug, Clone)]
pub struct OAuthClient {
    /// The public client id.
    pub id: String,
    /// Its secret.
    pub secret: Secret,
}

/// What a connection may use towards Zoho.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// Lives until revoked; makes access tokens.
    pub refresh: Secret,
    /// Lives for an hour.
    pub access: Secret,
    /// When the access token ends.
    pub expires_at: jiff::Timestamp,
    /// Counts the refreshes, so that of two holders the later one is known.
    pub generation: u64,
    /// The data centre that granted them; none in what earlier releases stored.
    pub centre: Option<DataCentre>,
}

/// How usable an access token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Use it.
    Fresh,
    /// Use it, and refresh it if nobody else does.
    Stale,
    /// Do not use it.
    Expired,
}

impl Tokens {
    /// How usable the access token is at `now`. It turns stale between 5 and 10 minutes before its end; `jitter` (any number) picks the
    /// moment, so that the connections do not refresh all at once.
    #[must_use]
    pub fn freshness(&self, now: jiff::Timestamp, jitter: u64) -> Freshness {
        let left = self.expires_at.as_second() - now.as_second();
        let early = 300 + i64::try_from(jitter % 300).unwrap_or(0);
        match left {
            ..=30 => Freshness::Expired,
            left if left <= early => Freshness::Stale,
            _ => Freshness::Fresh,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let tokens = Tokens {
            refresh: Secret::new("1000.refresh"),
            access: Secret::new("1000.access"),
            expires_at: jiff::Timestamp::UNIX_EPOCH,
            generation: 1,
            centre: None,
        };
        let shown = format!("{tokens:?}");
        assert!(!shown.contains("1000."), "{shown}");
    }

    #[test]
    fn a_token_is_fresh_then_stale_then_expired() {
        let tokens = Tokens {
            refresh: Secret::default(),
            access: Secret::default(),
            expires_at: jiff::Timestamp::from_second(3600).unwrap(),
            generation: 1,
            centre: None,
        };
        let at = |second| tokens.freshness(jiff::Timestamp::from_second(second).unwrap(), 0);
        assert_eq!(at(0), Freshness::Fresh);
        assert_eq!(at(3299), Freshness::Fresh);
        assert_eq!(at(3300), Freshness::Stale);
        assert_eq!(at(3570), Freshness::Expired);
    }
}
