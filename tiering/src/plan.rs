//! What a policy will cost, before it is applied.
//!
//! Three parts: [`course`] says what a policy will do with objects, a pure function; [`price`] puts the
//! prices of a [`Book`] to it, as [`bill`] does to what a store counted; and [`plan`] adds up the courses of
//! everything that is in a lake ([`Stock`]) and of what will come in ([`Inflow`], extrapolated from what
//! came in lately or given). It deletes nothing and asks no store for anything.

mod bill;
mod course;
mod inflow;
mod lately;
mod profile;
mod sample;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

use profile::Profile;
use serde::Serialize;

pub use bill::{Cost, bill, price};
pub use course::{Asked, Course, Habits, Lying, Objects, Period, Way, course, put_requests};
pub use inflow::{Given, LATELY_DAYS, given, read};
pub use sample::{SAMPLE_ROWS_MAX, Sample, sample};

use crate::{
    enforce,
    policy::RetentionClass,
    prices::{Book, DAY_MS, GB, MONTH_MS, Provider},
    tiers,
};

/// The name of the hot table among the tiers of a plan.
pub const HOT_TIER: &str = "hot table";

/// Segments of one retention class, with what is in them by feed.
#[derive(Debug, Clone, PartialEq)]
pub struct Stock {
    /// Retention class.
    pub class: String,
    /// Who keeps them.
    pub provider: Provider,
    /// The objects.
    pub objects: Objects,
    /// Raw events.
    pub events: f64,
    /// Whether a legal hold keeps them.
    pub held: bool,
    /// Stored bytes a day that become due together with them.
    pub together_day: f64,
    /// Feeds with their part of the bytes; the parts add up to 1.
    pub feeds: Vec<(String, f64)>,
}

/// What comes in through a feed and gets a retention class.
#[derive(Debug, Clone, PartialEq)]
pub struct Inflow {
    /// Feed.
    pub feed: String,
    /// Retention class.
    pub class: String,
    /// Who keeps it.
    pub provider: Provider,
    /// Raw events a month.
    pub events: f64,
    /// Bytes of the raw events a month.
    pub raw_bytes: f64,
    /// Bytes of their segments a month.
    pub stored_bytes: f64,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Stored bytes a day that become due together with it: those of its class and archive.
    pub together_day: f64,
    /// Bytes of their rows in the hot table a month.
    pub hot_bytes: f64,
    /// The part of the raw bytes that a SIEM takes in, 0 to 1.
    pub taken: f64,
}

/// Rows of the hot table: a class and a day.
#[derive(Debug, Clone, PartialEq)]
pub struct HotDay {
    /// Retention class.
    pub class: String,
    /// When the day begins, epoch milliseconds.
    pub day_ms: i64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Number of files.
    pub files: u64,
    /// Rows.
    pub rows: u64,
    /// Feeds with their part of it.
    pub feeds: Vec<(String, f64)>,
}

/// What a plan is made of.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// What is in the archives.
    pub stock: Vec<Stock>,
    /// What is in the hot table.
    pub hot: Vec<HotDay>,
    /// What will come in.
    pub inflow: Vec<Inflow>,
    /// Who keeps the hot table.
    pub lake: Option<Provider>,
}

/// What to plan.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Classes of the policy.
    pub classes: &'a [RetentionClass],
    /// Prices.
    pub book: &'a Book,
    /// Now, epoch milliseconds.
    pub now_ms: i64,
    /// Months for which the inflow goes on.
    pub months: u32,
    /// How the policy is carried out.
    pub habits: enforce::Habits,
    /// Time between two passes.
    pub pass: Duration,
}

/// One line of a plan: what a feed and class cost in a tier, over the whole life.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Row {
    /// Feed.
    pub feed: String,
    /// Retention class.
    pub class: String,
    /// Storage class in the provider's word, or [`HOT_TIER`].
    pub tier: String,
    /// Raw events that will have been there.
    pub events: f64,
    /// Their stored bytes.
    pub bytes: f64,
    /// For being there, with overhead and minimum sizes.
    pub storage: f64,
    /// For requests and for reading.
    pub requests: f64,
    /// For leaving early.
    pub penalties: f64,
    /// For bytes that leave the cloud towards a SIEM.
    pub egress: f64,
}

