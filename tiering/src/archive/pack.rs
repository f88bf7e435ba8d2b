//! Packs: whole segments one after another in one object.
//!
//! A pack has nothing of its own: `zstd -dc` prints the events of all its segments, and each of them
//! keeps its header, footer and Merkle root. The ledger knows where each begins. So a segment is read
//! from a pack as it is from its own object, and the addresses of its events stay. One with small blocks
//! is encoded again on the way: same events, same root, fewer bytes.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use linchpin_store::Store;
use sha2::{Digest, Sha256};

use super::{
    error::{ArchiveError, Fault},
    rewrite::merged,
};
use crate::ledger::SegmentPlace;

/// Segments that are read at once.
const READS_MAX: usize = 8;

/// A segment that goes into a pack, and where it is.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Segment id.
    pub id: &'a str,
    /// Where it is now.
    pub place: &'a SegmentPlace,
}

/// A segment in a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Segment id.
    pub id: String,
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
    /// SHA-256 of the bytes.
    pub sha256: [u8; 32],
}

/// A pack, ready to be put.
#[derive(Debug, Clone)]
pub struct Packed {
    /// The object.
    pub bytes: Bytes,
    /// Its segments, in order.
    pub entries: Vec<Entry>,
}

/// Reads segments of one store and puts them together. Each must still be what the ledger says: one
/// that was damaged fails the pack, as nothing may be built on it.
pub async fn pack(store: &dyn Store, parts: &[Part<'_>]) -> Result<Packed, ArchiveError> {
    let reads: Vec<_> = parts
        .iter()
        .map(|part| async move {
            let place = part.place;
            let bytes = store.range(&place.object, place.offset..place.end()).await?;
            if bytes.len() as u64 != place.length || <[u8; 32]>::from(Sha256::digest(&bytes)) != place.sha256
            {
                let fault = Fault::from("its hash is not what the ledger says");
                return Err(fault.at(&place.object, format!("segment `{}`", part.id)));
            }
            // What cannot be read is packed as it is: `verify` will say what is wrong with it.
            Ok::<_, ArchiveError>(match merged(&bytes) {
                Ok(Some(merged)) => (merged.bytes, merged.sha256),
                Ok(None) | Err(_) => (bytes, place.sha256),
            })
        })
        .collect();
    let read: Vec<(Bytes, [u8; 32])> = stream::iter(reads).buffered(READS_MAX).try_collect().await?;
    let mut packed = Vec::with_capacity(read.iter().map(|(bytes, _)| bytes.len()).sum());
    let mut entries = Vec::with_capacity(parts.len());
    for (part, (bytes, sha256)) in parts.iter().zip(read) {
        entries.push(Entry {
            id: part.id.to_owned(),
            offset: packed.len() as u64,
            length: bytes.len() as u64,
            sha256,
        });
        packed.extend_from_slice(&bytes);
    }
    Ok(Packed { bytes: packed.into(), entries })
}
