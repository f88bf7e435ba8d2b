//! `linchpin status`: where everything stands.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use anyhow::Result;
use arrow::{
    array::{AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Int64Type},
};
use clap::Args;
use linchpin_tiering::{
    Lake, LakeError,
    ledger::{FeedState, SegmentFilter},
    search::SearchLimits,
};
use serde_json::{Value, json};

use crate::{
    cli::ConfigArg,
    deployment::Deployment,
    exit::Failure,
    requests::{self, Requests},
    table::{self, Table, rfc3339},
};

/// Events that no mapping could read, by source and mark; their class is 0, so few pages are read.
const CLASS_0: &str = "SELECT source, coalesce(marks, '') AS marks, count(*) AS rows FROM events WHERE class_uid = 0 GROUP BY 1, 2 ORDER BY 1, 2";

/// Characters of an object's key in a table.
const KEY_CHARS_MAX: usize = 48;

/// Show where everything stands: feeds and their lag, segments, hot rows, lanes.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  linchpin status -c linchpin.yaml\n  linchpin status -c linchpin.yaml --json"
)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

/// Archived bytes of one retention class in one tier of one store.
#[derive(Debug, Default)]
struct Shelf {
    segments: u64,
    events: u64,
    raw_bytes: u64,
    stored_bytes: u64,
    tombstoned: u64,
}

/// Hot rows of one retention class.
#[derive(Debug, Default)]
struct Hot {
    days: u64,
    rows: u64,
    bytes: u64,
    files: u64,
    first_day: String,
    last_day: String,
}

/// One consumer's way through one worker's epochs.
#[derive(Debug)]
struct Lane {
    worker: String,
    consumer: String,
    position: u64,
    max_seq: u64,
    last_commit_ms: i64,
}

/// Rows of class 0 of one source with the same marks.
#[derive(Debug)]
struct Unread {
    source: String,
    marks: String,
    rows: i64,
}

#[derive(Debug)]
struct Status {
    now_ms: i64,
    feeds: BTreeMap<String, FeedState>,
    /// By class, tier and store.
    shelves: BTreeMap<[String; 3], Shelf>,
    hot: BTreeMap<String, Hot>,
    lanes: Vec<Lane>,
    unread: Vec<Unread>,
    /// What it took to find all this out.
    requests: Requests,
}

pub(crate) fn run(args: &StatusArgs) -> Result<()> {
    let deployment = Deployment::load(&args.config.config)?;
    let status = super::runtime()?.block_on(async {
        let lake = deployment.lake().await?;
        gather(&deployment, &lake).await
    })?;
    if args.json {
        println!("{}", status.json());
        return Ok(());
    }
    Ok(status.print(&mut io::stdout().lock())?)
}

async fn gather(deployment: &Deployment, lake: &Lake) -> Result<Status> {
    let mut feeds = lake.ledger.feeds();
    for feed in &deployment.config.feeds.value {
        feeds.entry(feed.name.value.as_str().to_owned()).or_default();
    }
    let mut hot: BTreeMap<String, Hot> = BTreeMap::new();
    for ((class, day), stats) in lake.hot.stats().await.map_err(Failure::environment)? {
        let hot = hot.entry(class).or_default();
        // Days of a class come in order.
        if hot.days == 0 {
            hot.first_day = day.to_string();
        }
        hot.last_day = day.to_string();
        hot.days += 1;
        hot.rows += stats.rows;
        hot.bytes += stats.bytes;
        hot.files += stats.files;
    }
    Ok(Status {
        now_ms: jiff::Timestamp::now().as_millisecond(),
        feeds,
        shelves: shelves(lake),
        hot,
        lanes: lanes(deployment, lake).await.map_err(Failure::environment)?,
        unread: unread(lake).await?,
        requests: lake.requests(),
    })
}

fn shelves(lake: &Lake) -> BTreeMap<[String; 3], Shelf> {
    let mut shelves: BTreeMap<[String; 3], Shelf> = BTreeMap::new();
    for segment in lake.ledger.segments(&SegmentFilter::default()) {
        let (fact, place) = (&segment.fact, segment.place());
        let shelf =
            shelves.entry([&fact.retention, &place.tier, &place.store].map(String::clone)).or_default();
        shelf.segments += 1;
        shelf.events += fact.events;
        shelf.raw_bytes += fact.raw_bytes;
        shelf.stored_bytes += place.length;
        shelf.tombstoned += u64::from(segment.tombstoned_ms.is_some());
    }
    shelves
}

