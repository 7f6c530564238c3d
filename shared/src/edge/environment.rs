//! The environment of a function, read once at its cold start. `infra/template.yaml` sets it.

use url::Url;

use crate::adapter::dynamodb::Tables;
use crate::adapter::sqs::QueueUrls;
use crate::data_centre::Directory;

/// What the environment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The tables (`TANDEM_STATE_TABLE`, `_LINKS_TABLE`, `_RECORDS_TABLE`, `_LOG_TABLE`).
    pub tables: Tables,
    /// The queues (`TANDEM_ACCOUNTS_QUEUE_URL` and so on).
    pub queues: QueueUrls,
    /// Where each queue's dead letters wait (`TANDEM_ACCOUNTS_DEAD_LETTERS_URL` and so on): for the console only.
    pub dead_letters: Option<QueueUrls>,
    /// What the names of the secrets begin with (`TANDEM_SECRET_PREFIX`).
    pub secret_prefix: String,
    /// The address that customers and operators use, without a slash at its end (`TANDEM_PUBLIC_URL`).
    pub public_url: String,
    /// Where Zoho is (`TANDEM_ZOHO_DIRECTORY`; empty or absent: Zoho itself).
    pub directory: Directory,
}

/// Everything that is wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment is not as it should be: {}", .problems.join("; "))]
pub struct Error {
    /// What is missing or wrong, each by its name.
    pub problems: Vec<String>,
}

/// The filter of the function's own log (`TANDEM_LOG`), before anything else is known.
#[must_use]
pub fn log_filter() -> Option<String> {
    variable("TANDEM_LOG")
}

impl Environment {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// When anything is missing or wrong; the error names all of it.
    pub fn read() -> Result<Self, Error> {
        Self::of(variable)
    }

    /// Reads an environment by its variables' names.
    ///
    /// # Errors
    /// When anything is missing or wrong; the error names all of it.
    pub fn of(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        Self::gathered(lookup, |_| None)
    }

    /// Reads the environment of this process when it is the console's.
    ///
    /// # Errors
    /// As for [`Environment::read`].
    pub fn read_of_console() -> Result<Self, Error> {
        Self::of_console(variable)
    }

    /// Reads a console's environment by its variables' names.
    ///
    /// # Errors
    /// As for [`Environment::of`].
    pub fn of_console(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        Self::gathered(lookup, |reader| Some(reader.queues("DEAD_LETTERS_URL")))
    }

