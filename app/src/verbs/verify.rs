//! `linchpin verify`: whether the archive still holds what the ledger says.

use std::{num::ParseFloatError, str::FromStr};

use anyhow::{Result, anyhow};
use clap::Args;
use linchpin_tiering::{
    archive::Finding,
    evidence::{self, Report},
    signing::{self, Checked},
};
use serde_json::json;

use crate::{
    cli::ConfigArg,
    deployment::Deployment,
    exit::Failure,
    progress::{Progress, Unit},
    table,
};

/// Check the archive: object hashes, event counts, the chain of segments, signatures of the ledger.
///
/// Names what was changed, is missing or stands in another's place; exit code 1 if there is any.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin verify -c linchpin.yaml\n  linchpin verify -c linchpin.yaml --sample 5%"
)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Part of the segments to read in full: `0.05` or `5%`; the chain is always checked
    #[arg(long, value_name = "P", default_value = "1")]
    pub sample: Sample,
    /// Choose the sample by this number instead of another one each time
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// A part of a whole, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample(pub f64);

impl FromStr for Sample {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = match text.strip_suffix('%') {
            Some(percent) => percent.trim().parse::<f64>().map(|p| p / 100.0),
            None => text.parse::<f64>(),
        };
        let wrong = |_: ParseFloatError| format!("`{text}` is not a part\nhint: write `0.05` or `5%`");
        let part = part.map_err(wrong)?;
        if (0.0..=1.0).contains(&part) {
            Ok(Self(part))
        } else {
            Err(format!("`{text}` is not between 0 and 1\nhint: write `0.05` or `5%`"))
        }
    }
}

pub(crate) fn run(args: &VerifyArgs) -> Result<()> {
    let deployment = Deployment::load(&args.config.config)?;
    let seed = args.seed.unwrap_or_else(|| jiff::Timestamp::now().as_microsecond().unsigned_abs());
    let (report, signatures) = super::runtime()?.block_on(async {
        let lake = deployment.lake().await?;
        let mut progress = None;
        let told = |done: usize, all: usize| {
            let bar = progress.get_or_insert_with(|| Progress::towards("verify", Unit::Count, all as u64));
            bar.set(done as u64);
        };
        let report = evidence::check(&lake, args.sample.0, seed, told).await.map_err(Failure::environment)?;
        let signatures = signing::check(&lake).await.map_err(Failure::environment)?;
        Ok::<_, anyhow::Error>((report, signatures))
    })?;
    if args.json {
        println!("{}", as_json(&report, &signatures, seed));
    } else {
        report.findings.iter().for_each(|finding| println!("{finding}"));
        signatures.findings.iter().for_each(|finding| println!("{finding}"));
        println!(
            "{} of {} segments read, {} events, {}",
            table::count(report.read as u64),
            table::count(report.segments as u64),
            table::count(report.events),
            table::bytes(report.bytes)
        );
        println!("{}", said(&signatures));
    }
    match report.findings.len() + signatures.findings.len() {
        0 => Ok(()),
        n => {
            Err(Failure::problem(anyhow!("{n} findings\nhint: restore the objects named above from a copy")))
        }
    }
}

/// The signatures in a line: who signed what the ledger says was applied and deleted.
fn said(signatures: &Checked) -> String {
    let keys: Vec<String> =
        signatures.keys.iter().map(|(key, n)| format!("{} by key {key}", table::count(*n as u64))).collect();
    let keys = if keys.is_empty() { "none".to_owned() } else { keys.join(", ") };
    match signatures.unsigned {
        0 => format!("signatures: {keys}"),
        n => format!("signatures: {keys}; {} older records have none", table::count(n as u64)),
    }
}

fn as_json(report: &Report, signatures: &Checked, seed: u64) -> serde_json::Value {
    let finding = |f: &Finding| {
        let rows = f.rows.as_ref().map(|rows| [rows.start, rows.end]);
        json!({ "segment": f.segment, "block": f.block, "rows": rows, "what": f.what })
    };
    json!({
        "segments": report.segments,
        "read": report.read,
        "seed": seed,
        "events": report.events,
        "bytes": report.bytes,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "signatures": {
            "signed": signatures.signed,
            "unsigned": signatures.unsigned,
            "keys": signatures.keys,
            "findings": signatures.findings,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_part() {
        for (text, part) in [("1", 1.0), ("0.05", 0.05), ("5%", 0.05), ("0", 0.0), ("100%", 1.0)] {
            assert_eq!(text.parse(), Ok(Sample(part)), "{text}");
        }
        for wrong in ["2", "-1", "5", "101%", "half", "", "NaN"] {
            assert!(wrong.parse::<Sample>().is_err_and(|e| e.contains("hint: ")), "{wrong}");
        }
    }
}
