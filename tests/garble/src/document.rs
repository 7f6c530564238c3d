//! A JSON document as it is written, and what can happen to its parts.

use std::fmt;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use crate::literal;

/// A document. Leaves and keys are kept as JSON text, so that it can say what a parsed value can't.
#[derive(Debug, Clone)]
pub(crate) enum Document {
    /// Any text that stands for a value.
    Leaf(String),
    /// A list, or a map: whose parts have keys.
    Branch { is_map: bool, parts: Vec<Part> },
}

/// A part of a list or map, with its key as JSON text; of a list, without a meaning.
pub(crate) type Part = (String, Document);

/// What happens to a part of a document.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// It says something else.
    Replaced(Index, String),
    /// It is missing.
    Gone(Index),
    /// It is there several times; of a map under the same key.
    Repeated(Index, usize),
    /// It is there once more, under the same key, and says something else.
    Contradicted(Index, String),
    /// It has another key.
    Renamed(Index, String),
    /// It says what another part says.
    Copied(Index, Index),
    /// It is in so many lists, each in the next.
    Nested(Index, usize),
    /// It is in a map.
    Wrapped(Index, String),
    /// It is a text of what it was.
    Quoted(Index),
    /// It is not quoted any more.
    Unquoted(Index),
    /// Something else is beside it.
    Joined(Index, String, String),
}

impl Change {
    /// Any of them.
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        let at = any::<Index>;
        let often = prop_oneof![4 => Just(1), 2 => 1_usize..5, 1 => Just(300)];
        let depth = prop_oneof![4 => 1_usize..5, 1 => 100_usize..200, 1 => Just(20_000)];
        prop_oneof![
            8 => (at(), literal::value()).prop_map(|(at, text)| Self::Replaced(at, text)),
            4 => at().prop_map(Self::Gone),
            2 => (at(), often).prop_map(|(at, times)| Self::Repeated(at, times)),
            2 => (at(), literal::value()).prop_map(|(at, text)| Self::Contradicted(at, text)),
            1 => (at(), literal::text()).prop_map(|(at, key)| Self::Renamed(at, key)),
            3 => (at(), at()).prop_map(|(from, to)| Self::Copied(from, to)),
            1 => (at(), depth).prop_map(|(at, depth)| Self::Nested(at, depth)),
            1 => (at(), literal::text()).prop_map(|(at, key)| Self::Wrapped(at, key)),
            1 => at().prop_map(Self::Quoted),
            1 => at().prop_map(Self::Unquoted),
            1 => (at(), literal::text(), literal::value()).prop_map(|(at, key, text)| Self::Joined(at, key, text)),
        ]
    }
}

impl Document {
    /// The document of a value.
    pub(crate) fn of(value: &Value) -> Self {
        match value {
            Value::Array(items) => Self::Branch {
                is_map: false,
                parts: items
                    .iter()
                    .map(|item| (String::new(), Self::of(item)))
                    .collect(),
            },
            Value::Object(map) => Self::Branch {
                is_map: true,
                parts: map
                    .iter()
                    .map(|(key, item)| (quoted(key), Self::of(item)))
                    .collect(),
            },
            leaf => Self::Leaf(leaf.to_string()),
        }
    }

    /// Lets something happen to it.
    pub(crate) fn suffer(&mut self, change: Change) {
        let whole = std::mem::replace(self, Self::Leaf(String::new()));
        let mut parts = vec![(String::new(), whole)];
        let number = count(&parts);
        let pick = |index: Index| index.index(number);
        match change {
            Change::Replaced(at, text) => {
                change_at(&mut parts, pick(at), |parts, at| {
                    parts[at].1 = Self::Leaf(text);
                });
            }
            Change::Gone(at) => change_at(&mut parts, pick(at), |parts, at| {
                parts.remove(at);
            }),
            Change::Repeated(at, times) => change_at(&mut parts, pick(at), |parts, at| {
                let again = vec![parts[at].clone(); times];
                parts.splice(at..at, again);
            }),
            Change::Contradicted(at, text) => change_at(&mut parts, pick(at), |parts, at| {
                let key = parts[at].0.clone();
                parts.insert(at + 1, (key, Self::Leaf(text)));
            }),
            Change::Renamed(at, key) => {
                change_at(&mut parts, pick(at), |parts, at| parts[at].0 = key)
            }
            Change::Copied(from, to) => {
                let mut copy = None;
                change_at(&mut parts, pick(from), |parts, at| {
                    copy = Some(parts[at].1.clone());
                });
                change_at(&mut parts, pick(to), |parts, at| {
                    parts[at].1 = copy.unwrap_or_else(|| Self::Leaf("null".to_owned()));
                });
            }
            Change::Nested(at, depth) => change_at(&mut parts, pick(at), |parts, at| {
                let (open, close) = ("[".repeat(depth), "]".repeat(depth));
                parts[at].1 = Self::Leaf(format!("{open}{}{close}", parts[at].1));
            }),
            Change::Wrapped(at, key) => change_at(&mut parts, pick(at), |parts, at| {
                parts[at].1 = Self::Leaf(format!("{{{key}:{}}}", parts[at].1));
            }),
            Change::Quoted(at) => change_at(&mut parts, pick(at), |parts, at| {
                parts[at].1 = Self::Leaf(quoted(&parts[at].1.to_string()));
            }),
            Change::Unquoted(at) => change_at(&mut parts, pick(at), |parts, at| {
                let text = parts[at].1.to_string();
                parts[at].1 = Self::Leaf(text.trim_matches('"').to_owned());
            }),
            Change::Joined(at, key, text) => change_at(&mut parts, pick(at), |parts, at| {
                parts.insert(at, (key, Self::Leaf(text)));
            }),
        }
        // Whatever became of the whole, one document is left; several in a row are no JSON.
        *self = match parts.len() {
            1 => parts.remove(0).1,
            _ => Self::Leaf(parts.iter().map(|(_, part)| part.to_string()).collect()),
        };
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// How many parts there are, those of parts included.
fn count(parts: &[Part]) -> usize {
    let below = |part: &Part| match &part.1 {
        Document::Leaf(_) => 0,
        Document::Branch { parts, .. } => count(parts),
    };
    parts.iter().map(|part| 1 + below(part)).sum()
}

/// Changes the part of that number, counted from the top.
fn change_at(parts: &mut Vec<Part>, number: usize, change: impl FnOnce(&mut Vec<Part>, usize)) {
    let mut left = number;
    for at in 0..parts.len() {
        if left == 0 {
            return change(parts, at);
        }
        left -= 1;
        if let Document::Branch { parts: below, .. } = &mut parts[at].1 {
            let there = count(below);
            if left < there {
                return change_at(below, left, change);
            }
            left -= there;
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (is_map, parts) = match self {
            Self::Leaf(text) => return formatter.write_str(text),
            Self::Branch { is_map, parts } => (*is_map, parts),
        };
        formatter.write_str(if is_map { "{" } else { "[" })?;
        for (number, (key, part)) in parts.iter().enumerate() {
            if number > 0 {
                formatter.write_str(",")?;
            }
            if is_map {
                let key = if key.is_empty() { "\"\"" } else { key };
                write!(formatter, "{key}:")?;
            }
            part.fmt(formatter)?;
        }
        formatter.write_str(if is_map { "}" } else { "]" })
    }
}
