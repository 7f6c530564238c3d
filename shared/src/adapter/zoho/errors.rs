//! What Zoho's refusals mean, and what of them may be told: codes, field names and short texts, never values, addresses or tokens.

use std::time::Duration;

use serde_json::Value;

use super::transport::Response;
use super::wire;
use crate::identifier::ZohoId;
use crate::port::CrmError;
use crate::row::{self, lookup_id};

/// The longest text of Zoho's that is passed on.
const LONGEST_TEXT: usize = 200;
/// The longest pause that is believed; credits come back within a day.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3_600);
/// Runs of hexadecimal digits of this length are taken for secrets: those of Zoho's tokens have 32, its ids at most 20.
const SECRET_RUN: usize = 24;
/// What stands for something left out.
const LEFT_OUT: &str = "…";

/// Why an answer can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// Not the JSON that it should be. Where, but not what: a parser's own words quote the text.
    #[error("{what} at line {line}, column {column}")]
    Json {
        what: &'static str,
        line: usize,
        column: usize,
    },
    /// JSON of another shape.
    #[error("{0}")]
    Shape(&'static str),
    /// A row without its id or the like.
    #[error("a row can't be read")]
    Row(#[source] row::Error),
    /// No readable refusal with a status that is one.
    #[error("status {0} without a body that says why")]
    Status(u16),
    /// Another number of outcomes than of records.
    #[error("{got} outcomes for {sent} records")]
    Outcomes { sent: usize, got: usize },
    /// The Date header is missing, so Zoho's clock is unknown.
    #[error("no usable Date header")]
    NoDate,
}

impl Unreadable {
    pub(super) fn json(error: &serde_json::Error) -> Self {
        Self::Json {
            what: match error.classify() {
                serde_json::error::Category::Data => "unexpected JSON",
                serde_json::error::Category::Eof => "JSON that ends early",
                _ => "no JSON",
            },
            line: error.line(),
            column: error.column(),
        }
    }
}

/// A failure on Zoho's side.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// A status that says so, with Zoho's code where there is one.
    #[error("status {status} ({code})")]
    Status { status: u16, code: String },
}

/// An answer that can't be read.
pub(super) fn malformed(what: &str, why: Unreadable) -> CrmError {
    CrmError::Malformed {
        what: what.to_owned(),
        source: Box::new(why),
    }
}

/// A failure on Zoho's side.
pub(super) fn unavailable(status: u16, code: String) -> CrmError {
    CrmError::Unavailable {
        source: Box::new(Failure::Status { status, code }),
    }
}

/// Zoho's own words about a call or a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) field: Option<String>,
    pub(super) duplicate_of: Option<ZohoId>,
}

impl Problem {
    /// The problem in a body: flat, or the first of `data`, whichever Zoho chose.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let json = wire::json(body).ok()?;
        Self::of(&json).or_else(|| Self::of(json.get("data")?.get(0)?))
    }

    /// The problem in one JSON object.
    pub(super) fn of(json: &Value) -> Option<Self> {
        let given = wire::text(json, "code").filter(|code| *code != "SUCCESS")?;
        let details = json.get("details").unwrap_or(&Value::Null);
        let several = details.get("errors").and_then(Value::as_array);
        if let Some(first) = several.and_then(|several| several.iter().find_map(Self::of)) {
            return Some(first);
        }
        let message = told(wire::text(json, "message").unwrap_or_default());
        let permissions = permissions(details);
        Some(Self {
            code: code(given),
            message: match (message.is_empty(), permissions.is_empty()) {
                (_, true) => message,
                (true, false) => format!("lacking {permissions}"),
                (false, false) => format!("{message}, lacking {permissions}"),
            },
            field: field(details),
            duplicate_of: details
                .get("duplicate_record")
                .and_then(lookup_id)
                .or_else(|| lookup_id(details))
                .filter(|_| given == "DUPLICATE_DATA"),
        })
    }
}

/// What a call that did not succeed means. `what` names what was asked for.
pub(super) fn refusal(what: &str, response: &Response) -> CrmError {
    let status = response.status;
    if status == 429 {
        return throttled(response);
    }
    let problem = Problem::read(&response.body);
    let code = problem.as_ref().map(|problem| problem.code.clone());
    if !matches!(status, 200..300 | 400..500) || status == 408 {
        return unavailable(status, code.unwrap_or_else(|| "no code".to_owned()));
    }
    let or_status = |code: Option<String>| code.unwrap_or_else(|| format!("HTTP_{status}"));
    match code.as_deref() {
        Some("INVALID_TOKEN" | "AUTHENTICATION_FAILURE") => CrmError::Unauthorised {
            code: or_status(code),
        },
        Some("OAUTH_SCOPE_MISMATCH" | "NO_PERMISSION" | "AUTHORIZATION_FAILED") => {
            forbidden(what, or_status(code), problem)
        }
        Some("TOO_MANY_REQUESTS" | "RATE_LIMIT_EXCEEDED") => throttled(response),
        Some("INTERNAL_ERROR") => unavailable(status, or_status(code)),
        Some("ALREADY_MODIFIED") => CrmError::ChangedMeanwhile,
        _ => match (status, problem) {
            (401, _) => CrmError::Unauthorised {
                code: or_status(code),
            },
            (403, problem) => forbidden(what, or_status(code), problem),
            (412, _) => CrmError::ChangedMeanwhile,
            (_, Some(problem)) => CrmError::Refused {
                code: problem.code,
                message: problem.message,
                field: problem.field,
            },
            (_, None) => malformed(what, Unreadable::Status(status)),
        },
    }
}

/// A refusal in our own words.
pub(super) fn refused(code: &str, message: impl Into<String>) -> CrmError {
    CrmError::Refused {
        code: code.to_owned(),
        message: message.into(),
        field: None,
    }
}

