//! Links, removal candidates and references that wait for their other end.

use std::collections::BTreeSet;

use tandem::identifier::{ConnectionId, Digest, PlatformId, RunId, ZohoId};
use tandem::object::Object;
use tandem::port::{Error, Store};
use tandem::record::{Candidate, Dependants, Link, RemovalReason, Standing};

use crate::samples::{NUMBERS, candidate, dependants, link, platform, run, zoho};
use crate::setting::Setting;

type Stores = Setting<dyn Store>;

/// How many ids a call is given.
const COUNTS: [u64; 5] = [0, 1, 25, 101, 250];

fn by_id(mut links: Vec<Link>) -> Vec<Link> {
    links.sort_by_key(|link| link.zoho_id);
    links
}

pub(crate) async fn a_link_comes_back_as_it_was_stored(at: &Stores) {
    let id = at.connection();
    let standings = [
        Standing::Linked(platform("mit Leerzeichen / # und \u{1F517}")),
        Standing::Unmatched,
        Standing::Duplicate(platform("4711")),
        Standing::Unknown(platform(&"x".repeat(255))),
        Standing::Removed(platform("gone-1")),
    ];
    for flags in 0..4_u64 {
        let number = |place: usize| flags * 10 + place as u64 + 1;
        let links: Vec<Link> = standings
            .iter()
            .enumerate()
            .map(|(place, standing)| Link {
                standing: standing.clone(),
                in_scope: flags & 1 > 0,
                dependants: dependants(flags & 2),
                ..link(&id, Object::Deal, number(place))
            })
            .collect();
        at.port.save_links(&links).await.unwrap();
        let ids: Vec<ZohoId> = links.iter().map(|link| link.zoho_id).collect();
        let found = at.port.links(&id, Object::Deal, &ids).await.unwrap();
        assert_eq!(by_id(found), links);
    }
}

pub(crate) async fn any_number_of_links_is_stored_and_found(at: &Stores) {
    for count in COUNTS {
        let id = at.connection();
        let links: Vec<Link> = (1..=count)
            .map(|number| link(&id, Object::Contact, number * 2))
            .collect();
        at.port.save_links(&links).await.unwrap();
        let mut ids: Vec<ZohoId> = (1..=count * 2).map(zoho).collect();
        ids.reverse();
        let found = at.port.links(&id, Object::Contact, &ids).await.unwrap();
        assert_eq!(by_id(found), links, "of {count}");
    }
}

pub(crate) async fn a_link_named_twice_is_one(at: &Stores) {
    let id = at.connection();
    let first = link(&id, Object::Task, 7);
    let second = Link {
        standing: Standing::Unmatched,
        ..first.clone()
    };
    at.port
        .save_links(&[first.clone(), second.clone()])
        .await
        .unwrap();
    let ids = [zoho(7), zoho(7), zoho(8), zoho(8)];
    let found = at.port.links(&id, Object::Task, &ids).await.unwrap();
    assert_eq!(found, [second], "the last one stands");
    at.port
        .save_links(std::slice::from_ref(&first))
        .await
        .unwrap();
    let found = at.port.links(&id, Object::Task, &ids).await.unwrap();
    assert_eq!(found, std::slice::from_ref(&first));
    at.port.remove_link_over(&first).await.unwrap();
    assert_eq!(at.port.links(&id, Object::Task, &ids).await.unwrap(), []);
}

pub(crate) async fn a_link_is_stored_only_over_the_one_that_was_read(at: &Stores) {
    let id = at.connection();
    let port = &at.port;
    let first = link(&id, Object::Account, 7);
    let stored = async || {
        let found = port.links(&id, Object::Account, &[zoho(7)]).await;
        found.unwrap().pop()
    };
    let refused = async |link: &Link, read: Option<&Link>| {
        let answer = port.save_link_over(link, read).await;
        matches!(answer, Err(Error::Conflict { .. }))
    };
    assert!(refused(&first, Some(&first)).await, "there is none");
    port.save_link_over(&first, None).await.unwrap();
    assert!(!refused(&first, None).await, "it is the same");
    let another = Link {
        in_scope: !first.in_scope,
        ..first.clone()
    };
    assert!(refused(&another, None).await, "there is one");
    assert_eq!(stored().await.as_ref(), Some(&first));
    let mut last = first.clone();
    for next in [
        Link {
            hash: Digest::of(b"another"),
            ..first.clone()
        },
        Link {
            standing: Standing::Unmatched,
            ..first.clone()
        },
        Link {
            in_scope: !first.in_scope,
            ..first.clone()
        },
        Link {
            dependants: Dependants::LeftTo(RunId::new(1, 1)),
            ..first.clone()
        },
        Link {
            dependants: Dependants::LeftTo(RunId::new(1, 2)),
            ..first.clone()
        },
        Link {
            dependants: Dependants::Again(1),
            ..first.clone()
        },
        Link {
            dependants: Dependants::Again(2),
            ..first.clone()
        },
        Link {
            dependants: Dependants::Due,
            ..first.clone()
        },
        Link {
            standing: Standing::Linked("somebody-else".parse().unwrap()),
            ..first.clone()
        },
    ] {
        assert!(refused(&next, Some(&next)).await, "another is stored");
        port.save_link_over(&next, Some(&last)).await.unwrap();
        assert!(refused(&first, Some(&last)).await, "it was read before");
        last = next;
    }
    assert_eq!(stored().await, Some(last));
}

