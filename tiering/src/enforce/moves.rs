//! Packing and moving, and letting go of the objects that segments have left.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{Timestamp, tz::TimeZone};
use linchpin_config::Lock;
use linchpin_store::{LIST_PAGE_MAX, LockMode, PutAs, Store, StoreError};

use super::{EnforceError, Pass, Passed, after, is_past};
use crate::{
    LakeError,
    archive::{Packed, Part, pack},
    ledger::{Fact, RepackedFact, SegmentFilter, SegmentState},
    policy::RetentionClass,
    prices::Provider,
    tiers,
};

/// An object that will be replaced stays locked for so long after the move is due: until then the new
/// one has proved itself.
pub const LOCK_MARGIN: Duration = Duration::from_hours(14 * 24);

/// A pack that is younger may belong to a commit that is still under way.
const ORPHAN_AGE: Duration = Duration::from_hours(7 * 24);

/// An object that is due for another class, with all the segments in it.
struct Due {
    segments: Vec<SegmentState>,
    provider: Provider,
    /// The class that it is due for.
    class: &'static str,
    /// Since when.
    since_ms: i64,
    guarded: bool,
}

/// What a pack has in common: store, retention class, commit month, storage class, whether held.
type Shelf = (String, String, String, &'static str, bool);

impl Pass<'_> {
    /// Moves what is due. Segments that are their own objects are packed with others of their kind;
    /// objects that are large enough change their class in place, guarded ones are written anew.
    pub(super) async fn moves(
        &mut self,
        passed: &impl AsyncFn(&SegmentState) -> Result<Passed, LakeError>,
    ) -> Result<(), EnforceError> {
        let mut shelves: BTreeMap<Shelf, Vec<Due>> = BTreeMap::new();
        for segments in by_object(self.lake.ledger.segments(&SegmentFilter::default())).into_values() {
            let Some(due) = self.due(segments)? else { continue };
            if !self.may_move(&due, passed).await? {
                continue;
            }
            let size: u64 = due.segments.iter().map(|s| s.place().length).sum();
            let is_packed = due.segments.iter().any(|s| s.place().object != s.fact.object);
            if due.guarded && (is_packed || size >= self.order.habits.pack_bytes_min) {
                self.repack(vec![due]).await?;
            } else if is_packed || size >= self.order.habits.pack_bytes_min {
                self.move_in_place(&due).await?;
            } else {
                shelves.entry(shelf(&due)).or_default().push(due);
            }
        }
        for (_, mut due) in shelves {
            due.sort_by_key(|due| (due.since_ms, due.segments[0].fact.id.clone()));
            self.fill_packs(due).await?;
        }
        self.commit().await
    }

    /// The object, if the policy wants it in another class. A class that the policy no longer has says
    /// nothing; what is over is not worth a move.
    fn due(&self, mut segments: Vec<SegmentState>) -> Result<Option<Due>, EnforceError> {
        segments.sort_by_key(|s| s.place().offset);
        let Some(newest) = segments.iter().max_by_key(|s| s.committed_ms) else { return Ok(None) };
        let place = newest.place();
        let Some(class) = self.class(&newest.fact.retention) else { return Ok(None) };
        let provider = self.lake.provider(&place.store)?;
        let age = Duration::from_millis(self.order.now_ms.saturating_sub(newest.committed_ms).max(0) as u64);
        let wanted = tiers::wanted(&class.tiers, provider, age);
        let over = segments.iter().all(|s| s.holds.is_empty() && self.is_over(s, Duration::ZERO));
        // Nothing goes back to where it began: a class that an earlier policy gave is cheaper.
        let back = wanted == tiers::first(provider);
        if wanted == place.tier || back || over || tiers::needs_restore(provider, &place.tier) {
            return Ok(None);
        }
        let way = tiers::way(&class.tiers, provider);
        let delay =
            way.iter().rev().find(|(_, word)| *word == wanted).map_or(Duration::ZERO, |(delay, _)| *delay);
        let since_ms = after(newest.committed_ms, delay);
        // Azure moves a guarded blob where it is; the others would write it again, which a guard forbids.
        let guarded = provider != Provider::Azure
            && (class.lock.is_some() || segments.iter().any(|s| !s.holds.is_empty()));
        Ok(Some(Due { segments, provider, class: wanted, since_ms, guarded }))
    }

    /// Whether the outputs let an object go where it cannot be read at once. One that is too late does
    /// not hold it up; a gap is recorded.
    async fn may_move(
        &mut self,
        due: &Due,
        passed: &impl AsyncFn(&SegmentState) -> Result<Passed, LakeError>,
    ) -> Result<bool, EnforceError> {
        if !tiers::needs_restore(due.provider, due.class) {
            return Ok(true);
        }
        let mut gaps = Vec::new();
        for segment in &due.segments {
            match passed(segment).await? {
                Passed::All => {}
                Passed::NotYet => return Ok(false),
                Passed::Late(outputs) => {
                    gaps.extend(outputs.into_iter().map(|output| (output, segment.fact.id.clone())));
                }
            }
        }
        gaps.retain(|gap| !self.done.gaps.contains(gap));
        for (output, segment) in &gaps {
            tracing::warn!(output, segment, "moved to an archive class before the output has passed it");
        }
        let fact = |(output, segment): &(String, String)| Fact::OutputGap {
            output: output.clone(),
            segment: segment.clone(),
        };
        let facts: Vec<Fact> = gaps.iter().map(fact).collect();
        self.note(facts).await?;
        self.done.gaps.extend(gaps);
        Ok(true)
    }

    async fn move_in_place(&mut self, due: &Due) -> Result<(), EnforceError> {
        let place = due.segments[0].place();
        let store = self.lake.archive(&place.store)?;
        let class = self.class(&due.segments[0].fact.retention);
        let newest_ms = newest_ms(&due.segments);
        let lock = class.and_then(|class| lock(class, due.provider, due.class, newest_ms));
        let moved = async {
            let head = store.head(&place.object).await?;
            // The answer to an earlier request may have been lost.
            if head.class != due.class {
                store.set_class(&place.object, &head.etag, due.class).await?;
            }
            let Some((mode, until_ms)) = lock else { return Ok(()) };
            let etag = store.head(&place.object).await?.etag;
            store.lock(&place.object, &etag, mode, until_ms).await
        };
        if let Err(error) = moved.await {
            self.problem(&format!("moving `{}` to {}", place.object, due.class), &error);
            return Ok(());
        }
        let ids: Vec<String> = due.segments.iter().map(|s| s.fact.id.clone()).collect();
        let fact = |id: &String| Fact::Moved { segment: id.clone(), tier: due.class.to_owned() };
        self.note(ids.iter().map(fact)).await?;
        self.done.moved.extend(ids);
        Ok(())
    }

    /// Makes packs of what lies on one shelf; what is too little waits for more, but not for long.
    async fn fill_packs(&mut self, due: Vec<Due>) -> Result<(), EnforceError> {
        let habits = self.order.habits;
        let (mut some, mut bytes): (Vec<Due>, u64) = (Vec::new(), 0);
        for due in due {
            let more: u64 = due.segments.iter().map(|s| s.place().length).sum();
            if bytes + more > habits.pack_bytes_max && !some.is_empty() {
                self.repack(std::mem::take(&mut some)).await?;
                bytes = 0;
            }
            bytes += more;
            some.push(due);
        }
        let waited =
            some.first().is_some_and(|due| is_past(due.since_ms, habits.pack_wait, self.order.now_ms));
        if bytes >= habits.pack_bytes_min || waited {
            match &some[..] {
                // Nothing to pack it with: one request instead of a copy.
                [alone] if !alone.guarded => self.move_in_place(alone).await?,
                _ => self.repack(some).await?,
            }
        }
        Ok(())
    }

    /// Writes a pack with all these segments into the class that they are due for. The old objects are
    /// let go of in a later pass.
    async fn repack(&mut self, due: Vec<Due>) -> Result<(), EnforceError> {
        let Some(Due { class: tier, .. }) = due.first() else { return Ok(()) };
        let tier = *tier;
        let segments: Vec<SegmentState> = due.into_iter().flat_map(|due| due.segments).collect();
        let (first, store) = (&segments[0], self.lake.archive(&segments[0].place().store)?);
        let Some(class) = self.class(&first.fact.retention) else { return Ok(()) };
        let provider = self.lake.provider(&first.place().store)?;
        let lock = lock(class, provider, tier, newest_ms(&segments));
        let what = format!("packing {} segments of class `{}`", segments.len(), class.name);
        let parts: Vec<Part<'_>> =
            segments.iter().map(|s| Part { id: &s.fact.id, place: s.place() }).collect();
        let key = pack_key(first);
        let held = segments.iter().any(|s| !s.holds.is_empty());
        let Packed { bytes, entries } = match pack(&*store, &parts).await {
            Ok(packed) => packed,
            Err(error) => {
                self.problem(&what, &error);
                return Ok(());
            }
        };
        // A put that returned is complete and has its checksum: nothing more is asked of it.
        let put = async {
            store.put_as(&key, bytes, PutAs { class: Some(tier), lock }).await?;
            if !held {
                return Ok(());
            }
            let head = store.head(&key).await?;
            hold_on(&*store, &key, &head.etag, true).await
        };
        if let Err(error) = put.await {
            self.problem(&what, &error);
            return Ok(());
        }
        let fact = |entry: crate::archive::Entry| {
            Fact::Repacked(RepackedFact {
                segment: entry.id,
                store: first.place().store.clone(),
                object: key.clone(),
                offset: entry.offset,
                stored_bytes: entry.length,
                sha256: entry.sha256,
                tier: tier.to_owned(),
            })
        };
        self.note(entries.into_iter().map(fact)).await?;
        self.done.repacked.extend(segments.iter().map(|s| s.fact.id.clone()));
        Ok(())
    }

    /// Deletes packs that no segment was ever said to be in: what is left of passes that were cut off
    /// between the store and the ledger.
    pub(super) async fn sweep(&mut self) -> Result<(), EnforceError> {
        let segments = self.lake.ledger.segments(&SegmentFilter::default());
        let mut known: BTreeSet<&str> = segments.iter().map(|s| s.place().object.as_str()).collect();
        known.extend(segments.iter().flat_map(|s| s.left.iter().map(|(_, object)| object.as_str())));
        for name in self.lake.archive_names() {
            let store = self.lake.archive(name)?;
            for class in self.order.classes {
                let (prefix, mut last) = (packs(&class.name), None::<String>);
                loop {
                    let page = match store.list(&prefix, last.as_deref()).await {
                        Ok(page) => page,
                        Err(error) => {
                            self.problem(&format!("listing `{prefix}`"), &error);
                            break;
                        }
                    };
                    let full = page.len() == LIST_PAGE_MAX;
                    last = page.last().map(|head| head.key.clone());
                    for head in page {
                        let old = is_past(head.modified_ms, ORPHAN_AGE, self.order.now_ms);
                        if !old || known.contains(head.key.as_str()) {
                            continue;
                        }
                        match let_go(&*store, &head.key).await {
                            Ok(()) => self.done.freed.push(head.key),
                            // Its lock is not over.
                            Err(StoreError::Locked { .. }) => {}
                            Err(error) => {
                                self.problem(&format!("deleting the orphan `{}`", head.key), &error);
                            }
                        }
                    }
                    if !full {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Deletes objects that no segment is in any more, once readers have had time to notice.
    pub(super) async fn free(&mut self) -> Result<(), EnforceError> {
        let segments = self.lake.ledger.segments(&SegmentFilter::default());
        let used: BTreeSet<(&str, &str)> =
            segments.iter().map(|s| (s.place().store.as_str(), s.place().object.as_str())).collect();
        let mut left: BTreeMap<&(String, String), Vec<&SegmentState>> = BTreeMap::new();
        for segment in &segments {
            for object in &segment.left {
                left.entry(object).or_default().push(segment);
            }
        }
        for (old, segments) in left {
            let (store, object) = old;
            let rested = segments
                .iter()
                .all(|s| is_past(s.place().since_ms, self.order.habits.reader_wait, self.order.now_ms));
            if used.contains(&(store.as_str(), object.as_str())) || !rested {
                continue;
            }
            match let_go(&*self.lake.archive(store)?, object).await {
                Ok(()) => {}
                // Its own lock is not over; it was never longer than that of its successor.
                Err(StoreError::Locked { .. }) => continue,
                Err(error) => {
                    self.problem(&format!("deleting the old object `{object}`"), &error);
                    continue;
                }
            }
            let fact = |s: &&SegmentState| Fact::Freed {
                segment: s.fact.id.clone(),
                store: store.clone(),
                object: object.clone(),
            };
            self.note(segments.iter().map(fact)).await?;
            self.done.freed.push(object.clone());
        }
        self.commit().await
    }
}

/// Where the packs of a retention class are.
fn packs(class: &str) -> String {
    format!("{class}/packs/")
}

/// Takes away an object that no segment is in. A hold on it was for its segments, and the object that
/// they are in has it.
async fn let_go(store: &dyn Store, object: &str) -> Result<(), StoreError> {
    let head = match store.head(object).await {
        Ok(head) => head,
        Err(StoreError::NotFound(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    if head.held {
        store.hold(object, &head.etag, false).await?;
    }
    match store.delete_if(object, &head.etag).await {
        Err(StoreError::NotFound(_)) => Ok(()),
        answer => answer,
    }
}

/// Puts a hold on an object, or takes it away, where its store knows holds.
pub(crate) async fn hold_on(store: &dyn Store, object: &str, etag: &str, on: bool) -> Result<(), StoreError> {
    match store.hold(object, etag, on).await {
        Err(StoreError::Unsupported { .. }) => Ok(()),
        answer => answer,
    }
}

/// When the last of some segments was committed.
pub(super) fn newest_ms(segments: &[SegmentState]) -> i64 {
    segments.iter().map(|segment| segment.committed_ms).max().unwrap_or_default()
}

/// Segments by the object that holds them.
pub(super) fn by_object(segments: Vec<SegmentState>) -> BTreeMap<(String, String), Vec<SegmentState>> {
    let mut objects: BTreeMap<(String, String), Vec<SegmentState>> = BTreeMap::new();
    for segment in segments {
        let place = segment.place();
        objects.entry((place.store.clone(), place.object.clone())).or_default().push(segment);
    }
    objects
}

fn shelf(due: &Due) -> Shelf {
    let first = &due.segments[0];
    let held = due.segments.iter().any(|s| !s.holds.is_empty());
    (first.place().store.clone(), first.fact.retention.clone(), month(first.committed_ms), due.class, held)
}

/// `<retention class>/packs/<commit month>/<name>`; a name is never used twice.
fn pack_key(first: &SegmentState) -> String {
    format!("{}{}/{}", packs(&first.fact.retention), month(first.committed_ms), ulid::Ulid::new())
}

fn month(at_ms: i64) -> String {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or_default().to_zoned(TimeZone::UTC);
    format!("{:04}-{:02}", at.year(), at.month())
}

/// The lock of an object whose newest segment was committed then: until its next move and
/// [`LOCK_MARGIN`], or until it is over.
pub(super) fn lock(
    class: &RetentionClass,
    provider: Provider,
    tier: &str,
    newest_ms: i64,
) -> Option<(LockMode, i64)> {
    let mode = mode(class.lock?);
    if provider == Provider::Local {
        return None;
    }
    let over_ms = after(newest_ms, class.expire);
    let way = tiers::way(&class.tiers, provider);
    let next = way.iter().skip_while(|(_, word)| *word != tier).nth(1);
    let until_ms = match next {
        Some((delay, _)) if !tiers::needs_restore(provider, tier) => {
            after(newest_ms, *delay + LOCK_MARGIN).min(over_ms)
        }
        _ => over_ms,
    };
    Some((mode, until_ms))
}

/// The lock of a segment that is committed now.
pub fn first_lock(class: &RetentionClass, provider: Provider, now_ms: i64) -> Option<(LockMode, i64)> {
    lock(class, provider, tiers::first(provider), now_ms)
}

const fn mode(lock: Lock) -> LockMode {
    match lock {
        Lock::Governance => LockMode::Governance,
        Lock::Compliance => LockMode::Compliance,
    }
}
