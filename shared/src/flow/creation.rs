//! Creating records in Zoho: looking before leaping, and finding what a lost reply left behind (P6, W6).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::identifier::{PlatformId, ZohoField, ZohoId};
use crate::mapping::{FieldPlan, Identity};
use crate::object::Object;
use crate::record::{CLOCK_SKEW, Dependants, Intent, Link, Record, Standing};
use crate::row::Row;
use crate::run::Counters;
use crate::select::{IN_VALUES, PAGE_ROWS, Which};
use crate::value::{Fields, Value};

use super::apply::{Meanwhile, Mode, Relinked, apply, save_links};
use super::job::Job;
use super::routine::announce;
use super::{Error, reading};

/// How many records with edits on their way, and how many parked ones, are looked through for unanswered creations, for each page of rows.
const WAITING: usize = 10_000;

/// How many of them are read together.
const READ_TOGETHER: usize = 1_000;

/// Finds records in Zoho that are these, and ties them together. Accounts and contacts are found by their external id, tasks by the mark that
/// the settings name, or by what was sent if a creation was tried before. Returns the rows found by their identity: a record of this
/// identity that is not tied to Zoho afterwards is one that Zoho has outside of what is synced, and must not get a second one there.
///
/// # Errors
/// When Zoho or a port fails.
pub async fn look(
    job: &Job<'_>,
    plan: &FieldPlan,
    records: &[Record],
) -> Result<BTreeMap<PlatformId, ZohoId>, Error> {
    let rows = match plan.object {
        Object::Account => {
            by_text(
                job,
                plan,
                job.settings.settings.account_external_id.as_str(),
                records,
            )
            .await?
        }
        Object::Contact => {
            by_text(
                job,
                plan,
                job.settings.settings.contact_external_id.as_str(),
                records,
            )
            .await?
        }
        Object::Task => {
            let tried: Vec<Record> = records
                .iter()
                .filter(|record| record.create_intent.is_some())
                .cloned()
                .collect();
            let mut rows = by_mark(job, plan, &tried).await?;
            let gone = gone(job, &rows, &tried).await?;
            // Without a mark, or from before the settings named one.
            let is_found =
                |record: &Record| rows.iter().any(|row| is_of_intent(job, record, row, &gone));
            let unmarked: Vec<Record> = tried
                .into_iter()
                .filter(|record| !is_found(record))
                .collect();
            rows.extend(since_intent(job, plan, &unmarked).await?);
            rows
        }
        Object::Deal | Object::User => Vec::new(),
    };
    if rows.is_empty() {
        return Ok(BTreeMap::new());
    }
    tie_unanswered(job, plan, &rows, records).await?;
    let applied = apply(job, plan, &rows, None, Mode::Routine).await?;
    announce(job, plan.object, applied.announce, &mut Counters::default()).await?;
    if plan.identity != Identity::Own {
        let found = rows
            .iter()
            .filter_map(|row| Some((plan.identify(row)?, row.id)));
        return Ok(found.collect());
    }
    // A task's row does not say whose it is: its link does.
    let ids: Vec<ZohoId> = rows.iter().map(|row| row.id).collect();
    let links = job.ports.store.links(job.id(), plan.object, &ids).await?;
    let found = links
        .into_iter()
        .filter_map(|link| Some((link.platform_id()?.clone(), link.zoho_id)));
    Ok(found.collect())
}

/// Ties rows to the records whose creation got no answer, wherever they are: what Tandem made itself is found again even if it is outside of
/// what is synced.
async fn tie_unanswered(
    job: &Job<'_>,
    plan: &FieldPlan,
    rows: &[Row],
    records: &[Record],
) -> Result<(), Error> {
    if records.iter().all(|record| record.create_intent.is_none()) {
        return Ok(());
    }
    let store = &job.ports.store;
    let ids: Vec<ZohoId> = rows.iter().map(|row| row.id).collect();
    let links = store.links(job.id(), plan.object, &ids).await?.into_iter();
    let links: BTreeMap<ZohoId, Link> = links.map(|link| (link.zoho_id, link)).collect();
    let gone = gone(job, rows, records).await?;
    let tied = ties(job, plan, rows, &links, records, &gone);
    save_links(job, tied, Meanwhile::Stays).await
}