pub(crate) async fn a_link_is_removed_only_as_it_was_read(at: &Stores) {
    let id = at.connection();
    let port = &at.port;
    let ids = [zoho(7), zoho(8)];
    let stored = async || by_id(port.links(&id, Object::Account, &ids).await.unwrap());
    let refused = async |read: &Link| {
        let answer = port.remove_link_over(read).await;
        matches!(answer, Err(Error::Conflict { .. }))
    };
    let (read, beside) = (link(&id, Object::Account, 7), link(&id, Object::Account, 8));
    port.remove_link_over(&read).await.unwrap();
    port.save_link_over(&beside, None).await.unwrap();
    for meanwhile in [
        Link {
            hash: Digest::of(b"another"),
            ..read.clone()
        },
        Link {
            standing: Standing::Unmatched,
            ..read.clone()
        },
        Link {
            standing: Standing::Linked(platform("somebody-else")),
            ..read.clone()
        },
        Link {
            in_scope: !read.in_scope,
            ..read.clone()
        },
        Link {
            dependants: Dependants::LeftTo(RunId::new(1, 1)),
            ..read.clone()
        },
        Link {
            dependants: Dependants::Due,
            ..read.clone()
        },
        Link {
            dependants: Dependants::Again(1),
            ..read.clone()
        },
    ] {
        port.save_link_over(&meanwhile, None).await.unwrap();
        assert!(refused(&read).await, "another is stored");
        assert_eq!(stored().await, [meanwhile.clone(), beside.clone()]);
        port.remove_link_over(&meanwhile).await.unwrap();
        assert_eq!(stored().await, std::slice::from_ref(&beside));
        // It is gone already, whatever was read.
        port.remove_link_over(&meanwhile).await.unwrap();
        port.remove_link_over(&read).await.unwrap();
    }
}

/// Walks a range of links as a merge join does.
async fn range(
    at: &Stores,
    id: &ConnectionId,
    after: ZohoId,
    to: ZohoId,
    limit: usize,
) -> Vec<Link> {
    let (mut all, mut from) = (Vec::new(), after);
    loop {
        let found = at.port.links_between(id, Object::Account, from, to, limit);
        let (links, more) = found.await.unwrap();
        assert!(links.len() <= limit, "more than asked for");
        let last = links.last().map(|link| link.zoho_id);
        assert!(last.is_none_or(|last| last > from), "no way on");
        all.extend(links);
        match (more, last) {
            (false, _) => return all,
            (true, last) => from = last.unwrap_or_else(|| panic!("nothing, but more to come")),
        }
    }
}

pub(crate) async fn a_range_of_links_is_walked_once_in_the_order_of_numbers(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let links: Vec<Link> = NUMBERS
        .into_iter()
        .map(|number| link(&id, Object::Account, number))
        .collect();
    let mut shuffled = links.clone();
    shuffled.rotate_left(4);
    shuffled.reverse();
    at.port.save_links(&shuffled).await.unwrap();
    let others = [
        link(&alike, Object::Account, 50),
        link(&id, Object::Contact, 51),
    ];
    at.port.save_links(&others).await.unwrap();
    for limit in [1, 2, 3, 10, 11, 500] {
        let all = range(at, &id, ZohoId::MIN, ZohoId::MAX, limit).await;
        assert_eq!(all, links, "{limit} a time");
        let from = range(at, &id, zoho(99), ZohoId::MAX, limit).await;
        assert_eq!(from, links[3..], "its lower end is exclusive");
        let until = range(at, &id, ZohoId::MIN, zoho(100), limit).await;
        assert_eq!(until, links[..4], "its upper end is inclusive");
        let inner = range(at, &id, zoho(10), zoho(9_999_999_999_999_999_998), limit).await;
        assert_eq!(inner, links[2..7]);
        assert_eq!(range(at, &id, zoho(102), zoho(999), limit).await, []);
        assert_eq!(
            range(at, &id, zoho(99), zoho(100), limit).await,
            links[3..4]
        );
        assert_eq!(
            range(at, &id, zoho(100), zoho(100), limit).await,
            [],
            "an empty range"
        );
        assert_eq!(
            range(at, &id, zoho(101), zoho(100), limit).await,
            [],
            "a range turned around"
        );
    }
    assert_eq!(
        range(at, &at.connection(), ZohoId::MIN, ZohoId::MAX, 10).await,
        []
    );
}

