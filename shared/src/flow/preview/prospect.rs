//! What would become of Zoho's rows with other settings, decided by the rules that a full sync goes by, without writing anything.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::flow::apply::{Mode, Step, owner, step};
use crate::flow::{Error, Session};
use crate::foresight::Proposal;
use crate::identifier::{ConnectionId, Digest, PlatformId, ZohoId};
use crate::mapping::{FieldPlan, Identity, Neighbours, Theirs, parent_lookups};
use crate::object::Object;
use crate::port::{CrmError, Ports};
use crate::record::{Dependants, Link, Record, RemovalReason, Standing};
use crate::row::Row;
use crate::run::Counter;
use crate::select::{IN_VALUES, PAGE_ROWS, Select, Which};
use crate::settings::SourceMode;

/// How many records are looked up side by side: COQL allows ten calls at once per organisation, and the syncs need theirs.
const SIDE_BY_SIDE: usize = 3;

/// The most rows of a page that costs one credit.
const CHEAP_ROWS: usize = 200;

/// What would become of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays this record.
    Stays(PlatformId),
    /// Its record would go, and it would be another one (I5).
    Renamed { from: PlatformId, to: PlatformId },
    /// It comes in as this record.
    Enters(PlatformId),
    /// The full sync finds that its record is to go.
    Leaves(PlatformId, RemovalReason),
    /// It is in scope and has no external id (I1).
    Unmatched,
    /// It is in scope, and another Zoho record has its external id (I3).
    Duplicate(PlatformId),
    /// It is in scope, and the platform has no such record (S7).
    Unknown(PlatformId),
    /// It is outside, as before.
    Outside,
}

/// What a row by itself leads to.
enum Claim {
    /// This.
    Settled(Fate),
    /// It would be this record, if nobody else is.
    Wants(PlatformId),
}

/// The links as they would be. What was found out is kept as long as one request lasts.
pub(super) struct Prospect<'a> {
    pub(super) ports: &'a Ports,
    pub(super) session: &'a Session,
    pub(super) connection: &'a ConnectionId,
    pub(super) proposal: Proposal<'a>,
    links: BTreeMap<(Object, ZohoId), Option<Link>>,
    /// Which Zoho record would come to have an external id that nobody has.
    heirs: BTreeMap<(Object, PlatformId), ZohoId>,
}

impl<'a> Prospect<'a> {
    pub(super) const fn new(
        ports: &'a Ports,
        session: &'a Session,
        connection: &'a ConnectionId,
        proposal: Proposal<'a>,
    ) -> Self {
        Self {
            ports,
            session,
            connection,
            proposal,
            links: BTreeMap::new(),
            heirs: BTreeMap::new(),
        }
    }

    /// The links of what rows refer to, as they would be: those that scope follows with the wanted settings, the others as they are.
    pub(super) async fn neighbours(
        &mut self,
        object: Object,
        rows: &[Row],
    ) -> Result<Neighbours, Error> {
        let plan = self.proposal.wanted(object);
        let mut asked: BTreeMap<Object, BTreeSet<ZohoId>> = BTreeMap::new();
        for (to, id) in rows.iter().flat_map(|row| plan.references(row)) {
            if to != Object::User {
                asked.entry(to).or_default().insert(id);
            }
        }
        let mut found = Neighbours::new();
        for (to, ids) in asked {
            let follows = parent_lookups(object).iter().any(|(_, of)| *of == to);
            if follows {
                self.foresee(to, ids.clone()).await?;
                let links = ids
                    .iter()
                    .filter_map(|id| self.links.get(&(to, *id))?.clone());
                found.extend(links.map(|link| ((to, link.zoho_id), link)));
            } else {
                let links = self.stored(to, ids).await?;
                found.extend(links.into_iter().map(|(id, link)| ((to, id), link)));
            }
        }
        Ok(found)
    }

