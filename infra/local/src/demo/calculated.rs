//! Calculated account fields: among deals that have begun and not ended, the furthest end is the account's next renewal.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use jiff::{civil::Date, tz::TimeZone};
use serde_json::{Value, json};

use super::CONNECTION;
use super::measure::Look;
use super::story::{RUN_BUDGET, edit, organisation, settings};
use super::teller::{Checks, Teller};

/// How long the fields may take to follow a sync.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(120);

/// The settings with the next renewal declared, and what it is calculated from mapped.
fn with_renewals() -> Value {
    let mut settings = settings();
    let account = &mut settings["objects"]["account"];
    account["custom_fields"]["next_renewal"] = "date".into();
    let day = |field: &str, comparator: &str| json!({ "where": { "field": field, "comparator": comparator, "value": { "today": 0 } } });
    account["calculated"] = json!([{
        "platform": "next_renewal",
        "over": "deal",
        "filter": { "all": [day("start_date", "less_than"), day("end_date", "greater_equal")] },
        "value": { "max": "end_date" }
    }]);
    settings["objects"]["deal"] = json!({
        "custom_fields": { "start_date": "date", "end_date": "date" },
        "mappings": [
            { "zoho": "Start_Date", "platform": "start_date" },
            { "zoho": "End_Date", "platform": "end_date" }
        ]
    });
    settings
}

impl Teller<'_> {
    pub(super) async fn calculated_fields(&mut self, before: Look) -> Result<Look> {
        let console = &self.world.console;
        let began = Instant::now();
        let path = format!("/api/connections/{CONNECTION}/settings/preview");
        let question = json!({ "settings": with_renewals(), "object": "deal" });
        let preview = console.post(&path, &question).await?;
        let records = Look::take(self.world).await?;
        console.save_settings(CONNECTION, &with_renewals()).await?;
        self.sync_until_renewed().await?;
        let name = "a field is mapped and another calculated: previewed, saved, read once";
        let mapped = self
            .end_now(
                name,
                before,
                began,
                async |teller, before, after, checks| {
                    checks.equal(
                        "records written by the preview",
                        before.records_written(&records),
                        0,
                    );
                    checks.equal(
                        "the preview foretells a change of deals",
                        preview["touched"].as_bool(),
                        Some(true),
                    );
                    checks.compare_renewals(after, &teller.renewals()?);
                    Ok(())
                },
            )
            .await?;
        let began = Instant::now();
        let ended = self.end_of_a_deal()?;
        {
            let zoho = self.zoho()?;
            let (organisation, now) = (organisation(zoho), zoho.now());
            let further = json!({ "Start_Date": "2020-01-01", "End_Date": "2099-12-31" });
            edit(
                &mut zoho.zoho(),
                organisation,
                "Deals",
                &ended,
                &further,
                now,
            )?;
        }
        self.sync_until_renewed().await?;
        let name = "a deal is renewed in Zoho: its account follows in the same sync";
        self.end_now(
            name,
            mapped,
            began,
            async |teller, before, after, checks| {
                checks.equal(
                    "records written: the deal and its account",
                    before.records_written(after),
                    2,
                );
                checks.compare_renewals(after, &teller.renewals()?);
                Ok(())
            },
        )
        .await
    }

    /// A deal in scope.
    fn end_of_a_deal(&self) -> Result<String> {
        let scope = self.in_scope()?;
        let deals = scope.get("deal").into_iter().flatten();
        deals.last().cloned().context("no deal in scope")
    }

    /// A routine sync, and the calculation that follows from it.
    async fn sync_until_renewed(&self) -> Result<()> {
        let console = &self.world.console;
        let run = console.start_run(CONNECTION, "routine").await?;
        console
            .await_run(CONNECTION, &run, RUN_BUDGET, |_| {})
            .await?;
        let deadline = Instant::now() + FOLLOWS_WITHIN;
        loop {
            let mut checks = Checks::default();
            checks.compare_renewals(&Look::take(self.world).await?, &self.renewals()?);
            if checks.is_clean() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the calculated fields do not follow: {checks:?}");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// The next renewal of each account in scope that has one, by Zoho's own records.
    fn renewals(&self) -> Result<BTreeMap<String, Date>> {
        let scope = self.in_scope()?;
        let zoho = self.zoho()?;
        let (organisation, now) = (organisation(zoho), zoho.now());
        let guard = zoho.zoho();
        let zone = guard
            .organisation(organisation)
            .map_or("UTC", |found| found.zone_name.as_str());
        let today = now.to_zoned_datetime(TimeZone::get(zone)?).date();
        let mut renewals: BTreeMap<String, Date> = BTreeMap::new();
        for deal in guard.records(organisation, "Deals", now)? {
            let date = |field: &str| {
                deal[field]
                    .as_str()
                    .and_then(|text| text.parse::<Date>().ok())
            };
            let account = deal["Account_Name"]["id"].as_str();
            let (Some(account), Some(start), Some(end)) =
                (account, date("Start_Date"), date("End_Date"))
            else {
                continue;
            };
            let counts = start < today && end >= today;
            if counts
                && scope
                    .get("account")
                    .is_some_and(|accounts| accounts.contains(account))
            {
                let furthest = renewals.entry(account.to_owned()).or_insert(end);
                *furthest = end.max(*furthest);
            }
        }
        Ok(renewals)
    }
}

impl Checks {
    fn compare_renewals(&mut self, look: &Look, wanted: &BTreeMap<String, Date>) {
        let found: BTreeMap<String, Date> = look
            .present()
            .filter(|(object, _)| *object == "account")
            .filter_map(|(_, record)| {
                let date = record.get("fields")?.get("next_renewal")?.get("date")?;
                let zoho_id = record.get("zoho_id")?.as_str()?;
                Some((zoho_id.to_owned(), date.as_str()?.parse().ok()?))
            })
            .collect();
        let wrong = wanted
            .iter()
            .filter(|(id, date)| found.get(*id) != Some(date));
        self.equal("next renewals that are wrong", wrong.count(), 0);
        let beyond = found.keys().filter(|id| !wanted.contains_key(*id));
        self.equal("next renewals that should not be there", beyond.count(), 0);
        self.holds("there are renewals", !wanted.is_empty());
    }
}