async fn lanes(deployment: &Deployment, lake: &Lake) -> Result<Vec<Lane>, LakeError> {
    let mut lanes = Vec::new();
    for (worker, state) in lake.ledger.workers().into_iter().filter(|(_, state)| !state.closed) {
        let mut lane = |consumer: &str, position: Option<u64>| {
            lanes.push(Lane {
                worker: worker.clone(),
                consumer: consumer.to_owned(),
                position: position.unwrap_or(0),
                max_seq: state.max_seq,
                last_commit_ms: state.last_commit_ms,
            });
        };
        lane("hot", lake.hot.position(&worker).await?);
        for output in &deployment.config.outputs {
            let name = output.name.value.as_str();
            let cursor = lake.cursor(name, &worker).await?;
            lane(name, cursor.map(|(cursor, _)| cursor.seq));
        }
    }
    Ok(lanes)
}

async fn unread(lake: &Lake) -> Result<Vec<Unread>> {
    let search = lake.hot.search(CLASS_0, &SearchLimits::default()).await.map_err(Failure::environment)?;
    let (batches, _) = search.collect().await.map_err(Failure::environment)?;
    let mut unread = Vec::new();
    for batch in &batches {
        let (sources, marks) = (text(batch, 0)?, text(batch, 1)?);
        let rows = batch.column(2).as_primitive::<Int64Type>();
        let row = |n: usize| Unread {
            source: sources.as_string::<i32>().value(n).to_owned(),
            marks: marks.as_string::<i32>().value(n).to_owned(),
            rows: rows.value(n),
        };
        unread.extend((0..batch.num_rows()).map(row));
    }
    Ok(unread)
}

fn text(batch: &RecordBatch, column: usize) -> Result<arrow::array::ArrayRef> {
    Ok(cast(batch.column(column), &DataType::Utf8)?)
}

/// What lies between the last event of a feed and now; `None` if there was none.
fn lag(feed: &FeedState, now_ms: i64) -> Option<i64> {
    (feed.last_event_ms != 0).then(|| now_ms - feed.last_event_ms)
}

/// The end of a long key, where it differs from others.
fn ending(key: &str) -> String {
    let chars = key.chars().count();
    let cut = chars.saturating_sub(KEY_CHARS_MAX);
    let end: String = key.chars().skip(cut).collect();
    if cut == 0 { end } else { format!("…{end}") }
}

impl Lane {
    fn behind(&self) -> u64 {
        self.max_seq.saturating_sub(self.position)
    }
}

impl Status {
    fn json(&self) -> Value {
        let feed = |(name, feed): (&String, &FeedState)| {
            json!({
                "name": name,
                "units": feed.units,
                "events": feed.events,
                "rejects": feed.rejects,
                "units_with_gaps": feed.units_with_gaps,
                "last_object": Some(&feed.last_object).filter(|key| !key.is_empty()),
                "last_received": rfc3339(feed.last_received_ms),
                "last_event": rfc3339(feed.last_event_ms),
                "last_commit": rfc3339(feed.last_commit_ms),
                "lag_seconds": lag(feed, self.now_ms).map(|ms| ms / 1000),
            })
        };
        let shelf = |([class, tier, store], shelf): (&[String; 3], &Shelf)| {
            json!({
                "class": class, "tier": tier, "store": store,
                "segments": shelf.segments,
                "events": shelf.events,
                "raw_bytes": shelf.raw_bytes,
                "stored_bytes": shelf.stored_bytes,
                "waiting_for_deletion": shelf.tombstoned,
            })
        };
        let hot = |(class, hot): (&String, &Hot)| {
            json!({
                "class": class, "days": hot.days, "first_day": hot.first_day, "last_day": hot.last_day,
                "rows": hot.rows, "bytes": hot.bytes, "files": hot.files,
            })
        };
        let lane = |lane: &Lane| {
            json!({
                "worker": lane.worker,
                "consumer": lane.consumer,
                "position": lane.position,
                "committed": lane.max_seq,
                "behind": lane.behind(),
                "last_commit": rfc3339(lane.last_commit_ms),
            })
        };
        let unread = |u: &Unread| json!({ "source": u.source, "marks": u.marks, "rows": u.rows });
        let archived = |of: fn(&Shelf) -> u64| self.shelves.values().map(of).sum::<u64>();
        json!({
            "feeds": self.feeds.iter().map(feed).collect::<Vec<_>>(),
            "segments": {
                "count": archived(|s| s.segments),
                "events": archived(|s| s.events),
                "raw_bytes": archived(|s| s.raw_bytes),
                "stored_bytes": archived(|s| s.stored_bytes),
                "by": self.shelves.iter().map(shelf).collect::<Vec<_>>(),
            },
            "hot": {
                "rows": self.hot.values().map(|h| h.rows).sum::<u64>(),
                "bytes": self.hot.values().map(|h| h.bytes).sum::<u64>(),
                "by": self.hot.iter().map(hot).collect::<Vec<_>>(),
            },
            "lanes": self.lanes.iter().map(lane).collect::<Vec<_>>(),
            "class_0": self.unread.iter().map(unread).collect::<Vec<_>>(),
            "requests": requests::as_json(&self.requests),
        })
    }