pub(crate) async fn many_links_are_walked_by_pages(at: &Stores) {
    let id = at.connection();
    let links: Vec<Link> = (1..=2_500)
        .map(|number| link(&id, Object::Account, number))
        .collect();
    at.port.save_links(&links).await.unwrap();
    for limit in [700, 2_500, 10_000] {
        let all = range(at, &id, ZohoId::MIN, ZohoId::MAX, limit).await;
        assert_eq!(all.len(), links.len());
        assert!(all == links, "{limit} a time");
    }
}

pub(crate) async fn links_of_two_connections_or_objects_never_mix(at: &Stores) {
    let owners = at.look_alikes();
    let objects = [Object::Account, Object::Contact];
    let mine = |owner: &ConnectionId, object| Link {
        standing: Standing::Linked(platform(&format!("{owner} {object}"))),
        ..link(owner, object, 7)
    };
    for owner in &owners {
        at.port
            .save_links(&objects.map(|object| mine(owner, object)))
            .await
            .unwrap();
    }
    for owner in &owners {
        for object in objects {
            let found = at.port.links(owner, object, &[zoho(7)]).await.unwrap();
            assert_eq!(found, [mine(owner, object)]);
        }
        let deals = at
            .port
            .links(owner, Object::Deal, &[zoho(7)])
            .await
            .unwrap();
        assert_eq!(deals, []);
    }
    at.port
        .remove_link_over(&mine(&owners[0], Object::Account))
        .await
        .unwrap();
    for (owner, left) in owners.iter().zip([0, 1, 1]) {
        let found = range(at, owner, ZohoId::MIN, ZohoId::MAX, 10).await;
        assert_eq!(found.len(), left);
        let contacts = at
            .port
            .links(owner, Object::Contact, &[zoho(7)])
            .await
            .unwrap();
        assert_eq!(contacts, [mine(owner, Object::Contact)]);
    }
}

async fn candidates(
    at: &Stores,
    id: &ConnectionId,
    object: Object,
    limit: usize,
) -> Vec<Candidate> {
    let (mut all, mut after) = (Vec::new(), ZohoId::MIN);
    loop {
        let found = at.port.candidates(id, object, after, limit).await.unwrap();
        assert!(found.len() <= limit, "more than asked for");
        let Some(last) = found.last() else { return all };
        assert!(last.zoho_id > after, "no way on");
        after = last.zoho_id;
        all.extend(found);
    }
}

pub(crate) async fn candidates_are_walked_in_the_order_of_numbers(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let found = run(at.now, 0);
    let of = |id: &ConnectionId, object, number| candidate(id, object, number, found.clone());
    let expected: Vec<Candidate> = NUMBERS
        .into_iter()
        .map(|number| of(&id, Object::Deal, number))
        .collect();
    let mut shuffled = expected.clone();
    shuffled.rotate_left(3);
    at.port.save_candidates(&shuffled).await.unwrap();
    let others = [of(&alike, Object::Deal, 55), of(&id, Object::Task, 56)];
    at.port.save_candidates(&others).await.unwrap();
    at.port
        .save_links(&[link(&id, Object::Deal, 57)])
        .await
        .unwrap();
    for limit in [1, 3, 10, 500] {
        assert_eq!(candidates(at, &id, Object::Deal, limit).await, expected);
    }
    assert_eq!(candidates(at, &alike, Object::Deal, 10).await, others[..1]);
    assert_eq!(candidates(at, &id, Object::Task, 10).await, others[1..]);
    let after = at
        .port
        .candidates(&id, Object::Deal, zoho(100), 2)
        .await
        .unwrap();
    assert_eq!(after, expected[4..6]);
}

