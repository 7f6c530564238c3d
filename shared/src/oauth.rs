//! The OAuth dance with Zoho as data: the scopes asked for, where the customer is sent, what comes back.
//!
//! Source: Zoho's accounts documentation (OAuth 2.0 for server-based applications) and CRM v8 "Multi DC".

use std::fmt;

use url::{Url, form_urlencoded};

use crate::data_centre::DataCentre;
use crate::object::Object;
use crate::secret::Secret;

/// A permission asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Zoho's name for it.
    pub name: &'static str,
    /// What can't be done without it.
    pub needed_for: &'static str,
}

const fn scope(name: &'static str, needed_for: &'static str) -> Scope {
    Scope { name, needed_for }
}

/// The permissions asked for: the least with which everything works. Nothing is ever deleted in Zoho, and deals and users are only read.
pub const SCOPES: [Scope; 14] = [
    READ_ACCOUNTS,
    scope(
        "ZohoCRM.modules.accounts.CREATE",
        "creating accounts, where that is switched on",
    ),
    scope(
        "ZohoCRM.modules.accounts.UPDATE",
        "writing edits of accounts back",
    ),
    READ_CONTACTS,
    scope(
        "ZohoCRM.modules.contacts.CREATE",
        "creating contacts, where that is switched on",
    ),
    scope(
        "ZohoCRM.modules.contacts.UPDATE",
        "writing edits of contacts back",
    ),
    READ_TASKS,
    scope(
        "ZohoCRM.modules.tasks.CREATE",
        "creating tasks, unless that is switched off",
    ),
    scope(
        "ZohoCRM.modules.tasks.UPDATE",
        "writing edits of tasks back, closing and re-opening them",
    ),
    READ_DEALS,
    USERS,
    FIELDS,
    ORGANISATION,
    COQL,
];

/// Reads users.
pub const USERS: Scope = scope(
    "ZohoCRM.users.READ",
    "reading users, who own and are named by other records",
);
/// Reads what fields a module has.
pub const FIELDS: Scope = scope(
    "ZohoCRM.settings.fields.READ",
    "checking that mapped fields exist, fit and can be written",
);
/// Reads what an organisation tells about itself.
pub const ORGANISATION: Scope = scope(
    "ZohoCRM.org.READ",
    "knowing which organisation was granted, its time zone and its edition",
);
/// Reads records by COQL; each module needs its own scope beside it.
pub const COQL: Scope = scope(
    "ZohoCRM.coql.READ",
    "asking for changed records, 2,000 a call",
);
const READ_ACCOUNTS: Scope = scope("ZohoCRM.modules.accounts.READ", "reading accounts");
const READ_CONTACTS: Scope = scope("ZohoCRM.modules.contacts.READ", "reading contacts");
const READ_TASKS: Scope = scope("ZohoCRM.modules.tasks.READ", "reading tasks");
const READ_DEALS: Scope = scope("ZohoCRM.modules.deals.READ", "reading deals");

/// What reading an object's records needs.
#[must_use]
pub const fn of_reading(object: Object) -> Scope {
    match object {
        Object::User => USERS,
        Object::Account => READ_ACCOUNTS,
        Object::Contact => READ_CONTACTS,
        Object::Deal => READ_DEALS,
        Object::Task => READ_TASKS,
    }
}

/// The permissions asked for that were not granted. Zoho's wider scopes (`…ALL`, `WRITE` for create and update) cover the narrow ones.
#[must_use]
pub fn missing(granted: &[String]) -> Vec<Scope> {
    let granted: Vec<String> = granted
        .iter()
        .map(|scope| scope.to_ascii_lowercase())
        .collect();
    let covered = |scope: &Scope| {
        let name = scope.name.to_ascii_lowercase();
        let (area, verb) = name.rsplit_once('.').unwrap_or((&name, ""));
        let group = area.rsplit_once('.').map(|(group, _)| group);
        granted.iter().any(|given| {
            *given == name
                || *given == format!("{area}.all")
                || group.is_some_and(|group| *given == format!("{group}.all"))
                || (matches!(verb, "create" | "update") && *given == format!("{area}.write"))
        })
    };
    SCOPES.into_iter().filter(|scope| !covered(scope)).collect()
}