    fn print(&self, to: &mut dyn Write) -> io::Result<()> {
        let tables = [
            self.feed_table(),
            self.archive_table(),
            self.hot_table(),
            self.lane_table(),
            self.unread_table(),
            requests::as_table(&self.requests),
        ];
        for (n, table) in tables.iter().filter(|t| !t.is_empty()).enumerate() {
            if n > 0 {
                writeln!(to)?;
            }
            table.print(to)?;
        }
        Ok(())
    }

    fn feed_table(&self) -> Table {
        let mut feeds = Table::new([
            "FEED",
            "UNITS",
            "EVENTS",
            "REJECTS",
            "GAPS",
            "LAST EVENT",
            "LAG",
            "LAST COMMIT",
            "LAST OBJECT",
        ]);
        for (name, feed) in &self.feeds {
            feeds.row([
                name.clone(),
                table::count(feed.units),
                table::count(feed.events),
                table::count(feed.rejects),
                table::count(feed.units_with_gaps),
                table::moment(feed.last_event_ms),
                table::span(lag(feed, self.now_ms)),
                table::moment(feed.last_commit_ms),
                ending(&feed.last_object),
            ]);
        }
        feeds
    }

    fn archive_table(&self) -> Table {
        let mut archive = Table::new([
            "ARCHIVE CLASS",
            "TIER",
            "STORE",
            "SEGMENTS",
            "EVENTS",
            "RAW",
            "STORED",
            "TO DELETE",
        ]);
        for ([class, tier, store], shelf) in &self.shelves {
            archive.row([
                class.clone(),
                tier.clone(),
                store.clone(),
                table::count(shelf.segments),
                table::count(shelf.events),
                table::bytes(shelf.raw_bytes),
                table::bytes(shelf.stored_bytes),
                table::count(shelf.tombstoned),
            ]);
        }
        archive
    }

    fn hot_table(&self) -> Table {
        let mut hot = Table::new(["HOT CLASS", "DAYS", "FIRST", "LAST", "ROWS", "BYTES", "FILES"]);
        for (class, h) in &self.hot {
            let (first, last) = (h.first_day.clone(), h.last_day.clone());
            hot.row([
                class.clone(),
                table::count(h.days),
                first,
                last,
                table::count(h.rows),
                table::bytes(h.bytes),
                table::count(h.files),
            ]);
        }
        hot
    }

    fn lane_table(&self) -> Table {
        let mut lanes = Table::new(["LANE", "CONSUMER", "POSITION", "BEHIND", "LAST COMMIT"]);
        for lane in &self.lanes {
            let (worker, consumer) = (lane.worker.clone(), lane.consumer.clone());
            lanes.row([
                worker,
                consumer,
                table::count(lane.position),
                table::count(lane.behind()),
                table::moment(lane.last_commit_ms),
            ]);
        }
        lanes
    }

    fn unread_table(&self) -> Table {
        let mut unread = Table::new(["CLASS 0 OF", "MARKS", "HOT ROWS"]);
        for u in &self.unread {
            unread.row([u.source.clone(), u.marks.clone(), table::count(u.rows.unsigned_abs())]);
        }
        unread
    }
}
