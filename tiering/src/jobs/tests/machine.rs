//! Random clouds and random deaths: the budget holds and everything comes to its end.

use linchpin_store::Restore;
use proptest::prelude::*;

use super::super::{Approval, Destination, Job, Offer, Order, Part, PartState, Phase, Seen, Step};
use crate::{prices::Speed, rehydrate::Shape};

const HOUR_MS: i64 = 3_600_000;
const DAYS: u32 = 1;

fn part(price: u64, state: PartState) -> Part {
    Part {
        store: "default".to_owned(),
        object: "o".to_owned(),
        etag: "e".to_owned(),
        class: "GLACIER".to_owned(),
        bytes: 1,
        read_max: 1,
        segments: vec!["s".to_owned()],
        price,
        speed: Speed::Standard,
        state,
        charged: false,
        copied: false,
        tries: 0,
        not_before_ms: 0,
    }
}

fn job(parts: Vec<Part>, budget: u64) -> Job {
    let mut job = Job {
        id: "j".to_owned(),
        created_ms: 0,
        updated_ms: 0,
        revision: 0,
        order: Order {
            predicate: "true".to_owned(),
            from_ms: 0,
            to_ms: 1,
            shape: Shape::Raw,
            destination: Destination::Folder("/out".to_owned()),
        },
        events_known: 0,
        offers: Vec::<Offer>::new(),
        currency: "USD".to_owned(),
        approval: None,
        committed: 0,
        restores: 0,
        cancelled: false,
        events: 0,
        bytes_read: 0,
        parts,
        lease: None,
        trouble: None,
        released_ms: None,
    };
    assert!(job.next(0).is_empty(), "nothing happens without an approval");
    let approval = Approval { by: "ann".to_owned(), at_ms: 0, budget, speed: Speed::Standard, days: DAYS };
    job.approve(approval, |part, speed| (speed, part.price));
    job
}

/// What the objects of a job do: restores take hours, copies live a day, and every restore that
/// begins is billed at the price of its part.
struct Cloud {
    billed: u64,
    /// For each object when its copy can be read, and until when.
    copies: Vec<Option<(i64, i64)>>,
}

impl Cloud {
    fn stands(&self, n: usize, now: i64) -> Restore {
        match self.copies.get(n).copied().flatten() {
            Some((from, _)) if now < from => Restore::InProgress,
            Some((_, until)) if now < until => Restore::Until(until),
            _ => Restore::Archived,
        }
    }

