//! The preview of a settings change before it is saved (S8): who would enter, who would leave, which values would change, what it needs of
//! Zoho's credits. A full sync's merge join that writes nothing: the same rows, the same links, the same rules, other settings.
//!
//! It says what will be after a routine and a full sync with the wanted settings, with Zoho and the platform as they are now.

mod prospect;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::connection::Connection;
use crate::credit::Spender;
use crate::foresight::{Credits, Proposal, Totals, count};
use crate::hash;
use crate::identifier::{FieldName, PlatformId, ZohoId};
use crate::mapping::{FieldPlan, Theirs};
use crate::merge::{Moment, merge};
use crate::object::Object;
use crate::port::Ports;
use crate::record::{Link, Record, RemovalReason};
use crate::row::Row;
use crate::select::{Count, IN_VALUES, PAGE_ROWS, Select, Which};
use crate::value::Value;

use super::job::Deadline;
use super::removal::exceeds;
use super::{Error, Session};
use prospect::{Fate, Prospect};

/// The most examples of each kind.
pub const EXAMPLES: usize = 50;

/// The most examples of a field's change.
pub const FIELD_EXAMPLES: usize = 5;

/// Where a preview stands; it travels to the client and back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Everything up to and including this id was looked at.
    after: ZohoId,
    /// For users: how many pages were looked at.
    pages: u32,
    /// Zoho's own count of the object's records when the preview began.
    records: u64,
    /// What was counted so far.
    totals: Totals,
}

/// What a preview found, as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preview {
    /// Whether the change touches the object at all; if not, nothing was read.
    pub touched: bool,
    /// What was counted so far, earlier requests included.
    pub totals: Totals,
    /// Examples from this request.
    pub examples: Examples,
    /// What the change needs of Zoho's credits for this object; none where that is not known: an untouched object needs none, and users
    /// are not counted before they are read.
    pub credits: Option<Credits>,
    /// Known in the end: the credits for asking what belongs to the entering records.
    pub following: Option<u64>,
    /// Known in the end: whether the removal guard would hold the removal of the leaving records for a person (R2). Records that leave
    /// with their account are held as well while the removal of accounts is.
    pub held: Option<bool>,
    /// The credits that this request cost.
    pub spent: u64,
    /// Where to go on; none: everything was looked at.
    pub next: Option<Progress>,
}

/// Some of what was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Examples {
    /// Records that would come in.
    pub entering: Vec<Example>,
    /// Records that would leave, and why.
    pub leaving: Vec<(Example, RemovalReason)>,
    /// Records that would become other records, and which.
    pub renamed: Vec<(Example, PlatformId)>,
    /// Values that would change, by platform field.
    pub fields: BTreeMap<FieldName, Vec<FieldExample>>,
}

/// A record, by what a person knows it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The Zoho record.
    pub zoho_id: ZohoId,
    /// The record on the platform.
    pub id: PlatformId,
    /// Its name, subject or e-mail, where Zoho sent it.
    pub name: Option<String>,
}

/// A value that would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldExample {
    /// The record on the platform.
    pub id: PlatformId,
    /// What it shows now.
    pub before: Value,
    /// What it would show.
    pub after: Value,
}

/// Looks at one object, page by page until the deadline is near, from where `progress` stands. The connection must be granted; it need not
/// be switched on. Nothing is written but what calls to Zoho leave behind: the credits spent, a seat given back, a renewed token.
///
/// # Errors
/// When the connection can't call Zoho now, Zoho refuses a wanted field, or a port fails.
pub async fn preview(
    ports: &Ports,
    connection: &Connection,
    proposal: Proposal<'_>,
    object: Object,
    progress: Option<Progress>,
    deadline: Deadline,
) -> Result<Preview, Error> {
    let session = Session::open(ports, connection, proposal.current, Spender::Person)?;
    if !proposal.touches(object) {
        return Ok(Preview::default());
    }
    let looked = Looking {
        prospect: Prospect::new(ports, &session, &connection.id, proposal),
        object,
        current: proposal.current(object),
        wanted: proposal.wanted(object),
        remapped: proposal.remapped(object),
        examples: Examples::default(),
    }
    .look(progress, deadline)
    .await;
    let finished = session.finish().await;
    let preview = looked?;
    finished?;
    Ok(Preview {
        spent: session.credits(),
        ..preview
    })
}

/// A preview under way.
struct Looking<'a> {
    prospect: Prospect<'a>,
    object: Object,
    current: FieldPlan,
    wanted: FieldPlan,
    /// The platform fields that would be filled in another way than now.
    remapped: BTreeSet<FieldName>,
    examples: Examples,
}

/// Rows and links of one range of ids.
struct Page {
    rows: Vec<Row>,
    links: BTreeMap<ZohoId, Link>,
    last: bool,
}

