//! Counting how the fields that hold ids are filled: a few COQL calls over all records, and over those in scope where COQL can say which.

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::{Module, granted};
use crate::criteria::Filter;
use crate::finding::Finding;
use crate::flow::{Error, Session};
use crate::identifier::ZohoField;
use crate::object::Object;
use crate::port::FieldInfo;
use crate::preflight::{self, Coverage, Denial, Filled, Shared};
use crate::select::PAGE_ROWS;
use crate::settings::Settings;
use crate::tally::{Conditions, Each, Tallied, Tally};

/// The most pages of values that are compared: 10,000 values for 15 credits.
const PAGES: usize = 5;

/// How long values are compared: somebody waits for the answer, in a browser as a rule.
const COMPARING: SignedDuration = SignedDuration::from_secs(8);

/// The limits by which Zoho's price of a page rises.
const PRICED: [usize; 3] = [200, 1_000, PAGE_ROWS];

/// What came of counting one field.
pub(super) enum Seen {
    Counted(Coverage),
    Denied {
        object: Object,
        field: String,
        denial: Denial,
    },
}

impl Seen {
    pub(super) const fn object(&self) -> Object {
        match self {
            Self::Counted(coverage) => coverage.object,
            Self::Denied { object, .. } => *object,
        }
    }

    pub(super) const fn counted(&self) -> Option<&Coverage> {
        match self {
            Self::Counted(coverage) => Some(coverage),
            Self::Denied { .. } => None,
        }
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        match self {
            Self::Counted(coverage) => coverage.findings(),
            Self::Denied {
                object,
                field,
                denial,
            } => vec![preflight::uncounted(*object, field, denial)],
        }
    }
}

/// A field that holds ids, in a module whose records can be read.
struct Subject<'a> {
    object: Object,
    field: &'a ZohoField,
    /// Whether Zoho itself keeps the values apart.
    unique: bool,
    records: u64,
    /// Which records are in scope, where a filter narrows it and COQL can say how.
    scope: Option<Conditions>,
    /// When counting began.
    began: Timestamp,
}

/// Counts every field that holds ids, as far as it is there.
pub(super) async fn of(
    session: &Session,
    settings: &Settings,
    modules: &[Module],
) -> Result<Vec<Seen>, Error> {
    let subjects = subjects(settings, modules, session.now());
    let seen = join_all(subjects.iter().map(|subject| subject.count(session))).await;
    seen.into_iter().collect()
}

fn subjects<'a>(
    settings: &'a Settings,
    modules: &'a [Module],
    began: Timestamp,
) -> Vec<Subject<'a>> {
    let named = [
        (Object::Account, Some(&settings.account_external_id)),
        (Object::Contact, Some(&settings.contact_external_id)),
        (Object::Task, settings.task_mark.as_ref()),
    ];
    let fields_of = |object: Object| {
        let module = modules.iter().find(|module| module.object == object)?;
        let fields = module.fields.as_deref().ok()?;
        Some((fields, *module.count.as_ref().ok()?))
    };
    let found = named.into_iter().filter_map(|(object, field)| {
        let field = field?;
        let (fields, records) = fields_of(object)?;
        let info = fields.iter().find(|info| info.api_name == field.as_str())?;
        let accounts = fields_of(Object::Account).map_or(&[][..], |(fields, _)| fields);
        Some(Subject {
            object,
            field,
            unique: info.unique,
            records,
            scope: scope(settings, object, fields, accounts),
            began,
        })
    });
    found.collect()
}

/// Which records are in scope. A contact is when its account is and it meets the filter of its own.
fn scope(
    settings: &Settings,
    object: Object,
    fields: &[FieldInfo],
    accounts: &[FieldInfo],
) -> Option<Conditions> {
    const ACCOUNT: &str = "Account_Name";
    let filter_of = |object| settings.objects.get(&object)?.filter.as_ref();
    let said = |filter: &Filter| Conditions::of(filter, fields, None);
    match object {
        Object::Account => said(filter_of(object)?),
        Object::Contact => {
            let of_account = match filter_of(Object::Account) {
                Some(filter) => Some(Conditions::filled(ACCOUNT).and(Conditions::of(
                    filter,
                    accounts,
                    Some(ACCOUNT),
                )?)?),
                None => None,
            };
            let own = match filter_of(object) {
                Some(filter) => Some(said(filter)?),
                None => None,
            };
            match (of_account, own) {
                (Some(of_account), Some(own)) => of_account.and(own),
                (Some(only), None) => Some(only),
                (None, Some(own)) => Conditions::filled(ACCOUNT).and(own),
                (None, None) => Some(Conditions::filled(ACCOUNT)),
            }
        }
        Object::User | Object::Deal | Object::Task => None,
    }
}

