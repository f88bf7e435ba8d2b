//! The life of one month's inflow.

use std::collections::BTreeMap;

use super::{Cost, Course, Habits, Inflow, Objects, Order, Way, course, price, size};
use crate::{
    policy::RetentionClass,
    prices::{Book, MONTH_MS, Provider},
};

/// Commits of a month are planned as if they came at so many moments.
const COHORTS: i64 = 30;

/// What the inflow of one month costs in each month of its life, and how much of it lies there at the end.
pub(super) struct Profile {
    pub(super) months: Vec<(BTreeMap<&'static str, Cost>, f64)>,
    bytes: BTreeMap<&'static str, f64>,
}

impl Profile {
    pub(super) fn new(order: &Order<'_>, inflow: &Inflow, class: &RetentionClass) -> Self {
        let way = Way::of(class, inflow.provider);
        let bytes = inflow.segment_bytes.max(1);
        let count = inflow.stored_bytes / bytes as f64 / COHORTS as f64;
        let habits = Habits::of(&order.habits, order.pass, inflow.together_day);
        let mut profile = Self { months: Vec::new(), bytes: BTreeMap::new() };
        for cohort in 0..COHORTS {
            // The middle of its part of the month.
            let at_ms = MONTH_MS * (2 * cohort + 1) / (2 * COHORTS);
            let course = course(&Objects::new(count, bytes, at_ms, inflow.provider), &way, &habits, at_ms);
            profile.add(&course, inflow.provider, order.book);
        }
        profile
    }

    fn add(&mut self, course: &Course, provider: Provider, book: &Book) {
        let months = usize::try_from(course.end_ms() / MONTH_MS + 1).unwrap_or(0);
        if self.months.len() < months {
            self.months.resize(months, (BTreeMap::new(), 0.0));
        }
        for (n, (costs, bytes)) in self.months.iter_mut().enumerate() {
            let from = n as i64 * MONTH_MS;
            for (tier, cost) in price(course, provider, book, &(from..from + MONTH_MS)) {
                *costs.entry(tier).or_default() += cost;
            }
            *bytes += course.state_at(from + MONTH_MS - 1).map_or(0.0, |o| o.count * o.bytes as f64);
        }
        let mut seen: Vec<&str> = Vec::new();
        for stay in course.stays.iter().filter(|stay| stay.period.1 > stay.period.0) {
            if !seen.contains(&stay.class) {
                seen.push(stay.class);
                *self.bytes.entry(stay.class).or_default() += size(stay);
            }
        }
    }

    /// Costs over the whole life and bytes, by tier.
    pub(super) fn by_tier(&self) -> BTreeMap<&'static str, (Cost, f64)> {
        let mut by: BTreeMap<&'static str, (Cost, f64)> = BTreeMap::new();
        for (tier, cost) in self.months.iter().flat_map(|(costs, _)| costs) {
            by.entry(tier).or_default().0 += *cost;
        }
        for (tier, bytes) in &self.bytes {
            by.entry(tier).or_default().1 = *bytes;
        }
        by
    }
}
