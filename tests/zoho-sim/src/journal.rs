//! The record of every request that was served.

use crate::dc::DataCentre;
use jiff::Timestamp;
use serde::Serialize;
use std::collections::VecDeque;

/// One served request. Secrets and tokens are not in it.
#[derive(Debug, Clone, Serialize)]
pub struct Served {
    /// Counts from 1.
    pub sequence: u64,
    /// When.
    pub time: Timestamp,
    /// The data centre in the path.
    pub dc: Option<&'static str>,
    /// The organisation that the token names.
    pub organisation: Option<String>,
    /// The user that the token names.
    pub user: Option<String>,
    /// The method.
    pub method: String,
    /// The path after the data centre.
    pub path: String,
    /// The query, redacted.
    pub query: Vec<(String, String)>,
    /// The COQL query, for what was sent as one.
    pub coql: Option<String>,
    /// The module.
    pub module: Option<String>,
    /// The status; 0 when the connection was dropped.
    pub status: u16,
    /// Zoho's code of a refusal.
    pub code: Option<String>,
    /// Credits spent.
    pub credits: u32,
    /// Records read or written.
    pub rows: usize,
}

/// What the handlers of a request say about it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes {
    pub(crate) organisation: Option<u64>,
    pub(crate) user: Option<u64>,
    pub(crate) client: Option<String>,
    pub(crate) module: Option<String>,
    pub(crate) coql: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) credits: u32,
    pub(crate) heavy: bool,
    pub(crate) rows: usize,
}

/// The latest served requests.
#[derive(Debug, Default)]
pub struct Journal {
    served: VecDeque<Served>,
    sequence: u64,
}

const KEPT: usize = 200_000;
const SECRET: [&str; 6] = [
    "client_secret",
    "code",
    "refresh_token",
    "access_token",
    "token",
    "page_token",
];

impl Journal {
    pub(crate) fn note(
        &mut self,
        time: Timestamp,
        dc: Option<DataCentre>,
        request: &crate::Request,
        status: u16,
        notes: Notes,
    ) {
        self.sequence += 1;
        if self.served.len() >= KEPT {
            self.served.pop_front();
        }
        let query = request
            .query
            .iter()
            .map(|(name, value)| {
                let shown = if SECRET.contains(&name.as_str()) {
                    "(redacted)"
                } else {
                    value
                };
                (name.clone(), shown.to_owned())
            })
            .collect();
        self.served.push_back(Served {
            sequence: self.sequence,
            time,
            dc: dc.map(DataCentre::name),
            organisation: notes.organisation.map(|id| id.to_string()),
            user: notes.user.map(|id| id.to_string()),
            method: request.method.to_string(),
            path: request.path.clone(),
            query,
            coql: notes.coql,
            module: notes.module,
            status,
            code: notes.code,
            credits: notes.credits,
            rows: notes.rows,
        });
    }

    /// The requests after a sequence number.
    pub fn since(&self, sequence: u64) -> impl DoubleEndedIterator<Item = &Served> {
        let start = self
            .served
            .partition_point(|served| served.sequence <= sequence);
        self.served.range(start..)
    }

    /// The number of the latest request.
    pub fn latest(&self) -> u64 {
        self.sequence
    }

    /// Forgets the requests; the numbers go on.
    pub fn reset(&mut self) {
        self.served.clear();
    }
}
