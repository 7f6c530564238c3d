//! Marks of accounts that are to be calculated.

use jiff::civil;
use tandem::calculation::Mark;
use tandem::identifier::{ConnectionId, Digest, PlatformId};
use tandem::port::Store;

use crate::samples::platform;
use crate::setting::Setting;

type Stores = Setting<dyn Store>;

/// How many marks a call is given.
const COUNTS: [u32; 4] = [0, 1, 26, 101];

fn day(text: &str) -> civil::Date {
    text.parse().unwrap()
}

fn mark(at: &Stores, connection: &ConnectionId, on: &str, account: &str, stamp: u128) -> Mark {
    Mark {
        connection: connection.clone(),
        day: day(on),
        account: platform(account),
        marked_at: at.now,
        stamp,
    }
}

/// Walks the marks that are due as a calculation does.
async fn due(at: &Stores, connection: &ConnectionId, today: &str, limit: usize) -> Vec<Mark> {
    let (mut all, mut after) = (Vec::new(), None::<(civil::Date, PlatformId)>);
    loop {
        let behind = after.as_ref().map(|(day, account)| (*day, account));
        let found = at
            .port
            .calculations_due(connection, day(today), behind, limit);
        let found: Vec<Mark> = found.await.unwrap();
        assert!(found.len() <= limit, "more than asked for");
        let Some(last) = found.last() else { return all };
        after = Some((last.day, last.account.clone()));
        all.extend(found);
    }
}

pub(crate) async fn a_mark_comes_back_as_it_was_made(at: &Stores) {
    let id = at.connection();
    let longest = "x".repeat(255);
    let accounts = ["mit Leerzeichen / # und \u{1F517}", "4711", &longest];
    for (place, account) in accounts.into_iter().enumerate() {
        let stamp = u128::MAX - place as u128;
        let made = mark(at, &id, "2026-11-23", account, stamp);
        at.port
            .mark_calculations(std::slice::from_ref(&made))
            .await
            .unwrap();
        let found = due(at, &id, "2026-11-23", 10).await;
        assert!(found.contains(&made), "{found:?}");
        at.port.clear_calculations(&[made]).await.unwrap();
    }
    assert_eq!(due(at, &id, "9999-12-31", 10).await, []);
}

pub(crate) async fn marks_are_walked_by_day_and_account(at: &Stores) {
    let id = at.connection();
    // Ids of which one begins like another, and in whose order the separator of keys, or a space, would go wrong.
    let places = [
        ("2026-11-22", "B"),
        ("2026-11-22", "b"),
        ("2026-11-23", "1"),
        ("2026-11-23", "1 #2"),
        ("2026-11-23", "1!"),
        ("2026-11-23", "1#"),
        ("2026-11-23", "10"),
        ("2026-11-23", "9"),
        ("2026-11-23", "é"),
        ("2026-11-24", "1"),
        ("2027-01-01", "1"),
    ];
    let marks: Vec<Mark> = places
        .iter()
        .zip(0..)
        .map(|((on, account), stamp)| mark(at, &id, on, account, stamp))
        .collect();
    let mut shuffled = marks.clone();
    shuffled.rotate_left(4);
    shuffled.reverse();
    at.port.mark_calculations(&shuffled).await.unwrap();
    for limit in [1, 2, 3, 100] {
        assert_eq!(due(at, &id, "2026-11-21", limit).await, []);
        assert_eq!(due(at, &id, "2026-11-22", limit).await, marks[..2]);
        assert_eq!(due(at, &id, "2026-11-23", limit).await, marks[..9]);
        assert_eq!(due(at, &id, "2026-12-31", limit).await, marks[..10]);
        assert_eq!(due(at, &id, "2030-01-01", limit).await, marks);
    }
    let early = at.port.calculations_due(
        &id,
        day("2026-11-20"),
        Some((day("2026-11-23"), &marks[2].account)),
        10,
    );
    assert_eq!(
        early.await.unwrap(),
        [],
        "a range that ends before it begins"
    );
}

pub(crate) async fn any_number_of_marks_is_made_and_cleared(at: &Stores) {
    for count in COUNTS {
        let id = at.connection();
        let marks: Vec<Mark> = (0..count)
            .map(|number| {
                let account = format!("A-{number:03}");
                mark(at, &id, "2026-11-23", &account, u128::from(number))
            })
            .collect();
        at.port.mark_calculations(&marks).await.unwrap();
        assert_eq!(due(at, &id, "2026-11-23", 40).await, marks, "of {count}");
        at.port.clear_calculations(&marks).await.unwrap();
        assert_eq!(due(at, &id, "2026-11-23", 40).await, []);
        at.port.clear_calculations(&marks).await.unwrap();
    }
}

pub(crate) async fn a_mark_made_anew_is_not_cleared_with_the_one_before(at: &Stores) {
    let id = at.connection();
    let first = mark(at, &id, "2026-11-23", "A", 1);
    let other = mark(at, &id, "2026-11-23", "B", 1);
    let anew = Mark {
        stamp: 2,
        ..first.clone()
    };
    at.port
        .mark_calculations(&[first.clone(), other.clone()])
        .await
        .unwrap();
    at.port
        .mark_calculations(std::slice::from_ref(&anew))
        .await
        .unwrap();
    at.port.clear_calculations(&[first, other]).await.unwrap();
    assert_eq!(
        due(at, &id, "2026-11-23", 10).await,
        std::slice::from_ref(&anew)
    );
    let tomorrow = mark(at, &id, "2026-11-24", "A", 2);
    at.port.clear_calculations(&[tomorrow]).await.unwrap();
    assert_eq!(
        due(at, &id, "2026-11-23", 10).await,
        std::slice::from_ref(&anew),
        "another day's is another mark"
    );
    at.port.clear_calculations(&[anew]).await.unwrap();
    assert_eq!(due(at, &id, "2026-11-23", 10).await, []);
}

pub(crate) async fn marks_of_two_connections_never_mix(at: &Stores) {
    let owners = at.look_alikes();
    let mine = |owner: &ConnectionId| mark(at, owner, "2026-11-23", "A", 1);
    for owner in &owners {
        at.port.mark_calculations(&[mine(owner)]).await.unwrap();
    }
    at.port
        .clear_calculations(&[mine(&owners[0])])
        .await
        .unwrap();
    assert_eq!(due(at, &owners[0], "2026-11-23", 10).await, []);
    for owner in &owners[1..] {
        assert_eq!(due(at, owner, "2026-11-23", 10).await, [mine(owner)]);
    }
}

pub(crate) async fn what_was_calculated_with_is_noted(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let read = async |id: &ConnectionId| at.port.calculated_with(id).await.unwrap();
    assert_eq!(read(&id).await, None);
    for plan in [b"one", b"two"] {
        let plan = Digest::of(plan);
        at.port.note_calculated_with(&id, plan).await.unwrap();
        assert_eq!(read(&id).await, Some(plan));
    }
    assert_eq!(read(&alike).await, None);
}
