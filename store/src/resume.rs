//! Bodies that survive broken connections: taken up at the byte where they broke.

use std::{io, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::{
    StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::time::{sleep, timeout};

use crate::{
    ObjectStream, StoreError,
    retry::{BODY_IDLE_MAX, RESUMES_MAX, pause},
};

/// The body of one request.
pub(crate) type Body = BoxStream<'static, io::Result<Bytes>>;

/// Asks for the body from an offset on; empty where that is beyond the end. The request itself has
/// been repeated by the SDK when it fails.
pub(crate) type Request = Box<dyn Fn(u64) -> BoxFuture<'static, Result<Body, StoreError>> + Send>;

/// How long a body is waited for.
#[derive(Clone, Copy)]
struct Patience {
    idle: Duration,
    pause: fn(u32) -> Duration,
}

struct Reading {
    patience: Patience,
    key: String,
    request: Request,
    body: Body,
    offset: u64,
    /// Resumes since the last byte.
    resumes: u32,
}

/// The body from `start` on. Fails at once if the first request does.
pub(crate) async fn resuming(key: &str, start: u64, request: Request) -> Result<ObjectStream, StoreError> {
    reading(key, start, request, Patience { idle: BODY_IDLE_MAX, pause }).await
}

async fn reading(
    key: &str,
    start: u64,
    request: Request,
    patience: Patience,
) -> Result<ObjectStream, StoreError> {
    let body = request(start).await?;
    let reading = Reading { patience, key: key.to_owned(), request, body, offset: start, resumes: 0 };
    let stream = stream::unfold(Some(reading), |reading| async {
        let mut reading = reading?;
        match reading.next().await {
            Ok(bytes) => bytes.map(|bytes| (Ok(bytes), Some(reading))),
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(stream.boxed())
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            let broken = match timeout(self.patience.idle, self.body.next()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(bytes))) if bytes.is_empty() => continue,
                Ok(Some(Ok(bytes))) => {
                    self.offset += bytes.len() as u64;
                    self.resumes = 0;
                    return Ok(Some(bytes));
                }
                Ok(Some(Err(error))) => error,
                Err(_) => io::ErrorKind::TimedOut.into(),
            };
            self.resumes += 1;
            if self.resumes > RESUMES_MAX {
                return Err(StoreError::Failed { key: self.key.clone(), source: broken });
            }
            tracing::debug!(key = self.key, offset = self.offset, error = %broken, "body broke; resuming");
            sleep((self.patience.pause)(self.resumes)).await;
            self.body = (self.request)(self.offset).await?;
        }
    }
}

/// A body of a known bound as one piece; no copy where it came as one.
pub(crate) async fn collect(mut stream: ObjectStream, bytes_max: u64) -> Result<Bytes, StoreError> {
    let Some(first) = stream.try_next().await? else { return Ok(Bytes::new()) };
    let Some(second) = stream.try_next().await? else { return Ok(first) };
    let mut all = BytesMut::with_capacity((bytes_max as usize).max(first.len() + second.len()));
    all.extend_from_slice(&first);
    all.extend_from_slice(&second);
    while let Some(more) = stream.try_next().await? {
        all.extend_from_slice(&more);
    }
    Ok(all.freeze())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::{Arc, Mutex};

    use super::*;

    async fn hasty(key: &str, start: u64, request: Request) -> Result<ObjectStream, StoreError> {
        let patience = Patience { idle: Duration::from_millis(20), pause: |_| Duration::ZERO };
        reading(key, start, request, patience).await
    }

    /// Serves `0123456789` by two bytes and breaks each body after `whole` pieces; notes the offsets.
    fn server(whole: usize) -> (Request, Arc<Mutex<Vec<u64>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let request: Request = Box::new(move |from| {
            seen.lock().unwrap().push(from);
            let rest = &b"0123456789"[from as usize..];
            let pieces = rest.chunks(2).map(|piece| Ok(Bytes::from_static(piece)));
            let broken = (pieces.len() > whole).then(|| Err(io::ErrorKind::ConnectionReset.into()));
            let body: Vec<_> = pieces.take(whole).chain(broken).collect();
            Box::pin(async move { Ok(stream::iter(body).boxed()) })
        });
        (request, asked)
    }

    #[tokio::test]
    async fn a_broken_body_is_taken_up_where_it_broke() {
        let (request, asked) = server(2);
        let stream = hasty("k", 1, request).await.unwrap();
        assert_eq!(collect(stream, 9).await.unwrap(), "123456789");
        assert_eq!(*asked.lock().unwrap(), [1, 5, 9]);
    }

    #[tokio::test]
    async fn a_body_that_never_moves_is_given_up() {
        let (request, asked) = server(0);
        let stream = hasty("k", 0, request).await.unwrap();
        assert!(matches!(collect(stream, 10).await, Err(StoreError::Failed { .. })));
        assert_eq!(asked.lock().unwrap().len(), 1 + RESUMES_MAX as usize);
    }

    #[tokio::test]
    async fn a_silent_body_is_given_up() {
        let request: Request = Box::new(|_| Box::pin(async { Ok(stream::pending().boxed()) }));
        let stream = hasty("k", 0, request).await.unwrap();
        assert!(matches!(collect(stream, 10).await, Err(StoreError::Failed { .. })));
    }
}
