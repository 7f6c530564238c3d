//! Dead letters as the API shows them: where they were to look, never what they carry.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tandem::identifier::{PlatformId, ZohoId};
use tandem::message::{Letter, Work, Writeback};
use tandem::object::Object;
use tandem::port::{DeadLetter, DeadLetters, QueueName};
use utoipa::ToSchema;

use super::ObjectName;

/// A queue: that of an object's worker, or `writeback`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Queue {
    /// Reading accounts.
    Accounts,
    /// Reading contacts.
    Contacts,
    /// Reading tasks.
    Tasks,
    /// Reading deals.
    Deals,
    /// Reading users.
    Users,
    /// Carrying edits into Zoho.
    Writeback,
}

impl From<QueueName> for Queue {
    fn from(name: QueueName) -> Self {
        match name {
            QueueName::Work(Object::Account) => Self::Accounts,
            QueueName::Work(Object::Contact) => Self::Contacts,
            QueueName::Work(Object::Task) => Self::Tasks,
            QueueName::Work(Object::Deal) => Self::Deals,
            QueueName::Work(Object::User) => Self::Users,
            QueueName::Writeback => Self::Writeback,
        }
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Accounts => "accounts",
            Self::Contacts => "contacts",
            Self::Tasks => "tasks",
            Self::Deals => "deals",
            Self::Users => "users",
            Self::Writeback => "writeback",
        })
    }
}

/// A queue of the path, by its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named(pub QueueName);

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        QueueName::ALL
            .into_iter()
            .find(|name| Queue::from(*name).to_string() == text)
            .map(Self)
            .ok_or_else(|| {
                let shown: String = text.chars().take(100).collect();
                let names = QueueName::ALL.map(|name| Queue::from(name).to_string());
                format!("{shown:?} is no queue: use {}", names.join(", "))
            })
    }
}

/// What a message wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MessageKind {
    /// Work on a slice of a run.
    Slice,
    /// Bring in what belongs to records that newly came into scope.
    Dependants,
    /// Calculate an organisation's accounts that are marked for it.
    Calculate,
    /// Go on with a connection's purge.
    Purge,
    /// Look at records' pending edits.
    Push,
    /// Try once more what is parked.
    Retry,
    /// Edits from the platform's own service.
    Edit,
    /// Nothing that this release can read: sent by somebody else, or by another release.
    Unreadable,
}

/// A message that failed five times.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetterView {
    /// The connection that it belongs to, as far as can be said.
    pub connection: Option<String>,
    /// What it wanted.
    pub kind: MessageKind,
    /// What it is about.
    pub object: Option<ObjectName>,
    /// The run that it belongs to.
    pub run: Option<String>,
    /// How many records it names, where it names any.
    pub records: Option<usize>,
    /// The Zoho ids that it names, and of a `push` the platform ids. Not those of contacts, which are e-mail addresses as a rule, and nothing
    /// of an `edit`.
    pub ids: Vec<String>,
    /// When it was sent first.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub sent_at: Option<Timestamp>,
    /// How often it was taken from a queue; looking at it here counts as well.
    pub received: u32,
}

/// The dead letters of a queue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetterQueue {
    /// The queue that they failed in.
    pub queue: Queue,
    /// About how many there are, of all connections.
    pub waiting: u64,
    /// Some of them, ten at most.
    pub letters: Vec<DeadLetterView>,
}

impl DeadLetterQueue {
    /// What waits, and those of the letters seen that are wanted.
    pub(crate) fn new(
        name: QueueName,
        dead: &DeadLetters,
        wanted: impl Fn(&DeadLetter) -> bool,
    ) -> Self {
        let seen = dead.seen.iter().filter(|letter| wanted(letter));
        Self {
            queue: name.into(),
            waiting: dead.waiting,
            letters: seen.map(DeadLetterView::from).collect(),
        }
    }
}

/// What a letter says, as far as it is shown.
struct Said {
    kind: MessageKind,
    object: Option<Object>,
    run: Option<String>,
    records: Option<usize>,
    ids: Vec<String>,
}

fn said(letter: &Letter) -> Said {
    let bare = |kind, object| Said {
        kind,
        object,
        run: None,
        records: None,
        ids: Vec::new(),
    };
    match letter {
        Letter::Work(work) => {
            let object = Some(work.object());
            match work {
                Work::Slice { run, .. } => Said {
                    run: Some(run.to_string()),
                    ..bare(MessageKind::Slice, object)
                },
                Work::Dependants { run, ids, .. } => Said {
                    run: Some(run.to_string()),
                    records: Some(ids.len()),
                    ids: ids.iter().map(ZohoId::to_string).collect(),
                    ..bare(MessageKind::Dependants, object)
                },
                Work::Calculate { run, .. } => Said {
                    run: Some(run.to_string()),
                    ..bare(MessageKind::Calculate, object)
                },
                Work::Purge { .. } => bare(MessageKind::Purge, None),
            }
        }
        Letter::Writeback(Writeback::Push { object, ids, .. }) => Said {
            records: Some(ids.len()),
            ids: match object {
                Object::Contact => Vec::new(),
                Object::Account | Object::Task | Object::Deal | Object::User => {
                    ids.iter().map(PlatformId::to_string).collect()
                }
            },
            ..bare(MessageKind::Push, Some(*object))
        },
        Letter::Writeback(Writeback::Edit { object, edits, .. }) => Said {
            records: Some(edits.len()),
            ..bare(MessageKind::Edit, Some(*object))
        },
        Letter::Writeback(Writeback::Retry { .. }) => bare(MessageKind::Retry, None),
        Letter::Unreadable => bare(MessageKind::Unreadable, None),
    }
}

impl From<&DeadLetter> for DeadLetterView {
    fn from(dead: &DeadLetter) -> Self {
        let Said {
            kind,
            object,
            run,
            records,
            ids,
        } = said(&dead.letter);
        Self {
            connection: dead.connection.as_ref().map(ToString::to_string),
            kind,
            object: object.map(ObjectName::from),
            run,
            records,
            ids,
            sent_at: dead.sent_at,
            received: dead.received,
        }
    }
}
