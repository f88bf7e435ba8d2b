//! What is said of a comparison: a table for people, JSON for programs, a part of the documentation.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{
    compare::{Comparison, Sample, middle},
    peers::Input,
};

/// What is between them in the documentation is written by `bench --docs`.
const MARKERS: [&str; 2] = ["<!-- bench: begin -->\n", "<!-- bench: end -->\n"];
const OURS: &str = "37 columns and 31 more, Parquet; archive; ledger";

/// One line of the table.
struct Row {
    title: String,
    input: &'static str,
    output: &'static str,
    samples: Vec<Sample>,
    times: Option<f64>,
    target: Option<f64>,
}

fn rows(comparison: &Comparison<'_>) -> Vec<Row> {
    let mut rows = vec![Row {
        title: format!("**linchpin** {}", comparison.version),
        input: input(Input::Delivered),
        output: OURS,
        samples: comparison.linchpin.clone(),
        times: None,
        target: None,
    }];
    rows.extend(comparison.peers.iter().map(|beside| Row {
        title: format!("{} {}", beside.peer.name, beside.version),
        input: input(beside.peer.input),
        output: beside.peer.output,
        samples: beside.samples.clone(),
        times: Some(comparison.times(beside)),
        target: beside.peer.target.map(|(_, least)| least),
    }));
    rows
}

fn input(input: Input) -> &'static str {
    match input {
        Input::Delivered => "as delivered",
        Input::Lines => "split into lines before",
    }
}

/// Megabytes per CPU second: the middle run, the slowest and the fastest.
fn rates(megabytes: f64, samples: &[Sample]) -> [f64; 3] {
    let rates = || samples.iter().map(|sample| megabytes / sample.cpu_seconds);
    [middle(rates()), rates().fold(f64::NAN, f64::min), rates().fold(f64::NAN, f64::max)]
}

fn peak(samples: &[Sample]) -> f64 {
    samples.iter().map(|sample| sample.peak_mib).fold(f64::NAN, f64::max)
}

/// The table, with a sentence on what was measured where.
pub(super) fn markdown(comparison: &Comparison<'_>) -> String {
    let mut text = format!(
        "{:.0} MB of CloudTrail (inflated), {} events; {} runs of each, in turn, one thread each; {}.\n\n",
        comparison.megabytes,
        comparison.events,
        comparison.linchpin.len(),
        comparison.machine
    );
    text += "| | files | result | MB per CPU second (least to most) | wall s | peak MiB | linchpin is | target |\n";
    text += "|---|---|---|---|---|---|---|---|\n";
    for row in rows(comparison) {
        let [median, least, most] = rates(comparison.megabytes, &row.samples);
        let wall = middle(row.samples.iter().map(|sample| sample.wall_seconds));
        let times = row.times.map_or(String::new(), |times| format!("{times:.2} ×"));
        let target = row.target.map_or(String::new(), |least| format!("≥ {least} ×"));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {median:.1} ({least:.1} to {most:.1}) | {wall:.1} | {:.0} | {times} | {target} |",
            row.title,
            row.input,
            row.output,
            peak(&row.samples),
        );
    }
    text
}

/// Everything that was measured.
pub(super) fn json(comparison: &Comparison<'_>) -> Value {
    let engines: Vec<Value> = rows(comparison)
        .iter()
        .map(|row| {
            let [median, least, most] = rates(comparison.megabytes, &row.samples);
            let runs = row.samples.iter().map(|sample| {
                json!({
                    "cpu_seconds": sample.cpu_seconds,
                    "start_cpu_seconds": sample.start_seconds,
                    "wall_seconds": sample.wall_seconds,
                    "peak_mib": sample.peak_mib,
                })
            });
            json!({
                "engine": row.title.replace('*', ""),
                "files": row.input,
                "result": row.output,
                "mb_per_cpu_second": { "median": median, "least": least, "most": most },
                "peak_mib": peak(&row.samples),
                "linchpin_times": row.times,
                "target": row.target,
                "runs": runs.collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "machine": comparison.machine,
        "megabytes": comparison.megabytes,
        "events": comparison.events,
        "threads": 1,
        "engines": engines,
    })
}

/// Writes the table between the markers of a document.
pub(super) fn write_docs(path: &Path, comparison: &Comparison<'_>) -> Result<()> {
    let name = || format!("`{}`", path.display());
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", name()))?;
    let new = between(&text, &markdown(comparison)).with_context(|| format!("{} has no markers", name()))?;
    fs::write(path, new).with_context(|| format!("cannot write {}", name()))
}

/// The text with `part` in place of what was between the markers.
fn between(text: &str, part: &str) -> Option<String> {
    let [begin, end] = MARKERS;
    let (head, rest) = text.split_once(begin)?;
    let (_, tail) = rest.split_once(end)?;
    Some(format!("{head}{begin}\n{part}\n{end}{tail}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::{
        super::{PEERS, compare::Beside},
        *,
    };

    fn samples(seconds: [f64; 3]) -> Vec<Sample> {
        let peaks = [100.0, 300.0, 200.0];
        let sample = |(cpu_seconds, peak_mib)| Sample {
            cpu_seconds,
            peak_mib,
            wall_seconds: 2.0 * cpu_seconds,
            ..Sample::default()
        };
        seconds.into_iter().zip(peaks).map(sample).collect()
    }

    fn comparison() -> Comparison<'static> {
        Comparison {
            megabytes: 100.0,
            events: 7,
            machine: "2 cores, some processor".into(),
            version: "0.1.0".into(),
            linchpin: samples([1.0, 2.0, 1.0]),
            peers: vec![Beside { peer: &PEERS[0], version: "9".into(), samples: samples([2.0, 4.0, 2.5]) }],
        }
    }

    #[test]
    fn the_table_says_middle_spread_memory_and_ratio() {
        let text = markdown(&comparison());
        assert!(text.starts_with("100 MB of CloudTrail (inflated), 7 events; 3 runs of each"), "{text}");
        assert!(text.contains("| 100.0 (50.0 to 100.0) | 2.0 | 300 |  |  |\n"), "{text}");
        assert!(text.contains("| ClickHouse 9 | as delivered |"), "{text}");
        assert!(text.contains("| 40.0 (25.0 to 50.0) | 5.0 | 300 | 2.00 × | ≥ 1.2 × |\n"), "{text}");
    }

    #[test]
    fn json_has_every_run() {
        let report = json(&comparison());
        assert_eq!(report["engines"][0]["engine"], "linchpin 0.1.0");
        assert_eq!(report["engines"][0]["linchpin_times"], Value::Null);
        assert_eq!(report["engines"][1]["linchpin_times"], 2.0);
        assert_eq!(report["engines"][1]["runs"][1]["cpu_seconds"], 4.0);
    }

    #[test]
    fn only_what_is_between_the_markers_is_replaced() {
        let [begin, end] = MARKERS;
        let new = between(&format!("head\n{begin}old\n{end}tail\n"), "new\n").unwrap();
        assert_eq!(new, format!("head\n{begin}\nnew\n\n{end}tail\n"));
        assert_eq!(between(&new, "new\n").unwrap(), new);
        assert!(between("no markers", "new").is_none());
    }

    #[test]
    fn the_documentation_has_the_markers() {
        let text =
            fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md")).unwrap();
        assert!(between(&text, "").is_some());
    }
}