impl Looking<'_> {
    async fn look(
        mut self,
        progress: Option<Progress>,
        deadline: Deadline,
    ) -> Result<Preview, Error> {
        let mut progress = match progress {
            Some(progress) => progress,
            None => self.begin().await?,
        };
        let complete = loop {
            let page = match self.object {
                Object::User => self.users(&mut progress).await?,
                _ => self.page(&mut progress).await?,
            };
            self.join(&page, &mut progress.totals).await?;
            if page.last {
                break true;
            }
            if deadline.is_near(self.prospect.ports.clock.now()) {
                break false;
            }
        };
        let totals = progress.totals.clone();
        let records = match self.object {
            Object::User => complete.then_some(totals.rows),
            _ => Some(progress.records),
        };
        let proposal = self.prospect.proposal;
        let guard = &proposal.wanted.removal_guard;
        Ok(Preview {
            touched: true,
            credits: records.map(|records| proposal.credits(self.object, records)),
            following: complete.then(|| totals.following(self.object)),
            held: complete.then(|| exceeds(guard, totals.removed(), totals.held)),
            totals,
            examples: self.examples,
            spent: 0,
            next: (!complete).then_some(progress),
        })
    }

    async fn begin(&self) -> Result<Progress, Error> {
        let records = match self.object {
            Object::User => 0,
            _ => {
                self.prospect
                    .session
                    .count(Count::all(self.object))
                    .await?
                    .value
            }
        };
        Ok(Progress {
            after: ZohoId::MIN,
            pages: 0,
            records,
            totals: Totals::default(),
        })
    }

    /// The next page of rows with its links, as a full sync reads them.
    async fn page(&self, progress: &mut Progress) -> Result<Page, Error> {
        let after = progress.after;
        let prospect = &self.prospect;
        let (links, more_links) = prospect
            .ports
            .store
            .links_between(
                prospect.connection,
                self.object,
                after,
                ZohoId::MAX,
                PAGE_ROWS,
            )
            .await?;
        let bound = links
            .last()
            .filter(|_| more_links)
            .map_or(ZohoId::MAX, |link| link.zoho_id);
        let select = Select {
            object: self.object,
            columns: self.wanted.columns(),
            which: Which::IdRange { after, to: bound },
            limit: PAGE_ROWS,
        };
        let page = prospect.session.select(&select).await?.value;
        let reached = page
            .rows
            .last()
            .filter(|_| page.more)
            .map_or(bound, |row| row.id);
        progress.after = reached;
        Ok(Page {
            rows: page.rows,
            links: links
                .into_iter()
                .filter(|link| link.zoho_id <= reached)
                .map(|link| (link.zoho_id, link))
                .collect(),
            last: reached == ZohoId::MAX,
        })
    }

    /// The next page of users, who have no order and never leave (S4).
    async fn users(&self, progress: &mut Progress) -> Result<Page, Error> {
        let number = progress.pages.saturating_add(1);
        let page = self.prospect.session.users(number, None).await?.value;
        progress.pages = number;
        let ids: BTreeSet<ZohoId> = page.rows.iter().map(|row| row.id).collect();
        Ok(Page {
            links: self.prospect.stored(self.object, ids).await?,
            rows: page.rows,
            last: !page.more,
        })
    }

    async fn join(&mut self, page: &Page, totals: &mut Totals) -> Result<(), Error> {
        count(&mut totals.rows, page.rows.len() as u64);
        let linked = page.links.values().filter_map(Link::platform_id).count();
        count(&mut totals.held, linked as u64);
        let seen: BTreeSet<ZohoId> = page.rows.iter().map(|row| row.id).collect();
        for link in page.links.values() {
            if let Some(id) = link.platform_id().filter(|_| !seen.contains(&link.zoho_id)) {
                self.leave(totals, link.zoho_id, id, None, RemovalReason::Gone);
            }
        }
        let neighbours = self.prospect.neighbours(self.object, &page.rows).await?;
        let fates = self
            .prospect
            .fates(self.object, &page.rows, &page.links, &neighbours)
            .await?;
        let mut staying = Vec::new();
        for row in &page.rows {
            let theirs = self.wanted.read(row, &neighbours);
            let name = title(self.object, &theirs);
            match fates.get(&row.id) {
                Some(Fate::Stays(id)) => {
                    let link = page.links.get(&row.id);
                    if link.is_some_and(|link| self.was_applied(&theirs, link)) {
                        count(&mut totals.unchanged, 1);
                    } else {
                        staying.push((id.clone(), theirs));
                    }
                }
                Some(Fate::Enters(id)) => {
                    count(&mut totals.entering, 1);
                    push(
                        &mut self.examples.entering,
                        example(row.id, id, name),
                        EXAMPLES,
                    );
                }
                Some(Fate::Leaves(id, reason)) => self.leave(totals, row.id, id, name, *reason),
                Some(Fate::Renamed { from, to }) => {
                    count(&mut totals.renamed, 1);
                    let renamed = (example(row.id, from, name), to.clone());
                    push(&mut self.examples.renamed, renamed, EXAMPLES);
                }
                Some(Fate::Unmatched) => count(&mut totals.unmatched, 1),
                Some(Fate::Duplicate(other)) => {
                    count(&mut totals.duplicates, 1);
                    self.oust(totals, row.id, page.links.get(&row.id), other, name);
                }
                Some(Fate::Unknown(other)) => {
                    count(&mut totals.unknown, 1);
                    self.oust(totals, row.id, page.links.get(&row.id), other, name);
                }
                Some(Fate::Outside) | None => count(&mut totals.outside, 1),
            }
        }
        for some in staying.chunks(IN_VALUES) {
            self.compare(some, totals).await?;
        }
        Ok(())
    }

    /// Whether the row would say nothing but what was applied already, in which case its record need not be read.
    fn was_applied(&self, theirs: &Theirs, link: &Link) -> bool {
        let faults = theirs.faults.iter().map(|fault| &fault.platform);
        let own = theirs.identity.as_ref();
        let hash = hash::of_content(&self.current.digest, own, &theirs.values, faults);
        // What another mapping says is news even if it is no value, which no hash tells from an absent one.
        let says_news = theirs
            .values
            .keys()
            .any(|field| self.remapped.contains(field));
        link.hash == hash && !says_news
    }

    fn leave(
        &mut self,
        totals: &mut Totals,
        zoho_id: ZohoId,
        id: &PlatformId,
        name: Option<String>,
        reason: RemovalReason,
    ) {
        totals.leave(reason);
        let left = (example(zoho_id, id, name), reason);
        push(&mut self.examples.leaving, left, EXAMPLES);
    }

    /// The record of a row goes, if the row's external id becomes one that it can't have.
    fn oust(
        &mut self,
        totals: &mut Totals,
        zoho_id: ZohoId,
        link: Option<&Link>,
        other: &PlatformId,
        name: Option<String>,
    ) {
        if let Some(id) = link.and_then(Link::platform_id).filter(|id| *id != other) {
            self.leave(totals, zoho_id, id, name, RemovalReason::Renamed);
        }
    }

    /// Compares what records show with what they would show: the merge itself says, pending edits included.
    async fn compare(
        &mut self,
        staying: &[(PlatformId, Theirs)],
        totals: &mut Totals,
    ) -> Result<(), Error> {
        let ids: Vec<PlatformId> = staying.iter().map(|(id, _)| id.clone()).collect();
        let prospect = &self.prospect;
        let records: BTreeMap<PlatformId, Record> = prospect
            .ports
            .store
            .records(prospect.connection, self.object, &ids)
            .await?
            .into_iter()
            .map(|record| (record.id.clone(), record))
            .collect();
        let moment = Moment {
            now: prospect.ports.clock.now(),
            run: None,
        };
        for (id, theirs) in staying {
            let changes = records
                .get(id)
                .map(|record| changes(record, theirs, &self.wanted, &moment))
                .unwrap_or_default();
            let counter = match changes.is_empty() {
                true => &mut totals.unchanged,
                false => &mut totals.changed,
            };
            count(counter, 1);
            for (field, change) in changes {
                count(totals.fields.entry(field.clone()).or_default(), 1);
                let examples = self.examples.fields.entry(field).or_default();
                push(examples, change, FIELD_EXAMPLES);
            }
        }
        Ok(())
    }
}