/// One month of a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Month {
    /// When it begins, epoch milliseconds.
    pub from_ms: i64,
    /// Bytes that lie in archives and hot table at its end.
    pub bytes: f64,
    /// Storage.
    pub storage: f64,
    /// Requests and reads.
    pub requests: f64,
    /// Early deletions.
    pub penalties: f64,
    /// Bytes that leave the cloud.
    pub egress: f64,
}

impl Month {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.storage + self.requests + self.penalties + self.egress
    }
}

/// What the policy does with a class of what is in the lake, as soon as it is in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Effect {
    /// Retention class.
    pub class: String,
    /// Raw events that it keeps.
    pub keeps_events: f64,
    /// Their stored bytes.
    pub keeps_bytes: f64,
    /// Stored bytes that move to another storage class now.
    pub moves_bytes: f64,
    /// Raw events that are due for deletion now.
    pub deletes_events: f64,
    /// Their stored bytes.
    pub deletes_bytes: f64,
}

/// A plan. Amounts are in the book's currency.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Plan {
    /// Currency.
    pub currency: String,
    /// Day of the prices.
    pub prices: String,
    /// The mean bill of the months that were planned.
    pub monthly: f64,
    /// The bill of a month once as much expires as comes in.
    pub steady_monthly: f64,
    /// Everything that is in the lake and will come in during these months, until it is deleted: the sum
    /// of all rows.
    pub lifetime: f64,
    /// Raw gigabytes a month that are kept and that no SIEM takes in.
    pub siem_gb_avoided: f64,
    /// What these would cost a month to take in, by SIEM.
    pub siem_saved: BTreeMap<String, f64>,
    /// By feed, class and tier.
    pub by: Vec<Row>,
    /// By month.
    pub months: Vec<Month>,
    /// What happens at once, by class.
    pub effects: Vec<Effect>,
}

/// Plans a policy.
pub fn plan(order: &Order<'_>, facts: &Facts) -> Plan {
    let mut sums = Sums::new(order);
    for stock in &facts.stock {
        sums.stock(stock);
    }
    for day in &facts.hot {
        sums.hot_day(day, facts.lake.unwrap_or(Provider::Local));
    }
    for inflow in &facts.inflow {
        sums.inflow(inflow, facts.lake.unwrap_or(Provider::Local));
    }
    sums.plan()
}

struct Sums<'a> {
    order: &'a Order<'a>,
    rows: BTreeMap<(String, String, &'static str), Row>,
    months: Vec<Month>,
    effects: BTreeMap<String, Effect>,
    steady: f64,
    avoided_gb: f64,
}

impl<'a> Sums<'a> {
    fn new(order: &'a Order<'a>) -> Self {
        let month = |n: u32| Month { from_ms: order.now_ms + i64::from(n) * MONTH_MS, ..Month::default() };
        Self {
            order,
            rows: BTreeMap::new(),
            months: (0..order.months.max(1)).map(month).collect(),
            effects: BTreeMap::new(),
            steady: 0.0,
            avoided_gb: 0.0,
        }
    }

    fn end_ms(&self) -> i64 {
        self.order.now_ms + self.months.len() as i64 * MONTH_MS
    }

