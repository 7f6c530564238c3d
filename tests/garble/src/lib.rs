//! Valid documents gone wrong, for tests of whatever reads what comes from outside.
//!
//! Chance seldom writes anything that a reader looks at twice. So these strategies begin with something valid and let a few of its parts go
//! wrong: another type, a number that nothing holds, a missing or repeated part, nesting without end, a text cut off or in no encoding. What
//! fails shrinks to the fewest changes that still fail.

mod bytes;
mod document;
mod literal;
mod text;

use proptest::prelude::*;
use proptest::test_runner::Config;
use serde_json::Value;

pub use text::text;

use bytes::Bytes;
use document::{Change, Document};

/// How many cases a test takes: as many as the environment variable `PROPTEST_CASES` says, otherwise `usual`.
#[must_use]
pub fn cases(usual: u32) -> Config {
    let given = Config::default();
    let cases = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => given.cases,
        None => usual,
    };
    Config {
        cases,
        // A regression is kept as a test of its own, in words.
        failure_persistence: None,
        ..given
    }
}

/// What happens to a document, whichever it is.
#[derive(Debug, Clone)]
pub struct Trouble {
    changes: Vec<Change>,
    bytes: Bytes,
}

impl Trouble {
    /// Any: up to four of its parts go wrong, and sometimes the bytes themselves.
    pub fn any() -> impl Strategy<Value = Self> {
        (changes(), Bytes::any()).prop_map(|(changes, bytes)| Self { changes, bytes })
    }

    /// The body of a document that has met it. What is no JSON keeps its form.
    #[must_use]
    pub fn suffered_by(self, body: &[u8]) -> Vec<u8> {
        let body = match serde_json::from_slice(body) {
            Ok(document) => suffered(Document::of(&document), self.changes).into_bytes(),
            Err(_) => body.to_vec(),
        };
        self.bytes.suffered_by(body)
    }
}

/// The JSON text of one of `valid`, with up to four of its parts gone wrong. Whatever JSON can say may come: keys twice, numbers of any size.
///
/// # Panics
/// Where nothing valid is given.
pub fn json_text(valid: &[Value]) -> impl Strategy<Value = String> + use<> {
    let valid: Vec<Document> = valid.iter().map(Document::of).collect();
    (prop::sample::select(valid), changes())
        .prop_map(|(document, changes)| suffered(document, changes))
}

/// The same as a value, as far as a value can say it.
pub fn json(valid: &[Value]) -> impl Strategy<Value = Value> + use<> {
    json_text(valid).prop_map(|text| serde_json::from_str(&text).unwrap_or_default())
}

/// The same as the bytes of a body, which may be cut off, in no encoding, or no JSON at all.
pub fn body(valid: &[Value]) -> impl Strategy<Value = Vec<u8>> + use<> {
    (json_text(valid), Bytes::any()).prop_map(|(text, bytes)| bytes.suffered_by(text.into_bytes()))
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec(Change::any(), 0..5)
}

fn suffered(mut document: Document, changes: Vec<Change>) -> String {
    for change in changes {
        document.suffer(change);
    }
    document.to_string()
}

/// Texts that somebody once took for harmless.
pub fn odd_text() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(literal::TEXTS).prop_map(|text| {
        serde_json::from_str(text).unwrap_or_else(|_| text.trim_matches('"').to_owned())
    });
    prop_oneof![3 => odd, 1 => ".{0,20}"]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    use serde_json::json;

    use super::*;

    fn drawn<T: std::fmt::Debug>(from: impl Strategy<Value = T>) -> Vec<T> {
        let mut runner = TestRunner::deterministic();
        let mut draw = || from.new_tree(&mut runner).unwrap().current();
        (0..4_000).map(|_| draw()).collect()
    }

    #[test]
    fn a_document_that_suffered_nothing_is_what_it_was() {
        let value = json!({"a": [1, "x", null, {"b\"": {}}], "c": -1.5e3, "d": []});
        let text = Document::of(&value).to_string();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn what_comes_is_often_nearly_right_and_seldom_the_same() {
        let valid = [json!({"data": [{"id": "1", "n": 7}], "info": {"more": false}})];
        let texts = drawn(json_text(&valid));
        let readable = texts
            .iter()
            .filter(|text| serde_json::from_str::<Value>(text).is_ok());
        assert!(readable.count() > texts.len() / 2);
        let different: BTreeSet<&String> = texts.iter().collect();
        assert!(different.len() > texts.len() / 2);
        let twice = |text: &&String| text.matches("\"data\"").count() > 1;
        assert!(texts.iter().any(|text| twice(&text)), "no key comes twice");
        let deep = |text: &String| text.contains(&"[".repeat(1_000));
        assert!(texts.iter().any(deep), "nothing is nested deeply");
    }

    #[test]
    fn bodies_are_sometimes_cut_off_and_sometimes_in_no_encoding() {
        let valid = [json!({"data": [{"id": "1"}]})];
        let bodies = drawn(body(&valid));
        assert!(bodies.iter().any(|body| std::str::from_utf8(body).is_err()));
        assert!(bodies.iter().any(|body| body.ends_with(b"\"id")));
    }

    #[test]
    fn texts_keep_some_of_their_words() {
        let texts = drawn(text(&["select id from Leads"], &["limit"]));
        for word in ["select", "limit", "Leads"] {
            assert!(texts.iter().any(|text| text.contains(word)), "{word}");
        }
        assert!(texts.iter().any(|text| text.contains("((((")));
    }
}