/// Where the customer's browser is sent: the data centre's consent page. `accounts` is the base URL of its accounts server.
///
/// # Errors
/// When `accounts` is no URL.
pub fn authorize_url(
    accounts: &str,
    client_id: &str,
    redirect_uri: &str,
    state: &Secret,
) -> Result<String, url::ParseError> {
    let scopes: Vec<&str> = SCOPES.iter().map(|scope| scope.name).collect();
    let url = Url::parse_with_params(
        &format!("{accounts}/oauth/v2/auth"),
        [
            ("response_type", "code"),
            ("client_id", client_id),
            ("scope", &scopes.join(",")),
            ("redirect_uri", redirect_uri),
            ("access_type", "offline"),
            // Without it only a first consent brings a refresh token.
            ("prompt", "consent"),
            ("state", state.expose()),
        ],
    )?;
    Ok(url.into())
}

/// Where Zoho sends the browser back to.
#[must_use]
pub fn redirect_uri(public_url: &str) -> String {
    format!("{public_url}/oauth/callback")
}

/// What came back in the callback's query. Nothing of it is believed yet.
#[derive(Clone, Default)]
pub struct Callback {
    /// The state, as the browser brings it.
    pub state: Option<Secret>,
    /// The authorisation code.
    pub code: Option<Secret>,
    /// The accounts server that the code is to be exchanged at.
    pub accounts_server: Option<String>,
    /// The code of the data centre that the user belongs to.
    pub location: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
}

