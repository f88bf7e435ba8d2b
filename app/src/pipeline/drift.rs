//! What the events of each source look like, kept in the lake: a baseline, and what is new since.
//!
//! Workers give what they saw with every epoch; the process writes it down at most once a minute and
//! when it ends. A crash loses the counts of the last minute, never events.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use linchpin_normalize::{drift::DriftRecord, inventory::Inventory};
use linchpin_tiering::Lake;

use crate::exit::Failure;

/// The record's name in the lake.
const KEY: &str = "drift.json";
/// How often it is written.
const SAVE_EVERY: Duration = Duration::from_mins(1);
/// Tries to write it beside other processes.
const TRIES: u32 = 5;

/// What was seen and is not in the lake yet.
#[derive(Debug, Default)]
pub(super) struct Drift(Mutex<Pending>);

#[derive(Debug, Default)]
struct Pending {
    seen: BTreeMap<Arc<str>, Inventory>,
    saved: Option<Instant>,
}

impl Drift {
    /// Adds what a worker saw.
    pub(super) fn add(&self, seen: BTreeMap<Arc<str>, Inventory>) {
        let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (source, inventory) in seen {
            pending.seen.entry(source).or_default().merge(inventory);
        }
    }

    /// Writes down what was seen, if it is time. What cannot be written is kept for the next time.
    pub(super) async fn save(&self, lake: &Lake, now: bool) {
        let seen = {
            let mut pending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let due = pending.saved.is_none_or(|saved| saved.elapsed() >= SAVE_EVERY);
            if pending.seen.is_empty() || !(now || due) {
                return;
            }
            pending.saved = Some(Instant::now());
            std::mem::take(&mut pending.seen)
        };
        if let Err(error) = change(lake, |record| record.add(seen.clone())).await {
            tracing::warn!(%error, "cannot write down how sources drift");
            self.add(seen);
        }
    }
}

/// The record as it is in the lake, and its etag.
pub(crate) async fn read(lake: &Lake) -> Result<(DriftRecord, Option<String>)> {
    let Some((bytes, etag)) = lake.note(KEY).await.map_err(Failure::environment)? else {
        return Ok((DriftRecord::default(), None));
    };
    let record = serde_json::from_slice(&bytes).with_context(|| format!("`{KEY}` of the lake is damaged"));
    Ok((record.map_err(Failure::environment)?, Some(etag)))
}

/// Changes the record, whoever else does so at the same time.
pub(crate) async fn change(lake: &Lake, mut with: impl FnMut(&mut DriftRecord)) -> Result<()> {
    for _ in 0..TRIES {
        let (mut record, etag) = read(lake).await?;
        with(&mut record);
        let bytes = serde_json::to_vec(&record)?;
        if lake.put_note(KEY, bytes.into(), etag.as_deref()).await.map_err(Failure::environment)? {
            return Ok(());
        }
    }
    Err(Failure::environment(anyhow::anyhow!("other processes write `{KEY}` all the time")))
}
