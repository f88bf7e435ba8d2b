//! Figures of the spine: the main job on local folders.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

use super::{
    Figure, Lab, Measurement, Target, clouds, crash, efficiency,
    lake::{Lake, Settings, generate, number},
    peers, shown,
};
use crate::measure::{Usage, measure};

/// What is measured, in the order of the run.
pub(super) const MEASUREMENTS: &[Measurement] = &[
    Measurement { name: "tests", measure: shown::spine },
    Measurement { name: "kills", measure: crash::one_worker },
    Measurement { name: "kills-of-two", measure: crash::two_workers },
    Measurement { name: "efficiency", measure: efficiency::against_bare_parts },
    Measurement { name: "threads", measure: memory_and_threads },
    Measurement { name: "merging", measure: memory_of_merging },
    Measurement { name: "one-event", measure: one_event },
    Measurement { name: "needle", measure: needle },
    Measurement { name: "s3", measure: clouds::beside_folders },
    Measurement { name: "peers", measure: peers::beside_others },
];

/// Odd, so that there is a middle one.
const ROUNDS: usize = 3;
const MIB: f64 = 1024.0 * 1024.0;

/// Runs with one and two threads in turn on the same logs; of each the middle time and the largest peak.
fn memory_and_threads(lab: &Lab) -> Result<Vec<Figure>> {
    let folder = lab.workspace.scratch("threads")?;
    let logs = folder.join("logs");
    let events = generate(lab, &logs, "aws.cloudtrail", 400, 1)?;
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for (threads, usages) in [(1, &mut one), (2, &mut two)] {
            let place = folder.join(format!("{threads}-{round}"));
            usages.push(ingest(lab, &place, &logs, threads, events)?);
            fs::remove_dir_all(&place)?;
        }
    }
    let peak = |usages: &[Usage]| usages.iter().map(|usage| usage.peak_bytes).max().unwrap_or(0) as f64 / MIB;
    let speedup = middle_seconds(&one) / middle_seconds(&two);
    fs::remove_dir_all(&folder)?;
    Ok(vec![
        Figure { name: "memory_peak_one_thread_mib", value: peak(&one), target: Target::AtMost(256.0) },
        Figure { name: "memory_peak_two_threads_mib", value: peak(&two), target: Target::AtMost(384.0) },
        Figure { name: "two_threads_times_one", value: speedup, target: Target::AtLeast(1.7) },
    ])
}

/// Flow logs make so many small files that they are merged while the program runs.
fn memory_of_merging(lab: &Lab) -> Result<Vec<Figure>> {
    let folder = lab.workspace.scratch("merging")?;
    let logs = folder.join("logs");
    let events = generate(lab, &logs, "aws.vpc_flow", 160, 5)?;
    let mut peak = 0;
    for round in 0..ROUNDS {
        let place = folder.join(round.to_string());
        peak = peak.max(ingest(lab, &place, &logs, 1, events)?.peak_bytes);
        let entries = fs::read_dir(place.join("lake/hot/_delta_log"))?;
        let entries = entries.map(|entry| Ok(fs::read(entry?.path())?)).collect::<Result<Vec<_>>>()?;
        let merges = |entry: &Vec<u8>| String::from_utf8_lossy(entry).contains("\"OPTIMIZE\"");
        ensure!(entries.iter().any(merges), "nothing was merged");
        fs::remove_dir_all(&place)?;
    }
    fs::remove_dir_all(&folder)?;
    let value = peak as f64 / MIB;
    Ok(vec![Figure { name: "memory_peak_while_merging_mib", value, target: Target::AtMost(256.0) }])
}

fn middle_seconds(usages: &[Usage]) -> f64 {
    let mut seconds: Vec<f64> = usages.iter().map(|usage| usage.wall_seconds).collect();
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Drains `logs` into a new lake and makes sure that all of it went in.
pub(crate) fn ingest(lab: &Lab, folder: &Path, logs: &Path, threads: u32, events: u64) -> Result<Usage> {
    let lake = Lake::create(lab, folder.to_owned(), Settings { logs, threads, flush: "64MiB" })?;
    let (done, summary) = lake.drain()?;
    ensure!(number(&summary, "raw_events")? == events, "{events} events were generated, but: {summary}");
    Ok(done.usage)
}

/// One event out of a large archive: everything that the program reads counts, whatever it is.
fn one_event(lab: &Lab) -> Result<Vec<Figure>> {
    let folder = lab.workspace.scratch("one-event")?;
    let logs = folder.join("logs");
    generate(lab, &logs, "aws.cloudtrail", 1000, 2)?;
    let lake = Lake::create(lab, folder.join("lake"), Settings { logs: &logs, threads: 2, flush: "64MiB" })?;
    lake.drain()?;
    let rows = lake.query("SELECT event_id FROM events ORDER BY event_id LIMIT 1 OFFSET 1000")?;
    let id = rows.first().and_then(|row| row["event_id"].as_str()).context("the table is empty")?;
    let arguments = ["--where", &format!("event_id = '{id}'"), "--format", "raw", "--framed"];
    let done = measure(&mut lake.command("rehydrate", &arguments))?;
    ensure!(done.stdout.lines().count() == 1 && done.stdout.contains(id), "not one event: {}", done.stdout);
    fs::remove_dir_all(&folder)?;
    let value = done.usage.read_bytes as f64 / MIB;
    Ok(vec![Figure { name: "rehydrate_one_event_of_1_gb_read_mib", value, target: Target::AtMost(2.0) }])
}

/// The rarest address among a million rows: everything that the program reads counts.
fn needle(lab: &Lab) -> Result<Vec<Figure>> {
    let folder = lab.workspace.scratch("needle")?;
    let logs = folder.join("logs");
    generate(lab, &logs, "aws.vpc_flow", 200, 3)?;
    let lake = Lake::create(lab, folder.join("lake"), Settings { logs: &logs, threads: 2, flush: "64MiB" })?;
    let (_, summary) = lake.drain()?;
    let rarest = "SELECT src_endpoint_ip, count(*) AS n FROM events WHERE src_endpoint_ip IS NOT NULL \
                  GROUP BY src_endpoint_ip ORDER BY n, src_endpoint_ip LIMIT 1";
    let rows = lake.query(rarest)?;
    let row = rows.first().context("no row has an address")?;
    let address = row["src_endpoint_ip"].as_str().context("an address is not text")?;
    let sql = format!("SELECT time, event_id FROM events WHERE src_endpoint_ip = '{address}'");
    let done = measure(&mut lake.command("search", &[&sql, "--format", "csv"]))?;
    let found = done.stdout.lines().count().saturating_sub(1) as u64;
    ensure!(found == number(row, "n")?, "{found} rows found, but there are {row}");
    fs::remove_dir_all(&folder)?;
    Ok(vec![
        Figure {
            name: "needle_table_rows",
            value: number(&summary, "events")? as f64,
            target: Target::AtLeast(1e6),
        },
        Figure {
            name: "needle_read_mb",
            value: done.usage.read_bytes as f64 / 1e6,
            target: Target::AtMost(5.0),
        },
    ])
}
