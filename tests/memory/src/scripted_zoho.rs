//! A Zoho that only knows who may call: it grants, refreshes, refuses and throttles as a test says, and holds no records.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tandem::data_centre::{DataCentre, Directory};
use tandem::identifier::ZohoId;
use tandem::object::Object;
use tandem::port::{
    Caller, Crm, CrmError, FieldInfo, Grant, GrantedOrganisation, Reply, Rows, Saved, WriteOutcome,
};
use tandem::row::Outgoing;
use tandem::secret::{OAuthClient, Secret};
use tandem::select::{Count, Select};

use crate::fault::give_way;
use crate::fields::usual_fields;
use crate::lock::locked;

/// What a customer grants.
#[derive(Debug, Clone)]
pub struct Granting {
    /// The customer's data centre, whose accounts server takes the code.
    pub centre: DataCentre,
    /// The organisation.
    pub organisation: GrantedOrganisation,
    /// The scopes that the reply names; none: it names none.
    pub scopes: Option<Vec<String>>,
    /// Whether there is a refresh token.
    pub offline: bool,
    /// The API that the reply names.
    pub api_domain: String,
}

impl Granting {
    /// Everything, for an organisation of that id and name.
    #[must_use]
    pub fn all(directory: &Directory, centre: DataCentre, id: &str, name: &str) -> Self {
        let real = match centre {
            DataCentre::Us => "com".to_owned(),
            DataCentre::Au | DataCentre::Cn => format!("com.{centre}"),
            _ => centre.to_string(),
        };
        let api_domain = match directory == &Directory::zoho() {
            true => format!("https://www.zohoapis.{real}"),
            // A simulator has its API where its accounts server is.
            false => directory.accounts(centre),
        };
        Self {
            centre,
            organisation: GrantedOrganisation {
                id: id.to_owned(),
                name: name.to_owned(),
                time_zone: "Europe/Berlin".to_owned(),
                edition: "Enterprise".to_owned(),
                users: 10,
            },
            scopes: None,
            offline: true,
            api_domain,
        }
    }
}

/// A Zoho that only knows who may call. Every access token dies by [`ScriptedZoho::expire_tokens`] or with its grant, not by time.
#[derive(Debug, Default)]
pub struct ScriptedZoho(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    codes: BTreeMap<String, Granting>,
    grants: BTreeMap<String, Granting>,
    /// The refresh token behind each access token.
    access: BTreeMap<String, String>,
    made: u64,
    rejecting: bool,
    throttled: Option<Option<Duration>>,
    left: Option<u64>,
    under_way: usize,
    most_at_once: usize,
    client_refused: Option<String>,
    accounts_down: bool,
    hidden: Vec<(Object, String)>,
    calls: Vec<&'static str>,
    apis: Vec<String>,
}

impl ScriptedZoho {
    /// A customer grants access, and the code for it is `code`.
    pub fn grant(&self, code: &str, granting: Granting) {
        self.state().codes.insert(code.to_owned(), granting);
    }

    /// A grant of long ago, by its refresh token and an access token that is still good.
    pub fn granted(&self, refresh: &str, access: &str, granting: Granting) {
        let mut state = self.state();
        state.grants.insert(refresh.to_owned(), granting);
        state.access.insert(access.to_owned(), refresh.to_owned());
    }

    /// The customer revokes a grant.
    pub fn revoke_grant(&self, refresh: &str) {
        self.state().forget(refresh);
    }

    /// No access token made so far is good any more.
    pub fn expire_tokens(&self) {
        self.state().access.clear();
    }

    /// The API accepts no token at all, new ones neither.
    pub fn reject_tokens(&self, rejecting: bool) {
        self.state().rejecting = rejecting;
    }

    /// The API throttles, and names that time to wait.
    pub fn throttle(&self, after: Option<Duration>) {
        self.state().throttled = Some(after);
    }

    /// The API throttles no more.
    pub fn calm(&self) {
        self.state().throttled = None;
    }

