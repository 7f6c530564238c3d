//! Links, removal candidates and waiting references, naively.

use proptest::prelude::*;
use tandem::identifier::{PlatformId, ZohoId};
use tandem::port::Error;
use tandem::record::{Candidate, Link};

use super::{Part, Subject, limit, name, names, number, numbers, part, put};
use crate::samples::{candidate, link, platform, run, zoho};

#[derive(Debug, Clone)]
pub(super) enum Step {
    SaveLinks {
        part: Part,
        numbers: Vec<u64>,
        in_scope: bool,
    },
    RemoveLinks {
        part: Part,
        numbers: Vec<u64>,
        in_scope: bool,
    },
    Links {
        part: Part,
        numbers: Vec<u64>,
    },
    LinksBetween {
        part: Part,
        after: u64,
        to: u64,
        limit: usize,
    },
    SaveCandidates {
        part: Part,
        numbers: Vec<u64>,
        held: bool,
    },
    RemoveCandidates {
        part: Part,
        numbers: Vec<u64>,
    },
    Candidates {
        part: Part,
        after: u64,
        limit: usize,
    },
    Await {
        part: Part,
        names: Vec<&'static str>,
    },
    StopAwaiting {
        part: Part,
        names: Vec<&'static str>,
    },
    Awaiting {
        part: Part,
        after: Option<&'static str>,
        limit: usize,
    },
}

pub(super) fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (part(), numbers(), any::<bool>())
            .prop_map(|(part, numbers, in_scope)| Step::SaveLinks { part, numbers, in_scope }),
        1 => (part(), numbers(), any::<bool>())
            .prop_map(|(part, numbers, in_scope)| Step::RemoveLinks { part, numbers, in_scope }),
        1 => (part(), numbers()).prop_map(|(part, numbers)| Step::Links { part, numbers }),
        3 => (part(), number(), number(), limit())
            .prop_map(|(part, after, to, limit)| Step::LinksBetween { part, after, to, limit }),
        2 => (part(), numbers(), any::<bool>())
            .prop_map(|(part, numbers, held)| Step::SaveCandidates { part, numbers, held }),
        1 => (part(), numbers()).prop_map(|(part, numbers)| Step::RemoveCandidates { part, numbers }),
        1 => (part(), number(), limit()).prop_map(|(part, after, limit)| Step::Candidates { part, after, limit }),
        1 => (part(), names()).prop_map(|(part, names)| Step::Await { part, names }),
        1 => (part(), names()).prop_map(|(part, names)| Step::StopAwaiting { part, names }),
        1 => (part(), proptest::option::of(name()), limit())
            .prop_map(|(part, after, limit)| Step::Awaiting { part, after, limit }),
    ]
}

#[derive(Default)]
pub(super) struct Model {
    links: Vec<(Part, Link)>,
    candidates: Vec<(Part, Candidate)>,
    awaiting: Vec<(Part, PlatformId)>,
}

fn ids(numbers: &[u64]) -> Vec<ZohoId> {
    numbers.iter().copied().map(zoho).collect()
}

fn platform_ids(names: &[&str]) -> Vec<PlatformId> {
    names.iter().copied().map(platform).collect()
}

impl Model {
    pub(super) async fn step(&mut self, subject: &Subject<'_>, step: &Step) {
        match step {
            Step::SaveLinks {
                part,
                numbers,
                in_scope,
            } => {
                let link = |number: &u64| Link {
                    in_scope: *in_scope,
                    ..link(&subject.ids[part.0], part.1, *number)
                };
                let links: Vec<Link> = numbers.iter().map(link).collect();
                subject.port().save_links(&links).await.unwrap();
                let same = |left: &(Part, Link), right: &(Part, Link)| {
                    (left.0, left.1.zoho_id) == (right.0, right.1.zoho_id)
                };
                links
                    .into_iter()
                    .for_each(|link| put(&mut self.links, (*part, link), same));
            }
            Step::RemoveLinks {
                part,
                numbers,
                in_scope,
            } => {
                for number in numbers {
                    let read = Link {
                        in_scope: *in_scope,
                        ..link(&subject.ids[part.0], part.1, *number)
                    };
                    let removed = subject.port().remove_link_over(&read).await;
                    let stored = self.links(*part, |id| id == read.zoho_id);
                    if stored.iter().any(|stored| *stored != read) {
                        assert!(
                            matches!(removed, Err(Error::Conflict { .. })),
                            "{removed:?}"
                        );
                        continue;
                    }
                    removed.unwrap();
                    self.links
                        .retain(|(of, link)| of != part || link.zoho_id != read.zoho_id);
                }
            }
            Step::Links { part, numbers } => {
                let ids = ids(numbers);
                let mut found = subject
                    .port()
                    .links(&subject.ids[part.0], part.1, &ids)
                    .await
                    .unwrap();
                found.sort_by_key(|link| link.zoho_id);
                assert_eq!(found, self.links(*part, |id| ids.contains(&id)));
            }
            Step::LinksBetween {
                part,
                after,
                to,
                limit,
            } => {
                let (after, to) = (zoho(*after), zoho(*to));
                let expected = self.links(*part, |id| after < id && id <= to);
                let port = subject.port();
                let found = port
                    .links_between(&subject.ids[part.0], part.1, after, to, *limit)
                    .await;
                let (found, more) = found.unwrap();
                assert!(
                    found.len() <= *limit && expected.starts_with(&found),
                    "{found:?} of {expected:?}"
                );
                assert!(more || found.len() == expected.len(), "there are more");
                assert!(!more || !found.is_empty(), "there is no way on");
            }
            step => self.step_of_the_rest(subject, step).await,
        }
    }

