//! What comes from outside and has gone wrong: rows, settings, messages. Nothing panics, nothing is lost, and what is wrong is named.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

mod messages;
mod rows;
mod settings;

/// Settings that use all there is to use.
fn full_settings() -> serde_json::Value {
    let today = serde_json::json!({ "where": { "field": "end_date", "comparator": "greater_equal", "value": { "today": 0 } } });
    serde_json::json!({
        "account_external_id": "External_ID",
        "contact_external_id": "Email",
        "source_mode": "create",
        "core_writeback": true,
        "task_writeback": true,
        "create_in_zoho": ["contact"],
        "conflicts": "latest_wins",
        "segments": ["vip"],
        "trigger": ["workflow"],
        "night_hour": 2,
        "credit_share": 50,
        "log": { "keep_days": 30, "values": true },
        "removal_guard": { "percent": 20, "records": 50 },
        "task_mark": "Platform_ID",
        "objects": {
            "account": {
                "filter": { "all": [
                    { "where": { "field": "Customer_Status", "comparator": "equal", "value": "Active" } },
                    { "any": [
                        { "where": { "field": "Website", "comparator": "is_not_empty" } },
                        { "where": { "field": "Employees", "comparator": "between", "value": [1, 10.5] } },
                    ] },
                ] },
                "custom_fields": { "health": "decimal", "next_renewal": "date", "tier": "choice" },
                "mappings": [
                    { "zoho": "Health_Score", "platform": "health", "editable": true, "null": "keep", "direction": "both", "conflicts": "zoho_wins" },
                    { "zoho": "Tier", "platform": "tier", "choices": "append" },
                ],
                "calculated": [{ "platform": "next_renewal", "over": "deal", "filter": { "all": [today] }, "value": { "max": "end_date" } }],
            },
            "deal": {
                "custom_fields": { "end_date": "date", "boss": { "reference": "user" } },
                "mappings": [{ "zoho": "End_Date", "platform": "end_date" }, { "zoho": "Boss", "platform": "boss" }],
            },
        },
    })
}
