//! What a plan is made of: what the ledger says is there, what came in lately, or sizes that are given.

use std::{collections::BTreeMap, time::Duration};

use jiff::tz::TimeZone;

use super::{Facts, HotDay, Inflow, Objects, Sample, Stock, lately::Lately};
use crate::{
    Lake, LakeError,
    hot::HotError,
    ledger::{SegmentFilter, SegmentState},
    policy::RetentionClass,
    prices::{DAY_MS, MONTH_MS, Provider},
    tiers,
};

/// What came in during so many days is extrapolated; a shorter history counts as one day at least.
pub const LATELY_DAYS: i64 = 30;

/// What is assumed of feeds that are given by their size only.
const EVENT_BYTES: f64 = 900.0;
/// Raw bytes to a byte of a segment.
const ARCHIVE_RATIO: f64 = 9.0;
/// Raw bytes to a byte of the hot table.
const HOT_RATIO: f64 = 18.0;

/// A feed that is given by its size.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// Feed.
    pub feed: String,
    /// Retention class.
    pub class: String,
    /// Who keeps it.
    pub provider: Provider,
    /// Raw bytes a day.
    pub raw_bytes_day: f64,
    /// The part that a SIEM takes, 0 to 1.
    pub taken: f64,
}

/// The inflow of sizes that are given; segments are closed after so many raw bytes or so long.
pub fn given(sizes: &[Given], flush_bytes: u64, flush_age: Duration) -> Vec<Inflow> {
    let months = MONTH_MS as f64 / DAY_MS as f64;
    let epochs_max = DAY_MS as f64 / (flush_age.as_millis() as f64).max(1.0);
    let inflow = |given: &Given| {
        let raw = given.raw_bytes_day;
        let epochs = (raw / EVENT_BYTES).min(epochs_max).max(raw / flush_bytes.max(1) as f64).max(1.0);
        let stored = raw / ARCHIVE_RATIO;
        Inflow {
            feed: given.feed.clone(),
            class: given.class.clone(),
            provider: given.provider,
            events: raw / EVENT_BYTES * months,
            raw_bytes: raw * months,
            stored_bytes: stored * months,
            segment_bytes: (stored / epochs) as u64,
            together_day: stored,
            hot_bytes: raw / HOT_RATIO * months,
            taken: given.taken,
        }
    };
    sizes.iter().map(inflow).collect()
}

/// Reads the ledger and the hot table's log. `classes` are those of the policy that is planned, `sample`
/// says what its rules make of what came in; `rest` is the class of what no row tells about.
pub async fn read(
    lake: &Lake,
    classes: &[RetentionClass],
    rest: &str,
    sample: &Sample,
    now_ms: i64,
) -> Result<Facts, LakeError> {
    let segments = lake.ledger.segments(&SegmentFilter::default());
    let usual = usual_feeds(&segments, sample);
    // An object's bytes, and the commit of its newest segment: what is done with it counts from that.
    let mut objects: BTreeMap<(&str, &str), (f64, i64)> = BTreeMap::new();
    for segment in &segments {
        let place = segment.place();
        let whole = objects.entry((place.store.as_str(), place.object.as_str())).or_default();
        *whole = (whole.0 + place.length as f64, whole.1.max(segment.committed_ms));
    }
    let together = together(&segments);
    let mut facts = Facts::default();
    for segment in &segments {
        let place = segment.place();
        let provider = lake.provider(&place.store)?;
        let object = objects.get(&(place.store.as_str(), place.object.as_str())).copied();
        let (whole, newest_ms) = object.unwrap_or((1.0, segment.committed_ms));
        facts.stock.push(Stock {
            class: segment.fact.retention.clone(),
            provider,
            objects: Objects {
                count: if whole > 0.0 { place.length as f64 / whole } else { 1.0 },
                bytes: whole as u64,
                committed_ms: newest_ms,
                class: known(provider, &place.tier),
                since_ms: place.tier_since_ms,
                packed: place.object != segment.fact.object,
                new: false,
            },
            events: segment.fact.events as f64,
            held: !segment.holds.is_empty(),
            together_day: together
                .get(&(place.store.as_str(), segment.fact.retention.as_str(), day(segment.committed_ms)))
                .copied()
                .unwrap_or(0.0),
            feeds: feeds(segment, sample, &usual),
        });
    }
    let hot = hot_days(lake, &segments, sample, &usual).await?;
    let lately = Lately::of(&segments, now_ms, |segment| feeds(segment, sample, &usual));
    facts.inflow = lately.under(classes, rest, sample).inflows(lake, hot_row_bytes(&hot))?;
    facts.hot = hot;
    facts.lake = Some(lake.root_provider());
    Ok(facts)
}

