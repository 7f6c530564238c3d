//! Reading rows as far as Zoho shows them: a field that is hidden or gone is named and read around, so that the rest of the object goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{Stream, stream};
use tokio::sync::Mutex;

use crate::identifier::ZohoId;
use crate::journal::Outcome;
use crate::lack::{Lack, Lacks, MODIFIED_TIME};
use crate::mapping::FieldPlan;
use crate::object::Object;
use crate::port::{CrmError, FieldInfo, Reply, Rows};
use crate::row::Row;
use crate::select::{IN_VALUES, PAGE_ROWS, Select, Which};

use super::Error;
use super::job::Job;

/// What a job knows of what Zoho does not show.
#[derive(Debug, Default)]
pub struct Known(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What is stored, as far as this job knows; none: not read yet.
    stored: Option<Lacks>,
    /// What this job goes by, of objects that it read or means to look at anew.
    own: Lacks,
    /// The fields that the granting user may see, of objects that had to be asked about.
    fields: BTreeMap<Object, Arc<[FieldInfo]>>,
}

impl Known {
    async fn of(&self, job: &Job<'_>, object: Object) -> Result<BTreeSet<Lack>, Error> {
        let mut state = self.0.lock().await;
        if let Some(lacks) = state.own.get(&object) {
            return Ok(lacks.clone());
        }
        if state.stored.is_none() {
            state.stored = Some(job.ports.store.lacks(job.id()).await?);
        }
        let stored = state.stored.as_ref().and_then(|lacks| lacks.get(&object));
        Ok(stored.cloned().unwrap_or_default())
    }

    async fn fields(&self, job: &Job<'_>, object: Object) -> Result<Arc<[FieldInfo]>, Error> {
        let mut state = self.0.lock().await;
        if let Some(fields) = state.fields.get(&object) {
            return Ok(fields.clone());
        }
        let fields: Arc<[FieldInfo]> = job.session.fields(object).await?.value.into();
        state.fields.insert(object, fields.clone());
        Ok(fields)
    }

    async fn visible(&self, job: &Job<'_>, object: Object) -> Result<BTreeSet<String>, Error> {
        let fields = self.fields(job, object).await?;
        Ok(fields.iter().map(|field| field.api_name.clone()).collect())
    }
}

/// What a new record of an object is subject to, as far as the granting user may see the object's fields.
#[derive(Debug, Default)]
pub struct Demands {
    /// The fields without which Zoho takes no new record.
    pub mandatory: Vec<String>,
    /// The fields of the plan that Zoho does not show: it would ignore what is written to them, and call it a success.
    pub hidden: BTreeSet<String>,
}

/// What Zoho demands of a new record.
///
/// # Errors
/// When Zoho or a port fails.
pub async fn demands(job: &Job<'_>, plan: &FieldPlan) -> Result<Demands, Error> {
    let fields = match job.known.fields(job, plan.object).await {
        Ok(fields) => fields,
        // Then Zoho itself says what lacks.
        Err(Error::Crm(denied)) if is_refusal(&denied) => return Ok(Demands::default()),
        Err(failed) => return Err(failed),
    };
    let mandatory = fields
        .iter()
        .filter(|field| field.mandatory && !field.read_only);
    let is_shown = |column: &String| fields.iter().any(|field| field.api_name == *column);
    Ok(Demands {
        mandatory: mandatory.map(|field| field.api_name.clone()).collect(),
        hidden: plan
            .columns()
            .into_iter()
            .filter(|column| !is_shown(column))
            .collect(),
    })
}

/// Whether Zoho says that the granting user may see a field, whatever the settings name. Where it does not tell, it counts as not shown.
///
/// # Errors
/// When Zoho or a port fails.
pub async fn is_shown(job: &Job<'_>, object: Object, field: &str) -> Result<bool, Error> {
    match job.known.visible(job, object).await {
        Ok(visible) => Ok(visible.contains(field)),
        Err(Error::Crm(denied)) if is_refusal(&denied) => Ok(false),
        Err(failed) => Err(failed),
    }
}

