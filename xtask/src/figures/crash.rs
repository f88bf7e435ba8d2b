//! Workers that are killed at random moments lose nothing and store nothing twice.

use std::{
    collections::BTreeSet,
    fs,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::{
    Figure, Lab, Target,
    lake::{Lake, Settings, generate, number},
};

/// Fresh logs of each round, so that every killed worker had something to do.
const ROUND_MEGABYTES: u64 = 2;
/// Several epochs a round.
const FLUSH: &str = "256KiB";
/// A round in which the worker was done before its end was due does not count.
const ROUNDS_PER_KILL_MAX: u64 = 5;

/// A single worker, killed a hundred times.
pub(super) fn one_worker(lab: &Lab) -> Result<Vec<Figure>> {
    let outcome = kill(lab, "kills", 100, false)?;
    let names =
        ["kill_times", "kill_events_lost", "kill_events_twice", "kill_rerun_units", "kill_rows_missing"];
    Ok(outcome.figures(names, 100.0))
}

/// Two workers on one folder, one of them killed, ten times.
pub(super) fn two_workers(lab: &Lab) -> Result<Vec<Figure>> {
    let outcome = kill(lab, "kills-of-two", 10, true)?;
    let names =
        ["pair_times", "pair_events_lost", "pair_events_twice", "pair_rerun_units", "pair_rows_missing"];
    Ok(outcome.figures(names, 10.0))
}

struct Outcome {
    kills: u64,
    lost: usize,
    twice: usize,
    rerun_units: u64,
    missing: u64,
}

impl Outcome {
    fn figures(&self, names: [&'static str; 5], kills: f64) -> Vec<Figure> {
        let values = [
            self.kills as f64,
            self.lost as f64,
            self.twice as f64,
            self.rerun_units as f64,
            self.missing as f64,
        ];
        let none = Target::Exactly(0.0);
        let targets = [Target::AtLeast(kills), none, none, none, none];
        let rows = names.into_iter().zip(values).zip(targets);
        rows.map(|((name, value), target)| Figure { name, value, target }).collect()
    }
}

/// Kills workers on ever new logs until `wanted` of them died at work, then drains what is left and
/// compares with a lake that saw no failure.
fn kill(lab: &Lab, name: &str, wanted: u64, companion: bool) -> Result<Outcome> {
    let folder = lab.workspace.scratch(name)?;
    let logs = folder.join("logs");
    let settings = Settings { logs: &logs, threads: 1, flush: FLUSH };
    let lake = Lake::create(lab, folder.join("killed"), settings)?;
    let seed = fastrand::u64(..);
    eprintln!("moments are random, seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);

    let mut generated = generate(lab, &logs.join("start"), "aws.cloudtrail", ROUND_MEGABYTES, 1)?;
    let started = Instant::now();
    lake.drain()?;
    let typical = started.elapsed();

    let (mut kills, mut round) = (0, 0);
    while kills < wanted && round < wanted * ROUNDS_PER_KILL_MAX {
        round += 1;
        let fresh = logs.join(format!("{round:04}"));
        generated += generate(lab, &fresh, "aws.cloudtrail", ROUND_MEGABYTES, round + 1)?;
        let mut victim = worker(&lake)?;
        let mut other = companion.then(|| worker(&lake)).transpose()?;
        let died = end_after(&mut victim, typical.mul_f64(random.f64()));
        if let Some(other) = &mut other {
            let status = other.wait()?;
            ensure!(status.success(), "the worker beside the killed one failed ({status})");
        }
        kills += u64::from(died?);
    }
    lake.drain()?;
    let (_, rerun) = lake.drain()?;
    let (ids, whole) = (lake.event_ids()?, reference(lab, &folder, settings)?);
    let distinct: BTreeSet<&String> = ids.iter().collect();
    let outcome = Outcome {
        kills,
        lost: whole.iter().filter(|id| !distinct.contains(id)).count(),
        twice: ids.len() - distinct.len(),
        rerun_units: number(&rerun, "units")?,
        missing: generated.abs_diff(ids.len() as u64),
    };
    fs::remove_dir_all(&folder)?;
    Ok(outcome)
}

/// Ids of the rows of a lake that drained the same logs undisturbed.
fn reference(lab: &Lab, folder: &std::path::Path, settings: Settings<'_>) -> Result<Vec<String>> {
    let lake = Lake::create(lab, folder.join("whole"), settings)?;
    lake.drain()?;
    lake.event_ids()
}

fn worker(lake: &Lake) -> Result<Child> {
    let mut command = lake.command("run", &["--once"]);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

/// Sends SIGKILL after `delay`; says whether the worker was still at work.
fn end_after(child: &mut Child, delay: Duration) -> Result<bool> {
    thread::sleep(delay);
    let at_work = child.try_wait()?.is_none();
    child.kill()?;
    child.wait()?;
    Ok(at_work)
}