fn push<T>(examples: &mut Vec<T>, example: T, most: usize) {
    if examples.len() < most {
        examples.push(example);
    }
}

fn example(zoho_id: ZohoId, id: &PlatformId, name: Option<String>) -> Example {
    Example {
        zoho_id,
        id: id.clone(),
        name,
    }
}

/// The values that a record would show differently.
fn changes(
    record: &Record,
    theirs: &Theirs,
    plan: &FieldPlan,
    moment: &Moment,
) -> Vec<(FieldName, FieldExample)> {
    let merged = merge(record, Some(theirs), plan, moment).record;
    merged
        .fields
        .into_iter()
        .filter_map(|(field, after)| {
            let before = record.fields.get(&field).unwrap_or(&Value::Null);
            (!before.same(&after)).then(|| {
                let change = FieldExample {
                    id: record.id.clone(),
                    before: before.clone(),
                    after,
                };
                (field, change)
            })
        })
        .collect()
}

/// What a person knows a record by.
fn title(object: Object, theirs: &Theirs) -> Option<String> {
    let names: &[&str] = match object {
        Object::User | Object::Account | Object::Deal => &["name"],
        Object::Contact => &["first_name", "last_name"],
        Object::Task => &["subject"],
    };
    let parts: Vec<&str> = names
        .iter()
        .filter_map(|name| {
            theirs
                .values
                .get(&name.parse::<FieldName>().ok()?)?
                .as_text()
        })
        .collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}