/// The fields of an object that Zoho does not show, as far as the job knows.
///
/// # Errors
/// When the store fails.
pub async fn hidden(job: &Job<'_>, object: Object) -> Result<BTreeSet<String>, Error> {
    let lacks = job.known.of(job, object).await?;
    let fields = lacks.iter().filter_map(Lack::field);
    Ok(fields.map(str::to_owned).collect())
}

/// Lets the job ask for everything again that an object lacked: what was hidden may be shown by now.
///
/// # Errors
/// When the store fails.
pub async fn look_anew(job: &Job<'_>, object: Object) -> Result<(), Error> {
    job.known.of(job, object).await?;
    let mut state = job.known.0.lock().await;
    state.own.insert(object, BTreeSet::new());
    Ok(())
}

/// Which of these records Zoho has, whatever it shows of them.
///
/// # Errors
/// When Zoho or a port fails.
pub async fn existing(
    job: &Job<'_>,
    object: Object,
    ids: &[ZohoId],
) -> Result<BTreeSet<ZohoId>, Error> {
    let mut existing = BTreeSet::new();
    for ids in ids.chunks(IN_VALUES) {
        let select = Select {
            object,
            columns: Vec::new(),
            which: Which::Ids(ids.to_vec()),
            limit: IN_VALUES,
        };
        let rows = job.session.select(&select).await?.value.rows;
        existing.extend(rows.iter().map(|row| row.id));
    }
    Ok(existing)
}

/// A page of an object's rows with all columns of its plan that Zoho shows.
///
/// # Errors
/// When Zoho or a port fails, or when something is hidden without which the object can't be synced; it is then named.
pub async fn rows(
    job: &Job<'_>,
    plan: &FieldPlan,
    which: Which,
    limit: usize,
) -> Result<Reply<Rows>, Error> {
    rows_with(job, plan, &BTreeSet::new(), which, limit).await
}

/// The rows whose lookup `field` names one of the ids, page by page.
pub fn referring<'a>(
    job: &'a Job<'_>,
    plan: &'a FieldPlan,
    field: &'a str,
    ids: &'a [ZohoId],
) -> impl Stream<Item = Result<Vec<Row>, Error>> {
    let begin = (ids.chunks(IN_VALUES), None::<(&[ZohoId], ZohoId)>);
    stream::try_unfold(begin, async move |(mut chunks, at)| {
        let next = at.or_else(|| Some((chunks.next()?, ZohoId::MIN)));
        let Some((ids, after)) = next else {
            return Ok(None);
        };
        let which = Which::LookupIn {
            field: field.to_owned(),
            ids: ids.to_vec(),
            after,
        };
        let page = rows(job, plan, which, PAGE_ROWS).await?.value;
        let last = page.rows.last().filter(|_| page.more);
        let at = last.map(|last| (ids, last.id));
        Ok(Some((page.rows, (chunks, at))))
    })
}

/// The same with columns beside those of the plan, which can't be done without.
///
/// # Errors
/// As [`rows`].
pub async fn rows_with(
    job: &Job<'_>,
    plan: &FieldPlan,
    beside: &BTreeSet<String>,
    which: Which,
    limit: usize,
) -> Result<Reply<Rows>, Error> {
    let object = plan.object;
    let mut needed = plan.essential_columns();
    needed.extend(beside.iter().cloned());
    if matches!(which, Which::Changed { .. }) {
        needed.insert(MODIFIED_TIME.to_owned());
    }
    loop {
        let lacks = job.known.of(job, object).await?;
        refuse_blind(object, &needed, &lacks)?;
        let mut columns: BTreeSet<String> = plan.columns().into_iter().collect();
        columns.extend(beside.iter().cloned());
        columns.retain(|column| !lacks.contains(&Lack::Field(column.clone())));
        let select = Select {
            object,
            columns: columns.into_iter().collect(),
            which: which.clone(),
            limit,
        };
        match job.session.select(&select).await {
            Ok(page) => {
                let absent = absent(&select.columns, &page.value.rows);
                let hidden = match absent.is_empty() {
                    true => absent,
                    // A reply that leaves out fields without a value is no sign of a hidden one.
                    false => &absent - &job.known.visible(job, object).await?,
                };
                let mut now: BTreeSet<Lack> = lacks
                    .iter()
                    .filter(|lack| **lack != Lack::Module)
                    .cloned()
                    .collect();
                now.extend(hidden.into_iter().map(Lack::Field));
                remember(job, object, &now).await?;
                refuse_blind(object, &needed, &now)?;
                return Ok(page);
            }
            Err(Error::Crm(error)) if is_refusal(&error) => {
                let mut now = lacks.clone();
                now.extend(behind(job, &select, &error).await?);
                remember(job, object, &now).await?;
                // Nothing that could be left out: the call would be refused again.
                if now == lacks || now.contains(&Lack::Module) {
                    return Err(error.into());
                }
            }
            Err(error) => return Err(error),
        }
    }
}

