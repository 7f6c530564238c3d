//! Page tokens: where a listing goes on.
//!
//! A token holds only what varies within a listing (sort keys) and a digest of the question that it belongs to. The partition is taken
//! from the question that is asked, never from the token, so a token can't reach another connection's data whatever is in it.

use crate::identifier::Digest;
use crate::port::{Error, Page};

impl<T> Page<T> {
    /// Turns stored items into what they stand for.
    pub(super) fn read<U>(self, read: impl Fn(T) -> Result<U, Error>) -> Result<Page<U>, Error> {
        let Self { items, next } = self;
        Ok(Page {
            items: items.into_iter().map(read).collect::<Result<_, _>>()?,
            next,
        })
    }
}

/// Why a token is refused.
#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("it is no token of this service")]
    Malformed,
    #[error("it belongs to another question: ask again from the first page")]
    OtherQuestion,
}

/// The bytes of the question's digest that a token begins with.
const SEAL: usize = 8;

/// The token of the page of `question` that goes on behind these sort keys.
pub(super) fn token(question: &str, behind: &[&str]) -> String {
    let mut bytes = seal(question).to_vec();
    for part in behind {
        bytes.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(part.as_bytes());
    }
    hex::encode(bytes)
}

/// The sort keys in a token of `question`.
pub(super) fn behind<const N: usize>(question: &str, token: &str) -> Result<[String; N], Error> {
    let refused = |reason| Error::Refused {
        what: "the page token".to_owned(),
        source: Box::new(reason),
    };
    let bytes = hex::decode(token).map_err(|_| refused(Reason::Malformed))?;
    let (found, mut rest) = bytes
        .split_at_checked(SEAL)
        .ok_or_else(|| refused(Reason::Malformed))?;
    if found != seal(question) {
        return Err(refused(Reason::OtherQuestion));
    }
    let mut parts = [const { String::new() }; N];
    for part in &mut parts {
        *part = take(&mut rest).ok_or_else(|| refused(Reason::Malformed))?;
    }
    if rest.is_empty() {
        Ok(parts)
    } else {
        Err(refused(Reason::Malformed))
    }
}

fn seal(question: &str) -> [u8; SEAL] {
    let mut seal = [0; SEAL];
    seal.copy_from_slice(&Digest::of(question.as_bytes()).bytes()[..SEAL]);
    seal
}

fn take(rest: &mut &[u8]) -> Option<String> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (part, tail) = tail.split_at_checked(length)?;
    *rest = tail;
    String::from_utf8(part.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_token_leads_back_to_its_place(question: String, first: String, second: String) {
            let token = token(&question, &[&first, &second]);
            let parts: [String; 2] = behind(&question, &token).unwrap();
            prop_assert_eq!(parts, [first, second]);
        }

        #[test]
        fn a_token_of_another_question_is_refused(question: String, other: String, key: String) {
            prop_assume!(question != other);
            let token = token(&question, &[&key]);
            let refused = behind::<1>(&other, &token);
            prop_assert!(matches!(refused, Err(Error::Refused { .. })), "{:?}", refused);
        }

        #[test]
        fn any_text_is_refused_without_a_panic(question: String, token: String, bytes: Vec<u8>) {
            prop_assert!(behind::<1>(&question, &token).is_err());
            prop_assert!(behind::<1>(&question, &hex::encode(bytes)).is_err());
        }
    }
}
