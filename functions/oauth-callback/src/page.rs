//! The pages: one calm layout, and for each outcome what happened and what to do.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use tandem::connection::Status;
use tandem::data_centre::DataCentre;
use tandem::flow::connect::{Connected, Refusal};
use tandem::flow::preflight::{Finding, Severity};

/// The style of all pages, in the page itself.
pub(crate) const STYLE: &str = include_str!("../templates/style.css");

/// A page.
#[derive(Template)]
#[template(path = "page.html")]
pub(crate) struct Page {
    status: StatusCode,
    style: &'static str,
    mood: &'static str,
    title: String,
    happened: Vec<String>,
    choices: Vec<Choice>,
    findings: Vec<Finding>,
    todo: Option<String>,
    /// Where to begin again.
    again: Option<String>,
}

/// A data centre to choose.
pub(crate) struct Choice {
    code: &'static str,
    name: &'static str,
    domain: &'static str,
}

impl Choice {
    pub(crate) fn of(centre: DataCentre) -> Self {
        Self {
            code: centre.code(),
            name: centre.name(),
            domain: centre.domain(),
        }
    }
}

impl Page {
    fn new(status: StatusCode, mood: &'static str, title: impl Into<String>) -> Self {
        Self {
            status,
            style: STYLE,
            mood,
            title: title.into(),
            happened: Vec::new(),
            choices: Vec::new(),
            findings: Vec::new(),
            todo: None,
            again: None,
        }
    }

    /// Asks for the data centre.
    pub(crate) fn choose(connection: &str, unknown: Option<&str>, choices: Vec<Choice>) -> Self {
        let status = match unknown {
            Some(_) => StatusCode::BAD_REQUEST,
            None => StatusCode::OK,
        };
        let question = format!(
            "{connection} is about to be connected to Zoho CRM. Choose where your Zoho organisation is kept: the address at which \
             you use Zoho tells."
        );
        let unknown = unknown.map(|code| {
            format!("{code:?} is not among the data centres that can be connected here.")
        });
        Self {
            happened: unknown.into_iter().chain([question]).collect(),
            choices,
            ..Self::new(status, "neutral", "Connect Zoho")
        }
    }

    /// Says that it worked, and what was found.
    pub(crate) fn connected(connected: &Connected) -> Self {
        let name = &connected.connection.name;
        let organisation = &connected.organisation;
        let mut happened = vec![match connected.again {
            true => format!("{organisation} is connected to {name} again."),
            false => format!("{organisation} is connected to {name}."),
        }];
        happened.push(match connected.connection.status {
            Status::Enabled => {
                "The sync goes on where it stopped; changes made meanwhile come with the next run."
                    .to_owned()
            }
            _ => "Nothing is synced yet: it begins when the operator switches it on.".to_owned(),
        });
        let visible: Vec<_> = connected
            .preflight
            .visible
            .iter()
            .map(|(object, count)| format!("{count} {}", plural(*count, object.name())))
            .collect();
        if !visible.is_empty() {
            happened.push(format!(
                "The user who granted access sees {}. If that is less than there is, connect again with a user who sees everything.",
                visible.join(", ")
            ));
        }
        let findings = connected.preflight.findings.clone();
        let todo = match (findings.is_empty(), connected.preflight.has_problems()) {
            (true, _) => "You can close this window.",
            (false, true) => {
                "Please have the problems below put right in Zoho; the operator sees them too. Nothing else is to be done here."
            }
            (false, false) => {
                "Please look at the notes below; the operator sees them too. Nothing else is to be done here."
            }
        };
        Self {
            happened,
            findings,
            todo: Some(todo.to_owned()),
            ..Self::new(StatusCode::OK, "good", "Zoho is connected")
        }
    }

    /// Says why it did not work and what to do.
    pub(crate) fn refused(refusal: &Refusal, again: Option<String>) -> Self {
        let title = match refusal {
            Refusal::NoSuchConnection => "Unknown connection",
            Refusal::Denied => "Access was not granted",
            _ => "Zoho is not connected",
        };
        Self {
            happened: vec![refusal.to_string()],
            todo: Some(refusal.remedy()),
            again,
            ..Self::new(crate::status(refusal), "bad", title)
        }
    }

    /// Says that it failed on our side.
    pub(crate) fn failed() -> Self {
        Self {
            happened: vec!["Something on our side did not answer as it should.".to_owned()],
            todo: Some(
                "Wait a minute and begin again from the link that you were given. The operator finds the cause in the function's log."
                    .to_owned(),
            ),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "bad",
                "Zoho is not connected",
            )
        }
    }

    /// Says that there is no such page.
    pub(crate) fn not_found() -> Self {
        Self {
            happened: vec!["There is no page at this address.".to_owned()],
            todo: Some("Check the link, or ask whoever sent it for a new one.".to_owned()),
            ..Self::new(StatusCode::NOT_FOUND, "bad", "Page not found")
        }
    }
}

fn plural(count: u64, noun: &str) -> String {
    match count {
        1 => noun.to_owned(),
        _ => format!("{noun}s"),
    }
}

/// A finding's severity in words.
pub(crate) const fn severity(finding: &Finding) -> &'static str {
    match finding.severity {
        Severity::Problem => "Problem",
        Severity::Warning => "Note",
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        match self.render() {
            Ok(html) => (self.status, Html(html)).into_response(),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "a page can't be rendered");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}