    /// Finds out the links of these records as they would be.
    fn foresee(
        &mut self,
        object: Object,
        mut ids: BTreeSet<ZohoId>,
    ) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            ids.retain(|id| !self.links.contains_key(&(object, *id)));
            if ids.is_empty() {
                return Ok(());
            }
            let links = self.stored(object, ids.clone()).await?;
            if !self.proposal.shifts(object) {
                for id in ids {
                    self.links.insert((object, id), links.get(&id).cloned());
                }
                return Ok(());
            }
            let rows = self.by_id(object, &ids).await?;
            let neighbours = self.neighbours(object, &rows).await?;
            let fates = self.fates(object, &rows, &links, &neighbours).await?;
            for id in ids {
                let link = links.get(&id);
                // Without a row the record is gone from Zoho, whatever the settings.
                let gone = link
                    .and_then(Link::platform_id)
                    .map_or(Fate::Outside, |of| {
                        Fate::Leaves(of.clone(), RemovalReason::Gone)
                    });
                let fate = fates.get(&id).unwrap_or(&gone);
                let link = self.link_after(object, id, link, fate);
                self.links.insert((object, id), link);
            }
            Ok(())
        })
    }

    /// What would become of rows of one object.
    pub(super) async fn fates(
        &mut self,
        object: Object,
        rows: &[Row],
        links: &BTreeMap<ZohoId, Link>,
        neighbours: &Neighbours,
    ) -> Result<BTreeMap<ZohoId, Fate>, Error> {
        let plan = self.proposal.wanted(object);
        let mut fates = BTreeMap::new();
        let mut wants: BTreeMap<PlatformId, BTreeSet<ZohoId>> = BTreeMap::new();
        for row in rows {
            let theirs = plan.read(row, neighbours);
            match claim(&plan, row, &theirs, links.get(&row.id), neighbours) {
                Claim::Settled(fate) => {
                    fates.insert(row.id, fate);
                }
                Claim::Wants(id) => {
                    wants.entry(id).or_default().insert(row.id);
                }
            }
        }
        let enriches = self.proposal.wanted.source_mode == SourceMode::EnrichOnly;
        let records = match plan.identity {
            // An id of the platform's own is nobody else's, and it need not be there before.
            Identity::Own if !enriches => BTreeMap::new(),
            _ => self.records(object, wants.keys()).await?,
        };
        let kept = self.kept(object, &plan, &wants, &records, &fates).await?;
        let open = wants
            .iter()
            .filter(|(id, _)| !kept.contains(*id) && (!enriches || records.contains_key(*id)));
        let open = open.map(|(id, who)| (id.clone(), who.clone())).collect();
        self.inherit(object, &plan, open).await?;
        for (id, who) in wants {
            for row in who {
                let link = links.get(&row);
                let record = records.get(&id);
                let is_it = record
                    .is_some_and(|record| record.zoho_id == Some(row) && record.removed.is_none());
                let fate = match link.and_then(Link::platform_id) {
                    _ if kept.contains(&id) && !is_it => Fate::Duplicate(id.clone()),
                    _ if enriches && record.is_none() => Fate::Unknown(id.clone()),
                    Some(former) if *former == id => Fate::Stays(id.clone()),
                    _ if self.heirs.get(&(object, id.clone())) != Some(&row) => {
                        Fate::Duplicate(id.clone())
                    }
                    Some(former) => Fate::Renamed {
                        from: former.clone(),
                        to: id.clone(),
                    },
                    None if is_it => Fate::Stays(id.clone()),
                    None => Fate::Enters(id.clone()),
                };
                fates.insert(row, fate);
            }
        }
        Ok(fates)
    }

    /// Of the identities that rows want, those that another Zoho record keeps.
    async fn kept(
        &mut self,
        object: Object,
        plan: &FieldPlan,
        wants: &BTreeMap<PlatformId, BTreeSet<ZohoId>>,
        records: &BTreeMap<PlatformId, Record>,
        fates: &BTreeMap<ZohoId, Fate>,
    ) -> Result<BTreeSet<PlatformId>, Error> {
        let mut owners: BTreeMap<ZohoId, PlatformId> = BTreeMap::new();
        for (id, who) in wants {
            let record = records.get(id);
            let owner = who
                .iter()
                .find_map(|row| record.and_then(|record| owner(record, *row)));
            owners.extend(owner.map(|owner| (owner, id.clone())));
        }
        let keeps = |fate: Option<&Fate>, id: &PlatformId| matches!(fate, Some(Fate::Stays(own)) if own == id);
        let (here, elsewhere): (BTreeMap<_, _>, BTreeMap<_, _>) = owners
            .into_iter()
            .partition(|(owner, _)| fates.contains_key(owner));
        let mut kept: BTreeSet<PlatformId> = here
            .into_iter()
            .filter(|(owner, id)| keeps(fates.get(owner), id))
            .map(|(_, id)| id)
            .collect();
        let rows = self
            .by_id(object, &elsewhere.keys().copied().collect())
            .await?;
        for (row, claim) in self.claims(object, plan, &rows).await? {
            if let (Some(id), Claim::Settled(fate)) = (elsewhere.get(&row), &claim)
                && keeps(Some(fate), id)
            {
                kept.insert(id.clone());
            }
        }
        Ok(kept)
    }

    /// Decides who gets identities that nobody keeps: the oldest of all Zoho records that want them, wherever they stand. A full sync gives
    /// what an owner on a later page gives up to the first that is read after that, which can be another one.
    async fn inherit(
        &mut self,
        object: Object,
        plan: &FieldPlan,
        open: BTreeMap<PlatformId, BTreeSet<ZohoId>>,
    ) -> Result<(), Error> {
        let open: BTreeMap<PlatformId, BTreeSet<ZohoId>> = open
            .into_iter()
            .filter(|(id, _)| !self.heirs.contains_key(&(object, id.clone())))
            .collect();
        let rows = match &plan.identity {
            Identity::Own => Vec::new(),
            Identity::Field(field) | Identity::FoldedField(field) => {
                match self.by_text(object, field.as_str(), open.keys()).await {
                    // A field that can't be searched for texts, such as a number: those that are known have to do.
                    Err(Error::Crm(CrmError::Refused { .. })) => Vec::new(),
                    rows => rows?,
                }
            }
        };
        let mut heirs: BTreeMap<PlatformId, ZohoId> = open
            .into_iter()
            .filter_map(|(id, who)| Some((id, who.first().copied()?)))
            .collect();
        for (row, claim) in self.claims(object, plan, &rows).await? {
            if let Claim::Wants(id) = claim
                && let Some(heir) = heirs.get_mut(&id)
            {
                *heir = row.min(*heir);
            }
        }
        self.heirs
            .extend(heirs.into_iter().map(|(id, heir)| ((object, id), heir)));
        Ok(())
    }

    /// What rows from anywhere lead to by themselves.
    async fn claims(
        &mut self,
        object: Object,
        plan: &FieldPlan,
        rows: &[Row],
    ) -> Result<Vec<(ZohoId, Claim)>, Error> {
        let links = self
            .stored(object, rows.iter().map(|row| row.id).collect())
            .await?;
        let neighbours = self.neighbours(object, rows).await?;
        let claims = rows.iter().map(|row| {
            let theirs = plan.read(row, &neighbours);
            let link = links.get(&row.id);
            (row.id, claim(plan, row, &theirs, link, &neighbours))
        });
        Ok(claims.collect())
    }

    /// The link as it would be in the end.
    fn link_after(
        &self,
        object: Object,
        zoho_id: ZohoId,
        link: Option<&Link>,
        fate: &Fate,
    ) -> Option<Link> {
        let (standing, in_scope) = match fate {
            Fate::Stays(id) | Fate::Enters(id) | Fate::Renamed { to: id, .. } => {
                (Standing::Linked(id.clone()), true)
            }
            Fate::Leaves(id, _) => (Standing::Removed(id.clone()), false),
            Fate::Unmatched => (Standing::Unmatched, false),
            Fate::Duplicate(id) => (Standing::Duplicate(id.clone()), false),
            Fate::Unknown(id) => (Standing::Unknown(id.clone()), false),
            Fate::Outside => (Standing::Removed(link?.known_as()?.clone()), false),
        };
        Some(Link {
            connection: self.connection.clone(),
            object,
            zoho_id,
            standing,
            hash: link.map_or_else(|| Digest::of(b"foreseen"), |link| link.hash),
            in_scope,
            dependants: Dependants::Asked,
        })
    }

    /// Links as they are.
    pub(super) async fn stored(
        &self,
        object: Object,
        ids: BTreeSet<ZohoId>,
    ) -> Result<BTreeMap<ZohoId, Link>, Error> {
        let ids: Vec<ZohoId> = ids.into_iter().collect();
        let links = self
            .ports
            .store
            .links(self.connection, object, &ids)
            .await?;
        Ok(links.into_iter().map(|link| (link.zoho_id, link)).collect())
    }

    /// Records as they are.
    async fn records(
        &self,
        object: Object,
        ids: impl Iterator<Item = &PlatformId>,
    ) -> Result<BTreeMap<PlatformId, Record>, Error> {
        let ids: Vec<PlatformId> = ids.cloned().collect();
        let mut found = BTreeMap::new();
        for ids in ids.chunks(IN_VALUES) {
            let records = self
                .ports
                .store
                .records(self.connection, object, ids)
                .await?;
            found.extend(
                records
                    .into_iter()
                    .map(|record| (record.id.clone(), record)),
            );
        }
        Ok(found)
    }

    async fn by_id(&self, object: Object, ids: &BTreeSet<ZohoId>) -> Result<Vec<Row>, Error> {
        let ids: Vec<ZohoId> = ids.iter().copied().collect();
        let questions = ids.chunks(IN_VALUES).map(|ids| Which::Ids(ids.to_vec()));
        self.ask(object, questions.collect()).await
    }

    async fn by_text(
        &self,
        object: Object,
        field: &str,
        ids: impl Iterator<Item = &PlatformId>,
    ) -> Result<Vec<Row>, Error> {
        let values: Vec<String> = ids.map(ToString::to_string).collect();
        let questions = values.chunks(IN_VALUES).map(|values| Which::TextIn {
            field: field.to_owned(),
            values: values.to_vec(),
        });
        self.ask(object, questions.collect()).await
    }

    async fn ask(&self, object: Object, questions: Vec<Which>) -> Result<Vec<Row>, Error> {
        let columns = self.proposal.wanted(object).columns();
        let answers = questions.into_iter().map(|which| {
            let mut select = Select {
                object,
                columns: columns.clone(),
                which,
                limit: CHEAP_ROWS,
            };
            async move {
                let mut page = self.session.select(&select).await?;
                if page.value.more {
                    select.limit = PAGE_ROWS;
                    page = self.session.select(&select).await?;
                }
                Ok::<_, Error>(page.value.rows)
            }
        });
        let pages: Vec<Vec<Row>> = stream::iter(answers)
            .buffered(SIDE_BY_SIDE)
            .try_collect()
            .await?;
        Ok(pages.into_iter().flatten().collect())
    }
}

/// What a row by itself leads to, as a full sync would have it.
fn claim(
    plan: &FieldPlan,
    row: &Row,
    theirs: &Theirs,
    link: Option<&Link>,
    neighbours: &Neighbours,
) -> Claim {
    let linked = link.and_then(Link::platform_id);
    Claim::Settled(
        match step(plan, row, theirs, link, neighbours, Mode::Full) {
            Step::Leave(id, reason) => Fate::Leaves(id, reason),
            Step::Nothing(Counter::Unmatched) => Fate::Unmatched,
            Step::Nothing(Counter::Unchanged) => linked.cloned().map_or(Fate::Outside, Fate::Stays),
            Step::Nothing(_) | Step::Forget(_) => Fate::Outside,
            Step::Merge => {
                let own = theirs.identity.as_ref();
                match plan.settled_identity(own, link.and_then(Link::known_as)) {
                    None => Fate::Unmatched,
                    // A record out of scope may have passed its identity on.
                    Some(id) if linked == Some(&id) && link.is_some_and(|link| link.in_scope) => {
                        Fate::Stays(id)
                    }
                    Some(id) => return Claim::Wants(id),
                }
            }
        },
    )
}
