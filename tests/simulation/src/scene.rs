//! Where a seed plays: one platform, one Zoho, some connections with an organisation each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use stories::Story;
use tandem::identifier::{FieldName, PlatformId, RunId};
use tandem::mapping::fold;
use tandem::message::Edit;
use tandem::object::Object;
use tandem::port::{Clock, Connections as _, Ports};
use tandem_memory::{ManualClock, SimulatedZoho, World};
use zoho_sim::OrganisationSpec;

use crate::Dress;
use crate::dice::Dice;
use crate::fate::Seen;
use crate::recorder::Recorder;
use crate::teller::telling;

/// When every seed begins.
const BEGINNING: &str = "2026-11-23T10:00:00Z";

/// The modules of the objects that people edit in Zoho.
pub(crate) const MODULES: [&str; 4] = ["Accounts", "Contacts", "Deals", "Tasks"];

/// Names that no generated text contains.
pub(crate) const NAMES: [&str; 3] = ["acmeq", "birchq", "cedarq"];

/// The platform, Zoho and the connections.
pub(crate) struct Scene<'a> {
    pub(crate) world: World,
    pub(crate) zoho: Arc<SimulatedZoho>,
    pub(crate) sides: Vec<Side>,
    pub(crate) recorder: Recorder,
    dress: &'a dyn Dress,
}

