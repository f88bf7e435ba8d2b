//! `vrl-remap INPUT OUTPUT [--rows]`: gunzip, decode and remap `CloudTrail` files with the `vrl`
//! crate, in one thread. `vrl-remap --family NAME FILE`: the same of the lines of a plain file, by the
//! program of a family of formats. Prints one JSON object.
//!
//! What a pipeline on this engine does after that, such as encoding or Parquet, is left out, as is
//! all that a pipeline does around it. `--rows` writes the results as JSON lines, for the check of
//! their values; such a run is not timed.

use std::{
    env, fs,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail};
use libdeflater::Decompressor;
use serde::Deserialize;
use vrl::{
    compiler::{Context, Program, TargetValue, TimeZone, state::RuntimeState},
    diagnostic::Formatter,
    value::{ObjectMap, Secrets, Value},
};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const CLOUDTRAIL: &str = include_str!("cloudtrail.vrl");
/// For each family of formats its program, and whether a line is JSON that is decoded before it runs.
const FAMILIES: &[(&str, &str, bool)] = &[
    ("json_nested", CLOUDTRAIL, true),
    ("json_flat", include_str!("zeek.vrl"), true),
    ("text", include_str!("vpc_flow.vrl"), false),
    ("key_value", include_str!("fortigate.vrl"), false),
    ("xml", include_str!("windows.vrl"), false),
];
/// As `Cargo.toml` pins it.
const VERSION: &str = "0.38.0";
const USAGE: &str = "usage: vrl-remap INPUT OUTPUT [--rows] | vrl-remap --family NAME FILE";
/// An inflated file that is larger is damaged.
const FILE_BYTES_MAX: usize = 1 << 30;

/// A file as the cloud delivers it: decoded in one pass, straight into the engine's own values.
#[derive(Deserialize)]
struct Document {
    #[serde(rename = "Records")]
    records: Vec<Value>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (input, rows) = match words[..] {
        ["--family", name, file] => return family(name, Path::new(file)),
        [input, _] => (input, None),
        [input, output, "--rows"] => (input, Some(Path::new(output).join("rows.ndjson"))),
        _ => bail!(USAGE),
    };
    let mut files = Vec::new();
    find(Path::new(input), &mut files)?;
    files.sort();
    let mut remap = Remap::new(CLOUDTRAIL, rows.as_deref())?;
    for file in &files {
        remap.file(file).with_context(|| format!("`{}`", file.display()))?;
    }
    remap.report()
}

/// Remaps every line of a file.
fn family(name: &str, file: &Path) -> Result<()> {
    let (_, program, json) = FAMILIES.iter().find(|(known, ..)| *known == name).context(USAGE)?;
    let text = fs::read_to_string(file).with_context(|| format!("`{}`", file.display()))?;
    let mut remap = Remap::new(program, None)?;
    for line in text.lines().filter(|line| !line.starts_with("version ")) {
        let value = if *json {
            serde_json::from_str(line)?
        } else {
            Value::Object(ObjectMap::from([("message".into(), Value::from(line))]))
        };
        remap.record(value)?;
    }
    remap.report()
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

struct Remap {
    program: Program,
    timezone: TimeZone,
    state: RuntimeState,
    inflate: Decompressor,
    raw: Vec<u8>,
    rows: u64,
    out: Option<BufWriter<fs::File>>,
}

impl Remap {
    fn new(program: &str, out: Option<&Path>) -> Result<Self> {
        let compiled = vrl::compiler::compile(program, &vrl::stdlib::all())
            .map_err(|faults| anyhow!("{}", Formatter::new(program, faults)))?;
        let out = out.map(fs::File::create).transpose()?.map(BufWriter::new);
        Ok(Self {
            program: compiled.program,
            timezone: TimeZone::default(),
            state: RuntimeState::default(),
            inflate: Decompressor::new(),
            raw: Vec::new(),
            rows: 0,
            out,
        })
    }

    fn file(&mut self, path: &Path) -> Result<()> {
        let gzip = fs::read(path)?;
        // The last four bytes say how long the text is.
        let size = gzip.last_chunk().map_or(0, |size| u32::from_le_bytes(*size) as usize);
        if size > FILE_BYTES_MAX {
            bail!("{size} bytes, more than {FILE_BYTES_MAX}");
        }
        self.raw.resize(size, 0);
        self.inflate.gzip_decompress(&gzip, &mut self.raw)?;
        let document: Document = serde_json::from_slice(&self.raw)?;
        for record in document.records {
            self.record(record)?;
        }
        Ok(())
    }

    fn record(&mut self, value: Value) -> Result<()> {
        let mut target =
            TargetValue { value, metadata: Value::Object(ObjectMap::new()), secrets: Secrets::default() };
        self.state.clear();
        let mut context = Context::new(&mut target, &mut self.state, &self.timezone);
        self.program.resolve(&mut context).map_err(|error| anyhow!("{error}"))?;
        self.rows += 1;
        if let Some(out) = &mut self.out {
            serde_json::to_writer(&mut *out, &target.value)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Ends, and prints what was done.
    fn report(self) -> Result<()> {
        if let Some(mut out) = self.out {
            out.flush()?;
        }
        let report = serde_json::json!({
            "engine": "VRL", "version": VERSION, "start_seconds": 0.0, "rows": self.rows
        });
        println!("{report}");
        Ok(())
    }
}