/// Stored bytes of each archive, class and commit day.
fn together(segments: &[SegmentState]) -> BTreeMap<(&str, &str, i64), f64> {
    let mut by: BTreeMap<(&str, &str, i64), f64> = BTreeMap::new();
    for segment in segments {
        let key =
            (segment.place().store.as_str(), segment.fact.retention.as_str(), day(segment.committed_ms));
        *by.entry(key).or_default() += segment.place().length as f64;
    }
    by
}

const fn day(at_ms: i64) -> i64 {
    at_ms.div_euclid(DAY_MS)
}

/// A provider's word as the program has it.
fn known(provider: Provider, word: &str) -> &'static str {
    tiers::words(provider).into_iter().find(|w| *w == word).unwrap_or_else(|| tiers::first(provider))
}

/// Rows by feed of each class, as far as hot rows tell.
type Usual = BTreeMap<String, BTreeMap<String, f64>>;

fn usual_feeds(segments: &[SegmentState], sample: &Sample) -> Usual {
    let mut usual: Usual = BTreeMap::new();
    for segment in segments {
        let known = match segment.fact.feeds.as_slice() {
            [only] => vec![(only.clone(), 1.0)],
            _ => sample.feeds(&segment.fact.id).map(<[_]>::to_vec).unwrap_or_default(),
        };
        let class = usual.entry(segment.fact.retention.clone()).or_default();
        for (feed, part) in known {
            *class.entry(feed).or_default() += part * segment.fact.events as f64;
        }
    }
    usual
}

/// The feeds of a segment with their parts: exact while its rows are hot, else as is usual in its class.
fn feeds(segment: &SegmentState, sample: &Sample, usual: &Usual) -> Vec<(String, f64)> {
    let names = &segment.fact.feeds;
    if let [only] = names.as_slice() {
        return vec![(only.clone(), 1.0)];
    }
    if let Some(parts) = sample.feeds(&segment.fact.id) {
        return parts.to_vec();
    }
    let class = usual.get(&segment.fact.retention);
    let weight = |feed: &String| class.and_then(|class| class.get(feed)).copied().unwrap_or(1.0).max(1.0);
    let all: f64 = names.iter().map(weight).sum();
    names.iter().map(|feed| (feed.clone(), weight(feed) / all)).collect()
}

async fn hot_days(
    lake: &Lake,
    segments: &[SegmentState],
    sample: &Sample,
    usual: &Usual,
) -> Result<Vec<HotDay>, HotError> {
    let mut by_class: BTreeMap<&str, Vec<(String, f64)>> = BTreeMap::new();
    for segment in segments {
        by_class.entry(&segment.fact.retention).or_insert_with(|| match usual.get(&segment.fact.retention) {
            Some(feeds) if !feeds.is_empty() => {
                let all: f64 = feeds.values().sum::<f64>().max(1.0);
                feeds.iter().map(|(feed, n)| (feed.clone(), n / all)).collect()
            }
            _ => feeds(segment, sample, usual),
        });
    }
    let day = |((class, day), stats): ((String, jiff::civil::Date), crate::hot::HotStats)| {
        let feeds = by_class.get(class.as_str()).cloned().unwrap_or_default();
        let day_ms = day.to_zoned(TimeZone::UTC).map_or(0, |at| at.timestamp().as_millisecond());
        HotDay { class, day_ms, bytes: stats.bytes, files: stats.files, rows: stats.rows, feeds }
    };
    Ok(lake.hot.stats().await?.into_iter().map(day).collect())
}

/// Bytes of a row of the hot table.
fn hot_row_bytes(hot: &[HotDay]) -> f64 {
    let (bytes, rows) = hot.iter().fold((0, 0), |sum, day| (sum.0 + day.bytes, sum.1 + day.rows));
    bytes as f64 / (rows.max(1)) as f64
}