/// The links that tie rows without one to the records whose creation left them: no row to several records, and no record to several rows.
fn ties(
    job: &Job<'_>,
    plan: &FieldPlan,
    rows: &[Row],
    links: &BTreeMap<ZohoId, Link>,
    records: &[Record],
    gone: &BTreeSet<ZohoId>,
) -> Vec<Relinked> {
    // What a link names already is found.
    let mut taken: BTreeSet<&PlatformId> = links.values().filter_map(Link::platform_id).collect();
    let mut ties = Vec::new();
    for row in rows.iter().filter(|row| !links.contains_key(&row.id)) {
        let mut records = records.iter();
        let found = records
            .find(|record| !taken.contains(&record.id) && is_left_by(job, plan, record, row, gone));
        if let Some(record) = found {
            taken.insert(&record.id);
            ties.push(Relinked {
                link: link(job, plan.object, row.id, &record.id),
                over: None,
            });
        }
    }
    ties
}

/// Whether a row is what an unanswered creation of a record left.
fn is_left_by(
    job: &Job<'_>,
    plan: &FieldPlan,
    record: &Record,
    row: &Row,
    gone: &BTreeSet<ZohoId>,
) -> bool {
    match plan.identity {
        Identity::Own => is_of_intent(job, record, row, gone),
        Identity::Field(_) | Identity::FoldedField(_) => {
            record.create_intent.is_some() && plan.identify(row).as_ref() == Some(&record.id)
        }
    }
}

/// The tasks that are marked as one of these records, in the field that the settings name or in one that they named when it was tried.
async fn by_mark(job: &Job<'_>, plan: &FieldPlan, tried: &[Record]) -> Result<Vec<Row>, Error> {
    let mark = job.settings.settings.task_mark.as_ref();
    let mut rows = match mark {
        Some(mark) => by_text(job, plan, mark.as_str(), tried).await?,
        None => Vec::new(),
    };
    let mut marked: BTreeMap<&ZohoField, Vec<Record>> = BTreeMap::new();
    for record in tried {
        let marks = record.create_intent.iter().flat_map(|intent| &intent.marks);
        for former in marks.filter(|former| Some(*former) != mark) {
            marked.entry(former).or_default().push(record.clone());
        }
    }
    for (former, records) in marked {
        // Nobody can look into a field that is gone: such a task is known by what was sent, as one without a mark is.
        if reading::is_shown(job, plan.object, former.as_str()).await? {
            rows.extend(by_text(job, plan, former.as_str(), &records).await?);
        }
    }
    let mut met = BTreeSet::new();
    rows.retain(|row| met.insert(row.id));
    Ok(rows)
}

async fn by_text(
    job: &Job<'_>,
    plan: &FieldPlan,
    field: &str,
    records: &[Record],
) -> Result<Vec<Row>, Error> {
    let mut beside = columns(job, plan);
    beside.insert(field.to_owned());
    let mut rows = Vec::new();
    for records in records.chunks(IN_VALUES) {
        let values = records.iter().map(|record| record.id.to_string()).collect();
        let which = Which::TextIn {
            field: field.to_owned(),
            values,
        };
        let page = reading::rows_with(job, plan, &beside, which, PAGE_ROWS).await?;
        rows.extend(page.value.rows);
    }
    Ok(rows)
}

async fn since_intent(
    job: &Job<'_>,
    plan: &FieldPlan,
    tried: &[Record],
) -> Result<Vec<Row>, Error> {
    let intents = tried
        .iter()
        .filter_map(|record| record.create_intent.as_ref());
    let Some(since) = intents.map(|intent| intent.at).min() else {
        return Ok(Vec::new());
    };
    let since = earliest(since);
    let mut rows: Vec<Row> = Vec::new();
    let mut after = ZohoId::MIN;
    loop {
        let which = Which::CreatedSince { since, after };
        let page = reading::rows_with(job, plan, &columns(job, plan), which, PAGE_ROWS)
            .await?
            .value;
        let last = page.rows.last().map(|row| row.id);
        let answered = answered(job, plan, &page.rows, tried).await?;
        let gone = gone(job, &page.rows, tried).await?;
        let is_tried = |row: &Row| {
            let mut tried = tried.iter();
            tried.any(|record| is_of_intent(job, record, row, &gone))
        };
        let found = page.rows.into_iter();
        rows.extend(found.filter(|row| answered.contains(&row.id) || is_tried(row)));
        match last {
            Some(last) if page.more => after = last,
            _ => return Ok(rows),
        }
    }
}

