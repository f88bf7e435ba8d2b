//! Evidence: whether the archive still holds what the ledger says it does.

use std::collections::BTreeMap;

use crate::{
    Lake, LakeError,
    archive::{ArchiveError, Finding, SegmentFacts, verify},
    ledger::{SegmentFilter, SegmentState},
};

/// What a verification looked at and found.
#[derive(Debug, Default)]
pub struct Report {
    /// Segments in the ledger.
    pub segments: usize,
    /// Segments that were read in full.
    pub read: usize,
    /// Their events.
    pub events: u64,
    /// Their stored bytes.
    pub bytes: u64,
    /// What does not agree.
    pub findings: Vec<Finding>,
}

/// Why a verification could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The lake failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// An archive failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// Checks the chains of all workers and re-reads a `sample` (0 to 1) of the segments: the same ones
/// for the same `seed`. `progress` is told the number of segments done.
pub async fn check(
    lake: &Lake,
    sample: f64,
    seed: u64,
    mut progress: impl FnMut(usize, usize),
) -> Result<Report, EvidenceError> {
    let mut segments = lake.ledger.segments(&SegmentFilter::default());
    segments.sort_by(|a, b| {
        (&a.fact.worker, a.fact.seq, &a.fact.object).cmp(&(&b.fact.worker, b.fact.seq, &b.fact.object))
    });
    let mut report = Report { segments: segments.len(), ..Report::default() };
    chains(lake, &segments, &mut report);
    for (n, segment) in segments.iter().enumerate() {
        if !sampled(&segment.fact.id, sample, seed) {
            continue;
        }
        let (fact, place) = (&segment.fact, segment.place());
        let expected = SegmentFacts {
            id: fact.id.clone(),
            sha256: place.sha256,
            encoded_again: place.sha256 != fact.sha256,
            packed: place.object != fact.object,
            stored_bytes: place.length,
            events: fact.events,
            raw_bytes: fact.raw_bytes,
            merkle_root: fact.merkle_root,
            previous_root: Some(fact.prev_root).filter(|root| *root != [0; 32]),
        };
        let store = lake.archive(&place.store)?;
        report.findings.extend(verify(&store, &place.object, place.offset, &expected).await?);
        if let Some(key) = lake.key(&place.store)
            && let Ok(head) = store.head(&place.object).await
            && !is_under(head.encryption.as_deref(), key)
        {
            let is = head.encryption.as_deref().unwrap_or("the store's default");
            let what = format!("its object is encrypted with `{is}`, not with the archive's key `{key}`");
            report.findings.push(Finding { segment: fact.id.clone(), block: None, rows: None, what });
        }
        report.read += 1;
        report.events += fact.events;
        report.bytes += place.length;
        progress(n + 1, segments.len());
    }
    Ok(report)
}

/// Whether what a store says of an object's key means the configured one. Stores say more (the whole
/// name, a version); which key an alias stands for only they know.
fn is_under(is: Option<&str>, key: &str) -> bool {
    is.is_some_and(|is| is.contains(key) || key.contains("alias/"))
}

/// Every segment but a worker's first names the root of the one before it.
fn chains(lake: &Lake, segments: &[SegmentState], report: &mut Report) {
    let mut roots: BTreeMap<&str, BTreeMap<[u8; 32], usize>> = BTreeMap::new();
    for segment in segments {
        *roots.entry(&segment.fact.worker).or_default().entry(segment.fact.merkle_root).or_default() += 1;
    }
    for segment in segments {
        let fact = &segment.fact;
        let known = fact.prev_root == [0; 32]
            || lake.ledger.is_deleted(&fact.prev_root)
            || roots.get(fact.worker.as_str()).is_some_and(|roots| roots.contains_key(&fact.prev_root));
        if !known {
            report.findings.push(Finding {
                segment: fact.id.clone(),
                block: None,
                rows: None,
                what: "the segment before it in its worker's chain is not in the ledger".to_owned(),
            });
        }
    }
}

/// Whether a segment belongs to the sample; decided by its name, so that a run can be repeated.
fn sampled(id: &str, sample: f64, seed: u64) -> bool {
    let hash = xxhash_rust::xxh3::xxh3_64_with_seed(id.as_bytes(), seed);
    (hash as f64) / (u64::MAX as f64) < sample
}