fn forbidden(what: &str, code: String, problem: Option<Problem>) -> CrmError {
    CrmError::Forbidden {
        code,
        what: what.to_owned(),
        message: problem.map(|problem| problem.message).unwrap_or_default(),
    }
}

/// Too many calls, with the pause that Zoho asks for: CRM's documentation names no such header, but it is honoured where it comes.
pub(super) fn throttled(response: &Response) -> CrmError {
    let after = response.header("Retry-After").and_then(|text| {
        let text = text.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let now = wire::http_date(response.header("Date")?)?;
        let pause = wire::http_date(text)?.duration_since(now);
        Some(Duration::try_from(pause).unwrap_or_default())
    });
    CrmError::Throttled {
        after: after.map(|after| after.min(LONGEST_PAUSE)),
    }
}

/// A code as Zoho writes codes; anything else is not repeated.
pub(super) fn code(given: &str) -> String {
    let plain = given
        .chars()
        .all(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | ' '));
    if plain && given.len() <= 60 && !is_secret(given) {
        given.to_owned()
    } else {
        "UNKNOWN".to_owned()
    }
}

/// The permissions that the details of a problem name, as far as they look like such.
fn permissions(details: &Value) -> String {
    let named = details.get("permissions").and_then(Value::as_array);
    let names: Vec<&str> = named
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|name| code(name) == *name)
        .take(5)
        .collect();
    names.join(", ")
}

/// The field that the details of a problem name.
fn field(details: &Value) -> Option<String> {
    let named = ["api_name", "column_name", "param_name", "header_name"]
        .into_iter()
        .find_map(|key| wire::text(details, key));
    let path = || {
        let path = wire::text(details, "json_path")?.strip_prefix("$.")?;
        match path.split_once("].") {
            Some((list, rest)) if list.starts_with("data[") => Some(rest),
            _ => Some(path).filter(|path| !path.starts_with("data[")),
        }
    };
    let name = named.or_else(path)?;
    let plain = name
        .chars()
        .all(|char| char.is_ascii_alphanumeric() || "_.$-><![]() #".contains(char));
    (plain && name.len() <= 100 && !is_secret(name)).then(|| name.to_owned())
}

fn is_secret(text: &str) -> bool {
    text.split(|char: char| !char.is_ascii_hexdigit())
        .any(|run| run.len() >= SECRET_RUN)
}

/// A text of Zoho's, cut and without what could be a value: quoted parts, e-mail addresses, tokens.
fn told(text: &str) -> String {
    let text: String = text.chars().take(10 * LONGEST_TEXT).collect();
    let text = without_quoted(&text);
    let words = text.split_whitespace().map(|word| {
        if word.contains('@') || is_secret(word) {
            LEFT_OUT
        } else {
            word
        }
    });
    let told = words.collect::<Vec<_>>().join(" ");
    if told.chars().count() <= LONGEST_TEXT {
        return told;
    }
    told.chars()
        .take(LONGEST_TEXT - 1)
        .chain(LEFT_OUT.chars())
        .collect()
}

/// The text with every quoted part left out. An apostrophe inside a word is no quote; a quote that is not closed reaches to the end.
fn without_quoted(text: &str) -> String {
    let is_quote = |char| matches!(char, '\'' | '"' | '`' | '‘' | '’' | '“' | '”');
    let mut kept = String::with_capacity(text.len());
    let mut in_quotes = false;
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let next = chars.peek().copied().unwrap_or(' ');
        let edge = if in_quotes { next } else { before };
        let turns = is_quote(char) && !edge.is_alphanumeric() && before != '\\';
        if turns {
            if !in_quotes {
                kept.push_str(LEFT_OUT);
            }
            in_quotes = !in_quotes;
        } else if !in_quotes {
            kept.push(char);
        }
        before = char;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_tell_no_values() {
        for (given, expected) in [
            ("invalid data", "invalid data"),
            (
                "the user's profile doesn't allow it",
                "the user's profile doesn't allow it",
            ),
            (
                "no such value 'O\\'Hara & Sons' here",
                "no such value … here",
            ),
            ("mail ada@example.com is \"taken\"", "mail … is …"),
            (
                "token 1000.0123456789abcdef0123456789abcdef.x\nis bad",
                "token … is bad",
            ),
            ("an open 'quote of Ada Lovelace", "an open …"),
            (
                "record 5725767000000420023 is locked",
                "record 5725767000000420023 is locked",
            ),
        ] {
            assert_eq!(told(given), expected);
        }
        assert_eq!(told(&"long ".repeat(200)).chars().count(), LONGEST_TEXT);
    }

    #[test]
    fn codes_and_fields_are_plain() {
        assert_eq!(code("INVALID_DATA"), "INVALID_DATA");
        assert_eq!(code("Access Denied"), "Access Denied");
        for odd in ["a@b", "1000.ab", &"0a".repeat(12), "<html>"] {
            assert_eq!(code(odd), "UNKNOWN");
        }
        for (details, expected) in [
            (serde_json::json!({ "api_name": "Email" }), Some("Email")),
            (
                serde_json::json!({ "column_name": "Account_Name.Owner" }),
                Some("Account_Name.Owner"),
            ),
            (
                serde_json::json!({ "json_path": "$.data[3].Account_Name.id" }),
                Some("Account_Name.id"),
            ),
            (serde_json::json!({ "json_path": "$.data[3]" }), None),
            (
                serde_json::json!({ "json_path": "$.select_query" }),
                Some("select_query"),
            ),
            (serde_json::json!({ "api_name": "ada@example.com" }), None),
            (serde_json::json!([]), None),
        ] {
            assert_eq!(field(&details).as_deref(), expected);
        }
    }
}
