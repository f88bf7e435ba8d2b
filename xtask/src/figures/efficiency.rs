//! Speed against what it is made of: the CPU time of a whole run, beside that of its bare parts.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    Figure, Lab, Target,
    lake::{generate, number},
    spine::ingest,
};
use crate::measure::measure;

/// Raw logs, in megabytes.
const MEGABYTES: u64 = 420;

/// Odd, so that there is a middle one; more than elsewhere, because machines are seldom quiet.
const ROUNDS: usize = 5;

/// Runs with one thread and the bare parts in turn on the same logs: the sum of the parts' times over
/// the time of the run beside them, and of these ratios the middle one.
pub(super) fn against_bare_parts(lab: &Lab) -> Result<Vec<Figure>> {
    let folder = lab.workspace.scratch("efficiency")?;
    let logs = folder.join("logs");
    let events = generate(lab, &logs, "aws.cloudtrail", MEGABYTES, 4)?;
    let (mut whole, mut rounds) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let lake = folder.join("lake");
        whole.push(ingest(lab, &lake, &logs, 1, events)?.cpu_seconds);
        fs::remove_dir_all(&lake)?;
        rounds.push(bare_parts(lab, &logs, events)?);
    }
    fs::remove_dir_all(&folder)?;
    let raw = rounds.first().and_then(|round| number(round, "raw_bytes").ok()).unwrap_or(0) as f64 / 1e6;
    let sums: Option<Vec<f64>> = rounds.iter().map(|round| round["sum_seconds"].as_f64()).collect();
    let sums = sums.context("no sum of the parts")?;
    let ratios = sums.iter().zip(&whole).map(|(sum, whole)| sum / whole).collect();
    for (name, seconds) in parts(&rounds)? {
        told(&name, raw, seconds);
    }
    told("sum of the bare parts", raw, middle(sums));
    told("linchpin", raw, middle(whole));
    Ok(vec![Figure {
        name: "efficiency_against_bare_parts",
        value: middle(ratios),
        target: Target::AtLeast(0.75),
    }])
}

/// Times the bare parts once.
fn bare_parts(lab: &Lab, logs: &std::path::Path, events: u64) -> Result<Value> {
    let done = measure(Command::new(lab.bare_parts()?).arg(logs).args(["--rounds", "1"]))?;
    let report: Value = serde_json::from_str(&done.stdout).context("`bare-parts` printed no JSON")?;
    ensure!(number(&report, "events")? == events, "{events} events were generated, but: {report}");
    Ok(report)
}

/// Each part's middle CPU seconds.
fn parts(rounds: &[Value]) -> Result<Vec<(String, f64)>> {
    let names = rounds.first().and_then(|round| round["parts"].as_object()).context("no parts")?;
    let part = |name: &String| {
        let seconds = rounds.iter().map(|round| round["parts"][name]["seconds"].as_f64());
        let seconds =
            seconds.collect::<Option<Vec<_>>>().with_context(|| format!("no seconds of `{name}`"))?;
        Ok((name.clone(), middle(seconds)))
    };
    names.keys().map(part).collect()
}

/// Says how fast something is, for who reads along.
fn told(name: &str, megabytes: f64, seconds: f64) {
    eprintln!("  {name}: {seconds:.3} CPU s, {:.0} MB per CPU second", megabytes / seconds);
}

fn middle(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;

    #[test]
    fn parts_take_their_middle_time() {
        let round = |a: f64, b: f64| json!({ "parts": { "a": { "seconds": a }, "b": { "seconds": b } } });
        let rounds = [round(3.0, 1.0), round(1.0, 5.0), round(2.0, 4.0)];
        assert_eq!(parts(&rounds).unwrap(), [("a".to_owned(), 2.0), ("b".to_owned(), 4.0)]);
        assert!(parts(&[json!({})]).is_err());
    }
}
