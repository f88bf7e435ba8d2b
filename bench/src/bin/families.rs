//! `families FOLDER [--rounds N]`: normalising a source of every family of formats, beside the bare
//! parse of the same bytes, in CPU seconds of one thread. Prints one JSON object.
//!
//! `FOLDER` holds the generated logs of `CloudTrail` and of VPC flows in `json_nested/` and `text/`;
//! the logs of the other families are made here. Each family's log is left as `FOLDER/FAMILY.log`,
//! for who measures other programs on the same bytes.
//!
//! A bare parse does what its library does best and keeps nothing: `get_many` of the paths that the
//! mapping reads, a reader of delimited records, a loop over pairs, a reader of XML events. It makes
//! no row, no hash and no type out of a value.

use std::{
    env, fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use libdeflater::Decompressor;
use linchpin_bench::{
    extract::{gunzip, records},
    made,
    parse::Parse,
    timing::{middle, timed},
};
use linchpin_normalize::{Carry, Catalog, Delivered, Normalizer, RawUnit, UnitId};
use serde_json::{Map, Value, json};

const USAGE: &str = "usage: families FOLDER [--rounds N]";
/// Bytes of a unit.
const UNIT_BYTES: usize = 8 << 20;
/// Bytes of a log that is made here.
const LOG_BYTES: usize = 48 << 20;
/// No log is larger.
const LOG_BYTES_MAX: u64 = 1 << 30;

/// Sources that are written alike.
struct Family {
    name: &'static str,
    /// The source that stands for it.
    source: &'static str,
    /// Where its log comes from.
    log: Log,
    parse: fn() -> Result<Parse>,
}

enum Log {
    /// Records of `{"Records":[…]}` files, a line each.
    Records,
    /// Lines below a header: those of the files that have the first one's.
    Lines,
    /// Lines that are written here.
    Made(fn(&mut fastrand::Rng) -> String),
}

const FAMILIES: &[Family] = &[
    Family { name: "json_nested", source: "aws.cloudtrail", log: Log::Records, parse: Parse::cloudtrail },
    Family { name: "json_flat", source: "zeek", log: Log::Made(made::zeek), parse: Parse::zeek },
    Family { name: "text", source: "aws.vpc_flow", log: Log::Lines, parse: || Ok(Parse::Delimited) },
    Family {
        name: "key_value",
        source: "fortinet.fortigate",
        log: Log::Made(made::fortigate),
        parse: || Ok(Parse::Pairs),
    },
    Family { name: "xml", source: "windows.events", log: Log::Made(made::windows), parse: || Ok(Parse::Xml) },
];

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (folder, rounds) = match words[..] {
        [folder] => (folder, 3),
        [folder, "--rounds", rounds] => (folder, rounds.parse().context(USAGE)?),
        _ => bail!(USAGE),
    };
    ensure!(rounds > 0, "no rounds\n{USAGE}");
    let mut report = Map::new();
    for family in FAMILIES {
        let outcome = family.measure(Path::new(folder), rounds).with_context(|| family.name)?;
        eprintln!("{}: {outcome}", family.name);
        report.insert(family.name.to_owned(), outcome);
    }
    println!("{}", Value::Object(report));
    Ok(())
}

impl Family {
    /// Writes the log and times both on it, in turn.
    fn measure(&self, folder: &Path, rounds: usize) -> Result<Value> {
        let log = self.log(folder)?;
        fs::write(folder.join(format!("{}.log", self.name)), &log)?;
        let units = self.units(log);
        let bytes: usize = units.iter().map(|unit| unit.bytes.len()).sum();
        let mut normalizer = Normalizer::new(Arc::new(Catalog::builtin()?));
        let mut parse = (self.parse)()?;
        let (mut whole, mut bare, mut events) = (Vec::new(), Vec::new(), 0);
        for _ in 0..rounds {
            let (count, seconds) = timed(|| normalise(&mut normalizer, &units))?;
            events = count;
            whole.push(seconds);
            let (parsed, seconds) =
                timed(|| units.iter().map(|unit| parse.unit(&unit.bytes)).sum::<Result<usize>>())?;
            bare.push(seconds);
            // A header line is no event.
            ensure!(parsed >= events, "{parsed} lines were parsed, but {events} events normalised");
        }
        let (whole, bare) = (middle(whole), middle(bare));
        Ok(json!({
            "source": self.source,
            "bytes": bytes,
            "events": events,
            "normalise_seconds": whole,
            "parse_seconds": bare,
        }))
    }