pub(crate) async fn a_candidate_takes_the_place_of_the_one_before(at: &Stores) {
    let id = at.connection();
    let first = candidate(&id, Object::Contact, 7, run(at.now, 0));
    at.port
        .save_candidates(std::slice::from_ref(&first))
        .await
        .unwrap();
    let second = Candidate {
        run: run(at.now, 1),
        reason: RemovalReason::ParentLeft,
        platform_id: platform("é#/ 1"),
        held: true,
        ..first.clone()
    };
    at.port
        .save_candidates(std::slice::from_ref(&second))
        .await
        .unwrap();
    assert_eq!(candidates(at, &id, Object::Contact, 10).await, [second]);
    at.port
        .save_candidates(std::slice::from_ref(&first))
        .await
        .unwrap();
    assert_eq!(candidates(at, &id, Object::Contact, 10).await, [first]);
}

pub(crate) async fn any_number_of_candidates_is_stored_and_removed(at: &Stores) {
    for count in COUNTS {
        let id = at.connection();
        let found = run(at.now, 0);
        let saved: Vec<Candidate> = (1..=count)
            .map(|number| candidate(&id, Object::Account, number, found.clone()))
            .collect();
        at.port.save_candidates(&saved).await.unwrap();
        assert_eq!(
            candidates(at, &id, Object::Account, 100).await,
            saved,
            "of {count}"
        );
        let gone: Vec<ZohoId> = (1..=count)
            .filter(|number| number % 5 > 0)
            .map(zoho)
            .collect();
        at.port
            .remove_candidates(&id, Object::Account, &gone)
            .await
            .unwrap();
        at.port
            .remove_candidates(&id, Object::Account, &gone)
            .await
            .unwrap();
        let left: Vec<Candidate> = saved
            .into_iter()
            .filter(|saved| !gone.contains(&saved.zoho_id))
            .collect();
        assert_eq!(candidates(at, &id, Object::Account, 100).await, left);
    }
}

async fn awaiting(at: &Stores, id: &ConnectionId, object: Object, limit: usize) -> Vec<PlatformId> {
    let mut all: Vec<PlatformId> = Vec::new();
    loop {
        let found = at
            .port
            .awaiting(id, object, all.last(), limit)
            .await
            .unwrap();
        assert!(found.len() <= limit, "more than asked for");
        if found.is_empty() {
            return all;
        }
        assert!(found.last() > all.last(), "no way on");
        all.extend(found);
    }
}

pub(crate) async fn records_that_wait_are_walked_by_id_and_noted_once(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let names = [
        "zoho-9",
        "zoho-10",
        "a#b",
        "a",
        "a b",
        "Ärger",
        "\u{1F517}",
        "a/b",
        "B",
    ];
    let ids: Vec<PlatformId> = names.map(platform).to_vec();
    at.port
        .await_references(&id, Object::Deal, &ids)
        .await
        .unwrap();
    at.port
        .await_references(&id, Object::Deal, &ids[2..4])
        .await
        .unwrap();
    at.port
        .await_references(&id, Object::Task, &ids[..1])
        .await
        .unwrap();
    at.port
        .await_references(&alike, Object::Deal, &[platform("other")])
        .await
        .unwrap();
    let sorted: Vec<PlatformId> = ids
        .iter()
        .cloned()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    for limit in [1, 4, 9, 100] {
        assert_eq!(awaiting(at, &id, Object::Deal, limit).await, sorted);
    }
    at.port
        .stop_awaiting(&id, Object::Deal, &ids[1..8])
        .await
        .unwrap();
    at.port
        .stop_awaiting(&id, Object::Deal, &ids[1..8])
        .await
        .unwrap();
    assert_eq!(
        awaiting(at, &id, Object::Deal, 100).await,
        [platform("B"), platform("zoho-9")]
    );
    assert_eq!(awaiting(at, &id, Object::Task, 100).await, ids[..1]);
    assert_eq!(
        awaiting(at, &alike, Object::Deal, 100).await,
        [platform("other")]
    );
    assert_eq!(awaiting(at, &alike, Object::Task, 100).await, []);
}

pub(crate) async fn any_number_of_records_waits(at: &Stores) {
    for count in COUNTS {
        let id = at.connection();
        let ids: Vec<PlatformId> = (0..count)
            .map(|number| platform(&format!("r-{number:03}")))
            .collect();
        at.port
            .await_references(&id, Object::Contact, &ids)
            .await
            .unwrap();
        assert_eq!(
            awaiting(at, &id, Object::Contact, 99).await,
            ids,
            "of {count}"
        );
        at.port
            .stop_awaiting(&id, Object::Contact, &ids)
            .await
            .unwrap();
        assert_eq!(awaiting(at, &id, Object::Contact, 99).await, []);
    }
}