impl Subject<'_> {
    async fn count(&self, session: &Session) -> Result<Seen, Error> {
        let denied = |denial| Seen::Denied {
            object: self.object,
            field: self.field.to_string(),
            denial,
        };
        let all = match self.filled(session, self.records, None).await? {
            Ok(all) => all,
            Err(denial) => return Ok(denied(denial)),
        };
        let in_scope = match &self.scope {
            // What Zoho can't narrow is told of all records only.
            Some(scope) => self.in_scope(session, scope, &all).await?.ok(),
            None => None,
        };
        Ok(Seen::Counted(Coverage {
            object: self.object,
            field: self.field.to_string(),
            unique: self.unique,
            all,
            in_scope,
        }))
    }

    async fn in_scope(
        &self,
        session: &Session,
        scope: &Conditions,
        all: &Filled,
    ) -> Result<Result<Filled, Denial>, Error> {
        let records = match self.ask(session, Each::Row, Some(scope)).await? {
            Ok(tallied) => tallied.rows,
            Err(denial) => return Ok(Err(denial)),
        };
        let none_shared = all
            .shared
            .as_ref()
            .is_none_or(|shared| shared.values == 0 && shared.complete);
        if records == self.records || none_shared {
            let filled = match records == self.records {
                true => Ok(all.filled),
                false => self
                    .ask(session, Each::Filled, Some(scope))
                    .await?
                    .map(|tallied| tallied.rows),
            };
            return Ok(filled.map(|filled| Filled {
                records,
                filled,
                shared: all.shared.clone(),
            }));
        }
        self.filled(session, records, Some(scope)).await
    }

    /// How many of so many records have a value, and how many the same.
    async fn filled(
        &self,
        session: &Session,
        records: u64,
        within: Option<&Conditions>,
    ) -> Result<Result<Filled, Denial>, Error> {
        let filled = match self.ask(session, Each::Filled, within).await? {
            Ok(tallied) => tallied.rows,
            Err(denial) => return Ok(Err(denial)),
        };
        let shared = match self.unique {
            true => None,
            false => self.shared(session, filled, within).await?.ok(),
        };
        Ok(Ok(Filled {
            records,
            filled,
            shared,
        }))
    }

    /// Compares values page by page, each page no dearer than it has to be.
    async fn shared(
        &self,
        session: &Session,
        filled: u64,
        within: Option<&Conditions>,
    ) -> Result<Result<Shared, Denial>, Error> {
        let mut values = Vec::new();
        let mut complete = filled == 0;
        for _ in 0..PAGES {
            if complete || session.now().duration_since(self.began) >= COMPARING {
                break;
            }
            let left = usize::try_from(filled)
                .unwrap_or(usize::MAX)
                .saturating_sub(values.len());
            let limit = PRICED.into_iter().find(|limit| left <= *limit);
            let each = Each::Value {
                offset: values.len(),
                limit: limit.unwrap_or(PAGE_ROWS),
            };
            match self.ask(session, each, within).await? {
                Ok(page) => {
                    complete = !page.more;
                    values.extend(page.values);
                }
                Err(denial) => return Ok(Err(denial)),
            }
        }
        Ok(Ok(Shared::among(self.object, &values, complete)))
    }

    async fn ask(
        &self,
        session: &Session,
        each: Each,
        within: Option<&Conditions>,
    ) -> Result<Result<Tallied, Denial>, Error> {
        let tally = Tally {
            object: self.object,
            field: self.field.clone(),
            each,
            within: within.cloned(),
        };
        granted(session.tally(&tally).await)
    }
}
