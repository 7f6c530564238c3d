//! Page tokens: opaque, and only good for the question that they were given for.

use tandem::identifier::Digest;
use tandem::port::{Error, Page};

/// A question whose answer comes in pages.
pub(super) struct Question(String);

impl Question {
    /// The question by everything that makes it another one.
    pub(super) fn of(asked: &impl std::fmt::Debug) -> Self {
        let mut name = Digest::of(format!("{asked:?}").as_bytes()).to_string();
        name.truncate(16);
        Self(name)
    }

    /// Where the answer goes on.
    pub(super) fn position(&self, next: Option<&str>) -> Result<Option<String>, Error> {
        next.map(|token| self.read(token)).transpose()
    }

    fn read(&self, token: &str) -> Result<String, Error> {
        let refused = |why: &'static str| Error::Refused {
            what: "the page token".to_owned(),
            source: why.into(),
        };
        let position = token
            .strip_prefix(&self.0)
            .ok_or_else(|| refused("it was given for another question"))?;
        let bytes = hex::decode(position).map_err(|_| refused("it was not given here"))?;
        String::from_utf8(bytes).map_err(|_| refused("it was not given here"))
    }

    /// A page of `limit` items at most, from all that are left. As in the real store, a full page has a next one, which may be empty.
    pub(super) fn page<T>(
        &self,
        left: impl Iterator<Item = T>,
        limit: usize,
        position: impl Fn(&T) -> String,
    ) -> Page<T> {
        let items: Vec<T> = left.take(limit).collect();
        let next = items
            .last()
            .filter(|_| items.len() == limit)
            .map(|last| format!("{}{}", self.0, hex::encode(position(last))));
        Page { items, next }
    }
}
