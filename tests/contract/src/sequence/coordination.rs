//! Cursors, leases, OAuth states and credits, naively.

use proptest::prelude::*;
use proptest::sample::select;
use tandem::credit::{self, Bucket, Spender, Spent};
use tandem::cursor::Cursor;
use tandem::data_centre::DataCentre;
use tandem::identifier::Digest;
use tandem::port::{Browser, OAuthState};

use super::{Part, Subject, Who, agree, part, put, who};

#[derive(Debug, Clone)]
pub(super) enum Step {
    MoveCursor {
        part: Part,
        from: From,
        to: i64,
    },
    Lease {
        who: Who,
        name: &'static str,
        holder: &'static str,
        now: i64,
        last: i64,
    },
    Release {
        who: Who,
        name: &'static str,
        holder: &'static str,
    },
    KeepState {
        state: u8,
    },
    TakeState {
        state: u8,
    },
    Spend {
        who: Who,
        hour: i64,
        credits: u64,
    },
    Spent {
        who: Who,
        from: i64,
    },
}

/// Where a cursor is thought to stand.
#[derive(Debug, Clone, Copy)]
pub(super) enum From {
    Stored,
    Nowhere,
    Elsewhere,
}

pub(super) fn steps() -> impl Strategy<Value = Step> {
    let name = || select(&["night", "night-2"][..]);
    let holder = || select(&["ann", "bob"][..]);
    let from =
        prop_oneof![4 => Just(From::Stored), 1 => Just(From::Nowhere), 1 => Just(From::Elsewhere)];
    prop_oneof![
        3 => (part(), from, 0..9_i64).prop_map(|(part, from, to)| Step::MoveCursor { part, from, to }),
        4 => (who(), name(), holder(), 0..40_i64, 1..9_i64)
            .prop_map(|(who, name, holder, now, last)| Step::Lease { who, name, holder, now, last }),
        2 => (who(), name(), holder()).prop_map(|(who, name, holder)| Step::Release { who, name, holder }),
        1 => (0..3_u8).prop_map(|state| Step::KeepState { state }),
        2 => (0..3_u8).prop_map(|state| Step::TakeState { state }),
        2 => (who(), -5..5_i64, 0..1_000_u64).prop_map(|(who, hour, credits)| Step::Spend { who, hour, credits }),
        2 => (who(), -6..6_i64).prop_map(|(who, from)| Step::Spent { who, from }),
    ]
}

#[derive(Default)]
pub(super) struct Model {
    cursors: Vec<(Part, Cursor)>,
    leases: Vec<Lease>,
    states: Vec<OAuthState>,
    spent: Vec<(Who, i64, u64)>,
}

struct Lease {
    key: (Who, &'static str),
    holder: &'static str,
    until: i64,
}

impl Model {
    pub(super) async fn step(&mut self, subject: &Subject<'_>, step: &Step) {
        match *step {
            Step::MoveCursor { part, from, to } => self.move_cursor(subject, part, from, to).await,
            Step::Lease {
                who,
                name,
                holder,
                now,
                last,
            } => {
                self.lease(subject, (who, name), holder, now, now + last)
                    .await;
            }
            Step::Release { who, name, holder } => {
                subject
                    .port()
                    .release(&subject.ids[who], name, holder)
                    .await
                    .unwrap();
                self.leases
                    .retain(|lease| lease.key != (who, name) || lease.holder != holder);
            }
            Step::KeepState { state } => {
                let state = oauth_state(subject, state);
                subject.port().keep_oauth_state(&state).await.unwrap();
                put(&mut self.states, state, |left, right| {
                    left.digest == right.digest
                });
            }
            Step::TakeState { state } => {
                let digest = oauth_state(subject, state).digest;
                let place = self.states.iter().position(|state| state.digest == digest);
                let expected = place.map(|place| self.states.remove(place));
                assert_eq!(
                    subject.port().take_oauth_state(&digest).await.unwrap(),
                    expected
                );
            }
            Step::Spend { who, hour, credits } => {
                let bucket = bucket(subject, hour);
                subject
                    .port()
                    .spend_credits(
                        &subject.ids[who],
                        bucket,
                        Spent {
                            spender: Spender::RoutineSync,
                            credits,
                            word: None,
                        },
                    )
                    .await
                    .unwrap();
                self.spent.push((who, hour, credits));
            }
            Step::Spent { who, from } => {
                let mine = self
                    .spent
                    .iter()
                    .filter(|(of, hour, _)| *of == who && *hour >= from);
                let expected: u64 = mine.map(|(_, _, credits)| credits).sum();
                let spent = subject
                    .port()
                    .credits_spent(&subject.ids[who], bucket(subject, from))
                    .await;
                assert_eq!(credit::spent(&spent.unwrap()).total(), expected);
            }
        }
    }

    async fn move_cursor(&mut self, subject: &Subject<'_>, part: Part, from: From, to: i64) {
        let (id, object) = (&subject.ids[part.0], part.1);
        let cursor = |second| Cursor {
            until: subject.at.after(second),
            plan: Digest::of(b"plan"),
            owes: second % 3 == 0,
        };
        let stands = self
            .cursors
            .iter()
            .find(|(of, _)| *of == part)
            .map(|(_, cursor)| *cursor);
        assert_eq!(subject.port().cursor(id, object).await.unwrap(), stands);
        let from = match from {
            From::Stored => stands,
            From::Nowhere => None,
            From::Elsewhere => Some(cursor(1_000)),
        };
        let answer = subject
            .port()
            .move_cursor(id, object, from, cursor(to))
            .await;
        agree(answer, (from == stands).then_some(()));
        if from == stands {
            put(&mut self.cursors, (part, cursor(to)), |left, right| {
                left.0 == right.0
            });
        }
    }

    async fn lease(
        &mut self,
        subject: &Subject<'_>,
        key: (Who, &'static str),
        holder: &'static str,
        now: i64,
        until: i64,
    ) {
        // Whether a lease still holds at the very instant of its end is open: leases end between the seconds at which they are asked for.
        let end = subject.at.after(until) - jiff::SignedDuration::from_millis(500);
        let port = subject.port();
        let taken = port
            .lease(
                &subject.ids[key.0],
                key.1,
                holder,
                subject.at.after(now),
                end,
            )
            .await
            .unwrap();
        let is_held =
            |lease: &Lease| lease.key == key && lease.holder != holder && lease.until > now;
        let expected = !self.leases.iter().any(is_held);
        assert_eq!(taken, expected);
        if taken {
            put(
                &mut self.leases,
                Lease { key, holder, until },
                |left, right| left.key == right.key,
            );
        }
    }
}

fn oauth_state(subject: &Subject<'_>, state: u8) -> OAuthState {
    let connection = subject.ids[0].clone();
    OAuthState {
        digest: Digest::of(format!("{connection} {state}").as_bytes()),
        connection,
        centre: DataCentre::Eu,
        browser: Browser(Digest::of(&[state])),
        expires_at: subject.at.after(600),
    }
}

fn bucket(subject: &Subject<'_>, hour: i64) -> Bucket {
    Bucket::of(subject.at.after(hour * 3_600))
}
