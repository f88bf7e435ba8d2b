//! Reads the events of a part: the blocks that hold them, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::civil::Date;
use linchpin_normalize::Normalizer;
use linchpin_store::{Counters, CountingStore, Store, StoreError};

use super::{
    Part, Seen,
    shelf::{Wanted, Work},
    sink::{Sink, SinkError},
};
use crate::{
    Lake,
    archive::ArchiveError,
    ledger::SegmentState,
    rehydrate::{self, Found, Rehydrated, Request},
    replay::OpenSegment,
};

/// What reading parts needs.
pub(super) struct Reading<'a> {
    pub(super) lake: &'a Lake,
    pub(super) work: &'a Work,
    pub(super) request: &'a Request,
    pub(super) normalizer: &'a mut Normalizer,
    pub(super) sink: &'a mut dyn Sink,
}

/// Why reading ended early.
enum Stopped {
    /// The segment is not where the part says.
    Moved,
    Archive(ArchiveError),
    Sink(SinkError),
    /// A known event is not in its segment.
    NoRow(String),
}

impl From<ArchiveError> for Stopped {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

impl From<SinkError> for Stopped {
    fn from(error: SinkError) -> Self {
        Self::Sink(error)
    }
}

impl Reading<'_> {
    /// Reads a part and hands its events over. A sink that must be looked after by somebody is the
    /// only error: the part stays as it is.
    pub(super) async fn part(&mut self, n: usize, part: &Part) -> Result<Seen, SinkError> {
        let counters = Counters::default();
        let done = self.segments(n, part, &counters).await;
        let bytes = counters.get().bytes_read;
        let failed = |why: String| Seen::Failed { why, bytes };
        Ok(match done {
            Ok(_) if self.sink.stages() => Seen::Staged { bytes },
            Ok(events) => Seen::Delivered { events, bytes },
            Err(Stopped::Moved) => Seen::Gone,
            Err(Stopped::Archive(ArchiveError::Store(error))) => match error {
                StoreError::Archived(_) => Seen::Unreadable { bytes },
                StoreError::NotFound(_) | StoreError::Precondition(_) => Seen::Gone,
                error => failed(error.to_string()),
            },
            Err(Stopped::Archive(error)) => Seen::Hopeless(error.to_string()),
            Err(Stopped::NoRow(why)) => Seen::Hopeless(why),
            Err(Stopped::Sink(SinkError::Retry(why))) => failed(why),
            Err(Stopped::Sink(stop)) => return Err(stop),
        })
    }

    async fn segments(&mut self, n: usize, part: &Part, counters: &Counters) -> Result<u64, Stopped> {
        let store = self.lake.archive(&part.store).map_err(|_| Stopped::Moved)?;
        let store: Arc<dyn Store> = Arc::new(CountingStore::new(store, counters.clone()));
        let expired = self.lake.ledger.hot_expired();
        let mut events = 0;
        self.sink.begin(n as u32).await?;
        for id in &part.segments {
            let state = self.lake.ledger.segment(id).ok_or(Stopped::Moved)?;
            let place = state.place();
            if (&place.store, &place.object) != (&part.store, &part.object) {
                return Err(Stopped::Moved);
            }
            let open = OpenSegment::open(Arc::clone(&store), place).await?;
            let wanted = self.work.segments.get(id);
            events += self.segment(&open, &state, wanted, &expired).await?;
        }
        self.sink.finish().await?;
        Ok(events)
    }

    async fn segment(
        &mut self,
        open: &OpenSegment,
        state: &SegmentState,
        wanted: Option<&Wanted>,
        expired: &BTreeSet<(String, Date)>,
    ) -> Result<u64, Stopped> {
        let Some(wanted) = wanted else { return Ok(0) };
        let id = &state.fact.id;
        let mut blocks: BTreeMap<usize, BTreeMap<u32, Vec<u32>>> = BTreeMap::new();
        for (row, sub) in &wanted.rows {
            let missing = || Stopped::NoRow(format!("segment `{id}` has no event {row}"));
            let block = open.reader.block_of_row(*row).ok_or_else(missing)?;
            blocks.entry(block).or_default().entry(*row).or_default().push(*sub);
        }
        let asked = |n: usize| {
            let entry = open.reader.footer().blocks.get(n);
            wanted.scan && entry.is_some_and(|entry| rehydrate::may_hold(entry, &self.request.period))
        };
        let scans: BTreeSet<usize> = (0..open.reader.footer().blocks.len()).filter(|n| asked(*n)).collect();
        for n in &scans {
            blocks.entry(*n).or_default();
        }
        let mut events = 0;
        for (n, mut rows) in blocks {
            let block = open.reader.read_block(n).await?;
            if scans.contains(&n) {
                let mut found = Found::default();
                rehydrate::scan(open, &block, state, self.request, expired, self.normalizer, &mut found);
                for (row, subs) in found.into_segments().into_values().flatten() {
                    rows.entry(row).or_default().extend(subs);
                }
            }
            for subs in rows.values_mut() {
                subs.sort_unstable();
                subs.dedup();
            }
            let found: Vec<Rehydrated<'_>> = rows
                .iter()
                .filter_map(|(row, subs)| Some((block.event(*row)?, subs)))
                .map(|(event, subs)| Rehydrated {
                    segment: id,
                    unit: &open.units()[event.unit as usize],
                    event,
                    subs,
                })
                .collect();
            self.sink.take(&found, self.normalizer).await?;
            events += found.len() as u64;
        }
        Ok(events)
    }
}
