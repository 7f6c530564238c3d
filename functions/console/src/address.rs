//! Platform ids in addresses.
//!
//! A platform id can hold any character, and a percent-encoded path does not carry every character everywhere: API Gateway's HTTP APIs
//! hand the path on decoded, so an encoded slash, question mark, number sign or percent sign is taken for the real one, and URL parsers
//! drop `.` and `..`. So an id is written in one of two ways, both of which every address accepts:
//!
//! - as it is, percent-encoded as usual, which serves letters, digits and most signs;
//! - `~` followed by the id's UTF-8 bytes in base64url without padding, which serves every id. An id that itself begins with `~` is always
//!   written so.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tandem::identifier::{ConnectionId, PlatformId};
use tandem::object::Object;

/// The path segment of an id, safe on every way: the id itself where that is plain enough.
#[must_use]
pub(crate) fn segment(id: &PlatformId) -> String {
    let text = id.as_str();
    let plain = text.bytes().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@' | b':' | b'+')
    }) && text.bytes().any(|byte| byte != b'.');
    match plain {
        true => text.to_owned(),
        false => format!("~{}", URL_SAFE_NO_PAD.encode(text)),
    }
}

/// The id of a path segment that was percent-decoded already; none when it holds no id.
#[must_use]
pub(crate) fn parse(segment: &str) -> Option<PlatformId> {
    match segment.strip_prefix('~') {
        Some(encoded) => {
            let bytes = URL_SAFE_NO_PAD.decode(encoded).ok()?;
            String::from_utf8(bytes).ok()?.parse().ok()
        }
        None => segment.parse().ok(),
    }
}

/// The address of a record in this API.
#[must_use]
pub(crate) fn of_record(connection: &ConnectionId, object: Object, id: &PlatformId) -> String {
    format!("/api/connections/{connection}/{object}/{}", segment(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_ids_stay_readable() {
        for (id, expected) in [
            ("A-1", "A-1"),
            ("jane+x@acme.example", "jane+x@acme.example"),
            ("a/b", "~YS9i"),
            ("..", "~Li4"),
            ("~YS9i", "~fllTOWk"),
            ("50%25", "~NTAlMjU"),
        ] {
            assert_eq!(segment(&id.parse().unwrap()), expected);
        }
    }

    #[test]
    fn what_holds_no_id_is_none() {
        for segment in ["", "~", "~!", "~YS9", "~_w", " a", "a\n"] {
            assert_eq!(parse(segment), None, "{segment:?}");
        }
    }

    proptest! {
        #[test]
        fn every_id_comes_back(text in "\\PC{1,60}") {
            let Ok(id) = text.parse::<PlatformId>() else { return Ok(()) };
            let segment = segment(&id);
            prop_assert!(segment.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#%\\".contains(&byte)));
            prop_assert_eq!(parse(&segment), Some(id));
        }
    }
}
