//! Rounds of everybody in turn, and what comes out of them.

use std::{fs, process::Command, thread};

use anyhow::{Context, Result};

use super::peers::{Input, Peer, split};
use crate::{
    figures::{
        Lab, ingest,
        lake::{generated, number},
    },
    measure::Usage,
    workspace::output,
};

const SOURCE: &str = "aws.cloudtrail";
const SEED: u64 = 4;
const MIB: f64 = 1024.0 * 1024.0;

/// What a whole bench measured.
pub(crate) struct Comparison<'a> {
    /// Inflated bytes of the files, in megabytes.
    pub(crate) megabytes: f64,
    /// Raw events in them.
    pub(crate) events: u64,
    /// What they ran on.
    pub(crate) machine: String,
    /// Version of linchpin.
    pub(crate) version: String,
    /// Linchpin's runs, one a round.
    pub(crate) linchpin: Vec<Sample>,
    /// The others, each with as many runs.
    pub(crate) peers: Vec<Beside<'a>>,
}

/// A peer and its runs.
pub(crate) struct Beside<'a> {
    pub(crate) peer: &'a Peer,
    pub(crate) version: String,
    pub(crate) samples: Vec<Sample>,
}

/// One run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    /// CPU seconds, without those in which the engine started.
    pub(crate) cpu_seconds: f64,
    /// CPU seconds in which the engine started. Linchpin's own are not taken off.
    pub(crate) start_seconds: f64,
    /// Seconds from start to end.
    pub(crate) wall_seconds: f64,
    /// Most resident memory, in MiB.
    pub(crate) peak_mib: f64,
}

impl Sample {
    fn new(usage: &Usage, start_seconds: f64) -> Self {
        Self {
            cpu_seconds: usage.cpu_seconds - start_seconds,
            start_seconds,
            wall_seconds: usage.wall_seconds,
            peak_mib: usage.peak_bytes as f64 / MIB,
        }
    }
}

impl Comparison<'_> {
    /// How many times as fast as a peer linchpin is, per CPU second: the middle one of the rounds.
    pub(crate) fn times(&self, beside: &Beside<'_>) -> f64 {
        let rounds = self.linchpin.iter().zip(&beside.samples);
        middle(rounds.map(|(ours, theirs)| theirs.cpu_seconds / ours.cpu_seconds))
    }

    /// Whether every target is reached.
    pub(crate) fn good(&self) -> bool {
        self.peers
            .iter()
            .all(|beside| beside.peer.target.is_none_or(|(_, least)| self.times(beside) >= least))
    }
}

/// Runs linchpin and `peers` in turn, `runs` times, on about `megabytes` of generated logs.
pub(crate) fn compare<'a>(
    lab: &Lab,
    megabytes: u64,
    runs: usize,
    peers: &[&'a Peer],
) -> Result<Comparison<'a>> {
    let folder = lab.workspace.scratch("peers")?;
    let (logs, lines) = (folder.join("logs"), folder.join("lines"));
    let written = generated(lab, &logs, SOURCE, megabytes, SEED)?;
    let events = number(&written["events"], SOURCE)?;
    if peers.iter().any(|peer| peer.input == Input::Lines) {
        split(lab, &logs, &lines)?;
    }
    let mut comparison = Comparison {
        megabytes: number(&written, "raw_bytes")? as f64 / 1e6,
        events,
        machine: machine()?,
        version: version(lab)?,
        linchpin: Vec::new(),
        peers: Vec::new(),
    };
    comparison.peers.extend(peers.iter().map(|peer| Beside {
        peer,
        version: String::new(),
        samples: Vec::new(),
    }));
    for round in 0..runs {
        let lake = folder.join("lake");
        let usage = ingest(lab, &lake, &logs, 1, events)?;
        comparison.linchpin.push(Sample::new(&usage, 0.0));
        told("linchpin", comparison.megabytes, comparison.linchpin.last());
        for beside in &mut comparison.peers {
            let peer = beside.peer;
            let input = if peer.input == Input::Lines { &lines } else { &logs };
            let out = folder.join("out");
            fs::create_dir_all(&out)?;
            let run = peer.run(lab, input, &out, events)?;
            if round == 0 {
                peer.check(lab, input, &out, &lake.join("lake").join("hot"))?;
                beside.version = run.version;
            }
            fs::remove_dir_all(&out)?;
            beside.samples.push(Sample::new(&run.usage, run.start_seconds));
            told(&format!("{} ({:?})", peer.name, peer.input), comparison.megabytes, beside.samples.last());
        }
        fs::remove_dir_all(&lake)?;
    }
    fs::remove_dir_all(&folder)?;
    Ok(comparison)
}

/// Says how fast a run was, for who reads along.
fn told(name: &str, megabytes: f64, sample: Option<&Sample>) {
    let cpu_seconds = sample.map_or(f64::NAN, |sample| sample.cpu_seconds);
    eprintln!("  {name}: {cpu_seconds:.2} CPU s, {:.1} MB per CPU second", megabytes / cpu_seconds);
}

/// The middle one of some numbers, or of an even count the mean of the two in the middle.
pub(crate) fn middle(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    let half = numbers.len() / 2;
    match (numbers.len() % 2, numbers.get(half)) {
        (_, None) => f64::NAN,
        (1, Some(middle)) => *middle,
        (_, Some(upper)) => f64::midpoint(numbers[half - 1], *upper),
    }
}

/// The number of cores and the name that the processor gives itself: all that is said of a machine.
fn machine() -> Result<String> {
    let cores = thread::available_parallelism()?;
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    Ok(format!("{cores} cores, {model}"))
}

fn version(lab: &Lab) -> Result<String> {
    let text = output(Command::new(lab.linchpin()?).arg("--version"))?;
    let words: Vec<&str> = text.split_whitespace().collect();
    words.get(1).map(|&word| word.to_owned()).context("`linchpin --version` printed no version")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_cmp, clippy::unwrap_used, reason = "tests; their numbers are exact")]

    use super::{super::PEERS, *};

    fn samples(seconds: &[f64]) -> Vec<Sample> {
        seconds.iter().map(|&cpu_seconds| Sample { cpu_seconds, ..Sample::default() }).collect()
    }

    #[test]
    fn the_middle_of_odd_even_and_no_numbers() {
        assert_eq!(middle([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(middle([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert!(middle(std::iter::empty()).is_nan());
    }

    #[test]
    fn rounds_are_compared_one_by_one_and_targets_must_be_reached() {
        let peer = PEERS.iter().find(|peer| peer.target.is_some()).unwrap();
        let (_, least) = peer.target.unwrap();
        let with = |theirs: f64| Comparison {
            megabytes: 1.0,
            events: 1,
            machine: String::new(),
            version: String::new(),
            // The second round was on a machine that was twice as slow, for everybody.
            linchpin: samples(&[1.0, 2.0, 1.0]),
            peers: vec![Beside {
                peer,
                version: String::new(),
                samples: samples(&[theirs, 2.0 * theirs, 9.0]),
            }],
        };
        assert_eq!(with(least).times(&with(least).peers[0]), least);
        assert!(with(least).good());
        assert!(!with(least - 0.01).good());
    }
}