const fn is_refusal(error: &CrmError) -> bool {
    matches!(error, CrmError::Refused { .. } | CrmError::Forbidden { .. })
}

/// What is lacking where a call was refused, as far as it can be told.
async fn behind(job: &Job<'_>, select: &Select, error: &CrmError) -> Result<BTreeSet<Lack>, Error> {
    let field = match error {
        CrmError::Refused { code, field, .. } if code != "INVALID_MODULE" => field,
        _ => return Ok(BTreeSet::from([Lack::Module])),
    };
    let asked: BTreeSet<String> = select.columns.iter().cloned().collect();
    let lacking = match job.known.visible(job, select.object).await {
        Ok(visible) => &asked - &visible,
        // Without a look at the fields there is only what the refusal names.
        Err(Error::Crm(denied)) if is_refusal(&denied) => asked
            .into_iter()
            .filter(|column| Some(column) == field.as_ref())
            .collect(),
        Err(failed) => return Err(failed),
    };
    Ok(lacking.into_iter().map(Lack::Field).collect())
}

/// Columns that none of the rows has.
fn absent(columns: &[String], rows: &[Row]) -> BTreeSet<String> {
    if rows.is_empty() {
        return BTreeSet::new();
    }
    let absent = columns
        .iter()
        .filter(|column| *column != "id" && !rows.iter().any(|row| row.has(column)));
    absent.cloned().collect()
}

fn refuse_blind(
    object: Object,
    needed: &BTreeSet<String>,
    lacks: &BTreeSet<Lack>,
) -> Result<(), Error> {
    let missing: Vec<&str> = lacks
        .iter()
        .filter_map(Lack::field)
        .filter(|field| needed.contains(*field))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{}: {object}s can't be synced without {}, which Zoho does not show: create the field, let the granting user's profile see it, \
         or change the settings",
        object.module(),
        missing.join(", ")
    )))
}

/// Stores and logs what this job newly found of what an object lacks. What others found meanwhile stays.
async fn remember(job: &Job<'_>, object: Object, now: &BTreeSet<Lack>) -> Result<(), Error> {
    let store = &job.ports.store;
    let mut state = job.known.0.lock().await;
    state.own.insert(object, now.clone());
    let stored = state.stored.get_or_insert_default();
    let known = stored.get(&object).cloned().unwrap_or_default();
    if known == *now {
        return Ok(());
    }
    let mut lacks = store.lacks(job.id()).await?;
    let before = lacks.remove(&object).unwrap_or_default();
    let (shown, hidden) = (&known - now, now - &known);
    let after = &(&before - &shown) | &hidden;
    if after != before {
        store.keep_lacks(job.id(), object, &after).await?;
    }
    stored.insert(object, now.clone());
    drop(state);
    for lack in after.difference(&before) {
        let reason = format!("{}: {}", lack.what(object), lack.remedy());
        job.note(
            Outcome::Warned,
            "not shown by Zoho",
            &subject(object, lack),
            reason,
        )
        .await?;
    }
    for lack in before.difference(&after) {
        let reason = "Zoho shows it again".to_owned();
        job.note(Outcome::Done, "shown again", &subject(object, lack), reason)
            .await?;
    }
    Ok(())
}

fn subject(object: Object, lack: &Lack) -> String {
    format!("{object}#{}", lack.field().unwrap_or_default())
}
