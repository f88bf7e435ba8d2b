//! What a job would take: which objects, how many bytes, and what each speed costs.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use linchpin_store::{ObjectHead, Restore, StoreError};
use ulid::Ulid;

use super::{
    Job, JobError, Jobs, Micros, Offer, Order, PARTS_MAX, Part, PartState,
    shelf::{Held, Wanted, Work},
};
use crate::{
    Lake,
    archive::FOOTER_GUESS,
    ledger::SegmentState,
    prices::{Book, DAY_MS, Op, Provider, Speed},
    rehydrate::{self, Found, Request},
};

/// Objects that are asked at once how they stand.
const HEADS_MAX: usize = 16;
/// Most events whose places a job knows beforehand.
const EVENTS_MAX: usize = 10_000_000;

/// What bringing objects back costs.
#[derive(Debug, Clone, Copy)]
pub struct Pricing<'a> {
    /// The prices.
    pub book: &'a Book,
    /// Days for which restored copies are kept.
    pub days: u32,
}

/// A job that could be made, and what it would take.
#[derive(Debug)]
pub struct Estimated {
    /// The job, without an approval.
    pub job: Job,
    work: Work,
}

impl Estimated {
    /// Puts the job into the lake.
    pub async fn keep(self, lake: &Lake) -> Result<Held, JobError> {
        Jobs::of(lake).create(self.job, &self.work).await
    }

    /// Number of segments that are asked for.
    pub fn segments(&self) -> usize {
        self.work.segments.len()
    }

    /// Number of segments that must be read to find events of days whose hot rows have expired.
    pub fn scans(&self) -> usize {
        self.work.segments.values().filter(|wanted| wanted.scan).count()
    }

    /// Number and bytes of the objects that cannot be read now.
    pub fn archived(&self) -> (usize, u64) {
        let cold = |part: &&Part| !matches!(part.state, PartState::Readable { .. } | PartState::Lost { .. });
        let bytes = self.job.parts.iter().filter(cold).map(|part| part.bytes).sum();
        (self.job.parts.iter().filter(cold).count(), bytes)
    }

    /// Most bytes that are read.
    pub fn read_max(&self) -> u64 {
        self.job.parts.iter().map(|part| part.read_max).sum()
    }
}

/// Finds what an order asks for and prices it; nothing is kept and nothing is asked for.
pub async fn estimate(
    lake: &Lake,
    order: Order,
    request: &Request,
    pricing: Pricing<'_>,
    now_ms: i64,
) -> Result<Estimated, JobError> {
    let expired = lake.ledger.hot_expired();
    let mut found = Found::default();
    rehydrate::hot(lake, request, &expired, &mut found).await?;
    let events_known = found.events();
    let events = usize::try_from(events_known).unwrap_or(usize::MAX);
    limit("events with known places", events, EVENTS_MAX)?;
    let mut work = Work::default();
    for (segment, rows) in found.into_segments() {
        let mut pairs: Vec<(u32, u32)> =
            rows.iter().flat_map(|(row, subs)| subs.iter().map(|sub| (*row, *sub))).collect();
        pairs.sort_unstable();
        pairs.dedup();
        work.segments.insert(segment, Wanted { rows: pairs, scan: false });
    }
    if !expired.is_empty() {
        for segment in rehydrate::candidates(lake, &request.period, &expired) {
            work.segments.entry(segment.fact.id.clone()).or_default().scan = true;
        }
    }
    let parts =
        parts(lake, &work, work.segments.keys().map(String::as_str), Speed::Standard, pricing).await?;
    let offers = offers(lake, &parts, &work, pricing);
    let job = Job {
        id: Ulid::new().to_string(),
        created_ms: now_ms,
        updated_ms: now_ms,
        revision: 0,
        order,
        events_known,
        offers,
        currency: pricing.book.currency.clone(),
        approval: None,
        committed: 0,
        restores: 0,
        cancelled: false,
        events: 0,
        bytes_read: 0,
        parts,
        lease: None,
        trouble: None,
        released_ms: None,
    };
    Ok(Estimated { job, work })
}

fn limit(what: &'static str, count: usize, most: usize) -> Result<(), JobError> {
    if count > most { Err(JobError::TooLarge { what, count, most }) } else { Ok(()) }
}

