//! A plan as a table and as JSON.

use std::fmt::Write as _;

use linchpin_tiering::plan::{Effect, Month, Plan, Row};
use serde_json::{Value, json};

use super::Basis;
use crate::table::{self, Table};

/// A sum of a plan: what it is, and where it stands.
type Sum = (&'static str, fn(&Plan) -> f64);

/// The sums that people want to see.
pub(super) const SUMS: [Sum; 3] = [
    ("a month, on average", |plan| plan.monthly),
    ("a month, once as much expires as comes in", |plan| plan.steady_monthly),
    ("over its whole life", |plan| plan.lifetime),
];

/// An amount of money, with as many digits as it takes to see it.
pub(super) fn amount(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        v if v < 0.01 => format!("{value:.6}"),
        v if v < 100.0 => format!("{value:.2}"),
        _ => {
            let whole = table::count(value.abs().round() as u64);
            if value < 0.0 { format!("-{whole}") } else { whole }
        }
    }
}

fn whole(value: f64) -> u64 {
    value.max(0.0).round() as u64
}

pub(super) fn as_text(plan: &Plan, against: Option<&Plan>, basis: Basis) -> String {
    let mut out = String::new();
    let mut rows = Table::new([
        "FEED",
        "CLASS",
        "TIER",
        "EVENTS",
        "BYTES",
        "STORAGE",
        "REQUESTS",
        "PENALTIES",
        "EGRESS",
    ]);
    for row in &plan.by {
        rows.row([
            row.feed.clone(),
            row.class.clone(),
            row.tier.clone(),
            table::count(whole(row.events)),
            table::bytes(whole(row.bytes)),
            amount(row.storage),
            amount(row.requests),
            amount(row.penalties),
            amount(row.egress),
        ]);
    }
    if !rows.is_empty() {
        let _ = writeln!(out, "{rows}");
    }
    let effects = effects(&plan.effects);
    if !effects.is_empty() {
        let _ = writeln!(out, "As soon as it is in force:\n{effects}");
    }
    let _ = writeln!(out, "{}", sums(plan, against));
    let gb = |plan: &Plan| format!("{:.1}", plan.siem_gb_avoided);
    let _ = writeln!(out, "{} GB a month are kept and taken in by no SIEM; there they would cost", gb(plan));
    for (name, saved) in &plan.siem_saved {
        let _ = writeln!(out, "  {name}: {} {} a month", amount(*saved), plan.currency);
    }
    let _ = writeln!(
        out,
        "\nPrices of {} in {}. {}",
        plan.prices,
        plan.currency,
        about(basis, plan.months.len())
    );
    out
}

fn about(basis: Basis, months: usize) -> String {
    let what = match basis {
        Basis::Ledger => "What came in lately goes on for",
        Basis::Given => "The sizes that were given come in for",
        Basis::Nothing => "Nothing came in lately: this is what is in the lake, looked at for",
    };
    format!("{what} {months} months; rows are the whole life of all that, until it is deleted.")
}

fn effects(effects: &[Effect]) -> Table {
    let mut table = Table::new(["CLASS", "KEEPS", "BYTES", "MOVES", "DELETES", "BYTES"]);
    for effect in effects {
        table.row([
            effect.class.clone(),
            table::count(whole(effect.keeps_events)),
            table::bytes(whole(effect.keeps_bytes)),
            table::bytes(whole(effect.moves_bytes)),
            table::count(whole(effect.deletes_events)),
            table::bytes(whole(effect.deletes_bytes)),
        ]);
    }
    table
}

/// The sums, beside those of the other policy.
fn sums(plan: &Plan, against: Option<&Plan>) -> String {
    let Some(against) = against else {
        let mut table = Table::new(["COSTS", "AMOUNT"]);
        for (name, of) in SUMS {
            table.row([name.to_owned(), amount(of(plan))]);
        }
        return table.to_string();
    };
    let mut table = Table::new(["COSTS", "NEW", "CURRENT", "DIFFERENCE"]);
    for (name, of) in SUMS {
        let (new, old) = (of(plan), of(against));
        table.row([name.to_owned(), amount(new), amount(old), amount(new - old)]);
    }
    table.to_string()
}

pub(super) fn as_json(plan: &Plan, against: Option<&Plan>, basis: Basis) -> Value {
    let mut out = one(plan);
    out["basis"] = match basis {
        Basis::Ledger => "ledger",
        Basis::Given => "given",
        Basis::Nothing => "nothing",
    }
    .into();
    if let Some(against) = against {
        out["difference"] = json!({
            "monthly": plan.monthly - against.monthly,
            "steady_monthly": plan.steady_monthly - against.steady_monthly,
            "lifetime": plan.lifetime - against.lifetime,
        });
        out["against"] = one(against);
    }
    out
}

fn one(plan: &Plan) -> Value {
    let row = |row: &Row| {
        json!({
            "feed": row.feed,
            "class": row.class,
            "tier": row.tier,
            "events": whole(row.events),
            "bytes": whole(row.bytes),
            "storage": row.storage,
            "requests": row.requests,
            "penalties": row.penalties,
            "egress": row.egress,
        })
    };
    let month = |month: &Month| {
        json!({
            "from": table::rfc3339(month.from_ms),
            "bytes": whole(month.bytes),
            "storage": month.storage,
            "requests": month.requests,
            "penalties": month.penalties,
            "egress": month.egress,
            "total": month.total(),
        })
    };
    let effect = |effect: &Effect| {
        json!({
            "class": effect.class,
            "keeps": { "events": whole(effect.keeps_events), "bytes": whole(effect.keeps_bytes) },
            "moves": { "bytes": whole(effect.moves_bytes) },
            "deletes": { "events": whole(effect.deletes_events), "bytes": whole(effect.deletes_bytes) },
        })
    };
    json!({
        "currency": plan.currency,
        "prices": plan.prices,
        "monthly": plan.monthly,
        "steady_monthly": plan.steady_monthly,
        "lifetime": plan.lifetime,
        "siem_gb_avoided": plan.siem_gb_avoided,
        "siem_saved": plan.siem_saved,
        "by": plan.by.iter().map(row).collect::<Vec<_>>(),
        "months": plan.months.iter().map(month).collect::<Vec<_>>(),
        "effects": plan.effects.iter().map(effect).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_show_what_there_is() {
        for (value, text) in [
            (0.0, "0"),
            (0.000_123, "0.000123"),
            (1.234, "1.23"),
            (-1.234, "-1.23"),
            (99.999, "100.00"),
            (1_234_567.8, "1,234,568"),
            (-1234.0, "-1,234"),
        ] {
            assert_eq!(amount(value), text);
        }
    }
}
