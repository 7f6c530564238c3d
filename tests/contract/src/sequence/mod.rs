//! Any sequence of operations, compared step by step with a naive model of the store.
//!
//! The operations work on a small universe of two connections whose ids begin alike and a handful of ids, so that they meet often. The same
//! sequences run against any store: [`operations`] draws them for a property test, [`drawn`] gives a few that are always the same, for a
//! service that is slow.

mod calculations;
mod connections;
mod coordination;
mod journal;
mod ledger;
mod records;
mod slices;

use std::fmt::Debug;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tandem::identifier::ConnectionId;
use tandem::object::Object;
use tandem::port::{Error, Store};

use crate::setting::{Setting, assert_conflict};

/// One operation on a store.
#[derive(Debug, Clone)]
pub struct Operation(Step);

#[derive(Debug, Clone)]
enum Step {
    Connections(connections::Step),
    Coordination(coordination::Step),
    Slices(slices::Step),
    Ledger(ledger::Step),
    Records(records::Step),
    Journal(journal::Step),
    Calculations(calculations::Step),
}

/// Sequences of at most `most` operations.
pub fn operations(most: usize) -> impl Strategy<Value = Vec<Operation>> {
    let step = prop_oneof![
        2 => connections::steps().prop_map(Step::Connections),
        2 => coordination::steps().prop_map(Step::Coordination),
        1 => slices::steps().prop_map(Step::Slices),
        3 => ledger::steps().prop_map(Step::Ledger),
        4 => records::steps().prop_map(Step::Records),
        2 => journal::steps().prop_map(Step::Journal),
        2 => calculations::steps().prop_map(Step::Calculations),
    ];
    proptest::collection::vec(step.prop_map(Operation), 1..=most)
}

/// Some sequences of at most `most` operations, the same ones for the same seed.
#[must_use]
pub fn drawn(cases: usize, most: usize, seed: u64) -> Vec<Vec<Operation>> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let strategy = operations(most);
    (0..cases)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect()
}

/// Runs a sequence under connections of its own and compares every answer with the model's.
pub async fn run(setting: &Setting<dyn Store>, operations: &[Operation]) {
    let [first, second, _] = setting.look_alikes();
    let mut subject = Subject {
        at: setting,
        ids: [first, second],
        time: 0,
    };
    let mut connections = connections::Model::default();
    let mut coordination = coordination::Model::default();
    let mut slices = slices::Model::default();
    let mut ledger = ledger::Model::default();
    let mut records = records::Model::default();
    let mut journal = journal::Model::default();
    let mut calculations = calculations::Model::default();
    for (time, Operation(step)) in operations.iter().enumerate() {
        subject.time = i64::try_from(time).unwrap();
        match step {
            Step::Connections(step) => connections.step(&subject, step).await,
            Step::Coordination(step) => coordination.step(&subject, step).await,
            Step::Slices(step) => slices.step(&subject, step).await,
            Step::Ledger(step) => ledger.step(&subject, step).await,
            Step::Records(step) => records.step(&subject, step).await,
            Step::Journal(step) => journal.step(&subject, step).await,
            Step::Calculations(step) => calculations.step(&subject, step).await,
        }
    }
    connections.switch_off(&subject).await;
}

/// What a sequence works on.
struct Subject<'a> {
    at: &'a Setting<dyn Store>,
    ids: [ConnectionId; 2],
    /// The number of the step, which is its time as well: no two steps write at one instant.
    time: i64,
}

impl Subject<'_> {
    fn port(&self) -> &dyn Store {
        &*self.at.port
    }
}

/// Which of the two connections.
type Who = usize;

/// Which connection and object.
type Part = (Who, Object);

/// The Zoho ids that occur, in their order.
const NUMBERS: [u64; 6] = [9, 10, 99, 100, 4_876_876_000_000_333_001, u64::MAX - 1];

/// The platform ids that occur.
const NAMES: [&str; 5] = ["1", "10", "9", "a#b", "é"];

/// On which version a write is based.
#[derive(Debug, Clone, Copy)]
enum Basis {
    /// The one stored; nothing where nothing is stored.
    Stored,
    Before,
    Ahead,
    Nothing,
}

impl Basis {
    fn version(self, stored: Option<u64>) -> u64 {
        let stored = stored.unwrap_or(0);
        match self {
            Self::Stored => stored,
            Self::Before => stored.saturating_sub(1),
            Self::Ahead => stored + 1,
            Self::Nothing => 0,
        }
    }
}

/// The version that a write gets; none when it is refused.
fn granted(stored: Option<u64>, read: u64) -> Option<u64> {
    (stored.unwrap_or(0) == read).then_some(read + 1)
}

/// Asserts that a write was taken as the model takes it; none: it was refused.
fn agree<T: PartialEq + Debug>(answer: Result<T, Error>, expected: Option<T>) {
    match expected {
        Some(expected) => assert_eq!(answer.unwrap(), expected),
        None => assert_conflict(&answer),
    }
}

/// Stores an item in place of the one that it is `same` as.
fn put<T>(items: &mut Vec<T>, item: T, same: impl Fn(&T, &T) -> bool) {
    items.retain(|other| !same(other, &item));
    items.push(item);
}

fn who() -> impl Strategy<Value = Who> {
    0..2_usize
}

fn part() -> impl Strategy<Value = Part> {
    (who(), select(&[Object::Account, Object::Task][..]))
}

fn basis() -> impl Strategy<Value = Basis> {
    prop_oneof![
        6 => Just(Basis::Stored),
        1 => Just(Basis::Before),
        1 => Just(Basis::Ahead),
        2 => Just(Basis::Nothing),
    ]
}

fn limit() -> impl Strategy<Value = usize> {
    prop_oneof![1..4_usize, Just(100)]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![6 => select(&NUMBERS[..]), 1 => Just(0), 1 => Just(u64::MAX)]
}

fn numbers() -> impl Strategy<Value = Vec<u64>> {
    subsequence(NUMBERS.to_vec(), 0..=NUMBERS.len()).prop_shuffle()
}

fn name() -> impl Strategy<Value = &'static str> {
    select(&NAMES[..])
}

fn names() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(NAMES.to_vec(), 0..=NAMES.len()).prop_shuffle()
}