/// The objects that hold these segments now, as they stand, priced at a speed.
pub(super) async fn parts(
    lake: &Lake,
    work: &Work,
    segments: impl Iterator<Item = &str>,
    speed: Speed,
    pricing: Pricing<'_>,
) -> Result<Vec<Part>, JobError> {
    let mut objects: BTreeMap<(String, String), Vec<SegmentState>> = BTreeMap::new();
    let mut parts = Vec::new();
    for id in segments {
        match lake.ledger.segment(id) {
            Some(segment) => {
                let place = segment.place();
                objects.entry((place.store.clone(), place.object.clone())).or_default().push(segment);
            }
            None => parts.push(lost(id)),
        }
    }
    limit("objects", objects.len() + parts.len(), PARTS_MAX)?;
    let heads = objects.into_iter().map(|((store, object), mut segments)| async move {
        segments.sort_unstable_by_key(|segment| segment.place().offset);
        let head = match lake.archive(&store)?.head(&object).await {
            Ok(head) => Some(head),
            Err(StoreError::NotFound(_)) => None,
            Err(error) => return Err(JobError::from(error)),
        };
        Ok((store, object, segments, head))
    });
    let mut heads = stream::iter(heads).buffered(HEADS_MAX);
    while let Some((store, object, segments, head)) = heads.try_next().await? {
        let mut part = Part {
            read_max: segments.iter().map(|segment| segment.place().length).sum(),
            segments: segments.into_iter().map(|segment| segment.fact.id.clone()).collect(),
            ..lost("")
        };
        (part.store, part.object) = (store, object);
        if let Some(head) = head {
            stands(&mut part, head);
        } else {
            part.state = PartState::Lost { why: "the object is missing".to_owned() };
        }
        (part.speed, part.price) = price(lake, &part, work, speed, pricing);
        parts.push(part);
    }
    Ok(parts)
}

/// A part whose segment is in the ledger no more.
fn lost(segment: &str) -> Part {
    Part {
        store: String::new(),
        object: String::new(),
        etag: String::new(),
        class: String::new(),
        bytes: 0,
        read_max: 0,
        segments: vec![segment.to_owned()],
        price: 0,
        speed: Speed::Standard,
        state: PartState::Lost { why: format!("segment `{segment}` is not in the archive any more") },
        charged: false,
        copied: false,
        tries: 0,
        not_before_ms: 0,
    }
}

fn stands(part: &mut Part, head: ObjectHead) {
    part.state = match head.restore {
        Restore::Online => PartState::Readable { until_ms: None },
        Restore::Until(until) => PartState::Readable { until_ms: Some(until) },
        Restore::InProgress => PartState::Restoring { since_ms: 0 },
        Restore::Archived => PartState::Archived,
    };
    (part.etag, part.class, part.bytes) = (head.etag, head.class, head.size);
}

/// The speed that a part's class has for the one that is wanted, and the most that the part costs.
pub(super) fn price(
    lake: &Lake,
    part: &Part,
    work: &Work,
    wanted: Speed,
    pricing: Pricing<'_>,
) -> (Speed, Micros) {
    let Ok(provider) = lake.provider(&part.store) else { return (wanted, 0) };
    let Pricing { book, days } = pricing;
    let reads = requests(part, work);
    match part.state {
        PartState::Archived | PartState::Asked { .. } | PartState::Restoring { .. } => {
            let speed = offered(book, provider, &part.class, wanted);
            let restore = book.restore(provider, &part.class, speed, 1.0, part.bytes as f64).unwrap_or(0.0);
            // The copy lies in the first class until the midnight after its days are over.
            let first = crate::tiers::first(provider);
            let copy = book.storage(provider, first, part.bytes, (i64::from(days) + 1) * DAY_MS);
            let read = book.requests(provider, first, Op::Get, reads);
            (speed, micros(restore + copy + read))
        }
        PartState::Readable { .. } => {
            let read = book.read(provider, &part.class, part.read_max as f64);
            (wanted, micros(read + book.requests(provider, &part.class, Op::Get, reads)))
        }
        _ => (wanted, 0),
    }
}

/// The wanted speed, or the next slower one that a class has, or the slowest.
fn offered(book: &Book, provider: Provider, class: &str, wanted: Speed) -> Speed {
    let has = |speed: &&Speed| book.class(provider, class).restore(**speed).is_some();
    let slower = Speed::ALL.iter().skip_while(|speed| **speed != wanted).find(has);
    slower.or_else(|| Speed::ALL.iter().rev().find(has)).copied().unwrap_or(wanted)
}

/// Most reads of a part: its footers and units, and one for each event or block.
fn requests(part: &Part, work: &Work) -> f64 {
    let of = |id: &String| {
        let known = work.segments.get(id).map_or(0, |wanted| wanted.rows.len());
        let scan = work.segments.get(id).is_some_and(|wanted| wanted.scan);
        let blocks = if scan { part.read_max / FOOTER_GUESS + 1 } else { 0 };
        4.0 + known as f64 + blocks as f64
    };
    part.segments.iter().map(of).sum()
}

/// An amount in millionths, rounded up.
fn micros(amount: f64) -> Micros {
    (amount * 1e6).ceil() as Micros
}

fn offers(lake: &Lake, parts: &[Part], work: &Work, pricing: Pricing<'_>) -> Vec<Offer> {
    let offer = |speed: Speed| {
        let mut offer = Offer { speed, price: 0, minutes: 0 };
        for part in parts {
            let (got, cost) = price(lake, part, work, speed, pricing);
            // A restore that somebody else asked for is paid for by them.
            if part.owes() > 0 {
                offer.price += cost;
            }
            let Ok(provider) = lake.provider(&part.store) else { continue };
            if matches!(part.state, PartState::Archived | PartState::Restoring { .. }) {
                let hours = pricing.book.class(provider, &part.class).restore(got).map_or(0.0, |r| r.hours);
                offer.minutes = offer.minutes.max((hours * 60.0).ceil() as u64);
            }
        }
        offer
    };
    Speed::ALL.map(offer).to_vec()
}
