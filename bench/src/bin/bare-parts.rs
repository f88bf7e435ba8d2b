//! `bare-parts DIR [--rounds N]`: the bare parts of the main job, each timed alone on the same
//! `CloudTrail` files, in CPU seconds of one thread. Prints one JSON object.
//!
//! A part does only what its library does best, with its buffers reused: gunzip; `get_many` of the
//! paths that the mapping reads; Arrow builders, from values that are ready; Parquet with the hot
//! table's settings, from sorted batches that are ready; zstd in frames. Reading files, splitting
//! them into records, hashing and sorting are no parts: they are done between the timings. So the
//! sum is what no pipeline that is put together from these libraries gets below.

use std::{
    env, fs,
    hint::black_box,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use arrow::array::RecordBatch;
use libdeflater::Decompressor;
use linchpin_bench::{
    extract::{Extractor, gunzip, records},
    hot, paths,
    rows::{Address, Rows},
    timing::{middle, timed},
};
use linchpin_normalize::unit::UnitKey;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use zstd::bulk::Compressor;

const USAGE: &str = "usage: bare-parts DIR [--rounds N]";
const PARTS: [&str; 5] = ["gunzip", "json", "builders", "parquet", "archive"];
/// Inflated bytes that are in memory together, and become one Parquet file: an epoch of linchpin.
const GROUP_BYTES: usize = 64 << 20;
/// Raw bytes of a frame of the archive.
const FRAME_BYTES: usize = 256 << 10;
const ZSTD_LEVEL: i32 = 3;

/// CPU seconds, by round and part.
type Seconds = Vec<[f64; PARTS.len()]>;

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (folder, rounds) = match words[..] {
        [folder] => (folder, 3),
        [folder, "--rounds", rounds] => (folder, rounds.parse().context(USAGE)?),
        _ => bail!(USAGE),
    };
    let mut files = Vec::new();
    find(Path::new(folder), &mut files)?;
    files.sort();
    if files.is_empty() || rounds == 0 {
        bail!("no `*.json.gz` in `{folder}`, or no rounds\n{USAGE}");
    }
    let mut bench = Bench::new(rounds)?;
    for file in files {
        bench.add(&file).with_context(|| format!("`{}`", file.display()))?;
    }
    bench.group()?;
    println!("{}", bench.report());
    Ok(())
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            find(&entry.path(), files)?;
        } else if entry.file_name().to_string_lossy().ends_with(".json.gz") {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// The parts, what they work on, and what they took.
struct Bench {
    inflate: Decompressor,
    extractor: Extractor,
    rows: Rows,
    compressor: Compressor<'static>,
    /// Files of the group, delivered and inflated.
    files: Vec<(Vec<u8>, String)>,
    group_bytes: usize,
    seconds: Seconds,
    raw_bytes: usize,
    events: usize,
    hot_bytes: usize,
    archive_bytes: usize,
}

impl Bench {
    fn new(rounds: usize) -> Result<Self> {
        Ok(Self {
            inflate: Decompressor::new(),
            extractor: Extractor::new()?,
            rows: Rows::new()?,
            compressor: Compressor::new(ZSTD_LEVEL)?,
            files: Vec::new(),
            group_bytes: 0,
            seconds: vec![[0.0; PARTS.len()]; rounds],
            raw_bytes: 0,
            events: 0,
            hot_bytes: 0,
            archive_bytes: 0,
        })
    }

    /// Takes a file into the group, and works on the group if it is full.
    fn add(&mut self, path: &Path) -> Result<()> {
        let gzip = fs::read(path)?;
        let mut raw = Vec::new();
        gunzip(&mut self.inflate, &gzip, &mut raw)?;
        self.group_bytes += raw.len();
        self.files.push((gzip, String::from_utf8(raw)?));
        if self.group_bytes >= GROUP_BYTES { self.group() } else { Ok(()) }
    }

    /// Times every part on the group, in rounds, and empties it.
    fn group(&mut self) -> Result<()> {
        let files = std::mem::take(&mut self.files);
        let texts: Vec<&str> = files.iter().map(|(_, text)| text.as_str()).collect();
        let records: Vec<Vec<&str>> = texts.iter().map(|text| records(text)).collect::<Result<_>>()?;
        let batches = self.batches(&texts, &records)?;
        let sorted = if batches.is_empty() { batches } else { hot::sorted(&batches)? };
        let (mut raw, mut frame) = (Vec::new(), Vec::new());
        for round in 0..self.seconds.len() {
            let (inflate, compressor) = (&mut self.inflate, &mut self.compressor);
            let taken = &mut self.seconds[round];
            taken[0] += timed(|| files.iter().try_for_each(|(gzip, _)| gunzip(inflate, gzip, &mut raw)))?.1;
            taken[1] += timed(|| read(&self.extractor, &records))?.1;
            let (file, seconds) = timed(|| hot::write(&sorted))?;
            taken[3] += seconds;
            let (stored, seconds) = timed(|| archive(compressor, &texts, &mut frame))?;
            taken[4] += seconds;
            if round == 0 {
                self.hot_bytes += file.len();
                self.archive_bytes += stored;
            }
        }
        self.raw_bytes += std::mem::take(&mut self.group_bytes);
        self.events += records.iter().map(Vec::len).sum::<usize>();
        Ok(())
    }

    /// The rows of the group, in batches; the builders are timed batch by batch, in rounds.
    fn batches(&mut self, texts: &[&str], records: &[Vec<&str>]) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        let (mut cells, mut values, mut row) = (Vec::new(), Vec::new(), 0);
        let last = records.iter().map(Vec::len).sum::<usize>();
        for (text, records) in texts.iter().zip(records) {
            let mut unit = UnitKey([0; 16]);
            unit.0.copy_from_slice(&Sha256::digest(text)[..16]);
            for record in records {
                self.extractor.values(record, &mut values)?;
                let offset = (record.as_ptr() as usize - text.as_ptr() as usize) as u32;
                cells.push(self.rows.cells(record, &values, &Address { unit, offset, row })?);
                row += 1;
                if cells.len() < hot::PAGE_ROWS_MAX && row < last {
                    continue;
                }
                for round in 0..self.seconds.len() {
                    let (batch, seconds) = timed(|| self.rows.build(&cells))?;
                    self.seconds[round][2] += seconds;
                    if round == 0 {
                        batches.push(batch);
                    }
                }
                cells.clear();
            }
        }
        Ok(batches)
    }

    fn report(&self) -> Value {
        let megabytes = self.raw_bytes as f64 / 1e6;
        let mut sum = 0.0;
        let mut parts = Map::new();
        for (part, name) in PARTS.iter().enumerate() {
            let seconds = middle(self.seconds.iter().map(|round| round[part]).collect());
            sum += seconds;
            parts.insert(
                (*name).to_owned(),
                json!({ "seconds": seconds, "mb_per_second": megabytes / seconds }),
            );
        }
        json!({
            "raw_bytes": self.raw_bytes,
            "events": self.events,
            "paths": paths::count(),
            "hot_bytes": self.hot_bytes,
            "archive_bytes": self.archive_bytes,
            "rounds": self.seconds.len(),
            "parts": parts,
            "sum_seconds": sum,
            "sum_mb_per_second": megabytes / sum,
        })
    }
}

/// Takes the values out of every record.
fn read(extractor: &Extractor, records: &[Vec<&str>]) -> Result<()> {
    let mut values = Vec::new();
    for record in records.iter().flatten() {
        extractor.values(record, &mut values)?;
        black_box(&values);
    }
    Ok(())
}

/// Compresses files in frames; gives their bytes.
fn archive(compressor: &mut Compressor<'_>, texts: &[&str], frame: &mut Vec<u8>) -> Result<usize> {
    frame.resize(zstd::zstd_safe::compress_bound(FRAME_BYTES), 0);
    let mut stored = 0;
    for bytes in texts.iter().flat_map(|text| text.as_bytes().chunks(FRAME_BYTES)) {
        stored += compressor.compress_to_buffer(bytes, frame.as_mut_slice())?;
    }
    Ok(stored)
}