    fn log(&self, folder: &Path) -> Result<Vec<u8>> {
        let files = || texts(&folder.join(self.name));
        let mut log = Vec::new();
        match self.log {
            Log::Records => {
                for text in files()? {
                    for record in records(&text)? {
                        log.extend_from_slice(record.as_bytes());
                        log.push(b'\n');
                    }
                }
            }
            Log::Lines => {
                let texts = files()?;
                let header = texts.first().and_then(|text| text.lines().next()).unwrap_or_default();
                log.extend_from_slice(header.as_bytes());
                log.push(b'\n');
                for rest in texts.iter().filter_map(|text| text.strip_prefix(header)) {
                    log.extend_from_slice(rest.trim().as_bytes());
                    log.push(b'\n');
                }
            }
            Log::Made(line) => {
                let mut random = fastrand::Rng::with_seed(7);
                while log.len() < LOG_BYTES {
                    log.extend_from_slice(line(&mut random).as_bytes());
                    log.push(b'\n');
                }
            }
        }
        ensure!(!log.is_empty(), "no logs in `{}`", folder.display());
        Ok(log)
    }

    /// The log in units of whole lines; of delimited text, each with the header.
    fn units(&self, log: Vec<u8>) -> Vec<RawUnit> {
        let log = Bytes::from(log);
        let end_of = |from: usize| {
            let rest = &log[from..];
            rest.iter().position(|byte| *byte == b'\n').map_or(log.len(), |line| from + line + 1)
        };
        let header = if matches!(self.log, Log::Lines) { end_of(0) } else { 0 };
        let (mut units, mut start) = (Vec::new(), header);
        while start < log.len() {
            let end = end_of((start + UNIT_BYTES).min(log.len()));
            let mut bytes = log[..header].to_vec();
            bytes.extend_from_slice(&log[start..end]);
            units.push(self.unit(start as u64, bytes.into()));
            start = end;
        }
        units
    }

    fn unit(&self, start: u64, bytes: Bytes) -> RawUnit {
        RawUnit {
            id: UnitId { object: self.name.into(), start, end: start + bytes.len() as u64 },
            feed: "bench".into(),
            key: self.name.into(),
            source: Some(self.source.into()),
            bytes,
            carry: Carry::default(),
            received_ms: 1_767_225_600_000,
            delivered: Delivered::default(),
            gaps: Vec::new(),
        }
    }
}

/// Normalises; gives the number of events, none of which may be rejected.
fn normalise(normalizer: &mut Normalizer, units: &[RawUnit]) -> Result<usize> {
    let mut events = 0;
    for unit in units {
        let mut pass = normalizer.begin(unit);
        while let Some(done) = normalizer.batch(unit, &mut pass) {
            events += done.batch.events.len();
            if let Some(reject) = done.rejects.first() {
                bail!("an event was rejected: {reject:?}");
            }
        }
    }
    Ok(events)
}

/// The texts of the `*.gz` files below a folder.
fn texts(folder: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    find(folder, &mut files)?;
    files.sort();
    let mut inflate = Decompressor::new();
    let text = |path: &PathBuf| {
        let mut gzip = Vec::new();
        fs::File::open(path)?.take(LOG_BYTES_MAX).read_to_end(&mut gzip)?;
        let mut raw = Vec::new();
        gunzip(&mut inflate, &gzip, &mut raw)?;
        String::from_utf8(raw).with_context(|| format!("`{}`", path.display()))
    };
    files.iter().map(text).collect()
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            find(&entry.path(), files)?;
        } else if entry.file_name().to_string_lossy().ends_with(".gz") {
            files.push(entry.path());
        }
    }
    Ok(())
}
