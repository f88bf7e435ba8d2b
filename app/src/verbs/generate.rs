//! `linchpin generate`: realistic logs of three clouds, to try and to measure with.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use linchpin_config::{ByteSize, DurationText};
use serde_json::{Value, json};

use crate::{
    exit::Failure,
    generate::{self, AttackStory, Kind, Options, Written},
    moment::Moment,
    progress::{Progress, Unit},
    table::{self, Table, rfc3339},
};

/// Milliseconds of a minute.
const MINUTE_MS: i64 = 60_000;

/// Write realistic logs of AWS, Azure and GCP; the same for the same seed, start and size.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin generate --out logs --bytes 1GiB --attack\n  linchpin generate --out logs --source aws.cloudtrail --start 2026-01-31 --seed 7"
)]
pub(crate) struct GenerateArgs {
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Raw bytes over all sources, about
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    pub bytes: ByteSize,
    /// Another number gives other logs
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// First moment of the logs; so that they end now when left out
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub start: Option<Moment>,
    /// Length of the logs
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub span: DurationText,
    /// Only these sources
    #[arg(long = "source", value_name = "NAME", value_delimiter = ',')]
    pub sources: Vec<Kind>,
    /// Hide an attack in them, and say what to look for
    #[arg(long)]
    pub attack: bool,
    /// Print what was written as JSON
    #[arg(long)]
    pub json: bool,
}

pub(crate) fn run(args: &GenerateArgs) -> Result<()> {
    let span_ms = i64::try_from(args.span.0.as_millis()).unwrap_or(i64::MAX);
    let start_ms = args.start.map_or_else(|| starting(span_ms), |start| start.0);
    let start = Timestamp::from_millisecond(start_ms).map_err(Failure::usage)?;
    let mut options = Options::new(args.out.clone(), args.bytes.0, args.seed, start);
    options.span = args.span.0;
    options.attack = args.attack;
    if !args.sources.is_empty() {
        options.sources.clone_from(&args.sources);
    }
    let written = write(&options)?;
    if args.json {
        println!("{}", as_json(&options, &written));
        return Ok(());
    }
    print!("{}", by_source(&written));
    println!(
        "{} in {} files, {} on disk, in {}",
        table::bytes(written.raw_bytes),
        table::count(written.files),
        table::bytes(written.stored_bytes),
        options.dir.display()
    );
    if let Some(story) = &written.attack {
        println!("hidden: {} from {}, with the leaked key {}", story.user, story.ip, story.leaked_key);
    }
    Ok(())
}

/// The start of logs that end now, at a full minute.
pub(super) fn starting(span_ms: i64) -> i64 {
    let now_ms = Timestamp::now().as_millisecond();
    now_ms.saturating_sub(span_ms).div_euclid(MINUTE_MS).saturating_mul(MINUTE_MS)
}

/// Generates and shows progress.
pub(super) fn write(options: &Options) -> Result<Written> {
    let progress = Progress::towards("generate", Unit::Bytes, options.bytes);
    let written = generate::generate(options, &mut |done| progress.set(done))?;
    progress.done();
    Ok(written)
}

/// Raw events of each source.
pub(super) fn by_source(written: &Written) -> Table {
    let mut table = Table::new(["SOURCE", "RAW EVENTS"]);
    for (source, events) in &written.events {
        table.row([source.clone(), table::count(*events)]);
    }
    table
}

fn as_json(options: &Options, written: &Written) -> Value {
    json!({
        "dir": options.dir,
        "start": options.start.to_string(),
        "seed": options.seed,
        "files": written.files,
        "raw_bytes": written.raw_bytes,
        "stored_bytes": written.stored_bytes,
        "events": written.events,
        "attack": written.attack.as_ref().map(attack),
    })
}

fn attack(story: &AttackStory) -> Value {
    json!({
        "ip": story.ip,
        "user": story.user,
        "email": story.email,
        "leaked_key": story.leaked_key,
        "new_user": story.new_user,
        "new_key": story.new_key,
        "bucket": story.bucket,
        "account": story.account,
        "subscription": story.subscription,
        "project": story.project,
        "from": rfc3339(story.from_ms),
        "until": rfc3339(story.until_ms),
        "events": story.events,
    })
}