/// The rows that the answer to a creation named: their links say so, whatever became of the row and of its mark since.
async fn answered(
    job: &Job<'_>,
    plan: &FieldPlan,
    rows: &[Row],
    tried: &[Record],
) -> Result<BTreeSet<ZohoId>, Error> {
    let ids: Vec<ZohoId> = rows.iter().map(|row| row.id).collect();
    let links = job.ports.store.links(job.id(), plan.object, &ids).await?;
    let is_tried = |id: &PlatformId| tried.iter().any(|record| record.id == *id);
    let answered = links
        .into_iter()
        .filter(|link| link.platform_id().is_some_and(is_tried));
    Ok(answered.map(|link| link.zoho_id).collect())
}

/// The columns by which a creation is recognised, beside those of the plan.
fn columns(job: &Job<'_>, plan: &FieldPlan) -> BTreeSet<String> {
    let mut columns = BTreeSet::new();
    if plan.object == Object::Task {
        columns.insert("Created_Time".to_owned());
        columns.extend(
            job.settings
                .settings
                .task_mark
                .as_ref()
                .map(ToString::to_string),
        );
    }
    columns
}

fn earliest(intent: Timestamp) -> Timestamp {
    intent.saturating_sub(CLOCK_SKEW).unwrap_or(Timestamp::MIN)
}

/// Whether a task in Zoho is what an unanswered creation left. With a mark that is certain. Without one it says what the creation said, whatever
/// the record was edited to since, but for the links to records that are `gone`, which Zoho empties; two of the same subject and links, created
/// in the same minutes, are as good as each other.
fn is_of_intent(job: &Job<'_>, record: &Record, row: &Row, gone: &BTreeSet<ZohoId>) -> bool {
    let Some(intent) = &record.create_intent else {
        return false;
    };
    let is_marked = |mark: &ZohoField| {
        row.json(mark.as_str())
            .as_str()
            .map(|mark| mark == record.id.as_str())
    };
    if intent
        .marks
        .iter()
        .filter_map(is_marked)
        .any(|is_its| is_its)
    {
        return true;
    }
    let mark = job.settings.settings.task_mark.as_ref();
    if let Some(is_its) = mark.and_then(is_marked) {
        return is_its;
    }
    let created = row
        .json("Created_Time")
        .as_str()
        .and_then(|time| time.parse::<Timestamp>().ok());
    let is_same = said(intent, record)
        .iter()
        .any(|fields| says(row, fields, gone));
    is_same && created.is_none_or(|created| created >= earliest(intent.at))
}

/// What the tries of a creation said.
fn said<'a>(intent: &'a Intent, record: &'a Record) -> &'a [Fields] {
    match intent.tries.as_slice() {
        [] => std::slice::from_ref(&record.fields),
        tries => tries,
    }
}

/// Whether a task in Zoho has the subject and the links of these values, but for links to what is `gone`.
fn says(row: &Row, fields: &Fields, gone: &BTreeSet<ZohoId>) -> bool {
    let leads = |link: &str, named: Option<(Object, ZohoId)>| {
        let named = named.map(|(_, id)| id);
        match row.lookup(link) {
            None => named.is_none_or(|id| gone.contains(&id)),
            there => there == named,
        }
    };
    let subject = value(fields, "subject").and_then(Value::as_text);
    let [who, what] = named(fields);
    row.json("Subject").as_str().map(str::trim) == subject.map(str::trim)
        && leads("Who_Id", who)
        && leads("What_Id", what)
}

/// Whom, and what, a task of these values is about.
fn named(fields: &Fields) -> [Option<(Object, ZohoId)>; 2] {
    let reference = |name: &str| {
        let reference = value(fields, name)?.as_reference()?;
        Some((reference.object, reference.zoho_id?))
    };
    [
        reference("contact"),
        reference("deal").or(reference("account")),
    ]
}

fn value<'a>(fields: &'a Fields, name: &str) -> Option<&'a Value> {
    let mut fields = fields.iter();
    let found = fields.find(|(field, _)| field.as_str() == name);
    found.map(|(_, value)| value)
}

