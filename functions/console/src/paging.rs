//! Pages of listings.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tandem::identifier::Digest;
use tandem::port::Page;
use utoipa::ToSchema;

use crate::problem::{Kind, Problem};

/// How many items a page has unless asked otherwise.
pub(crate) const DEFAULT_LIMIT: usize = 50;
/// The most items of a page.
pub(crate) const MAX_LIMIT: usize = 200;

/// A page of a listing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Listing<T> {
    /// The items. A page can be short, or even empty, and still not be the last one.
    pub items: Vec<T>,
    /// The `cursor` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How many items a page is to have.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Limit(usize);

impl Default for Limit {
    fn default() -> Self {
        Self(DEFAULT_LIMIT)
    }
}

impl Limit {
    /// The number of items.
    #[must_use]
    pub(crate) const fn get(self) -> usize {
        self.0
    }
}

impl TryFrom<String> for Limit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
            .ok()
            .filter(|limit| (1..=MAX_LIMIT).contains(limit))
            .map(Self)
            .ok_or_else(|| format!("use a number from 1 to {MAX_LIMIT}"))
    }
}

/// What a listing was asked. A cursor names the next page of one question only; with another question, such as one about another
/// connection, it is refused before any table is read.
#[derive(Debug)]
pub(crate) struct Question(String);

/// How much of the digest travels in a cursor: it guards against mix-ups, not against an operator who forges his own cursors.
const SEAL: usize = 12;

impl Question {
    /// A question by its parts: what is listed, of which connection, with which filters.
    #[must_use]
    pub(crate) fn new(parts: &[&str]) -> Self {
        Self(
            parts
                .iter()
                .map(|part| format!("{}:{part};", part.len()))
                .collect(),
        )
    }

    /// The page as the API shows it.
    pub(crate) fn listing<T, V>(&self, page: Page<T>, view: impl FnMut(T) -> V) -> Listing<V> {
        Listing {
            items: page.items.into_iter().map(view).collect(),
            next: page.next.map(|next| self.seal(&next)),
        }
    }

    /// The cursor for where to go on.
    #[must_use]
    pub(crate) fn seal(&self, next: &str) -> String {
        let mut bytes = self.digest(next)[..SEAL].to_vec();
        bytes.extend_from_slice(next.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Where to go on, from the query's `cursor`.
    ///
    /// # Errors
    /// When the cursor was made for another question, or never.
    pub(crate) fn open(&self, cursor: Option<&str>) -> Result<Option<String>, Problem> {
        self.open_at("?cursor", cursor)
    }

    /// Where to go on, from a cursor that stands at `path` of the request.
    ///
    /// # Errors
    /// When the cursor was made for another question, or never.
    pub(crate) fn open_at(
        &self,
        path: &str,
        cursor: Option<&str>,
    ) -> Result<Option<String>, Problem> {
        let Some(cursor) = cursor else {
            return Ok(None);
        };
        let opened = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| {
            let (seal, next) = bytes.split_at_checked(SEAL)?;
            let next = std::str::from_utf8(next).ok()?;
            (seal == &self.digest(next)[..SEAL]).then(|| next.to_owned())
        });
        match opened {
            Some(next) => Ok(Some(next)),
            None => Err(Problem::mistake(
                Kind::Malformed,
                path,
                "use the `next` of the page before, with the same question; leave it out for the first page",
            )),
        }
    }

    fn digest(&self, next: &str) -> [u8; 32] {
        *Digest::of(format!("{}|{next}", self.0).as_bytes()).bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cursor_is_good_for_its_question_only() {
        let question = Question::new(&["records", "acme", "account"]);
        let cursor = question.seal("A-7");
        assert_eq!(
            question.open(Some(&cursor)).unwrap().as_deref(),
            Some("A-7")
        );
        for other in [
            ["records", "other", "account"],
            ["records", "acmeaccount", ""],
        ] {
            assert!(Question::new(&other).open(Some(&cursor)).is_err());
        }
    }

    proptest! {
        #[test]
        fn a_cursor_that_nobody_made_is_refused(cursor in ".{0,60}") {
            prop_assert!(Question::new(&["runs", "acme"]).open(Some(&cursor)).is_err());
        }

        #[test]
        fn limits_are_from_1_to_200(number in 0usize..400) {
            prop_assert_eq!(Limit::try_from(number.to_string()).is_ok(), (1..=200).contains(&number));
        }
    }
}
