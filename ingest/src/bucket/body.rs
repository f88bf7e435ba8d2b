//! The bytes of one object, filled by a task through a bounded channel.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use bytes::{Buf, Bytes};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::Body;

/// Pieces of an object that wait to be read; a piece is what the transport received at once.
const PIECES_MAX: usize = 16;

/// An object on its way in.
pub(super) struct BucketBody {
    pieces: Receiver<io::Result<Bytes>>,
    piece: Bytes,
    ended: bool,
    changed: Arc<AtomicBool>,
}

/// The other end: where the task puts what it receives.
pub(super) struct Inlet {
    pieces: Sender<io::Result<Bytes>>,
    changed: Arc<AtomicBool>,
}

/// A body and its inlet. An inlet that is dropped before it says how it ended breaks the body off.
pub(super) fn body() -> (BucketBody, Inlet) {
    let (sender, receiver) = channel(PIECES_MAX);
    let changed = Arc::<AtomicBool>::default();
    let body =
        BucketBody { pieces: receiver, piece: Bytes::new(), ended: false, changed: Arc::clone(&changed) };
    (body, Inlet { pieces: sender, changed })
}

impl Inlet {
    /// Waits for room; false when nobody reads any more.
    pub(super) async fn put(&self, piece: Bytes) -> bool {
        self.pieces.send(Ok(piece)).await.is_ok()
    }

    /// That was all.
    pub(super) async fn ended(self) {
        self.put(Bytes::new()).await;
    }

    /// The object is another by now: what was read so far is of no use.
    pub(super) async fn changed(self) {
        self.changed.store(true, Relaxed);
        self.ended().await;
    }

    /// Reading broke off.
    pub(super) async fn failed(self, error: io::Error) {
        // Nobody may be reading any more.
        let _ = self.pieces.send(Err(error)).await;
    }
}

impl Read for BucketBody {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.ended {
            self.piece = self.pieces.blocking_recv().unwrap_or_else(|| Err(broken_off()))?;
            self.ended = self.piece.is_empty();
        }
        let n = buf.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buf[..n]);
        Ok(n)
    }
}

fn broken_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the transfer broke off")
}

impl Body for BucketBody {
    fn is_unchanged(&mut self) -> bool {
        !self.changed.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn read(mut body: BucketBody) -> (io::Result<Vec<u8>>, bool) {
        let mut bytes = Vec::new();
        let outcome = body.read_to_end(&mut bytes).map(|_| bytes);
        (outcome, body.is_unchanged())
    }

    #[tokio::test]
    async fn a_body_ends_only_when_its_inlet_says_so() {
        for how in ["ended", "changed", "failed", "dropped"] {
            let (body, inlet) = body();
            let reader = tokio::task::spawn_blocking(move || read(body));
            for _ in 0..PIECES_MAX * 2 {
                assert!(inlet.put(Bytes::from_static(b"ab")).await);
            }
            match how {
                "ended" => inlet.ended().await,
                "changed" => inlet.changed().await,
                "failed" => inlet.failed(io::Error::other("reset")).await,
                _ => drop(inlet),
            }
            let (bytes, unchanged) = reader.await.unwrap();
            assert_eq!(unchanged, how != "changed");
            match how {
                "failed" => assert_eq!(bytes.unwrap_err().to_string(), "reset"),
                "dropped" => assert_eq!(bytes.unwrap_err().kind(), io::ErrorKind::UnexpectedEof),
                _ => assert_eq!(bytes.unwrap(), b"ab".repeat(PIECES_MAX * 2)),
            }
        }
    }

    #[tokio::test]
    async fn nobody_fills_a_body_that_is_not_read() {
        let (body, inlet) = body();
        drop(body);
        assert!(!inlet.put(Bytes::from_static(b"a")).await);
    }
}