/// A connection, and what was asked of it.
pub(crate) struct Side {
    pub(crate) story: Story,
    /// What the platform made: by object and platform id, what finds it in Zoho.
    pub(crate) made: BTreeMap<(Object, String), String>,
    /// What people deleted in Zoho, by module.
    pub(crate) deleted: Vec<(&'static str, String)>,
    /// The settings that it had, in their order.
    pub(crate) settings: Vec<Json>,
    /// What Zoho was seen to have.
    pub(crate) seen: Seen,
    pub(crate) past: Past,
}

/// What people did, as far as a check has to know of it.
#[derive(Default)]
pub(crate) struct Past {
    /// What they gave records in Zoho, in their order.
    pub(crate) values: Vec<Given>,
    /// The records that Zoho had at first, and those that they created, by module and id.
    pub(crate) created: BTreeSet<(&'static str, String)>,
    /// The external ids that they gave to a second record.
    pub(crate) doubled: BTreeSet<String>,
    /// When a record in Zoho last gave up an external id, by module and id.
    pub(crate) freed: BTreeMap<(&'static str, String), Timestamp>,
    /// The edits that the platform sent by messages, or that were accepted of it.
    pub(crate) sent: Vec<Sent>,
    /// What changed in Zoho without being flagged, by module and id.
    pub(crate) unflagged: BTreeSet<(&'static str, String)>,
    /// The fields that an administrator hid or showed.
    pub(crate) hidden: BTreeSet<(Object, &'static str)>,
    /// The removals to which they said yes: by object, and the full sync that found out.
    pub(crate) approved: BTreeSet<(Object, RunId)>,
    /// Whether the customer revoked the grant.
    pub(crate) revoked: bool,
    /// The credits that others than Tandem spent.
    pub(crate) spent: u64,
}

/// The values that a person gave a record in Zoho.
pub(crate) struct Given {
    pub(crate) module: &'static str,
    pub(crate) id: String,
    pub(crate) values: Json,
    /// The version that each of the platform's records of the object had then: a value that came back is known by what was said of it since.
    pub(crate) versions: BTreeMap<PlatformId, u64>,
}

/// An edit of a field that has to be taken up.
pub(crate) struct Sent {
    pub(crate) object: Object,
    pub(crate) id: PlatformId,
    pub(crate) field: FieldName,
    pub(crate) at: Timestamp,
}

impl Sent {
    /// Those of an edit of several fields.
    pub(crate) fn all(object: Object, edit: &Edit, at: Timestamp) -> impl Iterator<Item = Self> {
        // A contact's external id is the same in capitals (I2).
        let folded = match object {
            Object::Contact => fold(edit.id.as_str()).parse().ok(),
            _ => None,
        };
        let id = folded.unwrap_or_else(|| edit.id.clone());
        edit.fields.keys().map(move |field| Self {
            object,
            id: id.clone(),
            field: field.clone(),
            at,
        })
    }
}

impl<'a> Scene<'a> {
    /// Sets the scene of a seed; half of the connections are synced once.
    pub(crate) async fn set(seed: u64, dress: &'a dyn Dress, recorder: Recorder) -> Result<Self> {
        let mut dice = Dice::new(seed);
        let now: Timestamp = BEGINNING.parse()?;
        let (world, zoho) = World::simulated(seed, now);
        world.store.keep_stream();
        zoho.model().clock_offset = SignedDuration::from_secs(dice.between(-90, 90));
        let mut sides = Vec::new();
        for name in NAMES.iter().take(1 + dice.below(3)) {
            let spec = OrganisationSpec {
                accounts: 4,
                contacts: Some(6),
                deals: Some(4),
                tasks: Some(6),
                users: Some(3),
                unique_external_id: dice.once_in(2),
                workflows: false,
                name: format!("{name} Ltd"),
                ..OrganisationSpec::small(dice.number())
            };
            let mut document = settings(&mut dice);
            let (synced, holding) = (dice.once_in(2), dice.once_in(3));
            if holding {
                document["removal_guard"] = json!({ "percent": 0, "records": 0 });
            }
            let story = Story::beside(&world, &zoho, name, &spec, document.clone()).await?;
            if synced {
                story.full_sync().await?;
            }
            if synced && holding {
                // Some removals wait for a person from the beginning.
                for id in story.present(Object::Contact).into_iter().take(1) {
                    story.zoho_deletes("Contacts", &id)?;
                }
                story.full_sync().await?;
            }
            let mut deleted = Vec::new();
            if synced && !holding && dice.once_in(2) {
                // Some records were removed, and may come back.
                for (object, module) in
                    [(Object::Account, "Accounts"), (Object::Contact, "Contacts")]
                {
                    for id in story.present(object).into_iter().take(1) {
                        story.zoho_deletes(module, &id)?;
                        deleted.push((module, id));
                    }
                }
                story.full_sync().await?;
            }
            let mut connection = world.store.connection(&story.connection()).await?;
            if let Some(connection) = &mut connection {
                let due = world.now() + SignedDuration::from_mins(dice.between(0, 90));
                connection.full_due_at = Some(due);
                world.store.save_connection(connection.clone()).await?;
            }
            let mut past = Past::default();
            for module in MODULES {
                let rows = story.rows(module)?.into_iter();
                let ids = rows.filter_map(|row| Some((module, row["id"].as_str()?.to_owned())));
                past.created.extend(ids);
            }
            past.created.extend(deleted.iter().cloned());
            let mut side = Side {
                story,
                made: BTreeMap::new(),
                deleted,
                settings: vec![document],
                seen: Seen::default(),
                past,
            };
            let mut seen = Seen::default();
            seen.look(&side)?;
            side.seen = seen;
            sides.push(side);
        }
        world.faults.take_turns();
        recorder.attach(&world);
        Ok(Self {
            world,
            zoho,
            sides,
            recorder,
            dress,
        })
    }

    /// Whether a message is acknowledged as soon as it is taken.
    pub(crate) fn acknowledges_at_once(&self) -> bool {
        self.dress.acknowledges_at_once()
    }

    /// The ports of a function whose clock is a little off.
    pub(crate) fn ports(&self, off: SignedDuration) -> Ports {
        let clock = Off {
            clock: self.world.clock.clone(),
            by: off,
        };
        let ports = Ports {
            clock: Arc::new(clock),
            ..self.world.ports()
        };
        self.dress.ports(match self.recorder.tells() {
            true => telling(ports, &self.recorder),
            false => ports,
        })
    }
}

/// A clock that is off.
struct Off {
    clock: Arc<ManualClock>,
    by: SignedDuration,
}

impl Clock for Off {
    fn now(&self) -> Timestamp {
        let now = self.clock.now();
        now.checked_add(self.by).unwrap_or(now)
    }
}

/// Settings that chance decides.
pub(crate) fn settings(dice: &mut Dice) -> Json {
    let policies = ["zoho_wins", "platform_wins", "latest_wins"];
    let mut contact = vec![json!({ "zoho": "Phone", "platform": "phone", "editable": true })];
    if dice.once_in(4) {
        contact.push(json!({ "zoho": "Title", "platform": "title" }));
    }
    let mut settings = json!({
        "account_external_id": "External_ID",
        "source_mode": if dice.once_in(5) { "enrich_only" } else { "create" },
        "core_writeback": true,
        "conflicts": dice.pick(&policies),
        "removal_guard": { "percent": 100, "records": 1_000 },
        "objects": {
            "account": {
                "custom_fields": { "health": "decimal", "deals": "integer" },
                "mappings": [{ "zoho": "Health_Score", "platform": "health", "editable": true }],
                "calculated": [{ "platform": "deals", "over": "deal", "value": "count" }]
            },
            "contact": { "mappings": contact }
        }
    });
    if !dice.once_in(5) {
        settings["objects"]["account"]["filter"] = json!({ "where": {
            "field": "Customer_Status", "comparator": "equal", "value": "Active"
        } });
    }
    if dice.once_in(4) {
        settings["objects"]["contact"]["filter"] = json!({ "where": {
            "field": "Last_Name", "comparator": "not_equal", "value": "Hidden"
        } });
    }
    if dice.once_in(3) {
        settings["segments"] = json!(["vip"]);
    }
    let creatable = [json!([]), json!(["contact"]), json!(["account", "contact"])];
    settings["create_in_zoho"] = dice.pick(&creatable).cloned().unwrap_or_default();
    if dice.once_in(4) {
        settings["task_mark"] = "Task_Reference".into();
    }
    if dice.once_in(4) {
        settings["removal_guard"] = json!({ "percent": 0, "records": dice.below(2) });
    }
    settings
}
