//! Texts in a language of their own, such as queries, with words gone wrong.

use proptest::prelude::*;
use proptest::sample::Index;

use crate::odd_text;

/// What happens to a word of a text.
#[derive(Debug, Clone)]
enum Change {
    /// It is another.
    Replaced(Index, String),
    /// It is missing.
    Gone(Index),
    /// It is there several times.
    Repeated(Index, usize),
    /// It is where another was, and that one where it was.
    Swapped(Index, Index),
    /// Another is before it.
    Joined(Index, String),
    /// From one to another everything is in so many brackets.
    Bracketed(Index, Index, usize),
    /// The text ends there.
    Cut(Index),
}

/// One of `valid`, with up to four of its words gone wrong; `words` are others that the language knows.
///
/// # Panics
/// Where nothing valid is given.
pub fn text(valid: &[&str], words: &[&str]) -> impl Strategy<Value = String> + use<> {
    let texts: Vec<Vec<String>> = valid.iter().map(|text| words_of(text)).collect();
    let mut known: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    known.extend(texts.iter().flatten().cloned());
    let word = move || prop_oneof![4 => prop::sample::select(known.clone()), 1 => odd_text()];
    let at = any::<Index>;
    let often = prop_oneof![4 => 1_usize..4, 1 => Just(200)];
    let depth = prop_oneof![4 => 1_usize..4, 1 => Just(150), 1 => Just(10_000)];
    let change = prop_oneof![
        4 => (at(), word()).prop_map(|(at, word)| Change::Replaced(at, word)),
        3 => at().prop_map(Change::Gone),
        2 => (at(), often).prop_map(|(at, times)| Change::Repeated(at, times)),
        2 => (at(), at()).prop_map(|(one, other)| Change::Swapped(one, other)),
        3 => (at(), word()).prop_map(|(at, word)| Change::Joined(at, word)),
        1 => (at(), at(), depth).prop_map(|(from, to, depth)| Change::Bracketed(from, to, depth)),
        1 => at().prop_map(Change::Cut),
    ];
    (
        prop::sample::select(texts),
        prop::collection::vec(change, 0..5),
    )
        .prop_map(|(mut words, changes)| {
            for change in changes {
                suffer(&mut words, change);
            }
            words.concat()
        })
}

/// A text's words, and what is between them, each by itself.
fn words_of(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut in_word = false;
    for char in text.chars() {
        let is_word = char.is_alphanumeric() || char == '_';
        match words.last_mut() {
            Some(word) if in_word && is_word => word.push(char),
            _ => words.push(char.to_string()),
        }
        in_word = is_word;
    }
    words
}

fn suffer(words: &mut Vec<String>, change: Change) {
    if words.is_empty() {
        return;
    }
    let pick = |at: Index| at.index(words.len());
    match change {
        Change::Replaced(at, word) => {
            let at = pick(at);
            words[at] = word;
        }
        Change::Gone(at) => {
            let at = pick(at);
            words.remove(at);
        }
        Change::Repeated(at, times) => {
            let at = pick(at);
            let again = vec![words[at].clone(); times];
            words.splice(at..at, again);
        }
        Change::Swapped(one, other) => {
            let (one, other) = (pick(one), pick(other));
            words.swap(one, other);
        }
        Change::Joined(at, word) => {
            let at = pick(at);
            words.insert(at, word);
        }
        Change::Bracketed(one, other, depth) => {
            let (one, other) = (pick(one), pick(other));
            words.insert(one.max(other) + 1, ")".repeat(depth));
            words.insert(one.min(other), "(".repeat(depth));
        }
        Change::Cut(at) => words.truncate(pick(at)),
    }
}
