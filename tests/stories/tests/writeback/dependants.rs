//! What people give a new account in Zoho before its link is known comes, although the queue did not take the question for it (S5).

use serde_json::json;
use tandem::connection::ROUTINE_INTERVAL;
use tandem::flow::runs;
use tandem::message::Writeback;
use tandem::object::Object;
use tandem::record::Dependants;
use tandem::run::RunKind;
use tandem_memory::{Failure, Fault, When};
use zoho_sim::faults::Moment;

use super::*;

/// An account that the platform creates, and the message about it.
async fn new_account() -> (Story, Writeback) {
    let story = synced(editable_and("create_in_zoho", json!(["account"]))).await;
    let fields = json!({ "name": "New" });
    let answer = story.submit(Object::Account, "A-new", fields).await;
    assert!(answer.unwrap().accepted);
    let held = story.world.queue.take_writeback().unwrap();
    (story, held.message)
}

async fn start_routine_sync(story: &Story) {
    let (ports, connection) = (story.ports(), story.connection());
    let started = runs::start(&ports, &connection, RunKind::Routine).await;
    started.unwrap();
}

/// People give the account a deal, and a routine sync passes over it, because nobody knows yet whose it is. Returns the Zoho ids of both.
async fn passed_over(story: &Story) -> (String, String) {
    let rows = story.rows("Accounts").unwrap();
    let made = rows.iter().find(|row| row["External_ID"] == "A-new");
    let made = made.unwrap()["id"].as_str().unwrap().to_owned();
    let deal =
        json!({ "Deal_Name": "Renewal", "Stage": "Qualification", "Account_Name": { "id": made } });
    let deal = story.zoho_creates("Deals", &deal).unwrap();
    let queue = &story.world.queue.work;
    let deals = queue.take_where(|work| work.object() == Object::Deal);
    story.handle_work(&deals.unwrap().message).await.unwrap();
    (made, deal)
}

/// Whether the account's dependants were asked for.
fn dependants(story: &Story, account: &str) -> Dependants {
    let links = story.world.store.all_links(&story.connection());
    let mut links = links.into_iter();
    let link = links.find(|link| link.zoho_id.to_string() == account);
    link.unwrap().dependants
}

/// The account's message comes once more, and then everything else that waits.
async fn assert_asked_for(story: &Story, message: &Writeback, account: &str, deal: &str) {
    assert_eq!(dependants(story, account), Dependants::Due);
    let has_deal = || story.present(Object::Deal).contains(deal);
    story.pass(jiff::SignedDuration::from_mins(2));
    story.handle_writeback(message).await.unwrap();
    assert!(!has_deal());
    story.deliver().await.unwrap();
    assert!(has_deal());
    assert_eq!(dependants(story, account), Dependants::Asked);
    assert_eq!(count(story, "Accounts", "External_ID", "A-new"), 1);
    let record = story.record(Object::Account, "A-new").await.unwrap();
    assert_eq!(record.zoho_id.map(String::from).as_deref(), Some(account));
    assert!(record.pending.is_empty() && record.parked.is_none());
    assert_silent(story).await;
}

#[tokio::test]
async fn dependants_of_a_new_account_that_the_queue_was_not_told_of_are_asked_for_by_the_next_sync()
{
    let unavailable = Fault::Fail(When::Before, Failure::Unavailable);
    for fault in [unavailable, Fault::Crash(When::Before)] {
        let (story, message) = new_account().await;
        story.pass(ROUTINE_INTERVAL);
        start_routine_sync(&story).await;
        let faults = &story.world.faults;
        let meanwhile = async {
            let both = passed_over(&story).await;
            faults.always("send_work", fault);
            both
        };
        let handled = faults.run(story.handle_writeback(&message));
        let met = faults.amid("save_links", handled, meanwhile).await;
        let (handled, (made, deal)) = met.unwrap();
        faults.clear();
        match fault {
            Fault::Crash(_) => assert!(handled.is_err(), "{handled:?}"),
            // The account is made and said to be: its message has nothing left to do.
            Fault::Fail(..) => handled.unwrap().unwrap(),
        }
        assert_asked_for(&story, &message, &made, &deal).await;
    }
}

#[tokio::test]
async fn a_message_whose_account_was_found_comes_again_where_its_dependants_can_not_be_asked_for() {
    let (story, message) = new_account().await;
    story.zoho.model().faults.fail(zoho_sim::faults::Fault {
        method: Some("POST".into()),
        path: "/crm/v8/Accounts".into(),
        moment: Moment::After,
        status: 0,
        ..zoho_sim::faults::Fault::default()
    });
    let unanswered = story.handle_writeback(&message).await;
    assert!(unanswered.is_err(), "the answer was lost");
    story.pass(ROUTINE_INTERVAL);
    start_routine_sync(&story).await;
    let (made, deal) = passed_over(&story).await;
    let faults = &story.world.faults;
    faults.always("send_work", Fault::Fail(When::Before, Failure::Unavailable));
    let failed = story.handle_writeback(&message).await;
    assert!(failed.is_err(), "it comes again");
    faults.clear();
    assert_asked_for(&story, &message, &made, &deal).await;
}
