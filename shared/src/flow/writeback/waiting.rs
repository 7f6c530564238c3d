//! References to records that Zoho does not have yet: completed, waited for, or parked.

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::poll::push_messages;
use crate::flow::{Error, parked};
use crate::identifier::PlatformId;
use crate::mapping::FieldPlan;
use crate::object::Object;
use crate::port;
use crate::record::Record;
use crate::value::{Fields, Reference, Value};

use super::Push;

/// The code of a record that names one which is not in Zoho and not on its way there.
const REFERENCE: &str = "REFERENCE_NOT_IN_ZOHO";

/// The code of a record whose edited fields are not written to Zoho any more.
const NOT_WRITTEN: &str = "NOT_WRITTEN";

/// The code of a record whose edited fields Zoho does not show.
const HIDDEN: &str = "FIELD_HIDDEN";

/// How many records with edits on their way, and how many parked ones, are looked through for those that waited for a new one. The sweep and
/// the next full sync find the others.
const LOOKED_THROUGH: usize = 500;

/// How many records are followed, each to those that it names, to see whether they lead back to one.
const FOLLOWED: usize = 200;

/// A record by object and platform id.
pub(super) type Named = (Object, PlatformId);

/// What records name that Zoho does not have yet, as far as somebody looked.
pub(super) type Names = BTreeMap<Named, Vec<Named>>;

/// The record of the platform that a reference names.
fn named(reference: &Reference) -> Option<Named> {
    Some((reference.object, reference.platform_id.clone()?))
}

/// The same, where Zoho does not have it yet as far as the reference tells.
fn open(reference: &Reference) -> Option<Named> {
    named(reference).filter(|_| reference.zoho_id.is_none())
}

/// What a record's mapped references name that Zoho does not have yet.
pub(super) fn open_references(record: &Record, plan: &FieldPlan) -> Vec<Named> {
    let values = plan.mapped.iter();
    let values = values.filter_map(|mapped| record.fields.get(&mapped.platform));
    values
        .filter_map(Value::as_reference)
        .filter_map(open)
        .collect()
}

/// Takes the values out that name what Zoho does not have yet.
pub(super) fn take_open(push: &mut Fields) -> Vec<Named> {
    let mut taken = Vec::new();
    push.retain(|_, value| match value.as_reference().and_then(open) {
        Some(named) => {
            taken.push(named);
            false
        }
        None => true,
    });
    taken
}

/// Takes the values out whose fields Zoho does not show: it ignores what is written to them, and calls it a success.
pub(super) fn take_hidden(push: &mut Fields, plan: &FieldPlan, hidden: &BTreeSet<String>) {
    push.retain(|name, _| !plan.is_among(name, hidden));
}

/// The record as it can be created before what it names. Its edits are all still pending.
pub(super) fn without(mut record: Record, named: &[Named]) -> Record {
    record.fields.retain(|_, value| {
        let open = value.as_reference().and_then(open);
        open.is_none_or(|open| !named.contains(&open))
    });
    record
}

