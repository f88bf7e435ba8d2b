//! `linchpin explain`: which rule keeps an event, and what becomes of it.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use linchpin_normalize::Normalizer;
use linchpin_tiering::{
    explain::{self, ExplainError, Explanation, Judged},
    prices::Provider,
};
use serde_json::{Value, json};

use crate::{cli::ConfigArg, deployment::Deployment, exit::Failure, table};

/// Say which retention rule keeps an event and why, where it is now and until when.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin explain -c linchpin.yaml 4be3a1c86db1d1c1b8cb73c9c3d50000000c3b00"
)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Id of the event: its column `event_id`
    #[arg(value_name = "EVENT_ID")]
    pub event: String,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

pub(crate) fn run(args: &ExplainArgs) -> Result<()> {
    let deployment = Deployment::load(&args.config.config)?;
    let found = super::runtime()?.block_on(async {
        let lake = deployment.lake().await?;
        let mut normalizer = Normalizer::new(deployment.catalog.clone());
        let risk = deployment.risk.now();
        let found = explain::explain(&lake, &deployment.policy, &risk, &mut normalizer, &args.event).await;
        found.map_err(|error| match error {
            ExplainError::NotAnId(_) => Failure::usage(error),
            ExplainError::Unknown(_) => Failure::problem(error),
            other => Failure::environment(other),
        })
    })?;
    if args.json {
        println!("{:#}", as_json(&deployment, &found));
    } else {
        print!("{}", as_text(&deployment, &found));
    }
    Ok(())
}

/// Name and predicate of a rule.
fn rule(deployment: &Deployment, n: usize) -> (&str, Option<&str>) {
    let rule = deployment.config.retention.rules.value.get(n);
    rule.map_or(("", None), |rule| (&rule.name.value, rule.when.as_ref().map(|when| when.value.as_str())))
}

fn as_text(deployment: &Deployment, found: &Explanation) -> String {
    let (mut out, segment) = (String::new(), &found.segment);
    let place = segment.place();
    let _ = writeln!(out, "kept as `{}`", found.class);
    for row in &found.rows {
        let Some(decides) = row.rules.last() else { continue };
        let (name, when) = rule(deployment, decides.rule);
        let _ =
            writeln!(out, "row {}: rule {} `{name}` gives `{}`", row.sub, decides.rule + 1, decides.class);
        let _ = writeln!(out, "  because {}{}", when.unwrap_or("it matches everything"), values(decides));
        for before in row.rules.iter().filter(|judged| !judged.matches) {
            let (name, _) = rule(deployment, before.rule);
            let _ = writeln!(out, "  not rule {} `{name}`{}", before.rule + 1, values(before));
        }
    }
    if found.rows.len() > 1 {
        let _ = writeln!(out, "of its rows' classes, an event has the one that is kept longest");
    }
    match &found.today {
        None => {
            let _ = writeln!(out, "its values need a restore to be read: only its class is known");
        }
        Some(today) if *today != found.class => {
            let _ =
                writeln!(out, "it came in under other rules or another context: today it would be `{today}`");
        }
        Some(_) => {}
    }
    let _ = writeln!(out, "committed {}", table::moment(segment.committed_ms));
    match &found.kept {
        Some(kept) => {
            let hot = if found.hot { "hot now, until about" } else { "not hot any more, was until about" };
            let _ = writeln!(out, "{hot} {}", table::moment(kept.hot_until_ms));
            for (from_ms, class) in &kept.way {
                let _ = writeln!(out, "from {} in {class}", table::moment(*from_ms));
            }
            let _ = writeln!(out, "due for deletion {}", table::moment(kept.expires_ms));
        }
        None => {
            let _ = writeln!(out, "the policy has no class `{}` any more: it is kept", found.class);
        }
    }
    let _ = writeln!(out, "now event {} of segment `{}`", found.row, segment.fact.id);
    let _ = writeln!(out, "in `{}` of archive `{}`, {}", place.object, place.store, place.tier);
    if !segment.holds.is_empty() {
        let _ = writeln!(out, "legal holds keep it: {}", segment.holds.join(", "));
    }
    out
}

/// The values that a rule looked at.
fn values(judged: &Judged) -> String {
    let shown: Vec<String> = judged.columns.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    if shown.is_empty() { String::new() } else { format!(": {}", shown.join(", ")) }
}

fn as_json(deployment: &Deployment, found: &Explanation) -> Value {
    let judged = |judged: &Judged| {
        let (name, when) = rule(deployment, judged.rule);
        let columns: serde_json::Map<String, Value> =
            judged.columns.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        json!({ "rule": name, "when": when, "class": judged.class, "matches": judged.matches, "columns": columns })
    };
    let rows: Vec<Value> = found
        .rows
        .iter()
        .map(|row| json!({ "sub": row.sub, "rules": row.rules.iter().map(judged).collect::<Vec<_>>() }))
        .collect();
    let deciding = found.rows.iter().filter_map(|row| row.rules.last()).find(|j| j.class == found.class);
    let (segment, place) = (&found.segment, found.segment.place());
    let kept = found.kept.as_ref().map(|kept| {
        let way =
            kept.way.iter().map(|(from, class)| json!({ "from": table::rfc3339(*from), "class": class }));
        json!({
            "hot_until": table::rfc3339(kept.hot_until_ms),
            "tiers": way.collect::<Vec<_>>(),
            "expires": table::rfc3339(kept.expires_ms),
        })
    });
    json!({
        "class": found.class,
        "rule": deciding.map(|judged| rule(deployment, judged.rule).0),
        "today": found.today,
        "rows": rows,
        "hot": found.hot,
        "committed": table::rfc3339(segment.committed_ms),
        "kept": kept,
        "segment": segment.fact.id,
        "row": found.row,
        "store": place.store,
        "object": place.object,
        "tier": place.tier,
        "provider": provider(deployment, &place.store).map(Provider::name),
        "holds": segment.holds,
    })
}

fn provider(deployment: &Deployment, store: &str) -> Option<Provider> {
    deployment.config.archive(store).map(Provider::of)
}
