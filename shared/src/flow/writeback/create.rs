//! Creating records that Zoho does not have: those that others name first.

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::lease::Lease;
use crate::flow::routine::announce;
use crate::flow::{Error, creation, reading};
use crate::identifier::{PlatformId, ZohoId};
use crate::object::Object;
use crate::outgoing::{self, Unsendable};
use crate::port::{self, CrmError, WriteRefusal};
use crate::record::{Action, Intent, Record};
use crate::row::Outgoing;
use crate::run::Counters;

use super::settle::Written;
use super::waiting::{Named, Names, open_references, take_hidden, without};
use super::{CREATING, GROUP, Push, Sending};

/// A record on its way to Zoho for the first time.
struct Creating {
    /// With the intent of this try, as it is stored.
    sending: Sending,
    /// As it was before this try.
    before: Record,
}

/// What came of trying to create some records.
#[derive(Default)]
struct Tried {
    /// How many went to Zoho.
    sent: usize,
    /// Those that name a record which Zoho does not have yet.
    deferred: Vec<Record>,
}

impl Push<'_> {
    /// Creates records in Zoho, in as many rounds as they name each other. `outside` are those that Zoho has outside of what is synced.
    pub(super) async fn create_all(
        &self,
        mut missing: Vec<Record>,
        outside: &BTreeMap<PlatformId, ZohoId>,
        lease: &Lease<'_>,
    ) -> Result<(), Error> {
        loop {
            let tried = self.create(missing, outside, lease).await?;
            if tried.deferred.is_empty() {
                return Ok(());
            }
            let released = match tried.sent {
                0 => self.release(&tried.deferred, lease).await?,
                _ => BTreeSet::new(),
            };
            if tried.sent == 0 && released.is_empty() {
                return Ok(());
            }
            // Each round has fewer: what was released is not looked at again, parked records that are tried once more least of all.
            let ids = tried.deferred.into_iter().map(|record| record.id);
            let ids: Vec<PlatformId> = ids.filter(|id| !released.contains(id)).collect();
            missing = self.members(&ids).await?;
            missing.retain(|record| record.zoho_id.is_none());
        }
    }

    async fn create(
        &self,
        missing: Vec<Record>,
        outside: &BTreeMap<PlatformId, ZohoId>,
        lease: &Lease<'_>,
    ) -> Result<Tried, Error> {
        let object = self.plan.object;
        let mut tried = Tried::default();
        let mut ready = Vec::new();
        for record in missing {
            if let Some(id) = outside.get(&record.id) {
                let remedy = format!(
                    "Zoho has the {object} already (record {id}), outside of what is synced: widen the filter, or correct the record in Zoho"
                );
                self.park(record, "NOT_IN_SCOPE", None, &remedy).await?;
                continue;
            }
            if !self.job.settings.settings.creates_in_zoho(object) {
                let remedy = format!(
                    "Zoho has no such {object}, and creating {object}s there is switched off"
                );
                self.park(record, "NOT_IN_ZOHO", None, &remedy).await?;
                continue;
            }
            let record = self.fill_references(record).await?;
            match open_references(&record, &self.plan).is_empty() {
                true => ready.push(record),
                false => tried.deferred.push(record),
            }
        }
        for group in ready.chunks(GROUP) {
            tried.sent += self.insert(group, lease).await?;
        }
        Ok(tried)
    }

    /// Sends a group that names nothing which Zoho does not have; how many records went out.
    async fn insert(&self, group: &[Record], lease: &Lease<'_>) -> Result<usize, Error> {
        let settings = &self.job.settings.settings;
        let belonging = self.belonging(group).await?;
        let mut creating = Vec::new();
        for record in group {
            let (mut fields, mut out) = match outgoing::creation(record, &self.plan, settings) {
                Ok(creation) => creation,
                Err(Unsendable::NotInZoho { .. }) => continue,
            };
            if !belonging.contains(&record.id) {
                let remedy = "it would belong to no account that is synced, and be removed here: let it name one, or a contact or deal of one";
                self.park(record.clone(), "NOT_IN_SCOPE", None, remedy)
                    .await?;
                continue;
            }
            let said = fields.clone();
            let demands = reading::demands(self.job, &self.plan).await?;
            // Edits of fields that Zoho does not show stay behind, and are parked when the record is looked at next.
            take_hidden(&mut fields, &self.plan, &demands.hidden);
            out.retain(|field, _| !demands.hidden.contains(field));
            if let Some(field) = outgoing::lacks(&out, &demands.mandatory) {
                let refusal = WriteRefusal {
                    code: "MANDATORY_NOT_FOUND".to_owned(),
                    field: Some(field.clone()),
                    message: String::new(),
                    duplicate_of: None,
                };
                self.park_refused(record.clone(), &refusal).await?;
                continue;
            }
            // The intent is stored before the call, so that a lost reply is looked for and not repeated. With it the record is on its way,
            // even if it was parked before: that is where a creation without an answer is looked for.
            let now = self.job.ports.clock.now();
            let before = record.create_intent.as_ref();
            let mark = outgoing::mark(&self.plan, settings);
            let intended = Record {
                create_intent: Some(Intent::tried(before, said, mark, now)),
                parked: None,
                ..record.clone()
            };
            let intended = match self.job.ports.store.save_record(intended).await {
                Err(port::Error::Refused { .. }) => {
                    self.park_too_large(record.clone()).await?;
                    continue;
                }
                saved => saved?,
            };
            creating.push(Creating {
                sending: Sending {
                    record: intended,
                    fields,
                    out,
                },
                before: record.clone(),
            });
        }
        let sent = creating.len();
        self.send_new(creating, lease).await?;
        Ok(sent)
    }

    /// Those records that belong to something which is synced, or to nothing by their nature.
    async fn belonging(&self, group: &[Record]) -> Result<BTreeSet<PlatformId>, Error> {
        let parents = |record: &Record| outgoing::parents(record, &self.plan);
        let mut named: BTreeMap<Object, BTreeSet<PlatformId>> = BTreeMap::new();
        for (object, id) in group.iter().filter_map(parents).flatten() {
            named.entry(object).or_default().insert(id);
        }
        let mut present = BTreeSet::new();
        for (object, ids) in named {
            let ids: Vec<PlatformId> = ids.into_iter().collect();
            let store = &self.job.ports.store;
            let records = store
                .records(self.job.id(), object, &ids)
                .await?
                .into_iter();
            let synced = records.filter(|record| record.removed.is_none());
            present.extend(synced.map(|record| (object, record.id)));
        }
        let belongs = |record: &&Record| {
            parents(record)
                .is_none_or(|parents| parents.iter().any(|parent| present.contains(parent)))
        };
        let belonging = group.iter().filter(belongs);
        Ok(belonging.map(|record| record.id.clone()).collect())
    }

    async fn send_new(&self, mut creating: Vec<Creating>, lease: &Lease<'_>) -> Result<(), Error> {
        if creating.is_empty() {
            return Ok(());
        }
        if !lease.renew().await? {
            return Err(CREATING);
        }
        let out = creating.iter().map(|new| new.sending.out.clone());
        let out: Vec<Outgoing> = out.collect();
        let (job, object) = (self.job, self.plan.object);
        let outcomes = match job.session.insert(object, &out, &self.trigger()).await {
            Err(Error::Crm(CrmError::Refused {
                code,
                message,
                field,
            })) => match creating.as_slice() {
                // A call that is refused as a whole is halved until the record that spoils it is found.
                [_, _, ..] => {
                    let half = creating.split_off(creating.len() / 2);
                    Box::pin(self.send_new(creating, lease)).await?;
                    return Box::pin(self.send_new(half, lease)).await;
                }
                _ => vec![Err(WriteRefusal {
                    code,
                    field,
                    message,
                    duplicate_of: None,
                })],
            },
            reply => reply?.value,
        };
        let mut written = Vec::new();
        let mut links = Vec::new();
        for (Creating { sending, before }, outcome) in creating.into_iter().zip(outcomes) {
            match outcome {
                Ok(saved) => {
                    links.push(creation::link(job, object, saved.id, &sending.record.id));
                    written.push(Written {
                        record: sending.record,
                        zoho_id: saved.id,
                        fields: sending.fields,
                    });
                }
                Err(refusal) => self.take_back(sending.record, before, refusal).await?,
            }
        }
        // The link first: cut off here, the next look at Zoho's row leads to this record and not to a second one.
        job.ports.store.save_links(&links).await?;
        let ids: Vec<ZohoId> = links.iter().map(|link| link.zoho_id).collect();
        self.read_back(written, Action::CreatedInZoho).await?;
        // They stay due where that fails: whoever meets the row next asks for them.
        if let Err(error) = self.announce_new(&ids).await {
            tracing::warn!(connection.id = %job.id(), error = %error, "the dependants of new {object}s are left to the next sync");
        }
        Ok(())
    }

    /// Parks a record that Zoho did not take. That answers this try and none before it: what one of those may have left in Zoho is still looked
    /// for.
    async fn take_back(
        &self,
        tried: Record,
        before: Record,
        refusal: WriteRefusal,
    ) -> Result<(), Error> {
        let remedy = outgoing::remedy(&refusal);
        let record = Record {
            create_intent: before.create_intent,
            ..tried
        };
        let WriteRefusal { code, field, .. } = refusal;
        self.park_again(record, before.parked, &code, field, &remedy)
            .await
    }

    /// Asks for what people gave new records before these had links (S5).
    async fn announce_new(&self, ids: &[ZohoId]) -> Result<(), Error> {
        let (job, object) = (self.job, self.plan.object);
        if object.dependants().is_empty() {
            return Ok(());
        }
        let mut due = job.ports.store.links(job.id(), object, ids).await?;
        due.retain(|link| link.in_scope && link.dependants.are_due());
        announce(job, object, due, &mut Counters::default()).await
    }

    /// Looks at records none of which could go: parks those that name a record which is not on its way itself, and breaks a circle, whatever
    /// objects are on it, by sending one of them without what it names, which follows as an update. Returns those about which that decided.
    async fn release(
        &self,
        deferred: &[Record],
        lease: &Lease<'_>,
    ) -> Result<BTreeSet<PlatformId>, Error> {
        let named = |record: &Record| (self.plan.object, record.id.clone());
        let names = deferred.iter();
        let names = names.map(|record| (named(record), open_references(record, &self.plan)));
        let mut names: Names = names.collect();
        let together: BTreeSet<Named> = names.keys().cloned().collect();
        let mut released = BTreeSet::new();
        let mut circle = None;
        for record in deferred {
            let open = open_references(record, &self.plan);
            if self.goes_without(&named(record), &mut names).await? {
                circle = circle.or(Some((record, open)));
                continue;
            }
            let among = |end: &Named| together.contains(end);
            if let Some(missing) = self.missing(&open, among).await? {
                released.insert(record.id.clone());
                self.park_missing(record.clone(), &missing).await?;
            }
        }
        match circle {
            Some((record, open)) if released.is_empty() => {
                let alone = without(record.clone(), &open);
                let sent = self.insert(&[alone], lease).await?;
                released.extend((sent > 0).then(|| record.id.clone()));
            }
            _ => {}
        }
        Ok(released)
    }
}