    /// Each answer of the API says that so many credits are left; none: it says nothing.
    pub fn tell_left(&self, left: Option<u64>) {
        self.state().left = left;
    }

    /// The most calls of the API that were under way at once.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.state().most_at_once
    }

    /// The accounts servers refuse every OAuth client with that code; none: they accept them.
    pub fn refuse_clients(&self, code: Option<&str>) {
        self.state().client_refused = code.map(str::to_owned);
    }

    /// The accounts servers do not answer.
    pub fn accounts_down(&self, down: bool) {
        self.state().accounts_down = down;
    }

    /// What the next refreshes of a grant say.
    pub fn change_grant(&self, refresh: &str, change: impl FnOnce(&mut Granting)) {
        if let Some(granting) = self.state().grants.get_mut(refresh) {
            change(granting);
        }
    }

    /// Hides a field from whoever grants.
    pub fn hide(&self, object: Object, field: &str) {
        self.state().hidden.push((object, field.to_owned()));
    }

    /// The calls made, by method, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<&'static str> {
        self.state().calls.clone()
    }

    /// Where the API was called, oldest first.
    #[must_use]
    pub fn apis(&self) -> Vec<String> {
        self.state().apis.clone()
    }

    /// How many calls of a method were made.
    #[must_use]
    pub fn calls_of(&self, method: &str) -> usize {
        self.calls()
            .into_iter()
            .filter(|call| *call == method)
            .count()
    }

    /// The refresh tokens that are good.
    #[must_use]
    pub fn live_grants(&self) -> Vec<String> {
        self.state().grants.keys().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.0)
    }

    fn reply<T>(&self, value: T) -> Reply<T> {
        Reply {
            value,
            server_time: Timestamp::UNIX_EPOCH,
            credits: 1,
            credits_left: self.state().left,
        }
    }

    fn accounts(&self, call: &'static str) -> Result<MutexGuard<'_, State>, CrmError> {
        let mut state = self.state();
        state.calls.push(call);
        if state.accounts_down {
            return Err(CrmError::Unavailable {
                source: "the accounts server is down".into(),
            });
        }
        if let Some(code) = &state.client_refused {
            return Err(CrmError::Refused {
                code: code.clone(),
                message: String::new(),
                field: None,
            });
        }
        Ok(state)
    }

    /// A call of the API, which takes a moment: its token decides whose organisation it sees.
    async fn api(&self, call: &'static str, caller: &Caller) -> Result<Granting, CrmError> {
        let _under_way = UnderWay::begin(self);
        let granting = self.answer(call, caller);
        give_way().await;
        granting
    }

    fn answer(&self, call: &'static str, caller: &Caller) -> Result<Granting, CrmError> {
        let mut state = self.state();
        state.calls.push(call);
        state.apis.push(caller.api.as_str().to_owned());
        if let Some(after) = state.throttled {
            return Err(CrmError::Throttled { after });
        }
        let granting = state
            .access
            .get(caller.token.expose())
            .and_then(|refresh| state.grants.get(refresh));
        match granting {
            Some(granting) if !state.rejecting => Ok(granting.clone()),
            _ => Err(CrmError::Unauthorised {
                code: "INVALID_TOKEN".to_owned(),
            }),
        }
    }
}

/// A call under way, until it is answered or nobody waits for it any more.
struct UnderWay<'a>(&'a ScriptedZoho);

impl<'a> UnderWay<'a> {
    fn begin(zoho: &'a ScriptedZoho) -> Self {
        let mut state = zoho.state();
        state.under_way += 1;
        state.most_at_once = state.most_at_once.max(state.under_way);
        Self(zoho)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
    }
}

impl State {
    fn make(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("1000.{kind}.{}", self.made)
    }

    fn make_access(&mut self, refresh: &str) -> Secret {
        let access = self.make("access");
        self.access.insert(access.clone(), refresh.to_owned());
        Secret::new(access)
    }

    fn forget(&mut self, refresh: &str) {
        self.grants.remove(refresh);
        self.access.retain(|_, behind| behind != refresh);
    }
}