    fn gathered<Lookup: Fn(&str) -> Option<String>>(
        lookup: Lookup,
        dead_letters: impl FnOnce(&mut Reader<Lookup>) -> Option<QueueUrls>,
    ) -> Result<Self, Error> {
        let mut reader = Reader {
            lookup,
            problems: Vec::new(),
        };
        let environment = Self {
            tables: Tables {
                state: reader.text("TANDEM_STATE_TABLE"),
                links: reader.text("TANDEM_LINKS_TABLE"),
                records: reader.text("TANDEM_RECORDS_TABLE"),
                log: reader.text("TANDEM_LOG_TABLE"),
            },
            queues: reader.queues("QUEUE_URL"),
            dead_letters: dead_letters(&mut reader),
            secret_prefix: reader.text("TANDEM_SECRET_PREFIX"),
            public_url: reader
                .address("TANDEM_PUBLIC_URL")
                .trim_end_matches('/')
                .to_owned(),
            directory: reader.directory("TANDEM_ZOHO_DIRECTORY"),
        };
        if reader.problems.is_empty() {
            Ok(environment)
        } else {
            Err(Error {
                problems: reader.problems,
            })
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Reads variables and collects what is wrong with them.
struct Reader<Lookup> {
    lookup: Lookup,
    problems: Vec<String>,
}

impl<Lookup: Fn(&str) -> Option<String>> Reader<Lookup> {
    fn text(&mut self, name: &str) -> String {
        let text = (self.lookup)(name).filter(|text| !text.trim().is_empty());
        text.unwrap_or_else(|| {
            self.problems.push(format!("{name} is missing"));
            String::new()
        })
    }

    fn address(&mut self, name: &str) -> String {
        let before = self.problems.len();
        let text = self.text(name);
        let known = self.problems.len() > before;
        let is_address = text
            .parse::<Url>()
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if !known && !is_address {
            self.problems.push(format!("{name} is no http address"));
        }
        text
    }

    /// The addresses of one queue of each kind, whose variables end alike.
    fn queues(&mut self, end: &str) -> QueueUrls {
        let mut address = |queue: &str| self.address(&format!("TANDEM_{queue}_{end}"));
        QueueUrls {
            accounts: address("ACCOUNTS"),
            contacts: address("CONTACTS"),
            tasks: address("TASKS"),
            deals: address("DEALS"),
            users: address("USERS"),
            writeback: address("WRITEBACK"),
        }
    }

    fn directory(&mut self, name: &str) -> Directory {
        let text = (self.lookup)(name).unwrap_or_default();
        Directory::parse(text.trim()).unwrap_or_else(|error| {
            self.problems.push(format!("{name}: {error}"));
            Directory::zoho()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 12] = [
        "TANDEM_STATE_TABLE",
        "TANDEM_LINKS_TABLE",
        "TANDEM_RECORDS_TABLE",
        "TANDEM_LOG_TABLE",
        "TANDEM_ACCOUNTS_QUEUE_URL",
        "TANDEM_CONTACTS_QUEUE_URL",
        "TANDEM_TASKS_QUEUE_URL",
        "TANDEM_DEALS_QUEUE_URL",
        "TANDEM_USERS_QUEUE_URL",
        "TANDEM_WRITEBACK_QUEUE_URL",
        "TANDEM_SECRET_PREFIX",
        "TANDEM_PUBLIC_URL",
    ];

    fn value(name: &str) -> Option<String> {
        NAMES
            .contains(&name)
            .then(|| format!("https://{}.example/", name.to_lowercase().replace('_', "-")))
    }

    #[test]
    fn a_whole_environment_is_read() {
        let environment = Environment::of(value).unwrap();
        assert_eq!(environment.public_url, "https://tandem-public-url.example");
        assert_eq!(environment.directory, Directory::zoho());
        assert_eq!(
            environment.queues.writeback,
            "https://tandem-writeback-queue-url.example/"
        );
    }

    #[test]
    fn the_console_is_told_where_dead_letters_wait() {
        assert_eq!(Environment::of(value).unwrap().dead_letters, None);
        let error = Environment::of_console(value).unwrap_err();
        assert_eq!(error.problems.len(), 6);
        assert_eq!(
            error.problems[5],
            "TANDEM_WRITEBACK_DEAD_LETTERS_URL is missing"
        );
        let all = |name: &str| {
            let dead = || name.ends_with("_DEAD_LETTERS_URL");
            value(name).or_else(|| dead().then(|| format!("https://{}.example", name.len())))
        };
        let dead_letters = Environment::of_console(all).unwrap().dead_letters;
        assert_eq!(dead_letters.unwrap().users, "https://29.example");
    }

    #[test]
    fn everything_that_is_missing_is_named_at_once() {
        let error = Environment::of(|_| None).unwrap_err();
        let expected = NAMES.map(|name| format!("{name} is missing"));
        assert_eq!(error.problems, expected);
        let blank = Environment::of(|_| Some(" ".into())).unwrap_err();
        assert_eq!(blank.problems, expected);
    }

    #[test]
    fn what_is_wrong_is_named_beside_what_is_missing() {
        let error = Environment::of(|name| match name {
            "TANDEM_LOG_TABLE" => None,
            "TANDEM_USERS_QUEUE_URL" => Some("users".into()),
            "TANDEM_ZOHO_DIRECTORY" => Some("ftp://zoho.example".into()),
            name => value(name),
        })
        .unwrap_err();
        assert_eq!(error.problems.len(), 3);
        assert_eq!(error.problems[0], "TANDEM_LOG_TABLE is missing");
        assert_eq!(
            error.problems[1],
            "TANDEM_USERS_QUEUE_URL is no http address"
        );
        assert!(error.problems[2].starts_with("TANDEM_ZOHO_DIRECTORY"));
        assert!(error.to_string().contains("; "), "{error}");
    }
}