/// What the unanswered creations of tasks named and Zoho has no more. Asks only where that makes a difference: where a row says what was tried but
/// for a link that is empty.
async fn gone(job: &Job<'_>, rows: &[Row], records: &[Record]) -> Result<BTreeSet<ZohoId>, Error> {
    let mut doubtful: BTreeMap<Object, BTreeSet<ZohoId>> = BTreeMap::new();
    for record in records
        .iter()
        .filter(|record| record.object == Object::Task)
    {
        let tries = record.create_intent.iter();
        let tries = tries.flat_map(|intent| said(intent, record));
        let named: Vec<(Object, ZohoId)> = tries.flat_map(named).flatten().collect();
        let all: BTreeSet<ZohoId> = named.iter().map(|(_, id)| *id).collect();
        let is_doubtful = |row: &Row| {
            is_of_intent(job, record, row, &all)
                && !is_of_intent(job, record, row, &BTreeSet::new())
        };
        if rows.iter().any(is_doubtful) {
            for (object, id) in named {
                doubtful.entry(object).or_default().insert(id);
            }
        }
    }
    let mut gone = BTreeSet::new();
    for (object, ids) in doubtful {
        let asked: Vec<ZohoId> = ids.iter().copied().collect();
        let existing = reading::existing(job, object, &asked).await?;
        gone.extend(ids.difference(&existing));
    }
    Ok(gone)
}

/// Ties unlinked task rows to the platform's own tasks whose creation got no answer, before anybody takes them for new ones.
///
/// # Errors
/// When a port fails.
pub(super) async fn adopt_unanswered(
    job: &Job<'_>,
    plan: &FieldPlan,
    rows: &[Row],
    mut links: BTreeMap<ZohoId, Link>,
) -> Result<BTreeMap<ZohoId, Link>, Error> {
    if plan.object != Object::Task || rows.iter().all(|row| links.contains_key(&row.id)) {
        return Ok(links);
    }
    let unanswered = unanswered(job).await?;
    let marked = marked(job, plan, &unanswered).await?;
    let rows = rows.iter().map(|row| marked.get(&row.id).unwrap_or(row));
    let rows: Vec<Row> = rows.cloned().collect();
    let gone = gone(job, &rows, &unanswered).await?;
    let adopted = ties(job, plan, &rows, &links, &unanswered, &gone);
    links.extend(
        adopted
            .iter()
            .map(|tie| (tie.link.zoho_id, tie.link.clone())),
    );
    save_links(job, adopted, Meanwhile::Conflicts).await?;
    Ok(links)
}

/// The platform's own tasks whose creation got no answer, also those that were parked since.
async fn unanswered(job: &Job<'_>) -> Result<Vec<Record>, Error> {
    let store = &job.ports.store;
    let is_unanswered = |record: &Record| {
        record.object == Object::Task && record.create_intent.is_some() && record.zoho_id.is_none()
    };
    let mut ids = on_their_way(job).await?;
    let mut unanswered = Vec::new();
    let (mut next, mut seen) = (None, 0);
    loop {
        let page = store.parked(job.id(), next, READ_TOGETHER).await?;
        seen += page.items.len();
        unanswered.extend(page.items.into_iter().filter(is_unanswered));
        next = page.next;
        if next.is_none() || seen >= WAITING {
            break;
        }
    }
    // One that was parked until it was looked for there is on its way again.
    ids.extend(on_their_way(job).await?);
    let ids: Vec<PlatformId> = ids.into_iter().collect();
    for ids in ids.chunks(READ_TOGETHER) {
        let records = store.records(job.id(), Object::Task, ids).await?;
        unanswered.extend(records.into_iter().filter(is_unanswered));
    }
    Ok(unanswered)
}

/// The tasks with edits on their way to Zoho.
async fn on_their_way(job: &Job<'_>) -> Result<BTreeSet<PlatformId>, Error> {
    let now = job.ports.clock.now();
    let pending = job.ports.store.pending(job.id(), now, WAITING).await?;
    let tasks = pending
        .into_iter()
        .filter(|(object, _)| *object == Object::Task);
    Ok(tasks.map(|(_, id)| id).collect())
}

/// The rows with the marks of these records: whoever syncs does not read them along.
async fn marked(
    job: &Job<'_>,
    plan: &FieldPlan,
    unanswered: &[Record],
) -> Result<BTreeMap<ZohoId, Row>, Error> {
    let rows = by_mark(job, plan, unanswered).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// The link of a record that Zoho just got; the next look at the row completes it. What people made of it before it had a link was passed over
/// by a sync that met it: its dependants are still to be asked for (S5).
#[must_use]
pub(super) fn link(job: &Job<'_>, object: Object, zoho_id: ZohoId, id: &PlatformId) -> Link {
    Link {
        connection: job.id().clone(),
        object,
        zoho_id,
        standing: Standing::Linked(id.clone()),
        hash: Link::open(),
        in_scope: true,
        dependants: match object.dependants() {
            [] => Dependants::Asked,
            _ => Dependants::Due,
        },
    }
}