fn refused() -> CrmError {
    CrmError::GrantRefused {
        code: "invalid_code".to_owned(),
    }
}

const LIFETIME: Duration = Duration::from_secs(3_600);

#[async_trait]
impl Crm for ScriptedZoho {
    async fn exchange(
        &self,
        centre: DataCentre,
        client: &OAuthClient,
        code: &Secret,
        _: &str,
    ) -> Result<Grant, CrmError> {
        let mut state = self.accounts("exchange")?;
        let known = state.codes.remove(code.expose());
        let granting = known
            .filter(|granting| granting.centre == centre && client.id == format!("client-{centre}"))
            .ok_or_else(refused)?;
        let refresh = state.make("refresh");
        state.grants.insert(refresh.clone(), granting.clone());
        Ok(Grant {
            access: state.make_access(&refresh),
            refresh: granting.offline.then(|| Secret::new(refresh)),
            api_domain: Some(granting.api_domain),
            expires_in: LIFETIME,
            scopes: granting.scopes,
        })
    }

    async fn refresh(
        &self,
        centre: DataCentre,
        _: &OAuthClient,
        refresh: &Secret,
    ) -> Result<Grant, CrmError> {
        let mut state = self.accounts("refresh")?;
        let granting = state
            .grants
            .get(refresh.expose())
            .filter(|granting| granting.centre == centre)
            .cloned()
            .ok_or_else(refused)?;
        Ok(Grant {
            access: state.make_access(refresh.expose()),
            refresh: None,
            api_domain: Some(granting.api_domain),
            expires_in: LIFETIME,
            scopes: None,
        })
    }

    async fn revoke(&self, _: DataCentre, refresh: &Secret) -> Result<(), CrmError> {
        self.accounts("revoke")?.forget(refresh.expose());
        Ok(())
    }

    async fn organisation(&self, caller: &Caller) -> Result<Reply<GrantedOrganisation>, CrmError> {
        let granting = self.api("organisation", caller).await?;
        Ok(self.reply(granting.organisation))
    }

    async fn fields(
        &self,
        caller: &Caller,
        object: Object,
    ) -> Result<Reply<Vec<FieldInfo>>, CrmError> {
        self.api("fields", caller).await?;
        let hidden = self.state().hidden.clone();
        let fields = usual_fields(object)
            .into_iter()
            .filter(|field| !hidden.contains(&(object, field.api_name.clone())));
        Ok(self.reply(fields.collect()))
    }

    async fn select(&self, caller: &Caller, _: &Select) -> Result<Reply<Rows>, CrmError> {
        self.api("select", caller).await?;
        Ok(self.reply(Rows {
            rows: Vec::new(),
            more: false,
        }))
    }

    async fn count(&self, caller: &Caller, _: Count) -> Result<Reply<u64>, CrmError> {
        self.api("count", caller).await?;
        Ok(self.reply(0))
    }

    async fn users(
        &self,
        caller: &Caller,
        _: u32,
        _: Option<Timestamp>,
    ) -> Result<Reply<Rows>, CrmError> {
        self.api("users", caller).await?;
        Ok(self.reply(Rows {
            rows: Vec::new(),
            more: false,
        }))
    }

    async fn insert(
        &self,
        caller: &Caller,
        _: Object,
        records: &[Outgoing],
        _: &[String],
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        self.api("insert", caller).await?;
        let saved = records.iter().map(|_| {
            Ok(Saved {
                id: ZohoId::MAX,
                modified_time: None,
            })
        });
        Ok(self.reply(saved.collect()))
    }

    async fn update(
        &self,
        caller: &Caller,
        _: Object,
        records: &[(ZohoId, Outgoing)],
        _: &[String],
        _: Option<Timestamp>,
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        self.api("update", caller).await?;
        let saved = records.iter().map(|(id, _)| {
            Ok(Saved {
                id: *id,
                modified_time: None,
            })
        });
        Ok(self.reply(saved.collect()))
    }
}