    fn class(&self, name: &str) -> Option<&'a RetentionClass> {
        self.order.classes.iter().find(|class| class.name == name)
    }

    fn row(&mut self, feed: &str, class: &str, tier: &'static str) -> &mut Row {
        let row = self.rows.entry((feed.to_owned(), class.to_owned(), tier)).or_default();
        if row.feed.is_empty() {
            (row.feed, row.class, row.tier) = (feed.to_owned(), class.to_owned(), tier.to_owned());
        }
        row
    }

    /// What is kept in any case is planned to the end of the months: nobody knows for how long.
    fn way(&self, stock: &Stock) -> Way {
        let until = |way: Way| {
            let end = self.end_ms().saturating_sub(stock.objects.committed_ms).max(0).unsigned_abs();
            Way { expire: way.expire.max(Duration::from_millis(end)), ..way }
        };
        match self.class(&stock.class) {
            Some(class) if stock.held => until(Way::of(class, stock.provider)),
            Some(class) => Way::of(class, stock.provider),
            None => until(Way {
                provider: stock.provider,
                steps: vec![(Duration::ZERO, stock.objects.class)],
                expire: Duration::ZERO,
            }),
        }
    }

    fn stock(&mut self, stock: &Stock) {
        let (order, way) = (self.order, self.way(stock));
        let habits = Habits::of(&order.habits, order.pass, stock.together_day);
        let course = course(&stock.objects, &way, &habits, order.now_ms);
        let all = order.now_ms..i64::MAX;
        for (tier, cost) in price(&course, stock.provider, order.book, &all) {
            let bytes = course.stays.iter().filter(|s| s.class == tier).map(size).fold(0.0, f64::max);
            for (feed, part) in &stock.feeds {
                let events = if bytes > 0.0 { stock.events * part } else { 0.0 };
                self.row(feed, &stock.class, tier).add(events, bytes * part, scaled(cost, *part));
            }
        }
        for month in &mut self.months {
            let period = month.from_ms..month.from_ms + MONTH_MS;
            month.add(price(&course, stock.provider, order.book, &period).into_values().sum());
            month.bytes += course.state_at(period.end - 1).map_or(0.0, |o| o.count * o.bytes as f64);
        }
        self.effect(stock, &way);
    }

    fn effect(&mut self, stock: &Stock, way: &Way) {
        let age_ms = (self.order.now_ms - stock.objects.committed_ms).max(0).unsigned_abs();
        let age = Duration::from_millis(age_ms);
        let bytes = stock.objects.count * stock.objects.bytes as f64;
        let effect = self.effects.entry(stock.class.clone()).or_default();
        stock.class.clone_into(&mut effect.class);
        if age >= way.expire {
            effect.deletes_events += stock.events;
            effect.deletes_bytes += bytes;
            return;
        }
        effect.keeps_events += stock.events;
        effect.keeps_bytes += bytes;
        let wanted = way.steps.iter().rev().find(|(after, _)| *after <= age).map(|(_, class)| *class);
        if wanted.is_some_and(|wanted| wanted != stock.objects.class)
            && !tiers::needs_restore(stock.provider, stock.objects.class)
        {
            effect.moves_bytes += bytes;
        }
    }

    fn hot_day(&mut self, day: &HotDay, lake: Provider) {
        let Some(class) = self.class(&day.class) else { return };
        let until_ms = day.day_ms + DAY_MS + i64::try_from(class.hot.as_millis()).unwrap_or(i64::MAX);
        let now_ms = self.order.now_ms;
        let cost = |from: i64, to: i64| {
            let ms = until_ms.min(to) - now_ms.max(from);
            let file = day.bytes / day.files.max(1);
            day.files as f64 * self.order.book.storage(lake, tiers::first(lake), file, ms)
        };
        let whole = Cost { storage: cost(now_ms, i64::MAX), ..Cost::default() };
        let by_month: Vec<f64> = self.months.iter().map(|m| cost(m.from_ms, m.from_ms + MONTH_MS)).collect();
        for (feed, part) in &day.feeds {
            let (rows, bytes) = (day.rows as f64 * part, day.bytes as f64 * part);
            self.row(feed, &day.class, HOT_TIER).add(rows, bytes, scaled(whole, *part));
        }
        for (month, storage) in self.months.iter_mut().zip(by_month) {
            month.storage += storage;
            month.bytes += if until_ms >= month.from_ms + MONTH_MS { day.bytes as f64 } else { 0.0 };
        }
    }

    fn inflow(&mut self, inflow: &Inflow, lake: Provider) {
        let Some(class) = self.class(&inflow.class) else { return };
        let months = self.months.len() as f64;
        let profile = Profile::new(self.order, inflow, class);
        for (tier, (cost, bytes)) in profile.by_tier() {
            let events = if bytes > 0.0 { inflow.events * months } else { 0.0 };
            self.row(&inflow.feed, &inflow.class, tier).add(events, bytes * months, scaled(cost, months));
            self.steady += cost.total();
        }
        for n in 0..self.months.len() {
            for later in n..self.months.len() {
                let Some((cost, bytes)) = profile.months.get(later - n) else { break };
                self.months[later].add(cost.values().copied().sum());
                self.months[later].bytes += bytes;
            }
        }
        self.hot_inflow(inflow, class, lake);
        self.egress(inflow);
    }

    /// Rows stay for the class's time, evenly.
    fn hot_inflow(&mut self, inflow: &Inflow, class: &RetentionClass, lake: Provider) {
        let hot_months = class.hot.as_millis() as f64 / MONTH_MS as f64;
        let gb_month = self.order.book.class(lake, tiers::first(lake)).storage;
        let whole = inflow.hot_bytes / GB * gb_month * hot_months;
        let months = self.months.len() as f64;
        let cost = Cost { storage: whole * months, ..Cost::default() };
        if inflow.hot_bytes > 0.0 {
            let row = self.row(&inflow.feed, &inflow.class, HOT_TIER);
            row.add(inflow.events * months, inflow.hot_bytes * months, cost);
        }
        self.steady += whole;
        for (n, month) in self.months.iter_mut().enumerate() {
            // What came in during the months before, as far as it is still there, and half of this one.
            let full = (n as f64 + 0.5).min(hot_months);
            month.storage += inflow.hot_bytes / GB * gb_month * full;
            month.bytes += inflow.hot_bytes * (n as f64 + 1.0).min(hot_months);
        }
    }

    /// What a SIEM takes leaves the cloud; what it does not take in is saved there.
    fn egress(&mut self, inflow: &Inflow) {
        let out = self.order.book.egress(inflow.provider, inflow.raw_bytes * inflow.taken);
        let months = self.months.len() as f64;
        if out > 0.0 {
            self.row(&inflow.feed, &inflow.class, tiers::first(inflow.provider)).egress += out * months;
        }
        self.months.iter_mut().for_each(|month| month.egress += out);
        self.steady += out;
        self.avoided_gb += inflow.raw_bytes * (1.0 - inflow.taken) / GB;
    }

    fn plan(self) -> Plan {
        let by: Vec<Row> = self.rows.into_values().collect();
        let saved =
            |(name, siem): (&str, &crate::prices::Siem)| (name.to_owned(), self.avoided_gb * siem.ingest);
        Plan {
            currency: self.order.book.currency.clone(),
            prices: self.order.book.date.clone(),
            monthly: self.months.iter().map(Month::total).sum::<f64>() / self.months.len() as f64,
            steady_monthly: self.steady,
            lifetime: by.iter().map(Row::total).sum(),
            siem_gb_avoided: self.avoided_gb,
            siem_saved: self.order.book.siems().map(saved).collect(),
            by,
            months: self.months,
            effects: self.effects.into_values().collect(),
        }
    }
}

impl Row {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.storage + self.requests + self.penalties + self.egress
    }

    fn add(&mut self, events: f64, bytes: f64, cost: Cost) {
        self.events += events;
        self.bytes += bytes;
        self.storage += cost.storage;
        self.requests += cost.requests;
        self.penalties += cost.penalties;
    }
}

impl Month {
    fn add(&mut self, cost: Cost) {
        self.storage += cost.storage;
        self.requests += cost.requests;
        self.penalties += cost.penalties;
    }
}

fn size(stay: &Lying) -> f64 {
    stay.count * stay.bytes as f64
}

fn scaled(cost: Cost, by: f64) -> Cost {
    Cost { storage: cost.storage * by, requests: cost.requests * by, penalties: cost.penalties * by }
}
