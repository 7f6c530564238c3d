//! Credit counters.

use futures::future::join_all;
use tandem::credit::{self, Bucket, Hour, Parts, Spender, Spent, Word};
use tandem::identifier::ConnectionId;

use super::Stores;
use crate::setting::CONTENDERS;

fn spend(spender: Spender, credits: u64) -> Spent {
    Spent {
        spender,
        credits,
        word: None,
    }
}

/// What was spent from a bucket on, by everybody.
async fn spent_from(at: &Stores, connection: &ConnectionId, from: Bucket) -> u64 {
    let hours = at.port.credits_spent(connection, from).await.unwrap();
    credit::spent(&hours).total()
}

pub(crate) async fn credits_add_up_over_buckets(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let bucket = |hours: i64| Bucket::of(at.after(hours * 3_600));
    let spent = async |from| spent_from(at, &id, bucket(from)).await;
    let add = async |hours, credits| {
        let spent = spend(Spender::RoutineSync, credits);
        let added = at.port.spend_credits(&id, bucket(hours), spent).await;
        added.unwrap();
    };
    assert_eq!(spent(-24).await, 0);
    add(0, 0).await;
    assert_eq!(spent(-24).await, 0);
    for (hours, credits) in [
        (-24, 1),
        (-2, 10),
        (-1, 100),
        (0, 1_000),
        (0, 4_000_000_000),
    ] {
        add(hours, credits).await;
    }
    let others = spend(Spender::FullSync, 7);
    at.port
        .spend_credits(&alike, bucket(0), others)
        .await
        .unwrap();
    assert_eq!(spent(-24).await, 4_000_001_111);
    assert_eq!(spent(-23).await, 4_000_001_110);
    assert_eq!(spent(-1).await, 4_000_001_100);
    assert_eq!(spent(1).await, 0);

    let add = |_| {
        at.port
            .spend_credits(&id, bucket(1), spend(Spender::Writeback, 3))
    };
    for answer in join_all((0..CONTENDERS).map(add)).await {
        answer.unwrap();
    }
    assert_eq!(spent(1).await, 3 * CONTENDERS);
    assert_eq!(spent_from(at, &alike, bucket(0)).await, 7);
}

pub(crate) async fn credits_are_kept_by_hour_and_by_who_spent_them(at: &Stores) {
    let id = at.connection();
    let bucket = |hours: i64| Bucket::of(at.after(hours * 3_600));
    for (hours, spender, credits) in [
        (0, Spender::FullSync, 1),
        (0, Spender::RoutineSync, 20),
        (0, Spender::Person, 300),
        (0, Spender::Writeback, 4_000),
        (0, Spender::Writeback, 50_000),
        (-1, Spender::FullSync, 9),
    ] {
        let spent = spend(spender, credits);
        at.port
            .spend_credits(&id, bucket(hours), spent)
            .await
            .unwrap();
    }
    let hour = |hours, parts| Hour {
        bucket: bucket(hours),
        parts,
        word: None,
    };
    let before = Parts {
        full_sync: 9,
        ..Parts::default()
    };
    let now = Parts {
        full_sync: 1,
        routine_sync: 20,
        person: 300,
        writeback: 54_000,
    };
    let kept = at.port.credits_spent(&id, bucket(-24)).await.unwrap();
    assert_eq!(kept, [hour(-1, before), hour(0, now)]);
}

pub(crate) async fn zohos_latest_word_in_an_hour_stays(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let bucket = Bucket::of(at.now);
    let word = |left, seconds| Word {
        left,
        at: at.after(seconds),
    };
    let tell = async |told| {
        let spent = Spent {
            word: told,
            ..spend(Spender::Writeback, 1)
        };
        at.port.spend_credits(&id, bucket, spent).await.unwrap();
        let hours = at.port.credits_spent(&id, bucket).await.unwrap();
        assert_eq!(hours.len(), 1);
        hours[0].word
    };
    assert_eq!(tell(None).await, None);
    assert_eq!(tell(Some(word(0, 5))).await, Some(word(0, 5)));
    assert_eq!(
        tell(Some(word(9, 4))).await,
        Some(word(0, 5)),
        "an older one"
    );
    assert_eq!(
        tell(Some(word(9, 5))).await,
        Some(word(0, 5)),
        "the same instant"
    );
    assert_eq!(tell(None).await, Some(word(0, 5)));
    let most = word(u64::MAX, 6);
    assert_eq!(tell(Some(most)).await, Some(most));
    assert_eq!(spent_from(at, &id, bucket).await, 6, "all are counted");
    assert_eq!(at.port.credits_spent(&alike, bucket).await.unwrap(), []);
}

pub(crate) async fn buckets_are_in_the_order_of_time_at_any_digit_count(at: &Stores) {
    let id = at.connection();
    let after_the_epoch =
        |hours: i64| Bucket::of(jiff::Timestamp::from_second(hours * 3_600).unwrap());
    let far = after_the_epoch(1_000_000);
    let spent = spend(Spender::Person, 5);
    at.port.spend_credits(&id, far, spent).await.unwrap();
    assert_eq!(spent_from(at, &id, Bucket::of(at.now)).await, 5);
    assert_eq!(spent_from(at, &id, Bucket::day_before(at.now)).await, 5);
}
