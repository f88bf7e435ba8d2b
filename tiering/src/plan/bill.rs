//! Bills: of a course that is planned, and of what a store has counted. Both through one price book.

use std::{collections::BTreeMap, ops::Range};

use linchpin_store::{
    RestoreSpeed,
    model::{self, Request},
};

use super::course::Course;
use crate::prices::{Book, Op, Provider, Speed};

/// What something costs, in the book's currency.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Bytes and objects in their classes, with what small objects cost more.
    pub storage: f64,
    /// Requests, and reading bytes from classes that charge for it.
    pub requests: f64,
    /// Leaving a class before its minimum duration.
    pub penalties: f64,
}

impl Cost {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.storage + self.requests + self.penalties
    }
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.storage += other.storage;
        self.requests += other.requests;
        self.penalties += other.penalties;
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), |mut sum, cost| {
            sum += cost;
            sum
        })
    }
}

/// What a course costs in a period (epoch milliseconds), by class.
pub fn price(
    course: &Course,
    provider: Provider,
    book: &Book,
    period: &Range<i64>,
) -> BTreeMap<&'static str, Cost> {
    let mut by: BTreeMap<&'static str, Cost> = BTreeMap::new();
    for (stay, ms) in course.within(period) {
        let storage = stay.count * book.storage(provider, stay.class, stay.bytes, ms);
        by.entry(stay.class).or_default().storage += storage;
    }
    for stay in course.stays.iter().filter(|stay| period.contains(&stay.period.1)) {
        let early = book.early(provider, stay.class, stay.bytes, stay.period.1 - stay.since_ms);
        by.entry(stay.class).or_default().penalties += stay.count * early;
    }
    for asked in course.asked.iter().filter(|asked| period.contains(&asked.at_ms)) {
        let cost = by.entry(asked.class).or_default();
        cost.requests += book.requests(provider, asked.class, asked.op, asked.count);
        cost.requests += book.read(provider, asked.class, asked.read_bytes);
    }
    by
}

/// What a model of a store would be billed until a time, epoch milliseconds, by class.
pub fn bill(
    usage: &model::Usage,
    provider: Provider,
    book: &Book,
    until_ms: i64,
) -> BTreeMap<&'static str, Cost> {
    let mut by: BTreeMap<&'static str, Cost> = BTreeMap::new();
    for stay in &usage.stays {
        let ended = stay.to_ms.filter(|to| *to <= until_ms);
        let ms = ended.unwrap_or(until_ms) - stay.from_ms;
        let cost = by.entry(stay.class).or_default();
        cost.storage += book.storage(provider, stay.class, stay.bytes, ms);
        if ended.is_some() && !stay.restored_copy {
            cost.penalties += book.early(provider, stay.class, stay.bytes, ms);
        }
    }
    for ((request, class), requests) in &usage.requests {
        let (count, bytes) = (requests.count as f64, requests.bytes as f64);
        let of = |op| book.requests(provider, class, op, count);
        by.entry(class).or_default().requests += match request {
            Request::Put => of(Op::Put),
            Request::Get => of(Op::Get) + book.read(provider, class, bytes),
            Request::List => of(Op::List),
            Request::Move => of(Op::Move),
            Request::Delete => of(Op::Delete),
            Request::Restore(speed) => {
                book.restore(provider, class, Speed::from(*speed), count, bytes).unwrap_or(0.0)
            }
        };
    }
    by
}

impl From<RestoreSpeed> for Speed {
    fn from(speed: RestoreSpeed) -> Self {
        match speed {
            RestoreSpeed::Bulk => Self::Bulk,
            RestoreSpeed::Standard => Self::Standard,
            RestoreSpeed::Expedited => Self::Expedited,
        }
    }
}
