//! Names and users.

use super::OrganisationSpec;
use crate::org::Organisation;
use crate::org::user::{self, User, UserStatus};
use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, rngs::StdRng};

const FIRST: [&str; 40] = [
    "Anna",
    "Ben",
    "Chiara",
    "Daniel",
    "Elif",
    "Farid",
    "Grace",
    "Hiro",
    "Ines",
    "Jamal",
    "Katarzyna",
    "Liam",
    "Mei",
    "Noah",
    "Olga",
    "Priya",
    "Quentin",
    "Rosa",
    "Sven",
    "Tomás",
    "Uma",
    "Viktor",
    "Wanjiru",
    "Xavier",
    "Yara",
    "Zoë",
    "Søren",
    "José",
    "Łukasz",
    "Åsa",
    "محمد",
    "שרה",
    "伟",
    "さくら",
    "지훈",
    "Ольга",
    "Γιώργος",
    "अर्जुन",
    "Nguyễn",
    "O’Neal",
];

const LAST: [&str; 40] = [
    "Abbott",
    "Brandt",
    "Costa",
    "Dubois",
    "Eriksen",
    "Fischer",
    "García",
    "Haddad",
    "Ivanova",
    "Jensen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Novák",
    "Okafor",
    "Petrov",
    "Quinn",
    "Rossi",
    "Schmidt",
    "Tanaka",
    "Ueda",
    "Vargas",
    "Wang",
    "Xu",
    "Yilmaz",
    "Zimmermann",
    "O'Brien",
    "D’Angelo",
    "Müller-Lüdenscheidt",
    "van der Berg",
    "كريم",
    "כהן",
    "王",
    "佐藤",
    "김",
    "Смирнов",
    "Παπαδόπουλος",
    "शर्मा",
    "Trần",
    "Ångström",
];

/// One of several.
pub(super) fn pick<'a, T: ?Sized>(random: &mut StdRng, from: &[&'a T]) -> Option<&'a T> {
    if from.is_empty() {
        None
    } else {
        from.get(random.random_range(0..from.len())).copied()
    }
}

/// A first and a last name.
pub(super) fn name(random: &mut StdRng) -> (&'static str, &'static str) {
    (
        pick(random, &FIRST).unwrap_or("Ada"),
        pick(random, &LAST).unwrap_or("Smith"),
    )
}

/// What can stand before the at sign.
pub(super) fn mailbox(text: &str) -> String {
    let plain: String = text
        .chars()
        .filter_map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' => Some(c.to_ascii_lowercase()),
            'é' | 'ë' | 'è' => Some('e'),
            'á' | 'Å' | 'å' => Some('a'),
            'ø' | 'ö' | 'ó' => Some('o'),
            'ü' => Some('u'),
            'ł' | 'Ł' => Some('l'),
            _ => None,
        })
        .collect();
    if plain.is_empty() {
        format!(
            "u{:x}",
            text.chars().map(|c| c as u32).fold(7, u32::wrapping_add)
        )
    } else {
        plain
    }
}

/// Adds the users: the first is the administrator who connects, some are inactive, some deleted.
pub(super) fn add(
    organisation: &mut Organisation,
    spec: &OrganisationSpec,
    random: &mut StdRng,
    now: Timestamp,
) {
    let mut administrator = None;
    for number in 0..spec.users() {
        let id = organisation.new_id();
        let (first, last) = if number == 0 {
            ("Alex", "Admin")
        } else {
            name(random)
        };
        let status = match number {
            0..=2 => UserStatus::Active,
            _ => match random.random_range(0..10) {
                0 => UserStatus::Inactive,
                1 => UserStatus::Deleted,
                _ if number == 3 => UserStatus::Inactive,
                _ => UserStatus::Active,
            },
        };
        // The last of the users is always a deleted one.
        let status = if number + 1 == spec.users() {
            UserStatus::Deleted
        } else {
            status
        };
        let created = now - SignedDuration::from_hours(24 * random.random_range(730..1_400));
        let created = crate::org::user::whole(created);
        let modified =
            user::whole(created + SignedDuration::from_mins(random.random_range(0..1_000_000)));
        let confirmed =
            status != UserStatus::Active || number < 3 || random.random_range(0..12) != 0;
        organisation.users.insert(
            id,
            User {
                id,
                zuid: confirmed.then_some(600_000_000 + id % 100_000_000),
                first_name: (number % 9 != 8).then(|| first.to_owned()),
                last_name: last.to_owned(),
                email: if number == 0 {
                    "admin@northwind.example".to_owned()
                } else {
                    format!(
                        "{}.{}{number}@northwind.example",
                        mailbox(first),
                        mailbox(last)
                    )
                },
                status,
                confirmed,
                administrator: number < 2,
                zone_name: spec.time_zone.clone(),
                zone: user::zone(&spec.time_zone),
                created,
                modified,
                modified_by: administrator.unwrap_or(id),
                reports_to: administrator,
            },
        );
        administrator = administrator.or(Some(id));
    }
}