impl Callback {
    /// Reads a query. Unknown parameters are ignored, empty ones count as absent, and of one that comes twice the first counts.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        let mut callback = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if value.is_empty() {
                continue;
            }
            match &*name {
                "state" => {
                    callback.state.get_or_insert_with(|| Secret::new(value));
                }
                "code" => {
                    callback.code.get_or_insert_with(|| Secret::new(value));
                }
                "accounts-server" => {
                    callback
                        .accounts_server
                        .get_or_insert_with(|| value.into_owned());
                }
                "location" => {
                    callback.location.get_or_insert_with(|| value.into_owned());
                }
                "error" => {
                    callback.error.get_or_insert_with(|| value.into_owned());
                }
                _ => {}
            }
        }
        callback
    }

    /// Whether `location` names that data centre, or nothing at all.
    #[must_use]
    pub fn is_located_in(&self, centre: DataCentre) -> bool {
        self.location
            .as_ref()
            .is_none_or(|location| location.eq_ignore_ascii_case(centre.code()))
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Callback(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::data_centre::Directory;

    #[test]
    fn the_customer_is_sent_to_the_data_centres_consent_page() {
        let url = authorize_url(
            "https://accounts.zoho.eu",
            "1000.ID",
            &redirect_uri("https://sync.example"),
            &Secret::new("s t&x"),
        )
        .unwrap();
        assert!(
            url.starts_with("https://accounts.zoho.eu/oauth/v2/auth?response_type=code&"),
            "{url}"
        );
        let url = Url::parse(&url).unwrap();
        let value = |name: &str| {
            url.query_pairs()
                .find(|(key, _)| key == name)
                .unwrap()
                .1
                .into_owned()
        };
        assert_eq!(value("state"), "s t&x");
        assert_eq!(value("redirect_uri"), "https://sync.example/oauth/callback");
        assert_eq!(value("access_type"), "offline");
        assert_eq!(value("prompt"), "consent");
        assert_eq!(value("scope").split(',').count(), SCOPES.len());
    }

    #[test]
    fn nothing_in_zoho_may_be_deleted_and_deals_and_users_only_read() {
        for Scope { name, .. } in SCOPES {
            assert!(
                !name.ends_with("DELETE") && !name.ends_with("ALL"),
                "{name}"
            );
            if name.contains("deals") || name.contains("users") {
                assert!(name.ends_with("READ"), "{name}");
            }
        }
    }

    #[test]
    fn what_an_object_is_read_with_is_asked_for() {
        for object in Object::ALL {
            assert!(SCOPES.contains(&of_reading(object)), "{object}");
        }
    }

    #[test]
    fn what_was_not_granted_is_named() {
        let mut granted: Vec<String> = SCOPES.iter().map(|scope| scope.name.to_owned()).collect();
        assert_eq!(missing(&granted), []);
        granted.retain(|name| name != "ZohoCRM.org.READ" && name != "ZohoCRM.modules.tasks.CREATE");
        let names: Vec<_> = missing(&granted).iter().map(|scope| scope.name).collect();
        assert_eq!(names, ["ZohoCRM.modules.tasks.CREATE", "ZohoCRM.org.READ"]);
    }

    #[test]
    fn wider_scopes_cover_narrow_ones() {
        let granted = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            missing(&names)
                .iter()
                .map(|scope| scope.name)
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(
            granted(&[
                "ZohoCRM.modules.ALL",
                "ZohoCRM.settings.ALL",
                "zohocrm.users.all",
                "ZohoCRM.org.ALL",
                "ZohoCRM.coql.READ"
            ]),
            BTreeSet::new()
        );
        let without = granted(&["ZohoCRM.modules.tasks.WRITE"]);
        assert!(!without.contains("ZohoCRM.modules.tasks.CREATE"));
        assert!(without.contains("ZohoCRM.modules.tasks.READ"));
        assert!(without.contains("ZohoCRM.modules.accounts.CREATE"));
    }

    #[test]
    fn a_callback_is_read() {
        let callback = Callback::parse(
            "state=abc&code=1000.c&location=eu&accounts-server=https%3A%2F%2Faccounts.zoho.eu&code=second&error=&x",
        );
        assert_eq!(callback.state.as_ref().unwrap().expose(), "abc");
        assert_eq!(callback.code.as_ref().unwrap().expose(), "1000.c");
        assert_eq!(
            callback.accounts_server.as_deref(),
            Some("https://accounts.zoho.eu")
        );
        assert!(callback.is_located_in(DataCentre::Eu));
        assert!(!callback.is_located_in(DataCentre::Us));
        assert_eq!(callback.error, None);
        assert_eq!(format!("{callback:?}"), "Callback(redacted)");
    }

    /// Zoho's accounts servers with one thing changed, as an attacker would.
    fn look_alike() -> impl Strategy<Value = String> {
        let real = prop::sample::select(DataCentre::ALL.to_vec())
            .prop_map(|centre| Directory::zoho().accounts(centre));
        (real, 0..9usize, "[a-z0-9]{1,8}").prop_map(|(real, how, text)| {
            let host = real.trim_start_matches("https://");
            match how {
                0 => format!("{real}.{text}.example"),
                1 => format!("https://{text}.{host}"),
                2 => format!("https://{text}@{host}"),
                3 => format!("https://{host}@{text}.example"),
                4 => format!("{real}:8443"),
                5 => format!("http://{host}"),
                6 => format!("{real}/{text}"),
                7 => format!("{real}?{text}"),
                _ => format!("https://{text}{host}"),
            }
        })
    }

    proptest! {
        #[test]
        fn any_query_is_read_without_panic(query in ".{0,400}") {
            let callback = Callback::parse(&query);
            let _ = callback.is_located_in(DataCentre::Cn);
        }

        #[test]
        fn what_is_sent_is_what_is_read(code in ".{1,40}", server in ".{1,40}") {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("accounts-server", &server)
                .append_pair("code", &code)
                .finish();
            let callback = Callback::parse(&query);
            let read = callback.code.unwrap();
            prop_assert_eq!(read.expose(), code);
            prop_assert_eq!(callback.accounts_server.unwrap(), server);
        }

        #[test]
        fn look_alikes_of_accounts_servers_are_foreign(server in look_alike()) {
            prop_assert!(Directory::zoho().centre_of(&server).is_err(), "{}", server);
        }
    }
}
