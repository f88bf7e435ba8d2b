//! A bucket as a source: found by listing, read as a stream of one pinned version.
//!
//! **Two passes.** The *full* pass goes through every key below the prefix, a page at a time, and
//! finds whatever there is: old objects, late ones, rewritten ones. The *quick* pass lists only where
//! new objects are expected: every series of day folders that the full pass came by ([`dates`]), from
//! yesterday on, and what sorts after the last key of all. A quick pass that is due goes first, so
//! that a full pass through millions of keys does not hold up what is new. New accounts and regions,
//! and objects that are more than a day late, are found by the next full pass.
//!
//! A pass of either kind is due again [`EVERY`] after the last one, or when [`REST`] times as long
//! has gone by as its requests took, if that is later: listing a bucket of ten million objects costs
//! some seventeen minutes every six hours, and a small bucket is simply gone through every time. The
//! first pass is a full one, and an empty page is given when nothing is due, so a single drain sees
//! every object. Between two empty pages a key may come twice, once in each pass.
//!
//! **Identity** is `<bucket>/<key>#<etag>,<size>` (the generation of GCS is its etag): an object that is
//! written again is a new object. Azure's resource logs grow in place for an hour, under names that say
//! which: such a blob is left alone until [`SETTLED`] after its hour.
//!
//! **Reading** names the version that was listed. One that is no longer there, or is another by now,
//! is [`IngestError::Changed`]: what is there now is found by the next pass.
//!
//! **Memory**: one page of keys, and at most [`SERIES_MAX`] series.

mod body;
mod dates;
mod passes;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::StreamExt;
use jiff::{Timestamp, tz::TimeZone};
use linchpin_store::{ObjectHead, ObjectStream, Store, StoreError};
use tokio::sync::Mutex;

use crate::{Body, Candidate, IngestError, Source};
use body::{Inlet, body};
use dates::grows_until;
use passes::Passes;

/// So long after its hour, a blob that grows for an hour is taken for complete.
const SETTLED: Duration = Duration::from_mins(15);

/// The objects of a bucket below a prefix, pass after pass.
#[derive(Debug)]
pub struct BucketSource {
    store: Arc<dyn Store>,
    /// Address of the bucket, ends in `/`; identities begin with it.
    address: String,
    prefix: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    passes: Passes,
    /// Of the page that was listed last, what has not been handed out.
    ready: VecDeque<Candidate>,
}

impl BucketSource {
    /// A source over the keys of `store` that start with `prefix`. The `store` is a whole bucket, and
    /// `address` is where it is, such as `s3://bucket`.
    pub fn new(store: Arc<dyn Store>, address: impl Into<String>, prefix: impl Into<String>) -> Self {
        let (mut address, prefix) = (address.into(), prefix.into());
        if !address.ends_with('/') {
            address.push('/');
        }
        let passes = Passes::new(&prefix, Instant::now());
        Self { store, address, prefix, state: Mutex::new(State { passes, ready: VecDeque::new() }) }
    }

    fn candidate(&self, head: ObjectHead) -> Candidate {
        let ObjectHead { key, size, etag, modified_ms, .. } = head;
        Candidate {
            object: format!("{}{key}#{etag},{size}", self.address).into(),
            key: key.into(),
            size,
            modified_ms,
            lease: None,
        }
    }
}

/// Whether an object is to be read: no marker of a folder, complete, and not archived.
fn wanted(head: &ObjectHead, now: Timestamp) -> bool {
    if !head.restore.is_readable() {
        tracing::debug!(
            key = head.key,
            class = head.class,
            "passed over: it would have to be restored first"
        );
        return false;
    }
    let grows = grows_until(&head.key).is_some_and(|end| now < end + SETTLED);
    !(head.key.ends_with('/') || grows)
}

/// The etag that a candidate was listed with.
fn etag(candidate: &Candidate) -> &str {
    let version = candidate.object.rsplit_once('#').map_or("", |(_, version)| version);
    version.rsplit_once(',').map_or(version, |(etag, _)| etag)
}

#[async_trait]
impl Source for BucketSource {
    async fn next(&self, max: usize) -> Result<Vec<Candidate>, IngestError> {
        let mut state = self.state.lock().await;
        while state.ready.is_empty() {
            let now = Timestamp::now();
            let today = TimeZone::UTC.to_datetime(now).date();
            let asked = Instant::now();
            let Some(walk) = state.passes.next(asked, today) else { return Ok(Vec::new()) };
            let listed = self.store.list(&walk.prefix, walk.after.as_deref()).await;
            let mut page = listed.map_err(|error| IngestError::List {
                place: format!("{}{}", self.address, self.prefix),
                source: io::Error::other(error),
            })?;
            let keys: Vec<&str> = page.iter().map(|head| head.key.as_str()).collect();
            let part = walk.part(&keys);
            state.passes.listed(&walk, &keys, asked.elapsed(), Instant::now());
            page.truncate(part);
            state.ready =
                page.into_iter().filter(|head| wanted(head, now)).map(|head| self.candidate(head)).collect();
        }
        let most = state.ready.len().min(max.max(1));
        Ok(state.ready.drain(..most).collect())
    }

    async fn open(&self, candidate: &Candidate) -> Result<Box<dyn Body>, IngestError> {
        let object = || Arc::clone(&candidate.object);
        let opened = self.store.open(&candidate.key, etag(candidate), 0).await;
        let stream = opened.map_err(|error| match error {
            error if is_other_version(&error) => IngestError::Changed { object: object() },
            error => IngestError::Read { object: object(), source: io::Error::other(error) },
        })?;
        let (body, inlet) = body();
        tokio::spawn(fill(stream, inlet, candidate.size));
        Ok(Box::new(body))
    }
}

/// Whether the version that was asked for is not there any more.
fn is_other_version(error: &StoreError) -> bool {
    matches!(error, StoreError::Precondition(_) | StoreError::NotFound(_))
}

/// Fills a body until the object ends; `size` is what the listing said of it.
async fn fill(mut stream: ObjectStream, inlet: Inlet, size: u64) {
    let mut received = 0;
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) if piece.is_empty() => {}
            Ok(piece) => {
                received += piece.len() as u64;
                if !inlet.put(piece).await {
                    return;
                }
            }
            Err(error) if is_other_version(&error) => return inlet.changed().await,
            Err(error) => return inlet.failed(io::Error::other(error)).await,
        }
    }
    if received == size {
        inlet.ended().await;
    } else {
        let why = format!("{received} bytes came of an object of {size}");
        inlet.failed(io::Error::new(io::ErrorKind::UnexpectedEof, why)).await;
    }
}