    /// Does a step; `fate` decides what goes wrong.
    fn take(&mut self, job: &Job, step: Step, now: i64, fate: u8) -> Seen {
        let n = step.part();
        self.copies.resize(job.parts.len().max(self.copies.len()), None);
        match step {
            Step::Ask(_) if fate < 20 => Seen::NoExpedited,
            Step::Ask(_) if fate < 40 => Seen::Failed { why: "lost on the way there".to_owned(), bytes: 0 },
            Step::Ask(_) if fate < 50 => Seen::Changed,
            Step::Ask(_) => {
                if self.stands(n, now) == Restore::Archived {
                    self.billed += job.parts[n].price;
                    let from = now + HOUR_MS * i64::from(fate % 5 + 1);
                    self.copies[n] = Some((from, from + i64::from(DAYS) * 24 * HOUR_MS));
                }
                if fate < 90 {
                    Seen::Failed { why: "answer lost".to_owned(), bytes: 0 }
                } else {
                    Seen::Stands(self.stands(n, now))
                }
            }
            Step::Look(_) => Seen::Stands(self.stands(n, now)),
            Step::Read(_) if self.stands(n, now) == Restore::Archived => Seen::Unreadable { bytes: 1 },
            Step::Read(_) if fate < 30 => Seen::Failed { why: "network".to_owned(), bytes: 1 },
            Step::Read(_) if fate < 35 => Seen::Gone,
            Step::Read(_) => Seen::Delivered { events: 1, bytes: 1 },
            Step::Deliver(_) => Seen::Delivered { events: 1, bytes: 0 },
            Step::Release(_) => Seen::Released,
            Step::Resolve(_) => Seen::Moved(vec![Part {
                charged: false,
                copied: false,
                tries: 0,
                not_before_ms: 0,
                state: PartState::Archived,
                ..job.parts[n].clone()
            }]),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever goes wrong and whenever the process dies, no more is billed than is committed, no more
    /// is committed than was approved, and the job ends.
    #[test]
    fn the_budget_holds(
        prices in prop::collection::vec(1u64..50, 1..40),
        budget in 0u64..1500,
        fates in prop::collection::vec(any::<u8>(), 4000),
        deaths in prop::collection::vec(any::<u8>(), 400),
    ) {
        let total: u64 = prices.iter().sum();
        let mut job = job(prices.iter().map(|p| part(*p, PartState::Archived)).collect(), budget);
        let mut cloud = Cloud { billed: 0, copies: vec![None; prices.len()] };
        let (mut now, mut fate, mut death) = (0, fates.iter().cycle(), deaths.iter());
        let mut quiet = 0;
        for _ in 0..2000 {
            let steps = job.next(now);
            prop_assert!(job.committed <= budget);
            // The state is durable here: this is what a death leaves.
            let saved = job.clone();
            for step in &steps {
                // When the deaths are used up, so is the bad luck: the job must come to its end.
                let fate = if death.len() == 0 { 255 } else { *fate.next().unwrap() };
                let seen = cloud.take(&job, *step, now, fate);
                prop_assert!(cloud.billed <= saved.committed, "{} billed of {}", cloud.billed, saved.committed);
                job.record(*step, seen, now);
            }
            match death.next() {
                Some(n) if n % 4 == 0 => {
                    job = saved;
                    // Sometimes it takes days until somebody goes on.
                    now += if n % 8 == 0 { 30 * HOUR_MS } else { 1000 };
                }
                _ => {}
            }
            if job.phase() != Phase::Running {
                break;
            }
            match job.wakes_ms(now) {
                Some(at) => now = at.max(now),
                None => quiet += 1,
            }
            prop_assert!(quiet < 3, "a running job must say when it goes on");
        }
        let phase = job.phase();
        prop_assert!(phase != Phase::Running, "{phase}: {:?}", job.parts);
        prop_assert!(cloud.billed <= job.committed && job.committed <= budget);
        if phase == Phase::OverBudget {
            prop_assert!(job.parts.iter().any(|part| part.owes() > budget - job.committed));
        }
        if deaths.iter().all(|n| n % 4 != 0) && fates.iter().all(|f| *f >= 90) && budget >= total {
            prop_assert_eq!(phase, Phase::Done);
        }
    }
}

#[test]
fn each_state_has_its_next_step() {
    let readable = |until_ms| PartState::Readable { until_ms };
    for (state, step) in [
        (PartState::Archived, Some(Step::Ask(0))),
        (PartState::Asked { since_ms: 0 }, Some(Step::Look(0))),
        (PartState::Restoring { since_ms: 0 }, Some(Step::Look(0))),
        (readable(None), Some(Step::Read(0))),
        (readable(Some(HOUR_MS)), Some(Step::Read(0))),
        // Too late to read it all: what is there is asked first.
        (readable(Some(1000)), Some(Step::Look(0))),
        (PartState::Staged, Some(Step::Deliver(0))),
        (PartState::Displaced, Some(Step::Resolve(0))),
        (PartState::Served, Some(Step::Release(0))),
        (PartState::Delivered, None),
        (PartState::Moved, None),
        (PartState::Lost { why: String::new() }, None),
    ] {
        let mut job = job(vec![part(5, state.clone())], 5);
        assert_eq!(job.next(0), step.into_iter().collect::<Vec<_>>(), "{state:?}");
        job.cancelled = true;
        assert!(job.next(0).is_empty(), "{state:?}");
    }
}

#[test]
fn an_intent_whose_request_never_left_is_not_paid_twice() {
    let mut one = job(vec![part(5, PartState::Archived)], 7);
    assert_eq!((one.next(0), one.committed), (vec![Step::Ask(0)], 5));
    // It died before the request; an hour later the object is as it was.
    assert_eq!(one.next(HOUR_MS), [Step::Look(0)]);
    one.record(Step::Look(0), Seen::Stands(Restore::Archived), HOUR_MS);
    let later = HOUR_MS + 60_000;
    assert_eq!((one.next(later), one.committed), (vec![Step::Ask(0)], 5));
    // Weeks later a copy may have come and gone: that would be a second restore.
    let weeks = 500 * HOUR_MS;
    assert_eq!(one.next(weeks), [Step::Look(0)]);
    one.record(Step::Look(0), Seen::Stands(Restore::Archived), weeks);
    assert_eq!(one.next(weeks + HOUR_MS), [Step::Resolve(0)]);
    one.record(Step::Resolve(0), Seen::Moved(vec![part(5, PartState::Archived)]), weeks + HOUR_MS);
    assert!(one.next(weeks + 2 * HOUR_MS).is_empty(), "{:?}", one.parts);
    assert_eq!((one.phase(), one.committed), (Phase::OverBudget, 5));
}

#[test]
fn what_has_no_expedited_restore_now_gets_a_slower_one() {
    let mut one = job(vec![Part { speed: Speed::Expedited, ..part(5, PartState::Archived) }], 5);
    one.parts[0].speed = Speed::Expedited;
    let mut now = 0;
    for _ in 0..3 {
        assert_eq!(one.next(now), [Step::Ask(0)]);
        one.record(Step::Ask(0), Seen::NoExpedited, now);
        assert_eq!(one.committed, 0, "what was refused costs nothing");
        now += HOUR_MS;
    }
    assert_eq!(one.parts[0].speed, Speed::Standard);
    assert_eq!(one.next(now), [Step::Ask(0)]);
}