    async fn step_of_the_rest(&mut self, subject: &Subject<'_>, step: &Step) {
        match step {
            Step::SaveCandidates {
                part,
                numbers,
                held,
            } => {
                let found_by = run(subject.at.now, u64::try_from(subject.time).unwrap());
                let candidate = |number: &u64| Candidate {
                    held: *held,
                    ..candidate(&subject.ids[part.0], part.1, *number, found_by.clone())
                };
                let candidates: Vec<Candidate> = numbers.iter().map(candidate).collect();
                subject.port().save_candidates(&candidates).await.unwrap();
                let same = |left: &(Part, Candidate), right: &(Part, Candidate)| {
                    (left.0, left.1.zoho_id) == (right.0, right.1.zoho_id)
                };
                let candidates = candidates.into_iter().map(|candidate| (*part, candidate));
                candidates.for_each(|candidate| put(&mut self.candidates, candidate, same));
            }
            Step::RemoveCandidates { part, numbers } => {
                let ids = ids(numbers);
                subject
                    .port()
                    .remove_candidates(&subject.ids[part.0], part.1, &ids)
                    .await
                    .unwrap();
                self.candidates
                    .retain(|(of, candidate)| of != part || !ids.contains(&candidate.zoho_id));
            }
            Step::Candidates { part, after, limit } => {
                let after = zoho(*after);
                let mut expected: Vec<&Candidate> = self
                    .candidates
                    .iter()
                    .filter(|(of, candidate)| of == part && candidate.zoho_id > after)
                    .map(|(_, candidate)| candidate)
                    .collect();
                expected.sort_by_key(|candidate| candidate.zoho_id);
                expected.truncate(*limit);
                let found = subject
                    .port()
                    .candidates(&subject.ids[part.0], part.1, after, *limit)
                    .await;
                assert_eq!(found.unwrap().iter().collect::<Vec<_>>(), expected);
            }
            Step::Await { part, names } => {
                let ids = platform_ids(names);
                subject
                    .port()
                    .await_references(&subject.ids[part.0], part.1, &ids)
                    .await
                    .unwrap();
                ids.into_iter()
                    .for_each(|id| put(&mut self.awaiting, (*part, id), PartialEq::eq));
            }
            Step::StopAwaiting { part, names } => {
                let ids = platform_ids(names);
                subject
                    .port()
                    .stop_awaiting(&subject.ids[part.0], part.1, &ids)
                    .await
                    .unwrap();
                self.awaiting
                    .retain(|(of, id)| of != part || !ids.contains(id));
            }
            Step::Awaiting { part, after, limit } => {
                let after = after.map(platform);
                let mine = self
                    .awaiting
                    .iter()
                    .filter(|(of, _)| of == part)
                    .map(|(_, id)| id);
                let mut expected: Vec<&PlatformId> =
                    mine.filter(|id| Some(*id) > after.as_ref()).collect();
                expected.sort();
                expected.truncate(*limit);
                let port = subject.port();
                let found = port
                    .awaiting(&subject.ids[part.0], part.1, after.as_ref(), *limit)
                    .await;
                assert_eq!(found.unwrap().iter().collect::<Vec<_>>(), expected);
            }
            _ => {}
        }
    }

    fn links(&self, part: Part, wanted: impl Fn(ZohoId) -> bool) -> Vec<Link> {
        let mine = self
            .links
            .iter()
            .filter(|(of, link)| *of == part && wanted(link.zoho_id));
        let mut links: Vec<Link> = mine.map(|(_, link)| link.clone()).collect();
        links.sort_by_key(|link| link.zoho_id);
        links
    }
}