impl Push<'_> {
    /// Completes references with the Zoho ids that their other ends have by now. What is edited names a record of the platform, and so does all
    /// of a record that Zoho does not have: that may be tied to another Zoho record than before, or to none.
    pub(super) async fn fill_references(&self, mut record: Record) -> Result<Record, Error> {
        let is_new = record.zoho_id.is_none();
        let edited = record.pending.values().map(|pending| &pending.value);
        let values = record.fields.values();
        let new = values.clone().filter(|_| is_new);
        let own = edited.chain(new).filter_map(Value::as_reference);
        // Users are never tied anew.
        let own = own
            .filter_map(named)
            .filter(|(object, _)| *object != Object::User);
        let open = values.filter_map(Value::as_reference).filter_map(open);
        let wanted: BTreeSet<Named> = own.chain(open).collect();
        for (object, id) in wanted {
            let Some(found) = self.one(object, &id).await? else {
                continue;
            };
            let zoho_id = found.zoho_id;
            let pending = record.pending.values_mut();
            let values = pending
                .map(|pending| &mut pending.value)
                .chain(record.fields.values_mut());
            for value in values {
                if let Value::Reference(reference) = value
                    && reference.object == object
                    && reference.platform_id.as_ref() == Some(&id)
                {
                    reference.zoho_id = zoho_id;
                }
            }
        }
        Ok(record)
    }

    async fn one(&self, object: Object, id: &PlatformId) -> Result<Option<Record>, Error> {
        let store = &self.job.ports.store;
        let ids = std::slice::from_ref(id);
        Ok(store.records(self.job.id(), object, ids).await?.pop())
    }

    /// The first of these that is neither in Zoho nor on its way there; those that are `among` the ones being sent are on their way.
    pub(super) async fn missing(
        &self,
        named: &[Named],
        among: impl Fn(&Named) -> bool,
    ) -> Result<Option<Named>, Error> {
        for end in named {
            if among(end) {
                continue;
            }
            let found = self.one(end.0, &end.1).await?;
            if !found.is_some_and(|found| found.zoho_id.is_some() || found.wants_push()) {
                return Ok(Some(end.clone()));
            }
        }
        Ok(None)
    }

    /// Whether a record goes without what it names, because all of that waits for the record itself. Of such a circle those go first on whose
    /// object the others depend: what belongs to an account is not created without it.
    pub(super) async fn goes_without(
        &self,
        record: &Named,
        names: &mut Names,
    ) -> Result<bool, Error> {
        let open = names.get(record).cloned().unwrap_or_default();
        for end in open {
            if end.0 < record.0 || !self.leads(end, record, names).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether one record leads to another, over such as Zoho does not have yet.
    async fn leads(&self, from: Named, to: &Named, names: &mut Names) -> Result<bool, Error> {
        let mut followed = BTreeSet::new();
        let mut next = vec![from];
        while let Some(named) = next.pop() {
            if named == *to {
                return Ok(true);
            }
            if followed.len() == FOLLOWED || !followed.insert(named.clone()) {
                continue;
            }
            let open = match names.remove(&named) {
                Some(open) => open,
                None => self.open_of(&named).await?,
            };
            next.extend(open.iter().cloned());
            names.insert(named, open);
        }
        Ok(false)
    }

    /// What a record names that Zoho does not have yet; nothing where Zoho has the record itself.
    async fn open_of(&self, (object, id): &Named) -> Result<Vec<Named>, Error> {
        let found = self.one(*object, id).await?;
        let Some(found) = found.filter(|found| found.zoho_id.is_none()) else {
            return Ok(Vec::new());
        };
        let found = self.fill_references(found).await?;
        Ok(open_references(&found, &self.job.plan(*object)))
    }

    pub(super) async fn park_missing(&self, record: Record, missing: &Named) -> Result<(), Error> {
        let (object, id) = missing;
        let remedy = format!(
            "it names the {object} {id}, which is not in Zoho: the {object} itself says why, or create it in Zoho"
        );
        self.park(record, REFERENCE, None, &remedy).await
    }

    /// Parks a record whose edits have nothing that could be written: they name what is not on its way to Zoho, Zoho does not show their
    /// fields, or the settings do not let these be written any more.
    pub(super) async fn park_stuck(
        &self,
        record: Record,
        open: &[Named],
        hidden: &BTreeSet<String>,
    ) -> Result<(), Error> {
        if let Some(missing) = self.missing(open, |_| false).await? {
            return self.park_missing(record, &missing).await;
        }
        let pushes = |name| self.plan.field(name).is_some_and(|mapped| mapped.pushes);
        let mut goes = record.pending.keys();
        if goes.any(|name| pushes(name) && !self.plan.is_among(name, hidden)) {
            return Ok(());
        }
        let edited = record.pending.keys();
        let mut pushed = edited.filter_map(|name| self.plan.field(name).filter(|_| pushes(name)));
        if let Some(field) = pushed.next().map(|mapped| mapped.zoho.to_string()) {
            let remedy = format!(
                "Zoho does not show {field} to the user who granted access: create it or let that user's profile see and edit it, or take it \
                 out of the settings"
            );
            return self.park(record, HIDDEN, Some(field), &remedy).await;
        }
        match record.pending.keys().next().cloned() {
            Some(field) => {
                let remedy = format!(
                    "{field} is not written to Zoho any more: make its mapping editable again, or dismiss the edit"
                );
                self.park(record, NOT_WRITTEN, None, &remedy).await
            }
            None => Ok(()),
        }
    }

    /// Sends for records that waited for these, as far as these are in Zoho now. A hint only.
    pub(super) async fn wake(&self, ids: Vec<PlatformId>) -> Result<(), Error> {
        let (job, object) = (self.job, self.plan.object);
        if ids.is_empty() || object == Object::Task {
            return Ok(());
        }
        let store = &job.ports.store;
        let here: BTreeSet<PlatformId> = store
            .records(job.id(), object, &ids)
            .await?
            .into_iter()
            .filter(|record| record.zoho_id.is_some())
            .map(|record| record.id)
            .collect();
        if here.is_empty() {
            return Ok(());
        }
        let waits = |record: &Record| {
            let values = record.pending.values().map(|pending| &pending.value);
            let mut open = values.filter_map(Value::as_reference).filter_map(open);
            open.any(|(of, id)| of == object && here.contains(&id))
        };
        let now = job.ports.clock.now();
        let mut pending: BTreeMap<Object, Vec<PlatformId>> = BTreeMap::new();
        for (object, id) in store.pending(job.id(), now, LOOKED_THROUGH).await? {
            pending.entry(object).or_default().push(id);
        }
        let mut woken = Vec::new();
        for (object, ids) in pending {
            let records = store.records(job.id(), object, &ids).await?;
            let waiting = records.into_iter().filter(|record| waits(record));
            woken.extend(waiting.map(|record| (object, record.id)));
        }
        let page = store.parked(job.id(), None, LOOKED_THROUGH).await?;
        let freed = page.items.iter().filter(|record| {
            let parked = record.parked.as_ref();
            parked.is_some_and(|parked| parked.code == REFERENCE) && waits(record)
        });
        for record in freed {
            let freed = self.free(record).await?;
            woken.extend(freed.map(|record| (record.object, record.id)));
        }
        let messages = push_messages(job.id(), &woken);
        if let Err(error) = job.ports.queue.send_writeback(&messages).await {
            tracing::warn!(connection.id = %job.id(), error = %error, "what waited for a new record is left to the sweep");
        }
        Ok(())
    }

    /// Sends a record's parked edits on their way again; none if none are parked, or if somebody else wrote the record and has it looked at.
    pub(super) async fn free(&self, record: &Record) -> Result<Option<Record>, Error> {
        let ports = self.job.ports;
        let Some(freed) = parked::retried(record, ports.clock.now()) else {
            return Ok(None);
        };
        match ports.store.save_record(freed).await {
            Ok(record) => Ok(Some(record)),
            Err(port::Error::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
